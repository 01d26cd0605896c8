// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/access/keys_pg.h"

#include <inttypes.h>
#include <stdio.h>

#include "deploy/admin/db_pg.h"

struct keys {
    struct db *db;
    int64_t now_us;
};

#define IS_ACTIVE "(revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))"

struct keys *keys_open(const struct config *c, struct err *e)
{
    struct keys *k = xcalloc(1, sizeof(*k));
    k->db = db_open_set_up(c, e);
    PGresult *r =
        k->db ? db_query(k->db, "asking for the time", "SELECT " DB_US("now()"), 0, NULL, e) : NULL;
    if (!r) {
        keys_close(k);
        return NULL;
    }
    k->now_us = db_int(r, 0, 0);
    PQclear(r);
    return k;
}

void keys_close(struct keys *k)
{
    if (!k)
        return;
    db_close(k->db);
    free(k);
}

int64_t keys_now_us(const struct keys *k)
{
    return k->now_us;
}

// ---- rows ----

#define COLUMNS                                                                                    \
    "key_id, tenant_id, name, array_to_string(scopes, ','), coalesce(events_per_second, "          \
    "0), " DB_US("expires_at") ", CASE WHEN " IS_ACTIVE                                            \
                               " THEN 0 WHEN revoked_at IS NULL THEN 1 ELSE 2 END, " DB_US(        \
                                   "created_at") ", " DB_US("last_used_at")

void key_row_clear(struct key_row *row)
{
    free(row->tenant);
    free(row->name);
    *row = (struct key_row){0};
}

static unsigned scopes_of(const char *text)
{
    unsigned scopes = 0;
    while (*text) {
        size_t n = strcspn(text, ",");
        scopes |= scope_of((struct str){text, n});
        text += n + (text[n] == ',');
    }
    return scopes;
}

static void read_row(const PGresult *r, int i, struct key_row *out)
{
    *out = (struct key_row){
        .tenant = xstrdup(PQgetvalue(r, i, 1)),
        .name = xstrdup(PQgetvalue(r, i, 2)),
        .scopes = scopes_of(PQgetvalue(r, i, 3)),
        .events_per_second = db_int(r, i, 4),
        .expires_us = db_us(r, i, 5, INT64_MAX),
        .state = (enum key_state)db_int(r, i, 6),
        .created_us = db_us(r, i, 7, INT64_MIN),
        .last_used_us = db_us(r, i, 8, INT64_MIN),
    };
    snprintf(out->id, sizeof(out->id), "%s", PQgetvalue(r, i, 0));
}

int keys_list(struct keys *k, const char *tenant, struct key_row **rows, size_t *count,
              struct err *e)
{
    PGresult *r = db_query(k->db, "reading the keys",
                           "SELECT " COLUMNS " FROM streamlens_key"
                           " WHERE $1::text IS NULL OR tenant_id = $1"
                           " ORDER BY tenant_id, name, created_at, key_id",
                           1, (const char *const[]){tenant}, e);
    if (!r)
        return -1;
    *count = (size_t)PQntuples(r);
    *rows = xcalloc(*count + 1, sizeof(**rows));
    for (size_t i = 0; i < *count; i++)
        read_row(r, (int)i, &(*rows)[i]);
    PQclear(r);
    return 0;
}

// ---- changes ----

// Two at once for the same tenant and name wait for each other; others, and services that note when
// a key was used, are not held up.
static int begin(struct keys *k, const char *tenant, const char *name, struct err *e)
{
    if (db_exec(k->db, "beginning", "BEGIN", e) < 0)
        return -1;
    return db_run(k->db, "waiting for another change of these keys",
                  "SELECT pg_advisory_xact_lock(hashtextextended(format('streamlens key %L %L %L',"
                  " current_schema(), $1::text, $2::text), 0))",
                  2, (const char *const[]){tenant, name}, e);
}

// How many other keys of the tenant and name are active; and how many of all are not revoked.
static int count(struct keys *k, const char *tenant, const char *name, const char *but_id,
                 int64_t *active, int64_t *all, struct err *e)
{
    PGresult *r = db_query(k->db, "counting the keys",
                           "SELECT (SELECT count(*) FROM streamlens_key WHERE tenant_id = $1"
                           "        AND name = $2 AND key_id <> $3 AND " IS_ACTIVE "),"
                           " (SELECT count(*) FROM streamlens_key WHERE revoked_at IS NULL)",
                           3, (const char *const[]){tenant, name, but_id}, e);
    if (!r)
        return -1;
    *active = db_int(r, 0, 0);
    *all = db_int(r, 0, 1);
    PQclear(r);
    return 0;
}

// remaining: of the keys of the same tenant and name, how many go on beside a new one.
static int check_room(const struct key_row *row, int64_t remaining, int64_t all, struct err *e)
{
    if (remaining >= KEYS_ACTIVE_MAX)
        return err_set(e,
                       "%d keys of tenant '%s' with the name '%s' would be active; at most %d may "
                       "be: revoke one (streamlens-admin key list shows them), or give another "
                       "--name",
                       (int)remaining + 1, row->tenant, row->name, KEYS_ACTIVE_MAX);
    if (all >= KEY_TABLE_MAX)
        return err_set(e,
                       "there are %" PRId64 " keys that are not revoked, as many as services "
                       "keep: revoke those that are not needed",
                       all);
    return 0;
}

static const char *scopes_array(unsigned scopes)
{
    static const char *const arrays[] = {
        "{}",      "{ingest}",       "{read}",       "{ingest,read}",
        "{admin}", "{ingest,admin}", "{read,admin}", "{ingest,read,admin}"};
    return arrays[scopes & 7];
}

