// SPDX-License-Identifier: Apache-2.0
// What a correction of the past changes: sums, names and instants.
#include "common/core/timeunit.h"
#include "deploy/admin/prices/price_cuts.h"
#include "deploy/admin/reprice/reprice_diff.h"
#include "deploy/admin/reprice/reprice_scope.h"
#include "deploy/admin/reprice/reprice_show.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>

#define T0 (INT64_C(495000) * US_PER_HOUR)

static struct catalogue *c;
static struct reprice_diff diff;
static struct reprice_names wanted, names;
static struct buf out;

static void setup(void)
{
    c = catalogue_new();
}

static void teardown(void)
{
    catalogue_free(c);
    reprice_diff_free(&diff);
    reprice_names_free(&wanted);
    reprice_names_free(&names);
    buf_free(&out);
}

// Input costs `input`, output twice that, picodollars a token; aliases by blanks.
static void add_card(int64_t version, const char *tenant, const char *model, const char *alias,
                     int64_t from_us, int64_t input)
{
    struct price_card card = {.version = version, .effective_from_us = from_us, .discount_ppm = -1};
    card.tenant = xstrdup(tenant);
    card.provider = xstrdup("");
    card.model = xstrdup(model);
    card.source = xstrdup("");
    card.alias_count = alias ? 1 : 0;
    card.aliases = xcalloc(1, sizeof(*card.aliases));
    if (alias)
        card.aliases[0] = xstrdup(alias);
    card.lines = xcalloc(1, sizeof(*card.lines));
    card.line_count = 1;
    card.lines[0].tier = xstrdup("");
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        card.lines[0].pusd[k] = PRICE_NONE;
    card.lines[0].pusd[PRICE_input] = input;
    card.lines[0].pusd[PRICE_output] = 2 * input;
    catalogue_add(c, &card);
}

static struct usage_key key_of(const char *model)
{
    return (struct usage_key){.model = str_of(model), .asked = str_of(""), .tier = str_of("")};
}

static void add_usage(int64_t version, int64_t row_version, const char *model, int64_t requests,
                      int64_t tokens)
{
    struct usage_key key = key_of(model);
    struct usage u = {.requests = requests, .uncached_prompt_tokens = tokens};
    reprice_diff_add(&diff, c, version, row_version, T0, str_of("t"), &key, &u);
}

static const struct reprice_model *model_named(const char *model)
{
    for (size_t i = 0; i < diff.n; i++)
        if (str_eq(diff.v[i]->model, str_of(model)))
            return diff.v[i];
    ck_abort_msg("no model %s", model);
}

START_TEST(usage_is_priced_by_its_own_version_and_by_the_new_one)
{
    add_card(1, "", "a", NULL, 0, 100);
    add_card(2, "", "a", NULL, 0, 300);
    add_card(3, "", "a", NULL, 0, 500);
    add_usage(3, 1, "a", 2, 10);
    add_usage(3, 2, "a", 3, 1000);
    const struct reprice_model *m = model_named("a");
    ck_assert(m->before.estimated == 10 * 100 + 1000 * 300);
    ck_assert(m->after.estimated == 1010 * 500);
    ck_assert(reprice_model_change(m) == 1010 * 500 - 10 * 100 - 1000 * 300);
    ck_assert_int_eq(m->requests, 5);
    ck_assert_int_eq(m->tokens, 1010);
    ck_assert(diff.total.before.estimated == m->before.estimated);
    ck_assert(diff.total.after.estimated == m->after.estimated);
    ck_assert_uint_eq(diff.n, 1);
}
END_TEST

START_TEST(what_names_a_newer_version_does_not_count)
{
    add_card(1, "", "a", NULL, 0, 100);
    add_card(2, "", "a", NULL, 0, 300);
    add_usage(1, 2, "a", 2, 10);
    ck_assert_uint_eq(diff.n, 0);
    ck_assert_int_eq(diff.total.requests, 0);
    add_usage(1, 1, "a", 2, 10);
    ck_assert_int_eq(diff.total.requests, 2);
}
END_TEST

