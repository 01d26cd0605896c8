// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/heatmap.h"

#include "tests/sim/random.h"

#include <check.h>

#define VALUES 300

static struct hist h;
static struct heatmap m;
static int64_t counts[HEATMAP_BORDERS_MAX + 1];

static void make(void)
{
    h = (struct hist){0};
}

static void clear(void)
{
    hist_clear(&h);
}

// Against the values themselves, of which a histogram only knows the buckets.
START_TEST(counts_are_exact)
{
    struct random r = {(uint64_t)_i};
    int64_t values[VALUES];
    size_t n = 1 + (size_t)random_below(&r, VALUES);
    int bits = 1 + random_below(&r, 32);
    for (size_t i = 0; i < n; i++) {
        values[i] = (int64_t)(random_next(&r) >> 32 >> random_below(&r, bits));
        if (random_chance(&r, 10)) // on a power of two, or beside it
            values[i] = (INT64_C(1) << random_below(&r, 32)) - random_below(&r, 2);
        hist_record(&h, values[i]);
    }
    heatmap_borders(&h, &m);
    ck_assert_uint_le(m.n, HEATMAP_BORDERS_MAX);
    heatmap_count(&m, &h, counts);
    for (size_t b = 0; b <= m.n; b++) {
        int64_t above = b > 0 ? m.le_us[b - 1] : -1, le = b < m.n ? m.le_us[b] : INT64_MAX;
        int64_t want = 0;
        ck_assert_int_lt(above, le);
        for (size_t i = 0; i < n; i++)
            want += values[i] > above && values[i] <= le;
        ck_assert_int_eq(counts[b], want);
    }
    if (m.n > 0) // no empty ends
        ck_assert(counts[0] > 0 && (counts[m.n - 1] > 0 || counts[m.n] > 0));
}
END_TEST

START_TEST(borders_are_half_octaves_from_zero_to_54_minutes)
{
    hist_record(&h, 0);
    hist_record(&h, HIST_MAX_US);
    heatmap_borders(&h, &m);
    ck_assert_uint_eq(m.n, HEATMAP_BORDERS_MAX);
    static const int64_t first[] = {0, 1, 2, 3, 5, 7, 11, 15, 23, 31, 47, 63};
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        ck_assert_int_eq(m.le_us[i], first[i]);
    ck_assert_int_eq(m.le_us[HEATMAP_BORDERS_MAX - 1], (INT64_C(3) << 30) - 1);
    for (size_t i = 0; i < m.n; i++) {
        ck_assert_int_eq(hist_highest(hist_index(m.le_us[i])), m.le_us[i]);
        if (i > 2)
            ck_assert(m.le_us[i] + 1 == 2 * (m.le_us[i - 2] + 1));
    }
}
END_TEST

START_TEST(one_value_has_one_border)
{
    hist_record(&h, 1000);
    heatmap_borders(&h, &m);
    ck_assert_uint_eq(m.n, 1);
    ck_assert_int_eq(m.le_us[0], 1023);
}
END_TEST

START_TEST(what_is_above_all_borders_is_in_the_last_bucket)
{
    hist_record(&h, HIST_MAX_US + 5); // clamped
    hist_record(&h, INT64_C(3) << 30);
    heatmap_borders(&h, &m);
    ck_assert_uint_eq(m.n, 0);
    heatmap_count(&m, &h, counts);
    ck_assert_int_eq(counts[0], 2);
    hist_record(&h, (INT64_C(3) << 30) - 1);
    heatmap_borders(&h, &m);
    ck_assert_uint_eq(m.n, 1);
    heatmap_count(&m, &h, counts);
    ck_assert_int_eq(counts[0], 1);
    ck_assert_int_eq(counts[1], 2);
}
END_TEST

START_TEST(nothing_has_no_borders_and_counts_nothing)
{
    heatmap_borders(&h, &m);
    ck_assert_uint_eq(m.n, 0);
    counts[0] = 7;
    heatmap_count(&m, &h, counts);
    ck_assert_int_eq(counts[0], 0);
}
END_TEST

// One step of many: with the borders of all of them.
START_TEST(a_part_is_counted_within_the_borders_of_the_whole)
{
    struct hist part = {0};
    hist_record(&part, 100);
    hist_record(&part, 100000);
    hist_record(&h, 20);
    hist_record(&h, 3000000);
    hist_add(&h, &part);
    heatmap_borders(&h, &m);
    heatmap_count(&m, &part, counts);
    int64_t sum = 0;
    for (size_t i = 0; i <= m.n; i++) {
        bool filled = i < m.n && (m.le_us[i] == 127 || m.le_us[i] == 131071);
        ck_assert_int_eq(counts[i], filled);
        sum += counts[i];
    }
    ck_assert_int_eq(sum, part.total);
    hist_clear(&part);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("heatmap");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_loop_test(tc, counts_are_exact, 0, 200);
    tcase_add_test(tc, borders_are_half_octaves_from_zero_to_54_minutes);
    tcase_add_test(tc, one_value_has_one_border);
    tcase_add_test(tc, what_is_above_all_borders_is_in_the_last_bucket);
    tcase_add_test(tc, nothing_has_no_borders_and_counts_nothing);
    tcase_add_test(tc, a_part_is_counted_within_the_borders_of_the_whole);
    Suite *suite = suite_create("heatmap");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
