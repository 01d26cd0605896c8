// SPDX-License-Identifier: Apache-2.0
// The store's rows against a real PostgreSQL: exact sums, also of several flushes at once.
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/core/timeunit.h"
#include "processor/window.h"
#include "tests/integration/store_fixture.h"

static void open_database(void)
{
    fixture_open(1000);
}

// ---- rows ----

static void fill(struct facts *f)
{
    f->requests = 7;
    f->responses = 4;
    f->unanswered = 1;
    f->errors = 2;
    f->without_latency = 1;
    f->clamped_usage = 1;
    f->reported_requests = 2;
    f->reported_cost = 123456;
    f->generation_us = 1500000;
    f->generation_tokens = 27;
    struct usage_key key = {STR_LIT("m-1"), STR_LIT("m"), STR_LIT("flex"), 200000};
    struct usage u = {1, 1000001, 5, 6, 7, 20, 8}, v = {3, 0, 0, 0, 0, 10, 0};
    usage_lines_add(&f->usage, &key, &u);
    key.tier = (struct str){0};
    usage_lines_add(&f->usage, &key, &v);
    hist_record(&f->latency, 1000);
    hist_record(&f->latency, 2000);
    hist_record(&f->latency, HIST_MAX_US + 5);
    hist_record(&f->ttft, 0);
    name_counts_add(&f->error_classes, STR_LIT("rate \"limit\" ü"), 2);
    name_counts_add(&f->finish_reasons, STR_LIT("stop"), 3);
}

START_TEST(a_row_holds_what_was_counted)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    fill(writer_add(&w, "t", "r", "m", T0));
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(
        sql_i64(
            "SELECT count(*) " ROW " AND tenant_id = 't' AND (requests, responses, unanswered,"
            " errors, without_latency, clamped_usage, reported_requests, reported_cost_pusd)"
            " = (7, 4, 1, 2, 1, 1, 2, 123456) AND (uncached_prompt_tokens, cached_prompt_tokens,"
            " cache_write_5m_tokens, cache_write_1h_tokens, completion_tokens, reasoning_tokens,"
            " revision) = (1000001, 5, 6, 7, 30, 8, 1)"
            " AND window_start = '2026-11-21T06:14:00Z'"),
        1);
    ck_assert_int_eq(
        sql_i64("SELECT count(*) " ROW " AND (latency_count, latency_sum_us, latency_max_us,"
                " latency_clamped) = (3, 3600003005, 3600000005, 1)"
                " AND (ttft_count, ttft_sum_us, ttft_max_us, ttft_clamped, ttft_p50_us) = (1, 0, 0,"
                " 0, 0) AND latency_p50_us BETWEEN 2000 AND 2015 AND latency_p99_us >= 3600000000"
                " AND error_classes = '{\"rate \\\"limit\\\" ü\": 2}'"
                " AND finish_reasons = '{\"stop\": 3}'"),
        1);
    ck_assert_int_eq(
        sql_i64("SELECT count(*) FROM llm_metrics WHERE tenant_id = 't' AND in_flight = 2"
                " AND window_end = '2026-11-21T06:15:00Z' AND avg_latency_ms = 3600003.005 / 3"
                " AND prompt_tokens = 1000019 AND avg_prompt_tokens = 250004.75"
                " AND cache_write_tokens = 13 AND avg_completion_tokens = 7.5"
                " AND reported_cost_usd_decimal = 0.000000123456 AND unpriced_tokens = 1000049"
                " AND unpriced_requests = 4 AND estimated_cost_usd = 0"
                " AND p50_latency_ms BETWEEN 2 AND 2.015 AND avg_ttft_ms = 0"
                " AND output_tokens_per_second = 18 AND generation_tokens = 27"
                " AND generation_ms = 1500"),
        1);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_hour h, llm_minute m WHERE h.series_id ="
                             " m.series_id AND h.window_start = '2026-11-21T06:00:00Z' AND"
                             " h.latency_hdr = m.latency_hdr AND h.requests = 7"
                             " AND (h.generation_us, h.generation_tokens) = (1500000, 27)"),
                     1);
    writer_close(&w);
}
END_TEST

