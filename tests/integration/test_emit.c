// SPDX-License-Identifier: Apache-2.0
// The processor's producer where no broker answers: a letter that was given up must be heard of;
// and on librdkafka's mock broker: what of a letter arrives.
#include <check.h>
#include <librdkafka/rdkafka.h>
// after rdkafka.h, or it does not compile
#include <librdkafka/rdkafka_mock.h>
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

// ---- what arrives ----

// An emit on a mock broker of its own, and a reader of that broker's dead letters.
struct mocked {
    struct config config;
    struct emit *emit;
    rd_kafka_t *reader;
};

#define MOCK_PARTITIONS 4 // of a topic that makes itself

static void mocked_open(struct mocked *m)
{
    static char name[] = "test.mock.num.brokers", one[] = "1", nowhere[] = "127.0.0.1:1",
                none[] = "";
    m->config = (struct config){.program = PROGRAM_PROCESSOR,
                                .kafka_brokers = nowhere,
                                .topic_prefix = none,
                                .kafka_props = {{name, one}},
                                .kafka_prop_count = 1};
    struct err e = {0};
    m->emit = emit_kafka_new(&m->config, &e);
    ck_assert_msg(m->emit != NULL, "%s", e.detail);
    char why[256];
    rd_kafka_mock_cluster_t *mock = rd_kafka_handle_mock_cluster(emit_kafka_handle(m->emit));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    ck_assert_int_eq(rd_kafka_conf_set(conf, "bootstrap.servers",
                                       rd_kafka_mock_cluster_bootstraps(mock), why, sizeof(why)),
                     RD_KAFKA_CONF_OK);
    ck_assert_int_eq(rd_kafka_conf_set(conf, "group.id", "reader", why, sizeof(why)),
                     RD_KAFKA_CONF_OK);
    m->reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    ck_assert_msg(m->reader != NULL, "%s", why);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(MOCK_PARTITIONS);
    for (int p = 0; p < MOCK_PARTITIONS; p++)
        rd_kafka_topic_partition_list_add(all, TOPIC_DEAD_LETTER, p)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    ck_assert_int_eq(rd_kafka_assign(m->reader, all), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(all);
}

static void mocked_close(struct mocked *m)
{
    rd_kafka_consumer_close(m->reader);
    rd_kafka_destroy(m->reader);
    emit_free(m->emit);
}

// Hands the letter in and gives back the record that it became.
static rd_kafka_message_t *deliver(struct mocked *m, const struct dead_letter *d)
{
    struct err e = {0};
    int64_t deadline_us = clock_mono_us() + 60 * 1000000;
    ck_assert_msg(emit_dead_letter(m->emit, d, &e) == 0, "%s", e.detail);
    int rc;
    while ((rc = emit_wait(m->emit, 1000, &e)) == 1)
        ck_assert_int_lt(clock_mono_us(), deadline_us);
    ck_assert_msg(rc == 0, "%s", e.detail);
    for (;;) {
        rd_kafka_message_t *got = rd_kafka_consumer_poll(m->reader, 1000);
        if (got && !got->err)
            return got;
        if (got)
            rd_kafka_message_destroy(got);
        ck_assert_int_lt(clock_mono_us(), deadline_us);
    }
}

static struct str header_of(const rd_kafka_message_t *m, const char *name)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t n;
    ck_assert_int_eq(rd_kafka_message_headers(m, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
    if (rd_kafka_header_get_last(headers, name, &value, &n))
        return (struct str){0};
    return (struct str){value, n};
}

#define expect_header(m, name, want) ck_assert(str_eq(header_of(m, name), str_of(want)))

START_TEST(a_letter_says_where_it_came_from_and_from_whom)
{
    struct mocked m;
    mocked_open(&m);
    char detail[] = "no request", key[] = "id-1", value[] = "{}", tenant[] = "acme";
    rd_kafka_message_t *got = deliver(&m, &(struct dead_letter){.topic = EVENT_RESPONSE,
                                                                .partition = 3,
                                                                .offset = INT64_MAX,
                                                                .reason = "unmatched",
                                                                .detail = detail,
                                                                .key = key,
                                                                .key_n = 4,
                                                                .value = value,
                                                                .value_n = 2,
                                                                .tenant = tenant,
                                                                .tenant_n = 4});
    ck_assert(str_eq((struct str){got->key, got->key_len},
                     STR_LIT("llm.responses/3/9223372036854775807")));
    ck_assert(str_eq((struct str){got->payload, got->len}, STR_LIT("{}")));
    expect_header(got, "reason", "unmatched");
    expect_header(got, "detail", "no request");
    expect_header(got, "topic", "llm.responses");
    expect_header(got, "partition", "3");
    expect_header(got, "offset", "9223372036854775807");
    expect_header(got, "key", "id-1");
    expect_header(got, "tenant", "acme");
    expect_header(got, "truncated-from-bytes", NULL);
    expect_header(got, "key-truncated-from-bytes", NULL);
    rd_kafka_message_destroy(got);
    got = deliver(&m, &(struct dead_letter){.reason = "malformed", .value = value, .value_n = 2});
    expect_header(got, "topic", "llm.requests");
    expect_header(got, "detail", NULL);
    expect_header(got, "key", NULL);
    expect_header(got, "tenant", NULL);
    rd_kafka_message_destroy(got);
    mocked_close(&m);
}
END_TEST

static const struct {
    size_t key_n, value_n, key_kept, value_kept;
    const char *key_says, *value_says;
} sizes[] = {
    {1024, 900000, 1024, 900000, NULL, NULL},
    {1025, 900001, 1024, 900000, "1025", "900001"},
    // A record that fits into the input topic, but whose key and value with our headers would not
    // fit into any.
    {600000, 448000, 1024, 448000, "600000", NULL},
    {10, 1048000, 10, 900000, NULL, "1048000"},
};

START_TEST(what_is_too_large_for_a_letter_is_cut_and_a_header_says_so)
{
    struct mocked m;
    mocked_open(&m);
    char *key = xmalloc(sizes[_i].key_n), *value = xmalloc(sizes[_i].value_n), detail[640],
         tenant[EVENT_NAME_MAX];
    memset(key, 'k', sizes[_i].key_n);
    memset(value, 'v', sizes[_i].value_n);
    memset(tenant, 't', sizeof(tenant));
    memset(detail, 'd', sizeof(detail) - 1); // the longest that a task makes
    detail[sizeof(detail) - 1] = '\0';
    rd_kafka_message_t *got = deliver(&m, &(struct dead_letter){.reason = "malformed",
                                                                .detail = detail,
                                                                .key = key,
                                                                .key_n = sizes[_i].key_n,
                                                                .value = value,
                                                                .value_n = sizes[_i].value_n,
                                                                .tenant = tenant,
                                                                .tenant_n = sizeof(tenant)});
    ck_assert(
        str_eq((struct str){got->payload, got->len}, (struct str){value, sizes[_i].value_kept}));
    ck_assert(str_eq(header_of(got, "key"), (struct str){key, sizes[_i].key_kept}));
    expect_header(got, "key-truncated-from-bytes", sizes[_i].key_says);
    expect_header(got, "truncated-from-bytes", sizes[_i].value_says);
    rd_kafka_message_destroy(got);
    free(key);
    free(value);
    mocked_close(&m);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("emit");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_letter_given_up_is_told_by_the_wait_whoever_took_the_report_in);
    tcase_add_test(tc, a_letter_says_where_it_came_from_and_from_whom);
    tcase_add_loop_test(tc, what_is_too_large_for_a_letter_is_cut_and_a_header_says_so, 0,
                        ARRAY_LEN(sizes));
    Suite *suite = suite_create("emit");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
