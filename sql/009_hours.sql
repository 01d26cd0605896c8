-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 9
--
-- How far back rows reach, series that are taken away, and hours for whoever has psql.

-- Rows of minutes (hours) that begin before it have been dropped, or will be at once: whoever reads takes
-- them for gone. NULL: none yet. Only rises.
CREATE TABLE streamlens_retention (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    minutes_from timestamptz,
    hours_from timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO streamlens_retention DEFAULT VALUES;

-- Series of tenants that are being deleted: nobody sees them any more, their rows are still to be deleted.
CREATE TABLE streamlens_deleted_series (
    tenant_id text COLLATE "C" NOT NULL,
    series_id bigint PRIMARY KEY
);

-- Of all partitions the same. Whoever takes rows of llm_series away raises it in the same transaction, holding
-- all position rows: a flush that knows another number looks its series up again before it writes.
ALTER TABLE streamlens_position ADD COLUMN series_generation bigint NOT NULL DEFAULT 0;

-- As before; and a partition that retention has detached and not dropped, since it was ended there, is taken
-- back with what it holds. It goes with the next retention.
CREATE OR REPLACE FUNCTION llm_make_partition(parent text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    unit text := CASE parent WHEN 'llm_minute' THEN 'day' WHEN 'llm_publish' THEN 'day'
                             WHEN 'llm_hour' THEN 'month' END;
    low timestamp := date_trunc(unit, at AT TIME ZONE 'UTC');
    high timestamp := low + ('1 ' || unit)::interval;
    name text := parent || to_char(low, CASE unit WHEN 'day' THEN '_YYYYMMDD' ELSE '_YYYYMM' END);
    pending boolean;
BEGIN
    IF unit IS NULL THEN
        RAISE EXCEPTION 'llm_make_partition: % is not partitioned by it', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('streamlens ' || current_schema() || '.' || parent, 0));
    SELECT inhdetachpending INTO pending FROM pg_inherits
    WHERE inhparent = parent::regclass AND inhrelid = to_regclass(name);
    IF NOT pending THEN
        RETURN false;
    ELSIF pending THEN
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I FINALIZE', parent, name);
    ELSIF to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING STORAGE)'
                       ' WITH (fillfactor = 50, toast_tuple_target = 8160)', name, parent);
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name,
                   low AT TIME ZONE 'UTC', high AT TIME ZONE 'UTC');
    RETURN true;
END
$$;

-- ---- what people read ----

-- The columns of llm_metrics that an hour has. complete: all of its minutes are closed, by all partitions.
-- lossy: one of them is.
CREATE VIEW llm_metrics_hour AS
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
       h.generation_us / 1000.0::float8 AS generation_ms
FROM llm_hour h
JOIN llm_series s USING (series_id),
LATERAL (SELECT h.window_start + interval '1 hour' AS window_end,
                h.requests - h.responses - h.unanswered AS in_flight,
                h.uncached_prompt_tokens + h.cached_prompt_tokens + h.cache_write_5m_tokens
                + h.cache_write_1h_tokens AS prompt_tokens) t,
LATERAL (SELECT coalesce(t.window_end <= (SELECT closed_through FROM streamlens_publisher), false)
             AS complete) c;

-- ---- who reads ----

-- One role for all installations of a cluster, which may have it already, or be making it in this moment.
DO $$
BEGIN
    IF to_regrole('streamlens_reader') IS NULL THEN
        CREATE ROLE streamlens_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'role streamlens_reader is not there, and % may not make it. An administrator runs: CREATE ROLE streamlens_reader NOLOGIN; GRANT SELECT ON llm_metrics, llm_metrics_hour, llm_price, llm_price_version TO streamlens_reader', current_user;
END
$$;

-- The views read their tables as their owner does, and functions are everybody's unless that was taken away.
DO $$
BEGIN
    IF to_regrole('streamlens_reader') IS NOT NULL THEN
        GRANT SELECT ON llm_metrics, llm_metrics_hour, llm_price, llm_price_version TO streamlens_reader;
        IF NOT has_schema_privilege('streamlens_reader', current_schema(), 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO streamlens_reader', current_schema());
        END IF;
    END IF;
END
$$;