START_TEST(a_row_without_answers_has_no_histogram_and_averages_of_0)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "m", 3);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT count(*) " ROW " AND latency_hdr IS NULL AND ttft_hdr IS NULL"
                             " AND latency_p50_us IS NULL AND error_classes = '{}'"
                             " AND usage = '{}' AND cost_pusd = 0"),
                     1);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_metrics WHERE avg_latency_ms = 0"
                             " AND p95_latency_ms = 0 AND avg_prompt_tokens = 0 AND in_flight = 3"
                             " AND estimated_cost_usd = 0 AND avg_ttft_ms IS NULL"
                             " AND reported_cost_usd IS NULL AND unpriced_requests = 0"
                             " AND output_tokens_per_second IS NULL AND generation_ms = 0"),
                     1);
    writer_close(&w);
}
END_TEST

// What the database says of the latencies, decoded.
static void check_latency(const char *table, const struct hist *want)
{
    size_t n;
    struct hist got = {0};
    struct err e;
    char *bytes = sql_bytes(&n, "SELECT latency_hdr FROM %s", table);
    ck_assert_int_eq(hist_decode_add(&got, bytes, n, &e), 0);
    ck_assert_int_eq(got.total, want->total);
    for (double q = 0; q <= 1; q += 0.01) {
        got.max_us = want->max_us;
        ck_assert_int_eq(hist_quantile(&got, q), hist_quantile(want, q));
    }
    hist_clear(&got);
    free(bytes);
}

START_TEST(later_flushes_add_to_the_row)
{
    struct writer w;
    struct hist want = {0};
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    for (int i = 0; i < 5; i++) {
        struct facts *f = writer_add(&w, "t", "r", "m", T0);
        for (int v = 1; v <= 40; v++) {
            hist_record(&f->latency, (int64_t)v * v * v * (i + 1));
            hist_record(&want, (int64_t)v * v * v * (i + 1));
        }
        f->requests = f->responses = 40;
        f->generation_us = INT64_C(1) << i;
        f->generation_tokens = INT64_C(1) << 4 * i;
        name_counts_add(&f->error_classes, i % 2 ? STR_LIT("odd") : STR_LIT("even"), i);
        ck_ok(&w, writer_flush(&w));
    }
    ck_assert_int_eq(sql_i64("SELECT requests " ROW " AND revision = 5 AND responses = 200"
                             " AND error_classes = '{\"odd\": 4, \"even\": 6}'"),
                     200);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM (TABLE llm_minute UNION ALL TABLE llm_hour) t"
                             " WHERE (generation_us, generation_tokens) = (31, x'11111'::int)"),
                     2);
    ck_assert_int_eq(sql_i64("SELECT latency_sum_us " ROW), want.sum_us);
    ck_assert_int_eq(sql_i64("SELECT latency_p95_us " ROW), hist_quantile(&want, 0.95));
    check_latency("llm_minute", &want);
    check_latency("llm_hour", &want);
    hist_clear(&want);
    writer_close(&w);
}
END_TEST

START_TEST(cells_of_one_row_are_one_row)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < 120; i++) // two hours of two series, each window twice
            for (int twice = 0; twice < 2; twice++)
                writer_add(&w, "t", "r", i % 2 ? "m" : "n", T0 + i / 2 * WINDOW_US)->requests = 1;
        ck_ok(&w, writer_flush(&w));
        ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute WHERE requests = %d", 2 * round),
                         120);
        ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_hour"), 4);
        ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_hour"), 240 * round);
        ck_assert_int_eq(sql_i64("SELECT max(revision) FROM llm_hour"), round);
    }
    writer_close(&w);
}
END_TEST

