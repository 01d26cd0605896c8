// SPDX-License-Identifier: Apache-2.0
#include "common/io/http_path.h"

#include <check.h>

static const struct {
    const char *route, *path;
    const char *parameter; // NULL: it is not this route's path; "" where the route has none
} cases[] = {
    {"/a", "/a", ""},
    {"/a", "/a/", NULL},
    {"/a", "/", NULL},
    {"/", "/", ""},
    {"/a/{x}/b", "/a/1/b", "1"},
    {"/a/{x}/b", "/a/%2F/b", "%2F"},
    {"/a/{x}/b", "/a/{x}/b", "{x}"},
    {"/a/{x}/b", "/a//b", NULL},
    {"/a/{x}/b", "/a/b", NULL}, // the slashes of both sides are not one
    {"/a/{x}/b", "/a/1/2/b", NULL},
    {"/a/{x}/b", "/a/1/c", NULL},
    {"/a/{x}/b", "/c/1/b", NULL},
    {"/a/{x}/b", "/a/1/b/", NULL},
    {"/a/{x}/b", "", NULL},
    {"/a/{x}", "/a/1", "1"},
    {"/a/{x}", "/a/", NULL},
    {"/a/{x}", "/a/1/", NULL},
    {"/{x}", "/a", "a"},
    {"/{x}", "/", NULL},
};

START_TEST(test_a_path_is_the_routes_or_not)
{
    const char *want = cases[_i].parameter;
    struct str parameter = STR_LIT("before");
    bool matches = http_path_matches(cases[_i].route, str_of(cases[_i].path), &parameter);
    ck_assert_int_eq(matches, want != NULL);
    ck_assert(str_eq(parameter, str_of(want)));
    ck_assert_int_eq(http_path_has_parameter(cases[_i].route),
                     strchr(cases[_i].route, '{') != NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http_path");
    TCase *t = tcase_create("http_path");
    tcase_add_loop_test(t, test_a_path_is_the_routes_or_not, 0, ARRAY_LEN(cases));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed > 0;
}
