// SPDX-License-Identifier: Apache-2.0
// Usage as the operator's tool sums it (deploy/admin/prices/used_pg.h), out of a real database.
#include "tests/integration/database_fixture.h"

#include <check.h>

#include "common/core/timeunit.h"
#include "deploy/admin/prices/used_pg.h"

#include <inttypes.h>
#include <stdio.h>

static struct db *db;
static struct used used;
static struct err error;

static void open_database(void)
{
    fixture_open(100);
    char dsn[256];
    snprintf(dsn, sizeof(dsn), "%s", fixture_dsn());
    struct config c = {.postgres_dsn = dsn};
    db = db_open_set_up(&c, &error);
    ck_assert_msg(db != NULL, "%s", error.detail);
    sql_run("SELECT llm_make_partition(p, at::timestamptz) FROM"
            " unnest(ARRAY['llm_minute', 'llm_hour']) p,"
            " unnest(ARRAY['2026-11-20Z', '2026-11-21Z', '2026-11-30Z', '2026-12-01Z']) at");
    // A row with no more than what is read; the cells of each table that must have a value have 0.
    sql_run(
        "CREATE FUNCTION put(p text, tenant text, at text, version bigint,"
        " VARIADIC lines llm_usage[] DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$"
        " DECLARE id bigint; zeros jsonb; BEGIN"
        " INSERT INTO llm_series (tenant_id, route, model) VALUES (tenant, 'r', 'm')"
        "  ON CONFLICT (tenant_id, route, model) DO UPDATE SET route = 'r'"
        "  RETURNING series_id INTO id;"
        " SELECT jsonb_object_agg(attname, 0) INTO zeros FROM pg_attribute"
        "  WHERE attrelid = p::regclass AND attnum > 0 AND attnotnull"
        "  AND atttypid IN ('bigint'::regtype, 'numeric'::regtype);"
        " EXECUTE format('INSERT INTO %%I SELECT (jsonb_populate_record(NULL::%%1$I, $1)).*', p)"
        "  USING zeros || jsonb_build_object('series_id', id, 'window_start', at,"
        "  'created_at', at, 'updated_at', at, 'price_version', version,"
        "  'usage', '[]'::jsonb, 'error_classes', '{}', 'finish_reasons', '{}');"
        " EXECUTE format('UPDATE %%I SET usage = $1 WHERE (series_id, window_start) ="
        "  ($2, $3::timestamptz)', p) USING lines, id, at; END $$");
}

static void close_database(void)
{
    used_free(&used);
    db_close(db);
    fixture_close();
}

// A line of the model: n requests, and of the classes n, 2 n, … tokens.
#define LINE(model, asked, tier, above, n)                                                         \
    "('" model "', '" asked "', '" tier "', " #above ", " #n ", " #n ", 2 * " #n ", 3 * " #n       \
    ", 4 * " #n ", 5 * " #n ", 6 * " #n ")::llm_usage"

static void put(const char *table, const char *tenant, const char *at, int version,
                const char *lines)
{
    sql_run("SELECT put('%s', '%s', '%s', %d%s%s)", table, tenant, at, version,
            lines[0] ? ", " : "", lines);
}

static int64_t at(const char *text)
{
    int64_t us;
    ck_assert_int_eq(time_parse_rfc3339(str_of(text), &us), 0);
    return us;
}

static struct used_range range_of(const char *from, const char *to)
{
    return (struct used_range){.from_us = at(from), .to_us = at(to)};
}

static int read_range(const struct used_range *r)
{
    used_free(&used);
    error = (struct err){0};
    return used_read(db, r, &used, &error);
}

static void add_time(struct buf *b, int64_t us)
{
    char text[TIME_RFC3339_MAX];
    time_format_rfc3339(us, text);
    buf_addf(b, " %.11s", text + 5); // 11-21T06:14
}

