// SPDX-License-Identifier: Apache-2.0
// A runner over a clock, a group and seams of its own, for its tests.
#ifndef STREAMLENS_TESTS_RUNNER_CASE_H
#define STREAMLENS_TESTS_RUNNER_CASE_H

#include "common/io/log.h"
#include "processor/runner.h"
#include "tests/support/fake_emit.h"
#include "tests/support/fake_store_script.h"
#include "tests/unit/task_case.h"

#define PARTITIONS 2
#define INTERVAL_MS 1000
#define SOON_MS (INTERVAL_MS + 200) // it sleeps for up to 100 ms, and a flush has some steps

// One membership after another; what stands here outlives them.
struct source {
    struct source_events events;
    bool joined; // has given its partitions
};
static struct {
    struct source now;
    bool open;
    int opened;              // memberships so far
    enum source_state state; // to answer with, once
    int gives;               // the partitions it gives are 0 … gives - 1
    bool broken[PARTITIONS][2];
    const struct logged *v[PARTITIONS][2][64]; // the logs; offsets begin at 0
    size_t n[PARTITIONS][2], at[PARTITIONS][2];
    int64_t low;    // first offset of every log
    int64_t hidden; // records that are there, but not read yet
    bool stuck;     // nothing is read
    int64_t from[PARTITIONS + 1][2];
    int committed;
    int64_t committed_next[PARTITIONS][2];
    struct answers {
        int v[8];
        size_t n, given;
    } answers;  // of check_topics, then
    int topics; // always
} group;

static struct buf trace, told; // told: each epoch that the publisher was told
static struct store store;
static struct emit emit;
static struct config config;
static struct runner *runner;
static struct err e;
static int64_t now_us, wall_off_ms, call_takes_us;
static enum fake_call slow_call;

static void during(enum fake_call call)
{
    if (call == slow_call)
        now_us += call_takes_us;
}

static int check_topics(void *arg, int64_t partitions, struct err *why)
{
    (void)arg;
    ck_assert_int_eq(partitions, PARTITIONS);
    size_t i = group.answers.given++;
    int rc = i < group.answers.n ? group.answers.v[i] : group.topics;
    if (rc != 0)
        err_set(why, "topics by the script");
    return rc;
}

static struct source *open_source(void *arg, const struct store_settings *pinned,
                                  const struct source_events *events, struct err *why)
{
    (void)arg;
    (void)why;
    ck_assert_int_eq(pinned->partitions, PARTITIONS);
    ck_assert(!group.open);
    group.now = (struct source){.events = *events};
    group.open = true;
    group.opened++;
    return &group.now;
}

static int64_t mono_us(void *arg)
{
    (void)arg;
    return now_us;
}

static int64_t wall_ms(void *arg)
{
    (void)arg;
    return T0 + now_us / US_PER_MS + wall_off_ms;
}

static void wait_us(void *arg, int64_t us)
{
    (void)arg;
    now_us += max_i64(us, 100); // a turn takes its time too
}

static void own_publisher(void *arg, int64_t epoch)
{
    (void)arg;
    buf_addf(&told, "%lld;", (long long)epoch);
}

// ---- the group ----

void source_free(struct source *s)
{
    if (s->joined)
        s->events.revoked(s->events.arg);
    group.open = false;
}

static int give_partitions(struct source *s, struct err *why)
{
    int partitions[PARTITIONS + 1] = {0, 1, 2};
    memset(group.from, 0xff, sizeof(group.from)); // SOURCE_NOWHERE
    memset(group.broken, 0, sizeof(group.broken));
    int rc = s->events.assigned(s->events.arg, partitions, (size_t)group.gives, group.from, why);
    if (rc != 0)
        return rc;
    s->joined = true;
    for (int p = 0; p < PARTITIONS; p++)
        for (int k = 0; k < 2; k++)
            group.at[p][k] = (size_t)max_i64(group.from[p][k], 0);
    return 0;
}

enum source_state source_serve(struct source *s, struct err *why)
{
    enum source_state state = group.state;
    group.state = SOURCE_OK;
    if (state != SOURCE_OK) {
        err_set(why, "state by the script");
        return state;
    }
    if (s->joined)
        return SOURCE_OK;
    int rc = give_partitions(s, why);
    return rc == 0 ? SOURCE_OK : rc > 0 ? SOURCE_REOPEN : SOURCE_DEAD;
}

int source_ends(struct source *s, int partition, struct log_ends ends[2], struct err *why)
{
    (void)s;
    (void)why;
    for (int k = 0; k < 2; k++)
        ends[k] = (struct log_ends){group.low, (int64_t)group.n[partition][k] + group.hidden};
    return 0;
}

