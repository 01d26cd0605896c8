// SPDX-License-Identifier: Apache-2.0
// The order matters. The version is chosen first, and flushes that began before it was there are
// waited for: every row that comes later is priced by it. Then the difference is summed and said,
// and only then the rows are changed.
#include "deploy/admin/reprice/reprice.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/core/event.h"
#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/price_pg.h"
#include "deploy/admin/setup/positions_pg.h"
#include "deploy/admin/prices/price_cuts.h"
#include "deploy/admin/reprice/reprice_diff.h"
#include "deploy/admin/reprice/reprice_rows_pg.h"
#include "deploy/admin/prices/used_pg.h"

#define LIST_MOST 1000
#define SAY_EVERY_US (5 * US_PER_S)

// ---- what is asked for ----

struct wishes {
    struct reprice_request request;
    bool dry_run, json;
};

static int read_minute(const struct args *a, const char *name, int64_t *out_us, struct err *e)
{
    if (args_time(a, name, out_us, e) < 0)
        return ARGS_WRONG;
    if (time_floor_us(*out_us, US_PER_MIN) == *out_us)
        return 0;
    char field[16];
    snprintf(field, sizeof(field), "--%s", name);
    err_field(e, field, -1, "is \"%.60s\"; want a whole minute", args_get(a, name));
    return ARGS_WRONG;
}

static int read_name(const struct args *a, const char *name, const char **out, struct err *e)
{
    char field[16];
    snprintf(field, sizeof(field), "--%s", name);
    *out = args_get(a, name);
    return *out && event_check_name(field, str_of(*out), e) < 0 ? ARGS_WRONG : 0;
}

static int read_wishes(const struct args *a, struct wishes *out, struct err *e)
{
    struct reprice_request *r = &out->request;
    *out = (struct wishes){.dry_run = args_get(a, "dry-run"), .json = args_get(a, "json")};
    if (read_minute(a, "from", &r->from_us, e) < 0 || read_minute(a, "to", &r->to_us, e) < 0 ||
        read_name(a, "tenant", &r->tenant, e) < 0 || read_name(a, "model", &r->model, e) < 0)
        return ARGS_WRONG;
    if (r->from_us < r->to_us)
        return 0;
    err_field(e, "--to", -1,
              "is not later than --from; windows that begin from --from on and before --to are "
              "priced anew");
    return ARGS_WRONG;
}

static void print(struct buf *out)
{
    fwrite(out->p, 1, out->n, stdout);
    buf_clear(out);
}

// ---- one correction ----

struct correction {
    const struct wishes *wishes;
    struct reprice_request request; // with its version
    struct db *db;
    struct catalogue *catalogue;
    int64_t minutes_from_us, hours_from_us; // kept
    int64_t *cuts_us;
    struct reprice_names names; // that --model asks for
    struct reprice_scope scope;
    struct reprice_diff diff;
    struct used minutes, hours; // what the diff points into
    struct reprice_stored stored;
    int64_t first_us, last_us; // of the windows with usage; first > last: none
};

static int read_prices(struct correction *c, struct err *e)
{
    PGresult *r = db_query(c->db, "reading the prices", price_pg_select, 0, NULL, e);
    c->catalogue = catalogue_new();
    int rc = r ? price_pg_read(r, c->catalogue, e) : -1;
    PQclear(r);
    c->request.version = catalogue_version(c->catalogue);
    if (rc == 0 && c->request.version == 0)
        return err_set(e, "there are no prices; streamlens-admin setup loads the default ones");
    c->scope.catalogue = c->catalogue;
    c->scope.version = c->request.version;
    c->scope.cut_count =
        price_cuts(c->catalogue, c->request.from_us, c->request.to_us, NULL, 0, &c->cuts_us);
    c->scope.cuts_us = c->cuts_us;
    return rc;
}

static int check_hour(const struct correction *c, const char *field, int64_t at_us, struct err *e)
{
    if (at_us >= c->minutes_from_us || time_floor_us(at_us, US_PER_HOUR) == at_us)
        return 0;
    char kept[TIME_RFC3339_MAX];
    time_format_rfc3339(c->minutes_from_us, kept);
    err_field(e, field, -1,
              "is before %s, and of what is older only hours are kept; want a whole "
              "hour",
              kept);
    return ARGS_WRONG;
}

