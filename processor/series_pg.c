// SPDX-License-Identifier: Apache-2.0
#include "processor/series_pg.h"

#define CHUNK 4096 // series resolved at a time

// A name as the statements take it.
struct wanted {
    struct series *series; // borrowed
    struct str tenant, route, model;
};

// $1, $2, $3: the names; $4: the series epoch, one for all. A series holds in its own epoch and in
// later ones. `other` is what a series over the cap belongs to, and holds in all of them.
//
// What a name belongs to within an epoch never changes: a row of the epoch or of an older one is
// never taken away, a count of series never falls, and once a newer epoch has made a series of the
// tenant, or refused one, the older ones make no more, since it may have been that name.
#define NAMES                                                                                      \
    "unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS n(tenant_id, route, model, i)"
#define IS_OTHER "n.route = '" SERIES_OTHER "' AND n.model = '" SERIES_OTHER "'"
// Scalar subqueries, each a look into the index: a join's plan would depend on statistics.
#define ID                                                                                         \
    "(SELECT s.series_id FROM llm_series s WHERE s.tenant_id = n.tenant_id"                        \
    " AND s.route = n.route AND s.model = n.model AND s.epoch <= $4)"
#define OTHER_ID                                                                                   \
    "(SELECT o.series_id FROM llm_series o WHERE o.tenant_id = n.tenant_id"                        \
    " AND o.route = '" SERIES_OTHER "' AND o.model = '" SERIES_OTHER "')"

// Whether the tenant makes no more series in this epoch. Once that is so it stays so, hence it
// needs no lock: a tenant with any number of names over its cap costs everybody no more than
// looking.
#define IS_FULL                                                                                    \
    "EXISTS (SELECT FROM llm_tenant t WHERE t.tenant_id = n.tenant_id AND (t.epoch > $4"           \
    " OR (t.epoch = $4 AND t.series_count >="                                                      \
    " (SELECT max_series_per_tenant FROM streamlens_settings WHERE epoch = $4))))"

// The id of each name, NULL where it is still to be made, and whether it is that of __other__ for
// want of room.
static const char lookup[] =
    "SELECT n.i, CASE WHEN v.id IS NOT NULL THEN v.id WHEN " IS_FULL " THEN " OTHER_ID " END,"
    " (v.id IS NULL)::int::bigint FROM " NAMES ", LATERAL (SELECT " ID " AS id OFFSET 0) v";

// Of tenants, $1. They are inserted and locked in one order, so that two of these never wait for
// each other.
static const char add_tenants[] =
    "INSERT INTO llm_tenant (tenant_id) SELECT t COLLATE \"C\" AS t FROM unnest($1::text[]) t"
    " ORDER BY t ON CONFLICT DO NOTHING";
static const char lock_tenants[] =
    "SELECT FROM llm_tenant WHERE tenant_id = ANY ($1::text[]) ORDER BY tenant_id FOR UPDATE";
// Under the lock: as many as still fit in the epoch, which is the tenant's from now on. A name that
// a later epoch has made a row of is not made again: the tenant is in that epoch. Tells the ids of
// those that it made, in the order of the names.
static const char add_series[] =
    "WITH missing AS ("
    "  SELECT n.i, n.tenant_id, n.route, n.model,"
    "         row_number() OVER (PARTITION BY n.tenant_id ORDER BY n.i) AS nth"
    "  FROM " NAMES " WHERE NOT (" IS_OTHER ") AND " ID " IS NULL"
    "   AND (SELECT t.epoch FROM llm_tenant t WHERE t.tenant_id = n.tenant_id) <= $4),"
    " added AS ("
    "  INSERT INTO llm_series (tenant_id, route, model, epoch)"
    "  SELECT m.tenant_id, m.route, m.model, $4 FROM missing m"
    "  WHERE (SELECT t.series_count FROM llm_tenant t WHERE t.tenant_id = m.tenant_id) + m.nth"
    "     <= (SELECT max_series_per_tenant FROM streamlens_settings WHERE epoch = $4)"
    "  ORDER BY m.i RETURNING series_id, tenant_id, route, model),"
    " counted AS ("
    "  UPDATE llm_tenant t SET epoch = $4, series_count = t.series_count + u.made"
    "  FROM (SELECT tenant_id, sum(made)::bigint AS made"
    "   FROM (SELECT tenant_id, 0 AS made FROM missing UNION ALL SELECT tenant_id, 1 FROM added) v"
    "   GROUP BY tenant_id) u"
    "  WHERE t.tenant_id = u.tenant_id)"
    " SELECT series_id, tenant_id, route, model FROM added";
