// SPDX-License-Identifier: Apache-2.0
// Against a naive fold: for each place all rows are looked through, and every value is recorded.
#include "metrics-api/fold.h"
#include "metrics-api/plan.h"

#include "common/core/name_counts.h"
#include "tests/sim/random.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

#define ROWS_MAX 400
#define VALUES_MAX 12
#define BASE (INT64_C(1795219200) * US_PER_S) // 2026-11-21T00:00:00Z
#define ALL_BYTES ((size_t)1 << 30)

// A row, and what was measured of it.
struct sample {
    struct fact_row row; // strings are owned by `texts`, hdr by the buffers
    int64_t latency_us[VALUES_MAX], ttft_us[VALUES_MAX];
    size_t latencies, ttfts;
    struct buf latency_hdr, ttft_hdr, error_classes, finish_reasons;
};

static struct sample samples[ROWS_MAX];
static size_t sample_count;
static struct hash_key key;
static struct err e;

static const struct percentile asked[] = {
    {.q = 0.999, .digits = "99.9"}, {.q = 0.1, .digits = "10"}, {.q = 1, .digits = "100"},
    {.q = 0.5, .digits = "50"},     {.q = 0, .digits = "0"},
};

static void make(void)
{
    hash_key_init(&key, "seed", 4);
    e = (struct err){.offset = -2};
    sample_count = 0;
}

static void clear(void)
{
    for (size_t i = 0; i < sample_count; i++) {
        buf_free(&samples[i].latency_hdr);
        buf_free(&samples[i].ttft_hdr);
        buf_free(&samples[i].error_classes);
        buf_free(&samples[i].finish_reasons);
    }
    sample_count = 0;
}

