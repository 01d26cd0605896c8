// SPDX-License-Identifier: Apache-2.0
// streamlens-metrics-api: wiring. Settings, loop, repo, answers, notifications, auth, stream,
// server; and the way down.
#include "common/core/config.h"
#include "common/core/hash.h"
#include "common/core/timeunit.h"
#include "common/io/log.h"
#include "common/io/loop.h"
#include "common/io/pg_listen.h"
#include "common/io/sd_notify.h"
#include "common/io/service.h"
#include "metrics-api/routes.h"

#include <malloc.h>
#include <sys/random.h>

struct app {
    struct config config;
    struct routes routes;
    struct loop *loop;
    struct http_server *server;
    struct hash_key hash_key;
    struct answerer *answerer;
    struct prom_loader *prom_loader;
    struct pg_listen *listen;
    struct sd_notify *notify;
    bool was_up, failed, hears;
    struct err why; // failed
};

static void on_drained(void *arg)
{
    struct app *app = arg;
    loop_stop(app->loop);
}

static void on_stop(void *arg)
{
    struct app *app = arg;
    app->routes.draining = true;
    sd_notify_stopping(app->notify);
    http_server_drain(app->server, app->config.http_drain_timeout_ms * US_PER_MS, on_drained, app);
}

// A database that is away at the start may come; one that is not ours needs somebody's hand. Once
// it has served, neither ends the process: clients are told why, and an upgrade may be under way.
static void on_database(void *arg, enum repo_state state, const struct err *e)
{
    struct app *app = arg;
    if (state == REPO_UP) {
        log_info("database connected");
        app->was_up = true;
    } else if (state == REPO_AWAY || app->was_up) {
        log_warn("database unavailable", "error", e->detail);
    } else {
        app->failed = true;
        app->why = *e;
        loop_stop(app->loop);
    }
}

// ---- notifications of flushes -------------------------------------------------------------------

static void on_listening(void *arg)
{
    struct app *app = arg;
    app->hears = true;
    serve_listening(app->routes.serve, true);
    stream_nudge(app->routes.stream);
}

static void on_notified(void *arg, const char *payload)
{
    struct app *app = arg;
    serve_notified(app->routes.serve, payload);
    if (*payload) // else no row is another
        stream_nudge(app->routes.stream);
}

static void on_deaf(void *arg, const struct err *e)
{
    struct app *app = arg;
    if (app->hears)
        log_warn("notifications are not heard: nothing is answered from the cache", "error",
                 e->detail);
    app->hears = false;
    serve_listening(app->routes.serve, false);
}

static int listen_for_flushes(struct app *app, struct event_base *base, struct err *e)
{
    struct pg_listen_options o = {
        .dsn = app->config.postgres_dsn,
        .application_name = "streamlens-metrics-api listener",
        .channel = "streamlens_flush",
        .on_up = on_listening,
        .on_notify = on_notified,
        .on_down = on_deaf,
        .arg = app,
        .stats = &app->routes.listen_stats,
    };
    app->listen = pg_listen_new(base, &o, e);
    return app->listen ? 0 : -1;
}

// ---- wiring -------------------------------------------------------------------------------------

static bool is_ready(void *arg, struct err *how)
{
    const struct app *app = arg;
    return routes_ready(&app->routes, how);
}

static void seed(struct hash_key *key)
{
    unsigned char bytes[32];
    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        abort(); // up to 256 bytes are never short once the kernel is seeded
    hash_key_init(key, bytes, sizeof(bytes));
}

static int run(struct app *app, struct err *e)
{
    app->loop = loop_new(on_stop, app, e);
    if (!app->loop)
        return -1;
    struct event_base *base = loop_base(app->loop);
    struct routes *routes = &app->routes;
    routes->repo = repo_new(base, &app->config, on_database, app, &routes->pg_stats, e);
    if (!routes->repo)
        return -1;
    seed(&app->hash_key);
    app->answerer =
        answerer_new(base, routes->repo, &app->hash_key, (size_t)app->config.answer_memory_bytes);
    routes->serve = serve_new(app->answerer, &app->config, &app->hash_key, &routes->stats);
    app->prom_loader = prom_loader_new(base, routes->repo, &app->config, &app->hash_key,
                                       serve_freshness(routes->serve), &routes->stats);
    routes->prometheus =
        prom_api_new(app->prom_loader, &app->config, &app->hash_key, &routes->stats);
    routes->compresses = app->config.http_gzip_level > 0;
    if (listen_for_flushes(app, base, e) != 0)
        return -1;
    routes->auth = auth_new(base, &app->config, "metrics-api", &routes->auth_stats, e);
    if (!routes->auth)
        return -1;
    routes->stream = stream_new(base, routes->repo, routes->auth, &app->config, &routes->stats);
    app->server = service_listen(&app->config, base, routes_table, routes_count, routes,
                                 &routes->http_stats, e);
    if (!app->server)
        return -1;
    http_server_write_errors(app->server, PROM_PATHS, prom_api_write_error);
    app->notify = sd_notify_new(base, is_ready, app);
    if (loop_run(app->loop) != 0)
        return err_set(e, "the event loop failed");
    *e = app->why;
    return app->failed ? -1 : 0;
}

// Answers of some hundred KiB come and go; given back to the system at each, their pages took a
// tenth of the time.
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

int main(int argc, char **argv)
{
    static struct app app;
    keep_memory();
    struct err e = {0};
    int exit_code;
    if (service_configure(&app.config, PROGRAM_METRICS, "metrics-api", argc, argv, &exit_code)) {
        if (run(&app, &e) < 0)
            exit_code = service_failed(&e);
        stream_free(app.routes.stream);
        // Requests that still wait are answered by repo_free() and prom_loader_free(): the server
        // ends after them.
        repo_free(app.routes.repo);
        pg_listen_free(app.listen);
        prom_loader_free(app.prom_loader);
        prom_api_free(app.routes.prometheus);
        serve_free(app.routes.serve);
        answerer_free(app.answerer);
        http_server_free(app.server);
        auth_free(app.routes.auth);
        sd_notify_free(app.notify);
        loop_free(app.loop);
    }
    config_free(&app.config);
    return exit_code;
}
