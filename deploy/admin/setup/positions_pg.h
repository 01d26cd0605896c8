// SPDX-License-Identifier: Apache-2.0
// Holding all processors' flushes, and the publisher, for a moment.
#ifndef STREAMLENS_ADMIN_POSITIONS_PG_H
#define STREAMLENS_ADMIN_POSITIONS_PG_H

#include "deploy/admin/db_pg.h"

// Begins a transaction that holds the position rows of all partitions. A processor that was stopped
// in the middle of a flush loses its connection, which is said.
int positions_lock(struct db *db, struct err *e) MUST_CHECK;

#endif
