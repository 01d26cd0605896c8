// SPDX-License-Identifier: Apache-2.0
// One row of llm_minute or llm_hour: how it is read and written, and the statements that name its
// columns.
#ifndef STREAMLENS_ROW_PG_H
#define STREAMLENS_ROW_PG_H

#include "common/core/price.h"
#include "processor/db_pg.h"
#include "processor/facts.h"

struct row_key {
    int64_t series_id, window_start_us;
};
static inline int row_key_compare(const struct row_key *a, const struct row_key *b)
{
    if (a->series_id != b->series_id)
        return a->series_id < b->series_id ? -1 : 1;
    return (a->window_start_us > b->window_start_us) - (a->window_start_us < b->window_start_us);
}

// The two tables differ in name and in how long a window is.
struct row_table {
    int64_t window_us;
    // Of the keys $1 and $2, in their order, those rows that are there: ROW_COLUMN_... first. $3
    // and $4: the bounds of the keys' windows.
    const char *read;
    const char *create; // COPY of rows that are not there
    // COPY of rows that are, into a temporary table; from there to where they stand, where they
    // are of the revision before: tells how many were; and emptying it.
    const char *copy, *update, *empty;
};
extern const struct row_table row_minute, row_hour;
enum { ROW_COLUMN_SERIES, ROW_COLUMN_WINDOW, ROW_COLUMN_REVISION, ROW_COLUMN_PRICE_VERSION };

// Once a connection: makes the temporary tables. Tells what llm_usage is to this database.
enum store_result row_prepare(struct db *db, Oid *usage_type, struct err *e) MUST_CHECK;

struct row {
    int64_t revision; // 0: it is not there yet
    int64_t price_version;
    struct cost cost;
    struct facts facts;
};

// Of what `read` answers; or of what row_write() wrote. Adds to a row that is empty.
int row_of_result(const PGresult *r, int at, const struct row_key *key, struct row *row,
                  struct err *e) MUST_CHECK;
int row_of_copy(const char *bytes, const struct row_key *key, struct row *row,
                struct err *e) MUST_CHECK;
// Appends what `create` and `copy` take.
void row_write(struct buf *b, Oid usage_type, const struct row_key *key, const struct row *row);

#endif
