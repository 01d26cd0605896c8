// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fake_group.h"

#define REBALANCE_MS 3000 // who has not joined by then is out

struct source {
    const struct group_client *client;
    struct source_events events;
    struct group_member *member; // NULL where the coordinator does not know us (any more)
    bool assigned;
    bool owned[SIM_MAX_PARTITIONS];
    int64_t cursor[SIM_MAX_PARTITIONS][2];
    int ready; // records that have arrived for this round
    enum source_state state;
};

// ---- the coordinator ----

void group_rebalance(struct group *g)
{
    if (!g->rebalancing)
        g->since_ms = g->now_ms;
    g->rebalancing = true;
    for (int i = 0; i < GROUP_MEMBERS; i++)
        g->members[i].joined = false;
}

static void remove_member(struct group *g, struct group_member *m)
{
    if (m->client)
        m->client->member = NULL;
    *m = (struct group_member){0};
    group_rebalance(g);
}

static bool is_heard(const struct group_member *m)
{
    return m->client && !m->client->client->cut_off && !m->client->client->stopped &&
           !m->client->client->fuse->dead;
}

static void deal(struct group *g)
{
    struct group_member *present[GROUP_MEMBERS];
    int n = 0;
    for (int i = 0; i < GROUP_MEMBERS; i++) {
        struct group_member *m = &g->members[i];
        memset(m->owns, 0, sizeof(m->owns));
        m->told = false;
        if (m->used)
            present[n++] = m;
    }
    for (int p = 0; p < g->log->partitions && n > 0; p++)
        present[random_below(g->random, n)]->owns[p] = true;
    g->rebalancing = false;
    g->generations++;
}

void group_pass(struct group *g)
{
    bool all_joined = true;
    for (int i = 0; i < GROUP_MEMBERS; i++) {
        struct group_member *m = &g->members[i];
        if (!m->used)
            continue;
        if (is_heard(m))
            m->heard_ms = g->now_ms;
        bool too_slow = g->rebalancing && !m->joined && g->now_ms - g->since_ms > REBALANCE_MS;
        if (g->now_ms - m->heard_ms > g->session_ms || too_slow)
            remove_member(g, m);
    }
    for (int i = 0; i < GROUP_MEMBERS; i++)
        all_joined = all_joined && (!g->members[i].used || g->members[i].joined);
    if (g->rebalancing && all_joined)
        deal(g);
}

bool group_is_stable(const struct group *g)
{
    for (int i = 0; i < GROUP_MEMBERS; i++)
        if (g->members[i].used && !(g->members[i].told && g->members[i].client))
            return false;
    return !g->rebalancing;
}

static struct group_member *add_member(struct group *g, int static_id)
{
    for (int i = 0; i < GROUP_MEMBERS; i++) {
        struct group_member *m = &g->members[i];
        if (m->used)
            continue;
        *m = (struct group_member){.used = true, .static_id = static_id, .heard_ms = g->now_ms};
        group_rebalance(g);
        return m;
    }
    return NULL; // full of ghosts for the moment
}

static struct group_member *find_static(struct group *g, int static_id)
{
    for (int i = 0; i < GROUP_MEMBERS && static_id != GROUP_NO_ID; i++)
        if (g->members[i].used && g->members[i].static_id == static_id)
            return &g->members[i];
    return NULL;
}

// ---- a member's side ----

struct source *fake_source_new(const struct group_client *c, const struct source_events *events)
{
    struct source *s = xcalloc(1, sizeof(*s));
    s->client = c;
    s->events = *events;
    return s;
}

static void revoke(struct source *s)
{
    if (!s->assigned)
        return;
    s->assigned = false;
    s->events.revoked(s->events.arg);
    memset(s->owned, 0, sizeof(s->owned));
}

static void join(struct source *s)
{
    struct group *g = s->client->group;
    struct group_member *m = find_static(g, s->client->static_id);
    if (!m) {
        m = add_member(g, s->client->static_id);
    } else {
        // Who takes its own id up again gets the share of before, and nobody else hears of it.
        if (m->client) {
            m->client->member = NULL;
            m->client->state = SOURCE_FENCED;
        }
        m->told = false;
        m->heard_ms = g->now_ms;
    }
    if (!m)
        return;
    m->client = s;
    s->member = m;
}

