// SPDX-License-Identifier: Apache-2.0
// The heartbeat is an empty query every HEARTBEAT_US, which must be answered within ANSWER_US: TCP
// alone does not tell a frozen server from one that has nothing to say, for its kernel goes on
// acknowledging.
//
// libpq keeps what it has parsed in a list, and it parses all that it has read. So the socket is
// not read while the list is not empty: what a turn leaves over is handed on in the next ones.
#include "common/io/pg_listen.h"

#include "common/core/timeunit.h"
#include "common/io/pg_conn.h"
#include "common/io/pg_listen_stats.h"

#include <stdio.h>

STATS_DEFINE(pg_listen_stats, PG_LISTEN_STATS)

#define CONNECT_US (3 * US_PER_S) // to connect and LISTEN
#define HEARTBEAT_US (2 * US_PER_S)
#define ANSWER_US (2 * US_PER_S)
_Static_assert(HEARTBEAT_US + ANSWER_US < PG_LISTEN_SILENCE_US, "on_down would come too late");
#define AWAY "PostgreSQL cannot be reached"

enum listen_state {
    LISTEN_DOWN,       // timer: the next attempt
    LISTEN_CONNECTING, // timer: its deadline
    LISTEN_ASKING,     // LISTEN is sent; the same deadline
    LISTEN_QUIET,      // listening; timer: the next heartbeat
    LISTEN_BEATING,    // listening, a heartbeat is under way; timer: its deadline
};

struct pg_listen {
    struct event_base *base;
    struct pg_listen_options o;
    char *dsn, *application_name, sql[128];
    PGconn *pg;
    enum listen_state state;
    struct event *io, *timer;
    struct event *more; // pending: notifications are left over
    int fd;             // what io is registered for
    short watching;
    int64_t backoff_us;
    struct err why; // as last told by on_down
    bool told;
    struct pg_listen_stats own_stats, *stats;
};

static void on_io(evutil_socket_t fd, short what, void *arg);

static void arm(struct pg_listen *l, int64_t after_us)
{
    struct timeval tv = {.tv_sec = after_us / US_PER_S, .tv_usec = after_us % US_PER_S};
    evtimer_add(l->timer, &tv);
}

static void unwatch(struct pg_listen *l)
{
    if (l->watching)
        event_del(l->io);
    l->watching = 0;
}

// libpq may have another socket than before.
static void watch(struct pg_listen *l, short what)
{
    int fd = PQsocket(l->pg);
    if (l->watching == what && l->fd == fd)
        return;
    unwatch(l);
    if (fd < 0)
        return; // the timer ends it
    event_assign(l->io, l->base, fd, (short)(what | EV_PERSIST), on_io, l);
    event_add(l->io, NULL);
    l->fd = fd;
    l->watching = what;
}

bool pg_listen_up(const struct pg_listen *l)
{
    return l->state >= LISTEN_QUIET;
}

// ---- ends -------------------------------------------------------------------------------------

static void hang_up(struct pg_listen *l)
{
    unwatch(l);
    event_del(l->more);
    evtimer_del(l->timer);
    PQfinish(l->pg);
    l->pg = NULL;
    l->state = LISTEN_DOWN;
    l->stats->connected = 0;
}

// Also where the attempt to connect failed. The last thing that a callback of ours does.
static void down(struct pg_listen *l, int64_t *counter, const struct err *e)
{
    bool news = pg_listen_up(l) || !l->told || strcmp(l->why.detail, e->detail) != 0;
    ++*counter;
    hang_up(l);
    arm(l, l->backoff_us);
    l->backoff_us = min_i64(l->backoff_us * 2, PG_BACKOFF_MAX_US);
    l->told = true;
    l->why = *e;
    if (news)
        l->o.on_down(l->o.arg, e);
}

static void broke(struct pg_listen *l)
{
    struct err e;
    bool up = pg_listen_up(l);
    pg_err(&e, up ? "the connection to PostgreSQL broke" : AWAY, PQerrorMessage(l->pg));
    down(l, up ? &l->stats->lost_broken : &l->stats->connects_failed, &e);
}

// ---- the way up -------------------------------------------------------------------------------

static int query(struct pg_listen *l, const char *sql)
{
    int flushed = PQsendQuery(l->pg, sql) ? PQflush(l->pg) : -1;
    if (flushed < 0)
        return -1;
    watch(l, (short)(EV_READ | (flushed == 1 ? EV_WRITE : 0)));
    return 0;
}

static void ask(struct pg_listen *l)
{
    l->state = LISTEN_ASKING;
    if (PQsetnonblocking(l->pg, 1) != 0 || query(l, l->sql) != 0)
        broke(l);
}

static void go_on_connecting(struct pg_listen *l, PostgresPollingStatusType polled)
{
    if (polled == PGRES_POLLING_OK)
        ask(l);
    else if (polled == PGRES_POLLING_FAILED)
        broke(l);
    else
        watch(l, polled == PGRES_POLLING_READING ? EV_READ : EV_WRITE);
}

static void connect_now(struct pg_listen *l)
{
    l->state = LISTEN_CONNECTING;
    arm(l, CONNECT_US);
    l->pg = pg_connect_start(l->dsn, l->application_name);
    bool bad = !l->pg || PQstatus(l->pg) == CONNECTION_BAD;
    go_on_connecting(l, bad ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING);
}

