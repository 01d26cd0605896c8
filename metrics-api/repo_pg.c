// SPDX-License-Identifier: Apache-2.0
// Questions as statements with parameters, and packs as rows. A database that is away or slow is
// pg_async's affair.
#include "metrics-api/repo.h"

#include <stdio.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/pg_async.h"
#include "metrics-api/repo_prices_pg.h"
#include "metrics-api/repo_sql_pg.h"
#include "sql/schema.h"

#define CONNECT_TIMEOUT_US (1500 * US_PER_MS) // a first attempt's 503 comes within 2 s
// Most questions for the newest windows are answered by the last day. Looked for there alone at
// first: opening a month's partitions took longer than reading 60 rows.
#define RECENT_US US_PER_DAY
#define RECENT_ROWS (RECENT_US / US_PER_MIN)

struct repo {
    struct pg_pool *pool;
    struct repo_prices *prices;
    struct pg_statement statements[REPO_STATEMENTS + PRICES_STATEMENTS];
    char names[REPO_STATEMENTS][16]; // theirs
    repo_state_fn on_state;
    void *arg;
};

struct repo_request {
    struct repo *repo;
    struct pg_query *query;
    enum repo_statement statement;
    char *params[REPO_PARAMS_MAX]; // owned; NULL: SQL's NULL
    char *whole_from; // where the range begins, while the statement looks at the last day alone
    int64_t wanted;   // rows
    repo_row_fn on_row;
    repo_done done;
    void *arg;
    struct repo_look_reader look; // of what has changed
    bool looked;                  // on_look was called
    struct repo_meta meta;
    bool failed; // a row was not understood
    struct err why;
};

// ---- parameters ---------------------------------------------------------------------------------

static char *text_of_time(int64_t t_us)
{
    char text[TIME_RFC3339_MAX + 1];
    if (t_us == INT64_MIN || t_us == INT64_MAX)
        return xstrdup(t_us == INT64_MIN ? "-infinity" : "infinity");
    text[time_format_rfc3339(t_us, text)] = '\0';
    return xstrdup(text);
}

static char *text_of_int(int64_t n)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)n);
    return xstrdup(text);
}

static char *text_of_str(struct str s)
{
    struct buf b = {0};
    if (!s.p)
        return NULL;
    buf_add(&b, s.p, s.n);
    return buf_steal(&b);
}

// {"a","b"}; names hold no control characters.
static char *text_of_name_list(const char *const *v, size_t n)
{
    struct buf b = {0};
    buf_addc(&b, '{');
    for (size_t i = 0; i < n; i++) {
        buf_adds(&b, i > 0 ? ",\"" : "\"");
        for (const char *c = v[i]; *c; c++) {
            if (*c == '"' || *c == '\\')
                buf_addc(&b, '\\');
            buf_addc(&b, *c);
        }
        buf_addc(&b, '"');
    }
    buf_addc(&b, '}');
    return buf_steal(&b);
}

static char *text_of_names(const struct question_names *names)
{
    return names->n > 0 ? text_of_name_list((const char *const *)names->v, names->n) : NULL;
}

static char *text_of_spans(const struct plan_span *spans, size_t n, bool ends)
{
    struct buf b = {0};
    char text[TIME_RFC3339_MAX];
    buf_addc(&b, '{');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(&b, ',');
        buf_add(&b, text, time_format_rfc3339(ends ? spans[i].to_us : spans[i].from_us, text));
    }
    buf_addc(&b, '}');
    return buf_steal(&b);
}

// ---- a request ----------------------------------------------------------------------------------

static struct repo_request *request_new(struct repo *r, const struct question *q,
                                        repo_row_fn on_row, repo_done done, void *arg)
{
    struct repo_request *req = xcalloc(1, sizeof(*req));
    req->repo = r;
    req->on_row = on_row;
    req->done = done;
    req->arg = arg;
    req->params[0] = q->tenant_id ? xstrdup(q->tenant_id) : NULL;
    req->params[1] = text_of_names(&q->routes);
    req->params[2] = text_of_names(&q->models);
    return req;
}

static void request_free(struct repo_request *req)
{
    for (size_t i = 0; i < ARRAY_LEN(req->params); i++)
        free(req->params[i]);
    free(req->whole_from);
    free(req->meta.open);
    free(req->meta.partly);
    free(req->meta.gaps);
    free(req);
}

