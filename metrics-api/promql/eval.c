// SPDX-License-Identifier: Apache-2.0
// The evaluator from the outside in: limits, the tree, the result.
#include "metrics-api/promql/eval.h"

#include <stdarg.h>
#include <stdio.h>

struct promql_memory {
    struct arena arena;
};

int eval_fail(struct eval *ev, enum promql_verdict verdict, const char *fmt, ...)
{
    if (ev->verdict != PROMQL_OK)
        return -1;
    char text[500];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    text_clean(text);
    ev->verdict = verdict;
    return err_set(ev->e, "%s", text);
}

int eval_fail_duplicate(struct eval *ev)
{
    return eval_fail(ev, PROMQL_EXECUTION, "vector cannot contain metrics with the same labelset");
}

int eval_check(struct eval *ev)
{
    if (ev->verdict != PROMQL_OK)
        return -1;
    if (ev->samples + ev->arena->bytes / PROMQL_SAMPLE_BYTES > ev->limits->samples)
        return eval_fail(
            ev, PROMQL_EXECUTION,
            "query processing would load too many samples into memory in query execution");
    if (!ev->limits->expired || !ev->limits->expired(ev->limits->expired_arg))
        return 0;
    return eval_fail(ev, PROMQL_TIMEOUT, "query timed out in expression evaluation");
}

int eval_number(struct eval *ev, double value, struct vector *out)
{
    double *row = vector_add(ev, out, (struct labels){NULL, 0}, false);
    for (size_t i = 0; row && i < ev->steps; i++)
        row[i] = value;
    return row ? 0 : -1;
}

static int eval_negated(struct eval *ev, const struct node *n, struct vector *out)
{
    if (eval_node(ev, n->unary.expr, out) != 0 || !n->unary.minus)
        return ev->verdict == PROMQL_OK ? 0 : -1;
    for (size_t i = 0; i < out->n; i++)
        for (size_t step = 0; step < ev->steps; step++)
            if (!promql_is_stale(out->rows[i].v[step]))
                out->rows[i].v[step] = -out->rows[i].v[step];
    return n->type == PROMQL_VECTOR ? vector_drop_names(ev, out) : 0;
}

int eval_node(struct eval *ev, const struct node *n, struct vector *out)
{
    if (eval_check(ev) != 0)
        return -1;
    switch (n->kind) {
    case NODE_NUMBER:
        return eval_number(ev, n->number.value, out);
    case NODE_SELECTOR:
        return eval_selector(ev, &n->selector, false, out);
    case NODE_CALL:
        return eval_call(ev, n, out);
    case NODE_AGGREGATION:
        return eval_aggregation(ev, n, out);
    case NODE_BINARY:
        return eval_binary(ev, n, out);
    case NODE_UNARY:
        return eval_negated(ev, n, out);
    case NODE_PAREN:
        return eval_node(ev, n->unary.expr, out);
    case NODE_STRING:
        break;
    }
    abort(); // whoever takes a string reads the tree
}

// --- limits --------------------------------------------------------------------------------------

static int count_steps(struct eval *ev)
{
    const struct promql_when *when = ev->when;
    ev->step_ms = when->step_ms > 0 ? when->step_ms : 1;
    uint64_t span = (uint64_t)when->end_ms - (uint64_t)when->start_ms;
    ev->steps = 1;
    if (when->start_ms < INT64_MIN / 8 || when->end_ms > INT64_MAX / 8)
        return eval_fail(ev, PROMQL_BAD_DATA, "timestamp out of bounds");
    if (when->step_ms == 0)
        return 0;
    if (when->end_ms < when->start_ms)
        return eval_fail(ev, PROMQL_BAD_DATA, "end timestamp must not be before start time");
    if (when->step_ms < 0)
        return eval_fail(ev, PROMQL_BAD_DATA,
                         "zero or negative query resolution step widths are not accepted. Try a "
                         "positive integer");
    uint64_t steps = span / (uint64_t)ev->step_ms;
    if (steps >= ev->limits->steps)
        return eval_fail(ev, PROMQL_BAD_DATA,
                         "exceeded maximum resolution of %zu points per timeseries. Try decreasing "
                         "the query resolution (?step=XX)",
                         ev->limits->steps);
    ev->steps = (size_t)steps + 1;
    return 0;
}

static int count_input(struct eval *ev)
{
    for (size_t i = 0; i < ev->query->select_count; i++) {
        const struct promql_series_set *set = &ev->input->sets[i];
        if (set->n > ev->limits->series)
            return eval_fail(ev, PROMQL_EXECUTION,
                             "query processing would load too many series into memory in query "
                             "execution: %zu, at most %zu are allowed",
                             set->n, ev->limits->series);
        for (size_t j = 0; j < set->n; j++)
            ev->samples += set->v[j].n;
    }
    return eval_check(ev);
}

// --- results -------------------------------------------------------------------------------------

static int finish_names(struct eval *ev, struct vector *v)
{
    if (!ev->when->delayed_name_removal)
        return 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->rows[i].drop_name)
            v->rows[i].labels = labels_drop_metadata(ev->arena, v->rows[i].labels);
    return vector_merge(ev, v);
}

