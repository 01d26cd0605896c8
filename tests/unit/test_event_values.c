// SPDX-License-Identifier: Apache-2.0
// The bounds of single fields: each value at its limit and one beyond.
#include "common/core/timeunit.h"
#include "tests/unit/event_case.h"

// --- accepted and refused values, each at its bound and one beyond ---

struct value_case {
    enum event_kind kind;
    const char *field, *value;
    int64_t want; // of the numbers
};

static const struct value_case numbers[] = {
    {EVENT_REQUEST, "prompt_tokens", "0", 0},
    {EVENT_REQUEST, "prompt_tokens", "-0", 0},
    {EVENT_REQUEST, "prompt_tokens", "-0.0", 0},
    {EVENT_REQUEST, "prompt_tokens", "12.0", 12},
    {EVENT_REQUEST, "prompt_tokens", "1.2e1", 12},
    {EVENT_REQUEST, "prompt_tokens", "1000000000000", EVENT_MAX_TOKENS},
    {EVENT_REQUEST, "prompt_tokens", "1e12", EVENT_MAX_TOKENS},
    {EVENT_RESPONSE, "prompt_tokens", "999999999999", EVENT_MAX_TOKENS - 1},
    {EVENT_RESPONSE, "completion_tokens", "3", 3},
    {EVENT_RESPONSE, "cached_prompt_tokens", "4", 4},
    {EVENT_RESPONSE, "cache_write_tokens", "5", 5},
    {EVENT_RESPONSE, "cache_write_1h_tokens", "6", 6},
    {EVENT_RESPONSE, "reasoning_tokens", "7", 7},
    {EVENT_RESPONSE, "latency_ms", "0", 0},
    {EVENT_RESPONSE, "latency_ms", "-0.0", 0},
    {EVENT_RESPONSE, "latency_ms", "0.0004", 0},
    {EVENT_RESPONSE, "latency_ms", "0.0005", 1},
    {EVENT_RESPONSE, "latency_ms", "1.0005", 1001}, // rounded half away from zero
    {EVENT_RESPONSE, "latency_ms", "842", 842000},
    {EVENT_RESPONSE, "latency_ms", "8.42e2", 842000},
    {EVENT_RESPONSE, "latency_ms", "1000000000", EVENT_MAX_MS * 1000},
    {EVENT_RESPONSE, "latency_ms", "1e-320", 0},
    {EVENT_RESPONSE, "time_to_first_token_ms", "1.5", 1500},
    {EVENT_RESPONSE, "time_to_first_token_ms", "1e9", EVENT_MAX_MS * 1000},
};

static int64_t number_of(const char *field)
{
    const struct {
        const char *field;
        int64_t value;
    } members[] = {
        {"prompt_tokens", ev.prompt_tokens},
        {"completion_tokens", ev.completion_tokens},
        {"cached_prompt_tokens", ev.cached_prompt_tokens},
        {"cache_write_tokens", ev.cache_write_tokens},
        {"cache_write_1h_tokens", ev.cache_write_1h_tokens},
        {"reasoning_tokens", ev.reasoning_tokens},
        {"latency_ms", ev.latency_us},
        {"time_to_first_token_ms", ev.ttft_us},
    };
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (strcmp(members[i].field, field) == 0)
            return members[i].value;
    }
    ck_abort_msg("no such number: %s", field);
    return 0;
}

static struct buf with_value(const struct value_case *c)
{
    struct buf text = {0};
    buf_addf(&text, "%s,\"%s\":%s}", c->kind == EVENT_REQUEST ? REQUEST : RESPONSE, c->field,
             c->value);
    return text;
}

START_TEST(reads_numbers)
{
    struct buf text = with_value(&numbers[_i]);
    ck_assert_msg(parse(numbers[_i].kind, (struct str){text.p, text.n}) == 0, "%s: %s: %s", text.p,
                  e.field, e.detail);
    ck_assert_msg(number_of(numbers[_i].field) == numbers[_i].want, "%s: %s gave %lld",
                  numbers[_i].field, numbers[_i].value, (long long)number_of(numbers[_i].field));
    buf_free(&text);
}
END_TEST

