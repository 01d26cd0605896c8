// SPDX-License-Identifier: Apache-2.0
#include "processor/instance.h"

#include "common/core/config.h"
#include "common/core/timeunit.h"

#define TICK_INTERVAL_MS 1000

struct member {
    struct task *task; // owned; NULL between claim and start
    int partition;
    int64_t epoch, flush_seq;
    bool parked;
    bool changed; // fed since the last flush
    bool at_end[2];
    int64_t ticked_ms[2];
    struct claim claim; // between claim and start
};

struct instance {
    struct instance_config config;
    struct task_limits limits;
    struct task_env env;
    struct store *store;
    struct emit *emit;
    struct member *members; // sorted by partition
    size_t count;
    struct flush flush;
    int64_t want_ms;
};

struct instance *instance_new(const struct instance_config *c, const struct hash_key *key,
                              struct store *store, struct emit *emit, struct processor_stats *stats)
{
    struct instance *in = xcalloc(1, sizeof(*in));
    in->config = *c;
    in->limits = (struct task_limits){
        .max_joins = c->max_joins,
        .max_cells = c->max_cells,
        .max_dead_letters = c->max_dead_letters,
    };
    in->env = (struct task_env){key, series_table_new(key), event_parser_new(), stats};
    in->store = store;
    in->emit = emit;
    in->want_ms = TIME_NONE;
    return in;
}

void instance_free(struct instance *in)
{
    if (!in)
        return;
    instance_drop_all(in);
    free(in->members);
    event_parser_free(in->env.parser);
    series_table_free(in->env.series);
    free(in);
}

// ---- ownership ----

static struct member *find(const struct instance *in, int partition)
{
    for (size_t i = 0; i < in->count; i++)
        if (in->members[i].partition == partition)
            return &in->members[i];
    return NULL;
}

static struct member *insert(struct instance *in, int partition)
{
    in->members = xrealloc(in->members, (in->count + 1) * sizeof(*in->members));
    size_t at = 0;
    while (at < in->count && in->members[at].partition < partition)
        at++;
    memmove(in->members + at + 1, in->members + at, (in->count - at) * sizeof(*in->members));
    in->count++;
    in->members[at] = (struct member){.partition = partition};
    return &in->members[at];
}

static void drop_if(struct instance *in, bool parked_only)
{
    size_t kept = 0;
    for (size_t i = 0; i < in->count; i++) {
        if (parked_only && !in->members[i].parked)
            in->members[kept++] = in->members[i];
        else
            task_free(in->members[i].task);
    }
    in->count = kept;
}

enum store_result instance_claim(struct instance *in, int partition, struct err *e)
{
    assert(!instance_is_flushing(in));
    struct member *m = find(in, partition);
    struct claim claim;
    int64_t held_epoch = m && m->task ? m->epoch : 0;
    enum store_result rc = store_claim(in->store, partition, held_epoch, &claim, e);
    if (rc != STORE_OK)
        return rc;
    if (!m)
        m = insert(in, partition);
    if (claim.kept) {
        in->env.stats->tasks_kept++;
    } else {
        task_free(m->task);
        *m = (struct member){.partition = partition};
        in->env.stats->claims++;
    }
    m->claim = claim;
    m->epoch = claim.epoch;
    m->flush_seq = claim.flush_seq;
    return STORE_OK;
}

static const char *topic_of(int k)
{
    return k == EVENT_REQUEST ? TOPIC_REQUESTS : TOPIC_RESPONSES;
}

// Whether the log still holds what the stored position says was consumed (rule 5): 0, 1 where it no
// longer reaches back to R (the replay then begins where it does), -1 where it does not hold P.
static int check_ends(int partition, int k, struct log_position *stored,
                      const struct log_ends *ends, struct err *e)
{
    if (ends->high < stored->next)
        return err_set(
            e,
            "%s, partition %d: consumed up to offset %lld, but the log ends at %lld; the "
            "topic was recreated or truncated",
            topic_of(k), partition, (long long)stored->next, (long long)ends->high);
    if (ends->low > stored->next)
        return err_set(
            e,
            "%s, partition %d: offsets %lld to %lld were deleted before they were consumed "
            "(retention too short, or the processor was away too long)",
            topic_of(k), partition, (long long)stored->next, (long long)ends->low - 1);
    bool degraded = ends->low > stored->replay;
    stored->replay = max_i64(stored->replay, ends->low);
    return degraded ? 1 : 0;
}

int instance_start(struct instance *in, int partition, const struct log_ends ends[2],
                   int64_t from[2], struct err *e)
{
    struct member *m = find(in, partition);
    assert(m);
    if (!m->task && m->claim.stored) {
        struct position at = m->claim.position;
        int degraded = 0;
        for (int k = 0; k < 2; k++) {
            int rc = check_ends(partition, k, &at.log[k], &ends[k], e);
            if (rc < 0)
                return -1;
            degraded |= rc;
        }
        in->env.stats->degraded_replays += degraded;
        m->task = task_new_at(partition, &in->limits, &m->claim.settings, &in->env, &at);
    } else if (!m->task) {
        int64_t start[2];
        for (int k = 0; k < 2; k++)
            start[k] = in->config.start_latest ? ends[k].high : ends[k].low;
        m->task = task_new(partition, &in->limits, &m->claim.settings, &in->env, start);
    }
    m->parked = false;
    for (int k = 0; k < 2; k++) {
        m->at_end[k] = false;
        from[k] = task_next_offset(m->task, k);
    }
    return 0;
}

void instance_park(struct instance *in)
{
    assert(!instance_is_flushing(in));
    for (size_t i = 0; i < in->count; i++)
        in->members[i].parked = true;
}

void instance_drop_parked(struct instance *in)
{
    drop_if(in, true);
}

