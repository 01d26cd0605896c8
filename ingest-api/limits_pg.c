// SPDX-License-Identifier: Apache-2.0
// Each reading replaces the rows as a whole, so one that was removed or changed needs no rule of
// its own.
#include "ingest-api/limits_pg.h"

#include "common/core/event.h"
#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/pg_async.h"

#include <errno.h>
#include <sys/random.h>

#define CONNECT_TIMEOUT_US (1500 * US_PER_MS)
#define QUERY_TIMEOUT_US (5 * US_PER_S)
#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)

// The row of all others first: it is the last that may be left out. The casts keep the binary forms
// what is read below, whatever somebody makes of the columns' types.
#define READ_LIMITS                                                                                \
    "SELECT tenant_id::text, coalesce(events_per_second, 0)::int8, coalesce(events_burst, "        \
    "0)::int8, coalesce(bytes_per_second, 0)::int8, coalesce(bytes_burst, 0)::int8"                \
    " FROM streamlens_limit ORDER BY tenant_id <> '" TENANT_LIMIT_OTHERS "', tenant_id"            \
    " LIMIT " TEXT_OF(TENANT_LIMITS_MAX) " + 1"

static const struct pg_statement statements[] = {{"limits_read", READ_LIMITS, 0, false}};

struct limits_pg {
    struct limits *limits; // owned
    struct pg_pool *pool;  // NULL without RATE_LIMITS, as are the timers
    struct ingest_stats *stats;
    struct event *tick, *retry;
    struct pg_query *reading; // NULL: none is under way
    int64_t read_us;          // monotonic, of the last reading, or of the start
    bool known, failing;      // read once; logged already
};

// ---- a reading ----

static int64_t int8_at(const PGresult *r, int row, int col)
{
    uint64_t n;
    memcpy(&n, PQgetvalue(r, row, col), sizeof(n));
    return (int64_t)be64toh(n);
}

static int limit_at(const PGresult *r, int row, int col, const char *name, struct token_limit *out,
                    struct err *e)
{
    int64_t rate = int8_at(r, row, col), burst = int8_at(r, row, col + 1);
    if (rate < 0 || rate > TENANT_LIMIT_MOST || burst < 0 || burst > TENANT_LIMIT_MOST)
        return err_field(e, name, -1, "is not in 1 to %lld", (long long)TENANT_LIMIT_MOST);
    *out = tenant_limit_of(rate, burst);
    return 0;
}

// A row may have been written by hand, to a table without its constraints.
static int take_row(struct limit_rows *rows, const PGresult *r, int row, struct err *e)
{
    struct tenant_limit limit;
    struct str tenant = {PQgetvalue(r, row, 0), (size_t)PQgetlength(r, row, 0)};
    if (event_check_name("tenant_id", tenant, e) < 0 ||
        limit_at(r, row, 1, "events_per_second, events_burst", &limit.events, e) < 0 ||
        limit_at(r, row, 3, "bytes_per_second, bytes_burst", &limit.bytes, e) < 0)
        return -1;
    return limit_rows_add(rows, tenant, &limit) == 0
               ? 0
               : err_set(e, "there are more than %d rows, or two of this tenant",
                         TENANT_LIMITS_MAX);
}

static void take_rows(struct limits_pg *p, const PGresult *r)
{
    struct limit_rows *rows = limit_rows_new();
    int64_t left_out = 0;
    struct err e, first = {0};
    for (int row = 0; row < PQntuples(r); row++) {
        if (take_row(rows, r, row, &e) < 0 && left_out++ == 0)
            first = e;
    }
    if (left_out > 0 && p->stats->limits_left_out == 0)
        log_error("rows of streamlens_limit are left out", "rows", log_num(left_out), "field",
                  first.field, "error", first.detail);
    p->stats->limits_left_out = left_out;
    p->stats->limits = (int64_t)limit_rows_count(rows);
    limits_take_rows(p->limits, rows);
}

static void tell_age(struct limits_pg *p)
{
    p->stats->limit_reading_age_seconds = (clock_mono_us() - p->read_us) / US_PER_S;
}

static void failed(struct limits_pg *p, const struct err *e)
{
    p->stats->limit_readings_failed++;
    limits_not_read(p->limits, e);
    tell_age(p);
    if (!p->failing)
        log_warn("rate limits cannot be read; those read before go on to hold", "error", e->detail);
    p->failing = true;
}

