// SPDX-License-Identifier: Apache-2.0
// A task whose settings change in the middle of its logs: what waits, what is remembered, which
// series a request belongs to, and that whoever replays over the border comes to the same numbers.
#include "tests/support/random_settings.h"
#include "tests/unit/task_replay_case.h"

#define BORDER 20000

static void settle(int64_t ttl_ms, int64_t skew_ms)
{
    settings =
        (struct settings){2, {{1, TIME_NONE, TTL, SKEW, 1}, {2, T0 + BORDER, ttl_ms, skew_ms, 1}}};
    remake_task();
}

static void expect_unanswered(int64_t response_ms, int64_t unanswered)
{
    tick(EVENT_RESPONSE, response_ms);
    ck_assert_int_eq(facts_now()->unanswered, unanswered);
}

// ---- who waits for how long ----

START_TEST(a_longer_ttl_is_that_of_requests_from_the_border_on)
{
    settle(3 * TTL, SKEW);
    ask(BORDER - 1, "a", "");
    ask(BORDER, "b", "");
    expect_unanswered(BORDER - 1 + TTL, 0);
    expect_unanswered(BORDER + TTL, 1);
    expect_unanswered(BORDER + 3 * TTL, 1);
    expect_unanswered(BORDER + 3 * TTL + 1, 2);
}
END_TEST

START_TEST(a_shorter_ttl_counts_from_where_the_last_longer_one_ends)
{
    settle(TTL / 5, SKEW);
    ask(BORDER - 1, "a", "");
    ask(BORDER, "b", "");
    ask(BORDER + TTL, "c", "");
    expect_unanswered(BORDER - 1 + TTL, 0);
    expect_unanswered(BORDER + TTL, 2);
    expect_unanswered(BORDER + TTL + TTL / 5, 2);
    expect_unanswered(BORDER + TTL + TTL / 5 + 1, 3);
}
END_TEST

START_TEST(a_longer_skew_is_that_of_answers_from_the_border_on)
{
    settle(TTL, 3 * SKEW);
    answer(BORDER - 1, "a", "");
    answer(BORDER, "b", "");
    tick(EVENT_REQUEST, BORDER - 1 + SKEW);
    ck_assert_uint_eq(letter_count(), 0);
    tick(EVENT_REQUEST, BORDER + SKEW);
    (void)expect_letter("unmatched", EVENT_RESPONSE, &logs[1].v[0]);
    ask(BORDER + 3 * SKEW, "b", "");
    ck_assert_int_eq(facts_now()->responses, 1);
}
END_TEST

START_TEST(a_shorter_skew_counts_from_where_the_last_longer_one_ends)
{
    settle(TTL, SKEW / 5);
    answer(BORDER, "a", "");
    tick(EVENT_REQUEST, BORDER - 1 + SKEW);
    ck_assert_uint_eq(letter_count(), 0);
    tick(EVENT_REQUEST, BORDER + SKEW);
    (void)expect_letter("unmatched", EVENT_RESPONSE, &logs[1].v[0]);
}
END_TEST

START_TEST(a_tick_is_wanted_once_the_wait_of_its_own_epoch_is_over)
{
    bool due[2];
    settle(3 * TTL, SKEW);
    ask(BORDER, "a", "");
    task_ticks_due(task, T0 + BORDER + 3 * TTL, TIME_NONE, due);
    ck_assert(!due[EVENT_RESPONSE]);
    task_ticks_due(task, T0 + BORDER + 3 * TTL + 1, TIME_NONE, due);
    ck_assert(due[EVENT_RESPONSE]);
}
END_TEST

// Reading ahead and clocks are bounded by what holds now, whichever epoch the records are of.
START_TEST(topics_may_be_apart_by_the_newest_skew)
{
    settle(TTL, 3 * SKEW);
    tick(EVENT_RESPONSE, 0);
    ck_assert_int_eq(task_skew_ms(task), 3 * SKEW);
    struct task_ready ready[2] = {{true, false, T0 + 3 * SKEW}, {false, false, 0}};
    ck_assert_int_eq(task_choose(task, ready), EVENT_REQUEST);
    ready[0].head_ms++;
    ck_assert_int_eq(task_choose(task, ready), -1);
}
END_TEST