// ---- listening --------------------------------------------------------------------------------

// What was asked is done.
static void answered(struct pg_listen *l)
{
    bool up = pg_listen_up(l);
    l->state = LISTEN_QUIET;
    arm(l, HEARTBEAT_US);
    if (up)
        return;
    l->stats->connects_ok++;
    l->stats->connected = 1;
    l->backoff_us = PG_BACKOFF_MIN_US;
    l->told = false;
    l->o.on_up(l->o.arg);
}

static void refused(struct pg_listen *l, const PGresult *r)
{
    struct err e;
    bool up = pg_listen_up(l);
    pg_err(&e, up ? "PostgreSQL ended the connection" : "PostgreSQL cannot be listened to",
           PQresultErrorMessage(r));
    down(l, up ? &l->stats->lost_broken : &l->stats->connects_failed, &e);
}

// Of LISTEN or a heartbeat, where one is under way. False: it is down now.
static bool take_results(struct pg_listen *l)
{
    while (l->state != LISTEN_QUIET && !PQisBusy(l->pg)) {
        PGresult *r = PQgetResult(l->pg);
        bool ok = !r || pg_result_ok(r);
        if (!r)
            answered(l);
        else if (!ok)
            refused(l, r);
        PQclear(r);
        if (!ok)
            return false;
    }
    return true;
}

// True: all that has been read.
static bool hand_over(struct pg_listen *l)
{
    for (int i = 0; i < PG_LISTEN_TURN_MAX; i++) {
        PGnotify *n = PQnotifies(l->pg);
        if (!n)
            return true;
        l->stats->notifications++;
        l->o.on_notify(l->o.arg, n->extra);
        PQfreemem(n);
    }
    return false;
}

static void hand_over_or_leave(struct pg_listen *l)
{
    if (hand_over(l)) {
        watch(l, EV_READ);
        return;
    }
    unwatch(l);
    event_add(l->more, &(struct timeval){0}); // active at once it would come before all others
}

static void on_more(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    hand_over_or_leave(arg);
}

static void on_io(UNUSED evutil_socket_t fd, short what, void *arg)
{
    struct pg_listen *l = arg;
    if (l->state == LISTEN_CONNECTING) {
        unwatch(l); // PQconnectPoll() may close this socket and open another
        go_on_connecting(l, PQconnectPoll(l->pg));
        return;
    }
    bool broken = what & EV_READ ? PQconsumeInput(l->pg) == 0 : false;
    int flushed = broken ? -1 : PQflush(l->pg);
    if (!take_results(l)) // a server that shuts down says so before it closes
        return;
    if (flushed < 0) {
        broke(l);
        return;
    }
    if (l->state == LISTEN_ASKING || flushed == 1) {
        watch(l, (short)(EV_READ | (flushed == 1 ? EV_WRITE : 0)));
        return;
    }
    // A sign of life, even where the answer to the heartbeat stands behind thousands of others.
    arm(l, l->state == LISTEN_BEATING ? ANSWER_US : HEARTBEAT_US);
    hand_over_or_leave(l);
}

static void on_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct pg_listen *l = arg;
    struct err e;
    if (l->state == LISTEN_DOWN) {
        connect_now(l);
    } else if (!pg_listen_up(l)) {
        (void)err_set(&e, AWAY ": no answer within %lld ms", (long long)(CONNECT_US / US_PER_MS));
        down(l, &l->stats->connects_failed, &e);
    } else if (l->state == LISTEN_BEATING) {
        (void)err_set(&e, "PostgreSQL has been silent for %lld ms",
                      (long long)((HEARTBEAT_US + ANSWER_US) / US_PER_MS));
        down(l, &l->stats->lost_silent, &e);
    } else if (evtimer_pending(l->more, NULL)) {
        arm(l, HEARTBEAT_US); // it is we who do not listen
    } else {
        l->state = LISTEN_BEATING;
        arm(l, ANSWER_US);
        if (query(l, "") != 0)
            broke(l);
    }
}

// ---- the listener -----------------------------------------------------------------------------

static bool is_channel(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n < 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789") == n &&
           !strchr("0123456789", name[0]);
}

struct pg_listen *pg_listen_new(struct event_base *base, const struct pg_listen_options *o,
                                struct err *e)
{
    if (pg_dsn_check(o->dsn, e) != 0)
        return NULL;
    assert(is_channel(o->channel) && o->on_up && o->on_notify && o->on_down);
    struct pg_listen *l = xcalloc(1, sizeof(*l));
    l->base = base;
    l->o = *o;
    l->dsn = xstrdup(o->dsn);
    l->application_name = xstrdup(o->application_name);
    l->stats = o->stats ? o->stats : &l->own_stats;
    l->backoff_us = PG_BACKOFF_MIN_US;
    snprintf(l->sql, sizeof(l->sql), "LISTEN %s", o->channel);
    l->io = event_new(base, -1, 0, on_io, l);
    l->timer = evtimer_new(base, on_timer, l);
    l->more = evtimer_new(base, on_more, l);
    arm(l, 0); // not from here: the first failure is to be told to a caller that has the listener
    return l;
}

void pg_listen_free(struct pg_listen *l)
{
    if (!l)
        return;
    hang_up(l);
    event_free(l->io);
    event_free(l->timer);
    event_free(l->more);
    free(l->dsn);
    free(l->application_name);
    free(l);
}