START_TEST(a_row_may_outgrow_its_page)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    struct hist want = {0};
    for (int round = 0; round < 2; round++) {
        struct facts *f = writer_add(&w, "t", "r", "m", T0);
        for (int i = 0; i < HIST_COUNTS && hist_lowest(i) <= HIST_MAX_US; i++)
            for (int n = 0; n < 70; n++) { // beyond 63 a count takes two bytes
                hist_record(&f->latency, hist_lowest(i));
                hist_record(&f->ttft, hist_lowest(i));
                hist_record(&want, hist_lowest(i));
            }
        ck_ok(&w, writer_flush(&w));
    }
    ck_assert_int_gt(sql_i64("SELECT length(latency_hdr) + length(ttft_hdr) " ROW), 8160);
    check_latency("llm_minute", &want);
    hist_clear(&want);
    writer_close(&w);
}
END_TEST

START_TEST(a_row_that_cannot_be_read_is_not_overwritten)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    fill(writer_add(&w, "t", "r", "m", T0));
    ck_ok(&w, writer_flush(&w));
    const char *const damage[] = {"latency_hdr = '\\x001122'",   "latency_hdr = NULL",
                                  "error_classes = '[]'",        "latency_count = 2",
                                  "usage = ARRAY[usage, usage]", "usage = ARRAY[NULL::llm_usage]",
                                  "reported_cost_pusd = 'NaN'"};
    const char *const table[] = {"llm_minute", "llm_hour"};
    sql_run("CREATE TABLE kept AS SELECT * FROM llm_minute");
    for (size_t i = 0; i < 2 * ARRAY_LEN(damage); i++) {
        sql_run("UPDATE %s SET revision = revision + 1, %s", table[i % 2], damage[i / 2]);
        writer_add_simple(&w, "m", 1);
        ck_result(&w, writer_flush(&w), STORE_FATAL);
        ck_assert_ptr_nonnull(strstr(w.err.detail, "cannot be read"));
        ck_assert_int_eq(sql_i64("SELECT requests " ROW), 7);
        writer_clear(&w);
        sql_run("UPDATE %s d SET latency_hdr = k.latency_hdr, error_classes = k.error_classes,"
                " latency_count = k.latency_count, usage = k.usage,"
                " reported_cost_pusd = k.reported_cost_pusd FROM kept k",
                table[i % 2]);
    }
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), 8);
    writer_close(&w);
}
END_TEST

// ---- what was written is kept ----

// By all writers, of llm_minute or llm_hour. Who is connected has not told all of it.
static int64_t looked_up(const char *table)
{
    sql_await("SELECT (count(*) = 0)::int FROM pg_stat_activity WHERE datname = current_database()"
              " AND application_name = 'streamlens-processor'");
    return sql_i64("SELECT coalesce(sum(idx_tup_fetch), 0)::bigint FROM pg_stat_user_tables"
                   " WHERE relname ~ '^%s_2'",
                   table);
}

// How often each row is looked up by flushes that lock and write it, and read it as well where what
// the one before wrote is not known.
static int64_t looked_up_by(int flushes, bool reconnects)
{
    struct writer w;
    const int64_t before = looked_up("llm_minute");
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    for (int i = 0; i < flushes; i++) {
        for (int row = 0; row < 100; row++) {
            char model[16];
            snprintf(model, sizeof(model), "m%d", row);
            fill(writer_add(&w, "t", "r", model, T0));
        }
        ck_ok(&w, writer_flush(&w));
        if (reconnects)
            sql_run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname ="
                    " current_database() AND application_name = 'streamlens-processor'");
    }
    writer_close(&w);
    return (looked_up("llm_minute") - before) / 100;
}

START_TEST(what_the_flush_before_wrote_is_not_read_again)
{
    looked_up_by(1, false); // makes the rows
    int64_t once = looked_up_by(1, false), ten = looked_up_by(10, false);
    ck_assert_int_eq(ten - 10 * once, -9); // the first one reads
    ck_assert_int_eq(looked_up_by(10, true), 10 * once);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM (TABLE llm_minute UNION ALL TABLE llm_hour) t"
                             " WHERE (requests, responses, latency_count, ttft_count, revision)"
                             " = (7 * 22, 4 * 22, 3 * 22, 22, 22)"),
                     200);
}
END_TEST

