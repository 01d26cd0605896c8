// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/cache.h"

#include <check.h>
#include <stdio.h>

#define MAX_AGE_US 1000
#define BODY 1000
#define ROOM (100 * 1024)

static struct hash_key key;
static struct freshness f;
static struct cache *cache;

static void setup(void)
{
    hash_key_init(&key, "seed", 4);
    f = (struct freshness){0};
    freshness_up(&f);
    cache = cache_new(ROOM, MAX_AGE_US, &key);
}

static void teardown(void)
{
    cache_free(cache);
}

// An answer of closed windows of hour 5.
static struct cached made(char letter, size_t bytes, int64_t now_us)
{
    struct cached c = {.from_us = 5 * US_PER_HOUR,
                       .to_us = 6 * US_PER_HOUR,
                       .since = f.now,
                       .read_us = now_us,
                       .answer = {.settled_to_us = 6 * US_PER_HOUR}};
    buf_reserve(&c.answer.body, bytes);
    memset(c.answer.body.p, letter, bytes);
    c.answer.body.n = bytes;
    cached_tag(&c);
    return c;
}

static struct str name(int n)
{
    static char text[32];
    return (struct str){text, (size_t)snprintf(text, sizeof(text), "question %d", n)};
}

static void put(int n, int64_t now_us)
{
    struct cached c = made((char)('a' + n % 26), BODY, now_us);
    ck_assert_ptr_nonnull(cache_put(cache, name(n), &c, &f, now_us));
    ck_assert_ptr_null(c.answer.body.p); // taken over
}

static bool has(int n, int64_t now_us)
{
    const struct cached *c = cache_find(cache, name(n), &f, now_us);
    ck_assert(!c || (c->answer.body.n == BODY && c->answer.body.p[0] == (char)('a' + n % 26)));
    return c != NULL;
}

START_TEST(gives_back_what_was_put)
{
    for (int n = 0; n < 40; n++)
        put(n, 0);
    for (int n = 0; n < 40; n++)
        ck_assert(has(n, 1));
    ck_assert(!has(40, 1));
    ck_assert_uint_eq(cache_count(cache), 40);
}
END_TEST

START_TEST(the_newest_answer_to_a_question_counts)
{
    struct cached c = made('x', 10, 0);
    ck_assert_ptr_nonnull(cache_put(cache, name(1), &c, &f, 0));
    c = made('y', 20, 0);
    ck_assert_ptr_nonnull(cache_put(cache, name(1), &c, &f, 0));
    ck_assert_uint_eq(cache_find(cache, name(1), &f, 0)->answer.body.n, 20);
    ck_assert_uint_eq(cache_count(cache), 1);
}
END_TEST

START_TEST(ends_with_its_age_and_with_what_is_heard)
{
    put(1, 0);
    ck_assert(has(1, MAX_AGE_US - 1));
    ck_assert(!has(1, MAX_AGE_US));
    ck_assert_uint_eq(cache_count(cache), 0); // dropped
    put(1, 0);
    freshness_notify(&f, "60-60");
    ck_assert(has(1, 1));
    freshness_notify(&f, "300-300"); // hour 5
    ck_assert(!has(1, 1));
    ck_assert_uint_eq(cache_bytes(cache), 0);
}
END_TEST

START_TEST(open_windows_end_with_any_notification)
{
    struct cached c = made('x', 10, 0);
    c.answer.settled_to_us = INT64_MAX;
    ck_assert_ptr_nonnull(cache_put(cache, name(1), &c, &f, 0));
    ck_assert_ptr_nonnull(cache_find(cache, name(1), &f, 0));
    freshness_notify(&f, "");
    ck_assert_ptr_null(cache_find(cache, name(1), &f, 0));
}
END_TEST

// A flush was committed after it was asked for and before its answer was there.
START_TEST(what_changed_meanwhile_is_not_kept)
{
    struct cached c = made('x', 10, 0);
    freshness_notify(&f, "300-300");
    ck_assert_ptr_null(cache_put(cache, name(1), &c, &f, 0));
    ck_assert_uint_eq(c.answer.body.n, 10); // still the caller's
    cached_clear(&c);
    freshness_down(&f);
    c = made('x', 10, 0);
    ck_assert_ptr_null(cache_put(cache, name(1), &c, &f, 0));
    cached_clear(&c);
}
END_TEST

START_TEST(room_is_bounded_and_the_least_asked_for_leaves)
{
    for (int n = 0; n < 50; n++)
        put(n, 0);
    ck_assert(has(0, 0)); // asked for again
    for (int n = 50; n < 1000; n++) {
        put(n, 0);
        ck_assert_uint_le(cache_bytes(cache), ROOM);
        if (n < 100)
            ck_assert(has(0, 0));
    }
    ck_assert_uint_ge(cache_bytes(cache), ROOM - 2 * BODY - 1024);
    ck_assert(has(999, 0));
    ck_assert(!has(1, 0));
}
END_TEST

START_TEST(an_answer_that_is_too_large_displaces_nothing)
{
    put(1, 0);
    struct cached c = made('x', ROOM / 8 + 1, 0);
    ck_assert_ptr_null(cache_put(cache, name(2), &c, &f, 0));
    cached_clear(&c);
    ck_assert(has(1, 0));
    cache_free(cache);
    cache = cache_new(0, MAX_AGE_US, &key);
    c = made('x', 1, 0);
    ck_assert_ptr_null(cache_put(cache, name(2), &c, &f, 0));
    cached_clear(&c);
}
END_TEST

START_TEST(what_grows_counts)
{
    put(1, 0);
    put(2, 0);
    struct cached *c = cache_find(cache, name(2), &f, 0);
    size_t before = cache_bytes(cache);
    cache_grew(cache, c, 100);
    ck_assert_uint_eq(cache_bytes(cache), before + 100);
    cache_grew(cache, c, ROOM);
    ck_assert_uint_eq(cache_count(cache), 1); // the other one has left
    ck_assert(has(2, 0));
}
END_TEST

START_TEST(tags_tell_bodies_and_codings_apart)
{
    struct cached a = made('x', 10, 0), b = made('x', 10, 5), c = made('y', 10, 0);
    ck_assert_str_eq(a.etag, b.etag);
    ck_assert_str_ne(a.etag, c.etag);
    ck_assert_str_ne(a.etag, a.etag_gzip);
    ck_assert_int_eq(a.etag[0], '"');
    ck_assert_int_eq(a.etag[strlen(a.etag) - 1], '"');
    cached_clear(&a);
    cached_clear(&b);
    cached_clear(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cache");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, gives_back_what_was_put);
    tcase_add_test(t, the_newest_answer_to_a_question_counts);
    tcase_add_test(t, ends_with_its_age_and_with_what_is_heard);
    tcase_add_test(t, open_windows_end_with_any_notification);
    tcase_add_test(t, what_changed_meanwhile_is_not_kept);
    tcase_add_test(t, room_is_bounded_and_the_least_asked_for_leaves);
    tcase_add_test(t, an_answer_that_is_too_large_displaces_nothing);
    tcase_add_test(t, what_grows_counts);
    tcase_add_test(t, tags_tell_bodies_and_codings_apart);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
