// SPDX-License-Identifier: Apache-2.0
// topk and bottomk: of each group the k largest or smallest, with their own labels. An instant's
// come in order of their values.
#include "metrics-api/promql/eval.h"

#include <math.h>

struct ranked {
    double v;
    size_t row; // of the input
};

// What is out first: the smallest of topk, the largest of bottomk, NaN before both.
static bool out_first(bool top, double a, double b)
{
    return isnan(a) || (top ? a < b : a > b);
}

// Heaps as Go's container/heap keeps them, since they decide which of equal values stay.
static void heap_push(bool top, struct ranked *heap, size_t n, struct ranked new)
{
    size_t j = n;
    heap[n] = new;
    while (j > 0) {
        size_t i = (j - 1) / 2;
        if (!out_first(top, heap[j].v, heap[i].v))
            break;
        struct ranked swap = heap[i];
        heap[i] = heap[j];
        heap[j] = swap;
        j = i;
    }
}

static void heap_replace(bool top, struct ranked *heap, size_t n, struct ranked new)
{
    size_t i = 0;
    heap[0] = new;
    for (size_t j = 1; j < n; j = 2 * i + 1) {
        if (j + 1 < n && out_first(top, heap[j + 1].v, heap[j].v))
            j++;
        if (!out_first(top, heap[j].v, heap[i].v))
            break;
        struct ranked swap = heap[i];
        heap[i] = heap[j];
        heap[j] = swap;
        i = j;
    }
}

static void merge(bool top, struct ranked *v, struct ranked *other, size_t n)
{
    if (n < 2)
        return;
    size_t half = n / 2, i = 0, j = half, k = 0;
    merge(top, v, other, half);
    merge(top, v + half, other, n - half);
    memcpy(other, v, n * sizeof(*v));
    while (k < n) {
        bool right = i == half || (j < n && out_first(top, other[i].v, other[j].v));
        v[k++] = right ? other[j++] : other[i++];
    }
}

struct top {
    struct eval *ev;
    const struct vector *in;
    struct vector *out;
    const size_t *group_of;
    size_t groups;
    bool top;
    struct ranked *heaps, *other; // room for all rows; a group's begins at starts[group]
    size_t *starts, *counts;
    size_t *out_row; // of each input row; SIZE_MAX: none yet
};

static void collect(struct top *t, size_t step, size_t k)
{
    memset(t->counts, 0, t->groups * sizeof(*t->counts));
    for (size_t i = 0; i < t->in->n; i++) {
        double v = t->in->rows[i].v[step];
        if (promql_is_stale(v))
            continue;
        size_t g = t->group_of[i], *n = &t->counts[g];
        struct ranked *heap = t->heaps + t->starts[g];
        if (*n < k)
            heap_push(t->top, heap, (*n)++, (struct ranked){v, i});
        else if ((t->top ? heap[0].v < v : heap[0].v > v) || (isnan(heap[0].v) && !isnan(v)))
            heap_replace(t->top, heap, *n, (struct ranked){v, i});
    }
}

static int give_out(struct top *t, size_t step)
{
    for (size_t g = 0; g < t->groups; g++) {
        struct ranked *heap = t->heaps + t->starts[g];
        if (eval_is_instant(t->ev))
            merge(t->top, heap, t->other, t->counts[g]);
        for (size_t i = 0; i < t->counts[g]; i++) {
            const struct row *row = &t->in->rows[heap[i].row];
            size_t *out = &t->out_row[heap[i].row];
            if (*out == SIZE_MAX) {
                *out = t->out->n;
                if (!vector_add(t->ev, t->out, row->labels, row->drop_name))
                    return -1;
            }
            t->out->rows[*out].v[step] = heap[i].v;
        }
    }
    return 0;
}

static int check_k(struct eval *ev, const double *k, bool *none)
{
    *none = true;
    for (size_t step = 0; step < ev->steps; step++)
        *none = *none && !(k[step] >= 1);
    for (size_t step = 0; step < ev->steps; step++) {
        if (isnan(k[step]))
            return eval_fail(ev, PROMQL_EXECUTION, "Parameter value is NaN");
        if (!*none && k[step] <= -9223372036854775808.0)
            return eval_fail(ev, PROMQL_EXECUTION, "Scalar value %g underflows int64", k[step]);
        if (!*none && k[step] >= 9223372036854775808.0)
            return eval_fail(ev, PROMQL_EXECUTION, "Scalar value %g overflows int64", k[step]);
    }
    return 0;
}

static int all_steps(struct top *t, const double *k)
{
    for (size_t i = 0; i < t->in->n; i++) {
        t->starts[t->group_of[i] + 1]++;
        t->out_row[i] = SIZE_MAX;
    }
    for (size_t g = 1; g <= t->groups; g++)
        t->starts[g] += t->starts[g - 1];
    for (size_t step = 0; step < t->ev->steps; step++) {
        if (eval_check(t->ev) != 0)
            return -1;
        if (!(k[step] >= 1))
            continue;
        collect(t, step, k[step] < (double)t->in->n ? (size_t)k[step] : t->in->n);
        if (give_out(t, step) != 0)
            return -1;
    }
    return 0;
}

int eval_top(struct eval *ev, const struct node_aggregation *a, const struct vector *in,
             const size_t *group_of, size_t groups, const double *param, struct vector *out)
{
    bool none;
    if (check_k(ev, param, &none) != 0 || none)
        return ev->verdict == PROMQL_OK ? 0 : -1;
    struct top t = {.ev = ev,
                    .in = in,
                    .out = out,
                    .group_of = group_of,
                    .groups = groups,
                    .top = a->op == TOKEN_TOPK,
                    .heaps = arena_array(ev->arena, in->n, sizeof(struct ranked)),
                    .other = arena_array(ev->arena, in->n, sizeof(struct ranked)),
                    .starts = arena_array(ev->arena, groups + 1, sizeof(size_t)),
                    .counts = arena_array(ev->arena, groups, sizeof(size_t)),
                    .out_row = arena_array(ev->arena, in->n, sizeof(size_t))};
    return all_steps(&t, param);
}
