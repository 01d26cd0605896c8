// SPDX-License-Identifier: Apache-2.0
// One mutex guards what the thread shares with the loop: what is to be done, and a copy of the
// counters. It is never held over a step.
//
// Who loses partition 0 first finishes the transaction under way, if that goes quickly: it is
// sequenced, so whoever comes next would have to send it again, and readers would wait for an open
// transaction until its timeout. The next publisher's producer fences this one, so it does no harm.
#include "processor/publisher.h"

#include <pthread.h>
#include <signal.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "processor/outlet_kafka.h"
#include "processor/publish.h"
#include "processor/publish_pg.h"

#define INTERVAL_MS 500 // between two looks: part of the delay that readers see
#define WAIT_MIN_MS 100
#define WAIT_MAX_MS 1000
#define FINISH_US (2 * US_PER_S)
#define STOP_US (5 * US_PER_S)
#define COMPLAINT_US (5 * US_PER_S)
// A quarter of it is how long a stopped process can hold the position row, which the next owner
// waits for.
#define STORE_TIMEOUT_MS 10000
// Answers that come 10 to 60 s after their requests then make at most four records of a row: at
// closing, two in between, and when all are in.
#define AGAIN_MS 30000
// Looking through a window of 10,000 rows for some that have changed is not for every flush.
#define LOOK_MS 5000
// 10 MB or so, sent in less than a second.
#define BATCH_ROWS 4000

struct publisher {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    // under the lock
    int64_t owned;    // epoch
    uint64_t changes; // of owned and stopping
    bool stopping, ended;
    struct publisher_stats shown;
    // the thread's own
    struct publish publish;
    struct publish_store *store;
    struct outlet *outlet;
    struct publisher_stats stats, logged;
    int64_t told;      // epoch that publish was told last
    int64_t finish_us; // until then a transaction under way may be finished; 0: none is to be
    int64_t wait_ms;
    struct log_limit complaint;
};

// ---- what the thread tells ----

static void complain(struct publisher *p, const struct err *e)
{
    if (e->detail[0] && log_limit(&p->complaint, clock_mono_us(), COMPLAINT_US))
        log_warn("publishing waits", "reason", e->detail);
}

static void tell_past(struct publisher *p)
{
    const struct publish_batch *b = &p->publish.batch;
    if (p->stats.resumed > p->logged.resumed)
        log_info("rows that had been sequenced and were not in the log are sent", "rows",
                 log_num(p->stats.resumed - p->logged.resumed));
    if (p->stats.advanced > p->logged.advanced)
        log_error("the database was set back to an older state: its last sequence was behind the "
                  "log's, and goes on from there",
                  "log", log_num(b->advanced_from));
    if (p->stats.missing > p->logged.missing)
        log_error("the log lacks what had been published: its rows are sent again", "before",
                  log_num(b->missing_before));
}

static void tell(struct publisher *p)
{
    tell_past(p);
    if (p->stats.is_publisher != p->logged.is_publisher)
        log_info(p->stats.is_publisher ? "publishing" : "not publishing any more", "epoch",
                 log_num(p->told));
    if (p->stats.fenced > p->logged.fenced)
        log_warn("another process owns partition 0, and with it the publishing");
    p->logged = p->stats;
}

// ---- the thread ----

static int64_t pause_ms(struct publisher *p, enum publish_result result)
{
    if (result != PUBLISH_WAIT)
        p->wait_ms = WAIT_MIN_MS;
    switch (result) {
    case PUBLISH_AGAIN:
        break;
    case PUBLISH_WAIT: {
        int64_t ms = p->wait_ms;
        p->wait_ms = min_i64(2 * ms, WAIT_MAX_MS);
        return ms;
    }
    case PUBLISH_DONE:
        return INTERVAL_MS;
    case PUBLISH_STOP:
        return INT64_MAX;
    }
    return 0;
}

// Until the time has passed, or what is to be done is not what was `seen` any more.
static void wait_changed(struct publisher *p, uint64_t seen, int64_t ms)
{
    int64_t at_us = ms == INT64_MAX ? 0 : clock_mono_us() + ms * US_PER_MS;
    struct timespec at = {at_us / US_PER_S, at_us % US_PER_S * 1000};
    int rc = 0;
    while (p->changes == seen && rc == 0)
        rc = ms == INT64_MAX ? pthread_cond_wait(&p->changed, &p->lock)
                             : pthread_cond_timedwait(&p->changed, &p->lock, &at);
}

