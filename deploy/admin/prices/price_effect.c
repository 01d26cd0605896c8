// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/price_effect.h"

#include <strings.h>

// A use and whose it is; sorted, those of one card stand together.
struct owned {
    const char *tenant, *model;
    size_t use;
};

static struct price_hit resolve(const struct price_side *s, const struct price_use *u)
{
    return catalogue_resolve(s->catalogue, s->version, s->at_us, u->tenant, u->key.model,
                             u->key.asked);
}

static struct owned owner_of(const struct price_use *uses, size_t i,
                             const struct price_side *before, const struct price_side *after)
{
    struct price_hit hit = resolve(after, &uses[i]);
    if (!hit.card)
        hit = resolve(before, &uses[i]);
    return (struct owned){hit.card ? hit.card->tenant : "", hit.card ? hit.card->model : "", i};
}

static int compare_names(const char *model, const char *tenant, const char *other_model,
                         const char *other_tenant)
{
    int order = strcasecmp(model, other_model);
    return order != 0 ? order : strcmp(tenant, other_tenant);
}

static int compare_owned(const void *one, const void *other)
{
    const struct owned *a = one, *b = other;
    int order = compare_names(a->model, a->tenant, b->model, b->tenant);
    return order != 0 ? order : (a->use > b->use) - (a->use < b->use);
}

static void add_use(struct price_effect *to, const struct price_use *u,
                    const struct price_side *before, const struct price_side *after)
{
    to->requests = add_sat_i64(to->requests, u->sum.requests);
    to->tokens = add_sat_i64(to->tokens, usage_tokens(&u->sum));
    cost_add_usage(&to->before, before->catalogue, before->version, before->at_us, u->tenant,
                   &u->key, &u->sum);
    cost_add_usage(&to->after, after->catalogue, after->version, after->at_us, u->tenant, &u->key,
                   &u->sum);
}

static void add_to_total(struct price_effect *total, const struct price_effect *more)
{
    total->requests = add_sat_i64(total->requests, more->requests);
    total->tokens = add_sat_i64(total->tokens, more->tokens);
    cost_add(&total->before, &more->before);
    cost_add(&total->after, &more->after);
}

void price_effects_make(const struct price_use *uses, size_t count, const struct price_side *before,
                        const struct price_side *after, struct price_effects *out)
{
    struct owned *owned = xcalloc(count + 1, sizeof(*owned));
    for (size_t i = 0; i < count; i++)
        owned[i] = owner_of(uses, i, before, after);
    qsort(owned, count, sizeof(*owned), compare_owned);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += i == 0 || compare_names(owned[i].model, owned[i].tenant, owned[i - 1].model,
                                     owned[i - 1].tenant) != 0;
    *out = (struct price_effects){.v = xcalloc(n + 1, sizeof(*out->v))};
    out->total.tenant = out->total.model = "";
    for (size_t i = 0; i < count; i++) {
        struct price_effect *last = out->n > 0 ? &out->v[out->n - 1] : NULL;
        if (!last ||
            compare_names(owned[i].model, owned[i].tenant, last->model, last->tenant) != 0) {
            last = &out->v[out->n++];
            last->tenant = owned[i].tenant;
            last->model = owned[i].model;
        }
        add_use(last, &uses[owned[i].use], before, after);
    }
    for (size_t i = 0; i < out->n; i++)
        add_to_total(&out->total, &out->v[i]);
    free(owned);
}

void price_effects_free(struct price_effects *e)
{
    free(e->v);
    *e = (struct price_effects){0};
}

const struct price_effect *price_effects_of(const struct price_effects *e, const char *tenant,
                                            const char *model)
{
    size_t low = 0, high = e->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = compare_names(e->v[mid].model, e->v[mid].tenant, model, tenant);
        if (order == 0)
            return &e->v[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
