// SPDX-License-Identifier: Apache-2.0
#include "ingest-api/limits.h"

#include "common/core/timeunit.h"

#include <check.h>
#include <stdio.h>

static struct limits *limits;
static int64_t now_us;
static struct limits_refusal why;
static char policy[LIMITS_FIELD_MAX], state[LIMITS_FIELD_MAX];

static const struct tenant_limit acme = {.events = {10, 20}, .bytes = {1000, 2000}};
static const struct tenant_limit others = {.events = {1, 5}};
static const struct tenant_limit none = {0};

static void make(bool tenants, int64_t processes)
{
    limits_free(limits);
    limits = limits_new(&(struct limits_options){
        .tenants = tenants, .processes = processes, .buckets_max = 4, .seed = "0123456789abcde"});
}

static void begin(void)
{
    limits = NULL;
    now_us = 5000;
    make(true, 1);
}

static void end(void)
{
    limits_free(limits);
}

static void add(struct limit_rows *rows, const char *tenant, const struct tenant_limit *limit)
{
    ck_assert_int_eq(limit_rows_add(rows, str_of(tenant), limit), 0);
}

static void take_usual_rows(void)
{
    struct limit_rows *rows = limit_rows_new();
    add(rows, "acme", &acme);
    add(rows, "free", &none);
    add(rows, "*", &others);
    limits_take_rows(limits, rows);
}

static struct limits_account account_of(const char *tenant, const char *key, int64_t key_rate)
{
    struct limits_account a;
    struct limits_sender who = {
        .tenant = str_of(tenant), .key_id = str_of(key), .key_events_per_second = key_rate};
    limits_find(limits, &who, now_us, &a);
    return a;
}

static struct limits_account of(const char *tenant)
{
    return account_of(tenant, NULL, 0);
}

static int events(const char *tenant, int64_t n)
{
    struct limits_account a = of(tenant);
    return limits_charge_events(&a, n, &why);
}

static int bytes(const char *tenant, int64_t n)
{
    struct limits_account a = of(tenant);
    return limits_charge_bytes(&a, n, &why);
}

START_TEST(before_the_first_reading_it_is_not_ready_and_says_why)
{
    struct err e;
    ck_assert_int_eq(limits_ready(limits, &e), -1);
    err_set(&e, "connection refused");
    limits_not_read(limits, &e);
    ck_assert_int_eq(limits_ready(limits, &e), -1);
    ck_assert_str_eq(e.detail, "rate limits have not been read yet: connection refused");
    limits_take_rows(limits, limit_rows_new());
    ck_assert_int_eq(limits_ready(limits, &e), 0);
    make(false, 1);
    ck_assert_int_eq(limits_ready(limits, &e), 0);
}
END_TEST

START_TEST(a_tenant_is_held_to_its_row_or_to_that_of_the_others)
{
    take_usual_rows();
    ck_assert_int_eq(events("acme", 20), 0);
    ck_assert_int_eq(events("acme", 1), -1);
    ck_assert_int_eq(events("globex", 5), 0);
    ck_assert_int_eq(events("globex", 1), -1);
    ck_assert_int_eq(events("initech", 5), 0); // each has its own, by the same row
    ck_assert_int_eq(events("free", 1000000), 0);
    ck_assert_int_eq(bytes("globex", 1000000), 0);
    ck_assert_int_eq(events("acm", 5), 0);
    ck_assert_int_eq(events("acme2", 6), 0);
}
END_TEST

START_TEST(without_a_row_for_all_others_they_have_no_limit)
{
    struct limit_rows *rows = limit_rows_new();
    add(rows, "acme", &acme);
    limits_take_rows(limits, rows);
    ck_assert_int_eq(events("globex", 1000000), 0);
    ck_assert_int_eq(events(NULL, 1000000), 0);
    ck_assert_ptr_null(of("globex").tenant);
    ck_assert_uint_eq(limits_buckets(limits), 0);
}
END_TEST

START_TEST(senders_that_nobody_knows_share_the_row_of_the_others)
{
    take_usual_rows();
    ck_assert_int_eq(events(NULL, 3), 0);
    ck_assert_int_eq(events(NULL, 3), -1);
    ck_assert_int_eq(events(NULL, 2), 0);
    ck_assert_int_eq(events("*", 5), 0); // a tenant of that name is another
}
END_TEST

