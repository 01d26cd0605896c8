// SPDX-License-Identifier: Apache-2.0
// The groups with the most of something. Pure.
#ifndef STREAMLENS_TOP_H
#define STREAMLENS_TOP_H

#include "metrics-api/fold.h"
#include "metrics-api/question.h"

// Of `count` cells of one step: the first `limit` by what they have most of, as indexes, in order;
// those that have as much by tenant_id, route, model, bytewise. Tokens are those of the prompt and
// of the completion; where no latency was measured, p95 is less than any. Returns how many there
// are. out has room for min(limit, count).
size_t top_find(const struct cell *cells, size_t count, enum question_by by, size_t limit,
                size_t *out);

#endif
