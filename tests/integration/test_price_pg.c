// SPDX-License-Identifier: Apache-2.0
// The catalogue out of a real database, shown as the lines of a price file.
#include "tests/integration/database_fixture.h"

#include <check.h>

#include "common/core/price_file.h"
#include "common/core/timeunit.h"
#include "common/io/price_pg.h"

#include <stdio.h>

static PGconn *conn;
static struct catalogue *catalogue;
static struct err error;

static void open_database(void)
{
    fixture_open(100);
    conn = PQconnectdb(fixture_dsn());
    ck_assert_int_eq(PQstatus(conn), CONNECTION_OK);
}

static void close_database(void)
{
    catalogue_free(catalogue);
    catalogue = NULL;
    PQfinish(conn);
    fixture_close();
}

static int read_catalogue(void)
{
    PGresult *r = PQexec(conn, price_pg_select);
    ck_assert_msg(PQresultStatus(r) == PGRES_TUPLES_OK, "%s", PQresultErrorMessage(r));
    catalogue_free(catalogue);
    catalogue = catalogue_new();
    error = (struct err){0};
    int rc = price_pg_read(r, catalogue, &error);
    PQclear(r);
    return rc;
}

static void add_version(int version)
{
    sql_run("INSERT INTO llm_price_version (version, origin) VALUES (%d, 'set')", version);
}

// The columns of llm_price that a case does not name are those of a plain card.
static void add_line(int version, const char *columns, const char *values)
{
    sql_run("CREATE TEMP TABLE IF NOT EXISTS plain AS SELECT 1 AS version, '' AS tenant_id,"
            " 'm' AS model, '-infinity'::timestamptz AS effective_from, '' AS tier,"
            " 0::bigint AS above_tokens, '' AS provider, '{}'::text[] AS aliases,"
            " false AS withdrawn, NULL::bigint AS discount_ppm, 1::bigint AS input_pusd,"
            " NULL::bigint AS cached_input_pusd, NULL::bigint AS cache_write_5m_pusd,"
            " NULL::bigint AS cache_write_1h_pusd, 1::bigint AS output_pusd,"
            " NULL::bigint AS reasoning_pusd, NULL::bigint AS request_pusd, '' AS source,"
            " NULL::date AS as_of");
    sql_run(
        "UPDATE plain SET (version, tenant_id, model, effective_from, tier, above_tokens,"
        " provider, aliases, withdrawn, discount_ppm, input_pusd, output_pusd, request_pusd,"
        " source, as_of) = (%d, '', 'm', '-infinity'::timestamptz, '', 0, '', '{}', false, NULL,"
        " 1, 1, NULL, '', NULL)",
        version);
    if (columns[0] != '\0')
        sql_run("UPDATE plain SET (%s) = ROW(%s)", columns, values);
    sql_run("INSERT INTO llm_price SELECT * FROM plain");
}

static void assert_cards(const char *want)
{
    struct buf text = {0};
    for (size_t i = 0; i < catalogue_count(catalogue); i++) {
        buf_addf(&text, "%lld:", (long long)catalogue_at(catalogue, i)->version);
        price_file_write_card(&text, catalogue_at(catalogue, i));
    }
    char *got = buf_steal(&text);
    ck_assert_str_eq(got, want);
    free(got);
}

START_TEST(an_empty_database_is_an_empty_catalogue)
{
    ck_assert_int_eq(read_catalogue(), 0);
    ck_assert_int_eq(catalogue_version(catalogue), 0);
    ck_assert_uint_eq(catalogue_count(catalogue), 0);
}
END_TEST

START_TEST(a_version_counts_also_without_cards)
{
    add_version(1);
    add_version(5);
    add_line(1, "", "");
    ck_assert_int_eq(read_catalogue(), 0);
    ck_assert_int_eq(catalogue_version(catalogue), 5);
    ck_assert_uint_eq(catalogue_count(catalogue), 1);
}
END_TEST

