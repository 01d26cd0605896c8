// SPDX-License-Identifier: Apache-2.0
#include "common/core/price_file_check.h"

#include <stdio.h>
#include <strings.h>

static const char *const class_names[] = {
#define CLASS_NAME(name) #name,
    PRICE_CLASSES(CLASS_NAME)
#undef CLASS_NAME
};

int price_file_refuse(struct err *e, size_t line, const char *column, const char *detail)
{
    return err_field(e, column, -1, "line %zu: %s", line, detail);
}

// ---- slips of the unit ----

static int64_t price_at(const struct price_line *line, enum price_class k)
{
    const struct price_hit no_discount = {0};
    return price_of(&no_discount, line, k);
}

// How far a price may be from another: from least_num / least_den of it to `most` times it, or
// between the two. 0 compares with nothing.
struct ratio {
    int64_t least_num, least_den, most;
    bool between;
};

static bool is_within(int64_t price, int64_t other, struct ratio r)
{
    if (price == 0 || other == 0)
        return true;
    money low = money_times(price, r.least_den) - money_times(other, r.least_num);
    money high = money_times(other, r.most) - price;
    return r.between ? low > 0 && high > 0 : low >= 0 && high >= 0;
}

static int slip(struct err *e, enum price_class k, const char *wanted)
{
    return err_field(e, class_names[k], -1, "must be %s; is the unit right?", wanted);
}

static int check_bounds(const struct price_line *line, struct err *e)
{
    for (int k = 0; k < PRICE_request; k++)
        if (line->pusd[k] > PRICE_FILE_MOST ||
            (line->pusd[k] > 0 && line->pusd[k] < PRICE_FILE_LEAST))
            return slip(e, (enum price_class)k, "0 or from 0.001 to 2000 USD/Mtok");
    return line->pusd[PRICE_request] > PRICE_FILE_REQUEST_MOST
               ? slip(e, PRICE_request, "from 0 to 100 USD")
               : 0;
}

static int check_line(const struct price_line *line, struct err *e)
{
    static const struct {
        enum price_class k;
        struct ratio r;
        const char *wanted;
    } rules[] = {
        {PRICE_output, {1, 20, 200, false}, "from 1/20 to 200 times the input price"},
        {PRICE_cached_input,
         {1, 200, 1, false},
         "from 1/200 of the input price to all of it, or 0"},
        {PRICE_cache_write_5m, {1, 4, 10, false}, "from 1/4 to 10 times the input price, or 0"},
        {PRICE_cache_write_1h, {1, 4, 10, false}, "from 1/4 to 10 times the input price, or 0"},
    };
    int64_t input = price_at(line, PRICE_input);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        int64_t price = price_at(line, rules[i].k);
        bool above_nothing = rules[i].k == PRICE_cached_input && price > input;
        if (above_nothing || !is_within(price, input, rules[i].r))
            return slip(e, rules[i].k, rules[i].wanted);
    }
    return 0;
}

// The prices that the line gives, beside those of another.
static int check_beside(const struct price_line *line, const struct price_line *other,
                        struct ratio r, const char *wanted, struct err *e)
{
    for (int k = 0; k < PRICE_CLASS_COUNT; k++) {
        if (line->pusd[k] == PRICE_NONE)
            continue;
        if (!is_within(line->pusd[k], price_at(other, (enum price_class)k), r))
            return slip(e, (enum price_class)k, wanted);
    }
    return 0;
}

// The card by which the model is paid so far.
static const struct price_card *card_so_far(const struct price_card *card,
                                            const struct catalogue *known)
{
    const char *tenants[] = {card->tenant, ""};
    for (size_t i = 0; known && i < ARRAY_LEN(tenants); i++) {
        const struct price_card *so_far =
            catalogue_card(known, catalogue_version(known), card->effective_from_us,
                           str_of(tenants[i]), str_of(card->model));
        if (so_far && so_far->discount_ppm == PRICE_NONE)
            return so_far;
    }
    return NULL;
}

