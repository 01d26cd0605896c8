// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/plan.h"

#include "tests/sim/random.h"

#include <check.h>

#define H US_PER_HOUR
#define M US_PER_MIN
#define BASE (INT64_C(1795219200) * US_PER_S) // 2026-11-21T00:00:00Z

static const struct plan_kept all_kept = {INT64_MIN, INT64_MIN};
static struct plan p;
static struct err e;

static void make(void)
{
    p = (struct plan){0};
    e = (struct err){.offset = -2};
}

static void clear(void)
{
    plan_clear(&p);
}

static void plan(const struct steps *s, const struct plan_kept *kept)
{
    ck_assert_msg(plan_make(s, kept, &p, &e) == 0, "%s", e.detail);
}

#define ASSERT_SPAN(span, from, to)                                                                \
    do {                                                                                           \
        ck_assert_int_eq((span).from_us, (from));                                                  \
        ck_assert_int_eq((span).to_us, (to));                                                      \
    } while (0)

START_TEST(a_range_has_minutes_at_its_ends_and_hours_between)
{
    struct steps s = {.from_us = BASE + 10 * M, .to_us = BASE + 5 * H + 1 * M};
    plan(&s, &all_kept);
    ck_assert_uint_eq(p.hour_count, 1);
    ASSERT_SPAN(p.hours[0], BASE + H, BASE + 5 * H);
    ck_assert_uint_eq(p.minute_count, 1);
    ASSERT_SPAN(p.minutes[0], BASE + 10 * M, BASE + H);
    ck_assert(p.has_tail); // hours or minutes: it depends on what lies behind
    ASSERT_SPAN(p.tail, BASE + 5 * H, BASE + 5 * H + M);
}
END_TEST

START_TEST(an_end_whose_hour_began_before_the_range_or_the_step_is_minutes)
{
    struct steps s = {.from_us = BASE + 10 * M, .to_us = BASE + 5 * H + 50 * M, .step_us = 90 * M};
    plan(&s, &all_kept); // a step ends at 4:30, the next at 6:00
    ck_assert(p.has_tail);
    ASSERT_SPAN(p.tail, BASE + 5 * H, s.to_us);
    s.to_us = BASE + 4 * H + 40 * M;
    plan(&s, &all_kept);
    ck_assert(!p.has_tail);
    ASSERT_SPAN(p.minutes[p.minute_count - 1], BASE + 4 * H, s.to_us);
    s.to_us = BASE + 50 * M;
    plan(&s, &all_kept);
    ck_assert(!p.has_tail);
}
END_TEST

START_TEST(whole_hours_need_no_minutes)
{
    struct steps s = {.from_us = BASE, .to_us = BASE + 30 * 24 * H, .step_us = H};
    plan(&s, &all_kept);
    ck_assert_uint_eq(p.minute_count, 0);
    ck_assert_uint_eq(p.hour_count, 1);
    ASSERT_SPAN(p.hours[0], s.from_us, s.to_us);
}
END_TEST

START_TEST(a_range_within_an_hour_is_minutes)
{
    struct steps s = {.from_us = BASE + 10 * M, .to_us = BASE + 50 * M};
    plan(&s, &all_kept);
    ck_assert_uint_eq(p.hour_count, 0);
    ck_assert_uint_eq(p.minute_count, 1);
    ASSERT_SPAN(p.minutes[0], s.from_us, s.to_us);
}
END_TEST

START_TEST(shorter_steps_are_minutes_alone)
{
    struct steps s = {.from_us = BASE, .to_us = BASE + 24 * H, .step_us = 59 * M};
    plan(&s, &all_kept);
    ck_assert_uint_eq(p.hour_count, 0);
    ck_assert_uint_eq(p.minute_count, 1);
    ASSERT_SPAN(p.minutes[0], s.from_us, s.to_us);
}
END_TEST

// Days of India begin at 18:30 UTC.
START_TEST(a_border_within_an_hour_makes_minutes_of_that_hour)
{
    int64_t at[] = {BASE - 5 * H - 30 * M, BASE + 18 * H + 30 * M, BASE + 42 * H + 30 * M};
    struct steps s = {.from_us = BASE, .to_us = BASE + 42 * H + 30 * M, .at = at, .n = 3};
    plan(&s, &all_kept);
    ck_assert_uint_eq(p.hour_count, 2);
    ASSERT_SPAN(p.hours[0], BASE, BASE + 18 * H);
    ASSERT_SPAN(p.hours[1], BASE + 19 * H, BASE + 42 * H);
    ck_assert_uint_eq(p.minute_count, 1);
    ASSERT_SPAN(p.minutes[0], BASE + 18 * H, BASE + 19 * H);
    ASSERT_SPAN(p.tail, BASE + 42 * H, BASE + 42 * H + 30 * M);
}
END_TEST

