// SPDX-License-Identifier: Apache-2.0
// The price catalogue in memory, kept up with the database's (sql/002_prices.sql).
#ifndef STREAMLENS_PRICES_PG_H
#define STREAMLENS_PRICES_PG_H

#include "common/core/price.h"
#include "processor/db_pg.h"

struct prices;
struct prices *prices_new(void);
void prices_free(struct prices *p);
// The connection is another one, perhaps to a database that was restored: read anew when asked.
void prices_forget(struct prices *p);

// The catalogue, empty at first, and its version: what a new row is priced by.
const struct catalogue *prices_catalogue(const struct prices *p);
int64_t prices_version(const struct prices *p);
// How many catalogues were read that could not be used.
int64_t prices_refused(const struct prices *p);

// Reads the catalogue where the one in memory is not of this version, which the database says is
// its newest. One that cannot be used is logged, and the versions before it hold: that is STORE_OK.
enum store_result prices_follow(struct prices *p, struct db *db, int64_t version,
                                struct err *e) MUST_CHECK;
// The same where a row names a version that is newer than the one in memory; once more where that
// one could not be used.
enum store_result prices_reach(struct prices *p, struct db *db, int64_t version,
                               struct err *e) MUST_CHECK;

#endif
