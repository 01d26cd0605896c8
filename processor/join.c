// SPDX-License-Identifier: Apache-2.0
// One open-addressed table (linear probing) of identities, and a slab of waiting records that are
// chained twice: by identity, and in order of time for expiry.
//
// An identity whose last sighting is too old to be repeated is forgotten lazily: exactness comes
// from comparing times at each look-up, so it does not matter when the memory goes. When the table
// is full it is swept, and only grows if more than half of it would stay in use; so its size
// follows the live set.
#include "processor/join.h"

#define NONE UINT32_MAX
#define MIN_SLOTS 16    // small, so that sweeps and growth happen in every test
#define NEVER TIME_NONE // not seen by this topic

// One line of the cache, since looking is waiting for it: with 56 bytes, mostly in two of them, a
// replay took a tenth longer, and a live event 6 to 8 % (bench_core, interleaved).
struct identity {
    _Alignas(CACHE_LINE) struct hash128 hash; // all zero = empty slot
    int64_t seen_ms[2];                       // by topic
    // Of requests: the tenant that the first of the present run named, and when it last did. What
    // other tenants named the same id has identities of their own, see of_tenant().
    int64_t tenant_seen_ms;
    uint32_t tenant;
    uint32_t content[2]; // of the first of the present run
    uint32_t waiting;    // slab number of the first waiting record, NONE
};
static_assert(sizeof(struct identity) == CACHE_LINE,
              "there is one for every id of the last minutes");

// What the settings make of one time of a topic. Kept, since many records share it.
struct reach {
    int64_t time_ms;
    int64_t waits_until_ms;    // of a record of that time
    int64_t remembers_from_ms; // a sighting before it is forgotten
};

struct fifo {
    uint32_t first, last;
    size_t count;
};

struct join {
    const struct settings *settings;
    size_t max_waiting;
    struct reach reach[2]; // of the last time that was asked for, by kind
    struct identity *slots;
    size_t slot_count, used; // slot_count is a power of two
    struct join_waiting *slab;
    size_t slab_cap;
    uint32_t free_first; // free slab entries, chained by next_same
    struct fifo fifo[2]; // by kind
};

struct join *join_new(const struct settings *settings, size_t max_waiting)
{
    struct join *j = xcalloc(1, sizeof(*j));
    j->settings = settings;
    j->max_waiting = max_waiting;
    j->reach[0] = j->reach[1] = (struct reach){TIME_NONE, TIME_NONE, TIME_NONE};
    j->slot_count = MIN_SLOTS;
    j->slots = xcalloc_huge(j->slot_count * sizeof(*j->slots));
    j->free_first = NONE;
    j->fifo[0] = j->fifo[1] = (struct fifo){NONE, NONE, 0};
    return j;
}

void join_each(struct join *j, enum event_kind kind,
               void (*each)(struct join_waiting *w, void *arg), void *arg)
{
    for (uint32_t i = j->fifo[kind].first; i != NONE; i = j->slab[i].fifo_next)
        each(&j->slab[i], arg);
}

void join_free(struct join *j, void (*drop)(struct join_waiting *w, void *arg), void *arg)
{
    if (!j)
        return;
    for (int kind = 0; kind < 2 && drop; kind++)
        join_each(j, kind, drop, arg);
    free_huge(j->slots, j->slot_count * sizeof(*j->slots));
    free(j->slab);
    free(j);
}

// A table is full where more than three quarters of it are used, see join_see().
void join_reserve(struct join *j, size_t identities)
{
    assert(j->used == 0);
    free_huge(j->slots, j->slot_count * sizeof(*j->slots));
    while ((identities + 2) * 4 > j->slot_count * 3)
        j->slot_count *= 2;
    j->slots = xcalloc_huge(j->slot_count * sizeof(*j->slots));
}

static const struct reach *reach_at(struct join *j, enum event_kind kind, int64_t time_ms)
{
    struct reach *r = &j->reach[kind];
    if (r->time_ms != time_ms) {
        r->time_ms = time_ms;
        r->waits_until_ms = kind == EVENT_REQUEST ? settings_answer_by(j->settings, time_ms)
                                                  : settings_request_by(j->settings, time_ms);
        r->remembers_from_ms = settings_remembered_from(j->settings, kind, time_ms);
    }
    return r;
}

// ---- identities ----

static bool is_empty(const struct identity *s)
{
    return s->hash.hi == 0 && s->hash.lo == 0;
}

