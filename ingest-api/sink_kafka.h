// SPDX-License-Identifier: Apache-2.0
// The sink on Kafka: an idempotent producer with acks=all whose reports arrive on the event loop.
//
// N, the number of partitions, is the two input topics' own, read from the broker at start; they
// must agree with each other and with PARTITIONS where that is set. While the broker is away the
// sink is not ready and goes on trying. Topics that are wrong (missing at start, unequal,
// CreateTime, N changed while running) are the operator's to mend: `refuse` is called, once.
#ifndef STREAMLENS_SINK_KAFKA_H
#define STREAMLENS_SINK_KAFKA_H

#include "common/core/config.h"
#include "ingest-api/ingest_stats.h"
#include "ingest-api/sink.h"

#include <event2/event.h>

// The configuration, the stats and arg are borrowed for the sink's life. refuse must not free the
// sink.
struct sink *sink_kafka_new(struct event_base *base, const struct config *config,
                            struct ingest_stats *stats,
                            void (*refuse)(void *arg, const struct err *why), void *arg,
                            struct err *e);

// Makes the producer fail as it does when the broker and it disagree about sequence numbers; for
// tests of the recovery. -1 where there is no producer.
int sink_kafka_test_fatal(struct sink *s);

#endif
