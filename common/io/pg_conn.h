// SPDX-License-Identifier: Apache-2.0
// What connections to PostgreSQL on an event loop have in common: how they begin, and how libpq's
// messages become errors.
#ifndef STREAMLENS_PG_CONN_H
#define STREAMLENS_PG_CONN_H

#include "common/core/err.h"

#include <libpq-fe.h>

// How long to wait before an attempt to connect after one that failed: doubled each time.
#define PG_BACKOFF_MIN_US INT64_C(50000)
#define PG_BACKOFF_MAX_US INT64_C(1000000)

// Whether libpq understands the DSN (URI or key=value). The error never quotes it.
int pg_dsn_check(const char *dsn, struct err *e) MUST_CHECK;

// Begins to connect, to be gone on with by PQconnectPoll(). A peer that is gone is noticed by TCP
// within seconds (what the DSN says goes before), notices are dropped, and error messages carry the
// SQLSTATE. NULL or CONNECTION_BAD where it failed at once; to be ended by PQfinish() in any case.
// Host names other than those in /etc/hosts are resolved by libpq while the caller waits.
PGconn *pg_connect_start(const char *dsn, const char *application_name);

// "what: text", libpq's text on one line, without the LOCATION lines that verbose errors carry.
void pg_err(struct err *e, const char *what, const char *text);

bool pg_result_ok(const PGresult *r);              // NULL is not
const char *pg_result_sqlstate(const PGresult *r); // "" where there is none

#endif
