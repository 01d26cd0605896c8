// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>

static void current_settings(const struct world *w, struct settings *out)
{
    for (int p = 0; p < w->db.partitions; p++)
        out[p] = w->db.now.position[p].settings;
}

// What the gaps that were noted take out of the log.
static void mark_lost(struct world *w)
{
    for (size_t i = 0; i < w->db.now.gaps.n; i++) {
        const struct fake_gap *g = &w->db.now.gaps.v[i];
        struct sim_topic *t = &w->broker.log.topic[g->topic][g->partition];
        for (size_t n = 0; n < t->n; n++)
            if (t->v[n].offset >= g->gap.from && t->v[n].offset < g->gap.to)
                t->v[n].lost = true;
    }
}

static void compare_all(struct world *w, char *why, size_t n)
{
    struct settings now[SIM_MAX_PARTITIONS];
    size_t versions = w->db.history_count;
    struct oracle o = {0};
    struct oracle *earlier = xcalloc(versions, sizeof(*earlier));
    current_settings(w, now);
    mark_lost(w);
    oracle_run(&o, &w->broker.log, now);
    for (size_t i = 0; i < versions; i++)
        oracle_run(&earlier[i], &w->broker.log, &w->db.history[i * (size_t)w->db.partitions]);
    if (o.ambiguous)
        snprintf(why, n, "a record fits two partners");
    compare(&w->db, &w->broker.letters, &o, earlier, versions, w->trust, why, n);
    for (size_t i = 0; i < versions; i++)
        oracle_free(&earlier[i]);
    free(earlier);
    oracle_free(&o);
}

bool check(struct world *w, const char *when)
{
    char why[512] = "";
    if (w->violation)
        snprintf(why, sizeof(why), "%s", w->violation);
    else
        compare_all(w, why, sizeof(why));
    if (!why[0])
        check_published(w, why, sizeof(why));
    if (why[0])
        printf("seed %" PRIu64 " fails %s: %s\n", w->seed, when, why);
    return !why[0];
}
