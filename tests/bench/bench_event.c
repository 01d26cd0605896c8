// SPDX-License-Identifier: Apache-2.0
// What it costs to read an event: the scanner and jansson beside each other on the same events,
// then event_parse() on events that either of the two reads.
#include "tests/bench/bench.h"

#include "common/core/event_json.h"
#include "common/core/event_scan.h"

#define EVENTS 5000
#define START_MS INT64_C(1795241640000) // 2026-11-21T06:14:00Z
#define ROUNDS 300                      // of which the quickest counts: others use the machine too
#define JANSSON_ROUNDS 20

static struct event_scan *scan;
static struct event_json *json;
static struct event_parser *parser;
static struct event_values values;

static bool by_scanner(struct str bytes, enum event_kind kind)
{
    (void)kind;
    return event_scan_read(scan, bytes, 0, &values, NULL);
}

static bool by_jansson(struct str bytes, enum event_kind kind)
{
    struct err e;
    (void)kind;
    return event_json_read(json, bytes, &values, &e) == 0;
}

static bool by_parser(struct str bytes, enum event_kind kind)
{
    struct event ev;
    struct err e;
    return event_parse(parser, kind, bytes, &ev, &e) == 0;
}

struct cost {
    size_t n, bytes, unread;
    int64_t ns; // of the quickest round
};

static struct cost cost_of(const struct bench_events *in, enum event_kind kind,
                           bool (*reads)(struct str bytes, enum event_kind kind), int rounds)
{
    struct cost least = {.ns = INT64_MAX};
    for (int round = 0; round < rounds; round++) {
        struct cost c = {.ns = -bench_cpu_ns()};
        for (size_t i = 0; i < in->count; i++) {
            if (in->v[i].kind != kind)
                continue;
            c.n++;
            c.bytes += in->v[i].value.n;
            c.unread += !reads(in->v[i].value, kind);
        }
        c.ns += bench_cpu_ns();
        if (c.ns < least.ns)
            least = c;
    }
    return least;
}

static void measure(const struct bench_events *in, const char *what, enum event_kind kind,
                    bool (*reads)(struct str bytes, enum event_kind kind), int rounds,
                    const char *style)
{
    struct cost c = cost_of(in, kind, reads, rounds);
    double ns = (double)c.ns / (double)c.n;
    const char *name = kind == EVENT_REQUEST ? "request" : "response";
    printf("%-9s %-12s %7.1f ns an event of %3zu bytes, %6.2f M/s%s\n", name, what, ns,
           c.bytes / c.n, 1e3 / ns, c.unread ? ", UNREAD" : "");
    if (!c.unread)
        bench_tell(ns, "ns", c.n, "event.%s.%s.%s", what, name, style);
}

static void compare(enum bench_style style, const char *name, const char *what)
{
    struct bench_events in;
    bench_events_make(&in, EVENTS, START_MS, style);
    printf("%s\n", what);
    for (int kind = EVENT_REQUEST; kind <= EVENT_RESPONSE; kind++) {
        measure(&in, "scanner", kind, by_scanner, ROUNDS, name);
        measure(&in, "jansson", kind, by_jansson, JANSSON_ROUNDS, name);
        measure(&in, "event_parse", kind, by_parser, ROUNDS, name);
    }
    bench_events_free(&in);
}

int main(void)
{
    scan = event_scan_new();
    json = event_json_new();
    parser = event_parser_new();
    compare(BENCH_COMPACT, "compact", "compact, RFC 3339, whole milliseconds:");
    compare(BENCH_SPACED, "spaced",
            "as Python's json.dumps writes it, epoch milliseconds, latency of 17 digits:");
    event_parser_free(parser);
    event_json_free(json);
    event_scan_free(scan);
    return 0;
}
