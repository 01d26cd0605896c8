-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 8
--
-- How fast tokens come once the first has, and up to where everything is closed.

-- A processor of before would leave these sums out of the rows it writes: those that are connected are ended,
-- and from here on none gets past the check of the version.
LOCK TABLE streamlens_schema;
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'streamlens-processor' AND pid <> pg_backend_pid();

-- Of the answers that tell it (a latency, a time to first token below it, completion tokens): how long they
-- took after their first token, and their completion tokens. Additive as all facts are.
ALTER TABLE llm_minute
    ADD COLUMN generation_us bigint NOT NULL DEFAULT 0,
    ADD COLUMN generation_tokens bigint NOT NULL DEFAULT 0;
ALTER TABLE llm_hour
    ADD COLUMN generation_us bigint NOT NULL DEFAULT 0,
    ADD COLUMN generation_tokens bigint NOT NULL DEFAULT 0;

-- All partitions have passed every window that ends at or before it (end + WINDOW_GRACE_MS): what still comes
-- for them is late. Never falls; NULL until the first has closed. The publisher's to write.
ALTER TABLE streamlens_publisher ADD COLUMN closed_through timestamptz;

-- As before, and how fast tokens come.
CREATE OR REPLACE VIEW llm_metrics AS
SELECT s.tenant_id, s.route, s.model,
       m.window_start,
       m.window_start + interval '1 minute' AS window_end,
       m.requests,
       m.errors,
       llm_ratio(m.latency_sum_us, m.latency_count * 1000) AS avg_latency_ms,
       coalesce(m.latency_p95_us, 0) / 1000.0::float8 AS p95_latency_ms,
       llm_ratio(t.prompt_tokens, m.responses) AS avg_prompt_tokens,
       llm_ratio(m.completion_tokens, m.responses) AS avg_completion_tokens,
       llm_usd(m.cost_pusd)::float8 AS estimated_cost_usd,
       m.created_at,
       m.responses,
       m.unanswered,
       m.requests - m.responses - m.unanswered AS in_flight,
       coalesce(m.latency_p50_us, 0) / 1000.0::float8 AS p50_latency_ms,
       coalesce(m.latency_p90_us, 0) / 1000.0::float8 AS p90_latency_ms,
       coalesce(m.latency_p99_us, 0) / 1000.0::float8 AS p99_latency_ms,
       m.latency_max_us / 1000.0::float8 AS max_latency_ms,
       CASE WHEN m.ttft_count > 0 THEN llm_ratio(m.ttft_sum_us, m.ttft_count * 1000) END AS avg_ttft_ms,
       m.ttft_p50_us / 1000.0::float8 AS p50_ttft_ms,
       m.ttft_p90_us / 1000.0::float8 AS p90_ttft_ms,
       m.ttft_p95_us / 1000.0::float8 AS p95_ttft_ms,
       m.ttft_p99_us / 1000.0::float8 AS p99_ttft_ms,
       CASE WHEN m.ttft_count > 0 THEN m.ttft_max_us / 1000.0::float8 END AS max_ttft_ms,
       t.prompt_tokens,
       m.completion_tokens,
       m.cached_prompt_tokens,
       m.cache_write_5m_tokens + m.cache_write_1h_tokens AS cache_write_tokens,
       m.reasoning_tokens,
       m.uncached_prompt_tokens,
       m.cache_write_5m_tokens,
       m.cache_write_1h_tokens,
       llm_usd(m.cost_pusd) AS estimated_cost_usd_decimal,
       m.unpriced_requests,
       m.unpriced_tokens,
       m.guessed_requests,
       m.price_version,
       CASE WHEN m.reported_requests > 0 THEN llm_usd(m.reported_cost_pusd)::float8 END AS reported_cost_usd,
       CASE WHEN m.reported_requests > 0 THEN llm_usd(m.reported_cost_pusd) END AS reported_cost_usd_decimal,
       m.reported_requests,
       m.clamped_usage,
       m.usage,
       m.without_latency,
       m.error_classes,
       m.finish_reasons,
       m.revision,
       m.updated_at,
       m.latency_hdr,
       m.ttft_hdr,
       coalesce((SELECT w.complete FROM llm_window w WHERE w.window_start = m.window_start), false)
           AS complete,
       EXISTS (SELECT FROM streamlens_gap g
               WHERE m.window_start < g.windows_to
                 AND m.window_start + interval '1 minute' > g.windows_from) AS lossy,
       coalesce((SELECT p.publish_seq FROM llm_publish p
                 WHERE p.series_id = m.series_id AND p.window_start = m.window_start), 0) AS publish_seq,
       coalesce((SELECT m.requests + m.responses - p.first_events FROM llm_publish p
                 WHERE p.series_id = m.series_id AND p.window_start = m.window_start), 0) AS late,
       m.requests = m.responses + m.unanswered
           AND EXISTS (SELECT FROM llm_window w
                       WHERE w.window_start = m.window_start AND w.closed_at IS NOT NULL) AS settled,
       CASE WHEN m.generation_us > 0 THEN m.generation_tokens / (m.generation_us / 1000000.0::float8) END
           AS output_tokens_per_second,
       m.generation_tokens,
       m.generation_us / 1000.0::float8 AS generation_ms
FROM llm_minute m
JOIN llm_series s USING (series_id),
LATERAL (SELECT m.uncached_prompt_tokens + m.cached_prompt_tokens + m.cache_write_5m_tokens
                + m.cache_write_1h_tokens AS prompt_tokens) t;
