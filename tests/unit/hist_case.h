// SPDX-License-Identifier: Apache-2.0
// What the tests of histograms share: values at random, and what two of them have in common.
#ifndef STREAMLENS_TESTS_HIST_CASE_H
#define STREAMLENS_TESTS_HIST_CASE_H

#include "common/core/hist.h"

#include <check.h>

static uint64_t random_state;

static inline uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

// Evenly over the octaves, as latencies are; with some zeros and some values above the range.
static inline int64_t random_value(void)
{
    if (random_u64() % 50 == 0)
        return 0;
    int64_t value = (int64_t)(random_u64() >> (32 + random_u64() % 32));
    return random_u64() % 50 == 0 ? HIST_MAX_US + 1 + value : min_i64(value, HIST_MAX_US);
}

static inline void record_random(struct hist *h, int64_t *values, int n)
{
    for (int i = 0; i < n; i++) {
        int64_t value = random_value();
        hist_record(h, value);
        if (values)
            values[i] = value;
    }
}

static inline void assert_same(const struct hist *a, const struct hist *b)
{
    struct buf left = {0}, right = {0};
    hist_encode(a, &left);
    hist_encode(b, &right);
    ck_assert_uint_eq(left.n, right.n);
    ck_assert_mem_eq(left.p, right.p, left.n);
    ck_assert_int_eq(a->total, b->total);
    ck_assert_int_eq(a->clamped, b->clamped);
    ck_assert_int_eq(a->sum_us, b->sum_us);
    ck_assert_int_eq(a->max_us, b->max_us);
    buf_free(&left);
    buf_free(&right);
}

static inline int64_t count_of(const struct hist *h, int index)
{
    struct hist_filled filled[HIST_COUNTS + 1];
    int64_t count = 0;
    for (int i = hist_filled(h, filled) - 1; i >= 0; i--)
        count += filled[i].index == index ? filled[i].count : 0;
    return count;
}

// The same values, of which one has counts all the while: it held more once.
static inline void make_counts(struct hist *h)
{
    h->chunk = xcalloc(HIST_CHUNKS, sizeof(*h->chunk));
}

#endif
