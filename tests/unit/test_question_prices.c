// SPDX-License-Identifier: Apache-2.0
// What is asked of the catalogue: whose, as of when, which name; and its pages.
#include "tests/unit/question_case.h"

#define PRICES ENDPOINT_PRICES
#define READER                                                                                     \
    {                                                                                              \
        .tenant = { "acme", 4 }                                                                    \
    }
#define OPERATOR                                                                                   \
    {                                                                                              \
        .any_tenant = true                                                                         \
    }
#define NOBODY                                                                                     \
    {                                                                                              \
        .any_tenant = false                                                                        \
    }
#define EVERY "every"

// gets: whose cards beside everybody's; NULL: nobody's.
static const struct {
    struct question_rights rights;
    const char *asks;
    enum question_verdict verdict;
    const char *gets;
} whose[] = {
    {READER, "", QUESTION_FINE, "acme"},
    {READER, "tenant_id=acme", QUESTION_FINE, "acme"},
    {READER, "tenant_id=other", QUESTION_OTHER_TENANT, NULL},
    {READER, "tenant_id=other&name=m", QUESTION_OTHER_TENANT, NULL},
    {READER, "tenant_id=*", QUESTION_OTHER_TENANT, NULL},
    {OPERATOR, "", QUESTION_FINE, NULL},
    {OPERATOR, "name=m", QUESTION_FINE, NULL},
    {OPERATOR, "tenant_id=other", QUESTION_FINE, "other"},
    {OPERATOR, "tenant_id=*", QUESTION_FINE, EVERY},
    {NOBODY, "", QUESTION_FINE, NULL},
    {NOBODY, "tenant_id=acme", QUESTION_OTHER_TENANT, NULL},
    {NOBODY, "tenant_id=*", QUESTION_OTHER_TENANT, NULL},
};

START_TEST(rights_decide_whose_cards)
{
    struct question q;
    struct err e;
    ck_assert_int_eq(ask_at(&q, PRICES, &whose[_i].rights, whose[_i].asks, NOW_US, &e),
                     whose[_i].verdict);
    const char *gets = whose[_i].gets;
    if (whose[_i].verdict != QUESTION_FINE) {
        ck_assert_str_eq(e.field, "tenant_id");
    } else {
        bool every = gets && strcmp(gets, EVERY) == 0;
        ck_assert_int_eq(q.every_tenant, every);
        ck_assert_int_eq(q.tenant_id != NULL, gets && !every);
        if (q.tenant_id)
            ck_assert_str_eq(q.tenant_id, gets);
    }
    question_clear(&q);
}
END_TEST

