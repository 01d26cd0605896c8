// SPDX-License-Identifier: Apache-2.0
// The poll loop: brings records from the source to the instance, flushes on time, sends ticks, and
// lets the event loop (health, metrics, signals) run in between. It also knows how the processor
// is.
#ifndef STREAMLENS_RUNNER_H
#define STREAMLENS_RUNNER_H

#include "common/core/config.h"
#include "processor/emit_kafka.h"
#include "processor/instance.h"
#include "processor/source_kafka.h"
#include "processor/store_pg.h"

#include <event2/event.h>

struct runner;

// Borrows all; stats are the instance's.
struct runner *runner_new(const struct config *c, struct event_base *base, struct store *store,
                          struct processor_stats *stats);
void runner_free(struct runner *r);

// Waits for database and broker, checks settings and topics, then processes until runner_stop().
// 0 after a clean stop (flushed, group left); -1 with the reason where it cannot go on.
int runner_run(struct runner *r, struct err *e) MUST_CHECK;
void runner_stop(struct runner *r);

struct runner_health {
    bool started;    // settings and topics checked, joined the group
    bool ready;      // started, database reachable, nothing halted, not stopping
    const char *why; // a short reason where not ready
};
struct runner_health runner_health(const struct runner *r);
void runner_update_gauges(struct runner *r);

#endif