START_TEST(a_refusal_names_the_limit_and_whole_seconds)
{
    take_usual_rows();
    ck_assert_int_eq(events("acme", 20), 0);
    ck_assert_int_eq(events("acme", 1), -1);
    ck_assert_int_eq(why.kind, LIMIT_EVENTS);
    ck_assert_int_eq(why.retry_after_s, 1); // 0.1 s
    ck_assert_int_eq(events("acme", 10), -1);
    ck_assert_int_eq(why.retry_after_s, 1); // 1 s
    ck_assert_int_eq(events("acme", 11), -1);
    ck_assert_int_eq(why.retry_after_s, 2); // 1.1 s
    now_us += 2 * US_PER_S - 1000000 + 100000;
    ck_assert_int_eq(events("acme", 11), 0);
    ck_assert_int_eq(bytes("acme", 2000), 0);
    ck_assert_int_eq(bytes("acme", 3000), -1);
    ck_assert_int_eq(why.kind, LIMIT_BYTES);
    ck_assert_int_eq(why.retry_after_s, 2);
}
END_TEST

START_TEST(a_refused_batch_takes_nothing)
{
    take_usual_rows();
    ck_assert_int_eq(events("acme", 15), 0);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(events("acme", 6), -1);
    ck_assert_int_eq(events("acme", 5), 0);
}
END_TEST

START_TEST(a_batch_beyond_the_burst_is_taken_by_a_full_bucket)
{
    take_usual_rows();
    ck_assert_int_eq(events("acme", 100), 0);
    ck_assert_int_eq(events("acme", 1), -1);
    ck_assert_int_eq(why.retry_after_s, 9); // 80 are owed
    now_us += 9 * US_PER_S;
    ck_assert_int_eq(events("acme", 1), 0);
}
END_TEST

START_TEST(bytes_given_back_were_never_charged)
{
    take_usual_rows();
    struct limits_account a = of("acme");
    ck_assert_int_eq(limits_charge_bytes(&a, 1500, &why), 0);
    ck_assert_int_eq(limits_charge_events(&a, 20, &why), 0);
    limits_give_back_bytes(&a, 1500);
    ck_assert_int_eq(bytes("acme", 2000), 0);
    a = of("free");
    limits_give_back_bytes(&a, 1);
}
END_TEST

START_TEST(a_key_has_its_own_limit_beside_its_tenants)
{
    take_usual_rows();
    struct limits_account a = account_of("acme", "k1", 3);
    ck_assert_int_eq(limits_charge_events(&a, 3, &why), 0);
    ck_assert_int_eq(limits_charge_events(&a, 1, &why), -1);
    ck_assert_int_eq(why.kind, LIMIT_KEY);
    ck_assert_int_eq(why.retry_after_s, 1);
    ck_assert_int_eq(events("acme", 17), 0); // what the key was refused, its tenant was not charged
    a = account_of("acme", "k2", 3);
    ck_assert_int_eq(limits_charge_events(&a, 1, &why), -1);
    ck_assert_int_eq(why.kind, LIMIT_EVENTS);
    now_us += 200000; // 2 for the tenant; the other key was not charged
    a = account_of("acme", "k2", 3);
    ck_assert_int_eq(limits_charge_events(&a, 2, &why), 0);
    ck_assert_uint_eq(limits_buckets(limits), 3);
}
END_TEST

START_TEST(a_keys_limit_holds_where_tenants_have_none)
{
    make(false, 1);
    struct limits_account a = account_of("acme", "k1", 3);
    ck_assert_ptr_null(a.tenant);
    ck_assert_int_eq(limits_charge_events(&a, 3, &why), 0);
    ck_assert_int_eq(limits_charge_events(&a, 1, &why), -1);
    ck_assert_int_eq(limits_charge_bytes(&a, 1 << 30, &why), 0);
    a = account_of("acme", "k1", INT64_MAX); // a row may have been written by hand
    ck_assert_int_eq(token_bucket_holds(&a.key->events, now_us), 0);
    now_us += US_PER_S;
    ck_assert_int_eq(token_bucket_holds(&a.key->events, now_us), TOKEN_BUCKET_MOST);
}
END_TEST