static const char add_other[] = "INSERT INTO llm_series (tenant_id, route, model)"
                                " SELECT DISTINCT n.tenant_id, '" SERIES_OTHER "', '" SERIES_OTHER
                                "' FROM " NAMES " WHERE " ID " IS NULL ON CONFLICT DO NOTHING";

static bool is_resolved(const struct db *db, const struct series *s)
{
    return s->store_id != 0 && s->store_connection == db_connections(db);
}

static int compare(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    if (x->series->epoch != y->series->epoch)
        return x->series->epoch < y->series->epoch ? -1 : 1;
    const struct str left[] = {x->tenant, x->route, x->model};
    const struct str right[] = {y->tenant, y->route, y->model};
    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        size_t n = left[i].n < right[i].n ? left[i].n : right[i].n;
        int order = memcmp(left[i].p, right[i].p, n);
        if (order != 0)
            return order;
        if (left[i].n != right[i].n)
            return left[i].n < right[i].n ? -1 : 1;
    }
    return 0;
}

static enum store_result run(struct db *db, const char *sql, const struct wanted *w, size_t n,
                             PGresult **out, struct err *e)
{
    struct db_params p = {0};
    db_param_texts(&p, &w[0].tenant, n, sizeof(*w));
    db_param_texts(&p, &w[0].route, n, sizeof(*w));
    db_param_texts(&p, &w[0].model, n, sizeof(*w));
    db_param_i64(&p, w[0].series->epoch);
    enum store_result rc = db_query(db, sql, &p, out, e);
    db_params_free(&p);
    return rc;
}

static void give_id(const struct db *db, struct series *s, int64_t id)
{
    s->store_id = id;
    s->store_connection = db_connections(db);
}

// Of a lookup; r may be NULL.
static void take_ids(const struct db *db, const PGresult *r, struct wanted *w, int64_t *over_cap)
{
    for (int row = 0; row < PQntuples(r); row++) {
        if (PQgetisnull(r, row, 1))
            continue;
        give_id(db, w[db_i64(r, row, 0) - 1].series, db_i64(r, row, 1));
        *over_cap += db_i64(r, row, 2);
    }
}

// Keeps those that still have no id. The same series may stand there twice: once resolved, both
// are.
static size_t drop_resolved(const struct db *db, struct wanted *w, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!is_resolved(db, w[i].series))
            w[kept++] = w[i];
    return kept;
}

static bool all_found(const PGresult *r)
{
    for (int row = 0; row < PQntuples(r); row++)
        if (PQgetisnull(r, row, 1))
            return false;
    return true;
}

// All tenants of the names are there, and locked. The names are sorted.
static enum store_result hold_tenants(struct db *db, const struct wanted *w, size_t n,
                                      struct err *e)
{
    struct str *tenants = xcalloc(n, sizeof(*tenants));
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (count == 0 || !str_eq(tenants[count - 1], w[i].tenant))
            tenants[count++] = w[i].tenant;
    struct db_params p = {0};
    db_param_texts(&p, tenants, count, sizeof(*tenants));
    enum store_result rc = db_query(db, add_tenants, &p, NULL, e);
    if (rc == STORE_OK)
        rc = db_query(db, lock_tenants, &p, NULL, e);
    db_params_free(&p);
    free(tenants);
    return rc;
}

