// SPDX-License-Identifier: Apache-2.0
// Each reading takes all keys that live and replaces the table as a whole, so a key that was
// revoked, deleted or changed needs no rule of its own.
//
// last_used_at is written from the flags in the table, in one statement that waits for no row: what
// somebody else is writing is left out (SKIP LOCKED), since the one connection must be free for the
// next reading, on which revocation rests.
#include "common/io/auth_keys.h"

#include "common/core/event.h"
#include "common/core/timeunit.h"
#include "common/io/auth_stats.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/pg_async.h"

#include <endian.h>
#include <stdio.h>

#define CONNECT_TIMEOUT_US (1500 * US_PER_MS)
#define QUERY_TIMEOUT_US (5 * US_PER_S)
#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)

// Expired ones of the last day are read too: their end is judged by this machine's clock. The casts
// keep the binary forms what is read below, whatever somebody makes of the columns' types.
#define READ_KEYS                                                                                  \
    "SELECT key_id::text, key_sha256::bytea, tenant_id::text, array_to_string(scopes, ' '),"       \
    " expires_at::timestamptz, events_per_second::int8 FROM streamlens_key"                        \
    " WHERE revoked_at IS NULL"                                                                    \
    " AND coalesce(expires_at > now() - interval '1 day', true)"                                   \
    " ORDER BY created_at, key_id LIMIT " TEXT_OF(KEY_TABLE_MAX) " + 1"
#define WRITE_LAST_USED                                                                            \
    "UPDATE streamlens_key k SET last_used_at = now() FROM (SELECT key_id FROM streamlens_key"     \
    " WHERE key_id = ANY ($1::text[]) ORDER BY key_id FOR UPDATE SKIP LOCKED) used"                \
    " WHERE k.key_id = used.key_id"

enum statement { STATEMENT_READ, STATEMENT_WRITE, STATEMENTS };
static const struct pg_statement statements[STATEMENTS] = {
    [STATEMENT_READ] = {"keys_read", READ_KEYS, 0, false},
    [STATEMENT_WRITE] = {"keys_used", WRITE_LAST_USED, 1, false},
};

struct auth_keys {
    struct pg_pool *pool;
    struct key_table *table; // NULL before the first reading
    struct auth_stats *stats;
    int64_t read_us;                    // monotonic, of the last reading, or of the start
    int64_t written_us;                 // of the last write that succeeded; 0 = none
    struct pg_query *reading, *writing; // NULL: none is under way
    bool read_failing, write_failing;   // logged already
    struct err why;                     // of the last failure
    char *writing_ids;                  // "{id,id}"
};

// ---- a reading --------------------------------------------------------------------------------

static int64_t int8_at(const PGresult *r, int row, int col)
{
    uint64_t n;
    memcpy(&n, PQgetvalue(r, row, col), sizeof(n));
    return (int64_t)be64toh(n);
}

// Microseconds since 2000; 'infinity' is INT64_MAX, '-infinity' INT64_MIN.
#define US_2000 (INT64_C(946684800) * US_PER_S)

static int64_t expiry_at(const PGresult *r, int row, int col)
{
    if (PQgetisnull(r, row, col))
        return INT64_MAX;
    return add_sat_i64(int8_at(r, row, col), US_2000);
}

static unsigned scopes_of(const char *words)
{
    unsigned scopes = 0;
    while (*words) {
        size_t n = strcspn(words, " ");
        scopes |= scope_of((struct str){words, n});
        words += n + (words[n] == ' ');
    }
    return scopes;
}

static int check_tenant(struct str tenant, unsigned scopes, struct err *e)
{
    if (tenant.n > 0)
        return event_check_name("tenant_id", tenant, e);
    return scopes == SCOPE_ADMIN ? 0
                                 : err_field(e, "tenant_id", -1, "may be empty for admin alone");
}

