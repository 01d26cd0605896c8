// SPDX-License-Identifier: Apache-2.0
// What applications send: few ids, so that they repeat and are used again.
#include "tests/sim/world.h"

#define IDS 40

// Who sends what about which request.
static enum event_kind draw_names(struct world *w, struct truth *t)
{
    struct random *r = &w->random;
    enum event_kind kind = random_chance(r, 50) ? EVENT_REQUEST : EVENT_RESPONSE;
    t->id = random_below(r, IDS);
    t->sender = w->authenticated && random_chance(r, 35) ? random_below(r, 2) : SIM_NOBODY;
    t->tenant = t->id % 3 == 0 && random_chance(r, 5) ? 9 : t->id % 2;
    if (random_chance(r, 2) || (t->sender != SIM_NOBODY && random_chance(r, 50)))
        t->tenant = SIM_NOBODY;
    t->route = t->id % 2;
    t->model = t->id % 3;
    t->answered_by = random_chance(r, 50)  ? SIM_NOBODY
                     : random_chance(r, 5) ? SIM_MODEL_OTHER
                                           : random_below(r, 5);
    if (!w->crowded)
        return kind;
    // The halves of one request follow each other closely, in either order.
    int pair = w->produced++ / 2;
    bool second = w->produced % 2 == 0;
    *t = (struct truth){.sender = SIM_NOBODY, .id = pair, .answered_by = random_below(r, 90)};
    return second == (pair % 3 == 0) ? EVENT_REQUEST : EVENT_RESPONSE;
}

// Mostly small, at times at or beside the bound of a context band.
static int64_t draw_tokens(struct random *r, int sent_percent)
{
    static const int64_t bands[] = {32000, 100000, 128000, 200000, 256000, 272000, 512000, 1000000};
    if (!random_chance(r, sent_percent))
        return EVENT_ABSENT;
    if (random_chance(r, 20))
        return bands[random_below(r, ARRAY_LEN(bands))] + random_below(r, 3) - 1;
    return random_below(r, 1 << random_below(r, 21));
}

static void draw_usage(struct random *r, struct truth *t)
{
    static const char *const tiers[] = {NULL, NULL, "flex", "Flex", "default", "batch"};
    static const char *const providers[] = {NULL, "openai", "anthropic", "Bedrock"};
    t->prompt_tokens = draw_tokens(r, 60);
    t->completion_tokens = draw_tokens(r, 80);
    t->cached_prompt_tokens = draw_tokens(r, 40);
    t->cache_write_tokens = draw_tokens(r, 20);
    t->cache_write_1h_tokens = draw_tokens(r, 20);
    t->reasoning_tokens = draw_tokens(r, 20);
    t->tier = tiers[random_below(r, ARRAY_LEN(tiers))];
    t->provider = providers[random_below(r, ARRAY_LEN(providers))];
    t->cost_pusd = random_chance(r, 30)
                       ? (int64_t)(random_next(r) % (UINT64_C(1) << (1 + random_below(r, 49))))
                       : EVENT_ABSENT;
}

// What one partition loses must not be looked for in another's rows.
static void keep_apart(struct truth *t, int partition)
{
    if (t->tenant != SIM_NOBODY)
        t->tenant += 10 * partition;
    if (t->sender != SIM_NOBODY)
        t->sender += 10 * partition;
}

void produce_one(struct world *w)
{
    struct random *r = &w->random;
    struct truth t = {0};
    enum event_kind kind = draw_names(w, &t);
    int partition = t.id % w->broker.log.partitions;
    t.malformed = random_chance(r, 2);
    t.content = random_below(r, 3);
    t.timestamp_us =
        w->crowded ? w->start_us : (world_now_ms(w) - 90000 + random_below(r, 180000)) * 1000;
    t.time_out_of_range = kind == EVENT_REQUEST && !t.malformed && random_chance(r, 2);
    if (t.time_out_of_range)
        t.timestamp_us += random_chance(r, 50) ? 3 * EVENT_FUTURE_US : -2 * EVENT_PAST_US;
    t.latency_us =
        random_chance(r, 80) ? random_below(r, 1 << (1 + random_below(r, 29))) : EVENT_ABSENT;
    t.ttft_us = random_chance(r, 50) ? random_below(r, 1000000) : EVENT_ABSENT;
    draw_usage(r, &t);
    t.error = random_chance(r, 20) ? (random_chance(r, 50) ? "timeout" : "") : NULL;
    t.finish = random_chance(r, 60) ? (random_chance(r, 50) ? "stop" : "length") : NULL;
    if (w->apart)
        keep_apart(&t, partition);
    broker_append(&w->broker, kind, partition, &t);
}

// Mostly in the order of time, so that neither topic runs far ahead; the clock goes along.
bool tell_one(struct world *w)
{
    struct random *r = &w->random;
    struct sim_topic *chosen = NULL;
    bool by_time = random_chance(r, 80);
    int left = 0;
    for (int k = 0; k < 2; k++)
        for (int p = 0; p < w->broker.log.partitions; p++) {
            struct sim_topic *t = &w->broker.log.topic[k][p];
            if (t->visible == t->n)
                continue;
            bool earlier = !chosen || t->v[t->visible].time_ms < chosen->v[chosen->visible].time_ms;
            left++;
            if (by_time ? earlier : random_below(r, left) == 0)
                chosen = t;
        }
    if (!chosen)
        return false;
    int64_t until_us = chosen->v[chosen->visible++].time_ms * 1000 - random_below(r, 500000);
    if (until_us > w->now_us)
        world_pass(w, until_us - w->now_us);
    return true;
}
