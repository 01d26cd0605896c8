// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "common/core/hist.h"
#include "metrics-api/prometheus/facts_cache_internal.h"

_Static_assert(sizeof(struct facts_entry) % sizeof(int64_t) == 0, "arrays follow it");

// Of a row: so many bytes, or buckets, of what was gathered, from `begin` on.
struct part {
    size_t begin, n;
};
#define OBJECTS_A_ROW 2

struct facts_filling {
    struct facts_cache *cache;
    struct facts_block block; // but for its arrays; n: rows that came
    uint64_t since;
    int64_t read_us;
    struct facts_series *series;      // which it uses
    bool came[FACTS_BLOCK_ROWS];      // by place
    uint8_t row_of[FACTS_BLOCK_ROWS]; // by place: the how manieth to come
    // What came, row after row: columns, texts, or counts of buckets.
    struct buf data;
    struct buf index;                                    // of buckets: uint16_t
    struct part parts[FACTS_BLOCK_ROWS * OBJECTS_A_ROW]; // of texts, or buckets
};

struct facts_filling *facts_filling_new(struct facts_cache *c, struct facts_series *s,
                                        enum facts_unit unit, enum facts_group group,
                                        int64_t start_us, uint64_t since, int64_t read_us)
{
    assert(start_us % facts_block_us(unit) == 0);
    struct facts_filling *b = xcalloc(1, sizeof(*b));
    b->cache = c;
    b->block.start_us = start_us;
    b->block.unit = unit;
    b->block.group = group;
    b->since = since;
    b->read_us = read_us;
    b->series = s;
    facts_series_use(s);
    return b;
}

static void filling_free(struct facts_filling *b)
{
    buf_free(&b->data);
    buf_free(&b->index);
    free(b);
}

void facts_filling_drop(struct facts_filling *b)
{
    facts_series_let_go(b->cache, b->series);
    filling_free(b);
}

// ---- rows ---------------------------------------------------------------------------------------

static void add_sums(struct facts_filling *b, const struct fact_row *row)
{
#define VALUE(name) row->name,
    int64_t values[] = {FACT_SUMS(VALUE) row->latency_max_us, row->ttft_max_us};
#undef VALUE
    _Static_assert(ARRAY_LEN(values) == FACTS_SUM_COLUMNS, "as facts.h numbers them");
    buf_add(&b->data, values, sizeof(values));
}

static int64_t at_an_int64(money m)
{
    return m > INT64_MAX ? INT64_MAX : m < INT64_MIN ? INT64_MIN : (int64_t)m;
}

static void add_costs(struct facts_filling *b, const struct fact_row *row)
{
#define VALUE(name) at_an_int64(row->name),
    int64_t values[] = {FACT_COSTS(VALUE) at_an_int64(row->cost), at_an_int64(row->reported_cost)};
#undef VALUE
    _Static_assert(ARRAY_LEN(values) == FACTS_COST_COLUMNS, "as facts.h numbers them");
    buf_add(&b->data, values, sizeof(values));
}

static struct part add_text(struct facts_filling *b, struct str text)
{
    if (!text.p)
        text = STR_LIT("{}");
    struct part part = {b->data.n, text.n};
    buf_add(&b->data, text.p, text.n);
    return part;
}

static void add_objects(struct facts_filling *b, const struct fact_row *row)
{
    struct part *parts = &b->parts[b->block.n * OBJECTS_A_ROW];
    parts[0] = add_text(b, row->error_classes);
    parts[1] = add_text(b, row->finish_reasons);
}

static int add_hist(struct facts_filling *b, struct str hdr, const char *name, struct err *e)
{
    struct hist_filled filled[HIST_COUNTS + 1];
    int n = hdr.p ? hist_decode_filled(hdr.p, hdr.n, filled, e) : 0;
    if (n < 0) {
        if (e)
            snprintf(e->field, sizeof(e->field), "%s", name);
        return -1;
    }
    b->parts[b->block.n] = (struct part){b->index.n / sizeof(uint16_t), (size_t)n};
    if (n == 0)
        return 0;
    size_t count_bytes = (size_t)n * sizeof(int64_t), index_bytes = (size_t)n * sizeof(uint16_t);
    buf_reserve(&b->data, count_bytes);
    buf_reserve(&b->index, index_bytes);
    // Aligned, as all that is before them is of the same kind.
    int64_t *count = (int64_t *)(void *)(b->data.p + b->data.n);
    uint16_t *index = (uint16_t *)(void *)(b->index.p + b->index.n);
    for (int i = 0; i < n; i++) {
        count[i] = filled[i].count;
        index[i] = (uint16_t)filled[i].index;
    }
    b->data.n += count_bytes;
    b->index.n += index_bytes;
    return 0;
}

