// SPDX-License-Identifier: Apache-2.0
// What rows cost: by which version and card, whatever the flushes, and hours as the sum of their
// minutes.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/core/fact_row.h"
#include "common/core/price.h"
#include "common/core/timeunit.h"
#include "common/io/log.h"
#include "processor/window.h"
#include "tests/integration/store_fixture.h"
#include "tests/sim/random.h"

static struct writer w;

static void open_database(void)
{
    fixture_open(1000);
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
}

static void close_database(void)
{
    writer_close(&w);
    fixture_close();
}

// ---- prices ----

#define EVER "-infinity"
#define AT_T0 "2026-11-21T06:14:00Z"

static void add_version(int version)
{
    sql_run("INSERT INTO llm_price_version (version, origin) VALUES (%d, 'set')", version);
}

// Picodollars a token.
static void add_line(int version, const char *tenant, const char *model, const char *from,
                     const char *tier, int above, int64_t input, int64_t output)
{
    sql_run("INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens,"
            " provider, aliases, input_pusd, output_pusd, source) VALUES (%d, '%s', '%s', '%s',"
            " '%s', %d, '', '{}', %lld, %lld, 'test')",
            version, tenant, model, from, tier, above, (long long)input, (long long)output);
}

static void add_price(int version, const char *model, const char *from, int64_t input,
                      int64_t output)
{
    add_line(version, "", model, from, "", 0, input, output);
}

// All classes of the model m, times k.
static void add_classes(int version, const char *from, int k)
{
    sql_run("INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens,"
            " provider, aliases, input_pusd, cached_input_pusd, cache_write_5m_pusd,"
            " cache_write_1h_pusd, output_pusd, reasoning_pusd, request_pusd, source) SELECT %d,"
            " '', 'm', '%s', '', 0, '', '{}', 100 * k, 10 * k, 125 * k, 200 * k, 500 * k, 700 * k,"
            " 3 * k, 'test' FROM (SELECT %d) AS f(k)",
            version, from, k);
}

static void withdraw(int version, const char *tenant, const char *model, const char *from)
{
    sql_run("INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens,"
            " provider, aliases, withdrawn, source) VALUES (%d, '%s', '%s', '%s', '', 0, '', '{}',"
            " true, 'test')",
            version, tenant, model, from);
}

// A flush of n requests, of 10 tokens in and 1 out each, in the minute after T0.
static void use(struct writer *by, const char *series, const char *model, int minute, int64_t n)
{
    facts_use(writer_add(by, "t", "r", series, T0 + minute * WINDOW_US), model, n, 10, 1);
    ck_ok(by, writer_flush(by));
}

#define MINUTE(n) "window_start = '" AT_T0 "'::timestamptz + " #n " * interval '1 minute'"

static int64_t cost_of_minute(int minute)
{
    return sql_i64("SELECT sum(cost_pusd) FROM llm_minute WHERE " MINUTE(% d), minute);
}

// Hours are the sums of their minutes, their version the greatest.
static void check_hours(void)
{
    ck_assert_int_eq(
        sql_i64("SELECT count(*) FROM llm_hour h FULL JOIN (SELECT series_id,"
                " date_trunc('hour', window_start, 'UTC') AS window_start, sum(cost_pusd) AS c,"
                " sum(unpriced_requests) AS r, sum(unpriced_tokens) AS t,"
                " sum(guessed_requests) AS g, max(price_version) AS v, sum(reported_cost_pusd) AS p"
                " FROM llm_minute GROUP BY 1, 2) m USING (series_id, window_start) WHERE"
                " (cost_pusd, unpriced_requests, unpriced_tokens, guessed_requests, price_version,"
                " reported_cost_pusd) IS DISTINCT FROM (c, r, t, g, v, p)"),
        0);
    // And of what the costs are made.
#define DIFFERS(name) " OR max(h." #name "_pusd) <> sum(m." #name "_pusd)"
    ck_assert_int_eq(
        sql_i64("SELECT count(*) FROM (SELECT FROM llm_hour h JOIN llm_minute m ON m.series_id ="
                " h.series_id AND date_trunc('hour', m.window_start, 'UTC') = h.window_start"
                " GROUP BY h.series_id, h.window_start HAVING false" FACT_COSTS(DIFFERS) ") d"),
        0);
}

