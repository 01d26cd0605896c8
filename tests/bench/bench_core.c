// SPDX-License-Identifier: Apache-2.0
// What the processor's core costs an event in process: reading it, joining it, counting it. One
// task, live, with a flush's worth of deltas dropped now and then; then a second task that replays
// what the first has consumed.
#include "common/core/timeunit.h"
#include "processor/task.h"
#include "tests/bench/bench.h"

#define START_MS INT64_C(1795241640000) // 2026-11-21T06:14:00Z
#define FLUSH_EVERY 1000000             // events
#define SETTINGS                                                                                   \
    {                                                                                              \
        1,                                                                                         \
        {                                                                                          \
            {                                                                                      \
                1, TIME_NONE, 5 * MS_PER_MIN, MS_PER_MIN, 1                                        \
            }                                                                                      \
        }                                                                                          \
    }

static void drop_deltas(struct task *t, struct window_table *deltas)
{
    struct position at;
    task_position(t, &at);
    task_flushed(t);
    window_clear(deltas);
}

// The offsets of both topics are the numbers of the events.
static struct task_record record_of(const struct bench_events *in, size_t i)
{
    const struct bench_event *v = &in->v[i];
    return (struct task_record){.topic = v->kind,
                                .offset = (int64_t)i,
                                .time_ms = v->time_ms,
                                .key = v->key,
                                .value = v->value};
}

// The next event of the kind from the i-th on, as one waits at the head of its topic.
static size_t next_of(const struct bench_events *in, int kind, size_t i)
{
    while (i < in->count && (int)in->v[i].kind != kind)
        i++;
    return i;
}

static void feed(struct task *t, struct window_table *deltas, const struct bench_events *in,
                 const char *what, const char *style)
{
    size_t taken = 0, at[2];
    struct task_record head[2];
    int64_t flush_ns = 0, begin_ns = bench_cpu_ns();
    for (int k = 0; k < 2; k++) {
        at[k] = next_of(in, k, 0);
        head[k] = record_of(in, at[k]);
        task_expect(t, &head[k]);
    }
    for (size_t i = 0; i < in->count; i++) {
        int k = at[1] == i;
        taken += task_feed(t, &head[k]) == FEED_TAKEN;
        at[k] = next_of(in, k, i + 1);
        if (at[k] < in->count) {
            head[k] = record_of(in, at[k]);
            task_expect(t, &head[k]);
        }
        if (task_is_live(t) && i % FLUSH_EVERY == FLUSH_EVERY - 1) {
            int64_t flush_begin_ns = bench_cpu_ns();
            drop_deltas(t, deltas);
            flush_ns += bench_cpu_ns() - flush_begin_ns;
        }
    }
    double ns = (double)(bench_cpu_ns() - begin_ns - flush_ns) / (double)taken;
    printf("%-8s %6.1f ns an event, %5.2f M/s; %zu of %zu events, %zu identities, %.1f MiB\n", what,
           ns, 1e3 / ns, taken, in->count, join_identity_count(task_join(t)),
           (double)join_bytes(task_join(t)) / 1048576);
    bench_tell(ns, "ns", taken, "core.%s.%s", what, style);
}

static void run(size_t pairs, enum bench_style style, const char *name, const char *what)
{
    struct hash_key key;
    hash_key_init(&key, "bench", 5);
    struct processor_stats stats = {0};
    struct dead_letters_load load = {0};
    struct series_table *series = series_table_new(&key);
    struct task_env env = {&key,   series, event_parser_new(),
                           &stats, &load,  window_table_new(series)};
    const struct task_limits limits = {10 * pairs, 10 * pairs, 1000};
    const struct settings settings = SETTINGS;
    struct bench_events in;
    bench_events_make(&in, pairs, START_MS, style);

    printf("%s:\n", what);
    struct task *live = task_new(0, &limits, &settings, &env, (int64_t[]){0, 0});
    feed(live, env.deltas, &in, "live", name);
    struct position at;
    task_position(live, &at);
    task_free(live);
    at.log[0].replay = at.log[1].replay = 0;
    struct task *replay = task_new_at(0, &limits, &settings, &env, &at);
    feed(replay, env.deltas, &in, "replay", name);
    task_free(replay);
    window_table_free(env.deltas);

    bench_events_free(&in);
    event_parser_free(env.parser);
    series_table_free(env.series);
}

int main(int argc, char **argv)
{
    size_t pairs = argc > 1 ? strtoull(argv[1], NULL, 10) : 500000;
    run(pairs, BENCH_COMPACT, "compact", "compact, RFC 3339");
    run(pairs, BENCH_SPACED, "spaced", "as Python writes it, epoch milliseconds");
    return 0;
}
