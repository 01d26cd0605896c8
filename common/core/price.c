// SPDX-License-Identifier: Apache-2.0
// Found by hashing: one table from (tenant, name in lower case) to the models that have ever borne
// the name, and of each model its cards in the order in which they come into force. Most names are
// of one model and most models have a few cards, so what is left to compare is short.
//
// The hash has no secret: what is in the table comes from the operator, and a stranger's name is
// looked up and never put in.
#include "common/core/price.h"

#include "common/core/hash.h"
#include "common/core/price_name.h"

#include <strings.h>

// All cards of one model of one tenant, by effective_from, then version.
struct model {
    char *lower;
    const struct price_card **cards;
    size_t n, cap;
};

// A key is the tenant, a NUL, and the name. The name "" has no models: it says that the tenant has
// cards at all.
struct entry {
    uint64_t hash;
    char *key; // NULL: the place is free
    size_t key_n;
    struct model **models;
    size_t n;
};

#define KEY_MAX (EVENT_NAME_MAX + 1 + PRICE_NAME_MAX)
struct key {
    char p[KEY_MAX];
    size_t n, tenant_n; // tenant_n: with its NUL
};

struct catalogue {
    struct price_card **cards; // each on its own: who found one keeps its address
    size_t n, cap;
    int64_t version;
    struct entry *table; // open addressing, at most half full
    size_t table_cap, entries;
    struct model **models;
    size_t model_n, model_cap;
};

// ---- growing ----

struct catalogue *catalogue_new(void)
{
    struct catalogue *c = xcalloc(1, sizeof(*c));
    c->table_cap = 64;
    c->table = xcalloc(c->table_cap, sizeof(c->table[0]));
    return c;
}

void catalogue_free(struct catalogue *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        price_card_clear(c->cards[i]);
        free(c->cards[i]);
    }
    free(c->cards);
    for (size_t i = 0; i < c->table_cap; i++) {
        free(c->table[i].key);
        free(c->table[i].models);
    }
    free(c->table);
    for (size_t i = 0; i < c->model_n; i++) {
        free(c->models[i]->lower);
        free(c->models[i]->cards);
        free(c->models[i]);
    }
    free(c->models);
    free(c);
}

// A capacity for one more.
static size_t grown(size_t n, size_t cap)
{
    return n < cap ? cap : cap == 0 ? 1 : 2 * cap;
}

// false where the tenant is longer than any that has cards.
static bool key_begin(struct key *k, struct str tenant)
{
    if (tenant.n > EVENT_NAME_MAX)
        return false;
    if (tenant.n > 0)
        memcpy(k->p, tenant.p, tenant.n);
    k->p[tenant.n] = '\0';
    k->n = k->tenant_n = tenant.n + 1;
    return true;
}

static void key_name(struct key *k, struct str lower)
{
    assert(lower.n <= PRICE_NAME_MAX);
    if (lower.n > 0)
        memcpy(k->p + k->tenant_n, lower.p, lower.n);
    k->n = k->tenant_n + lower.n;
}

static char lower_of(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

// false where the name is longer than any that a card has. Only ASCII, as price_name_forms().
static bool key_any_case(struct key *k, struct str name)
{
    if (name.n > PRICE_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++)
        k->p[k->tenant_n + i] = lower_of(name.p[i]);
    k->n = k->tenant_n + name.n;
    return true;
}

static void key_of_card(struct key *k, const struct price_card *card, const char *name)
{
    bool fits = key_begin(k, str_of(card->tenant)) && key_any_case(k, str_of(name));
    assert(fits);
    (void)fits; // where asserts are left out
}

// The entry of the key, or the free place where it belongs.
static struct entry *place_of(const struct catalogue *c, uint64_t hash, const struct key *k)
{
    size_t mask = c->table_cap - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct entry *e = &c->table[i];
        if (!e->key || (e->hash == hash && e->key_n == k->n && memcmp(e->key, k->p, k->n) == 0))
            return e;
    }
}

static void table_grow(struct catalogue *c)
{
    struct entry *old = c->table;
    size_t old_cap = c->table_cap;
    c->table_cap *= 2;
    c->table = xcalloc(c->table_cap, sizeof(c->table[0]));
    for (size_t i = 0; i < old_cap; i++) {
        size_t at = old[i].hash & (c->table_cap - 1);
        if (!old[i].key)
            continue;
        while (c->table[at].key)
            at = (at + 1) & (c->table_cap - 1);
        c->table[at] = old[i];
    }
    free(old);
}

static struct entry *entry_make(struct catalogue *c, const struct key *k)
{
    uint64_t hash = hash_stable64(k->p, k->n);
    struct entry *e = place_of(c, hash, k);
    if (e->key)
        return e;
    if (2 * (c->entries + 1) > c->table_cap) {
        table_grow(c);
        e = place_of(c, hash, k);
    }
    c->entries++;
    *e = (struct entry){.hash = hash, .key = xmemdup(k->p, k->n), .key_n = k->n};
    return e;
}

