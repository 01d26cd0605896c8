// SPDX-License-Identifier: Apache-2.0
#include "processor/partition_stats.h"
#include "processor/task.h"

#include <check.h>

#define NOW_MS INT64_C(1767225600000)

static char *text;

static void render(const struct partition_stats *v, size_t n)
{
    struct buf out = {0};
    free(text);
    partition_stats_render(v, n, NOW_MS, 200, &out);
    text = buf_steal(&out);
}

#define HAS(sample) ck_assert_msg(strstr(text, "\n" sample "\n"), "no %s in\n%s", (sample), text)
#define LACKS(part) ck_assert_msg(!strstr(text, (part)), "%s in\n%s", (part), text)

START_TEST(what_is_left_to_read_and_how_old_it_is)
{
    const struct partition_stats v[] = {
        {3, {{100, 142, NOW_MS - 61500, 0}, {7, 8, NOW_MS - 60000, 0}}},
        {12, {{5, 5, NOW_MS - 999999, 200}, {9, 9, NOW_MS, 1}}},
    };
    render(v, 2);
    HAS("# TYPE streamlens_processor_lag_records gauge");
    HAS("streamlens_processor_lag_records{topic=\"requests\",partition=\"3\"} 42");
    HAS("streamlens_processor_lag_records{topic=\"responses\",partition=\"3\"} 1");
    HAS("streamlens_processor_lag_records{topic=\"requests\",partition=\"12\"} 0");
    HAS("streamlens_processor_behind_seconds{topic=\"requests\",partition=\"3\"} 61.500");
    HAS("streamlens_processor_behind_seconds{topic=\"responses\",partition=\"3\"} 60.000");
    // Read to its end: silent, not behind.
    HAS("streamlens_processor_behind_seconds{topic=\"requests\",partition=\"12\"} 0.000");
    HAS("streamlens_processor_topics_apart_seconds{partition=\"3\"} -1.500");
    HAS("streamlens_processor_topics_apart_seconds{partition=\"12\"} -999.999");
    HAS("streamlens_processor_joins_used_ratio{topic=\"requests\",partition=\"3\"} 0.0000");
    HAS("streamlens_processor_joins_used_ratio{topic=\"requests\",partition=\"12\"} 1.0000");
    HAS("streamlens_processor_joins_used_ratio{topic=\"responses\",partition=\"12\"} 0.0050");
}
END_TEST

START_TEST(what_is_not_known_has_no_sample)
{
    const struct partition_stats v[] = {{0, {{0, -1, NOW_MS, 0}, {0, 4, TIME_NONE, 0}}}};
    render(v, 1);
    LACKS("lag_records{topic=\"requests\"");
    HAS("streamlens_processor_lag_records{topic=\"responses\",partition=\"0\"} 4");
    LACKS("behind_seconds{");
    LACKS("apart_seconds{");
}
END_TEST

START_TEST(neither_a_stale_end_nor_a_clock_that_is_behind_makes_it_negative)
{
    const struct partition_stats v[] = {{0, {{10, 4, NOW_MS, 0}, {1, 2, NOW_MS + 5000, 0}}}};
    render(v, 1);
    HAS("streamlens_processor_lag_records{topic=\"requests\",partition=\"0\"} 0");
    HAS("streamlens_processor_behind_seconds{topic=\"responses\",partition=\"0\"} 0.000");
    HAS("streamlens_processor_topics_apart_seconds{partition=\"0\"} -5.000");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("partition_stats");
    tcase_add_test(tc, what_is_left_to_read_and_how_old_it_is);
    tcase_add_test(tc, what_is_not_known_has_no_sample);
    tcase_add_test(tc, neither_a_stale_end_nor_a_clock_that_is_behind_makes_it_negative);
    Suite *suite = suite_create("partition_stats");
    suite_add_tcase(suite, tc);
    SRunner *checks = srunner_create(suite);
    srunner_run_all(checks, CK_ENV);
    int failed = srunner_ntests_failed(checks);
    srunner_free(checks);
    free(text);
    return failed != 0;
}
