// SPDX-License-Identifier: Apache-2.0
// What the benchmarks share: a clock, lines for tests/bench/run, and made-up events.
#ifndef STREAMLENS_TESTS_BENCH_H
#define STREAMLENS_TESTS_BENCH_H

#include "common/core/buf.h"
#include "common/core/event.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

// CPU time of the process.
static inline int64_t bench_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// A line for tests/bench/run, "bench NAME VALUE UNIT items=N", of what was measured on so many
// items. The name has letters, digits and ._- alone, below 128 bytes.
__attribute__((format(printf, 4, 5))) static inline void
bench_tell(double value, const char *unit, size_t items, const char *name, ...)
{
    char text[128];
    va_list args;
    va_start(args, name);
    vsnprintf(text, sizeof(text), name, args);
    va_end(args);
    printf("bench %s %.6g %s items=%zu\n", text, value, unit, items);
    fflush(stdout); // it may be killed, and then what it has told is not lost
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
