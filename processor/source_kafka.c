// SPDX-License-Identifier: Apache-2.0
// Every topic-partition has its own queue, cut loose from the consumer's (rd_kafka_queue_forward to
// NULL) before it is assigned: so the task decides which topic moves, and a topic that is held back
// simply is not read. Pausing is not used: it throws fetches away and was seen to stall for good.
//
// librdkafka resets max.poll.interval.ms on any queue that is polled, but serves rebalances on the
// consumer queue alone: source_serve must be called every round.
#include "processor/source_kafka.h"

#include <stdio.h>

#include "common/io/clock.h"
#include "common/io/log.h"

#define BATCH 1000
#define FETCHED_AHEAD 512 // bytes of a record; most have fewer
#define ENDS_TIMEOUT_MS 5000
#define LEAVE_US 5000000
#define MAX_POLL_INTERVAL_MS 60000 // every wait for PostgreSQL is shorter
// Of all partitions, unless that leaves one less than 1 MiB. Of small records the bytes are a third
// of what they take in memory (measured: 480 bytes a record of 160).
#define PREFETCH_KIB (24 * 1024)

struct reader {
    rd_kafka_queue_t *queue;
    rd_kafka_message_t *batch[BATCH]; // batch[at … count) are ours to destroy
    size_t at, count;
    bool at_end;
    int64_t end; // where that is, once it is reached
    bool broken; // for good, error says how
    struct err error;
};

struct source {
    rd_kafka_t *rk;
    struct source_events events;
    char *topic[2];
    int partitions;
    struct reader *readers[2]; // by topic, then partition
    bool assigned;
    enum source_state state;
    struct err error;          // once the state is not SOURCE_OK
    int wake_fd;               // borrowed
    struct reader *polled;     // the reader whose queue is being looked at
    rd_kafka_queue_t *answers; // see wake_fetchers()
    bool asked;                // a request is under way
    int64_t taken_bytes;       // since the last one
    struct log_limit complaint;
};

// The source leaves SOURCE_OK: where to say why. NULL (which err_set takes) where it had left
// already; the first reason stands.
static struct err *become(struct source *s, enum source_state state)
{
    struct err *e = s->state == SOURCE_OK ? &s->error : NULL;
    if (s->state == SOURCE_OK)
        s->state = state;
    return e;
}

// ---- readers ----

static void reader_clear(struct reader *r)
{
    while (r->at < r->count)
        rd_kafka_message_destroy(r->batch[r->at++]);
    r->at = r->count = 0;
    r->at_end = r->broken = false;
}

static void reader_open(struct source *s, int topic, int partition)
{
    static const uint64_t one = 1;
    struct reader *r = &s->readers[topic][partition];
    reader_clear(r);
    if (r->queue)
        return; // the cut from the consumer queue outlives reassignments
    r->queue = rd_kafka_queue_get_partition(s->rk, s->topic[topic], partition);
    rd_kafka_queue_forward(r->queue, NULL);
    rd_kafka_queue_io_event_enable(r->queue, s->wake_fd, &one, sizeof(one));
}

static void readers_clear(struct source *s)
{
    for (int k = 0; k < 2; k++)
        for (int p = 0; p < s->partitions; p++)
            reader_clear(&s->readers[k][p]);
}

// The log of this topic-partition is not the one that was read. The first reason stands.
static void break_reader(struct reader *r, const char *what, const char *why)
{
    if (!r->broken)
        err_set(&r->error,
                "%s: %s; the log is not the one that was consumed (deleted, recreated or "
                "truncated)",
                what, why);
    r->broken = true;
}

static bool is_other_log(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
           err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE ||
           err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

// What stands in a partition's queue instead of a record.
static void on_partition_event(struct source *s, struct reader *r, rd_kafka_message_t *m)
{
    char what[320];
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        r->at_end = true;
        r->end = m->offset;
    } else if (is_other_log(m->err)) {
        snprintf(what, sizeof(what), "%s, partition %d", rd_kafka_topic_name(m->rkt), m->partition);
        break_reader(r, what, rd_kafka_err2str(m->err));
    } else if (log_limit(&s->complaint, clock_mono_us(), 5000000)) {
        log_warn("fetch failed", "topic", rd_kafka_topic_name(m->rkt), "partition",
                 log_num(m->partition), "error", rd_kafka_err2str(m->err));
    }
}

