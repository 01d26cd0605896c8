// SPDX-License-Identifier: Apache-2.0
// What a claim says of the settings of its partition; gaps that a flush notes.
#include "common/core/timeunit.h"
#include "processor/window.h"
#include "tests/integration/store_fixture.h"

#define T0_MS (T0 / 1000)

static void setup(void)
{
    fixture_open(100);
}

static void teardown(void)
{
    fixture_close();
}

// from: SQL, such as "NULL".
static void open_epoch(int epoch, int series_epoch, int partition, const char *from)
{
    sql_run("INSERT INTO streamlens_settings (epoch, join_ttl_ms, join_skew_ms,"
            " max_series_per_tenant, acceptance_version, series_epoch)"
            " VALUES (%d, %d, %d, 100, 1, %d) ON CONFLICT DO NOTHING",
            epoch, 1000 * epoch, 10 * epoch, series_epoch);
    sql_run("INSERT INTO streamlens_settings_from VALUES (%d, %d, 0, 0, %s)", epoch, partition,
            from);
}

static struct settings claimed(int partition)
{
    struct writer w;
    struct claim c;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    ck_ok(&w, store_claim(w.store, partition, 0, &c, &w.err));
    writer_close(&w);
    ck_assert(c.settings.epochs[0].from_ms == TIME_NONE);
    for (size_t i = 1; i < c.settings.count; i++)
        ck_assert_int_gt(c.settings.epochs[i].from_ms, c.settings.epochs[i - 1].from_ms);
    return c.settings;
}

// ---- settings ----

START_TEST(a_claim_has_the_epochs_of_its_partition)
{
    open_epoch(2, 1, 1, "5000");
    open_epoch(3, 3, 1, "7000");
    open_epoch(2, 1, 2, "6000");
    struct settings s = claimed(1);
    ck_assert_uint_eq(s.count, 3);
    static const struct settings_epoch want[] = {
        {1, TIME_NONE, 300000, 60000, 1}, {2, 5000, 2000, 20, 1}, {3, 7000, 3000, 30, 3}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const struct settings_epoch *e = &s.epochs[i];
        ck_assert(e->epoch == want[i].epoch && e->from_ms == want[i].from_ms);
        ck_assert(e->ttl_ms == want[i].ttl_ms && e->skew_ms == want[i].skew_ms);
        ck_assert_int_eq(e->series_epoch, want[i].series_epoch);
    }
    s = claimed(2);
    ck_assert_uint_eq(s.count, 2);
    ck_assert_int_eq(s.epochs[1].from_ms, 6000);
    s = claimed(0);
    ck_assert_uint_eq(s.count, 1);
}
END_TEST

START_TEST(an_epoch_that_another_replaced_before_it_held_is_left_out)
{
    open_epoch(2, 1, 0, "NULL"); // nothing was flushed yet
    open_epoch(3, 1, 0, "5000");
    open_epoch(4, 1, 0, "5000"); // nothing was flushed in between
    open_epoch(5, 1, 0, "9000");
    struct settings s = claimed(0);
    ck_assert_uint_eq(s.count, 3);
    ck_assert_int_eq(s.epochs[0].epoch, 2);
    ck_assert_int_eq(s.epochs[1].epoch, 4);
    ck_assert_int_eq(s.epochs[2].epoch, 5);
}
END_TEST

START_TEST(the_newest_epochs_are_kept_and_the_oldest_of_them_holds_from_the_beginning)
{
    for (int i = 2; i <= SETTINGS_EPOCHS_MAX; i++) {
        char from[16];
        snprintf(from, sizeof(from), "%d", 1000 * i);
        open_epoch(i, 1, 0, from);
    }
    struct settings s = claimed(0);
    ck_assert_uint_eq(s.count, SETTINGS_EPOCHS_MAX);
    ck_assert_int_eq(s.epochs[0].epoch, 1);
    open_epoch(SETTINGS_EPOCHS_MAX + 1, 1, 0, "100000");
    s = claimed(0);
    ck_assert_uint_eq(s.count, SETTINGS_EPOCHS_MAX);
    ck_assert_int_eq(s.epochs[0].epoch, 2);
    ck_assert_int_eq(s.epochs[1].from_ms, 3000);
    ck_assert_int_eq(s.epochs[SETTINGS_EPOCHS_MAX - 1].epoch, SETTINGS_EPOCHS_MAX + 1);
}
END_TEST

START_TEST(a_partition_without_settings_is_no_guess)
{
    struct writer w;
    struct claim c;
    sql_run("DELETE FROM streamlens_settings_from WHERE partition = 3");
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    ck_result(&w, store_claim(w.store, 3, 0, &c, &w.err), STORE_FATAL);
    ck_assert_ptr_nonnull(strstr(w.err.detail, "partition 3"));
    writer_close(&w);
}
END_TEST

