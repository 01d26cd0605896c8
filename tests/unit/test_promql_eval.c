// SPDX-License-Identifier: Apache-2.0
// The edges that Prometheus' own scripts (tests/promql) do not look at: limits, selects, the names
// of results, percentiles that others answer.
#include "tests/unit/promql_case.h"

#define MIN_MS 60000

static void store_minutes(struct promql_store *s)
{
    const double counts[] = {0, 60, 120, 180, 240, 300};
    const double others[] = {0, 6, 12, 18, 24, 30};
    *s = (struct promql_store){0};
    store_add(s, "x_total", "1", MIN_MS, counts, 6);
    store_add(s, "x_total", "2", MIN_MS, others, 6);
    store_add(s, "y", "1", MIN_MS, others, 6);
}

static void assert_at(const struct promql_store *s, int64_t t_ms, const char *text,
                      const char *wanted)
{
    struct promql_case c = case_at(s, t_ms);
    ck_assert_str_eq(case_text(&c, text), wanted);
}

START_TEST(a_sample_holds_for_five_minutes_but_not_quite)
{
    static struct promql_store s;
    store_minutes(&s);
    assert_at(&s, -1, "y", "");
    assert_at(&s, 0, "y", "{__name__=\"y\", a=\"1\"} 0");
    assert_at(&s, 10 * MIN_MS - 1, "y", "{__name__=\"y\", a=\"1\"} 30");
    assert_at(&s, 10 * MIN_MS, "y", "");
    assert_at(&s, 8 * MIN_MS, "y offset 3m", "{__name__=\"y\", a=\"1\"} 30");
    assert_at(&s, 0, "y offset -1m", "{__name__=\"y\", a=\"1\"} 6");
    struct promql_case c = case_at(&s, 6 * MIN_MS);
    c.when.lookback_ms = MIN_MS;
    ck_assert_str_eq(case_text(&c, "y"), "");
    c.when.lookback_ms = MIN_MS + 1;
    ck_assert_str_eq(case_text(&c, "y"), "{__name__=\"y\", a=\"1\"} 30");
}
END_TEST

START_TEST(a_range_does_not_have_where_it_begins)
{
    static struct promql_store s;
    store_minutes(&s);
    assert_at(&s, 3 * MIN_MS, "count_over_time(y[2m])", "{a=\"1\"} 2");
    assert_at(&s, 3 * MIN_MS, "count_over_time(y[121])", "{a=\"1\"} 3");
    assert_at(&s, 3 * MIN_MS, "y[2m]", "{__name__=\"y\", a=\"1\"} 12@120000 18@180000");
}
END_TEST

// They are counted as the window moves on, by one sample or beyond all that it had.
START_TEST(resets_come_and_go_with_the_window)
{
    static struct promql_store s;
    const double counts[] = {5, 1, 2, 0, 3, 3, 1, 9, 10, 11};
    s.n = 0;
    store_add(&s, "c_total", NULL, MIN_MS, counts, 10);
    struct promql_case c = case_range(&s, 0, 12 * MIN_MS, MIN_MS);
    ck_assert_str_eq(case_text(&c, "resets(c_total[3m])"),
                     "{} 0@0 1@60000 1@120000 1@180000 1@240000 0@300000 1@360000 1@420000 "
                     "0@480000 0@540000 0@600000 0@660000");
    c.when.step_ms = 4 * MIN_MS;
    ck_assert_str_eq(case_text(&c, "resets(c_total[3m])"), "{} 0@0 1@240000 0@480000");
    ck_assert_str_eq(case_text(&c, "increase(c_total[3m])"), "{} 4.5@240000 10@480000");
    // Where no window has two of them, none is counted.
    c = case_range(&s, 0, MIN_MS + 45000, 15000);
    ck_assert_str_eq(case_text(&c, "resets(c_total[30])"), "{} 0@0 0@15000 0@60000 0@75000");
}
END_TEST

