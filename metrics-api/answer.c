// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/answer_internal.h"

#include "common/io/fact_row_pg.h"

struct answerer *answerer_new(struct event_base *base, struct repo *repo,
                              const struct hash_key *hash_key, size_t memory_bytes)
{
    struct answerer *an = xcalloc(1, sizeof(*an));
    an->base = base;
    an->repo = repo;
    an->hash_key = hash_key;
    an->memory_bytes = memory_bytes;
    an->kept = (struct plan_kept){INT64_MIN, INT64_MIN};
    return an;
}

void answerer_free(struct answerer *an)
{
    free(an);
}

// ---- its life -----------------------------------------------------------------------------------

static void answering_free(struct answering *g)
{
    g->kind->clear(g);
    question_clear(&g->q);
    answer_clear(&g->out);
    if (g->refused)
        event_free(g->refused);
    free(g);
}

void answer_end(struct answering *g)
{
    g->pending = NULL;
    g->done(g->arg, &g->out);
    answering_free(g);
}

void answer_end_bad(struct answering *g, enum repo_status status, const struct err *e)
{
    if (status != REPO_STOPPED) {
        g->out.status = status == REPO_FAILED ? ANSWER_FAILED : ANSWER_UNAVAILABLE;
        g->out.err = *e;
    }
    answer_end(g);
}

static void on_refused(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    answer_end(arg);
}

static const struct answer_kind *kind_of(const struct question *q)
{
    switch (q->endpoint) {
    case ENDPOINT_SERIES:
    case ENDPOINT_TENANTS:
    case ENDPOINT_ROUTES:
    case ENDPOINT_MODELS:
        return &answer_names;
    case ENDPOINT_PRICES:
        return &answer_prices;
    default:
        return q->cells ? &answer_cells : &answer_rows;
    }
}

struct answering *answer_begin(struct answerer *an, struct question *q, answer_done done, void *arg)
{
    const struct answer_kind *kind = kind_of(q);
    struct answering *g = xcalloc(1, kind->size);
    g->an = an;
    g->q = *q;
    *q = (struct question){.endpoint = g->q.endpoint};
    g->kind = kind;
    g->out.format = g->q.format;
    g->out.settled_to_us = INT64_MAX;
    g->done = done;
    g->arg = arg;
    if (kind->begin(g) != 0) {
        g->refused = event_new(an->base, -1, 0, on_refused, g);
        event_active(g->refused, EV_TIMEOUT, 0);
    }
    return g;
}

void answer_cancel(struct answering *g)
{
    if (g->pending)
        repo_cancel(g->pending);
    answering_free(g);
}

// ---- what it needs ------------------------------------------------------------------------------

int answer_wants(const struct question *q, bool stored)
{
    if (q->endpoint == ENDPOINT_HEATMAP)
        return q->metric == METRIC_TTFT ? FACT_WANT_TTFT_HDR : FACT_WANT_LATENCY_HDR;
    if (q->endpoint == ENDPOINT_COST)
        return FACT_WANT_SUMS | FACT_WANT_COSTS | FACT_WANT_CLASSES;
    uint64_t bits = q->fields.bits;
    bool latency = q->endpoint == ENDPOINT_TOP && q->by == BY_P95, ttft = false;
    for (size_t i = 0; i < q->fields.n; i++) {
        latency |= q->fields.percentiles[i].latency;
        ttft |= q->fields.percentiles[i].ttft;
    }
    if (!stored) {
        latency |= (bits & FIELD_LATENCY_PERCENTILES) != 0;
        ttft |= (bits & FIELD_TTFT_PERCENTILES) != 0;
    }
    const uint64_t costs = FIELD_BIT(estimated_cost_usd) | FIELD_BIT(estimated_cost_usd_decimal) |
                           FIELD_BIT(reported_cost_usd) | FIELD_BIT(reported_cost_usd_decimal);
    const uint64_t classes =
        FIELD_BIT(uncached_prompt_cost_usd) | FIELD_BIT(cached_prompt_cost_usd) |
        FIELD_BIT(cache_write_5m_cost_usd) | FIELD_BIT(cache_write_1h_cost_usd) |
        FIELD_BIT(completion_cost_usd) | FIELD_BIT(reasoning_cost_usd) |
        FIELD_BIT(request_cost_usd) | FIELD_BIT(cache_savings_usd);
    const uint64_t no_sums = FIELD_BIT(tenant_id) | FIELD_BIT(route) | FIELD_BIT(model) |
                             FIELD_BIT(window_start) | FIELD_BIT(window_end) | FIELD_BIT(complete) |
                             FIELD_BIT(lossy) | FIELD_BIT(revision) | FIELD_BIT(publish_seq) |
                             FIELD_BIT(late) | FIELD_LATENCY_PERCENTILES | FIELD_TTFT_PERCENTILES;
    bool by_sums = q->endpoint == ENDPOINT_TOP && q->by != BY_COST && q->by != BY_P95;
    int wants = by_sums || bits & ~no_sums ? FACT_WANT_SUMS : 0;
    bool by_cost = q->endpoint == ENDPOINT_TOP && q->by == BY_COST;
    wants |= by_cost || bits & costs ? FACT_WANT_COSTS : 0;
    wants |= bits & classes ? FACT_WANT_CLASSES : 0;
    wants |= bits & (FIELD_BIT(error_classes) | FIELD_BIT(finish_reasons)) ? FACT_WANT_OBJECTS : 0;
    wants |= latency ? FACT_WANT_LATENCY_HDR : 0;
    wants |= ttft ? FACT_WANT_TTFT_HDR : 0;
    if (stored && bits & (FIELD_LATENCY_PERCENTILES | FIELD_TTFT_PERCENTILES))
        wants |= FACT_WANT_QUANTILES;
    if (bits & (FIELD_BIT(publish_seq) | FIELD_BIT(late)))
        wants |= FACT_WANT_PUBLISHED;
    return wants;
}