static void entry_add_model(struct entry *e, struct model *m)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->models[i] == m)
            return;
    e->models = xrealloc(e->models, (e->n + 1) * sizeof(struct model *));
    e->models[e->n++] = m;
}

static bool is_own_name(const struct model *m, struct str lower)
{
    return str_eq(str_of(m->lower), lower);
}

static struct str name_of(const struct key *k)
{
    return (struct str){k->p + k->tenant_n, k->n - k->tenant_n};
}

static struct model *model_make(struct catalogue *c, const struct key *own_name)
{
    struct entry *e = entry_make(c, own_name);
    struct str lower = name_of(own_name);
    for (size_t i = 0; i < e->n; i++)
        if (is_own_name(e->models[i], lower))
            return e->models[i];
    size_t cap = grown(c->model_n, c->model_cap);
    if (cap != c->model_cap)
        c->models = xrealloc(c->models, cap * sizeof(struct model *));
    c->model_cap = cap;
    struct model *m = c->models[c->model_n++] = xcalloc(1, sizeof(*m));
    m->lower = xcalloc(lower.n + 1, 1);
    memcpy(m->lower, lower.p, lower.n);
    entry_add_model(e, m);
    return m;
}

static bool comes_after(const struct price_card *a, const struct price_card *b)
{
    return a->effective_from_us != b->effective_from_us
               ? a->effective_from_us > b->effective_from_us
               : a->version > b->version;
}

static void model_add_card(struct model *m, const struct price_card *card)
{
    size_t cap = grown(m->n, m->cap), at = m->n;
    if (cap != m->cap)
        m->cards = xrealloc(m->cards, cap * sizeof(m->cards[0]));
    m->cap = cap;
    while (at > 0 && comes_after(m->cards[at - 1], card))
        at--;
    memmove(m->cards + at + 1, m->cards + at, (m->n - at) * sizeof(m->cards[0]));
    m->cards[at] = card;
    m->n++;
}

void catalogue_add(struct catalogue *c, struct price_card *card)
{
    size_t cap = grown(c->n, c->cap);
    if (cap != c->cap)
        c->cards = xrealloc(c->cards, cap * sizeof(c->cards[0]));
    c->cap = cap;
    struct price_card *own = c->cards[c->n++] = xmalloc(sizeof(*own));
    *own = *card;
    *card = (struct price_card){0};
    catalogue_set_version(c, own->version);

    struct key k;
    key_of_card(&k, own, "");
    entry_make(c, &k);
    key_of_card(&k, own, own->model);
    struct model *m = model_make(c, &k);
    model_add_card(m, own);
    for (size_t i = 0; i < own->alias_count; i++) {
        key_of_card(&k, own, own->aliases[i]);
        entry_add_model(entry_make(c, &k), m);
    }
}

void catalogue_set_version(struct catalogue *c, int64_t version)
{
    c->version = max_i64(c->version, version);
}

int64_t catalogue_version(const struct catalogue *c)
{
    return c->version;
}

size_t catalogue_count(const struct catalogue *c)
{
    return c->n;
}

const struct price_card *catalogue_at(const struct catalogue *c, size_t i)
{
    assert(i < c->n);
    return c->cards[i];
}

// ---- finding ----

// What of the catalogue a question is about.
struct view {
    const struct catalogue *c;
    int64_t version, at_us;
};

static const struct price_card *card_in_force(const struct view *v, const struct model *m)
{
    for (size_t i = m->n; i > 0; i--) {
        const struct price_card *card = m->cards[i - 1];
        if (card->effective_from_us <= v->at_us && card->version <= v->version)
            return card;
    }
    return NULL;
}

static bool has_alias(const struct price_card *card, struct str lower)
{
    for (size_t i = 0; i < card->alias_count; i++)
        if (strlen(card->aliases[i]) == lower.n &&
            strncasecmp(card->aliases[i], lower.p, lower.n) == 0)
            return true;
    return false;
}

struct found {
    const struct price_card *card;
    const struct model *model;
    bool own_name; // not an alias
};

static bool is_better(const struct found *a, const struct found *than)
{
    if (!than->card || a->card->version != than->card->version)
        return !than->card || a->card->version > than->card->version;
    if (a->own_name != than->own_name)
        return a->own_name;
    return strcmp(a->model->lower, than->model->lower) < 0;
}

