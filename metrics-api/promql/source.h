// SPDX-License-Identifier: Apache-2.0
// Where series come from: the seam between the evaluator, which waits for nobody, and whoever reads
// rows. A query says beforehand what it selects; the caller brings it, and the evaluator begins.
#ifndef STREAMLENS_PROMQL_SOURCE_H
#define STREAMLENS_PROMQL_SOURCE_H

#include "metrics-api/promql/matcher.h"

// What is asked for. Selectors that match the same are one select, its range that of them all.
struct promql_select {
    const struct matcher *matchers; // all must hold (matchers_match()); good as long as the query
    size_t matcher_count;
    int64_t from_ms, to_ms; // of the samples that can matter, both included
    // Only promql_quantiles()[quantile] needs it, so that nothing need be brought if that one is
    // answered otherwise; SIZE_MAX: others need it too.
    size_t quantile;
};

// The NaN that says that a series ended here (Prometheus' staleness marker). It is also what
// promql_result and the evaluator have where there is no value.
#define PROMQL_STALE_BITS UINT64_C(0x7ff0000000000002)

static inline double promql_stale(void)
{
    uint64_t bits = PROMQL_STALE_BITS;
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static inline bool promql_is_stale(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits == PROMQL_STALE_BITS;
}

// A series with its samples: times rising strictly. Samples outside the asked range do no harm.
struct promql_series {
    struct labels labels; // with __name__
    const int64_t *t_ms;
    const double *v;
    size_t n;
};

// What was selected, sorted by labels_compare(), each list of labels once. All of it is borrowed
// for the time of promql_eval(); labels for as long as the result.
struct promql_series_set {
    const struct promql_series *v;
    size_t n;
};

#endif
