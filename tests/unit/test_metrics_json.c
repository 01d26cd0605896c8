// SPDX-License-Identifier: Apache-2.0
#include "common/core/metrics_json.h"

#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

static char *text_of(double d)
{
    struct buf out = {0};
    metrics_json_double(&out, d);
    return buf_steal(&out);
}

static const struct {
    double d;
    const char *text;
} doubles[] = {
    {0, "0"},
    {-0.0, "0"},
    {1, "1"},
    {-1, "-1"},
    {0.1, "0.1"},
    {0.30000000000000004, "0.30000000000000004"},
    {-2.5, "-2.5"},
    {100, "100"},
    {123.456, "123.456"},
    {0.001, "0.001"},
    {0.00001, "0.00001"},
    {1234.5678, "1234.5678"},
    {1.0 / 3, "0.3333333333333333"},
    {2.0 / 3, "0.6666666666666666"},
    {123.45707216494846, "123.45707216494846"},
    {999.9999999999999, "999.9999999999999"},
    {9007199254740991.0, "9007199254740991"},
    {999999999999999.0, "999999999999999"},
    {1e15, "1e+15"},
    {1e22, "1e+22"},
    {5e-324, "5e-324"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
    {3e-7, "3e-07"},
    {1e-12, "1e-12"},
    {-5.6789e-8, "-5.6789e-08"},
    {9.999999e-6, "9.999999e-06"},
    {9.9999999999e-6, "9.9999999999e-06"},
    {0.000010000001, "0.000010000001"},
    {0.000123456789, "0.000123456789"},
    {999.999999999999, "999.999999999999"},
    {1.5e-12, "1.5e-12"},
    {0.25, "0.25"},
    {4503599627370496.0 / 1024 + 0.0009765625, "4398046511104.001"},
    {NAN, "null"},
    {INFINITY, "null"},
    {-INFINITY, "null"},
};

START_TEST(doubles_are_short)
{
    char *text = text_of(doubles[_i].d);
    ck_assert_str_eq(text, doubles[_i].text);
    free(text);
}
END_TEST

static uint64_t next_random(uint64_t *state) // splitmix64
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int significant_digits(const char *text)
{
    int n = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (n == 0 && *text == '0'))
            continue;
        zeros = *text == '0' ? zeros + 1 : 0;
        n++;
    }
    return n - zeros;
}

// Averages, prices and raw bit patterns against printf with ever more digits.
START_TEST(doubles_read_back_and_none_is_longer_than_needed)
{
    uint64_t state = 20261121;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = next_random(&state), n = 1 + next_random(&state) % 100000;
        double d;
        memcpy(&d, &bits, sizeof(d));
        if (i % 6 == 1)
            d = (double)(bits % 1000000000000) / (double)n;
        else if (i % 6 == 2)
            d = (double)(bits % 100000000) / 1000;
        else if (i % 6 == 3)
            d = (double)(bits % 1000000) / 1e6 / (double)n;
        else if (i % 6 == 4)
            d = (double)(bits % (n * n * n)) / 1e12; // picodollars
        else if (i % 6 == 5)                         // where doubles become denser
            d = nextafter(ldexp(1, (int)(n % 70) - 18), bits % 2 ? 0 : INFINITY);
        if (!isfinite(d))
            continue;
        char *text = text_of(d), shortest[40];
        ck_assert_msg(strtod(text, NULL) == d, "%a became %s", d, text);
        int digits = 1;
        while (snprintf(shortest, sizeof(shortest), "%.*g", digits, d), strtod(shortest, NULL) != d)
            digits++;
        ck_assert_msg(d == 0 || significant_digits(text) <= digits, "%s for %s", text, shortest);
        free(text);
    }
}
END_TEST

static const struct {
    int64_t n;
    const char *text;
} ints[] = {
    {0, "0"},
    {9, "9"},
    {10, "10"},
    {-1, "-1"},
    {INT64_MAX, "9223372036854775807"},
    {INT64_MIN, "-9223372036854775808"},
};

START_TEST(integers_are_exact)
{
    struct buf out = {0};
    metrics_json_int(&out, ints[_i].n);
    char *text = buf_steal(&out);
    ck_assert_str_eq(text, ints[_i].text);
    free(text);
}
END_TEST

