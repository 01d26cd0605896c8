// SPDX-License-Identifier: Apache-2.0
// Sorted once, so that a list is one pass and the card in force the last of its neighbours.
#include "metrics-api/price_book.h"

#include "common/core/timeunit.h"
#include "metrics-api/render.h"

#include <math.h>
#include <strings.h>

#define USD_PER_MTOK 1e6 // picodollars a token
#define PER_PERCENT 1e4  // parts of a million

#define INFO(type, name, member) FIELD_INFO(type, struct price_row, name, member)
#define TEXT_INFO(name) INFO(FIELD_TEXT, name, name)
#define TIME_INFO(name) INFO(FIELD_TIME, name, name##_us)
#define COUNT_INFO(name) INFO(FIELD_COUNT_OF, name, name)
#define MAYBE_INFO(name) INFO(FIELD_MAYBE, name, name)
#define BOOL_INFO(name) INFO(FIELD_BOOL, name, name)
const struct field_info price_field_infos[PRICE_FIELD_COUNT] = {
    PRICE_ROW_FIELDS(TEXT_INFO, TIME_INFO, COUNT_INFO, MAYBE_INFO, BOOL_INFO)};

struct price_book {
    struct catalogue *catalogue;
    // By model, tenant, effective_from, version.
    const struct price_card **cards;
    size_t n;
};

static bool same_model(const struct price_card *a, const struct price_card *b)
{
    return strcasecmp(a->model, b->model) == 0 && strcmp(a->tenant, b->tenant) == 0;
}

static int compare_cards(const void *a, const void *b)
{
    const struct price_card *x = *(const struct price_card *const *)a;
    const struct price_card *y = *(const struct price_card *const *)b;
    int order = strcasecmp(x->model, y->model);
    if (order == 0)
        order = strcmp(x->tenant, y->tenant);
    if (order != 0)
        return order;
    if (x->effective_from_us != y->effective_from_us)
        return x->effective_from_us < y->effective_from_us ? -1 : 1;
    return (x->version > y->version) - (x->version < y->version);
}

struct price_book *price_book_new(struct catalogue *c)
{
    struct price_book *b = xcalloc(1, sizeof(*b));
    b->catalogue = c;
    b->n = catalogue_count(c);
    b->cards = xcalloc(b->n + 1, sizeof(b->cards[0]));
    for (size_t i = 0; i < b->n; i++)
        b->cards[i] = catalogue_at(c, i);
    qsort(b->cards, b->n, sizeof(b->cards[0]), compare_cards);
    return b;
}

void price_book_free(struct price_book *b)
{
    if (!b)
        return;
    catalogue_free(b->catalogue);
    free(b->cards);
    free(b);
}

const struct catalogue *price_book_catalogue(const struct price_book *b)
{
    return b->catalogue;
}

// ---- the list -----------------------------------------------------------------------------------

static bool is_shown(const struct price_view *v, const struct price_card *card)
{
    if (v->prefix.p && (strlen(card->model) < v->prefix.n ||
                        strncasecmp(card->model, v->prefix.p, v->prefix.n) != 0))
        return false;
    return v->every_tenant || card->tenant[0] == '\0' ||
           (v->tenant.p && str_eq(str_of(card->tenant), v->tenant));
}

// Of the cards of a model from first on; *end is where the next model's begin. NULL: none yet.
static const struct price_card *in_force(const struct price_book *b, const struct price_view *v,
                                         size_t first, size_t *end)
{
    const struct price_card *found = NULL;
    for (*end = first; *end < b->n && same_model(b->cards[first], b->cards[*end]); ++*end) {
        const struct price_card *card = b->cards[*end];
        if (card->version <= v->version && card->effective_from_us <= v->at_us)
            found = card;
    }
    return found;
}

static struct str tenant_of(const struct price_card *card)
{
    return card->tenant[0] ? str_of(card->tenant) : (struct str){NULL, 0};
}

struct fold_place price_entry_place(const struct price_entry *entry)
{
    const char *tier = entry->line->tier;
    return (struct fold_place){
        .start_us = entry->line->above,
        .tenant_id = tenant_of(entry->card),
        .route = tier[0] ? str_of(tier) : (struct str){NULL, 0},
        .model = str_of(entry->card->model),
    };
}

