// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/unpriced.h"

#include <inttypes.h>

#include "common/core/timeunit.h"
#include "deploy/admin/prices/price_nearest.h"
#include "deploy/admin/shown.h"
#include "deploy/admin/table.h"

#define NAME_MOST 80 // bytes of a name in the text

static void add_time(struct buf *out, int64_t us)
{
    char text[TIME_RFC3339_MAX];
    time_format_rfc3339(us, text);
    buf_adds(out, text);
}

// Its card, where it has one; else the nearest ones.
static size_t hints(const struct unpriced_name *name, const struct price_nearest *nearest,
                    struct price_near out[PRICE_NEAREST_MAX])
{
    if (name->card) {
        out[0] = (struct price_near){name->card, name->card->model};
        return 1;
    }
    if (name->why == UNPRICED_FOLDED)
        return 0;
    size_t count = price_nearest_find(nearest, name->model, out);
    return count > 0 || name->asked.n == 0 ? count : price_nearest_find(nearest, name->asked, out);
}

// ---- for people ----

static void take_cell(struct table *t, struct buf *b)
{
    table_addf(t, "%.*s", (int)b->n, b->n ? b->p : "");
    buf_free(b);
}

static void add_name_cell(struct table *t, struct str name)
{
    struct buf b = {0};
    shown_add(&b, name.n ? name : STR_LIT("-"), NAME_MOST);
    take_cell(t, &b);
}

static void add_time_cell(struct table *t, int64_t us)
{
    struct buf b = {0};
    add_time(&b, us);
    take_cell(t, &b);
}

static void add_why_cell(struct table *t, const struct unpriced_name *name)
{
    struct buf b = {0};
    switch (name->why) {
    case UNPRICED_NO_CARD:
        buf_adds(&b, "no card");
        break;
    case UNPRICED_GUESSED:
        buf_adds(&b, "guessed");
        break;
    case UNPRICED_NO_TIER:
        buf_adds(&b, "no price of tier ");
        shown_add(&b, name->tier.n ? name->tier : STR_LIT("standard"), NAME_MOST);
        break;
    case UNPRICED_NOT_YET:
        buf_adds(&b, "price begins ");
        add_time(&b, name->card->effective_from_us);
        break;
    case UNPRICED_FOLDED:
        buf_adds(&b, "names beyond 64 of a row");
        break;
    }
    take_cell(t, &b);
}

static void add_tenants_cell(struct table *t, const struct unpriced_name *name)
{
    struct buf b = {0};
    if (name->tenants > UNPRICED_TENANTS)
        buf_addf(&b, "%zu", name->tenants);
    for (size_t i = 0; name->tenants <= UNPRICED_TENANTS && i < name->tenants; i++) {
        buf_adds(&b, i ? ", " : "");
        shown_add(&b, name->tenant[i], NAME_MOST);
    }
    take_cell(t, &b);
}

static void add_hints_cell(struct table *t, const struct unpriced_name *name,
                           const struct price_nearest *nearest)
{
    struct buf b = {0};
    struct price_near near[PRICE_NEAREST_MAX];
    size_t count = hints(name, nearest, near);
    for (size_t i = 0; i < count; i++) {
        buf_adds(&b, i ? ", " : "");
        shown_add(&b, str_of(near[i].card->model), NAME_MOST);
    }
    buf_adds(&b, count ? "" : "-");
    take_cell(t, &b);
}

static void add_names_table(const struct unpriced *u, const struct price_nearest *nearest,
                            struct buf *out)
{
    static const char *const titles[] = {"MODEL", "ASKED", "WHY",     "REQUESTS", "TOKENS",
                                         "FIRST", "LAST",  "TENANTS", "NEAREST"};
    struct table t = {.columns = ARRAY_LEN(titles)};
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        table_add(&t, titles[i]);
    for (size_t i = 0; i < u->n && i < UNPRICED_LINES; i++) {
        const struct unpriced_name *name = &u->v[i];
        add_name_cell(&t, name->model);
        add_name_cell(&t, name->asked);
        add_why_cell(&t, name);
        table_addf(&t, "%" PRId64, name->requests);
        table_addf(&t, "%" PRId64, name->tokens);
        add_time_cell(&t, name->first_us);
        add_time_cell(&t, name->last_us);
        add_tenants_cell(&t, name);
        add_hints_cell(&t, name, nearest);
    }
    table_render(&t, out);
}

