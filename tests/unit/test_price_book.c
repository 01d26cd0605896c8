// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/price_book.h"

#include "tests/sim/random.h"
#include "tests/unit/price_case.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

#define LINES_MAX 2000
#define NONE ((struct str){NULL, 0})

static struct catalogue *cards; // until a book is made of them
static struct price_book *book;
static struct price_entry lines[LINES_MAX];
static struct buf out;

static void make(void)
{
    cards = catalogue_new();
    book = NULL;
    out = (struct buf){0};
}

static void clear(void)
{
    price_book_free(book);
    if (!book)
        catalogue_free(cards);
    buf_free(&out);
}

static size_t list(const struct price_view *v, size_t limit, bool *more)
{
    if (!book)
        book = price_book_new(cards);
    return price_book_list(book, v, NULL, limit, lines, more);
}

// The models of all lines, and whose, as "a b/acme"; as of the newest version and an instant.
static const char *listed(int64_t at_us, struct price_view v)
{
    bool more;
    v.version = v.version ? v.version : catalogue_version(cards);
    v.at_us = at_us;
    size_t n = list(&v, LINES_MAX, &more);
    ck_assert(!more);
    buf_clear(&out);
    for (size_t i = 0; i < n; i++) {
        const struct price_card *card = lines[i].card;
        buf_addf(&out, "%s%s", i > 0 ? " " : "", card->model);
        buf_addf(&out, "%s%s", card->tenant[0] ? "/" : "", card->tenant);
        buf_addf(&out, "%s%s", lines[i].line->tier[0] ? ":" : "", lines[i].line->tier);
        if (lines[i].line->above)
            buf_addf(&out, ">%d", (int)lines[i].line->above);
    }
    buf_addc(&out, '\0');
    return out.p;
}

START_TEST(lines_come_by_model_tenant_tier_and_tokens)
{
    ADD(cards, 1, .model = "b", .from_us = EVER,
        .line = {{.pusd = {[PRICE_input] = 1, [PRICE_output] = 1}},
                 {.above = 200000, .pusd = {[PRICE_input] = 1, [PRICE_output] = 1}},
                 {.tier = "batch", .pusd = {[PRICE_input] = 1, [PRICE_output] = 1}}});
    ADD(cards, 1, .model = "B2", .from_us = EVER, .line = INPUT_OUTPUT(1, 1));
    ADD(cards, 1, .model = "a", .from_us = EVER, .line = INPUT_OUTPUT(1, 1));
    ADD(cards, 1, .tenant = "acme", .model = "b", .from_us = EVER, .line = INPUT_OUTPUT(1, 1));
    ADD(cards, 1, .tenant = "other", .model = "b", .from_us = EVER, .line = INPUT_OUTPUT(1, 1));
    ck_assert_str_eq(listed(0, (struct price_view){.tenant = STR_LIT("acme")}),
                     "a b b>200000 b:batch b/acme B2");
    ck_assert_str_eq(listed(0, (struct price_view){.tenant = NONE}), "a b b>200000 b:batch B2");
    ck_assert_str_eq(listed(0, (struct price_view){.every_tenant = true}),
                     "a b b>200000 b:batch b/acme b/other B2");
    ck_assert_str_eq(listed(0, (struct price_view){.prefix = STR_LIT("B"), .tenant = NONE}),
                     "b b>200000 b:batch B2");
    ck_assert_str_eq(listed(0, (struct price_view){.prefix = STR_LIT("b22"), .tenant = NONE}), "");
}
END_TEST

