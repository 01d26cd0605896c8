// SPDX-License-Identifier: Apache-2.0
// Functions of a series' window: rate, increase, *_over_time and their like.
#ifndef STREAMLENS_PROMQL_OVER_TIME_H
#define STREAMLENS_PROMQL_OVER_TIME_H

#include "common/core/base.h"

// The samples in (from_ms, to_ms], at least one.
struct window {
    const int64_t *t_ms;
    const double *v;
    size_t n;
    size_t resets; // how many of them are less than the one before
    int64_t from_ms, to_ms;
    double range_s;  // to_ms - from_ms
    int64_t now_ms;  // the step that it is for: to_ms and the offset
    double argument; // the scalar, of functions that have one
    double *scratch; // room for n values
};

// promql_stale() where there is no value.
typedef double over_time_function(const struct window *w);

struct over_time {
    const char *name;
    over_time_function *f;
    bool keeps_name;
    bool of_counter;  // says so when the metric's name does not look like one
    bool of_quantile; // says so when the argument is none
};
const struct over_time *over_time_find(const char *name); // of a function of FUNCTION_OVER_TIME

#endif
