// SPDX-License-Identifier: Apache-2.0
// One processor over logs that are not what was consumed: which partitions halt, what they say, how
// they go on, and what a replay that begins too late means.
#include "tests/unit/instance_case.h"

// ---- where a task begins ----

static const struct {
    struct log_ends ends; // of the requests; the responses' are 600 more
    int64_t from;         // NOWHERE: halted
    const char *names[2];
    int64_t goes_on; // with accept_loss
} stored_logs[] = {
    {{90, 200}, 110, {0}, 0},
    {{110, 150}, 110, {0}, 0},
    {{111, 150}, 111, {0}, 0},                              // R is gone: degraded
    {{150, 150}, 150, {0}, 0},                              // all up to P
    {{151, 200}, NOWHERE, {"offsets 150 to 150", ""}, 151}, // one record was never consumed
    {{190, 200}, NOWHERE, {"150", "189"}, 190},
    {{90, 149}, NOWHERE, {"150", "ends at 149"}, 149}, // shorter than what was consumed
    {{0, 0}, NOWHERE, {"150", "ends at 0"}, 0},
};

START_TEST(a_stored_position_is_held_against_the_ends_of_the_log)
{
    int64_t from[2];
    int bad = _i % 2; // either topic
    struct log_ends both[2];
    ends_of(bad, stored_logs[_i / 2].ends, both);
    store_position(110, 150);
    enum instance_start rc = start_at(both, from);
    if (stored_logs[_i / 2].from >= 0) {
        bool degraded = stored_logs[_i / 2].from > 110;
        ck_assert_int_eq(rc, degraded ? START_DEGRADED : START_WHOLE);
        ck_assert_int_eq(stats.degraded_replays, degraded);
        ck_assert_int_eq(from[bad], 600 * bad + stored_logs[_i / 2].from);
        ck_assert_int_eq(from[1 - bad], 600 * (1 - bad) + 110);
        return;
    }
    ck_assert_int_eq(rc, START_HALTED);
    ck_assert_int_eq(from[0], NOWHERE);
    ck_assert_int_eq(from[1], NOWHERE);
    ck_assert(instance_is_halted(in, 2));
    ck_assert_ptr_null(instance_task(in, 2));
    ck_assert_msg(strstr(e.detail, "ACCEPT_LOSS=1"), "%s", e.detail);
    ck_assert_ptr_nonnull(
        strstr(e.detail, bad ? "llm.responses, partition 2" : "llm.requests, partition 2"));
    for (int i = 0; i < 2 && !bad; i++)
        ck_assert_msg(strstr(e.detail, stored_logs[_i / 2].names[i]), "%s", e.detail);
}
END_TEST

START_TEST(with_accept_loss_it_goes_on_and_notes_the_gap)
{
    int64_t from[2];
    int bad = _i % 2;
    struct log_ends both[2];
    if (stored_logs[_i / 2].from != NOWHERE)
        return;
    config.accept_loss = true;
    make_again();
    ends_of(bad, stored_logs[_i / 2].ends, both);
    store_position(110, 150);
    ck_assert_int_eq(start_at(both, from), START_LOSSY);
    int64_t goes_on = 600 * bad + stored_logs[_i / 2].goes_on;
    ck_assert_int_eq(from[bad], goes_on);
    ck_assert(!instance_is_halted(in, 2));
    struct task *t = instance_task(in, 2);
    // Of a log that only lost its beginning the other topic is still replayed.
    bool is_other = stored_logs[_i / 2].goes_on < 150;
    ck_assert_int_eq(from[1 - bad], 600 * (1 - bad) + (is_other ? 150 : 110));
    // What comes behind the gap waits for it.
    if (!is_other) {
        struct task_record early = {
            .topic = bad, .offset = goes_on + 3, .time_ms = T0, .tick = true};
        ck_assert_int_eq(instance_feed(in, 2, &early, T0), FEED_HOLD);
    }
    while (!task_is_live(t)) {
        struct task_record r = {.topic = 1 - bad,
                                .offset = task_next_offset(t, 1 - bad),
                                .time_ms = T0 - 1000,
                                .tick = true};
        ck_assert_int_eq(instance_feed(in, 2, &r, T0), FEED_TAKEN);
    }
    // Noted without any record, and once.
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    const struct store_partition *p = &store.partitions[0];
    ck_assert_int_eq(p->gap[bad].from, 600 * bad + 150);
    ck_assert_int_eq(p->gap[bad].to, goes_on);
    ck_assert_int_eq(p->gap[bad].from_ms, T0);
    ck_assert_int_eq(p->gap[bad].to_ms, T0 + 5000);
    ck_assert_int_eq(p->gap[1 - bad].from, p->gap[1 - bad].to);
    ck_assert_int_eq(p->position.log[bad].next, goes_on);
    ck_assert_int_eq(p->position.log[bad].time_ms, T0);
    ck_assert(!instance_flush_begin(in));
    struct task_record r = {.topic = bad, .offset = goes_on, .time_ms = T0, .tick = true};
    ck_assert_int_eq(instance_feed(in, 2, &r, T0), FEED_TAKEN);
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    ck_assert_int_eq(p->gap[bad].from, p->gap[bad].to);
}
END_TEST

