// SPDX-License-Identifier: Apache-2.0
// What the runner gets from the outside in production: the event loop, the clocks and the broker.
#ifndef STREAMLENS_HOST_H
#define STREAMLENS_HOST_H

#include "processor/emit_kafka.h"
#include "processor/publisher.h"
#include "processor/runner.h"

#include <event2/event.h>

struct host;
// Borrows all. emit may be away from its broker.
struct host *host_new(const struct config *c, struct event_base *base, struct emit *emit,
                      struct publisher *publisher);
void host_free(struct host *h); // after the runner
struct runner_host host_calls(struct host *h);

#endif
