// SPDX-License-Identifier: Apache-2.0
// A published batch lives in one of two lists: `waiting`, in order of deadline, until its sender is
// answered; then, while the producer still owes reports on it, in `given_up`. Each record's opaque
// points to its slot in the batch, so a report finds its batch even after the answer.
//
// Everything runs on the loop's thread but partition_of(), which librdkafka may call from its own.
#include "ingest-api/sink_kafka.h"

#include "common/core/hash.h"
#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/kafka.h"
#include "common/io/log.h"
#include "ingest-api/probe_kafka.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#define PROBE_INTERVAL_US US_PER_S
#define PROBE_INTERVAL_START_US (200 * US_PER_MS)
// A topic that setup has just made is not known to every broker yet: so many looks must find it
// wrong.
#define WRONG_LOOKS_AT_START 5
#define EVENTS_PER_TURN 256 // of librdkafka's queue, before the sockets get their turn
// So long after a record that was not taken, and without one taken since, the sink is not ready. It
// must end by itself: while it lasts a load balancer sends nothing that could prove the contrary.
#define FAILING_US (5 * US_PER_S)

struct batch {
    TAILQ_ENTRY(batch) link;
    struct sink *sink;
    sink_done done; // NULL once the sender is answered
    void *arg;
    int64_t published_us, deadline_us;
    size_t count;
    size_t unreported; // records that the producer holds
    enum sink_result *results;
    struct batch *slot[]; // a record's opaque is the address of its slot
};
TAILQ_HEAD(batch_list, batch);

// What the two topics' partitioners share with the loop.
struct partitions {
    int32_t n;       // found at start, and kept
    atomic_int seen; // a count that is not n, once one was met
};

struct sink {
    struct event_base *base;
    const struct config *config;
    struct ingest_stats *stats;
    void (*refuse)(void *arg, const struct err *why);
    void *refuse_arg;

    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *topics[2]; // by event_kind
    char *topic_names[2];
    int64_t max_message_bytes;
    struct partitions partitions;

    int wake_fd;
    struct event *wake, *probe_timer, *deadline_timer;
    bool deadline_armed;
    struct batch_list waiting, given_up;

    bool probing, probe_fine, started, fatal, refused;
    struct err problem; // why not ready, as far as probes know
    int64_t failed_us, acked_us;
    struct log_limit failure_log, error_log;
};

static void timer_set(struct event *ev, int64_t in_us)
{
    struct timeval tv = {.tv_sec = in_us / US_PER_S, .tv_usec = in_us % US_PER_S};
    event_add(ev, &tv);
}

// ---- batches

static struct batch *batch_new(struct sink *s, size_t count, int64_t deadline_us, sink_done done,
                               void *arg)
{
    struct batch *b = xmalloc(sizeof(*b) + count * (sizeof(b->slot[0]) + sizeof(b->results[0])));
    *b = (struct batch){.sink = s,
                        .done = done,
                        .arg = arg,
                        .published_us = clock_mono_us(),
                        .deadline_us = deadline_us,
                        .count = count,
                        .results = (enum sink_result *)(b->slot + count)};
    for (size_t i = 0; i < count; i++) {
        b->slot[i] = b;
        b->results[i] = SINK_UNAVAILABLE;
    }
    // Deadlines come nearly in order, so the place is at or near the end.
    struct batch *before = TAILQ_LAST(&s->waiting, batch_list);
    while (before && before->deadline_us > deadline_us)
        before = TAILQ_PREV(before, batch_list, link);
    if (before)
        TAILQ_INSERT_AFTER(&s->waiting, before, b, link);
    else
        TAILQ_INSERT_HEAD(&s->waiting, b, link);
    s->stats->pending += (int64_t)count;
    return b;
}

// Answers the sender. The batch is gone afterwards, unless the producer still owes reports.
static void batch_answer(struct batch *b)
{
    struct sink *s = b->sink;
    TAILQ_REMOVE(&s->waiting, b, link);
    s->stats->pending -= (int64_t)b->count;
    b->done(b->arg, b->results, b->count);
    b->done = NULL;
    if (b->unreported > 0)
        TAILQ_INSERT_TAIL(&s->given_up, b, link);
    else
        free(b);
}

