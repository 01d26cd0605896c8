// SPDX-License-Identifier: Apache-2.0
// Where a task stands and how it comes back there: positions, replay and its barrier; and what
// nudges it: the choice of the topic, ticks.
#include "tests/unit/task_replay_case.h"

// ---- replay, step by step ----

static const struct logged *at_offset(enum event_kind kind, int64_t offset)
{
    for (size_t i = 0; i < logs[kind].n; i++)
        if (logs[kind].v[i].offset == offset)
            return &logs[kind].v[i];
    ck_abort_msg("no record at offset %lld", (long long)offset);
}

START_TEST(replay_is_muted_up_to_the_barrier_and_live_behind_it)
{
    ask(0, "a", ",\"prompt_tokens\":5");
    ask(10, "b", "");
    take(EVENT_REQUEST, append(EVENT_REQUEST, 11, "x", NULL, "poison"));
    answer(20, "b", "");
    tick(EVENT_RESPONSE, 30);
    struct position p = position_now();
    const struct logged *late = append_answer(40, "a", "");
    const struct logged *beyond = append_ask(50, "c", "");
    take_over(&p);
    ck_assert(!task_is_live(task));
    for (int64_t offset = p.log[0].replay; offset < p.log[0].next; offset++)
        take(EVENT_REQUEST, at_offset(EVENT_REQUEST, offset));
    ck_assert_int_eq(feed_to(task, EVENT_REQUEST, beyond), FEED_HOLD);
    ck_assert_int_eq(task_next_offset(task, EVENT_REQUEST), p.log[0].next);
    for (int64_t offset = p.log[1].replay; offset < p.log[1].next; offset++) {
        ck_assert(!task_is_live(task));
        take(EVENT_RESPONSE, at_offset(EVENT_RESPONSE, offset));
    }
    ck_assert(task_is_live(task));
    ck_assert_int_eq(stats.replayed_records, 5);
    ck_assert_int_eq(stats.requests + stats.responses + stats.malformed + stats.ticks, 0);
    ck_assert_uint_eq(window_count(env.deltas), 0);
    ck_assert_uint_eq(letter_count(), 0);
    // The open request is known again, so its answer is counted, once, as an addition.
    take(EVENT_REQUEST, beyond);
    take(EVENT_RESPONSE, late);
    ck_assert_int_eq(facts_now()->requests, 1); // c
    ck_assert_int_eq(facts_now()->responses, 1);
    ck_assert_int_eq(prompt_tokens_now(), 5);
    ck_assert_int_eq(stats.replayed_records, 5);
}
END_TEST

START_TEST(what_expires_during_a_replay_is_not_counted_again)
{
    ask(0, "a", "");
    answer(0, "z", "");
    tick(EVENT_REQUEST, SKEW + 1);
    tick(EVENT_RESPONSE, TTL + 1);
    ck_assert_int_eq(facts_now()->unanswered, 1);
    ck_assert_uint_eq(letter_count(), 1);
    struct position p = position_now();
    take_over(&p);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < logs[k].n; i++)
            take(k, &logs[k].v[i]);
    ck_assert(task_is_live(task));
    ck_assert_int_eq(stats.unanswered + stats.unmatched, 0);
    ck_assert_uint_eq(window_count(env.deltas), 0);
    ck_assert_uint_eq(letter_count(), 0);
    ck_assert_uint_eq(join_waiting_count(task_join(task), 0), 0);
}
END_TEST

START_TEST(a_gap_of_offsets_at_the_barrier_does_not_hold_it_for_ever)
{
    ask(0, "a", "");
    logs[0].next += 4; // as a transaction's marker leaves it
    answer(0, "b", "");
    struct position p = position_now();
    p.log[0].next += 2; // stored by one who knew of the gap's first half
    const struct logged *next[2] = {append_ask(10, "b", ""), append_answer(10, "a", "")};
    take_over(&p);
    take(EVENT_REQUEST, &logs[0].v[0]);
    ck_assert_int_eq(feed_to(task, EVENT_REQUEST, next[0]), FEED_HOLD);
    take(EVENT_RESPONSE, &logs[1].v[0]);
    ck_assert(task_is_live(task));
    take(EVENT_REQUEST, next[0]);
    take(EVENT_RESPONSE, next[1]);
    ck_assert_int_eq(facts_now()->responses, 2);
}
END_TEST