static int not_understood(struct repo_request *req, const struct err *e)
{
    req->failed = true;
    req->why = *e;
    return -1;
}

static bool read_times(const PGresult *r, int i, int column, int64_t **out, size_t *n)
{
    struct pg_array a;
    if (!pg_array_begin(&a, r, i, column))
        return false;
    *out = xcalloc((size_t)a.left + 1, sizeof(**out));
    for (*n = 0; a.left > 0; ++*n)
        if (!pg_array_time(&a, &(*out)[*n]))
            return false;
    return true;
}

static bool read_gaps(const PGresult *r, int i, struct repo_meta *m)
{
    struct pg_array from, to;
    if (!pg_array_begin(&from, r, i, META_GAPS_FROM) || !pg_array_begin(&to, r, i, META_GAPS_TO) ||
        from.left != to.left)
        return false;
    m->gaps = xcalloc((size_t)from.left + 1, sizeof(*m->gaps));
    for (m->gap_count = 0; from.left > 0; m->gap_count++)
        if (!pg_array_time(&from, &m->gaps[m->gap_count].from_us) ||
            !pg_array_time(&to, &m->gaps[m->gap_count].to_us))
            return false;
    return true;
}

static int64_t time_or(const PGresult *r, int i, int column, int64_t otherwise_us)
{
    int64_t t_us;
    return pg_column_time(r, i, column, &t_us) ? t_us : otherwise_us;
}

static int read_meta(struct repo_request *req, const PGresult *r, int i)
{
    struct repo_meta *m = &req->meta;
    struct err e;
    m->closed_through_us = time_or(r, i, META_CLOSED_THROUGH, INT64_MIN);
    m->kept.minutes_from_us = time_or(r, i, META_MINUTES_FROM, INT64_MIN);
    m->kept.hours_from_us = time_or(r, i, META_HOURS_FROM, INT64_MIN);
    if (read_times(r, i, META_OPEN, &m->open, &m->open_count) &&
        read_times(r, i, META_PARTLY, &m->partly, &m->partly_count) && read_gaps(r, i, m))
        return 0;
    (void)err_set(&e, "the state of windows has another form");
    return not_understood(req, &e);
}

static struct str name_at(const PGresult *r, int i, int column)
{
    if (PQgetisnull(r, i, column))
        return (struct str){NULL, 0};
    return (struct str){PQgetvalue(r, i, column), (size_t)PQgetlength(r, i, column)};
}

static int read_pack(struct repo_request *req, const PGresult *r, int i)
{
    struct fact_pack pack;
    struct fact_row row;
    struct err e;
    int64_t window_us = 0;
    int more = pg_column_i64(r, i, COLUMN_WINDOW_US, &window_us) ? 1 : -1;
    if (more < 0)
        (void)err_field(&e, "window_us", -1, "the column has another form");
    else
        more = fact_pack_begin(&pack, r, i, COLUMN_FACTS, window_us, &e);
    while (more >= 0 && (more = fact_pack_next(&pack, &row, &e)) == 1) {
        row.tenant_id = name_at(r, i, COLUMN_TENANT);
        row.route = name_at(r, i, COLUMN_ROUTE);
        row.model = name_at(r, i, COLUMN_MODEL);
        if (req->on_row(req->arg, &row) != 0)
            return -1;
    }
    return more == 0 ? 0 : not_understood(req, &e);
}

static int read_facts(struct repo_request *req, const PGresult *r, int i)
{
    return PQgetisnull(r, i, COLUMN_META) ? read_pack(req, r, i) : read_meta(req, r, i);
}

// What LOOK and LOOK_KEYS say of themselves, from a column on.
static int read_about(struct repo_request *req, const PGresult *r, int column)
{
    struct repo_look look = {
        .position = PQgetvalue(r, 0, column + ABOUT_POSITION),
        .from_us = time_or(r, 0, column + ABOUT_FROM, INT64_MIN),
        .to_us = time_or(r, 0, column + ABOUT_TO, INT64_MIN),
    };
    struct err e;
    req->looked = true;
    if (pg_column_i64(r, 0, column + ABOUT_WINDOWS, &look.windows))
        return req->look.on_look(req->arg, &req->meta, &look);
    (void)err_set(&e, "a look has another form");
    return not_understood(req, &e);
}

