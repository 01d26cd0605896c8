// SPDX-License-Identifier: Apache-2.0
// The input, or an event made of it, as a request, as a response and as an item of a batch. What is
// accepted keeps the bounds of event.h, and written out again from struct event it is read as the
// same; what is refused says why in words that can be sent back as JSON.
#include "tests/fuzz/fuzz.h"

#include "common/core/buf.h"
#include "common/core/event.h"
#include "common/core/money.h"
#include "common/core/timeunit.h"
#include "tests/fuzz/event_maker.h"
#include "tests/support/event_same.h"

#include <jansson.h>

static void check_name(struct str name, bool required)
{
    FUZZ_CHECK(name.p || !required);
    if (name.p)
        FUZZ_CHECK(event_check_name("name", name, NULL) == 0);
}

static void check_number(int64_t value, int64_t most)
{
    FUZZ_CHECK(value == EVENT_ABSENT || (value >= 0 && value <= most));
}

static void check_bounds(const struct event *ev)
{
    bool request = ev->kind == EVENT_REQUEST;
    check_name(ev->request_id, true);
    check_name(ev->route, request);
    check_name(ev->model, request);
    check_name(ev->tenant_id, false);
    check_name(ev->provider, false);
    check_name(ev->finish_reason, false);
    check_name(ev->service_tier, false);
    FUZZ_CHECK(time_in_range_us(ev->timestamp_us));
    check_number(ev->prompt_tokens, EVENT_MAX_TOKENS);
    check_number(ev->completion_tokens, EVENT_MAX_TOKENS);
    check_number(ev->cached_prompt_tokens, EVENT_MAX_TOKENS);
    check_number(ev->cache_write_tokens, EVENT_MAX_TOKENS);
    check_number(ev->cache_write_1h_tokens, EVENT_MAX_TOKENS);
    check_number(ev->reasoning_tokens, EVENT_MAX_TOKENS);
    check_number(ev->latency_us, EVENT_MAX_MS * US_PER_MS);
    check_number(ev->ttft_us, EVENT_MAX_MS * US_PER_MS);
    check_number(ev->cost_pusd, EVENT_MAX_USD * MONEY_PER_USD);
    if (request)
        FUZZ_CHECK(!ev->error.p && !ev->finish_reason.p && !ev->service_tier.p &&
                   ev->latency_us == EVENT_ABSENT && ev->completion_tokens == EVENT_ABSENT &&
                   ev->cost_pusd == EVENT_ABSENT);
    else
        FUZZ_CHECK(!ev->route.p && !ev->provider.p && !ev->stream);
}

static void write_str(struct buf *out, const char *field, struct str value)
{
    if (!value.p)
        return;
    buf_addf(out, ",\"%s\":", field);
    buf_add_json_str(out, value);
}

static void write_count(struct buf *out, const char *field, int64_t value)
{
    if (value != EVENT_ABSENT)
        buf_addf(out, ",\"%s\":%lld", field, (long long)value);
}

static void write_ms(struct buf *out, const char *field, int64_t us)
{
    if (us != EVENT_ABSENT)
        buf_addf(out, ",\"%s\":%lld.%03d", field, (long long)(us / 1000), (int)(us % 1000));
}

static void write_event(struct buf *out, const struct event *ev)
{
    char time[TIME_RFC3339_MAX];
    size_t n = time_format_rfc3339(ev->timestamp_us, time);
    buf_addf(out, "{\"timestamp\":\"%.*s\"", (int)n, time);
    write_str(out, "type", ev->kind == EVENT_REQUEST ? STR_LIT("request") : STR_LIT("response"));
    write_str(out, "request_id", ev->request_id);
    write_str(out, "tenant_id", ev->tenant_id);
    write_str(out, "route", ev->route);
    write_str(out, "model", ev->model);
    write_str(out, "provider", ev->provider);
    write_str(out, "finish_reason", ev->finish_reason);
    write_str(out, "error", ev->error);
    write_str(out, "service_tier", ev->service_tier);
    write_count(out, "prompt_tokens", ev->prompt_tokens);
    write_count(out, "completion_tokens", ev->completion_tokens);
    write_count(out, "cached_prompt_tokens", ev->cached_prompt_tokens);
    write_count(out, "cache_write_tokens", ev->cache_write_tokens);
    write_count(out, "cache_write_1h_tokens", ev->cache_write_1h_tokens);
    write_count(out, "reasoning_tokens", ev->reasoning_tokens);
    write_ms(out, "latency_ms", ev->latency_us);
    write_ms(out, "time_to_first_token_ms", ev->ttft_us);
    if (ev->cost_pusd != EVENT_ABSENT) {
        buf_adds(out, ",\"cost_usd\":");
        money_add_decimal(out, ev->cost_pusd);
    }
    if (ev->stream)
        buf_adds(out, ",\"stream\":true");
    buf_addc(out, '}');
}

static void check_same(const struct event *a, const struct event *b)
{
    const char *difference = event_difference(a, b);
    if (difference)
        fprintf(stderr, "%s\n", difference);
    FUZZ_CHECK(!difference);
}

static void check_accepted(const struct event *ev, struct event_parser *other)
{
    check_bounds(ev);
    struct buf text = {0};
    write_event(&text, ev);
    struct event again;
    struct err e;
    FUZZ_CHECK(event_parse(other, ev->kind, (struct str){text.p, text.n}, &again, &e) == 0);
    check_same(ev, &again);
    FUZZ_CHECK(event_parse_typed(other, (struct str){text.p, text.n}, &again, &e) == 0);
    check_same(ev, &again);
    buf_free(&text);
}

static void check_refused(const struct err *e, size_t size)
{
    json_t *detail = json_string(e->detail); // NULL where it is not UTF-8
    FUZZ_CHECK(detail && e->detail[0]);
    json_decref(detail);
    for (const char *c = e->field; *c; c++)
        FUZZ_CHECK(*c > 0x20 && *c < 0x7f);
    FUZZ_CHECK(e->offset >= -1 && e->offset <= (int64_t)size);
}

static void check(struct str bytes)
{
    static struct event_parser *parser, *other, *typed_parser; // for the life of the process
    if (!parser) {
        parser = event_parser_new();
        other = event_parser_new();
        typed_parser = event_parser_new();
    }
    struct event typed;
    struct err e = {.offset = -2};
    bool is_item = event_parse_typed(typed_parser, bytes, &typed, &e) == 0;
    if (!is_item)
        check_refused(&e, bytes.n);
    for (int kind = EVENT_REQUEST; kind <= EVENT_RESPONSE; kind++) {
        struct event ev;
        e = (struct err){.offset = -2};
        bool accepted = event_parse(parser, (enum event_kind)kind, bytes, &ev, &e) == 0;
        if (accepted)
            check_accepted(&ev, other);
        else
            check_refused(&e, bytes.n);
        // An item is read as its endpoint would read it, and by no other endpoint.
        if (is_item)
            FUZZ_CHECK(accepted == (kind == (int)typed.kind));
        if (is_item && accepted)
            check_same(&ev, &typed);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] != EVENT_MADE) {
        check((struct str){(const char *)data, size});
        return 0;
    }
    struct buf made = {0};
    event_make(data + 1, size - 1, &made);
    check((struct str){made.p, made.n});
    buf_free(&made);
    return 0;
}
