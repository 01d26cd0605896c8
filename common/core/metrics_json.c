// SPDX-License-Identifier: Apache-2.0
#include "common/core/metrics_json.h"

#include "common/core/timeunit.h"

#include <math.h>
#include <stdio.h>

#define DAY_BYTES 11 // of "2026-11-21T"
// Less is written with an exponent, as %g does.
#define PLAIN_FROM 1e-5
#define TRILLION UINT64_C(1000000000000)
#define ADD_LIT(out, s) buf_add(out, s, sizeof(s) - 1)

// Two digits a division, and moved at a fixed length: neither takes a call.
#define DIGITS_MAX 20
#define DIGITS_ROOM (2 * DIGITS_MAX) // what is copied ends within

static char *two_digits(char *at, int n)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    at[0] = pairs[2 * n];
    at[1] = pairs[2 * n + 1];
    return at + 2;
}

// Written so that they end before `end`; returns where they begin.
static char *digits_before(char *end, uint64_t n)
{
    for (; n >= 100; n /= 100)
        two_digits(end -= 2, (int)(n % 100));
    if (n >= 10)
        return two_digits(end - 2, (int)n) - 2;
    *--end = (char)('0' + n);
    return end;
}

static char *put_digits(char *at, uint64_t n)
{
    if (n < 10) { // most counts are 0
        *at = (char)('0' + n);
        return at + 1;
    }
    char room[DIGITS_ROOM], *end = room + DIGITS_MAX, *digits = digits_before(end, n);
    memcpy(at, digits, DIGITS_MAX);
    return at + (end - digits);
}

