// SPDX-License-Identifier: Apache-2.0
// A server for tests of common/io/http_server: small routes, limits by flags, and answers that wait
// until they are asked for, so that no test has to guess a delay.
//
//   http_test_server [--max-connections=N] [--header-timeout-ms=N] …   (all flags: table below)
//
// Prints "listening PORT", and "drained" when a drain is over. SIGTERM drains; SIGUSR1 answers all
// that /hold keeps; then, once drained, the server is freed before what is still held is answered.
#include "common/io/clock.h"
#include "common/io/http_server.h"
#include "common/io/http_server_stats.h"
#include "common/io/log.h"
#include "common/io/loop.h"
#include "common/io/process_stats.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#define HOLD_MAX 4096
#define STREAM_MAX 2048

// A stream is named by its place in the order of their requests.
struct kept_stream {
    struct http_stream *stream; // NULL once it is ended
    size_t gone_n, drained_n, stop_n;
    bool polite; // says goodbye when the server stops
};

struct app {
    struct loop *loop;
    struct http_server *server;
    struct http_stats stats;
    struct http_exchange *held[HOLD_MAX];
    size_t held_n;
    struct kept_stream streams[STREAM_MAX];
    size_t stream_n;
    size_t gone_n; // clients that left before the answer of /hold
    int64_t drain_timeout_us;
    const char *socket; // to listen on besides; NULL: none
};

static void handle_hello(struct http_exchange *x, void *arg)
{
    (void)arg;
    http_reply(x, 200, "text/plain", "hello\n", 6);
}

static void handle_echo(struct http_exchange *x, void *arg)
{
    (void)arg;
    struct str body = http_body(x);
    http_reply(x, 200, "application/octet-stream", body.p, body.n);
}

// Bodies for /guarded are waited for where there is `x-test: yes`.
static bool admit_body(struct http_exchange *x, void *arg)
{
    (void)arg;
    if (!str_eq(http_path(x), STR_LIT("/guarded")) ||
        str_eq(http_header(x, "x-test"), STR_LIT("yes")))
        return true;
    http_problemf(x, 403, "x-test is wanted");
    return false;
}

static void on_gone(void *arg)
{
    struct app *app = arg;
    app->gone_n++;
}

static void handle_gone(struct http_exchange *x, void *arg)
{
    struct app *app = arg;
    struct buf out = {0};
    buf_addf(&out, "%zu", app->gone_n);
    http_reply(x, 200, "text/plain", out.p, out.n);
    buf_free(&out);
}

static void handle_hold(struct http_exchange *x, void *arg)
{
    struct app *app = arg;
    assert(app->held_n < HOLD_MAX);
    app->held[app->held_n++] = x;
    http_on_gone(x, on_gone, app);
}

static void handle_release_body(struct http_exchange *x, void *arg)
{
    http_release_body(x);
    handle_hold(x, arg);
}

static void handle_keyed(struct http_exchange *x, void *arg)
{
    (void)arg;
    http_note_key(x, STR_LIT("key-7"));
    http_reply(x, 200, "text/plain", "yours\n", 6);
}

static void handle_unavailable(struct http_exchange *x, void *arg)
{
    (void)arg;
    http_problemf(x, 503, "not now");
}

static int64_t query_number(struct http_exchange *x)
{
    struct str q = http_query(x);
    int64_t n = 0;
    for (size_t i = 0; i < q.n && q.p[i] >= '0' && q.p[i] <= '9' && n < INT64_C(1) << 32; i++)
        n = n * 10 + (q.p[i] - '0');
    return n;
}

static void on_stream_gone(void *arg)
{
    struct kept_stream *k = arg;
    k->gone_n++;
}

static void on_stream_drained(void *arg)
{
    struct kept_stream *k = arg;
    k->drained_n++;
}

static void on_stream_stop(void *arg)
{
    struct kept_stream *k = arg;
    k->stop_n++;
    if (!k->polite)
        return;
    if (http_stream_send(k->stream, "goodbye\n", 8) != 0)
        abort();
    http_stream_end(k->stream);
    k->stream = NULL;
}

static void keep_stream(struct app *app, struct http_exchange *x, bool polite)
{
    assert(app->stream_n < STREAM_MAX);
    struct http_stream *s = http_reply_stream(x, 200, "text/event-stream");
    if (!s)
        return;
    struct kept_stream *k = &app->streams[app->stream_n++];
    *k = (struct kept_stream){.stream = s, .polite = polite};
    http_stream_on_gone(s, on_stream_gone, k);
    http_stream_on_drained(s, on_stream_drained, k);
    http_stream_on_stop(s, on_stream_stop, k);
}

static void handle_stream(struct http_exchange *x, void *arg)
{
    bool polite = str_eq(http_query(x), STR_LIT("polite"));
    keep_stream(arg, x, polite);
}

