// SPDX-License-Identifier: Apache-2.0
#include "processor/db_pg.h"

#include <poll.h>
#include <stdio.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "sql/schema.h"

#define SLICE_MS 50 // between two calls of idle
#define BACKOFF_MIN_US (100 * US_PER_MS)
#define BACKOFF_MAX_US (2 * US_PER_S)
#define SERVER_MIN 140000
#define APPLICATION "streamlens-processor"

// A backend, for ever: a pid alone is used again.
struct backend {
    int pid; // 0 = none
    int64_t start_us;
};

struct db {
    const char *dsn; // borrowed
    int64_t timeout_ms;
    void (*idle)(void *);
    void *arg;

    PGconn *conn;               // NULL while closed
    struct backend now, before; // before: to be ended, it may hold locks
    int64_t connections;        // so far
    bool fresh;
    int64_t deadline_us, idle_at_us;
    int64_t next_attempt_us, backoff_us;
    struct err why_closed;
    char sqlstate[6]; // of the last failure, "" where the server gave none
};

struct db *db_new(const char *dsn, int64_t timeout_ms, void (*idle)(void *), void *arg)
{
    struct db *db = xcalloc(1, sizeof(*db));
    db->dsn = dsn;
    db->timeout_ms = timeout_ms;
    db->idle = idle;
    db->arg = arg;
    return db;
}

void db_free(struct db *db)
{
    if (!db)
        return;
    PQfinish(db->conn);
    free(db);
}

bool db_is_open(const struct db *db)
{
    return db->conn != NULL;
}

int64_t db_connections(const struct db *db)
{
    return db->connections;
}

void db_begin_call(struct db *db)
{
    db->deadline_us = clock_mono_us() + db->timeout_ms * US_PER_MS;
    db->sqlstate[0] = '\0';
}

bool db_failed_with(const struct db *db, const char *sqlstate)
{
    return strcmp(db->sqlstate, sqlstate) == 0;
}

// ---- failures ----

static void say(struct err *e, const char *message)
{
    char line[400];
    size_t n = 0;
    for (; *message && n + 1 < sizeof(line); message++) {
        char c = *message == '\n' || *message == '\t' ? ' ' : *message;
        if (c != ' ' || (n > 0 && line[n - 1] != ' '))
            line[n++] = c;
    }
    while (n > 0 && line[n - 1] == ' ')
        n--;
    line[n] = '\0';
    err_set(e, "PostgreSQL: %s", line);
}

void db_close(struct db *db)
{
    if (!db->conn)
        return;
    PQfinish(db->conn);
    db->conn = NULL;
    if (db->now.pid)
        db->before = db->now;
    db->now = (struct backend){0};
}

static enum store_result lost(struct db *db, const char *why, struct err *e)
{
    say(e, why);
    db->sqlstate[0] = '\0';
    db_close(db);
    return STORE_RETRY;
}

static enum store_result lost_as_libpq_says(struct db *db, struct err *e)
{
    char why[400];
    snprintf(why, sizeof(why), "%s", PQerrorMessage(db->conn));
    return lost(db, why[0] ? why : "the connection broke", e);
}

// What to do about an SQLSTATE, by its class or in full; the first that fits. What is not listed
// will not mend by itself.
static const struct {
    const char *prefix;
    enum store_result result;
    const char *advice; // NULL: the server's words suffice
} by_sqlstate[] = {
    {"42P01", STORE_FATAL, "the schema is missing or too old; run: streamlens-admin setup"},
    {"42703", STORE_FATAL, "the schema is too old; run: streamlens-admin setup"},
    {"42883", STORE_FATAL, "the schema is too old; run: streamlens-admin setup"},
    {"42501", STORE_FATAL, "run the service as the role that ran streamlens-admin setup"},
    {"08", STORE_RETRY, NULL},    // connection
    {"25006", STORE_RETRY, NULL}, // read only: a standby, until the name points to the primary
    {"25P0", STORE_RETRY, NULL},  // failed or idle transaction
    {"40", STORE_RETRY, NULL},    // serialization, deadlock
    {"53", STORE_RETRY, NULL},    // disk full, memory, connections
    {"55", STORE_RETRY, NULL},    // lock not available, object in use
    {"57", STORE_RETRY, NULL},    // cancelled, shutting down, starting up
    {"58", STORE_RETRY, NULL},    // I/O
};

