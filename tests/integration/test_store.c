// SPDX-License-Identifier: Apache-2.0
// The store against a real PostgreSQL: ownership, exact sums, and what becomes of a flush when
// something fails at each of its steps.
#include <check.h>
#include <stdio.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "processor/window.h"
#include "tests/integration/store_fixture.h"

static void open_database(void)
{
    fixture_open(1000);
}

// ---- ownership ----

START_TEST(claims_bump_the_epoch_and_tell_what_was_kept)
{
    struct writer a, b;
    struct claim c;
    writer_open(&a, fixture_dsn(), TIMEOUT_MS);
    writer_open(&b, fixture_dsn(), TIMEOUT_MS);
    ck_ok(&a, store_claim(a.store, 2, 0, &c, &a.err));
    ck_assert(!c.stored && !c.kept);
    ck_assert_int_eq(c.epoch, 1);
    ck_assert_int_eq(c.partition, 2);
    ck_ok(&a, store_claim(a.store, 2, 1, &c, &a.err));
    ck_assert(c.kept);
    ck_assert_int_eq(c.epoch, 1);
    // The same epoch under another token is not mine.
    ck_ok(&b, store_claim(b.store, 2, 1, &c, &b.err));
    ck_assert(!c.kept);
    ck_assert_int_eq(c.epoch, 2);
    // One that was held beyond the row (a restored database) is never shown as kept.
    ck_ok(&b, store_claim(b.store, 2, 3, &c, &b.err));
    ck_assert(!c.kept);
    ck_assert_int_eq(c.epoch, 4);
    ck_result(&a, store_claim(a.store, FIXTURE_PARTITIONS, 0, &c, &a.err), STORE_FATAL);
    ck_assert_ptr_nonnull(strstr(a.err.detail, "partition 4"));
    writer_close(&a);
    writer_close(&b);
}
END_TEST

START_TEST(positions_come_back_as_they_were_stored)
{
    struct writer w;
    struct claim c;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 1);
    writer_claim(&w, 3);
    struct position want[2] = {
        {{{101, 5000, 90, 100, 4999, -7}, {0, TIME_NONE, 0, -1, TIME_NONE, 0}}},
        {{{11, 1, 2, 3, 4, INT64_MAX}, {12, 6, 7, 8, 9, -INT64_MAX}}},
    };
    w.partitions[0].position = want[0];
    w.partitions[1].position = want[1];
    ck_ok(&w, writer_flush(&w));
    ck_ok(&w, writer_flush(&w));
    for (int i = 0; i < 2; i++) {
        ck_ok(&w, store_claim(w.store, 1 + 2 * i, 0, &c, &w.err));
        ck_assert(c.stored);
        ck_assert_int_eq(c.flush_seq, 2);
        ck_assert_mem_eq(&c.position, &want[i], sizeof(want[i]));
    }
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM streamlens_position WHERE flush_seq = 0"
                             " AND request_next IS NULL"),
                     2);
    writer_close(&w);
}
END_TEST

static enum store_result check(struct writer *w)
{
    const struct store_flush f = {.partitions = w->partitions,
                                  .partition_count = w->partition_count};
    return store_check(w->store, &f, &w->err);
}

// Nothing of a flush that was fenced may be seen.
static void check_fenced(struct writer *w)
{
    ck_result(w, check(w), STORE_FENCED);
    ck_assert_str_ne(w->err.detail, "");
    writer_add_simple(w, "fenced", 1);
    ck_result(w, writer_begin(w), STORE_FENCED);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute"), 0);
    // The rows are not locked any more either.
    sql_run("SET lock_timeout = 500; SELECT FROM streamlens_position FOR UPDATE");
    writer_clear(w);
}

static bool has_rival(struct writer *w)
{
    const struct store_flush f = {.partitions = w->partitions,
                                  .partition_count = w->partition_count};
    bool found;
    ck_ok(w, store_find_rival(w->store, &f, &found, &w->err));
    return found;
}

