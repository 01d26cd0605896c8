// SPDX-License-Identifier: Apache-2.0
// What the runner's two files share: runner.c is the loop, runner_halting.c what is done about logs
// and topics that are not what they were.
#ifndef STREAMLENS_RUNNER_INTERNAL_H
#define STREAMLENS_RUNNER_INTERNAL_H

#include "common/core/timeunit.h"
#include "common/io/log.h"
#include "processor/runner.h"

#define TOPICS_CHECK_US (10 * US_PER_S)

struct runner {
    const struct config *config;
    struct runner_host host;
    const struct hash_key *key;
    struct store *store;
    struct emit *emit;
    struct source *source;
    struct instance *instance;
    int64_t publishing_epoch; // as the host was told
    struct processor_stats *stats;
    struct store_settings settings;
    bool stopping, started;
    bool flush_trouble;
    bool reopen;       // the group is to be left and joined again
    bool dispossessed; // since the database says that others have our partitions
    int64_t replay_began_us, replay_began_records; // 0: none is under way
    int64_t next_flush_us, flush_began_us, attempt_began_us, retry_us;
    int64_t next_closing_us, next_tick_us, next_judgement_us;
    int64_t reopen_us; // when to make the source anew; it is NULL until then
    struct log_limit flush_complaint, full_complaint, claim_complaint, halted_complaint,
        closing_complaint;
    char topics_wrong[512]; // how they are not what was set up; nothing is read then
    bool topics_doubted;    // they were found wrong once
    int64_t next_topics_us;
    bool rejudge; // the group is to be joined again at rejudge_us
    int64_t rejudge_us, rejudge_wait_us;
};

static inline int64_t runner_mono_us(const struct runner *r)
{
    return r->host.mono_us(r->host.arg);
}

static inline int64_t runner_wall_ms(const struct runner *r)
{
    return r->host.wall_ms(r->host.arg);
}

// Nothing of the partition is read any more; said in the log.
void runner_halt(struct runner *r, int partition, const char *why);
// What the source calls broken may be whole again: the group is to be joined anew, after a while.
void runner_plan_rejudgement(struct runner *r);
// The topics are not what was set up.
void runner_stop_reading(struct runner *r, const char *why);
// How a partition begins, where that is worth a line.
void runner_say_start(struct runner *r, int partition, enum instance_start start,
                      const struct err *e);
// Now and then: whether the topics still are what they were, what replays have found, and what is
// halted.
void runner_look_after(struct runner *r);

#endif
