// SPDX-License-Identifier: Apache-2.0
#include "ingest-api/routes.h"

#include "common/core/timeunit.h"
#include "common/io/auth_stats.h"
#include "common/io/clock.h"
#include "common/io/service.h"
#include "ingest-api/body.h"

#include <stdio.h>

#define RETRY_AFTER_S "1"
#define JSON "application/json"
#define TOO_LARGE "the event is larger than its topic takes"
#define PROBLEM_JSON "application/problem+json"
#define ROUTES_MAX 16

struct routes {
    struct routes_options options;
    struct ingest *ingest;
    struct body *body;
    struct sink *sink;
    struct auth *auth;
    struct limits *limits;
    struct ingest_stats *stats;
    const struct auth_stats *auth_stats;
    const struct http_stats *http_stats;
    struct http_route table[ROUTES_MAX];
    size_t count;
};

// A request that waits for the log.
struct post {
    struct routes *routes;
    struct http_exchange *exchange;
    bool batch;
    size_t bytes; // of its records
    struct ingest_report report;
    size_t *index; // of each record in the batch; NULL for a single event
    bool *is_over; // told when the log has answered
};

static void reply_json(struct http_exchange *x, int status, const char *type, struct buf *body)
{
    http_reply(x, status, type, body->p, body->n);
    buf_free(body);
}

static void reply_unavailable(struct http_exchange *x, const char *why)
{
    http_add_header(x, "Retry-After", RETRY_AFTER_S);
    http_problemf(x, 503, "%s", why);
}

// ---- answers

static void count_answer(struct routes *r, const struct post *p, size_t acked, size_t failed)
{
    r->stats->events_accepted += (int64_t)acked;
    r->stats->events_rejected += (int64_t)p->report.rejected;
    r->stats->events_unacknowledged += (int64_t)failed;
    if (failed == 0 && acked > 0)
        r->stats->accepted_bytes += (int64_t)p->bytes;
}

static void reply_single(struct http_exchange *x, enum sink_result result)
{
    switch (result) {
    case SINK_ACKED:
        http_reply(x, 202, JSON, "{\"status\":\"accepted\"}", 21);
        return;
    case SINK_TOO_LARGE:
        http_problemf(x, 413, TOO_LARGE);
        return;
    case SINK_BUSY:
        reply_unavailable(x, "too many events wait for the log: send it again");
        return;
    case SINK_UNAVAILABLE:
        break;
    }
    reply_unavailable(x, "the log did not take the event in time: send it again");
}

// The members of a batch's answer; as a problem where the status says that it is one.
static void reply_batch(struct http_exchange *x, int status, const char *detail,
                        const struct ingest_report *report)
{
    struct buf body = {0};
    buf_addc(&body, '{');
    if (status != 202) {
        buf_addf(&body, "\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":",
                 http_reason(status), status);
        buf_add_json_str(&body, str_of(detail));
        buf_addc(&body, ',');
    }
    ingest_report_render(report, &body);
    buf_addc(&body, '}');
    if (status == 503)
        http_add_header(x, "Retry-After", RETRY_AFTER_S);
    reply_json(x, status, status == 202 ? JSON : PROBLEM_JSON, &body);
}

static void finish_batch(struct post *p, size_t failed)
{
    const struct ingest_report *report = &p->report;
    if (failed > 0)
        reply_batch(p->exchange, 503, "the log did not take every event in time: send all again",
                    report);
    else if (report->accepted > 0)
        reply_batch(p->exchange, 202, NULL, report);
    else if (report->rejected > 0)
        reply_batch(p->exchange, 400, "no event of the batch was accepted", report);
    else
        reply_batch(p->exchange, 400, "the batch holds no event", report);
}

static void post_free(struct post *p)
{
    ingest_report_free(&p->report);
    free(p->index);
    free(p);
}

static void report_too_large(struct post *p, size_t i)
{
    struct err e;
    err_set(&e, TOO_LARGE);
    ingest_report_add(&p->report, p->index ? p->index[i] : 0, &e);
}

