// SPDX-License-Identifier: Apache-2.0
// What an event costs the processor's core in process as what it knows grows: live joins, series
// and tenants 10 and 100 times as many. One task at 100,000 events a second of its own time, in
// its steady state: as many requests are answered as come, what is too old is forgotten, and
// deltas are dropped every five seconds, as a flush does.
//
//   bench_scaling [JOINS]     live joins of the least; 30,000
//
// Dropping is not counted: a flush has a promise of its own (bench_store). Events are made a piece
// at a time beside the clock, since those of three million joins do not fit into memory.
#include "common/core/timeunit.h"
#include "processor/task.h"
#include "tests/bench/bench.h"

#define START_MS INT64_C(1795241640000) // 2026-11-21T06:14:00Z
#define PER_MS 50                       // requests
#define FLUSH_PAIRS (5000 * PER_MS)
#define MEASURED_PAIRS (3 * FLUSH_PAIRS)
#define PIECE 4096 // events: 1 MiB, as the client library hands them over
#define SKEW_MS 100

struct shape {
    size_t live, series, tenants;
    double ns; // what an event costs: the result
};

struct piece {
    struct {
        enum event_kind kind;
        int64_t time_ms;
        size_t key_n, value_n;
    } v[PIECE];
    size_t count;
    struct buf bytes; // keys and values in turn
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void add_hex(struct buf *out, uint64_t x, int digits)
{
    buf_reserve(out, (size_t)digits);
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
        out->p[out->n++] = "0123456789abcdef"[x >> shift & 15];
}

static void add_id(struct buf *out, uint64_t n)
{
    uint64_t a = mix(n + 1), b = mix(a);
    add_hex(out, a >> 32, 8);
    buf_addc(out, '-');
    add_hex(out, a >> 16, 4);
    buf_adds(out, "-4");
    add_hex(out, a, 3);
    buf_adds(out, "-a");
    add_hex(out, b >> 52, 3);
    buf_addc(out, '-');
    add_hex(out, b, 12);
}

static void add_time(struct buf *out, int64_t t_ms)
{
    char text[TIME_RFC3339_MAX];
    buf_adds(out, "\",\"timestamp\":\"");
    buf_add(out, text, time_format_rfc3339(t_ms * US_PER_MS, text));
}

static void add_request(struct buf *out, const struct shape *s, uint64_t n, int64_t t_ms)
{
    size_t series = mix(n * 3) % s->series;
    buf_adds(out, "{\"request_id\":\"");
    add_id(out, n);
    buf_addf(out, "\",\"tenant_id\":\"tenant-%zu\",\"route\":\"route_%zu_v1\",\"model\":\"gpt-%zu",
             series % s->tenants, series / s->tenants, series % 5);
    add_time(out, t_ms);
    buf_addf(out, "\",\"prompt_tokens\":%u,\"user_id_hash\":\"", (unsigned)(n * 37 % 3000));
    add_hex(out, mix(n), 16);
    add_hex(out, mix(n * 5), 16);
    buf_adds(out, "\",\"metadata\":{\"experiment\":\"prompt_v2\",\"country\":\"SE\"}}");
}

static void add_response(struct buf *out, uint64_t n, int64_t t_ms)
{
    buf_adds(out, "{\"request_id\":\"");
    add_id(out, n);
    add_time(out, t_ms);
    buf_addf(out, "\",\"latency_ms\":%u,\"completion_tokens\":%u,\"finish_reason\":\"stop\"%s}",
             (unsigned)(mix(n * 11) % 4000), (unsigned)(n * 13 % 900),
             n % 50 ? "" : ",\"error\":\"rate_limited\"");
}

static void add_event(struct piece *p, const struct shape *s, enum event_kind kind, uint64_t n,
                      uint64_t now)
{
    size_t begin = p->bytes.n, i = p->count++;
    p->v[i].kind = kind;
    p->v[i].time_ms = START_MS + (int64_t)(now / PER_MS);
    add_id(&p->bytes, n);
    p->v[i].key_n = p->bytes.n - begin;
    if (kind == EVENT_REQUEST)
        add_request(&p->bytes, s, n, p->v[i].time_ms);
    else
        add_response(&p->bytes, n, p->v[i].time_ms);
    p->v[i].value_n = p->bytes.n - begin - p->v[i].key_n;
}

// Request n, and the answer of the one that was `live` requests before it.
static uint64_t make_piece(struct piece *p, const struct shape *s, uint64_t n)
{
    p->count = 0;
    buf_clear(&p->bytes);
    for (; p->count + 2 <= PIECE; n++) {
        add_event(p, s, EVENT_REQUEST, n, n);
        if (n >= s->live)
            add_event(p, s, EVENT_RESPONSE, n - s->live, n);
    }
    return n;
}

// Offsets are those of the requests' topic in both: gaps are as good as compacted records.
static int64_t feed_piece(struct task *t, const struct piece *p, int64_t *offset)
{
    const char *at = p->bytes.p;
    size_t taken = 0;
    int64_t begin_ns = bench_cpu_ns();
    for (size_t i = 0; i < p->count; i++) {
        struct task_record r = {.topic = p->v[i].kind,
                                .offset = (*offset)++,
                                .time_ms = p->v[i].time_ms,
                                .key = {at, p->v[i].key_n},
                                .value = {at + p->v[i].key_n, p->v[i].value_n}};
        task_expect(t, &r);
        taken += task_feed(t, &r) == FEED_TAKEN;
        at += p->v[i].key_n + p->v[i].value_n;
    }
    int64_t ns = bench_cpu_ns() - begin_ns;
    if (taken != p->count) {
        fprintf(stderr, "bench_scaling: %zu of %zu events were taken\n", taken, p->count);
        exit(1);
    }
    return ns;
}

static void drop_deltas(struct task *t, struct window_table *deltas)
{
    struct position at;
    task_position(t, &at);
    task_flushed(t);
    window_clear(deltas);
}

// Feeds pairs until request `end`; the CPU it took, and the events.
static int64_t feed(struct task *t, struct window_table *deltas, const struct shape *s,
                    struct piece *p, uint64_t *n, uint64_t end, size_t *events)
{
    static int64_t offset;
    int64_t ns = 0;
    for (*events = 0; *n < end; *events += p->count) {
        uint64_t begin = *n;
        *n = make_piece(p, s, begin);
        ns += feed_piece(t, p, &offset);
        if (begin / FLUSH_PAIRS != *n / FLUSH_PAIRS)
            drop_deltas(t, deltas);
    }
    return ns;
}

static void run(struct shape *s)
{
    struct hash_key key;
    hash_key_init(&key, "bench", 5);
    struct processor_stats stats = {0};
    struct dead_letters_load load = {0};
    struct series_table *series = series_table_new(&key);
    struct task_env env = {&key,   series, event_parser_new(),
                           &stats, &load,  window_table_new(series)};
    const struct task_limits limits = {2 * s->live, 100 * s->series, 1000};
    int64_t answered_ms = (int64_t)(s->live / PER_MS);
    const struct settings settings = {1,
                                      {{1, TIME_NONE, answered_ms + answered_ms / 4, SKEW_MS, 1}}};
    struct task *t = task_new(0, &limits, &settings, &env, (int64_t[]){0, 0});
    struct piece *p = xcalloc(1, sizeof(*p));
    size_t events;
    // An identity is remembered from its request until so long after its answer: 2.25 times the
    // wait.
    uint64_t n = 0, warm = 3 * s->live > FLUSH_PAIRS ? 3 * s->live : FLUSH_PAIRS;

    feed(t, env.deltas, s, p, &n, warm, &events);
    drop_deltas(t, env.deltas);
    int64_t ns = feed(t, env.deltas, s, p, &n, n + MEASURED_PAIRS, &events);
    s->ns = (double)ns / (double)events;
    printf("%9zu live joins, %6zu series of %5zu tenants: %6.1f ns an event; %8zu identities, "
           "%6.1f MiB\n",
           join_waiting_count(task_join(t), EVENT_REQUEST), s->series, s->tenants, s->ns,
           join_identity_count(task_join(t)), (double)task_join_bytes(t) / 1048576);
    fflush(stdout);

    buf_free(&p->bytes);
    free(p);
    task_free(t);
    window_table_free(env.deltas);
    event_parser_free(env.parser);
    series_table_free(env.series);
}

// Three sizes, each ten times the one before: how many times what an event costs in the least the
// dearest takes.
static void curve(const char *what, struct shape *const s[3])
{
    double most = 0;
    for (int i = 0, times = 1; i < 3; i++, times *= 10) {
        double ratio = s[i]->ns / s[0]->ns;
        bench_tell(s[i]->ns, "ns", MEASURED_PAIRS * 2, "scaling.%s.x%d", what, times);
        most = ratio > most ? ratio : most;
    }
    printf("%-8s %6.1f %6.1f %6.1f ns at 1, 10 and 100 times as many: %.2f times the first\n", what,
           s[0]->ns, s[1]->ns, s[2]->ns, most);
    bench_tell(most, "times", 3, "scaling.%s.ratio", what);
}

int main(int argc, char **argv)
{
    size_t joins = argc > 1 ? strtoull(argv[1], NULL, 10) : 30000;
    struct shape least = {joins, 200, 10, 0}, joins10 = {10 * joins, 200, 10, 0},
                 joins100 = {100 * joins, 200, 10, 0}, series10 = {joins, 2000, 10, 0},
                 series100 = {joins, 20000, 10, 0}, tenants10 = {joins, 20000, 100, 0},
                 tenants100 = {joins, 20000, 1000, 0}, all = {100 * joins, 20000, 1000, 0};
    struct shape *const each[] = {&least,     &joins10,   &joins100,   &series10,
                                  &series100, &tenants10, &tenants100, &all};
    for (size_t i = 0; i < ARRAY_LEN(each); i++)
        run(each[i]);
    curve("joins", (struct shape *[]){&least, &joins10, &joins100});
    curve("series", (struct shape *[]){&least, &series10, &series100});
    curve("tenants", (struct shape *[]){&series100, &tenants10, &tenants100});
    bench_tell(all.ns, "ns", MEASURED_PAIRS * 2, "scaling.all.x100");
    return 0;
}
