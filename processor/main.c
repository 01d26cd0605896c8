// SPDX-License-Identifier: Apache-2.0
// streamlens-processor: wiring.
#include "common/io/http_server_stats.h"
#include "common/io/loop.h"
#include "common/io/sd_notify.h"
#include "common/io/service.h"
#include "processor/host.h"
#include "processor/publisher.h"
#include "processor/routes.h"

#include <sys/random.h>

#define STORE_TIMEOUT_MS 20000 // well below max.poll.interval.ms

struct app {
    struct config config;
    struct processor_stats stats;
    struct http_stats http_stats;
    struct loop *loop;
    struct store *store;
    struct publisher *publisher;
    struct emit *emit;
    struct host *host;
    struct hash_key key;
    struct runner *runner;
    struct routes routes;
    struct http_server *server;
    struct sd_notify *notify;
};

static void on_stop(void *arg)
{
    struct app *app = arg;
    sd_notify_stopping(app->notify);
    runner_stop(app->runner);
}

static bool is_ready(void *arg, struct err *how)
{
    const struct app *app = arg;
    struct runner_health h = runner_health(app->runner, store_pg_up(app->store));
    err_set(how, "%s", h.why);
    return h.ready;
}

// While a call waits for PostgreSQL, health checks are answered.
static void on_idle(void *arg)
{
    struct app *app = arg;
    event_base_loop(loop_base(app->loop), EVLOOP_NONBLOCK);
}

// Of the tables in memory: nobody outside may choose ids that collide.
static void make_key(struct hash_key *key)
{
    unsigned char seed[32];
    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        abort(); // up to 256 bytes are never short once the kernel is seeded
    hash_key_init(key, seed, sizeof(seed));
}

static int run(struct app *app, struct err *e)
{
    app->loop = loop_new(on_stop, app, e);
    if (!app->loop)
        return -1;
    app->store = store_pg_new(&app->config, STORE_TIMEOUT_MS, on_idle, app);
    app->publisher = publisher_start(&app->config, store_pg_token(app->store), e);
    if (!app->publisher)
        return -1;
    app->emit = emit_kafka_new(&app->config, e);
    if (!app->emit)
        return -1;
    app->host = host_new(&app->config, loop_base(app->loop), app->emit, app->publisher);
    struct runner_host calls = host_calls(app->host);
    make_key(&app->key);
    app->runner = runner_new(&app->config, &calls, &app->key, app->store, app->emit, &app->stats);
    app->routes =
        (struct routes){app->runner, app->store, app->publisher, &app->stats, &app->http_stats};
    app->server = routes_listen(&app->routes, &app->config, loop_base(app->loop), e);
    if (!app->server)
        return -1;
    app->notify = sd_notify_new(loop_base(app->loop), is_ready, app);
    return runner_run(app->runner, e);
}

int main(int argc, char **argv)
{
    static struct app app;
    struct err e = {0};
    int exit_code;
    if (service_configure(&app.config, PROGRAM_PROCESSOR, "processor", argc, argv, &exit_code)) {
        int rc = run(&app, &e);
        bool ended = publisher_stop(app.publisher);
        if (rc < 0)
            exit_code = service_failed(&e); // the last thing that is said
        if (!ended)
            return exit_code; // its thread still uses what would be freed
        runner_free(app.runner);
        http_server_free(app.server);
        host_free(app.host);
        emit_free(app.emit);
        store_free(app.store);
        sd_notify_free(app.notify);
        loop_free(app.loop);
    }
    config_free(&app.config);
    return exit_code;
}
