// SPDX-License-Identifier: Apache-2.0
// The broker's side of producing: append times by clocks that step, and the production seam
// processor/emit.h.
#ifndef SIM_FAKE_BROKER_H
#define SIM_FAKE_BROKER_H

#include "processor/emit.h"
#include "tests/sim/compare.h"
#include "tests/sim/fake_log.h"
#include "tests/sim/fuse.h"
#include "tests/sim/random.h"

struct broker {
    struct random *random;
    struct sim_log log;
    struct letters letters; // the dead-letter topic
    int64_t now_ms;
    int64_t ahead_ms[2][SIM_MAX_PARTITIONS]; // what the clock of a leader is wrong by
    int fault_percent;
    int tick_loss_percent;
    int unsteady_percent; // chance of an append time that steps back
    bool is_told_again;   // the log holds all it ever will: nothing is appended
};

// Appends a record at the leader's time, and a little before it now and then.
void broker_append(struct broker *b, enum event_kind topic, int partition,
                   const struct truth *truth);
void broker_free(struct broker *b);

struct emit *fake_emit_new(struct broker *b, struct fuse *fuse); // both borrowed
// What was handed over and not acknowledged lands or does not.
void fake_emit_free(struct emit *m);

#endif
