// SPDX-License-Identifier: Apache-2.0
// Exchanges and their answers. Nothing here touches the socket: an answer goes to the connection's
// output buffer, and the settle event writes what has gathered there, one write for many answers.
#include "common/io/http_internal.h"

#include "common/io/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

_Static_assert(ARRAY_LEN(reasons) == HTTP_STATUSES, "HTTP_STATUSES is not their number");

size_t http_status_index(int status)
{
    size_t i = 0;
    while (i < HTTP_STATUSES && reasons[i].status != status)
        i++;
    return i;
}

int http_status_at(size_t index)
{
    return reasons[index].status;
}

const char *http_reason(int status)
{
    size_t i = http_status_index(status);
    return i < HTTP_STATUSES ? reasons[i].reason : "Unknown";
}

// An exchange is too large for what malloc does quickly, and most are alike.
static struct http_exchange *exchange_alloc(struct http_server *s, size_t head_n)
{
    size_t room = head_n > HTTP_SPARE_HEAD ? head_n : HTTP_SPARE_HEAD;
    struct http_exchange *x = head_n <= HTTP_SPARE_HEAD && s->spare_count > 0
                                  ? s->spares[--s->spare_count]
                                  : xmalloc(sizeof(*x) + room);
    memset(x, 0, offsetof(struct http_exchange, fields)); // the fields are counted, not zeroed
    x->head_room = room;
    return x;
}

struct http_exchange *http_exchange_new(struct http_conn *c, const char *head, size_t n)
{
    struct http_exchange *x = exchange_alloc(c->server, n);
    x->server = c->server;
    x->conn = c;
    x->head_n = x->received_n = n;
    http_exchange_hold(x, sizeof(*x) + n + HTTP_ANSWER_ROOM);
    if (n > 0)
        memcpy(x->head, head, n);
    TAILQ_INSERT_TAIL(&c->queue, x, link);
    c->queue_n++;
    return x;
}

// The caller has taken it out of its list.
void http_exchange_free(struct http_exchange *x)
{
    http_exchange_unhold(x, x->held);
    buf_free(&x->body);
    buf_free(&x->extra);
    buf_free(&x->late);
    struct http_server *s = x->server;
    if (s && x->head_room == HTTP_SPARE_HEAD && s->spare_count < HTTP_SPARES)
        s->spares[s->spare_count++] = x;
    else
        free(x);
}

const char *http_method(const struct http_exchange *x)
{
    return x->method;
}

struct str http_path(const struct http_exchange *x)
{
    return x->path;
}

struct str http_path_parameter(const struct http_exchange *x)
{
    return x->parameter;
}

struct str http_query(const struct http_exchange *x)
{
    return x->query;
}

struct str http_body(const struct http_exchange *x)
{
    return (struct str){x->body.p, x->body.n};
}

struct str http_header(const struct http_exchange *x, const char *lower_name)
{
    size_t n = strlen(lower_name);
    for (size_t i = 0; i < x->field_count; i++) {
        const struct http_field *f = &x->fields[i];
        if (f->name_n == n && memcmp(x->head + f->name, lower_name, n) == 0)
            return (struct str){x->head + f->value, f->value_n};
    }
    return (struct str){NULL, 0};
}

size_t http_header_count(const struct http_exchange *x, const char *lower_name)
{
    size_t n = strlen(lower_name), count = 0;
    for (size_t i = 0; i < x->field_count; i++) {
        const struct http_field *f = &x->fields[i];
        count += f->name_n == n && memcmp(x->head + f->name, lower_name, n) == 0;
    }
    return count;
}

const char *http_peer(const struct http_exchange *x)
{
    return x->conn ? x->conn->peer : "";
}

int64_t http_received_us(const struct http_exchange *x)
{
    return x->received_us;
}

void http_remember(struct http_exchange *x, size_t number)
{
    x->remembered = number;
}

size_t http_remembered(const struct http_exchange *x)
{
    return x->remembered;
}

