// SPDX-License-Identifier: Apache-2.0
#include "processor/closing.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/core/timeunit.h"

#define GRACE_MS 10000
#define WAIT_MS 60000
#define START_MS INT64_C(1790000040000) // of the window
#define AT_MS (START_MS + 60000 + GRACE_MS)
#define NOW_MS (AT_MS + 5000)

static const struct closing_rule rule = {GRACE_MS, WAIT_MS};

static const struct {
    int64_t through_ms, lead_ms, held_since_ms;
    enum closing_verdict verdict;
} cases[] = {
    // Nobody is past it; no partition has a time, or not all have one.
    {AT_MS - 1, AT_MS - 1, TIME_NONE, CLOSING_OPEN},
    {TIME_NONE, TIME_NONE, TIME_NONE, CLOSING_OPEN},
    {TIME_NONE, AT_MS - 1, TIME_NONE, CLOSING_OPEN},
    // Held back since that time does not matter while nobody is past it (any more).
    {AT_MS - 1, AT_MS - 1, NOW_MS - WAIT_MS, CLOSING_OPEN},
    // Somebody is, others are not, or have no time at all.
    {AT_MS - 1, AT_MS, TIME_NONE, CLOSING_HELD},
    {TIME_NONE, AT_MS, TIME_NONE, CLOSING_HELD},
    {AT_MS - 1, AT_MS + 3600000, NOW_MS, CLOSING_HELD},
    {AT_MS - 1, AT_MS, NOW_MS - WAIT_MS + 1, CLOSING_HELD},
    {AT_MS - 1, AT_MS, NOW_MS - WAIT_MS, CLOSING_PARTIAL},
    {TIME_NONE, AT_MS, NOW_MS - WAIT_MS, CLOSING_PARTIAL},
    // A clock that was set back holds it for longer, never shorter.
    {AT_MS - 1, AT_MS, NOW_MS + 1, CLOSING_HELD},
    // All are.
    {AT_MS, AT_MS, TIME_NONE, CLOSING_COMPLETE},
    {AT_MS, AT_MS + 1, NOW_MS - WAIT_MS, CLOSING_COMPLETE},
};

START_TEST(judges_by_who_is_past_the_end_and_the_grace)
{
    const struct closing_window w = {START_MS * US_PER_MS, _i % 2, cases[_i / 2].held_since_ms};
    const struct closing_progress progress = {cases[_i / 2].through_ms, cases[_i / 2].lead_ms};
    // Whether it was closed without some partitions before changes nothing.
    ck_assert_int_eq(closing_judge(&w, &rule, &progress, NOW_MS), cases[_i / 2].verdict);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("closing");
    TCase *tc = tcase_create("closing");
    tcase_add_loop_test(tc, judges_by_who_is_past_the_end_and_the_grace, 0,
                        2 * (int)ARRAY_LEN(cases));
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