static struct str str_of_buf(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

// ---- rows ----

static size_t random_values(struct random *r, int64_t *values)
{
    size_t n = (size_t)random_below(r, VALUES_MAX + 1);
    for (size_t i = 0; i < n; i++)
        values[i] = random_below(r, 1 << (1 + random_below(r, 30)));
    return n;
}

static void measure(const int64_t *values, size_t n, int64_t *count, int64_t *sum_us,
                    int64_t *max_us, struct buf *hdr)
{
    struct hist h = {0};
    for (size_t i = 0; i < n; i++)
        hist_record(&h, values[i]);
    *count = h.total;
    *sum_us = h.sum_us;
    *max_us = h.max_us;
    if (n > 0)
        hist_encode(&h, hdr);
    hist_clear(&h);
}

static void random_counts(struct random *r, struct buf *out)
{
    static const char *const texts[] = {"{}", "{\"a\": 1}", "{\"b\": 2, \"a\": 30}",
                                        "{\"__other__\": 4}", "{\"\\u00fc\": 5, \"c\": 1}"};
    buf_adds(out, texts[random_below(r, ARRAY_LEN(texts))]);
}

// Of one of a few series, in a minute of the first `minutes`; by tells which names it has.
static void add_random(struct random *r, int minutes, unsigned by)
{
    static const char *const names[] = {"a", "b", "ab", "\xc3\xa9", "b,", "__other__"};
    struct sample *s = &samples[sample_count++];
    *s = (struct sample){0};
    struct fact_row *row = &s->row;
#define SET(name) row->name = random_below(r, 1000);
    FACT_SUMS(SET)
    FACT_GREATEST(SET)
#undef SET
    struct str name = str_of(names[random_below(r, 3)]);
    row->tenant_id = by & 1 ? name : (struct str){NULL, 0};
    name = str_of(names[random_below(r, ARRAY_LEN(names))]);
    row->route = by & 2 ? name : (struct str){NULL, 0};
    name = str_of(names[random_below(r, ARRAY_LEN(names))]);
    row->model = by & 4 ? name : (struct str){NULL, 0};
    row->window_start_us = BASE + random_below(r, minutes) * US_PER_MIN;
    row->window_end_us = row->window_start_us + US_PER_MIN;
#define SET(name) row->name = (money)(random_next(r) >> 1) - (int64_t)(random_next(r) >> 1);
    FACT_COSTS(SET)
#undef SET
    row->cost = (money)(random_next(r) >> 1) * 5;
    row->reported_cost = (money)(random_next(r) >> 40);
    s->latencies = random_values(r, s->latency_us);
    s->ttfts = random_values(r, s->ttft_us);
    measure(s->latency_us, s->latencies, &row->latency_count, &row->latency_sum_us,
            &row->latency_max_us, &s->latency_hdr);
    measure(s->ttft_us, s->ttfts, &row->ttft_count, &row->ttft_sum_us, &row->ttft_max_us,
            &s->ttft_hdr);
    random_counts(r, &s->error_classes);
    random_counts(r, &s->finish_reasons);
}

// Everything is copied: what was given is overwritten at once.
static int add_and_scribble(struct fold *f, const struct sample *s)
{
    struct str *strings[7], was[7];
    struct fact_row row = s->row;
    row.latency_hdr = str_of_buf(&s->latency_hdr);
    row.ttft_hdr = str_of_buf(&s->ttft_hdr);
    row.error_classes = str_of_buf(&s->error_classes);
    row.finish_reasons = str_of_buf(&s->finish_reasons);
    strings[0] = &row.tenant_id, strings[1] = &row.route, strings[2] = &row.model;
    strings[3] = &row.latency_hdr, strings[4] = &row.ttft_hdr;
    strings[5] = &row.error_classes, strings[6] = &row.finish_reasons;
    char room[8][4096];
    for (int i = 0; i < 7; i++) {
        was[i] = *strings[i];
        ck_assert_uint_le(was[i].n, sizeof(room[i]));
        if (was[i].p)
            *strings[i] = (struct str){memcpy(room[i], was[i].p, was[i].n), was[i].n};
    }
    int rc = fold_add(f, &row, &e);
    memset(room, 'x', sizeof(room));
    return rc;
}

static void add_all(struct fold *f)
{
    for (size_t i = 0; i < sample_count; i++)
        ck_assert_msg(add_and_scribble(f, &samples[i]) == 0, "%s: %s", e.field, e.detail);
}

static void shuffle(struct random *r)
{
    for (size_t i = sample_count; i > 1; i--) {
        size_t with = (size_t)random_below(r, (int)i);
        struct sample s = samples[i - 1];
        samples[i - 1] = samples[with];
        samples[with] = s;
    }
}

static struct fold_spec spec_of(int64_t minutes, int64_t step_us, bool ascending)
{
    return (struct fold_spec){
        .steps = {.from_us = BASE, .to_us = BASE + minutes * US_PER_MIN, .step_us = step_us},
        .ascending = ascending,
        .limit = 100000,
        .max_bytes = ALL_BYTES,
        .percentiles = asked,
        .percentile_count = ARRAY_LEN(asked),
        .hash_key = &key,
    };
}

// ---- the naive fold ----

static struct fold_place place_of(const struct fold_spec *spec, const struct fact_row *row)
{
    return (struct fold_place){
        .start_us = steps_start_us(&spec->steps, row->window_start_us),
        .tenant_id = row->tenant_id,
        .route = row->route,
        .model = row->model,
    };
}

static bool same_name(struct str a, struct str b)
{
    return !a.p == !b.p && str_eq(a, b);
}

static bool is_at(const struct fold_spec *spec, const struct fact_row *row,
                  const struct fold_place *place)
{
    struct fold_place at = place_of(spec, row);
    return at.start_us == place->start_us && same_name(at.tenant_id, place->tenant_id) &&
           same_name(at.route, place->route) && same_name(at.model, place->model);
}

// As strcmp() orders, which knows bytes; absent before all.
static int naive_order(struct str a, struct str b)
{
    char x[300] = "", y[300] = "";
    if (!a.p || !b.p)
        return (a.p != NULL) - (b.p != NULL);
    memcpy(x, a.p, a.n);
    memcpy(y, b.p, b.n);
    return strcmp(x, y);
}

static int naive_compare(const struct fold_place *a, const struct fold_place *b, bool ascending)
{
    if (a->start_us != b->start_us)
        return (a->start_us > b->start_us) == ascending ? 1 : -1;
    int order = naive_order(a->tenant_id, b->tenant_id);
    order = order ? order : naive_order(a->route, b->route);
    return order ? order : naive_order(a->model, b->model);
}

static void assert_same_hist(const struct hist *a, const struct hist *b)
{
    struct buf x = {0}, y = {0};
    hist_encode(a, &x);
    hist_encode(b, &y);
    ck_assert_uint_eq(x.n, y.n);
    ck_assert_mem_eq(x.p, y.p, x.n);
    ck_assert_int_eq(a->total, b->total);
    ck_assert_int_eq(a->sum_us, b->sum_us);
    ck_assert_int_eq(a->max_us, b->max_us);
    buf_free(&x);
    buf_free(&y);
}

// got: of the cell, NULL where it was not asked for.
static void assert_quantiles(const int64_t *values, size_t n, const int64_t *stored_us,
                             const double *asked_ms, const struct hist *got)
{
    struct hist h = {0};
    for (size_t i = 0; i < n; i++)
        hist_record(&h, values[i]);
    if (got)
        assert_same_hist(got, &h);
    for (int i = 0; i < FACT_QUANTILE_COUNT; i++)
        ck_assert_int_eq(stored_us[i], n ? hist_quantile(&h, fact_quantiles[i]) : -1);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        if (n)
            ck_assert(asked_ms[i] == (double)hist_quantile(&h, asked[i].q) / 1000);
        else
            ck_assert(isnan(asked_ms[i]));
    }
    hist_clear(&h);
}

