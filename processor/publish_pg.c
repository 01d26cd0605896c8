// SPDX-License-Identifier: Apache-2.0
// The production store of the publisher (publish_store.h): connection, fence, closing and the
// sequence here, the rows in publish_rows_pg.c. What is locked in which order stands in
// sql/README.md.
#include "processor/publish_pg.h"

#include "common/core/timeunit.h"
#include "processor/closing_pg.h"
#include "processor/publish_rows_pg.h"

#define LOCK_NOT_AVAILABLE "55P03"

struct publish_store {
    struct db *db;
    int64_t token;
    bool in_transaction;
};

struct publish_store *publish_pg_new(const struct config *c, int64_t token, int64_t timeout_ms)
{
    struct publish_store *s = xcalloc(1, sizeof(*s));
    s->db = db_new(c->postgres_dsn, timeout_ms, NULL, NULL);
    s->token = token;
    return s;
}

void publish_store_free(struct publish_store *s)
{
    if (!s)
        return;
    db_free(s->db);
    free(s);
}

static enum store_result open_call(struct publish_store *s, struct err *e)
{
    bool fresh;
    assert(!s->in_transaction);
    db_begin_call(s->db);
    return db_open(s->db, &fresh, e);
}

// ---- transactions ----

// Waits for a flush or a claim of this partition, and holds off the next one.
static enum store_result lock_position(struct publish_store *s, int64_t epoch, struct err *e)
{
    PGresult *r = NULL;
    enum store_result rc = db_query(
        s->db, "SELECT epoch, token FROM streamlens_position WHERE partition = 0 FOR UPDATE", NULL,
        &r, e);
    if (rc == STORE_OK &&
        (PQntuples(r) != 1 || db_i64(r, 0, 0) != epoch || db_i64(r, 0, 1) != s->token)) {
        err_set(e, "partition 0 has another owner, who publishes");
        rc = STORE_FENCED;
    }
    PQclear(r);
    return rc;
}

static enum store_result begin(struct publish_store *s, int64_t epoch, struct err *e)
{
    enum store_result rc = db_exec(s->db, "BEGIN", NULL, e);
    if (rc != STORE_OK)
        return rc;
    s->in_transaction = true;
    return lock_position(s, epoch, e);
}

// Ends what is open: commits after STORE_OK, else rolls back.
static enum store_result end(struct publish_store *s, enum store_result rc, struct err *e)
{
    if (s->in_transaction && rc == STORE_OK) {
        rc = db_commit(s->db, e);
        if (rc == STORE_UNKNOWN)
            rc = STORE_RETRY; // whether it is in, the next call finds
    } else if (s->in_transaction) {
        db_rollback(s->db);
    }
    s->in_transaction = false;
    if (db_failed_with(s->db, LOCK_NOT_AVAILABLE))
        db_end_silent(s->db);
    return rc;
}

enum store_result publish_store_check(struct publish_store *s, int64_t epoch, struct err *e)
{
    enum store_result rc = open_call(s, e);
    if (rc == STORE_OK)
        rc = lock_position(s, epoch, e);
    return end(s, rc, e);
}

// ---- closing ----

enum store_result publish_store_close(struct publish_store *s, int64_t epoch,
                                      const struct closing_rule *rule, int64_t now_ms,
                                      struct err *e)
{
    struct closing_changes *changes = xmalloc(sizeof(*changes));
    enum store_result rc = open_call(s, e);
    if (rc == STORE_OK)
        rc = closing_find(s->db, rule, now_ms, changes, e);
    if (rc == STORE_OK && closing_any(changes)) {
        rc = begin(s, epoch, e);
        // Anew, since another owner may have closed them meanwhile.
        if (rc == STORE_OK)
            rc = closing_find(s->db, rule, now_ms, changes, e);
        if (rc == STORE_OK)
            rc = closing_write(s->db, changes, e);
    }
    free(changes);
    return end(s, rc, e);
}

// ---- the sequence ----

struct sequence {
    int64_t last;  // that was given
    int64_t first; // of the newest batch
};

static enum store_result read_sequence(struct publish_store *s, const char *sql,
                                       struct sequence *out, struct err *e)
{
    PGresult *r = NULL;
    enum store_result rc = db_query(s->db, sql, NULL, &r, e);
    if (rc == STORE_OK)
        *out = (struct sequence){db_i64(r, 0, 0), db_i64(r, 0, 1)};
    PQclear(r);
    return rc;
}

#define SEQUENCE "SELECT last_seq, batch_first_seq FROM streamlens_publisher"

static enum store_result write_sequence(struct publish_store *s, const struct sequence *q,
                                        const struct publish_picks *picks, int64_t now_ms,
                                        struct err *e)
{
    static const struct publish_pick none;
    const struct publish_pick *first = picks->n ? picks->v : &none;
    struct db_params p = {0};
    db_param_i64(&p, q->last);
    db_param_i64(&p, q->first);
    db_param_times(&p, &first->window_us, picks->n, sizeof(*first));
    db_param_time(&p, now_ms * US_PER_MS);
    enum store_result rc = db_query(s->db,
                                    "UPDATE streamlens_publisher SET last_seq = $1,"
                                    " batch_first_seq = $2, batch_windows = ARRAY(SELECT DISTINCT w"
                                    " FROM unnest($3::timestamptz[]) w ORDER BY w),"
                                    " updated_at = $4",
                                    &p, NULL, e);
    db_params_free(&p);
    return rc;
}

