// SPDX-License-Identifier: Apache-2.0
// Looking at a few entries in turn, and not at all: a stranger's name must not cost a walk through
// the table. So a full bucket somewhere may be overlooked for a while; the name shares until then.
#include "ingest-api/bucket_table.h"

#include <sys/queue.h>

struct entry {
    LIST_ENTRY(entry) chain;
    char *name; // owned
    size_t name_n;
    struct buckets buckets;
};
LIST_HEAD(chain, entry);

struct bucket_table {
    const struct hash_key *key;
    struct entry *entries;
    size_t count, max;
    size_t hand; // the entry that is looked at next
    struct chain *chains;
    size_t slots; // a power of two
    struct buckets others;
};

struct bucket_table *bucket_table_new(size_t max, const struct hash_key *key)
{
    struct bucket_table *t = xcalloc(1, sizeof(*t));
    t->key = key;
    t->max = max;
    t->entries = xcalloc(max, sizeof(*t->entries));
    for (t->slots = 1; t->slots < max;)
        t->slots *= 2;
    t->chains = xcalloc(t->slots, sizeof(*t->chains));
    return t;
}

void bucket_table_free(struct bucket_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->entries[i].name);
    free(t->entries);
    free(t->chains);
    free(t);
}

size_t bucket_table_count(const struct bucket_table *t)
{
    return t->count;
}

static bool are_full(struct buckets *b, int64_t now_us)
{
    return token_bucket_full_in_us(&b->events, now_us) == 0 &&
           token_bucket_full_in_us(&b->bytes, now_us) == 0;
}

// NULL where none was found.
static struct entry *make_room(struct bucket_table *t, int64_t now_us)
{
    if (t->count < t->max)
        return &t->entries[t->count++];
    for (size_t i = 0; i < BUCKET_TABLE_LOOKS && i < t->max; i++) {
        struct entry *e = &t->entries[t->hand];
        t->hand = (t->hand + 1) % t->max;
        if (!are_full(&e->buckets, now_us))
            continue;
        LIST_REMOVE(e, chain);
        free(e->name);
        return e;
    }
    return NULL;
}

static struct buckets *share(struct bucket_table *t, const struct tenant_limit *limit,
                             int64_t now_us)
{
    struct buckets *b = &t->others;
    struct tenant_limit lesser = *limit;
    if (!are_full(b, now_us)) {
        lesser.events = token_limit_lesser(b->events.limit, limit->events);
        lesser.bytes = token_limit_lesser(b->bytes.limit, limit->bytes);
    }
    token_bucket_change_shared(&b->events, lesser.events, now_us);
    token_bucket_change_shared(&b->bytes, lesser.bytes, now_us);
    return b;
}

struct buckets *bucket_table_find(struct bucket_table *t, struct str name,
                                  const struct tenant_limit *limit, int64_t now_us, int64_t *shared)
{
    struct chain *chain = &t->chains[hash_keyed64(t->key, name.p, name.n) & (t->slots - 1)];
    struct entry *e;
    LIST_FOREACH(e, chain, chain)
    {
        if (str_eq((struct str){e->name, e->name_n}, name)) {
            token_bucket_change(&e->buckets.events, limit->events, now_us);
            token_bucket_change(&e->buckets.bytes, limit->bytes, now_us);
            return &e->buckets;
        }
    }
    e = make_room(t, now_us);
    if (!e) {
        (*shared)++;
        return share(t, limit, now_us);
    }
    e->name = xmemdup(name.p, name.n);
    e->name_n = name.n;
    token_bucket_fill(&e->buckets.events, limit->events, now_us);
    token_bucket_fill(&e->buckets.bytes, limit->bytes, now_us);
    LIST_INSERT_HEAD(chain, e, chain);
    return &e->buckets;
}