// ---- writing ------------------------------------------------------------------------------------

static bool any_within(const int64_t *sorted, size_t n, int64_t from_us, int64_t to_us)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (sorted[mid] < from_us)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && sorted[low] < to_us;
}

// A minute that has a row is known to llm_window; of a longer span those without one count too, and
// they are closed up to closed_through.
void answer_judge(const struct repo_meta *m, struct fact_row *row)
{
    int64_t from_us = row->window_start_us, to_us = row->window_end_us;
    bool minute = to_us - from_us == US_PER_MIN, through = to_us <= m->closed_through_us;
    row->closed = (minute || through) && !any_within(m->open, m->open_count, from_us, to_us);
    row->complete = row->closed && !any_within(m->partly, m->partly_count, from_us, to_us);
    row->lossy = false;
    for (size_t i = 0; i < m->gap_count && !row->lossy; i++)
        row->lossy = from_us < m->gaps[i].to_us && to_us > m->gaps[i].from_us;
}

#define ABOUT_BYTES 512
#define FIELD_BYTES 26 // of one with its name, about

static void tell_through(struct answer_about *about, int64_t closed_through_us)
{
    if (closed_through_us != INT64_MIN)
        about->data_through[time_format_rfc3339(closed_through_us, about->data_through)] = '\0';
}

void answer_write_begin(struct answer_writer *w, struct answering *g, int64_t closed_through_us,
                        const char *name, size_t rows)
{
    size_t shown = (size_t)__builtin_popcountll(g->q.fields.bits) + 2 * g->q.fields.n;
    buf_reserve(&g->out.body, ABOUT_BYTES + rows * shown * FIELD_BYTES);
    *w = (struct answer_writer){.g = g, .closed_through_us = closed_through_us};
    w->render = (struct render){g->q.format, field_infos, &g->q.fields, .out = &g->out.body};
    render_begin(&w->render, name);
}

void answer_write_row(struct answer_writer *w, const struct fact_row *row, const double *latency_ms,
                      const double *ttft_ms)
{
    struct metrics_row out;
    w->g->out.about.open_windows |= !row->complete;
    fact_row_derive(row, &w->scratch, &out);
    render_row(&w->render, &out, latency_ms, ttft_ms);
}

void answer_write_rows_end(struct answer_writer *w)
{
    render_end(&w->render);
    w->g->out.rows = w->render.rows;
}

void answer_write_end(struct answer_writer *w, int rc)
{
    buf_free(&w->scratch);
    if (rc == 0)
        answer_write_about(w->g, w->closed_through_us);
}

void answer_add_time(struct buf *out, int64_t t_us)
{
    char text[TIME_RFC3339_MAX];
    buf_addc(out, '"');
    buf_add(out, text, time_format_rfc3339(t_us, text));
    buf_addc(out, '"');
}

void answer_add_cursor(struct answering *g, const struct fold_place *last)
{
    struct buf *cursor = &g->out.about.next_cursor;
    question_cursor(&g->q, last, cursor);
    buf_reserve(cursor, 1);
    cursor->p[cursor->n] = '\0';
}

static void write_members(struct buf *out, const struct question *q,
                          const struct answer_about *about)
{
    if (q->from_us != INT64_MIN) {
        buf_adds(out, ",\"from\":");
        answer_add_time(out, q->from_us);
    }
    if (q->to_us != INT64_MAX) {
        buf_adds(out, ",\"to\":");
        answer_add_time(out, q->to_us);
    }
    if (about->data_through[0])
        buf_addf(out, ",\"data_through\":\"%s\"", about->data_through);
    else
        buf_adds(out, ",\"data_through\":null");
    buf_addf(out, ",\"open_windows\":%s,\"percentile_error\":" ANSWER_PERCENTILE_ERROR,
             about->open_windows ? "true" : "false");
    if (about->next_cursor.n > 0)
        buf_addf(out, ",\"next_cursor\":\"%.*s\"}", (int)about->next_cursor.n,
                 about->next_cursor.p);
    else
        buf_adds(out, ",\"next_cursor\":null}");
}

void answer_write_about(struct answering *g, int64_t closed_through_us)
{
    struct answer *out = &g->out;
    tell_through(&out->about, closed_through_us);
    if (g->q.format == RENDER_JSON)
        write_members(&out->body, &g->q, &out->about);
    if (g->q.to_us <= closed_through_us)
        out->settled_to_us = g->q.to_us;
    out->status = ANSWER_OK;
}
