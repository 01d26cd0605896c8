// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/compare.h"

#include <stdio.h>

// ---- dead letters ----

void letters_add(struct letters *l, const struct oracle_letter *letter)
{
    l->v = xrealloc(l->v, (l->n + 1) * sizeof(*l->v));
    l->v[l->n++] = *letter;
}

void letters_free(struct letters *l)
{
    free(l->v);
}

static bool holds_letter(const struct oracle_letter *v, size_t n, const struct oracle_letter *x)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].topic == x->topic && v[i].partition == x->partition && v[i].offset == x->offset &&
            strcmp(v[i].reason, x->reason) == 0 && strcmp(v[i].tenant, x->tenant) == 0)
            return true;
    return false;
}

static void say_letter(const struct oracle_letter *l, const char *what, char *why, size_t n)
{
    snprintf(why, n, "dead letter %s of topic %d, partition %d, offset %lld, sender '%s' is %s",
             l->reason, l->topic, l->partition, (long long)l->offset, l->tenant, what);
}

static void compare_letters(const struct letters *l, const struct oracle *o,
                            const struct oracle *earlier, size_t versions, const enum trust *trust,
                            char *why, size_t n)
{
    for (size_t i = 0; i < l->n; i++) {
        bool right = trust[l->v[i].partition] != TRUST_ALL ||
                     holds_letter(o->letters, o->letter_count, &l->v[i]);
        for (size_t v = 0; v < versions && !right; v++)
            right = holds_letter(earlier[v].letters, earlier[v].letter_count, &l->v[i]);
        if (!right)
            say_letter(&l->v[i], "wrong", why, n);
    }
    for (size_t i = 0; i < o->letter_count; i++)
        if (trust[o->letters[i].partition] == TRUST_ALL &&
            !holds_letter(l->v, l->n, &o->letters[i]))
            say_letter(&o->letters[i], "missing", why, n);
}

// ---- sums ----

static int64_t count_of(const struct name_counts *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->v[i].name, name) == 0)
            return c->v[i].count;
    return 0;
}

static struct oracle_sums sums_of(const struct facts *f)
{
    return (struct oracle_sums){
        .requests = f->requests,
        .responses = f->responses,
        .unanswered = f->unanswered,
        .errors = f->errors,
        .without_latency = f->without_latency,
        .latency_count = f->latency.total,
        .latency_sum_us = f->latency.sum_us,
        .ttft_count = f->ttft.total,
        .ttft_sum_us = f->ttft.sum_us,
        .generation_us = f->generation_us,
        .generation_tokens = f->generation_tokens,
        .finish_stop = count_of(&f->finish_reasons, "stop"),
        .clamped_usage = f->clamped_usage,
        .reported_requests = f->reported_requests,
        .reported_pusd = (int64_t)f->reported_cost, // what the generator makes fits
        .latency_max_us = f->latency.max_us,
    };
}

static void add_sums(struct oracle_sums *into, const struct oracle_sums *r)
{
#define ADD(name) into->name += r->name;
    ORACLE_SUMS(ADD)
#undef ADD
    into->latency_max_us = max_i64(into->latency_max_us, r->latency_max_us);
}

static const char *difference_of_sums(const struct oracle_sums *a, const struct oracle_sums *b)
{
#define DIFFERS(name)                                                                              \
    if (a->name != b->name)                                                                        \
        return #name;
    ORACLE_SUMS(DIFFERS)
    DIFFERS(latency_max_us)
#undef DIFFERS
    return NULL;
}

// ---- usage lines ----

static struct oracle_usage usage_of(const struct usage *u)
{
    return (struct oracle_usage){
        .requests = u->requests,
        .prompt = u->uncached_prompt_tokens,
        .cached = u->cached_prompt_tokens,
        .written_5m = u->cache_write_5m_tokens,
        .written_1h = u->cache_write_1h_tokens,
        .completion = u->completion_tokens,
        .reasoning = u->reasoning_tokens,
    };
}

static void name_of(struct str s, char name[16])
{
    snprintf(name, 16, "%.*s", (int)s.n, s.p);
}

// Lines of a row; what had no room is the line without a model.
static void add_lines_of(struct oracle_lines *into, const struct usage_lines *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct usage_line *from = &l->v[i];
        struct oracle_line line = {.above = from->key.context_above, .usage = usage_of(&from->sum)};
        name_of(from->key.model, line.model);
        name_of(from->key.asked, line.asked);
        name_of(from->key.tier, line.tier);
        oracle_lines_add(into, &line);
    }
    struct oracle_line other = {.usage = usage_of(&l->other)};
    oracle_lines_add(into, &other);
}

static int by_key(const void *a, const void *b)
{
    const struct oracle_line *x = a, *y = b;
    int order = strcmp(x->model, y->model);
    order = order ? order : strcmp(x->asked, y->asked);
    order = order ? order : strcmp(x->tier, y->tier);
    return order ? order : (x->above > y->above) - (x->above < y->above);
}

