// SPDX-License-Identifier: Apache-2.0
// A non-blocking connection to PostgreSQL on an event loop that listens on one channel, for as long
// as it lives: it connects by itself, again and again, 50 ms to 1 s apart.
//
// Notifications that are sent while it does not listen are lost, and so is how many there were:
// each on_up means that anything may have been missed. A server that is frozen, or a network that
// swallows everything, is found out by a heartbeat: on_down comes within PG_LISTEN_SILENCE_US of
// the last sign of life (as far as the loop gets its turns). A standby cannot be listened to.
//
// Of a flood at most PG_LISTEN_TURN_MAX notifications are handed over before the loop serves
// others; what comes meanwhile waits in PostgreSQL, which keeps it for all listeners.
//
// Host names other than those in /etc/hosts are resolved by libpq while the loop waits: give
// `hostaddr` in the DSN where DNS may be slow.
#ifndef STREAMLENS_PG_LISTEN_H
#define STREAMLENS_PG_LISTEN_H

#include "common/core/err.h"

#include <event2/event.h>

#define PG_LISTEN_TURN_MAX 256
#define PG_LISTEN_SILENCE_US INT64_C(4500000)

// All but stats and arg must be given. Callbacks come from the loop, never from within the calls
// below, and must not free the listener.
struct pg_listen_options {
    const char *dsn; // URI or key=value; copied
    const char *application_name;
    const char *channel;                               // lower-case letters, digits and '_'
    void (*on_up)(void *arg);                          // it listens, from now on
    void (*on_notify)(void *arg, const char *payload); // the payload is borrowed
    // It does not listen any more, or cannot begin to; told once for each time it did and each new
    // reason.
    void (*on_down)(void *arg, const struct err *e);
    void *arg;
    struct pg_listen_stats *stats; // borrowed; see pg_listen_stats.h. NULL: not counted
};

struct pg_listen;
// Starts connecting at once. NULL where the DSN cannot be understood.
struct pg_listen *pg_listen_new(struct event_base *base, const struct pg_listen_options *o,
                                struct err *e);
void pg_listen_free(struct pg_listen *l); // on_down is not called

bool pg_listen_up(const struct pg_listen *l);

#endif
