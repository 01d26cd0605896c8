// SPDX-License-Identifier: Apache-2.0
// Attributes and small helpers. Every other header may include this one; it
// includes nothing of ours.
#ifndef STREAMLENS_BASE_H
#define STREAMLENS_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#define NOINLINE __attribute__((noinline)) // keeps what is seldom out of what is not: its registers
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// A sum that stays at INT64_MAX instead of wrapping. Stored sums must never turn negative, whatever
// the log holds; no honest traffic reaches the limit. Arguments are non-negative.
static inline int64_t add_sat_i64(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

// A borrowed byte string: not NUL-terminated, owned by somebody else. { NULL, 0 } is "absent".
struct str {
    const char *p;
    size_t n;
};

#define STR_LIT(s) ((struct str){(s), sizeof(s) - 1})

static inline bool str_eq(struct str a, struct str b)
{
    // By b's length, which mostly is the literal's: then there is no call.
    return a.n == b.n && (b.n == 0 || memcmp(a.p, b.p, b.n) == 0);
}

static inline struct str str_of(const char *cstr)
{
    return (struct str){cstr, cstr ? strlen(cstr) : 0};
}

// Allocation failure is not an operating error that this software can answer: it ends the process,
// and the log brings the state back. Each returns memory to be freed with free().
void *xmalloc(size_t n) __attribute__((malloc, returns_nonnull, warn_unused_result));
// Zeroed memory that is looked into at random: of large tables in pages of 2 MiB, where the kernel
// gives any (transparent_hugepage not "never"), since small ones cost a walk through the page
// tables at each look, and a fault each at first. A third of the time of a replay
// (tests/bench/README.md). It begins with a line of the cache.
#define CACHE_LINE 64
void *xcalloc_huge(size_t size) __attribute__((returns_nonnull));
void free_huge(void *p, size_t size); // the size that was asked for; NULL is fine
void *xcalloc(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull, warn_unused_result));
void *xrealloc(void *p, size_t n) __attribute__((returns_nonnull, warn_unused_result));
void *xmemdup(const void *p, size_t n) __attribute__((returns_nonnull, warn_unused_result));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull, warn_unused_result));

#endif