static int prepare(struct correction *c, struct err *e)
{
    if (db_check_tenant(c->db, c->request.tenant, e) < 0 || read_prices(c, e) < 0 ||
        reprice_kept(c->db, &c->minutes_from_us, &c->hours_from_us, e) < 0)
        return -1;
    int rc = check_hour(c, "--from", c->request.from_us, e);
    return rc < 0 ? rc : check_hour(c, "--to", c->request.to_us, e);
}

static void clear(struct correction *c)
{
    reprice_diff_free(&c->diff);
    used_free(&c->minutes);
    used_free(&c->hours);
    reprice_names_free(&c->names);
    free(c->cuts_us);
    catalogue_free(c->catalogue);
    db_close(c->db);
}

// ---- the difference ----

// Of the request that part whose minutes are there, or gone; empty where to_us <= from_us.
static struct reprice_request part_of(const struct correction *c, bool minutes)
{
    struct reprice_request r = c->request;
    r.from_us = max_i64(r.from_us, minutes ? c->minutes_from_us : c->hours_from_us);
    if (!minutes)
        r.to_us = min_i64(r.to_us, c->minutes_from_us);
    return r;
}

static int read_used(struct correction *c, bool minutes, bool all, struct used *out, struct err *e)
{
    struct reprice_request part = part_of(c, minutes);
    if (part.from_us >= part.to_us)
        return 0;
    int64_t *hour_cuts = NULL;
    size_t hour_cut_count = reprice_hour_cuts(c->cuts_us, c->scope.cut_count, &hour_cuts);
    struct str *models = xcalloc(c->names.n + 1, sizeof(*models));
    for (size_t i = 0; i < c->names.n; i++)
        models[i] = str_of(c->names.v[i]);
    struct used_range range = {
        .from_us = part.from_us,
        .to_us = part.to_us,
        .tenant = part.tenant,
        .cuts_us = minutes ? c->cuts_us : hour_cuts,
        .cut_count = all       ? 0
                     : minutes ? c->scope.cut_count
                               : hour_cut_count,
        .minutes = minutes,
        .models = models,
        .model_count = all ? 0 : c->names.n,
    };
    int rc = used_read(c->db, &range, out, e);
    free(models);
    free(hour_cuts);
    return rc;
}

// The names that usage bears, and that --model means.
static int read_names(struct correction *c, struct err *e)
{
    struct reprice_names wanted = {0};
    reprice_names_want(&wanted, c->catalogue, str_of(c->request.model));
    int rc = 0;
    for (int minutes = 0; rc == 0 && minutes < 2; minutes++) {
        struct used all = {0};
        rc = read_used(c, minutes, true, &all, e);
        for (size_t i = 0; i < all.n; i++) {
            reprice_names_take(&c->names, &wanted, all.v[i].key.model);
            reprice_names_take(&c->names, &wanted, all.v[i].key.asked);
        }
        used_free(&all);
    }
    reprice_names_free(&wanted);
    if (rc == 0 && c->names.n == 0)
        return err_field(e, "--model", -1,
                         "\"%.100s\" is no name that usage of the range bears, nor is one of them "
                         "found by it",
                         c->request.model);
    c->scope.names = &c->names;
    return rc;
}

// An hour inside of which a price changes cannot be priced as a whole.
static bool moves(const struct correction *c, const struct used_line *l)
{
    struct usage_line line = {.key = l->key, .sum = l->sum};
    const struct usage_lines lines = {.v = &line, .n = 1};
    return reprice_moves(&c->scope, l->at_us, l->at_us + US_PER_HOUR, str_of(l->tenant), &lines);
}

