// SPDX-License-Identifier: Apache-2.0
// The windows that wait to be closed, in the database (rules 6 and 7).
#ifndef STREAMLENS_CLOSING_PG_H
#define STREAMLENS_CLOSING_PG_H

#include "processor/db_pg.h"

// store_closing.
enum store_result closing_read(struct db *db, int64_t now_ms, int64_t grace_ms,
                               struct store_closing *out, struct err *e) MUST_CHECK;

// What becomes of a window. Times that are INT64_MIN stay as they are.
struct closing_change {
    int64_t start_us, held_since_us, closed_at_us;
    int64_t complete; // 0 or 1
};
// The oldest of those that a verdict changes something of.
#define CLOSING_BATCH 1000
struct closing_changes {
    // What streamlens_publisher.closed_through rises to: the greatest whole minute that all
    // partitions have passed by the grace, but not beyond a window that a later batch completes.
    // INT64_MIN: it stays as it is.
    int64_t through_us;
    size_t n;
    struct closing_change v[CLOSING_BATCH];
};
enum store_result closing_find(struct db *db, const struct closing_rule *rule, int64_t now_ms,
                               struct closing_changes *out, struct err *e) MUST_CHECK;
// Whether there is anything to write.
static inline bool closing_any(const struct closing_changes *c)
{
    return c->n > 0 || c->through_us != INT64_MIN;
}
// Inside the caller's transaction, which holds off other publishers. Whoever listens hears of it.
enum store_result closing_write(struct db *db, const struct closing_changes *changes,
                                struct err *e) MUST_CHECK;

#endif
