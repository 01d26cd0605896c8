// SPDX-License-Identifier: Apache-2.0
// Samples of random series, against README.md (Samples) read plainly: every sum is made anew from
// all windows. And those of a range against those of a greater one.
#include "tests/unit/samples_case.h"

#include <check.h>

#define DAY INT64_C(86400000)
#define MINUTE INT64_C(60000)
#define ROUNDS 600

static uint64_t state;

static uint64_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 11;
}

static int64_t random_below(int64_t n)
{
    return (int64_t)(random_bits() % (uint64_t)n);
}

// ---- plainly ------------------------------------------------------------------------------------

struct plain {
    int64_t t[20000];
    double v[20000];
    size_t n;
};

typedef int64_t (*count_of)(const struct row *row, const char *label);
static int64_t counts[2000]; // what each row of the series counts of the variant at hand

static int64_t day_of(int64_t t)
{
    return t / DAY; // none of ours is before 1970
}

static bool is_there(const struct samples_spec *spec, const struct row *row)
{
    return row->start_ms * 1000 >= spec->kept_from_us &&
           (row->start_ms + MINUTE) * 1000 <= spec->through_us;
}

static int64_t sum_at(const struct series *s, const struct samples_spec *spec, int64_t t)
{
    int64_t sum = 0;
    for (size_t i = 0; i < s->n; i++)
        if (is_there(spec, s->v[i]) && s->v[i]->start_ms + MINUTE <= t &&
            day_of(s->v[i]->start_ms) == day_of(t - 1))
            sum += counts[i];
    return sum;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void keep_each_once(struct plain *out)
{
    size_t n = 0;
    qsort(out->t, out->n, sizeof(int64_t), by_time);
    for (size_t i = 0; i < out->n; i++)
        if (n == 0 || out->t[n - 1] != out->t[i])
            out->t[n++] = out->t[i];
    out->n = n;
}

// first: where the variant begins; INT64_MAX: it is not there.
static void plain_counter(const struct series *s, const struct samples_spec *spec, int64_t first,
                          struct plain *out)
{
    out->n = 0;
    for (size_t i = 0; i < s->n; i++) {
        int64_t start = s->v[i]->start_ms;
        if (!is_there(spec, s->v[i]))
            continue;
        for (int minute = 0; minute <= 6; minute++)
            out->t[out->n++] = start + minute * MINUTE;
        int64_t after = sum_at(s, spec, start + MINUTE);
        int64_t before = sum_at(s, spec, start);
        if (start % DAY == 0 && before > 0 && after >= before)
            out->t[out->n++] = start + 1;
    }
    keep_each_once(out);
    size_t n = 0;
    for (size_t i = 0; i < out->n; i++) {
        int64_t t = out->t[i];
        if (t < first || t < spec->from_ms || t > spec->to_ms || t * 1000 > spec->through_us)
            continue;
        out->v[n] = (double)sum_at(s, spec, t);
        out->t[n++] = t;
    }
    out->n = n;
}

// The start of the first window that counts it, of those that are looked at.
static int64_t plain_first(const struct series *s, const struct samples_spec *spec, count_of count,
                           const char *label)
{
    for (size_t i = 0; i < s->n; i++)
        if (is_there(spec, s->v[i]) && s->v[i]->start_ms >= day_of(spec->from_ms - 1) * DAY &&
            s->v[i]->start_ms <= spec->to_ms && count(s->v[i], label) > 0)
            return s->v[i]->start_ms;
    return INT64_MAX;
}

static void plain_gauge(const struct series *s, const struct samples_spec *spec, struct plain *out)
{
    out->n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (is_there(spec, s->v[i])) {
            out->t[out->n++] = s->v[i]->start_ms + MINUTE;
            out->t[out->n++] = s->v[i]->start_ms + 2 * MINUTE;
        }
    keep_each_once(out);
    size_t n = 0;
    for (size_t i = 0; i < out->n; i++) {
        int64_t t = out->t[i];
        if (t < spec->from_ms || t > spec->to_ms || t * 1000 > spec->through_us)
            continue;
        out->v[n] = 0;
        for (size_t k = 0; k < s->n; k++)
            if (s->v[k]->start_ms + MINUTE == t)
                out->v[n] = (double)counts[k];
        out->t[n++] = t;
    }
    out->n = n;
}

// ---- random series ------------------------------------------------------------------------------

static const char *const names[] = {"__other__", "a", "b", "\xc3\xa9"};

static int64_t named_in(const struct row *row, const char *label)
{
    const char *at_name = row->error_classes ? strstr(row->error_classes, label) : NULL;
    return at_name ? strtoll(at_name + strlen(label) + 2, NULL, 10) : 0;
}

static int64_t requests_in(const struct row *row, const char *label)
{
    (void)label;
    return row->columns[FACTS_requests];
}

static int64_t output_in(const struct row *row, const char *label)
{
    (void)label;
    return row->columns[FACTS_completion_tokens] - row->columns[FACTS_reasoning_tokens];
}

static int64_t not_above(const struct row *row, const char *label)
{
    int64_t sum = 0;
    double le = strcmp(label, "+Inf") == 0 ? 1e9 : strtod(label, NULL);
    for (int i = 0; i < HIST_COUNTS; i++)
        if (row->hist[i] > 0 && (double)hist_lowest(i) <= le * 1e6 + 0.5)
            sum += row->hist[i];
    return sum;
}

static int64_t any_value(const struct row *row, const char *label)
{
    (void)label;
    return not_above(row, "+Inf");
}

static void fill_row(struct row *row, struct arena *a)
{
    struct buf json = {0};
    row->columns[FACTS_requests] = random_below(4);
    row->columns[FACTS_reasoning_tokens] = random_below(3);
    row->columns[FACTS_completion_tokens] = row->columns[FACTS_reasoning_tokens] + random_below(3);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (random_below(6) == 0)
            buf_addf(&json, "%s\"%s\": %d", json.n ? ", " : "{", names[i],
                     (int)random_below(3) + 1);
    if (json.n) {
        buf_addc(&json, '}');
        buf_addc(&json, '\0');
        row->error_classes = arena_str(a, (struct str){json.p, json.n}).p;
    }
    buf_free(&json);
    for (int64_t i = random_below(3); i > 0; i--)
        row->hist[hist_index(random_below(2) ? random_below(200000) : random_below(HIST_MAX_US))]++;
}

// Runs of minutes with gaps between, most of them around a midnight.
static void random_series(struct series *s, struct arena *a)
{
    int64_t t = random_below(3) ? at("1 22:00") + random_below(150) * MINUTE
                                : at("1 00:00") + random_below(1500) * MINUTE;
    for (int64_t runs = random_below(6); runs >= 0; runs--) {
        for (int64_t n = random_below(8); n >= 0; n--, t += MINUTE)
            fill_row(series_row(s, t), a);
        t += (random_below(4) ? random_below(9) : random_below(400)) * MINUTE;
        if (random_below(5) == 0)
            t = day_of(t + DAY) * DAY;
    }
}

// A time around the series, at or beside a minute.
static int64_t random_time(const struct series *s)
{
    int64_t t = random_below(3) == 0 ? day_of(s->v[s->n - 1]->start_ms) * DAY
                                     : s->v[random_below((int64_t)s->n)]->start_ms;
    t += (random_below(12) - 6) * MINUTE * (random_below(5) ? 1 : 60);
    return t + (random_below(2) ? 0 : random_below(5) - 2);
}

static void random_range(const struct series *s, struct samples_spec *spec)
{
    spec->from_ms = random_time(s);
    spec->to_ms = max_i64(random_time(s), spec->from_ms);
    spec->through_us = INT64_MAX;
    spec->kept_from_us = INT64_MIN;
    if (random_below(3) == 0)
        spec->through_us = random_time(s) / MINUTE * MINUTE * 1000;
    if (random_below(4) == 0)
        spec->kept_from_us = day_of(random_time(s)) * DAY * 1000;
}

// ---- the two compared ---------------------------------------------------------------------------

static void check_same(const struct samples *got, const struct plain *want)
{
    ck_assert_uint_eq(got->n, want->n);
    for (size_t i = 0; i < got->n; i++) {
        ck_assert_int_eq(got->t_ms[i], want->t[i]);
        ck_assert_double_eq(got->v[i], want->v[i]);
    }
}

static const struct tried {
    const char *metric, *value;
    count_of count, begins; // NULL: it is there all the time
} tries[] = {
    {"llm_requests_total", NULL, requests_in, NULL},
    {"llm_tokens_total", "output", output_in, NULL},
    {"llm_minute_requests", NULL, requests_in, NULL},
    {"llm_errors_total", NULL, named_in, named_in},
    {"gen_ai_client_operation_duration_seconds_bucket", NULL, not_above, any_value},
    {"gen_ai_server_time_to_first_token_seconds_bucket", NULL, not_above, any_value},
};

static size_t labels_of(const struct metric *m, const char *const **labels)
{
    static const char *const none[] = {""};
    const struct metric_bounds *bounds = metric_bounds(m->group);
    *labels = bounds ? bounds->le : m->source == METRIC_ERRORS ? names : none;
    return bounds ? bounds->n + 1 : m->source == METRIC_ERRORS ? ARRAY_LEN(names) : 1;
}

static void check_all(const struct series *s, const struct samples_spec *spec,
                      const struct tried *t, const struct samples *got, size_t n)
{
    static struct plain want;
    const char *const *labels;
    size_t count = labels_of(spec->metric, &labels), at_got = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < s->n; k++)
            counts[k] = t->count(s->v[k], labels[i]);
        if (spec->metric->gauge)
            plain_gauge(s, spec, &want);
        else
            plain_counter(
                s, spec, t->begins ? plain_first(s, spec, t->begins, labels[i]) : INT64_MIN, &want);
        if (want.n == 0)
            continue;
        ck_assert_uint_lt(at_got, n);
        ck_assert(str_eq(got[at_got].label, str_of(labels[i])));
        check_same(&got[at_got++], &want);
    }
    ck_assert_uint_eq(at_got, n);
}