START_TEST(an_end_of_the_log_at_the_barrier_is_arrival_and_one_before_it_is_not)
{
    ask(0, "a", "");
    answer(0, "b", "");
    struct position p = position_now();
    p.log[0].next += 2;
    take_over(&p);
    take(EVENT_REQUEST, &logs[0].v[0]);
    take(EVENT_RESPONSE, &logs[1].v[0]);
    ck_assert(!task_at_end(task, EVENT_REQUEST, p.log[0].next - 1));
    ck_assert(!task_is_live(task));
    ck_assert(task_at_end(task, EVENT_REQUEST, p.log[0].next));
    ck_assert(task_is_live(task));
    ck_assert_int_eq(task_next_offset(task, EVENT_REQUEST), p.log[0].next);
    ck_assert(task_at_end(task, EVENT_REQUEST, 0)); // a replay alone has somewhere to arrive at
}
END_TEST

START_TEST(what_was_taken_is_skipped)
{
    const struct logged *r = append_ask(0, "a", "");
    take(EVENT_REQUEST, r);
    ck_assert_int_eq(feed_to(task, EVENT_REQUEST, r), FEED_SKIPPED);
    ck_assert_int_eq(stats.skipped_records, 1);
    ck_assert_int_eq(facts_now()->requests, 1);
    ck_assert_int_eq(stats.duplicate_requests, 0);
}
END_TEST

START_TEST(another_record_where_the_last_one_was_is_a_mismatch)
{
    ask(0, "a", "");
    ask(10, "b", "");
    answer(10, "b", "");
    struct position p = position_now();
    take_over(&p);
    take(EVENT_REQUEST, &logs[0].v[0]);
    static char other_key[] = "c", other_value[] = "only key and time are stored";
    struct logged other = logs[0].v[1];
    if (_i == 0)
        other.time_ms++;
    else if (_i == 1)
        other.key = other_key;
    else
        other.value = other_value;
    enum task_feed want = _i < 2 ? FEED_MISMATCH : FEED_TAKEN;
    ck_assert_int_eq(feed_to(task, EVENT_REQUEST, &other), want);
    if (want == FEED_MISMATCH) {
        ck_assert_ptr_nonnull(strstr(task_error(task), "llm.requests, partition 3"));
        ck_assert_ptr_nonnull(strstr(task_error(task), "offset 101"));
    }
}
END_TEST

START_TEST(the_position_survives_a_replay_without_new_records)
{
    ask(0, "a", "");
    answer(40 * D, "b", "");
    ask(40 * D, "c", "");
    struct position p = position_now();
    take_over(&p);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < logs[k].n; i++)
            if (logs[k].v[i].offset >= p.log[k].replay)
                take(k, &logs[k].v[i]);
    ck_assert(task_is_live(task));
    struct position again = position_now();
    ck_assert_mem_eq(&again, &p, sizeof(p));
}
END_TEST

START_TEST(nothing_left_of_the_log_before_p_is_a_degraded_start)
{
    ask(0, "a", "");
    answer(100, "b", "");
    struct position p = position_now();
    for (int k = 0; k < 2; k++)
        p.log[k].replay = p.log[k].next; // as instance_start() does where the log begins at P
    take_over(&p);
    ck_assert(task_is_live(task));
    for (int k = 0; k < 2; k++)
        ck_assert_int_eq(task_time_ms(task, k), p.log[k].time_ms);
    struct position again = position_now();
    ck_assert_mem_eq(&again, &p, sizeof(p));
    // Time holds although no record of it was seen: this one is late by the stored time.
    const struct logged *r = append_answer(-SKEW, "c", "");
    take(EVENT_RESPONSE, r);
    ck_assert_int_eq(task_time_ms(task, EVENT_RESPONSE), T0 + 100);
}
END_TEST

