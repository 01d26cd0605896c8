// SPDX-License-Identifier: Apache-2.0
// What others hold in the database, and for how long a store lets that stop it: clients that were
// stopped anywhere, deadlocks, serialization failures. Whatever failed, the same deltas go in once.
#include <check.h>
#include <pthread.h>
#include <stdio.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "tests/integration/store_fixture.h"

#define SHORT_MS 2000                        // timeout of stores that wait for what is stopped
#define BOUND_US (10 * SHORT_MS * US_PER_MS) // of such a wait, on a machine that is slow
#define STATEMENT_MAX_US (SHORT_MS * 3 / 4 * 1000) // what db_pg.h says of a statement

static void open_database(void)
{
    fixture_open(1000);
}

// ---- another client ----

static PGconn *client_open(const char *application)
{
    char dsn[600];
    snprintf(dsn, sizeof(dsn), "%s?application_name=%s", fixture_dsn(), application);
    PGconn *c = PQconnectdb(dsn);
    ck_assert_msg(PQstatus(c) == CONNECTION_OK, "%s", PQerrorMessage(c));
    return c;
}

static void client_run(PGconn *c, const char *sql)
{
    PGresult *r = PQexec(c, sql);
    ExecStatusType s = PQresultStatus(r);
    ck_assert_msg(s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK || s == PGRES_COPY_IN, "%s: %s",
                  sql, PQerrorMessage(c));
    PQclear(r);
}

// Whether the server has ended it.
static bool client_was_ended(PGconn *c)
{
    PQconsumeInput(c);
    PGresult *r = PQexec(c, "SELECT 1");
    bool ended = PQstatus(c) == CONNECTION_BAD;
    PQclear(r);
    return ended;
}

// In a transaction that holds the row, the client stops: while the server reads from it, or while
// it writes to it.
static void stop_inside_copy(PGconn *c)
{
    client_run(c, "BEGIN; SELECT FROM llm_minute FOR UPDATE");
    client_run(c, "CREATE TEMP TABLE held (x int) ON COMMIT DROP");
    client_run(c, "COPY held FROM STDIN");
}

static void stop_inside_result(PGconn *c)
{
    client_run(c, "BEGIN; SELECT FROM llm_minute FOR UPDATE");
    ck_assert_int_eq(PQsendQuery(c, "SELECT repeat('x', 1000000) FROM generate_series(1, 100)"), 1);
    PQflush(c);
    sql_await("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event = 'ClientWrite'",
              PQbackendPID(c));
}

static void (*const stops[])(PGconn *) = {stop_inside_copy, stop_inside_result};

// ---- stopped clients ----

START_TEST(a_processor_that_is_silent_in_a_statement_is_ended_by_who_waits)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), SHORT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_flush(&w));
    PGconn *other = client_open("streamlens-processor");
    stops[_i](other);
    writer_add_simple(&w, "m", 2);
    int64_t began_us = clock_mono_us();
    ck_ok(&w, writer_flush(&w));
    int64_t took_us = clock_mono_us() - began_us;
    // Not before a living one's statement would have been cancelled, and soon after.
    ck_assert_int_ge(took_us, STATEMENT_MAX_US / 2);
    ck_assert_int_le(took_us, BOUND_US);
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), 3);
    PQfinish(other);
    writer_close(&w);
}
END_TEST

// A publisher that was stopped holds the row of partition 0, which names the backend of its store.
START_TEST(a_publisher_that_is_silent_in_a_statement_is_ended_by_who_claims)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), 5000); // of which waiting for the row twice takes four
    PGconn *other = client_open("streamlens-processor");
    client_run(other, "BEGIN; SELECT FROM streamlens_position WHERE partition = 0 FOR UPDATE;"
                      " CREATE TEMP TABLE held (x int); COPY held FROM STDIN");
    struct claim claim;
    enum store_result rc = STORE_RETRY;
    for (int i = 0; rc == STORE_RETRY && i < 3; i++)
        rc = store_claim(w.store, 0, 0, &claim, &w.err);
    ck_ok(&w, rc);
    ck_assert(client_was_ended(other));
    PQfinish(other);
    writer_close(&w);
}
END_TEST

