// SPDX-License-Identifier: Apache-2.0
// Whole events: what comes out, which bytes are refused and where the error points. The values of
// single fields are in test_event_values.c.
#include "tests/unit/event_case.h"

// --- what comes out ---

START_TEST(reads_a_whole_request)
{
    const char *text = "{\"request_id\":\"r-1\",\"tenant_id\":\"acme\",\"route\":\"/chat\","
                       "\"model\":\"gpt-4o\",\"timestamp\":\"2026-11-21T08:14:00.25+02:00\","
                       "\"prompt_tokens\":120,\"user_id_hash\":\"abc\",\"metadata\":{\"a\":[1]},"
                       "\"provider\":\"openai\",\"stream\":true,\"max_tokens\":512}";
    ck_assert_int_eq(parse_text(EVENT_REQUEST, text), 0);
    ck_assert_int_eq(ev.kind, EVENT_REQUEST);
    expect_str(ev.request_id, "r-1");
    expect_str(ev.tenant_id, "acme");
    expect_str(ev.route, "/chat");
    expect_str(ev.model, "gpt-4o");
    expect_str(ev.provider, "openai");
    ck_assert_int_eq(ev.timestamp_us, T0_US + 250000);
    ck_assert_int_eq(ev.prompt_tokens, 120);
    ck_assert(ev.stream);
}
END_TEST

START_TEST(reads_a_whole_response)
{
    const char *text =
        "{\"request_id\":\"r-1\",\"timestamp\":1795241640123,\"model\":\"gpt-4o-2024\","
        "\"tenant_id\":\"acme\","
        "\"latency_ms\":12.3456,\"completion_tokens\":7,\"finish_reason\":\"stop\",\"error\":"
        "\"rate\\nlimit\",\"time_to_first_token_ms\":3,\"prompt_tokens\":1,"
        "\"cached_prompt_tokens\":2,\"cache_write_tokens\":3,\"cache_write_1h_tokens\":4,"
        "\"reasoning_tokens\":5,\"service_tier\":\"flex\",\"cost_usd\":0.0125}";
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, text), 0);
    ck_assert_int_eq(ev.kind, EVENT_RESPONSE);
    expect_str(ev.request_id, "r-1");
    expect_str(ev.model, "gpt-4o-2024");
    expect_str(ev.tenant_id, "acme");
    expect_str(ev.finish_reason, "stop");
    expect_str(ev.error, "rate\nlimit");
    expect_str(ev.service_tier, "flex");
    ck_assert_int_eq(ev.timestamp_us, T0_US + 123000);
    ck_assert_int_eq(ev.latency_us, 12346);
    ck_assert_int_eq(ev.ttft_us, 3000);
    ck_assert_int_eq(ev.prompt_tokens, 1);
    ck_assert_int_eq(ev.cached_prompt_tokens, 2);
    ck_assert_int_eq(ev.cache_write_tokens, 3);
    ck_assert_int_eq(ev.cache_write_1h_tokens, 4);
    ck_assert_int_eq(ev.reasoning_tokens, 5);
    ck_assert_int_eq(ev.completion_tokens, 7);
    ck_assert_int_eq(ev.cost_pusd, 12500000000);
}
END_TEST

static void expect_nothing_optional(void)
{
    expect_str(ev.provider, NULL);
    expect_str(ev.finish_reason, NULL);
    expect_str(ev.error, NULL);
    expect_str(ev.service_tier, NULL);
    ck_assert_int_eq(ev.prompt_tokens, EVENT_ABSENT);
    ck_assert_int_eq(ev.completion_tokens, EVENT_ABSENT);
    ck_assert_int_eq(ev.cached_prompt_tokens, EVENT_ABSENT);
    ck_assert_int_eq(ev.cache_write_tokens, EVENT_ABSENT);
    ck_assert_int_eq(ev.cache_write_1h_tokens, EVENT_ABSENT);
    ck_assert_int_eq(ev.reasoning_tokens, EVENT_ABSENT);
    ck_assert_int_eq(ev.latency_us, EVENT_ABSENT);
    ck_assert_int_eq(ev.ttft_us, EVENT_ABSENT);
    ck_assert_int_eq(ev.cost_pusd, EVENT_ABSENT);
    ck_assert(!ev.stream);
}

