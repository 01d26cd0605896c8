// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/buckets.h"

#include <check.h>
#include <math.h>

// Bounds 1, 2, 4, +Inf, in no order.
static size_t make(struct bucket *b, double one, double two, double four, double all)
{
    b[0] = (struct bucket){4, four};
    b[1] = (struct bucket){INFINITY, all};
    b[2] = (struct bucket){1, one};
    b[3] = (struct bucket){2, two};
    return 4;
}

static double quantile(double phi, double one, double two, double four, double all)
{
    struct bucket b[4];
    struct buckets_forced forced;
    return buckets_quantile(phi, b, make(b, one, two, four, all), &forced);
}

static double fraction(double lower, double upper, double one, double two, double four, double all)
{
    struct bucket b[4];
    return buckets_fraction(lower, upper, b, make(b, one, two, four, all));
}

START_TEST(values_are_spread_evenly_within_a_bucket)
{
    ck_assert_double_eq(quantile(0.05, 10, 30, 90, 100), 0.5);
    ck_assert_double_eq(quantile(0.1, 10, 30, 90, 100), 1);
    ck_assert_double_eq(quantile(0.2, 10, 30, 90, 100), 1.5);
    ck_assert_double_eq(quantile(0.6, 10, 30, 90, 100), 3);
    ck_assert_double_eq(fraction(0.5, 3, 10, 30, 90, 100), 0.55);
    ck_assert_double_eq(fraction(-INFINITY, INFINITY, 10, 30, 90, 100), 1);
    ck_assert_double_eq(fraction(3, 3, 10, 30, 90, 100), 0);
}
END_TEST

START_TEST(the_last_bucket_has_no_end)
{
    ck_assert_double_eq(quantile(0.95, 10, 30, 90, 100), 4);
    ck_assert_double_eq(fraction(0, 1000, 10, 30, 90, 100), 0.9);
}
END_TEST

START_TEST(what_is_no_quantile_or_no_histogram_has_none)
{
    struct bucket b[] = {{1, 5}, {2, 6}};
    struct bucket alone[] = {{INFINITY, 5}};
    struct buckets_forced forced;
    ck_assert_double_nan(quantile(NAN, 1, 2, 3, 4));
    ck_assert(quantile(-0.1, 1, 2, 3, 4) == -INFINITY && quantile(1.1, 1, 2, 3, 4) == INFINITY);
    ck_assert_double_nan(quantile(0.5, 0, 0, 0, 0));
    ck_assert_double_nan(buckets_quantile(0.5, b, 2, &forced));
    ck_assert_double_nan(buckets_quantile(0.5, alone, 1, &forced));
    ck_assert_double_nan(fraction(0, 1, 0, 0, 0, 0));
    ck_assert_double_nan(fraction(NAN, 1, 1, 2, 3, 4));
    ck_assert_double_nan(buckets_fraction(0, 1, b, 2));
}
END_TEST

START_TEST(counts_do_not_fall)
{
    struct bucket b[4];
    struct buckets_forced forced;
    size_t n = make(b, 10, 8, 20, 15);
    ck_assert_double_eq(buckets_quantile(0.75, b, n, &forced), 3);
    ck_assert(forced.any);
    ck_assert_double_eq(forced.min_upper, 2);
    ck_assert(isinf(forced.max_upper));
    ck_assert_double_eq(forced.max_difference, 5);
    // What rounding explains is put right without a word.
    n = make(b, 10, 10 - 1e-13, 20, 20);
    ck_assert_double_eq(buckets_quantile(0.75, b, n, &forced), 3);
    ck_assert(!forced.any);
    ck_assert_double_eq(fraction(0, 3, 10, 30, 90, 50), 1); // never more than all
}
END_TEST

START_TEST(bounds_that_come_twice_are_one_bucket)
{
    struct bucket b[] = {{1, 5}, {INFINITY, 10}, {1, 5}, {INFINITY, 10}};
    struct buckets_forced forced;
    ck_assert_double_eq(buckets_quantile(0.25, b, 4, &forced), 0.5);
}
END_TEST

START_TEST(below_zero_there_is_no_natural_bound)
{
    struct bucket b[] = {{-1, 10}, {1, 20}, {INFINITY, 20}};
    struct buckets_forced forced;
    ck_assert_double_eq(buckets_quantile(0.1, b, 3, &forced), -1);
    ck_assert_double_eq(buckets_quantile(0.75, b, 3, &forced), 0);
    ck_assert_double_eq(buckets_fraction(-5, 0, b, 3), 0.25);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("buckets");
    tcase_add_test(tc, values_are_spread_evenly_within_a_bucket);
    tcase_add_test(tc, the_last_bucket_has_no_end);
    tcase_add_test(tc, what_is_no_quantile_or_no_histogram_has_none);
    tcase_add_test(tc, counts_do_not_fall);
    tcase_add_test(tc, bounds_that_come_twice_are_one_bucket);
    tcase_add_test(tc, below_zero_there_is_no_natural_bound);
    Suite *suite = suite_create("promql_buckets");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