START_TEST(a_rival_is_another_process_of_the_same_id_that_came_later)
{
    struct writer before, w, other, rival, nameless;
    writer_open_as(&before, fixture_dsn(), TIMEOUT_MS, "it's p-1");
    writer_open_as(&w, fixture_dsn(), TIMEOUT_MS, "it's p-1");
    writer_open_as(&other, fixture_dsn(), TIMEOUT_MS, "it's p-2");
    writer_open_as(&rival, fixture_dsn(), TIMEOUT_MS, "it's p-1");
    writer_open(&nameless, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&before, 1);
    for (int i = 0; i < 2; i++)
        writer_claim(&w, i);
    ck_assert(!has_rival(&w)); // whoever had it before
    writer_claim(&other, 0);
    ck_assert(!has_rival(&w)); // others may have what we were away from
    writer_claim(&nameless, 0);
    ck_assert(!has_rival(&w));
    ck_assert(!has_rival(&nameless));
    // As a change of settings does.
    sql_run("UPDATE streamlens_position SET epoch = epoch + 1, token = 0");
    ck_assert(!has_rival(&w));
    writer_claim(&rival, 1);
    ck_assert(has_rival(&w));
    ck_assert(has_rival(&before));
    ck_assert(!has_rival(&other));
    ck_assert(!has_rival(&rival));
    writer_close(&before);
    writer_close(&w);
    writer_close(&other);
    writer_close(&rival);
    writer_close(&nameless);
}
END_TEST

START_TEST(a_flush_is_fenced_by_epoch_token_sequence_and_missing_rows)
{
    struct writer w, other;
    struct claim c;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_open(&other, fixture_dsn(), TIMEOUT_MS);
    for (int i = 0; i < 3; i++)
        writer_claim(&w, i);
    sql_run("BEGIN; SELECT FROM streamlens_position FOR UPDATE");
    ck_ok(&w, check(&w)); // waits for nobody
    sql_run("COMMIT");
    w.partitions[1].epoch--;
    check_fenced(&w);
    w.partitions[1].epoch++;
    w.partitions[2].flush_seq++;
    check_fenced(&w);
    w.partitions[2].flush_seq -= 2;
    check_fenced(&w);
    w.partitions[2].flush_seq++;
    w.partitions[0].partition = -1;
    check_fenced(&w);
    w.partitions[0].partition = 0;
    w.partitions[2].partition =
        FIXTURE_PARTITIONS; // the last one, so that all that are there match
    check_fenced(&w);
    w.partitions[2].partition = 2;
    // Another owner's token under an epoch that happens to be the same.
    sql_run("UPDATE streamlens_position SET token = token + 1 WHERE partition = 0");
    check_fenced(&w);
    sql_run("UPDATE streamlens_position SET token = token - 1 WHERE partition = 0");
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_flush(&w));
    ck_ok(&w, check(&w));
    for (int i = 0; i < 3; i++)
        w.partitions[i].flush_seq--; // all are one flush further than what is asked for
    ck_result(&w, check(&w), STORE_FENCED);
    for (int i = 0; i < 3; i++)
        w.partitions[i].flush_seq++;
    ck_ok(&other, store_claim(other.store, 1, 0, &c, &other.err));
    ck_result(&w, check(&w), STORE_FENCED);
    writer_add_simple(&w, "m", 1);
    ck_result(&w, writer_begin(&w), STORE_FENCED);
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), 1);
    writer_close(&w);
    writer_close(&other);
}
END_TEST

START_TEST(an_owner_that_holds_its_row_is_ended_by_the_next_one)
{
    struct writer a, b;
    // Its time-outs are the server's too, and are not to be what ends it.
    writer_open(&a, fixture_dsn(), 10 * TIMEOUT_MS);
    writer_open(&b, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&a, 0);
    writer_add_simple(&a, "m", 1);
    ck_ok(&a, writer_begin(&a));
    if (_i == 1) // 0: stopped before it wrote anything
        ck_ok(&a, writer_write(&a));
    int64_t began_us = clock_mono_us();
    writer_claim(&b, 0);
    int64_t took_us = clock_mono_us() - began_us;
    ck_assert_int_ge(took_us, 1900000);
    ck_assert_int_le(took_us, 40000000);
    ck_assert_int_gt(b.idle_calls, 10); // health checks were answered meanwhile
    if (_i == 0) {
        ck_result(&a, writer_write(&a), STORE_RETRY);
    } else {
        ck_result(&a, writer_commit(&a), STORE_UNKNOWN);
        ck_result(&a, writer_resolve(&a), STORE_FENCED);
    }
    ck_result(&a, writer_flush(&a), STORE_FENCED);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute"), 0);
    writer_add_simple(&b, "m", 5);
    ck_ok(&b, writer_flush(&b));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), 5);
    writer_close(&a);
    writer_close(&b);
}
END_TEST