// Takes what stands in the queue into the reader's empty batch; false where nothing does.
static bool reader_fill(struct source *s, struct reader *r)
{
    s->polled = r;
    ssize_t n = rd_kafka_consume_batch_queue(r->queue, 0, r->batch, BATCH);
    s->polled = NULL;
    r->at = 0;
    r->count = n > 0 ? (size_t)n : 0;
    return r->count > 0;
}

// Records were written into memory by another thread, on another core: while one is counted, the
// next one is on its way here. 6 % of a replay, more of a backlog (paired runs of
// tests/bench/replay).
static void fetch_ahead(const struct reader *r)
{
    if (r->at + 2 < r->count)
        __builtin_prefetch(r->batch[r->at + 2]);
    if (r->at + 1 == r->count)
        return;
    const rd_kafka_message_t *next = r->batch[r->at + 1];
    for (size_t i = 0; i < next->len && i < FETCHED_AHEAD; i += 64)
        __builtin_prefetch((const char *)next->payload + i);
}

// Moves the reader to its next record, past events; false where none is ready.
static bool reader_advance(struct source *s, struct reader *r)
{
    for (;;) {
        if (r->at == r->count && !reader_fill(s, r))
            return false;
        rd_kafka_message_t *m = r->batch[r->at];
        if (!m->err) {
            r->at_end = false;
            fetch_ahead(r);
            return true;
        }
        on_partition_event(s, r, m);
        rd_kafka_message_destroy(m);
        r->at++;
    }
}

// A message that was not destroyed would hang rd_kafka_destroy for ever, and so would the errors of
// a topic that is gone, which stand in the queue of each of its partitions.
static void reader_close(struct source *s, struct reader *r)
{
    reader_clear(r);
    if (!r->queue)
        return;
    while (reader_fill(s, r))
        reader_clear(r);
    rd_kafka_queue_destroy(r->queue);
}

static void read_headers(rd_kafka_message_t *m, struct task_record *out)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t n;
    out->tick = false;
    out->tenant = (struct str){NULL, 0};
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    out->tick =
        m->len == 0 && rd_kafka_header_get_last(headers, "streamlens-tick", &value, &n) == 0;
    if (rd_kafka_header_get_last(headers, "tenant", &value, &n) == 0)
        out->tenant = (struct str){value, n};
}

// A thread of the client library that finds the queues of all its partitions full sleeps for up to
// a second, however soon we have emptied them, unless something happens (2.0.2; since 2.2
// fetch.queue.backoff.ms sets the time). So a reader that is empty before its end has every broker
// asked something small: sending that wakes the thread. All queues hold PREFETCH_KIB when they are
// full, so a quarter of it is often enough to ask, and rare where one reads at the tail.
static void wake_fetchers(struct source *s)
{
    if (s->asked || s->taken_bytes < PREFETCH_KIB / 4 * INT64_C(1024))
        return;
    s->asked = true;
    s->taken_bytes = 0;
    rd_kafka_ListConsumerGroups(s->rk, NULL, s->answers);
}

static void drop_answers(struct source *s)
{
    rd_kafka_event_t *answer;
    while (s->asked && (answer = rd_kafka_queue_poll(s->answers, 0))) {
        rd_kafka_event_destroy(answer);
        s->asked = false;
    }
}