// Every minute costs what its lines cost by the version it names, worked out by the database. Of
// everybody's cards without tiers, aliases or bands alone.
static void check_minutes(void)
{
    ck_assert_int_eq(
        sql_i64("SELECT count(*) FROM llm_minute m, LATERAL (SELECT"
                " coalesce(sum(u.uncached_prompt_tokens * p.input_pusd::numeric), 0) AS input,"
                " coalesce(sum(u.completion_tokens * p.output_pusd::numeric), 0) AS output,"
                " sum(u.requests) FILTER (WHERE p.model IS NULL) AS unpriced FROM unnest(m.usage) u"
                " LEFT JOIN LATERAL (SELECT * FROM llm_price p WHERE p.model = u.model AND"
                " p.version <= m.price_version AND p.effective_from <= m.window_start"
                " ORDER BY effective_from DESC, version DESC LIMIT 1) p ON NOT p.withdrawn) l WHERE"
                " (m.cost_pusd, m.cost_input_pusd, m.cost_output_pusd, m.unpriced_requests) <>"
                " (l.input + l.output, l.input, l.output, coalesce(l.unpriced, 0))"),
        0);
}

// ---- which price ----

START_TEST(a_price_that_changes_at_a_minute_splits_there)
{
    static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}};
    add_version(1);
    add_price(1, "m", EVER, 100, 1000);
    add_version(2);
    add_price(2, "m", "2026-11-21T06:16:00Z", 7, 70000);
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        sql_run("TRUNCATE llm_minute, llm_hour");
        for (int flush = 0; flush < 8; flush++)
            use(&w, "m", "m", orders[i][flush % 4], 1 + flush / 4);
        for (int minute = 0; minute < 4; minute++)
            ck_assert_int_eq(cost_of_minute(minute), 3 * (minute < 2 ? 2000 : 70070));
        ck_assert_int_eq(sql_i64("SELECT cost_pusd FROM llm_hour"), 6 * 2000 + 6 * 70070);
        check_hours();
        check_minutes();
    }
    sql_run("TRUNCATE llm_minute, llm_hour"); // and all in one flush
    for (int i = 0; i < 8; i++)
        facts_use(writer_add(&w, "t", "r", "m", T0 + i % 4 * WINDOW_US), "m", 1 + i / 4, 10, 1);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT cost_pusd FROM llm_hour"), 6 * 2000 + 6 * 70070);
    check_hours();
    check_minutes();
}
END_TEST

#define CLASSES                                                                                    \
    "cost_input_pusd, cost_cached_input_pusd, cost_cache_write_5m_pusd,"                           \
    " cost_cache_write_1h_pusd, cost_output_pusd, cost_reasoning_pusd, cost_request_pusd,"         \
    " cache_savings_pusd"

START_TEST(rows_keep_what_each_class_costs_and_hours_follow_a_price_that_changes)
{
    static const struct usage_key key = {.model = STR_LIT("m")};
    static const struct usage u = {.requests = 3,
                                   .uncached_prompt_tokens = 1000,
                                   .cached_prompt_tokens = 200,
                                   .cache_write_5m_tokens = 30,
                                   .cache_write_1h_tokens = 4,
                                   .completion_tokens = 500,
                                   .reasoning_tokens = 60};
    add_version(1);
    add_classes(1, EVER, 1);
    add_version(2);
    add_classes(2, "2026-11-21T06:16:00Z", 7);
    for (int flush = 0; flush < 8; flush++) {
        int64_t start_us = T0 + (7 - flush) % 4 * WINDOW_US;
        usage_lines_add(&writer_add(&w, "t", "r", "m", start_us)->usage, &key, &u);
        ck_ok(&w, writer_flush(&w));
        check_hours();
    }
    static const char times_k[] = "(" CLASSES ", cost_pusd) = (100000 * k, 2000 * k, 3750 * k,"
                                  " 800 * k, 220000 * k, 42000 * k, 9 * k, 16850 * k, 368559 * k)";
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute, LATERAL (SELECT"
                             " CASE WHEN window_start < '2026-11-21T06:16:00Z' THEN 2 ELSE 14 END"
                             " AS k) f WHERE %s",
                             times_k),
                     4);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_hour, (SELECT 32 AS k) f WHERE %s", times_k),
                     1);
}
END_TEST

