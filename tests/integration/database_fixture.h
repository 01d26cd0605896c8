// SPDX-License-Identifier: Apache-2.0
// A database of its own a test, and a connection to look into it.
#ifndef STREAMLENS_TEST_DATABASE_FIXTURE_H
#define STREAMLENS_TEST_DATABASE_FIXTURE_H

#include <libpq-fe.h>

#include "common/core/base.h"

#define FIXTURE_PARTITIONS 4

// False where SL_PG_DSN is not set.
bool fixture_available(void);
// A new database with the schema and its pins; max_series is the cap of series a tenant.
void fixture_open(int64_t max_series);
void fixture_close(void);
// A new database without anything in it.
void fixture_open_empty(void);
const char *fixture_dsn(void);
// The first field of the first row as a number (0 where there is none); fails the test on an error.
int64_t sql_i64(const char *fmt, ...) PRINTF_LIKE(1, 2);
void sql_run(const char *fmt, ...) PRINTF_LIKE(1, 2);
// The first field of the first row, as bytes of a hexadecimal text; caller frees.
char *sql_bytes(size_t *n, const char *fmt, ...) PRINTF_LIKE(2, 3);
// The whole result in binary form; the caller clears it.
PGresult *sql_binary(const char *fmt, ...) PRINTF_LIKE(1, 2);
// Looks every 10 ms until the statement yields other than 0; fails the test after 10 s.
void sql_await(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
