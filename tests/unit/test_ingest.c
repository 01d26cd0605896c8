// SPDX-License-Identifier: Apache-2.0
#include "ingest-api/ingest.h"

#include "common/core/timeunit.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>

// 2026-11-21T06:14:00Z
#define NOW_US INT64_C(1795241640000000)
#define NOW "\"timestamp\":\"2026-11-21T06:14:00Z\""
#define REQUEST(id)                                                                                \
    "{\"type\":\"request\",\"request_id\":\"" id                                                   \
    "\",\"tenant_id\":\"t\",\"route\":\"r\",\"model\":\"m\"," NOW "}"
#define RESPONSE(id) "{\"type\":\"response\",\"request_id\":\"" id "\"," NOW "}"

static const struct ingest_limits limits = {.max_event_bytes = 400, .max_batch_events = 300};
static const struct str absent;
static struct ingest *in;
static struct ingest_report report;
static struct err e;

static void setup(void)
{
    in = ingest_new(&limits);
    report = (struct ingest_report){0};
}

static void teardown(void)
{
    ingest_report_free(&report);
    ingest_free(in);
}

static enum ingest_verdict single(enum event_kind kind, const char *body, struct ingest_record *out)
{
    return ingest_single(in, kind, str_of(body), absent, NOW_US, out, &e);
}

static int batch(struct str body, const struct ingest_record **records, size_t *count)
{
    return ingest_batch(in, body, absent, NOW_US, records, count, &report, &e);
}

static void assert_str(struct str got, const char *want)
{
    ck_assert_uint_eq(got.n, strlen(want));
    ck_assert(str_eq(got, str_of(want)));
}

static json_t *rendered(void)
{
    struct buf out = {0};
    buf_addc(&out, '{');
    ingest_report_render(&report, &out);
    buf_addc(&out, '}');
    json_error_t je;
    json_t *root = json_loadb(out.p, out.n, 0, &je);
    ck_assert_msg(root != NULL, "%s in %.*s", je.text, (int)out.n, out.p);
    buf_free(&out);
    return root;
}

START_TEST(an_event_keeps_its_bytes)
{
    struct ingest_record r;
    const char *body = " \n" REQUEST("a-1") "\r\n ";
    ck_assert_int_eq(single(EVENT_REQUEST, body, &r), INGEST_TAKEN);
    ck_assert_int_eq(r.kind, EVENT_REQUEST);
    ck_assert_ptr_null(r.tenant.p);
    ck_assert_ptr_eq(r.value.p, body);
    ck_assert_uint_eq(r.value.n, strlen(body));
    assert_str(r.key, "a-1");
}
END_TEST

START_TEST(a_key_is_the_decoded_id)
{
    struct ingest_record r;
    ck_assert_int_eq(single(EVENT_RESPONSE, "{\"request_id\":\"\\u00e9\\/\\\"\"," NOW "}", &r),
                     INGEST_TAKEN);
    assert_str(r.key, "\xc3\xa9/\"");
}
END_TEST

static const struct {
    const char *body, *field;
} bad_requests[] = {
    {"", ""},
    {"[]", ""},
    {"{\"request_id\":\"a\",\"route\":\"r\",\"model\":\"m\"," NOW "}", "tenant_id"},
    {"{\"request_id\":\"a\",\"tenant_id\":null,\"route\":\"r\",\"model\":\"m\"," NOW "}",
     "tenant_id"},
    {"{\"tenant_id\":\"t\",\"route\":\"r\",\"model\":\"m\"," NOW "}", "request_id"},
    {"{\"request_id\":\"a\",\"tenant_id\":\"t\",\"route\":\"r\",\"model\":\"m\"}", "timestamp"},
};

START_TEST(a_bad_request_names_the_field)
{
    struct ingest_record r;
    ck_assert_int_eq(single(EVENT_REQUEST, bad_requests[_i].body, &r), INGEST_MALFORMED);
    ck_assert_str_eq(e.field, bad_requests[_i].field);
    ck_assert_str_ne(e.detail, "");
}
END_TEST

#define REQUEST_OF(tenant)                                                                         \
    "{\"type\":\"request\",\"request_id\":\"a\",\"route\":\"r\",\"model\":\"m\"," NOW tenant "}"
#define RESPONSE_OF(tenant) "{\"type\":\"response\",\"request_id\":\"a\"," NOW tenant "}"

