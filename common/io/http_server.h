// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server on libevent with llhttp (strict). One event loop, no threads.
//
// Each connection reads requests one after another; requests that are pipelined are answered in
// order and at most `pipeline_depth` of them wait for their answer, the rest unread. A handler is
// called once its request is complete (header and body within the limits) and answers once, at once
// or later from the same loop. When the client goes away first, the exchange stays valid until it
// is answered; the answer is then dropped. A handler is never called from within http_reply(), and
// must not free the server.
//
// The server itself answers, each error as application/problem+json (but
// http_server_write_errors()):
//   400 syntax or framing: a bare LF or CR, NUL, a folded line, a space before a colon, a field
//       without a name, Content-Length twice or not in digits or beside Transfer-Encoding, any
//       Transfer-Encoding but one `chunked`, chunk lines with anything but size and extensions,
//       no Host or several (HTTP/1.1) or one that is no HOST[:PORT], a target with control
//       characters or `#`, an absolute one with a user or without a host
//   404 no such path     405 with Allow       408 too slow         413 body too large, found from
//   Content-Length or while chunks arrive     414 target too long  417 not `100-continue`
//   431 header too large or more than 100 fields                   501 unknown method (CONNECT too)
//   503 with Retry-After: the memory of all connections is used up, or a request that began during
//   a drain and is not its connection's first
//   505 not HTTP/1.0 or 1.1
// After each but a 404 or 405 without a body the connection is closed, in order: our side first,
// then theirs is read and ignored for up to 2 s, so that a client that is still sending sees the
// answer and no reset. What follows a refused request on the connection is never executed.
//
// HEAD is answered by the GET handler, without the body. An answer may come in pieces
// (http_reply_stream()). HTTP/1.0 connections are closed after the
// answer. One empty line before a request is skipped. Trailers are checked and dropped. A client
// that shuts its sending side still gets its answers. Deadlines are absolute: a byte a second does
// not extend them. Handlers have none: whoever lets an exchange wait sees to its end.
//
// Connections take turns: of one that asks without end `pipeline_depth` requests are begun, then
// others are listened to.
//
// When max_connections is reached, or descriptors run out, accepting pauses; further clients wait
// in the listen backlog. A connection beyond max_connections_per_address is closed at once.
//
// Memory: what connections hold (unread input, requests, answers that clients have not taken)
// counts as a whole against max_memory_bytes, but for the first 8 KiB of each, so that small
// requests pass while large ones have used it up. Whoever wants more than there is, a request to
// begin, a body to send, an answer to take, gets 503 with Retry-After and the end of its
// connection; nobody waits for room, but a client with requests under way, whose further ones stay
// unread. What is held stays below 9/8 × max_memory_bytes + 12 KiB a connection; buffers are at
// least half full, and an idle connection takes 2 KiB, so the process needs no more than
// 9/4 × max_memory_bytes + 26 KiB × max_connections for them.
//
// It does not: TLS, compression, upgrade.
#ifndef STREAMLENS_HTTP_SERVER_H
#define STREAMLENS_HTTP_SERVER_H

#include "common/core/buf.h"
#include "common/core/err.h"

#include <event2/event.h>

// 0 means the default, given in brackets; "none" where that stands there.
struct http_limits {
    size_t max_connections;  // [10000]
    size_t max_header_bytes; // [16 KiB] request line and header fields, to the empty line: 431
    size_t max_target_bytes; // [8 KiB] request target: 414
    size_t pipeline_depth;   // [16] requests waiting for their answer, a connection
    size_t max_memory_bytes; // [64 MiB] of all connections: 503 beyond
    size_t max_stream_bytes; // [256 KiB] of a streaming answer that its client has not taken
    size_t max_connections_per_address; // [none] IPv6: of a /64
    int64_t access_log_every;           // [none] log every n-th request of a route
    bool reuse_port;           // other processes that say so too may listen on the same port
    int64_t header_timeout_us; // [10 s] first byte of a request to the end of its header: 408
    int64_t body_timeout_us;   // [30 s] end of header to end of body: 408
    int64_t idle_timeout_us;   // [75 s] between requests
    int64_t write_timeout_us;  // [30 s] an answer that the client does not take
};

struct http_exchange; // one request and its answer

