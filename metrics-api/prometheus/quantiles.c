// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/quantiles.h"

#include "common/core/hist.h"
#include "common/core/timeunit.h"

#include <math.h>

// Of the group's blocks: a row, or the end.
struct place {
    size_t block, row;
};

// Of the group that is asked for all series are summed minute by minute (merged.h), and what is
// counted of it is a window that slides over the minutes: those that enter are added, those that
// leave taken off. Sums wrap, so that what is taken off is what was added, whatever a database
// held.
struct quantiles {
    struct quantiles_spec spec;
    struct merged_cache *merged;
    const struct quantiles_series **series; // by their groups
    size_t *starts;                         // where each group's begin; one more than groups
    struct labels *groups;
    struct promql_quantile_answer answer;
    size_t group; // SIZE_MAX: none yet
    const struct facts_block **blocks;
    bool *is_merged; // of each block: in use, else a series'
    size_t block_count;
    int64_t from_us, to_us;         // of the minutes that are counted: where they begin
    struct place entering, leaving; // the next row to enter and to leave
    uint64_t windows, total;        // rows and values
    uint64_t chunks[HIST_CHUNKS];   // sums of counts, so that finding a rank need not see all
    uint64_t counts[HIST_COUNTS];
};

// ---- the group's blocks -------------------------------------------------------------------------

static void group_leave(struct quantiles *q)
{
    for (size_t i = 0; i < q->block_count; i++)
        if (q->is_merged[i])
            merged_let_go(q->merged, q->blocks[i]);
    free(q->blocks);
    free(q->is_merged);
    q->blocks = NULL;
    q->is_merged = NULL;
    q->block_count = 0;
}

// The blocks that come next and begin at the same time, of series whose next blocks these are.
static size_t take_next(const struct quantiles_series *const *series, size_t n, size_t *next,
                        const struct facts_block **same)
{
    int64_t start_us = INT64_MAX;
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (next[i] < series[i]->rows.minute_count)
            start_us = min_i64(start_us, series[i]->rows.minutes[next[i]]->start_us);
    for (size_t i = 0; i < n; i++)
        if (next[i] < series[i]->rows.minute_count &&
            series[i]->rows.minutes[next[i]]->start_us == start_us)
            same[count++] = series[i]->rows.minutes[next[i]++];
    return count;
}

static void group_enter(struct quantiles *q, size_t group)
{
    const struct quantiles_series *const *series = &q->series[q->starts[group]];
    size_t n = q->starts[group + 1] - q->starts[group], room = 0, count;
    for (size_t i = 0; i < n; i++)
        room += series[i]->rows.minute_count;
    q->group = group;
    q->blocks = xcalloc(room + 1, sizeof(*q->blocks));
    q->is_merged = xcalloc(room + 1, sizeof(*q->is_merged));
    size_t *next = xcalloc(n + 1, sizeof(*next));
    const struct facts_block **same = xcalloc(n + 1, sizeof(*same));
    while ((count = take_next(series, n, next, same)) > 0) {
        bool several = count > 1;
        q->is_merged[q->block_count] = several;
        q->blocks[q->block_count++] = several ? merged_block(q->merged, same, count) : same[0];
    }
    free(next);
    free(same);
}

// ---- the window ---------------------------------------------------------------------------------

static void add(struct quantiles *q, const struct facts_hist *h, uint64_t sign)
{
    for (size_t i = 0; i < h->n;) {
        size_t chunk = h->index[i] / HIST_CHUNK;
        uint64_t sum = 0;
        do {
            uint64_t count = sign * (uint64_t)h->count[i];
            q->counts[h->index[i]] += count;
            sum += count;
        } while (++i < h->n && h->index[i] / HIST_CHUNK == chunk);
        q->chunks[chunk] += sum;
        q->total += sum;
    }
    q->windows += sign;
}

// All rows from the place on that begin before until_us.
static void advance(struct quantiles *q, struct place *p, int64_t until_us, uint64_t sign)
{
    for (; p->block < q->block_count; *p = (struct place){p->block + 1, 0}) {
        const struct facts_block *b = q->blocks[p->block];
        for (; p->row < b->n; p->row++) {
            if (b->start_us + b->place[p->row] * US_PER_MIN >= until_us)
                return;
            add(q, &b->hists[p->row], sign);
        }
    }
}

// The first row that begins at from_us or later.
static struct place place_of(const struct quantiles *q, int64_t from_us)
{
    struct place p = {0, 0};
    for (size_t end = q->block_count; p.block < end;) {
        size_t middle = p.block + (end - p.block) / 2;
        if (q->blocks[middle]->start_us + facts_block_us(FACTS_MINUTES) <= from_us)
            p.block = middle + 1;
        else
            end = middle;
    }
    if (p.block == q->block_count)
        return p;
    const struct facts_block *b = q->blocks[p.block];
    while (p.row < b->n && b->start_us + b->place[p.row] * US_PER_MIN < from_us)
        p.row++;
    return p;
}

