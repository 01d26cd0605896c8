// SPDX-License-Identifier: Apache-2.0
// Which windows wait to be closed, and closing them.
#include <pthread.h>

#include "common/core/timeunit.h"
#include "processor/publish_pg.h"
#include "processor/window.h"
#include "tests/integration/store_fixture.h"

#define GRACE_MS 10000
#define WAIT_MS 60000
#define NOW (T0 / 1000 + 3600000)
// When a partition has passed the window that begins i minutes after T0.
#define PAST(i) (T0 / 1000 + ((i) + 1) * 60000 + GRACE_MS)

static const struct closing_rule rule = {GRACE_MS, WAIT_MS};
static struct writer w;
static struct publish_store *publisher; // of w's process

static void setup(void)
{
    fixture_open(100);
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    for (int i = 0; i < FIXTURE_PARTITIONS; i++)
        writer_claim(&w, i);
    publisher = publish_pg_new(&w.config, store_pg_token(w.store), TIMEOUT_MS);
}

static void teardown(void)
{
    publish_store_free(publisher);
    writer_close(&w);
    fixture_close();
}

// Flushes with this time of all partitions, but of one topic of one of them another.
static void flush_with(int64_t time_ms, int topic, int64_t other_ms)
{
    for (int i = 0; i < FIXTURE_PARTITIONS; i++)
        for (int k = 0; k < 2; k++)
            w.partitions[i].position.log[k].time_ms = i == 2 && k == topic ? other_ms : time_ms;
    ck_ok(&w, writer_flush(&w));
}

static void flush_at(int64_t time_ms, int64_t other_ms)
{
    flush_with(time_ms, 1, other_ms);
}

static void add_windows(int first, int last)
{
    for (int i = first; i <= last; i++)
        writer_add(&w, "t", "r", "m", T0 + i * WINDOW_US)->requests = 1;
}

static void close_at(int64_t now_ms)
{
    ck_ok(&w, publish_store_close(publisher, w.partitions[0].epoch, &rule, now_ms, &w.err));
}

#define count_windows(where) (int)sql_i64("SELECT count(*) FROM llm_window WHERE " where)

static int64_t want(int64_t now_ms)
{
    struct store_closing c;
    ck_ok(&w, store_closing(w.store, now_ms, GRACE_MS, &c, &w.err));
    return c.want_ms;
}

START_TEST(a_window_that_all_partitions_have_passed_is_complete)
{
    add_windows(0, 1);
    flush_at(PAST(0) - 1, PAST(0) - 1);
    close_at(NOW);
    ck_assert_int_eq(count_windows("closed_at IS NOT NULL OR held_since IS NOT NULL"), 0);
    ck_assert_int_eq(want(NOW), PAST(1));
    flush_at(PAST(0), PAST(0));
    close_at(NOW);
    ck_assert_int_eq(count_windows("complete AND held_since IS NULL"), 1);
    ck_assert_int_eq(sql_i64("SELECT extract(epoch FROM closed_at) * 1000 FROM llm_window"
                             " WHERE complete AND window_start = to_timestamp(%lld)",
                             (long long)(T0 / US_PER_S)),
                     NOW);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_metrics WHERE complete AND NOT lossy"), 1);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_metrics WHERE NOT complete"), 1);
    ck_assert_int_eq(want(NOW), PAST(1));
    flush_at(PAST(1), PAST(1));
    close_at(NOW);
    ck_assert_int_eq(count_windows("complete"), 2);
    ck_assert(want(NOW) == TIME_NONE); // silent
}
END_TEST

START_TEST(a_window_that_others_hold_back_is_closed_after_the_wait)
{
    add_windows(0, 0);
    flush_with(PAST(0), _i % 2, _i < 2 ? PAST(0) - 1 : TIME_NONE); // behind, or never seen
    close_at(NOW);
    ck_assert_int_eq(count_windows("held_since IS NOT NULL AND closed_at IS NULL"), 1);
    close_at(NOW + WAIT_MS - 1);
    ck_assert_int_eq(count_windows("closed_at IS NOT NULL"), 0);
    close_at(NOW + WAIT_MS);
    ck_assert_int_eq(count_windows("closed_at IS NOT NULL AND NOT complete"), 1);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_metrics WHERE complete"), 0);
    ck_assert_int_eq(want(NOW + WAIT_MS), PAST(0)); // still wanted
    flush_at(PAST(0), PAST(0));
    close_at(NOW + 2 * WAIT_MS);
    ck_assert_int_eq(count_windows("complete"), 1);
    // It was closed when it was closed.
    ck_assert_int_eq(sql_i64("SELECT extract(epoch FROM closed_at) * 1000 FROM llm_window"),
                     NOW + WAIT_MS);
}
END_TEST

