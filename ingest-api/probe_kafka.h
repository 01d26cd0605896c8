// SPDX-License-Identifier: Apache-2.0
// Looks at the two input topics: whether the broker answers, and whether they are what the pipeline
// relies on. Used by sink_kafka.c alone.
#ifndef STREAMLENS_PROBE_KAFKA_H
#define STREAMLENS_PROBE_KAFKA_H

#include "common/io/kafka.h"

enum probe_verdict {
    PROBE_FINE,
    PROBE_AWAY,  // no answer, or one that says to ask again: the broker's to mend
    PROBE_WRONG, // an answer that will not get better: the operator's to mend
};

// Asks for the configuration of both topics without waiting; the answer, or PROBE_TIMEOUT_MS later
// its absence, comes to the queue as one event of type RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT.
#define PROBE_TIMEOUT_MS 2000
void probe_send(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *const topics[2]);

// Reads that event. max_message_bytes is what the producer may send in one request.
enum probe_verdict probe_read(rd_kafka_event_t *ev, int64_t max_message_bytes, struct err *e);

// The full check of a start, which finds N. It waits for answers, so it is only done when a broker
// has just answered probe_send().
enum probe_verdict probe_topics(rd_kafka_t *rk, const struct config *c, int32_t *partitions,
                                struct err *e);

#endif
