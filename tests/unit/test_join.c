// SPDX-License-Identifier: Apache-2.0
#include "processor/join.h"

#include "tests/support/join_model.h"
#include "tests/support/random_settings.h"

#include <check.h>

#define TTL 100
#define SKEW 20
#define D (TTL + SKEW)

static const struct settings one_epoch = {1, {{1, TIME_NONE, TTL, SKEW, 1}}};

// ---- against the model ----

#define RECORDS 400

struct planned {
    int id;
    int64_t time_ms;
    uint32_t content, tenant;
};

static void plan(struct random *r, struct planned *v, int n, int ids)
{
    int64_t time_ms = 1000;
    for (int i = 0; i < n; i++) {
        if (random_chance(r, 60))
            time_ms += random_chance(r, 5) ? random_below(r, 3 * D) : random_below(r, 12);
        v[i] = (struct planned){random_below(r, ids), time_ms, (uint32_t)random_below(r, 2),
                                (uint32_t)(random_below(r, 20) == 0)};
    }
}

enum order { ORDER_MIXED, ORDER_REQUESTS_FIRST, ORDER_RESPONSES_FIRST, ORDERS };

static int pick(enum order order, struct random *r, const int left[2])
{
    int first = order == ORDER_MIXED ? random_below(r, 2) : order == ORDER_REQUESTS_FIRST ? 0 : 1;
    return left[first] ? first : 1 - first;
}

static void feed_all(struct join_pair *p, struct planned v[2][RECORDS], int n, enum order order,
                     struct random *r, int check_every)
{
    int left[2] = {n, n};
    while (left[0] + left[1]) {
        int k = pick(order, r, left);
        const struct planned *x = &v[k][n - left[k]--];
        join_pair_feed(p, k, x->id, x->time_ms, x->content, x->tenant);
        if ((left[0] + left[1]) % check_every == 0)
            ck_assert_str_eq(join_pair_check(p), "");
    }
}

static void expect_as_the_model(struct random *r, const struct settings *settings)
{
    struct planned v[2][RECORDS];
    int ids = 1 + random_below(r, 60), n = 20 + random_below(r, RECORDS - 20);
    for (int k = 0; k < 2; k++)
        plan(r, v[k], n, ids);
    for (enum order order = 0; order < ORDERS; order++) {
        struct join_pair p;
        join_pair_init(&p, settings);
        // The model is a function of the logs alone, so equal to it means equal to each other.
        feed_all(&p, v, n, order, r, order == ORDER_MIXED ? 7 : 2 * RECORDS);
        ck_assert_str_eq(join_pair_check(&p), "");
        join_pair_free(&p);
    }
}

START_TEST(answers_as_the_model_in_whatever_order_the_topics_are_fed)
{
    struct random r = {(uint64_t)_i};
    expect_as_the_model(&r, &one_epoch);
}
END_TEST

START_TEST(answers_as_the_model_across_epochs)
{
    struct random r = {1000 + (uint64_t)_i};
    struct settings s;
    random_settings(&r, &s, 2 + (size_t)random_below(&r, 3), 1000 + random_below(&r, 1000), 2 * D);
    expect_as_the_model(&r, &s);
}
END_TEST

START_TEST(answers_as_the_model_across_sweeps)
{
    struct random r = {77};
    struct join_pair p;
    join_pair_init(&p, &one_epoch);
    for (int i = 0; i < 6000; i++)
        join_pair_feed(&p, random_below(&r, 2), random_below(&r, 2500), 1000 + i / 8, 1, 1);
    ck_assert_str_eq(join_pair_check(&p), "");
    join_pair_free(&p);
}
END_TEST

// ---- bounds ----

static const struct {
    int64_t after_ms; // response time - request time
    bool matches;
} matching[] = {
    {-SKEW - 1, false}, {-SKEW, true}, {0, true}, {TTL, true}, {TTL + 1, false},
};

static bool pair_matches(enum event_kind first, int64_t after_ms)
{
    struct join_pair p;
    join_pair_init(&p, &one_epoch);
    int64_t time_ms[2] = {1000, 1000 + after_ms};
    join_pair_feed(&p, first, 1, time_ms[first], 1, 1);
    join_pair_feed(&p, 1 - first, 1, time_ms[1 - first], 1, 1);
    ck_assert_str_eq(join_pair_check(&p), "");
    ck_assert_int_eq(p.v[0][0].table_partner, p.v[1][0].table_partner);
    bool matched = p.v[0][0].table_partner == 0;
    join_pair_free(&p);
    return matched;
}

