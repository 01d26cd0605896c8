// SPDX-License-Identifier: Apache-2.0
// The cards that make the catalogue what it was as of an earlier version. Pure.
//
// Cards are never taken away. So each model of which a later version has cards gets, at the minute
// of each, what held then as of the version, or is withdrawn where nothing did; nothing where that
// holds anyway. A name that two models bear goes by the newer card, though, and so might find
// another one afterwards: that is looked for, at every name and minute.
#ifndef STREAMLENS_ADMIN_RESTORE_PLAN_H
#define STREAMLENS_ADMIN_RESTORE_PLAN_H

#include "common/core/price.h"

struct restore_plan {
    struct price_card *cards; // owned, as are the cards
    size_t count;             // 0: it is so already
};
// -1: a name would find another price than it did, which e names.
int restore_plan_make(const struct catalogue *c, int64_t version, struct restore_plan *out,
                      struct err *e) MUST_CHECK;
void restore_plan_free(struct restore_plan *p);

#endif