typedef void (*http_handler)(struct http_exchange *x, void *arg);

struct http_route {
    const char *method; // "GET" (answers HEAD too), "POST", …
    // Without the query string. "/a/{name}/b" has a parameter: any one segment that is not empty.
    // Where both would do, the path without a parameter is taken.
    const char *path;
    http_handler handler;
    size_t max_body_bytes; // 413 beyond; 0 = a body is refused
};

// Counters and gauges, kept by the server and rendered by the service's stats list; by name in
// http_server_stats.h.
struct http_stats;

struct http_server;
// Routes, their strings and arg are borrowed for the server's life; stats too (NULL: not counted).
struct http_server *http_server_new(struct event_base *base, const struct http_limits *limits,
                                    const struct http_route *routes, size_t route_count, void *arg,
                                    struct http_stats *stats);
// Numeric address; port 0 takes any free one. Returns the port, or -1 with "address in use" and
// such.
int http_server_listen(struct http_server *s, const char *addr, int port, struct err *e) MUST_CHECK;
// A Unix socket, mode 0660, removed at the end. A socket left behind, on which nobody accepts, is
// replaced; anything else in its place is an error. Peers are "unix", and no address to be limited.
int http_server_listen_unix(struct http_server *s, const char *path, struct err *e) MUST_CHECK;
// admit is asked where a request's header is there and its body not yet in whole, before `100
// Continue`: whether to wait for the body. Where it returns false it has answered, and the
// connection ends. The handler must judge for itself all the same; http_remember() tells it what
// was done already.
void http_server_guard_bodies(struct http_server *s,
                              bool (*admit)(struct http_exchange *x, void *arg));
// Errors of requests whose path begins with prefix (borrowed) are answered by write, as a handler
// answers: those of the server and of http_problem() too. One prefix a server.
void http_server_write_errors(struct http_server *s, const char *prefix,
                              void (*write)(struct http_exchange *x, int status,
                                            const struct err *e));
// Accepts what waits in the backlogs and no more; closes idle connections (after 0.1 s, in which a
// request on its way is served if it is the connection's first, else gets its 503), answers what is
// in flight with Connection: close, and calls done once nothing is left or timeout_us has passed
// (the rest is then closed). done may free the server.
void http_server_drain(struct http_server *s, int64_t timeout_us, void (*done)(void *), void *arg);
// Closes everything. Exchanges still unanswered stay valid until answered. Not from a handler.
void http_server_free(struct http_server *s);

// The request. Strings are borrowed until the answer.
const char *http_method(const struct http_exchange *x);
struct str http_path(const struct http_exchange *x);
// What stands for the {name} of the route's path, still percent-encoded; { NULL, 0 } where the path
// has none.
struct str http_path_parameter(const struct http_exchange *x);
struct str http_query(const struct http_exchange *x); // without '?', still percent-encoded
struct str http_body(const struct http_exchange *x);
// The header field's value, the name in lower case; { NULL, 0 } where absent. Of several the first.
struct str http_header(const struct http_exchange *x, const char *lower_name);
size_t http_header_count(const struct http_exchange *x, const char *lower_name);
// The client's address, numeric, without the port; an IPv4 address in IPv6's form is given as IPv4.
// "unix" from a Unix socket, "" once the client is gone.
const char *http_peer(const struct http_exchange *x);
int64_t http_received_us(const struct http_exchange *x); // monotonic, when the body was complete

// What the client takes and has; http_accept.h tells how it is read.
bool http_accepts_gzip(const struct http_exchange *x); // with `Vary: Accept-Encoding`, either way
// The place of the media type to answer with, -1: none would be taken (406).
int http_accepts(const struct http_exchange *x, const char *const types[], size_t n);
// GET or HEAD by a client that has what the entity tag ("\"x\"" or "W/\"x\"") stands for: the
// answer is 304 with the same ETag and Vary as a 200, and no body.
bool http_not_modified(const struct http_exchange *x, const char *etag);

// A number of the handler's own, 0 before it is set; stays until the answer.
void http_remember(struct http_exchange *x, size_t number);
size_t http_remembered(const struct http_exchange *x);
// The handler needs the body no more: its memory is given back before the answer.
void http_release_body(struct http_exchange *x);
// Who asks, for the access log: the id of a credential that holds, never the credential.
void http_note_key(struct http_exchange *x, struct str id);