static void assert_counts(struct str got, const struct name_counts *want)
{
    struct buf text = {0};
    name_counts_to_json(want, &text);
    ck_assert_uint_eq(got.n, text.n);
    ck_assert_mem_eq(got.p, text.p, text.n);
    buf_free(&text);
}

static void assert_cell(const struct fold_spec *spec, const struct cell *c)
{
    static int64_t latency_us[ROWS_MAX * VALUES_MAX], ttft_us[ROWS_MAX * VALUES_MAX];
    size_t latencies = 0, ttfts = 0;
    struct fact_row sum = {0};
    struct name_counts errors = {0}, reasons = {0};
    struct fold_place place = place_of(spec, &c->row);
    for (size_t i = 0; i < sample_count; i++) {
        const struct sample *s = &samples[i];
        if (!is_at(spec, &s->row, &place))
            continue;
#define ADD(name) sum.name += s->row.name;
#define GREATEST(name) sum.name = max_i64(sum.name, s->row.name);
        FACT_SUMS(ADD)
        FACT_COSTS(ADD)
        FACT_GREATEST(GREATEST)
#undef ADD
#undef GREATEST
        sum.cost += s->row.cost;
        sum.reported_cost += s->row.reported_cost;
        memcpy(latency_us + latencies, s->latency_us, s->latencies * sizeof(int64_t));
        memcpy(ttft_us + ttfts, s->ttft_us, s->ttfts * sizeof(int64_t));
        latencies += s->latencies;
        ttfts += s->ttfts;
        ck_assert_int_eq(name_counts_from_json(&errors, str_of_buf(&s->error_classes), &e), 0);
        ck_assert_int_eq(name_counts_from_json(&reasons, str_of_buf(&s->finish_reasons), &e), 0);
    }
#define EQUAL(name) ck_assert_int_eq(c->row.name, sum.name);
    FACT_SUMS(EQUAL)
    FACT_GREATEST(EQUAL)
#undef EQUAL
#define EQUAL(name) ck_assert(c->row.name == sum.name);
    FACT_COSTS(EQUAL)
#undef EQUAL
    ck_assert(c->row.cost == sum.cost && c->row.reported_cost == sum.reported_cost);
    ck_assert_int_eq(c->row.window_end_us, steps_end_us(&spec->steps, place.start_us));
    ck_assert(!c->latency == !spec->histograms && !c->ttft == !spec->histograms);
    assert_quantiles(latency_us, latencies, c->row.latency_us, c->latency_ms, c->latency);
    assert_quantiles(ttft_us, ttfts, c->row.ttft_us, c->ttft_ms, c->ttft);
    assert_counts(c->row.error_classes, &errors);
    assert_counts(c->row.finish_reasons, &reasons);
    name_counts_clear(&errors);
    name_counts_clear(&reasons);
}

