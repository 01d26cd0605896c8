// SPDX-License-Identifier: Apache-2.0
// A batch of rows: lock those that exist (sorted, so that two flushes wait for each other in one
// direction only), read them, add the deltas in C, COPY the sums into a temporary table, one upsert
// from there.
//
// What the flush before wrote is kept, and not read again where it still stands there, as with one
// processor it does: of a flush of 10,000 series (bench_store) that saves 75 of 365 ms of
// PostgreSQL's CPU and 35 of 170 of ours. That it is the very version is known by its xmin, the
// transaction that wrote it: nobody else writes under that number, and where it was rolled back no
// row has it.
//
// A row that does not exist yet cannot be locked. So the upsert takes a row only at the revision
// that was read; where somebody made or changed one in between, it changes fewer rows than it
// should, is undone and done again from the reading on.
//
// What a row costs is computed from the whole of its usage each time, never added up, so that the
// parts and the whole agree whichever flushes brought them. An hour has many minutes, each with its
// own prices, and does not know which of its tokens were whose: it takes over by how much the costs
// of its minutes changed in this flush. These changes are kept beside the deltas and are set, not
// added, so that a batch that is done again counts them once.
//
// A request that was open when its tenant was deleted has left no row. When its answer comes, or
// its time runs out, it counts in a row made anew, request and answer: no row ever has more that is
// over than was begun.
#include "processor/rows_pg.h"

#include <stdio.h>

#include "common/core/timeunit.h"
#include "common/io/usage_pg.h"
#include "processor/window.h"

#define BATCH_ROWS 16384       // bounds the memory of results
#define COPY_CHUNK (64u << 10) // bytes handed to libpq at a time
#define TRIES 10               // each means that another flush has made rows in between
// Of both tables, about 1.2 KiB a row; what is more is read again. While a table is written, what
// was kept of it before is there as well.
#define KEPT_BYTES_MAX (32u << 20)

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

static const double quantiles[] = {0.50, 0.90, 0.95, 0.99};

#define LOCK_COLUMNS KEY ", xmin"
enum { LOCKED_series_id, LOCKED_window_start, LOCKED_revision, LOCKED_xmin };

// Row by row in the order of the keys: the subquery is not one that the planner makes a join of.
#define OF_KEYS(kind, columns, how)                                                                \
    "SELECT m.* FROM unnest($1::bigint[], $2::timestamptz[]) AS k(id, start),"                     \
    " LATERAL (SELECT " columns " FROM llm_" kind                                                  \
    "  WHERE series_id = k.id AND window_start = k.start"                                          \
    "  AND window_start >= $3 AND window_start <= $4" how ") m"

// The two tables differ in name and in how long a window is.
#define TABLE(kind, length_us)                                                                     \
    {                                                                                              \
        length_us, "llm_" kind, OF_KEYS(kind, LOCK_COLUMNS, " FOR NO KEY UPDATE"),                 \
            OF_KEYS(kind, READ_COLUMNS, " OFFSET 0"), "TRUNCATE sl_" kind,                         \
            "COPY sl_" kind " (" COLUMNS ") FROM STDIN (FORMAT binary)",                           \
            "INSERT INTO llm_" kind " AS m (" COLUMNS ") SELECT " COLUMNS " FROM sl_" kind         \
            " ON CONFLICT (series_id, window_start) DO UPDATE SET revision = excluded.revision,"   \
            " updated_at = now()" FIXED(SET_NAME) PRICE_CLASSES(SET_CLASS) DERIVED(SET_NAME)       \
                WIDE(SET_NAME) " WHERE m.revision = excluded.revision - 1"                         \
    }

static const struct table {
    int64_t window_us;
    const char *name, *lock, *read, *empty, *copy, *upsert;
} minute = TABLE("minute", WINDOW_US), hour = TABLE("hour", US_PER_HOUR);

// As the tables store them (sql/README.md): else a row above 2 KiB, as wide histograms make it, is
// compressed and taken apart here, and put together again by the upsert. Of 5,000 series with
// 2.8 KiB of histograms that was 700 ms of PostgreSQL's CPU a flush; now 310.
#define AS_STORED " WITH (toast_tuple_target = 8160)"
#define UNCOMPRESSED " ALTER latency_hdr SET STORAGE EXTERNAL, ALTER ttft_hdr SET STORAGE EXTERNAL"

