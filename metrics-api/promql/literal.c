// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/literal.h"

#include "metrics-api/promql/digits.h"

#include <errno.h>
#include <limits.h>
#include <math.h>

#define TEXT_MAX 400    // of a number: more digits than any double has
#define PRINTED_MAX 360 // "-0.", 323 zeros and the digits

// The text without underscores, which the lexer let stand only between digits. -1: it is too long.
static int plain(struct str text, char out[TEXT_MAX + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '_')
            continue;
        if (n == TEXT_MAX)
            return -1;
        out[n++] = text.p[i];
    }
    out[n] = '\0';
    return 0;
}

// Whole numbers may be hexadecimal or, with a leading 0, octal.
static bool read_whole(const char *text, double *value)
{
    char *end;
    errno = 0;
    long long whole = strtoll(text, &end, 0);
    if (errno != 0 || *end != '\0' || end == text)
        return false;
    *value = (double)whole;
    return true;
}

bool literal_float(struct str text, double *value)
{
    char copy[TEXT_MAX + 1] = "";
    if (text.n == 0 || text.n > TEXT_MAX || memchr(text.p, '_', text.n) || plain(text, copy) != 0)
        return false;
    // What strtod() takes and Go does not: spaces before it, NaN with a payload.
    if (!strchr("+-.0123456789iInN", copy[0]) || strchr(copy, '('))
        return false;
    char *end;
    errno = 0;
    *value = strtod(copy, &end);
    bool hex = strpbrk(copy, "xX") != NULL;
    return *end == '\0' && !(errno == ERANGE && isinf(*value)) && (!hex || strpbrk(copy, "pP"));
}

int literal_number(struct str text, double *value, struct err *e)
{
    char copy[TEXT_MAX + 1] = "";
    int shown = (int)(text.n < 60 ? text.n : 60);
    if (plain(text, copy) == 0) {
        if (read_whole(copy, value))
            return 0;
        if (literal_float(str_of(copy), value))
            return 0;
        if (isinf(strtod(copy, NULL)))
            return err_set(
                e, "error parsing number: strconv.ParseFloat: parsing \"%.*s\": value out of range",
                shown, text.p);
    }
    return err_set(e, "error parsing number: strconv.ParseFloat: parsing \"%.*s\": invalid syntax",
                   shown, text.p);
}

int literal_duration_ms(struct str text, int64_t *ms, struct err *e)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"y", INT64_C(365) * 86400000},
                 {"w", INT64_C(7) * 86400000},
                 {"d", 86400000},
                 {"h", 3600000},
                 {"m", 60000},
                 {"s", 1000},
                 {"ms", 1}};
    size_t at = 0, unit = 0;
    int64_t sum = 0;
    bool fits = true;
    while (at < text.n) {
        int64_t n = 0;
        size_t from = at;
        for (; at < text.n && text.p[at] >= '0' && text.p[at] <= '9'; at++)
            fits = !__builtin_mul_overflow(n, 10, &n) &&
                   !__builtin_add_overflow(n, text.p[at] - '0', &n) && fits;
        size_t letters = at;
        while (letters < text.n && !(text.p[letters] >= '0' && text.p[letters] <= '9'))
            letters++;
        struct str name = {text.p + at, letters - at};
        while (unit < ARRAY_LEN(units) && !str_eq(name, str_of(units[unit].name)))
            unit++;
        if (at == from || unit == ARRAY_LEN(units))
            return err_set(e, "not a valid duration string: \"%.*s\"",
                           (int)(text.n < 60 ? text.n : 60), text.p);
        fits = !__builtin_mul_overflow(n, units[unit].ms, &n) &&
               !__builtin_add_overflow(sum, n, &sum) && fits;
        unit++;
        at = letters;
    }
    // As many nanoseconds as Go's Duration holds.
    if (!fits || sum > INT64_MAX / 1000000)
        return err_set(e, "duration out of range");
    *ms = sum;
    return 0;
}

static void add_rune(char *out, size_t *n, uint32_t rune)
{
    if (rune < 0x80) {
        out[(*n)++] = (char)rune;
    } else if (rune < 0x800) {
        out[(*n)++] = (char)(0xc0 | rune >> 6);
        out[(*n)++] = (char)(0x80 | (rune & 0x3f));
    } else if (rune < 0x10000) {
        out[(*n)++] = (char)(0xe0 | rune >> 12);
        out[(*n)++] = (char)(0x80 | (rune >> 6 & 0x3f));
        out[(*n)++] = (char)(0x80 | (rune & 0x3f));
    } else {
        out[(*n)++] = (char)(0xf0 | rune >> 18);
        out[(*n)++] = (char)(0x80 | (rune >> 12 & 0x3f));
        out[(*n)++] = (char)(0x80 | (rune >> 6 & 0x3f));
        out[(*n)++] = (char)(0x80 | (rune & 0x3f));
    }
}

