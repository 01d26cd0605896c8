// SPDX-License-Identifier: Apache-2.0
// processor/emit.h without a broker: takes dead letters until `room` is used up, answers emit_wait
// by a script, and notes every call in a trace that it may share with fake_store_script.
#ifndef STREAMLENS_FAKE_EMIT_H
#define STREAMLENS_FAKE_EMIT_H

#include "common/core/buf.h"
#include "processor/emit.h"

#define FAKE_EMIT_MAX 64

struct emit {
    struct buf *trace;        // borrowed: "letter 5;" "wait;" "tick 0/3;"
    int room;                 // letters it takes before each wait
    int handed;               // since the last wait
    int waits[FAKE_EMIT_MAX]; // what emit_wait answers in turn; 0 behind the end
    size_t wait_count, wait_at;
};

#endif
