// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/render.h"

#include "common/core/csv.h"
#include "common/core/timeunit.h"
#include "tests/sim/random.h"

#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#define ALL_FIELDS ((UINT64_C(1) << FIELD_COUNT) - 1)
#define AT_US INT64_C(1795241640000000) // 2026-11-21T06:14:00Z

static struct buf out;
static struct fields fields;

static void make(void)
{
    out = (struct buf){0};
    fields = (struct fields){.bits = ALL_FIELDS};
}

static void clear(void)
{
    buf_free(&out);
}

static struct metrics_row sample(void)
{
    struct metrics_row r = {0};
#define TEXT(name) r.name = STR_LIT(#name);
#define TIME(name) r.name##_us = AT_US;
#define COUNT(name) r.name = 7;
#define NUMBER(name) r.name = 2.5;
#define MAYBE(name) r.name = 0.125;
#define DECIMAL(name) r.name = STR_LIT("12.000000000001");
#define OBJECT(name) r.name = STR_LIT("{\"a\": 1, \"b,\": 2}");
#define BOOL(name) r.name = true;
    METRICS_ROW_FIELDS(TEXT, TIME, COUNT, NUMBER, MAYBE, DECIMAL, OBJECT, BOOL)
#undef TEXT
#undef TIME
#undef COUNT
#undef NUMBER
#undef MAYBE
#undef DECIMAL
#undef OBJECT
#undef BOOL
    return r;
}

static void add_percentile(const char *digits, bool latency, bool ttft)
{
    struct percentile *p = &fields.percentiles[fields.n++];
    *p = (struct percentile){.latency = latency, .ttft = ttft};
    snprintf(p->digits, sizeof(p->digits), "%s", digits);
}

static const char *text(void)
{
    buf_addc(&out, '\0');
    out.n--;
    return out.p;
}

// `n` rows of which each second is empty.
static void write_rows(enum render_format format, const struct metrics_row *row, int n,
                       const double *latency_ms, const double *ttft_ms)
{
    struct render r = {format, field_infos, &fields, .out = &out};
    render_begin(&r, "metrics");
    for (int i = 0; i < n; i++) {
        if (i % 2)
            render_empty_row(&r, row);
        else
            render_row(&r, row, latency_ms, ttft_ms);
    }
    ck_assert_uint_eq(r.rows, (size_t)n);
    render_end(&r);
}

static json_t *parsed(const char *json, size_t n)
{
    json_error_t error;
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(root != NULL, "%s in %s", error.text, json);
    return root;
}

// ---- JSON ----

static bool has_kind(json_t *v, enum field_type type)
{
    switch (type) {
    case FIELD_TEXT:
    case FIELD_TIME:
    case FIELD_DECIMAL:
        return json_is_string(v);
    case FIELD_COUNT_OF:
        return json_is_integer(v);
    case FIELD_NUMBER_OF:
    case FIELD_MAYBE:
        return json_is_real(v);
    case FIELD_OBJECT:
        return json_is_object(v) && json_object_size(v) == 2;
    case FIELD_BOOL:
        break;
    }
    return json_is_true(v);
}

START_TEST(json_has_each_field_that_was_asked_for_in_order)
{
    struct random r = {(uint64_t)_i};
    struct metrics_row row = sample();
    fields.bits = _i == 0 ? ALL_FIELDS : random_next(&r) & ALL_FIELDS;
    write_rows(RENDER_JSON, &row, 1, NULL, NULL);
    buf_addc(&out, '}');
    json_t *root = parsed(text(), out.n);
    ck_assert_int_eq(json_integer_value(json_object_get(root, "count")), 1);
    json_t *o = json_array_get(json_object_get(root, "metrics"), 0);
    void *at = json_object_iter(o);
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (!(fields.bits >> i & 1))
            continue;
        ck_assert_str_eq(json_object_iter_key(at), field_infos[i].name);
        ck_assert_msg(has_kind(json_object_iter_value(at), field_infos[i].type), "%s",
                      field_infos[i].name);
        at = json_object_iter_next(o, at);
    }
    ck_assert_ptr_null(at);
    json_decref(root);
}
END_TEST

