// SPDX-License-Identifier: Apache-2.0
// All schedules there are: a run asks for a choice wherever it could go on in several ways, and the
// last one that it made is counted up until all have been taken.
#ifndef SIM_CHOICES_H
#define SIM_CHOICES_H

#include "common/core/base.h"

#define CHOICES_MAX 128

struct script {
    int chosen[CHOICES_MAX], of[CHOICES_MAX];
    int at, n;
};

static inline int choose(struct script *s, int n)
{
    assert(n > 0 && s->at < CHOICES_MAX);
    if (s->at == s->n) {
        s->chosen[s->n] = 0;
        s->of[s->n++] = n;
    }
    assert(s->of[s->at] == n);
    return s->chosen[s->at++];
}

// The next list of choices; false after the last one.
static inline bool next_script(struct script *s)
{
    while (s->n > 0 && s->chosen[s->n - 1] + 1 == s->of[s->n - 1])
        s->n--;
    s->at = 0;
    if (s->n == 0)
        return false;
    s->chosen[s->n - 1]++;
    return true;
}

#endif