static int compare_points(const void *a, const void *b)
{
    const struct promql_points *x = a, *y = b;
    return labels_compare(x->labels, y->labels);
}

static void points_of(struct eval *ev, const struct row *row, struct promql_points *out)
{
    size_t n = 0;
    for (size_t step = 0; step < ev->steps; step++)
        n += !promql_is_stale(row->v[step]);
    int64_t *t_ms = arena_array(ev->arena, n, sizeof(*t_ms));
    double *v = arena_array(ev->arena, n, sizeof(*v));
    size_t at = 0;
    for (size_t step = 0; step < ev->steps; step++) {
        if (promql_is_stale(row->v[step]))
            continue;
        t_ms[at] = eval_time_ms(ev, step);
        v[at++] = row->v[step];
    }
    *out = (struct promql_points){row->labels, t_ms, v, n};
}

static int finish_rows(struct eval *ev, struct vector *v, struct promql_result *result)
{
    if (finish_names(ev, v) != 0)
        return -1;
    vector_compact(ev, v);
    result->series = arena_array(ev->arena, v->n, sizeof(*result->series));
    result->n = v->n;
    for (size_t i = 0; i < v->n; i++) {
        if (eval_check(ev) != 0) // what comes out takes memory too
            return -1;
        points_of(ev, &v->rows[i], &result->series[i]);
    }
    if (ev->when->step_ms > 0) {
        result->type = PROMQL_MATRIX;
        if (result->n > 0)
            qsort(result->series, result->n, sizeof(*result->series), compare_points);
    }
    return 0;
}

// A range selector alone: the samples themselves. Only an instant has such a result.
static int finish_selector(struct eval *ev, const struct node_selector *s,
                           struct promql_result *result)
{
    const struct promql_series_set *set = eval_windows(ev, s->select);
    int64_t to_ms = ev->when->start_ms - s->offset_ms, from_ms = to_ms - s->range_ms;
    result->series = arena_array(ev->arena, set->n, sizeof(*result->series));
    for (size_t i = 0; i < set->n; i++) {
        const struct promql_series *in = &set->v[i];
        size_t low = 0, high = in->n;
        while (low < high && in->t_ms[low] <= from_ms)
            low++;
        while (high > low && in->t_ms[high - 1] > to_ms)
            high--;
        size_t n = high - low;
        if (n == 0)
            continue;
        int64_t *t_ms = arena_array(ev->arena, n, sizeof(*t_ms));
        double *v = arena_array(ev->arena, n, sizeof(*v));
        memcpy(t_ms, in->t_ms + low, n * sizeof(*t_ms));
        memcpy(v, in->v + low, n * sizeof(*v));
        result->series[result->n++] = (struct promql_points){in->labels, t_ms, v, n};
    }
    return 0;
}

static int eval_query(struct eval *ev, struct promql_result *result)
{
    const struct node *root = ev->query->root, *inner = node_unwrap(root);
    bool range = ev->when->step_ms > 0;
    result->type = root->type;
    if (count_steps(ev) != 0 || count_input(ev) != 0)
        return -1;
    if (range && root->type != PROMQL_SCALAR && root->type != PROMQL_VECTOR)
        return eval_fail(
            ev, PROMQL_BAD_DATA,
            "invalid expression type \"%s\" for range query, must be Scalar or instant "
            "Vector",
            promql_type_name(root->type));
    if (root->type == PROMQL_STRING) {
        result->string = arena_str(ev->arena, inner->string);
        return 0;
    }
    if (root->type == PROMQL_MATRIX)
        return finish_selector(ev, &inner->selector, result);
    struct vector out = {0};
    if (eval_node(ev, root, &out) != 0)
        return -1;
    return finish_rows(ev, &out, result);
}

enum promql_verdict promql_eval(const struct promql_query *q, const struct promql_when *when,
                                const struct promql_input *input,
                                const struct promql_limits *limits, struct promql_result *result,
                                struct err *e)
{
    *result = (struct promql_result){.memory = xcalloc(1, sizeof(*result->memory))};
    struct eval ev = {.query = q,
                      .when = when,
                      .limits = limits,
                      .input = input,
                      .lookback_ms = when->lookback_ms ? when->lookback_ms : PROMQL_LOOKBACK_MS,
                      .arena = &result->memory->arena,
                      .e = e};
    ev.notes.arena = ev.arena;
    ev.windows = arena_array(ev.arena, q->select_count, sizeof(*ev.windows));
    if (eval_query(&ev, result) == 0)
        notes_texts(&ev.notes, q->text, result);
    else
        *result = (struct promql_result){.memory = result->memory};
    eval_rows_free(&ev);
    buf_free(&ev.key);
    return ev.verdict;
}

void promql_result_clear(struct promql_result *r)
{
    if (r->memory) {
        arena_free(&r->memory->arena);
        free(r->memory);
    }
    *r = (struct promql_result){0};
}
