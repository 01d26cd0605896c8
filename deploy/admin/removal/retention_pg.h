// SPDX-License-Identifier: Apache-2.0
// What retention does in PostgreSQL. Each step may be done again by whoever comes after one that
// was killed; between steps the database is as readers and processors take it.
#ifndef STREAMLENS_ADMIN_RETENTION_PG_H
#define STREAMLENS_ADMIN_RETENTION_PG_H

#include "deploy/admin/db_pg.h"

// How old the oldest event is that is not counted yet, by the times of the positions; and TTL and
// skew, the longest of all epochs. *uncounted_ms is -1 where a partition has no position yet.
int retention_read_reach(struct db *db, int64_t *uncounted_ms, int64_t *join_ms,
                         struct err *e) MUST_CHECK;

// From where on rows are kept, as RFC 3339: the day and the month that are the given numbers of
// days ago, or later where an earlier retention went further.
struct retention_bounds {
    char minutes_from[32], hours_from[32];
};
int retention_read_bounds(struct db *db, int64_t minute_days, int64_t hour_days,
                          struct retention_bounds *out, struct err *e) MUST_CHECK;
// Tells all readers, which take what lies before as gone from then on.
int retention_raise_bounds(struct db *db, const struct retention_bounds *b,
                           struct err *e) MUST_CHECK;

// A day of llm_minute or llm_publish, or a month of llm_hour, or what is left of one.
struct retention_part {
    char name[64], parent[16];
    char start[16]; // of the parts of one day the same
    int64_t rows;   // estimated; -1 = nobody has counted yet
    int64_t bytes;
};
// Those that lie before the bounds, the oldest first, hours last; of a day llm_publish comes first.
// Caller frees *out.
int retention_list(struct db *db, const struct retention_bounds *b, struct retention_part **out,
                   size_t *count, struct err *e) MUST_CHECK;

// Detaches parts of one start, one after the other, then drops them together. Neither flushes nor
// readers wait for it; it waits for transactions that have begun to use the table before, up to the
// instant of the monotonic clock: then the error says so, and what is detached stays so.
int retention_drop(struct db *db, const struct retention_part *parts, size_t count,
                   int64_t deadline_us, struct err *e) MUST_CHECK;

// How many rows llm_window has before the bound.
int retention_count_windows(struct db *db, const struct retention_bounds *b, int64_t *out,
                            struct err *e) MUST_CHECK;
// Deletes some of them; *deleted is 0 once there are none.
int retention_delete_windows(struct db *db, const struct retention_bounds *b, int64_t *deleted,
                             struct err *e) MUST_CHECK;

#endif
