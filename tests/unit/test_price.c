// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/price_case.h"

#include <stdio.h>

#define GPT_4O .model = "gpt-4o", .line = INPUT_OUTPUT(2500000, 10000000)

static struct catalogue *c;

static void setup(void)
{
    c = catalogue_new();
}

static void teardown(void)
{
    catalogue_free(c);
}

static struct price_hit resolve(const char *tenant, const char *model, const char *asked)
{
    return catalogue_resolve(c, catalogue_version(c), MINUTE(100), str_of(tenant), str_of(model),
                             str_of(asked));
}

// What a million input tokens cost by the tenant's price of the model, -1 where unpriced.
static int64_t input_price(const char *tenant, const char *model)
{
    struct price_hit hit = resolve(tenant, model, "");
    return hit.card ? price_of(&hit, &hit.card->lines[0], PRICE_input) : -1;
}

static const char *card_at(int64_t version, int64_t at_us, const char *name)
{
    const struct price_card *card = catalogue_card(c, version, at_us, str_of(""), str_of(name));
    return card ? card->model : "none";
}

static int64_t input_at(int64_t version, int64_t at_us, const char *name)
{
    const struct price_card *card = catalogue_card(c, version, at_us, str_of(""), str_of(name));
    return card ? card->lines[0].pusd[PRICE_input] : -1;
}

// ---- the catalogue ----

START_TEST(an_empty_catalogue_has_version_0_and_no_price)
{
    ck_assert_int_eq(catalogue_version(c), 0);
    ck_assert_uint_eq(catalogue_count(c), 0);
    ck_assert_int_eq(input_price("acme", "gpt-4o"), -1);
    ck_assert_int_eq(resolve("", "gpt-4o", "").step, PRICE_UNPRICED);
}
END_TEST

START_TEST(the_version_is_the_greatest_of_any_card_or_said)
{
    ADD(c, 7, GPT_4O);
    ADD(c, 3, .model = "o3", .line = INPUT_OUTPUT(1, 1));
    ck_assert_int_eq(catalogue_version(c), 7);
    catalogue_set_version(c, 9);
    ck_assert_int_eq(catalogue_version(c), 9);
    catalogue_set_version(c, 8);
    ck_assert_int_eq(catalogue_version(c), 9);
    ck_assert_uint_eq(catalogue_count(c), 2);
    ck_assert_str_eq(catalogue_at(c, 0)->model, "gpt-4o");
    ck_assert_str_eq(catalogue_at(c, 1)->model, "o3");
}
END_TEST

START_TEST(a_card_holds_from_its_minute_on)
{
    ADD(c, 1, .model = "m", .from_us = EVER, .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "m", .from_us = MINUTE(10), .line = INPUT_OUTPUT(2, 2));
    ADD(c, 1, .model = "m", .from_us = MINUTE(20), .line = INPUT_OUTPUT(3, 3));
    ck_assert_int_eq(input_at(1, INT64_MIN, "m"), 1);
    ck_assert_int_eq(input_at(1, MINUTE(10) - 1, "m"), 1);
    ck_assert_int_eq(input_at(1, MINUTE(10), "m"), 2);
    ck_assert_int_eq(input_at(1, MINUTE(20) - 1, "m"), 2);
    ck_assert_int_eq(input_at(1, MINUTE(20), "m"), 3);
    ck_assert_int_eq(input_at(1, INT64_MAX, "m"), 3);
}
END_TEST

START_TEST(before_its_first_minute_a_model_has_no_price)
{
    ADD(c, 1, .model = "m", .from_us = MINUTE(10), .line = INPUT_OUTPUT(1, 1));
    ck_assert_int_eq(input_at(1, MINUTE(10) - 1, "m"), -1);
    ck_assert_int_eq(input_at(1, MINUTE(10), "m"), 1);
}
END_TEST

START_TEST(a_version_sees_no_later_one)
{
    ADD(c, 2, .model = "m", .line = INPUT_OUTPUT(2, 2));
    ADD(c, 4, .model = "m", .line = INPUT_OUTPUT(4, 4));
    ck_assert_int_eq(input_at(1, 0, "m"), -1);
    ck_assert_int_eq(input_at(2, 0, "m"), 2);
    ck_assert_int_eq(input_at(3, 0, "m"), 2);
    ck_assert_int_eq(input_at(4, 0, "m"), 4);
    ck_assert_int_eq(input_at(5, 0, "m"), 4);
}
END_TEST

