// SPDX-License-Identifier: Apache-2.0
#include "common/io/loop.h"

#include "common/io/log.h"

#include <signal.h>
#include <unistd.h>

struct loop {
    struct event_base *base;
    struct event *sigterm, *sigint;
    void (*on_stop)(void *arg);
    void *arg;
    bool stopping, stopped;
};

static void log_libevent(int severity, const char *msg)
{
    log_write(severity >= EVENT_LOG_ERR ? LOG_ERROR : LOG_WARN, "libevent", "message", msg,
              (char *)NULL);
}

static void on_signal(evutil_socket_t signum, short what, void *arg)
{
    (void)what;
    struct loop *l = arg;
    if (l->stopping) {
        log_warn("second signal, ending at once", "signal", log_num(signum));
        _exit(1);
    }
    l->stopping = true;
    log_info("stopping", "signal", signum == SIGTERM ? "SIGTERM" : "SIGINT");
    l->on_stop(l->arg);
}

static struct event *watch_signal(struct loop *l, int signum)
{
    struct event *ev = evsignal_new(l->base, signum, on_signal, l);
    if (ev && evsignal_add(ev, NULL) == 0)
        return ev;
    if (ev)
        event_free(ev);
    return NULL;
}

struct loop *loop_new(void (*on_stop)(void *arg), void *arg, struct err *e)
{
    // Allocation failure ends the process here as everywhere (base.h), so evbuffer_add cannot fail.
    event_set_mem_functions(xmalloc, xrealloc, free);
    event_set_log_callback(log_libevent);
    signal(SIGPIPE, SIG_IGN);

    struct loop *l = xcalloc(1, sizeof(*l));
    l->on_stop = on_stop;
    l->arg = arg;
    l->base = event_base_new();
    if (l->base) {
        l->sigterm = watch_signal(l, SIGTERM);
        l->sigint = watch_signal(l, SIGINT);
    }
    if (!l->sigterm || !l->sigint) {
        err_set(e, "cannot set up the event loop: out of descriptors?");
        loop_free(l);
        return NULL;
    }
    return l;
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

int loop_run(struct loop *l)
{
    // A stop before the run counts: libevent itself would forget it.
    while (!l->stopped) {
        if (event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
            return -1;
    }
    return 0;
}

void loop_stop(struct loop *l)
{
    l->stopped = true;
    event_base_loopbreak(l->base);
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    if (l->sigterm)
        event_free(l->sigterm);
    if (l->sigint)
        event_free(l->sigint);
    if (l->base)
        event_base_free(l->base);
    free(l);
}
