// SPDX-License-Identifier: Apache-2.0
// Memory of a query: taken piece by piece, given back at once. Zero-initialise it to begin.
#ifndef STREAMLENS_PROMQL_ARENA_H
#define STREAMLENS_PROMQL_ARENA_H

#include "common/core/base.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; // owned
    char *p;                    // what is free of the first one
    size_t left;
    size_t bytes; // of all of them
};

// Zeroed and aligned for anything; good until arena_free().
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull));
void *arena_array(struct arena *a, size_t count, size_t size) __attribute__((returns_nonnull));
struct str arena_str(struct arena *a, struct str s); // a copy; p is never NULL
void arena_free(struct arena *a);                    // leaves it ready for reuse

#endif