// The name's models are those that bore it ever: whether a card that is in force does is asked
// here, and one that is withdrawn bears none. How many there are, and the best two.
static size_t find(const struct view *v, const struct key *k, struct found best[2])
{
    const struct entry *e = place_of(v->c, hash_stable64(k->p, k->n), k);
    size_t n = 0;
    best[0] = best[1] = (struct found){0};
    for (size_t i = 0; i < e->n; i++) {
        struct found f = {.model = e->models[i], .card = card_in_force(v, e->models[i])};
        f.own_name = is_own_name(f.model, name_of(k));
        if (!f.card || f.card->withdrawn || (!f.own_name && !has_alias(f.card, name_of(k))))
            continue;
        n++;
        if (is_better(&f, &best[0])) {
            best[1] = best[0];
            best[0] = f;
        } else if (is_better(&f, &best[1])) {
            best[1] = f;
        }
    }
    return n;
}

size_t catalogue_bearers(const struct catalogue *c, int64_t version, int64_t at_us,
                         struct str tenant, struct str name, const struct price_card *best[2])
{
    struct view v = {c, version, at_us};
    struct found found[2] = {{0}};
    struct key k;
    size_t n = key_begin(&k, tenant) && key_any_case(&k, name) ? find(&v, &k, found) : 0;
    best[0] = found[0].card;
    best[1] = found[1].card;
    return n;
}

const struct price_card *catalogue_card(const struct catalogue *c, int64_t version, int64_t at_us,
                                        struct str tenant, struct str name)
{
    const struct price_card *best[2];
    catalogue_bearers(c, version, at_us, tenant, name, best);
    return best[0];
}

const struct price_card *catalogue_in_force(const struct catalogue *c, int64_t version,
                                            int64_t at_us, struct str tenant, struct str model)
{
    struct view v = {c, version, at_us};
    struct key k;
    if (!key_begin(&k, tenant) || !key_any_case(&k, model))
        return NULL;
    const struct entry *e = place_of(c, hash_stable64(k.p, k.n), &k);
    for (size_t i = 0; i < e->n; i++)
        if (is_own_name(e->models[i], name_of(&k)))
            return card_in_force(&v, e->models[i]);
    return NULL;
}

static enum price_step step_of(const struct price_name_forms *forms, size_t i)
{
    return i >= forms->without_suffix   ? PRICE_WITHOUT_SUFFIX
           : i >= forms->without_prefix ? PRICE_WITHOUT_PREFIX
                                        : PRICE_EXACT;
}

// The first of the forms that one of the tenant's cards bears. PRICE_EVERY is no name that a model
// can be found by.
static struct found find_form(const struct view *v, struct str tenant,
                              const struct price_name_forms *forms, enum price_step *step)
{
    struct key k;
    struct found none = {0};
    if (!key_begin(&k, tenant) || !place_of(v->c, hash_stable64(k.p, k.n), &k)->key)
        return none;
    for (size_t i = 0; i < forms->n; i++) {
        struct found best[2];
        key_name(&k, forms->form[i]);
        if (!str_eq(forms->form[i], STR_LIT(PRICE_EVERY)) && find(v, &k, best) > 0) {
            *step = step_of(forms, i);
            return best[0];
        }
    }
    return none;
}

static const struct price_card *card_for_every(const struct view *v, struct str tenant)
{
    return catalogue_card(v->c, v->version, v->at_us, tenant, STR_LIT(PRICE_EVERY));
}

// One name up the ladder. Where no card is found the hit is none but for the discount, which
// PRICE_DEFAULT may need.
static struct price_hit resolve_name(const struct view *v, struct str tenant, struct str name)
{
    struct price_hit hit = {0};
    struct price_name_forms forms;
    if (name.n == 0)
        return hit;
    price_name_forms(name, &forms);
    if (tenant.n > 0) {
        struct found f = find_form(v, tenant, &forms, &hit.step);
        if (f.card && f.card->discount_ppm == PRICE_NONE) {
            hit.card = f.card;
            return hit;
        }
        hit.discount = f.card ? f.card : card_for_every(v, tenant);
        if (f.card && !f.own_name)
            price_name_forms(str_of(f.card->model), &forms);
    }
    hit.card = find_form(v, STR_LIT(""), &forms, &hit.step).card;
    return hit;
}

struct price_hit catalogue_resolve(const struct catalogue *c, int64_t version, int64_t at_us,
                                   struct str tenant, struct str model, struct str asked)
{
    struct view v = {c, version, at_us};
    struct price_hit none = {0};
    if (str_eq(model, STR_LIT(USAGE_OTHER)))
        return none;
    struct price_hit by_model = resolve_name(&v, tenant, model);
    if (by_model.card)
        return by_model;
    struct price_hit by_asked = resolve_name(&v, tenant, asked);
    by_asked.by_asked = true;
    if (by_asked.card)
        return by_asked;
    struct price_hit guess = {
        .card = card_for_every(&v, STR_LIT("")),
        .discount = by_model.discount,
        .step = PRICE_GUESSED,
    };
    return guess.card ? guess : none;
}

