// SPDX-License-Identifier: Apache-2.0
// Settings of a partition drawn at random: waits of all lengths, now and then none, and borders
// that often lie closer together than the waits reach.
#ifndef STREAMLENS_TESTS_RANDOM_SETTINGS_H
#define STREAMLENS_TESTS_RANDOM_SETTINGS_H

#include "processor/settings.h"
#include "tests/sim/random.h"

// TTLs below wait_max, skews below half of it; the first border in the wait_max from first_ms on,
// each other at most 1.5 of it later. Half of the epochs bring a new cap of series.
static inline void random_settings(struct random *r, struct settings *s, size_t count,
                                   int64_t first_ms, int wait_max)
{
    int64_t from_ms = first_ms + random_below(r, wait_max), series_epoch = 1;
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        if (random_chance(r, 50))
            series_epoch = (int64_t)i + 1;
        s->epochs[i] = (struct settings_epoch){
            .epoch = (int64_t)i + 1,
            .from_ms = i ? from_ms : TIME_NONE,
            .ttl_ms = random_chance(r, 10) ? 0 : random_below(r, wait_max),
            .skew_ms = random_chance(r, 10) ? 0 : random_below(r, wait_max / 2),
            .series_epoch = series_epoch,
        };
        if (i)
            from_ms += 1 + random_below(r, random_chance(r, 50) ? wait_max / 4 : wait_max * 3 / 2);
    }
}

#endif
