# SPDX-License-Identifier: Apache-2.0
"""Rows of minutes and of their hours put straight into the database, with usage lines and what these cost by the
oracle of cost_truth.py: as processors would have left them. And what they must hold when they are priced anew."""
import calendar
import subprocess
import time

import fact_rows
from cost_truth import COSTS, MINUTE, Truth
from prices import Catalogue

HOUR = 3600
TOKENS = ("uncached_prompt_tokens", "cached_prompt_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
          "completion_tokens", "reasoning_tokens")


def at(text):
    """Seconds since 1970 of "2026-11-20 10:30"."""
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M"))


def instant(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Row:
    """A minute. lines: {cost_truth.Line: [requests, uncached, cached, written 5m, written 1h, output, reasoning]}"""

    def __init__(self, lines, version, costs):
        self.lines, self.version, self.costs = lines, version, costs
        self.revision = 1


def add_lines(into, lines):
    for line, sums in lines.items():
        have = into.setdefault(line, [0] * len(sums))
        into[line] = [a + b for a, b in zip(have, sums)]


def usage_sql(lines):
    """llm_usage[]; completion_tokens have the reasoning in them there."""
    rows = []
    for line, (requests, *classes, output, reasoning) in sorted(lines.items()):
        numbers = [line.above, requests, *classes, output + reasoning, reasoning]
        texts = ("'" + t.replace("'", "''") + "'" for t in line[:3])
        rows.append(f"ROW({', '.join(texts)}, {', '.join(map(str, numbers))})::llm_usage")
    return f"ARRAY[{', '.join(rows)}]::llm_usage[]"


class PricedRows:
    def __init__(self, stack, forms=None):
        self.stack, self.forms = stack, forms or {}
        self.clear()

    def clear(self):
        """No rows, series and prices."""
        self.stack.sql("TRUNCATE llm_minute, llm_hour, llm_publish, llm_window, llm_tenant, llm_reprice, llm_price,"
                       " llm_price_version RESTART IDENTITY; DELETE FROM llm_series;"
                       " UPDATE streamlens_retention SET minutes_from = NULL, hours_from = NULL")
        self.truth, self.version = Truth(Catalogue(), self.forms), 0
        self.series, self.rows = {}, {}

    def add_prices(self, text):
        """A price file as the next version, also for minutes that are over."""
        path = f"{self.stack.tmp}/{self.stack.id}-prices.csv"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        r = self.stack.admin("price", "set", path, "--now", "--force")
        assert r.returncode == 0, r.stderr
        self.version += 1
        assert self.stack.sql("SELECT max(version) FROM llm_price_version") == str(self.version)
        self.truth.add_prices(text, self.version)

    def add_series(self, series_id, tenant, route="r", model="m"):
        self.series[series_id] = (tenant, route, model)

    def put(self, series_id, at_s, lines, version=None):
        """A minute with lines, priced by a version; the newest where none is given."""
        version = version or self.version
        key = (series_id, at_s)
        assert key not in self.rows and at_s % MINUTE == 0
        self.rows[key] = Row(dict(lines), version, self.costs(series_id, at_s, lines, version))

    def costs(self, series_id, at_s, lines, version):
        return self.truth.costs((*self.series[series_id], at_s), lines, version)

    def hours(self):
        """{(series, hour): (version, costs, lines)}, as the minutes give them."""
        hours = {}
        for (series_id, at_s), row in self.rows.items():
            key = (series_id, at_s // HOUR * HOUR)
            version, costs, lines = hours.get(key, (0, dict.fromkeys(COSTS, 0), {}))
            add_lines(lines, row.lines)
            hours[key] = (max(version, row.version), {c: costs[c] + row.costs[c] for c in COSTS}, lines)
        return hours

    # ---- into the database, and out of it ----

    def store(self):
        """All that was put; windows are closed, and rows published as they are."""
        sql = self.stack.sql
        sql("INSERT INTO llm_series (series_id, tenant_id, route, model) OVERRIDING SYSTEM VALUE VALUES " +
            ", ".join(f"({id_}, '{tenant}', '{route}', '{model}')" for id_, (tenant, route, model) in
                      self.series.items()))
        starts = sorted({at_s for _, at_s in self.rows})
        fact_rows.partitions(self.stack, [f"'{instant(s)}'" for s in sorted({s // 86400 * 86400 for s in starts})])
        self.insert("llm_minute", [(key, r.version, r.costs, r.lines) for key, r in self.rows.items()])
        self.insert("llm_hour", [(key, *hour) for key, hour in self.hours().items()])
        sql("INSERT INTO llm_window (window_start, closed_at, changes, looked_changes)"
            " SELECT DISTINCT window_start, now(), 5, 5 FROM llm_minute")
        sql("INSERT INTO llm_publish (window_start, series_id, publish_seq, published_revision)"
            " SELECT window_start, series_id, row_number() OVER (), 1 FROM llm_minute")

    def insert(self, table, rows):
        have = ("series_id", "window_start", "price_version", *COSTS, "usage", "revision", "error_classes",
                "finish_reasons")
        needed = self.stack.sql("SELECT column_name FROM information_schema.columns WHERE table_schema ="
                                f" current_schema() AND table_name = '{table}' AND is_nullable = 'NO'"
                                " AND column_default IS NULL").split()
        others = [c for c in needed if c not in have]
        for first in range(0, len(rows), 500):
            values = ",\n".join(
                f"({key[0]}, '{instant(key[1])}'::timestamptz, {version}, {', '.join(str(costs[c]) for c in COSTS)},"
                f" {usage_sql(lines)}, 1, '{{}}'::jsonb, '{{}}'::jsonb{', 0' * len(others)})"
                for key, version, costs, lines in rows[first:first + 500])
            # By way of the standard input: an argument is bounded.
            subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.stack.dsn], check=True, timeout=120,
                           input=f"INSERT INTO {table} ({', '.join((*have, *others))}) VALUES {values};", text=True)

    def stored(self, table):
        """{(series, instant): {column: number}} of the columns that are priced."""
        columns = ("revision", "price_version", *COSTS)
        out = self.stack.sql(f"SELECT series_id, extract(epoch FROM window_start)::bigint, {', '.join(columns)}"
                             f" FROM {table}")
        rows = (list(map(int, line.split("|"))) for line in out.splitlines())
        return {tuple(row[:2]): dict(zip(columns, row[2:])) for row in rows}

    # ---- pricing anew ----

    def reprice(self, from_s, to_s, concerns=lambda series_id, row: True):
        """What the rows must hold afterwards; the number of those that change, and by how much the cost does."""
        changed, change = 0, 0
        for (series_id, at_s), row in self.rows.items():
            if not from_s <= at_s < to_s or row.version > self.version or not concerns(series_id, row):
                continue
            costs = self.costs(series_id, at_s, row.lines, self.version)
            if costs != row.costs:
                change += costs["cost_pusd"] - row.costs["cost_pusd"]
                row.costs, row.version, row.revision, changed = costs, self.version, row.revision + 1, changed + 1
        return changed, change

    def expected(self):
        """What stored("llm_minute") must give."""
        return {key: {"revision": r.revision, "price_version": r.version, **r.costs} for key, r in self.rows.items()}
