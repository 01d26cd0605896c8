// SPDX-License-Identifier: Apache-2.0
// ingest-api as it is, but without a log: fake_sink.h tells how a record's key decides what becomes
// of it. SIGUSR1 releases what is held, SIGUSR2 breaks the sink. The same settings as the service.
#include "common/core/timeunit.h"
#include "common/io/auth_stats.h"
#include "common/io/http_server_stats.h"
#include "common/io/loop.h"
#include "common/io/service.h"
#include "ingest-api/limits_pg.h"
#include "ingest-api/routes.h"
#include "tests/support/fake_sink.h"

#include <signal.h>

struct app {
    struct config config;
    struct ingest_stats stats;
    struct http_stats http_stats;
    struct auth_stats auth_stats;
    struct loop *loop;
    struct sink *sink;
    struct http_server *server;
};

static void on_drained(void *arg)
{
    struct app *a = arg;
    loop_stop(a->loop);
}

static void on_stop(void *arg)
{
    struct app *a = arg;
    http_server_drain(a->server, a->config.http_drain_timeout_ms * US_PER_MS, on_drained, a);
}

static void on_release(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    fake_sink_release(arg);
}

static void on_break(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    fake_sink_break(arg);
}

static int run(struct app *a)
{
    const struct config *c = &a->config;
    struct routes_options options = {
        .max_event_bytes = (size_t)c->max_body_bytes,
        .max_batch_bytes = (size_t)c->max_batch_bytes,
        .max_batch_events = (size_t)c->max_batch_events,
        .ack_timeout_us = c->ack_timeout_ms * US_PER_MS,
    };
    struct err e;
    size_t count;
    a->loop = loop_new(on_stop, a, &e);
    if (!a->loop)
        return service_failed(&e);
    struct event_base *base = loop_base(a->loop);
    a->sink = fake_sink_new(base);
    struct event *usr1 = evsignal_new(base, SIGUSR1, on_release, a->sink);
    struct event *usr2 = evsignal_new(base, SIGUSR2, on_break, a->sink);
    event_add(usr1, NULL);
    event_add(usr2, NULL);
    struct auth *auth = auth_new(base, c, "ingest-api", &a->auth_stats, &e);
    if (!auth)
        return service_failed(&e);
    struct limits_pg *limits = limits_pg_new(base, c, &a->stats, &e);
    if (!limits)
        return service_failed(&e);
    struct routes *routes = routes_new(&options, a->sink, auth, limits_pg_limits(limits), &a->stats,
                                       &a->auth_stats, &a->http_stats);
    const struct http_route *table = routes_table(routes, &count);
    a->server = service_listen(c, base, table, count, routes, &a->http_stats, &e);
    if (a->server)
        http_server_guard_bodies(a->server, routes_admit_body);
    int rc = a->server ? loop_run(a->loop) : service_failed(&e);
    http_server_free(a->server);
    sink_free(a->sink);
    routes_free(routes);
    limits_pg_free(limits);
    auth_free(auth);
    event_free(usr1);
    event_free(usr2);
    loop_free(a->loop);
    return rc == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct app app;
    int rc;
    if (service_configure(&app.config, PROGRAM_INGEST, "ingest-api", argc, argv, &rc))
        rc = run(&app);
    config_free(&app.config);
    return rc;
}
