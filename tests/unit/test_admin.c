// SPDX-License-Identifier: Apache-2.0
// The pure parts of streamlens-admin: its command line, its tables, and when a price may begin.
#include "common/core/price_file.h"
#include "common/core/timeunit.h"
#include "deploy/admin/args.h"
#include "deploy/admin/prices/price_change.h"
#include "deploy/admin/prices/price_words.h"
#include "deploy/admin/table.h"

#include <check.h>

static struct err e;
static struct args args;
static struct buf text;
static struct catalogue *catalogue;

static void make(void)
{
    e = (struct err){.offset = 0};
    catalogue = catalogue_new();
}

static void clear(void)
{
    args_free(&args);
    buf_free(&text);
    catalogue_free(catalogue);
}

// ---- args ----

static const struct arg_option options[ARGS_OPTIONS_MAX] = {{"tenant", "T", ""},
                                                            {"json", NULL, ""}};

static int read_line(const char *const *words)
{
    int n = 0;
    while (words[n])
        n++;
    args_free(&args);
    return args_read(options, n, (char **)(uintptr_t)words, &args, &e);
}

#define LINE(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(options_words_and_settings_stand_in_any_order)
{
    ck_assert_int_eq(read_line(LINE("a", "--tenant", "acme", "-", "--log-level=warn", "--json",
                                    "--", "--b", "--json")),
                     0);
    ck_assert_str_eq(args_get(&args, "tenant"), "acme");
    ck_assert_str_eq(args_get(&args, "json"), "");
    ck_assert_ptr_null(args_get(&args, "other"));
    ck_assert_uint_eq(args.word_count, 4);
    ck_assert_str_eq(args.words[0], "a");
    ck_assert_str_eq(args.words[1], "-");
    ck_assert_str_eq(args.words[2], "--b");
    ck_assert_str_eq(args.words[3], "--json");
    ck_assert_int_eq(args.setting_count, 2);
    ck_assert_str_eq(args.settings[1], "--log-level=warn");
    ck_assert_ptr_null(args.settings[2]);
}
END_TEST

START_TEST(an_option_is_no_beginning_of_another)
{
    ck_assert_int_eq(read_line(LINE("--tenants=x", "--ten=y", "--tenant=")), 0);
    ck_assert_str_eq(args_get(&args, "tenant"), "");
    ck_assert_int_eq(args.setting_count, 3);
    ck_assert_str_eq(args_str(&args, "json", "dflt").p, "dflt");
}
END_TEST

START_TEST(options_given_wrongly_are_named)
{
    ck_assert_int_eq(read_line(LINE("--tenant")), ARGS_WRONG);
    ck_assert_str_eq(e.detail, "--tenant needs a value: --tenant=T");
    ck_assert_int_eq(read_line(LINE("--tenant=a", "--tenant", "b")), ARGS_WRONG);
    ck_assert_str_eq(e.detail, "--tenant is given twice");
    ck_assert_int_eq(read_line(LINE("--json=1")), ARGS_WRONG);
    ck_assert_str_eq(e.detail, "--json takes no value");
}
END_TEST

START_TEST(as_many_words_as_there_is_room_for)
{
    const char *line[ARGS_WORDS_MAX + 2] = {NULL};
    for (int i = 0; i < ARGS_WORDS_MAX; i++)
        line[i] = "w";
    ck_assert_int_eq(read_line(line), 0);
    ck_assert_uint_eq(args.word_count, ARGS_WORDS_MAX);
    line[ARGS_WORDS_MAX] = "w";
    ck_assert_int_eq(read_line(line), ARGS_WRONG);
}
END_TEST

// ---- table ----

