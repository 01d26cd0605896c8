// SPDX-License-Identifier: Apache-2.0
// Each rule of README.md (Samples) at its edges, by hand. test_prometheus_samples_random.c holds
// all of them against a reading that is slow and plain.
#include "tests/unit/samples_case.h"

#include <check.h>
#include <stdio.h>

static struct arena arena;
static struct series series;
static struct samples_spec spec;

static void setup(void)
{
    spec = (struct samples_spec){
        .metric = metric_named("llm_requests_total", NULL),
        .from_ms = at("1 00:00"),
        .to_ms = at("3 00:00"),
        .through_us = INT64_MAX,
        .kept_from_us = INT64_MIN,
    };
}

static void teardown(void)
{
    series_clear(&series);
    arena_free(&arena);
}

static void requests(const char *when, int64_t n)
{
    series_row(&series, at(when))->columns[FACTS_requests] = n;
}

// "1 10:00=0 1 10:01=3", of the one variant with that label.
static const char *made_of(const char *label, bool (*wants)(void *arg, struct str label))
{
    struct samples *all;
    struct buf text = {0};
    spec.rows = series_rows(&series, &spec, &arena);
    size_t n = samples_make(&spec, wants, NULL, &arena, &all);
    for (size_t i = 0; i < n; i++)
        if (str_eq(all[i].label, str_of(label)))
            for (size_t j = 0; j < all[i].n; j++) {
                ck_assert(j == 0 || all[i].t_ms[j - 1] < all[i].t_ms[j]);
                add_time(&text, all[i].t_ms[j]);
                buf_addf(&text, "=%.17g%s", all[i].v[j], j + 1 < all[i].n ? " " : "");
            }
    buf_addc(&text, '\0');
    const char *copy = arena_str(&arena, (struct str){text.p, text.n}).p;
    buf_free(&text);
    return copy;
}

static const char *made(void)
{
    return made_of("", NULL);
}

// The labels, with a space between.
static const char *labels_made(void)
{
    struct samples *all;
    struct buf text = {0};
    spec.rows = series_rows(&series, &spec, &arena);
    size_t n = samples_make(&spec, NULL, NULL, &arena, &all);
    for (size_t i = 0; i < n; i++)
        buf_addf(&text, "%s%.*s", i ? " " : "", (int)all[i].label.n, all[i].label.p);
    buf_addc(&text, '\0');
    const char *copy = arena_str(&arena, (struct str){text.p, text.n}).p;
    buf_free(&text);
    return copy;
}

// ---- counters -----------------------------------------------------------------------------------

START_TEST(a_window_has_samples_at_its_start_and_end_and_for_five_minutes)
{
    requests("1 10:00", 3);
    ck_assert_str_eq(made(),
                     "1 10:00=0 1 10:01=3 1 10:02=3 1 10:03=3 1 10:04=3 1 10:05=3 1 10:06=3");
}
END_TEST

START_TEST(windows_in_a_row_are_counted_up)
{
    requests("1 10:00", 3);
    requests("1 10:01", 4);
    spec.to_ms = at("1 10:03");
    ck_assert_str_eq(made(), "1 10:00=0 1 10:01=3 1 10:02=7 1 10:03=7");
}
END_TEST

START_TEST(a_window_without_requests_is_a_window)
{
    requests("1 10:00", 0);
    spec.to_ms = at("1 10:02");
    ck_assert_str_eq(made(), "1 10:00=0 1 10:01=0 1 10:02=0");
}
END_TEST

START_TEST(of_gaps_up_to_five_minutes_nothing_is_seen)
{
    requests("1 10:00", 1);
    requests("1 10:06", 1);
    ck_assert_str_eq(made(),
                     "1 10:00=0 1 10:01=1 1 10:02=1 1 10:03=1 1 10:04=1 1 10:05=1 1 10:06=1 "
                     "1 10:07=2 1 10:08=2 1 10:09=2 1 10:10=2 1 10:11=2 1 10:12=2");
}
END_TEST

