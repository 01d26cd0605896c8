// SPDX-License-Identifier: Apache-2.0
// What usage costs, once its card is found; and the cards themselves.
#include "tests/unit/price_case.h"

static struct catalogue *c;

static void setup(void)
{
    c = catalogue_new();
}

static void teardown(void)
{
    catalogue_free(c);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

// ---- lines, classes ----

START_TEST(a_class_without_a_price_falls_back)
{
    static const struct {
        struct case_line line;
        int64_t want[PRICE_CLASS_COUNT];
    } cases[] = {
        {{.pusd = {[PRICE_input] = 4, [PRICE_output] = 8}}, {4, 4, 4, 4, 8, 8, 0}},
        {{.pusd = {4, 1, 5, 6, 8, 9, 10}}, {4, 1, 5, 6, 8, 9, 10}},
        {{.pusd = {4, FREE, FREE, FREE, 8, FREE, FREE}}, {4, 0, 0, 0, 8, 0, 0}},
        {{.pusd = {[PRICE_input] = 4, [PRICE_cache_write_5m] = 5, [PRICE_output] = 8}},
         {4, 4, 5, 5, 8, 8, 0}},
        {{.pusd = {[PRICE_input] = 4, [PRICE_cache_write_1h] = 6, [PRICE_output] = 8}},
         {4, 4, 4, 6, 8, 8, 0}},
        {{.pusd = {[PRICE_request] = 7}}, {0, 0, 0, 0, 0, 0, 7}},
        {{.pusd = {[PRICE_reasoning] = 3, [PRICE_request] = 7}}, {0, 0, 0, 0, 0, 3, 7}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct case_card from = {.model = "m", .line = {cases[i].line}};
        struct price_card card = card_of(&from);
        struct price_hit hit = {.card = &card};
        for (int k = 0; k < PRICE_CLASS_COUNT; k++)
            ck_assert_msg(price_of(&hit, &card.lines[0], (enum price_class)k) == cases[i].want[k],
                          "case %zu, class %d", i, k);
        price_card_clear(&card);
    }
}
END_TEST

START_TEST(a_line_is_found_by_tier_and_the_band_below)
{
    ADD(c, 1, .model = "m",
        .line = {{.pusd = {1, 0, 0, 0, 1}},
                 {.above = 32000, .pusd = {2, 0, 0, 0, 2}},
                 {.above = 200000, .pusd = {3, 0, 0, 0, 3}},
                 {.tier = "batch", .pusd = {4, 0, 0, 0, 4}},
                 {.tier = "flex", .above = 200000, .pusd = {5, 0, 0, 0, 5}}});
    static const struct {
        const char *tier;
        int64_t above, want; // 0: no line
    } cases[] = {
        {"", 0, 1},          {"", 32000, 2},     {"", 128000, 2},       {"", 200000, 3},
        {"", 1000000, 3},    {"batch", 0, 4},    {"batch", 1000000, 4}, {"flex", 128000, 0},
        {"flex", 200000, 5}, {"priority", 0, 0}, {"batc", 0, 0},        {"BATCH", 0, 0}};
    const struct price_card *card = catalogue_card(c, 1, 0, str_of(""), str_of("m"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct price_line *line = price_line_for(card, str_of(cases[i].tier), cases[i].above);
        ck_assert_msg((line ? line->pusd[PRICE_input] : 0) == cases[i].want, "case %zu", i);
    }
}
END_TEST

START_TEST(discounted_prices_are_rounded_half_up)
{
    static const struct {
        int64_t price, off_ppm, want;
    } cases[] = {
        {1, 500000, 1},        // 0.5
        {1, 500001, 0},        // 0.499999
        {3, 500000, 2},        // 1.5
        {5, 300000, 4},        // 3.5
        {5, 300001, 3},        // 3.499995
        {7, 1000000, 0},       // free
        {7, FREE, 7},          // no discount
        {2500000, 1, 2499998}, // 2499997.5
        {INT64_MAX, 1, 9223362813482738952},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct catalogue *one = catalogue_new();
        ADD(one, 1, .model = "m", .line = INPUT_OUTPUT(cases[i].price, cases[i].price));
        ADD(one, 1, .tenant = "t", .model = "m", .off_ppm = cases[i].off_ppm);
        struct price_hit hit = catalogue_resolve(one, 1, 0, str_of("t"), str_of("m"), str_of(""));
        ck_assert_int_eq(price_of(&hit, &hit.card->lines[0], PRICE_input), cases[i].want);
        catalogue_free(one);
    }
}
END_TEST

START_TEST(a_tenants_fee_is_added_to_everybodys_after_the_discount)
{
    ADD(c, 1, .model = "m",
        .line = {{.pusd = {[PRICE_input] = 10, [PRICE_output] = 10, [PRICE_request] = 1000}}});
    ADD(c, 1, .tenant = "t", .model = "m", .off_ppm = 100000,
        .line = {{.pusd = {[PRICE_request] = 5}}});
    struct price_hit hit = catalogue_resolve(c, 1, 0, str_of("t"), str_of("m"), str_of(""));
    ck_assert_int_eq(price_of(&hit, &hit.card->lines[0], PRICE_request), 905);
    ck_assert_int_eq(price_of(&hit, &hit.card->lines[0], PRICE_output), 9);
    hit = catalogue_resolve(c, 1, 0, str_of(""), str_of("m"), str_of(""));
    ck_assert_int_eq(price_of(&hit, &hit.card->lines[0], PRICE_request), 1000);
}
END_TEST

// ---- costs ----

static struct cost cost(const char *tenant, const char *model, const char *tier, int64_t above,
                        const struct usage *u)
{
    struct cost sum = {0};
    const struct usage_key key = {str_of(model), str_of(""), str_of(tier), above};
    cost_add_usage(&sum, c, catalogue_version(c), 0, str_of(tenant), &key, u);
    return sum;
}

static void assert_cost(struct cost got, const char *usd, int64_t unpriced_requests,
                        int64_t unpriced_tokens, int64_t guessed_requests)
{
    struct buf text = {0};
    money_add_decimal(&text, got.estimated);
    char *estimated = buf_steal(&text);
    ck_assert_str_eq(estimated, usd);
    free(estimated);
    ck_assert_int_eq(got.unpriced_requests, unpriced_requests);
    ck_assert_int_eq(got.unpriced_tokens, unpriced_tokens);
    ck_assert_int_eq(got.guessed_requests, guessed_requests);
}

static const struct usage some_usage = {.requests = 3,
                                        .uncached_prompt_tokens = 1000,
                                        .cached_prompt_tokens = 200,
                                        .cache_write_5m_tokens = 30,
                                        .cache_write_1h_tokens = 4,
                                        .completion_tokens = 500,
                                        .reasoning_tokens = 60};

START_TEST(a_cost_is_the_sum_of_its_classes)
{
    ADD(c, 1, .model = "m",
        .line = {{.pusd = {1000000, 100000, 1250000, 2000000, 5000000, 7000000, 30}}});
    // 1000·1 + 200·0.1 + 30·1.25 + 4·2 + 440·5 + 60·7 µUSD, and 3·30 pUSD
    struct cost got = cost("", "m", "", 0, &some_usage);
    assert_cost(got, "0.00368550009", 0, 0, 0);
    static const int64_t want[PRICE_CLASS_COUNT] = {1000000000, 20000000,  37500000, 8000000,
                                                    2200000000, 420000000, 90};
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        ck_assert_msg(got.classes[k] == want[k], "class %d", k);
}
END_TEST

START_TEST(caches_save_against_the_price_of_input)
{
    static const struct {
        struct case_line line;
        int64_t off_ppm;      // the tenant's, or 0
        int64_t read, m5, h1; // tokens
        int64_t want;
    } cases[] = {
        {{.pusd = {1000, 100, 1250, 2000, 5000}}, 0, 200, 0, 0, 180000},
        {{.pusd = {1000, 100, 1250, 2000, 5000}}, 0, 200, 30, 4, 168500},
        // Written, and hardly read: dearer than without a cache.
        {{.pusd = {1000, 100, 1250, 2000, 5000}}, 0, 1, 30, 4, -10600},
        {{.pusd = {1000, 100, 1250, 2000, 5000}}, 0, 0, 0, 4, -4000},
        // A class without a price costs as input, or as writing for 5 minutes.
        {{.pusd = {[PRICE_input] = 1000, [PRICE_output] = 5000}}, 0, 200, 30, 4, 0},
        {{.pusd = {1000, 0, 1250, 0, 5000}}, 0, 200, 30, 4, -8500},
        {{.pusd = {1000, FREE, 0, 0, 5000}}, 0, 200, 30, 4, 200000},
        // Of what the tenant pays: 2.5 and 1.5, each rounded half up.
        {{.pusd = {1000, 100, 1250, 2000, 5000}}, 100000, 200, 30, 4, 151650},
        {{.pusd = {5, 3, 0, 0, 5}}, 500000, 200, 30, 4, 200},
        {{.pusd = {1000, 100, 1250, 2000, 5000}}, 1000000, 200, 30, 4, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct case_card card = {.model = "m", .line = {cases[i].line}};
        const struct usage u = {.requests = 1,
                                .uncached_prompt_tokens = 77,
                                .cached_prompt_tokens = cases[i].read,
                                .cache_write_5m_tokens = cases[i].m5,
                                .cache_write_1h_tokens = cases[i].h1,
                                .completion_tokens = 9};
        catalogue_free(c);
        c = catalogue_new();
        add_card(c, 1, &card);
        if (cases[i].off_ppm > 0)
            ADD(c, 1, .tenant = "t", .model = "m", .off_ppm = cases[i].off_ppm);
        struct cost got = cost("t", "m", "", 0, &u);
        ck_assert_msg(got.cache_savings == cases[i].want, "case %zu: %lld", i,
                      (long long)got.cache_savings);
    }
    // What has no price saves nothing.
    ck_assert(cost("t", "unheard-of", "", 0, &some_usage).cache_savings == 0);
    ck_assert(cost("t", "m", "turbo", 0, &some_usage).cache_savings == 0);
}
END_TEST

START_TEST(a_row_keeps_of_classes_and_savings_what_64_bits_hold)
{
    const money most = INT64_MAX;
    struct cost at = {5, {most, -most}, -most, 1, 2, 3}, kept = at;
    cost_bound(&kept);
    ck_assert(cost_eq(&kept, &at));
    struct cost beyond = {MONEY_MAX, {most + 1, -most - 1, [PRICE_request] = MONEY_MAX}, 0, 1, 2,
                          3};
    for (int sign = -1; sign <= 1; sign += 2) {
        kept = beyond;
        kept.cache_savings = sign * (most + 1);
        cost_bound(&kept);
        ck_assert(kept.classes[0] == most && kept.classes[1] == -most);
        ck_assert(kept.classes[PRICE_request] == most && kept.cache_savings == sign * most);
        ck_assert(kept.estimated == MONEY_MAX && kept.unpriced_tokens == 2);
    }
}
END_TEST

START_TEST(what_has_no_price_is_counted_and_costs_nothing)
{
    ADD(c, 1, .model = "gpt-4o", .line = INPUT_OUTPUT(2500000, 10000000));
    assert_cost(cost("", "unheard-of", "", 0, &some_usage), "0", 3, 1734, 0);
    assert_cost(cost("", "gpt-4o", "turbo", 0, &some_usage), "0", 3, 1734, 0);
    assert_cost(cost("", USAGE_OTHER, "", 0, &some_usage), "0", 3, 1734, 0);
    struct cost sum = {0};
    const struct usage_key other = {str_of(USAGE_OTHER), str_of("gpt-4o"), str_of(""), 0};
    cost_add_usage(&sum, c, 1, 0, str_of(""), &other, &some_usage);
    assert_cost(sum, "0", 3, 1734, 0);
}
END_TEST

START_TEST(what_is_guessed_is_counted_and_costs)
{
    ADD(c, 1, .model = "*", .line = INPUT_OUTPUT(10000000, 30000000));
    assert_cost(cost("", "unheard-of", "", 0, &some_usage), "0.02734", 0, 0, 3);
    assert_cost(cost("", USAGE_OTHER, "", 0, &some_usage), "0", 3, 1734, 0);
    assert_cost(cost("", "unheard-of", "turbo", 0, &some_usage), "0", 3, 1734, 0);
}
END_TEST

START_TEST(a_row_is_priced_as_of_its_version_and_minute)
{
    ADD(c, 1, .model = "m", .from_us = EVER, .line = INPUT_OUTPUT(1000000, 1000000));
    ADD(c, 2, .model = "m", .from_us = MINUTE(10), .line = INPUT_OUTPUT(2000000, 2000000));
    const struct usage u = {.requests = 1, .uncached_prompt_tokens = 1000000};
    static const struct {
        int64_t version, at_us;
        const char *usd;
    } cases[] = {{1, MINUTE(10), "1"}, {2, MINUTE(9), "1"}, {2, MINUTE(10), "2"}, {0, 0, "0"}};
    const struct usage_key key = {str_of("m"), str_of(""), str_of(""), 0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cost sum = {0};
        cost_add_usage(&sum, c, cases[i].version, cases[i].at_us, str_of(""), &key, &u);
        assert_cost(sum, cases[i].usd, cases[i].version == 0, cases[i].version == 0 ? 1000000 : 0,
                    0);
    }
}
END_TEST

START_TEST(the_largest_costs_are_exact_and_the_sum_stays_in_bounds)
{
    const int64_t most = INT64_MAX;
    ADD(c, 1, .model = "m", .line = INPUT_OUTPUT(most, most));
    const struct usage one = {.requests = 1, .uncached_prompt_tokens = most};
    // (2^63 - 1)^2 picodollars
    assert_cost(cost("", "m", "", 0, &one), "85070591730234615847396907.784232501249", 0, 0, 0);
    const struct usage all = {.requests = 1,
                              .uncached_prompt_tokens = most,
                              .cached_prompt_tokens = most,
                              .cache_write_5m_tokens = most,
                              .completion_tokens = most};
    assert_cost(cost("", "m", "", 0, &all), "99999999999999999999999999.999999999999", 0, 0, 0);
    assert_cost(cost("", "gone", "", 0, &all), "0", 1, most, 0);
    struct cost sum = cost("", "gone", "", 0, &all);
    struct cost more = sum;
    cost_add(&sum, &more);
    ck_assert_int_eq(sum.unpriced_tokens, most);
    ck_assert_int_eq(sum.unpriced_requests, 2);
    ADD(c, 1, .tenant = "t", .model = "m", .off_ppm = FREE,
        .line = {{.pusd = {[PRICE_request] = most}}});
    ADD(c, 1, .model = "fee", .line = {{.pusd = {[PRICE_request] = most}}});
    ADD(c, 1, .tenant = "t", .model = "fee", .off_ppm = FREE,
        .line = {{.pusd = {[PRICE_request] = most}}});
    struct price_hit hit = catalogue_resolve(c, 1, 0, str_of("t"), str_of("fee"), str_of(""));
    ck_assert_int_eq(price_of(&hit, &hit.card->lines[0], PRICE_request), most);
}
END_TEST

START_TEST(costs_are_added_and_subtracted)
{
    struct cost a = {5, {2, [PRICE_request] = 3}, 4, 1, 2, 3};
    struct cost b = {7, {3, [PRICE_request] = 4}, -6, 10, 20, 30}, before = a;
    cost_subtract(&a, &b);
    assert_cost(a, "-0.000000000002", -9, -18, -27);
    ck_assert_int_eq((int)a.classes[0], -1);
    ck_assert_int_eq((int)a.classes[PRICE_request], -1);
    ck_assert_int_eq((int)a.cache_savings, 10);
    ck_assert(!cost_eq(&a, &before));
    cost_add(&a, &b);
    assert_cost(a, "0.000000000005", 1, 2, 3);
    ck_assert(cost_eq(&a, &before));
    struct cost low = {-MONEY_MAX, {0}, 0, -INT64_MAX, -INT64_MAX, -INT64_MAX};
    cost_subtract(&low, &b);
    ck_assert(low.estimated == -MONEY_MAX);
    ck_assert_int_eq(low.unpriced_tokens, -INT64_MAX);
}
END_TEST

static void random_prices(uint64_t *seed, struct case_line *line)
{
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        line->pusd[k] = 1 + (int64_t)(next_random(seed) % 2000000000);
    if (next_random(seed) % 2)
        line->pusd[PRICE_cache_write_1h] = 0;
}

static struct usage random_usage(uint64_t *seed)
{
    struct usage u = {.requests = 1};
#define RANDOM_TOKENS(name) u.name = (int64_t)(next_random(seed) % 1000000);
    USAGE_CLASSES(RANDOM_TOKENS)
#undef RANDOM_TOKENS
    u.completion_tokens += u.reasoning_tokens;
    return u;
}

START_TEST(parts_cost_together_what_the_whole_costs)
{
    uint64_t seed = (uint64_t)_i;
    struct case_card card = {.model = "m", .line = {{.tier = ""}, {.tier = "batch"}}};
    card.line[0].tier = NULL;
    random_prices(&seed, &card.line[0]);
    random_prices(&seed, &card.line[1]);
    add_card(c, 1, &card);
    ADD(c, 1, .tenant = "t", .model = "m", .off_ppm = (int64_t)(next_random(&seed) % 1000000) + 1,
        .line = {{.pusd = {[PRICE_request] = 12345}}});
    static const char *const tenants[] = {"", "t"}, *const tiers[] = {"", "batch", "unknown"};
    for (size_t i = 0; i < 6; i++) {
        struct usage whole = {0};
        struct cost parts = {0};
        for (uint64_t n = next_random(&seed) % 20; n > 0; n--) {
            struct usage part = random_usage(&seed);
            struct cost of_part = cost(tenants[i % 2], "m", tiers[i / 2], 0, &part);
            usage_add(&whole, &part);
            cost_add(&parts, &of_part);
        }
        struct cost of_whole = cost(tenants[i % 2], "m", tiers[i / 2], 0, &whole);
        ck_assert(cost_eq(&of_whole, &parts));
        money classes = 0;
        for (int k = 0; k < PRICE_CLASS_COUNT; k++)
            classes += of_whole.classes[k];
        ck_assert(classes == of_whole.estimated);
    }
}
END_TEST

// ---- cards ----

START_TEST(a_copied_card_is_its_own)
{
    struct case_card from = {.tenant = "t", .model = "m", .alias = "a", .line = INPUT_OUTPUT(3, 4)};
    struct price_card card = card_of(&from), copy;
    price_card_copy(&copy, &card);
    price_card_clear(&card);
    ck_assert_str_eq(copy.tenant, "t");
    ck_assert_str_eq(copy.aliases[0], "a");
    ck_assert_str_eq(copy.lines[0].tier, "");
    ck_assert_int_eq(copy.lines[0].pusd[PRICE_output], 4);
    ck_assert_str_eq(copy.as_of, "2026-01-31");
    price_card_clear(&copy);
    ck_assert_ptr_null(copy.model);
}
END_TEST

static const struct {
    const char *column; // NULL: the card is good
    struct case_card card;
} checked[] = {
    {NULL, {.model = "m", .line = INPUT_OUTPUT(1, 1)}},
    {NULL, {.model = "m", .line = INPUT_OUTPUT(FREE, FREE)}},
    {NULL, {.model = "m", .line = {{.pusd = {[PRICE_request] = 1}}}}},
    {NULL, {.model = "m", .line = {{.pusd = {[PRICE_request] = FREE}}}}},
    {"input", {.model = "m", .line = INPUT_OUTPUT(0, 1)}},
    {"output", {.model = "m", .line = INPUT_OUTPUT(1, 0)}},
    {"input", {.model = "m"}},
    {"reasoning", {.model = "m", .line = {{.pusd = {1, 0, 0, 0, 1, -3}}}}},
    {"model", {.model = "", .line = INPUT_OUTPUT(1, 1)}},
    {"model", {.model = "a\tb", .line = INPUT_OUTPUT(1, 1)}},
    {"model", {.model = "\xff", .line = INPUT_OUTPUT(1, 1)}},
    {"model", {.model = "__OTHER__", .line = INPUT_OUTPUT(1, 1)}},
    {"tenant", {.tenant = "\xc3", .model = "m", .line = INPUT_OUTPUT(1, 1)}},
    {"aliases", {.model = "m", .alias = "", .line = INPUT_OUTPUT(1, 1)}},
    {"aliases", {.model = "m", .alias = "a b", .line = INPUT_OUTPUT(1, 1)}},
    {"aliases", {.model = "m", .alias = "*", .line = INPUT_OUTPUT(1, 1)}},
    {"aliases", {.model = "m", .alias = USAGE_OTHER, .line = INPUT_OUTPUT(1, 1)}},
    {"aliases", {.model = "m", .alias = "M", .line = INPUT_OUTPUT(1, 1)}},
    {"aliases", {.model = "m", .alias = "a", .alias2 = "A", .line = INPUT_OUTPUT(1, 1)}},
    {NULL, {.model = "m", .alias = "a", .alias2 = "b", .line = INPUT_OUTPUT(1, 1)}},
    {NULL, {.model = "*", .line = INPUT_OUTPUT(1, 1)}},
    {"aliases", {.model = "*", .alias = "a", .line = INPUT_OUTPUT(1, 1)}},
    {"discount_percent", {.tenant = "t", .model = "*", .line = INPUT_OUTPUT(1, 1)}},
    {NULL, {.tenant = "t", .model = "*", .off_ppm = 1}},
    {NULL, {.tenant = "t", .model = "m", .off_ppm = FREE}},
    {NULL, {.tenant = "t", .model = "m", .off_ppm = 1000000}},
    {"discount_percent", {.tenant = "t", .model = "m", .off_ppm = 1000001}},
    {"discount_percent", {.tenant = "t", .model = "m", .off_ppm = -3}},
    {"discount_percent", {.model = "m", .off_ppm = 1}},
    {"output",
     {.tenant = "t", .model = "m", .off_ppm = 1, .line = {{.pusd = {[PRICE_output] = 1}}}}},
    {NULL, {.tenant = "t", .model = "m", .off_ppm = 1, .line = {{.pusd = {[PRICE_request] = 1}}}}},
    {"tier",
     {.tenant = "t", .model = "m", .off_ppm = 1, .line = {{.above = 0}, {.tier = "batch"}}}},
    {"above_tokens",
     {.tenant = "t", .model = "m", .off_ppm = 1, .line = {{.above = 0}, {.above = 32000}}}},
    {NULL, {.model = "m", .from_us = EVER, .line = INPUT_OUTPUT(1, 1)}},
    {NULL, {.model = "m", .from_us = MINUTE(-1), .line = INPUT_OUTPUT(1, 1)}},
    {"effective_from", {.model = "m", .from_us = US_PER_S, .line = INPUT_OUTPUT(1, 1)}},
    {"effective_from", {.model = "m", .from_us = INT64_MAX, .line = INPUT_OUTPUT(1, 1)}},
    {"tier", {.model = "m", .line = {{.tier = "batch", .pusd = {1, 0, 0, 0, 1}}}}},
    {"tier", {.model = "m", .line = {{.above = 32000, .pusd = {1, 0, 0, 0, 1}}}}},
    {"tier",
     {.model = "m",
      .line = {{.pusd = {1, 0, 0, 0, 1}}, {.tier = "Batch", .pusd = {1, 0, 0, 0, 1}}}}},
    {"tier",
     {.model = "m",
      .line = {{.pusd = {1, 0, 0, 0, 1}}, {.tier = "auto", .pusd = {1, 0, 0, 0, 1}}}}},
    {"above_tokens",
     {.model = "m",
      .line = {{.pusd = {1, 0, 0, 0, 1}}, {.above = 32001, .pusd = {1, 0, 0, 0, 1}}}}},
    {"above_tokens",
     {.model = "m", .line = {{.pusd = {1, 0, 0, 0, 1}}, {.above = -1, .pusd = {1, 0, 0, 0, 1}}}}},
    {"above_tokens",
     {.model = "m",
      .line = {{.pusd = {1, 0, 0, 0, 1}},
               {.tier = "batch", .pusd = {1, 0, 0, 0, 1}},
               {.tier = "batch", .pusd = {1, 0, 0, 0, 1}}}}},
    {"above_tokens",
     {.model = "m",
      .line = {{.pusd = {1, 0, 0, 0, 1}},
               {.tier = "flex", .pusd = {1, 0, 0, 0, 1}},
               {.tier = "batch", .pusd = {1, 0, 0, 0, 1}}}}},
};

START_TEST(a_card_is_checked)
{
    struct err e = {0};
    struct price_card card = card_of(&checked[_i].card);
    int rc = price_card_check(&card, &e);
    ck_assert_msg(rc == (checked[_i].column ? -1 : 0), "case %d: %s: %s", _i, e.field, e.detail);
    if (checked[_i].column) {
        ck_assert_msg(strcmp(e.field, checked[_i].column) == 0, "case %d: %s: %s", _i, e.field,
                      e.detail);
        ck_assert_uint_gt(strlen(e.detail), 10);
    }
    price_card_clear(&card);
}
END_TEST

START_TEST(a_card_has_at_most_100_aliases_and_100_lines)
{
    struct case_card from = {.model = "m", .line = INPUT_OUTPUT(1, 1)};
    struct price_card card = card_of(&from);
    struct err e;
    card.aliases = xrealloc(card.aliases, (PRICE_ALIASES_MAX + 1) * sizeof(card.aliases[0]));
    card.lines = xrealloc(card.lines, (PRICE_LINES_MAX + 1) * sizeof(card.lines[0]));
    char name[] = "a00";
    for (int i = 0; i <= PRICE_LINES_MAX; i++) {
        name[0] = (char)('a' + i / 100);
        name[1] = (char)('0' + i / 10 % 10);
        name[2] = (char)('0' + i % 10);
        card.aliases[i] = xstrdup(name);
        if (i > 0)
            card.lines[i] =
                (struct price_line){.tier = xstrdup(name), .pusd = {1, 1, 1, 1, 1, 1, 1}};
    }
    card.alias_count = PRICE_ALIASES_MAX;
    card.line_count = PRICE_LINES_MAX;
    ck_assert_int_eq(price_card_check(&card, &e), 0);
    card.line_count++;
    ck_assert_int_eq(price_card_check(&card, &e), -1);
    ck_assert_str_eq(e.field, "model");
    card.alias_count++;
    ck_assert_int_eq(price_card_check(&card, &e), -1);
    ck_assert_str_eq(e.field, "aliases");
    price_card_clear(&card);
}
END_TEST

START_TEST(a_day_is_a_day)
{
    static const struct {
        const char *day;
        bool good;
    } cases[] = {{"", true},      {"2024-02-29", true}, {"2023-02-29", false}, {"2024-2-29", false},
                 {"2024", false}, {"20240229", false},  {"2024-02-2x", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct case_card from = {.model = "m", .line = INPUT_OUTPUT(1, 1)};
        struct price_card card = card_of(&from);
        struct err e = {0};
        memset(card.as_of, 0, sizeof(card.as_of));
        memcpy(card.as_of, cases[i].day, strlen(cases[i].day));
        ck_assert_msg((price_card_check(&card, &e) == 0) == cases[i].good, "%s", cases[i].day);
        if (!cases[i].good)
            ck_assert_str_eq(e.field, "as_of");
        price_card_clear(&card);
    }
}
END_TEST

START_TEST(every_band_may_be_named)
{
    static const int64_t bands[] = USAGE_BANDS;
    struct case_card from = {.model = "m", .line = INPUT_OUTPUT(1, 1)};
    struct price_card card = card_of(&from);
    struct err e = {0};
    card.lines[0].above = 1;
    ck_assert_int_eq(price_card_check_line(&card, &card.lines[0], &e), -1);
    for (size_t i = 0; i < ARRAY_LEN(bands); i++) {
        struct buf number = {0};
        buf_addf(&number, " %lld", (long long)bands[i]);
        char *text = buf_steal(&number);
        ck_assert_ptr_nonnull(strstr(e.detail, text)); // what is wanted is named
        free(text);
        struct price_line line = card.lines[0];
        line.above = bands[i];
        ck_assert_int_eq(price_card_check_line(&card, &line, NULL), 0);
    }
    price_card_clear(&card);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("price_cost");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, discounted_prices_are_rounded_half_up);
    tcase_add_test(tc, a_tenants_fee_is_added_to_everybodys_after_the_discount);
    tcase_add_test(tc, a_class_without_a_price_falls_back);
    tcase_add_test(tc, a_line_is_found_by_tier_and_the_band_below);
    tcase_add_test(tc, a_cost_is_the_sum_of_its_classes);
    tcase_add_test(tc, caches_save_against_the_price_of_input);
    tcase_add_test(tc, a_row_keeps_of_classes_and_savings_what_64_bits_hold);
    tcase_add_test(tc, what_has_no_price_is_counted_and_costs_nothing);
    tcase_add_test(tc, what_is_guessed_is_counted_and_costs);
    tcase_add_test(tc, a_row_is_priced_as_of_its_version_and_minute);
    tcase_add_test(tc, the_largest_costs_are_exact_and_the_sum_stays_in_bounds);
    tcase_add_test(tc, costs_are_added_and_subtracted);
    tcase_add_loop_test(tc, parts_cost_together_what_the_whole_costs, 0, 200);
    tcase_add_test(tc, a_copied_card_is_its_own);
    tcase_add_loop_test(tc, a_card_is_checked, 0, ARRAY_LEN(checked));
    tcase_add_test(tc, a_card_has_at_most_100_aliases_and_100_lines);
    tcase_add_test(tc, a_day_is_a_day);
    tcase_add_test(tc, every_band_may_be_named);
    Suite *suite = suite_create("price_cost");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