static void add_more(struct buf *out, size_t n)
{
    if (n > UNPRICED_LINES)
        buf_addf(out, "… and %zu more (--json has all)\n", n - UNPRICED_LINES);
}

// Whether the bytes can stand in a command that people copy.
static bool is_plain(struct str s)
{
    struct buf shown = {0};
    shown_add(&shown, s, s.n);
    bool plain = str_eq((struct str){shown.p, shown.n}, s);
    buf_free(&shown);
    return plain;
}

static void add_quoted(struct buf *out, struct str s)
{
    buf_addc(out, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\'')
            buf_adds(out, "'\\'");
        buf_addc(out, s.p[i]);
    }
    buf_addc(out, '\'');
}

// Without a model all are computed anew, which is right too, and takes longer.
static void add_command(struct buf *out, const struct unpriced_name *name,
                        const struct unpriced_range *r)
{
    buf_adds(out, "streamlens-admin reprice --from=");
    add_time(out, name->first_us);
    buf_adds(out, " --to=");
    add_time(out, name->last_us + US_PER_HOUR);
    if (is_plain(name->model)) {
        buf_adds(out, " --model=");
        add_quoted(out, name->model);
    }
    if (r->tenant && is_plain(str_of(r->tenant))) {
        buf_adds(out, " --tenant=");
        add_quoted(out, str_of(r->tenant));
    }
}

static void add_since_table(const struct unpriced *u, const struct unpriced_range *r,
                            struct buf *out)
{
    static const char *const titles[] = {"MODEL", "ASKED", "REQUESTS", "COMMAND"};
    struct table t = {.columns = ARRAY_LEN(titles)};
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        table_add(&t, titles[i]);
    for (size_t i = 0; i < u->since_n && i < UNPRICED_LINES; i++) {
        struct buf b = {0};
        add_name_cell(&t, u->since[i].model);
        add_name_cell(&t, u->since[i].asked);
        table_addf(&t, "%" PRId64, u->since[i].requests);
        add_command(&b, &u->since[i], r);
        take_cell(&t, &b);
    }
    table_render(&t, out);
}

static void add_share(struct buf *out, const char *what, int64_t requests, int64_t tokens,
                      int64_t of)
{
    if (requests == 0)
        return;
    double percent = 100.0 * (double)requests / (double)of;
    buf_addf(out, "%s: %" PRId64 " requests (%.2f %%), %" PRId64 " tokens\n", what, requests,
             percent, tokens);
}

void unpriced_add_text(const struct unpriced *u, const struct unpriced_range *r,
                       const struct catalogue *c, int64_t now_us, struct buf *out)
{
    struct price_nearest *nearest = price_nearest_new(c, INT64_MAX, now_us);
    if (u->n > 0)
        add_names_table(u, nearest, out);
    add_more(out, u->n);
    if (u->since_n > 0) {
        buf_adds(out, "priced since, and counted as before until their costs are computed anew:\n");
        add_since_table(u, r, out);
    }
    add_more(out, u->since_n);
    buf_adds(out, "hours that begin from ");
    add_time(out, r->from_us);
    buf_adds(out, " and before ");
    add_time(out, r->to_us);
    buf_addf(out, ": %" PRId64 " requests, %" PRId64 " tokens; by catalogue version %" PRId64 "\n",
             u->requests, u->tokens, catalogue_version(c));
    add_share(out, "without a price", u->unpriced_requests, u->unpriced_tokens, u->requests);
    add_share(out, "guessed", u->guessed_requests, u->guessed_tokens, u->requests);
    if (u->n == 0)
        buf_adds(out, "all of them have a price\n");
    price_nearest_free(nearest);
}

// ---- for programs ----

