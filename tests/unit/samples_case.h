// SPDX-License-Identifier: Apache-2.0
// A series' minutes as a list, and the blocks of facts that a query would get of them.
#ifndef STREAMLENS_TESTS_UNIT_SAMPLES_CASE_H
#define STREAMLENS_TESTS_UNIT_SAMPLES_CASE_H

#include "metrics-api/prometheus/samples.h"

#include "common/core/hist.h"
#include "common/core/name_counts.h"
#include "common/core/timeunit.h"
#include "metrics-api/promql/labels.h"

struct row {
    int64_t start_ms;
    int64_t columns[FACTS_SUM_COLUMNS], costs[FACTS_COST_COLUMNS];
    const char *error_classes, *finish_reasons; // NULL: none
    int64_t hist[HIST_COUNTS];                  // of latency and time to first token alike
};
struct series {
    struct row **v; // ascending
    size_t n;
};

static inline struct row *series_row(struct series *s, int64_t start_ms)
{
    size_t i = s->n;
    while (i > 0 && s->v[i - 1]->start_ms >= start_ms)
        i--;
    if (i < s->n && s->v[i]->start_ms == start_ms)
        return s->v[i];
    s->v = xrealloc(s->v, (s->n + 1) * sizeof(struct row *));
    memmove(s->v + i + 1, s->v + i, (s->n - i) * sizeof(struct row *));
    s->n++;
    s->v[i] = xcalloc(1, sizeof(struct row));
    s->v[i]->start_ms = start_ms;
    return s->v[i];
}

static inline void series_clear(struct series *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (struct series){0};
}

static inline struct str json_sum(struct str a, const char *b, struct arena *arena)
{
    struct name_counts sum = {0};
    struct buf out = {0};
    struct err e;
    if (name_counts_from_json(&sum, a, &e) < 0 || (b && name_counts_from_json(&sum, str_of(b), &e)))
        abort();
    name_counts_to_json(&sum, &out);
    struct str copy = arena_str(arena, (struct str){out.p, out.n});
    buf_free(&out);
    name_counts_clear(&sum);
    return copy;
}

// What is borrowed of a block is ours.
#define OURS(type, p) ((type *)(uintptr_t)(p))

static inline void add_columns(struct facts_block *b, size_t row, const struct row *from)
{
    bool sums = b->group == FACTS_SUMS;
    size_t n = sums ? FACTS_SUM_COLUMNS : FACTS_COST_COLUMNS;
    int64_t *columns = OURS(int64_t, b->columns) + row * n;
    const int64_t *more = sums ? from->columns : from->costs;
    for (size_t i = 0; i < n; i++)
        columns[i] = more[i] < 0 ? columns[i] + more[i] : add_sat_i64(columns[i], more[i]);
}

static inline void add_objects(struct facts_block *b, size_t row, const struct row *from,
                               struct arena *a)
{
    struct str *objects = OURS(struct str, b->objects) + row * 2;
    objects[0] = json_sum(objects[0], from->error_classes, a);
    objects[1] = json_sum(objects[1], from->finish_reasons, a);
}

static inline void add_hist(struct facts_block *b, size_t row, const struct row *from,
                            struct arena *a)
{
    struct facts_hist *hist = OURS(struct facts_hist, b->hists) + row;
    int64_t all[HIST_COUNTS];
    memcpy(all, from->hist, sizeof(all));
    for (size_t i = 0; i < hist->n; i++)
        all[hist->index[i]] += hist->count[i];
    uint16_t *index = arena_array(a, HIST_COUNTS, sizeof(*index));
    int64_t *count = arena_array(a, HIST_COUNTS, sizeof(*count));
    *hist = (struct facts_hist){.index = index, .count = count};
    for (uint16_t i = 0; i < HIST_COUNTS; i++)
        if (all[i]) {
            index[hist->n] = i;
            count[hist->n++] = all[i];
        }
}

// Adds the minute to the block's row, which exists.
static inline void block_add(struct facts_block *b, size_t row, const struct row *from,
                             struct arena *a)
{
    if (b->columns)
        add_columns(b, row, from);
    if (b->objects)
        add_objects(b, row, from, a);
    if (b->hists)
        add_hist(b, row, from, a);
}

