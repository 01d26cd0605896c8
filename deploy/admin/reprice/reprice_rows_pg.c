// SPDX-License-Identifier: Apache-2.0
// First a page is read without locks, to see which rows cost something else: mostly few, and a lock
// is a write as well. Only those are locked and read again, in the order in which flushes take
// their locks (sql/README.md, Locks): rows of minutes by key, of hours by key, of windows by time.
//
// A row that a flush changes in between, so that only now it costs something else, was late: it
// is priced by the version that it names.
#include "deploy/admin/reprice/reprice_rows_pg.h"

#include <stdio.h>

#include "common/core/notice.h"
#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/usage_pg.h"

#define PATIENCE_US (60 * US_PER_S) // of one page with locks that others hold

// ---- columns ----

#define COUNTS(X)                                                                                  \
    X(unpriced_requests)                                                                           \
    X(unpriced_tokens)                                                                             \
    X(guessed_requests)                                                                            \
    X(cost_input_pusd)                                                                             \
    X(cost_cached_input_pusd)                                                                      \
    X(cost_cache_write_5m_pusd)                                                                    \
    X(cost_cache_write_1h_pusd)                                                                    \
    X(cost_output_pusd) X(cost_reasoning_pusd) X(cost_request_pusd) X(cache_savings_pusd)
#define COUNT_NUMBER(name) COUNT_##name,
enum { COUNTS(COUNT_NUMBER) COUNT_COUNT };
_Static_assert(COUNT_COUNT == 3 + PRICE_CLASS_COUNT + 1, "a column a class");

#define COMMA_NAME(name) ", " #name
#define SET_NAME(name) ", " #name " = n." #name
#define KEY "series_id, window_start, revision"
#define NUMBERS KEY ", price_version, cost_pusd" COUNTS(COMMA_NAME)
enum { AT_series_id, AT_window_start, AT_revision, AT_price_version, AT_cost, AT_counts };
#define AT_usage (AT_counts + COUNT_COUNT)

// $1 series, $2 and $3 the range, $4 most rows.
#define READ(kind)                                                                                 \
    "SELECT m.* FROM unnest($1::bigint[]) AS k(id), LATERAL (SELECT " NUMBERS ", usage"            \
    "  FROM llm_" kind " WHERE series_id = k.id AND window_start >= $2 AND window_start < $3"      \
    "  AND cardinality(usage) > 0 ORDER BY window_start) m LIMIT $4"
// $1 and $2 the keys, in order; $3 and $4 the range, so that the planner leaves partitions out.
#define LOCK(kind, columns)                                                                        \
    "SELECT m.* FROM unnest($1::bigint[], $2::timestamptz[]) AS k(id, start),"                     \
    " LATERAL (SELECT " columns " FROM llm_" kind " WHERE series_id = k.id"                        \
    "  AND window_start = k.start AND window_start >= $3 AND window_start < $4"                    \
    "  FOR NO KEY UPDATE) m"
#define UPDATE(kind)                                                                               \
    "UPDATE llm_" kind " m SET revision = m.revision + 1, updated_at = now(),"                     \
    " price_version = n.price_version, cost_pusd = n.cost_pusd" COUNTS(                            \
        SET_NAME) " FROM unnest($1::bigint[], $2::timestamptz[], $5::bigint[], $6::numeric[], "    \
                  "$7::bigint[],"                                                                  \
                  "  $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], "    \
                  "$13::bigint[],"                                                                 \
                  "  $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[])"                  \
                  " AS n(series_id, window_start, price_version, cost_pusd" COUNTS(                \
                      COMMA_NAME) ")"                                                              \
                                  " WHERE m.series_id = n.series_id AND m.window_start = "         \
                                  "n.window_start"                                                 \
                                  " AND m.window_start >= $3 AND m.window_start < $4"

#define TABLE(kind)                                                                                \
    {                                                                                              \
        READ(kind), LOCK(kind, KEY), LOCK(kind, NUMBERS), LOCK(kind, NUMBERS ", usage"),           \
            UPDATE(kind)                                                                           \
    }

// Locked are the keys alone, or with the numbers, or with all.
static const struct table {
    const char *read, *lock, *lock_numbers, *lock_all, *update;
} minute = TABLE("minute"), hour_table = TABLE("hour");

