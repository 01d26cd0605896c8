// SPDX-License-Identifier: Apache-2.0
// The price catalogue: cards with versions, which of them a model's name finds, and what usage
// costs by it. Pure.
//
// Unit: picodollars (10^-12 USD) a token, which is micro-USD per million tokens. USD only.
//
// A version is a set of cards added at once (a price file, a `price set`); versions count from 1
// and are never changed, so that a row which names the version that priced it can be priced again
// alike. What holds for a row is asked as of a version and a minute: of the cards of a model with
// at most that version and an effective_from at or before the minute, the one with the latest
// effective_from, of these the greatest version. A card replaces its model's earlier ones whole; a
// withdrawn one takes them back.
#ifndef STREAMLENS_PRICE_H
#define STREAMLENS_PRICE_H

#include "common/core/money.h"
#include "common/core/usage_lines.h"

// X(class, where its price comes from when a line does not give it). `input` and `output` have
// none: absent they are 0, which only a line with a `request` fee may be.
#define PRICE_CLASSES(X)                                                                           \
    X(input)          /* uncached_prompt_tokens */                                                 \
    X(cached_input)   /* cached_prompt_tokens; else as input */                                    \
    X(cache_write_5m) /* else as input */                                                          \
    X(cache_write_1h) /* else as cache_write_5m */                                                 \
    X(output)         /* completion_tokens that are no reasoning_tokens */                         \
    X(reasoning)      /* else as output */                                                         \
    X(request)        /* a fee each answered request; else none */
#define PRICE_NUMBER(name) PRICE_##name,
enum price_class { PRICE_CLASSES(PRICE_NUMBER) PRICE_CLASS_COUNT };
#undef PRICE_NUMBER

#define PRICE_NONE INT64_C(-1)
#define PRICE_EVERY "*" // as a card's model: see below

struct price_line {
    char *tier;                      // usage_tier(): "" is the standard one
    int64_t above;                   // a number of USAGE_BANDS, or 0
    int64_t pusd[PRICE_CLASS_COUNT]; // PRICE_NONE where not given
};

// A price card: all of one model's prices from a minute on. Strings are owned, never NULL.
//
// Tenant "" is everybody's. A tenant's card comes before everybody's. A card with a discount has no
// token prices: it takes what everybody pays for the model, less discount_ppm (each price rounded
// half up to a whole picodollar a token), plus its own request fee.
//
// The model PRICE_EVERY: of a tenant, only as a discount: for all models that have no card of that
// tenant. Of everybody: the price of what is otherwise unpriced (PRICE_DEFAULT); counted as
// guessed.
//
// Withdrawn, from effective_from on the model has no card of that tenant: its names find nothing by
// this one, and hide no other model that bears them. So a tenant's model falls back to the tenant's
// PRICE_EVERY and everybody's card, everybody's to unpriced. Such a card has one line without
// prices, and no discount.
struct price_card {
    int64_t version, effective_from_us; // a whole minute
    char *tenant, *provider, *model;
    char **aliases; // other names of the same model, as exact as `model`
    size_t alias_count;
    bool withdrawn;
    int64_t discount_ppm;     // parts of a million, 0 to 1,000,000; PRICE_NONE: no discount card
    struct price_line *lines; // by tier, then above; the first is ("", 0)
    size_t line_count;        // at least 1
    char *source;             // where the figures were read
    char as_of[11];           // and when: YYYY-MM-DD, or ""
};
#define PRICE_ALIASES_MAX 100
#define PRICE_LINES_MAX 100
void price_card_clear(struct price_card *c);
void price_card_copy(struct price_card *out, const struct price_card *from);

// Whether what was just said holds; names are bounded as in event.h, none of them is USAGE_OTHER.
// -1: e->field is the column of a price file (price_file.h), e->detail what is wanted. The head is
// all but the lines; one line, without its neighbours; the whole card.
int price_card_check_head(const struct price_card *c, struct err *e) MUST_CHECK;
int price_card_check_line(const struct price_card *c, const struct price_line *line,
                          struct err *e) MUST_CHECK;
int price_card_check(const struct price_card *c, struct err *e) MUST_CHECK;

#define CATALOGUE_CARDS_MAX 100000 // a catalogue that holds more is refused

