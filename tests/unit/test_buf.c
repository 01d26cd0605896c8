// SPDX-License-Identifier: Apache-2.0
#include "common/core/buf.h"

#include <check.h>
#include <jansson.h>

START_TEST(keeps_every_byte_while_it_grows)
{
    struct buf b = {0};
    for (int i = 0; i < 100000; i++)
        buf_addc(&b, (char)i);
    ck_assert_uint_eq(b.n, 100000);
    ck_assert_uint_ge(b.cap, b.n);
    int wrong = 0;
    for (int i = 0; i < 100000; i++)
        wrong += b.p[i] != (char)i;
    ck_assert_int_eq(wrong, 0);
    buf_free(&b);
}
END_TEST

START_TEST(adds_bytes_strings_and_formats)
{
    struct buf b = {0};
    buf_add(&b, "a\0b", 3);
    buf_add(&b, NULL, 0);
    buf_adds(&b, "");
    buf_adds(&b, "cd");
    buf_addf(&b, "%d|%s", -5, "x");
    ck_assert_uint_eq(b.n, 9);
    ck_assert_mem_eq(b.p, "a\0bcd-5|x", 9);
    buf_free(&b);
}
END_TEST

START_TEST(formats_longer_than_the_room_there_is)
{
    struct buf b = {0};
    buf_addf(&b, "%s%0*d", "ab", 5000, 7);
    ck_assert_uint_eq(b.n, 5002);
    ck_assert_int_eq(b.p[2], '0');
    ck_assert_int_eq(b.p[5001], '7');
    buf_free(&b);
}
END_TEST

START_TEST(reserve_makes_room_and_adds_nothing)
{
    struct buf b = {0};
    buf_adds(&b, "abc");
    buf_reserve(&b, 100000);
    ck_assert_uint_eq(b.n, 3);
    ck_assert_uint_ge(b.cap - b.n, 100000);
    ck_assert_mem_eq(b.p, "abc", 3);
    buf_free(&b);
}
END_TEST

START_TEST(clear_keeps_the_memory_and_free_gives_it_back)
{
    struct buf b = {0};
    buf_adds(&b, "abc");
    size_t cap = b.cap;
    buf_clear(&b);
    ck_assert_uint_eq(b.n, 0);
    ck_assert_uint_eq(b.cap, cap);
    buf_free(&b);
    ck_assert_ptr_null(b.p);
    ck_assert_uint_eq(b.cap, 0);
    buf_adds(&b, "ready for reuse");
    ck_assert_uint_eq(b.n, 15);
    buf_free(&b);
}
END_TEST

START_TEST(steal_hands_over_a_terminated_string)
{
    struct buf b = {0};
    char *empty = buf_steal(&b);
    ck_assert_str_eq(empty, "");
    free(empty);
    for (int i = 0; i < 256; i++) // exactly full: the terminator needs room of its own
        buf_addc(&b, 'x');
    char *full = buf_steal(&b);
    ck_assert_uint_eq(strlen(full), 256);
    ck_assert_ptr_null(b.p);
    ck_assert_uint_eq(b.n, 0);
    free(full);
}
END_TEST

START_TEST(json_strings_are_escaped)
{
    struct buf b = {0};
    buf_add_json_str(&b, STR_LIT("a\"b\\c\n\x01\x1f/é"));
    char *text = buf_steal(&b);
    ck_assert_str_eq(text, "\"a\\\"b\\\\c\\u000a\\u0001\\u001f/é\"");
    free(text);
}
END_TEST

START_TEST(any_ascii_string_survives_a_json_parser)
{
    char all[128];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)i;
    for (size_t n = 0; n <= sizeof(all); n++) {
        struct buf b = {0};
        buf_add_json_str(&b, (struct str){all, n});
        json_t *value = json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        ck_assert_ptr_nonnull(value);
        ck_assert_uint_eq(json_string_length(value), n);
        ck_assert(memcmp(json_string_value(value), all, n) == 0);
        json_decref(value);
        buf_free(&b);
    }
}
END_TEST

// The vectors of RFC 4648, section 10, and the last two characters of the alphabet.
START_TEST(base64_is_the_usual_one_and_padded)
{
    static const char *const vectors[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+"},
    };
    struct buf b = {0};
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        buf_clear(&b);
        buf_addc(&b, '<');
        buf_add_base64(&b, vectors[i][0], strlen(vectors[i][0]));
        ck_assert_uint_eq(b.n, 1 + strlen(vectors[i][1]));
        ck_assert_mem_eq(b.p + 1, vectors[i][1], b.n - 1);
    }
    buf_free(&b);
    static const char zeros[30001];
    buf_add_base64(&b, zeros, sizeof(zeros)); // one byte more than whole groups
    ck_assert_uint_eq(b.n, 40004);
    ck_assert_uint_ge(b.cap, b.n);
    for (size_t i = 0; i < 40002; i++)
        ck_assert_int_eq(b.p[i], 'A');
    ck_assert_mem_eq(b.p + 40002, "==", 2);
    buf_free(&b);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("buf");
    tcase_add_test(tc, keeps_every_byte_while_it_grows);
    tcase_add_test(tc, adds_bytes_strings_and_formats);
    tcase_add_test(tc, formats_longer_than_the_room_there_is);
    tcase_add_test(tc, reserve_makes_room_and_adds_nothing);
    tcase_add_test(tc, clear_keeps_the_memory_and_free_gives_it_back);
    tcase_add_test(tc, steal_hands_over_a_terminated_string);
    tcase_add_test(tc, json_strings_are_escaped);
    tcase_add_test(tc, any_ascii_string_survives_a_json_parser);
    tcase_add_test(tc, base64_is_the_usual_one_and_padded);
    Suite *suite = suite_create("buf");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
