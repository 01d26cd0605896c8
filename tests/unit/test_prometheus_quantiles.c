// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/quantiles.h"

#include "common/core/hist.h"
#include "common/core/timeunit.h"
#include "tests/sim/random.h"

#include <check.h>
#include <math.h>

#define SERIES_MAX 12
#define BLOCKS_MAX 20
#define FILLED_MAX 8
#define FILLED_COUNTS (hist_index(HIST_MAX_US) + 1)
#define BLOCK_US (FACTS_BLOCK_MINUTES * US_PER_MIN)

struct stored_row {
    uint16_t index[FILLED_MAX];
    int64_t count[FILLED_MAX];
};
struct stored_series {
    struct label label;
    struct facts_block blocks[BLOCKS_MAX];
    const struct facts_block *list[BLOCKS_MAX];
    struct facts_hist hists[BLOCKS_MAX][FACTS_BLOCK_ROWS];
    struct stored_row rows[BLOCKS_MAX][FACTS_BLOCK_ROWS];
};
static struct stored_series stored[SERIES_MAX];
static struct quantiles_series series[SERIES_MAX];
static size_t series_count;
static struct hash_key hash_key;
static struct merged_cache *merged;

static void make(void)
{
    hash_key_init(&hash_key, "case", 4);
    merged = merged_cache_new(1 << 20, &hash_key);
    series_count = 0;
}

static void clear(void)
{
    merged_cache_free(merged);
}

// A series {g="group"}.
static struct stored_series *add_series(const char *group)
{
    struct stored_series *s = &stored[series_count];
    memset(s, 0, sizeof(*s));
    s->label = (struct label){STR_LIT("g"), str_of(group)};
    series[series_count++] = (struct quantiles_series){{&s->label, 1}, {.minutes = s->list}};
    return s;
}

// Rows come ascending; the histogram is filled by the caller.
static struct facts_hist *add_row(struct stored_series *s, int64_t minute_us,
                                  struct stored_row **row)
{
    struct facts_rows *rows = &series[s - stored].rows;
    int64_t start_us = time_floor_us(minute_us, BLOCK_US);
    if (rows->minute_count == 0 || s->blocks[rows->minute_count - 1].start_us != start_us) {
        size_t b = rows->minute_count++;
        ck_assert_uint_lt(b, BLOCKS_MAX);
        s->blocks[b] = (struct facts_block){.start_us = start_us,
                                            .unit = FACTS_MINUTES,
                                            .group = FACTS_LATENCY,
                                            .hists = s->hists[b]};
        s->list[b] = &s->blocks[b];
    }
    size_t b = rows->minute_count - 1, i = s->blocks[b].n++;
    s->blocks[b].place[i] = (uint8_t)((minute_us - start_us) / US_PER_MIN);
    *row = &s->rows[b][i];
    s->hists[b][i] = (struct facts_hist){0, (*row)->index, (*row)->count};
    return &s->hists[b][i];
}

static void add_values(struct stored_series *s, int64_t minute, int64_t value_us, int64_t count)
{
    struct stored_row *row;
    struct facts_hist *h = add_row(s, minute * US_PER_MIN, &row);
    row->index[0] = (uint16_t)hist_index(value_us);
    row->count[0] = count;
    h->n = 1;
}

static void add_empty(struct stored_series *s, int64_t minute)
{
    struct stored_row *row;
    add_row(s, minute * US_PER_MIN, &row);
}

// At minutes 0, 1, 2 …
static struct quantiles_spec each_minute(int64_t range_ms)
{
    return (struct quantiles_spec){.when = {.start_ms = 0, .step_ms = MS_PER_MIN},
                                   .range_ms = range_ms,
                                   .through_us = INT64_MAX / US_PER_MIN * US_PER_MIN,
                                   .kept_from_us = INT64_MIN};
}

static double ask(const struct quantiles *q, size_t group, size_t step, double phi)
{
    const struct promql_quantile_answer *a = quantiles_answer(q);
    ck_assert_uint_lt(group, a->group_count);
    return a->value(a->arg, group, step, phi);
}

static void check_same(double got, double want)
{
    uint64_t bits[2];
    memcpy(&bits[0], &got, sizeof(got));
    memcpy(&bits[1], &want, sizeof(want));
    ck_assert_msg(bits[0] == bits[1] || (isnan(want) && isnan(got) && !promql_is_stale(got) &&
                                         !promql_is_stale(want)),
                  "%.9g instead of %.9g (%016llx)", got, want, (unsigned long long)bits[0]);
}

