// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_sink.h"

#include "common/core/timeunit.h"
#include "common/io/clock.h"

#include <sys/queue.h>

struct held {
    TAILQ_ENTRY(held) link;
    struct sink *sink;
    sink_done done;
    void *arg;
    struct event *timer;
    size_t count;
    bool *open; // records that fake_sink_release() acknowledges
    enum sink_result results[];
};

struct sink {
    struct event_base *base;
    TAILQ_HEAD(, held) waiting;
    bool broken;
};

static bool begins(struct str key, const char *prefix)
{
    size_t n = strlen(prefix);
    return key.n >= n && memcmp(key.p, prefix, n) == 0;
}

static void finish(struct held *h)
{
    TAILQ_REMOVE(&h->sink->waiting, h, link);
    h->done(h->arg, h->results, h->count);
    event_free(h->timer);
    free(h->open);
    free(h);
}

static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    finish(arg);
}

// Whether the answer must wait for something.
static bool decide(struct held *h, size_t i, struct str key)
{
    h->results[i] = SINK_UNAVAILABLE;
    if (h->sink->broken || begins(key, "away"))
        return false;
    if (begins(key, "never"))
        return true;
    h->open[i] = begins(key, "hold");
    if (h->open[i])
        return true;
    h->results[i] = begins(key, "large")  ? SINK_TOO_LARGE
                    : begins(key, "busy") ? SINK_BUSY
                                          : SINK_ACKED;
    return false;
}

void sink_publish(struct sink *s, const struct ingest_record *records, size_t count,
                  int64_t deadline_us, sink_done done, void *arg)
{
    bool wait = false;
    struct held *h = xcalloc(1, sizeof(*h) + count * sizeof(h->results[0]));
    *h = (struct held){.sink = s, .done = done, .arg = arg, .count = count};
    h->open = xcalloc(count, sizeof(h->open[0]));
    h->timer = evtimer_new(s->base, on_deadline, h);
    for (size_t i = 0; i < count; i++)
        wait |= decide(h, i, records[i].key);
    TAILQ_INSERT_TAIL(&s->waiting, h, link);
    if (!wait) {
        finish(h);
        return;
    }
    int64_t left_us = max_i64(deadline_us - clock_mono_us(), 0);
    struct timeval tv = {.tv_sec = left_us / US_PER_S, .tv_usec = left_us % US_PER_S};
    evtimer_add(h->timer, &tv);
}

void fake_sink_release(struct sink *s)
{
    struct held *h, *next;
    for (h = TAILQ_FIRST(&s->waiting); h; h = next) {
        bool any = false;
        next = TAILQ_NEXT(h, link);
        for (size_t i = 0; i < h->count; i++) {
            any |= h->open[i];
            if (h->open[i])
                h->results[i] = SINK_ACKED;
        }
        if (any)
            finish(h);
    }
}

void fake_sink_break(struct sink *s)
{
    s->broken = true;
}

int sink_ready(const struct sink *s, struct err *why)
{
    return s->broken ? err_set(why, "broken by a test") : 0;
}

bool sink_started(const struct sink *s UNUSED)
{
    return true;
}

struct sink *fake_sink_new(struct event_base *base)
{
    struct sink *s = xcalloc(1, sizeof(*s));
    s->base = base;
    TAILQ_INIT(&s->waiting);
    return s;
}

void sink_free(struct sink *s)
{
    struct held *h;
    if (!s)
        return;
    while ((h = TAILQ_FIRST(&s->waiting)))
        finish(h);
    free(s);
}
