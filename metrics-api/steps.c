// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/steps.h"

int64_t steps_offset_us(int64_t step_us)
{
    // 1970 began on a Thursday.
    return step_us == 7 * US_PER_DAY ? 4 * US_PER_DAY : 0;
}

// How many borders are at or before t.
static size_t borders_until(const struct steps *s, int64_t t_us)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->at[mid] <= t_us)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int64_t border_before_us(const struct steps *s, int64_t t_us)
{
    return time_floor_us(t_us - s->offset_us, s->step_us) + s->offset_us;
}

int64_t steps_start_us(const struct steps *s, int64_t t_us)
{
    assert(t_us >= s->from_us && t_us < s->to_us);
    if (!s->at)
        return s->step_us ? max_i64(border_before_us(s, t_us), s->from_us) : s->from_us;
    size_t n = borders_until(s, t_us);
    return n > 0 ? max_i64(s->at[n - 1], s->from_us) : s->from_us;
}

int64_t steps_end_us(const struct steps *s, int64_t t_us)
{
    assert(t_us >= s->from_us && t_us < s->to_us);
    if (!s->at)
        return s->step_us ? min_i64(border_before_us(s, t_us) + s->step_us, s->to_us) : s->to_us;
    size_t n = borders_until(s, t_us);
    return n < s->n ? min_i64(s->at[n], s->to_us) : s->to_us;
}
