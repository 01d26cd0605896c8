// SPDX-License-Identifier: Apache-2.0
// An array of records, and an index by id with open addressing, at most half full. The hash is not
// keyed: ids are made by us, and who presents one can only look, not add.
#include "common/core/key_table.h"

#include "common/core/hash.h"

#include <openssl/crypto.h>

struct key_table {
    struct key_record *records;
    size_t count, cap;
    uint32_t *index; // 0 = free, else number of the record + 1
    size_t slots;    // a power of two
};

struct key_table *key_table_new(void)
{
    struct key_table *t = xcalloc(1, sizeof(*t));
    t->slots = 16;
    t->index = xcalloc(t->slots, sizeof(*t->index));
    return t;
}

void key_table_free(struct key_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->records[i].tenant);
    free(t->records);
    free(t->index);
    free(t);
}

// The slot that holds the id, or the free one where it would go.
static uint32_t *slot_of(const struct key_table *t, const char *id)
{
    size_t i = hash_stable64(id, API_KEY_ID_LEN);
    for (;; i++) {
        uint32_t *slot = &t->index[i & (t->slots - 1)];
        if (*slot == 0 || memcmp(t->records[*slot - 1].id, id, API_KEY_ID_LEN) == 0)
            return slot;
    }
}

static void grow(struct key_table *t)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 8;
        t->records = xrealloc(t->records, t->cap * sizeof(*t->records));
    }
    if ((t->count + 1) * 2 <= t->slots)
        return;
    free(t->index);
    t->slots *= 2;
    t->index = xcalloc(t->slots, sizeof(*t->index));
    for (size_t i = 0; i < t->count; i++)
        *slot_of(t, t->records[i].id) = (uint32_t)i + 1;
}

int key_table_add(struct key_table *t, struct key_record *r)
{
    if (t->count == KEY_TABLE_MAX)
        return -1;
    grow(t);
    uint32_t *slot = slot_of(t, r->id);
    if (*slot != 0)
        return -1;
    t->records[t->count] = *r;
    *slot = (uint32_t)++t->count;
    r->tenant = NULL;
    return 0;
}

size_t key_table_count(const struct key_table *t)
{
    return t->count;
}

struct key_record *key_table_at(struct key_table *t, size_t i)
{
    assert(i < t->count);
    return &t->records[i];
}

struct key_record *key_table_by_id(struct key_table *t, const char *id)
{
    uint32_t slot = *slot_of(t, id);
    return slot ? &t->records[slot - 1] : NULL;
}

void key_table_carry_used(struct key_table *t, struct key_table *from)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct key_record *old = key_table_by_id(from, t->records[i].id);
        t->records[i].used |= old && old->used;
    }
}

struct key_record *key_table_find(struct key_table *t, struct str text, int64_t now_us)
{
    if (!api_key_is_well_formed(text))
        return NULL;
    struct key_record *r = key_table_by_id(t, text.p + 4);
    if (!r)
        return NULL;
    unsigned char hash[API_KEY_HASH_BYTES];
    api_key_hash(text, hash);
    if (CRYPTO_memcmp(hash, r->hash, sizeof(hash)) != 0 || now_us >= r->expires_us)
        return NULL;
    return r;
}
