// SPDX-License-Identifier: Apache-2.0
// Histograms of several series summed, minute by minute, and kept: the panels of a dashboard want
// several percentiles of the same series, and want them again a minute later. Pure. Bounded in
// bytes; what has not been in use for longest leaves first, never what is.
#ifndef STREAMLENS_PROMETHEUS_MERGED_H
#define STREAMLENS_PROMETHEUS_MERGED_H

#include "common/core/hash.h"
#include "metrics-api/prometheus/facts.h"

struct merged_cache;
// hash_key is borrowed.
struct merged_cache *merged_cache_new(size_t max_bytes, const struct hash_key *hash_key);
void merged_cache_free(struct merged_cache *c); // nothing is in use any more
// What is kept, at most max_bytes; what is in use and not kept comes on top.
size_t merged_cache_bytes(const struct merged_cache *c);

// The sum of n >= 1 blocks of minutes that begin at the same time, of LATENCY or TTFT, in use for
// the caller: it has the rows that any of them has. Blocks are known by their serials, so whether
// they still hold is asked of them alone; the sum is kept where all have one. Counts wrap.
const struct facts_block *merged_block(struct merged_cache *c,
                                       const struct facts_block *const *blocks, size_t n);
void merged_let_go(struct merged_cache *c, const struct facts_block *b);

#endif
