// SPDX-License-Identifier: Apache-2.0
// common/io/kafka.h against a real broker: what it says of topics, and in which words it refuses.
#include "common/io/kafka.h"

#include "common/io/clock.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define TIMEOUT_MS 20000

static char prefix[64];
static struct config config;
static rd_kafka_t *producer;
static struct err error;

static void set_up(void)
{
    snprintf(prefix, sizeof(prefix), "kafka-%d-%" PRId64 ".", (int)getpid(), clock_wall_us());
    config = (struct config){.program = PROGRAM_ADMIN,
                             .kafka_brokers = getenv("SL_KAFKA_BROKERS"),
                             .topic_prefix = prefix};
    rd_kafka_conf_t *conf = kafka_conf_new(&config, "test", NULL, &error);
    ck_assert_ptr_nonnull(conf);
    char detail[256];
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, detail, sizeof(detail));
    ck_assert_ptr_nonnull(producer);
}

static void tear_down(void)
{
    rd_kafka_destroy(producer);
}

// The broker learns what its controller has done a little later.
static void wait_until_known(const char *topic)
{
    int64_t deadline_us = clock_mono_us() + TIMEOUT_MS * INT64_C(1000);
    struct kafka_topic_info info;
    do {
        ck_assert_int_eq(kafka_topic_info(producer, topic, TIMEOUT_MS, &info, &error), 0);
        ck_assert_int_lt(clock_mono_us(), deadline_us);
    } while (info.partitions == 0);
}

static void create(const char *name, int partitions, const char *timestamp_type)
{
    char *topic = config_topic(&config, name);
    char detail[256];
    rd_kafka_NewTopic_t *wanted =
        rd_kafka_NewTopic_new(topic, partitions, 1, detail, sizeof(detail));
    ck_assert_ptr_nonnull(wanted);
    rd_kafka_NewTopic_set_config(wanted, "message.timestamp.type", timestamp_type);
    rd_kafka_NewTopic_set_config(wanted, "retention.ms", "123456789");
    rd_kafka_queue_t *queue = rd_kafka_queue_new(producer);
    rd_kafka_CreateTopics(producer, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
    ck_assert_ptr_nonnull(event);
    size_t n = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(rd_kafka_topic_result_error(results[0]), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(wanted);
    wait_until_known(topic);
    free(topic);
}

static void drop_inputs(void)
{
    char *names[] = {config_topic(&config, TOPIC_REQUESTS), config_topic(&config, TOPIC_RESPONSES)};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(names[i]);
        rd_kafka_queue_t *queue = rd_kafka_queue_new(producer);
        rd_kafka_DeleteTopics(producer, &topic, 1, NULL, queue);
        rd_kafka_event_destroy(rd_kafka_queue_poll(queue, TIMEOUT_MS));
        rd_kafka_queue_destroy(queue);
        rd_kafka_DeleteTopic_destroy(topic);
        free(names[i]);
    }
}

static void refuse_inputs(int64_t partitions, const char *const *texts)
{
    ck_assert_int_eq(kafka_check_inputs(producer, &config, partitions, TIMEOUT_MS, &error), -1);
    for (; *texts; texts++)
        ck_assert_msg(strstr(error.detail, *texts), "no \"%s\" in \"%s\"", *texts, error.detail);
    ck_assert_uint_lt(strlen(error.detail), sizeof(error.detail) - 1); // nothing was cut off
}
#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(a_missing_topic_is_told_and_not_created)
{
    char *topic = config_topic(&config, TOPIC_REQUESTS);
    struct kafka_topic_info info;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kafka_topic_info(producer, topic, TIMEOUT_MS, &info, &error), 0);
        ck_assert_int_eq(info.partitions, 0);
    }
    refuse_inputs(3, TEXTS(topic, "does not exist", "streamlens-admin setup"));
    free(topic);
}
END_TEST

START_TEST(a_topic_is_told_as_it_is)
{
    create(TOPIC_REQUESTS, 3, "LogAppendTime");
    create(TOPIC_RESPONSES, 5, "CreateTime");
    struct kafka_topic_info info;
    char *requests = config_topic(&config, TOPIC_REQUESTS);
    char *responses = config_topic(&config, TOPIC_RESPONSES);
    ck_assert_int_eq(kafka_topic_info(producer, requests, TIMEOUT_MS, &info, &error), 0);
    ck_assert_int_eq(info.partitions, 3);
    ck_assert(info.log_append_time);
    ck_assert_int_eq(info.retention_ms, 123456789);
    ck_assert_str_eq(info.cleanup_policy, "delete");
    ck_assert_int_eq(kafka_topic_info(producer, responses, TIMEOUT_MS, &info, &error), 0);
    ck_assert_int_eq(info.partitions, 5);
    ck_assert(!info.log_append_time);
    free(requests);
    free(responses);
    drop_inputs();
}
END_TEST

