// SPDX-License-Identifier: Apache-2.0
// What an event must not hold, one case a line: in fields of ours, in those of others and deep in
// metadata, in an event alone and in an item of a batch. Each is refused with the outermost field's
// name and the offset of the byte at which it shows.
#include "tests/unit/event_case.h"

#define BEGIN "{\"type\":\"request\",\"request_id\":\"r\",\"tenant_id\":\"t\",\"route\":\"/\","
#define WHOLE BEGIN "\"model\":\"m\",\"timestamp\":\"" T0 "\","

struct fault {
    const char *name;
    struct str bytes; // behind WHOLE
    const char *field;
    int64_t offset; // in these bytes
    const char *detail;
};

#define NO_DOUBLE "is a number beyond what a double can hold"
#define INVALID "is not valid JSON"
#define TWICE "a key stands twice in one object"
#define ZERO "must not hold the character U+0000"
#define NO_UTF8 "must be valid UTF-8"
#define TOO_MANY "must be at most 1000000000000"
#define NO_COUNT "must be a whole number of 0 or more"
#define DEEP_30 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["

static const struct fault faults[] = {
    // numbers
    {"1e400", STR_LIT("\"prompt_tokens\":1e400}"), "prompt_tokens", 21, NO_DOUBLE},
    {"1e400 unknown", STR_LIT("\"x\":1e400}"), "x", 9, NO_DOUBLE},
    {"-1e400 nested", STR_LIT("\"metadata\":{\"a\":[-1e400]}}"), "metadata", 23, NO_DOUBLE},
    {"NaN", STR_LIT("\"prompt_tokens\":NaN}"), "prompt_tokens", 19, INVALID},
    {"NaN unknown", STR_LIT("\"x\":NaN}"), "x", 7, INVALID},
    {"NaN nested", STR_LIT("\"metadata\":{\"a\":{\"b\":NaN}}}"), "metadata", 24, INVALID},
    {"Infinity", STR_LIT("\"max_tokens\":-Infinity}"), "max_tokens", 14, INVALID},
    {"above the bound", STR_LIT("\"prompt_tokens\":1000000000001}"), "prompt_tokens", 16, TOO_MANY},
    {"2^63", STR_LIT("\"prompt_tokens\":9223372036854775808}"), "prompt_tokens", 16, TOO_MANY},
    {"30 digits", STR_LIT("\"max_tokens\" : 999999999999999999999999999999}"), "max_tokens", 15,
     TOO_MANY},
    {"below zero", STR_LIT("\"prompt_tokens\": -1 }"), "prompt_tokens", 17, NO_COUNT},
    {"a fraction", STR_LIT("\"x\":0,\"prompt_tokens\":1.5}"), "prompt_tokens", 22, NO_COUNT},
    {"a zero first", STR_LIT("\"x\":01}"), "x", 5, INVALID},
    {"a plus", STR_LIT("\"x\":+1}"), "x", 5, INVALID},
    {"hexadecimal", STR_LIT("\"x\":0x1}"), "x", 6, INVALID},
    // keys twice
    {"twice", STR_LIT("\"provider\":\"a\",\"provider\":\"a\"}"), "provider", 25, TWICE},
    {"twice unknown", STR_LIT("\"x\":1,\"y\":2,\"x\":3}"), "x", 15, TWICE},
    {"twice nested", STR_LIT("\"metadata\":{\"a\":1,\"a\":2}}"), "metadata", 21, TWICE},
    {"twice in an array", STR_LIT("\"x\":[{\"a\":1,\"a\":2}]}"), "x", 15, TWICE},
    {"twice by an escape", STR_LIT("\"m\\u006fdel\":\"m\"}"), "model", 12, TWICE},
    // characters
    {"a high surrogate", STR_LIT("\"provider\":\"\\ud83d\"}"), "provider", 19, "\\uD83D"},
    {"a low surrogate", STR_LIT("\"provider\":\"\\ude00\"}"), "provider", 19, "\\uDE00"},
    {"surrogate and letter", STR_LIT("\"x\":\"\\ud83d\\u0041\"}"), "x", 18, "\\uD83D"},
    {"surrogate nested", STR_LIT("\"metadata\":{\"a\":\"\\ud83d\"}}"), "metadata", 24, "\\uD83D"},
    {"surrogate in a key", STR_LIT("\"x\\ud83d\":1}"), "", 9, "\\uD83D"},
    {"UTF-8", STR_LIT("\"provider\":\"a\xff\"}"), "provider", 13, NO_UTF8},
    {"UTF-8 unknown", STR_LIT("\"x\":\"\xc3\"}"), "x", 5, NO_UTF8},
    {"UTF-8 nested", STR_LIT("\"metadata\":{\"a\":[\"\xed\xa0\x80\"]}}"), "metadata", 18, NO_UTF8},
    {"UTF-8 in a key", STR_LIT("\"\xff\":1}"), "", 1, NO_UTF8},
    {"U+0000 escaped", STR_LIT("\"provider\":\"a\\u0000\"}"), "provider", 20, ZERO},
    {"U+0000 unknown", STR_LIT("\"x\":\"\\u0000\"}"), "x", 12, ZERO},
    {"U+0000 nested", STR_LIT("\"metadata\":{\"a\":\"\\u0000\"}}"), "metadata", 24, ZERO},
    {"U+0000 in a key", STR_LIT("\"metadata\":{\"a\\u0000\":1}}"), "metadata", 21, ZERO},
    {"a NUL byte", STR_LIT("\"provider\":\"a\0\"}"), "provider", 13, "control character 0x0"},
    {"a NUL byte unknown", STR_LIT("\"x\":\"a\0\"}"), "x", 6, "control character 0x0"},
    {"a control character", STR_LIT("\"provider\":\"a\x01\"}"), "provider", 13,
     "control character"},
    {"it escaped", STR_LIT("\"provider\":\"\\u0001\"}"), "provider", 11, "control characters"},
    // nesting: the event is level 1
    {"33 levels", STR_LIT("\"metadata\":{\"a\":" DEEP_30 "[1"), "metadata", 46, "32 levels"},
    {"33 levels unknown", STR_LIT("\"y\":[],\"x\":[" DEEP_30 "{"), "x", 42, "32 levels"},
    // the rest
    {"a wrong type", STR_LIT("\"stream\":1}"), "stream", 9, "true or false"},
    {"a wrong type null", STR_LIT("\"user_id_hash\":[null]}"), "user_id_hash", 15, "a string"},
    {"an escaped key", STR_LIT("\"m\\u0061x_tokens\":-1}"), "max_tokens", 18, NO_COUNT},
    {"nothing, behind a namesake", STR_LIT("\"x\":{\"provider\":1},\n\"provider\"\t:\n\"\"}"),
     "provider", 33, "empty"},
    {"no end", STR_LIT("\"x\":\"abc"), "x", 8, INVALID},
    {"bytes behind it", STR_LIT("\"x\":1} x"), "", 8, "more bytes follow"},
};

