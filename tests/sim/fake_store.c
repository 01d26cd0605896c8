// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fake_store.h"

#include <stdio.h>

#include "processor/window.h"

enum txn { TXN_NONE, TXN_OPEN, TXN_WRITTEN, TXN_IN_DOUBT };

// What the database was told in store_write: copies, since the process may be gone when it lands.
struct written {
    struct store_partition *partitions;
    size_t partition_count;
    struct written_cell {
        char tenant[16], route[16], model[16];
        int64_t window_start_us;
        struct facts facts;
    } * cells;
    size_t cell_count;
};

struct store {
    struct fake_db *db;
    int64_t token;
    enum txn txn;
    struct written written;
    bool landed; // in doubt: whether the COMMIT was (or will be) carried out
};

struct store *fake_store_new(struct fake_db *db, int64_t token)
{
    struct store *s = xcalloc(1, sizeof(*s));
    s->db = db;
    s->token = token;
    return s;
}

void fake_db_free(struct fake_db *db)
{
    for (size_t i = 0; i < db->row_count; i++)
        facts_clear(&db->rows[i].facts);
    free(db->rows);
}

static bool fault(struct store *s)
{
    return random_chance(s->db->random, s->db->fault_percent);
}

// ---- rows ----

static struct fake_row *row_for(struct fake_db *db, size_t series, int64_t window_start_us)
{
    for (size_t i = 0; i < db->row_count; i++)
        if (db->rows[i].window_start_us == window_start_us &&
            strcmp(db->rows[i].tenant, db->series[series].tenant) == 0 &&
            strcmp(db->rows[i].route, db->series[series].route) == 0 &&
            strcmp(db->rows[i].model, db->series[series].model) == 0)
            return &db->rows[i];
    if (db->row_count == db->row_cap) {
        db->row_cap = db->row_cap ? db->row_cap * 2 : 64;
        db->rows = xrealloc(db->rows, db->row_cap * sizeof(*db->rows));
    }
    struct fake_row *row = &db->rows[db->row_count++];
    *row = (struct fake_row){.window_start_us = window_start_us};
    snprintf(row->tenant, sizeof(row->tenant), "%s", db->series[series].tenant);
    snprintf(row->route, sizeof(row->route), "%s", db->series[series].route);
    snprintf(row->model, sizeof(row->model), "%s", db->series[series].model);
    return row;
}

static size_t find_series(struct fake_db *db, const char *tenant, const char *route,
                          const char *model)
{
    size_t i = 0;
    while (i < db->series_count &&
           (strcmp(db->series[i].tenant, tenant) != 0 || strcmp(db->series[i].route, route) != 0 ||
            strcmp(db->series[i].model, model) != 0))
        i++;
    return i;
}

// The series' number; over the tenant's cap that of __other__ (DESIGN 4, rule 9).
static size_t series_for(struct fake_db *db, const struct written_cell *c)
{
    const char *tenant = c->tenant, *route = c->route, *model = c->model;
    size_t i = find_series(db, tenant, route, model);
    if (i < db->series_count)
        return i;
    int64_t have = 0;
    for (size_t n = 0; n < db->series_count; n++)
        have += strcmp(db->series[n].tenant, tenant) == 0 &&
                strcmp(db->series[n].route, SERIES_OTHER) != 0;
    if (have >= db->max_series) {
        route = model = SERIES_OTHER;
        i = find_series(db, tenant, route, model);
        if (i < db->series_count)
            return i;
    }
    assert(db->series_count < ARRAY_LEN(db->series));
    snprintf(db->series[i].tenant, sizeof(db->series[i].tenant), "%s", tenant);
    snprintf(db->series[i].route, sizeof(db->series[i].route), "%s", route);
    snprintf(db->series[i].model, sizeof(db->series[i].model), "%s", model);
    db->series_count++;
    return i;
}

