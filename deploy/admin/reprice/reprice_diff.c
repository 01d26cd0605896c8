// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/reprice/reprice_diff.h"

static int compare_names(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

void reprice_diff_free(struct reprice_diff *d)
{
    for (size_t i = 0; i < d->n; i++)
        free(d->v[i]);
    free(d->v);
    *d = (struct reprice_diff){0};
}

static struct reprice_model *model_of(struct reprice_diff *d, struct str name)
{
    size_t low = 0, high = d->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = compare_names(d->v[mid]->model, name);
        if (order == 0)
            return d->v[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (d->n == d->room) {
        d->room = d->room ? 2 * d->room : 64;
        d->v = xrealloc(d->v, d->room * sizeof(*d->v));
    }
    memmove(d->v + low + 1, d->v + low, (d->n - low) * sizeof(*d->v));
    d->n++;
    d->v[low] = xcalloc(1, sizeof(*d->v[low]));
    d->v[low]->model = name;
    return d->v[low];
}

static void add(struct reprice_model *m, const struct usage *u, const struct cost *before,
                const struct cost *after)
{
    m->requests = add_sat_i64(m->requests, u->requests);
    m->tokens = add_sat_i64(m->tokens, usage_tokens(u));
    cost_add(&m->before, before);
    cost_add(&m->after, after);
    int64_t priced = before->unpriced_requests - after->unpriced_requests;
    m->now_priced = add_sat_i64(m->now_priced, max_i64(priced, 0));
    m->now_unpriced = add_sat_i64(m->now_unpriced, max_i64(-priced, 0));
}

void reprice_diff_add(struct reprice_diff *d, const struct catalogue *c, int64_t version,
                      int64_t row_version, int64_t at_us, struct str tenant,
                      const struct usage_key *key, const struct usage *u)
{
    if (row_version > version)
        return;
    struct cost before = {0}, after = {0};
    cost_add_usage(&before, c, row_version, at_us, tenant, key, u);
    cost_add_usage(&after, c, version, at_us, tenant, key, u);
    add(model_of(d, key->model), u, &before, &after);
    add(&d->total, u, &before, &after);
}

bool reprice_model_changes(const struct reprice_model *m)
{
    return !cost_eq(&m->before, &m->after) || m->now_priced > 0 || m->now_unpriced > 0;
}

money reprice_model_change(const struct reprice_model *m)
{
    return money_add(m->after.estimated, -m->before.estimated);
}

static int by_change(const void *a, const void *b)
{
    const struct reprice_model *x = *(struct reprice_model *const *)a;
    const struct reprice_model *y = *(struct reprice_model *const *)b;
    money p = reprice_model_change(x), q = reprice_model_change(y);
    p = p < 0 ? -p : p;
    q = q < 0 ? -q : q;
    if (p != q)
        return p > q ? -1 : 1;
    bool changes = reprice_model_changes(x);
    if (changes != reprice_model_changes(y))
        return changes ? -1 : 1;
    return compare_names(x->model, y->model);
}

void reprice_diff_order(struct reprice_diff *d)
{
    if (d->n > 0)
        qsort(d->v, d->n, sizeof(*d->v), by_change);
}
