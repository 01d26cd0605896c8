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

static void compare_letters(const struct letters *l, const struct oracle *o, char *why, size_t n)
{
    for (size_t i = 0; i < l->n; i++)
        if (!holds_letter(o->letters, o->letter_count, &l->v[i]))
            say_letter(&l->v[i], "wrong", why, n);
    for (size_t i = 0; i < o->letter_count; i++)
        if (!holds_letter(l->v, l->n, &o->letters[i]))
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

// What is compared: a row, or all rows of a tenant and window.
struct group {
    struct oracle_sums sums;
    struct oracle_lines lines;
};

static bool is_of_row(const struct fake_row *row, const struct oracle_row *r, bool by_series)
{
    char tenant[16], route[16], model[16];
    snprintf(tenant, sizeof(tenant), "t%d", r->tenant);
    snprintf(route, sizeof(route), "r%d", r->route);
    snprintf(model, sizeof(model), "m%d", r->model);
    return row->window_start_us == r->window_start_us && strcmp(row->tenant, tenant) == 0 &&
           (!by_series || (strcmp(row->route, route) == 0 && strcmp(row->model, model) == 0));
}

static struct group found(const struct fake_db *db, const struct oracle_row *r, bool by_series)
{
    struct group g = {0};
    for (size_t i = 0; i < db->row_count; i++)
        if (is_of_row(&db->rows[i], r, by_series)) {
            struct oracle_sums sums = sums_of(&db->rows[i].facts);
            add_sums(&g.sums, &sums);
            add_lines_of(&g.lines, &db->rows[i].facts.usage);
        }
    return g;
}

static struct group wanted(const struct oracle *o, const struct oracle_row *r, bool by_series)
{
    struct group g = {0};
    for (size_t i = 0; i < o->row_count; i++) {
        const struct oracle_row *x = &o->rows[i];
        if (x->tenant != r->tenant || x->window_start_us != r->window_start_us ||
            (by_series && (x->route != r->route || x->model != r->model)))
            continue;
        add_sums(&g.sums, &x->sums);
        for (size_t k = 0; k < x->lines.n; k++)
            oracle_lines_add(&g.lines, &x->lines.v[k]);
    }
    return g;
}

static struct oracle_lines total_of(const struct oracle_lines *l)
{
    struct oracle_lines total = {0};
    for (size_t i = 0; i < l->n; i++)
        oracle_lines_add(&total, &(struct oracle_line){.usage = l->v[i].usage});
    return total;
}

// The group that r belongs to, summed on both sides. Which of several rows had no more room for a
// line is not known, so then the sums of their lines must do.
static void compare_group(const struct fake_db *db, const struct oracle *o,
                          const struct oracle_row *r, bool by_series, char *why, size_t n)
{
    struct group got = found(db, r, by_series), want = wanted(o, r, by_series);
    bool one_line = !by_series && want.lines.n > USAGE_LINES;
    struct oracle_lines fold = folded(&want.lines);
    struct oracle_lines a = total_of(&got.lines), b = total_of(&fold);
    const char *what = difference_of_sums(&got.sums, &want.sums);
    if (!what)
        what = difference_of_lines(&a, &b);
    if (!what && !one_line)
        what = difference_of_lines(&got.lines, &fold);
    if (what)
        snprintf(why, n, "tenant t%d route r%d model m%d window %lld: %s", r->tenant, r->route,
                 r->model, (long long)r->window_start_us, what);
    free(got.lines.v);
    free(want.lines.v);
    free(fold.v);
    free(a.v);
    free(b.v);
}

void compare(const struct fake_db *db, const struct letters *letters, const struct oracle *o,
             char *why, size_t n)
{
    bool by_series = true;
    int64_t got = 0, want = 0;
    for (size_t i = 0; i < db->series_count; i++)
        if (strcmp(db->series[i].route, SERIES_OTHER) == 0)
            by_series = false;
    compare_letters(letters, o, why, n);
    for (size_t i = 0; i < o->row_count; i++) {
        compare_group(db, o, &o->rows[i], by_series, why, n);
        want += o->rows[i].sums.requests;
    }
    for (size_t i = 0; i < db->row_count; i++) {
        const struct facts *f = &db->rows[i].facts;
        got += f->requests;
        if (f->responses + f->unanswered > f->requests)
            snprintf(why, n, "in_flight is negative");
    }
    if (got != want)
        snprintf(why, n, "%lld requests in all, want %lld", (long long)got, (long long)want);
}