START_TEST(an_instant_is_a_minute)
{
    static const struct {
        const char *text, *at;
    } taken[] = {
        {"", "2026-11-22T04:05:00Z"},
        {"at=", "2026-11-22T04:05:00Z"},
        {"at=now", "2026-11-22T04:05:00Z"},
        {"at=now%2B", NULL},
        {"at=now+1h", "2026-11-22T05:05:00Z"},
        {"at=2026-11-21T06:14:59Z", "2026-11-21T06:14:00Z"},
        {"at=0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
        {"at=9999-12-31T23:59:59Z", "9999-12-31T23:59:00Z"},
        {"at=now&at=now", NULL},
        {"at=x", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        struct question q;
        if (!taken[i].at) {
            ask_wrong(PRICES, taken[i].text, "at", "");
            continue;
        }
        ask_fine(&q, PRICES, taken[i].text);
        ck_assert_int_eq(q.at_us, at_us(taken[i].at));
        ck_assert_int_eq(q.price_version, 0);
        question_clear(&q);
    }
}
END_TEST

START_TEST(a_name_stands_alone)
{
    static const struct {
        const char *text, *field;
    } wrong[] = {
        {"asked=m", "asked"},
        {"name=&asked=m", "asked"},
        {"name=m&prefix=g", "prefix"},
        {"name=m&cursor=x", "cursor"},
        {"name=m&format=csv", "format"},
        {"name=m&tenant_id=*", "tenant_id"},
        {"name=m&name=n", "name"},
        {"name=a\nb", "name"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ask_wrong(PRICES, wrong[i].text, wrong[i].field, "");
    struct question q;
    ask_fine(&q, PRICES, "name=m&asked=n&format=json&limit=3");
    ck_assert_str_eq(q.name, "m");
    ck_assert_str_eq(q.asked, "n");
    question_clear(&q);
}
END_TEST

// A name has one form, a list what is preferred.
START_TEST(accept_is_for_lists)
{
    for (int named = 0; named < 2; named++) {
        struct question q = {.endpoint = PRICES};
        struct err e;
        if (named)
            ck_assert_int_eq(question_param(&q, STR_LIT("name"), STR_LIT("m"), &e), 0);
        question_accept(&q, RENDER_CSV);
        ck_assert_int_eq(question_finish(&q, &anybody, NOW_US, &e), QUESTION_FINE);
        ck_assert_int_eq(q.format, named ? RENDER_JSON : RENDER_CSV);
        question_clear(&q);
    }
}
END_TEST

// ---- pages --------------------------------------------------------------------------------------

static const struct fold_place line = {200000, {"acme", 4}, {"batch", 5}, {"gpt-4o", 6}};

// The question with the cursor of that place, as of that instant and version.
static char *page_of(const char *text, int64_t at_us_, int64_t version,
                     const struct fold_place *last)
{
    struct question q;
    struct buf next = {0};
    ask_fine(&q, PRICES, text);
    q.at_us = at_us_;
    q.price_version = version;
    buf_addf(&next, "%s%scursor=", text, *text ? "&" : "");
    question_cursor(&q, last, &next);
    question_clear(&q);
    return buf_steal(&next);
}

START_TEST(a_later_page_is_as_of_the_first)
{
    static const char *const texts[] = {"", "tenant_id=acme", "tenant_id=*&prefix=g", "at=now-1d"};
    char *text = page_of(texts[_i], at_us("2026-11-20T00:00:00Z"), 17, &line);
    struct question q;
    struct err e;
    ck_assert_int_eq(ask_at(&q, PRICES, &anybody, text, NOW_US + US_PER_HOUR, &e), QUESTION_FINE);
    ck_assert(q.has_after);
    ck_assert_int_eq(q.at_us, at_us("2026-11-20T00:00:00Z"));
    ck_assert_int_eq(q.price_version, 17);
    ck_assert_int_eq(q.after.start_us, line.start_us);
    ck_assert(str_eq(q.after.tenant_id, line.tenant_id) && str_eq(q.after.route, line.route) &&
              str_eq(q.after.model, line.model));
    question_clear(&q);
    free(text);
}
END_TEST

START_TEST(everybodys_standard_line_has_neither_tenant_nor_tier)
{
    struct fold_place last = {0, {NULL, 0}, {NULL, 0}, {"m", 1}};
    char *text = page_of("", 0, 1, &last);
    struct question q;
    ask_fine(&q, PRICES, text);
    ck_assert(!q.after.tenant_id.p && !q.after.route.p && q.after.start_us == 0);
    question_clear(&q);
    free(text);
}
END_TEST

static void refused_with(const char *text, const char *cursor_of)
{
    struct buf b = {0};
    buf_addf(&b, "%s%s%s", text, *text ? "&" : "", strstr(cursor_of, "cursor="));
    buf_addc(&b, '\0');
    ask_wrong(PRICES, b.p, "cursor", "is not one of this question");
    buf_free(&b);
}

START_TEST(a_cursor_belongs_to_its_question)
{
    static const char *const texts[] = {"",
                                        "tenant_id=acme",
                                        "tenant_id=other",
                                        "tenant_id=*",
                                        "prefix=g",
                                        "at=now",
                                        "at=now-1d",
                                        "at=2026-11-20T00:00:00Z",
                                        "at=2026-11-20T00:01:00Z"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char *text = page_of(texts[i], NOW_MINUTE_US, 3, &line);
        for (size_t k = 0; k < ARRAY_LEN(texts); k++)
            if (k != i)
                refused_with(texts[k], text);
        free(text);
    }
    char *text = page_of("at=2026-11-20T00:00:00Z", NOW_MINUTE_US, 3, &line);
    struct buf same = {0};
    buf_addf(&same, "at=2026-11-20T00:00:59Z&limit=2&format=csv&%s", strstr(text, "cursor="));
    buf_addc(&same, '\0');
    struct question q;
    ask_fine(&q, PRICES, same.p);
    question_clear(&q);
    buf_free(&same);
    free(text);
}
END_TEST

START_TEST(one_of_another_endpoint_is_refused)
{
    struct question q;
    struct err e;
    struct buf text = {0};
    ask_fine(&q, ENDPOINT_MODELS, "tenant_id=acme");
    buf_adds(&text, "tenant_id=acme&cursor=");
    question_cursor(&q, &line, &text);
    buf_addc(&text, '\0');
    question_clear(&q);
    ask_wrong(PRICES, text.p, "cursor", "");
    buf_free(&text);
    char *prices = page_of("tenant_id=acme", NOW_MINUTE_US, 3, &line);
    ck_assert_int_eq(ask(&q, ENDPOINT_MODELS, prices, &e), QUESTION_WRONG);
    question_clear(&q);
    free(prices);
}
END_TEST

// With a hash that fits, which anybody can compute.
START_TEST(a_forged_cursor_is_held_to_what_there_can_be)
{
    struct fold_place no_model = line, negative = line, control = line;
    no_model.model = (struct str){NULL, 0};
    negative.start_us = -1;
    control.route = STR_LIT("a\n");
    const struct {
        int64_t at_us, version;
        const struct fold_place *last;
    } forged[] = {
        {NOW_MINUTE_US + 1, 3, &line}, {INT64_MIN, 3, &line},        {INT64_MAX, 3, &line},
        {NOW_MINUTE_US, 0, &line},     {NOW_MINUTE_US, -1, &line},   {NOW_MINUTE_US, 3, &no_model},
        {NOW_MINUTE_US, 3, &negative}, {NOW_MINUTE_US, 3, &control},
    };
    for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
        char *text = page_of("", forged[i].at_us, forged[i].version, forged[i].last);
        ask_wrong(PRICES, text, "cursor", "");
        free(text);
    }
}
END_TEST

START_TEST(the_key_tells_instants_versions_and_names_apart)
{
    static const char *const texts[] = {"",           "at=now-1h", "name=m",     "name=m&asked=n",
                                        "prefix=m",   "limit=3",   "format=csv", "tenant_id=m",
                                        "tenant_id=*"};
    char *keys[ARRAY_LEN(texts)];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        keys[i] = key_of(PRICES, texts[i]);
        for (size_t k = 0; k < i; k++)
            ck_assert_str_ne(keys[i], keys[k]);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(keys[i]);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("question_prices");
    tcase_add_loop_test(tc, rights_decide_whose_cards, 0, ARRAY_LEN(whose));
    tcase_add_test(tc, an_instant_is_a_minute);
    tcase_add_test(tc, a_name_stands_alone);
    tcase_add_test(tc, accept_is_for_lists);
    tcase_add_loop_test(tc, a_later_page_is_as_of_the_first, 0, 4);
    tcase_add_test(tc, everybodys_standard_line_has_neither_tenant_nor_tier);
    tcase_add_test(tc, a_cursor_belongs_to_its_question);
    tcase_add_test(tc, one_of_another_endpoint_is_refused);
    tcase_add_test(tc, a_forged_cursor_is_held_to_what_there_can_be);
    tcase_add_test(tc, the_key_tells_instants_versions_and_names_apart);
    Suite *suite = suite_create("question_prices");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
