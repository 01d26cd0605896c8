// SPDX-License-Identifier: Apache-2.0
// Reads the dead-letter topic.
#ifndef STREAMLENS_ADMIN_LETTERS_KAFKA_H
#define STREAMLENS_ADMIN_LETTERS_KAFKA_H

#include "common/core/config.h"
#include "common/core/err.h"
#include "deploy/admin/topics/letter.h"

struct letters;

// Reaches the broker and notes where the topic ends now. The error names KAFKA_BROKERS, or what is
// wrong with the topic.
struct letters *letters_open(const struct config *c, struct err *e) MUST_CHECK;
void letters_close(struct letters *l);

// The letter is good during the call; offset is its own in the topic.
typedef void letters_fn(void *arg, int64_t offset, const struct letter *l);
// Those from an offset (0: from the first) to the noted end, in order. Any number of times.
int letters_read(struct letters *l, int64_t from, letters_fn *each, void *arg,
                 struct err *e) MUST_CHECK;

#endif
