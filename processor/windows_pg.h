// SPDX-License-Identifier: Apache-2.0
// The windows of a flush in the database: made ahead of it, with the partitions of their days, and
// touched by it, which tells the publisher and whoever listens.
#ifndef STREAMLENS_WINDOWS_PG_H
#define STREAMLENS_WINDOWS_PG_H

#include "processor/db_pg.h"

#define WINDOWS_KNOWN 256

// The newest of what needs not be made again.
struct known {
    int64_t starts[WINDOWS_KNOWN];
    size_t n;
};
// Zero-initialise, and again where what was made may have gone.
struct windows {
    struct known minutes, days;
};

// Those of the flush's cells that are not known; in a transaction of its own.
enum store_result windows_make(struct windows *w, struct db *db, const struct store_flush *f,
                               struct err *e) MUST_CHECK;

struct gaps {
    int64_t first_id; // of the rows of streamlens_gap that this flush notes; 0 = none
    int64_t last_seq; // of llm.metrics
};

// Notes that the flush changes something of its windows, and of those that the gaps make lossy.
enum store_result windows_touch(struct db *db, const struct store_flush *f, const struct gaps *g,
                                struct err *e) MUST_CHECK;

#endif
