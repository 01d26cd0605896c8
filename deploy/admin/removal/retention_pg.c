// SPDX-License-Identifier: Apache-2.0
// DETACH PARTITION CONCURRENTLY takes no lock that a flush or a reader waits for: new statements do
// not see the partition any more, and it waits for those that may. Where that takes too long, or
// its client dies, the partition is left `detach pending`, and FINALIZE ends it. DROP TABLE of what
// is still attached would lock the whole table.
#include "deploy/admin/removal/retention_pg.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/io/clock.h"

#define LOCK_TIMEOUT "1s" // of one attempt
#define LOCK_NOT_AVAILABLE "55P03"
#define WINDOW_ROWS "5000" // a transaction
#define RFC3339(expression)                                                                        \
    "to_char((" expression ") AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

// ---- bounds ----

int retention_read_reach(struct db *db, int64_t *uncounted_ms, int64_t *join_ms, struct err *e)
{
    PGresult *r = db_query(
        db, "reading how far events are counted",
        "SELECT CASE WHEN bool_and(request_time_ms IS NOT NULL AND response_time_ms IS NOT NULL)"
        " THEN greatest((extract(epoch FROM now()) * 1000)::bigint"
        "  - min(least(request_time_ms, response_time_ms)), 0) ELSE -1 END,"
        " (SELECT max(join_ttl_ms) + max(join_skew_ms) FROM streamlens_settings)"
        " FROM streamlens_position",
        0, NULL, e);
    if (!r)
        return -1;
    *uncounted_ms = db_int(r, 0, 0);
    *join_ms = db_int(r, 0, 1);
    PQclear(r);
    return 0;
}

// greatest() passes over what is NULL.
#define BOUND(unit, days, column)                                                                  \
    RFC3339("greatest(date_trunc('" unit "', (now() AT TIME ZONE 'UTC') - " days                   \
            " * interval '1 day') AT TIME ZONE 'UTC', " column ")")

int retention_read_bounds(struct db *db, int64_t minute_days, int64_t hour_days,
                          struct retention_bounds *out, struct err *e)
{
    char minutes[24], hours[24];
    snprintf(minutes, sizeof(minutes), "%" PRId64, minute_days);
    snprintf(hours, sizeof(hours), "%" PRId64, hour_days);
    PGresult *r = db_query(db, "reading how far back rows reach",
                           "SELECT " BOUND("day", "$1::int", "minutes_from") ", " BOUND(
                               "month", "$2::int", "hours_from") " FROM streamlens_retention",
                           2, (const char *const[]){minutes, hours}, e);
    if (!r)
        return -1;
    snprintf(out->minutes_from, sizeof(out->minutes_from), "%s", PQgetvalue(r, 0, 0));
    snprintf(out->hours_from, sizeof(out->hours_from), "%s", PQgetvalue(r, 0, 1));
    PQclear(r);
    return 0;
}

int retention_raise_bounds(struct db *db, const struct retention_bounds *b, struct err *e)
{
    return db_run(db, "noting how far back rows reach",
                  "WITH raised AS (UPDATE streamlens_retention SET minutes_from = $1,"
                  "  hours_from = $2, updated_at = now()"
                  "  WHERE minutes_from IS DISTINCT FROM $1 OR hours_from IS DISTINCT FROM $2"
                  "  RETURNING only_row)"
                  " SELECT pg_notify('streamlens_flush', '*') FROM raised",
                  2, (const char *const[]){b->minutes_from, b->hours_from}, e);
}

// ---- partitions ----

// By their names, so that what was detached and not dropped is found too.
static const char list[] =
    "SELECT c.relname, p.parent, p.start, c.reltuples::bigint, pg_total_relation_size(c.oid)"
    " FROM pg_class c,"
    " LATERAL (SELECT substring(c.relname FROM '^(.*)_[0-9]+$'),"
    "  substring(c.relname FROM '[0-9]+$')) p(parent, start)"
    " WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
    " AND c.relkind = 'r' AND CASE"
    " WHEN c.relname ~ '^(llm_minute|llm_publish)_[0-9]{8}$'"
    "  THEN p.start < to_char($1::timestamptz AT TIME ZONE 'UTC', 'YYYYMMDD')"
    " WHEN c.relname ~ '^llm_hour_[0-9]{6}$'"
    "  THEN p.start < to_char($2::timestamptz AT TIME ZONE 'UTC', 'YYYYMM')"
    " ELSE false END"
    " ORDER BY p.parent = 'llm_hour', p.start, p.parent = 'llm_minute'";

int retention_list(struct db *db, const struct retention_bounds *b, struct retention_part **out,
                   size_t *count, struct err *e)
{
    PGresult *r = db_query(db, "looking for partitions", list, 2,
                           (const char *const[]){b->minutes_from, b->hours_from}, e);
    if (!r)
        return -1;
    *count = (size_t)PQntuples(r);
    *out = xcalloc(*count + 1, sizeof(**out));
    for (int i = 0; i < PQntuples(r); i++) {
        struct retention_part *p = &(*out)[i];
        snprintf(p->name, sizeof(p->name), "%s", PQgetvalue(r, i, 0));
        snprintf(p->parent, sizeof(p->parent), "%s", PQgetvalue(r, i, 1));
        snprintf(p->start, sizeof(p->start), "%s", PQgetvalue(r, i, 2));
        p->rows = db_int(r, i, 3);
        p->bytes = db_int(r, i, 4);
    }
    PQclear(r);
    return 0;
}