// A row may have been written by hand. What it says goes into records, answers and decisions, so
// it is held to what the rest relies on. -1: it is left out.
static int take_row(struct key_table *t, const PGresult *r, int row, struct err *e)
{
    struct key_record k = {.scopes = scopes_of(PQgetvalue(r, row, 3)),
                           .expires_us = expiry_at(r, row, 4)};
    struct str tenant = {PQgetvalue(r, row, 2), (size_t)PQgetlength(r, row, 2)};
    if (!PQgetisnull(r, row, 5) && (k.events_per_second = int8_at(r, row, 5)) <= 0)
        return err_field(e, "events_per_second", -1, "must be 1 or more, or NULL");
    if (PQgetlength(r, row, 0) != API_KEY_ID_LEN)
        return err_field(e, "key_id", -1, "must have %d characters", API_KEY_ID_LEN);
    if (PQgetlength(r, row, 1) != API_KEY_HASH_BYTES)
        return err_field(e, "key_sha256", -1, "must have %d bytes", API_KEY_HASH_BYTES);
    if (check_tenant(tenant, k.scopes, e) != 0)
        return -1;
    memcpy(k.id, PQgetvalue(r, row, 0), API_KEY_ID_LEN);
    memcpy(k.hash, PQgetvalue(r, row, 1), API_KEY_HASH_BYTES);
    k.tenant = xstrdup(tenant.p);
    int rc = key_table_add(t, &k);
    free(k.tenant);
    return rc == 0 ? 0
                   : err_set(e, "there are more than %d keys, or two of this id", KEY_TABLE_MAX);
}

static void take_keys(struct auth_keys *k, const PGresult *r)
{
    struct key_table *t = key_table_new();
    int64_t left_out = 0;
    struct err e, first = {0};
    char first_id[64] = "";
    for (int row = 0; row < PQntuples(r); row++) {
        if (take_row(t, r, row, &e) == 0)
            continue;
        if (left_out++ == 0) {
            first = e;
            snprintf(first_id, sizeof(first_id), "%s", PQgetvalue(r, row, 0));
        }
    }
    if (k->table)
        key_table_carry_used(t, k->table); // what is not written yet
    key_table_free(k->table);
    k->table = t;
    k->stats->keys = (int64_t)key_table_count(t);
    if (left_out > 0 && k->stats->keys_left_out == 0)
        log_error("rows of streamlens_key are left out", "rows", log_num(left_out), "first",
                  first_id, "field", first.field, "error", first.detail);
    k->stats->keys_left_out = left_out;
}

static void tell_age(struct auth_keys *k, int64_t now_us)
{
    k->stats->key_reading_age_seconds = (now_us - k->read_us) / US_PER_S;
}

static void read_done(void *arg, enum pg_status status, const PGresult *r, const struct err *e)
{
    struct auth_keys *k = arg;
    k->reading = NULL;
    if (status != PG_OK) {
        k->stats->key_readings_failed++;
        k->why = *e;
        if (!k->read_failing)
            log_warn("API keys cannot be read; those read before go on to hold", "error",
                     e->detail);
        k->read_failing = true;
        return;
    }
    if (!k->table || k->read_failing)
        log_info("API keys read", "keys", log_num(PQntuples(r)));
    take_keys(k, r);
    k->read_failing = false;
    k->read_us = clock_mono_us();
    k->stats->key_readings_ok++;
    k->stats->key_reading_age_seconds = 0;
}

static void read_keys(struct auth_keys *k)
{
    if (k->reading)
        return;
    k->reading = pg_pool_query(k->pool, STATEMENT_READ, NULL, read_done, k);
}

// ---- when they were used ----------------------------------------------------------------------

static char *used_ids(struct key_table *t)
{
    struct buf ids = {0};
    for (size_t i = 0; i < key_table_count(t); i++) {
        struct key_record *k = key_table_at(t, i);
        if (!k->used)
            continue;
        buf_addc(&ids, ids.n == 0 ? '{' : ',');
        buf_adds(&ids, k->id);
        k->used = false;
    }
    if (ids.n == 0)
        return NULL;
    buf_addc(&ids, '}');
    return buf_steal(&ids);
}

