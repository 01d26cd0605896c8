// SPDX-License-Identifier: Apache-2.0
// One thread. The database's calls and the group's callbacks block for a bounded time each; what
// has to be waited for beyond that goes through host.wait, which lets health checks and signals in.
#include "processor/runner_internal.h"

#include <stdio.h>

#include "processor/partition_stats.h"

#define FEED_ROUND 1000 // records of one partition in a round
#define TICK_CHECK_US (200 * US_PER_MS)
#define RETRY_US (500 * US_PER_MS)      // between attempts at something that is away
#define IDLE_US (100 * US_PER_MS)       // the longest sleep
#define REVOKE_FLUSH_US (10 * US_PER_S) // how long a rebalance or a stop may wait for a flush
#define STRETCHED_US (60 * US_PER_S)    // the longest interval that slow flushes make
#define STEP_WAIT_US (20 * US_PER_MS)   // between steps of a flush that waits meanwhile
#define REOPEN_US US_PER_S
#define FENCED_WAIT_US (3 * US_PER_S)
#define CLAIM_TRY_US (5 * US_PER_S) // then the group is joined again
#define COMPLAINT_US (5 * US_PER_S)
#define CLOSING_COMPLAINT_US (60 * US_PER_S) // counting goes on without it

static void wait_us(struct runner *r, int64_t us)
{
    r->host.wait(r->host.arg, us);
}

// ---- start ----

static int check_pinned(const struct config *c, const struct store_settings *s, struct err *e)
{
    const struct {
        const char *name;
        int64_t given, pinned;
    } all[] = {
        {"PARTITIONS", c->partitions, s->partitions},
        {"JOIN_TTL_MS", c->join_ttl_ms, s->join_ttl_ms},
        {"JOIN_SKEW_MS", c->join_skew_ms, s->join_skew_ms},
        {"MAX_SERIES_PER_TENANT", c->max_series_per_tenant, s->max_series_per_tenant},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].given != CONFIG_UNSET && all[i].given != all[i].pinned)
            return err_field(
                e, all[i].name, -1,
                "is %lld here, but %lld is pinned in the database; leave it unset to use "
                "the pinned value%s",
                (long long)all[i].given, (long long)all[i].pinned,
                i > 0 ? ", or change that: streamlens-admin settings set" : "");
    return 0;
}

// Until the database answers, or says something that waiting does not mend.
static int read_settings(struct runner *r, struct err *e)
{
    struct log_limit complaint = {0};
    while (!r->stopping) {
        enum store_result rc = store_settings(r->store, &r->settings, e);
        if (rc == STORE_OK)
            return check_pinned(r->config, &r->settings, e);
        if (rc == STORE_FATAL)
            return -1;
        if (log_limit(&complaint, runner_mono_us(r), COMPLAINT_US))
            log_warn("waiting for PostgreSQL", "error", e->detail);
        wait_us(r, RETRY_US);
    }
    return 0;
}

// A broker that does not answer is waited for; what it says about the topics is final.
static int check_topics(struct runner *r, struct err *e)
{
    struct log_limit complaint = {0};
    while (!r->stopping) {
        int rc = r->host.check_topics(r->host.arg, r->settings.partitions, e);
        if (rc <= 0)
            return rc;
        if (log_limit(&complaint, runner_mono_us(r), COMPLAINT_US))
            log_warn("waiting for the broker", "error", e->detail);
        wait_us(r, RETRY_US);
    }
    return 0;
}

// ---- flush ----

static void commit_to_group(struct runner *r)
{
    if (!r->source)
        return; // between two memberships
    size_t n = 0, cap = (size_t)r->settings.partitions;
    int *partitions = xcalloc(cap, sizeof(*partitions));
    int64_t(*next)[2] = xcalloc(cap, sizeof(*next));
    for (size_t p = 0; p < cap; p++) {
        struct task *t = instance_task(r->instance, (int)p);
        if (!t || !task_is_live(t))
            continue;
        partitions[n] = (int)p;
        for (int k = 0; k < 2; k++)
            next[n][k] = task_next_offset(t, k);
        n++;
    }
    if (n > 0)
        source_commit(r->source, partitions, n, next);
    free(partitions);
    free(next);
}

