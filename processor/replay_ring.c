// SPDX-License-Identifier: Apache-2.0
#include "processor/replay_ring.h"

#include "processor/settings.h"

static void push(struct replay_ring *r, int64_t time_ms, int64_t offset)
{
    if (r->first + r->count == r->cap) {
        if (r->first > r->cap / 2) {
            memmove(r->v, r->v + r->first, r->count * sizeof(*r->v));
            r->first = 0;
        } else {
            r->cap = r->cap ? r->cap * 2 : 64;
            r->v = xrealloc(r->v, r->cap * sizeof(*r->v));
        }
    }
    r->v[r->first + r->count++] = (struct replay_ring_entry){time_ms, offset};
}

void replay_ring_begin(struct replay_ring *r, int64_t offset)
{
    r->next_ms = TIME_NONE;
    push(r, TIME_NONE, offset);
}

void replay_ring_free(struct replay_ring *r)
{
    free(r->v);
    *r = (struct replay_ring){0};
}

bool replay_ring_wants(const struct replay_ring *r, int64_t time_ms)
{
    return time_ms >= r->next_ms;
}

// Some 512 entries span what a replay reads, so that it reads 1/512 too much at most.
void replay_ring_add(struct replay_ring *r, int64_t time_ms, int64_t offset, int64_t reach_ms)
{
    push(r, time_ms, offset);
    r->next_ms = time_ms + max_i64(1, reach_ms / 512);
}

int64_t replay_ring_offset_for(struct replay_ring *r, int64_t time_ms)
{
    while (r->count > 1 && r->v[r->first + 1].time_ms <= time_ms) {
        r->first++;
        r->count--;
    }
    return r->v[r->first].offset;
}
