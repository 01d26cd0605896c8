-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 5
--
-- How much a tenant may send (common/core/tenant_limit.h). Processors do not look at it.

CREATE TABLE streamlens_limit (
    tenant_id text COLLATE "C" PRIMARY KEY CHECK (tenant_id <> ''), -- '*': each without a row of its own
    -- NULL: no limit
    events_per_second bigint CHECK (events_per_second BETWEEN 1 AND 1000000000000),
    bytes_per_second bigint CHECK (bytes_per_second BETWEEN 1 AND 1000000000000),
    -- NULL: ten seconds' worth
    events_burst bigint CHECK (events_burst BETWEEN 1 AND 1000000000000),
    bytes_burst bigint CHECK (bytes_burst BETWEEN 1 AND 1000000000000),
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT streamlens_limit_burst_of_a_rate
        CHECK ((events_burst IS NULL OR events_per_second IS NOT NULL)
               AND (bytes_burst IS NULL OR bytes_per_second IS NOT NULL))
);