static void begin_anew(struct quantiles *q, size_t group, int64_t from_us)
{
    if (q->group != group) {
        group_leave(q);
        group_enter(q, group);
    }
    q->windows = q->total = 0;
    memset(q->chunks, 0, sizeof(q->chunks));
    memset(q->counts, 0, sizeof(q->counts));
    q->entering = q->leaving = place_of(q, from_us);
}

static void slide(struct quantiles *q, size_t group, int64_t from_us, int64_t to_us)
{
    if (q->group == group && q->from_us == from_us && q->to_us == to_us)
        return;
    if (q->group != group || from_us < q->from_us || from_us >= q->to_us || to_us < q->to_us)
        begin_anew(q, group, from_us);
    advance(q, &q->leaving, from_us, UINT64_MAX);
    advance(q, &q->entering, to_us, 1);
    q->from_us = from_us;
    q->to_us = to_us;
}

// The bucket of the value with this rank, 1 to total.
static int index_of(const struct quantiles *q, uint64_t rank)
{
    int chunk = 0, i = 0;
    for (; chunk < HIST_CHUNKS - 1 && q->chunks[chunk] < rank; chunk++)
        rank -= q->chunks[chunk];
    const uint64_t *counts = &q->counts[chunk * HIST_CHUNK];
    for (; i < HIST_CHUNK - 1 && counts[i] < rank; i++)
        rank -= counts[i];
    return chunk * HIST_CHUNK + i;
}

// A window ends in (t - range, t] where it begins in [t - range, t) after both are floored to
// minutes.
static double value(void *arg, size_t group, size_t step, double phi)
{
    struct quantiles *q = arg;
    const struct quantiles_spec *s = &q->spec;
    const int64_t far_ms = INT64_MAX / US_PER_MS / 2; // beyond all rows
    int64_t t_ms = s->when.start_ms + (int64_t)step * s->when.step_ms;
    t_ms = max_i64(-far_ms, min_i64(far_ms, t_ms)) - s->offset_ms;
    int64_t from_us = time_floor_us((t_ms - s->range_ms) * US_PER_MS, US_PER_MIN);
    int64_t to_us = time_floor_us(t_ms * US_PER_MS, US_PER_MIN);
    from_us = max_i64(from_us, s->kept_from_us);
    to_us = min_i64(to_us, s->through_us);
    slide(q, group, from_us, to_us);
    if (q->windows == 0)
        return promql_stale();
    if (q->total == 0)
        return NAN;
    int64_t total = q->total < (uint64_t)INT64_MAX ? (int64_t)q->total : INT64_MAX;
    return (double)hist_highest(index_of(q, hist_rank(phi, total))) / US_PER_S;
}

static int by_labels(const void *a, const void *b)
{
    const struct quantiles_series *const *x = a, *const *y = b;
    return labels_compare((*x)->group, (*y)->group);
}

// The groups of q->series, which are sorted: how many.
static size_t group_up(struct quantiles *q, size_t n)
{
    size_t groups = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || labels_compare(q->groups[groups - 1], q->series[i]->group) != 0) {
            q->starts[groups] = i;
            q->groups[groups++] = q->series[i]->group;
        }
    }
    q->starts[groups] = n;
    return groups;
}

struct quantiles *quantiles_new(const struct quantiles_spec *spec,
                                const struct quantiles_series *series, size_t n,
                                struct merged_cache *merged)
{
    struct quantiles *q = xcalloc(1, sizeof(*q));
    q->spec = *spec;
    q->merged = merged;
    q->group = SIZE_MAX;
    q->series = xcalloc(n + 1, sizeof(*q->series));
    q->starts = xcalloc(n + 1, sizeof(*q->starts));
    q->groups = xcalloc(n + 1, sizeof(*q->groups));
    for (size_t i = 0; i < n; i++)
        q->series[i] = &series[i];
    qsort(q->series, n, sizeof(*q->series), by_labels);
    q->answer = (struct promql_quantile_answer){q->groups, group_up(q, n), value, q};
    return q;
}

void quantiles_free(struct quantiles *q)
{
    if (!q)
        return;
    group_leave(q);
    free(q->series);
    free(q->starts);
    free(q->groups);
    free(q);
}

const struct promql_quantile_answer *quantiles_answer(const struct quantiles *q)
{
    return &q->answer;
}
