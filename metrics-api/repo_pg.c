// SPDX-License-Identifier: Apache-2.0
// The repo in PostgreSQL. Rows are read from the tables and not through the view llm_metrics:
// joined with a list of windows, the view was planned as a scan over all series of a day (0.3 s
// instead of 0.5 ms). The columns are the view's, and a test holds the two to the same answer.
#include "metrics-api/repo.h"

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/pg_async.h"
#include "sql/schema.h"

#include <endian.h>
#include <math.h>
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

#define PROMPT_TOKENS                                                                              \
    "(m.uncached_prompt_tokens + m.cached_prompt_tokens + m.cache_write_5m_tokens"                 \
    " + m.cache_write_1h_tokens)"

// The view's columns, of s (series) and m (llm_minute).
#define VIEW_COLUMNS                                                                               \
    " s.tenant_id, s.route, s.model, m.window_start,"                                              \
    " m.window_start + interval '1 minute' AS window_end, m.requests, m.errors,"                   \
    " llm_ratio(m.latency_sum_us, m.latency_count * 1000) AS avg_latency_ms,"                      \
    " m.latency_p95_us / 1000.0::float8 AS p95_latency_ms,"                                        \
    " llm_ratio(" PROMPT_TOKENS ", m.responses) AS avg_prompt_tokens,"                             \
    " llm_ratio(m.completion_tokens, m.responses) AS avg_completion_tokens,"                       \
    " llm_usd(m.cost_pusd)::float8 AS estimated_cost_usd,"                                         \
    " m.responses, m.unanswered, m.requests - m.responses - m.unanswered AS in_flight,"            \
    " m.latency_p50_us / 1000.0::float8 AS p50_latency_ms,"                                        \
    " m.latency_p90_us / 1000.0::float8 AS p90_latency_ms,"                                        \
    " m.latency_p99_us / 1000.0::float8 AS p99_latency_ms,"                                        \
    " m.latency_max_us / 1000.0::float8 AS max_latency_ms,"                                        \
    " CASE WHEN m.ttft_count > 0 THEN llm_ratio(m.ttft_sum_us, m.ttft_count * 1000) END"           \
    " AS avg_ttft_ms,"                                                                             \
    " m.ttft_p50_us / 1000.0::float8 AS p50_ttft_ms,"                                              \
    " m.ttft_p90_us / 1000.0::float8 AS p90_ttft_ms,"                                              \
    " m.ttft_p95_us / 1000.0::float8 AS p95_ttft_ms,"                                              \
    " m.ttft_p99_us / 1000.0::float8 AS p99_ttft_ms,"                                              \
    " CASE WHEN m.ttft_count > 0 THEN m.ttft_max_us / 1000.0::float8 END AS max_ttft_ms,"          \
    " " PROMPT_TOKENS " AS prompt_tokens, m.completion_tokens, m.cached_prompt_tokens,"            \
    " m.cache_write_5m_tokens + m.cache_write_1h_tokens AS cache_write_tokens,"                    \
    " m.reasoning_tokens, m.uncached_prompt_tokens, m.cache_write_5m_tokens,"                      \
    " m.cache_write_1h_tokens, llm_usd(m.cost_pusd) AS estimated_cost_usd_decimal,"                \
    " m.unpriced_requests, m.unpriced_tokens, m.guessed_requests, m.price_version,"                \
    " CASE WHEN m.reported_requests > 0 THEN llm_usd(m.reported_cost_pusd)::float8 END"            \
    " AS reported_cost_usd,"                                                                       \
    " CASE WHEN m.reported_requests > 0 THEN llm_usd(m.reported_cost_pusd) END"                    \
    " AS reported_cost_usd_decimal, m.reported_requests, m.clamped_usage, m.without_latency,"      \
    " m.error_classes, m.finish_reasons, m.revision, m.updated_at,"                                \
    " coalesce((SELECT w.complete FROM llm_window w WHERE w.window_start = m.window_start),"       \
    " false) AS complete,"                                                                         \
    " EXISTS (SELECT FROM streamlens_gap g WHERE m.window_start < g.windows_to"                    \
    " AND m.window_start + interval '1 minute' > g.windows_from) AS lossy"