START_TEST(an_aborted_flush_leaves_nothing_and_blocks_nobody)
{
    struct writer a, b;
    writer_open(&a, fixture_dsn(), TIMEOUT_MS);
    writer_open(&b, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&a, 0);
    writer_add_simple(&a, "m", 1);
    ck_ok(&a, writer_begin(&a));
    ck_ok(&a, writer_write(&a));
    store_abort(a.store);
    int64_t began_us = clock_mono_us();
    writer_claim(&b, 0);
    ck_assert_int_le(clock_mono_us() - began_us, 1800000);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute"), 0);
    writer_close(&a);
    writer_close(&b);
}
END_TEST

// ---- series ----

START_TEST(series_beyond_the_cap_are_counted_as_other)
{
    struct writer w;
    sql_run("UPDATE streamlens_settings SET max_series_per_tenant = 2");
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    // Asked for by name, __other__ is that same row, and takes nobody's place.
    writer_add(&w, "t", SERIES_OTHER, SERIES_OTHER, T0)->requests = 1000;
    ck_ok(&w, writer_flush(&w));
    for (int round = 0; round < 2; round++) {
        writer_add(&w, "t", "r", "a", T0)->requests = 1;
        writer_add(&w, "t", "r", "b", T0)->requests = 2;
        writer_add(&w, "t", "r", "c", T0)->requests = 4;
        writer_add(&w, "t", "r", "d", T0)->requests = 8;
        writer_add(&w, "u", "r", "c", T0)->requests = 16;
        ck_ok(&w, writer_flush(&w));
    }
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_metrics WHERE tenant_id = 't'"
                             " AND route = '__other__' AND model = '__other__'"),
                     1024);
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_metrics WHERE model IN ('a', 'b')"), 6);
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_metrics WHERE tenant_id = 'u'"), 32);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_series"), 4);
    ck_assert_int_eq(sql_i64("SELECT series_count FROM llm_tenant WHERE tenant_id = 't'"), 2);
    ck_assert_int_eq(store_pg_series_over_cap(w.store), 4); // c and d, in each round
    writer_close(&w);
}
END_TEST

START_TEST(an_id_that_a_series_has_always_has_a_row)
{
    struct proxy *proxy = proxy_start();
    struct writer w;
    writer_open(&w, proxy_dsn(proxy), TIMEOUT_MS);
    writer_claim(&w, 0);
    for (int i = 0; i < 300; i++) {
        char model[16];
        snprintf(model, sizeof(model), "m%d", i);
        writer_add(&w, i % 2 ? "t" : "u", "r", model, T0)->requests = 1;
    }
    // The first COMMIT of a flush is the one that makes its series.
    proxy_set(proxy, PROXY_CUT_BEFORE_COMMIT);
    ck_result(&w, writer_begin(&w), STORE_RETRY);
    sql_await("SELECT (count(*) = 0)::int FROM pg_locks WHERE locktype = 'relation' AND relation ="
              " 'llm_series'::regclass AND pid <> pg_backend_pid()");
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_series"), 0);
    for (size_t i = 0; i < w.cell_count; i++)
        ck_assert_int_eq(w.cells[i].series->store_id, 0);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_metrics WHERE model ~ '^m[0-9]+$'"), 300);
    writer_close(&w);
    proxy_stop(proxy);
}
END_TEST

// ---- lost connections ----

static void end_backends(void)
{
    sql_run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()");
}

START_TEST(a_connection_lost_before_commit_is_a_retry)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "m", 1);
    end_backends();
    ck_result(&w, writer_begin(&w), STORE_RETRY);
    ck_assert(!store_pg_up(w.store));
    ck_assert_int_eq(store_pg_errors(w.store), 1);
    ck_ok(&w, writer_flush(&w));
    ck_assert(store_pg_up(w.store));
    ck_assert_int_eq(store_pg_errors(w.store), 1);
    writer_add_simple(&w, "m", 2);
    ck_ok(&w, writer_begin(&w));
    end_backends();
    ck_result(&w, writer_write(&w), STORE_RETRY);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), 3);
    // The row names the backend of now, for whoever has to end it.
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM streamlens_position p JOIN pg_stat_activity a"
                             " ON a.pid = p.backend_pid AND a.backend_start = p.backend_start"),
                     1);
    writer_close(&w);
}
END_TEST

static const struct lost_commit {
    enum proxy_mode mode;
    enum store_result resolved;
} lost_commits[] = {
    {PROXY_CUT_BEFORE_COMMIT, STORE_RETRY},
    {PROXY_CUT_AFTER_COMMIT, STORE_OK},
    {PROXY_HOLD_COMMIT, STORE_RETRY},
};

