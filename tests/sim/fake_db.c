// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fake_db.h"

#include <stdio.h>

#include "processor/window.h"

#define FAKE_COPY(into, from)                                                                      \
    ((into)->n = (into)->cap = (from)->n,                                                          \
     (into)->v = (from)->n ? xmemdup((from)->v, (from)->n * sizeof(*(from)->v)) : NULL)

void fake_db_violated(struct fake_db *db, const char *what)
{
    if (!db->violation)
        db->violation = what;
}

// ---- life ----

static void remember_settings(struct fake_db *db)
{
    size_t n = (size_t)db->partitions;
    db->history = xrealloc(db->history, (db->history_count + 1) * n * sizeof(*db->history));
    for (size_t p = 0; p < n; p++)
        db->history[db->history_count * n + p] = db->now.position[p].settings;
    db->history_count++;
}

void fake_db_init(struct fake_db *db, struct random *random, int partitions,
                  const struct fake_epoch *first)
{
    *db = (struct fake_db){.random = random, .partitions = partitions};
    *FAKE_ADD(&db->now.epochs) = *first;
    db->now.batch_first_seq = 1;
    for (int p = 0; p < partitions; p++)
        db->now.position[p] = (struct fake_position){
            .epoch = 1,
            .settings = {1, {{1, TIME_NONE, first->ttl_ms, first->skew_ms, 1}}},
        };
}

static void state_free(struct fake_state *s)
{
    for (size_t i = 0; i < s->rows.n; i++)
        facts_clear(&s->rows.v[i].facts);
    free(s->rows.v);
    free(s->series.v);
    free(s->tenants.v);
    free(s->windows.v);
    free(s->gaps.v);
    free(s->epochs.v);
    *s = (struct fake_state){0};
}

void fake_db_free(struct fake_db *db)
{
    state_free(&db->now);
    state_free(&db->saved);
    free(db->history);
}

static void state_copy(struct fake_state *into, const struct fake_state *from)
{
    FAKE_COPY(&into->rows, &from->rows);
    for (size_t i = 0; i < from->rows.n; i++) {
        into->rows.v[i].facts = (struct facts){0};
        facts_add(&into->rows.v[i].facts, &from->rows.v[i].facts);
    }
    FAKE_COPY(&into->series, &from->series);
    FAKE_COPY(&into->tenants, &from->tenants);
    FAKE_COPY(&into->windows, &from->windows);
    FAKE_COPY(&into->gaps, &from->gaps);
    FAKE_COPY(&into->epochs, &from->epochs);
    memcpy(into->position, from->position, sizeof(into->position));
    into->last_seq = from->last_seq;
    into->batch_first_seq = from->batch_first_seq;
}

void fake_db_save(struct fake_db *db)
{
    state_free(&db->saved);
    state_copy(&db->saved, &db->now);
    db->has_saved = true;
}

void fake_db_restore(struct fake_db *db)
{
    assert(db->has_saved && !db->backends);
    remember_settings(db);
    state_free(&db->now);
    state_copy(&db->now, &db->saved);
    db->restores++;
}

// ---- series ----

static struct fake_tenant *tenant_of(struct fake_db *db, const char *name)
{
    for (size_t i = 0; i < db->now.tenants.n; i++)
        if (strcmp(db->now.tenants.v[i].name, name) == 0)
            return &db->now.tenants.v[i];
    struct fake_tenant *t = FAKE_ADD(&db->now.tenants);
    *t = (struct fake_tenant){.epoch = 0};
    snprintf(t->name, sizeof(t->name), "%s", name);
    return t;
}

static int find_series(const struct fake_db *db, const char *tenant, const char *route,
                       const char *model)
{
    for (size_t i = 0; i < db->now.series.n; i++) {
        const struct fake_series *s = &db->now.series.v[i];
        if (strcmp(s->model, model) == 0 && strcmp(s->route, route) == 0 &&
            strcmp(s->tenant, tenant) == 0)
            return (int)i + 1;
    }
    return 0;
}