static void reply_stream_state(struct http_exchange *x, const struct kept_stream *k, int rc)
{
    struct buf out = {0};
    buf_addf(&out, "{\"rc\":%d,\"pending\":%zu,\"gone\":%zu,\"drained\":%zu,\"stop\":%zu}", rc,
             k->stream ? http_stream_pending(k->stream) : 0, k->gone_n, k->drained_n, k->stop_n);
    http_reply(x, 200, "application/json", out.p, out.n);
    buf_free(&out);
}

static struct kept_stream *stream_of(struct http_exchange *x, struct app *app)
{
    size_t i = (size_t)query_number(x);
    assert(i < app->stream_n);
    return &app->streams[i];
}

static void handle_stream_send(struct http_exchange *x, void *arg)
{
    struct kept_stream *k = stream_of(x, arg);
    struct str body = http_body(x);
    reply_stream_state(x, k, http_stream_send(k->stream, body.p, body.n));
}

// To all that there are; says how many took it.
static void handle_stream_send_all(struct http_exchange *x, void *arg)
{
    struct app *app = arg;
    struct str body = http_body(x);
    struct buf out = {0};
    size_t took = 0;
    for (size_t i = 0; i < app->stream_n; i++)
        took +=
            app->streams[i].stream && http_stream_send(app->streams[i].stream, body.p, body.n) == 0;
    buf_addf(&out, "%zu", took);
    http_reply(x, 200, "text/plain", out.p, out.n);
    buf_free(&out);
}

static void handle_stream_state(struct http_exchange *x, void *arg)
{
    reply_stream_state(x, stream_of(x, arg), 0);
}

static void handle_stream_end(struct http_exchange *x, void *arg)
{
    struct kept_stream *k = stream_of(x, arg);
    http_stream_end(k->stream);
    k->stream = NULL;
    reply_stream_state(x, k, 0);
}

static void handle_stream_abort(struct http_exchange *x, void *arg)
{
    struct kept_stream *k = stream_of(x, arg);
    http_stream_abort(k->stream);
    k->stream = NULL;
    reply_stream_state(x, k, 0);
}

static void end_streams(struct app *app)
{
    for (size_t i = 0; i < app->stream_n; i++)
        if (app->streams[i].stream)
            http_stream_end(app->streams[i].stream);
}

static void handle_big(struct http_exchange *x, void *arg)
{
    (void)arg;
    size_t n = (size_t)query_number(x);
    char *body = xmalloc(n + 1);
    memset(body, 'x', n);
    http_reply(x, 200, "text/plain", body, n);
    free(body);
}

static void answer_held(struct app *app, struct http_exchange *x)
{
    if (str_eq(http_path(x), STR_LIT("/stream-later"))) {
        keep_stream(app, x, false);
        return;
    }
    if (str_eq(http_path(x), STR_LIT("/big-later"))) {
        handle_big(x, NULL);
        return;
    }
    struct str body = http_body(x), query = http_query(x);
    struct buf out = {0};
    buf_add(&out, query.p, query.n);
    buf_add(&out, body.p, body.n);
    http_reply(x, 200, "text/plain", out.p, out.n);
    buf_free(&out);
}

static void release(struct app *app, bool newest_first)
{
    for (size_t i = 0; i < app->held_n; i++)
        answer_held(app, app->held[newest_first ? app->held_n - 1 - i : i]);
    app->held_n = 0;
}

static void release_oldest(struct app *app)
{
    assert(app->held_n > 0);
    struct http_exchange *x = app->held[0];
    app->held_n--;
    memmove(app->held, app->held + 1, app->held_n * sizeof(app->held[0]));
    answer_held(app, x);
}

static void handle_release(struct http_exchange *x, void *arg)
{
    if (str_eq(http_query(x), STR_LIT("oldest")))
        release_oldest(arg);
    else
        release(arg, str_eq(http_query(x), STR_LIT("newest-first")));
    http_reply(x, 204, NULL, NULL, 0);
}

static void handle_query(struct http_exchange *x, void *arg)
{
    (void)arg;
    struct http_query_iter it = {http_query(x)};
    struct str name, value;
    struct buf scratch = {0}, out = {0};
    struct err e;
    int got;
    while ((got = http_query_next(&it, &name, &value, &scratch, &e)) > 0) {
        buf_addc(&out, '[');
        buf_add(&out, name.p, name.n);
        buf_addc(&out, '=');
        buf_add(&out, value.p, value.n);
        buf_addc(&out, ']');
    }
    if (got < 0)
        http_problem(x, 400, &e);
    else
        http_reply(x, 200, "text/plain", out.p, out.n);
    buf_free(&scratch);
    buf_free(&out);
}

