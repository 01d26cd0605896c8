// SPDX-License-Identifier: Apache-2.0
// A row is chosen by few of its columns, noted as published, and only then read as it is sent: what
// is sent names its own sequence. Nobody can change it in between, since flushes wait for the locks
// of its window.
#include "processor/publish_rows_pg.h"

#include "common/core/timeunit.h"
#include "common/io/fact_row_pg.h"
#include "processor/publish_record.h"
#include "processor/window.h"

// Looking through a window of 10,000 series takes some 50 ms, and meanwhile partition 0 is not
// flushed.
#define WINDOWS_MAX 16

void publish_picks_free(struct publish_picks *p)
{
    free(p->v);
    *p = (struct publish_picks){0};
}

static void add_pick(struct publish_picks *p, const struct publish_pick *pick)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 64;
        p->v = xrealloc(p->v, p->cap * sizeof(*p->v));
    }
    p->v[p->n++] = *pick;
}

// ---- windows ----

// Instants that lie ahead of now are no reason to wait: a clock was set back.
#define WINDOW_IS_DUE                                                                              \
    " closed_at IS NOT NULL AND (changes > looked_changes AND"                                     \
    " (looked_at IS NULL OR looked_at <= $2 OR looked_at > $1)"                                    \
    " OR due_at <= $1 OR due_at > $3)"

static void add_instants(struct db_params *p, const struct publish_rule *rule, int64_t now_ms)
{
    db_param_time(p, now_ms * US_PER_MS);
    db_param_time(p, (now_ms - rule->look_ms) * US_PER_MS);
    db_param_time(p, (now_ms + rule->again_ms) * US_PER_MS);
}

enum store_result publish_rows_any_due(struct db *db, const struct publish_rule *rule,
                                       int64_t now_ms, bool *any, struct err *e)
{
    struct db_params p = {0};
    PGresult *r = NULL;
    add_instants(&p, rule, now_ms);
    enum store_result rc = db_query(
        db, "SELECT EXISTS (SELECT FROM llm_window WHERE" WINDOW_IS_DUE ")::int", &p, &r, e);
    db_params_free(&p);
    *any = rc == STORE_OK && db_i64(r, 0, 0) != 0;
    PQclear(r);
    return rc;
}

#define WINDOW_COLUMNS "window_start, closed_at, looked_at, again_above, again_to"

struct publish_window {
    int64_t start_us;
    int64_t closed_ms;
    bool looked; // through all of it, before
    int64_t again_above, again_to;
};

static struct publish_window read_window(const PGresult *r, int row)
{
    return (struct publish_window){
        .start_us = db_time_us(r, row, 0),
        .closed_ms = db_time_us(r, row, 1) / US_PER_MS,
        .looked = db_time_us(r, row, 2) != INT64_MIN,
        .again_above = db_i64(r, row, 3),
        .again_to = db_i64(r, row, 4),
    };
}

// ---- rows of a window ----

// Looked up, whatever the planner takes the two for. Rows without a series are of a tenant that is
// being deleted.
#define ITS_MINUTE                                                                                 \
    " CROSS JOIN LATERAL (SELECT revision, requests, responses, unanswered FROM llm_minute"        \
    "  WHERE series_id = p.series_id AND window_start = $1 OFFSET 0) m"
#define HAS_SERIES(id)                                                                             \
    " CROSS JOIN LATERAL (SELECT FROM llm_series WHERE series_id = " id " OFFSET 0) s"

// The first that are due, and in the last row (without a series) the earliest publication of those
// that have changed and are not.
static const char look_through[] =
    "WITH c AS MATERIALIZED (SELECT p.series_id, m.revision, p.publish_seq, p.published_at,"
    " m.requests = m.responses + m.unanswered AS settled, m.requests + m.responses AS events,"
    " p.again OR p.publish_seq = 0 OR p.publish_seq > $4 AND p.publish_seq <= $5 AS again,"
    " p.published_settled"
    " FROM llm_publish p" ITS_MINUTE
    " WHERE p.window_start = $1 AND (p.again OR m.revision <> p.published_revision"
    "  OR p.publish_seq > $4 AND p.publish_seq <= $5)),"
    " d AS MATERIALIZED (SELECT *, again OR published_at <= $3 OR published_at > $2"
    "  OR settled AND NOT published_settled AS due FROM c)"
    " (SELECT series_id, revision, settled::int, events, (publish_seq = 0)::int, NULL"
    "  FROM d" HAS_SERIES("d.series_id") " WHERE due ORDER BY series_id LIMIT $6)"
                                         " UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, "
                                         "min(published_at) FROM d WHERE NOT due";

// What is noted of windows that were looked through.
struct looked {
    int64_t start_us, due_us;
};