static enum store_result failed(struct db *db, const PGresult *r, struct err *e)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    snprintf(db->sqlstate, sizeof(db->sqlstate), "%s", state ? state : "");
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (!message)
        message = PQresultErrorMessage(r);
    enum store_result result = state ? STORE_FATAL : STORE_RETRY;
    char advised[400];
    for (size_t i = 0; state && i < ARRAY_LEN(by_sqlstate); i++)
        if (strncmp(state, by_sqlstate[i].prefix, strlen(by_sqlstate[i].prefix)) == 0) {
            result = by_sqlstate[i].result;
            if (by_sqlstate[i].advice) {
                snprintf(advised, sizeof(advised), "%.200s: %s", message, by_sqlstate[i].advice);
                message = advised;
            }
            break;
        }
    say(e, message);
    return result;
}

// ---- waiting ----

// 0 once the socket is ready, -1 at the deadline.
static int wait_socket(struct db *db, short events)
{
    for (;;) {
        int64_t now_us = clock_mono_us();
        if (db->idle && now_us >= db->idle_at_us) {
            db->idle_at_us = now_us + SLICE_MS * US_PER_MS;
            db->idle(db->arg);
        }
        int64_t left_ms = (db->deadline_us - now_us) / US_PER_MS;
        if (left_ms <= 0)
            return -1;
        struct pollfd p = {.fd = PQsocket(db->conn), .events = events};
        if (poll(&p, 1, (int)min_i64(left_ms, SLICE_MS)) > 0)
            return 0;
    }
}

static enum store_result timed_out(struct db *db, struct err *e)
{
    char why[64];
    snprintf(why, sizeof(why), "no answer within %lld ms", (long long)db->timeout_ms);
    return lost(db, why, e);
}

static enum store_result flush(struct db *db, struct err *e)
{
    for (;;) {
        int rc = PQflush(db->conn);
        if (rc == 0)
            return STORE_OK;
        if (rc < 0)
            return lost_as_libpq_says(db, e);
        if (wait_socket(db, POLLIN | POLLOUT) < 0)
            return timed_out(db, e);
        // The server may wait for us to read before it reads on.
        if (!PQconsumeInput(db->conn))
            return lost_as_libpq_says(db, e);
    }
}

static enum store_result next_result(struct db *db, PGresult **out, struct err *e)
{
    while (PQisBusy(db->conn)) {
        if (wait_socket(db, POLLIN) < 0)
            return timed_out(db, e);
        if (!PQconsumeInput(db->conn))
            return lost_as_libpq_says(db, e);
    }
    *out = PQgetResult(db->conn);
    return STORE_OK;
}

static bool is_failure(const PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_COPY_IN;
}

// Reads results to the end, or up to the start of COPY, and keeps the last; of failures the first,
// since what the server said comes before libpq's finding that it has gone.
static enum store_result collect(struct db *db, PGresult **out, struct err *e)
{
    PGresult *kept = NULL, *r = NULL;
    *out = NULL;
    enum store_result rc;
    while ((rc = next_result(db, &r, e)) == STORE_OK && r) {
        if (kept && is_failure(kept)) {
            PQclear(r);
            continue;
        }
        PQclear(kept);
        kept = r;
        if (PQresultStatus(r) == PGRES_COPY_IN)
            break;
    }
    if (kept && is_failure(kept))
        rc = failed(db, kept, e);
    else if (rc == STORE_OK && !kept)
        rc = lost_as_libpq_says(db, e);
    if (db->conn && PQstatus(db->conn) == CONNECTION_BAD)
        db_close(db);
    if (rc == STORE_OK)
        *out = kept;
    else
        PQclear(kept);
    return rc;
}

// ---- statements ----

