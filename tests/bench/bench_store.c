// SPDX-License-Identifier: Apache-2.0
// What a flush costs, and taking what is to be published:
// bench_store [SERIES,... [FLUSHES [PROCESSORS]]]. Each flush changes every series once, in minute
// and hour rows; the first of a minute makes them. Several processors flush at once, all the same
// rows, and only that is measured. Needs SL_PG_DSN, of a server on this machine.
#include <check.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "processor/publish_pg.h"
#include "processor/window.h"
#include "tests/bench/bench.h"
#include "tests/integration/store_fixture.h"

#define PER_MINUTE 12 // flushes

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

// Of all connections that processors have, to a hundredth of a second.
static double backend_cpu_ms(void)
{
    return 10 * (double)sql_i64(
                    "SELECT sum(f[12]::bigint + f[13]::bigint) FROM pg_stat_activity, LATERAL"
                    " (SELECT string_to_array(regexp_replace(pg_read_file('/proc/' || pid ||"
                    " '/stat'), '^.*\\) ', ''), ' ') f) x WHERE datname = current_database()"
                    " AND application_name = 'streamlens-processor'");
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

struct sizes {
    size_t series;
    int flushes, processors;
};
static struct sizes sizes = {10000, 20, 1};

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
    const size_t n = sizes.series;
    struct publish_rule rule = {{10000, 0}, 30000, 5000, n};
    struct publish_store *s = publish_pg_new(&w->config, store_pg_token(w->store), 30000);
    int64_t epoch = w->partitions[0].epoch, minutes = (sizes.flushes + PER_MINUTE - 1) / PER_MINUTE,
            at = 0;
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

// ---- a processor ----

struct load {
    struct writer w;
    struct store_cell *cells;
    struct facts *facts;
    double took_ms[2]; // by whether the flush made rows
    size_t counted[2];
};

static void load_open(struct load *l, int partition)
{
    char instance[16];
    snprintf(instance, sizeof(instance), "%d", partition);
    *l = (struct load){0};
    writer_open_as(&l->w, fixture_dsn(), 30000, instance);
    writer_claim(&l->w, partition);
    l->cells = xcalloc(sizes.series, sizeof(*l->cells));
    l->facts = xcalloc(sizes.series, sizeof(*l->facts));
    for (size_t i = 0; i < sizes.series; i++) {
        char model[32];
        snprintf(model, sizeof(model), "model-%zu", i);
        l->cells[i] = (struct store_cell){
            series_take(l->w.series, STR_LIT("tenant"), STR_LIT("/v1/chat"), str_of(model), 1), T0,
            &l->facts[i]};
    }
    l->w.flush.cells = l->cells;
    enum store_result rc = writer_flush(&l->w); // of nothing: connects, and reads the prices
    if (rc != STORE_OK)
        die("the first flush", rc, &l->w.err);
}

static void load_close(struct load *l)
{
    for (size_t i = 0; i < sizes.series; i++) {
        facts_clear(&l->facts[i]);
        series_drop(l->w.series, l->cells[i].series);
    }
    free(l->cells);
    free(l->facts);
    writer_close(&l->w);
}

// What flush k has; true where it is the first of its minute.
static bool load_change(struct load *l, int k)
{
    for (size_t i = 0; i < sizes.series; i++)
        fill(&l->facts[i], (int)i, k);
    l->w.flush.cell_count = sizes.series;
    for (size_t i = 0; k % PER_MINUTE == 0 && i < sizes.series; i++)
        l->cells[i].window_start_us += WINDOW_US;
    return k % PER_MINUTE == 0;
}

static void tell_flushes(const struct load *l, const char *measure)
{
    for (int made = 0; made < 2; made++)
        if (l->counted[made])
            bench_tell(l->took_ms[made] / (double)l->counted[made], "ms", l->counted[made],
                       "%s.%zu.%s", measure, sizes.series, made ? "new" : "existing");
}

// ---- one at a time ----

static void say_rows(void)
{
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
}

static void alone(void)
{
    struct load l;
    load_open(&l, 0);
    double client_ms = 0, backend_ms = backend_cpu_ms();
    for (int k = 0; k < sizes.flushes; k++) {
        bool made = load_change(&l, k);
        double before_ms = client_cpu_ms();
        l.took_ms[made] += flush(&l.w);
        l.counted[made]++;
        client_ms += client_cpu_ms() - before_ms;
    }
    backend_ms = backend_cpu_ms() - backend_ms;
    printf("CPU a flush: %.1f ms here, %.1f ms in the server\n", client_ms / sizes.flushes,
           backend_ms / sizes.flushes);
    tell_flushes(&l, "store");
    bench_tell(client_ms / sizes.flushes, "ms", (size_t)sizes.flushes, "store.%zu.cpu",
               sizes.series);
    bench_tell(backend_ms / sizes.flushes, "ms", (size_t)sizes.flushes, "store.%zu.cpu_server",
               sizes.series);
    publish(&l.w);
    load_close(&l); // its backend reports what it did when it ends
    say_rows();
}

// ---- several at once ----

#define FLUSHES_MAX 1000
struct together { // shared by the processes
    pthread_barrier_t begin;
    double took_ms[FIXTURE_PARTITIONS][FLUSHES_MAX];
};

static void flush_beside(struct together *t, int partition)
{
    struct load l;
    load_open(&l, partition);
    for (int k = 0; k < sizes.flushes; k++) {
        load_change(&l, k);
        pthread_barrier_wait(&t->begin);
        int64_t began_us = clock_mono_us();
        enum store_result rc = writer_flush(&l.w);
        if (rc != STORE_OK)
            die("flush", rc, &l.w.err);
        t->took_ms[partition][k] = ms(clock_mono_us() - began_us);
    }
    load_close(&l);
    _exit(0);
}

// The others would wait for ever for one that has failed.
static void await_all(const pid_t *pids)
{
    for (int i = 0; i < sizes.processors; i++) {
        int status = 0;
        wait(&status);
        for (int k = 0; status && k < sizes.processors; k++)
            kill(pids[k], SIGKILL);
        if (status)
            exit(1);
    }
}

// A flush takes until the last of them has it.
static void together(void)
{
    struct together *t =
        mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t shared;
    pid_t pids[FIXTURE_PARTITIONS];
    struct load sum = {0};
    if (t == MAP_FAILED)
        exit(1);
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&t->begin, &shared, (unsigned)sizes.processors);
    for (int p = 0; p < sizes.processors; p++)
        if ((pids[p] = fork()) == 0)
            flush_beside(t, p);
    await_all(pids);
    for (int k = 0; k < sizes.flushes; k++) {
        double last_ms = 0;
        for (int p = 0; p < sizes.processors; p++)
            last_ms = fmax(last_ms, t->took_ms[p][k]);
        printf("all %d have flushed after %6.1f ms\n", sizes.processors, last_ms);
        sum.took_ms[k % PER_MINUTE == 0] += last_ms;
        sum.counted[k % PER_MINUTE == 0]++;
    }
    tell_flushes(&sum, "store_together");
    munmap(t, sizeof(*t));
}

