// SPDX-License-Identifier: Apache-2.0
// Entries are decided one after the other, each beside the catalogue as the ones before it have
// made it: first those whose model has a card, then the others, short names before long ones. So
// what a name finds without a prefix or suffix is decided before it.
//
// Then every name of the list and of usage is looked up before and after. Where a new card has come
// before one that was set, its entry is held back, and all is decided once more.
#include "deploy/admin/prices/import_plan.h"

#include <stdio.h>
#include <strings.h>

#include "common/core/price_file.h"
#include "common/core/price_name.h"
#include "deploy/admin/prices/import_names.h"
#include "deploy/admin/prices/price_change.h"
#include "deploy/admin/prices/price_merge.h"

static const char *const class_names[] = {
#define CLASS_NAME(name) #name,
    PRICE_CLASSES(CLASS_NAME)
#undef CLASS_NAME
};

#define ROUNDS_MAX 100 // each holds an entry back, and most lists need one

struct work {
    const struct import_list *list;
    const struct import_rules *rules;
    struct import_plan *plan;
    struct import_names *ever;    // of cards that had a price at any time
    struct import_names *tenants; // of tenants' cards that hold
    struct import_names *later;   // of cards that come into force after rules.from_us
    size_t *order;
    char **held; // by item: why its card is left out, found in the rounds before; owned
    int64_t version;
};

const char *import_verdict_name(enum import_verdict v)
{
    static const char *const names[] = {
        [IMPORT_NEW] = "new",
        [IMPORT_CHANGED] = "changed",
        [IMPORT_UNCHANGED] = "unchanged",
        [IMPORT_CONFLICT] = "conflict",
        [IMPORT_REFUSED] = "refused",
    };
    return names[v];
}

static void decide_as(struct import_outcome *o, enum import_verdict verdict, const char *why)
{
    o->verdict = verdict;
    o->why = why ? xstrdup(why) : NULL;
}

static int refuse(struct import_outcome *o, const char *why)
{
    decide_as(o, IMPORT_REFUSED, why);
    return -1;
}

// ---- what a name costs ----

struct base {
    const struct price_card *card; // NULL: nothing of its own
    enum price_step step;
};

// By the tenant's own cards where it is a tenant's: everybody's price is none that it has.
static struct base base_of(const struct catalogue *c, int64_t at_us, const struct price_card *card,
                           const char *name)
{
    struct str tenant = str_of(card->tenant);
    const struct price_card *own = catalogue_in_force(c, INT64_MAX, at_us, tenant, str_of(name));
    if (own && !own->withdrawn)
        return (struct base){own, PRICE_EXACT};
    if (strcmp(name, PRICE_EVERY) == 0)
        return (struct base){0};
    struct price_hit hit =
        catalogue_resolve(c, INT64_MAX, at_us, tenant, str_of(name), (struct str){0});
    if (!hit.card || hit.step == PRICE_GUESSED)
        return (struct base){0};
    const struct price_card *found = hit.discount ? hit.discount : hit.card;
    if (strcmp(found->tenant, card->tenant) != 0)
        return (struct base){0};
    return (struct base){found, hit.step};
}

static bool is_of_model(const struct price_card *card, const char *model)
{
    return strcasecmp(card->model, model) == 0;
}

static bool is_set(const struct work *w, const struct price_card *card)
{
    return card && w->rules->is_set(w->rules->ctx, card);
}

static bool was_name_ever_priced(const struct work *w, const char *tenant, const char *name)
{
    struct price_name_forms forms;
    price_name_forms(str_of(name), &forms);
    for (size_t i = 0; i < forms.n; i++)
        if (import_names_has(w->ever, tenant, forms.form[i]) ||
            import_names_has(w->ever, "", forms.form[i]))
            return true;
    return false;
}

// Whether one of the card's names, or of those that it would be found by, has had a price at any
// time.
static bool was_ever_priced(const struct work *w, const struct price_card *card)
{
    bool was = was_name_ever_priced(w, card->tenant, card->model);
    for (size_t i = 0; i < card->alias_count; i++)
        was = was || was_name_ever_priced(w, card->tenant, card->aliases[i]);
    return was;
}