void http_on_gone(struct http_exchange *x, void (*gone)(void *arg), void *arg)
{
    x->on_gone = gone;
    x->on_gone_arg = arg;
}

void http_add_header(struct http_exchange *x, const char *name, const char *value)
{
    assert(http_is_token(str_of(name)));
    assert(!strpbrk(value, "\r\n"));
    buf_adds(&x->extra, name);
    buf_adds(&x->extra, ": ");
    buf_adds(&x->extra, value);
    buf_adds(&x->extra, "\r\n");
}

// The whole header field, so that an answer only copies it.
static struct str date_field(struct http_server *s, int64_t now_us)
{
    if (now_us >= s->date_until_us) {
        int64_t wall_us = clock_wall_us();
        time_t t = (time_t)(wall_us / 1000000);
        struct tm tm;
        gmtime_r(&t, &tm);
        // The C locale: nobody here calls setlocale, and RFC 9110 wants English.
        s->date_n = strftime(s->date, sizeof(s->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        s->date_until_us = now_us + 1000000 - wall_us % 1000000;
    }
    return (struct str){s->date, s->date_n};
}

// printf would cost more than all else of an answer.
static char *put(char *at, const char *p, size_t n)
{
    memcpy(at, p, n);
    return at + n;
}

#define PUT_LIT(at, lit) put(at, "" lit, sizeof(lit) - 1)

static char *put_number(char *at, size_t n)
{
    char digits[20];
    size_t i = sizeof(digits);
    do
        digits[--i] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    return put(at, digits + i, sizeof(digits) - i);
}

static char *put_head(char *at, struct http_server *s, int64_t now_us, int status, bool close,
                      struct str content_type, const size_t *length)
{
    const char *reason = http_reason(status);
    struct str date = date_field(s, now_us);
    at = PUT_LIT(at, "HTTP/1.1 ");
    at = put_number(at, (size_t)status);
    at = PUT_LIT(at, " ");
    at = put(at, reason, strlen(reason));
    at = PUT_LIT(at, "\r\n");
    at = put(at, date.p, date.n);
    if (length) {
        at = PUT_LIT(at, "Content-Length: ");
        at = put_number(at, *length);
        at = PUT_LIT(at, "\r\n");
    }
    if (content_type.n > 0) {
        at = PUT_LIT(at, "Content-Type: ");
        at = put(at, content_type.p, content_type.n);
        at = PUT_LIT(at, "\r\n");
    }
    return close ? PUT_LIT(at, "Connection: close\r\n") : at;
}

#define HEAD_MAX 256 // of put_head(), the content type apart

// length NULL: the head alone, which tells none. Returns the bytes of the answer.
static size_t render(struct http_exchange *x, int64_t now_us, int status, bool close,
                     const char *content_type, const void *body, const size_t *length)
{
    struct str type = content_type ? str_of(content_type) : (struct str){NULL, 0};
    size_t body_n = x->is_head || !length ? 0 : *length;
    size_t most = HEAD_MAX + type.n + x->extra.n + 2 + body_n;
    struct buf *out = x->is_late ? &x->late : &x->conn->out;
    if (x->is_late)
        buf_reserve(out, most);
    else
        http_conn_out_reserve(x->conn, most);
    char *begin = out->p + out->n;
    char *at = put_head(begin, x->server, now_us, status, close, type, length);
    assert((size_t)(at - begin) <= HEAD_MAX + type.n);
    if (x->extra.n > 0)
        at = put(at, x->extra.p, x->extra.n);
    at = PUT_LIT(at, "\r\n");
    if (body_n > 0)
        at = put(at, body, body_n);
    size_t n = (size_t)(at - begin);
    out->n += n;
    return n;
}

// A client that waits for "100 Continue" gets it once everything before has been answered, and not
// when it has begun to send anyway.
static void maybe_continue(struct http_conn *c)
{
    struct http_exchange *x = c->reading;
    if (!x || !x->wants_continue || x != TAILQ_FIRST(&c->queue))
        return;
    x->wants_continue = false;
    if (c->in.n > 0 || x->body.n > 0)
        return;
    buf_adds(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    http_conn_mark(c);
}

// It is the stream's turn: what it has goes out, and what comes follows at once.
static void begin_streaming(struct http_exchange *x)
{
    http_exchange_unhold(x, x->late.n);
    x->conn->write_mark += x->late.n;
    buf_add(&x->conn->out, x->late.p, x->late.n);
    buf_free(&x->late);
    x->is_late = false;
}

void http_conn_advance(struct http_conn *c)
{
    struct http_exchange *x;
    while ((x = TAILQ_FIRST(&c->queue)) && x->state == EXCHANGE_ANSWERED) {
        buf_add(&c->out, x->late.p, x->late.n);
        TAILQ_REMOVE(&c->queue, x, link);
        c->queue_n--;
        http_exchange_free(x);
    }
    if (x && x->state == EXCHANGE_STREAMING && x->is_late)
        begin_streaming(x);
    maybe_continue(c);
}

void http_note_key(struct http_exchange *x, struct str id)
{
    if (!x->server || x->server->limits.access_log_every == 0)
        return;
    size_t n = id.n < HTTP_KEY_MAX ? id.n : HTTP_KEY_MAX - 1;
    memcpy(x->key, id.p, n);
    x->key[n] = '\0';
}

static void drop_answer(struct http_exchange *x)
{
    if (x->server) {
        TAILQ_REMOVE(&x->server->orphans, x, link);
        x->server->stats->in_flight--;
        x->server->stats->answers_dropped++;
    }
    http_exchange_free(x);
}

// Whether the answer fits the budget. One that is no larger than what its exchange holds always
// does: it takes that room over.
static bool fits(const struct http_exchange *x, size_t body_n)
{
    size_t n = x->is_head ? 0 : body_n;
    return n <= x->held || http_conn_has_room_to_answer(x->conn, n - x->held);
}

// In place of an answer that is too large for now. Requests after it whose bodies are still coming
// get their answer, and then the connection ends; it ends at once where there are none.
static void refuse_answer(struct http_exchange *x)
{
    struct http_conn *c = x->conn;
    x->server->stats->refused_busy++;
    buf_free(&x->extra);
    if (c->reading)
        c->reading->wants_close = true;
    else
        c->closing = true;
    http_add_header(x, "Retry-After", "1");
    http_problemf(x, 503, "the answer is too large while so many are under way");
}

// Counts the answer and logs it.
static void tell(struct http_exchange *x, int64_t now_us, int status, size_t sent_n)
{
    struct http_server *s = x->server;
    s->stats->sent_bytes += (int64_t)sent_n;
    http_route_stats_count(x, status);
    if (x->state == EXCHANGE_HANDLING) {
        s->stats->in_flight--;
        http_route_stats_observe(x, now_us - x->received_us);
    }
    if (s->limits.access_log_every > 0)
        http_access_log(x, status, sent_n, now_us);
}

// Answered, but not its turn: what the answer takes is held in place of the body and of the room
// that was kept for it.
static void settle_held(struct http_exchange *x, size_t sent_n)
{
    http_exchange_drop_body(x);
    http_exchange_unhold(x, HTTP_ANSWER_ROOM);
    http_exchange_hold(x, sent_n);
}

// Returns its bytes.
static size_t write_answer(struct http_exchange *x, int status, const char *content_type,
                           const void *body, const size_t *length)
{
    struct http_conn *c = x->conn;
    bool last = !TAILQ_NEXT(x, link);
    x->is_late = x != TAILQ_FIRST(&c->queue);
    int64_t now_us = clock_mono_us();
    size_t sent_n = render(x, now_us, status, c->closing && last, content_type, body, length);
    tell(x, now_us, status, sent_n);
    return sent_n;
}

static void finish(struct http_exchange *x, size_t sent_n)
{
    struct http_conn *c = x->conn;
    x->state = EXCHANGE_ANSWERED;
    if (x->is_late)
        settle_held(x, sent_n);
    http_conn_advance(c);
    http_conn_charge(c);
    http_conn_mark(c);
}

void http_reply(struct http_exchange *x, int status, const char *content_type, const void *body,
                size_t n)
{
    assert(x->state < EXCHANGE_STREAMING);
    assert(status >= 200 && status <= 599);
    struct http_conn *c = x->conn;
    if (!c) {
        drop_answer(x);
        return;
    }
    if (!fits(x, n)) {
        refuse_answer(x);
        return;
    }
    bool bodiless = status == 204 || status == 304;
    finish(x, write_answer(x, status, content_type, body, bodiless ? NULL : &n));
}

struct http_stream *http_reply_stream(struct http_exchange *x, int status, const char *content_type)
{
    assert(x->state == EXCHANGE_HANDLING);
    assert(status >= 200 && status <= 599 && status != 204 && status != 304);
    struct http_conn *c = x->conn;
    if (!c) {
        drop_answer(x);
        return NULL;
    }
    bool chunked = !x->http_1_0;
    if (chunked)
        http_add_header(x, "Transfer-Encoding", "chunked");
    size_t sent_n = write_answer(x, status, content_type, NULL, NULL);
    if (x->is_head) {
        finish(x, sent_n);
        return NULL;
    }
    settle_held(x, x->is_late ? sent_n : 0);
    buf_free(&x->extra);
    x->state = EXCHANGE_STREAMING;
    x->stream = xcalloc(1, sizeof(*x->stream));
    *x->stream = (struct http_stream){.x = x, .chunked = chunked};
    c->streams++;
    c->server->stats->streams++;
    http_conn_watch_peer(c);
    http_conn_charge(c);
    http_conn_mark(c);
    return x->stream;
}

static size_t utf8_len(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (n == 1)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool beyond = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || beyond ? 0 : n;
}

// Details may quote what the client sent, cut anywhere: what is no UTF-8 becomes '?', so that the
// answer stays JSON.
static void add_json_text(struct buf *out, const char *text)
{
    char clean[sizeof(struct err)];
    size_t n = strnlen(text, sizeof(clean));
    memcpy(clean, text, n);
    for (size_t i = 0; i < n;) {
        size_t step = utf8_len((unsigned char *)clean + i, n - i);
        if (step == 0)
            clean[i] = '?';
        i += step ? step : 1;
    }
    buf_add_json_str(out, (struct str){clean, n});
}

static bool has_own_errors(const struct http_exchange *x)
{
    const struct http_server *s = x->server;
    return s->write_error && x->path.n >= s->errors_prefix.n &&
           memcmp(x->path.p, s->errors_prefix.p, s->errors_prefix.n) == 0;
}

void http_problem(struct http_exchange *x, int status, const struct err *e)
{
    struct buf b = {0};
    if (has_own_errors(x)) {
        x->server->write_error(x, status, e);
        return;
    }
    buf_addf(&b, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":",
             http_reason(status), status);
    // A detail is what there is to say of the field; a person reads the detail alone.
    char detail[sizeof(e->field) + sizeof(e->detail)];
    snprintf(detail, sizeof(detail), "%s%s%s", e->field, e->field[0] ? " " : "", e->detail);
    add_json_text(&b, detail);
    if (e->field[0]) {
        buf_adds(&b, ",\"field\":");
        add_json_text(&b, e->field);
    }
    if (e->offset >= 0)
        buf_addf(&b, ",\"offset\":%" PRId64, e->offset);
    buf_adds(&b, "}\n");
    http_reply(x, status, "application/problem+json", b.p, b.n);
    buf_free(&b);
}

void http_problemf(struct http_exchange *x, int status, const char *fmt, ...)
{
    struct err e = {.offset = -1};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e.detail, sizeof(e.detail), fmt, ap);
    va_end(ap);
    http_problem(x, status, &e);
}
