// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "tests/unit/facts_case.h"

#define TEN_MINUTES FRESHNESS_PLACE_US
#define ALWAYS_CLOSED INT64_MAX

static void setup_anew(size_t room)
{
    teardown();
    setup_with(room);
}

static int64_t block_start(int n)
{
    return DAY + n * TEN_MINUTES;
}

static void notify_minute(int64_t at_us)
{
    char payload[64];
    long long minute = at_us / US_PER_MIN;
    snprintf(payload, sizeof(payload), "%lld-%lld", minute, minute);
    freshness_notify(&f, payload);
}

// Block n of a series' sums, with one row, whose requests are `value`; in use.
static const struct facts_block *fill(struct facts_series *s, int n, int64_t value, int64_t read_us,
                                      int64_t closed_through_us)
{
    struct facts_filling *b =
        facts_filling_new(cache, s, FACTS_MINUTES, FACTS_SUMS, block_start(n), f.now, read_us);
    add(b, &(struct fact_row){.window_start_us = block_start(n), .requests = value});
    return facts_filling_end(b, closed_through_us);
}

// The same, closed, read at 0, and let go.
static void put(int n, int64_t value)
{
    facts_block_let_go(cache, fill(series, n, value, 0, ALWAYS_CLOSED));
}

static const struct facts_block *find_at(int n, int64_t now_us)
{
    return facts_cache_find(cache, series, FACTS_MINUTES, FACTS_SUMS, block_start(n), INT64_MAX, &f,
                            now_us);
}

// The value that was put; -1: none.
static int64_t value_at(int n, int64_t now_us)
{
    const struct facts_block *b = find_at(n, now_us);
    int64_t value = b ? b->columns[FACTS_requests] : -1;
    if (b)
        facts_block_let_go(cache, b);
    return value;
}

// ---- which block --------------------------------------------------------------------------------

START_TEST(blocks_are_told_apart_by_all_that_they_are_of)
{
    const char *const names[][3] = {{"acme", "/chat", "gpt"},
                                    {"acm", "e/chat", "gpt"},
                                    {"acm", "e/cha", "tgpt"},
                                    {"acme", "/cha", "tgpt"},
                                    {"", "", ""},
                                    {"acme/chat", "", "gpt"},
                                    {"Acme", "/chat", "gpt"}};
    const struct facts_block *blocks[ARRAY_LEN(names)][2][2][2];
    struct facts_series *of[ARRAY_LEN(names)];
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        of[i] = facts_cache_series(cache, str_of(names[i][0]), str_of(names[i][1]),
                                   str_of(names[i][2]));
    ck_assert_ptr_eq(of[0], series);
    for (unsigned k = 0; k < ARRAY_LEN(names) * 8; k++)
        blocks[k / 8][k / 4 % 2][k / 2 % 2][k % 2] = facts_filling_end(
            facts_filling_new(cache, of[k / 8], k / 4 % 2 ? FACTS_HOURS : FACTS_MINUTES,
                              k / 2 % 2 ? FACTS_TTFT : FACTS_COSTS, DAY + (k % 2) * US_PER_DAY,
                              f.now, 0),
            ALWAYS_CLOSED);
    for (unsigned k = 0; k < ARRAY_LEN(names) * 8; k++) {
        const struct facts_block *want = blocks[k / 8][k / 4 % 2][k / 2 % 2][k % 2];
        const struct facts_block *found = facts_cache_find(
            cache, of[k / 8], k / 4 % 2 ? FACTS_HOURS : FACTS_MINUTES,
            k / 2 % 2 ? FACTS_TTFT : FACTS_COSTS, DAY + (k % 2) * US_PER_DAY, INT64_MAX, &f, 0);
        ck_assert_ptr_eq(found, want);
        facts_block_let_go(cache, found);
        facts_block_let_go(cache, want);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        facts_series_let_go(cache, of[i]);
}
END_TEST

// Sums of blocks are kept by their serials (merged.h).
START_TEST(no_two_blocks_have_the_same_serial)
{
    struct facts_series *other =
        facts_cache_series(cache, STR_LIT("acme"), STR_LIT("/chat"), STR_LIT("claude"));
    const struct facts_block *blocks[] = {
        fill(series, 0, 1, 0, ALWAYS_CLOSED), fill(series, 0, 2, 1, ALWAYS_CLOSED),
        fill(series, 0, 3, 0, ALWAYS_CLOSED), // and is not kept
        fill(series, 1, 4, 0, ALWAYS_CLOSED), fill(other, 0, 5, 0, ALWAYS_CLOSED)};
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        ck_assert_uint_ne(blocks[i]->serial, 0);
        for (size_t k = 0; k < i; k++)
            ck_assert_uint_ne(blocks[i]->serial, blocks[k]->serial);
    }
    uint64_t serial = blocks[1]->serial;
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        facts_block_let_go(cache, blocks[i]);
    const struct facts_block *found = find_at(0, 1);
    ck_assert_uint_eq(found->serial, serial);
    facts_block_let_go(cache, found);
    facts_series_let_go(cache, other);
}
END_TEST

