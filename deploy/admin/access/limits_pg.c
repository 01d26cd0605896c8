// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/access/limits_pg.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/core/tenant_limit.h"
#include "deploy/admin/db_pg.h"

struct limits_db {
    struct db *db;
};

static const char *const names[LIMIT_COLUMNS] = {
    [LIMIT_EVENTS_PER_SECOND] = "events_per_second",
    [LIMIT_EVENTS_BURST] = "events_burst",
    [LIMIT_BYTES_PER_SECOND] = "bytes_per_second",
    [LIMIT_BYTES_BURST] = "bytes_burst",
};
#define COLUMNS "events_per_second, events_burst, bytes_per_second, bytes_burst"

const char *limit_column_name(enum limit_column column)
{
    return names[column];
}

struct limits_db *limits_db_open(const struct config *c, struct err *e)
{
    struct limits_db *l = xcalloc(1, sizeof(*l));
    l->db = db_open_set_up(c, e);
    if (l->db)
        return l;
    limits_db_close(l);
    return NULL;
}

void limits_db_close(struct limits_db *l)
{
    if (!l)
        return;
    db_close(l->db);
    free(l);
}

void limit_row_clear(struct limit_row *row)
{
    free(row->tenant);
    *row = (struct limit_row){0};
}

int limits_db_list(struct limits_db *l, const char *tenant, struct limit_row **rows, size_t *count,
                   struct err *e)
{
    PGresult *r =
        db_query(l->db, "reading the limits",
                 "SELECT tenant_id, " DB_US(
                     "changed_at") ", " COLUMNS
                                   " FROM streamlens_limit WHERE $1::text IS NULL OR tenant_id = $1"
                                   " ORDER BY tenant_id",
                 1, (const char *const[]){tenant}, e);
    if (!r)
        return -1;
    *count = (size_t)PQntuples(r);
    *rows = xcalloc(*count + 1, sizeof(**rows));
    for (size_t i = 0; i < *count; i++) {
        struct limit_row *row = &(*rows)[i];
        row->tenant = xstrdup(PQgetvalue(r, (int)i, 0));
        row->changed_us = db_int(r, (int)i, 1);
        for (int c = 0; c < LIMIT_COLUMNS; c++) // an empty text, which NULL has, reads as 0
            row->number[c] = db_int(r, (int)i, 2 + c);
    }
    PQclear(r);
    return 0;
}

int limits_db_begin(struct limits_db *l, const char *tenant, struct limit_row *row, struct err *e)
{
    struct limit_row *found;
    size_t count;
    // Readers, which services are, go on.
    if (db_exec(l->db, "beginning", "BEGIN", e) < 0 ||
        db_exec(l->db, "waiting for another change of limits",
                "LOCK TABLE streamlens_limit IN SHARE ROW EXCLUSIVE MODE", e) < 0 ||
        limits_db_list(l, tenant, &found, &count, e) < 0)
        return -1;
    if (count == 1) {
        *row = found[0];
    } else {
        *row = (struct limit_row){.tenant = xstrdup(tenant)};
    }
    free(found);
    return 0;
}

static int check_room(struct limits_db *l, const char *tenant, struct err *e)
{
    PGresult *r = db_query(l->db, "counting the limits",
                           "SELECT count(*) FROM streamlens_limit WHERE tenant_id <> $1", 1,
                           (const char *const[]){tenant}, e);
    if (!r)
        return -1;
    int64_t count = db_int(r, 0, 0);
    PQclear(r);
    if (count < TENANT_LIMITS_MAX)
        return 0;
    return err_set(e,
                   "there are %" PRId64 " limits, as many as services keep: remove those that are "
                   "not needed; '*' holds for every tenant without one",
                   count);
}

int limits_db_keep(struct limits_db *l, const struct limit_row *row, struct err *e)
{
    char text[LIMIT_COLUMNS][24];
    const char *params[1 + LIMIT_COLUMNS] = {row->tenant};
    for (int c = 0; c < LIMIT_COLUMNS; c++) {
        snprintf(text[c], sizeof(text[c]), "%" PRId64, row->number[c]);
        params[1 + c] = row->number[c] ? text[c] : NULL;
    }
    if (check_room(l, row->tenant, e) < 0 ||
        db_run(l->db, "writing the limit",
               "INSERT INTO streamlens_limit (tenant_id, " COLUMNS ") VALUES ($1, $2, $3, $4, $5)"
               " ON CONFLICT (tenant_id) DO UPDATE SET changed_at = now(),"
               " events_per_second = excluded.events_per_second,"
               " events_burst = excluded.events_burst,"
               " bytes_per_second = excluded.bytes_per_second, bytes_burst = excluded.bytes_burst",
               1 + LIMIT_COLUMNS, params, e) < 0)
        return -1;
    return db_exec(l->db, "writing the limit", "COMMIT", e);
}

int limits_db_remove(struct limits_db *l, const char *tenant, struct err *e)
{
    PGresult *r = db_query(l->db, "removing the limit",
                           "DELETE FROM streamlens_limit WHERE tenant_id = $1 RETURNING tenant_id",
                           1, (const char *const[]){tenant}, e);
    if (!r)
        return -1;
    int found = PQntuples(r);
    PQclear(r);
    if (found == 1)
        return 0;
    return err_set(e,
                   "tenant '%.255s' has no limit of its own; streamlens-admin limit list shows "
                   "them all",
                   tenant);
}
