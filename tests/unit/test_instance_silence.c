// SPDX-License-Identifier: Apache-2.0
// A processor on a system where nothing happens any more: what is open ends in time by its ticks
// alone, the window closes, and then there are no more ticks (DESIGN 4, rules 6 and 7). The broker
// appends what is sent, the store knows what was flushed; both are scripted, and a clock runs.
#include "processor/instance.h"

#include "tests/support/fake_emit.h"
#include "tests/support/fake_store_script.h"
#include "tests/unit/task_case.h"

#define PARTITIONS 2
#define STEP_MS 250
#define FLUSH_MS 5000
#define GRACE_MS 10000
#define WINDOW_CLOSES_MS 70000 // that of T0, one minute and grace
#define LONG_MS (30 * 60000)

static const struct closing_rule rule = {GRACE_MS, 60000};

static struct buf trace; // what was sent since it was last delivered
static struct store store;
static struct emit emit;
static struct instance *in;
static int64_t now_ms, broker_behind_ms;
static int64_t high[PARTITIONS][2];
static int ticks[PARTITIONS][2];
static int64_t first_tick_ms;

static void own_all(int64_t ttl_ms, int64_t skew_ms)
{
    struct err e;
    settings = (struct settings){1, {{1, TIME_NONE, ttl_ms, skew_ms, 1}}};
    store.claim.settings = settings;
    for (int p = 0; p < PARTITIONS; p++) {
        int64_t from[2];
        ck_assert_int_eq(instance_claim(in, p, &e), STORE_OK);
        ck_assert_int_eq(instance_start(in, p, (struct log_ends[2]){0}, T0, from, &e), START_WHOLE);
        for (int k = 0; k < 2; k++)
            instance_at_end(in, p, k, 0);
    }
}

static void make(void)
{
    make_env(); // its task goes unused
    trace = (struct buf){0};
    store = (struct store){.trace = &trace, .claim = {.epoch = 9}};
    emit = (struct emit){.trace = &trace, .room = FAKE_EMIT_MAX};
    in = instance_new(&(struct instance_config){.window_grace_ms = GRACE_MS,
                                                .max_joins = 100,
                                                .max_cells = 100,
                                                .max_dead_letters = 100},
                      &key, &store, &emit, &stats);
    now_ms = broker_behind_ms = 0;
    memset(high, 0, sizeof(high));
    memset(ticks, 0, sizeof(ticks));
    first_tick_ms = TIME_NONE;
}

static void clear(void)
{
    instance_free(in);
    buf_free(&trace);
    free_env();
}

// ---- the broker ----

static void append_to(int p, enum event_kind k, const char *value)
{
    struct task_record r = {.topic = k,
                            .offset = high[p][k]++,
                            .time_ms = T0 + now_ms - broker_behind_ms,
                            .key = STR_LIT("a"),
                            .value = str_of(value),
                            .tick = !value};
    ck_assert_int_eq(instance_feed(in, p, &r, T0 + now_ms), FEED_TAKEN);
    instance_at_end(in, p, k, high[p][k]);
}

static void deliver_ticks(void)
{
    int k, p, n;
    buf_clear(&trace);
    instance_tick(in, T0 + now_ms);
    buf_addc(&trace, '\0');
    for (const char *at = trace.p; sscanf(at, "tick %d/%d;%n", &k, &p, &n) == 2; at += n) {
        append_to(p, k, NULL);
        ticks[p][k]++;
        if (first_tick_ms == TIME_NONE)
            first_tick_ms = now_ms;
    }
}

static int ticks_sent(void)
{
    int sum = 0;
    for (int p = 0; p < PARTITIONS; p++)
        sum += ticks[p][0] + ticks[p][1];
    return sum;
}

// ---- the store ----

static struct closing_progress stored_progress(void)
{
    struct closing_progress progress = {INT64_MAX, TIME_NONE};
    for (size_t i = 0; i < store.partition_count; i++)
        for (int k = 0; k < 2; k++) {
            int64_t time_ms = store.partitions[i].position.log[k].time_ms;
            progress.through_ms = min_i64(progress.through_ms, time_ms);
            progress.lead_ms = max_i64(progress.lead_ms, time_ms);
        }
    if (store.partition_count < PARTITIONS)
        progress.through_ms = TIME_NONE;
    return progress;
}

// The one window there is: T0's.
static enum closing_verdict verdict(void)
{
    struct closing_window w = {T0 * US_PER_MS, false, TIME_NONE};
    struct closing_progress progress = stored_progress();
    return closing_judge(&w, &rule, &progress, T0 + now_ms);
}

static void flush_interval(void)
{
    struct err e;
    bool due = now_ms >= WINDOW_CLOSES_MS && verdict() != CLOSING_COMPLETE;
    store.closing =
        (struct store_closing){due ? T0 + WINDOW_CLOSES_MS : TIME_NONE, stored_progress()};
    ck_assert_int_eq(instance_read_closing(in, T0 + now_ms, &e), STORE_OK);
    if (!instance_flush_begin(in))
        return;
    enum flush_result rc = FLUSH_AGAIN;
    while (rc == FLUSH_AGAIN)
        rc = instance_flush_step(in, &e);
    ck_assert_int_eq(rc, FLUSH_DONE);
}

