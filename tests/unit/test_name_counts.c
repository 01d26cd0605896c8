// SPDX-License-Identifier: Apache-2.0
#include "common/core/name_counts.h"

#include "tests/sim/random.h"

#include <check.h>
#include <stdio.h>

static struct name_counts counts;
static struct buf json;
static struct err e;

static void make(void)
{
    counts = (struct name_counts){0};
    json = (struct buf){0};
    e = (struct err){.offset = -2};
}

static void clear(void)
{
    name_counts_clear(&counts);
    buf_free(&json);
}

static const char *to_json(const struct name_counts *c)
{
    buf_clear(&json);
    name_counts_to_json(c, &json);
    buf_addc(&json, '\0');
    return json.p;
}

static void add(const char *name, int64_t n)
{
    name_counts_add(&counts, str_of(name), n);
}

START_TEST(sorts_names_and_sums_counts)
{
    ck_assert_str_eq(to_json(&counts), "{}");
    add("timeout", 1);
    add("rate_limit", 2);
    add("timeout", 3);
    ck_assert_str_eq(to_json(&counts), "{\"rate_limit\":2,\"timeout\":4}");
}
END_TEST

START_TEST(folds_the_greatest_name_beyond_32_into_other)
{
    char name[8];
    for (int i = NAME_COUNTS_MAX; i >= 0; i--) { // descending: the greatest are there first
        snprintf(name, sizeof(name), "e%02d", i);
        add(name, i + 1);
        ck_assert_uint_le(counts.n, NAME_COUNTS_MAX);
    }
    ck_assert_uint_eq(counts.n, NAME_COUNTS_MAX);
    ck_assert_str_eq(counts.v[NAME_COUNTS_MAX - 1].name, "e31");
    ck_assert_int_eq(counts.other, 33);
    add("e32", 5); // and stays there
    ck_assert_int_eq(counts.other, 38);
    add("e31", 1);
    ck_assert_int_eq(counts.v[NAME_COUNTS_MAX - 1].count, 33);
    ck_assert_int_eq(counts.other, 38);
}
END_TEST

START_TEST(other_is_a_name_of_ours_and_no_class)
{
    add("__other__", 2);
    ck_assert_uint_eq(counts.n, 0);
    ck_assert_str_eq(to_json(&counts), "{\"__other__\":2}");
}
END_TEST

START_TEST(merging_adds_names_and_other)
{
    struct name_counts more = {0};
    add("__other__", 2);
    add("a", 1);
    name_counts_add(&more, STR_LIT("__other__"), 3);
    name_counts_add(&more, STR_LIT("a"), 4);
    name_counts_merge(&counts, &more);
    ck_assert_str_eq(to_json(&counts), "{\"a\":5,\"__other__\":5}");
    name_counts_clear(&more);
}
END_TEST

// The cap's outcome depends neither on the order of events nor on how they were grouped into
// flushes, nor on whether a row went through JSON in between.
START_TEST(the_cap_does_not_depend_on_order_or_grouping)
{
    struct random r = {(uint64_t)_i};
    char names[300][8];
    int n = 40 + random_below(&r, 260);
    int distinct = 20 + random_below(&r, 60);
    for (int i = 0; i < n; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", random_below(&r, distinct));
        add(names[i], 1);
    }
    struct name_counts row = {0}, delta = {0};
    for (int i = n - 1; i > 0; i--) { // another order
        char swap[8];
        int with = random_below(&r, i + 1);
        memcpy(swap, names[i], sizeof(swap));
        memcpy(names[i], names[with], sizeof(swap));
        memcpy(names[with], swap, sizeof(swap));
    }
    for (int i = 0; i < n; i++) {
        name_counts_add(&delta, str_of(names[i]), 1);
        if (random_chance(&r, 80) && i < n - 1)
            continue;
        struct name_counts read = {0};
        (void)to_json(&row);
        ck_assert_int_eq(name_counts_from_json(&read, (struct str){json.p, json.n - 1}, &e), 0);
        name_counts_merge(&read, &delta);
        name_counts_clear(&delta);
        name_counts_clear(&row);
        row = read;
    }
    int64_t sum = row.other;
    for (size_t i = 0; i < row.n; i++)
        sum += row.v[i].count;
    ck_assert_int_eq(sum, n);
    char *in_one_go = xstrdup(to_json(&counts));
    ck_assert_str_eq(to_json(&row), in_one_go);
    free(in_one_go);
    name_counts_clear(&row);
}
END_TEST

