// SPDX-License-Identifier: Apache-2.0
// What is kept of corrections of the past (llm_reprice), and what they need to know of the tables.
#ifndef STREAMLENS_ADMIN_REPRICE_PG_H
#define STREAMLENS_ADMIN_REPRICE_PG_H

#include "deploy/admin/db_pg.h"
#include "deploy/admin/reprice/reprice_scope.h"
#include "deploy/admin/reprice/reprice_show.h"

// One that is under way.
struct reprice_run {
    int64_t id, created_us;
    bool goes_on; // begun before, and ended in the middle
    int64_t next_hour_us, done_series;
};

// What is not kept yet. Where it is: hours before next_hour are done, in that one series up to
// done_series.
struct reprice_progress {
    int64_t next_hour_us, done_series;
    struct reprice_counts more;
};

// Instants from which rows of minutes and of hours are kept; INT64_MIN: from ever.
int reprice_kept(struct db *db, int64_t *minutes_from_us, int64_t *hours_from_us,
                 struct err *e) MUST_CHECK;

// What the costs of rows of minutes add up to as they stand there; of those that name no version
// newer than the request's. names: only rows with a line that bears one; NULL: all.
int reprice_stored_cost(struct db *db, const struct reprice_request *r,
                        const struct reprice_names *names, money *out, struct err *e) MUST_CHECK;

// Goes on with the same request where one was ended in the middle, else notes a new one.
int reprice_begin(struct db *db, const struct reprice_request *r, int64_t first_hour_us,
                  struct reprice_run *out, struct err *e) MUST_CHECK;
// Adds what was done, in the caller's transaction where one is open.
int reprice_save(struct db *db, int64_t id, const struct reprice_progress *p,
                 struct err *e) MUST_CHECK;
// It is over. *out: all that it did, also before it was ended in the middle.
int reprice_finish(struct db *db, int64_t id, const struct reprice_progress *p,
                   struct reprice_counts *out, struct err *e) MUST_CHECK;

// The newest first, at most `most`. Free with reprice_records_free.
int reprice_list(struct db *db, int64_t most, struct reprice_record **out, size_t *n,
                 struct err *e) MUST_CHECK;
void reprice_records_free(struct reprice_record *v, size_t n);

#endif
