// SPDX-License-Identifier: Apache-2.0
// Lines are read one by one, each into a card of its own. Sorting brings those of one card
// together; what remains in doubt then is a matter of cards beside each other
// (price_file_check.c). Last the cards are put back into the file's order.
#include "common/core/price_file_check.h"

#include "common/core/csv.h"
#include "common/core/timeunit.h"

#include <stdio.h>
#include <strings.h>

// The columns, in the order in which they are written.
#define PRICE_FILE_COLUMNS(X)                                                                      \
    X(tenant)                                                                                      \
    X(provider)                                                                                    \
    X(model)                                                                                       \
    X(aliases)                                                                                     \
    X(tier)                                                                                        \
    X(above_tokens)                                                                                \
    X(unit)                                                                                        \
    PRICE_CLASSES(X)                                                                               \
    X(discount_percent)                                                                            \
    X(effective_from)                                                                              \
    X(source)                                                                                      \
    X(as_of)
#define COLUMN_NUMBER(name) COLUMN_##name,
enum column { PRICE_FILE_COLUMNS(COLUMN_NUMBER) COLUMN_COUNT };
#define COLUMN_NAME(name) #name,
static const char *const column_names[] = {PRICE_FILE_COLUMNS(COLUMN_NAME)};

#define UNIT_OF_WITHDRAWN "none"

#define PUSD_OF_MTOK 1000000  // picodollars of a USD/Mtok, divided among a million tokens
#define PUSD_OF_PPM 100000000 // what money_parse() makes of 0.0001 %

// A line of the file: a card that has only this line. Cells of columns that the file lacks are
// empty.
struct row {
    struct str cells[COLUMN_COUNT];
    struct price_card card;
    size_t at;
    enum price_file_slips slips;
};

struct file {
    struct csv csv;
    enum price_file_slips slips;
    enum column *columns; // what the cells of a line are
    size_t column_count;
    struct row *rows;
    size_t row_count, row_cap;
    struct price_file_card *cards;
    size_t card_count;
};

static void file_clear(struct file *f)
{
    csv_free(&f->csv);
    free(f->columns);
    for (size_t i = 0; i < f->row_count; i++)
        price_card_clear(&f->rows[i].card);
    free(f->rows);
    for (size_t i = 0; i < f->card_count; i++) {
        price_card_clear(&f->cards[i].card);
        free(f->cards[i].at);
    }
    free(f->cards);
}

// ---- header ----

static int read_column(struct file *f, struct str name, struct err *e)
{
    struct err wrong;
    size_t at = f->csv.line, k = 0;
    if (event_check_name("", name, &wrong) != 0)
        return price_file_refuse(e, at, "", "must name a column in each cell");
    while (k < COLUMN_COUNT && !str_eq(str_of(column_names[k]), name))
        k++;
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)name.n, name.p);
    if (k == COLUMN_COUNT)
        return price_file_refuse(e, at, text, "is no column of a price file");
    for (size_t i = 0; i < f->column_count; i++)
        if (f->columns[i] == (enum column)k)
            return price_file_refuse(e, at, text, "must be one column, not two");
    f->columns[f->column_count++] = (enum column)k;
    return 0;
}

static int read_header(struct file *f, struct err *e)
{
    struct err wrong;
    int got = csv_next(&f->csv, &wrong);
    if (got < 0)
        return price_file_refuse(e, f->csv.line, "", wrong.detail);
    if (got == 0)
        return price_file_refuse(e, f->csv.line + 1, "", "must be the names of the columns");
    f->columns = xcalloc(f->csv.n, sizeof(f->columns[0]));
    bool has_model = false;
    for (size_t i = 0; i < f->csv.n; i++) {
        if (read_column(f, f->csv.cells[i], e) != 0)
            return -1;
        has_model = has_model || f->columns[i] == COLUMN_model;
    }
    return has_model ? 0
                     : price_file_refuse(e, f->csv.line, column_names[COLUMN_model],
                                         "is a column that a price file must have");
}

// ---- a line ----

static int refuse(const struct row *r, enum column column, const char *detail, struct err *e)
{
    return price_file_refuse(e, r->at, column_names[column], detail);
}

