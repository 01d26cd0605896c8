// SPDX-License-Identifier: Apache-2.0
// The group consumer behind source.h: subscribes to llm.requests alone and assigns partition i of
// both topics (DESIGN 4, rule 1), each partition with a queue of its own, so that either topic can
// be held back by not reading it. Never commits for its own sake: the committed offsets are for lag
// tools.
#ifndef STREAMLENS_SOURCE_KAFKA_H
#define STREAMLENS_SOURCE_KAFKA_H

#include "common/core/config.h"
#include "common/io/kafka.h"
#include "processor/source.h"

// wake_fd is an eventfd of the caller's, written to when something may be ready, as long as the
// process lives: a source that cannot leave its group is abandoned, not freed.
struct source *source_new(const struct config *c, const struct store_settings *settings,
                          const struct source_events *events, int wake_fd, struct err *e);

#endif
