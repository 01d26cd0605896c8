// SPDX-License-Identifier: Apache-2.0
// What a series belongs to within an epoch of the cap: a row of its own, or __other__.
#include <pthread.h>
#include <stdio.h>

#include "tests/integration/store_fixture.h"

static void setup(void)
{
    fixture_open(2);
}

static void teardown(void)
{
    fixture_close();
}

// A series epoch with this cap.
static void open_epoch(int64_t epoch, int64_t max_series)
{
    sql_run("INSERT INTO streamlens_settings VALUES (%lld, 1000, 10, %lld, 1, now(), %lld)",
            (long long)epoch, (long long)max_series, (long long)epoch);
}

// Asks for one name in an epoch, as a flush does that then fails.
static int64_t resolve(struct writer *w, const char *tenant, const char *model, int64_t epoch)
{
    w->series_epoch = epoch;
    writer_add(w, tenant, "r", model, T0)->requests = 1;
    enum store_result rc = STORE_RETRY;
    for (int i = 0; rc == STORE_RETRY && i < 100; i++)
        rc = writer_begin(w);
    int64_t id = rc == STORE_OK ? w->cells[0].series->store_id : -1;
    store_abort(w->store);
    writer_clear(w); // nothing refers to the series any more: the next time is the first again
    return id;
}

static const char *model_of(int64_t id)
{
    static char model[64];
    size_t n;
    char *text =
        sql_bytes(&n, "SELECT model::bytea FROM llm_series WHERE series_id = %lld", (long long)id);
    snprintf(model, sizeof(model), "%.*s", (int)n, text);
    free(text);
    return model;
}

#define ck_belongs(w, model, epoch, want)                                                          \
    ck_assert_str_eq(model_of(resolve(w, "t", model, epoch)), want)

START_TEST(a_raised_cap_gives_rows_to_its_own_epoch)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    ck_belongs(&w, "a", 1, "a");
    ck_belongs(&w, "b", 1, "b");
    ck_belongs(&w, "c", 1, SERIES_OTHER);
    open_epoch(4, 4);
    ck_belongs(&w, "c", 4, "c");
    ck_belongs(&w, "c", 1, SERIES_OTHER); // its requests of before were counted there
    ck_belongs(&w, "a", 4, "a");
    ck_belongs(&w, "a", 1, "a");
    ck_belongs(&w, "d", 4, "d");
    ck_belongs(&w, "e", 4, SERIES_OTHER);
    ck_assert_int_eq(sql_i64("SELECT series_count FROM llm_tenant"), 4);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_series WHERE epoch = 4"), 2);
    writer_close(&w);
}
END_TEST

START_TEST(a_lowered_cap_takes_no_row_away_and_gives_none)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    ck_belongs(&w, "a", 1, "a");
    if (_i == 1) // the row is there already
        sql_run("INSERT INTO llm_series (tenant_id, route, model) VALUES ('t', '%s', '%s')",
                SERIES_OTHER, SERIES_OTHER);
    open_epoch(2, 1);
    ck_belongs(&w, "a", 2, "a");
    ck_belongs(&w, "b", 2, SERIES_OTHER);
    // There is room in epoch 1, but b of epoch 2 has shown that it is over.
    ck_belongs(&w, "b", 1, SERIES_OTHER);
    ck_belongs(&w, "b", 2, SERIES_OTHER);
    ck_assert_int_eq(sql_i64("SELECT epoch FROM llm_tenant"), 2);
    writer_close(&w);
}
END_TEST

// What a replay of before the border finds out may still be made, as long as nothing newer was.
START_TEST(an_older_epoch_makes_rows_until_a_newer_one_does)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    open_epoch(2, 3);
    ck_belongs(&w, "a", 1, "a");
    ck_belongs(&w, "a", 2, "a"); // found: nothing of epoch 2 was made
    ck_belongs(&w, "b", 1, "b");
    ck_belongs(&w, "c", 2, "c");
    ck_belongs(&w, "d", 1, SERIES_OTHER);
    ck_assert_int_gt(resolve(&w, "u", "d", 1), 0); // another tenant is not concerned
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_series WHERE tenant_id = 'u' AND model = 'd'"
                             " AND epoch = 1"),
                     1);
    writer_close(&w);
}
END_TEST