START_TEST(prices_that_are_gained_and_lost)
{
    add_card(1, "", "lost", NULL, 0, 100);
    add_card(2, "", "gained", NULL, 0, 0);
    add_card(2, "", "lost-not", NULL, 0, 100);
    struct price_card copy;
    price_card_copy(&copy, catalogue_at(c, 0));
    copy.version = 2;
    copy.withdrawn = true;
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        copy.lines[0].pusd[k] = PRICE_NONE;
    catalogue_add(c, &copy);
    add_usage(2, 1, "gained", 7, 1);
    add_usage(2, 1, "lost", 3, 1);
    add_usage(2, 1, "none", 1, 1);
    ck_assert_int_eq(model_named("gained")->now_priced, 7);
    ck_assert_int_eq(model_named("gained")->now_unpriced, 0);
    // Its amount stays, and yet it changes.
    ck_assert(reprice_model_change(model_named("gained")) == 0);
    ck_assert(reprice_model_changes(model_named("gained")));
    ck_assert_int_eq(model_named("lost")->now_unpriced, 3);
    ck_assert(!reprice_model_changes(model_named("none")));
    ck_assert_int_eq(diff.total.now_priced, 7);
    ck_assert_int_eq(diff.total.now_unpriced, 3);
}
END_TEST

START_TEST(the_greatest_change_is_first)
{
    static const char *const models[] = {"b", "d", "a", "c", "e"};
    add_card(1, "", "a", NULL, 0, 100);
    add_card(2, "", "a", NULL, 0, 101);
    add_card(1, "", "d", NULL, 0, 100);
    add_card(2, "", "d", NULL, 0, 50);
    add_card(2, "", "c", NULL, 0, 0);
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        add_usage(2, 1, models[i], 1, 1);
    reprice_diff_order(&diff);
    char order[8] = "";
    for (size_t i = 0; i < diff.n; i++)
        order[i] = diff.v[i]->model.p[0];
    ck_assert_str_eq(order, "dacbe"); // c gains a price of 0
}
END_TEST

START_TEST(many_models_of_many_tenants_are_summed)
{
    enum { MODELS = 500, TENANTS = 20 };
    static char texts[MODELS][16];
    add_card(1, "", "m-7", NULL, 0, 100);
    add_card(2, "", "m-7", NULL, 0, 300);
    for (int t = 0; t < TENANTS; t++)
        for (int m = 0; m < MODELS; m++) {
            snprintf(texts[m], sizeof(texts[m]), "m-%d", m);
            add_usage(2, 1, texts[m], 1, m + t);
        }
    ck_assert_uint_eq(diff.n, MODELS);
    ck_assert_int_eq(diff.total.requests, MODELS * TENANTS);
    ck_assert_int_eq(model_named("m-7")->tokens, 7 * TENANTS + TENANTS * (TENANTS - 1) / 2);
    reprice_diff_order(&diff);
    ck_assert_str_eq(diff.v[0]->model.p, "m-7");
    for (size_t i = 2; i < diff.n; i++)
        ck_assert_int_lt(strcmp(diff.v[i - 1]->model.p, diff.v[i]->model.p), 0);
}
END_TEST

// ---- instants ----

START_TEST(cuts_lie_inside_and_are_there_once)
{
    int64_t *cuts, *hours;
    add_card(1, "", "a", NULL, T0, 1);
    add_card(1, "", "b", NULL, T0 + 90 * US_PER_MIN, 1);
    add_card(1, "t", "b", NULL, T0 + 90 * US_PER_MIN, 1);
    add_card(2, "", "a", NULL, T0 + US_PER_MIN, 1);
    add_card(2, "", "c", NULL, T0 + 3 * US_PER_HOUR, 1);
    add_card(2, "", "d", NULL, T0 + 4 * US_PER_HOUR, 1);
    size_t n = price_cuts(c, T0, T0 + 4 * US_PER_HOUR, NULL, 0, &cuts);
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(cuts[0], T0 + US_PER_MIN);
    ck_assert_int_eq(cuts[1], T0 + 90 * US_PER_MIN);
    ck_assert_int_eq(cuts[2], T0 + 3 * US_PER_HOUR);
    n = reprice_hour_cuts(cuts, n, &hours);
    ck_assert_uint_eq(n, 4); // each hour with a cut inside is a piece
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(hours[i], T0 + i * US_PER_HOUR);
    free(cuts);
    free(hours);
}
END_TEST

