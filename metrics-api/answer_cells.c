// SPDX-License-Identifier: Apache-2.0
// Sums: the rows of minutes and hours that the plan names, folded as they come. Each chunk is one
// statement, hence one snapshot: a cell is whole in it, whatever is written meanwhile.
#include "metrics-api/answer_cells.h"

#include "common/io/fact_row_pg.h"
#include "common/io/zone.h"

#define MEMORY_SHARE 4       // of one question, at most that part of all
#define SMALL (256u << 10)   // bytes that a question may have, whatever others take
#define FIRST_CHUNK_STEPS 64 // at least; a step has at least one cell where there is any data
#define CHUNK_GROWTH 8
#define REPLANS_MAX 3

static int wrong(struct answering_cells *s)
{
    s->g.out.status = ANSWER_WRONG;
    return -1;
}

// ---- the steps ----------------------------------------------------------------------------------

static int steps_of_zone(struct answering_cells *s)
{
    const struct question *q = &s->g.q;
    if (zone_days(q->zone, q->from_us, q->to_us, (int)(q->step_us / US_PER_DAY), &s->borders,
                  &s->steps.n, &s->g.out.err) != 0)
        return wrong(s);
    s->steps.at = s->borders;
    return 0;
}

// The range, and one as long before it.
static void steps_of_two(struct answering_cells *s)
{
    const struct question *q = &s->g.q;
    int64_t before_us = question_first_us(q);
    int64_t borders[] = {before_us, q->from_us, q->to_us};
    s->borders = xmemdup(borders, sizeof(borders));
    s->steps = (struct steps){.from_us = before_us, .to_us = q->to_us, .at = s->borders, .n = 3};
}

static int make_steps(struct answering_cells *s)
{
    const struct question *q = &s->g.q;
    s->steps = (struct steps){.from_us = q->from_us,
                              .to_us = q->to_us,
                              .step_us = q->step_us,
                              .offset_us = q->step_us > 0 ? steps_offset_us(q->step_us) : 0};
    if (q->endpoint == ENDPOINT_SUMMARY || q->endpoint == ENDPOINT_COST)
        steps_of_two(s);
    else if (q->zone)
        return steps_of_zone(s);
    return 0;
}

// ---- a chunk ------------------------------------------------------------------------------------

static bool reads_in_chunks(const struct question *q)
{
    return q->endpoint == ENDPOINT_METRICS && q->step_us > 0 && q->fill == FILL_NONE;
}

static void chunk_choose(struct answering_cells *s)
{
    s->chunk = s->steps;
    s->chunk.from_us = s->low_us;
    s->chunk.to_us = s->high_us;
    bool rest = s->chunk_us >= s->high_us - s->low_us || s->fold_count + 1 == CELLS_CHUNKS_MAX;
    if (!rest && s->g.q.ascending)
        s->chunk.to_us = steps_end_us(&s->steps, s->low_us + s->chunk_us);
    else if (!rest)
        s->chunk.from_us = steps_start_us(&s->steps, s->high_us - s->chunk_us);
}

static struct fold *fold_of_chunk(struct answering_cells *s, const struct steps *steps)
{
    const struct question *q = &s->g.q;
    size_t share = s->g.an->memory_bytes / MEMORY_SHARE;
    struct fold_spec spec = {
        .steps = *steps,
        .ascending = q->ascending,
        .limit = s->wanted - s->n,
        .after = q->has_after ? &q->after : NULL,
        .max_bytes = share > s->taken ? share - s->taken : 0,
        .percentiles = q->fields.percentiles,
        .percentile_count = q->fields.n,
        .histograms = q->endpoint == ENDPOINT_HEATMAP,
        .hash_key = s->g.an->hash_key,
    };
    return fold_new(&spec);
}

static void count_bytes(struct answering_cells *s)
{
    size_t bytes = s->taken;
    if (s->filling)
        bytes += fold_bytes(s->folds[s->fold_count - 1]);
    if (s->total)
        bytes += fold_bytes(s->total);
    s->g.an->bytes += bytes - s->counted;
    s->counted = bytes;
}

static int too_large(struct answering_cells *s)
{
    s->g.out.status = ANSWER_WRONG;
    return err_field(&s->g.out.err, "group_by", -1,
                     "makes more groups and steps than fit into %zu MiB: fewer groups, a shorter "
                     "range or a longer step",
                     (s->g.an->memory_bytes / MEMORY_SHARE) >> 20);
}

static int on_row(void *arg, const struct fact_row *row)
{
    struct answering_cells *s = arg;
    const struct question *q = &s->g.q;
    struct err *e = &s->g.out.err;
    struct fact_row grouped = *row;
    const struct str none = {NULL, 0};
    grouped.tenant_id = q->group_by & GROUP_TENANT ? row->tenant_id : none;
    grouped.route = q->group_by & GROUP_ROUTE ? row->route : none;
    grouped.model = q->group_by & GROUP_MODEL ? row->model : none;
    int rc = fold_add(s->folds[s->fold_count - 1], &grouped, e);
    if (rc == 0 && s->total) {
        grouped.tenant_id = grouped.route = grouped.model = none;
        rc = fold_add(s->total, &grouped, e);
    }
    count_bytes(s);
    if (rc == 0 && (s->counted <= SMALL || s->g.an->bytes <= s->g.an->memory_bytes))
        return 0;
    if (rc == 0) {
        s->g.out.status = ANSWER_UNAVAILABLE;
        return err_set(e, "too many large questions are being answered");
    }
    if (!e->field[0])
        return too_large(s);
    s->g.out.status = ANSWER_FAILED;
    return -1;
}