static void check(const struct quantiles *q, size_t group, size_t step, double phi, double want)
{
    check_same(ask(q, group, step, phi), want);
}

// ---- against all values, recorded anew at each step ---------------------------------------------

// Windows end in (t - offset - range, t - offset].
static double recorded(const struct quantiles_spec *spec, struct labels group, size_t step,
                       double phi)
{
    int64_t to_ms = spec->when.start_ms + (int64_t)step * spec->when.step_ms - spec->offset_ms;
    struct hist all = {.max_us = INT64_MAX};
    bool any = false;
    for (size_t i = 0; i < series_count; i++) {
        const struct facts_rows *rows = &series[i].rows;
        if (labels_compare(series[i].group, group) != 0)
            continue;
        for (size_t r = 0; r < rows->minute_count * FACTS_BLOCK_ROWS; r++) {
            const struct facts_block *b = rows->minutes[r / FACTS_BLOCK_ROWS];
            size_t at = r % FACTS_BLOCK_ROWS;
            if (at >= b->n)
                continue;
            int64_t begin_us = b->start_us + b->place[at] * US_PER_MIN;
            int64_t end_us = begin_us + US_PER_MIN;
            if (end_us <= (to_ms - spec->range_ms) * US_PER_MS || end_us > to_ms * US_PER_MS ||
                end_us > spec->through_us || begin_us < spec->kept_from_us)
                continue;
            any = true;
            for (size_t k = 0; k < b->hists[at].n; k++)
                for (int64_t c = 0; c < b->hists[at].count[k]; c++)
                    hist_record(&all, hist_lowest(b->hists[at].index[k]));
        }
    }
    double v = !any             ? promql_stale()
               : all.total == 0 ? NAN
                                : (double)hist_quantile(&all, phi) / 1e6;
    hist_clear(&all);
    return v;
}

static int64_t one_of(struct random *r, const int64_t *list, size_t n)
{
    return list[random_below(r, (int)n)];
}

static void fill(struct random *r, struct stored_series *s, int64_t base_us)
{
    int rows = random_below(r, 120), present = 5 + random_below(r, 95);
    int64_t first_us = base_us + random_below(r, 40) * US_PER_MIN;
    for (int m = 0; m < rows; m++) {
        struct stored_row *row;
        if (random_chance(r, 2))
            first_us += 30 * US_PER_MIN;
        if (!random_chance(r, present))
            continue;
        struct facts_hist *h = add_row(s, first_us + m * US_PER_MIN, &row);
        int index = random_below(r, random_chance(r, 50) ? FILLED_COUNTS : 300);
        for (; h->n < FILLED_MAX && index < FILLED_COUNTS && !random_chance(r, 20); h->n++) {
            row->index[h->n] = (uint16_t)index;
            row->count[h->n] = 1 + random_below(r, 5);
            index += 1 + random_below(r, random_chance(r, 50) ? 3 : 400);
        }
    }
}

static struct quantiles_spec some_spec(struct random *r, int64_t base_us)
{
    static const int64_t steps_ms[] = {15000, 59999, 60000, 60000, 60000, 61500, 420000, 3600000};
    static const int64_t ranges_ms[] = {1, 30000, 60000, 90000, 300000, 300000, 3600000};
    static const int64_t offsets_ms[] = {0, 0, 0, -1, 1, 30000, 300000, -300000, -59999};
    struct quantiles_spec spec = each_minute(one_of(r, ranges_ms, ARRAY_LEN(ranges_ms)));
    spec.when.step_ms = one_of(r, steps_ms, ARRAY_LEN(steps_ms));
    spec.when.start_ms = base_us / US_PER_MS + (random_below(r, 60) - 20) * MS_PER_MIN;
    if (random_chance(r, 50))
        spec.when.start_ms += random_below(r, (int)MS_PER_MIN);
    spec.offset_ms = one_of(r, offsets_ms, ARRAY_LEN(offsets_ms));
    if (random_chance(r, 40))
        spec.through_us = base_us + random_below(r, 120) * US_PER_MIN;
    if (random_chance(r, 40))
        spec.kept_from_us = base_us + random_below(r, 60) * US_PER_MIN;
    return spec;
}

