-- SPDX-License-Identifier: Apache-2.0
-- oldest-writer: 2
--
-- The price catalogue: cards of prices, added in versions and never changed. common/core/price.h says
-- which card holds for a row, and what a price that is NULL falls back to.

CREATE TABLE llm_price_version (
    version bigint PRIMARY KEY CHECK (version > 0),
    origin text NOT NULL CHECK (origin IN ('default', 'set')), -- the file that came along, or an operator
    note text NOT NULL DEFAULT '',
    created_by text NOT NULL DEFAULT current_user,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A card is all rows of one (version, tenant_id, model, effective_from). tenant_id '' is everybody;
-- effective_from '-infinity' is "from ever on". Prices are picodollars a token, which is micro-USD per
-- million tokens; request_pusd is a fee a request. A card that is withdrawn is one row without prices: from
-- then on the tenant has none of the model.
CREATE TABLE llm_price (
    version bigint NOT NULL REFERENCES llm_price_version,
    tenant_id text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    effective_from timestamptz NOT NULL
        CHECK (NOT isfinite(effective_from) OR date_trunc('minute', effective_from) = effective_from),
    tier text COLLATE "C" NOT NULL,
    above_tokens bigint NOT NULL,
    provider text NOT NULL,
    aliases text[] NOT NULL,
    withdrawn boolean NOT NULL DEFAULT false,
    discount_ppm bigint CHECK (discount_ppm BETWEEN 0 AND 1000000),
    input_pusd bigint CHECK (input_pusd >= 0),
    cached_input_pusd bigint CHECK (cached_input_pusd >= 0),
    cache_write_5m_pusd bigint CHECK (cache_write_5m_pusd >= 0),
    cache_write_1h_pusd bigint CHECK (cache_write_1h_pusd >= 0),
    output_pusd bigint CHECK (output_pusd >= 0),
    reasoning_pusd bigint CHECK (reasoning_pusd >= 0),
    request_pusd bigint CHECK (request_pusd >= 0),
    source text NOT NULL,
    as_of date,
    PRIMARY KEY (version, tenant_id, model, effective_from, tier, above_tokens)
);