// Which of a path's routes it came to, and the parameter as it is and decoded.
static void reply_parameter(struct http_exchange *x, const char *route)
{
    struct str raw = http_path_parameter(x);
    struct buf out = {0};
    struct err e;
    buf_addf(&out, "%s <%.*s> ", route, (int)raw.n, raw.p ? raw.p : "");
    if (http_decode_segment(raw, &out, &e) != 0)
        http_problem(x, 400, &e);
    else
        http_reply(x, 200, "text/plain", out.p, out.n);
    buf_free(&out);
}

static void handle_parameter(struct http_exchange *x, void *arg)
{
    (void)arg;
    reply_parameter(x, "{name}");
}

static void handle_parameter_post(struct http_exchange *x, void *arg)
{
    (void)arg;
    reply_parameter(x, "POST {name}");
}

static void handle_no_parameter(struct http_exchange *x, void *arg)
{
    (void)arg;
    reply_parameter(x, "none");
}

// Whom the server talks to, and how many fields x-test there are.
static void handle_peer(struct http_exchange *x, void *arg)
{
    (void)arg;
    struct buf out = {0};
    buf_addf(&out, "%s %zu", http_peer(x), http_header_count(x, "x-test"));
    http_reply(x, 200, "text/plain", out.p, out.n);
    buf_free(&out);
}

// Says how the request arrived: method, path, and the field x-test as "<value>" or "-".
static void handle_describe(struct http_exchange *x, void *arg)
{
    (void)arg;
    struct buf out = {0};
    struct str path = http_path(x), value = http_header(x, "x-test");
    buf_addf(&out, "%s %.*s ", http_method(x), (int)path.n, path.p);
    if (value.p)
        buf_addf(&out, "<%.*s>", (int)value.n, value.p);
    else
        buf_addc(&out, '-');
    http_add_header(x, "X-Seen", "yes");
    http_reply(x, 200, "text/plain", out.p, out.n);
    buf_free(&out);
}

// What the client takes, and 304 where it has "v1".
static void handle_negotiate(struct http_exchange *x, void *arg)
{
    static const char *const types[] = {"application/json", "text/csv"};
    (void)arg;
    http_add_header(x, "ETag", "\"v1\"");
    if (http_not_modified(x, "\"v1\"")) {
        http_reply(x, 304, NULL, NULL, 0);
        return;
    }
    struct buf out = {0};
    buf_addf(&out, "%d %d", http_accepts_gzip(x), http_accepts(x, types, ARRAY_LEN(types)));
    http_reply(x, 200, "text/plain", out.p, out.n);
    buf_free(&out);
}

static void handle_problem(struct http_exchange *x, void *arg)
{
    (void)arg;
    struct err e;
    err_field(&e, "tokens", 17, "a \"quoted\" byte %c and a cut \xe2\x82", '\xff');
    http_problem(x, 422, &e);
}

static void write_own_error(struct http_exchange *x, int status, const struct err *e)
{
    struct buf text = {0};
    buf_addf(&text, "%d %s", status, e->detail);
    http_reply(x, status, "text/own", text.p, text.n);
    buf_free(&text);
}

static void handle_metrics(struct http_exchange *x, void *arg)
{
    struct app *app = arg;
    struct buf out = {0};
    http_stats_render(&app->stats, &out);
    http_render_routes(x, &out);
    process_stats_render("http-test-server", &out);
    http_reply(x, 200, "text/plain; version=0.0.4", out.p, out.n);
    buf_free(&out);
}

static const struct http_route routes[] = {
    {"GET", "/hello", handle_hello, 0},
    {"GET", "/big", handle_big, 0},
    {"GET", "/query", handle_query, 0},
    {"GET", "/describe", handle_describe, 0},
    {"GET", "/negotiate", handle_negotiate, 0},
    {"POST", "/negotiate", handle_negotiate, 16},
    {"GET", "/peer", handle_peer, 0},
    {"GET", "/problem", handle_problem, 0},
    {"GET", "/own/problem", handle_problem, 0},
    {"POST", "/own/small", handle_echo, 16},
    {"GET", "/label/{name}/values", handle_parameter, 0},
    {"POST", "/label/{name}/values", handle_parameter_post, 0},
    {"GET", "/label/all/values", handle_no_parameter, 0},
    {"GET", "/last/{name}", handle_parameter, 0},
    {"GET", "/gone", handle_gone, 0},
    {"GET", "/metrics", handle_metrics, 0},
    {"GET", "/hold", handle_hold, 0},
    {"POST", "/hold", handle_hold, 1 << 20},
    {"POST", "/release", handle_release, 0},
    {"POST", "/echo", handle_echo, 1 << 20},
    {"PUT", "/echo", handle_echo, 1 << 20},
    {"POST", "/small", handle_echo, 16},
    {"POST", "/guarded", handle_echo, 1 << 20},
    {"POST", "/keyed", handle_keyed, 1 << 20},
    {"GET", "/unavailable", handle_unavailable, 0},
    {"GET", "/big-later", handle_hold, 0},
    {"GET", "/stream", handle_stream, 0},
    {"GET", "/stream-later", handle_hold, 0},
    {"GET", "/stream/state", handle_stream_state, 0},
    {"POST", "/stream/send", handle_stream_send, 1 << 20},
    {"POST", "/stream/send-all", handle_stream_send_all, 1 << 20},
    {"POST", "/stream/end", handle_stream_end, 0},
    {"POST", "/stream/abort", handle_stream_abort, 0},
    {"POST", "/hold-without-body", handle_release_body, 1 << 20},
};