// All lines, as: tenant model/asked/tier/above vVERSION piece first last requests
static void assert_lines(const struct used_range *r, const char *want)
{
    ck_assert_msg(read_range(r) == 0, "%s", error.detail);
    struct buf text = {0};
    for (size_t i = 0; i < used.n; i++) {
        const struct used_line *l = &used.v[i];
        buf_addf(&text, "%s %s/%s/%s/%" PRId64 " v%" PRId64, l->tenant, l->key.model.p,
                 l->key.asked.p, l->key.tier.p, l->key.context_above, l->price_version);
        add_time(&text, l->at_us);
        add_time(&text, l->first_us);
        add_time(&text, l->last_us);
        buf_addf(&text, " %" PRId64 "\n", l->sum.requests);
        ck_assert_uint_eq(l->key.model.n, strlen(l->key.model.p));
        ck_assert_uint_eq(l->key.asked.n, strlen(l->key.asked.p));
        ck_assert_uint_eq(l->key.tier.n, strlen(l->key.tier.p));
        int64_t n = l->sum.requests;
        struct usage each = {n, n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n};
        ck_assert_mem_eq(&l->sum, &each, sizeof(each));
    }
    buf_addc(&text, '\0');
    ck_assert_str_eq(text.p, want);
    buf_free(&text);
}

START_TEST(nothing_is_no_line)
{
    struct used_range r = range_of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    assert_lines(&r, "");
    r.minutes = true;
    assert_lines(&r, "");
}
END_TEST

START_TEST(lines_are_summed_by_what_decides_their_price)
{
    put("llm_hour", "b", "2026-11-21T06:00Z", 3, LINE("m", "", "", 0, 1));
    put("llm_hour", "a", "2026-11-21T06:00Z", 3,
        LINE("m", "", "", 0, 1) "," LINE("m", "", "", 32000, 2) "," LINE(
            "m", "", "batch", 0, 4) "," LINE("m", "x", "", 0, 8) "," LINE("__other__", "", "", 0,
                                                                          16));
    put("llm_hour", "a", "2026-11-21T08:00Z", 3, LINE("m", "", "", 0, 32));
    put("llm_hour", "a", "2026-11-21T07:00Z", 4, LINE("m", "", "", 0, 64));
    put("llm_hour", "a", "2026-11-21T09:00Z", 3, ""); // a row without usage
    struct used_range r = range_of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    assert_lines(&r, "a __other__///0 v3 11-01T00:00 11-21T06:00 11-21T06:00 16\n"
                     "a m///0 v3 11-01T00:00 11-21T06:00 11-21T08:00 33\n"
                     "a m///0 v4 11-01T00:00 11-21T07:00 11-21T07:00 64\n"
                     "a m///32000 v3 11-01T00:00 11-21T06:00 11-21T06:00 2\n"
                     "a m//batch/0 v3 11-01T00:00 11-21T06:00 11-21T06:00 4\n"
                     "a m/x//0 v3 11-01T00:00 11-21T06:00 11-21T06:00 8\n"
                     "b m///0 v3 11-01T00:00 11-21T06:00 11-21T06:00 1\n");
    r.tenant = "b";
    assert_lines(&r, "b m///0 v3 11-01T00:00 11-21T06:00 11-21T06:00 1\n");
    r.tenant = "nobody";
    assert_lines(&r, "");
}
END_TEST

START_TEST(a_range_takes_what_begins_in_it)
{
    put("llm_minute", "a", "2026-11-30T23:58Z", 1, LINE("m", "", "", 0, 1));
    put("llm_minute", "a", "2026-11-30T23:59Z", 1, LINE("m", "", "", 0, 2));
    put("llm_minute", "a", "2026-12-01T00:00Z", 1, LINE("m", "", "", 0, 4));
    put("llm_minute", "a", "2026-12-01T00:01Z", 1, LINE("m", "", "", 0, 8));
    put("llm_hour", "a", "2026-11-30T23:00Z", 1, LINE("m", "", "", 0, 16));
    struct used_range r = range_of("2026-11-30T23:59:00Z", "2026-12-01T00:01:00Z");
    assert_lines(&r, ""); // the hour begins before it
    r.minutes = true;
    assert_lines(&r, "a m///0 v1 11-30T23:59 11-30T23:59 12-01T00:00 6\n");
    r.from_us = at("2026-11-30T23:59:00.000001Z");
    r.to_us = at("2026-12-01T00:00:00.000001Z");
    assert_lines(&r, "a m///0 v1 11-30T23:59 12-01T00:00 12-01T00:00 4\n");
    r = (struct used_range){.from_us = INT64_MIN, .to_us = INT64_MAX, .minutes = true};
    ck_assert_int_eq(read_range(&r), 0);
    ck_assert_int_eq(used.v[0].sum.requests, 15);
    ck_assert_int_eq(used.v[0].at_us, INT64_MIN);
}
END_TEST

