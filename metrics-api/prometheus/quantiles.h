// SPDX-License-Identifier: Apache-2.0
// histogram_quantile from the histograms themselves (promql.h, percentiles from merged histograms):
// of each group at each step the percentile of all values of the windows that end in
// (t - offset - range, t - offset]. Pure.
#ifndef STREAMLENS_PROMETHEUS_QUANTILES_H
#define STREAMLENS_PROMETHEUS_QUANTILES_H

#include "metrics-api/prometheus/merged.h"
#include "metrics-api/promql/promql.h"

struct quantiles_series {
    struct labels group;    // without __name__ and le; of several series the same
    struct facts_rows rows; // of LATENCY or TTFT; minutes are looked at, all that there are
};
struct quantiles_spec {
    struct promql_when when;
    int64_t range_ms, offset_ms;
    int64_t through_us, kept_from_us; // as in samples.h
};

struct quantiles;
// Borrows the series with their labels and blocks, and the cache, of sums that are kept.
struct quantiles *quantiles_new(const struct quantiles_spec *spec,
                                const struct quantiles_series *series, size_t n,
                                struct merged_cache *merged);
void quantiles_free(struct quantiles *q);
// In seconds; the highest value of the bucket with rank ⌈φ·n⌉ (hist_quantile() without a maximum);
// NaN where there are windows but no value, stale where there are none. Good as long as q.
const struct promql_quantile_answer *quantiles_answer(const struct quantiles *q);

#endif