// ---- conflicts ----

// Of the operator's cards that the list's would come before; NULL where none.
static const struct price_card *operators_card(const struct work *w, const struct price_card *card,
                                               int64_t at_us, const struct base *base)
{
    const struct catalogue *known = w->rules->known;
    struct str tenant = str_of(card->tenant);
    const struct price_card *own =
        catalogue_in_force(known, INT64_MAX, at_us, tenant, str_of(card->model));
    if (own && own->withdrawn && is_set(w, own))
        return own;
    if (is_set(w, base->card))
        return base->card;
    const struct price_card *newest = price_change_newest(known, card->tenant, card->model);
    if (newest && newest->effective_from_us > at_us && is_set(w, newest))
        return newest;
    for (size_t i = 0; i < card->alias_count; i++) {
        struct base other = base_of(known, at_us, card, card->aliases[i]);
        if (is_set(w, other.card))
            return other.card;
    }
    return NULL;
}

static void conflict(struct import_outcome *o, const struct price_card *card,
                     const struct price_card *set)
{
    struct buf why = {0};
    if (is_of_model(set, card->model))
        buf_adds(&why, set->withdrawn ? "was withdrawn" : "was set");
    else
        buf_addf(&why, "is priced as %s, which was set", set->model);
    o->verdict = IMPORT_CONFLICT;
    o->why = buf_steal(&why);
}

// ---- names ----

// The name leaves the card of another model that bears it then. -1: it cannot.
static int take_name_from(struct work *w, struct import_outcome *o, const struct price_card *card,
                          const char *name, int64_t at_us)
{
    char why[640];
    struct catalogue *c = w->plan->after;
    const struct price_card *holder =
        catalogue_card(c, INT64_MAX, at_us, str_of(card->tenant), str_of(name));
    if (import_names_has_other(w->later, card->tenant, str_of(name), card->model)) {
        snprintf(why, sizeof(why), "\"%.255s\" is a name of another card to come", name);
        return refuse(o, why);
    }
    if (!holder || is_of_model(holder, card->model))
        return 0;
    const struct price_card *known =
        catalogue_card(w->rules->known, INT64_MAX, at_us, str_of(card->tenant), str_of(name));
    if (is_of_model(holder, name) || is_set(w, known)) {
        snprintf(why, sizeof(why), "\"%.255s\" is a name of %.255s%s", name, holder->model,
                 is_set(w, known) ? ", which was set" : "");
        return refuse(o, why);
    }
    struct price_card left;
    price_card_copy(&left, holder);
    price_merge_remove_alias(&left, name);
    left.version = w->version;
    left.effective_from_us = at_us;
    catalogue_add(c, &left);
    return 0;
}

static int take_names(struct work *w, struct import_outcome *o, int64_t at_us)
{
    if (strcmp(o->list.model, PRICE_EVERY) == 0)
        return 0;
    if (take_name_from(w, o, &o->list, o->list.model, at_us) < 0)
        return -1;
    for (size_t i = 0; i < o->list.alias_count; i++)
        if (take_name_from(w, o, &o->list, o->list.aliases[i], at_us) < 0)
            return -1;
    return 0;
}

// ---- one entry ----

// The list's card as it would be added, beside the one that the name is priced by.
static void merge(struct import_outcome *o, const struct price_card *base)
{
    struct buf left_out = {0};
    if (base && !o->list.withdrawn) {
        price_merge_into(&o->list, base, &left_out);
        if (o->list.provider[0] == '\0') {
            free(o->list.provider);
            o->list.provider = xstrdup(base->provider);
        }
    }
    if (base && is_of_model(base, o->list.model)) {
        for (size_t i = 0; i < base->alias_count; i++)
            if (!price_merge_has_name(&o->list, base->aliases[i]))
                price_merge_add_alias(&o->list, base->aliases[i]);
        free(o->list.model);
        o->list.model = xstrdup(base->model); // as it is spelled there
    }
    o->left_out = buf_steal(&left_out);
}

