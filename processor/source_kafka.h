// SPDX-License-Identifier: Apache-2.0
// The group consumer: subscribes to llm.requests alone and assigns partition i of both topics
// (DESIGN 4, rule 1), each partition with a queue of its own, so that either topic can be held back
// by not reading it. Never commits for its own sake: the committed offsets are for lag tools.
#ifndef STREAMLENS_SOURCE_KAFKA_H
#define STREAMLENS_SOURCE_KAFKA_H

#include "common/core/config.h"
#include "common/io/kafka.h"
#include "processor/instance.h"

struct source;

// What the group does with us, called from source_serve and source_free.
struct source_events {
    // Partitions are ours: claim and start each; `from` (count × 2 offsets) says where to read. 1
    // when that cannot be done now (source_serve then answers SOURCE_REOPEN), -1 with the reason
    // when it never can (SOURCE_DEAD).
    int (*assigned)(void *arg, const int *partitions, size_t count, int64_t (*from)[2],
                    struct err *e);
    // All of them are taken back, or were lost: others may have them. Only the database's fence
    // knows.
    void (*revoked)(void *arg);
    void *arg;
};

struct source *source_new(const struct config *c, const struct store_settings *settings,
                          const struct source_events *events, struct err *e);
// Leaves the group and waits for it, at most a few seconds. Without group.instance.id the others
// take over at once, with one after the session timeout.
void source_free(struct source *s);

enum source_state {
    SOURCE_OK,
    SOURCE_REOPEN, // partitions could not be taken: free the source, make another after a moment
    SOURCE_FENCED, // the broker knows another member by our group.instance.id, or thinks so
    SOURCE_DEAD,   // will not mend by itself
};
// Serves the group (rebalances run in here). Anything but SOURCE_OK stays so, and fills e.
enum source_state source_serve(struct source *s, struct err *e) MUST_CHECK;
// The ends of both logs of a partition; to be asked before it is assigned.
int source_ends(struct source *s, int partition, struct log_ends ends[2], struct err *e) MUST_CHECK;

// The next record of the topic-partition, borrowed until source_taken: true. False: nothing is
// ready; *at_end says whether the log was read to its end. An error of the partition (-1 from
// source_serve follows) counts as nothing ready.
bool source_peek(struct source *s, int partition, enum event_kind topic, struct task_record *out,
                 bool *at_end);
void source_taken(struct source *s, int partition, enum event_kind topic);

// Readable when something may be ready; clear it before looking.
int source_fd(const struct source *s);
void source_clear_fd(struct source *s);

// Tells the group how far the flush went, for lag tools; not waited for.
void source_commit(struct source *s, const int *partitions, size_t count, int64_t (*next)[2]);
// Whether the group has given us our share, be it nothing. Without a broker not for longer than the
// session timeout.
bool source_is_assigned(const struct source *s);

#endif
