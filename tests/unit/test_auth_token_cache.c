// SPDX-License-Identifier: Apache-2.0
#include "common/io/auth_token_cache.h"

#include <check.h>
#include <stdio.h>

#define MAX 5

static struct token_cache *cache;

static void begin(void)
{
    cache = token_cache_new(MAX);
}

static void end(void)
{
    token_cache_free(cache);
}

// Some share their first 8 bytes, and so the chain.
static const unsigned char *digest_of(int n)
{
    static unsigned char d[TOKEN_DIGEST_BYTES];
    memset(d, n % 3, sizeof(d));
    d[TOKEN_DIGEST_BYTES - 1] = (unsigned char)n;
    return d;
}

static void add(int n)
{
    char tenant[16];
    snprintf(tenant, sizeof(tenant), "t%d", n);
    struct jwt_claims c = {.tenant = xstrdup(tenant), .subject = xstrdup("")};
    const struct jwt_claims *there = token_cache_add(cache, digest_of(n), &c);
    ck_assert_ptr_null(c.tenant); // taken over
    ck_assert_str_eq(there->tenant, tenant);
}

static bool has(int n)
{
    char tenant[16];
    snprintf(tenant, sizeof(tenant), "t%d", n);
    const struct jwt_claims *c = token_cache_find(cache, digest_of(n));
    if (c)
        ck_assert_str_eq(c->tenant, tenant);
    return c != NULL;
}

START_TEST(what_was_added_is_found_until_it_is_dropped)
{
    for (int n = 0; n < MAX; n++) {
        ck_assert(!has(n));
        add(n);
    }
    for (int n = 0; n < MAX; n++)
        ck_assert(has(n));
    token_cache_drop(cache, digest_of(3));
    token_cache_drop(cache, digest_of(77)); // not there
    for (int n = 0; n < MAX; n++)
        ck_assert(has(n) == (n != 3));
    ck_assert_uint_eq(token_cache_count(cache), MAX - 1);
}
END_TEST

START_TEST(a_full_cache_loses_what_was_not_asked_for_longest)
{
    for (int n = 0; n < MAX; n++)
        add(n);
    ck_assert(has(0)); // now 1 is the one
    add(MAX);
    ck_assert_uint_eq(token_cache_count(cache), MAX);
    for (int n = 0; n <= MAX; n++)
        ck_assert(has(n) == (n != 1));
}
END_TEST

START_TEST(clearing_forgets_everything)
{
    for (int n = 0; n < MAX; n++)
        add(n);
    token_cache_clear(cache);
    ck_assert_uint_eq(token_cache_count(cache), 0);
    for (int n = 0; n < MAX; n++)
        ck_assert(!has(n));
    add(1);
    ck_assert(has(1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("auth_token_cache");
    TCase *tc = tcase_create("auth_token_cache");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, what_was_added_is_found_until_it_is_dropped);
    tcase_add_test(tc, a_full_cache_loses_what_was_not_asked_for_longest);
    tcase_add_test(tc, clearing_forgets_everything);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
