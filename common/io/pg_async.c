// SPDX-License-Identifier: Apache-2.0
// One attempt to connect at a time, whatever the pool's size: a server that comes back is then met
// by one client a pool, and a failed attempt says something about the server, not about a crowd.
//
// Cancelling is closing. libpq 15 can only cancel by a blocking connection, and a cancel request
// that arrives late hits the next query of that backend. A closed connection is noticed by the
// server within PG_CLIENT_CHECK_MS (client_connection_check_interval), and costs one reconnect.
#include "common/io/pg_async.h"

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/pg_async_stats.h"
#include "common/io/pg_conn.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/queue.h>

STATS_DEFINE(pg_stats, PG_STATS)

#define PARAMS_MAX 16
#define ROWS_A_TURN 16
#define BROKE "the connection to PostgreSQL broke"
#define ABANDONED_GRACE_US (250 * US_PER_MS) // for a query nobody waits for to end by itself

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_SETUP, CONN_IDLE, CONN_BUSY };
enum setup_step { STEP_SESSION, STEP_CHECK, STEP_PREPARE }; // then one step a statement

enum query_place { IN_QUEUE, ON_CONN, IN_REFUSED };

struct pg_query {
    TAILQ_ENTRY(pg_query) link;
    struct pg_pool *pool;
    struct conn *conn; // ON_CONN
    enum query_place place;
    enum pg_status refused; // IN_REFUSED
    size_t statement;
    int64_t begun_us, deadline_us;
    pg_row on_row; // NULL: the result as a whole
    pg_done done;
    void *arg;
    const char *params[PARAMS_MAX]; // into text
    char text[];
};
TAILQ_HEAD(query_list, pg_query);

struct conn {
    struct pg_pool *pool;
    PGconn *pg;
    enum conn_state state;
    size_t step;            // CONN_SETUP
    struct pg_query *query; // CONN_BUSY; NULL once nobody waits for it
    PGresult *result;       // of the command under way
    struct event *io, *timer;
    struct event *turn; // rows are left that came already
    bool unsent;        // the query could not even be sent
    int fd;             // what io is registered for
    short watching;
};

struct pg_pool {
    struct event_base *base;
    struct pg_pool_options o;
    char *dsn, session_sql[512];
    struct conn *conns;
    int up;
    bool connecting;
    bool away; // the last attempt failed and none is up: queries fail at once
    int64_t backoff_us;
    struct query_list queue, refused;
    int queued;
    struct event *retry, *queue_timer, *refuse;
    struct err away_why;
    enum pg_state state; // as last reported, and why
    struct err why;
    bool reported;
    struct pg_stats own_stats, *stats;
};

static void conn_io(evutil_socket_t fd, short what, void *arg);
static void pool_connect(struct pg_pool *p);
static void pool_dispatch(struct pg_pool *p);

static struct timeval tv_of(int64_t us)
{
    us = max_i64(us, 0);
    return (struct timeval){.tv_sec = us / US_PER_S, .tv_usec = us % US_PER_S};
}

static void arm(struct event *timer, int64_t after_us)
{
    struct timeval tv = tv_of(after_us);
    evtimer_add(timer, &tv);
}

// ---- errors -----------------------------------------------------------------------------------

// A failed connection has no result to take the SQLSTATE from; verbose messages hold it as
// "SEVERITY:  28P01: text", whatever the language of the rest. "" where the server said nothing.
static void connect_sqlstate(const char *text, char out[6])
{
    out[0] = '\0';
    for (const char *s = strstr(text, ":  "); s; s = strstr(s + 1, ":  ")) {
        const char *code = s + 3;
        size_t n = 0;
        while (n < 5 && (isdigit((unsigned char)code[n]) || isupper((unsigned char)code[n])))
            n++;
        if (n == 5 && code[5] == ':') {
            memcpy(out, code, 5);
            out[5] = '\0';
        }
    }
}

// Whether trying again without somebody changing something makes sense. Classes: 28 credentials,
// 3D no such database, 42 no such table or no right to it.
static enum pg_state state_of_sqlstate(const char *code)
{
    static const char *const unusable[] = {"28", "3D", "42"};
    for (size_t i = 0; i < ARRAY_LEN(unusable); i++)
        if (strncmp(code, unusable[i], 2) == 0)
            return PG_STATE_UNUSABLE;
    return PG_STATE_AWAY;
}