START_TEST(a_step_of_ninety_minutes_has_an_hour_in_each)
{
    struct steps s = {.from_us = BASE, .to_us = BASE + 6 * H, .step_us = 90 * M};
    plan(&s, &all_kept);
    ck_assert_uint_eq(p.hour_count, 3);
    ck_assert_uint_eq(p.minute_count, 2);
    ASSERT_SPAN(p.minutes[0], BASE + H, BASE + 2 * H);
    ASSERT_SPAN(p.minutes[1], BASE + 4 * H, BASE + 5 * H);
    ASSERT_SPAN(p.hours[1], BASE + 2 * H, BASE + 4 * H);
}
END_TEST

// 90 minutes: two spans of minutes and three of hours every six hours, the neighbours' joined.
START_TEST(too_many_spans_are_minutes_alone)
{
    struct steps s = {
        .from_us = BASE, .to_us = BASE + 3 * (PLAN_SPANS_MAX - 1) * H, .step_us = 90 * M};
    plan(&s, &all_kept);
    ck_assert_uint_eq(p.hour_count, PLAN_SPANS_MAX);
    ck_assert_uint_eq(p.minute_count, PLAN_SPANS_MAX - 1);
    s.to_us += 3 * H;
    plan(&s, &all_kept);
    ck_assert_uint_eq(p.hour_count, 0);
    ck_assert_uint_eq(p.minute_count, 1);
    ASSERT_SPAN(p.minutes[0], s.from_us, s.to_us);
}
END_TEST

START_TEST(what_is_before_all_that_is_kept_is_left_out)
{
    struct plan_kept kept = {BASE, BASE - 24 * H};
    struct steps s = {.from_us = BASE - 100 * 24 * H + 7 * M, .to_us = BASE + H, .step_us = H};
    plan(&s, &kept);
    ck_assert_uint_eq(p.minute_count, 0);
    ck_assert_uint_eq(p.hour_count, 1);
    ASSERT_SPAN(p.hours[0], BASE - 24 * H, BASE + H);
    s.to_us = BASE - 24 * H;
    plan(&s, &kept);
    ck_assert_uint_eq(p.hour_count + p.minute_count, 0);
}
END_TEST

static const struct {
    int64_t from_us, to_us, step_us;
    const char *field; // NULL: fine
} edges[] = {
    {BASE - 5 * H, BASE + 5 * H, H, NULL},
    {BASE - 5 * H + M, BASE + 5 * H, H, "from"},
    {BASE - 5 * H, BASE - M, H, "to"},
    {BASE - 5 * H, BASE + M, H, NULL},
    {BASE - 5 * H, BASE + 5 * H, 90 * M, "step"},
    {BASE - 5 * H, BASE + 5 * H, 5 * M, "step"},
    {BASE - 5 * H + M, BASE + 5 * H, 5 * M, "step"},
    {BASE, BASE + 5 * H, 5 * M, NULL},
    {BASE + M, BASE + 5 * H, H, NULL},
    {BASE - M, BASE + 5 * H, H, "from"},
    {BASE - M, BASE + 5 * H, 5 * M, "step"},
    {BASE - 5 * H, BASE + 5 * H, 0, NULL},
    {BASE - 5 * H + M, BASE - 5 * H + 3 * M, 0, "from"},
    {BASE - 5 * H, BASE - 5 * H + 3 * M, 0, "to"},
};

START_TEST(minutes_that_were_dropped_are_an_error_that_says_what_is_at_fault)
{
    struct plan_kept kept = {BASE, BASE - 1000 * H};
    struct steps s = {
        .from_us = edges[_i].from_us, .to_us = edges[_i].to_us, .step_us = edges[_i].step_us};
    int rc = plan_make(&s, &kept, &p, &e);
    if (!edges[_i].field) {
        ck_assert_int_eq(rc, 0);
        return;
    }
    ck_assert_int_eq(rc, -1);
    ck_assert_str_eq(e.field, edges[_i].field);
    ck_assert_ptr_nonnull(strstr(e.detail, "2026-11-21T00:00:00Z"));
}
END_TEST