START_TEST(answers_are_those_of_all_values)
{
    static const char *const groups[] = {"c", "a", "b", "a"};
    struct random r = {(uint64_t)_i + 1};
    // Before 1970 too, and not where blocks begin.
    int64_t base_us = (random_chance(&r, 20) ? -63 : INT64_C(29000003)) * US_PER_MIN;
    for (int n = random_below(&r, SERIES_MAX + 1); n > 0; n--)
        fill(&r, add_series(groups[random_below(&r, ARRAY_LEN(groups))]), base_us);
    struct quantiles_spec spec = some_spec(&r, base_us);
    struct quantiles *q = quantiles_new(&spec, series, series_count, merged);
    const struct promql_quantile_answer *a = quantiles_answer(q);
    for (size_t g = 0; g < a->group_count; g++)
        for (size_t step = 0; step < 60; step++) {
            double phi = random_below(&r, 101) / 100.0;
            check(q, g, step, phi, recorded(&spec, a->groups[g], step, phi));
            check(q, g, step, 0.5, recorded(&spec, a->groups[g], step, 0.5));
        }
    for (int i = 0; i < 40 && a->group_count > 0; i++) { // in no order
        size_t g = (size_t)random_below(&r, (int)a->group_count);
        size_t step = (size_t)random_below(&r, 60);
        check(q, g, step, 0.9, recorded(&spec, a->groups[g], step, 0.9));
    }
    quantiles_free(q);
}
END_TEST

// ---- by hand ------------------------------------------------------------------------------------

START_TEST(windows_count_where_they_end)
{
    struct stored_series *s = add_series("a");
    for (int64_t minute = 10; minute < 20; minute++)
        add_values(s, minute, minute, 1); // stamped at minute + 1
    struct quantiles_spec spec = each_minute(2 * MS_PER_MIN);
    struct quantiles *q = quantiles_new(&spec, series, series_count, merged);
    check(q, 0, 10, 0.5, promql_stale());
    check(q, 0, 11, 1, 10e-6);
    check(q, 0, 12, 0, 10e-6);
    check(q, 0, 12, 1, 11e-6);
    check(q, 0, 13, 0, 11e-6); // that of minute 10 ended 2 minutes before
    check(q, 0, 21, 0, 19e-6);
    check(q, 0, 22, 0, promql_stale());
    quantiles_free(q);
    spec.when.start_ms = -1;
    q = quantiles_new(&spec, series, series_count, merged);
    check(q, 0, 11, 1, promql_stale());
    check(q, 0, 13, 0, 10e-6);
    quantiles_free(q);
}
END_TEST

START_TEST(windows_that_are_not_served_do_not_count)
{
    struct stored_series *s = add_series("a");
    for (int64_t minute = 10; minute < 20; minute++)
        add_values(s, minute, minute, 1);
    struct quantiles_spec spec = each_minute(60 * MS_PER_MIN);
    spec.kept_from_us = 12 * US_PER_MIN;
    spec.through_us = 15 * US_PER_MIN;
    struct quantiles *q = quantiles_new(&spec, series, series_count, merged);
    check(q, 0, 12, 0, promql_stale());
    check(q, 0, 30, 0, 12e-6);
    check(q, 0, 30, 1, 14e-6);
    check(q, 0, 72, 0, 12e-6);
    check(q, 0, 73, 0, 13e-6);
    check(q, 0, 75, 0, promql_stale());
    check(q, 0, 200, 0, promql_stale());
    quantiles_free(q);
}
END_TEST

START_TEST(no_values_are_not_no_windows)
{
    struct stored_series *s = add_series("a");
    add_empty(s, 10);
    add_values(s, 11, 7, 2);
    struct quantiles_spec spec = each_minute(MS_PER_MIN);
    struct quantiles *q = quantiles_new(&spec, series, series_count, merged);
    check(q, 0, 10, 0.5, promql_stale());
    check(q, 0, 11, 0.5, NAN);
    check(q, 0, 12, 0.5, 7e-6);
    check(q, 0, 13, 0.5, promql_stale());
    quantiles_free(q);
}
END_TEST

START_TEST(the_highest_value_of_the_bucket)
{
    struct stored_series *s = add_series("a");
    add_values(s, 0, 1000000, 1);
    add_values(s, 1, HIST_MAX_US, 1);
    struct quantiles_spec spec = each_minute(MS_PER_MIN);
    struct quantiles *q = quantiles_new(&spec, series, series_count, merged);
    check(q, 0, 1, 0.5, (double)hist_highest(hist_index(1000000)) / 1e6);
    ck_assert_double_gt(ask(q, 0, 1, 0.5), 1);
    ck_assert_double_gt(ask(q, 0, 2, 0.5), 3600);
    quantiles_free(q);
}
END_TEST

