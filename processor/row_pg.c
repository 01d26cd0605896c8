// SPDX-License-Identifier: Apache-2.0
#include "processor/row_pg.h"

#include "common/core/timeunit.h"
#include "common/io/usage_pg.h"
#include "processor/window.h"

// ---- columns ----

// Those of a fixed width first, as in the tables but for what later files added: sql/001_init.sql
// says why.
#define PRICED(X)                                                                                  \
    X(price_version)                                                                               \
    X(unpriced_requests) X(unpriced_tokens) X(guessed_requests) X(cache_savings_pusd)
#define HIST_NUMBERS(X, h) X(h##_count) X(h##_sum_us) X(h##_max_us) X(h##_clamped)
#define QUANTILES(X, h) X(h##_p50_us) X(h##_p90_us) X(h##_p95_us) X(h##_p99_us)
#define FIXED(X) PRICED(X) FACTS_SUMS(X) HIST_NUMBERS(X, latency) HIST_NUMBERS(X, ttft)
// For whoever reads the table: what can be told from the other columns.
#define DERIVED(X) USAGE_CLASSES(X) QUANTILES(X, latency) QUANTILES(X, ttft)
#define WIDE(X)                                                                                    \
    X(cost_pusd)                                                                                   \
    X(reported_cost_pusd) X(usage) X(latency_hdr) X(ttft_hdr) X(error_classes) X(finish_reasons)

#define COMMA_NAME(name) ", " #name
#define SET_NAME(name) ", " #name " = excluded." #name
// What a class costs.
#define COMMA_CLASS(k) ", cost_" #k "_pusd"
#define SET_CLASS(k) ", cost_" #k "_pusd = excluded.cost_" #k "_pusd"

#define KEY "series_id, window_start, revision"
#define READ_COLUMNS KEY FIXED(COMMA_NAME) PRICE_CLASSES(COMMA_CLASS) WIDE(COMMA_NAME)
#define COLUMNS                                                                                    \
    KEY FIXED(COMMA_NAME) PRICE_CLASSES(COMMA_CLASS) DERIVED(COMMA_NAME) WIDE(COMMA_NAME)
// Where what is read stands, and how many are written.
#define AT(name) AT_##name,
#define AT_CLASS(k) AT_cost_##k,
enum {
    AT_series_id,
    AT_window_start,
    AT_revision,
    FIXED(AT) PRICE_CLASSES(AT_CLASS) WIDE(AT) AT_COUNT
};
#define OUT(name) OUT_##name,
#define OUT_CLASS(k) OUT_cost_##k,
enum {
    OUT_series_id,
    OUT_window_start,
    OUT_revision,
    FIXED(OUT) PRICE_CLASSES(OUT_CLASS) DERIVED(OUT) WIDE(OUT) OUT_COUNT
};

_Static_assert((int)AT_series_id == ROW_COLUMN_SERIES &&
                   (int)AT_window_start == ROW_COLUMN_WINDOW &&
                   (int)AT_revision == ROW_COLUMN_REVISION &&
                   (int)AT_price_version == ROW_COLUMN_PRICE_VERSION,
               "whoever looks at a result knows these");

static const double quantiles[] = {0.50, 0.90, 0.95, 0.99};

// ---- statements ----

// Row by row in the order of the keys: the subquery is not one that the planner makes a join of.
// An upsert though all of the rows are there: an update might be planned as a loop over the table.
// One that has gone in between it would make anew; that is told by when it was made.
#define TABLE(kind, length_us)                                                                     \
    {                                                                                              \
        .window_us = (length_us),                                                                  \
        .read = "SELECT m.* FROM unnest($1::bigint[], $2::timestamptz[]) AS k(id, start),"         \
                " LATERAL (SELECT " READ_COLUMNS " FROM llm_" kind                                 \
                "  WHERE series_id = k.id AND window_start = k.start"                              \
                "  AND window_start >= $3 AND window_start <= $4 OFFSET 0) m",                     \
        .create = "COPY llm_" kind " (" COLUMNS ") FROM STDIN (FORMAT binary)",                    \
        .copy = "COPY sl_" kind " (" COLUMNS ") FROM STDIN (FORMAT binary)",                       \
        .update = "WITH w AS (INSERT INTO llm_" kind " AS m (" COLUMNS ") SELECT " COLUMNS         \
                  " FROM sl_" kind " ON CONFLICT (series_id, window_start) DO UPDATE SET"          \
                  " revision = excluded.revision, updated_at = now()" FIXED(SET_NAME)              \
                      PRICE_CLASSES(SET_CLASS) DERIVED(SET_NAME)                                   \
                          WIDE(SET_NAME) " WHERE m.revision = excluded.revision - 1"               \
                                         " RETURNING created_at <> now() AS was_there)"            \
                                         " SELECT count(*) FROM w WHERE was_there",                \
        .empty = "TRUNCATE sl_" kind,                                                              \
    }

