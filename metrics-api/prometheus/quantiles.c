// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/quantiles.h"

#include "common/core/hist.h"
#include "common/core/timeunit.h"

#include <math.h>

// Of a series: a row of its blocks of minutes, or the end.
struct place {
    size_t block, row;
};

// What is merged is one group's, in a window that slides over its minutes: those that enter are
// added, those that leave taken off. Sums wrap, so that what is taken off is what was added,
// whatever a database held.
struct quantiles {
    struct quantiles_spec spec;
    const struct quantiles_series **series; // by their groups
    size_t *starts;                         // where each group's begin; one more than groups
    struct labels *groups;
    struct promql_quantile_answer answer;
    size_t group;                     // SIZE_MAX: none yet
    int64_t from_us, to_us;           // of the minutes that are merged: where they begin
    struct place *entering, *leaving; // the next row to enter and to leave, of the group's series
    uint64_t windows, total;          // rows and values
    uint64_t chunks[HIST_CHUNKS];     // sums of counts, so that finding a rank need not see all
    uint64_t counts[HIST_COUNTS];
};

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
static void advance(struct quantiles *q, const struct facts_rows *rows, struct place *p,
                    int64_t until_us, uint64_t sign)
{
    for (; p->block < rows->minute_count; *p = (struct place){p->block + 1, 0}) {
        const struct facts_block *b = rows->minutes[p->block];
        for (; p->row < b->n; p->row++) {
            if (b->start_us + b->place[p->row] * US_PER_MIN >= until_us)
                return;
            add(q, &b->hists[p->row], sign);
        }
    }
}

static struct place place_of(const struct facts_rows *rows, int64_t from_us)
{
    struct place p = {0, 0};
    from_us = max_i64(from_us, rows->minutes_from_us);
    for (size_t end = rows->minute_count; p.block < end;) {
        size_t middle = p.block + (end - p.block) / 2;
        if (rows->minutes[middle]->start_us + facts_block_us(FACTS_MINUTES) <= from_us)
            p.block = middle + 1;
        else
            end = middle;
    }
    if (p.block == rows->minute_count)
        return p;
    const struct facts_block *b = rows->minutes[p.block];
    while (p.row < b->n && b->start_us + b->place[p.row] * US_PER_MIN < from_us)
        p.row++;
    return p;
}

static void begin_anew(struct quantiles *q, size_t group, int64_t from_us)
{
    q->group = group;
    q->windows = q->total = 0;
    memset(q->chunks, 0, sizeof(q->chunks));
    memset(q->counts, 0, sizeof(q->counts));
    for (size_t i = q->starts[group]; i < q->starts[group + 1]; i++) {
        struct place p = place_of(&q->series[i]->rows, from_us);
        q->entering[i - q->starts[group]] = q->leaving[i - q->starts[group]] = p;
    }
}

static void slide(struct quantiles *q, size_t group, int64_t from_us, int64_t to_us)
{
    if (q->group == group && q->from_us == from_us && q->to_us == to_us)
        return;
    if (q->group != group || from_us < q->from_us || from_us >= q->to_us || to_us < q->to_us)
        begin_anew(q, group, from_us);
    for (size_t i = q->starts[group]; i < q->starts[group + 1]; i++) {
        const struct facts_rows *rows = &q->series[i]->rows;
        advance(q, rows, &q->leaving[i - q->starts[group]], from_us, UINT64_MAX);
        advance(q, rows, &q->entering[i - q->starts[group]], to_us, 1);
    }
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

// The groups of q->series, which are sorted: how many, and of how many series the largest is.
static size_t group_up(struct quantiles *q, size_t n, size_t *largest)
{
    size_t groups = 0;
    *largest = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || labels_compare(q->groups[groups - 1], q->series[i]->group) != 0) {
            q->starts[groups] = i;
            q->groups[groups++] = q->series[i]->group;
        }
        size_t size = i + 1 - q->starts[groups - 1];
        *largest = size > *largest ? size : *largest;
    }
    q->starts[groups] = n;
    return groups;
}

struct quantiles *quantiles_new(const struct quantiles_spec *spec,
                                const struct quantiles_series *series, size_t n)
{
    struct quantiles *q = xcalloc(1, sizeof(*q));
    q->spec = *spec;
    q->group = SIZE_MAX;
    q->series = xcalloc(n + 1, sizeof(*q->series));
    q->starts = xcalloc(n + 1, sizeof(*q->starts));
    q->groups = xcalloc(n + 1, sizeof(*q->groups));
    for (size_t i = 0; i < n; i++)
        q->series[i] = &series[i];
    qsort(q->series, n, sizeof(*q->series), by_labels);
    size_t largest, groups = group_up(q, n, &largest);
    q->entering = xcalloc(largest + 1, sizeof(*q->entering));
    q->leaving = xcalloc(largest + 1, sizeof(*q->leaving));
    q->answer = (struct promql_quantile_answer){q->groups, groups, value, q};
    return q;
}

void quantiles_free(struct quantiles *q)
{
    if (!q)
        return;
    free(q->series);
    free(q->starts);
    free(q->groups);
    free(q->entering);
    free(q->leaving);
    free(q);
}

const struct promql_quantile_answer *quantiles_answer(const struct quantiles *q)
{
    return &q->answer;
}
