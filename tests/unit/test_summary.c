// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/summary.h"

#include <check.h>
#include <jansson.h>
#include <math.h>

static struct buf out;
static struct fields fields;
static struct metrics_row now, before;

static void make(void)
{
    out = (struct buf){0};
    fields = (struct fields){0};
    now = before = (struct metrics_row){0};
}

static void clear(void)
{
    buf_free(&out);
}

static const char *text(void)
{
    buf_addc(&out, '\0');
    return out.p;
}

static void summarise(void)
{
    summary_add(&out, &fields, &(struct summary_side){.row = &now},
                &(struct summary_side){.row = &before});
}

START_TEST(a_measure_has_both_and_the_ratio_of_their_difference)
{
    fields.bits = FIELD_BIT(requests) | FIELD_BIT(errors) | FIELD_BIT(avg_latency_ms);
    now.requests = 12, before.requests = 10;
    now.errors = 0, before.errors = 4;
    now.avg_latency_ms = 1.5, before.avg_latency_ms = 2;
    summarise();
    ck_assert_str_eq(text(), "\"requests\":{\"now\":12,\"before\":10,\"change\":0.2},"
                             "\"errors\":{\"now\":0,\"before\":4,\"change\":-1},"
                             "\"avg_latency_ms\":{\"now\":1.5,\"before\":2,\"change\":-0.25}");
}
END_TEST

START_TEST(there_is_no_change_from_nothing)
{
    fields.bits = FIELD_BIT(requests) | FIELD_BIT(avg_latency_ms) | FIELD_BIT(avg_ttft_ms) |
                  FIELD_BIT(p50_ttft_ms);
    now.requests = 12;
    now.avg_latency_ms = 3;
    now.avg_ttft_ms = 4, before.avg_ttft_ms = NAN;
    now.p50_ttft_ms = NAN, before.p50_ttft_ms = 5;
    summarise();
    ck_assert_str_eq(text(), "\"requests\":{\"now\":12,\"before\":0,\"change\":null},"
                             "\"avg_latency_ms\":{\"now\":3,\"before\":0,\"change\":null},"
                             "\"avg_ttft_ms\":{\"now\":4,\"before\":null,\"change\":null},"
                             "\"p50_ttft_ms\":{\"now\":null,\"before\":5,\"change\":null}");
}
END_TEST

START_TEST(a_range_of_which_nothing_is_kept_is_null)
{
    fields.bits = FIELD_BIT(requests);
    now.requests = 12;
    summary_add(&out, &fields, &(struct summary_side){.row = &now}, &(struct summary_side){0});
    ck_assert_str_eq(text(), "\"requests\":{\"now\":12,\"before\":null,\"change\":null}");
}
END_TEST

START_TEST(great_counts_keep_their_digits)
{
    fields.bits = FIELD_BIT(requests) | FIELD_BIT(in_flight);
    now.requests = INT64_MAX, before.requests = INT64_MAX - 1;
    now.in_flight = INT64_MAX, before.in_flight = -INT64_MAX;
    summarise();
    ck_assert_str_eq(text(), "\"requests\":{\"now\":9223372036854775807,"
                             "\"before\":9223372036854775806,\"change\":1.0842021724855044e-19},"
                             "\"in_flight\":{\"now\":9223372036854775807,"
                             "\"before\":-9223372036854775807,\"change\":-2}");
}
END_TEST

START_TEST(percentiles_come_behind)
{
    fields.bits = FIELD_BIT(requests);
    fields.n = 2;
    fields.percentiles[0] = (struct percentile){.digits = "50", .latency = true};
    fields.percentiles[1] = (struct percentile){.digits = "99.9", .latency = true, .ttft = true};
    const double latency[] = {3, 9}, latency_before[] = {2, 12}, ttft[] = {7, 1},
                 ttft_before[] = {7, NAN};
    summary_add(&out, &fields, &(struct summary_side){&now, latency, ttft},
                &(struct summary_side){&before, latency_before, ttft_before});
    ck_assert_str_eq(text(), "\"requests\":{\"now\":0,\"before\":0,\"change\":null},"
                             "\"p50_latency_ms\":{\"now\":3,\"before\":2,\"change\":0.5},"
                             "\"p99.9_latency_ms\":{\"now\":9,\"before\":12,\"change\":-0.25},"
                             "\"p99.9_ttft_ms\":{\"now\":1,\"before\":null,\"change\":null}");
}
END_TEST

// Behind what the caller has written there is no comma: that is the caller's.
START_TEST(only_measures_are_there)
{
    fields.bits = (UINT64_C(1) << FIELD_COUNT) - 1;
    buf_addc(&out, '{');
    summarise();
    buf_addc(&out, '}');
    json_t *o = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(o);
    size_t measures = 0;
    for (int i = 0; i < FIELD_COUNT; i++) {
        const struct field_info *f = &field_infos[i];
        bool measure = (f->type == FIELD_COUNT_OF && i != FIELD_price_version &&
                        i != FIELD_revision && i != FIELD_publish_seq && i != FIELD_late) ||
                       f->type == FIELD_NUMBER_OF || f->type == FIELD_MAYBE;
        ck_assert_msg(!json_object_get(o, f->name) == !measure, "%s", f->name);
        measures += measure;
    }
    ck_assert_uint_eq(json_object_size(o), measures);
    json_decref(o);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("summary");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, a_measure_has_both_and_the_ratio_of_their_difference);
    tcase_add_test(tc, there_is_no_change_from_nothing);
    tcase_add_test(tc, a_range_of_which_nothing_is_kept_is_null);
    tcase_add_test(tc, great_counts_keep_their_digits);
    tcase_add_test(tc, percentiles_come_behind);
    tcase_add_test(tc, only_measures_are_there);
    Suite *suite = suite_create("summary");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