START_TEST(many_series_and_blocks_are_found)
{
    enum { SERIES = 700, BLOCKS = 3 };
    struct facts_series *of[SERIES];
    char name[16];
    for (int i = 0; i < SERIES; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        of[i] = facts_cache_series(cache, STR_LIT("acme"), STR_LIT("/chat"), str_of(name));
        for (int n = 0; n < BLOCKS; n++)
            facts_block_let_go(cache, fill(of[i], n, i * BLOCKS + n, 0, ALWAYS_CLOSED));
    }
    for (int i = 0; i < SERIES; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        struct facts_series *s =
            facts_cache_series(cache, STR_LIT("acme"), STR_LIT("/chat"), str_of(name));
        ck_assert_ptr_eq(s, of[i]);
        for (int n = 0; n < BLOCKS; n++) {
            const struct facts_block *b = facts_cache_find(cache, s, FACTS_MINUTES, FACTS_SUMS,
                                                           block_start(n), INT64_MAX, &f, 0);
            ck_assert_ptr_nonnull(b);
            ck_assert_int_eq(b->columns[FACTS_requests], i * BLOCKS + n);
            facts_block_let_go(cache, b);
        }
        facts_series_let_go(cache, s);
        facts_series_let_go(cache, of[i]);
    }
}
END_TEST

// ---- whether it holds ---------------------------------------------------------------------------

START_TEST(closed_ones_hold_until_their_ten_minutes_are_named)
{
    for (int n = 0; n < 4; n++)
        put(n, 100 + n);
    size_t before = facts_cache_bytes(cache);
    notify_minute(block_start(2) - 1);
    ck_assert_int_eq(value_at(0, 0), 100);
    ck_assert_int_eq(value_at(2, 0), 102);
    ck_assert_int_eq(value_at(3, 0), 103);
    ck_assert_uint_eq(facts_cache_bytes(cache), before);
    ck_assert_int_eq(value_at(1, 0), -1);
    ck_assert_uint_lt(facts_cache_bytes(cache), before); // dropped
    put(1, 201);                                         // read afterwards
    ck_assert_int_eq(value_at(1, 0), 201);
    freshness_notify(&f, "");
    ck_assert_int_eq(value_at(1, 0), 201);
    freshness_notify(&f, "*");
    ck_assert_int_eq(value_at(0, 0), -1);
    put(0, 1);
    freshness_down(&f);
    ck_assert_int_eq(value_at(0, 0), -1);
}
END_TEST

START_TEST(open_ones_hold_until_anything_is_heard)
{
    int64_t end = block_start(0) + TEN_MINUTES;
    facts_block_let_go(cache, fill(series, 0, 5, 0, end - 1));
    ck_assert_int_eq(value_at(0, 0), 5);
    freshness_notify(&f, "");
    ck_assert_int_eq(value_at(0, 0), -1);
    facts_block_let_go(cache, fill(series, 0, 6, 0, end)); // closed
    freshness_notify(&f, "");
    ck_assert_int_eq(value_at(0, 0), 6);
}
END_TEST

