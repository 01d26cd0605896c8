// SPDX-License-Identifier: Apache-2.0
#include "common/core/key_table.h"

#include <check.h>
#include <stdio.h>

#define NOW INT64_C(1700000000000000)

static struct key_table *table;

static void make_table(void)
{
    table = key_table_new();
}

static void free_table(void)
{
    key_table_free(table);
}

// The n-th key of an endless row.
static void key_of(unsigned n, char out[API_KEY_LEN + 1])
{
    unsigned char random[API_KEY_RANDOM_BYTES] = {0};
    for (int i = 0; i < 6; i++, n /= 62)
        random[i] = (unsigned char)(n % 62);
    ck_assert_int_eq(api_key_make(random, out), 0);
}

static int add(const char *key, int64_t expires_us)
{
    struct key_record r = {.tenant = xstrdup("acme"),
                           .scopes = SCOPE_READ,
                           .expires_us = expires_us,
                           .events_per_second = 7};
    snprintf(r.id, sizeof(r.id), "%.*s", API_KEY_ID_LEN, key + 4);
    api_key_hash(str_of(key), r.hash);
    int rc = key_table_add(table, &r);
    free(r.tenant); // still ours where it was refused
    return rc;
}

START_TEST(a_key_is_found_with_all_that_belongs_to_it)
{
    char key[API_KEY_LEN + 1], other[API_KEY_LEN + 1];
    key_of(1, key);
    key_of(2, other);
    ck_assert_ptr_null(key_table_find(table, str_of(key), NOW));
    ck_assert_int_eq(add(key, INT64_MAX), 0);
    struct key_record *r = key_table_find(table, str_of(key), NOW);
    ck_assert_ptr_nonnull(r);
    ck_assert_str_eq(r->tenant, "acme");
    ck_assert_uint_eq(r->scopes, SCOPE_READ);
    ck_assert_int_eq(r->events_per_second, 7);
    ck_assert(!r->used);
    ck_assert_ptr_eq(key_table_by_id(table, key + 4), r);
    ck_assert_ptr_eq(key_table_at(table, 0), r);
    ck_assert_ptr_null(key_table_find(table, str_of(other), NOW));
    ck_assert_ptr_null(key_table_by_id(table, other + 4));
}
END_TEST

// A hash that differs in one bit anywhere: the whole of it is compared.
START_TEST(every_bit_of_the_hash_counts)
{
    char key[API_KEY_LEN + 1];
    key_of(1, key);
    ck_assert_int_eq(add(key, INT64_MAX), 0);
    struct key_record *r = key_table_at(table, 0);
    for (size_t bit = 0; bit < API_KEY_HASH_BYTES * 8; bit++) {
        r->hash[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_ptr_null(key_table_find(table, str_of(key), NOW));
        r->hash[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    ck_assert_ptr_nonnull(key_table_find(table, str_of(key), NOW));
}
END_TEST

START_TEST(the_secret_of_another_key_with_the_same_id_is_refused)
{
    char key[API_KEY_LEN + 1], forged[API_KEY_LEN + 1];
    unsigned char random[API_KEY_RANDOM_BYTES] = {0};
    ck_assert_int_eq(api_key_make(random, key), 0);
    random[54] = 1; // the secret's last character
    ck_assert_int_eq(api_key_make(random, forged), 0);
    ck_assert_int_eq(add(key, INT64_MAX), 0);
    ck_assert(api_key_is_well_formed(str_of(forged)));
    ck_assert_ptr_null(key_table_find(table, str_of(forged), NOW));
}
END_TEST

START_TEST(a_key_holds_until_the_microsecond_it_expires)
{
    char key[API_KEY_LEN + 1];
    key_of(1, key);
    ck_assert_int_eq(add(key, NOW), 0);
    ck_assert_ptr_nonnull(key_table_find(table, str_of(key), NOW - 1));
    ck_assert_ptr_null(key_table_find(table, str_of(key), NOW));
    ck_assert_ptr_null(key_table_find(table, str_of(key), INT64_MAX));
}
END_TEST

START_TEST(an_id_is_there_once)
{
    char key[API_KEY_LEN + 1];
    key_of(1, key);
    ck_assert_int_eq(add(key, INT64_MAX), 0);
    ck_assert_int_eq(add(key, 5), -1);
    ck_assert_uint_eq(key_table_count(table), 1);
    ck_assert_int_eq(key_table_at(table, 0)->expires_us, INT64_MAX);
}
END_TEST

START_TEST(a_full_table_takes_no_more_and_finds_all)
{
    char key[API_KEY_LEN + 1];
    for (unsigned n = 0; n < KEY_TABLE_MAX; n++) {
        key_of(n, key);
        ck_assert_int_eq(add(key, INT64_MAX), 0);
    }
    key_of(KEY_TABLE_MAX, key);
    ck_assert_int_eq(add(key, INT64_MAX), -1);
    ck_assert_ptr_null(key_table_find(table, str_of(key), NOW));
    ck_assert_uint_eq(key_table_count(table), KEY_TABLE_MAX);
    for (unsigned n = 0; n < KEY_TABLE_MAX; n++) {
        key_of(n, key);
        ck_assert_ptr_eq(key_table_find(table, str_of(key), NOW), key_table_at(table, n));
    }
}
END_TEST

START_TEST(a_new_table_takes_over_which_keys_were_used)
{
    char key[API_KEY_LEN + 1];
    struct key_table *old = table;
    for (unsigned n = 0; n < 4; n++) {
        key_of(n, key);
        ck_assert_int_eq(add(key, INT64_MAX), 0);
        key_table_at(table, n)->used = n % 2 == 1;
    }
    table = key_table_new();
    for (unsigned n = 5; n > 0; n--) { // 4 is new, 0 is gone, the places are others
        key_of(n - 1, key);
        if (n - 1 > 0)
            ck_assert_int_eq(add(key, INT64_MAX), 0);
    }
    key_table_at(table, 0)->used = true; // of key 4, by itself
    key_table_carry_used(table, old);
    static const bool want[] = {true, true, false, true}; // 4, 3, 2, 1
    for (unsigned i = 0; i < 4; i++)
        ck_assert(key_table_at(table, i)->used == want[i]);
    key_table_free(old);
}
END_TEST

START_TEST(what_is_no_key_is_not_found)
{
    char key[API_KEY_LEN + 1];
    key_of(1, key);
    ck_assert_int_eq(add(key, INT64_MAX), 0);
    key[API_KEY_LEN - 1] ^= 1; // the sum alone is wrong
    ck_assert_ptr_null(key_table_find(table, str_of(key), NOW));
    ck_assert_ptr_null(key_table_find(table, (struct str){NULL, 0}, NOW));
    ck_assert_ptr_null(key_table_find(table, STR_LIT("slk_"), NOW));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("key_table");
    TCase *tc = tcase_create("key_table");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, make_table, free_table);
    tcase_add_test(tc, a_key_is_found_with_all_that_belongs_to_it);
    tcase_add_test(tc, every_bit_of_the_hash_counts);
    tcase_add_test(tc, the_secret_of_another_key_with_the_same_id_is_refused);
    tcase_add_test(tc, a_key_holds_until_the_microsecond_it_expires);
    tcase_add_test(tc, an_id_is_there_once);
    tcase_add_test(tc, a_full_table_takes_no_more_and_finds_all);
    tcase_add_test(tc, a_new_table_takes_over_which_keys_were_used);
    tcase_add_test(tc, what_is_no_key_is_not_found);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