char *metrics_json_put_int(char *at, int64_t n)
{
    if (n < 0)
        *at++ = '-';
    return put_digits(at, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

void metrics_json_int(struct buf *out, int64_t n)
{
    buf_reserve(out, METRICS_JSON_NUMBER);
    out->n = (size_t)(metrics_json_put_int(out->p + out->n, n) - out->p);
}

// m / 10^decimals as plain text without trailing zeros; returns the length.
static size_t decimal_text(uint64_t m, int decimals, char *out)
{
    while (decimals > 0 && m % 10 == 0) {
        m /= 10;
        decimals--;
    }
    char room[20], *end = room + sizeof(room), *digits = digits_before(end, m);
    size_t n = (size_t)(end - digits), at = 0;
    size_t whole = n > (size_t)decimals ? n - (size_t)decimals : 0;
    if (whole == 0)
        out[at++] = '0';
    memcpy(out + at, digits, whole);
    at += whole;
    if (decimals > 0) {
        out[at++] = '.';
        for (size_t zeros = (size_t)decimals - (n - whole); zeros > 0; zeros--)
            out[at++] = '0';
        memcpy(out + at, digits + whole, n - whole);
        at += n - whole;
    }
    out[at] = '\0';
    return at;
}

// Tries `digits` significant digits: scales to an integer in long double, whose one rounding is far
// below half a unit of the 17th digit, and keeps what reads back as d.
static size_t decimal_try(double d, int magnitude, int digits, char *out)
{
    static const long double powers10[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,
                                           1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L,
                                           1e16L, 1e17L, 1e18L, 1e19L, 1e20L, 1e21L, 1e22L};
    int decimals = digits - 1 - magnitude;
    if (decimals < 0 || decimals >= (int)ARRAY_LEN(powers10))
        return 0;
    uint64_t m = (uint64_t)llroundl((long double)d * powers10[decimals]);
    // Beyond 2^53 an integer's neighbours are nearer to it than those of any double: it reads back.
    // Up to there both are exact, and the division is rounded once, as reading the text would be.
    bool reads_back = m > UINT64_C(1) << 53 || (double)m / (double)powers10[decimals] == d;
    return reads_back ? decimal_text(m, decimals, out) : 0;
}

// The last `decimals` digits of m behind a point, without zeros at the end; not all are 0.
static char *put_decimals(char *at, uint64_t m, int decimals)
{
    char room[DIGITS_ROOM], *end = room + DIGITS_MAX;
    *at++ = '.';
    memset(room, '0', DIGITS_MAX);
    (void)digits_before(end, m);
    memcpy(at, end - decimals, DIGITS_MAX);
    at += decimals;
    while (at[-1] == '0')
        at--;
    return at;
}

// What was µs is whole thousandths of a ms. No other text of up to 15 digits reads back as the same
// double, so this one is the shortest. NULL where a, no integer, is anything else.
static char *put_thousandths(char *at, double a)
{
    if (a >= 1e12)
        return NULL;
    uint64_t m = (uint64_t)(a * 1000 + 0.5);
    if ((double)m / 1000 != a)
        return NULL;
    return put_decimals(put_digits(at, m / 1000), m % 1000, 3);
}

// m / 10^12 below 10^-5 as d.ddde-NN; m is not 0.
static char *put_exponent(char *at, uint64_t m)
{
    int exponent = -12;
    for (; m % 10 == 0; m /= 10)
        exponent++;
    char *first = at + 1; // the point goes before the second
    char *end = put_digits(first, m);
    exponent += (int)(end - first) - 1;
    at[0] = first[0];
    first[0] = '.';
    at = end - first > 1 ? end : first;
    at[0] = 'e';
    at[1] = '-';
    return two_digits(at + 2, -exponent);
}

// Likewise of what was picodollars: with trying digits one by one 60 rows took 2.8 million
// instructions, with this 1.7.
static char *put_trillionths(char *at, double a)
{
    if (a >= 1e3) // more digits than 15
        return NULL;
    uint64_t m = (uint64_t)(a * 1e12 + 0.5);
    if ((double)m / 1e12 != a)
        return NULL;
    if (a < PLAIN_FROM)
        return put_exponent(at, m);
    return put_decimals(put_digits(at, m / TRILLION), m % TRILLION, 12);
}

// Whatever it is, by trying digits.
static char *put_tried(char *at, double a)
{
    size_t n = 0;
    if (a >= PLAIN_FROM && a < 1e15) {
        int magnitude = (int)floor(log10(a));
        for (int digits = 15; digits <= 17 && n == 0; digits++)
            n = decimal_try(a, magnitude, digits, at);
    }
    for (int digits = 1; n == 0; digits++) {
        int len = snprintf(at, METRICS_JSON_NUMBER - 1, "%.*g", digits, a);
        n = strtod(at, NULL) == a ? (size_t)len : 0;
    }
    return at + n;
}

char *metrics_json_put_double(char *at, double d)
{
    double a = fabs(d);
    if (a < 1e15 && (double)(int64_t)a == a)
        return metrics_json_put_int(at, (int64_t)d); // -0 too: a zero
    if (!isfinite(d)) {
        static const char null[] = {'n', 'u', 'l', 'l'};
        memcpy(at, null, sizeof(null));
        return at + sizeof(null);
    }
    if (d < 0)
        *at++ = '-';
    char *end = put_thousandths(at, a);
    if (!end)
        end = put_trillionths(at, a);
    return end ? end : put_tried(at, a);
}

void metrics_json_double(struct buf *out, double d)
{
    buf_reserve(out, METRICS_JSON_NUMBER);
    out->n = (size_t)(metrics_json_put_double(out->p + out->n, d) - out->p);
}

static void add_day(struct metrics_json *j, int64_t t_us)
{
    if (j->day[0] && t_us >= j->day_us && t_us < j->day_us + US_PER_DAY)
        return;
    char text[TIME_RFC3339_MAX];
    j->day_us = time_floor_us(t_us, US_PER_DAY);
    time_format_rfc3339(j->day_us, text);
    memcpy(j->day, text, DAY_BYTES);
}

void metrics_json_time(struct metrics_json *j, struct buf *out, int64_t t_us)
{
    char text[TIME_RFC3339_MAX], *at = text;
    if (t_us % US_PER_S != 0) {
        at += time_format_rfc3339(t_us, at);
    } else {
        add_day(j, t_us);
        int s = (int)((t_us - j->day_us) / US_PER_S);
        memcpy(at, j->day, DAY_BYTES);
        at = two_digits(at + DAY_BYTES, s / 3600);
        *at++ = ':';
        at = two_digits(at, s / 60 % 60);
        *at++ = ':';
        at = two_digits(at, s % 60);
        *at++ = 'Z';
    }
    buf_add(out, text, (size_t)(at - text));
}

static void add_time(struct metrics_json *j, struct buf *out, int64_t t_us)
{
    buf_addc(out, '"');
    metrics_json_time(j, out, t_us);
    buf_addc(out, '"');
}

// Digits, a sign and a point need no escapes.
static void add_decimal(struct buf *out, struct str digits)
{
    if (!digits.p) {
        ADD_LIT(out, "null");
        return;
    }
    buf_addc(out, '"');
    buf_add(out, digits.p, digits.n);
    buf_addc(out, '"');
}

void metrics_json_members(struct metrics_json *j, struct buf *out, const struct metrics_row *row)
{
    bool first = true;
#define KEY(name)                                                                                  \
    if (!first)                                                                                    \
        buf_addc(out, ',');                                                                        \
    first = false;                                                                                 \
    ADD_LIT(out, "\"" #name "\":");
#define TEXT(name) KEY(name) buf_add_json_str(out, row->name);
#define TIME(name) KEY(name) add_time(j, out, row->name##_us);
#define COUNT(name) KEY(name) metrics_json_int(out, row->name);
#define NUMBER(name) KEY(name) metrics_json_double(out, row->name);
#define DECIMAL(name) KEY(name) add_decimal(out, row->name);
#define OBJECT(name) KEY(name) buf_add(out, row->name.p, row->name.n);
#define BOOL(name) KEY(name) buf_adds(out, row->name ? "true" : "false");
    METRICS_ROW_FIELDS(TEXT, TIME, COUNT, NUMBER, NUMBER, DECIMAL, OBJECT, BOOL)
#undef KEY
#undef TEXT
#undef TIME
#undef COUNT
#undef NUMBER
#undef DECIMAL
#undef OBJECT
#undef BOOL
}
