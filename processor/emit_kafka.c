// SPDX-License-Identifier: Apache-2.0
#include "processor/emit_kafka.h"

#include <stdio.h>

#include "common/io/clock.h"
#include "common/io/log.h"

// The headers come on top of the original bytes, so a record of the broker's greatest size would
// not fit any more, and the flush would wait for it for ever: what is longer is cut, and a header
// says so.
#define LETTER_MAX 900000
#define LETTER_KEY_MAX 1024 // of the original's key; ids have at most EVENT_NAME_MAX bytes

struct emit {
    const struct config *config;
    rd_kafka_t *rk;
    rd_kafka_topic_t *inputs[2], *letters; // kept from the start: the first record is 0.5 s faster
    size_t unacknowledged;                 // dead letters handed in, no report yet
    bool failed;                           // a dead letter among those handed in was given up
    struct log_limit complaint;
};

// Ticks carry no opaque: nobody waits for them.
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
    struct emit *emit = arg;
    (void)rk;
    if (!m->_private)
        return;
    emit->unacknowledged--;
    if (m->err)
        emit->failed = true;
}

static int open_producer(struct emit *m, struct err *e)
{
    static const char *const props[] = {
        "enable.idempotence",
        "true",
        "linger.ms",
        "5",
        "partitioner",
        "murmur2_random",
        "message.timeout.ms",
        "10000",
        "queue.buffering.max.messages",
        "100000",
        "queue.buffering.max.kbytes",
        "65536",
        NULL,
    };
    rd_kafka_conf_t *conf = kafka_conf_new(m->config, "streamlens-processor", props, e);
    if (!conf)
        return -1;
    rd_kafka_conf_set_opaque(conf, m);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    char why[256];
    m->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!m->rk) {
        rd_kafka_conf_destroy(conf);
        return err_set(e, "cannot make a producer: %s", why);
    }
    const char *names[] = {TOPIC_REQUESTS, TOPIC_RESPONSES, TOPIC_DEAD_LETTER};
    rd_kafka_topic_t **topics[] = {&m->inputs[0], &m->inputs[1], &m->letters};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *name = config_topic(m->config, names[i]);
        *topics[i] = rd_kafka_topic_new(m->rk, name, NULL);
        free(name);
    }
    return 0;
}

static void close_producer(struct emit *m)
{
    if (!m->rk)
        return;
    rd_kafka_purge(m->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(m->rk, 1000);
    rd_kafka_topic_destroy(m->inputs[0]);
    rd_kafka_topic_destroy(m->inputs[1]);
    rd_kafka_topic_destroy(m->letters);
    rd_kafka_destroy(m->rk);
    m->rk = NULL;
}

struct emit *emit_kafka_new(const struct config *c, struct err *e)
{
    struct emit *m = xcalloc(1, sizeof(*m));
    m->config = c;
    if (open_producer(m, e) < 0) {
        free(m);
        return NULL;
    }
    return m;
}

void emit_free(struct emit *m)
{
    if (!m)
        return;
    close_producer(m);
    free(m);
}

void emit_serve(struct emit *m)
{
    rd_kafka_poll(m->rk, 0);
}

rd_kafka_t *emit_kafka_handle(struct emit *m)
{
    return m->rk;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void add_number(rd_kafka_headers_t *h, const char *name, int64_t n)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)n);
    rd_kafka_header_add(h, name, -1, text, -1);
}

static rd_kafka_headers_t *letter_headers(const struct dead_letter *d, const char *topic)
{
    rd_kafka_headers_t *h = rd_kafka_headers_new(9);
    rd_kafka_header_add(h, "reason", -1, d->reason, -1);
    if (d->detail)
        rd_kafka_header_add(h, "detail", -1, d->detail, -1);
    rd_kafka_header_add(h, "topic", -1, topic, -1);
    add_number(h, "partition", d->partition);
    add_number(h, "offset", d->offset);
    if (d->key_n)
        rd_kafka_header_add(h, "key", -1, d->key, (ssize_t)min_size(d->key_n, LETTER_KEY_MAX));
    if (d->key_n > LETTER_KEY_MAX)
        add_number(h, "key-truncated-from-bytes", (int64_t)d->key_n);
    if (d->tenant_n)
        rd_kafka_header_add(h, "tenant", -1, d->tenant, (ssize_t)d->tenant_n);
    if (d->value_n > LETTER_MAX)
        add_number(h, "truncated-from-bytes", (int64_t)d->value_n);
    return h;
}

int emit_dead_letter(struct emit *m, const struct dead_letter *d, struct err *e)
{
    char key[320];
    const char *topic = rd_kafka_topic_name(m->inputs[d->topic]);
    int key_n = snprintf(key, sizeof(key), "%s/%d/%lld", topic, d->partition, (long long)d->offset);
    size_t value_n = min_size(d->value_n, LETTER_MAX);
    rd_kafka_headers_t *headers = letter_headers(d, topic);
    rd_kafka_resp_err_t err = rd_kafka_producev(
        m->rk, RD_KAFKA_V_RKT(m->letters), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
        RD_KAFKA_V_KEY(key, (size_t)key_n), RD_KAFKA_V_VALUE(d->value, value_n),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(m),
        RD_KAFKA_V_END);
    if (err) {
        rd_kafka_headers_destroy(headers);
        return err_set(e, "dead letter not taken: %s", rd_kafka_err2str(err));
    }
    m->unacknowledged++;
    return 0;
}

void emit_tick(struct emit *m, enum event_kind topic, int partition)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
    rd_kafka_header_add(headers, "streamlens-tick", -1, "1", 1);
    static char empty[1]; // a value of length 0, not a tombstone
    rd_kafka_resp_err_t err =
        rd_kafka_producev(m->rk, RD_KAFKA_V_RKT(m->inputs[topic]), RD_KAFKA_V_PARTITION(partition),
                          RD_KAFKA_V_VALUE(empty, 0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(NULL), RD_KAFKA_V_END);
    if (!err)
        return;
    rd_kafka_headers_destroy(headers);
    if (log_limit(&m->complaint, clock_mono_us(), 5000000))
        log_warn("tick not taken", "error", rd_kafka_err2str(err));
}

int emit_wait(struct emit *m, int timeout_ms, struct err *e)
{
    char why[256];
    int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    rd_kafka_poll(m->rk, 0);
    while (m->unacknowledged && clock_mono_us() < deadline_us)
        rd_kafka_poll(m->rk, 5);
    if (rd_kafka_fatal_error(m->rk, why, sizeof(why))) {
        // A new producer; what it had not acknowledged counts as failed, and is handed in again.
        log_error("producer is dead, making a new one", "reason", why);
        close_producer(m);
        m->unacknowledged = 0;
        m->failed = false;
        if (open_producer(m, e) < 0)
            abort(); // the same configuration was good before
        return err_set(e, "dead letters not acknowledged: %s", why);
    }
    if (m->unacknowledged)
        return 1;
    if (m->failed) {
        m->failed = false;
        return err_set(e, "the broker did not take all dead letters");
    }
    return 0;
}
