// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/query.h"

#include <check.h>
#include <stdio.h>

struct pair {
    const char *name, *value;
};

static const struct query_rights anybody = {.any_tenant = true};

// Up to four parameters, as they come; the first error ends it.
static enum query_verdict ask_with(struct query *q, const struct query_rights *rights,
                                   const struct pair *pairs, struct err *e)
{
    *q = (struct query){0};
    for (size_t i = 0; i < 4 && pairs[i].name; i++)
        if (query_param(q, str_of(pairs[i].name), str_of(pairs[i].value), e) != 0)
            return QUERY_WRONG;
    return query_finish(q, rights, e);
}

static enum query_verdict ask(struct query *q, const struct pair *pairs, struct err *e)
{
    return ask_with(q, &anybody, pairs, e);
}

#define TENANT                                                                                     \
    {                                                                                              \
        "tenant_id", "acme"                                                                        \
    }

static const struct {
    struct pair pairs[4];
    const char *route, *model;
    int64_t limit;
} taken[] = {
    {{TENANT}, NULL, NULL, 60},
    {{TENANT, {"route", ""}, {"model", ""}, {"limit", ""}}, NULL, NULL, 60}, // empty: not asked for
    {{TENANT, {"route", "chat"}}, "chat", NULL, 60},
    {{TENANT, {"model", "gpt"}, {"route", "chat"}, {"limit", "5"}}, "chat", "gpt", 5},
    {{{"limit", "1"}, TENANT}, NULL, NULL, 1},
    {{TENANT, {"limit", "0"}}, NULL, NULL, 60}, // 0 or less: the default, as the original
    {{TENANT, {"limit", "-1"}}, NULL, NULL, 60},
    {{TENANT, {"limit", "-99999999999999999999999"}}, NULL, NULL, 60},
    {{TENANT, {"limit", "+7"}}, NULL, NULL, 7},
    {{TENANT, {"limit", "0000000000000000000000000060"}}, NULL, NULL, 60},
    {{TENANT, {"limit", "10000"}}, NULL, NULL, 10000},
    {{TENANT, {"format", "xml"}, {"TENANT_ID", "x"}, {"format", "y"}}, NULL, NULL, 60}, // unknown
    {{TENANT, {"route", "'; DROP TABLE llm_series; --"}}, "'; DROP TABLE llm_series; --", NULL, 60},
    {{TENANT, {"model", "\xf0\x9f\x92\xa9 \xc3\xbc"}}, NULL, "\xf0\x9f\x92\xa9 \xc3\xbc", 60},
};

static void check_text(const char *got, const char *wanted)
{
    if (wanted)
        ck_assert_str_eq(got, wanted);
    else
        ck_assert_ptr_null(got);
}

START_TEST(takes_what_is_documented)
{
    struct query q;
    struct err e = {0};
    ck_assert_msg(ask(&q, taken[_i].pairs, &e) == QUERY_FINE, "refused: %s: %s", e.field, e.detail);
    ck_assert_str_eq(q.tenant_id, "acme");
    check_text(q.route, taken[_i].route);
    check_text(q.model, taken[_i].model);
    ck_assert_int_eq(q.limit, taken[_i].limit);
    query_clear(&q);
    ck_assert_ptr_null(q.tenant_id);
}
END_TEST

static const struct {
    struct pair pairs[4];
    const char *field, *says;
} refused[] = {
    {{{"route", "chat"}}, "tenant_id", "required"},
    {{{"tenant_id", ""}}, "tenant_id", "required"},
    {{TENANT, TENANT}, "tenant_id", "once"},
    {{TENANT, {"tenant_id", "other"}}, "tenant_id", "once"},
    {{TENANT, {"tenant_id", ""}}, "tenant_id", "once"},
    {{{"tenant_id", ""}, TENANT}, "tenant_id", "once"},
    {{TENANT, {"route", "a"}, {"route", "b"}}, "route", "once"},
    {{TENANT, {"model", "a"}, {"model", "a"}}, "model", "once"},
    {{TENANT, {"limit", "1"}, {"limit", "2"}}, "limit", "once"},
    {{TENANT, {"limit", "x"}}, "limit", "10000"},
    {{TENANT, {"limit", "1x"}}, "limit", "10000"},
    {{TENANT, {"limit", " 1"}}, "limit", "10000"},
    {{TENANT, {"limit", "1.0"}}, "limit", "10000"},
    {{TENANT, {"limit", "1e3"}}, "limit", "10000"},
    {{TENANT, {"limit", "-"}}, "limit", "10000"},
    {{TENANT, {"limit", "+"}}, "limit", "10000"},
    {{TENANT, {"limit", "--1"}}, "limit", "10000"},
    {{TENANT, {"limit", "0x10"}}, "limit", "10000"},
    {{TENANT, {"limit", "10001"}}, "limit", "from 1 to 10000"},
    {{TENANT, {"limit", "18446744073709551617"}}, "limit", "from 1 to 10000"}, // 2^64 + 1
    {{TENANT, {"route", "\xff"}}, "route", ""},
    {{TENANT, {"model", "a\nb"}}, "model", ""},
    {{{"tenant_id", "\xed\xa0\x80"}}, "tenant_id", ""}, // a surrogate
};

