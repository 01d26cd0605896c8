// SPDX-License-Identifier: Apache-2.0
// The deterministic simulator: one seed decides what is produced, who runs when, what fails and who
// crashes. The production modules (instance, task, join, window, flush) run on a fake log, a fake
// database and a fake group; at the end rows and dead letters must equal the oracle's.
//
//     sim [--seeds N] [--first-seed S] [--verbose]
//
// A failing seed is printed and replays identically with --first-seed S --seeds 1.
#include <inttypes.h>
#include <stdio.h>

#include "processor/instance.h"
#include "tests/sim/compare.h"
#include "tests/sim/fake_store.h"
#include "tests/sim/oracle.h"

#define MAX_ACTORS 3
#define IDS 40

// One processor process. A zombie does not hear of rebalances until it wakes up; meanwhile it works
// on, or stands still (frozen).
struct actor {
    struct store *store;
    struct emit *emit;
    struct instance *instance;
    bool zombie, frozen, rejoin;
    int64_t cursor[SIM_MAX_PARTITIONS][2];
    bool reading[SIM_MAX_PARTITIONS];
};

struct world {
    struct random random;
    struct sim_log log;
    struct fake_db db;
    struct letters letters;
    struct processor_stats stats;
    struct hash_key key;
    struct instance_config config;
    struct actor actor[MAX_ACTORS];
    int actors;
    int64_t now_ms, next_token;
    int fault_percent;
    bool authenticated; // some senders are
    bool crowded;       // one series of many ids that are used once, answered by many models
    int64_t start_us;
    int produced;
    uint64_t crashes, rebalances, flushes;
};

// ---- what a processor writes into the log ----

struct emit {
    struct world *world;
    struct oracle_letter handed[8]; // not acknowledged yet
    size_t count;
};

int emit_dead_letter(struct emit *m, const struct dead_letter *d, struct err *e)
{
    if (m->count == ARRAY_LEN(m->handed))
        return err_set(e, "queue full");
    struct oracle_letter *l = &m->handed[m->count++];
    *l = (struct oracle_letter){d->topic, d->partition, d->offset, d->reason, ""};
    snprintf(l->tenant, sizeof(l->tenant), "%.*s", (int)d->tenant_n, d->tenant);
    return 0;
}

// What was handed in lands in the topic, or each letter with a chance of one half.
static void deliver(struct emit *m, bool all)
{
    for (size_t i = 0; i < m->count; i++)
        if (all || random_chance(&m->world->random, 50))
            letters_add(&m->world->letters, &m->handed[i]);
    m->count = 0;
}

void emit_tick(struct emit *m, enum event_kind topic, int partition)
{
    struct world *w = m->world;
    if (random_chance(&w->random, 20))
        return; // lost
    struct truth tick = {.tick = true};
    sim_log_append(&w->log, topic, partition, w->now_ms, 0, &tick);
}

int emit_wait(struct emit *m, int timeout_ms, struct err *e)
{
    (void)timeout_ms;
    bool fault = m->count && random_chance(&m->world->random, m->world->fault_percent);
    if (fault && random_chance(&m->world->random, 50))
        return 1;
    deliver(m, !fault);
    return fault ? err_set(e, "injected fault") : 0;
}

// ---- the world ----

static void actor_start(struct world *w, struct actor *a)
{
    *a = (struct actor){.rejoin = true};
    a->store = fake_store_new(&w->db, ++w->next_token);
    a->emit = xcalloc(1, sizeof(*a->emit));
    a->emit->world = w;
    a->instance = instance_new(&w->config, &w->key, a->store, a->emit, &w->stats);
}

static void actor_stop(struct actor *a)
{
    instance_free(a->instance);
    store_free(a->store);
    deliver(a->emit, false);
    free(a->emit);
}