START_TEST(a_counter_does_not_begin_below_zero)
{
    static struct promql_store s;
    const double counts[] = {100, 200, 300, 500};
    s.n = 0;
    store_add(&s, "c_total", NULL, MIN_MS, counts, 4);
    // The line reaches 0 three seconds behind the border, at it, and before it.
    assert_at(&s, MIN_MS, "increase(c_total[123])", "{} 200");
    assert_at(&s, MIN_MS, "increase(c_total[2m])", "{} 200");
    assert_at(&s, 2 * MIN_MS, "increase(c_total[2m])", "{} 200");
    assert_at(&s, 3 * MIN_MS, "increase(c_total[2m])", "{} 400");
    assert_at(&s, 3 * MIN_MS, "rate(c_total[2m])", "{} 3.3333333333333335");
}
END_TEST

START_TEST(a_series_ends_with_its_marker)
{
    static struct promql_store s;
    const double ends[] = {1, 2, promql_stale(), 4};
    s.n = 0;
    store_add(&s, "z", NULL, MIN_MS, ends, 4);
    assert_at(&s, MIN_MS, "z", "{__name__=\"z\"} 2");
    assert_at(&s, 2 * MIN_MS, "z", "");
    assert_at(&s, 3 * MIN_MS, "z", "{__name__=\"z\"} 4");
    assert_at(&s, 3 * MIN_MS, "count_over_time(z[10m])", "{} 3");
    struct promql_case c = case_range(&s, 0, 3 * MIN_MS, MIN_MS);
    ck_assert_str_eq(case_text(&c, "z"), "{__name__=\"z\"} 1@0 2@60000 4@180000");
}
END_TEST

static const struct promql_select *selects_of(const char *text, const struct promql_when *when,
                                              struct promql_query **q, size_t *n)
{
    struct err e;
    ck_assert_int_eq(promql_parse(str_of(text), &promql_limits_default, q, &e), PROMQL_OK);
    return promql_selects(*q, when, n);
}

START_TEST(a_query_says_beforehand_what_it_reads)
{
    struct promql_when when = {
        .start_ms = 1000 * MIN_MS, .end_ms = 2000 * MIN_MS, .step_ms = MIN_MS};
    struct promql_query *q;
    size_t n;
    const struct promql_select *s = selects_of(
        "a{b=~'c'} + a{b=~'c'} offset 1h / sum(rate(d[10m])) + d offset -1m", &when, &q, &n);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(s[0].from_ms, (1000 - 60 - 5) * MIN_MS + 1);
    ck_assert_int_eq(s[0].to_ms, 2000 * MIN_MS);
    ck_assert_uint_eq(s[0].matcher_count, 2);
    ck_assert_int_eq(s[1].from_ms, 990 * MIN_MS + 1);
    ck_assert_int_eq(s[1].to_ms, 2001 * MIN_MS);
    ck_assert_uint_eq(s[1].quantile, SIZE_MAX);
    promql_free(q);
}
END_TEST

START_TEST(only_a_selector_is_a_selector)
{
    static const char *const texts[] = {"a{b='c'}", "{a='b'}", "a[5m]", "a offset 1m",
                                        "(a)",      "-a",      "1"};
    struct promql_query *q;
    struct err e;
    ck_assert_int_eq(promql_parse(str_of(texts[_i]), &promql_limits_default, &q, &e), PROMQL_OK);
    ck_assert(promql_is_selector(q) == (_i < 2));
    promql_free(q);
}
END_TEST

// --- limits --------------------------------------------------------------------------------------

START_TEST(a_range_has_so_many_steps)
{
    struct promql_case c = case_range(NULL, 0, 10999, 1);
    struct promql_result r;
    struct err e;
    ck_assert_int_eq(case_eval(&c, "vector(1)", &r, &e), PROMQL_OK);
    ck_assert_uint_eq(r.series[0].n, 11000);
    promql_result_clear(&r);
    c.when.end_ms = 11000;
    ck_assert_str_eq(
        case_text(&c, "1"),
        "error: exceeded maximum resolution of 11000 points per timeseries. Try decreasing "
        "the query resolution (?step=XX)");
    ck_assert_int_eq(case_eval(&c, "1", &r, &e), PROMQL_BAD_DATA);
    promql_result_clear(&r);
}
END_TEST

