// SPDX-License-Identifier: Apache-2.0
#include "common/core/number.h"

#include <cassert>
#include <charconv>

double number_of_chars(const char *begin, const char *end)
{
    double value = 0;
    [[maybe_unused]] auto result = std::from_chars(begin, end, value);
    assert(result.ec == std::errc{} && result.ptr == end);
    return value;
}