static void on_published(void *arg, const enum sink_result *results, size_t count)
{
    struct post *p = arg;
    size_t acked = 0, failed = 0;
    if (p->is_over)
        *p->is_over = true;
    for (size_t i = 0; i < count; i++) {
        if (results[i] == SINK_ACKED)
            acked++;
        else if (results[i] == SINK_TOO_LARGE) // never to be sent again, unlike what was not taken
            report_too_large(p, i);
        else
            failed++;
    }
    p->report.accepted = acked;
    count_answer(p->routes, p, acked, failed);
    if (p->batch)
        finish_batch(p, failed);
    else
        reply_single(p->exchange, results[0]);
    post_free(p);
}

// ---- rate limits

static void add_limit_fields(struct http_exchange *x, const struct limits_account *account,
                             const struct limits_refusal *refusal)
{
    char policy[LIMITS_FIELD_MAX], state[LIMITS_FIELD_MAX];
    if (!limits_render(account, refusal, policy, state))
        return;
    http_add_header(x, "RateLimit-Policy", policy);
    http_add_header(x, "RateLimit", state);
}

static void reply_limited(struct http_exchange *x, struct routes *r,
                          const struct limits_account *account,
                          const struct limits_refusal *refusal)
{
    static const char *const whose[LIMIT_KINDS] = {
        [LIMIT_EVENTS] = "events than the tenant's",
        [LIMIT_BYTES] = "bytes than the tenant's",
        [LIMIT_KEY] = "events than the key's",
    };
    int64_t *const counters[LIMIT_KINDS] = {[LIMIT_EVENTS] = &r->stats->limited_events,
                                            [LIMIT_BYTES] = &r->stats->limited_bytes,
                                            [LIMIT_KEY] = &r->stats->limited_key};
    char seconds[24];
    (*counters[refusal->kind])++;
    snprintf(seconds, sizeof(seconds), "%lld", (long long)refusal->retry_after_s);
    http_add_header(x, "Retry-After", seconds);
    add_limit_fields(x, account, refusal);
    http_problemf(x, 429, "more %s limit allows: nothing was taken, send all again in %s s",
                  whose[refusal->kind], seconds);
}

// Finds the sender's account and charges the bytes. Answers, and returns false, where it must wait.
static bool charge_bytes(struct http_exchange *x, struct routes *r, const struct auth_identity *who,
                         size_t bytes, int64_t now_us, struct limits_account *out)
{
    struct limits_sender sender = {
        .tenant = who->tenant, .key_id = who->id, .key_events_per_second = who->events_per_second};
    struct limits_refusal refusal;
    struct err why;
    if (limits_ready(r->limits, &why) != 0) {
        reply_unavailable(x, "rate limits cannot be judged yet");
        return false;
    }
    limits_find(r->limits, &sender, now_us, out);
    if (bytes == 0 || limits_charge_bytes(out, (int64_t)bytes, &refusal) == 0)
        return true;
    reply_limited(x, r, out, &refusal);
    return false;
}

// The last that can refuse a request before the log. The same.
static bool charge_events(struct http_exchange *x, struct routes *r,
                          const struct limits_account *account, size_t events)
{
    struct limits_refusal refusal;
    if (limits_charge_events(account, (int64_t)events, &refusal) == 0) {
        add_limit_fields(x, account, NULL);
        return true;
    }
    limits_give_back_bytes(account, (int64_t)http_body(x).n);
    reply_limited(x, r, account, &refusal);
    return false;
}

// ---- POST

// The sink copies the records: unless it has answered at once, the body is needed no more, and need
// not stand in the way of other requests for as long as the log takes.
static void publish(struct post *p, const struct ingest_record *records, size_t count,
                    int64_t deadline_us)
{
    struct http_exchange *x = p->exchange;
    bool is_over = false;
    p->is_over = &is_over;
    sink_publish(p->routes->sink, records, count, deadline_us, on_published, p);
    if (is_over)
        return;
    p->is_over = NULL;
    http_release_body(x);
}