START_TEST(a_degraded_start_counts_no_expiry_that_was_counted_before)
{
    ask(0, "a", "");
    answer(TTL + 1, "b", ""); // a is unanswered, and flushed
    struct position p = position_now();
    p.log[1].replay = p.log[1].next;
    take_over(&p);
    take(EVENT_REQUEST, &logs[0].v[0]);
    ck_assert(task_is_live(task));
    ck_assert_int_eq(stats.unanswered, 0);
    ck_assert_uint_eq(window_count(env.deltas), 0);
    ck_assert_uint_eq(join_waiting_count(task_join(task), EVENT_REQUEST), 0);
}
END_TEST

// Its answer, or the request that it repeats, is gone from the log: it was counted as what it was.
START_TEST(a_degraded_start_waits_for_nothing_that_may_have_been_settled_before)
{
    ask(0, "a", "");
    answer(0, "a", "");
    ask(100, "a", "");
    answer(100, "x", "");
    struct position p = position_now();
    take_over(&p);
    task_skip_to(task, _i, logs[_i].v[1].offset);
    for (int k = 0; k < 2; k++)
        for (size_t i = k == _i; i < logs[k].n; i++)
            take(k, &logs[k].v[i]);
    ck_assert(task_is_live(task));
    ck_assert_uint_eq(join_waiting_count(task_join(task), EVENT_REQUEST), 0);
    ck_assert_uint_eq(join_waiting_count(task_join(task), EVENT_RESPONSE), 0);
    tick(EVENT_RESPONSE, 2 * D);
    tick(EVENT_REQUEST, 2 * D);
    ck_assert_int_eq(stats.responses + stats.unanswered + stats.unmatched, 0);
}
END_TEST

START_TEST(a_degraded_start_still_waits_for_what_nothing_that_is_gone_could_fit)
{
    bool fits = _i / 2 == 1; // just so
    int64_t first_ms = 100, clear_ms = first_ms + D + !fits;
    enum event_kind cut = _i % 2, other = 1 - cut;
    tick(cut, 0);
    tick(cut, first_ms);
    tick(other, first_ms);
    if (other == EVENT_REQUEST)
        ask(clear_ms, "c", "");
    else
        answer(clear_ms, "c", "");
    struct position p = position_now();
    take_over(&p);
    task_skip_to(task, cut, logs[cut].v[1].offset);
    take(cut, &logs[cut].v[1]);
    for (size_t i = 0; i < logs[other].n; i++)
        take(other, &logs[other].v[i]);
    ck_assert(task_is_live(task));
    ck_assert_uint_eq(join_waiting_count(task_join(task), other), !fits);
}
END_TEST

// A sighting is a duplicate because of an earlier one, itself not within D of now: a replay that
// reached back by D alone would take it for new.
START_TEST(replay_reaches_back_far_enough_for_chains_of_duplicates)
{
    ask(0, "a", "");
    ask(D - 100, "a", "");
    for (int64_t at_ms = 0; at_ms <= D + 500; at_ms += 50) {
        tick(EVENT_RESPONSE, at_ms);
        if (at_ms > D - 100)
            tick(EVENT_REQUEST, at_ms);
    }
    struct position p = position_now();
    take_over(&p);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < logs[k].n; i++)
            if (logs[k].v[i].offset >= p.log[k].replay)
                take(k, &logs[k].v[i]);
    ck_assert(task_is_live(task));
    ck_assert_uint_eq(join_waiting_count(task_join(task), EVENT_REQUEST), 0);
    ask(2 * D - 100, "a", "");
    ck_assert_int_eq(stats.conflicting_requests, 1);
    ck_assert_int_eq(stats.requests, 0);
}
END_TEST

// However far apart R and P are: offsets have gaps, and what is between them may have been deleted.
START_TEST(a_replay_reserves_no_more_than_its_share)
{
    struct position p = position_now();
    p.log[EVENT_REQUEST].next += 1000;
    p.log[EVENT_RESPONSE].next += 3000;
    take_over(&p);
    ck_assert_uint_ge(task_join_bytes(task), 3000 * 64);
    ck_assert_uint_le(task_join_bytes(task), 3000 * 64 * 3);
    p.log[EVENT_REQUEST].next += INT64_C(1) << 60;
    take_over(&p);
    ck_assert_uint_le(task_join_bytes(task), (size_t)129 << 20);
}
END_TEST

