// SPDX-License-Identifier: Apache-2.0
// What listeners of streamlens_flush are told, and when.
#include <check.h>
#include <poll.h>
#include <stdio.h>

#include "common/core/timeunit.h"
#include "common/core/notice.h"
#include "processor/publish_pg.h"
#include "processor/window.h"
#include "tests/integration/store_fixture.h"

#define MINUTE_0 (T0 / WINDOW_US)
#define GRACE_MS 10000
#define PAST(i) (T0 / 1000 + ((i) + 1) * 60000 + GRACE_MS)
#define WAIT_MS 10000 // for what must come

static struct writer w;
static PGconn *listener;

static void setup(void)
{
    fixture_open(1000);
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    for (int i = 0; i < FIXTURE_PARTITIONS; i++)
        writer_claim(&w, i);
    listener = PQconnectdb(fixture_dsn());
    PGresult *r = PQexec(listener, "LISTEN streamlens_flush");
    ck_assert_msg(PQresultStatus(r) == PGRES_COMMAND_OK, "%s", PQerrorMessage(listener));
    PQclear(r);
}

static void teardown(void)
{
    PQfinish(listener);
    writer_close(&w);
    fixture_close();
}

// The next one, waited for.
static PGnotify *next_notice(void)
{
    for (;;) {
        PGnotify *n = PQnotifies(listener);
        if (n)
            return n;
        struct pollfd fd = {.fd = PQsocket(listener), .events = POLLIN};
        ck_assert_int_eq(poll(&fd, 1, WAIT_MS), 1);
        ck_assert(PQconsumeInput(listener));
    }
}

static void expect_notice(const char *want)
{
    PGnotify *n = next_notice();
    ck_assert_str_eq(n->relname, "streamlens_flush");
    ck_assert_str_eq(n->extra, want);
    PQfreemem(n);
}

// They come in the order of the commits.
static void expect_none_before_now(void)
{
    sql_run("NOTIFY streamlens_flush, 'now'");
    expect_notice("now");
}

// Of windows first to last, and from second to second_last where there are such.
static void expect_ranges(int first, int last, int second, int second_last)
{
    char want[128];
    int n = snprintf(want, sizeof(want), "%lld-%lld", (long long)MINUTE_0 + first,
                     (long long)MINUTE_0 + last);
    if (second_last)
        snprintf(want + n, sizeof(want) - (size_t)n, " %lld-%lld", (long long)MINUTE_0 + second,
                 (long long)MINUTE_0 + second_last);
    expect_notice(want);
}

static void add_window(int i)
{
    writer_add(&w, "t", "r", "m", T0 + i * WINDOW_US)->requests = 1;
}

START_TEST(a_flush_tells_its_windows_once_it_is_committed)
{
    add_window(5);
    add_window(1);
    add_window(0);
    writer_add(&w, "t", "r", "n", T0 + 5 * WINDOW_US)->requests = 1;
    ck_ok(&w, writer_begin(&w));
    ck_ok(&w, writer_write(&w));
    expect_none_before_now();
    ck_ok(&w, writer_commit(&w));
    writer_flushed(&w);
    expect_ranges(0, 1, 5, 5);
    expect_none_before_now();
    add_window(1); // of a row that is there
    ck_ok(&w, writer_flush(&w));
    expect_ranges(1, 1, 0, 0);
}
END_TEST

START_TEST(a_flush_that_is_given_up_tells_nothing)
{
    add_window(0);
    ck_ok(&w, writer_begin(&w));
    ck_ok(&w, writer_write(&w));
    store_abort(w.store);
    expect_none_before_now();
}
END_TEST

START_TEST(a_flush_of_positions_alone_tells_of_no_window)
{
    ck_ok(&w, writer_flush(&w));
    expect_notice("");
}
END_TEST

START_TEST(what_becomes_lossy_is_told_as_well)
{
    for (int i = 0; i < 10; i++)
        add_window(i);
    ck_ok(&w, writer_flush(&w));
    expect_ranges(0, 9, 0, 0);
    sql_run("UPDATE streamlens_settings SET join_ttl_ms = 120000, join_skew_ms = 0");
    w.partitions[1].gap[0] = (struct log_gap){
        .from = 1, .to = 2, .from_ms = T0 / 1000 + 4 * 60000, .to_ms = T0 / 1000 + 4 * 60000 + 1};
    add_window(9);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_metrics WHERE lossy"), 3);
    expect_ranges(2, 4, 9, 9);
}
END_TEST

START_TEST(more_windows_than_fit_are_told_in_wider_ranges)
{
    const int n = (int)ARRAY_LEN(w.cells);
    for (int i = 0; i < n; i++)
        add_window(i * 2 + i / (n / 2)); // two halves
    ck_ok(&w, writer_flush(&w));
    PGnotify *notice = next_notice();
    size_t bytes = strlen(notice->extra);
    ck_assert_uint_le(bytes, NOTICE_BYTES_MAX);
    ck_assert_uint_gt(bytes, NOTICE_BYTES_MAX - 20); // no more is given up than must be
    ck_assert_int_eq(strtoll(notice->extra, NULL, 10), MINUTE_0);
    ck_assert_int_eq(strtoll(strrchr(notice->extra, '-') + 1, NULL, 10), MINUTE_0 + 2 * n - 1);
    PQfreemem(notice);
}
END_TEST

static void close_at(struct publish_store *publisher, int64_t now_ms)
{
    static const struct closing_rule rule = {GRACE_MS, 60000};
    ck_ok(&w, publish_store_close(publisher, w.partitions[0].epoch, &rule, now_ms, &w.err));
}

static void pass(int window, int held)
{
    for (int i = 0; i < FIXTURE_PARTITIONS; i++)
        for (int k = 0; k < 2; k++)
            w.partitions[i].position.log[k].time_ms = i == 2 ? PAST(held) : PAST(window);
    ck_ok(&w, writer_flush(&w));
}

START_TEST(closing_tells_the_windows_that_it_closes)
{
    struct publish_store *publisher =
        publish_pg_new(&w.config, store_pg_token(w.store), TIMEOUT_MS);
    int64_t now_ms = PAST(9);
    for (int i = 0; i < 3; i++)
        add_window(i);
    pass(1, 0);
    expect_ranges(0, 2, 0, 0);
    close_at(publisher, now_ms); // the first is complete, the second is held back
    expect_ranges(0, 0, 0, 0);
    close_at(publisher, now_ms + 1);
    expect_none_before_now();
    close_at(publisher, now_ms + 60000); // closed as it is
    expect_ranges(1, 1, 0, 0);
    pass(2, 2);
    expect_notice("");
    close_at(publisher, now_ms + 60000); // both complete
    expect_ranges(1, 2, 0, 0);
    pass(3, 3);
    expect_notice("");
    close_at(publisher, now_ms + 60000); // without a window: how far all is closed
    expect_notice("");
    close_at(publisher, now_ms + 60000);
    expect_none_before_now();
    publish_store_free(publisher);
}
END_TEST

int main(void)
{
    if (!fixture_available())
        return 77;
    Suite *suite = suite_create("store_notice");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_flush_tells_its_windows_once_it_is_committed);
    tcase_add_test(tc, a_flush_that_is_given_up_tells_nothing);
    tcase_add_test(tc, a_flush_of_positions_alone_tells_of_no_window);
    tcase_add_test(tc, what_becomes_lossy_is_told_as_well);
    tcase_add_test(tc, more_windows_than_fit_are_told_in_wider_ranges);
    tcase_add_test(tc, closing_tells_the_windows_that_it_closes);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
