// SPDX-License-Identifier: Apache-2.0
// The end of a world: no more traffic, no more faults, and everything must come to rest by itself.
#include "tests/sim/world.h"

#include "common/core/timeunit.h"
#include "processor/window.h"

#define ROUNDS 50 // of one process before the clock moves
#define REST_US (120 * US_PER_S)
#define EXPIRY_US (400 * US_PER_S)
#define SILENCE_US (30 * US_PER_S)

static void all_turn(struct world *w, int64_t us)
{
    world_pass(w, us);
    for (int i = 0; i < w->actors; i++)
        for (int n = 0; n < ROUNDS && w->actor[i].mono_us <= w->now_us; n++)
            actor_turn(&w->actor[i]);
    for (int i = 0; i < w->actors; i++)
        for (int n = 0; n < ROUNDS && w->actor[i].publish_us <= w->now_us; n++)
            actor_publish(&w->actor[i]);
}

// ---- all is read and flushed ----

// Whether the log no longer holds what comes after P.
static bool has_gap(const struct world *w, int p)
{
    const struct fake_position *row = &w->db.now.position[p];
    for (int k = 0; k < 2; k++)
        if (row->stored && w->broker.log.topic[k][p].low > row->position.log[k].next)
            return true;
    return false;
}

// Or may not be the one that was consumed.
static bool is_cut(const struct world *w, int p)
{
    return w->trust[p] == TRUST_LITTLE || has_gap(w, p);
}

static bool is_stored(const struct world *w, int p)
{
    const struct fake_position *row = &w->db.now.position[p];
    for (int k = 0; k < 2; k++) {
        int64_t next = row->stored ? row->position.log[k].next : 0;
        if (next > sim_log_high(&w->broker.log, k, p) || sim_log_at(&w->broker.log, k, p, next))
            return false;
    }
    return !w->db.locked_by[p];
}

// Partitions that may be halted need not be stored yet.
static bool all_is_stored(const struct world *w, bool but_the_cut)
{
    for (int p = 0; p < w->db.partitions; p++)
        if (!is_stored(w, p) && !(but_the_cut && is_cut(w, p)))
            return false;
    return true;
}

static bool all_are_ready(const struct world *w)
{
    for (int i = 0; i < w->actors; i++)
        if (!runner_health(w->actor[i].runner, true).ready)
            return false;
    return true;
}

// And nothing of it is hidden from readers.
static bool all_is_published(const struct world *w)
{
    for (int t = 0; t < 2; t++)
        if (coordinator_end(w->coordinator, t, READ_COMMITTED) <
            coordinator_end(w->coordinator, t, READ_UNCOMMITTED))
            return false;
    return fake_publish_is_done(&w->db) && fake_outlet_last(w->coordinator) == w->db.now.last_seq;
}

static void come_to_rest(struct world *w, bool but_the_cut)
{
    int64_t deadline_us = w->now_us + REST_US;
    while (w->now_us < deadline_us && !w->violation) {
        all_turn(w, 20 * US_PER_MS);
        if (all_is_stored(w, but_the_cut) && group_is_stable(&w->group) &&
            (but_the_cut || (all_are_ready(w) && all_is_published(w))))
            return;
    }
    world_violated(w, but_the_cut ? "the fleet did not come to rest"
                                  : "the fleet did not come to rest and be ready");
}

// Where they have that already they are left alone.
static void restart_with(struct world *w, int64_t max_joins, bool accept_loss)
{
    for (int i = 0; i < w->actors; i++) {
        struct actor *a = &w->actor[i];
        bool same = a->config.max_joins >= max_joins && a->config.accept_loss >= accept_loss;
        a->config.max_joins = max_i64(a->config.max_joins, max_joins);
        a->config.accept_loss = a->config.accept_loss || accept_loss;
        if (!same)
            actor_stop(a);
    }
}

// What is halted is so until the operator accepts what is lost. What was read in time may still
// wait for its flush.
static void be_halted(struct world *w)
{
    bool gap = false, accepted = false;
    for (int n = 0; n < 70; n++)
        all_turn(w, US_PER_S);
    for (int p = 0; p < w->db.partitions; p++)
        gap = gap || has_gap(w, p);
    for (int i = 0; i < w->actors; i++)
        accepted = accepted || w->actor[i].config.accept_loss;
    if (gap && !accepted && all_are_ready(w))
        world_violated(w, "all are ready though a log has lost what was not consumed");
}

// Logs that were truncated are so once more, while their new owners replay them.
static void cut_replays_short(struct world *w)
{
    for (int p = 0; p < w->db.partitions; p++) {
        if (w->trust[p] != TRUST_LITTLE)
            continue;
        for (int i = 0; i < w->actors; i++)
            actor_stop(&w->actor[i]);
        for (int n = random_below(&w->random, 12); n > 0; n--)
            all_turn(w, 20 * US_PER_MS);
        truncate_log(w, random_below(&w->random, 2), p);
    }
}

