// SPDX-License-Identifier: Apache-2.0
// Pricing rows anew, a page a transaction: some series in one hour.
#ifndef STREAMLENS_ADMIN_REPRICE_ROWS_PG_H
#define STREAMLENS_ADMIN_REPRICE_ROWS_PG_H

#include "deploy/admin/reprice/reprice_pg.h"

#define REPRICE_PAGE_SERIES 1000 // at most, and
#define REPRICE_PAGE_ROWS 10000  // at most; one series has 60 in an hour

struct reprice_job {
    struct db *db;
    const struct reprice_scope *scope;
    const char *tenant;   // NULL: all
    int64_t id;           // of llm_reprice
    int64_t rows_read;    // so far, also of what did not change
    int64_t rows_changed; // and was committed
};

// What of an hour is meant.
struct reprice_hour {
    int64_t begin_us;
    int64_t from_us, to_us; // minutes that begin in [from, to)
    bool minutes_gone;      // only its hour is there, and is meant as a whole
};

// Once a connection, before the others: how long it waits, and how it is planned.
int reprice_prepare(struct db *db, struct err *e) MUST_CHECK;

// The series behind one, in order, that have a row of that hour: rows of id and tenant, to be
// cleared, for reprice_page. NULL with an error.
PGresult *reprice_series(struct reprice_job *job, int64_t hour_us, int64_t behind,
                         struct err *e) MUST_CHECK;
// Of these series as many from *first on as make a page; *first is then the next one. *p says how
// far that is. Where rows change, all of *p is committed with them, and p->more is zero then; else
// p->more has what was left.
int reprice_page(struct reprice_job *job, const struct reprice_hour *hour, const PGresult *series,
                 int *first, struct reprice_progress *p, struct err *e) MUST_CHECK;

#endif