START_TEST(a_gap_ends_with_the_first_record_behind_it)
{
    int64_t from[2];
    struct log_ends both[2];
    config.accept_loss = true;
    make_again();
    ends_of(0, (struct log_ends){160, 200}, both);
    store_position(150, 150);
    ck_assert_int_eq(start_at(both, from), START_LOSSY);
    for (int i = 0; i < 2; i++) {
        struct task_record r = {
            .topic = EVENT_REQUEST, .offset = 160 + i, .time_ms = T0 + 70 + i, .tick = true};
        ck_assert_int_eq(instance_feed(in, 2, &r, T0 + 100), FEED_TAKEN);
    }
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    ck_assert_int_eq(store.partitions[0].gap[0].to_ms, T0 + 70);
}
END_TEST

// ---- halted and degraded ----

// A replay of which the record at P - 1 has another key.
static int find_another_log(void)
{
    int64_t from[2];
    struct log_ends both[2];
    ends_of(0, (struct log_ends){0, 200}, both);
    store_position(149, 150);
    for (int k = 0; k < 2; k++)
        store.claim.position.log[k].last_offset = 600 * k + 149;
    ck_assert_int_eq(start_at(both, from), START_WHOLE);
    struct task_record r = {
        .topic = EVENT_REQUEST, .offset = 149, .time_ms = T0 + 1, .key = str_of("x"), .tick = true};
    int rc = instance_feed(in, 2, &r, T0);
    instance_halt(in, 2, task_error(instance_task(in, 2)));
    return rc;
}

// The same, and the log ends at `high` by the time of the next start.
static int feed_another_log(int64_t high)
{
    int64_t from[2];
    struct log_ends both[2];
    ends_of(0, (struct log_ends){0, 200}, both);
    ck_assert_int_eq(find_another_log(), FEED_MISMATCH);
    instance_park(in);
    store.claim.kept = true;
    both[EVENT_REQUEST].high = high;
    return (int)start_at(both, from);
}

START_TEST(another_log_found_in_the_replay_halts_at_the_next_start_too)
{
    ck_assert_int_eq(feed_another_log(200), START_HALTED);
    ck_assert_ptr_nonnull(strstr(e.detail, "llm.requests, partition 2: the record at offset 149"));
    ck_assert_ptr_null(instance_task(in, 2));
}
END_TEST

START_TEST(another_log_found_in_the_replay_is_begun_at_its_end_where_loss_is_accepted)
{
    // The last record consumed was at 149, P is 150.
    static const struct {
        int64_t high, from;
    } ends[] = {{200, 149}, {150, 149}, {149, 150}, {140, 149}};
    config.accept_loss = true;
    make_again();
    ck_assert_int_eq(feed_another_log(ends[_i].high), START_LOSSY);
    ck_assert_int_eq(task_next_offset(instance_task(in, 2), EVENT_REQUEST), ends[_i].high);
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    ck_assert_int_eq(store.partitions[0].gap[0].from, ends[_i].from);
    ck_assert_int_eq(store.partitions[0].gap[0].to, ends[_i].high);
    ck_assert_int_eq(store.partitions[0].gap[1].from, store.partitions[0].gap[1].to);
}
END_TEST

// Replays up to P at 150 and 750. Of one topic the reader has reached the end at 140, of the other
// it stands at `reads`, at its end there or not.
static const struct {
    int64_t reads;
    bool at_end;
    int64_t high[2]; // now
    int rc;
} replays[] = {
    {740, false, {150, 800}, START_WHOLE}, // more is coming, or was on its way
    {740, false, {150, 750}, START_WHOLE},
    {740, false, {149, 800}, START_LOSSY},
    {740, false, {140, 750}, START_LOSSY},
    {740, false, {139, 750}, START_AGAIN}, // the reader stands beyond
    {740, false, {140, 749}, START_AGAIN}, // and may hold what was cut off
    {740, true, {140, 749}, START_LOSSY},
    {740, true, {140, 740}, START_LOSSY},
    {740, true, {140, 739}, START_AGAIN},
};

