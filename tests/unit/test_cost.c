// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/cost.h"

#include "common/core/timeunit.h"
#include "metrics-api/question.h"
#include "tests/sim/random.h"

#include <check.h>
#include <math.h>

#define NOW_US (INT64_C(1000) * US_PER_HOUR)
#define BEFORE_US (INT64_C(999) * US_PER_HOUR)
#define USD MONEY_PER_USD
#define CELLS 60

static struct cell cells[CELLS];
static struct cost_sides groups[CELLS];
static struct fact_row now, before;
static struct buf scratch;
static struct cost_row row;

static void make(void)
{
    memset(cells, 0, sizeof(cells));
    now = before = (struct fact_row){0};
    scratch = (struct buf){0};
}

static void clear(void)
{
    buf_free(&scratch);
}

static void derive(money total, bool before_kept)
{
    cost_row_derive(&(struct cost_sides){&now, &before}, total, before_kept, &scratch, &row);
}

// ---- groups -------------------------------------------------------------------------------------

static struct fact_row *cell(size_t i, int64_t start_us, const char *model, money cost)
{
    struct fact_row *f = &cells[i].row;
    f->window_start_us = start_us;
    f->model = str_of(model);
    f->cost = cost;
    return f;
}

START_TEST(a_group_has_both_sides_whichever_it_is_in)
{
    cell(0, NOW_US, "both", 5);
    cell(1, NOW_US, "new", 7);
    cell(2, BEFORE_US, "both", 3);
    cell(3, BEFORE_US, "gone", 9);
    ck_assert_uint_eq(cost_pair(cells, 4, NOW_US, groups), 3);
    ck_assert(groups[0].now == &cells[1].row && !groups[0].before);
    ck_assert(groups[1].now == &cells[0].row && groups[1].before == &cells[2].row);
    ck_assert(!groups[2].now && groups[2].before == &cells[3].row);
}
END_TEST

START_TEST(no_cells_are_no_groups)
{
    ck_assert_uint_eq(cost_pair(NULL, 0, NOW_US, groups), 0);
}
END_TEST

// Against counting what is before each: more cost, or as much and an earlier name.
START_TEST(what_costs_most_comes_first_and_equals_by_name)
{
    static const char *const names[] = {"a", "ab", "b", "\xc3\xa9"};
    struct random r = {(uint64_t)_i};
    size_t n = 0, rank[CELLS / 2] = {0};
    money costs[CELLS / 2];
    size_t order[CELLS / 2];
    for (size_t i = 0; i < CELLS / 2; i++) {
        size_t name = i * 64 / (CELLS / 2); // ascending, each once
        bool in_now = random_chance(&r, 70), in_before = !in_now || random_chance(&r, 50);
        costs[i] = in_now ? random_below(&r, 8) - 2 : 0;
        order[i] = name;
        for (int side = 0; side < 2; side++) {
            if (!(side ? in_before : in_now))
                continue;
            struct fact_row *f =
                cell(n++, side ? BEFORE_US : NOW_US, names[name % 4], side ? 100 : costs[i]);
            f->tenant_id = str_of(names[name / 16]);
            f->route = str_of(names[name / 4 % 4]);
        }
    }
    for (size_t i = 0; i < CELLS / 2; i++)
        for (size_t k = 0; k < CELLS / 2; k++)
            rank[i] += costs[k] > costs[i] || (costs[k] == costs[i] && order[k] < order[i]);
    ck_assert_uint_eq(cost_pair(cells, n, NOW_US, groups), CELLS / 2);
    for (size_t i = 0; i < CELLS / 2; i++) {
        const struct cost_sides *g = &groups[rank[i]];
        const struct fact_row *any = g->now ? g->now : g->before;
        ck_assert(str_eq(any->tenant_id, str_of(names[order[i] / 16])) &&
                  str_eq(any->route, str_of(names[order[i] / 4 % 4])) &&
                  str_eq(any->model, str_of(names[order[i] % 4])));
        ck_assert(!g->now || g->now->cost == costs[i]);
        ck_assert(!g->before || g->before->cost == 100);
    }
}
END_TEST

START_TEST(great_amounts_are_told_apart)
{
    cell(0, NOW_US, "a", MONEY_MAX - 1);
    cell(1, NOW_US, "b", MONEY_MAX);
    ck_assert_uint_eq(cost_pair(cells, 2, NOW_US, groups), 2);
    ck_assert_ptr_eq(groups[0].now, &cells[1].row);
}
END_TEST