START_TEST(the_latest_minute_comes_before_the_greatest_version)
{
    ADD(c, 1, .model = "m", .from_us = MINUTE(10), .line = INPUT_OUTPUT(1, 1));
    ADD(c, 2, .model = "m", .from_us = EVER, .line = INPUT_OUTPUT(2, 2));
    ADD(c, 3, .model = "m", .from_us = MINUTE(10), .line = INPUT_OUTPUT(3, 3));
    ck_assert_int_eq(input_at(2, MINUTE(9), "m"), 2);
    ck_assert_int_eq(input_at(2, MINUTE(10), "m"), 1);
    ck_assert_int_eq(input_at(3, MINUTE(10), "m"), 3);
    ck_assert_int_eq(input_at(3, MINUTE(9), "m"), 2);
}
END_TEST

START_TEST(a_dropped_alias_is_not_found_by_the_older_card)
{
    ADD(c, 1, .model = "m", .alias = "nick", .from_us = EVER, .line = INPUT_OUTPUT(1, 1));
    ADD(c, 2, .model = "m", .alias = "name", .from_us = MINUTE(10), .line = INPUT_OUTPUT(2, 2));
    ck_assert_str_eq(card_at(1, MINUTE(10), "nick"), "m");
    ck_assert_str_eq(card_at(2, MINUTE(9), "nick"), "m");
    ck_assert_str_eq(card_at(2, MINUTE(10), "nick"), "none");
    ck_assert_str_eq(card_at(2, MINUTE(9), "name"), "none");
    ck_assert_str_eq(card_at(2, MINUTE(10), "name"), "m");
}
END_TEST

START_TEST(of_two_models_with_a_name_the_newest_version_wins)
{
    ADD(c, 2, .model = "zebra", .alias = "fast", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "ant", .alias = "fast", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 3, .model = "fast", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 4, .model = "cat", .alias = "fast", .from_us = MINUTE(10), .line = INPUT_OUTPUT(1, 1));
    ck_assert_str_eq(card_at(1, 0, "fast"), "ant");
    ck_assert_str_eq(card_at(2, 0, "fast"), "zebra");
    ck_assert_str_eq(card_at(3, 0, "fast"), "fast");
    ck_assert_str_eq(card_at(4, 0, "fast"), "fast");
    ck_assert_str_eq(card_at(4, MINUTE(10), "fast"), "cat");

    const struct price_card *best[2];
    size_t n = catalogue_bearers(c, 4, MINUTE(10), str_of(""), str_of("FAST"), best);
    ck_assert_uint_eq(n, 4);
    ck_assert_str_eq(best[0]->model, "cat");
    ck_assert_str_eq(best[1]->model, "fast");
    ck_assert_uint_eq(catalogue_bearers(c, 1, 0, str_of(""), str_of("fast"), best), 1);
    ck_assert_ptr_null(best[1]);
    ck_assert_uint_eq(catalogue_bearers(c, 4, 0, str_of("acme"), str_of("fast"), best), 0);
    ck_assert_ptr_null(best[0]);
}
END_TEST

START_TEST(of_one_version_the_own_name_wins_then_the_smallest)
{
    ADD(c, 1, .model = "zebra", .alias = "fast", .alias2 = "slow", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "fast", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "ant", .alias = "fast", .alias2 = "slow", .line = INPUT_OUTPUT(1, 1));
    ck_assert_str_eq(card_at(1, 0, "fast"), "fast");
    ck_assert_str_eq(card_at(1, 0, "slow"), "ant");
}
END_TEST

START_TEST(names_are_found_in_any_case_and_whole)
{
    ADD(c, 1, .model = "Org/Model-A", .alias = "Model-A", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 2, .model = "org/model-a", .from_us = EVER, .line = INPUT_OUTPUT(2, 2));
    ck_assert_str_eq(card_at(2, 0, "ORG/MODEL-a"), "Org/Model-A");
    ck_assert_str_eq(card_at(2, 0, "mODEL-A"), "Org/Model-A");
    ck_assert_str_eq(card_at(2, -1, "Org/Model-A"), "org/model-a"); // one model
    ck_assert_str_eq(card_at(2, 0, "Org/Model"), "none");
    ck_assert_str_eq(card_at(2, 0, "Org/Model-AB"), "none");
    ck_assert_str_eq(card_at(2, 0, ""), "none");
}
END_TEST