static void replay_to(int64_t requests, int64_t responses)
{
    const int64_t to[2] = {requests, responses};
    for (int k = 0; k < 2; k++) {
        struct task_record r = {.topic = k, .offset = to[k] - 1, .time_ms = T0, .tick = true};
        ck_assert_int_eq(instance_feed(in, 2, &r, T0), FEED_TAKEN);
    }
}

START_TEST(a_log_that_ends_in_the_replay_is_judged_where_the_reader_stands)
{
    int64_t from[2];
    bool accepts = _i % 2;
    struct log_ends both[2];
    config.accept_loss = accepts;
    make_again();
    ends_of(0, (struct log_ends){0, 200}, both);
    store_position(110, 150);
    ck_assert_int_eq(start_at(both, from), START_WHOLE);
    replay_to(140, replays[_i / 2].reads);
    if (replays[_i / 2].at_end)
        instance_at_end(in, 2, EVENT_RESPONSE, replays[_i / 2].reads);
    ck_assert(!instance_is_doubtful(in, 2) || replays[_i / 2].at_end);
    instance_at_end(in, 2, EVENT_REQUEST, 140);
    ck_assert(instance_is_doubtful(in, 2));
    for (int k = 0; k < 2; k++)
        both[k].high = replays[_i / 2].high[k];
    int rc = replays[_i / 2].rc == START_LOSSY && !accepts ? START_HALTED : replays[_i / 2].rc;
    ck_assert_int_eq(instance_judge(in, 2, both, T0, &e), rc);
    ck_assert_int_eq(instance_is_halted(in, 2), rc == START_HALTED);
    ck_assert_int_eq(instance_is_doubtful(in, 2), rc == START_WHOLE || rc == START_AGAIN);
    if (rc == START_HALTED) {
        ck_assert_ptr_nonnull(strstr(e.detail, "llm.requests, partition 2: consumed up to"));
        ck_assert_ptr_nonnull(strstr(e.detail, "ACCEPT_LOSS=1"));
    }
    if (rc != START_LOSSY)
        return;
    ck_assert(task_is_live(instance_task(in, 2)));
    for (int k = 0; k < 2; k++)
        ck_assert_int_eq(task_next_offset(instance_task(in, 2), k),
                         min_i64(both[k].high, 150 + 600 * k));
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    ck_assert_int_eq(store.partitions[0].gap[0].from, 150);
    ck_assert_int_eq(store.partitions[0].gap[0].to, both[0].high);
}
END_TEST

START_TEST(a_record_behind_the_end_dispels_the_doubt)
{
    int64_t from[2];
    struct log_ends both[2];
    ends_of(0, (struct log_ends){0, 200}, both);
    store_position(110, 150);
    ck_assert_int_eq(start_at(both, from), START_WHOLE);
    instance_at_end(in, 2, EVENT_REQUEST, 149);
    ck_assert(instance_is_doubtful(in, 2));
    replay_to(141, 741);
    ck_assert(!instance_is_doubtful(in, 2));
    instance_at_end(in, 2, EVENT_REQUEST, 150); // what is missing is a gap of offsets
    ck_assert(!instance_is_doubtful(in, 2));
    ck_assert_int_eq(task_next_offset(instance_task(in, 2), EVENT_REQUEST), 150);
}
END_TEST

START_TEST(another_log_found_in_the_replay_is_judged_where_the_reader_stands)
{
    config.accept_loss = true;
    make_again();
    ck_assert_int_eq(find_another_log(), FEED_MISMATCH);
    ck_assert(instance_is_doubtful(in, 2));
    ck_assert_int_eq(instance_judge(in, 2, (struct log_ends[]){{0, 200}, {600, 800}}, T0, &e),
                     START_LOSSY);
    ck_assert(!instance_is_halted(in, 2));
    ck_assert(!instance_is_doubtful(in, 2));
    // What the reader brings of the log that was given up, and of what lies before P.
    struct task_record r = {.topic = EVENT_REQUEST, .offset = 199, .time_ms = T0, .tick = true};
    ck_assert_int_eq(instance_feed(in, 2, &r, T0), FEED_SKIPPED);
    r.offset = 200;
    ck_assert_int_eq(instance_feed(in, 2, &r, T0), FEED_TAKEN);
    r = (struct task_record){.topic = EVENT_RESPONSE, .offset = 749, .time_ms = T0, .tick = true};
    ck_assert_int_eq(instance_feed(in, 2, &r, T0), FEED_SKIPPED);
}
END_TEST

