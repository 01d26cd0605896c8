// SPDX-License-Identifier: Apache-2.0
// The processor's producer where no broker answers: a letter that was given up must be heard of.
#include <check.h>
#include <stdlib.h>

#include "common/io/clock.h"
#include "processor/emit_kafka.h"

START_TEST(a_letter_given_up_is_told_by_the_wait_whoever_took_the_report_in)
{
    char name[] = "message.timeout.ms", value[] = "200", nowhere[] = "127.0.0.1:1", none[] = "";
    struct config config = {.program = PROGRAM_PROCESSOR,
                            .kafka_brokers = nowhere,
                            .topic_prefix = none,
                            .kafka_props = {{name, value}},
                            .kafka_prop_count = 1};
    char bytes[] = "{";
    struct dead_letter letter = {.reason = "malformed", .value = bytes, .value_n = 1};
    struct err e = {0};
    struct emit *emit = emit_kafka_new(&config, &e);
    ck_assert_msg(emit != NULL, "%s", e.detail);
    ck_assert_int_eq(emit_dead_letter(emit, &letter, &e), 0);
    int64_t deadline_us = clock_mono_us() + 20 * 1000000;
    while (rd_kafka_outq_len(emit_kafka_handle(emit)) > 0 && clock_mono_us() < deadline_us)
        emit_serve(emit);
    ck_assert_int_eq(rd_kafka_outq_len(emit_kafka_handle(emit)), 0);
    ck_assert_int_eq(emit_wait(emit, 0, &e), -1);
    ck_assert_int_eq(emit_wait(emit, 0, &e), 0); // told once; what is handed in next stands alone
    emit_free(emit);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("emit");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_letter_given_up_is_told_by_the_wait_whoever_took_the_report_in);
    Suite *suite = suite_create("emit");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
