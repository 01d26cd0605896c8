// SPDX-License-Identifier: Apache-2.0
// What a record does to what is counted: one test a rule of DESIGN 3 and 4. Replay, positions,
// limits and ticks are in test_task_replay.c.
#include "tests/unit/task_case.h"

// ---- windows ----

static const struct {
    const char *timestamp;
    int64_t minute_ms;
} windows[] = {
    {"\"2026-11-21T06:14:00Z\"", 0},
    {"\"2026-11-21T06:13:59.999999Z\"", -60000},
    {"\"2026-11-21T06:14:59.999999Z\"", 0},
    {"\"2026-11-21T06:15:00Z\"", 60000},
    {"\"2026-11-21T08:13:00+02:00\"", -60000},
    {"1795241639999", -60000},
    {"\"2026-11-14T06:14:30Z\"", -7 * INT64_C(86400000)},
};

START_TEST(a_request_counts_in_the_minute_of_its_own_timestamp)
{
    char fields[256];
    snprintf(fields, sizeof(fields), AT "%s," NAMES, windows[_i].timestamp);
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 500, "a", NULL, fields));
    answer(600, "a", "");
    ck_assert_int_eq(facts_of("t", windows[_i].minute_ms)->requests, 1);
    ck_assert_int_eq(facts_of("t", windows[_i].minute_ms)->responses, 1);
    ck_assert_uint_eq(window_count(env.deltas), 1);
}
END_TEST

START_TEST(a_late_event_adds_to_what_was_flushed)
{
    ask(0, "a", "");
    answer(10, "a", ",\"latency_ms\":10");
    flushed(task);
    ck_assert_uint_eq(window_count(env.deltas), 0);
    ask(90000, "b", ""); // two minutes on
    take(EVENT_REQUEST,
         append_event(EVENT_REQUEST, 90001, "c", NULL, AT "\"2026-11-21T06:14:01Z\"," NAMES));
    ck_assert_int_eq(facts_now()->requests, 1); // the delta alone, to be added
    ck_assert_int_eq(facts_now()->responses, 0);
    ck_assert_int_eq(facts_of("t", 60000)->requests, 1);
}
END_TEST

START_TEST(the_series_is_the_requests)
{
    ask(0, "a", "");
    answer(10, "a", ",\"model\":\"another\"");
    const struct window_cell *c = window_at(env.deltas, 0);
    ck_assert_uint_eq(window_count(env.deltas), 1);
    ck_assert_str_eq(c->series->tenant.p, "t");
    ck_assert_str_eq(c->series->route.p, "/r");
    ck_assert_str_eq(c->series->model.p, "m");
}
END_TEST

// ---- matching ----

START_TEST(a_response_before_its_request_matches)
{
    answer(0, "a", ",\"latency_ms\":12.5,\"completion_tokens\":7");
    ck_assert_uint_eq(window_count(env.deltas), 0);
    ask(SKEW, "a", ",\"prompt_tokens\":3");
    ck_assert_int_eq(facts_now()->requests, 1);
    ck_assert_int_eq(facts_now()->responses, 1);
    ck_assert_int_eq(prompt_tokens_now(), 3);
    ck_assert_int_eq(usage_now().completion_tokens, 7);
    ck_assert_int_eq(facts_now()->latency.sum_us, 12500);
    ck_assert_int_eq(stats.responses, 1);
}
END_TEST

START_TEST(an_answer_matches_up_to_ttl_and_not_beyond)
{
    ask(0, "a", "");
    ask(0, "b", "");
    answer(TTL, "a", "");
    answer(TTL + 1, "b", "");
    ck_assert_int_eq(facts_now()->responses, 1);
    ck_assert_int_eq(facts_now()->unanswered, 1);
}
END_TEST

