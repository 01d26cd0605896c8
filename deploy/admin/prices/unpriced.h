// SPDX-License-Identifier: Apache-2.0
// Which names in usage have no price, or only that of PRICE_DEFAULT, by the newest version of the
// catalogue; and which have one by now, though rows still count them as unpriced or guessed. Pure.
#ifndef STREAMLENS_ADMIN_UNPRICED_H
#define STREAMLENS_ADMIN_UNPRICED_H

#include "common/core/buf.h"
#include "common/core/price.h"

// Usage of hours between which no price changes (used_pg.h).
struct unpriced_use {
    struct str tenant;
    struct usage_key key;
    struct usage sum;
    int64_t at_us, first_us, last_us;
    int64_t doubtful;    // of sum.requests, counted by their rows as unpriced or guessed
    int64_t row_version; // by which the oldest of their minutes may have been priced
};

enum unpriced_why {
    UNPRICED_NO_CARD, // by none of its names
    UNPRICED_GUESSED, // PRICE_DEFAULT's
    UNPRICED_NO_TIER, // its card does not know the tier
    UNPRICED_NOT_YET, // its price begins later
    UNPRICED_FOLDED,  // USAGE_OTHER: rows had no more room for the names
};
const char *unpriced_why_name(enum unpriced_why why); // "no_card", …

#define UNPRICED_TENANTS 3

// Strings are borrowed from the uses.
struct unpriced_name {
    struct str model, asked; // asked: where another was asked for, else ""
    enum unpriced_why why;
    struct str tier;               // NO_TIER: which; else absent
    const struct price_card *card; // NO_TIER: which does not know it; NOT_YET: the one now; or NULL
    int64_t requests, tokens;
    int64_t first_us, last_us; // hours, begin of the first and the last
    size_t tenants;
    struct str tenant[UNPRICED_TENANTS]; // the first of them, bytewise
};

struct unpriced {
    struct unpriced_name *v; // owned; the most tokens first, then requests, then bytewise
    size_t n;
    // Priced since: `requests` of them are still counted otherwise, of which `tokens` is not known
    // (0); why, tier and card say nothing.
    struct unpriced_name *since; // owned; the most requests first
    size_t since_n;
    int64_t requests, tokens;                                                     // of all usage
    int64_t unpriced_requests, unpriced_tokens, guessed_requests, guessed_tokens; // of it, in v
};
// now_us: what tells NOT_YET from others.
void unpriced_make(const struct unpriced_use *uses, size_t count, const struct catalogue *c,
                   int64_t now_us, struct unpriced *out);
void unpriced_free(struct unpriced *u);

struct unpriced_range {
    int64_t from_us, to_us;
    const char *tenant; // NULL: all
};
#define UNPRICED_LINES 200  // of each list for people
#define UNPRICED_HINTS 1000 // so many names of the JSON have `nearest`; else it is null
// Nothing that strangers chose steers a terminal, or does anything where the commands that are
// proposed are pasted into a shell.
void unpriced_add_text(const struct unpriced *u, const struct unpriced_range *r,
                       const struct catalogue *c, int64_t now_us, struct buf *out);
void unpriced_add_json(const struct unpriced *u, const struct unpriced_range *r,
                       const struct catalogue *c, int64_t now_us, struct buf *out);

#endif