START_TEST(windows_are_told_apart_at_the_cuts)
{
    static const char *const minutes[] = {"2026-11-21T06:00Z", "2026-11-21T06:01Z",
                                          "2026-11-21T06:02Z", "2026-11-21T06:03Z",
                                          "2026-11-21T06:04Z", "2026-11-21T06:05Z"};
    for (size_t i = 0; i < ARRAY_LEN(minutes); i++)
        put("llm_minute", "a", minutes[i], 1, LINE("m", "", "", 0, 1));
    const int64_t cuts[] = {at("2026-11-21T06:01:00Z"), at("2026-11-21T06:04:00Z"),
                            at("2026-11-21T06:04:30Z"), at("2026-11-21T06:04:40Z")};
    struct used_range r = range_of("2026-11-21T05:00:00Z", "2026-11-21T07:00:00Z");
    r.minutes = true;
    r.cuts_us = cuts;
    r.cut_count = 3;
    assert_lines(&r, "a m///0 v1 11-21T05:00 11-21T06:00 11-21T06:00 1\n"
                     "a m///0 v1 11-21T06:01 11-21T06:01 11-21T06:03 3\n"
                     "a m///0 v1 11-21T06:04 11-21T06:04 11-21T06:04 1\n"
                     "a m///0 v1 11-21T06:04 11-21T06:05 11-21T06:05 1\n");
    ck_assert_int_eq(used.v[2].at_us, cuts[1]);
    ck_assert_int_eq(used.v[3].at_us, cuts[2]);
    r.cut_count = 4;
    ck_assert_int_eq(read_range(&r), 0);
    ck_assert_int_eq(used.v[3].at_us, cuts[3]);
    r.cut_count = 1;
    assert_lines(&r, "a m///0 v1 11-21T05:00 11-21T06:00 11-21T06:00 1\n"
                     "a m///0 v1 11-21T06:01 11-21T06:01 11-21T06:05 5\n");
}
END_TEST

START_TEST(of_a_row_with_the_model_all_lines_count)
{
    put("llm_hour", "a", "2026-11-21T06:00Z", 1,
        LINE("M-One", "", "", 0, 1) "," LINE("other", "", "", 0, 2));
    put("llm_hour", "a", "2026-11-21T07:00Z", 1, LINE("two", "m-ONE", "", 0, 4));
    put("llm_hour", "a", "2026-11-21T08:00Z", 1, LINE("m-one-b", "", "", 0, 8));
    put("llm_hour", "a", "2026-11-21T09:00Z", 1, LINE("q\"\\,{} É", "", "", 0, 16));
    struct str models[] = {STR_LIT("nobody"), STR_LIT("m-oNe"), STR_LIT("Q\"\\,{} É")};
    struct used_range r = range_of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    r.models = models;
    r.model_count = 1;
    assert_lines(&r, "");
    r.model_count = 2;
    assert_lines(&r, "a M-One///0 v1 11-01T00:00 11-21T06:00 11-21T06:00 1\n"
                     "a other///0 v1 11-01T00:00 11-21T06:00 11-21T06:00 2\n"
                     "a two/m-ONE//0 v1 11-01T00:00 11-21T07:00 11-21T07:00 4\n");
    r.models = &models[2];
    r.model_count = 1;
    assert_lines(&r, "a q\"\\,{} É///0 v1 11-01T00:00 11-21T09:00 11-21T09:00 16\n");
}
END_TEST

