// SPDX-License-Identifier: Apache-2.0
// Answers that were given and still hold, by the text of their question (question_key()). Pure:
// time is an argument. Bounded in bytes; what was not asked for longest leaves first.
#ifndef STREAMLENS_CACHE_H
#define STREAMLENS_CACHE_H

#include "common/core/hash.h"
#include "metrics-api/answered.h"
#include "metrics-api/freshness.h"

struct cached {
    struct answer answer; // status ANSWER_OK
    struct buf gzip;      // the body compressed; empty until somebody asked for it
    char etag[24];        // of the body as it is: "\"0123456789abcdef\""
    char etag_gzip[24];   // of the compressed one
    int64_t from_us, to_us;
    uint64_t since;  // freshness when it was asked for
    int64_t read_us; // monotonic, likewise
};
void cached_clear(struct cached *c);
// The entity tags of its body.
void cached_tag(struct cached *c);

struct cache;
// max_bytes 0: nothing is kept. hash_key is borrowed: questions are strangers'.
struct cache *cache_new(size_t max_bytes, int64_t max_age_us, const struct hash_key *hash_key);
void cache_free(struct cache *c);

// The answer to it that still holds, good until the next call; NULL: none. One that does not hold
// any more is dropped.
struct cached *cache_find(struct cache *c, struct str question, const struct freshness *f,
                          int64_t now_us);
// Takes what `from` owns over, and makes room. Nothing is kept that does not hold already or is too
// large; then `from` stays as it is, and NULL is returned.
struct cached *cache_put(struct cache *c, struct str question, struct cached *from,
                         const struct freshness *f, int64_t now_us);
// After something was added to an entry (its compressed body): others may have to leave, not it.
void cache_grew(struct cache *c, struct cached *entry, size_t by);

size_t cache_bytes(const struct cache *c);
size_t cache_count(const struct cache *c);

#endif