static struct metrics_row sample(void)
{
    struct metrics_row r = {0};
    r.tenant_id = STR_LIT("acme");
    r.route = STR_LIT("chat");
    r.model = STR_LIT("gpt");
    r.window_start_us = INT64_C(1795241640000000);
    r.window_end_us = INT64_C(1795241700000000);
    r.updated_at_us = INT64_C(1795241700123456);
    r.requests = 3;
    r.errors = 1;
    r.avg_latency_ms = 12.5;
    r.avg_ttft_ms = r.p50_ttft_ms = r.p90_ttft_ms = r.p95_ttft_ms = r.p99_ttft_ms = r.max_ttft_ms =
        NAN;
    r.reported_cost_usd = r.output_tokens_per_second = NAN;
    r.completion_tokens = INT64_MAX;
    r.complete = true;
    r.estimated_cost_usd_decimal = STR_LIT("12345678901234567890.000000000001");
    r.error_classes = STR_LIT("{\"timeout\": 1}");
    r.finish_reasons = STR_LIT("{}");
    return r;
}

static char *list_of(const struct metrics_row *rows, size_t n)
{
    struct buf out = {0};
    struct metrics_json j = {0};
    buf_addc(&out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_adds(&out, i > 0 ? ",{" : "{");
        metrics_json_members(&j, &out, &rows[i]);
        buf_addc(&out, '}');
    }
    buf_addc(&out, ']');
    return buf_steal(&out);
}

START_TEST(the_originals_fields_come_first_and_in_its_order)
{
    struct metrics_row row = sample();
    char *text = list_of(&row, 1);
    static const char start[] =
        "[{\"tenant_id\":\"acme\",\"route\":\"chat\",\"model\":\"gpt\","
        "\"window_start\":\"2026-11-21T06:14:00Z\",\"window_end\":\"2026-11-21T06:15:00Z\","
        "\"requests\":3,\"errors\":1,\"avg_latency_ms\":12.5,\"p95_latency_ms\":0,"
        "\"avg_prompt_tokens\":0,\"avg_completion_tokens\":0,\"estimated_cost_usd\":0,";
    ck_assert_msg(strncmp(text, start, sizeof(start) - 1) == 0, "%s", text);
    free(text);
}
END_TEST

static json_t *first_row(const struct metrics_row *row)
{
    char *text = list_of(row, 1);
    json_error_t error;
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(all != NULL, "%s in %s", error.text, text);
    json_t *first = json_incref(json_array_get(all, 0));
    json_decref(all);
    free(text);
    return first;
}

#define json_is_decimal(o) (json_is_string(o) || json_is_null(o))

