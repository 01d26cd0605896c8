-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 5
--
-- What llm.metrics was sent, and what it is still to be sent. What each table is for stands in
-- sql/README.md.

-- Rows that a processor of before makes would never be published. So those that are connected are ended,
-- and from here on none gets past the check of the version, which then refuses them.
LOCK TABLE streamlens_schema;
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'streamlens-processor' AND pid <> pg_backend_pid();

-- As before, and of llm_publish a day as well.
CREATE OR REPLACE FUNCTION llm_make_partition(parent text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    unit text := CASE parent WHEN 'llm_minute' THEN 'day' WHEN 'llm_publish' THEN 'day'
                             WHEN 'llm_hour' THEN 'month' END;
    low timestamp := date_trunc(unit, at AT TIME ZONE 'UTC');
    high timestamp := low + ('1 ' || unit)::interval;
    name text := parent || to_char(low, CASE unit WHEN 'day' THEN '_YYYYMMDD' ELSE '_YYYYMM' END);
BEGIN
    IF unit IS NULL THEN
        RAISE EXCEPTION 'llm_make_partition: % is not partitioned by it', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('streamlens ' || current_schema() || '.' || parent, 0));
    IF EXISTS (SELECT FROM pg_inherits
               WHERE inhparent = parent::regclass AND inhrelid = to_regclass(name)) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING STORAGE)'
                   ' WITH (fillfactor = 50, toast_tuple_target = 8160)', name, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name,
                   low AT TIME ZONE 'UTC', high AT TIME ZONE 'UTC');
    RETURN true;
END
$$;

-- A row of llm_minute, made by the flush that makes that; the rest of it is the publisher's. Partitions as
-- llm_minute's, a day each. No column is indexed that changes, so that every update is HOT.
CREATE TABLE llm_publish (
    window_start timestamptz NOT NULL,
    series_id bigint NOT NULL,
    publish_seq bigint NOT NULL DEFAULT 0,        -- of the last publication; 0 = none yet
    published_revision bigint NOT NULL DEFAULT 0, -- the row's revision then
    published_at timestamptz,
    first_seq bigint,                       -- of the first publication
    first_events bigint,                    -- requests + responses then
    published_settled boolean NOT NULL DEFAULT false, -- at the last one
    again boolean NOT NULL DEFAULT false,   -- to be sent though its revision was
    PRIMARY KEY (window_start, series_id)
) PARTITION BY RANGE (window_start);

-- The sequence, without gaps since it is a row: a nextval() of a transaction that rolls back would be one.
-- The newest batch: its first sequence, and the windows that its rows are of.
CREATE TABLE streamlens_publisher (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_seq bigint NOT NULL DEFAULT 0,
    batch_first_seq bigint NOT NULL DEFAULT 1,
    batch_windows timestamptz[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO streamlens_publisher DEFAULT VALUES;

-- By which GROUP_INSTANCE_ID the owner goes, as a hash (0: without one): whoever is fenced by the broker
-- finds out whether another process has its id.
ALTER TABLE streamlens_position ADD COLUMN owner_id bigint NOT NULL DEFAULT 0;

-- What was counted before is published as what comes: once its window is closed.
SELECT llm_make_partition('llm_publish', day)
FROM (SELECT DISTINCT date_trunc('day', window_start AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS day
      FROM llm_window) days;
INSERT INTO llm_publish (window_start, series_id) SELECT window_start, series_id FROM llm_minute;

-- changes is raised by every flush that touches a row of the window, as the last thing that it does but for
-- its positions; its row lock is what keeps such a flush and the publisher apart. looked_changes: up to
-- there the publisher has looked through all of the window, at looked_at; due_at: when it must do so again
-- though nothing changes (rows that were published too recently), NULL = not.
--
-- again_above and again_to: rows whose last publication has a sequence above the one and not above the other
-- are to be sent again, all of the window at once. A mark on each row would be no work for a flush: a gap of
-- a day may concern ten million of them.
--
-- Here last, since whoever reads llm_window waits from here on.
ALTER TABLE llm_window
    ADD COLUMN changes bigint NOT NULL DEFAULT 1,
    ADD COLUMN looked_changes bigint NOT NULL DEFAULT 0,
    ADD COLUMN looked_at timestamptz,
    ADD COLUMN due_at timestamptz,
    ADD COLUMN again_above bigint NOT NULL DEFAULT 0,
    ADD COLUMN again_to bigint NOT NULL DEFAULT 0;
ALTER TABLE llm_window ALTER COLUMN changes SET DEFAULT 0;
CREATE INDEX llm_window_unpublished ON llm_window (window_start)
    WHERE changes > looked_changes OR due_at IS NOT NULL;

-- ---- what people read ----

-- Subqueries and no join: a question that leaves those columns out does not look at llm_publish.

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
                       WHERE w.window_start = m.window_start AND w.closed_at IS NOT NULL) AS settled
FROM llm_minute m
JOIN llm_series s USING (series_id),
LATERAL (SELECT m.uncached_prompt_tokens + m.cached_prompt_tokens + m.cache_write_5m_tokens
                + m.cache_write_1h_tokens AS prompt_tokens) t;
