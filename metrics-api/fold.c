// SPDX-License-Identifier: Apache-2.0
// A chained hash table finds the cell of a row. Once there are `limit` cells, their array becomes a
// heap with the last place on top: a place behind it needs no cell, one before it takes its cell. A
// place that was given up never comes back, since the places before it only become more.
#include "metrics-api/fold.h"

#include <math.h>

#include "common/core/name_counts.h"

#define QUANTILES_MAX (FACT_QUANTILE_COUNT + PERCENTILES_MAX)

// Where each step has one row of a group, most memory would be counts of zero: the first encoding
// is decoded when there is a second.
struct fold_hist {
    struct hist sum; // but for `first`
    char *first;     // owned; NULL: none, or decoded
    size_t first_n;
};

struct fold_cell {
    struct fold_cell *next; // in its chain
    uint64_t hash;
    struct fold_place place; // names stand behind the struct
    struct fact_row sums;
    struct fold_hist latency, ttft;
    struct name_counts error_classes, finish_reasons;
    size_t bytes; // as far as fold_bytes() counts them
    char names[];
};

struct fold {
    struct fold_spec spec;
    struct fold_place after;
    char *after_names; // owned
    struct fold_cell **cells;
    size_t count, cap;
    bool heap; // count == limit, and cells is one
    bool more;
    struct fold_cell **chains;
    size_t chain_count; // a power of two
    size_t bytes;
    // The stored quantiles and those of spec, ascending, and where each goes.
    double q[QUANTILES_MAX];
    size_t q_slot[QUANTILES_MAX];
    size_t q_count;
    // Of fold_finish().
    struct cell *finished;
    double *percentiles_ms;
    struct buf texts;
};

// ---- places ----

static int compare_names(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    if (order != 0)
        return order;
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return (a.p != NULL) - (b.p != NULL);
}

int fold_place_compare(const struct fold_place *a, const struct fold_place *b, bool ascending)
{
    if (a->start_us != b->start_us)
        return (a->start_us < b->start_us) == ascending ? -1 : 1;
    int order = compare_names(a->tenant_id, b->tenant_id);
    if (order == 0)
        order = compare_names(a->route, b->route);
    return order != 0 ? order : compare_names(a->model, b->model);
}

static bool same_name(struct str a, struct str b)
{
    return str_eq(a, b) && !a.p == !b.p;
}

static bool same_place(const struct fold_place *a, const struct fold_place *b)
{
    return a->start_us == b->start_us && same_name(a->model, b->model) &&
           same_name(a->route, b->route) && same_name(a->tenant_id, b->tenant_id);
}

// Each name's hash is keyed, so that nobody can choose names whose sums meet.
static uint64_t place_hash(const struct fold *f, const struct fold_place *p)
{
    const struct str names[] = {p->tenant_id, p->route, p->model};
    uint64_t h = (uint64_t)p->start_us;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
        h += hash_keyed64(f->spec.hash_key, names[i].p, names[i].n);
    }
    return h ^ h >> 32;
}

static struct str copy_name(struct str name, char **to)
{
    if (!name.p)
        return name;
    struct str copy = {*to, name.n};
    memcpy(*to, name.p, name.n);
    *to += name.n;
    return copy;
}

static size_t names_length(const struct fold_place *p)
{
    return p->tenant_id.n + p->route.n + p->model.n;
}

static struct fold_place copy_place(const struct fold_place *p, char *names)
{
    return (struct fold_place){
        .start_us = p->start_us,
        .tenant_id = copy_name(p->tenant_id, &names),
        .route = copy_name(p->route, &names),
        .model = copy_name(p->model, &names),
    };
}

// ---- histograms ----

static void decode_first(struct fold_hist *h)
{
    if (h->first && hist_decode_add(&h->sum, h->first, h->first_n, NULL) < 0)
        abort(); // it was looked at
    free(h->first);
    h->first = NULL;
    h->first_n = 0;
}

