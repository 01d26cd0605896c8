// SPDX-License-Identifier: Apache-2.0
#include "processor/closing_pg.h"

#include "common/core/timeunit.h"
#include "processor/notice_pg.h"
#include "processor/window.h"

// Of times that are NULL min() would know nothing: one that is missing makes the least unknown.
// *closed_us: through where all is noted as closed, INT64_MIN where nothing is.
static enum store_result read_progress(struct db *db, struct closing_progress *out,
                                       int64_t *closed_us, struct err *e)
{
    PGresult *r = NULL;
    enum store_result rc = db_query(db,
                                    "SELECT CASE WHEN count(request_time_ms) = count(*)"
                                    "       AND count(response_time_ms) = count(*)"
                                    " THEN min(least(request_time_ms, response_time_ms)) END,"
                                    " max(greatest(request_time_ms, response_time_ms)),"
                                    " (SELECT closed_through FROM streamlens_publisher)"
                                    " FROM streamlens_position",
                                    NULL, &r, e);
    if (rc == STORE_OK) {
        *out = (struct closing_progress){db_i64(r, 0, 0), db_i64(r, 0, 1)};
        *closed_us = db_time_us(r, 0, 2);
    }
    PQclear(r);
    return rc;
}

// The newest window whose end + grace lies at or before that time; NULL's INT64_MIN for TIME_NONE.
static int64_t newest_start_us(int64_t time_ms, int64_t grace_ms)
{
    return time_ms == TIME_NONE ? INT64_MIN : (time_ms - grace_ms) * US_PER_MS - WINDOW_US;
}

// The greatest whole minute that all have passed by the grace.
static int64_t passed_us(int64_t through_ms, int64_t grace_ms)
{
    return through_ms == TIME_NONE ? INT64_MIN
                                   : time_floor_us((through_ms - grace_ms) * US_PER_MS, WINDOW_US);
}

enum store_result closing_read(struct db *db, int64_t now_ms, int64_t grace_ms,
                               struct store_closing *out, struct err *e)
{
    struct db_params p = {0};
    PGresult *r = NULL;
    int64_t closed_us;
    db_param_time(&p, newest_start_us(now_ms, grace_ms));
    enum store_result rc = read_progress(db, &out->progress, &closed_us, e);
    if (rc == STORE_OK)
        rc = db_query(
            db,
            "SELECT max(window_start) FROM llm_window WHERE NOT complete AND window_start <= $1",
            &p, &r, e);
    db_params_free(&p);
    if (rc == STORE_OK) {
        int64_t start_us = db_time_us(r, 0, 0);
        out->want_ms =
            start_us == INT64_MIN ? TIME_NONE : (start_us + WINDOW_US) / US_PER_MS + grace_ms;
    }
    PQclear(r);
    return rc;
}

// Windows that are to be looked at, and none that a verdict could not change: those before $1 all
// partitions have passed, those before $2 somebody, and what is held since $3 has waited. So a
// partition that is away for days does not hide what came after it behind the windows it holds
// back.
static const char candidates[] =
    "SELECT window_start, (closed_at IS NOT NULL)::int, held_since FROM llm_window"
    " WHERE NOT complete AND window_start <= $2 AND (window_start <= $1"
    "  OR closed_at IS NULL AND (held_since IS NULL OR held_since <= $3))"
    " ORDER BY window_start LIMIT $4";

static struct closing_window read_window(const PGresult *r, int row)
{
    int64_t held_us = db_time_us(r, row, 2);
    return (struct closing_window){
        .start_us = db_time_us(r, row, 0),
        .closed = db_i64(r, row, 1) != 0,
        .held_since_ms = held_us == INT64_MIN ? TIME_NONE : held_us / US_PER_MS,
    };
}

// What the candidates' verdicts change. through_us: what closed_through may be by the times alone.
static void judge(const PGresult *r, const struct closing_rule *rule,
                  const struct closing_progress *progress, int64_t now_ms, int64_t through_us,
                  struct closing_changes *out)
{
    int n = PQntuples(r);
    for (int i = 0; i < n; i++) {
        struct closing_window w = read_window(r, i);
        enum closing_verdict verdict = closing_judge(&w, rule, progress, now_ms);
        if (verdict == CLOSING_OPEN)
            continue;
        bool held = verdict == CLOSING_HELD;
        out->v[out->n++] = (struct closing_change){
            .start_us = w.start_us,
            .held_since_us = held ? now_ms * US_PER_MS : INT64_MIN,
            .closed_at_us = held ? INT64_MIN : now_ms * US_PER_MS,
            .complete = verdict == CLOSING_COMPLETE,
        };
    }
    if (n == CLOSING_BATCH) // behind the last one there may be others
        through_us = min_i64(through_us, read_window(r, n - 1).start_us + WINDOW_US);
    out->through_us = through_us;
}