int reprice_prepare(struct db *db, struct err *e)
{
    // Who is stopped in the middle must not stop the flushes. Rows are looked up by their keys,
    // whatever the planner takes the tables for; no page is worth compiling a statement.
    return db_exec(db, "preparing",
                   "SET lock_timeout = '1s'; SET statement_timeout = '30s';"
                   " SET idle_in_transaction_session_timeout = '5s';"
                   " SET enable_hashjoin = off; SET enable_mergejoin = off;"
                   " SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off",
                   e);
}

PGresult *reprice_series(struct reprice_job *job, int64_t hour_us, int64_t behind, struct err *e)
{
    const struct str tenant = str_of(job->tenant);
    struct db_params p = {0};
    db_param_time(&p, hour_us);
    db_param_i64(&p, behind);
    db_param_texts(&p, &tenant, job->tenant ? 1 : 0, sizeof(tenant));
    PGresult *r = db_query_binary(
        job->db, "looking for series",
        "SELECT s.series_id, s.tenant_id FROM llm_series s CROSS JOIN LATERAL (SELECT FROM llm_hour"
        " WHERE series_id = s.series_id AND window_start = $1 OFFSET 0) h WHERE s.series_id > $2"
        " AND (cardinality($3) = 0 OR s.tenant_id = $3[1]) ORDER BY s.series_id",
        &p, e);
    db_params_free(&p);
    return r;
}

// ---- rows ----

// As a statement takes it.
struct row {
    int64_t series_id, window_us, revision, price_version, counts[COUNT_COUNT];
    money cost;
    struct cost change; // by which it became so
};

struct rows {
    struct row *v; // owned: by key
    size_t n, room;
    int64_t left; // rows that cannot be priced as a whole
};

static struct cost cost_of(const struct row *row)
{
    struct cost c = {.estimated = row->cost,
                     .unpriced_requests = row->counts[COUNT_unpriced_requests],
                     .unpriced_tokens = row->counts[COUNT_unpriced_tokens],
                     .guessed_requests = row->counts[COUNT_guessed_requests],
                     .cache_savings = row->counts[COUNT_cache_savings_pusd]};
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        c.classes[k] = row->counts[COUNT_cost_input_pusd + k];
    return c;
}

static void set_cost(struct row *row, const struct cost *c)
{
    row->cost = c->estimated;
    row->counts[COUNT_unpriced_requests] = c->unpriced_requests;
    row->counts[COUNT_unpriced_tokens] = c->unpriced_tokens;
    row->counts[COUNT_guessed_requests] = c->guessed_requests;
    row->counts[COUNT_cache_savings_pusd] = (int64_t)c->cache_savings;
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        row->counts[COUNT_cost_input_pusd + k] = (int64_t)c->classes[k];
}

static int read_row(const PGresult *r, int i, struct row *out, struct err *e)
{
    *out = (struct row){.series_id = db_i64(r, i, AT_series_id),
                        .window_us = db_time_us(r, i, AT_window_start),
                        .revision = db_i64(r, i, AT_revision),
                        .price_version = db_i64(r, i, AT_price_version)};
    for (int k = 0; k < COUNT_COUNT; k++)
        out->counts[k] = db_i64(r, i, AT_counts + k);
    return db_numeric(r, i, AT_cost, &out->cost, e);
}

static void add_row(struct rows *rows, const struct row *row)
{
    if (rows->n == rows->room) {
        rows->room = rows->room ? 2 * rows->room : 1024;
        rows->v = xrealloc(rows->v, rows->room * sizeof(*rows->v));
    }
    rows->v[rows->n++] = *row;
}

struct page {
    struct reprice_job *job;
    const struct reprice_hour *hour;
    const struct table *table;
    const PGresult *series;
    int first, count; // of these
    int64_t until_us; // end of the hour
};

// Rows come by series, as the page's series do.
static struct str tenant_of(const struct page *page, int64_t series_id, int *at)
{
    while (db_i64(page->series, *at, 0) != series_id) {
        (*at)++;
        assert(*at < page->first + page->count);
    }
    return db_bytes(page->series, *at, 1);
}

