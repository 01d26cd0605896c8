// SPDX-License-Identifier: Apache-2.0
#include "processor/facts.h"

#include <check.h>

START_TEST(adds_every_member)
{
    struct facts a = {0}, b = {0};
    int64_t n = 1;
#define FILL(name) b.name = n++;
    FACTS_SUMS(FILL)
#undef FILL
    hist_record(&b.latency, 100);
    hist_record(&b.ttft, 7);
    name_counts_add(&b.error_classes, STR_LIT("timeout"), 1);
    name_counts_add(&b.finish_reasons, STR_LIT("stop"), 1);
    usage_lines_add(&b.usage, &(struct usage_key){.model = STR_LIT("m")},
                    &(struct usage){.requests = 1, .completion_tokens = 9});
    b.reported_cost = MONEY_PER_USD;
    facts_add(&a, &b);
    facts_add(&a, &b);
    n = 1;
#define EQUAL(name) ck_assert_int_eq(a.name, 2 * n++);
    FACTS_SUMS(EQUAL)
#undef EQUAL
    ck_assert_int_eq(a.latency.total, 2);
    ck_assert_int_eq(a.latency.sum_us, 200);
    ck_assert_int_eq(a.ttft.sum_us, 14);
    ck_assert_int_eq(a.error_classes.v[0].count, 2);
    ck_assert_int_eq(a.finish_reasons.v[0].count, 2);
    ck_assert_uint_eq(a.usage.n, 1);
    ck_assert_int_eq(a.usage.v[0].sum.completion_tokens, 18);
    ck_assert(a.reported_cost == 2 * (money)MONEY_PER_USD);
    facts_clear(&a);
    ck_assert_int_eq(a.requests, 0);
    ck_assert_uint_eq(a.usage.n, 0);
    ck_assert(a.reported_cost == 0);
    ck_assert_int_eq(a.latency.total, 0);
    ck_assert_uint_eq(a.error_classes.n, 0);
    facts_add(&a, &b); // usable again
    ck_assert_int_eq(a.latency.total, 1);
    facts_clear(&a);
    facts_clear(&b);
}
END_TEST

START_TEST(sums_saturate)
{
    struct facts a = {0}, b = {0};
#define FILL(name)                                                                                 \
    a.name = INT64_MAX - 1;                                                                        \
    b.name = 2;
    FACTS_SUMS(FILL)
#undef FILL
    a.reported_cost = MONEY_MAX - 1;
    b.reported_cost = 2;
    facts_add(&a, &b);
#define EQUAL(name) ck_assert_int_eq(a.name, INT64_MAX);
    FACTS_SUMS(EQUAL)
#undef EQUAL
    ck_assert(a.reported_cost == MONEY_MAX);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("facts");
    tcase_add_test(tc, adds_every_member);
    tcase_add_test(tc, sums_saturate);
    Suite *suite = suite_create("facts");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
