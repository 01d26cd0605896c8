// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/top.h"

#include "tests/sim/random.h"

#include <check.h>

#define CELLS 60

static struct cell cells[CELLS];
static size_t found[CELLS];

static void make(void)
{
    memset(cells, 0, sizeof(cells));
}

static const enum question_by all_by[] = {BY_COST, BY_REQUESTS, BY_ERRORS, BY_P95, BY_TOKENS};

static void set(struct fact_row *row, enum question_by by, int64_t value)
{
    switch (by) {
    case BY_COST:
        row->cost = value;
        break;
    case BY_REQUESTS:
        row->requests = value;
        break;
    case BY_ERRORS:
        row->errors = value;
        break;
    case BY_P95:
        row->latency_us[FACT_p95] = value;
        break;
    case BY_TOKENS: // of all classes; reasoning tokens are a part of completion's
        row->uncached_prompt_tokens = value / 5;
        row->cached_prompt_tokens = value / 5;
        row->cache_write_5m_tokens = value / 5;
        row->cache_write_1h_tokens = value / 5;
        row->completion_tokens = value - 4 * (value / 5);
        row->reasoning_tokens = 1000000 - value;
    }
}

// Ranks against counting what is before each: more of it, or as much and an earlier name.
START_TEST(the_most_come_first_and_equals_by_name)
{
    static const char *const names[] = {"a", "ab", "b", "\xc3\xa9"};
    struct random r = {(uint64_t)_i};
    enum question_by by = all_by[(size_t)_i % ARRAY_LEN(all_by)];
    size_t count = 1 + (size_t)random_below(&r, CELLS), limit = 1 + (size_t)random_below(&r, CELLS);
    int64_t values[CELLS];
    size_t rank[CELLS] = {0};
    for (size_t i = 0; i < count; i++) {
        struct fact_row *row = &cells[i].row;
        for (size_t k = 0; k < ARRAY_LEN(all_by); k++) // the others mislead
            set(row, all_by[k], random_below(&r, 1000));
        values[i] = random_below(&r, 10) - (by == BY_P95);
        set(row, by, values[i]);
        row->tenant_id = str_of(names[i % 4]); // 64 combinations, each once
        row->route = str_of(names[i / 4 % 4]);
        row->model = str_of(names[i / 16 % 4]);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            size_t of_i = i % 4 * 16 + i / 4 % 4 * 4 + i / 16 % 4;
            size_t of_k = k % 4 * 16 + k / 4 % 4 * 4 + k / 16 % 4;
            rank[i] += values[k] > values[i] || (values[k] == values[i] && of_k < of_i);
        }
    }
    size_t n = top_find(cells, count, by, limit, found);
    ck_assert_uint_eq(n, count < limit ? count : limit);
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_eq(rank[found[i]], i);
}
END_TEST

START_TEST(great_amounts_are_told_apart)
{
    cells[0].row.cost = MONEY_MAX - 1;
    cells[1].row.cost = MONEY_MAX;
    cells[2].row.cost = -MONEY_MAX;
    ck_assert_uint_eq(top_find(cells, 3, BY_COST, 3, found), 3);
    ck_assert_uint_eq(found[0], 1);
    ck_assert_uint_eq(found[2], 2);
}
END_TEST

START_TEST(token_sums_do_not_overflow)
{
    cells[0].row.uncached_prompt_tokens = INT64_MAX;
    cells[1].row.uncached_prompt_tokens = INT64_MAX;
    cells[1].row.completion_tokens = INT64_MAX;
    ck_assert_uint_eq(top_find(cells, 2, BY_TOKENS, 1, found), 1);
    ck_assert_uint_eq(found[0], 1);
    ck_assert_uint_eq(top_find(cells, 0, BY_TOKENS, 1, found), 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("top");
    tcase_add_checked_fixture(tc, make, NULL);
    tcase_add_loop_test(tc, the_most_come_first_and_equals_by_name, 0, 100);
    tcase_add_test(tc, great_amounts_are_told_apart);
    tcase_add_test(tc, token_sums_do_not_overflow);
    Suite *suite = suite_create("top");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