static inline struct facts_block *block_new(enum facts_unit unit, enum facts_group group,
                                            int64_t start_us, struct arena *a)
{
    struct facts_block *b = arena_alloc(a, sizeof(*b));
    *b = (struct facts_block){.start_us = start_us, .unit = unit, .group = group};
    size_t columns = group == FACTS_SUMS ? FACTS_SUM_COLUMNS : FACTS_COST_COLUMNS;
    if (group == FACTS_SUMS || group == FACTS_COSTS)
        b->columns = arena_array(a, FACTS_BLOCK_ROWS * columns, sizeof(int64_t));
    if (group == FACTS_OBJECTS) {
        struct str *objects = arena_array(a, 2 * FACTS_BLOCK_ROWS, sizeof(*objects));
        for (size_t i = 0; i < 2 * FACTS_BLOCK_ROWS; i++)
            objects[i] = STR_LIT("{}");
        b->objects = objects;
    }
    if (group == FACTS_LATENCY || group == FACTS_TTFT)
        b->hists = arena_array(a, FACTS_BLOCK_ROWS, sizeof(struct facts_hist));
    return b;
}

// Blocks of whatever lies in [from_us, to_us), whole: what is beside it does no harm.
static inline size_t series_blocks(const struct series *s, enum facts_unit unit,
                                   enum facts_group group, int64_t from_us, int64_t to_us,
                                   struct arena *a, const struct facts_block ***out)
{
    size_t n = 0;
    struct facts_block *b = NULL;
    *out = arena_array(a, s->n, sizeof(**out));
    for (size_t i = 0; i < s->n; i++) {
        int64_t at_us = s->v[i]->start_ms * 1000;
        int64_t start_us = time_floor_us(at_us, facts_block_us(unit));
        if (start_us + facts_block_us(unit) <= from_us || start_us >= to_us)
            continue;
        if (!b || b->start_us != start_us)
            (*out)[n++] = b = block_new(unit, group, start_us, a);
        uint8_t place = (uint8_t)((at_us - start_us) / facts_unit_us(unit));
        if (b->n == 0 || b->place[b->n - 1] != place)
            b->place[b->n++] = place;
        block_add(b, b->n - 1, s->v[i], a);
    }
    return n;
}

// What samples_need() asks for, to the block.
static inline struct facts_rows series_rows(const struct series *s, const struct samples_spec *spec,
                                            struct arena *a)
{
    const struct metric *m = spec->metric;
    struct samples_need need = samples_need(m->gauge, spec->from_ms, spec->to_ms);
    const struct facts_block **hours, **minutes;
    size_t hour_count = series_blocks(s, FACTS_HOURS, m->group, need.hours_from_us,
                                      need.minutes_from_us, a, &hours);
    size_t minute_count =
        series_blocks(s, FACTS_MINUTES, m->group, need.minutes_from_us, need.to_us, a, &minutes);
    return (struct facts_rows){hours, minutes, hour_count, minute_count, need.minutes_from_us};
}

static inline const struct metric *metric_named(const char *name, const char *value)
{
    for (const struct metric *m = metrics; m < metrics + metric_count; m++)
        if (strcmp(m->name, name) == 0 && (!value || (m->value && strcmp(m->value, value) == 0)))
            return m;
    abort();
}

// "2 10:30" is of the second day; which month does not matter.
#define FIRST_DAY_MS (INT64_C(20000) * 86400000)
static inline int64_t at(const char *text)
{
    int64_t digits[5] = {text[0] - '0', text[2] - '0', text[3] - '0', text[5] - '0', text[6] - '0'};
    return FIRST_DAY_MS + (digits[0] - 1) * 86400000 +
           ((digits[1] * 10 + digits[2]) * 60 + digits[3] * 10 + digits[4]) * 60000;
}

static inline void add_time(struct buf *out, int64_t t_ms)
{
    int64_t ms = t_ms - FIRST_DAY_MS;
    buf_addf(out, "%d %02d:%02d", (int)(ms / 86400000) + 1, (int)(ms / 3600000 % 24),
             (int)(ms / 60000 % 60));
    if (ms % 60000)
        buf_addf(out, ":%02d.%03d", (int)(ms / 1000 % 60), (int)(ms % 1000));
}

#endif