static void on_drained(void *arg)
{
    struct app *app = arg;
    http_server_free(app->server);
    app->server = NULL;
    end_streams(app);   // those that are left have no client any more
    release(app, true); // to nobody: it must only not crash
    printf("drained\n");
    loop_stop(app->loop);
}

static void on_stop(void *arg)
{
    struct app *app = arg;
    http_server_drain(app->server, app->drain_timeout_us, on_drained, app);
    printf("draining\n");
}

static void on_usr1(evutil_socket_t signum, short what, void *arg)
{
    (void)signum, (void)what;
    release(arg, true);
}

static int set_flag(const char *flag, struct http_limits *l, struct app *app, int *port)
{
    if (strncmp(flag, "--socket=", 9) == 0) {
        app->socket = flag + 9;
        return 0;
    }
    int64_t n;
    char name[64];
    if (sscanf(flag, "--%63[a-z-]=%" SCNd64, name, &n) != 2)
        return -1;
    const struct {
        const char *name;
        size_t *size;
        int64_t *us;
    } table[] = {
        {"max-connections", &l->max_connections, NULL},
        {"max-header-bytes", &l->max_header_bytes, NULL},
        {"max-target-bytes", &l->max_target_bytes, NULL},
        {"pipeline-depth", &l->pipeline_depth, NULL},
        {"memory-bytes", &l->max_memory_bytes, NULL},
        {"max-stream-bytes", &l->max_stream_bytes, NULL},
        {"max-connections-per-address", &l->max_connections_per_address, NULL},
        {"header-timeout-ms", NULL, &l->header_timeout_us},
        {"body-timeout-ms", NULL, &l->body_timeout_us},
        {"idle-timeout-ms", NULL, &l->idle_timeout_us},
        {"write-timeout-ms", NULL, &l->write_timeout_us},
        {"drain-timeout-ms", NULL, &app->drain_timeout_us},
    };
    if (strcmp(name, "port") == 0) {
        *port = (int)n; // -1: none
        return 0;
    }
    if (strcmp(name, "access-log-every") == 0) {
        l->access_log_every = n;
        return 0;
    }
    if (strcmp(name, "reuse-port") == 0) {
        l->reuse_port = n != 0;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (strcmp(name, table[i].name) != 0)
            continue;
        if (table[i].size)
            *table[i].size = (size_t)n;
        else
            *table[i].us = n * 1000;
        return 0;
    }
    return -1;
}

static int listen_all(struct app *app, int port, struct err *e)
{
    if (app->socket && http_server_listen_unix(app->server, app->socket, e) != 0)
        return 1;
    if (port >= 0) {
        port = http_server_listen(app->server, "127.0.0.1", port, e);
        if (port < 0)
            return 1;
    }
    printf("listening %d\n", port);
    return 0;
}

int main(int argc, char **argv)
{
    static struct app app = {.drain_timeout_us = 5 * 1000000};
    struct http_limits limits = {0};
    struct err e;
    int port = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_init("http-test-server", getenv("LOG_FORMAT"), "debug");
    for (int i = 1; i < argc; i++) {
        if (set_flag(argv[i], &limits, &app, &port) != 0) {
            log_error("unknown flag", "flag", argv[i]);
            return 2;
        }
    }
    app.loop = loop_new(on_stop, &app, &e);
    if (!app.loop) {
        log_error("cannot start", "error", e.detail);
        return 1;
    }
    struct event_base *base = loop_base(app.loop);
    struct event *usr1 = evsignal_new(base, SIGUSR1, on_usr1, &app);
    evsignal_add(usr1, NULL);
    app.server = http_server_new(base, &limits, routes, ARRAY_LEN(routes), &app, &app.stats);
    http_server_guard_bodies(app.server, admit_body);
    http_server_write_errors(app.server, "/own/", write_own_error);
    int rc = listen_all(&app, port, &e);
    if (rc != 0)
        log_error("cannot start", "error", e.detail);
    else
        rc = loop_run(app.loop) != 0;
    http_server_free(app.server);
    event_free(usr1);
    loop_free(app.loop);
    return rc;
}