static size_t names_bytes(void)
{
    return task_join_bytes(task) - join_bytes(task_join(task));
}

// Until the task is live a request that waits keeps its names: no more of them than a share.
START_TEST(names_that_a_replay_keeps_are_counted_and_bounded)
{
    enum { N = 3000, LONGEST = 3 * (EVENT_NAME_MAX + 1) };
    char name[EVENT_NAME_MAX + 1], id[16], value[1024];
    memset(name, 'n', EVENT_NAME_MAX);
    name[EVENT_NAME_MAX] = '\0';
    struct position p = position_now();
    int64_t first = p.log[EVENT_REQUEST].next;
    p.log[EVENT_REQUEST].next += N;
    take_over(&p);
    for (int i = 0; i < N; i++) {
        snprintf(id, sizeof(id), "i%d", i);
        snprintf(value, sizeof(value),
                 "{\"request_id\":\"%s\",\"timestamp\":%lld,\"tenant_id\":\"%s\","
                 "\"route\":\"%s\",\"model\":\"%s\"}",
                 id, (long long)T0, name, name, name);
        ck_assert(!task_is_live(task));
        bool full = names_bytes() >= 1 << 20;
        struct task_record r = {.topic = EVENT_REQUEST,
                                .offset = first + i,
                                .time_ms = T0,
                                .key = str_of(id),
                                .value = str_of(value)};
        ck_assert_int_eq(task_feed(task, &r), FEED_TAKEN);
        ck_assert_uint_le(names_bytes(), (1u << 20) + LONGEST);
        if (task_is_live(task))
            continue; // with the last one
        ck_assert_uint_ge(names_bytes(), min_i64((i + 1) * LONGEST, 1 << 20));
        ck_assert_uint_eq(series_count(env.series), full);
    }
    ck_assert(task_is_live(task));
    ck_assert_uint_eq(join_waiting_count(task_join(task), EVENT_REQUEST), N);
    ck_assert_uint_eq(names_bytes(), 0);
}
END_TEST

// ---- replay from any position, against the task that never stopped ----

static void expect_same_deltas(struct window_table *a, struct window_table *b)
{
    ck_assert_uint_eq(window_count(a), window_count(b));
    for (size_t i = 0; i < window_count(a); i++) {
        const struct window_cell *x = window_at(a, i);
        expect_same_facts(&x->facts, window_facts(b, x->series, x->window_start_us));
    }
}

static void expect_same_outcome(struct task *a, struct task *b)
{
    size_t n[2];
    const struct dead_letter *x = task_dead_letters(a, &n[0]), *y = task_dead_letters(b, &n[1]);
    ck_assert_uint_eq(n[0], n[1]);
    for (size_t i = 0; i < n[0]; i++) {
        ck_assert_str_eq(x[i].reason, y[i].reason);
        ck_assert_int_eq(x[i].topic, y[i].topic);
        ck_assert_int_eq(x[i].offset, y[i].offset);
    }
    for (int k = 0; k < 2; k++)
        ck_assert_uint_eq(join_waiting_count(task_join(a), k), join_waiting_count(task_join(b), k));
}

// R is the last place whose records before it are all older than the horizon, but for the ring's
// step.
static void expect_good_replay_start(const struct position *p)
{
    int64_t low_ms = min_i64(p->log[0].time_ms, p->log[1].time_ms);
    if (low_ms == TIME_NONE) { // nothing is known of one topic: from the start
        ck_assert_int_eq(p->log[0].replay, 100);
        ck_assert_int_eq(p->log[1].replay, 700);
        return;
    }
    int64_t horizon_ms = low_ms - 2 * D;
    for (int k = 0; k < 2; k++) {
        const struct logged *r = NULL; // at R; there may be a gap
        int64_t time_ms = TIME_NONE;
        int64_t older_ms = TIME_NONE; // of the newest rise at or below the horizon
        for (size_t i = 0; i < logs[k].n && logs[k].v[i].offset < p->log[k].next; i++) {
            time_ms = max_i64(time_ms, logs[k].v[i].time_ms);
            if (logs[k].v[i].offset == p->log[k].replay)
                r = &logs[k].v[i];
            if (logs[k].v[i].offset < p->log[k].replay)
                ck_assert_int_lt(time_ms, horizon_ms);
            else if (time_ms <= horizon_ms)
                older_ms = time_ms;
        }
        if (r && older_ms != TIME_NONE)
            ck_assert_int_le(older_ms - r->time_ms, D / 256 + 300); // 300: times that stepped back
        ck_assert_int_le(p->log[k].replay, p->log[k].next);
    }
}