START_TEST(json_of_all_fields_is_that_of_the_topic)
{
    struct metrics_row row = sample();
    struct metrics_json j = {0};
    struct buf want = {0};
    buf_adds(&want, "{\"metrics\":[{");
    metrics_json_members(&j, &want, &row);
    buf_adds(&want, "}],\"count\":1");
    write_rows(RENDER_JSON, &row, 1, NULL, NULL);
    ck_assert_uint_eq(out.n, want.n);
    ck_assert_mem_eq(out.p, want.p, want.n);
    buf_free(&want);
}
END_TEST

START_TEST(rows_are_told_apart_in_each_format)
{
    struct metrics_row row = sample();
    fields.bits = FIELD_BIT(model) | FIELD_BIT(requests);
    write_rows(RENDER_JSON, &row, 3, NULL, NULL);
    ck_assert_str_eq(text(), "{\"metrics\":[{\"model\":\"model\",\"requests\":7},"
                             "{\"model\":\"model\",\"requests\":null},"
                             "{\"model\":\"model\",\"requests\":7}],\"count\":3");
    buf_clear(&out);
    write_rows(RENDER_NDJSON, &row, 2, NULL, NULL);
    ck_assert_str_eq(text(), "{\"model\":\"model\",\"requests\":7}\n"
                             "{\"model\":\"model\",\"requests\":null}\n");
    buf_clear(&out);
    write_rows(RENDER_CSV, &row, 2, NULL, NULL);
    ck_assert_str_eq(text(), "model,requests\r\nmodel,7\r\nmodel,\r\n");
}
END_TEST

START_TEST(no_rows_are_an_empty_list_and_a_header_line)
{
    struct metrics_row row = sample();
    fields.bits = FIELD_BIT(model) | FIELD_BIT(requests);
    write_rows(RENDER_JSON, &row, 0, NULL, NULL);
    ck_assert_str_eq(text(), "{\"metrics\":[],\"count\":0");
    buf_clear(&out);
    write_rows(RENDER_NDJSON, &row, 0, NULL, NULL);
    ck_assert_str_eq(text(), "");
    write_rows(RENDER_CSV, &row, 0, NULL, NULL);
    ck_assert_str_eq(text(), "model,requests\r\n");
}
END_TEST

START_TEST(percentiles_come_behind_those_of_latency_first)
{
    struct metrics_row row = sample();
    const double latency_ms[] = {1.5, NAN, 3}, ttft_ms[] = {4, 5.25, NAN};
    fields.bits = FIELD_BIT(requests);
    add_percentile("50", true, true);
    add_percentile("99.9", true, false);
    add_percentile("100", false, true);
    write_rows(RENDER_NDJSON, &row, 2, latency_ms, ttft_ms);
    ck_assert_str_eq(text(), "{\"requests\":7,\"p50_latency_ms\":1.5,\"p99.9_latency_ms\":null,"
                             "\"p50_ttft_ms\":4,\"p100_ttft_ms\":null}\n"
                             "{\"requests\":null,\"p50_latency_ms\":null,\"p99.9_latency_ms\":null,"
                             "\"p50_ttft_ms\":null,\"p100_ttft_ms\":null}\n");
    buf_clear(&out);
    write_rows(RENDER_CSV, &row, 2, latency_ms, ttft_ms);
    ck_assert_str_eq(text(), "requests,p50_latency_ms,p99.9_latency_ms,p50_ttft_ms,p100_ttft_ms\r\n"
                             "7,1.5,,4,\r\n"
                             ",,,,\r\n");
    buf_clear(&out);
    fields.bits = 0; // and alone
    write_rows(RENDER_NDJSON, &row, 1, latency_ms, ttft_ms);
    ck_assert_str_eq(text(), "{\"p50_latency_ms\":1.5,\"p99.9_latency_ms\":null,"
                             "\"p50_ttft_ms\":4,\"p100_ttft_ms\":null}\n");
}
END_TEST

