// SPDX-License-Identifier: Apache-2.0
// Selectors against the table and series, and the list of these.
#include "metrics-api/prometheus/selection.h"
#include "metrics-api/prometheus/series_names.h"
#include "metrics-api/promql/promql.h"

#include <check.h>
#include <stdio.h>

static struct promql_query *query;

static const struct promql_select *select_of(const char *text)
{
    struct promql_when when = {0};
    struct err e;
    size_t n;
    promql_free(query);
    ck_assert_msg(promql_parse(str_of(text), &promql_limits_default, &query, &e) == PROMQL_OK,
                  "%s: %s", text, e.detail);
    const struct promql_select *s = promql_selects(query, &when, &n);
    ck_assert_uint_eq(n, 1);
    return s;
}

static size_t count_metrics(const char *text, const char *name)
{
    const struct promql_select *s = select_of(text);
    size_t n = 0;
    for (size_t i = 0; i < metric_count; i++)
        if (selection_metric(s, &metrics[i])) {
            n++;
            if (name)
                ck_assert_str_eq(metrics[i].name, name);
        }
    return n;
}

START_TEST(metrics_are_found_by_their_names)
{
    ck_assert_uint_eq(count_metrics("llm_requests_total", "llm_requests_total"), 1);
    ck_assert_uint_eq(count_metrics("{__name__=\"llm_requests_total\"}", "llm_requests_total"), 1);
    ck_assert_uint_eq(count_metrics("{__name__=~\"llm_requests_.*\",}", "llm_requests_total"), 1);
    ck_assert_uint_eq(count_metrics("{__name__=~\".+\"}", NULL), metric_count);
    ck_assert_uint_eq(count_metrics("{__name__!=\"llm_requests_total\",model=\"x\"}", NULL),
                      metric_count - 1);
    ck_assert_uint_eq(count_metrics("up", NULL), 0);
}
END_TEST

START_TEST(metrics_are_found_by_labels_of_their_own)
{
    const char *tokens = "gen_ai_client_token_usage_sum";
    ck_assert_uint_eq(count_metrics("gen_ai_client_token_usage_sum", tokens), 2);
    ck_assert_uint_eq(
        count_metrics("gen_ai_client_token_usage_sum{gen_ai_token_type=\"input\"}", tokens), 1);
    ck_assert_uint_eq(
        count_metrics("gen_ai_client_token_usage_sum{gen_ai_token_type!~\"input|output\"}", tokens),
        0);
    // A label that a metric does not have is empty.
    ck_assert_uint_eq(count_metrics("llm_requests_total{le=\"\"}", NULL), 1);
    ck_assert_uint_eq(count_metrics("llm_requests_total{le!=\"\"}", NULL), 0);
    ck_assert_uint_eq(count_metrics("llm_requests_total{nobody=~\".*\"}", NULL), 1);
    ck_assert_uint_eq(count_metrics("llm_requests_total{nobody=~\".+\"}", NULL), 0);
    // What facts alone know is asked later.
    ck_assert_uint_eq(count_metrics("llm_errors_total{error_type=\"x\"}", NULL), 1);
}
END_TEST

static bool takes(const char *text, const char *tenant_id, const char *route, const char *model)
{
    struct str values[METRIC_LABELS];
    metric_label_values(str_of(tenant_id), str_of(route), str_of(model), values);
    return selection_series(select_of(text), values);
}

START_TEST(series_are_found_by_their_labels)
{
    ck_assert(takes("x{model=\"m\"}", "t", "r", "m"));
    ck_assert(!takes("x{model=\"m\"}", "t", "r", "n"));
    ck_assert(takes("x{gen_ai_request_model=\"m\",service_name=\"r\"}", "t", "r", "m"));
    ck_assert(!takes("x{service_name=\"m\"}", "t", "r", "m"));
    ck_assert(takes("x{tenant_id=~\"a|t\",route!=\"q\"}", "t", "r", "m"));
    ck_assert(!takes("x{tenant_id=~\"a|t\",route!=\"r\"}", "t", "r", "m"));
    ck_assert(!takes("x{tenant_id=~\"a|\"}", "t", "r", "m"));
    ck_assert(takes("x{le=\"5\"}", "t", "r", "m"));
}
END_TEST

static const struct metric *metric_named(const char *name)
{
    for (size_t i = 0; i < metric_count; i++)
        if (strcmp(metrics[i].name, name) == 0)
            return &metrics[i];
    ck_abort_msg("no metric %s", name);
    return NULL;
}