START_TEST(another_log_that_was_accepted_is_the_log_from_then_on)
{
    int64_t from[2];
    config.accept_loss = true;
    make_again();
    ck_assert_int_eq(feed_another_log(200), START_LOSSY);
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    store.claim.flush_seq++;
    store_position(200, 200);
    instance_halt(in, 2, "for another reason");
    instance_park(in);
    // What has come meanwhile is read, not jumped over once more.
    ck_assert_int_eq(start_at((struct log_ends[]){{90, 210}, {690, 800}}, from), START_WHOLE);
    ck_assert_int_eq(from[EVENT_REQUEST], 200);
}
END_TEST

START_TEST(a_halted_partition_is_flushed_and_not_ticked_and_the_others_go_on)
{
    own(1);
    own(2);
    give(2, "a");
    instance_halt(in, 2, "llm.requests, partition 2: is gone");
    ck_assert(instance_is_halted(in, 2));
    ck_assert(!instance_is_halted(in, 1));
    give(1, "b");
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    ck_assert_int_eq(store.requests, 2);
    store.closing = (struct store_closing){T0 + 1000, {T0, T0}};
    ck_assert_int_eq(instance_read_closing(in, T0 + 1000, &e), STORE_OK);
    for (int p = 1; p <= 2; p++)
        instance_at_end(in, p, EVENT_REQUEST, logs[0].next);
    buf_clear(&trace);
    instance_tick(in, T0 + 2000);
    expect_trace("tick 0/1;");
    struct instance_condition c;
    instance_condition(in, &c);
    ck_assert_uint_eq(c.owned, 2);
    ck_assert_uint_eq(c.halted, 1);
    ck_assert_uint_eq(c.degraded, 0);
    ck_assert_str_eq(c.why, "llm.requests, partition 2: is gone");
    instance_update_gauges(in);
    ck_assert_int_eq(stats.tasks, 1);
    ck_assert_int_eq(stats.tasks_halted, 1);
    instance_halt_all(in, "all are");
    instance_condition(in, &c);
    ck_assert_uint_eq(c.halted, 2);
    ck_assert_str_eq(c.why, "all are");
}
END_TEST

START_TEST(a_halted_partition_begins_anew_from_the_database)
{
    int64_t from[2];
    own(2);
    give(2, "a");
    instance_halt(in, 2, "why");
    instance_park(in);
    store.claim.kept = true;
    store_position(110, 150);
    ck_assert_int_eq(start_at(LOG_ENDS, from), START_WHOLE);
    ck_assert(!instance_is_halted(in, 2));
    ck_assert_int_eq(from[0], 110);
    ck_assert(!task_is_live(instance_task(in, 2)));
}
END_TEST

START_TEST(a_kept_task_is_void_where_its_log_no_longer_holds_its_place)
{
    // It stands at 101 and 690.
    static const struct {
        struct log_ends ends;
        bool kept;
    } cases[] = {{{101, 101}, true}, {{102, 200}, false}, {{0, 100}, false}};
    int64_t from[2];
    own(2);
    give(2, "a");
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    instance_park(in);
    store.claim.kept = true;
    store.claim.flush_seq = 42;
    store_position(90, 101);
    store.claim.position.log[1].next = store.claim.position.log[1].replay = 690;
    enum instance_start rc = start_at((struct log_ends[]){cases[_i].ends, {690, 900}}, from);
    ck_assert_int_eq(rc, cases[_i].kept ? START_WHOLE : START_HALTED);
    ck_assert_int_eq(from[0], cases[_i].kept ? 101 : NOWHERE);
}
END_TEST

START_TEST(memory_that_the_database_was_set_back_behind_is_void)
{
    own(2);
    give(2, "a");
    ck_assert(instance_flush_begin(in));
    ck_assert_int_eq(flush_all(), FLUSH_DONE);
    instance_park(in);
    store.claim.kept = true;
    store.claim.flush_seq = 42 - _i;
    own(2);
    ck_assert_int_eq(stats.tasks_kept, 1 - _i);
    ck_assert_int_eq(stats.claims, 1 + _i);
    ck_assert_int_eq(task_next_offset(instance_task(in, 2), EVENT_REQUEST), _i ? 90 : 101);
}
END_TEST

