// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/reprice/reprice_show.h"

#include <inttypes.h>

#include "common/core/timeunit.h"
#include "deploy/admin/shown.h"
#include "deploy/admin/table.h"

#define NAME_MOST 80 // bytes of a name in a table

// ---- parts ----

static void add_usd_cell(struct table *t, money m, bool signed_)
{
    struct buf b = {0};
    if (signed_ && m > 0)
        buf_addc(&b, '+');
    money_add_decimal(&b, m);
    table_addf(t, "%.*s", (int)b.n, b.p);
    buf_free(&b);
}

static void add_name_cell(struct table *t, const char *name, const char *none)
{
    struct buf b = {0};
    if (name)
        shown_add(&b, str_of(name), NAME_MOST);
    else
        buf_adds(&b, none);
    table_addf(t, "%.*s", (int)b.n, b.n ? b.p : "");
    buf_free(&b);
}

static void add_time_cell(struct table *t, int64_t us)
{
    char text[TIME_RFC3339_MAX];
    time_format_rfc3339(time_floor_us(us, US_PER_S), text);
    table_add(t, text);
}

static void add_usd(struct buf *out, money m, bool signed_)
{
    if (signed_ && m > 0)
        buf_addc(out, '+');
    money_add_decimal(out, m);
}

static void add_json_usd(struct buf *out, const char *name, money m)
{
    buf_addf(out, ",\"%s\":\"", name);
    money_add_decimal(out, m);
    buf_addc(out, '"');
}

static void add_json_name(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, ",\"%s\":", name);
    if (value)
        shown_add_json(out, str_of(value));
    else
        buf_adds(out, "null");
}

static void add_json_time(struct buf *out, const char *name, int64_t us)
{
    char text[TIME_RFC3339_MAX];
    if (us == INT64_MIN) {
        buf_addf(out, ",\"%s\":null", name);
        return;
    }
    time_format_rfc3339(us, text);
    buf_addf(out, ",\"%s\":\"%s\"", name, text);
}

double reprice_percent(const struct reprice_request *r, int64_t next_hour_us)
{
    int64_t done_us = max_i64(min_i64(next_hour_us, r->to_us) - r->from_us, 0);
    return 100.0 * (double)done_us / (double)(r->to_us - r->from_us);
}

// ---- the difference ----

static void add_model_row(struct table *t, const struct reprice_model *m, const char *name)
{
    struct buf b = {0};
    if (name)
        buf_adds(&b, name);
    else
        shown_add(&b, m->model, NAME_MOST);
    table_addf(t, "%.*s", (int)b.n, b.n ? b.p : "");
    buf_free(&b);
    table_addf(t, "%" PRId64, m->requests);
    table_addf(t, "%" PRId64, m->tokens);
    add_usd_cell(t, m->before.estimated, false);
    add_usd_cell(t, m->after.estimated, false);
    add_usd_cell(t, reprice_model_change(m), true);
    table_addf(t, "%" PRId64, m->now_priced);
    table_addf(t, "%" PRId64, m->now_unpriced);
}

