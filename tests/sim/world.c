// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/world.h"

#include "common/core/timeunit.h"

int64_t world_now_ms(const struct world *w)
{
    return w->now_us / US_PER_MS;
}

void world_violated(struct world *w, const char *what)
{
    if (!w->violation)
        w->violation = what;
}

void world_pass(struct world *w, int64_t us)
{
    w->now_us += us;
    w->broker.now_ms = w->group.now_ms = world_now_ms(w);
    group_pass(&w->group);
    coordinator_pass(w->coordinator, world_now_ms(w));
    fake_store_let_sessions_pass(&w->db);
    if (w->db.violation)
        world_violated(w, w->db.violation);
    uint64_t seen = w->random.state ^ (uint64_t)w->now_us ^ ((uint64_t)w->db.commits << 48);
    w->digest = (w->digest ^ seen) * UINT64_C(0x9e3779b97f4a7c15);
    w->digest ^= w->digest >> 29;
}

uint64_t world_digest(const struct world *w)
{
    return w->digest;
}

// ---- what the runner gets from outside ----

static int check_topics(void *arg, int64_t partitions, struct err *e)
{
    struct actor *a = arg;
    (void)partitions;
    if (!random_chance(&a->world->random, a->world->group.fault_percent))
        return 0;
    err_set(e, "injected fault");
    return 1;
}

static struct source *open_source(void *arg, const struct store_settings *settings,
                                  const struct source_events *events, struct err *e)
{
    struct actor *a = arg;
    (void)settings;
    (void)e;
    return fake_source_new(&a->client, events);
}

static int64_t mono_us(void *arg)
{
    return ((struct actor *)arg)->mono_us;
}

static int64_t wall_ms(void *arg)
{
    struct actor *a = arg;
    return a->mono_us / US_PER_MS + a->wall_off_ms;
}

static void own_publisher(void *arg, int64_t epoch)
{
    ((struct actor *)arg)->publishing_epoch = epoch;
}

// ---- the publisher's thread ----

#define PUBLISH_STEPS 4
#define PUBLISH_WAIT_MS 100
#define PUBLISH_INTERVAL_MS 500

static void publish_some(struct actor *a)
{
    struct world *w = a->world;
    int steps = 1 + random_below(&w->random, PUBLISH_STEPS);
    publish_own(&a->publish, a->publishing_epoch);
    for (int i = 0; i < steps; i++) {
        struct err e;
        enum publish_result rc = publish_step(&a->publish, world_now_ms(w) + a->wall_off_ms, &e);
        if (rc == PUBLISH_AGAIN)
            continue;
        a->publish_us = w->now_us + (rc == PUBLISH_WAIT   ? PUBLISH_WAIT_MS * US_PER_MS
                                     : rc == PUBLISH_DONE ? PUBLISH_INTERVAL_MS * US_PER_MS
                                                          : 0);
        return;
    }
}

static bool may_publish(const struct actor *a)
{
    return a->publish_us <= a->world->now_us && !a->client.stopped && !a->fuse.dead;
}

void actor_publish(struct actor *a)
{
    if (!may_publish(a))
        return;
    publish_some(a);
    if (a->fuse.dead)
        actor_kill(a);
}

static void wait_us(void *arg, int64_t us)
{
    struct actor *a = arg;
    a->mono_us += us;
    // The other thread does not wait.
    if (may_publish(a) && random_chance(&a->world->random, 20))
        publish_some(a);
    if (a->fuse.dead) // whatever it waits for will not come
        runner_stop(a->runner);
}

// ---- processes ----

static void actor_start(struct actor *a)
{
    struct world *w = a->world;
    a->fuse = (struct fuse){0};
    a->started = false;
    a->mono_us = max_i64(a->mono_us, w->now_us);
    a->store = fake_store_new(&w->db, ++w->next_token, a->client.static_id + 1, &a->fuse);
    a->emit = fake_emit_new(&w->broker, &a->fuse);
    a->publish_store = fake_publish_new(&w->db, &w->taken, w->next_token, &a->fuse);
    a->outlet = fake_outlet_new(w->coordinator, &a->fuse);
    a->publishing_epoch = 0;
    publish_init(&a->publish, &w->publishing, a->publish_store, a->outlet, &a->publisher_stats);
    const struct runner_host host = {.check_topics = check_topics,
                                     .open_source = open_source,
                                     .mono_us = mono_us,
                                     .wall_ms = wall_ms,
                                     .wait = wait_us,
                                     .own_publisher = own_publisher,
                                     .arg = a};
    a->runner = runner_new(&a->config, &host, &w->key, a->store, a->emit, &a->stats);
}

// A dead process takes leave of nobody.
static void actor_end(struct actor *a)
{
    runner_free(a->runner);
    publish_clear(&a->publish);
    fake_publish_free(a->publish_store);
    fake_outlet_free(a->outlet);
    fake_store_free(a->store);
    fake_emit_free(a->emit);
    a->runner = NULL;
}

static void actor_restart(struct actor *a)
{
    actor_end(a);
    actor_start(a);
}

void actor_kill(struct actor *a)
{
    a->fuse.dead = true;
    a->mono_us = a->world->now_us; // whatever it waited for
    actor_restart(a);
}

void actor_stop(struct actor *a)
{
    runner_stop(a->runner);
    runner_leave(a->runner);
    actor_restart(a);
}

