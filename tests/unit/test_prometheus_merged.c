// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/merged.h"

#include "common/core/hist.h"
#include "common/core/timeunit.h"
#include "tests/sim/random.h"

#include <check.h>

#define BLOCKS_MAX 12
#define FILLED_MAX 40
#define CACHE_BYTES (1 << 16)

struct stored {
    struct facts_block block;
    struct facts_hist hists[FACTS_BLOCK_MINUTES];
    uint16_t index[FACTS_BLOCK_MINUTES][FILLED_MAX];
    int64_t count[FACTS_BLOCK_MINUTES][FILLED_MAX];
};
static struct stored stored[BLOCKS_MAX];
static const struct facts_block *blocks[BLOCKS_MAX];
static size_t block_count;
static struct hash_key hash_key;
static struct merged_cache *cache;

static void make(void)
{
    hash_key_init(&hash_key, "case", 4);
    cache = merged_cache_new(CACHE_BYTES, &hash_key);
    block_count = 0;
}

static void clear(void)
{
    merged_cache_free(cache);
}

static struct stored *add_block(uint64_t serial)
{
    struct stored *s = &stored[block_count];
    memset(s, 0, sizeof(*s));
    s->block = (struct facts_block){.start_us = 20 * US_PER_MIN,
                                    .unit = FACTS_MINUTES,
                                    .group = FACTS_TTFT,
                                    .serial = serial,
                                    .hists = s->hists};
    blocks[block_count++] = &s->block;
    return s;
}

// Places ascend, and a place's indexes.
static void add_count(struct stored *s, uint8_t place, int index, int64_t count)
{
    struct facts_block *b = &s->block;
    if (b->n == 0 || b->place[b->n - 1] != place)
        b->place[b->n++] = place;
    size_t row = b->n - 1, i = s->hists[row].n++;
    s->index[row][i] = (uint16_t)index;
    s->count[row][i] = count;
    s->hists[row].index = s->index[row];
    s->hists[row].count = s->count[row];
}

static void add_empty(struct stored *s, uint8_t place)
{
    s->block.place[s->block.n++] = place;
}

static const struct facts_block *sum(size_t n)
{
    return merged_block(cache, blocks, n);
}

// ---- sums ---------------------------------------------------------------------------------------

static int64_t count_at(const struct facts_block *b, uint8_t place, int index)
{
    for (size_t r = 0; r < b->n; r++)
        for (size_t i = 0; b->place[r] == place && i < b->hists[r].n; i++)
            if (b->hists[r].index[i] == index)
                return b->hists[r].count[i];
    return 0;
}

static bool has_row(const struct facts_block *b, uint8_t place)
{
    for (size_t r = 0; r < b->n; r++)
        if (b->place[r] == place)
            return true;
    return false;
}

static void add_up(const struct facts_block *b, int64_t sign,
                   int64_t sums[FACTS_BLOCK_MINUTES][HIST_COUNTS])
{
    for (size_t r = 0; r < b->n; r++)
        for (size_t i = 0; i < b->hists[r].n; i++)
            sums[b->place[r]][b->hists[r].index[i]] += sign * b->hists[r].count[i];
}

static void check_sum(const struct facts_block *got, size_t n)
{
    static int64_t sums[FACTS_BLOCK_MINUTES][HIST_COUNTS], zero[FACTS_BLOCK_MINUTES][HIST_COUNTS];
    size_t rows = 0;
    memset(sums, 0, sizeof(sums));
    add_up(got, -1, sums);
    for (size_t k = 0; k < n; k++)
        add_up(blocks[k], 1, sums);
    ck_assert_int_eq(memcmp(sums, zero, sizeof(sums)), 0);
    for (uint8_t place = 0; place < FACTS_BLOCK_MINUTES; place++) {
        bool any = false;
        for (size_t k = 0; k < n; k++)
            any = any || has_row(blocks[k], place);
        ck_assert(has_row(got, place) == any);
        rows += any;
    }
    ck_assert_uint_eq(got->n, rows);
    for (size_t r = 0; r < got->n; r++) {
        ck_assert(r == 0 || got->place[r - 1] < got->place[r]);
        for (size_t i = 0; i < got->hists[r].n; i++) {
            ck_assert(i == 0 || got->hists[r].index[i - 1] < got->hists[r].index[i]);
            ck_assert_int_gt(got->hists[r].count[i], 0);
        }
    }
}

