// SPDX-License-Identifier: Apache-2.0
// What a fact counts, by the metric's source.
#include "common/core/hist.h"
#include "common/core/name_counts.h"
#include "metrics-api/prometheus/samples_internal.h"
#include "metrics-api/promql/labels.h"

#define OTHER STR_LIT("__other__")

// ---- columns ------------------------------------------------------------------------------------

money fact_value(const struct metric *m, const struct fact *f)
{
    size_t columns = m->group == FACTS_COSTS ? FACTS_COST_COLUMNS : FACTS_SUM_COLUMNS;
    const int64_t *row = f->block->columns + f->row * columns;
    money value = 0;
    for (uint64_t bits = m->plus; bits; bits &= bits - 1)
        value += row[__builtin_ctzll(bits)];
    for (uint64_t bits = m->minus; bits; bits &= bits - 1)
        value -= row[__builtin_ctzll(bits)];
    return value;
}

// ---- buckets ------------------------------------------------------------------------------------

static void begin_buckets(struct counted *c, const struct fact_list *facts, struct arena *a,
                          struct arena *kept)
{
    size_t k = 0;
    while (k < facts->n &&
           (!facts->v[k].looked_at || facts->v[k].block->hists[facts->v[k].row].n == 0))
        k++;
    if (k == facts->n)
        return;
    const struct metric_bounds *bounds = metric_bounds(c->metric->group);
    c->n = bounds->n + 1;
    c->labels = arena_array(kept, c->n, sizeof(*c->labels));
    c->first = arena_array(a, c->n, sizeof(*c->first));
    c->limits = arena_array(a, c->n, sizeof(*c->limits));
    for (size_t i = 0; i < c->n; i++) {
        c->labels[i] = str_of(bounds->le[i]);
        c->first[i] = facts->v[k].start;
        c->limits[i] = i < bounds->n ? hist_index(bounds->upper_us[i]) : HIST_COUNTS;
    }
}

static void add_buckets(struct counted *c, const struct facts_hist *h)
{
    money below = 0;
    size_t at = 0;
    for (size_t i = 0; i < c->n; i++) {
        while (at < h->n && h->index[at] <= c->limits[i])
            below += h->count[at++];
        c->sum[i] += below;
    }
}

// ---- names --------------------------------------------------------------------------------------

// Numbers are given to names as they come; a name that had to make room counts as the other one
// from then on, and what it had counted does.
#define OTHER_NUMBER 0
struct named {
    int64_t first;    // as in struct counted; INT64_MAX: not seen
    uint32_t variant; // in the end
    bool gone;
};
struct name_table {
    struct arena *a;
    struct named *v; // by number
    size_t n, cap;
    struct {
        struct str name;
        uint32_t number;
    } sorted[SAMPLES_NAMES_MAX];
    size_t names;
    bool full;                  // there were more
    struct named_count *counts; // `variant` is the number until the end
    size_t count_n, count_cap;
};

// Room for one more.
static void *grown(struct arena *a, void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    *cap = *cap ? 2 * *cap : 64;
    void *more = arena_array(a, *cap, size);
    if (n)
        memcpy(more, v, n * size);
    return more;
}

static uint32_t new_number(struct name_table *t)
{
    t->v = grown(t->a, t->v, t->n, &t->cap, sizeof(*t->v));
    t->v[t->n].first = INT64_MAX;
    return (uint32_t)t->n++;
}

