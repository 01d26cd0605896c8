// SPDX-License-Identifier: Apache-2.0
#include "common/io/price_pg.h"

#include <stdio.h>

// The columns, in the statement's order. Aliases have no control characters, so a line break is a
// border between them.
enum column {
    VERSION,
    TENANT,
    MODEL,
    FROM_US,
    TIER,
    ABOVE,
    PROVIDER,
    ALIASES,
    WITHDRAWN,
    DISCOUNT,
    PRICES,
    SOURCE = PRICES + PRICE_CLASS_COUNT,
    AS_OF,
    COLUMNS
};

#define PRICE_COLUMN(name) "p." #name "_pusd, "
#define PRICE_COLUMNS PRICE_CLASSES(PRICE_COLUMN)

// '-infinity' and what else an int64 of microseconds cannot hold become its limits.
#define FROM_IN_US                                                                                 \
    "greatest(least(extract(epoch FROM p.effective_from) * 1000000, 9223372036854775807),"         \
    " -9223372036854775808)::bigint, "

const char price_pg_select[] =
    "SELECT version, p.tenant_id, p.model, " FROM_IN_US "p.tier, p.above_tokens, p.provider,"
    " array_to_string(p.aliases, E'\\n'), p.withdrawn, p.discount_ppm, " PRICE_COLUMNS "p.source,"
    " to_char(p.as_of, 'YYYY-MM-DD')"
    " FROM llm_price_version LEFT JOIN llm_price p USING (version)"
    " ORDER BY version, p.tenant_id, p.model, p.effective_from, p.tier, p.above_tokens";

static int64_t number_at(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? PRICE_NONE : strtoll(PQgetvalue(r, row, column), NULL, 10);
}

static bool same_card(const PGresult *r, int a, int b)
{
    for (int column = VERSION; column <= FROM_US; column++)
        if (strcmp(PQgetvalue(r, a, column), PQgetvalue(r, b, column)) != 0)
            return false;
    return true;
}

static void take_aliases(struct price_card *card, const char *joined)
{
    while (*joined != '\0') {
        size_t n = strcspn(joined, "\n");
        card->aliases = xrealloc(card->aliases, (card->alias_count + 1) * sizeof(card->aliases[0]));
        char *alias = card->aliases[card->alias_count++] = xcalloc(n + 1, 1);
        memcpy(alias, joined, n);
        joined += n + (joined[n] == '\n');
    }
}

static void take_card(const PGresult *r, int row, int lines, struct price_card *out)
{
    *out = (struct price_card){
        .version = number_at(r, row, VERSION),
        .effective_from_us = strtoll(PQgetvalue(r, row, FROM_US), NULL, 10),
        .tenant = xstrdup(PQgetvalue(r, row, TENANT)),
        .provider = xstrdup(PQgetvalue(r, row, PROVIDER)),
        .model = xstrdup(PQgetvalue(r, row, MODEL)),
        .discount_ppm = number_at(r, row, DISCOUNT),
        .lines = xcalloc((size_t)lines, sizeof(out->lines[0])),
        .line_count = (size_t)lines,
        .source = xstrdup(PQgetvalue(r, row, SOURCE)),
    };
    take_aliases(out, PQgetvalue(r, row, ALIASES));
    // A day of more digits is cut here and refused by the check.
    snprintf(out->as_of, sizeof(out->as_of), "%s", PQgetvalue(r, row, AS_OF));
    for (int i = 0; i < lines; i++) {
        struct price_line *line = &out->lines[i];
        line->tier = xstrdup(PQgetvalue(r, row + i, TIER));
        line->above = number_at(r, row + i, ABOVE);
        for (int k = 0; k < PRICE_CLASS_COUNT; k++)
            line->pusd[k] = number_at(r, row + i, PRICES + k);
        // One line that says so among others is refused by the check, wherever it stands.
        out->withdrawn = out->withdrawn || PQgetvalue(r, row + i, WITHDRAWN)[0] == 't';
    }
}

static int check_card(const struct price_card *card, struct err *e)
{
    struct err wrong;
    if (price_card_check(card, &wrong) == 0)
        return 0;
    return err_field(e, wrong.field, -1,
                     "in llm_price, version %lld, tenant \"%.60s\", model \"%.60s\": %s",
                     (long long)card->version, card->tenant, card->model, wrong.detail);
}

// The card whose lines begin at `row`; *end is where the next one's do.
static int read_card(const PGresult *r, int row, int *end, struct price_card *out, struct err *e)
{
    for (*end = row + 1; *end < PQntuples(r) && same_card(r, row, *end);)
        (*end)++;
    take_card(r, row, *end - row, out);
    return check_card(out, e);
}

// The version whose rows are row to end: all of its cards, or none.
static int add_version(const PGresult *r, int row, int end, struct catalogue *into, struct err *e)
{
    int64_t version = number_at(r, row, VERSION);
    struct price_card *cards = xcalloc((size_t)(end - row), sizeof(*cards));
    size_t n = 0;
    int rc = 0;
    while (rc == 0 && row < end && !PQgetisnull(r, row, TENANT)) {
        if (catalogue_count(into) + n == CATALOGUE_CARDS_MAX)
            rc = err_set(e, "llm_price has more than %d price cards", CATALOGUE_CARDS_MAX);
        else
            rc = read_card(r, row, &row, &cards[n++], e);
    }
    if (rc == 0)
        catalogue_set_version(into, version);
    for (size_t i = 0; i < n; i++)
        if (rc == 0)
            catalogue_add(into, &cards[i]);
        else
            price_card_clear(&cards[i]);
    free(cards);
    return rc;
}

int price_pg_read(const PGresult *result, struct catalogue *into, struct err *e)
{
    assert(PQnfields(result) == COLUMNS && !PQbinaryTuples(result));
    for (int row = 0, end; row < PQntuples(result); row = end) {
        end = row + 1;
        while (end < PQntuples(result) &&
               number_at(result, end, VERSION) == number_at(result, row, VERSION))
            end++;
        if (add_version(result, row, end, into, e) < 0)
            return -1;
    }
    return 0;
}
