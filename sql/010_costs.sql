-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 10
--
-- What a cost is made of, price lists of others, and corrections of the past.

-- A processor of before would leave the classes out of the rows it writes: those that are connected are ended,
-- and from here on none gets past the check of the version.
LOCK TABLE streamlens_schema;
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'streamlens-processor' AND pid <> pg_backend_pid();

-- cost_pusd by class of price (common/core/price.h); a bigint ends at 9.2 million USD a row, where it stays.
-- cache_savings_pusd: what the same tokens would have cost more at the price of input, less what writing the
-- cache cost more. Rows of before have 0 in all until `streamlens-admin reprice` computes them.
ALTER TABLE llm_minute
    ADD COLUMN cost_input_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_cached_input_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_cache_write_5m_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_cache_write_1h_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_output_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_reasoning_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_request_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cache_savings_pusd bigint NOT NULL DEFAULT 0;
ALTER TABLE llm_hour
    ADD COLUMN cost_input_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_cached_input_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_cache_write_5m_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_cache_write_1h_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_output_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_reasoning_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_request_pusd bigint NOT NULL DEFAULT 0,
    ADD COLUMN cache_savings_pusd bigint NOT NULL DEFAULT 0;

-- context_above of llm_usage may be 100000, too, from here on (common/core/usage.h).

-- set: an operator's word. import: a list of somebody else. restore: the cards as of version `restores` again.
ALTER TABLE llm_price_version
    ADD COLUMN restores bigint,
    DROP CONSTRAINT llm_price_version_origin_check,
    ADD CONSTRAINT llm_price_version_origin_check CHECK (origin IN ('default', 'set', 'import', 'restore')),
    ADD CONSTRAINT llm_price_version_restores_check CHECK ((origin = 'restore') = (restores IS NOT NULL));

