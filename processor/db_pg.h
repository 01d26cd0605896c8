// SPDX-License-Identifier: Apache-2.0
// The store's one connection: libpq without blocking, every wait bounded by the deadline of the
// call it belongs to. Results come as enum store_result, so that callers pass them on.
//
// A lost connection is closed at once and made again by the next db_open(), at most every 100 ms to
// 2 s. Whatever the lost backend may still hold is ended first: its pid and start are remembered.
#ifndef STREAMLENS_DB_PG_H
#define STREAMLENS_DB_PG_H

#include <libpq-fe.h>

#include "common/core/buf.h"
#include "processor/store.h"

#define DB_PARAMS_MAX 16

struct db;
// dsn is borrowed. timeout_ms: from db_begin_call() to whatever is waited for.
struct db *db_new(const char *dsn, int64_t timeout_ms, void (*idle)(void *), void *arg);
void db_free(struct db *db);
bool db_is_open(const struct db *db);

// The deadline of everything up to the next db_begin_call().
void db_begin_call(struct db *db);
// STORE_OK: connected, the schema is one that this build may write to. *fresh: the connection is
// another than at the last STORE_OK.
enum store_result db_open(struct db *db, bool *fresh, struct err *e) MUST_CHECK;
void db_close(struct db *db);

// Parameters in binary form. Zero-initialise; db_params_free() at the end. INT64_MIN is NULL.
struct db_params {
    int n;
    Oid types[DB_PARAMS_MAX];
    struct buf values[DB_PARAMS_MAX]; // owned
    bool null[DB_PARAMS_MAX];
};
void db_params_free(struct db_params *p);
void db_param_i64(struct db_params *p, int64_t value);
void db_param_time(struct db_params *p, int64_t wall_us); // timestamptz
// n elements, each stride bytes after the one before.
void db_param_i64s(struct db_params *p, const int64_t *first, size_t n, size_t stride);
void db_param_times(struct db_params *p, const int64_t *first_wall_us, size_t n, size_t stride);
void db_param_texts(struct db_params *p, const struct str *first, size_t n, size_t stride);

// Several statements in one string: text results, the last one's in *out (NULL where not wanted).
// After anything but STORE_OK the transaction, if there was one, is over.
enum store_result db_exec(struct db *db, const char *sql, PGresult **out, struct err *e) MUST_CHECK;
// One statement, binary results. params may be NULL.
enum store_result db_query(struct db *db, const char *sql, const struct db_params *params,
                           PGresult **out, struct err *e) MUST_CHECK;
// COPY … FROM STDIN (FORMAT binary): begin, put any number of times (data is whole fields, see
// db_copy_row), end.
enum store_result db_copy_begin(struct db *db, const char *sql, struct err *e) MUST_CHECK;
enum store_result db_copy_put(struct db *db, const struct buf *data, struct err *e) MUST_CHECK;
enum store_result db_copy_end(struct db *db, struct err *e) MUST_CHECK;
// STORE_UNKNOWN where the answer did not arrive: the connection is closed then.
enum store_result db_commit(struct db *db, struct err *e) MUST_CHECK;
void db_rollback(struct db *db);
// Whether the last failure was of this SQLSTATE.
bool db_failed_with(const struct db *db, const char *sqlstate);

// Fields of a binary result.
int64_t db_i64(const PGresult *r, int row, int column);      // int4 and int8; INT64_MIN where NULL
int64_t db_time_us(const PGresult *r, int row, int column);  // timestamptz, since 1970
struct str db_bytes(const PGresult *r, int row, int column); // absent where NULL; into r

// Fields of COPY BINARY.
void db_copy_header(struct buf *b);
void db_copy_row(struct buf *b, int columns);
void db_copy_i64(struct buf *b, int64_t value);
void db_copy_time(struct buf *b, int64_t wall_us);
void db_copy_null(struct buf *b);
// A field of bytes that are appended between the two calls.
size_t db_copy_open(struct buf *b);
void db_copy_close(struct buf *b, size_t opened);

#endif