START_TEST(nobody_else_is_ended)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), SHORT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_flush(&w));
    // An operator's COPY that holds nothing we need, one that does, and an idle processor.
    PGconn *copy = client_open("psql"), *holder = client_open("psql"),
           *idle = client_open("streamlens-processor");
    client_run(copy, "CREATE TEMP TABLE held (x int); COPY held FROM STDIN");
    stop_inside_copy(holder);
    writer_add_simple(&w, "m", 2);
    int64_t deadline_us = clock_mono_us() + STATEMENT_MAX_US + SHORT_MS / 2 * US_PER_MS;
    while (clock_mono_us() < deadline_us) {
        ck_ok(&w, writer_begin(&w));
        ck_result(&w, writer_write(&w), STORE_RETRY);
    }
    ck_assert_int_eq(PQputCopyEnd(copy, NULL), 1);
    ck_assert(!client_was_ended(copy));
    ck_assert(!client_was_ended(idle));
    ck_assert_int_eq(PQputCopyEnd(holder, NULL), 1);
    ck_assert(!client_was_ended(holder));
    PQfinish(holder);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), 3);
    PQfinish(copy);
    PQfinish(idle);
    writer_close(&w);
}
END_TEST

static void *write_in_thread(void *arg)
{
    return (void *)(intptr_t)writer_write(arg); // NOLINT
}

static const char waits_for_lock[] =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name"
    " = 'streamlens-processor' AND wait_event_type = 'Lock'";

START_TEST(a_store_that_stops_while_it_makes_series_loses_the_tenant)
{
    struct writer w, stopped;
    struct proxy *proxy = proxy_start();
    writer_open(&stopped, proxy_dsn(proxy), SHORT_MS);
    writer_open(&w, fixture_dsn(), SHORT_MS);
    writer_claim(&w, 0);
    writer_claim(&stopped, 1);
    writer_add_simple(&stopped, "a", 1);
    writer_add_simple(&w, "b", 2);
    // Its COMMIT is on the way for ever; what ends the transaction is the server, which is tired of
    // it.
    proxy_set(proxy, PROXY_HOLD_COMMIT);
    ck_result(&stopped, writer_begin(&stopped), STORE_RETRY);
    int64_t began_us = clock_mono_us();
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_le(clock_mono_us() - began_us, BOUND_US);
    ck_ok(&stopped, writer_flush(&stopped));
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_minute"), 3);
    ck_assert_int_eq(sql_i64("SELECT series_count FROM llm_tenant"), 2);
    writer_close(&w);
    writer_close(&stopped);
    proxy_stop(proxy);
}
END_TEST

START_TEST(a_tenant_at_its_cap_waits_for_nobody)
{
    struct writer w;
    sql_run("UPDATE streamlens_settings SET max_series_per_tenant = 1");
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "a", 1);
    writer_add_simple(&w, "b", 2);
    ck_ok(&w, writer_flush(&w));
    sql_run("BEGIN; SELECT FROM llm_tenant FOR UPDATE");
    writer_add_simple(&w, "c", 4);
    writer_add(&w, "t", SERIES_OTHER, SERIES_OTHER, T0)->requests = 8;
    ck_ok(&w, writer_begin(&w));
    ck_ok(&w, writer_write(&w));
    ck_ok(&w, writer_commit(&w));
    sql_run("COMMIT");
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_metrics WHERE route = '__other__'"), 14);
    ck_assert_int_eq(store_pg_series_over_cap(w.store), 2);
    writer_close(&w);
}
END_TEST

// ---- errors that another try mends ----

START_TEST(a_deadlock_is_a_retry_with_the_same_deltas)
{
    struct writer w;
    // Whoever waits for the second row first finds out; the other one never looks.
    sql_run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET deadlock_timeout = 1500',"
            " current_database()); END $$; SET deadlock_timeout = '1min'");
    writer_open(&w, fixture_dsn(), 4 * TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "a", 1);
    writer_add_simple(&w, "b", 1);
    ck_ok(&w, writer_flush(&w));
    writer_add_simple(&w, "a", 2);
    writer_add_simple(&w, "b", 2);
    ck_ok(&w, writer_begin(&w));
