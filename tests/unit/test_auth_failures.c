// SPDX-License-Identifier: Apache-2.0
#include "common/io/auth_failures.h"

#include "common/core/timeunit.h"

#include <check.h>
#include <stdio.h>

#define PER_MINUTE 6
#define EACH_US (10 * US_PER_S)
#define MAX 4

static struct auth_failures *failures;
static int64_t now_us;

static void begin(void)
{
    static const unsigned char seed[16] = "0123456789abcdef";
    failures = auth_failures_new(PER_MINUTE, MAX, seed);
    now_us = 1000;
}

static void end(void)
{
    auth_failures_free(failures);
}

static int64_t count(const char *address)
{
    bool is_over = auth_failures_is_over(failures, address, now_us);
    int64_t wait_us = auth_failures_add(failures, address, now_us);
    ck_assert_int_eq(is_over, wait_us > 0); // asking tells what counting will, and counts nothing
    return wait_us;
}

static void use_up(const char *address)
{
    for (int i = 0; i < PER_MINUTE; i++)
        ck_assert_int_eq(count(address), 0);
    ck_assert_int_gt(count(address), 0);
}

START_TEST(the_limit_is_exact_and_says_how_long_to_wait)
{
    use_up("192.0.2.1");
    ck_assert_int_eq(count("192.0.2.1"), EACH_US);
    now_us += EACH_US - 1;
    ck_assert_int_eq(count("192.0.2.1"), 1);
    now_us += 1;
    ck_assert_int_eq(count("192.0.2.1"), 0);
    ck_assert_int_eq(count("192.0.2.1"), EACH_US);
}
END_TEST

// What is over the limit is not counted: who goes on trying waits no longer.
START_TEST(failures_over_the_limit_add_nothing)
{
    use_up("192.0.2.1");
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(count("192.0.2.1"), EACH_US);
}
END_TEST

START_TEST(a_minute_of_quiet_gives_everything_back)
{
    use_up("192.0.2.1");
    now_us += US_PER_MIN;
    use_up("192.0.2.1");
    now_us += 100 * US_PER_MIN; // and no more than that
    use_up("192.0.2.1");
}
END_TEST

START_TEST(any_number_a_minute_is_exact)
{
    static const int64_t numbers[] = {1, 7, 60, 61, 999, 999999, 1000000};
    static const unsigned char seed[16];
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct auth_failures *f = auth_failures_new(numbers[i], MAX, seed);
        for (int64_t n = 0; n < numbers[i]; n++)
            ck_assert_int_eq(auth_failures_add(f, "::1", 5), 0);
        ck_assert_int_gt(auth_failures_add(f, "::1", 5), 0);
        auth_failures_free(f);
    }
}
END_TEST

START_TEST(addresses_do_not_disturb_each_other)
{
    use_up("192.0.2.1");
    use_up("192.0.2.2");
    use_up("2001:db8::1");
}
END_TEST

START_TEST(ipv6_counts_by_64_bits_and_ipv4_by_all)
{
    use_up("2001:db8:1:2::1");
    ck_assert_int_gt(count("2001:db8:1:2:ffff:ffff:ffff:ffff"), 0);
    ck_assert_int_eq(count("2001:db8:1:3::1"), 0);
    use_up("0.0.0.0"); // not the same as ::, whose bytes it shares
    ck_assert_int_eq(count("::"), 0);
    ck_assert_uint_eq(auth_failures_count(failures), 4);
}
END_TEST

START_TEST(what_is_no_address_counts_as_one)
{
    use_up("");
    ck_assert_int_gt(count("nowhere"), 0);
    ck_assert_uint_eq(auth_failures_count(failures), 1);
}
END_TEST

static void fill(void)
{
    char address[32];
    for (int i = 0; i < MAX; i++) {
        snprintf(address, sizeof(address), "192.0.2.%d", i);
        use_up(address);
    }
}

START_TEST(with_all_places_taken_newcomers_share_one)
{
    fill();
    ck_assert_int_eq(count("198.51.100.1"), 0);
    for (int i = 1; i < PER_MINUTE; i++)
        ck_assert_int_eq(count(i % 2 ? "198.51.100.2" : "198.51.100.3"), 0);
    ck_assert_int_gt(count("198.51.100.1"), 0);
    ck_assert_int_gt(count("198.51.100.4"), 0);
    ck_assert_int_gt(count("192.0.2.0"), 0); // who was there is still counted
    ck_assert_uint_eq(auth_failures_count(failures), MAX);
}
END_TEST

START_TEST(a_place_is_free_when_its_bucket_is_full_again)
{
    fill();
    now_us += US_PER_MIN - 1;
    ck_assert_int_eq(count("198.51.100.1"), 0); // the shared one
    now_us += 1;
    use_up("198.51.100.1"); // its own
    ck_assert_uint_eq(auth_failures_count(failures), MAX);
    use_up("192.0.2.0"); // it had to give way, and begins anew
}
END_TEST

// The one that failed last is the last to give way.
START_TEST(places_are_taken_from_who_failed_longest_ago)
{
    fill();
    now_us += US_PER_MIN;
    use_up("192.0.2.0");
    use_up("198.51.100.1"); // takes the place of 192.0.2.1
    ck_assert_int_gt(count("192.0.2.0"), 0);
    ck_assert_int_eq(count("192.0.2.1"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("auth_failures");
    TCase *tc = tcase_create("auth_failures");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, the_limit_is_exact_and_says_how_long_to_wait);
    tcase_add_test(tc, failures_over_the_limit_add_nothing);
    tcase_add_test(tc, a_minute_of_quiet_gives_everything_back);
    tcase_add_test(tc, any_number_a_minute_is_exact);
    tcase_add_test(tc, addresses_do_not_disturb_each_other);
    tcase_add_test(tc, ipv6_counts_by_64_bits_and_ipv4_by_all);
    tcase_add_test(tc, what_is_no_address_counts_as_one);
    tcase_add_test(tc, with_all_places_taken_newcomers_share_one);
    tcase_add_test(tc, a_place_is_free_when_its_bucket_is_full_again);
    tcase_add_test(tc, places_are_taken_from_who_failed_longest_ago);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
