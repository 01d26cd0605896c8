// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/metric.h"

#include <check.h>
#include <ctype.h>
#include <math.h>

static int compare(const char *a, const char *b)
{
    return a == b ? 0 : !a ? -1 : !b ? 1 : strcmp(a, b);
}

START_TEST(names_and_values_ascend_so_each_is_there_once)
{
    for (size_t i = 1; i < metric_count; i++) {
        int names = strcmp(metrics[i - 1].name, metrics[i].name);
        ck_assert_msg(names < 0 ||
                          (names == 0 && compare(metrics[i - 1].value, metrics[i].value) < 0),
                      "%s is not before %s", metrics[i - 1].name, metrics[i].name);
    }
}
END_TEST

START_TEST(rows_of_one_name_differ_in_the_label_s_value_alone)
{
    for (size_t i = 1; i < metric_count; i++) {
        const struct metric *a = &metrics[i - 1], *b = &metrics[i];
        if (strcmp(a->name, b->name) != 0)
            continue;
        ck_assert_str_eq(a->family, b->family);
        ck_assert_str_eq(a->label, b->label);
        ck_assert(a->value && b->value);
        ck_assert(a->gauge == b->gauge && a->divisor == b->divisor);
    }
}
END_TEST

// What is asked for by family (/api/v1/metadata) is one run of rows that say the same of it.
START_TEST(a_family_is_one_run_of_rows_with_one_help)
{
    for (size_t i = 0; i < metric_count; i++)
        for (size_t j = i + 1; j < metric_count; j++) {
            bool same = strcmp(metrics[i].family, metrics[j].family) == 0;
            ck_assert(!same || strcmp(metrics[j - 1].family, metrics[j].family) == 0);
            ck_assert(!same || strcmp(metrics[i].help, metrics[j].help) == 0);
            ck_assert(!same || strcmp(metrics[i].unit, metrics[j].unit) == 0);
            ck_assert(!same || metrics[i].type == metrics[j].type);
        }
}
END_TEST

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

START_TEST(names_tell_their_type_and_help_is_a_sentence)
{
    for (const struct metric *m = metrics; m < metrics + metric_count; m++) {
        size_t family = strlen(m->family), help = strlen(m->help);
        ck_assert_msg(help > 10 && isupper((unsigned char)m->help[0]) && m->help[help - 1] == '.',
                      "%s: %s", m->name, m->help);
        ck_assert(!strpbrk(m->help, "|\n")); // a cell of a table
        ck_assert_int_eq(strncmp(m->name, m->family, family), 0);
        ck_assert_msg(ends_with(m->name, "_total") == (m->type == METRIC_COUNTER), "%s", m->name);
        ck_assert_msg((strncmp(m->name, "llm_minute_", 11) == 0) == (m->type == METRIC_GAUGE), "%s",
                      m->name);
        ck_assert(m->gauge == (m->type == METRIC_GAUGE));
        if (m->type == METRIC_HISTOGRAM)
            ck_assert(strcmp(m->name + family, "_bucket") == 0 ||
                      strcmp(m->name + family, "_count") == 0 ||
                      strcmp(m->name + family, "_sum") == 0);
        else
            ck_assert_str_eq(m->name, m->family);
    }
}
END_TEST

static void check_columns(const struct metric *m)
{
    ck_assert(m->group == FACTS_SUMS || m->group == FACTS_COSTS);
    unsigned columns = m->group == FACTS_SUMS ? FACTS_SUM_COLUMNS : FACTS_COST_COLUMNS;
    ck_assert(m->plus != 0 && (m->plus | m->minus) >> columns == 0 && (m->plus & m->minus) == 0);
    ck_assert(!m->label == !m->value);
    bool usd = m->group == FACTS_COSTS, seconds = strstr(m->name, "_seconds") != NULL;
    bool count = ends_with(m->name, "_count");
    ck_assert_msg(m->divisor == (usd                 ? INT64_C(1000000000000)
                                 : seconds && !count ? 1000000
                                                     : 1),
                  "%s", m->name);
}

START_TEST(what_a_metric_is_made_of_is_there)
{
    for (const struct metric *m = metrics; m < metrics + metric_count; m++) {
        if (m->source == METRIC_COLUMNS) {
            check_columns(m);
            continue;
        }
        ck_assert(m->label && !m->value && !m->gauge && m->divisor == 1);
        if (m->source == METRIC_BUCKETS)
            ck_assert(metric_bounds(m->group) && strcmp(m->label, "le") == 0);
        else
            ck_assert_int_eq(m->group, FACTS_OBJECTS);
    }
}
END_TEST

