// SPDX-License-Identifier: Apache-2.0
// Random logs for tasks, tasks that go over them from a position on, and what came out of two
// compared. On top of task_case.h.
#ifndef STREAMLENS_TESTS_TASK_REPLAY_CASE_H
#define STREAMLENS_TESTS_TASK_REPLAY_CASE_H

#include "tests/sim/random.h"
#include "tests/unit/task_case.h"

static inline struct position position_of(struct task *t)
{
    struct position p;
    task_position(t, &p);
    return p;
}

static inline struct position position_now(void)
{
    return position_of(task);
}

// Another owner takes over at the position; what the first had not flushed is gone.
static inline void take_over(const struct position *p)
{
    task_free(task);
    window_clear(env.deltas);
    stats = (struct processor_stats){0};
    task = task_new_at(3, &limits, &settings, &env, p);
}

static inline void random_record(struct random *r, int64_t *at_ms)
{
    char id[8];
    *at_ms += random_chance(r, 3) ? random_below(r, 3 * D) : random_below(r, 200);
    snprintf(id, sizeof(id), "i%d", random_below(r, 25));
    enum event_kind kind = random_below(r, 2);
    if (random_chance(r, 10))
        logs[kind].next += random_below(r, 4);
    int64_t appended_ms = *at_ms - (random_chance(r, 10) ? random_below(r, 300) : 0);
    if (random_chance(r, 10))
        (void)append(kind, appended_ms, "", NULL, NULL);
    else if (random_chance(r, 3))
        (void)append(kind, appended_ms, id, NULL, "poison");
    else if (kind == EVENT_REQUEST)
        (void)append_ask(appended_ms, id, random_chance(r, 20) ? ",\"prompt_tokens\":1" : "");
    else
        (void)append_answer(appended_ms, id, random_chance(r, 20) ? ",\"latency_ms\":5" : "");
}

// Where in the logs the task goes on reading.
static inline void find_start(const struct task *t, size_t at[2])
{
    for (int k = 0; k < 2; k++)
        for (at[k] = 0; at[k] < logs[k].n; at[k]++)
            if (logs[k].v[at[k]].offset >= task_next_offset(t, k))
                break;
}

// Feeds what the task chooses; `at` are indexes into the logs, `left` how many records it may take.
static inline void run(struct task *t, size_t at[2], size_t left)
{
    while (left) {
        struct task_ready ready[2];
        for (int k = 0; k < 2; k++) {
            bool has = at[k] < logs[k].n;
            ready[k] = (struct task_ready){has, !has, has ? logs[k].v[at[k]].time_ms : 0};
        }
        int k = task_choose(t, ready);
        if (k < 0)
            return;
        enum task_feed rc = feed_to(t, k, &logs[k].v[at[k]]);
        if (rc == FEED_HOLD)
            continue;
        ck_assert(rc == FEED_TAKEN);
        at[k]++;
        left--;
    }
}

static inline void expect_same_facts(const struct facts *a, const struct facts *b)
{
#define EQUAL(name) ck_assert_int_eq(a->name, b->name);
    FACTS_SUMS(EQUAL)
#undef EQUAL
    ck_assert_int_eq(a->latency.total, b->latency.total);
    ck_assert_int_eq(a->latency.sum_us, b->latency.sum_us);
}

#endif
