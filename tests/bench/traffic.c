// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/traffic.h"

#include <stdlib.h>

#include "common/core/timeunit.h"

#define AGAIN_MS 5000 // a repeated event comes within

static const char *const models[][2] = {
    // as asked for, and as answers name them
    {"gpt-4o", "gpt-4o-2024-11-20"},
    {"gpt-4o-mini", "gpt-4o-mini-2024-07-18"},
    {"claude-sonnet-4-5", "claude-sonnet-4-5-20250929"},
    {"gemini-2.5-pro", "gemini-2.5-pro"},
    {"o3-mini", "o3-mini-2025-01-31"},
    {"llama-3.1-70b", "llama-3.1-70b"},
    {"mistral-large", "mistral-large-2411"},
    {"command-r", "command-r-08-2024"},
};
static const char *const routes[] = {"chat_support", "summarize", "search_rag", "code_assist",
                                     "translate"};

// What is under way, as a heap by due_us. An event is made of its number alone, when it is due.
struct pending {
    int64_t due_us;
    uint64_t n;
    enum event_kind kind;
};

struct traffic {
    struct traffic_settings s;
    uint64_t asked; // requests put into the heap
    struct pending *heap;
    size_t count, room;
    struct buf bytes;
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

// A number of event n that is independent of those with another salt.
static uint64_t draw(const struct traffic *t, uint64_t n, uint64_t salt)
{
    return mix(mix(n * 64 + salt) + t->s.seed * UINT64_C(0x9e3779b97f4a7c15));
}

static void heap_add(struct traffic *t, struct pending p)
{
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 1024;
        t->heap = xrealloc(t->heap, t->room * sizeof(*t->heap));
    }
    size_t i = t->count++;
    for (; i > 0 && t->heap[(i - 1) / 2].due_us > p.due_us; i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = p;
}

static struct pending heap_take(struct traffic *t)
{
    struct pending top = t->heap[0], last = t->heap[--t->count];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < t->count) {
        child += child + 1 < t->count && t->heap[child + 1].due_us < t->heap[child].due_us;
        if (t->heap[child].due_us >= last.due_us)
            break;
        t->heap[i] = t->heap[child];
        i = child;
    }
    t->heap[i] = last;
    return top;
}

static int64_t asked_us(const struct traffic *t, uint64_t n)
{
    return t->s.start_us + (int64_t)((double)n * 1e6 / t->s.pairs_per_s);
}

static int64_t latency_ms(const struct traffic *t, uint64_t n)
{
    uint64_t a = draw(t, n, 1), b = a >> 32;
    return (int64_t)(150 + a % 2000 * (b % 1900) / 1000); // most below a second, some near 4 s
}

static void schedule(struct traffic *t, enum event_kind kind, uint64_t n, int64_t at_us)
{
    uint64_t late = draw(t, n, kind == EVENT_REQUEST ? 2 : 3), again = draw(t, n, 4 + kind);
    int64_t due_us = at_us + (int64_t)(late % ((uint64_t)t->s.disorder_ms * 1000 + 1));
    heap_add(t, (struct pending){due_us, n, kind});
    if (again % 1000 < t->s.duplicate_permille)
        heap_add(t,
                 (struct pending){due_us + (int64_t)((again >> 32) % (AGAIN_MS * 1000)), n, kind});
}

static void add_id(struct buf *out, const struct traffic *t, uint64_t n)
{
    uint64_t a = draw(t, n, 10), b = draw(t, n, 11);
    buf_addf(out, "%08x-%04x-4%03x-a%03x-%012llx", (unsigned)(a >> 32),
             (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff), (unsigned)(b >> 52),
             (unsigned long long)(b & 0xffffffffffff));
}

static void add_time(struct buf *out, int64_t at_us)
{
    char text[TIME_RFC3339_MAX];
    at_us -= at_us % US_PER_MS;
    buf_addf(out, "\"timestamp\":\"%.*s\"", (int)time_format_rfc3339(at_us, text), text);
}

static unsigned series_of(const struct traffic *t, uint64_t n)
{
    return (unsigned)(draw(t, n, 12) % t->s.series);
}

