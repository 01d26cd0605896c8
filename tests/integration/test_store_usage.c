// SPDX-License-Identifier: Apache-2.0
// Usage lines and amounts through PostgreSQL and back: what was counted is what is kept, and what
// cannot be read is refused.
#include <stdio.h>

#include "common/io/usage_pg.h"
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

// ---- usage lines ----

static void add_line(struct usage_lines *l, const char *model, const char *asked, const char *tier,
                     int64_t context_above, int64_t n)
{
    struct usage_key key = {str_of(model), str_of(asked), str_of(tier), context_above};
    struct usage u = {n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n, 7 * n};
    usage_lines_add(l, &key, &u);
}

static void check_lines(const char *table, const struct usage_lines *want)
{
    struct usage_lines got = {0};
    struct err e;
    PGresult *r = sql_binary("SELECT usage FROM %s", table);
    ck_assert_int_eq(PQntuples(r), 1);
    int rc = usage_pg_read(&got, db_bytes(r, 0, 0), &e);
    ck_assert_msg(rc == 0, "%s", e.detail);
    ck_assert_uint_eq(got.n, want->n);
    for (size_t i = 0; i < got.n; i++) {
        const struct usage_key *a = &got.v[i].key, *b = &want->v[i].key;
        ck_assert(str_eq(a->model, b->model) && str_eq(a->asked, b->asked) &&
                  str_eq(a->tier, b->tier) && a->context_above == b->context_above);
        ck_assert_int_eq(memcmp(&got.v[i].sum, &want->v[i].sum, sizeof(want->v[i].sum)), 0);
    }
    ck_assert_int_eq(memcmp(&got.other, &want->other, sizeof(got.other)), 0);
    usage_lines_clear(&got);
    PQclear(r);
}

// The lines in two flushes, so that they are written, read, merged and written again.
static void check_round_trip(const struct usage_lines *lines)
{
    struct usage_lines twice = {0};
    sql_run("TRUNCATE llm_minute, llm_hour");
    for (int i = 0; i < 2; i++) {
        usage_lines_merge(&twice, lines);
        usage_lines_merge(&writer_add(&w, "t", "r", "m", T0)->usage, lines);
        ck_ok(&w, writer_flush(&w));
        check_lines("llm_minute", &twice);
        check_lines("llm_hour", &twice);
    }
    struct usage total = usage_lines_total(&twice);
    ck_assert_int_eq(
        sql_i64("SELECT count(*) FROM llm_minute WHERE (uncached_prompt_tokens,"
                " cached_prompt_tokens, cache_write_5m_tokens, cache_write_1h_tokens,"
                " completion_tokens, reasoning_tokens)"
                " = (%lld, %lld, %lld, %lld, %lld, %lld)",
                (long long)total.uncached_prompt_tokens, (long long)total.cached_prompt_tokens,
                (long long)total.cache_write_5m_tokens, (long long)total.cache_write_1h_tokens,
                (long long)total.completion_tokens, (long long)total.reasoning_tokens),
        1);
    usage_lines_clear(&twice);
}

START_TEST(usage_lines_come_back_as_they_were)
{
    struct usage_lines l = {0};
    char longest[256], name[300];
    memset(longest, 'x', 255);
    longest[255] = '\0';
    check_round_trip(&l);
    add_line(&l, "gpt-4o", "", "", 0, 1);
    check_round_trip(&l);
    add_line(&l, "modèle-é\"{},()\\", "gefragt-ß", "flex", 1000000, 5);
    add_line(&l, longest, longest, longest, 32000, 7);
    check_round_trip(&l);
    for (int i = 3; i < USAGE_LINES; i++) {
        snprintf(name, sizeof(name), "%.*s%d", 253, longest, i);
        add_line(&l, name, longest, "batch", 200000, i);
    }
    ck_assert_uint_eq(l.n, USAGE_LINES);
    check_round_trip(&l);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_minute, unnest(usage) u WHERE u.model ="
                             " '__other__'"),
                     0);
    add_line(&l, "zzz", "", "", 0, 9);
    ck_assert_int_gt(l.other.requests, 0);
    check_round_trip(&l);
    usage_lines_clear(&l);
}
END_TEST

START_TEST(counts_come_back_at_their_limits)
{
    struct usage_lines l = {0};
    struct usage_key key = {.model = STR_LIT("m")};
    struct usage most = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
                         INT64_MAX, INT64_MAX, INT64_MAX};
    usage_lines_add(&l, &key, &most);
    check_round_trip(&l);
    usage_lines_clear(&l);
}
END_TEST