// Answers, and returns false, where the sender may not send, or not what it says it sends, or not
// so much. Who it is comes first: a stranger learns nothing about its request.
static bool admit(struct http_exchange *x, struct routes *r, struct auth_identity *who,
                  struct limits_account *account)
{
    if (auth_check(r->auth, x, SCOPE_INGEST, who) != 0 || !body_check_header(r->body, x))
        return false;
    assert(!who->authenticated || who->tenant.n > 0); // else its events could name any tenant
    return charge_bytes(x, r, who, http_body(x).n - http_remembered(x), http_received_us(x),
                        account);
}

static int64_t deadline_of(const struct routes *r, const struct http_exchange *x)
{
    return http_received_us(x) + r->options.ack_timeout_us;
}

static void post_single(struct http_exchange *x, struct routes *r, enum event_kind kind)
{
    struct auth_identity who;
    struct limits_account account;
    struct ingest_record record;
    struct str body;
    struct err e;

    if (!admit(x, r, &who, &account) || !body_read(r->body, x, r->options.max_event_bytes, &body))
        return;
    enum ingest_verdict verdict =
        ingest_single(r->ingest, kind, body, who.tenant, clock_wall_us(), &record, &e);
    if (verdict != INGEST_TAKEN) {
        r->stats->events_rejected++;
        add_limit_fields(x, &account, NULL);
        http_problem(x, verdict == INGEST_OTHER_TENANT ? 403 : 400, &e);
        return;
    }
    if (!charge_events(x, r, &account, 1))
        return;
    struct post *p = xcalloc(1, sizeof(*p));
    *p = (struct post){.routes = r, .exchange = x, .bytes = record.value.n};
    publish(p, &record, 1, deadline_of(r, x));
}

static void post_request(struct http_exchange *x, void *arg)
{
    post_single(x, arg, EVENT_REQUEST);
}

static void post_response(struct http_exchange *x, void *arg)
{
    post_single(x, arg, EVENT_RESPONSE);
}

static void remember_records(struct post *p, const struct ingest_record *records, size_t count)
{
    p->index = xmalloc(count * sizeof(p->index[0]));
    for (size_t i = 0; i < count; i++) {
        p->index[i] = records[i].index;
        p->bytes += records[i].value.n;
    }
}

static void post_events(struct http_exchange *x, void *arg)
{
    struct routes *r = arg;
    struct auth_identity who;
    struct limits_account account;
    const struct ingest_record *records;
    size_t count;
    struct str body;
    struct err e;

    if (!admit(x, r, &who, &account) || !body_read(r->body, x, r->options.max_batch_bytes, &body))
        return;
    struct post *p = xcalloc(1, sizeof(*p));
    *p = (struct post){.routes = r, .exchange = x, .batch = true};
    r->stats->batches++;
    if (ingest_batch(r->ingest, body, who.tenant, clock_wall_us(), &records, &count, &p->report,
                     &e) < 0) {
        add_limit_fields(x, &account, NULL);
        http_problem(x, 413, &e);
        post_free(p);
        return;
    }
    if (count == 0) {
        add_limit_fields(x, &account, NULL);
        count_answer(r, p, 0, 0);
        finish_batch(p, 0);
        post_free(p);
        return;
    }
    if (!charge_events(x, r, &account, count)) {
        post_free(p);
        return;
    }
    remember_records(p, records, count);
    publish(p, records, count, deadline_of(r, x));
}

static size_t length_of(struct str digits)
{
    size_t n = 0;
    for (size_t i = 0; i < digits.n; i++)
        n = n * 10 + (size_t)(digits.p[i] - '0');
    return n;
}