START_TEST(matches_from_skew_before_to_ttl_after_both_included)
{
    ck_assert_int_eq(pair_matches(EVENT_REQUEST, matching[_i].after_ms), matching[_i].matches);
    ck_assert_int_eq(pair_matches(EVENT_RESPONSE, matching[_i].after_ms), matching[_i].matches);
}
END_TEST

// From BORDER on.
#define BORDER 2000
#define OTHER(ttl_ms, skew_ms)                                                                     \
    {                                                                                              \
        2,                                                                                         \
        {                                                                                          \
            {1, TIME_NONE, TTL, SKEW, 1},                                                          \
            {                                                                                      \
                2, BORDER, ttl_ms, skew_ms, 1                                                      \
            }                                                                                      \
        }                                                                                          \
    }
static const struct settings longer_ttl = OTHER(5 * TTL, SKEW), shorter_ttl = OTHER(10, SKEW),
                             longer_skew = OTHER(TTL, 3 * SKEW), shorter_skew = OTHER(TTL, 5);

static const struct {
    const struct settings *settings;
    int64_t request_ms, response_ms;
    bool matches;
} across[] = {
    // the last request before the border waits no longer than before, the first behind it does
    {&longer_ttl, BORDER - 1, BORDER - 1 + TTL, true},
    {&longer_ttl, BORDER - 1, BORDER + TTL, false},
    {&longer_ttl, BORDER, BORDER + 5 * TTL, true},
    {&longer_ttl, BORDER, BORDER + 5 * TTL + 1, false},
    // and one behind it no shorter than the last before
    {&shorter_ttl, BORDER - 1, BORDER - 1 + TTL, true},
    {&shorter_ttl, BORDER, BORDER - 1 + TTL, true},
    {&shorter_ttl, BORDER, BORDER + TTL, false},
    {&shorter_ttl, BORDER + TTL, BORDER + TTL + 10, true},
    {&shorter_ttl, BORDER + TTL, BORDER + TTL + 11, false},
    // likewise an answer that came before its request
    {&longer_skew, BORDER - 1 + SKEW, BORDER - 1, true},
    {&longer_skew, BORDER + SKEW, BORDER - 1, false},
    {&longer_skew, BORDER + 3 * SKEW, BORDER, true},
    {&longer_skew, BORDER + 3 * SKEW + 1, BORDER, false},
    {&shorter_skew, BORDER - 1 + SKEW, BORDER, true},
    {&shorter_skew, BORDER + SKEW, BORDER, false},
    {&shorter_skew, BORDER + SKEW + 5, BORDER + SKEW, true},
    {&shorter_skew, BORDER + SKEW + 6, BORDER + SKEW, false},
};

START_TEST(matches_across_a_border_by_who_waits)
{
    for (enum event_kind first = 0; first < 2; first++) {
        struct join_pair p;
        join_pair_init(&p, across[_i].settings);
        int64_t time_ms[2] = {across[_i].request_ms, across[_i].response_ms};
        join_pair_feed(&p, first, 1, time_ms[first], 1, 1);
        join_pair_feed(&p, 1 - first, 1, time_ms[1 - first], 1, 1);
        ck_assert_int_eq(p.v[0][0].table_partner == 0, across[_i].matches);
        ck_assert_str_eq(join_pair_check(&p), "");
        join_pair_free(&p);
    }
}
END_TEST

static const struct {
    const struct settings *settings;
    enum event_kind kind;
    int64_t first_ms, last_ms; // one seen at the first is repeated up to the last
} repeated[] = {
    {&longer_ttl, EVENT_REQUEST, BORDER - 1, BORDER - 1 + D},
    {&longer_ttl, EVENT_REQUEST, BORDER, BORDER + 5 * TTL + SKEW},
    // an answer of before fits requests of after, and with them their other answers
    {&longer_ttl, EVENT_RESPONSE, BORDER - SKEW - 1, BORDER - 1 + TTL},
    {&longer_ttl, EVENT_RESPONSE, BORDER - SKEW, BORDER + 5 * TTL},
    {&longer_skew, EVENT_REQUEST, BORDER - TTL - 1, BORDER - 1 + SKEW},
    {&longer_skew, EVENT_REQUEST, BORDER - TTL, BORDER + 3 * SKEW},
    {&shorter_ttl, EVENT_REQUEST, BORDER, BORDER - 1 + D},
    {&shorter_skew, EVENT_RESPONSE, BORDER, BORDER - 1 + D},
};

