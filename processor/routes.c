// SPDX-License-Identifier: Apache-2.0
#include "processor/routes.h"

#include "common/io/service.h"

// A lost dependency fails readiness, never liveness: a restart would not bring it back.
static void on_live(struct http_exchange *x, void *arg)
{
    (void)arg;
    service_reply_health(x, NULL);
}

static void on_ready(struct http_exchange *x, void *arg)
{
    const struct routes *r = arg;
    struct runner_health h = runner_health(r->runner, store_pg_up(r->store));
    if (h.ready && h.degraded)
        service_reply_degraded(x, h.why);
    else
        service_reply_health(x, h.ready ? NULL : h.why);
}

static void on_started(struct http_exchange *x, void *arg)
{
    const struct routes *r = arg;
    struct runner_health h = runner_health(r->runner, store_pg_up(r->store));
    service_reply_health(x, h.started ? NULL : h.why);
}

static void on_metrics(struct http_exchange *x, void *arg)
{
    struct routes *r = arg;
    struct buf out = {0};
    struct publisher_stats publisher;
    runner_update_gauges(r->runner);
    r->stats->price_version = store_pg_price_version(r->store);
    r->stats->refused_catalogues = store_pg_refused_catalogues(r->store);
    r->stats->unpriced_requests = store_pg_unpriced_requests(r->store);
    r->stats->series_over_cap = store_pg_series_over_cap(r->store);
    r->stats->database_errors = store_pg_errors(r->store);
    r->stats->database_up = store_pg_up(r->store);
    r->stats->ready = runner_health(r->runner, store_pg_up(r->store)).ready;
    processor_stats_render(r->stats, &out);
    runner_render_partitions(r->runner, &out);
    publisher_stats_read(r->publisher, &publisher);
    publisher_stats_render(&publisher, &out);
    service_reply_metrics(x, &out, r->http_stats, "processor");
}

static const struct http_route table[] = {
    {"GET", "/health", on_ready, 0},    {"GET", "/livez", on_live, 0},
    {"GET", "/readyz", on_ready, 0},    {"GET", "/startupz", on_started, 0},
    {"GET", "/metrics", on_metrics, 0},
};

struct http_server *routes_listen(struct routes *r, const struct config *c, struct event_base *base,
                                  struct err *e)
{
    return service_listen(c, base, table, ARRAY_LEN(table), r, r->http_stats, e);
}