// Where the name is, or would be.
static size_t name_place(const struct name_table *t, struct str name)
{
    size_t low = 0, high = t->names;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (str_compare(t->sorted[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

// The greatest name makes room.
static void drop_greatest(struct name_table *t)
{
    struct named *gone = &t->v[t->sorted[--t->names].number];
    struct named *other = &t->v[OTHER_NUMBER];
    gone->gone = true;
    other->first = min_i64(other->first, gone->first);
}

static uint32_t add_name(struct name_table *t, size_t place, struct str name)
{
    if (t->names == SAMPLES_NAMES_MAX) {
        if (place == t->names)
            return OTHER_NUMBER;
        drop_greatest(t);
    }
    uint32_t number = new_number(t);
    memmove(t->sorted + place + 1, t->sorted + place, (t->names - place) * sizeof(*t->sorted));
    t->sorted[place].name = arena_str(t->a, name);
    t->sorted[place].number = number;
    t->names++;
    return number;
}

// Of a fact that is not looked at a name that is not there is not counted: nothing shows it.
static void add_count(struct name_table *t, const struct fact *f, struct str name, int64_t count)
{
    uint32_t number = OTHER_NUMBER;
    if (!str_eq(name, OTHER)) {
        size_t place = name_place(t, name);
        if (place < t->names && str_eq(t->sorted[place].name, name))
            number = t->sorted[place].number;
        else if (f->looked_at)
            number = add_name(t, place, name);
        else
            return;
    }
    if (f->looked_at)
        t->v[number].first = min_i64(t->v[number].first, f->start);
    else if (t->v[number].first == INT64_MAX)
        return; // as above, the other one
    t->counts = grown(t->a, t->counts, t->count_n, &t->count_cap, sizeof(*t->counts));
    t->counts[t->count_n++] = (struct named_count){number, count};
}

static void read_names(struct name_table *t, enum metric_source source, const struct fact *f,
                       struct name_counts *scratch)
{
    struct str json = f->block->objects[2 * f->row + (source == METRIC_REASONS)];
    struct err e;
    scratch->n = 0;
    scratch->other = 0;
    if (json.n <= sizeof("{}") - 1 || name_counts_from_json(scratch, json, &e) < 0)
        return; // no names, or no such object, which our tables do not have
    for (size_t i = 0; i < scratch->n; i++)
        if (scratch->v[i].count > 0)
            add_count(t, f, str_of(scratch->v[i].name), scratch->v[i].count);
    if (scratch->other > 0)
        add_count(t, f, OTHER, scratch->other);
}

// Variants are the names in their order, the other one among them.
static void number_variants(struct counted *c, struct name_table *t, struct arena *a,
                            struct arena *kept)
{
    bool other = t->v[OTHER_NUMBER].first != INT64_MAX;
    size_t place = name_place(t, OTHER);
    c->n = t->names + other;
    c->labels = arena_array(kept, c->n, sizeof(*c->labels));
    c->first = arena_array(a, c->n, sizeof(*c->first));
    for (size_t i = 0; i < c->n; i++) {
        bool is_other = other && i == place;
        size_t from = i - (other && i > place);
        uint32_t number = is_other ? OTHER_NUMBER : t->sorted[from].number;
        c->labels[i] = arena_str(kept, is_other ? OTHER : t->sorted[from].name);
        c->first[i] = t->v[number].first;
        t->v[number].variant = (uint32_t)i;
    }
    for (size_t i = 0; i < t->count_n; i++) {
        const struct named *v = &t->v[t->counts[i].variant];
        t->counts[i].variant = v->gone ? t->v[OTHER_NUMBER].variant : v->variant;
    }
}

static void begin_names(struct counted *c, const struct fact_list *facts, struct arena *a,
                        struct arena *kept)
{
    struct name_table *t = arena_alloc(a, sizeof(*t));
    struct name_counts scratch = {0};
    t->a = a;
    new_number(t);
    c->named = arena_array(a, facts->n, sizeof(*c->named));
    // Those that are looked at come first: they say which names there are.
    for (int looked_at = 1; looked_at >= 0; looked_at--)
        for (size_t k = 0; k < facts->n; k++) {
            const struct fact *f = &facts->v[k];
            if (f->looked_at != looked_at)
                continue;
            c->named[k].at = t->count_n;
            read_names(t, c->metric->source, f, &scratch);
            c->named[k].n = t->count_n - c->named[k].at;
        }
    name_counts_clear(&scratch);
    number_variants(c, t, a, kept);
    c->counts = t->counts;
}

static void add_names(struct counted *c, size_t k)
{
    size_t at = c->named[k].at;
    for (size_t i = at; i < at + c->named[k].n; i++)
        c->sum[c->counts[i].variant] += c->counts[i].count;
}

// ---- all ----------------------------------------------------------------------------------------

void counted_begin(struct counted *c, const struct metric *m, const struct fact_list *facts,
                   struct arena *a, struct arena *kept)
{
    *c = (struct counted){.metric = m};
    switch (m->source) {
    case METRIC_COLUMNS:
        c->n = 1;
        c->first = arena_array(a, 1, sizeof(*c->first));
        c->first[0] = INT64_MIN;
        break;
    case METRIC_BUCKETS:
        begin_buckets(c, facts, a, kept);
        break;
    case METRIC_ERRORS:
    case METRIC_REASONS:
        begin_names(c, facts, a, kept);
        break;
    }
    c->sum = arena_array(a, c->n, sizeof(*c->sum));
}

void counted_add(struct counted *c, const struct fact_list *facts, size_t k)
{
    const struct fact *f = &facts->v[k];
    switch (c->metric->source) {
    case METRIC_COLUMNS:
        c->sum[0] += fact_value(c->metric, f);
        break;
    case METRIC_BUCKETS:
        if (c->n)
            add_buckets(c, &f->block->hists[f->row]);
        break;
    case METRIC_ERRORS:
    case METRIC_REASONS:
        add_names(c, k);
        break;
    }
}
