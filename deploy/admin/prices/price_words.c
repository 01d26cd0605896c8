// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/price_words.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "common/core/csv.h"
#include "common/core/event.h"
#include "common/core/price_file.h"
#include "common/core/timeunit.h"
#include "deploy/admin/args.h"
#include "deploy/admin/prices/price_change.h"

#define COLUMNS_MAX 32

struct cells {
    size_t count;
    struct {
        struct str column;
        const char *word;   // given: borrowed; else NULL
        struct buf carried; // what the card has
    } cell[COLUMNS_MAX];
    char from[TIME_RFC3339_MAX]; // effective_from, where the words give none
};

// ---- columns and cells ----

// The line that `text` is. What is written for a file is well formed.
static void read_line(struct csv *csv, const struct buf *text)
{
    struct err e;
    csv_begin(csv, (struct str){text->p, text->n});
    if (csv_next(csv, &e) != 1)
        abort();
}

// The columns' names point into *header.
static void read_columns(struct buf *header, struct cells *out)
{
    struct csv csv;
    *out = (struct cells){0};
    price_file_write_header(header);
    read_line(&csv, header);
    assert(csv.n <= COLUMNS_MAX);
    for (size_t i = 0; i < csv.n; i++)
        out->cell[out->count++].column = csv.cells[i];
    csv_free(&csv);
}

static size_t column_of(const struct cells *c, struct str name)
{
    size_t i = 0;
    while (i < c->count && !str_eq(c->cell[i].column, name))
        i++;
    return i;
}

// NULL where it is not given.
static const char *word(const struct cells *c, const char *column)
{
    size_t i = column_of(c, str_of(column));
    assert(i < c->count);
    return c->cell[i].word;
}

static void give(struct cells *c, const char *column, const char *value)
{
    size_t i = column_of(c, str_of(column));
    assert(i < c->count);
    c->cell[i].word = value;
}

static int read_words(struct cells *c, const char *const *words, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++)
        for (const char *p = words[i]; *p; p++)
            if (iscntrl((unsigned char)*p)) {
                err_set(e, "\"%.60s\" has control characters", words[i]);
                return ARGS_WRONG;
            }
    give(c, "model", words[0]);
    for (size_t i = 1; i < count; i++) {
        const char *equals = strchr(words[i], '=');
        size_t n = equals ? (size_t)(equals - words[i]) : strlen(words[i]);
        size_t at = column_of(c, (struct str){words[i], n});
        if (!equals || at == c->count) {
            err_set(e,
                    "\"%.60s\" is no COLUMN=VALUE; streamlens-admin help price names the columns",
                    words[i]);
            return ARGS_WRONG;
        }
        if (c->cell[at].word) {
            err_set(e, "%.*s is given twice", (int)n, words[i]);
            return ARGS_WRONG;
        }
        c->cell[at].word = equals + 1;
    }
    return 0;
}

// The card's line as it would stand in a file, cell by cell.
static void carry(struct cells *c, const struct price_card *card, const struct price_line *line)
{
    struct price_line lines[1] = {*line};
    struct price_card one = *card;
    one.lines = lines;
    one.line_count = 1;
    struct buf text = {0};
    struct csv csv;
    price_file_write_card(&text, &one);
    read_line(&csv, &text);
    assert(csv.n == c->count);
    for (size_t i = 0; i < csv.n; i++) {
        buf_clear(&c->cell[i].carried);
        buf_add(&c->cell[i].carried, csv.cells[i].p, csv.cells[i].n);
    }
    csv_free(&csv);
    buf_free(&text);
}

// ---- one line ----

static bool is_of_line(struct str column)
{
    static const char *const of_lines[] = {"tier", "above_tokens",
#define CLASS_NAME(name) #name,
                                           PRICE_CLASSES(CLASS_NAME)
#undef CLASS_NAME
    };
    for (size_t i = 0; i < ARRAY_LEN(of_lines); i++)
        if (str_eq(column, str_of(of_lines[i])))
            return true;
    return false;
}

