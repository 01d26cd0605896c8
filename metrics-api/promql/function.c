// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/function.h"

#include <math.h>

const char *promql_type_name(enum promql_type t)
{
    switch (t) {
    case PROMQL_SCALAR:
        return "scalar";
    case PROMQL_VECTOR:
        return "instant vector";
    case PROMQL_MATRIX:
        return "range vector";
    case PROMQL_STRING:
        return "string";
    case PROMQL_NONE_TYPE:
        break;
    }
    return "none";
}

static double rad(double v)
{
    return v * M_PI / 180;
}

static double deg(double v)
{
    return v * 180 / M_PI;
}

static double sgn(double v)
{
    return v < 0 ? -1 : v > 0 ? 1 : v;
}

#define S PROMQL_SCALAR
#define V PROMQL_VECTOR
#define M PROMQL_MATRIX
#define T PROMQL_STRING
// clang-format off
#define MATH(name, f) {name, FUNCTION_MATH, V, {V}, 1, 0, f}
#define OVER(name) {name, FUNCTION_OVER_TIME, V, {M}, 1, 0, NULL}
#define DATE(name) {name, FUNCTION_DATE, V, {V}, 1, 1, NULL}
#define NOT_HERE(name) {name, FUNCTION_UNSUPPORTED, V, {V}, 1, -1, NULL}

static const struct function functions[] = {
    MATH("abs", fabs),
    {"absent", FUNCTION_ABSENT, V, {V}, 1, 0, NULL},
    {"absent_over_time", FUNCTION_ABSENT, V, {M}, 1, 0, NULL},
    MATH("acos", acos),
    MATH("acosh", acosh),
    MATH("asin", asin),
    MATH("asinh", asinh),
    MATH("atan", atan),
    MATH("atanh", atanh),
    OVER("avg_over_time"),
    MATH("ceil", ceil),
    OVER("changes"),
    {"clamp", FUNCTION_CLAMP, V, {V, S, S}, 3, 0, NULL},
    {"clamp_max", FUNCTION_CLAMP, V, {V, S}, 2, 0, NULL},
    {"clamp_min", FUNCTION_CLAMP, V, {V, S}, 2, 0, NULL},
    MATH("cos", cos),
    MATH("cosh", cosh),
    OVER("count_over_time"),
    DATE("day_of_month"),
    DATE("day_of_week"),
    DATE("day_of_year"),
    DATE("days_in_month"),
    MATH("deg", deg),
    OVER("delta"),
    OVER("deriv"),
    NOT_HERE("double_exponential_smoothing"),
    NOT_HERE("end"),
    MATH("exp", exp),
    OVER("first_over_time"),
    MATH("floor", floor),
    NOT_HERE("histogram_avg"),
    NOT_HERE("histogram_count"),
    {"histogram_fraction", FUNCTION_HISTOGRAM_FRACTION, V, {S, S, V}, 3, 0, NULL},
    {"histogram_quantile", FUNCTION_HISTOGRAM_QUANTILE, V, {S, V}, 2, 0, NULL},
    NOT_HERE("histogram_quantiles"),
    NOT_HERE("histogram_stddev"),
    NOT_HERE("histogram_stdvar"),
    NOT_HERE("histogram_sum"),
    DATE("hour"),
    OVER("idelta"),
    OVER("increase"),
    NOT_HERE("info"),
    OVER("irate"),
    {"label_join", FUNCTION_LABEL_JOIN, V, {V, T, T, T}, 4, -1, NULL},
    {"label_replace", FUNCTION_LABEL_REPLACE, V, {V, T, T, T, T}, 5, 0, NULL},
    OVER("last_over_time"),
    MATH("ln", log),
    MATH("log10", log10),
    MATH("log2", log2),
    NOT_HERE("mad_over_time"),
    NOT_HERE("max_of"),
    OVER("max_over_time"),
    NOT_HERE("min_of"),
    OVER("min_over_time"),
    DATE("minute"),
    DATE("month"),
    {"pi", FUNCTION_PI, S, {0}, 0, 0, NULL},
    {"predict_linear", FUNCTION_OVER_TIME, V, {M, S}, 2, 0, NULL},
    OVER("present_over_time"),
    {"quantile_over_time", FUNCTION_OVER_TIME, V, {S, M}, 2, 0, NULL},
    MATH("rad", rad),
    NOT_HERE("range"),
    OVER("rate"),
    OVER("resets"),
    {"round", FUNCTION_ROUND, V, {V, S}, 2, 1, NULL},
    {"scalar", FUNCTION_SCALAR, S, {V}, 1, 0, NULL},
    MATH("sgn", sgn),
    MATH("sin", sin),
    MATH("sinh", sinh),
    {"sort", FUNCTION_SORT, V, {V}, 1, 0, NULL},
    NOT_HERE("sort_by_label"),
    NOT_HERE("sort_by_label_desc"),
    {"sort_desc", FUNCTION_SORT, V, {V}, 1, 0, NULL},
    MATH("sqrt", sqrt),
    NOT_HERE("start"),
    NOT_HERE("start_timestamp"),
    OVER("stddev_over_time"),
    OVER("stdvar_over_time"),
    NOT_HERE("step"),
    OVER("sum_over_time"),
    MATH("tan", tan),
    MATH("tanh", tanh),
    {"time", FUNCTION_TIME, S, {0}, 0, 0, NULL},
    {"timestamp", FUNCTION_TIMESTAMP, V, {V}, 1, 0, NULL},
    NOT_HERE("ts_of_first_over_time"),
    NOT_HERE("ts_of_last_over_time"),
    NOT_HERE("ts_of_max_over_time"),
    NOT_HERE("ts_of_min_over_time"),
    {"vector", FUNCTION_VECTOR, V, {S}, 1, 0, NULL},
    DATE("year"),
};
// clang-format on

const struct function *function_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (str_eq(str_of(functions[i].name), name))
            return &functions[i];
    return NULL;
}
