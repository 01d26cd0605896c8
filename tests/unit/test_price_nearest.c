// SPDX-License-Identifier: Apache-2.0
// test_price_nearest CATALOGUE: what stands near to a name, in the default catalogue and in small
// ones.
#include "deploy/admin/prices/price_nearest.h"

#include "common/core/price_file.h"
#include "common/core/price_name.h"
#include "tests/unit/price_case.h"

#include <stdio.h>

#define NOW INT64_C(1795219200000000) // 2026-11-21T00:00:00Z

static const char *catalogue_path;
static struct catalogue *c;
static struct price_nearest *nearest;

static void setup(void)
{
    c = catalogue_new();
}

static void teardown(void)
{
    price_nearest_free(nearest);
    nearest = NULL;
    catalogue_free(c);
}

static void load(void)
{
    FILE *f = fopen(catalogue_path, "rb");
    ck_assert_msg(f != NULL, "cannot open %s", catalogue_path);
    struct buf text = {0};
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
        buf_add(&text, chunk, n);
    fclose(f);
    struct price_card *cards;
    size_t count;
    struct err e;
    ck_assert_int_eq(price_file_parse((struct str){text.p, text.n}, NULL, PRICE_FILE_REFUSE_SLIPS,
                                      &cards, &count, &e),
                     0);
    for (size_t i = 0; i < count; i++) {
        cards[i].version = 1;
        catalogue_add(c, &cards[i]);
    }
    free(cards);
    buf_free(&text);
}

static void prepare(int64_t version, int64_t at_us)
{
    price_nearest_free(nearest);
    nearest = price_nearest_new(c, version, at_us);
}

// The models found, with blanks between; a name that is not the model's own behind a '~'.
static const char *near_to(struct str name)
{
    static char out[PRICE_NEAREST_MAX * 2 * (PRICE_NAME_MAX + 1) + 1];
    struct price_near found[PRICE_NEAREST_MAX];
    size_t count = price_nearest_find(nearest, name, found), n = 0;
    ck_assert_uint_le(count, PRICE_NEAREST_MAX);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *model = found[i].card->model;
        bool other = strcmp(model, found[i].name) != 0;
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s%s%s", i ? " " : "", model,
                              other ? "~" : "", other ? found[i].name : "");
    }
    return out;
}

static void assert_near(const char *name, const char *want)
{
    ck_assert_msg(strcmp(near_to(str_of(name)), want) == 0, "%s: near is \"%s\", want \"%s\"", name,
                  near_to(str_of(name)), want);
}

// The first of them.
static void assert_nearest(const char *name, const char *want)
{
    const char *all = near_to(str_of(name));
    size_t n = strcspn(all, " ~");
    ck_assert_msg(strlen(want) == n && strncmp(all, want, n) == 0,
                  "%s: near is \"%s\", want \"%s\"", name, all, want);
}

// ---- the default catalogue ----

