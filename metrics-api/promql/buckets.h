// SPDX-License-Identifier: Apache-2.0
// Quantiles and fractions of a histogram of cumulative buckets, as Prometheus guesses them: within
// a bucket values are taken to be spread evenly.
#ifndef STREAMLENS_PROMQL_BUCKETS_H
#define STREAMLENS_PROMQL_BUCKETS_H

#include "common/core/base.h"

struct bucket {
    double upper; // not NaN
    double count; // of all values up to it
};

// Counts that fell, where more was corrected than rounding explains.
struct buckets_forced {
    bool any;
    double min_upper, max_upper, max_difference;
};

// n >= 1 buckets in any order, which are sorted and changed.
double buckets_quantile(double phi, struct bucket *buckets, size_t n,
                        struct buckets_forced *forced);

// Which part of the values lies between two bounds.
double buckets_fraction(double lower, double upper, struct bucket *buckets, size_t n);

#endif
