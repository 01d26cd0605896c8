// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/keymap.h"
#include "metrics-api/promql/matcher.h"

#include <check.h>

static struct arena arena;

static const char *shown(struct labels l)
{
    struct buf out = {0};
    labels_print(l, &out);
    const char *copy = arena_str(&arena, (struct str){out.p, out.n}).p;
    buf_free(&out);
    return copy;
}

static struct labels set(struct labels l, const char *name, const char *value)
{
    return labels_set(&arena, l, str_of(name), str_of(value));
}

START_TEST(labels_stay_sorted_and_have_no_empty_value)
{
    struct labels l = set(set(set((struct labels){NULL, 0}, "m", "1"), "z", "2"), "a", "3");
    ck_assert_str_eq(shown(l), "{a=\"3\", m=\"1\", z=\"2\"}");
    ck_assert_str_eq(shown(set(l, "m", "x")), "{a=\"3\", m=\"x\", z=\"2\"}");
    ck_assert_str_eq(shown(set(l, "m", "")), "{a=\"3\", z=\"2\"}");
    ck_assert_str_eq(shown(set(l, "q", "")), "{a=\"3\", m=\"1\", z=\"2\"}");
    ck_assert_str_eq(shown(l), "{a=\"3\", m=\"1\", z=\"2\"}"); // never changed
    const struct str names[] = {STR_LIT("a"), STR_LIT("z"), STR_LIT("?")};
    ck_assert_str_eq(shown(labels_keep(&arena, l, names, 3)), "{a=\"3\", z=\"2\"}");
    ck_assert_str_eq(shown(labels_drop(&arena, l, names, 3)), "{m=\"1\"}");
    l = set(set(set(l, "__name__", "n"), "__type__", "t"), "__unit__", "u");
    ck_assert_str_eq(shown(labels_drop_metadata(&arena, l)), "{a=\"3\", m=\"1\", z=\"2\"}");
    ck_assert_uint_eq(labels_get(l, STR_LIT("nope")).n, 0);
    arena_free(&arena);
}
END_TEST

START_TEST(labels_are_shown_as_go_quotes_them)
{
    struct labels l = set((struct labels){NULL, 0}, "a b", "\"\\\n\t\x01\x7f\xff\xc3\xa4");
    ck_assert_str_eq(shown(l), "{\"a b\"=\"\\\"\\\\\\n\\t\\x01\\x7f\\xff\xc3\xa4\"}");
    ck_assert_str_eq(shown(set((struct labels){NULL, 0}, "0a", "")), "{}");
    ck_assert_str_eq(shown(set((struct labels){NULL, 0}, "0a", "b")), "{\"0a\"=\"b\"}");
    arena_free(&arena);
}
END_TEST

START_TEST(names_come_before_values_and_short_before_long)
{
    struct labels none = {NULL, 0};
    struct labels sorted[] = {none,
                              set(none, "a", "1"),
                              set(set(none, "a", "1"), "b", "0"),
                              set(none, "a", "10"),
                              set(none, "a", "2"),
                              set(none, "b", "")};
    sorted[5] = set(none, "b", "1");
    for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
        for (size_t j = 0; j < ARRAY_LEN(sorted); j++) {
            int order = labels_compare(sorted[i], sorted[j]);
            ck_assert_int_eq((order > 0) - (order < 0), (i > j) - (i < j));
        }
    arena_free(&arena);
}
END_TEST

static struct str key_of(struct labels l, struct buf *key)
{
    buf_clear(key);
    buf_reserve(key, 1);
    labels_key(l, key);
    return (struct str){key->p, key->n};
}

START_TEST(different_labels_have_different_keys)
{
    struct labels none = {NULL, 0};
    // The last one differs in where names and values end only.
    struct labels all[] = {
        none,
        set(none, "a", "bc"),
        set(none, "ab", "c"),
        set(none, "abc", "x"),
        set(set(none, "a", "b"), "c", "d"),
        labels_set(&arena, none, STR_LIT("a"), STR_LIT("b\0\0\0\0c\0\0\0\0d")),
    };
    struct hash_key hash;
    struct keymap map;
    struct buf key = {0};
    hash_key_init(&hash, "test", 4);
    keymap_init(&map, &arena, &hash);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        ck_assert_uint_eq(keymap_add(&map, key_of(all[i], &key)), i);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        ck_assert_uint_eq(keymap_add(&map, key_of(all[i], &key)), i);
    buf_free(&key);
    arena_free(&arena);
}
END_TEST

START_TEST(keys_keep_their_numbers_as_more_come)
{
    struct hash_key hash;
    struct keymap map;
    hash_key_init(&hash, "test", 4);
    keymap_init(&map, &arena, &hash);
    for (uint32_t i = 0; i < 10000; i++)
        ck_assert_uint_eq(keymap_add(&map, (struct str){(const char *)&i, sizeof(i)}), i);
    for (uint32_t i = 0; i < 10000; i++)
        ck_assert_uint_eq(keymap_add(&map, (struct str){(const char *)&i, sizeof(i)}), i);
    ck_assert_uint_eq(map.n, 10000);
    arena_free(&arena);
}
END_TEST

START_TEST(matchers_take_a_missing_label_for_an_empty_one)
{
    static const struct {
        enum matcher_op op;
        const char *value, *text;
        bool matches;
    } cases[] = {
        {MATCHER_EQUAL, "", "", true},
        {MATCHER_EQUAL, "a", "a", true},
        {MATCHER_EQUAL, "a", "", false},
        {MATCHER_NOT_EQUAL, "a", "", true},
        {MATCHER_NOT_EQUAL, "", "", false},
        {MATCHER_REGEX, "a|b", "b", true},
        {MATCHER_REGEX, "a|b", "ab", false},
        {MATCHER_REGEX, "a.c", "a\nc", true},
        {MATCHER_REGEX, ".*", "", true},
        {MATCHER_REGEX, ".+", "", false},
        {MATCHER_NOT_REGEX, ".+", "", true},
        {MATCHER_NOT_REGEX, "a.*", "ab", false},
        {MATCHER_REGEX, "(?i)AB", "ab", true},
        {MATCHER_REGEX, "^a$", "a", true},
        {MATCHER_REGEX, "(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false},
    };
    char why[100];
    struct matcher m = {cases[_i].op, STR_LIT("l"), str_of(cases[_i].value), NULL};
    if (m.op >= MATCHER_REGEX)
        m.regex = regex_new(m.value.p, m.value.n, why, sizeof(why));
    struct labels l = set((struct labels){NULL, 0}, "l", cases[_i].text);
    ck_assert(matchers_match(&m, 1, l) == cases[_i].matches);
    regex_free(m.regex);
    arena_free(&arena);
}
END_TEST

START_TEST(a_pattern_takes_so_much_memory)
{
    char why[100];
    static const char large[] = "((a{100}){100}){100}";
    ck_assert_ptr_null(regex_new(large, sizeof(large) - 1, why, sizeof(why)));
    ck_assert_ptr_nonnull(strstr(why, "error parsing regexp: "));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("labels");
    tcase_add_test(tc, labels_stay_sorted_and_have_no_empty_value);
    tcase_add_test(tc, labels_are_shown_as_go_quotes_them);
    tcase_add_test(tc, names_come_before_values_and_short_before_long);
    tcase_add_test(tc, different_labels_have_different_keys);
    tcase_add_test(tc, keys_keep_their_numbers_as_more_come);
    tcase_add_loop_test(tc, matchers_take_a_missing_label_for_an_empty_one, 0, 15);
    tcase_add_test(tc, a_pattern_takes_so_much_memory);
    Suite *suite = suite_create("promql_labels");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
