// SPDX-License-Identifier: Apache-2.0
// What is counted of one series in one window (DESIGN 3): additive integers, tokens by what
// decides their price, two histograms, and counts by name. The same struct is a delta in memory and
// the whole of a row while it is merged.
#ifndef STREAMLENS_FACTS_H
#define STREAMLENS_FACTS_H

#include "common/core/hist.h"
#include "common/core/money.h"
#include "processor/usage_lines.h"

// The additive integers, listed once: declared, summed, stored and read back by inclusion. Names
// are the column names.
#define FACTS_SUMS(X)                                                                              \
    X(requests)          /* distinct requests */                                                   \
    X(responses)         /* of them answered */                                                    \
    X(unanswered)        /* of them whose TTL passed */                                            \
    X(errors)            /* answered with a non-empty error */                                     \
    X(without_latency)   /* answered without any latency to be had */                              \
    X(clamped_usage)     /* answered with token counts of which a part is larger than its whole */ \
    X(reported_requests) /* answered with the provider's own cost */

// Counts by name, sorted bytewise. At most FACTS_NAMES names: beyond it the bytewise greatest is
// folded into `other`. A name that is among the smallest of all ever seen was so at every moment,
// hence the outcome depends neither on order nor on how events were grouped into flushes.
#define FACTS_NAMES 32
#define FACTS_NAME_MAX 64
struct name_counts {
    struct name_count {
        char name[FACTS_NAME_MAX + 1];
        int64_t count;
    } * v; // owned
    size_t n;
    int64_t other;
};
// The first FACTS_NAME_MAX bytes of the name up to a control character, cut at a UTF-8 border;
// "unknown" where nothing is left.
void name_counts_add(struct name_counts *c, struct str name, int64_t count);
void name_counts_merge(struct name_counts *into, const struct name_counts *from);
void name_counts_clear(struct name_counts *c);
// {"rate_limit":3,"__other__":1}, sorted; "{}" where empty. And back: adds what the text holds into
// c.
void name_counts_to_json(const struct name_counts *c, struct buf *out);
int name_counts_from_json(struct name_counts *c, struct str json, struct err *e) MUST_CHECK;

struct facts {
#define FACTS_MEMBER(name) int64_t name;
    FACTS_SUMS(FACTS_MEMBER)
#undef FACTS_MEMBER
    struct usage_lines usage; // over answered requests, like the latencies
    money reported_cost;      // the sum of the providers' own figures
    struct hist latency, ttft;
    struct name_counts error_classes, finish_reasons;
};

// A zeroed struct facts is empty and valid. Sums saturate at INT64_MAX.
void facts_add(struct facts *into, const struct facts *from);
void facts_clear(struct facts *f); // frees; empty and valid again

#endif
