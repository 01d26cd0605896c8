// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/arena.h"

#include <stdalign.h>

#define CHUNK_BYTES ((size_t)16 << 10)

struct arena_chunk {
    struct arena_chunk *next;
    alignas(max_align_t) char bytes[];
};

static size_t aligned(size_t n)
{
    size_t unit = alignof(max_align_t);
    return (n + unit - 1) / unit * unit;
}

void *arena_alloc(struct arena *a, size_t n)
{
    n = aligned(n ? n : 1);
    if (a->left < n) {
        size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
        struct arena_chunk *chunk = xcalloc(1, sizeof(*chunk) + size);
        chunk->next = a->chunks;
        a->chunks = chunk;
        a->p = chunk->bytes;
        a->left = size;
        a->bytes += size;
    }
    void *p = a->p;
    a->p += n;
    a->left -= n;
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        abort(); // every count was checked against a limit before
    return arena_alloc(a, n);
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return (struct str){p, s.n};
}

void arena_free(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *next = a->chunks->next;
        free(a->chunks);
        a->chunks = next;
    }
    *a = (struct arena){0};
}
