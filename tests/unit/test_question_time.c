// SPDX-License-Identifier: Apache-2.0
// Times, durations and what ranges and steps come of them. tests/integration/test_times.py holds
// times to another calendar.
#include "metrics-api/question_time.h"
#include "tests/unit/question_case.h"

#define METRICS ENDPOINT_METRICS
#define NO INT64_MIN

static const struct {
    const char *text;
    int64_t us;
} durations[] = {
    {"0", 0},
    {"1", US_PER_S},
    {"300", 300 * US_PER_S},
    {"90s", 90 * US_PER_S},
    {"5m", 5 * US_PER_MIN},
    {"005m", 5 * US_PER_MIN},
    {"1h", US_PER_HOUR},
    {"1d", US_PER_DAY},
    {"1w", 7 * US_PER_DAY},
    {"1h30m", 90 * US_PER_MIN},
    {"1h0m0s", US_PER_HOUR},
    {"1w1d1h1m1s", 8 * US_PER_DAY + US_PER_HOUR + US_PER_MIN + US_PER_S},
    {"36500d", 36500 * US_PER_DAY},
    {"3153600000", 36500 * US_PER_DAY},
    {"36500d1s", NO},
    {"36501d", NO},
    {"3153600001", NO},
    {"99999999999999999999999w", NO},
    {"9223372036854775808", NO},
    {"", NO},
    {"m", NO},
    {"5x", NO},
    {"5M", NO},
    {"5ms", NO},
    {"5 m", NO},
    {" 5m", NO},
    {"5m ", NO},
    {"-5m", NO},
    {"+5m", NO},
    {"1.5h", NO},
    {"30m1h", NO},
    {"1m1m", NO},
    {"1h30", NO},
    {"1hm", NO},
    {"1h,30m", NO},
};

START_TEST(durations_are_numbers_with_units_downwards)
{
    int64_t us = NO;
    int rc = question_duration_parse(str_of(durations[_i].text), &us);
    ck_assert_msg(rc == (durations[_i].us == NO ? -1 : 0), "%s", durations[_i].text);
    ck_assert_int_eq(us, durations[_i].us);
}
END_TEST