static char *text_of(struct str cell)
{
    char *text = xcalloc(cell.n + 1, 1);
    if (cell.n > 0)
        memcpy(text, cell.p, cell.n);
    return text;
}

// Names by blanks.
static int take_aliases(struct row *r, struct err *e)
{
    struct price_card *card = &r->card;
    struct str rest = r->cells[COLUMN_aliases];
    while (rest.n > 0) {
        const char *blank = memchr(rest.p, ' ', rest.n);
        size_t n = blank ? (size_t)(blank - rest.p) : rest.n;
        if (n > 0 && card->alias_count == PRICE_ALIASES_MAX)
            return refuse(r, COLUMN_aliases, "must be at most 100 names", e);
        if (n > 0) {
            size_t more = card->alias_count + 1;
            card->aliases = xrealloc(card->aliases, more * sizeof(card->aliases[0]));
            card->aliases[card->alias_count++] = text_of((struct str){rest.p, n});
        }
        n += blank != NULL;
        rest = (struct str){rest.p + n, rest.n - n};
    }
    return 0;
}

// A decimal in parts of `part` picodollars, 0 to most.
static int take_decimal(struct row *r, enum column column, int64_t part, int64_t most,
                        const char *wanted, int64_t *out, struct err *e)
{
    struct str cell = r->cells[column];
    money m;
    struct err wrong;
    *out = PRICE_NONE;
    if (cell.n == 0)
        return 0;
    if (money_parse(cell, &m, &wrong) != 0)
        return refuse(r, column, wanted, e);
    if (m < 0)
        return refuse(r, column, "must not be negative", e);
    if (m % part != 0 || m / part > most)
        return refuse(r, column, wanted, e);
    *out = (int64_t)(m / part);
    return 0;
}

static int take_unit(struct row *r, int64_t *part, struct err *e)
{
    static const struct {
        struct str name;
        int64_t part;
    } units[] = {
        {STR_LIT("USD/Mtok"), PUSD_OF_MTOK},
        {STR_LIT("USD/ktok"), 1000},
        {STR_LIT("USD/tok"), 1},
        {STR_LIT(UNIT_OF_WITHDRAWN), PUSD_OF_MTOK}, // a price that is given all the same is refused
    };
    r->card.withdrawn = str_eq(STR_LIT(UNIT_OF_WITHDRAWN), r->cells[COLUMN_unit]);
    bool needed = r->cells[COLUMN_unit].n > 0;
    for (int k = 0; k < PRICE_request; k++)
        needed = needed || r->cells[COLUMN_input + k].n > 0;
    *part = 1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (str_eq(units[i].name, r->cells[COLUMN_unit])) {
            *part = units[i].part;
            return 0;
        }
    }
    return needed ? refuse(r, COLUMN_unit,
                           "must be USD/Mtok, USD/ktok or USD/tok, or none to withdraw the card", e)
                  : 0;
}

static int take_prices(struct row *r, struct price_line *line, struct err *e)
{
    static const char wanted[] =
        "must be a decimal that comes out as whole picodollars a token (6 decimals of USD/Mtok), 0 "
        "or from 0.001 to 2000 USD/Mtok; is the unit right?";
    static const char wanted_whole[] = "must be a decimal that comes out as whole picodollars a "
                                       "token (6 decimals of USD/Mtok), or of USD at 12 decimals";
    bool any = r->slips == PRICE_FILE_TAKE_SLIPS;
    int64_t part, most = any ? INT64_MAX : PRICE_FILE_MOST;
    if (take_unit(r, &part, e) != 0)
        return -1;
    for (int k = 0; k < PRICE_request; k++) {
        enum column column = (enum column)(COLUMN_input + k);
        if (take_decimal(r, column, part, most, any ? wanted_whole : wanted, &line->pusd[k], e) !=
            0)
            return -1;
        if (!any && line->pusd[k] > 0 && line->pusd[k] < PRICE_FILE_LEAST)
            return refuse(r, column, wanted, e);
    }
    return take_decimal(r, COLUMN_request, 1, any ? INT64_MAX : PRICE_FILE_REQUEST_MOST,
                        any ? wanted_whole
                            : "must be a decimal of USD from 0 to 100, with at most 12 decimals",
                        &line->pusd[PRICE_request], e);
}