static struct fold_place place_of_cell(const struct cell *c)
{
    return (struct fold_place){c->row.window_start_us, c->row.tenant_id, c->row.route,
                               c->row.model};
}

// All cells, each once and in order, and none that no row is in.
static void assert_folded(const struct fold_spec *spec, const struct cell *cells, size_t n)
{
    int64_t requests = 0, all_requests = 0;
    for (size_t i = 0; i < n; i++) {
        struct fold_place place = place_of_cell(&cells[i]);
        if (i > 0) {
            struct fold_place before = place_of_cell(&cells[i - 1]);
            ck_assert_int_lt(naive_compare(&before, &place, spec->ascending), 0);
        }
        assert_cell(spec, &cells[i]);
        requests += cells[i].row.requests;
    }
    for (size_t i = 0; i < sample_count; i++)
        all_requests += samples[i].row.requests;
    ck_assert_int_eq(requests, all_requests);
}

static int64_t random_step_us(struct random *r)
{
    static const int64_t steps_us[] = {0, US_PER_MIN, 7 * US_PER_MIN, US_PER_HOUR, US_PER_DAY};
    return steps_us[random_below(r, ARRAY_LEN(steps_us))];
}

START_TEST(each_cell_is_the_sum_of_its_rows_in_any_order)
{
    struct random r = {(uint64_t)_i};
    int minutes = 1 + random_below(&r, 300);
    unsigned by = (unsigned)random_below(&r, 8);
    for (int n = 1 + random_below(&r, 200); n > 0; n--)
        add_random(&r, minutes, by);
    struct fold_spec spec = spec_of(minutes, random_step_us(&r), random_chance(&r, 50));
    for (int round = 0; round < 2; round++) {
        spec.histograms = round > 0;
        struct fold *f = fold_new(&spec);
        const struct cell *cells;
        add_all(f);
        size_t n = fold_finish(f, &cells);
        assert_folded(&spec, cells, n);
        ck_assert(!fold_more(f));
        fold_free(f);
        shuffle(&r);
    }
}
END_TEST

// ---- pages ----

static void assert_same_cell(const struct cell *a, const struct cell *b)
{
    struct fold_place x = place_of_cell(a), y = place_of_cell(b);
    ck_assert_int_eq(naive_compare(&x, &y, true), 0);
#define EQUAL(name) ck_assert_int_eq(a->row.name, b->row.name);
    FACT_SUMS(EQUAL)
    FACT_GREATEST(EQUAL)
#undef EQUAL
#define EQUAL(name) ck_assert(a->row.name == b->row.name);
    FACT_COSTS(EQUAL)
#undef EQUAL
    ck_assert(a->row.cost == b->row.cost && a->row.reported_cost == b->row.reported_cost);
    ck_assert_mem_eq(a->row.latency_us, b->row.latency_us, sizeof(a->row.latency_us));
    ck_assert_mem_eq(a->row.ttft_us, b->row.ttft_us, sizeof(a->row.ttft_us));
    ck_assert_mem_eq(a->latency_ms, b->latency_ms, ARRAY_LEN(asked) * sizeof(double));
    ck_assert_mem_eq(a->ttft_ms, b->ttft_ms, ARRAY_LEN(asked) * sizeof(double));
    ck_assert(str_eq(a->row.error_classes, b->row.error_classes));
    ck_assert(str_eq(a->row.finish_reasons, b->row.finish_reasons));
}

