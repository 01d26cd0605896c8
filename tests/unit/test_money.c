// SPDX-License-Identifier: Apache-2.0
#include "common/core/money.h"

#include "tests/sim/random.h"

#include <check.h>

static struct buf text;
static struct err e;

static void make(void)
{
    text = (struct buf){0};
    e = (struct err){.offset = -2};
}

static void clear(void)
{
    buf_free(&text);
}

static const char *decimal(money m)
{
    buf_clear(&text);
    money_add_decimal(&text, m);
    buf_addc(&text, '\0');
    return text.p;
}

static money parsed(const char *s)
{
    money m = -7;
    ck_assert_msg(money_parse(str_of(s), &m, &e) == 0, "%s: %s", s, e.detail);
    return m;
}

#define MOST "99999999999999999999999999.999999999999"

// ---- decimals ----

static const struct {
    const char *decimal;
    money m;
} shown[] = {
    {"0", 0},
    {"0.000000000001", 1},
    {"-0.000000000001", -1},
    {"0.0125", 12500000000},
    {"12.5", 12500000000000},
    {"-3", -3 * (money)MONEY_PER_USD},
    {"10", 10 * (money)MONEY_PER_USD},
    {"100.01", 100010000000000},
    {"9223372.036854775807", INT64_MAX},
    {"-9223372.036854775808", INT64_MIN},
    {"9223372.036854775808", (money)INT64_MAX + 1},
    {MOST, MONEY_MAX},
    {"-" MOST, -MONEY_MAX},
};

START_TEST(shows_the_shortest_exact_decimal_and_reads_it_back)
{
    ck_assert_str_eq(decimal(shown[_i].m), shown[_i].decimal);
    ck_assert(parsed(shown[_i].decimal) == shown[_i].m);
}
END_TEST

START_TEST(the_greatest_amount_is_what_38_digits_hold)
{
    money m = 0;
    for (int i = 0; i < 38; i++)
        m = m * 10 + 9;
    ck_assert(MONEY_MAX == m);
}
END_TEST

START_TEST(showing_appends)
{
    buf_adds(&text, "USD ");
    money_add_decimal(&text, 5);
    money_add_decimal(&text, -5);
    ck_assert(str_eq((struct str){text.p, text.n}, STR_LIT("USD 0.000000000005-0.000000000005")));
}
END_TEST

START_TEST(every_amount_comes_back)
{
    struct random r = {(uint64_t)_i};
    for (int i = 0; i < 2000; i++) {
        money m = (money)(((unsigned __int128)random_next(&r) << 64 | random_next(&r)) >>
                          random_below(&r, 127));
        m = m < 0 ? -(m >> 1) : m;
        m %= MONEY_MAX + 1;
        ck_assert_msg(parsed(decimal(m)) == m, "%s", text.p);
    }
}
END_TEST

static const struct {
    const char *text;
    money m;
} read_too[] = {
    {"+1", MONEY_PER_USD},
    {"-0", 0},
    {"007", 7 * (money)MONEY_PER_USD},
    {"1.", MONEY_PER_USD},
    {".5", MONEY_PER_USD / 2},
    {"1.50", 3 * (money)MONEY_PER_USD / 2},
    {"0.0000000000010", 1}, // 13 decimals, the last a zero
    {"1.000000000000000000000000000000000000000000000000", MONEY_PER_USD},
    {"00000000000000000000000000000000000000000000000000000000001", MONEY_PER_USD},
    {MOST "0", MONEY_MAX},
};

START_TEST(reads_other_ways_to_write_it)
{
    ck_assert(parsed(read_too[_i].text) == read_too[_i].m);
}
END_TEST

static const struct {
    struct str text;
    const char *says;
} refused[] = {
    {STR_LIT(""), "12 decimals"},
    {STR_LIT("."), "12 decimals"},
    {STR_LIT("-"), "12 decimals"},
    {STR_LIT("+."), "12 decimals"},
    {STR_LIT("--1"), "12 decimals"},
    {STR_LIT("+-1"), "12 decimals"},
    {STR_LIT("1-"), "12 decimals"},
    {STR_LIT("1.2.3"), "12 decimals"},
    {STR_LIT("1,5"), "12 decimals"},
    {STR_LIT("1e3"), "12 decimals"},
    {STR_LIT("0x10"), "12 decimals"},
    {STR_LIT(" 1"), "12 decimals"},
    {STR_LIT("1 "), "12 decimals"},
    {STR_LIT("1\0"), "12 decimals"},
    {STR_LIT("$1"), "12 decimals"},
    {STR_LIT("NaN"), "12 decimals"},
    {STR_LIT("0.0000000000001"), "12 decimals"},
    {STR_LIT("0.00000000000000000001"), "12 decimals"},
    {STR_LIT("100000000000000000000000000"), "larger"}, // MONEY_MAX + 1 picodollar
    {STR_LIT("-100000000000000000000000000"), "larger"},
    {STR_LIT("1000000000000000000000000000000000000000"), "larger"},
    {STR_LIT("340282366920938463463374607431768211457"), "larger"}, // 2^128 + 1
};

