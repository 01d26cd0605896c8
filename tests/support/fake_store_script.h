// SPDX-License-Identifier: Apache-2.0
// processor/store.h without a database: each call answers by a script (`always` behind its end), is
// noted in a trace, and what store_write was given is summed up.
#ifndef STREAMLENS_FAKE_STORE_SCRIPT_H
#define STREAMLENS_FAKE_STORE_SCRIPT_H

#include "common/core/buf.h"
#include "processor/store.h"

enum fake_call {
    FAKE_SETTINGS,
    FAKE_CLAIM,
    FAKE_BEGIN,
    FAKE_WRITE,
    FAKE_COMMIT,
    FAKE_RESOLVE,
    FAKE_CLOSING,
    FAKE_CHECK,
    FAKE_RIVAL,
    FAKE_CALLS
};

#define FAKE_SCRIPT_MAX 8
#define FAKE_PARTITIONS_MAX 8

struct store {
    struct buf *trace; // borrowed: "claim 3;" "begin;" "write;" …
    struct fake_script {
        enum store_result results[FAKE_SCRIPT_MAX];
        size_t count, at;
    } script[FAKE_CALLS];
    enum store_result always[FAKE_CALLS]; // STORE_OK unless set
    void (*during)(enum fake_call call);  // may be NULL: something happens meanwhile
    struct store_settings settings;
    struct claim claim; // what store_claim gives, but for the partition
    int64_t held_epoch; // as the last store_claim was asked
    bool has_rival;
    struct store_closing closing;
    // the last store_write
    size_t partition_count, cell_count;
    struct store_partition partitions[FAKE_PARTITIONS_MAX];
    int64_t requests; // sum over the cells
};

void fake_store_then(struct store *s, enum fake_call call, enum store_result result);

#endif
