// SPDX-License-Identifier: Apache-2.0
// A week of 100 series in hours, grouped by model: folding the rows, with two histograms of about
// 60 filled buckets each, objects and costs; and writing cells as JSON and CSV.
#include "metrics-api/fold.h"
#include "metrics-api/render.h"
#include "tests/bench/bench.h"

#define SERIES 100
#define HOURS (7 * 24)
#define ROWS (SERIES * HOURS)
#define MODELS 10
#define VALUES 72 // a row

static uint64_t random_state = 7;

static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static struct fact_row rows[ROWS];
static char names[SERIES][3][16];
static int64_t filled; // buckets of all latencies

// A latency around `about_us`, within two octaves.
static struct str random_hist(int64_t about_us, bool count)
{
    struct hist h = {0};
    struct buf out = {0};
    for (int i = 0; i < VALUES; i++)
        hist_record(&h, about_us / 2 + (int64_t)(random_u64() % (uint64_t)about_us));
    struct hist_filled buckets[HIST_COUNTS + 1];
    filled += count ? hist_filled(&h, buckets) : 0;
    hist_encode(&h, &out);
    hist_clear(&h);
    return (struct str){xmemdup(out.p, out.n), out.n};
}

static void make_row(struct fact_row *r, int s, int hour)
{
#define SET(name) r->name = (int64_t)(random_u64() % 100000);
    FACT_SUMS(SET)
    FACT_GREATEST(SET)
#undef SET
    r->tenant_id = (struct str){NULL, 0};
    r->route = (struct str){NULL, 0};
    r->model = str_of(names[s % MODELS][2]);
    r->window_start_us = hour * US_PER_HOUR;
    r->cost = (money)random_u64() >> 20;
#define SET(name) r->name = (money)(random_u64() >> 30);
    FACT_COSTS(SET)
#undef SET
    r->latency_max_us = r->ttft_max_us = HIST_MAX_US;
    r->latency_hdr = random_hist(400000 + s * 1000, true);
    r->ttft_hdr = random_hist(100000 + s * 1000, false);
    r->error_classes = s % 3 ? STR_LIT("{}") : STR_LIT("{\"timeout\": 3, \"rate_limit\": 12}");
    r->finish_reasons = STR_LIT("{\"stop\": 90, \"length\": 7}");
}

static size_t fold_all(struct fold *f, const struct cell **cells)
{
    struct err e;
    for (int i = 0; i < ROWS; i++)
        if (fold_add(f, &rows[i], &e) < 0)
            abort();
    return fold_finish(f, cells);
}

static void bench_fold(const char *name, const char *what, int64_t step_us)
{
    struct hash_key key;
    hash_key_init(&key, "seed", 4);
    struct fold_spec spec = {
        .steps = {.from_us = 0, .to_us = 7 * US_PER_DAY, .step_us = step_us},
        .ascending = true,
        .limit = 2 * ROWS,
        .max_bytes = (size_t)1 << 30,
        .hash_key = &key,
    };
    const struct cell *cells;
    size_t n = 0, bytes = 0;
    int64_t best_ns = INT64_MAX;
    for (int round = 0; round < 5; round++) {
        struct fold *f = fold_new(&spec);
        int64_t before_ns = bench_cpu_ns();
        n = fold_all(f, &cells);
        best_ns = min_i64(best_ns, bench_cpu_ns() - before_ns);
        bytes = fold_bytes(f);
        fold_free(f);
    }
    printf("fold %-22s %5d rows %6.0f ns a row, %5.1f ms, %5zu cells, %zu KiB\n", what, ROWS,
           (double)best_ns / ROWS, (double)best_ns / 1e6, n, bytes / 1024);
    bench_tell((double)best_ns / 1e6, "ms", ROWS, "fold.%s", name);
}

static void bench_render(const char *name, const char *what, enum render_format format)
{
    struct buf out = {0}, scratch = {0};
    struct fields fields = {.bits = (UINT64_C(1) << FIELD_COUNT) - 1};
    struct metrics_row row;
    int64_t derived_ns = INT64_MAX, written_ns = INT64_MAX;
    for (int round = 0; round < 5; round++) {
        struct render r = {format, field_infos, &fields, .out = &out};
        buf_clear(&out);
        render_begin(&r, "metrics");
        int64_t before_ns = bench_cpu_ns();
        for (int i = 0; i < ROWS; i++)
            fact_row_derive(&rows[i], &scratch, &row);
        int64_t between_ns = bench_cpu_ns();
        for (int i = 0; i < ROWS; i++) {
            fact_row_derive(&rows[i], &scratch, &row);
            render_row(&r, &row, NULL, NULL);
        }
        derived_ns = min_i64(derived_ns, between_ns - before_ns);
        written_ns = min_i64(written_ns, bench_cpu_ns() - between_ns);
        render_end(&r);
    }
    printf("write %-4s %5.0f ns a row to derive, %5.0f with writing, %zu bytes\n", what,
           (double)derived_ns / ROWS, (double)written_ns / ROWS, out.n / ROWS);
    bench_tell((double)written_ns / ROWS, "ns", ROWS, "fold.write.%s", name);
    buf_free(&out);
    buf_free(&scratch);
}

int main(void)
{
    for (int s = 0; s < SERIES; s++)
        snprintf(names[s][2], sizeof(names[s][2]), "model-%d", s);
    for (int s = 0; s < SERIES; s++)
        for (int h = 0; h < HOURS; h++)
            make_row(&rows[s * HOURS + h], s, h);
    printf("%.0f filled buckets of latency a row\n", (double)filled / ROWS);
    bench_fold("one", "in one step", 0);
    bench_fold("days", "in days", US_PER_DAY);
    bench_fold("hours", "in hours", US_PER_HOUR);
    for (int i = 0; i < ROWS; i++)
        rows[i].model = str_of(names[i / HOURS][2]);
    bench_fold("rows", "in hours, a row each", US_PER_HOUR);
    bench_render("json", "JSON", RENDER_JSON);
    bench_render("csv", "CSV", RENDER_CSV);
    return 0;
}
