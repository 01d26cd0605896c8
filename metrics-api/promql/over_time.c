// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/over_time.h"

#include "metrics-api/promql/eval.h"
#include "metrics-api/promql/kahan.h"

#include <math.h>

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

// What was counted in the window, resets not counting. Most windows have none, and are not looked
// through (of an hour of minutes that was half of rate's time).
static double increase_within(const struct window *w, bool counter)
{
    double sum = w->v[w->n - 1] - w->v[0];
    if (!counter || w->resets == 0)
        return sum;
    for (size_t i = 1; i < w->n; i++)
        if (w->v[i] < w->v[i - 1])
            sum += w->v[i - 1];
    return sum;
}

// The window's samples do not reach its borders: where one lies about as near as another sample
// would be expected, the line goes on to it; else half a distance further. A counter does not go
// below zero.
static double extrapolated(const struct window *w, bool counter)
{
    if (w->n < 2)
        return promql_stale();
    double sum = increase_within(w, counter);
    double to_start = seconds(w->t_ms[0] - w->from_ms);
    double to_end = seconds(w->to_ms - w->t_ms[w->n - 1]);
    double sampled = seconds(w->t_ms[w->n - 1] - w->t_ms[0]);
    double between = sampled / (double)(w->n - 1), threshold = between * 1.1;
    if (to_start >= threshold)
        to_start = between / 2;
    // Where it began with its increase or more, the line is at 0 further back than the samples
    // span: nothing to divide (a tenth of rate's time).
    bool far_from_zero = w->v[0] >= sum && to_start <= sampled;
    if (counter && sum > 0 && w->v[0] >= 0 && !far_from_zero) {
        double to_zero = sampled * (w->v[0] / sum);
        if (to_zero < to_start)
            to_start = to_zero;
    }
    if (to_end >= threshold)
        to_end = between / 2;
    return sampled == 0 ? sum : sum * ((sampled + to_start + to_end) / sampled);
}

static double delta(const struct window *w)
{
    return extrapolated(w, false);
}

static double increase(const struct window *w)
{
    return extrapolated(w, true);
}

static double rate(const struct window *w)
{
    double sum = extrapolated(w, true);
    return promql_is_stale(sum) ? sum : sum / w->range_s;
}

static double idelta(const struct window *w)
{
    return w->n < 2 ? promql_stale() : w->v[w->n - 1] - w->v[w->n - 2];
}

static double irate(const struct window *w)
{
    if (w->n < 2)
        return promql_stale();
    double last = w->v[w->n - 1], before = w->v[w->n - 2];
    return (last < before ? last : last - before) / seconds(w->t_ms[w->n - 1] - w->t_ms[w->n - 2]);
}

// The line of least squares through the samples: its slope, and its value at an instant.
static void regression(const struct window *w, int64_t at_ms, double *slope, double *value)
{
    struct kahan x = {0}, y = {0}, xy = {0}, x2 = {0};
    bool constant = true;
    double n = (double)w->n;
    for (size_t i = 0; i < w->n; i++) {
        double t = seconds(w->t_ms[i] - at_ms);
        constant = constant && w->v[i] == w->v[0];
        kahan_add(&x, t);
        kahan_add(&y, w->v[i]);
        kahan_add(&xy, t * w->v[i]);
        kahan_add(&x2, t * t);
    }
    if (constant) {
        *slope = isinf(w->v[0]) ? NAN : 0;
        *value = isinf(w->v[0]) ? NAN : w->v[0];
        return;
    }
    double sum_x = x.sum + x.c, sum_y = y.sum + y.c;
    double covariance = xy.sum + xy.c - sum_x * sum_y / n;
    double variance = x2.sum + x2.c - sum_x * sum_x / n;
    *slope = covariance / variance;
    *value = sum_y / n - *slope * sum_x / n;
}

static double deriv(const struct window *w)
{
    if (w->n < 2)
        return promql_stale();
    double slope, value;
    regression(w, w->t_ms[0], &slope, &value);
    return slope;
}

static double predict_linear(const struct window *w)
{
    if (w->n < 2)
        return promql_stale();
    double slope, value;
    regression(w, w->now_ms, &slope, &value);
    return slope * w->argument + value;
}

static double changes(const struct window *w)
{
    size_t n = 0;
    for (size_t i = 1; i < w->n; i++)
        n += w->v[i] != w->v[i - 1] && !(isnan(w->v[i]) && isnan(w->v[i - 1]));
    return (double)n;
}

static double resets(const struct window *w)
{
    return (double)w->resets;
}

static double avg_over_time(const struct window *w)
{
    struct kahan_mean mean = {0};
    for (size_t i = 0; i < w->n; i++)
        kahan_mean_add(&mean, w->v[i]);
    return kahan_mean_value(&mean);
}

static double sum_over_time(const struct window *w)
{
    struct kahan k = {0};
    for (size_t i = 0; i < w->n; i++)
        kahan_add(&k, w->v[i]);
    return isinf(k.sum) ? k.sum : k.sum + k.c;
}

static double min_over_time(const struct window *w)
{
    double v = w->v[0];
    for (size_t i = 1; i < w->n; i++)
        if (w->v[i] < v || isnan(v))
            v = w->v[i];
    return v;
}

static double max_over_time(const struct window *w)
{
    double v = w->v[0];
    for (size_t i = 1; i < w->n; i++)
        if (w->v[i] > v || isnan(v))
            v = w->v[i];
    return v;
}

static double count_over_time(const struct window *w)
{
    return (double)w->n;
}

static double first_over_time(const struct window *w)
{
    return w->v[0];
}

static double last_over_time(const struct window *w)
{
    return w->v[w->n - 1];
}

static double present_over_time(const struct window *w)
{
    (void)w;
    return 1;
}

static double stdvar_over_time(const struct window *w)
{
    struct kahan mean = {0}, squares = {0};
    for (size_t i = 0; i < w->n; i++) {
        double distance = w->v[i] - (mean.sum + mean.c);
        kahan_add(&mean, distance / (double)(i + 1));
        kahan_add(&squares, distance * (w->v[i] - (mean.sum + mean.c)));
    }
    return (squares.sum + squares.c) / (double)w->n;
}

static double stddev_over_time(const struct window *w)
{
    return sqrt(stdvar_over_time(w));
}

static double quantile_over_time(const struct window *w)
{
    memcpy(w->scratch, w->v, w->n * sizeof(*w->scratch));
    return eval_quantile(w->argument, w->scratch, w->n);
}

static const struct over_time table[] = {
    {"avg_over_time", avg_over_time, false, false, false},
    {"changes", changes, false, false, false},
    {"count_over_time", count_over_time, false, false, false},
    {"delta", delta, false, false, false},
    {"deriv", deriv, false, false, false},
    {"first_over_time", first_over_time, true, false, false},
    {"idelta", idelta, false, false, false},
    {"increase", increase, false, true, false},
    {"irate", irate, false, false, false},
    {"last_over_time", last_over_time, true, false, false},
    {"max_over_time", max_over_time, false, false, false},
    {"min_over_time", min_over_time, false, false, false},
    {"predict_linear", predict_linear, false, false, false},
    {"present_over_time", present_over_time, false, false, false},
    {"quantile_over_time", quantile_over_time, false, false, true},
    {"rate", rate, false, true, false},
    {"resets", resets, false, false, false},
    {"stddev_over_time", stddev_over_time, false, false, false},
    {"stdvar_over_time", stdvar_over_time, false, false, false},
    {"sum_over_time", sum_over_time, false, false, false},
};

const struct over_time *over_time_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    abort(); // functions and this table name the same ones
}
