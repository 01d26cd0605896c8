// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/routes.h"

#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/service.h"

STATS_DEFINE(metrics_stats, METRICS_STATS)

#define RETRY_AFTER_S "1" // the pool tries again at least that often

// ---- questions ----------------------------------------------------------------------------------

// One that waits for its answer.
struct asking {
    struct routes *routes;
    struct http_exchange *x;
    struct answering *pending;
    int64_t begun_us;
};

static int read_params(struct http_exchange *x, struct question *q, struct err *e)
{
    struct http_query_iter it = {http_query(x)};
    struct buf scratch = {0};
    struct str name, value;
    int more;
    while ((more = http_query_next(&it, &name, &value, &scratch, e)) == 1)
        if (question_param(q, name, value, e) != 0) {
            more = -1;
            break;
        }
    buf_free(&scratch);
    return more;
}

static struct question_rights rights_of(const struct auth_identity *who)
{
    if (!who->authenticated)
        return (struct question_rights){.any_tenant = true};
    return (struct question_rights){
        .tenant = who->scopes & SCOPE_READ ? who->tenant : (struct str){NULL, 0},
        .any_tenant = (who->scopes & SCOPE_ADMIN) != 0,
    };
}

static enum question_verdict read_question(struct http_exchange *x, const struct auth_identity *who,
                                           struct question *q, struct err *e)
{
    struct question_rights rights = rights_of(who);
    if (read_params(x, q, e) != 0)
        return QUESTION_WRONG;
    return question_finish(q, &rights, clock_wall_us(), e);
}

static void refuse(struct routes *rt, struct http_exchange *x, enum question_verdict verdict,
                   const struct err *e)
{
    if (verdict == QUESTION_OTHER_TENANT) {
        rt->stats.answers_forbidden++;
        http_problem(x, 403, e);
    } else {
        rt->stats.answers_bad_request++;
        http_problem(x, 400, e);
    }
}

static void reply_answer(struct http_exchange *x, const struct answer *a)
{
    const struct answer_about *about = &a->about;
    if (about->data_through[0])
        http_add_header(x, "StreamLens-Data-Through", about->data_through);
    http_add_header(x, "StreamLens-Open-Windows", about->open_windows ? "true" : "false");
    http_add_header(x, "StreamLens-Percentile-Error", ANSWER_PERCENTILE_ERROR);
    if (about->next_cursor.n > 0)
        http_add_header(x, "StreamLens-Next-Cursor", about->next_cursor.p);
    http_reply(x, 200, render_media_type(a->format), a->body.p, a->body.n);
}

static void answered(void *arg, struct answer *a)
{
    struct asking *ask = arg;
    struct routes *rt = ask->routes;
    struct http_exchange *x = ask->x;
    stats_observe_us(&rt->stats.answer_seconds, clock_mono_us() - ask->begun_us);
    free(ask);
    switch (a->status) {
    case ANSWER_OK:
        rt->stats.answers_ok++;
        rt->stats.rows += (int64_t)a->rows;
        reply_answer(x, a);
        return;
    case ANSWER_WRONG:
        rt->stats.answers_bad_request++;
        http_problem(x, 400, &a->err);
        return;
    case ANSWER_UNAVAILABLE:
        rt->stats.answers_unavailable++;
        http_add_header(x, "Retry-After", RETRY_AFTER_S);
        http_problem(x, 503, &a->err);
        return;
    case ANSWER_FAILED:
        // What PostgreSQL says of our statement is for the log, not for strangers.
        log_error("query failed", "detail", a->err.detail);
        rt->stats.answers_failed++;
        http_problemf(x, 500, "the database refused the query");
        return;
    }
}

// Nobody reads the answer any more; PostgreSQL need not finish it.
static void client_gone(void *arg)
{
    struct asking *ask = arg;
    struct http_exchange *x = ask->x;
    answer_cancel(ask->pending);
    ask->routes->stats.answers_client_gone++;
    free(ask);
    http_reply(x, 503, NULL, NULL, 0); // the exchange ends with an answer in any case
}

static void get_question(struct http_exchange *x, struct routes *rt,
                         enum question_endpoint endpoint)
{
    struct auth_identity who;
    struct question q = {.endpoint = endpoint};
    struct err e;
    if (auth_check(rt->auth, x, SCOPE_READ | SCOPE_ADMIN, &who) != 0)
        return;
    enum question_verdict verdict = read_question(x, &who, &q, &e);
    if (verdict != QUESTION_FINE) {
        refuse(rt, x, verdict, &e);
    } else {
        struct asking *ask = xmalloc(sizeof(*ask));
        *ask = (struct asking){.routes = rt, .x = x, .begun_us = clock_mono_us()};
        ask->pending = answer_begin(rt->answerer, &q, answered, ask);
        http_on_gone(x, client_gone, ask);
    }
    question_clear(&q);
}

#define GET_QUESTION(name, endpoint)                                                               \
    static void name(struct http_exchange *x, void *arg)                                           \
    {                                                                                              \
        get_question(x, arg, endpoint);                                                            \
    }
GET_QUESTION(get_metrics, ENDPOINT_METRICS)
GET_QUESTION(get_summary, ENDPOINT_SUMMARY)
GET_QUESTION(get_top, ENDPOINT_TOP)
GET_QUESTION(get_heatmap, ENDPOINT_HEATMAP)
GET_QUESTION(get_series, ENDPOINT_SERIES)
GET_QUESTION(get_tenants, ENDPOINT_TENANTS)
GET_QUESTION(get_routes, ENDPOINT_ROUTES)
GET_QUESTION(get_models, ENDPOINT_MODELS)

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
    {"GET", "/v1/metrics", get_metrics, 0},   {"GET", "/v1/summary", get_summary, 0},
    {"GET", "/v1/top", get_top, 0},           {"GET", "/v1/heatmap", get_heatmap, 0},
    {"GET", "/v1/series", get_series, 0},     {"GET", "/v1/tenants", get_tenants, 0},
    {"GET", "/v1/routes", get_routes, 0},     {"GET", "/v1/models", get_models, 0},
    {"GET", "/health", get_ready, 0},         {"GET", "/readyz", get_ready, 0},
    {"GET", "/livez", get_alive, 0},          {"GET", "/startupz", get_started, 0},
    {"GET", "/metrics", get_self_metrics, 0},
};
const size_t routes_count = ARRAY_LEN(routes_table);