static void mark_used(struct key_table *t, const char *ids)
{
    for (const char *id = ids + 1; id[-1] != '}'; id += API_KEY_ID_LEN + 1) {
        struct key_record *k = key_table_by_id(t, id);
        if (k)
            k->used = true;
    }
}

static void write_done(void *arg, enum pg_status status, UNUSED const PGresult *r,
                       const struct err *e)
{
    struct auth_keys *k = arg;
    if (status == PG_OK) {
        k->written_us = clock_mono_us();
        k->stats->last_used_writes_ok++;
    } else {
        k->stats->last_used_writes_failed++;
        mark_used(k->table, k->writing_ids);
        if (!k->write_failing)
            log_warn("the last use of API keys cannot be written; it is tried again", "error",
                     e->detail);
    }
    k->write_failing = status != PG_OK;
    k->writing = NULL;
    free(k->writing_ids);
}

static void write_used(struct auth_keys *k, int64_t now_us)
{
    bool due = k->written_us == 0 || now_us - k->written_us >= AUTH_LAST_USED_US;
    if (!k->table || k->writing || !due || !pg_pool_up(k->pool))
        return;
    k->writing_ids = used_ids(k->table);
    if (!k->writing_ids)
        return;
    const char *const params[] = {k->writing_ids};
    k->writing = pg_pool_query(k->pool, STATEMENT_WRITE, params, write_done, k);
}

// ---- life -------------------------------------------------------------------------------------

static int check_table(const PGresult *r, struct err *e)
{
    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        return 0;
    return err_set(e, "POSTGRES_DSN: the database has no table streamlens_key that this role may "
                      "read: run `streamlens-admin setup`");
}

// Not at the next tick: it may be an hour away.
static void on_state(void *arg, enum pg_state state, UNUSED const struct err *e)
{
    struct auth_keys *k = arg;
    if (state == PG_STATE_UP)
        read_keys(k);
}

struct auth_keys *auth_keys_new(struct event_base *base, const char *dsn,
                                const char *application_name, struct auth_stats *stats,
                                struct err *e)
{
    struct auth_keys *k = xcalloc(1, sizeof(*k));
    struct pg_pool_options o = {
        .dsn = dsn,
        .application_name = application_name,
        .size = 1,
        .queue_max = STATEMENTS, // one of each at most
        .query_timeout_us = QUERY_TIMEOUT_US,
        .connect_timeout_us = CONNECT_TIMEOUT_US,
        .writes = true,
        .statements = statements,
        .statement_count = STATEMENTS,
        .check_sql = "SELECT FROM streamlens_key LIMIT 0",
        .check_result = check_table,
        .on_state = on_state,
        .arg = k,
    };
    k->stats = stats;
    k->read_us = clock_mono_us();
    (void)err_set(&k->why, "PostgreSQL has not answered yet");
    k->pool = pg_pool_new(base, &o, e);
    if (!k->pool) {
        free(k);
        return NULL;
    }
    read_keys(k);
    return k;
}

void auth_keys_free(struct auth_keys *k)
{
    if (!k)
        return;
    if (k->reading)
        pg_query_cancel(k->reading);
    if (k->writing) {
        pg_query_cancel(k->writing);
        free(k->writing_ids);
    }
    pg_pool_free(k->pool);
    key_table_free(k->table);
    free(k);
}

void auth_keys_tick(struct auth_keys *k, int64_t now_mono_us)
{
    tell_age(k, now_mono_us);
    read_keys(k);
    write_used(k, now_mono_us);
}

void auth_keys_retry(struct auth_keys *k, int64_t now_mono_us)
{
    tell_age(k, now_mono_us);
    if (k->read_failing)
        read_keys(k);
}

int auth_keys_ready(const struct auth_keys *k, struct err *why)
{
    if (k->table)
        return 0;
    return err_set(why, "API keys have not been read yet: %.400s", k->why.detail);
}

const struct key_record *auth_keys_find(struct auth_keys *k, struct str text, int64_t now_wall_us)
{
    struct key_record *r = key_table_find(k->table, text, now_wall_us);
    if (r)
        r->used = true;
    return r;
}
