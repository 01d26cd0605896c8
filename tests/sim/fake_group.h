// SPDX-License-Identifier: Apache-2.0
// The consumer group, behind the production seam processor/source.h: an eager rebalance in which
// everybody gives up all before anything is dealt out anew; members that are cut off or stand still
// and read on with what they had; ids that outlive a membership.
#ifndef SIM_FAKE_GROUP_H
#define SIM_FAKE_GROUP_H

#include "processor/source.h"
#include "tests/sim/fake_log.h"
#include "tests/sim/fuse.h"
#include "tests/sim/random.h"

#define GROUP_MEMBERS 12
#define GROUP_NO_ID (-1)

struct group_member { // as the coordinator sees it
    bool used;
    struct source *client; // NULL once that is gone without a word, or has left with an id
    int static_id;         // GROUP_NO_ID without one
    bool joined, told;     // of this generation: gave up all; knows its share
    int64_t heard_ms;
    bool owns[SIM_MAX_PARTITIONS];
};

struct group {
    struct random *random;
    const struct sim_log *log;
    int64_t now_ms, session_ms;
    int fault_percent;
    int dead_partition; // its records reach nobody; -1 = all do
    bool rebalancing;
    int64_t since_ms; // of the rebalance
    struct group_member members[GROUP_MEMBERS];
    uint64_t generations;
};

// What the source of a process is made with; borrowed for its life, and kept over memberships.
struct group_client {
    struct group *group;
    struct fuse *fuse;
    int static_id;
    bool cut_off; // neither hears the coordinator nor is heard; still fetches
    bool stopped; // stands still: not heard either
};
struct source *fake_source_new(const struct group_client *c, const struct source_events *events);

// Time passes for the coordinator: whoever is silent for a session is out, and once all have joined
// the partitions are dealt out.
void group_pass(struct group *g);
bool group_is_stable(const struct group *g); // every share is told
void group_rebalance(struct group *g);       // for no reason that a member could know

#endif
