// SPDX-License-Identifier: Apache-2.0
// What exists in a range: series, tenants, routes, models.
#include "common/core/metrics_json.h"
#include "metrics-api/answer_internal.h"

struct answering_names {
    struct answering g;
    struct buf rows;
    size_t n;
    // The last one that is shown, for the cursor; owned.
    struct buf last[3];
    bool more;
};

static const char *const list_names[] = {
    [ENDPOINT_SERIES] = "series",
    [ENDPOINT_TENANTS] = "tenants",
    [ENDPOINT_ROUTES] = "routes",
    [ENDPOINT_MODELS] = "models",
};

static void add_name(struct buf *out, const char *key, struct str name)
{
    if (!name.p)
        return;
    buf_addf(out, "\"%s\":", key);
    buf_add_json_str(out, name);
    buf_addc(out, ',');
}

static void keep(struct buf *into, struct str name)
{
    buf_clear(into);
    buf_add(into, name.p, name.n);
}

static int on_row(void *arg, const struct fact_row *row)
{
    struct answering_names *s = arg;
    if ((int64_t)s->n == s->g.q.limit) {
        s->more = true;
        return 0;
    }
    buf_adds(&s->rows, s->n++ > 0 ? ",{" : "{");
    add_name(&s->rows, "tenant_id", row->tenant_id);
    add_name(&s->rows, "route", row->route);
    add_name(&s->rows, "model", row->model);
    buf_adds(&s->rows, "\"first_seen\":");
    answer_add_time(&s->rows, row->window_start_us);
    buf_adds(&s->rows, ",\"last_seen\":");
    answer_add_time(&s->rows, row->window_end_us);
    if (s->g.q.endpoint != ENDPOINT_SERIES)
        buf_addf(&s->rows, ",\"series\":%lld", (long long)row->requests);
    buf_addc(&s->rows, '}');
    keep(&s->last[0], row->tenant_id);
    keep(&s->last[1], row->route);
    keep(&s->last[2], row->model);
    return 0;
}

static struct str str_of_buf(const struct buf *b)
{
    return (struct str){b->n > 0 ? b->p : NULL, b->n};
}

static void write_names(struct answering_names *s)
{
    struct answer *out = &s->g.out;
    buf_addf(&out->body, "{\"%s\":[", list_names[s->g.q.endpoint]);
    buf_add(&out->body, s->rows.p, s->rows.n);
    buf_addf(&out->body, "],\"count\":%zu", s->n);
    buf_adds(&out->body, ",\"from\":");
    answer_add_time(&out->body, s->g.q.from_us);
    buf_adds(&out->body, ",\"to\":");
    answer_add_time(&out->body, s->g.q.to_us);
    struct fold_place last = {0, str_of_buf(&s->last[0]), str_of_buf(&s->last[1]),
                              str_of_buf(&s->last[2])};
    if (s->more)
        answer_add_cursor(&s->g, &last);
    buf_addf(&out->body, s->more ? ",\"next_cursor\":\"%.*s\"}" : ",\"next_cursor\":null}",
             (int)out->about.next_cursor.n, out->about.next_cursor.p);
    out->rows = s->n;
    out->status = ANSWER_OK;
}

static void on_done(void *arg, enum repo_status status, UNUSED const struct repo_meta *meta,
                    const struct err *e)
{
    struct answering_names *s = arg;
    if (status != REPO_OK) {
        answer_end_bad(&s->g, status, e);
        return;
    }
    write_names(s);
    answer_end(&s->g);
}

static int begin(struct answering *g)
{
    g->pending = repo_names(g->an->repo, &g->q, on_row, on_done, g);
    return 0;
}

static void clear(struct answering *g)
{
    struct answering_names *s = (struct answering_names *)g;
    buf_free(&s->rows);
    for (size_t i = 0; i < ARRAY_LEN(s->last); i++)
        buf_free(&s->last[i]);
}

const struct answer_kind answer_names = {sizeof(struct answering_names), begin, clear};
