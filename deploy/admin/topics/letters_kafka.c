// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/topics/letters_kafka.h"

#include "common/io/clock.h"
#include "common/io/kafka.h"

#define BROKER_TIMEOUT_MS 8000
#define STALL_US INT64_C(15000000) // a broker that gives nothing for so long is given up
#define POLL_MS 200

struct letters {
    rd_kafka_t *rk;
    char *name;
    rd_kafka_topic_t *topic;
    int64_t low, end;
};

// ---- opening ----

static int find_end(struct letters *l, const char *brokers, struct err *e)
{
    const struct rd_kafka_metadata *metadata;
    struct kafka_topic_info info;
    rd_kafka_resp_err_t rc = rd_kafka_metadata(l->rk, 0, NULL, &metadata, BROKER_TIMEOUT_MS);
    if (rc)
        return err_field(e, "KAFKA_BROKERS", -1, "no answer from %.200s within %d s (%s)", brokers,
                         BROKER_TIMEOUT_MS / 1000, rd_kafka_err2str(rc));
    rd_kafka_metadata_destroy(metadata);
    if (kafka_topic_info(l->rk, l->name, BROKER_TIMEOUT_MS, &info, e) < 0)
        return -1;
    if (info.partitions == 0)
        return err_set(e, "topic %s does not exist; run: streamlens-admin setup", l->name);
    if (info.partitions != 1)
        return err_set(e, "topic %s has %d partitions; want 1, as setup makes it", l->name,
                       info.partitions);
    rc = rd_kafka_query_watermark_offsets(l->rk, l->name, 0, &l->low, &l->end, BROKER_TIMEOUT_MS);
    if (rc)
        return err_field(e, "KAFKA_BROKERS", -1, "where topic %s ends is not told: %s", l->name,
                         rd_kafka_err2str(rc));
    return 0;
}

struct letters *letters_open(const struct config *c, struct err *e)
{
    // What goes wrong is said once, by us. What is prefetched bounds the memory; a fetcher that
    // finds so much waiting sleeps for a second, so it must not be little.
    // clang-format off
    static const char *const props[] = {
        "log_level", "0",
        "enable.partition.eof", "true",
        "auto.offset.reset", "earliest",
        "isolation.level", "read_uncommitted",
        "queued.max.messages.kbytes", "16384",
        NULL,
    };
    // clang-format on
    char message[256];
    struct letters *l = xcalloc(1, sizeof(*l));
    rd_kafka_conf_t *conf = kafka_conf_new(c, "streamlens-admin", props, e);
    l->name = config_topic(c, TOPIC_DEAD_LETTER);
    l->rk = conf ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, message, sizeof(message)) : NULL;
    if (conf && !l->rk) {
        rd_kafka_conf_destroy(conf);
        err_set(e, "no Kafka client: %s", message);
    }
    if (l->rk && find_end(l, c->kafka_brokers, e) == 0) {
        l->topic = rd_kafka_topic_new(l->rk, l->name, NULL);
        if (l->topic)
            return l;
        err_set(e, "cannot use topic %s: %s", l->name, rd_kafka_err2str(rd_kafka_last_error()));
    }
    letters_close(l);
    return NULL;
}

void letters_close(struct letters *l)
{
    if (!l)
        return;
    if (l->topic)
        rd_kafka_topic_destroy(l->topic);
    if (l->rk)
        rd_kafka_destroy(l->rk);
    free(l->name);
    free(l);
}

// ---- reading ----

static struct str header(const rd_kafka_headers_t *h, const char *name)
{
    const void *p;
    size_t n;
    if (!h || rd_kafka_header_get_last(h, name, &p, &n) || !p)
        return (struct str){0};
    return (struct str){p, n};
}

static void give(const rd_kafka_message_t *m, letters_fn *each, void *arg)
{
    rd_kafka_headers_t *h = NULL;
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(m, &type);
    if (rd_kafka_message_headers(m, &h))
        h = NULL;
    const struct letter letter = {
        .key = {m->key, m->key_len},
        .value = {m->payload, m->len},
        .time_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time_ms,
        .reason = header(h, "reason"),
        .detail = header(h, "detail"),
        .tenant = header(h, "tenant"),
        .record_key = header(h, "key"),
        .value_cut = header(h, "truncated-from-bytes"),
        .key_cut = header(h, "key-truncated-from-bytes"),
    };
    each(arg, m->offset, &letter);
}

// 1: at the end; 0: go on.
static int take(struct letters *l, const rd_kafka_message_t *m, letters_fn *each, void *arg,
                struct err *e)
{
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return m->offset >= l->end;
    if (m->err)
        return err_field(e, "KAFKA_BROKERS", -1, "reading topic %s: %s", l->name,
                         rd_kafka_message_errstr(m));
    if (m->offset < l->end)
        give(m, each, arg);
    return m->offset + 1 >= l->end;
}

int letters_read(struct letters *l, int64_t from, letters_fn *each, void *arg, struct err *e)
{
    if (max_i64(from, l->low) >= l->end)
        return 0;
    if (rd_kafka_consume_start(l->topic, 0, max_i64(from, l->low)) < 0)
        return err_set(e, "reading topic %s: %s", l->name, rd_kafka_err2str(rd_kafka_last_error()));
    int64_t heard_us = clock_mono_us();
    int rc = 0;
    while (rc == 0) {
        rd_kafka_message_t *m = rd_kafka_consume(l->topic, 0, POLL_MS);
        if (m) {
            heard_us = clock_mono_us();
            rc = take(l, m, each, arg, e);
            rd_kafka_message_destroy(m);
        } else if (clock_mono_us() - heard_us > STALL_US) {
            rc = err_field(e, "KAFKA_BROKERS", -1, "nothing came of topic %s for %d s", l->name,
                           (int)(STALL_US / 1000000));
        }
    }
    rd_kafka_consume_stop(l->topic, 0);
    return rc < 0 ? -1 : 0;
}