START_TEST(of_six_minutes_the_start_of_the_next_one_is)
{
    requests("1 10:00", 1);
    requests("1 10:07", 1);
    requests("1 10:15", 1);
    spec.from_ms = at("1 10:05");
    spec.to_ms = at("1 10:16");
    // 10:06 is the last behind the first window, and 10:07 the start of the second: none is
    // missing; between 10:13 and 10:15 one is.
    ck_assert_str_eq(made(),
                     "1 10:05=1 1 10:06=1 1 10:07=1 1 10:08=2 1 10:09=2 1 10:10=2 1 10:11=2 "
                     "1 10:12=2 1 10:13=2 1 10:15=2 1 10:16=3");
}
END_TEST

START_TEST(no_sample_comes_after_what_is_closed)
{
    requests("1 10:00", 1);
    requests("1 10:04", 1);
    spec.through_us = at("1 10:03") * 1000;
    ck_assert_str_eq(made(), "1 10:00=0 1 10:01=1 1 10:02=1 1 10:03=1");
    spec.through_us = at("1 10:04") * 1000; // what begins then has not ended
    ck_assert_str_eq(made(), "1 10:00=0 1 10:01=1 1 10:02=1 1 10:03=1 1 10:04=1");
    spec.through_us = at("1 10:01") * 1000;
    ck_assert_str_eq(made(), "1 10:00=0 1 10:01=1");
    spec.through_us = at("1 10:00") * 1000;
    ck_assert_str_eq(made(), "");
}
END_TEST

START_TEST(what_retention_dropped_is_as_if_it_was_not)
{
    requests("1 10:00", 1);
    requests("1 23:58", 5);
    requests("2 00:00", 2);
    spec.kept_from_us = at("2 00:00") * 1000;
    spec.to_ms = at("2 00:02");
    ck_assert_str_eq(made(), "2 00:00=0 2 00:01=2 2 00:02=2");
    spec.from_ms = at("2 00:00"); // hours may be kept longer
    ck_assert_str_eq(made(), "2 00:00=0 2 00:01=2 2 00:02=2");
    ck_assert_uint_eq(spec.rows.hour_count, 1);
    spec.kept_from_us = INT64_MIN;
    ck_assert_str_eq(made(), "2 00:00=6 2 00:01=2 2 00:02=2");
}
END_TEST

START_TEST(ranges_may_begin_and_end_within_a_minute)
{
    requests("1 10:00", 1);
    requests("1 10:01", 1);
    spec.from_ms = at("1 10:00") + 1;
    spec.to_ms = at("1 10:02") - 1;
    ck_assert_str_eq(made(), "1 10:01=1");
    spec.from_ms = spec.to_ms = at("1 10:01"); // both are included
    ck_assert_str_eq(made(), "1 10:01=1");
    spec.from_ms = at("1 10:00") - 1;
    spec.to_ms = at("1 10:00"); // at the start of what ends later
    ck_assert_str_eq(made(), "1 10:00=0");
    spec.to_ms = spec.from_ms - 1; // none
    ck_assert_str_eq(made(), "");
}
END_TEST

START_TEST(hours_are_what_was_before)
{
    requests("1 00:00", 100);
    requests("1 08:59", 20);
    requests("1 10:03", 3);
    spec.from_ms = at("1 10:02");
    spec.to_ms = at("1 10:04");
    ck_assert_str_eq(made(), "1 10:03=120 1 10:04=123");
    ck_assert_uint_gt(spec.rows.hour_count, 0);
    ck_assert_int_eq(spec.rows.minutes_from_us, at("1 09:00") * 1000);
}
END_TEST

// ---- midnight -----------------------------------------------------------------------------------

START_TEST(counters_begin_anew_at_midnight)
{
    requests("1 23:58", 5);
    requests("1 23:59", 5);
    requests("2 00:00", 2);
    requests("2 00:01", 2);
    spec.to_ms = at("2 00:02");
    ck_assert_str_eq(made(), "1 23:58=0 1 23:59=5 2 00:00=10 2 00:01=2 2 00:02=4");
}
END_TEST

START_TEST(behind_a_window_before_midnight_comes_zero_from_then_on)
{
    requests("1 23:57", 5);
    ck_assert_str_eq(made(),
                     "1 23:57=0 1 23:58=5 1 23:59=5 2 00:00=5 2 00:01=0 2 00:02=0 2 00:03=0");
    spec.from_ms = at("2 00:00") + 1; // nothing of the day before but that there was something
    ck_assert_str_eq(made(), "2 00:01=0 2 00:02=0 2 00:03=0");
}
END_TEST

