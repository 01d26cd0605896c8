// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/merged.h"

#include <sys/queue.h>

#include "common/core/buf.h"
#include "common/core/hist.h"

#define BUCKETS_MIN 256
#define ALLOCATION_BYTES (16 + 4 * sizeof(void *)) // as facts_cache.c counts it

// A sum; its arrays follow in the same allocation.
struct merged {
    struct facts_block block; // first: it is found by it
    struct merged *next;      // in its bucket
    TAILQ_ENTRY(merged) link; // where it is kept and nobody uses it
    uint64_t hash;
    size_t users, bytes;
    bool kept;
    size_t serial_count;
    uint64_t *serials; // of what it is the sum of
};

TAILQ_HEAD(merged_list, merged);

struct merged_cache {
    size_t max_bytes, bytes;
    const struct hash_key *hash_key;
    struct merged **buckets;
    size_t bucket_count, count; // buckets: a power of two
    struct merged_list idle;    // the one that was used last is the last
    struct buf serials;         // of what is asked for
    // Of the sum that is being made.
    struct buf rows;              // of each block the next row, uint8_t
    struct buf filled_index;      // uint16_t
    struct buf filled_count;      // int64_t
    uint64_t counts[HIST_COUNTS]; // of a minute
};

struct merged_cache *merged_cache_new(size_t max_bytes, const struct hash_key *hash_key)
{
    struct merged_cache *c = xcalloc(1, sizeof(*c));
    c->max_bytes = max_bytes;
    c->hash_key = hash_key;
    c->bucket_count = BUCKETS_MIN;
    c->buckets = xcalloc(c->bucket_count, sizeof(struct merged *));
    TAILQ_INIT(&c->idle);
    return c;
}

size_t merged_cache_bytes(const struct merged_cache *c)
{
    return c->bytes;
}

// ---- what is kept -------------------------------------------------------------------------------

static struct merged **place_of(struct merged_cache *c, uint64_t hash, struct str serials)
{
    struct merged **at = &c->buckets[hash & (c->bucket_count - 1)];
    while (*at &&
           ((*at)->hash != hash || !str_eq((struct str){(const char *)(*at)->serials,
                                                        (*at)->serial_count * sizeof(uint64_t)},
                                           serials)))
        at = &(*at)->next;
    return at;
}

static void drop(struct merged_cache *c, struct merged *m)
{
    struct merged **at = &c->buckets[m->hash & (c->bucket_count - 1)];
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    TAILQ_REMOVE(&c->idle, m, link);
    c->count--;
    c->bytes -= m->bytes;
    free(m);
}

void merged_cache_free(struct merged_cache *c)
{
    if (!c)
        return;
    while (!TAILQ_EMPTY(&c->idle))
        drop(c, TAILQ_FIRST(&c->idle));
    assert(c->count == 0);
    free(c->buckets);
    buf_free(&c->serials);
    buf_free(&c->rows);
    buf_free(&c->filled_index);
    buf_free(&c->filled_count);
    free(c);
}

static void grow(struct merged_cache *c)
{
    size_t n = c->bucket_count * 2;
    struct merged **buckets = xcalloc(n, sizeof(*buckets));
    for (size_t i = 0; i < c->bucket_count; i++) {
        for (struct merged *m = c->buckets[i], *next; m; m = next) {
            next = m->next;
            m->next = buckets[m->hash & (n - 1)];
            buckets[m->hash & (n - 1)] = m;
        }
    }
    free(c->buckets);
    c->buckets = buckets;
    c->bucket_count = n;
}

static void keep(struct merged_cache *c, struct merged *m, uint64_t hash)
{
    if (m->bytes > c->max_bytes)
        return; // and nobody has to leave for nothing
    while (c->bytes + m->bytes > c->max_bytes && !TAILQ_EMPTY(&c->idle))
        drop(c, TAILQ_FIRST(&c->idle));
    if (c->bytes + m->bytes > c->max_bytes)
        return;
    if (++c->count * 2 > c->bucket_count)
        grow(c);
    c->bytes += m->bytes;
    m->hash = hash;
    m->kept = true;
    m->next = c->buckets[hash & (c->bucket_count - 1)];
    c->buckets[hash & (c->bucket_count - 1)] = m;
}

// ---- sums ---------------------------------------------------------------------------------------

