// SPDX-License-Identifier: Apache-2.0
#include "common/core/json_split.h"

#include <check.h>
#include <stdio.h>

#define ITEMS_MAX 8

static const struct {
    const char *body;
    const char *items[ITEMS_MAX]; // those returned, also before an error
    int result;                   // of the last call: 0 or -1
    int64_t offset;               // of the error
} cases[] = {
    // Nothing
    {"", {NULL}, 0, 0},
    {" \t\r\n\n ", {NULL}, 0, 0},
    {"[]", {NULL}, 0, 0},
    {" [ \n ] \n", {NULL}, 0, 0},
    // Lines
    {"{\"a\":1}", {"{\"a\":1}"}, 0, 0},
    {"{}\n", {"{}"}, 0, 0},
    {"{}\n{}", {"{}", "{}"}, 0, 0},
    {"{}\r\n{\"a\":2}\r\n", {"{}", "{\"a\":2}"}, 0, 0},
    {"\n\n {} \t\n \n\r\n{}\n\n", {"{}", "{}"}, 0, 0},
    {"not json\n{}\n]\n", {"not json", "{}", "]"}, 0, 0},
    {"{\"a\":\"\\n\"}\n{}", {"{\"a\":\"\\n\"}", "{}"}, 0, 0},
    {"{}\n[1,2]\n", {"{}", "[1,2]"}, 0, 0}, // only the first byte of all makes an array
    // Arrays
    {"[{}]", {"{}"}, 0, 0},
    {" [ {} , {} ] ", {"{}", "{}"}, 0, 0},
    {"[{\"a\":[1,{\"b\":2}]},{}]", {"{\"a\":[1,{\"b\":2}]}", "{}"}, 0, 0},
    {"[{\"a\":\"]},{[\"},{}]", {"{\"a\":\"]},{[\"}", "{}"}, 0, 0},
    {"[{\"a\":\"\\\"},{\"},{}]", {"{\"a\":\"\\\"},{\"}", "{}"}, 0, 0},
    {"[{\"a\":\"\\\\\"},{}]", {"{\"a\":\"\\\\\"}", "{}"}, 0, 0},
    {"[{\"a\":\"\\\\\\\"]\"},{}]", {"{\"a\":\"\\\\\\\"]\"}", "{}"}, 0, 0},
    {"[\n{},\n{}\n]\n", {"{}", "{}"}, 0, 0},
    {"[1,\"a\",null,[2],tru]", {"1", "\"a\"", "null", "[2]", "tru"}, 0, 0},
    {"[\"a,b]\" ,\"\"]", {"\"a,b]\"", "\"\""}, 0, 0},
    // An item that is bad by itself leaves its neighbours alone
    {"[{\"a\":1],{}]", {"{\"a\":1]", "{}"}, 0, 0},
    {"[{:},{}]", {"{:}", "{}"}, 0, 0},
    // Broken arrays: what came before stays
    {"[", {NULL}, -1, 1},
    {"[{}", {"{}"}, -1, 3},
    {"[{},", {"{}"}, -1, 4},
    {"[{},]", {"{}"}, -1, 4},
    {"[,{}]", {NULL}, -1, 1},
    {"[{},,{}]", {"{}"}, -1, 4},
    {"[{}{}]", {"{}"}, -1, 3},
    {"[{} {}]", {"{}"}, -1, 4},
    {"[1 2]", {"1"}, -1, 3},
    {"[1\"a\"]", {"1"}, -1, 2},
    {"[1{}]", {"1"}, -1, 2},
    {"[{}}]", {"{}"}, -1, 3},
    {"[{}] x", {"{}"}, -1, 5},
    {"[{}]\n[{}]", {"{}"}, -1, 5},
    {"[]]", {NULL}, -1, 2},
    {"[{},{\"a\":1]", {"{}", "{\"a\":1]"}, -1, 11},
    {"[{},{\"a\":[1}", {"{}"}, -1, 4},
    {"[{},{\"a\":\"b}]", {"{}"}, -1, 4},
    {"[\"a", {NULL}, -1, 1},
    {"[\"a\\\"", {NULL}, -1, 1},
};

static bool inside(struct str body, struct str item)
{
    return item.p >= body.p && item.p + item.n <= body.p + body.n;
}

START_TEST(cuts)
{
    // A copy of exactly that size, so that a sanitizer sees a read behind the end.
    size_t n = strlen(cases[_i].body);
    char *copy = xmemdup(cases[_i].body, n);
    struct str body = {copy, n}, item;
    struct json_split s;
    struct err e = {.offset = -2};
    json_split_init(&s, body);
    for (int i = 0; i < ITEMS_MAX && cases[_i].items[i]; i++) {
        ck_assert_msg(json_split_next(&s, &item, &e) == 1, "%s: item %d", cases[_i].body, i);
        ck_assert_msg(str_eq(item, str_of(cases[_i].items[i])), "%s: item %d is %.*s",
                      cases[_i].body, i, (int)item.n, item.p);
        ck_assert(inside(body, item));
    }
    ck_assert_msg(json_split_next(&s, &item, &e) == cases[_i].result, "%s", cases[_i].body);
    if (cases[_i].result < 0) {
        ck_assert_msg(e.offset == cases[_i].offset, "%s: at %lld", cases[_i].body,
                      (long long)e.offset);
        ck_assert_str_ne(e.detail, "");
    }
    ck_assert_int_eq(json_split_next(&s, &item, &e), 0); // and it stays ended
    free(copy);
}
END_TEST

START_TEST(takes_an_absent_body)
{
    struct json_split s;
    struct str item;
    json_split_init(&s, (struct str){NULL, 0});
    ck_assert_int_eq(json_split_next(&s, &item, NULL), 0);
}
END_TEST

START_TEST(reads_a_long_run_of_escaped_quotes)
{
    enum { N = 1 << 20 };
    static char body[N + 8];
    size_t n = 0;
    body[n++] = '[';
    body[n++] = '"';
    for (; n < N - 2; n++)
        body[n] = n % 2 == 0 ? '\\' : '"';
    body[n++] = '"';
    body[n++] = ']';
    struct json_split s;
    struct str item;
    json_split_init(&s, (struct str){body, n});
    ck_assert_int_eq(json_split_next(&s, &item, NULL), 1);
    ck_assert_uint_eq(item.n, n - 2);
    ck_assert_int_eq(json_split_next(&s, &item, NULL), 0);
}
END_TEST

START_TEST(nesting_has_no_limit_of_its_own)
{
    enum { DEPTH = 200000 };
    char *body = xmalloc(2 * DEPTH);
    memset(body, '[', DEPTH);
    memset(body + DEPTH, ']', DEPTH);
    struct json_split s;
    struct str item;
    json_split_init(&s, (struct str){body, 2 * DEPTH});
    ck_assert_int_eq(json_split_next(&s, &item, NULL), 1);
    ck_assert_uint_eq(item.n, 2 * DEPTH - 2);
    ck_assert_int_eq(json_split_next(&s, &item, NULL), 0);
    free(body);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("json_split");
    tcase_add_loop_test(tc, cuts, 0, ARRAY_LEN(cases));
    tcase_add_test(tc, takes_an_absent_body);
    tcase_add_test(tc, reads_a_long_run_of_escaped_quotes);
    tcase_add_test(tc, nesting_has_no_limit_of_its_own);
    Suite *suite = suite_create("json_split");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
