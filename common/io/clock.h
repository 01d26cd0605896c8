// SPDX-License-Identifier: Apache-2.0
// The only reader of clocks. Everything else takes the time as an argument.
#ifndef STREAMLENS_CLOCK_H
#define STREAMLENS_CLOCK_H

#include <stdint.h>

int64_t clock_wall_us(void); // since 1970, may step
int64_t clock_mono_us(void); // since some point, never steps: deadlines and durations

#endif
