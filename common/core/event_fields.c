// SPDX-License-Identifier: Apache-2.0
#include "common/core/event_fields.h"

#include "common/core/money.h"
#include "common/core/timeunit.h"
#include "common/core/utf8.h"

#include <math.h>

#define BOTH (EVENT_IN(EVENT_REQUEST) | EVENT_IN(EVENT_RESPONSE))
#define REQUEST EVENT_IN(EVENT_REQUEST)
#define RESPONSE EVENT_IN(EVENT_RESPONSE)
#define FIELD(name, known, required, type, member)                                                 \
    {                                                                                              \
        {name, sizeof(name) - 1}, known, required, type, offsetof(struct event, member)            \
    }
#define CHECKED(name, known, type)                                                                 \
    {                                                                                              \
        {name, sizeof(name) - 1}, known, 0, type, EVENT_FIELD_UNSTORED                             \
    }

// Errors are reported in this order: what says which event it is comes first.
const struct event_field event_fields[EVENT_FIELDS] = {
    CHECKED("type", BOTH, EVENT_FIELD_KIND),
    FIELD("request_id", BOTH, BOTH, EVENT_FIELD_NAME, request_id),
    FIELD("tenant_id", BOTH, 0, EVENT_FIELD_NAME, tenant_id),
    FIELD("route", REQUEST, REQUEST, EVENT_FIELD_NAME, route),
    FIELD("model", BOTH, REQUEST, EVENT_FIELD_NAME, model),
    FIELD("timestamp", BOTH, BOTH, EVENT_FIELD_TIME, timestamp_us),
    FIELD("prompt_tokens", BOTH, 0, EVENT_FIELD_COUNT, prompt_tokens),
    FIELD("provider", REQUEST, 0, EVENT_FIELD_NAME, provider),
    FIELD("stream", REQUEST, 0, EVENT_FIELD_BOOL, stream),
    CHECKED("user_id_hash", REQUEST, EVENT_FIELD_NAME),
    CHECKED("max_tokens", REQUEST, EVENT_FIELD_COUNT),
    CHECKED("metadata", REQUEST, EVENT_FIELD_OBJECT),
    FIELD("latency_ms", RESPONSE, 0, EVENT_FIELD_DURATION, latency_us),
    FIELD("time_to_first_token_ms", RESPONSE, 0, EVENT_FIELD_DURATION, ttft_us),
    FIELD("completion_tokens", RESPONSE, 0, EVENT_FIELD_COUNT, completion_tokens),
    FIELD("cached_prompt_tokens", RESPONSE, 0, EVENT_FIELD_COUNT, cached_prompt_tokens),
    FIELD("cache_write_tokens", RESPONSE, 0, EVENT_FIELD_COUNT, cache_write_tokens),
    FIELD("cache_write_1h_tokens", RESPONSE, 0, EVENT_FIELD_COUNT, cache_write_1h_tokens),
    FIELD("reasoning_tokens", RESPONSE, 0, EVENT_FIELD_COUNT, reasoning_tokens),
    FIELD("finish_reason", RESPONSE, 0, EVENT_FIELD_LABEL, finish_reason),
    FIELD("error", RESPONSE, 0, EVENT_FIELD_TEXT, error),
    FIELD("service_tier", RESPONSE, 0, EVENT_FIELD_NAME, service_tier),
    FIELD("cost_usd", RESPONSE, 0, EVENT_FIELD_COST, cost_pusd),
};

void event_init(struct event *ev, enum event_kind kind)
{
    // Copied, since every event goes through here and that is quicker than filling in.
    static const struct event blank = {
        .prompt_tokens = EVENT_ABSENT,
        .completion_tokens = EVENT_ABSENT,
        .cached_prompt_tokens = EVENT_ABSENT,
        .cache_write_tokens = EVENT_ABSENT,
        .cache_write_1h_tokens = EVENT_ABSENT,
        .reasoning_tokens = EVENT_ABSENT,
        .latency_us = EVENT_ABSENT,
        .ttft_us = EVENT_ABSENT,
        .cost_pusd = EVENT_ABSENT,
    };
    *ev = blank;
    ev->kind = kind;
}

