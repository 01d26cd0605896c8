// SPDX-License-Identifier: Apache-2.0
#include "processor/instance.h"

#include <stdio.h>

#include "common/core/config.h"
#include "common/core/timeunit.h"

#define TICK_INTERVAL_MS 1000

struct member {
    struct task *task; // owned; NULL between claim and start
    int partition;
    int64_t epoch, flush_seq;
    bool parked;
    bool changed;                  // fed since the last flush, or a gap is to be noted
    bool at_end[2], ends_early[2]; // ends_early: before the P that its replay has to arrive at
    int64_t ticked_ms[2];
    struct claim claim; // what the database has, until a flush
    bool halted;
    bool ahead;              // its next record is ahead of the clock
    char why[512];           // where halted or ahead
    bool other_log[2];       // the replay met a record that is not the one that was consumed
    int64_t lacks_below[2];  // degraded until R reaches this offset; 0 where it is not
    struct log_gap gap[2];   // to be noted with the next flush
    bool gap_is_followed[2]; // a record was taken behind it
};

struct instance {
    struct instance_config config;
    struct task_limits limits;
    struct task_env env;
    struct dead_letters_load letters;
    struct store *store;
    struct emit *emit;
    struct member *members; // sorted by partition
    size_t count;
    struct store_partition *claimed; // sorted; all that ever was, with the epoch of the last time
    size_t claimed_count;
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
    in->env = (struct task_env){
        .key = key,
        .series = series_table_new(key),
        .parser = event_parser_new(),
        .stats = stats,
        .letters = &in->letters,
    };
    in->env.deltas = window_table_new(in->env.series);
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
    free(in->claimed);
    window_table_free(in->env.deltas);
    event_parser_free(in->env.parser);
    series_table_free(in->env.series);
    free(in);
}

// ---- ownership ----

static struct member *find(const struct instance *in, int partition)
{
    size_t low = 0, high = in->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (in->members[mid].partition == partition)
            return &in->members[mid];
        if (in->members[mid].partition < partition)
            low = mid + 1;
        else
            high = mid;
    }
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

// Outlasts the task: whoever drops all, since others have it, may still have to ask who they are.
static void remember_claim(struct instance *in, int partition, int64_t epoch)
{
    size_t i = 0;
    while (i < in->claimed_count && in->claimed[i].partition < partition)
        i++;
    if (i == in->claimed_count || in->claimed[i].partition != partition) {
        in->claimed = xrealloc(in->claimed, (in->claimed_count + 1) * sizeof(*in->claimed));
        memmove(in->claimed + i + 1, in->claimed + i,
                (in->claimed_count++ - i) * sizeof(*in->claimed));
    }
    in->claimed[i] = (struct store_partition){.partition = partition, .epoch = epoch};
}

enum store_result instance_find_rival(struct instance *in, bool *found, struct err *e)
{
    struct store_flush f = {.partitions = in->claimed, .partition_count = in->claimed_count};
    *found = false;
    return f.partition_count ? store_find_rival(in->store, &f, found, e) : STORE_OK;
}

// Alone, a task may only go while the deltas hold nothing of it.
static void drop_task(const struct instance *in, struct member *m)
{
    assert(!m->task || !task_is_live(m->task) || !m->changed || window_count(in->env.deltas) == 0);
    task_free(m->task);
    m->task = NULL;
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
    // A database that was set back to an older state has the epoch, but not what was flushed since.
    if (claim.kept && claim.flush_seq == m->flush_seq) {
        in->env.stats->tasks_kept++;
    } else {
        drop_task(in, m);
        *m = (struct member){.partition = partition};
        in->env.stats->claims++;
    }
    m->claim = claim;
    m->epoch = claim.epoch;
    m->flush_seq = claim.flush_seq;
    remember_claim(in, partition, claim.epoch);
    return STORE_OK;
}

// ---- where a partition begins ----

static const char *topic_of(int k)
{
    return k == EVENT_REQUEST ? TOPIC_REQUESTS : TOPIC_RESPONSES;
}

// Whether the log is one that was consumed up to P, and holds what comes after (rule 5).
static int check_log(const struct member *m, int k, const struct log_position *stored,
                     const struct log_ends *ends, struct err *e)
{
    if (m->other_log[k])
        return err_set(e,
                       "%s, partition %d: the record at offset %lld is not the one that was "
                       "consumed there; the topic was recreated or truncated",
                       topic_of(k), m->partition, (long long)stored->last_offset);
    if (ends->high < stored->next)
        return err_set(e,
                       "%s, partition %d: consumed up to offset %lld, but the log ends at %lld; "
                       "the topic was recreated or truncated",
                       topic_of(k), m->partition, (long long)stored->next, (long long)ends->high);
    if (ends->low > stored->next)
        return err_set(e,
                       "%s, partition %d: offsets %lld to %lld were deleted before they were "
                       "consumed (retention too short, or the processor was away too long)",
                       topic_of(k), m->partition, (long long)stored->next,
                       (long long)ends->low - 1);
    return 0;
}