static void run_until(int64_t until_ms)
{
    for (; now_ms < until_ms; now_ms += STEP_MS) {
        deliver_ticks();
        if (now_ms % FLUSH_MS == 0)
            flush_interval();
    }
}

static void ask_once(void)
{
    char value[256];
    snprintf(value, sizeof(value), "{\"request_id\":\"a\"," AT "%lld," NAMES "}", (long long)T0);
    append_to(0, EVENT_REQUEST, value);
}

// ---- ----

START_TEST(one_open_request_is_unanswered_in_time_and_its_window_closes)
{
    own_all(TTL, SKEW);
    ask_once();
    run_until(TTL + STEP_MS);
    ck_assert_int_eq(ticks_sent(), 0); // nothing is over yet
    ck_assert_int_eq(stats.unanswered, 0);
    run_until(TTL + 2 * STEP_MS);
    ck_assert_int_eq(stats.unanswered, 1);
    ck_assert_int_eq(ticks_sent(), 1);
    ck_assert_int_eq(ticks[0][EVENT_RESPONSE], 1);
    run_until(WINDOW_CLOSES_MS);
    ck_assert_int_eq(ticks_sent(), 1); // silence again, until the window is due
    // Its owner learns of it at a flush interval, sends ticks, and stores the times at the next.
    run_until(WINDOW_CLOSES_MS + 2 * FLUSH_MS + STEP_MS);
    ck_assert_int_eq(verdict(), CLOSING_COMPLETE);
    for (int p = 0; p < PARTITIONS; p++) // also where there never was a record
        for (enum event_kind k = 0; k < 2; k++)
            ck_assert_int_eq(ticks[p][k], 1 + (p == 0 && k == EVENT_RESPONSE));
    run_until(LONG_MS);
    ck_assert_int_eq(ticks_sent(), 5);
    ck_assert_int_eq(stats.unanswered, 1);
}
END_TEST

START_TEST(a_window_closes_before_its_open_request_is_given_up)
{
    const int64_t ttl_ms = 300000;
    own_all(ttl_ms, SKEW);
    ask_once();
    run_until(ttl_ms);
    ck_assert_int_eq(verdict(), CLOSING_COMPLETE);
    ck_assert_int_eq(stats.unanswered, 0);
    ck_assert_int_eq(ticks_sent(), 4);
    run_until(ttl_ms + 2 * STEP_MS);
    ck_assert_int_eq(stats.unanswered, 1);
    run_until(LONG_MS);
    ck_assert_int_eq(ticks_sent(), 5);
}
END_TEST

START_TEST(an_answer_without_a_request_is_given_up_in_time)
{
    own_all(TTL, SKEW);
    append_to(1, EVENT_RESPONSE, "{\"request_id\":\"a\"," AT "1795241640000}");
    run_until(SKEW + STEP_MS);
    ck_assert_int_eq(stats.unmatched, 0);
    run_until(SKEW + 2 * STEP_MS);
    ck_assert_int_eq(stats.unmatched, 1);
    ck_assert_int_eq(ticks[1][EVENT_REQUEST], 1);
}
END_TEST

START_TEST(where_the_brokers_clock_is_behind_ticks_go_on_until_it_has_passed)
{
    own_all(TTL, SKEW);
    ask_once();
    broker_behind_ms = 3000;
    run_until(TTL + 3000 + STEP_MS);
    ck_assert_int_eq(stats.unanswered, 0);
    run_until(TTL + 3000 + 1000 + 2 * STEP_MS);
    ck_assert_int_eq(stats.unanswered, 1);
    ck_assert_int_eq(first_tick_ms, TTL + STEP_MS);
    ck_assert_int_eq(ticks_sent(), 4); // one a second
    run_until(WINDOW_CLOSES_MS + 2 * FLUSH_MS + STEP_MS);
    ck_assert_int_eq(verdict(), CLOSING_COMPLETE);
}
END_TEST

// Ours was ahead when the last tick was sent, and is set right.
START_TEST(a_clock_that_is_set_back_holds_back_no_ticks)
{
    const int64_t hour_ms = 3600000;
    own_all(TTL, SKEW);
    ask_once();
    now_ms = hour_ms;
    broker_behind_ms = hour_ms;
    deliver_ticks();
    ck_assert_int_eq(ticks_sent(), 1);
    now_ms = broker_behind_ms = 0;
    run_until(TTL + 2 * STEP_MS);
    ck_assert_int_eq(stats.unanswered, 1);
}
END_TEST

START_TEST(nothing_at_all_sends_nothing)
{
    own_all(TTL, SKEW);
    run_until(WINDOW_CLOSES_MS - STEP_MS);
    ck_assert_int_eq(ticks_sent(), 0);
    ck_assert_int_eq(stats.flushes, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("instance_silence");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, one_open_request_is_unanswered_in_time_and_its_window_closes);
    tcase_add_test(tc, a_window_closes_before_its_open_request_is_given_up);
    tcase_add_test(tc, an_answer_without_a_request_is_given_up_in_time);
    tcase_add_test(tc, where_the_brokers_clock_is_behind_ticks_go_on_until_it_has_passed);
    tcase_add_test(tc, a_clock_that_is_set_back_holds_back_no_ticks);
    tcase_add_test(tc, nothing_at_all_sends_nothing);
    Suite *suite = suite_create("instance_silence");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
