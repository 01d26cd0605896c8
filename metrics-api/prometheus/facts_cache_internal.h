// SPDX-License-Identifier: Apache-2.0
// What facts_cache.c and facts_filling.c share.
#ifndef STREAMLENS_PROMETHEUS_FACTS_CACHE_INTERNAL_H
#define STREAMLENS_PROMETHEUS_FACTS_CACHE_INTERNAL_H

#include <sys/queue.h>

#include "metrics-api/prometheus/facts_cache.h"

// A block; its arrays follow in the same allocation.
struct facts_entry {
    struct facts_block block;      // first: an entry is found by it
    struct facts_entry *next;      // in its bucket
    struct facts_series *series;   // which it uses
    uint64_t hash, since;          // since: freshness when it was asked for
    int64_t read_us;               // monotonic, likewise
    size_t users;                  // callers
    TAILQ_ENTRY(facts_entry) link; // where it is kept and nobody uses it
    size_t bytes;                  // as they are counted
    bool kept;                     // in the cache; else it goes with its last user
};

// Of a block whose arrays take that many bytes, which begin behind it.
struct facts_entry *facts_entry_new(size_t array_bytes);
// Has one user. Takes its place in the cache if there is room.
void facts_entry_keep(struct facts_cache *c, struct facts_entry *e);

void facts_series_use(struct facts_series *s);

#endif