static void add_count(struct buf *out, size_t n, const char *what)
{
    buf_addf(out, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

static void add_stored_text(struct buf *out, const struct reprice_stored *s)
{
    if (s->stored == s->by_versions)
        return;
    buf_adds(out, "rows of minutes hold ");
    add_usd(out, s->stored, false);
    buf_adds(out, " USD, ");
    add_usd(out, money_add(s->stored, -s->by_versions), true);
    buf_adds(out, " against what the versions that they name give: some were priced by a version "
                  "that could not be used\n");
}

void reprice_add_diff_text(struct buf *out, const struct reprice_diff *d,
                           const struct reprice_stored *s)
{
    static const char *const titles[] = {"MODEL",     "REQUESTS",   "TOKENS",     "BEFORE USD",
                                         "AFTER USD", "CHANGE USD", "NOW PRICED", "NOW UNPRICED"};
    struct table t = {.columns = ARRAY_LEN(titles)};
    size_t changing = 0;
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        table_add(&t, titles[i]);
    for (size_t i = 0; i < d->n; i++) {
        if (!reprice_model_changes(d->v[i]))
            continue;
        if (++changing <= REPRICE_MODELS_SHOWN)
            add_model_row(&t, d->v[i], NULL);
    }
    add_model_row(&t, &d->total, "total");
    table_render(&t, out);
    if (changing > REPRICE_MODELS_SHOWN) {
        buf_adds(out, "… and ");
        add_count(out, changing - REPRICE_MODELS_SHOWN, "more model");
        buf_adds(out, " (--json has all)\n");
    }
    if (d->n > changing) {
        add_count(out, d->n - changing, changing ? "other model" : "model");
        buf_adds(out, " without a change\n");
    }
    add_stored_text(out, s);
}

static void add_model_json(struct buf *out, const struct reprice_model *m)
{
    buf_addf(out, "\"requests\":%" PRId64 ",\"tokens\":%" PRId64, m->requests, m->tokens);
    add_json_usd(out, "before_usd", m->before.estimated);
    add_json_usd(out, "after_usd", m->after.estimated);
    add_json_usd(out, "change_usd", reprice_model_change(m));
    buf_addf(out,
             ",\"before_unpriced_requests\":%" PRId64 ",\"after_unpriced_requests\":%" PRId64
             ",\"before_guessed_requests\":%" PRId64 ",\"after_guessed_requests\":%" PRId64
             ",\"now_priced_requests\":%" PRId64 ",\"now_unpriced_requests\":%" PRId64,
             m->before.unpriced_requests, m->after.unpriced_requests, m->before.guessed_requests,
             m->after.guessed_requests, m->now_priced, m->now_unpriced);
}

static void add_request_json(struct buf *out, const struct reprice_request *r)
{
    buf_addf(out, "\"price_version\":%" PRId64, r->version);
    add_json_time(out, "from", r->from_us);
    add_json_time(out, "to", r->to_us);
    add_json_name(out, "tenant_id", r->tenant);
    add_json_name(out, "model", r->model);
}

void reprice_add_diff_json(struct buf *out, const struct reprice_request *r,
                           const struct reprice_diff *d, const struct reprice_stored *s)
{
    buf_adds(out, "{\"difference\":{");
    add_request_json(out, r);
    buf_adds(out, ",\"models\":[");
    for (size_t i = 0; i < d->n; i++) {
        buf_adds(out, i ? ",{\"model\":" : "{\"model\":");
        shown_add_json(out, d->v[i]->model);
        buf_addc(out, ',');
        add_model_json(out, d->v[i]);
        buf_addc(out, '}');
    }
    buf_adds(out, "],\"total\":{");
    add_model_json(out, &d->total);
    buf_addc(out, '}');
    add_json_usd(out, "stored_usd", s->stored);
    add_json_usd(out, "by_versions_usd", s->by_versions);
    buf_adds(out, "}}\n");
}

// ---- the result ----

static double per_million(const struct reprice_result *r)
{
    return r->rows_read > 0 ? r->seconds * 1e6 / (double)r->rows_read : 0;
}

void reprice_add_result_text(struct buf *out, const struct reprice_result *r)
{
    buf_addf(out,
             "correction %" PRId64 ": %" PRId64 " rows and %" PRId64 " hours changed, cost change ",
             r->id, r->counts.rows, r->counts.hours);
    add_usd(out, r->counts.cost_change, true);
    buf_addf(out, " USD; %s%.1f s, %" PRId64 " rows read, %.1f s a million\n",
             r->went_on ? "the rest in " : "", r->seconds, r->rows_read, per_million(r));
    if (r->counts.hours_left > 0)
        buf_addf(out,
                 "%" PRId64 " hours stay as they are: their minutes are gone, and a price changes "
                 "inside of them\n",
                 r->counts.hours_left);
}

static void add_counts_json(struct buf *out, const struct reprice_counts *c)
{
    buf_addf(out,
             ",\"rows_changed\":%" PRId64 ",\"hours_changed\":%" PRId64 ",\"hours_left\":%" PRId64,
             c->rows, c->hours, c->hours_left);
    add_json_usd(out, "cost_change_usd", c->cost_change);
}

void reprice_add_result_json(struct buf *out, const struct reprice_result *r)
{
    buf_addf(out, "{\"result\":{\"reprice_id\":%" PRId64 ",\"went_on\":%s", r->id,
             r->went_on ? "true" : "false");
    add_counts_json(out, &r->counts);
    buf_addf(out,
             ",\"rows_read\":%" PRId64 ",\"seconds\":%.3f,\"seconds_per_million_rows\":%.3f}}\n",
             r->rows_read, r->seconds, per_million(r));
}

// ---- those there were ----

void reprice_add_list_text(struct buf *out, const struct reprice_record *v, size_t n)
{
    static const char *const titles[] = {"ID",         "FROM",  "TO",   "TENANT", "MODEL",
                                         "VERSION",    "STATE", "ROWS", "HOURS",  "LEFT",
                                         "CHANGE USD", "BY",    "BEGUN"};
    struct table t = {.columns = ARRAY_LEN(titles)};
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        table_add(&t, titles[i]);
    for (size_t i = 0; i < n; i++) {
        const struct reprice_record *r = &v[i];
        table_addf(&t, "%" PRId64, r->id);
        add_time_cell(&t, r->request.from_us);
        add_time_cell(&t, r->request.to_us);
        add_name_cell(&t, r->tenant, "(all)");
        add_name_cell(&t, r->model, "(all)");
        table_addf(&t, "%" PRId64, r->request.version);
        if (r->finished_us == INT64_MIN)
            table_addf(&t, "%.1f %% done", reprice_percent(&r->request, r->next_hour_us));
        else
            table_add(&t, "finished");
        table_addf(&t, "%" PRId64, r->counts.rows);
        table_addf(&t, "%" PRId64, r->counts.hours);
        table_addf(&t, "%" PRId64, r->counts.hours_left);
        add_usd_cell(&t, r->counts.cost_change, true);
        add_name_cell(&t, r->created_by, "");
        add_time_cell(&t, r->created_us);
    }
    table_render(&t, out);
}

void reprice_add_list_json(struct buf *out, const struct reprice_record *v, size_t n)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        const struct reprice_record *r = &v[i];
        buf_addf(out, "%s\n{\"reprice_id\":%" PRId64 ",", i ? "," : "", r->id);
        add_request_json(out, &r->request);
        add_counts_json(out, &r->counts);
        buf_addf(out, ",\"percent\":%.1f",
                 r->finished_us == INT64_MIN ? reprice_percent(&r->request, r->next_hour_us)
                                             : 100.0);
        add_json_name(out, "created_by", r->created_by);
        add_json_time(out, "created_at", r->created_us);
        add_json_time(out, "updated_at", r->updated_us);
        add_json_time(out, "finished_at", r->finished_us);
        buf_addc(out, '}');
    }
    buf_adds(out, "\n]\n");
}