static const struct value_case bad_values[] = {
    {EVENT_REQUEST, "prompt_tokens", "-1", 0},
    {EVENT_REQUEST, "prompt_tokens", "12.5", 0},
    {EVENT_REQUEST, "prompt_tokens", "1000000000001", 0},
    {EVENT_REQUEST, "prompt_tokens", "9223372036854775808", 0},
    {EVENT_REQUEST, "prompt_tokens", "-9223372036854775809", 0},
    {EVENT_REQUEST, "prompt_tokens", "123456789012345678901234567890", 0},
    {EVENT_REQUEST, "prompt_tokens", "1e400", 0},
    {EVENT_REQUEST, "prompt_tokens", "NaN", 0},
    {EVENT_REQUEST, "prompt_tokens", "Infinity", 0},
    {EVENT_REQUEST, "prompt_tokens", "012", 0},
    {EVENT_REQUEST, "prompt_tokens", "+1", 0},
    {EVENT_REQUEST, "prompt_tokens", "1.", 0},
    {EVENT_REQUEST, "prompt_tokens", "\"12\"", 0},
    {EVENT_REQUEST, "prompt_tokens", "true", 0},
    {EVENT_REQUEST, "prompt_tokens", "[]", 0},
    {EVENT_REQUEST, "prompt_tokens", "{}", 0},
    {EVENT_REQUEST, "max_tokens", "-1", 0},
    {EVENT_REQUEST, "max_tokens", "0.5", 0},
    {EVENT_REQUEST, "max_tokens", "1000000000001", 0},
    {EVENT_REQUEST, "stream", "1", 0},
    {EVENT_REQUEST, "stream", "\"true\"", 0},
    {EVENT_REQUEST, "metadata", "[]", 0},
    {EVENT_REQUEST, "metadata", "\"{}\"", 0},
    {EVENT_REQUEST, "metadata", "{\"a\":1,\"a\":2}", 0}, // duplicates at any level
    {EVENT_REQUEST, "user_id_hash", "5", 0},
    {EVENT_REQUEST, "user_id_hash", "\"\"", 0},
    {EVENT_REQUEST, "provider", "\"\"", 0},
    {EVENT_REQUEST, "provider", "{}", 0},
    {EVENT_REQUEST, "type", "\"response\"", 0},
    {EVENT_REQUEST, "type", "\"chat\"", 0},
    {EVENT_REQUEST, "type", "1", 0},
    {EVENT_RESPONSE, "type", "\"request\"", 0},
    {EVENT_RESPONSE, "prompt_tokens", "1.5", 0},
    {EVENT_RESPONSE, "completion_tokens", "-1", 0},
    {EVENT_RESPONSE, "cached_prompt_tokens", "1e13", 0},
    {EVENT_RESPONSE, "cache_write_tokens", "\"\"", 0},
    {EVENT_RESPONSE, "cache_write_1h_tokens", "false", 0},
    {EVENT_RESPONSE, "reasoning_tokens", "0.1", 0},
    {EVENT_RESPONSE, "latency_ms", "-1", 0},
    {EVENT_RESPONSE, "latency_ms", "-0.0001", 0},
    {EVENT_RESPONSE, "latency_ms", "1000000000.001", 0},
    {EVENT_RESPONSE, "latency_ms", "1000000001", 0},
    {EVENT_RESPONSE, "latency_ms", "1e308", 0},
    {EVENT_RESPONSE, "latency_ms", "1e400", 0},
    {EVENT_RESPONSE, "latency_ms", "\"842\"", 0},
    {EVENT_RESPONSE, "time_to_first_token_ms", "-5", 0},
    {EVENT_RESPONSE, "time_to_first_token_ms", "1000000001", 0},
    {EVENT_RESPONSE, "finish_reason", "1", 0},
    {EVENT_RESPONSE, "finish_reason", "\"a\\u0001\"", 0},
    {EVENT_RESPONSE, "error", "1", 0},
    {EVENT_RESPONSE, "error", "{\"code\":1}", 0},
    {EVENT_RESPONSE, "error", "false", 0},
    {EVENT_RESPONSE, "service_tier", "\"\"", 0},
    {EVENT_RESPONSE, "model", "\"\"", 0},
    {EVENT_RESPONSE, "model", "5", 0},
    {EVENT_RESPONSE, "cost_usd", "-0.01", 0},
    {EVENT_RESPONSE, "cost_usd", "1000000.00001", 0},
    {EVENT_RESPONSE, "cost_usd", "1e400", 0},
    {EVENT_RESPONSE, "cost_usd", "\"1\"", 0},
    {EVENT_RESPONSE, "tenant_id", "5", 0},
    {EVENT_RESPONSE, "tenant_id", "\"\"", 0},
};