START_TEST(unanswered_once_the_response_time_has_passed_ttl_by_event_or_tick)
{
    ask(0, "a", "");
    tick(EVENT_REQUEST, 10 * D); // the requests' own time says nothing
    tick(EVENT_RESPONSE, TTL);
    ck_assert_int_eq(facts_now()->unanswered, 0);
    if (_i == 0)
        tick(EVENT_RESPONSE, TTL + 1);
    else
        answer(TTL + 1, "other", "");
    ck_assert_int_eq(facts_now()->unanswered, 1);
    ck_assert_int_eq(stats.unanswered, 1);
    ck_assert_int_eq(facts_now()->requests, 1);
}
END_TEST

START_TEST(a_request_that_is_read_after_its_ttl_is_unanswered_at_once)
{
    tick(EVENT_RESPONSE, TTL + 1);
    ask(0, "a", "");
    ck_assert_int_eq(facts_now()->requests, 1);
    ck_assert_int_eq(facts_now()->unanswered, 1);
    ck_assert_uint_eq(join_waiting_count(task_join(task), EVENT_REQUEST), 0);
}
END_TEST

START_TEST(unmatched_once_the_request_time_has_passed_skew)
{
    const struct logged *r = append_answer(0, "a", "");
    take(EVENT_RESPONSE, r);
    tick(EVENT_RESPONSE, 10 * D);
    tick(EVENT_REQUEST, SKEW);
    ck_assert_uint_eq(letter_count(), 0);
    tick(EVENT_REQUEST, SKEW + 1);
    expect_letter("unmatched", EVENT_RESPONSE, r);
    ck_assert_int_eq(stats.unmatched, 1);
    ck_assert_uint_eq(window_count(env.deltas), 0);
}
END_TEST

START_TEST(a_response_that_is_read_after_its_skew_is_unmatched_at_once)
{
    tick(EVENT_REQUEST, SKEW + 1);
    const struct logged *r = append_answer(0, "a", "");
    take(EVENT_RESPONSE, r);
    expect_letter("unmatched", EVENT_RESPONSE, r);
}
END_TEST

START_TEST(time_is_a_running_maximum)
{
    ask(1000, "a", "");
    ask(400, "b", ""); // appended by a broker whose clock is behind: counts as 1000
    ck_assert_int_eq(task_time_ms(task, EVENT_REQUEST), T0 + 1000);
    answer(1000 + TTL, "b", "");
    ck_assert_int_eq(facts_now()->responses, 1);
    answer(0, "a", ""); // and so does this one
    ck_assert_int_eq(task_time_ms(task, EVENT_RESPONSE), T0 + 1000 + TTL);
    ck_assert_int_eq(facts_now()->responses, 2);
}
END_TEST

START_TEST(a_tick_moves_the_time_and_nothing_else)
{
    ck_assert_int_eq(task_time_ms(task, _i), TIME_NONE);
    const struct logged *r = append(_i, 77, "", NULL, NULL);
    take(_i, r);
    ck_assert_int_eq(task_time_ms(task, _i), T0 + 77);
    ck_assert_int_eq(task_time_ms(task, 1 - _i), TIME_NONE);
    ck_assert_int_eq(task_next_offset(task, _i), r->offset + 1);
    ck_assert_uint_eq(window_count(env.deltas), 0);
    ck_assert_uint_eq(letter_count(), 0);
    ck_assert_uint_eq(join_identity_count(task_join(task)), 0);
    ck_assert_int_eq(stats.ticks, 1);
}
END_TEST

// ---- duplicates ----

START_TEST(duplicates_of_both_kinds_count_once)
{
    const struct logged *q = append_ask(0, "a", ",\"prompt_tokens\":5");
    const struct logged *r = append_answer(10, "a", "");
    take(EVENT_REQUEST, q);
    take(EVENT_REQUEST, append(EVENT_REQUEST, 5, "a", NULL, q->value));
    take(EVENT_RESPONSE, r);
    take(EVENT_RESPONSE, append(EVENT_RESPONSE, 15, "a", NULL, r->value));
    take(EVENT_REQUEST, append(EVENT_REQUEST, 20, "a", NULL, q->value)); // after the answer, too
    ck_assert_int_eq(facts_now()->requests, 1);
    ck_assert_int_eq(facts_now()->responses, 1);
    ck_assert_int_eq(prompt_tokens_now(), 5);
    ck_assert_int_eq(stats.duplicate_requests, 2);
    ck_assert_int_eq(stats.duplicate_responses, 1);
    ck_assert_int_eq(stats.conflicting_requests + stats.conflicting_responses, 0);
    ck_assert_uint_eq(letter_count(), 0);
}
END_TEST

