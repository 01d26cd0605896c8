// SPDX-License-Identifier: Apache-2.0
// Which rows a correction of the past is about, and what one of them costs then. Pure.
#ifndef STREAMLENS_ADMIN_REPRICE_SCOPE_H
#define STREAMLENS_ADMIN_REPRICE_SCOPE_H

#include "common/core/price.h"

// Those cuts as hours see them: an hour that has one inside becomes a piece of its own, so that
// usage summed between two of these is of hours without, or of one hour with. Owned by the caller.
size_t reprice_hour_cuts(const int64_t *cuts_us, size_t n, int64_t **out);

// Names, sorted bytewise, each once. Zero-initialise it to begin.
struct reprice_names {
    char **v; // owned
    size_t n, room;
};
void reprice_names_free(struct reprice_names *s);
bool reprice_names_has(const struct reprice_names *s, struct str name);
// What --model=NAME asks for, in lower case: NAME itself, and all names of the cards, of whichever
// tenant and version, whose model it is.
void reprice_names_want(struct reprice_names *s, const struct catalogue *c, struct str name);
// Adds a name that usage bears where it, or one of its forms (price_name.h), is wanted.
void reprice_names_take(struct reprice_names *s, const struct reprice_names *wanted,
                        struct str name);

struct reprice_scope {
    const struct catalogue *catalogue;
    int64_t version; // that is to hold
    const int64_t *cuts_us;
    size_t cut_count;
    const struct reprice_names *names; // NULL: all rows; else those with a line whose model or
                                       // asked is one of these
};

// Whether a row is to be priced anew: it has one of the names, and its version is no newer.
bool reprice_concerns(const struct reprice_scope *s, int64_t price_version,
                      const struct usage_lines *l);
// What the row that begins at at_us keeps then: cost_of_lines(), bounded.
struct cost reprice_price(const struct reprice_scope *s, int64_t at_us, struct str tenant,
                          const struct usage_lines *l);
// Whether any of the usage has another price later in [at_us, until_us) than at its begin.
bool reprice_moves(const struct reprice_scope *s, int64_t at_us, int64_t until_us,
                   struct str tenant, const struct usage_lines *l);

#endif
