// SPDX-License-Identifier: Apache-2.0
// CPU time of percentiles over time from merged histograms: 200 series over six hours, 60 filled
// buckets a minute, asked for each minute.
#include "tests/bench/bench.h"

#include "common/core/timeunit.h"
#include "metrics-api/prometheus/quantiles.h"
#include "tests/sim/random.h"

#define SERIES 200
#define BLOCKS 37
#define STEPS 360
#define FILLED 60
#define ROUNDS 15

static struct facts_block blocks[SERIES][BLOCKS];
static const struct facts_block *lists[SERIES][BLOCKS];
static struct facts_hist hists[SERIES][BLOCKS][FACTS_BLOCK_MINUTES];
static uint16_t indexes[SERIES][BLOCKS][FACTS_BLOCK_MINUTES][FILLED];
static int64_t counts[SERIES][BLOCKS][FACTS_BLOCK_MINUTES][FILLED];
static char names[SERIES][16];
static struct label labels[SERIES];
static struct quantiles_series series[SERIES];

static void fill(struct random *r, int s, int b)
{
    blocks[s][b] = (struct facts_block){.start_us = b * FACTS_BLOCK_MINUTES * US_PER_MIN,
                                        .serial = (uint64_t)s * BLOCKS + (uint64_t)b + 1,
                                        .n = FACTS_BLOCK_MINUTES,
                                        .hists = hists[s][b]};
    lists[s][b] = &blocks[s][b];
    for (int m = 0; m < FACTS_BLOCK_MINUTES; m++) {
        int index = 1200 + random_below(r, 200);
        blocks[s][b].place[m] = (uint8_t)m;
        hists[s][b][m] = (struct facts_hist){FILLED, indexes[s][b][m], counts[s][b][m]};
        for (int i = 0; i < FILLED; i++) {
            indexes[s][b][m][i] = (uint16_t)(index += 1 + random_below(r, 8));
            counts[s][b][m][i] = 1 + random_below(r, 5);
        }
    }
}

static void make_series(int groups)
{
    for (int i = 0; i < SERIES; i++) {
        snprintf(names[i], sizeof(names[i]), "model-%03d", i % groups);
        labels[i] = (struct label){STR_LIT("model"), str_of(names[i])};
        series[i] = (struct quantiles_series){{&labels[i], 1},
                                              {.minutes = lists[i], .minute_count = BLOCKS}};
    }
}

static void bench(int groups, int range_minutes, bool kept)
{
    struct hash_key key;
    hash_key_init(&key, "bench", 5);
    struct merged_cache *merged = merged_cache_new(kept ? 1 << 28 : 0, &key);
    struct quantiles_spec spec = {.when = {.start_ms = 10 * MS_PER_MIN, .step_ms = MS_PER_MIN},
                                  .range_ms = range_minutes * MS_PER_MIN,
                                  .through_us = INT64_MAX / US_PER_MIN * US_PER_MIN,
                                  .kept_from_us = INT64_MIN};
    int64_t best_ns = INT64_MAX;
    volatile double seen = 0;
    make_series(groups);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t before_ns = bench_cpu_ns();
        struct quantiles *q = quantiles_new(&spec, series, SERIES, merged);
        const struct promql_quantile_answer *a = quantiles_answer(q);
        for (size_t g = 0; g < a->group_count; g++)
            for (size_t step = 0; step < STEPS; step++)
                seen = seen + a->value(a->arg, g, step, 0.95);
        quantiles_free(q);
        best_ns = min_i64(best_ns, bench_cpu_ns() - before_ns);
    }
    merged_cache_free(merged);
    printf("%7.3f ms: %3d groups of %3d series, %d steps, of %2d minutes each%s\n",
           (double)best_ns / 1e6, groups, SERIES / groups, STEPS, range_minutes,
           kept ? ", summed before" : "");
    bench_tell((double)best_ns / 1e6, "ms", SERIES * STEPS, "quantiles.groups%d.minutes%d.%s",
               groups, range_minutes, kept ? "kept" : "anew");
}

int main(void)
{
    struct random r = {1};
    for (int s = 0; s < SERIES; s++)
        for (int b = 0; b < BLOCKS; b++)
            fill(&r, s, b);
    static const int groups[] = {1, 10, SERIES};
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        bench(groups[i], 5, false);
        bench(groups[i], 60, false);
        bench(groups[i], 5, true);
    }
    return 0;
}
