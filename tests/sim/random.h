// SPDX-License-Identifier: Apache-2.0
// Seeded random numbers (splitmix64: Steele, Lea, Flood 2014), the same on every machine.
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include "common/core/base.h"

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

// 0 … n - 1
static inline int random_below(struct random *r, int n)
{
    return (int)(random_next(r) % (uint64_t)n);
}

static inline bool random_chance(struct random *r, int percent)
{
    return random_below(r, 100) < percent;
}

#endif
