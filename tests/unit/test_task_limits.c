// SPDX-License-Identifier: Apache-2.0
// The limits of a task, each at its limit: what is taken, what is refused untouched, what is
// counted, and that a replay never needs more room than the task had that it replays.
#include "tests/unit/task_case.h"

#define REJECTED "poison"

// ---- MAX_JOINS ----

START_TEST(full_of_requests_it_takes_ticks_and_the_other_topic_alone)
{
    limits.max_joins = 2;
    remake_task();
    ask(0, "a", "");
    ask(0, "b", "");
    ck_assert(!task_is_full(task));
    const struct logged *third = append_ask(1, "c", "");
    for (int i = 0; i < 3; i++) // offered in vain
        ck_assert_int_eq(feed_to(task, EVENT_REQUEST, third), FEED_FULL);
    ck_assert(task_is_full(task));
    ck_assert_int_eq(stats.full_of_joins, 1);
    ck_assert_int_eq(task_next_offset(task, EVENT_REQUEST), third->offset);
    ck_assert_int_eq(task_time_ms(task, EVENT_REQUEST), T0); // not touched in any way
    answer(5, "a", "");
    take(EVENT_REQUEST, third);
    ck_assert(!task_is_full(task));
    tick(EVENT_REQUEST, 2);
    ck_assert_int_eq(feed_to(task, EVENT_REQUEST, append_ask(3, "d", "")), FEED_FULL);
    ck_assert_int_eq(stats.full_of_joins, 2);
    ck_assert_int_eq(facts_now()->requests, 3);
}
END_TEST

START_TEST(full_of_answers_it_goes_on_once_requests_have_come)
{
    limits.max_joins = 2;
    remake_task();
    size_t empty = task_join_bytes(task);
    answer(0, "a", "");
    answer(0, "b", ",\"finish_reason\":\"a value that takes room\"");
    ck_assert_uint_gt(task_join_bytes(task), empty + 100); // answers are kept whole
    size_t two = task_join_bytes(task);
    const struct logged *third = append_answer(1, "c", "");
    ck_assert_int_eq(feed_to(task, EVENT_RESPONSE, third), FEED_FULL);
    ck_assert_int_eq(stats.full_of_joins, 1);
    ask(5, "b", "");
    ck_assert_uint_lt(task_join_bytes(task), two);
    take(EVENT_RESPONSE, third);
    // The two that wait run out once requests have passed them.
    tick(EVENT_REQUEST, SKEW + 2);
    ck_assert_int_eq(stats.unmatched, 2);
    ck_assert_int_eq(facts_now()->responses, 1);
}
END_TEST

// Deterministic, from the loop's number.
static uint64_t state;
static int below(int n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((state >> 33) % (uint64_t)n);
}

#define RECORDS 400

// Logs in which more wait than there is room for, unless both topics are read in step.
static void make_logs(void)
{
    int at_ms[2] = {0, 0};
    for (int i = 0; i < RECORDS; i++) {
        int kind = below(2);
        char id[16];
        snprintf(id, sizeof(id), "%d", i / 4 + below(8));
        at_ms[kind] += below(200);
        if (kind == EVENT_REQUEST)
            append_ask(at_ms[kind], id, "");
        else
            append_answer(at_ms[kind], id, "");
    }
}

// Reads both logs in any order until nothing more can be taken, or `stop` says so; how many records
// were taken.
static int read_at_random(struct task *t, int most)
{
    int taken = 0;
    bool stuck[2] = {false, false};
    while (taken < most && !(stuck[0] && stuck[1])) {
        int k = below(2);
        size_t i = (size_t)(task_next_offset(t, k) - logs[k].v[0].offset);
        enum task_feed rc = i < logs[k].n ? feed_to(t, k, &logs[k].v[i]) : FEED_HOLD;
        ck_assert_int_ne(rc, FEED_MISMATCH);
        stuck[k] = rc != FEED_TAKEN;
        if (rc == FEED_TAKEN) {
            stuck[1 - k] = false;
            taken++;
        }
    }
    return taken;
}

// Else a partition that had come to its limit could not be taken over.
START_TEST(a_replay_has_room_enough_whatever_the_order)
{
    state = (uint64_t)_i + 1;
    limits.max_joins = 1 + (size_t)below(6);
    make_logs();
    struct task *first = task_new(3, &limits, &settings, &env,
                                  (int64_t[]){logs[0].v[0].offset, logs[1].v[0].offset});
    read_at_random(first, 1 + below(RECORDS));
    struct position at;
    task_position(first, &at);
    for (int i = 0; i < 5; i++) {
        struct task *second = task_new_at(3, &limits, &settings, &env, &at);
        read_at_random(second, task_is_live(second) ? 0 : 2 * RECORDS);
        ck_assert(task_is_live(second));
        ck_assert_int_ge(task_next_offset(second, 0), at.log[0].next);
        ck_assert_int_ge(task_next_offset(second, 1), at.log[1].next);
        task_free(second);
    }
    task_free(first);
}
END_TEST

