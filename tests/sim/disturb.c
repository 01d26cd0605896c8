// SPDX-License-Identifier: Apache-2.0
// What goes wrong in a world, each thing with a small chance at every step.
#include "tests/sim/world.h"

static int64_t draw_step_ms(struct random *r)
{
    return random_chance(r, 50) ? -random_below(r, 5000) : random_below(r, 20000);
}

static void step_a_clock(struct world *w)
{
    struct random *r = &w->random;
    w->totals.steps_of_clocks++;
    if (random_chance(r, 50))
        w->broker.ahead_ms[random_below(r, 2)][random_below(r, w->broker.log.partitions)] =
            draw_step_ms(r);
    else
        w->actor[random_below(r, w->actors)].wall_off_ms = draw_step_ms(r) / 4;
}

// An operator's `streamlens-admin settings`: it waits for the owners' locks, or ends their
// sessions.
static void change_settings(struct world *w)
{
    struct random *r = &w->random;
    struct fake_epoch e = *fake_db_newest(&w->db);
    if (w->db.history_count > 6)
        return;
    w->totals.epochs++;
    e.epoch++;
    if (random_chance(r, 60))
        e.ttl_ms = 1000 + random_below(r, 8000);
    if (random_chance(r, 60))
        e.skew_ms = random_below(r, 3000);
    if (random_chance(r, 40)) {
        e.max_series = 1 + random_below(r, 4);
        e.series_epoch = e.epoch;
    }
    for (int p = 0; p < w->db.partitions; p++)
        if (w->db.locked_by[p])
            fake_store_end_sessions(&w->db);
    fake_db_open_epoch(&w->db, &e);
}

static void restore_database(struct world *w)
{
    if (!w->db.has_saved || random_chance(&w->random, 50)) {
        fake_db_save(&w->db);
        return;
    }
    w->totals.restores++;
    fake_store_end_sessions(&w->db);
    fake_db_restore(&w->db);
}

static void disturb_actor(struct world *w, struct actor *a)
{
    struct random *r = &w->random;
    int what = random_below(r, 100);
    if (what < 15) {
        w->totals.kills++;
        actor_kill(a);
    } else if (what < 50) {
        if (!a->fuse.left)
            a->fuse = (struct fuse){.left = 1 + random_below(r, 40), .after = random_chance(r, 50)};
        w->totals.fuses++;
    } else if (what < 60) {
        w->totals.stops++;
        a->client.stopped = false;
        actor_stop(a);
    } else if (what < 80) {
        a->client.cut_off = !a->client.cut_off;
    } else {
        a->client.stopped = !a->client.stopped;
    }
}

void disturb(struct world *w)
{
    struct random *r = &w->random;
    int what = random_below(r, 1000);
    if (what < 30)
        disturb_actor(w, &w->actor[random_below(r, w->actors)]);
    else if (what < 36)
        group_rebalance(&w->group);
    else if (what < 42 && w->changing)
        change_settings(w);
    else if (what < 50 && w->restored)
        restore_database(w);
    else if (what < 60 && w->clocks_step)
        step_a_clock(w);
}

void disturb_no_more(struct world *w)
{
    w->broker.fault_percent = w->db.fault_percent = w->group.fault_percent = 0;
    memset(w->broker.ahead_ms, 0, sizeof(w->broker.ahead_ms));
    for (int i = 0; i < w->actors; i++) {
        struct actor *a = &w->actor[i];
        a->client.cut_off = a->client.stopped = false;
        a->wall_off_ms = 0;
        a->fuse.left = 0;
    }
}