START_TEST(refuses_values_and_names_the_field)
{
    struct buf text = with_value(&bad_values[_i]);
    expect_refused(bad_values[_i].kind, (struct str){text.p, text.n}, bad_values[_i].field);
    buf_free(&text);
}
END_TEST

START_TEST(reads_what_is_only_checked)
{
    ck_assert_int_eq(parse_text(EVENT_REQUEST, REQUEST ",\"max_tokens\":0,\"user_id_hash\":\"u\","
                                                       "\"metadata\":{},\"type\":\"request\"}"),
                     0);
    ck_assert_int_eq(parse_text(EVENT_REQUEST, REQUEST ",\"max_tokens\":1e12}"), 0);
    ck_assert_int_eq(parse_text(EVENT_REQUEST, REQUEST ",\"stream\":false}"), 0);
    ck_assert(!ev.stream);
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, RESPONSE ",\"type\":\"response\"}"), 0);
}
END_TEST

static const struct {
    const char *usd;
    int64_t pusd;
} costs[] = {
    {"0", 0},
    {"-0.0", 0},
    {"0.000000000001", 1},
    {"1e-12", 1},
    {"0.0000000000005", 1},
    {"0.00000000000049", 0},
    {"0.0125", 12500000000},
    {"0.000000150001", 150001},
    {"999.999999999999", 999999999999999}, // 15 digits: the last that every double keeps
    {"1000.00000000001", 1000000000000010},
    {"9007.19925474097", 9007199254740970},
    {"12345.6789012345", 12345678901234500},
    {"12345.67890123451", 12345678901234500}, // the 16th is not kept
    {"99999.9999999999", 99999999999999900},
    {"999999.123456789", 999999123456789000},
    {"999999.999999999", 999999999999999000},
    {"1000000", 1000000000000000000},
};

START_TEST(reads_costs)
{
    struct buf text = {0};
    buf_addf(&text, RESPONSE ",\"cost_usd\":%s}", costs[_i].usd);
    ck_assert_int_eq(parse(EVENT_RESPONSE, (struct str){text.p, text.n}), 0);
    ck_assert_msg(ev.cost_pusd == costs[_i].pusd, "%s gave %lld", costs[_i].usd,
                  (long long)ev.cost_pusd);
    buf_free(&text);
}
END_TEST

// --- names ---

