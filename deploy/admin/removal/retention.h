// SPDX-License-Identifier: Apache-2.0
// streamlens-admin retention: drops partitions that are older than the settings keep, whole ones.
#ifndef STREAMLENS_ADMIN_RETENTION_H
#define STREAMLENS_ADMIN_RETENTION_H

#include "common/core/config.h"
#include "deploy/admin/args.h"

// Whether no event that may still be counted belongs to a minute that is dropped. uncounted_ms: how
// old an event in the log may be that is not counted yet, which is the retention of the input
// topics where they have one (`why` says what it is). join_ms: TTL and skew. A request's own time
// lies up to 7 days before the log's, and its answer may stand join_ms behind it. 0 or ARGS_WRONG.
int retention_check(const struct config *c, int64_t uncounted_ms, const char *why, int64_t join_ms,
                    struct err *e) MUST_CHECK;
// Whether hours are kept as long as minutes. 0 or ARGS_WRONG.
int retention_check_hours(const struct config *c, struct err *e) MUST_CHECK;
#define RETENTION_OF_TOPICS "retention.ms of the input topics"

int retention_run(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

#endif
