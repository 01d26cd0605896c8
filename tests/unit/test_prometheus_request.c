// SPDX-License-Identifier: Apache-2.0
// Parameters of Prometheus' API: what Prometheus reads, with its texts where it refuses.
#include "metrics-api/prometheus/request.h"

#include "common/core/timeunit.h"

#include <check.h>
#include <stdio.h>

#define NOW_MS INT64_C(1795344000123)
#define DAY_MS (PROM_SPAN_DEFAULT_S * MS_PER_S)
#define MOST PROM_TIME_MAX_MS

static struct prom_request request;
static struct err error;

static void begin(void)
{
    request = (struct prom_request){0};
    error = (struct err){.detail = ""};
}

static void end(void)
{
    prom_request_clear(&request);
}

static int add(const char *name, const char *value)
{
    return prom_request_param(&request, str_of(name), str_of(value), &error);
}

// "a=b&c=d" as it is, without percent-encoding.
static int read_all(enum prom_endpoint endpoint, const char *text)
{
    prom_request_clear(&request);
    request.endpoint = endpoint;
    if (endpoint == PROM_LABEL_VALUES && prom_request_label(&request, STR_LIT("m"), &error) != 0)
        return -1;
    while (*text) {
        size_t n = strcspn(text, "&"), name_n = strcspn(text, "=");
        ck_assert_uint_lt(name_n, n);
        struct str name = {text, name_n}, value = {text + name_n + 1, n - name_n - 1};
        if (prom_request_param(&request, name, value, &error) != 0)
            return -1;
        text += n + (text[n] == '&');
    }
    return prom_request_finish(&request, NOW_MS, &error);
}