static int add_series(struct fake_db *db, const char *tenant, const char *route, const char *model,
                      int64_t epoch)
{
    struct fake_series *s = FAKE_ADD(&db->now.series);
    s->epoch = epoch;
    snprintf(s->tenant, sizeof(s->tenant), "%s", tenant);
    snprintf(s->route, sizeof(s->route), "%s", route);
    snprintf(s->model, sizeof(s->model), "%s", model);
    return (int)db->now.series.n;
}

static int64_t series_count_of(const struct fake_db *db, const char *tenant)
{
    int64_t n = 0;
    for (size_t i = 0; i < db->now.series.n; i++)
        n += strcmp(db->now.series.v[i].tenant, tenant) == 0 &&
             strcmp(db->now.series.v[i].route, SERIES_OTHER) != 0;
    return n;
}

static int64_t cap_in(const struct fake_db *db, int64_t epoch)
{
    for (size_t i = 0; i < db->now.epochs.n; i++)
        if (db->now.epochs.v[i].epoch == epoch)
            return db->now.epochs.v[i].max_series;
    return 0; // an epoch that a restored backup does not know: no task of it can commit
}

int fake_db_resolve(struct fake_db *db, const struct series *series)
{
    const char *tenant = series->tenant.p;
    int64_t epoch = series->epoch;
    int id = find_series(db, tenant, series->route.p, series->model.p);
    if (id && db->now.series.v[id - 1].epoch <= epoch)
        return id;
    struct fake_tenant *t = tenant_of(db, tenant);
    if (!id && t->epoch <= epoch) {
        t->epoch = epoch;
        if (series_count_of(db, tenant) < cap_in(db, epoch))
            return add_series(db, tenant, series->route.p, series->model.p, epoch);
    }
    id = find_series(db, tenant, SERIES_OTHER, SERIES_OTHER);
    return id ? id : add_series(db, tenant, SERIES_OTHER, SERIES_OTHER, 0);
}

int fake_db_series_of(const struct fake_db *db, const char *tenant, const char *route,
                      const char *model, int64_t series_epoch)
{
    int id = find_series(db, tenant, route, model);
    if (id && db->now.series.v[id - 1].epoch <= series_epoch)
        return id;
    return find_series(db, tenant, SERIES_OTHER, SERIES_OTHER);
}

bool fake_db_has_other(const struct fake_db *db)
{
    for (size_t i = 0; i < db->now.series.n; i++)
        if (strcmp(db->now.series.v[i].route, SERIES_OTHER) == 0)
            return true;
    return false;
}

// ---- a flush ----

static struct fake_row *row_for(struct fake_db *db, int series, int64_t window_start_us)
{
    for (size_t i = 0; i < db->now.rows.n; i++)
        if (db->now.rows.v[i].series == series &&
            db->now.rows.v[i].window_start_us == window_start_us)
            return &db->now.rows.v[i];
    struct fake_row *row = FAKE_ADD(&db->now.rows);
    *row = (struct fake_row){.series = series, .window_start_us = window_start_us};
    return row;
}

// A record may name a minute that lies before or behind the moment when it was appended.
static bool is_lossy_by(const struct log_gap *gap, int64_t window_start_us)
{
    int64_t start_ms = window_start_us / 1000;
    return start_ms + 160000 > gap->from_ms && start_ms - 100000 < gap->to_ms;
}

bool fake_db_is_lossy(const struct fake_db *db, int64_t start_us)
{
    for (size_t i = 0; i < db->now.gaps.n; i++)
        if (is_lossy_by(&db->now.gaps.v[i].gap, start_us))
            return true;
    return false;
}

void fake_db_mark_again(struct fake_db *db, struct fake_window *w)
{
    w->again_above = 0;
    w->again_to = db->now.last_seq;
    w->changes++;
}

