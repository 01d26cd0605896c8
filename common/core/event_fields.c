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
#define CHECKED(name, known, type) FIELD(name, known, 0, type, checked)

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

// One by one, which takes 2 ns. Of a copy the compiler makes `rep stos`, which takes 8.
void event_init(struct event *ev, enum event_kind kind)
{
    const struct str none = {NULL, 0};
    ev->kind = kind;
    ev->request_id = none;
    ev->timestamp_us = 0;
    ev->tenant_id = none;
    ev->route = none;
    ev->model = none;
    ev->provider = none;
    ev->finish_reason = none;
    ev->error = none;
    ev->service_tier = none;
    ev->prompt_tokens = EVENT_ABSENT;
    ev->completion_tokens = EVENT_ABSENT;
    ev->cached_prompt_tokens = EVENT_ABSENT;
    ev->cache_write_tokens = EVENT_ABSENT;
    ev->cache_write_1h_tokens = EVENT_ABSENT;
    ev->reasoning_tokens = EVENT_ABSENT;
    ev->latency_us = EVENT_ABSENT;
    ev->ttft_us = EVENT_ABSENT;
    ev->cost_pusd = EVENT_ABSENT;
    ev->stream = false;
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

static NOINLINE int take_kind(const struct event_value *v, const struct event *out, struct err *e)
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
    bool is_good = f->type == EVENT_FIELD_TEXT || v->is_name;
    if (!is_good && event_check_name(f->name.p, v->string, e) != 0)
        return -1;
    *out = v->string;
    return 0;
}

// floor() and llround() are calls into the library, of which a time that is not a whole one took
// two. Both are for what int64 has room for.
static inline int64_t floor_of(double x)
{
    int64_t whole = (int64_t)x; // towards zero
    return whole - ((double)whole > x);
}

// Of x >= 0, half away from zero. From 2^52 on x is whole and nothing is added.
static inline int64_t round_of(double x)
{
    int64_t whole = (int64_t)x;
    return whole + (x - (double)whole >= 0.5);
}

// Floored to µs. False where the instant lies outside the years 0001 to 9999.
static bool us_of_epoch_ms(double ms, int64_t *out_us)
{
    if (!(fabs(ms) < 1e15)) // else its µs may be beyond int64
        return false;
    // Whole ms stay exact as integers. With a fraction, today's times make a product that is exact
    // to a quarter µs, which rounds to what was written with three decimals.
    int64_t whole = (int64_t)ms;
    int64_t us = (double)whole == ms ? whole * US_PER_MS : floor_of(ms * (double)US_PER_MS);
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
    *out = round_of(v->number * (double)US_PER_MS);
    return 0;
}

static int take_cost(const struct event_field *f, const struct event_value *v, int64_t *out,
                     struct err *e)
{
    if (check_amount(f, v, EVENT_MAX_USD, e) != 0)
        return -1;
    int64_t pusd = round_of(v->number * (double)MONEY_PER_USD), step = 1;
    // A double keeps 15 digits of what was written. What stands behind them is the conversion's,
    // and of amounts from 1,000 USD on some of it is above half a picodollar.
    while (pusd / step >= INT64_C(1000000000000000))
        step *= 10;
    *out = (pusd + step / 2) / step * step;
    return 0;
}

int event_field_take(const struct event_field *f, const struct event_value *v, struct event *out,
                     struct err *e)
{
    void *member = (char *)out + f->offset;
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
        unsigned i = (unsigned)__builtin_ctz(left);
        const struct event_field *f = &event_fields[i];
        if (!(values->sent & (1u << i)))
            return err_field(e, f->name.p, -1, "is required");
        if (event_field_take(f, &values->of[i], out, e) != 0)
            return -1;
    }
    return 0;
}
