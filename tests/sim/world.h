// SPDX-License-Identifier: Apache-2.0
// One seed's world: a broker, a database, a group, and the processes that live in it. Everything
// random is drawn from one stream, so that a seed tells the same story each time.
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "processor/publish.h"
#include "processor/runner.h"
#include "tests/sim/fake_broker.h"
#include "tests/sim/fake_group.h"
#include "tests/sim/fake_outlet.h"
#include "tests/sim/fake_publish.h"

#define MAX_ACTORS 3

// One processor: the production runner over the fakes, with clocks of its own.
struct actor {
    struct world *world;
    int number;
    struct config config;
    struct fuse fuse;
    struct group_client client; // lives on over restarts, as a host's network does
    struct store *store;
    struct emit *emit;
    struct runner *runner;
    struct processor_stats stats;
    // The publisher's thread.
    struct publish publish;
    struct publish_store *publish_store;
    struct outlet *outlet;
    struct publisher_stats publisher_stats;
    int64_t publishing_epoch; // as the runner said
    int64_t publish_us;       // when it goes on
    bool started;
    int64_t mono_us;     // ahead of the world's while it waited
    int64_t wall_off_ms; // what its own clock is wrong by
};

// What happened to a world, for the last line of a run.
#define WORLD_EVENTS(X)                                                                            \
    X(kills)                                                                                       \
    X(crash_points)                                                                                \
    X(stops)                                                                                       \
    X(cuts)                                                                                        \
    X(freezes)                                                                                     \
    X(backups_restored)                                                                            \
    X(settings_changed)                                                                            \
    X(logs_cut)                                                                                    \
    X(strange_transactions)                                                                        \
    X(clock_steps)
#define WORLD_MEMBER(name) uint64_t name;
struct world_events {
    WORLD_EVENTS(WORLD_MEMBER)
};
#undef WORLD_MEMBER

struct world {
    uint64_t seed;
    struct random random;
    struct broker broker;
    struct fake_db db;
    struct group group;
    struct coordinator *coordinator;
    struct publications taken; // all that ever was
    struct publish_rule publishing;
    struct hash_key key;
    struct actor actor[MAX_ACTORS];
    int actors;
    int64_t now_us, next_token;
    struct world_events events;
    uint64_t digest;
    const char *violation;

    // What kind of world it is.
    bool authenticated; // some senders are
    bool crowded;       // one series of many ids that are used once, answered by many models
    bool apart;         // every partition has tenants of its own
    bool changing;      // settings epochs are opened
    bool restored;      // the database goes back to a backup
    bool clocks_step;
    bool loses; // retention is too short, or elections are unclean
    int64_t start_us;
    int produced;
    enum trust trust[SIM_MAX_PARTITIONS];
};

// As the seed has it; or, where `told` is given, with the log and the settings of that world, which
// is left without its log: all records are there already, and become visible by tell_one.
void world_init(struct world *w, uint64_t seed, struct world *told);
void world_free(struct world *w);
int64_t world_now_ms(const struct world *w);
void world_violated(struct world *w, const char *what); // the first one stands
void world_pass(struct world *w, int64_t us);           // for everybody
uint64_t world_digest(const struct world *w); // of all that happened: two runs of a seed agree

// One round of the process, unless it still waits; a dead one is buried and started anew.
void actor_turn(struct actor *a);
void actor_kill(struct actor *a); // at once
void actor_stop(struct actor *a); // as by SIGTERM, and started anew

// A few steps of its publisher, unless that pauses. A dead process is buried as above.
void actor_publish(struct actor *a);

// ---- traffic.c ----
void produce_one(struct world *w);
bool tell_one(struct world *w); // false once all is told

// ---- disturb.c: what goes wrong ----
void disturb(struct world *w);
void disturb_no_more(struct world *w);
void restore_database(struct world *w);                       // from the backup, which there is
void truncate_log(struct world *w, enum event_kind k, int p); // some of its last records are gone

// ---- settle.c: the end; a violation where it does not come about ----
void settle(struct world *w);     // all is read and flushed, with requests in flight
void let_expire(struct world *w); // and everything has expired by ticks, and all is silent

// ---- check.c ----
// False, and a line on standard output, where rows or dead letters are not the oracle's.
bool check(struct world *w, const char *when);

// ---- published.c ----
// Leaves `why` as it is where readers of llm.metrics get what they were promised.
void check_published(const struct world *w, char *why, size_t why_n);

#endif
