// SPDX-License-Identifier: Apache-2.0
// Fills the two input topics with made-up pairs (traffic.h), in batches, or sends them at a steady
// rate. The last line on standard output: events, how many of them a batch held, as the client
// library counted what it sent, and how late the latest was sent.
#include "tests/bench/traffic.h"

#include <getopt.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/core/timeunit.h"

#define FLUSH_MS 120000
#define SPAN_US (100 * US_PER_S) // how long ago the first pair was asked, where no rate is given
#define PAIRS_PER_S 10000.0      // then, by what they say of themselves
#define PAUSE_NS 1000000         // between looks at what is due

struct sent {
    json_int_t records, batches;
};

struct load {
    struct traffic_settings traffic;
    const char *brokers, *prefix, *batch;
    bool paced;
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

static rd_kafka_t *connect_to(const struct load *load, struct sent *sent)
{
    const char *const properties[][2] = {
        {"bootstrap.servers", load->brokers},
        {"partitioner", "murmur2_random"},
        {"acks", "all"},
        {"linger.ms", load->paced ? "5" : "1000"},
        {"batch.num.messages", load->batch},
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

static void produce(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct traffic_event *v)
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

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

// Until it is due. How late that is, in us.
static int64_t wait_until(rd_kafka_t *rk, int64_t due_us)
{
    int64_t now;
    while ((now = now_us()) < due_us) {
        rd_kafka_poll(rk, 0);
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return now - due_us;
}

static struct load arguments(int argc, char **argv)
{
    static const struct option options[] = {TRAFFIC_OPTIONS, {"rate", 1, NULL, 'R'}, {0}};
    struct load load = {.traffic = TRAFFIC_DEFAULTS};
    load.traffic.pairs_per_s = PAIRS_PER_S;
    double x = 0;
    bool ok = true;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c != 'R') {
            ok = ok && traffic_option(&load.traffic, c, optarg);
            continue;
        }
        ok = ok && traffic_number(optarg, 1, 1e7, &x);
        load.paced = true;
        load.traffic.pairs_per_s = x / 2;
    }
    argv += optind;
    ok = ok && argc - optind == 4 && traffic_number(argv[2], 1, 1e10, &x);
    if (!ok) {
        fprintf(stderr,
                "usage: fill_kafka BROKERS TOPIC_PREFIX PAIRS RECORDS_PER_BATCH [OPTION]\n"
                "  --rate EVENTS_PER_S, answers counted; else as fast as it goes\n" TRAFFIC_USAGE);
        exit(2);
    }
    load.brokers = argv[0];
    load.prefix = argv[1];
    load.traffic.pairs = (uint64_t)x;
    load.batch = argv[3];
    load.traffic.start_us = now_us() - (load.paced ? 0 : SPAN_US);
    return load;
}

int main(int argc, char **argv)
{
    struct load load = arguments(argc, argv);
    struct sent sent = {0};
    struct traffic *traffic = traffic_new(&load.traffic);
    struct traffic_event event;
    json_int_t count = 0;
    int64_t late_us = 0;
    rd_kafka_t *rk = connect_to(&load, &sent);
    rd_kafka_topic_t *topics[] = {topic_of(rk, load.prefix, "llm.requests"),
                                  topic_of(rk, load.prefix, "llm.responses")};
    for (; traffic_next(traffic, &event); count++) {
        if (load.paced)
            late_us = max_i64(late_us, wait_until(rk, event.due_us));
        produce(rk, topics[event.kind], &event);
        if (count % 1000 == 0)
            rd_kafka_poll(rk, 0);
    }
    if (rd_kafka_flush(rk, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("flush", "not everything was acknowledged in time");
    while (sent.records < count)
        rd_kafka_poll(rk, 1000);
    printf("%lld events, %.0f a batch, %lld ms late at most\n", (long long)count,
           (double)sent.records / (double)sent.batches, (long long)(late_us / US_PER_MS));
    rd_kafka_topic_destroy(topics[0]);
    rd_kafka_topic_destroy(topics[1]);
    rd_kafka_destroy(rk);
    traffic_free(traffic);
    return 0;
}
