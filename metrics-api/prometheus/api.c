// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/api.h"

#include "common/core/gzip.h"
#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "metrics-api/compress.h"

// In all, the wait for others that read included; as long as Grafana waits. Each statement has
// QUERY_TIMEOUT_MS.
#define TIMEOUT_US (30 * US_PER_S)
#define RETRY_AFTER_S "1"
#define ANSWER_BYTES_MAX (32u << 20)
#define SAMPLES_MAX 10000000         // of a query, in memory; 160 MB
#define EVALUATION_US (2 * US_PER_S) // while everybody waits

struct prom_api {
    struct prom_loader *loader;
    const struct hash_key *hash_key;
    int gzip_level;
    struct metrics_stats *stats;
};

// A request under way.
struct call {
    struct prom_api *api;
    struct http_exchange *x;
    struct prom_request r;
    char *tenant_id;                                // owned; NULL: everybody's rows
    struct promql_query *queries[PROM_MATCHES_MAX]; // the query, or match[]
    struct promql_when when;
    struct promql_select *selects; // owned
    size_t select_count;
    struct prom_load *load;
    int64_t begun_us, evaluated_until_us;
};

static void call_free(struct call *c)
{
    for (size_t i = 0; i < ARRAY_LEN(c->queries); i++)
        promql_free(c->queries[i]);
    prom_request_clear(&c->r);
    free(c->tenant_id);
    free(c->selects);
    free(c);
}

// ---- answers ------------------------------------------------------------------------------------

static void reply(struct prom_api *p, struct http_exchange *x, int status, const struct buf *body)
{
    struct buf zipped = {0};
    http_add_header(x, "Cache-Control", "private, no-cache");
    if (p->gzip_level > 0)
        http_add_header(x, "Vary", "Accept-Encoding");
    if (compress_pays(p->gzip_level, body->n) && http_accepts_gzip(x)) {
        gzip_compress((struct str){body->p, body->n}, p->gzip_level, &zipped);
        http_add_header(x, "Content-Encoding", "gzip");
        body = &zipped;
    }
    http_reply(x, status, "application/json", body->p, body->n);
    buf_free(&zipped);
}

static void reply_error(struct prom_api *p, struct http_exchange *x, enum prom_error type,
                        const struct err *e)
{
    struct buf body = {0};
    int64_t *counts[] = {
        [PROM_BAD_DATA] = &p->stats->answers_bad_request,
        [PROM_EXECUTION] = &p->stats->answers_bad_request,
        [PROM_TIMEOUT] = &p->stats->answers_unavailable,
        [PROM_UNAVAILABLE] = &p->stats->answers_unavailable,
        [PROM_NOT_FOUND] = &p->stats->answers_bad_request,
        [PROM_UNAUTHORIZED] = &p->stats->answers_forbidden,
        [PROM_FORBIDDEN] = &p->stats->answers_forbidden,
        [PROM_INTERNAL] = &p->stats->answers_failed,
    };
    ++*counts[type];
    if (type == PROM_INTERNAL) // what PostgreSQL says of our statement is for the log
        log_error("query failed", "detail", e->detail);
    prom_write_error(type, type == PROM_INTERNAL ? "the database refused the query" : e->detail,
                     &body);
    if (prom_error_status(type) == 503)
        http_add_header(x, "Retry-After", RETRY_AFTER_S);
    reply(p, x, prom_error_status(type), &body);
    buf_free(&body);
}

void prom_api_write_error(struct http_exchange *x, int status, const struct err *e)
{
    struct buf body = {0};
    enum prom_error type = status == 401   ? PROM_UNAUTHORIZED
                           : status == 403 ? PROM_FORBIDDEN
                           : status == 404 ? PROM_NOT_FOUND
                           : status < 500  ? PROM_BAD_DATA
                                           : PROM_UNAVAILABLE;
    prom_write_error(type, e->detail, &body);
    http_reply(x, status, "application/json", body.p, body.n);
    buf_free(&body);
}

static void end(struct call *c, const struct buf *body)
{
    stats_observe_us(&c->api->stats->answer_seconds, clock_mono_us() - c->begun_us);
    c->api->stats->answers_ok++;
    reply(c->api, c->x, 200, body);
    call_free(c);
}

