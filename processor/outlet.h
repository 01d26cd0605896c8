// SPDX-License-Identifier: Apache-2.0
// The publisher's seam to the log: one transactional producer of llm.metrics and
// llm.metrics.progress. Production is outlet_kafka.c; the simulator links a fake coordinator. Each
// call blocks for half a second or so at most.
//
//     outlet_open       a producer of our transactional.id: fences whoever had it, ends what that
//                       left open
//     outlet_progress   the last sequence that is in the log. Only behind open: what the producer
//                       before us had under way is decided by then
//     outlet_begin, outlet_put …, outlet_put_progress, outlet_commit
//
// After OUTLET_BROKEN from any of them nothing is known of the transaction under way: outlet_close,
// and start over. There is no abort: a producer that is made anew does that.
#ifndef STREAMLENS_OUTLET_H
#define STREAMLENS_OUTLET_H

#include "processor/publish_store.h"

struct outlet;

enum outlet_result {
    OUTLET_OK,
    OUTLET_AGAIN,  // the broker is away or busy: the same call again, later
    OUTLET_BROKEN, // fenced, or the outcome is not known, or will not come about
};

enum outlet_result outlet_open(struct outlet *o, struct err *e) MUST_CHECK;
// 0 where there is none yet. Reads up to the high watermark, also behind the open transaction of
// another id (OUTLET_AGAIN until that has ended).
enum outlet_result outlet_progress(struct outlet *o, int64_t *seq, struct err *e) MUST_CHECK;
enum outlet_result outlet_begin(struct outlet *o, struct err *e) MUST_CHECK;
// The bytes are copied.
enum outlet_result outlet_put(struct outlet *o, const struct publish_batch *b,
                              const struct publish_record *r, struct err *e) MUST_CHECK;
enum outlet_result outlet_put_progress(struct outlet *o, int64_t seq, struct err *e) MUST_CHECK;
enum outlet_result outlet_commit(struct outlet *o, struct err *e) MUST_CHECK;
// Whatever it is doing. An open transaction is left to its timeout, or to the next outlet_open.
void outlet_close(struct outlet *o);

#endif