static void add_member(struct buf *out, const char *name, struct str s)
{
    buf_addf(out, "\"%s\":", name);
    if (s.p)
        shown_add_json(out, s);
    else
        buf_adds(out, "null");
}

static void add_instant(struct buf *out, const char *name, int64_t us)
{
    buf_addf(out, ",\"%s\":\"", name);
    add_time(out, us);
    buf_addc(out, '"');
}

static void add_head(struct buf *out, const struct unpriced_name *name)
{
    buf_addc(out, '{');
    add_member(out, "model", name->model);
    buf_addc(out, ',');
    add_member(out, "asked", name->asked.n ? name->asked : (struct str){NULL, 0});
    buf_addf(out, ",\"requests\":%" PRId64, name->requests);
}

static void add_tenants(struct buf *out, const struct unpriced_name *name)
{
    buf_addf(out, ",\"tenants\":%zu,\"tenant_ids\":", name->tenants);
    if (name->tenants > UNPRICED_TENANTS) {
        buf_adds(out, "null");
        return;
    }
    for (size_t i = 0; i < name->tenants; i++) {
        buf_addc(out, i ? ',' : '[');
        shown_add_json(out, name->tenant[i]);
    }
    buf_addc(out, ']');
}

static void add_name(struct buf *out, const struct unpriced_name *name,
                     const struct price_nearest *nearest)
{
    add_head(out, name);
    buf_addf(out, ",\"tokens\":%" PRId64 ",\"why\":\"%s\",", name->tokens,
             unpriced_why_name(name->why));
    add_member(out, "tier", name->tier);
    if (name->why == UNPRICED_NOT_YET)
        add_instant(out, "price_begins", name->card->effective_from_us);
    else
        buf_adds(out, ",\"price_begins\":null");
    add_instant(out, "first", name->first_us);
    add_instant(out, "last", name->last_us);
    add_tenants(out, name);
    buf_adds(out, ",\"nearest\":");
    if (!nearest) {
        buf_adds(out, "null}");
        return;
    }
    struct price_near near[PRICE_NEAREST_MAX];
    size_t count = hints(name, nearest, near);
    for (size_t i = 0; i < count; i++) {
        buf_adds(out, i ? ",{" : "[{");
        add_member(out, "model", str_of(near[i].card->model));
        buf_addc(out, ',');
        add_member(out, "name", str_of(near[i].name));
        buf_addc(out, '}');
    }
    buf_adds(out, count ? "]}" : "[]}");
}

static void add_since(struct buf *out, const struct unpriced_name *name)
{
    add_head(out, name);
    add_instant(out, "from", name->first_us);
    add_instant(out, "to", name->last_us + US_PER_HOUR);
    add_tenants(out, name);
    buf_addc(out, '}');
}

void unpriced_add_json(const struct unpriced *u, const struct unpriced_range *r,
                       const struct catalogue *c, int64_t now_us, struct buf *out)
{
    struct price_nearest *nearest = price_nearest_new(c, INT64_MAX, now_us);
    buf_addf(out, "{\"version\":%" PRId64, catalogue_version(c));
    add_instant(out, "from", r->from_us);
    add_instant(out, "to", r->to_us);
    buf_addf(out,
             ",\"requests\":%" PRId64 ",\"tokens\":%" PRId64 ",\"unpriced_requests\":%" PRId64
             ",\"unpriced_tokens\":%" PRId64 ",\"guessed_requests\":%" PRId64
             ",\"guessed_tokens\":%" PRId64 ",\"names\":[",
             u->requests, u->tokens, u->unpriced_requests, u->unpriced_tokens, u->guessed_requests,
             u->guessed_tokens);
    for (size_t i = 0; i < u->n; i++) {
        buf_adds(out, i ? ",\n" : "\n");
        add_name(out, &u->v[i], i < UNPRICED_HINTS ? nearest : NULL);
    }
    buf_adds(out, "],\"priced_since\":[");
    for (size_t i = 0; i < u->since_n; i++) {
        buf_adds(out, i ? ",\n" : "\n");
        add_since(out, &u->since[i]);
    }
    buf_adds(out, "]}\n");
    price_nearest_free(nearest);
}
