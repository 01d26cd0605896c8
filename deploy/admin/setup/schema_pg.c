// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/setup/schema_pg.h"

#include <stdio.h>

#include "deploy/admin/db_pg.h"
#include "sql/schema.h"

#define WAIT_FOR_OTHER_SETUP "60s"
// Any number, the same in every release.
#define SETUP_LOCK "5783110476019231045"
// Which events are taken at all is pinned too: a replay must refuse what was refused before.
#define ACCEPTANCE_VERSION 1

struct schema {
    struct db *db;
};

static int exists(struct schema *s, const char *table, bool *out, struct err *e)
{
    PGresult *r = db_query(s->db, "looking for the schema", "SELECT to_regclass($1) IS NOT NULL", 1,
                           (const char *const[]){table}, e);
    if (!r)
        return -1;
    *out = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return 0;
}

struct schema *schema_open(const struct config *c, struct err *e)
{
    struct schema *s = xcalloc(1, sizeof(*s));
    s->db = db_open(c, e);
    if (s->db &&
        db_exec(s->db, "preparing", "SET statement_timeout = '" WAIT_FOR_OTHER_SETUP "'", e) == 0 &&
        db_exec(s->db, "waiting for another setup to finish",
                "SELECT pg_advisory_lock(" SETUP_LOCK ")", e) == 0)
        return s;
    schema_close(s);
    return NULL;
}

void schema_close(struct schema *s)
{
    if (!s)
        return;
    db_close(s->db); // the lock goes with it
    free(s);
}

// ---- pins ----

int schema_read_pins(struct schema *s, struct schema_pins *out, struct err *e)
{
    *out = (struct schema_pins){0};
    bool made;
    if (exists(s, "streamlens_installation", &made, e) < 0)
        return -1;
    if (!made)
        return 0;
    PGresult *r = db_query(s->db, "reading the pinned settings",
                           "SELECT i.partitions, s.join_ttl_ms, s.join_skew_ms,"
                           "       s.max_series_per_tenant, i.topic_prefix,"
                           "       (SELECT count(*) FROM streamlens_position)"
                           " FROM streamlens_installation i, streamlens_settings s"
                           " ORDER BY s.epoch DESC LIMIT 1",
                           0, NULL, e);
    if (!r)
        return -1;
    int rc = 0;
    if (PQntuples(r) == 1) {
        out->found = true;
        out->numbers = (struct config_pinned){db_int(r, 0, 0), db_int(r, 0, 1), db_int(r, 0, 2),
                                              db_int(r, 0, 3)};
        snprintf(out->topic_prefix, sizeof(out->topic_prefix), "%s", PQgetvalue(r, 0, 4));
        // Never mended here: a row made anew would count its whole log again.
        if (db_int(r, 0, 5) != out->numbers.partitions)
            rc =
                err_set(e,
                        "table streamlens_position has %lld rows where %lld partitions are pinned; "
                        "it was changed by hand: restore it from a backup",
                        (long long)db_int(r, 0, 5), (long long)out->numbers.partitions);
    }
    PQclear(r);
    return rc;
}

static int insert_pins(struct schema *s, const struct schema_pins *p, struct err *e)
{
    char n[32], ttl[32], skew[32], series[32];
    snprintf(n, sizeof(n), "%lld", (long long)p->numbers.partitions);
    snprintf(ttl, sizeof(ttl), "%lld", (long long)p->numbers.join_ttl_ms);
    snprintf(skew, sizeof(skew), "%lld", (long long)p->numbers.join_skew_ms);
    snprintf(series, sizeof(series), "%lld", (long long)p->numbers.max_series_per_tenant);
    char acceptance[16];
    snprintf(acceptance, sizeof(acceptance), "%d", ACCEPTANCE_VERSION);
    const struct {
        const char *sql;
        int n;
        const char *params[4];
    } steps[] = {
        {"INSERT INTO streamlens_installation (partitions, topic_prefix) VALUES ($1, $2)",
         2,
         {n, p->topic_prefix}},
        {"INSERT INTO streamlens_settings (epoch, join_ttl_ms, join_skew_ms,"
         " max_series_per_tenant, acceptance_version, series_epoch) VALUES (1, $1, $2, $3, $4, 1)",
         4,
         {ttl, skew, series, acceptance}},
        {"INSERT INTO streamlens_settings_from (epoch, partition, request_offset, response_offset)"
         " SELECT 1, p, 0, 0 FROM generate_series(0, $1::int - 1) p",
         1,
         {n}},
        {"INSERT INTO streamlens_position (partition)"
         " SELECT p FROM generate_series(0, $1::int - 1) p",
         1,
         {n}},
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        if (db_run(s->db, "pinning the settings", steps[i].sql, steps[i].n, steps[i].params, e) < 0)
            return -1;
    }
    return 0;
}

