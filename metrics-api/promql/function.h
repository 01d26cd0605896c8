// SPDX-License-Identifier: Apache-2.0
// PromQL's functions: their names and types, and who evaluates them.
#ifndef STREAMLENS_PROMQL_FUNCTION_H
#define STREAMLENS_PROMQL_FUNCTION_H

#include "common/core/base.h"

enum promql_type {
    PROMQL_NONE_TYPE,
    PROMQL_SCALAR,
    PROMQL_VECTOR,
    PROMQL_MATRIX,
    PROMQL_STRING,
};
// "instant vector": what messages call it.
const char *promql_type_name(enum promql_type t);

enum function_id {
    FUNCTION_UNSUPPORTED, // Prometheus has it, we do not
    FUNCTION_MATH,        // of each value, by `math`
    FUNCTION_OVER_TIME,   // of each series' window, by the evaluator's table
    FUNCTION_DATE,
    FUNCTION_ABSENT,
    FUNCTION_CLAMP,
    FUNCTION_HISTOGRAM_FRACTION,
    FUNCTION_HISTOGRAM_QUANTILE,
    FUNCTION_LABEL_JOIN,
    FUNCTION_LABEL_REPLACE,
    FUNCTION_PI,
    FUNCTION_ROUND,
    FUNCTION_SCALAR,
    FUNCTION_SORT,
    FUNCTION_TIME,
    FUNCTION_TIMESTAMP,
    FUNCTION_VECTOR,
};

#define FUNCTION_ARGS_MAX 5

struct function {
    const char *name;
    enum function_id id;
    enum promql_type returns;
    enum promql_type args[FUNCTION_ARGS_MAX];
    uint8_t arg_count;
    int8_t variadic; // so many more at most, of the last one's type; -1: any number. The last of
                     // `args` may then be missing.
    double (*math)(double);
};

const struct function *function_find(struct str name); // NULL: there is none

#endif
