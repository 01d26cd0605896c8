// SPDX-License-Identifier: Apache-2.0
#include "processor/windows_pg.h"

#include "common/core/timeunit.h"
#include "processor/notice_pg.h"
#include "processor/window.h"

// ---- made ahead ----

static bool is_known(const struct known *k, int64_t start_us)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->starts[i] == start_us)
            return true;
    return false;
}

static void remember(struct known *k, int64_t start_us)
{
    if (k->n == WINDOWS_KNOWN)
        k->n = 0;
    k->starts[k->n++] = start_us;
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// What the cells' windows, floored to the unit, are that are not known yet: sorted, each once.
// Sorted, so that two stores that make the same ones wait for each other in one direction only.
static size_t unknown_starts(const struct known *k, const struct store_flush *f, int64_t unit_us,
                             int64_t *out)
{
    size_t n = 0, unique = 0;
    for (size_t i = 0; i < f->cell_count; i++) {
        int64_t start_us = time_floor_us(f->cells[i].window_start_us, unit_us);
        if (!is_known(k, start_us))
            out[n++] = start_us;
    }
    qsort(out, n, sizeof(*out), compare_i64);
    for (size_t i = 0; i < n; i++)
        if (unique == 0 || out[unique - 1] != out[i])
            out[unique++] = out[i];
    return unique;
}

// Runs a statement with the unknown ones as its parameter, and knows them from then on.
static enum store_result make_unknown(struct db *db, struct known *k, const struct store_flush *f,
                                      int64_t unit_us, const char *sql, struct err *e)
{
    int64_t *starts = xcalloc(f->cell_count + 1, sizeof(*starts));
    size_t n = unknown_starts(k, f, unit_us, starts);
    enum store_result rc = STORE_OK;
    if (n > 0) {
        struct db_params p = {0};
        db_param_times(&p, starts, n, sizeof(*starts));
        rc = db_query(db, sql, &p, NULL, e);
        db_params_free(&p);
    }
    for (size_t i = 0; rc == STORE_OK && i < n; i++)
        remember(k, starts[i]);
    free(starts);
    return rc;
}

enum store_result windows_make(struct windows *w, struct db *db, const struct store_flush *f,
                               struct err *e)
{
    enum store_result rc =
        make_unknown(db, &w->minutes, f, WINDOW_US,
                     "INSERT INTO llm_window SELECT w FROM unnest($1::timestamptz[]) w ORDER BY w"
                     " ON CONFLICT DO NOTHING",
                     e);
    if (rc != STORE_OK)
        return rc;
    return make_unknown(
        db, &w->days, f, US_PER_DAY,
        "SELECT llm_make_partition('llm_minute', d), llm_make_partition('llm_publish', d),"
        " llm_make_partition('llm_hour', d) FROM unnest($1::timestamptz[]) d",
        e);
}

// ---- touched ----

// All windows that the flush changes something of, in order: it is what keeps two flushes, and a
// flush and the publisher, from waiting for each other.
#define TOUCH(which, set)                                                                          \
    "WITH w AS (SELECT window_start FROM llm_window WHERE window_start = ANY ($1)" which           \
    " ORDER BY window_start FOR NO KEY UPDATE)"                                                    \
    " UPDATE llm_window t SET changes = t.changes + 1" set                                         \
    " FROM w WHERE t.window_start = w.window_start RETURNING t.window_start"

static const char touch[] = TOUCH("", "");

// Those that a gap has made lossy are published again.
static const char touch_lossy[] =
    TOUCH(" OR EXISTS (SELECT FROM streamlens_gap g WHERE g.gap_id >= $2"
          " AND window_start < g.windows_to AND window_start + interval '1 minute' >"
          " g.windows_from)",
          ", again_above = 0, again_to = $3");

static enum store_result send_notice(struct db *db, const PGresult *touched, struct err *e)
{
    size_t n = (size_t)PQntuples(touched);
    int64_t *starts = xcalloc(n + 1, sizeof(*starts));
    for (size_t i = 0; i < n; i++)
        starts[i] = db_time_us(touched, (int)i, 0);
    enum store_result rc = notice_send(db, starts, n, e);
    free(starts);
    return rc;
}

enum store_result windows_touch(struct db *db, const struct store_flush *f, const struct gaps *g,
                                struct err *e)
{
    static const struct known none;
    bool lossy = g->first_id > 0;
    PGresult *r = NULL;
    int64_t *starts = xcalloc(f->cell_count + 1, sizeof(*starts));
    size_t n = unknown_starts(&none, f, WINDOW_US, starts);
    enum store_result rc = STORE_OK;
    if (n > 0 || lossy) {
        struct db_params p = {0};
        db_param_times(&p, starts, n, sizeof(*starts));
        if (lossy) {
            db_param_i64(&p, g->first_id);
            db_param_i64(&p, g->last_seq);
        }
        rc = db_query(db, lossy ? touch_lossy : touch, &p, &r, e);
        db_params_free(&p);
    }
    if (rc == STORE_OK)
        rc = send_notice(db, r, e);
    PQclear(r);
    free(starts);
    return rc;
}
