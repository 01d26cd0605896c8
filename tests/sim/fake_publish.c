// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fake_publish.h"

#include "common/core/hash.h"
#include "processor/window.h"

struct publish_store {
    struct fake_db *db;
    struct publications *taken;
    int64_t token;
    struct fuse *fuse;
};

struct publish_store *fake_publish_new(struct fake_db *db, struct publications *taken,
                                       int64_t token, struct fuse *fuse)
{
    struct publish_store *s = xcalloc(1, sizeof(*s));
    *s = (struct publish_store){db, taken, token, fuse};
    return s;
}

void fake_publish_free(struct publish_store *s)
{
    free(s);
}

// ---- what a row holds ----

static void mix(uint64_t *h, const void *p, size_t n)
{
    *h = *h * UINT64_C(0x9e3779b97f4a7c15) + hash_stable64(p, n);
}

static void mix_hist(uint64_t *h, const struct hist *x)
{
    struct hist_filled filled[HIST_COUNTS + 1];
    for (int i = hist_filled(x, filled) - 1; i >= 0; i--) {
        const int64_t bucket[] = {filled[i].index, filled[i].count};
        mix(h, bucket, sizeof(bucket));
    }
    const int64_t rest[] = {x->total, x->clamped, x->sum_us, x->max_us};
    mix(h, rest, sizeof(rest));
}

static void mix_names(uint64_t *h, const struct name_counts *c)
{
    for (size_t i = 0; i < c->n; i++) {
        mix(h, c->v[i].name, strlen(c->v[i].name));
        mix(h, &c->v[i].count, sizeof(c->v[i].count));
    }
    mix(h, &c->other, sizeof(c->other));
}

static uint64_t content_of(const struct facts *f)
{
    uint64_t h = 1;
#define MIX(name) mix(&h, &f->name, sizeof(f->name));
    FACTS_SUMS(MIX)
#undef MIX
    for (size_t i = 0; i < f->usage.n; i++)
        mix(&h, &f->usage.v[i].sum, sizeof(f->usage.v[i].sum));
    mix(&h, &f->usage.other, sizeof(f->usage.other));
    mix(&h, &f->reported_cost, sizeof(f->reported_cost));
    mix_hist(&h, &f->latency);
    mix_hist(&h, &f->ttft);
    mix_names(&h, &f->error_classes);
    mix_names(&h, &f->finish_reasons);
    return h;
}

static int64_t events_of(const struct facts *f)
{
    return f->requests + f->responses;
}

static bool is_settled(const struct fake_window *w, const struct facts *f)
{
    return w->closed && f->requests == f->responses + f->unanswered;
}

static const struct fake_window *window_of(const struct fake_db *db, const struct fake_row *row)
{
    return fake_db_window(db, row->window_start_us);
}

struct fake_publication fake_publication_of(const struct fake_db *db, const struct fake_row *row)
{
    const struct fake_window *w = window_of(db, row);
    return (struct fake_publication){
        .series = db->now.series.v[row->series - 1],
        .window_start_us = row->window_start_us,
        .seq = row->published.seq,
        .revision = row->revision,
        .at_ms = row->published.at_ms,
        .late = events_of(&row->facts) - row->published.first_events,
        .content = content_of(&row->facts),
        .settled = is_settled(w, &row->facts),
        .complete = w->complete,
        .lossy = fake_db_is_lossy(db, row->window_start_us),
        .why = row->published.why,
        .restores = db->restores,
    };
}

// ---- what is due ----

static enum fake_why why_due(const struct fake_window *w, const struct fake_row *row,
                             const struct publish_rule *rule, int64_t now_ms)
{
    const struct fake_published *p = &row->published;
    if (p->seq == 0)
        return WHY_FIRST;
    if (p->seq > w->again_above && p->seq <= w->again_to)
        return WHY_AGAIN;
    if (row->revision == p->revision)
        return WHY_NOT;
    if (is_settled(w, &row->facts) && !p->settled)
        return WHY_SETTLED;
    bool rested = now_ms - p->at_ms >= rule->again_ms || p->at_ms > now_ms;
    return rested ? WHY_CHANGED : WHY_NOT;
}

bool fake_publish_is_done(const struct fake_db *db)
{
    static const struct publish_rule at_once = {.again_ms = INT64_MIN};
    for (size_t i = 0; i < db->now.rows.n; i++) {
        const struct fake_row *row = &db->now.rows.v[i];
        const struct fake_window *w = window_of(db, row);
        if (w->closed && why_due(w, row, &at_once, 0))
            return false;
    }
    return true;
}

static bool is_to_be_looked_at(const struct fake_window *w, const struct publish_rule *rule,
                               int64_t now_ms)
{
    // What lies ahead is of a clock that was set back since.
    bool rested = w->looked_at_ms == TIME_NONE || w->looked_at_ms + rule->look_ms <= now_ms ||
                  w->looked_at_ms > now_ms;
    bool is_due = w->due_at_ms != TIME_NONE &&
                  (w->due_at_ms <= now_ms || w->due_at_ms > now_ms + rule->again_ms);
    return w->closed && ((w->changes > w->looked_changes && rested) || is_due);
}

