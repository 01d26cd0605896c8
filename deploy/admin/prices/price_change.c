// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/price_change.h"

#include "common/core/price_file.h"
#include "common/core/timeunit.h"

static const char *const class_names[] = {
#define CLASS_NAME(name) #name,
    PRICE_CLASSES(CLASS_NAME)
#undef CLASS_NAME
};

// ---- the cards of a model ----

const struct price_card *price_change_holding(const struct catalogue *c, const char *tenant,
                                              const char *model, int64_t at_us)
{
    return catalogue_in_force(c, INT64_MAX, at_us, str_of(tenant), str_of(model));
}

const struct price_card *price_change_newest(const struct catalogue *c, const char *tenant,
                                             const char *model)
{
    return price_change_holding(c, tenant, model, INT64_MAX);
}

bool price_change_is_same(const struct price_card *a, const struct price_card *b)
{
    struct buf text[2] = {{0}};
    price_file_write_card(&text[0], a);
    price_file_write_card(&text[1], b);
    bool same = str_eq((struct str){text[0].p, text[0].n}, (struct str){text[1].p, text[1].n});
    buf_free(&text[0]);
    buf_free(&text[1]);
    return same;
}

bool price_change_is_none(const struct catalogue *c, const struct price_card *card)
{
    const struct price_card *there =
        price_change_holding(c, card->tenant, card->model, card->effective_from_us);
    if (card->withdrawn && (!there || there->withdrawn))
        return true;
    return there && price_change_is_same(there, card);
}

// ---- when ----

int64_t price_change_earliest_us(int64_t now_us)
{
    return time_floor_us(now_us + 2 * US_PER_MIN - 1, US_PER_MIN);
}

int price_change_check_time(const struct catalogue *c, const struct price_card *card,
                            int64_t now_us, struct err *e)
{
    int64_t earliest_us = price_change_earliest_us(now_us);
    if (card->effective_from_us >= earliest_us ||
        !price_change_newest(c, card->tenant, card->model) || price_change_is_none(c, card))
        return 0;
    char earliest[TIME_RFC3339_MAX];
    time_format_rfc3339(earliest_us, earliest);
    return err_field(e, "effective_from", -1,
                     "of %.100s must be %s or later: processors take up a new price at their next "
                     "flush, and rows that are written keep the price they have; --now lets it "
                     "begin earlier for the rows that are not",
                     card->model, earliest);
}

// ---- for people ----

void price_add_usd(struct buf *out, enum price_class k, int64_t pusd)
{
    if (pusd == PRICE_NONE)
        buf_addc(out, '-');
    else
        money_add_decimal(out, money_times(pusd, k == PRICE_request ? 1 : 1000000));
}

void price_add_from(struct buf *out, int64_t effective_from_us)
{
    char text[TIME_RFC3339_MAX] = "ever";
    if (effective_from_us != INT64_MIN)
        time_format_rfc3339(effective_from_us, text);
    buf_adds(out, text);
}

static const struct price_line *line_of(const struct price_card *card, const char *tier,
                                        int64_t above)
{
    for (size_t i = 0; card && i < card->line_count; i++)
        if (strcmp(card->lines[i].tier, tier) == 0 && card->lines[i].above == above)
            return &card->lines[i];
    return NULL;
}

static void add_difference(struct buf *out, const struct price_line *before,
                           const struct price_line *line, const char **between)
{
    for (int k = 0; k < PRICE_CLASS_COUNT; k++) {
        int64_t was = before ? before->pusd[k] : PRICE_NONE;
        if (line->pusd[k] == was)
            continue;
        buf_adds(out, *between);
        *between = ", ";
        if (line->tier[0])
            buf_addf(out, "%s ", line->tier);
        if (line->above)
            buf_addf(out, "above %lld ", (long long)line->above);
        buf_addf(out, "%s ", class_names[k]);
        if (was != PRICE_NONE) {
            price_add_usd(out, (enum price_class)k, was);
            buf_adds(out, " -> ");
        }
        price_add_usd(out, (enum price_class)k, line->pusd[k]);
    }
}

void price_change_describe_prices(const struct price_card *before, const struct price_card *card,
                                  struct buf *out)
{
    const char *between = "";
    if (card->discount_ppm != PRICE_NONE &&
        (!before || before->discount_ppm != card->discount_ppm)) {
        buf_adds(out, "discount_percent ");
        money_add_decimal(out, money_times(card->discount_ppm, MONEY_PER_USD / 10000));
        between = ", ";
    }
    for (size_t i = 0; i < card->line_count; i++)
        add_difference(out, line_of(before, card->lines[i].tier, card->lines[i].above),
                       &card->lines[i], &between);
    for (size_t i = 0; before && i < before->line_count; i++) {
        const struct price_line *line = &before->lines[i];
        if (line_of(card, line->tier, line->above))
            continue;
        buf_addf(out, "%swithout the line", between);
        between = ", ";
        buf_addf(out, " %s above %lld", line->tier, (long long)line->above);
    }
}

void price_change_describe(const struct catalogue *c, const struct price_card *card,
                           struct buf *out)
{
    const struct price_card *newest = price_change_newest(c, card->tenant, card->model);
    buf_addf(out, "%s %s", card->withdrawn ? "withdrawn" : newest ? "changed" : "new", card->model);
    if (card->tenant[0])
        buf_addf(out, " of tenant %s", card->tenant);
    buf_adds(out, ", from ");
    price_add_from(out, card->effective_from_us);
    struct buf prices = {0};
    if (!card->withdrawn)
        price_change_describe_prices(
            price_change_holding(c, card->tenant, card->model, card->effective_from_us), card,
            &prices);
    buf_addf(out, "%s%.*s\n", prices.n ? ": " : "", (int)prices.n, prices.n ? prices.p : "");
    buf_free(&prices);
    if (newest && newest->effective_from_us > card->effective_from_us) {
        buf_addf(out, "  note: version %lld has a card of it from ", (long long)newest->version);
        price_add_from(out, newest->effective_from_us);
        buf_adds(out, ", which holds from then on as it is\n");
    }
}
