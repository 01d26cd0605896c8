// SPDX-License-Identifier: Apache-2.0
// Hours as minutes, as if what an hour counted had come evenly: where minutes have been dropped, or
// are more than can be read. Pure.
//
// Of a count v minute k (from 0) has ⌊v(k+1)/60⌋ - ⌊vk/60⌋, so the minutes sum to the hour, and
// sums over whole hours are exact. Each has the hour's maxima; and the hour's histogram, whole, so
// that percentiles, but no counts of buckets, can be made of them.
#ifndef STREAMLENS_PROMETHEUS_SPREAD_H
#define STREAMLENS_PROMETHEUS_SPREAD_H

#include "metrics-api/prometheus/metric.h"
#include "metrics-api/promql/arena.h"

// Blocks of minutes, ascending, of the hours in [from_us, to_us), both whole hours; how many. All
// is in the arena but histograms, which are the hours'. Of SUMS and COSTS only the metric's columns
// are there. hours: ascending, of its group.
size_t spread_hours(const struct metric *m, const struct facts_block *const *hours, size_t n,
                    int64_t from_us, int64_t to_us, struct arena *a,
                    const struct facts_block ***blocks);

#endif