START_TEST(a_lost_answer_to_commit_is_resolved)
{
    const struct lost_commit *t = &lost_commits[_i];
    struct proxy *proxy = proxy_start();
    struct writer w;
    writer_open(&w, proxy_dsn(proxy), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_flush(&w));
    writer_add_simple(&w, "m", 2);
    ck_ok(&w, writer_begin(&w));
    ck_ok(&w, writer_write(&w));
    proxy_set(proxy, t->mode);
    ck_result(&w, writer_commit(&w), STORE_UNKNOWN);
    int64_t began_us = clock_mono_us();
    ck_result(&w, writer_resolve(&w), t->resolved);
    // The backend before is ended, not waited for.
    ck_assert_int_le(clock_mono_us() - began_us, 5500000);
    // A COMMIT that arrives after the question was answered must not count any more.
    if (t->mode == PROXY_HOLD_COMMIT)
        ck_assert(!proxy_release(proxy));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), t->resolved == STORE_OK ? 3 : 1);
    if (t->resolved == STORE_OK)
        writer_flushed(&w);
    else
        ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), 3);
    writer_add_simple(&w, "m", 4);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW " AND revision = 3"), 7);
    writer_close(&w);
    proxy_stop(proxy);
}
END_TEST

START_TEST(a_lost_commit_after_which_another_took_over_is_fenced)
{
    struct proxy *proxy = proxy_start();
    struct writer w, other;
    struct claim c;
    writer_open(&w, proxy_dsn(proxy), TIMEOUT_MS);
    writer_open(&other, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_begin(&w));
    ck_ok(&w, writer_write(&w));
    proxy_set(proxy, PROXY_CUT_AFTER_COMMIT);
    ck_result(&w, writer_commit(&w), STORE_UNKNOWN);
    ck_ok(&other, store_claim(other.store, 0, 0, &c, &other.err));
    ck_assert_int_eq(c.flush_seq, 1); // it was committed
    ck_result(&w, writer_resolve(&w), STORE_FENCED);
    writer_close(&w);
    writer_close(&other);
    proxy_stop(proxy);
}
END_TEST

START_TEST(a_server_that_does_not_answer_is_given_up_in_time)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), 1000);
    writer_claim(&w, 0);
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_flush(&w));
    sql_run("BEGIN; LOCK llm_minute IN ACCESS EXCLUSIVE MODE");
    writer_add_simple(&w, "m", 2);
    ck_ok(&w, writer_begin(&w));
    int64_t began_us = clock_mono_us();
    ck_result(&w, writer_write(&w), STORE_RETRY);
    ck_assert_int_le(clock_mono_us() - began_us, 20000000);
    sql_run("ROLLBACK");
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), 3);
    writer_close(&w);
}
END_TEST

// ---- settings, schema, closing ----

START_TEST(settings_are_those_of_the_newest_epoch)
{
    struct writer w;
    struct store_settings s;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    ck_ok(&w, store_settings(w.store, &s, &w.err));
    ck_assert_int_eq(s.partitions, FIXTURE_PARTITIONS);
    ck_assert_int_eq(s.epoch, 1);
    sql_run("INSERT INTO streamlens_settings VALUES (2, 5000, 600, 70, 1, now(), 2)");
    ck_ok(&w, store_settings(w.store, &s, &w.err));
    ck_assert(s.join_ttl_ms == 5000 && s.join_skew_ms == 600 && s.max_series_per_tenant == 70);
    ck_assert_int_eq(s.epoch, 2);
    writer_close(&w);
}
END_TEST

static void check_refused(const char *dsn, const char *words)
{
    struct writer w;
    struct store_settings s;
    writer_open(&w, dsn, TIMEOUT_MS);
    ck_result(&w, store_settings(w.store, &s, &w.err), STORE_FATAL);
    ck_assert_msg(strstr(w.err.detail, words) != NULL, "%s", w.err.detail);
    ck_assert_ptr_null(strstr(w.err.detail, "geheim"));
    writer_close(&w);
}

START_TEST(a_database_that_does_not_fit_is_refused_in_words)
{
    sql_run("INSERT INTO streamlens_schema VALUES (99, 'newest', 99)");
    check_refused(fixture_dsn(), "version 99");
    sql_run("DELETE FROM streamlens_schema");
    check_refused(fixture_dsn(), "run: streamlens-admin setup");
    // Newer, but such that this build may go on.
    sql_run("INSERT INTO streamlens_schema VALUES (99, 'later', 1)");
    struct writer w;
    struct store_settings s;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    ck_ok(&w, store_settings(w.store, &s, &w.err));
    writer_close(&w);
    sql_run("DROP TABLE streamlens_schema");
    check_refused(fixture_dsn(), "run: streamlens-admin setup");
    char dsn[600];
    snprintf(dsn, sizeof(dsn), "%s_missing", fixture_dsn());
    check_refused(dsn, "does not exist");
    check_refused("postgresql://u:geheim@h:port/x", "invalid");
    check_refused("geheim", "cannot be read");
}
END_TEST

