// SPDX-License-Identifier: Apache-2.0
// The production store (store.h): ownership and positions here, rows in rows_pg.c, series in
// series_pg.c, windows in windows_pg.c, the connection in db_pg.c.
//
// What may be made ahead of a flush, its series, windows and partitions, is made in transactions of
// its own in store_begin, before the fence: it is the same whoever makes it, and would otherwise
// hold locks that all flushes need.
#include "processor/store_pg.h"

#include <stdio.h>
#include <sys/random.h>

#include "common/core/timeunit.h"
#include "processor/closing_pg.h"
#include "processor/rows_pg.h"
#include "processor/series_pg.h"
#include "processor/settings_pg.h"
#include "processor/windows_pg.h"

#define CLAIM_LOCK_MS 2000 // longer than a flush should hold a position row
#define LOCK_NOT_AVAILABLE "55P03"

struct store {
    struct db *db;
    struct prices *prices;
    struct rows rows;
    int64_t unpriced_requests; // of committed flushes
    int64_t series_over_cap;
    int64_t errors;
    int64_t token;             // tells this process from any other that ever was or will be
    int64_t owner_id;          // of GROUP_INSTANCE_ID
    int64_t series_generation; // of the connection's series ids
    int64_t flushes;           // of all partitions, with my last one that is in
    int64_t flushes_with_mine; // with the one under way
    bool up;
    bool claimed; // rows with my token may stand in streamlens_position
    bool in_transaction;
    struct windows windows; // that are made
};

static int64_t random_token(void)
{
    int64_t token;
    do {
        if (getrandom(&token, sizeof(token), 0) != sizeof(token))
            abort(); // up to 256 bytes are never short once the kernel is seeded
    } while (token == 0 || token == INT64_MIN);
    return token;
}

struct store *store_pg_new(const struct config *c, int64_t timeout_ms, void (*idle)(void *),
                           void *arg)
{
    struct store *s = xcalloc(1, sizeof(*s));
    s->db = db_new(c->postgres_dsn, timeout_ms, idle, arg);
    s->prices = prices_new();
    s->rows = (struct rows){.db = s->db, .prices = s->prices};
    s->token = random_token();
    s->owner_id = c->group_instance_id[0]
                      ? (int64_t)hash_stable64(c->group_instance_id, strlen(c->group_instance_id))
                      : 0;
    return s;
}

void store_free(struct store *s)
{
    if (!s)
        return;
    rows_forget(&s->rows);
    prices_free(s->prices);
    db_free(s->db);
    free(s);
}

bool store_pg_up(const struct store *s)
{
    return s->up;
}

int64_t store_pg_token(const struct store *s)
{
    return s->token;
}

int64_t store_pg_price_version(const struct store *s)
{
    return prices_version(s->prices);
}

int64_t store_pg_refused_catalogues(const struct store *s)
{
    return prices_refused(s->prices);
}

// Every call ends here.
static enum store_result finish(struct store *s, enum store_result rc)
{
    s->up = db_is_open(s->db);
    s->errors += rc != STORE_OK && rc != STORE_FENCED;
    return rc;
}

int64_t store_pg_unpriced_requests(const struct store *s)
{
    return s->unpriced_requests;
}

int64_t store_pg_errors(const struct store *s)
{
    return s->errors;
}

int64_t store_pg_series_over_cap(const struct store *s)
{
    return s->series_over_cap;
}

// The flush that was written is in.
static void count_flush(struct store *s)
{
    // A row that another version of the prices had to take over may need fewer; a counter only
    // rises.
    s->unpriced_requests += max_i64(s->rows.unpriced_requests, 0);
    s->rows.unpriced_requests = 0;
}

// ---- connection ----

// My rows name the backend that writes them, for whoever has to end it.
static enum store_result adopt_rows(struct store *s, struct err *e)
{
    struct db_params p = {0};
    db_param_i64(&p, s->token);
    enum store_result rc = db_query(s->db,
                                    "UPDATE streamlens_position SET backend_pid = a.pid,"
                                    " backend_start = a.backend_start FROM pg_stat_activity a"
                                    " WHERE a.pid = pg_backend_pid() AND token = $1",
                                    &p, NULL, e);
    db_params_free(&p);
    return rc;
}

// Before the first id is asked for, so that none is older.
static enum store_result read_generation(struct store *s, struct err *e)
{
    PGresult *r = NULL;
    enum store_result rc =
        db_query(s->db, "SELECT max(series_generation) FROM streamlens_position", NULL, &r, e);
    if (rc == STORE_OK)
        s->series_generation = db_i64(r, 0, 0);
    PQclear(r);
    return rc;
}