static int add_part(struct correction *c, bool minutes, struct used *used, struct err *e)
{
    struct reprice_request part = part_of(c, minutes);
    if (part.from_us >= part.to_us)
        return 0;
    if (read_used(c, minutes, false, used, e) < 0)
        return -1;
    for (size_t i = 0; i < used->n; i++) {
        const struct used_line *l = &used->v[i];
        c->first_us = min_i64(c->first_us, l->first_us);
        c->last_us = max_i64(c->last_us, l->last_us);
        if (minutes || !moves(c, l))
            reprice_diff_add(&c->diff, c->catalogue, c->request.version, l->price_version, l->at_us,
                             str_of(l->tenant), &l->key, &l->sum);
    }
    // What hours hold is the sum of minutes that several versions priced.
    if (!minutes)
        return 0;
    c->stored.by_versions = c->diff.total.before.estimated;
    return reprice_stored_cost(c->db, &part, c->scope.names, &c->stored.stored, e);
}

static int compare(struct correction *c, struct err *e)
{
    c->first_us = INT64_MAX;
    c->last_us = INT64_MIN;
    if (db_exec(c->db, "beginning",
                "SET statement_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                e) < 0 ||
        (c->request.model && read_names(c, e) < 0) || add_part(c, true, &c->minutes, e) < 0 ||
        add_part(c, false, &c->hours, e) < 0)
        return -1;
    reprice_diff_order(&c->diff);
    return db_exec(c->db, "reading", "COMMIT", e);
}

static void say_difference(const struct correction *c)
{
    struct buf out = {0};
    if (c->wishes->json) {
        reprice_add_diff_json(&out, &c->request, &c->diff, &c->stored);
    } else {
        buf_addf(&out, "priced anew by version %" PRId64 " of the prices:\n", c->request.version);
        reprice_add_diff_text(&out, &c->diff, &c->stored);
        if (c->wishes->dry_run)
            buf_adds(&out, "nothing was changed (--dry-run)\n");
    }
    print(&out);
    buf_free(&out);
}

// ---- the change ----

struct applying {
    struct correction *c;
    struct reprice_job job;
    struct reprice_progress progress;
    int64_t began_us, said_us; // by clock_mono_us()
};

// Every few seconds it is kept, and said, how far it is.
static int tick(struct applying *a, struct err *e)
{
    int64_t now_us = clock_mono_us();
    if (now_us - a->said_us < SAY_EVERY_US)
        return 0;
    a->said_us = now_us;
    fprintf(stderr, "streamlens-admin: %.1f %% done, %" PRId64 " rows changed, %" PRId64 " s\n",
            reprice_percent(&a->c->request, a->progress.next_hour_us), a->job.rows_changed,
            (now_us - a->began_us) / US_PER_S);
    if (reprice_save(a->c->db, a->job.id, &a->progress, e) < 0)
        return -1;
    a->progress.more = (struct reprice_counts){0};
    return 0;
}

static int apply_pages(struct applying *a, const struct reprice_hour *hour, const PGresult *series,
                       struct err *e)
{
    for (int next = 0; next < PQntuples(series);)
        if (reprice_page(&a->job, hour, series, &next, &a->progress, e) < 0 || tick(a, e) < 0)
            return -1;
    a->progress.next_hour_us = hour->begin_us + US_PER_HOUR;
    a->progress.done_series = 0;
    return tick(a, e);
}

static int apply_hour(struct applying *a, struct err *e)
{
    int64_t begin_us = a->progress.next_hour_us;
    bool gone = begin_us < a->c->minutes_from_us;
    const struct reprice_hour hour = {
        .begin_us = begin_us,
        .from_us = max_i64(begin_us, a->c->request.from_us),
        .to_us = min_i64(begin_us + US_PER_HOUR, a->c->request.to_us),
        .minutes_gone = gone,
    };
    PGresult *series = reprice_series(&a->job, begin_us, a->progress.done_series, e);
    int rc = series ? apply_pages(a, &hour, series, e) : -1;
    PQclear(series);
    return rc;
}

static void say_begin(const struct applying *a, const struct reprice_run *run)
{
    char began[TIME_RFC3339_MAX];
    if (a->c->wishes->json)
        return;
    time_format_rfc3339(time_floor_us(run->created_us, US_PER_S), began);
    if (run->goes_on)
        printf("going on with correction %" PRId64 " of %s, %.1f %% done\n", run->id, began,
               reprice_percent(&a->c->request, run->next_hour_us));
    else
        printf("correction %" PRId64 " begins\n", run->id);
}

static void say_result(const struct applying *a, const struct reprice_run *run,
                       const struct reprice_counts *counts)
{
    struct buf out = {0};
    const struct reprice_result r = {
        .id = run->id,
        .went_on = run->goes_on,
        .counts = *counts,
        .rows_read = a->job.rows_read,
        .seconds = (double)(clock_mono_us() - a->began_us) / US_PER_S,
    };
    if (a->c->wishes->json)
        reprice_add_result_json(&out, &r);
    else
        reprice_add_result_text(&out, &r);
    print(&out);
    buf_free(&out);
}

static int apply(struct correction *c, struct err *e)
{
    struct reprice_run run;
    struct reprice_counts counts;
    int64_t now_us = clock_mono_us();
    // Without any usage nothing is done, and that is noted too.
    int64_t first_us =
        time_floor_us(c->first_us <= c->last_us ? c->first_us : c->request.from_us, US_PER_HOUR);
    struct applying a = {.c = c, .began_us = now_us, .said_us = now_us};
    if (reprice_prepare(c->db, e) < 0 || reprice_begin(c->db, &c->request, first_us, &run, e) < 0)
        return -1;
    a.job = (struct reprice_job){
        .db = c->db, .scope = &c->scope, .tenant = c->request.tenant, .id = run.id};
    a.progress.next_hour_us = run.next_hour_us;
    a.progress.done_series = run.done_series;
    say_begin(&a, &run);
    while (a.progress.next_hour_us <= c->last_us)
        if (apply_hour(&a, e) < 0) {
            const struct err why = *e;
            return err_set(e, "%.400s; the same command goes on from there", why.detail);
        }
    if (reprice_finish(c->db, run.id, &a.progress, &counts, e) < 0)
        return -1;
    say_result(&a, &run, &counts);
    return 0;
}

// Flushes that began before the version was there may still add rows that it does not price.
static int wait_for_flushes(struct db *db, struct err *e)
{
    if (positions_lock(db, e) < 0)
        return -1;
    return db_exec(db, "waiting for flushes", "COMMIT", e);
}

static int correct(struct correction *c, struct err *e)
{
    int rc = prepare(c, e);
    if (rc < 0)
        return rc;
    if (!c->wishes->dry_run && wait_for_flushes(c->db, e) < 0)
        return -1;
    if (compare(c, e) < 0)
        return -1;
    say_difference(c);
    return c->wishes->dry_run ? 0 : apply(c, e);
}

// ---- the list ----

static int list(const struct config *config, bool json, struct err *e)
{
    struct db *db = db_open_set_up(config, e);
    struct reprice_record *v = NULL;
    size_t n = 0;
    int rc = db ? reprice_list(db, LIST_MOST, &v, &n, e) : -1;
    struct buf out = {0};
    if (rc == 0 && json)
        reprice_add_list_json(&out, v, n);
    else if (rc == 0)
        reprice_add_list_text(&out, v, n);
    print(&out);
    buf_free(&out);
    reprice_records_free(v, n);
    db_close(db);
    return rc;
}

static int check_list(const struct args *a, struct err *e)
{
    static const char *const others[] = {"from", "to", "model", "tenant", "dry-run"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (args_get(a, others[i])) {
            err_field(e, "--list", -1, "shows all corrections; leave --%s out", others[i]);
            return ARGS_WRONG;
        }
    return 0;
}

int reprice_command(const struct config *config, const struct args *a, struct err *e)
{
    if (args_get(a, "list"))
        return check_list(a, e) < 0 ? ARGS_WRONG : list(config, args_get(a, "json"), e);
    struct wishes wishes;
    if (read_wishes(a, &wishes, e) < 0)
        return ARGS_WRONG;
    struct correction c = {.wishes = &wishes, .request = wishes.request};
    c.db = db_open_set_up(config, e);
    int rc = c.db ? 0 : -1;
    if (rc == 0 && !wishes.dry_run)
        rc = db_lock_maintenance(c.db, e);
    if (rc == 0)
        rc = correct(&c, e);
    clear(&c);
    return rc;
}
