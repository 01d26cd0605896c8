// SPDX-License-Identifier: Apache-2.0
// Cells lie in a growing array of pointers, in order of first touch; an open-addressed index finds
// them, and holds what it compares, so that only the cell that is sought is touched. Clearing frees
// the cells and keeps the arrays. Mostly neither is looked into: a series knows the cell that it
// counted in last.
#include "processor/window.h"

#include "common/core/timeunit.h"

struct slot {
    const struct series *series;
    int64_t window_start_us;
    struct window_cell *cell; // NULL = empty
};

struct window_table {
    struct series_table *series;
    struct window_cell **cells;
    size_t count, cap;
    struct slot *index;
    size_t index_size; // a power of two, at least twice count
};

struct window_table *window_table_new(struct series_table *series)
{
    struct window_table *t = xcalloc(1, sizeof(*t));
    t->series = series;
    t->index_size = 64;
    t->index = xcalloc(t->index_size, sizeof(*t->index));
    return t;
}

void window_table_free(struct window_table *t)
{
    if (!t)
        return;
    window_clear(t);
    free(t->cells);
    free(t->index);
    free(t);
}

// The series' hash is keyed already; minutes are spread by an odd multiplier.
static size_t slot_of(const struct window_table *t, const struct series *s, int64_t start_us)
{
    uint64_t h = s->hash ^ ((uint64_t)(start_us / WINDOW_US) * UINT64_C(0x9e3779b97f4a7c15));
    return (h ^ (h >> 32)) & (t->index_size - 1);
}

// The slot of the cell, or the free one where it would go.
static struct slot *find_slot(const struct window_table *t, const struct series *s,
                              int64_t start_us)
{
    for (size_t i = slot_of(t, s, start_us);; i = (i + 1) & (t->index_size - 1)) {
        struct slot *c = &t->index[i];
        if (!c->cell || (c->series == s && c->window_start_us == start_us))
            return c;
    }
}

static void put(struct window_table *t, struct window_cell *c)
{
    *find_slot(t, c->series, c->window_start_us) = (struct slot){c->series, c->window_start_us, c};
}

static void grow_index(struct window_table *t)
{
    t->index_size *= 2;
    free(t->index);
    t->index = xcalloc(t->index_size, sizeof(*t->index));
    for (size_t n = 0; n < t->count; n++)
        put(t, t->cells[n]);
}

static struct window_cell *add_cell(struct window_table *t, struct series *series, int64_t start_us)
{
    if ((t->count + 1) * 2 > t->index_size)
        grow_index(t);
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->cells = xrealloc(t->cells, t->cap * sizeof(struct window_cell *));
    }
    struct window_cell *c = xcalloc(1, sizeof(*c));
    c->series = series_ref(series);
    c->table = t;
    c->window_start_us = start_us;
    t->cells[t->count++] = c;
    put(t, c);
    return c;
}

struct facts *window_facts(struct window_table *t, struct series *series, int64_t t_us)
{
    int64_t start_us = time_floor_us(t_us, WINDOW_US);
    struct window_cell *c = series->cell;
    if (c && c->window_start_us == start_us && c->table == t)
        return &c->facts;
    c = find_slot(t, series, start_us)->cell;
    series->cell = c ? c : add_cell(t, series, start_us);
    return &series->cell->facts;
}

size_t window_count(const struct window_table *t)
{
    return t->count;
}

struct window_cell *window_at(struct window_table *t, size_t i)
{
    assert(i < t->count);
    return t->cells[i];
}

void window_clear(struct window_table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        struct window_cell *c = t->cells[i];
        facts_clear(&c->facts);
        if (c->series->cell == c)
            c->series->cell = NULL;
        series_drop(t->series, c->series);
        free(c);
    }
    t->count = 0;
    memset(t->index, 0, t->index_size * sizeof(*t->index));
}
