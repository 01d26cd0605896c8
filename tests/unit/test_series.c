// SPDX-License-Identifier: Apache-2.0
#include "processor/series.h"

#include <check.h>
#include <stdio.h>

static struct hash_key key;
static struct series_table *table;

static void make(void)
{
    hash_key_init(&key, "seed", 4);
    table = series_table_new(&key);
}

static void clear(void)
{
    series_table_free(table);
}

static struct series *take(const char *tenant, const char *route, const char *model)
{
    return series_take(table, str_of(tenant), str_of(route), str_of(model), 1);
}

START_TEST(gives_one_entry_for_the_same_names)
{
    char tenant[] = "t";
    struct series *s = take(tenant, "/chat", "m");
    tenant[0] = 'x'; // the names are the table's own copies
    ck_assert_ptr_eq(take("t", "/chat", "m"), s);
    ck_assert_uint_eq(series_count(table), 1);
    ck_assert_str_eq(s->tenant.p, "t");
    ck_assert_str_eq(s->route.p, "/chat");
    ck_assert_str_eq(s->model.p, "m");
    ck_assert_uint_eq(s->route.n, 5);
}
END_TEST

START_TEST(tells_names_apart_wherever_their_border_lies)
{
    struct series *s = take("ab", "c", "d");
    ck_assert_ptr_ne(take("a", "bc", "d"), s);
    ck_assert_ptr_ne(take("ab", "d", "c"), s);
    ck_assert_ptr_ne(take("ab", "", "cd"), s);
    ck_assert_uint_eq(series_count(table), 4);
}
END_TEST

START_TEST(the_same_names_in_another_epoch_are_another_entry)
{
    struct series *s = take("t", "r", "m");
    s->store_id = 7;
    struct series *later = series_take(table, STR_LIT("t"), STR_LIT("r"), STR_LIT("m"), 2);
    ck_assert_ptr_ne(later, s);
    ck_assert_int_eq(later->store_id, 0); // to be resolved by itself
    ck_assert_int_eq(later->epoch, 2);
    ck_assert_int_eq(s->epoch, 1);
    series_drop(table, s);
    ck_assert_ptr_eq(series_take(table, STR_LIT("t"), STR_LIT("r"), STR_LIT("m"), 2), later);
    ck_assert_uint_eq(series_count(table), 1);
}
END_TEST

START_TEST(forgets_an_entry_with_its_last_reference)
{
    struct series *s = take("t", "r", "m");
    ck_assert_ptr_eq(series_ref(s), s);
    s->store_id = 7;
    series_drop(table, s);
    ck_assert_uint_eq(series_count(table), 1);
    ck_assert_int_eq(take("t", "r", "m")->store_id, 7);
    series_drop(table, s);
    series_drop(table, s);
    ck_assert_uint_eq(series_count(table), 0);
    ck_assert_int_eq(take("t", "r", "m")->store_id, 0);
}
END_TEST

START_TEST(addresses_hold_while_the_table_grows)
{
    struct series *s[2000];
    char name[16];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        s[i] = take(name, "r", "m");
    }
    ck_assert_uint_eq(series_count(table), 2000);
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        ck_assert_ptr_eq(take(name, "r", "m"), s[i]);
        ck_assert_str_eq(s[i]->tenant.p, name);
        series_drop(table, s[i]);
        series_drop(table, s[i]);
    }
    ck_assert_uint_eq(series_count(table), 0);
}
END_TEST

// What nobody refers to is kept up to its limit and then given back, but never what is in use.
START_TEST(unused_entries_are_bounded)
{
    struct series *used[10], *unused[SERIES_UNUSED + 11];
    char name[16];
    for (size_t i = 0; i < ARRAY_LEN(used) + ARRAY_LEN(unused); i++) {
        snprintf(name, sizeof(name), "t%zu", i);
        struct series *s = take(name, "r", "m");
        if (i < ARRAY_LEN(used))
            used[i] = s;
        else
            unused[i - ARRAY_LEN(used)] = s;
    }
    for (size_t i = 0; i < SERIES_UNUSED + 10; i++)
        series_drop(table, unused[i]);
    ck_assert_uint_eq(series_unused(table), SERIES_UNUSED + 10); // as many more as are in use: 11
    ck_assert_uint_eq(series_count(table), 11);
    series_drop(table, unused[SERIES_UNUSED + 10]);
    ck_assert_uint_eq(series_unused(table), 0);
    ck_assert_uint_eq(series_count(table), 10);
    for (size_t i = 0; i < ARRAY_LEN(used); i++) {
        snprintf(name, sizeof(name), "t%zu", i);
        ck_assert_ptr_eq(take(name, "r", "m"), used[i]);
    }
    ck_assert_ptr_nonnull(take("t10", "r", "m")); // one that was given back is made anew
    ck_assert_uint_eq(series_count(table), 11);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("series");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, gives_one_entry_for_the_same_names);
    tcase_add_test(tc, tells_names_apart_wherever_their_border_lies);
    tcase_add_test(tc, the_same_names_in_another_epoch_are_another_entry);
    tcase_add_test(tc, forgets_an_entry_with_its_last_reference);
    tcase_add_test(tc, addresses_hold_while_the_table_grows);
    tcase_add_test(tc, unused_entries_are_bounded);
    Suite *suite = suite_create("series");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
