// SPDX-License-Identifier: Apache-2.0
// A read_committed consumer is told the end of the log at the first open transaction, and so is a
// producer that asks for it: behind another id's transaction, committed records would go unseen,
// and be sent again. So the end is asked by a client that reads uncommitted records.
#include "processor/progress_kafka.h"

#include <jansson.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/kafka.h"

#define SLICE_MS 500

struct progress_reader {
    rd_kafka_t *ends, *reader;
    rd_kafka_topic_t *topic; // the reader's
    char *name;
    bool reading;
    int64_t end, seq;
};

static rd_kafka_t *consumer_new(const struct config *c, const char *isolation, struct err *e)
{
    const char *props[] = {
        "isolation.level",
        isolation,
        "auto.offset.reset",
        "error",
        "enable.partition.eof",
        "true",
        "enable.auto.offset.store",
        "false",
        "fetch.wait.max.ms",
        "10",
        NULL,
    };
    rd_kafka_conf_t *conf = kafka_conf_new(c, "streamlens-publisher", props, e);
    if (!conf)
        return NULL;
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        err_set(e, "cannot make a consumer: %s", why);
    }
    return rk;
}

struct progress_reader *progress_reader_new(const struct config *c, struct err *e)
{
    struct progress_reader *r = xcalloc(1, sizeof(*r));
    r->name = config_topic(c, TOPIC_PROGRESS);
    r->ends = consumer_new(c, "read_uncommitted", e);
    r->reader = r->ends ? consumer_new(c, "read_committed", e) : NULL;
    if (!r->reader) {
        progress_reader_free(r);
        return NULL;
    }
    r->topic = rd_kafka_topic_new(r->reader, r->name, NULL);
    return r;
}

static void stop(struct progress_reader *r)
{
    if (r->reading)
        rd_kafka_consume_stop(r->topic, 0);
    r->reading = false;
}

void progress_reader_free(struct progress_reader *r)
{
    if (!r)
        return;
    stop(r);
    if (r->topic)
        rd_kafka_topic_destroy(r->topic);
    if (r->reader)
        rd_kafka_destroy(r->reader);
    if (r->ends)
        rd_kafka_destroy(r->ends);
    free(r->name);
    free(r);
}

static enum outlet_result start(struct progress_reader *r, struct err *e)
{
    int64_t begin;
    rd_kafka_resp_err_t err =
        rd_kafka_query_watermark_offsets(r->ends, r->name, 0, &begin, &r->end, SLICE_MS);
    if (err) {
        err_set(e, "%s: cannot ask for its first and last offset: %s%s", r->name,
                rd_kafka_err2str(err),
                err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                        err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
                    ? "; run: streamlens-admin setup"
                    : "");
        return OUTLET_AGAIN;
    }
    r->seq = 0;
    if (rd_kafka_consume_start(r->topic, 0, begin) < 0) {
        err_set(e, "%s: cannot read: %s", r->name, rd_kafka_err2str(rd_kafka_last_error()));
        return OUTLET_BROKEN;
    }
    r->reading = true;
    return OUTLET_OK;
}

static enum outlet_result take(struct progress_reader *r, const rd_kafka_message_t *m,
                               struct err *e)
{
    json_int_t seq = 0;
    json_t *value = m->payload ? json_loadb(m->payload, m->len, 0, NULL) : NULL;
    int rc = value ? json_unpack(value, "{s:I}", "publish_seq", &seq) : -1;
    json_decref(value);
    if (rc < 0 || seq <= r->seq) {
        // To go on from a guess could send sequences twice.
        err_set(e,
                "%s: the record at offset %lld is none of the publisher's: wanted is "
                "{\"publish_seq\": n} with a greater n in each",
                r->name, (long long)m->offset);
        return OUTLET_BROKEN;
    }
    r->seq = seq;
    return OUTLET_OK;
}

// OUTLET_OK: a record was taken, or the end was reached, which *at_end says.
static enum outlet_result read_one(struct progress_reader *r, int timeout_ms, bool *at_end,
                                   struct err *e)
{
    rd_kafka_message_t *m = rd_kafka_consume(r->topic, 0, timeout_ms);
    enum outlet_result result = OUTLET_OK;
    if (!m) {
        err_set(e, "%s: the broker does not answer", r->name);
        return OUTLET_AGAIN;
    }
    if (!m->err) {
        result = take(r, m, e);
    } else if (m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        err_set(e, "%s: cannot read: %s", r->name, rd_kafka_message_errstr(m));
        stop(r);
        result = OUTLET_AGAIN;
    } else if (m->offset < r->end) {
        err_set(e,
                "%s: a transaction of another producer is open, and what stands behind it "
                "cannot be read",
                r->name);
        stop(r);
        result = OUTLET_AGAIN;
    } else {
        *at_end = true;
    }
    rd_kafka_message_destroy(m);
    return result;
}

enum outlet_result progress_read(struct progress_reader *r, int64_t *seq, struct err *e)
{
    int64_t deadline_us = clock_mono_us() + SLICE_MS * US_PER_MS;
    enum outlet_result result = r->reading ? OUTLET_OK : start(r, e);
    bool at_end = false;
    while (result == OUTLET_OK && !at_end) {
        int64_t left_us = deadline_us - clock_mono_us();
        result = left_us > 0 ? read_one(r, (int)(left_us / US_PER_MS), &at_end, e) : OUTLET_AGAIN;
    }
    if (at_end)
        *seq = r->seq;
    return result;
}