static void arm_deadline(struct sink *s, int64_t now_us)
{
    struct batch *first = TAILQ_FIRST(&s->waiting);
    if (!first || s->deadline_armed)
        return;
    s->deadline_armed = true;
    timer_set(s->deadline_timer, max_i64(first->deadline_us - now_us, 0));
}

static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    struct sink *s = arg;
    int64_t now_us = clock_mono_us();
    struct batch *b;
    s->deadline_armed = false;
    while ((b = TAILQ_FIRST(&s->waiting)) && b->deadline_us <= now_us) {
        s->stats->failed_deadline += (int64_t)b->unreported;
        s->failed_us = now_us;
        batch_answer(b);
    }
    arm_deadline(s, now_us);
}

// ---- reports

static enum sink_result result_of(struct sink *s, const rd_kafka_message_t *m)
{
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return SINK_ACKED;
    if (m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        s->stats->failed_too_large++;
        return SINK_TOO_LARGE;
    }
    s->stats->failed_broker++;
    return SINK_UNAVAILABLE;
}

static void report_failure(struct sink *s, const rd_kafka_message_t *m, int64_t now_us)
{
    s->failed_us = now_us;
    if (log_limit(&s->failure_log, now_us, US_PER_S))
        log_warn("record not acknowledged", "topic", rd_kafka_topic_name(m->rkt), "error",
                 rd_kafka_err2str(m->err), "unlogged", log_num(s->failure_log.suppressed));
}

static void on_report(struct sink *s, const rd_kafka_message_t *m, int64_t now_us)
{
    struct batch **slot = m->_private;
    struct batch *b = *slot;
    enum sink_result result = result_of(s, m);

    s->stats->unreported--;
    b->unreported--;
    if (result == SINK_ACKED) {
        s->acked_us = now_us;
        stats_observe_us(&s->stats->ack_seconds, now_us - b->published_us);
    } else {
        report_failure(s, m, now_us);
    }
    if (b->done) {
        b->results[slot - b->slot] = result;
        if (b->unreported == 0)
            batch_answer(b);
        return;
    }
    s->stats->late_reports++;
    if (b->unreported == 0) {
        TAILQ_REMOVE(&s->given_up, b, link);
        free(b);
    }
}

static void on_reports(struct sink *s, rd_kafka_event_t *ev)
{
    int64_t now_us = clock_mono_us();
    const rd_kafka_message_t *m;
    while ((m = rd_kafka_event_message_next(ev)))
        on_report(s, m, now_us);
}

static void on_error(struct sink *s, rd_kafka_event_t *ev)
{
    // The event of a fatal error carries its cause; whether it was one only the client tells.
    if (rd_kafka_fatal_error(s->rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        s->fatal = true;
        return;
    }
    if (log_limit(&s->error_log, clock_mono_us(), US_PER_S))
        log_warn("kafka client error", "error", rd_kafka_event_error_string(ev), "unlogged",
                 log_num(s->error_log.suppressed));
}

// ---- looking at the topics

static void refuse(struct sink *s, const struct err *why)
{
    if (s->refused)
        return;
    s->refused = true;
    s->problem = *why;
    s->refuse(s->refuse_arg, why);
}

static void became_fine(struct sink *s)
{
    if (!s->started)
        log_info("topics checked", "partitions", log_num(s->partitions.n));
    else if (!s->probe_fine)
        log_info("broker answers again");
    s->started = s->probe_fine = true;
}

static void on_probe(struct sink *s, rd_kafka_event_t *ev)
{
    struct err e;
    enum probe_verdict v = probe_read(ev, s->max_message_bytes, &e);
    // At start also "no such topic" is an answer, and then the check says what to do about it.
    if (!s->started && v != PROBE_WRONG && rd_kafka_event_error(ev) == RD_KAFKA_RESP_ERR_NO_ERROR)
        v = probe_topics(s->rk, s->config, &s->partitions.n, &e);
    s->probing = false;
    if (v == PROBE_FINE) {
        became_fine(s);
        return;
    }
    if (v == PROBE_WRONG) {
        refuse(s, &e);
        return;
    }
    s->stats->probes_failed++;
    if (s->probe_fine || s->problem.detail[0] == '\0')
        log_warn("not ready", "reason", e.detail);
    s->probe_fine = false;
    s->problem = e;
}

static void on_probe_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    struct sink *s = arg;
    if (s->refused)
        return;
    timer_set(s->probe_timer, s->started ? PROBE_INTERVAL_US : PROBE_INTERVAL_START_US);
    if (s->probing || !s->rk)
        return;
    s->probing = true;
    probe_send(s->rk, s->queue, (const char *const[2]){s->topic_names[0], s->topic_names[1]});
}