enum source_head source_peek(struct source *s, int partition, enum event_kind topic,
                             struct task_record *out, struct err *why)
{
    (void)s;
    ck_assert_int_ne(group.from[partition][topic], SOURCE_NOWHERE);
    if (group.broken[partition][topic]) {
        err_set(why, "partition %d is broken by the script", partition);
        return SOURCE_BROKEN;
    }
    size_t at = group.at[partition][topic];
    if (group.stuck)
        return SOURCE_NOTHING;
    out->offset = (int64_t)group.n[partition][topic];
    if (at >= group.n[partition][topic])
        return SOURCE_AT_END;
    const struct logged *r = group.v[partition][topic][at];
    *out = (struct task_record){.topic = topic,
                                .offset = (int64_t)at,
                                .time_ms = r->time_ms,
                                .key = str_of(r->key),
                                .value = str_of(r->value),
                                .tick = r->tick};
    return SOURCE_RECORD;
}

void source_taken(struct source *s, int partition, enum event_kind topic)
{
    (void)s;
    group.at[partition][topic]++;
}

void source_commit(struct source *s, const int *partitions, size_t count, int64_t (*next)[2])
{
    (void)s;
    group.committed += (int)count;
    for (size_t i = 0; i < count; i++)
        memcpy(group.committed_next[partitions[i]], next[i], sizeof(next[i]));
}

bool source_is_assigned(const struct source *s)
{
    return s->joined;
}

int64_t source_log_end(const struct source *s, int partition, enum event_kind topic)
{
    (void)s;
    return (int64_t)group.n[partition][topic];
}

int64_t source_prefetched(const struct source *s)
{
    (void)s;
    return 0;
}

// ---- the tests' ways ----

static void make_runner(void)
{
    const struct runner_host host = {.check_topics = check_topics,
                                     .open_source = open_source,
                                     .mono_us = mono_us,
                                     .wall_ms = wall_ms,
                                     .wait = wait_us,
                                     .own_publisher = own_publisher};
    runner = runner_new(&config, &host, &key, &store, &emit, &stats);
}

static inline void make(void)
{
    static char nothing[] = "", id[4], brokers[] = "b:9092";
    memcpy(id, "one", sizeof(id));
    make_env();
    log_init("runner", "text", "error");
    memset(&group, 0, sizeof(group));
    group.gives = PARTITIONS;
    trace = told = (struct buf){0};
    store = (struct store){
        .trace = &trace,
        .during = during,
        .settings = {.partitions = PARTITIONS, .join_ttl_ms = TTL, .join_skew_ms = SKEW},
        .claim = {.epoch = 9, .settings = settings}};
    emit = (struct emit){.trace = &trace, .room = FAKE_EMIT_MAX};
    config = (struct config){.flush_interval_ms = INTERVAL_MS,
                             .max_joins = 100,
                             .max_delta_cells = 100,
                             .max_dead_letters = 100,
                             .partitions = CONFIG_UNSET,
                             .join_ttl_ms = CONFIG_UNSET,
                             .join_skew_ms = CONFIG_UNSET,
                             .max_series_per_tenant = CONFIG_UNSET,
                             .kafka_brokers = brokers,
                             .group_instance_id = id,
                             .start = nothing};
    now_us = US_PER_S;
    wall_off_ms = call_takes_us = 0;
    e = (struct err){0};
    make_runner();
}

static inline void clear(void)
{
    runner_free(runner);
    buf_free(&trace);
    buf_free(&told);
    free_env();
}

static inline void run_for(int64_t ms)
{
    int64_t end_us = now_us + ms * US_PER_MS;
    while (now_us < end_us)
        ck_assert_msg(runner_round(runner, &e) == 0, "%s", e.detail);
}

static inline void start(void)
{
    ck_assert_msg(runner_start(runner, &e) == 0, "%s", e.detail);
    run_for(10);
}

// A request arrives in the partition, stamped with the time that it is.
static inline void arrive(int partition, const char *id)
{
    size_t n = group.n[partition][0]++;
    group.v[partition][0][n] = append_ask(now_us / US_PER_MS, id, "");
}

// Until something new is committed: how long that took, in ms.
static inline int64_t until_flushed(int64_t most_ms)
{
    int64_t flushes = stats.flushes, began_us = now_us;
    while (stats.flushes == flushes) {
        ck_assert_msg(runner_round(runner, &e) == 0, "%s", e.detail);
        ck_assert_msg(now_us - began_us <= most_ms * US_PER_MS, "no flush within %lld ms",
                      (long long)most_ms);
    }
    return (now_us - began_us) / US_PER_MS;
}

static inline struct runner_health health(void)
{
    return runner_health(runner, true);
}

#define HEALTH_SAYS(word)                                                                          \
    ck_assert_msg(!health().ready && strstr(health().why, (word)), "%s", health().why)

static inline int run_runner_tests(const char *name, void (*add_all)(TCase *tc))
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, make, clear);
    add_all(tc);
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, tc);
    SRunner *checks = srunner_create(suite);
    srunner_run_all(checks, CK_ENV);
    int failed = srunner_ntests_failed(checks);
    srunner_free(checks);
    return failed == 0 ? 0 : 1;
}

#endif
