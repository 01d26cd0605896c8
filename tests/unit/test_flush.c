// SPDX-License-Identifier: Apache-2.0
// One flush over scripted seams: in which order its effects come, and what each answer leads to.
#include "processor/flush.h"

#include "tests/support/fake_emit.h"
#include "tests/support/fake_store_script.h"
#include "tests/unit/task_case.h"

static struct buf trace;
static struct store store;
static struct emit emit;
static struct flush flush;
static struct err e;

static void make(void)
{
    make_env();
    trace = (struct buf){0};
    store = (struct store){.trace = &trace};
    emit = (struct emit){.trace = &trace, .room = FAKE_EMIT_MAX};
    flush = (struct flush){0};
}

static void clear(void)
{
    flush_clear(&flush);
    buf_free(&trace);
    free_env();
}

static void start(void)
{
    flush_start(&flush, &(struct flush_member){.task = task, .epoch = 9, .flush_seq = 41}, 1,
                env.deltas);
}

static void expect_step(enum flush_result want)
{
    ck_assert_int_eq(flush_step(&flush, &store, &emit, &stats, &e), want);
}

// Steps until the flush is over or has waited `waits` times.
static enum flush_result step_on(int waits)
{
    for (int i = 0; i < 100; i++) {
        enum flush_result rc = flush_step(&flush, &store, &emit, &stats, &e);
        if (rc != FLUSH_AGAIN && (rc != FLUSH_WAIT || waits-- == 0))
            return rc;
    }
    ck_abort_msg("the flush does not end");
}

static void expect_trace(const char *want)
{
    buf_addc(&trace, '\0');
    ck_assert_str_eq(trace.p, want);
    buf_clear(&trace);
}

static void poison(int n)
{
    for (int i = 0; i < n; i++)
        take(EVENT_RESPONSE, append(EVENT_RESPONSE, 0, "k", NULL, "poison"));
}

START_TEST(one_effect_a_step_in_order)
{
    ask(0, "a", "");
    start();
    static const enum flush_state states[] = {FLUSH_LETTERS, FLUSH_WRITE, FLUSH_COMMIT};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        expect_step(FLUSH_AGAIN);
        ck_assert_int_eq(flush.state, states[i]);
    }
    expect_step(FLUSH_DONE);
    expect_trace("begin;wait;write;commit;");
    ck_assert_int_eq(stats.flushes, 1);
    ck_assert_int_eq(stats.flushed_rows, 1);
}
END_TEST

START_TEST(writes_deltas_position_and_fence_of_each_partition)
{
    ask(0, "a", "");
    ask(60000, "b", "");
    struct task *other = task_new(5, &limits, &settings, &env, (int64_t[]){0, 0});
    ck_assert_int_eq(feed_to(other, EVENT_REQUEST, append_ask(0, "c", "")), FEED_TAKEN);
    flush_start(&flush,
                (struct flush_member[]){{.task = task, .epoch = 9, .flush_seq = 41},
                                        {.task = other, .epoch = 4, .flush_seq = 7}},
                2, env.deltas);
    ck_assert_int_eq(step_on(0), FLUSH_DONE);
    ck_assert_uint_eq(store.cell_count, 2); // of both tasks, one a row
    ck_assert_int_eq(store.requests, 3);
    ck_assert_uint_eq(store.partition_count, 2);
    ck_assert_int_eq(store.partitions[0].partition, 3);
    ck_assert_int_eq(store.partitions[0].epoch, 9);
    ck_assert_int_eq(store.partitions[0].flush_seq, 41);
    ck_assert_int_eq(store.partitions[0].position.log[0].next, 102);
    ck_assert_int_eq(store.partitions[0].position.log[0].time_ms, T0 + 60000);
    ck_assert_int_eq(store.partitions[1].partition, 5);
    ck_assert_int_eq(store.partitions[1].flush_seq, 7);
    task_free(other);
}
END_TEST

START_TEST(dead_letters_are_acknowledged_behind_the_fence_and_before_the_rows)
{
    poison(3);
    emit.wait_count = 2;
    emit.waits[0] = emit.waits[1] = 1; // not yet
    start();
    for (int i = 0; i < 2; i++) { // the rows are not held meanwhile
        expect_step(FLUSH_AGAIN);
        expect_step(FLUSH_WAIT);
        ck_assert_int_eq(flush.state, FLUSH_BEGIN);
    }
    ck_assert_int_eq(step_on(0), FLUSH_DONE);
    expect_trace("begin;letter 700;letter 701;letter 702;wait;abort;begin;wait;abort;"
                 "begin;wait;write;commit;");
}
END_TEST

// Whoever was fenced may have judged records by settings that no longer hold.
START_TEST(who_is_fenced_sends_no_letter)
{
    poison(2);
    fake_store_then(&store, FAKE_BEGIN, STORE_FENCED);
    start();
    expect_step(FLUSH_FENCED);
    expect_trace("begin;");
}
END_TEST

START_TEST(letters_that_failed_are_handed_in_again)
{
    poison(2);
    emit.wait_count = 1;
    emit.waits[0] = -1;
    start();
    ck_assert_int_eq(step_on(0), FLUSH_WAIT);
    ck_assert_str_ne(e.detail, "");
    ck_assert_int_eq(step_on(0), FLUSH_DONE);
    expect_trace("begin;letter 700;letter 701;wait;abort;"
                 "begin;letter 700;letter 701;wait;write;commit;");
}
END_TEST

START_TEST(more_letters_than_the_queue_takes_go_in_turns)
{
    poison(5);
    emit.room = 2;
    start();
    ck_assert_int_eq(step_on(10), FLUSH_DONE);
    expect_trace("begin;letter 700;letter 701;wait;letter 702;letter 703;wait;letter 704;wait;"
                 "write;commit;");
}
END_TEST

