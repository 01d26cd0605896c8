// SPDX-License-Identifier: Apache-2.0
// Buckets, recording, merging, quantiles.
#include "tests/unit/hist_case.h"

#define VALUES_MAX 3000

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// ---- index mathematics
// ----------------------------------------------------------------------------

START_TEST(buckets_follow_each_other_without_a_gap)
{
    ck_assert_int_eq(hist_lowest(0), 0);
    for (int i = 0; i < HIST_COUNTS; i++) {
        ck_assert_int_le(hist_lowest(i), hist_highest(i));
        if (i > 0)
            ck_assert_int_eq(hist_lowest(i), hist_highest(i - 1) + 1);
    }
    ck_assert_int_ge(hist_highest(HIST_COUNTS - 1), HIST_MAX_US);
    ck_assert_int_lt(hist_lowest(HIST_COUNTS / 2), HIST_MAX_US);
}
END_TEST

START_TEST(each_border_of_each_bucket_falls_into_it)
{
    for (int i = 0; i < HIST_COUNTS && hist_lowest(i) <= HIST_MAX_US; i++) {
        ck_assert_int_eq(hist_index(hist_lowest(i)), i);
        ck_assert_int_eq(hist_index(min_i64(hist_highest(i), HIST_MAX_US)), i);
    }
}
END_TEST

START_TEST(no_bucket_is_wider_than_one_percent)
{
    for (int i = 1; i < HIST_COUNTS; i++)
        ck_assert_int_le((hist_highest(i) - hist_lowest(i)) * 100, hist_lowest(i));
}
END_TEST

// Made with org.HdrHistogram 2.2.2 (Java), lowest 1, highest 3600000000, 2 digits.
START_TEST(indices_are_those_of_hdrhistogram)
{
    ck_assert_int_eq(hist_index(255), 255);
    ck_assert_int_eq(hist_index(256), 256);
    ck_assert_int_eq(hist_index(257), 256);
    ck_assert_int_eq(hist_index(258), 257);
    ck_assert_int_eq(hist_index(1000), 506);
    ck_assert_int_eq(hist_index(65536), 1280);
    ck_assert_int_eq(hist_index(HIST_MAX_US), 3286);
}
END_TEST

// ---- recording and quantiles
// ----------------------------------------------------------------------

// The definition, on the sorted values: HdrHistogram's bucket end of the value of rank ⌈q·n⌉.
static int64_t naive_quantile(const int64_t *sorted, int n, int permille)
{
    int rank = (permille * n + 999) / 1000;
    int64_t value = min_i64(sorted[rank > 0 ? rank - 1 : 0], HIST_MAX_US);
    return min_i64(hist_highest(hist_index(value)), sorted[n - 1]);
}

START_TEST(quantiles_are_those_of_the_sorted_values)
{
    static int64_t values[VALUES_MAX];
    random_state = (uint64_t)_i + 1;
    int n = _i < 20 ? _i + 1 : (int)(random_u64() % VALUES_MAX) + 1;
    struct hist h = {0};
    record_random(&h, values, n);
    qsort(values, (size_t)n, sizeof(values[0]), compare_i64);
    double q[1001];
    int64_t at_once[ARRAY_LEN(q)];
    for (int permille = 0; permille <= 1000; permille++)
        q[permille] = permille / 1000.0;
    hist_quantiles(&h, q, ARRAY_LEN(q), at_once);
    for (int permille = 0; permille <= 1000; permille++) {
        int64_t want = naive_quantile(values, n, permille);
        ck_assert_int_eq(hist_quantile(&h, q[permille]), want);
        ck_assert_int_eq(at_once[permille], want);
    }
    hist_clear(&h);
}
END_TEST

START_TEST(a_rank_is_not_raised_by_rounding)
{
    struct hist h = {0};
    for (int i = 1; i <= 100; i++)
        hist_record(&h, i);
    for (int i = 1; i <= 100; i++) // 0.07 * 100 is 7.000000000000001
        ck_assert_int_eq(hist_quantile(&h, i / 100.0), i);
    ck_assert_int_eq(hist_quantile(&h, 0.0701), 8);
    hist_clear(&h);
}
END_TEST

START_TEST(counts_and_sums_are_exact)
{
    static int64_t values[VALUES_MAX];
    random_state = 7;
    struct hist h = {0};
    record_random(&h, values, VALUES_MAX);
    int64_t sum = 0, max = 0, clamped = 0;
    for (int i = 0; i < VALUES_MAX; i++) {
        sum += values[i];
        max = max_i64(max, values[i]);
        clamped += values[i] > HIST_MAX_US;
    }
    ck_assert_int_eq(h.total, VALUES_MAX);
    ck_assert_int_eq(h.sum_us, sum);
    ck_assert_int_eq(h.max_us, max);
    ck_assert_int_eq(h.clamped, clamped);
    ck_assert_int_gt(clamped, 0);
    hist_clear(&h);
    ck_assert_int_eq(h.total, 0);
}
END_TEST