static const struct {
    enum event_kind kind;
    const char *body, *sender; // sender NULL: nobody was authenticated
    enum ingest_verdict verdict;
} tenants[] = {
    {EVENT_REQUEST, REQUEST_OF(""), "t", INGEST_TAKEN},
    {EVENT_REQUEST, REQUEST_OF(",\"tenant_id\":null"), "t", INGEST_TAKEN},
    {EVENT_REQUEST, REQUEST_OF(",\"tenant_id\":\"t\""), "t", INGEST_TAKEN},
    {EVENT_REQUEST, REQUEST_OF(",\"tenant_id\":\"\\u0074\""), "t", INGEST_TAKEN}, // decoded
    {EVENT_REQUEST, REQUEST_OF(",\"tenant_id\":\"u\""), "t", INGEST_OTHER_TENANT},
    {EVENT_REQUEST, REQUEST_OF(",\"tenant_id\":\"tt\""), "t", INGEST_OTHER_TENANT},
    {EVENT_REQUEST, REQUEST_OF(",\"tenant_id\":\"t\""), "tt", INGEST_OTHER_TENANT},
    {EVENT_REQUEST, REQUEST_OF(",\"tenant_id\":\"T\""), "t", INGEST_OTHER_TENANT},
    {EVENT_REQUEST, REQUEST_OF(",\"tenant_id\":\"\""), "t", INGEST_MALFORMED},
    {EVENT_REQUEST, REQUEST_OF(",\"tenant_id\":\"t\",\"tenant_id\":\"u\""), "t", INGEST_MALFORMED},
    {EVENT_REQUEST, REQUEST_OF(""), NULL, INGEST_MALFORMED},
    {EVENT_REQUEST, REQUEST_OF(",\"tenant_id\":\"u\""), NULL, INGEST_TAKEN},
    {EVENT_RESPONSE, RESPONSE_OF(""), "t", INGEST_TAKEN},
    {EVENT_RESPONSE, RESPONSE_OF(",\"tenant_id\":\"t\""), "t", INGEST_TAKEN},
    {EVENT_RESPONSE, RESPONSE_OF(",\"tenant_id\":\"u\""), "t", INGEST_OTHER_TENANT},
    {EVENT_RESPONSE, RESPONSE_OF(""), NULL, INGEST_TAKEN},
    {EVENT_RESPONSE, RESPONSE_OF(",\"tenant_id\":\"u\""), NULL, INGEST_TAKEN},
};

START_TEST(an_event_is_its_senders)
{
    struct ingest_record r;
    struct str sender = str_of(tenants[_i].sender);
    ck_assert_int_eq(
        ingest_single(in, tenants[_i].kind, str_of(tenants[_i].body), sender, NOW_US, &r, &e),
        tenants[_i].verdict);
    if (tenants[_i].verdict == INGEST_TAKEN)
        ck_assert_ptr_eq(r.tenant.p, sender.p);
    if (tenants[_i].verdict == INGEST_OTHER_TENANT)
        ck_assert_str_eq(e.field, "tenant_id");
}
END_TEST

START_TEST(so_is_an_item_of_a_batch)
{
    const struct ingest_record *r;
    size_t n;
    struct str body = str_of(tenants[_i].body), sender = str_of(tenants[_i].sender);
    ck_assert_int_eq(ingest_batch(in, body, sender, NOW_US, &r, &n, &report, &e), 0);
    bool taken = tenants[_i].verdict == INGEST_TAKEN;
    ck_assert_uint_eq(n, taken);
    ck_assert_uint_eq(report.rejected, !taken);
    if (taken)
        ck_assert_ptr_eq(r[0].tenant.p, sender.p);
    if (tenants[_i].verdict == INGEST_OTHER_TENANT) {
        json_t *root = rendered();
        json_t *item = json_array_get(json_object_get(root, "errors"), 0);
        ck_assert_str_eq(json_string_value(json_object_get(item, "field")), "tenant_id");
        json_decref(root);
    }
}
END_TEST

// The bounds themselves, to the microsecond: no margin here.
START_TEST(a_request_is_of_the_last_seven_days_or_the_next_hour)
{
    static const struct {
        int64_t ahead_us;
        enum ingest_verdict verdict;
    } cases[] = {{-7 * US_PER_DAY, INGEST_TAKEN},
                 {-7 * US_PER_DAY - 1, INGEST_MALFORMED},
                 {US_PER_HOUR, INGEST_TAKEN},
                 {US_PER_HOUR + 1, INGEST_MALFORMED}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ingest_record r;
        enum ingest_verdict verdict = ingest_single(in, EVENT_REQUEST, str_of(REQUEST("a")), absent,
                                                    NOW_US - cases[i].ahead_us, &r, &e);
        ck_assert_int_eq(verdict, cases[i].verdict);
        if (verdict != INGEST_TAKEN)
            ck_assert_str_eq(e.field, "timestamp");
    }
}
END_TEST

