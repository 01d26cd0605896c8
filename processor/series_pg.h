// SPDX-License-Identifier: Apache-2.0
// Which integer a series is kept by, made where it has none yet, within the tenant's cap.
#ifndef STREAMLENS_SERIES_PG_H
#define STREAMLENS_SERIES_PG_H

#include "processor/db_pg.h"

// Sets store_id of every series among the cells that has none of this connection. In transactions
// of its own, committed before it returns: what a series is called is no part of a flush, and stays
// true where the flush fails. *over_cap rises by how many of them belong to __other__ for want of
// room.
enum store_result series_resolve(struct db *db, const struct store_cell *cells, size_t n,
                                 int64_t *over_cap, struct err *e) MUST_CHECK;

#endif