static const struct {
    const char *label;
    struct str value; // the JSON literal's inside
    bool accepted;
} names[] = {
    {"one byte", STR_LIT("x"), true},
    {"a space", STR_LIT(" "), true},
    {"U+0020 is the first that may be", STR_LIT("\\u0020"), true},
    {"U+0080, a C1 control", STR_LIT("\\u0080"), true},
    {"two bytes", STR_LIT("\xc3\xa9"), true},
    {"three bytes", STR_LIT("\xe2\x82\xac"), true},
    {"four bytes", STR_LIT("\xf0\x9f\x98\x80"), true},
    {"a surrogate pair", STR_LIT("\\ud83d\\ude00"), true},
    {"U+10FFFF", STR_LIT("\xf4\x8f\xbf\xbf"), true},
    {"escapes", STR_LIT("a\\/b\\\"c\\\\d"), true},
    {"empty", STR_LIT(""), false},
    {"NUL escape", STR_LIT("a\\u0000"), false},
    {"NUL byte", STR_LIT("a\0b"), false},
    {"raw control", STR_LIT("a\x01"), false},
    {"raw line feed", STR_LIT("a\n"), false},
    {"escaped line feed", STR_LIT("a\\n"), false},
    {"U+001F", STR_LIT("\\u001f"), false},
    {"U+007F escaped", STR_LIT("\\u007f"), false},
    {"U+007F", STR_LIT("a\x7f"), false},
    {"lone high surrogate", STR_LIT("\\ud83d"), false},
    {"lone low surrogate", STR_LIT("\\ude00"), false},
    {"surrogates in disorder", STR_LIT("\\ude00\\ud83d"), false},
    {"lone byte 0xff", STR_LIT("\xff"), false},
    {"lone continuation", STR_LIT("\x80"), false},
    {"overlong slash", STR_LIT("\xc0\xaf"), false},
    {"overlong of three", STR_LIT("\xe0\x80\xaf"), false},
    {"overlong of four", STR_LIT("\xf0\x80\x80\xaf"), false},
    {"surrogate in UTF-8", STR_LIT("\xed\xa0\x80"), false},
    {"beyond U+10FFFF", STR_LIT("\xf4\x90\x80\x80"), false},
    {"a first byte that no character has", STR_LIT("\xf5\x80\x80\x80"), false},
    {"cut short", STR_LIT("\xe2\x82"), false},
    {"unknown escape", STR_LIT("\\x41"), false},
};

START_TEST(bounds_names)
{
    static const char *const fields[] = {"request_id", "tenant_id", "route",
                                         "model",      "provider",  "user_id_hash"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        struct buf text = {0};
        buf_addc(&text, '{');
        for (size_t j = 0; j < ARRAY_LEN(fields); j++) {
            buf_addf(&text, "\"%s\":\"", fields[j]);
            struct str value = i == j ? names[_i].value : STR_LIT("v");
            buf_add(&text, value.p, value.n);
            buf_adds(&text, "\",");
        }
        buf_adds(&text, "\"timestamp\":0}");
        struct str bytes = {text.p, text.n};
        if (!names[_i].accepted)
            expect_refused(EVENT_REQUEST, bytes, fields[i]);
        else
            ck_assert_msg(parse(EVENT_REQUEST, bytes) == 0, "%s as %s: %s", names[_i].label,
                          fields[i], e.detail);
        buf_free(&text);
    }
}
END_TEST

// The check for names from elsewhere: the same verdict for what needs no JSON escape.
START_TEST(checks_names_from_elsewhere)
{
    struct str value = names[_i].value;
    if (memchr(value.p, '\\', value.n))
        return;
    ck_assert_msg((event_check_name("x", value, &e) == 0) == names[_i].accepted, "%s",
                  names[_i].label);
    if (!names[_i].accepted)
        ck_assert_str_eq(e.field, "x");
}
END_TEST

