// SPDX-License-Identifier: Apache-2.0
// Every schedule of every small log: all logs of one partition with up to so many records of a
// small alphabet, and for each all interleavings of the two topics, flushes in between, and crashes
// at each effect. Rows and dead letters must be the oracle's each time.
//
//     enumerate [--records N] [--gaps G] [--flushes F] [--crashes C]
//
// A record is a request, a response or a tick, of one of two ids, a time after the one before. A
// schedule is a list of choices. A failing log and schedule are printed.
#include <inttypes.h>
#include <stdio.h>

#include "processor/instance.h"
#include "tests/sim/choices.h"
#include "tests/sim/compare.h"
#include "tests/sim/fake_broker.h"
#include "tests/sim/fake_store.h"
#include "tests/sim/oracle.h"

#define RECORDS_MAX 8
#define ACTORS_MAX 8
#define START_MS INT64_C(1790000000000)
#define TTL_MS 20 // times are 10 ms apart, or 30, which is TTL + skew
#define SKEW_MS 10
#define END_MS 1000 // when the ticks at the end make everything expire

static struct {
    int records, gaps, flushes, crashes, ticks, points;
} limits = {3, 2, 1, 1, 1, 1};

// ---- one run ----

struct actor {
    struct fuse fuse;
    struct store *store;
    struct emit *emit;
    struct instance *instance;
    int64_t cursor[2];
    bool fed; // since it took over, or flushed
};

struct run {
    struct script *script;
    struct random random; // nothing is drawn from it that matters
    struct broker *broker;
    struct fake_db db;
    struct hash_key key;
    struct processor_stats stats;
    struct actor actors[ACTORS_MAX];
    int actor_count;
    struct actor *owner, *zombie; // the zombie does not know yet that it is not the owner
    int flushes, crashes;         // left
    const char *violation;
};

static void expect(struct run *r, bool holds, const char *what)
{
    if (!holds && !r->violation)
        r->violation = what;
}

static void own(struct run *r, struct actor *a)
{
    struct err e;
    const struct log_ends ends[2] = {{0, sim_log_high(&r->broker->log, 0, 0)},
                                     {0, sim_log_high(&r->broker->log, 1, 0)}};
    expect(r, instance_claim(a->instance, 0, &e) == STORE_OK, "a claim failed");
    expect(r, instance_start(a->instance, 0, ends, START_MS, a->cursor, &e) == START_WHOLE,
           "a log that is whole was not taken as such");
    instance_drop_parked(a->instance);
    a->fed = false;
    r->owner = a;
}

static void own_anew(struct run *r)
{
    static const struct instance_config config = {
        .max_joins = 1000, .max_cells = 1000, .max_dead_letters = 1000, .accept_clock_ahead = true};
    assert(r->actor_count < ACTORS_MAX);
    struct actor *a = &r->actors[r->actor_count++];
    *a = (struct actor){0};
    a->store = fake_store_new(&r->db, r->actor_count, 0, &a->fuse);
    a->emit = fake_emit_new(r->broker, &a->fuse);
    a->instance = instance_new(&config, &r->key, a->store, a->emit, &r->stats);
    own(r, a);
}

static void bury(struct actor *a)
{
    a->fuse.dead = true;
    instance_free(a->instance);
    fake_store_free(a->store);
    fake_emit_free(a->emit);
    *a = (struct actor){0};
}

static bool feed(struct run *r, struct actor *a, enum event_kind k)
{
    const struct sim_record *x = sim_log_at(&r->broker->log, k, 0, a->cursor[k]);
    if (!x)
        return false;
    struct task_record record = {.topic = k,
                                 .offset = x->offset,
                                 .time_ms = x->time_ms,
                                 .tick = x->truth.tick,
                                 .key = str_of(x->key),
                                 .value = {x->value, x->value_n}};
    int rc = instance_feed(a->instance, 0, &record, START_MS);
    expect(r, rc == FEED_TAKEN || rc == FEED_HOLD, "a record was not taken");
    if (rc != FEED_TAKEN)
        return false;
    a->cursor[k]++;
    return true;
}