START_TEST(a_price_moves_inside_an_hour_or_not)
{
    add_card(1, "", "a", NULL, 0, 10);
    add_card(1, "", "a", NULL, T0 + 30 * US_PER_MIN, 20);
    add_card(1, "", "b", NULL, 0, 20);
    add_card(1, "", "b", NULL, T0 + 30 * US_PER_MIN, 10);
    add_card(1, "", "d", NULL, 0, 5);
    const int64_t cut = T0 + 30 * US_PER_MIN;
    const struct reprice_scope s = {.catalogue = c, .version = 1, .cuts_us = &cut, .cut_count = 1};
    struct usage_lines l = {0};
    const struct usage u = {.requests = 1, .uncached_prompt_tokens = 10};
    struct usage_key a = key_of("a"), b = key_of("b"), d = key_of("d");
    usage_lines_add(&l, &d, &u);
    ck_assert(!reprice_moves(&s, T0, T0 + US_PER_HOUR, str_of(""), &l));
    usage_lines_add(&l, &a, &u);
    ck_assert(reprice_moves(&s, T0, T0 + US_PER_HOUR, str_of(""), &l));
    // From the cut on, and up to it, nothing moves.
    ck_assert(!reprice_moves(&s, cut, cut + US_PER_HOUR, str_of(""), &l));
    ck_assert(!reprice_moves(&s, cut - US_PER_HOUR, cut, str_of(""), &l));
    // Two that cancel out move.
    usage_lines_add(&l, &b, &u);
    ck_assert(reprice_moves(&s, T0, T0 + US_PER_HOUR, str_of(""), &l));
    usage_lines_clear(&l);
}
END_TEST

// ---- names ----

static void take(const char *name)
{
    reprice_names_take(&names, &wanted, str_of(name));
}

START_TEST(a_model_is_meant_by_all_its_names)
{
    add_card(1, "", "Alpha", "alpha-old", 0, 1);
    add_card(2, "", "alpha", "alpha-x", 0, 1);
    add_card(2, "t", "alpha", "mine", 0, 1);
    add_card(2, "", "beta", "beta-x", 0, 1);
    reprice_names_want(&wanted, c, str_of("ALPHA"));
    ck_assert_uint_eq(wanted.n, 4);
    static const char *const meant[] = {"alpha",   "ALPHA", "alpha-old",       "openai/Alpha-X",
                                        "us/mine", "alpha", "alpha-2026-01-02"};
    static const char *const others[] = {"alphabet", "alpha-mini", "beta", "beta-x", "x/alpha", ""};
    for (size_t i = 0; i < ARRAY_LEN(meant); i++) {
        take(meant[i]);
        ck_assert_msg(reprice_names_has(&names, str_of(meant[i])), "%s", meant[i]);
    }
    ck_assert_uint_eq(names.n, ARRAY_LEN(meant) - 1);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        take(others[i]);
    ck_assert_uint_eq(names.n, ARRAY_LEN(meant) - 1);
    for (size_t i = 1; i < names.n; i++)
        ck_assert_int_lt(strcmp(names.v[i - 1], names.v[i]), 0);
    // As usage bears it, byte by byte.
    ck_assert(!reprice_names_has(&names, str_of("Alpha")));
}
END_TEST

START_TEST(a_row_is_meant_by_one_of_its_lines)
{
    reprice_names_want(&wanted, c, str_of("alpha"));
    take("alpha");
    struct reprice_scope s = {.catalogue = c, .version = 3, .names = &names};
    struct usage_lines l = {0};
    const struct usage u = {.requests = 1};
    struct usage_key beta = key_of("beta"), inner = key_of("inner");
    inner.asked = str_of("alpha");
    usage_lines_add(&l, &beta, &u);
    ck_assert(!reprice_concerns(&s, 1, &l));
    usage_lines_add(&l, &inner, &u);
    ck_assert(reprice_concerns(&s, 1, &l));
    ck_assert(reprice_concerns(&s, 3, &l));
    ck_assert(!reprice_concerns(&s, 4, &l));
    s.names = NULL;
    ck_assert(reprice_concerns(&s, 3, &(struct usage_lines){0}));
    usage_lines_clear(&l);
}
END_TEST

START_TEST(what_a_row_keeps_is_bounded)
{
    add_card(1, "", "a", NULL, 0, INT64_C(1) << 40);
    const struct reprice_scope s = {.catalogue = c, .version = 1};
    struct usage_lines l = {0};
    const struct usage u = {.requests = 1, .uncached_prompt_tokens = INT64_C(1) << 40};
    struct usage_key a = key_of("a");
    usage_lines_add(&l, &a, &u);
    struct cost cost = reprice_price(&s, T0, str_of(""), &l);
    ck_assert(cost.estimated == (money)1 << 80);
    ck_assert(cost.classes[PRICE_input] == INT64_MAX);
    usage_lines_clear(&l);
}
END_TEST

// ---- as it is shown ----

static const char *text(void)
{
    buf_addc(&out, '\0');
    return out.p;
}

