// SPDX-License-Identifier: Apache-2.0
// One processor: the tasks it owns, taking them over, giving them up, flushing them together. Pure
// but for the seams store.h and emit.h; times are arguments. main.c drives it from the broker, the
// simulator from fakes.
#ifndef STREAMLENS_INSTANCE_H
#define STREAMLENS_INSTANCE_H

#include "processor/flush.h"

struct instance_config {
    int64_t window_grace_ms;
    size_t max_joins;                   // of one task
    size_t max_cells, max_dead_letters; // of all together
    bool start_latest; // a partition without a position begins at the end of its logs
    bool accept_loss;  // goes on where records are gone that were not consumed, and notes the gap
    bool accept_clock_ahead; // takes records that are ahead of the clock
    const char *brokers;     // as the operator named them, for messages; borrowed
};

struct instance;
// Everything is borrowed for the instance's life.
struct instance *instance_new(const struct instance_config *c, const struct hash_key *key,
                              struct store *store, struct emit *emit,
                              struct processor_stats *stats);
void instance_free(struct instance *in);

// ---- ownership ----

// Taking a partition goes in two steps, since the ends of its logs must be asked after the claim:
// instance_claim fences the owner before; instance_start makes the task (or keeps the one in
// memory), and says from which offsets to read.
struct log_ends {
    int64_t low, high; // first offset there is, next offset to be written
};
enum store_result instance_claim(struct instance *in, int partition, struct err *e) MUST_CHECK;
// Whether a partition that was claimed here, dropped or not, was claimed later by another process
// of our GROUP_INSTANCE_ID.
enum store_result instance_find_rival(struct instance *in, bool *found, struct err *e) MUST_CHECK;
enum instance_start {
    START_WHOLE,
    START_DEGRADED, // the log no longer reaches back to R: *e says how far
    START_LOSSY,    // goes on without what is gone (accept_loss): *e names it
    START_HALTED,   // the log is not the one that was consumed, or not all of it: *e says why. The
                    // partition is owned and halted, and `from` is left as it was.
    START_AGAIN,    // of instance_judge alone: only the next start can tell, the group is to be
                    // joined anew
};
enum instance_start instance_start(struct instance *in, int partition,
                                   const struct log_ends ends[2], int64_t now_ms, int64_t from[2],
                                   struct err *e) MUST_CHECK;

// Nothing of the partition is fed any more; what was counted is still flushed. `why` names the
// partition. It is judged anew at its next start, from the database: what is in memory may be of
// another log.
void instance_halt(struct instance *in, int partition, const char *why);
void instance_halt_all(struct instance *in, const char *why);
bool instance_is_halted(const struct instance *in, int partition);

// How the owned partitions are. Halted are also those that wait for a clock (FEED_AHEAD); degraded
// those whose replay began later than it should have, until what is missing no longer matters.
struct instance_condition {
    size_t owned, halted, degraded;
    char why[512];      // of the first that is halted
    int first_degraded; // its partition
};
void instance_condition(const struct instance *in, struct instance_condition *out);

// The group took all partitions back: nothing is fed any more, tasks stay in memory. But for those
// that have counted something that no flush took: they are dropped with it, and begin anew from the
// database.
void instance_park(struct instance *in);
// After a new assignment: tasks that were not claimed again are somebody else's now.
void instance_drop_parked(struct instance *in);
// All state is void (after FLUSH_FENCED), or in doubt.
void instance_drop_all(struct instance *in);

size_t instance_task_count(const struct instance *in);
struct task *instance_task(struct instance *in, int partition); // NULL where not owned (or parked)
// The epoch under which partition 0 is ours, and with it the publishing (DESIGN 4, rule 8), halted
// or not; 0 where it is not, or is parked.
int64_t instance_publishing_epoch(const struct instance *in);

// ---- records ----

// As task_feed; besides, FEED_AHEAD where the record is more than task_skew_ms ahead of now_ms.
// After FEED_MISMATCH the partition is to be halted, until instance_judge.
enum { FEED_AHEAD = FEED_MISMATCH + 1 };
int instance_feed(struct instance *in, int partition, const struct task_record *r,
                  int64_t now_ms) MUST_CHECK;
// The reader has reached the end of the topic for now, which lies at the offset (cleared by the
// next record).
void instance_at_end(struct instance *in, int partition, enum event_kind topic, int64_t offset);

// Whether a replay has come upon another log (FEED_MISMATCH), or upon the log's end before P.
bool instance_is_doubtful(const struct instance *in, int partition);
// Judges it by what the ends are now, as instance_start does: halts the partition, or goes on
// without what is lost. The reader goes on where it stands, and what it brings of before is
// skipped. START_WHOLE: nothing is lost, more records are to come.
enum instance_start instance_judge(struct instance *in, int partition,
                                   const struct log_ends ends[2], int64_t now_ms,
                                   struct err *e) MUST_CHECK;

// ---- flush ----

// Between flush_begin and FLUSH_DONE nothing may be fed (instance_is_flushing). False: nothing to
// flush.
bool instance_flush_begin(struct instance *in);
bool instance_is_flushing(const struct instance *in);
// On FLUSH_FENCED the tasks are dropped already.
enum flush_result instance_flush_step(struct instance *in, struct err *e) MUST_CHECK;

// ---- what waits to close, and ticks ----

// Every flush interval: whether all that is owned still is, and what waits to close (rule 6). On
// STORE_FENCED the tasks are dropped already.
enum store_result instance_read_closing(struct instance *in, int64_t now_ms,
                                        struct err *e) MUST_CHECK;
// Sends the ticks that are due, at most one a second for each topic of each task.
void instance_tick(struct instance *in, int64_t now_ms);

void instance_update_gauges(struct instance *in);

#endif
