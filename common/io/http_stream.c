// SPDX-License-Identifier: Apache-2.0
// Answers that come in pieces. A piece is copied once, into the connection's output (before its
// turn: the exchange's), and the settle event writes what has gathered there. Copying a kilobyte
// costs a hundredth of the system call that sends it, so pieces are not shared between clients.
#include "common/io/http_internal.h"

#include <stdio.h>
#include <sys/socket.h>

#define CHUNK_FRAME 20 // size in hexadecimal and two line ends, at most

static void set_callback(struct http_stream_callback *cb, void (*call)(void *arg), void *arg)
{
    *cb = (struct http_stream_callback){call, arg};
}

void http_stream_on_gone(struct http_stream *s, void (*gone)(void *arg), void *arg)
{
    set_callback(&s->gone, gone, arg);
}

void http_stream_on_drained(struct http_stream *s, void (*drained)(void *arg), void *arg)
{
    set_callback(&s->drained, drained, arg);
}

void http_stream_on_stop(struct http_stream *s, void (*stop)(void *arg), void *arg)
{
    set_callback(&s->stop, stop, arg);
}

static void call(struct http_stream_callback cb)
{
    if (cb.call)
        cb.call(cb.arg); // may free the stream
}

bool http_stream_is_current(const struct http_conn *c)
{
    const struct http_exchange *x = TAILQ_FIRST(&c->queue);
    return x && x->state == EXCHANGE_STREAMING;
}

size_t http_stream_pending(const struct http_stream *s)
{
    if (!s->x)
        return 0;
    return s->x->is_late ? s->x->late.n : http_conn_unsent(s->x->conn);
}

static void put(struct http_exchange *x, const void *p, size_t n)
{
    if (x->is_late) {
        buf_add(&x->late, p, n);
        http_exchange_hold(x, n);
    } else {
        http_conn_out_reserve(x->conn, n);
        buf_add(&x->conn->out, p, n);
        x->conn->write_mark += n;
    }
    x->server->stats->sent_bytes += (int64_t)n;
}

static bool fits(const struct http_stream *s, size_t n)
{
    struct http_conn *c = s->x->conn;
    struct http_stats *st = c->server->stats;
    size_t max = c->server->limits.max_stream_bytes;
    if (n > max || http_stream_pending(s) + n + CHUNK_FRAME > max) {
        st->stream_refused_slow++;
        return false;
    }
    if (!http_conn_has_room_to_stream(c, n + CHUNK_FRAME)) {
        st->stream_refused_busy++;
        return false;
    }
    return true;
}

int http_stream_send(struct http_stream *s, const void *p, size_t n)
{
    struct http_exchange *x = s->x;
    if (!x || (n > 0 && !fits(s, n)))
        return -1;
    if (n == 0)
        return 0; // an empty chunk would be the last
    if (s->chunked) {
        char size[CHUNK_FRAME];
        put(x, size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", n));
    }
    put(x, p, n);
    if (s->chunked)
        put(x, "\r\n", 2);
    s->undrained = true;
    http_conn_charge(x->conn);
    http_conn_mark(x->conn);
    return 0;
}

// The exchange is an ordinary one again, with its answer in whole.
static void detach(struct http_exchange *x)
{
    x->stream->x = NULL;
    x->stream = NULL;
    x->state = EXCHANGE_ANSWERED;
    x->conn->streams--;
    x->server->stats->streams--;
}

void http_stream_end(struct http_stream *s)
{
    struct http_exchange *x = s->x;
    if (x) {
        struct http_conn *c = x->conn;
        if (s->chunked)
            put(x, "0\r\n\r\n", 5);
        if (!x->is_late)
            http_conn_rewrite(c);
        detach(x);
        http_conn_advance(c);
        http_conn_charge(c);
        http_conn_mark(c);
    }
    free(s);
}

void http_stream_abort(struct http_stream *s)
{
    struct http_exchange *x = s->x;
    if (x) {
        // By RST: the end of the connection alone would look whole to an HTTP/1.0 client.
        const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        setsockopt(x->conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        detach(x);
        x->conn->dead = true;
        http_conn_mark(x->conn);
    }
    free(s);
}

void http_stream_cut(struct http_exchange *x)
{
    struct http_stream_callback gone = x->stream->gone;
    detach(x);
    http_exchange_free(x);
    call(gone);
}

static struct http_stream *first_untold(struct http_conn *c)
{
    struct http_exchange *x;
    TAILQ_FOREACH(x, &c->queue, link)
    if (x->state == EXCHANGE_STREAMING && !x->stream->told_stop)
        return x->stream;
    return NULL;
}

void http_streams_tell_stop(struct http_conn *c)
{
    struct http_stream *s;
    while (c->streams > 0 && (s = first_untold(c))) {
        s->told_stop = true;
        call(s->stop);
    }
}

void http_streams_tell_drained(struct http_conn *c)
{
    if (!http_stream_is_current(c) || http_conn_unsent(c) > 0)
        return;
    struct http_stream *s = TAILQ_FIRST(&c->queue)->stream;
    if (!s->undrained)
        return;
    s->undrained = false;
    call(s->drained);
}
