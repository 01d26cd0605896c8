// SPDX-License-Identifier: Apache-2.0
// Marks published rows to be sent again (sql/README.md).
#ifndef STREAMLENS_ADMIN_REPUBLISH_PG_H
#define STREAMLENS_ADMIN_REPUBLISH_PG_H

#include "deploy/admin/db_pg.h"

struct republish_range {
    int64_t from_us, to_us; // windows that begin in [from, to)
    const char *tenant;     // NULL: all
};

struct republish_result {
    int64_t rows, windows; // that are marked
    int64_t open_windows;  // of the range, not closed yet
};

// In transactions of about page_rows rows; after an error *out has what is marked. To be run again
// then: rows that are marked already are counted, and sent once.
int republish_mark(struct db *db, const struct republish_range *range, int64_t page_rows,
                   struct republish_result *out, struct err *e) MUST_CHECK;

#endif
