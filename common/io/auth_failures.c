// SPDX-License-Identifier: Apache-2.0
// The bucket is kept as the instant at which it is full again (GCRA): a failure moves that on by
// the time in which one is given back, and must not move it beyond `burst_us` from now. So an entry
// is idle, and may be taken for another address, once that instant has passed: a minute after its
// last failure at the latest. Entries stand in the order of their last failure, so the first is
// looked at and no other.
#include "common/io/auth_failures.h"

#include "common/core/hash.h"
#include "common/core/timeunit.h"

#include <arpa/inet.h>
#include <sys/queue.h>

struct address {
    unsigned char kind; // of address: 4, 6, 0 = none
    unsigned char bytes[8];
};

struct entry {
    LIST_ENTRY(entry) chain;
    TAILQ_ENTRY(entry) link;
    struct address address;
    int64_t full_at_us;
};
LIST_HEAD(chain, entry);

struct auth_failures {
    int64_t each_us, burst_us;
    struct hash_key key;
    struct entry *entries;
    size_t count, max;
    struct chain *chains;
    size_t slots; // a power of two
    TAILQ_HEAD(, entry) order;
    int64_t others_full_at_us; // of all newcomers together
};

struct auth_failures *auth_failures_new(int64_t per_minute, size_t addresses_max,
                                        const unsigned char seed[16])
{
    assert(per_minute > 0 && per_minute <= US_PER_MIN);
    struct auth_failures *f = xcalloc(1, sizeof(*f));
    f->each_us = US_PER_MIN / per_minute;
    f->burst_us = f->each_us * per_minute;
    f->others_full_at_us = INT64_MIN;
    hash_key_init(&f->key, seed, 16);
    f->max = addresses_max;
    f->entries = xcalloc(addresses_max, sizeof(*f->entries));
    for (f->slots = 1; f->slots < addresses_max;)
        f->slots *= 2;
    f->chains = xcalloc(f->slots, sizeof(*f->chains));
    TAILQ_INIT(&f->order);
    return f;
}

void auth_failures_free(struct auth_failures *f)
{
    if (!f)
        return;
    free(f->entries);
    free(f->chains);
    free(f);
}

static struct address address_of(const char *text)
{
    struct address a = {0};
    unsigned char v6[16];
    if (inet_pton(AF_INET, text, a.bytes) == 1) {
        a.kind = 4;
    } else if (inet_pton(AF_INET6, text, v6) == 1) {
        a.kind = 6;
        memcpy(a.bytes, v6, sizeof(a.bytes));
    }
    return a;
}

static struct chain *chain_of(struct auth_failures *f, const struct address *a)
{
    return &f->chains[hash_keyed64(&f->key, a, sizeof(*a)) & (f->slots - 1)];
}

static struct entry *find(struct auth_failures *f, const struct address *a)
{
    struct entry *e;
    LIST_FOREACH(e, chain_of(f, a), chain)
    {
        if (memcmp(&e->address, a, sizeof(*a)) == 0)
            return e;
    }
    return NULL;
}

static bool has_room(const struct auth_failures *f, int64_t now_us)
{
    return f->count < f->max || TAILQ_FIRST(&f->order)->full_at_us <= now_us;
}

// NULL where all are held and none is idle.
static struct entry *make(struct auth_failures *f, const struct address *a, int64_t now_us)
{
    struct entry *e;
    if (!has_room(f, now_us))
        return NULL;
    if (f->count < f->max) {
        e = &f->entries[f->count++];
    } else {
        e = TAILQ_FIRST(&f->order);
        LIST_REMOVE(e, chain);
        TAILQ_REMOVE(&f->order, e, link);
    }
    e->address = *a;
    e->full_at_us = now_us;
    LIST_INSERT_HEAD(chain_of(f, a), e, chain);
    TAILQ_INSERT_TAIL(&f->order, e, link);
    return e;
}

// How long one more failure is beyond the limit; 0 where it is within.
static int64_t beyond_us(const struct auth_failures *f, int64_t full_at_us, int64_t now_us)
{
    return max_i64(max_i64(full_at_us, now_us) + f->each_us - (now_us + f->burst_us), 0);
}

bool auth_failures_is_over(struct auth_failures *f, const char *address, int64_t now_us)
{
    struct address a = address_of(address);
    struct entry *e = find(f, &a);
    if (e)
        return beyond_us(f, e->full_at_us, now_us) > 0;
    return !has_room(f, now_us) && beyond_us(f, f->others_full_at_us, now_us) > 0;
}

int64_t auth_failures_add(struct auth_failures *f, const char *address, int64_t now_us)
{
    struct address a = address_of(address);
    struct entry *e = find(f, &a);
    if (!e)
        e = make(f, &a, now_us);
    int64_t *full_at_us = e ? &e->full_at_us : &f->others_full_at_us;
    int64_t wait_us = beyond_us(f, *full_at_us, now_us);
    if (wait_us > 0)
        return wait_us;
    *full_at_us = max_i64(*full_at_us, now_us) + f->each_us;
    if (e) {
        TAILQ_REMOVE(&f->order, e, link);
        TAILQ_INSERT_TAIL(&f->order, e, link);
    }
    return 0;
}

size_t auth_failures_count(const struct auth_failures *f)
{
    return f->count;
}