// Takes longer intervals while flushes take more than half of one. A database that was away has not
// been slow: only the attempt that succeeded counts, or an hour's absence would be followed by two
// hours without a flush. Nor was a process that stood still itself, hence the bound.
static void schedule_flush(struct runner *r, int64_t took_us)
{
    int64_t interval_us =
        max_i64(r->config->flush_interval_ms * US_PER_MS, min_i64(2 * took_us, STRETCHED_US));
    r->next_flush_us = runner_mono_us(r) + interval_us;
}

static void flush_begin(struct runner *r)
{
    r->flush_began_us = r->attempt_began_us = runner_mono_us(r);
    if (!instance_flush_begin(r->instance))
        schedule_flush(r, 0);
}

static void on_flushed(struct runner *r)
{
    int64_t now_us = runner_mono_us(r);
    stats_observe_us(&r->stats->flush_seconds, now_us - r->flush_began_us);
    if (r->flush_trouble)
        log_info("flushing again");
    r->flush_trouble = false;
    schedule_flush(r, now_us - r->attempt_began_us);
    commit_to_group(r);
}

static void rejoin(struct runner *r, const struct err *why)
{
    log_warn("another processor owns a partition of ours, or the settings were changed: dropping "
             "all state, joining again",
             "error", why->detail);
    r->reopen = r->dispossessed = true;
}

static int step_flush(struct runner *r, struct err *e)
{
    switch (instance_flush_step(r->instance, e)) {
    case FLUSH_AGAIN:
        return 0;
    case FLUSH_DONE:
        on_flushed(r);
        return 0;
    case FLUSH_WAIT:
        r->retry_us = r->attempt_began_us = runner_mono_us(r) + RETRY_US / 5;
        if (e->detail[0]) {
            r->flush_trouble = true;
            if (log_limit(&r->flush_complaint, runner_mono_us(r), COMPLAINT_US))
                log_warn("flush waits", "error", e->detail);
        }
        return 0;
    case FLUSH_FENCED:
        rejoin(r, e);
        return 0;
    case FLUSH_FATAL:
        return -1;
    }
    return -1;
}

// Steps the flush that was begun for at most REVOKE_FLUSH_US: FLUSH_WAIT where that did not do.
static enum flush_result finish_flush(struct runner *r)
{
    struct err e = {0};
    enum flush_result rc = FLUSH_WAIT;
    int64_t deadline_us = runner_mono_us(r) + REVOKE_FLUSH_US;
    while (runner_mono_us(r) < deadline_us) {
        rc = instance_flush_step(r->instance, &e);
        if (rc == FLUSH_DONE)
            on_flushed(r);
        if (rc != FLUSH_AGAIN && rc != FLUSH_WAIT)
            return rc;
        if (rc == FLUSH_WAIT)
            wait_us(r, STEP_WAIT_US);
    }
    log_warn("not flushed; what is not in the database will be read again", "error", e.detail);
    return FLUSH_WAIT;
}

// Flushes what there is; what is in doubt afterwards is dropped, the log brings it back.
static void flush_all(struct runner *r)
{
    if (!instance_is_flushing(r->instance)) {
        r->flush_began_us = r->attempt_began_us = runner_mono_us(r);
        if (!instance_flush_begin(r->instance))
            return;
    }
    enum flush_result rc = finish_flush(r);
    if (rc == FLUSH_FENCED)
        log_warn("another processor owns a partition of ours: dropping all state");
    if (instance_is_flushing(r->instance))
        instance_drop_all(r->instance);
}

// ---- the group's calls, from inside source_serve ----

static enum store_result claim_one(struct runner *r, int partition, struct err *e)
{
    int64_t deadline_us = runner_mono_us(r) + CLAIM_TRY_US;
    for (;;) {
        enum store_result rc = instance_claim(r->instance, partition, e);
        if (rc == STORE_OK || rc == STORE_FATAL || runner_mono_us(r) > deadline_us || r->stopping)
            return rc;
        if (log_limit(&r->claim_complaint, runner_mono_us(r), COMPLAINT_US))
            log_warn("claim waits", "partition", log_num(partition), "error", e->detail);
        wait_us(r, RETRY_US / 5);
    }
}