-- Corrections of the past: what `streamlens-admin reprice` was asked to do, how far it is, and what that changed.
-- Written in the transactions that change the rows, so that the numbers are those of the rows.
CREATE TABLE llm_reprice (
    reprice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    windows_from timestamptz NOT NULL,
    windows_to timestamptz NOT NULL,
    tenant_id text COLLATE "C", -- NULL: all
    model text COLLATE "C",     -- NULL: all
    price_version bigint NOT NULL REFERENCES llm_price_version,
    next_hour timestamptz NOT NULL,           -- the hours before it are done
    done_series bigint NOT NULL DEFAULT 0,    -- in that hour, series up to this one are done
    rows_changed bigint NOT NULL DEFAULT 0,   -- of llm_minute
    hours_changed bigint NOT NULL DEFAULT 0,  -- of llm_hour
    hours_left bigint NOT NULL DEFAULT 0,     -- whose minutes are gone, and inside of which a price changes
    cost_change_pusd numeric(38, 0) NOT NULL DEFAULT 0,
    created_by text NOT NULL DEFAULT current_user,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

-- ---- what people read ----

-- As before, and what a cost is made of. completion_cost_usd has reasoning_cost_usd in it, as the tokens do.
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
       m.generation_us / 1000.0::float8 AS generation_ms,
       llm_usd(m.cost_input_pusd)::float8 AS uncached_prompt_cost_usd,
       llm_usd(m.cost_cached_input_pusd)::float8 AS cached_prompt_cost_usd,
       llm_usd(m.cost_cache_write_5m_pusd)::float8 AS cache_write_5m_cost_usd,
       llm_usd(m.cost_cache_write_1h_pusd)::float8 AS cache_write_1h_cost_usd,
       llm_usd(m.cost_output_pusd::numeric + m.cost_reasoning_pusd)::float8 AS completion_cost_usd,
       llm_usd(m.cost_reasoning_pusd)::float8 AS reasoning_cost_usd,
       llm_usd(m.cost_request_pusd)::float8 AS request_cost_usd,
       llm_usd(m.cache_savings_pusd)::float8 AS cache_savings_usd
FROM llm_minute m
JOIN llm_series s USING (series_id),
LATERAL (SELECT m.uncached_prompt_tokens + m.cached_prompt_tokens + m.cache_write_5m_tokens
                + m.cache_write_1h_tokens AS prompt_tokens) t;

CREATE OR REPLACE VIEW llm_metrics_hour AS
SELECT s.tenant_id, s.route, s.model,
       h.window_start,
       t.window_end,
       h.requests,
       h.errors,
       llm_ratio(h.latency_sum_us, h.latency_count * 1000) AS avg_latency_ms,
       coalesce(h.latency_p95_us, 0) / 1000.0::float8 AS p95_latency_ms,
       llm_ratio(t.prompt_tokens, h.responses) AS avg_prompt_tokens,
       llm_ratio(h.completion_tokens, h.responses) AS avg_completion_tokens,
       llm_usd(h.cost_pusd)::float8 AS estimated_cost_usd,
       h.created_at,
       h.responses,
       h.unanswered,
       t.in_flight,
       coalesce(h.latency_p50_us, 0) / 1000.0::float8 AS p50_latency_ms,
       coalesce(h.latency_p90_us, 0) / 1000.0::float8 AS p90_latency_ms,
       coalesce(h.latency_p99_us, 0) / 1000.0::float8 AS p99_latency_ms,
       h.latency_max_us / 1000.0::float8 AS max_latency_ms,
       CASE WHEN h.ttft_count > 0 THEN llm_ratio(h.ttft_sum_us, h.ttft_count * 1000) END AS avg_ttft_ms,
       h.ttft_p50_us / 1000.0::float8 AS p50_ttft_ms,
       h.ttft_p90_us / 1000.0::float8 AS p90_ttft_ms,
       h.ttft_p95_us / 1000.0::float8 AS p95_ttft_ms,
       h.ttft_p99_us / 1000.0::float8 AS p99_ttft_ms,
       CASE WHEN h.ttft_count > 0 THEN h.ttft_max_us / 1000.0::float8 END AS max_ttft_ms,
       t.prompt_tokens,
       h.completion_tokens,
       h.cached_prompt_tokens,
       h.cache_write_5m_tokens + h.cache_write_1h_tokens AS cache_write_tokens,
       h.reasoning_tokens,
       h.uncached_prompt_tokens,
       h.cache_write_5m_tokens,
       h.cache_write_1h_tokens,
       llm_usd(h.cost_pusd) AS estimated_cost_usd_decimal,
       h.unpriced_requests,
       h.unpriced_tokens,
       h.guessed_requests,
       h.price_version,
       CASE WHEN h.reported_requests > 0 THEN llm_usd(h.reported_cost_pusd)::float8 END AS reported_cost_usd,
       CASE WHEN h.reported_requests > 0 THEN llm_usd(h.reported_cost_pusd) END AS reported_cost_usd_decimal,
       h.reported_requests,
       h.clamped_usage,
       h.usage,
       h.without_latency,
       h.error_classes,
       h.finish_reasons,
       h.revision,
       h.updated_at,
       h.latency_hdr,
       h.ttft_hdr,
       c.complete,
       EXISTS (SELECT FROM streamlens_gap g
               WHERE h.window_start < g.windows_to AND t.window_end > g.windows_from) AS lossy,
       c.complete AND t.in_flight = 0 AS settled,
       CASE WHEN h.generation_us > 0 THEN h.generation_tokens / (h.generation_us / 1000000.0::float8) END
           AS output_tokens_per_second,
       h.generation_tokens,
       h.generation_us / 1000.0::float8 AS generation_ms,
       llm_usd(h.cost_input_pusd)::float8 AS uncached_prompt_cost_usd,
       llm_usd(h.cost_cached_input_pusd)::float8 AS cached_prompt_cost_usd,
       llm_usd(h.cost_cache_write_5m_pusd)::float8 AS cache_write_5m_cost_usd,
       llm_usd(h.cost_cache_write_1h_pusd)::float8 AS cache_write_1h_cost_usd,
       llm_usd(h.cost_output_pusd::numeric + h.cost_reasoning_pusd)::float8 AS completion_cost_usd,
       llm_usd(h.cost_reasoning_pusd)::float8 AS reasoning_cost_usd,
       llm_usd(h.cost_request_pusd)::float8 AS request_cost_usd,
       llm_usd(h.cache_savings_pusd)::float8 AS cache_savings_usd
FROM llm_hour h
JOIN llm_series s USING (series_id),
LATERAL (SELECT h.window_start + interval '1 hour' AS window_end,
                h.requests - h.responses - h.unanswered AS in_flight,
                h.uncached_prompt_tokens + h.cached_prompt_tokens + h.cache_write_5m_tokens
                + h.cache_write_1h_tokens AS prompt_tokens) t,
LATERAL (SELECT coalesce(t.window_end <= (SELECT closed_through FROM streamlens_publisher), false)
             AS complete) c;