static void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.random = {seed * 2654435761U + 1}, .now_ms = INT64_C(1790000000000)};
    struct random *r = &w->random;
    int partitions = 1 + random_below(r, SIM_MAX_PARTITIONS);
    w->log.partitions = w->db.partitions = partitions;
    w->db.random = r;
    w->fault_percent = random_chance(r, 30) ? 0 : 1 + random_below(r, 15);
    w->db.fault_percent = w->fault_percent;
    w->db.ttl_ms = 1000 + random_below(r, 8000);
    w->db.skew_ms = random_below(r, 3000);
    w->db.max_series = random_chance(r, 20) ? 2 : 1000;
    for (int p = 0; p < partitions; p++)
        w->db.position[p].epoch = 1;
    hash_key_init(&w->key, &seed, sizeof(seed));
    w->config = (struct instance_config){
        .window_grace_ms = 1000,
        .max_joins = 10000,
        .max_cells = random_chance(r, 20) ? 3 : 10000,
        .max_dead_letters = random_chance(r, 20) ? 2 : 10000,
    };
    w->authenticated = random_chance(r, 70);
    w->crowded = random_chance(r, 15);
    w->start_us = w->now_ms * 1000;
    w->actors = 1 + random_below(r, MAX_ACTORS);
    for (int i = 0; i < w->actors; i++)
        actor_start(w, &w->actor[i]);
}

static void world_free(struct world *w)
{
    for (int i = 0; i < w->actors; i++)
        actor_stop(&w->actor[i]);
    fake_db_free(&w->db);
    sim_log_free(&w->log);
    letters_free(&w->letters);
}

// ---- traffic ----

// Who sends what about which request.
static enum event_kind draw_names(struct world *w, struct truth *t)
{
    struct random *r = &w->random;
    enum event_kind kind = random_chance(r, 50) ? EVENT_REQUEST : EVENT_RESPONSE;
    t->id = random_below(r, IDS);
    t->sender = w->authenticated && random_chance(r, 35) ? random_below(r, 2) : SIM_NOBODY;
    t->tenant = t->id % 3 == 0 && random_chance(r, 5) ? 9 : t->id % 2;
    if (random_chance(r, 2) || (t->sender != SIM_NOBODY && random_chance(r, 50)))
        t->tenant = SIM_NOBODY;
    t->route = t->id % 2;
    t->model = t->id % 3;
    t->answered_by = random_chance(r, 50)  ? SIM_NOBODY
                     : random_chance(r, 5) ? SIM_MODEL_OTHER
                                           : random_below(r, 5);
    if (!w->crowded)
        return kind;
    // The halves of one request follow each other closely, in either order.
    int pair = w->produced++ / 2;
    bool second = w->produced % 2 == 0;
    *t = (struct truth){.sender = SIM_NOBODY, .id = pair, .answered_by = random_below(r, 90)};
    return second == (pair % 3 == 0) ? EVENT_REQUEST : EVENT_RESPONSE;
}

// Mostly small, at times at or beside the bound of a context band.
static int64_t draw_tokens(struct random *r, int sent_percent)
{
    static const int64_t bands[] = {32000, 128000, 200000, 256000, 272000, 512000, 1000000};
    if (!random_chance(r, sent_percent))
        return EVENT_ABSENT;
    if (random_chance(r, 20))
        return bands[random_below(r, ARRAY_LEN(bands))] + random_below(r, 3) - 1;
    return random_below(r, 1 << random_below(r, 21));
}

static void draw_usage(struct random *r, struct truth *t)
{
    static const char *const tiers[] = {NULL, NULL, "flex", "Flex", "default", "batch"};
    static const char *const providers[] = {NULL, "openai", "anthropic", "Bedrock"};
    t->prompt_tokens = draw_tokens(r, 60);
    t->completion_tokens = draw_tokens(r, 80);
    t->cached_prompt_tokens = draw_tokens(r, 40);
    t->cache_write_tokens = draw_tokens(r, 20);
    t->cache_write_1h_tokens = draw_tokens(r, 20);
    t->reasoning_tokens = draw_tokens(r, 20);
    t->tier = tiers[random_below(r, ARRAY_LEN(tiers))];
    t->provider = providers[random_below(r, ARRAY_LEN(providers))];
    t->cost_pusd = random_chance(r, 30)
                       ? (int64_t)(random_next(r) % (UINT64_C(1) << (1 + random_below(r, 49))))
                       : EVENT_ABSENT;
}

