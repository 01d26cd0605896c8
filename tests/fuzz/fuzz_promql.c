// SPDX-License-Identifier: Apache-2.0
// The input as a PromQL expression: a digit for when it is evaluated, then its text. What is taken
// prints in a way that parses to the same again, and is evaluated within its limits into series
// with labels of their own; what is refused says why, in UTF-8.
#include "tests/fuzz/fuzz.h"

#include "common/core/utf8.h"
#include "metrics-api/promql/promql.h"

#include <math.h>

#define SERIES 12
#define SAMPLES 30
#define MIN_MS 60000

static const struct promql_limits limits = {.query_bytes = 2000,
                                            .depth = 40,
                                            .selectors = 20,
                                            .names = 20,
                                            .regexes = 4,
                                            .steps = 20,
                                            .series = 50,
                                            .samples = 100000};

static struct label labels[SERIES][3];
static struct promql_series series[SERIES];
static int64_t times[SAMPLES];
static double samples[SERIES][SAMPLES];

// a, a_total and a_bucket, four each, with gaps, resets, markers and what is no number.
static void make_series(void)
{
    static const char *const names[] = {"a", "a_bucket", "a_total"},
                             *values[] = {"+Inf", "0.1", "1", "x"};
    for (int i = 0; i < SERIES; i++) {
        labels[i][0] = (struct label){LABELS_NAME, str_of(names[i / 4])};
        labels[i][1] = (struct label){STR_LIT("l"), str_of(i % 2 ? "v" : "w")};
        labels[i][2] = (struct label){STR_LIT("le"), str_of(values[i % 4])};
        series[i] =
            (struct promql_series){{labels[i], 3}, times, samples[i], SAMPLES - (size_t)i % 3};
        for (int j = 0; j < SAMPLES; j++) {
            times[j] = j * MIN_MS;
            samples[i][j] = j % 7 == i % 7 ? promql_stale() : (double)((i + 1) * (j % 11));
        }
    }
    samples[5][3] = NAN;
    samples[6][4] = INFINITY;
}

static bool expired(void *arg)
{
    return --*(int *)arg < 0;
}

static void check_text(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t step = utf8_sequence((const unsigned char *)s.p + i, s.n - i);
        FUZZ_CHECK(step > 0);
        i += step;
    }
}

static void check_refusal(enum promql_verdict verdict, const struct err *e)
{
    FUZZ_CHECK(e->detail[0] != '\0');
    FUZZ_CHECK((verdict == PROMQL_UNSUPPORTED) == (e->field[0] != '\0'));
    check_text(str_of(e->detail));
}

static void check_result(const struct promql_result *r, const struct promql_when *when)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct promql_points *p = &r->series[i];
        FUZZ_CHECK(p->n >= 1 && p->n <= (r->type == PROMQL_MATRIX ? SAMPLES + 0u : 1u));
        for (size_t j = 0; j < p->n; j++) {
            FUZZ_CHECK(!promql_is_stale(p->v[j]) && p->t_ms[j] <= when->end_ms + INT64_MAX / 8);
            FUZZ_CHECK(j == 0 || p->t_ms[j - 1] < p->t_ms[j]);
        }
        for (size_t j = 1; j < p->labels.n; j++)
            FUZZ_CHECK(str_compare(p->labels.v[j - 1].name, p->labels.v[j].name) < 0);
        for (size_t j = 0; j < p->labels.n; j++)
            FUZZ_CHECK(p->labels.v[j].value.n > 0);
        for (size_t j = 0; j < i; j++)
            FUZZ_CHECK(labels_compare(r->series[j].labels, p->labels) != 0);
        if (when->step_ms > 0 && i > 0)
            FUZZ_CHECK(labels_compare(r->series[i - 1].labels, p->labels) < 0);
    }
    for (size_t i = 0; i < r->warning_count; i++)
        check_text(r->warnings[i]);
    for (size_t i = 0; i < r->info_count; i++)
        check_text(r->infos[i]);
}

static void check_eval(struct promql_query *q, const struct promql_when *when)
{
    static struct hash_key key;
    static struct promql_series found[20][SERIES];
    struct promql_series_set sets[20];
    struct promql_result result;
    struct promql_limits until = limits;
    struct err e = {0};
    int left = 20000;
    size_t n;
    const struct promql_select *selects = promql_selects(q, when, &n);
    FUZZ_CHECK(n <= limits.selectors);
    hash_key_init(&key, "fuzz", 4);
    for (size_t i = 0; i < n; i++) {
        sets[i] = (struct promql_series_set){found[i], 0};
        FUZZ_CHECK(selects[i].from_ms <= selects[i].to_ms);
        for (size_t j = 0; j < SERIES; j++)
            if (matchers_match(selects[i].matchers, selects[i].matcher_count, series[j].labels))
                found[i][sets[i].n++] = series[j];
    }
    until.expired = expired;
    until.expired_arg = &left;
    struct promql_input input = {.sets = sets, .hash_key = &key};
    enum promql_verdict verdict = promql_eval(q, when, &input, &until, &result, &e);
    if (verdict == PROMQL_OK)
        check_result(&result, when);
    else
        check_refusal(verdict, &e);
    promql_result_clear(&result);
}

static void check_print(const struct promql_query *q)
{
    struct buf printed = {0}, again = {0};
    struct promql_query *other;
    struct promql_limits roomy = limits;
    struct err e;
    roomy.query_bytes = SIZE_MAX; // escapes take more room than what they stand for
    promql_print(q, &printed);
    FUZZ_CHECK(promql_parse((struct str){printed.p, printed.n}, &roomy, &other, &e) == PROMQL_OK);
    promql_print(other, &again);
    FUZZ_CHECK(str_eq((struct str){printed.p, printed.n}, (struct str){again.p, again.n}));
    FUZZ_CHECK(promql_type_of(q) == promql_type_of(other));
    promql_free(other);
    buf_free(&printed);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct promql_query *q;
    struct err e = {0};
    if (size < 1)
        return 0;
    struct promql_when when = {.start_ms = data[0] % 8 * MIN_MS,
                               .delayed_name_removal = data[0] & 8};
    bool range = data[0] & 16;
    when.end_ms = when.start_ms + (range ? 12 * MIN_MS : 0);
    when.step_ms = range ? MIN_MS : 0;
    make_series();
    struct str text = {(const char *)data + 1, size - 1};
    enum promql_verdict verdict = promql_parse(text, &limits, &q, &e);
    if (verdict == PROMQL_OK) {
        check_print(q);
        check_eval(q, &when);
    } else {
        check_refusal(verdict, &e);
    }
    promql_free(q);
    return 0;
}
