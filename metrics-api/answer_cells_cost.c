// SPDX-License-Identifier: Apache-2.0
// Cells of a range and of the one before it as /v1/cost shows them.
#include "metrics-api/answer_cells.h"

#include "metrics-api/cost.h"

// All groups as one row, without names.
static void write_total(struct answering_cells *s, const struct cost_sides *total)
{
    struct fields fields = {.bits = cost_fields_shown(0)};
    struct buf *out = &s->g.out.body, scratch = {0};
    struct cost_row row;
    buf_adds(out, ",\"total\":");
    if (!total->now && !total->before) {
        buf_adds(out, "null");
        return;
    }
    struct render r = {RENDER_NDJSON, cost_field_infos, &fields, .out = out};
    cost_row_derive(total, total->now ? total->now->cost : 0, s->has_before, &scratch, &row);
    buf_addc(out, '{');
    render_members(&r, &row, fields.bits);
    buf_addc(out, '}');
    buf_free(&scratch);
}

// Without groups, hence of at most one.
static struct cost_sides find_total(struct answering_cells *s)
{
    const struct cell *cells;
    struct cost_sides sides[2] = {{0}};
    size_t n = fold_finish(s->total, &cells);
    (void)cost_pair(cells, n, s->g.q.from_us, sides);
    return sides[0];
}

static void write_rows(struct answering_cells *s, const struct cost_sides *groups, size_t n,
                       money total)
{
    struct fields fields = {.bits = cost_fields_shown(s->g.q.group_by)};
    struct render r = {s->g.q.format, cost_field_infos, &fields, .out = &s->g.out.body};
    struct buf scratch = {0};
    struct cost_row row;
    render_begin(&r, "cost");
    for (size_t i = 0; i < n; i++) {
        cost_row_derive(&groups[i], total, s->has_before, &scratch, &row);
        render_row(&r, &row, NULL, NULL);
    }
    render_end(&r);
    s->g.out.rows = r.rows;
    buf_free(&scratch);
}

int cells_write_cost(struct answering_cells *s)
{
    const struct question *q = &s->g.q;
    struct buf *out = &s->g.out.body;
    struct cost_sides total = find_total(s);
    struct cost_sides *groups = xcalloc(s->n + 1, sizeof(*groups));
    // One chunk: its cells lie behind each other.
    size_t n = cost_pair(s->n > 0 ? s->cells[0].cell : NULL, s->n, q->from_us, groups);
    for (size_t i = 0; i < s->n; i++)
        s->g.out.about.open_windows |=
            s->cells[i].row.window_start_us >= q->from_us && !s->cells[i].row.complete;
    write_rows(s, groups, n < (size_t)q->limit ? n : (size_t)q->limit,
               total.now ? total.now->cost : 0);
    if (q->format == RENDER_JSON) {
        write_total(s, &total);
        buf_adds(out, ",\"before_from\":");
        if (s->has_before)
            answer_add_time(out, s->steps.from_us);
        else
            buf_adds(out, "null");
    }
    answer_write_about(&s->g, s->closed_through_us);
    free(groups);
    return 0;
}