static int64_t unpriced_of_minute(int minute)
{
    return sql_i64("SELECT sum(unpriced_requests) FROM llm_minute WHERE " MINUTE(% d), minute);
}

START_TEST(a_price_that_is_withdrawn_is_none_from_its_minute_on)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 1000);
    use(&w, "m", "m", 3, 1);
    add_version(2);
    withdraw(2, "", "m", "2026-11-21T06:16:00Z");
    for (int minute = 3; minute >= 0; minute--)
        use(&w, "m", "m", minute, 1);
    add_version(3);
    add_price(3, "m", "2026-11-21T06:18:00Z", 7, 70000);
    for (int minute = 0; minute <= 4; minute++)
        use(&w, "m", "m", minute, 1);
    // The row of minute 3 was there before.
    static const int64_t want[][2] = {{4000, 0}, {4000, 0}, {0, 2}, {6000, 0}, {70070, 0}};
    for (int minute = 0; minute <= 4; minute++) {
        ck_assert_int_eq(cost_of_minute(minute), want[minute][0]);
        ck_assert_int_eq(unpriced_of_minute(minute), want[minute][1]);
    }
    ck_assert_int_eq(sql_i64("SELECT unpriced_tokens FROM llm_hour"), 22);
    ck_assert_int_eq(store_pg_unpriced_requests(w.store), 2);
    check_minutes();
    check_hours();
}
END_TEST

START_TEST(a_tenants_price_that_is_withdrawn_leaves_everybodys_and_a_guess_none)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    add_price(1, PRICE_EVERY, EVER, 1000, 0);
    add_line(1, "t", "m", EVER, "", 0, 7, 0);
    withdraw(1, "t", "m", "2026-11-21T06:15:00Z");
    withdraw(1, "", PRICE_EVERY, "2026-11-21T06:15:00Z");
    for (int minute = 0; minute < 2; minute++)
        use(&w, "m", "m", minute, 1);
    ck_assert_int_eq(cost_of_minute(0), 70);
    ck_assert_int_eq(cost_of_minute(1), 1000);
    for (int minute = 0; minute < 2; minute++)
        use(&w, "x", "x", minute, 1);
    ck_assert_int_eq(cost_of_minute(0), 70 + 10000);
    ck_assert_int_eq(cost_of_minute(1), 1000);
    ck_assert_int_eq(unpriced_of_minute(0), 0);
    ck_assert_int_eq(unpriced_of_minute(1), 1);
    ck_assert_int_eq(sql_i64("SELECT sum(guessed_requests) FROM llm_minute"), 1);
}
END_TEST

START_TEST(a_row_keeps_the_version_of_its_first_flush)
{
    use(&w, "m", "m", 0, 1);
    ck_assert_int_eq(store_pg_price_version(w.store), 0);
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    use(&w, "m", "m", 1, 1);
    ck_assert_int_eq(store_pg_price_version(w.store), 1);
    add_version(2);
    add_price(2, "m", EVER, 200, 0);
    for (int minute = 0; minute < 3; minute++)
        use(&w, "m", "m", minute, 2);
    ck_assert_int_eq(store_pg_price_version(w.store), 2);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute WHERE (price_version, cost_pusd,"
                             " unpriced_requests, unpriced_tokens) IN ((0, 0, 3, 33),"
                             " (1, 3000, 0, 0), (2, 4000, 0, 0))"),
                     3);
    ck_assert_int_eq(sql_i64("SELECT price_version FROM llm_hour WHERE cost_pusd = 7000 AND"
                             " (unpriced_requests, unpriced_tokens) = (3, 33)"),
                     2);
    // An hour's version does not go back with the minute that was written last.
    use(&w, "m", "m", 1, 1);
    ck_assert_int_eq(sql_i64("SELECT price_version FROM llm_hour WHERE cost_pusd = 8000"), 2);
    ck_assert_int_eq(store_pg_unpriced_requests(w.store), 3);
    check_hours();
}
END_TEST

