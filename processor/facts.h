// SPDX-License-Identifier: Apache-2.0
// What is counted of one series in one window (DESIGN 3): additive integers, tokens by what
// decides their price, two histograms, and counts by name. The same struct is a delta in memory and
// the whole of a row while it is merged.
#ifndef STREAMLENS_FACTS_H
#define STREAMLENS_FACTS_H

#include "common/core/hist.h"
#include "common/core/money.h"
#include "common/core/name_counts.h"
#include "common/core/usage_lines.h"

// The additive integers, listed once: declared, summed, stored and read back by inclusion. Names
// are the column names.
#define FACTS_SUMS(X)                                                                              \
    X(requests)          /* distinct requests */                                                   \
    X(responses)         /* of them answered */                                                    \
    X(unanswered)        /* of them whose TTL passed */                                            \
    X(errors)            /* answered with a non-empty error */                                     \
    X(without_latency)   /* answered without any latency to be had */                              \
    X(clamped_usage)     /* answered with token counts of which a part is larger than its whole */ \
    X(reported_requests) /* answered with the provider's own cost */                               \
    X(generation_us)     /* of those that tell it: from first token to last */                     \
    X(generation_tokens) /* and their completion tokens */

struct facts {
#define FACTS_MEMBER(name) int64_t name;
    FACTS_SUMS(FACTS_MEMBER)
#undef FACTS_MEMBER
    // What every answer touches lies close together.
    struct name_counts finish_reasons, error_classes;
    struct usage_lines usage; // over answered requests, like the latencies
    money reported_cost;      // the sum of the providers' own figures
    struct hist latency, ttft;
};

// Counts what an answer tells of how fast its tokens came once the first had: nothing where the
// latency or the time to first token is not known (EVENT_ABSENT), where that is no shorter than the
// latency (the answer came at once, as those do that are not streamed), or without tokens.
void facts_generated(struct facts *f, int64_t latency_us, int64_t ttft_us, int64_t tokens);

// Has the memory fetched that counting an answer touches beyond the struct itself: live, 2 to 4 %
// (paired runs of bench_core).
void facts_prefetch(const struct facts *f);
// A zeroed struct facts is empty and valid. Sums saturate at INT64_MAX.
void facts_add(struct facts *into, const struct facts *from);
void facts_clear(struct facts *f); // frees; empty and valid again

#endif