static void produce_one(struct world *w)
{
    struct random *r = &w->random;
    struct truth t = {0};
    enum event_kind kind = draw_names(w, &t);
    t.malformed = random_chance(r, 2);
    t.content = random_below(r, 3);
    t.timestamp_us =
        w->crowded ? w->start_us : (w->now_ms - 90000 + random_below(r, 180000)) * 1000;
    t.time_out_of_range = kind == EVENT_REQUEST && !t.malformed && random_chance(r, 2);
    if (t.time_out_of_range)
        t.timestamp_us += random_chance(r, 50) ? 3 * EVENT_FUTURE_US : -2 * EVENT_PAST_US;
    t.latency_us =
        random_chance(r, 80) ? random_below(r, 1 << (1 + random_below(r, 29))) : EVENT_ABSENT;
    t.ttft_us = random_chance(r, 50) ? random_below(r, 1000000) : EVENT_ABSENT;
    draw_usage(r, &t);
    t.error = random_chance(r, 20) ? (random_chance(r, 50) ? "timeout" : "") : NULL;
    t.finish = random_chance(r, 60) ? (random_chance(r, 50) ? "stop" : "length") : NULL;
    int64_t jitter = random_chance(r, 10) ? -random_below(r, 300) : 0;
    sim_log_append(&w->log, kind, t.id % w->log.partitions, w->now_ms + jitter,
                   random_chance(r, 10) ? random_below(r, 3) : 0, &t);
}

static void pass_time(struct world *w)
{
    struct random *r = &w->random;
    w->now_ms += random_chance(r, 5) ? random_below(r, (int)(3 * (w->db.ttl_ms + w->db.skew_ms)))
                                     : random_below(r, 600);
}

// ---- the group ----

static bool flush_fully(struct actor *a, int steps)
{
    struct err e;
    if (!instance_is_flushing(a->instance) && !instance_flush_begin(a->instance))
        return true;
    while (steps-- > 0) {
        enum flush_result rc = instance_flush_step(a->instance, &e);
        if (rc == FLUSH_DONE)
            return true;
        if (rc == FLUSH_FENCED)
            return false;
    }
    return false;
}

static void revoke(struct world *w, struct actor *a)
{
    memset(a->reading, 0, sizeof(a->reading));
    if (random_chance(&w->random, 70) || instance_is_flushing(a->instance))
        (void)flush_fully(a, random_below(&w->random, 12));
    if (instance_is_flushing(a->instance))
        instance_drop_all(a->instance);
    instance_park(a->instance);
}

static void take(struct world *w, struct actor *a, int partition)
{
    struct err e;
    if (instance_claim(a->instance, partition, &e) != STORE_OK) {
        a->rejoin = true;
        return;
    }
    struct log_ends ends[2];
    for (int k = 0; k < 2; k++)
        ends[k] = (struct log_ends){0, w->log.topic[k][partition].next_offset};
    if (instance_start(a->instance, partition, ends, w->now_ms, a->cursor[partition], &e) !=
        START_WHOLE) {
        w->db.violation = "a log that is whole was refused";
        return;
    }
    a->reading[partition] = true;
}

// Eager: everybody who hears of it gives up all, then partitions are dealt out anew.
static void rebalance(struct world *w)
{
    w->rebalances++;
    struct actor *present[MAX_ACTORS];
    int n = 0;
    for (int i = 0; i < w->actors; i++) {
        struct actor *a = &w->actor[i];
        if (a->zombie)
            continue;
        a->rejoin = false;
        revoke(w, a);
        present[n++] = a;
    }
    for (int p = 0; p < w->log.partitions && n > 0; p++)
        take(w, present[random_below(&w->random, n)], p);
    for (int i = 0; i < n; i++)
        instance_drop_parked(present[i]->instance);
}

// ---- one actor's turn ----

static struct task_record record_of(const struct sim_record *r, enum event_kind topic)
{
    return (struct task_record){
        .topic = topic,
        .offset = r->offset,
        .time_ms = r->time_ms,
        .tick = r->truth.tick,
        .key = str_of(r->key),
        .value = {r->value, r->value_n},
        .tenant = str_of(r->tenant),
    };
}