START_TEST(refuses_the_rest_by_name)
{
    struct query q;
    struct err e = {0};
    ck_assert_int_eq(ask(&q, refused[_i].pairs, &e), QUERY_WRONG);
    ck_assert_str_eq(e.field, refused[_i].field);
    ck_assert_msg(strstr(e.detail, refused[_i].says) != NULL, "says: %s", e.detail);
    ck_assert(e.detail[0] != '\0');
    query_clear(&q);
}
END_TEST

#define READER                                                                                     \
    {                                                                                              \
        .tenant = STR_LIT("acme")                                                                  \
    }
#define OPERATOR                                                                                   \
    {                                                                                              \
        .any_tenant = true                                                                         \
    }
#define BOTH                                                                                       \
    {                                                                                              \
        .tenant = STR_LIT("acme"), .any_tenant = true                                              \
    }

static const struct {
    struct query_rights rights;
    const char *asks; // NULL: names no tenant
    enum query_verdict verdict;
    const char *gets; // with QUERY_FINE
} whose[] = {
    {READER, NULL, QUERY_FINE, "acme"},         {READER, "", QUERY_FINE, "acme"},
    {READER, "acme", QUERY_FINE, "acme"},       {READER, "other", QUERY_OTHER_TENANT, NULL},
    {READER, "acm", QUERY_OTHER_TENANT, NULL},  {READER, "acme2", QUERY_OTHER_TENANT, NULL},
    {READER, "ACME", QUERY_OTHER_TENANT, NULL}, {OPERATOR, NULL, QUERY_WRONG, NULL},
    {OPERATOR, "", QUERY_WRONG, NULL},          {OPERATOR, "other", QUERY_FINE, "other"},
    {BOTH, NULL, QUERY_FINE, "acme"},           {BOTH, "other", QUERY_FINE, "other"},
};

START_TEST(rights_decide_whose_rows)
{
    struct query q;
    struct err e = {0};
    const struct pair pairs[4] = {{whose[_i].asks ? "tenant_id" : NULL, whose[_i].asks}};
    ck_assert_int_eq(ask_with(&q, &whose[_i].rights, pairs, &e), whose[_i].verdict);
    if (whose[_i].verdict == QUERY_FINE) {
        ck_assert_str_eq(q.tenant_id, whose[_i].gets);
        ck_assert_int_eq(q.limit, QUERY_LIMIT_DEFAULT);
    } else {
        ck_assert_str_eq(e.field, "tenant_id");
        ck_assert_str_ne(e.detail, "");
    }
    query_clear(&q);
}
END_TEST

// Without a tenant of one's own and without the right to name one, nothing is left to read.
START_TEST(no_rights_are_no_rows)
{
    static const struct query_rights none;
    static const struct pair named[4] = {TENANT}, unnamed[4];
    struct query q;
    struct err e = {0};
    ck_assert_int_eq(ask_with(&q, &none, named, &e), QUERY_OTHER_TENANT);
    query_clear(&q);
    ck_assert_int_eq(ask_with(&q, &none, unnamed, &e), QUERY_WRONG);
    query_clear(&q);
}
END_TEST

START_TEST(names_have_the_bounds_of_events)
{
    char text[256];
    memset(text, 'x', sizeof(text));
    struct query q = {0};
    struct err e = {0};
    ck_assert_int_eq(query_param(&q, STR_LIT("tenant_id"), (struct str){text, 255}, &e), 0);
    ck_assert_uint_eq(strlen(q.tenant_id), 255);
    ck_assert_int_eq(query_param(&q, STR_LIT("route"), (struct str){text, 256}, &e), -1);
    ck_assert_str_eq(e.field, "route");
    query_clear(&q);
}
END_TEST

START_TEST(a_nul_cannot_cut_a_name)
{
    static const char *const names[] = {"tenant_id", "route", "model"};
    struct query q = {0};
    struct err e = {0};
    ck_assert_int_eq(query_param(&q, str_of(names[_i]), STR_LIT("acme\0tail"), &e), -1);
    ck_assert_str_eq(e.field, names[_i]);
    query_clear(&q);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("query");
    tcase_add_loop_test(tc, takes_what_is_documented, 0, ARRAY_LEN(taken));
    tcase_add_loop_test(tc, refuses_the_rest_by_name, 0, ARRAY_LEN(refused));
    tcase_add_loop_test(tc, rights_decide_whose_rows, 0, ARRAY_LEN(whose));
    tcase_add_test(tc, no_rights_are_no_rows);
    tcase_add_test(tc, names_have_the_bounds_of_events);
    tcase_add_loop_test(tc, a_nul_cannot_cut_a_name, 0, 3);
    Suite *suite = suite_create("query");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
