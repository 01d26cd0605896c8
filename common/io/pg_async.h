// SPDX-License-Identifier: Apache-2.0
// A pool of non-blocking PostgreSQL connections on one event loop, for short statements.
//
// Statements are prepared once a connection, planned once (plans must not depend on the parameters'
// values), run with text parameters and answered in PostgreSQL's binary forms. A query takes an
// idle connection or waits in a bounded queue; its deadline counts from pg_pool_query(). The server
// gets the same bound as statement_timeout, and looks every PG_CLIENT_CHECK_MS whether we are still
// there, so that closing a connection ends what it was running.
//
// PostgreSQL away: what waits fails as soon as a connection attempt has failed and none is up, and
// so does every query after that, at once, until an attempt succeeds. One attempt at a time probes,
// 100 ms to 1 s apart.
//
// It does not: transactions, COPY, notifications, retries. Host names other than those in
// /etc/hosts are resolved by libpq while the loop waits: give `hostaddr` in the DSN where DNS may
// be slow.
#ifndef STREAMLENS_PG_ASYNC_H
#define STREAMLENS_PG_ASYNC_H

#include "common/core/err.h"

#include <event2/event.h>
#include <libpq-fe.h>

#define PG_CLIENT_CHECK_MS 500

struct pg_statement {
    const char *name, *sql;
    int params;
    bool text; // its results come in PostgreSQL's text forms instead
};

enum pg_status {
    PG_OK,
    PG_UNAVAILABLE, // no connection, or it broke before the result was there
    PG_BUSY,        // the queue was full
    PG_TIMEOUT,     // the deadline passed
    PG_FAILED,      // the server refused the statement; the error says why
    PG_STOPPED,     // by on_row; e says nothing
};

// What a look at the connection says before it is used; see pg_pool_options.
enum pg_state {
    PG_STATE_AWAY,     // not to be reached; tried again by itself
    PG_STATE_UNUSABLE, // reached, and of no use: credentials, database, schema; tried again as well
    PG_STATE_UP,       // at least one connection serves
};

struct pg_pool_options {
    const char *dsn; // URI or key=value; copied
    const char *application_name;
    int size;      // connections
    int queue_max; // queries waiting for one
    int64_t query_timeout_us, connect_timeout_us;
    bool writes;                           // false: sessions are read-only
    const char *session_sql;               // what else each session is set to; NULL: nothing
    const struct pg_statement *statements; // borrowed for the pool's life
    size_t statement_count;
    // Run on each new connection before statements are prepared; check_result returns -1 where the
    // database is of no use. NULL: nothing to check.
    const char *check_sql;
    int (*check_result)(const PGresult *r, struct err *e);
    // Called when the state or the reason for it has changed.
    void (*on_state)(void *arg, enum pg_state state, const struct err *e);
    void *arg;
    struct pg_stats *stats; // borrowed; see pg_async_stats.h
};

struct pg_pool;
// Starts connecting at once. NULL where the DSN cannot be understood.
struct pg_pool *pg_pool_new(struct event_base *base, const struct pg_pool_options *o,
                            struct err *e);
// Closes all; queries still there end with PG_UNAVAILABLE from within this call.
void pg_pool_free(struct pg_pool *p);

bool pg_pool_up(const struct pg_pool *p); // a connection is there (it may be busy)

// Called once a query, never from within pg_pool_query(). r is borrowed and not NULL with PG_OK
// only.
typedef void (*pg_done)(void *arg, enum pg_status status, const PGresult *r, const struct err *e);

// One statement with text parameters, copied; NULL is SQL's NULL. The handle is good until done is
// called or pg_query_cancel().
struct pg_query;
struct pg_query *pg_pool_query(struct pg_pool *p, size_t statement, const char *const *params,
                               pg_done done, void *arg);
// The same where the whole result would be too large to wait for: on_row gets each row as it comes
// (r holds one, is borrowed, and good until it returns), and done a result without rows. A few rows
// a turn of the loop; meanwhile the server waits. An error may come after rows. on_row returns -1
// to end it: done gets PG_STOPPED.
typedef int (*pg_row)(void *arg, const PGresult *r);
struct pg_query *pg_pool_stream(struct pg_pool *p, size_t statement, const char *const *params,
                                pg_row on_row, pg_done done, void *arg);
// Nobody waits for it any more: done is not called. One that waits is taken from the queue; one
// that runs is given a moment to end by itself, then its connection is closed and replaced.
void pg_query_cancel(struct pg_query *q);

#endif
