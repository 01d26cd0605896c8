// SPDX-License-Identifier: Apache-2.0
// CPU time of PromQL: 200 series over six hours, a sample a minute, evaluated each minute.
#include "tests/bench/bench.h"

#include "metrics-api/promql/promql.h"

#define SERIES 200
#define STEPS 360
#define BACK 10 // samples before the range
#define MIN_MS 60000
#define ROUNDS 20

static char names[SERIES][3][24];
static struct label labels[SERIES][4];
static struct promql_series series[SERIES];
static int64_t times[STEPS + BACK];
static double samples[SERIES][STEPS + BACK];

static void make_series(void)
{
    for (int i = 0; i < SERIES; i++) {
        static const char *const bounds[] = {"+Inf", "0.1", "0.5", "1", "10"};
        snprintf(names[i][0], sizeof(names[i][0]), "model-%03d", i / 5);
        snprintf(names[i][1], sizeof(names[i][1]), "/route-%d", i / 5 % 4);
        labels[i][0] = (struct label){LABELS_NAME, STR_LIT("x_bucket")};
        labels[i][1] = (struct label){STR_LIT("le"), str_of(bounds[i % 5])};
        labels[i][2] = (struct label){STR_LIT("model"), str_of(names[i][0])};
        labels[i][3] = (struct label){STR_LIT("route"), str_of(names[i][1])};
        series[i] = (struct promql_series){{labels[i], 4}, times, samples[i], STEPS + BACK};
        for (int j = 0; j < STEPS + BACK; j++) {
            times[j] = (int64_t)j * MIN_MS;
            samples[i][j] = (double)j * ((i + 4) % 5 + 1) * 7;
        }
    }
}

static void bench(const char *name, const char *text)
{
    static struct hash_key key;
    struct promql_when when = {.start_ms = BACK * MIN_MS, .step_ms = MIN_MS};
    struct promql_result result;
    struct promql_query *q;
    struct err e;
    size_t n;
    int64_t best_ns = INT64_MAX;
    when.end_ms = when.start_ms + (STEPS - 1) * MIN_MS;
    hash_key_init(&key, "bench", 5);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t before_ns = bench_cpu_ns();
        if (promql_parse(str_of(text), &promql_limits_default, &q, &e) != PROMQL_OK)
            abort();
        promql_selects(q, &when, &n);
        struct promql_series_set sets[2] = {{series, SERIES}, {series, SERIES}};
        struct promql_input input = {.sets = sets, .hash_key = &key};
        if (promql_eval(q, &when, &input, &promql_limits_default, &result, &e) != PROMQL_OK)
            abort();
        best_ns = min_i64(best_ns, bench_cpu_ns() - before_ns);
        n = result.n;
        promql_result_clear(&result);
        promql_free(q);
    }
    printf("%7.3f ms %6.1f ns a series and step, %3zu series: %s\n", (double)best_ns / 1e6,
           (double)best_ns / (SERIES * STEPS), n, text);
    bench_tell((double)best_ns / 1e6, "ms", SERIES * STEPS, "promql.%s", name);
}

int main(void)
{
    make_series();
    bench("sum", "sum(rate(x_bucket[5m]))");
    bench("sum_hour", "sum(rate(x_bucket[1h]))");
    bench("sum_by", "sum by (model) (rate(x_bucket[5m]))");
    bench("quantile", "histogram_quantile(0.95, sum by (le, model) (rate(x_bucket[5m])))");
    bench("series", "x_bucket");
    bench("binary", "x_bucket / on (model, le) x_bucket");
    bench("topk", "topk(5, increase(x_bucket[5m]))");
    bench("quantile_by", "quantile by (route) (0.9, x_bucket)");
    bench("over_time", "max_over_time(x_bucket[1h]) > 1000 or x_bucket");
    return 0;
}
