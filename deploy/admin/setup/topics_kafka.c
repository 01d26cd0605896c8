// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/setup/topics_kafka.h"

#include "common/io/kafka.h"

#include <stdio.h>
#include <time.h>

#define BROKER_TIMEOUT_MS 8000
#define MAX_REPLICAS 3
#define DAYS_7_MS "604800000" // what DESIGN's bounds of a request's timestamp lean on
#define DAYS_30_MS "2592000000"
#define VISIBLE_TRIES 300 // of 100 ms: a topic just made is not in every broker's metadata yet

struct topics {
    const struct config *config; // borrowed
    rd_kafka_t *rk;
    int replicas;
};

// partitions 0: as many as the inputs have. The policy is checked of a topic that exists, too:
// compaction would leave one window of each series in llm.metrics and one record of each id in the
// inputs, and the last sequence must outlive any retention. Records of llm.metrics bear their
// window's end, which a broker whose default is LogAppendTime would overwrite.
static const struct topic_plan {
    const char *name;
    int partitions;
    const char *cleanup_policy, *timestamp_type, *retention_ms; // the last may be NULL
} plans[] = {
    {TOPIC_REQUESTS, 0, "delete", "LogAppendTime", DAYS_7_MS},
    {TOPIC_RESPONSES, 0, "delete", "LogAppendTime", DAYS_7_MS},
    {TOPIC_METRICS, 0, "delete", "CreateTime", DAYS_30_MS},
    {TOPIC_PROGRESS, 1, "compact", "CreateTime", NULL},
    {TOPIC_DEAD_LETTER, 1, "delete", "CreateTime", DAYS_30_MS},
};

// ---- connection ----

static int count_brokers(struct topics *t, struct err *e)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t rc = rd_kafka_metadata(t->rk, 0, NULL, &metadata, BROKER_TIMEOUT_MS);
    if (rc)
        return err_field(e, "KAFKA_BROKERS", -1, "no answer from %.200s within %d s (%s)",
                         t->config->kafka_brokers, BROKER_TIMEOUT_MS / 1000, rd_kafka_err2str(rc));
    int brokers = metadata->broker_cnt;
    rd_kafka_metadata_destroy(metadata);
    t->replicas = brokers < MAX_REPLICAS ? brokers : MAX_REPLICAS;
    return 0;
}

struct topics *topics_open(const struct config *c, struct err *e)
{
    // What goes wrong is said once, by us, not in a line for each attempt.
    const char *const props[] = {"log_level", "0", NULL};
    rd_kafka_conf_t *conf = kafka_conf_new(c, "streamlens-admin", props, e);
    if (!conf)
        return NULL;
    char message[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, message, sizeof(message));
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        err_set(e, "no Kafka client: %s", message);
        return NULL;
    }
    struct topics *t = xcalloc(1, sizeof(*t));
    t->config = c;
    t->rk = rk;
    if (count_brokers(t, e) == 0)
        return t;
    topics_close(t);
    return NULL;
}

void topics_close(struct topics *t)
{
    if (!t)
        return;
    rd_kafka_destroy(t->rk);
    free(t);
}

static int info(struct topics *t, const char *name, struct kafka_topic_info *out, struct err *e)
{
    char *topic = config_topic(t->config, name);
    int rc = kafka_topic_info(t->rk, topic, BROKER_TIMEOUT_MS, out, e);
    free(topic);
    return rc;
}

int topics_input_partitions(struct topics *t, int64_t *out, struct err *e)
{
    struct kafka_topic_info requests, responses;
    if (info(t, TOPIC_REQUESTS, &requests, e) < 0 || info(t, TOPIC_RESPONSES, &responses, e) < 0)
        return -1;
    *out = requests.partitions ? requests.partitions : responses.partitions;
    if (requests.partitions && responses.partitions && requests.partitions != responses.partitions)
        // The check says it in full, with the commands.
        return kafka_check_inputs(t->rk, t->config, *out, BROKER_TIMEOUT_MS, e) == 0 ? 0 : -1;
    return 0;
}

int topics_input_retention(struct topics *t, int64_t *out_ms, struct err *e)
{
    static const char *const inputs[] = {TOPIC_REQUESTS, TOPIC_RESPONSES};
    *out_ms = 0;
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        struct kafka_topic_info found;
        if (info(t, inputs[i], &found, e) < 0)
            return -1;
        int64_t ms = found.partitions ? found.retention_ms : strtoll(DAYS_7_MS, NULL, 10);
        *out_ms = ms < 0 || *out_ms < 0 ? -1 : max_i64(*out_ms, ms);
    }
    return 0;
}

// ---- making ----