START_TEST(what_is_not_there_is_null)
{
    struct metrics_row row = sample();
    row.tenant_id = row.estimated_cost_usd_decimal = (struct str){NULL, 0};
    row.avg_ttft_ms = NAN;
    row.avg_latency_ms = INFINITY;
    row.updated_at_us = 0;
    row.window_start_us = 0;
    fields.bits = FIELD_BIT(tenant_id) | FIELD_BIT(window_start) | FIELD_BIT(avg_latency_ms) |
                  FIELD_BIT(avg_ttft_ms) | FIELD_BIT(estimated_cost_usd_decimal) |
                  FIELD_BIT(updated_at);
    write_rows(RENDER_NDJSON, &row, 1, NULL, NULL);
    ck_assert_str_eq(text(), "{\"tenant_id\":null,\"window_start\":\"1970-01-01T00:00:00Z\","
                             "\"avg_latency_ms\":null,\"avg_ttft_ms\":null,"
                             "\"estimated_cost_usd_decimal\":null,\"updated_at\":null}\n");
    buf_clear(&out);
    write_rows(RENDER_CSV, &row, 1, NULL, NULL);
    ck_assert_ptr_nonnull(strstr(text(), "\r\n,1970-01-01T00:00:00Z,,,,\r\n"));
    buf_clear(&out);
    fields.bits = FIELD_BIT(updated_at); // an empty line would be no row
    write_rows(RENDER_CSV, &row, 1, NULL, NULL);
    ck_assert_str_eq(text(), "updated_at\r\n\"\"\r\n");
}
END_TEST

START_TEST(an_empty_row_knows_names_and_times_alone)
{
    struct metrics_row row = sample();
    struct render r = {RENDER_NDJSON, field_infos, &fields, .out = &out};
    render_begin(&r, "metrics");
    render_empty_row(&r, &row);
    json_t *o = parsed(text(), out.n);
    for (int i = 0; i < FIELD_COUNT; i++) {
        bool known = i == FIELD_tenant_id || i == FIELD_route || i == FIELD_model ||
                     i == FIELD_window_start || i == FIELD_window_end;
        ck_assert_msg(json_is_string(json_object_get(o, field_infos[i].name)) == known &&
                          json_is_null(json_object_get(o, field_infos[i].name)) == !known,
                      "%s", field_infos[i].name);
    }
    json_decref(o);
}
END_TEST

// ---- hostile names ----

static const struct {
    struct str name;
    const char *csv;
} hostile[] = {
    {STR_LIT("plain"), "plain"},
    {STR_LIT("a,b"), "\"a,b\""},
    {STR_LIT("say \"a\""), "\"say \"\"a\"\"\""},
    {STR_LIT(" a"), "\" a\""},
    {STR_LIT("line\nbreak"), "\"line\nbreak\""},
    {STR_LIT("line\rbreak"), "\"line\rbreak\""},
    {STR_LIT("=1+1"), "'=1+1"},
    {STR_LIT("=HYPERLINK(\"x\",\"y\")"), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""},
    {STR_LIT("+1"), "'+1"},
    {STR_LIT("-1"), "'-1"},
    {STR_LIT("@SUM(A1)"), "'@SUM(A1)"},
    {STR_LIT("\tx"), "'\tx"},
    {STR_LIT("\r=1"), "\"'\r=1\""},
    {STR_LIT("a=1"), "a=1"},
    {STR_LIT("'=1"), "'=1"},
    {STR_LIT("\xc3\xa9"), "\xc3\xa9"},
};