START_TEST(where_it_would_not_look_so_a_sample_tells)
{
    requests("1 23:59", 5);
    requests("2 00:00", 5);
    spec.to_ms = at("2 00:01");
    ck_assert_str_eq(made(), "1 23:59=0 2 00:00=5 2 00:00:00.001=0 2 00:01=5");
    requests("2 00:00", 4); // it does
    ck_assert_str_eq(made(), "1 23:59=0 2 00:00=5 2 00:01=4");
}
END_TEST

START_TEST(it_tells_too_where_the_day_before_ended_long_before)
{
    requests("1 10:00", 5);
    requests("2 00:00", 7);
    spec.from_ms = at("1 10:07");
    spec.to_ms = at("2 00:01");
    ck_assert_str_eq(made(), "2 00:00=5 2 00:00:00.001=0 2 00:01=7");
}
END_TEST

START_TEST(it_does_not_where_nothing_was_before_or_nothing_came)
{
    requests("2 00:00", 7);
    spec.to_ms = at("2 00:01");
    ck_assert_str_eq(made(), "2 00:00=0 2 00:01=7");
    requests("1 23:59", 0);
    requests("2 00:00", 0);
    ck_assert_str_eq(made(), "1 23:59=0 2 00:00=0 2 00:01=0");
    spec.metric = metric_named("llm_responses_total", NULL); // 0 of 0 is no beginning
    ck_assert_str_eq(made(), "1 23:59=0 2 00:00=0 2 00:01=0");
}
END_TEST

START_TEST(a_range_may_begin_and_end_around_that_sample)
{
    requests("1 23:59", 5);
    requests("2 00:00", 5);
    spec.from_ms = at("2 00:00") + 1;
    spec.to_ms = at("2 00:00") + 1;
    ck_assert_str_eq(made(), "2 00:00:00.001=0");
    spec.to_ms = at("2 00:01");
    ck_assert_str_eq(made(), "2 00:00:00.001=0 2 00:01=5");
    spec.from_ms++;
    ck_assert_str_eq(made(), "2 00:01=5");
    spec.from_ms = spec.to_ms = at("2 00:00");
    ck_assert_str_eq(made(), "2 00:00=5");
    spec.to_ms = at("2 00:00") + 30000;
    ck_assert_str_eq(made(), "2 00:00=5 2 00:00:00.001=0");
}
END_TEST

START_TEST(it_does_not_come_before_its_window_is_closed)
{
    requests("1 23:59", 5);
    requests("2 00:00", 5);
    spec.through_us = at("2 00:00") * 1000;
    ck_assert_str_eq(made(), "1 23:59=0 2 00:00=5");
}
END_TEST

// ---- variants -----------------------------------------------------------------------------------

static void errors(const char *when, const char *json)
{
    series_row(&series, at(when))->error_classes = json;
}

START_TEST(a_class_begins_with_the_first_window_that_has_it)
{
    spec.metric = metric_named("llm_errors_total", NULL);
    errors("1 10:00", "{\"a\": 1}");
    errors("1 10:01", "{\"a\": 1, \"b\": 2}");
    errors("1 10:02", "{}");
    spec.to_ms = at("1 10:03");
    ck_assert_str_eq(labels_made(), "a b");
    ck_assert_str_eq(made_of("a", NULL), "1 10:00=0 1 10:01=1 1 10:02=2 1 10:03=2");
    ck_assert_str_eq(made_of("b", NULL), "1 10:01=0 1 10:02=2 1 10:03=2");
    spec.from_ms = spec.to_ms = at("1 10:01"); // also where that window ends later
    ck_assert_str_eq(labels_made(), "a b");
    ck_assert_str_eq(made_of("b", NULL), "1 10:01=0");
    spec.from_ms = spec.to_ms = at("1 10:00");
    ck_assert_str_eq(labels_made(), "a");
    spec.from_ms = spec.to_ms = at("1 10:06"); // before what is asked for
    ck_assert_str_eq(made_of("b", NULL), "1 10:06=2");
}
END_TEST

START_TEST(a_class_of_an_hour_before_is_there_from_the_first_sample_on)
{
    spec.metric = metric_named("llm_errors_total", NULL);
    errors("1 03:00", "{\"a\": 4}");
    errors("1 10:00", "{\"b\": 1}");
    spec.from_ms = at("1 10:00");
    spec.to_ms = at("1 10:01");
    ck_assert_str_eq(made_of("a", NULL), "1 10:00=4 1 10:01=4");
    ck_assert_str_eq(made_of("b", NULL), "1 10:00=0 1 10:01=1");
}
END_TEST

