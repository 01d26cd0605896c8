// SPDX-License-Identifier: Apache-2.0
// From bytes to exchanges. The head is cut off the input in one piece (http_head.c) and given to
// llhttp; a body with a length is moved by count; chunks go through llhttp. Each request starts
// llhttp afresh, so that nothing of one request can leak into the reading of the next.
//
// Whatever could make two readers of the same bytes disagree about where a request ends is refused,
// also where the RFC would let us repair it: no repair is needed by any honest client.
#include "common/io/http_internal.h"

#include "common/io/clock.h"

#include <stdio.h>
#include <strings.h>

const char *const http_known_methods[HTTP_METHODS] = {"GET",    "HEAD",  "POST",    "PUT",
                                                      "DELETE", "PATCH", "OPTIONS", "TRACE"};

// --- refusals ---

static void count_refusal(struct http_server *s, int status)
{
    if (status == 413 || status == 414 || status == 431)
        s->stats->refused_too_large++;
    else if (status == 503 && s->draining)
        s->stats->refused_draining++;
    else if (status == 503)
        s->stats->refused_busy++;
    else if (status != 408)
        s->stats->refused_framing++;
}

void http_conn_refuse(struct http_conn *c, int status, const char *why)
{
    struct http_exchange *x = c->reading ? c->reading : http_exchange_new(c, NULL, 0);
    http_conn_reading_done(c);
    c->closing = true;
    count_refusal(c->server, status);
    if (status == 503)
        http_add_header(x, "Retry-After", "1");
    http_problemf(x, status, "%s", why);
}

// --- llhttp's callbacks ---

static int refuse_later(struct http_conn *c, int status, const char *why)
{
    c->refuse_status = status;
    c->refuse_why = why;
    return HPE_USER;
}

// A token in one piece is what we get, since the head is given in one piece; should llhttp split
// one in a way that is not contiguous (an obs-fold), the request is refused.
static int extend_span(struct http_conn *c, uint32_t start, uint32_t *n, uint32_t offset,
                       size_t more)
{
    if (start + *n != offset)
        return refuse_later(c, 400, "a header field is folded");
    *n += (uint32_t)more;
    return 0;
}

static int on_header_field(llhttp_t *p, const char *at, size_t n)
{
    struct http_conn *c = p->data;
    struct http_exchange *x = c->reading;
    uint32_t offset = (uint32_t)(at - x->head);
    if (c->span == SPAN_NAME) {
        struct http_field *f = &x->fields[x->field_count - 1];
        return extend_span(c, f->name, &f->name_n, offset, n);
    }
    if (x->field_count == HTTP_MAX_FIELDS)
        return refuse_later(c, 431, "the request has too many header fields");
    c->span = SPAN_NAME;
    x->fields[x->field_count++] = (struct http_field){offset, (uint32_t)n, offset, 0};
    return 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t n)
{
    struct http_conn *c = p->data;
    struct http_exchange *x = c->reading;
    uint32_t offset = (uint32_t)(at - x->head);
    struct http_field *f = &x->fields[x->field_count - 1];
    if (c->span == SPAN_VALUE)
        return extend_span(c, f->value, &f->value_n, offset, n);
    c->span = SPAN_VALUE;
    f->value = offset;
    f->value_n = (uint32_t)n;
    return 0;
}

// Stops there, so that llhttp's idea of the head's end can be held against ours.
static int on_headers_complete(llhttp_t *p)
{
    p->upgrade = 0; // offers of other protocols are not taken up
    return HPE_PAUSED;
}

// The bytes were charged when they came into the input: whether they fit has been decided there.
static void take_body(struct http_exchange *x, size_t n)
{
    http_exchange_hold(x, n);
    x->received_n += n;
    x->server->stats->received_bytes += (int64_t)n;
}