static struct publish_pick read_pick(const PGresult *r, int row, const struct publish_window *w,
                                     int64_t seq)
{
    bool is_first = db_i64(r, row, 4) != 0;
    return (struct publish_pick){
        .window_us = w->start_us,
        .series_id = db_i64(r, row, 0),
        .seq = seq,
        .revision = db_i64(r, row, 1),
        .settled = db_i64(r, row, 2),
        .events = db_i64(r, row, 3),
        // A series that comes late was not due when its window was.
        .due_ms = is_first && !w->looked ? w->closed_ms : 0,
    };
}

// Appends what is due of the window, up to so many in all. *whole: there was no more, and so
// looked->due_us says when there will be (INT64_MIN: that is not known).
static enum store_result pick_rows(struct db *db, const struct publish_window *w,
                                   const struct publish_rule *rule, int64_t now_ms,
                                   int64_t first_seq, struct publish_picks *out,
                                   struct looked *looked, bool *whole, struct err *e)
{
    size_t room = rule->batch_rows - out->n;
    struct db_params p = {0};
    PGresult *r = NULL;
    db_param_time(&p, w->start_us);
    db_param_time(&p, now_ms * US_PER_MS);
    db_param_time(&p, (now_ms - rule->again_ms) * US_PER_MS);
    db_param_i64(&p, w->again_above);
    db_param_i64(&p, w->again_to);
    db_param_i64(&p, (int64_t)room + 1);
    enum store_result rc = db_query(db, look_through, &p, &r, e);
    db_params_free(&p);
    if (rc != STORE_OK)
        return rc;
    size_t found = 0;
    int64_t waits_us = INT64_MIN; // the earliest publication of those that are to wait
    for (int i = 0; i < PQntuples(r); i++) {
        if (db_i64(r, i, 0) == INT64_MIN) {
            waits_us = db_time_us(r, i, 5);
            continue;
        }
        if (++found > room)
            continue;
        struct publish_pick pick = read_pick(r, i, w, first_seq + (int64_t)out->n);
        add_pick(out, &pick);
    }
    PQclear(r);
    *whole = found <= room;
    *looked = (struct looked){
        w->start_us, waits_us == INT64_MIN ? INT64_MIN : waits_us + rule->again_ms * US_PER_MS};
    return STORE_OK;
}

static enum store_result write_looked(struct db *db, const struct looked *v, size_t n,
                                      int64_t now_ms, struct err *e)
{
    struct db_params p = {0};
    db_param_times(&p, &v->start_us, n, sizeof(*v));
    db_param_times(&p, &v->due_us, n, sizeof(*v));
    db_param_time(&p, now_ms * US_PER_MS);
    enum store_result rc =
        db_query(db,
                 "UPDATE llm_window w SET looked_changes = w.changes, looked_at = $3,"
                 " due_at = n.due_at, again_above = 0, again_to = 0"
                 " FROM unnest($1::timestamptz[], $2::timestamptz[]) AS n(window_start, due_at)"
                 " WHERE w.window_start = n.window_start",
                 &p, NULL, e);
    db_params_free(&p);
    return rc;
}

// The oldest windows that are due, one more than are looked at.
static enum store_result lock_due(struct db *db, const struct publish_rule *rule, int64_t now_ms,
                                  PGresult **out, struct err *e)
{
    struct db_params p = {0};
    add_instants(&p, rule, now_ms);
    db_param_i64(&p, WINDOWS_MAX + 1);
    enum store_result rc = db_query(db,
                                    "SELECT " WINDOW_COLUMNS " FROM llm_window WHERE" WINDOW_IS_DUE
                                    " ORDER BY window_start LIMIT $4 FOR NO KEY UPDATE",
                                    &p, out, e);
    db_params_free(&p);
    return rc;
}

enum store_result publish_rows_due(struct db *db, const struct publish_rule *rule, int64_t now_ms,
                                   int64_t first_seq, struct publish_picks *out, bool *more,
                                   struct err *e)
{
    PGresult *windows = NULL;
    enum store_result rc = lock_due(db, rule, now_ms, &windows, e);
    int n = rc == STORE_OK ? PQntuples(windows) : 0;
    struct looked looked[WINDOWS_MAX];
    int done = 0;
    for (bool whole = true; rc == STORE_OK && done < n && done < WINDOWS_MAX; done += whole) {
        if (!whole || out->n == rule->batch_rows)
            break;
        struct publish_window w = read_window(windows, done);
        rc = pick_rows(db, &w, rule, now_ms, first_seq, out, &looked[done], &whole, e);
    }
    *more = done < n;
    if (rc == STORE_OK && done > 0)
        rc = write_looked(db, looked, (size_t)done, now_ms, e);
    PQclear(windows);
    return rc;
}

// ---- the newest batch ----