START_TEST(a_server_that_is_away_is_waited_for)
{
    struct writer w;
    struct store_settings s;
    writer_open(&w, "host=127.0.0.1 port=1 dbname=x user=x", TIMEOUT_MS);
    ck_result(&w, store_settings(w.store, &s, &w.err), STORE_RETRY);
    // The next attempt is not due yet: the answer comes at once, with the reason.
    int64_t least_us = INT64_MAX; // others may have had their turn in between
    for (int i = 0; i < 5; i++) {
        int64_t began_us = clock_mono_us();
        w.err = (struct err){0};
        ck_result(&w, store_settings(w.store, &s, &w.err), STORE_RETRY);
        least_us = least_us < clock_mono_us() - began_us ? least_us : clock_mono_us() - began_us;
    }
    ck_assert_int_le(least_us, 50000);
    ck_assert_ptr_nonnull(strstr(w.err.detail, "refused"));
    ck_assert(!store_pg_up(w.store));
    writer_close(&w);
}
END_TEST

START_TEST(closing_tells_the_newest_window_that_has_ended)
{
    struct writer w;
    struct store_closing c;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    ck_ok(&w, store_closing(w.store, T0 / 1000, 10000, &c, &w.err));
    ck_assert(c.want_ms == TIME_NONE && c.progress.through_ms == TIME_NONE);
    for (int i = 0; i < FIXTURE_PARTITIONS; i++) {
        writer_claim(&w, i);
        w.partitions[i].position.log[0].time_ms = 5000 + i;
        w.partitions[i].position.log[1].time_ms = i == 2 ? 4000 : 9000;
    }
    writer_add(&w, "t", "r", "m", T0)->requests = 1;
    writer_add(&w, "t", "r", "m", T0 - 40 * US_PER_DAY)->requests = 1;
    writer_add(&w, "t", "r", "m", T0 + WINDOW_US)->requests = 1;
    ck_ok(&w, writer_flush(&w));
    int64_t end_ms = T0 / 1000 + 60000 + 10000;
    ck_ok(&w, store_closing(w.store, end_ms, 10000, &c, &w.err));
    ck_assert_int_eq(c.want_ms, end_ms);
    ck_assert_int_eq(c.progress.through_ms, 4000);
    ck_ok(&w, store_closing(w.store, end_ms - 1, 10000, &c, &w.err));
    ck_assert_int_eq(c.want_ms, end_ms - 40 * (US_PER_DAY / 1000));
    w.partitions[3].position.log[1].time_ms = TIME_NONE;
    ck_ok(&w, writer_flush(&w));
    ck_ok(&w, store_closing(w.store, end_ms + 60000, 10000, &c, &w.err));
    ck_assert_int_eq(c.want_ms, end_ms + 60000);
    ck_assert(c.progress.through_ms == TIME_NONE);
    writer_close(&w);
}
END_TEST

static Suite *store_suite(void)
{
    Suite *s = suite_create("store");
    TCase *c = tcase_create("store");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, open_database, fixture_close);
    const TTest *const tests[] = {
        claims_bump_the_epoch_and_tell_what_was_kept,
        positions_come_back_as_they_were_stored,
        a_rival_is_another_process_of_the_same_id_that_came_later,
        a_flush_is_fenced_by_epoch_token_sequence_and_missing_rows,
        an_aborted_flush_leaves_nothing_and_blocks_nobody,
        series_beyond_the_cap_are_counted_as_other,
        an_id_that_a_series_has_always_has_a_row,
        a_connection_lost_before_commit_is_a_retry,
        a_lost_commit_after_which_another_took_over_is_fenced,
        a_server_that_does_not_answer_is_given_up_in_time,
        settings_are_those_of_the_newest_epoch,
        a_database_that_does_not_fit_is_refused_in_words,
        a_server_that_is_away_is_waited_for,
        closing_tells_the_newest_window_that_has_ended,
    };
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(c, tests[i]);
    tcase_add_loop_test(c, an_owner_that_holds_its_row_is_ended_by_the_next_one, 0, 2);
    tcase_add_loop_test(c, a_lost_answer_to_commit_is_resolved, 0, ARRAY_LEN(lost_commits));
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    if (!fixture_available())
        return 77;
    SRunner *r = srunner_create(store_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