START_TEST(times_are_in_order_and_not_too_far)
{
    struct promql_case c = case_range(NULL, 1, 0, 1);
    ck_assert_str_eq(case_text(&c, "1"), "error: end timestamp must not be before start time");
    c = case_range(NULL, 0, 1, -1);
    ck_assert_ptr_nonnull(strstr(case_text(&c, "1"), "zero or negative query resolution step"));
    c = case_range(NULL, INT64_MIN / 8, INT64_MIN / 8, 1);
    ck_assert_str_eq(case_text(&c, "a offset 290y + year()"), "");
    c = case_range(NULL, INT64_MAX / 8, INT64_MAX / 8 + 1, 1);
    ck_assert_str_eq(case_text(&c, "1"), "error: timestamp out of bounds");
    c = case_at(NULL, INT64_MIN);
    ck_assert_str_eq(case_text(&c, "1"), "error: timestamp out of bounds");
}
END_TEST

START_TEST(series_are_counted)
{
    static struct promql_store s;
    store_minutes(&s);
    struct promql_case c = case_at(&s, 0);
    c.limits.series = 2;
    ck_assert_ptr_null(strstr(case_text(&c, "x_total"), "error"));
    ck_assert_str_eq(
        case_text(&c, "{a=~'.+'}"),
        "error: query processing would load too many series into memory in query execution: "
        "3, at most 2 are allowed");
    // Of a result on the way, too.
    ck_assert_str_eq(
        case_text(&c, "x_total or label_replace(y, 'a', '3', '', '')"),
        "error: query processing would load too many series into memory in query execution: "
        "more than 2");
}
END_TEST

START_TEST(samples_are_counted)
{
    static struct promql_store s;
    struct promql_result r;
    struct err e;
    store_minutes(&s);
    struct promql_case c = case_range(&s, 0, 5 * MIN_MS, MIN_MS / 100);
    c.limits.samples = 6 + 4 * 501 + (32 << 10) / PROMQL_SAMPLE_BYTES;
    ck_assert_int_eq(case_eval(&c, "y + 1", &r, &e), PROMQL_OK);
    promql_result_clear(&r);
    ck_assert_int_eq(case_eval(&c, "y + (y + (y + (y + (y + y))))", &r, &e), PROMQL_EXECUTION);
    promql_result_clear(&r);
    ck_assert_str_eq(e.detail,
                     "query processing would load too many samples into memory in query execution");
    c.limits.samples = 5; // y alone has 6
    ck_assert_int_eq(case_eval(&c, "y", &r, &e), PROMQL_EXECUTION);
    promql_result_clear(&r);
}
END_TEST

// Memory that was given back counts no more: a long chain needs no more than a short one.
START_TEST(only_what_is_held_counts)
{
    static struct promql_store s;
    struct promql_result r;
    struct err e;
    struct buf text = {0};
    store_minutes(&s);
    struct promql_case c = case_range(&s, 0, 5 * MIN_MS, MIN_MS / 100);
    c.limits.samples = 6 + 6 * 501 + (256 << 10) / PROMQL_SAMPLE_BYTES;
    buf_adds(&text, "y");
    for (int i = 0; i < 50; i++)
        buf_adds(&text, " + y");
    buf_addc(&text, '\0');
    ck_assert_int_eq(case_eval(&c, text.p, &r, &e), PROMQL_OK);
    ck_assert_double_eq(r.series[0].v[500], 51 * 30);
    promql_result_clear(&r);
    buf_free(&text);
}
END_TEST

static bool expired(void *arg)
{
    return --*(int *)arg < 0;
}

START_TEST(time_runs_out)
{
    static struct promql_store s;
    struct promql_result r;
    struct err e;
    int left = 1000;
    store_minutes(&s);
    struct promql_case c = case_at(&s, 0);
    c.limits.expired = expired;
    c.limits.expired_arg = &left;
    ck_assert_int_eq(case_eval(&c, "sum(rate(x_total[5m])) / y", &r, &e), PROMQL_OK);
    promql_result_clear(&r);
    int needed = 1000 - left;
    ck_assert_int_gt(needed, 5);
    for (int i = 0; i < needed; i++) {
        left = i;
        ck_assert_int_eq(case_eval(&c, "sum(rate(x_total[5m])) / y", &r, &e), PROMQL_TIMEOUT);
        ck_assert_str_eq(e.detail, "query timed out in expression evaluation");
        promql_result_clear(&r);
    }
}
END_TEST

