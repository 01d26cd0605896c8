// SPDX-License-Identifier: Apache-2.0
// The repo in PostgreSQL.
#include "metrics-api/repo.h"

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/metrics_row_pg.h"
#include "common/io/pg_async.h"
#include "sql/schema.h"

#include <stdio.h>

#define CONNECT_TIMEOUT_US (1500 * US_PER_MS) // with a probe's pause below 2 s, see pg_async.h

// ---- statements -------------------------------------------------------------------------------

// Which series a client may see, and the only place where it is said: every statement begins with
// it and takes its series from `mine` alone. Parameters: tenant, route or NULL, model or NULL,
// limit.
#define MINE_BEGIN                                                                                 \
    "WITH mine AS MATERIALIZED (SELECT series_id, tenant_id, route, model FROM llm_series"         \
    " WHERE tenant_id = $1::text"
#define MINE_ONE MINE_BEGIN " AND route = $2::text AND model = $3::text)"
#define MINE_MANY                                                                                  \
    MINE_BEGIN " AND ($2::text IS NULL OR route = $2::text)"                                       \
               " AND ($3::text IS NULL OR model = $3::text))"

// One series: its key is read backwards, newest partition first, and no further than the limit. $5
// is the oldest instant looked at: partitions before it are not even opened, and opening each of a
// month's took longer than reading 60 rows.
#define FROM_ONE                                                                                   \
    MINE_ONE " SELECT " METRICS_ROW_PG_VALUES                                                      \
             " FROM mine s CROSS JOIN LATERAL (SELECT * FROM llm_minute"                           \
             " WHERE series_id = s.series_id AND window_start >= $5::timestamptz"                  \
             " ORDER BY window_start DESC LIMIT $4::int8) m" METRICS_ROW_PG_PUBLISHED(             \
                 " AND window_start >= $5::timestamptz")

// Many series. Reading the limit's rows of each would be n times too much, and nothing but the key
// finds a tenant's rows. So: of each series the newest limit / n windows (heads). If those are as
// many as the limit, its lowest one bounds the answer from below (low), since that many rows are
// known to be no older. Only series whose heads are all above it can have more to give (deeper).
// Then the rows of the keys that are left.
#define FROM_MANY                                                                                  \
    MINE_MANY                                                                                      \
    ", depth AS MATERIALIZED"                                                                      \
    " (SELECT ($4::int8 + count(*) - 1) / greatest(count(*), 1) AS n FROM mine)"                   \
    ", heads AS MATERIALIZED (SELECT s.*, m.window_start FROM mine s CROSS JOIN LATERAL"           \
    " (SELECT window_start FROM llm_minute WHERE series_id = s.series_id"                          \
    " ORDER BY window_start DESC LIMIT (SELECT n FROM depth)) m)"                                  \
    ", low AS MATERIALIZED (SELECT coalesce((SELECT window_start FROM heads"                       \
    " ORDER BY window_start DESC OFFSET $4::int8 - 1 LIMIT 1), '-infinity') AS at)"                \
    ", ends AS (SELECT series_id, tenant_id, route, model, min(window_start) AS oldest FROM heads" \
    " GROUP BY series_id, tenant_id, route, model HAVING count(*) = (SELECT n FROM depth)"         \
    " AND min(window_start) > (SELECT at FROM low))"                                               \
    ", deeper AS (SELECT s.series_id, s.tenant_id, s.route, s.model, m.window_start"               \
    " FROM ends s CROSS JOIN LATERAL (SELECT window_start FROM llm_minute"                         \
    " WHERE series_id = s.series_id AND window_start < s.oldest"                                   \
    " AND window_start >= (SELECT at FROM low) ORDER BY window_start DESC LIMIT $4::int8) m)"      \
    ", keys AS MATERIALIZED (SELECT * FROM"                                                        \
    " (SELECT * FROM heads WHERE window_start >= (SELECT at FROM low)"                             \
    " UNION ALL SELECT * FROM deeper) u ORDER BY window_start DESC, route, model LIMIT $4::int8)"  \
    " SELECT " METRICS_ROW_PG_VALUES " FROM keys s CROSS JOIN LATERAL (SELECT * FROM llm_minute"   \
    " WHERE series_id = s.series_id AND window_start = s.window_start OFFSET 0) "                  \
    "m" METRICS_ROW_PG_PUBLISHED("")

#define ORDER " ORDER BY v.window_start DESC, v.route, v.model"

enum statement { STATEMENT_ONE, STATEMENT_MANY, STATEMENTS };
static const char *const sources[STATEMENTS] = {FROM_ONE, FROM_MANY};
static const int params[STATEMENTS] = {5, 4};
static const char *const names[STATEMENTS] = {"metrics_one", "metrics_many"};

struct repo {
    struct pg_pool *pool;
    struct pg_statement statements[STATEMENTS];
    char *sql[STATEMENTS];
    repo_state_fn on_state;
    void *arg;
};

struct repo_request {
    struct repo *repo;
    struct pg_query *query;
    struct query q; // taken over
    bool recent_only;
    repo_done done;
    void *arg;
};

// ---- rows -------------------------------------------------------------------------------------

struct repo_rows {
    const PGresult *r;
};

size_t repo_rows_count(const struct repo_rows *rows)
{
    return (size_t)PQntuples(rows->r);
}