const char *price_step_name(enum price_step step)
{
    static const char *const names[] = {
        [PRICE_UNPRICED] = "unpriced",     [PRICE_EXACT] = "exact",
        [PRICE_WITHOUT_PREFIX] = "prefix", [PRICE_WITHOUT_SUFFIX] = "suffix",
        [PRICE_GUESSED] = "default",
    };
    return names[step];
}

// ---- costs ----

// As add_sat_i64, for numbers of either sign.
static int64_t add_bounded(int64_t a, int64_t b)
{
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return a > 0 ? INT64_MAX : -INT64_MAX;
}

static void price_usage(struct cost *out, const struct price_hit *hit,
                        const struct price_line *line, const struct usage *u)
{
    const int64_t counts[PRICE_CLASS_COUNT] = {
        [PRICE_input] = u->uncached_prompt_tokens,
        [PRICE_cached_input] = u->cached_prompt_tokens,
        [PRICE_cache_write_5m] = u->cache_write_5m_tokens,
        [PRICE_cache_write_1h] = u->cache_write_1h_tokens,
        [PRICE_output] = u->completion_tokens - u->reasoning_tokens,
        [PRICE_reasoning] = u->reasoning_tokens,
        [PRICE_request] = u->requests,
    };
    int64_t input = price_of(hit, line, PRICE_input);
    for (int k = 0; k < PRICE_CLASS_COUNT; k++) {
        int64_t price = price_of(hit, line, (enum price_class)k);
        out->classes[k] = money_times(counts[k], price);
        out->estimated = money_add(out->estimated, out->classes[k]);
        if (k == PRICE_cached_input || k == PRICE_cache_write_5m || k == PRICE_cache_write_1h)
            out->cache_savings =
                money_add(out->cache_savings, money_times(counts[k], input - price));
    }
}

void cost_add_usage(struct cost *into, const struct catalogue *c, int64_t version, int64_t at_us,
                    struct str tenant, const struct usage_key *key, const struct usage *u)
{
    struct price_hit hit = catalogue_resolve(c, version, at_us, tenant, key->model, key->asked);
    const struct price_line *line =
        hit.card ? price_line_for(hit.card, key->tier, key->context_above) : NULL;
    struct cost more = {0};
    if (!line) {
        more.unpriced_requests = u->requests;
        more.unpriced_tokens = usage_tokens(u);
    } else {
        price_usage(&more, &hit, line, u);
        more.guessed_requests = hit.step == PRICE_GUESSED ? u->requests : 0;
    }
    cost_add(into, &more);
}

struct cost cost_of_lines(const struct catalogue *c, int64_t version, int64_t at_us,
                          struct str tenant, const struct usage_lines *l)
{
    static const struct usage_key other = {.model = {USAGE_OTHER, sizeof(USAGE_OTHER) - 1}};
    struct cost sum = {0};
    for (size_t i = 0; i < l->n; i++)
        cost_add_usage(&sum, c, version, at_us, tenant, &l->v[i].key, &l->v[i].sum);
    cost_add_usage(&sum, c, version, at_us, tenant, &other, &l->other);
    return sum;
}

void cost_add(struct cost *into, const struct cost *more)
{
    into->estimated = money_add(into->estimated, more->estimated);
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        into->classes[k] = money_add(into->classes[k], more->classes[k]);
    into->cache_savings = money_add(into->cache_savings, more->cache_savings);
    into->unpriced_requests = add_bounded(into->unpriced_requests, more->unpriced_requests);
    into->unpriced_tokens = add_bounded(into->unpriced_tokens, more->unpriced_tokens);
    into->guessed_requests = add_bounded(into->guessed_requests, more->guessed_requests);
}

void cost_subtract(struct cost *from, const struct cost *less)
{
    struct cost negative = {
        .estimated = -less->estimated,
        .cache_savings = -less->cache_savings,
        .unpriced_requests = -less->unpriced_requests,
        .unpriced_tokens = -less->unpriced_tokens,
        .guessed_requests = -less->guessed_requests,
    };
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        negative.classes[k] = -less->classes[k];
    cost_add(from, &negative);
}

static money bounded(money m)
{
    return m > INT64_MAX ? INT64_MAX : m < -INT64_MAX ? -INT64_MAX : m;
}

void cost_bound(struct cost *c)
{
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        c->classes[k] = bounded(c->classes[k]);
    c->cache_savings = bounded(c->cache_savings);
}

bool cost_eq(const struct cost *a, const struct cost *b)
{
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        if (a->classes[k] != b->classes[k])
            return false;
    return a->estimated == b->estimated && a->cache_savings == b->cache_savings &&
           a->unpriced_requests == b->unpriced_requests &&
           a->unpriced_tokens == b->unpriced_tokens && a->guessed_requests == b->guessed_requests;
}