static int read_keys(struct repo_request *req, const PGresult *r)
{
    struct pg_array starts;
    int64_t series_id, start_us;
    struct err e;
    if (PQgetisnull(r, 0, KEYS_SERIES))
        return read_about(req, r, KEYS_ABOUT);
    bool fine = req->looked && pg_column_i64(r, 0, KEYS_SERIES, &series_id) &&
                pg_array_begin(&starts, r, 0, KEYS_STARTS);
    while (fine && starts.left > 0) {
        fine = pg_array_time(&starts, &start_us);
        if (fine && req->look.on_key(req->arg, series_id, start_us) != 0)
            return -1;
    }
    if (fine)
        return 0;
    (void)err_set(&e, "a list of keys has another form");
    return not_understood(req, &e);
}

static int read_look_meta(struct repo_request *req, const PGresult *r)
{
    if (read_meta(req, r, 0) != 0)
        return -1;
    if (req->statement == LOOK)
        return read_about(req, r, LOOK_ABOUT);
    req->looked = true;
    return req->look.on_look(req->arg, &req->meta, NULL);
}

static int on_look_row(void *arg, const PGresult *r)
{
    struct repo_request *req = arg;
    struct err e;
    if (req->statement == LOOK_KEYS)
        return read_keys(req, r);
    if (!PQgetisnull(r, 0, COLUMN_META))
        return read_look_meta(req, r);
    if (req->looked)
        return read_pack(req, r, 0);
    (void)err_set(&e, "rows came before what holds for all of them");
    return not_understood(req, &e);
}

static int read_name(struct repo_request *req, const PGresult *r, int i)
{
    struct err e;
    struct fact_row row = {.tenant_id = name_at(r, i, COLUMN_TENANT),
                           .route = name_at(r, i, COLUMN_ROUTE),
                           .model = name_at(r, i, COLUMN_MODEL)};
    req->meta.closed_through_us = time_or(r, i, COLUMN_NAMES_CLOSED, INT64_MIN);
    if (pg_column_time(r, i, COLUMN_FIRST, &row.window_start_us) &&
        pg_column_time(r, i, COLUMN_LAST, &row.window_end_us) &&
        pg_column_i64(r, i, COLUMN_SERIES, &row.requests))
        return req->on_row(req->arg, &row);
    (void)err_set(&e, "a list of names has another form");
    return not_understood(req, &e);
}

// ---- its way ------------------------------------------------------------------------------------

static void request_end(struct repo_request *req, enum repo_status status, const struct err *e)
{
    req->done(req->arg, status, status == REPO_OK ? &req->meta : NULL, e);
    request_free(req);
}

static void request_done(void *arg, enum pg_status status, UNUSED const PGresult *r,
                         const struct err *e)
{
    struct repo_request *req = arg;
    if (status == PG_OK)
        request_end(req, REPO_OK, NULL);
    else if (status == PG_STOPPED && !req->failed)
        request_end(req, REPO_STOPPED, NULL);
    else if (status == PG_STOPPED)
        request_end(req, REPO_FAILED, &req->why);
    else
        request_end(req, status == PG_FAILED ? REPO_FAILED : REPO_UNAVAILABLE, e);
}

static int on_facts(void *arg, const PGresult *r)
{
    return read_facts(arg, r, 0);
}

// A result that came as a whole.
static enum pg_status read_all(struct repo_request *req, const PGresult *r,
                               int (*read)(struct repo_request *, const PGresult *, int))
{
    for (int i = 0; i < PQntuples(r); i++)
        if (read(req, r, i) != 0)
            return PG_STOPPED;
    return PG_OK;
}

static void rows_send(struct repo_request *req);

static void rows_done(void *arg, enum pg_status status, const PGresult *r, const struct err *e)
{
    struct repo_request *req = arg;
    struct pg_array windows;
    if (status == PG_OK && req->whole_from) {
        int64_t found = 0;
        for (int i = 0; i < PQntuples(r); i++)
            found += pg_array_begin(&windows, r, i, COLUMN_FACTS) ? windows.left : 0;
        if (found < req->wanted) { // there may be older ones
            free(req->params[4]);
            req->params[4] = req->whole_from;
            req->whole_from = NULL;
            rows_send(req);
            return;
        }
    }
    request_done(req, status == PG_OK ? read_all(req, r, read_facts) : status, NULL, e);
}