// Either topic first, as far as the barrier lets it.
static void replay(struct run *r)
{
    struct task *t = instance_task(r->owner->instance, 0);
    if (!t || task_is_live(t))
        return;
    int first = choose(r->script, 2);
    for (int n = 0; n < 2; n++)
        while (!task_is_live(t) && feed(r, r->owner, n == 0 ? first : 1 - first))
            continue;
    expect(r, task_is_live(t), "a replay did not arrive");
}

static enum flush_result flush(struct actor *a)
{
    struct err e;
    enum flush_result rc = FLUSH_DONE;
    if (!instance_flush_begin(a->instance))
        return rc;
    do
        rc = instance_flush_step(a->instance, &e);
    while ((rc == FLUSH_AGAIN || rc == FLUSH_WAIT) && !a->fuse.dead);
    return rc;
}

static void flush_well(struct run *r)
{
    expect(r, flush(r->owner) == FLUSH_DONE, "an undisturbed flush was not committed");
    r->owner->fed = false;
}

// Four effects without letters: begin, their acknowledgement, write, commit.
#define CRASH_POINTS 8
static void flush_and_die(struct run *r, int point)
{
    r->owner->fuse = (struct fuse){.left = 1 + point / 2, .after = point % 2};
    (void)flush(r->owner);
    expect(r, r->owner->fuse.dead, "a process outlived its crash point");
    bury(r->owner);
    fake_store_end_sessions(&r->db);
    own_anew(r);
    replay(r);
}

// ---- what may happen next ----

enum move {
    END,
    FEED_REQUEST,
    FEED_RESPONSE,
    FLUSH,
    LOSE_COMMIT_LANDED, // its answer
    LOSE_COMMIT,
    CRASH,
    HAND_OVER, // to another process; the first one does not notice
    REJOIN,    // the same process gets the partition back
    ZOMBIE_FLUSH,
    FLUSH_AND_DIE, // and the crash points from here on
};

static int possible_moves(const struct run *r, int *moves)
{
    int n = 0;
    const struct actor *a = r->owner;
    for (int k = 0; k < 2; k++)
        if (a->cursor[k] + 1 <
            sim_log_high(&r->broker->log, k, 0)) // the last ticks are for the end
            moves[n++] = k == EVENT_REQUEST ? FEED_REQUEST : FEED_RESPONSE;
    if (n == 0)
        moves[n++] = END;
    if (r->flushes && a->fed)
        moves[n++] = FLUSH;
    if (r->zombie)
        moves[n++] = ZOMBIE_FLUSH;
    if (!r->crashes || !a->fed)
        return n;
    moves[n++] = LOSE_COMMIT_LANDED;
    moves[n++] = LOSE_COMMIT;
    moves[n++] = CRASH;
    moves[n++] = HAND_OVER;
    moves[n++] = REJOIN;
    for (int i = limits.points ? 0 : CRASH_POINTS - 1; i < CRASH_POINTS; i++)
        moves[n++] = FLUSH_AND_DIE + i;
    return n;
}

static void hand_over(struct run *r)
{
    if (r->zombie)
        bury(r->zombie);
    r->zombie = r->owner;
    own_anew(r);
    replay(r);
}

static void rejoin(struct run *r)
{
    bool unflushed = r->owner->fed;
    instance_park(r->owner->instance);
    own(r, r->owner);
    // What it had counted and not flushed went with it.
    expect(r, unflushed || task_is_live(instance_task(r->owner->instance, 0)),
           "a kept task is not live");
    replay(r);
}

static void disturb(struct run *r, int move)
{
    r->crashes--;
    switch (move) {
    case LOSE_COMMIT_LANDED:
    case LOSE_COMMIT:
        r->db.next_commit = move == LOSE_COMMIT ? COMMIT_IS_LOST : COMMIT_LANDS_UNHEARD;
        flush_well(r);
        break;
    case CRASH:
        bury(r->owner);
        own_anew(r);
        replay(r);
        break;
    case HAND_OVER:
        hand_over(r);
        break;
    case REJOIN:
        rejoin(r);
        break;
    default:
        flush_and_die(r, move - FLUSH_AND_DIE);
    }
}