START_TEST(a_version_holds_from_the_next_flush_on)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    facts_use(writer_add(&w, "t", "r", "m", T0), "m", 1, 10, 1);
    ck_ok(&w, writer_begin(&w));
    add_version(2);
    add_price(2, "m", EVER, 200, 0);
    ck_ok(&w, writer_write(&w));
    ck_ok(&w, writer_commit(&w));
    writer_flushed(&w);
    ck_assert_int_eq(sql_i64("SELECT cost_pusd FROM llm_minute WHERE price_version = 1"), 1000);
    use(&w, "m", "m", 1, 1);
    ck_assert_int_eq(sql_i64("SELECT cost_pusd FROM llm_minute WHERE price_version = 2"), 2000);
    add_version(3); // without cards: it stands for a change all the same
    use(&w, "m", "m", 2, 1);
    ck_assert_int_eq(sql_i64("SELECT cost_pusd FROM llm_minute WHERE price_version = 3"), 2000);
}
END_TEST

// A correction has given it that while we were about to flush.
START_TEST(a_row_of_a_newer_version_than_ours_is_priced_by_that)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    use(&w, "m", "m", 0, 1);
    facts_use(writer_add(&w, "t", "r", "m", T0), "m", 1, 10, 1);
    ck_ok(&w, writer_begin(&w));
    add_version(2);
    add_price(2, "m", EVER, 200, 0);
    for (int i = 0; i < 2; i++)
        sql_run("UPDATE %s SET revision = 2, price_version = 2, cost_pusd = 2000,"
                " cost_input_pusd = 2000",
                i ? "llm_hour" : "llm_minute");
    ck_assert_int_eq(store_pg_price_version(w.store), 1);
    ck_ok(&w, writer_write(&w));
    ck_ok(&w, writer_commit(&w));
    ck_assert_int_eq(store_pg_price_version(w.store), 2);
    ck_assert_int_eq(sql_i64("SELECT cost_pusd " ROW " AND price_version = 2 AND revision = 3"),
                     4000);
    check_hours();
    check_minutes();
}
END_TEST

START_TEST(tiers_bands_and_tenants_have_their_prices)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    add_line(1, "", "m", EVER, "flex", 0, 50, 0);
    add_line(1, "", "m", EVER, "", 200000, 300, 0);
    add_line(1, "vip", "m", EVER, "", 0, 10, 0);
    static const struct {
        const char *tenant;
        struct usage_key key;
        int64_t cost, unpriced;
    } cases[] = {
        {"t", {.model = STR_LIT("m")}, 700, 0},
        {"t", {.model = STR_LIT("m"), .tier = STR_LIT("flex")}, 350, 0},
        {"t", {.model = STR_LIT("m"), .context_above = 200000}, 2100, 0},
        {"t", {.model = STR_LIT("m"), .context_above = 128000}, 700, 0},
        {"t", {.model = STR_LIT("M-unknown"), .asked = STR_LIT("M")}, 700, 0},
        {"t", {.model = STR_LIT("m-unknown")}, 0, 2},
        {"t", {.model = STR_LIT(USAGE_OTHER)}, 0, 2},
        {"vip", {.model = STR_LIT("m")}, 70, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char series[16];
        snprintf(series, sizeof(series), "s%zu", i);
        struct usage u = {.requests = 2, .uncached_prompt_tokens = 7};
        usage_lines_add(&writer_add(&w, cases[i].tenant, "r", series, T0)->usage, &cases[i].key,
                        &u);
    }
    ck_ok(&w, writer_flush(&w));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_msg(sql_i64("SELECT count(*) FROM llm_minute JOIN llm_series USING (series_id)"
                              " WHERE model = 's%zu' AND (cost_pusd, unpriced_requests) ="
                              " (%lld, %lld) AND guessed_requests = 0",
                              i, (long long)cases[i].cost, (long long)cases[i].unpriced) == 1,
                      "case %zu", i);
    check_hours();
}
END_TEST

START_TEST(what_is_guessed_is_counted_as_such)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    add_price(1, PRICE_EVERY, EVER, 1000, 0);
    facts_use(writer_add(&w, "t", "r", "m", T0), "m", 1, 10, 1);
    facts_use(writer_add(&w, "t", "r", "m", T0), "unknown", 4, 10, 1);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT cost_pusd " ROW " AND guessed_requests = 4"
                             " AND unpriced_requests = 0"),
                     41000);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_metrics WHERE guessed_requests = 4 AND"
                             " estimated_cost_usd_decimal = 0.000000041 AND price_version = 1"
                             " AND estimated_cost_usd = 0.000000041"),
                     1);
    check_hours();
}
END_TEST

// ---- hours, conflicts, limits ----