START_TEST(any_lines_come_back)
{
    struct random random = {42};
    for (int round = 0; round < 15; round++) {
        struct usage_lines l = {0};
        for (int i = random_below(&random, 2 * USAGE_LINES); i >= 0; i--) {
            char model[32], asked[32];
            snprintf(model, sizeof(model), "model-%d", random_below(&random, 50));
            snprintf(asked, sizeof(asked), "%d", random_below(&random, 3));
            add_line(&l, random_below(&random, 30) ? model : USAGE_OTHER, asked,
                     random_below(&random, 2) ? "" : "flex", random_below(&random, 2) ? 0 : 128000,
                     random_below(&random, 1000));
        }
        check_round_trip(&l);
        usage_lines_clear(&l);
    }
}
END_TEST

START_TEST(analysts_read_usage_as_a_table)
{
    struct facts *f = writer_add(&w, "t", "r", "m", T0);
    add_line(&f->usage, "b", "", "flex", 200000, 1);
    add_line(&f->usage, "a", "b", "", 0, 10);
    add_line(&f->usage, USAGE_OTHER, "", "", 0, 100);
    ck_ok(&w, writer_flush(&w));
    ck_assert_int_eq(
        sql_i64("SELECT count(*) FROM (SELECT (u).* FROM llm_minute, unnest(usage) u) l"
                " WHERE ROW(l.*)::llm_usage = ROW('a', 'b', '', 0, 10, 20, 30, 40, 50, 60, "
                "70)::llm_usage"),
        1);
    ck_assert_int_eq(
        sql_i64("SELECT sum(uncached_prompt_tokens) FROM (SELECT (u).* FROM llm_metrics,"
                " unnest(usage) u) l WHERE model = 'b' AND tier = 'flex'"
                " AND context_above = 200000"),
        2);
    ck_assert_int_eq(sql_i64("SELECT u.requests FROM llm_hour, unnest(usage) u"
                             " WHERE model = '__other__'"),
                     100);
}
END_TEST

// ---- what cannot be read ----

static int read_usage(struct str field, struct err *e)
{
    struct usage_lines l = {0};
    int rc = usage_pg_read(&l, field, e);
    usage_lines_clear(&l);
    return rc;
}

START_TEST(usage_that_is_cut_anywhere_is_refused)
{
    PGresult *r = sql_binary("SELECT ARRAY[ROW('m', '', 'flex', 0, 1, 2, 3, 4, 5, 6, 7)::llm_usage,"
                             " ROW('n', 'm', '', 32000, 1, 2, 3, 4, 5, 6, 7)::llm_usage]");
    struct str whole = db_bytes(r, 0, 0);
    struct err e;
    ck_assert_int_eq(read_usage(whole, &e), 0);
    for (size_t n = 0; n < whole.n; n++) {
        char *cut = xmemdup(whole.p, n ? n : 1); // of just that size, so that valgrind sees more
        ck_assert_int_eq(read_usage((struct str){cut, n}, &e), -1);
        free(cut);
    }
    char *longer = xcalloc(whole.n + 1, 1);
    memcpy(longer, whole.p, whole.n);
    ck_assert_int_eq(read_usage((struct str){longer, whole.n + 1}, &e), -1);
    free(longer);
    PQclear(r);
}
END_TEST

