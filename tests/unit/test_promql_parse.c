// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/promql.h"

#include <check.h>

static enum promql_verdict parse(const char *text, size_t n, const struct promql_limits *limits,
                                 struct buf *printed, struct err *e)
{
    struct promql_query *q;
    *e = (struct err){0};
    enum promql_verdict verdict = promql_parse((struct str){text, n}, limits, &q, e);
    if (verdict == PROMQL_OK && printed)
        promql_print(q, printed);
    ck_assert((verdict == PROMQL_OK) == (q != NULL));
    promql_free(q);
    return verdict;
}

static void assert_prints(const char *text, const char *wanted)
{
    struct buf printed = {0};
    struct err e;
    enum promql_verdict verdict = parse(text, strlen(text), &promql_limits_default, &printed, &e);
    ck_assert_msg(verdict == PROMQL_OK, "%s: %s", text, e.detail);
    buf_addc(&printed, '\0');
    ck_assert_str_eq(printed.p, wanted);
    buf_free(&printed);
}

static const struct {
    const char *text, *printed;
} canonical[] = {
    {"1", "1"},
    {" 0x1F # half of it\n", "31"},
    {"010", "8"},
    {"1_000.5", "1000.5"},
    {"1e-7", "0.0000001"},
    {"1e22", "10000000000000000000000"},
    {"-Inf", "-Inf"},
    {"nan", "NaN"},
    {"+INF", "Inf"},
    {"2 ^ Inf ^ 3", "2 ^ Inf ^ 3"},
    {"5m30s", "5m30s"},
    {"90d", "90d"},
    {"14d", "2w"},
    {"-1^2", "-1 ^ 2"},
    {"2^3^2", "2 ^ 3 ^ 2"},
    {"1-2-3", "1 - 2 - 3"},
    {"-a*b", "-a * b"},
    {"a+b*c==bool d", "a + b * c == bool d"},
    {"a or b and c unless d", "a or b and c unless d"},
    {"a  ATAN2  b", "a atan2 b"},
    {"(a)", "(a)"},
    {"foo", "foo"},
    {"foo:bar:baz", "foo:bar:baz"},
    {":x", ":x"},
    {"sum", "sum"},
    {"offset offset 5m", "offset offset 5m"},
    {"and + start", "and + start"},
    {"fill + fill_left", "fill + fill_left"},
    {"foo{}", "foo"},
    {"foo{a=\"1\",b!='2',c=~`3|4`,d!~\"\\\"\",}", "foo{a=\"1\",b!=\"2\",c=~\"3|4\",d!~\"\\\"\"}"},
    {"{\"metric.name\"}", "{__name__=\"metric.name\"}"},
    {"{\"a.b\"=\"c\",by='x'}", "{\"a.b\"=\"c\",by=\"x\"}"},
    {"{__name__=~\".+\",}", "{__name__=~\".+\"}"},
    {"foo{ # a comment\n a = \"1\" }", "foo{a=\"1\"}"},
    {"foo[5m]", "foo[5m]"},
    {"foo[300]", "foo[5m]"},
    {"foo [ 1h30m ] offset -7d", "foo[1h30m] offset -1w"},
    {"foo offset 1.5", "foo offset 1s500ms"},
    {"sum(foo)by(a,b)", "sum by (a, b) (foo)"},
    {"sum without() (foo)", "sum without () (foo)"},
    {"sum by (by, \"a.b\", on,) (foo)", "sum by (by, \"a.b\", on) (foo)"},
    {"TOPK(3, foo)", "topk(3, foo)"},
    {"count_values(\"v\", foo)", "count_values(\"v\", foo)"},
    {"rate(foo[1m])", "rate(foo[1m])"},
    {"label_join(foo, 'a', ',', 'b', 'c')", "label_join(foo, \"a\", \",\", \"b\", \"c\")"},
    {"time()", "time()"},
    {"hour()", "hour()"},
    {"a / on(x) group_left(y, z) b", "a / on (x) group_left (y, z) b"},
    {"a * ignoring(x) group_right b", "a * ignoring (x) group_right () b"},
    {"a > bool on() b", "a > bool on () b"},
    {"'a\\tb\\x41\\101\\u00e4\\''", "\"a\\tbAA\xc3\xa4'\""},
    {"`a\\n`", "\"a\\\\n\""},
    {"--1", "1"},
    {"-(-a)", "-(-a)"},
    {"sum(rate({__name__=~'x|y'}[5m] offset 1h)) / 2 > 3",
     "sum(rate({__name__=~\"x|y\"}[5m] offset 1h)) / 2 > 3"},
};

