// SPDX-License-Identifier: Apache-2.0
// HTTP to ingest to sink and back: the endpoints of DESIGN 2.1. Knows no Kafka.
#ifndef STREAMLENS_INGEST_ROUTES_H
#define STREAMLENS_INGEST_ROUTES_H

#include "common/io/auth.h"
#include "common/io/http_server.h"
#include "ingest-api/ingest.h"
#include "ingest-api/ingest_stats.h"
#include "ingest-api/limits.h"
#include "ingest-api/sink.h"

struct routes_options {
    size_t max_event_bytes, max_batch_bytes, max_batch_events;
    int64_t ack_timeout_us;
};

struct routes;
// All but the options is borrowed for the routes' life.
struct routes *routes_new(const struct routes_options *options, struct sink *sink,
                          struct auth *auth, struct limits *limits, struct ingest_stats *stats,
                          const struct auth_stats *auth_stats, const struct http_stats *http_stats);
// For http_server_new, with the struct routes itself as its arg.
const struct http_route *routes_table(const struct routes *r, size_t *count);
// For http_server_guard_bodies.
bool routes_admit_body(struct http_exchange *x, void *arg);
// Whether events can be expected to be taken, as /readyz has it; false says why not.
bool routes_ready(const struct routes *r, struct err *why);
void routes_free(struct routes *r);

#endif
