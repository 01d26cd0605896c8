// SPDX-License-Identifier: Apache-2.0
// A server for tests of common/io/auth: the settings of metrics-api, one path a scope, and answers
// that tell whom the request is from. Of the services it is the smallest.
//
//   /ingest, /read, /admin, /any   {"authenticated", "tenant", "scopes", "events_per_second", "id"}
//   /readyz                        503 with the reason until credentials can be judged
//   /metrics                       what authentication counts
#include "common/core/config.h"
#include "common/core/timeunit.h"
#include "common/io/auth.h"
#include "common/io/auth_stats.h"
#include "common/io/http_server_stats.h"
#include "common/io/loop.h"
#include "common/io/service.h"

#include <inttypes.h>

struct app {
    struct config config;
    struct loop *loop;
    struct http_server *server;
    struct http_stats http_stats;
    struct auth *auth;
    struct auth_stats auth_stats;
};

static void add_member(struct buf *out, const char *name, struct str value)
{
    buf_addf(out, ",\"%s\":", name);
    if (value.p)
        buf_add_json_str(out, value);
    else
        buf_adds(out, "null");
}

static void tell(struct http_exchange *x, struct app *app, unsigned any_of)
{
    struct auth_identity who;
    if (auth_check(app->auth, x, any_of, &who) != 0)
        return;
    struct buf out = {0};
    buf_addf(&out, "{\"authenticated\":%s,\"scopes\":%u,\"events_per_second\":%" PRId64,
             who.authenticated ? "true" : "false", who.scopes, who.events_per_second);
    add_member(&out, "tenant", who.tenant);
    add_member(&out, "id", who.id);
    buf_addc(&out, '}');
    http_reply(x, 200, "application/json", out.p, out.n);
    buf_free(&out);
}

static void handle_ingest(struct http_exchange *x, void *arg)
{
    tell(x, arg, SCOPE_INGEST);
}

static void handle_read(struct http_exchange *x, void *arg)
{
    tell(x, arg, SCOPE_READ);
}

static void handle_admin(struct http_exchange *x, void *arg)
{
    tell(x, arg, SCOPE_ADMIN);
}

static void handle_any(struct http_exchange *x, void *arg)
{
    tell(x, arg, SCOPE_INGEST | SCOPE_READ | SCOPE_ADMIN);
}

static void handle_readyz(struct http_exchange *x, void *arg)
{
    struct app *app = arg;
    struct err why;
    service_reply_health(x, auth_ready(app->auth, &why) == 0 ? NULL : why.detail);
}

static void handle_metrics(struct http_exchange *x, void *arg)
{
    struct app *app = arg;
    struct buf own = {0};
    auth_stats_render(&app->auth_stats, &own);
    service_reply_metrics(x, &own, &app->http_stats, "auth-test-server");
}

static const struct http_route routes[] = {
    {"GET", "/ingest", handle_ingest, 0}, {"GET", "/read", handle_read, 0},
    {"GET", "/admin", handle_admin, 0},   {"GET", "/any", handle_any, 0},
    {"GET", "/readyz", handle_readyz, 0}, {"GET", "/metrics", handle_metrics, 0},
};

static void on_drained(void *arg)
{
    struct app *app = arg;
    loop_stop(app->loop);
}

static void on_stop(void *arg)
{
    struct app *app = arg;
    http_server_drain(app->server, app->config.http_drain_timeout_ms * US_PER_MS, on_drained, app);
}

static int run(struct app *app, struct err *e)
{
    app->loop = loop_new(on_stop, app, e);
    if (!app->loop)
        return -1;
    struct event_base *base = loop_base(app->loop);
    app->auth = auth_new(base, &app->config, "auth-test-server", &app->auth_stats, e);
    if (!app->auth)
        return -1;
    app->server =
        service_listen(&app->config, base, routes, ARRAY_LEN(routes), app, &app->http_stats, e);
    return app->server ? loop_run(app->loop) : -1;
}

int main(int argc, char **argv)
{
    static struct app app;
    struct err e = {0};
    int exit_code;
    if (service_configure(&app.config, PROGRAM_METRICS, "auth-test-server", argc, argv,
                          &exit_code)) {
        if (run(&app, &e) != 0)
            exit_code = service_failed(&e);
        http_server_free(app.server);
        auth_free(app.auth);
        loop_free(app.loop);
    }
    config_free(&app.config);
    return exit_code;
}