START_TEST(absent_and_null_are_the_same)
{
    ck_assert_int_eq(parse_text(EVENT_REQUEST, REQUEST "}"), 0);
    expect_nothing_optional();
    ck_assert_int_eq(parse_text(EVENT_REQUEST, REQUEST ",\"prompt_tokens\":null,\"provider\":null,"
                                                       "\"stream\":null,\"max_tokens\":null,"
                                                       "\"user_id_hash\":null,\"type\":null,"
                                                       "\"metadata\":null}"),
                     0);
    expect_nothing_optional();
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, RESPONSE "}"), 0);
    expect_nothing_optional();
    expect_str(ev.model, NULL);
    const char *nulls = RESPONSE
        ",\"model\":null,\"latency_ms\":null,\"completion_tokens\":null,\"finish_reason\":null,"
        "\"error\":null,\"time_to_first_token_ms\":null,\"prompt_tokens\":null,"
        "\"cached_prompt_tokens\":null,\"cache_write_tokens\":null,\"cache_write_1h_tokens\":null,"
        "\"reasoning_tokens\":null,\"service_tier\":null,\"cost_usd\":null}";
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, nulls), 0);
    expect_nothing_optional();
    expect_str(ev.model, NULL);
}
END_TEST

START_TEST(one_event_leaves_nothing_in_the_next)
{
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, RESPONSE ",\"latency_ms\":5,\"error\":\"x\","
                                                         "\"cost_usd\":1,\"prompt_tokens\":3}"),
                     0);
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, RESPONSE "}"), 0);
    expect_nothing_optional();
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, "{"), -1);
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, RESPONSE "}"), 0);
    expect_str(ev.request_id, "r-1");
}
END_TEST

START_TEST(tenant_is_optional_here)
{
    const char *text = "{\"request_id\":\"r\",\"route\":\"/\",\"model\":\"m\",\"timestamp\":0}";
    ck_assert_int_eq(parse_text(EVENT_REQUEST, text), 0);
    expect_str(ev.tenant_id, NULL);
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, RESPONSE ",\"tenant_id\":null}"), 0);
    expect_str(ev.tenant_id, NULL);
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, RESPONSE "}"), 0);
    expect_str(ev.tenant_id, NULL);
}
END_TEST

START_TEST(fields_of_the_other_kind_are_unknown)
{
    ck_assert_int_eq(parse_text(EVENT_RESPONSE,
                                RESPONSE ",\"route\":false,\"provider\":[],\"stream\":9,"
                                         "\"max_tokens\":-1,\"metadata\":1,"
                                         "\"user_id_hash\":{}}"),
                     0);
    expect_str(ev.route, NULL);
    expect_str(ev.provider, NULL);
    ck_assert(!ev.stream);
    ck_assert_int_eq(parse_text(EVENT_REQUEST,
                                REQUEST ",\"latency_ms\":\"x\",\"error\":5,\"cost_usd\":-1,"
                                        "\"completion_tokens\":1.5,\"finish_reason\":7}"),
                     0);
    expect_nothing_optional();
}
END_TEST

// --- the shape of the whole ---

START_TEST(names_the_missing_field)
{
    static const char *const required[] = {"request_id", "route", "model", "timestamp"};
    for (size_t i = 0; i < ARRAY_LEN(required); i++) {
        for (int as_null = 0; as_null <= 1; as_null++) {
            struct buf text = {0};
            buf_adds(&text, "{\"x\":0");
            for (size_t j = 0; j < ARRAY_LEN(required); j++) {
                if (i == j && as_null)
                    buf_addf(&text, ",\"%s\":null", required[j]);
                else if (i != j)
                    buf_addf(&text, ",\"%s\":%s", required[j], j == 3 ? "0" : "\"v\"");
            }
            buf_addc(&text, '}');
            expect_refused(EVENT_REQUEST, (struct str){text.p, text.n}, required[i]);
            buf_free(&text);
        }
    }
    expect_refused(EVENT_RESPONSE, STR_LIT("{\"timestamp\":0}"), "request_id");
    expect_refused(EVENT_RESPONSE, STR_LIT("{\"request_id\":\"r\"}"), "timestamp");
}
END_TEST