START_TEST(epochs_in_one_flush_are_resolved_from_the_oldest_on)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    open_epoch(2, 4);
    w.series_epoch = 2;
    writer_add(&w, "t", "r", "a", T0)->requests = 1;
    writer_add(&w, "t", "r", "z", T0)->requests = 2;
    w.series_epoch = 1;
    writer_add(&w, "t", "r", "a", T0)->requests = 4;
    writer_add(&w, "t", "r", "b", T0)->requests = 8;
    writer_add(&w, "t", "r", "c", T0)->requests = 16; // the third in an epoch of two
    ck_ok(&w, writer_flush(&w));
    // Both entries of a are one row.
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_metrics WHERE model = 'a'"), 5);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_metrics WHERE model = 'b'"), 8);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_metrics WHERE model = 'z'"), 2);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_metrics WHERE model = '%s'", SERIES_OTHER),
                     16);
    writer_close(&w);
}
END_TEST

// All asked for at once: ids are told of those that were made, and looked up of the others.
START_TEST(where_there_is_no_room_for_all_each_name_has_its_own_row)
{
    static const char *const tenants[] = {"t", "u"}, *const models[] = {"a", "b", "c", "d"};
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    ck_belongs(&w, "b", 1, "b"); // one of t's two is there already
    for (int i = 0; i < 8; i++)
        writer_add(&w, tenants[i / 4], "r", models[i % 4], T0)->requests = 1 << i;
    ck_ok(&w, writer_flush(&w));
    static const struct {
        const char *tenant, *model;
        int64_t requests;
    } rows[] = {{"t", "a", 1},  {"t", "b", 2},  {"t", SERIES_OTHER, 4 + 8},
                {"u", "a", 16}, {"u", "b", 32}, {"u", SERIES_OTHER, 64 + 128}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_int_eq(sql_i64("SELECT sum(requests)::bigint FROM llm_metrics"
                                 " WHERE tenant_id = '%s' AND model = '%s'",
                                 rows[i].tenant, rows[i].model),
                         rows[i].requests);
    writer_close(&w);
}
END_TEST

START_TEST(other_is_one_row_in_all_epochs)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    open_epoch(2, 1);
    w.series_epoch = 2;
    writer_add(&w, "t", SERIES_OTHER, SERIES_OTHER, T0)->requests = 1;
    ck_ok(&w, writer_flush(&w));
    w.series_epoch = 1;
    writer_add(&w, "t", SERIES_OTHER, SERIES_OTHER, T0)->requests = 2;
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_series"), 1);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_metrics"), 3);
    ck_assert_int_eq(sql_i64("SELECT series_count FROM llm_tenant"), 0);
    writer_close(&w);
}
END_TEST

// ---- a database that was set back ----

// The series were made by a flush that is not in; then comes a backup that knows nothing of them,
// and others take their ids. Positions and epochs are as they were, so the fence passes.
START_TEST(ids_do_not_outlive_a_database_that_was_set_back)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add(&w, "t", "r", "a", T0)->requests = 1;
    writer_add(&w, "t", "r", "b", T0)->requests = 2;
    ck_ok(&w, writer_begin(&w));
    store_abort(w.store);
    sql_run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()");
    sql_run("UPDATE llm_series SET tenant_id = 'u', model = 'x' WHERE model = 'a'");
    sql_run("DELETE FROM llm_series WHERE model = 'b'");
    sql_run("DELETE FROM llm_tenant");
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_metrics WHERE model = 'a'"), 1);
    ck_assert_int_eq(sql_i64("SELECT requests FROM llm_metrics WHERE model = 'b'"), 2);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_metrics"), 2);
    writer_close(&w);
}
END_TEST

// ---- nothing ever changes ----

#define NAMES 14
#define EPOCHS 4
#define STEPS 120

struct asker {
    pthread_t thread;
    int partition;
    unsigned seed;
    int64_t newest;                   // epoch that may be asked for
    int64_t id[2][NAMES][EPOCHS + 1]; // the first answer; 0 = not asked
    char failure[128];
};

