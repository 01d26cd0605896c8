// SPDX-License-Identifier: Apache-2.0
// From where a topic is to be replayed for a given time. Pure.
#ifndef STREAMLENS_REPLAY_RING_H
#define STREAMLENS_REPLAY_RING_H

#include "common/core/base.h"

// Times and offsets at which a topic's time rose, oldest first, with a step between them. The first
// entry is always a safe place to replay from, for every time from its own on.
struct replay_ring {
    struct replay_ring_entry {
        int64_t time_ms, offset;
    } * v; // owned; v[first … first + count)
    size_t first, count, cap;
    int64_t next_ms; // of the next entry at the earliest
};

// Of a zeroed ring: the log is read from the offset on.
void replay_ring_begin(struct replay_ring *r, int64_t offset);
void replay_ring_free(struct replay_ring *r);
// Whether an entry is due, now that the topic's time has risen to this; and then it is added, with
// how far a replay reaches back.
bool replay_ring_wants(const struct replay_ring *r, int64_t time_ms);
void replay_ring_add(struct replay_ring *r, int64_t time_ms, int64_t offset, int64_t reach_ms);
// Forgets what lies before the last entry at or below the time, and gives that entry's offset.
// Records before it have a lower time, since an entry is made where the running maximum rises.
int64_t replay_ring_offset_for(struct replay_ring *r, int64_t time_ms);

#endif