// Adds the row, as it is to be, where it is to be another one.
static void price(const struct page *page, struct row *row, struct str tenant,
                  const struct usage_lines *lines, struct rows *out)
{
    const struct reprice_scope *scope = page->job->scope;
    if (!reprice_concerns(scope, row->price_version, lines))
        return;
    if (page->hour->minutes_gone &&
        reprice_moves(scope, row->window_us, page->until_us, tenant, lines)) {
        out->left++;
        return;
    }
    struct cost before = cost_of(row);
    struct cost after = reprice_price(scope, row->window_us, tenant, lines);
    if (cost_eq(&before, &after))
        return;
    row->change = after;
    cost_subtract(&row->change, &before);
    row->price_version = scope->version;
    set_cost(row, &after);
    add_row(out, row);
}

static int price_all(const struct page *page, const PGresult *r, int n, struct rows *out,
                     struct err *e)
{
    int at = page->first, rc = 0;
    for (int i = 0; rc == 0 && i < n; i++) {
        struct row row;
        struct usage_lines lines = {0};
        struct err why;
        rc = read_row(r, i, &row, &why);
        if (rc == 0)
            rc = usage_pg_read(&lines, db_bytes(r, i, AT_usage), &why);
        if (rc == 0) {
            price(page, &row, tenant_of(page, row.series_id, &at), &lines, out);
        } else {
            char start[TIME_RFC3339_MAX];
            time_format_rfc3339(row.window_us, start);
            err_set(e, "the row of series %lld at %s cannot be read: %.300s",
                    (long long)row.series_id, start, why.detail);
        }
        usage_lines_clear(&lines);
    }
    return rc;
}

// ---- statements ----

// What is more than a page has room for begins the next one, whole series: rows come in their
// order.
static int fit(struct page *page, const PGresult *r)
{
    int n = PQntuples(r);
    if (n < REPRICE_PAGE_ROWS)
        return n;
    int64_t last = db_i64(r, n - 1, AT_series_id);
    while (db_i64(r, n - 1, AT_series_id) == last)
        n--;
    page->count = 0;
    while (db_i64(page->series, page->first + page->count, 0) != last)
        page->count++;
    return n;
}

static int look(struct page *page, struct rows *out, struct err *e)
{
    int64_t *ids = xcalloc((size_t)page->count, sizeof(*ids));
    for (int i = 0; i < page->count; i++)
        ids[i] = db_i64(page->series, page->first + i, 0);
    struct db_params p = {0};
    db_param_i64s(&p, ids, (size_t)page->count, sizeof(*ids));
    db_param_time(&p, page->hour->from_us);
    db_param_time(&p, page->hour->to_us);
    db_param_i64(&p, REPRICE_PAGE_ROWS);
    PGresult *r = db_query_binary(page->job->db, "reading rows", page->table->read, &p, e);
    db_params_free(&p);
    free(ids);
    if (!r)
        return -1;
    int n = fit(page, r);
    page->job->rows_read += n;
    int rc = price_all(page, r, n, out, e);
    PQclear(r);
    return rc;
}

static void add_keys(struct db_params *p, const struct page *page, const struct rows *rows)
{
    db_param_i64s(p, &rows->v[0].series_id, rows->n, sizeof(*rows->v));
    db_param_times(p, &rows->v[0].window_us, rows->n, sizeof(*rows->v));
    db_param_time(p, page->hour->begin_us);
    db_param_time(p, page->until_us);
}

// sql: one of a table's that lock.
static PGresult *lock(const struct page *page, const char *sql, const struct rows *rows,
                      struct err *e)
{
    struct db_params p = {0};
    add_keys(&p, page, rows);
    PGresult *r = db_query_binary(page->job->db, "locking rows", sql, &p, e);
    db_params_free(&p);
    return r;
}

static int update(const struct page *page, const struct table *table, const struct rows *rows,
                  struct err *e)
{
    struct db_params p = {0};
    add_keys(&p, page, rows);
    db_param_i64s(&p, &rows->v[0].price_version, rows->n, sizeof(*rows->v));
    db_param_numerics(&p, &rows->v[0].cost, rows->n, sizeof(*rows->v));
    for (int k = 0; k < COUNT_COUNT; k++)
        db_param_i64s(&p, &rows->v[0].counts[k], rows->n, sizeof(*rows->v));
    PGresult *r = db_query_binary(page->job->db, "changing rows", table->update, &p, e);
    db_params_free(&p);
    if (!r)
        return -1;
    bool all = strtoull(PQcmdTuples(r), NULL, 10) == rows->n;
    PQclear(r);
    return all ? 0 : err_set(e, "rows that were locked are gone");
}