START_TEST(pages_are_the_whole_list_cut_up)
{
    struct random r = {(uint64_t)_i + 1000};
    int minutes = 1 + random_below(&r, 300);
    unsigned by = (unsigned)random_below(&r, 8);
    for (int n = 1 + random_below(&r, 200); n > 0; n--)
        add_random(&r, minutes, by);
    struct fold_spec spec = spec_of(minutes, random_step_us(&r), random_chance(&r, 50));
    const struct cell *all, *page;
    struct fold *whole = fold_new(&spec), *f = NULL;
    add_all(whole);
    size_t count = fold_finish(whole, &all), at = 0;
    spec.limit = 1 + (size_t)random_below(&r, 40);
    struct fold_place after;
    do {
        shuffle(&r);
        struct fold *next = fold_new(&spec);
        memset(&after, 0, sizeof(after)); // it was copied
        fold_free(f);
        f = next;
        add_all(f);
        size_t n = fold_finish(f, &page);
        ck_assert_uint_eq(n, count - at < spec.limit ? count - at : spec.limit);
        for (size_t i = 0; i < n; i++)
            assert_same_cell(&page[i], &all[at + i]);
        at += n;
        ck_assert(fold_more(f) == (at < count));
        after = place_of_cell(&page[n - 1]);
        spec.after = &after;
    } while (at < count);
    struct fold *behind_all = fold_new(&spec);
    add_all(behind_all);
    ck_assert_uint_eq(fold_finish(behind_all, &page), 0);
    ck_assert(!fold_more(behind_all));
    fold_free(behind_all);
    fold_free(f);
    fold_free(whole);
}
END_TEST

// ---- hours and minutes ----

// The rows of whole hours, as the processor keeps them beside those of minutes: appended.
static void add_hours(const struct fold_spec *like)
{
    struct fold_spec spec = *like;
    const struct cell *cells;
    spec.histograms = true;
    spec.steps.step_us = US_PER_HOUR;
    spec.steps.from_us = time_floor_us(spec.steps.from_us, US_PER_HOUR);
    spec.steps.to_us = time_floor_us(spec.steps.to_us + US_PER_HOUR - 1, US_PER_HOUR);
    struct fold *f = fold_new(&spec);
    add_all(f);
    size_t n = fold_finish(f, &cells);
    static struct buf names; // of all tests
    buf_clear(&names);
    buf_reserve(&names, n * 100);
    for (size_t i = 0; i < n && sample_count < ROWS_MAX; i++) {
        struct sample *s = &samples[sample_count++];
        *s = (struct sample){.row = cells[i].row};
        struct str *const own[] = {&s->row.tenant_id, &s->row.route, &s->row.model};
        for (size_t k = 0; k < ARRAY_LEN(own); k++) {
            const char *copy = names.p + names.n;
            buf_add(&names, own[k]->p, own[k]->n);
            own[k]->p = own[k]->p ? copy : NULL;
        }
        hist_encode(cells[i].latency, &s->latency_hdr);
        hist_encode(cells[i].ttft, &s->ttft_hdr);
        buf_add(&s->error_classes, cells[i].row.error_classes.p, cells[i].row.error_classes.n);
        buf_add(&s->finish_reasons, cells[i].row.finish_reasons.p, cells[i].row.finish_reasons.n);
    }
    fold_free(f);
}

static bool is_in(const struct plan_span *v, size_t n, int64_t t_us)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].from_us <= t_us && t_us < v[i].to_us)
            return true;
    return false;
}

