// SPDX-License-Identifier: Apache-2.0
#include "common/core/base.h"

#include <sys/mman.h>

#include <stdio.h>

static void out_of_memory(size_t n)
{
    fprintf(stderr, "out of memory: %zu bytes\n", n);
    abort();
}

void *xmalloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p)
        out_of_memory(n);
    return p;
}

void *xcalloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p)
        out_of_memory(count * size);
    return p;
}

#define HUGE_MIN (4u << 20) // below it the library's memory does

void *xcalloc_huge(size_t size)
{
    if (size < HUGE_MIN) {
        void *small = aligned_alloc(CACHE_LINE, (size / CACHE_LINE + 1) * CACHE_LINE);
        if (!small)
            out_of_memory(size);
        return memset(small, 0, size);
    }
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        out_of_memory(size);
    madvise(p, size, MADV_HUGEPAGE); // a wish
    return p;
}

void free_huge(void *p, size_t size)
{
    if (size < HUGE_MIN)
        free(p);
    else if (p)
        munmap(p, size);
}

void *xrealloc(void *old, size_t n)
{
    void *p = realloc(old, n ? n : 1);
    if (!p)
        out_of_memory(n);
    return p;
}

void *xmemdup(const void *p, size_t n)
{
    void *copy = xmalloc(n);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

char *xstrdup(const char *s)
{
    return xmemdup(s, strlen(s) + 1);
}
