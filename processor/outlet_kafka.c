// SPDX-License-Identifier: Apache-2.0
// A client of librdkafka lives from outlet_open to outlet_close: after a fatal error, or an outcome
// that is not known, it is of no use any more, and the one made next begins with
// init_transactions, which ends what this one left open.
#include "processor/outlet_kafka.h"

#include <stdio.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/kafka.h"
#include "processor/progress_kafka.h"

#define SLICE_MS 500
// A publisher that has died holds up every read_committed reader for so long, plus the broker's
// interval of looking (10 s). Batches take well below a second.
#define TRANSACTION_MS 15000
#define TRANSACTION "15000"

struct outlet {
    const struct config *config;
    rd_kafka_t *rk;                       // NULL while closed
    rd_kafka_topic_t *metrics, *progress; // kept: the first record is 0.5 s faster
    rd_kafka_headers_t *headers;          // of every record of llm.metrics
    struct progress_reader *reader;       // while outlet_progress has not answered
    int64_t give_up_us;                   // on the transaction under way
    rd_kafka_resp_err_t undelivered;      // the first report of it that was bad
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
    struct outlet *o = arg;
    (void)rk;
    if (m->err && !o->undelivered)
        o->undelivered = m->err;
}

// Connects to nothing yet.
static rd_kafka_t *producer_new(struct outlet *o, struct err *e)
{
    char *id = config_publisher(o->config);
    const char *props[] = {
        "transactional.id",
        id,
        "transaction.timeout.ms",
        TRANSACTION,
        "message.timeout.ms",
        TRANSACTION, // not above it, or the client refuses
        "linger.ms",
        "5",
        "partitioner",
        "murmur2_random",
        "compression.codec",
        "lz4",
        "queue.buffering.max.messages",
        "100000",
        "queue.buffering.max.kbytes",
        "65536",
        NULL,
    };
    rd_kafka_conf_t *conf = kafka_conf_new(o->config, "streamlens-publisher", props, e);
    free(id);
    if (!conf)
        return NULL;
    rd_kafka_conf_set_opaque(conf, o);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        err_set(e, "cannot make the publisher's producer: %s", why);
    }
    return rk;
}

struct outlet *outlet_kafka_new(const struct config *c, struct err *e)
{
    struct outlet *o = xcalloc(1, sizeof(*o));
    o->config = c;
    rd_kafka_t *trial = producer_new(o, e);
    if (!trial) {
        free(o);
        return NULL;
    }
    rd_kafka_destroy(trial);
    o->headers = rd_kafka_headers_new(2);
    rd_kafka_header_add(o->headers, "content-type", -1, "application/json", -1);
    rd_kafka_header_add(o->headers, "schema-version", -1, "1", -1);
    return o;
}

void outlet_free(struct outlet *o)
{
    if (!o)
        return;
    outlet_close(o);
    rd_kafka_headers_destroy(o->headers);
    free(o);
}