static const struct {
    struct str bytes;
    const char *field;
    int64_t offset;
} malformed[] = {
    {STR_LIT(""), "", 0},
    {STR_LIT("   "), "", 3},
    {STR_LIT("null"), "", 4},
    {STR_LIT("\"x\""), "", 3},
    {STR_LIT("[]"), "", 0},
    {STR_LIT("[{}]"), "", 0},
    {STR_LIT("{"), "", 1},
    {STR_LIT("{\"request_id\""), "request_id", 13},
    {STR_LIT("{\"request_id\":\"r"), "request_id", 16},
    {STR_LIT("{\"request_id\":tru}"), "request_id", 17},
    {STR_LIT("{\"a\":{\"b\":[1,2}}}"), "a", 15},
    {STR_LIT("{request_id:1}"), "", 8},
    {STR_LIT("{'request_id':1}"), "", 2},
    {STR_LIT("{\"request_id\":\"r\",}"), "request_id", 19},
    {STR_LIT("{} {}"), "", 4},
    {STR_LIT("{}\0"), "", 3},
    {STR_LIT("\xef\xbb\xbf{}"), "", 3},
    {STR_LIT("{\"a\":\"x\xff\"}"), "a", 7},
    {STR_LIT("{\"a\":\"\\u0000\"}"), "a", 13},
    {STR_LIT("{\"a\\u0000\":1}"), "", 10},
    {STR_LIT("{\"a\":1e400}"), "a", 10},
    {STR_LIT("{\"a\":[\"x\",1e400]}"), "a", 15},
    {STR_LIT("[0,\"x\",1e400]"), "", 12},
    {STR_LIT("{\"a\":1,\"a\":2}"), "a", 10},
    {STR_LIT("{\"a\":1,\"b\":1,\"a\":2}"), "a", 16},
    {STR_LIT("{\"a\":1,\"\\u0061\":2}"), "a", 15},
    {STR_LIT("{\"\\u0061\":1,\"a\":2}"), "a", 15},
    {STR_LIT("{\"m\":{\"a\":1,\"a\":2}}"), "m", 15},
    {STR_LIT("{\"m\":[1,{\"a\":1,\"a\":2}]}"), "m", 18},
};

START_TEST(points_into_malformed_bytes)
{
    expect_refused(EVENT_REQUEST, malformed[_i].bytes, malformed[_i].field);
    ck_assert_msg(e.offset == malformed[_i].offset, "%.*s: at %lld (%s)",
                  (int)malformed[_i].bytes.n, malformed[_i].bytes.p, (long long)e.offset, e.detail);
}
END_TEST

// The detail travels back as JSON, so no half character of the sender's may get into it.
START_TEST(quotes_no_bytes_of_the_sender)
{
    ck_assert_int_eq(parse_text(EVENT_REQUEST, "{\"a\":\"\\ud8\xf4\x8f\xbf\xbf\"}"), -1);
    for (const char *c = e.detail; *c; c++)
        ck_assert_msg(*c >= 0x20 && *c < 0x7f, "%s", e.detail);
}
END_TEST

START_TEST(refuses_every_prefix)
{
    const char *whole = REQUEST ",\"metadata\":{\"a\":\"\\\"\"}}";
    for (size_t n = 0; n < strlen(whole); n++)
        ck_assert_int_eq(parse(EVENT_REQUEST, (struct str){whole, n}), -1);
    ck_assert_int_eq(parse_text(EVENT_REQUEST, whole), 0);
}
END_TEST

START_TEST(unknown_fields_may_hold_any_json)
{
    const char *text = REQUEST ",\"a\":18446744073709551616,\"b\":[null,-1e300,\"\\u007f\\n\"],"
                               "\"c\":{\"d\":{}},\"timestamp_ms\":-5,\"Model\":7}";
    ck_assert_msg(parse_text(EVENT_REQUEST, text) == 0, "%s", e.detail);
    expect_str(ev.model, "m");
}
END_TEST

START_TEST(white_space_and_escaped_keys_are_json)
{
    const char *text = "\r\n\t {\"request\\u005fid\" : \"r\" ,\n\"timestamp\": 0 } \n";
    ck_assert_int_eq(parse_text(EVENT_RESPONSE, text), 0);
    expect_str(ev.request_id, "r");
}
END_TEST

static void add_nested(struct buf *text, size_t levels, const char *open, const char *close)
{
    for (size_t i = 0; i < levels; i++)
        buf_adds(text, open);
    for (size_t i = 0; i < levels; i++)
        buf_adds(text, close);
}

START_TEST(bounds_depth)
{
    for (size_t depth = EVENT_JSON_DEPTH; depth <= EVENT_JSON_DEPTH + 1; depth++) {
        struct buf text = {0};
        buf_adds(&text, REQUEST ",\"x\":");
        add_nested(&text, depth - 1, "[", "]"); // the event is the first level
        buf_addc(&text, '}');
        ck_assert_int_eq(parse(EVENT_REQUEST, (struct str){text.p, text.n}),
                         depth <= EVENT_JSON_DEPTH ? 0 : -1);
        buf_free(&text);
    }
    ck_assert_ptr_nonnull(strstr(e.detail, "deep"));
    // Brackets inside strings are no levels, escaped quotes end no string.
    struct buf text = {0};
    buf_adds(&text, REQUEST ",\"x\":\"\\\"");
    add_nested(&text, 100, "{[", "]}");
    buf_adds(&text, "\"}");
    ck_assert_int_eq(parse(EVENT_REQUEST, (struct str){text.p, text.n}), 0);
    // Nor are neighbours.
    buf_clear(&text);
    buf_adds(&text, REQUEST ",\"x\":[{}");
    for (int i = 0; i < 100; i++)
        buf_adds(&text, ",[{}]");
    buf_adds(&text, "]}");
    ck_assert_int_eq(parse(EVENT_REQUEST, (struct str){text.p, text.n}), 0);
    buf_free(&text);
}
END_TEST

