// SPDX-License-Identifier: Apache-2.0
// Shared by answer_cells*.c alone: a question for sums, and how each endpoint shows them.
#ifndef STREAMLENS_ANSWER_CELLS_H
#define STREAMLENS_ANSWER_CELLS_H

#include "metrics-api/answer_internal.h"

#define CELLS_CHUNKS_MAX 16

// A cell with its state; the rest is borrowed of the folds.
struct shown_cell {
    struct fact_row row;
    const struct cell *cell;
};

struct answering_cells {
    struct answering g;
    int64_t *borders;   // owned; of days of a zone, or of two ranges behind each other
    struct steps steps; // of the whole range
    // The range is read in chunks of whole steps, in the answer's order, until there are as many
    // cells as wanted: what is left of it, and how long the next chunk is.
    int64_t low_us, high_us, chunk_us;
    struct steps chunk;
    struct plan_kept kept; // what the chunk was planned with
    int replanned;
    struct fold *folds[CELLS_CHUNKS_MAX]; // one a chunk, so far
    bool filling;                         // the last of them
    size_t fold_count;
    size_t taken;       // bytes of the finished ones
    size_t counted;     // bytes that the answerer knows of
    struct fold *total; // top, cost: all groups in one
    bool has_before;    // cost: the range before is there to be compared with
    struct shown_cell *cells;
    size_t n, wanted;
    int64_t closed_through_us; // as the first chunk saw it
};

// How an endpoint shows the cells; -1 with g.out.err where it cannot.
int cells_write_metrics(struct answering_cells *s) MUST_CHECK;
int cells_write_top(struct answering_cells *s) MUST_CHECK;
int cells_write_summary(struct answering_cells *s) MUST_CHECK;
int cells_write_cost(struct answering_cells *s) MUST_CHECK;
int cells_write_heatmap(struct answering_cells *s) MUST_CHECK;

#endif