START_TEST(good_inputs_pass)
{
    create(TOPIC_REQUESTS, 3, "LogAppendTime");
    create(TOPIC_RESPONSES, 3, "LogAppendTime");
    int rc = kafka_check_inputs(producer, &config, 3, TIMEOUT_MS, &error);
    ck_assert_msg(rc == 0, "%s", error.detail);
    refuse_inputs(12, TEXTS("llm.requests has 3 partitions, wanted are 12", "PARTITIONS=3",
                            "streamlens-admin setup"));
    drop_inputs();
}
END_TEST

START_TEST(unequal_inputs_are_refused_by_both_numbers)
{
    create(TOPIC_REQUESTS, 3, "LogAppendTime");
    create(TOPIC_RESPONSES, 4, "LogAppendTime");
    refuse_inputs(3, TEXTS("llm.responses has 4 partitions, wanted are 3"));
    drop_inputs();
}
END_TEST

START_TEST(create_time_is_refused_with_the_command_that_mends_it)
{
    create(TOPIC_REQUESTS, 1, "LogAppendTime");
    create(TOPIC_RESPONSES, 1, "CreateTime");
    refuse_inputs(1, TEXTS("llm.responses", "kafka-configs --bootstrap-server",
                           "--add-config message.timestamp.type=LogAppendTime", "rpk topic"));
    drop_inputs();
}
END_TEST

START_TEST(an_unreachable_broker_is_an_error_in_time)
{
    struct config away = config;
    away.kafka_brokers = xstrdup("127.0.0.1:1");
    rd_kafka_conf_t *conf = kafka_conf_new(&away, "test", NULL, &error);
    char detail[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, detail, sizeof(detail));
    struct kafka_topic_info info;
    int64_t begin_us = clock_mono_us();
    ck_assert_int_eq(kafka_topic_info(rk, "t", 1000, &info, &error), -1);
    ck_assert_int_lt(clock_mono_us() - begin_us, 30000000);
    ck_assert_ptr_nonnull(strstr(error.detail, "topic t"));
    rd_kafka_destroy(rk);
    free(away.kafka_brokers);
}
END_TEST

// ---- what the processor's source takes for granted

static rd_kafka_t *client(rd_kafka_type_t type, const char *const props[])
{
    char detail[256];
    rd_kafka_conf_t *conf = kafka_conf_new(&config, "test", props, &error);
    ck_assert_ptr_nonnull(conf);
    rd_kafka_t *rk = rd_kafka_new(type, conf, detail, sizeof(detail));
    ck_assert_msg(rk != NULL, "%s", detail);
    return rk;
}

static void commit_one_record(const char *topic)
{
    const char *props[] = {"transactional.id", prefix, NULL};
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, props);
    ck_assert_ptr_null(rd_kafka_init_transactions(rk, TIMEOUT_MS));
    ck_assert_ptr_null(rd_kafka_begin_transaction(rk));
    ck_assert_int_eq(
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_END), 0);
    ck_assert_ptr_null(rd_kafka_commit_transaction(rk, TIMEOUT_MS));
    rd_kafka_destroy(rk);
}