START_TEST(columns_are_as_wide_as_their_widest_cell)
{
    struct table t = {.columns = 3};
    const char *cells[] = {"A", "BB", "C", "ä€", "b", "", "aaa", "", "ccc"};
    for (size_t i = 0; i < ARRAY_LEN(cells); i++)
        table_add(&t, cells[i]);
    table_render(&t, &text);
    buf_addc(&text, '\0');
    ck_assert_str_eq(text.p, "A    BB  C\nä€   b\naaa      ccc\n");
    ck_assert_uint_eq(t.count, 0);
}
END_TEST

// ---- when a price may begin ----

// input: PRICE_NONE withdraws the model.
static void add_card(const char *tenant, const char *model, int64_t from_us, int64_t input)
{
    struct price_card card = {
        .version = catalogue_version(catalogue) + 1,
        .effective_from_us = from_us,
        .tenant = xstrdup(tenant),
        .provider = xstrdup(""),
        .model = xstrdup(model),
        .withdrawn = input == PRICE_NONE,
        .discount_ppm = PRICE_NONE,
        .lines = xcalloc(1, sizeof(struct price_line)),
        .line_count = 1,
        .source = xstrdup(""),
    };
    card.lines[0].tier = xstrdup("");
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        card.lines[0].pusd[k] = PRICE_NONE;
    card.lines[0].pusd[PRICE_input] = card.lines[0].pusd[PRICE_output] = input;
    catalogue_add(catalogue, &card);
}

#define NOW (INT64_C(30000000) * US_PER_MIN)

START_TEST(the_earliest_minute_is_at_least_one_ahead)
{
    ck_assert_int_eq(price_change_earliest_us(NOW), NOW + US_PER_MIN);
    ck_assert_int_eq(price_change_earliest_us(NOW + 1), NOW + 2 * US_PER_MIN);
    ck_assert_int_eq(price_change_earliest_us(NOW - 1), NOW + US_PER_MIN);
}
END_TEST

static int check_time(const char *tenant, const char *model, int64_t from_us, int64_t input)
{
    struct catalogue *kept = catalogue;
    catalogue = catalogue_new();
    add_card(tenant, model, from_us, input);
    int rc = price_change_check_time(kept, catalogue_at(catalogue, 0), NOW, &e);
    catalogue_free(catalogue);
    catalogue = kept;
    return rc;
}

START_TEST(a_change_may_begin_then_and_no_minute_before)
{
    add_card("", "alpha", INT64_MIN, 1000000);
    ck_assert_int_eq(check_time("", "alpha", NOW + US_PER_MIN, 2000000), 0);
    ck_assert_int_eq(check_time("", "alpha", NOW, 2000000), -1);
    ck_assert_str_eq(e.field, "effective_from");
    ck_assert_int_eq(check_time("", "ALPHA", INT64_MIN, 2000000), -1);
    // What changes nothing, another tenant's and another model's first card may.
    ck_assert_int_eq(check_time("", "alpha", INT64_MIN, 1000000), 0);
    ck_assert_int_eq(check_time("acme", "alpha", INT64_MIN, 2000000), 0);
    ck_assert_int_eq(check_time("", "beta", INT64_MIN, 2000000), 0);
}
END_TEST

START_TEST(a_card_that_is_to_come_makes_a_model_known)
{
    add_card("", "alpha", NOW + US_PER_DAY, 1000000);
    ck_assert_int_eq(check_time("", "alpha", NOW, 2000000), -1);
    ck_assert_ptr_null(price_change_holding(catalogue, "", "alpha", NOW));
    ck_assert_ptr_nonnull(price_change_newest(catalogue, "", "alpha"));
}
END_TEST

START_TEST(a_withdrawn_card_is_one_of_its_model)
{
    add_card("", "alpha", INT64_MIN, 1000000);
    add_card("", "alpha", NOW + US_PER_DAY, PRICE_NONE);
    ck_assert(price_change_newest(catalogue, "", "ALPHA")->withdrawn);
    ck_assert(!price_change_holding(catalogue, "", "alpha", NOW)->withdrawn);
    ck_assert_int_eq(check_time("", "alpha", NOW, 2000000), -1);
    ck_assert_int_eq(check_time("", "alpha", NOW, PRICE_NONE), -1);
    ck_assert_int_eq(check_time("", "alpha", NOW + US_PER_MIN, PRICE_NONE), 0);
    ck_assert_int_eq(check_time("", "alpha", NOW + 2 * US_PER_DAY, 2000000), 0);
}
END_TEST