static void note_gap(struct fake_db *db, const struct fake_position *old, int k,
                     const struct store_partition *p)
{
    const struct log_gap *gap = &p->gap[k];
    if (gap->from == gap->to)
        return;
    if (old->stored && gap->from < gap->to && gap->from != old->position.log[k].next &&
        gap->from != old->position.log[k].last_offset)
        fake_db_violated(db, "a gap does not begin at P");
    *FAKE_ADD(&db->now.gaps) = (struct fake_gap){p->partition, (enum event_kind)k, *gap};
    for (size_t i = 0; i < db->now.windows.n; i++)
        if (is_lossy_by(gap, db->now.windows.v[i].start_us))
            fake_db_mark_again(db, &db->now.windows.v[i]);
}

static void move_position(struct fake_db *db, int64_t token, const struct store_partition *p)
{
    struct fake_position *row = &db->now.position[p->partition];
    if (p->epoch != row->epoch || token != row->token)
        fake_db_violated(db, "a flush of an epoch that is not the row's was committed");
    if (p->flush_seq != row->flush_seq)
        fake_db_violated(db, "a flush was committed that was not begun from the last one");
    for (int k = 0; k < 2; k++) {
        const struct log_position *now = &p->position.log[k], *was = &row->position.log[k];
        bool cut = p->gap[k].from > p->gap[k].to; // the log was made anew or truncated
        note_gap(db, row, k, p);
        if (now->replay > now->next || now->last_offset >= now->next)
            fake_db_violated(db, "R, or the last record consumed, lies beyond P");
        if (row->stored && !cut &&
            (now->next < was->next || now->time_ms < was->time_ms || now->replay < was->replay))
            fake_db_violated(db, "P, R or a time went back");
    }
    row->position = p->position;
    row->stored = true;
    row->flush_seq++;
}

void fake_db_flush(struct fake_db *db, int64_t token, const struct store_partition *partitions,
                   size_t partition_count, const struct fake_cell *cells, size_t cell_count)
{
    for (size_t i = 0; i < cell_count; i++) {
        struct fake_row *row = row_for(db, cells[i].series, cells[i].window_start_us);
        facts_add(&row->facts, cells[i].facts);
        row->revision += row->flushed_by != db->commits + 1;
        row->flushed_by = db->commits + 1;
        fake_db_window(db, row->window_start_us)->changes++;
    }
    // Several cells may have gone to one row, so only now.
    for (size_t i = 0; i < cell_count && !db->may_lose_state; i++) {
        const struct facts *f = &row_for(db, cells[i].series, cells[i].window_start_us)->facts;
        if (f->responses + f->unanswered > f->requests)
            fake_db_violated(db, "in_flight is negative after a commit");
    }
    for (size_t i = 0; i < partition_count; i++)
        move_position(db, token, &partitions[i]);
    db->commits++;
}

// ---- windows ----

struct fake_window *fake_db_window(const struct fake_db *db, int64_t start_us)
{
    for (size_t i = 0; i < db->now.windows.n; i++)
        if (db->now.windows.v[i].start_us == start_us)
            return &db->now.windows.v[i];
    abort();
}

void fake_db_make_window(struct fake_db *db, int64_t start_us)
{
    for (size_t i = 0; i < db->now.windows.n; i++)
        if (db->now.windows.v[i].start_us == start_us)
            return;
    *FAKE_ADD(&db->now.windows) = (struct fake_window){.start_us = start_us,
                                                       .held_since_ms = TIME_NONE,
                                                       .looked_at_ms = TIME_NONE,
                                                       .due_at_ms = TIME_NONE};
}

struct closing_progress fake_db_progress(const struct fake_db *db)
{
    struct closing_progress p = {INT64_MAX, TIME_NONE};
    for (int i = 0; i < db->partitions; i++)
        for (int k = 0; k < 2; k++) {
            const struct fake_position *row = &db->now.position[i];
            int64_t time_ms = row->stored ? row->position.log[k].time_ms : TIME_NONE;
            p.through_ms = min_i64(p.through_ms, time_ms);
            p.lead_ms = max_i64(p.lead_ms, time_ms);
        }
    return p;
}

