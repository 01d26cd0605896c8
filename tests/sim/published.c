// SPDX-License-Identifier: Apache-2.0
// What readers of llm.metrics get, against what was promised and what the database holds.
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>

struct reader {
    const struct world *w;
    const struct fake_publication **v; // owned; as they come
    size_t n;
    char *why;
    size_t why_n;
};

static void say(struct reader *r, const struct fake_publication *p, const char *what)
{
    if (!r->why[0])
        snprintf(r->why, r->why_n, "published %" PRId64 " (%s %s %s, window %" PRId64 "): %s",
                 p->seq, p->series.tenant, p->series.route, p->series.model, p->window_start_us,
                 what);
}

static bool is_same_row(const struct fake_publication *a, const struct fake_publication *b)
{
    return a->window_start_us == b->window_start_us &&
           strcmp(a->series.tenant, b->series.tenant) == 0 &&
           strcmp(a->series.route, b->series.route) == 0 &&
           strcmp(a->series.model, b->series.model) == 0;
}

// The last one before the n-th that is of the same row, NULL where that is the first.
static const struct fake_publication *before(const struct reader *r, size_t n)
{
    const struct fake_publication *p = r->v[n];
    while (n-- > 0)
        if (is_same_row(r->v[n], p))
            return r->v[n];
    return NULL;
}

static void read_all(struct reader *r)
{
    const struct coordinator *c = r->w->coordinator;
    struct coordinator_record x = {-1, 0, 0};
    r->v = xcalloc((size_t)coordinator_end(c, OUTLET_METRICS, READ_COMMITTED), sizeof(*r->v));
    while (coordinator_read(c, OUTLET_METRICS, READ_COMMITTED, x.offset + 1, &x)) {
        r->v[r->n] = &r->w->taken.v[x.value];
        if (r->v[r->n++]->seq != x.key)
            say(r, r->v[r->n - 1], "goes by another sequence than it was taken under");
    }
}

// Exactly once, in order and without a gap; where the database was set back at least in order.
static void check_sequence(struct reader *r, size_t n)
{
    int64_t last = n ? r->v[n - 1]->seq : 0;
    if (r->v[n]->seq <= last)
        say(r, r->v[n], "its sequence has come before");
    else if (r->v[n]->seq != last + 1 && r->w->db.restores == 0)
        say(r, r->v[n], "sequences are missing before it");
}

static void check_revision(struct reader *r, const struct fake_publication *p,
                           const struct fake_publication *old)
{
    if (p->restores != old->restores)
        return;
    if (p->revision < old->revision)
        say(r, p, "its revision is older than the one before");
    if (p->revision == old->revision && p->why != WHY_AGAIN)
        say(r, p, "a revision was published twice for no reason");
    if (p->why == WHY_CHANGED && !r->w->clocks_step &&
        p->at_ms - old->at_ms < r->w->publishing.again_ms)
        say(r, p, "comes too soon after the one before");
    // Itself it may be open again by the time that it was read afresh.
    if (p->why == WHY_SETTLED && old->settled)
        say(r, p, "is said to have settled, and had before");
}

static bool is_of(const struct fake_db *db, const struct fake_row *row,
                  const struct fake_publication *p)
{
    const struct fake_series *s = &db->now.series.v[row->series - 1];
    return row->window_start_us == p->window_start_us && strcmp(s->model, p->series.model) == 0 &&
           strcmp(s->route, p->series.route) == 0 && strcmp(s->tenant, p->series.tenant) == 0;
}

// The last record of a row is what the row is.
static void check_last(struct reader *r, const struct fake_publication *p,
                       const struct fake_publication *now)
{
#define DIFFERS(name)                                                                              \
    if (p->name != now->name)                                                                      \
        say(r, p, "the row has another " #name);
    DIFFERS(seq)
    DIFFERS(revision)
    DIFFERS(content)
    DIFFERS(late)
    DIFFERS(settled)
    DIFFERS(complete)
    DIFFERS(lossy)
#undef DIFFERS
}

static void check_rows(struct reader *r)
{
    const struct fake_db *db = &r->w->db;
    for (size_t i = 0; i < db->now.rows.n; i++) {
        const struct fake_row *row = &db->now.rows.v[i];
        size_t n = r->n;
        while (n > 0 && !is_of(db, row, r->v[n - 1]))
            n--;
        struct fake_publication now = fake_publication_of(db, row);
        bool is_closed = fake_db_window(db, row->window_start_us)->closed;
        if (n > 0 && is_closed)
            check_last(r, r->v[n - 1], &now);
        else if (is_closed)
            say(r, &now, "was never published");
        else if (n > 0 && db->restores == 0) // a backup opens windows again
            say(r, r->v[n - 1], "its window is not closed");
    }
    for (size_t n = 0; n < r->n; n++) {
        size_t i = 0;
        while (i < db->now.rows.n && !is_of(db, &db->now.rows.v[i], r->v[n]))
            i++;
        if (i == db->now.rows.n)
            say(r, r->v[n], "there is no such row");
    }
}

void check_published(const struct world *w, char *why, size_t why_n)
{
    struct reader r = {.w = w, .why = why, .why_n = why_n};
    read_all(&r);
    for (size_t n = 0; n < r.n; n++) {
        const struct fake_publication *old = before(&r, n);
        check_sequence(&r, n);
        if (old)
            check_revision(&r, r.v[n], old);
    }
    if (r.n && fake_outlet_last(w->coordinator) != r.v[r.n - 1]->seq)
        say(&r, r.v[r.n - 1], "is the last, but the progress is another");
    // What was counted by settings that a backup took away may be counted nowhere now, and what had
    // a series of its own as that of the others.
    if (w->db.restores == 0 || !(w->changing || fake_db_has_other(&w->db)))
        check_rows(&r);
    free(r.v);
}
