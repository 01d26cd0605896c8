// SPDX-License-Identifier: Apache-2.0
// A chained hash table of series. Entries have stable addresses (tasks and flushes point to them),
// so the table holds pointers.
#include "processor/series.h"

struct node {
    struct series series; // first: a struct series * is a struct node *
    struct node *next;
    char names[]; // tenant, route and model, each with its NUL
};

struct series_table {
    const struct hash_key *key;
    struct node **slots;
    size_t slot_count; // a power of two
    size_t count;      // of entries,
    size_t unused;     // and of those without a reference
};

struct series_table *series_table_new(const struct hash_key *key)
{
    struct series_table *t = xcalloc(1, sizeof(*t));
    t->key = key;
    t->slot_count = 64;
    t->slots = xcalloc(t->slot_count, sizeof(*t->slots));
    return t;
}

void series_table_free(struct series_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->slot_count; i++)
        for (struct node *n = t->slots[i], *next; n; n = next) {
            next = n->next;
            free(n);
        }
    free(t->slots);
    free(t);
}

// One hash over all; the names' hashes are combined in order, so ("a","b") is not ("b","a").
static uint64_t hash_all(const struct series_table *t, struct str a, struct str b, struct str c,
                         int64_t epoch)
{
    uint64_t h[4] = {hash_keyed64(t->key, a.p, a.n), hash_keyed64(t->key, b.p, b.n),
                     hash_keyed64(t->key, c.p, c.n), (uint64_t)epoch};
    return hash_keyed64(t->key, h, sizeof(h));
}

static void grow(struct series_table *t)
{
    size_t slot_count = t->slot_count * 2;
    struct node **slots = xcalloc(slot_count, sizeof(*slots));
    for (size_t i = 0; i < t->slot_count; i++)
        for (struct node *n = t->slots[i], *next; n; n = next) {
            next = n->next;
            struct node **slot = &slots[n->series.hash & (slot_count - 1)];
            n->next = *slot;
            *slot = n;
        }
    free(t->slots);
    t->slots = slots;
    t->slot_count = slot_count;
}

static struct str name_put(char **at, struct str name)
{
    memcpy(*at, name.p, name.n);
    (*at)[name.n] = '\0';
    struct str copy = {*at, name.n};
    *at += name.n + 1;
    return copy;
}

static struct node *node_new(uint64_t hash, struct str tenant, struct str route, struct str model,
                             int64_t epoch)
{
    struct node *n = xcalloc(1, sizeof(*n) + tenant.n + route.n + model.n + 3);
    struct series *s = &n->series;
    char *at = n->names;
    s->tenant = name_put(&at, tenant);
    s->route = name_put(&at, route);
    s->model = name_put(&at, model);
    s->epoch = epoch;
    s->hash = hash;
    return n;
}

struct series *series_take(struct series_table *t, struct str tenant, struct str route,
                           struct str model, int64_t epoch)
{
    uint64_t hash = hash_all(t, tenant, route, model, epoch);
    for (struct node *n = t->slots[hash & (t->slot_count - 1)]; n; n = n->next) {
        struct series *s = &n->series;
        if (s->hash == hash && s->epoch == epoch && str_eq(s->tenant, tenant) &&
            str_eq(s->route, route) && str_eq(s->model, model)) {
            t->unused -= s->references == 0;
            s->references++;
            return s;
        }
    }
    if (t->count == t->slot_count)
        grow(t);
    struct node *n = node_new(hash, tenant, route, model, epoch);
    struct node **slot = &t->slots[hash & (t->slot_count - 1)];
    n->next = *slot;
    *slot = n;
    t->count++;
    n->series.references = 1;
    return &n->series;
}

struct series *series_ref(struct series *s)
{
    assert(s->references > 0);
    s->references++;
    return s;
}

static void forget_unused(struct series_table *t)
{
    for (size_t i = 0; i < t->slot_count; i++)
        for (struct node **link = &t->slots[i], *n; (n = *link);) {
            if (n->series.references > 0) {
                link = &n->next;
                continue;
            }
            *link = n->next;
            free(n);
        }
    t->count -= t->unused;
    t->unused = 0;
}

void series_drop(struct series_table *t, struct series *s)
{
    assert(s->references > 0);
    if (--s->references > 0)
        return;
    s->store_id = 0;
    t->unused++;
    if (t->unused > series_count(t) + SERIES_UNUSED)
        forget_unused(t);
}

size_t series_count(const struct series_table *t)
{
    return t->count - t->unused;
}

size_t series_unused(const struct series_table *t)
{
    return t->unused;
}
