// SPDX-License-Identifier: Apache-2.0
#include "common/core/csv.h"

#include <check.h>

// All lines: "1:a|b 3:c|d", or what was wrong as "2!1" (line, cells read before).
static char *read_all(struct str text)
{
    struct csv csv;
    struct err e = {0};
    struct buf out = {0};
    int got;
    csv_begin(&csv, text);
    while ((got = csv_next(&csv, &e)) > 0) {
        buf_addf(&out, "%s%zu:", out.n > 0 ? " " : "", csv.line);
        for (size_t i = 0; i < csv.n; i++) {
            if (i > 0)
                buf_addc(&out, '|');
            buf_add(&out, csv.cells[i].p, csv.cells[i].n);
        }
    }
    if (got < 0) {
        buf_addf(&out, "%s%zu!%zu", out.n > 0 ? " " : "", csv.line, csv.n);
        ck_assert_str_ne(e.detail, "");
    }
    csv_free(&csv);
    return buf_steal(&out);
}

static const struct {
    struct str text;
    const char *want;
} cases[] = {
    {STR_LIT(""), ""},
    {STR_LIT("\n\r\n \t\n"), ""},
    {STR_LIT("a"), "1:a"},
    {STR_LIT("a,b\nc,d"), "1:a|b 2:c|d"},
    {STR_LIT("a,b\r\nc,d\r\n"), "1:a|b 2:c|d"},
    {STR_LIT("a,b\n\n#x,\"\nc,d\n"), "1:a|b 4:c|d"},
    {STR_LIT("a,#b\n #c"), "1:a|#b 2:#c"},
    {STR_LIT(",\n,,"), "1:| 2:||"},
    {STR_LIT(" a\t, b c ,\t"), "1:a|b c|"},
    {STR_LIT("\xef\xbb\xbf"
             "a\n\xef\xbb\xbf"
             "a"),
     "1:a 2:\xef\xbb\xbf"
     "a"},
    {STR_LIT("\xef\xbb\xbf#a\nb"), "2:b"},
    {STR_LIT("\"a\",\"\",\"b,c\""), "1:a||b,c"},
    {STR_LIT("\"a\"\"b\",\"\"\"\",\"\"\"\"\"\""), "1:a\"b|\"|\"\""},
    {STR_LIT("\" a \" , \"b\"\t,c"), "1: a |b|c"},
    {STR_LIT("\"#a\""), "1:#a"},
    {STR_LIT("x\n\"a"), "1:x 2!0"},
    {STR_LIT("b,\"a\nc\""), "1!1"},
    {STR_LIT("b,\"a\"\""), "1!1"},
    {STR_LIT("\""), "1!0"},
    {STR_LIT("a,\"b\"c"), "1!1"},
    {STR_LIT("a,b\"c\""), "1!1"},
    {STR_LIT("a,b\0c"), "1!1"},
    {STR_LIT("a,\"b\0c\""), "1!1"},
    {STR_LIT("a\rb,c"), "1!0"},
    {STR_LIT("a,b\tc"), "1!1"},
    {STR_LIT("a,b\x7f"), "1!1"},
    {STR_LIT("a\r\r\n"), "1!0"},
};

START_TEST(a_text_is_cut_into_lines_and_cells)
{
    // At its exact size: a sanitizer sees a read behind the end.
    char *copy = xmemdup(cases[_i].text.p, cases[_i].text.n);
    char *got = read_all((struct str){copy, cases[_i].text.n});
    ck_assert_str_eq(got, cases[_i].want);
    free(got);
    free(copy);
}
END_TEST

START_TEST(a_line_may_have_many_cells)
{
    struct buf text = {0};
    for (int i = 0; i < 1000; i++)
        buf_adds(&text, i % 2 ? "\"b\"\"\"," : "a,");
    struct csv csv;
    csv_begin(&csv, (struct str){text.p, text.n});
    ck_assert_int_eq(csv_next(&csv, NULL), 1);
    ck_assert_uint_eq(csv.n, 1001);
    for (size_t i = 0; i < 1000; i++)
        ck_assert(str_eq(csv.cells[i], i % 2 ? STR_LIT("b\"") : STR_LIT("a")));
    ck_assert_uint_eq(csv.cells[1000].n, 0);
    csv_free(&csv);
    buf_free(&text);
}
END_TEST

START_TEST(what_is_written_reads_back)
{
    static const char *const cells[] = {"#", "a",  "",      " ",     " a", "a ", "a b",
                                        ",", "\"", "\"a\"", "a,\"b", "##", "é"};
    struct buf text = {0};
    for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
        if (i > 0)
            buf_addc(&text, ',');
        csv_add_cell(&text, str_of(cells[i]));
    }
    struct csv csv;
    csv_begin(&csv, (struct str){text.p, text.n});
    ck_assert_int_eq(csv_next(&csv, NULL), 1);
    ck_assert_uint_eq(csv.n, ARRAY_LEN(cells));
    for (size_t i = 0; i < ARRAY_LEN(cells); i++)
        ck_assert(str_eq(csv.cells[i], str_of(cells[i])));
    csv_free(&csv);
    buf_free(&text);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("csv");
    tcase_add_loop_test(tc, a_text_is_cut_into_lines_and_cells, 0, ARRAY_LEN(cases));
    tcase_add_test(tc, a_line_may_have_many_cells);
    tcase_add_test(tc, what_is_written_reads_back);
    Suite *suite = suite_create("csv");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
