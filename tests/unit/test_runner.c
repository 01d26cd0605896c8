// SPDX-License-Identifier: Apache-2.0
// The runner: when it flushes, what it waits for and for how long, when it leaves the group, and
// what it tells the publisher.
#include "tests/unit/runner_case.h"

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

START_TEST(fenced_by_the_database_it_ends_where_another_of_its_id_has_a_partition)
{
    start();
    run_for(INTERVAL_MS);
    fake_store_then(&store, FAKE_CHECK, STORE_FENCED);
    store.has_rival = true;
    int rc = 0;
    while (rc == 0 && now_us < 60 * US_PER_S)
        rc = runner_round(runner, &e);
    ck_assert_int_eq(rc, -1);
    ck_assert_str_eq(e.field, "GROUP_INSTANCE_ID");
    ck_assert_int_eq(group.opened, 1);
}
END_TEST

START_TEST(without_an_id_it_has_no_rival)
{
    config.group_instance_id[0] = '\0';
    start();
    run_for(INTERVAL_MS);
    fake_store_then(&store, FAKE_CHECK, STORE_FENCED);
    store.has_rival = true;
    run_for(INTERVAL_MS + 2000);
    ck_assert_int_eq(group.opened, 2);
    ck_assert_ptr_null(strstr(trace.p, "rival"));
}
END_TEST

START_TEST(fenced_by_the_broker_it_ends_where_another_of_its_id_has_a_partition)
{
    start();
    run_for(INTERVAL_MS);
    if (_i == 1) { // the client library takes the partitions back first, and so all is dropped
        arrive(0, "a");
        run_for(100);
        fake_store_then(&store, FAKE_BEGIN, STORE_FENCED);
        group.now.events.revoked(group.now.events.arg);
        group.now.joined = false;
        ck_assert_uint_eq(stats.flush_fenced, 1);
    }
    group.state = SOURCE_FENCED;
    store.has_rival = true;
    int rc = 0;
    while (rc == 0 && now_us < 60 * US_PER_S)
        rc = runner_round(runner, &e);
    ck_assert_int_eq(rc, -1);
    ck_assert_str_eq(e.field, "GROUP_INSTANCE_ID");
}
END_TEST

// ---- its numbers ----

#define REQUESTS_0 "{topic=\"requests\",partition=\"0\"} "

static void expect_sample(const char *sample)
{
    struct buf out = {0};
    runner_render_partitions(runner, &out);
    char *text = buf_steal(&out);
    ck_assert_msg(strstr(text, sample), "no %s in %s", sample, text);
    free(text);
}

START_TEST(it_tells_how_much_of_each_partition_is_not_read_and_how_old_that_is)
{
    struct buf out = {0};
    runner_render_partitions(runner, &out); // before it has started
    buf_free(&out);
    start();
    arrive(0, "a");
    run_for(100);
    expect_sample("lag_records" REQUESTS_0 "0\n");
    expect_sample("behind_seconds" REQUESTS_0 "0.000\n");
    int64_t read_us = now_us;
    group.stuck = true;
    arrive(0, "b");
    while (now_us < read_us + 5 * US_PER_S)
        ck_assert_int_eq(runner_round(runner, &e), 0);
    expect_sample("lag_records" REQUESTS_0 "1\n");
    expect_sample("behind_seconds" REQUESTS_0 "5.");
    expect_sample("joins_used_ratio" REQUESTS_0 "0.0100\n"); // a of 100
    group.stuck = false;
    run_for(100);
    expect_sample("lag_records" REQUESTS_0 "0\n");
    expect_sample("behind_seconds" REQUESTS_0 "0.000\n");
}
END_TEST

static void add_all(TCase *tc)
{
    tcase_add_test(tc, it_tells_how_much_of_each_partition_is_not_read_and_how_old_that_is);
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
    tcase_add_test(tc, fenced_by_the_database_it_ends_where_another_of_its_id_has_a_partition);
    tcase_add_test(tc, without_an_id_it_has_no_rival);
    tcase_add_loop_test(tc, fenced_by_the_broker_it_ends_where_another_of_its_id_has_a_partition, 0,
                        2);
}

int main(void)
{
    return run_runner_tests("runner", add_all);
}
