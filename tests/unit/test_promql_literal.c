// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/literal.h"

#include "tests/sim/random.h"

#include <check.h>
#include <math.h>

static void assert_printed(double v, const char *plain, const char *g)
{
    struct buf out = {0};
    literal_print(v, &out);
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.p, plain);
    buf_clear(&out);
    literal_print_g(v, &out);
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.p, g);
    buf_free(&out);
}

START_TEST(numbers_are_written_with_as_few_digits_as_they_need)
{
    assert_printed(0, "0", "0");
    assert_printed(-0.0, "-0", "-0");
    assert_printed(0.1, "0.1", "0.1");
    assert_printed(0.1 + 0.2, "0.30000000000000004", "0.30000000000000004");
    assert_printed(1e-7, "0.0000001", "1e-07");
    assert_printed(0.0001, "0.0001", "0.0001");
    assert_printed(-123456, "-123456", "-123456");
    assert_printed(1234567, "1234567", "1.234567e+06");
    assert_printed(1e22, "10000000000000000000000", "1e+22");
    assert_printed(1e15, "1000000000000000", "1e+15");
    assert_printed(123456789012345680, "123456789012345680", "1.2345678901234568e+17");
    assert_printed(INFINITY, "+Inf", "+Inf");
    assert_printed(-INFINITY, "-Inf", "-Inf");
    assert_printed(NAN, "NaN", "NaN");
}
END_TEST

START_TEST(the_smallest_number_needs_one_digit)
{
    struct buf out = {0};
    literal_print_g(5e-324, &out);
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.p, "5e-324");
    buf_free(&out);
}
END_TEST

START_TEST(any_number_reads_back)
{
    struct random r = {(uint64_t)_i};
    struct buf out = {0};
    for (int i = 0; i < 1000; i++) {
        uint64_t bits = random_next(&r);
        double v, read;
        memcpy(&v, &bits, sizeof(v));
        if (!isfinite(v))
            continue;
        buf_clear(&out);
        literal_print(v, &out);
        ck_assert(literal_float((struct str){out.p, out.n}, &read));
        ck_assert(memcmp(&v, &read, sizeof(v)) == 0);
        buf_clear(&out);
        literal_print_g(v, &out);
        ck_assert(literal_float((struct str){out.p, out.n}, &read));
        ck_assert(memcmp(&v, &read, sizeof(v)) == 0);
    }
    buf_free(&out);
}
END_TEST

START_TEST(bounds_of_buckets_are_numbers_of_go)
{
    static const char *const fine[] = {"+Inf", "-inf", "Infinity", "1",  "-.5",
                                       "1.",   "1e3",  "0x1p-2",   "NaN"};
    static const char *const wrong[] = {"",    " 1",     "1 ",   "1,5",   "1_0",
                                        "0x1", "nan(1)", "inf1", "1e999", "e"};
    double v;
    for (size_t i = 0; i < ARRAY_LEN(fine); i++)
        ck_assert_msg(literal_float(str_of(fine[i]), &v), "%s", fine[i]);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ck_assert_msg(!literal_float(str_of(wrong[i]), &v), "%s", wrong[i]);
}
END_TEST

START_TEST(durations_are_sums_of_units_in_order)
{
    static const struct {
        const char *text;
        int64_t ms; // -1: refused
    } cases[] = {
        {"1ms", 1},
        {"1y1w1d1h1m1s1ms", INT64_C(32230861001)},
        {"0s", 0},
        {"106751d", INT64_C(106751) * 86400000},
        {"106752d", -1}, // more nanoseconds than there are numbers
        {"1m1h", -1},
        {"1m1m", -1},
        {"1", -1},
        {"m", -1},
        {"9223372036854775808s", -1},
        {"99999999999999999999999y", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e;
        int64_t ms = -1;
        int done = literal_duration_ms(str_of(cases[i].text), &ms, &e);
        ck_assert_msg((done == 0) == (cases[i].ms >= 0), "%s", cases[i].text);
        if (done == 0)
            ck_assert_int_eq(ms, cases[i].ms);
    }
}
END_TEST

START_TEST(a_number_may_be_long_but_not_endless)
{
    char text[500];
    double v;
    struct err e;
    memset(text, '1', sizeof(text));
    text[1] = '.';
    ck_assert_int_eq(literal_number((struct str){text, 400}, &v, &e), 0);
    ck_assert_double_eq_tol(v, 10.0 / 9, 1e-9);
    ck_assert_int_eq(literal_number((struct str){text, 401}, &v, &e), -1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("literal");
    tcase_add_test(tc, numbers_are_written_with_as_few_digits_as_they_need);
    tcase_add_test(tc, the_smallest_number_needs_one_digit);
    tcase_add_loop_test(tc, any_number_reads_back, 0, 10);
    tcase_add_test(tc, bounds_of_buckets_are_numbers_of_go);
    tcase_add_test(tc, durations_are_sums_of_units_in_order);
    tcase_add_test(tc, a_number_may_be_long_but_not_endless);
    Suite *suite = suite_create("promql_literal");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
