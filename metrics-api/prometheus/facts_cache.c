// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/facts_cache_internal.h"

#define BUCKETS_MIN 256
// Beside what is asked of malloc: its own, and a share of the buckets, of which there are at most
// four times as many as there are things in them.
#define ALLOCATION_BYTES (16 + 4 * sizeof(void *))

struct facts_series {
    struct facts_series *next; // in its bucket
    uint64_t hash;
    size_t uses; // callers, fillings and blocks
    size_t kept; // blocks of it in the cache
    size_t key_bytes;
    char key[]; // lengths of two names, and all three
};

TAILQ_HEAD(entry_list, facts_entry);

struct facts_cache {
    size_t max_bytes, bytes;
    int64_t max_age_us, closed_max_age_us;
    const struct hash_key *hash_key;
    struct facts_entry **buckets;
    size_t bucket_count, count; // buckets: a power of two
    struct facts_series **series_buckets;
    size_t series_bucket_count, series_count;
    struct entry_list idle; // kept and not in use; the one that was used last is the last
    struct buf key;         // of the series that is looked for
    uint64_t serials;       // given so far
};

struct facts_cache *facts_cache_new(size_t max_bytes, int64_t max_age_us, int64_t closed_max_age_us,
                                    const struct hash_key *hash_key)
{
    struct facts_cache *c = xcalloc(1, sizeof(*c));
    c->max_bytes = max_bytes;
    c->max_age_us = max_age_us;
    c->closed_max_age_us = closed_max_age_us;
    c->hash_key = hash_key;
    c->bucket_count = c->series_bucket_count = BUCKETS_MIN;
    c->buckets = xcalloc(c->bucket_count, sizeof(struct facts_entry *));
    c->series_buckets = xcalloc(c->series_bucket_count, sizeof(struct facts_series *));
    TAILQ_INIT(&c->idle);
    return c;
}

size_t facts_cache_bytes(const struct facts_cache *c)
{
    return c->bytes;
}

// ---- series -------------------------------------------------------------------------------------

static size_t series_bytes(const struct facts_series *s)
{
    return sizeof(*s) + s->key_bytes + ALLOCATION_BYTES;
}

static struct facts_series **series_place(struct facts_cache *c, uint64_t hash, struct str key)
{
    struct facts_series **at = &c->series_buckets[hash & (c->series_bucket_count - 1)];
    while (*at && ((*at)->hash != hash || !str_eq((struct str){(*at)->key, (*at)->key_bytes}, key)))
        at = &(*at)->next;
    return at;
}

static void grow_series(struct facts_cache *c)
{
    size_t n = c->series_bucket_count * 2;
    struct facts_series **buckets = xcalloc(n, sizeof(*buckets));
    for (size_t i = 0; i < c->series_bucket_count; i++) {
        for (struct facts_series *s = c->series_buckets[i], *next; s; s = next) {
            next = s->next;
            s->next = buckets[s->hash & (n - 1)];
            buckets[s->hash & (n - 1)] = s;
        }
    }
    free(c->series_buckets);
    c->series_buckets = buckets;
    c->series_bucket_count = n;
}

static struct facts_series *series_new(struct facts_cache *c, uint64_t hash, struct str key)
{
    if (++c->series_count * 2 > c->series_bucket_count)
        grow_series(c);
    struct facts_series *s = xmalloc(sizeof(*s) + key.n);
    *s = (struct facts_series){.hash = hash, .key_bytes = key.n};
    memcpy(s->key, key.p, key.n);
    *series_place(c, hash, key) = s;
    return s;
}

struct facts_series *facts_cache_series(struct facts_cache *c, struct str tenant_id,
                                        struct str route, struct str model)
{
    buf_clear(&c->key);
    buf_add(&c->key, &tenant_id.n, sizeof(tenant_id.n));
    buf_add(&c->key, &route.n, sizeof(route.n));
    buf_add(&c->key, tenant_id.p, tenant_id.n);
    buf_add(&c->key, route.p, route.n);
    buf_add(&c->key, model.p, model.n);
    struct str key = {c->key.p, c->key.n};
    uint64_t hash = hash_keyed64(c->hash_key, key.p, key.n);
    struct facts_series *s = *series_place(c, hash, key);
    if (!s)
        s = series_new(c, hash, key);
    s->uses++;
    return s;
}

void facts_series_use(struct facts_series *s)
{
    assert(s->uses > 0);
    s->uses++;
}

void facts_series_let_go(struct facts_cache *c, struct facts_series *s)
{
    assert(s->uses > 0);
    if (--s->uses > 0)
        return;
    *series_place(c, s->hash, (struct str){s->key, s->key_bytes}) = s->next;
    c->series_count--;
    free(s);
}

// ---- blocks -------------------------------------------------------------------------------------

struct facts_entry *facts_entry_new(size_t array_bytes)
{
    struct facts_entry *e = xmalloc(sizeof(*e) + array_bytes);
    *e = (struct facts_entry){.bytes = sizeof(*e) + array_bytes + ALLOCATION_BYTES, .users = 1};
    return e;
}

// Users do not change a block; that there are some is noted beside it.
static struct facts_entry *entry_of(const struct facts_block *b)
{
    return (struct facts_entry *)(uintptr_t)b;
}

static uint64_t entry_hash(const struct facts_cache *c, const struct facts_series *s,
                           enum facts_unit unit, enum facts_group group, int64_t start_us)
{
    uint64_t key[] = {s->hash, (uint64_t)unit << 32 | group, (uint64_t)start_us};
    return hash_keyed64(c->hash_key, key, sizeof(key));
}