START_TEST(an_empty_histogram_has_quantile_zero)
{
    struct hist h = {0};
    ck_assert_int_eq(hist_quantile(&h, 0), 0);
    ck_assert_int_eq(hist_quantile(&h, 0.5), 0);
    ck_assert_int_eq(hist_quantile(&h, 1), 0);
}
END_TEST

START_TEST(a_quantile_never_exceeds_the_exact_maximum)
{
    struct hist h = {0};
    hist_record(&h, 1000000); // its bucket ends at 1003519
    ck_assert_int_gt(hist_highest(hist_index(1000000)), 1000000);
    ck_assert_int_eq(hist_quantile(&h, 0.5), 1000000);
    hist_record(&h, 1002000); // the same bucket
    ck_assert_int_eq(hist_quantile(&h, 0.5), 1002000);
    hist_clear(&h);
}
END_TEST

START_TEST(a_clamped_value_keeps_its_worth_in_sum_and_maximum)
{
    struct hist h = {0};
    hist_record(&h, HIST_MAX_US);
    ck_assert_int_eq(h.clamped, 0);
    hist_record(&h, HIST_MAX_US + 1);
    hist_record(&h, INT64_MAX - 3 * HIST_MAX_US);
    ck_assert_int_eq(h.clamped, 2);
    ck_assert_int_eq(h.total, 3);
    ck_assert_int_eq(h.max_us, INT64_MAX - 3 * HIST_MAX_US);
    ck_assert_int_eq(h.sum_us, INT64_MAX - HIST_MAX_US + 1);
    ck_assert_int_eq(hist_quantile(&h, 1), hist_highest(hist_index(HIST_MAX_US)));
    hist_record(&h, INT64_MAX);
    ck_assert_int_eq(h.sum_us, INT64_MAX); // saturated, not negative
    hist_clear(&h);
}
END_TEST

START_TEST(a_series_of_one_octave_holds_one_chunk)
{
    struct hist h = {0};
    for (int64_t value = 65536; value < 131072; value += 97)
        hist_record(&h, value);
    int chunks = 0;
    for (int c = 0; c < HIST_CHUNKS; c++)
        chunks += h.chunk[c] != NULL;
    ck_assert_int_eq(chunks, 1);
    ck_assert_uint_eq(hist_bytes(&h), HIST_CHUNKS * sizeof(void *) + HIST_CHUNK * sizeof(uint64_t));
    hist_clear(&h);
}
END_TEST

START_TEST(values_take_no_more_memory_than_a_list_of_them_until_they_are_many)
{
    struct hist h = {0};
    for (int i = 0; i < HIST_LISTED_MAX; i++) {
        ck_assert_uint_eq(hist_bytes(&h), i <= HIST_FEW ? 0 : (size_t)i * 2);
        hist_record(&h, i % 2 ? HIST_MAX_US : i * 1000);
    }
    ck_assert_ptr_null(h.chunk);
    hist_record(&h, 0);
    ck_assert_ptr_nonnull(h.chunk);
    ck_assert_int_eq(count_of(&h, 0), 2);
    ck_assert_int_eq(count_of(&h, hist_index(HIST_MAX_US)), HIST_LISTED_MAX / 2);
    hist_clear(&h);
}
END_TEST

static void expect_as_counts(const struct hist *few, const struct hist *counts)
{
    static const double q[] = {0, 0.01, 0.25, 0.5, 0.501, 0.9, 0.99, 1};
    int64_t a[ARRAY_LEN(q)], b[ARRAY_LEN(q)];
    struct hist_filled x[HIST_COUNTS + 1], y[HIST_COUNTS + 1];
    assert_same(few, counts);
    hist_quantiles(few, q, ARRAY_LEN(q), a);
    hist_quantiles(counts, q, ARRAY_LEN(q), b);
    ck_assert_mem_eq(a, b, sizeof(a));
    int n = hist_filled(few, x);
    ck_assert_int_eq(n, hist_filled(counts, y));
    for (int i = 0; i < n; i++)
        ck_assert(x[i].index == y[i].index && x[i].count == y[i].count);
}