static void tell(struct source *s, struct err *e)
{
    int partitions[SIM_MAX_PARTITIONS];
    int64_t from[SIM_MAX_PARTITIONS][2];
    size_t n = 0;
    s->member->told = true;
    for (int p = 0; p < s->client->group->log->partitions; p++)
        if (s->member->owns[p]) {
            from[n][0] = from[n][1] = SOURCE_NOWHERE;
            partitions[n++] = p;
        }
    int rc = s->events.assigned(s->events.arg, partitions, n, from, e);
    if (rc != 0) {
        s->state = rc < 0 ? SOURCE_DEAD : SOURCE_REOPEN;
        return;
    }
    s->assigned = true;
    for (size_t i = 0; i < n; i++) {
        s->owned[partitions[i]] = true;
        memcpy(s->cursor[partitions[i]], from[i], sizeof(from[i]));
    }
}

enum source_state source_serve(struct source *s, struct err *e)
{
    struct group *g = s->client->group;
    s->ready = random_below(g->random, 12);
    if (s->client->fuse->dead || s->client->cut_off || s->state != SOURCE_OK)
        return s->state;
    if (!s->member && s->assigned) { // put out meanwhile
        revoke(s);
        if (s->client->static_id != GROUP_NO_ID && random_chance(g->random, 30)) {
            s->state = SOURCE_FENCED; // a late commit of offsets told us apart from ourselves
            err_set(e, "injected fence");
            return s->state;
        }
    }
    if (!s->member)
        join(s);
    if (s->member && g->rebalancing && !s->member->joined) {
        revoke(s);
        if (s->member) // the time that took may have been too long
            s->member->joined = true;
    } else if (s->member && !g->rebalancing && !s->member->told) {
        revoke(s);
        tell(s, e);
    }
    return s->state;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    struct group *g = s->client->group;
    bool heard = fuse_acts(s->client->fuse) && !s->client->cut_off;
    if (heard)
        revoke(s);
    if (s->member) {
        s->member->client = NULL;
        if (heard && s->client->static_id == GROUP_NO_ID)
            remove_member(g, s->member);
    }
    free(s);
}

// ---- records ----

int source_ends(struct source *s, int partition, struct log_ends ends[2], struct err *e)
{
    struct group *g = s->client->group;
    if (random_chance(g->random, g->fault_percent))
        return err_set(e, "injected fault");
    for (int k = 0; k < 2; k++)
        ends[k] =
            (struct log_ends){g->log->topic[k][partition].low, sim_log_high(g->log, k, partition)};
    return 0;
}

static struct task_record record_of(const struct sim_record *r, enum event_kind topic)
{
    return (struct task_record){
        .topic = topic,
        .offset = r->offset,
        .time_ms = r->time_ms,
        .tick = r->truth.tick,
        .key = str_of(r->key),
        .value = {r->value, r->value_n},
        .tenant = str_of(r->tenant),
    };
}

enum source_head source_peek(struct source *s, int partition, enum event_kind topic,
                             struct task_record *out, struct err *e)
{
    struct group *g = s->client->group;
    int64_t at = s->owned[partition] ? s->cursor[partition][topic] : SOURCE_NOWHERE;
    if (at == SOURCE_NOWHERE || s->client->fuse->dead || partition == g->dead_partition)
        return SOURCE_NOTHING;
    if (at < g->log->topic[topic][partition].low || at > sim_log_high(g->log, topic, partition)) {
        err_set(e, "offset out of range");
        return SOURCE_BROKEN;
    }
    const struct sim_record *r = sim_log_at(g->log, topic, partition, at);
    out->offset = sim_log_high(g->log, topic, partition);
    if (!r)
        return SOURCE_AT_END;
    if (s->ready == 0 || random_chance(g->random, 10))
        return SOURCE_NOTHING; // on its way
    *out = record_of(r, topic);
    return SOURCE_RECORD;
}

void source_taken(struct source *s, int partition, enum event_kind topic)
{
    if (!fuse_acts(s->client->fuse))
        return;
    struct group *g = s->client->group;
    int64_t *at = &s->cursor[partition][topic];
    *at = sim_log_at(g->log, topic, partition, *at)->offset + 1;
    s->ready--;
    if (random_chance(g->random, 1)) // the client library hands some out again
        *at = max_i64(g->log->topic[topic][partition].low, *at - random_below(g->random, 4));
}

int64_t source_log_end(const struct source *s, int partition, enum event_kind topic)
{
    return sim_log_high(s->client->group->log, topic, partition);
}

int64_t source_prefetched(const struct source *s)
{
    return s->ready;
}

void source_commit(struct source *s, const int *partitions, size_t count, int64_t (*next)[2])
{
    (void)s;
    (void)partitions;
    (void)count;
    (void)next;
}

bool source_is_assigned(const struct source *s)
{
    return s->assigned;
}