// Goes on without what check_log missed: at the log's start where records were deleted, else at its
// end, since in another log nobody can tell what was counted before. True where it is another log.
static bool accept_gap(struct member *m, int k, struct log_position *stored,
                       const struct log_ends *ends, int64_t now_ms)
{
    bool deleted = !m->other_log[k] && ends->low > stored->next;
    bool from_last = m->other_log[k] && ends->high != stored->last_offset; // else it were no gap
    m->gap[k] = (struct log_gap){
        .from = from_last ? stored->last_offset : stored->next,
        .to = deleted ? ends->low : ends->high,
        .from_ms = stored->time_ms,
        .to_ms = max_i64(now_ms, stored->time_ms),
    };
    m->changed = true;
    if (deleted)
        return false;
    stored->next = ends->high;
    stored->last_offset = -1;
    return true;
}

// The task as the database has it.
static enum instance_start resume(struct instance *in, struct member *m,
                                  const struct log_ends ends[2], int64_t now_ms, struct err *e)
{
    enum instance_start rc = START_WHOLE;
    struct position at = m->claim.position;
    bool is_other = false;
    for (int k = 0; k < 2; k++) {
        if (check_log(m, k, &at.log[k], &ends[k], e) == 0)
            continue;
        if (!in->config.accept_loss)
            return START_HALTED;
        is_other |= accept_gap(m, k, &at.log[k], &ends[k], now_ms);
        rc = START_LOSSY;
    }
    // Offsets of another log say nothing about where a replay should begin; and what waits in the
    // other topic may have been answered in the one that is gone, now and at every later replay.
    for (int k = 0; k < 2 && is_other; k++)
        at.log[k].replay = at.log[k].next;
    m->task = task_new_at(m->partition, &in->limits, &m->claim.settings, &in->env, &at);
    for (int k = 0; k < 2; k++) {
        m->other_log[k] = false;
        if (ends[k].low <= at.log[k].replay)
            continue;
        m->lacks_below[k] = ends[k].low;
        task_skip_to(m->task, k, ends[k].low);
        if (rc != START_WHOLE)
            continue;
        rc = START_DEGRADED;
        (void)err_set(e,
                      "%s, partition %d: begins at offset %lld, but the replay should begin at "
                      "%lld",
                      topic_of(k), m->partition, (long long)ends[k].low,
                      (long long)at.log[k].replay);
    }
    in->env.stats->degraded_replays += m->lacks_below[0] || m->lacks_below[1];
    return rc;
}

// What is in memory goes on where it stands, unless the log does not.
static bool may_keep(const struct member *m, const struct log_ends ends[2])
{
    if (!m->task || m->halted)
        return false;
    for (int k = 0; k < 2; k++) {
        int64_t next = task_next_offset(m->task, k);
        if (next < ends[k].low || next > ends[k].high)
            return false;
    }
    return true;
}

static struct member fresh_member(const struct member *m)
{
    return (struct member){.partition = m->partition,
                           .epoch = m->epoch,
                           .flush_seq = m->flush_seq,
                           .claim = m->claim,
                           .other_log = {m->other_log[0], m->other_log[1]}};
}

static enum instance_start start_anew(struct instance *in, struct member *m,
                                      const struct log_ends ends[2], int64_t now_ms, struct err *e)
{
    drop_task(in, m);
    *m = fresh_member(m);
    if (m->claim.stored)
        return resume(in, m, ends, now_ms, e);
    int64_t start[2];
    for (int k = 0; k < 2; k++)
        start[k] = in->config.start_latest ? ends[k].high : ends[k].low;
    m->task = task_new(m->partition, &in->limits, &m->claim.settings, &in->env, start);
    return START_WHOLE;
}

static void add_way_out(struct err *e)
{
    size_t n = strlen(e->detail);
    snprintf(e->detail + n, sizeof(e->detail) - n, "; ACCEPT_LOSS=1 goes on without what is lost");
}

enum instance_start instance_start(struct instance *in, int partition,
                                   const struct log_ends ends[2], int64_t now_ms, int64_t from[2],
                                   struct err *e)
{
    struct member *m = find(in, partition);
    assert(m && !instance_is_flushing(in));
    enum instance_start rc = START_WHOLE;
    if (!may_keep(m, ends))
        rc = start_anew(in, m, ends, now_ms, e);
    m->parked = m->ahead = false;
    if (rc == START_HALTED) {
        add_way_out(e);
        instance_halt(in, partition, e->detail);
        return rc;
    }
    for (int k = 0; k < 2; k++) {
        m->at_end[k] = false;
        from[k] = task_next_offset(m->task, k);
    }
    return rc;
}