START_TEST(ages_end_them)
{
    int64_t end = block_start(0) + TEN_MINUTES;
    facts_block_let_go(cache, fill(series, 0, 5, 100, end - 1));
    ck_assert_int_eq(value_at(0, 100 + MAX_AGE_US - 1), 5);
    ck_assert_int_eq(value_at(0, 100 + MAX_AGE_US), -1);
    facts_block_let_go(cache, fill(series, 0, 6, 100, end));
    ck_assert_int_eq(value_at(0, 100 + CLOSED_MAX_AGE_US - 1), 6);
    ck_assert_int_eq(value_at(0, 100 + CLOSED_MAX_AGE_US), -1);
}
END_TEST

static bool finds_hours(int64_t to_us, int64_t now_us)
{
    const struct facts_block *b =
        facts_cache_find(cache, series, FACTS_HOURS, FACTS_SUMS, DAY, to_us, &f, now_us);
    if (b)
        facts_block_let_go(cache, b);
    return b != NULL;
}

static void put_hours(int64_t closed_through_us)
{
    struct facts_filling *b =
        facts_filling_new(cache, series, FACTS_HOURS, FACTS_SUMS, DAY, f.now, 0);
    facts_block_let_go(cache, facts_filling_end(b, closed_through_us));
}

// The first hours of a day under way.
START_TEST(what_is_looked_at_matters_alone)
{
    int64_t hour9 = DAY + 9 * US_PER_HOUR;
    put_hours(hour9);
    notify_minute(hour9);
    ck_assert(finds_hours(hour9, MAX_AGE_US)); // closed: the other age
    ck_assert(finds_hours(DAY, MAX_AGE_US));
    notify_minute(hour9 - 1);
    ck_assert(finds_hours(hour9 - TEN_MINUTES, 0));
    ck_assert(!finds_hours(hour9, 0));
    put_hours(hour9);
    ck_assert(finds_hours(hour9 + 1, 0));
    ck_assert(!finds_hours(hour9 + 1, MAX_AGE_US));
    put_hours(hour9);
    freshness_notify(&f, "");
    ck_assert(!finds_hours(hour9 + 1, 0));
    // All of a day, and no more than that.
    put_hours(DAY + US_PER_DAY);
    notify_minute(DAY + US_PER_DAY);
    ck_assert(finds_hours(INT64_MAX, MAX_AGE_US));
    notify_minute(DAY + US_PER_DAY - 1);
    ck_assert(!finds_hours(INT64_MAX, 0));
}
END_TEST

// ---- in use -------------------------------------------------------------------------------------

START_TEST(one_in_use_stays_as_it_is_though_there_is_a_newer_one)
{
    const struct facts_block *old = fill(series, 0, 1, 0, ALWAYS_CLOSED);
    size_t bytes = facts_cache_bytes(cache);
    const struct facts_block *newer = fill(series, 0, 2, 1, ALWAYS_CLOSED);
    ck_assert_uint_eq(facts_cache_bytes(cache), bytes); // one of them is the cache's
    ck_assert_int_eq(old->columns[FACTS_requests], 1);
    facts_block_let_go(cache, newer);
    ck_assert_int_eq(value_at(0, 0), 2);
    facts_block_use(old);
    facts_block_let_go(cache, old);
    ck_assert_int_eq(old->columns[FACTS_requests], 1); // one more uses it
    facts_block_let_go(cache, old);
    ck_assert_int_eq(value_at(0, 0), 2);
}
END_TEST

START_TEST(one_in_use_that_is_dropped_goes_with_its_last_user)
{
    put(0, 1);
    const struct facts_block *a = find_at(0, 0), *b = find_at(0, 0);
    ck_assert_ptr_eq(a, b);
    freshness_notify(&f, "*");
    ck_assert_ptr_null(find_at(0, 0));
    ck_assert_uint_eq(facts_cache_bytes(cache), 0);
    facts_block_let_go(cache, a);
    ck_assert_int_eq(b->columns[FACTS_requests], 1);
    facts_block_let_go(cache, b);
}
END_TEST