START_TEST(a_response_may_be_of_any_time)
{
    struct ingest_record r;
    const char *body = "{\"request_id\":\"a\",\"timestamp\":\"2001-01-01T00:00:00Z\"}";
    ck_assert_int_eq(single(EVENT_RESPONSE, body, &r), INGEST_TAKEN);
}
END_TEST

START_TEST(an_event_has_a_largest_size)
{
    struct ingest_record r;
    char body[512];
    for (int over = 0; over <= 1; over++) {
        int want = (int)limits.max_event_bytes + over;
        int n = snprintf(body, sizeof(body), "%-*s", want, REQUEST("a"));
        ck_assert_int_eq(n, want);
        ck_assert_int_eq(single(EVENT_REQUEST, body, &r), over ? INGEST_MALFORMED : INGEST_TAKEN);
    }
}
END_TEST

START_TEST(a_batch_is_cut_into_records)
{
    static const char *const bodies[] = {
        REQUEST("a") "\n" RESPONSE("bb") "\n\n" REQUEST("ccc") "\n",
        "[ " REQUEST("a") " , " RESPONSE("bb") "," REQUEST("ccc") " ]",
    };
    const struct ingest_record *r;
    size_t n;
    ck_assert_int_eq(batch(str_of(bodies[_i]), &r, &n), 0);
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(report.rejected, 0);
    assert_str(r[0].value, REQUEST("a"));
    assert_str(r[1].value, RESPONSE("bb"));
    assert_str(r[2].value, REQUEST("ccc"));
    assert_str(r[0].key, "a");
    assert_str(r[1].key, "bb");
    assert_str(r[2].key, "ccc");
    ck_assert_int_eq(r[0].kind, EVENT_REQUEST);
    ck_assert_int_eq(r[1].kind, EVENT_RESPONSE);
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_eq(r[i].index, i);
}
END_TEST

START_TEST(good_items_survive_bad_ones)
{
    const struct ingest_record *r;
    size_t n;
    ck_assert_int_eq(batch(STR_LIT(REQUEST("a") "\n"
                                                "{\"type\":\"request\",\"request_id\":\"\"}\n"
                                                "rubbish\n" RESPONSE("b") "\n{}\n"),
                           &r, &n),
                     0);
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(r[0].index, 0);
    ck_assert_uint_eq(r[1].index, 3);
    assert_str(r[1].key, "b");
    ck_assert_uint_eq(report.rejected, 3);
    json_t *root = rendered();
    json_t *errors = json_object_get(root, "errors");
    ck_assert_uint_eq(json_array_size(errors), 3);
    static const int indexes[] = {1, 2, 4};
    static const char *const fields[] = {"request_id", "", "type"};
    for (size_t i = 0; i < 3; i++) {
        json_t *item = json_array_get(errors, i);
        ck_assert_int_eq(json_integer_value(json_object_get(item, "index")), indexes[i]);
        ck_assert_str_eq(json_string_value(json_object_get(item, "field")), fields[i]);
        ck_assert_str_ne(json_string_value(json_object_get(item, "detail")), "");
    }
    json_decref(root);
}
END_TEST

START_TEST(a_broken_array_keeps_what_came_before)
{
    const struct ingest_record *r;
    size_t n;
    ck_assert_int_eq(
        batch(STR_LIT("[" REQUEST("a") "," RESPONSE("b") " " RESPONSE("c") "]"), &r, &n), 0);
    ck_assert_uint_ge(n, 1);
    ck_assert_uint_eq(n + report.rejected, n + 1);
    assert_str(r[0].key, "a");
    json_t *root = rendered();
    json_t *item = json_array_get(json_object_get(root, "errors"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(item, "index")), (int)n);
    json_decref(root);
}
END_TEST

// Keys lie in a buffer that moves while it grows; a key that was placed too early would dangle.
START_TEST(keys_hold_in_a_large_batch)
{
    struct buf body = {0};
    const struct ingest_record *r;
    size_t n;
    for (size_t i = 0; i < limits.max_batch_events; i++)
        buf_addf(&body, "{\"type\":\"response\",\"request_id\":\"id-%0*zu\"," NOW "}\n",
                 (int)(1 + i % 200), i);
    ck_assert_int_eq(batch((struct str){body.p, body.n}, &r, &n), 0);
    ck_assert_uint_eq(n, limits.max_batch_events);
    for (size_t i = 0; i < n; i++) {
        char want[256];
        snprintf(want, sizeof(want), "id-%0*zu", (int)(1 + i % 200), i);
        assert_str(r[i].key, want);
    }
    buf_free(&body);
}
END_TEST

