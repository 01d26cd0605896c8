// SPDX-License-Identifier: Apache-2.0
// A connection's life: its events, its deadlines, its orderly end.
//
// Reading is ours: bufferevents ask the kernel how much is there before each read, and take 4 KiB
// at most. Answers are first written straight from `out`: a socket that takes them (nearly all)
// costs no change of the poll set. What it did not take at once is a bufferevent's, which is made
// then.
#include "common/io/http_internal.h"

#include "common/io/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define KEEPALIVE_IDLE_S 15 // of a client that streams, while nothing is sent
#define KEEPALIVE_INTERVAL_S 5

static void arm_timer(struct http_server *s, int64_t at_us, int64_t now_us)
{
    if (s->timer_at_us != 0 && s->timer_at_us <= at_us)
        return;
    int64_t delay_us = max_i64(at_us - now_us, 1000);
    struct timeval tv = {.tv_sec = delay_us / 1000000, .tv_usec = delay_us % 1000000};
    evtimer_add(s->timer, &tv);
    s->timer_at_us = at_us;
}

static void deadline_clear(struct http_deadline *d)
{
    if (!d->set)
        return;
    TAILQ_REMOVE(&d->conn->server->deadlines[d->kind], d, link);
    d->set = false;
}

// Leaves a deadline of the same kind as it is: that is what makes them absolute.
static void deadline_ensure(struct http_deadline *d, enum http_deadline_kind kind)
{
    if (d->set && d->kind == kind)
        return;
    deadline_clear(d);
    struct http_server *s = d->conn->server;
    int64_t now_us = s->settling ? s->settle_us : clock_mono_us();
    d->kind = kind;
    d->at_us = now_us + s->duration_us[kind];
    d->set = true;
    TAILQ_INSERT_TAIL(&s->deadlines[kind], d, link);
    arm_timer(s, d->at_us, now_us);
}

// May free the connection.
static void expire(struct http_deadline *d)
{
    struct http_conn *c = d->conn;
    struct http_stats *st = c->server->stats;
    deadline_clear(d);
    switch (d->kind) {
    case DEADLINE_HEADER:
        st->timeouts_header++;
        http_conn_refuse(c, 408, "the request's header did not arrive in time");
        return;
    case DEADLINE_BODY:
        st->timeouts_body++;
        http_conn_refuse(c, 408, "the request's body did not arrive in time");
        return;
    case DEADLINE_IDLE:
        st->timeouts_idle++;
        break;
    case DEADLINE_WRITE:
        if (http_stream_is_current(c) && http_conn_unsent(c) < c->write_mark) {
            http_conn_rewrite(c);
            return;
        }
        st->timeouts_write++;
        break;
    case DEADLINE_LINGER:
    case DEADLINE_GRACE:
    case DEADLINE_KINDS:
        break;
    }
    http_conn_free(c);
}

void http_deadlines_run(struct http_server *s)
{
    s->timer_at_us = 0;
    int64_t now_us = clock_mono_us();
    for (size_t kind = 0; kind < DEADLINE_KINDS; kind++) {
        struct http_deadline *d;
        while ((d = TAILQ_FIRST(&s->deadlines[kind])) && d->at_us <= now_us)
            expire(d);
        if (d)
            arm_timer(s, d->at_us, now_us);
    }
}

void http_conn_mark(struct http_conn *c)
{
    if (c->dirty)
        return;
    struct http_server *s = c->server;
    c->dirty = true;
    c->turn = s->turn;
    TAILQ_INSERT_TAIL(&s->dirty, c, dirty_link);
    if (s->settling)
        event_add(s->settle, &(struct timeval){0}); // behind what the others have sent by now
    else
        event_active(s->settle, 0, 0);
}

// Nothing that comes after the last request is looked at. Before the last answer it is only not
// kept; after it, it is what the closing side waits for, up to a point.
static void discard(struct http_conn *c)
{
    c->discarded += c->in.n;
    http_input_drain(&c->in, c->in.n);
    c->blocked = false;
    if (c->lingering && c->discarded > HTTP_LINGER_BYTES)
        c->dead = true;
}

static void consume(struct http_conn *c)
{
    if (!c->closing && !c->dead)
        http_conn_parse(c);
    if (c->closing)
        discard(c);
    http_input_keep(&c->in);
}

