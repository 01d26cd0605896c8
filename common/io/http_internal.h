// SPDX-License-Identifier: Apache-2.0
// What http_server.c (listeners, drain), http_conn.c (a connection's life, deadlines), http_parse.c
// (bytes to requests) and http_reply.c (answers) share. Nobody else includes this.
//
// Who may destroy what: a connection is freed only by http_conn_settle() (from the server's settle
// event), by a deadline's timer and by http_server_free(). Everything else marks it dirty and goes
// on; so neither a handler nor the code that parses ever finds its connection gone.
//
// The order of answers is the order of a connection's queue: an answer is written when its exchange
// is the oldest, and waits in the exchange until then.
#ifndef STREAMLENS_HTTP_INTERNAL_H
#define STREAMLENS_HTTP_INTERNAL_H

#include "common/io/http_head.h"
#include "common/io/http_server.h"
#include "common/io/http_server_stats.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <llhttp.h>
#include <netinet/in.h>
#include <sys/queue.h>

#define HTTP_MAX_FIELDS 100    // header fields of a request: 431 beyond
#define HTTP_MAX_LISTENERS 4   // one server may listen on several addresses
#define HTTP_LINGER_US 2000000 // an ended connection is read and ignored for this long …
#define HTTP_LINGER_BYTES                                                                          \
    (16 << 20)               // … or for this many bytes, so that the answer is not lost to RST
#define HTTP_GRACE_US 100000 // a drain waits this long for requests under way on idle connections
#define HTTP_OUT_HIGH (64 << 10) // no further request is begun while this much waits to be sent

// The kinds have one duration each, so a list for each kind is in order of time by itself: setting
// and clearing is O(1) and one timer serves all connections.
enum http_deadline_kind {
    DEADLINE_IDLE,
    DEADLINE_HEADER,
    DEADLINE_BODY,
    DEADLINE_WRITE,
    DEADLINE_LINGER,
    DEADLINE_GRACE,
    DEADLINE_KINDS
};

struct http_deadline {
    TAILQ_ENTRY(http_deadline) link;
    struct http_conn *conn;
    int64_t at_us;
    enum http_deadline_kind kind;
    bool set;
};
TAILQ_HEAD(http_deadline_list, http_deadline);

enum http_exchange_state {
    EXCHANGE_READING,  // its body is coming in
    EXCHANGE_HANDLING, // with the handler
    EXCHANGE_ANSWERED, // waits for the answers before it
};

struct http_field {
    uint32_t name, name_n, value, value_n; // offsets into head
};

struct http_exchange {
    TAILQ_ENTRY(http_exchange) link; // in the connection's queue, or among the server's orphans
    struct http_server *server;      // NULL once the server is gone
    struct http_conn *conn;          // NULL once the client is gone
    enum http_exchange_state state;
    const struct http_route *route;
    bool is_head, http_1_0, wants_continue, wants_close;
    char method[16];
    struct str path, query; // into head
    struct buf body;
    size_t accounted; // bytes of the server's budget held
    int64_t received_us;
    size_t remembered;     // the handler's own
    struct buf extra;      // header fields of the answer
    struct evbuffer *late; // an answer whose turn has not come
    void (*on_gone)(void *arg);
    void *on_gone_arg;
    size_t field_count;
    struct http_field fields[HTTP_MAX_FIELDS];
    size_t head_n;
    char head[]; // as received, but header names in lower case
};
TAILQ_HEAD(http_exchange_list, http_exchange);

enum http_phase { PHASE_HEAD, PHASE_LENGTH, PHASE_CHUNKED, PHASE_TRAILERS };

struct http_conn {
    TAILQ_ENTRY(http_conn) link;
    TAILQ_ENTRY(http_conn) dirty_link;
    struct http_server *server;
    struct bufferevent *bev;
    char peer[INET6_ADDRSTRLEN];
    struct evbuffer *out;            // answers in order that the socket has not seen
    struct http_exchange_list queue; // oldest first
    size_t queue_n;
    struct http_deadline read_deadline, write_deadline;
    bool dirty;
    bool closing;   // no request is read any more; ends when the queue is answered
    bool eof;       // the client sends no more, but may still read
    bool dead;      // the socket is broken
    bool lingering; // all is answered and our side is shut
    bool blocked;   // requests wait unread until answers have gone out
    bool full;      // as much as may wait unread is there
    size_t begun;   // requests since it was its turn
    uint64_t turn;  // of the server, in which it was marked
    size_t lingered;

    enum http_phase phase;
    struct http_scan scan;
    bool skipped_empty_line;
    bool head_begun;               // bytes of a request's head are there
    struct http_exchange *reading; // the queue's last, while its body comes in
    size_t body_left;              // of the body, or of the chunk
    size_t framing_n, framing_max; // PHASE_CHUNKED: bytes that are no body, and how many may be
    enum { SPAN_NONE, SPAN_NAME, SPAN_VALUE } span; // what llhttp gave last
    int refuse_status;                              // a callback of llhttp wants this answer
    const char *refuse_why;
    bool chunks_done;
    llhttp_t parser;
};

struct http_server {
    struct event_base *base;
    struct http_limits limits; // none is 0
    size_t read_high;          // bytes that wait unread in a connection
    const struct http_route *routes;
    size_t route_count;
    bool (*admit)(struct http_exchange *x, void *arg); // NULL: all bodies are waited for
    void *arg;
    struct http_stats *stats, own_stats;

    struct evconnlistener *listeners[HTTP_MAX_LISTENERS];
    size_t listener_count;
    struct event *resume; // re-enables the listeners after an accept error
    bool paused_by_cap, paused_by_error;

    TAILQ_HEAD(, http_conn) conns;
    TAILQ_HEAD(, http_conn) dirty;
    struct http_exchange_list orphans; // their clients are gone, their handlers not done
    size_t conn_count;
    size_t held_bytes; // request bodies, all connections
    struct event *settle;
    uint64_t turn; // each settles what was marked before it; then others are listened to
    bool settling;

    struct http_deadline_list deadlines[DEADLINE_KINDS];
    int64_t duration_us[DEADLINE_KINDS];
    struct event *timer;
    int64_t timer_at_us; // 0 = not armed

    bool draining, drained;
    struct event *drain_timer;
    void (*on_drained)(void *arg);
    void *on_drained_arg;

    int64_t date_s; // what date[] shows
    char date[48];  // a header field with its line end
    size_t date_n;
};

// http_server.c
void http_server_conn_count_changed(struct http_server *s); // pauses or resumes accepting

// http_conn.c
void http_conn_new(struct http_server *s, evutil_socket_t fd, const struct sockaddr *peer);
void http_conn_free(struct http_conn *c);
void http_conn_mark(struct http_conn *c); // settle it soon
void http_conn_settle(struct http_conn *c);
void http_conn_reading_done(struct http_conn *c); // the next bytes are another request's
bool http_conn_is_blocked(struct http_conn *c);   // answers must go out before the next request
void http_conn_drain(struct http_conn *c);
void http_deadlines_run(struct http_server *s); // expires what is due, arms the timer

// http_parse.c
void http_conn_parse(struct http_conn *c);
// Answers the request being read, or one that could not be read at all, and ends the connection.
void http_conn_refuse(struct http_conn *c, int status, const char *why);

// http_reply.c
struct http_exchange *http_exchange_new(struct http_conn *c, const char *head, size_t n);
void http_exchange_free(struct http_exchange *x);
void http_conn_advance(struct http_conn *c); // writes answers whose turn has come

#endif
