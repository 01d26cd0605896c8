// SPDX-License-Identifier: Apache-2.0
// How a range is cut into steps. Pure.
#ifndef STREAMLENS_STEPS_H
#define STREAMLENS_STEPS_H

#include "common/core/timeunit.h"

// Instants are µs since 1970 and whole minutes.
struct steps {
    int64_t from_us, to_us; // the range, half-open; steps at its ends are cut to it
    // Borders, ascending, from at most from_us to at least to_us; borrowed. NULL: the multiples of
    // step_us, moved by offset_us; of step_us 0: one step.
    const int64_t *at;
    size_t n;
    int64_t step_us, offset_us;
};

// Weeks begin on Mondays; every other step on a multiple of itself since 1970, UTC.
int64_t steps_offset_us(int64_t step_us);

// The step that t lies in, from_us <= t < to_us: its start and end, not beyond the range.
int64_t steps_start_us(const struct steps *s, int64_t t_us);
int64_t steps_end_us(const struct steps *s, int64_t t_us);

#endif
