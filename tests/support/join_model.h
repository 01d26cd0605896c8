// SPDX-License-Identifier: Apache-2.0
// The join table beside a naive model of it: the list of all records, from which every answer is
// worked out anew by DESIGN 4, rule 3, over the times that processor/settings.h gives. Both are fed
// the same record; join_pair_check() holds one against the other. Shared by the unit test and the
// fuzz target, hence no test framework: what is wrong is a text.
#ifndef STREAMLENS_TESTS_JOIN_MODEL_H
#define STREAMLENS_TESTS_JOIN_MODEL_H

#include "processor/join.h"

#include <stdio.h>

#define MODEL_NOBODY (-1)

struct model_record {
    int id;
    int64_t time_ms;
    uint32_t content, tenant;
    enum join_seen seen, table_seen;
    int table_partner; // index in the other topic
    bool table_expired;
};

struct join_pair {
    struct settings settings;
    struct join *table;
    struct model_record *v[2]; // by topic
    size_t n[2], cap[2];
    int64_t now_ms[2];
    char wrong[256]; // "" while all is well
};

static inline void join_pair_init(struct join_pair *p, const struct settings *settings)
{
    *p = (struct join_pair){.settings = *settings, .now_ms = {TIME_NONE, TIME_NONE}};
    p->table = join_new(&p->settings, SIZE_MAX);
}

static inline void join_pair_free(struct join_pair *p)
{
    join_free(p->table, NULL, NULL);
    free(p->v[0]);
    free(p->v[1]);
}

// Small ids all begin at the same slot and differ in one half only; larger ones are spread.
static inline struct hash128 model_identity(int id)
{
    uint64_t lo =
        id < 256 ? (uint64_t)(id % 2) << 40 | 7 : (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);
    return (struct hash128){.hi = (uint64_t)id / 2 + 1, .lo = lo};
}

static inline bool model_repeats(const struct join_pair *p, enum event_kind kind, int64_t time_ms,
                                 int64_t seen_ms)
{
    return time_ms <= settings_repeat_until(&p->settings, kind, seen_ms);
}

// By the rule: whether it repeats what the topic saw of the id, and for requests whether the same
// tenant was among those who named it. Content is compared with the first of the run of like
// records.
static inline enum join_seen model_judge(const struct join_pair *p, enum event_kind kind, size_t i)
{
    const struct model_record *r = &p->v[kind][i], *first = NULL;
    int64_t linked_ms = r->time_ms;
    bool seen = false;
    for (size_t n = i; n-- > 0;) {
        const struct model_record *x = &p->v[kind][n];
        if (x->id != r->id)
            continue;
        seen = seen || model_repeats(p, kind, r->time_ms, x->time_ms);
        if (kind == EVENT_REQUEST && x->tenant != r->tenant)
            continue;
        if (!model_repeats(p, kind, linked_ms, x->time_ms))
            break;
        first = x;
        linked_ms = x->time_ms;
    }
    if (!seen)
        return JOIN_NEW;
    if (!first)
        return JOIN_OTHER_TENANT;
    return first->content == r->content ? JOIN_DUPLICATE : JOIN_CONFLICTING;
}

static inline int64_t model_deadline(const struct join_pair *p, enum event_kind kind, size_t i)
{
    return kind == EVENT_REQUEST ? settings_answer_by(&p->settings, p->v[kind][i].time_ms)
                                 : settings_request_by(&p->settings, p->v[kind][i].time_ms);
}

static inline int model_partner(const struct join_pair *p, enum event_kind kind, size_t i)
{
    const struct model_record *r = &p->v[kind][i];
    for (size_t n = 0; n < p->n[1 - kind] && r->seen == JOIN_NEW; n++) {
        const struct model_record *x = &p->v[1 - kind][n];
        if (x->seen == JOIN_NEW && x->id == r->id && x->time_ms <= model_deadline(p, kind, i) &&
            r->time_ms <= model_deadline(p, 1 - kind, n))
            return (int)n;
    }
    return MODEL_NOBODY;
}