static bool bears_all_names_of(const struct price_card *card, const struct price_card *list)
{
    for (size_t i = 0; i < list->alias_count; i++)
        if (!price_merge_has_name(card, list->aliases[i]))
            return false;
    return true;
}

static bool changes_nothing(const struct work *w, const struct import_outcome *o, int64_t at_us,
                            const struct base *now)
{
    if (o->list.withdrawn) {
        const struct price_card *own = catalogue_in_force(
            w->rules->known, INT64_MAX, at_us, str_of(o->list.tenant), str_of(o->list.model));
        return !own || own->withdrawn;
    }
    return now->card && price_merge_is_alike(&o->list, now->card) &&
           bears_all_names_of(now->card, &o->list);
}

static void add_price(struct buf *out, const struct price_line *line, enum price_class k)
{
    const struct price_hit no_discount = {0};
    price_add_usd(out, k, price_of(&no_discount, line, k));
}

// "batch above 200000 input 2500 (so far 2.5): must be …"
static char *slip_text(const struct price_line *line, const struct price_card *so_far,
                       const struct err *wrong)
{
    struct buf text = {0};
    const struct price_line *before =
        so_far ? price_line_for(so_far, str_of(line->tier), line->above) : NULL;
    buf_addf(&text, "%s%s", line->tier, line->tier[0] ? " " : "");
    if (line->above)
        buf_addf(&text, "above %lld ", (long long)line->above);
    buf_addf(&text, "%s ", wrong->field);
    for (int k = 0; k < PRICE_CLASS_COUNT; k++) {
        if (strcmp(wrong->field, class_names[k]) != 0)
            continue;
        add_price(&text, line, (enum price_class)k);
        if (before) {
            buf_adds(&text, " (so far ");
            add_price(&text, before, (enum price_class)k);
            buf_addc(&text, ')');
        }
    }
    buf_addf(&text, ": %s", wrong->detail);
    return buf_steal(&text);
}

static void check_slip(struct import_outcome *o)
{
    size_t line;
    struct err wrong;
    const struct price_card *so_far = o->was && o->was->discount_ppm == PRICE_NONE ? o->was : NULL;
    if (price_file_check_slip(&o->list, so_far, &line, &wrong) != 0)
        o->slip = slip_text(&o->list.lines[line], so_far, &wrong);
}

// The entry is to be added: from when, whether it can be, and does it.
static void add(struct work *w, struct import_outcome *o, bool given, bool priced)
{
    struct err wrong;
    int64_t at_us = given ? o->list.effective_from_us : w->rules->from_us;
    bool first = !priced && !was_ever_priced(w, &o->list) &&
                 !price_change_newest(w->rules->known, o->list.tenant, o->list.model);
    if (!given && first)
        at_us = INT64_MIN;
    o->list.effective_from_us = at_us;
    o->list.version = w->version;
    if (given && !first && at_us < w->rules->earliest_us) {
        refuse(o, "its effective_from is in the past");
        return;
    }
    if (price_card_check(&o->list, &wrong) != 0) {
        char why[sizeof(wrong.field) + sizeof(wrong.detail) + 2];
        snprintf(why, sizeof(why), "%s %s", wrong.field, wrong.detail);
        refuse(o, why);
        return;
    }
    if (take_names(w, o, at_us) < 0)
        return;
    check_slip(o);
    decide_as(o, first ? IMPORT_NEW : IMPORT_CHANGED, NULL);
    struct price_card copy;
    price_card_copy(&copy, &o->list);
    catalogue_add(w->plan->after, &copy);
}

static const struct price_card *so_far(const struct work *w, const struct price_card *card,
                                       int64_t at_us, enum price_step *step)
{
    struct price_hit hit =
        catalogue_resolve(w->rules->known, INT64_MAX, at_us, str_of(card->tenant),
                          str_of(card->model), (struct str){0});
    // A guess is no price that another one is compared with.
    if (hit.step == PRICE_GUESSED && strcmp(card->model, PRICE_EVERY) != 0)
        hit = (struct price_hit){0};
    *step = hit.step;
    return hit.discount ? hit.discount : hit.card;
}