static void sort_lines(struct oracle_lines *l)
{
    if (l->n)
        qsort(l->v, l->n, sizeof(*l->v), by_key);
}

// What a row with room for USAGE_LINES would hold of them: the first by key, and the sum of the
// rest, as the line without a model.
static struct oracle_lines folded(struct oracle_lines *l)
{
    struct oracle_lines kept = {0};
    struct oracle_line other = {0};
    oracle_lines_add(&kept, &other); // there even where it is zero
    size_t room = USAGE_LINES;
    sort_lines(l);
    for (size_t i = 0; i < l->n; i++) {
        struct oracle_line line = l->v[i];
        if (strcmp(line.model, USAGE_OTHER) == 0 || room == 0) {
            other.usage = line.usage;
            oracle_lines_add(&kept, &other);
        } else {
            room--;
            oracle_lines_add(&kept, &line);
        }
    }
    return kept;
}

static const char *difference_of_lines(struct oracle_lines *a, struct oracle_lines *b)
{
    if (a->n != b->n)
        return "the number of usage lines";
    sort_lines(a);
    sort_lines(b);
    for (size_t i = 0; i < a->n; i++) {
        if (by_key(&a->v[i], &b->v[i]) != 0)
            return "the key of a usage line";
#define DIFFERS(name)                                                                              \
    if (a->v[i].usage.name != b->v[i].usage.name)                                                  \
        return "a usage line's " #name;
        ORACLE_USAGE(DIFFERS)
#undef DIFFERS
    }
    return NULL;
}

// ---- rows ----

// What one row of the database must hold: the oracle's rows that belong to its series.
struct wanted {
    int series; // 0: of a name that the database never heard of
    int partition;
    int64_t window_start_us, request_records;
    struct oracle_sums sums;
    struct oracle_lines lines;
};

struct wanted_rows {
    struct wanted *v; // owned
    size_t n;
};

// What has no series is of some partition all the same, and may be trusted more or less.
static struct wanted *wanted_for(struct wanted_rows *w, int series, int partition,
                                 int64_t window_start_us)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].series == series && w->v[i].partition == partition &&
            w->v[i].window_start_us == window_start_us)
            return &w->v[i];
    w->v[w->n] = (struct wanted){series, partition, window_start_us, 0, {0}, {0}};
    return &w->v[w->n++];
}

static void want(struct wanted_rows *w, const struct fake_db *db, const struct oracle_row *r)
{
    char tenant[16], route[16], model[16];
    snprintf(tenant, sizeof(tenant), "t%d", r->tenant);
    snprintf(route, sizeof(route), "r%d", r->route);
    snprintf(model, sizeof(model), "m%d", r->model);
    int series = fake_db_series_of(db, tenant, route, model, r->series_epoch);
    struct wanted *x = wanted_for(w, series, r->tenant / 10, r->window_start_us);
    x->request_records += r->request_records;
    add_sums(&x->sums, &r->sums);
    for (size_t i = 0; i < r->lines.n; i++)
        oracle_lines_add(&x->lines, &r->lines.v[i]);
}

static struct wanted_rows want_all(const struct fake_db *db, const struct oracle *o)
{
    struct wanted_rows w = {xcalloc(o->row_count, sizeof(struct wanted)), 0};
    for (size_t i = 0; i < o->row_count; i++)
        if (o->rows[i].request_records)
            want(&w, db, &o->rows[i]);
    return w;
}

static void wanted_free(struct wanted_rows *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i].lines.v);
    free(w->v);
}

static const struct facts no_facts;

static const struct facts *facts_of(const struct fake_db *db, int series, int64_t window_start_us)
{
    for (size_t i = 0; i < db->now.rows.n; i++)
        if (db->now.rows.v[i].series == series &&
            db->now.rows.v[i].window_start_us == window_start_us)
            return &db->now.rows.v[i].facts;
    return &no_facts;
}

static const char *difference(const struct facts *f, struct wanted *w)
{
    struct oracle_sums sums = sums_of(f);
    const char *what = difference_of_sums(&sums, &w->sums);
    if (what)
        return what;
    struct oracle_lines got = {0}, fold = folded(&w->lines);
    add_lines_of(&got, &f->usage);
    what = difference_of_lines(&got, &fold);
    free(got.v);
    free(fold.v);
    return what;
}

// What must hold though records are gone that would be needed to tell more: a record that was
// counted was counted once, and none that nothing repeats was left out.
static const char *out_of_bounds(const struct facts *f, const struct wanted *w)
{
    return f->requests < w->sums.requests     ? "fewer requests than are distinct"
           : f->requests > w->request_records ? "more requests than records"
                                              : NULL;
}

static void say_row(const struct fake_db *db, int series, int64_t window_start_us, const char *what,
                    char *why, size_t n)
{
    static const struct fake_series nobody = {"?", "?", "?", 0};
    const struct fake_series *s = series ? &db->now.series.v[series - 1] : &nobody;
    snprintf(why, n, "tenant %s route %s model %s window %lld: %s", s->tenant, s->route, s->model,
             (long long)window_start_us, what);
}