START_TEST(a_line_that_is_folded_takes_its_cost_along)
{
    add_version(1);
    add_price(1, "zz", EVER, 100, 0);
    use(&w, "m", "zz", 0, 1);
    for (int i = 0; i < USAGE_LINES; i++) {
        char model[16];
        snprintf(model, sizeof(model), "a%02d", i);
        facts_use(writer_add(&w, "t", "r", "m", T0), model, 1, 10, 1);
    }
    ck_assert_int_eq(sql_i64("SELECT cost_pusd FROM llm_hour"), 1000);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(cost_of_minute(0), 0);
    ck_assert_int_eq(sql_i64("SELECT unpriced_requests FROM llm_hour"), USAGE_LINES + 1);
    check_hours();
}
END_TEST

// Rows that were changed since, though by no flush: what was kept of them is not taken over, and
// minutes and hours are done again.
START_TEST(a_batch_that_is_done_again_costs_once)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    facts_use(writer_add(&w, "t", "r", "m", T0), "m", 3, 10, 1);
    ck_ok(&w, writer_flush(&w));
    sql_run("UPDATE llm_minute SET revision = revision + 1;"
            " UPDATE llm_hour SET revision = revision + 1");
    facts_use(writer_add(&w, "t", "r", "m", T0), "m", 4, 10, 1);
    facts_use(writer_add(&w, "t", "r", "m", T0 + WINDOW_US), "m", 2, 10, 1);
    facts_use(writer_add(&w, "t", "r", "m", T0), "m", 1, 10, 1);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(cost_of_minute(0), 8000);
    ck_assert_int_eq(cost_of_minute(1), 2000);
    ck_assert_int_eq(sql_i64("SELECT max(revision) FROM llm_hour"), 3);
    check_hours();
}
END_TEST

#define CHILDREN 2
#define CHILD_FLUSHES 40
#define CHILD_CELLS 60

static int flush_as_child(int number)
{
    struct random random = {(uint64_t)number};
    struct writer mine;
    writer_open(&mine, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&mine, 1 + number);
    int rc = 0;
    // On and on until prices have changed under it.
    for (int i = 0; rc == 0 && (i < CHILD_FLUSHES || store_pg_price_version(mine.store) < 4); i++) {
        for (int cell = 0; cell < CHILD_CELLS; cell++) {
            char series[16], model[16];
            snprintf(series, sizeof(series), "s%d", random_below(&random, 5));
            snprintf(model, sizeof(model), "m%d", random_below(&random, 4));
            int64_t start_us = T0 + random_below(&random, 90) * WINDOW_US;
            struct facts *f = writer_add(&mine, "t", "r", series, start_us);
            facts_use(f, model, 1 + random_below(&random, 9), random_below(&random, 1000),
                      random_below(&random, 1000));
            f->reported_cost = random_below(&random, 1000);
        }
        if (writer_flush(&mine) != STORE_OK) {
            fprintf(stderr, "child %d: %s\n", number, mine.err.detail);
            rc = 1;
        }
    }
    writer_close(&mine);
    return rc;
}

START_TEST(hours_are_the_sums_of_their_minutes_whatever_happens_at_once)
{
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(flush_as_child(i));
    }
    // Prices change all the while: one version at a time, at minutes within the range.
    int status, left = CHILDREN;
    for (int version = 1; left > 0; version++) {
        if (version < 200) {
            char model[16], from[32];
            snprintf(model, sizeof(model), "m%d", version % 3); // m3 is never priced
            snprintf(from, sizeof(from), "2026-11-21T%02d:%02d:00Z", 6 + version % 2,
                     version * 7 % 60);
            sql_run("BEGIN");
            add_version(version);
            add_price(version, model, version < 4 ? EVER : from, version * 1000, version * 7);
            sql_run("COMMIT");
        }
        while (left > 0 && waitpid(-1, &status, version < 200 ? WNOHANG : 0) > 0) {
            ck_assert_int_eq(status, 0);
            left--;
        }
        sql_run("SELECT pg_sleep(0.02)"); // leaves the children some of the machine
    }
    ck_assert_int_gt(sql_i64("SELECT count(DISTINCT price_version) FROM llm_minute"), 1);
    ck_assert_int_gt(sql_i64("SELECT count(*) FROM llm_hour WHERE unpriced_requests > 0"), 1);
    check_hours();
    check_minutes();
}
END_TEST

#define MANY 16400 // more rows than are written at a time