static unsigned asked;

static bool wants_b(void *arg, struct str label)
{
    (void)arg;
    asked++;
    return str_eq(label, STR_LIT("b"));
}

START_TEST(classes_of_days_before_that_of_the_first_sample_are_not_there)
{
    spec.metric = metric_named("llm_errors_total", NULL);
    errors("1 23:58", "{\"a\": 4, \"b\": 1, \"__other__\": 2}");
    errors("2 00:00", "{\"b\": 1}");
    spec.to_ms = at("2 00:01");
    spec.from_ms = at("2 00:00") + 1;
    ck_assert_str_eq(labels_made(), "b");
    asked = 0; // what it was is known, and of the others nothing
    ck_assert_str_eq(made_of("b", wants_b), "2 00:00:00.001=0 2 00:01=1");
    ck_assert_uint_eq(asked, 1);
    spec.from_ms = at("2 00:00");
    ck_assert_str_eq(labels_made(), "__other__ a b");
    ck_assert_str_eq(made_of("a", NULL), "2 00:00=4 2 00:01=0"); // a day without it counts 0
    ck_assert_str_eq(made_of("__other__", NULL), "2 00:00=2 2 00:01=0");
}
END_TEST

START_TEST(reasons_are_of_the_other_object)
{
    spec.metric = metric_named("llm_finish_reasons_total", NULL);
    errors("1 10:00", "{\"a\": 1}");
    series_row(&series, at("1 10:00"))->finish_reasons = "{\"stop\": 3, \"Ünï\\u0001\": 0}";
    spec.to_ms = at("1 10:01");
    ck_assert_str_eq(labels_made(), "stop"); // none of nothing
    ck_assert_str_eq(made_of("stop", NULL), "1 10:00=0 1 10:01=3");
}
END_TEST

START_TEST(only_what_is_wanted_is_made)
{
    spec.metric = metric_named("llm_errors_total", NULL);
    errors("1 10:00", "{\"a\": 1, \"b\": 2, \"c\": 3}");
    spec.to_ms = at("1 10:01");
    asked = 0;
    ck_assert_str_eq(made_of("b", wants_b), "1 10:00=0 1 10:01=2");
    ck_assert_uint_eq(asked, 3); // each once
    ck_assert_str_eq(made_of("a", wants_b), "");
    spec.metric = metric_named("llm_tokens_total", "output"); // a label that is not the source's
    asked = 0;
    ck_assert_str_eq(made_of("", wants_b), "1 10:00=0 1 10:01=0");
    ck_assert_uint_eq(asked, 0);
}
END_TEST

// Numbered names that are as bytes what they are as numbers, 30 a row.
static void errors_numbered(const char *when, unsigned from, unsigned n)
{
    struct buf json = {0};
    for (unsigned i = 0; i < n; i++)
        buf_addf(&json, "%s\"C%04u\": 1", i ? ", " : "{", from + i);
    buf_adds(&json, "}");
    buf_addc(&json, '\0');
    errors(when, arena_str(&arena, (struct str){json.p, json.n}).p);
    buf_free(&json);
}

// How many labels there are, and whether the last is the other one.
static size_t labels_are(bool *other)
{
    struct samples *all;
    spec.rows = series_rows(&series, &spec, &arena);
    size_t n = samples_make(&spec, NULL, NULL, &arena, &all);
    *other = n && str_eq(all[n - 1].label, STR_LIT("__other__"));
    for (size_t i = 1; i < n; i++)
        ck_assert_int_lt(str_compare(all[i - 1].label, all[i].label), 0);
    return n;
}

