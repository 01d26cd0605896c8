// SPDX-License-Identifier: Apache-2.0
// An outlet on a string: reads commands, a line each, calls outlet_kafka.c and prints what came of
// it, "ok|again|broken MILLISECONDS SEQUENCE REASON". Configured as a processor is.
//
//   open | progress | begin | put SEQ KEY VALUE TIME_MS | put_progress SEQ | commit | close
//
// Beside it stands a producer of another transactional.id, which writes to the progress topic:
//
//   intrude: begins a transaction with one record    withdraw: aborts it
#include <stdio.h>
#include <unistd.h>

#include "common/io/clock.h"
#include "common/io/kafka.h"
#include "processor/outlet_kafka.h"

// Blanks part words, so a value has none.
static enum outlet_result put(struct outlet *o, const char *line, struct err *e)
{
    char key[256], value[256];
    long long seq, time_ms;
    if (sscanf(line, "put %lld %255s %255s %lld", &seq, key, value, &time_ms) != 4)
        abort();
    struct publish_batch b = {0};
    struct publish_record r = {.seq = seq, .time_ms = time_ms};
    r.key_n = strlen(key);
    r.value_at = r.key_n;
    r.value_n = strlen(value);
    buf_adds(&b.bytes, key);
    buf_adds(&b.bytes, value);
    enum outlet_result result = outlet_put(o, &b, &r, e);
    buf_free(&b.bytes);
    return result;
}

#define INTRUDER_MS 20000
static const struct config *config_used;
static rd_kafka_t *intruder;

static enum outlet_result intrude(struct err *e)
{
    static char key[] = "intruder"; // which a compacted topic insists on
    static const char *const props[] = {"transactional.id", "intruder", NULL};
    rd_kafka_conf_t *conf = kafka_conf_new(config_used, "intruder", props, e);
    intruder = conf ? rd_kafka_new(RD_KAFKA_PRODUCER, conf, e->detail, sizeof(e->detail)) : NULL;
    if (!intruder)
        return OUTLET_BROKEN;
    char *topic = config_topic(config_used, TOPIC_PROGRESS);
    bool failed = rd_kafka_init_transactions(intruder, INTRUDER_MS) ||
                  rd_kafka_begin_transaction(intruder) ||
                  rd_kafka_producev(intruder, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                                    RD_KAFKA_V_KEY(key, sizeof(key) - 1), RD_KAFKA_V_END) ||
                  rd_kafka_flush(intruder, INTRUDER_MS);
    free(topic);
    return failed ? OUTLET_BROKEN : OUTLET_OK;
}

static enum outlet_result withdraw(void)
{
    bool failed = rd_kafka_abort_transaction(intruder, INTRUDER_MS) != NULL;
    rd_kafka_destroy(intruder);
    return failed ? OUTLET_BROKEN : OUTLET_OK;
}

static enum outlet_result call(struct outlet *o, const char *line, int64_t *seq, struct err *e)
{
    char verb[16];
    if (sscanf(line, "%15s", verb) != 1)
        abort();
    if (strcmp(verb, "open") == 0)
        return outlet_open(o, e);
    if (strcmp(verb, "progress") == 0)
        return outlet_progress(o, seq, e);
    if (strcmp(verb, "begin") == 0)
        return outlet_begin(o, e);
    if (strcmp(verb, "put") == 0)
        return put(o, line, e);
    if (strcmp(verb, "put_progress") == 0)
        return outlet_put_progress(o, strtoll(line + sizeof("put_progress"), NULL, 10), e);
    if (strcmp(verb, "commit") == 0)
        return outlet_commit(o, e);
    if (strcmp(verb, "intrude") == 0)
        return intrude(e);
    if (strcmp(verb, "withdraw") == 0)
        return withdraw();
    if (strcmp(verb, "close") != 0)
        abort();
    outlet_close(o);
    return OUTLET_OK;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"ok", "again", "broken"};
    struct config config;
    struct err e = {0};
    enum config_action action;
    struct outlet *o = NULL;
    config_used = &config;
    if (config_load(&config, PROGRAM_PROCESSOR, environ, argc, argv, NULL, &action, &e) == 0)
        o = outlet_kafka_new(&config, &e);
    if (!o)
        fprintf(stderr, "outlet_tool: %s\n", e.detail);
    char line[1024];
    while (o && fgets(line, sizeof(line), stdin)) {
        int64_t seq = -1, began_us = clock_mono_us();
        e.detail[0] = '\0';
        enum outlet_result result = call(o, line, &seq, &e);
        printf("%s %lld %lld %s\n", names[result], (long long)((clock_mono_us() - began_us) / 1000),
               (long long)seq, e.detail);
        fflush(stdout);
    }
    bool failed = !o;
    outlet_free(o);
    config_free(&config);
    return failed;
}