// Its ring has a step of D / 256.
START_TEST(degraded_until_a_replay_would_no_longer_reach_what_is_gone)
{
    int64_t from[2], time_ms = T0;
    struct instance_condition c;
    struct log_ends both[2];
    ends_of(0, (struct log_ends){120, 200}, both);
    store_position(110, 150);
    ck_assert_int_eq(start_at(both, from), START_DEGRADED);
    for (int n = 0;; n++) {
        for (int k = 0; k < 2; k++) {
            struct task_record r = {.topic = k,
                                    .offset = task_next_offset(instance_task(in, 2), k),
                                    .time_ms = time_ms,
                                    .tick = true};
            int rc = instance_feed(in, 2, &r, time_ms);
            ck_assert(rc == FEED_TAKEN || (rc == FEED_HOLD && n < 40)); // replaying
        }
        if (task_is_live(instance_task(in, 2)))
            time_ms += D / 8;
        if (instance_flush_begin(in))
            ck_assert_int_eq(flush_all(), FLUSH_DONE);
        instance_condition(in, &c);
        const struct log_position *at = &store.partitions[0].position.log[0];
        bool lacks = store.partition_count == 0 || at->replay < 120;
        ck_assert_uint_eq(c.degraded, lacks);
        ck_assert(c.degraded == 0 || c.first_degraded == 2);
        instance_update_gauges(in);
        ck_assert_int_eq(stats.tasks_degraded, lacks);
        if (!lacks)
            break;
        ck_assert_int_lt(n, 200);
        if (store.partition_count)
            ck_assert_int_eq(at->replay, 110); // so that another owner knows too
    }
    ck_assert_int_gt(time_ms, T0 + 2 * D);
}
END_TEST

START_TEST(a_partition_that_waits_for_a_clock_is_halted_and_goes_on_by_itself)
{
    struct instance_condition c;
    own(2);
    const struct logged *r = append_ask(5000, "a", "");
    ck_assert_int_eq(offer(2, r, 5000 - SKEW - 1), FEED_AHEAD);
    instance_condition(in, &c);
    ck_assert_uint_eq(c.halted, 1);
    ck_assert_ptr_nonnull(strstr(c.why, "partition 2: the broker's clock"));
    ck_assert_ptr_nonnull(strstr(c.why, "ACCEPT_CLOCK_AHEAD=1"));
    ck_assert_ptr_nonnull(strstr(c.why, "b1:9092,b2:9092"));
    ck_assert(!instance_is_halted(in, 2)); // it is offered again
    ck_assert_int_eq(offer(2, r, 5000 - SKEW), FEED_TAKEN);
    instance_condition(in, &c);
    ck_assert_uint_eq(c.halted, 0);
    config.accept_clock_ahead = true;
    make_again();
    own(2);
    ck_assert_int_eq(offer(2, append_ask(9000, "b", ""), 0), FEED_TAKEN);
}
END_TEST

static void add_all(TCase *tc)
{
    tcase_add_loop_test(tc, a_stored_position_is_held_against_the_ends_of_the_log, 0,
                        2 * ARRAY_LEN(stored_logs));
    tcase_add_loop_test(tc, with_accept_loss_it_goes_on_and_notes_the_gap, 0,
                        2 * ARRAY_LEN(stored_logs));
    tcase_add_test(tc, a_gap_ends_with_the_first_record_behind_it);
    tcase_add_test(tc, another_log_found_in_the_replay_halts_at_the_next_start_too);
    tcase_add_loop_test(
        tc, another_log_found_in_the_replay_is_begun_at_its_end_where_loss_is_accepted, 0, 4);
    tcase_add_loop_test(tc, a_log_that_ends_in_the_replay_is_judged_where_the_reader_stands, 0,
                        2 * (int)ARRAY_LEN(replays));
    tcase_add_test(tc, a_record_behind_the_end_dispels_the_doubt);
    tcase_add_test(tc, another_log_found_in_the_replay_is_judged_where_the_reader_stands);
    tcase_add_test(tc, another_log_that_was_accepted_is_the_log_from_then_on);
    tcase_add_test(tc, a_halted_partition_is_flushed_and_not_ticked_and_the_others_go_on);
    tcase_add_test(tc, a_halted_partition_begins_anew_from_the_database);
    tcase_add_loop_test(tc, a_kept_task_is_void_where_its_log_no_longer_holds_its_place, 0, 3);
    tcase_add_loop_test(tc, memory_that_the_database_was_set_back_behind_is_void, 0, 2);
    tcase_add_test(tc, degraded_until_a_replay_would_no_longer_reach_what_is_gone);
    tcase_add_test(tc, a_partition_that_waits_for_a_clock_is_halted_and_goes_on_by_itself);
}

int main(void)
{
    TCase *tc = tcase_create("instance_halting");
    tcase_add_checked_fixture(tc, make, clear);
    add_all(tc);
    Suite *suite = suite_create("instance_halting");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