int schema_pin(struct schema *s, const struct schema_pins *p, struct err *e)
{
    if (!p->found) {
        if (db_exec(s->db, "pinning the settings", "BEGIN", e) < 0 || insert_pins(s, p, e) < 0 ||
            db_exec(s->db, "pinning the settings", "COMMIT", e) < 0)
            return -1;
    }
    printf("settings: %s PARTITIONS=%lld JOIN_TTL_MS=%lld JOIN_SKEW_MS=%lld "
           "MAX_SERIES_PER_TENANT=%lld TOPIC_PREFIX='%s'\n",
           p->found ? "found" : "pinned", (long long)p->numbers.partitions,
           (long long)p->numbers.join_ttl_ms, (long long)p->numbers.join_skew_ms,
           (long long)p->numbers.max_series_per_tenant, p->topic_prefix);
    return 0;
}

// ---- files ----

static int current_version(struct schema *s, int *version, struct err *e)
{
    bool made;
    if (exists(s, "streamlens_schema", &made, e) < 0)
        return -1;
    if (!made && db_exec(s->db, "making table streamlens_schema",
                         "CREATE TABLE streamlens_schema ("
                         " version integer PRIMARY KEY,"
                         " name text NOT NULL,"
                         " oldest_writer integer NOT NULL,"
                         " applied_at timestamptz NOT NULL DEFAULT now())",
                         e) < 0)
        return -1;
    PGresult *r = db_query(s->db, "reading the schema's version", SQL_CHECK_VERSION, 0, NULL, e);
    if (!r)
        return -1;
    *version = (int)db_int(r, 0, 0);
    int oldest_writer = (int)db_int(r, 0, 1);
    PQclear(r);
    if (oldest_writer > SQL_SCHEMA_VERSION)
        return err_set(e,
                       "the database's schema is version %d and wants programs of version %d or "
                       "newer; this streamlens-admin knows version %d: use a newer build",
                       *version, oldest_writer, SQL_SCHEMA_VERSION);
    return 0;
}

static int apply(struct schema *s, const struct sql_file *f, struct err *e)
{
    char doing[80], version[16], writer[16];
    snprintf(doing, sizeof(doing), "applying %.60s", f->name);
    snprintf(version, sizeof(version), "%d", f->version);
    snprintf(writer, sizeof(writer), "%d", f->oldest_writer);
    if (db_exec(s->db, doing, "BEGIN", e) < 0 || db_exec(s->db, doing, f->text, e) < 0)
        return -1;
    if (db_run(s->db, doing,
               "INSERT INTO streamlens_schema (version, name, oldest_writer)"
               " VALUES ($1, $2, $3)",
               3, (const char *const[]){version, f->name, writer}, e) < 0 ||
        db_exec(s->db, doing, "COMMIT", e) < 0)
        return -1;
    printf("schema: applied %s\n", f->name);
    return 0;
}

int schema_apply(struct schema *s, struct err *e)
{
    int version;
    if (current_version(s, &version, e) < 0)
        return -1;
    if (version >= SQL_SCHEMA_VERSION)
        printf("schema: found version %d\n", version);
    for (int i = version; i < SQL_SCHEMA_VERSION; i++)
        if (apply(s, &sql_files[i], e) < 0)
            return -1;
    return 0;
}