START_TEST(what_people_write_is_near_to_what_they_mean)
{
    load();
    prepare(1, NOW);
    static const struct {
        const char *name, *want;
    } cases[] = {
        {"gpt4o", "gpt-4o"},
        {"gtp-4o", "gpt-4o"},
        {"GPT 4o mini", "gpt-4o-mini"},
        {"gpt4omini", "gpt-4o-mini"},
        {"gpt", "gpt-4"},
        {"gpt_4_1_nano", "gpt-4.1-nano"},
        {"gpt-4o-mini-2025-13-45", "gpt-4o-mini"}, // no day
        {"gpt-5.7", "gpt-5"},
        {"chatgpt-4o", "chatgpt-4o-latest"},
        {"ft:gpt-4o-mini:acme::abc123", "gpt-4o-mini"},
        {"o5-mini", "o3-mini"},
        {"my-proxy/gpt-4.1", "gpt-4.1"},
        {"claude-sonnet-4_5", "claude-sonnet-4-5"},
        {"claude-sonnet-4-7", "claude-sonnet-4"},
        {"anthropic/claude-3.7-sonet", "claude-3-7-sonnet"},
        {"claud-sonet-4", "claude-sonnet-4"},
        {"sonnet-claude-4", "claude-sonnet-4"},
        {"claude-5-opus", "claude-opus-5"},
        {"gemini-pro-2.5", "gemini-2.5-pro"},
        {"gemini-2.5-flash-thinking", "gemini-2.5-flash"},
        {"projects/p/locations/l/publishers/google/models/gemini-2-5-pro", "gemini-2.5-pro"},
        {"nova-lite-v2", "nova-lite"},
        {"text-embedding-3-medium", "text-embedding-3-large"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_nearest(cases[i].name, cases[i].want);
}
END_TEST

START_TEST(what_is_like_nothing_has_no_hint)
{
    load();
    prepare(1, NOW);
    static const char *const names[] = {
        "",
        "x",
        "!!!",
        "/",
        "a/",
        "1234567",
        "4-5",
        "foo-4-5",
        "house-llm",
        "asdfghjkl",
        "o5",
        "日本語モデル",
        "\xff\xfe",
        "instant-1.2",
        "deepseek-r2",
        "__other__",
        "mistral-large-3",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_near(names[i], "");
}
END_TEST

// ---- the rules ----

START_TEST(models_of_others_are_found_by_their_own_names)
{
    ADD(c, 1, .model = "groq/llama-3.1-8b-instant", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "together_ai/meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo",
        .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "cerebras/llama3.1-70b", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "deepinfra/deepseek-r1", .line = INPUT_OUTPUT(1, 1));
    prepare(1, NOW);
    assert_near("llama-3.1-70b", "cerebras/llama3.1-70b groq/llama-3.1-8b-instant "
                                 "together_ai/meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo");
    assert_nearest("accounts/fireworks/models/llama-v3p1-8b-instant", "groq/llama-3.1-8b-instant");
    assert_near("meta-llama/Llama-3.3-70B-Instruct",
                "cerebras/llama3.1-70b together_ai/meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo");
    assert_near("deepseek-r2", "deepinfra/deepseek-r1");
}
END_TEST

START_TEST(of_equally_near_ones_the_whole_name_decides_then_the_bytes)
{
    ADD(c, 1, .model = "zone-b/llama-3", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "zone-c/llama-3", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "zone-a/llama-3", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "elsewhere/llama-3", .line = INPUT_OUTPUT(1, 1));
    prepare(1, NOW);
    assert_near("zone-c/llama3", "zone-c/llama-3 zone-a/llama-3 zone-b/llama-3");
    assert_near("elsewhere/llama3", "elsewhere/llama-3 zone-a/llama-3 zone-b/llama-3");
}
END_TEST

START_TEST(a_card_is_found_once_by_its_nearest_name)
{
    ADD(c, 1, .model = "granite-8b", .alias = "granite-3.1-8b", .alias2 = "granite-3.0-8b",
        .line = INPUT_OUTPUT(1, 1));
    prepare(1, NOW);
    assert_near("granite_3.0_8b", "granite-8b~granite-3.0-8b");
    assert_near("granite-8-b", "granite-8b");
    assert_near("granite-3.1-9b", "granite-8b~granite-3.1-8b");
}
END_TEST

START_TEST(only_what_everybody_pays_then_is_near)
{
    ADD(c, 1, .tenant = "acme", .model = "granite-1", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "granite-2", .from_us = MINUTE(10), .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "granite-3", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 2, .model = "granite-3", .withdrawn = true);
    ADD(c, 2, .model = "granite-4", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 2, .model = "*", .line = INPUT_OUTPUT(1, 1));
    prepare(2, MINUTE(10));
    assert_near("granite-9", "granite-2 granite-4");
    prepare(2, MINUTE(10) - 1);
    assert_near("granite-9", "granite-4");
    prepare(1, MINUTE(10));
    assert_near("granite-9", "granite-2 granite-3");
    prepare(2, MINUTE(10));
    assert_near("*", "");
}
END_TEST

START_TEST(a_slip_of_a_quarter_of_the_letters_is_near)
{
    ADD(c, 1, .model = "abcdefgh", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "vwx", .line = INPUT_OUTPUT(1, 1));
    prepare(1, NOW);
    static const char *const near[] = {"abcdefgh", "badcefgh",   "abcdefxy",       "cdefgh",
                                       "bcdefgha", "xyabcdefgh", "a.b.c.d.e.f.g.h"};
    for (size_t i = 0; i < ARRAY_LEN(near); i++)
        assert_near(near[i], "abcdefgh");
    static const char *const far[] = {"badcfegh", "abcdexyz", "defgh", "xyzabcdefgh", "vwy"};
    for (size_t i = 0; i < ARRAY_LEN(far); i++)
        assert_near(far[i], "");
}
END_TEST

START_TEST(names_of_any_length_are_compared)
{
    char longest[PRICE_NAME_MAX + 1], other[PRICE_NAME_MAX + 1], beyond[PRICE_NAME_MAX + 2];
    for (size_t i = 0; i < PRICE_NAME_MAX; i++)
        longest[i] = i % 2 ? '1' : (char)('a' + i % 26);
    longest[PRICE_NAME_MAX] = '\0';
    memcpy(other, longest, sizeof(longest));
    other[200] = '9';
    memset(beyond, 'a', sizeof(beyond) - 1);
    beyond[sizeof(beyond) - 1] = '\0';
    ADD(c, 1, .model = longest, .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "granite-1", .line = INPUT_OUTPUT(1, 1));
    prepare(1, NOW);
    assert_near(longest, longest);
    assert_near(other, longest);
    assert_near(beyond, "");
    teardown();
    setup();
    prepare(1, NOW);
    assert_near("granite-1", ""); // an empty catalogue
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    catalogue_path = argv[1];
    TCase *tc = tcase_create("price_nearest");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_people_write_is_near_to_what_they_mean);
    tcase_add_test(tc, what_is_like_nothing_has_no_hint);
    tcase_add_test(tc, models_of_others_are_found_by_their_own_names);
    tcase_add_test(tc, of_equally_near_ones_the_whole_name_decides_then_the_bytes);
    tcase_add_test(tc, a_card_is_found_once_by_its_nearest_name);
    tcase_add_test(tc, only_what_everybody_pays_then_is_near);
    tcase_add_test(tc, a_slip_of_a_quarter_of_the_letters_is_near);
    tcase_add_test(tc, names_of_any_length_are_compared);
    Suite *suite = suite_create("price_nearest");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
