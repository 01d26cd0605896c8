// SPDX-License-Identifier: Apache-2.0
#include "common/core/token_bucket.h"

#include "common/core/timeunit.h"
#include "tests/sim/random.h"

#include <check.h>

#define MOST TOKEN_BUCKET_MOST

static struct token_bucket bucket;
static int64_t now_us;

static void begin(int64_t per_second, int64_t burst)
{
    now_us = 12345;
    token_bucket_fill(&bucket, (struct token_limit){per_second, burst}, now_us);
}

static bool charge(int64_t n)
{
    if (token_bucket_wait_us(&bucket, n, now_us) > 0)
        return false;
    token_bucket_take(&bucket, n, now_us);
    return true;
}

// Charges of one until one is refused.
static int64_t drain(void)
{
    int64_t n = 0;
    while (charge(1))
        n++;
    return n;
}

START_TEST(a_full_bucket_gives_its_burst_and_then_its_rate)
{
    begin(100, 7);
    ck_assert_int_eq(drain(), 7);
    now_us += US_PER_S / 100 - 1;
    ck_assert_int_eq(drain(), 0);
    now_us += 1;
    ck_assert_int_eq(drain(), 1);
    now_us += US_PER_S; // 100 would come in, and 7 stay
    ck_assert_int_eq(drain(), 7);
}
END_TEST

// Asked each microsecond, and long: a fraction lost anywhere would show. (An assertion of Check's
// costs microseconds, so there is none in the loop.)
START_TEST(nothing_is_rounded_at_any_rate)
{
    static const int64_t rates[] = {1, 3, 7, 999983, 1000000, 1000000000, 999999999989, MOST};
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        begin(rates[i], MOST);
        ck_assert(charge(MOST));
        int64_t admitted = 0, begun_us = now_us;
        while (now_us < begun_us + 3 * US_PER_S / 2) {
            now_us++;
            int64_t n = token_bucket_holds(&bucket, now_us);
            admitted += charge(n) ? n : 0;
        }
        ck_assert_int_eq(admitted, rates[i] + rates[i] / 2);
    }
}
END_TEST

START_TEST(a_year_adds_up)
{
    begin(1, MOST);
    ck_assert(charge(MOST));
    int64_t admitted = 0;
    for (int i = 0; i < 3650; i++) {
        now_us += US_PER_DAY / 10 + 1;
        int64_t n = token_bucket_holds(&bucket, now_us);
        ck_assert(charge(n));
        admitted += n;
    }
    ck_assert_int_eq(admitted, 365 * (US_PER_DAY / US_PER_S));
    now_us += 999999 - 3650 % 1000000; // the microseconds that went over make no second yet
    ck_assert_int_eq(token_bucket_holds(&bucket, now_us), 0);
    now_us += 1;
    ck_assert_int_eq(token_bucket_holds(&bucket, now_us), 1);
}
END_TEST

START_TEST(a_charge_beyond_the_burst_takes_a_full_bucket_into_debt)
{
    begin(10, 20);
    ck_assert(charge(50));
    ck_assert_int_eq(token_bucket_holds(&bucket, now_us), 0);
    ck_assert_int_eq(token_bucket_wait_us(&bucket, 1, now_us), 31 * US_PER_S / 10);
    ck_assert_int_eq(token_bucket_wait_us(&bucket, 20, now_us), 5 * US_PER_S);
    ck_assert_int_eq(token_bucket_wait_us(&bucket, MOST, now_us), 5 * US_PER_S);
    now_us += 5 * US_PER_S - 1;
    ck_assert(!charge(21));
    now_us += 1;
    ck_assert(charge(21));
    ck_assert_int_eq(token_bucket_wait_us(&bucket, 0, now_us), US_PER_S / 10); // nothing in debt
}
END_TEST

START_TEST(the_largest_numbers_do_not_overflow)
{
    begin(MOST, MOST);
    ck_assert(charge(MOST));
    now_us = INT64_MAX;
    ck_assert(charge(MOST));
    begin(1, 1);
    ck_assert(charge(MOST));
    ck_assert_int_eq(token_bucket_wait_us(&bucket, 1, now_us), MOST * US_PER_S);
    ck_assert_int_eq(token_bucket_full_in_us(&bucket, now_us), MOST * US_PER_S);
    token_bucket_change(&bucket, (struct token_limit){1, MOST}, now_us);
    ck_assert_int_eq(token_bucket_full_in_us(&bucket, now_us), (2 * MOST - 1) * US_PER_S);
    now_us = INT64_MAX;
    ck_assert_int_eq(token_bucket_full_in_us(&bucket, now_us), 0);
}
END_TEST