START_TEST(a_flush_of_several_batches_is_priced_alike)
{
    struct store_cell *cells = xcalloc(MANY, sizeof(*cells));
    struct facts *facts = xcalloc(MANY, sizeof(*facts));
    sql_run("UPDATE streamlens_settings SET max_series_per_tenant = %d", MANY);
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    for (size_t i = 0; i < MANY; i++) { // two minutes of each series
        char series[16];
        snprintf(series, sizeof(series), "s%zu", i / 2);
        facts_use(&facts[i], "m", 1, (int64_t)i, 0);
        cells[i] = (struct store_cell){
            series_take(w.series, STR_LIT("t"), STR_LIT("r"), str_of(series), 1),
            T0 + (int64_t)(i % 2) * WINDOW_US, &facts[i]};
    }
    w.flush.cells = cells;
    w.flush.cell_count = MANY;
    for (int flush = 1; flush <= 2; flush++) {
        ck_ok(&w, writer_begin(&w));
        ck_ok(&w, writer_write(&w));
        ck_ok(&w, writer_commit(&w));
        w.partitions[0].flush_seq++;
        ck_assert_int_eq(sql_i64("SELECT sum(cost_pusd) FROM llm_hour WHERE revision = %d", flush),
                         flush * INT64_C(100) * MANY * (MANY - 1) / 2);
        check_hours();
    }
    check_minutes();
    for (size_t i = 0; i < MANY; i++) {
        facts_clear(&facts[i]);
        series_drop(w.series, cells[i].series);
    }
    free(cells);
    free(facts);
}
END_TEST

START_TEST(costs_beyond_64_bits_are_exact)
{
    add_version(1);
    add_price(1, "m", EVER, 2000000000, 2000000000);
    struct usage_key key = {.model = STR_LIT("m")}, unknown = {.model = STR_LIT("n")};
    struct usage u = {
        .requests = 1, .uncached_prompt_tokens = INT64_MAX, .completion_tokens = INT64_MAX};
    struct facts *f = writer_add(&w, "t", "r", "m", T0);
    usage_lines_add(&f->usage, &key, &u);
    usage_lines_add(&f->usage, &unknown, &u);
    usage_lines_add(&writer_add(&w, "t", "r", "m", T0 + WINDOW_US)->usage, &key, &u);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute WHERE"
                             " cost_pusd = 36893488147419103228000000000"),
                     2);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_hour WHERE"
                             " cost_pusd = 73786976294838206456000000000 AND"
                             " unpriced_tokens = 9223372036854775807"),
                     1);
    // Sums of tokens stay where they cannot rise, and so does the cost.
    usage_lines_add(&writer_add(&w, "t", "r", "m", T0)->usage, &key, &u);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_hour WHERE"
                             " cost_pusd = 73786976294838206456000000000"),
                     1);
}
END_TEST

START_TEST(a_class_beyond_64_bits_stays_at_its_end)
{
    const int64_t most = INT64_MAX / 100; // at 100 each the last that fits; 1 hour's cost 100 more
    struct usage_key key = {.model = STR_LIT("m")};
    struct usage u = {.uncached_prompt_tokens = most, .cache_write_1h_tokens = most};
    add_version(1);
    add_classes(1, EVER, 1);
    for (int flush = 0; flush < 3; flush++) {
        long long end = flush == 0 ? (long long)most * 100 : (long long)INT64_MAX;
        usage_lines_add(&writer_add(&w, "t", "r", "m", T0)->usage, &key, &u);
        ck_ok(&w, writer_flush(&w));
        for (int hour = 0; hour < 2; hour++)
            ck_assert_int_eq(sql_i64("SELECT count(*) FROM %s WHERE (" CLASSES ", cost_pusd) ="
                                     " (%lld, 0, 0, 9223372036854775807, 0, 0, 0, -%lld, %lld00.)",
                                     hour ? "llm_hour" : "llm_minute", end, end,
                                     ((long long)most + flush) * 3),
                             1);
        u = (struct usage){.uncached_prompt_tokens = 1, .cache_write_1h_tokens = 1};
    }
    // The hour's are those of its minutes, as long as these fit.
    u = (struct usage){.uncached_prompt_tokens = 1, .cached_prompt_tokens = 1};
    usage_lines_add(&writer_add(&w, "t", "r", "m", T0 + WINDOW_US)->usage, &key, &u);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT cache_savings_pusd + 9223372036854775807 FROM llm_hour"
                             " WHERE cost_input_pusd = 9223372036854775807"),
                     90);
}
END_TEST

