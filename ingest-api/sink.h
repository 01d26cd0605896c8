// SPDX-License-Identifier: Apache-2.0
// The seam to the log: hand over records, hear what became of each. Production is sink_kafka.c;
// tests link a fake. A link seam: a program has exactly one of them.
#ifndef STREAMLENS_SINK_H
#define STREAMLENS_SINK_H

#include "ingest-api/ingest.h"

enum sink_result {
    SINK_ACKED,       // replicated in the log
    SINK_TOO_LARGE,   // the topic will never take it
    SINK_BUSY,        // the queue is full: not in the log
    SINK_UNAVAILABLE, // not acknowledged in time; it may be in the log all the same
};

// results[i] tells of records[i].
typedef void (*sink_done)(void *arg, const enum sink_result *results, size_t count);

struct sink;

// Appends the records (at least one), whose bytes are copied; a record's tenant goes with it as the
// header `tenant`. `done` is called exactly once, by deadline_us (monotonic) at the latest and
// possibly before this returns. A record that was not acknowledged by then counts as
// SINK_UNAVAILABLE, whatever is heard of it later.
void sink_publish(struct sink *s, const struct ingest_record *records, size_t count,
                  int64_t deadline_us, sink_done done, void *arg);

// Whether records can be expected to be taken now; -1 says why not.
int sink_ready(const struct sink *s, struct err *why) MUST_CHECK;
// Whether it has ever been ready, that is, whether the topics were found as they must be.
bool sink_started(const struct sink *s);

// Calls every `done` still owed, with SINK_UNAVAILABLE where nothing was heard.
void sink_free(struct sink *s);

#endif