void outlet_close(struct outlet *o)
{
    progress_reader_free(o->reader);
    o->reader = NULL;
    if (!o->rk)
        return;
    // What is purged is reported, and a report that nobody takes would hang the end.
    rd_kafka_purge(o->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(o->rk, SLICE_MS);
    rd_kafka_topic_destroy(o->metrics);
    rd_kafka_topic_destroy(o->progress);
    rd_kafka_destroy(o->rk);
    o->rk = NULL;
}

// Takes the error over.
static enum outlet_result judge(rd_kafka_error_t *error, const char *what, struct err *e)
{
    if (!error)
        return OUTLET_OK;
    bool again = rd_kafka_error_is_retriable(error) && !rd_kafka_error_is_fatal(error) &&
                 !rd_kafka_error_txn_requires_abort(error);
    err_set(e, "%s: %s", what, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return again ? OUTLET_AGAIN : OUTLET_BROKEN;
}

enum outlet_result outlet_open(struct outlet *o, struct err *e)
{
    if (!o->rk) {
        o->rk = producer_new(o, e);
        if (!o->rk)
            return OUTLET_BROKEN;
        char *metrics = config_topic(o->config, TOPIC_METRICS);
        char *progress = config_topic(o->config, TOPIC_PROGRESS);
        o->metrics = rd_kafka_topic_new(o->rk, metrics, NULL);
        o->progress = rd_kafka_topic_new(o->rk, progress, NULL);
        free(metrics);
        free(progress);
    }
    return judge(rd_kafka_init_transactions(o->rk, SLICE_MS), "cannot begin to publish", e);
}

enum outlet_result outlet_progress(struct outlet *o, int64_t *seq, struct err *e)
{
    if (!o->reader)
        o->reader = progress_reader_new(o->config, e);
    enum outlet_result result = o->reader ? progress_read(o->reader, seq, e) : OUTLET_BROKEN;
    if (result == OUTLET_OK) {
        progress_reader_free(o->reader);
        o->reader = NULL;
    }
    return result;
}

enum outlet_result outlet_begin(struct outlet *o, struct err *e)
{
    o->undelivered = RD_KAFKA_RESP_ERR_NO_ERROR;
    o->give_up_us = clock_mono_us() + TRANSACTION_MS * US_PER_MS;
    return judge(rd_kafka_begin_transaction(o->rk), "cannot begin a transaction", e) == OUTLET_OK
               ? OUTLET_OK
               : OUTLET_BROKEN;
}

// What stands between here and a good end of the transaction under way.
static enum outlet_result doubt(struct outlet *o, struct err *e)
{
    if (o->undelivered) {
        err_set(e, "the broker did not take a record: %s", rd_kafka_err2str(o->undelivered));
        return OUTLET_BROKEN;
    }
    if (clock_mono_us() >= o->give_up_us) {
        err_set(e, "the broker did not take a transaction within %d s", TRANSACTION_MS / 1000);
        return OUTLET_BROKEN;
    }
    return OUTLET_OK;
}

// Of what producev said. A queue that is full is waited for.
static enum outlet_result taken(struct outlet *o, rd_kafka_resp_err_t err, struct err *e)
{
    if (err && err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        err_set(e, "a record was not taken: %s", rd_kafka_err2str(err));
        return OUTLET_BROKEN;
    }
    rd_kafka_poll(o->rk, err ? SLICE_MS : 0);
    if (doubt(o, e) != OUTLET_OK)
        return OUTLET_BROKEN;
    if (err)
        err_set(e, "the broker takes records slower than they are published");
    return err ? OUTLET_AGAIN : OUTLET_OK;
}

enum outlet_result outlet_put(struct outlet *o, const struct publish_batch *b,
                              const struct publish_record *r, struct err *e)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_copy(o->headers);
    char *key = b->bytes.p + r->key_at, *value = b->bytes.p + r->value_at;
    rd_kafka_resp_err_t err = rd_kafka_producev(
        o->rk, RD_KAFKA_V_RKT(o->metrics), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
        RD_KAFKA_V_KEY(key, r->key_n), RD_KAFKA_V_VALUE(value, r->value_n),
        RD_KAFKA_V_TIMESTAMP(r->time_ms), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (err)
        rd_kafka_headers_destroy(headers);
    return taken(o, err, e);
}

enum outlet_result outlet_put_progress(struct outlet *o, int64_t seq, struct err *e)
{
    static char key[] = "publisher";
    char value[48];
    int n = snprintf(value, sizeof(value), "{\"publish_seq\": %lld}", (long long)seq);
    rd_kafka_resp_err_t err =
        rd_kafka_producev(o->rk, RD_KAFKA_V_RKT(o->progress), RD_KAFKA_V_PARTITION(0),
                          RD_KAFKA_V_KEY(key, sizeof(key) - 1), RD_KAFKA_V_VALUE(value, (size_t)n),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    return taken(o, err, e);
}

// It delivers what is in the queue first, and serves its reports.
enum outlet_result outlet_commit(struct outlet *o, struct err *e)
{
    enum outlet_result result =
        judge(rd_kafka_commit_transaction(o->rk, SLICE_MS), "cannot commit a transaction", e);
    return result == OUTLET_AGAIN && doubt(o, e) != OUTLET_OK ? OUTLET_BROKEN : result;
}