static void decide(struct work *w, size_t i)
{
    const struct import_item *item = &w->list->v[i];
    struct import_outcome *o = &w->plan->v[i];
    if (item->why) {
        refuse(o, item->why);
        return;
    }
    bool given = item->card.effective_from_us != INT64_MIN;
    int64_t at_us = given ? item->card.effective_from_us : w->rules->from_us;
    price_card_copy(&o->list, &item->card);
    o->was = so_far(w, &item->card, at_us, &o->step);
    o->tenants = import_names_tenants(w->tenants, str_of(item->card.model));
    struct base known = base_of(w->rules->known, at_us, &item->card, item->card.model);
    // A card that is only now to be added is none of ours that the list's could be compared with.
    struct base now = {0};
    if (known.card)
        now = base_of(w->plan->after, at_us, &item->card, item->card.model);
    merge(o, now.card);
    const struct price_card *set = operators_card(w, &item->card, at_us, &known);
    if (changes_nothing(w, o, at_us, &now))
        decide_as(o, IMPORT_UNCHANGED, NULL);
    else if (w->held[i])
        decide_as(o, IMPORT_CONFLICT, w->held[i]);
    else if (set && !w->rules->override)
        conflict(o, &item->card, set);
    else
        add(w, o, given, known.card != NULL);
}

// ---- the order ----

struct place {
    bool has_card;
    size_t length, item;
};

static int compare_places(const void *one, const void *other)
{
    const struct place *a = one, *b = other;
    if (a->has_card != b->has_card)
        return a->has_card ? -1 : 1;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return (a->item > b->item) - (a->item < b->item);
}

static size_t *order_of(const struct import_list *list, const struct import_rules *rules)
{
    struct place *places = xcalloc(list->n + 1, sizeof(*places));
    size_t *order = xcalloc(list->n + 1, sizeof(*order));
    for (size_t i = 0; i < list->n; i++) {
        const struct import_item *item = &list->v[i];
        places[i].item = i;
        places[i].length = strlen(item->name);
        if (item->why)
            continue;
        const struct price_card *own =
            catalogue_in_force(rules->known, INT64_MAX, rules->from_us, str_of(item->card.tenant),
                               str_of(item->card.model));
        places[i].has_card = own && !own->withdrawn;
    }
    qsort(places, list->n, sizeof(*places), compare_places);
    for (size_t i = 0; i < list->n; i++)
        order[i] = places[i].item;
    free(places);
    return order;
}

// ---- all of them ----

static struct catalogue *copy_of(const struct catalogue *known)
{
    struct catalogue *c = catalogue_new();
    for (size_t i = 0; i < catalogue_count(known); i++) {
        struct price_card copy;
        price_card_copy(&copy, catalogue_at(known, i));
        catalogue_add(c, &copy);
    }
    catalogue_set_version(c, catalogue_version(known));
    return c;
}

// Of the cards that were added the last of each model and minute: one that lost an alias comes
// after the one that has a new price.
static void collect(struct work *w)
{
    struct import_plan *p = w->plan;
    size_t known = catalogue_count(w->rules->known), all = catalogue_count(p->after);
    p->cards = xcalloc(all - known + 1, sizeof(*p->cards));
    for (size_t i = known; i < all; i++) {
        const struct price_card *card = catalogue_at(p->after, i);
        if (catalogue_in_force(p->after, INT64_MAX, card->effective_from_us, str_of(card->tenant),
                               str_of(card->model)) == card)
            p->cards[p->card_count++] = *card;
    }
    for (size_t i = 0; i < p->n; i++) {
        struct import_outcome *o = &p->v[i];
        p->counts[o->verdict]++;
        p->slips += o->slip != NULL;
        if (o->verdict == IMPORT_NEW || o->verdict == IMPORT_CHANGED)
            o->added = catalogue_in_force(p->after, INT64_MAX, o->list.effective_from_us,
                                          str_of(o->list.tenant), str_of(o->list.model));
    }
}

