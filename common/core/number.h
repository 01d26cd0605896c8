// SPDX-License-Identifier: Apache-2.0
// Numbers as text, by the C++ library: it does not look at a locale, and needs a tenth of the time
// of strtod for numbers of 17 digits, which is what many programs write of a double.
#ifndef STREAMLENS_NUMBER_H
#define STREAMLENS_NUMBER_H

#ifdef __cplusplus
extern "C" {
#endif

// The double next to a number of JSON's grammar, which no double overflows. All of the text is the
// number.
double number_of_chars(const char *begin, const char *end);

#ifdef __cplusplus
}
#endif
#endif
