// SPDX-License-Identifier: Apache-2.0
// The seam to the consumer group and its records. Production is source_kafka.c; the simulator links
// a fake. A source is one membership: after anything but SOURCE_OK it is freed and another made.
#ifndef STREAMLENS_SOURCE_H
#define STREAMLENS_SOURCE_H

#include "common/core/err.h"
#include "processor/instance.h"

struct source;

// What the group does with us, called from source_serve and source_free.
struct source_events {
    // Partitions are ours: claim and start each. `from` (count × 2 offsets) says where to read; of
    // a partition that is halted it stays SOURCE_NOWHERE and nothing of it is read. 1 when that
    // cannot be done now (source_serve then answers SOURCE_REOPEN), -1 with the reason when it
    // never can (SOURCE_DEAD).
    int (*assigned)(void *arg, const int *partitions, size_t count, int64_t (*from)[2],
                    struct err *e);
    // All of them are taken back, or were lost: others may have them. Only the database's fence
    // knows.
    void (*revoked)(void *arg);
    void *arg;
};
#define SOURCE_NOWHERE (-1)

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

enum source_head {
    SOURCE_NOTHING, // nothing is ready
    SOURCE_AT_END,  // nothing is ready, the log was read to its end, which is out->offset
    SOURCE_RECORD,  // *out, borrowed until source_taken
    SOURCE_BROKEN,  // the log is not the one that was read (deleted, recreated, truncated), or
                    // holds a record without LogAppendTime: *e says so; it stays so
};
enum source_head source_peek(struct source *s, int partition, enum event_kind topic,
                             struct task_record *out, struct err *e) MUST_CHECK;
void source_taken(struct source *s, int partition, enum event_kind topic);

// The log's end as of the last fetch, which rests while nothing is taken and much has arrived; -1
// before the first one.
int64_t source_log_end(const struct source *s, int partition, enum event_kind topic);
// Records that have arrived and were not taken yet.
int64_t source_prefetched(const struct source *s);

// Tells the group how far the flush went, for lag tools; not waited for.
void source_commit(struct source *s, const int *partitions, size_t count, int64_t (*next)[2]);
// Whether the group has given us our share, be it nothing. Without a broker not for longer than the
// session timeout.
bool source_is_assigned(const struct source *s);

#endif
