// SPDX-License-Identifier: Apache-2.0
// What UTF-8 is (RFC 3629), for those who judge bytes of strangers.
#ifndef STREAMLENS_UTF8_H
#define STREAMLENS_UTF8_H

#include "common/core/base.h"

// The length of the UTF-8 sequence at p, of which n >= 1 bytes may be read; 0 where it is none.
// Overlong forms, surrogates and what lies beyond U+10FFFF are none.
static inline size_t utf8_sequence(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t length = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] > 0x9f;
    bool beyond = p[0] == 0xf4 && p[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : length;
}

#endif
