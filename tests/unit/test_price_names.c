// SPDX-License-Identifier: Apache-2.0
// test_price_names CATALOGUE NAMES: the default catalogue, and which of its cards each of the names
// in price_names.csv finds.
#include "common/core/csv.h"
#include "common/core/price_file.h"

#include <check.h>
#include <stdio.h>
#include <strings.h>

#define NAMES_AT_LEAST 300
#define NOW INT64_C(1795219200000000) // 2026-11-21T00:00:00Z

static const char *catalogue_path, *names_path;
static struct catalogue *catalogue;

static struct buf read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "cannot open %s", path);
    struct buf text = {0};
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
        buf_add(&text, chunk, n);
    ck_assert(ferror(f) == 0);
    fclose(f);
    return text;
}

static void load(void)
{
    struct buf text = read_file(catalogue_path);
    struct price_card *cards;
    size_t count;
    struct err e;
    int rc = price_file_parse((struct str){text.p, text.n}, NULL, PRICE_FILE_REFUSE_SLIPS, &cards,
                              &count, &e);
    ck_assert_msg(rc == 0, "%s: %s %s", catalogue_path, e.field, e.detail);
    catalogue = catalogue_new();
    for (size_t i = 0; i < count; i++) {
        cards[i].version = 1;
        catalogue_add(catalogue, &cards[i]);
    }
    free(cards);
    buf_free(&text);
}

static void unload(void)
{
    catalogue_free(catalogue);
}

static struct price_hit resolve(struct str name)
{
    return catalogue_resolve(catalogue, 1, NOW, (struct str){"", 0}, name, (struct str){0});
}

// One line of the table; false and a message where the name finds another card, or otherwise.
static bool finds(struct str name, struct str model, struct str step)
{
    struct price_hit hit = resolve(name);
    bool priced = hit.card != NULL;
    struct str found = priced ? str_of(hit.card->model) : STR_LIT("unpriced");
    struct str by = priced ? str_of(price_step_name(hit.step)) : STR_LIT("");
    if (str_eq(found, model) && str_eq(by, step))
        return true;
    printf("%.*s: finds %.*s (%.*s), must find %.*s (%.*s)\n", (int)name.n, name.p, (int)found.n,
           found.p, (int)by.n, by.p, (int)model.n, model.p, (int)step.n, step.p);
    return false;
}

