// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/unpriced.h"

const char *unpriced_why_name(enum unpriced_why why)
{
    static const char *const names[] = {"no_card", "guessed", "no_tier", "not_yet", "folded"};
    return names[why];
}

// ---- one use ----

struct verdict {
    bool priced;
    enum unpriced_why why;
    const struct price_card *card;
};

static struct verdict judge(const struct unpriced_use *use, const struct catalogue *c,
                            int64_t version, int64_t at_us)
{
    if (str_eq(use->key.model, STR_LIT(USAGE_OTHER)))
        return (struct verdict){.why = UNPRICED_FOLDED};
    struct price_hit hit =
        catalogue_resolve(c, version, at_us, use->tenant, use->key.model, use->key.asked);
    bool known = hit.card && price_line_for(hit.card, use->key.tier, use->key.context_above);
    if (hit.step == PRICE_GUESSED)
        return (struct verdict){.why = known ? UNPRICED_GUESSED : UNPRICED_NO_CARD};
    if (!hit.card)
        return (struct verdict){.why = UNPRICED_NO_CARD};
    return (struct verdict){known, UNPRICED_NO_TIER, hit.card};
}

static struct verdict judge_newest(const struct unpriced_use *use, const struct catalogue *c,
                                   int64_t now_us)
{
    struct verdict v = judge(use, c, INT64_MAX, use->at_us);
    if (v.priced || v.why == UNPRICED_FOLDED)
        return v;
    struct verdict now = judge(use, c, INT64_MAX, now_us);
    return now.priced ? (struct verdict){false, UNPRICED_NOT_YET, now.card} : v;
}

// ---- names ----

static struct unpriced_name name_of(const struct unpriced_use *use, const struct verdict *v)
{
    bool tier = v->why == UNPRICED_NO_TIER;
    return (struct unpriced_name){
        .model = use->key.model,
        .asked = use->key.asked,
        .why = v->why,
        .tier = tier ? use->key.tier : (struct str){NULL, 0},
        .card = v->card,
        .requests = use->sum.requests,
        .tokens = usage_tokens(&use->sum),
        .first_us = use->first_us,
        .last_us = use->last_us,
        .tenants = 1,
        .tenant = {use->tenant},
    };
}

static int by_bytes(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_name(const struct unpriced_name *x, const struct unpriced_name *y)
{
    int order = by_bytes(x->model, y->model);
    if (order == 0)
        order = by_bytes(x->asked, y->asked);
    if (order == 0)
        order = (x->why > y->why) - (x->why < y->why);
    return order ? order : by_bytes(x->tier, y->tier);
}

static int by_name_and_tenant(const void *a, const void *b)
{
    const struct unpriced_name *x = a, *y = b;
    int order = by_name(x, y);
    return order ? order : by_bytes(x->tenant[0], y->tenant[0]);
}

static int by_use(const void *a, const void *b)
{
    const struct unpriced_name *x = a, *y = b;
    int order = (x->tokens < y->tokens) - (x->tokens > y->tokens);
    if (order == 0)
        order = (x->requests < y->requests) - (x->requests > y->requests);
    return order ? order : by_name(x, y);
}

static void merge(struct unpriced_name *into, const struct unpriced_name *from)
{
    into->requests = add_sat_i64(into->requests, from->requests);
    into->tokens = add_sat_i64(into->tokens, from->tokens);
    into->first_us = min_i64(into->first_us, from->first_us);
    into->last_us = max_i64(into->last_us, from->last_us);
}

// One of each name, in the order of use.
static size_t fold(struct unpriced_name *v, size_t n)
{
    if (n == 0)
        return 0;
    qsort(v, n, sizeof(*v), by_name_and_tenant);
    size_t kept = 0;
    struct str tenant = v[0].tenant[0]; // of the one before
    for (size_t i = 1; i < n; i++) {
        struct unpriced_name *last = &v[kept];
        if (by_name(last, &v[i]) != 0) {
            v[++kept] = v[i];
        } else {
            merge(last, &v[i]);
            if (!str_eq(tenant, v[i].tenant[0])) {
                if (last->tenants < UNPRICED_TENANTS)
                    last->tenant[last->tenants] = v[i].tenant[0];
                last->tenants++;
            }
        }
        tenant = v[i].tenant[0];
    }
    qsort(v, kept + 1, sizeof(*v), by_use);
    return kept + 1;
}

static void add_to_totals(struct unpriced *u, const struct unpriced_name *name)
{
    bool guessed = name->why == UNPRICED_GUESSED;
    int64_t *requests = guessed ? &u->guessed_requests : &u->unpriced_requests;
    int64_t *tokens = guessed ? &u->guessed_tokens : &u->unpriced_tokens;
    *requests = add_sat_i64(*requests, name->requests);
    *tokens = add_sat_i64(*tokens, name->tokens);
}

static void add_use(struct unpriced *u, const struct unpriced_use *use, const struct catalogue *c,
                    int64_t now_us)
{
    u->requests = add_sat_i64(u->requests, use->sum.requests);
    u->tokens = add_sat_i64(u->tokens, usage_tokens(&use->sum));
    struct verdict v = judge_newest(use, c, now_us);
    if (!v.priced) {
        u->v[u->n] = name_of(use, &v);
        add_to_totals(u, &u->v[u->n++]);
    } else if (use->doubtful > 0 && !judge(use, c, use->row_version, use->at_us).priced) {
        // Of a row of several names all may be doubtful: only those count that had no price.
        struct unpriced_name since = name_of(use, &(struct verdict){.priced = true});
        since.requests = min_i64(since.requests, use->doubtful);
        since.tokens = 0;
        u->since[u->since_n++] = since;
    }
}

void unpriced_make(const struct unpriced_use *uses, size_t count, const struct catalogue *c,
                   int64_t now_us, struct unpriced *out)
{
    *out = (struct unpriced){.v = xcalloc(count + 1, sizeof(*out->v)),
                             .since = xcalloc(count + 1, sizeof(*out->since))};
    for (size_t i = 0; i < count; i++)
        add_use(out, &uses[i], c, now_us);
    out->n = fold(out->v, out->n);
    out->since_n = fold(out->since, out->since_n);
}

void unpriced_free(struct unpriced *u)
{
    free(u->v);
    free(u->since);
    *u = (struct unpriced){0};
}