static void end_bad(struct call *c, enum prom_error type, const struct err *e)
{
    stats_observe_us(&c->api->stats->answer_seconds, clock_mono_us() - c->begun_us);
    reply_error(c->api, c->x, type, e);
    call_free(c);
}

static void end_refused(struct call *c, enum promql_verdict verdict, const struct err *e)
{
    static const enum prom_error types[] = {
        [PROMQL_BAD_DATA] = PROM_BAD_DATA,
        [PROMQL_UNSUPPORTED] = PROM_EXECUTION,
        [PROMQL_EXECUTION] = PROM_EXECUTION,
        [PROMQL_TIMEOUT] = PROM_TIMEOUT,
    };
    end_bad(c, types[verdict], e);
}

// ---- queries ------------------------------------------------------------------------------------

static bool expired(void *arg)
{
    const struct call *c = arg;
    return clock_mono_us() > c->evaluated_until_us;
}

static struct promql_limits limits_of(struct call *c)
{
    struct promql_limits limits = promql_limits_default;
    limits.query_bytes = PROM_QUERY_BYTES_MAX;
    limits.steps = PROM_STEPS_MAX + 1; // a range has an instant more than steps
    limits.samples = SAMPLES_MAX;
    limits.expired = expired;
    limits.expired_arg = c;
    return limits;
}

static void end_too_large(struct call *c)
{
    struct err e;
    (void)err_set(&e, "the result is larger than %u MiB: ask for fewer series or a longer step",
                  ANSWER_BYTES_MAX >> 20);
    end_bad(c, PROM_EXECUTION, &e);
}

// Who looks at a curve is to know what it is made of.
static void tell_hours(struct promql_result *r, struct str infos[PROMQL_NOTES_MAX + 1])
{
    for (size_t i = 0; i < r->info_count; i++)
        infos[i] = r->infos[i];
    infos[r->info_count++] =
        STR_LIT("StreamLens info: counted by the hour, and spread evenly over its minutes, since "
                "these are too many, or no longer kept");
    r->infos = infos;
}

static void evaluate(struct call *c, const struct prom_loaded *loaded)
{
    struct promql_limits limits = limits_of(c);
    struct promql_input input = {loaded ? loaded->sets : NULL, loaded ? loaded->quantiles : NULL,
                                 c->api->hash_key};
    struct promql_result result = {0};
    struct str infos[PROMQL_NOTES_MAX + 1];
    struct buf body = {0};
    struct err e;
    c->evaluated_until_us = clock_mono_us() + EVALUATION_US;
    enum promql_verdict verdict =
        promql_eval(c->queries[0], &c->when, &input, &limits, &result, &e);
    if (verdict == PROMQL_OK && loaded && loaded->by_the_hour)
        tell_hours(&result, infos);
    if (verdict != PROMQL_OK)
        end_refused(c, verdict, &e);
    else if (prom_write_result(&result, c->r.start_ms, c->r.limit, ANSWER_BYTES_MAX, &body) != 0)
        end_too_large(c);
    else
        end(c, &body);
    promql_result_clear(&result);
    buf_free(&body);
}

// ---- names --------------------------------------------------------------------------------------

static void tell_names(struct call *c, const struct prom_loaded *loaded)
{
    struct buf body = {0};
    int rc = 0;
    if (c->r.endpoint == PROM_SERIES)
        rc = prom_write_series(loaded->series, loaded->series_count, c->r.limit, ANSWER_BYTES_MAX,
                               &body);
    else
        prom_write_names(loaded->names, loaded->name_count, c->r.limit, &body);
    if (rc != 0)
        end_too_large(c);
    else
        end(c, &body);
    buf_free(&body);
}

// ---- waiting ------------------------------------------------------------------------------------

static void on_loaded(void *arg, struct prom_loaded *loaded, enum prom_error type,
                      const struct err *e)
{
    struct call *c = arg;
    c->load = NULL;
    if (!loaded) {
        end_bad(c, type, e);
        return;
    }
    bool query = c->r.endpoint == PROM_QUERY || c->r.endpoint == PROM_QUERY_RANGE;
    if (query)
        evaluate(c, loaded);
    else
        tell_names(c, loaded);
    prom_loaded_clear(loaded);
}

