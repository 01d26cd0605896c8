// SPDX-License-Identifier: Apache-2.0
#include "processor/settings_pg.h"

enum store_result settings_read_newest(struct db *db, struct store_settings *out, struct err *e)
{
    PGresult *r = NULL;
    enum store_result rc =
        db_query(db,
                 "SELECT i.partitions, s.join_ttl_ms, s.join_skew_ms, s.max_series_per_tenant,"
                 " s.epoch FROM streamlens_installation i, streamlens_settings s"
                 " ORDER BY s.epoch DESC LIMIT 1",
                 NULL, &r, e);
    if (rc == STORE_OK && PQntuples(r) != 1) {
        err_set(e, "the database holds no settings; run: streamlens-admin setup");
        rc = STORE_FATAL;
    }
    if (rc == STORE_OK)
        *out = (struct store_settings){db_i64(r, 0, 0), db_i64(r, 0, 1), db_i64(r, 0, 2),
                                       db_i64(r, 0, 3), db_i64(r, 0, 4)};
    PQclear(r);
    return rc;
}

// Newest first. One that does not begin before the next newer one has no record that it could hold
// for.
static size_t take_epochs(const PGresult *r, struct settings_epoch newest_first[])
{
    size_t n = 0;
    for (int i = 0; i < PQntuples(r) && n < SETTINGS_EPOCHS_MAX; i++) {
        int64_t from_ms = db_i64(r, i, 1); // NULL is TIME_NONE
        if (n > 0 && from_ms >= newest_first[n - 1].from_ms)
            continue;
        newest_first[n++] = (struct settings_epoch){db_i64(r, i, 0), from_ms, db_i64(r, i, 2),
                                                    db_i64(r, i, 3), db_i64(r, i, 4)};
    }
    return n;
}

enum store_result settings_read(struct db *db, int partition, struct settings *out, struct err *e)
{
    struct db_params p = {0};
    PGresult *r = NULL;
    db_param_i64(&p, partition);
    enum store_result rc =
        db_query(db,
                 "SELECT s.epoch, f.from_ms, s.join_ttl_ms, s.join_skew_ms, s.series_epoch"
                 " FROM streamlens_settings_from f JOIN streamlens_settings s USING (epoch)"
                 " WHERE f.partition = $1 ORDER BY s.epoch DESC",
                 &p, &r, e);
    db_params_free(&p);
    if (rc == STORE_OK) {
        struct settings_epoch newest_first[SETTINGS_EPOCHS_MAX];
        out->count = take_epochs(r, newest_first);
        for (size_t i = 0; i < out->count; i++)
            out->epochs[i] = newest_first[out->count - 1 - i];
        // What was before the oldest kept one is out of the log.
        out->epochs[0].from_ms = TIME_NONE;
    }
    if (rc == STORE_OK && out->count == 0) {
        err_set(e,
                "partition %d has no row in streamlens_settings_from: it was changed by hand, "
                "restore it from a backup",
                partition);
        rc = STORE_FATAL;
    }
    PQclear(r);
    return rc;
}