static void rows_send(struct repo_request *req)
{
    req->query = pg_pool_query(req->repo->pool, req->statement, (const char *const *)req->params,
                               rows_done, req);
}

static void after_params(struct repo_request *req, char *first, const struct question *q)
{
    req->params[7] = first;
    req->params[8] = text_of_str(q->after.route);
    req->params[9] = text_of_str(q->after.model);
}

struct repo_request *repo_rows(struct repo *r, const struct question *q, int wants,
                               repo_row_fn on_row, repo_done done, void *arg)
{
    struct repo_request *req = request_new(r, q, on_row, done, arg);
    bool one = q->routes.n == 1 && q->models.n == 1;
    int64_t recent_us = clock_wall_us() - RECENT_US;
    req->wanted = q->limit + 1;
    req->params[3] = text_of_int(wants);
    req->params[4] = text_of_time(q->from_us);
    req->params[5] = text_of_time(q->to_us);
    req->params[6] = text_of_int(req->wanted);
    if (q->has_after)
        after_params(req, text_of_time(q->after.start_us), q);
    if (one && !q->ascending && req->wanted <= RECENT_ROWS && q->from_us < recent_us) {
        req->whole_from = req->params[4];
        req->params[4] = text_of_time(recent_us);
    }
    if (q->ascending)
        req->statement = one ? ROWS_ONE_ASC : ROWS_ASC;
    else
        req->statement = one ? ROWS_ONE_DESC : ROWS_DESC;
    rows_send(req);
    return req;
}

struct repo_request *repo_facts(struct repo *r, const struct question *q, const struct plan *plan,
                                int wants, repo_row_fn on_row, repo_done done, void *arg)
{
    struct repo_request *req = request_new(r, q, on_row, done, arg);
    req->params[3] = text_of_int(wants);
    req->params[4] = text_of_spans(plan->hours, plan->hour_count, false);
    req->params[5] = text_of_spans(plan->hours, plan->hour_count, true);
    req->params[6] = text_of_spans(plan->minutes, plan->minute_count, false);
    req->params[7] = text_of_spans(plan->minutes, plan->minute_count, true);
    if (plan->has_tail) {
        req->params[8] = text_of_time(plan->tail.from_us);
        req->params[9] = text_of_time(plan->tail.to_us);
    }
    req->statement = FACTS_TENANT;
    if (!q->tenant_id)
        req->statement = FACTS_ALL;
    else if (q->routes.n > 0 && q->models.n > 0)
        req->statement = FACTS_NAMED;
    req->query = pg_pool_stream(r->pool, req->statement, (const char *const *)req->params, on_facts,
                                request_done, req);
    return req;
}

static struct repo_request *look_new(struct repo *r, const struct question *q,
                                     enum repo_statement statement,
                                     const struct repo_look_reader *reader)
{
    struct repo_request *req = request_new(r, q, reader->on_row, reader->done, reader->arg);
    req->look = *reader;
    req->statement = statement;
    return req;
}

static struct repo_request *look_send(struct repo_request *req)
{
    req->query = pg_pool_stream(req->repo->pool, req->statement, (const char *const *)req->params,
                                on_look_row, request_done, req);
    return req;
}

struct repo_request *repo_look(struct repo *r, const char *const *tenants, size_t n,
                               const char *since, int64_t windows_max, int wants,
                               const struct repo_look_reader *reader)
{
    static const struct question nothing;
    struct repo_request *req = look_new(r, &nothing, LOOK, reader);
    req->params[0] = text_of_name_list(tenants, n);
    req->params[3] = text_of_int(wants);
    req->params[4] = since ? xstrdup(since) : NULL;
    req->params[5] = text_of_int(windows_max);
    return look_send(req);
}

struct repo_request *repo_look_keys(struct repo *r, const struct question *q, const char *since,
                                    int64_t windows_max, const struct repo_look_reader *reader)
{
    struct repo_request *req = look_new(r, q, LOOK_KEYS, reader);
    req->params[3] = text_of_int(windows_max);
    req->params[4] = xstrdup(since);
    return look_send(req);
}

