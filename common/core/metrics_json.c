// SPDX-License-Identifier: Apache-2.0
#include "common/core/metrics_json.h"

#include "common/core/timeunit.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#define DAY_BYTES 11 // of "2026-11-21T"
// Less is written with an exponent, as %g does.
#define PLAIN_FROM 1e-5
#define DIGITS_15 UINT64_C(1000000000000000)
#define ADD_LIT(out, s) buf_add(out, s, sizeof(s) - 1)

// Written so that they end before `end`; returns where they begin.
static char *digits_before(char *end, uint64_t n)
{
    do {
        *--end = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return end;
}

static char *two_digits(char *at, int n)
{
    at[0] = (char)('0' + n / 10);
    at[1] = (char)('0' + n % 10);
    return at + 2;
}

void metrics_json_int(struct buf *out, int64_t n)
{
    char text[21], *end = text + sizeof(text);
    char *at = digits_before(end, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
    if (n < 0)
        *--at = '-';
    buf_add(out, at, (size_t)(end - at));
}

// m / 10^decimals as plain text without trailing zeros; returns the length.
static size_t decimal_text(uint64_t m, int decimals, char out[48])
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

static const long double powers10[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,
                                       1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L,
                                       1e16L, 1e17L, 1e18L, 1e19L, 1e20L, 1e21L, 1e22L};

// Whether m / 10^decimals is nearer to d, from 10^-5 to 10^15, than to any other double: what
// strtod() would say, at a tenth of its price. Both as integers of 2^-shift * 10^-decimals: 126
// bits at most.
static bool reads_back(uint64_t m, int decimals, double d)
{
    int exponent;
    uint64_t mantissa = (uint64_t)ldexp(frexp(d, &exponent), DBL_MANT_DIG);
    int shift = DBL_MANT_DIG - exponent;
    unsigned __int128 unit = (unsigned __int128)powers10[decimals];
    unsigned __int128 text = (unsigned __int128)m << shift, is = mantissa * unit;
    unsigned __int128 off = text < is ? is - text : text - is;
    // Below a power of two doubles are twice as dense.
    if (mantissa == UINT64_C(1) << (DBL_MANT_DIG - 1) && text < is)
        off *= 2;
    return 2 * off < unit || (2 * off == unit && mantissa % 2 == 0);
}

// Tries `digits` significant digits: scales to an integer in long double, whose one rounding is far
// below half a unit of the 17th digit, and keeps what reads back as d.
static size_t decimal_try(double d, int magnitude, int digits, char out[48])
{
    int decimals = digits - 1 - magnitude;
    if (decimals < 0 || decimals >= (int)ARRAY_LEN(powers10))
        return 0;
    uint64_t m = (uint64_t)llroundl((long double)d * powers10[decimals]);
    // Both exact in a double: the division is then rounded once, just as reading the text would be.
    if (m <= UINT64_C(1) << 53)
        return (double)m / (double)powers10[decimals] == d ? decimal_text(m, decimals, out) : 0;
    return reads_back(m, decimals, d) ? decimal_text(m, decimals, out) : 0;
}

// What was µs is whole thousandths of a ms. No other text of up to 15 digits reads back as the same
// double, so this one is the shortest. 0 where a is anything else.
static size_t thousandths(double a, char out[48])
{
    if (a >= 1e12)
        return 0;
    uint64_t m = (uint64_t)(a * 1000 + 0.5);
    return (double)m / 1000 == a ? decimal_text(m, 3, out) : 0;
}

// m / 10^12 below 10^-5 as d.ddde-NN; m is not 0.
static size_t exponent_text(uint64_t m, char out[48])
{
    int exponent = -12;
    for (; m % 10 == 0; m /= 10)
        exponent++;
    char room[20], *end = room + sizeof(room), *digits = digits_before(end, m);
    size_t n = (size_t)(end - digits), at = 0;
    exponent += (int)n - 1;
    out[at++] = digits[0];
    if (n > 1)
        out[at++] = '.';
    memcpy(out + at, digits + 1, n - 1);
    at += n - 1;
    out[at++] = 'e';
    out[at++] = '-';
    return (size_t)(two_digits(out + at, -exponent) - out);
}

// Likewise of what was picodollars: trying digits one by one took half of an answer's time (2.79
// million instructions of 60 rows, with this 1.53).
static size_t trillionths(double a, char out[48])
{
    if (a >= 1e3)
        return 0;
    uint64_t m = (uint64_t)(a * 1e12 + 0.5);
    if (m == 0 || m >= DIGITS_15 || (double)m / 1e12 != a)
        return 0;
    return a < PLAIN_FROM ? exponent_text(m, out) : decimal_text(m, 12, out);
}

void metrics_json_double(struct buf *out, double d)
{
    if (!isfinite(d)) {
        ADD_LIT(out, "null");
        return;
    }
    char text[48];
    double a = fabs(d);
    if (a < 1e15 && a == floor(a)) {
        metrics_json_int(out, (int64_t)d); // -0 too: a zero
        return;
    }
    size_t n = thousandths(a, text);
    if (n == 0)
        n = trillionths(a, text);
    if (n == 0 && a >= PLAIN_FROM && a < 1e15) {
        int magnitude = (int)floor(log10(a));
        for (int digits = 15; digits <= 17 && n == 0; digits++)
            n = decimal_try(a, magnitude, digits, text);
    }
    for (int digits = 1; n == 0; digits++) {
        int len = snprintf(text, sizeof(text), "%.*g", digits, a);
        n = strtod(text, NULL) == a ? (size_t)len : 0;
    }
    if (d < 0)
        buf_addc(out, '-');
    buf_add(out, text, n);
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
