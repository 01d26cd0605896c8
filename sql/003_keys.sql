-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 1
--
-- API keys. Of a key's text only the hash is kept; common/core/api_key.h has its form.

CREATE TABLE streamlens_key (
    key_id text COLLATE "C" PRIMARY KEY,
    key_sha256 bytea NOT NULL CHECK (octet_length(key_sha256) = 32),
    tenant_id text COLLATE "C" NOT NULL DEFAULT '', -- '' only where the scope is admin alone
    name text NOT NULL,                             -- what the key is for
    scopes text[] NOT NULL CHECK (scopes <@ ARRAY['ingest', 'read', 'admin'] AND cardinality(scopes) > 0),
    events_per_second bigint CHECK (events_per_second > 0), -- NULL: no limit
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    CHECK (tenant_id <> '' OR scopes = ARRAY['admin'])
);
CREATE INDEX streamlens_key_of_tenant ON streamlens_key (tenant_id, name);
