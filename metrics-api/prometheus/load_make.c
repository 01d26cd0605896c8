// SPDX-License-Identifier: Apache-2.0
// What was read becomes what was asked for: samples, percentiles, label sets.
#include "metrics-api/prometheus/load_internal.h"

#include "common/core/name_counts.h"
#include "common/core/timeunit.h"

#define FOUND_MAX 256 // error classes, or finish reasons, that are listed of a series

struct making {
    struct prom_load *l;
    struct arena *arena;  // of what is made
    struct arena scratch; // of the series at work
    int64_t through_us;
    const struct want *want; // at work
    struct promql_series *series;
    size_t n, room;
    size_t samples; // of all selects
    struct str *names;
    size_t name_count, name_room;
    size_t select_seen; // plus 1
};

// Windows that were open when a block of them was read are not shown, whatever blocks that were
// read later know of them; nor what closed after the names were read, which lack series that came
// later.
int64_t load_through(const struct prom_load *l)
{
    if (l->spec.open)
        return time_floor_us(l->now_us, US_PER_MIN) + US_PER_MIN;
    int64_t through_us = INT64_MAX;
    if (l->names && l->names->closed_through_us < l->names_to_us)
        through_us = l->names->closed_through_us;
    for (size_t i = 0; i < l->blocks.n; i++) {
        const struct need_block *b = &l->blocks.v[i];
        if (b->block && b->block->closed_through_us < b->to_us)
            through_us = min_i64(through_us, b->block->closed_through_us);
    }
    return through_us;
}

static int cannot(struct prom_load *l, const char *text)
{
    l->failure = PROM_EXECUTION;
    return err_set(&l->e, "%s", text);
}

// ---- labels -------------------------------------------------------------------------------------

static int by_name(const void *a, const void *b)
{
    return str_compare(((const struct label *)a)->name, ((const struct label *)b)->name);
}

// own: the value of the metric's own label, where it is not fixed.
static struct labels labels_of(struct arena *a, const struct metric *m,
                               const struct series_name *name, struct str own)
{
    struct str values[METRIC_LABELS];
    struct label *v = arena_array(a, METRIC_LABELS + 2, sizeof(*v));
    struct labels out = {v, 0};
    v[out.n++] = (struct label){LABELS_NAME, str_of(m->name)};
    metric_label_values(name->tenant_id, name->route, name->model, values);
    for (size_t i = 0; i < METRIC_LABELS; i++)
        if (values[i].n > 0)
            v[out.n++] = (struct label){metric_labels[i], arena_str(a, values[i])};
    if (m->label)
        v[out.n++] = (struct label){str_of(m->label), m->value ? str_of(m->value) : own};
    qsort(v, out.n, sizeof(*v), by_name);
    return out;
}

static size_t all_bounds(struct making *k, struct str **le)
{
    const struct metric_bounds *bounds = metric_bounds(k->want->metric->group);
    *le = arena_array(k->arena, bounds->n + 1, sizeof(**le));
    for (size_t i = 0; i <= bounds->n; i++)
        (*le)[i] = str_of(bounds->le[i]);
    return bounds->n + 1;
}

// ---- samples ------------------------------------------------------------------------------------

static bool wants_variant(void *arg, struct str label)
{
    const struct making *k = arg;
    return selection_variant(&k->l->spec.selects[k->want->select], k->want->metric, label);
}

static void add_series(struct making *k, const struct promql_series *s)
{
    if (k->n == k->room) {
        k->room = k->room ? 2 * k->room : 64;
        k->series = xrealloc(k->series, k->room * sizeof(*k->series));
    }
    k->series[k->n++] = *s;
}

