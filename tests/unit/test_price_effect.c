// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/price_effect.h"

#include <check.h>

static struct catalogue *before, *after;
static struct price_effects effects;

static void add(struct catalogue *c, int64_t version, const char *tenant, const char *model,
                int64_t input, int64_t output, int64_t discount_ppm)
{
    struct price_card card = {
        .version = version,
        .effective_from_us = INT64_MIN,
        .tenant = xstrdup(tenant),
        .provider = xstrdup(""),
        .model = xstrdup(model),
        .discount_ppm = discount_ppm,
        .lines = xcalloc(1, sizeof(card.lines[0])),
        .line_count = 1,
        .source = xstrdup(""),
    };
    card.lines[0].tier = xstrdup("");
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        card.lines[0].pusd[k] = PRICE_NONE;
    card.lines[0].pusd[PRICE_input] = input;
    card.lines[0].pusd[PRICE_output] = output;
    catalogue_add(c, &card);
}

static void setup(void)
{
    before = catalogue_new();
    after = catalogue_new();
    struct catalogue *both[] = {before, after};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        add(both[i], 1, "", "a", 10, 100, PRICE_NONE);
        add(both[i], 1, "", "B", 20, 200, PRICE_NONE);
        add(both[i], 1, "bolt", "a", PRICE_NONE, PRICE_NONE, 500000);
        add(both[i], 1, "corp", "a", 1, 1, PRICE_NONE);
    }
}

static void teardown(void)
{
    price_effects_free(&effects);
    catalogue_free(before);
    catalogue_free(after);
}

static struct price_use use(const char *tenant, const char *model, const char *asked,
                            const char *tier, int64_t requests, int64_t prompt, int64_t output)
{
    return (struct price_use){
        .tenant = str_of(tenant),
        .key = {.model = str_of(model), .asked = str_of(asked), .tier = str_of(tier)},
        .sum = {.requests = requests,
                .uncached_prompt_tokens = prompt,
                .completion_tokens = output},
    };
}

static void make(const struct price_use *uses, size_t n)
{
    struct price_side sides[] = {{before, INT64_MAX, 0}, {after, INT64_MAX, 0}};
    price_effects_free(&effects);
    price_effects_make(uses, n, &sides[0], &sides[1], &effects);
}

static void assert_effect(const char *tenant, const char *model, int64_t requests, int64_t tokens,
                          int64_t cost_before, int64_t cost_after)
{
    const struct price_effect *e = price_effects_of(&effects, tenant, model);
    ck_assert_ptr_nonnull(e);
    ck_assert_int_eq(e->requests, requests);
    ck_assert_int_eq(e->tokens, tokens);
    ck_assert(e->before.estimated == cost_before);
    ck_assert(e->after.estimated == cost_after);
}

START_TEST(usage_is_told_by_the_card_that_prices_it_after)
{
    add(after, 2, "", "a", 11, 100, PRICE_NONE);
    add(after, 2, "", "a-2026-01-01", 30, 300, PRICE_NONE);
    add(after, 2, "", "new", 5, 5, PRICE_NONE);
    struct price_use uses[] = {
        use("acme", "new", "", "", 1, 100, 10), // had no price
        use("acme", "a", "", "", 2, 1000, 10),       use("acme", "openai/a", "", "", 4, 1, 1),
        use("bolt", "A", "", "", 8, 1000, 10),       use("corp", "a", "", "", 16, 1, 1),
        use("acme", "b", "", "", 32, 1, 1),          use("acme", "a-2026-01-01", "", "", 64, 1, 1),
        use("acme", "nonesuch", "b", "", 128, 1, 1), use("acme", "nonesuch", "", "", 256, 1, 1),
    };
    make(uses, ARRAY_LEN(uses));
    ck_assert_uint_eq(effects.n, 6);
    // Half of 10 and of 100 is what bolt pays, and half of 11, rounded up.
    assert_effect("", "a", 14, 2022, 11000 + 110 + 5500, 12000 + 111 + 6500);
    assert_effect("", "A", 14, 2022, 11000 + 110 + 5500, 12000 + 111 + 6500);
    assert_effect("corp", "a", 16, 2, 2, 2);
    assert_effect("", "b", 32 + 128, 4, 440, 440);
    assert_effect("", "a-2026-01-01", 64, 2, 110, 330);
    assert_effect("", "new", 1, 110, 0, 550);
    assert_effect("", "", 256, 2, 0, 0);
    ck_assert_ptr_null(price_effects_of(&effects, "acme", "a"));
    ck_assert_ptr_null(price_effects_of(&effects, "", "nonesuch"));
    ck_assert_int_eq(price_effects_of(&effects, "", "new")->before.unpriced_requests, 1);
    ck_assert_int_eq(price_effects_of(&effects, "", "new")->after.unpriced_requests, 0);
    ck_assert_int_eq(effects.total.requests, 511);
    ck_assert_int_eq(effects.total.before.unpriced_tokens, 112);
    ck_assert_int_eq(effects.total.after.unpriced_tokens, 2);
    ck_assert(effects.total.before.estimated == 16610 + 2 + 440 + 110);
    ck_assert(effects.total.after.estimated == 18611 + 2 + 440 + 330 + 550);
}
END_TEST

