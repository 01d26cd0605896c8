// SPDX-License-Identifier: Apache-2.0
// The formulas; that they are the view's is tested against PostgreSQL.
#include "common/core/fact_row.h"

#include "common/core/timeunit.h"

#include <check.h>
#include <math.h>

static struct buf scratch;
static struct metrics_row row;

static void make(void)
{
    scratch = (struct buf){0};
    memset(&row, 0xff, sizeof(row)); // whatever is not written shows
}

static void clear(void)
{
    buf_free(&scratch);
}

static struct fact_row sample(void)
{
    return (struct fact_row){
        .tenant_id = STR_LIT("acme"),
        .route = STR_LIT("chat"),
        .model = STR_LIT("gpt"),
        .window_start_us = 60 * US_PER_S,
        .window_end_us = 120 * US_PER_S,
        .requests = 10,
        .responses = 7,
        .unanswered = 2,
        .errors = 3,
        .without_latency = 4,
        .clamped_usage = 5,
        .reported_requests = 6,
        .uncached_prompt_tokens = 100,
        .cached_prompt_tokens = 20,
        .cache_write_5m_tokens = 3,
        .cache_write_1h_tokens = 4,
        .completion_tokens = 50,
        .reasoning_tokens = 11,
        .generation_us = 2500000,
        .generation_tokens = 40,
        .unpriced_requests = 8,
        .unpriced_tokens = 9,
        .guessed_requests = 12,
        .latency_count = 3,
        .latency_sum_us = 1000,
        .ttft_count = 7,
        .ttft_sum_us = 100,
        .latency_max_us = 900,
        .ttft_max_us = 90,
        .price_version = 13,
        .revision = 14,
        .updated_at_us = 15,
        .cost = (money)12345 * 1000000000,
        .reported_cost = 250000000000,
        .cost_input = 1000000000,
        .cost_cached_input = 2000000000,
        .cost_cache_write_5m = 3000000000,
        .cost_cache_write_1h = 4000000000,
        .cost_output = 5000000000,
        .cost_reasoning = 6000000000,
        .cost_request = 7000000000,
        .cache_savings = -8000000000,
        .error_classes = STR_LIT("{\"a\": 1}"),
        .finish_reasons = STR_LIT("{\"b\": 2}"),
        .latency_us = {100, 200, 300, 400},
        .ttft_us = {10, 20, 30, 40},
        .publish_seq = 16,
        .late = 17,
        .complete = true,
    };
}

#define ASSERT_STR(s, text)                                                                        \
    ck_assert_msg(str_eq(s, STR_LIT(text)), "%.*s", (int)(s).n, (s).p ? (s).p : "")

START_TEST(what_is_stored_is_taken_over)
{
    struct fact_row f = sample();
    fact_row_derive(&f, &scratch, &row);
    ASSERT_STR(row.tenant_id, "acme");
    ASSERT_STR(row.route, "chat");
    ASSERT_STR(row.model, "gpt");
    ck_assert_int_eq(row.window_start_us, 60 * US_PER_S);
    ck_assert_int_eq(row.window_end_us, 120 * US_PER_S);
#define SAME(name) ck_assert_int_eq(row.name, f.name);
    SAME(requests)
    SAME(responses)
    SAME(unanswered)
    SAME(errors)
    SAME(without_latency)
    SAME(clamped_usage)
    SAME(reported_requests)
    SAME(uncached_prompt_tokens)
    SAME(cached_prompt_tokens)
    SAME(cache_write_5m_tokens)
    SAME(cache_write_1h_tokens)
    SAME(completion_tokens)
    SAME(reasoning_tokens)
    SAME(generation_tokens)
    SAME(unpriced_requests)
    SAME(unpriced_tokens)
    SAME(guessed_requests)
    SAME(price_version)
    SAME(revision)
    SAME(updated_at_us)
    SAME(publish_seq)
    SAME(late)
#undef SAME
    ck_assert(row.complete && !row.lossy);
    ASSERT_STR(row.error_classes, "{\"a\": 1}");
    ASSERT_STR(row.finish_reasons, "{\"b\": 2}");
}
END_TEST