static bool feed_one(struct world *w, struct actor *a, int partition)
{
    struct task *task = instance_task(a->instance, partition);
    if (!task || !a->reading[partition])
        return false;
    const struct sim_record *head[2];
    struct task_ready ready[2];
    for (int k = 0; k < 2; k++) {
        head[k] = sim_log_at(&w->log, k, partition, a->cursor[partition][k]);
        if (!head[k])
            instance_at_end(a->instance, partition, k);
        // Now and then a fetch is late: the record is there and not ready.
        bool late = head[k] && random_chance(&w->random, 20);
        ready[k] = (struct task_ready){head[k] && !late, !head[k], head[k] ? head[k]->time_ms : 0};
    }
    int k = task_choose(task, ready);
    if (k < 0)
        return false;
    struct task_record r = record_of(head[k], k);
    int rc = instance_feed(a->instance, partition, &r, w->now_ms);
    if (rc == FEED_TAKEN || rc == FEED_SKIPPED)
        a->cursor[partition][k] = r.offset + 1;
    else if (rc == FEED_MISMATCH)
        w->db.violation = "a log that is whole did not match";
    if (rc == FEED_FLUSH)
        (void)instance_flush_begin(a->instance);
    return rc == FEED_TAKEN || rc == FEED_SKIPPED;
}

static void step_flush(struct world *w, struct actor *a)
{
    struct err e;
    enum flush_result rc = instance_flush_step(a->instance, &e);
    w->flushes += rc == FLUSH_DONE;
    if (rc == FLUSH_FENCED) {
        memset(a->reading, 0, sizeof(a->reading));
        a->rejoin = true;
        a->zombie = a->frozen = false;
    } else if (rc == FLUSH_FATAL) {
        w->db.violation = "a flush failed for good";
    }
}

static void turn(struct world *w, struct actor *a)
{
    struct random *r = &w->random;
    struct err e;
    if (instance_is_flushing(a->instance)) {
        step_flush(w, a);
        return;
    }
    int what = random_below(r, 100);
    if (what < 80) {
        for (int n = random_below(r, 8); n >= 0 && !instance_is_flushing(a->instance); n--)
            (void)feed_one(w, a, random_below(r, w->log.partitions));
    } else if (what < 93) {
        (void)instance_flush_begin(a->instance);
    } else if (what < 97) {
        instance_tick(a->instance, w->now_ms);
    } else if (instance_read_closing(a->instance, w->now_ms, &e) != STORE_OK) {
        return;
    }
}

static void disturb(struct world *w)
{
    struct random *r = &w->random;
    struct actor *a = &w->actor[random_below(r, w->actors)];
    int what = random_below(r, 1000);
    bool must = false;
    for (int i = 0; i < w->actors; i++)
        must = must || (w->actor[i].rejoin && !w->actor[i].zombie);
    if (what < 8) { // a crash; the process is started again at once
        w->crashes++;
        actor_stop(a);
        actor_start(w, a);
    } else if (what < 14) {
        a->zombie = !a->zombie;
        a->frozen = a->zombie && random_chance(r, 50);
        a->rejoin = a->rejoin || !a->zombie;
    } else if (what < 22 || (must && what < 300)) {
        rebalance(w);
    }
}

// ---- the end: everything is read and flushed, no more faults ----

static bool drain_actor(struct world *w, struct actor *a)
{
    for (int p = 0; p < w->log.partitions; p++) {
        if (!a->reading[p])
            continue;
        for (int stuck = 0; stuck < 100;) {
            if (instance_is_flushing(a->instance) && !flush_fully(a, 1000))
                return false;
            if (feed_one(w, a, p))
                stuck = 0;
            else
                stuck++;
        }
        for (int k = 0; k < 2; k++)
            if (sim_log_at(&w->log, k, p, a->cursor[p][k]))
                w->db.violation = "a task stands still before the end of its logs";
    }
    return flush_fully(a, 1000);
}