static bool is_none(const char *tenant, const char *model, int64_t from_us, int64_t input)
{
    struct catalogue *kept = catalogue;
    catalogue = catalogue_new();
    add_card(tenant, model, from_us, input);
    bool none = price_change_is_none(kept, catalogue_at(catalogue, 0));
    catalogue_free(catalogue);
    catalogue = kept;
    return none;
}

START_TEST(to_withdraw_what_is_not_there_changes_nothing)
{
    add_card("", "alpha", NOW, 1000000);
    add_card("", "alpha", NOW + US_PER_DAY, PRICE_NONE);
    add_card("", "beta", NOW, 0);
    ck_assert(is_none("", "alpha", NOW - US_PER_MIN, PRICE_NONE));
    ck_assert(!is_none("", "alpha", NOW, PRICE_NONE));
    ck_assert(is_none("", "alpha", NOW + US_PER_DAY, PRICE_NONE));
    ck_assert(is_none("", "alpha", NOW + 2 * US_PER_DAY, PRICE_NONE));
    ck_assert(is_none("acme", "alpha", NOW, PRICE_NONE));
    ck_assert(is_none("", "gamma", INT64_MIN, PRICE_NONE));
    // Free is a price.
    ck_assert(!is_none("", "beta", NOW, PRICE_NONE));
    ck_assert(!is_none("", "alpha", NOW + US_PER_DAY, 0));
}
END_TEST

static const char *description_of(const char *tenant, int64_t from_us, int64_t input)
{
    struct catalogue *kept = catalogue;
    catalogue = catalogue_new();
    add_card(tenant, "alpha", from_us, input);
    buf_clear(&text);
    price_change_describe(kept, catalogue_at(catalogue, 0), &text);
    buf_addc(&text, '\0');
    catalogue_free(catalogue);
    catalogue = kept;
    return text.p;
}

START_TEST(a_withdrawal_is_described)
{
    add_card("", "alpha", INT64_MIN, 1000000);
    ck_assert_str_eq(description_of("", NOW, PRICE_NONE),
                     "withdrawn alpha, from 2027-01-15T08:00:00Z\n");
    add_card("", "alpha", NOW, PRICE_NONE);
    ck_assert_str_eq(description_of("", NOW + US_PER_DAY, 2000000),
                     "changed alpha, from 2027-01-16T08:00:00Z: input 2, output 2\n");
    ck_assert_str_eq(
        description_of("", NOW - US_PER_DAY, PRICE_NONE),
        "withdrawn alpha, from 2027-01-14T08:00:00Z\n"
        "  note: version 2 has a card of it from 2027-01-15T08:00:00Z, which holds from "
        "then on as it is\n");
    ck_assert_str_eq(description_of("acme", INT64_MIN, PRICE_NONE),
                     "withdrawn alpha of tenant acme, from ever\n");
}
END_TEST

// ---- words ----

static const char *file_of(bool now, const char *const *words, size_t count)
{
    buf_clear(&text);
    ck_assert_msg(price_words_to_file(catalogue, NOW + 1, now, words, count, &text, &e) == 0, "%s",
                  e.detail);
    buf_addc(&text, '\0');
    return strchr(text.p, '\n') + 1;
}

START_TEST(words_are_laid_over_the_card_that_holds)
{
    add_card("", "alpha", INT64_MIN, 1000000);
    add_card("", "alpha", NOW + US_PER_DAY, 5000000);
    const char *const words[] = {"ALPHA", "output=3"};
    ck_assert_str_eq(file_of(false, words, 2),
                     ",,alpha,,,,USD/Mtok,1,,,,3,,,,2027-01-15T08:02:00Z,,\n");
    ck_assert_str_eq(file_of(true, words, 2),
                     ",,alpha,,,,USD/Mtok,1,,,,3,,,,2027-01-15T08:00:00Z,,\n");
}
END_TEST

