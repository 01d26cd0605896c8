# SPDX-License-Identifier: Apache-2.0
"""The dashboard of the rows themselves, by SQL as streamlens_reader (sql/README.md): what PromQL cannot say."""
from panels import POSTGRES, dashboard, datasource_variable, panel, sql, sql_table, sql_variable, stat

CHOSEN = "$__timeFilter(window_start) AND tenant_id IN ($tenant_id)"


def over_time(title, unit, description, statement, bars=False):
    return panel("timeseries", title, unit, description, [sql(statement, "time_series")],
                 defaults={"color": {"mode": "palette-classic"}, "min": 0, "custom": {
                     "drawStyle": "bars" if bars else "line", "lineWidth": 1, "fillOpacity": 60 if bars else 5,
                     "showPoints": "never", "stacking": {"mode": "normal" if bars else "none", "group": "A"}}},
                 options={"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                          "tooltip": {"mode": "multi", "sort": "desc"}})


def one(title, unit, description, expression):
    return stat(title, unit, description, sql(f"SELECT {expression}\nFROM llm_metrics\nWHERE {CHOSEN}"))


def rows():
    return dashboard("streamlens-rows", "StreamLens: rows", "Windows and prices as they stand in PostgreSQL.", [
        datasource_variable(POSTGRES, "llm-sql", "StreamLens SQL"),
        sql_variable("tenant_id", "Tenant", "SELECT DISTINCT tenant_id FROM llm_metrics_hour ORDER BY 1"),
    ], [
        [one("Rows", "short", "Minutes of a tenant, route and model that have anything.", "count(*)"),
         one("Not closed", "short", "Rows of windows that some partition may still add to as usual.",
             "count(*) FILTER (WHERE NOT complete)"),
         one("Lossy", "short", "Rows of windows that a lost record could have belonged to. Runbook partition-halted.",
             "count(*) FILTER (WHERE lossy)"),
         one("Late", "short", "Requests and answers that came after their window was first published.",
             "coalesce(sum(late), 0)")],
        [over_time("Latency by hour", "ms", "Percentiles of all answers of the hour, of merged histograms.", f"""
            SELECT window_start AS time,
                   hdr_quantile(hdr_merge(latency_hdr), 0.5) / 1000.0 AS p50,
                   hdr_quantile(hdr_merge(latency_hdr), 0.95) / 1000.0 AS p95,
                   hdr_quantile(hdr_merge(latency_hdr), 0.99) / 1000.0 AS p99
            FROM llm_metrics_hour
            WHERE {CHOSEN}
            GROUP BY 1 ORDER BY 1"""),
         over_time("Cost by day", "currencyUSD", "In UTC, by tenant; sums of whole picodollars.", f"""
            SELECT date_trunc('day', window_start, 'UTC') AS time, tenant_id AS metric,
                   sum(estimated_cost_usd_decimal)::float8 AS value
            FROM llm_metrics_hour
            WHERE {CHOSEN}
            GROUP BY 1, 2 ORDER BY 1, 2""", bars=True)],
        [sql_table("Slowest", "short", "Each route and model, by its p99 over the range.", f"""
            SELECT tenant_id, route, model, sum(responses) AS answers,
                   hdr_quantile(hdr_merge(latency_hdr), 0.5) / 1000.0 AS p50,
                   hdr_quantile(hdr_merge(latency_hdr), 0.99) / 1000.0 AS p99,
                   max(max_latency_ms) AS max
            FROM llm_metrics_hour
            WHERE {CHOSEN}
            GROUP BY 1, 2, 3
            ORDER BY p99 DESC NULLS LAST LIMIT 100""", units={"p50": "ms", "p99": "ms", "max": "ms"}),
         sql_table("Cost by price version", "short", "Which version of the catalogue rows were counted with. Reprice "
                   "where that is the wrong one.", f"""
            SELECT price_version, min(window_start) AS first, max(window_start) AS last, sum(responses) AS answers,
                   sum(estimated_cost_usd_decimal)::float8 AS cost, sum(unpriced_requests) AS unpriced,
                   sum(guessed_requests) AS guessed
            FROM llm_metrics
            WHERE {CHOSEN}
            GROUP BY 1 ORDER BY 1 DESC""", units={"cost": "currencyUSD"})],
        [sql_table("Without a price", "short", "Models whose answers cost nobody knows what; "
                   "streamlens-admin price unpriced has the names that were used.", f"""
            SELECT model, sum(unpriced_requests) AS answers, sum(unpriced_tokens) AS tokens,
                   max(window_start) AS last
            FROM llm_metrics_hour
            WHERE {CHOSEN} AND unpriced_requests > 0
            GROUP BY 1 ORDER BY tokens DESC LIMIT 100"""),
         sql_table("Prices", "short", "The newest card of each model, for everybody, in USD per million tokens.", """
            SELECT DISTINCT ON (model) model, version, input_pusd / 1e6 AS input,
                   cached_input_pusd / 1e6 AS cached, output_pusd / 1e6 AS output, source, as_of
            FROM llm_price
            WHERE tenant_id = '' AND tier = '' AND above_tokens = 0 AND NOT withdrawn
                  AND effective_from <= $__timeTo()
            ORDER BY model, effective_from DESC, version DESC""",
                   units={"input": "currencyUSD", "cached": "currencyUSD", "output": "currencyUSD"})],
    ], since="now-7d", refresh="5m")
