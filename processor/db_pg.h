// SPDX-License-Identifier: Apache-2.0
// The store's one connection: libpq without blocking, every wait bounded by the deadline of the
// call it belongs to. Results come as enum store_result, so that callers pass them on.
//
// A lost connection is closed at once and made again by the next db_open(), at most every 100 ms to
// 2 s. Whatever the lost backend may still hold is ended first: its pid and start are remembered.
//
// A lock is waited for timeout_ms / 4 (STORE_RETRY, 55P03), a statement lasts 3/4 of it, and a
// transaction whose client is silent for a quarter is over. So nobody waits much longer than
// timeout_ms for what a stopped client holds.
#ifndef STREAMLENS_DB_PG_H
#define STREAMLENS_DB_PG_H

#include "common/io/pg_binary.h"
#include "processor/store.h"

struct db;
// dsn is borrowed. timeout_ms: from db_begin_call() to whatever is waited for.
struct db *db_new(const char *dsn, int64_t timeout_ms, void (*idle)(void *), void *arg);
void db_free(struct db *db);
bool db_is_open(const struct db *db);
// How many it has had so far, which tells them apart: between two of them the database may have
// been set back to an older state.
int64_t db_connections(const struct db *db);

// The deadline of everything up to the next db_begin_call().
void db_begin_call(struct db *db);
// STORE_OK: connected, the schema is one that this build may write to. *fresh: the connection is
// another than at the last STORE_OK.
enum store_result db_open(struct db *db, bool *fresh, struct err *e) MUST_CHECK;
void db_close(struct db *db);

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
// After a wait for a lock was too long: ends the backends of processors that have left their server
// waiting for longer than any statement may take. Outside a transaction.
void db_end_silent(struct db *db);
// Whether the last failure was of this SQLSTATE.
bool db_failed_with(const struct db *db, const char *sqlstate);

#endif