static enum store_result open_call(struct store *s, struct err *e)
{
    bool fresh;
    db_begin_call(s->db);
    enum store_result rc = db_open(s->db, &fresh, e);
    if (rc != STORE_OK || !fresh)
        return rc;
    s->windows = (struct windows){0};
    prices_forget(s->prices);
    rc = rows_prepare(&s->rows, e);
    if (rc == STORE_OK)
        rc = read_generation(s, e);
    if (rc == STORE_OK && s->claimed)
        rc = adopt_rows(s, e);
    if (rc != STORE_OK)
        db_close(s->db); // half prepared is not prepared
    return rc;
}

// Ends the flush that is under way, if one is. What it wrote was kept, with its deltas; a
// correction of prices may give the row that stands there the very revision.
static void roll_back(struct store *s)
{
    if (!s->in_transaction)
        return;
    db_rollback(s->db);
    rows_forget(&s->rows);
    s->in_transaction = false;
}

// Ends what is open after a failure.
static enum store_result give_up(struct store *s, enum store_result rc)
{
    roll_back(s);
    if (db_failed_with(s->db, LOCK_NOT_AVAILABLE))
        db_end_silent(s->db);
    return finish(s, rc);
}

void store_abort(struct store *s)
{
    db_begin_call(s->db);
    give_up(s, STORE_OK);
}

// ---- settings ----

enum store_result store_settings(struct store *s, struct store_settings *out, struct err *e)
{
    enum store_result rc = open_call(s, e);
    if (rc == STORE_OK)
        rc = settings_read_newest(s->db, out, e);
    return finish(s, rc);
}

// ---- positions ----

