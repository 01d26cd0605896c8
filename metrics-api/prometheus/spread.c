// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/spread.h"

#include "common/core/name_counts.h"
#include "common/core/timeunit.h"

#define MINUTES_AN_HOUR 60
#define BLOCKS_AN_HOUR (MINUTES_AN_HOUR / FACTS_BLOCK_MINUTES)

static int64_t share(int64_t v, int k)
{
    return (int64_t)((__int128)v * (k + 1) / MINUTES_AN_HOUR - (__int128)v * k / MINUTES_AN_HOUR);
}

static bool is_maximum(enum facts_group group, int column)
{
    return group == FACTS_SUMS && (column == FACTS_latency_max_us || column == FACTS_ttft_max_us);
}

static void spread_columns(const struct metric *m, const struct facts_block *hours, size_t row,
                           struct facts_block *minutes, int first, struct arena *a)
{
    int columns = m->group == FACTS_SUMS ? FACTS_SUM_COLUMNS : FACTS_COST_COLUMNS;
    int64_t *v = arena_array(a, (size_t)(FACTS_BLOCK_MINUTES * columns), sizeof(*v));
    for (uint64_t wanted = m->plus | m->minus; wanted; wanted &= wanted - 1) {
        int column = __builtin_ctzll(wanted);
        int64_t hour = hours->columns[row * (size_t)columns + (size_t)column];
        for (int i = 0; i < FACTS_BLOCK_MINUTES; i++)
            v[i * columns + column] = is_maximum(m->group, column) ? hour : share(hour, first + i);
    }
    minutes->columns = v;
}

static struct str object_of(const struct name_counts *hour, int k, struct arena *a)
{
    struct name_counts minute = {0};
    struct buf text = {0};
    for (size_t i = 0; i < hour->n; i++)
        if (share(hour->v[i].count, k) > 0)
            name_counts_add(&minute, str_of(hour->v[i].name), share(hour->v[i].count, k));
    minute.other = share(hour->other, k);
    struct str object = STR_LIT("{}");
    if (minute.n > 0 || minute.other > 0) {
        name_counts_to_json(&minute, &text);
        object = arena_str(a, (struct str){text.p, text.n});
    }
    name_counts_clear(&minute);
    buf_free(&text);
    return object;
}

static void spread_objects(const struct facts_block *hours, size_t row, struct facts_block *minutes,
                           int first, struct arena *a)
{
    struct str *v = arena_array(a, FACTS_BLOCK_MINUTES * 2, sizeof(*v));
    for (size_t which = 0; which < 2; which++) {
        struct name_counts counts = {0};
        struct err unused;
        struct str hour = hours->objects[2 * row + which];
        bool any = hour.n > 2 && name_counts_from_json(&counts, hour, &unused) == 0;
        for (size_t i = 0; i < FACTS_BLOCK_MINUTES; i++)
            v[2 * i + which] = any ? object_of(&counts, first + (int)i, a) : STR_LIT("{}");
        name_counts_clear(&counts);
    }
    minutes->objects = v;
}

static void spread_hists(const struct facts_block *hours, size_t row, struct facts_block *minutes,
                         struct arena *a)
{
    struct facts_hist *v = arena_array(a, FACTS_BLOCK_MINUTES, sizeof(*v));
    for (size_t i = 0; i < FACTS_BLOCK_MINUTES; i++)
        v[i] = hours->hists[row];
    minutes->hists = v;
}

static const struct facts_block *spread_row(const struct metric *m, const struct facts_block *hours,
                                            size_t row, int block, struct arena *a)
{
    struct facts_block *b = arena_alloc(a, sizeof(*b));
    int first = block * FACTS_BLOCK_MINUTES;
    *b = (struct facts_block){
        .start_us = hours->start_us + hours->place[row] * US_PER_HOUR + first * US_PER_MIN,
        .unit = FACTS_MINUTES,
        .group = m->group,
        .closed_through_us = hours->closed_through_us,
        .n = FACTS_BLOCK_MINUTES,
    };
    for (int i = 0; i < FACTS_BLOCK_MINUTES; i++)
        b->place[i] = (uint8_t)i;
    if (m->group == FACTS_SUMS || m->group == FACTS_COSTS)
        spread_columns(m, hours, row, b, first, a);
    else if (m->group == FACTS_OBJECTS)
        spread_objects(hours, row, b, first, a);
    else
        spread_hists(hours, row, b, a);
    return b;
}

size_t spread_hours(const struct metric *m, const struct facts_block *const *hours, size_t n,
                    int64_t from_us, int64_t to_us, struct arena *a,
                    const struct facts_block ***blocks)
{
    size_t count = 0;
    *blocks = arena_array(a, n * FACTS_BLOCK_HOURS * BLOCKS_AN_HOUR + 1, sizeof(**blocks));
    for (size_t i = 0; i < n; i++)
        for (size_t row = 0; row < hours[i]->n; row++) {
            int64_t hour_us = hours[i]->start_us + hours[i]->place[row] * US_PER_HOUR;
            for (int k = 0; hour_us >= from_us && hour_us < to_us && k < BLOCKS_AN_HOUR; k++)
                (*blocks)[count++] = spread_row(m, hours[i], row, k, a);
        }
    return count;
}