// More has come than the budget has room for. What makes a whole request is begun; the rest is
// refused here and now, not from the settle event: thousands of connections may have been found
// readable at once, and each would have read its share before.
static void relieve(struct http_conn *c)
{
    consume(c);
    bool fits = http_conn_charge(c);
    bool wants_more = c->reading || c->in.n > 0;
    if (fits || !wants_more || c->closing || c->dead)
        return;
    http_conn_refuse(c, 503, "too many requests are under way");
    consume(c);
    http_conn_charge(c);
}

// Much at a time only of a body whose length is known: what is there of requests to come waits in
// memory until it is their turn.
static size_t read_size(const struct http_conn *c)
{
    if (c->phase != PHASE_LENGTH || c->body_left <= HTTP_READ_MIN)
        return HTTP_READ_MIN;
    return c->body_left < HTTP_READ_MAX ? c->body_left : HTTP_READ_MAX;
}

// What nearly every read comes to where answers take time: whole requests are with their handlers,
// and there is nothing to write, to read or to wait for. Then this is all that settling would do.
// (3 % of the instructions of a request of ingest-api's.)
static bool settle_at_once(struct http_conn *c)
{
    bool all_is_handled = c->queue_n > 0 && !c->reading && !c->head_begun && c->in.n == 0;
    if (!all_is_handled || c->dirty || c->closing || c->dead || c->blocked || c->streams > 0 ||
        c->server->draining || http_conn_unsent(c) > 0)
        return false;
    c->begun = 0;
    deadline_clear(&c->read_deadline);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct http_conn *c = arg;
    struct http_server *s = c->server;
    ssize_t n = recv(fd, s->scratch, read_size(c), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        if (n == 0)
            c->eof = true;
        else
            c->dead = true;
        event_del(c->readable); // it stays readable
        http_conn_mark(c);
        return;
    }
    http_input_add(&c->in, s->scratch, (size_t)n);
    if (http_conn_charge(c)) {
        consume(c);
        http_conn_charge(c); // before others are read, who share the budget
    } else {
        relieve(c);
    }
    if (!settle_at_once(c))
        http_conn_mark(c);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    (void)bev;
    http_conn_mark(arg);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    (void)what; // it only writes
    struct http_conn *c = arg;
    c->dead = true;
    http_conn_mark(c);
}

void http_peer_text(const struct sockaddr *addr, char out[INET6_ADDRSTRLEN])
{
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;
    if (addr->sa_family == AF_UNIX) {
        memcpy(out, "unix", sizeof("unix"));
    } else if (addr->sa_family == AF_INET) {
        memcpy(&peer.v4, addr, sizeof(peer.v4));
        inet_ntop(AF_INET, &peer.v4.sin_addr, out, INET6_ADDRSTRLEN);
    } else {
        memcpy(&peer.v6, addr, sizeof(peer.v6));
        bool mapped = IN6_IS_ADDR_V4MAPPED(&peer.v6.sin6_addr);
        inet_ntop(mapped ? AF_INET : AF_INET6, &peer.v6.sin6_addr.s6_addr[mapped ? 12 : 0], out,
                  INET6_ADDRSTRLEN);
    }
}

void http_conn_new(struct http_server *s, evutil_socket_t fd, const struct sockaddr *peer,
                   struct http_peer *address)
{
    int on = 1;
    // Without it the second of two pipelined answers waits for the ack of the first, 40 ms.
    if (peer->sa_family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        // Or the kernel takes megabytes of answers that nobody reads, and each has to be made
        // first.
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){HTTP_OUT_HIGH}, sizeof(int));
    }
    struct http_conn *c = xcalloc(1, sizeof(*c));
    c->server = s;
    http_peer_text(peer, c->peer);
    c->address = address;
    c->fd = fd;
    TAILQ_INIT(&c->queue);
    c->read_deadline.conn = c->write_deadline.conn = c;
    c->readable = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    event_add(c->readable, NULL);
    TAILQ_INSERT_TAIL(&s->conns, c, link);
    s->conn_count++;
    s->stats->connections_accepted++;
    http_server_conn_count_changed(s);
    http_conn_mark(c);
}

