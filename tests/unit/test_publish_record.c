// SPDX-License-Identifier: Apache-2.0
#include "processor/publish_record.h"

#include <check.h>
#include <jansson.h>
#include <math.h>
#include <openssl/evp.h>

#include "common/core/hist.h"
#include "common/core/timeunit.h"

static struct metrics_row sample(const char *tenant, const char *route, const char *model)
{
    struct metrics_row row = {0};
    row.tenant_id = str_of(tenant);
    row.route = str_of(route);
    row.model = str_of(model);
    row.window_start_us = INT64_C(1795241640000000);
    row.window_end_us = INT64_C(1795241700000000);
    row.updated_at_us = INT64_C(1795241700123456);
    row.requests = 3;
    row.publish_seq = 41;
    row.late = 2;
    row.settled = true;
    row.avg_ttft_ms = row.reported_cost_usd = NAN;
    row.error_classes = STR_LIT("{\"timeout\": 1}");
    row.finish_reasons = STR_LIT("{}");
    return row;
}

static struct str key_of(const struct publish_batch *b, size_t i)
{
    return (struct str){b->bytes.p + b->v[i].key_at, b->v[i].key_n};
}

static json_t *value_of(const struct publish_batch *b, size_t i)
{
    json_error_t error;
    json_t *o =
        json_loadb(b->bytes.p + b->v[i].value_at, b->v[i].value_n, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json_is_object(o), "%s", error.text);
    return o;
}

static void add(struct publish_batch *b, const struct metrics_row *row)
{
    struct metrics_json j = {0};
    publish_record_add(b, &j, row, 0, (struct str){0}, (struct str){0});
}

// What a reader does with a key: splits it, then takes the two escapes back.
static size_t part_of(struct str key, int part, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] == '|') {
            part--;
        } else if (part == 0 && key.p[i] == '%') {
            ck_assert_uint_le(i + 3, key.n);
            bool bar = memcmp(key.p + i, "%7C", 3) == 0;
            ck_assert(bar || memcmp(key.p + i, "%25", 3) == 0);
            out[n++] = bar ? '|' : '%';
            i += 2;
        } else if (part == 0) {
            out[n++] = key.p[i];
        }
    }
    ck_assert_int_le(part, 0);
    return n;
}

static const struct {
    const char *tenant, *route, *model, *key;
} names[] = {
    {"acme", "/chat", "gpt-4o", "acme|/chat|gpt-4o"},
    {"a|b", "c", "d", "a%7Cb|c|d"},
    {"a", "b|c", "d", "a|b%7Cc|d"},
    {"100%", "%7C", "%25", "100%25|%257C|%2525"},
    {"|", "||", "%|%", "%7C|%7C%7C|%25%7C%25"},
    {"\"}", "\\", "line\xe2\x80\xa8", "\"}|\\|line\xe2\x80\xa8"},
    {"ü💩", "__other__", " ", "ü💩|__other__| "},
};

START_TEST(a_key_names_its_series_and_no_other)
{
    struct publish_batch b = {0};
    struct metrics_row row = sample(names[_i].tenant, names[_i].route, names[_i].model);
    add(&b, &row);
    ck_assert_uint_eq(b.n, 1);
    struct str key = key_of(&b, 0);
    ck_assert_msg(str_eq(key, str_of(names[_i].key)), "%.*s", (int)key.n, key.p);
    const struct str parts[] = {row.tenant_id, row.route, row.model};
    for (int p = 0; p < 3; p++) {
        char text[64];
        ck_assert(str_eq((struct str){text, part_of(key, p, text)}, parts[p]));
    }
    json_t *o = value_of(&b, 0);
    ck_assert_str_eq(json_string_value(json_object_get(o, "tenant_id")), names[_i].tenant);
    ck_assert_str_eq(json_string_value(json_object_get(o, "route")), names[_i].route);
    ck_assert_str_eq(json_string_value(json_object_get(o, "model")), names[_i].model);
    json_decref(o);
    publish_batch_clear(&b);
}
END_TEST

START_TEST(a_record_bears_the_sequence_the_windows_end_and_when_it_was_due)
{
    struct publish_batch b = {0};
    struct metrics_json j = {0};
    struct metrics_row row = sample("t", "r", "m");
    publish_record_add(&b, &j, &row, 1795241710123, (struct str){0}, (struct str){0});
    ck_assert_int_eq(b.v[0].seq, 41);
    ck_assert_int_eq(b.v[0].time_ms, INT64_C(1795241700000));
    ck_assert_int_eq(b.v[0].due_ms, INT64_C(1795241710123));
    publish_batch_clear(&b);
}
END_TEST