static void make_move(struct run *r, int move)
{
    switch (move) {
    case FEED_REQUEST:
    case FEED_RESPONSE:
        expect(r, feed(r, r->owner, move == FEED_REQUEST ? EVENT_REQUEST : EVENT_RESPONSE),
               "a live task did not take its next record");
        r->owner->fed = true;
        break;
    case FLUSH:
        r->flushes--;
        flush_well(r);
        break;
    case ZOMBIE_FLUSH:
        expect(r, flush(r->zombie) == FLUSH_FENCED, "a zombie was not fenced");
        bury(r->zombie);
        r->zombie = NULL;
        break;
    default:
        disturb(r, move);
    }
}

static void run_to_end(struct run *r)
{
    int moves[FLUSH_AND_DIE + CRASH_POINTS], move = FLUSH;
    own_anew(r);
    while (!r->violation && move != END) {
        int n = possible_moves(r, moves);
        move = moves[choose(r->script, n)];
        if (move != END)
            make_move(r, move);
    }
    int first = r->violation ? 0 : choose(r->script, 2);
    for (int n = 0; n < 2 && !r->violation; n++)
        expect(r, feed(r, r->owner, n == 0 ? first : 1 - first), "the last tick was not taken");
    if (!r->violation)
        flush_well(r);
    if (r->db.violation)
        expect(r, false, r->db.violation);
}

static const char *run_once(struct broker *b, struct script *script, const struct oracle *o,
                            char *why, size_t why_n)
{
    static const struct fake_epoch first = {1, TTL_MS, SKEW_MS, 1000, 1};
    static const enum trust trust[SIM_MAX_PARTITIONS];
    struct run *r = xcalloc(1, sizeof(*r));
    *r = (struct run){
        .script = script, .broker = b, .flushes = limits.flushes, .crashes = limits.crashes};
    hash_key_init(&r->key, "seed", 4);
    fake_db_init(&r->db, &r->random, 1, &first);
    run_to_end(r);
    why[0] = '\0';
    if (r->violation)
        snprintf(why, why_n, "%s", r->violation);
    else
        compare(&r->db, &b->letters, o, NULL, 0, trust, why, why_n);
    for (int i = 0; i < r->actor_count; i++)
        if (r->actors[i].instance)
            bury(&r->actors[i]);
    fake_store_end_sessions(&r->db);
    fake_db_free(&r->db);
    b->letters.n = 0;
    free(r);
    return why[0] ? why : NULL;
}

// ---- logs ----

struct letter { // of the alphabet
    enum event_kind topic;
    int id; // -1: a tick
    int gap_ms;
};

// The n-th of them; gaps are what time may pass before a record.
static struct letter letter_of(int n)
{
    static const int gaps_ms[] = {10, 30, 0};
    int gap_ms = gaps_ms[n % limits.gaps];
    n /= limits.gaps;
    return (struct letter){n % 2 ? EVENT_RESPONSE : EVENT_REQUEST, n / 2 - limits.ticks, gap_ms};
}

static void append(struct broker *b, const struct letter *l, int64_t at_ms)
{
    struct truth t = {
        .tick = l->id < 0,
        .sender = SIM_NOBODY,
        .id = max_i64(l->id, 0) != 0,
        .route = l->id == 1,
        .answered_by = SIM_NOBODY,
        .timestamp_us = START_MS * 1000,
        .latency_us = EVENT_ABSENT,
        .ttft_us = EVENT_ABSENT,
        .prompt_tokens = EVENT_ABSENT,
        .completion_tokens = EVENT_ABSENT,
        .cached_prompt_tokens = EVENT_ABSENT,
        .cache_write_tokens = EVENT_ABSENT,
        .cache_write_1h_tokens = EVENT_ABSENT,
        .reasoning_tokens = EVENT_ABSENT,
        .cost_pusd = EVENT_ABSENT,
    };
    sim_log_append(&b->log, l->topic, 0, at_ms, 0, &t);
}

