// SPDX-License-Identifier: Apache-2.0
// The HTTP server over a socket pair. Whatever comes in: it does not crash, it keeps no connection,
// no exchange and no byte of the budget, every answer is well formed, and after an answer with
// "Connection: close" comes nothing. And what it answers, and which bodies reach the handler, does
// not depend on how the bytes are cut into packets: each input is sent in one piece and in pieces.
//
// The first byte chooses the size of the pieces, and with its highest bit a budget of memory that
// is soon used up: then it depends on the pieces what is refused, but never may more be held than
// the bound that http_server.h states. The rest is what the client sends.
#include "tests/fuzz/fuzz.h"

#include "common/io/http_internal.h"
#include "common/io/http_server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOLD_MAX 4
#define TIGHT 4000

static struct {
    struct event_base *base;
    struct http_server *server;
    struct http_stats stats;
    struct http_exchange *held[HOLD_MAX];
    size_t held_n;
    struct http_stream *stream; // one at a time: what is behind it waits
    struct buf *handled;        // what reached the handlers
} app;

static void note(struct http_exchange *x)
{
    struct str path = http_path(x), query = http_query(x), body = http_body(x);
    struct str host = http_header(x, "host");
    FUZZ_CHECK(body.n <= 64);
    buf_addf(app.handled, "%s %.*s ? %.*s @ %.*s: ", http_method(x), (int)path.n, path.p,
             (int)query.n, query.p ? query.p : "", (int)host.n, host.p ? host.p : "");
    buf_add(app.handled, body.p, body.n);
    buf_addc(app.handled, '\n');
}

static void handle_echo(struct http_exchange *x, void *arg)
{
    (void)arg;
    note(x);
    struct str body = http_body(x);
    struct buf answer = {0};
    buf_addc(&answer, '>'); // so that no body looks like an answer: see take_answer()
    buf_add(&answer, body.p, body.n);
    http_reply(x, 200, "text/plain", answer.p, answer.n);
    buf_free(&answer);
}

static bool is_tight(void)
{
    return app.server->limits.max_memory_bytes == TIGHT;
}

static void handle_hold(struct http_exchange *x, void *arg)
{
    (void)arg;
    note(x);
    FUZZ_CHECK(app.held_n < HOLD_MAX);
    app.held[app.held_n++] = x;
}

static void handle_stream(struct http_exchange *x, void *arg)
{
    (void)arg;
    note(x);
    FUZZ_CHECK(!app.stream);
    app.stream = http_reply_stream(x, 200, "text/plain");
    if (app.stream)
        FUZZ_CHECK(http_stream_send(app.stream, ">a", 2) == 0 || is_tight());
}

static void end_stream(void)
{
    FUZZ_CHECK(http_stream_send(app.stream, "HTTP/1.1 b", 10) == 0 || is_tight());
    http_stream_end(app.stream);
    app.stream = NULL;
}

static void handle_query(struct http_exchange *x, void *arg)
{
    (void)arg;
    struct http_query_iter it = {http_query(x)};
    struct str name, value;
    struct buf scratch = {0};
    struct err e;
    int got;
    while ((got = http_query_next(&it, &name, &value, &scratch, &e)) > 0)
        FUZZ_CHECK(name.n + value.n <= http_query(x).n);
    if (got < 0)
        http_problem(x, 400, &e);
    else
        http_reply(x, 204, NULL, NULL, 0);
    buf_free(&scratch);
}

static void handle_parameter(struct http_exchange *x, void *arg)
{
    (void)arg;
    note(x);
    struct str raw = http_path_parameter(x);
    struct buf decoded = {0};
    struct err e;
    FUZZ_CHECK(raw.n > 0 && raw.n + 3 == http_path(x).n && !memchr(raw.p, '/', raw.n));
    FUZZ_CHECK(!str_eq(raw, STR_LIT("e")));
    if (http_decode_segment(raw, &decoded, &e) != 0) {
        FUZZ_CHECK(decoded.n == 0 && memchr(raw.p, '%', raw.n));
        http_problem(x, 400, &e);
    } else {
        FUZZ_CHECK(decoded.n > 0 && decoded.n <= raw.n);
        http_reply(x, 204, NULL, NULL, 0);
    }
    buf_free(&decoded);
}

static const struct http_route routes[] = {
    {"GET", "/e", handle_echo, 0},   {"POST", "/e", handle_echo, 64},
    {"GET", "/h", handle_hold, 0},   {"GET", "/q", handle_query, 0},
    {"GET", "/s", handle_stream, 0}, {"GET", "/p/{name}", handle_parameter, 0},
    {"GET", "/p/e", handle_echo, 0},
};

static void start(void)
{
    const struct http_limits limits = {
        .max_header_bytes = 400,
        .max_target_bytes = 100,
        .pipeline_depth = HOLD_MAX,
    };
    event_set_mem_functions(xmalloc, xrealloc, free);
    app.base = event_base_new();
    app.server = http_server_new(app.base, &limits, routes, ARRAY_LEN(routes), NULL, &app.stats);
}

static void read_all(int fd, struct buf *out)
{
    char piece[4096];
    ssize_t n;
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        buf_add(out, piece, (size_t)n);
}

// Lets the server do all it can, until nothing changes any more.
static void run(int fd, struct buf *out)
{
    size_t before;
    do {
        before = out->n;
        event_base_loop(app.base, EVLOOP_NONBLOCK);
        bool held = app.held_n > 0 || app.stream;
        if (app.stream)
            end_stream();
        while (app.held_n > 0)
            http_reply(app.held[--app.held_n], 200, NULL, NULL, 0);
        event_base_loop(app.base, EVLOOP_NONBLOCK);
        FUZZ_CHECK(app.server->held_bytes <= app.server->limits.max_memory_bytes * 9 / 8 + 12288);
        read_all(fd, out);
        if (held)
            before = SIZE_MAX;
    } while (out->n != before);
}

