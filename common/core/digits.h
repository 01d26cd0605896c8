// SPDX-License-Identifier: Apache-2.0
// Eight bytes of text at a time, as one number: how many of them are digits, and what those say.
#ifndef STREAMLENS_DIGITS_H
#define STREAMLENS_DIGITS_H

#include "common/core/base.h"

#define DIGITS_WORD 8 // bytes in a word

// The eight bytes at p; the first one is the lowest.
static inline uint64_t digits_load(const void *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

// The eight bytes at p; zeros from `end` on, before which there must be eight bytes to read.
static inline uint64_t digits_load_before(const void *p, const void *end)
{
    ptrdiff_t left = (const char *)end - (const char *)p;
    if (left >= DIGITS_WORD)
        return digits_load(p);
    return left == 0 ? 0 : digits_load((const char *)end - DIGITS_WORD) >> (64 - 8 * left);
}

// How many digits the word begins with.
static inline unsigned digits_count(uint64_t word)
{
    // Digits become 0 to 9, to which one may add 0x76 without a carry into the highest bit. A carry
    // out of a byte comes from one that is no digit, and changes only what stands behind it.
    uint64_t x = word ^ UINT64_C(0x3030303030303030);
    x = (x | (x + UINT64_C(0x7676767676767676))) & UINT64_C(0x8080808080808080);
    return x ? (unsigned)__builtin_ctzll(x) / 8 : DIGITS_WORD;
}

// What the first n bytes say, 1 to 8 of them, each a digit or 0: neighbours are added up, then
// pairs, then fours.
static inline uint32_t digits_value(uint64_t word, unsigned n)
{
    uint64_t x = (word & UINT64_C(0x0f0f0f0f0f0f0f0f)) << (64 - 8 * n); // zeros in front
    x = (x * (1 + (10 << 8))) >> 8 & UINT64_C(0x00ff00ff00ff00ff);
    x = (x * (1 + (100 << 16))) >> 16 & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)((x * (1 + (UINT64_C(10000) << 32))) >> 32);
}

#endif