START_TEST(refuses_what_is_no_amount_and_says_what_is_wanted)
{
    money m = 77;
    ck_assert_int_eq(money_parse(refused[_i].text, &m, &e), -1);
    ck_assert_msg(strstr(e.detail, refused[_i].says) != NULL, "%s", e.detail);
    ck_assert(m == 77);
}
END_TEST

// ---- sums ----

START_TEST(sums_stay_at_the_greatest_amount_of_either_sign)
{
    ck_assert(money_add(1, 2) == 3);
    ck_assert(money_add(1, -2) == -1);
    ck_assert(money_add(MONEY_MAX - 1, 1) == MONEY_MAX);
    ck_assert(money_add(MONEY_MAX, 1) == MONEY_MAX);
    ck_assert(money_add(MONEY_MAX, MONEY_MAX) == MONEY_MAX); // beyond 128 bits, too
    ck_assert(money_add(MONEY_MAX, -MONEY_MAX) == 0);
    ck_assert(money_add(1 - MONEY_MAX, -1) == -MONEY_MAX);
    ck_assert(money_add(-MONEY_MAX, -1) == -MONEY_MAX);
    ck_assert(money_add(-MONEY_MAX, -MONEY_MAX) == -MONEY_MAX);
}
END_TEST

START_TEST(a_product_of_two_int64_is_exact_and_within_bounds)
{
    money most = money_times(INT64_MIN, INT64_MIN); // 2^126
    ck_assert_str_eq(decimal(most), "85070591730234615865843651.857942052864");
    ck_assert(most < MONEY_MAX);
    ck_assert(money_times(INT64_MAX, INT64_MIN) > -MONEY_MAX);
    ck_assert(money_times(3000000000, 75000000) == (money)225000 * MONEY_PER_USD);
    ck_assert(money_times(0, INT64_MAX) == 0);
}
END_TEST

// ---- for showing ----

static const struct {
    const char *decimal;
    double usd;
} doubles[] = {
    {"0", 0},
    {"12.5", 12.5},
    {"-0.1", -0.1},
    {"0.000000000001", 1e-12},
    {"9223372.036854775807", 9223372.036854775807},
    {"9007.199254740992", 9007.199254740992}, // 2^53 picodollars
    {"9007.199254740993", 9007.199254740993},
    {"-9007.199254740993", -9007.199254740993},
    {"9007.199254740995", 9007.199254740995},
    // Dividing the rounded picodollars by 1e12 gives a neighbour of these.
    {"5259979.066121302517", 5259979.066121302517},
    {"7085780.279211968901", 7085780.279211968901},
    {MOST, 1e26},
};

START_TEST(shows_the_nearest_double)
{
    ck_assert(money_usd(parsed(doubles[_i].decimal)) == doubles[_i].usd);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("money");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_loop_test(tc, shows_the_shortest_exact_decimal_and_reads_it_back, 0,
                        ARRAY_LEN(shown));
    tcase_add_test(tc, the_greatest_amount_is_what_38_digits_hold);
    tcase_add_test(tc, showing_appends);
    tcase_add_loop_test(tc, every_amount_comes_back, 0, 20);
    tcase_add_loop_test(tc, reads_other_ways_to_write_it, 0, ARRAY_LEN(read_too));
    tcase_add_loop_test(tc, refuses_what_is_no_amount_and_says_what_is_wanted, 0,
                        ARRAY_LEN(refused));
    tcase_add_test(tc, sums_stay_at_the_greatest_amount_of_either_sign);
    tcase_add_test(tc, a_product_of_two_int64_is_exact_and_within_bounds);
    tcase_add_loop_test(tc, shows_the_nearest_double, 0, ARRAY_LEN(doubles));
    Suite *suite = suite_create("money");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