static struct facts_entry **entry_place(struct facts_cache *c, uint64_t hash,
                                        const struct facts_series *s, enum facts_unit unit,
                                        enum facts_group group, int64_t start_us)
{
    struct facts_entry **at = &c->buckets[hash & (c->bucket_count - 1)];
    while (*at && ((*at)->hash != hash || (*at)->series != s || (*at)->block.unit != unit ||
                   (*at)->block.group != group || (*at)->block.start_us != start_us))
        at = &(*at)->next;
    return at;
}

static struct facts_entry **place_of(struct facts_cache *c, const struct facts_entry *e)
{
    return entry_place(c, e->hash, e->series, e->block.unit, e->block.group, e->block.start_us);
}

static void entry_free(struct facts_cache *c, struct facts_entry *e)
{
    facts_series_let_go(c, e->series);
    free(e);
}

// Out of the cache: gone, or what its users have alone.
static void entry_drop(struct facts_cache *c, struct facts_entry *e)
{
    *place_of(c, e) = e->next;
    c->count--;
    c->bytes -= e->bytes;
    if (--e->series->kept == 0)
        c->bytes -= series_bytes(e->series);
    e->kept = false;
    if (e->users > 0)
        return;
    TAILQ_REMOVE(&c->idle, e, link);
    entry_free(c, e);
}

void facts_cache_free(struct facts_cache *c)
{
    if (!c)
        return;
    while (!TAILQ_EMPTY(&c->idle))
        entry_drop(c, TAILQ_FIRST(&c->idle));
    assert(c->count == 0 && c->series_count == 0);
    free(c->buckets);
    free(c->series_buckets);
    buf_free(&c->key);
    free(c);
}

void facts_block_use(const struct facts_block *b)
{
    struct facts_entry *e = entry_of(b);
    assert(e->users > 0);
    e->users++;
}

void facts_block_let_go(struct facts_cache *c, const struct facts_block *b)
{
    struct facts_entry *e = entry_of(b);
    assert(e->users > 0);
    if (--e->users > 0)
        return;
    if (e->kept)
        TAILQ_INSERT_TAIL(&c->idle, e, link);
    else
        entry_free(c, e);
}

static bool holds(const struct facts_cache *c, const struct facts_entry *e, int64_t to_us,
                  const struct freshness *f, int64_t now_us)
{
    const struct facts_block *b = &e->block;
    int64_t end_us = min_i64(b->start_us + facts_block_us(b->unit), to_us);
    bool closed = end_us <= b->closed_through_us;
    return now_us - e->read_us < (closed ? c->closed_max_age_us : c->max_age_us) &&
           freshness_holds(f, e->since, b->start_us, end_us, closed);
}

const struct facts_block *facts_cache_find(struct facts_cache *c, struct facts_series *s,
                                           enum facts_unit unit, enum facts_group group,
                                           int64_t start_us, int64_t to_us,
                                           const struct freshness *f, int64_t now_us)
{
    uint64_t hash = entry_hash(c, s, unit, group, start_us);
    struct facts_entry *e = *entry_place(c, hash, s, unit, group, start_us);
    if (!e)
        return NULL;
    if (!holds(c, e, to_us, f, now_us)) {
        entry_drop(c, e);
        return NULL;
    }
    if (e->users++ == 0)
        TAILQ_REMOVE(&c->idle, e, link);
    return &e->block;
}

static void grow(struct facts_cache *c)
{
    size_t n = c->bucket_count * 2;
    struct facts_entry **buckets = xcalloc(n, sizeof(*buckets));
    for (size_t i = 0; i < c->bucket_count; i++) {
        for (struct facts_entry *e = c->buckets[i], *next; e; e = next) {
            next = e->next;
            e->next = buckets[e->hash & (n - 1)];
            buckets[e->hash & (n - 1)] = e;
        }
    }
    free(c->buckets);
    c->buckets = buckets;
    c->bucket_count = n;
}

// What it takes to keep it: the first block of a series pays for that, too.
static size_t bytes_to_keep(const struct facts_entry *e)
{
    return e->bytes + (e->series->kept == 0 ? series_bytes(e->series) : 0);
}

static bool make_room(struct facts_cache *c, const struct facts_entry *e)
{
    if (e->bytes + series_bytes(e->series) > c->max_bytes)
        return false; // and nobody has to leave for nothing
    while (c->bytes + bytes_to_keep(e) > c->max_bytes) {
        if (TAILQ_EMPTY(&c->idle))
            return false;
        entry_drop(c, TAILQ_FIRST(&c->idle));
    }
    return true;
}

void facts_entry_keep(struct facts_cache *c, struct facts_entry *e)
{
    const struct facts_block *b = &e->block;
    e->block.serial = ++c->serials;
    e->hash = entry_hash(c, e->series, b->unit, b->group, b->start_us);
    struct facts_entry *old = *place_of(c, e);
    if (old && (old->since > e->since || old->read_us > e->read_us))
        return; // answers come in another order than they were asked for
    if (old)
        entry_drop(c, old);
    if (!make_room(c, e))
        return;
    if (++c->count * 2 > c->bucket_count)
        grow(c);
    c->bytes += bytes_to_keep(e);
    e->series->kept++;
    e->kept = true;
    *place_of(c, e) = e;
}
