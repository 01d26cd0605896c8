// SPDX-License-Identifier: Apache-2.0
// The end of a world: no more traffic, no more faults, and everything must come to rest by itself.
#include "tests/sim/world.h"

#include "common/core/timeunit.h"
#include "processor/window.h"

static void all_turn(struct world *w, int64_t us)
{
    world_pass(w, us);
    for (int i = 0; i < w->actors; i++)
        for (int n = 0; n < 50 && w->actor[i].mono_us <= w->now_us; n++)
            actor_turn(&w->actor[i]);
}

// Whether the database holds all that the logs do.
static bool all_is_stored(const struct world *w)
{
    for (int p = 0; p < w->db.partitions; p++)
        for (int k = 0; k < 2; k++) {
            const struct fake_position *row = &w->db.now.position[p];
            int64_t high = sim_log_high(&w->broker.log, k, p);
            if (w->db.locked_by[p] || (row->stored ? row->position.log[k].next : 0) != high)
                return false;
        }
    return true;
}

void settle(struct world *w)
{
    disturb_no_more(w);
    w->broker.tick_loss_percent = 100; // with requests in flight
    for (int i = 0; i < w->actors; i++) {
        // A task that is full of both kinds stands still until the operator gives it more room.
        struct actor *a = &w->actor[i];
        bool is_small = a->config.max_joins < 100;
        a->config.max_joins = 10000;
        if (is_small)
            actor_stop(a);
    }
    int64_t deadline_us = w->now_us + 120 * US_PER_S;
    while (w->now_us < deadline_us && !w->violation) {
        all_turn(w, 20 * US_PER_MS);
        if (all_is_stored(w) && group_is_stable(&w->group))
            return;
    }
    world_violated(w, "the fleet did not come to rest");
}

static bool all_have_expired(struct world *w)
{
    for (size_t i = 0; i < w->db.now.rows.n; i++) {
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

void let_expire(struct world *w)
{
    w->broker.tick_loss_percent = 20;
    int64_t deadline_us = w->now_us + 400 * US_PER_S;
    while (w->now_us < deadline_us && !w->violation) {
        all_turn(w, 250 * US_PER_MS);
        if (!all_is_stored(w) || !all_have_expired(w))
            continue;
        return;
    }
    world_violated(w, "requests or answers wait for ever on a silent system");
}
