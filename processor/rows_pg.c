// SPDX-License-Identifier: Apache-2.0
// A batch of rows: those that are there are read, their deltas are added in C, the sums go by COPY
// into a temporary table, and from there one upsert takes them over. Those that are not there go by
// COPY to where they are to be.
//
// Nothing is locked before it is written. The upsert takes a row only at the revision that was
// read, and a row that is made by two flushes fails for one of them; where that happens, the batch
// is undone and done again from the reading on. Rows are written in one order: minutes before
// hours, and of each table those that are there by key, then those to be made by day and key (as
// their partitions follow each other, which COPY fills one by one). So two flushes wait for each
// other in one direction only. Beside that the store has flushes take turns (store_pg.c), so that
// little is done twice.
//
// What the flush before wrote is kept, and not read again: rows_forget() is for whoever finds that
// others have flushed since, or that what was written was not committed. Should a kept row have
// changed all the same (an operator has corrected its price), its revision tells.
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
#include "processor/kept_rows.h"

#define BATCH_ROWS 16384       // bounds the memory of results
#define COPY_CHUNK (64u << 10) // bytes handed to libpq at a time
#define TRIES 10               // each means that somebody else has written rows in between
#define UNIQUE_VIOLATION "23505"

enum store_result rows_prepare(struct rows *rows, struct err *e)
{
    // Where the database was set back, revisions are used again.
    rows_forget(rows);
    return row_prepare(rows->db, &rows->usage_type, e);
}

void rows_forget(struct rows *rows)
{
    if (rows->kept)
        kept_rows_free(rows->kept);
    free(rows->kept);
    rows->kept = NULL;
}

// ---- costs ----

// What a delta has changed in its minute beside its own sums; of several deltas of one minute the
// first has it all.
struct minute_change {
    struct cost cost;
    int64_t price_version; // of the minute
    int64_t requests;      // whose rows are gone
};

static void price_minute(const struct rows *rows, const struct row_delta *delta, struct row *row,
                         struct minute_change *change)
{
    int64_t ours = prices_version(rows->prices);
    // A version that is still newer than ours is one that we could not use: see prices_pg.c.
    row->price_version = row->revision == 0 ? ours : min_i64(row->price_version, ours);
    struct cost before = row->cost;
    row->cost = cost_of_lines(prices_catalogue(rows->prices), row->price_version,
                              delta->key.window_start_us, delta->tenant, &row->facts.usage);
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
    const char *kept; // NULL = not
    int read;         // row of the result, -1 = none
};

static bool is_new(const struct source *from)
{
    return !from->kept && from->read < 0;
}

struct batch {
    const struct row_delta *deltas;
    struct minute_change *changes; // of each delta: set with the minutes, read with the hours
    size_t n;
    size_t *firsts; // owned: where each row's deltas begin; firsts[rows] is n
    size_t rows;
    struct source *sources; // owned: of each row, set by read_rows
    size_t new_rows;        // likewise: how many are not there yet
};

static const struct row_key *key_of(const struct batch *b, size_t row)
{
    return &b->deltas[b->firsts[row]].key;
}

static int compare_deltas(const void *a, const void *b)
{
    const struct row_delta *x = a, *y = b;
    return row_key_compare(&x->key, &y->key);
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
        if (i > 0 && row_key_compare(&deltas[i].key, &deltas[i - 1].key) == 0)
            continue;
        if (b->rows == BATCH_ROWS)
            break;
        b->firsts[b->rows++] = i;
    }
    b->firsts[b->rows] = i;
    b->n = i;
    return i;
}

// ---- reading ----

// Runs a statement with these keys, and the bounds of their windows where it has such: they say
// nothing new, but let the planner leave partitions out.
static enum store_result of_keys(struct db *db, const char *sql, const struct row_key *keys,
                                 size_t n, bool bounds, PGresult **out, struct err *e)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (size_t i = 0; i < n; i++) {
        low = min_i64(low, keys[i].window_start_us);
        high = max_i64(high, keys[i].window_start_us);
    }
    struct db_params p = {0};
    db_param_i64s(&p, &keys[0].series_id, n, sizeof(*keys));
    db_param_times(&p, &keys[0].window_start_us, n, sizeof(*keys));
    if (bounds) {
        db_param_time(&p, low);
        db_param_time(&p, high);
    }
    enum store_result rc = db_query(db, sql, &p, out, e);
    db_params_free(&p);
    return rc;
}

// Finds the rows that are kept. Returns how many are not, and their keys.
static size_t find_kept(struct batch *b, const struct kept *kept, struct row_key *others)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < b->rows; i++) {
        b->sources[i] = (struct source){kept_find(kept, key_of(b, i), &at), -1};
        if (!b->sources[i].kept)
            others[n++] = *key_of(b, i);
    }
    return n;
}

