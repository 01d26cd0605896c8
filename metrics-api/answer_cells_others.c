// SPDX-License-Identifier: Apache-2.0
// Cells as top, summary and heatmap show them.
#include "metrics-api/answer_cells.h"

#include <math.h>

#include "metrics-api/heatmap.h"
#include "metrics-api/summary.h"
#include "metrics-api/top.h"

// ---- top ----------------------------------------------------------------------------------------

// All groups as one row: without names, and of the answer's other fields.
static void write_total(struct answering_cells *s, struct answer_writer *w)
{
    const struct cell *total;
    struct fields fields = s->g.q.fields;
    struct metrics_row out;
    fields.bits &= ~(FIELD_BIT(tenant_id) | FIELD_BIT(route) | FIELD_BIT(model));
    buf_adds(&s->g.out.body, ",\"total\":");
    if (fold_finish(s->total, &total) == 0) {
        buf_adds(&s->g.out.body, "null");
        return;
    }
    struct fact_row row = total->row;
    row.complete = row.closed = !s->g.out.about.open_windows;
    for (size_t i = 0; i < s->n; i++)
        row.lossy |= s->cells[i].row.lossy;
    fact_row_derive(&row, &w->scratch, &out);
    struct render r = {RENDER_NDJSON, field_infos, &fields, .out = &s->g.out.body};
    render_row(&r, &out, total->latency_ms, total->ttft_ms);
    s->g.out.body.n--; // the line's end
}

int cells_write_top(struct answering_cells *s)
{
    const struct question *q = &s->g.q;
    struct answer_writer w;
    size_t limit = s->n < (size_t)q->limit ? s->n : (size_t)q->limit;
    size_t *order = xcalloc(limit + 1, sizeof(*order));
    const struct cell *cells = NULL;
    if (s->n > 0)
        cells = s->cells[0].cell; // one chunk: its cells lie behind each other
    size_t n = top_find(cells, s->n, q->by, limit, order);
    for (size_t i = 0; i < s->n; i++)
        s->g.out.about.open_windows |= !s->cells[i].row.complete;
    answer_write_begin(&w, &s->g, s->closed_through_us, "top", n);
    for (size_t i = 0; i < n; i++) {
        const struct shown_cell *c = &s->cells[order[i]];
        answer_write_row(&w, &c->row, c->cell->latency_ms, c->cell->ttft_ms);
    }
    answer_write_rows_end(&w);
    if (q->format == RENDER_JSON)
        write_total(s, &w);
    answer_write_end(&w, 0);
    free(order);
    return 0;
}

// ---- summary ------------------------------------------------------------------------------------

int cells_write_summary(struct answering_cells *s)
{
    const struct question *q = &s->g.q;
    struct answer *out = &s->g.out;
    struct metrics_row rows[2];
    struct buf scratch[2] = {0};
    struct summary_side now = {0}, before = {0};
    for (size_t i = 0; i < s->n; i++) {
        const struct shown_cell *c = &s->cells[i];
        bool is_now = c->row.window_start_us == q->from_us;
        fact_row_derive(&c->row, &scratch[is_now], &rows[is_now]);
        *(is_now ? &now : &before) =
            (struct summary_side){&rows[is_now], c->cell->latency_ms, c->cell->ttft_ms};
        out->about.open_windows |= is_now && !c->row.complete;
    }
    buf_adds(&out->body, "{\"summary\":{");
    summary_add(&out->body, &q->fields, &now, &before);
    buf_adds(&out->body, "},\"before_from\":");
    answer_add_time(&out->body, s->steps.from_us);
    out->rows = 1;
    answer_write_about(&s->g, s->closed_through_us);
    buf_free(&scratch[0]);
    buf_free(&scratch[1]);
    return 0;
}

// ---- heatmap ------------------------------------------------------------------------------------

static void add_border(struct buf *out, int64_t le_us)
{
    buf_addc(out, '"');
    metrics_json_double(out, (double)le_us / (double)US_PER_MS);
    buf_addc(out, '"');
}

static void add_borders(struct buf *out, const struct heatmap *m)
{
    buf_adds(out, ",\"buckets\":[");
    for (size_t i = 0; i < m->n; i++) {
        add_border(out, m->le_us[i]);
        buf_addc(out, ',');
    }
    buf_adds(out, "\"+Inf\"]");
}

static void add_step(struct buf *out, const struct heatmap *m, int64_t from_us, int64_t to_us,
                     const struct hist *h)
{
    static const struct hist empty;
    int64_t counts[HEATMAP_BORDERS_MAX + 1];
    heatmap_count(m, h ? h : &empty, counts);
    buf_adds(out, "{\"window_start\":");
    answer_add_time(out, from_us);
    buf_adds(out, ",\"window_end\":");
    answer_add_time(out, to_us);
    for (size_t i = 0; i <= m->n; i++) {
        buf_addc(out, ',');
        if (i < m->n)
            add_border(out, m->le_us[i]);
        else
            buf_adds(out, "\"+Inf\"");
        buf_addc(out, ':');
        metrics_json_int(out, counts[i]);
    }
    buf_addc(out, '}');
}

// Every step has its row, oldest first: a heatmap without a gap.
int cells_write_heatmap(struct answering_cells *s)
{
    struct answer *out = &s->g.out;
    bool ttft = s->g.q.metric == METRIC_TTFT;
    struct hist all = {0};
    struct heatmap m;
    for (size_t i = 0; i < s->n; i++) {
        hist_add(&all, ttft ? s->cells[i].cell->ttft : s->cells[i].cell->latency);
        out->about.open_windows |= !s->cells[i].row.complete;
    }
    heatmap_borders(&all, &m);
    hist_clear(&all);
    buf_adds(&out->body, "{\"heatmap\":[");
    size_t at = 0;
    for (int64_t t = s->steps.from_us; t < s->steps.to_us; t = steps_end_us(&s->steps, t)) {
        const struct cell *c = NULL;
        if (at < s->n && s->cells[at].row.window_start_us == t)
            c = s->cells[at++].cell;
        buf_adds(&out->body, out->rows++ > 0 ? "," : "");
        add_step(&out->body, &m, t, steps_end_us(&s->steps, t),
                 c ? ttft ? c->ttft : c->latency : NULL);
    }
    buf_addf(&out->body, "],\"count\":%zu", out->rows);
    add_borders(&out->body, &m);
    answer_write_about(&s->g, s->closed_through_us);
    return 0;
}
