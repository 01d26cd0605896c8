// SPDX-License-Identifier: Apache-2.0
// First the series are taken out of llm_series, under the locks of all positions: so no flush and
// no batch of the publisher is under way that knows them, and the next ones find the generation
// raised (sql/009_hours.sql). From then on nobody touches their rows, and these can be deleted at
// leisure, without any lock that others need.
#include "deploy/admin/removal/tenant_pg.h"

#include "common/core/tenant_limit.h"
#include "deploy/admin/setup/positions_pg.h"

#include <stdio.h>

#define GROUP_SERIES "500" // whose rows are looked for at a time
#define ROWS 5000          // a transaction
#define ROWS_TEXT "5000"

// ---- counting ----

#define ITS_ROWS(table)                                                                            \
    "(SELECT count(*) FROM (SELECT FROM " table " WHERE series_id IN"                              \
    " (SELECT series_id FROM llm_series WHERE tenant_id = $1) LIMIT $2::bigint + 1) r)"
// The limit of '*' is everybody's, whatever a tenant calls itself.
#define ITS_LIMIT                                                                                  \
    "FROM streamlens_limit WHERE tenant_id = $1 AND tenant_id <> '" TENANT_LIMIT_OTHERS "'"

static const char count[] =
    "SELECT (SELECT count(*) FROM streamlens_key WHERE tenant_id = $1),"
    " (SELECT count(*) " ITS_LIMIT "),"
    " (SELECT count(*) FROM llm_series WHERE tenant_id = $1),"
    " (SELECT count(*) FROM streamlens_deleted_series WHERE tenant_id = $1),"
    " (SELECT count(DISTINCT (version, model, effective_from)) FROM llm_price WHERE tenant_id = $1)"
    ", " ITS_ROWS("llm_minute") ", " ITS_ROWS("llm_hour");

int tenant_count(struct db *db, const char *tenant, struct tenant_counts *out, struct err *e)
{
    char most[24];
    snprintf(most, sizeof(most), "%d", TENANT_COUNT_MAX);
    PGresult *r = db_query(db, "counting what the tenant has", count, 2,
                           (const char *const[]){tenant, most}, e);
    if (!r)
        return -1;
    *out = (struct tenant_counts){
        .keys = db_int(r, 0, 0),
        .limits = db_int(r, 0, 1),
        .series = db_int(r, 0, 2),
        .left_series = db_int(r, 0, 3),
        .cards = db_int(r, 0, 4),
        .minutes = db_int(r, 0, 5),
        .hours = db_int(r, 0, 6),
    };
    PQclear(r);
    return 0;
}

// ---- what lets events in, and series ----

int tenant_remove_access(struct db *db, const char *tenant, struct err *e)
{
    return db_run(db, "deleting keys and limits",
                  "WITH keys AS (DELETE FROM streamlens_key WHERE tenant_id = $1)"
                  " DELETE " ITS_LIMIT,
                  1, (const char *const[]){tenant}, e);
}

// The tenant's own row is locked by whoever makes series of it.
static const char lock_tenant[] = "SELECT FROM llm_tenant WHERE tenant_id = $1 FOR UPDATE";
static const char take[] =
    "WITH taken AS (DELETE FROM llm_series WHERE ctid = ANY (ARRAY(SELECT ctid FROM llm_series"
    "  WHERE tenant_id = $1 LIMIT $2)) RETURNING tenant_id, series_id)"
    " INSERT INTO streamlens_deleted_series (tenant_id, series_id) SELECT * FROM taken";
static const char forget_tenant[] = "DELETE FROM llm_tenant WHERE tenant_id = $1"
                                    " AND NOT EXISTS (SELECT FROM llm_series WHERE tenant_id = $1)";
static const char *const take_steps[] = {lock_tenant, take, forget_tenant};
#define TAKE_STEP 1 // has the limit, and says how many