START_TEST(names_are_shown_that_are_grouped_by)
{
    uint64_t none = cost_fields_shown(0),
             all = cost_fields_shown(GROUP_TENANT | GROUP_ROUTE | GROUP_MODEL);
    ck_assert_int_eq(__builtin_popcountll(all), COST_FIELD_COUNT);
    ck_assert_int_eq(__builtin_popcountll(none), COST_FIELD_COUNT - 3);
    ck_assert_uint_eq(cost_fields_shown(GROUP_TENANT) & ~none, UINT64_C(1) << COST_FIELD_tenant_id);
    ck_assert_uint_eq(cost_fields_shown(GROUP_ROUTE) & ~none, UINT64_C(1) << COST_FIELD_route);
    ck_assert_uint_eq(cost_fields_shown(GROUP_MODEL) & ~none, UINT64_C(1) << COST_FIELD_model);
}
END_TEST

// ---- a row --------------------------------------------------------------------------------------

START_TEST(a_cost_has_its_parts)
{
    now = (struct fact_row){
        .requests = 10,
        .responses = 8,
        .cost = 4 * USD,
        .cost_input = USD,
        .cost_cached_input = USD / 4,
        .cost_cache_write_5m = USD / 8,
        .cost_cache_write_1h = USD / 8,
        .cost_output = USD,
        .cost_reasoning = USD / 2,
        .cost_request = USD,
        .cache_savings = -USD / 2,
    };
    derive(16 * USD, true);
    ck_assert_int_eq(row.requests, 10);
    ck_assert_int_eq(row.responses, 8);
    ck_assert_double_eq(row.estimated_cost_usd, 4);
    ck_assert(str_eq(row.estimated_cost_usd_decimal, STR_LIT("4")));
    ck_assert_double_eq(row.share, 0.25);
    ck_assert_double_eq(row.uncached_prompt_cost_usd, 1);
    ck_assert_double_eq(row.cached_prompt_cost_usd, 0.25);
    ck_assert_double_eq(row.cache_write_5m_cost_usd, 0.125);
    ck_assert_double_eq(row.cache_write_1h_cost_usd, 0.125);
    ck_assert_double_eq(row.completion_cost_usd, 1.5);
    ck_assert_double_eq(row.reasoning_cost_usd, 0.5);
    ck_assert_double_eq(row.request_cost_usd, 1);
    ck_assert_double_eq(row.cache_savings_usd, -0.5);
}
END_TEST

START_TEST(shares_are_of_the_responses)
{
    now = (struct fact_row){
        .requests = 9,
        .responses = 8,
        .unpriced_requests = 2,
        .unpriced_tokens = 30,
        .guessed_requests = 4,
        .reported_requests = 1,
        .reported_cost = 3 * USD,
    };
    derive(0, true);
    ck_assert_double_nan(row.share);
    ck_assert_double_eq(row.unpriced_share, 0.25);
    ck_assert_double_eq(row.guessed_share, 0.5);
    ck_assert_double_eq(row.reported_share, 0.125);
    ck_assert_double_eq(row.reported_cost_usd, 3);
    ck_assert_int_eq(row.unpriced_requests, 2);
    ck_assert_int_eq(row.unpriced_tokens, 30);
    now.reported_requests = 0;
    derive(0, true);
    ck_assert_double_nan(row.reported_cost_usd);
    ck_assert_double_eq(row.reported_share, 0);
    now = (struct fact_row){.requests = 1};
    derive(0, true);
    ck_assert(isnan(row.unpriced_share) && isnan(row.guessed_share) && isnan(row.reported_share));
    ck_assert(isnan(row.cost_per_request_usd) && isnan(row.cost_per_million_tokens_usd));
}
END_TEST

START_TEST(reported_is_compared_where_both_are_of_the_same_responses)
{
    now = (struct fact_row){
        .responses = 4, .reported_requests = 4, .cost = 3 * USD, .reported_cost = 5 * USD / 2};
    derive(0, true);
    ck_assert_double_eq(row.reported_difference_usd, -0.5);
    now.unpriced_requests = 1;
    derive(0, true);
    ck_assert_double_nan(row.reported_difference_usd);
    now.unpriced_requests = 0;
    now.reported_requests = 3;
    derive(0, true);
    ck_assert_double_nan(row.reported_difference_usd);
    now.responses = now.reported_requests = 0;
    derive(0, true);
    ck_assert_double_nan(row.reported_difference_usd);
}
END_TEST

