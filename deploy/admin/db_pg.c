// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/db_pg.h"

#include <stdio.h>

#include "sql/schema.h"

#define CONNECT_TIMEOUT_S "15" // a starved server takes longer than a good network
#define OLDEST_SERVER 14
// Any number, the same in every release.
#define MAINTENANCE_LOCK "5783110476019231046"

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

static int fail(struct db *db, const char *doing, struct err *e)
{
    char message[384];
    return err_set(e, "%s: %s", doing,
                   one_line(PQerrorMessage(db->conn), message, sizeof(message)));
}

// ---- connection ----

// A schema file tells what it found by RAISE NOTICE.
static void on_notice(void *arg, const PGresult *r)
{
    (void)arg;
    const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (severity && message && strcmp(severity, "NOTICE") == 0)
        printf("database: %s\n", message);
}

static int connect_to(struct db *db, const char *dsn, struct err *e)
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
    db->conn = PQconnectdbParams(names, values, 1);
    if (PQstatus(db->conn) != CONNECTION_OK) {
        char message[320];
        return err_field(e, "POSTGRES_DSN", -1, "no connection to database '%.60s' as '%.60s': %s",
                         PQdb(db->conn) ? PQdb(db->conn) : "",
                         PQuser(db->conn) ? PQuser(db->conn) : "",
                         one_line(PQerrorMessage(db->conn), message, sizeof(message)));
    }
    if (PQserverVersion(db->conn) < OLDEST_SERVER * 10000)
        return err_field(e, "POSTGRES_DSN", -1, "the server is PostgreSQL %d; want %d or newer",
                         PQserverVersion(db->conn) / 10000, OLDEST_SERVER);
    PQsetNoticeReceiver(db->conn, on_notice, NULL);
    return 0;
}

struct db *db_open(const struct config *c, struct err *e)
{
    struct db *db = xcalloc(1, sizeof(*db));
    if (connect_to(db, c->postgres_dsn, e) == 0)
        return db;
    db_close(db);
    return NULL;
}

static int check_schema(struct db *db, struct err *e)
{
    PGresult *r = PQexec(db->conn, SQL_CHECK_VERSION);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    int64_t version = PQresultStatus(r) == PGRES_TUPLES_OK ? db_int(r, 0, 0) : 0;
    int64_t oldest_writer = version > 0 ? db_int(r, 0, 1) : 0;
    bool failed = version == 0 && state && strcmp(state, "42P01") != 0; // undefined_table
    PQclear(r);
    if (failed)
        return fail(db, "reading the schema's version", e);
    if (version < SQL_SCHEMA_VERSION)
        return err_field(e, "POSTGRES_DSN", -1,
                         "the database's schema is version %lld, want %d: run streamlens-admin "
                         "setup",
                         (long long)version, SQL_SCHEMA_VERSION);
    if (oldest_writer > SQL_SCHEMA_VERSION)
        return err_field(e, "POSTGRES_DSN", -1,
                         "the database's schema is version %lld and wants programs of version %lld "
                         "or newer; this streamlens-admin knows version %d: use a newer build",
                         (long long)version, (long long)oldest_writer, SQL_SCHEMA_VERSION);
    return 0;
}

struct db *db_open_set_up(const struct config *c, struct err *e)
{
    struct db *db = db_open(c, e);
    if (db && check_schema(db, e) == 0 &&
        db_exec(db, "preparing", "SET statement_timeout = '60s'", e) == 0)
        return db;
    db_close(db);
    return NULL;
}

int db_check_tenant(struct db *db, const char *tenant, struct err *e)
{
    if (!tenant)
        return 0;
    PGresult *r =
        db_query(db, "looking for the tenant",
                 "SELECT EXISTS (SELECT FROM llm_series WHERE tenant_id = $1)::int", 1, &tenant, e);
    if (!r)
        return -1;
    bool known = db_int(r, 0, 0);
    PQclear(r);
    return known ? 0 : err_field(e, "--tenant", -1, "\"%.100s\" has no rows", tenant);
}

