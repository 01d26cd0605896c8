// SPDX-License-Identifier: Apache-2.0
// price list, show and resolve: the catalogue as people and programs read it.
#include "deploy/admin/prices/price.h"

#include <inttypes.h>

#include "common/core/event.h"
#include "common/core/price_file.h"
#include "common/core/price_name.h"
#include "common/core/timeunit.h"
#include "deploy/admin/prices/price_change.h"
#include "deploy/admin/prices/prices_pg.h"
#include "deploy/admin/table.h"

static const char *const class_names[] = {
#define CLASS_NAME(name) #name,
    PRICE_CLASSES(CLASS_NAME)
#undef CLASS_NAME
};

// ---- options ----

static int open_catalogue(const struct config *c, struct prices **p, struct err *e)
{
    *p = prices_open(c, e);
    return *p && prices_read(*p, e) == 0 ? 0 : -1;
}

static int read_tenant(const struct args *a, struct str *out, struct err *e)
{
    *out = args_str(a, "tenant", "");
    if (!args_get(a, "tenant") || event_check_name("--tenant", *out, e) == 0)
        return 0;
    return ARGS_WRONG;
}

static int check_name(const char *what, struct str name, struct err *e)
{
    return event_check_name(what, name, e) < 0 ? ARGS_WRONG : 0;
}

static void print(struct buf *out)
{
    fwrite(out->p, 1, out->n, stdout);
    buf_free(out);
}

// ---- parts of the output ----

static bool bears(const struct price_card *card, struct str name)
{
    bool bears_it = strlen(card->model) == name.n && strncasecmp(card->model, name.p, name.n) == 0;
    for (size_t i = 0; i < card->alias_count; i++)
        bears_it = bears_it || (strlen(card->aliases[i]) == name.n &&
                                strncasecmp(card->aliases[i], name.p, name.n) == 0);
    return bears_it;
}

static void add_title(struct table *t, const char *class_name)
{
    char title[32];
    size_t i = 0;
    for (; class_name[i] && i + 1 < sizeof(title); i++)
        title[i] =
            class_name[i] == '_'
                ? ' '
                : (char)(class_name[i] - ('a' <= class_name[i] && class_name[i] <= 'z' ? 32 : 0));
    title[i] = '\0';
    table_add(t, title);
}

static void add_usd_cell(struct table *t, enum price_class k, int64_t pusd)
{
    struct buf b = {0};
    price_add_usd(&b, k, pusd);
    table_addf(t, "%.*s", (int)b.n, b.p);
    buf_free(&b);
}

static void add_from_cell(struct table *t, int64_t from_us)
{
    struct buf b = {0};
    price_add_from(&b, from_us);
    table_addf(t, "%.*s", (int)b.n, b.p);
    buf_free(&b);
}

// "12.5", of a discount card.
static void add_percent(struct buf *out, int64_t ppm)
{
    money_add_decimal(out, money_times(ppm, MONEY_PER_USD / 10000));
}

// Every price of the lines that hold, after fall-back and discount.
static void add_prices_table(struct buf *out, const struct price_hit *hit)
{
    struct table t = {.columns = 2 + PRICE_CLASS_COUNT};
    table_add(&t, "  TIER");
    table_add(&t, "ABOVE");
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        add_title(&t, class_names[k]);
    for (size_t i = 0; i < hit->card->line_count; i++) {
        const struct price_line *line = &hit->card->lines[i];
        table_addf(&t, "  %s", line->tier[0] ? line->tier : "standard");
        table_addf(&t, "%" PRId64, line->above);
        for (int k = 0; k < PRICE_CLASS_COUNT; k++)
            add_usd_cell(&t, (enum price_class)k, price_of(hit, line, (enum price_class)k));
    }
    table_render(&t, out);
}

static void add_json_text(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_json_str(out, str_of(value));
}