enum store_result rows_prepare(struct rows *rows, struct err *e)
{
    PGresult *r = NULL;
    enum store_result rc =
        db_exec(rows->db,
                "CREATE TEMP TABLE sl_minute" AS_STORED " ON COMMIT DELETE ROWS AS"
                " SELECT " COLUMNS " FROM llm_minute WITH NO DATA;"
                "CREATE TEMP TABLE sl_hour" AS_STORED " ON COMMIT DELETE ROWS AS"
                " SELECT " COLUMNS " FROM llm_hour WITH NO DATA;"
                "ALTER TABLE sl_minute" UNCOMPRESSED ";"
                "ALTER TABLE sl_hour" UNCOMPRESSED ";"
                "SELECT 'llm_usage'::regtype::oid",
                &r, e);
    if (rc == STORE_OK)
        rows->usage_type = (Oid)strtoul(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    // Where the database was set back, transactions' numbers are used again.
    rows_free(rows);
    return rc;
}

// ---- rows as they were written ----

struct kept_row {
    int64_t series_id, window_start_us, revision;
    uint32_t xmin;
    size_t at, n; // in bytes: a row of COPY
};

// Of one table, sorted by key.
struct kept {
    struct kept_row *v; // owned
    size_t n, room;
    struct buf bytes;
};

struct kept_rows {
    struct kept minutes, hours;
    struct kept next; // of the table that is being written
};

static void kept_free(struct kept *k)
{
    free(k->v);
    buf_free(&k->bytes);
    *k = (struct kept){0};
}

void rows_free(struct rows *rows)
{
    if (!rows->kept)
        return;
    kept_free(&rows->kept->minutes);
    kept_free(&rows->kept->hours);
    kept_free(&rows->kept->next);
    free(rows->kept);
    rows->kept = NULL;
}

static struct kept *kept_of(const struct rows *rows, const struct table *t)
{
    return t == &minute ? &rows->kept->minutes : &rows->kept->hours;
}

static void keep_row(const struct rows *rows, const struct table *t, const struct kept_row *row,
                     const char *bytes)
{
    struct kept *k = &rows->kept->next;
    const struct kept *other = kept_of(rows, t == &minute ? &hour : &minute);
    if (other->bytes.n + k->bytes.n + row->n > KEPT_BYTES_MAX)
        return;
    if (k->n == k->room) {
        k->room = k->room ? 2 * k->room : 256;
        k->v = xrealloc(k->v, k->room * sizeof(*k->v));
    }
    k->v[k->n] = *row;
    k->v[k->n++].at = k->bytes.n;
    buf_add(&k->bytes, bytes, row->n);
}

// From here on these are the table's.
static void kept_renew(const struct rows *rows, const struct table *t)
{
    struct kept *of = kept_of(rows, t), before = *of;
    *of = rows->kept->next;
    before.n = before.bytes.n = 0;
    rows->kept->next = before;
}

// ---- one row ----

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

struct row {
    int64_t revision; // 0: it is not there yet
    int64_t price_version;
    struct cost cost;
    struct facts facts;
};

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

static int read_row(const struct fields *from, const struct row_delta *key, struct row *row,
                    struct err *e)
{
    struct facts *f = &row->facts;
    struct cost *cost = &row->cost;
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

static void write_row(struct buf *b, const struct rows *rows, const struct row_delta *key,
                      const struct row *row)
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
    usage_pg_write(b, rows->usage_type, &f->usage);
    write_hist(b, &f->latency);
    write_hist(b, &f->ttft);
    write_names(b, &f->error_classes);
    write_names(b, &f->finish_reasons);
}

// ---- costs ----

// What a delta has changed in its minute beside its own sums; of several deltas of one minute the
// first has it all.
struct minute_change {
    struct cost cost;
    int64_t price_version; // of the minute
    int64_t requests;      // whose rows are gone
};

static void price_minute(const struct rows *rows, const struct row_delta *key, struct row *row,
                         struct minute_change *change)
{
    int64_t ours = prices_version(rows->prices);
    // A version that is still newer than ours is one that we could not use: see prices_pg.c.
    row->price_version = row->revision == 0 ? ours : min_i64(row->price_version, ours);
    struct cost before = row->cost;
    row->cost = cost_of_lines(prices_catalogue(rows->prices), row->price_version,
                              key->window_start_us, key->tenant, &row->facts.usage);
    cost_bound(&row->cost);
    change->cost = row->cost;
    cost_subtract(&change->cost, &before);
    change->price_version = row->price_version;
}

static void price_hour(struct row *row, const struct minute_change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cost_add(&row->cost, &changes[i].cost);
        row->price_version = max_i64(row->price_version, changes[i].price_version);
    }
    cost_bound(&row->cost);
}