START_TEST(remembers_across_a_border_as_long_as_the_waits_reach)
{
    for (int late = 0; late < 2; late++) {
        struct join_pair p;
        join_pair_init(&p, repeated[_i].settings);
        join_pair_feed(&p, repeated[_i].kind, 1, repeated[_i].first_ms, 1, 1);
        join_pair_feed(&p, repeated[_i].kind, 1, repeated[_i].last_ms + late, 1, 1);
        ck_assert_int_eq(p.v[repeated[_i].kind][1].table_seen, late ? JOIN_NEW : JOIN_DUPLICATE);
        join_pair_free(&p);
    }
}
END_TEST

static struct join *table;
static int64_t now_ms[2];

static void make_table(void)
{
    table = join_new(&one_epoch, 3);
    now_ms[0] = now_ms[1] = INT64_MIN;
}

static void free_table(void)
{
    join_free(table, NULL, NULL);
}

static enum join_seen see(enum event_kind kind, int id, int64_t time_ms, uint32_t content,
                          uint32_t tenant)
{
    now_ms[kind] = time_ms;
    return join_see(table, kind, model_identity(id), time_ms, content, tenant, now_ms);
}

static void wait_for(enum event_kind kind, int id, int64_t time_ms)
{
    join_wait(table, &(struct join_waiting){
                         .identity = model_identity(id), .kind = kind, .time_ms = time_ms});
}

START_TEST(remembers_for_exactly_d)
{
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 1000, 1, 1), JOIN_NEW);
    ck_assert_int_eq(see(EVENT_REQUEST, 2, 1000, 1, 1), JOIN_NEW);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 1000 + D, 1, 1), JOIN_DUPLICATE);
    ck_assert_int_eq(see(EVENT_REQUEST, 2, 1000 + D + 1, 1, 1), JOIN_NEW);
}
END_TEST

START_TEST(a_duplicate_refreshes)
{
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(see(EVENT_RESPONSE, 1, 1000 + i * D, 1, 0), i ? JOIN_DUPLICATE : JOIN_NEW);
    ck_assert_int_eq(see(EVENT_RESPONSE, 1, 1000 + 10 * D + 1, 1, 0), JOIN_NEW);
}
END_TEST

START_TEST(each_topic_has_a_memory_of_its_own)
{
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 1000, 1, 1), JOIN_NEW);
    ck_assert_int_eq(see(EVENT_RESPONSE, 1, 1000, 1, 0), JOIN_NEW);
    ck_assert_int_eq(see(EVENT_RESPONSE, 1, 1001, 1, 0), JOIN_DUPLICATE);
}
END_TEST

START_TEST(compares_with_the_first_of_a_chain)
{
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 1000, 5, 1), JOIN_NEW);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 1000, 6, 1), JOIN_CONFLICTING);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 1000, 6, 1), JOIN_CONFLICTING);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 1000, 5, 2), JOIN_OTHER_TENANT);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 1000, 5, 1), JOIN_DUPLICATE);
    // A response says nothing about the tenant.
    ck_assert_int_eq(see(EVENT_RESPONSE, 1, 1000, 5, 7), JOIN_NEW);
    ck_assert_int_eq(see(EVENT_RESPONSE, 1, 1000, 5, 8), JOIN_DUPLICATE);
}
END_TEST

// Whoever was first may lie further back than a replay begins: it must not matter.
START_TEST(judges_a_conflict_by_what_happened_within_d_alone)
{
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 0, 5, 1), JOIN_NEW);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, D, 5, 2), JOIN_OTHER_TENANT);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 2 * D, 5, 2), JOIN_DUPLICATE);
    // The first tenant's own sighting is past D by now, the other's is not.
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 2 * D, 5, 1), JOIN_OTHER_TENANT);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 3 * D, 5, 1), JOIN_DUPLICATE);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 3 * D, 5, 3), JOIN_OTHER_TENANT);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 4 * D + 1, 5, 3), JOIN_NEW);
}
END_TEST

