// SPDX-License-Identifier: Apache-2.0
// Cells as rows, a page of them; and rows for steps that have none.
#include "metrics-api/answer_cells.h"

#include <math.h>

static struct fold_place place_of(const struct fact_row *row)
{
    return (struct fold_place){row->window_start_us, row->tenant_id, row->route, row->model};
}

// ---- steps without a cell -----------------------------------------------------------------------

static int compare_groups(const void *a, const void *b)
{
    struct fold_place x = place_of(&(*(const struct shown_cell *const *)a)->row);
    struct fold_place y = place_of(&(*(const struct shown_cell *const *)b)->row);
    x.start_us = y.start_us = 0;
    return fold_place_compare(&x, &y, true);
}

// A cell of each group that occurs, by name; the caller frees it. Without groups there is the one
// of everything, also where nothing happened.
static const struct shown_cell **groups_of(const struct answering_cells *s, size_t *n)
{
    static const struct shown_cell everything;
    const struct shown_cell **groups = xcalloc(s->n + 1, sizeof(*groups));
    for (size_t i = 0; i < s->n; i++)
        groups[i] = &s->cells[i];
    if (s->n > 1)
        qsort(groups, s->n, sizeof(*groups), compare_groups);
    *n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (*n == 0 || compare_groups(&groups[*n - 1], &groups[i]) != 0)
            groups[(*n)++] = groups[i];
    if (*n == 0 && s->g.q.group_by == 0)
        groups[(*n)++] = &everything;
    return groups;
}

static int64_t steps_up_to(const struct steps *steps, int64_t most)
{
    int64_t n = 0;
    for (int64_t t = steps->from_us; t < steps->to_us && n <= most; n++)
        t = steps_end_us(steps, t);
    return n;
}

static void write_empty(struct answer_writer *w, const struct shown_cell *group, int64_t from_us,
                        int64_t to_us, bool zero)
{
    struct fact_row row = {.tenant_id = group->row.tenant_id,
                           .route = group->row.route,
                           .model = group->row.model,
                           .window_start_us = from_us,
                           .window_end_us = to_us};
    struct metrics_row out;
    double nothing[PERCENTILES_MAX];
    for (int i = 0; i < FACT_QUANTILE_COUNT; i++)
        row.latency_us[i] = row.ttft_us[i] = -1;
    for (int i = 0; i < PERCENTILES_MAX; i++)
        nothing[i] = NAN;
    row.complete = row.closed = to_us <= w->closed_through_us;
    if (zero) {
        answer_write_row(w, &row, nothing, nothing);
        return;
    }
    fact_row_derive(&row, &w->scratch, &out);
    render_empty_row(&w->render, &out);
}

// The cells come in the order of the steps, and in a step in that of the groups.
static void write_filled(struct answering_cells *s, struct answer_writer *w,
                         const struct shown_cell **groups, size_t group_count)
{
    const struct question *q = &s->g.q;
    const struct steps *steps = &s->steps;
    size_t at = 0;
    for (int64_t t = q->ascending ? steps->from_us : steps->to_us - 1;
         t >= steps->from_us && t < steps->to_us;
         t = q->ascending ? steps_end_us(steps, t) : steps_start_us(steps, t) - 1) {
        int64_t from_us = steps_start_us(steps, t), to_us = steps_end_us(steps, t);
        for (size_t i = 0; i < group_count; i++) {
            const struct shown_cell *c = at < s->n ? &s->cells[at] : NULL;
            if (c && c->row.window_start_us == from_us && compare_groups(&groups[i], &c) == 0) {
                answer_write_row(w, &c->row, c->cell->latency_ms, c->cell->ttft_ms);
                at++;
            } else {
                write_empty(w, groups[i], from_us, to_us, q->fill == FILL_ZERO);
            }
        }
    }
}

static int fill(struct answering_cells *s, struct answer_writer *w)
{
    const struct question *q = &s->g.q;
    size_t group_count;
    const struct shown_cell **groups = groups_of(s, &group_count);
    int64_t rows = steps_up_to(&s->steps, q->limit) * (int64_t)group_count;
    bool fits = rows <= q->limit && s->n <= (size_t)q->limit;
    if (fits)
        write_filled(s, w, groups, group_count);
    free(groups);
    if (fits)
        return 0;
    return err_field(&s->g.out.err, "fill", -1,
                     "makes more rows than the limit of %lld: fewer groups, a shorter range or a "
                     "longer step",
                     (long long)q->limit);
}

// ---- pages --------------------------------------------------------------------------------------

static void write_page(struct answering_cells *s, struct answer_writer *w)
{
    const struct question *q = &s->g.q;
    size_t shown = s->n < (size_t)q->limit ? s->n : (size_t)q->limit;
    for (size_t i = 0; i < shown; i++)
        answer_write_row(w, &s->cells[i].row, s->cells[i].cell->latency_ms,
                         s->cells[i].cell->ttft_ms);
    if (s->n > shown) {
        struct fold_place last = place_of(&s->cells[shown - 1].row);
        answer_add_cursor(&s->g, &last);
    }
}

int cells_write_metrics(struct answering_cells *s)
{
    struct answer_writer w;
    int rc = 0;
    answer_write_begin(&w, &s->g, s->closed_through_us, "metrics", s->n);
    if (s->g.q.fill == FILL_NONE)
        write_page(s, &w);
    else
        rc = fill(s, &w);
    answer_write_rows_end(&w);
    answer_write_end(&w, rc);
    return rc;
}
