// SPDX-License-Identifier: Apache-2.0
// Which rows are published next, and reading them; inside the publisher's transaction.
#ifndef STREAMLENS_PUBLISH_ROWS_PG_H
#define STREAMLENS_PUBLISH_ROWS_PG_H

#include "processor/db_pg.h"
#include "processor/publish_store.h"

// A row of llm_minute that is sent under a sequence, and what is noted of it.
struct publish_pick {
    int64_t window_us, series_id, seq;
    int64_t revision, settled, events;
    int64_t due_ms; // see struct publish_record
};
struct publish_picks {
    struct publish_pick *v; // owned; ascending by seq
    size_t n, cap;
};
void publish_picks_free(struct publish_picks *p);

// Whether there may be any. Locks nothing.
enum store_result publish_rows_any_due(struct db *db, const struct publish_rule *rule,
                                       int64_t now_ms, bool *any, struct err *e) MUST_CHECK;
// Those that are due, at most batch_rows of the oldest windows, under sequences from first_seq on.
// Their windows are locked until the transaction's end, and noted as looked through. *more: there
// are others.
enum store_result publish_rows_due(struct db *db, const struct publish_rule *rule, int64_t now_ms,
                                   int64_t first_seq, struct publish_picks *out, bool *more,
                                   struct err *e) MUST_CHECK;
// Those of the newest batch that have this sequence or a later one.
enum store_result publish_rows_sequenced(struct db *db, int64_t from_seq, struct publish_picks *out,
                                         struct err *e) MUST_CHECK;
// Notes that they are published, and reads them into the batch.
enum store_result publish_rows_take(struct db *db, const struct publish_picks *picks,
                                    int64_t now_ms, struct publish_batch *out,
                                    struct err *e) MUST_CHECK;

#endif