enum store_result closing_find(struct db *db, const struct closing_rule *rule, int64_t now_ms,
                               struct closing_changes *out, struct err *e)
{
    struct closing_progress progress;
    int64_t closed_us;
    out->n = 0;
    out->through_us = INT64_MIN;
    enum store_result rc = read_progress(db, &progress, &closed_us, e);
    if (rc != STORE_OK || progress.lead_ms == TIME_NONE)
        return rc;
    struct db_params p = {0};
    PGresult *r = NULL;
    db_param_time(&p, newest_start_us(progress.through_ms, rule->grace_ms));
    db_param_time(&p, newest_start_us(progress.lead_ms, rule->grace_ms));
    db_param_time(&p, (now_ms - rule->wait_ms) * US_PER_MS);
    db_param_i64(&p, CLOSING_BATCH);
    rc = db_query(db, candidates, &p, &r, e);
    db_params_free(&p);
    if (rc == STORE_OK)
        judge(r, rule, &progress, now_ms, passed_us(progress.through_ms, rule->grace_ms), out);
    if (out->through_us <= closed_us)
        out->through_us = INT64_MIN;
    PQclear(r);
    return rc;
}

// In order, as flushes lock them. What was published of a window that was not complete is published
// again when it is.
#define BECOMES_COMPLETE "w.closed_at IS NOT NULL AND n.complete = 1"
static const char write_changes[] =
    "WITH l AS (SELECT window_start FROM llm_window WHERE window_start = ANY ($1)"
    " ORDER BY window_start FOR NO KEY UPDATE)"
    " UPDATE llm_window AS w SET held_since = coalesce(w.held_since, n.held_since),"
    " closed_at = coalesce(w.closed_at, n.closed_at), complete = n.complete = 1,"
    " changes = w.changes + CASE WHEN " BECOMES_COMPLETE " THEN 1 ELSE 0 END,"
    " again_above = CASE WHEN " BECOMES_COMPLETE " THEN 0 ELSE w.again_above END,"
    " again_to = CASE WHEN " BECOMES_COMPLETE
    " THEN (SELECT last_seq FROM streamlens_publisher) ELSE w.again_to END"
    " FROM l, unnest($1::timestamptz[], $2::timestamptz[], $3::timestamptz[], $4::bigint[])"
    " AS n(window_start, held_since, closed_at, complete)"
    " WHERE w.window_start = l.window_start AND n.window_start = l.window_start";

static enum store_result write_windows(struct db *db, const struct closing_changes *c,
                                       struct err *e)
{
    const struct closing_change *first = c->v;
    struct db_params p = {0};
    db_param_times(&p, &first->start_us, c->n, sizeof(*first));
    db_param_times(&p, &first->held_since_us, c->n, sizeof(*first));
    db_param_times(&p, &first->closed_at_us, c->n, sizeof(*first));
    db_param_i64s(&p, &first->complete, c->n, sizeof(*first));
    enum store_result rc = db_query(db, write_changes, &p, NULL, e);
    db_params_free(&p);
    return rc;
}

static enum store_result write_through(struct db *db, int64_t through_us, struct err *e)
{
    struct db_params p = {0};
    db_param_time(&p, through_us);
    enum store_result rc =
        db_query(db, "UPDATE streamlens_publisher SET closed_through = $1", &p, NULL, e);
    db_params_free(&p);
    return rc;
}

// Of the windows that are closed or complete from now on: their rows say so.
static enum store_result send_notice(struct db *db, const struct closing_changes *c, struct err *e)
{
    int64_t starts_us[CLOSING_BATCH];
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->v[i].closed_at_us != INT64_MIN)
            starts_us[n++] = c->v[i].start_us;
    if (n == 0 && c->through_us == INT64_MIN)
        return STORE_OK;
    return notice_send(db, starts_us, n, e);
}

enum store_result closing_write(struct db *db, const struct closing_changes *c, struct err *e)
{
    enum store_result rc = STORE_OK;
    if (c->through_us != INT64_MIN)
        rc = write_through(db, c->through_us, e);
    if (rc == STORE_OK && c->n > 0)
        rc = write_windows(db, c, e);
    if (rc == STORE_OK)
        rc = send_notice(db, c, e);
    return rc;
}