START_TEST(ranks_are_those_of_histograms)
{
    struct stored_series *s = add_series("a");
    add_values(s, 0, 7, 7);
    add_values(s, 1, 100, 93);
    struct quantiles_spec spec = each_minute(2 * MS_PER_MIN);
    struct quantiles *q = quantiles_new(&spec, series, series_count, merged);
    check(q, 0, 2, 0.07, 7e-6); // ⌈0.07 · 100⌉ is 7, though the double is above
    check(q, 0, 2, 0.0701, 100e-6);
    check(q, 0, 2, 0, 7e-6);
    check(q, 0, 2, 1, 100e-6);
    quantiles_free(q);
}
END_TEST

START_TEST(groups_are_sorted_and_each_once)
{
    static const char *const names[] = {"b", "", "a", "b", "a"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        add_values(add_series(names[i]), 0, 1 + (int64_t)i, 1);
    series[1].group = (struct labels){NULL, 0};
    struct quantiles_spec spec = each_minute(MS_PER_MIN);
    struct quantiles *q = quantiles_new(&spec, series, series_count, merged);
    const struct promql_quantile_answer *a = quantiles_answer(q);
    ck_assert_uint_eq(a->group_count, 3);
    ck_assert_uint_eq(a->groups[0].n, 0);
    ck_assert(str_eq(a->groups[1].v[0].value, STR_LIT("a")));
    ck_assert(str_eq(a->groups[2].v[0].value, STR_LIT("b")));
    check(q, 0, 1, 1, 2e-6);
    check(q, 1, 1, 0, 3e-6);
    check(q, 1, 1, 1, 5e-6);
    check(q, 2, 1, 0, 1e-6);
    check(q, 2, 1, 1, 4e-6);
    quantiles_free(q);
}
END_TEST

START_TEST(without_series_there_are_no_groups_but_an_answer)
{
    struct quantiles_spec spec = each_minute(MS_PER_MIN);
    struct quantiles *q = quantiles_new(&spec, NULL, 0, merged);
    ck_assert(quantiles_answer(q)->groups != NULL);
    ck_assert_uint_eq(quantiles_answer(q)->group_count, 0);
    quantiles_free(q);
    quantiles_free(NULL);
}
END_TEST

// Whatever a database held, and a client asks for.
START_TEST(nothing_overflows)
{
    for (int i = 0; i < 3; i++)
        add_values(add_series("a"), 10, 1 + i, INT64_MAX);
    add_values(&stored[2], 11, 9, 4);
    add_values(&stored[0], 13, 8, 4);
    add_values(&stored[1], 13, 9, INT64_MAX);
    struct quantiles_spec spec = each_minute(MS_PER_MIN);
    struct quantiles *q = quantiles_new(&spec, series, 2, merged);
    check(q, 0, 11, 0, 1e-6);
    quantiles_free(q);
    q = quantiles_new(&spec, series, 3, merged);
    ask(q, 0, 11, 1);
    check(q, 0, 12, 1, 9e-6); // what left is gone to the last one
    check(q, 0, 14, 1, 9e-6); // more than an int64
    quantiles_free(q);
    static const int64_t ends[] = {INT64_MIN, INT64_MIN / 1000, INT64_MAX / 1000, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        spec = each_minute(INT64_MAX / 1000000);
        spec.when.start_ms = ends[i];
        spec.offset_ms = i % 2 ? spec.range_ms : -spec.range_ms;
        q = quantiles_new(&spec, series, 3, merged);
        check(q, 0, 0, 1, promql_stale());
        quantiles_free(q);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("prometheus_quantiles");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_loop_test(tc, answers_are_those_of_all_values, 0, 400);
    tcase_add_test(tc, windows_count_where_they_end);
    tcase_add_test(tc, windows_that_are_not_served_do_not_count);
    tcase_add_test(tc, no_values_are_not_no_windows);
    tcase_add_test(tc, the_highest_value_of_the_bucket);
    tcase_add_test(tc, ranks_are_those_of_histograms);
    tcase_add_test(tc, groups_are_sorted_and_each_once);
    tcase_add_test(tc, without_series_there_are_no_groups_but_an_answer);
    tcase_add_test(tc, nothing_overflows);
    Suite *suite = suite_create("prometheus_quantiles");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
