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
    w->events.clock_steps++;
    if (random_chance(r, 50))
        w->broker.ahead_ms[random_below(r, 2)][random_below(r, w->broker.log.partitions)] =
            draw_step_ms(r);
    else
        w->actor[random_below(r, w->actors)].wall_off_ms = draw_step_ms(r) / 4;
}

// Later than any record that somebody may have read, and than the epoch before.
static int64_t next_border_ms(const struct world *w)
{
    int64_t from_ms = world_now_ms(w);
    for (int k = 0; k < 2; k++)
        for (int p = 0; p < w->db.partitions; p++) {
            const struct sim_topic *t = &w->broker.log.topic[k][p];
            for (size_t i = 0; i < t->n; i++)
                from_ms = max_i64(from_ms, t->v[i].time_ms);
        }
    from_ms++;
    for (int p = 0; p < w->db.partitions; p++)
        from_ms = max_i64(from_ms, settings_newest(&w->db.now.position[p].settings)->from_ms);
    return from_ms;
}

// An operator's `streamlens-admin settings`: it waits for the owners' locks, or ends their
// sessions.
static void change_settings(struct world *w)
{
    struct random *r = &w->random;
    struct fake_epoch e = *fake_db_newest(&w->db);
    if (w->db.now.epochs.n > 7)
        return;
    w->events.settings_changed++;
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
    fake_db_open_epoch(&w->db, &e, next_border_ms(w));
}

static void trust_less(struct world *w, int p, enum trust trust)
{
    w->events.logs_cut++;
    w->db.may_lose_state = true;
    w->trust[p] = trust > w->trust[p] ? trust : w->trust[p];
}

// Retention that does not wait: up to R, up to P, or beyond.
static void delete_records(struct world *w, enum event_kind k, int p)
{
    struct random *r = &w->random;
    const struct log_position *at = &w->db.now.position[p].position.log[k];
    int64_t high = sim_log_high(&w->broker.log, k, p);
    if (!w->db.now.position[p].stored || high < at->next)
        return; // nobody would know that there was something
    int64_t before = random_chance(r, 40) ? at->replay
                     : random_chance(r, 70)
                         ? at->replay + random_below(r, (int)(at->next - at->replay) + 1)
                         : at->next + random_below(r, (int)(high - at->next) + 1);
    if (before > at->replay)
        trust_less(w, p, TRUST_BOUNDS);
    sim_log_delete(&w->broker.log, k, p, before);
}

// An unclean election.
void truncate_log(struct world *w, enum event_kind k, int p)
{
    int64_t high = sim_log_high(&w->broker.log, k, p);
    trust_less(w, p, TRUST_LITTLE);
    sim_log_truncate(&w->broker.log, k, p, max_i64(0, high - 1 - random_below(&w->random, 10)));
}

static void lose_records(struct world *w)
{
    struct random *r = &w->random;
    enum event_kind k = random_chance(r, 50) ? EVENT_REQUEST : EVENT_RESPONSE;
    int p = random_below(r, w->db.partitions);
    if (random_chance(r, 85))
        delete_records(w, k, p);
    else
        truncate_log(w, k, p);
}

void restore_database(struct world *w)
{
    w->events.backups_restored++;
    fake_store_end_sessions(&w->db);
    fake_db_restore(&w->db);
}

// Somebody else's, left open until its timeout: it hides what is committed behind it.
static void leave_open(struct world *w)
{
    struct producer *p = producer_new(w->coordinator, OUTLET_STRANGER);
    w->events.strange_transactions++;
    if (producer_init(p) == TXN_OK && producer_begin(p) == TXN_OK &&
        producer_send(p, random_below(&w->random, 2), OUTLET_STRANGE, 0) == TXN_OK)
        w->events.strange_transactions++;
    producer_free(p);
}

static void disturb_actor(struct world *w, struct actor *a)
{
    struct random *r = &w->random;
    int what = random_below(r, 100);
    if (what < 15) {
        w->events.kills++;
        actor_kill(a);
    } else if (what < 50) {
        if (!a->fuse.left)
            a->fuse = (struct fuse){.left = 1 + random_below(r, 40), .after = random_chance(r, 50)};
        w->events.crash_points++;
    } else if (what < 60) {
        w->events.stops++;
        a->client.stopped = false;
        actor_stop(a);
    } else if (what < 80) {
        a->client.cut_off = !a->client.cut_off;
        w->events.cuts += a->client.cut_off;
    } else {
        a->client.stopped = !a->client.stopped;
        w->events.freezes += a->client.stopped;
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
    else if (what < 50 && w->restored && w->db.has_saved && random_chance(r, 50))
        restore_database(w);
    else if (what < 50 && w->restored)
        fake_db_save(&w->db);
    else if (what < 60 && w->clocks_step)
        step_a_clock(w);
    else if (what < 68 && w->loses)
        lose_records(w);
    else if (what < 70 && what >= 68)
        leave_open(w);
}

void disturb_no_more(struct world *w)
{
    w->broker.fault_percent = w->db.fault_percent = w->group.fault_percent = 0;
    coordinator_set_faults(w->coordinator, 0);
    memset(w->broker.ahead_ms, 0, sizeof(w->broker.ahead_ms));
    for (int i = 0; i < w->actors; i++) {
        struct actor *a = &w->actor[i];
        a->client.cut_off = a->client.stopped = false;
        a->wall_off_ms = 0;
        a->fuse.left = 0;
    }
}
