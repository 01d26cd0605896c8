// SPDX-License-Identifier: Apache-2.0
// What http_server.c (the whole, drain), http_listen.c (listeners), http_conn.c (a connection's
// life, deadlines), http_budget.c (memory), http_parse.c (bytes to requests), http_reply.c
// (answers), http_stream.c (answers that come in pieces) and http_route_stats.c (what is told of
// them) share. Nobody else includes this.
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
#include "common/io/http_input.h"
#include "common/io/http_path.h"
#include "common/io/http_peers.h"
#include "common/io/http_server.h"
#include "common/io/http_server_stats.h"
#include "common/io/log.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <llhttp.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/types.h>

#define HTTP_MAX_FIELDS 100    // header fields of a request: 431 beyond
#define HTTP_MAX_LISTENERS 4   // one server may listen on several addresses
#define HTTP_LINGER_US 2000000 // an ended connection is read and ignored for this long …
#define HTTP_LINGER_BYTES                                                                          \
    (16 << 20)               // … or for this many bytes, so that the answer is not lost to RST
#define HTTP_GRACE_US 100000 // a drain waits this long for requests under way on idle connections
#define HTTP_SPARES 256      // exchanges kept for use, with room for heads of so many bytes
#define HTTP_SPARE_HEAD 1024
#define HTTP_SPARE_OUT 512 // bytes of an output buffer that is kept for use, as most answers need
#define HTTP_OUT_HIGH (64 << 10) // no further request is begun while this much waits to be sent
#define HTTP_READ_MIN (4 << 10)  // bytes taken from a socket at a time
#define HTTP_READ_MAX (64 << 10) // of a long body
// A connection's first bytes cost the budget nothing: so small requests get through while large
// ones have used it up.
#define HTTP_CONN_ALLOWANCE (8 << 10)
#define HTTP_ANSWER_ROOM 1024        // charged with a request, so that a small answer always fits
#define HTTP_ANSWER_SMALL (64 << 10) // may exceed the budget by an eighth
#define HTTP_KEY_MAX 64              // of a credential's id, as logged
#define HTTP_METHODS 8               // known ones
#define HTTP_STATUSES 35             // with a reason

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
    EXCHANGE_READING,   // its body is coming in
    EXCHANGE_HANDLING,  // with the handler
    EXCHANGE_STREAMING, // its answer comes in pieces
    EXCHANGE_ANSWERED,  // waits for the answers before it
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
    struct str parameter;   // of the path, where its route has one
    struct buf body;
    size_t held;       // bytes: itself, head, body, and its answer or the room for it
    size_t received_n; // bytes of head and body, for the log
    int64_t received_us;
    size_t remembered;      // the handler's own
    char key[HTTP_KEY_MAX]; // http_note_key
    struct buf extra;       // header fields of the answer
    struct buf late;        // what its answer has while its turn has not come
    bool is_late;
    struct http_stream *stream; // EXCHANGE_STREAMING
    void (*on_gone)(void *arg);
    void *on_gone_arg;
    size_t field_count;
    struct http_field fields[HTTP_MAX_FIELDS];
    size_t head_n, head_room;
    char head[]; // as received, but header names in lower case
};
TAILQ_HEAD(http_exchange_list, http_exchange);

struct http_stream_callback {
    void (*call)(void *arg);
    void *arg;
};

// The exchange stays in its connection's queue until the end: that is what keeps the order.
struct http_stream {
    struct http_exchange *x; // NULL once the client is gone
    bool chunked;
    bool undrained; // something was sent since it was last told that all is taken
    bool told_stop;
    struct http_stream_callback gone, drained, stop;
};

enum http_phase { PHASE_HEAD, PHASE_LENGTH, PHASE_CHUNKED, PHASE_TRAILERS };