static void pool_report(struct pg_pool *p, enum pg_state state, const struct err *e)
{
    bool same = p->reported && p->state == state &&
                (state == PG_STATE_UP || strcmp(p->why.detail, e->detail) == 0);
    if (same)
        return;
    p->reported = true;
    p->state = state;
    p->why = *e;
    if (p->o.on_state)
        p->o.on_state(p->o.arg, state, e);
}

// ---- ends of queries --------------------------------------------------------------------------

static void query_end(struct pg_query *q, enum pg_status status, const PGresult *r,
                      const struct err *e)
{
    struct pg_stats *st = q->pool->stats;
    int64_t *const counters[] = {
        [PG_OK] = &st->queries_ok,         [PG_UNAVAILABLE] = &st->queries_unavailable,
        [PG_BUSY] = &st->queries_busy,     [PG_TIMEOUT] = &st->queries_timeout,
        [PG_FAILED] = &st->queries_failed, [PG_STOPPED] = &st->queries_stopped,
    };
    ++*counters[status];
    stats_observe_us(&st->query_seconds, clock_mono_us() - q->begun_us);
    q->done(q->arg, status, r, e);
    free(q);
}

static void queue_remove(struct pg_query *q)
{
    struct pg_pool *p = q->pool;
    TAILQ_REMOVE(&p->queue, q, link);
    p->stats->queue = --p->queued;
}

// Ends what waits now; what its callers ask for next is not of this round.
static void queue_fail_all(struct pg_pool *p, const struct err *e)
{
    struct query_list ended;
    TAILQ_INIT(&ended);
    TAILQ_CONCAT(&ended, &p->queue, link);
    p->stats->queue = p->queued = 0;
    for (struct pg_query *q = TAILQ_FIRST(&ended); q; q = TAILQ_NEXT(q, link)) {
        q->place = IN_REFUSED;
        q->refused = PG_UNAVAILABLE;
    }
    TAILQ_CONCAT(&p->refused, &ended, link);
    p->away_why = *e;
    event_active(p->refuse, EV_TIMEOUT, 0);
}

static void queue_timer_set(struct pg_pool *p)
{
    struct pg_query *q = TAILQ_FIRST(&p->queue);
    if (q)
        arm(p->queue_timer, q->deadline_us - clock_mono_us());
    else
        evtimer_del(p->queue_timer);
}

// All have the same time, so the queue is in order of deadlines.
static void queue_timeout(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct pg_pool *p = arg;
    struct err e;
    (void)err_set(&e, "no database connection became free within %lld ms",
                  (long long)(p->o.query_timeout_us / US_PER_MS));
    int64_t now_us = clock_mono_us();
    struct pg_query *q;
    while ((q = TAILQ_FIRST(&p->queue)) && q->deadline_us <= now_us) {
        queue_remove(q);
        query_end(q, PG_TIMEOUT, NULL, &e);
    }
    queue_timer_set(p);
}

static void refuse_all(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct pg_pool *p = arg;
    struct err busy;
    (void)err_set(&busy, "%d queries wait for the database already", p->o.queue_max);
    struct err away = p->away_why;
    struct pg_query *q;
    while ((q = TAILQ_FIRST(&p->refused))) {
        TAILQ_REMOVE(&p->refused, q, link);
        query_end(q, q->refused, NULL, q->refused == PG_BUSY ? &busy : &away);
    }
}

// ---- a connection's ends ----------------------------------------------------------------------

static void conn_unwatch(struct conn *c)
{
    if (c->watching)
        event_del(c->io);
    c->watching = 0;
}

// libpq may have another socket than before.
static void conn_watch(struct conn *c, short what)
{
    int fd = PQsocket(c->pg);
    if (c->watching == what && c->fd == fd)
        return;
    conn_unwatch(c);
    if (fd < 0)
        return; // the connection's timer ends it
    event_assign(c->io, c->pool->base, fd, (short)(what | EV_PERSIST), conn_io, c);
    event_add(c->io, NULL);
    c->fd = fd;
    c->watching = what;
}

static void conn_close(struct conn *c)
{
    struct pg_pool *p = c->pool;
    conn_unwatch(c);
    evtimer_del(c->timer);
    evtimer_del(c->turn);
    PQclear(c->result);
    c->result = NULL;
    PQfinish(c->pg);
    c->pg = NULL;
    if (c->state == CONN_IDLE || c->state == CONN_BUSY)
        p->stats->connections = --p->up;
    else if (c->state != CONN_DOWN)
        p->connecting = false;
    if (c->state == CONN_BUSY)
        p->stats->connections_busy--;
    c->state = CONN_DOWN;
}

