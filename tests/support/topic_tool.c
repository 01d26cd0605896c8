// SPDX-License-Identifier: Apache-2.0
// Makes topics of any kind, also wrong ones, which streamlens-admin would not.
//
//   topic_tool BROKERS create TOPIC PARTITIONS [property=value]…
//   topic_tool BROKERS grow TOPIC PARTITIONS
//   topic_tool BROKERS set TOPIC property=value…       (what is not named returns to its default)
//   topic_tool BROKERS show TOPIC                      (prints property=value, a line each)
//   topic_tool BROKERS delete TOPIC
//   topic_tool BROKERS delete-records TOPIC PARTITION OFFSET     (what lies before the offset)
//
// Exit 0 once the broker has done it and, of a number of partitions and of properties, also says
// so.
#include "common/core/base.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <unistd.h>

#define TIMEOUT_MS 20000

static void die(const char *what, const char *why)
{
    fprintf(stderr, "topic_tool: %s: %s\n", what, why);
    exit(1);
}

static void split(char *pair, char **value)
{
    char *equals = strchr(pair, '=');
    if (!equals)
        die(pair, "property=value is wanted");
    *equals = '\0';
    *value = equals + 1;
}

static void create(rd_kafka_t *rk, rd_kafka_queue_t *q, char **args, int n)
{
    char why[256], *value;
    rd_kafka_NewTopic_t *t =
        rd_kafka_NewTopic_new(args[0], (int)strtol(args[1], NULL, 10), -1, why, sizeof(why));
    if (!t)
        die(args[0], why);
    for (int i = 2; i < n; i++) {
        split(args[i], &value);
        rd_kafka_NewTopic_set_config(t, args[i], value);
    }
    rd_kafka_CreateTopics(rk, &t, 1, NULL, q);
    rd_kafka_NewTopic_destroy(t);
}

static void grow(rd_kafka_t *rk, rd_kafka_queue_t *q, char **args)
{
    char why[256];
    rd_kafka_NewPartitions_t *p =
        rd_kafka_NewPartitions_new(args[0], (size_t)strtol(args[1], NULL, 10), why, sizeof(why));
    if (!p)
        die(args[0], why);
    rd_kafka_CreatePartitions(rk, &p, 1, NULL, q);
    rd_kafka_NewPartitions_destroy(p);
}

static void set(rd_kafka_t *rk, rd_kafka_queue_t *q, char **args, int n)
{
    char *value;
    rd_kafka_ConfigResource_t *r = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, args[0]);
    for (int i = 1; i < n; i++) {
        split(args[i], &value);
        rd_kafka_ConfigResource_set_config(r, args[i], value);
    }
    rd_kafka_AlterConfigs(rk, &r, 1, NULL, q);
    rd_kafka_ConfigResource_destroy(r);
}

static void show(rd_kafka_t *rk, rd_kafka_queue_t *q, char **args)
{
    rd_kafka_ConfigResource_t *r = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, args[0]);
    rd_kafka_DescribeConfigs(rk, &r, 1, NULL, q);
    rd_kafka_ConfigResource_destroy(r);
}

static void print_configs(const rd_kafka_DescribeConfigs_result_t *result)
{
    size_t n;
    const rd_kafka_ConfigResource_t **found = rd_kafka_DescribeConfigs_result_resources(result, &n);
    if (n != 1 || rd_kafka_ConfigResource_error(found[0]))
        die("broker", n == 1 ? rd_kafka_ConfigResource_error_string(found[0]) : "no result");
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(found[0], &n);
    for (size_t i = 0; i < n; i++)
        printf("%s=%s\n", rd_kafka_ConfigEntry_name(entries[i]),
               rd_kafka_ConfigEntry_value(entries[i]) ? rd_kafka_ConfigEntry_value(entries[i])
                                                      : "");
}

static void delete (rd_kafka_t *rk, rd_kafka_queue_t *q, char **args)
{
    rd_kafka_DeleteTopic_t *t = rd_kafka_DeleteTopic_new(args[0]);
    rd_kafka_DeleteTopics(rk, &t, 1, NULL, q);
    rd_kafka_DeleteTopic_destroy(t);
}

static void delete_records(rd_kafka_t *rk, rd_kafka_queue_t *q, char **args)
{
    rd_kafka_topic_partition_list_t *before = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(before, args[0], (int32_t)strtol(args[1], NULL, 10))->offset =
        strtoll(args[2], NULL, 10);
    rd_kafka_DeleteRecords_t *d = rd_kafka_DeleteRecords_new(before);
    rd_kafka_topic_partition_list_destroy(before);
    rd_kafka_DeleteRecords(rk, &d, 1, NULL, q);
    rd_kafka_DeleteRecords_destroy(d);
}

static void expect_records_deleted(const rd_kafka_DeleteRecords_result_t *result)
{
    const rd_kafka_topic_partition_list_t *done = rd_kafka_DeleteRecords_result_offsets(result);
    if (done->cnt != 1 || done->elems[0].err)
        die("broker", done->cnt == 1 ? rd_kafka_err2str(done->elems[0].err) : "no result");
}