START_TEST(hostile_names_stay_text)
{
    struct metrics_row row = sample();
    char want[200];
    row.model = hostile[_i].name;
    fields.bits = FIELD_BIT(model) | FIELD_BIT(requests);
    write_rows(RENDER_CSV, &row, 1, NULL, NULL);
    snprintf(want, sizeof(want), "model,requests\r\n%s,7\r\n", hostile[_i].csv);
    ck_assert_str_eq(text(), want);
    buf_clear(&out);
    write_rows(RENDER_NDJSON, &row, 1, NULL, NULL);
    json_t *o = parsed(text(), out.n);
    ck_assert_str_eq(json_string_value(json_object_get(o, "model")), hostile[_i].name.p);
    json_decref(o);
}
END_TEST

START_TEST(numbers_are_no_formulas)
{
    struct metrics_row row = sample();
    row.in_flight = -3;
    row.avg_latency_ms = -1.5;
    row.estimated_cost_usd_decimal = STR_LIT("-0.5");
    fields.bits = FIELD_BIT(avg_latency_ms) | FIELD_BIT(in_flight) |
                  FIELD_BIT(estimated_cost_usd_decimal) | FIELD_BIT(settled);
    write_rows(RENDER_CSV, &row, 1, NULL, NULL);
    ck_assert_str_eq(text(), "avg_latency_ms,in_flight,estimated_cost_usd_decimal,settled\r\n"
                             "-1.5,-3,-0.5,true\r\n");
}
END_TEST

// As another reader of CSV sees it.
START_TEST(csv_of_all_fields_reads_back)
{
    struct metrics_row row = sample();
    row.route = STR_LIT("a, \"b\"");
    write_rows(RENDER_CSV, &row, 1, NULL, NULL);
    struct csv csv;
    struct err e;
    csv_begin(&csv, (struct str){out.p, out.n});
    ck_assert_int_eq(csv_next(&csv, &e), 1);
    ck_assert_uint_eq(csv.n, FIELD_COUNT);
    for (int i = 0; i < FIELD_COUNT; i++)
        ck_assert(str_eq(csv.cells[i], str_of(field_infos[i].name)));
    ck_assert_int_eq(csv_next(&csv, &e), 1);
    ck_assert_uint_eq(csv.n, FIELD_COUNT);
    ck_assert(str_eq(csv.cells[FIELD_route], row.route));
    ck_assert(str_eq(csv.cells[FIELD_window_start], STR_LIT("2026-11-21T06:14:00Z")));
    ck_assert(str_eq(csv.cells[FIELD_error_classes], row.error_classes));
    ck_assert(str_eq(csv.cells[FIELD_avg_ttft_ms], STR_LIT("0.125")));
    ck_assert(str_eq(csv.cells[FIELD_complete], STR_LIT("true")));
    ck_assert_int_eq(csv_next(&csv, &e), 0);
    csv_free(&csv);
}
END_TEST

START_TEST(each_format_has_its_media_type)
{
    ck_assert_str_eq(render_media_type(RENDER_JSON), "application/json");
    ck_assert_str_eq(render_media_type(RENDER_NDJSON), "application/x-ndjson");
    ck_assert_str_eq(render_media_type(RENDER_CSV), "text/csv; charset=utf-8; header=present");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("render");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_loop_test(tc, json_has_each_field_that_was_asked_for_in_order, 0, 50);
    tcase_add_test(tc, json_of_all_fields_is_that_of_the_topic);
    tcase_add_test(tc, rows_are_told_apart_in_each_format);
    tcase_add_test(tc, no_rows_are_an_empty_list_and_a_header_line);
    tcase_add_test(tc, percentiles_come_behind_those_of_latency_first);
    tcase_add_test(tc, what_is_not_there_is_null);
    tcase_add_test(tc, an_empty_row_knows_names_and_times_alone);
    tcase_add_loop_test(tc, hostile_names_stay_text, 0, ARRAY_LEN(hostile));
    tcase_add_test(tc, numbers_are_no_formulas);
    tcase_add_test(tc, csv_of_all_fields_reads_back);
    tcase_add_test(tc, each_format_has_its_media_type);
    Suite *suite = suite_create("render");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