#define ROW_OF(m)                                                                                  \
    "UPDATE llm_minute SET errors = errors WHERE series_id ="                                      \
    " (SELECT series_id FROM llm_series WHERE model = '" m "')"
    sql_run("BEGIN; " ROW_OF("b"));
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_in_thread, &w), 0);
    sql_await("%s", waits_for_lock);
    sql_run(ROW_OF("a") "; COMMIT"); // until the writer's transaction is over
    void *rc;
    pthread_join(thread, &rc);
    ck_assert_int_eq((intptr_t)rc, STORE_RETRY);
    ck_assert_msg(strstr(w.err.detail, "deadlock") != NULL, "%s", w.err.detail);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute WHERE requests = 3 AND revision = 2"),
                     2);
    writer_close(&w);
}
END_TEST

static void *begin_in_thread(void *arg)
{
    struct writer *w = arg;
    return (void *)(intptr_t)writer_begin(w);
}

// Whoever prices rows anew holds the positions for a moment first: flushes from then on are to know
// the version.
START_TEST(a_flush_that_waited_for_its_position_has_the_prices_of_then)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    sql_run("INSERT INTO llm_price_version (version, origin) VALUES (1, 'set')");
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_flush(&w));
    // To make the row anew. Its series is there, so the position is the first that is waited for.
    sql_run("DELETE FROM llm_minute; DELETE FROM llm_publish; DELETE FROM llm_hour");
    writer_add_simple(&w, "m", 1);
    PGconn *other = client_open("psql");
    sql_run("BEGIN; SELECT FROM streamlens_position WHERE partition = 0 FOR UPDATE");
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, begin_in_thread, &w), 0);
    sql_await("%s", waits_for_lock);
    client_run(other, "INSERT INTO llm_price_version (version, origin) VALUES (2, 'set')");
    sql_run("COMMIT");
    void *rc;
    pthread_join(thread, &rc);
    ck_ok(&w, (enum store_result)(intptr_t)rc);
    ck_ok(&w, writer_write(&w));
    ck_ok(&w, writer_commit(&w));
    ck_assert_int_eq(sql_i64("SELECT price_version " ROW), 2);
    PQfinish(other);
    writer_close(&w);
}
END_TEST

START_TEST(a_serialization_failure_is_a_retry_with_the_same_deltas)
{
    struct writer a;
    sql_run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET default_transaction_isolation ="
            " ''repeatable read''', current_database()); END $$");
    writer_open(&a, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&a, 0);
    writer_add_simple(&a, "m", 1);
    ck_ok(&a, writer_flush(&a));
    writer_add_simple(&a, "m", 2);
    ck_ok(&a, writer_begin(&a)); // the snapshot, from before the change
    sql_run("UPDATE llm_minute SET revision = revision + 1, requests = requests + 4");
    ck_result(&a, writer_write(&a), STORE_RETRY);
    ck_assert_msg(strstr(a.err.detail, "serialize") != NULL, "%s", a.err.detail);
    ck_ok(&a, writer_flush(&a));
    ck_assert_int_eq(sql_i64("SELECT requests " ROW " AND revision = 3"), 7);
    writer_close(&a);
}
END_TEST

static Suite *locks_suite(void)
{
    Suite *s = suite_create("store_locks");
    TCase *c = tcase_create("store_locks");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, open_database, fixture_close);
    const TTest *const tests[] = {
        a_publisher_that_is_silent_in_a_statement_is_ended_by_who_claims,
        nobody_else_is_ended,
        a_store_that_stops_while_it_makes_series_loses_the_tenant,
        a_tenant_at_its_cap_waits_for_nobody,
        a_deadlock_is_a_retry_with_the_same_deltas,
        a_flush_that_waited_for_its_position_has_the_prices_of_then,
        a_serialization_failure_is_a_retry_with_the_same_deltas,
    };
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(c, tests[i]);
    tcase_add_loop_test(c, a_processor_that_is_silent_in_a_statement_is_ended_by_who_waits, 0,
                        ARRAY_LEN(stops));
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    if (!fixture_available())
        return 77;
    SRunner *r = srunner_create(locks_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