START_TEST(a_batch_has_a_largest_count)
{
    struct buf body = {0};
    const struct ingest_record *r;
    size_t n;
    for (size_t i = 0; i <= limits.max_batch_events; i++)
        buf_adds(&body, "{}\n"); // bad ones count as well
    ck_assert_int_eq(batch((struct str){body.p, body.n}, &r, &n), -1);
    ck_assert_uint_eq(n, 0);
    ck_assert_ptr_nonnull(strstr(e.detail, "300"));
    buf_free(&body);
}
END_TEST

START_TEST(the_list_of_errors_ends_but_the_count_does_not)
{
    struct buf body = {0};
    const struct ingest_record *r;
    size_t n;
    for (size_t i = 0; i < 250; i++)
        buf_adds(&body, "{}\n");
    ck_assert_int_eq(batch((struct str){body.p, body.n}, &r, &n), 0);
    ck_assert_uint_eq(report.rejected, 250);
    json_t *root = rendered();
    ck_assert_int_eq(json_integer_value(json_object_get(root, "rejected")), 250);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "errors")), INGEST_ERRORS_LISTED);
    json_decref(root);
    buf_free(&body);
}
END_TEST

START_TEST(a_batch_of_nothing_has_no_records)
{
    static const char *const bodies[] = {"", "\n \n", "[]"};
    const struct ingest_record *r;
    size_t n;
    ck_assert_int_eq(batch(str_of(bodies[_i]), &r, &n), 0);
    ck_assert_uint_eq(n, 0);
    ck_assert_uint_eq(report.rejected, 0);
}
END_TEST

START_TEST(one_batch_leaves_nothing_to_the_next)
{
    const struct ingest_record *r;
    size_t n;
    ck_assert_int_eq(batch(STR_LIT(RESPONSE("a") "\n" RESPONSE("b")), &r, &n), 0);
    ck_assert_int_eq(batch(STR_LIT(RESPONSE("c")), &r, &n), 0);
    ck_assert_uint_eq(n, 1);
    assert_str(r[0].key, "c");
}
END_TEST

// Whatever bytes come, the answer is JSON: an error may quote what it found.
START_TEST(errors_of_rubbish_are_json)
{
    uint64_t state = 42;
    char body[256];
    for (int round = 0; round < 2000; round++) {
        const struct ingest_record *r;
        size_t n, length = 0;
        while (length < 120) {
            state = state * UINT64_C(6364136223846793005) + 1;
            unsigned pick = (unsigned)(state >> 33) % 40;
            body[length++] = pick < 12 ? "{}[]\":,\\ua1\n"[pick] : (char)(state >> 40);
        }
        ingest_report_free(&report);
        report = (struct ingest_report){0};
        ck_assert_int_eq(batch((struct str){body, length}, &r, &n), 0);
        ck_assert_uint_gt(report.rejected, 0);
        json_decref(rendered());
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ingest");
    TCase *tc = tcase_create("ingest");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_event_keeps_its_bytes);
    tcase_add_test(tc, a_key_is_the_decoded_id);
    tcase_add_loop_test(tc, a_bad_request_names_the_field, 0, ARRAY_LEN(bad_requests));
    tcase_add_loop_test(tc, an_event_is_its_senders, 0, ARRAY_LEN(tenants));
    tcase_add_loop_test(tc, so_is_an_item_of_a_batch, 0, ARRAY_LEN(tenants));
    tcase_add_test(tc, a_request_is_of_the_last_seven_days_or_the_next_hour);
    tcase_add_test(tc, a_response_may_be_of_any_time);
    tcase_add_test(tc, an_event_has_a_largest_size);
    tcase_add_loop_test(tc, a_batch_is_cut_into_records, 0, 2);
    tcase_add_test(tc, good_items_survive_bad_ones);
    tcase_add_test(tc, a_broken_array_keeps_what_came_before);
    tcase_add_test(tc, keys_hold_in_a_large_batch);
    tcase_add_test(tc, a_batch_has_a_largest_count);
    tcase_add_test(tc, the_list_of_errors_ends_but_the_count_does_not);
    tcase_add_loop_test(tc, a_batch_of_nothing_has_no_records, 0, 3);
    tcase_add_test(tc, one_batch_leaves_nothing_to_the_next);
    tcase_add_test(tc, errors_of_rubbish_are_json);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