// Only events have a body. A stranger's is not waited for, nor one that is too much: all senders
// share the room for them. What says how long it is is charged here, so that many at once are too.
bool routes_admit_body(struct http_exchange *x, void *arg)
{
    struct routes *r = arg;
    struct auth_identity who;
    struct limits_account account;
    size_t length = length_of(http_header(x, "content-length")); // checked by the server; or none
    if (auth_admit(r->auth, x, SCOPE_INGEST, &who) != 0 ||
        !charge_bytes(x, r, &who, length, clock_mono_us(), &account))
        return false;
    http_remember(x, length);
    return true;
}

// ---- health and metrics

bool routes_ready(const struct routes *r, struct err *why)
{
    return auth_ready(r->auth, why) == 0 && limits_ready(r->limits, why) == 0 &&
           sink_ready(r->sink, why) == 0;
}

// Also behind /health: the original's knew nothing of the broker, but a load balancer that follows
// it must not send events to a process that cannot keep them.
static void get_readyz(struct http_exchange *x, void *arg)
{
    struct routes *r = arg;
    struct err why;
    service_reply_health(x, routes_ready(r, &why) ? NULL : why.detail);
}

static void get_livez(struct http_exchange *x, void *arg UNUSED)
{
    service_reply_health(x, NULL);
}

static void get_startupz(struct http_exchange *x, void *arg)
{
    struct routes *r = arg;
    struct err why;
    if (!sink_started(r->sink))
        service_reply_health(x, "the topics have not been checked yet");
    else
        service_reply_health(x, auth_ready(r->auth, &why) == 0 && limits_ready(r->limits, &why) == 0
                                    ? NULL
                                    : why.detail);
}

static void get_metrics(struct http_exchange *x, void *arg)
{
    struct routes *r = arg;
    struct buf own = {0};
    struct err why;
    r->stats->ready = routes_ready(r, &why);
    r->stats->limit_buckets = (int64_t)limits_buckets(r->limits);
    r->stats->limit_buckets_shared = limits_shared(r->limits);
    ingest_stats_render(r->stats, &own);
    auth_stats_render(r->auth_stats, &own);
    service_reply_metrics(x, &own, r->http_stats, "ingest-api");
}

// ---- the table

static void add_route(struct routes *r, const char *method, const char *path, http_handler handler,
                      size_t max_body_bytes)
{
    assert(r->count < ROUTES_MAX);
    r->table[r->count++] = (struct http_route){
        .method = method, .path = path, .handler = handler, .max_body_bytes = max_body_bytes};
}

struct routes *routes_new(const struct routes_options *options, struct sink *sink,
                          struct auth *auth, struct limits *limits, struct ingest_stats *stats,
                          const struct auth_stats *auth_stats, const struct http_stats *http_stats)
{
    struct routes *r = xcalloc(1, sizeof(*r));
    r->options = *options;
    r->ingest = ingest_new(&(struct ingest_limits){.max_event_bytes = options->max_event_bytes,
                                                   .max_batch_events = options->max_batch_events});
    r->body = body_new(stats);
    r->sink = sink;
    r->auth = auth;
    r->limits = limits;
    r->stats = stats;
    r->auth_stats = auth_stats;
    r->http_stats = http_stats;
    add_route(r, "POST", "/v1/llm/request", post_request, options->max_event_bytes);
    add_route(r, "POST", "/v1/llm/response", post_response, options->max_event_bytes);
    add_route(r, "POST", "/v1/llm/events", post_events, options->max_batch_bytes);
    add_route(r, "GET", "/health", get_readyz, 0);
    add_route(r, "GET", "/livez", get_livez, 0);
    add_route(r, "GET", "/readyz", get_readyz, 0);
    add_route(r, "GET", "/startupz", get_startupz, 0);
    add_route(r, "GET", "/metrics", get_metrics, 0);
    return r;
}

const struct http_route *routes_table(const struct routes *r, size_t *count)
{
    *count = r->count;
    return r->table;
}

void routes_free(struct routes *r)
{
    if (!r)
        return;
    body_free(r->body);
    ingest_free(r->ingest);
    free(r);
}
