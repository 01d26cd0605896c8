// SPDX-License-Identifier: Apache-2.0
// Telling whoever listens that rows have changed (sql/README.md, "Notifications").
#ifndef STREAMLENS_NOTICE_PG_H
#define STREAMLENS_NOTICE_PG_H

#include "processor/db_pg.h"

// Inside the caller's transaction: it is heard when that is committed, and else never. The windows
// as in notice.h; none: what moved is how far the log was counted.
enum store_result notice_send(struct db *db, const int64_t *starts_us, size_t n,
                              struct err *e) MUST_CHECK;

#endif