struct repo_request *repo_look_rows(struct repo *r, const struct question *q,
                                    const struct repo_key *keys, size_t n, int wants,
                                    const struct repo_look_reader *reader)
{
    struct repo_request *req = look_new(r, q, LOOK_ROWS, reader);
    struct buf ids = {0}, starts = {0};
    char start[TIME_RFC3339_MAX];
    for (size_t i = 0; i < n; i++) {
        buf_addf(&ids, "%c%lld", i > 0 ? ',' : '{', (long long)keys[i].series_id);
        buf_addc(&starts, i > 0 ? ',' : '{');
        buf_add(&starts, start, time_format_rfc3339(keys[i].window_start_us, start));
    }
    buf_addc(&ids, '}');
    buf_addc(&starts, '}');
    req->params[3] = text_of_int(wants);
    req->params[4] = buf_steal(&ids);
    req->params[5] = buf_steal(&starts);
    return look_send(req);
}

static void names_done(void *arg, enum pg_status status, const PGresult *r, const struct err *e)
{
    struct repo_request *req = arg;
    request_done(req, status == PG_OK ? read_all(req, r, read_name) : status, NULL, e);
}

struct repo_request *repo_names(struct repo *r, const struct question *q, repo_row_fn on_row,
                                repo_done done, void *arg)
{
    static const enum repo_statement of[] = {
        [ENDPOINT_SERIES] = NAMES_SERIES,
        [ENDPOINT_TENANTS] = NAMES_TENANTS,
        [ENDPOINT_ROUTES] = NAMES_ROUTES,
        [ENDPOINT_MODELS] = NAMES_MODELS,
    };
    struct repo_request *req = request_new(r, q, on_row, done, arg);
    // Of all tenants is the statement behind.
    req->statement = of[q->endpoint] + (q->tenant_id ? 0 : 1);
    req->params[3] = q->prefix ? xstrdup(q->prefix) : NULL;
    req->params[4] = text_of_time(q->from_us);
    req->params[5] = text_of_time(q->to_us);
    req->params[6] = text_of_int(q->limit + 1);
    if (q->has_after)
        after_params(req, q->after.tenant_id.p ? text_of_str(q->after.tenant_id) : xstrdup(""), q);
    req->query =
        pg_pool_query(r->pool, req->statement, (const char *const *)req->params, names_done, req);
    return req;
}

void repo_cancel(struct repo_request *req)
{
    pg_query_cancel(req->query);
    request_free(req);
}

// ---- the repo -----------------------------------------------------------------------------------

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

struct repo *repo_new(struct event_base *base, const struct config *c, repo_state_fn on_state,
                      void *arg, struct pg_stats *stats, struct err *e)
{
    struct repo *r = xcalloc(1, sizeof(*r));
    r->on_state = on_state;
    r->arg = arg;
    for (int i = 0; i < REPO_STATEMENTS; i++) {
        r->statements[i] =
            (struct pg_statement){r->names[i], repo_sql(i), repo_sql_params(i), false};
        snprintf(r->names[i], sizeof(r->names[i]), "repo_%d", i);
    }
    memcpy(&r->statements[REPO_STATEMENTS], repo_prices_statements, sizeof(repo_prices_statements));
    struct pg_pool_options o = {
        .dsn = c->postgres_read_dsn[0] ? c->postgres_read_dsn : c->postgres_dsn,
        .application_name = "streamlens-metrics-api",
        .size = (int)c->pg_pool_size,
        .queue_max = (int)c->pg_queue_size,
        .query_timeout_us = c->query_timeout_ms * US_PER_MS,
        // A generic plan is made once, and may be of a time when a day's partition was empty; a
        // scan of all of it for each series would be the end.
        .session_sql = "SET enable_seqscan = off",
        .connect_timeout_us = CONNECT_TIMEOUT_US,
        .statements = r->statements,
        .statement_count = ARRAY_LEN(r->statements),
        .check_sql = SQL_CHECK_VERSION,
        .check_result = check_schema,
        .on_state = state_changed,
        .arg = r,
        .stats = stats,
    };
    r->pool = pg_pool_new(base, &o, e);
    if (!r->pool) {
        repo_free(r);
        return NULL;
    }
    r->prices = repo_prices_new(base, r->pool, REPO_STATEMENTS);
    return r;
}

void repo_free(struct repo *r)
{
    if (!r)
        return;
    r->on_state = NULL;
    pg_pool_free(r->pool);
    repo_prices_free(r->prices);
    free(r);
}

struct repo_prices *repo_prices(struct repo *r)
{
    return r->prices;
}

bool repo_up(const struct repo *r)
{
    return pg_pool_up(r->pool);
}