static int on_chunk_header(llhttp_t *p)
{
    struct http_conn *c = p->data;
    struct http_exchange *x = c->reading;
    c->framing_max += 8; // four digits and two line ends: what a chunk needs
    if (p->content_length == 0) {
        c->chunks_done = true;
        return HPE_PAUSED; // llhttp would take a bare LF and folded lines in trailers
    }
    if (p->content_length > x->route->max_body_bytes - x->body.n)
        return refuse_later(c, 413, "the body is larger than is allowed here");
    c->body_left = (size_t)p->content_length;
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct http_conn *c = p->data;
    take_body(c->reading, n);
    buf_add(&c->reading->body, at, n);
    return 0;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
};

// --- the head ---

// The fields that the framing rests on, and Host.
enum framing_field { FIELD_HOST, FIELD_LENGTH, FIELD_CODING, FIELD_EXPECT, FRAMING_FIELDS };

struct head {
    struct http_exchange *x;
    struct {
        size_t count;
        struct str value; // of the first
    } fields[FRAMING_FIELDS];
    struct str path;
    uint64_t length; // of the body
    bool chunked, has_expect, bad_expect;
    int status; // 0, or the answer
    const char *why;
};

static void fail(struct head *h, int status, const char *why)
{
    if (h->status != 0)
        return; // the first reason is the one told
    h->status = status;
    h->why = why;
}

