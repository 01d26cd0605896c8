// SPDX-License-Identifier: Apache-2.0
// How the publisher makes the production store; everything else goes through publish_store.h.
#ifndef STREAMLENS_PUBLISH_PG_H
#define STREAMLENS_PUBLISH_PG_H

#include "processor/publish_store.h"

// Has a connection of its own, made at the first call and again after a loss. token: that of the
// store which claims partitions for this process (store_pg_token). timeout_ms bounds each wait for
// the server. c is borrowed.
struct publish_store *publish_pg_new(const struct config *c, int64_t token, int64_t timeout_ms);
void publish_store_free(struct publish_store *s);

#endif
