// SPDX-License-Identifier: Apache-2.0
#include "common/core/notice.h"

#include <check.h>

#include "processor/window.h"
#include "tests/sim/random.h"

#define MANY 2000
#define ANY ((size_t)1 << 20)

static int64_t starts_us[MANY];
static size_t count;
static struct buf text;

static void setup(void)
{
    count = 0;
    text = (struct buf){0};
}

static void teardown(void)
{
    buf_free(&text);
}

static void add(int64_t minute)
{
    ck_assert_uint_lt(count, MANY);
    starts_us[count++] = minute * WINDOW_US;
}

static const char *told(size_t bytes_max)
{
    buf_clear(&text);
    notice_add_windows(&text, starts_us, count, bytes_max);
    ck_assert_uint_le(text.n, bytes_max);
    buf_addc(&text, '\0');
    text.n--;
    return text.p;
}

START_TEST(no_window_is_no_text)
{
    ck_assert_str_eq(told(ANY), "");
}
END_TEST

START_TEST(windows_that_touch_are_one_range)
{
    add(29400010);
    ck_assert_str_eq(told(ANY), "29400010-29400010");
    add(29400001);
    add(29400003);
    add(29400000);
    add(29400001); // of another series
    ck_assert_str_eq(told(ANY), "29400000-29400001 29400003-29400003 29400010-29400010");
    add(29400002);
    ck_assert_str_eq(told(ANY), "29400000-29400003 29400010-29400010");
}
END_TEST

START_TEST(it_is_appended)
{
    buf_adds(&text, "NOTIFY '");
    add(7);
    notice_add_windows(&text, starts_us, count, ANY);
    buf_addc(&text, '\0');
    ck_assert_str_eq(text.p, "NOTIFY '7-7");
}
END_TEST

// 3 ranges of 17 bytes, and 2 spaces.
START_TEST(what_is_too_long_by_a_byte_loses_its_smallest_gap)
{
    add(29400000);
    add(29400010);
    add(29400019);
    ck_assert_uint_eq(strlen(told(53)), 53);
    ck_assert_str_eq(told(53), "29400000-29400000 29400010-29400010 29400019-29400019");
    ck_assert_str_eq(told(52), "29400000-29400000 29400010-29400019");
}
END_TEST

START_TEST(of_gaps_of_one_size_the_oldest_is_lost)
{
    for (int i = 0; i < 4; i++)
        add(29400000 + 2 * i);
    ck_assert_str_eq(told(70), "29400000-29400002 29400004-29400004 29400006-29400006");
    ck_assert_str_eq(told(52), "29400000-29400004 29400006-29400006");
}
END_TEST

START_TEST(the_least_room_takes_any_range)
{
    for (int i = 0; i < 1000; i++)
        add(29400000 + 2 * i);
    ck_assert_str_eq(told(NOTICE_RANGE_BYTES), "29400000-29401996 29401998-29401998");
    count = 0;
    add(INT64_MIN / WINDOW_US);
    add(0);
    add(INT64_MAX / WINDOW_US);
    ck_assert_str_eq(told(NOTICE_RANGE_BYTES), "-153722867280-0 153722867280-153722867280");
}
END_TEST

// ---- any windows ----

struct ranges {
    int64_t first[MANY], last[MANY];
    size_t n;
};

static void parse(const char *s, struct ranges *out)
{
    for (out->n = 0; *s; out->n++) {
        char *end;
        out->first[out->n] = strtoll(s, &end, 10);
        ck_assert_int_eq(*end, '-');
        out->last[out->n] = strtoll(end + 1, &end, 10);
        ck_assert_int_le(out->first[out->n], out->last[out->n]);
        ck_assert(*end == ' ' || *end == '\0');
        s = end + (*end == ' ');
        ck_assert(*end == '\0' || *s != '\0');
        ck_assert(out->n == 0 || out->first[out->n] > out->last[out->n - 1] + 1);
    }
}

static bool holds(const struct ranges *r, int64_t minute)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->first[i] <= minute && minute <= r->last[i])
            return true;
    return false;
}

// Every gap that was lost is no larger than any that was kept, and without the last one the text
// would not have fitted.
static void check_joined(const struct ranges *all, const struct ranges *r, size_t bytes_max)
{
    int64_t least_kept = INT64_MAX, most_lost = 0;
    for (size_t i = 1; i < r->n; i++)
        least_kept = min_i64(least_kept, r->first[i] - r->last[i - 1]);
    for (size_t i = 1; i < all->n; i++)
        if (holds(r, all->last[i - 1] + 1))
            most_lost = max_i64(most_lost, all->first[i] - all->last[i - 1]);
    ck_assert_int_le(most_lost, least_kept);
    ck_assert(all->n == r->n || text.n + 18 > bytes_max); // all numbers have 8 digits
}

START_TEST(any_windows_are_told_in_what_room_there_is)
{
    static struct ranges all, fitted;
    struct random r = {(uint64_t)_i};
    size_t n = 1 + (size_t)random_below(&r, MANY - 1);
    int spread = 1 << random_below(&r, 22);
    for (size_t i = 0; i < n; i++)
        add(29400000 + random_below(&r, spread));
    size_t bytes_max = NOTICE_RANGE_BYTES + (size_t)random_below(&r, NOTICE_BYTES_MAX);
    parse(told(ANY), &all);
    int64_t minutes = 0;
    for (size_t i = 0; i < all.n; i++)
        minutes += all.last[i] - all.first[i] + 1;
    parse(told(bytes_max), &fitted);
    for (size_t i = 0; i < n; i++) {
        ck_assert(holds(&all, starts_us[i] / WINDOW_US));
        ck_assert(holds(&fitted, starts_us[i] / WINDOW_US));
        minutes--;
        for (size_t k = 0; k < i; k++)
            if (starts_us[k] == starts_us[i]) {
                minutes++;
                break;
            }
    }
    ck_assert_int_eq(minutes, 0); // and no others
    check_joined(&all, &fitted, bytes_max);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("notice");
    TCase *tc = tcase_create("notice");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, no_window_is_no_text);
    tcase_add_test(tc, windows_that_touch_are_one_range);
    tcase_add_test(tc, it_is_appended);
    tcase_add_test(tc, what_is_too_long_by_a_byte_loses_its_smallest_gap);
    tcase_add_test(tc, of_gaps_of_one_size_the_oldest_is_lost);
    tcase_add_test(tc, the_least_room_takes_any_range);
    tcase_add_loop_test(tc, any_windows_are_told_in_what_room_there_is, 0, 100);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