START_TEST(texts_are_printed_in_one_way_which_parses_to_itself)
{
    assert_prints(canonical[_i].text, canonical[_i].printed);
    assert_prints(canonical[_i].printed, canonical[_i].printed);
}
END_TEST

static const struct {
    const char *text, *error;
} wrong[] = {
    {"", "1:1: parse error: no expression found in input"},
    {"  # nothing", "1:1: parse error: no expression found in input"},
    {"1 +", "1:4: parse error: unexpected end of input"},
    {"a\n+ )", "2:4: parse error: unexpected right parenthesis ')'"},
    {"(a", "1:3: parse error: unclosed left parenthesis"},
    {"a b", "1:3: parse error: unexpected identifier \"b\""},
    {"a by", "1:3: parse error: unexpected <by>"},
    {"* 1", "1:1: parse error: unexpected <op:*>"},
    {"1 1", "1:3: parse error: unexpected number \"1\""},
    {"a = b", "1:3: parse error: unexpected \"=\""},
    {"a =~ b", "1:3: parse error: unexpected character after '=': '~'"},
    {"a ! b", "1:3: parse error: unexpected character after '!': ' '"},
    {"a $ b", "1:3: parse error: unexpected character: '$'"},
    {"5x", "1:1: parse error: bad number or duration syntax: \"5x\""},
    {"1.2.3", "1:1: parse error: bad number or duration syntax: \"1.2.3\""},
    {"1e999",
     "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e999\": value out of "
     "range"},
    {"foo[5mm]", "1:5: parse error: bad number or duration syntax: \"5mm\""},
    {"foo[5m5h]", "1:5: parse error: not a valid duration string: \"5m5h\""},
    {"foo[999999999y]", "1:5: parse error: duration out of range"},
    {"foo[0]", "1:5: parse error: duration must be greater than 0"},
    {"foo[-5m]", "1:5: parse error: duration must be greater than 0"},
    {"foo[5m", "1:7: parse error: unexpected end of input in duration expression"},
    {"foo[5m][5m]", "1:8: parse error: ranges only allowed for vector selectors"},
    {"(foo)[5m]", "1:6: parse error: ranges only allowed for vector selectors"},
    {"foo offset 1m [5m]", "1:15: parse error: no offset modifiers allowed before range"},
    {"foo offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"},
    {"1 offset 1m",
     "1:1: parse error: offset modifier must be preceded by an instant vector selector or "
     "range vector selector or a subquery"},
    {"foo offset x", "1:12: parse error: unexpected identifier \"x\" in offset, expected number, "
                     "duration, step(), or range()"},
    {"foo{", "1:5: parse error: unexpected end of input inside braces"},
    {"foo{a}",
     "1:6: parse error: unexpected \"}\" in label matching, expected label matching operator"},
    {"foo{a=b}",
     "1:7: parse error: unexpected identifier \"b\" in label matching, expected string"},
    {"foo{,}",
     "1:5: parse error: unexpected \",\" in label matching, expected identifier or \"}\""},
    {"foo{a='1' b='2'}",
     "1:11: parse error: unexpected identifier \"b\" in label matching, expected "
     "\",\" or \"}\""},
    {"foo{a=\"1}", "1:7: parse error: unterminated quoted string"},
    {"foo{a=\"\\q\"}", "1:7: parse error: unknown escape sequence U+0071 'q'"},
    {"{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"{a=~\".*\"}",
     "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"foo{__name__=\"bar\"}",
     "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\""},
    {"foo{a=~\"*\"}",
     "1:5: parse error: error parsing regexp: missing argument to repetition operator: `*`"},
    {"foo{a=~\"(\"}", "1:5: parse error: error parsing regexp: missing closing ): `(`"},
    {"nope(a)", "1:1: parse error: unknown function with name \"nope\""},
    {"rate(a)",
     "1:6: parse error: expected type range vector in call to function \"rate\", got instant "
     "vector"},
    {"rate()", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 0"},
    {"round(a, 1, 2)",
     "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3"},
    {"label_join(a, 'b')",
     "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", "
     "got 2"},
    {"abs(a,)", "1:6: parse error: trailing commas not allowed in function call args"},
    {"sum()", "1:1: parse error: no arguments for aggregate expression provided"},
    {"sum(a, b)", "1:1: parse error: wrong number of arguments for aggregate expression provided, "
                  "expected 1, got 2"},
    {"topk(a, b)",
     "1:6: parse error: expected type scalar in aggregation parameter, got instant vector"},
    {"sum(1)",
     "1:5: parse error: expected type instant vector in aggregation expression, got scalar"},
    {"sum by a (b)",
     "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\""},
    {"sum by (1) (b)",
     "1:9: parse error: unexpected number \"1\" in grouping opts, expected label"},
    {"sum by (a b) (c)",
     "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected "
     "\",\" or \")\""},
    {"1 and 2", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"},
    {"1 < 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"},
    {"a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators"},
    {"a + 'b'",
     "1:5: parse error: binary expression must contain only scalar and instant vector types"},
    {"a + on(x) 1", "1:1: parse error: vector matching only allowed between instant vectors"},
    {"a and on(x) group_left b", "1:1: parse error: no grouping allowed for \"and\" operation"},
    {"a + on(x) group_left(x) b",
     "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at "
     "once"},
    {"-'a'",
     "1:1: parse error: unary expression only allowed on expressions of type scalar or instant "
     "vector, got \"string\""},
    {"a[5m] + 1",
     "1:1: parse error: binary expression must contain only scalar and instant vector types"},
    {"\"\xff\"", "1:1: parse error: invalid UTF-8 rune"},
    {"'\\xff' + '\\ud800'", "1:10: parse error: escape sequence is an invalid Unicode code point"},
};

START_TEST(what_is_wrong_is_said_as_prometheus_says_it)
{
    struct err e;
    const char *text = wrong[_i].text;
    ck_assert_int_eq(parse(text, strlen(text), &promql_limits_default, NULL, &e), PROMQL_BAD_DATA);
    ck_assert_str_eq(e.detail, wrong[_i].error);
}
END_TEST

static const struct {
    const char *text, *name;
} missing[] = {
    {"foo[5m:1m]", "subquery"},
    {"max_over_time(rate(foo[1m])[1h:] offset 1m)", "subquery"},
    {"foo @ 5", "@"},
    {"foo[5m] @ end()", "@"},
    {"foo anchored", "anchored"},
    {"rate(foo[5m] smoothed)", "smoothed"},
    {"a + fill(0) b", "fill"},
    {"a + fill_left(-1) b", "fill_left"},
    {"a </ 5", "</"},
    {"a >/ 5", ">/"},
    {"limitk(1, a)", "limitk"},
    {"limit_ratio(0.5, a)", "limit_ratio"},
    {"foo[1m+1m]", "duration expression"},
    {"foo offset step()", "duration expression"},
    {"sort_by_label(a, 'b')", "sort_by_label"},
    {"histogram_avg(a)", "histogram_avg"},
    {"info(a)", "info"},
    {"start()", "start"},
};

START_TEST(what_prometheus_has_and_we_do_not_is_named)
{
    struct err e;
    const char *text = missing[_i].text;
    ck_assert_int_eq(parse(text, strlen(text), &promql_limits_default, NULL, &e),
                     PROMQL_UNSUPPORTED);
    ck_assert_str_eq(e.field, missing[_i].name);
    ck_assert_ptr_nonnull(strstr(e.detail, missing[_i].name));
}
END_TEST

START_TEST(a_wrong_text_is_wrong_first_of_all)
{
    struct err e;
    ck_assert_int_eq(parse("foo @ 5 +", 9, &promql_limits_default, NULL, &e), PROMQL_BAD_DATA);
}
END_TEST

START_TEST(a_text_has_so_many_bytes)
{
    struct promql_limits limits = promql_limits_default;
    struct err e;
    limits.query_bytes = 5;
    ck_assert_int_eq(parse("a + b", 5, &limits, NULL, &e), PROMQL_OK);
    ck_assert_int_eq(parse("a + bc", 6, &limits, NULL, &e), PROMQL_BAD_DATA);
    ck_assert_str_eq(e.detail, "the query has 6 bytes; at most 5 are taken");
}
END_TEST

// Parentheses, signs, calls and chains of operators: each makes a tree, or the parser's stack,
// deeper.
START_TEST(a_tree_has_so_many_levels)
{
    static const char *const fine[] = {"((((a))))", "a+a+a+a+a", "abs(abs(abs(abs(a))))",
                                       "-(-(a))"};
    static const char *const deep[] = {"(((((a)))))", "a+a+a+a+a+a", "abs(abs(abs(abs(abs(a)))))",
                                       "-(-(-(a)))"};
    struct promql_limits limits = promql_limits_default;
    struct err e;
    limits.depth = 5;
    ck_assert_int_eq(parse(fine[_i], strlen(fine[_i]), &limits, NULL, &e), PROMQL_OK);
    ck_assert_int_eq(parse(deep[_i], strlen(deep[_i]), &limits, NULL, &e), PROMQL_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(e.detail, "expression is nested deeper than 5 levels"));
}
END_TEST

START_TEST(thousands_of_parentheses_do_no_harm)
{
    struct buf text = {0};
    struct err e;
    for (int i = 0; i < 60000; i++)
        buf_addc(&text, _i == 0 ? '(' : '-');
    ck_assert_int_eq(parse(text.p, text.n, &promql_limits_default, NULL, &e), PROMQL_BAD_DATA);
    ck_assert_str_eq(e.detail, "1:251: parse error: expression is nested deeper than 250 levels");
    buf_free(&text);
}
END_TEST

START_TEST(selectors_matchers_and_names_are_counted)
{
    struct promql_limits limits = promql_limits_default;
    struct err e;
    limits.selectors = 2;
    limits.regexes = 1;
    limits.names = 2;
    ck_assert_int_eq(parse("{a='1',b='2'}", 13, &limits, NULL, &e), PROMQL_OK);
    ck_assert_int_eq(parse("{a='1',b='2',c='3'}", 19, &limits, NULL, &e), PROMQL_BAD_DATA);
    ck_assert_str_eq(e.detail, "1:14: parse error: more than 2 matchers in a selector");
    ck_assert_int_eq(parse("sum by (a,b) (c)", 16, &limits, NULL, &e), PROMQL_OK);
    ck_assert_int_eq(parse("sum by (a,b,c) (c)", 18, &limits, NULL, &e), PROMQL_BAD_DATA);
    ck_assert_str_eq(e.detail, "1:14: parse error: more than 2 labels in a list");
    ck_assert_int_eq(parse("a + b", 5, &limits, NULL, &e), PROMQL_OK);
    ck_assert_int_eq(parse("a + b + c", 9, &limits, NULL, &e), PROMQL_BAD_DATA);
    ck_assert_str_eq(e.detail, "1:9: parse error: more than 2 selectors");
    ck_assert_int_eq(parse("a{b=~'c'}", 9, &limits, NULL, &e), PROMQL_OK);
    ck_assert_int_eq(parse("a{b=~'c',d!~'e'}", 16, &limits, NULL, &e), PROMQL_BAD_DATA);
    ck_assert_str_eq(e.detail, "1:10: parse error: more than 1 regular expressions");
}
END_TEST

START_TEST(a_nul_is_no_end)
{
    struct err e;
    ck_assert_int_eq(parse("a\0b", 3, &promql_limits_default, NULL, &e), PROMQL_BAD_DATA);
    ck_assert_int_eq(parse("a{b='\0'}", 8, &promql_limits_default, NULL, &e), PROMQL_OK);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("parse");
    tcase_add_loop_test(tc, texts_are_printed_in_one_way_which_parses_to_itself, 0,
                        ARRAY_LEN(canonical));
    tcase_add_loop_test(tc, what_is_wrong_is_said_as_prometheus_says_it, 0, ARRAY_LEN(wrong));
    tcase_add_loop_test(tc, what_prometheus_has_and_we_do_not_is_named, 0, ARRAY_LEN(missing));
    tcase_add_test(tc, a_wrong_text_is_wrong_first_of_all);
    tcase_add_test(tc, a_text_has_so_many_bytes);
    tcase_add_loop_test(tc, a_tree_has_so_many_levels, 0, 4);
    tcase_add_loop_test(tc, thousands_of_parentheses_do_no_harm, 0, 2);
    tcase_add_test(tc, selectors_matchers_and_names_are_counted);
    tcase_add_test(tc, a_nul_is_no_end);
    Suite *suite = suite_create("promql_parse");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
