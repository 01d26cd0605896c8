// SPDX-License-Identifier: Apache-2.0
// Functions of instant vectors and scalars, value by value.
#include "metrics-api/promql/eval.h"

#include <math.h>

double eval_max(double a, double b)
{
    if (isinf(a) && a > 0)
        return a;
    if (isinf(b) && b > 0)
        return b;
    if (isnan(a) || isnan(b))
        return NAN;
    if (a == 0 && b == 0)
        return signbit(a) ? b : a;
    return a > b ? a : b;
}

double eval_min(double a, double b)
{
    if (isinf(a) && a < 0)
        return a;
    if (isinf(b) && b < 0)
        return b;
    if (isnan(a) || isnan(b))
        return NAN;
    if (a == 0 && b == 0)
        return signbit(a) ? a : b;
    return a < b ? a : b;
}

static int eval_math(struct eval *ev, const struct node *call, struct vector *out)
{
    if (eval_node(ev, call->call.args[0], out) != 0)
        return -1;
    double (*f)(double) = call->call.function->math;
    for (size_t i = 0; i < out->n && eval_check(ev) == 0; i++) {
        double *v = out->rows[i].v;
        for (size_t step = 0; step < ev->steps; step++)
            if (!promql_is_stale(v[step]))
                v[step] = f(v[step]);
    }
    return ev->verdict == PROMQL_OK ? vector_drop_names(ev, out) : -1;
}

// The scalar argument's values, a row of `out`, which may be the default's.
static const double *scalar_argument(struct eval *ev, const struct node *call, size_t i,
                                     double otherwise, struct vector *out)
{
    int done =
        i < call->call.n ? eval_node(ev, call->call.args[i], out) : eval_number(ev, otherwise, out);
    return done == 0 ? out->rows[0].v : NULL;
}

static int eval_clamp(struct eval *ev, const struct node *call, struct vector *out)
{
    const char *name = call->call.function->name;
    bool both = call->call.n == 3, max = strcmp(name, "clamp_max") == 0;
    struct vector lows = {0}, highs = {0};
    if (eval_node(ev, call->call.args[0], out) != 0)
        return -1;
    const double *low = scalar_argument(ev, call, max ? 9 : 1, -INFINITY, &lows);
    const double *high = scalar_argument(ev, call, both ? 2 : max ? 1 : 9, INFINITY, &highs);
    if (!low || !high)
        return -1;
    for (size_t i = 0; i < out->n && eval_check(ev) == 0; i++) {
        double *v = out->rows[i].v;
        for (size_t step = 0; step < ev->steps; step++) {
            if (promql_is_stale(v[step]))
                continue;
            v[step] = high[step] < low[step] ? promql_stale()
                                             : eval_max(low[step], eval_min(high[step], v[step]));
        }
    }
    vector_free(ev, &lows);
    vector_free(ev, &highs);
    return ev->verdict == PROMQL_OK ? vector_drop_names(ev, out) : -1;
}

static int eval_round(struct eval *ev, const struct node *call, struct vector *out)
{
    struct vector units = {0};
    if (eval_node(ev, call->call.args[0], out) != 0)
        return -1;
    const double *unit = scalar_argument(ev, call, 1, 1, &units);
    if (!unit)
        return -1;
    for (size_t i = 0; i < out->n && eval_check(ev) == 0; i++) {
        double *v = out->rows[i].v;
        for (size_t step = 0; step < ev->steps; step++) {
            // Inverted, since it loses less.
            double inverse = 1.0 / unit[step];
            if (!promql_is_stale(v[step]))
                v[step] = floor(v[step] * inverse + 0.5) / inverse;
        }
    }
    vector_free(ev, &units);
    return ev->verdict == PROMQL_OK ? vector_drop_names(ev, out) : -1;
}

static int eval_scalar(struct eval *ev, const struct node *call, struct vector *out)
{
    struct vector in = {0};
    if (eval_node(ev, call->call.args[0], &in) != 0 || eval_number(ev, NAN, out) != 0)
        return -1;
    for (size_t step = 0; step < ev->steps; step++) {
        size_t found = 0;
        double value = NAN;
        for (size_t i = 0; i < in.n && found < 2; i++) {
            if (promql_is_stale(in.rows[i].v[step]))
                continue;
            value = in.rows[i].v[step];
            found++;
        }
        out->rows[0].v[step] = found == 1 ? value : NAN;
    }
    vector_free(ev, &in);
    return 0;
}