// 0, 1 where database or broker are away, -1 where the partition can never be taken.
static int take_one(struct runner *r, int partition, int64_t from[2], struct err *e)
{
    struct log_ends ends[2];
    enum store_result rc = claim_one(r, partition, e);
    if (rc != STORE_OK)
        return rc == STORE_FATAL ? -1 : 1;
    if (source_ends(r->source, partition, ends, e) < 0)
        return 1;
    runner_say_start(r, partition,
                     instance_start(r->instance, partition, ends, runner_wall_ms(r), from, e), e);
    return 0;
}

// Whoever gave us a partition that there should not be saw more of them than we did.
static int check_numbers(struct runner *r, const int *partitions, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (partitions[i] < r->settings.partitions)
            continue;
        struct err why;
        if (r->host.check_topics(r->host.arg, r->settings.partitions, &why) < 0) {
            runner_stop_reading(r, why.detail);
            return 0;
        }
        return err_set(e, "partition %d was assigned, but %lld partitions are pinned",
                       partitions[i], (long long)r->settings.partitions);
    }
    return 0;
}

static int on_assigned(void *arg, const int *partitions, size_t count, int64_t (*from)[2],
                       struct err *e)
{
    struct runner *r = arg;
    if (check_numbers(r, partitions, count, e) < 0)
        return 1;
    for (size_t i = 0; i < count && !r->topics_wrong[0]; i++) {
        int rc = take_one(r, partitions[i], from[i], e);
        if (rc > 0)
            log_warn("cannot take partitions now", "error", e->detail);
        if (rc != 0)
            return rc;
    }
    instance_drop_parked(r->instance);
    schedule_flush(r, 0);
    return 0;
}

static void on_revoked(void *arg)
{
    struct runner *r = arg;
    flush_all(r);
    r->flush_trouble = false; // no flush is left that could be in it
    r->replay_began_us = 0;
    instance_park(r->instance);
}

// ---- leaving the group and joining again ----

static int open_source(struct runner *r, struct err *e)
{
    struct source_events events = {on_assigned, on_revoked, r};
    r->source = r->host.open_source(r->host.arg, &r->settings, &events, e);
    return r->source ? 0 : -1;
}

static void close_source(struct runner *r)
{
    if (!r->source)
        return;
    source_free(r->source);
    r->source = NULL;
    // Leaving revokes what was assigned. An assignment that was taken in part only never became
    // one, and its tasks must not be fed either: the next source has no queues for them.
    on_revoked(r);
}

// Two processes with one static id would take the partitions from each other for ever. The later
// one stays, as the broker has it too. If the database cannot be asked, we join again, and the
// rival, if there is one, asks.
static int give_way_to_rival(struct runner *r, struct err *e)
{
    struct err unknown;
    bool found = false;
    int64_t deadline_us = runner_mono_us(r) + REVOKE_FLUSH_US;
    if (!r->config->group_instance_id[0])
        return 0;
    while (!r->stopping && runner_mono_us(r) < deadline_us &&
           instance_find_rival(r->instance, &found, &unknown) != STORE_OK)
        wait_us(r, RETRY_US);
    if (found)
        return err_field(
            e, "GROUP_INSTANCE_ID", -1,
            "%s is used by another processor, which has taken our partitions over; give "
            "each one its own",
            r->config->group_instance_id);
    return 0;
}

// The broker fences a static id for two reasons: another process really uses it, or we were away
// for longer than the session and a late OffsetCommit met our own successor. The database tells: a
// process of our id that took over has claimed our partitions by now. If others have them, we were
// away.
static int on_fenced_id(struct runner *r, const struct err *why, struct err *e)
{
    log_warn("fenced by the broker, asking the database", "error", why->detail);
    int64_t deadline_us = runner_mono_us(r) + FENCED_WAIT_US;
    while (runner_mono_us(r) < deadline_us && !r->stopping)
        wait_us(r, deadline_us - runner_mono_us(r));
    if (instance_is_flushing(r->instance))
        flush_all(r);
    return give_way_to_rival(r, e);
}