static void pool_retry_later(struct pg_pool *p)
{
    if (evtimer_pending(p->retry, NULL))
        return;
    arm(p->retry, p->backoff_us);
    p->backoff_us = min_i64(p->backoff_us * 2, PG_BACKOFF_MAX_US);
}

static void conn_connect_failed(struct conn *c, enum pg_state state, const struct err *e)
{
    struct pg_pool *p = c->pool;
    p->stats->connects_failed++;
    conn_close(c);
    pool_retry_later(p);
    if (p->up > 0)
        return;
    p->away = true;
    queue_fail_all(p, e);
    pool_report(p, state, e);
}

// One that was up is of no more use. The query on it, if any, ends without a result.
static void conn_lost(struct conn *c, int64_t *counter, const char *what)
{
    struct pg_pool *p = c->pool;
    struct pg_query *q = c->query;
    struct err e;
    pg_err(&e, what, PQerrorMessage(c->pg));
    ++*counter;
    c->query = NULL;
    conn_close(c);
    pool_retry_later(p);
    if (p->up == 0)
        pool_report(p, PG_STATE_AWAY, &e);
    if (q)
        query_end(q, PG_UNAVAILABLE, NULL, &e);
}

// ---- a connection's way up --------------------------------------------------------------------

static void conn_setup_send(struct conn *c)
{
    const struct pg_pool_options *o = &c->pool->o;
    if (c->step == STEP_CHECK && !o->check_sql)
        c->step++;
    int sent;
    if (c->step == STEP_SESSION) {
        sent = PQsendQuery(c->pg, c->pool->session_sql);
    } else if (c->step == STEP_CHECK) {
        sent = PQsendQuery(c->pg, o->check_sql);
    } else {
        const struct pg_statement *st = &o->statements[c->step - STEP_PREPARE];
        sent = PQsendPrepare(c->pg, st->name, st->sql, st->params, NULL);
    }
    int flushed = sent ? PQflush(c->pg) : -1;
    if (flushed >= 0) {
        conn_watch(c, (short)(EV_READ | (flushed == 1 ? EV_WRITE : 0)));
        return;
    }
    struct err e;
    pg_err(&e, "PostgreSQL cannot be reached", PQerrorMessage(c->pg));
    conn_connect_failed(c, PG_STATE_AWAY, &e);
}

static void conn_up(struct conn *c)
{
    struct pg_pool *p = c->pool;
    evtimer_del(c->timer);
    c->state = CONN_IDLE;
    p->connecting = false;
    p->away = false;
    p->backoff_us = PG_BACKOFF_MIN_US;
    p->stats->connects_ok++;
    p->stats->connections = ++p->up;
    conn_watch(c, EV_READ);
    struct err none = {.offset = -1};
    pool_report(p, PG_STATE_UP, &none);
    pool_connect(p);
    pool_dispatch(p);
}

static void conn_setup_result(struct conn *c)
{
    const struct pg_pool_options *o = &c->pool->o;
    PGresult *r = c->result;
    const char *code = pg_result_sqlstate(r);
    struct err e;
    // The check says in its own words what a missing table means.
    bool ask = c->step == STEP_CHECK && (pg_result_ok(r) || strncmp(code, "42", 2) == 0);
    if (ask && o->check_result && o->check_result(r, &e) != 0) {
        conn_connect_failed(c, PG_STATE_UNUSABLE, &e);
        return;
    }
    if (!pg_result_ok(r)) {
        const char *what = c->step >= STEP_PREPARE ? "a statement cannot be prepared"
                                                   : "PostgreSQL refused the connection's setup";
        pg_err(&e, what, r ? PQresultErrorMessage(r) : PQerrorMessage(c->pg));
        conn_connect_failed(c, state_of_sqlstate(code), &e);
        return;
    }
    PQclear(r);
    c->result = NULL;
    if (++c->step < STEP_PREPARE + o->statement_count)
        conn_setup_send(c);
    else
        conn_up(c);
}

static void conn_connect_poll(struct conn *c, PostgresPollingStatusType polled)
{
    if (polled == PGRES_POLLING_READING || polled == PGRES_POLLING_WRITING) {
        conn_watch(c, polled == PGRES_POLLING_READING ? EV_READ : EV_WRITE);
        return;
    }
    if (polled == PGRES_POLLING_OK && PQsetnonblocking(c->pg, 1) == 0) {
        PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT);
        c->state = CONN_SETUP;
        c->step = STEP_SESSION;
        conn_setup_send(c);
        return;
    }
    struct err e;
    char code[6];
    connect_sqlstate(PQerrorMessage(c->pg), code);
    pg_err(&e, "PostgreSQL cannot be reached", PQerrorMessage(c->pg));
    conn_connect_failed(c, state_of_sqlstate(code), &e);
}

