// SPDX-License-Identifier: Apache-2.0
// One processor over scripted seams: taking and giving up partitions, what a flush clears, ticks.
#include "tests/unit/instance_case.h"

static int64_t cells(void)
{
    instance_update_gauges(in);
    return stats.delta_cells;
}

// What was counted is in the database.
static void flush(void)
{
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    store.claim.flush_seq++;
}

// ---- where a task begins ----

START_TEST(without_a_stored_position_it_begins_at_the_start_or_the_end)
{
    int64_t from[2];
    config.start_latest = _i == 1;
    instance_free(in);
    in = instance_new(&config, &key, &store, &emit, &stats);
    ck_assert_int_eq(instance_claim(in, 2, &e), STORE_OK);
    ck_assert_ptr_null(instance_task(in, 2)); // not before it is started
    ck_assert_int_eq(instance_start(in, 2, LOG_ENDS, T0, from, &e), START_WHOLE);
    ck_assert_int_eq(from[0], _i ? 200 : 90);
    ck_assert_int_eq(from[1], _i ? 900 : 690);
    ck_assert(task_is_live(instance_task(in, 2)));
}
END_TEST

START_TEST(a_claim_that_fails_takes_nothing)
{
    fake_store_then(&store, FAKE_CLAIM, STORE_RETRY);
    ck_assert_int_eq(instance_claim(in, 2, &e), STORE_RETRY);
    ck_assert_uint_eq(instance_task_count(in), 0);
    ck_assert_int_eq(stats.claims, 0);
}
END_TEST

// ---- rebalances ----

START_TEST(a_partition_that_comes_back_with_its_epoch_keeps_its_task)
{
    own(2);
    give(2, "a");
    flush();
    struct task *before = instance_task(in, 2);
    instance_park(in);
    ck_assert_ptr_null(instance_task(in, 2)); // nothing is fed meanwhile
    store.claim.kept = true;
    own(2);
    ck_assert_int_eq(store.held_epoch, 9);
    ck_assert_ptr_eq(instance_task(in, 2), before);
    ck_assert_int_eq(stats.tasks_kept, 1);
    ck_assert_int_eq(stats.claims, 1);
    instance_drop_parked(in);
    ck_assert_ptr_eq(instance_task(in, 2), before);
    // It goes on reading where it stood.
    int64_t from[2];
    ck_assert_int_eq(instance_start(in, 2, LOG_ENDS, T0, from, &e), START_WHOLE);
    ck_assert_int_eq(from[0], 101);
}
END_TEST

START_TEST(a_partition_that_somebody_else_had_meanwhile_begins_anew)
{
    own(2);
    give(2, "a");
    flush();
    instance_park(in);
    store.claim.epoch = 11;
    own(2);
    ck_assert_int_eq(store.held_epoch, 9);
    ck_assert_int_eq(stats.claims, 2);
    ck_assert_int_eq(stats.tasks_kept, 0);
    ck_assert_int_eq(task_next_offset(instance_task(in, 2), EVENT_REQUEST), 90);
    instance_drop_parked(in);
    ck_assert_ptr_nonnull(instance_task(in, 2));
}
END_TEST

START_TEST(parked_tasks_that_were_not_claimed_again_are_dropped)
{
    own(1);
    own(2);
    instance_park(in);
    store.claim.kept = true;
    own(2);
    instance_drop_parked(in);
    ck_assert_uint_eq(instance_task_count(in), 1);
    ck_assert_ptr_null(instance_task(in, 1));
    ck_assert_ptr_nonnull(instance_task(in, 2));
}
END_TEST

// ---- records ----

START_TEST(a_record_far_ahead_of_the_clock_is_not_taken)
{
    own(2);
    const struct logged *r = append_ask(5000, "a", "");
    ck_assert_int_eq(offer(2, r, 5000 - SKEW - 1), FEED_AHEAD);
    ck_assert_int_eq(task_next_offset(instance_task(in, 2), EVENT_REQUEST), 90);
    ck_assert(!instance_flush_begin(in));
    ck_assert_int_eq(offer(2, r, 5000 - SKEW), FEED_TAKEN);
}
END_TEST

