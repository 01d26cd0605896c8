// SPDX-License-Identifier: Apache-2.0
// Dead letters as they are shown and counted: whatever their bytes are.
#include "common/core/timeunit.h"
#include "common/core/utf8.h"
#include "deploy/admin/topics/letter.h"

#include <check.h>
#include <jansson.h>

static struct buf out;
static struct letter_tally *tally;
static struct hash_key hash;

static void make(void)
{
    hash_key_init(&hash, "test", 4);
    tally = letter_tally_new(&hash, 1000000);
}

static void clear(void)
{
    buf_free(&out);
    letter_tally_free(tally);
}

static const char *text_of(const struct letter *l)
{
    buf_clear(&out);
    letter_add_text(l, &out);
    buf_addc(&out, '\0');
    return out.p;
}

static const char *json_of(const struct letter *l)
{
    buf_clear(&out);
    letter_add_json(l, &out);
    buf_addc(&out, '\0');
    return out.p;
}

#define LETTER                                                                                     \
    .key = STR_LIT("llm.responses/3/17"), .time_ms = INT64_C(1795240440123),                       \
    .reason = STR_LIT("unmatched")

START_TEST(a_letter_is_shown_with_all_that_is_known_of_it)
{
    const struct letter l = {LETTER, .tenant = STR_LIT("acme"), .record_key = STR_LIT("id-1"),
                             .detail = STR_LIT("no request"), .value = STR_LIT("{\"a\":1}")};
    ck_assert_str_eq(text_of(&l), "llm.responses/3/17  2026-11-21T05:54:00.123Z  unmatched\n"
                                  "    tenant      acme\n"
                                  "    request_id  id-1\n"
                                  "    detail      no request\n"
                                  "    value       {\"a\":1}\n");
    ck_assert_str_eq(json_of(&l),
                     "{\"record\":\"llm.responses/3/17\",\"time\":\"2026-11-21T05:54:00.123Z\","
                     "\"reason\":\"unmatched\",\"tenant_id\":\"acme\",\"request_id\":\"id-1\","
                     "\"detail\":\"no request\",\"value\":\"{\\\"a\\\":1}\","
                     "\"value_cut_from_bytes\":null}");
}
END_TEST

START_TEST(what_is_not_known_is_left_out)
{
    const struct letter l = {.time_ms = -1};
    ck_assert_str_eq(text_of(&l), "  -  -\n");
    ck_assert_str_eq(json_of(&l),
                     "{\"record\":null,\"time\":null,\"reason\":null,\"tenant_id\":null,"
                     "\"request_id\":null,\"detail\":null,\"value\":null,"
                     "\"value_cut_from_bytes\":null}");
    const struct letter late = {.time_ms = INT64_MAX, .value = STR_LIT("")};
    ck_assert_str_eq(text_of(&late), "  -  -\n    value       \n");
}
END_TEST

