// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/cache.h"

#include <stdio.h>
#include <sys/queue.h>

#define BUCKETS_MIN 256
#define ENTRY_SHARE 8 // no answer takes more than this part of all

struct entry {
    struct cached cached; // first: an entry is found by it
    TAILQ_ENTRY(entry) link;
    struct entry *next; // in its bucket
    uint64_t hash;
    size_t bytes;
    struct buf question;
};
TAILQ_HEAD(entry_list, entry);

struct cache {
    size_t max_bytes, bytes, count;
    int64_t max_age_us;
    const struct hash_key *hash_key;
    struct entry **buckets;
    size_t bucket_count;     // a power of two
    struct entry_list order; // the one that was asked for last is the last
};

void cached_clear(struct cached *c)
{
    answer_clear(&c->answer);
    buf_free(&c->gzip);
    *c = (struct cached){0};
}

void cached_tag(struct cached *c)
{
    unsigned long long hash = hash_stable64(c->answer.body.p, c->answer.body.n);
    snprintf(c->etag, sizeof(c->etag), "\"%016llx\"", hash);
    snprintf(c->etag_gzip, sizeof(c->etag_gzip), "\"%016llx-gz\"", hash);
}

struct cache *cache_new(size_t max_bytes, int64_t max_age_us, const struct hash_key *hash_key)
{
    struct cache *c = xcalloc(1, sizeof(*c));
    c->max_bytes = max_bytes;
    c->max_age_us = max_age_us;
    c->hash_key = hash_key;
    c->bucket_count = BUCKETS_MIN;
    c->buckets = xcalloc(c->bucket_count, sizeof(struct entry *));
    TAILQ_INIT(&c->order);
    return c;
}

static struct entry **place_of(struct cache *c, uint64_t hash, struct str question)
{
    struct entry **at = &c->buckets[hash & (c->bucket_count - 1)];
    while (*at && ((*at)->hash != hash ||
                   !str_eq((struct str){(*at)->question.p, (*at)->question.n}, question)))
        at = &(*at)->next;
    return at;
}

static void entry_drop(struct cache *c, struct entry *e)
{
    struct entry **at = place_of(c, e->hash, (struct str){e->question.p, e->question.n});
    *at = e->next;
    TAILQ_REMOVE(&c->order, e, link);
    c->bytes -= e->bytes;
    c->count--;
    cached_clear(&e->cached);
    buf_free(&e->question);
    free(e);
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    while (!TAILQ_EMPTY(&c->order))
        entry_drop(c, TAILQ_FIRST(&c->order));
    free(c->buckets);
    free(c);
}

static bool holds(const struct cache *c, const struct cached *e, const struct freshness *f,
                  int64_t now_us)
{
    bool closed = e->answer.settled_to_us != INT64_MAX;
    return now_us - e->read_us < c->max_age_us &&
           freshness_holds(f, e->since, e->from_us, e->to_us, closed);
}

struct cached *cache_find(struct cache *c, struct str question, const struct freshness *f,
                          int64_t now_us)
{
    struct entry *e = *place_of(c, hash_keyed64(c->hash_key, question.p, question.n), question);
    if (!e)
        return NULL;
    if (!holds(c, &e->cached, f, now_us)) {
        entry_drop(c, e);
        return NULL;
    }
    TAILQ_REMOVE(&c->order, e, link);
    TAILQ_INSERT_TAIL(&c->order, e, link);
    return &e->cached;
}

static void make_room(struct cache *c, const struct entry *keep)
{
    while (c->bytes > c->max_bytes && TAILQ_FIRST(&c->order) != keep)
        entry_drop(c, TAILQ_FIRST(&c->order));
}

// Twice the buckets as soon as there are as many entries.
static void grow(struct cache *c)
{
    if (c->count < c->bucket_count)
        return;
    free(c->buckets);
    c->bucket_count *= 2;
    c->buckets = xcalloc(c->bucket_count, sizeof(struct entry *));
    struct entry *e;
    TAILQ_FOREACH(e, &c->order, link)
    {
        struct entry **at = &c->buckets[e->hash & (c->bucket_count - 1)];
        e->next = *at;
        *at = e;
    }
}

struct cached *cache_put(struct cache *c, struct str question, struct cached *from,
                         const struct freshness *f, int64_t now_us)
{
    size_t bytes = sizeof(struct entry) + question.n + from->answer.body.cap +
                   from->answer.about.next_cursor.cap + from->gzip.cap;
    if (bytes > c->max_bytes / ENTRY_SHARE || !holds(c, from, f, now_us))
        return NULL;
    uint64_t hash = hash_keyed64(c->hash_key, question.p, question.n);
    struct entry *old = *place_of(c, hash, question);
    if (old)
        entry_drop(c, old);
    grow(c);
    struct entry *e = xcalloc(1, sizeof(*e));
    e->cached = *from;
    *from = (struct cached){0};
    e->hash = hash;
    e->bytes = bytes;
    buf_add(&e->question, question.p, question.n);
    *place_of(c, hash, question) = e;
    TAILQ_INSERT_TAIL(&c->order, e, link);
    c->bytes += bytes;
    c->count++;
    make_room(c, e);
    return &e->cached;
}

void cache_grew(struct cache *c, struct cached *entry, size_t by)
{
    struct entry *e = (struct entry *)entry;
    e->bytes += by;
    c->bytes += by;
    make_room(c, e);
}

size_t cache_bytes(const struct cache *c)
{
    return c->bytes;
}

size_t cache_count(const struct cache *c)
{
    return c->count;
}