START_TEST(words_that_withdraw_leave_names_alone)
{
    const char *const words[] = {"alpha", "unit=none", "tenant="};
    add_card("", "alpha", INT64_MIN, 1000000);
    ck_assert_str_eq(file_of(false, words, 2), ",,alpha,,,,none,,,,,,,,,2027-01-15T08:02:00Z,,\n");
    ck_assert_str_eq(file_of(true, words, 3), ",,alpha,,,,none,,,,,,,,,2027-01-15T08:00:00Z,,\n");
    // What is given all the same is left to the file's reader to refuse.
    const char *const more[] = {"alpha", "input=1", "tier=batch", "unit=none", "source=s"};
    ck_assert_str_eq(file_of(true, more, 5),
                     ",,alpha,,batch,,none,1,,,,,,,,2027-01-15T08:00:00Z,s,\n");
}
END_TEST

START_TEST(words_give_a_withdrawn_model_prices_anew)
{
    const char *const words[] = {"alpha", "input=3", "output=4"};
    add_card("", "alpha", INT64_MIN, 1000000);
    add_card("", "alpha", NOW, PRICE_NONE);
    ck_assert_str_eq(file_of(false, words, 3),
                     ",,alpha,,,,USD/Mtok,3,,,,4,,,,2027-01-15T08:02:00Z,,\n");
}
END_TEST

START_TEST(there_must_be_a_card_to_withdraw)
{
    static const char *const words[][3] = {{"beta", "unit=none", "tenant="},
                                           {"alpha", "unit=none", "tenant=acme"},
                                           {"alph", "unit=none", "tenant="}};
    add_card("", "alpha", INT64_MIN, 1000000);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        ck_assert_int_eq(price_words_to_file(catalogue, NOW, false, words[i], 3, &text, &e),
                         ARGS_WRONG);
        ck_assert_str_eq(e.field, "model");
        ck_assert_ptr_nonnull(strstr(e.detail, i == 1 ? "tenant acme" : "everybody"));
    }
}
END_TEST

START_TEST(a_price_of_another_unit_is_converted_exactly)
{
    const char *const words[] = {"m", "unit=USD/tok", "input=0.000000000001", "output=x",
                                 "request=2"};
    ck_assert_str_eq(file_of(false, words, 5), ",,m,,,,USD/Mtok,0.000001,,,,x,,2,,,,\n");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, options_words_and_settings_stand_in_any_order);
    tcase_add_test(tc, an_option_is_no_beginning_of_another);
    tcase_add_test(tc, options_given_wrongly_are_named);
    tcase_add_test(tc, as_many_words_as_there_is_room_for);
    tcase_add_test(tc, columns_are_as_wide_as_their_widest_cell);
    tcase_add_test(tc, the_earliest_minute_is_at_least_one_ahead);
    tcase_add_test(tc, a_change_may_begin_then_and_no_minute_before);
    tcase_add_test(tc, a_card_that_is_to_come_makes_a_model_known);
    tcase_add_test(tc, words_are_laid_over_the_card_that_holds);
    tcase_add_test(tc, a_withdrawn_card_is_one_of_its_model);
    tcase_add_test(tc, to_withdraw_what_is_not_there_changes_nothing);
    tcase_add_test(tc, a_withdrawal_is_described);
    tcase_add_test(tc, words_that_withdraw_leave_names_alone);
    tcase_add_test(tc, words_give_a_withdrawn_model_prices_anew);
    tcase_add_test(tc, there_must_be_a_card_to_withdraw);
    tcase_add_test(tc, a_price_of_another_unit_is_converted_exactly);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