enum source_head source_peek(struct source *s, int partition, enum event_kind topic,
                             struct task_record *out, struct err *e)
{
    struct reader *r = &s->readers[topic][partition];
    assert(r->queue); // assigned with somewhere to read from
    bool ready = s->state == SOURCE_OK && !r->broken && reader_advance(s, r);
    rd_kafka_message_t *m = ready ? r->batch[r->at] : NULL;
    rd_kafka_timestamp_type_t type;
    if (m) {
        out->time_ms = rd_kafka_message_timestamp(m, &type);
        if (type != RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME) {
            err_set(&r->error,
                    "%s, partition %d: the record at offset %lld has no LogAppendTime; set "
                    "message.timestamp.type=LogAppendTime and use topics that were made with it",
                    s->topic[topic], partition, (long long)m->offset);
            r->broken = true;
        }
    }
    if (r->broken) {
        *e = r->error;
        return SOURCE_BROKEN;
    }
    if (!m) {
        out->offset = r->end;
        if (r->at_end)
            return SOURCE_AT_END;
        wake_fetchers(s);
        return SOURCE_NOTHING;
    }
    out->topic = topic;
    out->offset = m->offset;
    out->identity = (struct hash128){0, 0};
    out->key = (struct str){m->key, m->key_len};
    out->value = (struct str){m->payload, m->len};
    read_headers(m, out);
    return SOURCE_RECORD;
}

void source_taken(struct source *s, int partition, enum event_kind topic)
{
    struct reader *r = &s->readers[topic][partition];
    assert(r->at < r->count);
    s->taken_bytes += (int64_t)(r->batch[r->at]->len + r->batch[r->at]->key_len);
    rd_kafka_message_destroy(r->batch[r->at++]);
}

// ---- the group ----

static int assign_both(struct source *s, const rd_kafka_topic_partition_list_t *given)
{
    size_t n = (size_t)given->cnt;
    int *partitions = xcalloc(n, sizeof(*partitions));
    int64_t(*from)[2] = xcalloc(n, sizeof(*from));
    for (size_t i = 0; i < n; i++) {
        partitions[i] = given->elems[i].partition;
        from[i][0] = from[i][1] = SOURCE_NOWHERE;
    }
    struct err e = {0};
    int rc = s->events.assigned(s->events.arg, partitions, n, from, &e);
    if (rc != 0) {
        err_set(become(s, rc < 0 ? SOURCE_DEAD : SOURCE_REOPEN), "%s", e.detail);
    } else {
        rd_kafka_topic_partition_list_t *both = rd_kafka_topic_partition_list_new((int)n * 2);
        for (size_t i = 0; i < n; i++)
            for (int k = 0; k < 2 && from[i][k] != SOURCE_NOWHERE; k++) {
                reader_open(s, k, partitions[i]);
                rd_kafka_topic_partition_list_add(both, s->topic[k], partitions[i])->offset =
                    from[i][k];
            }
        rd_kafka_resp_err_t err = rd_kafka_assign(s->rk, both);
        if (err)
            rc = err_set(become(s, SOURCE_DEAD), "cannot assign partitions: %s",
                         rd_kafka_err2str(err));
        rd_kafka_topic_partition_list_destroy(both);
    }
    free(partitions);
    free(from);
    return rc;
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *partitions, void *arg)
{
    struct source *s = arg;
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        log_info("partitions assigned", "count", log_num(partitions->cnt));
        if (assign_both(s, partitions) != 0)
            rd_kafka_assign(rk, NULL);
        else
            s->assigned = true;
        return;
    }
    log_info("partitions revoked", "count", log_num(partitions->cnt), "lost",
             rd_kafka_assignment_lost(rk) ? "yes" : "no");
    s->assigned = false;
    s->events.revoked(s->events.arg);
    rd_kafka_assign(rk, NULL);
    readers_clear(s);
}

// What concerns one partition alone comes from that partition's queue too, while it is looked at.
static void on_error(rd_kafka_t *rk, int err, const char *reason, void *arg)
{
    struct source *s = arg;
    (void)rk;
    if (s->polled && is_other_log(err))
        break_reader(s->polled, reason, rd_kafka_err2str(err));
    else if (log_limit(&s->complaint, clock_mono_us(), 5000000))
        log_warn("broker trouble", "error", rd_kafka_err2str(err), "reason", reason);
}

