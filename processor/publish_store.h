// SPDX-License-Identifier: Apache-2.0
// The publisher's seam to the database (DESIGN 4, rules 7 and 8). Production is publish_pg.c, with
// a connection of its own; the simulator links a fake. Calls block, each for a bounded time.
//
// Every call is one transaction of the owner of partition 0: it begins by locking that position row
// and comparing epoch and token, and is STORE_FENCED, having changed nothing, where they are not
// mine; but close and take, where there is nothing for them to do, may be STORE_OK without. Each
// may be called again whatever became of it, so an answer to COMMIT that is lost is STORE_RETRY
// like any other failure.
//
// What is to be published (sql/README.md): a row of llm_minute whose window is closed, and
//   - that was never published; or
//   - whose revision is another than the published one, and that was last published again_ms ago,
//     or has settled since; or
//   - that is marked `again`: its window became complete, or lossy, or an operator asked for it.
// A row is settled when its window is closed and nothing known of it is in flight.
#ifndef STREAMLENS_PUBLISH_STORE_H
#define STREAMLENS_PUBLISH_STORE_H

#include "common/core/buf.h"
#include "common/core/err.h"
#include "processor/closing.h"
#include "processor/store.h"

struct publish_store;

struct publish_rule {
    struct closing_rule closing;
    int64_t again_ms; // between two publications of a row, unless it settles
    int64_t look_ms;  // a window that was published is looked through for changes no more often
    size_t batch_rows;
};

// One record of llm.metrics. The bytes lie in the batch's buffer.
struct publish_record {
    int64_t seq;
    int64_t time_ms; // the window's end
    int64_t due_ms;  // at the first publication: when its window was closed; else 0
    size_t key_at, key_n, value_at, value_n;
};

struct publish_batch {
    struct publish_record *v; // owned; ascending by seq, without a gap
    size_t n, cap;
    struct buf bytes; // owned
    bool more;        // there are more due, which the next call takes
    // What the call found out of the past, for the log and the counters:
    bool resumed;           // these had been sequenced before, and were not in the log
    int64_t advanced_from;  // not 0: the log is ahead of the database, which was set back to an
                            // older state and knows nothing from this sequence on; the next ones
                            // go on behind the log's
    int64_t missing_before; // not 0: the log lacks sequences below it that had been in it; their
                            // rows are sent again under new ones
};
void publish_batch_clear(struct publish_batch *b); // frees; empty and valid again

// Whether partition 0 is still mine. Changes nothing.
enum store_result publish_store_check(struct publish_store *s, int64_t epoch,
                                      struct err *e) MUST_CHECK;

// Closes the windows that closing_judge says so of, and notes through which window all is closed.
enum store_result publish_store_close(struct publish_store *s, int64_t epoch,
                                      const struct closing_rule *rule, int64_t now_ms,
                                      struct err *e) MUST_CHECK;

// What is to be sent next, given that the log holds everything up to the sequence `progress`:
//   - rows that are sequenced above it already, read afresh and under the same sequences; or else
//   - at most batch_rows rows that are due, the oldest windows first, under the next sequences, as
//     they then are. What was taken counts as published.
// The batch was cleared by the caller; n is 0 where nothing is due.
enum store_result publish_store_take(struct publish_store *s, int64_t epoch, int64_t progress,
                                     const struct publish_rule *rule, int64_t now_ms,
                                     struct publish_batch *out, struct err *e) MUST_CHECK;

#endif
