// SPDX-License-Identifier: Apache-2.0
#include "common/core/timeunit.h"
#include "tests/bench/bench.h"

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void add_id(struct buf *out, uint64_t n)
{
    uint64_t a = mix(n + 1), b = mix(a);
    buf_addf(out, "%08x-%04x-4%03x-a%03x-%012llx", (unsigned)(a >> 32),
             (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff), (unsigned)(b >> 52),
             (unsigned long long)(b & 0xffffffffffff));
}

static void add_time(struct buf *out, int64_t t_ms, enum bench_style style)
{
    char text[TIME_RFC3339_MAX];
    if (style == BENCH_SPACED) {
        buf_addf(out, "\"timestamp\": %lld.%03d", (long long)t_ms, (int)(t_ms * 7 % 1000));
        return;
    }
    buf_addf(out, "\"timestamp\":\"%.*s\"", (int)time_format_rfc3339(t_ms * US_PER_MS, text), text);
}

static int64_t asked_ms(uint64_t n)
{
    return (int64_t)(n / BENCH_PER_MS);
}

static void add_request(struct buf *out, uint64_t n, enum bench_style style)
{
    const char *c = style == BENCH_SPACED ? ": " : ":", *s = style == BENCH_SPACED ? ", " : ",";
    unsigned series = (unsigned)(mix(n * 3) % BENCH_SERIES);
    buf_addf(out, "{\"request_id\"%s\"", c);
    add_id(out, n);
    buf_addf(out, "\"%s\"tenant_id\"%s\"tenant-%u\"", s, c, series % 40);
    buf_addf(out, "%s\"route\"%s\"route_%u_v1\"%s\"model\"%s\"gpt-%u\"%s", s, c, series / 40 % 24,
             s, c, series / 960, s);
    add_time(out, asked_ms(n), style);
    buf_addf(out, "%s\"prompt_tokens\"%s%u%s\"user_id_hash\"%s\"%016llx%016llx\"", s, c,
             (unsigned)(n * 37 % 3000), s, c, (unsigned long long)mix(n),
             (unsigned long long)mix(n * 5));
    buf_addf(out, "%s\"metadata\"%s{\"experiment\"%s\"prompt_v%u\"%s\"country\"%s\"SE\"}}", s, c, c,
             (unsigned)(n % 4), s, c);
}

static void add_response(struct buf *out, uint64_t n, enum bench_style style)
{
    const char *c = style == BENCH_SPACED ? ": " : ":", *s = style == BENCH_SPACED ? ", " : ",";
    buf_addf(out, "{\"request_id\"%s\"", c);
    add_id(out, n);
    buf_addf(out, "\"%s", s);
    add_time(out, asked_ms(n) + BENCH_ANSWER_MS, style);
    unsigned ms = (unsigned)(mix(n * 11) % 4000);
    if (style == BENCH_SPACED)
        buf_addf(out, "%s\"latency_ms\"%s%.17g", s, c, ms + (double)(mix(n) % 100000) / 99991);
    else
        buf_addf(out, "%s\"latency_ms\"%s%u", s, c, ms);
    buf_addf(out, "%s\"completion_tokens\"%s%u%s\"finish_reason\"%s\"stop\"%s}", s, c,
             (unsigned)(n * 13 % 900), s, c, n % 50 ? "" : ",\"error\":\"rate_limited\"");
}

// `n` says who it is, and when its request was sent.
static void add_event(struct bench_events *e, enum event_kind kind, uint64_t n,
                      enum bench_style style)
{
    struct bench_event *v = &e->v[e->count++];
    size_t begin = e->bytes.n;
    // The strings get their places once the buffer has stopped growing.
    *v = (struct bench_event){.kind = kind, .time_ms = asked_ms(n)};
    add_id(&e->bytes, n);
    v->key.n = e->bytes.n - begin;
    if (kind == EVENT_REQUEST) {
        add_request(&e->bytes, n, style);
    } else {
        v->time_ms += BENCH_ANSWER_MS;
        add_response(&e->bytes, n, style);
    }
    v->value.n = e->bytes.n - begin - v->key.n;
}

void bench_events_make(struct bench_events *out, size_t pairs, int64_t start_ms,
                       enum bench_style style)
{
    *out = (struct bench_events){.v = xcalloc(pairs * 2, sizeof(*out->v))};
    const size_t waiting = (size_t)BENCH_ANSWER_MS * BENCH_PER_MS;
    for (size_t i = 0; i < pairs + waiting; i++) {
        uint64_t n = (uint64_t)start_ms * BENCH_PER_MS + i;
        if (i < pairs)
            add_event(out, EVENT_REQUEST, n, style);
        if (i >= waiting)
            add_event(out, EVENT_RESPONSE, n - waiting, style);
    }
    const char *at = out->bytes.p;
    for (size_t i = 0; i < out->count; i++) {
        out->v[i].key.p = at;
        out->v[i].value.p = at + out->v[i].key.n;
        at = out->v[i].value.p + out->v[i].value.n;
    }
}

void bench_events_free(struct bench_events *e)
{
    free(e->v);
    buf_free(&e->bytes);
}
