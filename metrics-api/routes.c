// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/routes.h"

#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/service.h"
#include "metrics-api/openapi.h"

STATS_DEFINE(metrics_stats, METRICS_STATS)

#define RETRY_AFTER_S "1"

// ---- questions ----------------------------------------------------------------------------------

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
    static const char *const types[] = {"application/json", "application/x-ndjson", "text/csv"};
    static const enum render_format formats[] = {RENDER_JSON, RENDER_NDJSON, RENDER_CSV};
    int preferred = http_accepts(x, types, ARRAY_LEN(types));
    if (preferred >= 0)
        question_accept(q, formats[preferred]);
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

static void get_question(struct http_exchange *x, struct routes *rt,
                         enum question_endpoint endpoint)
{
    struct auth_identity who;
    struct question q = {.endpoint = endpoint};
    struct err e;
    if (auth_check(rt->auth, x, SCOPE_READ | SCOPE_ADMIN, &who) != 0)
        return;
    enum question_verdict verdict = read_question(x, &who, &q, &e);
    if (verdict != QUESTION_FINE)
        refuse(rt, x, verdict, &e);
    else if (endpoint == ENDPOINT_STREAM)
        stream_begin(rt->stream, x, &q);
    else
        serve_question(rt->serve, x, &q);
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
GET_QUESTION(get_stream, ENDPOINT_STREAM)
GET_QUESTION(get_series, ENDPOINT_SERIES)
GET_QUESTION(get_tenants, ENDPOINT_TENANTS)
GET_QUESTION(get_routes, ENDPOINT_ROUTES)
GET_QUESTION(get_models, ENDPOINT_MODELS)
GET_QUESTION(get_cost, ENDPOINT_COST)
GET_QUESTION(get_prices, ENDPOINT_PRICES)

// ---- Prometheus' API ----------------------------------------------------------------------------

static void ask_prometheus(struct http_exchange *x, struct routes *rt, enum prom_endpoint endpoint)
{
    struct auth_identity who;
    if (auth_check(rt->auth, x, SCOPE_READ | SCOPE_ADMIN, &who) != 0)
        return;
    struct question_rights rights = rights_of(&who);
    prom_api_answer(rt->prometheus, x, endpoint, &rights);
}

#define ASK_PROMETHEUS(name, endpoint)                                                             \
    static void name(struct http_exchange *x, void *arg)                                           \
    {                                                                                              \
        ask_prometheus(x, arg, endpoint);                                                          \
    }
ASK_PROMETHEUS(prom_query, PROM_QUERY)
ASK_PROMETHEUS(prom_query_range, PROM_QUERY_RANGE)
ASK_PROMETHEUS(prom_series, PROM_SERIES)
ASK_PROMETHEUS(prom_labels, PROM_LABELS)
ASK_PROMETHEUS(prom_label_values, PROM_LABEL_VALUES)
ASK_PROMETHEUS(prom_metadata, PROM_METADATA)
ASK_PROMETHEUS(prom_exemplars, PROM_QUERY_EXEMPLARS)
ASK_PROMETHEUS(prom_rules, PROM_RULES)
ASK_PROMETHEUS(prom_alerts, PROM_ALERTS)
ASK_PROMETHEUS(prom_buildinfo, PROM_BUILDINFO)

// ---- the document -------------------------------------------------------------------------------

static void get_openapi(struct http_exchange *x, void *arg)
{
    struct routes *rt = arg;
    bool zip = rt->compresses && http_accepts_gzip(x);
    const char *etag = zip ? openapi_etag_gzip : openapi_etag;
    const struct str *body = zip ? &openapi_json_gzip : &openapi_json;
    http_add_header(x, "ETag", etag);
    http_add_header(x, "Cache-Control", "no-cache");
    if (rt->compresses)
        http_add_header(x, "Vary", "Accept-Encoding");
    if (http_not_modified(x, etag)) {
        http_reply(x, 304, NULL, NULL, 0);
        return;
    }
    if (zip)
        http_add_header(x, "Content-Encoding", "gzip");
    http_reply(x, 200, "application/json", body->p, body->n);
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

bool routes_ready(const struct routes *rt, struct err *why)
{
    if (rt->draining)
        return err_set(why, "the service is stopping") == 0;
    if (!repo_up(rt->repo))
        return err_set(why, "there is no connection to PostgreSQL") == 0;
    return auth_ready(rt->auth, why) == 0;
}

static void get_ready(struct http_exchange *x, void *arg)
{
    const struct routes *rt = arg;
    struct err why;
    bool ready = routes_ready(rt, &why);
    if (!ready)
        http_add_header(x, "Retry-After", RETRY_AFTER_S);
    service_reply_health(x, ready ? NULL : why.detail);
}

static void get_self_metrics(struct http_exchange *x, void *arg)
{
    struct routes *rt = arg;
    struct buf own = {0};
    rt->stats.database_up = repo_up(rt->repo);
    metrics_stats_render(&rt->stats, &own);
    pg_stats_render(&rt->pg_stats, &own);
    pg_listen_stats_render(&rt->listen_stats, &own);
    auth_stats_render(&rt->auth_stats, &own);
    service_reply_metrics(x, &own, &rt->http_stats, "metrics-api");
}

const struct http_route routes_table[] = {
    {"GET", "/v1/metrics", get_metrics, 0},
    {"GET", "/v1/summary", get_summary, 0},
    {"GET", "/v1/top", get_top, 0},
    {"GET", "/v1/heatmap", get_heatmap, 0},
    {"GET", "/v1/series", get_series, 0},
    {"GET", "/v1/tenants", get_tenants, 0},
    {"GET", "/v1/routes", get_routes, 0},
    {"GET", "/v1/models", get_models, 0},
    {"GET", "/v1/stream", get_stream, 0},
    {"GET", "/v1/cost", get_cost, 0},
    {"GET", "/v1/prices", get_prices, 0},
    {"GET", "/openapi.json", get_openapi, 0},
    {"GET", "/health", get_ready, 0},
    {"GET", "/readyz", get_ready, 0},
    {"GET", "/livez", get_alive, 0},
    {"GET", "/startupz", get_started, 0},
    {"GET", "/metrics", get_self_metrics, 0},
    {"GET", "/api/v1/query", prom_query, 0},
    {"POST", "/api/v1/query", prom_query, PROM_BODY_MAX},
    {"GET", "/api/v1/query_range", prom_query_range, 0},
    {"POST", "/api/v1/query_range", prom_query_range, PROM_BODY_MAX},
    {"GET", "/api/v1/query_exemplars", prom_exemplars, 0},
    {"POST", "/api/v1/query_exemplars", prom_exemplars, PROM_BODY_MAX},
    {"GET", "/api/v1/series", prom_series, 0},
    {"POST", "/api/v1/series", prom_series, PROM_BODY_MAX},
    {"GET", "/api/v1/labels", prom_labels, 0},
    {"POST", "/api/v1/labels", prom_labels, PROM_BODY_MAX},
    {"GET", "/api/v1/label/{name}/values", prom_label_values, 0},
    {"GET", "/api/v1/metadata", prom_metadata, 0},
    {"GET", "/api/v1/rules", prom_rules, 0},
    {"GET", "/api/v1/alerts", prom_alerts, 0},
    {"GET", "/api/v1/status/buildinfo", prom_buildinfo, 0},
};
const size_t routes_count = ARRAY_LEN(routes_table);