static int compare_bytes(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_models(struct str a, struct str b)
{
    int order = strncasecmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_places(const struct fold_place *a, const struct fold_place *b)
{
    int order = compare_models(a->model, b->model);
    if (order == 0)
        order = compare_bytes(a->tenant_id, b->tenant_id);
    if (order == 0)
        order = compare_bytes(a->route, b->route);
    return order != 0 ? order : (a->start_us > b->start_us) - (a->start_us < b->start_us);
}

size_t price_book_list(const struct price_book *b, const struct price_view *v,
                       const struct fold_place *after, size_t limit, struct price_entry *out,
                       bool *more)
{
    size_t n = 0;
    *more = false;
    for (size_t first = 0, end; first < b->n; first = end) {
        const struct price_card *card = in_force(b, v, first, &end);
        if (!card || !is_shown(v, card))
            continue;
        for (size_t i = 0; i < card->line_count; i++) {
            struct price_entry entry = {card, &card->lines[i]};
            struct fold_place place = price_entry_place(&entry);
            if (after && compare_places(&place, after) <= 0)
                continue;
            *more = n == limit;
            if (*more)
                return n;
            out[n++] = entry;
        }
    }
    return n;
}

// ---- rows ---------------------------------------------------------------------------------------

static double usd_of(enum price_class k, int64_t pusd)
{
    if (pusd == PRICE_NONE)
        return NAN;
    return (double)pusd / (k == PRICE_request ? (double)MONEY_PER_USD : USD_PER_MTOK);
}

static void set_prices(struct price_row *out, const struct price_line *line,
                       const double usd[PRICE_CLASS_COUNT])
{
    out->tier = str_of(line->tier);
    out->above_tokens = line->above;
#define SET(name) out->name = usd[PRICE_##name];
    PRICE_CLASSES(SET)
#undef SET
}

void price_row_of(const struct price_entry *entry, struct buf *aliases, struct price_row *out)
{
    const struct price_card *card = entry->card;
    double usd[PRICE_CLASS_COUNT];
    buf_clear(aliases);
    for (size_t i = 0; i < card->alias_count; i++) {
        buf_adds(aliases, i > 0 ? " " : "");
        buf_adds(aliases, card->aliases[i]);
    }
    *out = (struct price_row){
        .model = str_of(card->model),
        .tenant_id = tenant_of(card),
        .provider = str_of(card->provider),
        .aliases = aliases->n > 0 ? (struct str){aliases->p, aliases->n} : STR_LIT(""),
        .discount_percent =
            card->discount_ppm == PRICE_NONE ? NAN : (double)card->discount_ppm / PER_PERCENT,
        .effective_from_us = card->effective_from_us,
        .version = card->version,
        .withdrawn = card->withdrawn,
        .source = str_of(card->source),
        .as_of = card->as_of[0] ? str_of(card->as_of) : (struct str){NULL, 0},
    };
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        usd[k] = usd_of((enum price_class)k, entry->line->pusd[k]);
    set_prices(out, entry->line, usd);
}

void price_row_paid(const struct price_hit *hit, const struct price_line *line,
                    struct price_row *out)
{
    double usd[PRICE_CLASS_COUNT];
    *out = (struct price_row){0};
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        usd[k] = usd_of((enum price_class)k, price_of(hit, line, (enum price_class)k));
    set_prices(out, line, usd);
}

// ---- one name -----------------------------------------------------------------------------------

#define PAID_FIELDS                                                                                \
    (PRICE_FIELD_BIT(tier) | PRICE_FIELD_BIT(above_tokens) | PRICE_FIELD_BIT(input) |              \
     PRICE_FIELD_BIT(cached_input) | PRICE_FIELD_BIT(cache_write_5m) |                             \
     PRICE_FIELD_BIT(cache_write_1h) | PRICE_FIELD_BIT(output) | PRICE_FIELD_BIT(reasoning) |      \
     PRICE_FIELD_BIT(request))
#define CARD_FIELDS                                                                                \
    (PRICE_FIELD_BIT(model) | PRICE_FIELD_BIT(tenant_id) | PRICE_FIELD_BIT(provider) |             \
     PRICE_FIELD_BIT(aliases) | PRICE_FIELD_BIT(discount_percent) |                                \
     PRICE_FIELD_BIT(effective_from) | PRICE_FIELD_BIT(version) | PRICE_FIELD_BIT(source) |        \
     PRICE_FIELD_BIT(as_of))

static void add_text(struct buf *out, const char *key, struct str text)
{
    buf_addf(out, "\"%s\":", key);
    if (text.p)
        buf_add_json_str(out, text);
    else
        buf_adds(out, "null");
    buf_addc(out, ',');
}

// Of the card that has the prices, with the discount on them; all null where there is none.
static void add_card(struct buf *out, const struct price_hit *hit)
{
    static const struct fields fields = {.bits = CARD_FIELDS};
    struct render r = {RENDER_JSON, price_field_infos, &fields, .out = out};
    struct price_row row = {0};
    struct buf aliases = {0};
    if (hit->card)
        price_row_of(&(struct price_entry){hit->card, &hit->card->lines[0]}, &aliases, &row);
    if (hit->discount)
        row.discount_percent = (double)hit->discount->discount_ppm / PER_PERCENT;
    render_members(&r, &row, hit->card ? CARD_FIELDS : 0);
    buf_free(&aliases);
    if (hit->discount)
        buf_addf(out, ",\"discount_version\":%lld,", (long long)hit->discount->version);
    else
        buf_adds(out, ",\"discount_version\":null,");
    add_text(out, "discount_model",
             hit->discount ? str_of(hit->discount->model) : (struct str){NULL, 0});
}

static void add_paid(struct buf *out, const struct price_hit *hit)
{
    static const struct fields fields = {.bits = PAID_FIELDS};
    struct render r = {RENDER_JSON, price_field_infos, &fields, .out = out};
    struct price_row row;
    buf_adds(out, "\"prices\":[");
    for (size_t i = 0; hit->card && i < hit->card->line_count; i++) {
        price_row_paid(hit, &hit->card->lines[i], &row);
        render_row(&r, &row, NULL, NULL);
    }
    buf_addc(out, ']');
}

void price_book_resolve(const struct price_book *b, const struct price_asked *asked,
                        struct buf *out)
{
    struct str tenant = asked->tenant.p ? asked->tenant : STR_LIT("");
    struct price_hit hit = catalogue_resolve(b->catalogue, asked->version, asked->at_us, tenant,
                                             asked->name, asked->asked);
    buf_addc(out, '{');
    add_text(out, "name", asked->name);
    add_text(out, "asked", asked->asked);
    add_text(out, "step", str_of(price_step_name(hit.step)));
    buf_addf(out, "\"by_asked\":%s,", hit.by_asked ? "true" : "false");
    add_card(out, &hit);
    add_paid(out, &hit);
}