// The counts of a minute that are not 0, and all are 0 again.
static size_t gather(struct merged_cache *c, size_t low, size_t high)
{
    size_t n = 0;
    if (low > high)
        return 0;
    size_t room = high - low + 1;
    buf_reserve(&c->filled_index, room * sizeof(uint16_t));
    buf_reserve(&c->filled_count, room * sizeof(int64_t));
    uint16_t *index = (uint16_t *)(void *)(c->filled_index.p + c->filled_index.n);
    int64_t *count = (int64_t *)(void *)(c->filled_count.p + c->filled_count.n);
    for (size_t i = low; i <= high; i++) {
        index[n] = (uint16_t)i;
        count[n] = (int64_t)c->counts[i];
        n += c->counts[i] != 0;
    }
    memset(&c->counts[low], 0, room * sizeof(c->counts[0]));
    c->filled_index.n += n * sizeof(uint16_t);
    c->filled_count.n += n * sizeof(int64_t);
    return n;
}

// False: none of the blocks has a row at that place.
static bool sum_minute(struct merged_cache *c, const struct facts_block *const *blocks, size_t n,
                       uint8_t place, size_t *filled)
{
    size_t low = HIST_COUNTS, high = 0;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const struct facts_block *b = blocks[i];
        uint8_t *row = (uint8_t *)&c->rows.p[i];
        if (*row == b->n || b->place[*row] != place)
            continue;
        const struct facts_hist *h = &b->hists[(*row)++];
        any = true;
        if (h->n == 0)
            continue;
        low = h->index[0] < low ? h->index[0] : low;
        high = h->index[h->n - 1] > high ? h->index[h->n - 1] : high;
        for (size_t k = 0; k < h->n; k++)
            c->counts[h->index[k]] += (uint64_t)h->count[k];
    }
    *filled = gather(c, low, high);
    return any;
}

static struct merged *merged_new(struct merged_cache *c, const struct facts_block *const *blocks,
                                 size_t n)
{
    struct facts_block block = {
        .start_us = blocks[0]->start_us, .unit = FACTS_MINUTES, .group = blocks[0]->group};
    size_t filled[FACTS_BLOCK_MINUTES];
    buf_clear(&c->filled_index);
    buf_clear(&c->filled_count);
    buf_clear(&c->rows);
    buf_reserve(&c->rows, n);
    memset(c->rows.p, 0, n);
    for (uint8_t place = 0; place < FACTS_BLOCK_MINUTES; place++)
        if (sum_minute(c, blocks, n, place, &filled[block.n]))
            block.place[block.n++] = place;
    size_t hist_bytes = block.n * sizeof(struct facts_hist);
    size_t bytes =
        sizeof(struct merged) + hist_bytes + c->serials.n + c->filled_count.n + c->filled_index.n;
    struct merged *m = xmalloc(bytes);
    *m = (struct merged){.users = 1, .bytes = bytes + ALLOCATION_BYTES, .serial_count = n};
    struct facts_hist *hists = (struct facts_hist *)(m + 1);
    m->serials = (uint64_t *)(hists + block.n);
    int64_t *count = (int64_t *)(m->serials + n);
    uint16_t *index = (uint16_t *)(count + c->filled_count.n / sizeof(*count));
    memcpy(m->serials, c->serials.p, c->serials.n);
    if (c->filled_count.n > 0) {
        memcpy(count, c->filled_count.p, c->filled_count.n);
        memcpy(index, c->filled_index.p, c->filled_index.n);
    }
    for (size_t i = 0; i < block.n; i++) {
        hists[i] = (struct facts_hist){filled[i], index, count};
        index += filled[i];
        count += filled[i];
    }
    block.hists = hists;
    m->block = block;
    return m;
}

const struct facts_block *merged_block(struct merged_cache *c,
                                       const struct facts_block *const *blocks, size_t n)
{
    bool all = true;
    buf_clear(&c->serials);
    for (size_t i = 0; i < n; i++) {
        buf_add(&c->serials, &blocks[i]->serial, sizeof(blocks[i]->serial));
        all = all && blocks[i]->serial != 0;
    }
    struct str serials = {c->serials.p, c->serials.n};
    uint64_t hash = hash_keyed64(c->hash_key, serials.p, serials.n);
    struct merged *m = all ? *place_of(c, hash, serials) : NULL;
    if (m) {
        if (m->users++ == 0)
            TAILQ_REMOVE(&c->idle, m, link);
        return &m->block;
    }
    m = merged_new(c, blocks, n);
    if (all)
        keep(c, m, hash);
    return &m->block;
}

void merged_let_go(struct merged_cache *c, const struct facts_block *b)
{
    struct merged *m = (struct merged *)(uintptr_t)b;
    assert(m->users > 0);
    if (--m->users > 0)
        return;
    if (m->kept)
        TAILQ_INSERT_TAIL(&c->idle, m, link);
    else
        free(m);
}