static uint32_t digits_value(const char *p, size_t n, uint32_t base)
{
    uint32_t value = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = (unsigned char)p[i];
        uint32_t digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        value = value * base + digit;
    }
    return value;
}

// The escape at p, behind the backslash, which the lexer has found whole. Returns its length, 0
// where it names no character.
static size_t unescape(const char *p, char *out, size_t *n)
{
    static const char letters[] = "abtnvfr";
    const char *letter = strchr(letters, *p);
    if (letter) {
        out[(*n)++] = (char)(7 + (letter - letters));
        return 1;
    }
    bool octal = *p >= '0' && *p <= '7';
    if (octal || *p == 'x') {
        uint32_t byte = octal ? digits_value(p, 3, 8) : digits_value(p + 1, 2, 16);
        if (byte > 255)
            return 0;
        out[(*n)++] = (char)byte;
        return 3;
    }
    if (*p == 'u' || *p == 'U') {
        size_t digits = *p == 'u' ? 4 : 8;
        uint32_t rune = digits_value(p + 1, digits, 16);
        if (rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000))
            return 0;
        add_rune(out, n, rune);
        return digits + 1;
    }
    out[(*n)++] = *p; // a quote or a backslash
    return 1;
}

int literal_string(struct arena *a, struct str text, struct str *value, struct err *e)
{
    bool raw = text.p[0] == '`';
    struct str inner = {text.p + 1, text.n - 2};
    char *out = arena_alloc(a, inner.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < inner.n; i++) {
        if (raw || inner.p[i] != '\\') {
            if (!raw || inner.p[i] != '\r') // as in Go
                out[n++] = inner.p[i];
            continue;
        }
        size_t length = unescape(inner.p + i + 1, out, &n);
        if (length == 0)
            return err_set(e, "escape sequence is an invalid Unicode code point");
        i += length;
    }
    *value = (struct str){out, n};
    return 0;
}

static bool print_special(double value, struct buf *out)
{
    if (isnan(value))
        buf_adds(out, "NaN");
    else if (isinf(value))
        buf_adds(out, value < 0 ? "-Inf" : "+Inf");
    else
        return false;
    return true;
}

static char *put_zeros(char *at, int n)
{
    memset(at, '0', (size_t)n);
    return at + n;
}

static char *put(char *at, const char *p, int n)
{
    memcpy(at, p, (size_t)n);
    return at + n;
}

static char *put_plain(char *at, const char *digits, int n, int exponent)
{
    if (exponent < 0)
        return put(put_zeros(put(at, "0.", 2), -exponent - 1), digits, n);
    int whole = exponent + 1;
    if (n <= whole)
        return put_zeros(put(at, digits, n), whole - n);
    at = put(at, digits, whole);
    *at++ = '.';
    return put(at, digits + whole, n - whole);
}

static char *put_e(char *at, const char *digits, int n, int exponent)
{
    *at++ = digits[0];
    if (n > 1) {
        *at++ = '.';
        at = put(at, digits + 1, n - 1);
    }
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    int size = abs(exponent);
    if (size > 99)
        *at++ = (char)('0' + size / 100);
    *at++ = (char)('0' + size / 10 % 10);
    *at++ = (char)('0' + size % 10);
    return at;
}

// With an exponent where it is less than `least` or not less than `beyond`.
static void print(double value, int least, int beyond, struct buf *out)
{
    char digits[DIGITS_MAX];
    int exponent;
    if (print_special(value, out))
        return;
    int n = (int)digits_shortest(value, digits, &exponent);
    buf_reserve(out, PRINTED_MAX);
    char *at = out->p + out->n;
    if (signbit(value))
        *at++ = '-';
    at = exponent < least || exponent >= beyond ? put_e(at, digits, n, exponent)
                                                : put_plain(at, digits, n, exponent);
    out->n = (size_t)(at - out->p);
}

void literal_print(double value, struct buf *out)
{
    print(value, INT_MIN, INT_MAX, out);
}

void literal_print_g(double value, struct buf *out)
{
    print(value, -4, 6, out);
}

void literal_print_sample(double value, struct buf *out)
{
    print(value, -6, 21, out);
}