static void put_both(const char *at, const char *lines)
{
    static const char *const tenants[] = {"a", "b"};
    for (size_t i = 0; i < ARRAY_LEN(tenants); i++) {
        put("llm_minute", tenants[i], at, 1, lines);
        put("llm_hour", tenants[i], at, 1, lines);
    }
}

START_TEST(what_is_gone_does_not_count)
{
    put_both("2026-11-20T00:00Z", LINE("m", "", "", 0, 1));
    put_both("2026-11-21T00:00Z", LINE("m", "", "", 0, 2));
    sql_run("UPDATE streamlens_retention SET minutes_from = '2026-11-21Z', hours_from = NULL");
    sql_run("DELETE FROM llm_series WHERE tenant_id = 'b'"); // as tenant delete begins
    struct used_range r = range_of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    assert_lines(&r, "a m///0 v1 11-01T00:00 11-20T00:00 11-21T00:00 3\n");
    r.minutes = true;
    assert_lines(&r, "a m///0 v1 11-01T00:00 11-21T00:00 11-21T00:00 2\n");
    sql_run("UPDATE streamlens_retention SET minutes_from = NULL, hours_from = '2026-11-21Z'");
    assert_lines(&r, "a m///0 v1 11-01T00:00 11-20T00:00 11-21T00:00 3\n");
    r.minutes = false;
    assert_lines(&r, "a m///0 v1 11-01T00:00 11-21T00:00 11-21T00:00 2\n");
}
END_TEST

START_TEST(what_rows_count_as_unpriced_is_said)
{
    put("llm_hour", "a", "2026-11-21T06:00Z", 1,
        LINE("m", "", "", 0, 10) "," LINE("n", "", "", 0, 3));
    put("llm_hour", "a", "2026-11-21T07:00Z", 1, LINE("m", "", "", 0, 100));
    put("llm_hour", "a", "2026-11-21T08:00Z", 1, LINE("m", "", "", 0, 1000));
    sql_run("UPDATE llm_hour SET unpriced_requests = 2, guessed_requests = 3"
            " WHERE window_start = '2026-11-21T06:00Z'");
    sql_run("UPDATE llm_hour SET unpriced_requests = 100 WHERE window_start = '2026-11-21T07:00Z'");
    struct used_range r = range_of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    ck_assert_int_eq(read_range(&r), 0);
    ck_assert_uint_eq(used.n, 2);
    ck_assert_int_eq(used.v[0].sum.requests, 1110);
    ck_assert_int_eq(used.v[0].doubtful, 105);
    ck_assert_int_eq(used.v[1].sum.requests, 3);
    ck_assert_int_eq(used.v[1].doubtful, 3);
}
END_TEST

START_TEST(a_sum_that_is_too_large_is_refused)
{
    put("llm_hour", "a", "2026-11-21T06:00Z", 1,
        "('m', '', '', 0, 1, 9223372036854775807, 0, 0, 0, 0, 0)::llm_usage");
    struct used_range r = range_of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    ck_assert_int_eq(read_range(&r), 0);
    ck_assert_int_eq(used.v[0].sum.uncached_prompt_tokens, INT64_MAX);
    put("llm_hour", "a", "2026-11-21T07:00Z", 1,
        "('m', '', '', 0, 1, 1, 0, 0, 0, 0, 0)::llm_usage");
    ck_assert_int_eq(read_range(&r), -1);
    ck_assert_ptr_nonnull(strstr(error.detail, "a sum is above 9223372036854775807"));
    ck_assert_uint_eq(used.n, 0);
    ck_assert_ptr_null(used.v);
}
END_TEST

// An hour of so many lines, each of another model.
static void put_models(int hour, int count)
{
    sql_run("SELECT put('llm_hour', 'a', '2026-11-21T%02d:00Z', 1, VARIADIC array_agg(('m%d-' || n,"
            " '', '', 0, 1, 0, 0, 0, 0, 0, 0)::llm_usage)) FROM generate_series(1, %d) n",
            hour, hour, count);
}

