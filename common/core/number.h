// SPDX-License-Identifier: Apache-2.0
// The double next to a number's text.
#ifndef STREAMLENS_NUMBER_H
#define STREAMLENS_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The double next to a number of JSON's grammar, which no double overflows. All of the text is the
// number.
double number_of_chars(const char *begin, const char *end);

// That next to digits · 10^power. False where it is not certain, which is seldom, or where the
// power is above 0 or below NUMBER_POWER_MIN.
#define NUMBER_POWER_MIN (-31)
bool number_of_decimal(uint64_t digits, int power, double *out);

#ifdef __cplusplus
}
#endif
#endif