// Around all borders, with values that repeat.
START_TEST(a_list_of_values_is_what_their_counts_are)
{
    static const int sizes[] = {
        0,  1,  2,  7,  8,   HIST_FEW - 1,        HIST_FEW,        HIST_FEW + 1,
        31, 32, 33, 64, 200, HIST_LISTED_MAX - 1, HIST_LISTED_MAX, HIST_LISTED_MAX + 1};
    random_state = (uint64_t)_i + 300;
    for (size_t s = 0; s < ARRAY_LEN(sizes) * ARRAY_LEN(sizes); s++) {
        struct hist few[2] = {0}, counts[2] = {0};
        for (int p = 0; p < 2; p++) {
            make_counts(&counts[p]);
            int n = sizes[p ? s % ARRAY_LEN(sizes) : s / ARRAY_LEN(sizes)];
            for (int i = 0; i < n; i++) {
                int64_t value = random_u64() % 3 ? random_value() : (int64_t)(random_u64() % 3);
                hist_record(&few[p], value);
                hist_record(&counts[p], value);
            }
            expect_as_counts(&few[p], &counts[p]);
        }
        struct buf bytes = {0};
        hist_encode(&few[1], &bytes);
        struct hist decoded = {0};
        struct err e;
        hist_add(&decoded, &few[0]);
        ck_assert_int_eq(hist_decode_add(&decoded, bytes.p, bytes.n, &e), 0);
        hist_add(&few[0], &few[1]);
        decoded.sum_us = few[0].sum_us;
        decoded.max_us = few[0].max_us;
        decoded.clamped = few[0].clamped;
        hist_add(&counts[0], &counts[1]);
        expect_as_counts(&few[0], &counts[0]);
        expect_as_counts(&decoded, &counts[0]);
        buf_free(&bytes);
        hist_clear(&decoded);
        for (int p = 0; p < 2; p++) {
            hist_clear(&few[p]);
            hist_clear(&counts[p]);
        }
    }
}
END_TEST

START_TEST(merging_in_any_order_equals_recording_all)
{
    random_state = (uint64_t)_i + 100;
    struct hist part[3] = {0}, whole = {0}, left = {0}, right = {0};
    for (int p = 0; p < 3; p++) {
        for (int i = (int)(random_u64() % 500); i > 0; i--) {
            int64_t value = random_value();
            hist_record(&part[p], value);
            hist_record(&whole, value);
        }
    }
    hist_add(&left, &part[0]); // (0 + 1) + 2
    hist_add(&left, &part[1]);
    hist_add(&left, &part[2]);
    hist_add(&right, &part[2]); // (2 + 1) + 0
    hist_add(&right, &part[1]);
    hist_add(&right, &part[0]);
    assert_same(&left, &whole);
    assert_same(&right, &whole);
    for (int p = 0; p < 3; p++)
        hist_clear(&part[p]);
    hist_clear(&whole);
    hist_clear(&left);
    hist_clear(&right);
}
END_TEST

START_TEST(adding_to_itself_doubles)
{
    struct hist h = {0};
    hist_record(&h, 5);
    hist_record(&h, 7);
    hist_record(&h, 3);
    for (int64_t times = 2; times <= 64; times *= 2) {
        hist_add(&h, &h);
        ck_assert_int_eq(h.total, 3 * times);
        ck_assert_int_eq(h.sum_us, 15 * times);
        ck_assert_int_eq(count_of(&h, 3), times);
        ck_assert_int_eq(count_of(&h, 5), times);
        ck_assert_int_eq(count_of(&h, 7), times);
    }
    hist_clear(&h);
}
END_TEST

static void add_tests(TCase *tc)
{
    tcase_add_test(tc, buckets_follow_each_other_without_a_gap);
    tcase_add_test(tc, each_border_of_each_bucket_falls_into_it);
    tcase_add_test(tc, no_bucket_is_wider_than_one_percent);
    tcase_add_test(tc, indices_are_those_of_hdrhistogram);
    tcase_add_loop_test(tc, quantiles_are_those_of_the_sorted_values, 0, 60);
    tcase_add_test(tc, a_rank_is_not_raised_by_rounding);
    tcase_add_test(tc, counts_and_sums_are_exact);
    tcase_add_test(tc, an_empty_histogram_has_quantile_zero);
    tcase_add_test(tc, a_quantile_never_exceeds_the_exact_maximum);
    tcase_add_test(tc, a_clamped_value_keeps_its_worth_in_sum_and_maximum);
    tcase_add_test(tc, a_series_of_one_octave_holds_one_chunk);
    tcase_add_test(tc, values_take_no_more_memory_than_a_list_of_them_until_they_are_many);
    tcase_add_loop_test(tc, a_list_of_values_is_what_their_counts_are, 0, 8);
    tcase_add_loop_test(tc, merging_in_any_order_equals_recording_all, 0, 20);
    tcase_add_test(tc, adding_to_itself_doubles);
}

int main(void)
{
    TCase *tc = tcase_create("hist");
    add_tests(tc);
    Suite *suite = suite_create("hist");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