static void conn_connect(struct conn *c)
{
    struct pg_pool *p = c->pool;
    p->connecting = true;
    c->state = CONN_CONNECTING;
    c->pg = pg_connect_start(p->dsn, p->o.application_name);
    arm(c->timer, p->o.connect_timeout_us);
    if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
        conn_connect_poll(c, PGRES_POLLING_FAILED);
        return;
    }
    conn_connect_poll(c, PGRES_POLLING_WRITING);
}

static void pool_connect(struct pg_pool *p)
{
    if (p->connecting || evtimer_pending(p->retry, NULL))
        return;
    for (int i = 0; i < p->o.size; i++)
        if (p->conns[i].state == CONN_DOWN) {
            conn_connect(&p->conns[i]);
            return;
        }
}

static void pool_retry(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    pool_connect(arg);
}

// ---- queries on a connection ------------------------------------------------------------------

static enum pg_status status_of_result(const PGresult *r)
{
    if (pg_result_ok(r))
        return PG_OK;
    const char *code = pg_result_sqlstate(r);
    if (strcmp(code, "57014") == 0)
        return PG_TIMEOUT; // statement_timeout
    // 08 connection, 53 out of resources, 57 shut down; 0A000 and 26000: the plan or the statement
    // is from before a schema change, and a new connection prepares it again.
    static const char *const again[] = {"08", "53", "57", "0A000", "26000"};
    for (size_t i = 0; i < ARRAY_LEN(again); i++)
        if (strncmp(code, again[i], strlen(again[i])) == 0)
            return PG_UNAVAILABLE;
    return *code ? PG_FAILED : PG_UNAVAILABLE;
}

static void conn_query_end(struct conn *c)
{
    struct pg_pool *p = c->pool;
    struct pg_query *q = c->query;
    PGresult *r = c->result;
    enum pg_status status = status_of_result(r);
    struct err e = {.offset = -1};
    if (status != PG_OK)
        pg_err(&e, "PostgreSQL", r ? PQresultErrorMessage(r) : PQerrorMessage(c->pg));
    c->query = NULL;
    c->result = NULL;
    // Class 42 too: the schema that the statement was prepared against has changed, and a new
    // connection looks at it again.
    if (status == PG_UNAVAILABLE || strncmp(pg_result_sqlstate(r), "42", 2) == 0) {
        p->stats->connections_lost++;
        conn_close(c);
        pool_retry_later(p);
        if (p->up == 0)
            pool_report(p, PG_STATE_AWAY, &e);
    } else {
        evtimer_del(c->timer);
        c->state = CONN_IDLE;
        p->stats->connections_busy--;
        pool_dispatch(p); // the server works on the next while this one is answered
    }
    if (q)
        query_end(q, status, r, &e);
    PQclear(r);
}

static void conn_send(struct conn *c, struct pg_query *q)
{
    struct pg_pool *p = c->pool;
    const struct pg_statement *st = &p->o.statements[q->statement];
    c->state = CONN_BUSY;
    p->stats->connections_busy++;
    c->query = q;
    q->conn = c;
    q->place = ON_CONN;
    arm(c->timer, q->deadline_us - clock_mono_us());
    int flushed = -1;
    if (PQsendQueryPrepared(c->pg, st->name, st->params, q->params, NULL, NULL, !st->text) &&
        (!q->on_row || PQsetSingleRowMode(c->pg)))
        flushed = PQflush(c->pg);
    c->unsent = flushed < 0;
    if (c->unsent)
        arm(c->timer, 0); // ends there: the caller may be inside pg_pool_query()
    else
        conn_watch(c, (short)(EV_READ | (flushed == 1 ? EV_WRITE : 0)));
}

static void pool_dispatch(struct pg_pool *p)
{
    for (int i = 0; i < p->o.size && p->queued > 0; i++) {
        if (p->conns[i].state != CONN_IDLE)
            continue;
        struct pg_query *q = TAILQ_FIRST(&p->queue);
        queue_remove(q);
        conn_send(&p->conns[i], q);
    }
    queue_timer_set(p);
}