static int add_hist(struct fold_hist *h, struct str hdr, const char *column, struct err *e)
{
    struct err why;
    if (!hdr.p)
        return 0;
    int rc;
    if (h->first) {
        rc = hist_decode_add(&h->sum, hdr.p, hdr.n, &why);
    } else if ((rc = hist_check(hdr.p, hdr.n, &why)) == 0) {
        h->first = xmemdup(hdr.p, hdr.n);
        h->first_n = hdr.n;
    }
    return rc == 0 ? 0 : err_field(e, column, why.offset, "%s", why.detail);
}

static size_t bytes_of_hist(const struct fold_hist *h)
{
    return hist_bytes(&h->sum) + h->first_n;
}

static void clear_hist(struct fold_hist *h)
{
    hist_clear(&h->sum);
    free(h->first);
    *h = (struct fold_hist){0};
}

// ---- cells ----

static size_t bytes_of(const struct fold *f, const struct fold_cell *c)
{
    size_t names = c->error_classes.n + c->finish_reasons.n;
    return sizeof(*c) + names_length(&c->place) + bytes_of_hist(&c->latency) +
           bytes_of_hist(&c->ttft) + names * sizeof(struct name_count) + sizeof(struct cell) +
           2 * f->spec.percentile_count * sizeof(double);
}

// Anew, after it has changed.
static void account(struct fold *f, struct fold_cell *c)
{
    f->bytes -= c->bytes;
    c->bytes = bytes_of(f, c);
    f->bytes += c->bytes;
}

static void free_cell(struct fold_cell *c)
{
    clear_hist(&c->latency);
    clear_hist(&c->ttft);
    name_counts_clear(&c->error_classes);
    name_counts_clear(&c->finish_reasons);
    free(c);
}

static struct fold_cell **chain_of(const struct fold *f, uint64_t hash)
{
    return &f->chains[hash & (f->chain_count - 1)];
}

static void link_cell(struct fold *f, struct fold_cell *c)
{
    struct fold_cell **chain = chain_of(f, c->hash);
    c->next = *chain;
    *chain = c;
}

static void unlink_cell(struct fold *f, struct fold_cell *c)
{
    struct fold_cell **at = chain_of(f, c->hash);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
}

static void grow_chains(struct fold *f)
{
    f->chain_count *= 2;
    free(f->chains);
    f->chains = xcalloc(f->chain_count, sizeof(struct fold_cell *));
    for (size_t i = 0; i < f->count; i++)
        link_cell(f, f->cells[i]);
}

static struct fold_cell *new_cell(struct fold *f, uint64_t hash, const struct fold_place *place)
{
    struct fold_cell *c = xcalloc(1, sizeof(*c) + names_length(place));
    c->hash = hash;
    c->place = copy_place(place, c->names);
    account(f, c);
    return c;
}

// ---- the first `limit` of them ----

static bool is_behind(const struct fold *f, const struct fold_place *a, const struct fold_place *b)
{
    return fold_place_compare(a, b, f->spec.ascending) > 0;
}

static void sift_down(struct fold *f, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < f->count; i = child) {
        if (child + 1 < f->count &&
            is_behind(f, &f->cells[child + 1]->place, &f->cells[child]->place))
            child++;
        if (!is_behind(f, &f->cells[child]->place, &f->cells[i]->place))
            return;
        struct fold_cell *c = f->cells[i];
        f->cells[i] = f->cells[child];
        f->cells[child] = c;
    }
}

static void make_heap(struct fold *f)
{
    for (size_t i = f->count / 2; i > 0; i--)
        sift_down(f, i - 1);
    f->heap = true;
}

static struct fold_cell *append_cell(struct fold *f, uint64_t hash, const struct fold_place *place)
{
    if (f->count == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 64;
        f->cells = xrealloc(f->cells, f->cap * sizeof(struct fold_cell *));
    }
    if (f->count == f->chain_count)
        grow_chains(f);
    return f->cells[f->count++] = new_cell(f, hash, place);
}

// NULL: the place is behind the first `limit`.
static struct fold_cell *make_cell(struct fold *f, uint64_t hash, const struct fold_place *place)
{
    struct fold_cell *c;
    if (f->count < f->spec.limit) {
        c = append_cell(f, hash, place);
    } else {
        f->more = true;
        if (!f->heap)
            make_heap(f);
        struct fold_cell *last = f->cells[0];
        if (is_behind(f, place, &last->place))
            return NULL;
        unlink_cell(f, last);
        f->bytes -= last->bytes;
        free_cell(last);
        c = f->cells[0] = new_cell(f, hash, place);
        sift_down(f, 0);
    }
    link_cell(f, c);
    return c;
}

