// SPDX-License-Identifier: Apache-2.0
// What of an answer's tokens and cost is counted, and on which usage line. The split of one answer
// into classes is in test_usage.c; here is what the join must keep for it.
#include "tests/unit/task_case.h"

#define CLAUDE ",\"provider\":\"anthropic\""

// The two halves in one of both orders of arrival: 0 = the request first.
static void join_in_order(int order, const char *id, const char *asked, const char *answered)
{
    if (order == 0)
        ask(0, id, asked);
    answer(0, id, answered);
    if (order == 1)
        ask(0, id, asked);
}

static void expect_line(const struct usage_line *l, const char *model, const char *asked,
                        const char *tier, int64_t context_above)
{
    ck_assert_msg(str_eq(l->key.model, str_of(model)), "model %.*s", (int)l->key.model.n,
                  l->key.model.p);
    ck_assert_msg(str_eq(l->key.asked, str_of(asked)), "asked %.*s", (int)l->key.asked.n,
                  l->key.asked.p);
    ck_assert_msg(str_eq(l->key.tier, str_of(tier)), "tier %.*s", (int)l->key.tier.n,
                  l->key.tier.p);
    ck_assert_int_eq(l->key.context_above, context_above);
}

// ---- lines ----

static const struct {
    const char *answered;
    const char *model, *asked, *tier;
    int64_t context_above;
} keys[] = {
    {"", "m", "", "", 0},
    {",\"model\":\"m\"", "m", "", "", 0},
    {",\"model\":\"m-2024\"", "m-2024", "m", "", 0},
    {",\"model\":\"M\"", "M", "m", "", 0}, // as it named itself
    {",\"service_tier\":\"Flex\"", "m", "", "flex", 0},
    {",\"service_tier\":\"default\"", "m", "", "", 0},
    {",\"prompt_tokens\":200000", "m", "", "", 128000},
    {",\"prompt_tokens\":200001", "m", "", "", 200000},
    {",\"prompt_tokens\":200000,\"completion_tokens\":900000", "m", "", "", 128000},
    {",\"model\":\"x\",\"service_tier\":\"batch\",\"prompt_tokens\":32001", "x", "m", "batch",
     32000},
};

START_TEST(an_answer_counts_on_the_line_of_its_model_tier_and_band_in_either_order)
{
    const struct facts *f;
    join_in_order(_i % 2, "a", "", keys[_i / 2].answered);
    f = facts_now();
    ck_assert_uint_eq(f->usage.n, 1);
    expect_line(&f->usage.v[0], keys[_i / 2].model, keys[_i / 2].asked, keys[_i / 2].tier,
                keys[_i / 2].context_above);
    ck_assert_int_eq(f->usage.v[0].sum.requests, 1);
    ck_assert_int_eq(f->usage.other.requests, 0);
}
END_TEST

START_TEST(the_band_is_that_of_the_requests_prompt_where_the_answer_sent_none)
{
    join_in_order(_i, "a", ",\"prompt_tokens\":128001", ",\"cached_prompt_tokens\":100000");
    ck_assert_uint_eq(facts_now()->usage.n, 1);
    expect_line(&facts_now()->usage.v[0], "m", "", "", 128000);
    ck_assert_int_eq(usage_now().uncached_prompt_tokens, 28001);
    ck_assert_int_eq(usage_now().cached_prompt_tokens, 100000);
}
END_TEST

START_TEST(the_requests_provider_says_whether_the_prompt_excludes_the_cache)
{
    const char *answered = ",\"prompt_tokens\":20000,\"cached_prompt_tokens\":13000";
    join_in_order(_i, "a", CLAUDE, answered);
    ck_assert_int_eq(usage_now().uncached_prompt_tokens, 20000);
    ck_assert_int_eq(usage_now().cached_prompt_tokens, 13000);
    expect_line(&facts_now()->usage.v[0], "m", "", "", 32000); // the band is of them all
    flushed(task);
    join_in_order(_i, "b", ",\"provider\":\"openai\"", answered);
    ck_assert_int_eq(usage_now().uncached_prompt_tokens, 7000);
    ck_assert_int_eq(usage_now().cached_prompt_tokens, 13000);
    expect_line(&facts_now()->usage.v[0], "m", "", "", 0);
}
END_TEST

START_TEST(answers_of_one_line_add_up_and_others_stand_beside_it)
{
    const char *const more[] = {",\"completion_tokens\":1", ",\"model\":\"n\"",
                                ",\"completion_tokens\":20,\"service_tier\":\"auto\"",
                                ",\"error\":\"timeout\",\"completion_tokens\":300"};
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        char id[2] = {(char)('a' + i), '\0'};
        join_in_order((int)i % 2, id, "", more[i]);
    }
    ask(0, "z", ",\"prompt_tokens\":1000"); // not answered: no tokens
    const struct facts *f = facts_now();
    ck_assert_uint_eq(f->usage.n, 2);
    expect_line(&f->usage.v[0], "m", "", "", 0);
    ck_assert_int_eq(f->usage.v[0].sum.requests, 3);
    ck_assert_int_eq(f->usage.v[0].sum.completion_tokens, 321);
    expect_line(&f->usage.v[1], "n", "m", "", 0);
    ck_assert_int_eq(usage_now().requests, f->responses);
    ck_assert_int_eq(prompt_tokens_now(), 0);
}
END_TEST