// Answers come in another order than they were asked for.
START_TEST(the_one_asked_for_last_is_kept)
{
    uint64_t since = f.now;
    freshness_notify(&f, "");
    for (int k = 0; k < 2; k++) {
        facts_block_let_go(cache, fill(series, 0, 1, 7, ALWAYS_CLOSED));
        struct facts_filling *b = facts_filling_new(cache, series, FACTS_MINUTES, FACTS_SUMS,
                                                    block_start(0), k ? f.now : since, k ? 6 : 8);
        add(b, &(struct fact_row){.window_start_us = DAY, .requests = 2});
        const struct facts_block *late = facts_filling_end(b, ALWAYS_CLOSED);
        ck_assert_int_eq(late->columns[FACTS_requests], 2);
        ck_assert_int_eq(value_at(0, 8), 1);
        facts_block_let_go(cache, late);
        ck_assert_int_eq(value_at(0, 8), 1);
    }
    facts_block_let_go(cache, fill(series, 0, 3, 7, ALWAYS_CLOSED)); // at once: either would do
    ck_assert_int_eq(value_at(0, 8), 3);
}
END_TEST

START_TEST(a_block_and_a_filling_keep_their_series)
{
    struct facts_series *s = facts_cache_series(cache, STR_LIT("a"), STR_LIT("b"), STR_LIT("c"));
    struct facts_filling *b = facts_filling_new(cache, s, FACTS_MINUTES, FACTS_SUMS, DAY, f.now, 0);
    facts_series_let_go(cache, s);
    add(b, &(struct fact_row){.window_start_us = DAY, .requests = 4});
    const struct facts_block *block = facts_filling_end(b, ALWAYS_CLOSED);
    ck_assert_ptr_eq(facts_cache_series(cache, STR_LIT("a"), STR_LIT("b"), STR_LIT("c")), s);
    facts_series_let_go(cache, s);
    facts_block_let_go(cache, block);
    ck_assert_ptr_eq(facts_cache_series(cache, STR_LIT("a"), STR_LIT("b"), STR_LIT("c")), s);
    ck_assert_ptr_eq(facts_cache_find(cache, s, FACTS_MINUTES, FACTS_SUMS, DAY, INT64_MAX, &f, 0),
                     block);
    facts_series_let_go(cache, s);
    freshness_notify(&f, "*");
    ck_assert_ptr_null(
        facts_cache_find(cache, s, FACTS_MINUTES, FACTS_SUMS, DAY, INT64_MAX, &f, 0));
    facts_block_let_go(cache, block); // and with it the series
}
END_TEST

// ---- room ---------------------------------------------------------------------------------------

// What a block of one row takes, and what a series adds to its first.
static size_t block_bytes, series_bytes;
static void measure(void)
{
    put(0, 0);
    series_bytes = facts_cache_bytes(cache);
    put(1, 0);
    block_bytes = facts_cache_bytes(cache) - series_bytes;
    series_bytes -= block_bytes;
}

START_TEST(bytes_are_what_it_takes)
{
    measure();
    ck_assert_uint_ge(block_bytes,
                      sizeof(struct facts_block) + FACTS_SUM_COLUMNS * sizeof(int64_t));
    ck_assert_uint_le(block_bytes, 512);
    ck_assert_uint_ge(series_bytes, strlen("acme/chatgpt"));
    ck_assert_uint_le(series_bytes, 200);
    char name[1000];
    memset(name, 'x', sizeof(name));
    struct facts_series *s =
        facts_cache_series(cache, STR_LIT("acme"), STR_LIT("/chat"), (struct str){name, 1000});
    size_t before = facts_cache_bytes(cache);
    ck_assert_uint_eq(before, 2 * block_bytes + series_bytes); // it has no block yet
    facts_block_let_go(cache, fill(s, 0, 0, 0, ALWAYS_CLOSED));
    ck_assert_uint_eq(facts_cache_bytes(cache) - before, block_bytes + series_bytes + 997);
    facts_series_let_go(cache, s);
    struct facts_filling *b = filling(FACTS_MINUTES, FACTS_OBJECTS);
    add(b, &(struct fact_row){.window_start_us = DAY, .error_classes = {name, sizeof(name)}});
    before = facts_cache_bytes(cache);
    facts_block_let_go(cache, facts_filling_end(b, ALWAYS_CLOSED));
    ck_assert_uint_ge(facts_cache_bytes(cache) - before, sizeof(name));
    freshness_notify(&f, "*");
    for (int n = 0; n < 2; n++)
        ck_assert_int_eq(value_at(n, 0), -1);
    ck_assert_uint_gt(facts_cache_bytes(cache), 0);
}
END_TEST

