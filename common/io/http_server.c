// SPDX-License-Identifier: Apache-2.0
// The server as a whole: listeners, the settle event, drain, the end.
#include "common/io/http_internal.h"

#include "common/io/clock.h"
#include "common/io/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define LISTEN_BACKLOG 1024
#define ACCEPT_RETRY_US 200000 // after an accept error such as "out of descriptors"

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
    set_default(&l->max_in_flight_bytes, 64 << 20);
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

static void enable_listeners(struct http_server *s)
{
    bool on = !s->paused_by_cap && !s->paused_by_error;
    for (size_t i = 0; i < s->listener_count; i++) {
        if (on)
            evconnlistener_enable(s->listeners[i]);
        else
            evconnlistener_disable(s->listeners[i]);
    }
}

void http_server_conn_count_changed(struct http_server *s)
{
    s->stats->connections = (int64_t)s->conn_count;
    bool full = s->conn_count >= s->limits.max_connections;
    if (full != s->paused_by_cap) {
        s->paused_by_cap = full;
        s->stats->listener_paused_cap += full;
        enable_listeners(s);
    }
    if (s->draining && s->conn_count == 0)
        event_active(s->settle, 0, 0);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len,
                      void *arg)
{
    (void)l, (void)len;
    http_conn_new(arg, fd, addr);
}

// Out of descriptors, mostly. The listener stays readable, so going on would spin.
static void on_accept_error(struct evconnlistener *l, void *arg)
{
    (void)l;
    static struct log_limit limit;
    struct http_server *s = arg;
    int error = EVUTIL_SOCKET_ERROR();
    s->paused_by_error = true;
    s->stats->listener_paused_error++;
    enable_listeners(s);
    struct timeval tv = {.tv_usec = ACCEPT_RETRY_US};
    evtimer_add(s->resume, &tv);
    if (log_limit(&limit, clock_mono_us(), 10 * INT64_C(1000000)))
        log_warn("cannot accept connections for now", "error", strerror(error), "connections",
                 log_num((int64_t)s->conn_count));
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http_server *s = arg;
    s->paused_by_error = false;
    enable_listeners(s);
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

static int make_address(const char *addr, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, addr, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return (int)sizeof(*v4);
    }
    if (inet_pton(AF_INET6, addr, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return (int)sizeof(*v6);
    }
    return 0;
}

static int bound_port(struct evconnlistener *l)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr;
    socklen_t len = sizeof(addr);
    memset(&addr, 0, sizeof(addr));
    if (getsockname(evconnlistener_get_fd(l), &addr.any, &len) != 0)
        return -1;
    return ntohs(addr.any.sa_family == AF_INET6 ? addr.v6.sin6_port : addr.v4.sin_port);
}

void http_server_guard_bodies(struct http_server *s,
                              bool (*admit)(struct http_exchange *x, void *arg))
{
    s->admit = admit;
}

int http_server_listen(struct http_server *s, const char *addr, int port, struct err *e)
{
    if (s->draining || s->listener_count == HTTP_MAX_LISTENERS)
        return err_set(e, "cannot listen on %s port %d: too many addresses", addr, port);
    struct sockaddr_storage sa;
    int len = make_address(addr, port, &sa);
    if (len == 0 || port < 0 || port > 65535)
        return err_set(e, "cannot listen on %s port %d: not a numeric address and a port", addr,
                       port);
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    struct evconnlistener *l = evconnlistener_new_bind(s->base, on_accept, s, flags, LISTEN_BACKLOG,
                                                       (struct sockaddr *)&sa, len);
    if (!l)
        return err_set(e, "cannot listen on %s port %d: %s", addr, port, strerror(errno));
    evconnlistener_set_error_cb(l, on_accept_error);
    s->listeners[s->listener_count++] = l;
    enable_listeners(s);
    return bound_port(l);
}

static void free_listeners(struct http_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        evconnlistener_free(s->listeners[i]);
    s->listener_count = 0;
    evtimer_del(s->resume);
}

void http_server_drain(struct http_server *s, int64_t timeout_us, void (*done)(void *), void *arg)
{
    if (s->draining)
        return;
    s->draining = true;
    s->on_drained = done;
    s->on_drained_arg = arg;
    free_listeners(s);
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
    free_listeners(s);
    close_all(s);
    struct http_exchange *x;
    while ((x = TAILQ_FIRST(&s->orphans))) {
        TAILQ_REMOVE(&s->orphans, x, link);
        x->server = NULL; // its answer will find nobody
    }
    event_free(s->settle);
    event_free(s->timer);
    event_free(s->resume);
    event_free(s->drain_timer);
    free(s);
}