START_TEST(duplicates_with_other_content_are_conflicting_and_the_first_counts)
{
    ask(0, "a", ",\"prompt_tokens\":5");
    ask(1, "a", ",\"prompt_tokens\":6");
    answer(10, "a", ",\"completion_tokens\":7");
    answer(10, "a", ",\"completion_tokens\":8");
    ck_assert_int_eq(facts_now()->requests, 1);
    ck_assert_int_eq(prompt_tokens_now(), 5);
    ck_assert_int_eq(usage_now().completion_tokens, 7);
    ck_assert_int_eq(stats.conflicting_requests, 1);
    ck_assert_int_eq(stats.conflicting_responses, 1);
    ck_assert_int_eq(stats.duplicate_requests + stats.duplicate_responses, 0);
    ck_assert_uint_eq(letter_count(), 0);
}
END_TEST

START_TEST(an_id_is_new_again_after_d_without_sighting)
{
    ask(0, "a", "");
    ask(D, "a", "");
    ask(2 * D, "a", ""); // refreshed by the one before
    ck_assert_int_eq(stats.requests, 1);
    ask(3 * D + 1, "a", "");
    ck_assert_int_eq(stats.requests, 2);
}
END_TEST

START_TEST(another_tenants_use_of_an_id_is_an_id_conflict)
{
    ask(0, "a", "");
    const struct logged *r = append_event(EVENT_REQUEST, 1, "a", NULL,
                                          AT "1795241640001,\"tenant_id\":\"u\",\"route\":\"/r\","
                                             "\"model\":\"m\"");
    take(EVENT_REQUEST, r);
    expect_letter("id_conflict", EVENT_REQUEST, r);
    ck_assert_int_eq(stats.id_conflict, 1);
    ck_assert_int_eq(facts_of("u", 0)->requests, 0);
    answer(2, "a", "");
    ck_assert_int_eq(facts_now()->responses, 1);
}
END_TEST

// ---- tenants ----

#define NO_TENANT AT "1795241640000,\"route\":\"/r\",\"model\":\"m\""

START_TEST(the_senders_tenant_separates_identities)
{
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 0, "a", "u", NO_TENANT));
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 0, "a", "v", NO_TENANT));
    ask(0, "a", "");
    take(EVENT_RESPONSE, append_event(EVENT_RESPONSE, 5, "a", "v", AT "1795241640005"));
    ck_assert_int_eq(facts_of("u", 0)->requests, 1);
    ck_assert_int_eq(facts_of("v", 0)->requests, 1);
    ck_assert_int_eq(facts_of("t", 0)->requests, 1);
    ck_assert_int_eq(facts_of("u", 0)->responses, 0);
    ck_assert_int_eq(facts_of("v", 0)->responses, 1);
    ck_assert_int_eq(facts_of("t", 0)->responses, 0);
    ck_assert_uint_eq(letter_count(), 0);
}
END_TEST

// Whoever writes to the topic himself may choose any key; whose an event is stands in the event.
START_TEST(the_key_says_nothing_of_whose_an_event_is)
{
    char long_key[2 * EVENT_NAME_MAX + 1];
    memset(long_key, 'k', sizeof(long_key) - 1);
    long_key[sizeof(long_key) - 1] = '\0';
    const char *keys[] = {"k", "", long_key};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        for (int k = 0; k < 2; k++) {
            char id[32], value[256];
            snprintf(id, sizeof(id), "%zu-%d", i, k);
            snprintf(value, sizeof(value), "{\"request_id\":\"%s\"," AT "%lld," NAMES "}", id,
                     (long long)T0);
            take(EVENT_REQUEST, append(EVENT_REQUEST, 0, keys[i], NULL, value));
            answer(1, id, "");
        }
    ck_assert_int_eq(facts_now()->requests, 6);
    ck_assert_int_eq(facts_now()->responses, 6);
    ck_assert_int_eq(stats.duplicate_requests + stats.conflicting_requests, 0);
}
END_TEST

