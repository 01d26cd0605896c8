// SPDX-License-Identifier: Apache-2.0
// A chained hash table of series. Entries have stable addresses (tasks and flushes point to them),
// so the table holds pointers: small enough to stay in the cache, where slots with a hash beside
// each pointer did not (a replay of bench_core took 10 % longer).
#include "processor/series.h"

struct node {
    struct series series; // first: a struct series * is a struct node *
    struct node *next;
    uint32_t names_n;
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

static struct str name_put(char **at, struct str name)
{
    assert(name.n <= EVENT_NAME_MAX);
    struct str copy = {*at, name.n};
    if (name.n)
        memcpy(*at, name.p, name.n);
    (*at)[name.n] = '\0';
    *at += name.n + 1;
    return copy;
}

void series_names_make(struct series_names *names, const struct series_table *t, struct str tenant,
                       struct str route, struct str model, int64_t epoch)
{
    char *at = names->bytes;
    names->tenant = name_put(&at, tenant);
    names->route = name_put(&at, route);
    names->model = name_put(&at, model);
    names->n = (uint32_t)(at - names->bytes);
    names->epoch = epoch;
    names->hash = hash_keyed64(t->key, names->bytes, names->n) + (uint64_t)epoch;
    const struct node *n = t->slots[names->hash & (t->slot_count - 1)];
    if (n)
        series_prefetch(&n->series);
}

void series_prefetch(const struct series *s)
{
    __builtin_prefetch(s);
    __builtin_prefetch(&s->references, 1);
}

static struct node *find(const struct series_table *t, const struct series_names *names)
{
    struct node *n = t->slots[names->hash & (t->slot_count - 1)];
    while (n && (n->series.hash != names->hash || n->series.epoch != names->epoch ||
                 n->names_n != names->n || memcmp(n->names, names->bytes, names->n) != 0))
        n = n->next;
    return n;
}

static void put(struct series_table *t, struct node *n)
{
    struct node **slot = &t->slots[n->series.hash & (t->slot_count - 1)];
    n->next = *slot;
    *slot = n;
}

static void grow(struct series_table *t)
{
    struct node **old = t->slots;
    size_t old_count = t->slot_count;
    t->slot_count *= 2;
    t->slots = xcalloc(t->slot_count, sizeof(*t->slots));
    for (size_t i = 0; i < old_count; i++)
        for (struct node *n = old[i], *next; n; n = next) {
            next = n->next;
            put(t, n);
        }
    free(old);
}

static struct node *node_new(const struct series_names *names)
{
    struct node *n = xcalloc(1, sizeof(*n) + names->n);
    struct series *s = &n->series;
    char *at = n->names;
    s->tenant = name_put(&at, names->tenant);
    s->route = name_put(&at, names->route);
    s->model = name_put(&at, names->model);
    s->epoch = names->epoch;
    s->hash = names->hash;
    n->names_n = names->n;
    return n;
}

struct series *series_take_names(struct series_table *t, const struct series_names *names)
{
    struct node *n = find(t, names);
    if (!n) {
        if (t->count == t->slot_count)
            grow(t);
        n = node_new(names);
        put(t, n);
        t->count++;
        t->unused++;
    }
    struct series *s = &n->series;
    t->unused -= s->references == 0;
    s->references++;
    return s;
}

struct series *series_take(struct series_table *t, struct str tenant, struct str route,
                           struct str model, int64_t epoch)
{
    struct series_names names;
    series_names_make(&names, t, tenant, route, model, epoch);
    return series_take_names(t, &names);
}

static_assert(3 * (EVENT_NAME_MAX + 1) <= UINT16_MAX, "what names_n of a request can say");

char *series_names_keep(struct str tenant, struct str route, struct str model, uint16_t *n)
{
    *n = (uint16_t)(tenant.n + route.n + model.n + 3);
    char *kept = xmalloc(*n), *at = kept;
    name_put(&at, tenant);
    name_put(&at, route);
    name_put(&at, model);
    return kept;
}

struct series *series_take_kept(struct series_table *t, const char *kept, int64_t epoch)
{
    struct str tenant = str_of(kept);
    struct str route = str_of(kept + tenant.n + 1);
    struct str model = str_of(route.p + route.n + 1);
    return series_take(t, tenant, route, model, epoch);
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