static size_t find(const struct join *j, struct hash128 h)
{
    size_t i = h.lo & (j->slot_count - 1);
    while (!is_empty(&j->slots[i]) && (j->slots[i].hash.lo != h.lo || j->slots[i].hash.hi != h.hi))
        i = (i + 1) & (j->slot_count - 1);
    return i;
}

void join_prefetch(const struct join *j, struct hash128 identity)
{
    const struct identity *s = &j->slots[identity.lo & (j->slot_count - 1)];
    __builtin_prefetch(s, 1);
}

const struct join_waiting *join_first_waiting(const struct join *j, struct hash128 identity)
{
    const struct identity *s = &j->slots[find(j, identity)];
    return is_empty(s) || s->waiting == NONE ? NULL : &j->slab[s->waiting];
}

// `from_ms`: what is remembered at the time in question.
static bool seen_since(int64_t seen_ms, int64_t from_ms)
{
    return seen_ms != NEVER && seen_ms >= from_ms;
}

static bool is_forgettable(const struct identity *s, const int64_t from_ms[2])
{
    return s->waiting == NONE && !seen_since(s->seen_ms[0], from_ms[0]) &&
           !seen_since(s->seen_ms[1], from_ms[1]);
}

// Moves everything worth keeping into a fresh table, as large as the live set asks for: at most
// half full afterwards, so the next sweep is at least half as many insertions away as this one
// moved. A larger table would be swept less often, but looking up is mostly waiting for memory.
static void sweep(struct join *j, const int64_t now_ms[2])
{
    int64_t from_ms[2];
    for (int k = 0; k < 2; k++)
        from_ms[k] = reach_at(j, k, now_ms[k])->remembers_from_ms;
    size_t live = 0;
    for (size_t i = 0; i < j->slot_count; i++)
        live += !is_empty(&j->slots[i]) && !is_forgettable(&j->slots[i], from_ms);
    struct identity *old = j->slots;
    size_t old_count = j->slot_count;
    j->slot_count = MIN_SLOTS;
    while (j->slot_count < live * 2)
        j->slot_count *= 2;
    j->slots = xcalloc_huge(j->slot_count * sizeof(*j->slots));
    j->used = live;
    for (size_t i = 0; i < old_count; i++)
        if (!is_empty(&old[i]) && !is_forgettable(&old[i], from_ms))
            j->slots[find(j, old[i].hash)] = old[i];
    free_huge(old, old_count * sizeof(*old));
}

// The identity's entry, made if need be. Never moves others: the caller has swept.
static struct identity *entry_of(struct join *j, struct hash128 hash)
{
    struct identity *s = &j->slots[find(j, hash)];
    if (is_empty(s)) {
        j->used++;
        *s = (struct identity){
            .hash = hash, .seen_ms = {NEVER, NEVER}, .tenant_seen_ms = NEVER, .waiting = NONE};
    }
    return s;
}

