#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sums by model and hour with DuckDB, over a file of records:

    kcat -C -e -q -b BROKERS -t llm.metrics -o beginning -X isolation.level=read_committed > export.ndjson
    duckdb_hours.py export.ndjson

Prints model, hour, requests, errors, tokens in and out, cost in USD; tab-separated."""
import sys

import duckdb

# Columns are named, so that nothing is guessed from the first rows. The exact cost is a string in the JSON.
# Of the records of one series and minute the greatest publish_seq holds.
QUERY = """
    WITH last AS (
        SELECT * FROM read_json(?, format = 'newline_delimited', columns = {
            tenant_id: 'VARCHAR', route: 'VARCHAR', model: 'VARCHAR', window_start: 'VARCHAR',
            publish_seq: 'BIGINT', requests: 'BIGINT', errors: 'BIGINT', prompt_tokens: 'BIGINT',
            completion_tokens: 'BIGINT', estimated_cost_usd_decimal: 'DECIMAL(38, 12)'})
        QUALIFY row_number() OVER (PARTITION BY tenant_id, route, model, window_start
                                   ORDER BY publish_seq DESC) = 1)
    SELECT model, window_start[:13] || ':00:00Z' AS hour, sum(requests), sum(errors), sum(prompt_tokens),
           sum(completion_tokens), sum(estimated_cost_usd_decimal)
    FROM last GROUP BY model, hour ORDER BY model, hour
"""

if __name__ == "__main__":
    for row in duckdb.execute(QUERY, [sys.argv[1]]).fetchall():
        print(*row, sep="\t")