START_TEST(a_clock_that_stands_gives_nothing)
{
    begin(MOST, 3);
    ck_assert_int_eq(drain(), 3);
    now_us -= 5;
    ck_assert_int_eq(drain(), 0);
}
END_TEST

START_TEST(without_a_limit_everything_is_admitted)
{
    begin(0, 0);
    for (int i = 0; i < 1000; i++)
        ck_assert(charge(MOST));
    ck_assert_int_eq(token_bucket_full_in_us(&bucket, now_us), 0);
    ck_assert_int_eq(token_bucket_holds(&bucket, now_us), MOST);
}
END_TEST

// ---- against a model: the instant at which the bucket is full, as a fraction over the rate ----

struct model {
    struct token_limit limit;
    __int128 full_at; // µs · rate
};

static __int128 model_missing(const struct model *m)
{
    __int128 now = (__int128)now_us * m->limit.per_second;
    return m->full_at > now ? m->full_at - now : 0;
}

static int64_t model_wait_us(const struct model *m, int64_t n)
{
    int64_t needed = n < m->limit.burst ? n : m->limit.burst;
    __int128 allowed = (__int128)(m->limit.burst - needed) * 1000000;
    __int128 lacking = model_missing(m) - allowed, rate = m->limit.per_second;
    return lacking <= 0 ? 0 : (int64_t)((lacking + rate - 1) / rate);
}

static void model_take(struct model *m, int64_t n)
{
    __int128 now = (__int128)now_us * m->limit.per_second;
    m->full_at = (m->full_at > now ? m->full_at : now) + (__int128)n * 1000000;
}

static int64_t any_size(struct random *r)
{
    return 1 + (int64_t)(random_next(r) % (uint64_t)(MOST >> random_below(r, 40)));
}

START_TEST(it_agrees_with_a_rational_model)
{
    struct random r = {(uint64_t)_i};
    struct model m = {.limit = {any_size(&r), any_size(&r)}};
    begin(m.limit.per_second, m.limit.burst);
    __int128 admitted = 0, most = 0;
    int64_t begun_us = now_us;
    for (int i = 0; i < 2000; i++) {
        int64_t n = any_size(&r) % (random_chance(&r, 80) ? m.limit.burst + 1 : MOST + 1);
        int64_t wait_us = token_bucket_wait_us(&bucket, n, now_us);
        if (wait_us != model_wait_us(&m, n))
            ck_abort_msg("step %d: wait %lld", i, (long long)wait_us);
        if (wait_us == 0) {
            struct model before = m;
            charge(n);
            model_take(&m, n);
            admitted += n;
            most = n > most ? n : most;
            if (random_chance(&r, 10)) { // a moment later it is undone: as if it had never been
                now_us += random_below(&r, 1000);
                token_bucket_give_back(&bucket, n, now_us);
                m = before;
                admitted -= n;
            }
        } else if (wait_us > 1 && random_chance(&r, 30)) { // admitted then, and not before
            now_us += wait_us - 1;
            if (token_bucket_wait_us(&bucket, n, now_us) != 1)
                ck_abort_msg("step %d: admitted early", i);
            now_us += 1;
        }
        now_us += (int64_t)(random_next(&r) >> random_below(&r, 64)) & (US_PER_DAY - 1);
        __int128 in_time = (__int128)(now_us - begun_us) * m.limit.per_second / 1000000;
        __int128 debt = most > m.limit.burst ? most - m.limit.burst : 0;
        if (bucket.level > m.limit.burst * 1000000 || admitted > in_time + m.limit.burst + debt)
            ck_abort_msg("step %d: more than the limit", i);
    }
}
END_TEST

// ---- changes ----

START_TEST(a_change_keeps_the_level_cut_to_the_new_burst)
{
    begin(10, 20);
    ck_assert(charge(8));
    token_bucket_change(&bucket, (struct token_limit){5, 1000}, now_us);
    ck_assert_int_eq(token_bucket_holds(&bucket, now_us), 12);
    token_bucket_change(&bucket, (struct token_limit){5, 4}, now_us);
    ck_assert_int_eq(token_bucket_holds(&bucket, now_us), 4);
    token_bucket_change(&bucket, (struct token_limit){2, 4}, now_us);
    ck_assert_int_eq(drain(), 4);
    now_us += US_PER_S;
    ck_assert_int_eq(drain(), 2);
}
END_TEST

// What came in before the change came in at the rate before it.
START_TEST(the_time_before_a_change_counts_at_the_old_rate)
{
    begin(10, 100);
    ck_assert(charge(100));
    now_us += US_PER_S;
    token_bucket_change(&bucket, (struct token_limit){50, 100}, now_us);
    ck_assert_int_eq(token_bucket_holds(&bucket, now_us), 10);
    now_us += US_PER_S;
    ck_assert_int_eq(token_bucket_holds(&bucket, now_us), 60);
}
END_TEST

