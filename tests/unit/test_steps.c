// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/steps.h"

#include "tests/sim/random.h"

#include <check.h>

#define MONDAY_US (INT64_C(1795392000) * US_PER_S) // 2026-11-23T00:00:00Z

START_TEST(weeks_begin_on_mondays_and_other_steps_at_1970)
{
    ck_assert_int_eq(steps_offset_us(US_PER_DAY), 0);
    ck_assert_int_eq(steps_offset_us(90 * US_PER_MIN), 0);
    struct steps weeks = {.from_us = MONDAY_US - 100 * US_PER_DAY,
                          .to_us = MONDAY_US + 100 * US_PER_DAY,
                          .step_us = 7 * US_PER_DAY,
                          .offset_us = steps_offset_us(7 * US_PER_DAY)};
    for (int day = 0; day < 7; day++)
        ck_assert_int_eq(steps_start_us(&weeks, MONDAY_US + day * US_PER_DAY), MONDAY_US);
    ck_assert_int_eq(steps_end_us(&weeks, MONDAY_US), MONDAY_US + 7 * US_PER_DAY);
    ck_assert_int_eq(steps_start_us(&weeks, MONDAY_US - 1), MONDAY_US - 7 * US_PER_DAY);
}
END_TEST

START_TEST(steps_at_the_ends_are_cut_to_the_range)
{
    struct steps s = {
        .from_us = 25 * US_PER_MIN, .to_us = 130 * US_PER_MIN, .step_us = US_PER_HOUR};
    ck_assert_int_eq(steps_start_us(&s, 25 * US_PER_MIN), 25 * US_PER_MIN);
    ck_assert_int_eq(steps_end_us(&s, 25 * US_PER_MIN), 60 * US_PER_MIN);
    ck_assert_int_eq(steps_start_us(&s, 60 * US_PER_MIN), 60 * US_PER_MIN);
    ck_assert_int_eq(steps_start_us(&s, 129 * US_PER_MIN), 120 * US_PER_MIN);
    ck_assert_int_eq(steps_end_us(&s, 129 * US_PER_MIN), 130 * US_PER_MIN);
}
END_TEST

START_TEST(no_step_is_one_step)
{
    struct steps s = {.from_us = 25 * US_PER_MIN, .to_us = 130 * US_PER_MIN};
    ck_assert_int_eq(steps_start_us(&s, 100 * US_PER_MIN), s.from_us);
    ck_assert_int_eq(steps_end_us(&s, 100 * US_PER_MIN), s.to_us);
}
END_TEST

START_TEST(floors_before_1970_too)
{
    struct steps s = {.from_us = -3 * US_PER_HOUR, .to_us = 0, .step_us = US_PER_HOUR};
    ck_assert_int_eq(steps_start_us(&s, -1 * US_PER_MIN), -US_PER_HOUR);
    ck_assert_int_eq(steps_end_us(&s, -1 * US_PER_MIN), 0);
}
END_TEST

// Days of a zone, which may be of any length: against looking at each border in turn.
START_TEST(borders_are_found_as_they_were_given)
{
    struct random r = {(uint64_t)_i};
    int64_t at[40];
    size_t n = 2 + (size_t)random_below(&r, 38);
    at[0] = -random_below(&r, 50) * US_PER_MIN;
    for (size_t i = 1; i < n; i++)
        at[i] = at[i - 1] + (1 + random_below(&r, 90)) * US_PER_MIN;
    int64_t from_us = at[0] + random_below(&r, 30) * US_PER_MIN;
    struct steps s = {.from_us = from_us, .to_us = at[n - 1], .at = at, .n = n};
    s.to_us -= min_i64(random_below(&r, 30) * US_PER_MIN, s.to_us - from_us - US_PER_MIN);
    if (s.from_us >= s.to_us)
        return;
    for (int64_t t_us = s.from_us; t_us < s.to_us; t_us += US_PER_MIN / 2) {
        int64_t start_us = s.from_us, end_us = s.to_us;
        for (size_t i = 0; i < n; i++) {
            if (at[i] <= t_us)
                start_us = max_i64(start_us, at[i]);
            else
                end_us = min_i64(end_us, at[i]);
        }
        ck_assert_int_eq(steps_start_us(&s, t_us), start_us);
        ck_assert_int_eq(steps_end_us(&s, t_us), end_us);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("steps");
    tcase_add_test(tc, weeks_begin_on_mondays_and_other_steps_at_1970);
    tcase_add_test(tc, steps_at_the_ends_are_cut_to_the_range);
    tcase_add_test(tc, no_step_is_one_step);
    tcase_add_test(tc, floors_before_1970_too);
    tcase_add_loop_test(tc, borders_are_found_as_they_were_given, 0, 100);
    Suite *suite = suite_create("steps");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