// A replay's P may lie behind the last record, which only the end's own offset can tell.
START_TEST(the_end_that_is_told_lies_behind_a_transactions_marker)
{
    create(TOPIC_REQUESTS, 1, "LogAppendTime");
    char *topic = config_topic(&config, TOPIC_REQUESTS);
    commit_one_record(topic);
    const char *props[] = {"group.id", prefix, "enable.partition.eof", "true", NULL};
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, props);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(all, topic, 0)->offset = 0;
    ck_assert_int_eq(rd_kafka_assign(rk, all), 0);
    const struct {
        rd_kafka_resp_err_t err;
        int64_t offset;
    } wanted[] = {{RD_KAFKA_RESP_ERR_NO_ERROR, 0}, {RD_KAFKA_RESP_ERR__PARTITION_EOF, 2}};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, TIMEOUT_MS);
        ck_assert_ptr_nonnull(m);
        // A commit may be answered before its marker is written: there is an end before it.
        while (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && m->offset < wanted[1].offset) {
            rd_kafka_message_destroy(m);
            m = rd_kafka_consumer_poll(rk, TIMEOUT_MS);
            ck_assert_ptr_nonnull(m);
        }
        ck_assert_int_eq(m->err, wanted[i].err);
        ck_assert_int_eq(m->offset, wanted[i].offset);
        rd_kafka_message_destroy(m);
    }
    int64_t low, high;
    ck_assert_int_eq(rd_kafka_query_watermark_offsets(rk, topic, 0, &low, &high, TIMEOUT_MS), 0);
    ck_assert_int_eq(high, 2);
    rd_kafka_topic_partition_list_destroy(all);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    free(topic);
    drop_inputs();
}
END_TEST

// ---- configuration
// --------------------------------------------------------------------------------

// NULL where it was refused.
static rd_kafka_conf_t *with_property(const char *name, const char *value)
{
    char own_name[64], own_value[64];
    snprintf(own_name, sizeof(own_name), "%s", name);
    snprintf(own_value, sizeof(own_value), "%s", value);
    struct config c = config;
    c.kafka_props[0] = (struct config_kafka_prop){own_name, own_value};
    c.kafka_prop_count = 1;
    static const char *const props[] = {"acks", "all", "linger.ms", "2", NULL};
    return kafka_conf_new(&c, "test", props, &error);
}

static void expect(rd_kafka_conf_t *conf, const char *name, const char *want)
{
    char value[256] = "";
    size_t n = sizeof(value);
    ck_assert_ptr_nonnull(conf);
    ck_assert_int_eq(rd_kafka_conf_get(conf, name, value, &n), RD_KAFKA_CONF_OK);
    ck_assert_str_eq(value, want);
}

START_TEST(the_operators_properties_come_last)
{
    rd_kafka_conf_t *conf = with_property("linger.ms", "7");
    expect(conf, "linger.ms", "7");
    expect(conf, "client.id", "test");
    expect(conf, "reconnect.backoff.max.ms", "500");
    expect(conf, "allow.auto.create.topics", "false");
    expect(conf, "acks", "-1");
    rd_kafka_conf_destroy(conf);
}
END_TEST

START_TEST(a_property_at_fault_is_named)
{
    ck_assert_ptr_null(with_property("no.such.property", "7"));
    ck_assert_str_eq(error.field, "no.such.property");
    ck_assert_ptr_null(with_property("linger.ms", "soon"));
    ck_assert_ptr_nonnull(strstr(error.detail, "linger.ms"));
}
END_TEST

START_TEST(what_the_counts_rest_on_cannot_be_changed)
{
    ck_assert_ptr_null(with_property("acks", "1"));
    ck_assert_ptr_nonnull(strstr(error.detail, "acks cannot be changed"));
    ck_assert_ptr_null(with_property("request.required.acks", "0"));
    ck_assert_ptr_null(with_property("enable.auto.commit", "false2"));
    ck_assert_ptr_null(with_property("isolation.level", "read_uncommitted"));
    rd_kafka_conf_t *conf = with_property("acks", "all"); // says what holds anyway
    expect(conf, "acks", "-1");
    rd_kafka_conf_destroy(conf);
}
END_TEST

int main(void)
{
    if (!getenv("SL_KAFKA_BROKERS"))
        return 77;
    TCase *tc = tcase_create("kafka");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_missing_topic_is_told_and_not_created);
    tcase_add_test(tc, a_topic_is_told_as_it_is);
    tcase_add_test(tc, good_inputs_pass);
    tcase_add_test(tc, unequal_inputs_are_refused_by_both_numbers);
    tcase_add_test(tc, create_time_is_refused_with_the_command_that_mends_it);
    tcase_add_test(tc, an_unreachable_broker_is_an_error_in_time);
    tcase_add_test(tc, the_end_that_is_told_lies_behind_a_transactions_marker);
    tcase_add_test(tc, the_operators_properties_come_last);
    tcase_add_test(tc, a_property_at_fault_is_named);
    tcase_add_test(tc, what_the_counts_rest_on_cannot_be_changed);
    Suite *suite = suite_create("kafka");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
