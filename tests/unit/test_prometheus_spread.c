// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/spread.h"

#include "common/core/name_counts.h"
#include "common/core/timeunit.h"
#include "tests/sim/random.h"

#include <check.h>

#define DAY_US INT64_C(1795219200000000)
#define HOURS 3

static struct arena arena;
static int64_t columns[HOURS * FACTS_SUM_COLUMNS];
static struct str objects[HOURS * 2];
static struct facts_hist hists[HOURS];

// The hours 0, 5 and 23.
static struct facts_block day(enum facts_group group)
{
    return (struct facts_block){
        .start_us = DAY_US,
        .unit = FACTS_HOURS,
        .group = group,
        .closed_through_us = DAY_US + 7,
        .n = HOURS,
        .place = {0, 5, 23},
        .columns = columns,
        .objects = objects,
        .hists = hists,
    };
}

static struct metric of_columns(enum facts_group group, uint64_t plus, uint64_t minus)
{
    return (struct metric){.source = METRIC_COLUMNS, .group = group, .plus = plus, .minus = minus};
}

static size_t spread(const struct metric *m, int64_t from_hour, int64_t to_hour,
                     const struct facts_block ***out)
{
    struct facts_block *b = arena_alloc(&arena, sizeof(*b));
    *b = day(m->group);
    const struct facts_block *list[] = {b};
    return spread_hours(m, list, 1, DAY_US + from_hour * US_PER_HOUR,
                        DAY_US + to_hour * US_PER_HOUR, &arena, out);
}

START_TEST(blocks_are_those_of_the_hours_minutes)
{
    const struct metric m = of_columns(FACTS_SUMS, 1, 0);
    const struct facts_block **b;
    ck_assert_uint_eq(spread(&m, 0, 24, &b), 18);
    for (size_t i = 0; i < 18; i++) {
        int64_t hour = (int64_t[]){0, 5, 23}[i / 6];
        ck_assert_int_eq(b[i]->start_us,
                         DAY_US + hour * US_PER_HOUR + (int64_t)(i % 6) * 10 * US_PER_MIN);
        ck_assert_int_eq(b[i]->unit, FACTS_MINUTES);
        ck_assert_int_eq(b[i]->group, FACTS_SUMS);
        ck_assert_int_eq(b[i]->closed_through_us, DAY_US + 7);
        ck_assert_uint_eq(b[i]->n, 10);
        for (size_t k = 0; k < 10; k++)
            ck_assert_uint_eq(b[i]->place[k], k);
    }
}
END_TEST

START_TEST(hours_outside_are_left_out)
{
    const struct metric m = of_columns(FACTS_SUMS, 1, 0);
    const struct facts_block **b;
    ck_assert_uint_eq(spread(&m, 1, 23, &b), 6);
    ck_assert_int_eq(b[0]->start_us, DAY_US + 5 * US_PER_HOUR);
    ck_assert_uint_eq(spread(&m, 5, 6, &b), 6);
    ck_assert_uint_eq(spread(&m, 6, 23, &b), 0);
}
END_TEST

// Any counts, also less than none, and as great as there are.
START_TEST(minutes_sum_to_the_hour_and_differ_by_one_at_most)
{
    struct random r = {7};
    const int64_t some[] = {0, 1, -1, 59, 60, 61, -61, INT64_MAX, INT64_MIN + 1};
    const struct metric m = of_columns(FACTS_COSTS, UINT64_C(1) << FACTS_cost, UINT64_C(1) << 0);
    for (size_t round = 0; round < 200; round++) {
        const struct facts_block **b;
        int64_t v =
            round < ARRAY_LEN(some) ? some[round] : (int64_t)(random_next(&r) >> (round % 64));
        columns[1 * FACTS_COST_COLUMNS + FACTS_cost] = v;
        columns[1 * FACTS_COST_COLUMNS] = -v;
        ck_assert_uint_eq(spread(&m, 5, 6, &b), 6);
        __int128 sum = 0, other = 0;
        int64_t least = INT64_MAX, most = INT64_MIN;
        for (size_t i = 0; i < 60; i++) {
            const int64_t *row = &b[i / 10]->columns[i % 10 * FACTS_COST_COLUMNS];
            sum += row[FACTS_cost];
            other += row[0];
            least = min_i64(least, row[FACTS_cost]);
            most = max_i64(most, row[FACTS_cost]);
        }
        ck_assert(sum == v);
        ck_assert(other == -(__int128)v);
        ck_assert_int_le(most - least, 1);
        arena_free(&arena);
    }
}
END_TEST