static bool is_under_way(const struct publish *m)
{
    return m->state == PUBLISH_BEGIN || m->state == PUBLISH_PUT || m->state == PUBLISH_COMMIT;
}

// Whether to go on with what is under way though partition 0 is not what it was.
static bool finishes(struct publisher *p)
{
    int64_t now_us = clock_mono_us();
    if (!is_under_way(&p->publish))
        return false;
    if (!p->finish_us)
        p->finish_us = now_us + FINISH_US;
    return now_us < p->finish_us;
}

static void adopt(struct publisher *p, int64_t owned)
{
    if (owned == p->told || finishes(p))
        return;
    publish_own(&p->publish, owned);
    p->told = owned;
    p->finish_us = 0;
}

// One step; how long to rest after it.
static int64_t step(struct publisher *p)
{
    struct err e = {0};
    enum publish_result result = publish_step(&p->publish, clock_wall_us() / US_PER_MS, &e);
    if (result == PUBLISH_WAIT)
        complain(p, &e);
    tell(p);
    return pause_ms(p, result);
}

static void *run(void *arg)
{
    struct publisher *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        uint64_t seen = p->changes;
        int64_t owned = p->owned;
        bool stopping = p->stopping;
        pthread_mutex_unlock(&p->lock);
        adopt(p, owned);
        bool over = stopping && p->told == 0;
        int64_t ms = over ? 0 : step(p);
        pthread_mutex_lock(&p->lock);
        p->shown = p->stats;
        if (over)
            break;
        if (ms > 0)
            wait_changed(p, seen, p->told == owned ? ms : WAIT_MIN_MS);
    }
    pthread_mutex_unlock(&p->lock);
    publish_clear(&p->publish);
    outlet_free(p->outlet);
    publish_store_free(p->store);
    pthread_mutex_lock(&p->lock);
    p->ended = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

// ---- from outside ----

// It answers no signal: the loop's thread does.
static int start_thread(struct publisher *p, struct err *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&p->thread, NULL, run, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc ? err_set(e, "cannot start the publisher's thread: %s", strerror(rc)) : 0;
}

static void release(struct publisher *p)
{
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static struct publisher *make(const struct config *c, int64_t token, struct outlet *outlet)
{
    struct publish_rule rule = {.closing = {c->window_grace_ms, c->close_wait_ms},
                                .again_ms = AGAIN_MS,
                                .look_ms = LOOK_MS,
                                .batch_rows = BATCH_ROWS};
    struct publisher *p = xcalloc(1, sizeof(*p));
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&p->lock, NULL);
    p->wait_ms = WAIT_MIN_MS;
    p->outlet = outlet;
    p->store = publish_pg_new(c, token, STORE_TIMEOUT_MS);
    publish_init(&p->publish, &rule, p->store, outlet, &p->stats);
    return p;
}

struct publisher *publisher_start(const struct config *c, int64_t token, struct err *e)
{
    struct outlet *outlet = outlet_kafka_new(c, e);
    if (!outlet)
        return NULL;
    struct publisher *p = make(c, token, outlet);
    if (start_thread(p, e) == 0)
        return p;
    publish_store_free(p->store);
    outlet_free(outlet);
    release(p);
    return NULL;
}

// Under the lock.
static void change(struct publisher *p, int64_t owned)
{
    p->owned = owned;
    p->changes++;
    pthread_cond_broadcast(&p->changed);
}

void publisher_own(struct publisher *p, int64_t epoch)
{
    pthread_mutex_lock(&p->lock);
    change(p, epoch);
    pthread_mutex_unlock(&p->lock);
}

void publisher_stats_read(struct publisher *p, struct publisher_stats *out)
{
    pthread_mutex_lock(&p->lock);
    *out = p->shown;
    pthread_mutex_unlock(&p->lock);
}

bool publisher_stop(struct publisher *p)
{
    if (!p)
        return true;
    int64_t until_us = clock_mono_us() + STOP_US;
    struct timespec until = {until_us / US_PER_S, until_us % US_PER_S * 1000};
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    change(p, 0);
    for (int rc = 0; !p->ended && rc == 0;)
        rc = pthread_cond_timedwait(&p->changed, &p->lock, &until);
    bool ended = p->ended;
    pthread_mutex_unlock(&p->lock);
    if (!ended) {
        log_warn("the publisher hangs in a call; its thread is abandoned");
        return false;
    }
    pthread_join(p->thread, NULL);
    release(p);
    return true;
}
