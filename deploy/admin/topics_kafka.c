// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/topics_kafka.h"

#include "common/io/kafka.h"

#include <stdio.h>
#include <time.h>

#define BROKER_TIMEOUT_MS 8000
#define MAX_REPLICAS 3
#define RETENTION_MS "604800000" // 7 days: what DESIGN's bounds of a request's timestamp lean on
#define VISIBLE_TRIES 50 // of 100 ms: a topic just made is not in every broker's metadata yet

struct topics {
    const struct config *config; // borrowed
    rd_kafka_t *rk;
    int replicas;
};

struct topic_config {
    const char *name, *value;
};

// partitions 0: as many as the inputs have.
static const struct topic_plan {
    const char *name;
    int partitions;
    struct topic_config configs[3];
} plans[] = {
    {TOPIC_REQUESTS,
     0,
     {{"message.timestamp.type", "LogAppendTime"}, {"retention.ms", RETENTION_MS}}},
    {TOPIC_RESPONSES,
     0,
     {{"message.timestamp.type", "LogAppendTime"}, {"retention.ms", RETENTION_MS}}},
    {TOPIC_METRICS, 0, {{NULL, NULL}}},
    {TOPIC_PROGRESS, 1, {{"cleanup.policy", "compact"}}},
    {TOPIC_DEAD_LETTER, 1, {{NULL, NULL}}},
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
    for (const struct topic_config *c = plan->configs; c->name; c++)
        if (rd_kafka_NewTopic_set_config(request, c->name, c->value))
            abort(); // only a NULL name is refused here
    int rc = send_create(t, request, topic, made, e);
    rd_kafka_NewTopic_destroy(request);
    return rc;
}

static int wait_visible(struct topics *t, const struct topic_plan *plan, struct err *e)
{
    struct kafka_topic_info found = {0};
    for (int i = 0; i < VISIBLE_TRIES; i++) {
        if (info(t, plan->name, &found, e) < 0)
            return -1;
        if (found.partitions > 0)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return err_set(e, "topic %s was made, but the broker does not show it", plan->name);
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
            rc = wait_visible(t, plan, e);
    } else if (plan->partitions && found.partitions != plan->partitions) {
        rc = err_set(e, "topic %s has %d partitions; want %d: delete it and run setup again", topic,
                     found.partitions, plan->partitions);
    }
    if (rc == 0 && made)
        printf("topic %s: made, %d partition%s, %d replica%s\n", topic, partitions,
               partitions == 1 ? "" : "s", t->replicas, t->replicas == 1 ? "" : "s");
    else if (rc == 0)
        printf("topic %s: found\n", topic);
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