void actor_turn(struct actor *a)
{
    struct err e = {0};
    if (a->mono_us > a->world->now_us || a->client.stopped)
        return;
    a->mono_us = a->world->now_us;
    int rc = a->started ? runner_round(a->runner, &e) : runner_start(a->runner, &e);
    a->started = true;
    if (rc < 0 && !a->fuse.dead)
        world_violated(a->world, "a process gave up");
    if (rc < 0 || a->fuse.dead)
        actor_kill(a);
}

// ---- the world ----

static void actor_init(struct world *w, int number, bool with_id)
{
    struct random *r = &w->random;
    struct actor *a = &w->actor[number];
    static char nothing[] = "", from_start[] = "earliest", ids[MAX_ACTORS][2] = {"0", "1", "2"};
    *a = (struct actor){.world = w, .number = number};
    a->config = (struct config){
        .kafka_brokers = nothing,
        .group_instance_id = with_id ? ids[number] : nothing,
        .start = from_start,
        .partitions = CONFIG_UNSET,
        .join_ttl_ms = CONFIG_UNSET,
        .join_skew_ms = CONFIG_UNSET,
        .max_series_per_tenant = CONFIG_UNSET,
        .window_grace_ms = w->publishing.closing.grace_ms,
        .close_wait_ms = w->publishing.closing.wait_ms,
        .flush_interval_ms = 100 + random_below(r, 1500),
        .accept_loss = random_chance(r, 50),
        .accept_clock_ahead = random_chance(r, 10),
        .max_joins = random_chance(r, 10) ? 4 + random_below(r, 8) : 10000,
        .max_delta_cells = random_chance(r, 20) ? 3 : 10000,
        .max_dead_letters = random_chance(r, 20) ? 2 : 10000,
    };
    a->client = (struct group_client){
        .group = &w->group, .fuse = &a->fuse, .static_id = with_id ? number : GROUP_NO_ID};
    actor_start(a);
}

static void publishing_init(struct world *w, int fault_percent)
{
    struct random *r = &w->random;
    w->coordinator = coordinator_new(r, 500 + random_below(r, 10000));
    coordinator_set_faults(w->coordinator, fault_percent);
    coordinator_pass(w->coordinator, world_now_ms(w));
    w->publishing = (struct publish_rule){
        .closing = {1000, 5000},
        .again_ms = random_below(r, 10000),
        .look_ms = random_below(r, 2000),
        .batch_rows = (size_t)(random_chance(r, 60) ? 1 + random_below(r, 3) : 1000),
    };
}

static void draw_kind(struct world *w)
{
    struct random *r = &w->random;
    w->authenticated = random_chance(r, 70);
    w->crowded = random_chance(r, 15);
    w->changing = random_chance(r, 30);
    w->restored = random_chance(r, 10);
    w->clocks_step = random_chance(r, 15);
    // The time of a first record tells what lay before it only where times do not step back.
    w->loses = !w->clocks_step && random_chance(r, 12);
    w->apart = w->loses;
    w->restored = w->restored && !w->loses; // a backup is no use where the log is gone
}

// Nothing that decides what is counted is drawn anew.
static void tell_again(struct world *w, struct world *told)
{
    w->changing = w->restored = w->clocks_step = w->loses = false;
    w->broker.log = told->broker.log;
    w->broker.is_told_again = true;
    told->broker.log = (struct sim_log){.partitions = told->broker.log.partitions};
    for (int k = 0; k < 2; k++)
        for (int p = 0; p < w->broker.log.partitions; p++) {
            w->broker.log.topic[k][p].visible = 0;
            w->broker.log.topic[k][p].low = 0;
        }
    fake_db_take_settings(&w->db, &told->db);
}

void world_init(struct world *w, uint64_t seed, struct world *told)
{
    *w = (struct world){
        .seed = seed, .random = {seed * 2654435761U + 1}, .now_us = INT64_C(1790000000000000)};
    struct random *r = &w->random;
    hash_key_init(&w->key, &seed, sizeof(seed));
    draw_kind(w);
    int partitions = 1 + random_below(r, SIM_MAX_PARTITIONS);
    if (told)
        partitions = told->db.partitions;
    int fault_percent = random_chance(r, 30) ? 0 : 1 + random_below(r, 15);
    w->broker = (struct broker){.random = r,
                                .log = {.partitions = partitions},
                                .now_ms = world_now_ms(w),
                                .fault_percent = fault_percent,
                                .tick_loss_percent = 20,
                                .unsteady_percent = w->loses ? 0 : 10};
    const struct fake_epoch first = {1, 1000 + random_below(r, 8000), random_below(r, 3000),
                                     random_chance(r, 20) ? 2 : 1000, 1};
    fake_db_init(&w->db, r, partitions, &first);
    w->db.fault_percent = fault_percent;
    publishing_init(w, fault_percent);
    w->group = (struct group){.random = r,
                              .log = &w->broker.log,
                              .now_ms = world_now_ms(w),
                              .session_ms = 500 + random_below(r, 3000),
                              .fault_percent = fault_percent,
                              .dead_partition = -1};
    if (told)
        tell_again(w, told);
    w->start_us = w->now_us;
    w->actors = 1 + random_below(r, MAX_ACTORS);
    bool with_ids = random_chance(r, 40);
    for (int i = 0; i < w->actors; i++)
        actor_init(w, i, with_ids);
}

void world_free(struct world *w)
{
    for (int i = 0; i < w->actors; i++) {
        w->actor[i].fuse.dead = true;
        actor_end(&w->actor[i]);
    }
    fake_store_end_sessions(&w->db);
    fake_db_free(&w->db);
    coordinator_free(w->coordinator);
    free(w->taken.v);
    broker_free(&w->broker);
}
