// SPDX-License-Identifier: Apache-2.0
// How durations are spread, in few buckets. Pure.
//
// The buckets' upper borders are those of HdrHistogram buckets, so each count is exact: half
// octaves, 2^k − 1 and 3·2^k − 1 µs, inclusive as `le` of a Prometheus histogram (all durations are
// whole µs). What is above the last one, 3·2^30 − 1 µs (54 minutes), is in the bucket +Inf, and
// with it the values above HIST_MAX_US, of which no histogram says more.
#ifndef STREAMLENS_HEATMAP_H
#define STREAMLENS_HEATMAP_H

#include "common/core/hist.h"

#define HEATMAP_BORDERS_MAX 63
struct heatmap {
    int64_t le_us[HEATMAP_BORDERS_MAX]; // ascending
    size_t n;
};

// The borders that tell the values of `all` (the sum of what will be counted) apart: from that of
// its lowest value to that of its highest one; none where it is empty.
void heatmap_borders(const struct hist *all, struct heatmap *out);

// How many values of h are in each bucket: counts[i] at most le_us[i] and above the one before,
// counts[n] above all. So they sum up to h->total.
void heatmap_count(const struct heatmap *m, const struct hist *h,
                   int64_t counts[HEATMAP_BORDERS_MAX + 1]);

#endif
