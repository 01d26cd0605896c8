// SPDX-License-Identifier: Apache-2.0
// Price cards in a line of a test: what a case does not name is left out.
#ifndef STREAMLENS_TESTS_PRICE_CASE_H
#define STREAMLENS_TESTS_PRICE_CASE_H

#include "common/core/price.h"
#include "common/core/timeunit.h"

#include <check.h>

#define EVER INT64_MIN
#define MINUTE(n) ((n)*US_PER_MIN)

// Prices by class; 0 is PRICE_NONE, FREE is 0.
#define FREE INT64_C(-2)
struct case_line {
    const char *tier;
    int64_t above, pusd[PRICE_CLASS_COUNT];
};

struct case_card {
    const char *tenant, *model, *alias, *alias2;
    int64_t from_us;
    bool withdrawn;  // without a line
    int64_t off_ppm; // of a discount card; FREE is a discount of 0
    struct case_line line[5];
};

static inline char *case_text(const char *text)
{
    return xstrdup(text ? text : "");
}

static inline int64_t case_number(int64_t n)
{
    return n == 0 ? PRICE_NONE : n == FREE ? 0 : n;
}

static inline struct price_card card_of(const struct case_card *from)
{
    struct price_card c = {
        .effective_from_us = from->from_us,
        .tenant = case_text(from->tenant),
        .provider = case_text("somebody"),
        .model = case_text(from->model),
        .aliases = xcalloc(2, sizeof(c.aliases[0])),
        .withdrawn = from->withdrawn,
        .discount_ppm = case_number(from->off_ppm),
        .lines = xcalloc(ARRAY_LEN(from->line), sizeof(c.lines[0])),
        .source = case_text("a test"),
        .as_of = "2026-01-31",
    };
    if (from->alias)
        c.aliases[c.alias_count++] = xstrdup(from->alias);
    if (from->alias2)
        c.aliases[c.alias_count++] = xstrdup(from->alias2);
    for (size_t i = 0; i < ARRAY_LEN(from->line); i++) {
        const struct case_line *line = &from->line[i];
        if (i > 0 && !line->tier && line->above == 0)
            break;
        c.lines[i] = (struct price_line){.tier = case_text(line->tier), .above = line->above};
        for (int k = 0; k < PRICE_CLASS_COUNT; k++)
            c.lines[i].pusd[k] = case_number(line->pusd[k]);
        c.line_count++;
    }
    return c;
}

static inline void add_card(struct catalogue *c, int64_t version, const struct case_card *from)
{
    struct price_card card = card_of(from);
    struct err e = {0};
    card.version = version;
    ck_assert_msg(price_card_check(&card, &e) == 0, "%s: %s", e.field, e.detail);
    catalogue_add(c, &card);
}
#define ADD(c, version, ...) add_card(c, version, &(struct case_card){__VA_ARGS__})

// The usual line.
#define INPUT_OUTPUT(in, out)                                                                      \
    {                                                                                              \
        {                                                                                          \
            .pusd = { [PRICE_input] = (in), [PRICE_output] = (out) }                               \
        }                                                                                          \
    }

#endif