static void check_partitions(struct sink *s)
{
    int seen = atomic_load_explicit(&s->partitions.seen, memory_order_relaxed);
    if (seen == 0 || s->refused)
        return;
    struct err e;
    err_set(&e,
            "the input topics had %d partitions and now one has %d: keys would change their "
            "partition; streamlens-admin setup says what can be done",
            (int)s->partitions.n, seen);
    refuse(s, &e);
}

// ---- the producer

// librdkafka calls this in whichever thread first knows the topic's metadata.
static int32_t partition_of(const rd_kafka_topic_t *rkt UNUSED, const void *key, size_t key_n,
                            int32_t partition_count, void *rkt_opaque, void *msg_opaque UNUSED)
{
    struct partitions *p = rkt_opaque;
    if (partition_count != p->n) // the record still goes where its partner would have gone
        atomic_store_explicit(&p->seen, partition_count, memory_order_relaxed);
    return hash_partition((struct str){key, key_n}, p->n);
}

static rd_kafka_conf_t *producer_conf(const struct config *c, struct err *e)
{
    char linger[24], timeout[24], kbytes[24], messages[24];
    snprintf(linger, sizeof(linger), "%lld", (long long)c->linger_ms);
    snprintf(timeout, sizeof(timeout), "%lld", (long long)c->ack_timeout_ms);
    snprintf(kbytes, sizeof(kbytes), "%lld", (long long)max_i64(c->produce_buffer_bytes / 1024, 1));
    // librdkafka counts the bytes of values alone. A bound of the records bounds the rest: its own
    // bookkeeping, 200 bytes or so, and twice that with a header. A batch must fit in any case.
    int64_t uncounted = strcmp(c->auth, "none") == 0 ? 256 : 512;
    snprintf(messages, sizeof(messages), "%lld",
             (long long)min_i64(max_i64(c->produce_buffer_bytes / uncounted, c->max_batch_events),
                                10000000));
    const char *const props[] = {
        "enable.idempotence",
        "true",
        "acks",
        "all",
        "linger.ms",
        linger,
        "message.timeout.ms",
        timeout, // a record nobody waits for any more only takes up the queue
        "request.timeout.ms",
        timeout,
        "queue.buffering.max.kbytes",
        kbytes,
        "queue.buffering.max.messages",
        messages,
        "topic.metadata.refresh.interval.ms",
        "30000", // how soon a changed N shows
        NULL,
    };
    rd_kafka_conf_t *conf = kafka_conf_new(c, "streamlens-ingest-api", props, e);
    if (conf)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    return conf;
}

static void read_max_message_bytes(struct sink *s)
{
    char value[24] = "";
    size_t n = sizeof(value);
    if (rd_kafka_conf_get(rd_kafka_conf(s->rk), "message.max.bytes", value, &n) == RD_KAFKA_CONF_OK)
        s->max_message_bytes = strtoll(value, NULL, 10);
}

static int producer_open(struct sink *s, struct err *e)
{
    static const uint64_t one = 1;
    char why[256];
    rd_kafka_conf_t *conf = producer_conf(s->config, e);
    if (!conf)
        return -1;
    s->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!s->rk) {
        rd_kafka_conf_destroy(conf);
        return err_set(e, "cannot make a producer: %s", why);
    }
    for (int i = 0; i < 2; i++) {
        rd_kafka_topic_conf_t *tc = rd_kafka_default_topic_conf_dup(s->rk);
        rd_kafka_topic_conf_set_opaque(tc, &s->partitions);
        rd_kafka_topic_conf_set_partitioner_cb(tc, partition_of);
        s->topics[i] = rd_kafka_topic_new(s->rk, s->topic_names[i], tc);
    }
    read_max_message_bytes(s);
    s->queue = rd_kafka_queue_get_main(s->rk);
    rd_kafka_queue_io_event_enable(s->queue, s->wake_fd, &one, sizeof(one));
    // The descriptor tells when the queue stops being empty. What came before, such as a refused
    // connection, has not told it, and nothing after would.
    event_active(s->wake, EV_READ, 0);
    s->stats->producers++;
    return 0;
}