static const rd_kafka_topic_result_t **topic_results(rd_kafka_event_t *ev, size_t *n)
{
    switch (rd_kafka_event_type(ev)) {
    case RD_KAFKA_EVENT_CREATETOPICS_RESULT:
        return rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ev), n);
    case RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT:
        return rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(ev),
                                                       n);
    case RD_KAFKA_EVENT_DELETETOPICS_RESULT:
        return rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(ev), n);
    default:
        return NULL;
    }
}

static void expect_success(rd_kafka_event_t *ev)
{
    size_t n;
    if (!ev)
        die("broker", "no answer");
    if (rd_kafka_event_error(ev))
        die("broker", rd_kafka_event_error_string(ev));
    if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_DELETERECORDS_RESULT) {
        expect_records_deleted(rd_kafka_event_DeleteRecords_result(ev));
        return;
    }
    if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT) {
        print_configs(rd_kafka_event_DescribeConfigs_result(ev));
        return;
    }
    const rd_kafka_topic_result_t **topics = topic_results(ev, &n);
    if (topics) {
        if (n != 1 || rd_kafka_topic_result_error(topics[0]))
            die("broker", n == 1 ? rd_kafka_topic_result_error_string(topics[0]) : "no result");
        return;
    }
    const rd_kafka_ConfigResource_t **configs =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(ev), &n);
    if (n != 1 || rd_kafka_ConfigResource_error(configs[0]))
        die("broker", n == 1 ? rd_kafka_ConfigResource_error_string(configs[0]) : "no result");
}

static bool has_config(const rd_kafka_ConfigResource_t *r, const char *name, const char *value)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(r, &n);
    for (size_t i = 0; i < n; i++) {
        const char *found = rd_kafka_ConfigEntry_value(entries[i]);
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
            return found && strcmp(found, value) == 0;
    }
    return false;
}

// Names and values as set() has split them.
static bool shows_configs(rd_kafka_t *rk, rd_kafka_queue_t *q, char **args, int n)
{
    size_t count;
    show(rk, q, args);
    rd_kafka_event_t *ev = rd_kafka_queue_poll(q, TIMEOUT_MS);
    if (!ev || rd_kafka_event_error(ev))
        die("broker", ev ? rd_kafka_event_error_string(ev) : "no answer");
    const rd_kafka_ConfigResource_t **found = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(ev), &count);
    bool all = count == 1;
    for (int i = 1; all && i < n; i++)
        all = has_config(found[0], args[i], args[i] + strlen(args[i]) + 1);
    rd_kafka_event_destroy(ev);
    return all;
}

static void wait_configs(rd_kafka_t *rk, rd_kafka_queue_t *q, char **args, int n)
{
    for (int i = 0; i < TIMEOUT_MS / 20; i++) {
        if (shows_configs(rk, q, args, n))
            return;
        usleep(20000);
    }
    die(args[0], "the new properties do not show");
}

// The broker's answer to a change comes before its metadata tells of it.
static void wait_partitions(rd_kafka_t *rk, const char *topic, int wanted)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    for (int i = 0; i < TIMEOUT_MS / 20; i++) {
        if (rd_kafka_metadata(rk, 0, t, &md, TIMEOUT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            bool there = md->topic_cnt == 1 && md->topics[0].partition_cnt == wanted;
            rd_kafka_metadata_destroy(md);
            if (there) {
                rd_kafka_topic_destroy(t);
                return;
            }
        }
        usleep(20000);
    }
    die(topic, "the new partitions do not show");
}

int main(int argc, char **argv)
{
    char why[256];
    if (argc < 4)
        die("usage", "BROKERS create|grow|set|show|delete|delete-records TOPIC …");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], why, sizeof(why)))
        die(argv[1], why);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!rk)
        die("client", why);
    rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
    if (strcmp(argv[2], "create") == 0 && argc >= 5)
        create(rk, q, argv + 3, argc - 3);
    else if (strcmp(argv[2], "grow") == 0 && argc == 5)
        grow(rk, q, argv + 3);
    else if (strcmp(argv[2], "set") == 0)
        set(rk, q, argv + 3, argc - 3);
    else if (strcmp(argv[2], "show") == 0)
        show(rk, q, argv + 3);
    else if (strcmp(argv[2], "delete") == 0)
        delete (rk, q, argv + 3);
    else if (strcmp(argv[2], "delete-records") == 0 && argc == 6)
        delete_records(rk, q, argv + 3);
    else
        die("usage", argv[2]);
    rd_kafka_event_t *ev = rd_kafka_queue_poll(q, TIMEOUT_MS);
    expect_success(ev);
    rd_kafka_event_destroy(ev);
    if (strcmp(argv[2], "create") == 0 || strcmp(argv[2], "grow") == 0)
        wait_partitions(rk, argv[3], (int)strtol(argv[4], NULL, 10));
    else if (strcmp(argv[2], "set") == 0)
        wait_configs(rk, q, argv + 3, argc - 3);
    rd_kafka_queue_destroy(q);
    rd_kafka_destroy(rk);
    return 0;
}
