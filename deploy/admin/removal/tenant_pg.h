// SPDX-License-Identifier: Apache-2.0
// Deleting a tenant in steps of bounded length. After any of them it may be begun anew.
#ifndef STREAMLENS_ADMIN_TENANT_PG_H
#define STREAMLENS_ADMIN_TENANT_PG_H

#include "deploy/admin/db_pg.h"

#define TENANT_COUNT_MAX 100000 // rows are counted no further

struct tenant_counts {
    int64_t keys, limits;
    int64_t series, left_series; // left: of a deletion that was not finished
    int64_t minutes, hours;      // rows, at most TENANT_COUNT_MAX + 1
    int64_t cards;               // of the price catalogue
};
int tenant_count(struct db *db, const char *tenant, struct tenant_counts *out,
                 struct err *e) MUST_CHECK;

// What lets events of the tenant in.
int tenant_remove_access(struct db *db, const char *tenant, struct err *e) MUST_CHECK;
// Takes some of its series away, for everybody at once: nobody sees their rows any more, and no
// flush writes to them. Flushes wait meanwhile. There are no more once *taken is below the most.
#define TENANT_TAKE_SERIES 10000
int tenant_take_series(struct db *db, const char *tenant, int64_t *taken, struct err *e) MUST_CHECK;

struct tenant_rows {
    int64_t minutes, published, hours;
};
// Deletes the rows of series that were taken away, now or before. Adds to *out what is committed,
// after an error too.
int tenant_delete_rows(struct db *db, const char *tenant, struct tenant_rows *out,
                       struct err *e) MUST_CHECK;

#endif