static const struct {
    enum prom_endpoint endpoint;
    const char *text, *why;
} refusals[] = {
    {PROM_QUERY, "",
     "invalid parameter \"query\": unknown position: parse error: no expression found in input"},
    {PROM_QUERY, "query=",
     "invalid parameter \"query\": unknown position: parse error: no expression found in input"},
    {PROM_QUERY, "query=1&time=x",
     "invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid "
     "timestamp"},
    {PROM_QUERY, "query=1&time=NaN",
     "invalid parameter \"time\": invalid time value for 'time': cannot parse \"NaN\" to a valid "
     "timestamp"},
    {PROM_QUERY, "query=1&time=-Inf",
     "invalid parameter \"time\": invalid time value for 'time': cannot parse \"-Inf\" to a valid "
     "timestamp"},
    {PROM_QUERY, "query=1&timeout=x",
     "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration"},
    {PROM_QUERY, "query=1&timeout=9223372037",
     "invalid parameter \"timeout\": cannot parse \"9223372037\" to a valid duration. It overflows "
     "int64"},
    {PROM_QUERY, "query=1&timeout=NaN",
     "invalid parameter \"timeout\": cannot parse \"NaN\" to a valid duration"},
    {PROM_QUERY, "query=1&lookback_delta=1", NULL},
    {PROM_QUERY, "query=1&lookback_delta=1x",
     "error parsing lookback delta duration: cannot parse \"1x\" to a valid duration"},
    {PROM_QUERY, "query=1&limit=x",
     "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax"},
    {PROM_QUERY, "query=1&limit=+",
     "invalid parameter \"limit\": strconv.Atoi: parsing \"+\": invalid syntax"},
    {PROM_QUERY, "query=1&limit=1.5",
     "invalid parameter \"limit\": strconv.Atoi: parsing \"1.5\": invalid syntax"},
    {PROM_QUERY, "query=1&limit=9223372036854775807", NULL},
    {PROM_QUERY, "query=1&limit=9223372036854775808",
     "invalid parameter \"limit\": strconv.Atoi: parsing \"9223372036854775808\": value out of "
     "range"},
    {PROM_QUERY, "query=1&limit=99999999999999999999x",
     "invalid parameter \"limit\": strconv.Atoi: parsing \"99999999999999999999x\": invalid "
     "syntax"},
    {PROM_QUERY, "query=1&limit=-1", "invalid parameter \"limit\": limit must be non-negative"},
    {PROM_QUERY, "query=1&open_windows=1",
     "invalid parameter \"open_windows\": true or false is wanted, not \"1\""},
    {PROM_QUERY, "query=1&step=x&start=x&match[]=x&metric=x&stats=x&dedup=x", NULL}, // not its own
    {PROM_QUERY_RANGE, "query=1&end=1&step=1",
     "invalid parameter \"start\": cannot parse \"\" to a valid timestamp"},
    {PROM_QUERY_RANGE, "query=1&start=1&step=1",
     "invalid parameter \"end\": cannot parse \"\" to a valid timestamp"},
    {PROM_QUERY_RANGE, "query=1&start=1&end=1&step=",
     "invalid parameter \"step\": cannot parse \"\" to a valid duration"},
    {PROM_QUERY_RANGE, "query=1&start=x&end=1&step=1",
     "invalid parameter \"start\": cannot parse \"x\" to a valid timestamp"},
    {PROM_QUERY_RANGE, "query=1&start=1&end=\"\n&step=1",
     "invalid parameter \"end\": cannot parse \"\\\"\\n\" to a valid timestamp"},
    {PROM_QUERY_RANGE, "query=1&start=1&end=1&step=1 m",
     "invalid parameter \"step\": cannot parse \"1 m\" to a valid duration"},
    {PROM_QUERY_RANGE, "query=1&start=1&end=1&step=0",
     "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. "
     "Try a positive integer"},
    {PROM_QUERY_RANGE, "query=1&start=1&end=1&step=-1",
     "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. "
     "Try a positive integer"},
    {PROM_QUERY_RANGE, "query=1&start=1&end=1&step=0.0009",
     "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. "
     "Try a positive integer"},
    {PROM_QUERY_RANGE, "query=1&start=1&end=1&step=0.001", NULL},
    {PROM_QUERY_RANGE, "query=1&start=1&end=0.999&step=1",
     "invalid parameter \"end\": end timestamp must not be before start time"},
    {PROM_QUERY_RANGE, "query=1&start=0&end=11000&step=1", NULL},
    {PROM_QUERY_RANGE, "query=1&start=0&end=11001&step=1",
     "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
     "resolution (?step=XX)"},
    {PROM_QUERY_RANGE, "query=1&start=-1e300&end=1e300&step=100y", NULL},
    {PROM_QUERY_RANGE, "start=1&end=1&step=1",
     "invalid parameter \"query\": unknown position: parse error: no expression found in input"},
    {PROM_QUERY_RANGE, "query=1&start=1&end=1&step=1&time=x", NULL},
    {PROM_SERIES, "", "no match[] parameter provided"},
    {PROM_SERIES, "match[]=", "no match[] parameter provided"},
    {PROM_SERIES, "match[]=a&start=x",
     "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a valid "
     "timestamp"},
    {PROM_SERIES, "match[]=a&start=2&end=1",
     "invalid parameter \"end\": end timestamp must not be before start time"},
    {PROM_SERIES, "match[]=a&query=\1&time=x&step=0", NULL},
    {PROM_LABELS, "", NULL},
    {PROM_LABELS, "limit=-5", "invalid parameter \"limit\": limit must be non-negative"},
    {PROM_LABEL_VALUES, "", NULL},
    {PROM_METADATA, "", NULL},
    {PROM_METADATA, "limit=x", "limit must be a number"},
    {PROM_METADATA, "limit_per_metric=1x", "limit_per_metric must be a number"},
    {PROM_METADATA, "limit=-1&limit_per_metric=-1&metric=a&start=x", NULL},
    {PROM_QUERY_EXEMPLARS, "query=test&start=1795344000123&end=179534400012300000000", NULL},
    {PROM_QUERY_EXEMPLARS, "start=x&end=NaN", NULL},
    {PROM_RULES, "limit=x&start=x&query=", NULL},
    {PROM_ALERTS, "", NULL},
    {PROM_BUILDINFO, "limit=x", NULL},
};

START_TEST(requests_are_refused_in_prometheus_words)
{
    const char *why = refusals[_i].why;
    int rc = read_all(refusals[_i].endpoint, refusals[_i].text);
    ck_assert_msg(rc == (why ? -1 : 0), "%s: %s", refusals[_i].text, error.detail);
    if (why)
        ck_assert_str_eq(error.detail, why);
}
END_TEST

