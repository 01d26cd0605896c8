// SPDX-License-Identifier: Apache-2.0
// The settings epochs in the database.
#ifndef STREAMLENS_ADMIN_EPOCHS_PG_H
#define STREAMLENS_ADMIN_EPOCHS_PG_H

#include "common/core/config.h"
#include "common/core/err.h"

struct epoch {
    int64_t epoch, series_epoch;
    struct config_pinned numbers;
    int64_t created_us;
};

// From where an epoch holds in a partition: the topic time, INT64_MIN for all there is; and the
// offsets up to which both topics had been counted when it was opened.
struct epoch_border {
    int64_t epoch, partition, from_us, request_offset, response_offset;
};

struct epochs;
struct epochs *epochs_open(const struct config *c, struct err *e) MUST_CHECK;
void epochs_close(struct epochs *s); // what was not added is undone

// Newest first; never none. The caller frees.
int epochs_read(struct epochs *s, struct epoch **out, size_t *count, struct err *e) MUST_CHECK;
// Of one epoch, or of all where it is 0; newest first, by partition. The caller frees.
int epochs_read_borders(struct epochs *s, int64_t epoch, struct epoch_border **out, size_t *count,
                        struct err *e) MUST_CHECK;

// Begins a transaction in which nobody else moves a position or opens an epoch. Ends the backends
// of processors that hold theirs for longer than a flush may take.
int epochs_lock(struct epochs *s, struct err *e) MUST_CHECK;
// Adds the epoch, fences all processors, and commits. It holds from a little more than the skew
// after now, by the database's clock.
// Refused where processors would have to forget one that the log may still need.
int epochs_add(struct epochs *s, const struct epoch *next, struct err *e) MUST_CHECK;

#endif
