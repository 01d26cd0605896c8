// SPDX-License-Identifier: Apache-2.0
// The publisher (DESIGN 4, rule 8) as a state machine over the seams publish_store.h and outlet.h:
// one effect a step, so that a simulator can interleave and crash between any two. Pure; times are
// arguments.
//
//     IDLE      not ours to publish
//     CHECK     still ours? Asked before a producer is made, which would fence the rightful one
//     OPEN      a producer of our transactional.id
//     PROGRESS  what the log holds
//     CLOSE     windows that are due are closed
//     TAKE      rows that are due are sequenced
//     BEGIN, PUT, COMMIT
//               and sent, with the last sequence, in one transaction
//
// From COMMIT back to TAKE, or to CLOSE where nothing more was due. Where the outlet is broken:
// close it, back to CHECK. What was sequenced and is not in the log is found by TAKE, whatever
// happened.
#ifndef STREAMLENS_PUBLISH_H
#define STREAMLENS_PUBLISH_H

#include "processor/outlet.h"
#include "processor/publisher_stats.h"

enum publish_state {
    PUBLISH_IDLE,
    PUBLISH_CHECK,
    PUBLISH_OPEN,
    PUBLISH_PROGRESS,
    PUBLISH_CLOSE,
    PUBLISH_TAKE,
    PUBLISH_BEGIN,
    PUBLISH_PUT,
    PUBLISH_COMMIT,
};

enum publish_result {
    PUBLISH_AGAIN, // one effect done, the next step can follow at once
    PUBLISH_WAIT,  // something is away: step again after a pause
    PUBLISH_DONE,  // nothing more is due: look again at the next interval
    PUBLISH_STOP,  // not ours (any more): nothing to do before publish_own
};

struct publish {
    enum publish_state state;
    struct publish_rule rule;
    struct publish_store *store; // borrowed, as are the next two
    struct outlet *outlet;
    struct publisher_stats *stats;
    int64_t epoch;    // of partition 0, 0 = not ours
    int64_t progress; // what the log is known to hold
    struct publish_batch batch;
    size_t next; // record of the batch to put
};

void publish_init(struct publish *p, const struct publish_rule *rule, struct publish_store *store,
                  struct outlet *outlet, struct publisher_stats *stats);
void publish_clear(struct publish *p); // closes the outlet; frees

// Under which epoch partition 0 is ours, 0: it is not. What was under way under another one is
// given up.
void publish_own(struct publish *p, int64_t epoch);
// On PUBLISH_WAIT *e says what is away (empty: nothing is wrong, it takes its time).
enum publish_result publish_step(struct publish *p, int64_t now_ms, struct err *e) MUST_CHECK;

#endif
