// SPDX-License-Identifier: Apache-2.0
// Stored windows: collected, since they come series by series, and sorted.
#include "common/core/hist.h"
#include "common/io/fact_row_pg.h"
#include "metrics-api/answer_internal.h"

#include <math.h>

// A collected row; its strings are its own.
struct row {
    struct fact_row facts;
    char *text;
    double percentiles[]; // of latency, then of time to first token
};

struct answering_rows {
    struct answering g;
    struct row **v;
    size_t n, cap;
};

static void keep_str(struct str *s, char **at)
{
    if (!s->p)
        return;
    memcpy(*at, s->p, s->n);
    s->p = *at;
    *at += s->n;
}

static struct row *row_copy(const struct fact_row *facts, size_t percentiles)
{
    struct row *row = xmalloc(sizeof(*row) + 2 * percentiles * sizeof(double));
    struct fact_row *f = &row->facts;
    *f = *facts;
    f->latency_hdr = f->ttft_hdr = (struct str){NULL, 0};
    char *at = row->text = xmalloc(f->tenant_id.n + f->route.n + f->model.n + f->error_classes.n +
                                   f->finish_reasons.n + 1);
    keep_str(&f->tenant_id, &at);
    keep_str(&f->route, &at);
    keep_str(&f->model, &at);
    keep_str(&f->error_classes, &at);
    keep_str(&f->finish_reasons, &at);
    return row;
}

static int read_percentiles(const struct fields *fields, struct str hdr, int64_t max_us,
                            double *out, struct err *e)
{
    struct hist h = {0};
    if (hdr.p && hist_decode_add(&h, hdr.p, hdr.n, e) != 0)
        return -1;
    h.max_us = max_us;
    for (size_t i = 0; i < fields->n; i++)
        out[i] = h.total > 0
                     ? (double)hist_quantile(&h, fields->percentiles[i].q) / (double)US_PER_MS
                     : NAN;
    hist_clear(&h);
    return 0;
}

static int on_row(void *arg, const struct fact_row *facts)
{
    struct answering_rows *s = arg;
    const struct fields *fields = &s->g.q.fields;
    struct row *row = row_copy(facts, fields->n);
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->v = xrealloc(s->v, s->cap * sizeof(struct row *));
    }
    s->v[s->n++] = row;
    struct err *e = &s->g.out.err;
    s->g.out.status = ANSWER_FAILED;
    return fields->n == 0 || (read_percentiles(fields, facts->latency_hdr, facts->latency_max_us,
                                               row->percentiles, e) == 0 &&
                              read_percentiles(fields, facts->ttft_hdr, facts->ttft_max_us,
                                               row->percentiles + fields->n, e) == 0)
               ? 0
               : -1;
}

static struct fold_place place_of(const struct fact_row *f)
{
    return (struct fold_place){f->window_start_us, f->tenant_id, f->route, f->model};
}

static int compare(const struct row *a, const struct row *b, bool ascending)
{
    struct fold_place x = place_of(&a->facts), y = place_of(&b->facts);
    return fold_place_compare(&x, &y, ascending);
}

static int compare_ascending(const void *a, const void *b)
{
    return compare(*(struct row *const *)a, *(struct row *const *)b, true);
}

static int compare_descending(const void *a, const void *b)
{
    return compare(*(struct row *const *)a, *(struct row *const *)b, false);
}

static void write_rows(struct answering_rows *s, const struct repo_meta *meta)
{
    const struct question *q = &s->g.q;
    struct answer_writer w;
    size_t shown = s->n < (size_t)q->limit ? s->n : (size_t)q->limit;
    if (s->n > 1)
        qsort(s->v, s->n, sizeof(struct row *),
              q->ascending ? compare_ascending : compare_descending);
    answer_write_begin(&w, &s->g, meta->closed_through_us, "metrics", shown);
    for (size_t i = 0; i < shown; i++) {
        answer_judge(meta, &s->v[i]->facts);
        answer_write_row(&w, &s->v[i]->facts, s->v[i]->percentiles,
                         s->v[i]->percentiles + q->fields.n);
    }
    answer_write_rows_end(&w);
    if (s->n > shown) {
        struct fold_place last = place_of(&s->v[shown - 1]->facts);
        answer_add_cursor(&s->g, &last);
    }
    answer_write_end(&w, 0);
}

static void on_done(void *arg, enum repo_status status, const struct repo_meta *meta,
                    const struct err *e)
{
    struct answering_rows *s = arg;
    if (status != REPO_OK) {
        answer_end_bad(&s->g, status, e);
        return;
    }
    s->g.an->kept = meta->kept;
    write_rows(s, meta);
    answer_end(&s->g);
}

static int begin(struct answering *g)
{
    g->pending = repo_rows(g->an->repo, &g->q, answer_wants(&g->q, true), on_row, on_done, g);
    return 0;
}

static void clear(struct answering *g)
{
    struct answering_rows *s = (struct answering_rows *)g;
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i]->text);
        free(s->v[i]);
    }
    free(s->v);
}

const struct answer_kind answer_rows = {sizeof(struct answering_rows), begin, clear};
