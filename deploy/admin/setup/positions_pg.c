// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/setup/positions_pg.h"

#include <stdio.h>

#define LOCK_S "2" // longer than a flush should hold a position row, as in a processor's claim
#define SILENT_S "5"
#define LOCK_TRIES 3 // each may find another processor in the middle of a flush
#define LOCK_NOT_AVAILABLE "55P03"

// Owners whose transaction is older than any flush: stopped, or cut off.
static int end_owners(struct db *db, bool *ended, struct err *e)
{
    PGresult *r = db_query(db, "ending a processor's connection that holds its partitions",
                           "SELECT a.pid, pg_terminate_backend(a.pid, 5000) FROM pg_stat_activity a"
                           " WHERE a.xact_start < clock_timestamp() - interval '" LOCK_S " s'"
                           " AND EXISTS (SELECT FROM streamlens_position p"
                           "  WHERE p.backend_pid = a.pid AND p.backend_start = a.backend_start)",
                           0, NULL, e);
    if (!r)
        return -1;
    *ended = PQntuples(r) > 0;
    for (int i = 0; i < PQntuples(r); i++)
        printf("ended PostgreSQL backend %s: a processor that held its partitions for more than "
               "" LOCK_S " s\n",
               PQgetvalue(r, i, 0));
    PQclear(r);
    return 0;
}

static int try_lock(struct db *db, struct err *e)
{
    static const char doing[] = "locking the positions of all partitions";
    // Whoever stops in between must not stop all processors.
    if (db_exec(db, doing,
                "BEGIN; SET LOCAL lock_timeout = '" LOCK_S "s';"
                " SET LOCAL idle_in_transaction_session_timeout = '" SILENT_S "s'",
                e) < 0)
        return -1;
    // In the order of the partitions, as flushes do.
    return db_exec(db, doing, "SELECT FROM streamlens_position ORDER BY partition FOR UPDATE", e);
}

int positions_lock(struct db *db, struct err *e)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        bool ended;
        if (try_lock(db, e) == 0)
            return 0;
        bool held = db_failed_with(db, LOCK_NOT_AVAILABLE);
        struct err ignored;
        if (!held || db_exec(db, "undoing", "ROLLBACK", &ignored) < 0)
            return -1;
        if (end_owners(db, &ended, e) < 0)
            return -1;
        if (!ended)
            err_set(e, "a connection that is no processor's has locked rows of streamlens_position "
                       "for more than " LOCK_S " s; nothing was changed: end it "
                       "(pg_stat_activity shows it), and try again");
    }
    return -1;
}
