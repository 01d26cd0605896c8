// SPDX-License-Identifier: Apache-2.0
#include "ingest-api/bucket_table.h"

#include "common/core/timeunit.h"
#include "tests/sim/random.h"

#include <check.h>
#include <stdio.h>

#define MAX 4
static const struct tenant_limit ten = {.events = {10, 10}, .bytes = {100, 1000}};
static const struct tenant_limit two = {.events = {2, 2}};

static struct hash_key key;
static struct bucket_table *table;
static int64_t now_us, shared;

static void begin(void)
{
    hash_key_init(&key, "0123456789abcdef", 16);
    table = bucket_table_new(MAX, &key);
    now_us = 1000;
    shared = 0;
}

static void end(void)
{
    bucket_table_free(table);
}

static struct buckets *find(const char *name, const struct tenant_limit *limit)
{
    return bucket_table_find(table, str_of(name), limit, now_us, &shared);
}

static bool charge(const char *name, const struct tenant_limit *limit, int64_t n)
{
    struct token_bucket *b = &find(name, limit)->events;
    if (token_bucket_wait_us(b, n, now_us) > 0)
        return false;
    token_bucket_take(b, n, now_us);
    return true;
}

START_TEST(each_name_has_buckets_of_its_own_and_keeps_them)
{
    ck_assert(charge("a", &ten, 10));
    ck_assert(charge("b", &ten, 10));
    ck_assert(charge("", &ten, 10));
    ck_assert(!charge("a", &ten, 1));
    ck_assert(!charge("", &ten, 1));
    now_us += US_PER_S / 10;
    ck_assert(charge("a", &ten, 1));
    ck_assert(!charge("a", &ten, 1));
    ck_assert_uint_eq(bucket_table_count(table), 3);
    ck_assert_int_eq(shared, 0);
}
END_TEST

START_TEST(a_changed_limit_holds_at_the_next_look)
{
    ck_assert(charge("a", &ten, 3));
    ck_assert_int_eq(token_bucket_holds(&find("a", &two)->events, now_us), 2);
    ck_assert_int_eq(token_bucket_holds(&find("a", &ten)->events, now_us), 2);
    ck_assert_int_eq(token_bucket_holds(&find("a", &two)->bytes, now_us), TOKEN_BUCKET_MOST);
}
END_TEST

static void use_all(void)
{
    for (char name[] = "a"; name[0] < 'a' + MAX; name[0]++)
        ck_assert(charge(name, &ten, 10));
    ck_assert_uint_eq(bucket_table_count(table), MAX);
}

START_TEST(full_buckets_make_room_for_a_newcomer)
{
    use_all();
    now_us += US_PER_S - 1;
    ck_assert(charge("c", &ten, 1)); // the others are full in a microsecond, this one is not
    now_us += 1;
    for (int i = 0; i < MAX - 1; i++) {
        char name[] = {(char)('p' + i), 0};
        ck_assert(charge(name, &ten, 10));
    }
    ck_assert_int_eq(shared, 0);
    ck_assert_uint_eq(bucket_table_count(table), MAX);
    ck_assert_int_eq(token_bucket_holds(&find("c", &ten)->events, now_us), 9); // it was kept
    ck_assert_int_eq(token_bucket_holds(&find("p", &ten)->events, now_us), 0);
    ck_assert_int_eq(shared, 0);
}
END_TEST

// Both must be full.
START_TEST(a_bucket_of_bytes_in_use_is_kept_too)
{
    for (char name[] = "a"; name[0] < 'a' + MAX; name[0]++)
        token_bucket_take(&find(name, &ten)->bytes, 1000, now_us);
    now_us += 10 * US_PER_S - 1;
    find("p", &ten);
    ck_assert_int_eq(shared, 1);
    now_us += 1;
    find("p", &ten);
    ck_assert_int_eq(shared, 1);
}
END_TEST

