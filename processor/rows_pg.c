// SPDX-License-Identifier: Apache-2.0
// A batch of rows: read and lock those that exist (sorted, so that two flushes wait for each other
// in one direction only), add the deltas in C, COPY the sums into a temporary table, one upsert
// from there.
//
// A row that does not exist yet cannot be locked. So the upsert takes a row only at the revision
// that was read; where somebody made or changed one in between, it changes fewer rows than it
// should, is undone and done again from the reading on.
#include "processor/rows_pg.h"

#include <stdio.h>

#include "common/core/timeunit.h"
#include "processor/window.h"

#define BATCH_ROWS 16384       // bounds the memory of results
#define COPY_CHUNK (64u << 10) // bytes handed to libpq at a time
#define TRIES 10               // each means that another flush has made rows in between

// ---- columns ----

#define COMMA_NAME(name) ", " #name
#define HIST_COLUMNS(h) ", " h "_count, " h "_sum_us, " h "_max_us, " h "_clamped, " h "_hdr"
#define QUANTILE_COLUMNS(h) ", " h "_p50_us, " h "_p90_us, " h "_p95_us, " h "_p99_us"
#define READ_COLUMNS                                                                               \
    "series_id, window_start, revision" FACTS_SUMS(COMMA_NAME) HIST_COLUMNS("latency")             \
        HIST_COLUMNS("ttft") ", error_classes, finish_reasons"
#define COLUMNS READ_COLUMNS QUANTILE_COLUMNS("latency") QUANTILE_COLUMNS("ttft")

static const double quantiles[] = {0.50, 0.90, 0.95, 0.99};

#define NUMBER(name) SUM_##name,
enum {
    FACTS_SUMS(NUMBER) SUM_COUNT,
    HIST_FIELDS = 5,
    READ_COUNT = 3 + SUM_COUNT + 2 * HIST_FIELDS + 2,
    COLUMN_COUNT = READ_COUNT + 2 * (int)ARRAY_LEN(quantiles),
};