static int eval_time(struct eval *ev, struct vector *out)
{
    if (eval_number(ev, 0, out) != 0)
        return -1;
    for (size_t step = 0; step < ev->steps; step++)
        out->rows[0].v[step] = (double)eval_time_ms(ev, step) / 1000;
    return 0;
}

// Of a selector it is the samples' own time, of all else the step's.
static int eval_timestamp(struct eval *ev, const struct node *call, struct vector *out)
{
    const struct node *arg = node_unwrap(call->call.args[0]);
    bool own = arg->kind == NODE_SELECTOR;
    if ((own ? eval_selector(ev, &arg->selector, true, out) : eval_node(ev, arg, out)) != 0)
        return -1;
    for (size_t i = 0; !own && i < out->n; i++)
        for (size_t step = 0; step < ev->steps; step++)
            if (!promql_is_stale(out->rows[i].v[step]))
                out->rows[i].v[step] = (double)eval_time_ms(ev, step) / 1000;
    return ev->verdict == PROMQL_OK ? vector_drop_names(ev, out) : -1;
}

// NaN comes last either way.
static bool sorts_before(double a, double b, bool descending)
{
    if (isnan(a) || isnan(b))
        return !isnan(a);
    return descending ? a > b : a < b;
}

static void merge_rows(struct row *rows, struct row *other, size_t n, bool descending)
{
    if (n < 2)
        return;
    size_t half = n / 2, i = 0, j = half, k = 0;
    merge_rows(rows, other, half, descending);
    merge_rows(rows + half, other, n - half, descending);
    memcpy(other, rows, n * sizeof(*rows));
    while (k < n) {
        bool right = i == half || (j < n && sorts_before(other[j].v[0], other[i].v[0], descending));
        rows[k++] = right ? other[j++] : other[i++];
    }
}

// The order of results is that of labels, but for an instant's.
static int eval_sort_rows(struct eval *ev, const struct node *call, struct vector *out)
{
    if (eval_node(ev, call->call.args[0], out) != 0)
        return -1;
    if (!eval_is_instant(ev)) {
        notes_warn(
            &ev->notes, call->at,
            "sort is ineffective for range queries since results are always ordered by labels");
        return 0;
    }
    vector_compact(ev, out);
    struct row *other = xmalloc((out->n + 1) * sizeof(*other));
    merge_rows(out->rows, other, out->n, strcmp(call->call.function->name, "sort_desc") == 0);
    free(other);
    return 0;
}

int eval_call(struct eval *ev, const struct node *n, struct vector *out)
{
    switch (n->call.function->id) {
    case FUNCTION_MATH:
        return eval_math(ev, n, out);
    case FUNCTION_OVER_TIME:
        return eval_over_time(ev, n, out);
    case FUNCTION_DATE:
        return eval_date(ev, n, out);
    case FUNCTION_ABSENT:
        return eval_absent(ev, n, out);
    case FUNCTION_CLAMP:
        return eval_clamp(ev, n, out);
    case FUNCTION_HISTOGRAM_FRACTION:
        return eval_histogram_fraction(ev, n, out);
    case FUNCTION_HISTOGRAM_QUANTILE:
        return eval_histogram_quantile(ev, n, out);
    case FUNCTION_LABEL_JOIN:
        return eval_label_join(ev, n, out);
    case FUNCTION_LABEL_REPLACE:
        return eval_label_replace(ev, n, out);
    case FUNCTION_PI:
        return eval_number(ev, M_PI, out);
    case FUNCTION_ROUND:
        return eval_round(ev, n, out);
    case FUNCTION_SCALAR:
        return eval_scalar(ev, n, out);
    case FUNCTION_SORT:
        return eval_sort_rows(ev, n, out);
    case FUNCTION_TIME:
        return eval_time(ev, out);
    case FUNCTION_TIMESTAMP:
        return eval_timestamp(ev, n, out);
    case FUNCTION_VECTOR:
        return eval_node(ev, n->call.args[0], out);
    case FUNCTION_UNSUPPORTED:
        break;
    }
    abort(); // the parser let no other one pass
}
