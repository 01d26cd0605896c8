#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The examples of deploy/examples print the right numbers: of records that a reader without their two rules
would get wrong, and of what the pipeline publishes. SL_EXAMPLES_PYTHON has the libraries of
deploy/examples/requirements.txt, SL_KAFKA_LIBS the broker's jars."""
import collections
import datetime
import decimal
import json
import math
import os
import random
import sqlite3
import subprocess
import unittest

from stack import ROOT, Stack, iso, needed, wait_for

EXAMPLES = os.path.join(ROOT, "deploy", "examples")
TOPIC = "llm.metrics"
HOUR = datetime.datetime(2026, 11, 20, 6, tzinfo=datetime.timezone.utc)
HOUR_TEXT = "2026-11-20T06:00:00Z"


def minute(n):
    return (HOUR + datetime.timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%SZ")


def fields(text):
    return [line.split("\t") for line in text.splitlines()]


class Examples(unittest.TestCase):
    """Runs them; says nothing of what they should print."""

    def setUp(self):
        self.python, self.libs = needed("SL_EXAMPLES_PYTHON"), needed("SL_KAFKA_LIBS")

    def run_it(self, *command):
        r = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False,
                           stdin=subprocess.DEVNULL)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def python_example(self, name, *args):
        return self.run_it(self.python, os.path.join(EXAMPLES, name), *args)

    def latest(self, topic):
        return fields(self.run_it(os.path.join(EXAMPLES, "latest.sh"), self.brokers, topic))

    def hour_p99(self, topic, hour):
        return fields(self.python_example("hour_p99.py", self.brokers, topic, hour))

    def hour_p99_java(self, topic, hour):
        return fields(self.run_it("java", "-XX:TieredStopAtLevel=1", "-cp", os.path.join(self.libs, "*"),
                                  os.path.join(EXAMPLES, "HourP99.java"), self.brokers, topic, hour))

    def duckdb_hours(self, topic):
        path = os.path.join(needed("SL_TMP"), topic + ".ndjson")
        with open(path, "wb") as f:
            subprocess.run(["kcat", "-C", "-e", "-q", "-b", self.brokers, "-t", topic, "-o", "beginning", "-X",
                            "isolation.level=read_committed"], stdout=f, check=True, timeout=60)
        return fields(self.python_example("duckdb_hours.py", path))

    def upsert(self, topic, db):
        self.python_example("upsert.py", self.brokers, topic, db)
        with sqlite3.connect(db) as c:
            rows = c.execute("SELECT * FROM metrics ORDER BY key, window_start").fetchall()
        c.close()
        return rows


def rank(latencies_us, q):
    return sorted(latencies_us)[math.ceil(q * len(latencies_us)) - 1]


