// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/prices_default.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "common/core/hash.h"
#include "common/core/price_file.h"
#include "common/core/timeunit.h"
#include "deploy/admin/prices/price_change.h"
#include "deploy/admin/prices/prices_pg.h"

// ---- the catalogue that comes along ----

static bool is_of_operator(const struct prices *p, const struct price_card *card)
{
    return card->tenant[0] == '\0' && prices_origin_of(p, card) != PRICES_DEFAULT;
}

static const char *name_at(const struct price_card *card, size_t i)
{
    return i == 0 ? card->model : card->aliases[i - 1];
}

// The first of a's names that b has too, or NULL.
static const char *shared_name(const struct price_card *a, const struct price_card *b)
{
    for (size_t i = 0; i <= a->alias_count; i++)
        for (size_t k = 0; k <= b->alias_count; k++)
            if (strcasecmp(name_at(a, i), name_at(b, k)) == 0)
                return name_at(a, i);
    return NULL;
}

// Whether an operator has set or imported the model, or a model with one of its names, at any time;
// says so.
static bool was_set(const struct prices *p, const struct price_card *card)
{
    const struct catalogue *c = prices_catalogue(p);
    const struct price_card *other = NULL;
    bool same_model = false;
    for (size_t i = 0; i < catalogue_count(c) && !same_model; i++) {
        const struct price_card *set = catalogue_at(c, i);
        if (!is_of_operator(p, set) || !shared_name(card, set))
            continue;
        same_model = strcasecmp(set->model, card->model) == 0;
        other = set;
    }
    if (same_model)
        printf("prices: %s stays %s\n", card->model,
               price_change_newest(c, "", card->model)->withdrawn ? "withdrawn" : "as it was set");
    else if (other)
        printf("prices: %s is left out: it has the name %s, as %s that was set\n", card->model,
               shared_name(card, other), other->model);
    return other != NULL;
}

// Whether the last default card of the same model and beginning says the same.
static bool was_given(const struct prices *p, const struct price_card *card)
{
    const struct catalogue *c = prices_catalogue(p);
    const struct price_card *last = NULL;
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct price_card *other = catalogue_at(c, i);
        if (other->effective_from_us == card->effective_from_us &&
            strcasecmp(other->model, card->model) == 0 &&
            strcmp(other->tenant, card->tenant) == 0 &&
            prices_version(p, other->version)->origin == PRICES_DEFAULT &&
            (!last || other->version > last->version))
            last = other;
    }
    return last && price_change_is_same(last, card);
}

static bool was_loaded(const struct prices *p, const char *note)
{
    for (size_t i = 0; i < prices_version_count(p); i++)
        if (prices_version_at(p, i)->origin == PRICES_DEFAULT &&
            strcmp(prices_version_at(p, i)->note, note) == 0)
            return true;
    return false;
}

// The cards to be added come first; how many.
static size_t sort_out(const struct prices *p, struct price_card *cards, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (was_given(p, &cards[i]) || was_set(p, &cards[i]))
            continue;
        struct price_card card = cards[i];
        cards[i] = cards[kept];
        cards[kept++] = card;
    }
    return kept;
}

static int add_cards(struct prices *p, const char *note, struct price_card *cards, size_t count,
                     struct err *e)
{
    int64_t version;
    size_t kept = sort_out(p, cards, count);
    if (kept == 0) {
        printf("prices: found version %" PRId64 "\n", catalogue_version(prices_catalogue(p)));
        return 0;
    }
    size_t there = catalogue_count(prices_catalogue(p));
    if (there + kept > CATALOGUE_CARDS_MAX) {
        printf("prices: no room for %zu cards of the default catalogue: %zu of %d are taken\n",
               kept, there, CATALOGUE_CARDS_MAX);
        return 0;
    }
    if (prices_add(p, &(struct prices_version){.origin = PRICES_DEFAULT, .note = note}, cards, kept,
                   &version, e) < 0)
        return -1;
    printf("prices: %zu cards of the default catalogue added as version %" PRId64 "\n", kept,
           version);
    return 0;
}

static int load_catalogue(struct prices *p, struct err *e)
{
    struct price_card *cards = NULL;
    size_t count;
    struct str text = str_of(prices_default_csv);
    char note[64];
    snprintf(note, sizeof(note), "catalogue.csv %016" PRIx64, hash_stable64(text.p, text.n));
    if (was_loaded(p, note)) {
        printf("prices: found version %" PRId64 "\n", catalogue_version(prices_catalogue(p)));
        return 0;
    }
    if (price_file_parse(text, NULL, PRICE_FILE_REFUSE_SLIPS, &cards, &count, e) < 0)
        return -1;
    int rc = add_cards(p, note, cards, count, e);
    for (size_t i = 0; i < count; i++)
        price_card_clear(&cards[i]);
    free(cards);
    return rc;
}