static void on_gone(void *arg)
{
    struct call *c = arg;
    struct http_exchange *x = c->x;
    c->api->stats->answers_client_gone++;
    if (c->load)
        prom_load_cancel(c->load);
    call_free(c);
    http_reply(x, 503, NULL, NULL, 0); // the exchange ends with an answer in any case
}

static void wait_for(struct call *c, enum prom_load_what what,
                     const struct promql_quantile *quantiles, size_t quantile_count)
{
    struct prom_load_spec spec = {
        .what = what,
        .label = str_of(c->r.label),
        .list_max = c->r.limit > 0 && c->r.limit < PROM_SERIES_LISTED ? (size_t)c->r.limit + 1 : 0,
        .tenant_id = str_of(c->tenant_id),
        .open = c->r.open,
        .selects = c->selects,
        .select_count = c->select_count,
        .quantiles = quantiles,
        .quantile_count = quantile_count,
        .when = c->when,
        .samples_max = SAMPLES_MAX,
        .timeout_us = TIMEOUT_US,
    };
    if (c->r.timeout_ms > 0)
        spec.timeout_us = min_i64(spec.timeout_us, c->r.timeout_ms * US_PER_MS);
    http_release_body(c->x);
    http_on_gone(c->x, on_gone, c);
    c->load = prom_load_begin(c->api->loader, &spec, on_loaded, c);
}

// Texts that cannot be read are refused as parameters are.
static enum promql_verdict blame(const char *parameter, enum promql_verdict verdict, struct err *e)
{
    struct err why = *e;
    if (verdict == PROMQL_BAD_DATA)
        (void)err_set(e, "invalid parameter \"%s\": %s", parameter, why.detail);
    return verdict;
}

static void begin_query(struct call *c)
{
    struct promql_limits limits = limits_of(c);
    struct err e;
    size_t quantile_count;
    enum promql_verdict verdict = promql_parse(str_of(c->r.query), &limits, &c->queries[0], &e);
    if (verdict != PROMQL_OK) {
        end_refused(c, blame("query", verdict, &e), &e);
        return;
    }
    c->when = (struct promql_when){.start_ms = c->r.start_ms,
                                   .end_ms = c->r.end_ms,
                                   .step_ms = c->r.step_ms,
                                   .lookback_ms = c->r.lookback_ms};
    const struct promql_select *selects = promql_selects(c->queries[0], &c->when, &c->select_count);
    c->selects = xmemdup(selects, c->select_count * sizeof(*selects));
    const struct promql_quantile *quantiles = promql_quantiles(c->queries[0], &quantile_count);
    if (c->select_count == 0)
        evaluate(c, NULL);
    else
        wait_for(c, PROM_LOAD_SAMPLES, quantiles, quantile_count);
}

// A match[]: a selector, whose range is the request's.
static enum promql_verdict read_match(struct call *c, size_t i, struct err *e)
{
    struct promql_limits limits = limits_of(c);
    size_t n;
    enum promql_verdict verdict = promql_parse(str_of(c->r.matches[i]), &limits, &c->queries[i], e);
    if (verdict == PROMQL_OK && !promql_is_selector(c->queries[i])) {
        (void)err_set(e, "it must be a selector such as llm_requests_total{model=\"x\"}");
        verdict = PROMQL_BAD_DATA;
    }
    if (verdict == PROMQL_OK)
        c->selects[c->select_count] = *promql_selects(c->queries[i], &c->when, &n);
    return blame("match[]", verdict, e);
}

static void begin_names(struct call *c, enum prom_load_what what)
{
    struct err e;
    c->when = (struct promql_when){.start_ms = c->r.end_ms, .end_ms = c->r.end_ms};
    c->selects = xcalloc(c->r.match_count + 1, sizeof(*c->selects));
    for (; c->select_count < c->r.match_count; c->select_count++) {
        enum promql_verdict verdict = read_match(c, c->select_count, &e);
        if (verdict != PROMQL_OK) {
            end_refused(c, verdict, &e);
            return;
        }
    }
    if (c->select_count == 0) // nothing is asked: all
        c->select_count = 1;
    for (size_t i = 0; i < c->select_count; i++) {
        c->selects[i].from_ms = c->r.start_ms;
        c->selects[i].to_ms = c->r.end_ms;
        c->selects[i].quantile = SIZE_MAX;
    }
    wait_for(c, what, NULL, 0);
}

// ---- requests -----------------------------------------------------------------------------------

