// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/series_names.h"

#define FIRST_TABLE 64

static uint64_t hash_of(const struct series_names *s, struct str tenant_id, struct str route,
                        struct str model)
{
    const struct str parts[] = {tenant_id, route, model};
    uint64_t h = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        h = h * 31 + hash_keyed64(s->hash_key, parts[i].p, parts[i].n);
    return h;
}

static bool is(const struct series_name *name, struct str tenant_id, struct str route,
               struct str model)
{
    return str_eq(name->model, model) && str_eq(name->route, route) &&
           str_eq(name->tenant_id, tenant_id);
}

// Where it stands in the table, or may be put.
static uint32_t *place_of(const struct series_names *s, struct str tenant_id, struct str route,
                          struct str model)
{
    size_t at = hash_of(s, tenant_id, route, model) & (s->table_size - 1);
    while (s->table[at] && !is(&s->v[s->table[at] - 1], tenant_id, route, model))
        at = (at + 1) & (s->table_size - 1);
    return &s->table[at];
}

static void grow(struct series_names *s)
{
    s->table_size = s->table_size ? 2 * s->table_size : FIRST_TABLE;
    free(s->table);
    s->table = xcalloc(s->table_size, sizeof(*s->table));
    s->v = xrealloc(s->v, s->table_size / 2 * sizeof(*s->v));
    for (size_t i = 0; i < s->n; i++)
        *place_of(s, s->v[i].tenant_id, s->v[i].route, s->v[i].model) = (uint32_t)i + 1;
}

static struct str keep(struct series_names *s, struct str name)
{
    char *copy = arena_alloc(&s->arena, name.n + 1);
    memcpy(copy, name.p, name.n);
    return (struct str){copy, name.n};
}

void series_names_add(struct series_names *s, const struct fact_row *row)
{
    if (s->n == SERIES_NAMES_MAX) {
        s->more = true;
        return;
    }
    if (s->n >= s->table_size / 2)
        grow(s);
    uint32_t *place = place_of(s, row->tenant_id, row->route, row->model);
    s->v[s->n++] =
        (struct series_name){keep(s, row->tenant_id), keep(s, row->route), keep(s, row->model),
                             row->window_start_us, row->window_end_us};
    *place = (uint32_t)s->n;
}

size_t series_names_find(const struct series_names *s, struct str tenant_id, struct str route,
                         struct str model)
{
    if (s->n == 0)
        return SIZE_MAX;
    return (size_t)*place_of(s, tenant_id, route, model) - 1;
}

void series_names_clear(struct series_names *s)
{
    free(s->v);
    free(s->table);
    arena_free(&s->arena);
    *s = (struct series_names){.hash_key = s->hash_key};
}