static int serve_group(struct runner *r, struct err *e)
{
    struct err why = {0};
    if (!r->source) {
        r->reopen = false;
        return runner_mono_us(r) < r->reopen_us ? 0 : open_source(r, e);
    }
    if (r->dispossessed && give_way_to_rival(r, e) < 0)
        return -1; // before anything is claimed anew, which would hide it
    r->dispossessed = false;
    switch (source_serve(r->source, &why)) {
    case SOURCE_OK:
        break;
    case SOURCE_REOPEN:
        r->reopen = true;
        break;
    case SOURCE_FENCED:
        if (on_fenced_id(r, &why, e) < 0)
            return -1;
        r->reopen = true;
        break;
    case SOURCE_DEAD:
        *e = why;
        return -1;
    }
    if (r->reopen) {
        r->reopen = false;
        close_source(r);
        r->reopen_us = runner_mono_us(r) + REOPEN_US;
    }
    return 0;
}

// ---- feeding ----

// Both heads of a partition in one round. A topic that was found held back is left alone; the other
// may then run on, since only its time can free what is full.
struct heads {
    struct task_record record[2];
    struct task_ready ready[2]; // has: it was looked at, and is not taken yet
    bool held[2];
};

// Looks again at what was taken, or not there the last time. -1 where one is broken.
static int look(struct runner *r, int partition, const struct task *task, struct heads *h,
                struct err *e)
{
    for (int k = 0; k < 2; k++) {
        if (h->ready[k].has && !h->held[k])
            continue;
        enum source_head found =
            h->held[k] ? SOURCE_AT_END : source_peek(r->source, partition, k, &h->record[k], e);
        if (found == SOURCE_BROKEN)
            return -1;
        if (found == SOURCE_AT_END && !h->held[k])
            instance_at_end(r->instance, partition, k, h->record[k].offset);
        bool has = found == SOURCE_RECORD;
        if (has)
            task_expect(task, &h->record[k]);
        h->ready[k] =
            (struct task_ready){has, found == SOURCE_AT_END, has ? h->record[k].time_ms : 0};
    }
    return 0;
}

// The memory that it takes is what an operator needs to know to raise the limit.
static void say_full(struct runner *r, int partition, const struct task *task)
{
    const struct join *j = task_join(task);
    int64_t bytes = (int64_t)task_join_bytes(task);
    int64_t waiting =
        (int64_t)(join_waiting_count(j, EVENT_REQUEST) + join_waiting_count(j, EVENT_RESPONSE));
    if (log_limit(&r->full_complaint, runner_mono_us(r), COMPLAINT_US))
        log_error("a partition is held back at MAX_JOINS: more wait for their other half than it "
                  "allows; raise it where there is memory",
                  "partition", log_num(partition), "max_joins", log_num(r->config->max_joins),
                  "join_bytes", log_num(bytes), "bytes_each", log_num(bytes / max_i64(waiting, 1)));
}

static void feed_partition(struct runner *r, int partition, bool *moved)
{
    struct err why;
    struct task *task = instance_task(r->instance, partition);
    struct heads heads = {0};
    int64_t now_ms = runner_wall_ms(r);
    for (int n = 0; n < FEED_ROUND; n++) {
        if (look(r, partition, task, &heads, &why) < 0) {
            runner_halt(r, partition, why.detail);
            runner_plan_rejudgement(r);
            return;
        }
        int k = task_choose(task, heads.ready);
        if (k < 0)
            return;
        switch (instance_feed(r->instance, partition, &heads.record[k], now_ms)) {
        case FEED_TAKEN:
        case FEED_SKIPPED:
            source_taken(r->source, partition, k);
            heads.ready[k].has = false;
            *moved = true;
            break;
        case FEED_FULL:
            heads.held[k] = true;
            say_full(r, partition, task);
            break;
        case FEED_FLUSH:
            flush_begin(r);
            return;
        case FEED_AHEAD: // runner_look_after says so
            return;
        case FEED_MISMATCH:
            runner_halt(r, partition, task_error(task));
            return;
        default: // FEED_HOLD: the other topic has to arrive first
            heads.held[k] = true;
        }
    }
}

static bool replays(const struct runner *r, int partition)
{
    const struct task *t = instance_task(r->instance, partition);
    return t && !task_is_live(t) && !instance_is_halted(r->instance, partition);
}