START_TEST(cards_are_read_whole)
{
    PQclear(PQexec(conn, "SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'German';"
                         "SET IntervalStyle = 'iso_8601'"));
    add_version(1);
    add_version(2);
    add_line(2, "tier, above_tokens", "'flex', 32000");
    add_line(2, "tier, above_tokens", "'flex', 200000");
    add_line(2, "tier", "'batch'");
    add_line(2, "above_tokens", "1000000");
    add_line(2, "provider, aliases, input_pusd, source, as_of",
             "'p', '{a,\"b,c\",\"d\\\"e\"}', 9223372036854775807, 'x, y', '2026-01-31'");
    add_line(1, "effective_from", "'2026-01-31 05:31:00+05:30'");
    add_line(1, "effective_from", "'1969-12-31 23:59:00Z'");
    add_line(1, "tenant_id, discount_ppm, input_pusd, output_pusd, request_pusd",
             "'t', 125000, NULL, NULL, 0");
    add_line(1, "tenant_id, model", "'t', 'M'");
    ck_assert_int_eq(read_catalogue(), 0);
    assert_cards("1:,,m,,,,USD/Mtok,0.000001,,,,0.000001,,,,1969-12-31T23:59:00Z,,\n"
                 "1:,,m,,,,USD/Mtok,0.000001,,,,0.000001,,,,2026-01-31T00:01:00Z,,\n"
                 "1:t,,M,,,,USD/Mtok,0.000001,,,,0.000001,,,,,,\n"
                 "1:t,,m,,,,,,,,,,,0,12.5,,,\n"
                 "2:,p,m,\"a b,c d\"\"e\",,,USD/Mtok,9223372036854.775807,,,,0.000001,,,,,\"x, "
                 "y\",2026-01-31\n"
                 ",p,m,\"a b,c d\"\"e\",,1000000,USD/Mtok,0.000001,,,,0.000001,,,,,\"x, "
                 "y\",2026-01-31\n"
                 ",p,m,\"a b,c d\"\"e\",batch,,USD/Mtok,0.000001,,,,0.000001,,,,,\"x, "
                 "y\",2026-01-31\n"
                 ",p,m,\"a b,c d\"\"e\",flex,32000,USD/Mtok,0.000001,,,,0.000001,,,,,\"x, "
                 "y\",2026-01-31\n"
                 ",p,m,\"a b,c d\"\"e\",flex,200000,USD/Mtok,0.000001,,,,0.000001,,,,,\"x, "
                 "y\",2026-01-31\n");
    const struct price_card *last = catalogue_at(catalogue, 4);
    ck_assert_uint_eq(last->alias_count, 3);
    ck_assert_str_eq(last->aliases[1], "b,c");
    ck_assert_int_eq(last->effective_from_us, INT64_MIN);
    ck_assert_int_eq(last->discount_ppm, PRICE_NONE);
}
END_TEST

START_TEST(each_price_is_of_its_class)
{
    add_version(1);
    sql_run("INSERT INTO llm_price VALUES (1, '', 'm', '-infinity', '', 0, '', '{}', false, NULL,"
            " 1, 2, 3, 4, 5, 6, 7, '', NULL)");
    sql_run("INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens,"
            " provider, aliases, input_pusd, cached_input_pusd, cache_write_5m_pusd,"
            " cache_write_1h_pusd, output_pusd, reasoning_pusd, request_pusd, source)"
            " VALUES (1, '', 'n', '-infinity', '', 0, '', '{}', 1, 2, 3, 4, 5, 6, 7, '')");
    ck_assert_int_eq(read_catalogue(), 0);
    static const int64_t want[PRICE_CLASS_COUNT] = {
        [PRICE_input] = 1,          [PRICE_cached_input] = 2, [PRICE_cache_write_5m] = 3,
        [PRICE_cache_write_1h] = 4, [PRICE_output] = 5,       [PRICE_reasoning] = 6,
        [PRICE_request] = 7};
    for (size_t i = 0; i < 2; i++)
        for (int k = 0; k < PRICE_CLASS_COUNT; k++)
            ck_assert_int_eq(catalogue_at(catalogue, i)->lines[0].pusd[k], want[k]);
}
END_TEST

START_TEST(a_card_that_no_price_file_can_hold_is_named)
{
    static const struct {
        const char *columns, *values, *column;
    } cases[] = {
        {"effective_from", "'infinity'", "effective_from"},
        {"effective_from", "'294276-12-31 00:00:00Z'", "effective_from"},
        {"effective_from", "'4700-01-01 00:00:00Z BC'", "effective_from"},
        {"tier", "'batch'", "tier"},
        {"above_tokens", "32000", "tier"},
        {"aliases", "'{a b}'", "aliases"},
        {"aliases", "'{m}'", "aliases"},
        {"model", "''", "model"},
        {"tenant_id, model", "'t', '*'", "discount_percent"},
        {"discount_ppm", "1", "discount_percent"},
        {"tenant_id, discount_ppm", "'t', 1", "input"},
        {"input_pusd", "NULL", "input"},
        {"as_of", "'10000-01-01'", "as_of"},
        {"withdrawn", "true", "input"},
        {"withdrawn, input_pusd, output_pusd, request_pusd", "true, NULL, NULL, 0", "request"},
        {"withdrawn, input_pusd", "true, NULL", "output"},
        {"withdrawn, input_pusd, output_pusd, tier", "true, NULL, NULL, 'flex'", "tier"},
        {"withdrawn, tenant_id, input_pusd, output_pusd, discount_ppm", "true, 't', NULL, NULL, 0",
         "discount_percent"},
        {"source", "repeat('s', 256)", "source"},
    };
    add_version(3);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        add_line(3, cases[i].columns, cases[i].values);
        ck_assert_msg(read_catalogue() == -1, "case %zu", i);
        ck_assert_msg(strcmp(error.field, cases[i].column) == 0, "case %zu: %s", i, error.field);
        ck_assert_ptr_nonnull(strstr(error.detail, "llm_price, version 3, tenant \""));
        sql_run("DELETE FROM llm_price");
    }
    add_line(3, "above_tokens", "0");
    add_line(3, "above_tokens", "5");
    ck_assert_int_eq(read_catalogue(), -1);
    ck_assert_str_eq(error.field, "above_tokens");
}
END_TEST