START_TEST(changing_back_and_forth_gives_nothing)
{
    begin(10, 20);
    ck_assert(charge(13));
    for (int i = 0; i < 100; i++) {
        token_bucket_change(&bucket, (struct token_limit){1000, 100000}, now_us);
        token_bucket_change(&bucket, (struct token_limit){10, 3}, now_us);
        token_bucket_change(&bucket, (struct token_limit){10, 20}, now_us);
    }
    ck_assert_int_eq(drain(), 3);
}
END_TEST

START_TEST(what_is_missing_of_a_shared_one_stays_missing)
{
    begin(10, 20);
    ck_assert(charge(13));
    token_bucket_change_shared(&bucket, (struct token_limit){5, 3}, now_us);
    ck_assert_int_eq(token_bucket_wait_us(&bucket, 1, now_us), 11 * US_PER_S / 5);
    ck_assert_int_eq(token_bucket_full_in_us(&bucket, now_us), 13 * US_PER_S / 5);
    token_bucket_change_shared(&bucket, (struct token_limit){10, 20}, now_us);
    ck_assert_int_eq(drain(), 7);
    token_bucket_change_shared(&bucket, (struct token_limit){0, 0}, now_us);
    token_bucket_change_shared(&bucket, (struct token_limit){10, 20}, now_us);
    ck_assert_int_eq(drain(), 20);
}
END_TEST

START_TEST(a_debt_outlives_a_change)
{
    begin(10, 20);
    ck_assert(charge(70));
    token_bucket_change(&bucket, (struct token_limit){1, 5}, now_us);
    ck_assert_int_eq(token_bucket_wait_us(&bucket, 1, now_us), 51 * US_PER_S);
}
END_TEST

START_TEST(a_new_limit_begins_full)
{
    begin(0, 0);
    ck_assert(charge(1000));
    token_bucket_change(&bucket, (struct token_limit){10, 20}, now_us);
    ck_assert_int_eq(drain(), 20);
    token_bucket_change(&bucket, (struct token_limit){0, 0}, now_us);
    ck_assert(charge(MOST));
}
END_TEST

// ---- limits ----

START_TEST(each_process_takes_its_part_and_one_at_least)
{
    static const struct {
        struct token_limit limit;
        int64_t processes;
        struct token_limit share;
    } cases[] = {
        {{100, 1000}, 1, {100, 1000}}, {{100, 1000}, 4, {25, 250}}, {{10, 11}, 4, {2, 2}},
        {{3, 1}, 1024, {1, 1}},        {{0, 0}, 4, {0, 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert(token_limit_equal(token_limit_share(cases[i].limit, cases[i].processes),
                                    cases[i].share));
}
END_TEST

START_TEST(the_lesser_of_two_keeps_to_both)
{
    struct token_limit none = {0}, a = {10, 500}, b = {20, 30};
    ck_assert(token_limit_equal(token_limit_lesser(a, b), (struct token_limit){10, 30}));
    ck_assert(token_limit_equal(token_limit_lesser(none, b), b));
    ck_assert(token_limit_equal(token_limit_lesser(a, none), a));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("token_bucket");
    TCase *t = tcase_create("token_bucket");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_full_bucket_gives_its_burst_and_then_its_rate);
    tcase_add_test(t, nothing_is_rounded_at_any_rate);
    tcase_add_test(t, a_year_adds_up);
    tcase_add_test(t, a_charge_beyond_the_burst_takes_a_full_bucket_into_debt);
    tcase_add_test(t, the_largest_numbers_do_not_overflow);
    tcase_add_test(t, a_clock_that_stands_gives_nothing);
    tcase_add_test(t, without_a_limit_everything_is_admitted);
    tcase_add_loop_test(t, it_agrees_with_a_rational_model, 0, 200);
    tcase_add_test(t, a_change_keeps_the_level_cut_to_the_new_burst);
    tcase_add_test(t, the_time_before_a_change_counts_at_the_old_rate);
    tcase_add_test(t, changing_back_and_forth_gives_nothing);
    tcase_add_test(t, what_is_missing_of_a_shared_one_stays_missing);
    tcase_add_test(t, a_debt_outlives_a_change);
    tcase_add_test(t, a_new_limit_begins_full);
    tcase_add_test(t, each_process_takes_its_part_and_one_at_least);
    tcase_add_test(t, the_lesser_of_two_keeps_to_both);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