static int take_when(struct row *r, struct err *e)
{
    struct str from = r->cells[COLUMN_effective_from], as_of = r->cells[COLUMN_as_of];
    r->card.effective_from_us = INT64_MIN;
    if (from.n > 0 && time_parse_rfc3339(from, &r->card.effective_from_us) != 0)
        return refuse(r, COLUMN_effective_from,
                      "must be a whole minute, such as 2026-01-31T00:00:00Z, or empty", e);
    if (as_of.n >= sizeof(r->card.as_of))
        return refuse(r, COLUMN_as_of, "must be a day, YYYY-MM-DD", e);
    if (as_of.n > 0)
        memcpy(r->card.as_of, as_of.p, as_of.n);
    return 0;
}

static int take_tier(struct row *r, struct price_line *line, struct err *e)
{
    char scratch[EVENT_NAME_MAX];
    struct str tier = r->cells[COLUMN_tier], above = r->cells[COLUMN_above_tokens];
    if (tier.n > sizeof(scratch))
        return refuse(r, COLUMN_tier, "must be at most 255 bytes", e);
    line->tier = text_of(usage_tier(tier, scratch));
    for (size_t i = 0; i < above.n; i++) {
        if (above.p[i] < '0' || above.p[i] > '9' || i > 9)
            line->above = -1; // no band
        if (line->above >= 0)
            line->above = 10 * line->above + (above.p[i] - '0');
    }
    return 0;
}

static int read_row(struct row *r, struct err *e)
{
    struct price_card *card = &r->card;
    struct price_line *line = card->lines = xcalloc(1, sizeof(*line));
    struct err wrong;
    card->line_count = 1;
    card->tenant = text_of(r->cells[COLUMN_tenant]);
    card->provider = text_of(r->cells[COLUMN_provider]);
    card->model = text_of(r->cells[COLUMN_model]);
    card->source = text_of(r->cells[COLUMN_source]);
    if (take_tier(r, line, e) != 0 || take_aliases(r, e) != 0 || take_prices(r, line, e) != 0 ||
        take_decimal(r, COLUMN_discount_percent, PUSD_OF_PPM, 1000000,
                     "must be from 0 to 100, with at most 4 decimals", &card->discount_ppm,
                     e) != 0 ||
        take_when(r, e) != 0)
        return -1;
    if (price_card_check_head(card, &wrong) != 0 || price_card_check_line(card, line, &wrong) != 0)
        return price_file_refuse(e, r->at, wrong.field, wrong.detail);
    return 0;
}

static int refuse_cell(const struct file *f, const char *detail, struct err *e)
{
    const char *column = f->csv.n < f->column_count ? column_names[f->columns[f->csv.n]] : "";
    return price_file_refuse(e, f->csv.line, column, detail);
}

static struct row *add_row(struct file *f)
{
    if (f->row_count == f->row_cap) {
        f->row_cap = f->row_cap == 0 ? 64 : 2 * f->row_cap;
        f->rows = xrealloc(f->rows, f->row_cap * sizeof(f->rows[0]));
    }
    struct row *r = &f->rows[f->row_count++];
    *r = (struct row){.at = f->csv.line, .slips = f->slips};
    for (size_t i = 0; i < f->column_count; i++)
        r->cells[f->columns[i]] = f->csv.cells[i];
    return r;
}

static int read_rows(struct file *f, struct err *e)
{
    struct err wrong;
    int got;
    while ((got = csv_next(&f->csv, &wrong)) > 0) {
        char detail[80];
        snprintf(detail, sizeof(detail), "must have %zu cells as the header has, not %zu",
                 f->column_count, f->csv.n);
        if (f->csv.n != f->column_count)
            return price_file_refuse(e, f->csv.line, "", detail);
        if (f->row_count == PRICE_FILE_LINES_MAX)
            return price_file_refuse(e, f->csv.line, "", "is one more than a file may have");
        if (read_row(add_row(f), e) != 0)
            return -1;
    }
    return got == 0 ? 0 : refuse_cell(f, wrong.detail, e);
}

// ---- lines to cards ----