START_TEST(each_of_several_processes_takes_its_part)
{
    make(true, 4);
    take_usual_rows();
    ck_assert_int_eq(events("acme", 5), 0);
    ck_assert_int_eq(events("acme", 1), -1);
    now_us += US_PER_S;
    ck_assert_int_eq(events("acme", 2), 0); // 10 / 4
    ck_assert_int_eq(events("acme", 1), -1);
    ck_assert_int_eq(bytes("acme", 500), 0);
    ck_assert_int_eq(bytes("acme", 1), -1);
    ck_assert_int_eq(events("globex", 1), 0); // 5 / 4
    ck_assert_int_eq(events("globex", 1), -1);
    ck_assert_int_eq(why.retry_after_s, 1); // 1 / 4 is 1
    struct limits_account a = account_of("free", "k", 9);
    ck_assert_int_eq(token_bucket_holds(&a.key->events, now_us), 2);
}
END_TEST

START_TEST(a_new_reading_holds_at_once_and_gives_nothing)
{
    take_usual_rows();
    ck_assert_int_eq(events("acme", 12), 0);
    struct limit_rows *rows = limit_rows_new();
    add(rows, "acme", &(struct tenant_limit){.events = {1, 1000}});
    limits_take_rows(limits, rows);
    ck_assert_int_eq(events("acme", 9), -1);
    ck_assert_int_eq(events("acme", 8), 0);
    ck_assert_int_eq(events("globex", 1000), 0); // its row is gone
    take_usual_rows();
    ck_assert_int_eq(events("acme", 1), -1);
}
END_TEST

START_TEST(as_many_rows_as_there_may_be)
{
    struct limit_rows *rows = limit_rows_new();
    char name[16];
    for (int i = 0; i < TENANT_LIMITS_MAX; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        if (limit_rows_add(rows, str_of(name), &acme) != 0)
            ck_abort_msg("row %d", i);
    }
    ck_assert_int_eq(limit_rows_add(rows, str_of("more"), &acme), -1);
    ck_assert_uint_eq(limit_rows_count(rows), TENANT_LIMITS_MAX);
    limits_take_rows(limits, rows);
    ck_assert_int_eq(events("t0", 20), 0);
    ck_assert_int_eq(events("t65535", 20), 0);
    ck_assert_int_eq(events("t65535", 1), -1);
    ck_assert_int_eq(events("more", 21), 0);
    rows = limit_rows_new();
    ck_assert_int_eq(limit_rows_add(rows, str_of("t"), &acme), 0);
    ck_assert_int_eq(limit_rows_add(rows, str_of("t"), &none), -1);
    limit_rows_free(rows);
}
END_TEST

START_TEST(tenants_without_room_share_and_are_counted)
{
    take_usual_rows();
    for (char name[] = "a"; name[0] < 'g'; name[0]++)
        (void)events(name, 5);
    ck_assert_uint_eq(limits_buckets(limits), 4);
    ck_assert_int_eq(limits_shared(limits), 2);
    ck_assert_int_eq(events("g", 1), -1);
    ck_assert_int_eq(limits_shared(limits), 3);
}
END_TEST

static bool render(const struct limits_account *a, const struct limits_refusal *refusal)
{
    policy[0] = state[0] = '\0';
    return limits_render(a, refusal, policy, state);
}

START_TEST(fields_tell_the_policies_and_what_is_left)
{
    take_usual_rows();
    struct limits_account a = of("acme");
    ck_assert(render(&a, NULL));
    ck_assert_str_eq(policy, "\"events\";q=20;w=2, \"bytes\";q=2000;qu=\"content-bytes\";w=2");
    ck_assert_str_eq(state, "\"events\";r=20;t=0, \"bytes\";r=2000;t=0");
    ck_assert_int_eq(limits_charge_events(&a, 7, &why), 0);
    ck_assert_int_eq(limits_charge_bytes(&a, 1001, &why), 0);
    ck_assert(render(&a, NULL));
    ck_assert_str_eq(state, "\"events\";r=13;t=1, \"bytes\";r=999;t=2");
    a = account_of("globex", "k", 100);
    ck_assert(render(&a, NULL));
    ck_assert_str_eq(policy, "\"events\";q=5;w=5, \"key\";q=100;w=1");
    ck_assert_str_eq(state, "\"events\";r=5;t=0, \"key\";r=100;t=0");
    a = of("free");
    ck_assert(!render(&a, NULL));
    ck_assert_str_eq(policy, "");
}
END_TEST