START_TEST(time_may_run_out_within_a_series)
{
    static struct promql_store s;
    struct promql_result r;
    struct err e;
    double values[CASE_SAMPLES_MAX] = {0};
    int left = 1000;
    s.n = 0;
    store_add(&s, "y", NULL, 1, values, CASE_SAMPLES_MAX);
    struct promql_case c = case_range(&s, CASE_SAMPLES_MAX, CASE_SAMPLES_MAX + 10999, 1);
    c.limits.expired = expired;
    c.limits.expired_arg = &left;
    ck_assert_int_eq(case_eval(&c, "sum_over_time(y[1m])", &r, &e), PROMQL_OK);
    promql_result_clear(&r);
    ck_assert_int_gt(1000 - left, 15); // of over a million samples
    left = 10;
    ck_assert_int_eq(case_eval(&c, "absent_over_time(y[1m])", &r, &e), PROMQL_TIMEOUT);
    promql_result_clear(&r);
}
END_TEST

// --- names and order -----------------------------------------------------------------------------

START_TEST(names_go_at_once_or_at_the_end)
{
    static struct promql_store s;
    store_minutes(&s);
    struct promql_case c = case_at(&s, 5 * MIN_MS);
    const char *sum = "sum by (__name__) (rate(x_total[5m]))",
               *two = "rate({__name__=~'x_total|y'}[5m])";
    ck_assert_str_eq(case_text(&c, sum), "{} 1.1");
    ck_assert_str_eq(case_text(&c, two),
                     "error: vector cannot contain metrics with the same labelset");
    const char *named = "label_replace(rate(x_total{a='1'}[5m]), 'n', '$1', '__name__', '(.*)')";
    ck_assert_str_eq(case_text(&c, named), "{a=\"1\"} 1");
    c.when.delayed_name_removal = true;
    ck_assert_str_eq(case_text(&c, sum), "{} 1.1");
    ck_assert_ptr_nonnull(strstr(case_text(&c, named), "{a=\"1\", n=\"x_total\"} 1"));
    ck_assert_ptr_nonnull(strstr(case_text(&c, two), "same labelset"));
    ck_assert_str_eq(
        case_text(&c, "sum by (a) (rate({__name__=~'x_total|y', a='1'}[5m]))"),
        "{a=\"1\"} 1.1 | PromQL info: metric might not be a counter, name does not end in "
        "_total/_sum/_count/_bucket: \"y\" (1:18)");
}
END_TEST

START_TEST(an_instant_keeps_the_order_and_a_range_has_that_of_labels)
{
    static struct promql_store s;
    store_minutes(&s);
    assert_at(&s, 5 * MIN_MS, "sort(x_total)",
              "{__name__=\"x_total\", a=\"2\"} 30; {__name__=\"x_total\", a=\"1\"} 300");
    assert_at(&s, 5 * MIN_MS, "bottomk(2, x_total)",
              "{__name__=\"x_total\", a=\"2\"} 30; {__name__=\"x_total\", a=\"1\"} 300");
    struct promql_case c = case_range(&s, 5 * MIN_MS, 5 * MIN_MS, MIN_MS);
    ck_assert_str_eq(case_text(&c, "sort(x_total)"),
                     "{__name__=\"x_total\", a=\"1\"} 300@300000; {__name__=\"x_total\", a=\"2\"} "
                     "30@300000");
    c = case_range(&s, 4 * MIN_MS, 5 * MIN_MS, MIN_MS);
    ck_assert_ptr_nonnull(
        strstr(case_text(&c, "sort(x_total)"),
               "| PromQL warning: sort is ineffective for range queries since results "
               "are always ordered by labels (1:1)"));
}
END_TEST

