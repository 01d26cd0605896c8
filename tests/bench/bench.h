// SPDX-License-Identifier: Apache-2.0
// What the benchmarks of the processor's core share: a clock, and made-up events.
#ifndef STREAMLENS_TESTS_BENCH_H
#define STREAMLENS_TESTS_BENCH_H

#include "common/core/buf.h"
#include "common/core/event.h"

#include <stdio.h>
#include <time.h>

// CPU time of the process.
static inline int64_t bench_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

enum bench_style {
    BENCH_COMPACT, // no white space, RFC 3339, latencies in whole milliseconds
    BENCH_SPACED,  // as Python's json.dumps: white space, epoch milliseconds, doubles in full
};

struct bench_event {
    enum event_kind kind;
    int64_t time_ms; // when the broker appended it
    struct str key, value;
};

struct bench_events {
    struct bench_event *v; // owned, in order of time; the strings point into bytes
    size_t count;
    struct buf bytes;
};

#define BENCH_SERIES 9600
#define BENCH_PER_MS 10 // requests
#define BENCH_ANSWER_MS 1000

// `pairs` requests over BENCH_SERIES series, from start_ms on, each with its answer. Ids depend on
// start_ms.
void bench_events_make(struct bench_events *out, size_t pairs, int64_t start_ms,
                       enum bench_style style);
void bench_events_free(struct bench_events *e);

#endif
