// SPDX-License-Identifier: Apache-2.0
// price import and price diff: from somebody else's list to a version of the catalogue.
#include "deploy/admin/prices/price.h"

#include <inttypes.h>

#include "common/core/timeunit.h"
#include "deploy/admin/prices/import_report.h"
#include "deploy/admin/prices/price_change.h"
#include "deploy/admin/prices/price_input.h"
#include "deploy/admin/prices/prices_pg.h"
#include "deploy/admin/prices/used_pg.h"

#define USED_DAYS 7

struct import {
    const struct args *args;
    bool applies;          // price diff changes nothing
    int64_t given_from_us; // --effective-from, INT64_MIN: not given
    struct import_list list;
    struct prices *prices;
    struct used used;
    struct price_use *uses; // of `used`
    struct str *names;      // that these lines have
    size_t name_count;
    int64_t used_from_us, used_to_us;
    struct import_plan plan, all; // all: with what is in conflict too, where something is
    struct price_effects effects, all_effects;
    struct import_report report;
};

static void import_free(struct import *im)
{
    price_effects_free(&im->effects);
    price_effects_free(&im->all_effects);
    import_plan_free(&im->plan);
    import_plan_free(&im->all);
    free(im->uses);
    free(im->names);
    used_free(&im->used);
    prices_close(im->prices);
    import_list_free(&im->list);
}

static int read_time(struct import *im, struct err *e)
{
    struct str text = args_str(im->args, "effective-from", NULL);
    im->given_from_us = INT64_MIN;
    if (!text.p)
        return 0;
    if (time_parse_rfc3339(text, &im->given_from_us) == 0 && im->given_from_us % US_PER_MIN == 0)
        return 0;
    err_field(e, "--effective-from", -1,
              "is \"%.60s\"; want a whole minute such as 2027-01-31T00:00:00Z", text.p);
    return ARGS_WRONG;
}

static int read_list(struct import *im, struct err *e)
{
    struct buf text = {0};
    int rc = price_input_read(im->args->words[0], &text, e);
    if (rc == 0)
        rc = import_list_read((struct str){text.p, text.n}, &im->list, e);
    buf_free(&text);
    return rc;
}

// ---- what was used ----

static void take_uses(struct import *im)
{
    const struct used *u = &im->used;
    im->uses = xcalloc(u->n + 1, sizeof(*im->uses));
    im->names = xcalloc(2 * u->n + 1, sizeof(*im->names));
    for (size_t i = 0; i < u->n; i++) {
        const struct usage_key *key = &u->v[i].key, *last = i > 0 ? &u->v[i - 1].key : NULL;
        im->uses[i] = (struct price_use){str_of(u->v[i].tenant), *key, u->v[i].sum};
        if (last && str_eq(last->model, key->model) && str_eq(last->asked, key->asked))
            continue;
        im->names[im->name_count++] = key->model;
        if (key->asked.n > 0)
            im->names[im->name_count++] = key->asked;
    }
}

static int read_used(struct import *im, struct err *e)
{
    struct db *db = prices_db(im->prices);
    PGresult *r =
        db_query(db, "reading the clock", "SELECT " DB_US("clock_timestamp()"), 0, NULL, e);
    if (!r)
        return -1;
    im->used_to_us = db_int(r, 0, 0);
    PQclear(r);
    im->used_from_us =
        time_floor_us(im->used_to_us, US_PER_HOUR) - USED_DAYS * 24 * (int64_t)US_PER_HOUR;
    // Whoever sends names without end must not keep the operator from prices.
    struct used_range range = {
        .from_us = im->used_from_us, .to_us = im->used_to_us, .most_used = true};
    if (used_read(db, &range, &im->used, e) < 0)
        return -1;
    take_uses(im);
    return 0;
}

// ---- what it comes to ----

static bool is_set(const void *ctx, const struct price_card *card)
{
    return prices_origin_of(ctx, card) == PRICES_SET;
}

// The instant at which everything that is added holds.
static int64_t holds_at(const struct import_plan *plan, int64_t from_us)
{
    for (size_t i = 0; i < plan->card_count; i++)
        from_us = max_i64(from_us, plan->cards[i].effective_from_us);
    return from_us;
}

static void weigh(const struct import *im, const struct import_plan *plan, int64_t from_us,
                  struct price_effects *out)
{
    int64_t at_us = holds_at(plan, from_us);
    struct price_side before = {prices_catalogue(im->prices), INT64_MAX, at_us};
    struct price_side after = {plan->after, INT64_MAX, at_us};
    price_effects_make(im->uses, im->used.n, &before, &after, out);
}