// ---- a catalogue that cannot be used ----

// As many cards as the version may have beside the one of version 1, and `more`.
static void fill_catalogue(int version, int more)
{
    sql_run("BEGIN");
    add_version(version);
    sql_run("INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens,"
            " provider, aliases, input_pusd, output_pusd, source) SELECT %d, '', 'filler-' || i,"
            " '-infinity', '', 0, '', '{}', 5, 5, '' FROM generate_series(1, %d) i",
            version, CATALOGUE_CARDS_MAX - 1 + more);
    sql_run("COMMIT");
}

START_TEST(a_catalogue_may_be_full)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    fill_catalogue(2, 0);
    use(&w, "m", "filler-99999", 0, 1);
    ck_assert_int_eq(sql_i64("SELECT cost_pusd " ROW " AND price_version = 2"), 55);
}
END_TEST

START_TEST(counting_goes_on_without_a_catalogue_that_is_too_large)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    use(&w, "m", "m", 0, 1);
    fill_catalogue(2, 1);
    use(&w, "m", "m", 0, 1);
    use(&w, "m", "m", 1, 1);
    ck_assert_int_eq(store_pg_price_version(w.store), 1);
    ck_assert_int_eq(sql_i64("SELECT sum(cost_pusd) FROM llm_minute WHERE price_version = 1"),
                     3000);
    ck_assert_int_eq(store_pg_refused_catalogues(w.store), 1); // of one reading
    // One that has just started goes on with the same version.
    struct writer late;
    writer_open(&late, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&late, 1);
    use(&late, "m", "m", 1, 1);
    ck_assert_int_eq(store_pg_price_version(late.store), 1);
    ck_assert_int_eq(cost_of_minute(1), 2000);
    check_hours();
    // A version is read once, not at every flush; once all fit, the next one is taken up.
    sql_run("DELETE FROM llm_price WHERE model = 'filler-1'");
    use(&w, "m", "m", 0, 1);
    ck_assert_int_eq(store_pg_price_version(w.store), 1);
    add_version(3);
    use(&late, "m", "m", 2, 1);
    use(&w, "m", "m", 2, 1);
    ck_assert_int_eq(store_pg_refused_catalogues(w.store), 1);
    ck_assert_int_eq(sql_i64("SELECT cost_pusd FROM llm_minute WHERE price_version = 3"), 2000);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute m JOIN llm_hour h USING (series_id)"
                             " WHERE h.cost_pusd = 7000 AND h.requests = 7"),
                     3);
    writer_close(&late);
}
END_TEST

START_TEST(a_card_without_sense_stops_no_flush)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    use(&w, "m", "m", 0, 1);
    add_version(2);
    sql_run(
        "INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens,"
        " provider, aliases, source) VALUES (2, '', 'n', '-infinity', 'flex', 7, '', '{}', '')");
    ck_assert_int_eq(store_pg_refused_catalogues(w.store), 0);
    use(&w, "m", "m", 0, 1);
    use(&w, "m", "m", 1, 1);
    ck_assert_int_eq(sql_i64("SELECT sum(cost_pusd) FROM llm_minute WHERE price_version = 1"),
                     3000);
    ck_assert_int_eq(store_pg_refused_catalogues(w.store), 1);
    check_hours();
    // Withdrawn and priced at once makes none either.
    sql_run("DELETE FROM llm_price WHERE version = 2");
    add_version(3);
    add_price(3, "m", EVER, 200, 0);
    sql_run("UPDATE llm_price SET withdrawn = true WHERE version = 3");
    use(&w, "m", "m", 1, 1);
    ck_assert_int_eq(cost_of_minute(1), 2000);
    ck_assert_int_eq(store_pg_refused_catalogues(w.store), 2);
    ck_assert_int_eq(store_pg_price_version(w.store), 2); // which is whole by now
}
END_TEST

static void use_as_one_that_starts(int minute, int64_t version)
{
    struct writer late;
    writer_open(&late, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&late, 1);
    use(&late, "m", "m", minute, 1);
    ck_assert_int_eq(store_pg_price_version(late.store), version);
    ck_assert_int_eq(store_pg_refused_catalogues(late.store), 1);
    writer_close(&late);
    check_hours();
}