void http_conn_free(struct http_conn *c)
{
    struct http_server *s = c->server;
    struct http_exchange *x;
    while ((x = TAILQ_FIRST(&c->queue))) {
        TAILQ_REMOVE(&c->queue, x, link);
        if (x->state == EXCHANGE_STREAMING) {
            http_stream_cut(x);
            continue;
        }
        if (x->state != EXCHANGE_HANDLING) {
            http_exchange_free(x);
            continue;
        }
        http_exchange_orphan(x);
        TAILQ_INSERT_TAIL(&s->orphans, x, link);
        if (x->on_gone)
            x->on_gone(x->on_gone_arg); // may answer, which frees x
    }
    deadline_clear(&c->read_deadline);
    deadline_clear(&c->write_deadline);
    if (c->dirty)
        TAILQ_REMOVE(&s->dirty, c, dirty_link);
    TAILQ_REMOVE(&s->conns, c, link);
    s->conn_count--;
    http_conn_discharge(c);
    if (c->address)
        http_peers_leave(s->peers, c->address);
    http_input_free(&c->in);
    buf_free(&c->out);
    event_free(c->readable);
    if (c->bev)
        bufferevent_free(c->bev);
    evutil_closesocket(c->fd);
    free(c);
    http_server_conn_count_changed(s);
}

void http_conn_reading_done(struct http_conn *c)
{
    c->phase = PHASE_HEAD;
    c->reading = NULL;
    c->scan = (struct http_scan){0};
    c->skipped_empty_line = false;
    c->head_begun = false;
    deadline_clear(&c->read_deadline); // the next request has its own
}

static size_t overflow(const struct http_conn *c)
{
    return c->overflowed ? evbuffer_get_length(bufferevent_get_output(c->bev)) : 0;
}

size_t http_conn_unsent(const struct http_conn *c)
{
    return c->out.n + overflow(c);
}

// A buffer that another connection's answer has just left is warm, and malloc is not asked.
void http_conn_out_reserve(struct http_conn *c, size_t more)
{
    struct http_server *s = c->server;
    if (c->out.cap == 0 && s->spare_out_count > 0)
        c->out = s->spare_outs[--s->spare_out_count];
    buf_reserve(&c->out, c->out.cap == 0 && more < HTTP_SPARE_OUT ? HTTP_SPARE_OUT : more);
}

// All of it is sent.
static void out_release(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (c->out.cap != HTTP_SPARE_OUT || s->spare_out_count == HTTP_SPARES) {
        buf_free(&c->out);
        return;
    }
    buf_clear(&c->out);
    s->spare_outs[s->spare_out_count++] = c->out;
    c->out = (struct buf){0};
}

static void free_overflow(const void *p UNUSED, size_t n UNUSED, void *whole)
{
    free(whole);
}

// An answer has its time from when the first of it was left over; a stream is never done, so what
// counts is that the client takes some of it.
static void set_write_deadline(struct http_conn *c)
{
    if (!c->write_deadline.set)
        c->write_mark = http_conn_unsent(c);
    deadline_ensure(&c->write_deadline, DEADLINE_WRITE);
}

void http_conn_rewrite(struct http_conn *c)
{
    deadline_clear(&c->write_deadline);
    if (http_conn_unsent(c) > 0)
        set_write_deadline(c);
}

// Without it a host that is gone without a word is believed in for a quarter of an hour while there
// is something to send, and for ever while there is not. Where the host is there and does not take
// what we have, our own deadline comes first, twice at most. Fails on Unix sockets, whose peers
// cannot vanish.
void http_conn_watch_peer(struct http_conn *c)
{
    int fd = c->fd;
    int timeout_ms = (int)min_i64(c->server->limits.write_timeout_us / 500 + 1000, INT_MAX);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){KEEPALIVE_IDLE_S}, sizeof(int));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){KEEPALIVE_INTERVAL_S}, sizeof(int));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
}