START_TEST(bytes_that_steer_a_terminal_are_spelled_out)
{
    static const struct {
        struct str bytes;
        const char *shown;
    } cases[] = {
        {STR_LIT("\x1b[2J"), "\\x1b[2J"},
        {STR_LIT("a\0b"), "a\\x00b"},
        {STR_LIT("a\r\n\tb"), "a\\r\\n\\tb"},
        {STR_LIT("back\\slash"), "back\\\\slash"},
        {STR_LIT("\x7f"), "\\x7f"},
        {STR_LIT("\xc2\x9b"), "\\xc2\\x9b"}, // U+009B, an escape sequence's beginning
        {STR_LIT("\x9b"), "\\x9b"},
        {STR_LIT("\xc2\xa0"), "\xc2\xa0"},            // the first beyond them
        {STR_LIT("\xe2\x80\xae"), "\\xe2\\x80\\xae"}, // U+202E: from right to left
        {STR_LIT("\xe2\x81\xa6"), "\\xe2\\x81\\xa6"},
        {STR_LIT("gr\xc3\xb6\xc3\x9f"
                 "e \xe2\x82\xac"),
         "gr\xc3\xb6\xc3\x9f"
         "e \xe2\x82\xac"},
        {STR_LIT("\xc3"), "\\xc3"},
        {STR_LIT("\xff\xfe"), "\\xff\\xfe"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct letter l = {.key = cases[i].bytes, .time_ms = -1, .reason = cases[i].bytes};
        char want[200];
        snprintf(want, sizeof(want), "%s  -  %s\n", cases[i].shown, cases[i].shown);
        ck_assert_str_eq(text_of(&l), want);
    }
}
END_TEST

// An assertion a byte would take longer than all else here.
static bool is_harmless(const char *text, size_t n, bool newlines)
{
    for (size_t i = 0, length; i < n; i += length) {
        const unsigned char *p = (const unsigned char *)text + i;
        length = utf8_sequence(p, n - i);
        bool control = (*p < 0x20 && !(newlines && *p == '\n')) || *p == 0x7f;
        if (length == 0 || control || (length == 2 && *p == 0xc2 && p[1] < 0xa0))
            return false;
    }
    return true;
}

// Any bytes in any place; the JSON gives back what was there.
START_TEST(random_bytes_do_no_harm_and_are_kept_in_json)
{
    unsigned state = 7;
    for (int round = 0; round < 3000; round++) {
        unsigned char bytes[40];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            state = state * 1103515245u + 12345u;
            // Mostly such as begin or go on with a sequence, so that sound ones occur.
            bytes[i] = (unsigned char)(state >> 16 & (round % 3 ? 0xff : 0xc3));
            if (round % 2)
                bytes[i] &= 0x7f;
        }
        struct str s = {(char *)bytes, (size_t)round % sizeof(bytes)};
        const struct letter l = {
            .key = s, .value = s, .reason = s, .detail = s, .tenant = s, .record_key = s};
        const char *text = text_of(&l);
        ck_assert_msg(is_harmless(text, out.n - 1, true), "%s", text);
        const char *json = json_of(&l);
        ck_assert_msg(is_harmless(json, out.n - 1, false), "%s", json);
        json_error_t why;
        json_t *o = json_loadb(json, out.n - 1, JSON_ALLOW_NUL, &why);
        ck_assert_msg(o != NULL, "%s: %s", json, why.text);
        json_t *kept = json_object_get(o, "value");
        if (kept) {
            ck_assert_uint_eq(json_string_length(kept), s.n);
            ck_assert_mem_eq(json_string_value(kept), s.p, s.n);
        } else {
            struct buf base64 = {0};
            buf_add_base64(&base64, s.p, s.n);
            const char *given = json_string_value(json_object_get(o, "value_base64"));
            ck_assert_ptr_nonnull(given);
            ck_assert_uint_eq(strlen(given), base64.n);
            ck_assert_mem_eq(given, base64.p, base64.n);
            buf_free(&base64);
        }
        json_decref(o);
    }
}
END_TEST

START_TEST(long_values_are_cut_in_text_and_whole_in_json)
{
    char bytes[302];
    memset(bytes, 'x', sizeof(bytes));
    struct letter l = {LETTER, .value = {bytes, 300}};
    ck_assert_ptr_null(strstr(text_of(&l), "…"));
    l.value.n = 301;
    ck_assert_ptr_nonnull(strstr(text_of(&l), "x… (of 301 bytes)\n"));
    memcpy(bytes + 299, "\xc3\xb6", 2); // it is not cut in two
    ck_assert_ptr_nonnull(strstr(text_of(&l), "x\xc3\xb6 (of 301 bytes)\n"));
    ck_assert_uint_gt(strlen(json_of(&l)), 301);
    // What the processor has cut says so itself.
    l.value_cut = STR_LIT("1048576");
    ck_assert_ptr_nonnull(strstr(text_of(&l), " (of 1048576 bytes)\n"));
    ck_assert_ptr_nonnull(strstr(json_of(&l), "\"value_cut_from_bytes\":\"1048576\""));
}
END_TEST

