# SPDX-License-Identifier: Apache-2.0
"""What an analyst reads in SQL, with no other rights than streamlens_reader has, is what the API answers: rows of the
views field by field, and sums, maxima and percentiles of random groupings to the last digit.
SL_SEED gives others, SL_QUESTIONS how many (40)."""
import json
import os
import random
import time
import unittest
from decimal import Decimal
from urllib.parse import quote

from psql_session import Session
from question_check import Client, instant
from question_events import DAY, HOUR, MINUTE, MODELS, OPEN_FROM, ROUTES, TENANTS, Events
from question_maker import OF_STORED_ROWS, ROW_FIELDS
from question_oracle import NAMES
from stack import Stack, wait_for

SEED = int(os.environ.get("SL_SEED", "20261124"))
PAIRS = 4000
GROUPINGS = int(os.environ.get("SL_QUESTIONS", "40"))
SUMS = ("requests", "responses", "errors", "in_flight", "prompt_tokens", "completion_tokens", "cached_prompt_tokens",
        "cache_write_tokens", "reasoning_tokens", "generation_tokens", "unpriced_requests", "unpriced_tokens",
        "reported_requests", "clamped_usage", "without_latency")
DECIMALS = ("estimated_cost_usd_decimal", "reported_cost_usd_decimal")
TIMES = ("window_start", "window_end", "updated_at")


def plain(row, names):
    """The fields as values that compare alike wherever they come from."""
    got = {name: row[name] for name in names}
    for name in set(DECIMALS) & set(names):
        got[name] = None if got[name] is None else Decimal(got[name])
    for name in set(TIMES) & set(names):
        got[name] = instant(got[name])
    return got