static void settle(struct world *w)
{
    w->fault_percent = w->db.fault_percent = 0;
    for (int i = 0; i < w->actors; i++)
        w->actor[i].zombie = w->actor[i].frozen = false;
    // A fence that was still pending is found here and sends the actor back into the group.
    for (int tries = 0; tries < 5; tries++) {
        rebalance(w);
        bool done = true;
        for (int i = 0; i < w->actors; i++)
            done = drain_actor(w, &w->actor[i]) && done;
        if (done)
            return;
    }
    w->db.violation = "the fleet did not settle";
}

// On a system gone silent ticks must bring every expiry about (rule 6), whoever owns what.
static void let_expire(struct world *w)
{
    for (int round = 0; round < 40; round++) {
        w->now_ms += 1000;
        for (int i = 0; i < w->actors; i++) {
            struct err e;
            if (instance_read_closing(w->actor[i].instance, w->now_ms, &e) != STORE_OK)
                w->db.violation = "an undisturbed read failed";
            instance_tick(w->actor[i].instance, w->now_ms);
            if (!drain_actor(w, &w->actor[i]))
                w->db.violation = "an undisturbed flush failed";
        }
    }
    for (int i = 0; i < w->actors; i++)
        for (int p = 0; p < w->log.partitions; p++) {
            struct task *t = instance_task(w->actor[i].instance, p);
            if (t && (join_waiting_count(task_join(t), 0) || join_waiting_count(task_join(t), 1)))
                w->db.violation = "records still wait on a silent system";
        }
}

static bool check(struct world *w, const char *when, uint64_t seed)
{
    struct oracle o = {0};
    oracle_run(&o, &w->log, w->db.ttl_ms, w->db.skew_ms);
    char why[512] = "";
    if (w->db.violation)
        snprintf(why, sizeof(why), "%s", w->db.violation);
    else
        compare(&w->db, &w->letters, &o, why, sizeof(why));
    if (why[0])
        printf("seed %" PRIu64 " fails %s: %s\n", seed, when, why);
    oracle_free(&o);
    return !why[0];
}

static bool run_seed(uint64_t seed, bool verbose, struct world *totals)
{
    struct world *w = xcalloc(1, sizeof(*w));
    world_init(w, seed);
    int steps = 300 + random_below(&w->random, 700);
    for (int i = 0; i < steps && !w->db.violation; i++) {
        if (random_chance(&w->random, 40))
            produce_one(w);
        if (random_chance(&w->random, 25))
            pass_time(w);
        struct actor *a = &w->actor[random_below(&w->random, w->actors)];
        if (!a->frozen)
            turn(w, a);
        disturb(w);
    }
    settle(w);
    bool ok = check(w, "with requests in flight", seed);
    if (ok) {
        let_expire(w);
        ok = check(w, "after everything expired", seed);
    }
    if (verbose)
        printf("seed %" PRIu64 ": %d partitions, %d actors, %zu rows, %" PRIu64 " crashes, %" PRIu64
               " rebalances, %" PRIu64 " flushes\n",
               seed, w->log.partitions, w->actors, w->db.row_count, w->crashes, w->rebalances,
               w->flushes);
    totals->crashes += w->crashes;
    totals->rebalances += w->rebalances;
    totals->flushes += w->flushes;
    processor_stats_add(&totals->stats, &w->stats);
    world_free(w);
    free(w);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 1000, failed = 0;
    bool verbose = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--first-seed") == 0 && i + 1 < argc)
            first = strtoull(argv[++i], NULL, 10);
        else
            return fprintf(stderr, "usage: %s [--seeds N] [--first-seed S] [--verbose]\n", argv[0]),
                   2;
    }
    struct world *totals = xcalloc(1, sizeof(*totals));
    for (uint64_t seed = first; seed < first + count && failed < 5; seed++)
        failed += !run_seed(seed, verbose, totals);
    printf("%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " crashes, %" PRIu64
           " rebalances, %" PRIu64 " flushes; %" PRId64 " unknown commits, %" PRId64
           " fenced, %" PRId64 " kept, %" PRId64 " replayed records\n",
           count, failed, totals->crashes, totals->rebalances, totals->flushes,
           totals->stats.flush_unknown, totals->stats.flush_fenced, totals->stats.tasks_kept,
           totals->stats.replayed_records);
    free(totals);
    return failed ? 1 : 0;
}
