// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/store_fixture.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "sql/schema.h"

#define PATIENCE 500 // times 10 ms or 20 ms

static PGconn *server, *database;
static char name[64], dsn[512];

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

// ---- database ----

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
    for (int i = 0; i < 2 * PATIENCE; i++) {
        if (ask(sql))
            return;
        pause_ms(10);
    }
    ck_abort_msg("in vain: %s", sql);
}

// ---- one writer ----

static void on_idle(void *arg)
{
    ((struct writer *)arg)->idle_calls++;
}

void writer_open(struct writer *w, const char *to, int64_t timeout_ms)
{
    writer_open_as(w, to, timeout_ms, "");
}

void writer_open_as(struct writer *w, const char *to, int64_t timeout_ms, const char *instance_id)
{
    *w = (struct writer){0};
    w->series_epoch = 1;
    w->config.postgres_dsn = xstrdup(to);
    w->config.group_instance_id = xstrdup(instance_id);
    w->store = store_pg_new(&w->config, timeout_ms, on_idle, w);
    hash_key_init(&w->key, "seed", 4);
    w->series = series_table_new(&w->key);
    w->flush.partitions = w->partitions;
    w->flush.cells = w->cells;
}

void writer_close(struct writer *w)
{
    writer_clear(w);
    store_free(w->store);
    series_table_free(w->series);
    free(w->config.postgres_dsn);
    free(w->config.group_instance_id);
}

void writer_claim(struct writer *w, int partition)
{
    struct claim claim;
    enum store_result rc = store_claim(w->store, partition, 0, &claim, &w->err);
    ck_assert_msg(rc == STORE_OK, "claim: %d %s", rc, w->err.detail);
    struct store_partition *p = &w->partitions[w->partition_count++];
    *p = (struct store_partition){.partition = partition,
                                  .epoch = claim.epoch,
                                  .flush_seq = claim.flush_seq,
                                  .position = claim.position};
    for (int k = 0; !claim.stored && k < 2; k++)
        p->position.log[k] = (struct log_position){0, TIME_NONE, 0, -1, TIME_NONE, 0};
    w->flush.partition_count = w->partition_count;
}

struct facts *writer_add(struct writer *w, const char *tenant, const char *route, const char *model,
                         int64_t window_start_us)
{
    ck_assert_uint_lt(w->cell_count, ARRAY_LEN(w->cells));
    struct facts *f = &w->facts[w->cell_count];
    w->cells[w->cell_count++] = (struct store_cell){
        series_take(w->series, str_of(tenant), str_of(route), str_of(model), w->series_epoch),
        window_start_us, f};
    w->flush.cell_count = w->cell_count;
    return f;
}

void facts_use(struct facts *f, const char *model, int64_t n, int64_t prompt_tokens,
               int64_t completion_tokens)
{
    struct usage_key key = {.model = str_of(model)};
    struct usage u = {.requests = n,
                      .uncached_prompt_tokens = n * prompt_tokens,
                      .completion_tokens = n * completion_tokens};
    f->requests += n;
    f->responses += n;
    usage_lines_add(&f->usage, &key, &u);
}

void writer_add_simple(struct writer *w, const char *model, int64_t requests)
{
    writer_add(w, "t", "r", model, T0)->requests = requests;
}

void writer_clear(struct writer *w)
{
    for (size_t i = 0; i < w->cell_count; i++) {
        facts_clear(&w->facts[i]);
        series_drop(w->series, w->cells[i].series);
    }
    w->cell_count = w->flush.cell_count = 0;
}

void writer_flushed(struct writer *w)
{
    writer_clear(w);
    for (size_t i = 0; i < w->partition_count; i++)
        w->partitions[i].flush_seq++;
}

enum store_result writer_begin(struct writer *w)
{
    return store_begin(w->store, &w->flush, &w->err);
}

enum store_result writer_write(struct writer *w)
{
    return store_write(w->store, &w->flush, &w->err);
}

enum store_result writer_commit(struct writer *w)
{
    return store_commit(w->store, &w->err);
}

enum store_result writer_resolve(struct writer *w)
{
    enum store_result rc = STORE_UNKNOWN;
    for (int i = 0; rc == STORE_UNKNOWN && i < PATIENCE; i++) {
        rc = store_resolve(w->store, &w->flush, &w->err);
        if (rc == STORE_UNKNOWN)
            pause_ms(20);
    }
    return rc;
}

enum store_result writer_flush(struct writer *w)
{
    enum store_result rc = STORE_RETRY;
    for (int i = 0; rc == STORE_RETRY && i < PATIENCE; i++) {
        if (i > 0)
            pause_ms(20);
        rc = writer_begin(w);
        if (rc == STORE_OK)
            rc = writer_write(w);
        if (rc == STORE_OK)
            rc = writer_commit(w);
        if (rc == STORE_UNKNOWN)
            rc = writer_resolve(w);
    }
    if (rc == STORE_OK)
        writer_flushed(w);
    return rc;
}
