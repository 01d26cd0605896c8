// SPDX-License-Identifier: Apache-2.0
// The loop of one processor: brings records from the source to the instance, flushes on time, sends
// ticks, and knows how the processor is. No socket, no event loop and no clock of its own: store.h,
// emit.h, source.h and struct runner_host are all it knows of the world, so that it runs in the
// simulator as it does in production.
#ifndef STREAMLENS_RUNNER_H
#define STREAMLENS_RUNNER_H

#include "common/core/config.h"
#include "processor/instance.h"
#include "processor/source.h"

// What the runner gets from the outside beside the seams. Production is host.c.
struct runner_host {
    // Whether both input topics are as the installation was set up for. 0: they are, 1: the broker
    // does not answer, -1: they are not, *e says how. Asked until the first 0, then now and then.
    int (*check_topics)(void *arg, int64_t partitions, struct err *e);
    // Joins the group. The runner frees the source with source_free.
    struct source *(*open_source)(void *arg, const struct store_settings *settings,
                                  const struct source_events *events, struct err *e);
    int64_t (*mono_us)(void *arg); // never steps: deadlines and durations
    int64_t (*wall_ms)(void *arg); // since 1970, may step
    // Lets everything else in the process run, asleep for at most `us`, less where the source may
    // have something.
    void (*wait)(void *arg, int64_t us);
    // The epoch under which partition 0 is ours has changed; 0: it is not ours. Whoever publishes
    // does so under it. Must return at once.
    void (*own_publisher)(void *arg, int64_t epoch);
    void *arg;
};

struct runner;

// Borrows all; stats are the instance's, key is that of its tables.
struct runner *runner_new(const struct config *c, const struct runner_host *host,
                          const struct hash_key *key, struct store *store, struct emit *emit,
                          struct processor_stats *stats);
// Neither flushes nor takes leave, as in a crash: runner_leave comes before.
void runner_free(struct runner *r);

// Waits for database and broker, checks settings and topics, joins the group. 0 also where
// runner_stop came in between; -1 with the reason where it cannot go on.
int runner_start(struct runner *r, struct err *e) MUST_CHECK;
// One round: serves the group; then one step of the flush under way, or a bounded number of
// records of each partition; then ticks; then lets the others run, asleep where nothing was ready.
// -1 with the reason where it cannot go on.
int runner_round(struct runner *r, struct err *e) MUST_CHECK;
// Flushes what there is and leaves the group, each for a bounded time. Nothing but runner_free
// follows.
void runner_leave(struct runner *r);

// All of it: start, rounds until runner_stop, leave. 0 after a clean stop.
int runner_run(struct runner *r, struct err *e) MUST_CHECK;
void runner_stop(struct runner *r);

struct runner_health {
    bool started;  // settings and topics checked, joined the group
    bool ready;    // started, database reachable, nothing halted, not stopping
    bool degraded; // what is missing may make numbers wrong, and nobody can mend it
    char why[640]; // a reason where not ready, or degraded
};
struct runner_health runner_health(const struct runner *r, bool database_is_up);
void runner_update_gauges(struct runner *r);
// The samples of each partition that is read (partition_stats.h).
void runner_render_partitions(const struct runner *r, struct buf *out);

#endif
