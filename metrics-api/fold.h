// SPDX-License-Identifier: Apache-2.0
// Rows of minutes and hours summed into cells, one a group and step. Histograms are merged, so any
// percentile of any group is that of all its values. Pure.
//
// Rows may come in any order. Of the cells only those are kept that can be among the first `limit`
// in the answer's order (the steps by time, ascending or descending; in a step the groups by
// tenant_id, route, model, bytewise), so memory is that of the answer and not of the range.
#ifndef STREAMLENS_FOLD_H
#define STREAMLENS_FOLD_H

#include "common/core/err.h"
#include "common/core/fact_row.h"
#include "common/core/hash.h"
#include "common/core/hist.h"
#include "metrics-api/fields.h"
#include "metrics-api/steps.h"

// Names in a cell's error_classes and finish_reasons: as in a stored row
// (common/core/name_counts.h).

// A group and a step: where a page ended.
struct fold_place {
    int64_t start_us;
    struct str tenant_id, route, model; // p NULL: not grouped by
};
int fold_place_compare(const struct fold_place *a, const struct fold_place *b, bool ascending);

struct fold_spec {
    struct steps steps; // borrows what that borrows
    bool ascending;
    size_t limit;                         // cells; > 0
    const struct fold_place *after;       // only cells behind it; NULL: all. Copied.
    size_t max_bytes;                     // of memory, about
    const struct percentile *percentiles; // beyond the stored ones; borrowed
    size_t percentile_count;              // up to PERCENTILES_MAX
    bool histograms;                      // cells come with them
    const struct hash_key *hash_key;      // borrowed: names are strangers'
};

struct fold;
struct fold *fold_new(const struct fold_spec *spec);
void fold_free(struct fold *f);

// Adds a row to the cell of its names and window_start_us, which lies in the range. Everything is
// copied. -1: a histogram or an object cannot be understood (e.field names the column), or
// max_bytes would be passed (e.field ""); what is left to do then is fold_free().
int fold_add(struct fold *f, const struct fact_row *row, struct err *e) MUST_CHECK;
size_t fold_bytes(const struct fold *f);

// The cells in order, to be called once after the last row. A cell's row has all that can be
// summed, its latency_us and ttft_us from the merged histograms (-1 where they are empty); its
// strings are good as long as f. Not filled: publish_seq, late, complete, lossy, closed.
struct cell {
    struct fact_row row;
    const double *latency_ms, *ttft_ms; // of spec.percentiles, NAN where nothing was measured
    const struct hist *latency, *ttft;  // merged; NULL without spec.histograms
};
size_t fold_finish(struct fold *f, const struct cell **cells);
// Whether there was another cell behind the last one.
bool fold_more(const struct fold *f);

#endif
