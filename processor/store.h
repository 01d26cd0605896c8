// SPDX-License-Identifier: Apache-2.0
// The seam to the database. Production is store_pg.c; the simulator links a fake. Calls block, each
// no longer than the store's timeout (well below max.poll.interval.ms).
//
// One flush (rule 4):
//
//     store_begin   BEGIN; await my turn; lock my position rows in partition order; compare the
//                   fence
//     store_write   add the deltas to minute and hour rows; positions, flush_seq + 1
//     store_commit  COMMIT
//
// The fence is epoch, token and flush_seq of every partition.
//
// After anything but STORE_OK from begin or write the transaction is rolled back already and the
// flush begins anew with the same deltas, unless STORE_FENCED says that they are void. After
// STORE_UNKNOWN from commit ask store_resolve until it answers otherwise; never send again before.
#ifndef STREAMLENS_STORE_H
#define STREAMLENS_STORE_H

#include "common/core/config.h"
#include "common/core/err.h"
#include "processor/closing.h"
#include "processor/facts.h"
#include "processor/position.h"
#include "processor/series.h"

struct store;

enum store_result {
    STORE_OK,
    STORE_RETRY,   // nothing was applied: connection lost before COMMIT, deadlock, serialization,
                   // timeout
    STORE_FENCED,  // another owner has one of the partitions: drop everything
    STORE_UNKNOWN, // COMMIT was sent and not answered, or resolve could not ask
    STORE_FATAL,   // will not mend by itself: schema missing or too old, permission, ...
};

struct store_cell {
    struct series *series; // the store sets store_id
    int64_t window_start_us;
    const struct facts *facts;
};

struct store_partition {
    int partition;
    int64_t epoch, flush_seq; // flush_seq: of the last flush; this one stores flush_seq + 1
    struct position position;
    struct log_gap gap[2]; // noted with this flush
};

// Borrowed until the flush is over. Several cells may name the same series and window; the
// partitions are sorted by number, the cells in no order.
struct store_flush {
    const struct store_partition *partitions;
    size_t partition_count;
    const struct store_cell *cells;
    size_t cell_count;
};

// The settings epoch that holds for new offsets, and what is fixed for the installation.
struct store_settings {
    int64_t partitions, join_ttl_ms, join_skew_ms, max_series_per_tenant;
    int64_t epoch; // 1, 2, …
};
enum store_result store_settings(struct store *s, struct store_settings *out,
                                 struct err *e) MUST_CHECK;

// Takes a partition: bumps its epoch and reads its position in one statement, unless (epoch, my
// token) still stand there (`held_epoch`, 0 = not held): then kept. A lock held by somebody else
// for 2 s ends that backend.
enum store_result store_claim(struct store *s, int partition, int64_t held_epoch, struct claim *out,
                              struct err *e) MUST_CHECK;

enum store_result store_begin(struct store *s, const struct store_flush *f,
                              struct err *e) MUST_CHECK;
enum store_result store_write(struct store *s, const struct store_flush *f,
                              struct err *e) MUST_CHECK;
enum store_result store_commit(struct store *s, struct err *e) MUST_CHECK;
// STORE_OK: the flush is in. STORE_RETRY: it is not, and never will be.
enum store_result store_resolve(struct store *s, const struct store_flush *f,
                                struct err *e) MUST_CHECK;
// Gives a flush up, whatever its step: an open transaction is rolled back (or its connection
// closed), one in doubt is left to its fate. The flush is void for the caller, whose tasks are
// dropped.
void store_abort(struct store *s);

// Whether these partitions (of a flush, nothing else of it is looked at) still are as they were
// left by me: STORE_OK, or STORE_FENCED where another has one, or the database was set back to an
// older state. Changes and locks nothing.
enum store_result store_check(struct store *s, const struct store_flush *f,
                              struct err *e) MUST_CHECK;

// Whether another process that goes by our GROUP_INSTANCE_ID has claimed one of these partitions
// (as for store_check) since they were claimed by me. Changes and locks nothing.
enum store_result store_find_rival(struct store *s, const struct store_flush *f, bool *found,
                                   struct err *e) MUST_CHECK;

// What waits to be closed (rules 6 and 7): `want_ms` is the greatest window end + grace that lies
// at or before now_ms among windows that are not complete, TIME_NONE where there is none.
struct store_closing {
    int64_t want_ms;
    struct closing_progress progress;
};
enum store_result store_closing(struct store *s, int64_t now_ms, int64_t grace_ms,
                                struct store_closing *out, struct err *e) MUST_CHECK;

#endif
