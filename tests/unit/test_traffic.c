// SPDX-License-Identifier: Apache-2.0
// The made-up traffic of tests/bench: what its header says of it.
#include "tests/bench/traffic.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/core/timeunit.h"

#define PAIRS 6000
#define START_US INT64_C(1795241640000000)

static struct traffic_settings settings(void)
{
    struct traffic_settings s = TRAFFIC_DEFAULTS;
    s.pairs = PAIRS;
    s.start_us = START_US;
    s.pairs_per_s = 10000;
    return s;
}

struct seen {
    size_t count[2], bytes[2];
    int64_t last_us;
    char *keys; // 36 bytes each
    size_t key_count;
};

static struct seen all_of(const struct traffic_settings *s)
{
    struct traffic *t = traffic_new(s);
    struct event_parser *parser = event_parser_new();
    struct traffic_event e;
    struct seen seen = {.keys = xcalloc(s->pairs * 4, 36)};
    while (traffic_next(t, &e)) {
        struct event read;
        struct err err;
        ck_assert_int_eq(event_parse(parser, e.kind, e.value, &read, &err), 0);
        ck_assert(str_eq(read.request_id, e.key));
        ck_assert_uint_eq(e.key.n, 36);
        ck_assert_int_ge(e.due_us, seen.last_us);
        // An event is sent when it happens or later: disorder, and a repetition within 5 s.
        ck_assert_int_ge(e.due_us, read.timestamp_us);
        ck_assert_int_le(e.due_us, read.timestamp_us + (int64_t)s->disorder_ms * US_PER_MS +
                                       (s->duplicate_permille ? 5 * US_PER_S : 0) + US_PER_MS);
        ck_assert_int_le(read.timestamp_us,
                         START_US + PAIRS * US_PER_S / 10000 + TRAFFIC_ANSWER_MS * US_PER_MS);
        seen.last_us = e.due_us;
        seen.count[e.kind]++;
        seen.bytes[e.kind] += e.value.n;
        if (e.kind == EVENT_REQUEST)
            ck_assert(e.value.n >= 170 && e.value.n <= 500);
        else
            ck_assert(e.value.n >= 130 && e.value.n <= 260);
        memcpy(seen.keys + 36 * seen.key_count++, e.key.p, 36);
    }
    event_parser_free(parser);
    traffic_free(t);
    return seen;
}

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, 36);
}

// How many different ones.
static size_t distinct(struct seen *s)
{
    size_t n = s->key_count > 0;
    qsort(s->keys, s->key_count, 36, by_key);
    for (size_t i = 1; i < s->key_count; i++)
        n += memcmp(s->keys + 36 * i, s->keys + 36 * (i - 1), 36) != 0;
    return n;
}

START_TEST(half_are_answers_and_one_percent_comes_twice)
{
    struct traffic_settings s = settings();
    struct seen seen = all_of(&s);
    for (int kind = 0; kind < 2; kind++)
        ck_assert(seen.count[kind] > PAIRS * 1005 / 1000 && seen.count[kind] < PAIRS * 1015 / 1000);
    ck_assert_uint_eq(distinct(&seen), PAIRS);
    ck_assert(seen.bytes[0] / seen.count[0] > 300 && seen.bytes[0] / seen.count[0] < 400);
    ck_assert(seen.bytes[1] / seen.count[1] > 170 && seen.bytes[1] / seen.count[1] < 220);
    free(seen.keys);
}
END_TEST

START_TEST(each_pair_once_without_repetitions)
{
    struct traffic_settings s = settings();
    s.duplicate_permille = 0;
    struct seen seen = all_of(&s);
    ck_assert_uint_eq(seen.count[0], PAIRS);
    ck_assert_uint_eq(seen.count[1], PAIRS);
    free(seen.keys);
    s.answers = false;
    seen = all_of(&s);
    ck_assert_uint_eq(seen.count[0], PAIRS);
    ck_assert_uint_eq(seen.count[1], 0);
    free(seen.keys);
}
END_TEST

static bool same(const struct traffic_settings *a, const struct traffic_settings *b)
{
    struct seen x = all_of(a), y = all_of(b);
    bool is = x.key_count == y.key_count && memcmp(x.keys, y.keys, 36 * x.key_count) == 0;
    free(x.keys);
    free(y.keys);
    return is;
}

START_TEST(a_seed_is_a_traffic)
{
    struct traffic_settings s = settings(), other = s;
    ck_assert(same(&s, &s));
    other.seed = 2;
    ck_assert(!same(&s, &other));
    other = s;
    other.disorder_ms = 0;
    ck_assert(!same(&s, &other)); // it changes the order
}
END_TEST

// Every series is there, and no other: a tenant's are as many as TRAFFIC_PER_TENANT.
START_TEST(as_many_series_as_told)
{
    for (unsigned series = 1; series <= 401; series += 200) {
        struct traffic_settings s = settings();
        struct event_parser *parser = event_parser_new();
        struct traffic_event e;
        struct buf found = {0}; // "\n" and tenant, route and model, each once
        size_t n = 0;
        s.series = series;
        s.answers = false;
        struct traffic *t = traffic_new(&s);
        while (traffic_next(t, &e)) {
            struct event read;
            struct err err;
            struct buf name = {0};
            ck_assert_int_eq(event_parse(parser, e.kind, e.value, &read, &err), 0);
            buf_addf(&name, "\n%.*s|%.*s|%.*s\n", (int)read.tenant_id.n, read.tenant_id.p,
                     (int)read.route.n, read.route.p, (int)read.model.n, read.model.p);
            if (!found.n || !memmem(found.p, found.n, name.p, name.n)) {
                buf_add(&found, name.p, name.n);
                n++;
            }
            buf_free(&name);
        }
        ck_assert_uint_eq(n, series);
        traffic_free(t);
        event_parser_free(parser);
        buf_free(&found);
    }
}
END_TEST

START_TEST(options_have_bounds)
{
    struct traffic_settings s = settings();
    ck_assert(traffic_option(&s, 'S', "200") && s.series == 200);
    ck_assert(traffic_option(&s, 'D', "2.5") && s.duplicate_permille == 25);
    ck_assert(traffic_option(&s, 'O', "0") && s.disorder_ms == 0);
    ck_assert(traffic_option(&s, 'E', "7") && s.seed == 7);
    ck_assert(traffic_option(&s, 'N', NULL) && !s.answers);
    ck_assert(!traffic_option(&s, 'S', "0") && !traffic_option(&s, 'S', "10000001"));
    ck_assert(!traffic_option(&s, 'D', "-1") && !traffic_option(&s, 'D', "100.1"));
    ck_assert(!traffic_option(&s, 'O', "60001") && !traffic_option(&s, 'O', "1s"));
    ck_assert(!traffic_option(&s, 'E', "") && !traffic_option(&s, '?', NULL));
    ck_assert_uint_eq(s.series, 200); // what is refused changes nothing
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("traffic");
    tcase_add_test(tc, half_are_answers_and_one_percent_comes_twice);
    tcase_add_test(tc, each_pair_once_without_repetitions);
    tcase_add_test(tc, a_seed_is_a_traffic);
    tcase_add_test(tc, as_many_series_as_told);
    tcase_add_test(tc, options_have_bounds);
    Suite *suite = suite_create("traffic");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
