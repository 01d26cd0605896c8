// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/schema_pg.h"

#include <libpq-fe.h>
#include <stdio.h>

#include "sql/schema.h"

#define CONNECT_TIMEOUT_S "5"
#define WAIT_FOR_OTHER_SETUP "60s"
// Any number, the same in every release.
#define SETUP_LOCK "5783110476019231045"
// Which events are taken at all is pinned too: a replay must refuse what was refused before.
#define ACCEPTANCE_VERSION 1

struct schema {
    PGconn *conn;
};

// ---- statements ----

// libpq's messages end in newlines and may have several lines; ours are one sentence.
static const char *one_line(const char *message, char *out, size_t cap)
{
    size_t n = 0;
    for (; *message && n + 1 < cap; message++) {
        char c = *message == '\n' || *message == '\t' ? ' ' : *message;
        if (c != ' ' || (n > 0 && out[n - 1] != ' '))
            out[n++] = c;
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
    return out;
}

static int fail(struct schema *s, const char *doing, struct err *e)
{
    char message[384];
    return err_set(e, "%s: %s", doing, one_line(PQerrorMessage(s->conn), message, sizeof(message)));
}

// NULL where the server refused; else a result to be cleared.
static PGresult *query(struct schema *s, const char *doing, const char *sql, int n,
                       const char *const *params, struct err *e)
{
    PGresult *r = PQexecParams(s->conn, sql, n, NULL, params, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(r);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return r;
    PQclear(r);
    fail(s, doing, e);
    return NULL;
}

static int exec(struct schema *s, const char *doing, const char *sql, struct err *e)
{
    PGresult *r = PQexec(s->conn, sql);
    ExecStatusType status = PQresultStatus(r);
    PQclear(r);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return 0;
    return fail(s, doing, e);
}

static int64_t cell(const PGresult *r, int column)
{
    return strtoll(PQgetvalue(r, 0, column), NULL, 10);
}

static int exists(struct schema *s, const char *table, bool *out, struct err *e)
{
    PGresult *r = query(s, "looking for the schema", "SELECT to_regclass($1) IS NOT NULL", 1,
                        (const char *const[]){table}, e);
    if (!r)
        return -1;
    *out = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return 0;
}

// ---- connection ----

// A file tells what it found by RAISE NOTICE.
static void on_notice(void *arg, const PGresult *r)
{
    (void)arg;
    const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (severity && message && strcmp(severity, "NOTICE") == 0)
        printf("database: %s\n", message);
}

static int connect_to(struct schema *s, const char *dsn, struct err *e)
{
    PQconninfoOption *parsed = PQconninfoParse(dsn, NULL);
    if (!parsed) // libpq's own words may repeat the password
        return err_field(e, "POSTGRES_DSN", -1,
                         "cannot be read; want postgresql://user:password@host:port/database, or "
                         "pairs such as host=… dbname=…");
    PQconninfoFree(parsed);
    const char *const names[] = {"connect_timeout", "dbname", "application_name", "client_encoding",
                                 NULL};
    const char *const values[] = {CONNECT_TIMEOUT_S, dsn, "streamlens-admin", "UTF8", NULL};
    s->conn = PQconnectdbParams(names, values, 1);
    if (PQstatus(s->conn) != CONNECTION_OK) {
        char message[320];
        return err_field(e, "POSTGRES_DSN", -1, "no connection to database '%.60s' as '%.60s': %s",
                         PQdb(s->conn) ? PQdb(s->conn) : "", PQuser(s->conn) ? PQuser(s->conn) : "",
                         one_line(PQerrorMessage(s->conn), message, sizeof(message)));
    }
    if (PQserverVersion(s->conn) < 140000)
        return err_field(e, "POSTGRES_DSN", -1, "the server is PostgreSQL %d; want 14 or newer",
                         PQserverVersion(s->conn) / 10000);
    PQsetNoticeReceiver(s->conn, on_notice, NULL);
    return 0;
}

struct schema *schema_open(const struct config *c, struct err *e)
{
    struct schema *s = xcalloc(1, sizeof(*s));
    if (connect_to(s, c->postgres_dsn, e) == 0 &&
        exec(s, "preparing", "SET statement_timeout = '" WAIT_FOR_OTHER_SETUP "'", e) == 0 &&
        exec(s, "waiting for another setup to finish", "SELECT pg_advisory_lock(" SETUP_LOCK ")",
             e) == 0)
        return s;
    schema_close(s);
    return NULL;
}

void schema_close(struct schema *s)
{
    if (!s)
        return;
    PQfinish(s->conn); // the lock goes with it
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
    PGresult *r = query(s, "reading the pinned settings",
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
        out->numbers = (struct config_pinned){cell(r, 0), cell(r, 1), cell(r, 2), cell(r, 3)};
        snprintf(out->topic_prefix, sizeof(out->topic_prefix), "%s", PQgetvalue(r, 0, 4));
        // Never mended here: a row made anew would count its whole log again.
        if (cell(r, 5) != out->numbers.partitions)
            rc =
                err_set(e,
                        "table streamlens_position has %lld rows where %lld partitions are pinned; "
                        "it was changed by hand: restore it from a backup",
                        (long long)cell(r, 5), (long long)out->numbers.partitions);
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
         " max_series_per_tenant, acceptance_version) VALUES (1, $1, $2, $3, $4)",
         4,
         {ttl, skew, series, acceptance}},
        {"INSERT INTO streamlens_settings_from"
         " SELECT 1, p, 0, 0 FROM generate_series(0, $1::int - 1) p",
         1,
         {n}},
        {"INSERT INTO streamlens_position (partition)"
         " SELECT p FROM generate_series(0, $1::int - 1) p",
         1,
         {n}},
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        PGresult *r =
            query(s, "pinning the settings", steps[i].sql, steps[i].n, steps[i].params, e);
        if (!r)
            return -1;
        PQclear(r);
    }
    return 0;
}

int schema_pin(struct schema *s, const struct schema_pins *p, struct err *e)
{
    if (!p->found) {
        if (exec(s, "pinning the settings", "BEGIN", e) < 0 || insert_pins(s, p, e) < 0 ||
            exec(s, "pinning the settings", "COMMIT", e) < 0)
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
    if (!made && exec(s, "making table streamlens_schema",
                      "CREATE TABLE streamlens_schema ("
                      " version integer PRIMARY KEY,"
                      " name text NOT NULL,"
                      " oldest_writer integer NOT NULL,"
                      " applied_at timestamptz NOT NULL DEFAULT now())",
                      e) < 0)
        return -1;
    PGresult *r = query(s, "reading the schema's version", SQL_CHECK_VERSION, 0, NULL, e);
    if (!r)
        return -1;
    *version = (int)cell(r, 0);
    int oldest_writer = (int)cell(r, 1);
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
    if (exec(s, doing, "BEGIN", e) < 0 || exec(s, doing, f->text, e) < 0)
        return -1;
    PGresult *r = query(s, doing,
                        "INSERT INTO streamlens_schema (version, name, oldest_writer)"
                        " VALUES ($1, $2, $3)",
                        3, (const char *const[]){version, f->name, writer}, e);
    if (!r)
        return -1;
    PQclear(r);
    if (exec(s, doing, "COMMIT", e) < 0)
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
