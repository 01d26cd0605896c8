// SPDX-License-Identifier: Apache-2.0
// The server as a whole: the settle event, drain, the end.
#include "common/io/http_internal.h"

#include "common/io/clock.h"

#include <sys/random.h>

static void set_default(size_t *limit, size_t value)
{
    if (*limit == 0)
        *limit = value;
}

static void set_default_us(int64_t *limit, int64_t value)
{
    if (*limit == 0)
        *limit = value;
}

static void set_limits(struct http_server *s, const struct http_limits *limits)
{
    struct http_limits *l = &s->limits;
    *l = *limits;
    set_default(&l->max_connections, 10000);
    set_default(&l->max_header_bytes, 16 << 10);
    set_default(&l->max_target_bytes, 8 << 10);
    set_default(&l->pipeline_depth, 16);
    set_default(&l->max_memory_bytes, 64 << 20);
    set_default(&l->max_stream_bytes, 256 << 10);
    set_default_us(&l->header_timeout_us, 10 * INT64_C(1000000));
    set_default_us(&l->body_timeout_us, 30 * INT64_C(1000000));
    set_default_us(&l->idle_timeout_us, 75 * INT64_C(1000000));
    set_default_us(&l->write_timeout_us, 30 * INT64_C(1000000));
    s->read_high = l->max_header_bytes < (64 << 10) ? 64 << 10 : l->max_header_bytes + 1;
    s->duration_us[DEADLINE_IDLE] = l->idle_timeout_us;
    s->duration_us[DEADLINE_HEADER] = l->header_timeout_us;
    s->duration_us[DEADLINE_BODY] = l->body_timeout_us;
    s->duration_us[DEADLINE_WRITE] = l->write_timeout_us;
    s->duration_us[DEADLINE_LINGER] = HTTP_LINGER_US;
    s->duration_us[DEADLINE_GRACE] = HTTP_GRACE_US;
}

void http_server_conn_count_changed(struct http_server *s)
{
    s->stats->connections = (int64_t)s->conn_count;
    bool full = s->conn_count >= s->limits.max_connections;
    if (full != s->paused_by_cap) {
        s->paused_by_cap = full;
        s->stats->listener_paused_cap += full;
        http_listeners_enable(s);
    }
    if (s->draining && s->conn_count == 0)
        event_active(s->settle, 0, 0);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http_server *s = arg;
    s->paused_by_error = false;
    http_listeners_enable(s);
}

// Calls the owner at most once, who may free the server: nothing may follow a call of this.
static void finish_drain(struct http_server *s)
{
    if (!s->draining || s->drained || s->conn_count > 0)
        return;
    s->drained = true;
    evtimer_del(s->drain_timer);
    if (s->on_drained)
        s->on_drained(s->on_drained_arg);
}

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http_server *s = arg;
    struct http_conn *c;
    s->turn++;
    s->settling = true;
    s->settle_us = clock_mono_us();
    while ((c = TAILQ_FIRST(&s->dirty)) && c->turn != s->turn) {
        TAILQ_REMOVE(&s->dirty, c, dirty_link);
        http_conn_settle(c);
    }
    s->settling = false;
    finish_drain(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    http_deadlines_run(arg);
}

static void close_all(struct http_server *s)
{
    struct http_conn *c;
    while ((c = TAILQ_FIRST(&s->conns)))
        http_conn_free(c);
}

static void on_drain_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    close_all(arg);
    finish_drain(arg);
}

static struct http_peers *new_peers(const struct http_limits *limits)
{
    unsigned char seed[16];
    if (limits->max_connections_per_address == 0)
        return NULL;
    // Fails on no kernel that this runs on; then the table is only easier to attack.
    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        memset(seed, 0, sizeof(seed));
    return http_peers_new(limits->max_connections_per_address, limits->max_connections, seed);
}

static void new_route_paths(struct http_server *s)
{
    s->route_paths = xcalloc(s->route_count, sizeof(s->route_paths[0]));
    for (size_t i = 0; i < s->route_count; i++)
        s->route_paths[i] =
            (struct http_route_path){.n = strlen(s->routes[i].path),
                                     .has_parameter = http_path_has_parameter(s->routes[i].path)};
}

struct http_server *http_server_new(struct event_base *base, const struct http_limits *limits,
                                    const struct http_route *routes, size_t route_count, void *arg,
                                    struct http_stats *stats)
{
    struct http_server *s = xcalloc(1, sizeof(*s));
    s->base = base;
    s->routes = routes;
    s->route_count = route_count;
    s->arg = arg;
    s->stats = stats ? stats : &s->own_stats;
    set_limits(s, limits);
    s->peers = new_peers(&s->limits);
    new_route_paths(s);
    http_route_stats_new(s);
    TAILQ_INIT(&s->conns);
    TAILQ_INIT(&s->dirty);
    TAILQ_INIT(&s->orphans);
    for (size_t i = 0; i < DEADLINE_KINDS; i++)
        TAILQ_INIT(&s->deadlines[i]);
    s->settle = event_new(base, -1, 0, on_settle, s);
    s->timer = evtimer_new(base, on_timer, s);
    s->resume = evtimer_new(base, on_resume, s);
    s->drain_timer = evtimer_new(base, on_drain_timeout, s);
    return s;
}

void http_server_guard_bodies(struct http_server *s,
                              bool (*admit)(struct http_exchange *x, void *arg))
{
    s->admit = admit;
}

void http_server_write_errors(struct http_server *s, const char *prefix,
                              void (*write)(struct http_exchange *x, int status,
                                            const struct err *e))
{
    s->errors_prefix = str_of(prefix);
    s->write_error = write;
}

void http_server_drain(struct http_server *s, int64_t timeout_us, void (*done)(void *), void *arg)
{
    if (s->draining)
        return;
    s->draining = true;
    s->on_drained = done;
    s->on_drained_arg = arg;
    http_listeners_accept_rest(s);
    http_listeners_free(s);
    struct http_conn *c;
    TAILQ_FOREACH(c, &s->conns, link)
    http_conn_drain(c);
    struct timeval tv = {.tv_sec = timeout_us / 1000000, .tv_usec = timeout_us % 1000000};
    evtimer_add(s->drain_timer, &tv);
    event_active(s->settle, 0, 0);
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    http_listeners_free(s);
    close_all(s);
    struct http_exchange *x;
    while ((x = TAILQ_FIRST(&s->orphans))) {
        TAILQ_REMOVE(&s->orphans, x, link);
        x->server = NULL; // its answer will find nobody
    }
    while (s->spare_count > 0)
        free(s->spares[--s->spare_count]);
    event_free(s->settle);
    event_free(s->timer);
    event_free(s->resume);
    event_free(s->drain_timer);
    http_peers_free(s->peers);
    while (s->spare_out_count > 0)
        buf_free(&s->spare_outs[--s->spare_out_count]);
    free(s->route_stats);
    free(s->route_paths);
    free(s);
}