START_TEST(a_sum_has_all_rows_and_counts)
{
    struct random r = {(uint64_t)_i + 1};
    for (int round = 0; round < 3; round++) { // what is left of one sum is not in the next
        size_t n = 1 + (size_t)random_below(&r, BLOCKS_MAX);
        block_count = 0;
        for (size_t k = 0; k < n; k++) {
            struct stored *s = add_block((uint64_t)(round * BLOCKS_MAX) + k + 1);
            for (uint8_t place = 0; place < FACTS_BLOCK_MINUTES; place++) {
                int index = random_below(&r, HIST_COUNTS), filled = random_below(&r, FILLED_MAX);
                if (random_chance(&r, 30))
                    continue;
                add_empty(s, place);
                for (; filled > 0 && index < HIST_COUNTS; filled--) {
                    add_count(s, place, index, 1 + random_below(&r, 1000));
                    index += 1 + random_below(&r, 20);
                }
            }
        }
        const struct facts_block *got = sum(n);
        ck_assert_int_eq(got->start_us, 20 * US_PER_MIN);
        ck_assert_int_eq(got->group, FACTS_TTFT);
        check_sum(got, n);
        merged_let_go(cache, got);
    }
}
END_TEST

START_TEST(the_first_bucket_and_the_last)
{
    add_count(add_block(1), 9, 0, 1);
    add_count(add_block(2), 9, HIST_COUNTS - 1, 2);
    const struct facts_block *got = sum(2);
    check_sum(got, 2);
    merged_let_go(cache, got);
}
END_TEST

START_TEST(rows_without_values_are_rows)
{
    add_empty(add_block(1), 3);
    add_empty(add_block(2), 3);
    const struct facts_block *got = sum(2);
    ck_assert_uint_eq(got->n, 1);
    ck_assert_uint_eq(got->place[0], 3);
    ck_assert_uint_eq(got->hists[0].n, 0);
    merged_let_go(cache, got);
}
END_TEST

START_TEST(counts_wrap)
{
    for (uint64_t i = 1; i <= 3; i++)
        add_count(add_block(i), 0, 5, INT64_MAX);
    const struct facts_block *got = sum(3);
    ck_assert_int_eq(count_at(got, 0, 5), INT64_MAX - 2);
    merged_let_go(cache, got);
}
END_TEST

// ---- what is kept -------------------------------------------------------------------------------

START_TEST(the_same_blocks_are_summed_once)
{
    for (uint64_t i = 1; i <= 3; i++)
        add_count(add_block(i), 0, 5, (int64_t)i);
    const struct facts_block *both = sum(2), *three = sum(3);
    ck_assert_ptr_ne(both, three);
    ck_assert_ptr_eq(sum(2), both); // in use twice
    merged_let_go(cache, both);
    merged_let_go(cache, both);
    ck_assert_ptr_eq(sum(2), both);
    stored[1].block.serial = 7; // read again
    stored[1].count[0][0] = 70;
    const struct facts_block *later = sum(2);
    ck_assert_int_eq(count_at(both, 0, 5), 3);
    ck_assert_int_eq(count_at(later, 0, 5), 71);
    merged_let_go(cache, both);
    merged_let_go(cache, later);
    merged_let_go(cache, three);
}
END_TEST

START_TEST(without_a_serial_nothing_is_kept)
{
    add_count(add_block(1), 0, 5, 1);
    add_count(add_block(0), 0, 5, 1);
    const struct facts_block *got = sum(2);
    stored[1].count[0][0] = 8;
    const struct facts_block *again = sum(2);
    ck_assert_int_eq(count_at(got, 0, 5), 2);
    ck_assert_int_eq(count_at(again, 0, 5), 9);
    ck_assert_uint_eq(merged_cache_bytes(cache), 0);
    merged_let_go(cache, got);
    merged_let_go(cache, again);
}
END_TEST