static struct fold_cell *find_cell(const struct fold *f, uint64_t hash,
                                   const struct fold_place *place)
{
    struct fold_cell *c = *chain_of(f, hash);
    while (c && (c->hash != hash || !same_place(&c->place, place)))
        c = c->next;
    return c;
}

// ---- rows ----

static int add_names(struct name_counts *c, struct str json, const char *column, struct err *e)
{
    struct err why;
    if (!json.p || name_counts_from_json(c, json, &why) == 0)
        return 0;
    return err_field(e, column, -1, "%s", why.detail);
}

static void add_sums(struct fact_row *into, const struct fact_row *row)
{
#define ADD(name) into->name = add_sat_i64(into->name, row->name);
#define GREATEST(name) into->name = max_i64(into->name, row->name);
    FACT_SUMS(ADD)
    FACT_GREATEST(GREATEST)
#undef ADD
#undef GREATEST
#define ADD_COST(name) into->name = money_add(into->name, row->name);
    FACT_COSTS(ADD_COST)
#undef ADD_COST
    into->cost = money_add(into->cost, row->cost);
    into->reported_cost = money_add(into->reported_cost, row->reported_cost);
}

static int add_row(struct fold_cell *c, const struct fact_row *row, struct err *e)
{
    if (add_hist(&c->latency, row->latency_hdr, "latency_hdr", e) < 0 ||
        add_hist(&c->ttft, row->ttft_hdr, "ttft_hdr", e) < 0 ||
        add_names(&c->error_classes, row->error_classes, "error_classes", e) < 0 ||
        add_names(&c->finish_reasons, row->finish_reasons, "finish_reasons", e) < 0)
        return -1;
    add_sums(&c->sums, row);
    return 0;
}

int fold_add(struct fold *f, const struct fact_row *row, struct err *e)
{
    assert(!f->finished);
    struct fold_place place = {
        .start_us = steps_start_us(&f->spec.steps, row->window_start_us),
        .tenant_id = row->tenant_id,
        .route = row->route,
        .model = row->model,
    };
    if (f->spec.after && !is_behind(f, &place, &f->after))
        return 0;
    uint64_t hash = place_hash(f, &place);
    struct fold_cell *c = find_cell(f, hash, &place);
    if (!c && !(c = make_cell(f, hash, &place)))
        return 0;
    if (add_row(c, row, e) < 0)
        return -1;
    account(f, c);
    if (f->bytes > f->spec.max_bytes)
        return err_set(e, "the answer takes more than %zu bytes to compute", f->spec.max_bytes);
    return 0;
}

size_t fold_bytes(const struct fold *f)
{
    return f->bytes;
}

// ---- what comes out ----

static void sort_quantiles(struct fold *f)
{
    f->q_count = FACT_QUANTILE_COUNT + f->spec.percentile_count;
    for (size_t i = 0; i < f->q_count; i++) {
        double q = i < FACT_QUANTILE_COUNT ? fact_quantiles[i]
                                           : f->spec.percentiles[i - FACT_QUANTILE_COUNT].q;
        size_t at = i;
        for (; at > 0 && f->q[at - 1] > q; at--) {
            f->q[at] = f->q[at - 1];
            f->q_slot[at] = f->q_slot[at - 1];
        }
        f->q[at] = q;
        f->q_slot[at] = i;
    }
}

static void write_quantiles(const struct fold *f, const struct hist *h, int64_t *stored_us,
                            double *asked_ms)
{
    int64_t value_us[QUANTILES_MAX];
    hist_quantiles(h, f->q, f->q_count, value_us);
    for (size_t i = 0; i < f->q_count; i++) {
        size_t slot = f->q_slot[i];
        if (slot < FACT_QUANTILE_COUNT)
            stored_us[slot] = h->total ? value_us[i] : -1;
        else
            asked_ms[slot - FACT_QUANTILE_COUNT] = h->total ? (double)value_us[i] / 1000 : NAN;
    }
}