// PostgreSQL reads whole µs since 1970 exactly this way; a double of seconds would round.
static const char *interval_text(int64_t us, char out[40])
{
    snprintf(out, 40, "%" PRId64 " microseconds", us);
    return out;
}

static int insert(struct keys *k, const struct key_row *row, struct err *e)
{
    char hash[2 * API_KEY_HASH_BYTES + 3] = "\\x", expires[40], rate[24];
    for (size_t i = 0; i < API_KEY_HASH_BYTES; i++)
        snprintf(hash + 2 + 2 * i, 3, "%02x", row->hash[i]);
    snprintf(rate, sizeof(rate), "%" PRId64, row->events_per_second);
    return db_run(
        k->db, "adding the key",
        "INSERT INTO streamlens_key (key_id, key_sha256, tenant_id, name, scopes,"
        " events_per_second, expires_at) VALUES ($1, $2::bytea, $3, $4, $5::text[],"
        " nullif($6::bigint, 0), timestamptz '1970-01-01 00:00:00+00' + $7::interval)",
        7,
        (const char *const[]){
            row->id, hash, row->tenant, row->name, scopes_array(row->scopes), rate,
            row->expires_us == INT64_MAX ? NULL : interval_text(row->expires_us, expires)},
        e);
}

int keys_create(struct keys *k, const struct key_row *row, struct err *e)
{
    int64_t active, all;
    if (begin(k, row->tenant, row->name, e) < 0 ||
        count(k, row->tenant, row->name, "", &active, &all, e) < 0 ||
        check_room(row, active, all, e) < 0 || insert(k, row, e) < 0)
        return -1;
    return db_exec(k->db, "adding the key", "COMMIT", e);
}

static int no_such_key(const char *id, struct err *e)
{
    return err_set(e, "there is no key %s; streamlens-admin key list shows them all", id);
}

int keys_revoke(struct keys *k, const char *id, bool *again, struct err *e)
{
    PGresult *r = db_query(k->db, "revoking the key",
                           "UPDATE streamlens_key new SET revoked_at = coalesce(new.revoked_at, "
                           "now()) FROM (SELECT key_id, revoked_at FROM streamlens_key"
                           " WHERE key_id = $1 FOR UPDATE) old WHERE new.key_id = old.key_id"
                           " RETURNING old.revoked_at IS NOT NULL",
                           1, (const char *const[]){id}, e);
    if (!r)
        return -1;
    int rc = PQntuples(r) == 1 ? 0 : no_such_key(id, e);
    *again = rc == 0 && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return rc;
}

static int read_one(struct keys *k, const char *id, struct key_row *out, struct err *e)
{
    PGresult *r = db_query(k->db, "reading the key",
                           "SELECT " COLUMNS " FROM streamlens_key WHERE key_id = $1", 1,
                           (const char *const[]){id}, e);
    if (!r)
        return -1;
    int rc = PQntuples(r) == 1 ? 0 : no_such_key(id, e);
    if (rc == 0)
        read_row(r, 0, out);
    PQclear(r);
    return rc;
}

// LEAST passes over NULLs, and so a key that never expired gets an end, and no end moves away.
static int end_old(struct keys *k, const char *id, int64_t overlap_us, int64_t *expires_us,
                   struct err *e)
{
    char overlap[40];
    PGresult *r = db_query(k->db, "ending the old key",
                           "UPDATE streamlens_key SET expires_at = least(expires_at, now() + "
                           "$2::interval) WHERE key_id = $1 RETURNING " DB_US("expires_at"),
                           2, (const char *const[]){id, interval_text(overlap_us, overlap)}, e);
    if (!r)
        return -1;
    *expires_us = db_int(r, 0, 0);
    PQclear(r);
    return 0;
}

static int replace(struct keys *k, const struct key_row *old, int64_t overlap_us,
                   struct key_row *next, int64_t *old_expires_us, struct err *e)
{
    if (old->state != KEY_ACTIVE)
        return err_set(e, "key %s is %s; make a new one with streamlens-admin key create", old->id,
                       old->state == KEY_REVOKED ? "revoked" : "expired");
    next->tenant = xstrdup(old->tenant);
    next->name = xstrdup(old->name);
    next->scopes = old->scopes;
    next->events_per_second = old->events_per_second;
    if (next->expires_us == 0)
        next->expires_us = old->expires_us == INT64_MAX
                               ? INT64_MAX
                               : k->now_us + (old->expires_us - old->created_us);
    int64_t others, all;
    if (count(k, old->tenant, old->name, old->id, &others, &all, e) < 0 ||
        check_room(next, others + (overlap_us > 0), all, e) < 0 || insert(k, next, e) < 0 ||
        end_old(k, old->id, overlap_us, old_expires_us, e) < 0)
        return -1;
    return db_exec(k->db, "rotating the key", "COMMIT", e);
}

int keys_rotate(struct keys *k, const char *id, int64_t overlap_us, struct key_row *next,
                int64_t *old_expires_us, struct err *e)
{
    // Read twice: the lock goes by what the key is for, and only behind it its state is sure.
    struct key_row seen = {0}, old = {0};
    int rc = read_one(k, id, &seen, e);
    if (rc == 0)
        rc = begin(k, seen.tenant, seen.name, e);
    if (rc == 0)
        rc = read_one(k, id, &old, e);
    if (rc == 0)
        rc = replace(k, &old, overlap_us, next, old_expires_us, e);
    key_row_clear(&seen);
    key_row_clear(&old);
    return rc;
}