static const struct {
    const char *text;
    int64_t ms;
} times[] = {
    {"0", 0},
    {"-0", 0},
    {"4", 4000},
    {"1700000000", 1700000000000},
    {"1700000000.123", 1700000000123},
    {"1700000000.001", 1700000000001},
    {"1700000000.999", 1700000000999},
    {"1700000000.9996", 1700000001000},
    {"-1.5", -1500},
    {"-0.0004", 0},
    {"1e9", 1000000000000},
    {"0x1p10", 1024000},
    {"1.7e9", 1700000000000},
    {"1970-01-01T00:00:00Z", 0},
    {"2026-01-01T00:00:00.0019Z", 1767225600001},
    {"1969-12-31T23:59:59.9999Z", -1},
    {"2026-01-01T01:30:00+01:30", 1767225600000},
    {"0001-01-01T00:00:00Z", -62135596800000},
    {"9999-12-31T23:59:59.999999999Z", 253402300799999},
    {"7999999999999.999", 7999999999999999},
    {"8000000000000", MOST},
    {"8000000000001", MOST},
    {"-8000000000000.5", -MOST},
    {"1e308", MOST},
    {"-9223372036854775808", -MOST},
    {"-292273086-05-16T16:47:06Z", -MOST},
    {"292277025-08-18T07:12:54.999999999Z", MOST},
};

START_TEST(times_are_seconds_or_rfc_3339)
{
    char text[128];
    snprintf(text, sizeof(text), "query=1&time=%s", times[_i].text);
    ck_assert_int_eq(read_all(PROM_QUERY, text), 0);
    ck_assert_int_eq(request.start_ms, times[_i].ms);
    ck_assert_int_eq(request.end_ms, times[_i].ms);
    ck_assert_int_eq(request.step_ms, 0);
}
END_TEST

START_TEST(other_times_are_none)
{
    static const char *const wrong[] = {
        "now",  "1 ",       " 1",         "1s",
        "+Inf", "nan",      "1e309",      "1,5",
        "1_",   "2026-1-1", "2026-01-01", "2026-02-29T00:00:00Z",
        "T",    "0x1",      "--1",        "292277025-08-18T07:12:54Z"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char text[128];
        snprintf(text, sizeof(text), "query=1&time=%s", wrong[i]);
        ck_assert_msg(read_all(PROM_QUERY, text) == -1, "%s", wrong[i]);
    }
}
END_TEST

static const struct {
    const char *text;
    int64_t ms;
} durations[] = {
    {"15", 15000},      {"0.5", 500},
    {"1e3", 1000000},   {"15s", 15000},
    {"1m", 60000},      {"1h30m", 5400000},
    {"1d", 86400000},   {"1y", 31536000000},
    {"250ms", 250},     {"1m0.5", -1},
    {"1m 1s", -1},      {"s", -1},
    {"1s1m", -1},       {"5M", -1},
    {"Inf", -1},        {"292y", 9208512000000},
    {"293y", -1},       {"9223372036", 9223372036000},
    {"9223372037", -1},
};

START_TEST(durations_are_seconds_or_promqls)
{
    char text[128];
    snprintf(text, sizeof(text), "query=1&start=0&end=0&step=%s", durations[_i].text);
    int rc = read_all(PROM_QUERY_RANGE, text);
    ck_assert_int_eq(rc, durations[_i].ms < 0 ? -1 : 0);
    if (rc == 0)
        ck_assert_int_eq(request.step_ms, durations[_i].ms);
}
END_TEST

START_TEST(a_query_has_what_was_asked)
{
    ck_assert_int_eq(
        read_all(PROM_QUERY, "query=up&timeout=1m30s&lookback_delta=2m&limit=+7&open_windows=true"),
        0);
    ck_assert_str_eq(request.query, "up");
    ck_assert_int_eq(request.start_ms, NOW_MS);
    ck_assert_int_eq(request.end_ms, NOW_MS);
    ck_assert_int_eq(request.timeout_ms, 90000);
    ck_assert_int_eq(request.lookback_ms, 120000);
    ck_assert_int_eq(request.limit, 7);
    ck_assert(request.open);
    ck_assert_int_eq(
        read_all(PROM_QUERY_RANGE, "query=up&start=1.5&end=62&step=15&open_windows=false"), 0);
    ck_assert_int_eq(request.start_ms, 1500);
    ck_assert_int_eq(request.end_ms, 62000);
    ck_assert_int_eq(request.step_ms, 15000);
    ck_assert_int_eq(request.timeout_ms, 0);
    ck_assert_int_eq(request.lookback_ms, 0);
    ck_assert_int_eq(request.limit, 0);
    ck_assert(!request.open);
}
END_TEST