START_TEST(averages_divide_once)
{
    struct fact_row f = sample();
    fact_row_derive(&f, &scratch, &row);
    ck_assert(row.avg_latency_ms == 1000.0 / 3000.0);
    ck_assert(row.avg_ttft_ms == 100.0 / 7000.0);
    ck_assert_int_eq(row.prompt_tokens, 127);
    ck_assert_int_eq(row.cache_write_tokens, 7);
    ck_assert(row.avg_prompt_tokens == 127.0 / 7);
    ck_assert(row.avg_completion_tokens == 50.0 / 7);
    ck_assert(row.generation_ms == 2500);
    ck_assert(row.output_tokens_per_second == 16);
    ck_assert(row.max_latency_ms == 0.9 && row.max_ttft_ms == 0.09);
    ck_assert(row.p50_latency_ms == 0.1 && row.p90_latency_ms == 0.2);
    ck_assert(row.p95_latency_ms == 0.3 && row.p99_latency_ms == 0.4);
    ck_assert(row.p50_ttft_ms == 0.01 && row.p90_ttft_ms == 0.02);
    ck_assert(row.p95_ttft_ms == 0.03 && row.p99_ttft_ms == 0.04);
    ck_assert_int_eq(row.in_flight, 1);
    f.latency_sum_us = 9007199254740993;
    f.latency_count = 7;
    fact_row_derive(&f, &scratch, &row);
    ck_assert(row.avg_latency_ms == 9007199254740993.0 / 7000);
}
END_TEST

START_TEST(amounts_are_shown_with_every_digit_and_as_the_nearest_double)
{
    struct fact_row f = sample();
    buf_adds(&scratch, "of another row");
    fact_row_derive(&f, &scratch, &row);
    ASSERT_STR(row.estimated_cost_usd_decimal, "12.345");
    ck_assert(row.estimated_cost_usd == 12.345);
    ASSERT_STR(row.reported_cost_usd_decimal, "0.25");
    ck_assert(row.reported_cost_usd == 0.25);
    ck_assert_ptr_eq(row.estimated_cost_usd_decimal.p, scratch.p);
    f.cost = f.reported_cost = -MONEY_MAX; // the longest, and the first does not move
    buf_free(&scratch);
    fact_row_derive(&f, &scratch, &row);
    ASSERT_STR(row.estimated_cost_usd_decimal, "-99999999999999999999999999.999999999999");
    ck_assert(str_eq(row.estimated_cost_usd_decimal, row.reported_cost_usd_decimal));
    f.reported_requests = 0;
    fact_row_derive(&f, &scratch, &row);
    ck_assert(isnan(row.reported_cost_usd) && !row.reported_cost_usd_decimal.p);
}
END_TEST

START_TEST(what_a_cost_is_made_of_is_the_nearest_double)
{
    struct fact_row f = sample();
    fact_row_derive(&f, &scratch, &row);
    ck_assert(row.uncached_prompt_cost_usd == 0.001);
    ck_assert(row.cached_prompt_cost_usd == 0.002);
    ck_assert(row.cache_write_5m_cost_usd == 0.003);
    ck_assert(row.cache_write_1h_cost_usd == 0.004);
    ck_assert(row.completion_cost_usd == 0.011); // reasoning is in it, as in the tokens
    ck_assert(row.reasoning_cost_usd == 0.006);
    ck_assert(row.request_cost_usd == 0.007);
    ck_assert(row.cache_savings_usd == -0.008);
    // Sums of many rows: beyond an int64, and where a double has been rounded once already.
#define SET(name) f.name = MONEY_MAX;
    FACT_COSTS(SET)
#undef SET
    f.cost_input = (money)9223372036854775807 * 1000 + 1;
    f.cost_request = 9007199254740993;
    f.cache_savings = -9007199254740993;
    fact_row_derive(&f, &scratch, &row);
    ck_assert(row.uncached_prompt_cost_usd == 9223372036.854775807001);
    ck_assert(row.request_cost_usd == 9007.199254740993);
    ck_assert(row.cache_savings_usd == -9007.199254740993);
    ck_assert(row.cached_prompt_cost_usd == 1e26 && row.completion_cost_usd == 1e26);
}
END_TEST