// A test only because the fixture's checks work in nothing else.
START_TEST(measure)
{
    fixture_open(INT64_MAX);
    add_prices();
    (sizes.processors > 1 ? together : alone)();
    fixture_close();
}
END_TEST

static bool run_one(size_t series)
{
    Suite *s = suite_create("bench");
    TCase *c = tcase_create("bench");
    tcase_add_test(c, measure);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    sizes.series = series;
    srunner_run_all(r, CK_MINIMAL);
    bool passed = srunner_ntests_failed(r) == 0;
    srunner_free(r);
    return passed;
}

static int number(const char *text, int max)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < 1 || n > max) {
        fprintf(stderr,
                "usage: bench_store [SERIES,... [FLUSHES [PROCESSORS]]]: %s is not 1 to %d\n", text,
                max);
        exit(2);
    }
    return (int)n;
}

int main(int argc, char **argv)
{
    char standard[] = "10000";
    if (argc > 2)
        sizes.flushes = number(argv[2], FLUSHES_MAX);
    if (argc > 3)
        sizes.processors = number(argv[3], FIXTURE_PARTITIONS);
    bool passed = true;
    char *rest = argc > 1 ? argv[1] : standard;
    for (const char *one; passed && (one = strsep(&rest, ","));)
        passed = run_one((size_t)number(one, 1000000));
    return !passed;
}
