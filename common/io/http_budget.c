// SPDX-License-Identifier: Apache-2.0
// The memory of all connections together. What a connection holds is what lies unread in its input,
// its exchanges (head, body, answers that wait for their turn) and answers that the client has not
// taken; what goes beyond its allowance is charged to the server.
//
// Each step that makes a connection hold more asks first or is undone at once: a request is not
// begun, a body is refused, a large answer becomes a 503, and bytes that a read brought in beyond
// the budget are refused within the same callback (http_conn.c). So the sum never exceeds the
// budget by more than one read, the answers that say so, and an eighth for answers of ordinary size
// (the page of metrics, above all), whatever the clients do at once. What needs no more room is
// never held up, so all that is under way ends, and gives its room back.
#include "common/io/http_internal.h"

// Beyond the bytes of the head, which it takes over from the input.
#define EXCHANGE_COST (sizeof(struct http_exchange) + HTTP_ANSWER_ROOM)

static void hold(struct http_server *s, size_t less, size_t more)
{
    s->held_bytes = s->held_bytes - less + more;
    s->stats->memory_bytes = (int64_t)s->held_bytes;
}

static void hold_orphan(struct http_server *s, size_t less, size_t more)
{
    s->orphan_bytes = s->orphan_bytes - less + more;
    hold(s, less, more);
}

void http_exchange_orphan(struct http_exchange *x)
{
    x->conn->exchanges_held -= x->held;
    x->conn = NULL;
    hold_orphan(x->server, 0, x->held);
}

void http_exchange_hold(struct http_exchange *x, size_t more)
{
    x->held += more;
    if (x->conn)
        x->conn->exchanges_held += more;
    else if (x->server)
        hold_orphan(x->server, 0, more);
}

void http_exchange_unhold(struct http_exchange *x, size_t less)
{
    assert(less <= x->held);
    x->held -= less;
    if (x->conn)
        x->conn->exchanges_held -= less;
    else if (x->server)
        hold_orphan(x->server, less, 0);
}

void http_exchange_drop_body(struct http_exchange *x)
{
    http_exchange_unhold(x, x->body.n);
    buf_free(&x->body);
}

void http_release_body(struct http_exchange *x)
{
    http_exchange_drop_body(x);
    if (x->conn)
        http_conn_charge(x->conn);
}

static size_t charge_for(const struct http_conn *c, size_t more)
{
    size_t n = c->exchanges_held + c->in.n + http_conn_unsent(c) + more;
    return n > HTTP_CONN_ALLOWANCE ? n - HTTP_CONN_ALLOWANCE : 0;
}

void http_conn_discharge(struct http_conn *c)
{
    hold(c->server, c->charged, 0);
    c->charged = 0;
}

bool http_conn_charge(struct http_conn *c)
{
    struct http_server *s = c->server;
    size_t charge = charge_for(c, 0);
    hold(s, c->charged, charge);
    c->charged = charge;
    return http_conn_has_room(c, 0);
}

// A connection within its allowance asks nothing of the budget, and gets through also while others
// have exceeded it by a little; not while requests do that whose clients have left, for those are
// bounded by nothing else.
static bool has_room(const struct http_conn *c, size_t more, size_t budget)
{
    const struct http_server *s = c->server;
    size_t charge = charge_for(c, more);
    return charge > 0 ? s->held_bytes - c->charged + charge <= budget : s->orphan_bytes <= budget;
}

bool http_conn_has_room(const struct http_conn *c, size_t more)
{
    return has_room(c, more, c->server->limits.max_memory_bytes);
}

bool http_conn_has_room_to_answer(const struct http_conn *c, size_t more)
{
    size_t budget = c->server->limits.max_memory_bytes;
    return has_room(c, more, more <= HTTP_ANSWER_SMALL ? budget + budget / 8 : budget);
}

// Half of it is left to requests: whoever streams can wait.
bool http_conn_has_room_to_stream(const struct http_conn *c, size_t more)
{
    return has_room(c, more, c->server->limits.max_memory_bytes / 2);
}

bool http_conn_has_room_to_begin(const struct http_conn *c)
{
    return http_conn_has_room(c, EXCHANGE_COST);
}