// The hours take over by how much their minutes changed.
static void add_hour(struct rows *hours, int64_t hour_us, const struct row *minutes_row)
{
    if (hours->n > 0 && hours->v[hours->n - 1].series_id == minutes_row->series_id) {
        cost_add(&hours->v[hours->n - 1].change, &minutes_row->change);
        return;
    }
    add_row(hours, &(struct row){.series_id = minutes_row->series_id,
                                 .window_us = hour_us,
                                 .change = minutes_row->change});
}

static int carry(const struct page *page, struct rows *hours, struct err *e)
{
    PGresult *r = lock(page, hour_table.lock_numbers, hours, e);
    if (!r)
        return -1;
    int rc = (size_t)PQntuples(r) == hours->n ? 0 : err_set(e, "a minute has no row of its hour");
    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        struct row *hour = &hours->v[i], stored;
        rc = read_row(r, i, &stored, e);
        struct cost cost = cost_of(&stored);
        cost_add(&cost, &hour->change);
        cost_bound(&cost);
        set_cost(hour, &cost);
        hour->price_version = max_i64(stored.price_version, page->job->scope->version);
    }
    PQclear(r);
    return rc == 0 ? update(page, &hour_table, hours, e) : rc;
}

static int change_hours(const struct page *page, const struct rows *minutes, int64_t *changed,
                        struct err *e)
{
    struct rows hours = {0};
    for (size_t i = 0; i < minutes->n; i++)
        add_hour(&hours, page->hour->begin_us, &minutes->v[i]);
    int rc = carry(page, &hours, e);
    *changed += (int64_t)hours.n;
    free(hours.v);
    return rc;
}

// ---- what others are told ----

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int notify(const struct page *page, const int64_t *starts_us, size_t n, struct err *e)
{
    struct buf text = {0};
    notice_add_windows(&text, starts_us, n, NOTICE_BYTES_MAX);
    buf_addc(&text, '\0');
    int rc =
        db_run(page->job->db, "telling who listens", "SELECT pg_notify('streamlens_flush', $1)", 1,
               (const char *const[]){text.p}, e);
    buf_free(&text);
    return rc;
}

// So that the publisher, and whoever looks through windows, finds the rows.
static int touch(const struct page *page, const int64_t *starts_us, size_t n, struct err *e)
{
    struct db_params p = {0};
    db_param_times(&p, starts_us, n, sizeof(*starts_us));
    PGresult *r = db_query_binary(
        page->job->db, "noting the windows",
        "WITH w AS (SELECT window_start FROM llm_window WHERE window_start = ANY ($1)"
        " ORDER BY window_start FOR NO KEY UPDATE)"
        " UPDATE llm_window t SET changes = t.changes + 1"
        " FROM w WHERE t.window_start = w.window_start",
        &p, e);
    db_params_free(&p);
    PQclear(r);
    return r ? 0 : -1;
}

static int tell(const struct page *page, const struct rows *rows, struct err *e)
{
    int64_t *starts = xcalloc(rows->n, sizeof(*starts));
    size_t n = 0;
    for (size_t i = 0; i < rows->n; i++)
        starts[i] = rows->v[i].window_us;
    qsort(starts, rows->n, sizeof(*starts), compare_i64);
    for (size_t i = 0; i < rows->n; i++)
        if (n == 0 || starts[n - 1] != starts[i])
            starts[n++] = starts[i];
    // An hour without minutes is nobody's window any more.
    int rc = page->hour->minutes_gone ? 0 : touch(page, starts, n, e);
    if (rc == 0)
        rc = notify(page, starts, n, e);
    free(starts);
    return rc;
}

// ---- a page ----