// ---- how far back a replay begins ----

static int64_t replay_ms(enum event_kind kind)
{
    struct position p = position_now();
    return logs[kind].v[p.log[kind].replay - (kind == EVENT_REQUEST ? 100 : 700)].time_ms - T0;
}

START_TEST(a_replay_begins_no_later_than_the_longer_waits_ask_for_and_never_goes_back)
{
    const int64_t ttl_ms[] = {TTL, 4 * TTL, TTL / 10};
    settings = (struct settings){3,
                                 {{1, TIME_NONE, ttl_ms[0], SKEW, 1},
                                  {2, T0 + BORDER, ttl_ms[1], SKEW, 1},
                                  {3, T0 + 5 * BORDER, ttl_ms[2], SKEW, 1}}};
    remake_task();
    int64_t last_ms = 0;
    for (int64_t at_ms = 0; at_ms <= 10 * BORDER; at_ms += 100) {
        tick(EVENT_REQUEST, at_ms);
        tick(EVENT_RESPONSE, at_ms);
        int64_t want_ms = settings_replay_from(&settings, T0 + at_ms) - T0;
        for (enum event_kind k = 0; k < 2; k++) {
            int64_t from_ms = replay_ms(k);
            ck_assert_int_ge(from_ms, last_ms);
            ck_assert_int_le(from_ms, max_i64(0, want_ms));
            // no more than one step of the logs and one of the ring too early
            ck_assert_int_ge(from_ms, want_ms - 100 - 2 * (4 * TTL + SKEW) / 512);
        }
        last_ms = replay_ms(EVENT_REQUEST);
    }
    ck_assert_int_ge(last_ms, 10 * BORDER - 2 * (TTL / 10 + SKEW) - 200);
}
END_TEST

// ---- the series of a request ----

static void new_cap(void)
{
    settings = (struct settings){3,
                                 {{1, TIME_NONE, TTL, SKEW, 1},
                                  {2, T0 + 10000, TTL, SKEW, 1}, // brings no new cap
                                  {3, T0 + BORDER, TTL, SKEW, 3}}};
    remake_task();
}

// The facts of tenant t in the minute of T0 that belong to the epoch.
static const struct facts *facts_in(int64_t epoch)
{
    const struct facts *found = &no_facts;
    for (size_t i = 0; i < window_count(env.deltas); i++) {
        const struct window_cell *c = window_at(env.deltas, i);
        if (c->series->epoch == epoch) {
            ck_assert_ptr_eq(found, &no_facts);
            found = &c->facts;
        }
    }
    return found;
}

START_TEST(a_request_belongs_to_the_series_epoch_of_its_topics_time)
{
    new_cap();
    ask(0, "a", "");
    ask(10000, "b", "");
    ask(BORDER - 1, "c", "");
    ck_assert_int_eq(facts_in(1)->requests, 3);
    ask(BORDER, "d", "");
    ask(BORDER - 1, "e", ""); // appended by a clock that was behind: the topic's time does not fall
    ck_assert_int_eq(facts_in(1)->requests, 3);
    ck_assert_int_eq(facts_in(3)->requests, 2);
}
END_TEST

START_TEST(an_answer_is_counted_in_the_series_epoch_of_its_request)
{
    new_cap();
    answer(BORDER, "b", ""); // before its request, which is of the epoch before
    ask(BORDER - 1, "a", "");
    ask(BORDER - 1, "b", "");
    ask(BORDER - 1, "c", "");
    ask(BORDER, "d", "");
    answer(BORDER + 1, "a", "");
    answer(BORDER + 1, "d", "");
    tick(EVENT_RESPONSE, BORDER + TTL);
    ck_assert_int_eq(facts_in(1)->requests, 3);
    ck_assert_int_eq(facts_in(1)->responses, 2);
    ck_assert_int_eq(facts_in(1)->unanswered, 1);
    ck_assert_int_eq(facts_in(3)->requests, 1);
    ck_assert_int_eq(facts_in(3)->responses, 1);
}
END_TEST

