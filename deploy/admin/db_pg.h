// SPDX-License-Identifier: Apache-2.0
// A connection to the database for one command, and statements whose errors are one sentence.
#ifndef STREAMLENS_ADMIN_DB_PG_H
#define STREAMLENS_ADMIN_DB_PG_H

#include "common/core/config.h"
#include "common/io/pg_binary.h"

struct db {
    PGconn *conn;
    char sqlstate[6]; // of the last failure, "" where the server gave none
};

// Connects to POSTGRES_DSN, which the error names. NOTICEs are printed. NULL with an error.
struct db *db_open(const struct config *c, struct err *e) MUST_CHECK;
// The same, and the schema has all tables that this program knows; else the error says what to run.
struct db *db_open_set_up(const struct config *c, struct err *e) MUST_CHECK;
// Held until db_close: of retention, deletions and corrections one runs at a time, the second is
// refused.
int db_lock_maintenance(struct db *db, struct err *e) MUST_CHECK;
// Refuses a tenant of whom no row was ever counted; NULL is all, and fine. e->field is --tenant.
int db_check_tenant(struct db *db, const char *tenant, struct err *e) MUST_CHECK;
void db_close(struct db *db); // what was not committed is undone

// `doing` begins the error. NULL where the server refused; else a result to be cleared. Parameters
// and results are text.
PGresult *db_query(struct db *db, const char *doing, const char *sql, int n,
                   const char *const *params, struct err *e) MUST_CHECK;
// The same for one statement without a result, or several without parameters.
int db_run(struct db *db, const char *doing, const char *sql, int n, const char *const *params,
           struct err *e) MUST_CHECK;
int db_exec(struct db *db, const char *doing, const char *sql, struct err *e) MUST_CHECK;
// As db_query, with parameters and result in binary form.
PGresult *db_query_binary(struct db *db, const char *doing, const char *sql,
                          const struct db_params *params, struct err *e) MUST_CHECK;

// The same where the result may be too large to hold: each row as it comes, r holding that one, and
// borrowed. on_row returns -1, with an error, to end it. As a statement may fail after rows, these
// count only once 0 is returned.
int db_each(struct db *db, const char *doing, const char *sql, int n, const char *const *params,
            int (*on_row)(void *arg, const PGresult *r, struct err *e), void *arg,
            struct err *e) MUST_CHECK;

// Whether the last failure was of this SQLSTATE.
bool db_failed_with(const struct db *db, const char *sqlstate);

// A cell of a result that is known to be a whole number.
int64_t db_int(const PGresult *r, int row, int column);
// An instant selected as DB_US("expression"), NULL as `null_us`.
#define DB_US(expression) "(extract(epoch FROM " expression ") * 1000000)::bigint"
int64_t db_us(const PGresult *r, int row, int column, int64_t null_us);

#endif
