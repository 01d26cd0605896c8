// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/reprice/reprice_pg.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/core/timeunit.h"

// ---- what there is ----

int reprice_kept(struct db *db, int64_t *minutes_from_us, int64_t *hours_from_us, struct err *e)
{
    PGresult *r = db_query(
        db, "reading how far back rows reach",
        "SELECT " DB_US("minutes_from") ", " DB_US("hours_from") " FROM streamlens_retention", 0,
        NULL, e);
    if (!r)
        return -1;
    *minutes_from_us = db_us(r, 0, 0, INT64_MIN);
    *hours_from_us = db_us(r, 0, 1, INT64_MIN);
    PQclear(r);
    return 0;
}

static void add_texts(struct db_params *p, const struct reprice_names *names)
{
    struct str *v = xcalloc(names->n + 1, sizeof(*v));
    for (size_t i = 0; i < names->n; i++)
        v[i] = str_of(names->v[i]);
    db_param_texts(p, v, names->n, sizeof(*v));
    free(v);
}

int reprice_stored_cost(struct db *db, const struct reprice_request *request,
                        const struct reprice_names *names, money *out, struct err *e)
{
    const struct str tenant = str_of(request->tenant);
    struct db_params p = {0};
    db_param_time(&p, request->from_us);
    db_param_time(&p, request->to_us);
    db_param_i64(&p, request->version);
    db_param_texts(&p, &tenant, request->tenant ? 1 : 0, sizeof(tenant));
    struct buf sql = {0};
    buf_adds(
        &sql,
        "SELECT coalesce(sum(m.cost_pusd), 0) FROM llm_minute m JOIN llm_series s USING (series_id)"
        " WHERE m.window_start >= $1 AND m.window_start < $2 AND m.price_version <= $3"
        " AND (cardinality($4) = 0 OR s.tenant_id = $4[1])");
    if (names) {
        buf_adds(&sql, " AND EXISTS (SELECT FROM unnest(m.usage) u"
                       " WHERE u.model = ANY ($5) OR u.asked = ANY ($5))");
        add_texts(&p, names);
    }
    buf_addc(&sql, '\0');
    PGresult *r = db_query_binary(db, "summing the costs", sql.p, &p, e);
    int rc = r ? db_numeric(r, 0, 0, out, e) : -1;
    PQclear(r);
    buf_free(&sql);
    db_params_free(&p);
    return rc;
}

// ---- llm_reprice ----

// The request as parameters: from, to, tenant, model, version.
struct words {
    char from[TIME_RFC3339_MAX], to[TIME_RFC3339_MAX], version[24];
    const char *v[5];
};

static void set_words(struct words *w, const struct reprice_request *r)
{
    time_format_rfc3339(r->from_us, w->from);
    time_format_rfc3339(r->to_us, w->to);
    snprintf(w->version, sizeof(w->version), "%" PRId64, r->version);
    const char *const v[] = {w->from, w->to, r->tenant, r->model, w->version};
    memcpy(w->v, v, sizeof(v));
}

static int find_begun(struct db *db, const struct words *w, struct reprice_run *out, struct err *e)
{
    PGresult *r = db_query(
        db, "looking for a correction that was not finished",
        "SELECT reprice_id, " DB_US("created_at") ", " DB_US(
            "next_hour") ", done_series FROM llm_reprice WHERE finished_at IS NULL"
                         " AND windows_from = $1 AND windows_to = $2"
                         " AND tenant_id IS NOT DISTINCT FROM $3 AND model IS NOT DISTINCT FROM $4"
                         " AND price_version = $5 ORDER BY reprice_id DESC LIMIT 1",
        5, w->v, e);
    if (!r)
        return -1;
    if (PQntuples(r) > 0)
        *out = (struct reprice_run){.id = db_int(r, 0, 0),
                                    .created_us = db_int(r, 0, 1),
                                    .goes_on = true,
                                    .next_hour_us = db_int(r, 0, 2),
                                    .done_series = db_int(r, 0, 3)};
    PQclear(r);
    return 0;
}

int reprice_begin(struct db *db, const struct reprice_request *request, int64_t first_hour_us,
                  struct reprice_run *out, struct err *e)
{
    struct words w;
    char first[TIME_RFC3339_MAX];
    set_words(&w, request);
    *out = (struct reprice_run){.id = 0};
    if (find_begun(db, &w, out, e) < 0)
        return -1;
    if (out->id > 0)
        return 0;
    time_format_rfc3339(first_hour_us, first);
    PGresult *r = db_query(
        db, "noting the correction",
        "INSERT INTO llm_reprice (windows_from, windows_to, tenant_id, model, price_version,"
        " next_hour) VALUES ($1, $2, $3, $4, $5, $6) RETURNING reprice_id, " DB_US("created_at"),
        6, (const char *const[]){w.v[0], w.v[1], w.v[2], w.v[3], w.v[4], first}, e);
    if (!r)
        return -1;
    *out = (struct reprice_run){
        .id = db_int(r, 0, 0), .created_us = db_int(r, 0, 1), .next_hour_us = first_hour_us};
    PQclear(r);
    return 0;
}

