// SPDX-License-Identifier: Apache-2.0
#include "common/core/usage.h"

#include <check.h>

#define A EVENT_ABSENT

// ---- classes ----

static const struct overlap {
    const char *what;
    struct {
        int64_t prompt, cached, write, write_1h, completion, reasoning;
    } sent;
    int64_t asked; // the request's own prompt_tokens
    bool excludes_cached;
    struct {
        int64_t uncached, cached, write_5m, write_1h, completion, reasoning;
    } want;
    bool clamped;
} overlaps[] = {
    {"nothing sent", {A, A, A, A, A, A}, A, false, {0, 0, 0, 0, 0, 0}, false},
    {"nothing sent, cache beside", {A, A, A, A, A, A}, A, true, {0, 0, 0, 0, 0, 0}, false},
    {"zeros", {0, 0, 0, 0, 0, 0}, 9, false, {0, 0, 0, 0, 0, 0}, false},
    {"the plain case", {100, A, A, A, 20, A}, A, false, {100, 0, 0, 0, 20, 0}, false},

    {"the request's prompt", {A, A, A, A, 20, A}, 70, false, {70, 0, 0, 0, 20, 0}, false},
    {"the answer's goes first", {60, A, A, A, 20, A}, 70, false, {60, 0, 0, 0, 20, 0}, false},
    {"even where it is zero", {0, A, A, A, 20, A}, 70, false, {0, 0, 0, 0, 20, 0}, false},
    {"cached of the request's", {A, 30, A, A, A, A}, 70, false, {40, 30, 0, 0, 0, 0}, false},

    {"cached is of the prompt", {100, 30, A, A, A, A}, A, false, {70, 30, 0, 0, 0, 0}, false},
    {"all of it", {100, 100, A, A, A, A}, A, false, {0, 100, 0, 0, 0, 0}, false},
    {"more than it", {100, 101, A, A, A, A}, A, false, {0, 101, 0, 0, 0, 0}, true},
    {"more than zero", {0, 1, A, A, A, A}, A, false, {0, 1, 0, 0, 0, 0}, true},
    {"more than the request's", {A, 71, A, A, A, A}, 70, false, {0, 71, 0, 0, 0, 0}, true},
    {"of an unknown prompt", {A, 30, A, A, A, A}, A, false, {0, 30, 0, 0, 0, 0}, false},
    {"written is of the prompt", {100, A, 30, A, A, A}, A, false, {70, 0, 30, 0, 0, 0}, false},
    {"so are both", {100, 30, 20, A, A, A}, A, false, {50, 30, 20, 0, 0, 0}, false},
    {"together all of it", {50, 30, 20, A, A, A}, A, false, {0, 30, 20, 0, 0, 0}, false},
    {"together more", {49, 30, 20, A, A, A}, A, false, {0, 30, 20, 0, 0, 0}, true},

    {"cache beside the prompt", {100, 30, 20, A, A, A}, A, true, {100, 30, 20, 0, 0, 0}, false},
    {"and larger than it", {10, 300, 200, 50, A, A}, A, true, {10, 300, 150, 50, 0, 0}, false},
    {"and no prompt", {A, 300, A, A, A, A}, A, true, {0, 300, 0, 0, 0, 0}, false},
    {"and the request's", {A, 300, A, A, A, A}, 7, true, {7, 300, 0, 0, 0, 0}, false},

    {"1 h is of written", {100, A, 30, 10, A, A}, A, false, {70, 0, 20, 10, 0, 0}, false},
    {"all of it is", {100, A, 30, 30, A, A}, A, false, {70, 0, 0, 30, 0, 0}, false},
    {"more than it", {100, A, 30, 31, A, A}, A, false, {69, 0, 0, 31, 0, 0}, true},
    {"1 h alone", {100, A, A, 10, A, A}, A, false, {90, 0, 0, 10, 0, 0}, false},
    {"1 h alone, more than the prompt", {9, A, A, 10, A, A}, A, false, {0, 0, 0, 10, 0, 0}, true},
    {"1 h of zero written", {100, A, 0, 1, A, A}, A, false, {99, 0, 0, 1, 0, 0}, true},
    {"1 h too large beside", {100, A, 30, 31, A, A}, A, true, {100, 0, 0, 31, 0, 0}, true},

    {"reasoning is of the completion", {A, A, A, A, 50, 20}, A, false, {0, 0, 0, 0, 50, 20}, false},
    {"all of it", {A, A, A, A, 50, 50}, A, false, {0, 0, 0, 0, 50, 50}, false},
    {"more than it", {A, A, A, A, 50, 51}, A, false, {0, 0, 0, 0, 51, 51}, true},
    {"of an unknown completion", {A, A, A, A, A, 20}, A, false, {0, 0, 0, 0, 20, 20}, false},
    {"with any provider", {A, A, A, A, 50, 51}, A, true, {0, 0, 0, 0, 51, 51}, true},

    {"the greatest of all",
     {EVENT_MAX_TOKENS, EVENT_MAX_TOKENS, EVENT_MAX_TOKENS, EVENT_MAX_TOKENS, EVENT_MAX_TOKENS,
      EVENT_MAX_TOKENS},
     EVENT_MAX_TOKENS,
     false,
     {0, EVENT_MAX_TOKENS, 0, EVENT_MAX_TOKENS, EVENT_MAX_TOKENS, EVENT_MAX_TOKENS},
     true},
};