static enum store_result ask(struct db *db, int sent, PGresult **out, struct err *e)
{
    PGresult *r = NULL;
    if (!sent)
        return lost_as_libpq_says(db, e);
    enum store_result rc = flush(db, e);
    if (rc == STORE_OK)
        rc = collect(db, &r, e);
    if (rc == STORE_OK && out)
        *out = r;
    else
        PQclear(r);
    return rc;
}

enum store_result db_exec(struct db *db, const char *sql, PGresult **out, struct err *e)
{
    if (!db->conn)
        return lost(db, "the connection is gone", e);
    return ask(db, PQsendQuery(db->conn, sql), out, e);
}

enum store_result db_query(struct db *db, const char *sql, const struct db_params *p,
                           PGresult **out, struct err *e)
{
    static const struct db_params none;
    if (!db->conn)
        return lost(db, "the connection is gone", e);
    if (!p)
        p = &none;
    const char *values[DB_PARAMS_MAX];
    int lengths[DB_PARAMS_MAX], formats[DB_PARAMS_MAX];
    for (int i = 0; i < p->n; i++) {
        values[i] = p->null[i] ? NULL : p->values[i].p ? p->values[i].p : "";
        lengths[i] = (int)p->values[i].n;
        formats[i] = 1;
    }
    return ask(db, PQsendQueryParams(db->conn, sql, p->n, p->types, values, lengths, formats, 1),
               out, e);
}

enum store_result db_copy_begin(struct db *db, const char *sql, struct err *e)
{
    return db_exec(db, sql, NULL, e);
}

enum store_result db_copy_put(struct db *db, const struct buf *data, struct err *e)
{
    if (PQputCopyData(db->conn, data->p, (int)data->n) != 1)
        return lost_as_libpq_says(db, e);
    return flush(db, e);
}

enum store_result db_copy_end(struct db *db, struct err *e)
{
    return ask(db, PQputCopyEnd(db->conn, NULL) == 1, NULL, e);
}

enum store_result db_commit(struct db *db, struct err *e)
{
    if (!db->conn)
        return lost(db, "the connection was lost before COMMIT", e);
    PGresult *r = NULL;
    enum store_result rc = ask(db, PQsendQuery(db->conn, "COMMIT"), &r, e);
    if (rc != STORE_OK && !db->conn)
        return STORE_UNKNOWN;
    if (rc == STORE_OK && strcmp(PQcmdStatus(r), "COMMIT") != 0) {
        say(e, "the transaction was rolled back");
        rc = STORE_RETRY;
    }
    PQclear(r);
    return rc;
}

void db_rollback(struct db *db)
{
    if (!db->conn)
        return;
    // Whatever it was that failed, it may have used up the deadline.
    struct err ignored;
    char sqlstate[sizeof(db->sqlstate)];
    memcpy(sqlstate, db->sqlstate, sizeof(sqlstate));
    db->deadline_us = max_i64(db->deadline_us, clock_mono_us() + US_PER_S);
    // A COPY under way cannot be rolled back by a statement: its connection is given up.
    if (PQtransactionStatus(db->conn) == PQTRANS_ACTIVE ||
        db_exec(db, "ROLLBACK", NULL, &ignored) != STORE_OK)
        db_close(db);
    memcpy(db->sqlstate, sqlstate, sizeof(sqlstate));
}

// The server gives up before we do, so that it is the one to say why.
static int64_t statement_timeout_ms(const struct db *db)
{
    return max_i64(db->timeout_ms * 3 / 4, 1);
}

// A client that was stopped while the server reads from it (COPY, a statement that has arrived in
// part) or writes to it keeps its backend out of reach of every time-out of the server, with all
// its locks; and where only its way to the database is gone, nobody takes its partitions over
// either. A statement older than its time-out that still waits for its client is such a one.
void db_end_silent(struct db *db)
{
    if (!db->conn)
        return;
    struct err ignored;
    struct db_params p = {0};
    db->deadline_us = max_i64(db->deadline_us, clock_mono_us() + US_PER_S);
    db_param_i64(&p, statement_timeout_ms(db));
    // Where it fails, the next wait that is too long asks again.
    enum store_result rc =
        db_query(db,
                 "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                 " AND application_name = '" APPLICATION "'"
                 " AND state = 'active' AND wait_event_type = 'Client'"
                 " AND query_start < clock_timestamp() - $1 * interval '1 ms'",
                 &p, NULL, &ignored);
    (void)rc;
    db_params_free(&p);
}

