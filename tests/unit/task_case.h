// SPDX-License-Identifier: Apache-2.0
// What the tests of the processor's tasks share: an environment, a log of records that may be fed
// more than once, and short ways to say what was asked and answered. Times are ms after T0.
#ifndef STREAMLENS_TESTS_TASK_CASE_H
#define STREAMLENS_TESTS_TASK_CASE_H

#include "processor/task.h"

#include "common/core/timeunit.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>

#define T0 INT64_C(1795241640000) // 2026-11-21T06:14:00Z, in ms
#define TTL 5000
#define SKEW 1000
#define D (TTL + SKEW)

struct logged {
    int64_t offset, time_ms;
    bool tick;
    char *key, *tenant, *value; // owned; tenant NULL: not authenticated
};

struct case_log {
    struct logged v[4096];
    size_t n;
    int64_t next; // offset
};

static struct hash_key key;
static struct processor_stats stats;
static struct task_env env;
static struct dead_letters_load load;
static struct task_limits limits;
static struct settings settings;
static struct task *task;
static struct case_log logs[2]; // by topic

static inline void make_env(void)
{
    hash_key_init(&key, "seed", 4);
    stats = (struct processor_stats){0};
    load = (struct dead_letters_load){0};
    env = (struct task_env){.key = &key,
                            .series = series_table_new(&key),
                            .parser = event_parser_new(),
                            .stats = &stats,
                            .letters = &load};
    env.deltas = window_table_new(env.series);
    limits = (struct task_limits){1000, 1000, 1000};
    settings = (struct settings){1, {{1, TIME_NONE, TTL, SKEW, 1}}};
    logs[0].n = logs[1].n = 0;
    logs[0].next = 100; // the two are not to be mixed up
    logs[1].next = 700;
    task = task_new(3, &limits, &settings, &env, (int64_t[]){100, 700});
}

static inline void free_env(void)
{
    task_free(task);
    ck_assert(load.count == 0 && load.bytes == 0);
    window_table_free(env.deltas);
    // Nothing a task did may keep a series alive after it and what it counted.
    ck_assert_uint_eq(series_count(env.series), 0);
    series_table_free(env.series);
    event_parser_free(env.parser);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < logs[k].n; i++) {
            free(logs[k].v[i].key);
            free(logs[k].v[i].tenant);
            free(logs[k].v[i].value);
        }
}

// With limits and settings of its own.
static inline void remake_task(void)
{
    task_free(task);
    window_clear(env.deltas);
    task = task_new(3, &limits, &settings, &env, (int64_t[]){logs[0].next, logs[1].next});
}

// ---- records ----

static inline const struct logged *append(enum event_kind kind, int64_t at_ms, const char *name,
                                          const char *tenant, const char *value)
{
    struct case_log *l = &logs[kind];
    ck_assert_uint_lt(l->n, ARRAY_LEN(l->v));
    struct logged *r = &l->v[l->n++];
    *r = (struct logged){l->next++,
                         T0 + at_ms,
                         !value,
                         xstrdup(name),
                         tenant ? xstrdup(tenant) : NULL,
                         xstrdup(value ? value : "")};
    return r;
}

static inline enum task_feed feed_to(struct task *t, enum event_kind kind, const struct logged *r)
{
    struct task_record record = {.topic = kind,
                                 .offset = r->offset,
                                 .time_ms = r->time_ms,
                                 .key = str_of(r->key),
                                 .value = str_of(r->value),
                                 .tenant = str_of(r->tenant),
                                 .tick = r->tick};
    task_expect(t, &record); // as the loop does
    return task_feed(t, &record);
}

static inline const struct logged *append_event(enum event_kind kind, int64_t at_ms, const char *id,
                                                const char *tenant, const char *fields)
{
    char value[1024];
    snprintf(value, sizeof(value), "{\"request_id\":\"%s\"%s%s}", id, fields[0] ? "," : "", fields);
    return append(kind, at_ms, id, tenant, value);
}

#define AT "\"timestamp\":"
#define NAMES "\"tenant_id\":\"t\",\"route\":\"/r\",\"model\":\"m\""

// A request stamped with its own time; `more` is "" or `,"field":value`.
static inline const struct logged *append_ask(int64_t at_ms, const char *id, const char *more)
{
    char fields[900];
    snprintf(fields, sizeof(fields), AT "%lld," NAMES "%s", (long long)(T0 + at_ms), more);
    return append_event(EVENT_REQUEST, at_ms, id, NULL, fields);
}

static inline const struct logged *append_answer(int64_t at_ms, const char *id, const char *more)
{
    char fields[900];
    snprintf(fields, sizeof(fields), AT "%lld%s", (long long)(T0 + at_ms), more);
    return append_event(EVENT_RESPONSE, at_ms, id, NULL, fields);
}

static inline void take(enum event_kind kind, const struct logged *r)
{
    ck_assert_int_eq(feed_to(task, kind, r), FEED_TAKEN);
}

static inline void ask(int64_t at_ms, const char *id, const char *more)
{
    take(EVENT_REQUEST, append_ask(at_ms, id, more));
}

static inline void answer(int64_t at_ms, const char *id, const char *more)
{
    take(EVENT_RESPONSE, append_answer(at_ms, id, more));
}

static inline void tick(enum event_kind kind, int64_t at_ms)
{
    take(kind, append(kind, at_ms, "", NULL, NULL));
}

// ---- what came out ----

static const struct facts no_facts;

static inline const struct facts *facts_of(const char *tenant, int64_t minute_ms)
{
    const struct facts *found = &no_facts;
    for (size_t i = 0; i < window_count(env.deltas); i++) {
        const struct window_cell *c = window_at(env.deltas, i);
        if (str_eq(c->series->tenant, str_of(tenant)) &&
            c->window_start_us == (T0 + minute_ms) * US_PER_MS) {
            ck_assert_ptr_eq(found, &no_facts); // one series a tenant in these tests
            found = &c->facts;
        }
    }
    return found;
}

// Tenant "t" in the minute of T0, where nearly all tests happen.
static inline const struct facts *facts_now(void)
{
    return facts_of("t", 0);
}

// A flush of one task is in.
static inline void flushed(struct task *t)
{
    task_flushed(t);
    window_clear(env.deltas);
}

// What was counted of tokens there.
static inline struct usage usage_now(void)
{
    return usage_lines_total(&facts_now()->usage);
}

static inline int64_t prompt_tokens_now(void)
{
    struct usage u = usage_now();
    return usage_prompt_tokens(&u);
}

static inline size_t letter_count(void)
{
    size_t n;
    (void)task_dead_letters(task, &n);
    return n;
}

// The only dead letter there is.
static inline const struct dead_letter *expect_letter(const char *reason, enum event_kind kind,
                                                      const struct logged *r)
{
    size_t n;
    const struct dead_letter *d = task_dead_letters(task, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(d->reason, reason);
    ck_assert_int_eq(d->topic, kind);
    ck_assert_int_eq(d->partition, 3);
    ck_assert_int_eq(d->offset, r->offset);
    ck_assert(str_eq((struct str){d->key, d->key_n}, str_of(r->key)));
    ck_assert(str_eq((struct str){d->value, d->value_n}, str_of(r->value)));
    // The sender's tenant goes along, unless it is too long to be one.
    struct str tenant = str_of(r->tenant);
    ck_assert(str_eq((struct str){d->tenant, d->tenant_n},
                     tenant.n <= EVENT_NAME_MAX ? tenant : (struct str){0}));
    ck_assert_str_ne(d->detail, "");
    return d;
}

#endif
