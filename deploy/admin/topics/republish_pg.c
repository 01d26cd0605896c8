// SPDX-License-Identifier: Apache-2.0
// Locks are taken as flushes and the publisher take them: rows of llm_window in order, then those
// of llm_publish. Between two transactions they go on.
#include "deploy/admin/topics/republish_pg.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/core/timeunit.h"

#define TRIES 5 // where the server has ended one of two that wait for each other
#define DEADLOCK "40P01"

// $1 to, $2 tenant, $3 and $4 behind which row. What was published is of a closed window.
// window_start >= $3 is for the planner, which leaves out partitions by it.
#define IN_RANGE                                                                                   \
    " p.publish_seq > 0 AND p.window_start >= $3 AND p.window_start < $1"                          \
    " AND (p.window_start, p.series_id) > ($3, $4)"                                                \
    " AND ($2::text IS NULL OR p.series_id IN (SELECT series_id FROM llm_series"                   \
    " WHERE tenant_id = $2))"
// And $5 and $6: up to which.
#define IN_PAGE IN_RANGE " AND (p.window_start, p.series_id) <= ($5, $6)"

// A row of llm_publish, as text.
struct place {
    char window[40], series[24];
};

static int set_place(struct place *p, const char *window, const char *series, struct err *e)
{
    if (strlen(window) >= sizeof(p->window) || strlen(series) >= sizeof(p->series))
        return err_set(e, "the database gives a time that cannot be read");
    snprintf(p->window, sizeof(p->window), "%s", window);
    snprintf(p->series, sizeof(p->series), "%s", series);
    return 0;
}

struct marking {
    struct db *db;
    char to[40], page_rows[24];
    const char *tenant;
    struct place behind, upto; // of this transaction
    char last_window[40];      // that was marked
    struct republish_result *result;
};

// The row that ends a page. 1: there is none, what is left is the last page.
static int find_end(struct marking *m, struct err *e)
{
    PGresult *r = db_query(
        m->db, "looking for rows",
        "SELECT p.window_start, p.series_id FROM llm_publish p"
        " WHERE" IN_RANGE " ORDER BY 1, 2 OFFSET $5::bigint - 1 LIMIT 1",
        5,
        (const char *const[]){m->to, m->tenant, m->behind.window, m->behind.series, m->page_rows},
        e);
    if (!r)
        return -1;
    int rc =
        PQntuples(r) == 0 ? 1 : set_place(&m->upto, PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), e);
    PQclear(r);
    // No row is behind the end of the range.
    return rc == 1 && set_place(&m->upto, m->to, "0", e) < 0 ? -1 : rc;
}

static int mark(struct marking *m, struct err *e)
{
    const char *const params[] = {m->to,          m->tenant,     m->behind.window, m->behind.series,
                                  m->upto.window, m->upto.series};
    if (db_exec(m->db, "beginning", "BEGIN", e) < 0 ||
        db_run(m->db, "locking the windows",
               "SELECT FROM llm_window WHERE window_start IN"
               " (SELECT p.window_start FROM llm_publish p WHERE" IN_PAGE ")"
               " ORDER BY window_start FOR NO KEY UPDATE",
               6, params, e) < 0)
        return -1;
    PGresult *r = db_query(
        m->db, "marking the rows",
        "WITH marked AS (UPDATE llm_publish p SET again = true WHERE" IN_PAGE
        " RETURNING p.window_start),"
        " windows AS (SELECT DISTINCT window_start FROM marked),"
        " changed AS (UPDATE llm_window w SET changes = w.changes + 1 FROM windows"
        " WHERE w.window_start = windows.window_start)"
        " SELECT (SELECT count(*) FROM marked), count(*), min(window_start), max(window_start)"
        " FROM windows",
        6, params, e);
    if (!r)
        return -1;
    int rc = db_exec(m->db, "marking the rows", "COMMIT", e);
    if (rc == 0) {
        m->result->rows += db_int(r, 0, 0);
        // A window of many rows may have begun in the transaction before.
        m->result->windows +=
            db_int(r, 0, 1) - (strcmp(m->last_window, PQgetvalue(r, 0, 2)) == 0 && db_int(r, 0, 1));
        if (db_int(r, 0, 1) > 0)
            snprintf(m->last_window, sizeof(m->last_window), "%s", PQgetvalue(r, 0, 3));
    }
    PQclear(r);
    return rc;
}

static int mark_page(struct marking *m, struct err *e)
{
    for (int i = 1;; i++) {
        if (mark(m, e) == 0)
            return 0;
        struct err ignored;
        bool deadlock = db_failed_with(m->db, DEADLOCK);
        if (!deadlock || i == TRIES || db_exec(m->db, "undoing", "ROLLBACK", &ignored) < 0)
            return -1;
    }
}

static int count_open(struct marking *m, const char *from, struct err *e)
{
    PGresult *r = db_query(m->db, "looking for open windows",
                           "SELECT count(*) FROM llm_window WHERE window_start >= $1"
                           " AND window_start < $2 AND closed_at IS NULL",
                           2, (const char *const[]){from, m->to}, e);
    if (!r)
        return -1;
    m->result->open_windows = db_int(r, 0, 0);
    PQclear(r);
    return 0;
}

int republish_mark(struct db *db, const struct republish_range *range, int64_t page_rows,
                   struct republish_result *out, struct err *e)
{
    *out = (struct republish_result){0};
    struct marking m = {.db = db, .tenant = range->tenant, .result = out};
    char from[TIME_RFC3339_MAX];
    time_format_rfc3339(range->from_us, from);
    time_format_rfc3339(range->to_us, m.to);
    snprintf(m.page_rows, sizeof(m.page_rows), "%" PRId64, page_rows);
    // No series has the id 0.
    if (db_exec(db, "preparing", "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'", e) < 0 ||
        count_open(&m, from, e) < 0 || set_place(&m.behind, from, "0", e) < 0)
        return -1;
    for (;;) {
        int last = find_end(&m, e);
        if (last < 0 || mark_page(&m, e) < 0)
            return -1;
        if (last)
            return 0;
        m.behind = m.upto;
    }
}