// ---- MAX_DELTA_CELLS ----

START_TEST(deltas_at_their_limit_ask_for_a_flush)
{
    limits.max_cells = 2;
    remake_task();
    ask(0, "a", "");
    ask(0, "b", ""); // the same series and minute
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 0, "c", NULL,
                                     "\"timestamp\":1795241640000,\"tenant_id\":\"t\",\"route\":"
                                     "\"/r\",\"model\":\"other\""));
    ck_assert_int_eq(stats.full_of_cells, 0);
    const struct logged *r = append_ask(1, "d", "");
    ck_assert_int_eq(feed_to(task, EVENT_REQUEST, r), FEED_FLUSH);
    ck_assert_int_eq(stats.full_of_cells, 1);
    ck_assert_int_eq(task_next_offset(task, EVENT_REQUEST), r->offset);
    flushed(task);
    take(EVENT_REQUEST, r);
    ck_assert_int_eq(facts_now()->requests, 1);
    ck_assert_int_eq(stats.full_of_cells, 1);
    ck_assert_int_eq(stats.full_of_letters, 0);
}
END_TEST

START_TEST(tasks_share_the_limits_of_what_a_flush_takes)
{
    limits.max_cells = 2;
    limits.max_dead_letters = 1;
    remake_task();
    struct task *other = task_new(4, &limits, &settings, &env, (int64_t[]){0, 0});
    ask(0, "a", "");
    const struct logged *r = append_ask(60000, "b", "");
    ck_assert_int_eq(feed_to(other, EVENT_REQUEST, r), FEED_TAKEN);
    const struct logged *poison = append(EVENT_REQUEST, 60000, "c", NULL, REJECTED);
    ck_assert_int_eq(feed_to(other, EVENT_REQUEST, poison), FEED_FLUSH);
    ck_assert_int_eq(feed_to(task, EVENT_REQUEST, poison), FEED_FLUSH);
    flushed(other);
    take(EVENT_REQUEST, poison);
    ck_assert_int_eq(feed_to(other, EVENT_REQUEST, poison), FEED_FLUSH); // for the letter
    ck_assert_int_eq(stats.full_of_cells, 2);
    ck_assert_int_eq(stats.full_of_letters, 1);
    // What is dropped makes room as well.
    remake_task();
    ck_assert_int_eq(feed_to(other, EVENT_REQUEST, poison), FEED_TAKEN);
    task_free(other);
}
END_TEST

// ---- MAX_DEAD_LETTERS ----

START_TEST(dead_letters_at_their_limit_ask_for_a_flush)
{
    limits.max_dead_letters = 2;
    remake_task();
    take(EVENT_RESPONSE, append(EVENT_RESPONSE, 0, "a", NULL, REJECTED));
    take(EVENT_RESPONSE, append(EVENT_RESPONSE, 0, "b", NULL, REJECTED));
    const struct logged *r = append_ask(1, "c", "");
    ck_assert_int_eq(feed_to(task, EVENT_REQUEST, r), FEED_FLUSH);
    ck_assert_int_eq(stats.full_of_letters, 1);
    flushed(task);
    ck_assert_uint_eq(letter_count(), 0);
    take(EVENT_REQUEST, r);
    ck_assert_int_eq(stats.full_of_letters, 1);
    ck_assert_int_eq(stats.full_of_cells, 0);
}
END_TEST

START_TEST(dead_letters_are_few_where_their_keys_or_values_are_large)
{
    char *large = xmalloc((1u << 20) + 1);
    memset(large, 'x', 1u << 20);
    large[1u << 20] = '\0';
    for (int in_key = 0; in_key < 2; in_key++) {
        for (int i = 0; i < 16; i++)
            take(EVENT_RESPONSE,
                 append(EVENT_RESPONSE, 0, in_key ? large : "a", NULL, in_key ? REJECTED : large));
        const struct logged *r = append_ask(1, "c", "");
        ck_assert_int_eq(feed_to(task, EVENT_REQUEST, r), FEED_FLUSH);
        ck_assert_int_eq(stats.full_of_letters, 1 + in_key);
        ck_assert_uint_eq(letter_count(), 16);
        flushed(task);
        ck_assert_uint_eq(load.bytes, 0);
        take(EVENT_REQUEST, r);
    }
    free(large);
}
END_TEST

static Suite *limits_suite(void)
{
    Suite *s = suite_create("task_limits");
    TCase *c = tcase_create("task_limits");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, make_env, free_env);
    const TTest *const tests[] = {
        full_of_requests_it_takes_ticks_and_the_other_topic_alone,
        full_of_answers_it_goes_on_once_requests_have_come,
        deltas_at_their_limit_ask_for_a_flush,
        tasks_share_the_limits_of_what_a_flush_takes,
        dead_letters_at_their_limit_ask_for_a_flush,
        dead_letters_are_few_where_their_keys_or_values_are_large,
    };
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(c, tests[i]);
    tcase_add_loop_test(c, a_replay_has_room_enough_whatever_the_order, 0, 300);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(limits_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
