// SPDX-License-Identifier: Apache-2.0
// From selectors to metrics, series and blocks.
#include "metrics-api/prometheus/load_internal.h"

#include "common/core/timeunit.h"

#define RANGE_MAX_US (4000 * US_PER_DAY) // as /v1 has it

// Buckets that the histograms themselves can stand for: of one metric, and nothing is asked of the
// bound.
static const struct metric *only_buckets(const struct promql_select *s)
{
    const struct metric *only = NULL;
    if (selection_asks(s, STR_LIT("le")))
        return NULL;
    for (size_t i = 0; i < metric_count; i++) {
        if (!selection_metric(s, &metrics[i]))
            continue;
        if (only)
            return NULL;
        only = &metrics[i];
    }
    return only && only->source == METRIC_BUCKETS ? only : NULL;
}

static struct samples_need need_anywhere(const struct prom_load *l, const struct want *w)
{
    const struct promql_select *s = &l->spec.selects[w->select];
    // Which label sets there are: hours tell that as well as minutes do.
    if (l->spec.what != PROM_LOAD_SAMPLES) {
        int64_t to_us = l->names_to_us;
        return (struct samples_need){l->names_from_us, to_us, to_us};
    }
    bool minutes_alone = w->quantile != SIZE_MAX || w->metric->gauge;
    return samples_need(minutes_alone, s->from_ms, s->to_ms);
}

struct samples_need load_need(const struct prom_load *l, const struct want *w)
{
    struct samples_need need = need_anywhere(l, w);
    need.hours_from_us = max_i64(need.hours_from_us, l->names_from_us - US_PER_DAY);
    need.minutes_from_us = max_i64(need.minutes_from_us, l->names_from_us);
    need.to_us = min_i64(need.to_us, l->names_to_us);
    return need;
}

bool load_range(const struct prom_load *l, int64_t now_us, int64_t *from_us, int64_t *to_us)
{
    // What lies outside has no windows; and arithmetic stays far from its ends.
    int64_t low_us = time_floor_us(now_us - RANGE_MAX_US, US_PER_HOUR);
    int64_t high_us = time_floor_us(now_us, US_PER_HOUR) + 2 * US_PER_HOUR;
    *from_us = INT64_MAX;
    *to_us = INT64_MIN;
    for (size_t i = 0; i < l->spec.select_count; i++) {
        const struct promql_select *s = &l->spec.selects[i];
        int64_t from_ms = max_i64(s->from_ms, low_us / US_PER_MS);
        int64_t to_ms = min_i64(s->to_ms, high_us / US_PER_MS);
        if (from_ms > to_ms)
            continue;
        struct samples_need need = samples_need(false, from_ms, to_ms);
        *from_us = min_i64(*from_us, need.minutes_from_us);
        *to_us = max_i64(*to_us, need.to_us);
    }
    *from_us = max_i64(*from_us, low_us);
    *to_us = min_i64(time_floor_us(*to_us + US_PER_HOUR - 1, US_PER_HOUR), high_us);
    return *from_us < *to_us;
}

static size_t row_bytes(enum facts_group group)
{
    static const size_t bytes[] = {
        [FACTS_SUMS] = FACTS_SUM_COLUMNS * sizeof(int64_t),
        [FACTS_COSTS] = FACTS_COST_COLUMNS * sizeof(int64_t),
        [FACTS_OBJECTS] = 64,
        [FACTS_LATENCY] = 640, // of some 60 filled buckets
        [FACTS_TTFT] = 640,
    };
    return bytes[group];
}

static int too_much(struct prom_load *l)
{
    l->failure = PROM_EXECUTION;
    return err_set(&l->e,
                   "the query needs more series and hours than fit into %zu MiB: ask for fewer "
                   "series, or a shorter range",
                   l->loader->load_bytes >> 20);
}

static int no_buckets(struct prom_load *l)
{
    l->failure = PROM_EXECUTION;
    return err_set(&l->e,
                   "buckets are not kept by the hour, and these are of dropped minutes, or of "
                   "more than %d: ask for histogram_quantile(φ, sum by (le) (rate(…))), "
                   "for fewer series, or a shorter range",
                   LOAD_MINUTES);
}

// What of a series a want needs. A series has nothing before its first window; behind its last are
// minutes that have samples all the same, once it is known that they have no window.
static void need_series(struct prom_load *l, const struct want *w, uint32_t at,
                        const struct samples_need *need)
{
    const struct series_name *name = &l->names->series.v[at];
    enum facts_group group = w->metric->group;
    int64_t minutes_us = max_i64(need->minutes_from_us, min_i64(l->spread_us, need->to_us));
    // What begins with an hour may be one: of dropped minutes.
    int64_t last_length_us = name->last_us % US_PER_HOUR == 0 ? US_PER_HOUR : US_PER_MIN;
    int64_t last_us = name->last_us + last_length_us + SAMPLES_FILL_MINUTES * US_PER_MIN;
    // What its day has counted before, and then what stands for minutes.
    if (need->hours_from_us < need->minutes_from_us)
        need_add(&l->blocks, at, FACTS_HOURS, group, need->hours_from_us, need->minutes_from_us);
    int64_t from_us = max_i64(need->minutes_from_us, name->first_us);
    int64_t to_us = min_i64(minutes_us, last_us);
    if (from_us < to_us)
        need_add(&l->blocks, at, FACTS_HOURS, group, from_us, to_us);
    from_us = max_i64(minutes_us, name->first_us);
    to_us = min_i64(need->to_us, last_us);
    if (from_us < to_us)
        need_add(&l->blocks, at, FACTS_MINUTES, group, from_us, to_us);
}