START_TEST(a_row_of_the_same_revision_that_another_wrote_is_read)
{
    struct writer w, other;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_open(&other, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_claim(&other, 1);
    writer_add_simple(&w, "m", 3);
    ck_ok(&w, writer_flush(&w));
    sql_run("DELETE FROM llm_minute; DELETE FROM llm_hour");
    writer_add_simple(&other, "m", 5);
    ck_ok(&other, writer_flush(&other));
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW " AND revision = 2"), 6);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_hour"), 6);
    writer_close(&w);
    writer_close(&other);
}
END_TEST

START_TEST(what_was_written_and_rolled_back_is_not_what_is_there)
{
    struct writer w, other;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_open(&other, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_claim(&other, 1);
    writer_add_simple(&w, "m", 3);
    ck_ok(&w, writer_flush(&w));
    writer_add_simple(&w, "m", 100);
    ck_ok(&w, writer_begin(&w));
    ck_ok(&w, writer_write(&w));
    store_abort(w.store);
    writer_clear(&w);
    writer_add_simple(&other, "m", 5); // takes the revision that was rolled back
    ck_ok(&other, writer_flush(&other));
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW " AND revision = 3"), 9);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_hour"), 9);
    writer_close(&w);
    writer_close(&other);
}
END_TEST

// A correction of prices is no flush, and gives the row the revision that was rolled back.
START_TEST(what_was_rolled_back_is_forgotten)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "m", 3);
    ck_ok(&w, writer_flush(&w));
    writer_add_simple(&w, "m", 100);
    ck_ok(&w, writer_begin(&w));
    ck_ok(&w, writer_write(&w));
    store_abort(w.store);
    sql_run("UPDATE llm_minute SET revision = revision + 1;"
            " UPDATE llm_hour SET revision = revision + 1");
    ck_ok(&w, writer_flush(&w)); // the same deltas again
    ck_assert_int_eq(sql_i64("SELECT requests " ROW " AND revision = 3"), 103);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_hour WHERE revision = 3"), 103);
    writer_close(&w);
}
END_TEST

// As a correction of prices does it, which is no flush.
START_TEST(a_kept_row_that_was_changed_since_is_read_again)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    for (int i = 0; i < 3; i++) {
        writer_add_simple(&w, "k", 3);
        writer_add_simple(&w, "m", 3);
        ck_ok(&w, writer_flush(&w));
        sql_run("UPDATE %s SET revision = revision + 1, errors = errors + 10 WHERE series_id ="
                " (SELECT series_id FROM llm_series WHERE model = 'm')",
                i == 0 ? "llm_minute" : "llm_hour");
    }
    ck_assert_int_eq(sql_i64("SELECT count(*) " ROW " AND (requests, errors, revision)"
                             " = (9, 10, 4)"),
                     1);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_hour WHERE (requests, errors, revision)"
                             " = (9, 20, 5)"),
                     1);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM (TABLE llm_minute UNION ALL TABLE llm_hour) t"
                             " WHERE (requests, errors, revision) = (9, 0, 3)"),
                     2);
    writer_close(&w);
}
END_TEST

START_TEST(a_kept_row_that_is_gone_is_made_anew)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    for (int i = 0; i < 2; i++) {
        writer_add_simple(&w, "k", 3);
        writer_add_simple(&w, "m", 3);
        ck_ok(&w, writer_flush(&w));
        if (i == 0)
            sql_run("DELETE FROM llm_minute WHERE series_id ="
                    " (SELECT series_id FROM llm_series WHERE model = 'm')");
    }
    ck_assert_int_eq(sql_i64("SELECT requests " ROW " AND revision = 1"), 3);
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_minute"), 9);
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_hour"), 12);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_publish"), 2);
    writer_close(&w);
}
END_TEST

#define LARGE 500 // rows of 40 KiB: in both tables more than is kept