// The columns of one topic, in the order of struct log_position. X(column, member)
#define LOG_COLUMNS(X, t)                                                                          \
    X(t##_next, next)                                                                              \
    X(t##_time_ms, time_ms)                                                                        \
    X(t##_replay, replay)                                                                          \
    X(t##_last_offset, last_offset)                                                                \
    X(t##_last_time_ms, last_time_ms)                                                              \
    X(t##_last_key, last_key)
#define COMMA_COLUMN(column, member) ", " #column
#define POSITION_COLUMNS LOG_COLUMNS(COMMA_COLUMN, request) LOG_COLUMNS(COMMA_COLUMN, response)

// NULL is TIME_NONE, for times and for all else that is not there.
_Static_assert(TIME_NONE == INT64_MIN, "db_pg.h takes INT64_MIN for NULL");

// ---- claim ----

static enum store_result claim_once(struct store *s, int partition, int64_t held_epoch,
                                    PGresult **out, struct err *e)
{
    // One string: BEGIN and COMMIT are implied, and SET LOCAL holds for it alone. The epoch passes
    // held_epoch in any case, so that only a row that was kept can show it.
    char sql[1024];
    snprintf(sql, sizeof(sql),
             "SET LOCAL lock_timeout = %d;"
             "UPDATE streamlens_position AS p SET"
             " epoch = CASE WHEN p.epoch = %lld AND p.token = %lld THEN p.epoch"
             "         ELSE greatest(p.epoch, %lld) + 1 END,"
             " token = %lld, owner_id = %lld, backend_pid = a.pid, backend_start = a.backend_start"
             " FROM pg_stat_activity a WHERE a.pid = pg_backend_pid() AND p.partition = %d"
             " RETURNING p.epoch, p.flush_seq" POSITION_COLUMNS,
             CLAIM_LOCK_MS, (long long)held_epoch, (long long)s->token, (long long)held_epoch,
             (long long)s->token, (long long)s->owner_id, partition);
    return db_exec(s->db, sql, out, e);
}

// The owner before holds its row for longer than any flush takes: it is stopped, or cut off.
static enum store_result end_owner(struct store *s, int partition, struct err *e)
{
    struct db_params p = {0};
    db_param_i64(&p, partition);
    enum store_result rc =
        db_query(s->db,
                 "SELECT pg_terminate_backend(a.pid, 5000) FROM streamlens_position p"
                 " JOIN pg_stat_activity a ON a.pid = p.backend_pid"
                 " AND a.backend_start = p.backend_start"
                 " WHERE p.partition = $1 AND a.pid <> pg_backend_pid()",
                 &p, NULL, e);
    db_params_free(&p);
    return rc;
}

// The claim's result is text: it came from a string of statements.
static int64_t text_i64(const PGresult *r, int column)
{
    return PQgetisnull(r, 0, column) ? INT64_MIN : strtoll(PQgetvalue(r, 0, column), NULL, 10);
}

static void read_claim(const PGresult *r, int partition, int64_t held_epoch, struct claim *out)
{
    *out = (struct claim){
        .partition = partition, .epoch = text_i64(r, 0), .flush_seq = text_i64(r, 1)};
    out->kept = held_epoch != 0 && out->epoch == held_epoch;
    int column = 2;
    for (int k = 0; k < 2; k++) {
        struct log_position *l = &out->position.log[k];
#define READ(name, member) l->member = text_i64(r, column++);
        LOG_COLUMNS(READ, unused)
#undef READ
    }
    out->stored = out->position.log[0].next != INT64_MIN;
}

enum store_result store_claim(struct store *s, int partition, int64_t held_epoch, struct claim *out,
                              struct err *e)
{
    assert(!s->in_transaction);
    PGresult *r = NULL;
    enum store_result rc = open_call(s, e);
    s->claimed = true;
    if (rc == STORE_OK)
        rc = claim_once(s, partition, held_epoch, &r, e);
    if (rc == STORE_RETRY && db_failed_with(s->db, LOCK_NOT_AVAILABLE)) {
        rc = end_owner(s, partition, e);
        if (rc == STORE_OK)
            rc = claim_once(s, partition, held_epoch, &r, e);
    }
    // A publisher locks the row as well, and it is not the one that the row names.
    if (rc == STORE_RETRY && db_failed_with(s->db, LOCK_NOT_AVAILABLE))
        db_end_silent(s->db);
    if (rc == STORE_OK && PQntuples(r) != 1) {
        err_set(e,
                "partition %d has no row in streamlens_position: the topics have more partitions "
                "than this installation was set up for",
                partition);
        rc = STORE_FATAL;
    }
    if (rc == STORE_OK)
        read_claim(r, partition, held_epoch, out);
    PQclear(r);
    // After the claim: who opens an epoch from now on fences it.
    if (rc == STORE_OK)
        rc = settings_read(s->db, partition, &out->settings, e);
    return finish(s, rc);
}

// ---- fence ----

enum standing { STANDS_NOT_IN, STANDS_IN, STANDS_FENCED };

// Compares the rows, sorted like the flush's partitions, with what the flush began from: all as
// they were, or all one flush further.
static enum standing compare_rows(const struct store *s, const struct store_flush *f,
                                  const PGresult *r, struct err *e)
{
    if ((size_t)PQntuples(r) != f->partition_count) {
        err_set(e, "%d of %zu position rows are there", PQntuples(r), f->partition_count);
        return STANDS_FENCED;
    }
    size_t in = 0;
    for (int i = 0; i < PQntuples(r); i++) {
        const struct store_partition *p = &f->partitions[i];
        int64_t epoch = db_i64(r, i, 1), token = db_i64(r, i, 2), flush_seq = db_i64(r, i, 3);
        if (db_i64(r, i, 0) != p->partition || epoch != p->epoch || token != s->token ||
            (flush_seq != p->flush_seq && flush_seq != p->flush_seq + 1)) {
            err_set(e, "partition %d has another owner (epoch %lld, flush %lld; mine %lld, %lld)",
                    p->partition, (long long)epoch, (long long)flush_seq, (long long)p->epoch,
                    (long long)p->flush_seq);
            return STANDS_FENCED;
        }
        in += flush_seq == p->flush_seq + 1;
    }
    if (in == 0)
        return STANDS_NOT_IN;
    if (in == f->partition_count)
        return STANDS_IN;
    err_set(e, "%zu of %zu partitions are one flush further", in, f->partition_count);
    return STANDS_FENCED;
}

#define POSITION_ROWS                                                                              \
    "SELECT partition, epoch, token, flush_seq, owner_id, series_generation"                       \
    " FROM streamlens_position WHERE partition = ANY ($1::bigint[]) ORDER BY partition"
static const char read_rows[] = POSITION_ROWS;
// Waits for whoever holds a row, so that a commit under way is seen.
static const char lock_rows[] = POSITION_ROWS " FOR UPDATE";

static enum store_result get_rows(struct store *s, const char *sql, const struct store_flush *f,
                                  PGresult **out, struct err *e)
{
    int64_t *numbers = xcalloc(f->partition_count, sizeof(*numbers));
    for (size_t i = 0; i < f->partition_count; i++) {
        assert(i == 0 || f->partitions[i - 1].partition < f->partitions[i].partition);
        numbers[i] = f->partitions[i].partition;
    }
    struct db_params p = {0};
    db_param_i64s(&p, numbers, f->partition_count, sizeof(*numbers));
    enum store_result rc = db_query(s->db, sql, &p, out, e);
    db_params_free(&p);
    free(numbers);
    return rc;
}

// ---- flush ----

static enum store_result check_locked(struct store *s, const struct store_flush *f,
                                      const PGresult *rows, struct err *e)
{
    enum standing standing = compare_rows(s, f, rows, e);
    if (standing == STANDS_IN)
        err_set(e, "this flush was committed before");
    if (standing != STANDS_NOT_IN)
        return STORE_FENCED;
    // Whoever takes series away holds these locks, too: from here on the ids stay true.
    if (db_i64(rows, 0, 5) == s->series_generation)
        return STORE_OK;
    db_close(s->db); // no id outlives its connection
    err_set(e, "series were deleted: all are looked up again");
    return STORE_RETRY;
}

// Flushes take turns, since nearly all of them change the same rows: of two that write them at once
// one would find all that it has read changed, and begin again. Who waits has no transaction's
// number yet, and no snapshot (LOCK takes none): with one it would keep the versions of rows from
// being pruned that the flush before it leaves, and updates from being HOT: 376 instead of 322 ms
// of PostgreSQL's CPU a flush of 10,000 rows, three processors at once. This mode stops nobody but
// another flush. That nothing is lost does not rest on it: see rows_pg.c.
static enum store_result begin_in_turn(struct store *s, struct err *e)
{
    s->in_transaction = true;
    return db_exec(
        s->db, "BEGIN; LOCK TABLE streamlens_installation IN SHARE UPDATE EXCLUSIVE MODE", NULL, e);
}

// In a statement of its own, behind the locks: the one that waited for them sees what was there
// before it waited, and whoever prices rows anew leaves those of flushes to come to these. Also
// finds out whether another has flushed since my last one.
static enum store_result follow_others(struct store *s, const struct store_flush *f, struct err *e)
{
    PGresult *r = NULL;
    enum store_result rc =
        db_query(s->db,
                 "SELECT coalesce(max(version), 0),"
                 " (SELECT sum(flush_seq)::bigint FROM streamlens_position) FROM llm_price_version",
                 NULL, &r, e);
    int64_t version = 0;
    if (rc == STORE_OK) {
        int64_t flushes = db_i64(r, 0, 1);
        version = db_i64(r, 0, 0);
        if (flushes != s->flushes)
            rows_forget(&s->rows);
        s->flushes_with_mine = flushes + (int64_t)f->partition_count;
    }
    PQclear(r);
    return rc == STORE_OK ? prices_follow(s->prices, s->db, version, e) : rc;
}

enum store_result store_begin(struct store *s, const struct store_flush *f, struct err *e)
{
    assert(!s->in_transaction);
    PGresult *r = NULL;
    enum store_result rc = open_call(s, e);
    if (rc == STORE_OK)
        rc = series_resolve(s->db, f->cells, f->cell_count, &s->series_over_cap, e);
    if (rc == STORE_OK)
        rc = windows_make(&s->windows, s->db, f, e);
    if (rc == STORE_OK)
        rc = begin_in_turn(s, e);
    if (rc == STORE_OK)
        rc = get_rows(s, lock_rows, f, &r, e);
    if (rc == STORE_OK)
        rc = check_locked(s, f, r, e);
    if (rc == STORE_OK)
        rc = follow_others(s, f, e);
    PQclear(r);
    return rc == STORE_OK ? finish(s, rc) : give_up(s, rc);
}

static enum store_result write_rows(struct store *s, const struct store_flush *f, struct err *e)
{
    struct row_delta *deltas = xcalloc(f->cell_count, sizeof(*deltas));
    for (size_t i = 0; i < f->cell_count; i++) {
        const struct store_cell *c = &f->cells[i];
        assert(c->series->store_id > 0);
        deltas[i] = (struct row_delta){
            {c->series->store_id, c->window_start_us}, c->series->tenant, c->facts};
    }
    rows_sort(deltas, f->cell_count);
    enum store_result rc = rows_write(&s->rows, deltas, f->cell_count, e);
    free(deltas);
    return rc;
}

#define SET_COLUMN(column, member) ", " #column " = n." #column
static const char move_positions[] =
    "UPDATE streamlens_position AS p SET flush_seq = p.flush_seq + 1, updated_at = "
    "now()" LOG_COLUMNS(SET_COLUMN, request) LOG_COLUMNS(
        SET_COLUMN, response) " FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], "
                              "$5::bigint[], $6::bigint[],"
                              " $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], "
                              "$11::bigint[], $12::bigint[],"
                              " $13::bigint[], $14::bigint[]) AS n(partition" POSITION_COLUMNS ")"
                              " WHERE p.partition = n.partition AND p.token = $1";

static enum store_result write_positions(struct store *s, const struct store_flush *f,
                                         struct err *e)
{
    int64_t *numbers = xcalloc(f->partition_count, sizeof(*numbers));
    for (size_t i = 0; i < f->partition_count; i++)
        numbers[i] = f->partitions[i].partition;
    const struct store_partition *first = f->partitions;
    struct db_params p = {0};
    db_param_i64(&p, s->token);
    db_param_i64s(&p, numbers, f->partition_count, sizeof(*numbers));
    for (int k = 0; k < 2; k++) {
#define ADD(column, member)                                                                        \
    db_param_i64s(&p, &first->position.log[k].member, f->partition_count, sizeof(*first));
        LOG_COLUMNS(ADD, unused)
#undef ADD
    }
    PGresult *r = NULL;
    enum store_result rc = db_query(s->db, move_positions, &p, &r, e);
    // The rows are locked since store_begin.
    assert(rc != STORE_OK || strtoull(PQcmdTuples(r), NULL, 10) == f->partition_count);
    PQclear(r);
    db_params_free(&p);
    free(numbers);
    return rc;
}

// The windows that may lack a lost record, by the times of the log: a request's own, and of an
// answer those of the requests that it could have been for, by the longest wait there ever was.
static const char note_gap[] =
    "INSERT INTO streamlens_gap (partition, topic, from_offset, to_offset, from_time, to_time,"
    " windows_from, windows_to)"
    " SELECT $1, CASE $2 WHEN 0 THEN '" TOPIC_REQUESTS "' ELSE '" TOPIC_RESPONSES "' END,"
    " $3, $4, $5, $6, coalesce($5 - s.ttl - s.skew, '-infinity'), coalesce($6, now()) + s.skew"
    " FROM (SELECT max(join_ttl_ms) * interval '1 ms' AS ttl,"
    "       max(join_skew_ms) * interval '1 ms' AS skew FROM streamlens_settings) s"
    " RETURNING gap_id";

static int64_t us_of(int64_t time_ms)
{
    return time_ms == TIME_NONE ? INT64_MIN : time_ms * US_PER_MS;
}

static bool has_gap(const struct store_partition *p)
{
    return p->gap[0].from != p->gap[0].to || p->gap[1].from != p->gap[1].to;
}

static enum store_result write_gaps(struct store *s, const struct store_partition *partition,
                                    struct gaps *gaps, struct err *e)
{
    enum store_result rc = STORE_OK;
    for (int k = 0; rc == STORE_OK && k < 2; k++) {
        const struct log_gap *gap = &partition->gap[k];
        if (gap->from == gap->to)
            continue;
        struct db_params p = {0};
        db_param_i64(&p, partition->partition);
        db_param_i64(&p, k);
        db_param_i64(&p, gap->from);
        db_param_i64(&p, gap->to);
        db_param_time(&p, us_of(gap->from_ms));
        db_param_time(&p, us_of(gap->to_ms));
        PGresult *r = NULL;
        rc = db_query(s->db, note_gap, &p, &r, e);
        if (rc == STORE_OK)
            gaps->first_id = gaps->first_id ? gaps->first_id : db_i64(r, 0, 0);
        PQclear(r);
        db_params_free(&p);
    }
    return rc;
}

// Who notes a gap holds the publisher off until it is seen: a window that is published meanwhile
// would not be known to be lossy.
static enum store_result begin_gaps(struct store *s, const struct store_flush *f, struct gaps *g,
                                    struct err *e)
{
    bool any = false;
    for (size_t i = 0; i < f->partition_count; i++)
        any = any || has_gap(&f->partitions[i]);
    *g = (struct gaps){0};
    if (!any)
        return STORE_OK;
    PGresult *r = NULL;
    enum store_result rc =
        db_query(s->db, "SELECT last_seq FROM streamlens_publisher FOR UPDATE", NULL, &r, e);
    if (rc == STORE_OK)
        g->last_seq = db_i64(r, 0, 0);
    PQclear(r);
    return rc;
}

enum store_result store_write(struct store *s, const struct store_flush *f, struct err *e)
{
    assert(s->in_transaction);
    db_begin_call(s->db);
    struct gaps gaps;
    enum store_result rc = begin_gaps(s, f, &gaps, e);
    if (rc == STORE_OK)
        rc = write_rows(s, f, e);
    for (size_t i = 0; rc == STORE_OK && i < f->partition_count; i++)
        rc = write_gaps(s, &f->partitions[i], &gaps, e);
    if (rc == STORE_OK)
        rc = windows_touch(s->db, f, &gaps, e);
    if (rc == STORE_OK)
        rc = write_positions(s, f, e);
    if (rc == STORE_FATAL && db_failed_with(s->db, "23514")) {
        // Retention has dropped a partition that was there before: made anew at the next attempt,
        // as are its windows.
        s->windows = (struct windows){0};
        rc = STORE_RETRY;
    }
    return rc == STORE_OK ? finish(s, rc) : give_up(s, rc);
}

enum store_result store_commit(struct store *s, struct err *e)
{
    assert(s->in_transaction);
    db_begin_call(s->db);
    enum store_result rc = db_commit(s->db, e);
    if (rc == STORE_OK) {
        count_flush(s);
        s->flushes = s->flushes_with_mine;
    } else if (rc != STORE_UNKNOWN) { // then the connection is closed, and what is kept with it
        roll_back(s);
    }
    s->in_transaction = false;
    return finish(s, rc);
}

enum store_result store_resolve(struct store *s, const struct store_flush *f, struct err *e)
{
    assert(!s->in_transaction);
    PGresult *r = NULL;
    // Connecting ends the backend that was asked to commit.
    enum store_result rc = open_call(s, e);
    if (rc == STORE_OK)
        rc = get_rows(s, lock_rows, f, &r, e);
    if (rc == STORE_RETRY)
        rc = STORE_UNKNOWN; // not an answer: ask again
    if (rc == STORE_OK)
        switch (compare_rows(s, f, r, e)) {
        case STANDS_IN:
            count_flush(s);
            break;
        case STANDS_NOT_IN:
            err_set(e, "the flush was not committed");
            rc = STORE_RETRY;
            break;
        case STANDS_FENCED:
            rc = STORE_FENCED;
        }
    PQclear(r);
    return finish(s, rc);
}

enum store_result store_check(struct store *s, const struct store_flush *f, struct err *e)
{
    PGresult *r = NULL;
    assert(!s->in_transaction);
    enum store_result rc = open_call(s, e);
    if (rc == STORE_OK)
        rc = get_rows(s, read_rows, f, &r, e);
    if (rc == STORE_OK) {
        enum standing standing = compare_rows(s, f, r, e);
        if (standing == STANDS_IN)
            err_set(e, "the partitions are one flush further than mine");
        rc = standing == STANDS_NOT_IN ? STORE_OK : STORE_FENCED;
    }
    PQclear(r);
    return finish(s, rc);
}

enum store_result store_find_rival(struct store *s, const struct store_flush *f, bool *found,
                                   struct err *e)
{
    PGresult *r = NULL;
    assert(!s->in_transaction);
    enum store_result rc = open_call(s, e);
    if (rc == STORE_OK)
        rc = get_rows(s, read_rows, f, &r, e);
    *found = false;
    // A token of 0 is nobody's: the settings were changed.
    for (int i = 0; rc == STORE_OK && s->owner_id != 0 && i < PQntuples(r); i++)
        *found = *found || (db_i64(r, i, 1) > f->partitions[i].epoch && db_i64(r, i, 2) != 0 &&
                            db_i64(r, i, 2) != s->token && db_i64(r, i, 4) == s->owner_id);
    PQclear(r);
    return finish(s, rc);
}

// ---- closing ----

enum store_result store_closing(struct store *s, int64_t now_ms, int64_t grace_ms,
                                struct store_closing *out, struct err *e)
{
    assert(!s->in_transaction);
    enum store_result rc = open_call(s, e);
    if (rc == STORE_OK)
        rc = closing_read(s->db, now_ms, grace_ms, out, e);
    return finish(s, rc);
}