START_TEST(every_field_is_there_once_and_of_its_kind)
{
    struct metrics_row row = sample();
    json_t *o = first_row(&row);
    size_t fields = 0;
#define IS(name, test)                                                                             \
    fields++;                                                                                      \
    ck_assert_msg(test(json_object_get(o, #name)), "%s", #name);
#define TEXT(name) IS(name, json_is_string)
#define COUNT(name) IS(name, json_is_integer)
#define NUMBER(name) IS(name, json_is_number)
#define MAYBE(name) IS(name, json_is_null)
#define DECIMAL(name) IS(name, json_is_decimal)
#define OBJECT(name) IS(name, json_is_object)
#define BOOL(name) IS(name, json_is_boolean)
    METRICS_ROW_FIELDS(TEXT, TEXT, COUNT, NUMBER, MAYBE, DECIMAL, OBJECT, BOOL)
    ck_assert_uint_eq(json_object_size(o), fields);
    ck_assert_int_eq(json_integer_value(json_object_get(o, "completion_tokens")), INT64_MAX);
    ck_assert_str_eq(json_string_value(json_object_get(o, "updated_at")),
                     "2026-11-21T06:15:00.123456Z");
    ck_assert(json_is_true(json_object_get(o, "complete")));
    ck_assert(json_is_false(json_object_get(o, "lossy")));
    json_decref(o);
}
END_TEST

START_TEST(an_amount_keeps_every_digit_and_none_is_null)
{
    struct metrics_row row = sample();
    json_t *o = first_row(&row);
    ck_assert_str_eq(json_string_value(json_object_get(o, "estimated_cost_usd_decimal")),
                     "12345678901234567890.000000000001");
    ck_assert(json_is_null(json_object_get(o, "reported_cost_usd_decimal")));
    ck_assert(json_is_null(json_object_get(o, "reported_cost_usd")));
    json_decref(o);
}
END_TEST

static const char *const hostile[] = {
    "\"},{\"tenant_id\":\"other",
    "\\",
    "\\\"",
    "</script><script>alert(1)</script>",
    "\x7f",
    "\xe2\x80\xa8\xe2\x80\xa9", // line separators, which JavaScript once refused in strings
    "\xf0\x9f\x92\xa9",
    "\xef\xbf\xbf",
    "%00%s%n",
    "\x01\x1f\t\r\n",
};

START_TEST(hostile_names_stay_strings)
{
    struct metrics_row row = sample();
    row.tenant_id = row.route = row.model = str_of(hostile[_i]);
    json_t *o = first_row(&row);
    ck_assert_str_eq(json_string_value(json_object_get(o, "tenant_id")), hostile[_i]);
    ck_assert_str_eq(json_string_value(json_object_get(o, "route")), hostile[_i]);
    ck_assert_str_eq(json_string_value(json_object_get(o, "model")), hostile[_i]);
    json_decref(o);
}
END_TEST

// In ms with 0 to 3 decimals, as durations are: just as they would be written by hand.
START_TEST(thousandths_are_as_long_as_they_must_be)
{
    uint64_t state = 20261122;
    for (int i = 0; i < 100000; i++) {
        uint64_t us = next_random(&state) >> (13 + next_random(&state) % 51);
        char want[40];
        int n = snprintf(want, sizeof(want), "%llu.%03u", (unsigned long long)(us / 1000),
                         (unsigned)(us % 1000));
        while (want[n - 1] == '0')
            want[--n] = '\0';
        if (want[n - 1] == '.')
            want[n - 1] = '\0';
        if (us >= UINT64_C(1000000000000000)) // more digits than a double has
            continue;
        char *text = text_of((double)us / 1000);
        ck_assert_str_eq(text, want);
        free(text);
    }
}
END_TEST

// The writer remembers the day of its last instant.
START_TEST(instants_are_right_in_any_order_of_days)
{
    static const struct {
        int64_t us;
        const char *text;
    } at[] = {
        {INT64_C(1795241640000000), "2026-11-21T06:14:00Z"},
        {INT64_C(1795219199000000), "2026-11-20T23:59:59Z"},
        {INT64_C(1795219200000000), "2026-11-21T00:00:00Z"},
        {INT64_C(1795219200000001), "2026-11-21T00:00:00.000001Z"},
        {INT64_C(1795305600000000), "2026-11-22T00:00:00Z"},
        {0, "1970-01-01T00:00:00Z"},
        {INT64_C(-1000000), "1969-12-31T23:59:59Z"},
        {INT64_C(-1), "1969-12-31T23:59:59.999999Z"},
        {INT64_C(253402300799000000), "9999-12-31T23:59:59Z"},
    };
    struct metrics_row rows[ARRAY_LEN(at)];
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        rows[i] = sample();
        rows[i].window_start_us = rows[i].window_end_us = rows[i].updated_at_us = at[i].us;
    }
    char *text = list_of(rows, ARRAY_LEN(at));
    json_t *all = json_loads(text, 0, NULL);
    for (size_t i = 0; i < ARRAY_LEN(at); i++)
        ck_assert_str_eq(json_string_value(json_object_get(json_array_get(all, i), "window_start")),
                         at[i].text);
    json_decref(all);
    free(text);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("metrics_json");
    tcase_add_loop_test(tc, doubles_are_short, 0, ARRAY_LEN(doubles));
    tcase_add_test(tc, doubles_read_back_and_none_is_longer_than_needed);
    tcase_add_test(tc, thousandths_are_as_long_as_they_must_be);
    tcase_add_loop_test(tc, integers_are_exact, 0, ARRAY_LEN(ints));
    tcase_add_test(tc, the_originals_fields_come_first_and_in_its_order);
    tcase_add_test(tc, every_field_is_there_once_and_of_its_kind);
    tcase_add_test(tc, an_amount_keeps_every_digit_and_none_is_null);
    tcase_add_loop_test(tc, hostile_names_stay_strings, 0, ARRAY_LEN(hostile));
    tcase_add_test(tc, instants_are_right_in_any_order_of_days);
    Suite *suite = suite_create("metrics_json");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
