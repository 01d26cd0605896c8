// SPDX-License-Identifier: Apache-2.0
// A range beside the one before it, as JSON. Pure; appends to a buffer.
#ifndef STREAMLENS_SUMMARY_H
#define STREAMLENS_SUMMARY_H

#include "metrics-api/fields.h"

// A row, and the percentiles that were asked for. row NULL: nothing is kept of the range.
struct summary_side {
    const struct metrics_row *row;
    const double *latency_ms, *ttft_ms; // NAN where nothing was measured
};

// `"requests":{"now":12,"before":10,"change":0.2},…`, without braces around: each field of `fields`
// that is a measure (numbers, but for price_version, revision, publish_seq and late), then the
// percentiles. change is (now − before) / before: null where before is 0, and where either is null.
void summary_add(struct buf *out, const struct fields *fields, const struct summary_side *now,
                 const struct summary_side *before);

#endif