// Whether it was made by us; another setup, or a person, may have been faster.
static int read_result(rd_kafka_event_t *event, const char *topic, bool *made, struct err *e)
{
    rd_kafka_resp_err_t rc = rd_kafka_event_error(event);
    const char *why = rd_kafka_event_error_string(event);
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    if (!rc && result) {
        size_t n;
        const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(result, &n);
        if (n == 1) {
            rc = rd_kafka_topic_result_error(results[0]);
            why = rd_kafka_topic_result_error_string(results[0]);
        }
    }
    *made = !rc;
    if (!rc || rc == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return 0;
    return err_set(e, "topic %s cannot be made: %s", topic, why ? why : rd_kafka_err2str(rc));
}

static int send_create(struct topics *t, rd_kafka_NewTopic_t *request, const char *topic,
                       bool *made, struct err *e)
{
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(t->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    char message[128];
    if (rd_kafka_AdminOptions_set_request_timeout(options, BROKER_TIMEOUT_MS, message,
                                                  sizeof(message)))
        abort(); // a constant out of range
    rd_kafka_queue_t *queue = rd_kafka_queue_new(t->rk);
    rd_kafka_CreateTopics(t->rk, &request, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, BROKER_TIMEOUT_MS + 1000);
    int rc = event ? read_result(event, topic, made, e)
                   : err_set(e, "topic %s cannot be made: the broker does not answer", topic);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return rc;
}

static int create(struct topics *t, const struct topic_plan *plan, const char *topic,
                  int partitions, bool *made, struct err *e)
{
    char message[256];
    rd_kafka_NewTopic_t *request =
        rd_kafka_NewTopic_new(topic, partitions, t->replicas, message, sizeof(message));
    if (!request)
        return err_set(e, "topic %s cannot be made: %s", topic, message);
    if (rd_kafka_NewTopic_set_config(request, "cleanup.policy", plan->cleanup_policy) ||
        rd_kafka_NewTopic_set_config(request, "message.timestamp.type", plan->timestamp_type) ||
        (plan->retention_ms &&
         rd_kafka_NewTopic_set_config(request, "retention.ms", plan->retention_ms)))
        abort(); // only a NULL name is refused here
    int rc = send_create(t, request, topic, made, e);
    rd_kafka_NewTopic_destroy(request);
    return rc;
}

static int wait_visible(struct topics *t, const struct topic_plan *plan,
                        struct kafka_topic_info *found, struct err *e)
{
    for (int i = 0; i < VISIBLE_TRIES; i++) {
        if (info(t, plan->name, found, e) < 0)
            return -1;
        if (found->partitions > 0)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return err_set(e, "topic %s was made, but the broker does not show it", plan->name);
}

// The input topics' partitions and timestamp type are checked by kafka_check_inputs, as the
// services do.
static int check(struct topics *t, const struct topic_plan *plan, const char *topic,
                 const struct kafka_topic_info *found, struct err *e)
{
    if (plan->partitions && found->partitions != plan->partitions)
        return err_set(e, "topic %s has %d partitions; want %d: delete it and run setup again",
                       topic, found->partitions, plan->partitions);
    if (strcmp(found->cleanup_policy, plan->cleanup_policy) != 0)
        return err_set(e,
                       "topic %s has cleanup.policy=%s; want %s: kafka-configs --bootstrap-server "
                       "%.100s --alter --entity-type topics --entity-name %s --add-config "
                       "cleanup.policy=%s",
                       topic, found->cleanup_policy, plan->cleanup_policy, t->config->kafka_brokers,
                       topic, plan->cleanup_policy);
    if (strcmp(plan->name, TOPIC_METRICS) == 0 && found->log_append_time)
        return err_set(e,
                       "topic %s has message.timestamp.type=LogAppendTime; want CreateTime, since "
                       "a record's time is its window's end: kafka-configs --bootstrap-server "
                       "%.100s --alter --entity-type topics --entity-name %s --add-config "
                       "message.timestamp.type=CreateTime",
                       topic, t->config->kafka_brokers, topic);
    return 0;
}

// Another retention is the operator's affair, but is said.
static void say_found(const struct topic_plan *plan, const char *topic, int64_t retention_ms)
{
    if (!plan->retention_ms || retention_ms == strtoll(plan->retention_ms, NULL, 10))
        printf("topic %s: found\n", topic);
    else
        printf("topic %s: found, with retention.ms=%lld (setup makes it with %s)\n", topic,
               (long long)retention_ms, plan->retention_ms);
}

static int setup_one(struct topics *t, const struct topic_plan *plan, int partitions, struct err *e)
{
    struct kafka_topic_info found;
    if (info(t, plan->name, &found, e) < 0)
        return -1;
    char *topic = config_topic(t->config, plan->name);
    bool made = false;
    int rc = 0;
    if (found.partitions == 0) {
        rc = create(t, plan, topic, partitions, &made, e);
        if (rc == 0)
            rc = wait_visible(t, plan, &found, e);
    }
    if (rc == 0)
        rc = check(t, plan, topic, &found, e);
    if (rc == 0 && made)
        printf("topic %s: made, %d partition%s, %d replica%s\n", topic, partitions,
               partitions == 1 ? "" : "s", t->replicas, t->replicas == 1 ? "" : "s");
    else if (rc == 0)
        say_found(plan, topic, found.retention_ms);
    free(topic);
    return rc;
}

int topics_setup(struct topics *t, int64_t partitions, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(plans); i++)
        if (setup_one(t, &plans[i], plans[i].partitions ? plans[i].partitions : (int)partitions,
                      e) < 0)
            return -1;
    return kafka_check_inputs(t->rk, t->config, partitions, BROKER_TIMEOUT_MS, e) == 0 ? 0 : -1;
}
