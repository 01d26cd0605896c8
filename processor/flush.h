// SPDX-License-Identifier: Apache-2.0
// One flush (DESIGN 4, rule 4) as a state machine over the seams store.h and emit.h: one effect a
// step, so that a simulator can interleave and crash between any two.
//
//     BEGIN     transaction open, fence passed
//     LETTERS   dead letters handed in and acknowledged
//     WRITE     rows and positions written
//     COMMIT    asked to commit
//     RESOLVE   the answer to COMMIT was lost: ask what became of it
#ifndef STREAMLENS_FLUSH_H
#define STREAMLENS_FLUSH_H

#include "processor/emit.h"
#include "processor/store.h"
#include "processor/task.h"

enum flush_state {
    FLUSH_IDLE,
    FLUSH_BEGIN,
    FLUSH_LETTERS,
    FLUSH_WRITE,
    FLUSH_COMMIT,
    FLUSH_RESOLVE,
};

enum flush_result {
    FLUSH_AGAIN,  // one effect done, the next step can follow at once
    FLUSH_WAIT,   // something is away: step again later, with the same deltas
    FLUSH_DONE,   // committed
    FLUSH_FENCED, // void: drop every task
    FLUSH_FATAL,  // will not mend by itself
};

struct flush {
    enum flush_state state;
    struct store_flush batch;
    struct store_partition *partitions; // owned, behind batch
    struct store_cell *cells;           // owned, behind batch
    struct task **tasks;                // owned array of borrowed tasks, as partitions
    size_t letter_task, letter_next;    // the next dead letter to hand in
};

// One task with what the database knows of its ownership.
struct flush_member {
    struct task *task;
    int64_t epoch, flush_seq;
    struct log_gap gap[2]; // to be noted with it
};

// Starts one over the members, which are sorted by partition and all live, and the deltas that they
// have counted. Nothing may be fed to them until the flush is over.
void flush_start(struct flush *f, const struct flush_member *members, size_t n,
                 struct window_table *deltas);
enum flush_result flush_step(struct flush *f, struct store *store, struct emit *emit,
                             struct processor_stats *stats, struct err *e) MUST_CHECK;
void flush_clear(struct flush *f); // back to FLUSH_IDLE, whatever the state; frees

#endif
