// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/unpriced.h"

#include "tests/unit/price_case.h"

#define NOW (1000 * US_PER_HOUR)

static struct catalogue *c;
static struct unpriced found;

static void setup(void)
{
    c = catalogue_new();
    ADD(c, 1, .model = "known", .line = INPUT_OUTPUT(1, 1));
}

static void teardown(void)
{
    unpriced_free(&found);
    catalogue_free(c);
}

// Usage of an hour, where a case names nothing else: as many tokens as requests.
struct case_use {
    const char *tenant, *model, *asked, *tier;
    int64_t above, hour, last_hour, requests, doubtful, row_version;
};

#define MAKE(...)                                                                                  \
    make((const struct case_use[]){__VA_ARGS__},                                                   \
         ARRAY_LEN(((const struct case_use[]){__VA_ARGS__})))
static void make(const struct case_use *cases, size_t count)
{
    struct unpriced_use uses[16] = {0};
    ck_assert_uint_le(count, ARRAY_LEN(uses));
    for (size_t i = 0; i < count; i++) {
        const struct case_use *from = &cases[i];
        uses[i] = (struct unpriced_use){
            .tenant = str_of(from->tenant ? from->tenant : "acme"),
            .key = {.model = str_of(from->model),
                    .asked = str_of(from->asked ? from->asked : ""),
                    .tier = str_of(from->tier ? from->tier : ""),
                    .context_above = from->above},
            .sum = {.requests = from->requests, .completion_tokens = from->requests},
            .at_us = from->hour * US_PER_HOUR,
            .first_us = from->hour * US_PER_HOUR,
            .last_us = (from->last_hour ? from->last_hour : from->hour) * US_PER_HOUR,
            .doubtful = from->doubtful,
            .row_version = from->row_version,
        };
    }
    unpriced_free(&found);
    unpriced_make(uses, count, c, NOW, &found);
}

// "model/asked/tier why requests tokens first-last tenants:some", a line each.
static void assert_is(const struct unpriced_name *v, size_t n, const char *want)
{
    struct buf b = {0};
    for (size_t i = 0; i < n; i++) {
        buf_addf(&b, "%.*s/%.*s/%.*s %s %lld %lld %lld-%lld %zu:", (int)v[i].model.n, v[i].model.p,
                 (int)v[i].asked.n, v[i].asked.p, (int)v[i].tier.n, v[i].tier.n ? v[i].tier.p : "",
                 unpriced_why_name(v[i].why), (long long)v[i].requests, (long long)v[i].tokens,
                 (long long)(v[i].first_us / US_PER_HOUR), (long long)(v[i].last_us / US_PER_HOUR),
                 v[i].tenants);
        for (size_t k = 0; k < v[i].tenants && k < UNPRICED_TENANTS; k++)
            buf_addf(&b, "%s%.*s", k ? "," : "", (int)v[i].tenant[k].n, v[i].tenant[k].p);
        buf_adds(&b, "\n");
    }
    char *got = buf_steal(&b);
    ck_assert_str_eq(got ? got : "", want);
    free(got);
}

START_TEST(uses_of_a_name_are_one)
{
    MAKE({.tenant = "b", .model = "x", .hour = 5, .last_hour = 9, .requests = 1},
         {.tenant = "a", .model = "x", .hour = 7, .requests = 2, .above = 32000},
         {.tenant = "b", .model = "x", .hour = 3, .requests = 4, .tier = "flex"},
         {.tenant = "a", .model = "known", .hour = 3, .requests = 100},
         {.tenant = "a", .model = "X", .hour = 3, .requests = 8});
    assert_is(found.v, found.n, "X// no_card 8 8 3-3 1:a\nx// no_card 7 7 3-9 2:a,b\n");
    ck_assert_int_eq(found.requests, 115);
    ck_assert_int_eq(found.unpriced_requests, 15);
    ck_assert_int_eq(found.unpriced_tokens, 15);
    ck_assert_uint_eq(found.since_n, 0);
}
END_TEST

START_TEST(tenants_are_counted_once)
{
    MAKE({.tenant = "d", .model = "x", .requests = 1}, {.tenant = "b", .model = "x", .requests = 1},
         {.tenant = "a", .model = "x", .requests = 1}, {.tenant = "c", .model = "x", .requests = 1},
         {.tenant = "a", .model = "x", .hour = 4, .requests = 1},
         {.tenant = "d", .model = "x", .hour = 4, .requests = 1});
    assert_is(found.v, found.n, "x// no_card 6 6 0-4 4:a,b,c\n");
}
END_TEST

START_TEST(names_stand_apart_by_what_was_asked_for_and_why)
{
    ADD(c, 1, .model = "other",
        .line = {{.pusd = {1, [PRICE_output] = 1}},
                 {.tier = "batch", .pusd = {1, [PRICE_output] = 1}}});
    MAKE({.model = "x", .requests = 1}, {.model = "x", .asked = "y", .requests = 2},
         {.model = "x", .asked = "known", .requests = 4},
         {.model = "x", .asked = "known", .tier = "flex", .requests = 8},
         {.model = "other", .tier = "flex", .requests = 16},
         {.model = "other", .tier = "batch", .requests = 32},
         {.model = USAGE_OTHER, .requests = 64});
    assert_is(found.v, found.n,
              "__other__// folded 64 64 0-0 1:acme\nother//flex no_tier 16 16 0-0 1:acme\n"
              "x/known/flex no_tier 8 8 0-0 1:acme\nx/y/ no_card 2 2 0-0 1:acme\n"
              "x// no_card 1 1 0-0 1:acme\n");
    ck_assert_str_eq(found.v[1].card->model, "other");
    ck_assert_str_eq(found.v[2].card->model, "known");
    ck_assert_ptr_null(found.v[3].card);
}
END_TEST