START_TEST(a_tenant_has_its_own_names)
{
    ADD(c, 1, .tenant = "acme", .model = "m", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "everybodys", .line = INPUT_OUTPUT(1, 1));
    static const struct {
        const char *tenant, *name;
        bool found;
    } cases[] = {{"acme", "m", true},      {"ACME", "m", false}, {"", "m", false},
                 {"acm", "em", false},     {"acme", "", false},  {"acme", "everybodys", false},
                 {"", "everybodys", true}, {"", "acme", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool found = catalogue_card(c, 1, 0, str_of(cases[i].tenant), str_of(cases[i].name));
        ck_assert_msg(found == cases[i].found, "%s/%s", cases[i].tenant, cases[i].name);
    }
}
END_TEST

START_TEST(the_longest_names_are_found_and_longer_ones_are_not)
{
    char name[EVENT_NAME_MAX + 2] = {0}, tenant[EVENT_NAME_MAX + 2] = {0};
    memset(name, 'n', EVENT_NAME_MAX);
    memset(tenant, 't', EVENT_NAME_MAX);
    ADD(c, 1, .tenant = tenant, .model = name, .line = INPUT_OUTPUT(5, 5));
    ADD(c, 1, .model = name, .line = INPUT_OUTPUT(6, 6));
    ck_assert_int_eq(input_price(tenant, name), 5);
    tenant[EVENT_NAME_MAX] = 't';
    ck_assert_int_eq(input_price(tenant, name), 6);
    name[EVENT_NAME_MAX] = 'n';
    ck_assert_int_eq(input_price(tenant, name), -1);
    ck_assert_ptr_null(catalogue_card(c, 1, 0, str_of(""), str_of(name)));
}
END_TEST

// ---- withdrawn ----

START_TEST(a_withdrawn_card_is_none_from_its_minute_and_version_on)
{
    ADD(c, 1, .model = "m", .alias = "nick", .from_us = EVER, .line = INPUT_OUTPUT(1, 1));
    ADD(c, 3, .model = "M", .alias = "nick", .from_us = MINUTE(10), .withdrawn = true);
    ADD(c, 5, .model = "m", .from_us = MINUTE(20), .line = INPUT_OUTPUT(5, 5));
    for (size_t i = 0; i < 2; i++) {
        const char *name = i == 0 ? "m" : "nick";
        ck_assert_int_eq(input_at(2, MINUTE(10), name), 1);
        ck_assert_int_eq(input_at(3, MINUTE(10) - 1, name), 1);
        ck_assert_int_eq(input_at(3, MINUTE(10), name), -1);
        ck_assert_int_eq(input_at(4, INT64_MAX, name), -1);
        ck_assert_int_eq(input_at(5, MINUTE(20) - 1, name), -1);
    }
    ck_assert_int_eq(input_at(5, MINUTE(20), "m"), 5);
    ck_assert_int_eq(input_at(5, MINUTE(20), "nick"), -1);
}
END_TEST

START_TEST(a_withdrawn_card_of_an_earlier_minute_takes_back_no_later_one)
{
    ADD(c, 1, .model = "m", .from_us = MINUTE(10), .line = INPUT_OUTPUT(1, 1));
    ADD(c, 2, .model = "m", .from_us = EVER, .withdrawn = true);
    ck_assert_int_eq(input_at(2, MINUTE(10), "m"), 1);
    ADD(c, 3, .model = "m", .from_us = MINUTE(10), .withdrawn = true);
    ck_assert_int_eq(input_at(2, MINUTE(10), "m"), 1);
    ck_assert_int_eq(input_at(3, MINUTE(10), "m"), -1);
}
END_TEST

START_TEST(the_names_of_a_withdrawn_card_hide_no_other_model)
{
    ADD(c, 1, .model = "zebra", .alias = "fast", .alias2 = "old", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 2, .model = "old", .alias = "fast", .line = INPUT_OUTPUT(2, 2));
    ck_assert_str_eq(card_at(2, 0, "fast"), "old");
    ck_assert_str_eq(card_at(2, 0, "old"), "old");
    ADD(c, 3, .model = "old", .alias = "fast", .withdrawn = true);
    ck_assert_str_eq(card_at(3, 0, "fast"), "zebra");
    ck_assert_str_eq(card_at(3, 0, "old"), "zebra");
    const struct price_card *best[2];
    ck_assert_uint_eq(catalogue_bearers(c, 3, 0, str_of(""), str_of("fast"), best), 1);
    ck_assert_str_eq(best[0]->model, "zebra");
    ck_assert_ptr_null(best[1]);
}
END_TEST

START_TEST(the_card_in_force_is_of_the_own_name_also_where_it_is_withdrawn)
{
    ADD(c, 1, .model = "m", .alias = "nick", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 2, .model = "other", .alias = "m", .line = INPUT_OUTPUT(2, 2));
    ADD(c, 3, .model = "m", .from_us = MINUTE(10), .withdrawn = true);
    ADD(c, 3, .tenant = "acme", .model = "m", .line = INPUT_OUTPUT(3, 3));
    static const struct {
        int64_t version, at_us;
        const char *tenant, *name;
        int64_t found; // its version; 0: none
    } cases[] = {{3, 0, "", "m", 1},          {3, 0, "", "M", 1},     {3, MINUTE(10), "", "m", 3},
                 {2, MINUTE(10), "", "m", 1}, {0, 0, "", "m", 0},     {3, -1, "", "m", 0},
                 {3, 0, "", "nick", 0},       {3, 0, "acme", "m", 3}, {3, 0, "acme", "other", 0},
                 {3, 0, "", "nonesuch", 0},   {3, 0, "", "", 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct price_card *card = catalogue_in_force(
            c, cases[i].version, cases[i].at_us, str_of(cases[i].tenant), str_of(cases[i].name));
        ck_assert_msg((card ? card->version : 0) == cases[i].found, "case %zu", i);
        ck_assert(!card || strcmp(card->model, "m") == 0);
    }
    char name[EVENT_NAME_MAX + 2] = {0};
    memset(name, 'n', EVENT_NAME_MAX + 1);
    ck_assert_ptr_null(catalogue_in_force(c, 3, 0, str_of(""), str_of(name)));
    ck_assert_ptr_null(catalogue_in_force(c, 3, 0, str_of(name), str_of("m")));
}
END_TEST

// Every question about random cards, asked of a list of them.
struct naive {
    struct price_card cards[40];
    size_t n;
};

static const struct price_card *naive_in_force(const struct naive *all, int64_t version,
                                               int64_t at_us, const char *model)
{
    const struct price_card *best = NULL;
    for (size_t i = 0; i < all->n; i++) {
        const struct price_card *card = &all->cards[i];
        if (strcmp(card->model, model) != 0 || card->version > version ||
            card->effective_from_us > at_us)
            continue;
        if (!best || card->effective_from_us > best->effective_from_us ||
            (card->effective_from_us == best->effective_from_us && card->version > best->version))
            best = card;
    }
    return best;
}

static const struct price_card *naive_card(const struct naive *all, int64_t version, int64_t at_us,
                                           const char *name)
{
    const struct price_card *best = NULL;
    for (char model[] = "a"; model[0] <= 'f'; model[0]++) {
        const struct price_card *card = naive_in_force(all, version, at_us, model);
        bool own = strcmp(model, name) == 0;
        if (!card || card->withdrawn ||
            (!own && (card->alias_count == 0 || strcmp(card->aliases[0], name) != 0)))
            continue;
        if (!best || card->version > best->version || (card->version == best->version && own))
            best = card;
    }
    return best;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

START_TEST(cards_are_found_as_in_a_list_whatever_their_order)
{
    uint64_t seed = (uint64_t)_i;
    struct naive all = {0};
    while (all.n < ARRAY_LEN(all.cards)) {
        char model[] = {(char)('a' + next_random(&seed) % 6), '\0'};
        char alias[] = {(char)('a' + next_random(&seed) % 9), '\0'};
        int64_t version = (int64_t)(next_random(&seed) % 8) + 1;
        int64_t from_us = MINUTE((int64_t)(next_random(&seed) % 4));
        bool has_alias = strcmp(alias, model) != 0, taken = false;
        for (size_t i = 0; i < all.n; i++)
            taken = taken ||
                    (strcmp(all.cards[i].model, model) == 0 && all.cards[i].version == version &&
                     all.cards[i].effective_from_us == from_us);
        if (taken)
            continue;
        struct case_card from = {.model = model, .from_us = from_us};
        from.withdrawn = next_random(&seed) % 4 == 0;
        if (!from.withdrawn)
            from.line[0].pusd[PRICE_input] = from.line[0].pusd[PRICE_output] = 1;
        from.alias = has_alias ? alias : NULL;
        all.cards[all.n] = card_of(&from);
        all.cards[all.n++].version = version;
        add_card(c, version, &from);
    }
    for (int64_t version = 0; version <= 9; version++)
        for (int64_t at_us = -1; at_us < MINUTE(5); at_us += US_PER_MIN / 2)
            for (char name[] = "a"; name[0] <= 'j'; name[0]++) {
                const struct price_card *want = naive_card(&all, version, at_us, name);
                const struct price_card *got =
                    catalogue_card(c, version, at_us, str_of(""), str_of(name));
                ck_assert_int_eq(!got, !want);
                if (!want)
                    continue;
                ck_assert_str_eq(got->model, want->model);
                ck_assert_int_eq(got->version, want->version);
                ck_assert_int_eq(got->effective_from_us, want->effective_from_us);
            }
    for (size_t i = 0; i < all.n; i++)
        price_card_clear(&all.cards[i]);
}
END_TEST

// ---- the ladder ----

START_TEST(each_form_of_a_name_is_a_step)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .model = "gpt-4o-2024-05-13", .line = INPUT_OUTPUT(5000000, 15000000));
    static const struct {
        const char *name, *model;
        enum price_step step;
    } cases[] = {
        {"gpt-4o", "gpt-4o", PRICE_EXACT},
        {"GPT-4o", "gpt-4o", PRICE_EXACT},
        {"openai/gpt-4o", "gpt-4o", PRICE_WITHOUT_PREFIX},
        {"gpt-4o-2024-08-06", "gpt-4o", PRICE_WITHOUT_SUFFIX},
        {"openai/gpt-4o-2024-08-06", "gpt-4o", PRICE_WITHOUT_SUFFIX},
        {"gpt-4o-2024-05-13", "gpt-4o-2024-05-13", PRICE_EXACT},
        {"openai/gpt-4o-2024-05-13", "gpt-4o-2024-05-13", PRICE_WITHOUT_PREFIX},
        {"gpt-4o-mini", NULL, PRICE_UNPRICED},
        {"gpt-4", NULL, PRICE_UNPRICED},
        {"openai/", NULL, PRICE_UNPRICED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct price_hit hit = resolve("", cases[i].name, "");
        ck_assert_msg(hit.step == cases[i].step, "%s: %d", cases[i].name, hit.step);
        ck_assert_int_eq(!hit.card, !cases[i].model);
        if (hit.card)
            ck_assert_str_eq(hit.card->model, cases[i].model);
        ck_assert_ptr_null(hit.discount);
        ck_assert(!hit.by_asked);
    }
}
END_TEST

START_TEST(steps_have_names)
{
    ck_assert_str_eq(price_step_name(PRICE_UNPRICED), "unpriced");
    ck_assert_str_eq(price_step_name(PRICE_EXACT), "exact");
    ck_assert_str_eq(price_step_name(PRICE_WITHOUT_PREFIX), "prefix");
    ck_assert_str_eq(price_step_name(PRICE_WITHOUT_SUFFIX), "suffix");
    ck_assert_str_eq(price_step_name(PRICE_GUESSED), "default");
}
END_TEST

START_TEST(the_model_asked_for_comes_after_the_one_that_answered)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .model = "o3", .line = INPUT_OUTPUT(2000000, 8000000));
    struct price_hit hit = resolve("", "gpt-4o-2024-08-06", "o3");
    ck_assert_str_eq(hit.card->model, "gpt-4o");
    ck_assert(!hit.by_asked);
    hit = resolve("", "gen-1736", "o3");
    ck_assert_str_eq(hit.card->model, "o3");
    ck_assert(hit.by_asked);
    ck_assert_int_eq(hit.step, PRICE_EXACT);
    hit = resolve("", "", "openai/o3");
    ck_assert_str_eq(hit.card->model, "o3");
    ck_assert_int_eq(hit.step, PRICE_WITHOUT_PREFIX);
    ck_assert_ptr_null(resolve("", "gen-1736", "gen-1").card);
    ck_assert(!resolve("", "gen-1736", "gen-1").by_asked);
}
END_TEST