// Brings to the front the names that a row of add_series was made of, in the order of the rows, and
// tells how many. Should the rows come in another order, the rest are looked up.
static size_t made_first(const PGresult *made, struct wanted *w, size_t n)
{
    size_t row = 0;
    for (size_t i = 0; i < n && row < (size_t)PQntuples(made); i++) {
        struct wanted its = w[i];
        if (str_eq(its.tenant, db_bytes(made, (int)row, 1)) &&
            str_eq(its.route, db_bytes(made, (int)row, 2)) &&
            str_eq(its.model, db_bytes(made, (int)row, 3))) {
            w[i] = w[row];
            w[row++] = its;
        }
    }
    return row;
}

// Looks up what was not made: others have it, or there is no room. Only where a name is left over,
// __other__ is made.
static enum store_result look_up_others(struct db *db, struct wanted *w, size_t n, PGresult **ids,
                                        struct err *e)
{
    if (n == 0)
        return STORE_OK;
    enum store_result rc = run(db, lookup, w, n, ids, e);
    if (rc != STORE_OK || all_found(*ids))
        return rc;
    PQclear(*ids);
    *ids = NULL;
    rc = run(db, add_other, w, n, NULL, e);
    return rc == STORE_OK ? run(db, lookup, w, n, ids, e) : rc;
}

static enum store_result make(struct db *db, struct wanted *w, size_t n, int64_t *over_cap,
                              struct err *e)
{
    PGresult *made = NULL, *others = NULL;
    size_t made_n = 0;
    enum store_result rc = db_exec(db, "BEGIN", NULL, e);
    if (rc == STORE_OK)
        rc = hold_tenants(db, w, n, e);
    if (rc == STORE_OK)
        rc = run(db, add_series, w, n, &made, e);
    if (rc == STORE_OK) {
        made_n = made_first(made, w, n);
        rc = look_up_others(db, w + made_n, n - made_n, &others, e);
    }
    if (rc == STORE_OK)
        rc = db_commit(db, e);
    else
        db_rollback(db);
    // Only now: an id that was rolled back would be a row's key that nobody can read.
    for (size_t i = 0; rc == STORE_OK && i < made_n; i++)
        give_id(db, w[i].series, db_i64(made, (int)i, 0));
    if (rc == STORE_OK)
        take_ids(db, others, w + made_n, over_cap);
    PQclear(made);
    PQclear(others);
    // Whether it was committed or not, asking again finds out.
    return rc == STORE_UNKNOWN ? STORE_RETRY : rc;
}

static enum store_result resolve_chunk(struct db *db, struct wanted *w, size_t n, int64_t *over_cap,
                                       struct err *e)
{
    PGresult *found = NULL;
    enum store_result rc = run(db, lookup, w, n, &found, e);
    if (rc == STORE_OK)
        take_ids(db, found, w, over_cap);
    PQclear(found);
    n = drop_resolved(db, w, n);
    return rc == STORE_OK && n > 0 ? make(db, w, n, over_cap, e) : rc;
}

// How many of the first ones are of one epoch.
static size_t chunk_of(const struct wanted *w, size_t n)
{
    size_t i = 1;
    while (i < n && i < CHUNK && w[i].series->epoch == w[0].series->epoch)
        i++;
    return i;
}

enum store_result series_resolve(struct db *db, const struct store_cell *cells, size_t n,
                                 int64_t *over_cap, struct err *e)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += !is_resolved(db, cells[i].series);
    if (count == 0)
        return STORE_OK;
    struct wanted *w = xcalloc(count, sizeof(*w));
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        struct series *s = cells[i].series;
        if (!is_resolved(db, s))
            w[at++] = (struct wanted){s, s->tenant, s->route, s->model};
    }
    qsort(w, count, sizeof(*w), compare);
    size_t unique = 0;
    for (size_t i = 0; i < count; i++)
        if (unique == 0 || compare(&w[unique - 1], &w[i]) != 0)
            w[unique++] = w[i];
    enum store_result rc = STORE_OK;
    // Older epochs first: they make nothing after newer ones.
    for (size_t i = 0, chunk = 0; rc == STORE_OK && i < unique; i += chunk) {
        chunk = chunk_of(w + i, unique - i);
        rc = resolve_chunk(db, w + i, chunk, over_cap, e);
    }
    free(w);
    return rc;
}