// Holds the entry back whose card has taken the name from one that was set. How many: 0 or 1.
static size_t check_taken(struct work *w, struct str name)
{
    const struct catalogue *sides[] = {w->rules->known, w->plan->after};
    const struct price_card *found[2] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        struct price_hit hit = catalogue_resolve(sides[i], INT64_MAX, w->rules->from_us,
                                                 STR_LIT(""), name, (struct str){0});
        if (hit.step != PRICE_GUESSED)
            found[i] = hit.card;
    }
    if (!is_set(w, found[0]) || !found[1] || found[1]->version != w->version ||
        is_of_model(found[1], found[0]->model))
        return 0;
    for (size_t i = 0; i < w->list->n; i++) {
        if (w->held[i] || w->plan->v[i].added != found[1])
            continue;
        struct buf why = {0};
        buf_addf(&why, "would price %.*s, which is priced as %s, which was set", (int)name.n,
                 name.p, found[0]->model);
        w->held[i] = buf_steal(&why);
        return 1;
    }
    return 0;
}

static size_t check_all_taken(struct work *w)
{
    size_t held = 0;
    for (size_t i = 0; i < w->list->n && !w->rules->override; i++)
        if (!w->list->v[i].why)
            held += check_taken(w, str_of(w->list->v[i].name));
    for (size_t i = 0; i < w->rules->used_count && !w->rules->override; i++)
        held += check_taken(w, w->rules->used[i]);
    return held;
}

// Two models never bear one name, at the minute of any card: nothing changes in between.
static int check_names(const struct work *w, struct err *e)
{
    const struct catalogue *c = w->plan->after;
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct price_card *card = catalogue_at(c, i), *best[2];
        for (size_t k = 0; k <= card->alias_count; k++) {
            const char *name = k < card->alias_count ? card->aliases[k] : card->model;
            if (catalogue_bearers(c, INT64_MAX, card->effective_from_us, str_of(card->tenant),
                                  str_of(name), best) > 1 &&
                best[0]->version == w->version)
                return err_set(e, "the name %.100s would be one of %.100s and of %.100s", name,
                               best[0]->model, best[1]->model);
        }
    }
    return 0;
}

static void plan_clear(struct import_plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].why);
        free(p->v[i].left_out);
        free(p->v[i].slip);
        price_card_clear(&p->v[i].list);
    }
    free(p->v);
    free(p->cards);
    catalogue_free(p->after);
    *p = (struct import_plan){0};
}

void import_plan_free(struct import_plan *p)
{
    plan_clear(p);
}

static void decide_all(struct work *w)
{
    plan_clear(w->plan);
    w->plan->n = w->list->n;
    w->plan->v = xcalloc(w->list->n + 1, sizeof(*w->plan->v));
    w->plan->after = copy_of(w->rules->known);
    for (size_t i = 0; i < w->list->n; i++)
        decide(w, w->order[i]);
    collect(w);
}

int import_plan_make(const struct import_list *list, const struct import_rules *rules,
                     struct import_plan *out, struct err *e)
{
    struct work w = {
        .list = list,
        .rules = rules,
        .plan = out,
        .ever = import_names_make(rules->known, IMPORT_NAMES_EVER, 0),
        .tenants = import_names_make(rules->known, IMPORT_NAMES_OF_TENANTS, rules->from_us),
        .later = import_names_make(rules->known, IMPORT_NAMES_LATER, rules->from_us),
        .order = order_of(list, rules),
        .held = xcalloc(list->n + 1, sizeof(*w.held)),
        .version = catalogue_version(rules->known) + 1,
    };
    int rc = 0, rounds = 0;
    *out = (struct import_plan){0};
    do
        decide_all(&w);
    while (check_all_taken(&w) > 0 && ++rounds < ROUNDS_MAX);
    if (rounds == ROUNDS_MAX)
        rc = err_set(e, "too many names of cards that were set would be priced by others; "
                        "--override lets them");
    if (rc == 0)
        rc = check_names(&w, e);
    import_names_free(w.ever);
    import_names_free(w.tenants);
    import_names_free(w.later);
    for (size_t i = 0; i < list->n; i++)
        free(w.held[i]);
    free(w.held);
    free(w.order);
    if (rc < 0)
        plan_clear(out);
    return rc;
}