START_TEST(a_tenants_cards_come_before_everybodys_by_all_steps)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .model = "gpt-4o-2024-05-13", .line = INPUT_OUTPUT(5000000, 15000000));
    ADD(c, 2, .tenant = "acme", .model = "gpt-4o", .line = INPUT_OUTPUT(7, 7));
    ck_assert_int_eq(input_price("acme", "gpt-4o"), 7);
    ck_assert_int_eq(input_price("acme", "openai/gpt-4o-2024-05-13"), 7);
    ck_assert_int_eq(resolve("acme", "openai/gpt-4o-2024-05-13", "").step, PRICE_WITHOUT_SUFFIX);
    ck_assert_int_eq(input_price("other", "gpt-4o"), 2500000);
    ck_assert_int_eq(input_price("", "gpt-4o"), 2500000);
    ADD(c, 3, .tenant = "acme", .model = "o3", .line = INPUT_OUTPUT(8, 8));
    ck_assert_str_eq(resolve("acme", "gpt-4o", "o3").card->model, "gpt-4o");
    ck_assert_str_eq(resolve("acme", "gpt-4o-mini", "o3").card->tenant, "acme");
}
END_TEST

// ---- discounts ----

START_TEST(a_discount_is_on_what_everybody_pays)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .model = "gpt-4o-2024-05-13", .line = INPUT_OUTPUT(5000000, 15000000));
    ADD(c, 1, .tenant = "acme", .model = "gpt-4o", .off_ppm = 100000);
    ck_assert_int_eq(input_price("acme", "gpt-4o"), 2250000);
    struct price_hit hit = resolve("acme", "openai/gpt-4o-2024-08-06", "");
    ck_assert_int_eq(hit.step, PRICE_WITHOUT_SUFFIX);
    ck_assert_str_eq(hit.card->tenant, "");
    ck_assert_str_eq(hit.discount->tenant, "acme");
    ck_assert_int_eq(input_price("acme", "openai/gpt-4o-2024-08-06"), 2250000);
    // A name with an own entry is never priced as another.
    ck_assert_int_eq(input_price("acme", "gpt-4o-2024-05-13"), 4500000);
    ck_assert_int_eq(resolve("acme", "gpt-4o-2024-05-13", "").step, PRICE_EXACT);
    ck_assert_int_eq(input_price("other", "gpt-4o"), 2500000);
    // And follows what everybody pays.
    ADD(c, 2, .model = "gpt-4o", .from_us = MINUTE(100), .line = INPUT_OUTPUT(1000000, 4000000));
    ck_assert_int_eq(input_price("acme", "gpt-4o"), 900000);
}
END_TEST

