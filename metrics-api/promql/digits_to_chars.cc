// SPDX-License-Identifier: Apache-2.0
// C++'s library has the fast way to the fewest digits; C's has none.
#include "metrics-api/promql/digits.h"

#include <charconv>
#include <cmath>

size_t digits_shortest(double value, char digits[DIGITS_MAX], int *exponent)
{
    char text[32]; // "1.2345678901234567e-300" is the longest
    const char *end =
        std::to_chars(text, text + sizeof(text), std::fabs(value), std::chars_format::scientific)
            .ptr;
    const char *at = text;
    size_t n = 0;
    for (; *at != 'e'; at++)
        if (*at != '.')
            digits[n++] = *at;
    bool minus = at[1] == '-';
    int size = 0;
    for (at += 2; at < end; at++)
        size = size * 10 + (*at - '0');
    *exponent = minus ? -size : size;
    return n;
}