static void read_request_line(struct head *h)
{
    struct http_exchange *x = h->x;
    const char *cr = memchr(x->head, '\r', x->head_n);
    struct http_request_line line;
    const char *why = http_parse_request_line((struct str){x->head, (size_t)(cr - x->head)}, &line);
    if (why) {
        fail(h, 400, why);
        return;
    }
    for (size_t i = 0; i < HTTP_METHODS; i++) {
        if (str_eq(line.method, str_of(http_known_methods[i])))
            memcpy(x->method, line.method.p, line.method.n);
    }
    if (line.major != 1 || line.minor > 1)
        fail(h, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    if (!x->method[0])
        fail(h, 501, "the method is not known here");
    x->is_head = strcmp(x->method, "HEAD") == 0;
    x->http_1_0 = line.minor == 0;
    if (!http_split_target(line.target, &x->path, &x->query))
        fail(h, 400, "the request target names no proper host");
}

// All of them are found in one pass: a look for each through all fields, and another to count them,
// took as long as reading them.
static void note_framing(struct head *h, const struct http_field *f)
{
    static const struct str names[FRAMING_FIELDS] = {[FIELD_HOST] = {"host", 4},
                                                     [FIELD_LENGTH] = {"content-length", 14},
                                                     [FIELD_CODING] = {"transfer-encoding", 17},
                                                     [FIELD_EXPECT] = {"expect", 6}};
    const char *head = h->x->head;
    for (size_t i = 0; i < FRAMING_FIELDS; i++) {
        if (names[i].n != f->name_n || memcmp(head + f->name, names[i].p, f->name_n) != 0)
            continue;
        if (h->fields[i].count++ == 0)
            h->fields[i].value = (struct str){head + f->value, f->value_n};
        return;
    }
}

static void read_fields(struct http_conn *c, struct head *h)
{
    struct http_exchange *x = h->x;
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
    c->span = SPAN_NONE;
    c->refuse_status = 0;
    llhttp_errno_t got = llhttp_execute(&c->parser, x->head, x->head_n);
    if (c->refuse_status != 0)
        fail(h, c->refuse_status, c->refuse_why);
    else if (got != HPE_PAUSED)
        fail(h, 400, got == HPE_OK ? "the header is malformed" : c->parser.reason);
    else if (llhttp_get_error_pos(&c->parser) != x->head + x->head_n)
        fail(h, 400, "the header ends in an unclear way");
    llhttp_resume(&c->parser);

    for (size_t i = 0; i < x->field_count; i++) {
        struct http_field *f = &x->fields[i];
        if (!http_lower_token(x->head + f->name, f->name_n))
            fail(h, 400, "a header field has no proper name");
        const char *value = x->head + f->value;
        while (f->value_n > 0 && (value[f->value_n - 1] == ' ' || value[f->value_n - 1] == '\t'))
            f->value_n--;
        note_framing(h, f);
    }
}

static bool is_word(struct str s, const char *lower_word)
{
    return s.n == strlen(lower_word) && strncasecmp(s.p, lower_word, s.n) == 0;
}

static void check_length(struct head *h)
{
    struct str value = h->fields[FIELD_LENGTH].value;
    if (!value.p)
        return;
    if (h->fields[FIELD_LENGTH].count > 1)
        fail(h, 400, "several Content-Length fields");
    if (value.n == 0 || value.n > 18)
        fail(h, 400, "Content-Length is no number");
    for (size_t i = 0; i < value.n && i < 18; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            fail(h, 400, "Content-Length is no number");
        h->length = h->length * 10 + (uint64_t)(value.p[i] - '0');
    }
}

static void check_transfer_encoding(struct head *h)
{
    struct str value = h->fields[FIELD_CODING].value;
    if (!value.p)
        return;
    if (h->fields[FIELD_CODING].count > 1 || !is_word(value, "chunked"))
        fail(h, 400, "the only Transfer-Encoding taken is chunked");
    if (h->x->http_1_0)
        fail(h, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (h->fields[FIELD_LENGTH].count > 0)
        fail(h, 400, "Content-Length and Transfer-Encoding exclude each other");
    h->chunked = true;
}

static void check_fields(struct http_conn *c, struct head *h)
{
    struct http_exchange *x = h->x;
    size_t hosts = h->fields[FIELD_HOST].count;
    if (hosts > 1 || (hosts == 0 && !x->http_1_0))
        fail(h, 400, "the request needs exactly one Host field");
    if (hosts > 0 && !http_is_host(h->fields[FIELD_HOST].value))
        fail(h, 400, "the Host field is malformed");
    check_length(h);
    check_transfer_encoding(h);
    // llhttp and the checks above must see the same body.
    if (h->chunked != ((c->parser.flags & F_CHUNKED) != 0))
        fail(h, 400, "the Transfer-Encoding is unclear");
    struct str expect = h->fields[FIELD_EXPECT].value;
    h->has_expect = expect.p && !x->http_1_0;
    h->bad_expect =
        h->has_expect && (h->fields[FIELD_EXPECT].count > 1 || !is_word(expect, "100-continue"));
    x->wants_close = x->http_1_0 || (c->parser.flags & F_CONNECTION_CLOSE) != 0;
}

// --- routing ---

static bool is_get_for_head(const struct http_exchange *x, const struct http_route *r)
{
    return x->is_head && strcmp(r->method, "GET") == 0;
}

static bool may_match(const struct http_route_path *route, struct str path, bool with_parameter)
{
    return route->has_parameter == with_parameter && (with_parameter || route->n == path.n);
}

// Among the routes whose path has a parameter, or those whose path has none.
static bool find_among(const struct http_server *s, struct http_exchange *x, bool with_parameter)
{
    bool has_path = false;
    for (size_t i = 0; i < s->route_count; i++) {
        const struct http_route *r = &s->routes[i];
        struct str parameter;
        if (!may_match(&s->route_paths[i], x->path, with_parameter) ||
            !http_path_matches(r->path, x->path, &parameter))
            continue;
        has_path = true;
        if (strcmp(r->method, x->method) == 0 || (!x->route && is_get_for_head(x, r))) {
            x->route = r;
            x->parameter = parameter;
        }
    }
    return has_path;
}

static bool list_methods(const struct http_server *s, struct str path, bool with_parameter,
                         struct buf *list)
{
    for (size_t i = 0; i < s->route_count; i++) {
        const struct http_route *r = &s->routes[i];
        struct str parameter;
        if (http_path_has_parameter(r->path) == with_parameter &&
            http_path_matches(r->path, path, &parameter))
            buf_addf(list, "%s%s%s", list->n > 0 ? ", " : "", r->method,
                     strcmp(r->method, "GET") == 0 ? ", HEAD" : "");
    }
    return list->n > 0;
}

static void add_allow(const struct http_server *s, struct http_exchange *x)
{
    struct buf allow = {0};
    if (!list_methods(s, x->path, false, &allow))
        list_methods(s, x->path, true, &allow);
    char *text = buf_steal(&allow);
    http_add_header(x, "Allow", text);
    free(text);
}

// Not what is there already: that has been charged.
static bool has_room_for_body(const struct http_conn *c, size_t n)
{
    return n <= c->in.n || http_conn_has_room(c, n - c->in.n);
}

static void route(struct http_conn *c, struct head *h)
{
    struct http_server *s = c->server;
    struct http_exchange *x = h->x;
    bool first = !c->used;
    c->used = true;
    if (s->draining && !first) {
        fail(h, 503, "the service is shutting down");
        return;
    }
    bool has_path = find_among(s, x, false) || find_among(s, x, true);
    if (!has_path)
        fail(h, 404, "there is nothing at this path");
    else if (!x->route) {
        add_allow(s, x);
        fail(h, 405, "the method is not one that this path takes");
    } else if (h->bad_expect)
        fail(h, 417, "the only expectation met is 100-continue");
    else if (h->length > x->route->max_body_bytes)
        fail(h, 413, "the body is larger than is allowed here");
    else if (!has_room_for_body(c, (size_t)h->length))
        fail(h, 503, "too many requests are under way");
}

// --- reading ---

static void dispatch(struct http_conn *c)
{
    struct http_server *s = c->server;
    struct http_exchange *x = c->reading;
    http_conn_reading_done(c);
    if (x->wants_close || s->draining)
        c->closing = true;
    x->state = EXCHANGE_HANDLING;
    x->received_us = clock_mono_us();
    s->stats->in_flight++;
    x->route->handler(x, s->arg);
}

// A path or a method that is not there leaves the framing whole: such a connection goes on, unless
// there is a body to get rid of.
static void answer_head(struct http_conn *c, const struct head *h)
{
    bool framed = h->status == 404 || h->status == 405;
    if (!framed || h->chunked || h->length > 0) {
        http_conn_refuse(c, h->status, h->why);
        return;
    }
    http_conn_reading_done(c);
    c->closing = h->x->wants_close;
    http_problemf(h->x, h->status, "%s", h->why);
}

// Bodies under way have one budget for all connections. A sender whom the handler would refuse
// anyway must not take its share of it, nor keep it for as long as a body may take.
static bool is_worth_waiting(struct http_conn *c, const struct head *h)
{
    struct http_exchange *x = h->x;
    bool whole = !h->chunked && c->in.n >= h->length;
    if (whole || !c->server->admit)
        return true;
    http_conn_reading_done(c); // as for any other answer: it may free the exchange
    c->closing = true;
    if (!c->server->admit(x, c->server->arg))
        return false;
    c->closing = false;
    c->reading = x;
    return true;
}

static void accept_head(struct http_conn *c, struct http_exchange *x)
{
    struct head h = {.x = x};
    c->reading = x;
    read_request_line(&h);
    if (h.status == 0)
        read_fields(c, &h);
    if (h.status == 0)
        check_fields(c, &h);
    if (h.status == 0)
        route(c, &h);
    if (h.status != 0) {
        answer_head(c, &h);
        return;
    }
    if (!h.chunked && h.length == 0) {
        dispatch(c);
        return;
    }
    if (!is_worth_waiting(c, &h))
        return;
    c->phase = h.chunked ? PHASE_CHUNKED : PHASE_LENGTH;
    c->body_left = (size_t)h.length; // 0 before the first chunk
    c->framing_n = 0;
    c->framing_max = c->server->limits.max_header_bytes;
    c->chunks_done = false;
    x->wants_continue = h.has_expect;
    http_conn_advance(c); // sends 100 Continue where it is due
}

static bool skip_empty_line(struct http_conn *c, struct http_input *in)
{
    if (c->skipped_empty_line || in->n < 2 || memcmp(in->p, "\r\n", 2) != 0)
        return false;
    http_input_drain(in, 2); // one is forgiven, as RFC 9112 2.2 asks
    c->skipped_empty_line = true;
    return true;
}

// Scans for the end of a block of lines.
static size_t scan_lines(struct http_conn *c, const struct http_input *in, int *status,
                         const char **why)
{
    const struct http_limits *limits = &c->server->limits;
    return http_scan_head(&c->scan, in->p, in->n, limits->max_target_bytes,
                          limits->max_header_bytes, status, why);
}

static bool read_head(struct http_conn *c, struct http_input *in)
{
    if (in->n == 0)
        return false;
    if (http_conn_is_blocked(c)) {
        c->blocked = true;
        return false;
    }
    c->head_begun = true;
    if (skip_empty_line(c, in))
        return true;

    int status;
    const char *why;
    size_t n = scan_lines(c, in, &status, &why);
    if (status != 0) {
        http_conn_refuse(c, status, why);
        return false;
    }
    if (n == 0)
        return false;
    if (!http_conn_has_room_to_begin(c)) {
        http_conn_refuse(c, 503, "too many requests are under way");
        return false;
    }
    if (c->queue_n > 0)
        c->server->stats->pipelined++;
    struct http_exchange *x = http_exchange_new(c, in->p, n);
    x->server->stats->received_bytes += (int64_t)n;
    http_input_drain(in, n);
    c->begun++;
    accept_head(c, x);
    return true;
}

static bool read_length(struct http_conn *c, struct http_input *in)
{
    struct http_exchange *x = c->reading;
    size_t n = in->n < c->body_left ? in->n : c->body_left;
    if (n == 0)
        return false;
    take_body(x, n);
    buf_add(&x->body, in->p, n);
    http_input_drain(in, n);
    c->body_left -= n;
    if (c->body_left == 0)
        dispatch(c);
    return true;
}

static void begin_trailers(struct http_conn *c)
{
    c->phase = PHASE_TRAILERS;
    c->scan = (struct http_scan){.has_line = true};
}

// llhttp gets either bytes of a chunk or one line between chunks, so that the count of what is no
// body does not depend on how the bytes were cut into packets.
static bool read_chunks(struct http_conn *c, struct http_input *in)
{
    const char *p = in->p;
    size_t n = in->n;
    if (n == 0)
        return false;
    if (c->body_left > 0) {
        n = n < c->body_left ? n : c->body_left;
        c->body_left -= n;
    } else {
        const char *lf = memchr(p, '\n', n);
        n = lf ? (size_t)(lf - p) + 1 : n;
        c->framing_n += n;
    }
    if (c->framing_n > c->framing_max) {
        http_conn_refuse(c, 400, "the chunks' lines are too large");
        return false;
    }
    llhttp_errno_t got = llhttp_execute(&c->parser, p, n);
    http_input_drain(in, n);
    if (c->refuse_status != 0)
        http_conn_refuse(c, c->refuse_status, c->refuse_why);
    else if (got != HPE_OK && got != HPE_PAUSED)
        http_conn_refuse(c, 400, c->parser.reason);
    else if (c->chunks_done)
        begin_trailers(c);
    return !c->closing;
}

// Trailers are checked as lines and dropped: nothing here wants them.
static bool read_trailers(struct http_conn *c, struct http_input *in)
{
    if (in->n == 0)
        return false;
    int status;
    const char *why;
    size_t n = scan_lines(c, in, &status, &why);
    if (status == 0 && n == 0)
        return false;
    if (status == 0 && !http_are_fields(in->p, n)) {
        status = 400;
        why = "a trailer field is malformed";
    }
    if (status != 0) {
        http_conn_refuse(c, status, why);
        return false;
    }
    http_input_drain(in, n);
    dispatch(c);
    return true;
}

void http_conn_parse(struct http_conn *c)
{
    struct http_input *in = &c->in;
    bool more = true;
    c->blocked = false;
    while (more && !c->closing) {
        switch (c->phase) {
        case PHASE_HEAD:
            more = read_head(c, in);
            break;
        case PHASE_LENGTH:
            more = read_length(c, in);
            break;
        case PHASE_CHUNKED:
            more = read_chunks(c, in);
            break;
        case PHASE_TRAILERS:
            more = read_trailers(c, in);
            break;
        }
    }
}
