// SPDX-License-Identifier: Apache-2.0
// Which events the scanner reads and which it leaves to jansson, each limit from both sides, and
// that the two find the same. Searching for more differences is tests/fuzz/fuzz_event_scan.c's
// part.
#include "common/core/buf.h"
#include "tests/support/event_readers.h"

#include <check.h>
#include <stdio.h>

static struct event_readers readers;

static void make(void)
{
    readers.scan = event_scan_new();
    readers.json = event_json_new();
}

static void clear(void)
{
    event_scan_free(readers.scan);
    event_json_free(readers.json);
}

// Whether the scanner reads the bytes, of which it is given a copy of exactly that size: a
// sanitizer sees a read behind the end.
static bool is_mine(struct str bytes)
{
    bool mine;
    char *copy = xmemdup(bytes.n ? bytes.p : "", bytes.n);
    const char *difference = event_readers_differ(&readers, (struct str){copy, bytes.n}, &mine);
    ck_assert_msg(!difference, "%.*s: %s", (int)bytes.n, bytes.p, difference ? difference : "");
    free(copy);
    return mine;
}

static const char whole[] =
    "{\"type\":\"response\",\"request_id\":\"9b2d0c7e-5f9a-4c0e-9a55-2f8f0b8b8a11\","
    "\"tenant_id\":\"acme\",\"route\":\"chat\",\"model\":\"gpt-4o\",\"timestamp\":1795241640812."
    "125,"
    "\"prompt_tokens\":1204,\"provider\":\"openai\",\"stream\":true,\"user_id_hash\":\"5f3a\","
    "\"max_tokens\":512,\"metadata\":{\"a\":[1,{\"b\":null}],\"c\":\"\\u20ac\"},\"latency_ms\":812."
    "5,"
    "\"time_to_first_token_ms\":90,\"completion_tokens\":310,\"cached_prompt_tokens\":1024,"
    "\"cache_write_tokens\":3,\"cache_write_1h_tokens\":2,\"reasoning_tokens\":5,"
    "\"finish_reason\":\"stop\",\"error\":\"overloaded \xe2\x82\xac\",\"service_tier\":\"flex\","
    "\"cost_usd\":4.5e-05,\"unknown\":-0.5e+3}";

// Twice, since the second time the order of the keys is known.
START_TEST(reads_every_field)
{
    for (int time = 0; time < 2; time++) {
        ck_assert(is_mine(str_of(whole)));
        ck_assert_uint_eq(readers.scanned.sent, (1u << EVENT_FIELDS) - 1);
    }
}
END_TEST

START_TEST(leaves_every_prefix_to_jansson)
{
    for (size_t n = 0; n < sizeof(whole) - 1; n++)
        ck_assert_msg(!is_mine((struct str){whole, n}), "the first %zu bytes", n);
}
END_TEST

START_TEST(learns_another_order_of_keys)
{
    static const char *const events[] = {
        "{\"request_id\":\"a\",\"timestamp\":1,\"model\":\"m\"}",
        "{\"timestamp\":1,\"model\":\"m\",\"x\":{},\"request_id\":\"a\"}",
        "{\"model\":\"m\",\"request_id\":\"a\",\"request_ix\":2,\"timestamp\":1}",
    };
    for (size_t i = 0; i < 20 * ARRAY_LEN(events); i++) {
        ck_assert(is_mine(str_of(events[i * i % ARRAY_LEN(events)])));
        ck_assert_int_eq(__builtin_popcount(readers.scanned.sent), 3);
    }
}
END_TEST