static void conn_timeout(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct conn *c = arg;
    struct pg_query *q = c->query;
    struct err e;
    if (c->state == CONN_CONNECTING || c->state == CONN_SETUP) {
        (void)err_set(&e, "PostgreSQL cannot be reached: no answer within %lld ms",
                      (long long)(c->pool->o.connect_timeout_us / US_PER_MS));
        conn_connect_failed(c, PG_STATE_AWAY, &e);
    } else if (!q) {
        conn_lost(c, &c->pool->stats->connections_abandoned,
                  "a query that nobody waits for goes on");
    } else if (c->unsent) {
        conn_lost(c, &c->pool->stats->connections_lost, "a query could not be sent");
    } else if (q->deadline_us > clock_mono_us()) {
        // The loop counts from when its turn began: a timer may be early by what the turn took.
        arm(c->timer, max_i64(q->deadline_us - clock_mono_us(), US_PER_MS));
    } else {
        (void)err_set(&e, "the query took longer than %lld ms",
                      (long long)(c->pool->o.query_timeout_us / US_PER_MS));
        c->query = NULL;
        arm(c->timer, ABANDONED_GRACE_US);
        query_end(q, PG_TIMEOUT, NULL, &e);
    }
}

static void conn_row(struct conn *c, const PGresult *r)
{
    struct pg_query *q = c->query;
    if (!q || q->on_row(q->arg, r) == 0)
        return;
    // As when nobody waits for it any more: what is still to come is passed over for a moment.
    struct err none = {.offset = -1};
    c->query = NULL;
    arm(c->timer, ABANDONED_GRACE_US);
    query_end(q, PG_STOPPED, NULL, &none);
}

// All results of the command that are there. True once the command has ended; the last result, or
// the first bad one, is then in c->result.
static bool conn_take_results(struct conn *c)
{
    int rows = 0;
    while (!PQisBusy(c->pg)) {
        if (rows == ROWS_A_TURN) {
            conn_unwatch(c); // the rest stays with the server until these are done
            arm(c->turn, 0);
            return false;
        }
        PGresult *r = PQgetResult(c->pg);
        if (!r)
            return true;
        if (PQresultStatus(r) == PGRES_SINGLE_TUPLE) {
            rows++;
            conn_row(c, r);
            PQclear(r);
            continue;
        }
        if (c->result && !pg_result_ok(c->result)) {
            PQclear(r);
        } else {
            PQclear(c->result);
            c->result = r;
        }
    }
    return false;
}

static void conn_ready(struct conn *c, short what)
{
    bool broken = what & EV_READ ? PQconsumeInput(c->pg) == 0 : false;
    int flushed = broken ? -1 : PQflush(c->pg);
    if (c->state == CONN_IDLE) {
        // Only bad news comes unasked.
        if (broken || PQisBusy(c->pg) || PQstatus(c->pg) == CONNECTION_BAD)
            conn_lost(c, &c->pool->stats->connections_lost, BROKE);
        return;
    }
    if (flushed >= 0)
        conn_watch(c, (short)(EV_READ | (flushed == 1 ? EV_WRITE : 0)));
    // A server that shuts down says so before it closes: look at what came even when it is broken.
    bool ended = conn_take_results(c);
    if (!ended && flushed >= 0)
        return;
    if (c->state == CONN_SETUP)
        conn_setup_result(c);
    else if (flushed < 0)
        conn_lost(c, &c->pool->stats->connections_lost, BROKE);
    else
        conn_query_end(c);
}

static void conn_turn(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    conn_ready(arg, 0);
}

static void conn_io(UNUSED evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    if (c->state != CONN_CONNECTING) {
        conn_ready(c, what);
        return;
    }
    // PQconnectPoll() may close this socket and open another.
    conn_unwatch(c);
    conn_connect_poll(c, PQconnectPoll(c->pg));
}

// ---- the pool ---------------------------------------------------------------------------------

static struct pg_query *query_new(struct pg_pool *p, size_t statement, const char *const *params,
                                  pg_done done, void *arg)
{
    int count = p->o.statements[statement].params;
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += params[i] ? strlen(params[i]) + 1 : 0;
    struct pg_query *q = xmalloc(sizeof(*q) + bytes);
    int64_t now_us = clock_mono_us();
    *q = (struct pg_query){.pool = p,
                           .statement = statement,
                           .begun_us = now_us,
                           .deadline_us = now_us + p->o.query_timeout_us,
                           .done = done,
                           .arg = arg};
    char *text = q->text;
    for (int i = 0; i < count; i++) {
        if (!params[i])
            continue;
        size_t n = strlen(params[i]) + 1;
        q->params[i] = memcpy(text, params[i], n);
        text += n;
    }
    return q;
}