START_TEST(each_minute_has_the_hours_maximum)
{
    const struct metric m = of_columns(FACTS_SUMS, UINT64_C(1) << FACTS_latency_max_us, 0);
    const struct facts_block **b;
    columns[FACTS_latency_max_us] = 77;
    ck_assert_uint_eq(spread(&m, 0, 1, &b), 6);
    for (size_t i = 0; i < 60; i++)
        ck_assert_int_eq(b[i / 10]->columns[i % 10 * FACTS_SUM_COLUMNS + FACTS_latency_max_us], 77);
}
END_TEST

START_TEST(names_are_spread_as_counts_are)
{
    const struct metric m = {.source = METRIC_ERRORS, .group = FACTS_OBJECTS};
    const struct facts_block **b;
    struct name_counts errors = {0}, reasons = {0};
    struct err e;
    objects[0] = STR_LIT("{\"a\":61,\"b\":1,\"__other__\":3}");
    objects[1] = STR_LIT("{\"stop\":120}");
    objects[2] = objects[3] = STR_LIT("{}");
    ck_assert_uint_eq(spread(&m, 0, 6, &b), 12);
    for (size_t i = 0; i < 60; i++) {
        struct name_counts minute = {0};
        ck_assert_int_eq(name_counts_from_json(&minute, b[i / 10]->objects[i % 10 * 2 + 1], &e), 0);
        ck_assert_int_eq(minute.v[0].count, 2);
        name_counts_merge(&reasons, &minute);
        name_counts_clear(&minute);
        ck_assert_int_eq(name_counts_from_json(&errors, b[i / 10]->objects[i % 10 * 2], &e), 0);
        ck_assert(str_eq(b[6 + i / 10]->objects[i % 10 * 2], STR_LIT("{}")));
    }
    ck_assert_int_eq(reasons.v[0].count, 120);
    ck_assert_uint_eq(errors.n, 2);
    ck_assert_int_eq(errors.v[0].count, 61);
    ck_assert_int_eq(errors.v[1].count, 1);
    ck_assert_int_eq(errors.other, 3);
    name_counts_clear(&errors);
    name_counts_clear(&reasons);
}
END_TEST

START_TEST(each_minute_has_the_hours_histogram)
{
    static const uint16_t index[] = {3};
    static const int64_t count[] = {9};
    const struct metric m = {.source = METRIC_BUCKETS, .group = FACTS_LATENCY};
    const struct facts_block **b;
    hists[2] = (struct facts_hist){1, index, count};
    ck_assert_uint_eq(spread(&m, 23, 24, &b), 6);
    for (size_t i = 0; i < 60; i++) {
        ck_assert_ptr_eq(b[i / 10]->hists[i % 10].index, index);
        ck_assert_uint_eq(b[i / 10]->hists[i % 10].n, 1);
    }
}
END_TEST

static void clear(void)
{
    arena_free(&arena);
    memset(columns, 0, sizeof(columns));
}

int main(void)
{
    Suite *s = suite_create("prometheus_spread");
    TCase *t = tcase_create("spread");
    tcase_add_checked_fixture(t, NULL, clear);
    tcase_add_test(t, blocks_are_those_of_the_hours_minutes);
    tcase_add_test(t, hours_outside_are_left_out);
    tcase_add_test(t, minutes_sum_to_the_hour_and_differ_by_one_at_most);
    tcase_add_test(t, each_minute_has_the_hours_maximum);
    tcase_add_test(t, names_are_spread_as_counts_are);
    tcase_add_test(t, each_minute_has_the_hours_histogram);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