START_TEST(and_so_after_a_replay)
{
    new_cap();
    ask(BORDER - 1, "a", "");
    ask(BORDER, "b", "");
    answer(BORDER, "x", "");
    struct position p = position_now();
    take_over(&p);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < logs[k].n; i++)
            take(k, &logs[k].v[i]);
    ck_assert(task_is_live(task));
    answer(BORDER + 1, "a", "");
    answer(BORDER + 1, "b", "");
    ck_assert_int_eq(facts_in(1)->responses, 1);
    ck_assert_int_eq(facts_in(3)->responses, 1);
}
END_TEST

// ---- restarts, against the task that had every epoch from the beginning and never stopped ----

// What several owners have flushed, one after another.
struct taken {
    struct window_table *cells;
    struct letter {
        enum event_kind topic;
        int64_t offset;
        const char *reason;
    } letters[1024];
    size_t letter_count;
};

static void taken_init(struct taken *f)
{
    *f = (struct taken){.cells = window_table_new(env.series)};
}

static void flush_into(struct taken *f, struct task *t)
{
    for (size_t i = 0; i < window_count(env.deltas); i++) {
        const struct window_cell *c = window_at(env.deltas, i);
        facts_add(window_facts(f->cells, c->series, c->window_start_us), &c->facts);
    }
    size_t n;
    const struct dead_letter *d = task_dead_letters(t, &n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_lt(f->letter_count, ARRAY_LEN(f->letters));
        f->letters[f->letter_count++] = (struct letter){d[i].topic, d[i].offset, d[i].reason};
    }
    flushed(t);
}

static int compare_letters(const void *a, const void *b)
{
    const struct letter *x = a, *y = b;
    if (x->topic != y->topic)
        return x->topic < y->topic ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static void expect_same_taken(struct taken *a, struct taken *b)
{
    ck_assert_uint_eq(window_count(a->cells), window_count(b->cells));
    for (size_t i = 0; i < window_count(a->cells); i++) {
        const struct window_cell *x = window_at(a->cells, i);
        expect_same_facts(&x->facts, window_facts(b->cells, x->series, x->window_start_us));
    }
    ck_assert_uint_eq(a->letter_count, b->letter_count);
    for (int i = 0; i < 2; i++)
        qsort(i ? a->letters : b->letters, a->letter_count, sizeof(*a->letters), compare_letters);
    for (size_t i = 0; i < a->letter_count; i++) {
        ck_assert_int_eq(compare_letters(&a->letters[i], &b->letters[i]), 0);
        ck_assert_str_eq(a->letters[i].reason, b->letters[i].reason);
    }
}

// In an order of its own: what is counted does not depend on it.
static void run_mixed(struct random *r, struct task *t)
{
    size_t at[2] = {0, 0};
    while (at[0] < logs[0].n || at[1] < logs[1].n) {
        int k = random_below(r, 2);
        k = at[k] < logs[k].n ? k : 1 - k;
        ck_assert_int_eq(feed_to(t, k, &logs[k].v[at[k]++]), FEED_TAKEN);
    }
}

// One owner after another, each from where the last one flushed; before each an epoch may have
// begun.
struct relay {
    struct settings planned; // the epochs that are opened one after another
    struct settings known;
    struct task *owner; // of the environment's; has flushed
    struct taken taken;
    int64_t replay[2];
};

static void relay_init(struct relay *y)
{
    y->known = y->planned;
    y->known.count = 1;
    y->owner = task_new(3, &limits, &y->known, &env, (int64_t[]){100, 700});
    y->replay[0] = 100;
    y->replay[1] = 700;
    taken_init(&y->taken);
}

// The next owner; it has `records` more to take.
static void relay_run(struct relay *y, struct random *r, bool opens_epoch, size_t records)
{
    struct position p = position_of(y->owner);
    for (int k = 0; k < 2; k++) {
        ck_assert_int_ge(p.log[k].replay, y->replay[k]);
        y->replay[k] = p.log[k].replay;
    }
    if (opens_epoch && y->known.count < y->planned.count) {
        struct settings_epoch *next = &y->planned.epochs[y->known.count];
        int64_t from_ms = max_i64(p.log[0].time_ms, p.log[1].time_ms) + 1;
        from_ms = max_i64(from_ms, settings_newest(&y->known)->from_ms + 1);
        next->from_ms = max_i64(T0, from_ms) + (random_chance(r, 50) ? 0 : random_below(r, D));
        y->known.epochs[y->known.count++] = *next;
    }
    task_free(y->owner);
    y->owner = task_new_at(3, &limits, &y->known, &env, &p);
    size_t at[2];
    find_start(y->owner, at);
    size_t replayed = 0; // up to where the last one stood
    for (int k = 0; k < 2; k++)
        for (size_t i = at[k]; i < logs[k].n && logs[k].v[i].offset < p.log[k].next; i++)
            replayed++;
    run(y->owner, at, replayed);
    ck_assert(task_is_live(y->owner));
    run(y->owner, at, records);
    flush_into(&y->taken, y->owner);
}

// The owner changes after `cut` records and then after each `then` more, with an epoch each time
// as long as there is one.
static void expect_relay(struct random *r, const struct settings *planned, size_t records,
                         size_t cut, size_t then)
{
    struct relay y = {.planned = *planned};
    struct taken whole;
    relay_init(&y);
    relay_run(&y, r, false, cut);
    for (size_t done = cut; done < records; done += then)
        relay_run(&y, r, true, then);
    relay_run(&y, r, false, SIZE_MAX);
    taken_init(&whole);
    struct task *t = task_new(3, &limits, &y.known, &env, (int64_t[]){100, 700});
    run_mixed(r, t);
    flush_into(&whole, t);
    expect_same_taken(&whole, &y.taken);
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(task_next_offset(y.owner, k), task_next_offset(t, k));
        ck_assert_uint_eq(join_waiting_count(task_join(y.owner), k),
                          join_waiting_count(task_join(t), k));
    }
    task_free(t);
    task_free(y.owner);
    window_table_free(whole.cells);
    window_table_free(y.taken.cells);
}