static const struct {
    const char *text, *is; // as a whole minute; NULL: refused
} times[] = {
    {"2026-11-21T06:14:00Z", "2026-11-21T06:14:00Z"},
    {"2026-11-21T06:14:00.000001Z", "2026-11-21T06:15:00Z"},
    {"2026-11-21T06:13:00.000001Z", "2026-11-21T06:14:00Z"},
    {"2026-11-21t06:14:59.999999999z", "2026-11-21T06:15:00Z"},
    {"2026-11-21T06:14:00+02:00", "2026-11-21T04:14:00Z"},
    {"2026-11-21T06:14:00 02:00", "2026-11-21T04:14:00Z"}, // a + that was not escaped
    {"2026-11-21T06:14:00-05:30", "2026-11-21T11:44:00Z"},
    {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
    {"9999-12-31T23:59:00Z", "9999-12-31T23:59:00Z"},
    {"9999-12-31T23:59:00.1Z", NULL}, // the next minute is in the year 10000
    {"0001-01-01T00:00:00+01:00", NULL},
    {"1795320306", "2026-11-22T04:06:00Z"},
    {"1795320306.5", "2026-11-22T04:06:00Z"},
    {"1795320300", "2026-11-22T04:05:00Z"},
    {"1795320300.000000", "2026-11-22T04:05:00Z"},
    {"1795320300.000001", "2026-11-22T04:06:00Z"},
    {"1795320300.000000999", "2026-11-22T04:05:00Z"}, // below a µs
    {"1795320300000", "2026-11-22T04:05:00Z"},
    {"1795320300001", "2026-11-22T04:06:00Z"},
    {"1795320300000.001", "2026-11-22T04:06:00Z"},
    {"0", "1970-01-01T00:00:00Z"},
    {"0.000001", "1970-01-01T00:01:00Z"},
    {"60", "1970-01-01T00:01:00Z"},
    {"99999999999", "5138-11-16T09:47:00Z"},  // the last that is seconds
    {"100000000000", "1973-03-03T09:47:00Z"}, // the first that is milliseconds
    {"253402300740000", "9999-12-31T23:59:00Z"},
    {"253402300740001", NULL},
    {"253402300800000", NULL},
    {"999999999999999", NULL},
    {"1000000000000000", NULL},
    {"99999999999999999999999999999999", NULL},
    {"now", "2026-11-22T04:06:00Z"},
    {"now-1h", "2026-11-22T03:06:00Z"},
    {"now-6s", "2026-11-22T04:06:00Z"},
    {"now-7s", "2026-11-22T04:05:00Z"},
    {"now-1w2d", "2026-11-13T04:06:00Z"},
    {"now+5m", "2026-11-22T04:11:00Z"},
    {"now 5m", "2026-11-22T04:11:00Z"},
    {"now-3600", "2026-11-22T03:06:00Z"},
    {"now-0m", "2026-11-22T04:06:00Z"},
    {"now-36500d", "1926-12-17T04:06:00Z"},
    {"now-36501d", NULL},
    {"now-", NULL},
    {"now--1h", NULL},
    {"now-1.5h", NULL},
    {"now-30m1h", NULL},
    {"now/d", NULL},
    {"now1h", NULL},
    {"nowish", NULL},
    {"Now", NULL},
    {"", NULL},
    {"-1", NULL},
    {"+1", NULL},
    {"1e9", NULL},
    {"0x10", NULL},
    {".5", NULL},
    {"5.", NULL},
    {"5.1234567890", NULL}, // 10 decimals
    {"5.5.5", NULL},
    {"2026-11-21", NULL},
    {"2026-11-21T06:14:00", NULL},
    {"2026-11-21 06:14:00Z", NULL},
    {"2026-02-29T00:00:00Z", NULL},
    {"0000000000000000000000000000000000000000000000000000000000000000", "1970-01-01T00:00:00Z"},
    {"00000000000000000000000000000000000000000000000000000000000000000", NULL}, // 65 bytes
};

START_TEST(times_become_whole_minutes)
{
    struct question_time t;
    int64_t us = NO;
    bool fine = question_time_parse(str_of(times[_i].text), &t) == 0 &&
                question_time_resolve(&t, NOW_US, &us) == 0;
    ck_assert_msg(fine == (times[_i].is != NULL), "%s", times[_i].text);
    if (fine)
        ck_assert_int_eq(us, at_us(times[_i].is));
}
END_TEST

START_TEST(an_instant_may_be_taken_down_to_its_minute)
{
    static const struct {
        const char *text, *is;
    } down[] = {
        {"now", "2026-11-22T04:05:00Z"},
        {"2026-11-22T04:05:00Z", "2026-11-22T04:05:00Z"},
        {"2026-11-22T04:05:59.999999Z", "2026-11-22T04:05:00Z"},
        {"-0001", NULL},
        {"0001-01-01T00:00:59Z", "0001-01-01T00:00:00Z"},
        {"9999-12-31T23:59:59Z", "9999-12-31T23:59:00Z"}, // up, it would be in the next year
    };
    for (size_t i = 0; i < ARRAY_LEN(down); i++) {
        struct question_time t;
        int64_t us = NO;
        bool fine = question_time_parse(str_of(down[i].text), &t) == 0 &&
                    question_time_minute(&t, NOW_US, &us) == 0;
        ck_assert_msg(fine == (down[i].is != NULL), "%s", down[i].text);
        if (fine)
            ck_assert_int_eq(us, at_us(down[i].is));
    }
    struct question_time t = {TIME_FROM_NOW, -1};
    int64_t us;
    ck_assert_int_eq(question_time_minute(&t, at_us("0001-01-01T00:00:00Z"), &us), -1);
    ck_assert_int_eq(question_time_minute(&t, INT64_MIN, &us), -1);
}
END_TEST

START_TEST(an_hour_ago_may_lie_before_all_time)
{
    struct question_time t;
    int64_t us;
    ck_assert_int_eq(question_time_parse(STR_LIT("now-1h"), &t), 0);
    ck_assert_int_eq(question_time_resolve(&t, at_us("0001-01-01T01:00:00Z"), &us), 0);
    ck_assert_int_eq(question_time_resolve(&t, at_us("0001-01-01T00:59:59Z"), &us), -1);
    ck_assert_int_eq(question_time_resolve(&t, INT64_MIN + 1, &us), -1);
}
END_TEST

#define NONE "-"
static const struct {
    enum question_endpoint endpoint;
    const char *text, *from, *to;
    int64_t step_min;
} ranges[] = {
    {METRICS, "", NONE, NONE, 0},
    {METRICS, "from=now-1h", "2026-11-22T03:06:00Z", "2026-11-22T04:06:00Z", 0},
    {METRICS, "to=now-1h", NONE, "2026-11-22T03:06:00Z", 0},
    {METRICS, "from=now-1h&to=now+1h", "2026-11-22T03:06:00Z", "2026-11-22T05:06:00Z", 0},
    {METRICS, "from=0&to=60", "1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z", 0},
    {METRICS, "from=0.1&to=60.1", "1970-01-01T00:01:00Z", "1970-01-01T00:02:00Z", 0},
    {METRICS, "from=2015-12-10T04:06:00Z&to=now", "2015-12-10T04:06:00Z", "2026-11-22T04:06:00Z",
     0}, // 4000 days
    // Sixty steps, the one under way included, from a border on.
    {METRICS, "step=1m", "2026-11-22T03:06:00Z", "2026-11-22T04:06:00Z", 1},
    {METRICS, "step=5m", "2026-11-21T23:10:00Z", "2026-11-22T04:06:00Z", 5},
    {METRICS, "step=1h", "2026-11-19T17:00:00Z", "2026-11-22T04:06:00Z", 60},
    {METRICS, "step=1h&to=2026-11-22T04:00:00Z", "2026-11-19T16:00:00Z", "2026-11-22T04:00:00Z",
     60},
    {METRICS, "step=7m&to=1970-01-01T07:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T07:00:00Z", 7},
    {METRICS, "step=1d", "2026-09-24T00:00:00Z", "2026-11-22T04:06:00Z", 1440},
    {METRICS, "step=1w", "2025-09-29T00:00:00Z", "2026-11-22T04:06:00Z", 10080}, // a Monday
    {METRICS, "step=1d&tz=Europe/Berlin", "2026-09-23T04:06:00Z", "2026-11-22T04:06:00Z", 1440},
    {METRICS, "step=1h&from=now-90m", "2026-11-22T02:36:00Z", "2026-11-22T04:06:00Z", 60},
    {METRICS, "group_by=model", "2026-11-22T03:06:00Z", "2026-11-22T04:06:00Z", 0},
    {METRICS, "group_by=none&to=now-1d", "2026-11-21T03:06:00Z", "2026-11-21T04:06:00Z", 0},
    {ENDPOINT_SUMMARY, "", "2026-11-22T03:06:00Z", "2026-11-22T04:06:00Z", 0},
    {ENDPOINT_SUMMARY, "step=5m", "2026-11-22T03:06:00Z", "2026-11-22T04:06:00Z", 0},
    {ENDPOINT_TOP, "", "2026-11-22T03:06:00Z", "2026-11-22T04:06:00Z", 0},
    {ENDPOINT_TOP, "from=now-1w", "2026-11-15T04:06:00Z", "2026-11-22T04:06:00Z", 0},
    {ENDPOINT_COST, "", "2026-11-21T04:06:00Z", "2026-11-22T04:06:00Z", 0},
    {ENDPOINT_COST, "to=now-1h", "2026-11-21T03:06:00Z", "2026-11-22T03:06:00Z", 0},
    {ENDPOINT_COST, "from=now-1h", "2026-11-22T03:06:00Z", "2026-11-22T04:06:00Z", 0},
    {ENDPOINT_STREAM, "from=x", NONE, NONE, 0},
    {ENDPOINT_SERIES, "", "2026-10-23T04:06:00Z", "2026-11-22T04:06:00Z", 0},
    {ENDPOINT_TENANTS, "", "2026-10-23T04:06:00Z", "2026-11-22T04:06:00Z", 0},
    {ENDPOINT_MODELS, "from=now-1h", "2026-11-22T03:06:00Z", "2026-11-22T04:06:00Z", 0},
    {ENDPOINT_ROUTES, "to=now-1d", "2026-10-22T04:06:00Z", "2026-11-21T04:06:00Z", 0},
    // A heatmap has a step by itself: the first nice one that makes it at most sixty.
    {ENDPOINT_HEATMAP, "", "2026-11-22T03:06:00Z", "2026-11-22T04:06:00Z", 1},
    {ENDPOINT_HEATMAP, "from=now-61m", "2026-11-22T03:05:00Z", "2026-11-22T04:06:00Z", 2},
    {ENDPOINT_HEATMAP, "from=now-1d", "2026-11-21T04:06:00Z", "2026-11-22T04:06:00Z", 30},
    {ENDPOINT_HEATMAP, "from=now-7d", "2026-11-15T04:06:00Z", "2026-11-22T04:06:00Z", 180},
    {ENDPOINT_HEATMAP, "from=now-60d", "2026-09-23T04:06:00Z", "2026-11-22T04:06:00Z", 1440},
    {ENDPOINT_HEATMAP, "from=now-4000d", "2015-12-10T04:06:00Z", "2026-11-22T04:06:00Z", 10080},
    {ENDPOINT_HEATMAP, "step=5m", "2026-11-22T03:06:00Z", "2026-11-22T04:06:00Z", 5},
    {ENDPOINT_HEATMAP, "step=1m&from=now-2500m", "2026-11-20T10:26:00Z", "2026-11-22T04:06:00Z", 1},
};

static void check_instant(int64_t us, const char *wanted, int64_t none)
{
    if (strcmp(wanted, NONE) == 0)
        ck_assert_int_eq(us, none);
    else
        ck_assert_int_eq(us, at_us(wanted));
}

START_TEST(a_range_has_two_ends_and_perhaps_a_step)
{
    char text[128];
    struct question q;
    snprintf(text, sizeof(text), "tenant_id=a&%s", ranges[_i].text);
    ask_fine(&q, ranges[_i].endpoint, text);
    check_instant(q.from_us, ranges[_i].from, INT64_MIN);
    check_instant(q.to_us, ranges[_i].to, INT64_MAX);
    ck_assert_int_eq(q.step_us, ranges[_i].step_min * US_PER_MIN);
    question_clear(&q);
}
END_TEST

static const struct {
    enum question_endpoint endpoint;
    const char *text, *field, *says;
} refused[] = {
    {METRICS, "from=yesterday", "from", "2026-11-21T06:14:00Z"},
    {METRICS, "to=x", "to", "now-1h"},
    {METRICS, "from=now", "from", "before `to`"},
    {ENDPOINT_SUMMARY, "from=9999-12-31T00:00:00Z&to=0001-01-02T00:00:00Z", "from", "before `to`"},
    {METRICS, "from=now-1h&to=now-2h", "from", "2026-11-22T03:06:00Z and 2026-11-22T02:06:00Z"},
    {METRICS, "from=61&to=119", "from", "before `to`"}, // both are minute 2
    {METRICS, "from=2015-12-10T04:05:00Z&to=now", "from", "4000 days"},
    {METRICS, "from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:00Z", "from", "4000 days"},
    {METRICS, "from=9999-12-31T23:59:01Z", "from", "0001 to 9999"},
    {METRICS, "to=9999-12-31T23:59:01Z", "to", "0001 to 9999"},
    {METRICS, "to=0001-01-01T00:30:00Z&step=1m", "to", "0001 to 9999"},
    {METRICS, "to=0001-01-01T00:30:00Z&group_by=none", "to", "0001 to 9999"},
    {ENDPOINT_MODELS, "to=0001-01-05T00:30:00Z", "to", "0001 to 9999"},
    {ENDPOINT_SUMMARY, "from=0001-01-01T00:30:00Z&to=0001-01-01T01:01:00Z", "from",
     "must be later"},
    {ENDPOINT_SUMMARY, "to=0001-01-01T01:59:00Z", "to", "must be later"},
    {ENDPOINT_COST, "from=0001-01-01T00:30:00Z&to=0001-01-01T01:01:00Z", "from", "must be later"},
    {ENDPOINT_COST, "from=2015-12-10T04:05:00Z", "from", "4000 days"},
    {METRICS, "step=0", "step", "1m to 7d"},
    {METRICS, "step=59s", "step", "1m to 7d"},
    {METRICS, "step=90s", "step", "whole minutes"},
    {METRICS, "step=8d", "step", "7d"},
    {METRICS, "step=10081m", "step", "7d"},
    {METRICS, "step=x", "step", "5m"},
    {METRICS, "step=-5m", "step", "5m"},
    {METRICS, "tz=Europe/Berlin", "tz", "whole days"},
    {METRICS, "tz=Europe/Berlin&group_by=model", "tz", "whole days"},
    {METRICS, "tz=Europe/Berlin&step=1h", "tz", "whole days"},
    {METRICS, "tz=Europe/Berlin&step=36h", "tz", "whole days"},
    {ENDPOINT_HEATMAP, "tz=Europe/Berlin", "tz", "whole days"},
    {METRICS, "step=1d&tz=../x", "tz", "Europe/Berlin"},
    {METRICS, "step=1d&tz=/x", "tz", "Europe/Berlin"},
    {METRICS, "step=1d&tz=:UTC", "tz", "Europe/Berlin"},
    {METRICS, "step=1d&tz=Europe Berlin", "tz", "Europe/Berlin"},
    {METRICS, "step=1d&tz=\xc3\xa4", "tz", "Europe/Berlin"},
    {METRICS, "step=1d&tz=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "tz",
     "64"},
    {ENDPOINT_HEATMAP, "step=1m&from=now-2501m", "step", "2500"},
};

START_TEST(ranges_that_cannot_be_are_refused)
{
    char text[160];
    snprintf(text, sizeof(text), "tenant_id=a&%s", refused[_i].text);
    ask_wrong(refused[_i].endpoint, text, refused[_i].field, refused[_i].says);
}
END_TEST

START_TEST(the_edges_of_step_and_zone_are_taken)
{
    struct question q;
    ask_fine(&q, METRICS, "tenant_id=a&step=60");
    ck_assert_int_eq(q.step_us, US_PER_MIN);
    question_clear(&q);
    ask_fine(&q, METRICS, "tenant_id=a&step=604800");
    ck_assert_int_eq(q.step_us, 7 * US_PER_DAY);
    question_clear(&q);
    ask_fine(&q, METRICS, "tenant_id=a&step=3d&tz=Etc/GMT+5");
    ck_assert_str_eq(q.zone, "Etc/GMT+5");
    question_clear(&q);
    ask_fine(
        &q, METRICS,
        "tenant_id=a&step=24h&tz=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_-9");
    ck_assert_uint_eq(strlen(q.zone), QUESTION_ZONE_MAX);
    question_clear(&q);
    ask_fine(&q, METRICS, "tenant_id=a&step=5m&tz=UTC");
    ck_assert_ptr_null(q.zone);
    question_clear(&q);
    ask_fine(&q, ENDPOINT_SUMMARY, "tenant_id=a&from=0001-01-01T00:30:00Z&to=0001-01-01T01:00:00Z");
    question_clear(&q);
}
END_TEST

// At a whole minute nothing of the next one has passed yet.
START_TEST(now_on_the_minute_is_the_end)
{
    struct question q;
    struct err e;
    ck_assert_int_eq(ask_at(&q, METRICS, &anybody, "tenant_id=a&step=1m", NOW_MINUTE_US, &e),
                     QUESTION_FINE);
    ck_assert_int_eq(q.to_us, NOW_MINUTE_US);
    question_clear(&q);
    ck_assert_int_eq(ask_at(&q, METRICS, &anybody, "tenant_id=a&step=1m", NOW_MINUTE_US + 1, &e),
                     QUESTION_FINE);
    ck_assert_int_eq(q.to_us, NOW_MINUTE_US + US_PER_MIN);
    question_clear(&q);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("question_time");
    tcase_add_loop_test(tc, durations_are_numbers_with_units_downwards, 0, ARRAY_LEN(durations));
    tcase_add_loop_test(tc, times_become_whole_minutes, 0, ARRAY_LEN(times));
    tcase_add_test(tc, an_instant_may_be_taken_down_to_its_minute);
    tcase_add_test(tc, an_hour_ago_may_lie_before_all_time);
    tcase_add_loop_test(tc, a_range_has_two_ends_and_perhaps_a_step, 0, ARRAY_LEN(ranges));
    tcase_add_loop_test(tc, ranges_that_cannot_be_are_refused, 0, ARRAY_LEN(refused));
    tcase_add_test(tc, the_edges_of_step_and_zone_are_taken);
    tcase_add_test(tc, now_on_the_minute_is_the_end);
    Suite *suite = suite_create("question_time");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