START_TEST(splits_an_answers_tokens_into_classes)
{
    const struct overlap *c = &overlaps[_i];
    struct event answer = {
        .kind = EVENT_RESPONSE,
        .prompt_tokens = c->sent.prompt,
        .cached_prompt_tokens = c->sent.cached,
        .cache_write_tokens = c->sent.write,
        .cache_write_1h_tokens = c->sent.write_1h,
        .completion_tokens = c->sent.completion,
        .reasoning_tokens = c->sent.reasoning,
    };
    struct usage u;
    bool clamped = usage_of_answer(&answer, c->asked, c->excludes_cached, &u);
    ck_assert_msg(clamped == c->clamped, "%s", c->what);
    ck_assert_int_eq(u.requests, 1);
    ck_assert_msg(
        u.uncached_prompt_tokens == c->want.uncached && u.cached_prompt_tokens == c->want.cached &&
            u.cache_write_5m_tokens == c->want.write_5m &&
            u.cache_write_1h_tokens == c->want.write_1h &&
            u.completion_tokens == c->want.completion && u.reasoning_tokens == c->want.reasoning,
        "%s: %lld %lld %lld %lld %lld %lld", c->what, (long long)u.uncached_prompt_tokens,
        (long long)u.cached_prompt_tokens, (long long)u.cache_write_5m_tokens,
        (long long)u.cache_write_1h_tokens, (long long)u.completion_tokens,
        (long long)u.reasoning_tokens);
    // The sum of the parts is the whole that was sent, but for a clamp.
    if (!clamped && !c->excludes_cached && c->sent.prompt != A)
        ck_assert_int_eq(usage_prompt_tokens(&u), c->sent.prompt);
}
END_TEST

static const struct {
    const char *provider;
    bool excludes;
} providers[] = {
    {"anthropic", true},
    {"Anthropic", true},
    {"ANTHROPIC", true},
    {"aws.bedrock", true},
    {"aws_bedrock", true},
    {"amazon_bedrock", true},
    {"bedrock", true},
    {"Bedrock", true},
    {"openai", false},
    {"azure.ai.openai", false},
    {"gcp.vertex_ai", false},
    {"gcp.gemini", false},
    {"anthropi", false},
    {"anthropic ", false},
    {"anthropic2", false},
    {"xanthropic", false},
    {"aws-bedrock", false},
    {"", false},
    {NULL, false},
};

START_TEST(knows_the_providers_whose_prompt_excludes_the_cache)
{
    ck_assert_msg(usage_excludes_cached(str_of(providers[_i].provider)) == providers[_i].excludes,
                  "%s", providers[_i].provider);
}
END_TEST

START_TEST(compares_providers_within_their_bytes)
{
    ck_assert(usage_excludes_cached((struct str){"anthropic-and-more", 9}));
    ck_assert(!usage_excludes_cached((struct str){"anthropic", 8}));
}
END_TEST

// ---- sums ----

START_TEST(adds_every_member_and_saturates)
{
    struct usage a = {0}, b = {.requests = 1};
    int64_t n = 2;
#define FILL(name) b.name = n++;
    USAGE_CLASSES(FILL)
#undef FILL
    usage_add(&a, &b);
    usage_add(&a, &b);
    ck_assert_int_eq(a.requests, 2);
    n = 2;
#define EQUAL(name) ck_assert_int_eq(a.name, 2 * n++);
    USAGE_CLASSES(EQUAL)
#undef EQUAL
    ck_assert_uint_eq(sizeof(a), (size_t)(n - 1) * sizeof(int64_t)); // and nothing else
    b.requests = INT64_MAX - 1;
#define FILL(name) b.name = INT64_MAX - 1;
    USAGE_CLASSES(FILL)
#undef FILL
    usage_add(&a, &b);
    ck_assert_int_eq(a.requests, INT64_MAX);
#define EQUAL(name) ck_assert_int_eq(a.name, INT64_MAX);
    USAGE_CLASSES(EQUAL)
#undef EQUAL
    ck_assert_int_eq(usage_prompt_tokens(&a), INT64_MAX);
    ck_assert_int_eq(usage_tokens(&a), INT64_MAX);
}
END_TEST

