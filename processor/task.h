// SPDX-License-Identifier: Apache-2.0
// One partition of both input topics: its join table, times and dead letters, and what it adds to
// the deltas (DESIGN 4, rules 1 to 6). A pure function of what it is fed: no clock, no socket.
//
// A task begins live where the database knows no position, else it replays: it is fed from R with
// all outputs off, holds each topic at its P until both have arrived there, and then goes live by
// itself.
#ifndef STREAMLENS_TASK_H
#define STREAMLENS_TASK_H

#include "processor/dead_letters.h"
#include "processor/join.h"
#include "processor/position.h"
#include "processor/processor_stats.h"
#include "processor/window.h"

struct task_limits {
    size_t max_joins; // waiting records of each kind
    // Of all tasks of an instance together, since one transaction flushes them:
    size_t max_cells;        // deltas beyond which a flush must come first
    size_t max_dead_letters; // the same for dead letters
};

// What tasks of one instance share, all borrowed for the task's life. Of it the deltas alone are
// state that counts: who drops a task that has counted since the last flush has to clear them, and
// with them to drop all others that have.
struct task_env {
    const struct hash_key *key;
    struct series_table *series;
    struct event_parser *parser;
    struct processor_stats *stats;
    struct dead_letters_load *letters; // of all of them
    struct window_table *deltas;       // counted since the last flush
};

enum task_feed {
    FEED_TAKEN,
    FEED_SKIPPED,  // below the position: was taken before
    FEED_HOLD,     // at the barrier of the replay: offer it again once the other topic has arrived
    FEED_FULL,     // MAX_JOINS (live tasks alone): offer it again after the other topic has moved
    FEED_FLUSH,    // deltas or dead letters are at their limit: offer it again after a flush
    FEED_MISMATCH, // the log is not the one that was consumed (recreated, truncated): see
                   // task_error
};

struct task;
// Live from the given offsets of both topics. The settings are copied.
struct task *task_new(int partition, const struct task_limits *limits,
                      const struct settings *settings, const struct task_env *env,
                      const int64_t start[2]);
// Replaying up to the stored position.
struct task *task_new_at(int partition, const struct task_limits *limits,
                         const struct settings *settings, const struct task_env *env,
                         const struct position *stored);
void task_free(struct task *t);
// Of a task that was not fed yet: what lay before the offset is gone from the topic. R stays as it
// is stored, so that whoever replays after this one knows what is missing. Records before P that
// may have been answered by what is gone, or repeat it, are no longer waited for: they stay in
// flight.
void task_skip_to(struct task *t, enum event_kind topic, int64_t offset);

// The record will be fed soon: what is known of its identity is on its way from memory meanwhile.
// It may be left out.
void task_expect(const struct task *t, struct task_record *r);
enum task_feed task_feed(struct task *t, const struct task_record *r) MUST_CHECK;
// The topic was read to its end, which lies at the offset. False where that is before the P that a
// replay has to arrive at: the log may have been truncated.
bool task_at_end(struct task *t, enum event_kind topic, int64_t offset) MUST_CHECK;
const char *task_error(const struct task *t); // after FEED_MISMATCH

// Which topic to feed next, given what lies ready of each (rule 9): the one with the lower time;
// one alone only while it is at most task_skew_ms ahead of the other's time, or the other has
// nothing left to read.
struct task_ready {
    bool has;    // a record is ready, its time is head_ms
    bool at_end; // the topic has been read to its end
    int64_t head_ms;
};
int task_choose(const struct task *t,
                const struct task_ready ready[2]); // enum event_kind, -1 = wait

int task_partition(const struct task *t);
// The newest epoch's skew: what topics and clocks may be apart. Nothing counted depends on it.
int64_t task_skew_ms(const struct task *t);
bool task_is_live(const struct task *t);
int64_t task_next_offset(const struct task *t, enum event_kind topic);
int64_t task_time_ms(const struct task *t,
                     enum event_kind topic); // TIME_NONE before the first record
const struct join *task_join(const struct task *t);
size_t task_join_bytes(const struct task *t); // of the join table and the answers that wait in it
bool task_is_full(const struct task *t);      // a topic was answered FEED_FULL, and still is

// A flush takes the position and the deltas as they are now; task_flushed() follows once they are
// committed, with nothing fed in between. Dead letters are handed out one after another by
// task_dead_letters and dropped by task_flushed.
void task_position(struct task *t, struct position *out);
const struct dead_letter *task_dead_letters(const struct task *t, size_t *count);
void task_flushed(struct task *t);

// Whether a tick is wanted on each topic (rule 6): something waits for its time to pass a moment
// that lies before now_ms, or the time is below want_ms (TIME_NONE = nothing waits to close).
void task_ticks_due(const struct task *t, int64_t now_ms, int64_t want_ms, bool due[2]);

#endif