START_TEST(without_room_names_share_one_pair_and_are_counted)
{
    use_all();
    ck_assert(charge("p", &ten, 6));
    ck_assert(charge("q", &ten, 4));
    ck_assert(!charge("p", &ten, 1));
    ck_assert(!charge("r", &ten, 1));
    ck_assert_int_eq(shared, 4);
    ck_assert(!charge("a", &ten, 1)); // who has its own is not touched
    ck_assert_int_eq(shared, 4);
    ck_assert_uint_eq(bucket_table_count(table), MAX);
}
END_TEST

START_TEST(who_shares_keeps_to_the_smallest_limit)
{
    use_all();
    ck_assert(charge("p", &ten, 1));
    ck_assert(!charge("q", &two, 2));
    ck_assert(charge("q", &two, 1));
    ck_assert(!charge("p", &ten, 1));
    now_us += US_PER_S / 2;
    ck_assert(charge("p", &ten, 1));
    ck_assert(!charge("q", &two, 1));
}
END_TEST

START_TEST(it_looks_at_a_few_only)
{
    struct bucket_table *large = bucket_table_new(BUCKET_TABLE_LOOKS + 1, &key);
    struct tenant_limit slow = {.events = {1, 100}};
    char name[8];
    for (int i = 0; i < BUCKET_TABLE_LOOKS; i++) {
        snprintf(name, sizeof(name), "%d", i);
        struct buckets *b = bucket_table_find(large, str_of(name), &slow, now_us, &shared);
        token_bucket_take(&b->events, 1, now_us);
    }
    bucket_table_find(large, str_of("full"), &slow, now_us, &shared);
    bucket_table_find(large, str_of("new"), &slow, now_us, &shared);
    ck_assert_int_eq(shared, 1);
    bucket_table_find(large, str_of("new"), &slow, now_us, &shared);
    ck_assert_int_eq(shared, 1); // it went on where it had stopped
    bucket_table_free(large);
}
END_TEST

// Whoever shares with whom: nobody is admitted more than its limit and, for each time that it moves
// to buckets of its own, one burst.
START_TEST(nobody_gets_more_than_its_limit)
{
    enum { NAMES = 12, STEPS = 20000 };
    struct random r = {(uint64_t)_i};
    int64_t admitted[NAMES] = {0}, moves[NAMES] = {0};
    struct tenant_limit limits[NAMES];
    bool own[NAMES] = {false};
    for (int i = 0; i < NAMES; i++)
        limits[i] =
            (struct tenant_limit){.events = {1 + random_below(&r, 20), 1 + random_below(&r, 50)}};
    int64_t begun_us = now_us;
    for (int step = 0; step < STEPS; step++) {
        now_us += random_below(&r, random_chance(&r, 1) ? 5000000 : 20000);
        int who = random_below(&r, NAMES);
        char name[] = {(char)('a' + who), 0};
        int64_t before = shared, n = 1 + random_below(&r, (int)limits[who].events.burst);
        admitted[who] += charge(name, &limits[who], n) ? n : 0;
        moves[who] += shared == before && !own[who];
        own[who] = shared == before;
        int64_t in_time = (now_us - begun_us) * limits[who].events.per_second / US_PER_S;
        if (admitted[who] > in_time + (moves[who] + 1) * limits[who].events.burst)
            ck_abort_msg("step %d: %s has more than its limit", step, name);
    }
    ck_assert_int_gt(shared, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bucket_table");
    TCase *t = tcase_create("bucket_table");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, each_name_has_buckets_of_its_own_and_keeps_them);
    tcase_add_test(t, a_changed_limit_holds_at_the_next_look);
    tcase_add_test(t, full_buckets_make_room_for_a_newcomer);
    tcase_add_test(t, a_bucket_of_bytes_in_use_is_kept_too);
    tcase_add_test(t, without_room_names_share_one_pair_and_are_counted);
    tcase_add_test(t, who_shares_keeps_to_the_smallest_limit);
    tcase_add_test(t, it_looks_at_a_few_only);
    tcase_add_loop_test(t, nobody_gets_more_than_its_limit, 0, 20);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
