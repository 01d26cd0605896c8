// SPDX-License-Identifier: Apache-2.0
// Where a task stands in its two logs: what a flush stores beside the rows, and what a new owner
// starts from (DESIGN 4, rules 4 and 5). Index 0 is llm.requests, 1 llm.responses (enum
// event_kind).
#ifndef STREAMLENS_POSITION_H
#define STREAMLENS_POSITION_H

#include "processor/settings.h"

struct log_position {
    int64_t next;    // P: offset of the next record to consume
    int64_t time_ms; // running maximum of LogAppendTime up to P, TIME_NONE before the first record
    int64_t replay;  // R: where a new owner starts reading, <= next
    int64_t last_offset;  // of the last record consumed, -1 = none
    int64_t last_time_ms; // its own LogAppendTime
    int64_t last_key;     // hash_stable64 of its key, as a signed number
};

struct position {
    struct log_position log[2];
};

// Records that were gone before they were consumed, and that the operator has accepted to go on
// without: offsets from … to - 1, appended between the two times as far as they are known. Of a log
// that was truncated or recreated it is the jump from P to where it goes on, which may lie before.
// None where from == to.
struct log_gap {
    int64_t from, to;
    int64_t from_ms, to_ms;
};

// One partition as the database has it. `stored` false: no flush yet, position is void.
struct claim {
    int partition;
    int64_t epoch;     // mine from now on
    int64_t flush_seq; // of the last flush
    bool kept;         // epoch and token were mine all along: memory still holds
    bool stored;
    struct position position;
    struct settings settings; // read after the claim: whoever opens an epoch fences all owners
};

#endif