static void make_log(struct broker *b, const int *letters, int n)
{
    int64_t at_ms = START_MS;
    for (int i = 0; i < n; i++) {
        struct letter l = letter_of(letters[i]);
        at_ms += l.gap_ms;
        append(b, &l, at_ms);
    }
    for (int k = 0; k < 2; k++)
        append(b, &(struct letter){k, -1, 0}, START_MS + END_MS);
}

// Of two logs that differ in nothing but what the ids are called, one is enough; and before the
// first record no time passes that would matter.
static bool is_worth_it(const int *letters, int n)
{
    bool named = false;
    for (int i = 0; i < n; i++) {
        struct letter l = letter_of(letters[i]);
        if (l.id == 1 && !named)
            return false;
        named = named || l.id == 0;
    }
    return letters[0] % limits.gaps == 0;
}

static void say_failure(const int *letters, int n, const struct script *s, const char *why)
{
    printf("log");
    for (int i = 0; i < n; i++) {
        struct letter l = letter_of(letters[i]);
        printf(" +%d:%s", l.gap_ms, l.topic == EVENT_REQUEST ? "request" : "response");
        printf(l.id < 0 ? "(tick)" : "(%c)", 'a' + l.id);
    }
    printf("\nchoices");
    for (int i = 0; i < s->n; i++)
        printf(" %d/%d", s->chosen[i], s->of[i]);
    printf("\nfails: %s\n", why);
}

static bool try_log(const int *letters, int n, uint64_t *runs)
{
    struct random random = {1};
    struct broker b = {.random = &random, .log = {.partitions = 1}};
    const struct settings settings = {1, {{1, TIME_NONE, TTL_MS, SKEW_MS, 1}}};
    struct oracle o = {0};
    struct script s = {.n = 0};
    char why[512];
    bool ok = true;
    make_log(&b, letters, n);
    oracle_run(&o, &b.log, &settings);
    do {
        ++*runs;
        ok = !run_once(&b, &s, &o, why, sizeof(why));
        if (!ok)
            say_failure(letters, n, &s, why);
    } while (ok && next_script(&s));
    oracle_free(&o);
    broker_free(&b);
    return ok;
}

static bool try_logs_of(int n, uint64_t *logs, uint64_t *runs)
{
    int letters[RECORDS_MAX] = {0}, alphabet = (4 + 2 * limits.ticks) * limits.gaps;
    for (;;) {
        if (is_worth_it(letters, n)) {
            ++*logs;
            if (!try_log(letters, n, runs))
                return false;
        }
        int i = 0;
        while (i < n && ++letters[i] == alphabet)
            letters[i++] = 0;
        if (i == n)
            return true;
    }
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--records 1-%d] [--gaps 1-3] [--flushes N] [--crashes N]\n",
            program, RECORDS_MAX);
    return 2;
}

int main(int argc, char **argv)
{
    const struct {
        const char *name;
        int *value, least, most;
    } options[] = {
        {"--records", &limits.records, 1, RECORDS_MAX},
        {"--gaps", &limits.gaps, 1, 3},
        {"--flushes", &limits.flushes, 0, 3},
        {"--crashes", &limits.crashes, 0, ACTORS_MAX - 2},
        {"--ticks", &limits.ticks, 0, 1},
        {"--points", &limits.points, 0, 1},
    };
    for (int i = 1; i < argc; i += 2) {
        size_t o = 0;
        while (o < ARRAY_LEN(options) && strcmp(argv[i], options[o].name) != 0)
            o++;
        if (o == ARRAY_LEN(options) || i + 1 == argc)
            return usage(argv[0]);
        *options[o].value = (int)strtol(argv[i + 1], NULL, 10);
        if (*options[o].value < options[o].least || *options[o].value > options[o].most)
            return usage(argv[0]);
    }
    uint64_t logs = 0, runs = 0;
    bool ok = true;
    for (int n = 1; n <= limits.records && ok; n++)
        ok = try_logs_of(n, &logs, &runs);
    printf("%" PRIu64 " logs of up to %d records, %" PRIu64 " schedules%s\n", logs, limits.records,
           runs, ok ? "" : ", and one that fails");
    return ok ? 0 : 1;
}
