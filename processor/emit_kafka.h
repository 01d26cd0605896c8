// SPDX-License-Identifier: Apache-2.0
// How main() makes the production side of emit.h: an idempotent producer of its own.
#ifndef STREAMLENS_EMIT_KAFKA_H
#define STREAMLENS_EMIT_KAFKA_H

#include "common/core/config.h"
#include "common/io/kafka.h"
#include "processor/emit.h"

// c is borrowed. NULL where a property is wrong; the broker may be away.
struct emit *emit_kafka_new(const struct config *c, struct err *e);
void emit_free(struct emit *m);
// Takes in the producer's reports. What has failed stays failed until emit_wait has said so: a
// flush that waits for its letters must hear of it.
void emit_serve(struct emit *m);
// The producer's handle, to ask the broker about topics.
rd_kafka_t *emit_kafka_handle(struct emit *m);

#endif