START_TEST(rows_beyond_what_is_kept_are_read)
{
    struct writer w;
    char name[EVENT_NAME_MAX];
    memset(name, 'x', sizeof(name));
    writer_open(&w, fixture_dsn(), 30000);
    writer_claim(&w, 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < LARGE; i++) {
            char model[16];
            snprintf(model, sizeof(model), "m%d", i);
            struct facts *f = writer_add(&w, "t", "r", model, T0);
            f->requests = f->responses = USAGE_LINES;
            for (int line = 0; line < USAGE_LINES; line++) {
                snprintf(name, 8, "%06d", line);
                name[6] = '-';
                struct usage_key key = {.model = {name, sizeof(name)}, .asked = {name, 250}};
                struct usage u = {1, 1 + i, 0, 0, 0, 1, 0};
                usage_lines_add(&f->usage, &key, &u);
            }
        }
        ck_ok(&w, writer_flush(&w));
    }
    writer_close(&w);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM (TABLE llm_minute UNION ALL TABLE llm_hour) t"
                             " WHERE (requests, revision, cardinality(usage), completion_tokens)"
                             " = (3 * 64, 3, 64, 3 * 64)"),
                     2 * LARGE);
    ck_assert_int_eq(sql_i64("SELECT sum(uncached_prompt_tokens) FROM llm_hour"),
                     3 * INT64_C(64) * LARGE * (LARGE + 1) / 2);
    // Those of minutes are kept, and of hours some.
    int64_t read = looked_up("llm_hour") - looked_up("llm_minute");
    ck_assert_int_gt(read, 0);
    ck_assert_int_lt(read, INT64_C(2) * LARGE);
}
END_TEST

START_TEST(a_row_above_2_KiB_is_not_compressed_on_its_way)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    struct facts *f = writer_add(&w, "t", "r", "m", T0);
    fill(f);
    for (int i = 0; i < 1000; i++)
        hist_record(&f->latency, hist_lowest(i));
    for (int i = 0; i < 20; i++) {
        struct usage_key key = {.model = STR_LIT("another"), .context_above = i};
        struct usage u = {1, 1, 0, 0, 0, 1, 0};
        usage_lines_add(&f->usage, &key, &u);
    }
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_gt(sql_i64("SELECT pg_column_size(m.*) " ROW), 2048);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM (TABLE llm_minute UNION ALL TABLE llm_hour) t"
                             " WHERE pg_column_compression(usage) IS NULL AND"
                             " pg_column_compression(latency_hdr) IS NULL"
                             " AND pg_column_compression(finish_reasons) IS NULL"),
                     2);
    writer_close(&w);
}
END_TEST

// ---- several at once ----

#define CHILDREN 3
#define CHILD_FLUSHES 15
#define CHILD_ROWS 100

static int flush_as_child(int number)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, number);
    int rc = 0;
    for (int i = 0; rc == 0 && i < CHILD_FLUSHES; i++) {
        for (int row = 0; row < CHILD_ROWS; row++) {
            char model[16];
            snprintf(model, sizeof(model), "m%d", (row * 7 + number) % CHILD_ROWS);
            // A new window every third flush, so that rows are made all the time.
            struct facts *f = writer_add(&w, "t", "r", model, T0 + i / 3 * WINDOW_US);
            f->requests = 1;
            hist_record(&f->latency, 1000 + row);
        }
        if (writer_flush(&w) != STORE_OK) {
            fprintf(stderr, "child %d: %s\n", number, w.err.detail);
            rc = 1;
        }
    }
    writer_close(&w);
    return rc;
}

START_TEST(flushes_of_the_same_rows_at_once_add_up)
{
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(flush_as_child(i));
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    int64_t all = CHILDREN * CHILD_FLUSHES * CHILD_ROWS;
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_minute"), all);
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_hour"), all);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute WHERE requests = 9 AND revision = 9"
                             " AND latency_count = 9"),
                     CHILD_FLUSHES / 3 * CHILD_ROWS);
    ck_assert_int_eq(sql_i64("SELECT series_count FROM llm_tenant"), CHILD_ROWS);
}
END_TEST

static void *write_in_thread(void *arg)
{
    return (void *)(intptr_t)writer_write(arg); // NOLINT
}

static void *flush_in_thread(void *arg)
{
    return (void *)(intptr_t)writer_flush(arg); // NOLINT
}