#define X62 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
    struct str name;
    const char *class;
} hostile[] = {
    {STR_LIT(""), "unknown"},
    {STR_LIT("\n"), "unknown"},
    {STR_LIT("\0timeout"), "unknown"},
    {STR_LIT("timeout\0after"), "timeout"},
    {STR_LIT("timeout\nstack trace"), "timeout"},
    {STR_LIT("timeout\x7f"), "timeout"},
    {STR_LIT("a\"b\\c"), "a\"b\\c"},
    {STR_LIT(X62 "ab"), X62 "ab"},             // 64 bytes
    {STR_LIT(X62 "abc"), X62 "ab"},            // 65
    {STR_LIT(X62 "\xc3\xa9"), X62 "\xc3\xa9"}, // é ends at 64
    {STR_LIT(X62 "a\xc3\xa9"), X62 "a"},       // é would end at 65
    {STR_LIT(X62 "\xe2\x82\xac"), X62},        // € would end at 65
    {STR_LIT(X62 "a\xf0\x9f\x98\x80"
                 "b"),
     X62 "a"},                                         // four bytes, cut after their first
    {STR_LIT(X62 "\xc3\xa9\xc3\xa9"), X62 "\xc3\xa9"}, // the cut lies between two
};

START_TEST(cuts_hostile_names_to_what_can_be_stored)
{
    name_counts_add(&counts, hostile[_i].name, 1);
    ck_assert_uint_eq(counts.n, 1);
    ck_assert_str_eq(counts.v[0].name, hostile[_i].class);
    // What was written is JSON in UTF-8, and is read as the same.
    struct name_counts back = {0};
    (void)to_json(&counts);
    ck_assert_int_eq(name_counts_from_json(&back, (struct str){json.p, json.n - 1}, &e), 0);
    ck_assert_str_eq(back.v[0].name, hostile[_i].class);
    name_counts_clear(&back);
}
END_TEST

START_TEST(reading_json_adds)
{
    add("a", 1);
    ck_assert_int_eq(
        name_counts_from_json(&counts, STR_LIT("{\"b\":2,\"a\":3,\"__other__\":4}"), &e), 0);
    ck_assert_str_eq(to_json(&counts), "{\"a\":4,\"b\":2,\"__other__\":4}");
}
END_TEST

static const char *const not_counts[] = {
    "",
    "[]",
    "3",
    "null",
    "{",
    "{\"a\":1} x",
    "{\"a\":1,\"a\":2}",
    "{\"a\":-1}",
    "{\"a\":1.5}",
    "{\"a\":\"1\"}",
    "{\"a\":null}",
    "{\"b\":1,\"a\":true}",
    "{\"a\":9223372036854775808}",
    "{\"\xff\":1}",
    "{\"a\": 1",
    "{\"a\": 1,}",
    "{\"a\": }",
    "{\"a\": 01}",
    "{\"a\": -0.5}",
    "{\"a\": 1e3}",
    "{\"a\": 1}}",
    "{\"a\" 1}",
    "{a: 1}",
    "{\"a: 1}",
    "{\"a\": 1 \"b\": 2}",
    "{\"b\": 1, \"a\": 1, \"b\": 2}",
    "{,}",
    "{\"a\\x\": 1}",
    "{\"a\nb\": 1}",
};

