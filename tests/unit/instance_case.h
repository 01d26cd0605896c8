// SPDX-License-Identifier: Apache-2.0
// What the tests of an instance share: one over scripted seams, and short ways to own partitions
// and to feed them.
#ifndef STREAMLENS_TESTS_INSTANCE_CASE_H
#define STREAMLENS_TESTS_INSTANCE_CASE_H

#include "processor/instance.h"

#include "tests/support/fake_emit.h"
#include "tests/support/fake_store_script.h"
#include "tests/unit/task_case.h"

static struct buf trace;
static struct store store;
static struct emit emit;
static struct instance_config config;
static struct instance *in;
static struct err e;

static inline void make(void)
{
    make_env(); // its task goes unused; its logs and stats do not
    trace = (struct buf){0};
    store = (struct store){.trace = &trace,
                           .claim = {.epoch = 9, .flush_seq = 41, .settings = settings}};
    emit = (struct emit){.trace = &trace, .room = FAKE_EMIT_MAX};
    config = (struct instance_config){
        .window_grace_ms = 10000,
        .max_joins = 100,
        .max_cells = 100,
        .max_dead_letters = 100,
        .brokers = "b1:9092,b2:9092",
    };
    in = instance_new(&config, &key, &store, &emit, &stats);
}

static inline void clear(void)
{
    instance_free(in);
    buf_free(&trace);
    free_env();
}

static inline void expect_trace(const char *want)
{
    buf_addc(&trace, '\0');
    ck_assert_str_eq(trace.p, want);
    buf_clear(&trace);
}

#define NOWHERE (-1)
#define LOG_ENDS ((struct log_ends[]){{90, 200}, {690, 900}})

// The partition is claimed and started over logs that hold everything.
static inline void own(int partition)
{
    int64_t from[2];
    ck_assert_int_eq(instance_claim(in, partition, &e), STORE_OK);
    ck_assert_int_eq(instance_start(in, partition, LOG_ENDS, T0, from, &e), START_WHOLE);
}

static inline int offer(int partition, const struct logged *r, int64_t now_ms)
{
    struct task_record record = {.topic = EVENT_REQUEST,
                                 .offset = r->offset,
                                 .time_ms = r->time_ms,
                                 .key = str_of(r->key),
                                 .value = str_of(r->value),
                                 .tick = r->tick};
    return instance_feed(in, partition, &record, T0 + now_ms);
}

static inline void give(int partition, const char *id)
{
    ck_assert_int_eq(offer(partition, append_ask(0, id, ""), 0), FEED_TAKEN);
}

static inline enum flush_result flush_all(void)
{
    for (int i = 0; i < 100; i++) {
        enum flush_result rc = instance_flush_step(in, &e);
        if (rc != FLUSH_AGAIN && rc != FLUSH_WAIT)
            return rc;
    }
    ck_abort_msg("the flush does not end");
}

static inline void make_again(void)
{
    instance_free(in);
    in = instance_new(&config, &key, &store, &emit, &stats);
}

static inline void store_position(int64_t replay, int64_t next)
{
    store.claim.stored = true;
    for (int k = 0; k < 2; k++)
        store.claim.position.log[k] = (struct log_position){
            .next = 600 * k + next, .replay = 600 * k + replay, .time_ms = T0, .last_offset = -1};
}

static inline enum instance_start start_at(const struct log_ends both[2], int64_t from[2])
{
    from[0] = from[1] = NOWHERE;
    ck_assert_int_eq(instance_claim(in, 2, &e), STORE_OK);
    return instance_start(in, 2, both, T0 + 5000, from, &e);
}

// The ends of both logs, of which one is `ends` and the other whole.
static inline void ends_of(int bad, struct log_ends ends, struct log_ends both[2])
{
    both[0] = (struct log_ends){90, 200};
    both[1] = (struct log_ends){690, 800};
    both[bad] = (struct log_ends){600 * bad + ends.low, 600 * bad + ends.high};
}

#endif