START_TEST(bounds_the_number_of_values)
{
    // {"request_id":"r","timestamp":0,"x":[0,0…]}: 7 tokens around the list's commas.
    for (int over = 0; over <= 1; over++) {
        struct buf text = {0};
        buf_adds(&text, "{\"request_id\":\"r,:\",\"timestamp\":0,\"x\":[0");
        for (int i = 0; i < EVENT_JSON_TOKENS - 7 + over; i++)
            buf_adds(&text, ",0");
        buf_adds(&text, "]}");
        ck_assert_int_eq(parse(EVENT_RESPONSE, (struct str){text.p, text.n}), over ? -1 : 0);
        buf_free(&text);
    }
    ck_assert_ptr_nonnull(strstr(e.detail, "values"));
}
END_TEST

// --- batches ---

START_TEST(the_type_of_an_item_decides)
{
    ck_assert_int_eq(event_parse_typed(parser, STR_LIT(REQUEST ",\"type\":\"request\"}"), &ev, &e),
                     0);
    ck_assert_int_eq(ev.kind, EVENT_REQUEST);
    ck_assert_int_eq(
        event_parse_typed(parser, STR_LIT(RESPONSE ",\"type\":\"response\"}"), &ev, &e), 0);
    ck_assert_int_eq(ev.kind, EVENT_RESPONSE);
    ck_assert_int_eq(event_parse_typed(parser, STR_LIT(RESPONSE ",\"type\":\"request\"}"), &ev, &e),
                     -1);
    ck_assert_str_eq(e.field, "route"); // judged as what it says it is
    static const char *const bad[] = {"\"\"", "\"Request\"", "null", "1", "[]", "\"request \""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf text = {0};
        buf_addf(&text, REQUEST ",\"type\":%s}", bad[i]);
        ck_assert_int_eq(event_parse_typed(parser, (struct str){text.p, text.n}, &ev, &e), -1);
        ck_assert_str_eq(e.field, "type");
        buf_free(&text);
    }
    ck_assert_int_eq(event_parse_typed(parser, STR_LIT(REQUEST "}"), &ev, &e), -1);
    ck_assert_str_eq(e.field, "type");
    ck_assert_int_eq(event_parse_typed(parser, STR_LIT("[]"), &ev, &e), -1);
    ck_assert_int_eq(event_parse_typed(parser, STR_LIT("{"), &ev, NULL), -1);
}
END_TEST

START_TEST(free_takes_null)
{
    event_parser_free(NULL);
    struct event_parser *unused = event_parser_new();
    event_parser_free(unused);
}
END_TEST

static void add_tests(TCase *tc)
{
    tcase_add_test(tc, reads_a_whole_request);
    tcase_add_test(tc, reads_a_whole_response);
    tcase_add_test(tc, absent_and_null_are_the_same);
    tcase_add_test(tc, one_event_leaves_nothing_in_the_next);
    tcase_add_test(tc, tenant_is_optional_here);
    tcase_add_test(tc, fields_of_the_other_kind_are_unknown);
    tcase_add_test(tc, names_the_missing_field);
    tcase_add_loop_test(tc, points_into_malformed_bytes, 0, ARRAY_LEN(malformed));
    tcase_add_test(tc, quotes_no_bytes_of_the_sender);
    tcase_add_test(tc, refuses_every_prefix);
    tcase_add_test(tc, unknown_fields_may_hold_any_json);
    tcase_add_test(tc, white_space_and_escaped_keys_are_json);
    tcase_add_test(tc, bounds_depth);
    tcase_add_test(tc, bounds_the_number_of_values);
    tcase_add_test(tc, the_type_of_an_item_decides);
    tcase_add_test(tc, free_takes_null);
}

int main(void)
{
    TCase *tc = tcase_create("event");
    tcase_add_checked_fixture(tc, make_parser, free_parser);
    add_tests(tc);
    Suite *suite = suite_create("event");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