const struct row_table row_minute = TABLE("minute", WINDOW_US),
                       row_hour = TABLE("hour", US_PER_HOUR);

// As the tables store them (sql/README.md): else a row above 2 KiB, as wide histograms make it, is
// compressed and taken apart here, and put together again by the upsert. Of 5,000 series with
// 2.8 KiB of histograms that was 700 ms of PostgreSQL's CPU a flush; now 310.
#define AS_STORED " WITH (toast_tuple_target = 8160)"
#define UNCOMPRESSED " ALTER latency_hdr SET STORAGE EXTERNAL, ALTER ttft_hdr SET STORAGE EXTERNAL"

enum store_result row_prepare(struct db *db, Oid *usage_type, struct err *e)
{
    PGresult *r = NULL;
    enum store_result rc =
        db_exec(db,
                "CREATE TEMP TABLE sl_minute" AS_STORED " ON COMMIT DELETE ROWS AS"
                " SELECT " COLUMNS " FROM llm_minute WITH NO DATA;"
                "CREATE TEMP TABLE sl_hour" AS_STORED " ON COMMIT DELETE ROWS AS"
                " SELECT " COLUMNS " FROM llm_hour WITH NO DATA;"
                "ALTER TABLE sl_minute" UNCOMPRESSED ";"
                "ALTER TABLE sl_hour" UNCOMPRESSED ";"
                "SELECT 'llm_usage'::regtype::oid",
                &r, e);
    if (rc == STORE_OK)
        *usage_type = (Oid)strtoul(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return rc;
}

// ---- reading and writing ----

// The columns that are read, of a result or of a row that was kept. Absent where NULL.
struct fields {
    struct str v[AT_COUNT];
};

static void fields_of_result(const PGresult *r, int row, struct fields *f)
{
    for (int i = 0; i < AT_COUNT; i++)
        f->v[i] = db_bytes(r, row, i);
}

// What is written stands in the order of what is read, but for what is derived.
static void fields_of_copy(const char *p, struct fields *f)
{
    int at = 0;
    p += 2; // the number of columns
    for (int i = 0; i < OUT_COUNT; i++) {
        uint32_t n = (uint32_t)db_load_be(p, 4);
        bool null = n == UINT32_MAX;
        p += 4;
        if (i < OUT_uncached_prompt_tokens || i >= OUT_cost_pusd)
            f->v[at++] = null ? (struct str){0} : (struct str){p, n};
        p += null ? 0 : n;
    }
    assert(at == AT_COUNT);
}

static int64_t field_i64(const struct fields *f, int at)
{
    assert(f->v[at].n == 8);
    return (int64_t)db_load_be(f->v[at].p, 8);
}

static int read_hist(const struct fields *from, int numbers, int hdr, struct hist *h, struct err *e)
{
    int64_t count = field_i64(from, numbers);
    struct str bytes = from->v[hdr];
    if (bytes.p && hist_decode_add(h, bytes.p, bytes.n, e) < 0)
        return -1;
    if (h->total != count)
        return err_set(e, "the histogram holds %lld values, the row says %lld", (long long)h->total,
                       (long long)count);
    h->sum_us = field_i64(from, numbers + 1);
    h->max_us = field_i64(from, numbers + 2);
    h->clamped = field_i64(from, numbers + 3);
    return 0;
}

// The binary form of jsonb is a version and the text.
static int read_names(struct str json, struct name_counts *c, struct err *e)
{
    if (json.n < 1 || json.p[0] != 1)
        return err_set(e, "unknown form of jsonb");
    return name_counts_from_json(c, (struct str){json.p + 1, json.n - 1}, e);
}

static int read_row(const struct fields *from, const struct row_key *key, struct row *row,
                    struct err *e)
{
    struct facts *f = &row->facts;
    struct cost *cost = &row->cost;
    assert(field_i64(from, AT_series_id) == key->series_id);
    row->revision = field_i64(from, AT_revision);
    row->price_version = field_i64(from, AT_price_version);
    cost->unpriced_requests = field_i64(from, AT_unpriced_requests);
    cost->unpriced_tokens = field_i64(from, AT_unpriced_tokens);
    cost->guessed_requests = field_i64(from, AT_guessed_requests);
    cost->cache_savings = field_i64(from, AT_cache_savings_pusd);
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        cost->classes[k] = field_i64(from, AT_cost_input + k);
#define READ_SUM(name) f->name = field_i64(from, AT_##name);
    FACTS_SUMS(READ_SUM)
#undef READ_SUM
    struct err why;
    if (read_hist(from, AT_latency_count, AT_latency_hdr, &f->latency, &why) == 0 &&
        read_hist(from, AT_ttft_count, AT_ttft_hdr, &f->ttft, &why) == 0 &&
        money_read_numeric(from->v[AT_cost_pusd], &cost->estimated, &why) == 0 &&
        money_read_numeric(from->v[AT_reported_cost_pusd], &f->reported_cost, &why) == 0 &&
        usage_pg_read(&f->usage, from->v[AT_usage], &why) == 0 &&
        read_names(from->v[AT_error_classes], &f->error_classes, &why) == 0 &&
        read_names(from->v[AT_finish_reasons], &f->finish_reasons, &why) == 0)
        return 0;
    char start[TIME_RFC3339_MAX];
    time_format_rfc3339(key->window_start_us, start);
    return err_set(e, "the row of series %lld at %s in PostgreSQL cannot be read: %.300s",
                   (long long)key->series_id, start, why.detail);
}

int row_of_result(const PGresult *r, int at, const struct row_key *key, struct row *row,
                  struct err *e)
{
    struct fields from;
    fields_of_result(r, at, &from);
    return read_row(&from, key, row, e);
}

int row_of_copy(const char *bytes, const struct row_key *key, struct row *row, struct err *e)
{
    struct fields from;
    fields_of_copy(bytes, &from);
    return read_row(&from, key, row, e);
}

static void write_hist_numbers(struct buf *b, const struct hist *h)
{
    db_copy_i64(b, h->total);
    db_copy_i64(b, h->sum_us);
    db_copy_i64(b, h->max_us);
    db_copy_i64(b, h->clamped);
}

static void write_hist(struct buf *b, const struct hist *h)
{
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
    int64_t us[ARRAY_LEN(quantiles)];
    hist_quantiles(h, quantiles, ARRAY_LEN(us), us);
    for (size_t i = 0; i < ARRAY_LEN(us); i++)
        if (h->total == 0)
            db_copy_null(b);
        else
            db_copy_i64(b, us[i]);
}

static void write_names(struct buf *b, const struct name_counts *c)
{
    size_t field = db_copy_open(b);
    buf_addc(b, 1);
    name_counts_to_json(c, b);
    db_copy_close(b, field);
}

void row_write(struct buf *b, Oid usage_type, const struct row_key *key, const struct row *row)
{
    const struct facts *f = &row->facts;
    struct usage total = usage_lines_total(&f->usage);
    db_copy_row(b, OUT_COUNT);
    db_copy_i64(b, key->series_id);
    db_copy_time(b, key->window_start_us);
    db_copy_i64(b, row->revision);
    db_copy_i64(b, row->price_version);
    db_copy_i64(b, row->cost.unpriced_requests);
    db_copy_i64(b, row->cost.unpriced_tokens);
    db_copy_i64(b, row->cost.guessed_requests);
    db_copy_i64(b, (int64_t)row->cost.cache_savings);
#define WRITE_SUM(name) db_copy_i64(b, f->name);
    FACTS_SUMS(WRITE_SUM)
#undef WRITE_SUM
    write_hist_numbers(b, &f->latency);
    write_hist_numbers(b, &f->ttft);
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        db_copy_i64(b, (int64_t)row->cost.classes[k]);
#define WRITE_TOTAL(name) db_copy_i64(b, total.name);
    USAGE_CLASSES(WRITE_TOTAL)
#undef WRITE_TOTAL
    write_quantiles(b, &f->latency);
    write_quantiles(b, &f->ttft);
    db_copy_numeric(b, row->cost.estimated);
    db_copy_numeric(b, f->reported_cost);
    usage_pg_write(b, usage_type, &f->usage);
    write_hist(b, &f->latency);
    write_hist(b, &f->ttft);
    write_names(b, &f->error_classes);
    write_names(b, &f->finish_reasons);
}
