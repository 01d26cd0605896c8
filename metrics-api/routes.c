// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/routes.h"

#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/service.h"
#include "common/core/metrics_json.h"

STATS_DEFINE(metrics_stats, METRICS_STATS)

#define JSON "application/json"
#define RETRY_AFTER_S "1" // the pool tries again at least that often

// ---- GET /v1/metrics --------------------------------------------------------------------------

struct metrics_request {
    struct routes *routes;
    struct http_exchange *x;
    struct repo_request *pending;
};

static int query_params(struct http_exchange *x, struct query *q, struct err *e)
{
    struct http_query_iter it = {http_query(x)};
    struct buf scratch = {0};
    struct str name, value;
    int more;
    while ((more = http_query_next(&it, &name, &value, &scratch, e)) == 1)
        if (query_param(q, name, value, e) != 0) {
            more = -1;
            break;
        }
    buf_free(&scratch);
    return more;
}

static struct query_rights rights_of(const struct auth_identity *who)
{
    if (!who->authenticated)
        return (struct query_rights){.any_tenant = true};
    return (struct query_rights){
        .tenant = who->scopes & SCOPE_READ ? who->tenant : (struct str){NULL, 0},
        .any_tenant = (who->scopes & SCOPE_ADMIN) != 0,
    };
}

static enum query_verdict query_read(struct http_exchange *x, const struct auth_identity *who,
                                     struct query *q, struct err *e)
{
    struct query_rights rights = rights_of(who);
    return query_params(x, q, e) == 0 ? query_finish(q, &rights, e) : QUERY_WRONG;
}

static void answer_unavailable(struct http_exchange *x, const struct err *e)
{
    http_add_header(x, "Retry-After", RETRY_AFTER_S);
    http_problem(x, 503, e);
}

static int render_rows(const struct repo_rows *rows, struct buf *out, struct err *e)
{
    struct metrics_json j = {0};
    size_t n = repo_rows_count(rows);
    buf_reserve(out, 64 + n * 1200); // near the size of a row with its names
    buf_adds(out, "{\"metrics\":[");
    for (size_t i = 0; i < n; i++) {
        struct metrics_row row;
        if (repo_rows_get(rows, i, &row, e) != 0)
            return -1;
        buf_adds(out, i > 0 ? ",{" : "{");
        metrics_json_members(&j, out, &row);
        buf_addc(out, '}');
    }
    buf_addf(out, "],\"count\":%zu}", n);
    return 0;
}

static void answer_rows(struct routes *rt, struct http_exchange *x, const struct repo_rows *rows)
{
    int64_t begun_us = clock_mono_us();
    struct buf out = {0};
    struct err e;
    if (render_rows(rows, &out, &e) == 0) {
        stats_observe_us(&rt->stats.render_seconds, clock_mono_us() - begun_us);
        rt->stats.answers_ok++;
        rt->stats.rows += (int64_t)repo_rows_count(rows);
        http_reply(x, 200, JSON, out.p, out.n);
    } else {
        log_error("row not understood", "detail", e.detail);
        rt->stats.answers_failed++;
        http_problemf(x, 500, "the database's answer was not understood");
    }
    buf_free(&out);
}

static void metrics_done(void *arg, enum repo_status status, const struct repo_rows *rows,
                         const struct err *e)
{
    struct metrics_request *req = arg;
    struct routes *rt = req->routes;
    struct http_exchange *x = req->x;
    free(req);
    if (status == REPO_OK) {
        answer_rows(rt, x, rows);
    } else if (status == REPO_UNAVAILABLE) {
        rt->stats.answers_unavailable++;
        answer_unavailable(x, e);
    } else {
        // What PostgreSQL says of our statement is for the log, not for strangers.
        log_error("query failed", "detail", e->detail);
        rt->stats.answers_failed++;
        http_problemf(x, 500, "the database refused the query");
    }
}

// Nobody reads the answer any more; PostgreSQL need not finish it.
static void client_gone(void *arg)
{
    struct metrics_request *req = arg;
    struct http_exchange *x = req->x;
    repo_cancel(req->pending);
    req->routes->stats.answers_client_gone++;
    free(req);
    http_reply(x, 503, NULL, NULL, 0); // the exchange ends with an answer in any case
}

static void refuse_query(struct routes *rt, struct http_exchange *x, enum query_verdict verdict,
                         const struct err *e)
{
    if (verdict == QUERY_OTHER_TENANT) {
        rt->stats.answers_forbidden++;
        http_problem(x, 403, e);
    } else {
        rt->stats.answers_bad_request++;
        http_problem(x, 400, e);
    }
}

static void get_metrics(struct http_exchange *x, void *arg)
{
    struct routes *rt = arg;
    struct auth_identity who;
    struct query q = {0};
    struct err e;
    if (auth_check(rt->auth, x, SCOPE_READ | SCOPE_ADMIN, &who) != 0)
        return;
    enum query_verdict verdict = query_read(x, &who, &q, &e);
    if (verdict != QUERY_FINE) {
        refuse_query(rt, x, verdict, &e);
    } else {
        struct metrics_request *req = xmalloc(sizeof(*req));
        *req = (struct metrics_request){.routes = rt, .x = x};
        req->pending = repo_metrics(rt->repo, &q, metrics_done, req);
        http_on_gone(x, client_gone, req);
    }
    query_clear(&q);
}

// ---- health and self metrics ------------------------------------------------------------------

static void get_alive(struct http_exchange *x, UNUSED void *arg)
{
    service_reply_health(x, NULL);
}

// Started is who can tell callers apart; that PostgreSQL is away later is no reason to kill the
// process.
static void get_started(struct http_exchange *x, void *arg)
{
    struct routes *rt = arg;
    struct err why;
    service_reply_health(x, auth_ready(rt->auth, &why) == 0 ? NULL : why.detail);
}

static void get_ready(struct http_exchange *x, void *arg)
{
    struct routes *rt = arg;
    const char *why = NULL;
    struct err e;
    if (rt->draining)
        why = "the service is stopping";
    else if (!repo_up(rt->repo))
        why = "there is no connection to PostgreSQL";
    else if (auth_ready(rt->auth, &e) != 0)
        why = e.detail;
    if (why)
        http_add_header(x, "Retry-After", RETRY_AFTER_S);
    service_reply_health(x, why);
}

static void get_self_metrics(struct http_exchange *x, void *arg)
{
    struct routes *rt = arg;
    struct buf own = {0};
    rt->stats.database_up = repo_up(rt->repo);
    metrics_stats_render(&rt->stats, &own);
    pg_stats_render(&rt->pg_stats, &own);
    auth_stats_render(&rt->auth_stats, &own);
    service_reply_metrics(x, &own, &rt->http_stats, "metrics-api");
}

const struct http_route routes_table[] = {
    {"GET", "/v1/metrics", get_metrics, 0}, {"GET", "/health", get_ready, 0},
    {"GET", "/readyz", get_ready, 0},       {"GET", "/livez", get_alive, 0},
    {"GET", "/startupz", get_started, 0},   {"GET", "/metrics", get_self_metrics, 0},
};
const size_t routes_count = ARRAY_LEN(routes_table);
