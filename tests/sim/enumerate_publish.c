// SPDX-License-Identifier: Apache-2.0
// Every schedule of a small publication: two rows of a window, one batch or two, and at every
// effect of the publisher what may go wrong there: a crash before or after it, an answer that is
// lost, a transaction that times out, a flush of the rows, another owner while the first one goes
// on. Readers must get what they were promised each time.
//
//     enumerate_publish [--troubles N]
#include <inttypes.h>
#include <stdio.h>

#include "common/core/timeunit.h"
#include "processor/window.h"
#include "tests/sim/choices.h"
#include "tests/sim/world.h"

#define ACTORS_MAX 8
#define STEPS_MAX 60
#define ZOMBIE_STEPS 7
#define TIMEOUT_MS 1000
#define START_US INT64_C(1790000040000000) // a whole minute

struct process {
    struct fuse fuse;
    struct publish_store *store;
    struct outlet *outlet;
    struct publish publish;
};

struct run {
    struct script *script;
    struct world *world; // its database, coordinator and publications alone
    struct process processes[ACTORS_MAX];
    int count;
    struct process *owner, *zombie; // the zombie does not know yet that it is not the owner
    int troubles, zombie_steps;     // left
    struct publisher_stats stats;
    const char *violation;
};

// ---- the world ----

static int64_t now_ms(const struct run *r)
{
    return r->world->now_us / US_PER_MS;
}

static void flush_row(struct run *r, const char *route)
{
    struct fake_db *db = &r->world->db;
    struct facts facts = {.requests = 1, .responses = 1};
    const struct series series = {
        .tenant = str_of("t"), .route = str_of(route), .model = str_of("m"), .epoch = 1};
    fake_db_make_window(db, START_US);
    const struct fake_cell cell = {fake_db_resolve(db, &series), START_US, &facts};
    fake_db_flush(db, 0, NULL, 0, &cell, 1);
}

static void own_anew(struct run *r)
{
    assert(r->count < ACTORS_MAX);
    struct world *w = r->world;
    struct process *p = &r->processes[r->count++];
    p->store = fake_publish_new(&w->db, &w->taken, r->count, &p->fuse);
    p->outlet = fake_outlet_new(w->coordinator, &p->fuse);
    publish_init(&p->publish, &w->publishing, p->store, p->outlet, &r->stats);
    fake_store_end_silent(&w->db, 0);
    w->db.now.position[0].epoch++;
    w->db.now.position[0].token = r->count;
    publish_own(&p->publish, w->db.now.position[0].epoch);
    r->owner = p;
}

static void bury(struct process *p)
{
    p->fuse.dead = true;
    publish_clear(&p->publish);
    fake_publish_free(p->store);
    fake_outlet_free(p->outlet);
    *p = (struct process){0};
}

static struct world *make_world(struct random *random)
{
    static const struct fake_epoch first = {1, 1000, 1000, 1000, 1};
    struct world *w = xcalloc(1, sizeof(*w));
    fake_db_init(&w->db, random, 1, &first);
    w->coordinator = coordinator_new(random, TIMEOUT_MS);
    w->db.now.position[0].stored = true;
    for (int k = 0; k < 2; k++)
        w->db.now.position[0].position.log[k].time_ms = (START_US + 2 * WINDOW_US) / US_PER_MS;
    return w;
}

static void free_world(struct world *w)
{
    fake_store_end_sessions(&w->db);
    fake_db_free(&w->db);
    coordinator_free(w->coordinator);
    free(w->taken.v);
    free(w);
}

// ---- what may happen next ----

enum move {
    STEP,
    DIE_BEFORE,
    DIE_AFTER,
    TAKE_OVER, // by another process; the first one does not notice
    TIME_OUT,
    FLUSH,
    LOSE_DATABASE_LANDED, // the answer to its COMMIT
    LOSE_DATABASE,
    LOSE_LOG, // and the ways from here on: enum lost_end
    MOVES = LOSE_LOG + END_ABORTS_LATER
};

static int possible_moves(const struct run *r, int *moves)
{
    int n = 0;
    enum publish_state state = r->owner->publish.state;
    moves[n++] = STEP;
    if (!r->troubles)
        return n;
    for (int move = DIE_BEFORE; move <= FLUSH; move++)
        moves[n++] = move;
    if (state == PUBLISH_CLOSE || state == PUBLISH_TAKE)
        for (int move = LOSE_DATABASE_LANDED; move <= LOSE_DATABASE; move++)
            moves[n++] = move;
    if (state == PUBLISH_COMMIT)
        for (int how = END_COMMITTED; how <= END_ABORTS_LATER; how++)
            moves[n++] = LOSE_LOG + how - 1;
    return n;
}

static enum publish_result step(struct run *r, struct process *p)
{
    struct err e;
    return publish_step(&p->publish, now_ms(r), &e);
}