START_TEST(what_loses_its_price_is_told_by_the_card_that_it_had)
{
    struct price_use uses[] = {use("acme", "a", "", "", 3, 10, 1),
                               use("acme", "a", "", "batch", 5, 1, 1)};
    struct price_side sides[] = {{before, INT64_MAX, 0}, {after, 0, 0}};
    price_effects_make(uses, ARRAY_LEN(uses), &sides[0], &sides[1], &effects);
    assert_effect("", "a", 8, 13, 200, 0);
    // A tier that the card does not know has no price before either.
    ck_assert_int_eq(effects.total.before.unpriced_requests, 5);
    ck_assert_int_eq(effects.total.after.unpriced_requests, 8);
}
END_TEST

START_TEST(what_was_guessed_is_counted)
{
    add(before, 1, "", "*", 7, 7, PRICE_NONE);
    add(after, 1, "", "*", 7, 7, PRICE_NONE);
    add(after, 2, "", "new", 5, 5, PRICE_NONE);
    struct price_use uses[] = {use("acme", "new", "", "", 3, 10, 1),
                               use("acme", "other", "", "", 5, 1, 1)};
    make(uses, ARRAY_LEN(uses));
    assert_effect("", "new", 3, 11, 77, 55);
    assert_effect("", "*", 5, 2, 14, 14);
    ck_assert_int_eq(effects.total.before.guessed_requests, 8);
    ck_assert_int_eq(effects.total.after.guessed_requests, 5);
}
END_TEST

START_TEST(all_is_at_the_instant_of_each_side)
{
    struct price_side sides[] = {{before, 0, 0}, {before, 1, 0}};
    struct price_use one = use("acme", "a", "", "", 1, 1, 1);
    price_effects_make(&one, 1, &sides[0], &sides[1], &effects);
    assert_effect("", "a", 1, 2, 0, 110);
}
END_TEST

START_TEST(nothing_used_is_nothing)
{
    make(NULL, 0);
    ck_assert_uint_eq(effects.n, 0);
    ck_assert(effects.total.before.estimated == 0 && effects.total.after.estimated == 0);
    ck_assert_ptr_null(price_effects_of(&effects, "", "a"));
}
END_TEST

START_TEST(sums_stay_at_their_bound)
{
    add(after, 2, "", "a", INT64_MAX, INT64_MAX, PRICE_NONE);
    struct price_use uses[] = {use("acme", "a", "", "", INT64_MAX, INT64_MAX, INT64_MAX),
                               use("acme", "a", "x", "", INT64_MAX, INT64_MAX, INT64_MAX)};
    make(uses, ARRAY_LEN(uses));
    ck_assert_int_eq(effects.total.requests, INT64_MAX);
    ck_assert_int_eq(effects.total.tokens, INT64_MAX);
    ck_assert(effects.total.after.estimated == MONEY_MAX);
    ck_assert(effects.total.before.estimated == 2 * money_times(INT64_MAX, 110));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("price_effect");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, usage_is_told_by_the_card_that_prices_it_after);
    tcase_add_test(tc, what_loses_its_price_is_told_by_the_card_that_it_had);
    tcase_add_test(tc, what_was_guessed_is_counted);
    tcase_add_test(tc, all_is_at_the_instant_of_each_side);
    tcase_add_test(tc, nothing_used_is_nothing);
    tcase_add_test(tc, sums_stay_at_their_bound);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