int tenant_take_series(struct db *db, const char *tenant, int64_t *taken, struct err *e)
{
    static const char doing[] = "deleting series";
    char most[24];
    snprintf(most, sizeof(most), "%d", TENANT_TAKE_SERIES);
    if (positions_lock(db, e) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(take_steps); i++) {
        PGresult *r = db_query(db, doing, take_steps[i], 1 + (i == TAKE_STEP),
                               (const char *const[]){tenant, most}, e);
        if (!r)
            return -1;
        if (i == TAKE_STEP)
            *taken = strtoll(PQcmdTuples(r), NULL, 10);
        PQclear(r);
    }
    return db_exec(db, doing,
                   "UPDATE streamlens_position SET series_generation = series_generation + 1;"
                   "SELECT pg_notify('streamlens_flush', '*'); COMMIT",
                   e);
}

// ---- rows ----

// By name, so that what retention has detached and not dropped yet is among them: a flush may
// attach it again.
static const char partitions[] =
    "SELECT relname, to_regclass(replace(relname, 'llm_minute', 'llm_publish'))::text,"
    " (relname LIKE 'llm\\_hour\\_%')::int FROM pg_class"
    " WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
    " AND relkind = 'r' AND relname ~ '^llm_(minute_[0-9]{8}|hour_[0-9]{6})$' ORDER BY relname";

#define DELETE_ROWS                                                                                \
    "WITH d AS (DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s"                        \
    " WHERE series_id = ANY ($1::bigint[]) LIMIT " ROWS_TEXT                                       \
    ")) RETURNING series_id, window_start)"

// Names are of letters, digits and _. A row of llm_publish is found by its minute's.
static void delete_statement(char *sql, size_t cap, const char *part, const char *published)
{
    if (published)
        snprintf(sql, cap,
                 DELETE_ROWS ", p AS (DELETE FROM %s p USING d WHERE p.window_start ="
                             " d.window_start AND p.series_id = d.series_id RETURNING p.series_id)"
                             " SELECT (SELECT count(*) FROM d), (SELECT count(*) FROM p)",
                 part, part, published);
    else
        snprintf(sql, cap, DELETE_ROWS " SELECT count(*), 0 FROM d", part, part);
}

static int delete_in(struct db *db, const char *part, const char *published, const char *ids,
                     int64_t *rows, int64_t *published_rows, struct err *e)
{
    char sql[768], doing[96];
    snprintf(doing, sizeof(doing), "deleting rows of %.60s", part);
    delete_statement(sql, sizeof(sql), part, published);
    for (int64_t n = ROWS; n == ROWS;) {
        PGresult *r = db_query(db, doing, sql, 1, (const char *const[]){ids}, e);
        if (!r)
            return -1;
        n = db_int(r, 0, 0);
        *rows += n;
        *published_rows += db_int(r, 0, 1);
        PQclear(r);
    }
    return 0;
}

static int delete_group(struct db *db, const PGresult *parts, const char *ids,
                        struct tenant_rows *out, struct err *e)
{
    for (int i = 0; i < PQntuples(parts); i++) {
        bool hours = db_int(parts, i, 2);
        const char *published = hours || PQgetisnull(parts, i, 1) ? NULL : PQgetvalue(parts, i, 1);
        if (delete_in(db, PQgetvalue(parts, i, 0), published, ids,
                      hours ? &out->hours : &out->minutes, &out->published, e) < 0)
            return -1;
    }
    return db_run(db, "deleting series",
                  "DELETE FROM streamlens_deleted_series WHERE series_id = ANY ($1::bigint[])", 1,
                  (const char *const[]){ids}, e);
}

int tenant_delete_rows(struct db *db, const char *tenant, struct tenant_rows *out, struct err *e)
{
    PGresult *parts = db_query(db, "looking for partitions", partitions, 0, NULL, e);
    int rc = parts ? 1 : -1;
    while (rc == 1) {
        PGresult *group = db_query(db, "looking for deleted series",
                                   "SELECT array_agg(series_id)::text FROM (SELECT series_id"
                                   " FROM streamlens_deleted_series WHERE tenant_id = $1"
                                   " ORDER BY series_id LIMIT " GROUP_SERIES ") s",
                                   1, (const char *const[]){tenant}, e);
        if (!group)
            rc = -1;
        else if (PQgetisnull(group, 0, 0))
            rc = 0;
        else
            rc = delete_group(db, parts, PQgetvalue(group, 0, 0), out, e) < 0 ? -1 : 1;
        PQclear(group);
    }
    PQclear(parts);
    return rc;
}