START_TEST(finds_the_right_card)
{
    struct buf text = read_file(names_path);
    struct csv csv;
    struct err e;
    csv_begin(&csv, (struct str){text.p, text.n});
    ck_assert_int_eq(csv_next(&csv, &e), 1);
    ck_assert(csv.n == 3 && str_eq(csv.cells[0], STR_LIT("name")));
    size_t lines = 0, wrong = 0;
    int rc;
    while ((rc = csv_next(&csv, &e)) == 1) {
        ck_assert_msg(csv.n == 3, "line %zu: three cells", csv.line);
        lines++;
        wrong += !finds(csv.cells[0], csv.cells[1], csv.cells[2]);
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_msg(wrong == 0, "%zu of %zu names", wrong, lines);
    ck_assert_uint_ge(lines, NAMES_AT_LEAST);
    csv_free(&csv);
    buf_free(&text);
}
END_TEST

static void finds_itself(const struct price_card *card, const char *name)
{
    struct price_hit hit = resolve(str_of(name));
    ck_assert_msg(hit.card && strcasecmp(hit.card->model, card->model) == 0, "%s", name);
    ck_assert_msg(hit.step == PRICE_EXACT, "%s", name);
}

START_TEST(every_name_of_a_card_is_exact)
{
    for (size_t i = 0; i < catalogue_count(catalogue); i++) {
        const struct price_card *card = catalogue_at(catalogue, i);
        finds_itself(card, card->model);
        for (size_t k = 0; k < card->alias_count; k++)
            finds_itself(card, card->aliases[k]);
        ck_assert_str_eq(card->tenant, "");
        ck_assert_str_ne(card->provider, "");
        ck_assert_str_ne(card->source, "");
        ck_assert_str_ne(card->as_of, "");
    }
}
END_TEST

// A sample of each kind of figure; micro-USD per million tokens.
static const struct {
    const char *model, *tier;
    int64_t context_above;
    int64_t input, cached_input, cache_write_5m, cache_write_1h, output;
} figures[] = {
    {"gpt-4o", "", 0, 2500000, 1250000, 2500000, 2500000, 10000000},
    {"gpt-4o-2024-05-13", "", 0, 5000000, 5000000, 5000000, 5000000, 15000000},
    {"gpt-4o-mini", "", 128000, 150000, 75000, 150000, 150000, 600000},
    {"gpt-5", "flex", 0, 625000, 62500, 625000, 625000, 5000000},
    {"gpt-5.4", "", 256000, 2500000, 250000, 2500000, 2500000, 15000000},
    {"gpt-5.4", "", 272000, 5000000, 500000, 5000000, 5000000, 22500000},
    {"gpt-5.5", "", 1000000, 10000000, 1000000, 10000000, 10000000, 45000000},
    {"gpt-5.5", "batch", 272000, 5000000, 500000, 5000000, 5000000, 22500000},
    {"gpt-5.5", "priority", 0, 10000000, 1000000, 10000000, 10000000, 60000000},
    {"claude-sonnet-5", "", 512000, 2000000, 200000, 2500000, 4000000, 10000000},
    {"claude-sonnet-4-5", "", 128000, 3000000, 300000, 3750000, 6000000, 15000000},
    {"claude-sonnet-4-5", "", 200000, 6000000, 600000, 7500000, 12000000, 22500000},
    {"claude-sonnet-4-6", "", 200000, 3000000, 300000, 3750000, 6000000, 15000000},
    {"claude-opus-4-1", "batch", 0, 7500000, 750000, 9375000, 15000000, 37500000},
    {"eu.anthropic.claude-opus-5", "", 0, 5500000, 550000, 6875000, 11000000, 27500000},
    {"gemini-2.5-pro", "", 128000, 1250000, 125000, 1250000, 1250000, 10000000},
    {"gemini-2.5-pro", "", 200000, 2500000, 250000, 2500000, 2500000, 15000000},
    {"gemini-3.1-pro-preview", "", 200000, 4000000, 400000, 4000000, 4000000, 18000000},
    {"gemini-3.6-flash", "", 0, 750000, 75000, 750000, 750000, 3750000},
};

START_TEST(costs_what_the_sources_say)
{
    struct price_hit hit = resolve(str_of(figures[_i].model));
    ck_assert_ptr_nonnull(hit.card);
    const struct price_line *line =
        price_line_for(hit.card, str_of(figures[_i].tier), figures[_i].context_above);
    ck_assert_ptr_nonnull(line);
    ck_assert_int_eq(price_of(&hit, line, PRICE_input), figures[_i].input);
    ck_assert_int_eq(price_of(&hit, line, PRICE_cached_input), figures[_i].cached_input);
    ck_assert_int_eq(price_of(&hit, line, PRICE_cache_write_5m), figures[_i].cache_write_5m);
    ck_assert_int_eq(price_of(&hit, line, PRICE_cache_write_1h), figures[_i].cache_write_1h);
    ck_assert_int_eq(price_of(&hit, line, PRICE_output), figures[_i].output);
    ck_assert_int_eq(price_of(&hit, line, PRICE_reasoning), figures[_i].output);
}
END_TEST

// A tier that the card does not know has no price, rather than the standard one.
START_TEST(knows_no_tier_without_a_source)
{
    struct price_hit hit = resolve(STR_LIT("claude-opus-5"));
    ck_assert_ptr_null(price_line_for(hit.card, STR_LIT("priority"), 0));
    hit = resolve(STR_LIT("gemini-3.6-flash"));
    ck_assert_ptr_null(price_line_for(hit.card, STR_LIT("flex"), 0));
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: test_price_names CATALOGUE NAMES\n");
        return 2;
    }
    catalogue_path = argv[1];
    names_path = argv[2];
    TCase *tc = tcase_create("price_names");
    tcase_add_checked_fixture(tc, load, unload);
    tcase_add_test(tc, finds_the_right_card);
    tcase_add_test(tc, every_name_of_a_card_is_exact);
    tcase_add_loop_test(tc, costs_what_the_sources_say, 0, ARRAY_LEN(figures));
    tcase_add_test(tc, knows_no_tier_without_a_source);
    Suite *suite = suite_create("price_names");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