// Rows of these windows that were published with a sequence above the one and not above the other
// are to be sent again.
#define MARK(which)                                                                                \
    "WITH w AS (SELECT window_start FROM llm_window WHERE " which                                  \
    " ORDER BY window_start FOR NO KEY UPDATE)"                                                    \
    " UPDATE llm_window t SET changes = t.changes + 1,"                                            \
    " again_above = CASE t.again_to WHEN 0 THEN $1 ELSE least(t.again_above, $1) END,"             \
    " again_to = greatest(t.again_to, $2) FROM w WHERE t.window_start = w.window_start"

static enum store_result mark(struct publish_store *s, const char *sql, int64_t above, int64_t to,
                              struct err *e)
{
    struct db_params p = {0};
    db_param_i64(&p, above);
    db_param_i64(&p, to);
    enum store_result rc = db_query(s->db, sql, &p, NULL, e);
    db_params_free(&p);
    return rc;
}

// The log is ahead: the database was set back to an older state. What that has as the newest batch
// may have been sent once more since, as it was later; it is sent again, so that the log's last is
// the database's.
static enum store_result go_on_behind_log(struct publish_store *s, struct sequence *q,
                                          int64_t progress, int64_t now_ms,
                                          struct publish_batch *out, struct err *e)
{
    static const struct publish_picks none;
    out->advanced_from = q->last + 1;
    enum store_result rc = mark(
        s,
        MARK("window_start = ANY (ARRAY(SELECT unnest(batch_windows) FROM streamlens_publisher))"),
        q->first - 1, q->last, e);
    *q = (struct sequence){.last = progress, .first = progress + 1};
    return rc == STORE_OK ? write_sequence(s, q, &none, now_ms, e) : rc;
}

// The log lacks what lies before the newest batch, which it can only have had.
static enum store_result send_missing_again(struct publish_store *s, const struct sequence *q,
                                            int64_t progress, struct publish_batch *out,
                                            struct err *e)
{
    out->missing_before = q->first;
    // Those that are marked already stay as they are: it may take a while until the log answers.
    return mark(s, MARK("closed_at IS NOT NULL AND NOT (again_to >= $2 AND again_above <= $1)"),
                progress, q->first - 1, e);
}

// ---- taking ----

static enum store_result take(struct publish_store *s, int64_t progress,
                              const struct publish_rule *rule, int64_t now_ms,
                              struct publish_batch *out, struct err *e)
{
    struct sequence q;
    struct publish_picks picks = {0};
    enum store_result rc = read_sequence(s, SEQUENCE " FOR UPDATE", &q, e);
    if (rc == STORE_OK && q.last < progress)
        rc = go_on_behind_log(s, &q, progress, now_ms, out, e);
    else if (rc == STORE_OK && progress < q.first - 1)
        rc = send_missing_again(s, &q, progress, out, e);
    if (rc == STORE_OK && q.last > progress)
        rc = publish_rows_sequenced(s->db, max_i64(progress + 1, q.first), &picks, e);
    out->resumed = picks.n > 0;
    // What was sequenced may be gone, with all its rows: then the next ones are due.
    if (rc == STORE_OK && !out->resumed) {
        rc = publish_rows_due(s->db, rule, now_ms, q.last + 1, &picks, &out->more, e);
        q = (struct sequence){q.last + (int64_t)picks.n, q.last + 1};
        if (rc == STORE_OK && picks.n > 0)
            rc = write_sequence(s, &q, &picks, now_ms, e);
    }
    out->more = out->more || out->resumed;
    if (rc == STORE_OK && picks.n > 0)
        rc = publish_rows_take(s->db, &picks, now_ms, out, e);
    publish_picks_free(&picks);
    return rc;
}

// At first sight: locks nothing.
static enum store_result look(struct publish_store *s, int64_t progress,
                              const struct publish_rule *rule, int64_t now_ms, bool *is_due,
                              struct err *e)
{
    struct sequence q;
    enum store_result rc = read_sequence(s, SEQUENCE, &q, e);
    *is_due = true;
    if (rc != STORE_OK || q.last != progress)
        return rc;
    return publish_rows_any_due(s->db, rule, now_ms, is_due, e);
}

enum store_result publish_store_take(struct publish_store *s, int64_t epoch, int64_t progress,
                                     const struct publish_rule *rule, int64_t now_ms,
                                     struct publish_batch *out, struct err *e)
{
    bool is_due = false;
    enum store_result rc = open_call(s, e);
    if (rc == STORE_OK)
        rc = look(s, progress, rule, now_ms, &is_due, e);
    if (rc == STORE_OK && is_due) {
        rc = begin(s, epoch, e);
        if (rc == STORE_OK)
            rc = take(s, progress, rule, now_ms, out, e);
    }
    rc = end(s, rc, e);
    if (rc != STORE_OK)
        publish_batch_clear(out);
    return rc;
}
