// SPDX-License-Identifier: Apache-2.0
#include "common/io/kafka.h"

#include "common/io/clock.h"
#include "common/io/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define POLL_US 20000
#define CONNECT_GAP_US 25000
#define MISSING_WAIT_US 2000000

// ---- configuration
// --------------------------------------------------------------------------------

// Called on librdkafka's threads. Its severities are syslog's; what it calls an error is nearly
// always a broker that is away for a moment, which it mends itself, so only worse than that is one
// here.
static void on_log(const rd_kafka_t *rk, int severity, const char *facility, const char *text)
{
    enum log_level level = severity <= 2   ? LOG_ERROR
                           : severity <= 4 ? LOG_WARN
                           : severity <= 6 ? LOG_INFO
                                           : LOG_DEBUG;
    log_write(level, "kafka client", "client", rk ? rd_kafka_name(rk) : "", "facility", facility,
              "detail", text, (char *)NULL);
}

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *e)
{
    char detail[400];
    if (rd_kafka_conf_set(conf, name, value, detail, sizeof(detail)) == RD_KAFKA_CONF_OK)
        return 0;
    return err_field(e, name, -1, "librdkafka property %s: %s", name, detail);
}

// Properties that the counts rest on, or that have a setting of their own.
static bool is_fixed(const char *name)
{
    static const char *const names[] = {
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "enable.gapless.guarantee",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "auto.offset.reset",
        "isolation.level",
        "partition.assignment.strategy",
        "partitioner",
        "transactional.id",
        "group.id",
        "group.instance.id",
        "allow.auto.create.topics",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

// Whether the property would read the same afterwards ("all" and "-1" of acks are one value).
static bool changes_nothing(const rd_kafka_conf_t *conf, const struct config_kafka_prop *p)
{
    char before[256], after[256], detail[256];
    size_t n_before = sizeof(before), n_after = sizeof(after);
    rd_kafka_conf_t *copy = rd_kafka_conf_dup(conf);
    bool same =
        rd_kafka_conf_get(copy, p->name, before, &n_before) == RD_KAFKA_CONF_OK &&
        rd_kafka_conf_set(copy, p->name, p->value, detail, sizeof(detail)) == RD_KAFKA_CONF_OK &&
        rd_kafka_conf_get(copy, p->name, after, &n_after) == RD_KAFKA_CONF_OK &&
        strcmp(before, after) == 0;
    rd_kafka_conf_destroy(copy);
    return same;
}

static int set_operators(rd_kafka_conf_t *conf, const struct config_kafka_prop *p, struct err *e)
{
    if (is_fixed(p->name) && !changes_nothing(conf, p))
        return err_field(e, p->name, -1,
                         "librdkafka property %s cannot be changed, since the counts rest on it; "
                         "remove the KAFKA_CONF_ variable",
                         p->name);
    return set(conf, p->name, p->value, e);
}

static int set_all(rd_kafka_conf_t *conf, const struct config *c, const char *client_id,
                   const char *const *props, struct err *e)
{
    if (set(conf, "bootstrap.servers", c->kafka_brokers, e) < 0 ||
        set(conf, "client.id", client_id, e) < 0 ||
        // The default of 10 s makes every broker restart a long outage.
        set(conf, "reconnect.backoff.max.ms", "500", e) < 0 ||
        // A topic made by the broker would have the wrong partition count and timestamp type.
        set(conf, "allow.auto.create.topics", "false", e) < 0)
        return -1;
    for (; props && *props; props += 2) {
        if (set(conf, props[0], props[1], e) < 0)
            return -1;
    }
    for (size_t i = 0; i < c->kafka_prop_count; i++) {
        if (set_operators(conf, &c->kafka_props[i], e) < 0)
            return -1;
    }
    return 0;
}

// An admin request that waits for a broker which refuses connections makes librdkafka (2.0.2)
// forget its backoff at every failure: 1700 connects a second and a core of CPU, measured. Each
// broker has a thread of its own, which makes a socket for each attempt, so here it can be slowed;
// the library's own backoff of 75 ms and more never meets this.
static int on_socket(int domain, int type, int protocol, void *arg)
{
    static _Thread_local int64_t next_us;
    int64_t early_us = next_us - clock_mono_us();
    (void)arg;
    if (early_us > 0)
        usleep((useconds_t)early_us);
    next_us = clock_mono_us() + CONNECT_GAP_US;
    return socket(domain, type | SOCK_CLOEXEC, protocol);
}

rd_kafka_conf_t *kafka_conf_new(const struct config *c, const char *client_id,
                                const char *const *props, struct err *e)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_socket_cb(conf, on_socket);
    if (set_all(conf, c, client_id, props, e) == 0)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

// ---- topics
// ---------------------------------------------------------------------------------------

static int left_ms(int64_t deadline_us)
{
    return (int)max_i64(1, (deadline_us - clock_mono_us()) / 1000);
}

static void read_entry(const rd_kafka_ConfigEntry_t *entry, struct kafka_topic_info *out)
{
    const char *name = rd_kafka_ConfigEntry_name(entry), *value = rd_kafka_ConfigEntry_value(entry);
    if (value && strcmp(name, "message.timestamp.type") == 0)
        out->log_append_time = strcmp(value, "LogAppendTime") == 0;
    else if (value && strcmp(name, "retention.ms") == 0)
        out->retention_ms = strtoll(value, NULL, 10);
    else if (value && strcmp(name, "cleanup.policy") == 0)
        snprintf(out->cleanup_policy, sizeof(out->cleanup_policy), "%s", value);
}

// 1: the topic exists and out holds its configuration; 0: it does not exist.
static int read_described(rd_kafka_event_t *event, const char *topic, struct kafka_topic_info *out,
                          struct err *e)
{
    if (rd_kafka_event_error(event))
        return err_set(e, "cannot read the configuration of topic %s: %s", topic,
                       rd_kafka_event_error_string(event));
    size_t n = 0;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
    if (n != 1)
        return err_set(e, "cannot read the configuration of topic %s: no answer to it", topic);
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[0]);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        return 0;
    if (code) {
        const char *text = rd_kafka_ConfigResource_error_string(resources[0]);
        return err_set(e, "cannot read the configuration of topic %s: %s", topic,
                       text ? text : rd_kafka_err2str(code));
    }
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[0], &n);
    for (size_t i = 0; i < n; i++)
        read_entry(entries[i], out);
    return 1;
}