struct http_conn {
    TAILQ_ENTRY(http_conn) link;
    TAILQ_ENTRY(http_conn) dirty_link;
    struct http_server *server;
    struct event *readable;
    struct http_input in;
    struct bufferevent *bev; // writes what the socket did not take at once; NULL until it is needed
    evutil_socket_t fd;
    char peer[INET6_ADDRSTRLEN];
    bool overflowed;                 // the bufferevent has some of the answers
    struct http_peer *address;       // where connections of an address are counted
    struct buf out;                  // answers in order that the socket has not seen
    struct http_exchange_list queue; // oldest first
    size_t queue_n;
    size_t streams;        // in the queue
    size_t exchanges_held; // of the queue
    size_t charged;        // of the server's budget
    struct http_deadline read_deadline, write_deadline;
    size_t write_mark; // unsent bytes when write_deadline was set, and what a stream added since
    bool dirty;
    bool closing;   // no request is read any more; ends when the queue is answered
    bool eof;       // the client sends no more, but may still read
    bool dead;      // the socket is broken
    bool lingering; // all is answered and our side is shut
    bool blocked;   // requests wait unread until answers have gone out
    bool reads_off; // the socket is not read
    bool used;      // a request was read; the first one is served also during a drain
    size_t begun;   // requests since it was its turn
    uint64_t turn;  // of the server, in which it was marked
    size_t discarded;

    enum http_phase phase;
    struct http_scan scan;
    bool skipped_empty_line;
    bool head_begun; // bytes of a request's head are there
    bool chunks_done;
    struct http_exchange *reading; // the queue's last, while its body comes in
    size_t body_left;              // of the body, or of the chunk
    size_t framing_n, framing_max; // PHASE_CHUNKED: bytes that are no body, and how many may be
    enum { SPAN_NONE, SPAN_NAME, SPAN_VALUE } span; // what llhttp gave last
    int refuse_status;                              // a callback of llhttp wants this answer
    const char *refuse_why;
    llhttp_t parser;
};

// The answers of one route, or of one method where no route was found.
struct http_route_stats {
    int64_t answers[HTTP_STATUSES + 1]; // by place in the list of reasons; the last: not in it
    struct stats_histogram seconds;     // of all routes with the same path, at the first of them
    int64_t logged_of;                  // requests that the access log chooses from
};

// What spares a look at most routes' paths.
struct http_route_path {
    size_t n;
    bool has_parameter;
};

struct http_listener {
    struct evconnlistener *listener;
    char *path; // of a Unix socket, else NULL
    dev_t device;
    ino_t inode;
};

struct http_server {
    struct event_base *base;
    struct http_limits limits; // none is 0 but those that mean "none" by it
    size_t read_high;          // bytes that wait unread in a connection
    const struct http_route *routes;
    size_t route_count;
    struct http_route_path *route_paths;               // of each route
    bool (*admit)(struct http_exchange *x, void *arg); // NULL: all bodies are waited for
    void *arg;
    struct str errors_prefix;
    void (*write_error)(struct http_exchange *x, int status, const struct err *e); // NULL: none
    struct http_stats *stats, own_stats;

    struct http_route_stats *route_stats; // of each route, then of each method, then of none
    struct {
        int64_t second; // of the last line
        int64_t lines;  // in that second
        int64_t unlogged;
    } access_log;

    struct http_listener listeners[HTTP_MAX_LISTENERS];
    size_t listener_count;
    struct http_peers *peers; // NULL: no limit for an address
    struct log_limit log_refused;
    struct event *resume; // re-enables the listeners after an accept error
    bool paused_by_cap, paused_by_error;

    TAILQ_HEAD(, http_conn) conns;
    TAILQ_HEAD(, http_conn) dirty;
    struct http_exchange_list orphans;         // their clients are gone, their handlers not done
    struct http_exchange *spares[HTTP_SPARES]; // to be used again
    size_t spare_count;
    struct buf spare_outs[HTTP_SPARES]; // empty, for answers to come
    size_t spare_out_count;
    size_t conn_count;
    size_t held_bytes;   // what counts against max_memory_bytes
    size_t orphan_bytes; // part of it
    struct event *settle;
    uint64_t turn; // each settles what was marked before it; then others are listened to
    bool settling;
    int64_t settle_us; // when the turn began: near enough for deadlines