START_TEST(a_pair_has_a_result_of_its_own)
{
    static struct promql_store s;
    store_minutes(&s);
    assert_at(&s, 0, "x_total * on () group_left (a) vector(1)",
              "error: multiple matches for labels: grouping labels must ensure unique matches");
    // Whether they are let through or not.
    assert_at(&s, 0, "x_total > on () group_left (a) vector(1)",
              "error: multiple matches for labels: grouping labels must ensure unique matches");
    assert_at(&s, 0, "x_total > on () vector(1)",
              "error: multiple matches for labels: many-to-one matching must be explicit "
              "(group_left/group_right)");
    assert_at(&s, 0, "vector(1) > on () x_total",
              "error: found duplicate series for the match group {} on the right hand-side of the "
              "operation: [{__name__=\"x_total\", a=\"1\"}, {__name__=\"x_total\", "
              "a=\"2\"}];many-to-many "
              "matching not allowed: matching labels must be unique on one side");
    assert_at(&s, 0, "nothing > on () x_total", ""); // with nothing, nothing can match twice
    assert_at(&s, MIN_MS, "vector(1) < on () group_right () x_total",
              "{__name__=\"x_total\", a=\"1\"} 1; {__name__=\"x_total\", a=\"2\"} 1");
}
END_TEST

START_TEST(what_is_no_number_is_neither_large_nor_small)
{
    static struct promql_store s;
    const double nan[] = {NAN}, one[] = {1}, two[] = {2};
    s.n = 0;
    store_add(&s, "n", "1", MIN_MS, nan, 1);
    store_add(&s, "n", "2", MIN_MS, one, 1);
    store_add(&s, "n", "3", MIN_MS, two, 1);
    assert_at(&s, 0, "topk(1, n)", "{__name__=\"n\", a=\"3\"} 2");
    assert_at(&s, 0, "bottomk(1, n)", "{__name__=\"n\", a=\"2\"} 1");
    assert_at(&s, 0, "max(n) - min(n)", "{} 1");
    const double endless[] = {INFINITY, INFINITY, INFINITY};
    s.n = 0;
    store_add(&s, "n", NULL, MIN_MS, endless, 3);
    assert_at(&s, 2 * MIN_MS, "deriv(n[5m])", "{} NaN");
    assert_at(&s, 2 * MIN_MS, "predict_linear(n[5m], 60)", "{} NaN");
    s.n = 0;
    store_add(&s, "n", "1", MIN_MS, nan, 1);
    store_add(&s, "n", "2", MIN_MS, one, 1);
    store_add(&s, "n", "3", MIN_MS, two, 1);
    assert_at(&s, 0, "sort_desc(-n)", "{a=\"2\"} -1; {a=\"3\"} -2; {a=\"1\"} NaN");
}
END_TEST

START_TEST(strings_and_matrices_are_of_an_instant)
{
    struct promql_case c = case_range(NULL, 0, 1, 1);
    assert_at(NULL, 0, "('a')", "a");
    ck_assert_str_eq(case_text(&c, "'a'"),
                     "error: invalid expression type \"string\" for range query, "
                     "must be Scalar or instant Vector");
    ck_assert_str_eq(
        case_text(&c, "a[1m]"),
        "error: invalid expression type \"range vector\" for range query, must be Scalar or "
        "instant Vector");
}
END_TEST

START_TEST(replacements_refer_to_groups)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"label_replace(vector(1), 'b', '$$1-${1}x$1x$', '', '()')", "{b=\"$1-x$\"} 1"},
        {"label_replace(label_replace(vector(1), 'a', 'q', '', ''), 'b', '<$1>', 'a', '(.)')",
         "{a=\"q\", b=\"<q>\"} 1"},
        {"label_replace(label_replace(vector(1), 'a', 'pq', '', ''), 'b', '$n${m}$k$99', 'a', "
         "'(?P<m>.)(?P<n>.)')",
         "{a=\"pq\", b=\"qp\"} 1"},
        {"label_replace(label_replace(vector(1), 'a', 'x\\ny', '', ''), 'b', 'z', 'a', 'x.y')",
         "{a=\"x\\ny\", b=\"z\"} 1"},
        {"label_replace(label_replace(vector(1), 'a', 'xy', '', ''), 'a', '', 'a', 'x')",
         "{a=\"xy\"} 1"},
        {"label_replace(label_replace(vector(1), 'a', 'xy', '', ''), 'a', '', 'a', 'x.')", "{} 1"},
    };
    assert_at(NULL, 0, cases[_i].text, cases[_i].wanted);
}
END_TEST