// How long it took to read again what was counted before: from the first record of this assignment
// on until no partition replays any more. One that was halted meanwhile is not waited for.
static void say_replayed(struct runner *r)
{
    for (int p = 0; p < (int)r->settings.partitions; p++)
        if (replays(r, p))
            return;
    int64_t us = max_i64(runner_mono_us(r) - r->replay_began_us, 1);
    int64_t records = r->stats->replayed_records - r->replay_began_records;
    log_info("replayed", "records", log_num(records), "ms", log_num(us / US_PER_MS),
             "records_per_second", log_num(records * US_PER_S / us));
    r->replay_began_us = 0;
}

static void feed(struct runner *r, bool *moved)
{
    int64_t began_us = runner_mono_us(r), before = r->stats->replayed_records;
    for (int p = 0; p < (int)r->settings.partitions && !instance_is_flushing(r->instance); p++)
        if (instance_task(r->instance, p) && !instance_is_halted(r->instance, p))
            feed_partition(r, p, moved);
    if (r->replay_began_us == 0 && r->stats->replayed_records > before) {
        r->replay_began_us = began_us;
        r->replay_began_records = before;
    }
    if (r->replay_began_us != 0)
        say_replayed(r);
}

// ---- the loop ----

// Every interval, however often it flushes: a limit may ask for flushes all the time. What fails is
// tried at the next.
static void look_at_closing(struct runner *r)
{
    struct err e;
    enum store_result rc = instance_read_closing(r->instance, runner_wall_ms(r), &e);
    if (rc == STORE_FENCED)
        rejoin(r, &e);
    else if (rc != STORE_OK &&
             log_limit(&r->closing_complaint, runner_mono_us(r), CLOSING_COMPLAINT_US))
        log_warn("what waits to be closed cannot be read now", "error", e.detail);
}

static int work(struct runner *r, bool *moved, struct err *e)
{
    int64_t now_us = runner_mono_us(r);
    if (instance_is_flushing(r->instance)) {
        e->detail[0] = '\0';
        if (now_us < r->retry_us)
            return 0;
        r->retry_us = 0;
        *moved = true;
        return step_flush(r, e);
    }
    if (now_us >= r->next_closing_us) {
        look_at_closing(r); // without a partition too: it shows whether the database is there
        r->next_closing_us = runner_mono_us(r) + r->config->flush_interval_ms * US_PER_MS;
        *moved = true;
        return 0;
    }
    if (now_us >= r->next_flush_us) {
        flush_begin(r);
        *moved = true;
        return 0;
    }
    feed(r, moved);
    return 0;
}

// At the end of a round: what was taken back and given again in between has not changed.
static void tell_publisher(struct runner *r)
{
    int64_t epoch = instance_publishing_epoch(r->instance);
    if (epoch == r->publishing_epoch)
        return;
    r->publishing_epoch = epoch;
    r->host.own_publisher(r->host.arg, epoch);
}

int runner_round(struct runner *r, struct err *e)
{
    bool moved = false;
    if (serve_group(r, e) < 0 || (r->source && work(r, &moved, e) < 0))
        return -1;
    int64_t now_us = runner_mono_us(r);
    if (now_us >= r->next_tick_us) {
        r->next_tick_us = now_us + TICK_CHECK_US;
        if (!instance_is_flushing(r->instance))
            instance_tick(r->instance, runner_wall_ms(r));
        runner_look_after(r);
    }
    r->started = r->started || (r->source && source_is_assigned(r->source));
    tell_publisher(r);
    wait_us(r, moved ? 0 : min_i64(IDLE_US, max_i64(r->next_tick_us - now_us, 1)));
    return 0;
}

// ---- life ----

struct runner *runner_new(const struct config *c, const struct runner_host *host,
                          const struct hash_key *key, struct store *store, struct emit *emit,
                          struct processor_stats *stats)
{
    struct runner *r = xcalloc(1, sizeof(*r));
    r->config = c;
    r->host = *host;
    r->key = key;
    r->store = store;
    r->emit = emit;
    r->stats = stats;
    return r;
}

void runner_free(struct runner *r)
{
    if (!r)
        return;
    if (r->source)
        source_free(r->source);
    instance_free(r->instance);
    free(r);
}

