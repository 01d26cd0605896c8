// SPDX-License-Identifier: Apache-2.0
// A listener on a string: pg_listen_tool CHANNEL, the DSN in POSTGRES_DSN. Says "up", "down WHY"
// and "notify PAYLOAD", a line each. SIGTERM ends it: then it says how long the loop was held up at
// most ("gap MS"), how many notifications came between two of the loop's turns at most ("turn N",
// with --turns), and its statistics.
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/loop.h"
#include "common/io/pg_listen.h"
#include "common/io/pg_listen_stats.h"

#include <stdio.h>

#define TICK_US 20000

static struct {
    struct loop *loop;
    struct pg_listen *listen;
    struct pg_listen_stats stats;
    struct event *tick, *turn;
    int64_t ticked_us, gap_us;
    int in_turn, turn_max;
} app;

static void on_up(void *arg)
{
    (void)arg;
    printf("up\n");
}

static void on_down(void *arg, const struct err *e)
{
    (void)arg;
    printf("down %s\n", e->detail);
}

static void on_notify(void *arg, const char *payload)
{
    (void)arg;
    if (++app.in_turn > app.turn_max)
        app.turn_max = app.in_turn;
    printf("notify %s\n", payload);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    int64_t now_us = clock_mono_us();
    app.gap_us = max_i64(app.gap_us, now_us - app.ticked_us - TICK_US);
    app.ticked_us = now_us;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    app.in_turn = 0;
    event_add(app.turn, &(struct timeval){0});
}

static void on_stop(void *arg)
{
    (void)arg;
    struct buf out = {0};
    pg_listen_stats_render(&app.stats, &out);
    printf("gap %lld\nturn %d\n%.*s", (long long)(app.gap_us / 1000), app.turn_max, (int)out.n,
           out.p);
    buf_free(&out);
    loop_stop(app.loop);
}

int main(int argc, char **argv)
{
    const char *channel = argc > 1 ? argv[1] : "";
    const struct pg_listen_options o = {
        .dsn = getenv("POSTGRES_DSN"),
        .application_name = channel,
        .channel = channel,
        .on_up = on_up,
        .on_notify = on_notify,
        .on_down = on_down,
        .stats = &app.stats,
    };
    struct err e;
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_init("pg-listen-tool", "text", "debug");
    app.loop = loop_new(on_stop, NULL, &e);
    if (!app.loop)
        return 1;
    struct event_base *base = loop_base(app.loop);
    app.listen = pg_listen_new(base, &o, &e);
    if (!app.listen) {
        printf("refused %s %s\n", e.field, e.detail);
        loop_free(app.loop);
        return 1;
    }
    app.tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    app.turn = evtimer_new(base, on_turn, NULL);
    app.ticked_us = clock_mono_us();
    event_add(app.tick, &(struct timeval){.tv_usec = TICK_US});
    if (argc > 2 && strcmp(argv[2], "--turns") == 0)
        event_add(app.turn, &(struct timeval){0});
    int rc = loop_run(app.loop) != 0;
    pg_listen_free(app.listen);
    event_free(app.tick);
    event_free(app.turn);
    loop_free(app.loop);
    return rc;
}