static inline size_t model_index(const struct join_waiting *w)
{
    return (size_t)(w->kind == EVENT_REQUEST ? w->request.timestamp_us : w->response.offset);
}

// Time passes for one topic: waiting records of the other end.
static inline void join_pair_tick(struct join_pair *p, enum event_kind kind, int64_t time_ms)
{
    struct join_waiting w;
    p->now_ms[kind] = max_i64(p->now_ms[kind], time_ms);
    while (join_expire(p->table, 1 - kind, p->now_ms[kind], &w))
        p->v[1 - kind][model_index(&w)].table_expired = true;
}

// What a task does with a record, and the same record into the model's list.
static inline void join_pair_feed(struct join_pair *p, enum event_kind kind, int id,
                                  int64_t time_ms, uint32_t content, uint32_t tenant)
{
    if (p->n[kind] == p->cap[kind]) {
        p->cap[kind] = p->cap[kind] ? p->cap[kind] * 2 : 64;
        p->v[kind] = xrealloc(p->v[kind], p->cap[kind] * sizeof(*p->v[kind]));
    }
    join_pair_tick(p, kind, time_ms);
    size_t i = p->n[kind]++;
    struct model_record *r = &p->v[kind][i];
    *r = (struct model_record){id,       p->now_ms[kind], content,      tenant,
                               JOIN_NEW, JOIN_NEW,        MODEL_NOBODY, false};
    r->seen = model_judge(p, kind, i);
    r->table_seen =
        join_see(p->table, kind, model_identity(id), r->time_ms, content, tenant, p->now_ms);
    if (r->table_seen != JOIN_NEW)
        return;
    struct join_waiting w = {.identity = model_identity(id), .time_ms = r->time_ms, .kind = kind};
    struct join_waiting other;
    if (join_match(p->table, kind, w.identity, r->time_ms, &other)) {
        r->table_partner = (int)model_index(&other);
        p->v[1 - kind][r->table_partner].table_partner = (int)i;
        return;
    }
    if (kind == EVENT_REQUEST)
        w.request.timestamp_us = (int64_t)i;
    else
        w.response.offset = (int64_t)i;
    join_wait(p->table, &w);
    join_pair_tick(p, 1 - kind, p->now_ms[1 - kind]);
}

static inline void model_check_topic(struct join_pair *p, enum event_kind kind)
{
    size_t waiting = 0;
    int64_t deadline_ms = INT64_MAX;
    for (size_t i = 0; i < p->n[kind]; i++) {
        const struct model_record *r = &p->v[kind][i];
        int partner = model_partner(p, kind, i);
        int64_t ends_ms = model_deadline(p, kind, i);
        bool open = r->seen == JOIN_NEW && partner == MODEL_NOBODY;
        bool expired = open && p->now_ms[1 - kind] > ends_ms;
        if (r->seen != r->table_seen || partner != r->table_partner || expired != r->table_expired)
            snprintf(p->wrong, sizeof(p->wrong),
                     "topic %d record %zu (id %d at %lld): seen %d want %d, partner %d want %d, "
                     "expired %d want %d",
                     (int)kind, i, r->id, (long long)r->time_ms, (int)r->table_seen, (int)r->seen,
                     r->table_partner, partner, r->table_expired, expired);
        waiting += open && !expired;
        if (open && !expired)
            deadline_ms = min_i64(deadline_ms, ends_ms);
    }
    if (join_waiting_count(p->table, kind) != waiting ||
        join_deadline(p->table, kind) != deadline_ms)
        snprintf(p->wrong, sizeof(p->wrong),
                 "topic %d: %zu wait, want %zu; deadline %lld, want %lld", (int)kind,
                 join_waiting_count(p->table, kind), waiting,
                 (long long)join_deadline(p->table, kind), (long long)deadline_ms);
}

// "" where the table has answered as the model does, for all records so far.
static inline const char *join_pair_check(struct join_pair *p)
{
    model_check_topic(p, EVENT_REQUEST);
    model_check_topic(p, EVENT_RESPONSE);
    return p->wrong;
}

#endif