START_TEST(flushes_of_the_same_rows_take_turns)
{
    struct writer a, b;
    writer_open(&a, fixture_dsn(), TIMEOUT_MS);
    writer_open(&b, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&a, 0);
    writer_claim(&b, 1);
    writer_add_simple(&b, "m", 1); // from here on it has looked up all names that it needs
    ck_ok(&b, writer_flush(&b));
    writer_add_simple(&a, "m", 3);
    writer_add_simple(&b, "m", 4);
    ck_ok(&a, writer_begin(&a));
    ck_ok(&a, writer_write(&a));
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, flush_in_thread, &b), 0);
    // b waits for its turn, until a's is committed or not; and holds nothing meanwhile.
    sql_await("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
              " AND wait_event_type = 'Lock'");
    sql_run("SELECT FROM streamlens_position WHERE partition = 1 FOR UPDATE NOWAIT");
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM pg_stat_activity WHERE datname ="
                             " current_database() AND wait_event_type = 'Lock' AND"
                             " coalesce(backend_xid, backend_xmin) IS NOT NULL"),
                     0);
    ck_ok(&a, writer_commit(&a));
    void *rc;
    pthread_join(thread, &rc);
    ck_assert_msg((intptr_t)rc == STORE_OK, "%s", b.err.detail);
    ck_assert_int_eq(sql_i64("SELECT requests " ROW " AND revision = 3"), 8);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_hour WHERE revision = 3"), 8);
    writer_close(&a);
    writer_close(&b);
}
END_TEST

// Whoever takes no turn, such as a processor of an older version, makes the row after it was read
// that it is not there.
START_TEST(a_row_that_is_made_meanwhile_is_read_again)
{
    const char *table = _i == 0 ? "llm_minute" : "llm_hour";
    struct writer a, b;
    writer_open(&a, fixture_dsn(), TIMEOUT_MS);
    writer_open(&b, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&a, 0);
    writer_claim(&b, 1);
    writer_add_simple(&a, "k", 3);
    writer_add_simple(&a, "m", 3);
    ck_ok(&a, writer_flush(&a));
    sql_run("CREATE TABLE aside AS SELECT t.* FROM %s t JOIN llm_series USING (series_id)"
            " WHERE model = 'm'; DELETE FROM %s WHERE series_id = (SELECT series_id FROM aside)",
            table, table);
    writer_add_simple(&b, "k", 4);
    writer_add_simple(&b, "m", 4);
    ck_ok(&b, writer_begin(&b));
    sql_run("BEGIN; INSERT INTO %s SELECT * FROM aside", table);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_in_thread, &b), 0);
    sql_await("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
              " AND wait_event = 'transactionid'");
    sql_run("COMMIT");
    void *rc;
    pthread_join(thread, &rc);
    ck_assert_msg((intptr_t)rc == STORE_OK, "%s", b.err.detail);
    ck_ok(&b, writer_commit(&b));
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM (TABLE llm_minute UNION ALL TABLE llm_hour) t"
                             " WHERE (requests, revision) = (7, 2)"),
                     4);
    writer_close(&a);
    writer_close(&b);
}
END_TEST

// Some are there and some are not, of several partitions.
START_TEST(a_flush_may_make_rows_of_several_days)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    for (int days = 1; days <= 5; days += 2) {
        for (int day = 0; day < days; day++) {
            writer_add(&w, "t", "r", "m", T0 + day * US_PER_DAY)->requests = 1;
            writer_add(&w, "t", "r", "n", T0 + day * US_PER_DAY)->requests = 1;
        }
        ck_ok(&w, writer_flush(&w));
    }
    for (int day = 0; day < 5; day++)
        ck_assert_int_eq(
            sql_i64("SELECT count(*) FROM (TABLE llm_minute UNION ALL TABLE llm_hour) t"
                    " WHERE (requests, revision) = (%d, %d) AND window_start::date ="
                    " date '2026-11-21' + %d",
                    3 - (day + 1) / 2, 3 - (day + 1) / 2, day),
            4);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_publish"), 10);
    writer_close(&w);
}
END_TEST