enum attachment { ATTACHED, PENDING, DETACHED };

static int read_attachment(struct db *db, const struct retention_part *p, enum attachment *out,
                           struct err *e)
{
    PGresult *r = db_query(db, "looking for a partition",
                           "SELECT inhdetachpending::int FROM pg_inherits"
                           " WHERE inhrelid = to_regclass($1)",
                           1, (const char *const[]){p->name}, e);
    if (!r)
        return -1;
    *out = PQntuples(r) == 0 ? DETACHED : db_int(r, 0, 0) ? PENDING : ATTACHED;
    PQclear(r);
    return 0;
}

// One attempt at a statement that may wait for others. 1: they were longer than an attempt lasts.
static int attempt(struct db *db, const char *doing, const char *sql, int64_t deadline_us,
                   struct err *e)
{
    if (db_exec(db, doing, sql, e) == 0)
        return 0;
    bool waited = db_failed_with(db, LOCK_NOT_AVAILABLE);
    struct err ignored;
    // Outside a transaction this does nothing.
    if (!waited || db_exec(db, "undoing", "ROLLBACK", &ignored) < 0)
        return -1;
    if (clock_mono_us() < deadline_us)
        return 1;
    return err_set(e,
                   "%s: a transaction that has used the table goes on for longer than --wait "
                   "(pg_stat_activity shows it); what is done stays done, run it again",
                   doing);
}

static int detach(struct db *db, const struct retention_part *p, int64_t deadline_us, struct err *e)
{
    char sql[256], doing[128];
    snprintf(doing, sizeof(doing), "detaching %s", p->name);
    for (;;) {
        enum attachment found;
        if (read_attachment(db, p, &found, e) < 0)
            return -1;
        if (found == DETACHED)
            return 0;
        // Names are of letters, digits and _.
        snprintf(sql, sizeof(sql), "ALTER TABLE %s DETACH PARTITION %s %s", p->parent, p->name,
                 found == PENDING ? "FINALIZE" : "CONCURRENTLY");
        if (attempt(db, doing, sql, deadline_us, e) < 0)
            return -1;
    }
}

// 1: one of them is attached again, by a flush that has made the partition meanwhile.
static int drop_detached(struct db *db, const struct retention_part *parts, size_t count,
                         int64_t deadline_us, struct err *e)
{
    struct buf sql = {0};
    buf_adds(&sql, "BEGIN;");
    // As llm_make_partition does, so that none is attached in between.
    for (size_t i = 0; i < count; i++)
        buf_addf(&sql,
                 "SELECT pg_advisory_xact_lock(hashtextextended("
                 "'streamlens ' || current_schema() || '.%s', 0));",
                 parts[i].parent);
    buf_addc(&sql, '\0');
    int rc = attempt(db, "dropping partitions", sql.p, deadline_us, e);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        enum attachment found;
        rc = read_attachment(db, &parts[i], &found, e);
        if (rc == 0 && found != DETACHED)
            rc = db_exec(db, "undoing", "ROLLBACK", e) == 0 ? 1 : -1;
    }
    if (rc == 0) {
        buf_clear(&sql);
        for (size_t i = 0; i < count; i++)
            buf_addf(&sql, "DROP TABLE IF EXISTS %s;", parts[i].name);
        buf_adds(&sql, "COMMIT");
        buf_addc(&sql, '\0');
        rc = attempt(db, "dropping partitions", sql.p, deadline_us, e);
    }
    buf_free(&sql);
    return rc;
}

int retention_drop(struct db *db, const struct retention_part *parts, size_t count,
                   int64_t deadline_us, struct err *e)
{
    if (db_exec(db, "preparing", "SET lock_timeout = '" LOCK_TIMEOUT "'", e) < 0)
        return -1;
    int rc = 1;
    while (rc == 1) {
        rc = 0;
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = detach(db, &parts[i], deadline_us, e);
        if (rc == 0)
            rc = drop_detached(db, parts, count, deadline_us, e);
    }
    return rc == 0 ? db_exec(db, "preparing", "RESET lock_timeout", e) : rc;
}

// ---- windows ----

int retention_count_windows(struct db *db, const struct retention_bounds *b, int64_t *out,
                            struct err *e)
{
    PGresult *r =
        db_query(db, "counting windows", "SELECT count(*) FROM llm_window WHERE window_start < $1",
                 1, (const char *const[]){b->minutes_from}, e);
    if (!r)
        return -1;
    *out = db_int(r, 0, 0);
    PQclear(r);
    return 0;
}

int retention_delete_windows(struct db *db, const struct retention_bounds *b, int64_t *deleted,
                             struct err *e)
{
    // In order, as flushes lock them.
    PGresult *r = db_query(db, "deleting windows",
                           "DELETE FROM llm_window WHERE window_start IN"
                           " (SELECT window_start FROM llm_window WHERE window_start < $1"
                           "  ORDER BY window_start LIMIT " WINDOW_ROWS " FOR UPDATE)",
                           1, (const char *const[]){b->minutes_from}, e);
    if (!r)
        return -1;
    *deleted = strtoll(PQcmdTuples(r), NULL, 10);
    PQclear(r);
    return 0;
}