struct take {
    int64_t progress, now_ms;
    struct publish_rule rule;
    // What comes of it:
    FAKE_ARRAY(fake_row *) chosen; // owned array of borrowed rows
    struct publish_batch *out;     // NULL: nobody hears of it
};

// After the last one, in order of series.
static struct fake_row *next_row(struct fake_db *db, int64_t window_start_us, int series)
{
    struct fake_row *next = NULL;
    for (size_t i = 0; i < db->now.rows.n; i++) {
        struct fake_row *row = &db->now.rows.v[i];
        if (row->window_start_us == window_start_us && row->series > series &&
            (!next || row->series < next->series))
            next = row;
    }
    return next;
}

static struct fake_window *next_window(struct fake_db *db, int64_t after_us)
{
    struct fake_window *next = NULL;
    for (size_t i = 0; i < db->now.windows.n; i++) {
        struct fake_window *w = &db->now.windows.v[i];
        if (w->start_us > after_us && (!next || w->start_us < next->start_us))
            next = w;
    }
    return next;
}

// False where the batch is full and rows of the window are left.
static bool look_through(struct fake_db *db, struct fake_window *w, struct take *t)
{
    int64_t due_at_ms = INT64_MAX;
    struct fake_row *row = next_row(db, w->start_us, 0);
    for (; row; row = next_row(db, w->start_us, row->series)) {
        enum fake_why why = why_due(w, row, &t->rule, t->now_ms);
        if (why && t->chosen.n == t->rule.batch_rows)
            return false;
        if (why) {
            row->published.why = why;
            *FAKE_ADD(&t->chosen) = row;
        } else if (row->revision != row->published.revision) {
            due_at_ms = min_i64(due_at_ms, row->published.at_ms + t->rule.again_ms);
        }
    }
    w->again_above = w->again_to = 0;
    w->looked_changes = w->changes;
    w->looked_at_ms = t->now_ms;
    w->due_at_ms = due_at_ms == INT64_MAX ? TIME_NONE : due_at_ms;
    db->publishes++;
    return true;
}

static bool choose_due(struct fake_db *db, struct take *t)
{
    struct fake_window *w = next_window(db, INT64_MIN);
    for (; w; w = next_window(db, w->start_us))
        if (is_to_be_looked_at(w, &t->rule, t->now_ms) && !look_through(db, w, t))
            return true;
    return false;
}

// Without a lock, and so without the fence.
static bool is_any_due(const struct fake_db *db, int64_t progress, const struct publish_rule *rule,
                       int64_t now_ms)
{
    if (db->now.last_seq != progress)
        return true;
    for (size_t i = 0; i < db->now.windows.n; i++)
        if (is_to_be_looked_at(&db->now.windows.v[i], rule, now_ms))
            return true;
    return false;
}

static bool choose_sequenced(struct fake_db *db, struct take *t)
{
    for (int64_t seq = db->now.batch_first_seq; seq <= db->now.last_seq; seq++)
        for (size_t i = 0; i < db->now.rows.n && seq > t->progress; i++)
            if (db->now.rows.v[i].published.seq == seq)
                *FAKE_ADD(&t->chosen) = &db->now.rows.v[i];
    return t->chosen.n > 0;
}

// ---- taking ----

// As it is now: of one that was sequenced before, too.
static void note_published(struct fake_db *db, struct fake_row *row, int64_t seq, int64_t now_ms)
{
    struct fake_published *p = &row->published;
    if (p->seq == 0)
        p->first_seq = seq;
    if (p->first_seq == seq)
        p->first_events = events_of(&row->facts);
    p->seq = seq;
    p->revision = row->revision;
    p->settled = is_settled(window_of(db, row), &row->facts);
    p->at_ms = now_ms;
    db->publishes++;
}

static void add_record(struct publish_batch *b, int64_t seq, int64_t due_ms, int64_t value)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 8;
        b->v = xrealloc(b->v, b->cap * sizeof(*b->v));
    }
    b->v[b->n++] = (struct publish_record){
        .seq = seq, .due_ms = due_ms, .value_at = b->bytes.n, .value_n = sizeof(value)};
    buf_add(&b->bytes, &value, sizeof(value));
}

int64_t fake_publish_value(const struct publish_batch *b, const struct publish_record *r)
{
    int64_t value;
    assert(r->value_n == sizeof(value) && r->value_at + r->value_n <= b->bytes.n);
    memcpy(&value, b->bytes.p + r->value_at, sizeof(value));
    return value;
}

// The database was set back: what it holds of the newest batch may not be what was sent.
static int64_t advance(struct fake_db *db, int64_t progress)
{
    struct fake_state *now = &db->now;
    int64_t from = now->last_seq;
    for (size_t i = 0; i < now->rows.n; i++)
        if (now->rows.v[i].published.seq >= now->batch_first_seq)
            fake_db_mark_again(db, fake_db_window(db, now->rows.v[i].window_start_us));
    now->last_seq = progress;
    now->batch_first_seq = progress + 1;
    return from;
}

