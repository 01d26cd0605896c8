// SPDX-License-Identifier: Apache-2.0
// How main() makes the production store; everything else goes through store.h.
#ifndef STREAMLENS_STORE_PG_H
#define STREAMLENS_STORE_PG_H

#include "processor/store.h"

// Connects at the first call, and again after a loss. timeout_ms bounds each wait for the server.
// `idle` (may be NULL) is called every 50 ms or so while waiting, so that health checks are
// answered. c is borrowed.
struct store *store_pg_new(const struct config *c, int64_t timeout_ms, void (*idle)(void *),
                           void *arg);
void store_free(struct store *s);
// Tells this process from any other that ever was or will be, in the rows that it claims.
int64_t store_pg_token(const struct store *s);
// Whether the last call reached the server.
bool store_pg_up(const struct store *s);
// Calls that PostgreSQL did not answer, or refused.
int64_t store_pg_errors(const struct store *s);
// Of the catalogue that new rows are priced by; 0 before the first flush, and where there is none.
int64_t store_pg_price_version(const struct store *s);
// Catalogues that were read and could not be used.
int64_t store_pg_refused_catalogues(const struct store *s);
// Answered requests that the flushes so far found no price for.
int64_t store_pg_unpriced_requests(const struct store *s);
// Series that were found to belong to __other__, each time that they are looked up.
int64_t store_pg_series_over_cap(const struct store *s);

#endif
