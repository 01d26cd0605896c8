// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/freshness.h"

#include <check.h>
#include <stdio.h>

#include "common/core/timeunit.h"

#define PLACE FRESHNESS_PLACE_US

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

START_TEST(changes_are_known_to_the_minute)
{
    fresh();
    uint64_t since = f.now;
    freshness_notify(&f, "");
    ck_assert(!freshness_changed(&f, since, INT64_MAX));
    freshness_notify(&f, "120-123 67-67");
    ck_assert(freshness_changed(&f, since, 67 * US_PER_MIN + 1));
    ck_assert(!freshness_changed(&f, since, 67 * US_PER_MIN)); // it begins there
    ck_assert(!freshness_changed(&f, f.now, INT64_MAX));
    since = f.now;
    freshness_notify(&f, "99-99");
    freshness_notify(&f, "200-200");
    ck_assert(freshness_changed(&f, since, 100 * US_PER_MIN));
    ck_assert(!freshness_changed(&f, since + 1, 100 * US_PER_MIN));
    since = f.now;
    freshness_notify(&f, "*");
    ck_assert(freshness_changed(&f, since, 1));
    since = f.now;
    freshness_up(&f);
    ck_assert(freshness_changed(&f, since, 1));
    freshness_notify(&f, "5-5");
    freshness_down(&f); // nobody can tell
    ck_assert(!freshness_changed(&f, since, INT64_MAX));
}
END_TEST

START_TEST(of_many_notifications_the_last_ones_are_known)
{
    fresh();
    uint64_t since = f.now;
    for (int i = 0; i < FRESHNESS_RECENT; i++)
        freshness_notify(&f, "500-500");
    ck_assert(!freshness_changed(&f, since, 500 * US_PER_MIN));
    freshness_notify(&f, "500-500");
    ck_assert(freshness_changed(&f, since, 500 * US_PER_MIN)); // the first of them is forgotten
    ck_assert(!freshness_changed(&f, since + 1, 500 * US_PER_MIN));
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

START_TEST(windows_are_told_apart_by_ten_minutes)
{
    fresh();
    uint64_t since = f.now;
    freshness_notify(&f, "439-440"); // the last minute of one, and the first of the next
    for (int64_t place = 40; place < 50; place++)
        ck_assert(freshness_holds(&f, since, place * PLACE, (place + 1) * PLACE, true) ==
                  (place != 43 && place != 44));
    ck_assert(freshness_holds(&f, since, 0, 430 * US_PER_MIN, true));
    ck_assert(!freshness_holds(&f, since, 0, 430 * US_PER_MIN + 1, true));
    ck_assert(!freshness_holds(&f, since, 450 * US_PER_MIN - 1, 460 * US_PER_MIN, true));
    ck_assert(freshness_holds(&f, since, 450 * US_PER_MIN, 460 * US_PER_MIN, true));
}
END_TEST

// However a range lies to what is looked at together, it is as if each ten minutes were looked at.
START_TEST(ranges_of_any_length_hold_as_their_parts_do)
{
    fresh();
    for (int from = 1; from <= 2 * FRESHNESS_STRIDE; from++) {
        for (int to = from + 1; to <= 5 * FRESHNESS_STRIDE; to++) {
            const int named[] = {from - 1, from, (from + to) / 2, to - 1, to};
            for (int i = 0; i < 5; i++) {
                uint64_t since = f.now;
                char payload[64];
                snprintf(payload, sizeof(payload), "%d-%d", named[i] * 10, named[i] * 10 + 9);
                freshness_notify(&f, payload);
                ck_assert_msg(freshness_holds(&f, since, from * PLACE, to * PLACE, true) ==
                                  (named[i] < from || named[i] >= to),
                              "%d to %d, named %d", from, to, named[i]);
            }
        }
    }
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

// What is longer than is told apart is of every window.
START_TEST(long_ranges_are_bounded)
{
    fresh();
    uint64_t since = f.now;
    freshness_notify(&f, "0-153722867280912");
    ck_assert(!closed_hour_holds(since, 1));
    ck_assert(!closed_hour_holds(since, FRESHNESS_PLACES));
    since = f.now;
    notify_hour(3);
    ck_assert(!freshness_holds(&f, since, 0, FRESHNESS_PLACES * PLACE, true));
    ck_assert(freshness_holds(&f, since, 19 * PLACE, (18 + FRESHNESS_PLACES) * PLACE, true));
    ck_assert(!freshness_holds(&f, since, 19 * PLACE, (19 + FRESHNESS_PLACES) * PLACE, true));
    ck_assert(!freshness_holds(&f, since, 100 * PLACE, (100 + 2 * FRESHNESS_PLACES) * PLACE, true));
    ck_assert(!freshness_holds(&f, since, INT64_MIN, INT64_MAX, true));
    ck_assert(freshness_holds(&f, f.now, 0, 2 * FRESHNESS_PLACES * PLACE, true));
}
END_TEST

// As many ten minutes as are told apart may be named at once; one more, and it is any window.
START_TEST(a_payload_is_bounded)
{
    fresh();
    uint64_t since = f.now;
    char payload[64];
    snprintf(payload, sizeof(payload), "0-%d", FRESHNESS_PLACES * 10 - 1);
    freshness_notify(&f, payload);
    ck_assert_uint_lt(f.all, f.now);
    ck_assert(!freshness_holds(&f, since, 5 * PLACE, 6 * PLACE, true));
    snprintf(payload, sizeof(payload), "0-0 20-%d", FRESHNESS_PLACES * 10 + 9);
    freshness_notify(&f, payload);
    ck_assert_uint_lt(f.all, f.now);
    snprintf(payload, sizeof(payload), "0-0 20-%d", FRESHNESS_PLACES * 10 + 10);
    freshness_notify(&f, payload);
    ck_assert_uint_eq(f.all, f.now);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("freshness");
    TCase *t = tcase_create("all");
    tcase_add_test(t, nothing_holds_while_nothing_is_heard);
    tcase_add_test(t, closed_windows_hold_until_one_of_them_is_named);
    tcase_add_test(t, changes_are_known_to_the_minute);
    tcase_add_test(t, of_many_notifications_the_last_ones_are_known);
    tcase_add_test(t, windows_are_told_apart_by_ten_minutes);
    tcase_add_test(t, ranges_of_any_length_hold_as_their_parts_do);
    tcase_add_test(t, open_windows_hold_until_anything_is_heard);
    tcase_add_test(t, every_range_of_a_payload_counts);
    tcase_add_loop_test(t, what_is_not_understood_may_be_of_any_window, 0,
                        sizeof(strange) / sizeof(strange[0]));
    tcase_add_test(t, long_ranges_are_bounded);
    tcase_add_test(t, a_payload_is_bounded);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