int runner_start(struct runner *r, struct err *e)
{
    if (read_settings(r, e) < 0 || check_topics(r, e) < 0)
        return -1;
    if (r->stopping)
        return 0;
    struct instance_config ic = {
        .window_grace_ms = r->config->window_grace_ms,
        .max_joins = (size_t)r->config->max_joins,
        .max_cells = (size_t)r->config->max_delta_cells,
        .max_dead_letters = (size_t)r->config->max_dead_letters,
        .start_latest = strcmp(r->config->start, "latest") == 0,
        .accept_loss = r->config->accept_loss,
        .accept_clock_ahead = r->config->accept_clock_ahead,
        .brokers = r->config->kafka_brokers,
    };
    r->next_topics_us = runner_mono_us(r) + TOPICS_CHECK_US;
    r->instance = instance_new(&ic, r->key, r->store, r->emit, r->stats);
    log_info("processing", "partitions", log_num(r->settings.partitions), "join_ttl_ms",
             log_num(r->settings.join_ttl_ms), "join_skew_ms", log_num(r->settings.join_skew_ms));
    return open_source(r, e);
}

void runner_leave(struct runner *r)
{
    if (!r->instance)
        return;
    // Leaving the group calls on_revoked, which flushes; its own close would give the flush no
    // time.
    flush_all(r);
    close_source(r);
    tell_publisher(r);
    log_info("stopped");
}

int runner_run(struct runner *r, struct err *e)
{
    int rc = runner_start(r, e);
    while (rc == 0 && !r->stopping)
        rc = runner_round(r, e);
    runner_leave(r);
    return rc;
}

void runner_stop(struct runner *r)
{
    r->stopping = true;
}

// ---- how it is ----

// Why not, for what concerns all partitions; NULL where nothing does.
static const char *trouble_of_all(const struct runner *r, bool database_is_up)
{
    if (r->stopping)
        return "stopping";
    if (!r->started)
        return "not started: waiting for PostgreSQL, the broker or the group";
    if (!database_is_up)
        return "PostgreSQL is away";
    if (r->topics_wrong[0])
        return r->topics_wrong;
    if (!r->source || !source_is_assigned(r->source))
        return "not in the group: joining it, or the broker is away";
    return r->flush_trouble ? "flushing fails" : NULL;
}

struct runner_health runner_health(const struct runner *r, bool database_is_up)
{
    struct runner_health h = {.started = r->started};
    const char *why = trouble_of_all(r, database_is_up);
    struct instance_condition c = {0};
    if (r->instance)
        instance_condition(r->instance, &c);
    h.ready = !why && c.halted == 0;
    h.degraded = c.degraded > 0;
    if (why)
        snprintf(h.why, sizeof(h.why), "%s", why);
    else if (c.halted > 1)
        snprintf(h.why, sizeof(h.why), "%s (and %zu more)", c.why, c.halted - 1);
    else if (c.halted > 0)
        snprintf(h.why, sizeof(h.why), "%s", c.why);
    else if (c.degraded > 0)
        snprintf(h.why, sizeof(h.why),
                 "%zu partitions, the first is %d: the log no longer reaches back to where the "
                 "replay should have begun",
                 c.degraded, c.first_degraded);
    return h;
}

void runner_update_gauges(struct runner *r)
{
    if (r->instance)
        instance_update_gauges(r->instance);
    r->stats->prefetched = r->source ? source_prefetched(r->source) : 0;
}

void runner_render_partitions(const struct runner *r, struct buf *out)
{
    size_t n = 0, cap = r->instance && r->source ? (size_t)r->settings.partitions : 0;
    struct partition_stats *v = xcalloc(cap, sizeof(*v));
    for (int p = 0; p < (int)cap; p++) {
        const struct task *t = instance_task(r->instance, p);
        if (!t)
            continue;
        v[n].partition = p;
        for (int k = 0; k < 2; k++)
            v[n].topic[k] = (struct partition_topic){
                task_next_offset(t, k), source_log_end(r->source, p, k), task_time_ms(t, k),
                (int64_t)join_waiting_count(task_join(t), k)};
        n++;
    }
    partition_stats_render(v, n, runner_wall_ms(r), r->config->max_joins, out);
    free(v);
}