START_TEST(messages_are_utf_8_whatever_is_asked)
{
    assert_at(NULL, 0, "label_replace(a, '\\xff', '', '', '')",
              "error: invalid destination label name in label_replace(): ?");
}
END_TEST

START_TEST(dates_are_those_of_the_calendar)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"year(vector(-1))", "{} 1969"},
        {"month(vector(-1))", "{} 12"},
        {"day_of_week(vector(-1))", "{} 3"},
        {"day_of_year(vector(1709164800))", "{} 60"}, // 2024-02-29
        {"days_in_month(vector(1709164800))", "{} 29"},
        {"days_in_month(vector(-2203891201))", "{} 28"}, // 1900-03-01 less a day
        {"hour(vector(-1))", "{} 23"},
        {"minute(vector(3599))", "{} 59"},
        {"year(vector(1e300))", "{} NaN"},
        {"year(vector(NaN))", "{} NaN"},
    };
    assert_at(NULL, 0, cases[_i].text, cases[_i].wanted);
}
END_TEST

// --- percentiles that somebody else answers ------------------------------------------------------

static double answer(void *arg, size_t group, size_t step, double phi)
{
    ck_assert_ptr_nonnull(arg);
    ck_assert(phi >= 0 && phi <= 1);
    if (group == 1 && step == 1)
        return promql_stale();
    return (double)group * 100 + (double)step * 10 + phi;
}

START_TEST(a_percentile_may_be_answered_from_the_histograms)
{
    static const struct label labels[] = {{{"m", 1}, {"a", 1}}, {{"m", 1}, {"b", 1}}};
    const struct labels groups[] = {{&labels[0], 1}, {&labels[1], 1}};
    struct promql_quantile_answer answers[] = {{groups, 2, answer, &answers}};
    struct promql_case c = case_range(NULL, 0, MIN_MS, MIN_MS);
    const char *text = "histogram_quantile(0.5, sum by (m, le) (rate(x_bucket[5m]))) * 2";
    ck_assert_str_eq(case_text(&c, text), "");
    c.quantiles = answers;
    ck_assert_str_eq(case_text(&c, text), "{m=\"a\"} 1@0 21@60000; {m=\"b\"} 201@0");
    const char *beyond = "histogram_quantile(time() - 30, sum by (m, le) (rate(x_bucket[5m])))";
    ck_assert_str_eq(
        case_text(&c, beyond),
        "{m=\"a\"} -Inf@0 +Inf@60000; {m=\"b\"} -Inf@0 | PromQL warning: quantile value "
        "should be between 0 and 1, got -30 (1:20) | PromQL warning: quantile value should "
        "be between 0 and 1, got 30 (1:20)");
    answers[0].groups = NULL;
    ck_assert_str_eq(case_text(&c, text), "");
}
END_TEST

static const struct {
    const char *text;
    bool found;
    enum promql_grouping grouping;
    size_t labels;
} shapes[] = {
    {"histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))", true, PROMQL_BY, 0},
    {"histogram_quantile(scalar(a), (sum((increase(x_bucket[5m]))) by (m, le, r)))", true,
     PROMQL_BY, 2},
    {"histogram_quantile(0.9, sum without (r) (rate(x_bucket{m='a'}[5m] offset 1m)))", true,
     PROMQL_WITHOUT, 1},
    {"1 + -histogram_quantile(0.9, rate(x_bucket[5m]))", true, PROMQL_EACH, 0},
    {"topk(1, histogram_quantile(0.9, rate(x_bucket[5m])))", true, PROMQL_EACH, 0},
    {"histogram_quantile(0.9, sum by (m) (rate(x_bucket[5m])))", false, PROMQL_EACH, 0},
    {"histogram_quantile(0.9, sum without (le) (rate(x_bucket[5m])))", false, PROMQL_EACH, 0},
    {"histogram_quantile(0.9, rate(x_bucket{le!='+Inf'}[5m]))", false, PROMQL_EACH, 0},
    {"histogram_quantile(0.9, avg by (le) (rate(x_bucket[5m])))", false, PROMQL_EACH, 0},
    {"histogram_quantile(0.9, sum by (le) (irate(x_bucket[5m])))", false, PROMQL_EACH, 0},
    {"histogram_quantile(0.9, x_bucket)", false, PROMQL_EACH, 0},
    {"histogram_quantile(0.9, 2 * rate(x_bucket[5m]))", false, PROMQL_EACH, 0},
};