START_TEST(a_replay_from_r_goes_on_like_the_task_that_never_stopped)
{
    struct random r = {(uint64_t)_i};
    int64_t at_ms = 0;
    int records = 20 + random_below(&r, 400);
    for (int i = 0; i < records; i++)
        random_record(&r, &at_ms);
    size_t at[2] = {0, 0};
    run(task, at, (size_t)random_below(&r, records));
    struct position p = position_now();
    expect_good_replay_start(&p);
    flushed(task);
    struct task_env elsewhere = env;
    elsewhere.deltas = window_table_new(env.series);
    struct task *other = task_new_at(3, &limits, &settings, &elsewhere, &p);
    size_t from[2];
    find_start(other, from);
    run(task, at, SIZE_MAX);
    run(other, from, SIZE_MAX);
    ck_assert(task_is_live(other));
    for (int k = 0; k < 2; k++)
        ck_assert_uint_eq(from[k], logs[k].n);
    expect_same_deltas(env.deltas, elsewhere.deltas);
    expect_same_outcome(task, other);
    struct position end[2];
    task_position(task, &end[0]);
    task_position(other, &end[1]);
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(end[0].log[k].next, end[1].log[k].next);
        ck_assert_int_eq(end[0].log[k].time_ms, end[1].log[k].time_ms);
        ck_assert_int_ge(end[0].log[k].replay, p.log[k].replay);
    }
    task_free(other);
    window_table_free(elsewhere.deltas);
}
END_TEST

// ---- positions ----

START_TEST(the_position_names_the_last_record_and_both_times)
{
    struct position p = position_now();
    ck_assert_int_eq(p.log[0].next, 100);
    ck_assert_int_eq(p.log[0].replay, 100);
    ck_assert_int_eq(p.log[0].last_offset, -1);
    ck_assert_int_eq(p.log[0].time_ms, TIME_NONE);
    ask(50, "a", "");
    ask(20, "b", "");
    p = position_now();
    ck_assert_int_eq(p.log[0].next, 102);
    ck_assert_int_eq(p.log[0].time_ms, T0 + 50);
    ck_assert_int_eq(p.log[0].last_offset, 101);
    ck_assert_int_eq(p.log[0].last_time_ms, T0 + 20); // the record's own
    ck_assert_int_eq(p.log[0].last_key, (int64_t)hash_stable64("b", 1));
    ck_assert_int_eq(p.log[1].next, 700);
}
END_TEST

START_TEST(r_stays_while_the_other_topic_is_silent_and_then_moves)
{
    for (int i = 0; i <= 200; i++)
        tick(EVENT_REQUEST, i * 500);
    ck_assert_int_eq(position_now().log[0].replay, 100);
    tick(EVENT_RESPONSE, 2 * D + 10000);
    // min(times) − 2·D = T0 + 10,000: the tick with that very time is number 20.
    ck_assert_int_eq(position_now().log[0].replay, 120);
    ck_assert_int_eq(position_now().log[1].replay, 700);
}
END_TEST

// ---- which topic next ----

#define NOTHING                                                                                    \
    {                                                                                              \
        false, false, 0                                                                            \
    }
#define END                                                                                        \
    {                                                                                              \
        false, true, 0                                                                             \
    }
#define HEAD(ms)                                                                                   \
    {                                                                                              \
        true, false, T0 + (ms)                                                                     \
    }