START_TEST(hours_and_minutes_give_what_minutes_give)
{
    struct random r = {(uint64_t)_i + 2000};
    int minutes = 400 + random_below(&r, 600);
    unsigned by = (unsigned)random_below(&r, 4); // so that hours have rows to sum
    for (int n = 100 + random_below(&r, 100); n > 0; n--)
        add_random(&r, minutes, by & 1);
    size_t minute_count = sample_count;
    struct fold_spec spec = spec_of(minutes, 0, random_chance(&r, 50));
    add_hours(&spec);
    spec.steps.from_us += random_below(&r, 100) * US_PER_MIN;
    spec.steps.to_us -= random_below(&r, 90) * US_PER_MIN;
    spec.steps.step_us = random_below(&r, 10) * 30 * US_PER_MIN;
    struct plan p = {0};
    ck_assert_int_eq(plan_make(&spec.steps, &(struct plan_kept){INT64_MIN, INT64_MIN}, &p, &e), 0);
    struct fold *planned = fold_new(&spec), *plain = fold_new(&spec);
    size_t hours = 0;
    for (size_t i = 0; i < sample_count; i++) {
        int64_t t_us = samples[i].row.window_start_us;
        bool is_hour = i >= minute_count;
        bool in_minutes =
            is_in(p.minutes, p.minute_count, t_us) || (p.has_tail && is_in(&p.tail, 1, t_us));
        hours += is_hour && is_in(p.hours, p.hour_count, t_us);
        if (is_hour ? is_in(p.hours, p.hour_count, t_us) : in_minutes)
            ck_assert_int_eq(add_and_scribble(planned, &samples[i]), 0);
        if (!is_hour && t_us >= spec.steps.from_us && t_us < spec.steps.to_us)
            ck_assert_int_eq(add_and_scribble(plain, &samples[i]), 0);
    }
    const struct cell *a, *b;
    size_t n = fold_finish(planned, &a);
    ck_assert_uint_eq(fold_finish(plain, &b), n);
    ck_assert(hours > 0 || spec.steps.step_us == 30 * US_PER_MIN);
    for (size_t i = 0; i < n; i++)
        assert_same_cell(&a[i], &b[i]);
    fold_free(planned);
    fold_free(plain);
    plan_clear(&p);
}
END_TEST

// ---- limits ----

START_TEST(sums_stay_at_their_greatest)
{
    struct fold_spec spec = spec_of(60, 0, true);
    struct fold *f = fold_new(&spec);
    struct fact_row row = {.window_start_us = BASE};
#define SET(name) row.name = INT64_MAX - 1;
    FACT_SUMS(SET)
#undef SET
#define SET(name) row.name = MONEY_MAX - 1;
    FACT_COSTS(SET)
#undef SET
    row.cost = row.reported_cost = MONEY_MAX - 1;
    ck_assert_int_eq(fold_add(f, &row, &e), 0);
    ck_assert_int_eq(fold_add(f, &row, &e), 0);
    const struct cell *cells;
    ck_assert_uint_eq(fold_finish(f, &cells), 1);
#define EQUAL(name) ck_assert_int_eq(cells[0].row.name, INT64_MAX);
    FACT_SUMS(EQUAL)
#undef EQUAL
#define EQUAL(name) ck_assert(cells[0].row.name == MONEY_MAX);
    FACT_COSTS(EQUAL)
#undef EQUAL
    ck_assert(cells[0].row.cost == MONEY_MAX && cells[0].row.reported_cost == MONEY_MAX);
    fold_free(f);
}
END_TEST

// A row's are int64s, of either sign; a year of rows is more.
START_TEST(sums_of_costs_go_beyond_64_bits)
{
    struct fold_spec spec = spec_of(60, 0, true);
    struct fold *f = fold_new(&spec);
    struct fact_row row = {.window_start_us = BASE};
#define SET(name) row.name = INT64_MAX;
    FACT_COSTS(SET)
#undef SET
    row.cache_savings = -INT64_MAX;
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(fold_add(f, &row, &e), 0);
    const struct cell *cells;
    ck_assert_uint_eq(fold_finish(f, &cells), 1);
    const money want = (money)INT64_MAX * 1000;
    ck_assert(cells[0].row.cache_savings == -want);
    row = cells[0].row;
    row.cache_savings = want;
#define EQUAL(name) ck_assert(row.name == want);
    FACT_COSTS(EQUAL)
#undef EQUAL
    fold_free(f);
}
END_TEST