// ---- connecting ----

static enum store_result poll_connect(struct db *db, struct err *e)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        if (status == PGRES_POLLING_FAILED)
            return lost_as_libpq_says(db, e);
        if (wait_socket(db, status == PGRES_POLLING_READING ? POLLIN : POLLOUT) < 0)
            return timed_out(db, e);
        status = PQconnectPoll(db->conn);
    }
    PQsetnonblocking(db->conn, 1);
    return STORE_OK;
}

static void ignore_notice(void *arg, const PGresult *r)
{
    (void)arg;
    (void)r;
}

static enum store_result start_connect(struct db *db, struct err *e)
{
    PQconninfoOption *parsed = PQconninfoParse(db->dsn, NULL);
    if (!parsed) { // libpq's own words may repeat the password
        err_field(
            e, "POSTGRES_DSN", -1,
            "cannot be read; want postgresql://user:password@host:port/database, or pairs such "
            "as host=… dbname=…");
        return STORE_FATAL;
    }
    PQconninfoFree(parsed);
    char timeout_ms[24];
    snprintf(timeout_ms, sizeof(timeout_ms), "%lld", (long long)db->timeout_ms);
    // What comes before dbname the operator's DSN may override. The name of the application it may
    // not: db_end_silent() knows processors by it.
    const char *const names[] = {
        "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "dbname",          "application_name",    "client_encoding",  NULL};
    const char *const values[] = {"5", "2", "3", timeout_ms, db->dsn, APPLICATION, "UTF8", NULL};
    db->conn = PQconnectStartParams(names, values, 1);
    if (!db->conn || PQstatus(db->conn) == CONNECTION_BAD)
        return lost_as_libpq_says(db, e);
    PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
    return poll_connect(db, e);
}

// Ends the backend that this store used before: it may hold the position rows, or be about to
// commit.
static enum store_result end_backend_before(struct db *db, struct err *e)
{
    if (!db->before.pid)
        return STORE_OK;
    struct db_params p = {0};
    db_param_i64(&p, db->before.pid);
    db_param_i64(&p, db->before.start_us);
    PGresult *r = NULL;
    enum store_result rc =
        db_query(db,
                 "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                 " WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::bigint = $2",
                 &p, &r, e);
    db_params_free(&p);
    if (rc == STORE_OK && PQntuples(r) == 1 && !PQgetvalue(r, 0, 0)[0]) {
        say(e, "the backend used before does not end");
        rc = STORE_RETRY;
    }
    PQclear(r);
    if (rc == STORE_OK)
        db->before = (struct backend){0};
    return rc;
}

static enum store_result prepare_session(struct db *db, struct err *e)
{
    // Nobody waits long for a lock, and who is silent in a transaction loses it as soon: a client
    // that was stopped may hold what all others need (the row of a tenant, a minute of a series).
    // The server also looks itself whether our host is still there.
    //
    // What is wanted is always a look into an index. Partitions are young and without statistics,
    // so the planner takes them for small and might read them whole.
    long long lock_ms = (long long)max_i64(db->timeout_ms / 4, 1);
    char sql[768];
    snprintf(sql, sizeof(sql),
             "SET statement_timeout = %lld; SET lock_timeout = %lld;"
             " SET idle_in_transaction_session_timeout = %lld; SET tcp_user_timeout = %lld;"
             " SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2;"
             " SET tcp_keepalives_count = 3;"
             " SET enable_seqscan = off; SET enable_memoize = off; SET jit = off;"
             " SET work_mem = '32MB'; SET temp_buffers = '32MB';"
             " SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint"
             " FROM pg_stat_activity WHERE pid = pg_backend_pid()",
             (long long)statement_timeout_ms(db), lock_ms, lock_ms, (long long)db->timeout_ms);
    PGresult *r = NULL;
    enum store_result rc = db_exec(db, sql, &r, e);
    if (rc == STORE_OK && PQntuples(r) == 1)
        db->now = (struct backend){(int)strtol(PQgetvalue(r, 0, 0), NULL, 10),
                                   strtoll(PQgetvalue(r, 0, 1), NULL, 10)};
    PQclear(r);
    return rc;
}

static enum store_result check_schema(struct db *db, struct err *e)
{
    if (PQserverVersion(db->conn) < SERVER_MIN) {
        err_set(e, "PostgreSQL %d is too old; want %d or newer", PQserverVersion(db->conn) / 10000,
                SERVER_MIN / 10000);
        return STORE_FATAL;
    }
    PGresult *r = NULL;
    enum store_result rc = db_query(db, SQL_CHECK_VERSION, NULL, &r, e);
    if (rc != STORE_OK)
        return rc;
    int64_t version = db_i64(r, 0, 0), oldest_writer = db_i64(r, 0, 1);
    PQclear(r);
    if (version < SQL_SCHEMA_VERSION) {
        err_set(e,
                "the database's schema is version %lld, this build needs version %d; run: "
                "streamlens-admin setup",
                (long long)max_i64(version, 0), SQL_SCHEMA_VERSION);
        return STORE_FATAL;
    }
    if (oldest_writer > SQL_SCHEMA_VERSION) {
        err_set(
            e,
            "the database's schema is version %lld and may only be written by builds of version "
            "%lld or newer; this one knows version %d",
            (long long)version, (long long)oldest_writer, SQL_SCHEMA_VERSION);
        return STORE_FATAL;
    }
    return STORE_OK;
}

// A wrong name or password is no reason to wait, at the start. Once a connection has been up,
// whatever the server says may be a passing state of it (a restore, a change of passwords). libpq
// has no SQLSTATE of a refused connection, so this knows the server's English; in another language
// it waits.
static enum store_result judge_refusal(struct db *db, enum store_result rc, const struct err *e)
{
    static const char *const hopeless[] = {"authentication failed", "does not exist",
                                           "no pg_hba.conf entry", "no password supplied"};
    if (rc != STORE_RETRY)
        return rc;
    // libpq's own word for a value that no server was asked about.
    if (strstr(e->detail, "PostgreSQL: invalid ") == e->detail)
        return STORE_FATAL;
    for (size_t i = 0; db->connections == 0 && i < ARRAY_LEN(hopeless); i++)
        if (strstr(e->detail, hopeless[i]))
            return STORE_FATAL;
    return rc;
}

static enum store_result connect_now(struct db *db, struct err *e)
{
    enum store_result rc = judge_refusal(db, start_connect(db, e), e);
    if (rc == STORE_OK)
        rc = prepare_session(db, e);
    if (rc == STORE_OK)
        rc = end_backend_before(db, e);
    if (rc == STORE_OK)
        rc = check_schema(db, e);
    if (rc == STORE_OK) {
        db->connections++;
        db->fresh = true;
        db->backoff_us = 0;
        return STORE_OK;
    }
    // This one holds nothing; the one before may still.
    db->now = (struct backend){0};
    db_close(db);
    return rc;
}

enum store_result db_open(struct db *db, bool *fresh, struct err *e)
{
    struct err unwanted;
    if (!e)
        e = &unwanted;
    if (!db->conn) {
        int64_t now_us = clock_mono_us();
        if (now_us < db->next_attempt_us) {
            *e = db->why_closed;
            return STORE_RETRY;
        }
        enum store_result rc = connect_now(db, e);
        if (rc != STORE_OK) {
            db->backoff_us = min_i64(max_i64(db->backoff_us * 2, BACKOFF_MIN_US), BACKOFF_MAX_US);
            db->next_attempt_us = clock_mono_us() + db->backoff_us;
            db->why_closed = *e;
            return rc;
        }
    }
    *fresh = db->fresh;
    db->fresh = false;
    return STORE_OK;
}
