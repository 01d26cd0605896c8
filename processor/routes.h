// SPDX-License-Identifier: Apache-2.0
// What a processor answers over HTTP: health and its own metrics.
#ifndef STREAMLENS_PROCESSOR_ROUTES_H
#define STREAMLENS_PROCESSOR_ROUTES_H

#include "common/core/config.h"
#include "common/io/http_server.h"
#include "processor/processor_stats.h"
#include "processor/publisher.h"
#include "processor/runner.h"
#include "processor/store_pg.h"

struct routes {
    struct runner *runner; // all borrowed
    struct store *store;
    struct publisher *publisher;
    struct processor_stats *stats;
    struct http_stats *http_stats;
};

// Listens and logs the port. NULL with the reason.
struct http_server *routes_listen(struct routes *r, const struct config *c, struct event_base *base,
                                  struct err *e);

#endif