static void die(struct run *r, bool after)
{
    r->owner->fuse = (struct fuse){.left = 1, .after = after};
    (void)(step(r, r->owner) == PUBLISH_AGAIN);
    bury(r->owner);
    own_anew(r);
}

static void take_over(struct run *r)
{
    if (r->zombie)
        bury(r->zombie);
    r->zombie = r->owner;
    own_anew(r);
}

static void pass_ms(struct run *r, int64_t ms)
{
    r->world->now_us += ms * US_PER_MS;
    coordinator_pass(r->world->coordinator, now_ms(r));
}

// True where nothing more is due.
static bool make_move(struct run *r, int move)
{
    struct fake_db *db = &r->world->db;
    r->troubles -= move != STEP;
    switch (move) {
    case STEP:
        break;
    case DIE_BEFORE:
    case DIE_AFTER:
        die(r, move == DIE_AFTER);
        return false;
    case TAKE_OVER:
        take_over(r);
        return false;
    case TIME_OUT:
        pass_ms(r, TIMEOUT_MS + 1);
        return false;
    case FLUSH:
        flush_row(r, "a");
        return false;
    case LOSE_DATABASE:
    case LOSE_DATABASE_LANDED:
        db->next_commit = move == LOSE_DATABASE ? COMMIT_IS_LOST : COMMIT_LANDS_UNHEARD;
        break;
    default:
        coordinator_lose_commit(r->world->coordinator, (enum lost_end)(move - LOSE_LOG + 1));
    }
    return step(r, r->owner) == PUBLISH_DONE;
}

// As far as it gets; it may be long after it was replaced. With nothing due nobody tells it.
static void run_zombie(struct run *r, int steps)
{
    bool to_its_end = steps == STEPS_MAX;
    for (; steps > 0 && r->zombie; steps--) {
        enum publish_result rc = step(r, r->zombie);
        if (rc != PUBLISH_STOP && !(to_its_end && rc == PUBLISH_DONE))
            continue;
        bury(r->zombie);
        r->zombie = NULL;
    }
}

static void run_to_end(struct run *r)
{
    int moves[MOVES], steps = 0;
    flush_row(r, "a");
    flush_row(r, "b");
    own_anew(r);
    bool done = false;
    while (!done || r->zombie) {
        if (++steps > STEPS_MAX) {
            r->violation = "it does not end";
            return;
        }
        // Once some steps, at any moment, and at the end as many as it takes.
        int zombie_steps = done ? STEPS_MAX : 0;
        if (r->zombie && !done && r->zombie_steps)
            zombie_steps = choose(r->script, 1 + r->zombie_steps);
        if (zombie_steps)
            r->zombie_steps = 0;
        run_zombie(r, zombie_steps);
        pass_ms(r, 1);
        int n = possible_moves(r, moves);
        done = make_move(r, moves[choose(r->script, n)]) && fake_publish_is_done(&r->world->db) &&
               fake_outlet_last(r->world->coordinator) == r->world->db.now.last_seq;
    }
}

static const char *run_once(struct script *script, int troubles, char *why, size_t why_n)
{
    struct random random = {1};
    struct run *r = xcalloc(1, sizeof(*r));
    *r = (struct run){.script = script,
                      .troubles = troubles,
                      .zombie_steps = ZOMBIE_STEPS,
                      .world = make_world(&random)};
    r->world->now_us = START_US + 2 * WINDOW_US;
    r->world->publishing.batch_rows = 1 + (size_t)choose(script, 2);
    why[0] = '\0';
    run_to_end(r);
    if (r->violation || r->world->db.violation)
        snprintf(why, why_n, "%s", r->violation ? r->violation : r->world->db.violation);
    else
        check_published(r->world, why, why_n);
    for (int i = 0; i < r->count; i++)
        if (r->processes[i].store)
            bury(&r->processes[i]);
    free_world(r->world);
    free(r);
    return why[0] ? why : NULL;
}

int main(int argc, char **argv)
{
    int troubles = argc == 3 ? (int)strtol(argv[2], NULL, 10) : 2;
    if ((argc != 1 && (argc != 3 || strcmp(argv[1], "--troubles") != 0)) || troubles < 0 ||
        troubles > ACTORS_MAX - 2) {
        fprintf(stderr, "usage: %s [--troubles 0-%d]\n", argv[0], ACTORS_MAX - 2);
        return 2;
    }
    struct script s = {.n = 0};
    uint64_t runs = 0;
    char why[512] = "";
    do
        runs++;
    while (!run_once(&s, troubles, why, sizeof(why)) && next_script(&s));
    printf("%" PRIu64 " schedules%s\n", runs, why[0] ? ", and one that fails" : "");
    for (int i = 0; why[0] && i < s.n; i++)
        printf("%d/%d ", s.chosen[i], s.of[i]);
    if (why[0])
        printf("\nfails: %s\n", why);
    return why[0] ? 1 : 0;
}