START_TEST(names_have_at_most_255_bytes)
{
    static const char *const fields[] = {"request_id", "tenant_id", "route", "model", "provider"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        for (int n = EVENT_NAME_MAX; n <= EVENT_NAME_MAX + 1; n++) {
            struct buf text = {0};
            buf_addc(&text, '{');
            for (size_t j = 0; j < ARRAY_LEN(fields); j++)
                buf_addf(&text, "\"%s\":\"%0*d\",", fields[j], i == j ? n : 1, 0);
            buf_adds(&text, "\"timestamp\":0}");
            struct str bytes = {text.p, text.n};
            if (n > EVENT_NAME_MAX)
                expect_refused(EVENT_REQUEST, bytes, fields[i]);
            else
                ck_assert_int_eq(parse(EVENT_REQUEST, bytes), 0);
            buf_free(&text);
        }
    }
    char longest[EVENT_NAME_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    ck_assert_int_eq(event_check_name("x", (struct str){longest, EVENT_NAME_MAX}, &e), 0);
    ck_assert_int_eq(event_check_name("x", (struct str){longest, EVENT_NAME_MAX + 1}, &e), -1);
    // 255 counts bytes: 128 letters of two bytes are one too many.
    for (size_t i = 0; i + 1 < sizeof(longest); i += 2)
        memcpy(longest + i, "\xc3\xa9", 2);
    ck_assert_int_eq(event_check_name("x", (struct str){longest, sizeof(longest)}, &e), -1);
    ck_assert_int_eq(event_check_name("x", (struct str){longest, sizeof(longest) - 2}, &e), 0);
}
END_TEST

START_TEST(finish_reason_may_be_empty)
{
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, RESPONSE ",\"finish_reason\":\"\"}"), 0);
    expect_str(ev.finish_reason, NULL);
    struct buf text = {0};
    buf_addf(&text, RESPONSE ",\"finish_reason\":\"%0*d\"}", EVENT_NAME_MAX + 1, 0);
    expect_refused(EVENT_RESPONSE, (struct str){text.p, text.n}, "finish_reason");
    buf_free(&text);
}
END_TEST

START_TEST(error_is_any_text)
{
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, RESPONSE ",\"error\":\"\"}"), 0);
    ck_assert_uint_eq(ev.error.n, 0);
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, RESPONSE ",\"error\":\"a\\u0001\\t\\u007f\"}"), 0);
    expect_str(ev.error, "a\x01\t\x7f");
    struct buf text = {0};
    buf_addf(&text, RESPONSE ",\"error\":\"%0*d\"}", 100000, 0);
    ck_assert_int_eq(parse(EVENT_RESPONSE, (struct str){text.p, text.n}), 0);
    ck_assert_uint_eq(ev.error.n, 100000);
    buf_free(&text);
}
END_TEST

// --- timestamps ---

static const struct {
    const char *value;
    int64_t want_us;
} times[] = {
    {"\"" T0 "\"", T0_US},
    {"\"2026-11-21T08:14:00+02:00\"", T0_US},
    {"\"2026-11-21T06:14:00.123456789Z\"", T0_US + 123456},
    {"\"2024-02-29T23:59:60Z\"", INT64_C(1709251200000000)},
    {"0", 0},
    {"-0", 0},
    {"-1", -1000},
    {"-0.0001", -1}, // floored
    {"1795241640000", T0_US},
    {"1.79524164e12", T0_US},
    {"1795241640000.001", T0_US + 1},
    {"1795241640000.999", T0_US + 999},
    {"1795241640123.4567", T0_US + 123456},
    {"-62135596800000", INT64_C(-62135596800000000)},
    {"253402300799999", INT64_C(253402300799999000)},
};

START_TEST(reads_timestamps)
{
    struct buf text = {0};
    buf_addf(&text, "{\"request_id\":\"r\",\"timestamp\":%s}", times[_i].value);
    ck_assert_msg(parse(EVENT_RESPONSE, (struct str){text.p, text.n}) == 0, "%s: %s",
                  times[_i].value, e.detail);
    ck_assert_msg(ev.timestamp_us == times[_i].want_us, "%s gave %lld", times[_i].value,
                  (long long)ev.timestamp_us);
    buf_free(&text);
}
END_TEST