// Whatever the producer held is then unacknowledged; it may be in the log all the same.
static void producer_close(struct sink *s)
{
    struct batch *b;
    if (s->rk) {
        rd_kafka_purge(s->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_queue_io_event_enable(s->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(s->queue);
        for (int i = 0; i < 2; i++)
            rd_kafka_topic_destroy(s->topics[i]);
        rd_kafka_destroy(s->rk);
        s->rk = NULL;
        s->queue = NULL;
    }
    s->stats->unreported = 0;
    while ((b = TAILQ_FIRST(&s->waiting))) {
        s->stats->failed_broker += (int64_t)b->unreported;
        b->unreported = 0;
        batch_answer(b);
    }
    while ((b = TAILQ_FIRST(&s->given_up))) {
        TAILQ_REMOVE(&s->given_up, b, link);
        free(b);
    }
    s->probing = s->probe_fine = false;
}

static void producer_renew(struct sink *s)
{
    char why[256] = "";
    struct err e;
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(s->rk, why, sizeof(why));
    log_error("producer failed for good, making a new one", "error", rd_kafka_err2name(code),
              "detail", why);
    s->fatal = false;
    err_set(&s->problem, "the producer failed and is made anew");
    producer_close(s);
    if (producer_open(s, &e) < 0)
        refuse(s, &e);
}

static void on_event(struct sink *s, rd_kafka_event_t *ev)
{
    switch (rd_kafka_event_type(ev)) {
    case RD_KAFKA_EVENT_DR:
        on_reports(s, ev);
        break;
    case RD_KAFKA_EVENT_ERROR:
        on_error(s, ev);
        break;
    case RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT:
        on_probe(s, ev);
        break;
    default:
        break;
    }
}

static void on_wake(evutil_socket_t fd, short what UNUSED, void *arg)
{
    struct sink *s = arg;
    uint64_t count;
    rd_kafka_event_t *ev;
    if (read(fd, &count, sizeof(count)) < 0) {
        // Nothing to read: this turn goes on with what the last one left.
    }
    for (int i = 0; i < EVENTS_PER_TURN && s->queue; i++) {
        ev = rd_kafka_queue_poll(s->queue, 0);
        if (!ev)
            break;
        on_event(s, ev);
        rd_kafka_event_destroy(ev);
        // The descriptor only tells when the queue stops being empty, so what remains is ours to
        // note.
        if (i == EVENTS_PER_TURN - 1)
            event_active(s->wake, EV_READ, 0);
    }
    check_partitions(s);
    if (s->fatal && !s->refused)
        producer_renew(s);
}

// ---- the seam

// A header costs its record half as much again in time (0.16 us, measured) and 224 bytes, so there
// is none without a tenant.
static rd_kafka_resp_err_t produce(struct sink *s, const struct ingest_record *r,
                                   struct batch **slot)
{
    union {
        const char *in;
        void *out; // librdkafka copies, its prototypes do not say so
    } value = {r->value.p}, key = {r->key.p};
    rd_kafka_topic_t *topic = s->topics[r->kind];
    if (r->tenant.p)
        return rd_kafka_producev(
            s->rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_VALUE(value.out, r->value.n), RD_KAFKA_V_KEY(key.out, r->key.n),
            RD_KAFKA_V_OPAQUE(slot), RD_KAFKA_V_HEADER("tenant", r->tenant.p, (ssize_t)r->tenant.n),
            RD_KAFKA_V_END);
    if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value.out, r->value.n,
                         r->key.p, r->key.n, slot) == 0)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    return rd_kafka_last_error();
}