// The unit is of the prices that are given; what is carried is USD/Mtok, as files are written. A
// unit or a number that nobody knows is left to the file's reader to refuse.
static void add_price(struct buf *out, struct str column, const char *value, const char *unit)
{
    static const struct {
        const char *unit;
        int64_t per_mtok;
    } units[] = {{"USD/ktok", 1000}, {"USD/tok", 1000000}};
    struct buf converted = {0};
    money m;
    for (size_t i = 0; unit && i < ARRAY_LEN(units); i++) {
        if (strcmp(unit, units[i].unit) != 0 || str_eq(column, STR_LIT("request")) ||
            money_parse(str_of(value), &m, NULL) < 0 || m > MONEY_MAX / units[i].per_mtok ||
            m < -MONEY_MAX / units[i].per_mtok)
            continue;
        money_add_decimal(&converted, m * units[i].per_mtok);
    }
    csv_add_cell(out, converted.n > 0 ? (struct str){converted.p, converted.n} : str_of(value));
    buf_free(&converted);
}

static const char *unit_cell(const char *given)
{
    bool known = !given || strcmp(given, "USD/ktok") == 0 || strcmp(given, "USD/tok") == 0;
    return known ? "USD/Mtok" : given;
}

// is_target: the line that the words speak of; else only what all lines of a card share is taken
// from them.
static void add_line(struct buf *out, const struct cells *c, bool is_target)
{
    const char *unit = word(c, "unit");
    for (size_t i = 0; i < c->count; i++) {
        struct str column = c->cell[i].column;
        const char *given = c->cell[i].word;
        const struct buf *carried = &c->cell[i].carried;
        buf_adds(out, i ? "," : "");
        if (str_eq(column, STR_LIT("unit")))
            csv_add_cell(out, str_of(unit_cell(unit)));
        else if (given && is_of_line(column) && is_target)
            add_price(out, column, given, unit);
        else if (given && !is_of_line(column))
            csv_add_cell(out, str_of(given));
        else
            csv_add_cell(out, (struct str){carried->p, carried->n});
    }
    buf_addc(out, '\n');
}

// ---- the card ----

static bool gives_prices(const struct cells *c)
{
    bool gives = word(c, "discount_percent") != NULL;
    for (size_t i = 0; i < c->count; i++)
        gives = gives || (c->cell[i].word && is_of_line(c->cell[i].column) &&
                          !str_eq(c->cell[i].column, STR_LIT("tier")) &&
                          !str_eq(c->cell[i].column, STR_LIT("above_tokens")));
    return gives;
}

static bool is_target(const struct cells *c, const struct price_line *line)
{
    char scratch[EVENT_NAME_MAX];
    const char *tier = word(c, "tier"), *above = word(c, "above_tokens");
    struct str wanted = {0};
    if (tier && strlen(tier) <= EVENT_NAME_MAX)
        wanted = usage_tier(str_of(tier), scratch);
    char number[24];
    snprintf(number, sizeof(number), "%lld", (long long)line->above);
    return str_eq(wanted, str_of(line->tier)) &&
           strcmp(above && above[0] ? above : "0", number) == 0;
}

static bool withdraws(const struct cells *c)
{
    const char *unit = word(c, "unit");
    return unit && strcmp(unit, "none") == 0;
}

// The line of the words alone, beside the card's provider and aliases.
static void add_new_line(struct buf *out, struct cells *c, const struct price_card *card)
{
    char none[] = "";
    struct price_line line = {.tier = none};
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        line.pusd[k] = PRICE_NONE;
    carry(c, card, &line);
    add_line(out, c, true);
}

static void add_lines(struct buf *out, struct cells *c, const struct price_card *card)
{
    const char *discount = word(c, "discount_percent");
    bool found = false;
    for (size_t i = 0; i < card->line_count; i++) {
        bool target = is_target(c, &card->lines[i]);
        found = found || target;
        // A discount has no prices of its own but the fee, and no lines but the standard one.
        struct price_line line = card->lines[i];
        if (discount && discount[0]) {
            if (line.tier[0] || line.above)
                continue;
            for (int k = 0; k < PRICE_CLASS_COUNT; k++)
                line.pusd[k] = k == PRICE_request ? line.pusd[k] : PRICE_NONE;
        }
        carry(c, card, &line);
        add_line(out, c, target);
    }
    if (!found)
        add_new_line(out, c, card);
}

