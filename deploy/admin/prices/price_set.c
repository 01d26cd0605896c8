// SPDX-License-Identifier: Apache-2.0
// price check and price set: from a file or words to a version of the catalogue.
#include "deploy/admin/prices/price.h"

#include <inttypes.h>

#include "common/core/price_file.h"
#include "deploy/admin/prices/price_change.h"
#include "deploy/admin/prices/price_input.h"
#include "deploy/admin/prices/price_words.h"
#include "deploy/admin/prices/prices_pg.h"

// The text was made of words, so its lines mean nothing to who wrote them.
static void forget_line(struct err *e)
{
    char *at = e->detail;
    if (strncmp(at, "line ", 5) == 0 && (at = strstr(at, ": ")) != NULL)
        memmove(e->detail, at + 2, strlen(at + 2) + 1);
}

// ---- what changes ----

struct cards {
    struct price_card *card;
    size_t count;
};

static void cards_free(struct cards *c)
{
    for (size_t i = 0; i < c->count; i++)
        price_card_clear(&c->card[i]);
    free(c->card);
    *c = (struct cards){0};
}

// Leaves only the cards that change something, in *out a line for each.
static int settle(const struct catalogue *known, int64_t now_us, bool now, struct cards *c,
                  struct buf *out, struct err *e)
{
    size_t kept = 0, all = c->count;
    for (size_t i = 0; i < all; i++) {
        if (!now && price_change_check_time(known, &c->card[i], now_us, e) < 0)
            return -1;
        if (price_change_is_none(known, &c->card[i]))
            continue;
        price_change_describe(known, &c->card[i], out);
        struct price_card card = c->card[i];
        c->card[i] = c->card[kept];
        c->card[kept++] = card;
    }
    buf_addf(out, "%zu of %zu card%s change something\n", kept, all, all == 1 ? "" : "s");
    for (; c->count > kept; c->count--)
        price_card_clear(&c->card[c->count - 1]);
    return 0;
}

static int parse(struct str text, const struct catalogue *known, const struct args *a,
                 struct cards *out, struct err *e)
{
    enum price_file_slips slips =
        args_get(a, "force") ? PRICE_FILE_TAKE_SLIPS : PRICE_FILE_REFUSE_SLIPS;
    return price_file_parse(text, known, slips, &out->card, &out->count, e) < 0 ? -1 : 0;
}

static void print(const struct buf *b)
{
    fwrite(b->p, 1, b->n, stdout);
}

// ---- check ----

// The catalogue, or an empty one where there is none to be had.
static int known_prices(const struct config *c, struct prices **p, struct err *e)
{
    *p = prices_open(c, e);
    if (*p && prices_read(*p, e) == 0)
        return 0;
    prices_close(*p);
    *p = NULL;
    fprintf(stderr, "not compared with the catalogue: %s: %s\n", e->field, e->detail);
    return 0;
}

int price_check(const struct config *c, const struct args *a, struct err *e)
{
    struct buf text = {0}, out = {0};
    struct cards cards = {0};
    struct prices *p = NULL;
    int rc = price_input_read(a->words[0], &text, e);
    if (rc == 0)
        rc = known_prices(c, &p, e);
    struct catalogue *none = catalogue_new();
    const struct catalogue *known = p ? prices_catalogue(p) : none;
    if (rc == 0)
        rc = parse((struct str){text.p, text.n}, known, a, &cards, e);
    if (rc == 0)
        rc = settle(known, p ? prices_now_us(p) : INT64_MIN, args_get(a, "now") != NULL, &cards,
                    &out, e);
    if (rc == 0)
        print(&out);
    catalogue_free(none);
    prices_close(p);
    cards_free(&cards);
    buf_free(&text);
    buf_free(&out);
    return rc;
}

// ---- set ----

static int add(struct prices *p, const struct args *a, const struct cards *cards,
               const struct buf *changes, struct err *e)
{
    struct buf note = {0};
    int64_t version;
    price_input_note(a, &note);
    struct prices_version head = {.origin = PRICES_SET, .note = note.p};
    int rc = prices_add(p, &head, cards->card, cards->count, &version, e);
    buf_free(&note);
    if (rc < 0)
        return rc;
    print(changes);
    printf("added as version %" PRId64 "\n", version);
    return 0;
}

// In the lock: what the words leave out, and what changes, is of the catalogue that is added to.
static int set(struct prices *p, const struct args *a, struct buf *text, struct err *e)
{
    bool by_words = a->word_count > 1, now = args_get(a, "now") != NULL;
    const struct catalogue *known = prices_catalogue(p);
    struct cards cards = {0};
    struct buf changes = {0};
    int rc = 0;
    if (by_words)
        rc = price_words_to_file(known, prices_now_us(p), now, a->words, a->word_count, text, e);
    if (rc == 0)
        rc = parse((struct str){text->p, text->n}, known, a, &cards, e);
    if (rc == -1 && by_words)
        forget_line(e);
    if (rc == 0)
        rc = settle(known, prices_now_us(p), now, &cards, &changes, e);
    if (rc == 0 && cards.count > 0)
        rc = add(p, a, &cards, &changes, e);
    else if (rc == 0)
        print(&changes);
    cards_free(&cards);
    buf_free(&changes);
    return rc;
}

int price_set(const struct config *c, const struct args *a, struct err *e)
{
    struct buf text = {0};
    // Read before the lock is taken: standard input may take its time.
    int rc = a->word_count == 1 ? price_input_read(a->words[0], &text, e) : 0;
    struct prices *p = rc == 0 ? prices_open(c, e) : NULL;
    if (rc == 0 && !p)
        rc = -1;
    if (rc == 0)
        rc = prices_begin(p, e);
    if (rc == 0)
        rc = set(p, a, &text, e);
    prices_close(p);
    buf_free(&text);
    return rc;
}

void price_help_columns(FILE *to)
{
    fputs("\nColumns of a price file, and of price set MODEL, are\n    ", to);
    struct buf header = {0};
    price_file_write_header(&header);
    for (size_t i = 0; i < header.n; i++) {
        fputc(header.p[i], to);
        if (header.p[i] == ',')
            fputc(' ', to);
    }
    buf_free(&header);
    fputs("Token prices are USD per million tokens (unit=USD/Mtok; or USD/ktok, USD/tok), request "
          "is\n"
          "USD an answered request. price set MODEL begins with the model's present card; what is\n"
          "not given stays, and an empty value clears a cell:\n"
          "    streamlens-admin price set gpt-4o input=2.5 output=10\n"
          "    streamlens-admin price set gpt-4o tier=batch input=1.25 output=5\n"
          "    streamlens-admin price set gpt-4o tenant=acme discount_percent=10\n"
          "unit=none takes a card back: the tenant's model costs what it does everybody, "
          "everybody's\n"
          "has no price:\n"
          "    streamlens-admin price set gpt-4o tenant=acme unit=none\n",
          to);
}