static void expect_fault(const struct fault *f)
{
    ck_assert_msg(strcmp(e.field, f->field) == 0, "%s: blames \"%s\"", f->name, e.field);
    ck_assert_msg(strstr(e.detail, f->detail), "%s: %s", f->name, e.detail);
    ck_assert_msg(e.offset == (int64_t)(sizeof(WHOLE) - 1) + f->offset, "%s: at %lld", f->name,
                  (long long)e.offset - (long long)(sizeof(WHOLE) - 1));
}

START_TEST(is_refused_with_field_and_offset)
{
    const struct fault *f = &faults[_i];
    struct buf text = {0};
    buf_adds(&text, WHOLE);
    buf_add(&text, f->bytes.p, f->bytes.n);
    struct str bytes = {text.p, text.n};
    ck_assert_msg(parse(EVENT_REQUEST, bytes) == -1, "%s is accepted", f->name);
    expect_fault(f);
    e = (struct err){.offset = -2};
    ck_assert_int_eq(event_parse_typed(parser, bytes, &ev, &e), -1);
    expect_fault(f);
    buf_free(&text);
}
END_TEST

START_TEST(the_values_are_bounded_and_the_field_is_named)
{
    struct buf text = {0};
    buf_adds(&text, WHOLE "\"y\":1,\"x\":[0");
    for (int i = 0; i < EVENT_JSON_TOKENS; i++)
        buf_adds(&text, ",0");
    buf_adds(&text, "]}");
    expect_refused(EVENT_REQUEST, (struct str){text.p, text.n}, "x");
    ck_assert_ptr_nonnull(strstr(e.detail, "32768 values"));
    ck_assert(e.offset > EVENT_JSON_TOKENS && e.offset < (int64_t)text.n);
    ck_assert_int_eq(text.p[e.offset], ',');
    buf_free(&text);
}
END_TEST

START_TEST(what_was_not_sent_has_no_offset)
{
    expect_refused(EVENT_REQUEST, STR_LIT(BEGIN "\"timestamp\":0}"), "model");
    ck_assert_int_eq(e.offset, -1);
    expect_refused(EVENT_REQUEST, STR_LIT(BEGIN "\"model\": null}"), "model");
    ck_assert_int_eq(e.offset, sizeof(BEGIN) - 1 + 9);
    ck_assert_int_eq(event_parse_typed(parser, STR_LIT("{\"a\":1}"), &ev, &e), -1);
    ck_assert_int_eq(e.offset, -1);
    ck_assert_int_eq(event_parse_typed(parser, STR_LIT("{\"type\":\"a\"}"), &ev, &e), -1);
    ck_assert_int_eq(e.offset, 8);
}
END_TEST

// Keys that cannot stand in an error as they are leave the offset to tell.
START_TEST(only_plain_keys_are_named)
{
    static const char *const keys[][2] = {
        {"a b", ""},
        {"\xc3\xa9", ""},
        {"\\u00e9", ""},
        {"\\n", ""},
        {"", ""},
        {"\\\"", "\""},
        {"\\u0041\\/", "A/"},
        {"123456789012345678901234567890123456789012345678901234567890123",
         "123456789012345678901234567890123456789012345678901234567890123"},
        {"1234567890123456789012345678901234567890123456789012345678901234", ""}};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct buf text = {0};
        buf_addf(&text, "{\"%s\":1e400}", keys[i][0]);
        expect_refused(EVENT_REQUEST, (struct str){text.p, text.n}, keys[i][1]);
        ck_assert_int_eq(e.offset, (int64_t)text.n - 1);
        buf_free(&text);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("event_faults");
    tcase_add_checked_fixture(tc, make_parser, free_parser);
    tcase_add_loop_test(tc, is_refused_with_field_and_offset, 0, ARRAY_LEN(faults));
    tcase_add_test(tc, the_values_are_bounded_and_the_field_is_named);
    tcase_add_test(tc, what_was_not_sent_has_no_offset);
    tcase_add_test(tc, only_plain_keys_are_named);
    Suite *suite = suite_create("event_faults");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