static int make_series(struct making *k, uint32_t at)
{
    const struct prom_load *l = k->l;
    const struct metric *m = k->want->metric;
    const struct promql_select *s = &l->spec.selects[k->want->select];
    struct samples_need need = load_need(l, k->want);
    struct samples_spec spec = {
        .metric = m,
        .rows = need_rows(&l->blocks, at, m, &need, l->spread_us, &k->scratch),
        .from_ms = s->from_ms,
        .to_ms = s->to_ms,
        .through_us = k->through_us,
        .kept_from_us = l->loader->kept.hours_from_us,
    };
    struct samples *made;
    size_t n =
        samples_make(&spec, m->label && !m->value ? wants_variant : NULL, k, k->arena, &made);
    for (size_t i = 0; i < n; i++) {
        struct str own = arena_str(k->arena, made[i].label);
        struct labels labels = labels_of(k->arena, m, &l->names->series.v[at], own);
        struct promql_series series = {labels, made[i].t_ms, made[i].v, made[i].n};
        add_series(k, &series);
        k->samples += made[i].n;
    }
    arena_free(&k->scratch);
    if (k->samples > l->spec.samples_max)
        return cannot(k->l, "query processing would load too many samples into memory in query "
                            "execution");
    return 0;
}

static int by_labels(const void *a, const void *b)
{
    return labels_compare(((const struct promql_series *)a)->labels,
                          ((const struct promql_series *)b)->labels);
}

static int make_set(struct making *k, size_t select, struct promql_series_set *out)
{
    k->n = 0;
    for (size_t i = 0; i < k->l->want_count; i++) {
        k->want = &k->l->wants[i];
        if (k->want->select != select || k->want->quantile != SIZE_MAX)
            continue;
        for (size_t j = 0; j < k->want->n; j++)
            if (load_expired(k->l) || make_series(k, k->want->series[j]) != 0)
                return -1;
    }
    struct promql_series *v = arena_array(k->arena, k->n + 1, sizeof(*v));
    if (k->n > 0) {
        memcpy(v, k->series, k->n * sizeof(*v));
        qsort(v, k->n, sizeof(*v), by_labels);
    }
    *out = (struct promql_series_set){v, k->n};
    return 0;
}

// ---- percentiles --------------------------------------------------------------------------------

static struct labels group_of(struct arena *a, const struct promql_quantile *q, struct labels l)
{
    static const struct str not_of_groups[] = {{"__name__", 8}, {"le", 2}};
    l = labels_drop(a, l, not_of_groups, ARRAY_LEN(not_of_groups));
    if (q->grouping == PROMQL_BY)
        return labels_keep(a, l, q->labels, q->label_count);
    if (q->grouping == PROMQL_WITHOUT)
        return labels_drop(a, l, q->labels, q->label_count);
    return l;
}

static void make_quantile(struct making *k, struct prom_loaded *out)
{
    const struct prom_load *l = k->l;
    const struct want *w = k->want;
    const struct promql_quantile *q = &l->spec.quantiles[w->quantile];
    struct samples_need need = load_need(l, w);
    struct quantiles_series *v = arena_array(k->arena, w->n + 1, sizeof(*v));
    for (size_t i = 0; i < w->n; i++) {
        const struct series_name *name = &l->names->series.v[w->series[i]];
        struct labels labels = labels_of(k->arena, w->metric, name, STR_LIT(""));
        v[i].group = group_of(k->arena, q, labels);
        v[i].rows = need_rows(&l->blocks, w->series[i], w->metric, &need, l->spread_us, k->arena);
    }
    struct quantiles_spec spec = {l->spec.when, q->range_ms, q->offset_ms, k->through_us,
                                  l->loader->kept.hours_from_us};
    struct quantiles *made = quantiles_new(&spec, v, w->n, l->loader->merged);
    out->own->quantiles[w->quantile] = made;
    out->quantiles[w->quantile] = *quantiles_answer(made);
}

// ---- names in facts -----------------------------------------------------------------------------

static void add_found(struct str *names, size_t *n, struct arena *a, struct str name)
{
    for (size_t i = 0; i < *n; i++)
        if (str_eq(names[i], name))
            return;
    if (*n < FOUND_MAX)
        names[(*n)++] = arena_str(a, name);
}

static void find_in_row(struct str object, struct str *names, size_t *n, struct arena *a)
{
    struct name_counts counts = {0};
    struct err unused;
    if (object.n > 2 && name_counts_from_json(&counts, object, &unused) == 0) {
        for (size_t i = 0; i < counts.n; i++)
            add_found(names, n, a, str_of(counts.v[i].name));
        if (counts.other > 0)
            add_found(names, n, a, STR_LIT("__other__"));
    }
    name_counts_clear(&counts);
}