START_TEST(usage_of_another_form_is_refused)
{
    static const char *const wrong[] = {
        "ARRAY[ARRAY[ROW('m', '', '', 0, 1, 2, 3, 4, 5, 6, 7)::llm_usage]]",
        "ARRAY[NULL::llm_usage]",
        "ARRAY[ROW(NULL, '', '', 0, 1, 2, 3, 4, 5, 6, 7)::llm_usage]",
        "ARRAY[ROW('m', '', '', NULL, 1, 2, 3, 4, 5, 6, 7)::llm_usage]",
        "ARRAY[ROW('m', '', '', 0, 1, 2, 3, 4, 5, 6, NULL)::llm_usage]",
        "ARRAY[ROW('m', '', '', 0, -1, 2, 3, 4, 5, 6, 7)::llm_usage]",
        "ARRAY[ROW('m', '', '', 0, 1, 2, 3, 4, 5, 6, -7)::llm_usage]",
        "ARRAY[ROW('m'::text, ''::text, ''::text, 0::bigint)]",
        "ARRAY[ROW(0, '', '', 0, 1, 2, 3, 4, 5, 6, 7)]",
        "ARRAY[1::bigint]",
        "NULL::llm_usage[]",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        PGresult *r = sql_binary("SELECT %s", wrong[i]);
        struct err e;
        ck_assert_msg(read_usage(db_bytes(r, 0, 0), &e) == -1, "%s", wrong[i]);
        ck_assert_ptr_nonnull(strstr(e.detail, "usage"));
        PQclear(r);
    }
    sql_run("ALTER TYPE llm_usage ADD ATTRIBUTE more bigint");
    PGresult *r =
        sql_binary("SELECT ARRAY[ROW('m', '', '', 0, 1, 2, 3, 4, 5, 6, 7, 8)::llm_usage]");
    struct err e;
    ck_assert_int_eq(read_usage(db_bytes(r, 0, 0), &e), -1);
    PQclear(r);
}
END_TEST

// ---- amounts ----

START_TEST(amounts_come_back_to_the_last_digit)
{
    static const char *const amounts[] = {
        "0",
        "1",
        "9",
        "9999",
        "10000",
        "10001",
        "99999999",
        "100000000",
        "100000001",
        "100010000",
        "123456789012345678901234567890",
        "99999999999999999999999999999999999998",
        "10000000000000000000000000000000000000",
        "99999999999999999999999999999999999999",
    };
    for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
        money want = 0, got;
        for (const char *digit = amounts[i]; *digit; digit++)
            want = want * 10 + (*digit - '0');
        sql_run("TRUNCATE llm_minute, llm_hour");
        writer_add(&w, "t", "r", "m", T0)->reported_cost = want;
        ck_ok(&w, writer_flush(&w));
        writer_add_simple(&w, "m", 1); // written as it was read
        ck_ok(&w, writer_flush(&w));
        ck_assert_msg(sql_i64("SELECT count(*) FROM llm_minute JOIN llm_hour USING (series_id)"
                              " WHERE llm_minute.reported_cost_pusd = %s AND"
                              " llm_hour.reported_cost_pusd = %s AND llm_minute.revision = 2",
                              amounts[i], amounts[i]) == 1,
                      "%s", amounts[i]);
        PGresult *r = sql_binary("SELECT -reported_cost_pusd FROM llm_minute");
        struct err e;
        ck_assert_int_eq(db_numeric(r, 0, 0, &got, &e), 0);
        ck_assert(got == -want);
        PQclear(r);
    }
}
END_TEST

START_TEST(what_is_no_amount_is_refused)
{
    static const char *const wrong[] = {
        "'NaN'::numeric",       "'Infinity'::numeric",
        "'-Infinity'::numeric", "0.5",
        "12345.00000001",       "1e38::numeric",
        "-1e38::numeric",       "1e40::numeric",
        "1e1000::numeric",      "NULL::numeric",
        "1e-30::numeric",       "100000000000000000000000000000000000000.5"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        PGresult *r = sql_binary("SELECT %s", wrong[i]);
        struct err e;
        money m;
        ck_assert_msg(db_numeric(r, 0, 0, &m, &e) == -1, "%s", wrong[i]);
        PQclear(r);
    }
}
END_TEST

START_TEST(picodollars_show_as_dollars)
{
    ck_assert_int_eq(sql_i64("SELECT count(*) WHERE llm_usd(1)::text = '0.000000000001'"
                             " AND llm_usd(0)::text = '0' AND llm_usd(2500000000000)::text = '2.5'"
                             " AND llm_usd(%s)::text = '99999999999999999999999999.999999999999'",
                             "99999999999999999999999999999999999999"),
                     1);
}
END_TEST

static Suite *usage_suite(void)
{
    Suite *s = suite_create("store_usage");
    TCase *c = tcase_create("store_usage");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, open_database, close_database);
    const TTest *const tests[] = {
        usage_lines_come_back_as_they_were,
        counts_come_back_at_their_limits,
        any_lines_come_back,
        analysts_read_usage_as_a_table,
        usage_that_is_cut_anywhere_is_refused,
        usage_of_another_form_is_refused,
        amounts_come_back_to_the_last_digit,
        what_is_no_amount_is_refused,
        picodollars_show_as_dollars,
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
    SRunner *r = srunner_create(usage_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