START_TEST(the_end_of_a_topic_holds_until_its_next_record_or_start)
{
    own(2);
    store.closing =
        (struct store_closing){T0 * 2, {T0 - 60000, T0 - 60000}}; // ticks are wanted all the time
    ck_assert_int_eq(instance_read_closing(in, T0 * 2, &e), STORE_OK);
    instance_at_end(in, 2, EVENT_REQUEST, logs[0].next);
    buf_clear(&trace);
    instance_tick(in, T0 * 2);
    expect_trace("tick 0/2;");
    give(2, "a"); // there may be more to read behind it
    instance_tick(in, T0 * 2 + 2000);
    expect_trace("");
    instance_at_end(in, 2, EVENT_REQUEST, logs[0].next);
    instance_tick(in, T0 * 2 + 2000);
    expect_trace("tick 0/2;");
    instance_park(in);
    store.claim.kept = true;
    own(2);
    buf_clear(&trace);
    instance_tick(in, T0 * 2 + 4000);
    expect_trace("");
}
END_TEST

// ---- flushes ----

START_TEST(deltas_are_cleared_once_they_are_in_and_not_before)
{
    own(1);
    own(2);
    give(2, "a");
    fake_store_then(&store, FAKE_WRITE, STORE_RETRY);
    fake_store_then(&store, FAKE_COMMIT, STORE_UNKNOWN);
    fake_store_then(&store, FAKE_RESOLVE, STORE_RETRY);
    ck_assert(instance_flush_begin(in));
    while (instance_is_flushing(in)) {
        ck_assert_int_eq(cells(), 1);
        ck_assert_int_ne(instance_flush_step(in, &e), FLUSH_FENCED);
    }
    ck_assert_int_eq(cells(), 0);
    ck_assert_int_eq(store.requests, 1);
    ck_assert_int_eq(stats.flushes, 1);
    // Nothing has changed since; the next one goes with the next flush_seq.
    ck_assert(!instance_flush_begin(in));
    give(1, "b");
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    ck_assert_int_eq(store.requests, 1);
    ck_assert_uint_eq(store.partition_count, 2);
    ck_assert_int_eq(store.partitions[0].flush_seq, 42);
    ck_assert_int_eq(store.partitions[1].flush_seq, 42);
}
END_TEST

START_TEST(a_flush_holds_live_tasks_in_the_order_of_their_partitions)
{
    own(3);
    own(0);
    store_position(110, 150);
    own(1); // replays
    store.claim.stored = false;
    own(2);
    give(0, "a");
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    ck_assert_uint_eq(store.partition_count, 3);
    ck_assert_int_eq(store.partitions[0].partition, 0);
    ck_assert_int_eq(store.partitions[1].partition, 2);
    ck_assert_int_eq(store.partitions[2].partition, 3);
}
END_TEST

START_TEST(parked_tasks_are_not_part_of_a_flush)
{
    own(1);
    own(2);
    instance_park(in);
    store.claim.kept = true;
    own(2);
    give(2, "a");
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    ck_assert_uint_eq(store.partition_count, 1);
    ck_assert_int_eq(store.partitions[0].partition, 2);
}
END_TEST

START_TEST(what_no_flush_took_is_dropped_with_those_that_counted_it)
{
    own(1);
    own(2);
    give(1, "a");
    flush();
    give(2, "b");
    store_position(110, 150);
    own(3);
    const struct task_record muted = {.offset = 110, .time_ms = T0, .tick = true};
    ck_assert_int_eq(instance_feed(in, 3, &muted, T0), FEED_TAKEN); // and so has counted nothing
    struct task *kept[] = {instance_task(in, 1), instance_task(in, 3)};
    instance_park(in);
    ck_assert_int_eq(cells(), 0);
    store.claim.kept = true;
    for (int p = 1; p <= 3; p += 2) {
        own(p);
        ck_assert_ptr_eq(instance_task(in, p), kept[p / 2]);
    }
    own(2);
    ck_assert_int_eq(store.held_epoch, 0); // others may have it, or we once more
    ck_assert(!task_is_live(instance_task(in, 2)));
    ck_assert(!instance_flush_begin(in));
}
END_TEST