START_TEST(room_is_bounded_to_the_byte)
{
    measure();
    for (int fit = 1; fit <= 3; fit++) {
        for (int less = 0; less < 2; less++) {
            setup_anew(series_bytes + (size_t)fit * block_bytes - (size_t)less);
            for (int n = 0; n < fit; n++)
                put(n, n);
            for (int n = 0; n < fit; n++)
                ck_assert_int_eq(value_at(n, 0), n < less ? -1 : n);
            size_t kept = (size_t)(fit - less);
            ck_assert_uint_eq(facts_cache_bytes(cache),
                              kept * block_bytes + (kept > 0 ? series_bytes : 0));
        }
    }
}
END_TEST

START_TEST(what_has_not_been_in_use_for_longest_leaves_first)
{
    measure();
    setup_anew(series_bytes + 4 * block_bytes);
    for (int n = 0; n < 4; n++)
        put(n, n);
    const struct facts_block *held = find_at(1, 0);
    ck_assert_int_eq(value_at(0, 0), 0); // asked for again
    put(4, 4);                           // instead of 2
    put(5, 5);                           // instead of 3
    ck_assert_int_eq(value_at(2, 0), -1);
    ck_assert_int_eq(value_at(3, 0), -1);
    put(6, 6); // instead of 0: 1 is in use
    ck_assert_int_eq(value_at(0, 0), -1);
    facts_block_let_go(cache, held); // the last that was
    put(7, 7);
    put(8, 8);
    put(9, 9); // instead of 4, 5, 6
    ck_assert_int_eq(value_at(6, 0), -1);
    put(10, 10);
    ck_assert_int_eq(value_at(1, 0), -1);
    for (int n = 7; n <= 10; n++)
        ck_assert_int_eq(value_at(n, 0), n);
}
END_TEST

START_TEST(without_room_a_block_is_the_callers_alone)
{
    measure();
    setup_anew(series_bytes + 2 * block_bytes);
    const struct facts_block *a = fill(series, 0, 0, 0, ALWAYS_CLOSED);
    const struct facts_block *b = fill(series, 1, 1, 0, ALWAYS_CLOSED);
    const struct facts_block *c = fill(series, 2, 2, 0, ALWAYS_CLOSED); // all else is in use
    ck_assert_int_eq(c->columns[FACTS_requests], 2);
    ck_assert_int_eq(value_at(2, 0), -1);
    facts_block_let_go(cache, c);
    ck_assert_int_eq(value_at(2, 0), -1);
    ck_assert_int_eq(value_at(0, 0), 0);
    ck_assert_int_eq(value_at(1, 0), 1);
    facts_block_let_go(cache, a);
    facts_block_let_go(cache, b);
}
END_TEST

START_TEST(one_that_is_too_large_displaces_nothing)
{
    measure();
    setup_anew(series_bytes + 2 * block_bytes);
    put(0, 0);
    put(1, 1);
    char text[2000] = "{}";
    struct facts_filling *b = filling(FACTS_MINUTES, FACTS_OBJECTS);
    add(b, &(struct fact_row){.window_start_us = DAY, .error_classes = {text, sizeof(text)}});
    const struct facts_block *large = facts_filling_end(b, ALWAYS_CLOSED);
    ck_assert_uint_eq(large->objects[0].n, sizeof(text));
    ck_assert_ptr_null(
        facts_cache_find(cache, series, FACTS_MINUTES, FACTS_OBJECTS, DAY, INT64_MAX, &f, 0));
    facts_block_let_go(cache, large);
    ck_assert_int_eq(value_at(0, 0), 0);
    ck_assert_int_eq(value_at(1, 0), 1);
}
END_TEST

