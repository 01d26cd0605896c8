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
#include <zlib.h>

#include "common/core/timeunit.h"

#define GZIP_WINDOW (15 + 16) // as zlib has it
#define PAIRS_PER_S 100000.0  // by what the events say of themselves: all of them are of now

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
    o.traffic.pairs = o.requests * o.batch; // more than are needed where there are answers
    o.traffic.start_us = (int64_t)time(NULL) * US_PER_S;
    o.traffic.pairs_per_s = PAIRS_PER_S;
    return o;
}

static void compress_body(struct buf *body)
{
    z_stream z = {0};
    struct buf plain = *body;
    *body = (struct buf){0};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        die("zlib");
    size_t room = deflateBound(&z, plain.n);
    char *out = xcalloc(1, room);
    z.next_in = (Bytef *)plain.p;
    z.avail_in = (uInt)plain.n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)room;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        die("zlib");
    buf_add(body, out, z.total_out);
    deflateEnd(&z);
    free(out);
    buf_free(&plain);
}

// The path of its request.
static const char *next_body(const struct options *o, struct traffic *t, struct buf *body)
{
    const char *const paths[] = {"request", "response"};
    struct traffic_event e = {0};
    buf_clear(body);
    for (size_t i = 0; i < o->batch; i++) {
        if (!traffic_next(t, &e))
            die("too few events");
        if (o->batch > 1)
            buf_addf(body, "%s{\"type\":\"%s\",", i ? "\n" : "", paths[e.kind]);
        size_t brace = o->batch > 1;
        buf_add(body, e.value.p + brace, e.value.n - brace);
    }
    if (o->gzip)
        compress_body(body);
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