int db_lock_maintenance(struct db *db, struct err *e)
{
    PGresult *r = db_query(db, "looking for another one that runs",
                           "SELECT pg_try_advisory_lock(" MAINTENANCE_LOCK ")::int", 0, NULL, e);
    if (!r)
        return -1;
    bool locked = db_int(r, 0, 0);
    PQclear(r);
    return locked
               ? 0
               : err_set(
                     e,
                     "another streamlens-admin retention, reprice or tenant delete is running in "
                     "this database; run it again once that is over");
}

void db_close(struct db *db)
{
    if (!db)
        return;
    PQfinish(db->conn);
    free(db);
}

// ---- statements ----

static void note_state(struct db *db, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    snprintf(db->sqlstate, sizeof(db->sqlstate), "%s", state ? state : "");
}

static PGresult *take_result(struct db *db, const char *doing, PGresult *r, struct err *e)
{
    ExecStatusType status = PQresultStatus(r);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return r;
    note_state(db, r);
    PQclear(r);
    fail(db, doing, e);
    return NULL;
}

PGresult *db_query(struct db *db, const char *doing, const char *sql, int n,
                   const char *const *params, struct err *e)
{
    return take_result(db, doing, PQexecParams(db->conn, sql, n, NULL, params, NULL, NULL, 0), e);
}

PGresult *db_query_binary(struct db *db, const char *doing, const char *sql,
                          const struct db_params *params, struct err *e)
{
    const char *values[DB_PARAMS_MAX];
    int lengths[DB_PARAMS_MAX], formats[DB_PARAMS_MAX];
    for (int i = 0; i < params->n; i++) {
        values[i] = params->null[i] ? NULL : params->values[i].p;
        lengths[i] = (int)params->values[i].n;
        formats[i] = 1;
    }
    return take_result(
        db, doing,
        PQexecParams(db->conn, sql, params->n, params->types, values, lengths, formats, 1), e);
}

int db_run(struct db *db, const char *doing, const char *sql, int n, const char *const *params,
           struct err *e)
{
    PGresult *r = db_query(db, doing, sql, n, params, e);
    PQclear(r);
    return r ? 0 : -1;
}

int db_exec(struct db *db, const char *doing, const char *sql, struct err *e)
{
    PGresult *r = PQexec(db->conn, sql);
    ExecStatusType status = PQresultStatus(r);
    note_state(db, r);
    PQclear(r);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return 0;
    return fail(db, doing, e);
}

// Ends a statement that goes on. What has ended is not cancelled: that might meet the next one.
static void cancel(struct db *db)
{
    char ignored[256];
    PGcancel *handle = PQgetCancel(db->conn);
    if (handle)
        PQcancel(handle, ignored, sizeof(ignored));
    PQfreeCancel(handle);
}

int db_each(struct db *db, const char *doing, const char *sql, int n, const char *const *params,
            int (*on_row)(void *arg, const PGresult *r, struct err *e), void *arg, struct err *e)
{
    db->sqlstate[0] = '\0';
    if (!PQsendQueryParams(db->conn, sql, n, NULL, params, NULL, NULL, 0) ||
        !PQsetSingleRowMode(db->conn))
        return fail(db, doing, e);
    int rc = 0;
    for (PGresult *r; (r = PQgetResult(db->conn)) != NULL; PQclear(r)) {
        ExecStatusType status = PQresultStatus(r);
        if (rc < 0 || status == PGRES_TUPLES_OK)
            continue; // what comes until the end
        if (status == PGRES_SINGLE_TUPLE) {
            rc = on_row(arg, r, e);
            if (rc < 0)
                cancel(db);
        } else {
            note_state(db, r);
            rc = fail(db, doing, e);
        }
    }
    return rc;
}

bool db_failed_with(const struct db *db, const char *sqlstate)
{
    return strcmp(db->sqlstate, sqlstate) == 0;
}

int64_t db_int(const PGresult *r, int row, int column)
{
    return strtoll(PQgetvalue(r, row, column), NULL, 10);
}

int64_t db_us(const PGresult *r, int row, int column, int64_t null_us)
{
    return PQgetisnull(r, row, column) ? null_us : db_int(r, row, column);
}