static int check_name_length(const char *field, struct str value, struct err *e)
{
    if (value.n == 0)
        return err_field(e, field, -1, "must not be empty: 1 to %d bytes are wanted",
                         EVENT_NAME_MAX);
    if (value.n > EVENT_NAME_MAX)
        return err_field(e, field, -1, "is %zu bytes long: 1 to %d are wanted", value.n,
                         EVENT_NAME_MAX);
    return 0;
}

int event_check_name(const char *field, struct str value, struct err *e)
{
    if (check_name_length(field, value, e) != 0)
        return -1;
    const unsigned char *p = (const unsigned char *)value.p;
    for (size_t i = 0; i < value.n;) {
        size_t length = utf8_sequence(p + i, value.n - i);
        if (length == 0)
            return err_field(e, field, -1, "must be valid UTF-8");
        if (p[i] < 0x20 || p[i] == 0x7f)
            return err_field(e, field, -1, "must not hold control characters");
        i += length;
    }
    return 0;
}

int event_kind_of(const struct event_value *v, enum event_kind *kind, struct err *e)
{
    bool request = v->type == EVENT_VALUE_STRING && str_eq(v->string, STR_LIT("request"));
    bool response = v->type == EVENT_VALUE_STRING && str_eq(v->string, STR_LIT("response"));
    if (!request && !response)
        return err_field(e, "type", -1, "must be \"request\" or \"response\"");
    *kind = request ? EVENT_REQUEST : EVENT_RESPONSE;
    return 0;
}

static int take_kind(const struct event_value *v, const struct event *out, struct err *e)
{
    enum event_kind kind = out->kind;
    if (event_kind_of(v, &kind, e) != 0)
        return -1;
    if (kind != out->kind)
        return err_field(e, "type", -1, "says %s, but this is read as a %s",
                         kind == EVENT_REQUEST ? "request" : "response",
                         out->kind == EVENT_REQUEST ? "request" : "response");
    return 0;
}

static int take_string(const struct event_field *f, const struct event_value *v, struct str *out,
                       struct err *e)
{
    if (v->type != EVENT_VALUE_STRING)
        return err_field(e, f->name.p, -1, "must be a string");
    if (f->type == EVENT_FIELD_LABEL && v->string.n == 0)
        return 0;
    bool is_good = f->type == EVENT_FIELD_TEXT || (v->plain && v->string.n - 1 < EVENT_NAME_MAX);
    if (!is_good && event_check_name(f->name.p, v->string, e) != 0)
        return -1;
    *out = v->string;
    return 0;
}

// Floored to µs. False where the instant lies outside the years 0001 to 9999.
static bool us_of_epoch_ms(double ms, int64_t *out_us)
{
    if (!(fabs(ms) < 1e15)) // else its µs may be beyond int64
        return false;
    // Whole ms stay exact as integers. With a fraction, today's times make a product that is exact
    // to a quarter µs, which rounds to what was written with three decimals.
    int64_t us = floor(ms) == ms ? (int64_t)ms * US_PER_MS : (int64_t)floor(ms * (double)US_PER_MS);
    if (!time_in_range_us(us))
        return false;
    *out_us = us;
    return true;
}

static int take_time(const struct event_field *f, const struct event_value *v, int64_t *out,
                     struct err *e)
{
    if (v->type == EVENT_VALUE_STRING && time_parse_rfc3339(v->string, out) == 0)
        return 0;
    if (v->type == EVENT_VALUE_NUMBER && us_of_epoch_ms(v->number, out))
        return 0;
    return err_field(e, f->name.p, -1,
                     "must be RFC 3339, such as 2026-11-21T06:14:00Z, or epoch milliseconds");
}