START_TEST(an_alias_of_a_discount_card_means_its_model)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .model = "gpt-4", .line = INPUT_OUTPUT(30000000, 60000000));
    ADD(c, 1, .tenant = "acme", .model = "gpt-4o", .alias = "our-chat", .alias2 = "gpt-4",
        .off_ppm = 500000);
    ck_assert_int_eq(input_price("acme", "our-chat"), 1250000);
    ck_assert_int_eq(input_price("acme", "gpt-4"), 1250000);
    ck_assert_int_eq(input_price("other", "our-chat"), -1);
}
END_TEST

START_TEST(a_discount_on_nothing_finds_nothing)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .tenant = "acme", .model = "secret", .off_ppm = 100000);
    ck_assert_int_eq(input_price("acme", "secret"), -1);
    struct price_hit hit = resolve("acme", "secret", "gpt-4o");
    ck_assert_str_eq(hit.card->model, "gpt-4o");
    ck_assert(hit.by_asked);
    ck_assert_ptr_null(hit.discount); // it is the other model's
}
END_TEST

START_TEST(a_discount_on_every_model_yields_to_the_tenants_cards)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .model = "o3", .line = INPUT_OUTPUT(2000000, 8000000));
    ADD(c, 1, .model = "o4-mini", .line = INPUT_OUTPUT(1100000, 4400000));
    ADD(c, 1, .tenant = "acme", .model = "*", .off_ppm = 200000);
    ADD(c, 1, .tenant = "acme", .model = "o3", .off_ppm = FREE);
    ADD(c, 1, .tenant = "acme", .model = "o4-mini", .line = INPUT_OUTPUT(3, 3));
    ck_assert_int_eq(input_price("acme", "gpt-4o"), 2000000);
    ck_assert_int_eq(input_price("acme", "openai/gpt-4o-2024-08-06"), 2000000);
    ck_assert_int_eq(input_price("acme", "o3"), 2000000);
    ck_assert_int_eq(input_price("acme", "o4-mini"), 3);
    ck_assert_ptr_null(resolve("acme", "o4-mini", "").discount);
    ck_assert_int_eq(input_price("other", "gpt-4o"), 2500000);
    ck_assert_int_eq(input_price("acme", "unheard-of"), -1);
}
END_TEST