// Where it is kept when a tenant named an id that another tenant used first. Conflicts are rare, so
// the usual identity pays for one tenant only.
static struct hash128 of_tenant(struct hash128 identity, uint32_t tenant)
{
    uint64_t spread = ((uint64_t)tenant + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (struct hash128){identity.hi ^ spread, identity.lo + spread};
}

// A request whose id was seen: a duplicate iff this very tenant named it as recently. Who was first
// does not count: that may lie further back than a replay looks, what is remembered never does.
static enum join_seen see_tenant(struct join *j, struct identity *s, const struct reach *now,
                                 uint32_t content, uint32_t tenant)
{
    int64_t *seen_ms = &s->tenant_seen_ms;
    if (s->tenant != tenant) {
        s = entry_of(j, of_tenant(s->hash, tenant));
        seen_ms = &s->seen_ms[EVENT_REQUEST];
    }
    bool seen = seen_since(*seen_ms, now->remembers_from_ms);
    *seen_ms = now->time_ms;
    if (seen)
        return s->content[EVENT_REQUEST] == content ? JOIN_DUPLICATE : JOIN_CONFLICTING;
    s->content[EVENT_REQUEST] = content;
    return JOIN_OTHER_TENANT;
}

enum join_seen join_see(struct join *j, enum event_kind kind, struct hash128 identity,
                        int64_t time_ms, uint32_t content, uint32_t tenant, const int64_t now_ms[2])
{
    if ((j->used + 2) * 4 > j->slot_count * 3)
        sweep(j, now_ms);
    const struct reach *now = reach_at(j, kind, time_ms);
    struct identity *s = entry_of(j, identity);
    bool seen = seen_since(s->seen_ms[kind], now->remembers_from_ms);
    s->seen_ms[kind] = time_ms;
    if (seen && kind == EVENT_REQUEST)
        return see_tenant(j, s, now, content, tenant);
    if (seen)
        return s->content[kind] == content ? JOIN_DUPLICATE : JOIN_CONFLICTING;
    s->content[kind] = content;
    if (kind == EVENT_REQUEST) {
        s->tenant = tenant;
        s->tenant_seen_ms = time_ms;
    }
    return JOIN_NEW;
}

// ---- waiting records ----

static uint32_t slab_take(struct join *j)
{
    if (j->free_first == NONE) {
        size_t cap = j->slab_cap ? j->slab_cap * 2 : 256;
        assert(cap < NONE);
        j->slab = xrealloc(j->slab, cap * sizeof(*j->slab));
        for (size_t i = cap; i-- > j->slab_cap;) {
            j->slab[i].next_same = j->free_first;
            j->free_first = (uint32_t)i;
        }
        j->slab_cap = cap;
    }
    uint32_t i = j->free_first;
    j->free_first = j->slab[i].next_same;
    return i;
}

static void fifo_unlink(struct join *j, uint32_t i)
{
    struct join_waiting *w = &j->slab[i];
    struct fifo *f = &j->fifo[w->kind];
    if (w->fifo_prev == NONE)
        f->first = w->fifo_next;
    else
        j->slab[w->fifo_prev].fifo_next = w->fifo_next;
    if (w->fifo_next == NONE)
        f->last = w->fifo_prev;
    else
        j->slab[w->fifo_next].fifo_prev = w->fifo_prev;
    f->count--;
}

// Takes the record out that *link points at: its chain, its fifo, its slab entry.
static void take_out(struct join *j, uint32_t *link, struct join_waiting *out)
{
    uint32_t i = *link;
    *out = j->slab[i];
    *link = out->next_same;
    fifo_unlink(j, i);
    j->slab[i].next_same = j->free_first;
    j->free_first = i;
}

bool join_match(struct join *j, enum event_kind kind, struct hash128 identity, int64_t time_ms,
                struct join_waiting *out)
{
    struct identity *s = &j->slots[find(j, identity)];
    if (is_empty(s))
        return false;
    const struct reach *now = reach_at(j, kind, time_ms);
    for (uint32_t *link = &s->waiting; *link != NONE; link = &j->slab[*link].next_same) {
        const struct join_waiting *w = &j->slab[*link];
        if (w->kind != kind && time_ms <= w->until_ms && w->time_ms <= now->waits_until_ms) {
            take_out(j, link, out);
            return true;
        }
    }
    return false;
}

void join_wait(struct join *j, const struct join_waiting *waiting)
{
    uint32_t i = slab_take(j);
    struct join_waiting *w = &j->slab[i];
    struct fifo *f = &j->fifo[waiting->kind];
    *w = *waiting;
    w->until_ms = reach_at(j, w->kind, w->time_ms)->waits_until_ms;
    struct identity *s = &j->slots[find(j, w->identity)];
    assert(!is_empty(s));
    w->next_same = s->waiting;
    s->waiting = i;
    assert(f->last == NONE || j->slab[f->last].until_ms <= w->until_ms);
    w->fifo_prev = f->last;
    w->fifo_next = NONE;
    if (f->last == NONE)
        f->first = i;
    else
        j->slab[f->last].fifo_next = i;
    f->last = i;
    f->count++;
}

bool join_full(const struct join *j, enum event_kind kind)
{
    return j->fifo[kind].count >= j->max_waiting;
}

int64_t join_deadline(const struct join *j, enum event_kind kind)
{
    uint32_t i = j->fifo[kind].first;
    return i == NONE ? INT64_MAX : j->slab[i].until_ms;
}

bool join_expire(struct join *j, enum event_kind kind, int64_t other_time_ms,
                 struct join_waiting *out)
{
    if (other_time_ms == TIME_NONE || other_time_ms <= join_deadline(j, kind))
        return false;
    uint32_t i = j->fifo[kind].first;
    struct identity *s = &j->slots[find(j, j->slab[i].identity)];
    uint32_t *link = &s->waiting;
    while (*link != i)
        link = &j->slab[*link].next_same;
    take_out(j, link, out);
    return true;
}

size_t join_waiting_count(const struct join *j, enum event_kind kind)
{
    return j->fifo[kind].count;
}

size_t join_identity_count(const struct join *j)
{
    return j->used;
}

size_t join_bytes(const struct join *j)
{
    return sizeof(*j) + j->slot_count * sizeof(*j->slots) + j->slab_cap * sizeof(*j->slab);
}