class TrapsTest(Examples):
    """Two partitions with revisions out of order, republished ones, ones that were never committed, other hours."""

    def setUp(self):
        super().setUp()
        self.stack = Stack()
        self.brokers, self.topic = self.stack.brokers, self.stack.prefix + TOPIC
        self.stack.topic_tool("create", TOPIC, 2)
        self.addCleanup(lambda: self.stack.topic_tool("delete", TOPIC))
        self.random = random.Random(4)
        self.expected = {}

    def record(self, seq, tenant, model, n, answers, holds=True, slow=1):
        """A revision of minute n; its latencies lie in their model's range times `slow`."""
        latencies = [int(self.random.uniform(1, 9) * slow * (100000 if model == "big" else 1000))
                     for _ in range(answers)]
        row = {"tenant_id": tenant, "route": "/chat", "model": model, "window_start": minute(n),
               "window_end": minute(n + 1), "requests": answers + 1, "responses": answers, "errors": seq % 3,
               "p95_latency_ms": rank(latencies, 0.95) / 1000 if latencies else 0, "prompt_tokens": 10 * answers,
               "completion_tokens": answers, "estimated_cost_usd_decimal": "0.000000000001", "publish_seq": seq}
        key = f"{tenant}|/chat|{model}"
        if holds:
            self.expected[key, minute(n)] = (row, latencies)
        return {"partition": 0 if model == "big" else 1, "key": key, "value": row, "latencies_us": latencies,
                "time_ms": int((HOUR + datetime.timedelta(minutes=n + 1)).timestamp() * 1000)}

    def feed(self, *transactions):
        lines = "".join(json.dumps({"end": end, "records": records}) + "\n" for end, records in transactions)
        r = subprocess.run([self.python, os.path.join(ROOT, "tests", "examples", "feed.py"), self.brokers, self.topic],
                           input=lines, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(r.returncode, 0, r.stderr)

    def feed_traps(self):
        r = self.record
        self.feed(
            ("commit", [r(1, "a", "big", 0, 200), r(2, "a", "small", 0, 100), r(3, "a", "big", 59, 50, holds=False),
                        r(4, "a", "big", -1, 500, slow=50), r(5, "a", "big", 60, 500, slow=50)]),
            # Never published: a reader of uncommitted records believes it.
            ("abort", [r(90, "a", "big", 0, 900, holds=False, slow=90),
                       r(91, "a", "small", 7, 900, holds=False, slow=90)]),
            # A later revision, another tenant's rows of the same minute, nothing answered.
            ("commit", [r(6, "a", "big", 59, 70), r(7, "b", "big", 59, 80), r(8, "b", "small", 3, 0)]),
            ("commit", [r(9, "a", "small", 30, 40, holds=False), r(10, "a", "small", 30, 40)]),
            # Lower sequences behind higher ones, as after a reader's mistake: the greatest holds all the same.
            ("commit", [r(5, "a", "small", 30, 999, holds=False, slow=90)]))

    def expect_p99(self, printed):
        answers, latencies = collections.Counter(), collections.defaultdict(list)
        for (_, window), (row, values) in self.expected.items():
            if minute(0) <= window < minute(60):
                answers[row["model"]] += row["responses"]
                latencies[row["model"]] += values
        self.assertEqual([(m, int(n)) for m, n, _ in printed], sorted(answers.items()))
        for model, _, p99_ms in printed:
            want = rank(latencies[model], 0.99) / 1000
            # The highest value of its bucket; libraries round the rank up or to the nearest.
            self.assertLess(abs(float(p99_ms) - want) / want, 0.02, (model, p99_ms, want))

    def test_each_finds_what_holds(self):
        self.feed_traps()
        rows = sorted(self.expected.items())
        with self.subTest("kcat and jq"):
            self.assertEqual([(f"{t}|{r}|{m}", w, int(n), int(e), float(p)) for t, r, m, w, n, e, p in
                              self.latest(self.topic)],
                             [(k, w, row["requests"], row["errors"], row["p95_latency_ms"])
                              for (k, w), (row, _) in rows])
        with self.subTest("Python"):
            self.expect_p99(self.hour_p99(self.topic, HOUR_TEXT))
        with self.subTest("Java"):
            self.expect_p99(self.hour_p99_java(self.topic, HOUR_TEXT))
        with self.subTest("DuckDB"):
            sums = collections.defaultdict(lambda: [0, 0, 0, 0, decimal.Decimal(0)])
            for (_, window), (row, _) in rows:
                total = sums[row["model"], window[:13] + ":00:00Z"]
                for i, name in enumerate(("requests", "errors", "prompt_tokens", "completion_tokens")):
                    total[i] += row[name]
                total[4] += decimal.Decimal(row["estimated_cost_usd_decimal"])
            self.assertEqual([(m, h, *map(int, x[:4]), decimal.Decimal(x[4])) for m, h, *x in
                              self.duckdb_hours(self.topic)],
                             [(*k, *v) for k, v in sorted(sums.items())])

    def test_upserts_go_on_where_they_stopped(self):
        db = os.path.join(needed("SL_TMP"), self.topic + "db")
        self.feed(("commit", [self.record(1, "a", "big", 0, 5, holds=False), self.record(2, "a", "small", 0, 5)]))
        self.assertEqual(len(self.upsert(self.topic, db)), 2)
        self.feed_traps()

        def want():
            return [(k, w, row["publish_seq"], row["requests"], row["errors"], row["p95_latency_ms"])
                    for (k, w), (row, _) in sorted(self.expected.items())]
        self.feed(("commit", [self.record(11, "a", "big", 0, 6), self.record(12, "a", "small", 0, 6)]))
        self.assertEqual(self.upsert(self.topic, db), want())
        # From the beginning again, as after a crash between rows and position: nothing changes.
        with sqlite3.connect(db) as c:
            c.execute("DELETE FROM position")
        c.close()
        self.assertEqual(self.upsert(self.topic, db), want())


class PipelineTest(Examples):
    """The numbers of what the services publish are the database's."""

    def events(self, hour_s):
        # A multiple of 100 answers a model: libraries agree on the rank of p99 then.
        rng = random.Random(19)
        for kind in ("request", "response"):
            for model in ("claude-sonnet-4", "gpt-4o"):
                for i in range(300):
                    yield {"type": kind, "request_id": f"{model}-{i}", "tenant_id": f"t{i % 2}", "route": "/chat",
                           "model": model, "timestamp": iso(hour_s + 60 * (7 * (i % 8)) + i % 60),
                           "latency_ms": rng.randrange(10, 60000), "prompt_tokens": 100 + i, "completion_tokens": i,
                           "error": "overloaded" if i % 50 == 0 else None}

    def expect(self, s, topic, hour):
        rows = s.rows()
        self.assertEqual(sorted((t, r, m, w, int(n), int(e), float(p)) for t, r, m, w, n, e, p in self.latest(topic)),
                         sorted((x["tenant_id"], x["route"], x["model"], x["window_start"][:19] + "Z", x["requests"],
                                 x["errors"], x["p95_latency_ms"]) for x in rows))
        self.assertEqual(self.upsert(topic, os.path.join(s.tmp, topic + ".db")),
                         sorted((f"{x['tenant_id']}|{x['route']}|{x['model']}", x["window_start"][:19] + "Z",
                                 x["publish_seq"], x["requests"], x["errors"], x["p95_latency_ms"]) for x in rows))
        sums = s.sql("SELECT model, sum(requests), sum(errors), sum(prompt_tokens), sum(completion_tokens),"
                     " sum(estimated_cost_usd_decimal) FROM llm_metrics GROUP BY 1 ORDER BY 1")
        self.assertEqual([(m, *map(decimal.Decimal, x)) for m, _, *x in self.duckdb_hours(topic)],
                         [(m, *map(decimal.Decimal, x)) for m, *x in (line.split("|") for line in sums.split("\n"))])
        python, java = self.hour_p99(topic, hour), self.hour_p99_java(topic, hour)
        self.assertEqual(python, java)
        return python

    def in_step(self, s):
        """All is counted and settled, and the topic's last records are these rows."""
        last = {}
        for r in sorted((json.loads(r["payload"]) for r in s.consume(TOPIC)), key=lambda r: r["publish_seq"]):
            last[r["tenant_id"], r["model"], r["window_start"]] = (r["publish_seq"], r["revision"])
        rows = s.rows()
        return sum(x["responses"] for x in rows) == 600 and all(x["settled"] for x in rows) and last == {
            (x["tenant_id"], x["model"], x["window_start"][:19] + "Z"): (x["publish_seq"], x["revision"])
            for x in rows}

    def test_the_pipeline(self):
        with Stack() as s:
            self.brokers, topic = s.brokers, s.prefix + TOPIC
            s.start_all()
            hour_s = (int(datetime.datetime.now().timestamp()) - 7200) // 3600 * 3600
            events = list(self.events(hour_s))
            s.post_batch(events)

            wait_for(lambda: self.in_step(s), "all rows published", 60)
            before = max(x["publish_seq"] for x in s.rows())
            again = f"window_start < '{iso(hour_s + 1800)}'"
            r = s.admin("republish", "--from=" + iso(hour_s), "--to=" + iso(hour_s + 1800))
            self.assertEqual(r.stdout, f"{len(s.rows(again))} rows of 5 windows will be sent again\n", r.stderr)
            wait_for(lambda: self.in_step(s) and all(x["publish_seq"] > before for x in s.rows(again)),
                     "they come again", 60)
            p99 = self.expect(s, topic, iso(hour_s)[:19] + "Z")
            latencies = collections.defaultdict(list)
            for e in events:
                if e["type"] == "response":
                    latencies[e["model"]].append(e["latency_ms"])
            self.assertEqual([(m, int(n)) for m, n, _ in p99], [(m, 300) for m in sorted(latencies)])
            for model, _, p99_ms in p99:
                want = rank(latencies[model], 0.99)
                self.assertTrue(want <= float(p99_ms) <= want * 1.01, (model, p99_ms, want))


if __name__ == "__main__":
    unittest.main()