// ---- PRICE_DEFAULT ----

START_TEST(what_is_otherwise_unpriced_is_guessed_where_that_is_asked_for)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .model = "*", .line = INPUT_OUTPUT(10, 30));
    struct price_hit hit = resolve("acme", "unheard-of", "neither");
    ck_assert_int_eq(hit.step, PRICE_GUESSED);
    ck_assert_str_eq(hit.card->model, "*");
    ck_assert(!hit.by_asked);
    ck_assert_str_eq(resolve("", "unheard-of", "gpt-4o").card->model, "gpt-4o");
    ck_assert_int_eq(resolve("", "", "").step, PRICE_GUESSED);
    // Not by saying so: a guess stays a guess.
    ck_assert_int_eq(resolve("", "*", "").step, PRICE_GUESSED);
    ck_assert_int_eq(resolve("", "openai/*", "").step, PRICE_GUESSED);
    ck_assert_int_eq(resolve("", "x", "*").step, PRICE_GUESSED);
}
END_TEST

START_TEST(a_guess_has_the_tenants_discount)
{
    ADD(c, 1, .model = "*", .line = INPUT_OUTPUT(10, 30));
    ADD(c, 1, .tenant = "acme", .model = "*", .off_ppm = 500000);
    ADD(c, 1, .tenant = "acme", .model = "secret", .off_ppm = 100000);
    ck_assert_int_eq(input_price("acme", "unheard-of"), 5);
    ck_assert_int_eq(input_price("acme", "secret"), 9);
    ck_assert_int_eq(resolve("acme", "secret", "").step, PRICE_GUESSED);
    ck_assert_int_eq(resolve("acme", "*", "").step, PRICE_GUESSED);
    ck_assert_int_eq(input_price("other", "secret"), 10);
}
END_TEST