// A few by hand: the table's bits against the names that they stand for.
START_TEST(columns_are_those_that_the_names_say)
{
#define SUM(column) (UINT64_C(1) << FACTS_##column)
    static const struct {
        const char *name, *value;
        uint64_t plus, minus;
    } expected[] = {
        {"gen_ai_usage_cost_USD_count", NULL, SUM(responses), SUM(unpriced_requests)},
        {"gen_ai_client_token_usage_sum", "input",
         SUM(uncached_prompt_tokens) | SUM(cached_prompt_tokens) | SUM(cache_write_5m_tokens) |
             SUM(cache_write_1h_tokens),
         0},
        {"gen_ai_client_token_usage_sum", "output", SUM(completion_tokens), 0},
        {"llm_minute_in_flight", NULL, SUM(requests), SUM(responses) | SUM(unanswered)},
        {"llm_minute_max_ttft_seconds", NULL, SUM(ttft_max_us), 0},
        {"llm_minute_reported_cost_usd", NULL, SUM(reported_cost), 0},
        {"llm_tokens_total", "output", SUM(completion_tokens), SUM(reasoning_tokens)},
        {"llm_cost_usd_total", "output", SUM(cost_output), 0},
    };
#undef SUM
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct metric *m = metrics;
        while (m < metrics + metric_count && (strcmp(m->name, expected[i].name) != 0 ||
                                              compare(m->value, expected[i].value) != 0))
            m++;
        ck_assert_msg(m < metrics + metric_count, "no %s", expected[i].name);
        ck_assert_uint_eq(m->plus, expected[i].plus);
        ck_assert_uint_eq(m->minus, expected[i].minus);
    }
}
END_TEST

START_TEST(costs_by_class_are_all_of_the_cost_and_tokens_by_class_all_tokens)
{
    uint64_t cost = 0, tokens = 0, less = 0;
    for (const struct metric *m = metrics; m < metrics + metric_count; m++) {
        if (strcmp(m->name, "llm_cost_usd_total") == 0) {
            ck_assert_uint_eq(cost & m->plus, 0);
            cost |= m->plus;
        }
        if (strcmp(m->name, "llm_tokens_total") == 0) {
            ck_assert_uint_eq(tokens & m->plus, 0);
            tokens |= m->plus;
            less |= m->minus;
        }
    }
    ck_assert_uint_eq(cost, (UINT64_C(1) << FACTS_cache_savings) - 1); // all that come before it
    ck_assert_uint_eq(less, UINT64_C(1) << FACTS_reasoning_tokens);    // its own, and in completion
    ck_assert_uint_eq(tokens, UINT64_C(1) << FACTS_uncached_prompt_tokens |
                                  UINT64_C(1) << FACTS_cached_prompt_tokens |
                                  UINT64_C(1) << FACTS_cache_write_5m_tokens |
                                  UINT64_C(1) << FACTS_cache_write_1h_tokens |
                                  UINT64_C(1) << FACTS_completion_tokens |
                                  UINT64_C(1) << FACTS_reasoning_tokens);
}
END_TEST

START_TEST(labels_of_bounds_are_the_bounds)
{
    static const enum facts_group groups[] = {FACTS_LATENCY, FACTS_TTFT};
    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        const struct metric_bounds *b = metric_bounds(groups[g]);
        for (size_t i = 0; i < b->n; i++) {
            char *end;
            double seconds = strtod(b->le[i], &end);
            ck_assert_int_eq(*end, '\0');
            ck_assert_int_eq(llround(seconds * 1e6), b->upper_us[i]);
            ck_assert(strchr(b->le[i], '.')); // as Prometheus 3 writes them: 1.0
            ck_assert(i == 0 || b->upper_us[i - 1] < b->upper_us[i]);
        }
        ck_assert_str_eq(b->le[b->n], "+Inf");
    }
    ck_assert_ptr_null(metric_bounds(FACTS_SUMS));
}
END_TEST

START_TEST(labels_ascend_and_have_their_values)
{
    for (size_t i = 1; i < METRIC_LABELS; i++)
        ck_assert_int_lt(strcmp(metric_labels[i - 1].p, metric_labels[i].p), 0);
    struct str values[METRIC_LABELS];
    metric_label_values(STR_LIT("t"), STR_LIT("r"), STR_LIT("m"), values);
    static const char *const names[] = {"gen_ai_request_model", "model", "route", "service_name",
                                        "tenant_id"};
    for (size_t i = 0; i < METRIC_LABELS; i++) {
        ck_assert(str_eq(metric_labels[i], str_of(names[i])));
        ck_assert(values[i].n == 1 && values[i].p[0] == "mmrrt"[i]);
    }
    for (const struct metric *m = metrics; m < metrics + metric_count; m++)
        for (size_t i = 0; i < METRIC_LABELS; i++)
            ck_assert(!m->label || strcmp(m->label, names[i]) != 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prometheus_metric");
    TCase *t = tcase_create("table");
    tcase_add_test(t, names_and_values_ascend_so_each_is_there_once);
    tcase_add_test(t, rows_of_one_name_differ_in_the_label_s_value_alone);
    tcase_add_test(t, a_family_is_one_run_of_rows_with_one_help);
    tcase_add_test(t, names_tell_their_type_and_help_is_a_sentence);
    tcase_add_test(t, what_a_metric_is_made_of_is_there);
    tcase_add_test(t, columns_are_those_that_the_names_say);
    tcase_add_test(t, costs_by_class_are_all_of_the_cost_and_tokens_by_class_all_tokens);
    tcase_add_test(t, labels_of_bounds_are_the_bounds);
    tcase_add_test(t, labels_ascend_and_have_their_values);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
