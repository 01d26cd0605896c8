// SPDX-License-Identifier: Apache-2.0
// PostgreSQL's part of the simulation, behind the production seam processor/store.h: one database
// that several instances (struct store) share, with row locks on positions, epochs and tokens, and
// COMMIT answers that are lost both ways. Faults are drawn from the simulation's random numbers.
#ifndef SIM_FAKE_STORE_H
#define SIM_FAKE_STORE_H

#include "processor/store.h"
#include "tests/sim/fake_log.h"
#include "tests/sim/random.h"

struct fake_row {
    char tenant[16], route[16], model[16];
    int64_t window_start_us;
    struct facts facts;
};

struct fake_position {
    int64_t epoch, token, flush_seq;
    bool stored;
    struct position position;
    struct store *locked_by; // the store whose open transaction holds the row
};

struct fake_db {
    struct random *random;
    int partitions;
    int64_t ttl_ms, skew_ms, max_series;
    struct fake_position position[SIM_MAX_PARTITIONS];
    struct fake_row *rows;
    size_t row_count, row_cap;
    struct {
        char tenant[16], route[16], model[16];
    } series[256]; // ids are index + 1
    size_t series_count;
    int fault_percent;     // chance of a fault at each call
    const char *violation; // an invariant that did not hold, NULL while all do
};

void fake_db_free(struct fake_db *db);
struct store *fake_store_new(struct fake_db *db, int64_t token);
// The process dies: its transaction is rolled back, or, if COMMIT was sent, decided by chance.
void store_free(struct store *s);

#endif
