// SPDX-License-Identifier: Apache-2.0
// Rows and vectors: their memory, counted, and their labels.
#include "metrics-api/promql/eval.h"

#define SLAB_BYTES ((size_t)64 << 10)

struct eval_slab {
    struct eval_slab *next;
    size_t left; // rows
    double *next_row;
    double rows[];
};

static double *carve(struct eval *ev)
{
    if (!ev->slabs || ev->slabs->left == 0) {
        size_t row = ev->steps * sizeof(double), rows = SLAB_BYTES / row;
        rows = rows ? rows : 1;
        struct eval_slab *slab = xmalloc(sizeof(*slab) + rows * row);
        *slab = (struct eval_slab){.next = ev->slabs, .left = rows};
        slab->next_row = slab->rows;
        ev->slabs = slab;
    }
    double *row = ev->slabs->next_row;
    ev->slabs->next_row += ev->steps;
    ev->slabs->left--;
    return row;
}

double *eval_row(struct eval *ev)
{
    ev->samples += ev->steps;
    if (eval_check(ev) != 0)
        return NULL;
    double *row = ev->free_count > 0 ? ev->free_rows[--ev->free_count] : carve(ev);
    double none = promql_stale();
    for (size_t i = 0; i < ev->steps; i++)
        row[i] = none;
    return row;
}

void eval_row_free(struct eval *ev, double *row)
{
    if (!row)
        return;
    if (ev->free_count == ev->free_cap) {
        ev->free_cap = ev->free_cap ? ev->free_cap * 2 : 64;
        ev->free_rows = xrealloc(ev->free_rows, ev->free_cap * sizeof(double *));
    }
    ev->free_rows[ev->free_count++] = row;
    ev->samples -= ev->steps;
}

void eval_rows_free(struct eval *ev)
{
    while (ev->slabs) {
        struct eval_slab *next = ev->slabs->next;
        free(ev->slabs);
        ev->slabs = next;
    }
    free(ev->free_rows);
    ev->free_rows = NULL;
}

static void add_row(struct eval *ev, struct vector *v, struct row row)
{
    if (v->n == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 8;
        struct row *more = arena_array(ev->arena, v->cap, sizeof(*more));
        if (v->n > 0)
            memcpy(more, v->rows, v->n * sizeof(*more));
        v->rows = more;
    }
    v->rows[v->n++] = row;
}

double *vector_add(struct eval *ev, struct vector *v, struct labels labels, bool drop_name)
{
    if (v->n >= ev->limits->series) {
        eval_fail(
            ev, PROMQL_EXECUTION,
            "query processing would load too many series into memory in query execution: more "
            "than %zu",
            ev->limits->series);
        return NULL;
    }
    double *row = eval_row(ev);
    if (row)
        add_row(ev, v, (struct row){labels, drop_name, row});
    return row;
}

void vector_free(struct eval *ev, struct vector *v)
{
    for (size_t i = 0; i < v->n; i++)
        eval_row_free(ev, v->rows[i].v);
    *v = (struct vector){0};
}

void vector_drop_last(struct eval *ev, struct vector *v)
{
    eval_row_free(ev, v->rows[--v->n].v);
}

static bool is_empty(const struct eval *ev, const double *row)
{
    for (size_t i = 0; i < ev->steps; i++)
        if (!promql_is_stale(row[i]))
            return false;
    return true;
}

void vector_compact(struct eval *ev, struct vector *v)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->n; i++) {
        if (is_empty(ev, v->rows[i].v))
            eval_row_free(ev, v->rows[i].v);
        else
            v->rows[kept++] = v->rows[i];
    }
    v->n = kept;
}

static struct str key_of(struct eval *ev, struct labels l)
{
    buf_clear(&ev->key);
    buf_reserve(&ev->key, 1);
    labels_key(l, &ev->key);
    return (struct str){ev->key.p, ev->key.n};
}

int vector_merge(struct eval *ev, struct vector *v)
{
    if (v->n < 2)
        return 0;
    vector_compact(ev, v);
    struct keymap map;
    keymap_init(&map, ev->arena, ev->input->hash_key);
    size_t kept = 0;
    for (size_t i = 0; i < v->n; i++) {
        size_t number = keymap_add(&map, key_of(ev, v->rows[i].labels));
        if (number == kept) {
            v->rows[kept++] = v->rows[i];
            continue;
        }
        double *into = v->rows[number].v;
        for (size_t step = 0; step < ev->steps; step++) {
            if (promql_is_stale(v->rows[i].v[step]))
                continue;
            if (!promql_is_stale(into[step]))
                return eval_fail_duplicate(ev);
            into[step] = v->rows[i].v[step];
        }
        eval_row_free(ev, v->rows[i].v);
    }
    v->n = kept;
    return 0;
}

int vector_drop_names(struct eval *ev, struct vector *v)
{
    for (size_t i = 0; i < v->n; i++) {
        v->rows[i].labels = eval_without_name(ev, v->rows[i].labels);
        v->rows[i].drop_name = true;
    }
    return ev->when->delayed_name_removal ? 0 : vector_merge(ev, v);
}

struct labels eval_without_name(struct eval *ev, struct labels l)
{
    return ev->when->delayed_name_removal ? l : labels_drop_metadata(ev->arena, l);
}

void outlet_init(struct eval *ev, struct outlet *o, struct vector *out)
{
    *o = (struct outlet){.out = out};
    keymap_init(&o->map, ev->arena, ev->input->hash_key);
}

size_t outlet_row(struct eval *ev, struct outlet *o, struct labels labels, bool drop_name)
{
    size_t number = keymap_add(&o->map, key_of(ev, labels));
    if (number == o->out->n && !vector_add(ev, o->out, labels, drop_name))
        return SIZE_MAX;
    return number;
}

int outlet_put(struct eval *ev, struct outlet *o, size_t row, size_t step, double v)
{
    double *cell = &o->out->rows[row].v[step];
    if (!promql_is_stale(*cell))
        return eval_fail_duplicate(ev);
    *cell = v;
    return 0;
}