START_TEST(epoch_fractions_are_exact_to_a_microsecond)
{
    for (int64_t us = 0; us < 1000; us++) {
        struct buf text = {0};
        buf_addf(&text, "{\"request_id\":\"r\",\"timestamp\":1795241647777.%03d}", (int)us);
        ck_assert_int_eq(parse(EVENT_RESPONSE, (struct str){text.p, text.n}), 0);
        ck_assert_int_eq(ev.timestamp_us, T0_US + 7777000 + us);
        buf_free(&text);
    }
}
END_TEST

static const char *const bad_times[] = {
    "\"\"",
    "\"2026-11-21\"",
    "\"2026-11-21T06:14:00\"",
    "\"2026-02-29T00:00:00Z\"",
    "\"2026-11-21T06:14:00Z \"",
    "\"1795241640000\"",
    "true",
    "{}",
    "[0]",
    "253402300800000",
    "-62135596800001",
    "9223372036854775807",
    "9223372036854775808",
    "1e300",
    "-1e300",
    "null",
};

START_TEST(refuses_other_timestamps)
{
    struct buf text = {0};
    buf_addf(&text, "{\"request_id\":\"r\",\"timestamp\":%s}", bad_times[_i]);
    expect_refused(EVENT_RESPONSE, (struct str){text.p, text.n}, "timestamp");
    buf_free(&text);
}
END_TEST

START_TEST(bounds_the_time_around_a_reference)
{
    const int64_t past = EVENT_PAST_US, future = EVENT_FUTURE_US, margin = EVENT_BOUND_MARGIN_US;
    const struct {
        int64_t ahead_us, margin_us;
        bool accepted;
    } rows[] = {
        {0, 0, true},
        {-past, 0, true},
        {-past - 1, 0, false},
        {future, 0, true},
        {future + 1, 0, false},
        {-past - margin, margin, true},
        {-past - margin - 1, margin, false},
        {future + margin, margin, true},
        {future + margin + 1, margin, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct event at = {.timestamp_us = T0_US + rows[i].ahead_us};
        int rc = event_check_time(&at, T0_US, rows[i].margin_us, &e);
        ck_assert_msg((rc == 0) == rows[i].accepted, "row %zu", i);
    }
    ck_assert_str_eq(e.field, "timestamp");
    ck_assert_ptr_nonnull(strstr(e.detail, T0));
    struct event at = {.timestamp_us = T0_US};
    ck_assert_int_eq(event_check_time(&at, INT64_MAX, 0, &e), -1);
    ck_assert_int_eq(event_check_time(&at, INT64_MIN, 0, &e), -1);
    at.timestamp_us = -T0_US;
    ck_assert_int_eq(event_check_time(&at, INT64_MAX, 0, &e), -1);
}
END_TEST

static void add_tests(TCase *tc)
{
    tcase_add_loop_test(tc, reads_numbers, 0, ARRAY_LEN(numbers));
    tcase_add_loop_test(tc, refuses_values_and_names_the_field, 0, ARRAY_LEN(bad_values));
    tcase_add_test(tc, reads_what_is_only_checked);
    tcase_add_loop_test(tc, reads_costs, 0, ARRAY_LEN(costs));
    tcase_add_loop_test(tc, bounds_names, 0, ARRAY_LEN(names));
    tcase_add_loop_test(tc, checks_names_from_elsewhere, 0, ARRAY_LEN(names));
    tcase_add_test(tc, names_have_at_most_255_bytes);
    tcase_add_test(tc, finish_reason_may_be_empty);
    tcase_add_test(tc, error_is_any_text);
    tcase_add_loop_test(tc, reads_timestamps, 0, ARRAY_LEN(times));
    tcase_add_test(tc, epoch_fractions_are_exact_to_a_microsecond);
    tcase_add_loop_test(tc, refuses_other_timestamps, 0, ARRAY_LEN(bad_times));
    tcase_add_test(tc, bounds_the_time_around_a_reference);
}

int main(void)
{
    TCase *tc = tcase_create("event_values");
    tcase_add_checked_fixture(tc, make_parser, free_parser);
    add_tests(tc);
    Suite *suite = suite_create("event_values");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