START_TEST(more_models_than_are_shown)
{
    static char texts[REPRICE_MODELS_SHOWN + 1][16];
    add_card(1, "", "m-0", NULL, 0, 100);
    for (int m = 0; m <= REPRICE_MODELS_SHOWN; m++) {
        snprintf(texts[m], sizeof(texts[m]), "m-%d", m);
        add_card(2, "", texts[m], NULL, 0, 300);
    }
    const struct reprice_stored same = {0, 0};
    for (int m = 0; m < REPRICE_MODELS_SHOWN; m++)
        add_usage(2, 1, texts[m], 1, 1);
    reprice_diff_order(&diff);
    reprice_add_diff_text(&out, &diff, &same);
    ck_assert_ptr_null(strstr(text(), "…"));
    ck_assert_ptr_nonnull(strstr(out.p, "\nm-49 "));
    buf_clear(&out);
    reprice_diff_free(&diff);
    for (int m = 0; m <= REPRICE_MODELS_SHOWN; m++)
        add_usage(2, 1, texts[m], 1, 1);
    reprice_diff_order(&diff);
    reprice_add_diff_text(&out, &diff, &same);
    ck_assert_ptr_nonnull(strstr(text(), "\n… and 1 more model (--json has all)\n"));
    ck_assert_ptr_nonnull(strstr(out.p, "\ntotal "));
    ck_assert_ptr_null(strstr(out.p, "the rows"));
}
END_TEST

START_TEST(programs_get_all_of_it)
{
    add_card(1, "", "m", NULL, 0, 100);
    add_card(2, "", "m", NULL, 0, 250);
    add_usage(2, 1, "m", 3, 4);
    const struct reprice_request r = {T0, T0 + US_PER_HOUR, NULL, "m", 2};
    const struct reprice_stored s = {410, 400};
    reprice_add_diff_json(&out, &r, &diff, &s);
    json_t *all = json_loads(text(), JSON_REJECT_DUPLICATES, NULL),
           *d = json_object_get(all, "difference");
    ck_assert_ptr_nonnull(d);
    ck_assert_str_eq(json_string_value(json_object_get(d, "from")), "2026-06-21T00:00:00Z");
    ck_assert(json_is_null(json_object_get(d, "tenant_id")));
    ck_assert_str_eq(json_string_value(json_object_get(d, "stored_usd")), "0.00000000041");
    const json_t *m = json_array_get(json_object_get(d, "models"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(m, "change_usd")), "0.0000000006");
    ck_assert_int_eq(json_integer_value(json_object_get(m, "requests")), 3);
    json_decref(all);
    buf_clear(&out);
    const struct reprice_result result = {7, true, {3, 2, 1, -5}, 2000, 0.5};
    reprice_add_result_json(&out, &result);
    ck_assert_str_eq(text(), "{\"result\":{\"reprice_id\":7,\"went_on\":true,\"rows_changed\":3,"
                             "\"hours_changed\":2,\"hours_left\":1,\"cost_change_usd\":"
                             "\"-0.000000000005\",\"rows_read\":2000,\"seconds\":0.500,"
                             "\"seconds_per_million_rows\":250.000}}\n");
}
END_TEST

START_TEST(how_much_of_a_range_is_done)
{
    const struct reprice_request r = {T0 + 30 * US_PER_MIN, T0 + 150 * US_PER_MIN, NULL, NULL, 1};
    ck_assert_double_eq(reprice_percent(&r, T0), 0); // the hour begins before the range
    ck_assert_double_eq(reprice_percent(&r, T0 + US_PER_HOUR), 25);
    ck_assert_double_eq(reprice_percent(&r, T0 + 3 * US_PER_HOUR), 100);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reprice_diff");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, usage_is_priced_by_its_own_version_and_by_the_new_one);
    tcase_add_test(tc, what_names_a_newer_version_does_not_count);
    tcase_add_test(tc, prices_that_are_gained_and_lost);
    tcase_add_test(tc, the_greatest_change_is_first);
    tcase_add_test(tc, many_models_of_many_tenants_are_summed);
    tcase_add_test(tc, cuts_lie_inside_and_are_there_once);
    tcase_add_test(tc, a_price_moves_inside_an_hour_or_not);
    tcase_add_test(tc, a_model_is_meant_by_all_its_names);
    tcase_add_test(tc, a_row_is_meant_by_one_of_its_lines);
    tcase_add_test(tc, what_a_row_keeps_is_bounded);
    tcase_add_test(tc, more_models_than_are_shown);
    tcase_add_test(tc, programs_get_all_of_it);
    tcase_add_test(tc, how_much_of_a_range_is_done);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
