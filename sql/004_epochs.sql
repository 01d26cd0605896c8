-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 4
--
-- Settings that change on a live system, windows that close, and what was lost. What each table is for
-- stands in sql/README.md.

-- ---- settings epochs ----

-- Which epoch gave the cap of series its present value. A database of before has epoch 1 alone; from now
-- on whoever adds one says it.
ALTER TABLE streamlens_settings
    ADD COLUMN series_epoch bigint NOT NULL DEFAULT 1 REFERENCES streamlens_settings,
    ADD CHECK (series_epoch <= epoch);
ALTER TABLE streamlens_settings ALTER COLUMN series_epoch DROP DEFAULT;

-- The epoch holds for records of both topics whose topic time (running maximum of LogAppendTime, ms since
-- 1970) is at least this; NULL: for all there are. The offsets are the position at which it was opened.
ALTER TABLE streamlens_settings_from ADD COLUMN from_ms bigint;

-- ---- series of an epoch ----

-- Of a tenant: the newest series epoch in which a series was made, or refused at the cap. From then on
-- older epochs make no more, so that what a name belongs to within an epoch never changes.
ALTER TABLE llm_tenant ADD COLUMN epoch bigint NOT NULL DEFAULT 1;

-- Of a series: the series epoch it was made in. It holds for requests of that one and of later ones.
-- __other__ holds for all.
ALTER TABLE llm_series ADD COLUMN epoch bigint NOT NULL DEFAULT 1;

-- ---- closing ----

-- A closed window has closed_at, and is complete unless some partitions were not past its end when it was
-- closed. held_since: by the clock of who decides, since when some are past it and others are not.
ALTER TABLE llm_window
    ADD COLUMN held_since timestamptz,
    ADD COLUMN closed_at timestamptz,
    ADD COLUMN complete boolean NOT NULL DEFAULT false,
    ADD CHECK (closed_at IS NOT NULL OR NOT complete);

-- Looked through at every flush interval, so it has nothing but the few that are not done.
CREATE INDEX llm_window_incomplete ON llm_window (window_start) WHERE NOT complete;

-- ---- what was lost ----

-- Records that were gone before they were consumed, and that the operator has accepted to go on without:
-- from_offset to to_offset - 1, and to_offset below from_offset where the log had become shorter. The
-- times are those of the log as far as they are known. Windows that overlap windows_from to windows_to may
-- lack what stood there.
CREATE TABLE streamlens_gap (
    gap_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition integer NOT NULL,
    topic text NOT NULL,
    from_offset bigint NOT NULL,
    to_offset bigint NOT NULL,
    from_time timestamptz,
    to_time timestamptz,
    windows_from timestamptz NOT NULL,
    windows_to timestamptz NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now()
);

-- ---- what people read ----

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
                 AND m.window_start + interval '1 minute' > g.windows_from) AS lossy
FROM llm_minute m
JOIN llm_series s USING (series_id),
LATERAL (SELECT m.uncached_prompt_tokens + m.cached_prompt_tokens + m.cache_write_5m_tokens
                + m.cache_write_1h_tokens AS prompt_tokens) t;
