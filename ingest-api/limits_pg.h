// SPDX-License-Identifier: Apache-2.0
// The limits of a running service. With RATE_LIMITS they are read from the table streamlens_limit:
// all of it, every RATE_LIMITS_REFRESH_MS, and every LIMITS_RETRY_US while that fails. With
// PostgreSQL away the last reading goes on to hold. A row that streamlens-admin could not have made
// is left out. Without RATE_LIMITS nothing is read, and nothing connects.
#ifndef STREAMLENS_LIMITS_PG_H
#define STREAMLENS_LIMITS_PG_H

#include "common/core/config.h"
#include "ingest-api/ingest_stats.h"
#include "ingest-api/limits.h"

#include <event2/event.h>

#define LIMITS_RETRY_US INT64_C(2000000)

struct limits_pg;
// Begins to read at once. stats is borrowed. NULL with the setting at fault.
struct limits_pg *limits_pg_new(struct event_base *base, const struct config *c,
                                struct ingest_stats *stats, struct err *e);
struct limits *limits_pg_limits(struct limits_pg *p); // borrowed
void limits_pg_free(struct limits_pg *p);

#endif