START_TEST(usage_of_several_models_has_no_price)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .model = "*", .line = INPUT_OUTPUT(10, 30));
    ck_assert_int_eq(resolve("", USAGE_OTHER, "gpt-4o").step, PRICE_UNPRICED);
    ck_assert_ptr_null(resolve("", USAGE_OTHER, "gpt-4o").card);
}
END_TEST

// ---- the ladder of what is withdrawn ----

START_TEST(a_tenants_withdrawn_card_leaves_everybodys)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .tenant = "acme", .model = "gpt-4o", .alias = "our-chat", .line = INPUT_OUTPUT(7, 7));
    ck_assert_int_eq(input_price("acme", "gpt-4o"), 7);
    ADD(c, 2, .tenant = "acme", .model = "gpt-4o", .alias = "our-chat", .withdrawn = true);
    ck_assert_int_eq(input_price("acme", "gpt-4o"), 2500000);
    ck_assert_int_eq(input_price("acme", "our-chat"), -1);
    ck_assert_ptr_null(resolve("acme", "gpt-4o", "").discount);
    ADD(c, 3, .tenant = "acme", .model = "*", .off_ppm = 200000);
    ck_assert_int_eq(input_price("acme", "gpt-4o"), 2000000);
    ADD(c, 4, .tenant = "acme", .model = "*", .withdrawn = true);
    ck_assert_int_eq(input_price("acme", "gpt-4o"), 2500000);
}
END_TEST

START_TEST(a_withdrawn_discount_leaves_the_one_on_every_model)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .tenant = "acme", .model = "*", .off_ppm = 200000);
    ADD(c, 1, .tenant = "acme", .model = "gpt-4o", .off_ppm = 500000);
    ck_assert_int_eq(input_price("acme", "gpt-4o"), 1250000);
    ADD(c, 2, .tenant = "acme", .model = "gpt-4o", .withdrawn = true);
    ck_assert_int_eq(input_price("acme", "gpt-4o"), 2000000);
}
END_TEST

START_TEST(what_everybody_pays_is_withdrawn_from_discounts_too)
{
    ADD(c, 1, GPT_4O);
    ADD(c, 1, .model = "gpt-4o-2024-05-13", .line = INPUT_OUTPUT(5000000, 15000000));
    ADD(c, 1, .tenant = "acme", .model = "*", .off_ppm = 200000);
    ADD(c, 1, .tenant = "acme", .model = "gpt-4o", .off_ppm = 500000);
    ADD(c, 1, .tenant = "own", .model = "gpt-4o", .line = INPUT_OUTPUT(7, 7));
    ADD(c, 2, .model = "gpt-4o", .withdrawn = true);
    ck_assert_int_eq(input_price("", "openai/gpt-4o-2024-08-06"), -1);
    ck_assert_int_eq(resolve("", "gpt-4o", "").step, PRICE_UNPRICED);
    ck_assert_int_eq(input_price("acme", "gpt-4o"), -1);
    ck_assert_int_eq(input_price("own", "gpt-4o"), 7);
    // The next step of the ladder, where there is one.
    ADD(c, 3, GPT_4O);
    ADD(c, 3, .model = "gpt-4o-2024-05-13", .withdrawn = true);
    struct price_hit hit = resolve("", "gpt-4o-2024-05-13", "");
    ck_assert_str_eq(hit.card->model, "gpt-4o");
    ck_assert_int_eq(hit.step, PRICE_WITHOUT_SUFFIX);
    hit = resolve("", "nonesuch", "gpt-4o-2024-05-13");
    ck_assert_str_eq(hit.card->model, "gpt-4o");
}
END_TEST

START_TEST(a_withdrawn_guess_is_no_guess)
{
    ADD(c, 1, .model = "*", .line = INPUT_OUTPUT(10, 30));
    ADD(c, 2, .model = "*", .from_us = MINUTE(100), .withdrawn = true);
    ADD(c, 2, .tenant = "acme", .model = "*", .off_ppm = 500000);
    struct usage used = {.requests = 1, .uncached_prompt_tokens = 3};
    const struct usage_key key = {str_of("m"), str_of(""), str_of(""), 0};
    struct cost costs[2] = {{0}};
    for (int i = 0; i < 2; i++)
        cost_add_usage(&costs[i], c, 2, MINUTE(99 + i), str_of("acme"), &key, &used);
    ck_assert_int_eq((int64_t)costs[0].estimated, 15);
    ck_assert_int_eq(costs[0].guessed_requests, 1);
    ck_assert_int_eq((int64_t)costs[1].estimated, 0);
    ck_assert_int_eq(costs[1].guessed_requests, 0);
    ck_assert_int_eq(costs[1].unpriced_requests, 1);
    ck_assert_int_eq(costs[1].unpriced_tokens, 3);
}
END_TEST