START_TEST(names_are_told_apart_whatever_they_hold)
{
    static const struct {
        struct str tenant_id, route, model;
    } names[] = {
        // In their order.
        {{NULL, 0}, STR_LIT("a"), STR_LIT("b")},
        {STR_LIT(""), STR_LIT("a"), STR_LIT("b")},
        {STR_LIT("\0"), STR_LIT("a"), STR_LIT("b")},
        {STR_LIT("a"), STR_LIT("b"), {NULL, 0}},
        {STR_LIT("a"), STR_LIT("bc"), STR_LIT("d")},
        {STR_LIT("a"), STR_LIT("bcd"), STR_LIT("")},
        {STR_LIT("ab"), {NULL, 0}, STR_LIT("cd")},
        {STR_LIT("ab"), STR_LIT("c"), STR_LIT("d")},
        {STR_LIT("ab"), STR_LIT("cd"), {NULL, 0}},
        {STR_LIT("ab"), STR_LIT("cd"), STR_LIT("")},
        {STR_LIT("z"), STR_LIT("a"), STR_LIT("b")},
        {STR_LIT("\x7f"), STR_LIT("a"), STR_LIT("b")},
        {STR_LIT("\x80"), STR_LIT("a"), STR_LIT("b")},
        {STR_LIT("\xff"), STR_LIT("a"), STR_LIT("b")},
    };
    struct fold_spec spec = spec_of(60, 0, _i);
    struct fold *f = fold_new(&spec);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = ARRAY_LEN(names); i > 0; i--) {
            struct fact_row row = {.tenant_id = names[i - 1].tenant_id,
                                   .route = names[i - 1].route,
                                   .model = names[i - 1].model,
                                   .window_start_us = BASE,
                                   .requests = (int64_t)i};
            ck_assert_int_eq(fold_add(f, &row, &e), 0);
        }
    }
    const struct cell *cells;
    ck_assert_uint_eq(fold_finish(f, &cells), ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert_int_eq(cells[i].row.requests, 2 * (int64_t)(i + 1));
    fold_free(f);
}
END_TEST

static struct fact_row numbered_row(int number, char name[16])
{
    snprintf(name, 16, "m%07d", number);
    return (struct fact_row){.model = str_of(name), .window_start_us = BASE, .requests = number};
}

// The greatest, the smallest and random places first: what is kept is the same, in the same memory.
START_TEST(memory_is_that_of_the_cells_that_are_kept)
{
    enum { CELLS = 5000, LIMIT = 40 };
    struct fold_spec spec = spec_of(60, 0, true);
    struct hist h = {0};
    struct buf hdr = {0};
    for (int i = 0; i < 40; i++)
        hist_record(&h, 1 << i % 30);
    hist_encode(&h, &hdr);
    spec.limit = LIMIT;
    struct fold *f = fold_new(&spec);
    size_t most = 0;
    for (int i = 0; i < CELLS; i++) {
        char name[16];
        int number = _i == 0 ? i : _i == 1 ? CELLS - 1 - i : i * 2389 % CELLS;
        struct fact_row row = numbered_row(number, name);
        row.latency_hdr = row.ttft_hdr = str_of_buf(&hdr);
        row.error_classes = STR_LIT("{\"timeout\": 1}");
        ck_assert_int_eq(fold_add(f, &row, &e), 0);
        most = fold_bytes(f) > most ? fold_bytes(f) : most;
    }
    const struct cell *cells;
    ck_assert_uint_eq(fold_finish(f, &cells), LIMIT);
    ck_assert(fold_more(f));
    for (int i = 0; i < LIMIT; i++)
        ck_assert_int_eq(cells[i].row.requests, i);
    ck_assert_uint_le(most, LIMIT * 64 * 1024);
    fold_free(f);
    hist_clear(&h);
    buf_free(&hdr);
}
END_TEST

