// SPDX-License-Identifier: Apache-2.0
// Kafka's transactions for one broker: producers by transactional id and epoch, topics of one
// partition each, fencing, aborts, timeouts, and answers that are lost either way. What readers see
// follows Kafka's documentation of isolation.level and what was measured on a real broker:
//   - initialising an id ends its open transaction, and fences every producer made for it before;
//   - a read_committed reader, and a producer's own look at the watermarks, ends at the last stable
//     offset: an open transaction of *any* id hides what others committed behind its first record;
//   - a read_uncommitted reader sees all records, also those of aborted transactions;
//   - a transaction's end takes an offset of its own, which no reader gets as a record.
#ifndef SIM_FAKE_COORDINATOR_H
#define SIM_FAKE_COORDINATOR_H

#include "common/core/base.h"
#include "tests/sim/random.h"

#define COORDINATOR_TOPICS 2
#define COORDINATOR_IDS 4

struct coordinator;
struct coordinator *coordinator_new(struct random *random, int64_t transaction_timeout_ms);
void coordinator_free(struct coordinator *c);
void coordinator_set_faults(struct coordinator *c, int percent); // of calls; none at first
// The answer to the next commit is lost: it is done now or once its id is initialised, or never.
enum lost_end { END_BY_CHANCE, END_COMMITTED, END_ABORTED, END_COMMITS_LATER, END_ABORTS_LATER };
void coordinator_lose_commit(struct coordinator *c, enum lost_end how);
// Time passes: transactions older than the timeout are aborted, and what was in doubt is settled.
void coordinator_pass(struct coordinator *c, int64_t now_ms);

enum txn_result {
    TXN_OK,
    TXN_RETRY,   // nothing happened, or it is still under way: the same call again may do
    TXN_ABORT,   // the transaction cannot be committed any more: abort it, or destroy the producer
    TXN_UNKNOWN, // it may have happened or may happen yet: destroy the producer
    TXN_FENCED,  // another producer of the id was initialised: destroy the producer
};

struct producer;
// Borrows the coordinator. Nothing reaches it before producer_init.
struct producer *producer_new(struct coordinator *c, int transactional_id);
void producer_free(struct producer *p); // an open transaction stays open until its timeout

enum txn_result producer_init(struct producer *p) MUST_CHECK;
enum txn_result producer_begin(struct producer *p) MUST_CHECK;
// Records are numbers; key and value are the caller's.
enum txn_result producer_send(struct producer *p, int topic, int64_t key, int64_t value) MUST_CHECK;
enum txn_result producer_commit(struct producer *p) MUST_CHECK;
enum txn_result producer_abort(struct producer *p) MUST_CHECK;

struct coordinator_record {
    int64_t offset, key, value;
};
enum isolation { READ_UNCOMMITTED, READ_COMMITTED };
// The first record at or beyond the offset that such a reader gets: true; false at its end.
bool coordinator_read(const struct coordinator *c, int topic, enum isolation isolation,
                      int64_t offset, struct coordinator_record *out);
// Where such a reader ends: the high watermark, or the last stable offset.
int64_t coordinator_end(const struct coordinator *c, int topic, enum isolation isolation);

#endif