START_TEST(the_border_between_tenant_and_id_is_part_of_the_identity)
{
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 0, "bc", "a", NO_TENANT));
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 0, "c", "ab", NO_TENANT));
    ck_assert_int_eq(stats.requests, 2);
}
END_TEST

START_TEST(the_senders_tenant_goes_before_the_events)
{
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 0, "a", "u", AT "1795241640000," NAMES));
    ck_assert_int_eq(facts_of("u", 0)->requests, 1);
    ck_assert_int_eq(facts_of("t", 0)->requests, 0);
}
END_TEST

#define N63 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define N64 N63 "n"

static const struct {
    const char *tenant;
    bool good;
} header_tenants[] = {
    {"caf\xc3\xa9", true},    {N64 N64 N64 N63, true}, // 255
    {N64 N64 N64 N64, false}, {"\xff", false},         // a row with it could never be stored
    {"a\nb", false},
};

START_TEST(a_tenant_header_that_is_no_name_is_malformed)
{
    const char *tenant = header_tenants[_i].tenant;
    bool good = header_tenants[_i].good;
    const struct logged *q = append_event(EVENT_REQUEST, 0, "a", tenant, NO_TENANT);
    take(EVENT_REQUEST, q);
    if (!good)
        expect_letter("malformed", EVENT_REQUEST, q);
    flushed(task);
    const struct logged *r = append_event(EVENT_RESPONSE, 0, "a", tenant, AT "1795241640005");
    take(EVENT_RESPONSE, r);
    if (!good)
        expect_letter("malformed", EVENT_RESPONSE, r);
    ck_assert_int_eq(stats.malformed, good ? 0 : 2);
    ck_assert_int_eq(stats.responses, good ? 1 : 0);
    ck_assert_int_eq(facts_of(tenant, 0)->responses, good ? 1 : 0);
}
END_TEST

START_TEST(a_dead_letter_carries_the_senders_tenant)
{
    // A response that waited: its bytes were kept, and the tenant with them.
    const struct logged *r = append_event(EVENT_RESPONSE, 0, "a", "u", AT "1795241640005");
    take(EVENT_RESPONSE, r);
    tick(EVENT_REQUEST, SKEW + 1);
    ck_assert_uint_eq(expect_letter("unmatched", EVENT_RESPONSE, r)->tenant_n, 1);
    flushed(task);
    // One without a key.
    const struct logged *q = append(EVENT_REQUEST, 2, "", N64 N64 N64 N63, "{");
    take(EVENT_REQUEST, q);
    ck_assert_uint_eq(expect_letter("malformed", EVENT_REQUEST, q)->tenant_n, EVENT_NAME_MAX);
    flushed(task);
    q = append_event(EVENT_REQUEST, 3, "b", "u", AT "0,\"route\":\"/r\",\"model\":\"m\"");
    take(EVENT_REQUEST, q);
    expect_letter("time_out_of_range", EVENT_REQUEST, q);
}
END_TEST

START_TEST(an_answer_meets_no_request_of_another_tenant)
{
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 0, "a", "u", NO_TENANT));
    ask(0, "a", "");
    const struct logged *r =
        append_event(EVENT_RESPONSE, 1, "a", "v", AT "1795241640005,\"tenant_id\":\"u\"");
    take(EVENT_RESPONSE, r); // what the event says of its tenant does not count
    tick(EVENT_REQUEST, SKEW + 2);
    expect_letter("unmatched", EVENT_RESPONSE, r);
    ck_assert_int_eq(stats.responses, 0);
    flushed(task);
    answer(2, "a", ""); // nor does one without a sender's reach u's
    ck_assert_int_eq(facts_now()->responses, 1);
    ck_assert_int_eq(facts_of("u", 0)->responses, 0);
    ck_assert_int_eq(stats.duplicate_responses + stats.conflicting_responses, 0);
}
END_TEST