// ---- halted and degraded ----

void instance_halt(struct instance *in, int partition, const char *why)
{
    struct member *m = find(in, partition);
    assert(m);
    m->halted = true;
    snprintf(m->why, sizeof(m->why), "%s", why);
}

void instance_halt_all(struct instance *in, const char *why)
{
    for (size_t i = 0; i < in->count; i++)
        instance_halt(in, in->members[i].partition, why);
}

bool instance_is_halted(const struct instance *in, int partition)
{
    const struct member *m = find(in, partition);
    return m && m->halted;
}

static bool is_stopped(const struct member *m)
{
    return m->halted || m->ahead;
}

static bool is_degraded(const struct member *m)
{
    return m->lacks_below[0] || m->lacks_below[1];
}

void instance_condition(const struct instance *in, struct instance_condition *out)
{
    *out = (struct instance_condition){.owned = in->count};
    for (size_t i = 0; i < in->count; i++) {
        const struct member *m = &in->members[i];
        if (is_degraded(m) && out->degraded++ == 0)
            out->first_degraded = m->partition;
        if (is_stopped(m) && out->halted++ == 0)
            snprintf(out->why, sizeof(out->why), "%s", m->why);
    }
}

// The deltas do not say whose they are. Before partitions are given up they are flushed; where that
// was not done, they go, and so does whoever has counted any of them.
static void drop_unflushed(struct instance *in)
{
    window_clear(in->env.deltas);
    for (size_t i = 0; i < in->count; i++) {
        struct member *m = &in->members[i];
        if (!m->task || !task_is_live(m->task) || !m->changed)
            continue;
        task_free(m->task);
        m->task = NULL;
    }
}

