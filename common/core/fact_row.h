// SPDX-License-Identifier: Apache-2.0
// The facts of one row of llm_minute or llm_hour, or of several that were summed: what is stored,
// before anything is divided. fact_row_derive() makes of them what people read, so that an average
// or a rate means the same in every answer. Names are the column names (sql/README.md, Facts).
#ifndef STREAMLENS_FACT_ROW_H
#define STREAMLENS_FACT_ROW_H

#include "common/core/buf.h"
#include "common/core/metrics_row.h"
#include "common/core/money.h"

// The additive integers. Sums saturate at INT64_MAX.
#define FACT_SUMS(X)                                                                               \
    X(requests)                                                                                    \
    X(responses)                                                                                   \
    X(unanswered)                                                                                  \
    X(errors)                                                                                      \
    X(without_latency)                                                                             \
    X(clamped_usage)                                                                               \
    X(reported_requests)                                                                           \
    X(uncached_prompt_tokens)                                                                      \
    X(cached_prompt_tokens)                                                                        \
    X(cache_write_5m_tokens)                                                                       \
    X(cache_write_1h_tokens)                                                                       \
    X(completion_tokens)                                                                           \
    X(reasoning_tokens)                                                                            \
    X(generation_us)                                                                               \
    X(generation_tokens)                                                                           \
    X(unpriced_requests)                                                                           \
    X(unpriced_tokens)                                                                             \
    X(guessed_requests)                                                                            \
    X(latency_count)                                                                               \
    X(latency_sum_us)                                                                              \
    X(ttft_count)                                                                                  \
    X(ttft_sum_us)

// What a cost is made of: the columns <name>_pusd. A row's end at an int64, their sums at
// MONEY_MAX.
#define FACT_COSTS(X)                                                                              \
    X(cost_input)                                                                                  \
    X(cost_cached_input)                                                                           \
    X(cost_cache_write_5m)                                                                         \
    X(cost_cache_write_1h)                                                                         \
    X(cost_output)                                                                                 \
    X(cost_reasoning)                                                                              \
    X(cost_request)                                                                                \
    X(cache_savings)

// Those of which a sum has the greatest.
#define FACT_GREATEST(X)                                                                           \
    X(latency_max_us)                                                                              \
    X(ttft_max_us)                                                                                 \
    X(price_version)                                                                               \
    X(revision)                                                                                    \
    X(updated_at_us)

// The quantiles that a row is stored with.
#define FACT_QUANTILES(X) X(p50) X(p90) X(p95) X(p99)
enum {
#define FACT_QUANTILE_NUMBER(name) FACT_##name,
    FACT_QUANTILES(FACT_QUANTILE_NUMBER) FACT_QUANTILE_COUNT
#undef FACT_QUANTILE_NUMBER
};
extern const double fact_quantiles[FACT_QUANTILE_COUNT]; // 0.5, 0.9, 0.95, 0.99

// Strings are borrowed.
struct fact_row {
    struct str tenant_id, route, model; // p NULL: not told apart by it
    int64_t window_start_us, window_end_us;
#define FACT_MEMBER(name) int64_t name;
    FACT_SUMS(FACT_MEMBER)
    FACT_GREATEST(FACT_MEMBER)
#undef FACT_MEMBER
    money cost, reported_cost;
#define FACT_MONEY(name) money name;
    FACT_COSTS(FACT_MONEY)
#undef FACT_MONEY
    struct str error_classes, finish_reasons; // JSON objects of name and count; p NULL: not read
    struct str latency_hdr, ttft_hdr;         // HdrHistogram V2; p NULL: empty, or not read
    int64_t latency_us[FACT_QUANTILE_COUNT];  // -1: nothing measured, or not read
    int64_t ttft_us[FACT_QUANTILE_COUNT];
    int64_t publish_seq, late;
    bool complete, lossy, closed;
};

// What people read of it. Strings of `out` point to those of f, and for decimals into *scratch,
// which is cleared first and must live as long as `out`. Objects that were not read are "{}".
void fact_row_derive(const struct fact_row *f, struct buf *scratch, struct metrics_row *out);

#endif