#define ADD_PROGRESS                                                                               \
    "UPDATE llm_reprice SET next_hour = $2, done_series = $3,"                                     \
    " rows_changed = rows_changed + $4, hours_changed = hours_changed + $5,"                       \
    " hours_left = hours_left + $6, cost_change_pusd = cost_change_pusd + $7[1],"                  \
    " updated_at = now()"

static PGresult *add_progress(struct db *db, const char *sql, int64_t id,
                              const struct reprice_progress *p, struct err *e)
{
    struct db_params params = {0};
    db_param_i64(&params, id);
    db_param_time(&params, p->next_hour_us);
    db_param_i64(&params, p->done_series);
    db_param_i64(&params, p->more.rows);
    db_param_i64(&params, p->more.hours);
    db_param_i64(&params, p->more.hours_left);
    db_param_numerics(&params, &p->more.cost_change, 1, sizeof(money));
    PGresult *r = db_query_binary(db, "noting how far it is", sql, &params, e);
    db_params_free(&params);
    return r;
}

int reprice_save(struct db *db, int64_t id, const struct reprice_progress *p, struct err *e)
{
    PGresult *r = add_progress(db, ADD_PROGRESS " WHERE reprice_id = $1", id, p, e);
    PQclear(r);
    return r ? 0 : -1;
}

int reprice_finish(struct db *db, int64_t id, const struct reprice_progress *p,
                   struct reprice_counts *out, struct err *e)
{
    PGresult *r = add_progress(db,
                               ADD_PROGRESS ", finished_at = now() WHERE reprice_id = $1"
                                            " RETURNING rows_changed, hours_changed, hours_left,"
                                            " cost_change_pusd",
                               id, p, e);
    if (!r)
        return -1;
    out->rows = db_i64(r, 0, 0);
    out->hours = db_i64(r, 0, 1);
    out->hours_left = db_i64(r, 0, 2);
    int rc = db_numeric(r, 0, 3, &out->cost_change, e);
    PQclear(r);
    return rc;
}

// ---- those there were ----

static char *text_or_null(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : xstrdup(PQgetvalue(r, row, column));
}

static int read_record(const PGresult *r, int i, struct reprice_record *out, struct err *e)
{
    *out = (struct reprice_record){
        .id = db_i64(r, i, 0),
        .request = {db_time_us(r, i, 2), db_time_us(r, i, 3), NULL, NULL, db_i64(r, i, 1)},
        .next_hour_us = db_time_us(r, i, 4),
        .tenant = text_or_null(r, i, 5),
        .model = text_or_null(r, i, 6),
        .counts = {db_i64(r, i, 7), db_i64(r, i, 8), db_i64(r, i, 9), 0},
        .created_by = text_or_null(r, i, 11),
        .created_us = db_time_us(r, i, 12),
        .updated_us = db_time_us(r, i, 13),
        .finished_us = db_time_us(r, i, 14),
    };
    out->request.tenant = out->tenant;
    out->request.model = out->model;
    return db_numeric(r, i, 10, &out->counts.cost_change, e);
}

int reprice_list(struct db *db, int64_t most, struct reprice_record **out, size_t *n, struct err *e)
{
    struct db_params p = {0};
    db_param_i64(&p, most);
    PGresult *r = db_query_binary(
        db, "reading the corrections",
        "SELECT reprice_id, price_version, windows_from, windows_to, next_hour, tenant_id, model,"
        " rows_changed, hours_changed, hours_left, cost_change_pusd, created_by, created_at,"
        " updated_at, finished_at FROM llm_reprice ORDER BY reprice_id DESC LIMIT $1",
        &p, e);
    db_params_free(&p);
    *out = NULL;
    *n = 0;
    if (!r)
        return -1;
    int rc = 0;
    *out = xcalloc((size_t)PQntuples(r) + 1, sizeof(**out));
    for (int i = 0; rc == 0 && i < PQntuples(r); i++)
        rc = read_record(r, i, &(*out)[(*n)++], e);
    PQclear(r);
    return rc;
}

void reprice_records_free(struct reprice_record *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(v[i].tenant);
        free(v[i].model);
        free(v[i].created_by);
    }
    free(v);
}