static int change_rows(const struct page *page, const struct rows *rows, struct reprice_progress *p,
                       struct err *e)
{
    if (update(page, page->table, rows, e) < 0)
        return -1;
    if (page->hour->minutes_gone)
        p->more.hours += (int64_t)rows->n;
    else if (change_hours(page, rows, &p->more.hours, e) < 0)
        return -1;
    else
        p->more.rows += (int64_t)rows->n;
    for (size_t i = 0; i < rows->n; i++)
        p->more.cost_change = money_add(p->more.cost_change, rows->v[i].change.estimated);
    return tell(page, rows, e);
}

// Locks the rows that were seen. Those that are as they were need not be read again, which takes
// longer than all else; *same: all are.
static int lock_seen(const struct page *page, const struct rows *seen, bool *same, struct err *e)
{
    PGresult *r = lock(page, page->table->lock, seen, e);
    if (!r)
        return -1;
    *same = (size_t)PQntuples(r) == seen->n;
    for (size_t i = 0; *same && i < seen->n; i++)
        *same = db_i64(r, (int)i, AT_revision) == seen->v[i].revision;
    PQclear(r);
    return 0;
}

// The rows that are to change, locked; to be freed.
static int take_rows(const struct page *page, const struct rows *seen, struct rows *out,
                     struct err *e)
{
    bool same;
    if (lock_seen(page, seen, &same, e) < 0)
        return -1;
    if (same) {
        out->v = xmemdup(seen->v, seen->n * sizeof(*seen->v));
        out->n = out->room = seen->n;
        return 0;
    }
    PGresult *r = lock(page, page->table->lock_all, seen, e);
    int rc = r ? price_all(page, r, PQntuples(r), out, e) : -1;
    PQclear(r);
    return rc;
}

static int try_page(const struct page *page, const struct rows *seen, struct reprice_progress *p,
                    size_t *changed, struct err *e)
{
    struct db *db = page->job->db;
    struct rows rows = {0};
    if (db_exec(db, "beginning", "BEGIN", e) < 0)
        return -1;
    int rc = take_rows(page, seen, &rows, e);
    // What a flush has changed may have to stay.
    if (rc == 0 && rows.n > 0)
        rc = change_rows(page, &rows, p, e);
    if (rc == 0)
        rc = reprice_save(db, page->job->id, p, e);
    if (rc == 0)
        rc = db_exec(db, "changing rows", "COMMIT", e);
    *changed = rows.n;
    free(rows.v);
    return rc;
}

// Somebody else had the locks first: that is over soon, and nothing was done.
static bool is_in_the_way(const struct db *db)
{
    return db_failed_with(db, "40P01") || db_failed_with(db, "40001") || // deadlock, serialization
           db_failed_with(db, "55P03");                                  // lock_timeout
}

static int change_page(const struct page *page, const struct rows *seen, struct reprice_progress *p,
                       struct err *e)
{
    int64_t deadline_us = clock_mono_us() + PATIENCE_US;
    for (;;) {
        struct reprice_progress with = *p;
        size_t changed;
        if (try_page(page, seen, &with, &changed, e) == 0) {
            page->job->rows_changed += (int64_t)changed;
            p->more = (struct reprice_counts){0};
            return 0;
        }
        bool again = is_in_the_way(page->job->db) && clock_mono_us() < deadline_us;
        struct err ignored;
        if (db_exec(page->job->db, "undoing", "ROLLBACK", &ignored) < 0 || !again)
            return -1;
    }
}

int reprice_page(struct reprice_job *job, const struct reprice_hour *hour, const PGresult *series,
                 int *first, struct reprice_progress *p, struct err *e)
{
    int rest = PQntuples(series) - *first;
    struct page page = {
        .job = job,
        .hour = hour,
        .table = hour->minutes_gone ? &hour_table : &minute,
        .series = series,
        .first = *first,
        .count = rest < REPRICE_PAGE_SERIES ? rest : REPRICE_PAGE_SERIES,
        .until_us = hour->begin_us + US_PER_HOUR,
    };
    struct rows seen = {0};
    int rc = look(&page, &seen, e);
    bool last = page.count == rest;
    *first += page.count;
    p->next_hour_us = last ? page.until_us : hour->begin_us;
    p->done_series = last ? 0 : db_i64(series, *first - 1, 0);
    p->more.hours_left += seen.left;
    if (rc == 0 && seen.n > 0)
        rc = change_page(&page, &seen, p, e);
    free(seen.v);
    return rc;
}