static void on_done(void *arg, enum repo_status status, const struct repo_meta *meta,
                    const struct err *e);

// A cost is compared with a range before that is kept as a whole, or with none: what is gone would
// look like money saved.
static int chunk_plan(struct answering_cells *s, struct plan *plan)
{
    const struct question *q = &s->g.q;
    struct err *e = &s->g.out.err;
    if (q->endpoint != ENDPOINT_COST)
        return plan_make(&s->chunk, &s->kept, plan, e);
    s->chunk = s->steps;
    s->has_before =
        s->steps.from_us >= s->kept.hours_from_us && plan_make(&s->chunk, &s->kept, plan, e) == 0;
    if (!s->has_before)
        s->chunk = (struct steps){.from_us = q->from_us, .to_us = q->to_us};
    s->low_us = s->chunk.from_us;
    return s->has_before ? 0 : plan_make(&s->chunk, &s->kept, plan, e);
}

static int chunk_send(struct answering_cells *s)
{
    struct plan plan = {0};
    s->kept = s->g.an->kept;
    if (chunk_plan(s, &plan) != 0) {
        plan_clear(&plan);
        return wrong(s);
    }
    s->folds[s->fold_count++] = fold_of_chunk(s, &s->chunk);
    s->filling = true;
    if (s->g.q.endpoint == ENDPOINT_TOP || s->g.q.endpoint == ENDPOINT_COST)
        s->total = fold_of_chunk(s, &s->chunk);
    s->g.pending =
        repo_facts(s->g.an->repo, &s->g.q, &plan, answer_wants(&s->g.q, false), on_row, on_done, s);
    plan_clear(&plan);
    return 0;
}

static void chunk_drop(struct answering_cells *s)
{
    fold_free(s->folds[--s->fold_count]);
    fold_free(s->total);
    s->total = NULL;
    s->filling = false;
    count_bytes(s);
}

static void chunk_take(struct answering_cells *s, const struct repo_meta *meta)
{
    const struct cell *cells;
    struct fold *f = s->folds[s->fold_count - 1];
    size_t n = fold_finish(f, &cells);
    s->taken += fold_bytes(f);
    s->filling = false;
    count_bytes(s);
    s->cells = xrealloc(s->cells, (s->n + n + 1) * sizeof(*s->cells));
    for (size_t i = 0; i < n; i++) {
        struct shown_cell *c = &s->cells[s->n++];
        *c = (struct shown_cell){cells[i].row, &cells[i]};
        answer_judge(meta, &c->row);
    }
    if (s->fold_count == 1)
        s->closed_through_us = meta->closed_through_us;
    if (s->g.q.ascending)
        s->low_us = s->chunk.to_us;
    else
        s->high_us = s->chunk.from_us;
    if (s->chunk_us < INT64_MAX / CHUNK_GROWTH)
        s->chunk_us *= CHUNK_GROWTH;
}

// ---- its way ------------------------------------------------------------------------------------

static int write_all(struct answering_cells *s)
{
    switch (s->g.q.endpoint) {
    case ENDPOINT_TOP:
        return cells_write_top(s);
    case ENDPOINT_SUMMARY:
        return cells_write_summary(s);
    case ENDPOINT_COST:
        return cells_write_cost(s);
    case ENDPOINT_HEATMAP:
        return cells_write_heatmap(s);
    default:
        return cells_write_metrics(s);
    }
}

static void on_done(void *arg, enum repo_status status, const struct repo_meta *meta,
                    const struct err *e)
{
    struct answering_cells *s = arg;
    s->g.pending = NULL;
    if (status != REPO_OK) {
        answer_end_bad(&s->g, status, e);
        return;
    }
    bool same = s->kept.minutes_from_us == meta->kept.minutes_from_us &&
                s->kept.hours_from_us == meta->kept.hours_from_us;
    s->g.an->kept = meta->kept;
    if (!same && s->replanned++ < REPLANS_MAX) {
        chunk_drop(s); // rows that it was planned with may have been dropped meanwhile
    } else {
        chunk_take(s, meta);
        if (s->n >= s->wanted || s->low_us >= s->high_us) {
            if (write_all(s) != 0)
                s->g.out.status = ANSWER_WRONG;
            answer_end(&s->g);
            return;
        }
        chunk_choose(s);
    }
    if (chunk_send(s) != 0)
        answer_end(&s->g);
}

static int begin(struct answering *g)
{
    struct answering_cells *s = (struct answering_cells *)g;
    const struct question *q = &g->q;
    if (make_steps(s) != 0)
        return -1;
    s->low_us = s->steps.from_us;
    s->high_us = s->steps.to_us;
    if (q->has_after && q->ascending)
        s->low_us = steps_start_us(&s->steps, q->after.start_us);
    else if (q->has_after)
        s->high_us = steps_end_us(&s->steps, q->after.start_us);
    bool paged = q->endpoint == ENDPOINT_METRICS;
    s->wanted = paged ? (size_t)q->limit + 1 : SIZE_MAX / 2;
    s->chunk_us =
        reads_in_chunks(q) ? max_i64(q->limit / 8, FIRST_CHUNK_STEPS) * q->step_us : INT64_MAX;
    chunk_choose(s);
    return chunk_send(s);
}

static void clear(struct answering *g)
{
    struct answering_cells *s = (struct answering_cells *)g;
    g->an->bytes -= s->counted;
    for (size_t i = 0; i < s->fold_count; i++)
        fold_free(s->folds[i]);
    fold_free(s->total);
    free(s->cells);
    free(s->borders);
}

const struct answer_kind answer_cells = {sizeof(struct answering_cells), begin, clear};
