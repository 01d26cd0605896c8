// SPDX-License-Identifier: Apache-2.0
// The deterministic simulator: one seed decides what is produced, who runs when, what fails and who
// crashes. The production modules (runner, instance, task, join, window, flush) run on a fake log,
// a fake database and a fake group; at the end rows and dead letters must equal the oracle's.
//
//     sim [--seeds N] [--first-seed S] [--twice] [--verbose]
//
// A failing seed is printed and replays identically with --first-seed S --seeds 1.
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/totals.h"

#define SEEDS_THAT_ABORT 100

static struct {
    uint64_t first, count;
    bool verbose;
    bool twice; // each seed, and both times must be the same
} options = {1, 1000, false, false};

static void pass_time(struct world *w)
{
    struct random *r = &w->random;
    const struct fake_epoch *e = fake_db_newest(&w->db);
    int64_t ms = random_chance(r, 5) ? random_below(r, (int)(3 * (e->ttl_ms + e->skew_ms)))
                                     : random_below(r, 600);
    world_pass(w, ms * 1000);
}

static void live(struct world *w)
{
    int steps = 300 + random_below(&w->random, 700);
    for (int i = 0; i < steps && !w->violation; i++) {
        if (random_chance(&w->random, 40))
            produce_one(w);
        if (random_chance(&w->random, 25))
            pass_time(w);
        else
            world_pass(w, random_below(&w->random, 2000));
        actor_turn(&w->actor[random_below(&w->random, w->actors)]);
        actor_publish(&w->actor[random_below(&w->random, w->actors)]);
        disturb(w);
    }
}

static void live_again(struct world *w)
{
    bool more = true;
    while (more && !w->violation) {
        if (random_chance(&w->random, 60))
            more = tell_one(w);
        world_pass(w, random_below(&w->random, 2000));
        actor_turn(&w->actor[random_below(&w->random, w->actors)]);
        actor_publish(&w->actor[random_below(&w->random, w->actors)]);
        disturb(w);
    }
}

// The same log under another schedule: other processes, crashes and rebalances, the same tables.
// Where names had no row of their own it is for the schedule to say which.
static bool agrees_with_another_schedule(struct world *w, struct totals *totals)
{
    struct world *other = xcalloc(1, sizeof(*other));
    char why[512] = "";
    world_init(other, w->seed ^ UINT64_C(0x5deece66d), w);
    other->seed = w->seed;
    live_again(other);
    settle(other);
    bool ok = check(other, "under another schedule");
    if (ok && !fake_db_has_other(&w->db) && !fake_db_has_other(&other->db))
        compare_rows(&w->db, &other->db, why, sizeof(why));
    if (why[0])
        printf("seed %" PRIu64 " fails: %s\n", w->seed, why);
    totals_add(totals, other);
    totals->schedules++;
    w->digest ^= world_digest(other);
    world_free(other);
    free(other);
    return ok && !why[0];
}

static bool run_seed(uint64_t seed, struct totals *totals, uint64_t *digest)
{
    struct world *w = xcalloc(1, sizeof(*w));
    world_init(w, seed, NULL);
    live(w);
    settle(w);
    bool ok = check(w, "with requests in flight");
    if (ok) {
        let_expire(w);
        ok = check(w, "after everything expired");
    }
    if (options.verbose)
        printf("seed %" PRIu64 ": %d partitions, %d actors, %zu rows, %" PRId64 " commits, %" PRId64
               " restores, %zu settings\n",
               seed, w->db.partitions, w->actors, w->db.now.rows.n, w->db.commits, w->db.restores,
               w->db.now.epochs.n);
    totals_add(totals, w);
    if (ok && !w->db.may_lose_state && random_chance(&w->random, 25))
        ok = agrees_with_another_schedule(w, totals);
    *digest = world_digest(w);
    world_free(w);
    free(w);
    return ok;
}

static bool run_and_repeat(uint64_t seed, struct totals *totals)
{
    uint64_t digest, again;
    bool ok = run_seed(seed, totals, &digest);
    if (!ok || !options.twice)
        return ok;
    ok = run_seed(seed, totals, &again) && digest == again;
    if (!ok)
        printf("seed %" PRIu64 " does not replay identically\n", seed);
    return ok;
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--seeds N] [--first-seed S] [--twice] [--verbose]\n", program);
    return 2;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            options.verbose = true;
        else if (strcmp(argv[i], "--twice") == 0)
            options.twice = true;
        else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            options.count = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--first-seed") == 0 && i + 1 < argc)
            options.first = strtoull(argv[++i], NULL, 10);
        else
            return usage(argv[0]);
    }
    struct totals totals = {0};
    uint64_t failed = 0, tried = 0;
    for (; tried < options.count && failed < 5; tried++)
        failed += !run_and_repeat(options.first + tried, &totals);
    totals_print(&totals);
    // Readers who took aborted records would be told from those who do not.
    if (!failed && tried >= SEEDS_THAT_ABORT && !totals.aborted)
        failed += printf("no seed has aborted a record that was written\n") > 0;
    printf("%" PRIu64 " seeds, %" PRIu64 " failed\n", tried, failed);
    return failed ? 1 : 0;
}
