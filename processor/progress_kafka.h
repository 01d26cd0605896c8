// SPDX-License-Identifier: Apache-2.0
// Reads the last sequence that stands in llm.metrics.progress: outlet_progress.
#ifndef STREAMLENS_PROGRESS_KAFKA_H
#define STREAMLENS_PROGRESS_KAFKA_H

#include "common/core/config.h"
#include "processor/outlet.h"

struct progress_reader;

// Two clients, which are to last for one reading only. c is borrowed. NULL with the reason.
struct progress_reader *progress_reader_new(const struct config *c, struct err *e);
void progress_reader_free(struct progress_reader *r);
// Reads for half a second at most. OUTLET_AGAIN: goes on at the next call, or begins anew, until
// the end has been reached. OUTLET_BROKEN: what stands there is not ours.
enum outlet_result progress_read(struct progress_reader *r, int64_t *seq, struct err *e) MUST_CHECK;

#endif