START_TEST(a_tenant_is_no_part_of_another)
{
    ADD(cards, 1, .tenant = "acme", .model = "a", .from_us = EVER, .line = INPUT_OUTPUT(1, 1));
    static const char *const others[] = {"acm", "acmee", "ACME", "cme"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_str_eq(listed(0, (struct price_view){.tenant = str_of(others[i])}), "");
    ck_assert_str_eq(listed(0, (struct price_view){.tenant = STR_LIT("")}), "");
}
END_TEST

// Against price.h, which is asked for each model that there ever was.
START_TEST(the_card_of_a_model_is_the_one_in_force)
{
    struct random r = {(uint64_t)_i};
    for (int i = 0; i < 60; i++) {
        char model[8];
        snprintf(model, sizeof(model), "%c%d", random_chance(&r, 50) ? 'm' : 'M',
                 random_below(&r, 6));
        const struct case_card card = {
            .tenant = random_chance(&r, 50) ? "acme" : NULL,
            .model = model,
            .from_us = random_chance(&r, 30) ? EVER : MINUTE(random_below(&r, 5)),
            .withdrawn = random_chance(&r, 20),
            .line = INPUT_OUTPUT(1 + i, 1),
        };
        struct case_card withdrawn = card;
        memset(withdrawn.line, 0, sizeof(withdrawn.line));
        add_card(cards, 1 + i, card.withdrawn ? &withdrawn : &card);
    }
    for (int n = 0; n < 50; n++) {
        struct price_view v = {.version = 1 + random_below(&r, 60),
                               .at_us = MINUTE(random_below(&r, 6)) - 1,
                               .every_tenant = true};
        bool more;
        size_t count = list(&v, LINES_MAX, &more), wanted = 0;
        for (int model = 0; model < 12; model++) {
            char name[] = {'m', (char)('0' + model % 6), '\0'};
            wanted +=
                catalogue_in_force(cards, v.version, v.at_us,
                                   model < 6 ? STR_LIT("") : STR_LIT("acme"), str_of(name)) != NULL;
        }
        ck_assert_uint_eq(count, wanted);
        for (size_t i = 0; i < count; i++) {
            const struct price_card *c = lines[i].card;
            ck_assert_ptr_eq(c, catalogue_in_force(cards, v.version, v.at_us, str_of(c->tenant),
                                                   str_of(c->model)));
        }
    }
}
END_TEST

// Pages of any size are the whole, cut up.
START_TEST(behind_a_place_come_the_others)
{
    struct random r = {(uint64_t)_i};
    struct price_entry whole[LINES_MAX];
    bool more;
    for (int i = 0; i < 40; i++) {
        char model[8];
        snprintf(model, sizeof(model), "%c%d", random_chance(&r, 50) ? 'm' : 'M',
                 random_below(&r, 20));
        ADD(cards, 1 + i, .tenant = random_chance(&r, 50) ? "acme" : NULL, .model = model,
            .from_us = EVER,
            .line = {{.pusd = {[PRICE_input] = 1, [PRICE_output] = 1}},
                     {.above = 200000, .pusd = {[PRICE_input] = 1, [PRICE_output] = 1}},
                     {.tier = "batch", .pusd = {[PRICE_input] = 1, [PRICE_output] = 1}},
                     {.tier = "flex", .pusd = {[PRICE_input] = 1, [PRICE_output] = 1}}});
    }
    struct price_view v = {.version = 1000, .at_us = 0, .every_tenant = true};
    size_t n = list(&v, LINES_MAX, &more), at = 0;
    memcpy(whole, lines, sizeof(whole));
    ck_assert(!more && n > 50);
    struct fold_place after;
    while (at < n) {
        size_t limit = 1 + (size_t)random_below(&r, 9);
        size_t got = price_book_list(book, &v, at > 0 ? &after : NULL, limit, lines, &more);
        ck_assert_uint_eq(got, n - at < limit ? n - at : limit);
        ck_assert_mem_eq(lines, whole + at, got * sizeof(*lines));
        at += got;
        ck_assert_int_eq(more, at < n);
        after = price_entry_place(&lines[got - 1]);
    }
}
END_TEST

START_TEST(a_row_is_what_the_file_says)
{
    struct buf aliases = {0};
    struct price_row row;
    bool more;
    ADD(cards, 3, .tenant = "acme", .model = "m", .alias = "n", .alias2 = "o", .from_us = MINUTE(5),
        .line = {{.pusd = {[PRICE_input] = 2500000,
                           [PRICE_cached_input] = FREE,
                           [PRICE_output] = 1,
                           [PRICE_request] = 125000000}}});
    ADD(cards, 3, .tenant = "acme", .model = "off", .from_us = EVER, .off_ppm = 125001);
    ADD(cards, 3, .model = "gone", .from_us = EVER, .withdrawn = true);
    struct price_view v = {.version = 3, .at_us = MINUTE(5), .tenant = STR_LIT("acme")};
    ck_assert_uint_eq(list(&v, 10, &more), 3);
    price_row_of(&lines[1], &aliases, &row);
    ck_assert(str_eq(row.model, STR_LIT("m")) && str_eq(row.tenant_id, STR_LIT("acme")));
    ck_assert(str_eq(row.aliases, STR_LIT("n o")) && str_eq(row.tier, STR_LIT("")));
    ck_assert(str_eq(row.source, STR_LIT("a test")) && str_eq(row.as_of, STR_LIT("2026-01-31")));
    ck_assert_double_eq(row.input, 2.5);
    ck_assert_double_eq(row.cached_input, 0);
    ck_assert_double_nan(row.cache_write_5m);
    ck_assert_double_eq(row.output, 0.000001);
    ck_assert_double_eq(row.request, 0.000125);
    ck_assert_double_nan(row.discount_percent);
    ck_assert_int_eq(row.effective_from_us, MINUTE(5));
    ck_assert(row.version == 3 && !row.withdrawn && row.above_tokens == 0);
    price_row_of(&lines[0], &aliases, &row);
    ck_assert(row.withdrawn && !row.tenant_id.p && isnan(row.input) && isnan(row.request));
    ck_assert_int_eq(row.effective_from_us, INT64_MIN);
    ck_assert(row.aliases.p && row.aliases.n == 0);
    price_row_of(&lines[2], &aliases, &row);
    ck_assert_double_eq(row.discount_percent, 12.5001);
    buf_free(&aliases);
}
END_TEST

// ---- one name -----------------------------------------------------------------------------------

static json_t *resolve(const char *name, const char *asked, const char *tenant)
{
    if (!book)
        book = price_book_new(cards);
    struct price_asked a = {
        .name = str_of(name),
        .asked = asked ? str_of(asked) : NONE,
        .tenant = tenant ? str_of(tenant) : NONE,
        .version = catalogue_version(cards),
        .at_us = MINUTE(10),
    };
    buf_clear(&out);
    price_book_resolve(book, &a, &out);
    buf_addc(&out, '}');
    json_t *o = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(o != NULL, "%.*s", (int)out.n, out.p);
    return o;
}

static void has(json_t *o, const char *name, const char *json)
{
    char *got = json_dumps(json_object_get(o, name), JSON_ENCODE_ANY | JSON_COMPACT);
    ck_assert_msg(got && strcmp(got, json) == 0, "%s is %s, wanted %s", name, got, json);
    free(got);
}

START_TEST(a_name_costs_what_its_card_says_after_fall_back)
{
    ADD(cards, 1, .model = "m", .from_us = MINUTE(1),
        .line = {{.pusd = {[PRICE_input] = 2000000, [PRICE_output] = 8000000}},
                 {.tier = "batch", .pusd = {[PRICE_input] = 1000000, [PRICE_output] = 4000000}}});
    json_t *o = resolve("openai/m", NULL, NULL);
    has(o, "name", "\"openai/m\"");
    has(o, "asked", "null");
    has(o, "step", "\"prefix\"");
    has(o, "by_asked", "false");
    has(o, "model", "\"m\"");
    has(o, "tenant_id", "null");
    has(o, "effective_from", "\"1970-01-01T00:01:00Z\"");
    has(o, "version", "1");
    has(o, "source", "\"a test\"");
    has(o, "discount_percent", "null");
    has(o, "discount_version", "null");
    json_t *paid = json_object_get(o, "prices");
    ck_assert_uint_eq(json_array_size(paid), 2);
    has(json_array_get(paid, 0), "cached_input", "2");
    has(json_array_get(paid, 0), "cache_write_1h", "2");
    has(json_array_get(paid, 0), "reasoning", "8");
    has(json_array_get(paid, 0), "request", "0");
    has(json_array_get(paid, 1), "tier", "\"batch\"");
    has(json_array_get(paid, 1), "reasoning", "4");
    json_decref(o);
}
END_TEST

START_TEST(a_name_without_a_price_says_so)
{
    json_t *o = resolve("no\"such", "nor this", "acme");
    has(o, "name", "\"no\\\"such\"");
    has(o, "asked", "\"nor this\"");
    has(o, "step", "\"unpriced\"");
    static const char *const nulls[] = {
        "model",  "tenant_id", "provider",       "aliases",          "version",
        "source", "as_of",     "effective_from", "discount_percent", "discount_model"};
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        has(o, nulls[i], "null");
    has(o, "prices", "[]");
    json_decref(o);
}
END_TEST

START_TEST(a_discount_is_named_beside_the_card_that_it_is_on)
{
    ADD(cards, 1, .model = "m", .from_us = EVER, .line = INPUT_OUTPUT(2000000, 8000000));
    ADD(cards, 2, .tenant = "acme", .model = "*", .from_us = EVER, .off_ppm = 250000);
    json_t *o = resolve("m", NULL, "acme");
    has(o, "version", "1");
    has(o, "tenant_id", "null");
    has(o, "discount_percent", "25");
    has(o, "discount_model", "\"*\"");
    has(o, "discount_version", "2");
    has(json_array_get(json_object_get(o, "prices"), 0), "input", "1.5");
    json_decref(o);
    o = resolve("m", NULL, "other");
    has(o, "discount_percent", "null");
    has(json_array_get(json_object_get(o, "prices"), 0), "input", "2");
    json_decref(o);
}
END_TEST

START_TEST(what_was_asked_for_is_tried_after_what_answered)
{
    ADD(cards, 1, .model = "m", .from_us = EVER, .line = INPUT_OUTPUT(2000000, 8000000));
    json_t *o = resolve("unknown", "m", NULL);
    has(o, "by_asked", "true");
    has(o, "step", "\"exact\"");
    json_decref(o);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("price_book");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, lines_come_by_model_tenant_tier_and_tokens);
    tcase_add_test(tc, a_tenant_is_no_part_of_another);
    tcase_add_loop_test(tc, the_card_of_a_model_is_the_one_in_force, 0, 20);
    tcase_add_loop_test(tc, behind_a_place_come_the_others, 0, 20);
    tcase_add_test(tc, a_row_is_what_the_file_says);
    tcase_add_test(tc, a_name_costs_what_its_card_says_after_fall_back);
    tcase_add_test(tc, a_name_without_a_price_says_so);
    tcase_add_test(tc, a_discount_is_named_beside_the_card_that_it_is_on);
    tcase_add_test(tc, what_was_asked_for_is_tried_after_what_answered);
    Suite *suite = suite_create("price_book");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