// Behind "model" the name is guessed to be the one that came there before.
START_TEST(a_guess_is_checked_to_its_last_byte)
{
    for (size_t i = 0; i < EVENT_FIELDS; i++) {
        const char *name = event_fields[i].name.p;
        if (str_eq(event_fields[i].name, STR_LIT("model")))
            continue;
        for (size_t at = 0; at <= event_fields[i].name.n; at++) {
            for (int other = 0; other <= 1; other++) {
                struct buf text = {0};
                buf_addf(&text, "{\"model\":\"m\",\"%s\":true,\"x\":\"behind the last key\"}",
                         name);
                if (other && at == event_fields[i].name.n)
                    text.p[strlen("{\"model\":\"m\",\"") + at] = ' '; // in place of the quote
                else if (other)
                    text.p[strlen("{\"model\":\"m\",\"") + at] = '#';
                bool whole_key = !other || at < event_fields[i].name.n;
                ck_assert(is_mine((struct str){text.p, text.n}) == whole_key);
                if (whole_key)
                    ck_assert_int_eq(__builtin_popcount(readers.scanned.sent), other ? 1 : 2);
                buf_free(&text);
            }
        }
    }
}
END_TEST

static const struct {
    const char *label, *text;
    bool mine;
} cases[] = {
    {"no members", "{}", false},
    {"nothing known", "{\"a\":1}", true},
    {"nulls", "{\"model\":null,\"error\":null,\"route\":\"r\"}", true},
    {"white space", " \t\r\n{ \"a\" : [ 1 , { } , [ ] ] , \"b\" : { } } \n", true},
    {"other white space", "\v{}", false},
    {"no object", "[]", false},
    {"a second object", "{}{}", false},
    {"a comma at the end", "{\"a\":1,}", false},
    {"a comma alone", "{,}", false},
    {"a bracket alone", "}", false},
    {"no first bracket", ",\"a\":1}", false},
    {"a bracket in place of a comma", "{\"model\":1{\"route\":2}", false},
    {"no comma", "{\"a\":1 \"b\":2}", false},
    {"no colon", "{\"a\" 1}", false},
    {"no key", "{1:1}", false},
    {"an empty key", "{\"\":1}", true},
    {"a known key twice", "{\"model\":\"a\",\"x\":1,\"model\":\"b\"}", false},
    {"a known key twice in a row", "{\"model\":\"a\",\"model\":\"b\"}", false},
    {"null and a value", "{\"model\":null,\"model\":\"b\"}", false},
    {"an unknown key twice", "{\"x\":1,\"y\":2,\"x\":3}", false},
    {"a nested key twice", "{\"metadata\":{\"k\":{\"a\":1,\"b\":2,\"a\":3}}}", false},
    {"a key again at another level", "{\"a\":{\"a\":{\"a\":1}}}", true},
    {"keys that only begin like ours", "{\"rout\":1,\"route \":2,\"models\":3}", true},
    {"long keys that differ in the middle", "{\"time_to_Xirst_token_ms\":\"x\"}", true},
    {"a quoted quote in a known string", "{\"error\":\"said \\\"no\\\"\"}", false},
    {"escapes elsewhere", "{\"x\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uFFFF\"}", true},
    {"an escape in a key", "{\"\\u0061\":1}", false},
    {"the character U+0000", "{\"x\":\"\\u0000\"}", false},
    {"an escape that is none", "{\"x\":\"\\x41\"}", false},
    {"half an escape", "{\"x\":\"\\u12\"}", false},
    {"the last before the surrogates", "{\"x\":\"\\uD7ff\"}", true},
    {"a surrogate", "{\"x\":\"\\ud800\"}", false},
    {"the last surrogate", "{\"x\":\"\\uDFFF\"}", false},
    {"the first behind the surrogates", "{\"x\":\"\\ue000\"}", true},
    {"a pair of surrogates", "{\"x\":\"\\ud83d\\ude00\"}", false},
    {"UTF-8", "{\"route\":\"\xc3\xa4\xf0\x9f\x98\x80\",\"\xc3\xa4\":1}", true},
    {"overlong UTF-8", "{\"x\":\"\xc0\xaf\"}", false},
    {"half a character", "{\"x\":\"\xe2\x82\"}", false},
    {"half a character in a key", "{\"\xe2\x82\":1}", false},
    {"a control character", "{\"x\":\"a\x1f\"}", false},
    {"a control character behind plain ones", "{\"x\":\"0123456789abcdef0123\x1f\"}", false},
    {"the character DEL", "{\"error\":\"a\x7f\"}", true},
    {"words", "{\"a\":true,\"b\":false,\"c\":null}", true},
    {"a longer word", "{\"a\":truex}", false},
    {"a shorter word", "{\"a\":tru}", false},
    {"zeros", "{\"a\":0,\"b\":-0,\"c\":0.0,\"d\":0e9,\"latency_ms\":-0}", true},
    {"a zero in front", "{\"a\":01}", false},
    {"a sign in front", "{\"a\":+1}", false},
    {"a minus alone", "{\"a\":-}", false},
    {"no digit before the point", "{\"a\":.5}", false},
    {"no digit behind the point", "{\"a\":1.}", false},
    {"no digit in the exponent", "{\"a\":1e+}", false},
    {"exponent 99", "{\"a\":1e99,\"cost_usd\":1E-99}", true},
    {"exponent 100", "{\"a\":1e100}", false},
    {"too large for a double", "{\"a\":1e400}", false},
    {"17 digits", "{\"latency_ms\":1234.5678901234567}", true},
    {"beyond 2^53", "{\"cost_usd\":9007199254740993}", true},
    {"beyond 2^64", "{\"cost_usd\":36893488147419103233}", true},
    {"half a unit of the last place", "{\"cost_usd\":1.00000000000000011102230246251565}", true},
    {"10^22 and beyond", "{\"cost_usd\":1e22,\"latency_ms\":1e23}", true},
    {"10^-22 and below", "{\"cost_usd\":3e-22,\"latency_ms\":3e-23}", true},
    {"a number behind a number", "{\"a\":1 2}", false},
    {"an open list", "{\"a\":[1,2}", false},
    {"no last bracket", "{\"metadata\":{\"data\":{\"a\":[{}]}}", false},
    {"no last bracket behind an empty object", "{\"metadata\":{\"data\":{}", false},
    {"brackets mixed up", "{\"a\":[1}]", false},
    {"a comma at the end of a list", "{\"a\":[1,]}", false},
};