int repo_rows_get(const struct repo_rows *rows, size_t i, struct metrics_row *row, struct err *e)
{
    return metrics_row_pg_get(rows->r, (int)i, row, e);
}

// ---- requests ---------------------------------------------------------------------------------

#define RECENT_US US_PER_DAY
#define RECENT_ROWS (RECENT_US / US_PER_MIN)

static void request_free(struct repo_request *req)
{
    query_clear(&req->q);
    free(req);
}

static void request_send(struct repo_request *req);

static void query_done(void *arg, enum pg_status status, const PGresult *r, const struct err *e)
{
    struct repo_request *req = arg;
    struct repo_rows rows = {r};
    if (status == PG_OK && req->recent_only && PQntuples(r) < req->q.limit) {
        req->recent_only = false; // there may be older ones
        request_send(req);
        return;
    }
    if (status == PG_OK)
        req->done(req->arg, REPO_OK, &rows, NULL);
    else
        req->done(req->arg, status == PG_FAILED ? REPO_FAILED : REPO_UNAVAILABLE, NULL, e);
    request_free(req);
}

static void request_send(struct repo_request *req)
{
    const struct query *q = &req->q;
    char limit[24], oldest[TIME_RFC3339_MAX + 1] = "-infinity";
    snprintf(limit, sizeof(limit), "%lld", (long long)q->limit);
    if (req->recent_only)
        oldest[time_format_rfc3339(clock_wall_us() - RECENT_US, oldest)] = '\0';
    const char *values[] = {q->tenant_id, q->route, q->model, limit, oldest};
    enum statement st = q->route && q->model ? STATEMENT_ONE : STATEMENT_MANY;
    req->query = pg_pool_query(req->repo->pool, st, values, query_done, req);
}

struct repo_request *repo_metrics(struct repo *r, struct query *q, repo_done done, void *arg)
{
    struct repo_request *req = xmalloc(sizeof(*req));
    *req = (struct repo_request){.repo = r, .q = *q, .done = done, .arg = arg};
    *q = (struct query){0};
    req->recent_only = req->q.route && req->q.model && req->q.limit <= RECENT_ROWS;
    request_send(req);
    return req;
}

void repo_cancel(struct repo_request *req)
{
    pg_query_cancel(req->query);
    request_free(req);
}

// ---- the repo ---------------------------------------------------------------------------------

#define SETUP_HINT "run `streamlens-admin setup`"

static int check_schema(const PGresult *r, struct err *e)
{
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        return err_set(e, "POSTGRES_DSN: the database has no StreamLens schema that this role may "
                          "read: " SETUP_HINT);
    long version = PQntuples(r) == 1 ? strtol(PQgetvalue(r, 0, 0), NULL, 10) : 0;
    // A newer one is taken: files of sql/ keep what readers use.
    if (version < SQL_SCHEMA_VERSION)
        return err_set(e,
                       "POSTGRES_DSN: the database's schema is version %ld, wanted is %d or "
                       "newer: " SETUP_HINT,
                       version, SQL_SCHEMA_VERSION);
    return 0;
}

static void state_changed(void *arg, enum pg_state state, const struct err *e)
{
    struct repo *r = arg;
    static const enum repo_state states[] = {
        [PG_STATE_AWAY] = REPO_AWAY,
        [PG_STATE_UNUSABLE] = REPO_UNUSABLE,
        [PG_STATE_UP] = REPO_UP,
    };
    if (r->on_state)
        r->on_state(r->arg, states[state], e);
}

static void statements_make(struct repo *r)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        struct buf sql = {0};
        buf_addf(&sql, "SELECT %s FROM (%s) v" ORDER, metrics_row_pg_columns(), sources[i]);
        r->sql[i] = buf_steal(&sql);
        r->statements[i] = (struct pg_statement){names[i], r->sql[i], params[i]};
    }
}

struct repo *repo_new(struct event_base *base, const struct config *c, repo_state_fn on_state,
                      void *arg, struct pg_stats *stats, struct err *e)
{
    struct repo *r = xcalloc(1, sizeof(*r));
    r->on_state = on_state;
    r->arg = arg;
    statements_make(r);
    struct pg_pool_options o = {
        .dsn = c->postgres_dsn,
        .application_name = "streamlens-metrics-api",
        .size = (int)c->pg_pool_size,
        .queue_max = (int)c->pg_queue_size,
        .query_timeout_us = c->query_timeout_ms * US_PER_MS,
        .connect_timeout_us = CONNECT_TIMEOUT_US,
        .statements = r->statements,
        .statement_count = STATEMENTS,
        .check_sql = SQL_CHECK_VERSION,
        .check_result = check_schema,
        .on_state = state_changed,
        .arg = r,
        .stats = stats,
    };
    r->pool = pg_pool_new(base, &o, e);
    if (r->pool)
        return r;
    repo_free(r);
    return NULL;
}

void repo_free(struct repo *r)
{
    if (!r)
        return;
    r->on_state = NULL;
    pg_pool_free(r->pool);
    for (size_t i = 0; i < STATEMENTS; i++)
        free(r->sql[i]);
    free(r);
}

bool repo_up(const struct repo *r)
{
    return pg_pool_up(r->pool);
}