START_TEST(an_id_used_again_after_d_waits_beside_the_older_one)
{
    struct join_waiting w;
    // The responses' time stands still, so the first request still waits when the second comes.
    see(EVENT_REQUEST, 1, 1000, 1, 1);
    wait_for(EVENT_REQUEST, 1, 1000);
    ck_assert_int_eq(see(EVENT_REQUEST, 1, 1000 + D + 1, 1, 1), JOIN_NEW);
    wait_for(EVENT_REQUEST, 1, 1000 + D + 1);
    ck_assert_uint_eq(join_waiting_count(table, EVENT_REQUEST), 2);
    ck_assert(join_match(table, EVENT_RESPONSE, model_identity(1), 1000 + TTL, &w));
    ck_assert_int_eq(w.time_ms, 1000);
    ck_assert(!join_match(table, EVENT_RESPONSE, model_identity(1), 1000 + TTL, &w));
    ck_assert(join_match(table, EVENT_RESPONSE, model_identity(1), 1000 + TTL + 1, &w));
    ck_assert_int_eq(w.time_ms, 1000 + D + 1);
    ck_assert_uint_eq(join_waiting_count(table, EVENT_REQUEST), 0);
}
END_TEST

START_TEST(a_wait_is_over_once_its_deadline_is_passed_not_reached)
{
    struct join_waiting w;
    int64_t wait_ms = _i == EVENT_REQUEST ? TTL : SKEW;
    ck_assert_int_eq(join_deadline(table, _i), INT64_MAX);
    ck_assert(!join_expire(table, _i, INT64_MAX, &w));
    see(_i, 1, 1000, 1, 1);
    wait_for(_i, 1, 1000);
    see(_i, 2, 1001, 1, 1);
    wait_for(_i, 2, 1001);
    ck_assert_int_eq(join_deadline(table, _i), 1000 + wait_ms);
    ck_assert(!join_expire(table, _i, INT64_MIN, &w)); // the other topic is silent so far
    ck_assert(!join_expire(table, _i, 1000 + wait_ms, &w));
    ck_assert(join_expire(table, _i, 1000 + wait_ms + 1, &w));
    ck_assert_int_eq(w.time_ms, 1000);
    ck_assert(!join_expire(table, _i, 1000 + wait_ms + 1, &w));
    ck_assert_int_eq(join_deadline(table, _i), 1001 + wait_ms);
}
END_TEST

START_TEST(whoever_waited_too_long_matches_nobody_though_nothing_has_expired_yet)
{
    struct join_waiting w;
    int64_t wait_ms = _i == EVENT_REQUEST ? TTL : SKEW;
    see(_i, 1, 1000, 1, 1);
    wait_for(_i, 1, 1000);
    ck_assert(!join_match(table, 1 - _i, model_identity(1), 1000 + wait_ms + 1, &w));
    ck_assert(join_match(table, 1 - _i, model_identity(1), 1000 + wait_ms, &w));
}
END_TEST

START_TEST(is_full_at_its_limit_each_kind_by_itself)
{
    struct join_waiting w;
    for (int i = 0; i < 3; i++) {
        ck_assert(!join_full(table, EVENT_REQUEST));
        see(EVENT_REQUEST, i, 1000, 1, 1);
        wait_for(EVENT_REQUEST, i, 1000);
    }
    ck_assert(join_full(table, EVENT_REQUEST));
    ck_assert(!join_full(table, EVENT_RESPONSE));
    ck_assert(join_match(table, EVENT_RESPONSE, model_identity(1), 1000, &w));
    ck_assert(!join_full(table, EVENT_REQUEST));
}
END_TEST

static void count_drop(struct join_waiting *w, void *arg)
{
    int *dropped = arg;
    dropped[w->kind]++;
}

START_TEST(hands_over_what_still_waits_when_it_is_freed)
{
    int dropped[2] = {0, 0};
    for (int i = 0; i < 5; i++) {
        see(i % 2, i, 1000, 1, 1);
        wait_for(i % 2, i, 1000);
    }
    join_free(table, count_drop, dropped);
    table = NULL;
    ck_assert_int_eq(dropped[EVENT_REQUEST], 3);
    ck_assert_int_eq(dropped[EVENT_RESPONSE], 2);
    join_free(NULL, count_drop, dropped);
}
END_TEST

// ---- memory ----

#define MANY 200000