// ---- gaps ----

static void flush_gap(struct writer *w, struct log_gap requests, struct log_gap responses)
{
    w->partitions[0].gap[0] = requests;
    w->partitions[0].gap[1] = responses;
    ck_ok(w, writer_flush(w));
    w->partitions[0].gap[0] = w->partitions[0].gap[1] = (struct log_gap){0};
}

START_TEST(a_gap_is_noted_with_its_flush)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 2);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM streamlens_gap"), 0);
    flush_gap(&w, (struct log_gap){10, 15, T0_MS, T0_MS + 5000},
              (struct log_gap){90, 20, TIME_NONE, TIME_NONE});
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM streamlens_gap"), 2);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM streamlens_gap WHERE partition = 2"
                             " AND topic = 'llm.requests' AND from_offset = 10 AND to_offset = 15"
                             " AND extract(epoch FROM from_time) * 1000 = %lld"
                             " AND extract(epoch FROM to_time) * 1000 = %lld",
                             (long long)T0_MS, (long long)T0_MS + 5000),
                     1);
    // What is not known bounds nothing.
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM streamlens_gap WHERE topic = 'llm.responses'"
                             " AND from_offset = 90 AND to_offset = 20 AND from_time IS NULL"
                             " AND to_time IS NULL AND windows_from = '-infinity'"
                             " AND windows_to >= now()"),
                     1);
    writer_close(&w);
}
END_TEST

START_TEST(a_gap_of_a_flush_that_failed_is_noted_once_in_the_end)
{
    struct writer w;
    struct proxy *proxy = proxy_start();
    writer_open(&w, proxy_dsn(proxy), TIMEOUT_MS);
    writer_claim(&w, 0);
    proxy_set(proxy, _i ? PROXY_CUT_AFTER_COMMIT : PROXY_CUT_BEFORE_COMMIT);
    w.partitions[0].gap[1] = (struct log_gap){3, 4, T0_MS, T0_MS};
    ck_ok(&w, writer_begin(&w));
    ck_ok(&w, writer_write(&w));
    ck_result(&w, writer_commit(&w), STORE_UNKNOWN);
    proxy_set(proxy, PROXY_PASS);
    enum store_result rc = writer_resolve(&w);
    ck_assert_int_eq(rc, _i ? STORE_OK : STORE_RETRY);
    if (rc == STORE_RETRY)
        ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM streamlens_gap"), 1);
    writer_close(&w);
    proxy_stop(proxy);
}
END_TEST

static bool lossy(int64_t window_start_us)
{
    return sql_i64("SELECT lossy::int FROM llm_metrics WHERE window_start ="
                   " to_timestamp(%lld)",
                   (long long)(window_start_us / US_PER_S)) == 1;
}

// TTL 300 s, skew 60 s. Lost from 100 s to 130 s after T0: what asked 260 s before T0 may lack its
// answer, what asked up to 190 s after T0 may too.
START_TEST(windows_that_a_lost_record_could_have_belonged_to_are_lossy)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    for (int i = -7; i <= 5; i++)
        writer_add(&w, "t", "r", "m", T0 + i * WINDOW_US)->requests = 1;
    flush_gap(&w, (struct log_gap){0}, (struct log_gap){5, 6, T0_MS + 100000, T0_MS + 130000});
    for (int i = -7; i <= 5; i++)
        ck_assert_msg(lossy(T0 + i * WINDOW_US) == (i >= -5 && i <= 3), "window %d", i);
    // At the borders: a window that ends where they begin, or begins where they end, is whole.
    sql_run("UPDATE streamlens_gap SET windows_from = to_timestamp(%lld), windows_to ="
            " to_timestamp(%lld)",
            (long long)(T0 / US_PER_S), (long long)(T0 / US_PER_S + 60));
    ck_assert(!lossy(T0 - WINDOW_US) && lossy(T0) && !lossy(T0 + WINDOW_US));
    writer_close(&w);
}
END_TEST

int main(void)
{
    if (!fixture_available())
        return 77;
    Suite *suite = suite_create("store_settings");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_claim_has_the_epochs_of_its_partition);
    tcase_add_test(tc, an_epoch_that_another_replaced_before_it_held_is_left_out);
    tcase_add_test(tc, the_newest_epochs_are_kept_and_the_oldest_of_them_holds_from_the_beginning);
    tcase_add_test(tc, a_partition_without_settings_is_no_guess);
    tcase_add_test(tc, a_gap_is_noted_with_its_flush);
    tcase_add_loop_test(tc, a_gap_of_a_flush_that_failed_is_noted_once_in_the_end, 0, 2);
    tcase_add_test(tc, windows_that_a_lost_record_could_have_belonged_to_are_lossy);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