START_TEST(a_partition_of_another_process_holds_windows_back_as_well)
{
    add_windows(0, 0);
    flush_with(PAST(0), 0, PAST(0) - 1);
    sql_run("UPDATE streamlens_position SET token = token + 1 WHERE partition = 2");
    close_at(NOW);
    ck_assert_int_eq(count_windows("held_since IS NOT NULL AND closed_at IS NULL"), 1);
}
END_TEST

START_TEST(late_data_of_a_complete_window_opens_it_no_more)
{
    add_windows(0, 0);
    flush_at(PAST(0), PAST(0));
    close_at(NOW);
    add_windows(0, 0);
    flush_at(PAST(1), PAST(1));
    close_at(NOW + 1);
    ck_assert_int_eq(count_windows("complete"), 1);
    ck_assert_int_eq(sql_i64("SELECT revision FROM llm_metrics WHERE complete"), 2);
    ck_assert(want(NOW) == TIME_NONE);
}
END_TEST

START_TEST(what_a_dead_partition_holds_back_hides_nothing)
{
    sql_run("INSERT INTO llm_window SELECT to_timestamp(%lld) + n * interval '1 minute'"
            " FROM generate_series(0, 2999) n",
            (long long)(T0 / US_PER_S));
    flush_at(PAST(2999), PAST(-1));
    int64_t now_ms = PAST(3000);
    for (int i = 1; i <= 3; i++) {
        close_at(now_ms);
        ck_assert_int_eq(count_windows("held_since IS NOT NULL"), 1000 * i); // at most so many
    }
    close_at(now_ms); // nothing to note, nobody has waited
    ck_assert_int_eq(count_windows("closed_at IS NOT NULL"), 0);
    for (int i = 1; i <= 3; i++) {
        close_at(now_ms + WAIT_MS);
        ck_assert_int_eq(count_windows("closed_at IS NOT NULL"), 1000 * i);
    }
    // The next one is behind 3,000 that are closed and not complete.
    add_windows(3000, 3000);
    flush_at(PAST(3000), PAST(-1));
    close_at(now_ms + WAIT_MS);
    ck_assert_int_eq(count_windows("held_since IS NOT NULL"), 3001);
    flush_at(PAST(3000), PAST(3000));
    for (int i = 1; i <= 4; i++)
        close_at(now_ms + WAIT_MS);
    ck_assert_int_eq(count_windows("NOT complete"), 0);
}
END_TEST

// ---- how far all is closed ----

#define NOT_KNOWN (-1000)
// The window that streamlens_publisher.closed_through is the end of.
static int closed_through(void)
{
    return (int)sql_i64("SELECT coalesce((extract(epoch FROM closed_through)::bigint - %lld) / 60"
                        " - 1, %d) FROM streamlens_publisher",
                        (long long)(T0 / US_PER_S), NOT_KNOWN);
}

static int closed_through_after(int64_t time_ms, int64_t other_ms)
{
    flush_at(time_ms, other_ms);
    close_at(NOW);
    return closed_through();
}

START_TEST(all_is_closed_through_what_all_partitions_have_passed)
{
    close_at(NOW);
    ck_assert_int_eq(closed_through(), NOT_KNOWN);
    ck_assert_int_eq(closed_through_after(PAST(5), TIME_NONE), NOT_KNOWN);
    // Also where there is no window to be closed.
    ck_assert_int_eq(closed_through_after(PAST(1) - 1, PAST(1) - 1), 0);
    ck_assert_int_eq(closed_through_after(PAST(1), PAST(1)), 1);
    ck_assert_int_eq(closed_through_after(PAST(9), PAST(2)), 2);
    add_windows(4, 4);
    ck_assert_int_eq(closed_through_after(PAST(9), PAST(4) + 59999), 4);
    ck_assert_int_eq(count_windows("complete"), 1);
    ck_assert_int_eq(closed_through_after(PAST(9), PAST(9)), 9);
}
END_TEST

// Which transaction wrote it last.
#define WRITTEN_BY "SELECT xmin::text::bigint FROM streamlens_publisher"