// The failure is told once, wherever the flush happens to ask.
START_TEST(letters_that_failed_while_the_queue_was_full_are_handed_in_again)
{
    poison(3);
    emit.room = 2;
    emit.wait_count = 1;
    emit.waits[0] = -1;
    start();
    ck_assert_int_eq(step_on(10), FLUSH_DONE);
    expect_trace("begin;letter 700;letter 701;wait;abort;"
                 "begin;letter 700;letter 701;wait;letter 702;wait;write;commit;");
}
END_TEST

static const struct {
    enum fake_call call;
    const char *trace;
} retries[] = {
    {FAKE_BEGIN, "begin;begin;wait;write;commit;"},
    {FAKE_WRITE, "begin;wait;write;begin;wait;write;commit;"},
    {FAKE_COMMIT, "begin;wait;write;commit;begin;wait;write;commit;"},
};

START_TEST(begins_anew_with_the_same_deltas_where_nothing_was_applied)
{
    ask(0, "a", "");
    fake_store_then(&store, retries[_i].call, STORE_RETRY);
    start();
    ck_assert_int_eq(step_on(0), FLUSH_WAIT);
    ck_assert_int_eq(flush.state, FLUSH_BEGIN);
    ck_assert_int_eq(stats.flush_retries, 1);
    ck_assert_int_eq(step_on(0), FLUSH_DONE);
    expect_trace(retries[_i].trace);
    ck_assert_int_eq(store.requests, 1);
    ck_assert_int_eq(store.partitions[0].flush_seq, 41);
}
END_TEST

START_TEST(an_unknown_commit_is_resolved_and_never_sent_again_before)
{
    fake_store_then(&store, FAKE_COMMIT, STORE_UNKNOWN);
    fake_store_then(&store, FAKE_RESOLVE, STORE_UNKNOWN);
    fake_store_then(&store, FAKE_RESOLVE, STORE_UNKNOWN);
    fake_store_then(&store, FAKE_RESOLVE, STORE_OK);
    start();
    ck_assert_int_eq(step_on(0), FLUSH_WAIT);
    ck_assert_int_eq(flush.state, FLUSH_RESOLVE);
    expect_step(FLUSH_WAIT);
    expect_step(FLUSH_WAIT);
    expect_step(FLUSH_DONE);
    expect_trace("begin;wait;write;commit;resolve;resolve;resolve;");
    ck_assert_int_eq(stats.flush_unknown, 1);
    ck_assert_int_eq(stats.flushes, 1);
}
END_TEST

START_TEST(a_commit_that_turns_out_not_to_be_in_is_begun_anew)
{
    fake_store_then(&store, FAKE_COMMIT, STORE_UNKNOWN);
    fake_store_then(&store, FAKE_RESOLVE, STORE_RETRY);
    start();
    ck_assert_int_eq(step_on(2), FLUSH_DONE);
    expect_trace("begin;wait;write;commit;resolve;begin;wait;write;commit;");
    ck_assert_int_eq(stats.flush_retries, 1);
    ck_assert_int_eq(stats.flushes, 1);
}
END_TEST

static const struct {
    enum fake_call call;
    enum store_result result;
    enum flush_result want;
} ends[] = {
    {FAKE_BEGIN, STORE_FENCED, FLUSH_FENCED},   {FAKE_WRITE, STORE_FENCED, FLUSH_FENCED},
    {FAKE_RESOLVE, STORE_FENCED, FLUSH_FENCED}, {FAKE_BEGIN, STORE_FATAL, FLUSH_FATAL},
    {FAKE_WRITE, STORE_FATAL, FLUSH_FATAL},     {FAKE_COMMIT, STORE_FATAL, FLUSH_FATAL},
    {FAKE_RESOLVE, STORE_FATAL, FLUSH_FATAL},
};

START_TEST(fenced_and_fatal_end_it)
{
    fake_store_then(&store, ends[_i].call, ends[_i].result);
    if (ends[_i].call == FAKE_RESOLVE)
        fake_store_then(&store, FAKE_COMMIT, STORE_UNKNOWN);
    start();
    ck_assert_int_eq(step_on(1), ends[_i].want);
    ck_assert_int_eq(stats.flushes, 0);
    ck_assert_int_eq(stats.flush_fenced, ends[_i].want == FLUSH_FENCED);
    ck_assert_str_eq(e.detail, "by the script");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("flush");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, one_effect_a_step_in_order);
    tcase_add_test(tc, writes_deltas_position_and_fence_of_each_partition);
    tcase_add_test(tc, dead_letters_are_acknowledged_behind_the_fence_and_before_the_rows);
    tcase_add_test(tc, who_is_fenced_sends_no_letter);
    tcase_add_test(tc, letters_that_failed_are_handed_in_again);
    tcase_add_test(tc, more_letters_than_the_queue_takes_go_in_turns);
    tcase_add_test(tc, letters_that_failed_while_the_queue_was_full_are_handed_in_again);
    tcase_add_loop_test(tc, begins_anew_with_the_same_deltas_where_nothing_was_applied, 0,
                        ARRAY_LEN(retries));
    tcase_add_test(tc, an_unknown_commit_is_resolved_and_never_sent_again_before);
    tcase_add_test(tc, a_commit_that_turns_out_not_to_be_in_is_begun_anew);
    tcase_add_loop_test(tc, fenced_and_fatal_end_it, 0, ARRAY_LEN(ends));
    Suite *suite = suite_create("flush");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
