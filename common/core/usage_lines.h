// SPDX-License-Identifier: Apache-2.0
// The usage lines of a row (DESIGN 2.5): tokens by what decides their price. Counted from the log
// alone; which price a line has is asked when a row is written, and may be asked again.
#ifndef STREAMLENS_USAGE_LINES_H
#define STREAMLENS_USAGE_LINES_H

#include "common/core/usage.h"

struct usage_key {
    struct str model;      // the one that answered, as it named itself; else the one asked for
    struct str asked;      // the one asked for where another answered, else ""
    struct str tier;       // usage_tier()
    int64_t context_above; // usage_context_above()
};

struct usage_line {
    char *names; // owned: what key points into
    struct usage_key key;
    struct usage sum;
};

// Sorted by key (model, asked, tier bytewise, then context_above). At most USAGE_LINES: beyond it
// the greatest is folded into `other`, which no price fits (stored with USAGE_OTHER as its model).
// A key that is among the smallest of all ever seen was so at every moment, hence the outcome
// depends neither on order nor on how events were grouped into flushes.
#define USAGE_LINES 64
struct usage_lines {
    struct usage_line *v; // owned
    size_t n;
    struct usage other;
};

// Zero-initialise it to begin.
void usage_lines_add(struct usage_lines *l, const struct usage_key *key, const struct usage *u);
void usage_lines_merge(struct usage_lines *into, const struct usage_lines *from);
// The sum of all lines and `other`: what the row's token columns show.
struct usage usage_lines_total(const struct usage_lines *l);
void usage_lines_clear(struct usage_lines *l); // frees; empty and valid again

#endif
