// SPDX-License-Identifier: Apache-2.0
// What a flush costs, and taking what is to be published: bench_store [SERIES [FLUSHES]]. Each
// flush changes every series once, in minute and hour rows; the first of a minute makes them. Needs
// SL_PG_DSN, of a server on this machine.
#include <check.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/io/clock.h"
#include "common/core/timeunit.h"
#include "processor/publish_pg.h"
#include "processor/window.h"
#include "tests/bench/bench.h"
#include "tests/integration/store_fixture.h"

#define T0 INT64_C(1795241640000000)

static void die(const char *what, enum store_result rc, const struct err *e)
{
    fprintf(stderr, "%s: %d %s\n", what, rc, e->detail);
    exit(1);
}

static const char *const models[] = {"gpt-4o-mini-2024-07-18", "claude-sonnet-4-5-20250929",
                                     "gemini-2.5-pro"};

static void add_prices(void)
{
    sql_run("INSERT INTO llm_price_version (version, origin) VALUES (1, 'default')");
    sql_run("INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens,"
            " provider, aliases, input_pusd, output_pusd, source) SELECT 1, '', m, '-infinity', '',"
            " 0, '', '{}', 1000, 2000, '' FROM unnest(array_cat(ARRAY['gpt-4o-mini',"
            " 'claude-sonnet-4-5', 'gemini-2.5-pro'], ARRAY(SELECT 'model-' || g"
            " FROM generate_series(1, 300) g))) m");
}

// What the series counts in a flush; half of them have a second model that answers.
static void fill(struct facts *f, int series, int flush)
{
    int seed = series + flush;
    facts_clear(f);
    facts_use(f, models[series % 3], 40, 800 + seed % 100, 200);
    facts_use(f, models[(series + series % 2) % 3], 10, 700, 100);
    for (int i = 0; i < 50; i++) {
        hist_record(&f->latency, 200000 + (int64_t)(seed * 31 + i * 7919) % 900000);
        hist_record(&f->ttft, 20000 + (int64_t)(seed * 17 + i * 104729) % 90000);
    }
    name_counts_add(&f->finish_reasons, STR_LIT("stop"), 50);
    name_counts_add(&f->error_classes, STR_LIT("rate_limit"), 1);
}

static double ms(int64_t us)
{
    return (double)us / 1000;
}

static double client_cpu_ms(void)
{
    return (double)bench_cpu_ns() / 1e6;
}

// Of the newest connection.
static double backend_cpu_ms(void)
{
    char path[64];
    long long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%lld/stat",
             (long long)sql_i64("SELECT pid FROM pg_stat_activity WHERE datname ="
                                " current_database() AND application_name ="
                                " 'streamlens-processor' ORDER BY backend_start DESC LIMIT 1"));
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld", &user,
                     &system) != 2)
        fprintf(stderr, "no CPU time of the server: it is not on this machine\n");
    if (f)
        fclose(f);
    return (double)(user + system) * 1000 / (double)sysconf(_SC_CLK_TCK);
}

// How long it took, in ms.
static double flush(struct writer *w)
{
    double there_ms = backend_cpu_ms();
    int64_t t[4] = {clock_mono_us()};
    enum store_result rc = writer_begin(w);
    if (rc != STORE_OK)
        die("begin", rc, &w->err);
    t[1] = clock_mono_us();
    if ((rc = writer_write(w)) != STORE_OK)
        die("write", rc, &w->err);
    t[2] = clock_mono_us();
    if ((rc = writer_commit(w)) != STORE_OK)
        die("commit", rc, &w->err);
    t[3] = clock_mono_us();
    w->partitions[0].flush_seq++;
    printf("begin %6.1f  write %6.1f  commit %6.1f  total %6.1f ms, CPU in the server %6.1f ms\n",
           ms(t[1] - t[0]), ms(t[2] - t[1]), ms(t[3] - t[2]), ms(t[3] - t[0]),
           backend_cpu_ms() - there_ms);
    return ms(t[3] - t[0]);
}

static size_t n = 10000;
static int flushes = 20;

static void take(struct publish_store *s, int64_t epoch, const struct publish_rule *rule,
                 int64_t progress, int64_t now_ms, const char *what)
{
    struct err e;
    struct publish_batch b = {0};
    double here_ms = client_cpu_ms(), there_ms = backend_cpu_ms();
    int64_t began_us = clock_mono_us();
    enum store_result rc = publish_store_take(s, epoch, progress, rule, now_ms, &b, &e);
    int64_t took_us = clock_mono_us() - began_us;
    if (rc != STORE_OK)
        die("take", rc, &e);
    printf("take %-24s %6zu rows  %6.1f ms, CPU %6.1f ms here, %6.1f ms in the server\n", what, b.n,
           ms(took_us), client_cpu_ms() - here_ms, backend_cpu_ms() - there_ms);
    publish_batch_clear(&b);
}