START_TEST(too_many_lines_are_refused)
{
    for (int hour = 0; hour < 10; hour++)
        put_models(hour, USED_LINES_MAX / 10);
    struct used_range r = range_of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    ck_assert_msg(read_range(&r) == 0, "%s", error.detail);
    ck_assert_uint_eq(used.n, USED_LINES_MAX);
    put_models(10, 1);
    ck_assert_int_eq(read_range(&r), -1);
    ck_assert_ptr_nonnull(strstr(error.detail, "more than 1000000 sums of usage"));
    ck_assert_uint_eq(used.n, 0);
    r.from_us = at("2026-11-21T10:00:00Z"); // and the connection serves
    ck_assert_msg(read_range(&r) == 0, "%s", error.detail);
    ck_assert_uint_eq(used.n, 1);
}
END_TEST

START_TEST(of_too_many_lines_the_most_used_are_had)
{
    for (int hour = 0; hour < 10; hour++)
        put_models(hour, USED_LINES_MAX / 10);
    struct used_range r = range_of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    r.most_used = true;
    ck_assert_msg(read_range(&r) == 0, "%s", error.detail);
    ck_assert_uint_eq(used.n, USED_LINES_MAX);
    ck_assert(!used.left_out);
    put("llm_hour", "z", "2026-11-21T06:00Z", 1, LINE("much", "", "", 0, 2));
    ck_assert_msg(read_range(&r) == 0, "%s", error.detail);
    ck_assert_uint_eq(used.n, USED_LINES_MAX);
    ck_assert(used.left_out);
    ck_assert_str_eq(used.v[0].tenant, "z");
    ck_assert_str_eq(used.v[1].tenant, "a");
}
END_TEST

START_TEST(a_statement_that_takes_too_long_is_ended)
{
    put_models(0, 100000);
    ck_assert_int_eq(db_exec(db, "", "SET statement_timeout = '1ms'", &error), 0);
    struct used_range r = range_of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    ck_assert_int_eq(read_range(&r), -1);
    ck_assert_ptr_nonnull(strstr(error.detail, "took too long; want a shorter range, or one"));
    ck_assert_int_eq(db_exec(db, "", "SET statement_timeout = 0", &error), 0);
    r.tenant = "nobody";
    ck_assert_int_eq(read_range(&r), 0);
}
END_TEST

START_TEST(it_reads_what_its_transaction_sees)
{
    put("llm_hour", "a", "2026-11-21T06:00Z", 1, LINE("m", "", "", 0, 1));
    struct used_range r = range_of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    ck_assert_int_eq(
        db_exec(db, "", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM llm_hour", &error), 0);
    put("llm_hour", "a", "2026-11-21T07:00Z", 1, LINE("m", "", "", 0, 2));
    assert_lines(&r, "a m///0 v1 11-01T00:00 11-21T06:00 11-21T06:00 1\n");
    ck_assert_int_eq(db_exec(db, "", "COMMIT", &error), 0);
    assert_lines(&r, "a m///0 v1 11-01T00:00 11-21T06:00 11-21T07:00 3\n");
}
END_TEST

int main(void)
{
    if (!fixture_available())
        return 77;
    Suite *s = suite_create("used");
    TCase *t = tcase_create("used");
    tcase_add_checked_fixture(t, open_database, close_database);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, nothing_is_no_line);
    tcase_add_test(t, lines_are_summed_by_what_decides_their_price);
    tcase_add_test(t, a_range_takes_what_begins_in_it);
    tcase_add_test(t, windows_are_told_apart_at_the_cuts);
    tcase_add_test(t, of_a_row_with_the_model_all_lines_count);
    tcase_add_test(t, what_is_gone_does_not_count);
    tcase_add_test(t, what_rows_count_as_unpriced_is_said);
    tcase_add_test(t, a_sum_that_is_too_large_is_refused);
    tcase_add_test(t, too_many_lines_are_refused);
    tcase_add_test(t, of_too_many_lines_the_most_used_are_had);
    tcase_add_test(t, a_statement_that_takes_too_long_is_ended);
    tcase_add_test(t, it_reads_what_its_transaction_sees);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
