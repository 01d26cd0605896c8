// SPDX-License-Identifier: Apache-2.0
// The publisher's thread: Kafka's transaction calls block, and must not hold up the poll loop. It
// has a database connection and a producer of its own; all it shares with the rest of the process
// is what this header says.
#ifndef STREAMLENS_PUBLISHER_H
#define STREAMLENS_PUBLISHER_H

#include "common/core/config.h"
#include "processor/publisher_stats.h"

struct publisher;

// token: that of the store which claims partitions for this process. c is borrowed. NULL with the
// reason where a setting cannot be used.
struct publisher *publisher_start(const struct config *c, int64_t token, struct err *e);
// Ends the thread, in a few seconds at most; a transaction under way is finished where the broker
// answers in time, else left to the next publisher. False: the thread hangs in a call, and goes on
// using what was borrowed until the process ends.
bool publisher_stop(struct publisher *p);

// As runner_host.own_publisher. Returns at once.
void publisher_own(struct publisher *p, int64_t epoch);
// A copy of its counters as they are now.
void publisher_stats_read(struct publisher *p, struct publisher_stats *out);

#endif
