// SPDX-License-Identifier: Apache-2.0
// The catalogue as it is asked for: its cards in the order in which they are listed, and what one
// name costs. Pure.
#ifndef STREAMLENS_PRICE_BOOK_H
#define STREAMLENS_PRICE_BOOK_H

#include "common/core/price.h"
#include "metrics-api/fields.h"
#include "metrics-api/fold.h"

// A line of a card, as its price file has it. Prices are USD per million tokens, `request` is USD.
// tenant_id is null for everybody's, effective_from where the card holds from ever on.
#define PRICE_ROW_FIELDS(TEXT, TIME, COUNT, MAYBE, BOOL)                                           \
    TEXT(model)                                                                                    \
    TEXT(tenant_id)                                                                                \
    TEXT(provider)                                                                                 \
    TEXT(aliases)                                                                                  \
    TEXT(tier)                                                                                     \
    COUNT(above_tokens)                                                                            \
    MAYBE(input)                                                                                   \
    MAYBE(cached_input)                                                                            \
    MAYBE(cache_write_5m)                                                                          \
    MAYBE(cache_write_1h)                                                                          \
    MAYBE(output)                                                                                  \
    MAYBE(reasoning)                                                                               \
    MAYBE(request)                                                                                 \
    MAYBE(discount_percent)                                                                        \
    TIME(effective_from)                                                                           \
    COUNT(version)                                                                                 \
    BOOL(withdrawn)                                                                                \
    TEXT(source)                                                                                   \
    TEXT(as_of)

// Texts are borrowed; p NULL, NAN and INT64_MIN are null.
struct price_row {
#define PRICE_ROW_TEXT(name) struct str name;
#define PRICE_ROW_TIME(name) int64_t name##_us;
#define PRICE_ROW_COUNT(name) int64_t name;
#define PRICE_ROW_MAYBE(name) double name;
#define PRICE_ROW_BOOL(name) bool name;
    PRICE_ROW_FIELDS(PRICE_ROW_TEXT, PRICE_ROW_TIME, PRICE_ROW_COUNT, PRICE_ROW_MAYBE,
                     PRICE_ROW_BOOL)
#undef PRICE_ROW_TEXT
#undef PRICE_ROW_TIME
#undef PRICE_ROW_COUNT
#undef PRICE_ROW_MAYBE
#undef PRICE_ROW_BOOL
};
#define PRICE_FIELD_NUMBER(name) PRICE_FIELD_##name,
enum price_field {
    PRICE_ROW_FIELDS(PRICE_FIELD_NUMBER, PRICE_FIELD_NUMBER, PRICE_FIELD_NUMBER, PRICE_FIELD_NUMBER,
                     PRICE_FIELD_NUMBER) PRICE_FIELD_COUNT
};
#undef PRICE_FIELD_NUMBER
#define PRICE_FIELD_BIT(name) (UINT64_C(1) << PRICE_FIELD_##name)
extern const struct field_info price_field_infos[PRICE_FIELD_COUNT];

struct price_book;
// Takes the catalogue over.
struct price_book *price_book_new(struct catalogue *c);
void price_book_free(struct price_book *b);
const struct catalogue *price_book_catalogue(const struct price_book *b);

// Which cards: those in force, withdrawn ones too, as of a version and an instant.
struct price_view {
    int64_t version, at_us;
    struct str tenant; // whose, beside everybody's; p NULL: nobody's
    bool every_tenant; // all tenants'
    struct str prefix; // of the model's own name, in any case of letters; p NULL: any
};
// One line of them.
struct price_entry {
    const struct price_card *card;
    const struct price_line *line;
};
// The first `limit` lines behind `after` (NULL: of all), by model (in any case of letters), tenant
// (everybody's before others), tier and above_tokens, bytewise. Returns how many; more: there are
// others behind. out has room for limit.
size_t price_book_list(const struct price_book *b, const struct price_view *v,
                       const struct fold_place *after, size_t limit, struct price_entry *out,
                       bool *more);
// The line's place, as question.h has it; borrowed of the card.
struct fold_place price_entry_place(const struct price_entry *entry);

// As its price file has it. aliases: for the text of them, cleared first; to live as long as out.
void price_row_of(const struct price_entry *entry, struct buf *aliases, struct price_row *out);
// Of the line, what is paid where the name was found so.
void price_row_paid(const struct price_hit *hit, const struct price_line *line,
                    struct price_row *out);

// What a name costs, as a JSON object that is still open: the name, how it was found, by which
// card, and every line of what it costs then.
struct price_asked {
    struct str name, asked; // asked absent: none
    int64_t version, at_us;
    struct str tenant; // p NULL: what everybody pays
};
void price_book_resolve(const struct price_book *b, const struct price_asked *asked,
                        struct buf *out);

#endif