// Finds those that were read, which are in the order of the batch.
static void find_read(struct batch *b, const PGresult *stored)
{
    int at = 0;
    b->new_rows = 0;
    for (size_t i = 0; i < b->rows; i++) {
        struct source *from = &b->sources[i];
        const struct row_key *key = key_of(b, i);
        if (!from->kept && at < PQntuples(stored) &&
            db_i64(stored, at, ROW_COLUMN_SERIES) == key->series_id &&
            db_time_us(stored, at, ROW_COLUMN_WINDOW) == key->window_start_us)
            from->read = at++;
        b->new_rows += is_new(from);
    }
    assert(at == PQntuples(stored));
}

static enum store_result read_rows(const struct rows *rows, const struct row_table *t,
                                   struct batch *b, PGresult **out, struct err *e)
{
    struct row_key *others = xcalloc(b->rows, sizeof(*others));
    size_t n = find_kept(b, kept_rows_of(rows->kept, t), others);
    enum store_result rc = STORE_OK;
    b->new_rows = 0;
    if (n > 0)
        rc = of_keys(rows->db, t->read, others, n, true, out, e);
    if (rc == STORE_OK && n > 0)
        find_read(b, *out);
    free(others);
    return rc;
}

// The minutes' prices are those of the versions that their rows name: the newest must be there.
static enum store_result reach_prices(const struct rows *rows, const PGresult *stored,
                                      struct err *e)
{
    int64_t newest = 0;
    for (int i = 0; stored && i < PQntuples(stored); i++)
        newest = max_i64(newest, db_i64(stored, i, ROW_COLUMN_PRICE_VERSION));
    return prices_reach(rows->prices, rows->db, newest, e);
}

// ---- writing ----

// The row as it is, empty where it is not there.
static int load_row(const struct batch *b, size_t i, const PGresult *stored, struct row *row,
                    struct err *e)
{
    const struct source *from = &b->sources[i];
    if (is_new(from))
        return 0;
    return from->kept ? row_of_copy(from->kept, key_of(b, i), row, e)
                      : row_of_result(stored, from->read, key_of(b, i), row, e);
}

// The row as it is plus its deltas, appended to `out` as it will be.
static int merge_row(const struct rows *rows, const struct row_table *t, const struct batch *b,
                     size_t i, const PGresult *stored, struct buf *out, struct err *e)
{
    size_t first = b->firsts[i], end = b->firsts[i + 1], begin = out->n;
    struct row row = {0};
    int rc = load_row(b, i, stored, &row, e);
    for (size_t d = first; rc == 0 && d < end; d++)
        facts_add(&row.facts, b->deltas[d].facts);
    if (rc == 0) {
        struct minute_change *changes = &b->changes[first];
        if (t == &row_minute) {
            restore_minute(&row.facts, changes);
            price_minute(rows, &b->deltas[first], &row, changes);
        } else {
            restore_hour(&row.facts, changes, end - first);
            price_hour(&row, changes, end - first);
        }
        row.revision++;
        row_write(out, rows->usage_type, key_of(b, i), &row);
        kept_rows_add(rows->kept, t, key_of(b, i), out->p + begin, out->n - begin);
    }
    facts_clear(&row.facts);
    return rc;
}

// Of a batch those rows that are there, or of a day those that are not.
struct part {
    bool new;
    int64_t day_us;
};

static bool is_part(const struct batch *b, size_t i, const struct part *part)
{
    if (is_new(&b->sources[i]) != part->new)
        return false;
    return !part->new || time_floor_us(key_of(b, i)->window_start_us, US_PER_DAY) == part->day_us;
}

