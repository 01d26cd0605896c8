// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/restore_plan.h"

#include <strings.h>

#include "deploy/admin/prices/price_change.h"
#include "deploy/admin/prices/price_merge.h"

// ---- cards in order ----

static int compare_models(const struct price_card *a, const struct price_card *b)
{
    int order = strcmp(a->tenant, b->tenant);
    return order != 0 ? order : strcasecmp(a->model, b->model);
}

static int compare_cards(const void *one, const void *other)
{
    const struct price_card *a = *(const struct price_card *const *)one;
    const struct price_card *b = *(const struct price_card *const *)other;
    int order = compare_models(a, b);
    if (order == 0)
        order = (a->effective_from_us > b->effective_from_us) -
                (a->effective_from_us < b->effective_from_us);
    return order != 0 ? order : (a->version > b->version) - (a->version < b->version);
}

// By tenant and model, then minute. The caller frees the array.
static const struct price_card **ordered(const struct catalogue *c)
{
    const struct price_card **out = xcalloc(catalogue_count(c) + 1, sizeof(*out));
    for (size_t i = 0; i < catalogue_count(c); i++)
        out[i] = catalogue_at(c, i);
    qsort(out, catalogue_count(c), sizeof(*out), compare_cards);
    return out;
}

// ---- what is to be added ----

static const struct price_card *in_force(const struct catalogue *c, int64_t version,
                                         const struct price_card *like)
{
    return catalogue_in_force(c, version, like->effective_from_us, str_of(like->tenant),
                              str_of(like->model));
}

// But for when they begin.
static bool says_the_same(const struct price_card *a, const struct price_card *b)
{
    struct price_card borrowed = *a;
    borrowed.effective_from_us = b->effective_from_us;
    return price_change_is_same(&borrowed, b);
}

static void withdraw(const struct price_card *now, struct price_card *out)
{
    *out = (struct price_card){
        .tenant = xstrdup(now->tenant),
        .provider = xstrdup(now->provider),
        .model = xstrdup(now->model),
        .withdrawn = true,
        .discount_ppm = PRICE_NONE,
        .lines = xcalloc(1, sizeof(out->lines[0])),
        .line_count = 1,
        .source = xstrdup(""),
    };
    out->lines[0].tier = xstrdup("");
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        out->lines[0].pusd[k] = PRICE_NONE;
}

// At the minute of a later version's card.
static void restore_at(const struct catalogue *c, int64_t version, const struct price_card *later,
                       struct restore_plan *out)
{
    const struct price_card *then = in_force(c, version, later),
                            *now = in_force(c, INT64_MAX, later);
    bool had = then && !then->withdrawn;
    if (had ? says_the_same(then, now) : now->withdrawn)
        return;
    struct price_card *card = &out->cards[out->count++];
    if (had)
        price_card_copy(card, then);
    else
        withdraw(now, card);
    card->effective_from_us = later->effective_from_us;
}

static void make_cards(const struct catalogue *c, const struct price_card *const *cards,
                       int64_t version, struct restore_plan *out)
{
    const struct price_card *last = NULL;
    out->cards = xcalloc(catalogue_count(c) + 1, sizeof(*out->cards));
    for (size_t i = 0; i < catalogue_count(c); i++) {
        if (cards[i]->version <= version)
            continue;
        if (!last || compare_models(last, cards[i]) != 0 ||
            last->effective_from_us != cards[i]->effective_from_us)
            restore_at(c, version, cards[i], out);
        last = cards[i];
    }
}

// ---- whether that does it ----

static struct catalogue *catalogue_with(const struct catalogue *known,
                                        const struct restore_plan *plan)
{
    struct catalogue *c = catalogue_new();
    struct price_card copy;
    for (size_t i = 0; i < catalogue_count(known); i++) {
        price_card_copy(&copy, catalogue_at(known, i));
        catalogue_add(c, &copy);
    }
    for (size_t i = 0; i < plan->count; i++) {
        price_card_copy(&copy, &plan->cards[i]);
        copy.version = catalogue_version(known) + 1;
        catalogue_add(c, &copy);
    }
    return c;
}

// What has to be found again: a name as of the version, by tenant, at a minute.
struct check {
    const struct catalogue *before, *after;
    int64_t version;
    struct err *e;
};

static int check_name(const struct check *c, const struct price_card *at, const char *name)
{
    struct str tenant = str_of(at->tenant);
    const struct price_card *then =
        catalogue_card(c->before, c->version, at->effective_from_us, tenant, str_of(name));
    const struct price_card *now =
        catalogue_card(c->after, INT64_MAX, at->effective_from_us, tenant, str_of(name));
    if (!then && !now)
        return 0;
    if (then && now && strcasecmp(then->model, now->model) == 0 && price_merge_is_alike(then, now))
        return 0;
    return err_set(c->e,
                   "the name %.100s%s%.100s was priced as %.100s as of version %lld, and would be "
                   "as %.100s: two models bear it; nothing is changed",
                   name, at->tenant[0] ? " of tenant " : "", at->tenant,
                   then ? then->model : "nothing", (long long)c->version,
                   now ? now->model : "nothing");
}

// The names that any of one model's cards bears, once each but for those that come and go, at the
// minutes of all of them.
static int check_model(const struct check *c, const struct price_card *const *cards, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        for (size_t a = 0; a <= cards[k]->alias_count; a++) {
            const char *name = a == 0 ? cards[k]->model : cards[k]->aliases[a - 1];
            if (k > 0 && price_merge_has_name(cards[k - 1], name))
                continue;
            for (size_t i = 0; i < n; i++)
                if (check_name(c, cards[i], name) < 0)
                    return -1;
        }
    }
    return 0;
}

static int check_all(const struct catalogue *known, const struct price_card *const *cards,
                     int64_t version, const struct restore_plan *plan, struct err *e)
{
    struct catalogue *after = catalogue_with(known, plan);
    struct check c = {known, after, version, e};
    int rc = 0;
    for (size_t i = 0, n; rc == 0 && i < catalogue_count(known); i += n) {
        n = 1;
        while (i + n < catalogue_count(known) && compare_models(cards[i], cards[i + n]) == 0)
            n++;
        rc = check_model(&c, cards + i, n);
    }
    catalogue_free(after);
    return rc;
}

int restore_plan_make(const struct catalogue *c, int64_t version, struct restore_plan *out,
                      struct err *e)
{
    const struct price_card **cards = ordered(c);
    *out = (struct restore_plan){0};
    make_cards(c, cards, version, out);
    int rc = check_all(c, cards, version, out, e);
    free(cards);
    if (rc < 0)
        restore_plan_free(out);
    return rc;
}

void restore_plan_free(struct restore_plan *p)
{
    for (size_t i = 0; i < p->count; i++)
        price_card_clear(&p->cards[i]);
    free(p->cards);
    *p = (struct restore_plan){0};
}
