// SPDX-License-Identifier: Apache-2.0
#include "common/core/timeunit.h"

#include <check.h>
#include <stdio.h>
#include <time.h>

static const struct {
    const char *text;
    int64_t us;
} accepted[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01t00:00:00z", 0},
    {"1969-12-31T23:59:59.999999Z", -1},
    {"1969-12-31T23:59:59.999999999Z", -1}, // floored, also before 1970
    {"2026-11-21T06:14:00Z", INT64_C(1795241640000000)},
    {"2026-11-21T06:14:00.5Z", INT64_C(1795241640500000)},
    {"2026-11-21T06:14:00.123456Z", INT64_C(1795241640123456)},
    {"2026-11-21T06:14:00.1234567Z", INT64_C(1795241640123456)},
    {"2026-11-21T06:14:00.123456999Z", INT64_C(1795241640123456)},
    {"2026-11-21T06:14:00.000000001Z", INT64_C(1795241640000000)},
    {"2026-11-21T08:14:00+02:00", INT64_C(1795241640000000)},
    {"2026-11-21T00:44:00-05:30", INT64_C(1795241640000000)},
    {"2026-11-21T06:14:00-00:00", INT64_C(1795241640000000)},
    {"2026-11-22T06:13:00+23:59", INT64_C(1795241640000000)},
    {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
    {"2000-02-29T00:00:00Z", INT64_C(951782400000000)},
    {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)}, // a leap second is the next second
    {"2017-01-01T00:59:60.5+01:00", INT64_C(1483228800500000)},
    {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
    {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
    {"0001-01-01T00:00:00-01:00", INT64_C(-62135593200000000)},
};

START_TEST(reads_rfc3339)
{
    int64_t us = -7;
    struct str text = str_of(accepted[_i].text);
    ck_assert_msg(time_parse_rfc3339(text, &us) == 0, "refused: %s", accepted[_i].text);
    ck_assert_msg(us == accepted[_i].us, "%s gave %lld", accepted[_i].text, (long long)us);
}
END_TEST

static const char *const refused[] = {
    "",
    "2026",
    "2026-11-21",
    "2026-11-21T06:14:00",             // no zone
    "2026-11-21 06:14:00Z",            // no T
    "2026-11-21T06:14Z",               // no seconds
    "2026-11-21T06:14:00ZZ",           // bytes behind
    "2026-11-21T06:14:00Z ",           //
    " 2026-11-21T06:14:00Z",           // and before
    "2026-11-21T06:14:00.Z",           // a point without digits
    "2026-11-21T06:14:00,5Z",          //
    "2026-11-21T06:14:00.1234567890Z", // ten digits
    "2026-00-21T06:14:00Z",            //
    "2026-13-21T06:14:00Z",            //
    "2026-11-00T06:14:00Z",            //
    "2026-11-31T06:14:00Z",            //
    "2026-02-29T00:00:00Z",            // no leap year
    "2100-02-29T00:00:00Z",            // nor this one
    "2024-02-30T00:00:00Z",            //
    "2026-11-21T24:00:00Z",            //
    "2026-11-21T06:60:00Z",            //
    "2026-11-21T06:14:61Z",            //
    "2026-11-21T06:14:00+24:00",       //
    "2026-11-21T06:14:00+02:60",       //
    "2026-11-21T06:14:00+0200",        //
    "2026-11-21T06:14:00+02",          //
    "2026-11-21T06:14:00 02:00",       //
    "2026-11-21T06:14:00UTC",          //
    "26-11-21T06:14:00Z",              //
    "+026-11-21T06:14:00Z",            //
    "-026-11-21T06:14:00Z",            //
    "2026-1-21T06:14:00Z",             //
    "2026-11-21T6:14:00Z",             //
    "2026-11-21T06:14:0xZ",            //
    "12026-11-21T06:14:00Z",           //
    "0000-12-31T23:59:59Z",            // years begin with 0001
    "0001-01-01T00:00:00+00:01",       // an instant of the year 0
    "9999-12-31T23:59:59-00:01",       // and of the year 10000
    "9999-12-31T23:59:60Z",            //
};

START_TEST(refuses_other_text)
{
    int64_t us = -7;
    ck_assert_msg(time_parse_rfc3339(str_of(refused[_i]), &us) == -1, "accepted: %s", refused[_i]);
    ck_assert_int_eq(us, -7); // the result is untouched
}
END_TEST

START_TEST(refuses_every_prefix_of_a_valid_text)
{
    const char *whole = "2026-11-21T06:14:00.123+02:00";
    int64_t us;
    for (size_t n = 0; n < strlen(whole); n++) {
        // A copy of exactly n bytes, so that a sanitizer sees a read behind the end.
        char *part = xmemdup(whole, n);
        ck_assert_msg(time_parse_rfc3339((struct str){part, n}, &us) == -1, "%zu bytes", n);
        free(part);
    }
    ck_assert_int_eq(time_parse_rfc3339(str_of(whole), &us), 0);
}
END_TEST

START_TEST(refuses_a_nul_byte)
{
    int64_t us;
    ck_assert_int_eq(time_parse_rfc3339(STR_LIT("2026-11-21T06:14:00Z\0"), &us), -1);
    ck_assert_int_eq(time_parse_rfc3339(STR_LIT("2026-11-21\0006:14:00Z"), &us), -1);
}
END_TEST

static const struct {
    int64_t us;
    const char *text;
} formatted[] = {
    {INT64_C(1795241640123400), "2026-11-21T06:14:00.123400Z"},
    {INT64_C(1795241640120000), "2026-11-21T06:14:00.120Z"},
    {INT64_C(1795241640000001), "2026-11-21T06:14:00.000001Z"},
    {0, "1970-01-01T00:00:00Z"},
    {-1, "1969-12-31T23:59:59.999999Z"},
    {1000, "1970-01-01T00:00:00.001Z"},
    {1001, "1970-01-01T00:00:00.001001Z"},
    {500000, "1970-01-01T00:00:00.500Z"},
    {INT64_C(1795241640000000), "2026-11-21T06:14:00Z"},
    {INT64_C(-62135596800000000), "0001-01-01T00:00:00Z"},
    {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
};

START_TEST(writes_rfc3339)
{
    char out[TIME_RFC3339_MAX];
    size_t n = time_format_rfc3339(formatted[_i].us, out);
    ck_assert_uint_eq(n, strlen(formatted[_i].text));
    ck_assert_int_eq(memcmp(out, formatted[_i].text, n), 0);
}
END_TEST

// Against the C library's calendar: every day of the 400-year cycle around today, and the ends.
START_TEST(agrees_with_gmtime_on_every_day)
{
    const int64_t first_day = -62135596800 / 86400, last_day = 253402300799 / 86400;
    for (int64_t day = first_day; day <= last_day; day++) {
        if (day > first_day + 1000 && day < -100000)
            continue;
        if (day > 150000 && day < last_day - 1000)
            continue;
        time_t t = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        struct tm tm;
        gmtime_r(&t, &tm);
        char want[64], got[TIME_RFC3339_MAX];
        int n = snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                         tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        size_t got_n = time_format_rfc3339(t * US_PER_S, got);
        int64_t back_us;
        // Check's own assertions cost more than all of this.
        if (got_n != (size_t)n || memcmp(want, got, got_n) != 0 ||
            time_parse_rfc3339((struct str){got, got_n}, &back_us) != 0 || back_us != t * US_PER_S)
            ck_abort_msg("%s written as %.*s", want, (int)got_n, got);
    }
}
END_TEST

START_TEST(floors_towards_the_past)
{
    ck_assert_int_eq(time_floor_us(0, US_PER_MIN), 0);
    ck_assert_int_eq(time_floor_us(US_PER_MIN - 1, US_PER_MIN), 0);
    ck_assert_int_eq(time_floor_us(US_PER_MIN, US_PER_MIN), US_PER_MIN);
    ck_assert_int_eq(time_floor_us(-1, US_PER_MIN), -US_PER_MIN);
    ck_assert_int_eq(time_floor_us(-US_PER_MIN, US_PER_MIN), -US_PER_MIN);
    ck_assert_int_eq(time_floor_us(-US_PER_MIN - 1, US_PER_MIN), -2 * US_PER_MIN);
    ck_assert_int_eq(time_floor_us(3 * US_PER_HOUR + 5, US_PER_HOUR), 3 * US_PER_HOUR);
}
END_TEST

START_TEST(knows_the_years_that_can_be_named)
{
    ck_assert(time_in_range_us(INT64_C(-62135596800000000)));
    ck_assert(!time_in_range_us(INT64_C(-62135596800000001)));
    ck_assert(time_in_range_us(INT64_C(253402300799999999)));
    ck_assert(!time_in_range_us(INT64_C(253402300800000000)));
    ck_assert(!time_in_range_us(INT64_MIN));
    ck_assert(!time_in_range_us(INT64_MAX));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("timeunit");
    tcase_add_loop_test(tc, reads_rfc3339, 0, ARRAY_LEN(accepted));
    tcase_add_loop_test(tc, refuses_other_text, 0, ARRAY_LEN(refused));
    tcase_add_test(tc, refuses_every_prefix_of_a_valid_text);
    tcase_add_test(tc, refuses_a_nul_byte);
    tcase_add_loop_test(tc, writes_rfc3339, 0, ARRAY_LEN(formatted));
    tcase_add_test(tc, agrees_with_gmtime_on_every_day);
    tcase_add_test(tc, floors_towards_the_past);
    tcase_add_test(tc, knows_the_years_that_can_be_named);
    Suite *suite = suite_create("timeunit");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