START_TEST(what_stands_before_a_version_that_is_refused_is_read_whole)
{
    add_version(1);
    add_version(4);
    add_version(5);
    add_version(6);
    add_line(1, "", "");
    add_line(5, "", "");
    add_line(5, "model, input_pusd", "'n', NULL");
    add_line(6, "model", "'o'");
    ck_assert_int_eq(read_catalogue(), -1);
    ck_assert_ptr_nonnull(strstr(error.detail, "llm_price, version 5, tenant \"\", model \"n\""));
    assert_cards("1:,,m,,,,USD/Mtok,0.000001,,,,0.000001,,,,,,\n");
    ck_assert_int_eq(catalogue_version(catalogue), 4);
}
END_TEST

START_TEST(a_withdrawn_card_is_read)
{
    add_version(1);
    add_version(2);
    add_line(1, "aliases", "'{a}'");
    add_line(2, "withdrawn, input_pusd, output_pusd, aliases, effective_from",
             "true, NULL, NULL, '{a}', '2026-01-31 00:01:00Z'");
    ck_assert_int_eq(read_catalogue(), 0);
    assert_cards("1:,,m,a,,,USD/Mtok,0.000001,,,,0.000001,,,,,,\n"
                 "2:,,m,a,,,none,,,,,,,,,2026-01-31T00:01:00Z,,\n");
    ck_assert(!catalogue_at(catalogue, 0)->withdrawn);
    ck_assert(catalogue_at(catalogue, 1)->withdrawn);
}
END_TEST

START_TEST(a_card_is_withdrawn_in_no_line_or_is_one)
{
    add_version(1);
    for (int i = 0; i < 2; i++) {
        add_line(1, i == 0 ? "withdrawn, input_pusd, output_pusd" : "",
                 i == 0 ? "true, NULL, NULL" : "");
        add_line(1, i == 1 ? "tier, withdrawn, input_pusd, output_pusd" : "tier",
                 i == 1 ? "'flex', true, NULL, NULL" : "'flex'");
        ck_assert_int_eq(read_catalogue(), -1);
        ck_assert_str_eq(error.field, i == 0 ? "tier" : "input");
        ck_assert_ptr_nonnull(strstr(error.detail, "withdrawn"));
        sql_run("DELETE FROM llm_price");
    }
}
END_TEST

START_TEST(a_catalogue_has_at_most_100000_cards)
{
    add_version(1);
    sql_run("INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens,"
            " provider, aliases, input_pusd, output_pusd, source)"
            " SELECT 1, '', 'm' || n, '-infinity', '', 0, '', '{}', 1, 1, ''"
            " FROM generate_series(1, %d) n",
            CATALOGUE_CARDS_MAX);
    ck_assert_int_eq(read_catalogue(), 0);
    ck_assert_uint_eq(catalogue_count(catalogue), CATALOGUE_CARDS_MAX);
    add_line(1, "model", "'zzz'");
    ck_assert_int_eq(read_catalogue(), -1);
    ck_assert_ptr_nonnull(strstr(error.detail, "more than 100000 price cards"));
    ck_assert_uint_eq(catalogue_count(catalogue), 0);
}
END_TEST

int main(void)
{
    if (!fixture_available())
        return 77;
    TCase *tc = tcase_create("price_pg");
    tcase_add_checked_fixture(tc, open_database, close_database);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, an_empty_database_is_an_empty_catalogue);
    tcase_add_test(tc, a_version_counts_also_without_cards);
    tcase_add_test(tc, cards_are_read_whole);
    tcase_add_test(tc, each_price_is_of_its_class);
    tcase_add_test(tc, a_card_that_no_price_file_can_hold_is_named);
    tcase_add_test(tc, what_stands_before_a_version_that_is_refused_is_read_whole);
    tcase_add_test(tc, a_withdrawn_card_is_read);
    tcase_add_test(tc, a_card_is_withdrawn_in_no_line_or_is_one);
    tcase_add_test(tc, a_catalogue_has_at_most_100000_cards);
    Suite *suite = suite_create("price_pg");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