START_TEST(where_nothing_is_measured_latencies_are_0_and_the_rest_is_null)
{
    struct fact_row f = {.latency_us = {-1, -1, -1, -1}, .ttft_us = {-1, -1, -1, -1}};
    fact_row_derive(&f, &scratch, &row);
    ck_assert(row.avg_latency_ms == 0 && row.p50_latency_ms == 0 && row.p90_latency_ms == 0 &&
              row.p95_latency_ms == 0 && row.p99_latency_ms == 0 && row.max_latency_ms == 0);
    ck_assert(isnan(row.avg_ttft_ms) && isnan(row.p50_ttft_ms) && isnan(row.p90_ttft_ms) &&
              isnan(row.p95_ttft_ms) && isnan(row.p99_ttft_ms) && isnan(row.max_ttft_ms));
    ck_assert(row.avg_prompt_tokens == 0 && row.avg_completion_tokens == 0);
    ck_assert(isnan(row.output_tokens_per_second) && row.generation_ms == 0);
    f.generation_tokens = 5; // a row that was made up
    fact_row_derive(&f, &scratch, &row);
    ck_assert(isnan(row.output_tokens_per_second));
    ck_assert(row.estimated_cost_usd == 0 && isnan(row.reported_cost_usd));
    ASSERT_STR(row.estimated_cost_usd_decimal, "0");
    ASSERT_STR(row.error_classes, "{}");
    ASSERT_STR(row.finish_reasons, "{}");
    ck_assert_ptr_null(row.tenant_id.p);
}
END_TEST

START_TEST(settled_is_closed_with_nothing_in_flight)
{
    struct fact_row f = {.requests = 3, .responses = 2, .unanswered = 1, .closed = true};
    fact_row_derive(&f, &scratch, &row);
    ck_assert(row.settled);
    f.closed = false;
    fact_row_derive(&f, &scratch, &row);
    ck_assert(!row.settled);
    f.closed = true;
    f.unanswered = 0;
    fact_row_derive(&f, &scratch, &row);
    ck_assert(!row.settled);
    ck_assert_int_eq(row.in_flight, 1);
}
END_TEST

START_TEST(sums_that_have_saturated_stay_so)
{
    struct fact_row f = {0};
#define SET(name) f.name = INT64_MAX;
    FACT_SUMS(SET)
    FACT_GREATEST(SET)
#undef SET
    f.updated_at_us = 0;
    fact_row_derive(&f, &scratch, &row);
    ck_assert_int_eq(row.prompt_tokens, INT64_MAX);
    ck_assert_int_eq(row.cache_write_tokens, INT64_MAX);
    ck_assert_int_eq(row.in_flight, 0);
    ck_assert(row.avg_latency_ms == 0.001);
    f.requests = 0; // a row that was made up
    fact_row_derive(&f, &scratch, &row);
    ck_assert_int_eq(row.in_flight, -INT64_MAX);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("fact_row");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, what_is_stored_is_taken_over);
    tcase_add_test(tc, averages_divide_once);
    tcase_add_test(tc, amounts_are_shown_with_every_digit_and_as_the_nearest_double);
    tcase_add_test(tc, what_a_cost_is_made_of_is_the_nearest_double);
    tcase_add_test(tc, where_nothing_is_measured_latencies_are_0_and_the_rest_is_null);
    tcase_add_test(tc, settled_is_closed_with_nothing_in_flight);
    tcase_add_test(tc, sums_that_have_saturated_stay_so);
    Suite *suite = suite_create("fact_row");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
