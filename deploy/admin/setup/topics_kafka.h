// SPDX-License-Identifier: Apache-2.0
// What setup does at the broker: makes the topics, or checks those it finds.
#ifndef STREAMLENS_ADMIN_TOPICS_KAFKA_H
#define STREAMLENS_ADMIN_TOPICS_KAFKA_H

#include "common/core/config.h"
#include "common/core/err.h"

struct topics;

// Reaches the broker; the error names KAFKA_BROKERS.
struct topics *topics_open(const struct config *c, struct err *e) MUST_CHECK;
void topics_close(struct topics *t);

// How many partitions the input topics have: 0 where neither is there; the error says what to do
// where their numbers differ.
int topics_input_partitions(struct topics *t, int64_t *out, struct err *e) MUST_CHECK;
// How long the input topics keep events, the longer of the two, in ms; -1: for ever. Of one that is
// not there, what setup makes it with.
int topics_input_retention(struct topics *t, int64_t *out_ms, struct err *e) MUST_CHECK;
// Makes the missing ones and checks the others, printing a line for each.
int topics_setup(struct topics *t, int64_t partitions, struct err *e) MUST_CHECK;

#endif