static const struct {
    int64_t time_ms[2]; // of the topics so far, after T0; TIME_NONE: no record yet
    struct task_ready ready[2];
    int want;
} choices[] = {
    {{0, 0}, {HEAD(5), HEAD(6)}, EVENT_REQUEST},
    {{0, 0}, {HEAD(6), HEAD(5)}, EVENT_RESPONSE},
    {{0, 0}, {HEAD(5), HEAD(5)}, EVENT_REQUEST},
    {{TIME_NONE, TIME_NONE}, {HEAD(6), HEAD(5)}, EVENT_RESPONSE},
    {{0, 0}, {HEAD(10 * D), HEAD(20 * D)}, EVENT_REQUEST}, // both ready: no bound
    {{0, 0}, {NOTHING, NOTHING}, -1},
    {{0, 0}, {END, END}, -1},
    // one alone, while it is not known what the other holds
    {{0, 0}, {HEAD(SKEW), NOTHING}, EVENT_REQUEST},
    {{0, 0}, {HEAD(SKEW + 1), NOTHING}, -1},
    {{0, 0}, {NOTHING, HEAD(SKEW)}, EVENT_RESPONSE},
    {{0, 0}, {NOTHING, HEAD(SKEW + 1)}, -1},
    {{500, 0}, {NOTHING, HEAD(SKEW + 500)}, EVENT_RESPONSE}, // by the other's time, not its own
    {{0, 500}, {NOTHING, HEAD(SKEW + 500)}, -1},
    {{TIME_NONE, TIME_NONE}, {HEAD(0), NOTHING}, -1},
    // the other has nothing left
    {{0, 0}, {HEAD(10 * D), END}, EVENT_REQUEST},
    {{TIME_NONE, TIME_NONE}, {END, HEAD(0)}, EVENT_RESPONSE},
};

START_TEST(chooses_the_lower_time_and_none_far_ahead_of_the_other)
{
    for (int k = 0; k < 2; k++)
        if (choices[_i].time_ms[k] != TIME_NONE)
            tick(k, choices[_i].time_ms[k]);
    ck_assert_int_eq(task_choose(task, choices[_i].ready), choices[_i].want);
}
END_TEST

START_TEST(a_topic_at_its_barrier_is_not_chosen)
{
    ask(0, "a", "");
    answer(0, "a", "");
    struct position p = position_now();
    take_over(&p);
    take(EVENT_REQUEST, &logs[0].v[0]); // arrived
    struct task_ready ready[2] = {HEAD(1), HEAD(2 * D)};
    ck_assert_int_eq(task_choose(task, ready), EVENT_RESPONSE);
    ready[1] = (struct task_ready)NOTHING;
    ck_assert_int_eq(task_choose(task, ready), -1);
    take(EVENT_RESPONSE, &logs[1].v[0]);
    ck_assert_int_eq(task_choose(task, ready), EVENT_REQUEST);
}
END_TEST

// ---- ticks ----

static bool due(enum event_kind kind, int64_t now_ms, int64_t want_ms)
{
    bool both[2];
    task_ticks_due(task, T0 + now_ms, want_ms == TIME_NONE ? TIME_NONE : T0 + want_ms, both);
    return both[kind];
}

START_TEST(a_silent_task_wants_no_ticks)
{
    ck_assert(!due(EVENT_REQUEST, 1000 * D, TIME_NONE));
    ck_assert(!due(EVENT_RESPONSE, 1000 * D, TIME_NONE));
    ask(0, "a", "");
    answer(0, "a", "");
    ck_assert(!due(EVENT_REQUEST, 1000 * D, TIME_NONE));
    ck_assert(!due(EVENT_RESPONSE, 1000 * D, TIME_NONE));
}
END_TEST

START_TEST(an_expiry_that_the_clock_has_passed_wants_a_tick_on_the_other_topic)
{
    if (_i == EVENT_REQUEST)
        ask(0, "a", "");
    else
        answer(0, "a", "");
    int64_t wait_ms = _i == EVENT_REQUEST ? TTL : SKEW;
    ck_assert(!due(1 - _i, wait_ms, TIME_NONE));
    ck_assert(due(1 - _i, wait_ms + 1, TIME_NONE));
    ck_assert(!due(_i, 1000 * D, TIME_NONE));
    tick(1 - _i, wait_ms); // not passed yet
    ck_assert(due(1 - _i, wait_ms + 1, TIME_NONE));
    tick(1 - _i, wait_ms + 1);
    ck_assert(!due(1 - _i, 1000 * D, TIME_NONE));
}
END_TEST

