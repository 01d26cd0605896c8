// SPDX-License-Identifier: Apache-2.0
// The seam to what a processor writes into the log: dead letters and ticks. Production is
// emit_kafka.c; the simulator links a fake. Nothing here blocks but emit_wait.
#ifndef STREAMLENS_EMIT_H
#define STREAMLENS_EMIT_H

#include "common/core/err.h"
#include "common/core/event.h"

struct emit;

struct dead_letter {
    enum event_kind topic;
    int partition;
    int64_t offset;
    const char *reason;         // a code from a fixed list: "malformed", "unmatched", …
    char *detail;               // owned: a sentence, NULL where there is none
    char *key, *value, *tenant; // owned: the record's own bytes, and those of its header `tenant`
    size_t key_n, value_n, tenant_n;
};

// Hands one to the producer; the bytes are copied. -1: its queue is full, try again after a flush.
int emit_dead_letter(struct emit *m, const struct dead_letter *d, struct err *e) MUST_CHECK;
// A record without value that only moves the topic's time. Losing one does no harm.
void emit_tick(struct emit *m, enum event_kind topic, int partition);
// 0 once every dead letter handed in so far is acknowledged; 1 while some are not, after at most
// timeout_ms; -1 where one failed for good (the flush that waits for it must not commit, and the
// letters must be handed in again).
int emit_wait(struct emit *m, int timeout_ms, struct err *e) MUST_CHECK;

#endif
