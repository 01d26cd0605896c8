-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 1
--
-- What each table is for stands in sql/README.md.

-- ---- a database of the original ----

-- The original kept its rows in a table of the name that is a view here. The rows stay, under a name of
-- their own; nothing is copied, since they count differently.
DO $$
DECLARE
    aside text := 'llm_metrics_v0';
    n int := 0;
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('llm_metrics') AND relkind IN ('r', 'p')) THEN
        WHILE to_regclass(aside) IS NOT NULL LOOP
            n := n + 1;
            aside := 'llm_metrics_v0_' || n;
        END LOOP;
        EXECUTE format('ALTER TABLE llm_metrics RENAME TO %I', aside);
        RAISE NOTICE 'table llm_metrics of the original StreamLens renamed to %', aside;
    END IF;
END
$$;

-- ---- the installation ----

CREATE TABLE streamlens_installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    partitions integer NOT NULL CHECK (partitions > 0),
    topic_prefix text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE streamlens_settings (
    epoch bigint PRIMARY KEY CHECK (epoch > 0),
    join_ttl_ms bigint NOT NULL,
    join_skew_ms bigint NOT NULL,
    max_series_per_tenant bigint NOT NULL,
    acceptance_version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE streamlens_settings_from (
    epoch bigint NOT NULL REFERENCES streamlens_settings,
    partition integer NOT NULL CHECK (partition >= 0),
    request_offset bigint NOT NULL,
    response_offset bigint NOT NULL,
    PRIMARY KEY (epoch, partition)
);

-- Times are ms since 1970, NULL before the first record; a partition that was never flushed has NULL in
-- request_next. Updated by every flush and never indexed beyond the key, so half of a page is kept free.
CREATE TABLE streamlens_position (
    partition integer PRIMARY KEY CHECK (partition >= 0),
    epoch bigint NOT NULL DEFAULT 0,
    token bigint NOT NULL DEFAULT 0,
    flush_seq bigint NOT NULL DEFAULT 0,
    backend_pid integer,
    backend_start timestamptz,
    request_next bigint,
    request_time_ms bigint,
    request_replay bigint,
    request_last_offset bigint,
    request_last_time_ms bigint,
    request_last_key bigint,
    response_next bigint,
    response_time_ms bigint,
    response_replay bigint,
    response_last_offset bigint,
    response_last_time_ms bigint,
    response_last_key bigint,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- ---- series ----

-- Names compare bytewise: no locale decides what is equal, and comparing costs less.
CREATE TABLE llm_series (
    series_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    route text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    labels jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, route, model)
);

-- series_count is without __other__. Its row lock is what holds the cap of series.
CREATE TABLE llm_tenant (
    tenant_id text COLLATE "C" PRIMARY KEY,
    series_count bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- ---- facts ----

-- Tokens of a row by what decides their price: which model answered ('__other__': of several that a row
-- has no more room for), which was asked for where that was another one, the service tier ('' = standard),
-- and the context band: the greatest of 32000, 128000, 200000, 256000, 272000, 512000 and 1000000 that the
-- prompt's tokens exceeded, else 0. The classes are disjoint, but for reasoning_tokens, which are a part
-- of completion_tokens. Readers: FROM llm_minute, unnest(usage) u.
CREATE TYPE llm_usage AS (
    model text,
    asked text,
    tier text,
    context_above bigint,
    requests bigint,
    uncached_prompt_tokens bigint,
    cached_prompt_tokens bigint,
    cache_write_5m_tokens bigint,
    cache_write_1h_tokens bigint,
    completion_tokens bigint,
    reasoning_tokens bigint
);

-- The token columns are the sums of `usage`. Costs are picodollars (10^-12 USD): of a minute what its
-- usage costs by version price_version of the catalogue, of an hour the sum of its minutes' costs.
--
-- Columns of a fixed width stand first: the server finds them without walking over the others.
--
-- bytea EXTERNAL with toast_tuple_target 8160 (see llm_make_partition) keeps a histogram inside its row
-- and uncompressed, as PLAIN would, but a row that outgrows its page is moved out instead of refused:
-- a client that spreads its latencies over every bucket must not be able to stop a flush.
CREATE TABLE llm_minute (
    series_id bigint NOT NULL,
    window_start timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    revision bigint NOT NULL,
    requests bigint NOT NULL,
    responses bigint NOT NULL,
    unanswered bigint NOT NULL,
    errors bigint NOT NULL,
    without_latency bigint NOT NULL,
    clamped_usage bigint NOT NULL,
    reported_requests bigint NOT NULL,
    uncached_prompt_tokens bigint NOT NULL,
    cached_prompt_tokens bigint NOT NULL,
    cache_write_5m_tokens bigint NOT NULL,
    cache_write_1h_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    price_version bigint NOT NULL,
    unpriced_requests bigint NOT NULL,
    unpriced_tokens bigint NOT NULL,
    guessed_requests bigint NOT NULL,
    latency_count bigint NOT NULL,
    latency_sum_us bigint NOT NULL,
    latency_max_us bigint NOT NULL,
    latency_clamped bigint NOT NULL,
    ttft_count bigint NOT NULL,
    ttft_sum_us bigint NOT NULL,
    ttft_max_us bigint NOT NULL,
    ttft_clamped bigint NOT NULL,
    latency_p50_us bigint,
    latency_p90_us bigint,
    latency_p95_us bigint,
    latency_p99_us bigint,
    ttft_p50_us bigint,
    ttft_p90_us bigint,
    ttft_p95_us bigint,
    ttft_p99_us bigint,
    cost_pusd numeric(38, 0) NOT NULL,
    reported_cost_pusd numeric(38, 0) NOT NULL,
    usage llm_usage[] NOT NULL,
    latency_hdr bytea,
    ttft_hdr bytea,
    error_classes jsonb NOT NULL,
    finish_reasons jsonb NOT NULL,
    PRIMARY KEY (series_id, window_start)
) PARTITION BY RANGE (window_start);

ALTER TABLE llm_minute
    ALTER COLUMN latency_hdr SET STORAGE EXTERNAL,
    ALTER COLUMN ttft_hdr SET STORAGE EXTERNAL;

-- The key reads one series backwards, and there is no other index: beside one on window_start the planner
-- took that for the key in partitions that have no statistics yet, and read a whole minute a row.
CREATE TABLE llm_hour (LIKE llm_minute INCLUDING DEFAULTS INCLUDING STORAGE,
    PRIMARY KEY (series_id, window_start)
) PARTITION BY RANGE (window_start);

-- The minutes that rows may exist of: what asks for the newest of all series asks here.
CREATE TABLE llm_window (
    window_start timestamptz PRIMARY KEY
);

-- The partition of llm_minute (a UTC day) or llm_hour (a UTC month) that holds the instant, made where
-- it is missing: true. Attaching, unlike CREATE TABLE … PARTITION OF, does not wait for flushes under
-- way, nor they for it.
CREATE FUNCTION llm_make_partition(parent text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    unit text := CASE parent WHEN 'llm_minute' THEN 'day' WHEN 'llm_hour' THEN 'month' END;
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

-- ---- what people read ----

-- Divided as doubles, which rounds once; a numeric becomes a double by way of text, which is slow.
CREATE FUNCTION llm_ratio(sum bigint, count bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(sum::float8 / nullif(count, 0), 0);

-- Picodollars as USD: exact, and as the double that the original showed.
CREATE FUNCTION llm_usd(pusd numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN trim_scale(pusd * 0.000000000001);

-- The columns up to created_at are those of the original's table, in its order; as there, a latency is
-- 0 where none was measured. Times to first token, which it had not, are NULL then.
CREATE VIEW llm_metrics AS
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
       m.ttft_hdr
FROM llm_minute m
JOIN llm_series s USING (series_id),
LATERAL (SELECT m.uncached_prompt_tokens + m.cached_prompt_tokens + m.cache_write_5m_tokens
                + m.cache_write_1h_tokens AS prompt_tokens) t;