static enum store_result lock_newest(struct db *db, PGresult **out, struct err *e)
{
    return db_query(db,
                    "SELECT " WINDOW_COLUMNS " FROM llm_window WHERE window_start = ANY"
                    " (ARRAY(SELECT unnest(batch_windows) FROM streamlens_publisher))"
                    " ORDER BY window_start FOR NO KEY UPDATE",
                    NULL, out, e);
}

// Those of one window.
static const char sequenced[] =
    "SELECT p.series_id, m.revision, (m.requests = m.responses + m.unanswered)::int,"
    " m.requests + m.responses, (p.publish_seq = p.first_seq)::int, p.publish_seq"
    " FROM llm_publish p" ITS_MINUTE HAS_SERIES(
        "p.series_id") " WHERE p.window_start = $1 AND p.publish_seq >= $2 ORDER BY p.publish_seq";

static enum store_result pick_sequenced(struct db *db, const struct publish_window *w,
                                        int64_t from_seq, struct publish_picks *out, struct err *e)
{
    struct db_params p = {0};
    PGresult *r = NULL;
    db_param_time(&p, w->start_us);
    db_param_i64(&p, from_seq);
    enum store_result rc = db_query(db, sequenced, &p, &r, e);
    db_params_free(&p);
    for (int i = 0; rc == STORE_OK && i < PQntuples(r); i++) {
        struct publish_pick pick = read_pick(r, i, w, db_i64(r, i, 5));
        // Sequences follow the windows.
        assert(out->n == 0 || out->v[out->n - 1].seq < pick.seq);
        add_pick(out, &pick);
    }
    PQclear(r);
    return rc;
}

enum store_result publish_rows_sequenced(struct db *db, int64_t from_seq, struct publish_picks *out,
                                         struct err *e)
{
    PGresult *windows = NULL;
    enum store_result rc = lock_newest(db, &windows, e);
    for (int i = 0; rc == STORE_OK && i < PQntuples(windows); i++) {
        struct publish_window w = read_window(windows, i);
        w.looked = false; // by the batch itself, at the earliest
        rc = pick_sequenced(db, &w, from_seq, out, e);
    }
    PQclear(windows);
    return rc;
}

// ---- taking ----

// As an upsert, though all of the rows are there: an update was planned as a loop over the window's
// rows for each of them.
static const char publish_rows[] =
    "INSERT INTO llm_publish AS p (window_start, series_id, publish_seq, published_revision,"
    " published_settled, first_events, published_at)"
    " SELECT window_start, series_id, seq, revision, settled = 1, events, $7"
    " FROM unnest($1::timestamptz[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],"
    "  $6::bigint[]) AS n(window_start, series_id, seq, revision, settled, events)"
    " ON CONFLICT (window_start, series_id) DO UPDATE SET publish_seq = excluded.publish_seq,"
    " published_revision = excluded.published_revision, published_at = excluded.published_at,"
    " published_settled = excluded.published_settled, again = false,"
    " first_seq = coalesce(p.first_seq, excluded.publish_seq),"
    " first_events = CASE WHEN coalesce(p.first_seq, excluded.publish_seq) = excluded.publish_seq"
    "  THEN excluded.first_events ELSE p.first_events END";

static enum store_result note_published(struct db *db, const struct publish_picks *picks,
                                        int64_t now_ms, struct err *e)
{
    const struct publish_pick *v = picks->v;
    struct db_params p = {0};
    db_param_times(&p, &v->window_us, picks->n, sizeof(*v));
    db_param_i64s(&p, &v->series_id, picks->n, sizeof(*v));
    db_param_i64s(&p, &v->seq, picks->n, sizeof(*v));
    db_param_i64s(&p, &v->revision, picks->n, sizeof(*v));
    db_param_i64s(&p, &v->settled, picks->n, sizeof(*v));
    db_param_i64s(&p, &v->events, picks->n, sizeof(*v));
    db_param_time(&p, now_ms * US_PER_MS);
    enum store_result rc = db_query(db, publish_rows, &p, NULL, e);
    db_params_free(&p);
    return rc;
}

