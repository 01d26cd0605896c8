// SPDX-License-Identifier: Apache-2.0
// streamlens-ingest-api: wiring only.
//
// The end: SIGTERM closes the listener; what is in flight is answered, which takes until the log's
// acknowledgement or ACK_TIMEOUT_MS; then the loop stops. So nothing is left to flush.
#include "common/core/timeunit.h"
#include "common/io/auth_stats.h"
#include "common/io/http_server_stats.h"
#include "common/io/log.h"
#include "common/io/loop.h"
#include "common/io/sd_notify.h"
#include "common/io/service.h"
#include "ingest-api/limits_pg.h"
#include "ingest-api/routes.h"
#include "ingest-api/sink_kafka.h"

struct app {
    struct config config;
    struct ingest_stats stats;
    struct http_stats http_stats;
    struct auth_stats auth_stats;
    struct loop *loop;
    struct sink *sink;
    struct auth *auth;
    struct limits_pg *limits;
    struct routes *routes;
    struct http_server *server;
    struct sd_notify *notify;
    int exit_code;
};

static void on_drained(void *arg)
{
    struct app *a = arg;
    loop_stop(a->loop);
}

static void on_stop(void *arg)
{
    struct app *a = arg;
    sd_notify_stopping(a->notify);
    http_server_drain(a->server, a->config.http_drain_timeout_ms * US_PER_MS, on_drained, a);
}

static void on_refuse(void *arg, const struct err *why)
{
    struct app *a = arg;
    a->exit_code = service_failed(why);
    on_stop(a);
}

static bool is_ready(void *arg, struct err *how)
{
    const struct app *a = arg;
    return routes_ready(a->routes, how);
}

static int start(struct app *a, struct err *e)
{
    const struct config *c = &a->config;
    struct routes_options options = {
        .max_event_bytes = (size_t)c->max_body_bytes,
        .max_batch_bytes = (size_t)c->max_batch_bytes,
        .max_batch_events = (size_t)c->max_batch_events,
        .ack_timeout_us = c->ack_timeout_ms * US_PER_MS,
    };
    size_t count;

    a->loop = loop_new(on_stop, a, e);
    if (!a->loop)
        return -1;
    struct event_base *base = loop_base(a->loop);
    a->sink = sink_kafka_new(base, c, &a->stats, on_refuse, a, e);
    if (!a->sink)
        return -1;
    a->auth = auth_new(base, c, "ingest-api", &a->auth_stats, e);
    if (!a->auth)
        return -1;
    a->limits = limits_pg_new(base, c, &a->stats, e);
    if (!a->limits)
        return -1;
    a->routes = routes_new(&options, a->sink, a->auth, limits_pg_limits(a->limits), &a->stats,
                           &a->auth_stats, &a->http_stats);
    const struct http_route *table = routes_table(a->routes, &count);
    a->server = service_listen(c, base, table, count, a->routes, &a->http_stats, e);
    if (!a->server)
        return -1;
    http_server_guard_bodies(a->server, routes_admit_body);
    a->notify = sd_notify_new(base, is_ready, a);
    return 0;
}

static void run(struct app *a)
{
    struct err e;
    if (start(a, &e) < 0)
        a->exit_code = service_failed(&e);
    else if (loop_run(a->loop) < 0)
        a->exit_code = 1;
    // In this order: what the sink still owes is answered to exchanges that have lost their client.
    http_server_free(a->server);
    sink_free(a->sink);
    routes_free(a->routes);
    limits_pg_free(a->limits);
    auth_free(a->auth);
    sd_notify_free(a->notify);
    loop_free(a->loop);
    if (a->exit_code == 0)
        log_info("stopped");
}

int main(int argc, char **argv)
{
    static struct app app;
    if (service_configure(&app.config, PROGRAM_INGEST, "ingest-api", argc, argv, &app.exit_code))
        run(&app);
    config_free(&app.config);
    return app.exit_code;
}
