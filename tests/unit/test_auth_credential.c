// SPDX-License-Identifier: Apache-2.0
#include "common/io/auth_credential.h"

#include <check.h>

static const struct {
    const char *authorization, *x_api_key;
    const char *text; // NULL: broken
} cases[] = {
    {"Bearer abc", NULL, "abc"},
    {"bearer abc", NULL, "abc"},
    {"BEARER   abc \t", NULL, "abc"},
    {"Bearer ~!-._+/=", NULL, "~!-._+/="},
    {NULL, "abc", "abc"},
    {NULL, "  abc ", "abc"},
    {NULL, "Bearer", "Bearer"},
    {"Bearer", NULL, NULL},
    {"Bearer ", NULL, NULL},
    {"Bearer\tabc", NULL, NULL},
    {"Bearerabc", NULL, NULL},
    {"Basic abc", NULL, NULL},
    {"abc", NULL, NULL},
    {"", NULL, NULL},
    {NULL, "", NULL},
    {NULL, "Bearer abc", NULL},
    {"Bearer a b", NULL, NULL},
    {"Bearer a,b c", NULL, NULL},
    {"Bearer a\x01", NULL, NULL},
    {"Bearer a\x7f", NULL, NULL},
    {"Bearer \xc3\xa4", NULL, NULL},
    {"Bearer abc", "abc", NULL},
};

static struct auth_fields fields_of(const char *authorization, const char *x_api_key)
{
    return (struct auth_fields){.authorization = str_of(authorization),
                                .x_api_key = str_of(x_api_key),
                                .authorization_count = authorization != NULL,
                                .x_api_key_count = x_api_key != NULL};
}

START_TEST(one_field_carries_one_credential)
{
    struct auth_fields f = fields_of(cases[_i].authorization, cases[_i].x_api_key);
    struct str text;
    enum auth_found found = auth_credential(&f, &text);
    ck_assert_int_eq(found, cases[_i].text ? AUTH_FOUND : AUTH_FOUND_BROKEN);
    if (cases[_i].text)
        ck_assert(str_eq(text, str_of(cases[_i].text)));
}
END_TEST

START_TEST(nothing_sent_is_told_from_nonsense)
{
    struct auth_fields none = {.authorization_count = 0};
    struct str text;
    ck_assert_int_eq(auth_credential(&none, &text), AUTH_FOUND_NONE);
}
END_TEST

START_TEST(a_field_sent_twice_is_refused)
{
    struct auth_fields f = fields_of("Bearer abc", NULL), g = fields_of(NULL, "abc");
    struct str text;
    f.authorization_count = g.x_api_key_count = 2;
    ck_assert_int_eq(auth_credential(&f, &text), AUTH_FOUND_BROKEN);
    ck_assert_int_eq(auth_credential(&g, &text), AUTH_FOUND_BROKEN);
}
END_TEST

START_TEST(a_credential_has_8_kib_at_most)
{
    static char text[AUTH_CREDENTIAL_MAX + 1];
    memset(text, 'x', sizeof(text));
    struct auth_fields f = {.x_api_key = {text, AUTH_CREDENTIAL_MAX}, .x_api_key_count = 1};
    struct str out;
    ck_assert_int_eq(auth_credential(&f, &out), AUTH_FOUND);
    ck_assert_uint_eq(out.n, AUTH_CREDENTIAL_MAX);
    f.x_api_key.n++;
    ck_assert_int_eq(auth_credential(&f, &out), AUTH_FOUND_BROKEN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("auth_credential");
    TCase *tc = tcase_create("auth_credential");
    tcase_add_loop_test(tc, one_field_carries_one_credential, 0, ARRAY_LEN(cases));
    tcase_add_test(tc, nothing_sent_is_told_from_nonsense);
    tcase_add_test(tc, a_field_sent_twice_is_refused);
    tcase_add_test(tc, a_credential_has_8_kib_at_most);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