START_TEST(so_many_names_are_told_apart_and_no_more)
{
    spec.metric = metric_named("llm_errors_total", NULL);
    spec.to_ms = at("1 10:10");
    char when[] = "1 10:00";
    for (unsigned i = 0; i < 4; i++, when[6]++)
        errors_numbered(when, 1000 - 32 * i, 32); // the smaller ones come later
    bool other;
    ck_assert_uint_eq(labels_are(&other), SAMPLES_NAMES_MAX);
    ck_assert(!other);
    errors(when, "{\"C0000\": 7}"); // the greatest makes room, at 10:04
    ck_assert_uint_eq(labels_are(&other), SAMPLES_NAMES_MAX + 1);
    ck_assert(other);
    ck_assert_str_eq(made_of("C1031", NULL), "");
    ck_assert_str_eq(made_of("C1030", NULL),
                     "1 10:00=0 1 10:01=1 1 10:02=1 1 10:03=1 1 10:04=1 1 10:05=1 1 10:06=1 "
                     "1 10:07=1 1 10:08=1 1 10:09=1 1 10:10=1");
    ck_assert_str_eq(made_of("__other__", NULL), made_of("C1030", NULL));
    errors("1 10:05", "{\"D\": 5, \"__other__\": 2}"); // one that is greater than all finds none
    ck_assert_uint_eq(labels_are(&other), SAMPLES_NAMES_MAX + 1);
    ck_assert_str_eq(made_of("__other__", NULL),
                     "1 10:00=0 1 10:01=1 1 10:02=1 1 10:03=1 1 10:04=1 1 10:05=1 1 10:06=8 "
                     "1 10:07=8 1 10:08=8 1 10:09=8 1 10:10=8");
}
END_TEST

// ---- buckets ------------------------------------------------------------------------------------

START_TEST(buckets_have_what_is_not_above_their_bound)
{
    spec.metric = metric_named("gen_ai_client_operation_duration_seconds_bucket", NULL);
    spec.to_ms = at("1 10:01");
    struct row *row = series_row(&series, at("1 10:00"));
    static const int64_t values[] = {0, 10000, 10048, 20000, 81920000, 90000000, HIST_MAX_US};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        row->hist[hist_index(values[i])] += 1;
    ck_assert_str_eq(labels_made(), "0.01 0.02 0.04 0.08 0.16 0.32 0.64 1.28 2.56 5.12 10.24 20.48 "
                                    "40.96 81.92 +Inf");
    ck_assert_str_eq(made_of("0.01", NULL), "1 10:00=0 1 10:01=2");
    ck_assert_str_eq(made_of("0.02", NULL), "1 10:00=0 1 10:01=4");
    ck_assert_str_eq(made_of("40.96", NULL), "1 10:00=0 1 10:01=4");
    ck_assert_str_eq(made_of("81.92", NULL), "1 10:00=0 1 10:01=5");
    ck_assert_str_eq(made_of("+Inf", NULL), "1 10:00=0 1 10:01=7");
    spec.metric = metric_named("gen_ai_server_time_to_first_token_seconds_bucket", NULL);
    ck_assert_str_eq(made_of("0.01", NULL), "1 10:00=0 1 10:01=2");
    ck_assert_str_eq(made_of("10.0", NULL), "1 10:00=0 1 10:01=4");
}
END_TEST

START_TEST(buckets_are_there_from_the_first_value_on_all_of_them)
{
    spec.metric = metric_named("gen_ai_client_operation_duration_seconds_bucket", NULL);
    spec.to_ms = at("1 10:02");
    series_row(&series, at("1 10:00"));
    ck_assert_str_eq(labels_made(), "");
    series_row(&series, at("1 10:01"))->hist[hist_index(30000)] = 2;
    ck_assert_str_eq(made_of("0.01", NULL), "1 10:01=0 1 10:02=0");
    ck_assert_str_eq(made_of("0.02", wants_b), "");
    ck_assert_str_eq(made_of("0.04", NULL), "1 10:01=0 1 10:02=2");
    ck_assert_str_eq(made_of("+Inf", NULL), "1 10:01=0 1 10:02=2");
}
END_TEST

// ---- gauges -------------------------------------------------------------------------------------

START_TEST(gauges_are_of_one_window_and_then_zero_once)
{
    spec.metric = metric_named("llm_minute_requests", NULL);
    requests("1 10:00", 3);
    requests("1 10:01", 4);
    requests("1 10:03", 5);
    requests("1 23:59", 6);
    requests("2 00:00", 6);
    ck_assert_str_eq(made(),
                     "1 10:01=3 1 10:02=4 1 10:03=0 1 10:04=5 1 10:05=0 2 00:00=6 2 00:01=6 "
                     "2 00:02=0");
    spec.from_ms = spec.to_ms = at("1 10:05"); // known by what ended before
    ck_assert_str_eq(made(), "1 10:05=0");
    spec.from_ms = at("1 10:05") + 1;
    spec.to_ms = at("2 00:00") - 1;
    ck_assert_str_eq(made(), "");
}
END_TEST