static void compare_wanted(const struct fake_db *db, struct wanted_rows *w, const enum trust *trust,
                           bool all, char *why, size_t n)
{
    for (size_t i = 0; i < w->n; i++) {
        struct wanted *x = &w->v[i];
        const struct facts *f = facts_of(db, x->series, x->window_start_us);
        enum trust t = all ? TRUST_ALL : trust[x->partition];
        const char *what = t == TRUST_ALL      ? difference(f, x)
                           : t == TRUST_BOUNDS ? out_of_bounds(f, x)
                                               : NULL;
        if (what)
            say_row(db, x->series, x->window_start_us, what, why, n);
    }
}

// Nothing may stand there that no record asked for.
static void compare_found(const struct fake_db *db, const struct wanted_rows *w,
                          const enum trust *trust, bool all, char *why, size_t n)
{
    for (size_t i = 0; i < db->now.rows.n; i++) {
        const struct fake_row *row = &db->now.rows.v[i];
        size_t k = 0;
        while (k < w->n &&
               (w->v[k].series != row->series || w->v[k].window_start_us != row->window_start_us))
            k++;
        int partition = (int)strtol(db->now.series.v[row->series - 1].tenant + 1, NULL, 10) / 10;
        if (!all && trust[partition] == TRUST_LITTLE)
            continue;
        if (k == w->n)
            say_row(db, row->series, row->window_start_us, "no record belongs there", why, n);
        if (row->facts.responses + row->facts.unanswered > row->facts.requests)
            say_row(db, row->series, row->window_start_us, "in_flight is negative", why, n);
    }
}

void compare(const struct fake_db *db, const struct letters *letters, const struct oracle *o,
             const struct oracle *earlier, size_t versions, const enum trust *trust, char *why,
             size_t n)
{
    bool all = true;
    for (int p = 0; p < db->partitions; p++)
        all = all && trust[p] == TRUST_ALL;
    compare_letters(letters, o, earlier, versions, trust, why, n);
    struct wanted_rows w = want_all(db, o);
    compare_wanted(db, &w, trust, all, why, n);
    compare_found(db, &w, trust, all, why, n);
    wanted_free(&w);
}

// ---- two databases ----

static int series_named(const struct fake_db *db, const struct fake_series *s)
{
    for (size_t i = 0; i < db->now.series.n; i++)
        if (strcmp(db->now.series.v[i].tenant, s->tenant) == 0 &&
            strcmp(db->now.series.v[i].route, s->route) == 0 &&
            strcmp(db->now.series.v[i].model, s->model) == 0)
            return (int)i + 1;
    return 0;
}

static bool same_hist(const struct hist *a, const struct hist *b)
{
    struct hist_filled x[HIST_COUNTS + 1], y[HIST_COUNTS + 1];
    int n = hist_filled(a, x);
    if (n != hist_filled(b, y))
        return false;
    for (int i = 0; i < n; i++)
        if (x[i].index != y[i].index || x[i].count != y[i].count)
            return false;
    return a->total == b->total && a->clamped == b->clamped && a->sum_us == b->sum_us &&
           a->max_us == b->max_us;
}

static bool same_names(const struct name_counts *a, const struct name_counts *b)
{
    if (a->n != b->n || a->other != b->other)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].count != b->v[i].count || strcmp(a->v[i].name, b->v[i].name) != 0)
            return false;
    return true;
}

static bool same_facts(const struct facts *a, const struct facts *b)
{
#define DIFFERS(name)                                                                              \
    if (a->name != b->name)                                                                        \
        return false;
    FACTS_SUMS(DIFFERS)
#undef DIFFERS
    struct oracle_lines x = {0}, y = {0};
    add_lines_of(&x, &a->usage);
    add_lines_of(&y, &b->usage);
    bool same = !difference_of_lines(&x, &y);
    free(x.v);
    free(y.v);
    return same && a->reported_cost == b->reported_cost && same_hist(&a->latency, &b->latency) &&
           same_hist(&a->ttft, &b->ttft) && same_names(&a->error_classes, &b->error_classes) &&
           same_names(&a->finish_reasons, &b->finish_reasons);
}

void compare_rows(const struct fake_db *a, const struct fake_db *b, char *why, size_t n)
{
    if (a->now.rows.n != b->now.rows.n)
        snprintf(why, n, "%zu rows under one schedule, %zu under another", a->now.rows.n,
                 b->now.rows.n);
    for (size_t i = 0; i < a->now.rows.n; i++) {
        const struct fake_row *row = &a->now.rows.v[i];
        int series = series_named(b, &a->now.series.v[row->series - 1]);
        if (!same_facts(&row->facts, facts_of(b, series, row->window_start_us)))
            say_row(a, row->series, row->window_start_us, "differs under another schedule", why, n);
    }
}