static void add_prices_json(struct buf *out, const struct price_hit *hit)
{
    buf_adds(out, ",\"unit\":\"USD/Mtok\",\"prices\":[");
    for (size_t i = 0; hit->card && i < hit->card->line_count; i++) {
        const struct price_line *line = &hit->card->lines[i];
        buf_adds(out, i ? ",{\"tier\":" : "{\"tier\":");
        buf_add_json_str(out, str_of(line->tier));
        buf_addf(out, ",\"above_tokens\":%" PRId64, line->above);
        for (int k = 0; k < PRICE_CLASS_COUNT; k++) {
            buf_addf(out, ",\"%s\":\"", class_names[k]);
            price_add_usd(out, (enum price_class)k, price_of(hit, line, (enum price_class)k));
            buf_addc(out, '"');
        }
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

// What a card amounts to at an instant: a discount card lowers what everybody pays then, and one
// that is withdrawn has no price.
static struct price_hit hit_of(const struct catalogue *c, const struct price_card *card,
                               int64_t at_us)
{
    if (card->withdrawn)
        return (struct price_hit){.step = PRICE_UNPRICED};
    if (card->discount_ppm == PRICE_NONE)
        return (struct price_hit){.card = card, .step = PRICE_EXACT};
    struct price_hit base = catalogue_resolve(c, INT64_MAX, at_us, (struct str){0},
                                              str_of(card->model), (struct str){0});
    bool priced = base.card && base.step != PRICE_GUESSED;
    return (struct price_hit){
        .card = priced ? base.card : NULL, .discount = card, .step = base.step};
}

// "now", "to come", or "past": replaced by another card before it began, or since.
static const char *state_of(const struct catalogue *c, const struct price_card *card,
                            int64_t now_us)
{
    int64_t at_us = max_i64(now_us, card->effective_from_us);
    struct str tenant = str_of(card->tenant), model = str_of(card->model);
    const struct price_card *holding = card->withdrawn
                                           ? catalogue_in_force(c, INT64_MAX, at_us, tenant, model)
                                           : catalogue_card(c, INT64_MAX, at_us, tenant, model);
    return holding != card ? "past" : at_us > now_us ? "to come" : "now";
}

static const char *origin_of(const struct prices *p, const struct price_card *card)
{
    return prices_origin_name(prices_origin_of(p, card));
}

static void add_card_json(struct buf *out, const struct prices *p, const struct price_card *card)
{
    const struct catalogue *c = prices_catalogue(p);
    int64_t now_us = prices_now_us(p);
    buf_addf(out, "{\"version\":%" PRId64, card->version);
    add_json_text(out, "origin", origin_of(p, card));
    add_json_text(out, "state", state_of(c, card, now_us));
    add_json_text(out, "tenant", card->tenant);
    add_json_text(out, "provider", card->provider);
    add_json_text(out, "model", card->model);
    buf_adds(out, ",\"aliases\":[");
    for (size_t i = 0; i < card->alias_count; i++) {
        buf_adds(out, i ? "," : "");
        buf_add_json_str(out, str_of(card->aliases[i]));
    }
    char from[TIME_RFC3339_MAX];
    if (card->effective_from_us == INT64_MIN) {
        buf_adds(out, "],\"effective_from\":null");
    } else {
        time_format_rfc3339(card->effective_from_us, from);
        buf_addf(out, "],\"effective_from\":\"%s\"", from);
    }
    buf_addf(out, ",\"withdrawn\":%s", card->withdrawn ? "true" : "false");
    buf_adds(out, ",\"discount_percent\":");
    if (card->discount_ppm == PRICE_NONE) {
        buf_adds(out, "null");
    } else {
        buf_addc(out, '"');
        add_percent(out, card->discount_ppm);
        buf_addc(out, '"');
    }
    add_json_text(out, "source", card->source);
    add_json_text(out, "as_of", card->as_of);
    struct price_hit hit = hit_of(c, card, max_i64(now_us, card->effective_from_us));
    add_prices_json(out, &hit);
    buf_addc(out, '}');
}

// ---- cards in order ----

static int by_tenant_and_model(const void *a, const void *b)
{
    const struct price_card *x = *(const struct price_card *const *)a;
    const struct price_card *y = *(const struct price_card *const *)b;
    int order = strcmp(x->tenant, y->tenant);
    if (order == 0)
        order = strcmp(x->model, y->model);
    if (order == 0)
        order = (x->effective_from_us > y->effective_from_us) -
                (x->effective_from_us < y->effective_from_us);
    return order ? order : (x->version > y->version) - (x->version < y->version);
}

typedef bool card_filter(const struct prices *p, const struct price_card *card, const char *tenant,
                         struct str name);

// The cards that pass, ordered. The caller frees the array.
static const struct price_card **select_cards(const struct prices *p, card_filter *passes,
                                              const char *tenant, struct str name, size_t *count)
{
    const struct catalogue *c = prices_catalogue(p);
    const struct price_card **out = xcalloc(catalogue_count(c) + 1, sizeof(*out));
    *count = 0;
    for (size_t i = 0; i < catalogue_count(c); i++)
        if (passes(p, catalogue_at(c, i), tenant, name))
            out[(*count)++] = catalogue_at(c, i);
    qsort(out, *count, sizeof(*out), by_tenant_and_model);
    return out;
}

// ---- list ----

static bool holds_now(const struct prices *p, const struct price_card *card, const char *tenant,
                      struct str name)
{
    (void)name;
    return (!tenant || strcmp(card->tenant, tenant) == 0) &&
           catalogue_card(prices_catalogue(p), INT64_MAX, prices_now_us(p), str_of(card->tenant),
                          str_of(card->model)) == card;
}

static void add_remark(struct table *t, const struct price_card *card)
{
    struct buf b = {0};
    if (card->discount_ppm != PRICE_NONE) {
        add_percent(&b, card->discount_ppm);
        buf_adds(&b, " % off");
    }
    if (card->line_count > 1)
        buf_addf(&b, "%s+%zu line%s", b.n ? ", " : "", card->line_count - 1,
                 card->line_count == 2 ? "" : "s");
    if (card->lines[0].pusd[PRICE_request] > 0) {
        buf_adds(&b, b.n ? ", " : "");
        price_add_usd(&b, PRICE_request, card->lines[0].pusd[PRICE_request]);
        buf_adds(&b, " a request");
    }
    table_addf(t, "%.*s", (int)b.n, b.n ? b.p : "");
    buf_free(&b);
}

static void list_table(const struct prices *p, const struct price_card **cards, size_t count,
                       struct buf *out)
{
    static const char *const titles[] = {"MODEL",  "TENANT", "INPUT",   "CACHED", "OUTPUT",
                                         "BESIDE", "FROM",   "VERSION", "ORIGIN", "AS OF"};
    static const enum price_class shown[] = {PRICE_input, PRICE_cached_input, PRICE_output};
    struct table t = {.columns = ARRAY_LEN(titles)};
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        table_add(&t, titles[i]);
    for (size_t i = 0; i < count; i++) {
        const struct price_card *card = cards[i];
        struct price_hit hit = hit_of(prices_catalogue(p), card, prices_now_us(p));
        table_add(&t, card->model);
        table_add(&t, card->tenant[0] ? card->tenant : "-");
        for (size_t k = 0; k < ARRAY_LEN(shown); k++)
            add_usd_cell(&t, shown[k],
                         hit.card ? price_of(&hit, &hit.card->lines[0], shown[k]) : PRICE_NONE);
        add_remark(&t, card);
        add_from_cell(&t, card->effective_from_us);
        table_addf(&t, "%" PRId64, card->version);
        table_add(&t, origin_of(p, card));
        table_add(&t, card->as_of[0] ? card->as_of : "-");
    }
    table_render(&t, out);
    buf_addf(out, "%zu cards hold now; catalogue version %" PRId64 "; USD per million tokens\n",
             count, catalogue_version(prices_catalogue(p)));
}

int price_list(const struct config *c, const struct args *a, struct err *e)
{
    struct prices *p = NULL;
    struct str tenant;
    int rc = read_tenant(a, &tenant, e);
    if (rc == 0)
        rc = open_catalogue(c, &p, e);
    if (rc == 0) {
        struct buf out = {0};
        size_t count;
        const struct price_card **cards =
            select_cards(p, holds_now, args_get(a, "tenant"), (struct str){0}, &count);
        if (args_get(a, "csv")) {
            price_file_write_header(&out);
            for (size_t i = 0; i < count; i++)
                price_file_write_card(&out, cards[i]);
        } else if (args_get(a, "json")) {
            buf_adds(&out, "[");
            for (size_t i = 0; i < count; i++) {
                buf_adds(&out, i ? ",\n" : "\n");
                add_card_json(&out, p, cards[i]);
            }
            buf_adds(&out, "\n]\n");
        } else {
            list_table(p, cards, count, &out);
        }
        free(cards);
        print(&out);
    }
    prices_close(p);
    return rc;
}

// ---- show ----

// Everybody's, and the tenant's where one is given.
static bool is_shown(const struct prices *p, const struct price_card *card, const char *tenant,
                     struct str name)
{
    (void)p;
    return (card->tenant[0] == '\0' || strcmp(card->tenant, tenant) == 0) && bears(card, name);
}

static void show_card(const struct prices *p, const struct price_card *card, struct buf *out)
{
    const struct catalogue *c = prices_catalogue(p);
    int64_t now_us = prices_now_us(p);
    buf_addf(out, "%s  ", card->model);
    if (card->tenant[0])
        buf_addf(out, "tenant %s  ", card->tenant);
    buf_adds(out, "from ");
    price_add_from(out, card->effective_from_us);
    buf_addf(out, "  version %" PRId64 " (%s)  %s\n", card->version, origin_of(p, card),
             state_of(c, card, now_us));
    if (card->provider[0])
        buf_addf(out, "  provider %s\n", card->provider);
    if (card->alias_count > 0)
        buf_adds(out, "  also");
    for (size_t i = 0; i < card->alias_count; i++)
        buf_addf(out, " %s", card->aliases[i]);
    buf_adds(out, card->alias_count > 0 ? "\n" : "");
    if (card->source[0] || card->as_of[0])
        buf_addf(out, "  source %s%s%s\n", card->source, card->as_of[0] ? ", as of " : "",
                 card->as_of);
    if (card->discount_ppm != PRICE_NONE) {
        buf_adds(out, "  discount ");
        add_percent(out, card->discount_ppm);
        buf_adds(out, " %\n");
    }
    if (card->withdrawn)
        buf_adds(out, "  withdrawn: no price by this card\n");
    struct price_hit hit = hit_of(c, card, max_i64(now_us, card->effective_from_us));
    if (hit.card)
        add_prices_table(out, &hit);
}

int price_show(const struct config *c, const struct args *a, struct err *e)
{
    struct prices *p = NULL;
    struct str tenant, name = str_of(a->words[0]);
    int rc = read_tenant(a, &tenant, e);
    if (rc == 0)
        rc = check_name("NAME", name, e);
    if (rc == 0)
        rc = open_catalogue(c, &p, e);
    size_t count = 0;
    const struct price_card **cards = NULL;
    if (rc == 0) {
        cards = select_cards(p, is_shown, tenant.p, name, &count);
        if (count == 0)
            rc = err_set(e,
                         "no card has the name %.100s; streamlens-admin price resolve tells "
                         "what it is priced as",
                         name.p);
    }
    if (rc == 0) {
        struct buf out = {0};
        bool json = args_get(a, "json") != NULL;
        buf_adds(&out, json ? "[" : "");
        for (size_t i = 0; i < count; i++) {
            buf_adds(&out, json ? (i ? ",\n" : "\n") : "");
            if (json)
                add_card_json(&out, p, cards[i]);
            else
                show_card(p, cards[i], &out);
        }
        buf_adds(&out, json ? "\n]\n" : "USD per million tokens\n");
        print(&out);
    }
    free(cards);
    prices_close(p);
    return rc;
}

// ---- resolve ----

struct question {
    struct str model, asked, tenant;
    int64_t at_us;
};

static enum price_step step_of_form(const struct price_name_forms *f, size_t i)
{
    return i < f->without_prefix   ? PRICE_EXACT
           : i < f->without_suffix ? PRICE_WITHOUT_PREFIX
                                   : PRICE_WITHOUT_SUFFIX;
}

// found: the card that one of the forms is a name of, where it is of this name; else NULL.
static void add_forms(struct buf *out, bool json, struct str name, const struct price_card *found)
{
    struct price_name_forms f;
    price_name_forms(name, &f);
    for (size_t i = 0; i < f.n; i++) {
        const char *step = price_step_name(step_of_form(&f, i));
        if (json) {
            buf_addf(out, "%s{\"step\":\"%s\",\"name\":", i ? "," : "", step);
            buf_add_json_str(out, f.form[i]);
            buf_addc(out, '}');
        } else {
            buf_addf(out, "  %-7s %.*s", step, (int)f.form[i].n, f.form[i].p);
            bool is_it = found && bears(found, f.form[i]);
            buf_adds(out, is_it ? "  <- found\n" : "\n");
            found = is_it ? NULL : found;
        }
    }
}

static void resolve_text(const struct prices *p, const struct question *q,
                         const struct price_hit *hit, struct buf *out)
{
    char at[TIME_RFC3339_MAX];
    time_format_rfc3339(q->at_us, at);
    struct str found = hit->by_asked ? q->asked : q->model;
    if (!hit->card)
        buf_addf(out, "%.*s is unpriced", (int)q->model.n, q->model.p);
    else
        buf_addf(out, "%.*s is priced as %s (%s)", (int)found.n, found.p, hit->card->model,
                 price_step_name(hit->step));
    buf_addf(out, ", version %" PRId64 " at %s\n", catalogue_version(prices_catalogue(p)), at);
    if (hit->by_asked)
        buf_addf(out, "by the model asked for: %.*s has no price\n", (int)q->model.n, q->model.p);
    if (hit->card && hit->card->tenant[0])
        buf_addf(out, "by a card of tenant %s\n", hit->card->tenant);
    if (hit->discount) {
        buf_adds(out, "less ");
        add_percent(out, hit->discount->discount_ppm);
        buf_addf(out, " %% for tenant %s\n", hit->discount->tenant);
    }
    if (hit->card)
        add_prices_table(out, hit);
    buf_adds(out, "names, in the order of trying:\n");
    add_forms(out, false, q->model, hit->by_asked ? NULL : hit->card);
    if (q->asked.n > 0)
        buf_adds(out, "names of the model asked for:\n");
    if (q->asked.n > 0)
        add_forms(out, false, q->asked, hit->by_asked ? hit->card : NULL);
}

static void resolve_json(const struct prices *p, const struct question *q,
                         const struct price_hit *hit, struct buf *out)
{
    char at[TIME_RFC3339_MAX];
    time_format_rfc3339(q->at_us, at);
    buf_addf(out, "{\"version\":%" PRId64 ",\"at\":\"%s\",\"step\":\"%s\",\"model\":",
             catalogue_version(prices_catalogue(p)), at, price_step_name(hit->step));
    if (hit->card)
        buf_add_json_str(out, str_of(hit->card->model));
    else
        buf_adds(out, "null");
    buf_addf(out, ",\"by_asked\":%s", hit->by_asked ? "true" : "false");
    buf_adds(out, ",\"tenant\":");
    const struct price_card *own = hit->discount ? hit->discount : hit->card;
    buf_add_json_str(out, str_of(own ? own->tenant : ""));
    buf_adds(out, ",\"discount_percent\":");
    if (hit->discount) {
        buf_addc(out, '"');
        add_percent(out, hit->discount->discount_ppm);
        buf_addc(out, '"');
    } else {
        buf_adds(out, "null");
    }
    add_prices_json(out, hit);
    buf_adds(out, ",\"tried\":[");
    add_forms(out, true, q->model, NULL);
    buf_adds(out, "],\"tried_asked\":[");
    if (q->asked.n > 0)
        add_forms(out, true, q->asked, NULL);
    buf_adds(out, "]}\n");
}

int price_resolve(const struct config *c, const struct args *a, struct err *e)
{
    struct prices *p = NULL;
    struct question q = {.model = str_of(a->words[0]), .asked = args_str(a, "asked", "")};
    struct str at = args_str(a, "at", NULL);
    int rc = read_tenant(a, &q.tenant, e);
    if (rc == 0)
        rc = check_name("NAME", q.model, e);
    if (rc == 0 && args_get(a, "asked"))
        rc = check_name("--asked", q.asked, e);
    if (rc == 0 && at.p && time_parse_rfc3339(at, &q.at_us) < 0) {
        err_field(e, "--at", -1, "is \"%.60s\"; want an instant such as 2027-01-31T00:00:00Z",
                  at.p);
        rc = ARGS_WRONG;
    }
    if (rc == 0)
        rc = open_catalogue(c, &p, e);
    if (rc == 0) {
        struct buf out = {0};
        // As of the minute, which is what rows are priced by.
        q.at_us = time_floor_us(at.p ? q.at_us : prices_now_us(p), US_PER_MIN);
        struct price_hit hit =
            catalogue_resolve(prices_catalogue(p), INT64_MAX, q.at_us, q.tenant, q.model, q.asked);
        if (args_get(a, "json"))
            resolve_json(p, &q, &hit, &out);
        else
            resolve_text(p, &q, &hit, &out);
        print(&out);
    }
    prices_close(p);
    return rc;
}