// Whether the producer took the record; if not, *result says what to answer.
static bool hand_over(struct sink *s, const struct ingest_record *r, struct batch **slot,
                      enum sink_result *result)
{
    switch (produce(s, r, slot)) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return true;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        s->stats->failed_queue_full++;
        *result = SINK_BUSY;
        break;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        s->stats->failed_too_large++;
        *result = SINK_TOO_LARGE;
        break;
    default: // a fatal error comes as an event too
        s->stats->failed_broker++;
        s->failed_us = clock_mono_us();
        *result = SINK_UNAVAILABLE;
        break;
    }
    return false;
}

// Returns whether the sender must wait for reports. One record that is not taken decides the answer
// (all is to be sent again), so the rest is not even tried.
static bool hand_over_all(struct sink *s, const struct ingest_record *records, struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (hand_over(s, &records[i], &b->slot[i], &b->results[i])) {
            b->unreported++;
            s->stats->unreported++;
        } else if (b->results[i] != SINK_TOO_LARGE) {
            return false;
        }
    }
    return b->unreported > 0;
}

void sink_publish(struct sink *s, const struct ingest_record *records, size_t count,
                  int64_t deadline_us, sink_done done, void *arg)
{
    assert(count > 0);
    struct batch *b = batch_new(s, count, deadline_us, done, arg);
    if (!s->started || s->refused || !s->rk) {
        s->stats->failed_not_ready += (int64_t)count;
        batch_answer(b);
        return;
    }
    int64_t now_us = b->published_us;
    if (!hand_over_all(s, records, b))
        batch_answer(b);
    arm_deadline(s, now_us);
    if (atomic_load_explicit(&s->partitions.seen, memory_order_relaxed) != 0)
        event_active(s->wake, EV_READ, 0);
}

int sink_ready(const struct sink *s, struct err *why)
{
    if (!s->probe_fine || s->refused) {
        *why = s->problem;
        if (why->detail[0] == '\0')
            err_set(why, "the topics have not been checked yet");
        return -1;
    }
    if (s->failed_us > s->acked_us && clock_mono_us() - s->failed_us < FAILING_US)
        return err_set(why, "records are not being acknowledged");
    return 0;
}

bool sink_started(const struct sink *s)
{
    return s->started;
}

static int make_events(struct sink *s)
{
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake_fd < 0)
        return -1;
    s->wake = event_new(s->base, s->wake_fd, EV_READ | EV_PERSIST, on_wake, s);
    s->probe_timer = evtimer_new(s->base, on_probe_timer, s);
    s->deadline_timer = evtimer_new(s->base, on_deadline, s);
    if (!s->wake || !s->probe_timer || !s->deadline_timer)
        return -1;
    event_add(s->wake, NULL);
    timer_set(s->probe_timer, 0);
    return 0;
}

struct sink *sink_kafka_new(struct event_base *base, const struct config *config,
                            struct ingest_stats *stats,
                            void (*refuse_cb)(void *arg, const struct err *why), void *arg,
                            struct err *e)
{
    struct sink *s = xcalloc(1, sizeof(*s));
    s->base = base;
    s->config = config;
    s->stats = stats;
    s->refuse = refuse_cb;
    s->refuse_arg = arg;
    s->topic_names[EVENT_REQUEST] = config_topic(config, TOPIC_REQUESTS);
    s->topic_names[EVENT_RESPONSE] = config_topic(config, TOPIC_RESPONSES);
    TAILQ_INIT(&s->waiting);
    TAILQ_INIT(&s->given_up);
    if (make_events(s) < 0)
        err_set(e, "cannot make an event descriptor");
    else if (producer_open(s, e) == 0)
        return s;
    sink_free(s);
    return NULL;
}

void sink_free(struct sink *s)
{
    if (!s)
        return;
    producer_close(s);
    if (s->wake)
        event_free(s->wake);
    if (s->probe_timer)
        event_free(s->probe_timer);
    if (s->deadline_timer)
        event_free(s->deadline_timer);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    free(s->topic_names[0]);
    free(s->topic_names[1]);
    free(s);
}

int sink_kafka_test_fatal(struct sink *s)
{
    if (!s->rk)
        return -1;
    return rd_kafka_test_fatal_error(s->rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                                     "provoked by a test") == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : -1;
}