static void assert_ascends(const struct plan_span *v, size_t n)
{
    ck_assert_uint_le(n, PLAN_SPANS_MAX);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_lt(v[i].from_us, v[i].to_us);
        if (i > 0)
            ck_assert_int_lt(v[i - 1].to_us, v[i].from_us);
    }
}

// The tail is of minutes until somebody looks.
static bool in_tail(int64_t t_us)
{
    return p.has_tail && p.tail.from_us <= t_us && t_us < p.tail.to_us;
}

static size_t covering(const struct plan_span *v, size_t n, int64_t t_us)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += v[i].from_us <= t_us && t_us < v[i].to_us;
    return found;
}

// Each minute of the range exactly once, none outside, and hours whole and within one step; and no
// minutes where an hour would have done.
static void assert_exact(const struct steps *s)
{
    assert_ascends(p.hours, p.hour_count);
    assert_ascends(p.minutes, p.minute_count);
    for (int64_t t_us = s->from_us - 2 * H; t_us < s->to_us + 2 * H; t_us += M) {
        size_t inside = t_us >= s->from_us && t_us < s->to_us;
        size_t of_hours = covering(p.hours, p.hour_count, t_us);
        size_t of_minutes = covering(p.minutes, p.minute_count, t_us) + in_tail(t_us);
        ck_assert_uint_eq(of_hours + of_minutes, inside);
        if (!inside)
            continue;
        int64_t hour_us = time_floor_us(t_us, H);
        bool fits = hour_us >= s->from_us && hour_us + H <= s->to_us &&
                    steps_start_us(s, hour_us) == steps_start_us(s, hour_us + H - M);
        ck_assert_uint_eq(of_hours, fits);
        // What is left of an hour at the end, if all of it before is in the range and in one step.
        bool tail = hour_us >= s->from_us && hour_us + H > s->to_us &&
                    steps_start_us(s, hour_us) == steps_start_us(s, s->to_us - M);
        ck_assert(!in_tail(t_us) || tail);
        ck_assert(s->step_us == 0 || s->step_us >= H || s->at || !p.has_tail);
    }
    for (size_t i = 0; i < p.hour_count; i++)
        ck_assert(p.hours[i].from_us % H == 0 && p.hours[i].to_us % H == 0);
}

START_TEST(each_minute_is_read_once_and_no_hour_crosses_a_border)
{
    struct random r = {(uint64_t)_i};
    int64_t at[200];
    struct steps s = {.from_us = BASE + random_below(&r, 3000) * M};
    s.to_us = s.from_us + (1 + random_below(&r, 60 * 24 * 4)) * M;
    switch (random_below(&r, 4)) {
    case 0: // any number of minutes
        s.step_us = (1 + random_below(&r, 400)) * M;
        break;
    case 1: // hours, moved
        s.step_us = (1 + random_below(&r, 48)) * H;
        s.offset_us = random_below(&r, 4) * 15 * M;
        break;
    case 2: // one step
        break;
    default: // days of some zone, now and then an hour longer or shorter
        at[s.n++] = s.from_us - random_below(&r, 1440) * M;
        while (at[s.n - 1] < s.to_us) {
            at[s.n] = at[s.n - 1] + (23 + random_below(&r, 3)) * H;
            s.n++;
        }
        s.at = at;
    }
    plan(&s, &all_kept);
    assert_exact(&s);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("plan");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, a_range_has_minutes_at_its_ends_and_hours_between);
    tcase_add_test(tc, an_end_whose_hour_began_before_the_range_or_the_step_is_minutes);
    tcase_add_test(tc, whole_hours_need_no_minutes);
    tcase_add_test(tc, a_range_within_an_hour_is_minutes);
    tcase_add_test(tc, shorter_steps_are_minutes_alone);
    tcase_add_test(tc, a_border_within_an_hour_makes_minutes_of_that_hour);
    tcase_add_test(tc, a_step_of_ninety_minutes_has_an_hour_in_each);
    tcase_add_test(tc, too_many_spans_are_minutes_alone);
    tcase_add_test(tc, what_is_before_all_that_is_kept_is_left_out);
    tcase_add_loop_test(tc, minutes_that_were_dropped_are_an_error_that_says_what_is_at_fault, 0,
                        ARRAY_LEN(edges));
    tcase_add_loop_test(tc, each_minute_is_read_once_and_no_hour_crosses_a_border, 0, 300);
    Suite *suite = suite_create("plan");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