// piece 0: all at once.
static void converse(const char *p, size_t n, size_t piece, struct buf *out, struct buf *handled)
{
    int fds[2];
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    app.handled = handled;
    static const struct sockaddr_in peer = {.sin_family = AF_INET};
    http_conn_new(app.server, fds[1], (const struct sockaddr *)&peer, NULL);
    while (n > 0) {
        size_t more = piece > 0 && piece < n ? piece : n;
        if (send(fds[0], p, more, MSG_NOSIGNAL) != (ssize_t)more)
            break;
        p += more;
        n -= more;
        run(fds[0], out);
    }
    shutdown(fds[0], SHUT_WR);
    run(fds[0], out);
    close(fds[0]);
    event_base_loop(app.base, EVLOOP_NONBLOCK);
    event_base_loop(app.base, EVLOOP_NONBLOCK);
    FUZZ_CHECK(app.stats.connections == 0);
    FUZZ_CHECK(app.stats.in_flight == 0);
    FUZZ_CHECK(app.stats.streams == 0);
    FUZZ_CHECK(app.stats.memory_bytes == 0);
    FUZZ_CHECK(TAILQ_EMPTY(&app.server->orphans));
}

static const char *find(struct str in, const char *what)
{
    return memmem(in.p, in.n, what, strlen(what));
}

// Cuts off chunks, to the last one. An answer to HEAD has none.
static void take_chunks(struct str *rest)
{
    size_t size = 1;
    bool is_head = rest->n == 0 || memcmp(rest->p, "HTTP/", rest->n < 5 ? rest->n : 5) == 0;
    while (!is_head && size > 0) {
        char *end;
        size = strtoul(rest->p, &end, 16);
        size_t line_n = (size_t)(end - rest->p) + 2;
        FUZZ_CHECK(line_n > 2 && rest->n >= line_n + size + 2 && memcmp(end, "\r\n", 2) == 0);
        FUZZ_CHECK(memcmp(end + 2 + size, "\r\n", 2) == 0);
        rest->p += line_n + size + 2;
        rest->n -= line_n + size + 2;
    }
}

// Cuts the first answer off *rest and appends its status to *list; 100 is left out, since it
// depends on whether the body was there already.
static void take_answer(struct str *rest, struct buf *list)
{
    int status = 0;
    const char *end = find(*rest, "\r\n\r\n");
    FUZZ_CHECK(end && rest->n > 12 && memcmp(rest->p, "HTTP/1.1 ", 9) == 0);
    struct str head = {rest->p, (size_t)(end - rest->p) + 4};
    for (size_t i = 9; i < 12; i++) {
        FUZZ_CHECK(rest->p[i] >= '0' && rest->p[i] <= '9');
        status = status * 10 + rest->p[i] - '0';
    }
    size_t body_n = 0;
    const char *length = find(head, "\r\nContent-Length: ");
    if (length)
        body_n = strtoul(length + 18, NULL, 10);
    bool chunked = find(head, "\r\nTransfer-Encoding: chunked\r\n");
    bool to_end = !length && !chunked && find(head, "\r\nConnection: close\r\n") && status == 200;
    FUZZ_CHECK(length || chunked || to_end || status == 100 || status == 204);
    rest->p += head.n;
    rest->n -= head.n;
    if (chunked)
        take_chunks(rest);
    else if (to_end) // HTTP/1.0
        body_n = rest->n;
    // An answer to HEAD has a length and no body: the next answer begins where the body would.
    bool has_body =
        !chunked && rest->n >= body_n && (rest->n < 9 || memcmp(rest->p, "HTTP/1.1 ", 9) != 0);
    if (has_body) {
        rest->p += body_n;
        rest->n -= body_n;
    }
    if (status != 100)
        buf_addf(list, "%d ", status);
    if (find(head, "\r\nConnection: close\r\n"))
        FUZZ_CHECK(rest->n == 0);
}

static void list_answers(const struct buf *out, struct buf *list)
{
    struct str rest = {out->p, out->n};
    while (rest.n > 0)
        take_answer(&rest, list);
}

static bool is_same(const struct buf *a, const struct buf *b)
{
    return str_eq((struct str){a->p, a->n}, (struct str){b->p, b->n});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!app.base)
        start();
    if (size < 1 || size > 4096)
        return 0;
    const char *p = (const char *)data + 1;
    size_t n = size - 1;
    struct buf whole = {0}, pieces = {0}, handled[2] = {{0}, {0}}, lists[2] = {{0}, {0}};
    bool tight = data[0] & 0x80;
    app.server->limits.max_memory_bytes = tight ? TIGHT : 1 << 20;
    converse(p, n, 0, &whole, &handled[0]);
    converse(p, n, (size_t)data[0] % 32 + 1, &pieces, &handled[1]);
    list_answers(&whole, &lists[0]);
    list_answers(&pieces, &lists[1]);
    FUZZ_CHECK(tight || is_same(&lists[0], &lists[1]));
    FUZZ_CHECK(tight || is_same(&handled[0], &handled[1]));
    buf_free(&whole);
    buf_free(&pieces);
    for (size_t i = 0; i < 2; i++) {
        buf_free(&handled[i]);
        buf_free(&lists[i]);
    }
    return 0;
}