// Calls gone(arg) once if the client goes away before the answer: whoever worked for it may stop.
// The exchange is still to be answered, then or later.
void http_on_gone(struct http_exchange *x, void (*gone)(void *arg), void *arg);

// Adds a header field to the answer to come. Names and values are ours (checked by assert for CR,
// LF).
void http_add_header(struct http_exchange *x, const char *name, const char *value);
// Answers; the exchange is gone afterwards. The body is copied. content_type NULL where there is
// none.
void http_reply(struct http_exchange *x, int status, const char *content_type, const void *body,
                size_t n);
// Answers in pieces: the head is sent, and what follows is the stream's. Only from a handler's
// exchange, with a status that has a body. NULL where there is nothing to stream: the client is
// gone, or asked HEAD and has its answer; the exchange is gone in any case.
//
// HTTP/1.1 gets chunks, so that the connection can go on; HTTP/1.0 gets all until the connection's
// end. Requests behind it wait unread. There is no deadline between pieces, but a client that takes
// nothing of what waits for it for write_timeout_us (at most twice that) is cut, and a second later
// where its host has vanished; one that closed looks like one that has only shut its sending side,
// until it refuses what is sent: so whoever is silent for long should send something empty of
// meaning now and then. What a client has not taken counts against max_memory_bytes.
//
// The stream stays valid until http_stream_end() or http_stream_abort(), one of which is due also
// when the client is gone. Callbacks come from the loop, never from within a call of these, but
// that http_server_free() tells `gone`; in them streams may be sent to and ended.
struct http_stream;
struct http_stream *http_reply_stream(struct http_exchange *x, int status,
                                      const char *content_type) MUST_CHECK;
// One piece, copied: 0. -1 where nothing of it was taken: the client is slow (more than
// max_stream_bytes would wait, answers before the stream included), half of the memory of all is
// used up, which leaves requests the other,
// or the client is gone.
int http_stream_send(struct http_stream *s, const void *p, size_t n) MUST_CHECK;
// Bytes that the client's socket has not taken, framing and answers before the stream included.
size_t http_stream_pending(const struct http_stream *s);
// The client is gone: nothing more will reach it.
void http_stream_on_gone(struct http_stream *s, void (*gone)(void *arg), void *arg);
// All that was sent has been taken; told once after each time that something was.
void http_stream_on_drained(struct http_stream *s, void (*drained)(void *arg), void *arg);
// A drain has begun (or was under way when the stream began): the time to say goodbye. A stream
// that is not ended then holds the drain up until its timeout.
void http_stream_on_stop(struct http_stream *s, void (*stop)(void *arg), void *arg);
// The answer is whole. The connection goes on as after any other.
void http_stream_end(struct http_stream *s);
// The answer is cut off, what the client has not taken is dropped, and its connection is reset: so
// it can tell that something is missing.
void http_stream_abort(struct http_stream *s);

// Answers with application/problem+json (RFC 9457): type about:blank, title, status, detail (which
// begins with the field's name where e has one), and where e names them `field` and `offset`.
void http_problem(struct http_exchange *x, int status, const struct err *e);
void http_problemf(struct http_exchange *x, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *http_reason(int status);

// Metrics by route, for the answer to x: streamlens_http_requests_total{route,method,status} (pairs
// that occurred) and streamlens_http_request_duration_seconds{route}. route is the path in the
// table, method that of the route; "other" and the request's method where no route was found.
void http_render_routes(const struct http_exchange *x, struct buf *out);

// Query strings: application/x-www-form-urlencoded pairs, decoded. 1 and the next pair (in
// *scratch), 0 at the end, -1 where the encoding is broken.
struct http_query_iter {
    struct str rest;
};
int http_query_next(struct http_query_iter *it, struct str *name, struct str *value,
                    struct buf *scratch, struct err *e) MUST_CHECK;
// Appends a segment of a path, decoded: any bytes, and '+' is itself. -1 where the encoding is
// broken; out is as it was.
int http_decode_segment(struct str segment, struct buf *out, struct err *e) MUST_CHECK;

#endif
