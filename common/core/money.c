// SPDX-License-Identifier: Apache-2.0
#include "common/core/money.h"

#define DECIMALS 12

static money bounded(money m)
{
    return m > MONEY_MAX ? MONEY_MAX : m < -MONEY_MAX ? -MONEY_MAX : m;
}

money money_add(money a, money b)
{
    // Even so the sum may be beyond 128 bits, which end at 1.7 × 10^38.
    money sum;
    if (__builtin_add_overflow(bounded(a), bounded(b), &sum))
        return a > 0 ? MONEY_MAX : -MONEY_MAX;
    return bounded(sum);
}

// Dividing 128 bits takes ten times as long as dividing 64.
static char take_digit(unsigned __int128 *rest)
{
    if (*rest > UINT64_MAX) {
        char digit = (char)('0' + (int)(*rest % 10));
        *rest /= 10;
        return digit;
    }
    uint64_t small = (uint64_t)*rest;
    *rest = small / 10;
    return (char)('0' + small % 10);
}

void money_add_decimal(struct buf *out, money m)
{
    char text[48], *end = text + sizeof(text), *at = end;
    unsigned __int128 rest = m < 0 ? -(unsigned __int128)m : (unsigned __int128)m;
    bool shown = false; // a decimal that is not 0 stands to the right
    for (int i = 0; i < DECIMALS; i++) {
        char digit = take_digit(&rest);
        shown = shown || digit != '0';
        if (shown)
            *--at = digit;
    }
    if (shown)
        *--at = '.';
    do {
        *--at = take_digit(&rest);
    } while (rest != 0);
    if (m < 0)
        *--at = '-';
    buf_add(out, at, (size_t)(end - at));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int not_money(struct err *e)
{
    return err_set(e, "must be a decimal number of USD with at most %d decimals, such as 12.5",
                   DECIMALS);
}

int money_parse(struct str text, money *out, struct err *e)
{
    size_t i = text.n > 0 && (text.p[0] == '-' || text.p[0] == '+');
    bool negative = i == 1 && text.p[0] == '-';
    money sum = 0;
    int digits = 0, decimals = -1; // decimals: -1 before the point
    for (; i < text.n; i++) {
        if (text.p[i] == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (!is_digit(text.p[i]))
            return not_money(e);
        digits++;
        if (decimals == DECIMALS) {
            if (text.p[i] != '0')
                return not_money(e);
            continue;
        }
        decimals += decimals >= 0;
        if (sum > MONEY_MAX / 10)
            return err_set(e, "is larger than any amount that can be kept");
        sum = sum * 10 + (text.p[i] - '0');
    }
    if (digits == 0)
        return not_money(e);
    for (int n = decimals < 0 ? 0 : decimals; n < DECIMALS; n++) {
        if (sum > MONEY_MAX / 10)
            return err_set(e, "is larger than any amount that can be kept");
        sum *= 10;
    }
    *out = negative ? -sum : sum;
    return 0;
}

double money_usd(money m)
{
    const money exact = (money)1 << 53; // up to here both are, so the quotient is rounded once
    if (m >= -exact && m <= exact)
        return (double)m / (double)MONEY_PER_USD;
    // By way of the decimal: a larger one would be rounded on its way to a double, and again.
    struct buf text = {0};
    money_add_decimal(&text, m);
    buf_addc(&text, '\0');
    double usd = strtod(text.p, NULL);
    buf_free(&text);
    return usd;
}

// Digits, the power of the first one, sign and decimals to show, 16 bits each; then the digits.
#define NUMERIC_BASE 10000
#define NUMERIC_DIGITS 10 // of 38 decimals, the most that money has
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_HEAD 8

static int take_16(struct str s, size_t at)
{
    return (unsigned char)s.p[at] << 8 | (unsigned char)s.p[at + 1];
}

int money_read_numeric(struct str binary, money *out, struct err *e)
{
    static const char wanted[] = "an amount is no whole number of at most 38 digits";
    if (binary.n < NUMERIC_HEAD)
        return err_set(e, "%s", wanted);
    int digits = take_16(binary, 0), weight = (int16_t)take_16(binary, 2),
        sign = take_16(binary, 4);
    if (binary.n != NUMERIC_HEAD + (size_t)digits * 2 || (sign != 0 && sign != NUMERIC_NEGATIVE) ||
        digits > weight + 1 + (digits == 0) || weight >= NUMERIC_DIGITS)
        return err_set(e, "%s", wanted);
    money sum = 0;
    for (int i = 0; i <= weight; i++) {
        money digit = i < digits ? take_16(binary, NUMERIC_HEAD + (size_t)i * 2) : 0;
        if (digit >= NUMERIC_BASE || sum > (MONEY_MAX - digit) / NUMERIC_BASE)
            return err_set(e, "%s", wanted);
        sum = sum * NUMERIC_BASE + digit;
    }
    *out = sign ? -sum : sum;
    return 0;
}