START_TEST(answers_by_more_models_than_a_row_has_room_for_keep_the_sum)
{
    for (int i = 0; i < USAGE_LINES + 3; i++) {
        char id[8], more[64];
        snprintf(id, sizeof(id), "id%d", i);
        snprintf(more, sizeof(more), ",\"model\":\"m%02d\",\"completion_tokens\":1", i);
        join_in_order(0, id, "", more);
    }
    ck_assert_uint_eq(facts_now()->usage.n, USAGE_LINES);
    ck_assert_int_eq(facts_now()->usage.other.requests, 3);
    ck_assert_int_eq(usage_now().completion_tokens, USAGE_LINES + 3);
    ck_assert_int_eq(facts_now()->responses, USAGE_LINES + 3);
}
END_TEST

// ---- clamps and the providers' own figures ----

START_TEST(answers_that_contradict_themselves_are_counted)
{
    join_in_order(_i, "a", ",\"prompt_tokens\":9", ",\"cached_prompt_tokens\":10");
    join_in_order(_i, "b", "", ",\"reasoning_tokens\":2,\"completion_tokens\":1");
    join_in_order(_i, "c", CLAUDE, ",\"prompt_tokens\":9,\"cached_prompt_tokens\":10");
    join_in_order(_i, "d", "", ",\"prompt_tokens\":10,\"cached_prompt_tokens\":10");
    ck_assert_int_eq(facts_now()->clamped_usage, 2);
    ck_assert_int_eq(stats.clamped_usage, 2);
    ck_assert_int_eq(facts_now()->responses, 4);
}
END_TEST

START_TEST(reported_costs_add_up_and_zero_is_one)
{
    join_in_order(_i, "a", "", ",\"cost_usd\":0.000000000001");
    join_in_order(_i, "b", "", ",\"cost_usd\":1000000");
    join_in_order(_i, "c", "", ",\"cost_usd\":0");
    join_in_order(_i, "d", "", "");
    join_in_order(_i, "e", "", ",\"cost_usd\":null");
    ck_assert_int_eq(facts_now()->reported_requests, 3);
    ck_assert(facts_now()->reported_cost == 1000000 * (money)MONEY_PER_USD + 1);
}
END_TEST

// ---- replay ----

START_TEST(a_replay_counts_no_usage_and_what_it_joins_again_is_whole)
{
    // b's two halves are behind the position; of a one is, of c the other.
    ask(0, "a", CLAUDE ",\"prompt_tokens\":7");
    answer(0, "c", ",\"model\":\"n\",\"service_tier\":\"flex\",\"cost_usd\":3");
    join_in_order(_i, "b", "", ",\"prompt_tokens\":1,\"cached_prompt_tokens\":9,\"cost_usd\":5");
    ck_assert_int_eq(stats.clamped_usage, 1);
    struct position p;
    task_position(task, &p);
    task_free(task);
    window_clear(env.deltas);
    stats = (struct processor_stats){0};
    task = task_new_at(3, &limits, &settings, &env, &p);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < logs[k].n; i++)
            take(k, &logs[k].v[i]);
    ck_assert(task_is_live(task));
    ck_assert_uint_eq(window_count(env.deltas), 0);
    ck_assert_int_eq(stats.clamped_usage, 0);
    answer(0, "a", ",\"cached_prompt_tokens\":10");
    ask(0, "c", "");
    const struct facts *f = facts_now();
    ck_assert_uint_eq(f->usage.n, 2);
    expect_line(&f->usage.v[0], "m", "", "", 0);
    ck_assert_int_eq(f->usage.v[0].sum.uncached_prompt_tokens, 7); // the provider is known again
    ck_assert_int_eq(f->usage.v[0].sum.cached_prompt_tokens, 10);
    expect_line(&f->usage.v[1], "n", "m", "flex", 0);
    ck_assert_int_eq(f->reported_requests, 1);
    ck_assert(f->reported_cost == 3 * (money)MONEY_PER_USD);
    ck_assert_int_eq(f->clamped_usage, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("task_usage");
    tcase_add_checked_fixture(tc, make_env, free_env);
    tcase_add_loop_test(tc, an_answer_counts_on_the_line_of_its_model_tier_and_band_in_either_order,
                        0, 2 * ARRAY_LEN(keys));
    tcase_add_loop_test(tc, the_band_is_that_of_the_requests_prompt_where_the_answer_sent_none, 0,
                        2);
    tcase_add_loop_test(tc, the_requests_provider_says_whether_the_prompt_excludes_the_cache, 0, 2);
    tcase_add_test(tc, answers_of_one_line_add_up_and_others_stand_beside_it);
    tcase_add_test(tc, answers_by_more_models_than_a_row_has_room_for_keep_the_sum);
    tcase_add_loop_test(tc, answers_that_contradict_themselves_are_counted, 0, 2);
    tcase_add_loop_test(tc, reported_costs_add_up_and_zero_is_one, 0, 2);
    tcase_add_loop_test(tc, a_replay_counts_no_usage_and_what_it_joins_again_is_whole, 0, 2);
    Suite *suite = suite_create("task_usage");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
