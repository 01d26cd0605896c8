// SPDX-License-Identifier: Apache-2.0
// One row of the metrics: a series in a window, as the API answers it and llm.metrics publishes it
// (DESIGN 2.4). The fields are listed once, in the order of the JSON; the struct, the JSON, the
// CSV and what `fields` may name are made from the list. Names are those of the view llm_metrics;
// common/core/fact_row.h makes a row of what is stored.
#ifndef STREAMLENS_METRICS_ROW_H
#define STREAMLENS_METRICS_ROW_H

#include "common/core/base.h"

// TEXT: UTF-8. TIME: an instant. COUNT: an integer. NUMBER: 0 where there is nothing to measure, as
// the original answered. MAYBE: null where there is nothing to measure. DECIMAL: an exact number
// with as many digits as it has, a string in JSON; null where there is none. OBJECT: a JSON object.
// BOOL: true or false.
#define METRICS_ROW_FIELDS(TEXT, TIME, COUNT, NUMBER, MAYBE, DECIMAL, OBJECT, BOOL)                \
    TEXT(tenant_id)                                                                                \
    TEXT(route)                                                                                    \
    TEXT(model)                                                                                    \
    TIME(window_start)                                                                             \
    TIME(window_end)                                                                               \
    COUNT(requests)                                                                                \
    COUNT(errors)                                                                                  \
    NUMBER(avg_latency_ms)                                                                         \
    NUMBER(p95_latency_ms)                                                                         \
    NUMBER(avg_prompt_tokens)                                                                      \
    NUMBER(avg_completion_tokens)                                                                  \
    NUMBER(estimated_cost_usd)                                                                     \
    COUNT(responses)                                                                               \
    COUNT(unanswered)                                                                              \
    COUNT(in_flight)                                                                               \
    NUMBER(p50_latency_ms)                                                                         \
    NUMBER(p90_latency_ms)                                                                         \
    NUMBER(p99_latency_ms)                                                                         \
    NUMBER(max_latency_ms)                                                                         \
    MAYBE(avg_ttft_ms)                                                                             \
    MAYBE(p50_ttft_ms)                                                                             \
    MAYBE(p90_ttft_ms)                                                                             \
    MAYBE(p95_ttft_ms)                                                                             \
    MAYBE(p99_ttft_ms)                                                                             \
    MAYBE(max_ttft_ms)                                                                             \
    COUNT(prompt_tokens)                                                                           \
    COUNT(completion_tokens)                                                                       \
    COUNT(cached_prompt_tokens)                                                                    \
    COUNT(cache_write_tokens)                                                                      \
    COUNT(reasoning_tokens)                                                                        \
    COUNT(uncached_prompt_tokens)                                                                  \
    COUNT(cache_write_5m_tokens)                                                                   \
    COUNT(cache_write_1h_tokens)                                                                   \
    MAYBE(output_tokens_per_second)                                                                \
    COUNT(generation_tokens)                                                                       \
    NUMBER(generation_ms)                                                                          \
    DECIMAL(estimated_cost_usd_decimal)                                                            \
    COUNT(unpriced_requests)                                                                       \
    COUNT(unpriced_tokens)                                                                         \
    COUNT(guessed_requests)                                                                        \
    COUNT(price_version)                                                                           \
    NUMBER(uncached_prompt_cost_usd)                                                               \
    NUMBER(cached_prompt_cost_usd)                                                                 \
    NUMBER(cache_write_5m_cost_usd)                                                                \
    NUMBER(cache_write_1h_cost_usd)                                                                \
    NUMBER(completion_cost_usd)                                                                    \
    NUMBER(reasoning_cost_usd)                                                                     \
    NUMBER(request_cost_usd)                                                                       \
    NUMBER(cache_savings_usd)                                                                      \
    MAYBE(reported_cost_usd)                                                                       \
    DECIMAL(reported_cost_usd_decimal)                                                             \
    COUNT(reported_requests)                                                                       \
    COUNT(clamped_usage)                                                                           \
    COUNT(without_latency)                                                                         \
    OBJECT(error_classes)                                                                          \
    OBJECT(finish_reasons)                                                                         \
    COUNT(revision)                                                                                \
    TIME(updated_at)                                                                               \
    BOOL(complete)                                                                                 \
    BOOL(lossy)                                                                                    \
    COUNT(publish_seq)                                                                             \
    COUNT(late)                                                                                    \
    BOOL(settled)

struct metrics_row {
#define ROW_TEXT(name) struct str name;
#define ROW_TIME(name) int64_t name##_us; /* wall clock */
#define ROW_COUNT(name) int64_t name;
#define ROW_NUMBER(name) double name;
#define ROW_MAYBE(name) double name;       /* NAN where there is nothing */
#define ROW_DECIMAL(name) struct str name; /* p NULL where there is none */
#define ROW_OBJECT(name) struct str name;
#define ROW_BOOL(name) bool name;
    METRICS_ROW_FIELDS(ROW_TEXT, ROW_TIME, ROW_COUNT, ROW_NUMBER, ROW_MAYBE, ROW_DECIMAL,
                       ROW_OBJECT, ROW_BOOL)
#undef ROW_TEXT
#undef ROW_TIME
#undef ROW_COUNT
#undef ROW_NUMBER
#undef ROW_MAYBE
#undef ROW_DECIMAL
#undef ROW_OBJECT
#undef ROW_BOOL
};

#endif