START_TEST(knows_200000_identities_and_gives_their_memory_back)
{
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(see(EVENT_REQUEST, i, 1000 + i * D / MANY, 1, 1), JOIN_NEW);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(see(EVENT_REQUEST, i, 1000 + D - 1, 1, 1), JOIN_DUPLICATE);
    ck_assert_uint_eq(join_identity_count(table), MANY);
    size_t peak = join_bytes(table);
    ck_assert_uint_ge(peak, MANY * 56);
    ck_assert_uint_le(peak, MANY * 56 * 6); // between 1/6 and 3/4 full
    // From here on few live at any time; the table is swept when it has filled up once more.
    for (int i = 0; i < 5 * MANY; i++)
        ck_assert_int_eq(see(EVENT_REQUEST, MANY + i, 1000 + 3 * D + i, 1, 1), JOIN_NEW);
    ck_assert_uint_le(join_bytes(table), peak / 50);
    ck_assert_uint_le(join_identity_count(table), 2000);
}
END_TEST

START_TEST(room_for_what_is_to_come_is_made_once_and_more_is_taken)
{
    join_reserve(table, MANY);
    size_t reserved = join_bytes(table);
    ck_assert_uint_le(reserved, MANY * 56 * 3);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(see(EVENT_REQUEST, i, 1000, 1, 1), JOIN_NEW);
    ck_assert_uint_eq(join_bytes(table), reserved);
    for (int i = 0; i < 2 * MANY; i++)
        ck_assert_int_eq(see(EVENT_REQUEST, i, 1001, 1, 1), i < MANY ? JOIN_DUPLICATE : JOIN_NEW);
    ck_assert_uint_gt(join_bytes(table), reserved);
}
END_TEST

START_TEST(a_sweep_keeps_what_waits_and_what_either_topic_remembers)
{
    struct join_waiting w;
    see(EVENT_REQUEST, 1, 1000, 1, 1);
    wait_for(EVENT_REQUEST, 1, 1000); // far beyond D by its own time, but the answers' stands still
    see(EVENT_RESPONSE, 2, 1000, 1, 1);
    for (int i = 0; i < 20000; i++)
        see(EVENT_REQUEST, 10 + i, 2000 + i, 1, 1);
    ck_assert_uint_lt(join_identity_count(table), 10000);
    ck_assert_int_eq(see(EVENT_RESPONSE, 2, 1000 + D, 1, 1), JOIN_DUPLICATE);
    ck_assert(join_match(table, EVENT_RESPONSE, model_identity(1), 1000 + TTL, &w));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("join");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, make_table, free_table);
    tcase_add_loop_test(tc, answers_as_the_model_in_whatever_order_the_topics_are_fed, 0, 150);
    tcase_add_loop_test(tc, answers_as_the_model_across_epochs, 0, 150);
    tcase_add_loop_test(tc, matches_across_a_border_by_who_waits, 0, ARRAY_LEN(across));
    tcase_add_loop_test(tc, remembers_across_a_border_as_long_as_the_waits_reach, 0,
                        ARRAY_LEN(repeated));
    tcase_add_test(tc, answers_as_the_model_across_sweeps);
    tcase_add_loop_test(tc, matches_from_skew_before_to_ttl_after_both_included, 0,
                        ARRAY_LEN(matching));
    tcase_add_test(tc, remembers_for_exactly_d);
    tcase_add_test(tc, a_duplicate_refreshes);
    tcase_add_test(tc, each_topic_has_a_memory_of_its_own);
    tcase_add_test(tc, compares_with_the_first_of_a_chain);
    tcase_add_test(tc, judges_a_conflict_by_what_happened_within_d_alone);
    tcase_add_test(tc, an_id_used_again_after_d_waits_beside_the_older_one);
    tcase_add_loop_test(tc, a_wait_is_over_once_its_deadline_is_passed_not_reached, 0, 2);
    tcase_add_loop_test(tc, whoever_waited_too_long_matches_nobody_though_nothing_has_expired_yet,
                        0, 2);
    tcase_add_test(tc, is_full_at_its_limit_each_kind_by_itself);
    tcase_add_test(tc, hands_over_what_still_waits_when_it_is_freed);
    tcase_add_test(tc, knows_200000_identities_and_gives_their_memory_back);
    tcase_add_test(tc, room_for_what_is_to_come_is_made_once_and_more_is_taken);
    tcase_add_test(tc, a_sweep_keeps_what_waits_and_what_either_topic_remembers);
    Suite *suite = suite_create("join");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
