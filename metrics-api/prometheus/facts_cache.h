// SPDX-License-Identifier: Apache-2.0
// Blocks of facts (facts.h) that were read and may still hold, by series. Pure: time is an
// argument. Bounded in bytes; what has not been in use for longest leaves first, never what is.
#ifndef STREAMLENS_PROMETHEUS_FACTS_CACHE_H
#define STREAMLENS_PROMETHEUS_FACTS_CACHE_H

#include "common/core/err.h"
#include "common/core/hash.h"
#include "metrics-api/freshness.h"
#include "metrics-api/prometheus/facts.h"

struct facts_cache;
// max_age_us: no block of windows that may still change is used that long after it was read,
// whatever the notifications told; closed_max_age_us: nor one of closed ones (INT64_MAX: as long as
// notifications are heard). hash_key is borrowed: names are strangers'.
struct facts_cache *facts_cache_new(size_t max_bytes, int64_t max_age_us, int64_t closed_max_age_us,
                                    const struct hash_key *hash_key);
void facts_cache_free(struct facts_cache *c); // nothing is in use any more
// What is kept, at most max_bytes: blocks, and their series with the names. What is in use and not
// kept comes on top.
size_t facts_cache_bytes(const struct facts_cache *c);

// Whose facts, in use for the caller until he lets it go. Made when first asked for; there as long
// as it is in use, or a block of it is. A filling and a block in use hold their series themselves.
struct facts_series;
struct facts_series *facts_cache_series(struct facts_cache *c, struct str tenant_id,
                                        struct str route, struct str model);
void facts_series_let_go(struct facts_cache *c, struct facts_series *s);

// One more who uses a block that is in use: it stays as it is, also if the cache has a newer one
// meanwhile, until all have let it go.
void facts_block_use(const struct facts_block *b);
void facts_block_let_go(struct facts_cache *c, const struct facts_block *b);

// The block that begins at start_us, where it was read and still holds, in use for the caller; else
// NULL, and one that does not hold is dropped. One without rows is a block too. to_us: what of the
// block is looked at ends there (INT64_MAX: all of it). Of a day under way whose first hours alone
// are wanted, those that come do not matter.
const struct facts_block *facts_cache_find(struct facts_cache *c, struct facts_series *s,
                                           enum facts_unit unit, enum facts_group group,
                                           int64_t start_us, int64_t to_us,
                                           const struct freshness *f, int64_t now_us);

// A block being read. `since` is the freshness (its `now`), and read_us the (monotonic) time, when
// it was asked for. Rows come in any order; what of a row the group has is copied. -1 (e.field
// names the column): a histogram is not one, or the window is none of the block, or came already;
// what is left to do then is facts_filling_drop().
struct facts_filling;
struct facts_filling *facts_filling_new(struct facts_cache *c, struct facts_series *s,
                                        enum facts_unit unit, enum facts_group group,
                                        int64_t start_us, uint64_t since, int64_t read_us);
int facts_filling_add(struct facts_filling *b, const struct fact_row *row,
                      struct err *e) MUST_CHECK;
void facts_filling_drop(struct facts_filling *b);
// Done: the block, in use for the caller, and the cache's where there is room, instead of one that
// was asked for before it. closed_through_us: windows that end up to there were closed when it was
// read.
const struct facts_block *facts_filling_end(struct facts_filling *b, int64_t closed_through_us);

#endif