static void ask_once(struct asker *a, struct writer *w)
{
    static const char *const tenants[] = {"t", "u"};
    int tenant = rand_r(&a->seed) % 2, name = rand_r(&a->seed) % NAMES;
    int64_t epoch = 1 + rand_r(&a->seed) % a->newest;
    char model[8];
    snprintf(model, sizeof(model), "m%d", name);
    int64_t id = resolve(w, tenants[tenant], model, epoch);
    int64_t *first = &a->id[tenant][name][epoch];
    if (id <= 0 || (*first != 0 && *first != id))
        snprintf(a->failure, sizeof(a->failure), "%s, %s, epoch %lld: %lld, then %lld",
                 tenants[tenant], model, (long long)epoch, (long long)*first, (long long)id);
    *first = id;
}

static void *ask_on(void *arg)
{
    struct asker *a = arg;
    struct writer w;
    for (int i = 0; i < STEPS && !a->failure[0]; i++) {
        if (i % 40 == 0) { // a processor that starts
            if (i > 0)
                writer_close(&w);
            writer_open(&w, fixture_dsn(), TIMEOUT_MS);
            writer_claim(&w, a->partition);
        }
        ask_once(a, &w);
    }
    writer_close(&w);
    return NULL;
}

// Two processors at once, over epochs whose caps rise and fall.
START_TEST(what_a_name_belongs_to_within_an_epoch_never_changes)
{
    static const int64_t caps[EPOCHS + 1] = {0, 2, 5, 3, 8};
    struct asker askers[2] = {{.partition = 0, .seed = 1}, {.partition = 1, .seed = 2}};
    for (int64_t epoch = 1; epoch <= EPOCHS; epoch++) {
        if (epoch > 1)
            open_epoch(epoch, caps[epoch]);
        for (int i = 0; i < 2; i++) {
            askers[i].newest = epoch;
            ck_assert_int_eq(pthread_create(&askers[i].thread, NULL, ask_on, &askers[i]), 0);
        }
        for (int i = 0; i < 2; i++) {
            pthread_join(askers[i].thread, NULL);
            ck_assert_msg(!askers[i].failure[0], "%s", askers[i].failure);
        }
        ck_assert_int_le(sql_i64("SELECT max(series_count) FROM llm_tenant"), epoch == EPOCHS ? 8
                                                                              : epoch == 1    ? 2
                                                                                              : 5);
    }
    int both = 0;
    for (int t = 0; t < 2; t++)
        for (int n = 0; n < NAMES; n++)
            for (int e = 1; e <= EPOCHS; e++) {
                int64_t x = askers[0].id[t][n][e], y = askers[1].id[t][n][e];
                ck_assert(x == 0 || y == 0 || x == y);
                both += x != 0 && y != 0;
            }
    ck_assert_int_ge(both, 50);
    ck_assert_int_eq(sql_i64("SELECT min(series_count) FROM llm_tenant"), 8);
}
END_TEST

START_TEST(ids_do_not_outlive_series_that_were_deleted)
{
    struct writer w;
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&w, 0);
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_begin(&w));
    int64_t before = w.cells[0].series->store_id;
    store_abort(w.store);
    sql_run("DELETE FROM llm_series; DELETE FROM llm_tenant;"
            " UPDATE streamlens_position SET series_generation = series_generation + 1");
    ck_result(&w, writer_begin(&w), STORE_RETRY);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_gt(sql_i64("SELECT series_id FROM llm_series"), before);
    ck_assert_int_eq(sql_i64("SELECT requests " ROW), 1);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute"), 1);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_hour"), 1);
    writer_add_simple(&w, "m", 1);
    ck_ok(&w, writer_begin(&w)); // no more than once
    writer_close(&w);
}
END_TEST

int main(void)
{
    if (!fixture_available())
        return 77;
    Suite *suite = suite_create("store_series");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_raised_cap_gives_rows_to_its_own_epoch);
    tcase_add_loop_test(tc, a_lowered_cap_takes_no_row_away_and_gives_none, 0, 2);
    tcase_add_test(tc, an_older_epoch_makes_rows_until_a_newer_one_does);
    tcase_add_test(tc, epochs_in_one_flush_are_resolved_from_the_oldest_on);
    tcase_add_test(tc, where_there_is_no_room_for_all_each_name_has_its_own_row);
    tcase_add_test(tc, other_is_one_row_in_all_epochs);
    tcase_add_test(tc, ids_do_not_outlive_a_database_that_was_set_back);
    tcase_add_test(tc, ids_do_not_outlive_series_that_were_deleted);
    tcase_add_test(tc, what_a_name_belongs_to_within_an_epoch_never_changes);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