START_TEST(rows_keep_their_price_when_one_starts_beside_prices_without_sense)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    add_version(2);
    add_price(2, "m", EVER, 200, 0);
    use(&w, "m", "m", 0, 1);
    // The version's own card of the model is good, but it is not taken in half.
    add_version(3);
    add_price(3, "m", EVER, 300, 0);
    add_line(3, "", "n", EVER, "flex", 0, 1, 1);
    use_as_one_that_starts(0, 2);
    use_as_one_that_starts(1, 2);
    ck_assert_int_eq(cost_of_minute(0), 4000);
    ck_assert_int_eq(cost_of_minute(1), 2000);
    // Where the first one is at fault there is none before it: counted, and said to be unpriced.
    sql_run("UPDATE llm_price SET tier = 'flex' WHERE version = 1");
    use_as_one_that_starts(2, 0);
    ck_assert_int_eq(sql_i64("SELECT unpriced_requests FROM llm_minute WHERE " MINUTE(
                         2) " AND (price_version, cost_pusd) = (0, 0)"),
                     1);
}
END_TEST

START_TEST(a_row_keeps_the_version_that_was_mended_after_others_had_refused_it)
{
    add_version(1);
    add_price(1, "m", EVER, 100, 0);
    add_version(2);
    add_price(2, "m", EVER, 200, 0);
    add_line(2, "", "n", EVER, "flex", 0, 1, 1);
    use(&w, "m", "m", 0, 1);
    ck_assert_int_eq(store_pg_price_version(w.store), 1);
    sql_run("DELETE FROM llm_price WHERE model = 'n'");
    struct writer late;
    writer_open(&late, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&late, 1);
    use(&late, "m", "m", 1, 1);
    ck_assert_int_eq(cost_of_minute(1), 2000);
    use(&w, "m", "m", 1, 1);
    ck_assert_int_eq(cost_of_minute(1), 4000);
    ck_assert_int_eq(cost_of_minute(0), 1000);
    ck_assert_int_eq(store_pg_refused_catalogues(w.store), 1);
    check_minutes();
    check_hours();
    writer_close(&late);
    // What cannot be used here is read once for the version, once for the rows.
    add_line(2, "", "n", EVER, "flex", 0, 1, 1);
    writer_open(&late, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&late, 2);
    for (int i = 0; i < 3; i++) {
        sql_run("UPDATE llm_minute SET price_version = 2");
        use(&late, "m", "m", 1, 1);
    }
    ck_assert_int_eq(store_pg_refused_catalogues(late.store), 2);
    ck_assert_int_eq(cost_of_minute(1), 5000);
    writer_close(&late);
}
END_TEST

static Suite *costs_suite(void)
{
    Suite *s = suite_create("store_costs");
    TCase *c = tcase_create("store_costs");
    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, open_database, close_database);
    const TTest *const tests[] = {
        a_price_that_changes_at_a_minute_splits_there,
        rows_keep_what_each_class_costs_and_hours_follow_a_price_that_changes,
        a_price_that_is_withdrawn_is_none_from_its_minute_on,
        a_tenants_price_that_is_withdrawn_leaves_everybodys_and_a_guess_none,
        a_row_keeps_the_version_of_its_first_flush,
        a_version_holds_from_the_next_flush_on,
        a_row_of_a_newer_version_than_ours_is_priced_by_that,
        tiers_bands_and_tenants_have_their_prices,
        what_is_guessed_is_counted_as_such,
        a_line_that_is_folded_takes_its_cost_along,
        a_batch_that_is_done_again_costs_once,
        hours_are_the_sums_of_their_minutes_whatever_happens_at_once,
        a_flush_of_several_batches_is_priced_alike,
        costs_beyond_64_bits_are_exact,
        a_class_beyond_64_bits_stays_at_its_end,
        a_catalogue_may_be_full,
        counting_goes_on_without_a_catalogue_that_is_too_large,
        a_card_without_sense_stops_no_flush,
        rows_keep_their_price_when_one_starts_beside_prices_without_sense,
        a_row_keeps_the_version_that_was_mended_after_others_had_refused_it,
    };
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(c, tests[i]);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    if (!fixture_available())
        return 77;
    log_init("test_store_costs", "text", "error");
    SRunner *r = srunner_create(costs_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