// Where the words give none: see the header.
static int settle_from(struct cells *c, const struct price_card *newest, int64_t now_us, bool now,
                       int64_t *from_us, struct err *e)
{
    const char *given = word(c, "effective_from");
    *from_us = INT64_MIN;
    if (given && given[0] && time_parse_rfc3339(str_of(given), from_us) < 0) {
        err_field(e, "effective_from", -1,
                  "is \"%.60s\"; want a whole minute such as 2027-01-31T00:00:00Z", given);
        return ARGS_WRONG;
    }
    if (given)
        return 0;
    if (newest) {
        *from_us = now ? time_floor_us(now_us, US_PER_MIN) : price_change_earliest_us(now_us);
        time_format_rfc3339(*from_us, c->from);
    }
    give(c, "effective_from", c->from);
    return 0;
}

static int check_alias(const struct catalogue *c, const char *tenant, const char *model,
                       struct err *e)
{
    const struct price_card *card =
        catalogue_card(c, INT64_MAX, INT64_MAX, str_of(tenant), str_of(model));
    if (!card || strcasecmp(card->model, model) == 0)
        return 0;
    err_field(
        e, "model", -1,
        "%.100s is another name of %.100s: set that, or take the name out of its aliases first",
        model, card->model);
    return ARGS_WRONG;
}

// There must be a card to withdraw: else the name, or the tenant, is a slip.
static int check_withdrawal(const struct price_card *newest, const char *tenant, const char *model,
                            struct err *e)
{
    if (newest)
        return 0;
    err_field(e, "model", -1,
              "%.100s has no card of %s%.100s that could be withdrawn; streamlens-admin price "
              "resolve tells what it is priced as",
              model, tenant[0] ? "tenant " : "everybody", tenant);
    return ARGS_WRONG;
}

static int write_card(const struct catalogue *c, int64_t now_us, bool now, struct cells *cells,
                      struct buf *out, struct err *e)
{
    static char none[] = "";
    const char *tenant = word(cells, "tenant") ? word(cells, "tenant") : "";
    const char *model = word(cells, "model");
    int64_t from_us;
    if (check_alias(c, tenant, model, e) < 0)
        return ARGS_WRONG;
    const struct price_card *newest = price_change_newest(c, tenant, model);
    if (settle_from(cells, newest, now_us, now, &from_us, e) < 0)
        return ARGS_WRONG;
    if (withdraws(cells) && check_withdrawal(newest, tenant, model, e) < 0)
        return ARGS_WRONG;
    struct price_card card = {.tenant = none,
                              .provider = none,
                              .model = none,
                              .source = none,
                              .discount_ppm = PRICE_NONE};
    if (newest) {
        give(cells, "model", newest->model);
        const struct price_card *base = price_change_holding(c, tenant, model, from_us);
        card = base ? *base : card;
    } else if (tenant[0]) {
        const struct price_card *all = price_change_newest(c, "", model);
        if (all && !all->withdrawn) {
            card.provider = all->provider;
            card.aliases = all->aliases;
            card.alias_count = all->alias_count;
        }
    }
    // Figures that are given were not read where the old ones were.
    if ((gives_prices(cells) || withdraws(cells)) && !word(cells, "source") &&
        !word(cells, "as_of")) {
        give(cells, "source", "");
        give(cells, "as_of", "");
    }
    give(cells, "tenant", tenant);
    if (withdraws(cells)) {
        card.discount_ppm = PRICE_NONE;
        add_new_line(out, cells, &card);
    } else {
        add_lines(out, cells, &card);
    }
    return 0;
}

int price_words_to_file(const struct catalogue *c, int64_t now_us, bool now,
                        const char *const *words, size_t count, struct buf *out, struct err *e)
{
    struct buf header = {0}; // the columns' names point into it
    struct cells cells;
    read_columns(&header, &cells);
    buf_add(out, header.p, header.n);
    int rc = read_words(&cells, words, count, e);
    if (rc == 0)
        rc = write_card(c, now_us, now, &cells, out, e);
    for (size_t i = 0; i < cells.count; i++)
        buf_free(&cells.cell[i].carried);
    buf_free(&header);
    return rc;
}