static int plan(struct import *im, struct err *e)
{
    int64_t earliest_us = price_change_earliest_us(prices_now_us(im->prices));
    struct import_rules rules = {
        .known = prices_catalogue(im->prices),
        .earliest_us = earliest_us,
        .from_us = im->given_from_us != INT64_MIN ? im->given_from_us : earliest_us,
        .override = args_get(im->args, "override") != NULL,
        .is_set = is_set,
        .ctx = im->prices,
        .used = im->names,
        .used_count = im->name_count,
    };
    im->report = (struct import_report){
        .list = &im->list,
        .plan = &im->plan,
        .known = rules.known,
        .effects = &im->effects,
        .all = &im->effects,
        .from_us = rules.from_us,
        .used_from_us = im->used_from_us,
        .used_to_us = im->used_to_us,
        .used_left_out = im->used.left_out,
    };
    if (import_plan_make(&im->list, &rules, &im->plan, e) < 0)
        return -1;
    weigh(im, &im->plan, rules.from_us, &im->effects);
    if (im->plan.counts[IMPORT_CONFLICT] == 0)
        return 0;
    rules.override = true;
    if (import_plan_make(&im->list, &rules, &im->all, e) < 0)
        return -1;
    weigh(im, &im->all, rules.from_us, &im->all_effects);
    im->report.all = &im->all_effects;
    return 0;
}

// ---- doing it ----

// *version stays 0 where nothing is added.
static int add(struct import *im, int64_t *version, struct err *e)
{
    struct buf note = {0};
    if (!im->applies || im->plan.card_count == 0)
        return 0;
    price_input_note(im->args, &note);
    struct prices_version head = {.origin = PRICES_IMPORT, .note = note.p};
    int rc = prices_add(im->prices, &head, im->plan.cards, im->plan.card_count, version, e);
    buf_free(&note);
    return rc;
}

static void add_outcome(const struct import *im, int64_t version, struct buf *out)
{
    if (im->plan.card_count == 0)
        buf_adds(out, "nothing changes\n");
    else if (version > 0)
        buf_addf(out, "added as version %" PRId64 "\n", version);
    else
        buf_adds(out, "nothing is changed yet: price import does it\n");
    if (version > 0 && im->given_from_us < prices_now_us(im->prices) &&
        im->given_from_us != INT64_MIN)
        buf_adds(out, "rows that are written keep their cost: streamlens-admin reprice computes it "
                      "anew\n");
}

static int stop_at_slips(const struct import *im, struct err *e)
{
    return err_set(e,
                   "%zu price%s like a slip of the unit, and nothing is changed: --force takes "
                   "them as they are; a model that you give a price by price set is left out",
                   im->plan.slips, im->plan.slips == 1 ? " looks" : "s look");
}

static int conclude(struct import *im, struct err *e)
{
    struct buf out = {0};
    int64_t version = 0;
    bool json = args_get(im->args, "json") != NULL;
    bool stops = im->plan.slips > 0 && !args_get(im->args, "force");
    int rc = stops ? 0 : add(im, &version, e);
    if (rc == 0 && json) {
        import_report_add_json(&im->report, version, &out);
    } else if (rc == 0) {
        import_report_add_text(&im->report, &out);
        import_report_add_slips(&im->report, &out);
        if (!stops)
            add_outcome(im, version, &out);
    }
    fwrite(out.p ? out.p : "", 1, out.n, stdout);
    buf_free(&out);
    return rc == 0 && stops ? stop_at_slips(im, e) : rc;
}

// The list and the usage are read before the lock is taken: both may take their time.
static int run(const struct config *c, const struct args *a, bool applies, struct err *e)
{
    struct import im = {.args = a, .applies = applies};
    int rc = read_time(&im, e);
    if (rc == 0)
        rc = read_list(&im, e);
    if (rc == 0 && !(im.prices = prices_open(c, e)))
        rc = -1;
    if (rc == 0)
        rc = read_used(&im, e);
    if (rc == 0)
        rc = applies ? prices_begin(im.prices, e) : prices_read(im.prices, e);
    if (rc == 0)
        rc = plan(&im, e);
    if (rc == 0)
        rc = conclude(&im, e);
    import_free(&im);
    return rc;
}

int price_import(const struct config *c, const struct args *a, struct err *e)
{
    return run(c, a, true, e);
}

int price_diff(const struct config *c, const struct args *a, struct err *e)
{
    return run(c, a, false, e);
}