    struct http_deadline_list deadlines[DEADLINE_KINDS];
    int64_t duration_us[DEADLINE_KINDS];
    struct event *timer;
    int64_t timer_at_us; // 0 = not armed

    bool draining, drained;
    struct event *drain_timer;
    void (*on_drained)(void *arg);
    void *on_drained_arg;

    char scratch[HTTP_READ_MAX]; // what a read brings

    int64_t date_until_us; // monotonic: what date[] shows is true until then
    char date[48];         // a header field with its line end
    size_t date_n;
};

// http_server.c
void http_server_conn_count_changed(struct http_server *s); // pauses or resumes accepting

// http_listen.c
void http_listeners_enable(struct http_server *s); // or disables, as the two pauses say
void http_listeners_accept_rest(struct http_server *s);
void http_listeners_free(struct http_server *s);

// http_budget.c
void http_exchange_hold(struct http_exchange *x, size_t more);
void http_exchange_unhold(struct http_exchange *x, size_t less);
void http_exchange_drop_body(struct http_exchange *x);
void http_exchange_orphan(struct http_exchange *x); // its connection goes
// Brings the budget up to date; false: the connection holds more than there is room for.
bool http_conn_charge(struct http_conn *c);
void http_conn_discharge(struct http_conn *c); // at its end
// Whether the connection may hold so many bytes more.
bool http_conn_has_room(const struct http_conn *c, size_t more);
bool http_conn_has_room_to_answer(const struct http_conn *c, size_t more);
// Whether it may begin another request whose bytes are there.
bool http_conn_has_room_to_begin(const struct http_conn *c);
bool http_conn_has_room_to_stream(const struct http_conn *c, size_t more);

// http_conn.c
// Takes the socket. address: as http_peers_enter() gave it, or NULL.
void http_conn_new(struct http_server *s, evutil_socket_t fd, const struct sockaddr *peer,
                   struct http_peer *address);
void http_peer_text(const struct sockaddr *addr, char out[INET6_ADDRSTRLEN]);
void http_conn_free(struct http_conn *c);
void http_conn_mark(struct http_conn *c); // settle it soon
void http_conn_settle(struct http_conn *c);
void http_conn_reading_done(struct http_conn *c); // the next bytes are another request's
bool http_conn_is_blocked(struct http_conn *c);   // answers must go out before the next request
void http_conn_drain(struct http_conn *c);
size_t http_conn_unsent(const struct http_conn *c);           // bytes that the socket has not taken
void http_conn_out_reserve(struct http_conn *c, size_t more); // room in `out`
void http_conn_rewrite(struct http_conn *c);    // what is unsent has the whole time from now on
void http_conn_watch_peer(struct http_conn *c); // TCP notices a client that has vanished
void http_deadlines_run(struct http_server *s); // expires what is due, arms the timer

// http_parse.c
extern const char *const http_known_methods[HTTP_METHODS];
void http_conn_parse(struct http_conn *c);
// Answers the request being read, or one that could not be read at all, and ends the connection.
void http_conn_refuse(struct http_conn *c, int status, const char *why);

// http_reply.c
struct http_exchange *http_exchange_new(struct http_conn *c, const char *head, size_t n);
void http_exchange_free(struct http_exchange *x);
void http_conn_advance(struct http_conn *c); // writes answers whose turn has come
size_t http_status_index(int status);        // into the list of reasons; HTTP_STATUSES: not in it
int http_status_at(size_t index);

// http_stream.c
bool http_stream_is_current(const struct http_conn *c); // what is sent is a stream's
void http_stream_cut(struct http_exchange *x);          // its connection goes; frees the exchange
void http_streams_tell_stop(struct http_conn *c);
void http_streams_tell_drained(struct http_conn *c);

// http_route_stats.c
void http_route_stats_new(struct http_server *s);
void http_route_stats_count(struct http_exchange *x, int status);
void http_route_stats_observe(struct http_exchange *x, int64_t duration_us);
void http_access_log(struct http_exchange *x, int status, size_t sent_n, int64_t now_us);

#endif