START_TEST(rates_are_by_what_has_a_price)
{
    now = (struct fact_row){
        .responses = 10,
        .unpriced_requests = 2,
        .unpriced_tokens = 500000,
        .uncached_prompt_tokens = 1000000,
        .cached_prompt_tokens = 500000,
        .cache_write_5m_tokens = 200000,
        .cache_write_1h_tokens = 300000,
        .completion_tokens = 500000,
        .reasoning_tokens = 400000, // a part of these
        .cost = 16 * USD,
    };
    derive(0, true);
    ck_assert_double_eq(row.cost_per_request_usd, 2);
    ck_assert_double_eq(row.cost_per_million_tokens_usd, 8);
    now.unpriced_requests = 10;
    now.unpriced_tokens = 2500000;
    derive(0, true);
    ck_assert(isnan(row.cost_per_request_usd) && isnan(row.cost_per_million_tokens_usd));
}
END_TEST

START_TEST(a_change_is_from_the_range_before)
{
    now.cost = 3 * USD;
    before.cost = 4 * USD;
    derive(0, true);
    ck_assert_double_eq(row.before_estimated_cost_usd, 4);
    ck_assert_double_eq(row.change_usd, -1);
    ck_assert_double_eq(row.change_percent, -25);
    before.cost = 0;
    derive(0, true);
    ck_assert_double_eq(row.before_estimated_cost_usd, 0);
    ck_assert_double_eq(row.change_usd, 3);
    ck_assert_double_nan(row.change_percent);
    derive(0, false);
    ck_assert(isnan(row.before_estimated_cost_usd) && isnan(row.change_usd) &&
              isnan(row.change_percent));
}
END_TEST

START_TEST(a_group_of_one_range_alone_cost_nothing_in_the_other)
{
    now = (struct fact_row){.model = STR_LIT("new"), .cost = USD};
    before = (struct fact_row){.model = STR_LIT("gone"), .requests = 5, .cost = 2 * USD};
    cost_row_derive(&(struct cost_sides){&now, NULL}, USD, true, &scratch, &row);
    ck_assert(str_eq(row.model, STR_LIT("new")));
    ck_assert_double_eq(row.before_estimated_cost_usd, 0);
    ck_assert_double_eq(row.change_usd, 1);
    cost_row_derive(&(struct cost_sides){NULL, &before}, USD, true, &scratch, &row);
    ck_assert(str_eq(row.model, STR_LIT("gone")));
    ck_assert_int_eq(row.requests, 0);
    ck_assert_double_eq(row.estimated_cost_usd, 0);
    ck_assert_double_eq(row.share, 0);
    ck_assert_double_eq(row.change_percent, -100);
}
END_TEST

START_TEST(the_greatest_sums_are_taken)
{
    now.cost = MONEY_MAX;
    before.cost = -MONEY_MAX;
    now.responses = now.uncached_prompt_tokens = now.completion_tokens = INT64_MAX;
    derive(MONEY_MAX, true);
    ck_assert_double_eq(row.share, 1);
    ck_assert_double_eq(row.change_usd, money_usd(MONEY_MAX)); // it stays there
    ck_assert(row.cost_per_request_usd > 0 && row.cost_per_million_tokens_usd > 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cost");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, a_group_has_both_sides_whichever_it_is_in);
    tcase_add_test(tc, no_cells_are_no_groups);
    tcase_add_loop_test(tc, what_costs_most_comes_first_and_equals_by_name, 0, 50);
    tcase_add_test(tc, great_amounts_are_told_apart);
    tcase_add_test(tc, names_are_shown_that_are_grouped_by);
    tcase_add_test(tc, a_cost_has_its_parts);
    tcase_add_test(tc, shares_are_of_the_responses);
    tcase_add_test(tc, reported_is_compared_where_both_are_of_the_same_responses);
    tcase_add_test(tc, rates_are_by_what_has_a_price);
    tcase_add_test(tc, a_change_is_from_the_range_before);
    tcase_add_test(tc, a_group_of_one_range_alone_cost_nothing_in_the_other);
    tcase_add_test(tc, the_greatest_sums_are_taken);
    Suite *suite = suite_create("cost");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