START_TEST(prompt_tokens_are_of_every_class_but_the_completion)
{
    const struct usage u = {7, 1, 20, 300, 4000, 50000, 40000};
    ck_assert_int_eq(usage_prompt_tokens(&u), 4321);
    ck_assert_int_eq(usage_tokens(&u), 54321); // reasoning is a part of the completion
}
END_TEST

// ---- bands ----

static const int64_t bounds[] = {32000, 100000, 128000, 200000, 256000, 272000, 512000, 1000000};

START_TEST(a_band_begins_above_its_number)
{
    int64_t below = _i > 0 ? bounds[_i - 1] : 0;
    struct usage u = {.uncached_prompt_tokens = bounds[_i], .completion_tokens = 5000000};
    ck_assert_int_eq(usage_context_above(&u), below);
    u.uncached_prompt_tokens -= 3; // of whatever class the prompt's tokens are
    u.cached_prompt_tokens = u.cache_write_5m_tokens = u.cache_write_1h_tokens = 1;
    ck_assert_int_eq(usage_context_above(&u), below);
    u.cached_prompt_tokens = 2;
    ck_assert_int_eq(usage_context_above(&u), bounds[_i]);
    ck_assert(usage_is_band(bounds[_i]));
    ck_assert(!usage_is_band(bounds[_i] - 1));
    ck_assert(!usage_is_band(bounds[_i] + 1));
}
END_TEST

START_TEST(nothing_and_everything_have_a_band)
{
    struct usage u = {0};
    ck_assert_int_eq(usage_context_above(&u), 0);
    u.cached_prompt_tokens = INT64_MAX;
    ck_assert_int_eq(usage_context_above(&u), 1000000);
    ck_assert(usage_is_band(0));
    ck_assert(!usage_is_band(-1));
    ck_assert(!usage_is_band(64000));
    ck_assert(!usage_is_band(INT64_MAX));
    // The list above is the one that others read.
    static const int64_t all[] = USAGE_BANDS;
    ck_assert_uint_eq(sizeof(all), sizeof(bounds));
    ck_assert_mem_eq(all, bounds, sizeof(all));
}
END_TEST

// ---- tiers ----

static const struct {
    const char *sent, *tier;
} tiers[] = {
    {NULL, ""},
    {"auto", ""},
    {"default", ""},
    {"standard", ""},
    {"on_demand", ""},
    {"Default", ""},
    {"STANDARD", ""},
    {"flex", "flex"},
    {"Priority", "priority"},
    {"BATCH", "batch"},
    {"defaults", "defaults"},
    {"defaul", "defaul"},
    {" default", " default"},
    {"\xc3\x89t\xc3\xa9", "\xc3\x89t\xc3\xa9"}, // only ASCII is folded
};

START_TEST(tiers_are_lower_case_and_the_standard_one_is_empty)
{
    char scratch[EVENT_NAME_MAX];
    struct str got = usage_tier(str_of(tiers[_i].sent), scratch);
    ck_assert_msg(str_eq(got, str_of(tiers[_i].tier)), "%s gave %.*s", tiers[_i].sent, (int)got.n,
                  got.p);
    ck_assert_ptr_nonnull(got.p);
}
END_TEST

START_TEST(the_longest_tier_fits)
{
    char sent[EVENT_NAME_MAX], scratch[EVENT_NAME_MAX], want[EVENT_NAME_MAX];
    memset(sent, 'X', sizeof(sent));
    memset(want, 'x', sizeof(want));
    struct str got = usage_tier((struct str){sent, sizeof(sent)}, scratch);
    ck_assert(str_eq(got, (struct str){want, sizeof(want)}));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("usage");
    tcase_add_loop_test(tc, splits_an_answers_tokens_into_classes, 0, ARRAY_LEN(overlaps));
    tcase_add_loop_test(tc, knows_the_providers_whose_prompt_excludes_the_cache, 0,
                        ARRAY_LEN(providers));
    tcase_add_test(tc, compares_providers_within_their_bytes);
    tcase_add_test(tc, adds_every_member_and_saturates);
    tcase_add_test(tc, prompt_tokens_are_of_every_class_but_the_completion);
    tcase_add_loop_test(tc, a_band_begins_above_its_number, 0, ARRAY_LEN(bounds));
    tcase_add_test(tc, nothing_and_everything_have_a_band);
    tcase_add_loop_test(tc, tiers_are_lower_case_and_the_standard_one_is_empty, 0,
                        ARRAY_LEN(tiers));
    tcase_add_test(tc, the_longest_tier_fits);
    Suite *suite = suite_create("usage");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
