// SPDX-License-Identifier: Apache-2.0
// Token buckets by name, so many at most. Pure.
//
// A name without buckets gets full ones, so full ones need not be kept: when the table is full,
// BUCKET_TABLE_LOOKS of its buckets are looked at, in turn, and the first that are full are taken
// for the new name. Where they are not, the name shares one pair with all others that find no room,
// for this time; the pair has the smallest limits of those who have shared it since it was last
// full, so that each keeps to its own. (Who then gets buckets of its own has its burst once more.)
#ifndef STREAMLENS_BUCKET_TABLE_H
#define STREAMLENS_BUCKET_TABLE_H

#include "common/core/hash.h"
#include "common/core/tenant_limit.h"

#define BUCKET_TABLE_MAX 65536
#define BUCKET_TABLE_LOOKS 16

struct buckets {
    struct token_bucket events, bytes;
};

struct bucket_table;
struct bucket_table *bucket_table_new(size_t max, const struct hash_key *key); // key borrowed
void bucket_table_free(struct bucket_table *t);

// The name's buckets, with these limits from now on. Never NULL; good until the next call. *shared
// is counted up where they are shared.
struct buckets *bucket_table_find(struct bucket_table *t, struct str name,
                                  const struct tenant_limit *limit, int64_t now_us,
                                  int64_t *shared);
size_t bucket_table_count(const struct bucket_table *t); // names that have buckets of their own

#endif