struct catalogue;
struct catalogue *catalogue_new(void);
void catalogue_free(struct catalogue *c);
// Takes over what the card owns, one that passes price_card_check(). In any order; versions need
// not be whole in between.
void catalogue_add(struct catalogue *c, struct price_card *card);
// The version is at least this: one may have no cards.
void catalogue_set_version(struct catalogue *c, int64_t version);
int64_t catalogue_version(const struct catalogue *c); // the greatest, 0 where empty
size_t catalogue_count(const struct catalogue *c);
const struct price_card *catalogue_at(const struct catalogue *c, size_t i); // in order of adding

// The card that holds for a model of a tenant ("" = everybody) by its own name or alias, in any
// case of letters, as of a version and an instant; NULL where none does, a withdrawn one does not.
// No step of the ladder.
// Where the cards of several models bear the name, the newest version; of one version, the one
// whose own name it is, else whose own name is bytewise the smallest.
const struct price_card *catalogue_card(const struct catalogue *c, int64_t version, int64_t at_us,
                                        struct str tenant, struct str name);

// The card in force for a model of a tenant by its own name alone, also one that is withdrawn; NULL
// where the model has none. Not what a price is found by.
const struct price_card *catalogue_in_force(const struct catalogue *c, int64_t version,
                                            int64_t at_us, struct str tenant, struct str model);

// Of the cards that bear the name then the best two, in the order just said; how many there are.
size_t catalogue_bearers(const struct catalogue *c, int64_t version, int64_t at_us,
                         struct str tenant, struct str name, const struct price_card *best[2]);

// How a name was found, in the order of trying. Each of the names (see price_name.h) is looked up
// exactly, never as the beginning of another.
enum price_step {
    PRICE_UNPRICED,
    PRICE_EXACT,
    PRICE_WITHOUT_PREFIX, // of provider or region
    PRICE_WITHOUT_SUFFIX, // of date or version, perhaps without prefix too
    PRICE_GUESSED,        // PRICE_DEFAULT
};
const char *
price_step_name(enum price_step step); // "unpriced", "exact", "prefix", "suffix", "default"

struct price_hit {
    const struct price_card *card;     // whose lines hold; NULL = unpriced
    const struct price_card *discount; // the tenant's card that lowers them, or NULL
    enum price_step step;
    bool by_asked; // the model asked for was found, the one that answered was not
};

// model, then asked (absent or "": none); for each the tenant's cards by all steps, then
// everybody's by all steps; then PRICE_DEFAULT. Tenant "" asks for what everybody pays. The model
// USAGE_OTHER is unpriced.
//
// What a discount card is a discount on: everybody's card by all steps, for the name that was
// looked for; where that is an alias of the discount card, for the card's own model. A name of
// which everybody has none is not found by a discount. `step` is then everybody's.
struct price_hit catalogue_resolve(const struct catalogue *c, int64_t version, int64_t at_us,
                                   struct str tenant, struct str model, struct str asked);

// The line for a tier and a context band: of the tier's lines the one with the greatest `above`
// that is at most context_above. NULL where the card does not know the tier: that usage is unpriced
// too.
const struct price_line *price_line_for(const struct price_card *card, struct str tier,
                                        int64_t context_above);
// What a token (or a request) of the class costs after the rules above, picodollars.
int64_t price_of(const struct price_hit *hit, const struct price_line *line, enum price_class k);

// Additive; a difference of two may be negative.
struct cost {
    money estimated; // the sum of the classes
    money classes[PRICE_CLASS_COUNT];
    // What reading and writing a cache saved against paying the input price for the same tokens;
    // negative where writing cost more than reading has saved.
    money cache_savings;
    int64_t unpriced_requests, unpriced_tokens, guessed_requests;
};
// Adds what one usage line costs: exact, so that lines of the same names, tier and band cost
// together what their sum costs. version: of the catalogue, as the row names it.
void cost_add_usage(struct cost *into, const struct catalogue *c, int64_t version, int64_t at_us,
                    struct str tenant, const struct usage_key *key, const struct usage *u);
// What all usage of a window that begins at at_us costs: the lines and their `other`.
struct cost cost_of_lines(const struct catalogue *c, int64_t version, int64_t at_us,
                          struct str tenant, const struct usage_lines *l);
void cost_add(struct cost *into, const struct cost *more);
void cost_subtract(struct cost *from, const struct cost *less);
// What a row keeps of it: classes and savings end at ±INT64_MAX there.
void cost_bound(struct cost *c);
// Whether they are the same in every member.
bool cost_eq(const struct cost *a, const struct cost *b);

#endif