// Error classes or finish reasons of a series, as its hours have them.
static size_t find_variants(struct making *k, uint32_t at, struct str **names)
{
    struct prom_load *l = k->l;
    const struct metric *m = k->want->metric;
    struct samples_need need = load_need(l, k->want);
    struct facts_rows rows = need_rows(&l->blocks, at, m, &need, INT64_MIN, &l->arena);
    size_t n = 0, place = m->source == METRIC_ERRORS ? 0 : 1;
    *names = arena_array(&l->arena, FOUND_MAX, sizeof(**names));
    for (size_t i = 0; i < rows.hour_count; i++)
        for (size_t r = 0; r < rows.hours[i]->n; r++) {
            int64_t hour_us = rows.hours[i]->start_us + rows.hours[i]->place[r] * US_PER_HOUR;
            if (hour_us >= need.hours_from_us && hour_us < need.minutes_from_us)
                find_in_row(rows.hours[i]->objects[2 * r + place], *names, &n, k->arena);
        }
    return n;
}

// ---- label sets ---------------------------------------------------------------------------------

static int add_labels(struct making *k, struct prom_loaded *out, uint32_t at, struct str own)
{
    size_t most = k->l->spec.list_max;
    if (most > 0 && out->series_count == most)
        return 0;
    if (out->series_count == PROM_SERIES_LISTED)
        return cannot(k->l, "more series match than can be listed: match fewer metrics, or fewer "
                            "tenants, routes and models");
    out->series[out->series_count++] =
        labels_of(k->arena, k->want->metric, &k->l->names->series.v[at], own);
    return 0;
}

static int list_variants(struct making *k, uint32_t at, const struct str *names, size_t n,
                         struct prom_loaded *out)
{
    for (size_t i = 0; i < n; i++)
        if (wants_variant(k, names[i]) && add_labels(k, out, at, names[i]) != 0)
            return -1;
    return 0;
}

static int list_series(struct making *k, uint32_t at, struct prom_loaded *out)
{
    const struct metric *m = k->want->metric;
    struct str *found, none = {NULL, 0};
    if (m->source == METRIC_COLUMNS)
        return add_labels(k, out, at, none);
    size_t n = m->source == METRIC_BUCKETS ? all_bounds(k, &found) : find_variants(k, at, &found);
    return list_variants(k, at, found, n, out);
}

static int labels_by(const void *a, const void *b)
{
    return labels_compare(*(const struct labels *)a, *(const struct labels *)b);
}

static int make_list(struct making *k, struct prom_loaded *out)
{
    out->series = arena_array(k->arena, PROM_SERIES_LISTED, sizeof(*out->series));
    for (size_t i = 0; i < k->l->want_count; i++) {
        k->want = &k->l->wants[i];
        for (size_t j = 0; j < k->want->n; j++)
            if (list_series(k, k->want->series[j], out) != 0)
                return -1;
    }
    qsort(out->series, out->series_count, sizeof(*out->series), labels_by);
    size_t kept = 0;
    for (size_t i = 0; i < out->series_count; i++)
        if (i == 0 || labels_compare(out->series[kept - 1], out->series[i]) != 0)
            out->series[kept++] = out->series[i];
    out->series_count = kept;
    return 0;
}

// ---- labels and their values --------------------------------------------------------------------

static void add_name(struct making *k, struct str name)
{
    if (name.n == 0)
        return;
    if (k->name_count == k->name_room) {
        k->name_room = k->name_room ? 2 * k->name_room : 64;
        k->names = xrealloc(k->names, k->name_room * sizeof(*k->names));
    }
    k->names[k->name_count++] = name;
}