static enum store_result copy_part(const struct rows *rows, const struct row_table *t,
                                   const struct batch *b, const struct part *part,
                                   const PGresult *stored, struct err *e)
{
    enum store_result rc = db_copy_begin(rows->db, part->new ? t->create : t->copy, e);
    struct buf out = {0};
    db_copy_header(&out);
    for (size_t i = 0; rc == STORE_OK && i < b->rows; i++) {
        if (!is_part(b, i, part))
            continue;
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

// *done: every row was there, at the revision that it was read at.
static enum store_result update_rows(const struct rows *rows, const struct row_table *t,
                                     const struct batch *b, const PGresult *stored, bool *done,
                                     struct err *e)
{
    const size_t wanted = b->rows - b->new_rows;
    PGresult *r = NULL;
    if (wanted == 0)
        return STORE_OK;
    enum store_result rc = copy_part(rows, t, b, &(struct part){.new = false}, stored, e);
    if (rc == STORE_OK)
        rc = db_exec(rows->db, t->update, &r, e);
    if (rc == STORE_OK)
        *done = strtoull(PQgetvalue(r, 0, 0), NULL, 10) == wanted;
    PQclear(r);
    return rc;
}

// The next day that has new rows, INT64_MAX = none.
static int64_t day_after(const struct batch *b, int64_t day_us)
{
    int64_t next_us = INT64_MAX;
    for (size_t i = 0; i < b->rows; i++) {
        int64_t its_us = time_floor_us(key_of(b, i)->window_start_us, US_PER_DAY);
        if (is_new(&b->sources[i]) && its_us > day_us)
            next_us = min_i64(next_us, its_us);
    }
    return next_us;
}

// New minutes are to be published; the publisher keeps in mind there how far it is with each.
static const char publish_new[] =
    "INSERT INTO llm_publish (series_id, window_start)"
    " SELECT * FROM unnest($1::bigint[], $2::timestamptz[]) ON CONFLICT DO NOTHING";

static enum store_result announce_rows(const struct rows *rows, const struct batch *b,
                                       struct err *e)
{
    struct row_key *keys = xcalloc(b->new_rows, sizeof(*keys));
    size_t n = 0;
    for (size_t i = 0; i < b->rows; i++)
        if (is_new(&b->sources[i]))
            keys[n++] = *key_of(b, i);
    enum store_result rc = of_keys(rows->db, publish_new, keys, n, false, NULL, e);
    free(keys);
    return rc;
}

// *done: none of them was made by somebody else.
static enum store_result create_rows(const struct rows *rows, const struct row_table *t,
                                     const struct batch *b, bool *done, struct err *e)
{
    enum store_result rc = STORE_OK;
    struct part part = {true, INT64_MIN};
    while (rc == STORE_OK && (part.day_us = day_after(b, part.day_us)) != INT64_MAX)
        rc = copy_part(rows, t, b, &part, NULL, e);
    if (rc == STORE_FATAL && db_failed_with(rows->db, UNIQUE_VIOLATION)) {
        *done = false;
        return STORE_OK;
    }
    if (rc == STORE_OK && t == &row_minute && b->new_rows > 0)
        rc = announce_rows(rows, b, e);
    return rc;
}

static enum store_result try_batch(const struct rows *rows, const struct row_table *t,
                                   struct batch *b, bool *done, struct err *e)
{
    PGresult *stored = NULL;
    *done = true;
    enum store_result rc = read_rows(rows, t, b, &stored, e);
    if (rc == STORE_OK && t == &row_minute)
        rc = reach_prices(rows, stored, e);
    if (rc == STORE_OK)
        rc = update_rows(rows, t, b, stored, done, e);
    if (rc == STORE_OK && *done)
        rc = create_rows(rows, t, b, done, e);
    PQclear(stored);
    return rc;
}

static enum store_result write_batch(const struct rows *rows, const struct row_table *t,
                                     struct batch *b, struct err *e)
{
    struct kept *written = &rows->kept->next;
    const size_t kept = written->n, bytes = written->bytes.n;
    for (int i = 0; i < TRIES; i++) {
        bool done = false;
        enum store_result rc = db_exec(rows->db, "SAVEPOINT batch", NULL, e);
        if (rc == STORE_OK)
            rc = try_batch(rows, t, b, &done, e);
        if (rc == STORE_OK && done)
            rc = db_exec(rows->db, "RELEASE batch", NULL, e);
        if (rc != STORE_OK || done)
            return rc;
        // What was kept may be what was wrong.
        kept_cut(kept_rows_of(rows->kept, t), 0, 0);
        kept_cut(written, kept, bytes);
        rc = db_exec(rows->db, "ROLLBACK TO batch; RELEASE batch", NULL, e);
        if (rc != STORE_OK)
            return rc;
    }
    err_set(e, "PostgreSQL: other flushes changed the same rows %d times in a row", TRIES);
    return STORE_RETRY;
}

static enum store_result write_table(const struct rows *rows, const struct row_table *t,
                                     struct row_delta *deltas, struct minute_change *changes,
                                     size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        deltas[i].key.window_start_us = time_floor_us(deltas[i].key.window_start_us, t->window_us);
    const size_t room = n < BATCH_ROWS ? n : BATCH_ROWS;
    struct batch b = {.firsts = xcalloc(room + 1, sizeof(size_t)),
                      .sources = xcalloc(room + 1, sizeof(*b.sources))};
    enum store_result rc = STORE_OK;
    kept_cut(&rows->kept->next, 0, 0);
    for (size_t i = 0; rc == STORE_OK && i < n;) {
        if (i > 0)
            rc = db_exec(rows->db, t->empty, NULL, e);
        if (rc != STORE_OK)
            break;
        i += batch_take(&b, deltas + i, changes + i, n - i);
        rc = write_batch(rows, t, &b, e);
    }
    if (rc == STORE_OK)
        kept_rows_renew(rows->kept, t);
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
    enum store_result rc = write_table(rows, &row_minute, deltas, changes, n, e);
    // Flooring keeps the order, so what is sorted by minute is sorted by hour.
    if (rc == STORE_OK)
        rc = write_table(rows, &row_hour, deltas, changes, n, e);
    for (size_t i = 0; i < n; i++)
        rows->unpriced_requests += changes[i].cost.unpriced_requests;
    free(changes);
    return rc;
}