// The draft: Retry-After is not earlier than the end of the window.
START_TEST(in_a_refusal_no_window_ends_after_retry_after)
{
    take_usual_rows();
    struct limits_account a = of("acme");
    ck_assert_int_eq(limits_charge_events(&a, 45, &why), 0);
    ck_assert_int_eq(limits_charge_events(&a, 1, &why), -1);
    ck_assert_int_eq(why.retry_after_s, 3); // full in 4.5 s
    ck_assert(render(&a, &why));
    ck_assert_str_eq(state, "\"events\";r=0;t=3, \"bytes\";r=2000;t=0");
    ck_assert(render(&a, NULL));
    ck_assert_str_eq(state, "\"events\";r=0;t=5, \"bytes\";r=2000;t=0");
}
END_TEST

START_TEST(the_longest_fields_fit)
{
    struct limit_rows *rows = limit_rows_new();
    struct token_limit most = {1, TENANT_LIMIT_MOST};
    add(rows, "acme", &(struct tenant_limit){most, most});
    limits_take_rows(limits, rows);
    struct limits_account a = account_of("acme", "k", TENANT_LIMIT_MOST);
    ck_assert_int_eq(limits_charge_events(&a, TENANT_LIMIT_MOST - 1, &why), 0);
    ck_assert(render(&a, NULL));
    ck_assert_str_eq(policy, "\"events\";q=1000000000000;w=1000000000000, "
                             "\"bytes\";q=1000000000000;qu=\"content-bytes\";w=1000000000000, "
                             "\"key\";q=1000000000000;w=1");
    ck_assert_str_eq(state, "\"events\";r=1;t=999999999999, \"bytes\";r=1000000000000;t=0, "
                            "\"key\";r=1;t=1");
}
END_TEST

START_TEST(without_a_burst_it_is_ten_seconds_worth)
{
    ck_assert(token_limit_equal(tenant_limit_of(7, 0), (struct token_limit){7, 70}));
    ck_assert(token_limit_equal(tenant_limit_of(7, 3), (struct token_limit){7, 3}));
    ck_assert_int_eq(tenant_limit_of(TENANT_LIMIT_MOST, 0).burst, TENANT_LIMIT_MOST);
    ck_assert_int_eq(tenant_limit_of(0, 0).per_second, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limits");
    TCase *t = tcase_create("limits");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, before_the_first_reading_it_is_not_ready_and_says_why);
    tcase_add_test(t, a_tenant_is_held_to_its_row_or_to_that_of_the_others);
    tcase_add_test(t, without_a_row_for_all_others_they_have_no_limit);
    tcase_add_test(t, senders_that_nobody_knows_share_the_row_of_the_others);
    tcase_add_test(t, a_refusal_names_the_limit_and_whole_seconds);
    tcase_add_test(t, a_refused_batch_takes_nothing);
    tcase_add_test(t, a_batch_beyond_the_burst_is_taken_by_a_full_bucket);
    tcase_add_test(t, bytes_given_back_were_never_charged);
    tcase_add_test(t, a_key_has_its_own_limit_beside_its_tenants);
    tcase_add_test(t, a_keys_limit_holds_where_tenants_have_none);
    tcase_add_test(t, each_of_several_processes_takes_its_part);
    tcase_add_test(t, a_new_reading_holds_at_once_and_gives_nothing);
    tcase_add_test(t, as_many_rows_as_there_may_be);
    tcase_add_test(t, tenants_without_room_share_and_are_counted);
    tcase_add_test(t, fields_tell_the_policies_and_what_is_left);
    tcase_add_test(t, in_a_refusal_no_window_ends_after_retry_after);
    tcase_add_test(t, the_longest_fields_fit);
    tcase_add_test(t, without_a_burst_it_is_ten_seconds_worth);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