static void check_position(struct fake_db *db, const struct fake_position *old,
                           const struct store_partition *p)
{
    if (p->epoch != old->epoch)
        db->violation = "an epoch that is not the row's was written";
    for (int k = 0; k < 2; k++) {
        const struct log_position *now = &p->position.log[k], *was = &old->position.log[k];
        if (now->replay > now->next)
            db->violation = "R lies beyond P";
        if (old->stored &&
            (now->next < was->next || now->time_ms < was->time_ms || now->replay < was->replay))
            db->violation = "P, R or a time went back";
    }
}

static void apply(struct store *s)
{
    struct fake_db *db = s->db;
    for (size_t i = 0; i < s->written.cell_count; i++) {
        const struct written_cell *c = &s->written.cells[i];
        facts_add(&row_for(db, series_for(db, c), c->window_start_us)->facts, &c->facts);
    }
    for (size_t i = 0; i < s->written.partition_count; i++) {
        const struct store_partition *p = &s->written.partitions[i];
        struct fake_position *row = &db->position[p->partition];
        check_position(db, row, p);
        row->position = p->position;
        row->stored = true;
        row->flush_seq = p->flush_seq + 1;
    }
}

static void remember(struct written *w, const struct store_flush *f)
{
    w->partition_count = f->partition_count;
    w->partitions = xmemdup(f->partitions, f->partition_count * sizeof(*f->partitions));
    w->cell_count = f->cell_count;
    w->cells = xcalloc(f->cell_count, sizeof(*w->cells));
    for (size_t i = 0; i < f->cell_count; i++) {
        struct written_cell *c = &w->cells[i];
        snprintf(c->tenant, sizeof(c->tenant), "%s", f->cells[i].series->tenant.p);
        snprintf(c->route, sizeof(c->route), "%s", f->cells[i].series->route.p);
        snprintf(c->model, sizeof(c->model), "%s", f->cells[i].series->model.p);
        c->window_start_us = f->cells[i].window_start_us;
        facts_add(&c->facts, f->cells[i].facts);
    }
}

static void forget(struct written *w)
{
    for (size_t i = 0; i < w->cell_count; i++)
        facts_clear(&w->cells[i].facts);
    free(w->cells);
    free(w->partitions);
    *w = (struct written){0};
}

// ---- transactions ----

static void end(struct store *s)
{
    for (int p = 0; p < s->db->partitions; p++)
        if (s->db->position[p].locked_by == s)
            s->db->position[p].locked_by = NULL;
    s->txn = TXN_NONE;
    forget(&s->written);
}

// Whatever the backend was doing is over: an unanswered COMMIT has landed or has not.
static void terminate(struct store *s)
{
    if (s->txn == TXN_IN_DOUBT && s->landed)
        apply(s);
    end(s);
}

void store_abort(struct store *s)
{
    terminate(s);
}

void store_free(struct store *s)
{
    if (!s)
        return;
    terminate(s);
    free(s);
}

enum store_result store_settings(struct store *s, struct store_settings *out, struct err *e)
{
    (void)e;
    *out = (struct store_settings){s->db->partitions, s->db->ttl_ms, s->db->skew_ms,
                                   s->db->max_series, 1};
    return STORE_OK;
}

enum store_result store_claim(struct store *s, int partition, int64_t held_epoch, struct claim *out,
                              struct err *e)
{
    if (fault(s)) {
        err_set(e, "injected fault");
        return STORE_RETRY;
    }
    struct fake_position *row = &s->db->position[partition];
    if (row->locked_by)
        terminate(row->locked_by);
    bool kept = held_epoch != 0 && row->epoch == held_epoch && row->token == s->token;
    if (!kept) {
        row->epoch++;
        row->token = s->token;
    }
    *out = (struct claim){
        .partition = partition,
        .epoch = row->epoch,
        .flush_seq = row->flush_seq,
        .kept = kept,
        .stored = row->stored,
        .position = row->position,
        .settings = {1, {{1, TIME_NONE, s->db->ttl_ms, s->db->skew_ms, 1}}},
    };
    return STORE_OK;
}

