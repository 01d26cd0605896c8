// SPDX-License-Identifier: Apache-2.0
// Fills the two input topics with made-up pairs, in batches.
//
//   fill_kafka BROKERS TOPIC_PREFIX PAIRS RECORDS_PER_BATCH
//
// The last line on standard output: events, and how many of them a batch held, as the client
// library counted what it sent.
#include "tests/bench/bench.h"

#include <jansson.h>
#include <librdkafka/rdkafka.h>

#define FLUSH_MS 120000
#define SPAN_MS 100000 // how long ago the first pair was asked, at most

struct sent {
    json_int_t records, batches;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "fill_kafka: %s: %s\n", what, why);
    exit(1);
}

// Every produce request of librdkafka holds one batch of one partition.
static int on_stats(rd_kafka_t *rk, char *text, size_t n, void *arg)
{
    struct sent *sent = arg;
    json_t *root = json_loadb(text, n, 0, NULL);
    const char *name;
    json_t *broker;
    (void)rk;
    *sent = (struct sent){json_integer_value(json_object_get(root, "txmsgs")), 0};
    json_object_foreach(json_object_get(root, "brokers"), name, broker)
    {
        json_t *requests = json_object_get(broker, "req");
        sent->batches += json_integer_value(json_object_get(requests, "Produce"));
    }
    json_decref(root);
    return 0;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
    (void)rk;
    (void)arg;
    if (m->err)
        die("produce", rd_kafka_err2str(m->err));
}

static rd_kafka_t *connect_to(const char *brokers, const char *batch, struct sent *sent)
{
    const char *const properties[][2] = {
        {"bootstrap.servers", brokers},
        {"partitioner", "murmur2_random"},
        {"acks", "all"},
        {"linger.ms", "1000"},
        {"batch.num.messages", batch},
        {"batch.size", "1000000"},
        {"statistics.interval.ms", "200"},
        {"queue.buffering.max.messages", "1000000"},
        {"queue.buffering.max.kbytes", "1000000"},
    };
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < ARRAY_LEN(properties); i++)
        if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], why, sizeof(why)))
            die(properties[i][0], why);
    rd_kafka_conf_set_opaque(conf, sent);
    rd_kafka_conf_set_stats_cb(conf, on_stats);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!rk)
        die("producer", why);
    return rk;
}

static void produce(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct bench_event *v)
{
    union { // the library's arguments are not const, but it copies what they point to
        const char *in;
        void *out;
    } key = {v->key.p}, value = {v->value.p};
    rd_kafka_resp_err_t err;
    while ((err = rd_kafka_producev(rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_KEY(key.out, v->key.n),
                                    RD_KAFKA_V_VALUE(value.out, v->value.n),
                                    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END))) {
        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce", rd_kafka_err2str(err));
        rd_kafka_poll(rk, 10);
    }
}

static rd_kafka_topic_t *topic_of(rd_kafka_t *rk, const char *prefix, const char *name)
{
    struct buf full = {0};
    buf_addf(&full, "%s%s", prefix, name);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, full.p, NULL);
    buf_free(&full);
    if (!topic)
        die(name, rd_kafka_err2str(rd_kafka_last_error()));
    return topic;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage", "fill_kafka BROKERS TOPIC_PREFIX PAIRS RECORDS_PER_BATCH");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct sent sent = {0};
    struct bench_events events;
    size_t pairs = strtoull(argv[3], NULL, 10);
    bench_events_make(&events, pairs, (int64_t)now.tv_sec * 1000 - SPAN_MS, BENCH_COMPACT);

    rd_kafka_t *rk = connect_to(argv[1], argv[4], &sent);
    rd_kafka_topic_t *topics[] = {topic_of(rk, argv[2], "llm.requests"),
                                  topic_of(rk, argv[2], "llm.responses")};
    for (size_t i = 0; i < events.count; i++) {
        produce(rk, topics[events.v[i].kind], &events.v[i]);
        if (i % 1000 == 0)
            rd_kafka_poll(rk, 0);
    }
    if (rd_kafka_flush(rk, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("flush", "not everything was acknowledged in time");
    while (sent.records < (json_int_t)events.count)
        rd_kafka_poll(rk, 1000);
    printf("%zu events, %.0f a batch\n", events.count, (double)sent.records / (double)sent.batches);
    rd_kafka_topic_destroy(topics[0]);
    rd_kafka_topic_destroy(topics[1]);
    rd_kafka_destroy(rk);
    bench_events_free(&events);
    return 0;
}