// -1: none of the block's, or one that came.
static int place_of(const struct facts_filling *b, const struct fact_row *row, struct err *e)
{
    int64_t unit_us = facts_unit_us(b->block.unit);
    int64_t after_us;
    if (__builtin_sub_overflow(row->window_start_us, b->block.start_us, &after_us) ||
        after_us < 0 || after_us >= facts_block_us(b->block.unit) || after_us % unit_us != 0)
        return err_field(e, "window_start", -1,
                         "a window from %lld us on is none of the block that begins at %lld",
                         (long long)row->window_start_us, (long long)b->block.start_us);
    int place = (int)(after_us / unit_us);
    if (b->came[place])
        return err_field(e, "window_start", -1, "the window from %lld us on came twice",
                         (long long)row->window_start_us);
    return place;
}

int facts_filling_add(struct facts_filling *b, const struct fact_row *row, struct err *e)
{
    int place = place_of(b, row, e), rc = 0;
    if (place < 0)
        return -1;
    if (b->block.group == FACTS_SUMS)
        add_sums(b, row);
    else if (b->block.group == FACTS_COSTS)
        add_costs(b, row);
    else if (b->block.group == FACTS_OBJECTS)
        add_objects(b, row);
    else if (b->block.group == FACTS_LATENCY)
        rc = add_hist(b, row->latency_hdr, "latency_hdr", e);
    else
        rc = add_hist(b, row->ttft_hdr, "ttft_hdr", e);
    if (rc < 0)
        return -1;
    b->came[place] = true;
    b->row_of[place] = (uint8_t)b->block.n++;
    return 0;
}

// ---- the block ----------------------------------------------------------------------------------

static void copy(void *to, const struct buf *from)
{
    if (from->n > 0)
        memcpy(to, from->p, from->n);
}

static size_t columns_of(enum facts_group group)
{
    return group == FACTS_SUMS ? FACTS_SUM_COLUMNS : FACTS_COST_COLUMNS;
}

static size_t array_bytes(const struct facts_filling *b)
{
    size_t n = b->block.n;
    switch (b->block.group) {
    case FACTS_OBJECTS:
        return n * OBJECTS_A_ROW * sizeof(struct str) + b->data.n;
    case FACTS_LATENCY:
    case FACTS_TTFT:
        return n * sizeof(struct facts_hist) + b->data.n + b->index.n;
    default:
        return b->data.n;
    }
}

// In each, row i of the block is the order[i]th that came.

static void lay_columns(struct facts_entry *e, const struct facts_filling *b, const uint8_t *order)
{
    size_t row_bytes = columns_of(b->block.group) * sizeof(int64_t);
    char *columns = (char *)(e + 1);
    for (size_t i = 0; i < b->block.n; i++)
        memcpy(columns + i * row_bytes, b->data.p + order[i] * row_bytes, row_bytes);
    e->block.columns = (const int64_t *)(e + 1);
}

static void lay_objects(struct facts_entry *e, const struct facts_filling *b, const uint8_t *order)
{
    struct str *objects = (struct str *)(e + 1);
    char *text = (char *)(objects + b->block.n * OBJECTS_A_ROW);
    copy(text, &b->data);
    for (size_t i = 0; i < b->block.n; i++) {
        const struct part *parts = &b->parts[order[i] * OBJECTS_A_ROW];
        for (int k = 0; k < OBJECTS_A_ROW; k++)
            *objects++ = (struct str){text + parts[k].begin, parts[k].n};
    }
    e->block.objects = (const struct str *)(e + 1);
}

static void lay_hists(struct facts_entry *e, const struct facts_filling *b, const uint8_t *order)
{
    struct facts_hist *hists = (struct facts_hist *)(e + 1);
    int64_t *count = (int64_t *)(hists + b->block.n);
    copy(count, &b->data);
    uint16_t *index = (uint16_t *)(count + b->data.n / sizeof(*count));
    copy(index, &b->index);
    for (size_t i = 0; i < b->block.n; i++) {
        const struct part *part = &b->parts[order[i]];
        hists[i] = (struct facts_hist){part->n, index + part->begin, count + part->begin};
    }
    e->block.hists = hists;
}

static void lay(struct facts_entry *e, const struct facts_filling *b, const uint8_t *order)
{
    if (b->block.n == 0)
        return;
    if (b->block.group == FACTS_OBJECTS)
        lay_objects(e, b, order);
    else if (b->block.group == FACTS_LATENCY || b->block.group == FACTS_TTFT)
        lay_hists(e, b, order);
    else
        lay_columns(e, b, order);
}

const struct facts_block *facts_filling_end(struct facts_filling *b, int64_t closed_through_us)
{
    struct facts_entry *e = facts_entry_new(array_bytes(b));
    e->block = b->block;
    e->series = b->series;
    e->since = b->since;
    e->read_us = b->read_us;
    e->block.closed_through_us = closed_through_us;
    uint8_t order[FACTS_BLOCK_ROWS];
    size_t n = 0;
    for (uint8_t place = 0; place < FACTS_BLOCK_ROWS; place++) {
        if (!b->came[place])
            continue;
        order[n] = b->row_of[place];
        e->block.place[n++] = place;
    }
    lay(e, b, order);
    facts_entry_keep(b->cache, e);
    filling_free(b);
    return &e->block;
}
