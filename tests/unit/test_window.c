// SPDX-License-Identifier: Apache-2.0
#include "processor/window.h"

#include <check.h>

static struct hash_key key;
static struct series_table *series;
static struct window_table *table;

static void make(void)
{
    hash_key_init(&key, "seed", 4);
    series = series_table_new(&key);
    table = window_table_new(series);
}

static void clear(void)
{
    window_table_free(table);
    series_table_free(series);
}

static struct series *take(const char *model)
{
    return series_take(series, STR_LIT("t"), STR_LIT("r"), str_of(model), 1);
}

static const struct {
    int64_t t_us, start_us;
} floors[] = {
    {0, 0},
    {1, 0},
    {WINDOW_US - 1, 0},
    {WINDOW_US, WINDOW_US},
    {-1, -WINDOW_US},
    {-WINDOW_US, -WINDOW_US},
    {INT64_C(1795241699999999), INT64_C(1795241640000000)},
};

START_TEST(a_cell_is_the_minute_that_the_time_lies_in)
{
    struct series *s = take("m");
    window_facts(table, s, floors[_i].t_us)->requests = 3;
    ck_assert_uint_eq(window_count(table), 1);
    ck_assert_int_eq(window_at(table, 0)->window_start_us, floors[_i].start_us);
    ck_assert_ptr_eq(window_at(table, 0)->series, s);
    ck_assert_int_eq(window_facts(table, s, floors[_i].start_us)->requests, 3);
    ck_assert_uint_eq(window_count(table), 1);
    series_drop(series, s);
}
END_TEST

#define MODELS 20
#define MINUTES 100

START_TEST(finds_each_of_many_cells_again)
{
    struct series *s[MODELS];
    for (int m = 0; m < MODELS; m++)
        s[m] = take((char[]){(char)('a' + m), '\0'});
    for (int i = 0; i < MODELS * MINUTES; i++)
        window_facts(table, s[i % MODELS], (i / MODELS) * WINDOW_US)->requests = i;
    ck_assert_uint_eq(window_count(table), MODELS * MINUTES);
    for (int i = MODELS * MINUTES - 1; i >= 0; i--)
        ck_assert_int_eq(window_facts(table, s[i % MODELS], (i / MODELS) * WINDOW_US + 5)->requests,
                         i);
    ck_assert_uint_eq(window_count(table), MODELS * MINUTES);
    for (int m = 0; m < MODELS; m++)
        series_drop(series, s[m]);
}
END_TEST

START_TEST(one_name_in_two_epochs_has_two_cells)
{
    struct series *s[2];
    for (int i = 0; i < 2; i++) {
        s[i] = series_take(series, STR_LIT("t"), STR_LIT("r"), STR_LIT("m"), 1 + i);
        window_facts(table, s[i], 0)->requests = 3 + i;
    }
    ck_assert_uint_eq(window_count(table), 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(window_facts(table, s[i], 0)->requests, 3 + i);
        series_drop(series, s[i]);
    }
}
END_TEST

START_TEST(a_cell_keeps_its_series_until_it_is_cleared)
{
    struct series *s = take("m");
    hist_record(&window_facts(table, s, 0)->latency, 5);
    name_counts_add(&window_facts(table, s, 0)->error_classes, STR_LIT("e"), 1);
    (void)window_facts(table, s, WINDOW_US);
    series_drop(series, s);
    ck_assert_uint_eq(series_count(series), 1);
    window_clear(table);
    ck_assert_uint_eq(window_count(table), 0);
    ck_assert_uint_eq(series_count(series), 0);
    s = take("m");
    ck_assert_int_eq(window_facts(table, s, 0)->latency.total, 0); // begins empty again
    ck_assert_uint_eq(window_count(table), 1);
    series_drop(series, s);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("window");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_loop_test(tc, a_cell_is_the_minute_that_the_time_lies_in, 0, ARRAY_LEN(floors));
    tcase_add_test(tc, finds_each_of_many_cells_again);
    tcase_add_test(tc, one_name_in_two_epochs_has_two_cells);
    tcase_add_test(tc, a_cell_keeps_its_series_until_it_is_cleared);
    Suite *suite = suite_create("window");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