START_TEST(equal_ones_stand_in_the_order_of_their_bytes)
{
    MAKE({.model = "b", .requests = 1}, {.model = "a", .asked = "z", .requests = 1},
         {.model = "a", .requests = 1}, {.model = "aa", .requests = 1});
    assert_is(found.v, found.n,
              "a// no_card 1 1 0-0 1:acme\na/z/ no_card 1 1 0-0 1:acme\n"
              "aa// no_card 1 1 0-0 1:acme\nb// no_card 1 1 0-0 1:acme\n");
}
END_TEST

START_TEST(a_guess_is_counted_apart)
{
    ADD(c, 2, .model = "*", .line = INPUT_OUTPUT(1, 1));
    MAKE({.model = "x", .requests = 3}, {.model = "x", .tier = "flex", .requests = 5},
         {.model = "known", .requests = 7});
    assert_is(found.v, found.n, "x// no_card 5 5 0-0 1:acme\nx// guessed 3 3 0-0 1:acme\n");
    ck_assert_int_eq(found.guessed_requests, 3);
    ck_assert_int_eq(found.guessed_tokens, 3);
    ck_assert_int_eq(found.unpriced_requests, 5);
}
END_TEST

START_TEST(a_price_is_asked_for_as_of_the_hour)
{
    ADD(c, 2, .model = "late", .from_us = 10 * US_PER_HOUR, .line = INPUT_OUTPUT(1, 1));
    ADD(c, 2, .model = "future", .from_us = NOW + US_PER_MIN, .line = INPUT_OUTPUT(1, 1));
    ADD(c, 1, .model = "gone", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 3, .model = "gone", .withdrawn = true, .from_us = 10 * US_PER_HOUR);
    MAKE({.model = "late", .hour = 9, .requests = 1}, {.model = "late", .hour = 10, .requests = 2},
         {.model = "future", .hour = 9, .requests = 4}, {.model = "gone", .hour = 9, .requests = 8},
         {.model = "gone", .hour = 10, .requests = 16});
    assert_is(found.v, found.n,
              "gone// no_card 16 16 10-10 1:acme\nfuture// no_card 4 4 9-9 1:acme\n"
              "late// not_yet 1 1 9-9 1:acme\n");
    ck_assert_int_eq(found.v[2].card->effective_from_us, 10 * US_PER_HOUR);
}
END_TEST

START_TEST(rows_that_count_a_price_of_now_as_none_are_told)
{
    ADD(c, 3, .model = "new", .line = INPUT_OUTPUT(1, 1));
    MAKE({.model = "new", .hour = 1, .requests = 10, .doubtful = 10, .row_version = 2},
         {.model = "new", .hour = 2, .requests = 10, .doubtful = 4, .row_version = 2},
         {.model = "new", .hour = 3, .requests = 100, .doubtful = 0, .row_version = 2},
         {.model = "new", .hour = 4, .requests = 100, .doubtful = 100, .row_version = 3},
         {.model = "known", .hour = 1, .requests = 100, .doubtful = 100, .row_version = 2},
         {.model = "x", .hour = 1, .requests = 1, .doubtful = 1, .row_version = 2},
         {.tenant = "b",
          .model = "new",
          .hour = 0,
          .requests = 10,
          .doubtful = 12,
          .row_version = 1});
    assert_is(found.v, found.n, "x// no_card 1 1 1-1 1:acme\n");
    assert_is(found.since, found.since_n, "new// no_card 24 0 0-2 2:acme,b\n");
}
END_TEST

START_TEST(a_guess_of_then_is_told_too)
{
    ADD(c, 2, .model = "*", .line = INPUT_OUTPUT(1, 1));
    ADD(c, 3, .model = "new", .line = INPUT_OUTPUT(1, 1));
    MAKE({.model = "new", .requests = 10, .doubtful = 10, .row_version = 2});
    ck_assert_uint_eq(found.n, 0);
    assert_is(found.since, found.since_n, "new// no_card 10 0 0-0 1:acme\n");
}
END_TEST

START_TEST(sums_stay_at_the_greatest_number)
{
    MAKE({.tenant = "a", .model = "x", .requests = INT64_MAX},
         {.tenant = "b", .model = "x", .requests = INT64_MAX});
    ck_assert_int_eq(found.v[0].requests, INT64_MAX);
    ck_assert_int_eq(found.unpriced_tokens, INT64_MAX);
    ck_assert_int_eq(found.requests, INT64_MAX);
}
END_TEST

START_TEST(nothing_is_nothing)
{
    unpriced_make(NULL, 0, c, NOW, &found);
    ck_assert_uint_eq(found.n, 0);
    ck_assert_uint_eq(found.since_n, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("unpriced");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, uses_of_a_name_are_one);
    tcase_add_test(tc, tenants_are_counted_once);
    tcase_add_test(tc, names_stand_apart_by_what_was_asked_for_and_why);
    tcase_add_test(tc, equal_ones_stand_in_the_order_of_their_bytes);
    tcase_add_test(tc, a_guess_is_counted_apart);
    tcase_add_test(tc, a_price_is_asked_for_as_of_the_hour);
    tcase_add_test(tc, rows_that_count_a_price_of_now_as_none_are_told);
    tcase_add_test(tc, a_guess_of_then_is_told_too);
    tcase_add_test(tc, sums_stay_at_the_greatest_number);
    tcase_add_test(tc, nothing_is_nothing);
    Suite *suite = suite_create("unpriced");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
