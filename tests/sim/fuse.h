// SPDX-License-Identifier: Apache-2.0
// Where a process dies: before or after one of its effects. An effect is a call of a seam; from
// then on every call of that process goes nowhere, and none of its answers is learnt.
#ifndef SIM_FUSE_H
#define SIM_FUSE_H

#include "common/core/base.h"

struct fuse {
    int64_t left; // effects until it blows, 0 = it does not
    bool after;   // the last effect still happens
    bool dead;
};

// Whether the effect happens. Every seam call asks once, before it does anything.
static inline bool fuse_acts(struct fuse *f)
{
    if (f->dead)
        return false;
    if (f->left == 0 || --f->left > 0)
        return true;
    f->dead = true;
    return f->after;
}

#endif