void instance_park(struct instance *in)
{
    assert(!instance_is_flushing(in));
    drop_unflushed(in);
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
    window_clear(in->env.deltas);
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

int64_t instance_publishing_epoch(const struct instance *in)
{
    const struct member *m = find(in, 0);
    return m && !m->parked ? m->epoch : 0;
}

// ---- records ----

// What follows a gap tells when it ended.
static void follow_gap(struct member *m, const struct task_record *r)
{
    struct log_gap *gap = &m->gap[r->topic];
    if (gap->from == gap->to || m->gap_is_followed[r->topic])
        return;
    m->gap_is_followed[r->topic] = true;
    gap->to_ms = max_i64(gap->from_ms, r->time_ms);
}

static int wait_for_clock(const struct instance *in, struct member *m, int64_t ahead_ms)
{
    m->ahead = true;
    snprintf(
        m->why, sizeof(m->why),
        "partition %d: the broker's clock (%.200s) is %lld ms ahead of ours, which is more than "
        "JOIN_SKEW_MS; it waits, or ACCEPT_CLOCK_AHEAD=1 goes on",
        m->partition, in->config.brokers, (long long)ahead_ms);
    return FEED_AHEAD;
}

int instance_feed(struct instance *in, int partition, const struct task_record *r, int64_t now_ms)
{
    struct member *m = find(in, partition);
    assert(m && m->task && !m->parked && !m->halted && !instance_is_flushing(in));
    if (!in->config.accept_clock_ahead && r->time_ms > now_ms + task_skew_ms(m->task))
        return wait_for_clock(in, m, r->time_ms - now_ms);
    m->ahead = false;
    m->at_end[r->topic] = m->ends_early[r->topic] = false;
    enum task_feed rc = task_feed(m->task, r);
    if (rc == FEED_TAKEN) {
        m->changed = true;
        follow_gap(m, r);
    } else if (rc == FEED_MISMATCH) {
        m->other_log[r->topic] = true;
    }
    return (int)rc;
}

void instance_at_end(struct instance *in, int partition, enum event_kind topic, int64_t offset)
{
    struct member *m = find(in, partition);
    if (!m || !m->task)
        return;
    m->at_end[topic] = true;
    m->ends_early[topic] = !task_at_end(m->task, topic, offset);
}

bool instance_is_doubtful(const struct instance *in, int partition)
{
    const struct member *m = find(in, partition);
    if (!m || !m->task || m->parked)
        return false;
    return m->other_log[0] || m->other_log[1] || m->ends_early[0] || m->ends_early[1];
}

enum instance_start instance_judge(struct instance *in, int partition,
                                   const struct log_ends ends[2], int64_t now_ms, struct err *e)
{
    struct member *m = find(in, partition);
    assert(instance_is_doubtful(in, partition) && !task_is_live(m->task));
    bool is_lost = false, is_beyond = false;
    for (int k = 0; k < 2; k++) {
        const struct log_position *stored = &m->claim.position.log[k];
        is_lost |= check_log(m, k, stored, &ends[k], e) < 0;
        // Of a log that was truncated the reader may still hold what was cut off.
        bool holds_none = m->at_end[k] || ends[k].high >= stored->next;
        is_beyond |= ends[k].high < task_next_offset(m->task, k) || !holds_none;
    }
    if (!is_lost)
        return START_WHOLE;
    if (is_beyond)
        return START_AGAIN;
    // From the claim once more: what the database has was not moved, since the task was not live.
    int64_t from[2];
    m->halted = true;
    return instance_start(in, partition, ends, now_ms, from, e);
}

// ---- flush ----

// Replaying tasks have put nothing into the deltas and have no position of their own yet.
//
// Parked tasks wait for the next assignment, and have counted nothing that is not flushed: another
// member may have claimed one, and its fence would void the flush of all.
bool instance_flush_begin(struct instance *in)
{
    assert(!instance_is_flushing(in));
    struct flush_member *members = xcalloc(in->count, sizeof(*members));
    size_t n = 0;
    bool changed = false;
    for (size_t i = 0; i < in->count; i++) {
        const struct member *m = &in->members[i];
        if (!m->task || !task_is_live(m->task) || m->parked)
            continue;
        members[n++] =
            (struct flush_member){m->task, m->epoch, m->flush_seq, {m->gap[0], m->gap[1]}};
        changed = changed || m->changed;
    }
    if (changed)
        flush_start(&in->flush, members, n, in->env.deltas);
    free(members);
    return changed;
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
        for (int k = 0; k < 2; k++) {
            m->gap[k] = (struct log_gap){0};
            if (in->flush.batch.partitions[i].position.log[k].replay >= m->lacks_below[k])
                m->lacks_below[k] = 0;
        }
    }
    window_clear(in->env.deltas);
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

// ---- what waits to close, and ticks ----

// With nothing to flush it would not be noticed for as long as nothing comes.
static enum store_result check_owned(struct instance *in, struct err *e)
{
    struct store_partition *owned = xcalloc(in->count, sizeof(*owned));
    struct store_flush f = {.partitions = owned};
    for (size_t i = 0; i < in->count; i++) {
        const struct member *m = &in->members[i];
        if (!m->parked)
            owned[f.partition_count++] = (struct store_partition){
                .partition = m->partition, .epoch = m->epoch, .flush_seq = m->flush_seq};
    }
    enum store_result rc = f.partition_count ? store_check(in->store, &f, e) : STORE_OK;
    free(owned);
    if (rc == STORE_FENCED)
        instance_drop_all(in);
    return rc;
}

enum store_result instance_read_closing(struct instance *in, int64_t now_ms, struct err *e)
{
    struct store_closing closing;
    assert(!instance_is_flushing(in));
    enum store_result rc = check_owned(in, e);
    if (rc == STORE_OK)
        rc = store_closing(in->store, now_ms, in->config.window_grace_ms, &closing, e);
    if (rc != STORE_OK)
        return rc;
    in->want_ms = closing.want_ms;
    in->env.stats->closed_through_s =
        closing.progress.through_ms == TIME_NONE
            ? 0
            : (closing.progress.through_ms - in->config.window_grace_ms) / MS_PER_S;
    return STORE_OK;
}

void instance_tick(struct instance *in, int64_t now_ms)
{
    for (size_t i = 0; i < in->count; i++) {
        struct member *m = &in->members[i];
        bool due[2];
        if (!m->task || m->parked || m->halted)
            continue;
        task_ticks_due(m->task, now_ms, in->want_ms, due);
        for (int k = 0; k < 2; k++) {
            // A last one that lies ahead is of a clock that was set back since.
            int64_t since_ms = now_ms - m->ticked_ms[k];
            bool just_now = since_ms >= 0 && since_ms < TICK_INTERVAL_MS;
            // While records are still to be read the time may move by itself.
            if (!due[k] || !m->at_end[k] || just_now)
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
    s->identities = s->join_bytes = 0;
    s->delta_cells = (int64_t)window_count(in->env.deltas);
    s->series = (int64_t)series_count(in->env.series);
    s->tasks_halted = s->tasks_degraded = s->tasks_full = 0;
    for (size_t i = 0; i < in->count; i++) {
        const struct member *m = &in->members[i];
        s->tasks_degraded += is_degraded(m);
        if (is_stopped(m))
            s->tasks_halted++;
        else if (m->task)
            *(task_is_live(m->task) ? &s->tasks : &s->tasks_replaying) += 1;
        if (!m->task)
            continue;
        const struct join *j = task_join(m->task);
        s->waiting_requests += (int64_t)join_waiting_count(j, EVENT_REQUEST);
        s->waiting_responses += (int64_t)join_waiting_count(j, EVENT_RESPONSE);
        s->identities += (int64_t)join_identity_count(j);
        s->join_bytes += (int64_t)task_join_bytes(m->task);
        s->tasks_full += task_is_full(m->task);
    }
}