// Of many sums; each is let go at once.
static void fill(uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        stored[0].block.serial = 2 * i + 1;
        stored[1].block.serial = 2 * i + 2;
        merged_let_go(cache, sum(2));
    }
}

START_TEST(memory_is_bounded_and_what_was_not_used_for_longest_leaves)
{
    add_count(add_block(1), 0, 5, 1);
    add_count(add_block(2), 0, 6, 1);
    const struct facts_block *kept = sum(2);
    size_t one = merged_cache_bytes(cache);
    ck_assert_uint_gt(one, 100);
    fill(1, 100);
    ck_assert_uint_eq(merged_cache_bytes(cache), 100 * one);
    fill(100, 1000);
    ck_assert_uint_le(merged_cache_bytes(cache), CACHE_BYTES);
    ck_assert_uint_gt(merged_cache_bytes(cache), CACHE_BYTES - one);
    stored[0].block.serial = 1;
    stored[1].block.serial = 2;
    ck_assert_ptr_eq(sum(2), kept); // in use all the time
    merged_let_go(cache, kept);
    merged_let_go(cache, kept);
    stored[0].count[0][0] = 50; // who sums anew finds this
    size_t most = CACHE_BYTES / one;
    fill(1000 - most + 2, 1000 - most + 3);
    const struct facts_block *newest = sum(2);
    ck_assert_int_eq(count_at(newest, 0, 5), 1);
    merged_let_go(cache, newest);
    fill(3000, 3000 + most - 1);
    stored[0].block.serial = 1;
    stored[1].block.serial = 2;
    const struct facts_block *gone = sum(2);
    ck_assert_int_eq(count_at(gone, 0, 5), 50);
    merged_let_go(cache, gone);
}
END_TEST

START_TEST(what_has_no_room_is_summed_all_the_same)
{
    struct merged_cache *none = merged_cache_new(0, &hash_key);
    add_count(add_block(1), 0, 5, 1);
    add_count(add_block(2), 0, 5, 1);
    const struct facts_block *got = merged_block(none, blocks, 2);
    ck_assert_int_eq(count_at(got, 0, 5), 2);
    ck_assert_uint_eq(merged_cache_bytes(none), 0);
    merged_let_go(none, got);
    merged_cache_free(none);
    merged_cache_free(NULL);
    // Nor does anything that is in use make room.
    const struct facts_block *first = sum(2);
    struct merged_cache *small = merged_cache_new(merged_cache_bytes(cache), &hash_key);
    const struct facts_block *held = merged_block(small, blocks, 2);
    stored[0].block.serial = 3;
    const struct facts_block *beside = merged_block(small, blocks, 2);
    ck_assert_uint_eq(merged_cache_bytes(small), merged_cache_bytes(cache));
    merged_let_go(small, held);
    merged_let_go(small, beside);
    merged_let_go(cache, first);
    // What is too large for all of it sends nobody away.
    add_count(&stored[0], 0, 9, 1);
    merged_let_go(small, merged_block(small, blocks, 2));
    ck_assert_uint_eq(merged_cache_bytes(small), merged_cache_bytes(cache));
    merged_cache_free(small);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("prometheus_merged");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_loop_test(tc, a_sum_has_all_rows_and_counts, 0, 30);
    tcase_add_test(tc, the_first_bucket_and_the_last);
    tcase_add_test(tc, rows_without_values_are_rows);
    tcase_add_test(tc, counts_wrap);
    tcase_add_test(tc, the_same_blocks_are_summed_once);
    tcase_add_test(tc, without_a_serial_nothing_is_kept);
    tcase_add_test(tc, memory_is_bounded_and_what_was_not_used_for_longest_leaves);
    tcase_add_test(tc, what_has_no_room_is_summed_all_the_same);
    Suite *suite = suite_create("prometheus_merged");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