START_TEST(a_request_without_any_tenant_is_a_dead_letter)
{
    const struct logged *r = append_event(EVENT_REQUEST, 0, "a", NULL, NO_TENANT);
    take(EVENT_REQUEST, r);
    ck_assert_ptr_nonnull(
        strstr(expect_letter("missing_tenant", EVENT_REQUEST, r)->detail, "tenant_id"));
    ck_assert_int_eq(stats.missing_tenant, 1);
    ask(1, "a", ""); // and its id was not used up
    ck_assert_int_eq(facts_now()->requests, 1);
}
END_TEST

// ---- what cannot be read ----

static const struct {
    enum event_kind kind;
    const char *value;
} malformed[] = {
    {EVENT_REQUEST, "\x01\x02"},
    {EVENT_REQUEST, "{\"request_id\":\"a\"}"},
    {EVENT_REQUEST, "{\"request_id\":\"\"," AT "1795241640000," NAMES "}"},
    {EVENT_RESPONSE, "[]"},
    {EVENT_RESPONSE, "{\"request_id\":\"a\"," AT "1795241640000,\"latency_ms\":-1}"},
};

START_TEST(what_cannot_be_read_goes_to_the_dead_letters_as_it_is)
{
    const struct logged *r = append(malformed[_i].kind, 0, "the key", NULL, malformed[_i].value);
    take(malformed[_i].kind, r);
    expect_letter("malformed", malformed[_i].kind, r);
    ck_assert_int_eq(stats.malformed, 1);
    ck_assert_uint_eq(window_count(env.deltas), 0);
    ck_assert_uint_eq(join_identity_count(task_join(task)), 0);
    ck_assert_int_eq(task_next_offset(task, malformed[_i].kind), r->offset + 1);
}
END_TEST

static const struct {
    const char *timestamp;
    bool good;
} bounds[] = {
    // 7 days and a minute before 06:14:00, an hour and a minute after
    {"\"2026-11-14T06:13:00Z\"", true},
    {"\"2026-11-14T06:12:59.999999Z\"", false},
    {"\"2026-11-21T07:15:00Z\"", true},
    {"\"2026-11-21T07:15:00.000001Z\"", false},
};

START_TEST(a_timestamp_is_held_against_the_records_own_append_time)
{
    char fields[256];
    tick(EVENT_REQUEST, 3600000); // the topic's time is no reference
    snprintf(fields, sizeof(fields), AT "%s," NAMES, bounds[_i].timestamp);
    const struct logged *r = append_event(EVENT_REQUEST, 0, "a", NULL, fields);
    take(EVENT_REQUEST, r);
    ck_assert_int_eq(stats.requests, bounds[_i].good);
    ck_assert_int_eq(stats.time_out_of_range, !bounds[_i].good);
    if (!bounds[_i].good)
        ck_assert_ptr_nonnull(
            strstr(expect_letter("time_out_of_range", EVENT_REQUEST, r)->detail, "timestamp"));
}
END_TEST

// ---- what an answer counts ----

static const struct {
    const char *more;
    int64_t asked_ms, answered_ms; // own timestamps, after T0
    int64_t latency_us;            // -1: without
} latencies[] = {
    {",\"latency_ms\":250", 0, 10, 250000},
    {",\"latency_ms\":0.001", 0, 10, 1},
    {",\"latency_ms\":0", 0, 10, 0}, // a value
    {",\"latency_ms\":5", 50, 10, 5000},
    {"", 0, 10, 10000},
    {",\"latency_ms\":null", 0, 10, 10000},
    {"", 10, 10, 0},
    {"", 11, 10, -1},
    {"", -50000, 1000000000 - 50000, EVENT_MAX_MS * 1000},
    {"", -50000, 1000000000 - 49999, -1}, // longer than a latency may be
};