// One series: its key is read backwards, newest partition first, and no further than the limit. $5
// is the oldest instant looked at: partitions before it are not even opened, and opening each of a
// month's took longer than reading 60 rows.
#define FROM_ONE                                                                                   \
    MINE_ONE " SELECT " VIEW_COLUMNS " FROM mine s CROSS JOIN LATERAL (SELECT * FROM llm_minute"   \
             " WHERE series_id = s.series_id AND window_start >= $5::timestamptz"                  \
             " ORDER BY window_start DESC LIMIT $4::int8) m"

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
    " SELECT " VIEW_COLUMNS " FROM keys s CROSS JOIN LATERAL (SELECT * FROM llm_minute"            \
    " WHERE series_id = s.series_id AND window_start = s.window_start OFFSET 0) m"

// The result's columns in the list's order, each with the type that is read below.
#define TEXT(name) ", v." #name "::text"
#define TIME(name) ", v." #name "::timestamptz"
#define COUNT(name) ", v." #name "::int8"
#define NUMBER(name) ", coalesce(v." #name ", 0)::float8"
#define MAYBE(name) ", v." #name "::float8"
#define BOOL(name) ", v." #name "::bool"
static const char columns[] = ROW_FIELDS(TEXT, TIME, COUNT, NUMBER, MAYBE, TEXT, TEXT, BOOL);
#undef TEXT
#undef TIME
#undef COUNT
#undef NUMBER
#undef MAYBE
#undef BOOL

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

struct cell {
    const char *p; // NULL: SQL's NULL
    int n;
};

static struct cell cell_at(const PGresult *r, int row, int col)
{
    if (PQgetisnull(r, row, col))
        return (struct cell){NULL, 0};
    return (struct cell){PQgetvalue(r, row, col), PQgetlength(r, row, col)};
}

static uint64_t cell_u64(struct cell c)
{
    uint64_t n;
    memcpy(&n, c.p, sizeof(n));
    return be64toh(n);
}

// The binary forms: text as it is, integers and doubles in network order, instants in µs since
// 2000.
#define US_2000 (INT64_C(946684800) * US_PER_S)

static bool get_text(struct cell c, struct str *out)
{
    *out = (struct str){c.p, (size_t)c.n};
    return c.p != NULL;
}

static bool get_decimal(struct cell c, struct str *out)
{
    *out = (struct str){c.p, (size_t)c.n};
    return true;
}

static bool get_count(struct cell c, int64_t *out)
{
    if (!c.p || c.n != 8)
        return false;
    *out = (int64_t)cell_u64(c);
    return true;
}

static bool get_time(struct cell c, int64_t *out)
{
    return get_count(c, out) && !__builtin_add_overflow(*out, US_2000, out);
}

static bool get_bool(struct cell c, bool *out)
{
    *out = c.p && c.p[0] != 0;
    return c.p && c.n == 1;
}

static bool get_maybe(struct cell c, double *out)
{
    *out = NAN;
    if (!c.p)
        return true;
    uint64_t bits = c.n == 8 ? cell_u64(c) : 0;
    memcpy(out, &bits, sizeof(bits));
    return c.n == 8;
}

size_t repo_rows_count(const struct repo_rows *rows)
{
    return (size_t)PQntuples(rows->r);
}

int repo_rows_get(const struct repo_rows *rows, size_t i, struct row *row, struct err *e)
{
    int col = 0;
#define READ(name, get, member)                                                                    \
    if (!get(cell_at(rows->r, (int)i, col++), &row->member))                                       \
        return err_field(e, #name, -1, "column %s of row %zu has another form", #name, i);
#define TEXT(name) READ(name, get_text, name)
#define TIME(name) READ(name, get_time, name##_us)
#define COUNT(name) READ(name, get_count, name)
#define NUMBER(name) READ(name, get_maybe, name)
#define DECIMAL(name) READ(name, get_decimal, name)
#define BOOL(name) READ(name, get_bool, name)
    ROW_FIELDS(TEXT, TIME, COUNT, NUMBER, NUMBER, DECIMAL, TEXT, BOOL)
#undef READ
#undef TEXT
#undef TIME
#undef COUNT
#undef NUMBER
#undef DECIMAL
#undef BOOL
    return 0;
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
        buf_addf(&sql, "SELECT %s FROM (%s) v" ORDER, columns + 2, sources[i]);
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
