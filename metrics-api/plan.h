// SPDX-License-Identifier: Apache-2.0
// Which rows answer a range exactly: those of whole hours where an hour lies in one step, and
// minutes at the edges. Pure. An hour row is always the sum of its minutes, since both are written
// in one transaction, so the two may be mixed; read in one statement, that is.
#ifndef STREAMLENS_PLAN_H
#define STREAMLENS_PLAN_H

#include "common/core/err.h"
#include "metrics-api/steps.h"

// Before these instants rows have been dropped; INT64_MIN: none.
struct plan_kept {
    int64_t minutes_from_us, hours_from_us;
};

// Half-open, ascending, not touching each other.
struct plan_span {
    int64_t from_us, to_us;
};
#define PLAN_SPANS_MAX 1024
// Zeroed to begin; plan_clear() frees.
struct plan {
    struct plan_span *hours, *minutes; // owned
    size_t hour_count, minute_count;
    // From the start of an hour to the range's end within it: most ranges end with the minute that
    // is under way. Where no window lies behind the end, which who reads finds out in the same
    // statement, that hour's row is the answer; else these minutes are. Neither list has them.
    bool has_tail;
    struct plan_span tail;
};

// The spans of steps' range. Where there would be more than PLAN_SPANS_MAX of a kind, minutes
// alone. What lies before hours_from_us (a whole hour) is left out: nothing is there. -1 where
// minutes would be needed that are dropped while their hours are still there: only coarser steps
// can be answered; e names from, to or step, and says from which instant on minutes are kept.
int plan_make(const struct steps *steps, const struct plan_kept *kept, struct plan *out,
              struct err *e) MUST_CHECK;
void plan_clear(struct plan *p);

#endif
