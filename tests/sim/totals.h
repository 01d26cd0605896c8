// SPDX-License-Identifier: Apache-2.0
// What happened in all the worlds of a run.
#ifndef SIM_TOTALS_H
#define SIM_TOTALS_H

#include "tests/sim/world.h"

struct totals {
    struct world_events events;
    uint64_t schedules; // logs that were told a second time
    uint64_t records, rows, commits, generations;
    struct processor_stats stats;
    uint64_t published, aborted; // what a reader of committed records gets, and what it does not
    struct publisher_stats publisher;
};

void totals_add(struct totals *t, const struct world *w);
void totals_print(const struct totals *t);

#endif
