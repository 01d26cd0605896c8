// SPDX-License-Identifier: Apache-2.0
// The runner: what it does about logs and topics that are not what they were.
#include "tests/unit/runner_case.h"

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
    return run_runner_tests("runner_halting", add_all);
}