static rd_kafka_conf_t *make_conf(const struct config *c, int64_t partitions, struct err *e)
{
    char session[24], heartbeat[24], max_poll[24], prefetch[24];
    int64_t prefetch_kib = max_i64(1024, min_i64(4096, PREFETCH_KIB / (2 * partitions)));
    snprintf(prefetch, sizeof(prefetch), "%lld", (long long)prefetch_kib);
    snprintf(session, sizeof(session), "%lld", (long long)c->session_timeout_ms);
    snprintf(heartbeat, sizeof(heartbeat), "%lld",
             (long long)min_i64(1000, c->session_timeout_ms / 4));
    snprintf(max_poll, sizeof(max_poll), "%lld",
             (long long)max_i64(MAX_POLL_INTERVAL_MS, c->session_timeout_ms));
    char *group = config_group(c);
    const char *props[] = {
        "group.id",
        group,
        "partition.assignment.strategy",
        "range", // the only one to be trusted before 2.6.1
        "session.timeout.ms",
        session,
        "heartbeat.interval.ms",
        heartbeat,
        "max.poll.interval.ms",
        max_poll,
        "enable.auto.commit",
        "false",
        "enable.auto.offset.store",
        "false",
        "auto.offset.reset",
        "error", // a position out of range is ours to judge
        "enable.partition.eof",
        "true",
        // Each queue has this limit for itself, since it is cut loose. A partition over it is not
        // fetched for a whole second: 4 MiB keep one at full speed, 1 MiB a merge of many
        // (measured).
        "queued.max.messages.kbytes",
        prefetch,
        // Of a partition in an answer, so a queue may be over its limit by that. With 128 KiB a
        // replay took a tenth longer; 1 MiB was no quicker.
        "fetch.message.max.bytes",
        "524288",
        // At the tail a fetch costs what asking all partitions does, however little it brings: at
        // 20,000 events a second these make 20 a second, where 100,000 bytes and 20 ms made 50 and
        // a third more CPU an event (the median of 11 pairs, 200 series). Half of what one
        // partition may bring, so that one that is behind fills a fetch alone.
        "fetch.min.bytes",
        "262144",
        "fetch.wait.max.ms",
        "50",
        c->group_instance_id[0] ? "group.instance.id" : NULL,
        c->group_instance_id,
        NULL,
    };
    rd_kafka_conf_t *conf = kafka_conf_new(c, "streamlens-processor", props, e);
    free(group);
    return conf;
}

static int subscribe(struct source *s, struct err *e)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, s->topic[EVENT_REQUEST], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(s->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return err ? err_set(e, "cannot subscribe: %s", rd_kafka_err2str(err)) : 0;
}

struct source *source_new(const struct config *c, const struct store_settings *settings,
                          const struct source_events *events, int wake_fd, struct err *e)
{
    static const uint64_t one = 1;
    rd_kafka_conf_t *conf = make_conf(c, settings->partitions, e);
    if (!conf)
        return NULL;
    struct source *s = xcalloc(1, sizeof(*s));
    s->events = *events;
    s->partitions = (int)settings->partitions;
    s->wake_fd = wake_fd;
    rd_kafka_conf_set_opaque(conf, s);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    char why[256];
    s->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (!s->rk) {
        rd_kafka_conf_destroy(conf);
        err_set(e, "cannot make a consumer: %s", why);
        source_free(s);
        return NULL;
    }
    rd_kafka_poll_set_consumer(s->rk);
    s->topic[EVENT_REQUEST] = config_topic(c, TOPIC_REQUESTS);
    s->topic[EVENT_RESPONSE] = config_topic(c, TOPIC_RESPONSES);
    for (int k = 0; k < 2; k++)
        s->readers[k] = xcalloc((size_t)s->partitions, sizeof(struct reader));
    rd_kafka_queue_t *consumer = rd_kafka_queue_get_consumer(s->rk);
    rd_kafka_queue_io_event_enable(consumer, s->wake_fd, &one, sizeof(one));
    rd_kafka_queue_destroy(consumer);
    s->answers = rd_kafka_queue_new(s->rk);
    if (subscribe(s, e) < 0) {
        source_free(s);
        return NULL;
    }
    return s;
}