static size_t random_log(struct random *r, int most)
{
    int64_t at_ms = 0;
    int records = 20 + random_below(r, most - 20);
    for (int i = 0; i < records; i++)
        random_record(r, &at_ms);
    return (size_t)records;
}

START_TEST(a_restart_at_any_record_yields_the_same_numbers)
{
    struct random r = {(uint64_t)_i};
    struct settings s;
    size_t records = random_log(&r, 80);
    random_settings(&r, &s, 2, T0, D);
    for (size_t cut = 0; cut <= records; cut++)
        expect_relay(&r, &s, records, cut, records);
}
END_TEST

START_TEST(epochs_opened_at_any_time_yield_the_numbers_they_would_have_from_the_beginning)
{
    struct random r = {5000 + (uint64_t)_i};
    struct settings s;
    size_t records = random_log(&r, 400);
    random_settings(&r, &s, 2 + (size_t)random_below(&r, 4), T0, D);
    expect_relay(&r, &s, records, (size_t)random_below(&r, (int)records),
                 1 + (size_t)random_below(&r, 60));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("task_settings");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, make_env, free_env);
    tcase_add_test(tc, a_longer_ttl_is_that_of_requests_from_the_border_on);
    tcase_add_test(tc, a_shorter_ttl_counts_from_where_the_last_longer_one_ends);
    tcase_add_test(tc, a_longer_skew_is_that_of_answers_from_the_border_on);
    tcase_add_test(tc, a_shorter_skew_counts_from_where_the_last_longer_one_ends);
    tcase_add_test(tc, a_tick_is_wanted_once_the_wait_of_its_own_epoch_is_over);
    tcase_add_test(tc, topics_may_be_apart_by_the_newest_skew);
    tcase_add_test(tc, a_replay_begins_no_later_than_the_longer_waits_ask_for_and_never_goes_back);
    tcase_add_test(tc, a_request_belongs_to_the_series_epoch_of_its_topics_time);
    tcase_add_test(tc, an_answer_is_counted_in_the_series_epoch_of_its_request);
    tcase_add_test(tc, and_so_after_a_replay);
    tcase_add_loop_test(tc, a_restart_at_any_record_yields_the_same_numbers, 0, 20);
    tcase_add_loop_test(
        tc, epochs_opened_at_any_time_yield_the_numbers_they_would_have_from_the_beginning, 0, 300);
    Suite *suite = suite_create("task_settings");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