static int describe(rd_kafka_t *rk, const char *topic, int timeout_ms, struct kafka_topic_info *out,
                    struct err *e)
{
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    char detail[256];
    int rc;
    if (rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, detail, sizeof(detail))) {
        rc = err_set(e, "cannot ask for topic %s: %s", topic, detail);
    } else {
        rd_kafka_DescribeConfigs(rk, &resource, 1, options, queue);
        // librdkafka answers at its own timeout; the margin lets its reason through.
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 500);
        rc = event ? read_described(event, topic, out, e)
                   : err_set(e, "the broker did not answer within %d ms when asked for topic %s",
                             timeout_ms, topic);
        if (event)
            rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_AdminOptions_destroy(options);
    return rc;
}

// 1 with the number of partitions, 0 where this broker does not know the topic (yet).
static int count_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms, int *partitions,
                            struct err *e)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    if (!handle)
        return err_set(e, "cannot use topic %s: %s", topic,
                       rd_kafka_err2str(rd_kafka_last_error()));
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, handle, &md, timeout_ms);
    rd_kafka_topic_destroy(handle);
    if (code)
        return err_set(e, "the broker does not tell the partitions of topic %s: %s", topic,
                       rd_kafka_err2str(code));
    int rc = 0;
    if (md->topic_cnt == 1 && md->topics[0].partition_cnt > 0) {
        *partitions = md->topics[0].partition_cnt;
        rc = 1;
    } else if (md->topic_cnt == 1 && md->topics[0].err &&
               md->topics[0].err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART &&
               md->topics[0].err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
        rc = err_set(e, "the broker does not tell the partitions of topic %s: %s", topic,
                     rd_kafka_err2str(md->topics[0].err));
    }
    rd_kafka_metadata_destroy(md);
    return rc;
}

