// SPDX-License-Identifier: Apache-2.0
// The input as a price file. What is refused says why and where. What is accepted holds price.h's
// rules, is found by each of its names, or by none where it is withdrawn, is accepted again beside
// itself, and is the same cards once written and read.
#include "tests/fuzz/fuzz.h"

#include "common/core/price_file.h"

struct cards {
    struct price_card *v;
    size_t n;
};

static void cards_clear(struct cards *c)
{
    for (size_t i = 0; i < c->n; i++)
        price_card_clear(&c->v[i]);
    free(c->v);
}

static void check_same_card(const struct price_card *a, const struct price_card *b)
{
    FUZZ_CHECK(strcmp(a->tenant, b->tenant) == 0 && strcmp(a->provider, b->provider) == 0);
    FUZZ_CHECK(strcmp(a->model, b->model) == 0 && strcmp(a->source, b->source) == 0);
    FUZZ_CHECK(strcmp(a->as_of, b->as_of) == 0 && a->discount_ppm == b->discount_ppm);
    FUZZ_CHECK(a->effective_from_us == b->effective_from_us && a->version == b->version);
    FUZZ_CHECK(a->withdrawn == b->withdrawn);
    FUZZ_CHECK(a->alias_count == b->alias_count && a->line_count == b->line_count);
    for (size_t i = 0; i < a->alias_count; i++)
        FUZZ_CHECK(strcmp(a->aliases[i], b->aliases[i]) == 0);
    for (size_t i = 0; i < a->line_count; i++) {
        const struct price_line *x = &a->lines[i], *y = &b->lines[i];
        FUZZ_CHECK(strcmp(x->tier, y->tier) == 0 && x->above == y->above);
        FUZZ_CHECK(memcmp(x->pusd, y->pusd, sizeof(x->pusd)) == 0);
    }
}

static void check_same(const struct cards *a, const struct cards *b)
{
    FUZZ_CHECK(a->n == b->n);
    for (size_t i = 0; i < a->n; i++)
        check_same_card(&a->v[i], &b->v[i]);
}

static void check_prices(const struct price_card *card)
{
    struct price_hit hit = {.card = card};
    for (size_t i = 0; i < card->line_count; i++) {
        const struct price_line *line = &card->lines[i];
        FUZZ_CHECK(price_line_for(card, str_of(line->tier), line->above) == line);
        for (int k = 0; k < PRICE_CLASS_COUNT; k++) {
            int64_t price = price_of(&hit, line, (enum price_class)k);
            FUZZ_CHECK(price >= 0 && price <= PRICE_FILE_REQUEST_MOST);
            FUZZ_CHECK(k == PRICE_request || price <= PRICE_FILE_MOST);
        }
    }
}

static struct catalogue *catalogue_of(const struct cards *cards)
{
    struct catalogue *c = catalogue_new();
    for (size_t i = 0; i < cards->n; i++) {
        struct price_card copy;
        price_card_copy(&copy, &cards->v[i]);
        copy.version = 1;
        catalogue_add(c, &copy);
    }
    return c;
}

static void check_found(const struct catalogue *c)
{
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct price_card *card = catalogue_at(c, i);
        FUZZ_CHECK(catalogue_in_force(c, 1, card->effective_from_us, str_of(card->tenant),
                                      str_of(card->model)) == card);
        for (size_t k = 0; k <= card->alias_count; k++) {
            const char *name = k < card->alias_count ? card->aliases[k] : card->model;
            const struct price_card *found =
                catalogue_card(c, 1, card->effective_from_us, str_of(card->tenant), str_of(name));
            FUZZ_CHECK((found == card) == !card->withdrawn && !(found && found->withdrawn));
        }
    }
}

static void check_written(const struct cards *cards)
{
    struct buf text = {0};
    struct cards again;
    struct err e;
    price_file_write_header(&text);
    for (size_t i = 0; i < cards->n; i++)
        price_file_write_card(&text, &cards->v[i]);
    FUZZ_CHECK(price_file_parse((struct str){text.p, text.n}, NULL, PRICE_FILE_REFUSE_SLIPS,
                                &again.v, &again.n, &e) == 0);
    check_same(cards, &again);
    cards_clear(&again);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct cards cards, again;
    struct err e = {0};
    if (price_file_parse(text, NULL, PRICE_FILE_REFUSE_SLIPS, &cards.v, &cards.n, &e) != 0) {
        FUZZ_CHECK(strncmp(e.detail, "line ", 5) == 0 && strlen(e.detail) > 12);
        return 0;
    }
    for (size_t i = 0; i < cards.n; i++) {
        FUZZ_CHECK(price_card_check(&cards.v[i], &e) == 0);
        check_prices(&cards.v[i]);
    }
    struct catalogue *c = catalogue_of(&cards);
    check_found(c);
    check_written(&cards);
    FUZZ_CHECK(price_file_parse(text, c, PRICE_FILE_REFUSE_SLIPS, &again.v, &again.n, &e) == 0);
    check_same(&cards, &again);
    catalogue_free(c);
    cards_clear(&again);
    cards_clear(&cards);
    return 0;
}