START_TEST(latency_is_what_was_sent_or_the_difference_of_the_timestamps)
{
    char fields[256];
    snprintf(fields, sizeof(fields), AT "%lld," NAMES, (long long)(T0 + latencies[_i].asked_ms));
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 0, "a", NULL, fields));
    snprintf(fields, sizeof(fields), AT "%lld%s", (long long)(T0 + latencies[_i].answered_ms),
             latencies[_i].more);
    take(EVENT_RESPONSE, append_event(EVENT_RESPONSE, 10, "a", NULL, fields));
    const struct facts *f = &window_at(env.deltas, 0)->facts;
    bool without = latencies[_i].latency_us < 0;
    ck_assert_int_eq(f->responses, 1);
    ck_assert_int_eq(f->without_latency, without);
    ck_assert_int_eq(stats.without_latency, without);
    ck_assert_int_eq(f->latency.total, !without);
    ck_assert_int_eq(f->latency.sum_us, max_i64(0, latencies[_i].latency_us));
    ck_assert_int_eq(f->ttft.total, 0);
}
END_TEST

// Answers, and what they tell of how fast tokens come once the first has.
static const struct {
    const char *more;
    int64_t us, tokens;
} generations[] = {
    {",\"latency_ms\":250,\"time_to_first_token_ms\":40,\"completion_tokens\":7", 210000, 7},
    {",\"time_to_first_token_ms\":40,\"completion_tokens\":7", 60000, 7}, // of the timestamps
    {",\"latency_ms\":40,\"time_to_first_token_ms\":39.999,\"completion_tokens\":1", 1, 1},
    {",\"latency_ms\":40,\"time_to_first_token_ms\":0,\"completion_tokens\":1", 40000, 1},
    {",\"latency_ms\":7200000,\"time_to_first_token_ms\":0,\"completion_tokens\":1", 7200000000,
     1}, // more than a histogram holds
    {",\"latency_ms\":40,\"time_to_first_token_ms\":1,\"reasoning_tokens\":5", 39000, 5},
    {",\"latency_ms\":40,\"time_to_first_token_ms\":1,\"completion_tokens\":3,\"error\":\"cut\"",
     39000, 3},
    {",\"latency_ms\":40,\"time_to_first_token_ms\":40,\"completion_tokens\":7", 0, 0},
    {",\"latency_ms\":40,\"time_to_first_token_ms\":41,\"completion_tokens\":7", 0, 0},
    {",\"latency_ms\":40,\"completion_tokens\":7", 0, 0},
    {",\"latency_ms\":40,\"time_to_first_token_ms\":1", 0, 0},
    {",\"latency_ms\":40,\"time_to_first_token_ms\":1,\"completion_tokens\":0", 0, 0},
};

START_TEST(generation_is_from_the_first_token_to_the_last_of_answers_that_tell_it)
{
    char fields[256];
    snprintf(fields, sizeof(fields), AT "%lld," NAMES, (long long)T0);
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 0, "a", NULL, fields));
    snprintf(fields, sizeof(fields), AT "%lld%s", (long long)(T0 + 100), generations[_i].more);
    take(EVENT_RESPONSE, append_event(EVENT_RESPONSE, 100, "a", NULL, fields));
    ck_assert_int_eq(facts_now()->responses, 1);
    ck_assert_int_eq(facts_now()->generation_us, generations[_i].us);
    ck_assert_int_eq(facts_now()->generation_tokens, generations[_i].tokens);
}
END_TEST

START_TEST(an_answer_without_a_latency_tells_nothing_of_generation)
{
    char fields[256];
    snprintf(fields, sizeof(fields), AT "%lld," NAMES, (long long)(T0 + 1));
    take(EVENT_REQUEST, append_event(EVENT_REQUEST, 0, "a", NULL, fields));
    snprintf(fields, sizeof(fields), AT "%lld,\"time_to_first_token_ms\":0,\"completion_tokens\":7",
             (long long)T0);
    take(EVENT_RESPONSE, append_event(EVENT_RESPONSE, 10, "a", NULL, fields));
    ck_assert_int_eq(facts_now()->without_latency, 1);
    ck_assert_int_eq(facts_now()->generation_us, 0);
    ck_assert_int_eq(facts_now()->generation_tokens, 0);
}
END_TEST