START_TEST(hours_are_no_windows_of_a_gauge)
{
    requests("1 08:00", 3);
    requests("1 10:59", 4);
    spec.from_ms = at("1 11:00");
    spec.rows = series_rows(&series, &spec, &arena); // of a counter
    spec.from_ms = at("1 08:00");
    spec.metric = metric_named("llm_minute_requests", NULL);
    struct samples *all;
    ck_assert_uint_eq(samples_make(&spec, NULL, NULL, &arena, &all), 1);
    ck_assert_uint_eq(all[0].n, 2); // what it had, and 0
}
END_TEST

START_TEST(gauges_end_where_all_is_closed)
{
    spec.metric = metric_named("llm_minute_requests", NULL);
    requests("1 10:00", 3);
    requests("1 10:01", 4);
    spec.through_us = at("1 10:01") * 1000;
    ck_assert_str_eq(made(), "1 10:01=3"); // no 0 for what is not known yet
    spec.through_us = at("1 10:02") * 1000;
    ck_assert_str_eq(made(), "1 10:01=3 1 10:02=4");
    spec.through_us = at("1 10:03") * 1000;
    ck_assert_str_eq(made(), "1 10:01=3 1 10:02=4 1 10:03=0");
    spec.kept_from_us = at("2 00:00") * 1000;
    ck_assert_str_eq(made(), "");
}
END_TEST

// ---- values -------------------------------------------------------------------------------------

START_TEST(columns_are_added_taken_away_and_divided_once)
{
    series_row(&series, at("1 10:00")); // so that it is not the first of the block
    struct row *row = series_row(&series, at("1 10:01"));
    row->columns[FACTS_requests] = 10;
    row->columns[FACTS_responses] = 4;
    row->columns[FACTS_unanswered] = 3;
    row->columns[FACTS_latency_sum_us] = 1;
    row->columns[FACTS_uncached_prompt_tokens] = 1000;
    row->columns[FACTS_cached_prompt_tokens] = 200;
    row->columns[FACTS_cache_write_5m_tokens] = 30;
    row->columns[FACTS_cache_write_1h_tokens] = 4;
    row->costs[FACTS_cost] = 1;
    row->costs[FACTS_cache_savings] = -2500000000000;
    spec.from_ms = spec.to_ms = at("1 10:02");
    static const char *const expected[][3] = {
        {"llm_minute_in_flight", NULL, "1 10:02=3"},
        {"gen_ai_client_operation_duration_seconds_sum", NULL, "1 10:02=9.9999999999999995e-07"},
        {"gen_ai_client_token_usage_sum", "input", "1 10:02=1234"},
        {"gen_ai_usage_cost_USD_sum", NULL, "1 10:02=9.9999999999999998e-13"},
        {"llm_minute_cache_savings_usd", NULL, "1 10:02=-2.5"},
    };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        spec.metric = metric_named(expected[i][0], expected[i][1]);
        ck_assert_str_eq(made(), expected[i][2]);
    }
}
END_TEST

START_TEST(sums_do_not_end_at_64_bits)
{
    requests("1 10:00", INT64_MAX);
    requests("1 10:01", INT64_MAX);
    requests("1 10:02", 1);
    spec.from_ms = at("1 10:01");
    spec.to_ms = at("1 10:03");
    ck_assert_str_eq(made(), "1 10:01=9.2233720368547758e+18 1 10:02=1.8446744073709552e+19 "
                             "1 10:03=1.8446744073709552e+19");
}
END_TEST