START_TEST(two_flushes_may_need_the_same_new_day)
{
    struct writer w[2];
    pthread_t thread[2];
    // Both wait for the lock under which partitions are made, and get it one after the other.
    sql_run("SELECT pg_advisory_lock(hashtextextended('streamlens public.llm_minute', 0))");
    for (int i = 0; i < 2; i++) {
        writer_open(&w[i], fixture_dsn(), TIMEOUT_MS);
        writer_claim(&w[i], i);
        writer_add_simple(&w[i], "m", 1);
        writer_add(&w[i], "t", "r", "m", T0 + 40 * US_PER_DAY)->requests = 1;
        ck_assert_int_eq(pthread_create(&thread[i], NULL, flush_in_thread, &w[i]), 0);
    }
    sql_await("SELECT (count(*) = 2)::int FROM pg_stat_activity WHERE datname = current_database()"
              " AND wait_event = 'advisory'");
    sql_run("SELECT pg_advisory_unlock_all()");
    for (int i = 0; i < 2; i++) {
        void *rc;
        pthread_join(thread[i], &rc);
        ck_assert_msg((intptr_t)rc == STORE_OK, "%s", w[i].err.detail);
    }
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute WHERE requests = 2"), 2);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM pg_inherits WHERE inhparent IN"
                             " ('llm_minute'::regclass, 'llm_hour'::regclass)"),
                     4);
    writer_close(&w[0]);
    writer_close(&w[1]);
}
END_TEST

START_TEST(a_day_dropped_by_retention_is_made_again)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_flush(&w));
    sql_run("DROP TABLE llm_minute_20261121");
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_begin(&w));
    ck_result(&w, writer_write(&w), STORE_RETRY);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), 1);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_hour"), 2);
    writer_close(&w);
}
END_TEST

START_TEST(what_is_over_without_a_row_counts_with_its_request)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add(&w, "t", "r", "m", T0)->unanswered = 2;
    writer_add(&w, "t", "r", "m", T0 + US_PER_MIN)->unanswered = 1;
    writer_add(&w, "t", "r", "m", T0 + US_PER_MIN)->requests = 3; // made since
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_minute"), 5);
    ck_assert_int_eq(sql_i64("SELECT min(requests - unanswered) FROM llm_minute"), 0);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_hour"), 5);
    writer_add(&w, "t", "r", "m", T0 + US_PER_MIN)->unanswered = 4;
    writer_add(&w, "t", "r", "m", T0)->requests = 1;
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_minute"), 8);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_hour"), 8);
    ck_assert_int_eq(sql_i64("SELECT unanswered FROM llm_hour"), 7);
    writer_close(&w);
}
END_TEST

static Suite *rows_suite(void)
{
    Suite *s = suite_create("store_rows");
    TCase *c = tcase_create("store_rows");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, open_database, fixture_close);
    const TTest *const tests[] = {
        a_row_holds_what_was_counted,
        a_row_without_answers_has_no_histogram_and_averages_of_0,
        later_flushes_add_to_the_row,
        cells_of_one_row_are_one_row,
        a_row_may_outgrow_its_page,
        a_row_that_cannot_be_read_is_not_overwritten,
        what_the_flush_before_wrote_is_not_read_again,
        a_row_of_the_same_revision_that_another_wrote_is_read,
        what_was_written_and_rolled_back_is_not_what_is_there,
        what_was_rolled_back_is_forgotten,
        a_kept_row_that_was_changed_since_is_read_again,
        a_kept_row_that_is_gone_is_made_anew,
        rows_beyond_what_is_kept_are_read,
        a_row_above_2_KiB_is_not_compressed_on_its_way,
        flushes_of_the_same_rows_at_once_add_up,
        flushes_of_the_same_rows_take_turns,
        a_flush_may_make_rows_of_several_days,
        two_flushes_may_need_the_same_new_day,
        a_day_dropped_by_retention_is_made_again,
        what_is_over_without_a_row_counts_with_its_request,
    };
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(c, tests[i]);
    tcase_add_loop_test(c, a_row_that_is_made_meanwhile_is_read_again, 0, 2);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    if (!fixture_available())
        return 77;
    SRunner *r = srunner_create(rows_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