START_TEST(the_responses_own_prompt_tokens_win)
{
    ask(0, "a", ",\"prompt_tokens\":5");
    ask(0, "b", ",\"prompt_tokens\":50");
    ask(0, "c", ",\"prompt_tokens\":500");
    ask(0, "d", "");
    ck_assert_int_eq(prompt_tokens_now(), 0); // over answered requests alone
    answer(1, "a", ",\"prompt_tokens\":7");
    answer(1, "b", ",\"prompt_tokens\":0");
    answer(1, "c", "");
    answer(1, "d", "");
    ck_assert_int_eq(prompt_tokens_now(), 507);
}
END_TEST

START_TEST(sums_every_class_of_tokens_and_time_to_first_token)
{
    ask(0, "a", "");
    answer(1, "a",
           ",\"completion_tokens\":100000,\"cached_prompt_tokens\":20,"
           "\"cache_write_tokens\":4300,\"cache_write_1h_tokens\":4000,"
           "\"prompt_tokens\":4321,\"reasoning_tokens\":50000,"
           "\"time_to_first_token_ms\":1.5");
    ck_assert_int_eq(usage_now().requests, 1);
    ck_assert_int_eq(usage_now().uncached_prompt_tokens, 1);
    ck_assert_int_eq(usage_now().cached_prompt_tokens, 20);
    ck_assert_int_eq(usage_now().cache_write_5m_tokens, 300);
    ck_assert_int_eq(usage_now().cache_write_1h_tokens, 4000);
    ck_assert_int_eq(usage_now().completion_tokens, 100000);
    ck_assert_int_eq(usage_now().reasoning_tokens, 50000);
    ck_assert_int_eq(facts_now()->clamped_usage, 0);
    ck_assert_int_eq(facts_now()->ttft.sum_us, 1500);
    ck_assert_int_eq(facts_now()->ttft.total, 1);
}
END_TEST

START_TEST(a_failed_answer_counts_like_any_other_and_as_an_error)
{
    ask(0, "a", "");
    answer(1, "a", ",\"error\":\"rate_limit\",\"completion_tokens\":9,\"latency_ms\":3");
    ck_assert_int_eq(facts_now()->responses, 1);
    ck_assert_int_eq(facts_now()->errors, 1);
    ck_assert_int_eq(usage_now().completion_tokens, 9);
    ck_assert_int_eq(facts_now()->latency.sum_us, 3000);
}
END_TEST

START_TEST(counts_errors_by_class_and_answers_by_finish_reason)
{
    const char *const more[] = {",\"error\":\"timeout\"",
                                ",\"error\":\"timeout\"",
                                ",\"error\":\"\",\"finish_reason\":\"stop\"",
                                ",\"error\":null,\"finish_reason\":\"length\"",
                                ",\"finish_reason\":\"stop\"",
                                ",\"finish_reason\":\"\"",
                                ",\"error\":\"\\n\",\"finish_reason\":\"stop\""};
    struct buf json = {0};
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        char id[2] = {(char)('a' + i), '\0'};
        ask(0, id, "");
        answer(1, id, more[i]);
    }
    ck_assert_int_eq(facts_now()->errors, 3);
    name_counts_to_json(&facts_now()->error_classes, &json);
    name_counts_to_json(&facts_now()->finish_reasons, &json);
    buf_addc(&json, '\0');
    ck_assert_str_eq(json.p, "{\"timeout\":2,\"unknown\":1}{\"length\":1,\"stop\":3}");
    buf_free(&json);
}
END_TEST

START_TEST(sums_saturate)
{
    ask(0, "a", "");
    struct facts *f = &window_at(env.deltas, 0)->facts;
    usage_lines_add(&f->usage, &(struct usage_key){.model = STR_LIT("m")},
                    &(struct usage){.uncached_prompt_tokens = INT64_MAX - 5});
    f->reported_cost = MONEY_MAX - 5;
    answer(1, "a", ",\"prompt_tokens\":6,\"cost_usd\":0.000000000006");
    ck_assert_uint_eq(f->usage.n, 1);
    ck_assert_int_eq(prompt_tokens_now(), INT64_MAX);
    ck_assert(f->reported_cost == MONEY_MAX);
}
END_TEST