int kafka_topic_info(rd_kafka_t *rk, const char *topic, int timeout_ms,
                     struct kafka_topic_info *out, struct err *e)
{
    int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    *out = (struct kafka_topic_info){.retention_ms = -1};
    // The configuration first: asking for metadata of a missing topic may create it, where a broker
    // is set up so; this does not.
    int found = describe(rk, topic, timeout_ms, out, e);
    if (found <= 0)
        return found;
    for (;;) {
        found = count_partitions(rk, topic, left_ms(deadline_us), &out->partitions, e);
        if (found != 0)
            return found < 0 ? -1 : 0;
        // Just created, and the news has not reached this broker. An event loop that waits here is
        // one that has nothing else to do yet.
        if (clock_mono_us() >= deadline_us)
            return err_set(e, "topic %s exists, but no broker tells its partitions within %d ms",
                           topic, timeout_ms);
        usleep(POLL_US);
    }
}

static int check_one(const struct config *c, const char *topic, const struct kafka_topic_info *info,
                     int64_t partitions, struct err *e)
{
    if (info->partitions == 0)
        return err_set(e, "topic %s does not exist; run: streamlens-admin setup", topic);
    if (info->partitions != partitions)
        return err_set(
            e,
            "topic %s has %d partitions, wanted are %" PRId64
            ". A topic's partitions cannot be changed in place, since events would no "
            "longer meet their partners: set PARTITIONS=%d before the first setup, or "
            "run streamlens-admin setup with another TOPIC_PREFIX and database, or delete both "
            "input topics (and with them what is not processed) and run it again",
            topic, info->partitions, partitions, info->partitions);
    if (!info->log_append_time)
        return err_set(e,
                       "topic %s has message.timestamp.type=CreateTime, wanted is LogAppendTime; "
                       "run: kafka-configs --bootstrap-server %.100s --alter --entity-type topics "
                       "--entity-name %s --add-config message.timestamp.type=LogAppendTime "
                       "(Redpanda: rpk topic alter-config %s --set "
                       "message.timestamp.type=LogAppendTime)",
                       topic, c->kafka_brokers, topic, topic);
    return 0;
}

// Like kafka_topic_info, but a topic that is not there is looked for again for a moment: where
// setup has just made it, brokers learn of it one after another. An answer that it is missing
// stands also when the time runs out over the next question.
static int wait_for_topic(rd_kafka_t *rk, const char *topic, int64_t deadline_us,
                          struct kafka_topic_info *info, struct err *e)
{
    int64_t give_up_us = min_i64(deadline_us, clock_mono_us() + MISSING_WAIT_US);
    bool answered = false;
    for (;;) {
        int rc = kafka_topic_info(rk, topic, left_ms(deadline_us), info, e);
        if (rc < 0)
            return answered ? 0 : rc;
        if (info->partitions > 0 || clock_mono_us() >= give_up_us)
            return 0;
        answered = true;
        usleep(POLL_US);
    }
}

int kafka_check_inputs(rd_kafka_t *rk, const struct config *c, int64_t partitions, int timeout_ms,
                       struct err *e)
{
    static const char *const names[] = {TOPIC_REQUESTS, TOPIC_RESPONSES};
    int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *topic = config_topic(c, names[i]);
        struct kafka_topic_info info;
        int rc = wait_for_topic(rk, topic, deadline_us, &info, e) < 0 ? 1 : 0;
        if (rc == 0)
            rc = check_one(c, topic, &info, partitions, e);
        free(topic);
        if (rc != 0)
            return rc;
    }
    return 0;
}