START_TEST(reason_and_id_choose)
{
    const struct letter l = {LETTER, .record_key = STR_LIT("id-1")};
    ck_assert(letter_matches(&(struct letter_filter){0}, &l));
    ck_assert(letter_matches(&(struct letter_filter){.reason = STR_LIT("unmatched")}, &l));
    ck_assert(!letter_matches(&(struct letter_filter){.reason = STR_LIT("unmatche")}, &l));
    ck_assert(letter_matches(&(struct letter_filter){.request_id = STR_LIT("id-1")}, &l));
    ck_assert(!letter_matches(&(struct letter_filter){.request_id = STR_LIT("id-10")}, &l));
    ck_assert(!letter_matches(
        &(struct letter_filter){.reason = STR_LIT("malformed"), .request_id = STR_LIT("id-1")},
        &l));
    const struct letter none = {.time_ms = -1};
    ck_assert(!letter_matches(&(struct letter_filter){.request_id = STR_LIT("id-1")}, &none));
}
END_TEST

static bool add(const char *key, const char *reason)
{
    const struct letter l = {.key = str_of(key), .reason = str_of(reason)};
    return letter_tally_add(tally, &l);
}

static const char *counts(void)
{
    buf_clear(&out);
    letter_tally_add_text(tally, &out);
    buf_addc(&out, '\0');
    return out.p;
}

START_TEST(a_repeat_counts_once)
{
    ck_assert(add("a/0/1", "unmatched"));
    ck_assert(add("a/0/2", "malformed"));
    ck_assert(!add("a/0/1", "unmatched"));
    ck_assert(add("a/1/1", "unmatched"));
    ck_assert(!add("a/0/1", "unmatched"));
    ck_assert_uint_eq(letter_tally_count(tally), 3);
    ck_assert_str_eq(counts(), "REASON     LETTERS\nunmatched  2\nmalformed  1\ntotal      3\n"
                               "2 repeats are left out\n");
    buf_clear(&out);
    letter_tally_add_json(tally, &out);
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.p, "\"counts\":[{\"reason\":\"unmatched\",\"letters\":2},"
                            "{\"reason\":\"malformed\",\"letters\":1}],\"repeats\":2,"
                            "\"repeats_told_of\":3");
}
END_TEST

START_TEST(many_keys_are_told_apart)
{
    char key[40];
    int wrong = 0;
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < 50000; i++) {
            snprintf(key, sizeof(key), "llm.requests/%d/%d", i % 7, i);
            wrong += add(key, "malformed") == again;
        }
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert_uint_eq(letter_tally_count(tally), 50000);
}
END_TEST

START_TEST(keys_beyond_the_most_are_counted_but_not_remembered)
{
    letter_tally_free(tally);
    tally = letter_tally_new(&hash, 2);
    ck_assert(add("a/0/1", "r") && add("a/0/2", "r"));
    ck_assert_ptr_null(strstr(counts(), "repeats"));
    ck_assert(add("a/0/3", "r") && add("a/0/3", "r"));
    ck_assert(!add("a/0/2", "r"));
    ck_assert_uint_eq(letter_tally_count(tally), 4);
    ck_assert_ptr_nonnull(strstr(counts(), "total   4\n1 repeats are left out\n"
                                           "repeats of the first 2 letters are told"));
}
END_TEST

START_TEST(reasons_beyond_the_most_are_others)
{
    char key[16], reason[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "%d", i);
        snprintf(reason, sizeof(reason), "r%d", i);
        ck_assert(add(key, reason));
    }
    ck_assert_ptr_nonnull(strstr(counts(), "r30     1\nothers  69\ntotal   100\n"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("letter");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, a_letter_is_shown_with_all_that_is_known_of_it);
    tcase_add_test(tc, what_is_not_known_is_left_out);
    tcase_add_test(tc, bytes_that_steer_a_terminal_are_spelled_out);
    tcase_add_test(tc, random_bytes_do_no_harm_and_are_kept_in_json);
    tcase_add_test(tc, long_values_are_cut_in_text_and_whole_in_json);
    tcase_add_test(tc, reason_and_id_choose);
    tcase_add_test(tc, a_repeat_counts_once);
    tcase_add_test(tc, many_keys_are_told_apart);
    tcase_add_test(tc, keys_beyond_the_most_are_counted_but_not_remembered);
    tcase_add_test(tc, reasons_beyond_the_most_are_others);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