START_TEST(variants_are_found_by_theirs)
{
    const struct metric *errors = metric_named("llm_errors_total");
    ck_assert(selection_variant(select_of("x{error_type=~\"a.*\"}"), errors, STR_LIT("ab")));
    ck_assert(!selection_variant(select_of("x{error_type=~\"a.*\"}"), errors, STR_LIT("b")));
    ck_assert(selection_variant(select_of("x{le=\"b\"}"), errors, STR_LIT("b")));
    ck_assert(selection_variant(select_of("x{error_type=\"a\"}"),
                                metric_named("llm_requests_total"), STR_LIT("")));
}
END_TEST

START_TEST(the_only_value)
{
    ck_assert(str_eq(selection_only(select_of("x{model=\"m\"}"), STR_LIT("model")), STR_LIT("m")));
    ck_assert_ptr_null(selection_only(select_of("x{model=~\"m\"}"), STR_LIT("model")).p);
    ck_assert_ptr_null(selection_only(select_of("x{model!=\"m\"}"), STR_LIT("model")).p);
    ck_assert_ptr_null(selection_only(select_of("x{model=\"\"}"), STR_LIT("model")).p);
    ck_assert_ptr_null(selection_only(select_of("x{route=\"m\"}"), STR_LIT("model")).p);
    ck_assert(selection_asks(select_of("x{model!=\"m\"}"), STR_LIT("model")));
    ck_assert(!selection_asks(select_of("x{model!=\"m\"}"), STR_LIT("le")));
}
END_TEST

// ---- the list -----------------------------------------------------------------------------------

static struct hash_key hash_key;
static struct series_names names = {.hash_key = &hash_key};

static void add(size_t i)
{
    char text[32];
    snprintf(text, sizeof(text), "m%zu", i);
    struct fact_row row = {.tenant_id = STR_LIT("t"),
                           .route = STR_LIT(""),
                           .model = str_of(text),
                           .window_start_us = (int64_t)i,
                           .window_end_us = (int64_t)i + 1};
    series_names_add(&names, &row);
}

START_TEST(each_series_is_found_in_the_list)
{
    ck_assert_uint_eq(series_names_find(&names, STR_LIT("t"), STR_LIT(""), STR_LIT("m0")),
                      SIZE_MAX);
    for (size_t i = 0; i < 1000; i++)
        add(i);
    ck_assert_uint_eq(names.n, 1000);
    for (size_t i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof(text), "m%zu", i);
        ck_assert_uint_eq(series_names_find(&names, STR_LIT("t"), STR_LIT(""), str_of(text)), i);
        ck_assert_int_eq(names.v[i].first_us, (int64_t)i);
        ck_assert_int_eq(names.v[i].last_us, (int64_t)i + 1);
        ck_assert_str_eq(names.v[i].model.p, text);
    }
    // The same letters otherwise divided are another series.
    ck_assert_uint_eq(series_names_find(&names, STR_LIT(""), STR_LIT("t"), STR_LIT("m1")),
                      SIZE_MAX);
    ck_assert_uint_eq(series_names_find(&names, STR_LIT("tm1"), STR_LIT(""), STR_LIT("")),
                      SIZE_MAX);
    ck_assert(!names.more);
}
END_TEST

START_TEST(the_list_has_an_end)
{
    for (size_t i = 0; i < SERIES_NAMES_MAX; i++)
        add(i);
    ck_assert(!names.more);
    add(SERIES_NAMES_MAX);
    ck_assert(names.more);
    ck_assert_uint_eq(names.n, SERIES_NAMES_MAX);
}
END_TEST

static void clear(void)
{
    promql_free(query);
    query = NULL;
    series_names_clear(&names);
}

int main(void)
{
    hash_key_init(&hash_key, "seed", 4);
    Suite *s = suite_create("prometheus_selection");
    TCase *t = tcase_create("selection");
    tcase_add_checked_fixture(t, NULL, clear);
    tcase_add_test(t, metrics_are_found_by_their_names);
    tcase_add_test(t, metrics_are_found_by_labels_of_their_own);
    tcase_add_test(t, series_are_found_by_their_labels);
    tcase_add_test(t, variants_are_found_by_theirs);
    tcase_add_test(t, the_only_value);
    tcase_add_test(t, each_series_is_found_in_the_list);
    tcase_add_test(t, the_list_has_an_end);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