// ---- PRICE_DEFAULT ----

// known: NULL where only the text is looked at.
static int parse_default(const char *text, const struct catalogue *known, int64_t from_us,
                         struct price_card **card, struct err *e)
{
    const char *slash = strchr(text, '/');
    if (!slash || strpbrk(text, ",\"\n")) {
        err_field(e, "PRICE_DEFAULT", -1,
                  "is \"%.60s\"; want input/output in USD per million tokens, such as 10/30", text);
        return -1;
    }
    struct buf file = {0};
    size_t count;
    struct err why;
    char from[TIME_RFC3339_MAX] = "";
    if (from_us != INT64_MIN)
        time_format_rfc3339(from_us, from);
    buf_addf(
        &file,
        "model,unit,input,output,effective_from,source\n%s,USD/Mtok,%.*s,%s,%s,PRICE_DEFAULT\n",
        PRICE_EVERY, (int)(slash - text), text, slash + 1, from);
    int rc = price_file_parse((struct str){file.p, file.n}, known, PRICE_FILE_REFUSE_SLIPS, card,
                              &count, &why);
    buf_free(&file);
    if (rc < 0) {
        const char *detail = strstr(why.detail, ": ");
        err_field(e, "PRICE_DEFAULT", -1, "is \"%.60s\": %s %s", text, why.field,
                  detail ? detail + 2 : why.detail);
        return -1;
    }
    assert(count == 1 && *card);
    return 0;
}

static void card_free(struct price_card *card)
{
    price_card_clear(card);
    free(card);
}

int prices_default_check(const struct config *c, struct err *e)
{
    struct price_card *card = NULL;
    if (c->price_default[0] == '\0')
        return 0;
    if (parse_default(c->price_default, NULL, INT64_MIN, &card, e) < 0)
        return -1;
    card_free(card);
    return 0;
}

static void print_default(const char *before, const struct price_card *card, const char *after)
{
    struct buf text = {0};
    price_add_usd(&text, PRICE_input, card->lines[0].pusd[PRICE_input]);
    buf_addc(&text, '/');
    price_add_usd(&text, PRICE_output, card->lines[0].pusd[PRICE_output]);
    buf_adds(&text, " USD per million tokens, from ");
    price_add_from(&text, card->effective_from_us);
    printf("prices: %s models without a price cost %.*s%s\n", before, (int)text.n, text.p, after);
    buf_free(&text);
}

static int set_default(struct prices *p, const struct price_card *there, struct price_card *card,
                       struct err *e)
{
    int64_t version;
    const int64_t *is = there ? there->lines[0].pusd : NULL, *wanted = card->lines[0].pusd;
    if (is && is[PRICE_input] == wanted[PRICE_input] && is[PRICE_output] == wanted[PRICE_output]) {
        print_default("found:", there, "");
        return 0;
    }
    struct prices_version head = {.origin = PRICES_SET, .note = "PRICE_DEFAULT"};
    if (prices_add(p, &head, card, 1, &version, e) < 0)
        return -1;
    print_default("set:", card, "");
    return 0;
}

static int load_default(const struct config *c, struct prices *p, struct err *e)
{
    const struct catalogue *known = prices_catalogue(p);
    // One that was there, or is to come, keeps the minutes of which rows may be written.
    int64_t from_us = price_change_newest(known, "", PRICE_EVERY)
                          ? price_change_earliest_us(prices_now_us(p))
                          : INT64_MIN;
    const struct price_card *there = price_change_holding(known, "", PRICE_EVERY, from_us);
    struct price_card *card = NULL;
    if (c->price_default[0] == '\0') {
        if (there && !there->withdrawn)
            print_default("found:", there,
                          "; streamlens-admin price set '*' unit=none takes that back");
        return 0;
    }
    if (parse_default(c->price_default, known, from_us, &card, e) < 0)
        return -1;
    int rc = set_default(p, there, card, e);
    card_free(card);
    return rc;
}

int prices_default_load(const struct config *c, struct err *e)
{
    struct prices *p = prices_open(c, e);
    int rc = p ? prices_begin(p, e) : -1;
    if (rc == 0)
        rc = load_catalogue(p, e);
    prices_close(p);
    if (rc < 0)
        return rc;
    p = prices_open(c, e);
    rc = p ? prices_begin(p, e) : -1;
    if (rc == 0)
        rc = load_default(c, p, e);
    prices_close(p);
    return rc;
}
