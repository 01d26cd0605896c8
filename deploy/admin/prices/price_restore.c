// SPDX-License-Identifier: Apache-2.0
// price restore and price versions.
#include "deploy/admin/prices/price.h"

#include <inttypes.h>

#include "common/core/timeunit.h"
#include "deploy/admin/prices/price_change.h"
#include "deploy/admin/prices/prices_pg.h"
#include "deploy/admin/prices/restore_plan.h"
#include "deploy/admin/shown.h"
#include "deploy/admin/table.h"

#define CARDS_SHOWN 50
#define NOTE_MOST 100

static void print(struct buf *out)
{
    fwrite(out->p ? out->p : "", 1, out->n, stdout);
    buf_free(out);
}

// ---- restore ----

static void describe(const struct prices *p, const struct restore_plan *plan, struct buf *out)
{
    for (size_t i = 0; i < plan->count && i < CARDS_SHOWN; i++)
        price_change_describe(prices_catalogue(p), &plan->cards[i], out);
    if (plan->count > CARDS_SHOWN)
        buf_addf(out, "... and %zu more\n", plan->count - CARDS_SHOWN);
}

static int add(struct prices *p, int64_t version, const struct restore_plan *plan, struct err *e)
{
    struct buf out = {0};
    struct prices_version head = {.origin = PRICES_RESTORE, .restores = version, .note = ""};
    int64_t added;
    if (plan->count == 0) {
        printf("prices are as they were as of version %" PRId64 "\n", version);
        return 0;
    }
    describe(p, plan, &out);
    int rc = prices_add(p, &head, plan->cards, plan->count, &added, e);
    if (rc == 0) {
        buf_addf(&out,
                 "added as version %" PRId64 ": prices are as they were as of version %" PRId64
                 "\nrows that are written keep their cost: streamlens-admin reprice computes it "
                 "anew\n",
                 added, version);
        print(&out);
    }
    buf_free(&out);
    return rc;
}

static int restore(struct prices *p, int64_t version, struct err *e)
{
    struct restore_plan plan;
    if (!prices_version(p, version))
        return err_field(e, "VERSION", -1,
                         "%" PRId64 " is none of the catalogue's; streamlens-admin price versions "
                         "lists them",
                         version);
    if (restore_plan_make(prices_catalogue(p), version, &plan, e) < 0)
        return -1;
    int rc = add(p, version, &plan, e);
    restore_plan_free(&plan);
    return rc;
}

int price_restore(const struct config *c, const struct args *a, struct err *e)
{
    int64_t version;
    if (!args_number(str_of(a->words[0]), &version)) {
        err_field(e, "VERSION", -1, "is \"%.60s\"; want a number", a->words[0]);
        return ARGS_WRONG;
    }
    struct prices *p = prices_open(c, e);
    int rc = p ? prices_begin(p, e) : -1;
    if (rc == 0)
        rc = restore(p, version, e);
    prices_close(p);
    return rc;
}

// ---- versions ----

// How many cards each of the versions has, in their order; the caller frees it.
static size_t *count_cards(const struct prices *p)
{
    const struct catalogue *c = prices_catalogue(p);
    size_t *counts = xcalloc(prices_version_count(p) + 1, sizeof(*counts));
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct prices_version *v = prices_version(p, catalogue_at(c, i)->version);
        if (v)
            counts[v - prices_version_at(p, 0)]++;
    }
    return counts;
}

static void add_text(const struct prices *p, const size_t *counts, struct buf *out)
{
    static const char *const titles[] = {"VERSION", "ORIGIN", "CARDS", "CREATED", "NOTE"};
    struct table t = {.columns = ARRAY_LEN(titles)};
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        table_add(&t, titles[i]);
    for (size_t i = 0; i < prices_version_count(p); i++) {
        const struct prices_version *v = prices_version_at(p, i);
        struct buf note = {0};
        char created[TIME_RFC3339_MAX];
        time_format_rfc3339(time_floor_us(v->created_us, US_PER_S), created);
        table_addf(&t, "%" PRId64, v->version);
        if (v->origin == PRICES_RESTORE)
            table_addf(&t, "restore of %" PRId64, v->restores);
        else
            table_add(&t, prices_origin_name(v->origin));
        table_addf(&t, "%zu", counts[i]);
        table_add(&t, created);
        shown_add(&note, str_of(v->note), NOTE_MOST);
        table_addf(&t, "%.*s", (int)note.n, note.n ? note.p : "");
        buf_free(&note);
    }
    table_render(&t, out);
}

static void add_json(const struct prices *p, const size_t *counts, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < prices_version_count(p); i++) {
        const struct prices_version *v = prices_version_at(p, i);
        char created[TIME_RFC3339_MAX];
        time_format_rfc3339(v->created_us, created);
        buf_addf(out,
                 "%s{\"version\":%" PRId64 ",\"origin\":\"%s\",\"restores\":", i ? ",\n" : "\n",
                 v->version, prices_origin_name(v->origin));
        if (v->origin == PRICES_RESTORE)
            buf_addf(out, "%" PRId64, v->restores);
        else
            buf_adds(out, "null");
        buf_addf(out, ",\"cards\":%zu,\"created_at\":\"%s\",\"note\":", counts[i], created);
        shown_add_json(out, str_of(v->note));
        buf_addc(out, '}');
    }
    buf_adds(out, "\n]\n");
}

int price_versions(const struct config *c, const struct args *a, struct err *e)
{
    struct prices *p = prices_open(c, e);
    int rc = p ? prices_read(p, e) : -1;
    if (rc == 0) {
        struct buf out = {0};
        size_t *counts = count_cards(p);
        if (args_get(a, "json"))
            add_json(p, counts, &out);
        else
            add_text(p, counts, &out);
        print(&out);
        free(counts);
    }
    prices_close(p);
    return rc;
}