int price_file_check_slip(const struct price_card *card, const struct price_card *so_far,
                          size_t *line, struct err *e)
{
    static const struct ratio of_standard = {1, 20, 20, false};
    // Cents instead of dollars come to 100 times.
    static const struct ratio of_so_far = {1, 100, 100, true};
    if (card->withdrawn || card->discount_ppm != PRICE_NONE)
        return 0;
    for (*line = 0; *line < card->line_count; (*line)++) {
        const struct price_line *one = &card->lines[*line], *before = NULL;
        if (so_far)
            before = price_line_for(so_far, str_of(one->tier), one->above);
        if (check_bounds(one, e) != 0 || check_line(one, e) != 0 ||
            check_beside(one, &card->lines[0], of_standard,
                         "from 1/20 to 20 times the price of the standard line", e) != 0 ||
            (before && check_beside(one, before, of_so_far,
                                    "less than 100 times off the price so far", e) != 0))
            return -1;
    }
    return 0;
}

int price_file_check_slips(const struct price_file_card *c, const struct catalogue *known,
                           struct err *e)
{
    struct err wrong;
    size_t line;
    return price_file_check_slip(&c->card, card_so_far(&c->card, known), &line, &wrong) == 0
               ? 0
               : price_file_refuse(e, c->at[line], wrong.field, wrong.detail);
}

// ---- names ----

// The known cards, and behind them the file's as the next version: what will hold.
static struct catalogue *catalogue_with(const struct price_file_card *cards, size_t count,
                                        const struct catalogue *known)
{
    struct catalogue *c = catalogue_new();
    struct price_card copy;
    for (size_t i = 0; known && i < catalogue_count(known); i++) {
        price_card_copy(&copy, catalogue_at(known, i));
        catalogue_add(c, &copy);
    }
    catalogue_set_version(c, known ? catalogue_version(known) : 0);
    int64_t version = catalogue_version(c) + 1;
    for (size_t i = 0; i < count; i++) {
        price_card_copy(&copy, &cards[i].card);
        copy.version = version;
        catalogue_add(c, &copy);
    }
    return c;
}

// Which card of the file this one of the catalogue is; `count` for a known one.
static size_t index_in_file(const struct catalogue *c, const struct price_card *card, size_t count)
{
    size_t known = catalogue_count(c) - count, i = 0;
    while (i < count && catalogue_at(c, known + i) != card)
        i++;
    return i;
}

// The later of the two in the file is at fault.
static int refuse_name(const struct catalogue *c, const struct price_card *const bearers[2],
                       const struct price_file_card *cards, size_t count, const char *name,
                       struct err *e)
{
    size_t first = index_in_file(c, bearers[0], count);
    size_t second = index_in_file(c, bearers[1], count);
    bool swap = second < count && second > first;
    const struct price_card *other = bearers[!swap];
    const struct price_file_card *at = &cards[swap ? second : first];
    char detail[sizeof(e->detail)], where[40] = "which is known";
    if (second < count)
        snprintf(where, sizeof(where), "in line %zu", cards[swap ? first : second].first_at);
    snprintf(detail, sizeof(detail),
             "must be names of one model: \"%.100s\" is also one of \"%.100s\", %s", name,
             other->model, where);
    bool own = strcasecmp(at->card.model, name) == 0;
    return price_file_refuse(e, at->first_at, own ? "model" : "aliases", detail);
}

// At the minute of each card, since nothing changes in between. Two known cards are not this
// file's fault: a file's card is always the newer bearer.
static int check_card_names(const struct catalogue *c, const struct price_card *card,
                            const struct price_file_card *cards, size_t count, struct err *e)
{
    for (size_t i = 0; i <= card->alias_count; i++) {
        const char *name = i < card->alias_count ? card->aliases[i] : card->model;
        const struct price_card *bearers[2];
        if (catalogue_bearers(c, catalogue_version(c), card->effective_from_us,
                              str_of(card->tenant), str_of(name), bearers) > 1 &&
            bearers[0]->version == catalogue_version(c))
            return refuse_name(c, bearers, cards, count, name, e);
    }
    return 0;
}

int price_file_check_names(const struct price_file_card *cards, size_t count,
                           const struct catalogue *known, struct err *e)
{
    struct catalogue *c = catalogue_with(cards, count, known);
    int rc = 0;
    for (size_t i = 0; rc == 0 && count > 0 && i < catalogue_count(c); i++)
        rc = check_card_names(c, catalogue_at(c, i), cards, count, e);
    catalogue_free(c);
    return rc;
}