START_TEST(a_window_to_be_closed_wants_ticks_until_the_time_has_reached_it)
{
    ck_assert(!due(_i, 999, 1000)); // not passed by the clock
    ck_assert(due(_i, 1000, 1000));
    tick(_i, 999);
    ck_assert(due(_i, 1000, 1000));
    tick(_i, 1000);
    ck_assert(!due(_i, 1000, 1000));
    ck_assert(due(1 - _i, 1000, 1000));
}
END_TEST

START_TEST(a_task_that_replays_wants_no_ticks)
{
    ask(0, "a", "");
    answer(0, "b", "");
    struct position p = position_now();
    take_over(&p);
    take(EVENT_REQUEST, &logs[0].v[0]);
    ck_assert(!due(EVENT_RESPONSE, 1000 * D, 1000));
    take(EVENT_RESPONSE, &logs[1].v[0]);
    ck_assert(due(EVENT_RESPONSE, 1000 * D, 1000));
}
END_TEST

static void add_replay(TCase *tc)
{
    tcase_add_test(tc, replay_is_muted_up_to_the_barrier_and_live_behind_it);
    tcase_add_test(tc, what_expires_during_a_replay_is_not_counted_again);
    tcase_add_test(tc, a_gap_of_offsets_at_the_barrier_does_not_hold_it_for_ever);
    tcase_add_test(tc, an_end_of_the_log_at_the_barrier_is_arrival_and_one_before_it_is_not);
    tcase_add_test(tc, what_was_taken_is_skipped);
    tcase_add_loop_test(tc, another_record_where_the_last_one_was_is_a_mismatch, 0, 3);
    tcase_add_test(tc, the_position_survives_a_replay_without_new_records);
    tcase_add_test(tc, nothing_left_of_the_log_before_p_is_a_degraded_start);
    tcase_add_test(tc, a_degraded_start_counts_no_expiry_that_was_counted_before);
    tcase_add_loop_test(tc, a_degraded_start_waits_for_nothing_that_may_have_been_settled_before, 0,
                        2);
    tcase_add_loop_test(tc, a_degraded_start_still_waits_for_what_nothing_that_is_gone_could_fit, 0,
                        4);
    tcase_add_test(tc, replay_reaches_back_far_enough_for_chains_of_duplicates);
    tcase_add_test(tc, a_replay_reserves_no_more_than_its_share);
    tcase_add_loop_test(tc, a_replay_from_r_goes_on_like_the_task_that_never_stopped, 0, 300);
}

static void add_the_rest(TCase *tc)
{
    tcase_add_test(tc, the_position_names_the_last_record_and_both_times);
    tcase_add_test(tc, r_stays_while_the_other_topic_is_silent_and_then_moves);
    tcase_add_loop_test(tc, chooses_the_lower_time_and_none_far_ahead_of_the_other, 0,
                        ARRAY_LEN(choices));
    tcase_add_test(tc, a_topic_at_its_barrier_is_not_chosen);
    tcase_add_test(tc, a_silent_task_wants_no_ticks);
    tcase_add_loop_test(tc, an_expiry_that_the_clock_has_passed_wants_a_tick_on_the_other_topic, 0,
                        2);
    tcase_add_loop_test(tc, a_window_to_be_closed_wants_ticks_until_the_time_has_reached_it, 0, 2);
    tcase_add_test(tc, a_task_that_replays_wants_no_ticks);
    tcase_add_test(tc, names_that_a_replay_keeps_are_counted_and_bounded);
}

int main(void)
{
    TCase *tc = tcase_create("task_replay");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, make_env, free_env);
    add_replay(tc);
    add_the_rest(tc);
    Suite *suite = suite_create("task_replay");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