static int compare_cards(const struct row *a, const struct row *b)
{
    int order = strcmp(a->card.tenant, b->card.tenant);
    if (order == 0)
        order = strcasecmp(a->card.model, b->card.model);
    int64_t x = a->card.effective_from_us, y = b->card.effective_from_us;
    return order != 0 ? order : (x > y) - (x < y);
}

// Within a card as its lines are ordered, then as the file has them.
static int compare_rows(const void *one, const void *other)
{
    const struct row *a = one, *b = other;
    int order = compare_cards(a, b);
    if (order == 0)
        order = strcmp(a->card.lines[0].tier, b->card.lines[0].tier);
    int64_t x = a->card.lines[0].above, y = b->card.lines[0].above;
    if (order == 0)
        order = (x > y) - (x < y);
    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

static bool same_aliases(const struct price_card *a, const struct price_card *b)
{
    if (a->alias_count != b->alias_count)
        return false;
    for (size_t i = 0; i < a->alias_count; i++)
        if (strcmp(a->aliases[i], b->aliases[i]) != 0)
            return false;
    return true;
}

// Whether a line says of the card what its first line says, or nothing.
static int check_agrees(const struct row *r, const struct row *first, struct err *e)
{
    const struct price_card *a = &r->card, *b = &first->card;
    const struct {
        enum column column;
        bool agrees;
    } members[] = {
        {COLUMN_provider, a->provider[0] == '\0' || strcmp(a->provider, b->provider) == 0},
        {COLUMN_aliases, a->alias_count == 0 || same_aliases(a, b)},
        {COLUMN_unit, a->withdrawn == b->withdrawn},
        {COLUMN_discount_percent, a->discount_ppm == b->discount_ppm},
        {COLUMN_source, a->source[0] == '\0' || strcmp(a->source, b->source) == 0},
        {COLUMN_as_of, a->as_of[0] == '\0' || strcmp(a->as_of, b->as_of) == 0},
    };
    char detail[80];
    snprintf(detail, sizeof(detail), "must be as in line %zu, or empty: it is the same card",
             first->at);
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (!members[i].agrees)
            return refuse(r, members[i].column, detail, e);
    return 0;
}

static int check_lines(const struct row *rows, size_t n, const struct row *first, struct err *e)
{
    char detail[120];
    for (size_t i = 0; i < n; i++) {
        const struct price_line *line = rows[i].card.lines,
                                *before = i > 0 ? rows[i - 1].card.lines : NULL;
        if (before && before->above == line->above && strcmp(before->tier, line->tier) == 0) {
            snprintf(detail, sizeof(detail),
                     "must not have two lines of one tier, above_tokens and effective_from: see "
                     "line %zu",
                     rows[i - 1].at);
            return refuse(&rows[i], COLUMN_model, detail, e);
        }
        if (check_agrees(&rows[i], first, e) != 0)
            return -1;
    }
    return 0;
}

// The rows of one card: its lines move to the first one's head.
static int join_rows(struct file *f, struct row *rows, size_t n, struct err *e)
{
    struct row *first = rows;
    for (size_t i = 1; i < n; i++)
        first = rows[i].at < first->at ? &rows[i] : first;
    if (check_lines(rows, n, first, e) != 0)
        return -1;
    struct price_file_card *c = &f->cards[f->card_count++];
    c->first_at = first->at;
    c->at = xcalloc(n, sizeof(c->at[0]));
    struct price_line *lines = xcalloc(n, sizeof(lines[0]));
    for (size_t i = 0; i < n; i++) {
        c->at[i] = rows[i].at;
        lines[i] = rows[i].card.lines[0];
        rows[i].card.line_count = 0;
    }
    c->card = first->card;
    first->card = (struct price_card){0};
    free(c->card.lines);
    c->card.lines = lines;
    c->card.line_count = n;
    struct err wrong;
    return price_card_check(&c->card, &wrong) == 0
               ? 0
               : price_file_refuse(e, c->first_at, wrong.field, wrong.detail);
}

static int compare_first(const void *a, const void *b)
{
    size_t x = ((const struct price_file_card *)a)->first_at;
    size_t y = ((const struct price_file_card *)b)->first_at;
    return (x > y) - (x < y);
}

static int make_cards(struct file *f, const struct catalogue *known, struct err *e)
{
    if (f->row_count > 0)
        qsort(f->rows, f->row_count, sizeof(f->rows[0]), compare_rows);
    f->cards = xcalloc(f->row_count, sizeof(f->cards[0]));
    for (size_t i = 0, n; i < f->row_count; i += n) {
        n = 1;
        while (i + n < f->row_count && compare_cards(&f->rows[i], &f->rows[i + n]) == 0)
            n++;
        if (join_rows(f, &f->rows[i], n, e) != 0)
            return -1;
    }
    if (f->card_count > 0)
        qsort(f->cards, f->card_count, sizeof(f->cards[0]), compare_first);
    for (size_t i = 0; f->slips == PRICE_FILE_REFUSE_SLIPS && i < f->card_count; i++)
        if (price_file_check_slips(&f->cards[i], known, e) != 0)
            return -1;
    return price_file_check_names(f->cards, f->card_count, known, e);
}

int price_file_parse(struct str text, const struct catalogue *known, enum price_file_slips slips,
                     struct price_card **cards, size_t *count, struct err *e)
{
    struct file f = {.slips = slips};
    if (text.n > PRICE_FILE_BYTES_MAX)
        return err_set(e, "must be at most %d MiB", PRICE_FILE_BYTES_MAX >> 20);
    csv_begin(&f.csv, text);
    int rc = read_header(&f, e);
    if (rc == 0)
        rc = read_rows(&f, e);
    if (rc == 0)
        rc = make_cards(&f, known, e);
    if (rc == 0) {
        *count = f.card_count;
        *cards = xcalloc(f.card_count, sizeof(**cards));
        for (size_t i = 0; i < f.card_count; i++) {
            (*cards)[i] = f.cards[i].card;
            f.cards[i].card = (struct price_card){0};
        }
    }
    file_clear(&f);
    return rc;
}

// ---- writing ----

void price_file_write_header(struct buf *out)
{
    for (int k = 0; k < COLUMN_COUNT; k++) {
        buf_adds(out, column_names[k]);
        buf_addc(out, k + 1 < COLUMN_COUNT ? ',' : '\n');
    }
}

static void add_text(struct buf *out, const char *text)
{
    csv_add_cell(out, str_of(text));
    buf_addc(out, ',');
}

// Empty where the number is `none`.
static void add_decimal(struct buf *out, int64_t parts, int64_t part, int64_t none)
{
    if (parts != none)
        money_add_decimal(out, money_times(parts, part));
    buf_addc(out, ',');
}

static void add_aliases(struct buf *out, const struct price_card *card)
{
    struct buf joined = {0};
    for (size_t i = 0; i < card->alias_count; i++) {
        if (i > 0)
            buf_addc(&joined, ' ');
        buf_adds(&joined, card->aliases[i]);
    }
    csv_add_cell(out, (struct str){joined.p, joined.n});
    buf_addc(out, ',');
    buf_free(&joined);
}

static void write_line(struct buf *out, const struct price_card *card,
                       const struct price_line *line)
{
    add_text(out, card->tenant);
    add_text(out, card->provider);
    add_text(out, card->model);
    add_aliases(out, card);
    add_text(out, line->tier);
    add_decimal(out, line->above, MONEY_PER_USD, 0);
    bool has_prices = card->discount_ppm == PRICE_NONE;
    add_text(out, card->withdrawn ? UNIT_OF_WITHDRAWN : has_prices ? "USD/Mtok" : "");
    for (int k = 0; k < PRICE_request; k++)
        add_decimal(out, line->pusd[k], PUSD_OF_MTOK, PRICE_NONE);
    add_decimal(out, line->pusd[PRICE_request], 1, PRICE_NONE);
    add_decimal(out, card->discount_ppm, PUSD_OF_PPM, PRICE_NONE);
    char from[TIME_RFC3339_MAX] = "";
    if (card->effective_from_us != INT64_MIN)
        time_format_rfc3339(card->effective_from_us, from);
    add_text(out, from);
    add_text(out, card->source);
    buf_adds(out, card->as_of);
    buf_addc(out, '\n');
}

void price_file_write_card(struct buf *out, const struct price_card *card)
{
    for (size_t i = 0; i < card->line_count; i++)
        write_line(out, card, &card->lines[i]);
}