START_TEST(what_is_needed_is_whole_hours_from_midnight_and_minutes)
{
    static const struct {
        const char *from, *to, *hours, *minutes, *end;
        int more; // ms
    } expected[] = {
        {"2 10:30", "2 11:00", "2 00:00", "2 10:00", "2 11:01", 0},
        {"2 10:05", "2 11:00", "2 00:00", "2 09:00", "2 11:01", 0}, // 10:00 is six minutes behind
        {"2 10:06", "2 11:00", "2 00:00", "2 10:00", "2 11:01", 0},
        {"2 00:06", "2 00:07", "2 00:00", "2 00:00", "2 00:08", 0},
        {"2 00:05", "2 00:07", "1 23:00", "1 23:00", "2 00:08", 0}, // no sum of the day before
        {"2 00:00", "2 00:07", "1 00:00", "1 23:00", "2 00:08", 0},
        {"2 00:00", "2 00:07", "1 00:00", "1 23:00", "2 00:08", 1}, // that of midnight is needed
        {"2 00:00", "2 00:07", "1 23:00", "1 23:00", "2 00:08", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        struct samples_need need =
            samples_need(false, at(expected[i].from) + expected[i].more, at(expected[i].to));
        ck_assert_int_eq(need.hours_from_us, at(expected[i].hours) * 1000);
        ck_assert_int_eq(need.minutes_from_us, at(expected[i].minutes) * 1000);
        ck_assert_int_eq(need.to_us, at(expected[i].end) * 1000);
    }
    struct samples_need gauge = samples_need(true, at("2 10:31"), at("2 11:00") + 59999);
    ck_assert_int_eq(gauge.hours_from_us, at("2 10:20") * 1000);
    ck_assert_int_eq(gauge.minutes_from_us, at("2 10:20") * 1000);
    ck_assert_int_eq(gauge.to_us, at("2 11:00") * 1000);
}
END_TEST

START_TEST(times_far_away_are_no_trouble)
{
    requests("1 10:00", 1);
    static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX - 1, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        for (size_t j = 0; j < ARRAY_LEN(times); j++) {
            spec.from_ms = times[i];
            spec.to_ms = times[j];
            struct samples_need need = samples_need(j & 1, times[i], times[j]);
            ck_assert_int_le(need.hours_from_us, need.minutes_from_us);
            const char *all = made(); // from what is asked for to what is there, or nothing
            ck_assert(!*all == (times[i] > at("1 10:00") || times[j] < at("1 10:00")));
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prometheus_samples");
    TCase *t = tcase_create("rules");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_window_has_samples_at_its_start_and_end_and_for_five_minutes);
    tcase_add_test(t, windows_in_a_row_are_counted_up);
    tcase_add_test(t, a_window_without_requests_is_a_window);
    tcase_add_test(t, of_gaps_up_to_five_minutes_nothing_is_seen);
    tcase_add_test(t, of_six_minutes_the_start_of_the_next_one_is);
    tcase_add_test(t, no_sample_comes_after_what_is_closed);
    tcase_add_test(t, what_retention_dropped_is_as_if_it_was_not);
    tcase_add_test(t, ranges_may_begin_and_end_within_a_minute);
    tcase_add_test(t, hours_are_what_was_before);
    tcase_add_test(t, counters_begin_anew_at_midnight);
    tcase_add_test(t, behind_a_window_before_midnight_comes_zero_from_then_on);
    tcase_add_test(t, where_it_would_not_look_so_a_sample_tells);
    tcase_add_test(t, it_tells_too_where_the_day_before_ended_long_before);
    tcase_add_test(t, it_does_not_where_nothing_was_before_or_nothing_came);
    tcase_add_test(t, a_range_may_begin_and_end_around_that_sample);
    tcase_add_test(t, it_does_not_come_before_its_window_is_closed);
    tcase_add_test(t, a_class_begins_with_the_first_window_that_has_it);
    tcase_add_test(t, a_class_of_an_hour_before_is_there_from_the_first_sample_on);
    tcase_add_test(t, classes_of_days_before_that_of_the_first_sample_are_not_there);
    tcase_add_test(t, reasons_are_of_the_other_object);
    tcase_add_test(t, only_what_is_wanted_is_made);
    tcase_add_test(t, so_many_names_are_told_apart_and_no_more);
    tcase_add_test(t, buckets_have_what_is_not_above_their_bound);
    tcase_add_test(t, buckets_are_there_from_the_first_value_on_all_of_them);
    tcase_add_test(t, gauges_are_of_one_window_and_then_zero_once);
    tcase_add_test(t, hours_are_no_windows_of_a_gauge);
    tcase_add_test(t, gauges_end_where_all_is_closed);
    tcase_add_test(t, columns_are_added_taken_away_and_divided_once);
    tcase_add_test(t, sums_do_not_end_at_64_bits);
    tcase_add_test(t, what_is_needed_is_whole_hours_from_midnight_and_minutes);
    tcase_add_test(t, times_far_away_are_no_trouble);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
