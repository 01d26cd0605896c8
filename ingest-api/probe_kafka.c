// SPDX-License-Identifier: Apache-2.0
#include "ingest-api/probe_kafka.h"

#include <stdio.h>

#define CHECK_TIMEOUT_MS 2000

void probe_send(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *const topics[2])
{
    rd_kafka_ConfigResource_t *resources[2];
    char why[256];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(options, PROBE_TIMEOUT_MS, why, sizeof(why));
    for (int i = 0; i < 2; i++)
        resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i]);
    rd_kafka_DescribeConfigs(rk, resources, 2, options, queue);
    rd_kafka_ConfigResource_destroy_array(resources, 2);
    rd_kafka_AdminOptions_destroy(options);
}

static const char *entry_value(const rd_kafka_ConfigResource_t *r, const char *name)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(r, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
            return rd_kafka_ConfigEntry_value(entries[i]);
    }
    return NULL;
}

static enum probe_verdict read_topic(const rd_kafka_ConfigResource_t *r, int64_t max_message_bytes,
                                     struct err *e)
{
    const char *topic = rd_kafka_ConfigResource_name(r);
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(r);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        err_set(e, "topic %s: %s", topic, rd_kafka_err2str(code));
        return PROBE_AWAY;
    }
    const char *type = entry_value(r, "message.timestamp.type");
    if (type && strcmp(type, "LogAppendTime") != 0) {
        err_set(e, "topic %s has message.timestamp.type=%s; LogAppendTime is needed", topic, type);
        return PROBE_WRONG;
    }
    // A request of many small records that the topic finds too large fails them all, though none
    // is.
    const char *limit = entry_value(r, "max.message.bytes");
    if (limit && strtoll(limit, NULL, 10) < max_message_bytes) {
        err_set(e,
                "topic %s takes max.message.bytes=%s, but the producer sends up to %lld: raise the "
                "one or lower KAFKA_CONF_message_max_bytes",
                topic, limit, (long long)max_message_bytes);
        return PROBE_WRONG;
    }
    return PROBE_FINE;
}

enum probe_verdict probe_read(rd_kafka_event_t *ev, int64_t max_message_bytes, struct err *e)
{
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(ev);
    if (rd_kafka_event_error(ev) != RD_KAFKA_RESP_ERR_NO_ERROR || !result) {
        err_set(e, "the broker does not answer: %s", rd_kafka_event_error_string(ev));
        return PROBE_AWAY;
    }
    size_t n;
    const rd_kafka_ConfigResource_t **topics =
        rd_kafka_DescribeConfigs_result_resources(result, &n);
    for (size_t i = 0; i < n; i++) {
        enum probe_verdict v = read_topic(topics[i], max_message_bytes, e);
        if (v != PROBE_FINE)
            return v;
    }
    return PROBE_FINE;
}

enum probe_verdict probe_topics(rd_kafka_t *rk, const struct config *c, int32_t *partitions,
                                struct err *e)
{
    struct kafka_topic_info info[2];
    static const char *const names[2] = {TOPIC_REQUESTS, TOPIC_RESPONSES};
    for (int i = 0; i < 2; i++) {
        char *topic = config_topic(c, names[i]);
        int rc = kafka_topic_info(rk, topic, CHECK_TIMEOUT_MS, &info[i], e);
        free(topic);
        if (rc < 0)
            return PROBE_AWAY;
    }
    int64_t n = info[0].partitions;
    if (c->partitions != CONFIG_UNSET && n != 0 && n != c->partitions) {
        err_field(e, "PARTITIONS", -1,
                  "PARTITIONS is %lld, but topic %s%s has %lld partitions: set the number that the "
                  "topics have, or none",
                  (long long)c->partitions, c->topic_prefix, TOPIC_REQUESTS, (long long)n);
        return PROBE_WRONG;
    }
    if (n == 0)
        n = c->partitions != CONFIG_UNSET ? c->partitions : config_pinned_default().partitions;
    int rc = kafka_check_inputs(rk, c, n, CHECK_TIMEOUT_MS, e);
    if (rc != 0)
        return rc > 0 ? PROBE_AWAY : PROBE_WRONG;
    *partitions = (int32_t)n;
    return PROBE_FINE;
}