enum store_result store_begin(struct store *s, const struct store_flush *f, struct err *e)
{
    assert(s->txn == TXN_NONE);
    if (fault(s)) {
        err_set(e, "injected fault");
        return STORE_RETRY;
    }
    for (size_t i = 0; i < f->partition_count; i++)
        if (s->db->position[f->partitions[i].partition].locked_by)
            return STORE_RETRY;
    size_t mine = 0;
    for (size_t i = 0; i < f->partition_count; i++) {
        const struct store_partition *p = &f->partitions[i];
        const struct fake_position *row = &s->db->position[p->partition];
        mine += row->epoch == p->epoch && row->token == s->token && row->flush_seq == p->flush_seq;
    }
    if (mine != f->partition_count)
        return STORE_FENCED;
    for (size_t i = 0; i < f->partition_count; i++)
        s->db->position[f->partitions[i].partition].locked_by = s;
    s->txn = TXN_OPEN;
    return STORE_OK;
}

enum store_result store_write(struct store *s, const struct store_flush *f, struct err *e)
{
    // A claim may have terminated this backend between the steps.
    if (s->txn != TXN_OPEN || fault(s)) {
        end(s);
        err_set(e, "injected fault");
        return STORE_RETRY;
    }
    remember(&s->written, f);
    s->txn = TXN_WRITTEN;
    return STORE_OK;
}

enum store_result store_commit(struct store *s, struct err *e)
{
    if (s->txn != TXN_WRITTEN) {
        err_set(e, "injected fault");
        return STORE_RETRY;
    }
    if (fault(s)) {
        s->txn = TXN_IN_DOUBT;
        s->landed = random_chance(s->db->random, 50);
        err_set(e, "injected fault");
        return STORE_UNKNOWN;
    }
    apply(s);
    end(s);
    return STORE_OK;
}

enum store_result store_resolve(struct store *s, const struct store_flush *f, struct err *e)
{
    if (fault(s)) {
        err_set(e, "injected fault");
        return STORE_UNKNOWN;
    }
    terminate(s);
    const struct store_partition *p = &f->partitions[0];
    for (size_t i = 0; i < f->partition_count; i++) {
        const struct fake_position *row = &s->db->position[f->partitions[i].partition];
        if (row->epoch != f->partitions[i].epoch || row->token != s->token)
            return STORE_FENCED;
    }
    return s->db->position[p->partition].flush_seq == p->flush_seq + 1 ? STORE_OK : STORE_RETRY;
}

enum store_result store_closing(struct store *s, int64_t now_ms, int64_t grace_ms,
                                struct store_closing *out, struct err *e)
{
    if (fault(s)) {
        err_set(e, "injected fault");
        return STORE_RETRY;
    }
    *out = (struct store_closing){TIME_NONE, {INT64_MAX, TIME_NONE}};
    for (size_t i = 0; i < s->db->row_count; i++) {
        int64_t end_ms = (s->db->rows[i].window_start_us + WINDOW_US) / 1000 + grace_ms;
        if (end_ms <= now_ms)
            out->want_ms = max_i64(out->want_ms, end_ms);
    }
    for (int p = 0; p < s->db->partitions; p++)
        for (int k = 0; k < 2; k++)
            out->progress.through_ms = min_i64(
                out->progress.through_ms,
                s->db->position[p].stored ? s->db->position[p].position.log[k].time_ms : TIME_NONE);
    return STORE_OK;
}

enum store_result store_close(struct store *s, int64_t epoch, const struct closing_rule *rule,
                              int64_t now_ms, struct err *e)
{
    (void)s;
    (void)epoch;
    (void)rule;
    (void)now_ms;
    (void)e;
    return STORE_OK;
}