// Returns the histogram, or NULL where it was for its quantiles alone.
static const struct hist *finish_hist(const struct fold *f, struct fold_hist *h, int64_t sum_us,
                                      int64_t max_us, int64_t *stored_us, double *asked_ms)
{
    decode_first(h);
    h->sum.sum_us = sum_us;
    h->sum.max_us = max_us;
    write_quantiles(f, &h->sum, stored_us, asked_ms);
    if (f->spec.histograms)
        return &h->sum;
    hist_clear(&h->sum);
    return NULL;
}

// The object, but only its length: texts move while more are added.
static struct str add_object(struct fold *f, const struct name_counts *c)
{
    size_t before = f->texts.n;
    name_counts_to_json(c, &f->texts);
    return (struct str){NULL, f->texts.n - before};
}

static void finish_cell(struct fold *f, struct fold_cell *c, double *percentiles_ms,
                        struct cell *out)
{
    struct fact_row *row = &out->row;
    *row = c->sums;
    row->tenant_id = c->place.tenant_id;
    row->route = c->place.route;
    row->model = c->place.model;
    row->window_start_us = c->place.start_us;
    row->window_end_us = steps_end_us(&f->spec.steps, c->place.start_us);
    double *ttft_ms = percentiles_ms + f->spec.percentile_count;
    out->latency_ms = percentiles_ms;
    out->ttft_ms = ttft_ms;
    out->latency = finish_hist(f, &c->latency, row->latency_sum_us, row->latency_max_us,
                               row->latency_us, percentiles_ms);
    out->ttft = finish_hist(f, &c->ttft, row->ttft_sum_us, row->ttft_max_us, row->ttft_us, ttft_ms);
    row->error_classes = add_object(f, &c->error_classes);
    row->finish_reasons = add_object(f, &c->finish_reasons);
    account(f, c);
}

static void place_texts(struct fold *f)
{
    const char *at = f->texts.p;
    for (size_t i = 0; i < f->count; i++) {
        struct fact_row *row = &f->finished[i].row;
        row->error_classes.p = at;
        row->finish_reasons.p = at + row->error_classes.n;
        at += row->error_classes.n + row->finish_reasons.n;
    }
}

static int compare_cells(const void *a, const void *b, void *ascending)
{
    const struct fold_cell *const *x = a, *const *y = b;
    return fold_place_compare(&(*x)->place, &(*y)->place, *(const bool *)ascending);
}

size_t fold_finish(struct fold *f, const struct cell **cells)
{
    assert(!f->finished);
    if (f->count > 0) // else cells is NULL
        qsort_r(f->cells, f->count, sizeof(f->cells[0]), compare_cells, &f->spec.ascending);
    size_t each = 2 * f->spec.percentile_count;
    f->finished = xcalloc(f->count + 1, sizeof(*f->finished));
    f->percentiles_ms = xcalloc(f->count * each + 1, sizeof(double));
    for (size_t i = 0; i < f->count; i++)
        finish_cell(f, f->cells[i], f->percentiles_ms + i * each, &f->finished[i]);
    place_texts(f);
    f->bytes += f->texts.n;
    *cells = f->finished;
    return f->count;
}

bool fold_more(const struct fold *f)
{
    return f->more;
}

// ---- life ----

struct fold *fold_new(const struct fold_spec *spec)
{
    assert(spec->limit > 0 && spec->percentile_count <= PERCENTILES_MAX);
    struct fold *f = xcalloc(1, sizeof(*f));
    f->spec = *spec;
    if (spec->after) {
        char *names = xmalloc(names_length(spec->after) + 1);
        f->after = copy_place(spec->after, names);
        f->after_names = names;
    }
    f->chain_count = 64;
    f->chains = xcalloc(f->chain_count, sizeof(struct fold_cell *));
    f->bytes = sizeof(*f);
    sort_quantiles(f);
    return f;
}

void fold_free(struct fold *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        free_cell(f->cells[i]);
    free(f->cells);
    free(f->chains);
    free(f->after_names);
    free(f->finished);
    free(f->percentiles_ms);
    buf_free(&f->texts);
    free(f);
}