START_TEST(nothing_is_kept_where_there_is_no_room)
{
    setup_anew(0);
    const struct facts_block *b = fill(series, 0, 9, 0, ALWAYS_CLOSED);
    ck_assert_int_eq(b->columns[FACTS_requests], 9);
    ck_assert_ptr_null(find_at(0, 0));
    facts_block_let_go(cache, b);
    ck_assert_ptr_null(find_at(0, 0));
    ck_assert_uint_eq(facts_cache_bytes(cache), 0);
}
END_TEST

// ---- against a plain list -----------------------------------------------------------------------

enum { MODEL_SERIES = 4, MODEL_BLOCKS = 5, MODEL_HELD = 6, MODEL_ROOM = 7, MODEL_STEPS = 20000 };

// What is to be kept, with a number of its own as its value.
struct modelled {
    bool kept;
    int64_t value, read_us, closed_through_us;
    uint64_t since, idle_since;
    int users;
};
struct held {
    const struct facts_block *block;
    struct modelled *at; // which may be another one meanwhile
    int64_t value;
};
static struct {
    struct modelled v[MODEL_SERIES][MODEL_BLOCKS];
    struct held held[MODEL_HELD];
    int held_count;
    uint64_t named[MODEL_BLOCKS], all; // by f.now
    uint64_t clock;                    // counts what becomes idle
    int64_t now_us, last_value;
} model;

static size_t model_bytes(void)
{
    size_t bytes = 0;
    for (int s = 0; s < MODEL_SERIES; s++) {
        size_t kept = 0;
        for (int n = 0; n < MODEL_BLOCKS; n++)
            kept += model.v[s][n].kept;
        bytes += kept * block_bytes + (kept > 0 ? series_bytes : 0);
    }
    return bytes;
}

static bool model_evict(void)
{
    struct modelled *first = NULL;
    for (int k = 0; k < MODEL_SERIES * MODEL_BLOCKS; k++) {
        struct modelled *m = &model.v[k / MODEL_BLOCKS][k % MODEL_BLOCKS];
        if (m->kept && m->users == 0 && (!first || m->idle_since < first->idle_since))
            first = m;
    }
    if (first)
        first->kept = false;
    return first != NULL;
}

static void model_keep(struct modelled *at, struct modelled m, size_t room)
{
    if (at->kept && (at->since > m.since || at->read_us > m.read_us))
        return;
    for (*at = m;;) {
        at->kept = true;
        size_t bytes = model_bytes();
        at->kept = bytes <= room;
        if (at->kept || !model_evict())
            return;
    }
}

static void hold(const struct facts_block *b, struct modelled *at, int64_t value)
{
    ck_assert_int_eq(b->columns[FACTS_requests], value);
    at->users += at->kept && at->value == value;
    model.held[model.held_count++] = (struct held){b, at, value};
}

static void model_let_go(int i)
{
    struct held h = model.held[i];
    model.held[i] = model.held[--model.held_count];
    ck_assert_int_eq(h.block->columns[FACTS_requests], h.value);
    facts_block_let_go(cache, h.block);
    if (h.at->kept && h.at->value == h.value && --h.at->users == 0)
        h.at->idle_since = ++model.clock;
}

static struct facts_series *model_series(int s)
{
    char name[] = "gp0"; // as long as what was measured
    name[2] = (char)('0' + s);
    return facts_cache_series(cache, STR_LIT("acme"), STR_LIT("/chat"), str_of(name));
}

// Some are asked for a while before they come.
static void model_fill(int s, int n, size_t room)
{
    struct facts_series *of = model_series(s);
    bool late = rand() % 4 == 0;
    uint64_t since = late ? f.now - f.now / 50 : f.now;
    int64_t read_us = model.now_us - (late ? rand() % 50 : 0);
    int64_t closed_through_us = block_start(n) + rand() % 14 * US_PER_MIN;
    struct facts_filling *b =
        facts_filling_new(cache, of, FACTS_MINUTES, FACTS_SUMS, block_start(n), since, read_us);
    facts_series_let_go(cache, of);
    int64_t value = ++model.last_value;
    add(b, &(struct fact_row){.window_start_us = block_start(n), .requests = value});
    const struct facts_block *block = facts_filling_end(b, closed_through_us);
    struct modelled m = {
        .value = value, .read_us = read_us, .closed_through_us = closed_through_us, .since = since};
    model_keep(&model.v[s][n], m, room);
    hold(block, &model.v[s][n], value);
}