START_TEST(time_alone_is_flushed_too)
{
    own(2);
    ck_assert_int_eq(offer(2, append(EVENT_REQUEST, 50, "", NULL, NULL), 50), FEED_TAKEN);
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    ck_assert_uint_eq(store.cell_count, 0);
    ck_assert_int_eq(store.partitions[0].position.log[0].time_ms, T0 + 50);
}
END_TEST

START_TEST(fenced_drops_every_task_and_the_transaction)
{
    own(1);
    own(2);
    give(2, "a");
    buf_clear(&trace);
    fake_store_then(&store, FAKE_WRITE, STORE_FENCED);
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_FENCED);
    expect_trace("begin;wait;write;abort;");
    ck_assert(!instance_is_flushing(in));
    ck_assert_uint_eq(instance_task_count(in), 0);
    ck_assert_ptr_null(instance_task(in, 1));
    own(2); // and may be taken anew
    ck_assert_int_eq(store.held_epoch, 0);
    ck_assert_int_eq(cells(), 0);
}
END_TEST

START_TEST(a_failure_for_good_leaves_the_deltas_as_they_are)
{
    own(2);
    give(2, "a");
    fake_store_then(&store, FAKE_BEGIN, STORE_FATAL);
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_FATAL);
    ck_assert(instance_is_flushing(in));
    ck_assert_int_eq(cells(), 1);
    buf_clear(&trace);
    instance_drop_all(in);
    expect_trace("abort;");
}
END_TEST

// ---- ticks ----

START_TEST(ticks_go_to_topics_read_to_their_end_once_a_second)
{
    own(1);
    own(2);
    store.closing = (struct store_closing){T0, {T0 - 60000, T0 - 60000}};
    ck_assert_int_eq(instance_read_closing(in, T0 + 5, &e), STORE_OK);
    instance_at_end(in, 2, EVENT_REQUEST, logs[0].next);
    buf_clear(&trace);
    instance_tick(in, T0 + 5);
    instance_tick(in, T0 + 1004);
    expect_trace("tick 0/2;");
    instance_at_end(in, 1, EVENT_RESPONSE, logs[1].next);
    instance_tick(in, T0 + 1005);
    expect_trace("tick 1/1;tick 0/2;");
    ck_assert_int_eq(stats.ticks_sent, 3);
    instance_park(in);
    instance_tick(in, T0 + 9000);
    expect_trace("");
}
END_TEST

START_TEST(reads_what_waits_to_close_with_its_grace)
{
    store.closing = (struct store_closing){TIME_NONE, {T0, T0}};
    ck_assert_int_eq(instance_read_closing(in, 123, &e), STORE_OK);
    expect_trace("closing 123 10000;");
    ck_assert_int_eq(stats.closed_through_s, (T0 - 10000) / 1000);
    store.closing.progress.through_ms = TIME_NONE;
    ck_assert_int_eq(instance_read_closing(in, 124, &e), STORE_OK);
    ck_assert_int_eq(stats.closed_through_s, 0);
    fake_store_then(&store, FAKE_CLOSING, STORE_RETRY);
    store.closing.progress.through_ms = T0;
    ck_assert_int_eq(instance_read_closing(in, 125, &e), STORE_RETRY);
    ck_assert_int_eq(stats.closed_through_s, 0);
}
END_TEST

