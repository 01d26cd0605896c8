// SPDX-License-Identifier: Apache-2.0
// By the C++ library, which looks at no locale and needs a tenth of the time of strtod for numbers
// of 17 digits, as many programs write a double; and most of those in a third of that.
#include "common/core/number.h"

#include <cassert>
#include <charconv>
#include <cstring>

double number_of_chars(const char *begin, const char *end)
{
    double value = 0;
    [[maybe_unused]] auto result = std::from_chars(begin, end, value);
    assert(result.ec == std::errc{} && result.ptr == end);
    return value;
}

// The highest 64 bits of 10^-i, whose first is set; what is below them is cut off.
static const uint64_t tenths[1 - NUMBER_POWER_MIN] = {
    0x8000000000000000, 0xcccccccccccccccc, 0xa3d70a3d70a3d70a, 0x83126e978d4fdf3b,
    0xd1b71758e219652b, 0xa7c5ac471b478423, 0x8637bd05af6c69b5, 0xd6bf94d5e57a42bc,
    0xabcc77118461cefc, 0x89705f4136b4a597, 0xdbe6fecebdedd5be, 0xafebff0bcb24aafe,
    0x8cbccc096f5088cb, 0xe12e13424bb40e13, 0xb424dc35095cd80f, 0x901d7cf73ab0acd9,
    0xe69594bec44de15b, 0xb877aa3236a4b449, 0x9392ee8e921d5d07, 0xec1e4a7db69561a5,
    0xbce5086492111aea, 0x971da05074da7bee, 0xf1c90080baf72cb1, 0xc16d9a0095928a27,
    0x9abe14cd44753b52, 0xf79687aed3eec551, 0xc612062576589dda, 0x9e74d1b791e07e48,
    0xfd87b5f28300ca0d, 0xcad2f7f5359a3b3e, 0xa2425ff75e14fc31, 0x81ceb32c4b43fcf4,
};

// The method of D. Lemire ("Number Parsing at a Gigabyte per Second", 2021), where it is short: no
// power above 0, no double that is not normal, and whoever asks can do without an answer.
bool number_of_decimal(uint64_t digits, int power, double *out)
{
    *out = 0;
    if (digits == 0)
        return true;
    if (power > 0 || power < NUMBER_POWER_MIN)
        return false;
    int zeros = __builtin_clzll(digits);
    uint64_t high = static_cast<uint64_t>(
        (static_cast<unsigned __int128>(digits << zeros) * tenths[-power]) >> 64);
    // The product's first bit is its 64th or 63rd. A double takes 53 bits from there on.
    int first = static_cast<int>(high >> 63), below = 10 + first;
    uint64_t half = UINT64_C(1) << (below - 1), rest = high & (2 * half - 1);
    // What was cut off makes the rest less than 2 larger.
    if (rest == half || rest == half - 1)
        return false;
    int log2_of_power = (power * 217706) >> 16; // rounded down
    uint64_t exponent = static_cast<uint64_t>(1023 + 63 + first - zeros + log2_of_power);
    // The first of the 53 bits adds 1 to what stands above them; so does a carry out of all of
    // them.
    uint64_t bits = ((exponent - 1) << 52) + (high >> below) + (rest > half);
    std::memcpy(out, &bits, sizeof(bits));
    return true;
}