// What completeness means, said again: every partition has stored times past the window's end and
// grace.
static bool all_past(const struct fake_db *db, const struct fake_window *w, int64_t grace_ms)
{
    for (int p = 0; p < db->partitions; p++)
        for (int k = 0; k < 2; k++)
            if (!db->now.position[p].stored ||
                db->now.position[p].position.log[k].time_ms < w->start_us / 1000 + 60000 + grace_ms)
                return false;
    return true;
}

// One that was closed without some partitions is published again once it is complete.
static void close_window(struct fake_db *db, struct fake_window *w, bool complete, int64_t now_ms)
{
    if (complete && w->closed)
        fake_db_mark_again(db, w);
    if (!w->closed)
        w->closed_at_ms = now_ms;
    db->publishes += complete || !w->closed;
    w->closed = true;
    w->complete = complete;
}

bool fake_db_would_close(const struct fake_db *db, const struct closing_rule *rule, int64_t now_ms)
{
    struct closing_progress progress = fake_db_progress(db);
    for (size_t i = 0; i < db->now.windows.n; i++) {
        const struct fake_window *w = &db->now.windows.v[i];
        struct closing_window seen = {w->start_us, w->closed, w->held_since_ms};
        enum closing_verdict verdict = closing_judge(&seen, rule, &progress, now_ms);
        if (w->complete || verdict == CLOSING_OPEN)
            continue;
        if (verdict == CLOSING_COMPLETE || (verdict == CLOSING_PARTIAL && !w->closed) ||
            (verdict == CLOSING_HELD && !w->closed && w->held_since_ms == TIME_NONE))
            return true;
    }
    return false;
}

void fake_db_close(struct fake_db *db, const struct closing_rule *rule, int64_t now_ms)
{
    struct closing_progress progress = fake_db_progress(db);
    for (size_t i = 0; i < db->now.windows.n; i++) {
        struct fake_window *w = &db->now.windows.v[i];
        if (w->complete)
            continue;
        struct closing_window seen = {w->start_us, w->closed, w->held_since_ms};
        switch (closing_judge(&seen, rule, &progress, now_ms)) {
        case CLOSING_OPEN:
            break;
        case CLOSING_HELD:
            if (w->held_since_ms == TIME_NONE)
                w->held_since_ms = now_ms;
            break;
        case CLOSING_PARTIAL:
            if (now_ms - w->held_since_ms < rule->wait_ms)
                fake_db_violated(db, "a window was closed before others held it back long enough");
            close_window(db, w, false, now_ms);
            break;
        case CLOSING_COMPLETE:
            close_window(db, w, true, now_ms);
        }
        if (w->complete != all_past(db, w, rule->grace_ms))
            fake_db_violated(db, "a window is complete though not all are past it, or not though "
                                 "they are");
    }
}

// ---- settings ----

const struct fake_epoch *fake_db_newest(const struct fake_db *db)
{
    return &db->now.epochs.v[db->now.epochs.n - 1];
}

void fake_db_open_epoch(struct fake_db *db, const struct fake_epoch *e, int64_t from_ms)
{
    *FAKE_ADD(&db->now.epochs) = *e;
    for (int p = 0; p < db->partitions; p++) {
        struct fake_position *row = &db->now.position[p];
        struct settings *s = &row->settings;
        if (s->epochs[s->count - 1].from_ms == from_ms)
            s->count--; // replaced at the same instant: it holds for nothing
        assert(s->count < SETTINGS_EPOCHS_MAX);
        s->epochs[s->count++] =
            (struct settings_epoch){e->epoch, from_ms, e->ttl_ms, e->skew_ms, e->series_epoch};
        row->epoch++;
        row->token = 0;
    }
}

void fake_db_take_settings(struct fake_db *db, const struct fake_db *from)
{
    free(db->now.epochs.v);
    FAKE_COPY(&db->now.epochs, &from->now.epochs);
    for (int p = 0; p < db->partitions; p++)
        db->now.position[p].settings = from->now.position[p].settings;
}