// False where the broker did not take the farewell in time: rd_kafka_consumer_close would go on
// waiting for it, for minutes where the broker is frozen.
static bool leave_group(struct source *s)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(s->rk);
    rd_kafka_error_t *refused = rd_kafka_consumer_close_queue(s->rk, queue);
    int64_t deadline_us = clock_mono_us() + LEAVE_US;
    while (!refused && !rd_kafka_consumer_closed(s->rk) && clock_mono_us() < deadline_us)
        if (rd_kafka_queue_poll_callback(queue, 50) > 0) // on_rebalance flushes, which takes time
            deadline_us = clock_mono_us() + LEAVE_US;
    bool left = refused || rd_kafka_consumer_closed(s->rk);
    rd_kafka_error_destroy(refused);
    rd_kafka_queue_destroy(queue);
    return left;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    if (s->rk) {
        // Closing calls back into on_rebalance, which needs the readers.
        if (!leave_group(s)) {
            log_warn("the broker does not let us leave the group; the client is abandoned");
            return; // it still refers to the source
        }
        for (int k = 0; k < 2; k++)
            for (int p = 0; p < s->partitions; p++)
                reader_close(s, &s->readers[k][p]);
        rd_kafka_queue_destroy(s->answers);
        rd_kafka_destroy(s->rk);
    }
    for (int k = 0; k < 2; k++) {
        free(s->readers[k]);
        free(s->topic[k]);
    }
    free(s);
}

enum source_state source_serve(struct source *s, struct err *e)
{
    rd_kafka_message_t *m;
    while ((m = rd_kafka_consumer_poll(s->rk, 0))) {
        // Only errors come here; records stand in their partition's queue.
        if (m->err && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            log_warn("consumer", "error", rd_kafka_message_errstr(m));
        rd_kafka_message_destroy(m);
    }
    drop_answers(s);
    char why[256];
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(s->rk, why, sizeof(why));
    if (fatal)
        err_set(
            become(s, fatal == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ? SOURCE_FENCED : SOURCE_DEAD),
            "%s: %s", rd_kafka_err2name(fatal), why);
    if (s->state != SOURCE_OK)
        *e = s->error;
    return s->state;
}

int source_ends(struct source *s, int partition, struct log_ends ends[2], struct err *e)
{
    for (int k = 0; k < 2; k++) {
        rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(
            s->rk, s->topic[k], partition, &ends[k].low, &ends[k].high, ENDS_TIMEOUT_MS);
        if (err)
            return err_set(e, "%s, partition %d: cannot ask for its first and last offset: %s",
                           s->topic[k], partition, rd_kafka_err2str(err));
    }
    return 0;
}

int64_t source_log_end(const struct source *s, int partition, enum event_kind topic)
{
    int64_t low, high;
    rd_kafka_resp_err_t err =
        rd_kafka_get_watermark_offsets(s->rk, s->topic[topic], partition, &low, &high);
    return err || high < 0 ? -1 : high;
}

int64_t source_prefetched(const struct source *s)
{
    size_t n = 0;
    for (int k = 0; k < 2; k++)
        for (int p = 0; p < s->partitions; p++) {
            const struct reader *r = &s->readers[k][p];
            n += r->count - r->at + (r->queue ? rd_kafka_queue_length(r->queue) : 0);
        }
    return (int64_t)n;
}

void source_commit(struct source *s, const int *partitions, size_t count, int64_t (*next)[2])
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count * 2);
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 2; k++)
            rd_kafka_topic_partition_list_add(list, s->topic[k], partitions[i])->offset =
                next[i][k];
    rd_kafka_commit(s->rk, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

bool source_is_assigned(const struct source *s)
{
    return s->assigned;
}