START_TEST(the_value_is_the_row_and_its_two_histograms)
{
    struct publish_batch b = {0};
    struct metrics_row row = sample("t", "r", "m");
    add(&b, &row);
    json_t *o = value_of(&b, 0);
    size_t fields = 0;
#define FIELD(name)                                                                                \
    fields++;                                                                                      \
    ck_assert_msg(json_object_get(o, #name) != NULL, "%s", #name);
    METRICS_ROW_FIELDS(FIELD, FIELD, FIELD, FIELD, FIELD, FIELD, FIELD, FIELD)
#undef FIELD
    ck_assert_uint_eq(json_object_size(o), fields + 2);
    ck_assert(json_is_null(json_object_get(o, "latency_hdr")));
    ck_assert(json_is_null(json_object_get(o, "ttft_hdr")));
    ck_assert_int_eq(json_integer_value(json_object_get(o, "publish_seq")), 41);
    ck_assert_int_eq(json_integer_value(json_object_get(o, "late")), 2);
    ck_assert(json_is_true(json_object_get(o, "settled")));
    json_decref(o);
    publish_batch_clear(&b);
}
END_TEST

// ---- histograms
// ----------------------------------------------------------------------------------

static struct hist recorded(int n)
{
    struct hist h = {0};
    for (int i = 0; i < n; i++)
        hist_record(&h, (int64_t)i * i * 37 % 5000000);
    return h;
}

static void assert_is(const json_t *text, const struct hist *want)
{
    ck_assert(json_is_string(text));
    unsigned char bytes[4096];
    size_t n = json_string_length(text);
    const char *s = json_string_value(text);
    ck_assert_uint_eq(n % 4, 0); // padded
    int got = EVP_DecodeBlock(bytes, (const unsigned char *)s, (int)n);
    ck_assert_int_gt(got, 0);
    got -= (n > 0 && s[n - 1] == '=') + (n > 1 && s[n - 2] == '=');
    ck_assert_mem_eq(bytes, "\x1c\x84\x93\x14", 4);
    struct hist h = {.sum_us = want->sum_us, .max_us = want->max_us};
    struct err e = {0};
    ck_assert_msg(hist_decode_add(&h, bytes, (size_t)got, &e) == 0, "%s", e.detail);
    ck_assert_int_eq(h.total, want->total);
    for (int i = 0; i <= 100; i++)
        ck_assert_int_eq(hist_quantile(&h, i / 100.0), hist_quantile(want, i / 100.0));
    hist_clear(&h);
}

START_TEST(each_histogram_is_the_stored_one_compressed_in_base64)
{
    struct hist latency = recorded(2 + _i * 97), ttft = recorded(1 + _i);
    struct buf a = {0}, c = {0};
    hist_encode(&latency, &a);
    hist_encode(&ttft, &c);
    struct publish_batch b = {0};
    struct metrics_json j = {0};
    struct metrics_row row = sample("t", "r", "m");
    publish_record_add(&b, &j, &row, 0, (struct str){a.p, a.n}, (struct str){c.p, c.n});
    publish_record_add(&b, &j, &row, 0, (struct str){0}, (struct str){a.p, a.n});
    json_t *both = value_of(&b, 0), *one = value_of(&b, 1);
    assert_is(json_object_get(both, "latency_hdr"), &latency);
    assert_is(json_object_get(both, "ttft_hdr"), &ttft);
    ck_assert(json_is_null(json_object_get(one, "latency_hdr")));
    assert_is(json_object_get(one, "ttft_hdr"), &latency);
    json_decref(both);
    json_decref(one);
    publish_batch_clear(&b);
    buf_free(&a);
    buf_free(&c);
    hist_clear(&latency);
    hist_clear(&ttft);
}
END_TEST

// ---- batches
// -------------------------------------------------------------------------------------

START_TEST(a_batch_grows_and_keeps_every_record)
{
    struct publish_batch b = {0};
    struct metrics_json j = {0};
    for (int i = 0; i < 1000; i++) {
        char route[16];
        int n = snprintf(route, sizeof(route), "r%d", i);
        struct metrics_row row = sample("t", "", "m");
        row.route = (struct str){route, (size_t)n};
        row.publish_seq = 7 + i;
        publish_record_add(&b, &j, &row, i, (struct str){0}, (struct str){0});
    }
    ck_assert_uint_eq(b.n, 1000);
    for (int i = 0; i < 1000; i++) {
        char key[32];
        snprintf(key, sizeof(key), "t|r%d|m", i);
        ck_assert(str_eq(key_of(&b, (size_t)i), str_of(key)));
        ck_assert_int_eq(b.v[i].seq, 7 + i);
        json_t *o = value_of(&b, (size_t)i);
        ck_assert_int_eq(json_integer_value(json_object_get(o, "publish_seq")), 7 + i);
        json_decref(o);
    }
    publish_batch_clear(&b);
}
END_TEST

START_TEST(a_cleared_batch_is_empty_and_takes_again)
{
    struct publish_batch b = {0};
    publish_batch_clear(&b);
    struct metrics_row row = sample("t", "r", "m");
    for (int i = 0; i < 2; i++) {
        add(&b, &row);
        b.more = b.resumed = true;
        b.advanced_from = b.missing_before = 3;
        ck_assert_uint_eq(b.v[0].key_at, 0);
        publish_batch_clear(&b);
        ck_assert(b.n == 0 && b.bytes.n == 0 && !b.more && !b.resumed);
        ck_assert(b.advanced_from == 0 && b.missing_before == 0);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("publish_record");
    tcase_add_loop_test(tc, a_key_names_its_series_and_no_other, 0, ARRAY_LEN(names));
    tcase_add_test(tc, a_record_bears_the_sequence_the_windows_end_and_when_it_was_due);
    tcase_add_test(tc, the_value_is_the_row_and_its_two_histograms);
    tcase_add_loop_test(tc, each_histogram_is_the_stored_one_compressed_in_base64, 0, 12);
    tcase_add_test(tc, a_batch_grows_and_keeps_every_record);
    tcase_add_test(tc, a_cleared_batch_is_empty_and_takes_again);
    Suite *suite = suite_create("publish_record");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