// What the greater range has of a variant, from where the smaller one's begins.
static void check_cut(const struct samples_spec *spec, const struct samples *small,
                      const struct samples *great, size_t n)
{
    size_t i = 0, at_great = 0;
    while (i < n && !str_eq(great[i].label, small->label))
        i++;
    ck_assert_uint_lt(i, n);
    while (at_great < great[i].n && great[i].t_ms[at_great] < small->t_ms[0])
        at_great++;
    ck_assert(spec->metric->label || at_great == 0 || great[i].t_ms[at_great - 1] < spec->from_ms);
    for (size_t k = 0; k < small->n; k++, at_great++) {
        ck_assert_uint_lt(at_great, great[i].n);
        ck_assert_int_eq(small->t_ms[k], great[i].t_ms[at_great]);
        ck_assert_double_eq(small->v[k], great[i].v[at_great]);
    }
    ck_assert(at_great == great[i].n || great[i].t_ms[at_great] > spec->to_ms);
}

static void one_round(void)
{
    struct arena arena = {0};
    struct series series = {0};
    struct samples_spec spec = {0}, greater;
    random_series(&series, &arena);
    random_range(&series, &spec);
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        struct samples *small, *great;
        spec.metric = metric_named(tries[i].metric, tries[i].value);
        spec.rows = series_rows(&series, &spec, &arena);
        size_t n = samples_make(&spec, NULL, NULL, &arena, &small);
        check_all(&series, &spec, &tries[i], small, n);
        greater = spec;
        greater.from_ms -= random_below(2) ? random_below(3 * DAY) : random_below(3);
        greater.to_ms += random_below(2) ? random_below(DAY) : random_below(3);
        greater.rows = series_rows(&series, &greater, &arena);
        size_t m = samples_make(&greater, NULL, NULL, &arena, &great);
        for (size_t k = 0; k < n; k++)
            check_cut(&spec, &small[k], great, m);
    }
    series_clear(&series);
    arena_free(&arena);
}

START_TEST(samples_are_what_the_page_says)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        state = seed * UINT64_C(0x9e3779b97f4a7c15);
        one_round();
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prometheus_samples_random");
    TCase *t = tcase_create("random");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, samples_are_what_the_page_says);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
