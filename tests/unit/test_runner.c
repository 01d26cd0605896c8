// SPDX-License-Identifier: Apache-2.0
// The runner over a clock, a group and seams of its own: when it flushes, what it waits for and for
// how long, when it leaves the group, and what it does about topics that are not what they were.
#include "processor/runner.h"

#include "common/io/log.h"
#include "tests/support/fake_emit.h"
#include "tests/support/fake_store_script.h"
#include "tests/unit/task_case.h"

#define PARTITIONS 2
#define INTERVAL_MS 1000
#define SOON_MS (INTERVAL_MS + 200) // it sleeps for up to 100 ms, and a flush has some steps

// ---- the world ----

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

static void make(void)
{
    static char nothing[] = "", id[] = "one", brokers[] = "b:9092";
    make_env();
    log_init("test_runner", "text", "error");
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

static void clear(void)
{
    runner_free(runner);
    buf_free(&trace);
    buf_free(&told);
    free_env();
}

static void run_for(int64_t ms)
{
    int64_t end_us = now_us + ms * US_PER_MS;
    while (now_us < end_us)
        ck_assert_msg(runner_round(runner, &e) == 0, "%s", e.detail);
}

static void start(void)
{
    ck_assert_msg(runner_start(runner, &e) == 0, "%s", e.detail);
    run_for(10);
}

// A request arrives in the partition, stamped with the time that it is.
static void arrive(int partition, const char *id)
{
    size_t n = group.n[partition][0]++;
    group.v[partition][0][n] = append_ask(now_us / US_PER_MS, id, "");
}

// Until something new is committed: how long that took, in ms.
static int64_t until_flushed(int64_t most_ms)
{
    int64_t flushes = stats.flushes, began_us = now_us;
    while (stats.flushes == flushes) {
        ck_assert_msg(runner_round(runner, &e) == 0, "%s", e.detail);
        ck_assert_msg(now_us - began_us <= most_ms * US_PER_MS, "no flush within %lld ms",
                      (long long)most_ms);
    }
    return (now_us - began_us) / US_PER_MS;
}

static struct runner_health health(void)
{
    return runner_health(runner, true);
}

#define HEALTH_SAYS(word)                                                                          \
    ck_assert_msg(!health().ready && strstr(health().why, (word)), "%s", health().why)

// ---- start ----

START_TEST(waits_for_database_and_broker_and_says_what_for)
{
    for (int i = 0; i < 3; i++)
        fake_store_then(&store, FAKE_SETTINGS, STORE_RETRY);
    HEALTH_SAYS("not started");
    start();
    ck_assert_int_gt(now_us, 3 * 500 * US_PER_MS);
    ck_assert(health().ready);
    ck_assert(health().started);
    ck_assert(!runner_health(runner, false).ready);
    ck_assert_str_eq(runner_health(runner, false).why, "PostgreSQL is away");
}
END_TEST

START_TEST(refuses_at_start_what_waiting_does_not_mend)
{
    if (_i == 0)
        fake_store_then(&store, FAKE_SETTINGS, STORE_FATAL);
    else if (_i == 1)
        group.topics = -1;
    else
        config.partitions = PARTITIONS + 1;
    ck_assert_int_eq(runner_start(runner, &e), -1);
    ck_assert(!group.open);
    if (_i == 2)
        ck_assert_str_eq(e.field, "PARTITIONS");
}
END_TEST

START_TEST(a_stop_while_it_waits_ends_the_start)
{
    runner_stop(runner);
    ck_assert_int_eq(runner_run(runner, &e), 0);
    ck_assert_int_eq(group.opened, 0);
}
END_TEST

// ---- when it flushes ----

START_TEST(flushes_what_there_is_every_interval)
{
    start();
    for (int i = 0; i < 3; i++) {
        char id[8];
        snprintf(id, sizeof(id), "a%d", i);
        arrive(0, id);
        ck_assert_int_le(until_flushed(SOON_MS), SOON_MS);
        ck_assert_int_eq(store.requests, 1);
        ck_assert_int_eq(group.committed, PARTITIONS * (i + 1));
        ck_assert_int_eq(group.committed_next[0][EVENT_REQUEST], i + 1);
        ck_assert_int_eq(group.committed_next[0][EVENT_RESPONSE], 0);
        ck_assert_int_eq(group.committed_next[1][EVENT_REQUEST], 0);
    }
    run_for(5 * INTERVAL_MS);
    ck_assert_int_eq(stats.flushes, 3); // nothing changed since
}
END_TEST

// Flushes that a limit asks for come before the interval is over, and begin it anew.
START_TEST(what_waits_is_read_every_interval_however_often_it_flushes)
{
    config.max_delta_cells = 1;
    slow_call = FAKE_COMMIT;
    call_takes_us = INTERVAL_MS / 10 * US_PER_MS;
    start();
    buf_clear(&trace);
    int64_t began_us = now_us, flushes = stats.flushes;
    for (int i = 0; i < 30; i++) {
        char id[8];
        snprintf(id, sizeof(id), "a%d", i);
        arrive(0, id);
        arrive(1, id);
        until_flushed(INTERVAL_MS);
    }
    int64_t intervals = (now_us - began_us) / (INTERVAL_MS * US_PER_MS);
    ck_assert_int_ge(intervals, 2);
    ck_assert_int_gt(stats.flushes - flushes, 5 * intervals);
    buf_addc(&trace, '\0');
    int64_t looks = 0;
    for (const char *at = trace.p; (at = strstr(at, "closing ")); at++)
        looks++;
    ck_assert_int_ge(looks, intervals);
    ck_assert_int_le(looks, intervals + 1);
}
END_TEST

START_TEST(slow_flushes_come_more_rarely_up_to_a_minute)
{
    int64_t took_ms = _i == 0 ? 3000 : 3600000, next_ms = _i == 0 ? 6000 : 60000;
    start();
    arrive(0, "a");
    slow_call = FAKE_COMMIT;
    call_takes_us = took_ms * US_PER_MS;
    until_flushed(took_ms + SOON_MS);
    call_takes_us = 0;
    wall_off_ms = 0;
    arrive(0, "b");
    int64_t waited_ms = until_flushed(next_ms + 200);
    ck_assert_int_ge(waited_ms, next_ms - 1);
    arrive(0, "c");
    until_flushed(SOON_MS); // it was slow once
}
END_TEST

START_TEST(a_database_that_was_away_makes_no_later_flush_rarer)
{
    start();
    arrive(0, "a");
    store.always[FAKE_BEGIN] = STORE_RETRY;
    run_for(60 * 60000);
    ck_assert_int_eq(stats.flushes, 0);
    HEALTH_SAYS("flushing fails");
    store.always[FAKE_BEGIN] = STORE_OK;
    until_flushed(200);
    ck_assert(health().ready);
    arrive(0, "b");
    until_flushed(SOON_MS);
}
END_TEST

START_TEST(leaving_flushes_but_waits_for_the_database_a_few_seconds_only)
{
    start();
    arrive(0, "a");
    run_for(100);
    if (_i == 1)
        store.always[FAKE_BEGIN] = STORE_RETRY;
    int64_t began_us = now_us;
    runner_stop(runner);
    ck_assert_int_eq(runner_run(runner, &e), 0);
    ck_assert(!group.open);
    ck_assert_int_eq(stats.flushes, 1 - _i);
    ck_assert_int_eq(group.committed, _i == 0 ? PARTITIONS : 0);
    ck_assert_int_le(now_us - began_us, 11 * US_PER_S);
}
END_TEST

// ---- the group ----

START_TEST(a_claim_that_fails_for_seconds_gives_up_and_joins_again)
{
    store.always[FAKE_CLAIM] = STORE_RETRY;
    ck_assert_int_eq(runner_start(runner, &e), 0);
    int64_t began_us = now_us;
    while (group.opened == 1 && now_us < 60 * US_PER_S)
        ck_assert_int_eq(runner_round(runner, &e), 0);
    ck_assert_int_ge(now_us - began_us, 5 * US_PER_S);
    ck_assert_int_le(now_us - began_us, 7 * US_PER_S);
    HEALTH_SAYS("not started");
    store.always[FAKE_CLAIM] = STORE_OK;
    run_for(10000);
    ck_assert(health().ready);
    ck_assert_int_eq(stats.claims, PARTITIONS);
}
END_TEST

START_TEST(a_fenced_flush_drops_all_and_joins_again)
{
    start();
    arrive(0, "a");
    fake_store_then(&store, FAKE_BEGIN, STORE_FENCED);
    run_for(SOON_MS);
    ck_assert(!group.open);
    HEALTH_SAYS("not in the group");
    until_flushed(3000); // read again from the log
    ck_assert_int_eq(group.opened, 2);
    ck_assert_int_eq(stats.claims, 2 * PARTITIONS);
    ck_assert_int_eq(store.requests, 1);
    ck_assert(health().ready);
}
END_TEST

// ---- who publishes ----

static void expect_told(const char *want)
{
    buf_addc(&told, '\0');
    ck_assert_str_eq(told.p, want);
    buf_clear(&told);
}

START_TEST(the_publisher_is_told_when_partition_0_comes_and_goes)
{
    start();
    run_for(3 * INTERVAL_MS);
    expect_told("9;"); // once
    group.state = SOURCE_REOPEN;
    run_for(100);
    expect_told("0;");
    store.claim.kept = true;
    run_for(1500);
    expect_told("9;");
    runner_leave(runner);
    expect_told("0;");
}
END_TEST

START_TEST(fenced_with_nothing_to_flush_it_joins_again_and_tells_the_publisher)
{
    start();
    fake_store_then(&store, FAKE_CHECK, STORE_FENCED);
    store.claim.epoch = 12;
    run_for(INTERVAL_MS + 2000);
    expect_told("9;0;12;");
    ck_assert_int_eq(group.opened, 2);
    ck_assert_int_eq(stats.claims, 2 * PARTITIONS);
}
END_TEST

START_TEST(without_partition_0_the_publisher_is_told_nothing)
{
    group.gives = 0;
    start();
    run_for(3 * INTERVAL_MS);
    runner_leave(runner);
    expect_told("");
}
END_TEST

START_TEST(fenced_by_the_broker_it_joins_again_where_others_or_nobody_has_its_partitions)
{
    start();
    run_for(INTERVAL_MS);
    if (_i == 1) { // away for so long that others have them
        arrive(0, "a");
        run_for(100);
        fake_store_then(&store, FAKE_BEGIN, STORE_FENCED);
    }
    group.state = SOURCE_FENCED;
    if (_i == 2) { // the database comes back meanwhile
        fake_store_then(&store, FAKE_RIVAL, STORE_RETRY);
        fake_store_then(&store, FAKE_RIVAL, STORE_RETRY);
    }
    run_for(8000);
    ck_assert_int_eq(group.opened, 2);
    ck_assert(health().ready);
}
END_TEST

START_TEST(fenced_by_the_broker_it_does_not_wait_for_the_database_for_ever)
{
    start();
    run_for(INTERVAL_MS);
    group.state = SOURCE_FENCED;
    store.always[FAKE_RIVAL] = STORE_RETRY;
    run_for(16000);
    ck_assert_int_eq(group.opened, 2);
}
END_TEST

START_TEST(fenced_by_the_broker_it_ends_where_another_of_its_id_has_a_partition)
{
    start();
    run_for(INTERVAL_MS);
    group.state = SOURCE_FENCED;
    store.has_rival = true;
    int rc = 0;
    while (rc == 0 && now_us < 60 * US_PER_S)
        rc = runner_round(runner, &e);
    ck_assert_int_eq(rc, -1);
    ck_assert_str_eq(e.field, "GROUP_INSTANCE_ID");
}
END_TEST

// ---- halting ----

START_TEST(a_broken_log_halts_its_partition_alone_and_is_judged_anew_ever_more_rarely)
{
    start();
    int64_t broken_us = now_us;
    group.broken[1][EVENT_RESPONSE] = true;
    run_for(100);
    HEALTH_SAYS("partition 1 is broken by the script");
    ck_assert(health().started);
    arrive(0, "a");
    arrive(1, "b");
    until_flushed(SOON_MS);
    ck_assert_int_eq(store.requests, 1);
    for (int n = 2; n <= 4; n++) {
        while (group.opened < n) {
            ck_assert_int_eq(runner_round(runner, &e), 0);
            ck_assert_int_le(now_us - broken_us, 60 * US_PER_S);
        }
        int64_t waited_s = (now_us - broken_us) / US_PER_S; // and one more to join
        ck_assert_int_ge(waited_s, (10 << (n - 2)));
        ck_assert_int_le(waited_s, (10 << (n - 2)) + 2);
        run_for(10);
        group.broken[1][EVENT_RESPONSE] = n < 4;
        broken_us = now_us;
        run_for(100);
    }
    ck_assert(health().ready);
    ck_assert_uint_eq(group.at[1][EVENT_REQUEST], 1); // b
}
END_TEST

START_TEST(topics_that_are_wrong_twice_stop_all_until_they_are_right)
{
    start();
    group.topics = -1;
    run_for(11000);
    while (strstr(health().why, "topics by the script") == NULL && now_us < 60 * US_PER_S)
        ck_assert_int_eq(runner_round(runner, &e), 0);
    HEALTH_SAYS("topics by the script");
    arrive(0, "a");
    run_for(20000);
    ck_assert_int_eq(stats.requests, 0);
    ck_assert_int_eq(group.opened, 1);
    runner_update_gauges(runner);
    ck_assert_int_eq(stats.tasks_halted, PARTITIONS);
    group.topics = 1; // away says nothing about them
    run_for(10000);
    HEALTH_SAYS("topics by the script");
    group.topics = 0;
    run_for(6000);
    ck_assert(health().ready);
    ck_assert_int_eq(group.opened, 2);
    ck_assert_int_eq(stats.requests, 1);
}
END_TEST

START_TEST(topics_that_seem_wrong_once_stop_nothing)
{
    group.answers = (struct answers){{0, -1}, 2, 0};
    start();
    run_for(30000);
    ck_assert_uint_gt(group.answers.given, 3);
    ck_assert(health().ready);
    ck_assert_int_eq(group.opened, 1);
}
END_TEST

START_TEST(a_doubt_about_the_topics_outlasts_a_broker_that_is_away)
{
    group.answers = (struct answers){{0, -1, 1, 1, -1}, 5, 0};
    start();
    while (group.answers.given < 4) {
        ck_assert(health().ready);
        run_for(100);
    }
    group.topics = -1;
    while (group.answers.given < 5)
        run_for(100);
    HEALTH_SAYS("topics by the script");
}
END_TEST

START_TEST(a_partition_that_there_should_not_be_stops_all)
{
    group.gives = PARTITIONS + 1;
    ck_assert_int_eq(runner_start(runner, &e), 0);
    group.topics = -1;
    run_for(100);
    HEALTH_SAYS("topics by the script");
    ck_assert_int_eq(stats.claims, 0);
    ck_assert_int_eq(group.from[0][0], SOURCE_NOWHERE);
    ck_assert_int_eq(group.opened, 1);
}
END_TEST

// The position says that the record at offset 0 had another key.
static void store_position_of_another_log(void)
{
    arrive(0, "a");
    arrive(0, "b");
    store.claim.stored = true;
    for (int k = 0; k < 2; k++)
        store.claim.position.log[k] =
            (struct log_position){.next = 1, .time_ms = T0, .last_offset = -1};
    store.claim.position.log[0].last_offset = 0;
    store.claim.position.log[1].next = 0;
    group.n[1][0] = 1;
    group.v[1][0][0] = append(EVENT_REQUEST, 0, "", NULL, NULL);
    store.claim.position.log[0].last_key = 1;
}

START_TEST(another_log_halts_and_where_loss_is_accepted_goes_on_at_its_end)
{
    config.accept_loss = _i;
    store_position_of_another_log();
    ck_assert_int_eq(runner_start(runner, &e), 0);
    run_for(100);
    HEALTH_SAYS("is not the one that was consumed");
    if (_i == 0) {
        run_for(1100);
        HEALTH_SAYS("ACCEPT_LOSS=1");
        ck_assert_ptr_nonnull(strstr(health().why, "(and 1 more)"));
        run_for(60000);
        ck_assert_int_eq(group.opened, 1); // joining again would find the same
        return;
    }
    arrive(0, "c"); // still before the end that is asked for
    run_for(1100);
    ck_assert(health().ready);
    ck_assert_int_eq(stats.requests, 0);
    arrive(0, "d");
    run_for(100);
    ck_assert_int_eq(stats.requests, 1);
    // Whoever was given the partition then would know nothing of it.
    ck_assert_int_eq(group.opened, 1);
}
END_TEST

// P is 4, and so long were the logs when the replay began.
static void start_replay_of_a_log_that_is_cut(int64_t to)
{
    for (int i = 0; i < 4; i++) {
        arrive(0, "a");
        group.v[0][1][group.n[0][1]++] = append(EVENT_RESPONSE, 0, "", NULL, NULL);
    }
    store.claim.stored = true;
    for (int k = 0; k < 2; k++)
        store.claim.position.log[k] =
            (struct log_position){.next = 4, .time_ms = T0, .last_offset = -1};
    group.stuck = true;
    group.gives = 1;
    start();
    group.n[0][0] = (size_t)to;
    group.stuck = false;
}

START_TEST(a_log_that_is_truncated_in_the_replay_is_judged_at_its_end)
{
    config.accept_loss = _i;
    start_replay_of_a_log_that_is_cut(2);
    run_for(1100);
    ck_assert_int_eq(group.opened, 1);
    if (_i == 0) {
        HEALTH_SAYS("consumed up to offset 4, but the log ends at 2");
        return;
    }
    ck_assert(health().ready);
    arrive(0, "b");
    run_for(100);
    ck_assert_int_eq(stats.requests, 1);
}
END_TEST

START_TEST(an_end_that_comes_too_soon_is_waited_for_where_the_log_is_longer)
{
    start_replay_of_a_log_that_is_cut(2);
    group.hidden = 2; // as a broker does that has just taken the partition over
    run_for(5000);
    ck_assert(health().ready);
    runner_update_gauges(runner);
    ck_assert_int_eq(stats.tasks_replaying, 1);
    group.hidden = 0;
    group.n[0][0] = 4;
    run_for(1100);
    runner_update_gauges(runner);
    ck_assert_int_eq(stats.tasks, 1);
}
END_TEST

START_TEST(a_clock_ahead_is_waited_for)
{
    start();
    wall_off_ms = -SKEW - 5000;
    arrive(1, "a");
    run_for(1000);
    HEALTH_SAYS("partition 1: the broker's clock (b:9092)");
    ck_assert_int_eq(stats.requests, 0);
    run_for(4500);
    ck_assert(health().ready);
    ck_assert_int_eq(stats.requests, 1);
}
END_TEST

START_TEST(degraded_is_ready_and_says_so)
{
    group.low = 5;
    store.claim.stored = true;
    for (int k = 0; k < 2; k++) {
        group.n[0][k] = group.n[1][k] = 5;
        store.claim.position.log[k] =
            (struct log_position){.next = 5, .time_ms = T0, .replay = 4, .last_offset = -1};
    }
    start();
    ck_assert(health().ready);
    ck_assert(health().degraded);
    ck_assert_ptr_nonnull(strstr(health().why, "2 partitions, the first is 0"));
}
END_TEST

static void add_all(TCase *tc)
{
    tcase_add_test(tc, the_publisher_is_told_when_partition_0_comes_and_goes);
    tcase_add_test(tc, fenced_with_nothing_to_flush_it_joins_again_and_tells_the_publisher);
    tcase_add_test(tc, without_partition_0_the_publisher_is_told_nothing);
    tcase_add_test(tc, waits_for_database_and_broker_and_says_what_for);
    tcase_add_loop_test(tc, refuses_at_start_what_waiting_does_not_mend, 0, 3);
    tcase_add_test(tc, a_stop_while_it_waits_ends_the_start);
    tcase_add_test(tc, flushes_what_there_is_every_interval);
    tcase_add_test(tc, what_waits_is_read_every_interval_however_often_it_flushes);
    tcase_add_loop_test(tc, slow_flushes_come_more_rarely_up_to_a_minute, 0, 2);
    tcase_add_test(tc, a_database_that_was_away_makes_no_later_flush_rarer);
    tcase_add_loop_test(tc, leaving_flushes_but_waits_for_the_database_a_few_seconds_only, 0, 2);
    tcase_add_test(tc, a_claim_that_fails_for_seconds_gives_up_and_joins_again);
    tcase_add_test(tc, a_fenced_flush_drops_all_and_joins_again);
    tcase_add_loop_test(
        tc, fenced_by_the_broker_it_joins_again_where_others_or_nobody_has_its_partitions, 0, 3);
    tcase_add_test(tc, fenced_by_the_broker_it_does_not_wait_for_the_database_for_ever);
    tcase_add_test(tc, fenced_by_the_broker_it_ends_where_another_of_its_id_has_a_partition);
    tcase_add_test(tc, a_broken_log_halts_its_partition_alone_and_is_judged_anew_ever_more_rarely);
    tcase_add_test(tc, topics_that_are_wrong_twice_stop_all_until_they_are_right);
    tcase_add_test(tc, topics_that_seem_wrong_once_stop_nothing);
    tcase_add_test(tc, a_doubt_about_the_topics_outlasts_a_broker_that_is_away);
    tcase_add_test(tc, a_partition_that_there_should_not_be_stops_all);
    tcase_add_loop_test(tc, another_log_halts_and_where_loss_is_accepted_goes_on_at_its_end, 0, 2);
    tcase_add_loop_test(tc, a_log_that_is_truncated_in_the_replay_is_judged_at_its_end, 0, 2);
    tcase_add_test(tc, an_end_that_comes_too_soon_is_waited_for_where_the_log_is_longer);
    tcase_add_test(tc, a_clock_ahead_is_waited_for);
    tcase_add_test(tc, degraded_is_ready_and_says_so);
}

int main(void)
{
    TCase *tc = tcase_create("runner");
    tcase_add_checked_fixture(tc, make, clear);
    add_all(tc);
    Suite *suite = suite_create("runner");
    suite_add_tcase(suite, tc);
    SRunner *checks = srunner_create(suite);
    srunner_run_all(checks, CK_ENV);
    int failed = srunner_ntests_failed(checks);
    srunner_free(checks);
    return failed == 0 ? 0 : 1;
}