START_TEST(exactly_as_many_cells_as_asked_for_leave_nothing_behind)
{
    struct fold_spec spec = spec_of(60, 0, true);
    spec.limit = 10;
    struct fold *f = fold_new(&spec);
    char name[16];
    for (int i = 0; i < 20; i++) {
        struct fact_row row = numbered_row(i % 10, name);
        ck_assert_int_eq(fold_add(f, &row, &e), 0);
    }
    ck_assert(!fold_more(f));
    struct fact_row row = numbered_row(10, name);
    ck_assert_int_eq(fold_add(f, &row, &e), 0);
    ck_assert(fold_more(f));
    const struct cell *cells;
    ck_assert_uint_eq(fold_finish(f, &cells), 10);
    fold_free(f);
}
END_TEST

START_TEST(more_memory_than_allowed_is_an_error)
{
    struct fold_spec spec = spec_of(60, 0, true);
    spec.max_bytes = 100000;
    struct fold *f = fold_new(&spec);
    int rc = 0, i = 0;
    for (; rc == 0; i++) {
        char name[16];
        struct fact_row row = numbered_row(i, name);
        ck_assert_uint_le(fold_bytes(f), spec.max_bytes);
        rc = fold_add(f, &row, &e);
    }
    ck_assert_int_gt(i, 20);
    ck_assert_int_lt(i, 1000);
    ck_assert_str_eq(e.field, "");
    ck_assert_ptr_nonnull(strstr(e.detail, "100000"));
    fold_free(f);
}
END_TEST

START_TEST(nothing_gives_nothing)
{
    struct fold_spec spec = spec_of(60, 0, true);
    struct fold *f = fold_new(&spec);
    const struct cell *cells;
    ck_assert_uint_eq(fold_finish(f, &cells), 0);
    ck_assert(!fold_more(f));
    fold_free(f);
    fold_free(NULL);
}
END_TEST

START_TEST(what_cannot_be_understood_names_its_column)
{
    static const char *const columns[] = {"latency_hdr", "ttft_hdr", "error_classes",
                                          "finish_reasons"};
    struct fold_spec spec = spec_of(60, 0, true);
    struct fold *f = fold_new(&spec);
    struct fact_row row = {.window_start_us = BASE};
    struct str *const members[] = {&row.latency_hdr, &row.ttft_hdr, &row.error_classes,
                                   &row.finish_reasons};
    *members[_i] = STR_LIT("[1]");
    ck_assert_int_eq(fold_add(f, &row, &e), -1);
    ck_assert_str_eq(e.field, columns[_i]);
    ck_assert_str_ne(e.detail, "");
    fold_free(f);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("fold");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_loop_test(tc, each_cell_is_the_sum_of_its_rows_in_any_order, 0, 60);
    tcase_add_loop_test(tc, pages_are_the_whole_list_cut_up, 0, 100);
    tcase_add_loop_test(tc, hours_and_minutes_give_what_minutes_give, 0, 60);
    tcase_add_test(tc, sums_stay_at_their_greatest);
    tcase_add_test(tc, sums_of_costs_go_beyond_64_bits);
    tcase_add_loop_test(tc, names_are_told_apart_whatever_they_hold, 0, 2);
    tcase_add_loop_test(tc, memory_is_that_of_the_cells_that_are_kept, 0, 3);
    tcase_add_test(tc, exactly_as_many_cells_as_asked_for_leave_nothing_behind);
    tcase_add_test(tc, more_memory_than_allowed_is_an_error);
    tcase_add_test(tc, nothing_gives_nothing);
    tcase_add_loop_test(tc, what_cannot_be_understood_names_its_column, 0, 4);
    Suite *suite = suite_create("fold");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