static int take_count(const struct event_field *f, const struct event_value *v, int64_t *out,
                      struct err *e)
{
    // NaN cannot come out of JSON, but would fail the comparison too.
    bool is_number = v->type == EVENT_VALUE_NUMBER && v->number >= 0;
    if (is_number && v->number <= (double)EVENT_MAX_TOKENS &&
        (double)(int64_t)v->number == v->number) {
        *out = (int64_t)v->number;
        return 0;
    }
    if (is_number && floor(v->number) == v->number)
        return err_field(e, f->name.p, -1, "must be at most %lld", (long long)EVENT_MAX_TOKENS);
    return err_field(e, f->name.p, -1, "must be a whole number of 0 or more");
}

static int check_amount(const struct event_field *f, const struct event_value *v, int64_t most,
                        struct err *e)
{
    if (v->type != EVENT_VALUE_NUMBER || !(v->number >= 0))
        return err_field(e, f->name.p, -1, "must be a number of 0 or more");
    if (v->number > (double)most)
        return err_field(e, f->name.p, -1, "must be at most %lld", (long long)most);
    return 0;
}

static int take_duration(const struct event_field *f, const struct event_value *v, int64_t *out,
                         struct err *e)
{
    if (check_amount(f, v, EVENT_MAX_MS, e) != 0)
        return -1;
    *out = llround(v->number * (double)US_PER_MS);
    return 0;
}

static int take_cost(const struct event_field *f, const struct event_value *v, int64_t *out,
                     struct err *e)
{
    if (check_amount(f, v, EVENT_MAX_USD, e) != 0)
        return -1;
    int64_t pusd = llround(v->number * (double)MONEY_PER_USD), step = 1;
    // A double keeps 15 digits of what was written. What stands behind them is the conversion's,
    // and of amounts from 1,000 USD on some of it is above half a picodollar.
    while (pusd / step >= INT64_C(1000000000000000))
        step *= 10;
    *out = (pusd + step / 2) / step * step;
    return 0;
}

// Inlined into the loop below, where it is called six times an event.
static inline int take_field(const struct event_field *f, const struct event_value *v,
                             struct event *out, struct err *e)
{
    union { // where a checked value goes that has no member
        struct str string;
        int64_t number;
        bool boolean;
    } unstored;
    void *member = f->offset == EVENT_FIELD_UNSTORED ? (void *)&unstored : (char *)out + f->offset;
    switch (f->type) {
    case EVENT_FIELD_KIND:
        return take_kind(v, out, e);
    case EVENT_FIELD_NAME:
    case EVENT_FIELD_LABEL:
    case EVENT_FIELD_TEXT:
        return take_string(f, v, member, e);
    case EVENT_FIELD_TIME:
        return take_time(f, v, member, e);
    case EVENT_FIELD_COUNT:
        return take_count(f, v, member, e);
    case EVENT_FIELD_DURATION:
        return take_duration(f, v, member, e);
    case EVENT_FIELD_COST:
        return take_cost(f, v, member, e);
    case EVENT_FIELD_BOOL:
        if (v->type != EVENT_VALUE_BOOL)
            return err_field(e, f->name.p, -1, "must be true or false");
        *(bool *)member = v->boolean;
        return 0;
    case EVENT_FIELD_OBJECT:
        if (v->type != EVENT_VALUE_OBJECT)
            return err_field(e, f->name.p, -1, "must be an object");
        return 0;
    }
    return 0;
}

const struct event_value *event_value_of(const struct event_values *values, size_t field)
{
    static const struct event_value none = {.type = EVENT_VALUE_NULL};
    return values->sent & (1u << field) ? &values->of[field] : &none;
}

// In the order of the fields, which is that of the errors.
int event_fields_take(const struct event_values *values, uint32_t known, uint32_t required,
                      struct event *out, struct err *e)
{
    uint32_t left = (values->sent & known) | required;
    for (; left; left &= left - 1) {
        size_t i = (size_t)__builtin_ctz(left);
        const struct event_field *f = &event_fields[i];
        bool is_sent = values->sent & (1u << i) && values->of[i].type != EVENT_VALUE_NULL;
        if (!is_sent && required & (1u << i))
            return err_field(e, f->name.p, -1, "is required");
        if (is_sent && take_field(f, &values->of[i], out, e) != 0)
            return -1;
    }
    return 0;
}