static void take(struct fake_db *db, struct take *t, struct publications *taken)
{
    struct fake_state *now = &db->now;
    struct publish_batch said = {0};
    if (t->progress < now->batch_first_seq - 1)
        fake_db_violated(db, "the log lacks what was in it, or is not known");
    if (now->last_seq < t->progress) {
        said.advanced_from = max_i64(advance(db, t->progress), 1);
        if (db->restores == 0)
            fake_db_violated(db, "the log is ahead of the database");
    }
    said.resumed = choose_sequenced(db, t);
    said.more = said.resumed || choose_due(db, t);
    if (t->chosen.n && !said.resumed)
        now->batch_first_seq = now->last_seq + 1;
    for (size_t i = 0; i < t->chosen.n; i++) {
        struct fake_row *row = t->chosen.v[i];
        note_published(db, row, said.resumed ? row->published.seq : ++now->last_seq, t->now_ms);
        if (!t->out)
            continue;
        bool is_first = row->published.first_seq == row->published.seq;
        add_record(&said, row->published.seq, is_first ? window_of(db, row)->closed_at_ms : 0,
                   (int64_t)taken->n);
        *FAKE_ADD(taken) = fake_publication_of(db, row);
    }
    free(t->chosen.v);
    if (t->out)
        *t->out = said;
}

// ---- the seam ----

static bool reaches(struct publish_store *s, struct err *e)
{
    if (fuse_acts(s->fuse) && !random_chance(s->db->random, s->db->fault_percent))
        return true;
    err_set(e, "injected fault");
    return false;
}

// Lock and fence.
static enum store_result enter(struct publish_store *s, int64_t epoch, struct err *e)
{
    struct fake_db *db = s->db;
    if (db->locked_by[0]) {
        if (random_chance(db->random, 50))
            fake_store_end_silent(db, 0);
        return err_set(e, "lock timeout"), STORE_RETRY;
    }
    const struct fake_position *row = &db->now.position[0];
    if (row->epoch != epoch || row->token != s->token)
        return err_set(e, "another has it"), STORE_FENCED;
    return STORE_OK;
}

// Whether the answer to COMMIT is not heard: then it has landed, or has not, or does one of the two
// later.
static bool commit_is_lost(struct publish_store *s,
                           void (*landing)(struct fake_db *db, const void *arg), const void *arg,
                           size_t n, struct err *e)
{
    struct fake_db *db = s->db;
    enum lost_commit how = db->next_commit;
    db->next_commit = COMMIT_BY_CHANCE;
    if (how == COMMIT_BY_CHANCE && !random_chance(db->random, db->fault_percent))
        return false;
    bool lands =
        how == COMMIT_BY_CHANCE ? random_chance(db->random, 50) : how == COMMIT_LANDS_UNHEARD;
    if (random_chance(db->random, 50))
        fake_store_leave_in_doubt(db, lands, landing, arg, n);
    else if (lands)
        landing(db, arg);
    err_set(e, "the answer is lost");
    return true;
}

enum store_result publish_store_check(struct publish_store *s, int64_t epoch, struct err *e)
{
    return reaches(s, e) ? enter(s, epoch, e) : STORE_RETRY;
}

struct closing_now {
    struct closing_rule rule;
    int64_t now_ms;
};

static void land_close(struct fake_db *db, const void *arg)
{
    const struct closing_now *c = arg;
    fake_db_close(db, &c->rule, c->now_ms);
}

enum store_result publish_store_close(struct publish_store *s, int64_t epoch,
                                      const struct closing_rule *rule, int64_t now_ms,
                                      struct err *e)
{
    const struct closing_now c = {*rule, now_ms};
    if (!reaches(s, e))
        return STORE_RETRY;
    if (!fake_db_would_close(s->db, rule, now_ms))
        return STORE_OK;
    enum store_result rc = enter(s, epoch, e);
    if (rc != STORE_OK)
        return rc;
    if (commit_is_lost(s, land_close, &c, sizeof(c), e))
        return STORE_RETRY;
    fake_db_close(s->db, rule, now_ms);
    return STORE_OK;
}

static void land_take(struct fake_db *db, const void *arg)
{
    struct take t = *(const struct take *)arg;
    take(db, &t, NULL);
}

enum store_result publish_store_take(struct publish_store *s, int64_t epoch, int64_t progress,
                                     const struct publish_rule *rule, int64_t now_ms,
                                     struct publish_batch *out, struct err *e)
{
    struct take t = {.progress = progress, .now_ms = now_ms, .rule = *rule};
    if (!reaches(s, e))
        return STORE_RETRY;
    if (!is_any_due(s->db, progress, rule, now_ms))
        return STORE_OK;
    enum store_result rc = enter(s, epoch, e);
    if (rc != STORE_OK)
        return rc;
    if (commit_is_lost(s, land_take, &t, sizeof(t), e))
        return STORE_RETRY;
    t.out = out;
    take(s->db, &t, s->taken);
    return STORE_OK;
}