START_TEST(how_far_all_is_closed_is_written_where_it_rises_and_never_falls)
{
    ck_assert_int_eq(closed_through_after(PAST(5), PAST(5)), 5);
    int64_t written_by = sql_i64(WRITTEN_BY);
    ck_assert_int_eq(closed_through_after(PAST(5), PAST(5)), 5);
    ck_assert_int_eq(closed_through_after(PAST(6) - 1, PAST(6) - 1), 5);
    ck_assert_int_eq(closed_through_after(PAST(3), PAST(3)), 5); // set back to an older state
    add_windows(3, 3);
    ck_assert_int_eq(closed_through_after(PAST(4), PAST(4)), 5); // with one to be closed
    ck_assert_int_eq(count_windows("complete"), 1);
    ck_assert_int_eq(sql_i64(WRITTEN_BY), written_by);
    ck_assert_int_eq(closed_through_after(PAST(6), PAST(6)), 6);
}
END_TEST

START_TEST(no_window_is_open_behind_what_all_is_closed_through)
{
    sql_run("INSERT INTO llm_window SELECT to_timestamp(%lld) + n * interval '1 minute'"
            " FROM generate_series(0, 2499) n",
            (long long)(T0 / US_PER_S));
    flush_at(PAST(2600), PAST(2600));
    static const int through[] = {999, 1999, 2600};
    for (size_t i = 0; i < ARRAY_LEN(through); i++) {
        close_at(PAST(2601));
        ck_assert_int_eq(closed_through(), through[i]);
        ck_assert_int_eq(count_windows("NOT complete AND window_start < (SELECT closed_through"
                                       " FROM streamlens_publisher)"),
                         0);
    }
    ck_assert_int_eq(count_windows("complete"), 2500);
}
END_TEST

static void *close_in_thread(void *arg)
{
    return (void *)(intptr_t)publish_store_close( // NOLINT
        publisher, w.partitions[0].epoch, &rule, NOW, arg);
}

// As sql/README.md orders the locks: a flush with a gap holds the publisher's row, and then wants
// windows.
START_TEST(closing_waits_for_the_publishers_row_before_it_locks_windows)
{
    add_windows(0, 0);
    flush_at(PAST(0), PAST(0));
    sql_run("BEGIN; SELECT FROM streamlens_publisher FOR UPDATE");
    pthread_t thread;
    struct err e;
    ck_assert_int_eq(pthread_create(&thread, NULL, close_in_thread, &e), 0);
    sql_await("SELECT count(*) FROM pg_locks WHERE NOT granted"
              " AND transactionid = pg_current_xact_id()::xid");
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM (SELECT FROM llm_window FOR UPDATE NOWAIT) w"),
                     1);
    sql_run("COMMIT");
    void *rc;
    pthread_join(thread, &rc);
    ck_assert_int_eq((intptr_t)rc, STORE_OK);
    ck_assert_int_eq(closed_through(), 0);
    ck_assert_int_eq(count_windows("complete"), 1);
}
END_TEST

START_TEST(only_the_owner_closes)
{
    add_windows(0, 0);
    flush_at(PAST(0), PAST(0));
    struct writer other;
    writer_open(&other, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&other, 0);
    int64_t before = w.partitions[0].epoch, after = other.partitions[0].epoch;
    ck_result(&w, publish_store_check(publisher, before, &w.err), STORE_FENCED);
    ck_result(&w, publish_store_close(publisher, before, &rule, NOW, &w.err), STORE_FENCED);
    ck_assert_ptr_nonnull(strstr(w.err.detail, "another owner"));
    ck_assert_int_eq(count_windows("closed_at IS NOT NULL"), 0);
    ck_assert_int_eq(closed_through(), NOT_KNOWN);
    // The epoch alone does not make an owner.
    ck_result(&w, publish_store_check(publisher, after, &w.err), STORE_FENCED);
    ck_result(&w, publish_store_close(publisher, after, &rule, NOW, &w.err), STORE_FENCED);
    publish_store_free(publisher);
    publisher = publish_pg_new(&other.config, store_pg_token(other.store), TIMEOUT_MS);
    ck_ok(&w, publish_store_check(publisher, after, &w.err));
    ck_ok(&w, publish_store_close(publisher, after, &rule, NOW, &w.err));
    ck_assert_int_eq(count_windows("complete"), 1);
    ck_assert_int_eq(closed_through(), 0);
    // Nothing is left to do: nothing is locked or written, so nobody is asked who they are.
    sql_run("BEGIN; SELECT FROM streamlens_position FOR UPDATE");
    ck_ok(&w, publish_store_close(publisher, after, &rule, NOW, &w.err));
    sql_run("COMMIT");
    writer_close(&other);
}
END_TEST