START_TEST(a_timeout_that_has_passed_is_one)
{
    ck_assert_int_eq(read_all(PROM_QUERY, "query=up&timeout=0"), 0);
    ck_assert_int_eq(request.timeout_ms, 1);
    ck_assert_int_eq(read_all(PROM_QUERY, "query=up&timeout=-5&lookback_delta=-5"), 0);
    ck_assert_int_eq(request.timeout_ms, 1);
    ck_assert_int_eq(request.lookback_ms, 0);
}
END_TEST

START_TEST(the_first_of_a_name_counts_and_an_empty_one_is_none)
{
    ck_assert_int_eq(read_all(PROM_QUERY, "query=a&query=b&time=1&time=x&limit=&limit=5"), 0);
    ck_assert_str_eq(request.query, "a");
    ck_assert_int_eq(request.start_ms, 1000);
    ck_assert_int_eq(request.limit, 0);
    ck_assert_int_eq(read_all(PROM_QUERY, "query=a&time=&timeout=&lookback_delta=&open_windows="),
                     0);
    ck_assert_int_eq(request.start_ms, NOW_MS);
}
END_TEST

START_TEST(lists_take_selectors_and_a_day_unless_told)
{
    static const struct {
        const char *text;
        int64_t start_ms, end_ms;
    } ranges[] = {
        {"match[]=a", NOW_MS - DAY_MS, NOW_MS},
        {"match[]=a&start=5", 5000, NOW_MS},
        {"match[]=a&start=1e12", MOST / 8, MOST / 8}, // nothing is there yet
        {"match[]=a&end=90000", 90000000 - DAY_MS, 90000000},
        {"match[]=a&start=0&end=0", 0, 0},
        {"match[]=a&end=-1e20", -MOST - DAY_MS, -MOST},
    };
    static const enum prom_endpoint endpoints[] = {PROM_SERIES, PROM_LABELS, PROM_LABEL_VALUES};
    for (size_t e = 0; e < ARRAY_LEN(endpoints); e++) {
        for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
            ck_assert_int_eq(read_all(endpoints[e], ranges[i].text), 0);
            ck_assert_int_eq(request.start_ms, ranges[i].start_ms);
            ck_assert_int_eq(request.end_ms, ranges[i].end_ms);
        }
        ck_assert_int_eq(
            read_all(endpoints[e],
                     "match[]=a&match[]=&match[]={b=\"c\"}&limit=40000&open_windows=true"),
            0);
        ck_assert_uint_eq(request.match_count, 2);
        ck_assert_str_eq(request.matches[0], "a");
        ck_assert_str_eq(request.matches[1], "{b=\"c\"}");
        ck_assert_int_eq(request.limit, 40000);
        ck_assert(request.open);
    }
}
END_TEST

START_TEST(metadata_is_of_one_metric_or_all)
{
    ck_assert_int_eq(read_all(PROM_METADATA, "metric=llm_x&limit=3&limit_per_metric=1"), 0);
    ck_assert_str_eq(request.metric, "llm_x");
    ck_assert_int_eq(request.limit, 3);
    ck_assert_int_eq(read_all(PROM_METADATA, "limit=-1"), 0);
    ck_assert_ptr_null(request.metric);
    ck_assert_int_eq(request.limit, 0);
}
END_TEST

