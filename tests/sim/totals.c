// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/totals.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t count_records(const struct coordinator *c, enum isolation isolation)
{
    struct coordinator_record r = {-1, 0, 0};
    uint64_t n = 0;
    while (coordinator_read(c, OUTLET_METRICS, isolation, r.offset + 1, &r))
        n += r.key != OUTLET_STRANGE;
    return n;
}

void totals_add(struct totals *t, const struct world *w)
{
#define ADD(name) t->events.name += w->events.name;
    WORLD_EVENTS(ADD)
#undef ADD
    for (int k = 0; k < 2; k++)
        for (int p = 0; p < w->db.partitions; p++)
            t->records += w->broker.log.topic[k][p].n;
    t->rows += w->db.now.rows.n;
    t->commits += (uint64_t)w->db.commits;
    t->generations += w->group.generations;
    for (int i = 0; i < w->actors; i++)
        processor_stats_add(&t->stats, &w->actor[i].stats);
    for (int i = 0; i < w->actors; i++)
        publisher_stats_add(&t->publisher, &w->actor[i].publisher_stats);
    uint64_t published = count_records(w->coordinator, READ_COMMITTED);
    t->published += published;
    t->aborted += count_records(w->coordinator, READ_UNCOMMITTED) - published;
}

void totals_print(const struct totals *t)
{
#define PRINT(name) printf("%" PRIu64 " " #name ", ", t->events.name);
    WORLD_EVENTS(PRINT)
#undef PRINT
    printf("%" PRIu64 " generations\n", t->generations);
    printf("%" PRIu64 " records, %" PRIu64 " rows, %" PRIu64 " commits, %" PRId64
           " unknown commits, %" PRId64 " fenced, %" PRId64 " kept, %" PRId64
           " replayed records, %" PRIu64 " logs under a second schedule\n",
           t->records, t->rows, t->commits, t->stats.flush_unknown, t->stats.flush_fenced,
           t->stats.tasks_kept, t->stats.replayed_records, t->schedules);
    printf("%" PRIu64 " published, %" PRIu64 " aborted, %" PRId64 " transactions, %" PRId64
           " broken, %" PRId64 " resumed, %" PRId64 " fenced, %" PRId64 " database behind\n",
           t->published, t->aborted, t->publisher.committed, t->publisher.broken,
           t->publisher.resumed, t->publisher.fenced, t->publisher.advanced);
}
