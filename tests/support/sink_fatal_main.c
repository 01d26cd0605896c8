// SPDX-License-Identifier: Apache-2.0
// The real sink through a fatal error of its producer: a record before, the error with a record in
// flight, and a record after it on the new producer. Prints what each was reported to be. Takes the
// settings of ingest-api.
#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/loop.h"
#include "common/io/service.h"
#include "ingest-api/sink_kafka.h"

#include <stdio.h>

#define STEP_US (20 * US_PER_MS)
#define TIMEOUT_US (30 * US_PER_S)

enum step { BEFORE, DURING, NOT_READY, AFTER, DONE };
static const char *const step_names[] = {"before", "during", "", "after"};

struct app {
    struct loop *loop;
    struct sink *sink;
    struct ingest_stats stats;
    struct event *tick;
    enum step step;
    bool published;
    int64_t begin_us;
    const char *fault;
};

static void fail(struct app *a, const char *what)
{
    a->fault = what;
    loop_stop(a->loop);
}

static void on_done(void *arg, const enum sink_result *results, size_t count)
{
    struct app *a = arg;
    assert(count == 1);
    printf("%s=%s\n", step_names[a->step], results[0] == SINK_ACKED ? "acked" : "not acked");
    a->published = false;
    a->step++;
}

static void publish(struct app *a, const char *key)
{
    struct ingest_record r = {.kind = EVENT_REQUEST, .key = str_of(key), .value = STR_LIT("{}")};
    a->published = true;
    sink_publish(a->sink, &r, 1, clock_mono_us() + TIMEOUT_US, on_done, a);
}

static void advance(struct app *a)
{
    struct err why;
    bool ready = sink_ready(a->sink, &why) == 0;
    if (a->published)
        return;
    if (a->step == BEFORE && ready) {
        publish(a, "before");
    } else if (a->step == DURING) {
        publish(a, "during");
        if (sink_kafka_test_fatal(a->sink) < 0)
            fail(a, "no fatal error could be provoked");
    } else if (a->step == NOT_READY && a->stats.producers == 2) {
        a->step = AFTER;
    } else if (a->step == AFTER && ready) {
        publish(a, "after");
    } else if (a->step == DONE) {
        loop_stop(a->loop);
    }
}

static void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    struct app *a = arg;
    struct timeval tv = {.tv_usec = STEP_US};
    if (clock_mono_us() - a->begin_us > TIMEOUT_US)
        fail(a, "it took too long");
    else
        advance(a);
    event_add(a->tick, &tv);
}

static void on_stop(void *arg)
{
    fail(arg, "it was stopped");
}

static void on_refuse(void *arg, const struct err *why)
{
    fprintf(stderr, "%s\n", why->detail);
    fail(arg, "the sink refused");
}

int main(int argc, char **argv)
{
    static struct app app;
    struct config config;
    struct err e;
    int rc;
    if (!service_configure(&config, PROGRAM_INGEST, "sink-fatal", argc, argv, &rc))
        return rc;
    app.begin_us = clock_mono_us();
    app.loop = loop_new(on_stop, &app, &e);
    if (!app.loop)
        return service_failed(&e);
    app.sink = sink_kafka_new(loop_base(app.loop), &config, &app.stats, on_refuse, &app, &e);
    if (!app.sink)
        return service_failed(&e);
    app.tick = evtimer_new(loop_base(app.loop), on_tick, &app);
    event_active(app.tick, EV_TIMEOUT, 0);
    if (loop_run(app.loop) < 0)
        app.fault = "the loop failed";
    if (!app.fault && app.stats.unreported != 0)
        app.fault = "reports are missing";
    event_free(app.tick);
    sink_free(app.sink);
    loop_free(app.loop);
    config_free(&config);
    if (app.fault)
        fprintf(stderr, "step %d: %s\n", app.step, app.fault);
    return app.fault ? 1 : 0;
}