START_TEST(a_lost_answer_is_a_retry_that_does_no_harm)
{
    struct proxy *proxy = proxy_start();
    struct config through = {.postgres_dsn = xstrdup(proxy_dsn(proxy))};
    publish_store_free(publisher);
    publisher = publish_pg_new(&through, store_pg_token(w.store), TIMEOUT_MS);
    sql_run("INSERT INTO llm_window VALUES (to_timestamp(%lld))", (long long)(T0 / US_PER_S));
    sql_run("UPDATE streamlens_position SET request_time_ms = %lld, response_time_ms = %lld",
            (long long)PAST(0), (long long)PAST(0));
    proxy_set(proxy, _i ? PROXY_CUT_AFTER_COMMIT : PROXY_CUT_BEFORE_COMMIT);
    int64_t epoch = w.partitions[0].epoch;
    ck_result(&w, publish_store_close(publisher, epoch, &rule, NOW, &w.err), STORE_RETRY);
    proxy_set(proxy, PROXY_PASS);
    enum store_result rc = STORE_RETRY;
    for (int i = 0; rc == STORE_RETRY && i < 200; i++)
        rc = publish_store_close(publisher, epoch, &rule, NOW + 1000, &w.err);
    ck_assert_int_eq(rc, STORE_OK);
    ck_assert_int_eq(count_windows("complete"), 1);
    ck_assert_int_eq(closed_through(), 0);
    ck_assert_int_eq(sql_i64("SELECT extract(epoch FROM closed_at) * 1000 FROM llm_window"),
                     _i ? NOW : NOW + 1000);
    publish_store_free(publisher);
    publisher = NULL;
    free(through.postgres_dsn);
    proxy_stop(proxy);
}
END_TEST

// Of llm_window, by whoever has left.
static int64_t rows_read(void)
{
    return sql_i64("SELECT t.seq_tup_read + sum(i.idx_tup_read) FROM pg_stat_user_tables t"
                   " JOIN pg_stat_user_indexes i USING (relid) WHERE t.relname = 'llm_window'"
                   " GROUP BY t.seq_tup_read");
}

// A month of windows, all but a few complete: what is asked at every flush must not read them.
START_TEST(windows_that_are_done_cost_nothing)
{
    sql_run("INSERT INTO llm_window SELECT to_timestamp(%lld) - n * interval '1 minute',"
            " NULL, now(), true FROM generate_series(1, 43200) n",
            (long long)(T0 / US_PER_S));
    sql_run("ANALYZE llm_window");
    add_windows(0, 2);
    flush_at(PAST(1), PAST(0));
    int64_t before = rows_read();
    for (int i = 0; i < 20; i++) {
        close_at(NOW);
        ck_assert_int_eq(want(NOW), PAST(2));
    }
    writer_close(&w); // their counts arrive when they leave
    publish_store_free(publisher);
    publisher = NULL;
    sql_await("SELECT (count(*) = 1)::int FROM pg_stat_activity WHERE datname ="
              " current_database()");
    ck_assert_int_lt(rows_read() - before, 1000);
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
}
END_TEST

int main(void)
{
    if (!fixture_available())
        return 77;
    Suite *suite = suite_create("store_closing");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_window_that_all_partitions_have_passed_is_complete);
    tcase_add_loop_test(tc, a_window_that_others_hold_back_is_closed_after_the_wait, 0, 4);
    tcase_add_test(tc, a_partition_of_another_process_holds_windows_back_as_well);
    tcase_add_test(tc, late_data_of_a_complete_window_opens_it_no_more);
    tcase_add_test(tc, what_a_dead_partition_holds_back_hides_nothing);
    tcase_add_test(tc, all_is_closed_through_what_all_partitions_have_passed);
    tcase_add_test(tc, how_far_all_is_closed_is_written_where_it_rises_and_never_falls);
    tcase_add_test(tc, no_window_is_open_behind_what_all_is_closed_through);
    tcase_add_test(tc, closing_waits_for_the_publishers_row_before_it_locks_windows);
    tcase_add_test(tc, only_the_owner_closes);
    tcase_add_loop_test(tc, a_lost_answer_is_a_retry_that_does_no_harm, 0, 2);
    tcase_add_test(tc, windows_that_are_done_cost_nothing);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