// Behind blanks, since no short event is read, and again with blanks behind it.
START_TEST(reads_what_is_usual_and_leaves_the_rest)
{
    for (int blanks = 0; blanks <= 17; blanks += 17) {
        struct buf text = {0};
        buf_addf(&text, "%16s%s%*s", "", cases[_i].text, blanks, "");
        ck_assert_msg(is_mine((struct str){text.p, text.n}) == cases[_i].mine, "%s: %s",
                      cases[_i].label, text.p);
        buf_free(&text);
    }
}
END_TEST

START_TEST(leaves_short_events_to_jansson)
{
    ck_assert(!is_mine(str_of("{\"model\":\"1234\"}")));
    ck_assert(is_mine(str_of("{\"model\":\"12345\"}")));
}
END_TEST

static void expect(const struct buf *text, bool mine, const char *what, int n)
{
    ck_assert_msg(is_mine((struct str){text->p, text->n}) == mine, "%s: %d", what, n);
}

START_TEST(numbers_have_at_most_63_characters)
{
    for (int n = 63; n <= 64; n++) {
        struct buf text = {0};
        buf_addf(&text, "{\"cost_usd\":%0.*f,\"a\":%0.*f}", n - 2, 1. / 3, n - 2, 1. / 7);
        expect(&text, n == 63, "characters", n);
        buf_free(&text);
    }
}
END_TEST

START_TEST(objects_have_at_most_32_unknown_keys)
{
    for (int n = 32; n <= 33; n++)
        for (int nested = 0; nested <= 1; nested++) {
            struct buf text = {0};
            buf_adds(&text, nested ? "{\"metadata\":{" : "{\"model\":\"m\",\"route\":\"r\",");
            for (int i = 0; i < n; i++)
                buf_addf(&text, "%s\"k%d\":%d", i ? "," : "", i, i);
            buf_adds(&text, nested ? "}}" : "}");
            expect(&text, n == 32, "keys", n);
            buf_free(&text);
        }
}
END_TEST