void settle(struct world *w)
{
    disturb_no_more(w);
    w->broker.tick_loss_percent = 100; // with requests in flight
    // A task that is full of both kinds stands still until the operator gives it more room.
    restart_with(w, 10000, false);
    come_to_rest(w, true);
    bool cut = false;
    for (int p = 0; p < w->db.partitions; p++)
        cut = cut || is_cut(w, p);
    if (cut && !w->violation)
        be_halted(w);
    if (cut)
        restart_with(w, 0, true);
    cut_replays_short(w);
    come_to_rest(w, false);
    // Nothing comes that would have to be flushed, and yet it is noticed.
    if (w->db.has_saved && !w->violation) {
        restore_database(w);
        come_to_rest(w, false);
    }
}

// ---- everything expires and closes ----

static bool all_have_expired(struct world *w)
{
    for (size_t i = 0; i < w->db.now.rows.n && !w->db.may_lose_state; i++) {
        const struct facts *f = &w->db.now.rows.v[i].facts;
        if (f->requests != f->responses + f->unanswered)
            return false;
    }
    for (int i = 0; i < w->actors; i++) {
        runner_update_gauges(w->actor[i].runner);
        if (w->actor[i].stats.waiting_requests || w->actor[i].stats.waiting_responses)
            return false;
    }
    return true;
}

static bool all_are_complete(const struct world *w)
{
    for (size_t i = 0; i < w->db.now.windows.n; i++)
        if (!w->db.now.windows.v[i].complete)
            return false;
    return true;
}

// Windows that some partition is past and that others have held back for long enough.
static bool none_is_held_back(const struct world *w)
{
    int64_t patience_ms = w->actor[0].config.close_wait_ms + 15 * MS_PER_S;
    for (size_t i = 0; i < w->db.now.windows.n; i++) {
        const struct fake_window *x = &w->db.now.windows.v[i];
        int64_t at_ms = (x->start_us + WINDOW_US) / US_PER_MS + patience_ms;
        if (!x->closed && at_ms <= world_now_ms(w))
            return false;
    }
    return true;
}

// One partition brings nothing: windows close without it, and only once it is back they are
// complete.
static void lose_a_partition(struct world *w)
{
    w->group.dead_partition = random_below(&w->random, w->db.partitions);
    int64_t end_us = w->now_us + (20 + random_below(&w->random, 200)) * US_PER_S;
    while (w->now_us < end_us && !w->violation)
        all_turn(w, 250 * US_PER_MS);
    if (!none_is_held_back(w))
        world_violated(w, "a window that one partition holds back is not closed without it");
    w->group.dead_partition = -1;
}

static size_t log_length(const struct world *w)
{
    size_t n = 0;
    for (int p = 0; p < w->db.partitions; p++)
        n += w->broker.log.topic[0][p].n + w->broker.log.topic[1][p].n;
    return n;
}

static int64_t metrics_length(const struct world *w)
{
    return coordinator_end(w->coordinator, OUTLET_METRICS, READ_UNCOMMITTED);
}

static void stay_silent(struct world *w)
{
    // What is wanted is read anew at each flush interval, which may have been stretched; and a gap
    // that was accepted is noted with a flush of its own.
    for (int n = 0; n < 14; n++)
        all_turn(w, 5 * US_PER_S);
    size_t length = log_length(w);
    int64_t publishes = w->db.publishes, sent = metrics_length(w);
    int64_t commits = w->db.commits, end_us = w->now_us + SILENCE_US;
    while (w->now_us < end_us)
        all_turn(w, US_PER_S);
    // Where logs were cut a partition may be judged anew, and wait for what it had given up.
    if (!w->loses && (log_length(w) != length || w->db.commits != commits))
        world_violated(w, "a silent system is not silent");
    if (!w->loses && (w->db.publishes != publishes || metrics_length(w) != sent))
        world_violated(w, "a silent system publishes");
}

void let_expire(struct world *w)
{
    w->broker.tick_loss_percent = 20;
    if (w->db.partitions > 1 && random_chance(&w->random, 15))
        lose_a_partition(w);
    int64_t deadline_us = w->now_us + EXPIRY_US;
    while (w->now_us < deadline_us && !w->violation) {
        all_turn(w, 250 * US_PER_MS);
        if (all_is_stored(w, false) && all_have_expired(w) && all_are_complete(w) &&
            all_is_published(w)) {
            stay_silent(w);
            return;
        }
    }
    world_violated(w, all_are_complete(w) ? "requests or answers wait for ever on a silent system"
                                          : "windows stay incomplete on a silent system");
}