// Samples need facts, and so do variants that no table has.
static bool needs_facts(const struct prom_load *l, const struct metric *m)
{
    bool found = m->source == METRIC_ERRORS || m->source == METRIC_REASONS;
    switch (l->spec.what) {
    case PROM_LOAD_SAMPLES:
        return true;
    case PROM_LOAD_SERIES:
        return found;
    case PROM_LOAD_VALUES:
        return found && str_eq(str_of(m->label), l->spec.label);
    default:
        return false;
    }
}

static int need_want(struct prom_load *l, const struct want *w)
{
    struct samples_need need = load_need(l, w);
    bool buckets = w->metric->source == METRIC_BUCKETS && w->quantile == SIZE_MAX;
    if (buckets && need.minutes_from_us < l->spread_us)
        return no_buckets(l);
    if (load_expired(l))
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        size_t before = l->blocks.n;
        need_series(l, w, w->series[i], &need);
        for (size_t k = before; k < l->blocks.n; k++)
            l->blocks.bytes +=
                row_bytes(w->metric->group) *
                (l->blocks.v[k].unit == FACTS_HOURS ? FACTS_BLOCK_HOURS : FACTS_BLOCK_MINUTES);
        if (l->blocks.bytes > l->loader->load_bytes)
            return too_much(l);
    }
    return 0;
}

static void add_want(struct prom_load *l, const struct want *w)
{
    if ((l->want_count & (l->want_count - 1)) == 0) // full: sizes are powers of two
        l->wants = xrealloc(l->wants, (l->want_count ? 2 * l->want_count : 1) * sizeof(*l->wants));
    l->wants[l->want_count++] = *w;
}

static void plan_select(struct prom_load *l, size_t select)
{
    const struct promql_select *s = &l->spec.selects[select];
    const struct series_names *names = &l->names->series;
    struct str values[METRIC_LABELS];
    uint32_t *places = arena_array(&l->arena, names->n + 1, sizeof(*places));
    struct want w = {.select = select, .series = places, .quantile = SIZE_MAX};
    for (size_t i = 0; i < names->n; i++) {
        metric_label_values(names->v[i].tenant_id, names->v[i].route, names->v[i].model, values);
        if (selection_series(s, values))
            places[w.n++] = (uint32_t)i;
    }
    w.metric = only_buckets(s);
    for (size_t i = 0; w.metric && i < l->spec.quantile_count; i++) {
        w.quantile = i;
        if (l->spec.quantiles[i].select == select)
            add_want(l, &w);
    }
    if (w.metric && s->quantile != SIZE_MAX) // nobody else looks at the buckets
        return;
    w.quantile = SIZE_MAX;
    for (size_t i = 0; w.n > 0 && i < metric_count; i++) {
        w.metric = &metrics[i];
        if (selection_metric(s, w.metric))
            add_want(l, &w);
    }
}

// Minutes times series, about: of each group what the select needs that needs most of it.
static int64_t count_minutes(const struct prom_load *l)
{
    int64_t most[FACTS_GROUPS] = {0}, sum = 0;
    for (size_t i = 0; i < l->want_count; i++) {
        const struct want *w = &l->wants[i];
        struct samples_need need = load_need(l, w);
        int64_t from_us = max_i64(need.minutes_from_us, l->spread_us);
        int64_t minutes = from_us < need.to_us ? (need.to_us - from_us) / US_PER_MIN : 0;
        int64_t *of = &most[w->metric->group];
        *of = max_i64(*of, minutes * (int64_t)w->n);
    }
    for (size_t i = 0; i < FACTS_GROUPS; i++)
        sum += most[i];
    return sum;
}

int load_plan(struct prom_load *l)
{
    if (l->names->series.more) {
        l->failure = PROM_EXECUTION;
        return err_set(&l->e,
                       "the query's range has more than %d series: ask for fewer routes, "
                       "models or tenants by =",
                       SERIES_NAMES_MAX);
    }
    l->want_count = 0;
    for (size_t i = 0; i < l->spec.select_count; i++) {
        if (load_expired(l))
            return -1;
        plan_select(l, i);
    }
    l->kept_from_us = l->loader->kept.minutes_from_us;
    l->spread_us = time_floor_us(max_i64(l->kept_from_us, 0), US_PER_HOUR);
    // The hours that windows may still be open of are read as minutes in any case.
    if (count_minutes(l) > LOAD_MINUTES)
        l->spread_us = time_floor_us(l->now_us, US_PER_HOUR) - US_PER_HOUR;
    for (size_t i = 0; i < l->want_count; i++)
        if (needs_facts(l, l->wants[i].metric) && need_want(l, &l->wants[i]) != 0)
            return -1;
    return 0;
}
