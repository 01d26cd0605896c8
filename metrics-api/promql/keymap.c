// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/keymap.h"

void keymap_init(struct keymap *m, struct arena *arena, const struct hash_key *hash_key)
{
    *m = (struct keymap){.arena = arena, .hash_key = hash_key};
}

// The slot of the key, or the free one where it belongs.
static struct keymap_slot *slot_of(struct keymap_slot *slots, size_t cap, uint64_t hash,
                                   struct str key)
{
    size_t i = (size_t)hash & (cap - 1);
    while (slots[i].key.p && (slots[i].hash != hash || !str_eq(slots[i].key, key)))
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static void grow(struct keymap *m)
{
    size_t cap = m->cap ? m->cap * 2 : 16;
    struct keymap_slot *slots = arena_array(m->arena, cap, sizeof(*slots));
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key.p)
            *slot_of(slots, cap, m->slots[i].hash, m->slots[i].key) = m->slots[i];
    m->slots = slots;
    m->cap = cap;
}

size_t keymap_add(struct keymap *m, struct str key)
{
    if ((m->n + 1) * 2 > m->cap)
        grow(m);
    uint64_t hash = hash_keyed64(m->hash_key, key.p, key.n);
    struct keymap_slot *slot = slot_of(m->slots, m->cap, hash, key);
    if (!slot->key.p)
        *slot = (struct keymap_slot){hash, arena_str(m->arena, key), m->n++};
    return slot->number;
}
