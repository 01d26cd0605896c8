// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/database_fixture.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "sql/schema.h"

#define LOOKS 1000 // 10 ms apart

static PGconn *server, *database;
static char name[64], dsn[512];

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

bool fixture_available(void)
{
    return getenv("SL_PG_DSN") != NULL;
}

static void run_on(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        ck_abort_msg("%.200s: %s", sql, PQresultErrorMessage(r));
    PQclear(r);
}

static PGconn *connect_to(const char *to)
{
    PGconn *conn = PQconnectdb(to);
    if (PQstatus(conn) != CONNECTION_OK)
        ck_abort_msg("%s", PQerrorMessage(conn));
    run_on(conn, "SET client_min_messages = warning");
    return conn;
}

void fixture_open_empty(void)
{
    static int count;
    const char *base = getenv("SL_PG_DSN");
    server = connect_to(base);
    snprintf(name, sizeof(name), "sl_store_%d_%d", (int)getpid(), count++);
    char sql[128];
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s", name);
    run_on(server, sql);
    const char *slash = strrchr(base, '/');
    ck_assert_ptr_nonnull(slash);
    snprintf(dsn, sizeof(dsn), "%.*s/%s", (int)(slash - base), base, name);
    database = connect_to(dsn);
}

void fixture_open(int64_t max_series)
{
    fixture_open_empty();
    run_on(database,
           "CREATE TABLE streamlens_schema (version integer PRIMARY KEY, name text NOT NULL,"
           " oldest_writer integer NOT NULL, applied_at timestamptz DEFAULT now())");
    for (int i = 0; i < SQL_SCHEMA_VERSION; i++) {
        run_on(database, sql_files[i].text);
        sql_run("INSERT INTO streamlens_schema VALUES (%d, '%s', %d)", sql_files[i].version,
                sql_files[i].name, sql_files[i].oldest_writer);
    }
    sql_run("INSERT INTO streamlens_installation (partitions, topic_prefix) VALUES (%d, '')",
            FIXTURE_PARTITIONS);
    sql_run("INSERT INTO streamlens_settings (epoch, join_ttl_ms, join_skew_ms,"
            " max_series_per_tenant, acceptance_version, series_epoch)"
            " VALUES (1, 300000, 60000, %lld, 1, 1)",
            (long long)max_series);
    sql_run("INSERT INTO streamlens_position (partition) SELECT generate_series(0, %d)",
            FIXTURE_PARTITIONS - 1);
    sql_run("INSERT INTO streamlens_settings_from (epoch, partition, request_offset,"
            " response_offset) SELECT 1, partition, 0, 0 FROM streamlens_position");
}

void fixture_close(void)
{
    PQfinish(database);
    char sql[128];
    snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", name);
    run_on(server, sql);
    PQfinish(server);
}

const char *fixture_dsn(void)
{
    return dsn;
}

#define FORMAT(sql, fmt)                                                                           \
    do {                                                                                           \
        va_list args_;                                                                             \
        va_start(args_, fmt);                                                                      \
        vsnprintf(sql, sizeof(sql), fmt, args_);                                                   \
        va_end(args_);                                                                             \
    } while (0)

static int64_t ask(const char *sql)
{
    PGresult *r = PQexec(database, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        ck_abort_msg("%.200s: %s", sql, PQresultErrorMessage(r));
    int64_t v = PQntuples(r) > 0 ? strtoll(PQgetvalue(r, 0, 0), NULL, 10) : 0;
    PQclear(r);
    return v;
}

int64_t sql_i64(const char *fmt, ...)
{
    char sql[1024];
    FORMAT(sql, fmt);
    return ask(sql);
}

void sql_run(const char *fmt, ...)
{
    char sql[1024];
    FORMAT(sql, fmt);
    run_on(database, sql);
}

char *sql_bytes(size_t *n, const char *fmt, ...)
{
    char sql[1024];
    FORMAT(sql, fmt);
    PGresult *r = PQexec(database, sql);
    ck_assert_int_eq(PQntuples(r), 1);
    unsigned char *bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(r, 0, 0), n);
    char *copy = xmemdup(bytes, *n);
    PQfreemem(bytes);
    PQclear(r);
    return copy;
}

PGresult *sql_binary(const char *fmt, ...)
{
    char sql[1024];
    FORMAT(sql, fmt);
    PGresult *r = PQexecParams(database, sql, 0, NULL, NULL, NULL, NULL, 1);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        ck_abort_msg("%.200s: %s", sql, PQresultErrorMessage(r));
    return r;
}

void sql_await(const char *fmt, ...)
{
    char sql[1024];
    FORMAT(sql, fmt);
    for (int i = 0; i < LOOKS; i++) {
        if (ask(sql))
            return;
        pause_ms(10);
    }
    ck_abort_msg("in vain: %s", sql);
}