#define SET_NAME(name) ", " #name " = excluded." #name
#define SET_HIST(h)                                                                                \
    SET_NAME(h##_count)                                                                            \
    SET_NAME(h##_sum_us)                                                                           \
    SET_NAME(h##_max_us)                                                                           \
    SET_NAME(h##_clamped)                                                                          \
    SET_NAME(h##_hdr)                                                                              \
    SET_NAME(h##_p50_us) SET_NAME(h##_p90_us) SET_NAME(h##_p95_us) SET_NAME(h##_p99_us)

// The two tables differ in name and in how long a window is.
#define TABLE(kind, length_us)                                                                     \
    {                                                                                              \
        length_us,                                                                                 \
            "SELECT m.* FROM unnest($1::bigint[], $2::timestamptz[]) AS k(id, start),"             \
            " LATERAL (SELECT " READ_COLUMNS " FROM llm_" kind                                     \
            "  WHERE series_id = k.id AND window_start = k.start"                                  \
            "  AND window_start >= $3 AND window_start <= $4 FOR NO KEY UPDATE) m",                \
            "TRUNCATE sl_" kind, "COPY sl_" kind " (" COLUMNS ") FROM STDIN (FORMAT binary)",      \
            "INSERT INTO llm_" kind " AS m (" COLUMNS ") SELECT " COLUMNS " FROM sl_" kind         \
            " ON CONFLICT (series_id, window_start) DO UPDATE SET revision = excluded.revision,"   \
            " updated_at = now()" FACTS_SUMS(SET_NAME) SET_HIST(latency) SET_HIST(ttft)            \
                SET_NAME(error_classes)                                                            \
                    SET_NAME(finish_reasons) " WHERE m.revision = excluded.revision - 1"           \
    }

static const struct table {
    int64_t window_us;
    const char *read, *empty, *copy, *upsert;
} minute = TABLE("minute", WINDOW_US), hour = TABLE("hour", US_PER_HOUR);

enum store_result rows_prepare(struct db *db, struct err *e)
{
    return db_exec(db,
                   "CREATE TEMP TABLE sl_minute ON COMMIT DELETE ROWS AS"
                   " SELECT " COLUMNS " FROM llm_minute WITH NO DATA;"
                   "CREATE TEMP TABLE sl_hour ON COMMIT DELETE ROWS AS"
                   " SELECT " COLUMNS " FROM llm_hour WITH NO DATA",
                   NULL, e);
}

// ---- one row ----

static int read_hist(const PGresult *r, int row, int *column, struct hist *h, struct err *e)
{
    int64_t count = db_i64(r, row, *column);
    int64_t sum_us = db_i64(r, row, *column + 1), max_us = db_i64(r, row, *column + 2);
    int64_t clamped = db_i64(r, row, *column + 3);
    struct str bytes = db_bytes(r, row, *column + 4);
    *column += HIST_FIELDS;
    if (bytes.p && hist_decode_add(h, bytes.p, bytes.n, e) < 0)
        return -1;
    if (h->total != count)
        return err_set(e, "the histogram holds %lld values, the row says %lld", (long long)h->total,
                       (long long)count);
    h->sum_us = sum_us;
    h->max_us = max_us;
    h->clamped = clamped;
    return 0;
}

// The binary form of jsonb is a version and the text.
static int read_names(const PGresult *r, int row, int column, struct name_counts *c, struct err *e)
{
    struct str json = db_bytes(r, row, column);
    if (json.n < 1 || json.p[0] != 1)
        return err_set(e, "unknown form of jsonb");
    return name_counts_from_json(c, (struct str){json.p + 1, json.n - 1}, e);
}

static int read_facts(const PGresult *r, int row, struct facts *f, struct err *e)
{
    int column = 3;
#define READ_SUM(name) f->name = db_i64(r, row, column++);
    FACTS_SUMS(READ_SUM)
#undef READ_SUM
    struct err why;
    if (read_hist(r, row, &column, &f->latency, &why) == 0 &&
        read_hist(r, row, &column, &f->ttft, &why) == 0 &&
        read_names(r, row, column, &f->error_classes, &why) == 0 &&
        read_names(r, row, column + 1, &f->finish_reasons, &why) == 0)
        return 0;
    char start[TIME_RFC3339_MAX];
    time_format_rfc3339(db_time_us(r, row, 1), start);
    return err_set(e, "the row of series %lld at %s in PostgreSQL cannot be read: %.300s",
                   (long long)db_i64(r, row, 0), start, why.detail);
}

static void write_hist(struct buf *b, const struct hist *h)
{
    db_copy_i64(b, h->total);
    db_copy_i64(b, h->sum_us);
    db_copy_i64(b, h->max_us);
    db_copy_i64(b, h->clamped);
    if (h->total == 0) {
        db_copy_null(b);
        return;
    }
    size_t field = db_copy_open(b);
    hist_encode(h, b);
    db_copy_close(b, field);
}

static void write_quantiles(struct buf *b, const struct hist *h)
{
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
        if (h->total == 0)
            db_copy_null(b);
        else
            db_copy_i64(b, hist_quantile(h, quantiles[i]));
}

static void write_names(struct buf *b, const struct name_counts *c)
{
    size_t field = db_copy_open(b);
    buf_addc(b, 1);
    name_counts_to_json(c, b);
    db_copy_close(b, field);
}

static void write_row(struct buf *b, const struct row_delta *key, int64_t revision,
                      const struct facts *f)
{
    db_copy_row(b, COLUMN_COUNT);
    db_copy_i64(b, key->series_id);
    db_copy_time(b, key->window_start_us);
    db_copy_i64(b, revision);
#define WRITE_SUM(name) db_copy_i64(b, f->name);
    FACTS_SUMS(WRITE_SUM)
#undef WRITE_SUM
    write_hist(b, &f->latency);
    write_hist(b, &f->ttft);
    write_names(b, &f->error_classes);
    write_names(b, &f->finish_reasons);
    write_quantiles(b, &f->latency);
    write_quantiles(b, &f->ttft);
}

// ---- a batch ----

struct batch {
    const struct row_delta *deltas;
    size_t n;
    size_t *firsts; // owned: where each row's deltas begin; firsts[rows] is n
    size_t rows;
};

static int compare_keys(const struct row_delta *a, const struct row_delta *b)
{
    if (a->series_id != b->series_id)
        return a->series_id < b->series_id ? -1 : 1;
    return (a->window_start_us > b->window_start_us) - (a->window_start_us < b->window_start_us);
}

static int compare_deltas(const void *a, const void *b)
{
    return compare_keys(a, b);
}

void rows_sort(struct row_delta *deltas, size_t n)
{
    qsort(deltas, n, sizeof(*deltas), compare_deltas);
}

// The first rows of the deltas, at most BATCH_ROWS of them. Returns how many deltas they take.
static size_t batch_take(struct batch *b, const struct row_delta *deltas, size_t n)
{
    b->deltas = deltas;
    b->rows = 0;
    size_t i = 0;
    for (; i < n; i++) {
        if (i > 0 && compare_keys(&deltas[i], &deltas[i - 1]) == 0)
            continue;
        if (b->rows == BATCH_ROWS)
            break;
        b->firsts[b->rows++] = i;
    }
    b->firsts[b->rows] = i;
    b->n = i;
    return i;
}

static enum store_result read_rows(struct db *db, const struct table *t, const struct batch *b,
                                   PGresult **out, struct err *e)
{
    struct row_delta *keys = xcalloc(b->rows, sizeof(*keys));
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (size_t i = 0; i < b->rows; i++) {
        keys[i] = b->deltas[b->firsts[i]];
        low = min_i64(low, keys[i].window_start_us);
        high = max_i64(high, keys[i].window_start_us);
    }
    struct db_params p = {0};
    db_param_i64s(&p, &keys[0].series_id, b->rows, sizeof(*keys));
    db_param_times(&p, &keys[0].window_start_us, b->rows, sizeof(*keys));
    // The bounds say nothing new; they let the planner leave partitions out.
    db_param_time(&p, low);
    db_param_time(&p, high);
    enum store_result rc = db_query(db, t->read, &p, out, e);
    db_params_free(&p);
    free(keys);
    return rc;
}

// The row as it is plus its deltas, appended to `out` as it will be. *at: the next row of the
// result.
static int merge_row(const struct batch *b, size_t i, const PGresult *stored, int *at,
                     struct buf *out, struct err *e)
{
    const struct row_delta *key = &b->deltas[b->firsts[i]];
    struct facts sum = {0};
    int64_t revision = 0;
    int rc = 0;
    if (*at < PQntuples(stored) && db_i64(stored, *at, 0) == key->series_id &&
        db_time_us(stored, *at, 1) == key->window_start_us) {
        revision = db_i64(stored, *at, 2);
        rc = read_facts(stored, *at, &sum, e);
        (*at)++;
    }
    for (size_t d = b->firsts[i]; rc == 0 && d < b->firsts[i + 1]; d++)
        facts_add(&sum, b->deltas[d].facts);
    if (rc == 0)
        write_row(out, key, revision + 1, &sum);
    facts_clear(&sum);
    return rc;
}

static enum store_result copy_rows(struct db *db, const struct table *t, const struct batch *b,
                                   const PGresult *stored, struct err *e)
{
    enum store_result rc = db_copy_begin(db, t->copy, e);
    struct buf out = {0};
    db_copy_header(&out);
    int at = 0;
    for (size_t i = 0; rc == STORE_OK && i < b->rows; i++) {
        if (merge_row(b, i, stored, &at, &out, e) < 0)
            rc = STORE_FATAL;
        else if (out.n >= COPY_CHUNK) {
            rc = db_copy_put(db, &out, e);
            buf_clear(&out);
        }
    }
    if (rc == STORE_OK) {
        assert(at == PQntuples(stored));
        db_copy_row(&out, -1);
        rc = db_copy_put(db, &out, e);
    }
    if (rc == STORE_OK)
        rc = db_copy_end(db, e);
    buf_free(&out);
    return rc;
}

static enum store_result try_batch(struct db *db, const struct table *t, const struct batch *b,
                                   size_t *changed, struct err *e)
{
    PGresult *stored = NULL, *done = NULL;
    enum store_result rc = read_rows(db, t, b, &stored, e);
    if (rc == STORE_OK)
        rc = copy_rows(db, t, b, stored, e);
    PQclear(stored);
    if (rc == STORE_OK)
        rc = db_exec(db, t->upsert, &done, e);
    if (rc == STORE_OK)
        *changed = strtoull(PQcmdTuples(done), NULL, 10);
    PQclear(done);
    return rc;
}

static enum store_result write_batch(struct db *db, const struct table *t, const struct batch *b,
                                     struct err *e)
{
    for (int i = 0; i < TRIES; i++) {
        enum store_result rc = db_exec(db, "SAVEPOINT batch", NULL, e);
        size_t changed = 0;
        if (rc == STORE_OK)
            rc = try_batch(db, t, b, &changed, e);
        if (rc != STORE_OK)
            return rc;
        assert(changed <= b->rows);
        if (changed == b->rows)
            return db_exec(db, "RELEASE batch", NULL, e);
        rc = db_exec(db, "ROLLBACK TO batch; RELEASE batch", NULL, e);
        if (rc != STORE_OK)
            return rc;
    }
    err_set(e, "PostgreSQL: other flushes changed the same rows %d times in a row", TRIES);
    return STORE_RETRY;
}

static enum store_result write_table(struct db *db, const struct table *t, struct row_delta *deltas,
                                     size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        deltas[i].window_start_us = time_floor_us(deltas[i].window_start_us, t->window_us);
    struct batch b = {.firsts = xcalloc((n < BATCH_ROWS ? n : BATCH_ROWS) + 1, sizeof(size_t))};
    enum store_result rc = STORE_OK;
    for (size_t i = 0; rc == STORE_OK && i < n;) {
        if (i > 0)
            rc = db_exec(db, t->empty, NULL, e);
        if (rc != STORE_OK)
            break;
        i += batch_take(&b, deltas + i, n - i);
        rc = write_batch(db, t, &b, e);
    }
    free(b.firsts);
    return rc;
}

enum store_result rows_write(struct db *db, struct row_delta *deltas, size_t n, struct err *e)
{
    // Flooring keeps the order, so what is sorted by minute is sorted by hour.
    enum store_result rc = write_table(db, &minute, deltas, n, e);
    return rc == STORE_OK ? write_table(db, &hour, deltas, n, e) : rc;
}
