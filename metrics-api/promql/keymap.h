// SPDX-License-Identifier: Apache-2.0
// Byte strings to numbers from 0 on, in the order of their first coming: groups and series by their
// labels. Keys are strangers', so their hash is keyed.
#ifndef STREAMLENS_PROMQL_KEYMAP_H
#define STREAMLENS_PROMQL_KEYMAP_H

#include "common/core/hash.h"
#include "metrics-api/promql/arena.h"

struct keymap_slot {
    uint64_t hash;
    struct str key; // p NULL: free
    size_t number;
};
struct keymap {
    struct arena *arena;             // borrowed: keys and slots live there
    const struct hash_key *hash_key; // borrowed
    struct keymap_slot *slots;
    size_t n, cap;
};

void keymap_init(struct keymap *m, struct arena *arena, const struct hash_key *hash_key);
// The key's number. One that is new has the number that m->n was before.
size_t keymap_add(struct keymap *m, struct str key);

#endif