// What the socket did not take is the bufferevent's from now on.
static void out_overflow(struct http_conn *c, size_t sent)
{
    if (!c->bev) {
        c->bev = bufferevent_socket_new(c->server->base, c->fd, 0);
        bufferevent_setcb(c->bev, NULL, on_written, on_event, c);
    }
    if (evbuffer_add_reference(bufferevent_get_output(c->bev), c->out.p + sent, c->out.n - sent,
                               free_overflow, c->out.p) != 0)
        abort(); // out of memory
    c->out = (struct buf){0};
    c->overflowed = true;
}

static void write_out(struct http_conn *c)
{
    if (overflow(c) > 0)
        return; // in order: on_written comes again once that is sent
    c->overflowed = false;
    if (c->out.n > 0) {
        ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            c->dead = true;
            return;
        }
        if (n == (ssize_t)c->out.n)
            out_release(c);
        else
            out_overflow(c, n < 0 ? 0 : (size_t)n);
    }
    if (http_conn_unsent(c) > 0)
        set_write_deadline(c);
    else
        deadline_clear(&c->write_deadline);
}

// A request that the client stopped sending half way has nobody to answer.
static void drop_partial(struct http_conn *c)
{
    struct http_exchange *x = c->reading;
    if (!x)
        return;
    http_conn_reading_done(c);
    TAILQ_REMOVE(&c->queue, x, link);
    c->queue_n--;
    http_exchange_free(x);
}

// Whether the connection is over. Closing at once would make the kernel answer what is still coming
// in with RST, and that can overtake our answer; so our side is shut and theirs read until it ends.
static bool is_over(struct http_conn *c)
{
    if (c->dead)
        return true;
    if (c->lingering)
        return c->eof;
    if (c->eof)
        drop_partial(c);
    if (!(c->closing || c->eof) || c->blocked || c->queue_n > 0 || http_conn_unsent(c) > 0)
        return false;
    if (c->eof || shutdown(c->fd, SHUT_WR) != 0)
        return true;
    c->lingering = true;
    c->discarded = 0;
    return false;
}

static void update_read_deadline(struct http_conn *c)
{
    struct http_deadline *d = &c->read_deadline;
    if (c->lingering)
        deadline_ensure(d, DEADLINE_LINGER);
    else if (c->closing || c->eof)
        deadline_clear(d);
    else if (c->reading)
        deadline_ensure(d, DEADLINE_BODY);
    else if (c->head_begun)
        deadline_ensure(d, DEADLINE_HEADER);
    else if (c->queue_n == 0 && http_conn_unsent(c) == 0)
        deadline_ensure(d, c->server->draining ? DEADLINE_GRACE : DEADLINE_IDLE);
    else
        deadline_clear(d);
}

bool http_conn_is_blocked(struct http_conn *c)
{
    size_t depth = c->server->limits.pipeline_depth;
    return c->streams > 0 || c->queue_n >= depth || c->begun >= depth || c->out.n > HTTP_OUT_HIGH ||
           overflow(c) > 0 || (c->queue_n > 0 && !http_conn_has_room_to_begin(c));
}

// A connection whose requests wait unread is not read, so that it holds one read at most; nor one
// that sends on and on behind its last request while that is not answered.
static void update_reading(struct http_conn *c)
{
    bool full = c->in.n >= c->server->read_high;
    bool off = full || (c->blocked && http_conn_is_blocked(c)) ||
               (c->closing && !c->lingering && c->discarded > HTTP_LINGER_BYTES);
    if (off == c->reads_off || c->eof)
        return;
    c->reads_off = off;
    if (off)
        event_del(c->readable);
    else
        event_add(c->readable, NULL);
}

void http_conn_settle(struct http_conn *c)
{
    // Still counted as marked while it parses: what the handlers answer is written right below.
    consume(c);
    if (c->server->draining)
        http_streams_tell_stop(c);
    c->dirty = false;
    if (!c->dead)
        write_out(c);
    if (!c->dead)
        http_streams_tell_drained(c);
    if (is_over(c)) {
        http_conn_free(c);
        return;
    }
    c->begun = 0;
    http_conn_charge(c);
    if (c->blocked && !http_conn_is_blocked(c))
        http_conn_mark(c);
    update_reading(c);
    update_read_deadline(c);
}

void http_conn_drain(struct http_conn *c)
{
    if (!c->reading && !c->head_begun && c->queue_n > 0)
        c->closing = true;
    http_conn_mark(c);
}
