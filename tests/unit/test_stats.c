// SPDX-License-Identifier: Apache-2.0
#include "common/core/stats.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>

#define SAMPLE_STATS(COUNTER, GAUGE, HISTOGRAM)                                                    \
    COUNTER(accepted, "sample_events_total", "result=\"accepted\"", "Events by result.")           \
    COUNTER(rejected, "sample_events_total", "result=\"rejected\"", "")                            \
    GAUGE(connections, "sample_connections", "", "Open \\ connections\nnow.")                      \
    HISTOGRAM(seconds, "sample_duration_seconds", "path=\"/a\"", "Durations.")
STATS_DECLARE(sample_stats, SAMPLE_STATS)
STATS_DEFINE(sample_stats, SAMPLE_STATS)

static char *render(const struct sample_stats *s)
{
    struct buf b = {0};
    sample_stats_render(s, &b);
    return buf_steal(&b);
}

START_TEST(renders_help_and_type_once_a_name)
{
    struct sample_stats s = {.accepted = 3, .connections = -2};
    char *text = render(&s);
    const char *want = "# HELP sample_events_total Events by result.\n"
                       "# TYPE sample_events_total counter\n"
                       "sample_events_total{result=\"accepted\"} 3\n"
                       "sample_events_total{result=\"rejected\"} 0\n"
                       "# HELP sample_connections Open \\\\ connections\\nnow.\n"
                       "# TYPE sample_connections gauge\n"
                       "sample_connections -2\n"
                       "# HELP sample_duration_seconds Durations.\n"
                       "# TYPE sample_duration_seconds histogram\n"
                       "sample_duration_seconds_bucket{path=\"/a\",le=\"0.0001\"} 0\n";
    ck_assert_uint_gt(strlen(text), strlen(want));
    text[strlen(want)] = '\0';
    ck_assert_str_eq(text, want);
    free(text);
}
END_TEST

START_TEST(a_histogram_is_cumulative_and_in_seconds)
{
    struct sample_stats s = {0};
    stats_observe_us(&s.seconds, 0);
    stats_observe_us(&s.seconds, 100); // a bound belongs to its own bucket
    stats_observe_us(&s.seconds, 101);
    stats_observe_us(&s.seconds, 3276800);
    stats_observe_us(&s.seconds, 3276801);
    stats_observe_us(&s.seconds, 86400000000);
    char *text = render(&s);
    static const char *const lines[] = {
        "_bucket{path=\"/a\",le=\"0.0001\"} 2\n",
        "_bucket{path=\"/a\",le=\"0.0002\"} 3\n",
        "_bucket{path=\"/a\",le=\"1.6384\"} 3\n",
        "_bucket{path=\"/a\",le=\"3.2768\"} 4\n",
        "_bucket{path=\"/a\",le=\"+Inf\"} 6\n",
        "_sum{path=\"/a\"} 86406.553802\n",
        "_count{path=\"/a\"} 6\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char line[128];
        snprintf(line, sizeof(line), "sample_duration_seconds%s", lines[i]);
        ck_assert_msg(strstr(text, line), "no %s in\n%s", line, text);
    }
    free(text);
}
END_TEST

START_TEST(a_duration_below_zero_counts_as_zero)
{
    struct stats_histogram h = {0};
    stats_observe_us(&h, -5);
    ck_assert_int_eq(h.bucket[0], 1);
    ck_assert_int_eq(h.count, 1);
    ck_assert_int_eq(h.sum_us, 0);
}
END_TEST

START_TEST(every_duration_falls_into_one_bucket)
{
    struct stats_histogram h = {0};
    for (int64_t us = 1; us < INT64_C(10000000000); us = us * 3 / 2 + 1)
        stats_observe_us(&h, us);
    stats_observe_us(&h, INT64_MAX);
    int64_t sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(h.bucket); i++)
        sum += h.bucket[i];
    ck_assert_int_eq(sum, h.count);
    ck_assert_int_eq(h.sum_us, INT64_MAX); // saturated
}
END_TEST

START_TEST(add_sums_every_member)
{
    struct sample_stats a = {.accepted = 1, .rejected = 2, .connections = 3}, b = a;
    stats_observe_us(&a.seconds, 50);
    stats_observe_us(&b.seconds, 50);
    stats_observe_us(&b.seconds, 5000000);
    sample_stats_add(&a, &b);
    ck_assert_int_eq(a.accepted, 2);
    ck_assert_int_eq(a.rejected, 4);
    ck_assert_int_eq(a.connections, 6);
    ck_assert_int_eq(a.seconds.bucket[0], 2);
    ck_assert_int_eq(a.seconds.bucket[STATS_BUCKETS], 1);
    ck_assert_int_eq(a.seconds.count, 3);
    ck_assert_int_eq(a.seconds.sum_us, 5000100);
}
END_TEST

START_TEST(a_line_feed_in_a_label_is_escaped)
{
    static const struct stats_desc d = {"x_total", "a=\"b\nc\\\\d\"", "Help.", STATS_COUNTER, 0};
    int64_t value = 1;
    struct buf b = {0};
    stats_render(&d, 1, &value, &b);
    char *text = buf_steal(&b);
    ck_assert_str_eq(text, "# HELP x_total Help.\n# TYPE x_total counter\n"
                           "x_total{a=\"b\\nc\\\\d\"} 1\n");
    free(text);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("stats");
    tcase_add_test(tc, renders_help_and_type_once_a_name);
    tcase_add_test(tc, a_histogram_is_cumulative_and_in_seconds);
    tcase_add_test(tc, a_duration_below_zero_counts_as_zero);
    tcase_add_test(tc, every_duration_falls_into_one_bucket);
    tcase_add_test(tc, add_sums_every_member);
    tcase_add_test(tc, a_line_feed_in_a_label_is_escaped);
    Suite *suite = suite_create("stats");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
