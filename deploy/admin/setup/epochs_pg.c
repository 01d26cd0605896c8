// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/setup/epochs_pg.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/core/timeunit.h"
#include "deploy/admin/db_pg.h"
#include "deploy/admin/setup/positions_pg.h"

#define REACH_DAYS "8"          // of the log: its retention and a day
#define CLOCKS_DIFFER_MS "1000" // of a processor and the database, at most

struct epochs {
    struct db *db;
};

struct epochs *epochs_open(const struct config *c, struct err *e)
{
    struct epochs *s = xcalloc(1, sizeof(*s));
    s->db = db_open_set_up(c, e);
    if (s->db)
        return s;
    epochs_close(s);
    return NULL;
}

void epochs_close(struct epochs *s)
{
    if (!s)
        return;
    db_close(s->db);
    free(s);
}

// ---- reading ----

int epochs_read(struct epochs *s, struct epoch **out, size_t *count, struct err *e)
{
    PGresult *r =
        db_query(s->db, "reading the settings",
                 "SELECT s.epoch, s.series_epoch, i.partitions, s.join_ttl_ms,"
                 " s.join_skew_ms, s.max_series_per_tenant, " DB_US(
                     "s.created_at") " FROM streamlens_installation i, streamlens_settings s"
                                     " ORDER BY s.epoch DESC",
                 0, NULL, e);
    if (!r)
        return -1;
    *count = (size_t)PQntuples(r);
    *out = xcalloc(*count + 1, sizeof(**out));
    for (int i = 0; i < PQntuples(r); i++)
        (*out)[i] = (struct epoch){
            .epoch = db_int(r, i, 0),
            .series_epoch = db_int(r, i, 1),
            .numbers = {db_int(r, i, 2), db_int(r, i, 3), db_int(r, i, 4), db_int(r, i, 5)},
            .created_us = db_int(r, i, 6),
        };
    PQclear(r);
    if (*count > 0)
        return 0;
    free(*out);
    *out = NULL;
    return err_set(e, "the database holds no settings: run streamlens-admin setup");
}

int epochs_read_borders(struct epochs *s, int64_t epoch, struct epoch_border **out, size_t *count,
                        struct err *e)
{
    char number[24];
    snprintf(number, sizeof(number), "%" PRId64, epoch);
    PGresult *r = db_query(s->db, "reading where the settings hold",
                           "SELECT epoch, partition, from_ms * 1000, request_offset,"
                           " response_offset FROM streamlens_settings_from"
                           " WHERE $1::bigint IN (0, epoch) ORDER BY epoch DESC, partition",
                           1, (const char *const[]){number}, e);
    if (!r)
        return -1;
    *count = (size_t)PQntuples(r);
    *out = xcalloc(*count + 1, sizeof(**out));
    for (int i = 0; i < PQntuples(r); i++)
        (*out)[i] =
            (struct epoch_border){db_int(r, i, 0), db_int(r, i, 1), db_us(r, i, 2, INT64_MIN),
                                  db_int(r, i, 3), db_int(r, i, 4)};
    PQclear(r);
    return 0;
}

// ---- opening one ----

int epochs_lock(struct epochs *s, struct err *e)
{
    return positions_lock(s->db, e);
}

// Processors keep the newest ones and take the oldest of them to hold from the beginning.
static int check_room(struct epochs *s, struct err *e)
{
    char kept[8];
    snprintf(kept, sizeof(kept), "%d", SETTINGS_EPOCHS_MAX);
    PGresult *r = db_query(
        s->db, "counting the settings epochs",
        "SELECT " DB_US("k.created_at + interval '" REACH_DAYS
                        " days'") " FROM (SELECT created_at FROM streamlens_settings"
                                  "  ORDER BY epoch DESC OFFSET $1::int - 2 LIMIT 1) k"
                                  " WHERE (SELECT count(*) FROM streamlens_settings) >= $1::int"
                                  " AND k.created_at > now() - interval '" REACH_DAYS " days'",
        1, (const char *const[]){kept}, e);
    if (!r)
        return -1;
    int rc = 0;
    if (PQntuples(r) > 0) {
        char at[TIME_RFC3339_MAX];
        time_format_rfc3339(time_floor_us(db_int(r, 0, 0), US_PER_S), at);
        rc = err_set(
            e,
            "processors keep %d settings epochs, and the log, which reaches back " REACH_DAYS
            " days at most, may still need the oldest one; the next can be opened at %s",
            SETTINGS_EPOCHS_MAX, at);
    }
    PQclear(r);
    return rc;
}

int epochs_add(struct epochs *s, const struct epoch *next, struct err *e)
{
    if (check_room(s, e) < 0)
        return -1;
    char epoch[24], ttl[24], skew[24], series[24], series_epoch[24];
    snprintf(epoch, sizeof(epoch), "%" PRId64, next->epoch);
    snprintf(ttl, sizeof(ttl), "%" PRId64, next->numbers.join_ttl_ms);
    snprintf(skew, sizeof(skew), "%" PRId64, next->numbers.join_skew_ms);
    snprintf(series, sizeof(series), "%" PRId64, next->numbers.max_series_per_tenant);
    snprintf(series_epoch, sizeof(series_epoch), "%" PRId64, next->series_epoch);
    static const char doing[] = "opening a settings epoch";
    if (db_run(s->db, doing,
               "INSERT INTO streamlens_settings (epoch, join_ttl_ms, join_skew_ms,"
               " max_series_per_tenant, acceptance_version, series_epoch)"
               " SELECT $1, $2, $3, $4, acceptance_version, $5 FROM streamlens_settings"
               " ORDER BY epoch DESC LIMIT 1",
               5, (const char *const[]){epoch, ttl, skew, series, series_epoch}, e) < 0)
        return -1;
    // Later than any record that a processor may have judged, be it that a dead letter of it is
    // sent and not yet counted: they read nothing that is more than the skew ahead of their clock.
    // The newest three: they may not know of the one before yet.
    if (db_run(
            s->db, doing,
            "INSERT INTO streamlens_settings_from (epoch, partition, request_offset,"
            " response_offset, from_ms)"
            " SELECT $1, partition, coalesce(request_next, 0), coalesce(response_next, 0),"
            " (SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000)::bigint"
            "   + (SELECT max(join_skew_ms) FROM (SELECT join_skew_ms FROM streamlens_settings"
            "      ORDER BY epoch DESC LIMIT 3) s) + " CLOCKS_DIFFER_MS ","
            "   (SELECT max(greatest(request_time_ms, response_time_ms)) + 1"
            "    FROM streamlens_position), (SELECT max(from_ms) FROM streamlens_settings_from)))"
            " FROM streamlens_position",
            1, (const char *const[]){epoch}, e) < 0)
        return -1;
    return db_exec(s->db, doing,
                   "UPDATE streamlens_position SET epoch = epoch + 1, token = 0; COMMIT", e);
}