// What a withdrawn card may not have.
START_TEST(a_withdrawn_card_is_empty)
{
    static const struct {
        struct case_card card;
        const char *column; // NULL: it is good
    } cases[] = {
        {{.model = "m", .alias = "nick", .withdrawn = true}, NULL},
        {{.model = "*", .withdrawn = true}, NULL},
        {{.tenant = "t", .model = "*", .withdrawn = true}, NULL},
        {{.tenant = "t", .model = "m", .withdrawn = true, .off_ppm = 1}, "discount_percent"},
        {{.model = "m", .withdrawn = true, .off_ppm = 1}, "discount_percent"},
        {{.model = "m", .withdrawn = true, .line = {{.pusd = {[PRICE_output] = FREE}}}}, "output"},
        {{.model = "m", .withdrawn = true, .line = {{.pusd = {[PRICE_request] = 1}}}}, "request"},
        {{.model = "m", .withdrawn = true, .line = {{.tier = "batch"}}}, "tier"},
        {{.model = "m", .withdrawn = true, .line = {{0}, {.tier = "batch"}}}, "tier"},
        {{.model = "m", .withdrawn = true, .line = {{0}, {.above = 32000}}}, "above_tokens"},
        {{.model = "*", .alias = "nick", .withdrawn = true}, "aliases"},
        {{.model = "", .withdrawn = true}, "model"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct price_card card = card_of(&cases[i].card), copy;
        struct err e = {0};
        int rc = price_card_check(&card, &e);
        ck_assert_msg(rc == (cases[i].column ? -1 : 0), "case %zu: %s %s", i, e.field, e.detail);
        ck_assert_msg(rc == 0 || strcmp(e.field, cases[i].column) == 0, "case %zu: %s", i, e.field);
        price_card_copy(&copy, &card);
        ck_assert(copy.withdrawn);
        price_card_clear(&copy);
        price_card_clear(&card);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("price");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_empty_catalogue_has_version_0_and_no_price);
    tcase_add_test(tc, the_version_is_the_greatest_of_any_card_or_said);
    tcase_add_test(tc, a_card_holds_from_its_minute_on);
    tcase_add_test(tc, before_its_first_minute_a_model_has_no_price);
    tcase_add_test(tc, a_version_sees_no_later_one);
    tcase_add_test(tc, the_latest_minute_comes_before_the_greatest_version);
    tcase_add_test(tc, a_dropped_alias_is_not_found_by_the_older_card);
    tcase_add_test(tc, of_two_models_with_a_name_the_newest_version_wins);
    tcase_add_test(tc, of_one_version_the_own_name_wins_then_the_smallest);
    tcase_add_test(tc, names_are_found_in_any_case_and_whole);
    tcase_add_test(tc, a_tenant_has_its_own_names);
    tcase_add_test(tc, the_longest_names_are_found_and_longer_ones_are_not);
    tcase_add_test(tc, a_withdrawn_card_is_none_from_its_minute_and_version_on);
    tcase_add_test(tc, a_withdrawn_card_of_an_earlier_minute_takes_back_no_later_one);
    tcase_add_test(tc, the_names_of_a_withdrawn_card_hide_no_other_model);
    tcase_add_test(tc, the_card_in_force_is_of_the_own_name_also_where_it_is_withdrawn);
    tcase_add_loop_test(tc, cards_are_found_as_in_a_list_whatever_their_order, 0, 50);
    tcase_add_test(tc, each_form_of_a_name_is_a_step);
    tcase_add_test(tc, steps_have_names);
    tcase_add_test(tc, the_model_asked_for_comes_after_the_one_that_answered);
    tcase_add_test(tc, a_tenants_cards_come_before_everybodys_by_all_steps);
    tcase_add_test(tc, a_discount_is_on_what_everybody_pays);
    tcase_add_test(tc, an_alias_of_a_discount_card_means_its_model);
    tcase_add_test(tc, a_discount_on_nothing_finds_nothing);
    tcase_add_test(tc, a_discount_on_every_model_yields_to_the_tenants_cards);
    tcase_add_test(tc, what_is_otherwise_unpriced_is_guessed_where_that_is_asked_for);
    tcase_add_test(tc, a_guess_has_the_tenants_discount);
    tcase_add_test(tc, usage_of_several_models_has_no_price);
    tcase_add_test(tc, a_tenants_withdrawn_card_leaves_everybodys);
    tcase_add_test(tc, a_withdrawn_discount_leaves_the_one_on_every_model);
    tcase_add_test(tc, what_everybody_pays_is_withdrawn_from_discounts_too);
    tcase_add_test(tc, a_withdrawn_guess_is_no_guess);
    tcase_add_test(tc, a_withdrawn_card_is_empty);
    Suite *suite = suite_create("price");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