class Grouping:
    """A random question that both can be asked."""

    def __init__(self, rng, events):
        self.names = [n for n in NAMES if rng.random() < 0.4]
        self.view, self.unit = rng.choice((("llm_metrics", MINUTE), ("llm_metrics_hour", HOUR)))
        ends = sorted(rng.sample(range(events.now - 6 * DAY, events.now + HOUR, MINUTE), 2))
        self.frm, self.to = (t // self.unit * self.unit for t in ends)
        self.to = max(self.to, self.frm + self.unit)
        self.step = rng.choice((None, DAY, *((7 * MINUTE, 90 * MINUTE) if self.unit == MINUTE else (HOUR, 3 * HOUR))))
        self.tenant = rng.choice((None, *TENANTS))
        self.routes = rng.sample(ROUTES, 3) if rng.random() < 0.3 else []
        self.models = rng.sample(MODELS, 2) if rng.random() < 0.3 else []
        self.percents = sorted(rng.sample((1, 25, 50, 90, 95, 99, 99.9, 99.999, 100, 33.3), 3))

    def sql(self):
        literal = lambda text: "'" + text.replace("'", "''") + "'"
        start = "'epoch'::timestamptz" if not self.step else \
            f"date_bin('{self.step} s', window_start, '1970-01-01T00:00:00Z')"
        columns = [*self.names, f"{start} AS start", *(f"sum({n}) AS {n}" for n in SUMS),
                   *(f"sum({n})::text AS {n}" for n in DECIMALS), "max(max_latency_ms) AS max_latency_ms",
                   "max(max_ttft_ms) AS max_ttft_ms", "sum(generation_ms) AS generation_ms"]
        for kind in ("latency", "ttft"):
            merged = f"hdr_merge({kind}_hdr)"
            for p in self.percents:
                columns.append(f"hdr_quantile({merged}, {Decimal(str(p)) / 100}, (max(max_{kind}_ms) * 1000)::bigint)"
                               f' / 1000.0::float8 AS "p{p}_{kind}_ms"')
        where = [f"window_start >= to_timestamp({self.frm})", f"window_start < to_timestamp({self.to})"]
        if self.tenant:
            where.append(f"tenant_id = {literal(self.tenant)}")
        for name, chosen in (("route", self.routes), ("model", self.models)):
            if chosen:
                where.append(f"{name} IN ({', '.join(map(literal, chosen))})")
        groups = ", ".join([*self.names, "start"])
        return (f"SELECT row_to_json(x) FROM (SELECT {', '.join(columns)} FROM {self.view}"
                f" WHERE {' AND '.join(where)} GROUP BY {groups}) x")

    def params(self):
        params = [("tenant_id", self.tenant or "*"), ("from", self.frm), ("to", self.to), ("limit", 10000),
                  ("group_by", ",".join(self.names) or "none"), ("percentiles", ",".join(map(str, self.percents))),
                  *(("route", r) for r in self.routes), *(("model", m) for m in self.models)]
        return params + ([("step", self.step)] if self.step else [])

    def key(self, row, start):
        """In the API a step that the range cuts begins with the range."""
        start = max(int(instant(start)), self.frm) if self.step else 0
        return (start, *(row[n] for n in self.names))


class SqlEqualsApi(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED}")
        cls.rng = random.Random(SEED)
        # Publications are not notified: a kept answer may have an older publish_seq.
        cls.stack = Stack(env={"MAX_BATCH_BYTES": str(4 << 20), "CACHE_BYTES": "0"})
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.__enter__()
        cls.stack.start_all()
        cls.sql = Session(cls.stack.dsn)
        cls.addClassCleanup(cls.sql.close)
        cls.client = Client(cls.stack.services["metrics-api"].port)
        cls.addClassCleanup(cls.client.close)
        cls.fill()
        cls.sql("SET ROLE streamlens_reader")

    @classmethod
    def fill(cls):
        cls.events = Events(cls.rng, int(time.time()) // MINUTE * MINUTE, f"s{SEED}")
        sent = cls.events.many_classes() + cls.events.pairs(PAIRS)
        for at in range(0, len(sent), 2000):
            cls.stack.post_batch(sent[at:at + 2000])
        ids = {(e["type"], e["request_id"]) for e in sent}
        requests = sum(kind == "request" for kind, _ in ids)
        cls.stack.wait_totals(requests=requests, responses=len(ids) - requests, seconds=60)
        old = f"window_start < to_timestamp({cls.events.now + OPEN_FROM})"
        wait_for(lambda: cls.sql(f"SELECT count(*) FROM llm_metrics WHERE NOT complete AND {old}") == ["0"],
                 "the windows closed", 60)

    def ask(self, params):
        """All rows, of all pages."""
        rows, cursor = [], None
        while True:
            query = "&".join(f"{name}={quote(str(value), safe=',')}" for name, value in params)
            status, _, body = self.client.get(f"/v1/metrics?{query}" + (f"&cursor={cursor}" if cursor else ""))
            self.assertEqual(status, 200, body[:500])
            answer = json.loads(body)
            rows += answer["metrics"]
            cursor = answer["next_cursor"]
            if cursor is None:
                return rows

    def same_moment(self, statement, ask):
        """Rows of SQL and of the API between which nothing was written, as publications are."""
        read = lambda: [json.loads(line, parse_float=str) for line in self.sql(statement)]
        while True:
            before, answer, after = read(), ask(), read()
            if before == after:
                return after, answer

    def check_view(self, view, names, params):
        wanted, got = self.same_moment(f"SELECT row_to_json(x) FROM {view} x ORDER BY window_start, tenant_id, route,"
                                       f" model", lambda: [r for p in params for r in self.ask(p)])
        key = lambda row: (instant(row["window_start"]), *(row[n].encode() for n in NAMES))
        got.sort(key=key)
        wanted.sort(key=key)
        self.assertEqual([key(r) for r in got], [key(r) for r in wanted])
        for row, want in zip(got, wanted):
            want = {n: float(v) if isinstance(v, str) and isinstance(row.get(n), (int, float)) else v
                    for n, v in want.items()}
            self.assertEqual(plain(row, names), plain(want, names))
        return len(got)

    def test_rows_of_minutes(self):
        params = [[("tenant_id", tenant), ("limit", 3000)] for tenant in TENANTS]
        n = self.check_view("llm_metrics", ROW_FIELDS, params)
        self.assertGreater(n, 1000)

    def test_rows_of_hours(self):
        span = [("from", self.events.now // HOUR * HOUR - 7 * DAY), ("to", self.events.now // HOUR * HOUR + 2 * HOUR)]
        n = self.check_view("llm_metrics_hour", [n for n in ROW_FIELDS if n not in OF_STORED_ROWS],
                            [[("tenant_id", "*"), ("step", "1h"), ("limit", 3000), *span]])
        self.assertGreater(n, 500)

    def test_random_groupings(self):
        rows = 0
        for _ in range(GROUPINGS):
            g = Grouping(self.rng, self.events)
            answer = {g.key(row, row["window_start"]): row for row in self.ask(g.params())}
            wanted = {g.key(row, row["start"]): row for row in map(json.loads, self.sql(g.sql()))}
            with self.subTest(sql=g.sql()):
                self.assertEqual(set(answer), set(wanted))
                for key, want in wanted.items():
                    self.check_cell(g, answer[key], want)
            rows += len(answer)
        print(f"{GROUPINGS} groupings, {rows} rows")
        self.assertGreater(rows, 10 * GROUPINGS)

    def check_cell(self, g, row, want):
        for name in (*SUMS, "max_latency_ms", "max_ttft_ms",
                     *(f"p{p}_{kind}_ms" for kind in ("latency", "ttft") for p in g.percents)):
            self.assertEqual(row[name], want[name], name)
        for name in DECIMALS:
            self.assertEqual(*(text and Decimal(text) for text in (row[name], want[name])), name)
        self.assertAlmostEqual(row["generation_ms"], want["generation_ms"], delta=1e-9 * (1 + row["generation_ms"]))


if __name__ == "__main__":
    unittest.main()