// ---- requests without a row ----

static void restore_minute(struct facts *f, struct minute_change *change)
{
    change->requests = max_i64(f->responses + f->unanswered - f->requests, 0);
    f->requests += change->requests;
}

static void restore_hour(struct facts *f, const struct minute_change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        f->requests += changes[i].requests;
}

// ---- a batch ----

// Where a row is to be had: kept, or read, or neither, since it is not there.
struct source {
    const struct kept_row *kept;
    int read; // row of the result, -1 = none
};

struct batch {
    const struct row_delta *deltas;
    struct minute_change *changes; // of each delta: set with the minutes, read with the hours
    size_t n;
    size_t *firsts; // owned: where each row's deltas begin; firsts[rows] is n
    size_t rows;
    struct source *sources; // owned: of each row, set by try_batch
    bool has_new;           // likewise: not all of them were there before
};

static int compare_keys(const struct row_delta *a, const struct row_delta *b)
{
    if (a->series_id != b->series_id)
        return a->series_id < b->series_id ? -1 : 1;
    return (a->window_start_us > b->window_start_us) - (a->window_start_us < b->window_start_us);
}

static int compare_place(const struct kept_row *a, const struct row_delta *b)
{
    struct row_delta key = {.series_id = a->series_id, .window_start_us = a->window_start_us};
    return compare_keys(&key, b);
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
static size_t batch_take(struct batch *b, const struct row_delta *deltas,
                         struct minute_change *changes, size_t n)
{
    b->deltas = deltas;
    b->changes = changes;
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

// Runs a statement of the table with these keys.
static enum store_result of_keys(struct db *db, const char *sql, const struct row_delta *keys,
                                 size_t n, PGresult **out, struct err *e)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (size_t i = 0; i < n; i++) {
        low = min_i64(low, keys[i].window_start_us);
        high = max_i64(high, keys[i].window_start_us);
    }
    struct db_params p = {0};
    db_param_i64s(&p, &keys[0].series_id, n, sizeof(*keys));
    db_param_times(&p, &keys[0].window_start_us, n, sizeof(*keys));
    // The bounds say nothing new; they let the planner leave partitions out.
    db_param_time(&p, low);
    db_param_time(&p, high);
    enum store_result rc = db_query(db, sql, &p, out, e);
    db_params_free(&p);
    return rc;
}

// Finds where each row is to be had. keys: those of all rows; of those that are to be read on
// return, and how many.
static size_t find_sources(const struct batch *b, const struct kept *kept, const PGresult *locked,
                           struct row_delta *keys)
{
    size_t wanted = 0, k = 0;
    int at = 0;
    for (size_t i = 0; i < b->rows; i++) {
        const struct row_delta key = keys[i];
        struct source *from = &b->sources[i];
        *from = (struct source){NULL, -1};
        if (at == PQntuples(locked) || db_i64(locked, at, LOCKED_series_id) != key.series_id ||
            db_time_us(locked, at, LOCKED_window_start) != key.window_start_us)
            continue;
        while (k < kept->n && compare_place(&kept->v[k], &key) < 0)
            k++;
        if (k < kept->n && compare_place(&kept->v[k], &key) == 0 &&
            kept->v[k].xmin == (uint32_t)db_i64(locked, at, LOCKED_xmin) &&
            kept->v[k].revision == db_i64(locked, at, LOCKED_revision)) {
            from->kept = &kept->v[k];
        } else {
            from->read = (int)wanted;
            keys[wanted++] = key;
        }
        at++;
    }
    assert(at == PQntuples(locked));
    return wanted;
}

// Locks the rows that are there, and reads those that were not kept.
static enum store_result read_rows(const struct rows *rows, const struct table *t, struct batch *b,
                                   PGresult **out, struct err *e)
{
    struct row_delta *keys = xcalloc(b->rows, sizeof(*keys));
    for (size_t i = 0; i < b->rows; i++)
        keys[i] = b->deltas[b->firsts[i]];
    PGresult *locked = NULL;
    enum store_result rc = of_keys(rows->db, t->lock, keys, b->rows, &locked, e);
    if (rc == STORE_OK) {
        size_t wanted = find_sources(b, kept_of(rows, t), locked, keys);
        b->has_new = (size_t)PQntuples(locked) < b->rows;
        // A statement of its own, behind the locks: it sees what was written before they were got.
        if (wanted > 0)
            rc = of_keys(rows->db, t->read, keys, wanted, out, e);
        assert(rc != STORE_OK || wanted == 0 || (size_t)PQntuples(*out) == wanted);
    }
    PQclear(locked);
    free(keys);
    return rc;
}

// The row as it is, empty where it is not there.
static int load_row(const struct rows *rows, const struct table *t, const struct row_delta *key,
                    const struct source *source, const PGresult *stored, struct row *row,
                    struct err *e)
{
    struct fields from;
    if (source->kept)
        fields_of_copy(kept_of(rows, t)->bytes.p + source->kept->at, &from);
    else if (source->read >= 0)
        fields_of_result(stored, source->read, &from);
    else
        return 0;
    assert(field_i64(&from, AT_series_id) == key->series_id);
    return read_row(&from, key, row, e);
}

// The row as it is plus its deltas, appended to `out` as it will be.
static int merge_row(const struct rows *rows, const struct table *t, const struct batch *b,
                     size_t i, const PGresult *stored, struct buf *out, struct err *e)
{
    size_t first = b->firsts[i], end = b->firsts[i + 1], begin = out->n;
    const struct row_delta *key = &b->deltas[first];
    struct row row = {0};
    int rc = load_row(rows, t, key, &b->sources[i], stored, &row, e);
    for (size_t d = first; rc == 0 && d < end; d++)
        facts_add(&row.facts, b->deltas[d].facts);
    if (rc == 0) {
        struct minute_change *changes = &b->changes[first];
        if (t == &minute) {
            restore_minute(&row.facts, changes);
            price_minute(rows, key, &row, changes);
        } else {
            restore_hour(&row.facts, changes, end - first);
            price_hour(&row, changes, end - first);
        }
        row.revision++;
        write_row(out, rows, key, &row);
        struct kept_row kept = {.series_id = key->series_id,
                                .window_start_us = key->window_start_us,
                                .revision = row.revision,
                                .n = out->n - begin};
        keep_row(rows, t, &kept, out->p + begin);
    }
    facts_clear(&row.facts);
    return rc;
}

static enum store_result copy_rows(const struct rows *rows, const struct table *t,
                                   const struct batch *b, const PGresult *stored, struct err *e)
{
    enum store_result rc = db_copy_begin(rows->db, t->copy, e);
    struct buf out = {0};
    db_copy_header(&out);
    for (size_t i = 0; rc == STORE_OK && i < b->rows; i++) {
        if (merge_row(rows, t, b, i, stored, &out, e) < 0)
            rc = STORE_FATAL;
        else if (out.n >= COPY_CHUNK) {
            rc = db_copy_put(rows->db, &out, e);
            buf_clear(&out);
        }
    }
    if (rc == STORE_OK) {
        db_copy_row(&out, -1);
        rc = db_copy_put(rows->db, &out, e);
    }
    if (rc == STORE_OK)
        rc = db_copy_end(rows->db, e);
    buf_free(&out);
    return rc;
}

// The minutes' prices are those of the versions that their rows name: the newest must be there.
static enum store_result reach_prices(const struct rows *rows, const PGresult *stored,
                                      struct err *e)
{
    int64_t newest = 0;
    for (int i = 0; stored && i < PQntuples(stored); i++)
        newest = max_i64(newest, db_i64(stored, i, AT_price_version));
    return prices_reach(rows->prices, rows->db, newest, e);
}

static enum store_result try_batch(const struct rows *rows, const struct table *t, struct batch *b,
                                   size_t *changed, struct err *e)
{
    PGresult *stored = NULL, *done = NULL;
    enum store_result rc = read_rows(rows, t, b, &stored, e);
    if (rc == STORE_OK && t == &minute)
        rc = reach_prices(rows, stored, e);
    if (rc == STORE_OK)
        rc = copy_rows(rows, t, b, stored, e);
    PQclear(stored);
    if (rc == STORE_OK)
        rc = db_exec(rows->db, t->upsert, &done, e);
    if (rc == STORE_OK)
        *changed = strtoull(PQcmdTuples(done), NULL, 10);
    PQclear(done);
    return rc;
}

// New minutes are to be published; the publisher keeps in mind there how far it is with each.
static const char publish_new[] =
    "INSERT INTO llm_publish (window_start, series_id) SELECT window_start, series_id"
    " FROM sl_minute WHERE revision = 1 ON CONFLICT DO NOTHING";

// kept: those from `from` on are the batch's.
static enum store_result accept_batch(const struct rows *rows, const struct table *t,
                                      const struct batch *b, size_t from, struct err *e)
{
    // One row tells the xmin of all: one statement has written them.
    char sql[160 + TIME_RFC3339_MAX], start[TIME_RFC3339_MAX];
    PGresult *r = NULL;
    struct kept *written = &rows->kept->next;
    time_format_rfc3339(b->deltas[0].window_start_us, start);
    snprintf(sql, sizeof(sql),
             "RELEASE batch; SELECT xmin FROM %s WHERE series_id = %lld AND window_start = '%s'",
             t->name, (long long)b->deltas[0].series_id, start);
    enum store_result rc = db_exec(rows->db, sql, &r, e);
    for (size_t i = from; rc == STORE_OK && i < written->n; i++)
        written->v[i].xmin = (uint32_t)strtoul(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    if (rc == STORE_OK && t == &minute && b->has_new)
        rc = db_exec(rows->db, publish_new, NULL, e);
    return rc;
}

static enum store_result write_batch(const struct rows *rows, const struct table *t,
                                     struct batch *b, struct err *e)
{
    struct kept *written = &rows->kept->next;
    const size_t kept = written->n, bytes = written->bytes.n;
    for (int i = 0; i < TRIES; i++) {
        enum store_result rc = db_exec(rows->db, "SAVEPOINT batch", NULL, e);
        size_t changed = 0;
        if (rc == STORE_OK)
            rc = try_batch(rows, t, b, &changed, e);
        if (rc != STORE_OK)
            return rc;
        assert(changed <= b->rows);
        if (changed == b->rows)
            return accept_batch(rows, t, b, kept, e);
        written->n = kept;
        written->bytes.n = bytes;
        rc = db_exec(rows->db, "ROLLBACK TO batch; RELEASE batch", NULL, e);
        if (rc != STORE_OK)
            return rc;
    }
    err_set(e, "PostgreSQL: other flushes changed the same rows %d times in a row", TRIES);
    return STORE_RETRY;
}

static enum store_result write_table(const struct rows *rows, const struct table *t,
                                     struct row_delta *deltas, struct minute_change *changes,
                                     size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        deltas[i].window_start_us = time_floor_us(deltas[i].window_start_us, t->window_us);
    const size_t room = n < BATCH_ROWS ? n : BATCH_ROWS;
    struct batch b = {.firsts = xcalloc(room + 1, sizeof(size_t)),
                      .sources = xcalloc(room + 1, sizeof(*b.sources))};
    enum store_result rc = STORE_OK;
    rows->kept->next.n = rows->kept->next.bytes.n = 0;
    for (size_t i = 0; rc == STORE_OK && i < n;) {
        if (i > 0)
            rc = db_exec(rows->db, t->empty, NULL, e);
        if (rc != STORE_OK)
            break;
        i += batch_take(&b, deltas + i, changes + i, n - i);
        rc = write_batch(rows, t, &b, e);
    }
    if (rc == STORE_OK)
        kept_renew(rows, t);
    free(b.firsts);
    free(b.sources);
    return rc;
}

enum store_result rows_write(struct rows *rows, struct row_delta *deltas, size_t n, struct err *e)
{
    struct minute_change *changes = xcalloc(n + 1, sizeof(*changes));
    rows->unpriced_requests = 0;
    if (!rows->kept)
        rows->kept = xcalloc(1, sizeof(*rows->kept));
    enum store_result rc = write_table(rows, &minute, deltas, changes, n, e);
    // Flooring keeps the order, so what is sorted by minute is sorted by hour.
    if (rc == STORE_OK)
        rc = write_table(rows, &hour, deltas, changes, n, e);
    for (size_t i = 0; i < n; i++)
        rows->unpriced_requests += changes[i].cost.unpriced_requests;
    free(changes);
    return rc;
}