void instance_drop_all(struct instance *in)
{
    if (instance_is_flushing(in))
        store_abort(in->store);
    flush_clear(&in->flush);
    drop_if(in, false);
}

size_t instance_task_count(const struct instance *in)
{
    return in->count;
}

struct task *instance_task(struct instance *in, int partition)
{
    struct member *m = find(in, partition);
    return m && !m->parked ? m->task : NULL;
}

// ---- records ----

int instance_feed(struct instance *in, int partition, const struct task_record *r, int64_t now_ms)
{
    struct member *m = find(in, partition);
    assert(m && m->task && !m->parked && !instance_is_flushing(in));
    if (r->time_ms > now_ms + task_skew_ms(m->task))
        return FEED_AHEAD;
    m->at_end[r->topic] = false;
    enum task_feed rc = task_feed(m->task, r);
    if (rc == FEED_TAKEN)
        m->changed = true;
    return (int)rc;
}

void instance_at_end(struct instance *in, int partition, enum event_kind topic)
{
    struct member *m = find(in, partition);
    if (m)
        m->at_end[topic] = true;
}

// ---- flush ----

// Replaying tasks have put nothing into the deltas and have no position of their own yet.
static bool begin(struct instance *in, bool parked_too, bool unchanged_too)
{
    assert(!instance_is_flushing(in));
    struct flush_member *members = xcalloc(in->count, sizeof(*members));
    size_t n = 0;
    bool changed = false;
    for (size_t i = 0; i < in->count; i++) {
        const struct member *m = &in->members[i];
        if (!m->task || !task_is_live(m->task) || (m->parked && !parked_too))
            continue;
        members[n++] = (struct flush_member){m->task, m->epoch, m->flush_seq};
        changed = changed || m->changed || unchanged_too;
    }
    if (changed)
        flush_start(&in->flush, members, n);
    free(members);
    return changed;
}

// Parked tasks wait for the next assignment with their deltas: another member may have claimed one,
// and its fence would void the flush of all.
bool instance_flush_begin(struct instance *in)
{
    return begin(in, false, false);
}

bool instance_flush_begin_all(struct instance *in)
{
    return begin(in, true, true);
}

bool instance_is_flushing(const struct instance *in)
{
    return in->flush.state != FLUSH_IDLE;
}

static void flushed(struct instance *in)
{
    for (size_t i = 0; i < in->flush.batch.partition_count; i++) {
        struct member *m = find(in, in->flush.batch.partitions[i].partition);
        assert(m); // members come and go between flushes alone
        task_flushed(m->task);
        m->flush_seq++;
        m->changed = false;
    }
    flush_clear(&in->flush);
}

enum flush_result instance_flush_step(struct instance *in, struct err *e)
{
    enum flush_result rc = flush_step(&in->flush, in->store, in->emit, in->env.stats, e);
    if (rc == FLUSH_DONE)
        flushed(in);
    else if (rc == FLUSH_FENCED)
        instance_drop_all(in);
    return rc;
}

// ---- closing and ticks ----

enum store_result instance_read_closing(struct instance *in, int64_t now_ms, struct err *e)
{
    struct store_closing closing;
    enum store_result rc =
        store_closing(in->store, now_ms, in->config.window_grace_ms, &closing, e);
    if (rc != STORE_OK)
        return rc;
    in->want_ms = closing.want_ms;
    in->env.stats->closed_through_s =
        closing.progress.through_ms == TIME_NONE
            ? 0
            : (closing.progress.through_ms - in->config.window_grace_ms) / MS_PER_S;
    return STORE_OK;
}

enum store_result instance_close_windows(struct instance *in, int64_t now_ms, struct err *e)
{
    assert(!instance_is_flushing(in));
    const struct member *m = find(in, 0);
    if (!m || m->parked)
        return STORE_OK;
    struct closing_rule rule = {in->config.window_grace_ms, in->config.close_wait_ms};
    enum store_result rc = store_close(in->store, m->epoch, &rule, now_ms, e);
    if (rc == STORE_FENCED)
        instance_drop_all(in);
    return rc;
}

void instance_tick(struct instance *in, int64_t now_ms)
{
    for (size_t i = 0; i < in->count; i++) {
        struct member *m = &in->members[i];
        bool due[2];
        if (!m->task || m->parked)
            continue;
        task_ticks_due(m->task, now_ms, in->want_ms, due);
        for (int k = 0; k < 2; k++) {
            // While records are still to be read the time may move by itself.
            if (!due[k] || !m->at_end[k] || now_ms < m->ticked_ms[k] + TICK_INTERVAL_MS)
                continue;
            m->ticked_ms[k] = now_ms;
            in->env.stats->ticks_sent++;
            emit_tick(in->emit, k, m->partition);
        }
    }
}

void instance_update_gauges(struct instance *in)
{
    struct processor_stats *s = in->env.stats;
    s->tasks = s->tasks_replaying = s->waiting_requests = s->waiting_responses = 0;
    s->identities = s->join_bytes = s->delta_cells = 0;
    s->series = (int64_t)series_count(in->env.series);
    for (size_t i = 0; i < in->count; i++) {
        const struct member *m = &in->members[i];
        if (!m->task)
            continue;
        if (task_is_live(m->task))
            s->tasks++;
        else
            s->tasks_replaying++;
        const struct join *j = task_join(m->task);
        s->waiting_requests += (int64_t)join_waiting_count(j, EVENT_REQUEST);
        s->waiting_responses += (int64_t)join_waiting_count(j, EVENT_RESPONSE);
        s->identities += (int64_t)join_identity_count(j);
        s->join_bytes += (int64_t)join_bytes(j);
        s->delta_cells += (int64_t)window_count(task_deltas(m->task));
    }
}