START_TEST(a_labels_name_is_text)
{
    static const struct {
        struct str name;
        const char *why; // NULL: it is one
    } names[] = {
        {STR_LIT("model"), NULL},
        {STR_LIT("__name__"), NULL},
        {STR_LIT("a.b/\xc3\xa9"), NULL},
        {STR_LIT(""), "invalid label name: \"\""},
        {STR_LIT("a\xff"), "invalid label name: \"a\\xff\""},
        {STR_LIT("a\0b"), "invalid label name: \"a\\x00b\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        int rc = prom_request_label(&request, names[i].name, &error);
        ck_assert_int_eq(rc, names[i].why ? -1 : 0);
        if (names[i].why)
            ck_assert_str_eq(error.detail, names[i].why);
        else
            ck_assert(str_eq(str_of(request.label), names[i].name));
    }
    prom_request_clear(&request);
    request.endpoint = PROM_LABEL_VALUES;
    ck_assert_int_eq(prom_request_finish(&request, NOW_MS, &error), -1);
    ck_assert_str_eq(error.detail, "invalid label name: \"\"");
}
END_TEST

START_TEST(texts_are_bounded_and_without_nul)
{
    char *longest = xmalloc(PROM_QUERY_BYTES_MAX + 2);
    memset(longest, 'a', PROM_QUERY_BYTES_MAX + 1);
    longest[PROM_QUERY_BYTES_MAX + 1] = '\0';
    request.endpoint = PROM_QUERY;
    ck_assert_int_eq(add("query", longest), -1);
    ck_assert_str_eq(error.detail, "invalid parameter \"query\": longer than 65536 bytes");
    prom_request_clear(&request);
    ck_assert_int_eq(add("query", longest + 1), 0);
    ck_assert_uint_eq(strlen(request.query), PROM_QUERY_BYTES_MAX);
    prom_request_clear(&request);
    ck_assert_int_eq(add("time", longest), -1);
    ck_assert_uint_lt(strlen(error.detail), 200); // the value is cut
    prom_request_clear(&request);
    struct str nul = STR_LIT("a\0b");
    ck_assert_int_eq(prom_request_param(&request, STR_LIT("query"), nul, &error), -1);
    ck_assert_str_eq(error.detail, "invalid parameter \"query\": a byte of it is NUL");
    free(longest);
}
END_TEST

START_TEST(a_message_holds_any_value)
{
    char nasty[200];
    memset(nasty, 1, sizeof(nasty) - 1);
    nasty[sizeof(nasty) - 1] = '\0';
    request.endpoint = PROM_SERIES;
    ck_assert_int_eq(add("start", nasty), -1);
    ck_assert_ptr_nonnull(strstr(error.detail, "\\x01\" to a valid timestamp"));
}
END_TEST

START_TEST(selectors_and_parameters_are_counted)
{
    request.endpoint = PROM_SERIES;
    for (size_t i = 0; i < PROM_MATCHES_MAX; i++)
        ck_assert_int_eq(add("match[]", "a"), 0);
    ck_assert_int_eq(add("match[]", "a"), -1);
    ck_assert_str_eq(error.detail, "invalid parameter \"match[]\": more than 32 of them");
    prom_request_clear(&request);
    request.endpoint = PROM_QUERY;
    for (size_t i = 0; i < PROM_PARAMETERS_MAX; i++)
        ck_assert_int_eq(add(i % 2 ? "query" : "other", "a"), 0);
    ck_assert_int_eq(add("other", ""), -1);
    ck_assert_str_eq(error.detail, "more than 300 parameters");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prometheus_request");
    TCase *t = tcase_create("prometheus_request");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, requests_are_refused_in_prometheus_words, 0, ARRAY_LEN(refusals));
    tcase_add_loop_test(t, times_are_seconds_or_rfc_3339, 0, ARRAY_LEN(times));
    tcase_add_test(t, other_times_are_none);
    tcase_add_loop_test(t, durations_are_seconds_or_promqls, 0, ARRAY_LEN(durations));
    tcase_add_test(t, a_query_has_what_was_asked);
    tcase_add_test(t, a_timeout_that_has_passed_is_one);
    tcase_add_test(t, the_first_of_a_name_counts_and_an_empty_one_is_none);
    tcase_add_test(t, lists_take_selectors_and_a_day_unless_told);
    tcase_add_test(t, metadata_is_of_one_metric_or_all);
    tcase_add_test(t, a_labels_name_is_text);
    tcase_add_test(t, texts_are_bounded_and_without_nul);
    tcase_add_test(t, a_message_holds_any_value);
    tcase_add_test(t, selectors_and_parameters_are_counted);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed > 0;
}
