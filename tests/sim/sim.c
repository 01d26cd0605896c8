// SPDX-License-Identifier: Apache-2.0
// The deterministic simulator: one seed decides what is produced, who runs when, what fails and who
// crashes. The production modules (runner, instance, task, join, window, flush) run on a fake log,
// a fake database and a fake group; at the end rows and dead letters must equal the oracle's.
//
//     sim [--seeds N] [--first-seed S] [--verbose]
//
// A failing seed is printed and replays identically with --first-seed S --seeds 1.
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/world.h"

static bool verbose;

static void pass_time(struct world *w)
{
    struct random *r = &w->random;
    const struct fake_epoch *e = fake_db_newest(&w->db);
    int64_t ms = random_chance(r, 5) ? random_below(r, (int)(3 * (e->ttl_ms + e->skew_ms)))
                                     : random_below(r, 600);
    world_pass(w, ms * 1000);
}

static bool run_seed(uint64_t seed, struct totals *totals)
{
    struct world *w = xcalloc(1, sizeof(*w));
    world_init(w, seed);
    int steps = 300 + random_below(&w->random, 700);
    for (int i = 0; i < steps && !w->violation; i++) {
        if (random_chance(&w->random, 40))
            produce_one(w);
        if (random_chance(&w->random, 25))
            pass_time(w);
        else
            world_pass(w, random_below(&w->random, 2000));
        actor_turn(&w->actor[random_below(&w->random, w->actors)]);
        disturb(w);
    }
    settle(w);
    bool ok = check(w, "with requests in flight");
    if (ok) {
        let_expire(w);
        ok = check(w, "after everything expired");
    }
    (void)totals;
    if (verbose)
        printf("seed %" PRIu64 ": %d partitions, %d actors, %zu rows, %" PRId64 " commits\n", seed,
               w->db.partitions, w->actors, w->db.now.rows.n, w->db.commits);
    world_free(w);
    free(w);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 1000, failed = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--first-seed") == 0 && i + 1 < argc)
            first = strtoull(argv[++i], NULL, 10);
        else
            return fprintf(stderr, "usage: %s [--seeds N] [--first-seed S] [--verbose]\n", argv[0]),
                   2;
    }
    struct totals totals = {0};
    for (uint64_t seed = first; seed < first + count && failed < 5; seed++)
        failed += !run_seed(seed, &totals);
    printf("%" PRIu64 " seeds, %" PRIu64 " failed\n", count, failed);
    return failed ? 1 : 0;
}