START_TEST(depth_is_that_of_the_contract)
{
    for (int depth = EVENT_JSON_DEPTH; depth <= EVENT_JSON_DEPTH + 1; depth++) {
        struct buf text = {0};
        buf_adds(&text, "{\"x\":");
        for (int i = 1; i < depth; i++)
            buf_adds(&text, i % 2 ? "[" : "{\"x\":");
        buf_adds(&text, "1");
        for (int i = depth - 1; i >= 1; i--)
            buf_adds(&text, i % 2 ? "]" : "}");
        buf_addc(&text, '}');
        expect(&text, depth == EVENT_JSON_DEPTH, "depth", depth);
        buf_free(&text);
    }
}
END_TEST

START_TEST(events_have_at_most_so_many_bytes)
{
    for (int n = EVENT_JSON_TOKENS; n <= EVENT_JSON_TOKENS + 1; n++) {
        struct buf text = {0};
        buf_addf(&text, "{\"error\":\"%0*d\"}", n - (int)strlen("{\"error\":\"\"}"), 0);
        ck_assert_uint_eq(text.n, n);
        expect(&text, n == EVENT_JSON_TOKENS, "bytes", n);
        buf_free(&text);
    }
}
END_TEST

// Where a string ends is found sixteen bytes at a time: each length, each byte that may end it.
START_TEST(strings_end_where_they_end)
{
    static const char *const ends[] = {"\"", "\xc3\xa4\"", "\x7f\"", "\x1f\"", "\xff\"", "\\n\""};
    for (int n = 0; n <= 50; n++)
        for (size_t i = 0; i < ARRAY_LEN(ends); i++)
            for (int behind = 0; behind <= 20; behind += 20) {
                struct buf text = {0};
                buf_addf(&text, "{\"error\":\"%.*s%s,\"x\":\"%.*s\"}", n,
                         "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", ends[i], behind,
                         "abcdefghijklmnopqrstuvwxyz");
                expect(&text, i < 3, ends[i], n);
                buf_free(&text);
            }
}
END_TEST

// Random decimals of every length, against strtod by way of jansson.
START_TEST(numbers_are_those_of_strtod)
{
    uint64_t x = 1;
    for (int i = 0; i < 5000; i++) {
        x = x * UINT64_C(6364136223846793005) + 1;
        uint64_t digits = x >> (x >> 58);
        struct buf text = {0};
        buf_addf(&text,
                 "{\"cost_usd\":%llu.%llu,\"latency_ms\":%llue%d,\"prompt_tokens\":-%llu,"
                 "\"time_to_first_token_ms\":%llue-%d}",
                 (unsigned long long)digits % 100000, (unsigned long long)(x >> 13) % 1000000007,
                 (unsigned long long)digits, (int)(x >> 40 & 0xff) % 30, (unsigned long long)digits,
                 (unsigned long long)digits, (int)(x >> 30 & 0xff) % 35);
        expect(&text, true, "number", i);
        buf_free(&text);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("event_scan");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, reads_every_field);
    tcase_add_test(tc, leaves_every_prefix_to_jansson);
    tcase_add_test(tc, learns_another_order_of_keys);
    tcase_add_test(tc, a_guess_is_checked_to_its_last_byte);
    tcase_add_loop_test(tc, reads_what_is_usual_and_leaves_the_rest, 0, ARRAY_LEN(cases));
    tcase_add_test(tc, leaves_short_events_to_jansson);
    tcase_add_test(tc, numbers_have_at_most_63_characters);
    tcase_add_test(tc, objects_have_at_most_32_unknown_keys);
    tcase_add_test(tc, depth_is_that_of_the_contract);
    tcase_add_test(tc, events_have_at_most_so_many_bytes);
    tcase_add_test(tc, strings_end_where_they_end);
    tcase_add_test(tc, numbers_are_those_of_strtod);
    Suite *suite = suite_create("event_scan");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