static void add_counting_rules(TCase *tc)
{
    tcase_add_loop_test(tc, a_request_counts_in_the_minute_of_its_own_timestamp, 0,
                        ARRAY_LEN(windows));
    tcase_add_test(tc, a_late_event_adds_to_what_was_flushed);
    tcase_add_test(tc, the_series_is_the_requests);
    tcase_add_loop_test(tc, latency_is_what_was_sent_or_the_difference_of_the_timestamps, 0,
                        ARRAY_LEN(latencies));
    tcase_add_loop_test(tc, generation_is_from_the_first_token_to_the_last_of_answers_that_tell_it,
                        0, ARRAY_LEN(generations));
    tcase_add_test(tc, an_answer_without_a_latency_tells_nothing_of_generation);
    tcase_add_test(tc, the_responses_own_prompt_tokens_win);
    tcase_add_test(tc, sums_every_class_of_tokens_and_time_to_first_token);
    tcase_add_test(tc, a_failed_answer_counts_like_any_other_and_as_an_error);
    tcase_add_test(tc, counts_errors_by_class_and_answers_by_finish_reason);
    tcase_add_test(tc, sums_saturate);
}

static void add_matching_rules(TCase *tc)
{
    tcase_add_test(tc, a_response_before_its_request_matches);
    tcase_add_test(tc, an_answer_matches_up_to_ttl_and_not_beyond);
    tcase_add_loop_test(tc, unanswered_once_the_response_time_has_passed_ttl_by_event_or_tick, 0,
                        2);
    tcase_add_test(tc, a_request_that_is_read_after_its_ttl_is_unanswered_at_once);
    tcase_add_test(tc, unmatched_once_the_request_time_has_passed_skew);
    tcase_add_test(tc, a_response_that_is_read_after_its_skew_is_unmatched_at_once);
    tcase_add_test(tc, time_is_a_running_maximum);
    tcase_add_loop_test(tc, a_tick_moves_the_time_and_nothing_else, 0, 2);
    tcase_add_test(tc, duplicates_of_both_kinds_count_once);
    tcase_add_test(tc, duplicates_with_other_content_are_conflicting_and_the_first_counts);
    tcase_add_test(tc, an_id_is_new_again_after_d_without_sighting);
    tcase_add_test(tc, another_tenants_use_of_an_id_is_an_id_conflict);
}

static void add_rejections(TCase *tc)
{
    tcase_add_test(tc, the_senders_tenant_separates_identities);
    tcase_add_test(tc, the_key_says_nothing_of_whose_an_event_is);
    tcase_add_test(tc, the_border_between_tenant_and_id_is_part_of_the_identity);
    tcase_add_test(tc, the_senders_tenant_goes_before_the_events);
    tcase_add_loop_test(tc, a_tenant_header_that_is_no_name_is_malformed, 0,
                        ARRAY_LEN(header_tenants));
    tcase_add_test(tc, a_dead_letter_carries_the_senders_tenant);
    tcase_add_test(tc, an_answer_meets_no_request_of_another_tenant);
    tcase_add_test(tc, a_request_without_any_tenant_is_a_dead_letter);
    tcase_add_loop_test(tc, what_cannot_be_read_goes_to_the_dead_letters_as_it_is, 0,
                        ARRAY_LEN(malformed));
    tcase_add_loop_test(tc, a_timestamp_is_held_against_the_records_own_append_time, 0,
                        ARRAY_LEN(bounds));
}

int main(void)
{
    TCase *tc = tcase_create("task");
    tcase_add_checked_fixture(tc, make_env, free_env);
    add_counting_rules(tc);
    add_matching_rules(tc);
    add_rejections(tc);
    Suite *suite = suite_create("task");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
