// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/freshness.h"

#include <check.h>
#include <stdio.h>

#include "common/core/timeunit.h"

static struct freshness f;

static void fresh(void)
{
    f = (struct freshness){0};
    freshness_up(&f);
}

static bool closed_hour_holds(uint64_t since, int64_t hour)
{
    return freshness_holds(&f, since, hour * US_PER_HOUR, (hour + 1) * US_PER_HOUR, true);
}

static void notify_hour(int64_t hour)
{
    char payload[64];
    snprintf(payload, sizeof(payload), "%lld-%lld", (long long)hour * 60, (long long)hour * 60 + 3);
    freshness_notify(&f, payload);
}

START_TEST(nothing_holds_while_nothing_is_heard)
{
    f = (struct freshness){0};
    ck_assert(!closed_hour_holds(0, 5));
    freshness_up(&f);
    uint64_t since = f.now;
    ck_assert(closed_hour_holds(since, 5));
    freshness_down(&f);
    ck_assert(!closed_hour_holds(since, 5));
    freshness_up(&f); // something may have been missed
    ck_assert(!closed_hour_holds(since, 5));
    ck_assert(closed_hour_holds(f.now, 5));
}
END_TEST

START_TEST(closed_windows_hold_until_one_of_them_is_named)
{
    fresh();
    uint64_t since = f.now;
    notify_hour(7);
    ck_assert(closed_hour_holds(since, 6));
    ck_assert(!closed_hour_holds(since, 7));
    ck_assert(closed_hour_holds(since, 8));
    ck_assert(closed_hour_holds(f.now, 7)); // read afterwards
    ck_assert(!freshness_holds(&f, since, 0, 8 * US_PER_HOUR, true));
    ck_assert(freshness_holds(&f, since, 0, 7 * US_PER_HOUR, true)); // half-open
    ck_assert(!freshness_holds(&f, since, 0, 7 * US_PER_HOUR + 1, true));
}
END_TEST

START_TEST(open_windows_hold_until_anything_is_heard)
{
    fresh();
    uint64_t since = f.now;
    ck_assert(freshness_holds(&f, since, 0, US_PER_HOUR, false));
    freshness_notify(&f, ""); // positions moved alone
    ck_assert(!freshness_holds(&f, since, 0, US_PER_HOUR, false));
    ck_assert(freshness_holds(&f, since, 0, US_PER_HOUR, true));
}
END_TEST

START_TEST(every_range_of_a_payload_counts)
{
    fresh();
    uint64_t since = f.now;
    freshness_notify(&f, "60-60 179-181 600-600"); // hours 1, 2, 3 and 10
    for (int64_t hour = 0; hour < 12; hour++)
        ck_assert_msg(closed_hour_holds(since, hour) == !((hour >= 1 && hour <= 3) || hour == 10),
                      "hour %d", (int)hour);
}
END_TEST

static const char *const strange[] = {
    "*",
    "x",
    "1",
    "1-",
    "-1",
    "2-1",
    "1-2,3-4",
    " 1-2",
    "1-2x",
    "1-2 3-",
    "1--2",
    "1 2",
    "١-٢",
    "1-99999999999999999999",
    "99999999999999999999-1",
};
START_TEST(what_is_not_understood_may_be_of_any_window)
{
    fresh();
    uint64_t since = f.now;
    freshness_notify(&f, strange[_i]);
    ck_assert(!closed_hour_holds(since, 400000));
    ck_assert(closed_hour_holds(f.now, 400000));
}
END_TEST

// A range that is longer than what is told apart is of every hour; and one of all time ends.
START_TEST(long_ranges_are_bounded)
{
    fresh();
    uint64_t since = f.now;
    freshness_notify(&f, "0-153722867280912");
    ck_assert(!closed_hour_holds(since, 1));
    ck_assert(!closed_hour_holds(since, FRESHNESS_HOURS + 5));
    since = f.now;
    notify_hour(3);
    ck_assert(!freshness_holds(&f, since, 0, FRESHNESS_HOURS * US_PER_HOUR, true));
    ck_assert(!freshness_holds(&f, since, 100 * US_PER_HOUR,
                               (100 + 2 * FRESHNESS_HOURS) * US_PER_HOUR, true));
    ck_assert(!freshness_holds(&f, since, INT64_MIN, INT64_MAX, true));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("freshness");
    TCase *t = tcase_create("all");
    tcase_add_test(t, nothing_holds_while_nothing_is_heard);
    tcase_add_test(t, closed_windows_hold_until_one_of_them_is_named);
    tcase_add_test(t, open_windows_hold_until_anything_is_heard);
    tcase_add_test(t, every_range_of_a_payload_counts);
    tcase_add_loop_test(t, what_is_not_understood_may_be_of_any_window, 0,
                        sizeof(strange) / sizeof(strange[0]));
    tcase_add_test(t, long_ranges_are_bounded);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