START_TEST(refuses_other_json_and_adds_nothing_of_it)
{
    add("z", 1);
    ck_assert_int_eq(name_counts_from_json(&counts, str_of(not_counts[_i]), &e), -1);
    ck_assert_str_ne(e.detail, "");
    ck_assert_str_eq(to_json(&counts), "{\"z\":1}");
}
END_TEST

// What the quick reader takes, as PostgreSQL and as we write it, and what it leaves to the other.
static const struct {
    const char *text, *json;
} readable[] = {
    {"{}", "{}"},
    {" {}", "{}"},
    {"{ }", "{}"},
    {"{\"a\": 1}", "{\"a\":1}"},
    {"{\"a\":1}", "{\"a\":1}"},
    {"{\"a\" : 1}", "{\"a\":1}"},
    {"{\"a\":  1}", "{\"a\":1}"},
    {"{ \"a\": 1}", "{\"a\":1}"},
    {"{\"a\": 1 }", "{\"a\":1}"},
    {"{\"a\": 1} ", "{\"a\":1}"},
    {"{\"b\": 1, \"a\": 2}", "{\"a\":2,\"b\":1}"},
    {"{\"b\": 1,\"a\": 2}", "{\"a\":2,\"b\":1}"},
    {"{\"a\": 0}", "{\"a\":0}"},
    {"{\"a\": 999999999999999999}", "{\"a\":999999999999999999}"},
    {"{\"a\": 9223372036854775807}", "{\"a\":9223372036854775807}"},
    {"{\"\": 1}", "{\"unknown\":1}"},
    {"{\"__other__\": 3, \"a\": 1}", "{\"a\":1,\"__other__\":3}"},
    {"{\"a\\\"b\": 1}", "{\"a\\\"b\":1}"},
    {"{\"\\u0061\": 1}", "{\"a\":1}"},
    {"{\"Ã©\": 1}", "{\"Ã©\":1}"},
    {"{\"a"
     "b\": 1}",
     "{\"a\":1}"},
    {"{\"a\": 1, \"b\": 1, \"c\": 1, \"d\": 1, \"e\": 1, \"f\": 1, \"g\": 1, \"h\": 1}",
     "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1}"},
    {"{\"a\": 1, \"b\": 1, \"c\": 1, \"d\": 1, \"e\": 1, \"f\": 1, \"g\": 1, \"h\": 1, \"i\": 1}",
     "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1}"},
};

START_TEST(reads_any_json_of_counts)
{
    struct str text = str_of(readable[_i].text);
    char *exact = xmemdup(text.p, text.n); // so that a sanitizer sees a byte read behind it
    ck_assert_int_eq(name_counts_from_json(&counts, (struct str){exact, text.n}, &e), 0);
    ck_assert_str_eq(to_json(&counts), readable[_i].json);
    free(exact);
}
END_TEST

START_TEST(counts_saturate)
{
    add("a", INT64_MAX);
    add("a", 1);
    ck_assert_int_eq(counts.v[0].count, INT64_MAX);
    add("__other__", INT64_MAX);
    add("__other__", 1);
    ck_assert_int_eq(counts.other, INT64_MAX);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("name_counts");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, sorts_names_and_sums_counts);
    tcase_add_test(tc, folds_the_greatest_name_beyond_32_into_other);
    tcase_add_test(tc, other_is_a_name_of_ours_and_no_class);
    tcase_add_test(tc, merging_adds_names_and_other);
    tcase_add_loop_test(tc, the_cap_does_not_depend_on_order_or_grouping, 0, 200);
    tcase_add_loop_test(tc, cuts_hostile_names_to_what_can_be_stored, 0, ARRAY_LEN(hostile));
    tcase_add_test(tc, reading_json_adds);
    tcase_add_loop_test(tc, refuses_other_json_and_adds_nothing_of_it, 0, ARRAY_LEN(not_counts));
    tcase_add_loop_test(tc, reads_any_json_of_counts, 0, ARRAY_LEN(readable));
    tcase_add_test(tc, counts_saturate);
    Suite *suite = suite_create("name_counts");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
