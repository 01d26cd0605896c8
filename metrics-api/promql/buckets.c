// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/buckets.h"

#include <float.h>
#include <math.h>

// Counts that differ by less, relatively, differ by rounding only.
#define TOLERANCE 1e-12

static int compare(const void *a, const void *b)
{
    const struct bucket *x = a, *y = b;
    return (x->upper > y->upper) - (x->upper < y->upper);
}

// Buckets with the same bound become one.
static size_t coalesce(struct bucket *b, size_t n)
{
    size_t kept = 0;
    for (size_t i = 1; i < n; i++) {
        if (b[i].upper == b[kept].upper)
            b[kept].count += b[i].count;
        else
            b[++kept] = b[i];
    }
    return kept + 1;
}

static bool almost_equal(double a, double b)
{
    if (isnan(a) && isnan(b))
        return true;
    double sum = fabs(a) + fabs(b), difference = fabs(a - b);
    if (a == 0 || b == 0 || sum < DBL_MIN)
        return difference < TOLERANCE * DBL_MIN;
    return difference / fmin(sum, DBL_MAX) < TOLERANCE;
}

static void make_monotonic(struct bucket *b, size_t n, struct buckets_forced *forced)
{
    double before = b[0].count;
    *forced = (struct buckets_forced){.min_upper = INFINITY, .max_upper = -INFINITY};
    for (size_t i = 1; i < n; i++) {
        double count = b[i].count;
        if (count == before)
            continue;
        if (almost_equal(before, count)) {
            b[i].count = before;
        } else if (count < before) {
            b[i].count = before;
            forced->any = true;
            forced->min_upper = fmin(forced->min_upper, b[i].upper);
            forced->max_upper = fmax(forced->max_upper, b[i].upper);
            forced->max_difference = fmax(forced->max_difference, before - count);
        } else {
            before = count;
        }
    }
}

// The first bucket, but for the last one, that reaches the rank.
static size_t reached(const struct bucket *b, size_t n, double rank)
{
    size_t low = 0, high = n - 1;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (b[mid].count >= rank)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

// Sorted, each bound once. False: the last one is not +Inf, so it is no histogram.
static bool prepare(struct bucket *b, size_t *n)
{
    qsort(b, *n, sizeof(*b), compare);
    if (!(isinf(b[*n - 1].upper) && b[*n - 1].upper > 0))
        return false;
    *n = coalesce(b, *n);
    return true;
}

double buckets_quantile(double phi, struct bucket *b, size_t n, struct buckets_forced *forced)
{
    *forced = (struct buckets_forced){0};
    if (isnan(phi))
        return NAN;
    if (phi < 0 || phi > 1)
        return phi < 0 ? -INFINITY : INFINITY;
    if (!prepare(b, &n))
        return NAN;
    make_monotonic(b, n, forced);
    double all = b[n - 1].count, rank = phi * all;
    if (n < 2 || all == 0)
        return NAN;
    size_t i = reached(b, n, rank);
    if (i == n - 1)
        return b[n - 2].upper;
    if (i == 0 && b[0].upper <= 0)
        return b[0].upper;
    double lower = i > 0 ? b[i - 1].upper : 0, below = i > 0 ? b[i - 1].count : 0;
    return lower + (b[i].upper - lower) * ((rank - below) / (b[i].count - below));
}

// How many values are below the bound. A bucket without an end on one side is not split.
static double rank_of(double bound, const struct bucket *b, size_t n)
{
    double lower = b[0].upper <= 0 ? -INFINITY : 0, below = 0;
    for (size_t i = 0; i < n; i++) {
        if (lower >= bound)
            return below;
        if (b[i].upper > bound)
            return isinf(lower)
                       ? b[i].count
                       : below + (b[i].count - below) * (bound - lower) / (b[i].upper - lower);
        lower = b[i].upper;
        below = b[i].count;
    }
    return b[n - 1].count;
}

double buckets_fraction(double lower, double upper, struct bucket *b, size_t n)
{
    if (!prepare(b, &n))
        return NAN;
    double all = b[n - 1].count;
    if (all == 0 || isnan(lower) || isnan(upper))
        return NAN;
    if (lower >= upper)
        return 0;
    return (fmin(rank_of(upper, b, n), all) - fmin(rank_of(lower, b, n), all)) / all;
}