// All minutes are closed, and each is taken at once.
static void publish(struct writer *w)
{
    const int64_t now_ms = T0 / 1000 + 24 * INT64_C(3600000);
    struct publish_rule rule = {{10000, 0}, 30000, 5000, n};
    struct publish_store *s = publish_pg_new(&w->config, store_pg_token(w->store), 30000);
    int64_t epoch = w->partitions[0].epoch, minutes = (flushes + 11) / 12, at = 0;
    struct err e;
    sql_run("UPDATE streamlens_position SET request_time_ms = %lld, response_time_ms = %lld",
            (long long)now_ms, (long long)now_ms);
    enum store_result rc = publish_store_close(s, epoch, &rule.closing, now_ms, &e);
    if (rc != STORE_OK)
        die("close", rc, &e);
    for (; at < minutes; at++)
        take(s, epoch, &rule, at * (int64_t)n, now_ms, "a minute");
    take(s, epoch, &rule, (at - 1) * (int64_t)n, now_ms, "the same again");
    take(s, epoch, &rule, at * (int64_t)n, now_ms, "nothing");
    sql_run("UPDATE llm_window SET changes = changes + 1");
    take(s, epoch, &rule, at * (int64_t)n, now_ms + 5000, "nothing, of all minutes");
    publish_store_free(s);
}

// A test only because the fixture's checks work in nothing else.
START_TEST(measure)
{
    fixture_open(INT64_MAX);
    add_prices();
    struct writer w;
    writer_open(&w, fixture_dsn(), 30000);
    writer_claim(&w, 0);
    struct store_cell *cells = xcalloc(n, sizeof(*cells));
    struct facts *facts = xcalloc(n, sizeof(*facts));
    for (size_t i = 0; i < n; i++) {
        char model[32];
        snprintf(model, sizeof(model), "model-%zu", i);
        cells[i] = (struct store_cell){
            series_take(w.series, STR_LIT("tenant"), STR_LIT("/v1/chat"), str_of(model), 1), T0,
            &facts[i]};
    }
    w.flush.cells = cells;
    w.flush.cell_count = n;
    double client_ms = 0, backend_ms = backend_cpu_ms(), took_ms[2] = {0};
    size_t counted[2] = {0};
    for (int k = 0; k < flushes; k++) {
        for (size_t i = 0; i < n; i++)
            fill(&facts[i], (int)i, k);
        // Twelve flushes a minute.
        for (size_t i = 0; k % 12 == 0 && i < n; i++)
            cells[i].window_start_us += WINDOW_US;
        double before_ms = client_cpu_ms();
        took_ms[k % 12 == 0] += flush(&w);
        counted[k % 12 == 0]++;
        client_ms += client_cpu_ms() - before_ms;
    }
    backend_ms = backend_cpu_ms() - backend_ms;
    printf("CPU a flush: %.1f ms here, %.1f ms in the server\n", client_ms / flushes,
           backend_ms / flushes);
    for (int made = 0; made < 2; made++)
        if (counted[made])
            bench_tell(took_ms[made] / (double)counted[made], "ms", counted[made], "store.%zu.%s",
                       n, made ? "new" : "existing");
    bench_tell(client_ms / flushes, "ms", (size_t)flushes, "store.%zu.cpu", n);
    bench_tell(backend_ms / flushes, "ms", (size_t)flushes, "store.%zu.cpu_server", n);
    publish(&w);
    for (size_t i = 0; i < n; i++) {
        facts_clear(&facts[i]);
        series_drop(w.series, cells[i].series);
    }
    free(cells);
    free(facts);
    writer_close(&w); // its backend reports what it did when it ends
    sql_await("SELECT (count(*) = 0)::int FROM pg_stat_activity WHERE datname = current_database()"
              " AND application_name = 'streamlens-processor'");
    printf("HOT updates %lld of %lld, llm_hour %lld KiB, a row's histograms %lld bytes,"
           " a row %lld bytes\n",
           (long long)sql_i64("SELECT sum(n_tup_hot_upd) FROM pg_stat_user_tables"
                              " WHERE relname ~ '^llm_(minute|hour|publish)_2'"),
           (long long)sql_i64("SELECT sum(n_tup_upd) FROM pg_stat_user_tables"
                              " WHERE relname ~ '^llm_(minute|hour|publish)_2'"),
           (long long)sql_i64("SELECT sum(pg_total_relation_size(inhrelid)) / 1024 FROM pg_inherits"
                              " WHERE inhparent = 'llm_hour'::regclass"),
           (long long)sql_i64("SELECT avg(length(latency_hdr) + length(ttft_hdr)) FROM llm_minute"),
           (long long)sql_i64("SELECT avg(pg_column_size(m.*)) FROM llm_minute m"));
    fixture_close();
}
END_TEST

int main(int argc, char **argv)
{
    n = argc > 1 ? strtoul(argv[1], NULL, 10) : n;
    flushes = argc > 2 ? (int)strtol(argv[2], NULL, 10) : flushes;
    Suite *s = suite_create("bench");
    TCase *c = tcase_create("bench");
    tcase_add_test(c, measure);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_MINIMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed;
}
