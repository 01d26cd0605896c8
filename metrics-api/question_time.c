// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/question_time.h"

#define TEXT_MAX 64
// Today is 1.8·10^9 s or 1.8·10^12 ms: 10^11 s would be the year 5138, 10^11 ms is in March 1973.
#define FIRST_MS INT64_C(100000000000)
#define NUMBER_MAX INT64_C(1000000000000000) // its µs fit, whether it counts s or ms

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// The digits at *at, at least one; what is greater than NUMBER_MAX is NUMBER_MAX.
static bool take_number(struct str text, size_t *at, int64_t *out)
{
    size_t start = *at;
    for (*out = 0; *at < text.n && is_digit(text.p[*at]); (*at)++)
        *out = min_i64(*out * 10 + (text.p[*at] - '0'), NUMBER_MAX);
    return *at > start;
}

static const struct unit {
    char name;
    int64_t us;
} units[] = {
    {'w', 7 * US_PER_DAY}, {'d', US_PER_DAY}, {'h', US_PER_HOUR},
    {'m', US_PER_MIN},     {'s', US_PER_S},
};

// The unit of that name from the first-th on; ARRAY_LEN(units) where there is none.
static size_t unit_find(char name, size_t first)
{
    size_t i = first;
    while (i < ARRAY_LEN(units) && units[i].name != name)
        i++;
    return i;
}

static bool add_amount(int64_t *sum_us, int64_t amount, int64_t unit_us)
{
    if (amount > (QUESTION_DURATION_MAX_US - *sum_us) / unit_us)
        return false;
    *sum_us += amount * unit_us;
    return true;
}

int question_duration_parse(struct str text, int64_t *out_us)
{
    size_t at = 0, next_unit = 0;
    int64_t amount, sum_us = 0;
    if (!take_number(text, &at, &amount))
        return -1;
    if (at == text.n) {
        if (!add_amount(&sum_us, amount, US_PER_S))
            return -1;
        *out_us = sum_us;
        return 0;
    }
    for (;;) {
        size_t unit = at < text.n ? unit_find(text.p[at++], next_unit) : ARRAY_LEN(units);
        if (unit == ARRAY_LEN(units) || !add_amount(&sum_us, amount, units[unit].us))
            return -1;
        if (at == text.n)
            break;
        next_unit = unit + 1;
        if (!take_number(text, &at, &amount))
            return -1;
    }
    *out_us = sum_us;
    return 0;
}

static int parse_now(struct str text, struct question_time *out)
{
    int64_t us = 0;
    *out = (struct question_time){TIME_FROM_NOW, 0};
    if (text.n == 3)
        return 0;
    bool back = text.p[3] == '-';
    if (!back && text.p[3] != '+')
        return -1;
    if (question_duration_parse((struct str){text.p + 4, text.n - 4}, &us) != 0)
        return -1;
    out->us = back ? -us : us;
    return 0;
}

// Whether the text is a number is found out here; whether its instant can be named, by the caller.
static int parse_epoch(struct str text, int64_t *out_us)
{
    size_t at = 0;
    int64_t whole;
    if (!take_number(text, &at, &whole) || whole >= NUMBER_MAX)
        return -1;
    int64_t unit_us = whole < FIRST_MS ? US_PER_S : US_PER_MS;
    int64_t us = whole * unit_us;
    if (at < text.n && text.p[at] == '.') {
        size_t first = ++at;
        for (int64_t scale_us = unit_us / 10; at < text.n && is_digit(text.p[at]); scale_us /= 10)
            us += scale_us * (text.p[at++] - '0');
        if (at == first || at - first > 9)
            return -1;
    }
    *out_us = us;
    return at == text.n ? 0 : -1;
}

int question_time_parse(struct str text, struct question_time *out)
{
    if (text.n == 0 || text.n > TEXT_MAX)
        return -1;
    char plus[TEXT_MAX] = {0};
    for (size_t i = 0; i < text.n; i++)
        plus[i] = text.p[i] == ' ' ? '+' : text.p[i];
    text.p = plus;
    if (text.n >= 3 && memcmp(text.p, "now", 3) == 0)
        return parse_now(text, out);
    out->kind = TIME_AT;
    if (time_parse_rfc3339(text, &out->us) == 0)
        return 0;
    return parse_epoch(text, &out->us) == 0 && time_in_range_us(out->us) ? 0 : -1;
}

static bool instant(const struct question_time *t, int64_t now_us, int64_t *out_us)
{
    assert(t->kind != TIME_MISSING);
    *out_us = t->us;
    if (t->kind == TIME_FROM_NOW && __builtin_add_overflow(now_us, t->us, out_us))
        return false;
    return time_in_range_us(*out_us);
}

int question_time_resolve(const struct question_time *t, int64_t now_us, int64_t *out_us)
{
    int64_t us;
    if (!instant(t, now_us, &us))
        return -1;
    *out_us = time_floor_us(us + US_PER_MIN - 1, US_PER_MIN);
    return time_in_range_us(*out_us) ? 0 : -1;
}

int question_time_minute(const struct question_time *t, int64_t now_us, int64_t *out_us)
{
    int64_t us;
    if (!instant(t, now_us, &us))
        return -1;
    *out_us = time_floor_us(us, US_PER_MIN);
    return 0;
}
