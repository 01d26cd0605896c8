// SPDX-License-Identifier: Apache-2.0
#include "processor/host.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "processor/source_kafka.h"

// For the topics: at first there is nothing else to do, later all else stands still meanwhile.
#define FIRST_TIMEOUT_MS 3000
#define LATER_TIMEOUT_MS 500

struct host {
    const struct config *config;
    struct event_base *base;
    struct emit *emit;
    struct publisher *publisher;
    struct event *wake, *timer;
    bool topics_seen;
    int wake_fd; // one for all sources there ever are: a client that had to be abandoned writes on
};

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;
    (void)what;
    (void)arg;
    while (read(fd, &count, sizeof(count)) > 0)
        ;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

struct host *host_new(const struct config *c, struct event_base *base, struct emit *emit,
                      struct publisher *publisher)
{
    struct host *h = xcalloc(1, sizeof(*h));
    h->config = c;
    h->base = base;
    h->emit = emit;
    h->publisher = publisher;
    h->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    h->timer = event_new(base, -1, 0, on_timer, h);
    h->wake = event_new(base, h->wake_fd, EV_READ | EV_PERSIST, on_wake, h);
    event_add(h->wake, NULL);
    return h;
}

void host_free(struct host *h)
{
    if (!h)
        return;
    event_free(h->wake);
    event_free(h->timer);
    close(h->wake_fd);
    free(h);
}

static int check_topics(void *arg, int64_t partitions, struct err *e)
{
    struct host *h = arg;
    int rc = kafka_check_inputs(emit_kafka_handle(h->emit), h->config, partitions,
                                h->topics_seen ? LATER_TIMEOUT_MS : FIRST_TIMEOUT_MS, e);
    h->topics_seen = h->topics_seen || rc == 0;
    return rc;
}

static struct source *open_source(void *arg, const struct store_settings *settings,
                                  const struct source_events *events, struct err *e)
{
    struct host *h = arg;
    return source_new(h->config, settings, events, h->wake_fd, e);
}

static int64_t mono_us(void *arg)
{
    (void)arg;
    return clock_mono_us();
}

static int64_t wall_ms(void *arg)
{
    (void)arg;
    return clock_wall_us() / US_PER_MS;
}

static void wait_for(void *arg, int64_t us)
{
    struct host *h = arg;
    emit_serve(h->emit);
    if (us <= 0) {
        event_base_loop(h->base, EVLOOP_NONBLOCK);
        return;
    }
    struct timeval tv = {us / US_PER_S, us % US_PER_S};
    event_add(h->timer, &tv);
    event_base_loop(h->base, EVLOOP_ONCE);
}

static void own_publisher(void *arg, int64_t epoch)
{
    struct host *h = arg;
    publisher_own(h->publisher, epoch);
}

struct runner_host host_calls(struct host *h)
{
    return (struct runner_host){check_topics, open_source,   mono_us, wall_ms,
                                wait_for,     own_publisher, h};
}