static int read_pairs(struct prom_request *r, struct str pairs, struct err *e)
{
    struct http_query_iter it = {pairs};
    struct buf scratch = {0};
    struct str name, value;
    int more;
    while ((more = http_query_next(&it, &name, &value, &scratch, e)) == 1)
        if (prom_request_param(r, name, value, e) != 0) {
            more = -1;
            break;
        }
    buf_free(&scratch);
    return more;
}

// What stands in the path, decoded as pairs are, but that a '+' is one.
static int read_label(struct call *c, struct err *e)
{
    struct str encoded = http_path_parameter(c->x);
    struct buf label = {0};
    int rc = 0;
    if (encoded.p)
        rc = http_decode_segment(encoded, &label, e);
    if (encoded.p && rc == 0)
        rc = prom_request_label(&c->r, (struct str){label.p, label.n}, e);
    buf_free(&label);
    return rc;
}

// Of a form's body the first of a name counts, before the query string: as with Prometheus.
static int read_request(struct call *c, struct err *e)
{
    struct str body = http_body(c->x);
    if (read_label(c, e) != 0 || (body.n > 0 && read_pairs(&c->r, body, e) != 0) ||
        read_pairs(&c->r, http_query(c->x), e) != 0)
        return -1;
    return prom_request_finish(&c->r, clock_wall_us() / US_PER_MS, e);
}

static int read_tenant(struct call *c, const struct question_rights *rights, struct err *e)
{
    struct str tenant_id = http_header(c->x, "x-scope-orgid");
    if (!rights->any_tenant) {
        if (tenant_id.n > 0 && !str_eq(tenant_id, rights->tenant))
            return err_set(e, "X-Scope-OrgID: this credential is of another tenant");
        tenant_id = rights->tenant;
    }
    if (tenant_id.n > 0 && !label_name_valid(tenant_id))
        return err_set(e, "X-Scope-OrgID: UTF-8 is wanted");
    if (tenant_id.n > 0) {
        c->tenant_id = xcalloc(tenant_id.n + 1, 1);
        memcpy(c->tenant_id, tenant_id.p, tenant_id.n);
    }
    return 0;
}

static void begin(struct call *c)
{
    struct buf body = {0};
    switch (c->r.endpoint) {
    case PROM_QUERY:
    case PROM_QUERY_RANGE:
        begin_query(c);
        return;
    case PROM_SERIES:
        begin_names(c, PROM_LOAD_SERIES);
        return;
    case PROM_LABELS:
        begin_names(c, PROM_LOAD_LABELS);
        return;
    case PROM_LABEL_VALUES:
        begin_names(c, PROM_LOAD_VALUES);
        return;
    case PROM_METADATA:
        prom_write_metadata(c->r.metric, c->r.limit, &body);
        break;
    case PROM_BUILDINFO:
        prom_write_buildinfo(STREAMLENS_VERSION, "", &body);
        break;
    case PROM_RULES:
        prom_write_empty_groups(&body);
        break;
    case PROM_ALERTS:
        prom_write_empty_alerts(&body);
        break;
    case PROM_QUERY_EXEMPLARS:
        prom_write_empty_list(&body);
        break;
    }
    end(c, &body);
    buf_free(&body);
}

void prom_api_answer(struct prom_api *p, struct http_exchange *x, enum prom_endpoint endpoint,
                     const struct question_rights *rights)
{
    struct call *c = xcalloc(1, sizeof(*c));
    struct err e;
    c->api = p;
    c->x = x;
    c->r.endpoint = endpoint;
    c->begun_us = clock_mono_us();
    if (read_request(c, &e) != 0)
        end_bad(c, PROM_BAD_DATA, &e);
    else if (read_tenant(c, rights, &e) != 0)
        end_bad(c, rights->any_tenant ? PROM_BAD_DATA : PROM_FORBIDDEN, &e);
    else
        begin(c);
}

struct prom_api *prom_api_new(struct prom_loader *loader, const struct config *c,
                              const struct hash_key *hash_key, struct metrics_stats *stats)
{
    struct prom_api *p = xcalloc(1, sizeof(*p));
    p->loader = loader;
    p->hash_key = hash_key;
    p->gzip_level = (int)c->http_gzip_level;
    p->stats = stats;
    return p;
}

void prom_api_free(struct prom_api *p)
{
    free(p);
}