static void model_find(int s, int n)
{
    struct modelled *m = &model.v[s][n];
    int64_t end_us = block_start(n) + TEN_MINUTES, to_us = end_us - rand() % 12 * US_PER_MIN;
    if (to_us <= block_start(n))
        to_us = INT64_MAX;
    bool closed = min_i64(end_us, to_us) <= m->closed_through_us;
    bool holds = m->since >= model.all &&
                 (closed ? m->since >= model.named[n] : m->since == f.now) &&
                 model.now_us - m->read_us < (closed ? CLOSED_MAX_AGE_US : MAX_AGE_US);
    struct facts_series *of = model_series(s);
    const struct facts_block *b = facts_cache_find(cache, of, FACTS_MINUTES, FACTS_SUMS,
                                                   block_start(n), to_us, &f, model.now_us);
    facts_series_let_go(cache, of);
    ck_assert(!b == !(m->kept && holds));
    if (b)
        hold(b, m, m->value);
    else
        m->kept = false;
}

static void model_notify(void)
{
    int what = rand() % 10;
    if (what == 0)
        freshness_notify(&f, "*");
    else if (what < 5)
        freshness_notify(&f, "");
    else
        notify_minute(block_start(what - 5) + rand() % 10 * US_PER_MIN);
    if (what == 0)
        model.all = f.now;
    else if (what >= 5)
        model.named[what - 5] = f.now;
}

START_TEST(what_is_found_is_what_a_plain_list_would_have)
{
    measure();
    size_t room = MODEL_ROOM * block_bytes + 2 * series_bytes;
    setup_anew(room);
    memset(&model, 0, sizeof(model));
    model.all = f.now;
    srand(5);
    int found = 0;
    for (int step = 0; step < MODEL_STEPS; step++) {
        int s = rand() % MODEL_SERIES, n = rand() % MODEL_BLOCKS, what = rand() % 20;
        int before = model.held_count;
        if (what < 10 && before < MODEL_HELD)
            model_find(s, n);
        found += what < 10 && model.held_count > before;
        if (what >= 10 && what < 14 && before < MODEL_HELD)
            model_fill(s, n, room);
        if (what >= 14 && what < 19 && before > 0)
            model_let_go(rand() % before);
        if (what == 19)
            model_notify();
        model.now_us += rand() % 30;
        ck_assert_uint_eq(facts_cache_bytes(cache), model_bytes());
        ck_assert_uint_le(facts_cache_bytes(cache), room);
    }
    ck_assert_int_gt(found, MODEL_STEPS / 50);
    while (model.held_count > 0)
        model_let_go(0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prometheus_facts_cache");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, blocks_are_told_apart_by_all_that_they_are_of);
    tcase_add_test(t, no_two_blocks_have_the_same_serial);
    tcase_add_test(t, many_series_and_blocks_are_found);
    tcase_add_test(t, closed_ones_hold_until_their_ten_minutes_are_named);
    tcase_add_test(t, open_ones_hold_until_anything_is_heard);
    tcase_add_test(t, ages_end_them);
    tcase_add_test(t, what_is_looked_at_matters_alone);
    tcase_add_test(t, one_in_use_stays_as_it_is_though_there_is_a_newer_one);
    tcase_add_test(t, one_in_use_that_is_dropped_goes_with_its_last_user);
    tcase_add_test(t, the_one_asked_for_last_is_kept);
    tcase_add_test(t, a_block_and_a_filling_keep_their_series);
    tcase_add_test(t, bytes_are_what_it_takes);
    tcase_add_test(t, room_is_bounded_to_the_byte);
    tcase_add_test(t, what_has_not_been_in_use_for_longest_leaves_first);
    tcase_add_test(t, without_room_a_block_is_the_callers_alone);
    tcase_add_test(t, one_that_is_too_large_displaces_nothing);
    tcase_add_test(t, nothing_is_kept_where_there_is_no_room);
    tcase_add_test(t, what_is_found_is_what_a_plain_list_would_have);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
