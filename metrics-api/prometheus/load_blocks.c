// SPDX-License-Identifier: Apache-2.0
// Which blocks a load needs, each once, however many of its selects do.
#include "metrics-api/prometheus/load_internal.h"

#include "common/core/timeunit.h"

#define FIRST_TABLE 256

// Of our own numbers: nobody chooses them to collide.
static size_t hash_of(uint32_t series, enum facts_unit unit, enum facts_group group,
                      int64_t start_us)
{
    uint64_t block = (uint64_t)(start_us / facts_block_us(FACTS_MINUTES));
    uint64_t h = ((uint64_t)series << 4 | (uint64_t)group << 1 | unit) ^ block << 36;
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h ^ h >> 32);
}

static uint32_t *place_of(const struct need_blocks *b, uint32_t series, enum facts_unit unit,
                          enum facts_group group, int64_t start_us)
{
    size_t at = hash_of(series, unit, group, start_us) & (b->table_size - 1);
    while (b->table[at]) {
        const struct need_block *n = &b->v[b->table[at] - 1];
        if (n->series == series && n->start_us == start_us && n->group == group && n->unit == unit)
            break;
        at = (at + 1) & (b->table_size - 1);
    }
    return &b->table[at];
}

static void grow(struct need_blocks *b)
{
    b->table_size = b->table_size ? 2 * b->table_size : FIRST_TABLE;
    free(b->table);
    b->table = xcalloc(b->table_size, sizeof(*b->table));
    b->v = xrealloc(b->v, b->table_size / 2 * sizeof(*b->v));
    for (size_t i = 0; i < b->n; i++)
        *place_of(b, b->v[i].series, b->v[i].unit, b->v[i].group, b->v[i].start_us) =
            (uint32_t)i + 1;
}

struct need_block *need_find(const struct need_blocks *b, uint32_t series, enum facts_unit unit,
                             enum facts_group group, int64_t start_us)
{
    if (b->n == 0)
        return NULL;
    uint32_t at = *place_of(b, series, unit, group, start_us);
    return at ? &b->v[at - 1] : NULL;
}

void need_add(struct need_blocks *b, uint32_t series, enum facts_unit unit, enum facts_group group,
              int64_t from_us, int64_t to_us)
{
    int64_t length_us = facts_block_us(unit);
    for (int64_t at = time_floor_us(from_us, length_us); at < to_us; at += length_us) {
        if (b->n >= b->table_size / 2)
            grow(b);
        uint32_t *place = place_of(b, series, unit, group, at);
        int64_t end_us = min_i64(at + length_us, to_us);
        if (*place) {
            struct need_block *old = &b->v[*place - 1];
            old->to_us = max_i64(old->to_us, end_us);
            continue;
        }
        b->v[b->n++] = (struct need_block){
            .series = series, .unit = unit, .group = group, .start_us = at, .to_us = end_us};
        *place = (uint32_t)b->n;
    }
}

void need_let_go(struct need_blocks *b, struct facts_cache *cache)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->v[i].filling)
            facts_filling_drop(b->v[i].filling);
        if (b->v[i].block)
            facts_block_let_go(cache, b->v[i].block);
    }
    free(b->v);
    free(b->table);
    *b = (struct need_blocks){0};
}

static size_t find_blocks(const struct need_blocks *b, uint32_t series, enum facts_unit unit,
                          enum facts_group group, int64_t from_us, int64_t to_us,
                          const struct facts_block **out)
{
    size_t n = 0;
    int64_t length_us = facts_block_us(unit);
    for (int64_t at = time_floor_us(from_us, length_us); at < to_us; at += length_us) {
        const struct need_block *found = need_find(b, series, unit, group, at);
        if (found && found->block && found->block->n > 0)
            out[n++] = found->block;
    }
    return n;
}

static size_t count_blocks(enum facts_unit unit, int64_t from_us, int64_t to_us)
{
    return from_us < to_us ? (size_t)((to_us - from_us) / facts_block_us(unit)) + 2 : 0;
}

struct facts_rows need_rows(const struct need_blocks *b, uint32_t series, const struct metric *m,
                            const struct samples_need *need, int64_t spread_us, struct arena *a)
{
    int64_t from_us = need->minutes_from_us, to_us = need->to_us;
    int64_t minutes_us = min_i64(max_i64(from_us, spread_us), to_us);
    size_t hours = count_blocks(FACTS_HOURS, need->hours_from_us, minutes_us);
    size_t minutes = count_blocks(FACTS_MINUTES, minutes_us, to_us);
    const struct facts_block **v = arena_array(a, hours + 1, sizeof(*v)), **spread;
    struct facts_rows rows = {.hours = v, .minutes_from_us = from_us};
    rows.hour_count =
        find_blocks(b, series, FACTS_HOURS, m->group, need->hours_from_us, minutes_us, v);
    size_t n = 0;
    if (from_us < minutes_us)
        n = spread_hours(m, v, rows.hour_count, time_floor_us(from_us, US_PER_HOUR), minutes_us, a,
                         &spread);
    const struct facts_block **all = arena_array(a, n + minutes + 1, sizeof(*all));
    if (n > 0)
        memcpy(all, spread, n * sizeof(*all));
    rows.minutes = all;
    rows.minute_count =
        n + find_blocks(b, series, FACTS_MINUTES, m->group, minutes_us, to_us, all + n);
    return rows;
}