struct pg_query *pg_pool_query(struct pg_pool *p, size_t statement, const char *const *params,
                               pg_done done, void *arg)
{
    return pg_pool_stream(p, statement, params, NULL, done, arg);
}

struct pg_query *pg_pool_stream(struct pg_pool *p, size_t statement, const char *const *params,
                                pg_row on_row, pg_done done, void *arg)
{
    assert(statement < p->o.statement_count);
    struct pg_query *q = query_new(p, statement, params, done, arg);
    q->on_row = on_row;
    if (p->away || p->queued >= p->o.queue_max) {
        q->place = IN_REFUSED;
        q->refused = p->away ? PG_UNAVAILABLE : PG_BUSY;
        TAILQ_INSERT_TAIL(&p->refused, q, link);
        event_active(p->refuse, EV_TIMEOUT, 0);
        return q;
    }
    q->place = IN_QUEUE;
    TAILQ_INSERT_TAIL(&p->queue, q, link);
    p->stats->queue = ++p->queued;
    pool_dispatch(p);
    return q;
}

void pg_query_cancel(struct pg_query *q)
{
    struct pg_pool *p = q->pool;
    p->stats->queries_cancelled++;
    if (q->place == IN_QUEUE) {
        queue_remove(q);
        queue_timer_set(p);
    } else if (q->place == IN_REFUSED) {
        TAILQ_REMOVE(&p->refused, q, link);
    } else {
        q->conn->query = NULL;
        arm(q->conn->timer, ABANDONED_GRACE_US);
    }
    free(q);
}

bool pg_pool_up(const struct pg_pool *p)
{
    return p->up > 0;
}

struct pg_pool *pg_pool_new(struct event_base *base, const struct pg_pool_options *o, struct err *e)
{
    if (pg_dsn_check(o->dsn, e) != 0)
        return NULL;
    assert(o->size > 0 && o->queue_max > 0 && o->statement_count > 0);
    for (size_t i = 0; i < o->statement_count; i++)
        assert(o->statements[i].params <= PARAMS_MAX);
    struct pg_pool *p = xcalloc(1, sizeof(*p));
    p->base = base;
    p->o = *o;
    p->o.dsn = p->dsn = xstrdup(o->dsn);
    p->stats = o->stats ? o->stats : &p->own_stats;
    p->backoff_us = PG_BACKOFF_MIN_US;
    TAILQ_INIT(&p->queue);
    TAILQ_INIT(&p->refused);
    snprintf(p->session_sql, sizeof(p->session_sql),
             "SET statement_timeout = %lld; SET client_connection_check_interval = %d; "
             "SET default_transaction_read_only = %s; SET timezone = 'UTC'; "
             "SET jit = off; SET plan_cache_mode = force_generic_plan; %s",
             (long long)(o->query_timeout_us / US_PER_MS), PG_CLIENT_CHECK_MS,
             o->writes ? "off" : "on", o->session_sql ? o->session_sql : "");
    p->retry = evtimer_new(base, pool_retry, p);
    p->queue_timer = evtimer_new(base, queue_timeout, p);
    p->refuse = event_new(base, -1, 0, refuse_all, p);
    p->conns = xcalloc((size_t)o->size, sizeof(*p->conns));
    for (int i = 0; i < o->size; i++) {
        struct conn *c = &p->conns[i];
        c->pool = p;
        c->io = event_new(base, -1, 0, conn_io, c);
        c->timer = evtimer_new(base, conn_timeout, c);
        c->turn = evtimer_new(base, conn_turn, c);
    }
    arm(p->retry, 0); // not from here: the first failure is to be reported to a caller that has p
    return p;
}

void pg_pool_free(struct pg_pool *p)
{
    if (!p)
        return;
    struct err e;
    (void)err_set(&e, "the service is stopping");
    p->away = true;
    queue_fail_all(p, &e);
    for (int i = 0; i < p->o.size; i++) {
        struct conn *c = &p->conns[i];
        struct pg_query *q = c->query;
        c->query = NULL;
        conn_close(c);
        if (q)
            query_end(q, PG_UNAVAILABLE, NULL, &e);
        event_free(c->io);
        event_free(c->timer);
        event_free(c->turn);
    }
    refuse_all(-1, 0, p);
    event_free(p->retry);
    event_free(p->queue_timer);
    event_free(p->refuse);
    free(p->conns);
    free(p->dsn);
    free(p);
}
