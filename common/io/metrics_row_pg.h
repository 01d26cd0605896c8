// SPDX-License-Identifier: Apache-2.0
// Rows of the metrics as PostgreSQL gives them: the columns to ask for, and a result's row read
// into struct metrics_row. Who reads rows has a FROM of its own; what they mean stands here alone.
//
//     SELECT metrics_row_pg_columns(), … FROM
//         (SELECT METRICS_ROW_PG_VALUES, … FROM llm_series s JOIN llm_minute m …
//          METRICS_ROW_PG_PUBLISHED(…)) v
//
// The values are those of the view llm_metrics, and a test holds the two to the same answer. The
// view itself, joined with a list of windows, was planned as a scan over all series of a day (0.3 s
// instead of 0.5 ms).
#ifndef STREAMLENS_METRICS_ROW_PG_H
#define STREAMLENS_METRICS_ROW_PG_H

#include "common/core/err.h"
#include "common/core/metrics_row.h"

#include <libpq-fe.h>

#define METRICS_ROW_PG_PROMPT_TOKENS                                                               \
    "(m.uncached_prompt_tokens + m.cached_prompt_tokens + m.cache_write_5m_tokens"                 \
    " + m.cache_write_1h_tokens)"

// By the view's names, of s (series), m (llm_minute), p (llm_publish) and w (llm_window); the last
// two may have NULLs.
#define METRICS_ROW_PG_VALUES                                                                      \
    " s.tenant_id, s.route, s.model, m.window_start,"                                              \
    " m.window_start + interval '1 minute' AS window_end, m.requests, m.errors,"                   \
    " llm_ratio(m.latency_sum_us, m.latency_count * 1000) AS avg_latency_ms,"                      \
    " m.latency_p95_us / 1000.0::float8 AS p95_latency_ms,"                                        \
    " llm_ratio(" METRICS_ROW_PG_PROMPT_TOKENS ", m.responses) AS avg_prompt_tokens,"              \
    " llm_ratio(m.completion_tokens, m.responses) AS avg_completion_tokens,"                       \
    " llm_usd(m.cost_pusd)::float8 AS estimated_cost_usd,"                                         \
    " m.responses, m.unanswered, m.requests - m.responses - m.unanswered AS in_flight,"            \
    " m.latency_p50_us / 1000.0::float8 AS p50_latency_ms,"                                        \
    " m.latency_p90_us / 1000.0::float8 AS p90_latency_ms,"                                        \
    " m.latency_p99_us / 1000.0::float8 AS p99_latency_ms,"                                        \
    " m.latency_max_us / 1000.0::float8 AS max_latency_ms,"                                        \
    " CASE WHEN m.ttft_count > 0 THEN llm_ratio(m.ttft_sum_us, m.ttft_count * 1000) END"           \
    " AS avg_ttft_ms,"                                                                             \
    " m.ttft_p50_us / 1000.0::float8 AS p50_ttft_ms,"                                              \
    " m.ttft_p90_us / 1000.0::float8 AS p90_ttft_ms,"                                              \
    " m.ttft_p95_us / 1000.0::float8 AS p95_ttft_ms,"                                              \
    " m.ttft_p99_us / 1000.0::float8 AS p99_ttft_ms,"                                              \
    " CASE WHEN m.ttft_count > 0 THEN m.ttft_max_us / 1000.0::float8 END AS max_ttft_ms,"          \
    " " METRICS_ROW_PG_PROMPT_TOKENS                                                               \
    " AS prompt_tokens, m.completion_tokens, m.cached_prompt_tokens,"                              \
    " m.cache_write_5m_tokens + m.cache_write_1h_tokens AS cache_write_tokens,"                    \
    " m.reasoning_tokens, m.uncached_prompt_tokens, m.cache_write_5m_tokens,"                      \
    " m.cache_write_1h_tokens,"                                                                    \
    " CASE WHEN m.generation_us > 0"                                                               \
    " THEN m.generation_tokens / (m.generation_us / 1000000.0::float8) END"                        \
    " AS output_tokens_per_second, m.generation_tokens,"                                           \
    " m.generation_us / 1000.0::float8 AS generation_ms,"                                          \
    " llm_usd(m.cost_pusd) AS estimated_cost_usd_decimal,"                                         \
    " m.unpriced_requests, m.unpriced_tokens, m.guessed_requests, m.price_version,"                \
    " CASE WHEN m.reported_requests > 0 THEN llm_usd(m.reported_cost_pusd)::float8 END"            \
    " AS reported_cost_usd,"                                                                       \
    " CASE WHEN m.reported_requests > 0 THEN llm_usd(m.reported_cost_pusd) END"                    \
    " AS reported_cost_usd_decimal, m.reported_requests, m.clamped_usage, m.without_latency,"      \
    " m.error_classes, m.finish_reasons, m.revision, m.updated_at,"                                \
    " coalesce(w.complete, false) AS complete,"                                                    \
    " EXISTS (SELECT FROM streamlens_gap g WHERE m.window_start < g.windows_to"                    \
    " AND m.window_start + interval '1 minute' > g.windows_from) AS lossy,"                        \
    " coalesce(p.publish_seq, 0) AS publish_seq,"                                                  \
    " coalesce(m.requests + m.responses - p.first_events, 0) AS late,"                             \
    " m.requests = m.responses + m.unanswered AND w.closed_at IS NOT NULL AS settled"

// p and w, by m's key. `more`: a condition that bounds window_start before the query runs, as m's
// own does; without one every day's partition is opened.
#define METRICS_ROW_PG_PUBLISHED(more)                                                             \
    " LEFT JOIN LATERAL (SELECT * FROM llm_publish WHERE series_id = m.series_id"                  \
    " AND window_start = m.window_start" more " OFFSET 0) p ON true"                               \
    " LEFT JOIN LATERAL (SELECT * FROM llm_window WHERE window_start = m.window_start OFFSET 0) w" \
    " ON true"

// The columns, of v; a caller may ask for more behind them.
#define METRICS_ROW_PG_NUMBER_OF(name) METRICS_ROW_PG_AT_##name,
enum {
    METRICS_ROW_FIELDS(METRICS_ROW_PG_NUMBER_OF, METRICS_ROW_PG_NUMBER_OF, METRICS_ROW_PG_NUMBER_OF,
                       METRICS_ROW_PG_NUMBER_OF, METRICS_ROW_PG_NUMBER_OF, METRICS_ROW_PG_NUMBER_OF,
                       METRICS_ROW_PG_NUMBER_OF, METRICS_ROW_PG_NUMBER_OF) METRICS_ROW_PG_COLUMNS
};
#undef METRICS_ROW_PG_NUMBER_OF
const char *metrics_row_pg_columns(void);
// Row i of a binary result that begins with those columns. The strings are good as long as the
// result. -1 where it has another form.
int metrics_row_pg_get(const PGresult *r, int i, struct metrics_row *row, struct err *e) MUST_CHECK;

#endif