// As the rows are now, all in one pack, with whose they are and which pick each is of. Every table
// is looked into by its key, whatever the planner takes it for; the picks are in order, and their
// bounds let it leave partitions out.
#define WITHIN " AND window_start >= $3 AND window_start <= $4"
static const char read_picked[] =
    "SELECT array_agg(s.tenant_id), array_agg(s.route), array_agg(s.model),"
    " array_agg(ARRAY[k.at, coalesce(w.complete, false)::int, (w.closed_at IS NOT NULL)::int,"
    "  EXISTS (SELECT FROM streamlens_gap g WHERE m.window_start < g.windows_to"
    "   AND m.window_start + interval '1 minute' > g.windows_from)::int]),"
    " " FACT_PACK_PG_COLUMNS("-1") FACT_PACK_PG_PUBLISHED(
        "-1") " FROM unnest($1::timestamptz[], $2::bigint[]) WITH ORDINALITY AS k(start, id, at)"
              " CROSS JOIN LATERAL (SELECT * FROM llm_minute WHERE series_id = k.id"
              "  AND window_start = k.start" WITHIN " OFFSET 0) m"
              " CROSS JOIN LATERAL (SELECT * FROM llm_series WHERE series_id = k.id OFFSET 0) s"
              " LEFT JOIN LATERAL (SELECT * FROM llm_publish WHERE series_id = k.id"
              "  AND window_start = k.start" WITHIN " OFFSET 0) p ON true"
              " LEFT JOIN LATERAL (SELECT * FROM llm_window WHERE window_start = k.start OFFSET 0) "
              "w ON true";

enum { AT_TENANT, AT_ROUTE, AT_MODEL, AT_STATE, AT_FACTS };

static enum store_result read_rows(struct db *db, const struct publish_picks *picks, PGresult **out,
                                   struct err *e)
{
    const struct publish_pick *v = picks->v;
    struct db_params p = {0};
    db_param_times(&p, &v->window_us, picks->n, sizeof(*v));
    db_param_i64s(&p, &v->series_id, picks->n, sizeof(*v));
    db_param_time(&p, v[0].window_us);
    db_param_time(&p, v[picks->n - 1].window_us);
    enum store_result rc = db_query(db, read_picked, &p, out, e);
    db_params_free(&p);
    return rc;
}

// The pack with what stands beside it.
struct picked {
    struct pg_array tenants, routes, models, state;
    struct fact_pack facts;
};

static int picked_begin(struct picked *p, const PGresult *r, struct err *e)
{
    if (!pg_array_begin(&p->tenants, r, 0, AT_TENANT) ||
        !pg_array_begin(&p->routes, r, 0, AT_ROUTE) ||
        !pg_array_begin(&p->models, r, 0, AT_MODEL) || !pg_array_begin(&p->state, r, 0, AT_STATE))
        return err_set(e, "the rows to publish have another form");
    return fact_pack_begin(&p->facts, r, 0, AT_FACTS, WINDOW_US, e);
}

// As fact_pack_next(); *pick counts from 0.
static int picked_next(struct picked *p, struct fact_row *row, size_t *pick, struct err *e)
{
    int64_t at, complete, closed, lossy;
    int more = fact_pack_next(&p->facts, row, e);
    if (more != 1)
        return more;
    if (!pg_array_next(&p->tenants, &row->tenant_id) || !pg_array_next(&p->routes, &row->route) ||
        !pg_array_next(&p->models, &row->model) || !pg_array_i64(&p->state, 0, &at) ||
        !pg_array_i64(&p->state, 0, &complete) || !pg_array_i64(&p->state, 0, &closed) ||
        !pg_array_i64(&p->state, 0, &lossy))
        return err_set(e, "the rows to publish have another form");
    row->complete = complete != 0;
    row->closed = closed != 0;
    row->lossy = lossy != 0;
    *pick = (size_t)at - 1;
    return 1;
}

static enum store_result add_records(const PGresult *r, const struct publish_picks *picks,
                                     struct publish_batch *out, struct err *e)
{
    struct picked p;
    struct fact_row facts, *rows = xcalloc(picks->n, sizeof(*rows));
    size_t n = 0, pick = 0;
    int more = picked_begin(&p, r, e) == 0 ? 1 : -1;
    for (; more == 1 && (more = picked_next(&p, &facts, &pick, e)) == 1; n++)
        rows[pick] = facts;
    assert(more != 0 || n == picks->n);
    struct metrics_json json = {0};
    struct buf scratch = {0};
    for (size_t i = 0; more == 0 && i < n; i++) {
        struct metrics_row row;
        assert(rows[i].publish_seq == picks->v[i].seq);
        fact_row_derive(&rows[i], &scratch, &row);
        publish_record_add(out, &json, &row, picks->v[i].due_ms, rows[i].latency_hdr,
                           rows[i].ttft_hdr);
    }
    buf_free(&scratch);
    free(rows);
    return more == 0 ? STORE_OK : STORE_FATAL;
}

enum store_result publish_rows_take(struct db *db, const struct publish_picks *picks,
                                    int64_t now_ms, struct publish_batch *out, struct err *e)
{
    PGresult *r = NULL;
    enum store_result rc = note_published(db, picks, now_ms, e);
    if (rc == STORE_OK)
        rc = read_rows(db, picks, &r, e);
    if (rc == STORE_OK)
        rc = add_records(r, picks, out, e);
    PQclear(r);
    return rc;
}