START_TEST(what_is_owned_is_asked_for_though_there_is_nothing_to_flush)
{
    own(1);
    own(0);
    buf_clear(&trace);
    ck_assert_int_eq(instance_read_closing(in, 123, &e), STORE_OK);
    expect_trace("check 0/9/41 1/9/41;closing 123 10000;");
    fake_store_then(&store, FAKE_CHECK, STORE_RETRY);
    ck_assert_int_eq(instance_read_closing(in, 124, &e), STORE_RETRY);
    ck_assert_uint_eq(instance_task_count(in), 2);
    fake_store_then(&store, FAKE_CHECK, STORE_FENCED);
    ck_assert_int_eq(instance_read_closing(in, 125, &e), STORE_FENCED);
    ck_assert_uint_eq(instance_task_count(in), 0);
    own(0);
    instance_park(in);
    buf_clear(&trace);
    ck_assert_int_eq(instance_read_closing(in, 126, &e), STORE_OK);
    expect_trace("closing 126 10000;");
}
END_TEST

START_TEST(publishing_is_that_of_partition_0s_owner)
{
    own(1);
    ck_assert_int_eq(instance_publishing_epoch(in), 0);
    own(0);
    ck_assert_int_eq(instance_publishing_epoch(in), 9);
    instance_halt(in, 0, "by the test");
    ck_assert_int_eq(instance_publishing_epoch(in), 9);
    instance_park(in);
    ck_assert_int_eq(instance_publishing_epoch(in), 0);
    own(0);
    instance_drop_all(in);
    ck_assert_int_eq(instance_publishing_epoch(in), 0);
}
END_TEST

START_TEST(gauges_say_what_is_in_memory)
{
    own(2);
    store_position(110, 150);
    own(3);
    give(2, "a");
    instance_update_gauges(in);
    ck_assert_int_eq(stats.tasks, 1);
    ck_assert_int_eq(stats.tasks_replaying, 1);
    ck_assert_int_eq(stats.waiting_requests, 1);
    ck_assert_int_eq(stats.waiting_responses, 0);
    ck_assert_int_eq(stats.identities, 1);
    ck_assert_int_eq(stats.delta_cells, 1);
    ck_assert_int_eq(stats.series, 1);
    ck_assert_int_gt(stats.join_bytes, 0);
}
END_TEST

static void add_ownership(TCase *tc)
{
    tcase_add_loop_test(tc, without_a_stored_position_it_begins_at_the_start_or_the_end, 0, 2);
    tcase_add_test(tc, a_claim_that_fails_takes_nothing);
    tcase_add_test(tc, a_partition_that_comes_back_with_its_epoch_keeps_its_task);
    tcase_add_test(tc, a_partition_that_somebody_else_had_meanwhile_begins_anew);
    tcase_add_test(tc, parked_tasks_that_were_not_claimed_again_are_dropped);
}

static void add_flushes_and_ticks(TCase *tc)
{
    tcase_add_test(tc, a_record_far_ahead_of_the_clock_is_not_taken);
    tcase_add_test(tc, the_end_of_a_topic_holds_until_its_next_record_or_start);
    tcase_add_test(tc, deltas_are_cleared_once_they_are_in_and_not_before);
    tcase_add_test(tc, a_flush_holds_live_tasks_in_the_order_of_their_partitions);
    tcase_add_test(tc, parked_tasks_are_not_part_of_a_flush);
    tcase_add_test(tc, what_no_flush_took_is_dropped_with_those_that_counted_it);
    tcase_add_test(tc, time_alone_is_flushed_too);
    tcase_add_test(tc, fenced_drops_every_task_and_the_transaction);
    tcase_add_test(tc, a_failure_for_good_leaves_the_deltas_as_they_are);
    tcase_add_test(tc, ticks_go_to_topics_read_to_their_end_once_a_second);
    tcase_add_test(tc, reads_what_waits_to_close_with_its_grace);
    tcase_add_test(tc, publishing_is_that_of_partition_0s_owner);
    tcase_add_test(tc, what_is_owned_is_asked_for_though_there_is_nothing_to_flush);
    tcase_add_test(tc, gauges_say_what_is_in_memory);
}

int main(void)
{
    TCase *tc = tcase_create("instance");
    tcase_add_checked_fixture(tc, make, clear);
    add_ownership(tc);
    add_flushes_and_ticks(tc);
    Suite *suite = suite_create("instance");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
