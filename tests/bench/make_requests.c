// SPDX-License-Identifier: Apache-2.0
// Writes whole HTTP requests with made-up events (traffic.h) for those who send them: each as its
// length in decimal, a line feed, and its bytes. BATCH 1: to the paths of single events; else as
// NDJSON.
//
//   make_requests FILE REQUESTS BATCH [OPTION]
#include "tests/bench/traffic.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/core/gzip.h"
#include "common/core/timeunit.h"

#define GZIP_LEVEL 6
#define PAIRS_PER_S 1000                // by what the events say of themselves
#define LEAD_MS (2 * TRAFFIC_ANSWER_MS) // left out: at first there are few answers

struct options {
    struct traffic_settings traffic;
    const char *path, *header;
    size_t requests, batch;
    bool gzip;
};

static void die(const char *what)
{
    fprintf(stderr, "make_requests: %s\n", what);
    exit(1);
}

static struct options arguments(int argc, char **argv)
{
    static const struct option options[] = {
        TRAFFIC_OPTIONS, {"gzip", 0, NULL, 'Z'}, {"header", 1, NULL, 'H'}, {0}};
    struct options o = {.traffic = TRAFFIC_DEFAULTS, .header = NULL};
    double requests = 0, batch = 0;
    bool ok = true;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'Z')
            o.gzip = true;
        else if (c == 'H')
            o.header = optarg;
        else
            ok = ok && traffic_option(&o.traffic, c, optarg);
    }
    argv += optind;
    if (!ok || argc - optind != 3 || !traffic_number(argv[1], 1, 1e7, &requests) ||
        !traffic_number(argv[2], 1, 10000, &batch)) {
        fprintf(stderr, "usage: make_requests FILE REQUESTS BATCH [OPTION]\n"
                        "  --gzip            coded so\n"
                        "  --header TEXT     one more\n" TRAFFIC_USAGE);
        exit(2);
    }
    o.path = argv[0];
    o.requests = (size_t)requests;
    o.batch = (size_t)batch;
    o.traffic.pairs = o.requests * o.batch + LEAD_MS * PAIRS_PER_S / 1000;
    o.traffic.start_us = (int64_t)time(NULL) * US_PER_S;
    o.traffic.pairs_per_s = PAIRS_PER_S;
    return o;
}

static void next_event(const struct options *o, struct traffic *t, struct traffic_event *e)
{
    do {
        if (!traffic_next(t, e))
            die("too few events");
    } while (e->due_us < o->traffic.start_us + LEAD_MS * US_PER_MS);
}

// The path of its request.
static const char *next_body(const struct options *o, struct traffic *t, struct buf *body)
{
    const char *const paths[] = {"request", "response"};
    struct traffic_event e = {0};
    buf_clear(body);
    for (size_t i = 0; i < o->batch; i++) {
        next_event(o, t, &e);
        if (o->batch > 1)
            buf_addf(body, "%s{\"type\":\"%s\",", i ? "\n" : "", paths[e.kind]);
        size_t brace = o->batch > 1;
        buf_add(body, e.value.p + brace, e.value.n - brace);
    }
    if (o->gzip) {
        struct buf plain = *body;
        *body = (struct buf){0};
        gzip_compress((struct str){plain.p, plain.n}, GZIP_LEVEL, body);
        buf_free(&plain);
    }
    return o->batch > 1 ? "events" : paths[e.kind];
}

int main(int argc, char **argv)
{
    struct options o = arguments(argc, argv);
    struct traffic *t = traffic_new(&o.traffic);
    struct buf head = {0}, body = {0};
    FILE *f = fopen(o.path, "w");
    if (!f)
        die("the file cannot be written");
    for (size_t i = 0; i < o.requests; i++) {
        const char *path = next_body(&o, t, &body);
        buf_clear(&head);
        buf_addf(&head, "POST /v1/llm/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\n", path,
                 o.batch > 1 ? "application/x-ndjson" : "application/json");
        if (o.gzip)
            buf_addf(&head, "Content-Encoding: gzip\r\n");
        if (o.header)
            buf_addf(&head, "%s\r\n", o.header);
        buf_addf(&head, "Content-Length: %zu\r\n\r\n", body.n);
        fprintf(f, "%zu\n", head.n + body.n);
        fwrite(head.p, 1, head.n, f);
        fwrite(body.p, 1, body.n, f);
    }
    if (fclose(f) != 0)
        die("the file cannot be written");
    buf_free(&head);
    buf_free(&body);
    traffic_free(t);
    return 0;
}