static void add_request(struct buf *out, const struct traffic *t, uint64_t n)
{
    unsigned series = series_of(t, n), within = series % TRAFFIC_PER_TENANT;
    uint64_t x = draw(t, n, 13);
    buf_addf(out, "{\"request_id\":\"");
    add_id(out, t, n);
    buf_addf(out, "\",\"tenant_id\":\"tenant-%u\",\"route\":\"%s_v%u\",\"model\":\"%s\",",
             series / TRAFFIC_PER_TENANT, routes[within / ARRAY_LEN(models) % ARRAY_LEN(routes)],
             (unsigned)(within / (ARRAY_LEN(models) * ARRAY_LEN(routes))),
             models[within % ARRAY_LEN(models)][0]);
    add_time(out, asked_us(t, n));
    buf_addf(out, ",\"prompt_tokens\":%u", (unsigned)(x % 6000));
    if (x >> 16 & 1)
        buf_addf(out, ",\"stream\":true,\"max_tokens\":%u", 256u << (x >> 17 & 3));
    if (x >> 19 & 3)
        buf_addf(out, ",\"user_id_hash\":\"%016llx%016llx%016llx%016llx\"",
                 (unsigned long long)mix(x), (unsigned long long)mix(x + 1),
                 (unsigned long long)mix(x + 2), (unsigned long long)mix(x + 3));
    if (x >> 21 & 1)
        buf_addf(out, ",\"metadata\":{\"experiment\":\"prompt_v%u\",\"country\":\"SE\"",
                 (unsigned)(x >> 22 & 3));
    if ((x >> 21 & 5) == 5)
        buf_addf(out,
                 ",\"session\":\"%016llx\",\"app\":\"support-console/4.%u.%u\",\"tags\":[\"%s\","
                 "\"retrieval\",\"tool_calls\"],\"attempt\":%u,\"temperature\":0.%u",
                 (unsigned long long)mix(x + 4), (unsigned)(x >> 26 & 15), (unsigned)(x >> 30 & 7),
                 routes[within % ARRAY_LEN(routes)], (unsigned)(x >> 33 & 3),
                 (unsigned)(x >> 35 & 7));
    buf_addf(out, x >> 21 & 1 ? "}}" : "}");
}

static void add_response(struct buf *out, const struct traffic *t, uint64_t n)
{
    uint64_t x = draw(t, n, 14);
    int64_t ms = latency_ms(t, n);
    buf_addf(out, "{\"request_id\":\"");
    add_id(out, t, n);
    buf_addf(out, "\",");
    add_time(out, asked_us(t, n) + ms * US_PER_MS);
    buf_addf(out, ",\"latency_ms\":%lld.%u", (long long)ms, (unsigned)(x % 1000));
    if (x >> 10 & 1)
        buf_addf(out, ",\"time_to_first_token_ms\":%lld", (long long)ms / 5);
    if (x % 50 == 0) {
        buf_addf(out, ",\"error\":\"rate_limit\"}");
        return;
    }
    buf_addf(out, ",\"completion_tokens\":%u", (unsigned)(x >> 12 & 1023));
    if ((x >> 22 & 3) == 0)
        buf_addf(out, ",\"cached_prompt_tokens\":%u", (unsigned)(x >> 24 & 255));
    if (x >> 34 & 1)
        buf_addf(out, ",\"model\":\"%s\"",
                 models[series_of(t, n) % TRAFFIC_PER_TENANT % ARRAY_LEN(models)][1]);
    buf_addf(out, ",\"finish_reason\":\"%s\"}", (x >> 35 & 15) == 0 ? "length" : "stop");
}

struct traffic *traffic_new(const struct traffic_settings *s)
{
    struct traffic *t = xcalloc(1, sizeof(*t));
    t->s = *s;
    return t;
}

bool traffic_next(struct traffic *t, struct traffic_event *out)
{
    while (t->asked < t->s.pairs && (t->count == 0 || asked_us(t, t->asked) <= t->heap[0].due_us)) {
        uint64_t n = t->asked++;
        schedule(t, EVENT_REQUEST, n, asked_us(t, n));
        if (t->s.answers)
            schedule(t, EVENT_RESPONSE, n, asked_us(t, n) + latency_ms(t, n) * US_PER_MS);
    }
    if (t->count == 0)
        return false;
    struct pending p = heap_take(t);
    buf_clear(&t->bytes);
    add_id(&t->bytes, t, p.n);
    size_t key_n = t->bytes.n;
    (p.kind == EVENT_REQUEST ? add_request : add_response)(&t->bytes, t, p.n);
    *out = (struct traffic_event){.kind = p.kind,
                                  .due_us = p.due_us,
                                  .key = {t->bytes.p, key_n},
                                  .value = {t->bytes.p + key_n, t->bytes.n - key_n}};
    return true;
}

void traffic_free(struct traffic *t)
{
    free(t->heap);
    buf_free(&t->bytes);
    free(t);
}

bool traffic_number(const char *text, double min, double max, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= min && *out <= max;
}

bool traffic_option(struct traffic_settings *s, int option, const char *value)
{
    double x = 0;
    bool ok = option == 'N';
    if (option == 'N')
        s->answers = false;
    if (option == 'S' && (ok = traffic_number(value, 1, 1e7, &x)))
        s->series = (unsigned)x;
    if (option == 'D' && (ok = traffic_number(value, 0, 100, &x)))
        s->duplicate_permille = (unsigned)(x * 10 + 0.5);
    if (option == 'O' && (ok = traffic_number(value, 0, 60000, &x)))
        s->disorder_ms = (unsigned)x;
    if (option == 'E' && (ok = traffic_number(value, 0, 1e15, &x)))
        s->seed = (uint64_t)x;
    return ok;
}
