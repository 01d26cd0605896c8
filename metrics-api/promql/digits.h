// SPDX-License-Identifier: Apache-2.0
// The decimal digits of a number.
#ifndef STREAMLENS_PROMQL_DIGITS_H
#define STREAMLENS_PROMQL_DIGITS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DIGITS_MAX 17

// The fewest digits that read back as the number, which is finite; of several such the nearest to
// it. "d" or "dd…", not ended, the first a 0 only of 0; how many. The number is
// ±d.d… times ten to the *exponent.
size_t digits_shortest(double value, char digits[DIGITS_MAX], int *exponent);

#ifdef __cplusplus
}
#endif

#endif