static int by_text(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

// Sorted, each once, in the arena.
static void names_end(struct making *k, struct prom_loaded *out)
{
    out->names = arena_array(k->arena, k->name_count + 1, sizeof(*out->names));
    if (k->name_count > 0)
        qsort(k->names, k->name_count, sizeof(*k->names), by_text);
    for (size_t i = 0; i < k->name_count; i++)
        if (i == 0 || !str_eq(k->names[i], k->names[i - 1]))
            out->names[out->name_count++] = arena_str(k->arena, k->names[i]);
    free(k->names);
}

static void add_values_of_series(struct making *k, size_t label)
{
    struct str values[METRIC_LABELS];
    for (size_t j = 0; j < k->want->n; j++) {
        const struct series_name *name = &k->l->names->series.v[k->want->series[j]];
        metric_label_values(name->tenant_id, name->route, name->model, values);
        add_name(k, values[label]);
    }
}

static void add_own_values(struct making *k)
{
    const struct metric *m = k->want->metric;
    struct str *found;
    if (m->value) {
        add_name(k, str_of(m->value));
        return;
    }
    for (size_t j = 0; j < k->want->n; j++) {
        bool buckets = m->source == METRIC_BUCKETS;
        size_t n = buckets ? all_bounds(k, &found) : find_variants(k, k->want->series[j], &found);
        for (size_t i = 0; i < n; i++)
            if (wants_variant(k, found[i]))
                add_name(k, found[i]);
        if (buckets) // of all series alike
            return;
    }
}

static void add_values(struct making *k, struct str label)
{
    const struct metric *m = k->want->metric;
    for (size_t i = 0; i < METRIC_LABELS; i++)
        // All metrics of a select are of the same series.
        if (str_eq(label, metric_labels[i]) && k->select_seen != k->want->select + 1)
            add_values_of_series(k, i);
    k->select_seen = k->want->select + 1;
    if (str_eq(label, LABELS_NAME))
        add_name(k, str_of(m->name));
    else if (m->label && str_eq(label, str_of(m->label)))
        add_own_values(k);
}

static void add_label_names(struct making *k)
{
    add_name(k, LABELS_NAME);
    for (size_t i = 0; i < METRIC_LABELS; i++)
        add_name(k, metric_labels[i]);
    add_name(k, str_of(k->want->metric->label));
}

static void make_names(struct making *k, struct prom_loaded *out)
{
    for (size_t i = 0; i < k->l->want_count; i++) {
        k->want = &k->l->wants[i];
        if (k->want->n > 0 && k->l->spec.what == PROM_LOAD_VALUES)
            add_values(k, k->l->spec.label);
        else if (k->want->n > 0)
            add_label_names(k);
    }
    names_end(k, out);
}

// ---- all ----------------------------------------------------------------------------------------

static int make_query(struct making *k, struct prom_loaded *out)
{
    struct prom_load *l = k->l;
    out->sets = arena_array(k->arena, l->spec.select_count + 1, sizeof(*out->sets));
    out->quantiles = arena_array(k->arena, l->spec.quantile_count + 1, sizeof(*out->quantiles));
    out->own->quantile_count = l->spec.quantile_count;
    out->own->quantiles = xcalloc(l->spec.quantile_count + 1, sizeof(*out->own->quantiles));
    for (size_t i = 0; i < l->want_count; i++) {
        k->want = &l->wants[i];
        out->by_the_hour |= load_need(l, k->want).minutes_from_us < l->spread_us;
        if (k->want->quantile != SIZE_MAX)
            make_quantile(k, out);
    }
    for (size_t i = 0; i < l->spec.select_count; i++)
        if (make_set(k, i, &out->sets[i]) != 0)
            return -1;
    if (l->spec.quantile_count > 0) {
        out->own->cache = l->loader->cache;
        out->own->blocks = l->blocks;
        l->blocks = (struct need_blocks){0};
    }
    return 0;
}

int load_make(struct prom_load *l, struct prom_loaded *out)
{
    *out = (struct prom_loaded){.own = xcalloc(1, sizeof(*out->own))};
    struct making k = {.l = l, .arena = &out->own->arena, .through_us = load_through(l)};
    int rc = 0;
    if (l->spec.what == PROM_LOAD_SAMPLES)
        rc = make_query(&k, out);
    else if (l->spec.what == PROM_LOAD_SERIES)
        rc = make_list(&k, out);
    else
        make_names(&k, out);
    free(k.series);
    return rc;
}

void prom_loaded_clear(struct prom_loaded *l)
{
    if (!l->own)
        return;
    for (size_t i = 0; i < l->own->quantile_count; i++)
        quantiles_free(l->own->quantiles[i]);
    free(l->own->quantiles);
    need_let_go(&l->own->blocks, l->own->cache);
    arena_free(&l->own->arena);
    free(l->own);
    *l = (struct prom_loaded){0};
}
