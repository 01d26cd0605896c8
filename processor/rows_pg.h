// SPDX-License-Identifier: Apache-2.0
// Adding deltas to the rows of llm_minute and llm_hour, inside the caller's transaction, and what
// they cost.
#ifndef STREAMLENS_ROWS_PG_H
#define STREAMLENS_ROWS_PG_H

#include "processor/db_pg.h"
#include "processor/prices_pg.h"
#include "processor/row_pg.h"

// A delta by its row. Several may name the same row.
struct row_delta {
    struct row_key key;
    struct str tenant;         // of the series; borrowed
    const struct facts *facts; // borrowed
};

struct rows {
    struct db *db;             // borrowed
    struct prices *prices;     // borrowed
    Oid usage_type;            // set by rows_prepare: what llm_usage is to this database
    struct kept_rows *kept;    // owned: what the flush before wrote
    int64_t unpriced_requests; // set by rows_write: by how many those of the minutes rose
};

// Once a connection: the temporary tables.
enum store_result rows_prepare(struct rows *rows, struct err *e) MUST_CHECK;

// Adds the deltas, sorted by series and window (rows_sort), to both tables: reads the rows that are
// there, merges, prices, writes back; new minutes get their row of llm_publish. The windows of the
// deltas are left as hours.
enum store_result rows_write(struct rows *rows, struct row_delta *deltas, size_t n,
                             struct err *e) MUST_CHECK;
// Forgets what was kept: where another has flushed since, where what was written is rolled back,
// and at the end.
void rows_forget(struct rows *rows);
void rows_sort(struct row_delta *deltas, size_t n);

#endif