static void read_done(void *arg, enum pg_status status, const PGresult *r, const struct err *e)
{
    struct limits_pg *p = arg;
    p->reading = NULL;
    if (status != PG_OK) {
        failed(p, e);
        return;
    }
    if (!p->known || p->failing)
        log_info("rate limits read", "rows", log_num(PQntuples(r)));
    take_rows(p, r);
    p->known = true;
    p->failing = false;
    p->read_us = clock_mono_us();
    p->stats->limit_readings_ok++;
    tell_age(p);
}

static void read_limits(struct limits_pg *p)
{
    if (!p->reading)
        p->reading = pg_pool_query(p->pool, 0, NULL, read_done, p);
}

// ---- life ----

static void on_tick(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    read_limits(arg);
}

// The next tick may be an hour away, and what failed may be well again in a second.
static void on_retry(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct limits_pg *p = arg;
    tell_age(p);
    if (p->failing)
        read_limits(p);
}

static void on_state(void *arg, enum pg_state state, UNUSED const struct err *e)
{
    struct limits_pg *p = arg;
    if (state == PG_STATE_UP)
        read_limits(p);
}

static int check_table(const PGresult *r, struct err *e)
{
    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        return 0;
    return err_set(e, "POSTGRES_DSN: the database has no table streamlens_limit that this role may "
                      "read: run `streamlens-admin setup`");
}

static struct event *every(struct limits_pg *p, struct event_base *base, int64_t us,
                           event_callback_fn callback)
{
    struct timeval tv = {.tv_sec = us / US_PER_S, .tv_usec = us % US_PER_S};
    struct event *timer = event_new(base, -1, EV_PERSIST, callback, p);
    event_add(timer, &tv);
    return timer;
}

static int start_reading(struct limits_pg *p, struct event_base *base, const struct config *c,
                         struct err *e)
{
    struct pg_pool_options o = {
        .dsn = c->postgres_dsn,
        .application_name = "streamlens-ingest-api-limits",
        .size = 1,
        .queue_max = 1,
        .query_timeout_us = QUERY_TIMEOUT_US,
        .connect_timeout_us = CONNECT_TIMEOUT_US,
        .statements = statements,
        .statement_count = ARRAY_LEN(statements),
        .check_sql = "SELECT FROM streamlens_limit LIMIT 0",
        .check_result = check_table,
        .on_state = on_state,
        .arg = p,
    };
    struct err why;
    (void)err_set(&why, "PostgreSQL has not answered yet");
    limits_not_read(p->limits, &why);
    p->read_us = clock_mono_us();
    p->pool = pg_pool_new(base, &o, e);
    if (!p->pool)
        return -1;
    p->tick = every(p, base, c->rate_limits_refresh_ms * US_PER_MS, on_tick);
    p->retry = every(p, base, LIMITS_RETRY_US, on_retry);
    read_limits(p);
    return 0;
}

struct limits_pg *limits_pg_new(struct event_base *base, const struct config *c,
                                struct ingest_stats *stats, struct err *e)
{
    struct limits_options o = {
        .tenants = c->rate_limits != 0, .processes = c->ingests, .buckets_max = BUCKET_TABLE_MAX};
    if (getrandom(o.seed, sizeof(o.seed), 0) != (ssize_t)sizeof(o.seed)) {
        (void)err_set(e, "no random bytes: %s", strerror(errno));
        return NULL;
    }
    struct limits_pg *p = xcalloc(1, sizeof(*p));
    p->stats = stats;
    p->limits = limits_new(&o);
    if (!o.tenants || start_reading(p, base, c, e) == 0)
        return p;
    limits_pg_free(p);
    return NULL;
}

struct limits *limits_pg_limits(struct limits_pg *p)
{
    return p->limits;
}

void limits_pg_free(struct limits_pg *p)
{
    if (!p)
        return;
    if (p->reading)
        pg_query_cancel(p->reading);
    if (p->tick)
        event_free(p->tick);
    if (p->retry)
        event_free(p->retry);
    if (p->pool)
        pg_pool_free(p->pool);
    limits_free(p->limits);
    free(p);
}