START_TEST(percentiles_of_whole_histograms_are_recognised)
{
    struct promql_when when = {0};
    struct promql_query *q;
    size_t n, quantiles;
    const struct promql_select *selects = selects_of(shapes[_i].text, &when, &q, &n);
    const struct promql_quantile *found = promql_quantiles(q, &quantiles);
    ck_assert_uint_eq(quantiles, shapes[_i].found);
    if (shapes[_i].found) {
        ck_assert_int_eq(found->grouping, shapes[_i].grouping);
        ck_assert_uint_eq(found->label_count, shapes[_i].labels);
        ck_assert(str_eq(found->metric, STR_LIT("x")));
        ck_assert_int_eq(found->range_ms, 5 * MIN_MS);
        ck_assert_uint_eq(selects[found->select].quantile, 0);
    }
    promql_free(q);
}
END_TEST

START_TEST(what_others_read_too_must_be_brought)
{
    struct promql_when when = {0};
    struct promql_query *q;
    size_t n;
    const struct promql_select *s =
        selects_of("histogram_quantile(0.9, rate(x_bucket[5m])) / sum(x_bucket)", &when, &q, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(s[0].quantile, SIZE_MAX);
    promql_free(q);
}
END_TEST

START_TEST(of_many_warnings_some_are_told)
{
    struct promql_result r;
    struct err e;
    struct promql_case c = case_range(NULL, 0, 2 * PROMQL_NOTES_MAX, 1);
    // Every step has a φ of its own.
    ck_assert_int_eq(case_eval(&c, "quantile(time() * 1000 + 2, vector(1))", &r, &e), PROMQL_OK);
    ck_assert_uint_eq(r.warning_count, PROMQL_NOTES_MAX);
    ck_assert_uint_eq(r.info_count, 0);
    promql_result_clear(&r);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("eval");
    tcase_add_test(tc, a_sample_holds_for_five_minutes_but_not_quite);
    tcase_add_test(tc, a_range_does_not_have_where_it_begins);
    tcase_add_test(tc, resets_come_and_go_with_the_window);
    tcase_add_test(tc, a_counter_does_not_begin_below_zero);
    tcase_add_test(tc, a_series_ends_with_its_marker);
    tcase_add_test(tc, a_query_says_beforehand_what_it_reads);
    tcase_add_loop_test(tc, only_a_selector_is_a_selector, 0, 7);
    tcase_add_test(tc, a_range_has_so_many_steps);
    tcase_add_test(tc, times_are_in_order_and_not_too_far);
    tcase_add_test(tc, series_are_counted);
    tcase_add_test(tc, samples_are_counted);
    tcase_add_test(tc, only_what_is_held_counts);
    tcase_add_test(tc, time_runs_out);
    tcase_add_test(tc, time_may_run_out_within_a_series);
    tcase_add_test(tc, names_go_at_once_or_at_the_end);
    tcase_add_test(tc, an_instant_keeps_the_order_and_a_range_has_that_of_labels);
    tcase_add_test(tc, a_pair_has_a_result_of_its_own);
    tcase_add_test(tc, what_is_no_number_is_neither_large_nor_small);
    tcase_add_test(tc, strings_and_matrices_are_of_an_instant);
    tcase_add_loop_test(tc, replacements_refer_to_groups, 0, 6);
    tcase_add_test(tc, messages_are_utf_8_whatever_is_asked);
    tcase_add_loop_test(tc, dates_are_those_of_the_calendar, 0, 10);
    tcase_add_test(tc, a_percentile_may_be_answered_from_the_histograms);
    tcase_add_loop_test(tc, percentiles_of_whole_histograms_are_recognised, 0, ARRAY_LEN(shapes));
    tcase_add_test(tc, what_others_read_too_must_be_brought);
    tcase_add_test(tc, of_many_warnings_some_are_told);
    Suite *suite = suite_create("promql_eval");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
