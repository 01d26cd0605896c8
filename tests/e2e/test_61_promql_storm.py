# SPDX-License-Identifier: Apache-2.0
"""While rows change in every way that they do, each answer of /api/v1 is of one state of them; and when they have
stopped, of the last one, exactly."""
import collections
import json
import os
import random
import sys
import threading
import time
import unittest

import fact_rows
from psql_session import Session
from stack import ROOT, Stack, wait_for

sys.path.insert(0, os.path.join(ROOT, "tests", "prometheus"))
from compare import Question, ask  # noqa: E402
from expected_samples import DAY, MINUTE, cut, expected, read_rows, served  # noqa: E402
from real_prometheus import Client  # noqa: E402

SEED = int(os.environ.get("SL_SEED", "0")) or time.time_ns() % 1000000
ROUNDS, ROUND_SECONDS, CLIENTS = 4, float(os.environ.get("SL_SECONDS", "10")) / 4, 8
# Two days ago at 23:00 UTC to the day after at 02:00; of the last 40 minutes windows close one after the other.
MIDNIGHT = int(time.time()) // 86400 * 86400 - 86400
BEGIN, CLOSED, END = MIDNIGHT - 3600, MIDNIGHT + 80 * 60, MIDNIGHT + 7200
MODELS, A_WINDOW = 4, 7
SERIES = {"steady": range(1, 13), "flow": range(13, 25), "doomed": range(25, 33), "fence": range(33, 34)}
BUCKET = "gen_ai_client_operation_duration_seconds_bucket"
LISTENER = "streamlens-metrics-api listener"

# add: so many requests more in a window, at a cost of a dollar each, in its minute and in its hour.
FUNCTIONS = """
CREATE TABLE one_minute AS SELECT * FROM llm_minute LIMIT 1;
CREATE TABLE one_hour AS SELECT * FROM llm_hour LIMIT 1;
CREATE FUNCTION add(id bigint, at bigint, n bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO llm_minute SELECT (jsonb_populate_record(o, jsonb_build_object('series_id', id,
        'window_start', to_timestamp(at), 'requests', n, 'cost_pusd', n * 1000000000000))).* FROM one_minute o
    ON CONFLICT (series_id, window_start) DO UPDATE SET requests = llm_minute.requests + n,
        cost_pusd = llm_minute.cost_pusd + n * 1000000000000, revision = llm_minute.revision + 1;
    INSERT INTO llm_hour SELECT (jsonb_populate_record(o, jsonb_build_object('series_id', id,
        'window_start', date_trunc('hour', to_timestamp(at)), 'requests', n, 'cost_pusd', n * 1000000000000))).*
        FROM one_hour o
    ON CONFLICT (series_id, window_start) DO UPDATE SET requests = llm_hour.requests + n,
        cost_pusd = llm_hour.cost_pusd + n * 1000000000000, revision = llm_hour.revision + 1;
$$"""


def windows(first, end):
    return f"SELECT to_timestamp(t) FROM generate_series({first}, {end - 1}, 60) t"


class World:
    """What is changed, as flushes, corrections and the publisher do; one change is one transaction."""

    def __init__(self, stack, rng):
        self.stack, self.rng = stack, rng
        self.closed, self.next_series, self.fences, self.changes = CLOSED, 100, 0, collections.Counter()
        days = [f"to_timestamp({MIDNIGHT + d * 86400})" for d in (-1, 0, 1)]
        fact_rows.partitions(stack, days)
        self.histograms = [fact_rows.histogram(*(f"{rng.randint(1000, 9000000)}*{rng.randint(1, 9)}" for _ in range(8)))
                           for _ in range(4)]
        for tenant, ids in SERIES.items():
            stack.sql("INSERT INTO llm_series (series_id, tenant_id, route, model) OVERRIDING SYSTEM VALUE"
                      f" SELECT i, '{tenant}', 'r' || i, 'm' || i % {MODELS}"
                      f" FROM generate_series({ids.start}, {ids.stop - 1}) i")
        columns = {"requests": "100", "cost_pusd": "100000000000000", "latency_hdr": self.histograms[0],
                   "latency_count": "40", "responses": "90", "errors": "2",
                   "error_classes": """'{"e": 1, "f": 1}'""", "finish_reasons": """'{"stop": 88}'"""}
        for ids in (SERIES["steady"], SERIES["doomed"], SERIES["fence"]):
            of = f"SELECT generate_series({ids.start}, {ids.stop - 1})"
            fact_rows.rows(stack, "llm_minute", of, windows(BEGIN, CLOSED), **columns)
            for hour, n in ((BEGIN, 60), (MIDNIGHT, 60), (MIDNIGHT + 3600, 20)):
                fact_rows.rows(stack, "llm_hour", of, f"SELECT to_timestamp({hour})", requests=str(100 * n),
                               cost_pusd=f"{100 * n}::bigint * 1000000000000")
        fact_rows.rows(stack, "llm_minute", "SELECT 1", f"SELECT to_timestamp({MIDNIGHT + 86400})")
        stack.sql(FUNCTIONS.replace("llm_minute LIMIT 1",
                                    f"llm_minute WHERE window_start = to_timestamp({MIDNIGHT + 86400})"))
        stack.sql("UPDATE one_hour SET latency_hdr = NULL; DELETE FROM llm_minute WHERE window_start ="
                  f" to_timestamp({MIDNIGHT + 86400})")
        stack.sql(f"UPDATE streamlens_publisher SET closed_through = to_timestamp({CLOSED});"
                  f" UPDATE streamlens_retention SET minutes_from = to_timestamp({BEGIN}),"
                  f" hours_from = to_timestamp({BEGIN})")

    def transact(self, sql, statements, starts, what):
        """With what a flush tells."""
        told = " ".join(f"{s // 60}-{s // 60}" for s in sorted(set(starts)))
        sql(f"BEGIN; {'; '.join(statements)}; NOTIFY streamlens_flush, '{told}'; COMMIT")
        self.changes[what] += 1

    def add(self, series, at, n):
        return f"DO $d$ BEGIN PERFORM add({series}, {at}, {n}); END $d$"

    def new_series(self, tenant):
        self.next_series += 1
        return self.next_series, ("INSERT INTO llm_series (series_id, tenant_id, route, model) OVERRIDING SYSTEM VALUE"
                                  f" VALUES ({self.next_series}, '{tenant}', 'n{self.next_series}',"
                                  f" 'm{self.rng.randrange(MODELS)}')")

    def window(self, end):
        """Rather one of the last minutes, as late events are."""
        far = self.rng.random() < 0.3
        return self.rng.randrange(BEGIN if far else end - 1200, end, 60)

    def move(self, sql):
        """From one series to another, which may be a new one, and maybe between windows: the sum stays."""
        a, b = self.rng.sample(SERIES["steady"], 2)
        at, to, n = self.window(CLOSED), self.window(CLOSED), self.rng.randint(1, 3)
        if self.rng.random() < 0.6:
            to = at
        made = []
        if self.rng.random() < 0.2 and self.next_series < 160:
            b, statement = self.new_series("steady")
            made = [statement]
        self.transact(sql, [*made, self.add(a, at, -n), self.add(b, to, n)], [at, to], "moves")

    def correct(self, sql):
        series, at = self.rng.choice(SERIES["steady"]), max(self.window(CLOSED), MIDNIGHT)
        classes = {self.rng.choice("efgh"): 1, "e": 1}
        self.transact(sql, [f"UPDATE llm_minute SET latency_hdr = {self.rng.choice(self.histograms)}, error_classes ="
                            f" '{json.dumps(classes)}', revision = revision + 1 WHERE series_id = {series} AND"
                            f" window_start = to_timestamp({at})"], [at], "corrections")

    def flow(self, sql):
        """A window's rows come in one or two flushes, and then it closes: A_WINDOW requests each."""
        if self.closed == END:
            return
        at = self.closed
        parts = [self.rng.choice(SERIES["flow"]) for _ in range(A_WINDOW)]
        made = []
        if self.rng.random() < 0.5:
            parts[-1], statement = self.new_series("flow")
            made = [statement]
        half = self.rng.randrange(A_WINDOW)
        for some, first in ((parts[:half], []), (parts[half:], made)):
            if some:
                self.transact(sql, [*first, *(self.add(s, at, 1) for s in some)], [at], "flushes")
        sql(f"BEGIN; UPDATE streamlens_publisher SET closed_through = to_timestamp({at + 60});"
            " NOTIFY streamlens_flush, ''; COMMIT")
        self.closed = at + 60
        self.changes["closed"] += 1

    def end_backends(self, sql):
        which = self.rng.choice(["=", "<>"])
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            f" AND application_name LIKE 'streamlens-metrics-api%' AND application_name {which} '{LISTENER}'"
            " ORDER BY random() LIMIT 2")
        self.changes["listeners ended" if which == "=" else "backends ended"] += 1

    def drop_doomed(self, _):
        r = self.stack.admin("tenant", "delete", "doomed", "--yes")
        assert r.returncode == 0, r.stderr
        self.changes["tenants deleted"] += 1

    def drop_day(self, sql):
        sql(f"BEGIN; UPDATE streamlens_retention SET minutes_from = to_timestamp({MIDNIGHT});"
            " NOTIFY streamlens_flush, '*'; COMMIT")
        self.changes["days dropped"] += 1

    def run(self, number, seconds):
        until = time.monotonic() + seconds
        once = {1: self.drop_doomed, 2: self.drop_day}.get(number)
        with Session(self.stack.dsn) as sql:
            closing = END if number == ROUNDS - 1 else CLOSED + (number + 1) * 600
            while time.monotonic() < until or (number == ROUNDS - 1 and self.closed < closing):
                what = [self.move] * 6 + [self.correct] * 2 + [self.flow] * 2 * (self.closed < closing)
                if number > 0 and self.rng.random() < 0.02:
                    what = [self.end_backends]
                if once and time.monotonic() > until - seconds / 2:
                    what, once = [once], None
                self.rng.choice(what)(sql)
                if self.rng.random() < 0.2:  # a pause, as there is between flushes
                    time.sleep(self.rng.random() / 5)

    def fence(self, sql):
        """What notifications were sent before are heard when this shows."""
        self.fences += 1
        self.transact(sql, [self.add(SERIES["fence"].start, MIDNIGHT, 1)], [MIDNIGHT], "fences")


def sum_of(what, tenant):
    return f'sum(sum_over_time({what}{{tenant_id="{tenant}"}}[3h]))'


STEADY = len(SERIES["steady"]) * (CLOSED - BEGIN) // 60 * 100
FLOW = sum_of("llm_minute_requests", "flow")
COUNTED = 'sum(max_over_time(llm_requests_total{tenant_id="flow"}[2h]))'
# The text, and what must hold of its value, and of that of the answer before.
QUESTIONS = {
    sum_of("llm_minute_requests", "steady"): lambda v, last: v == STEADY,
    f'{sum_of("llm_minute_requests", "steady")} - {sum_of("llm_minute_estimated_cost_usd", "steady")}':
        lambda v, last: abs(v) < 1e-6,
    FLOW: lambda v, last: v % A_WINDOW == 0 and v >= last,
    COUNTED: lambda v, last: v % A_WINDOW == 0 and v >= last,
    f"{COUNTED} - {FLOW}": lambda v, last: v == 0,
}
OTHERS = [f'histogram_quantile(0.9, sum by (le, model) (rate({BUCKET}{{tenant_id="steady"}}[30m])))',
          f'sum by (le) (rate({BUCKET}[20m]))', 'sum by (error_type) (rate(llm_errors_total[10m]))',
          'llm_minute_responses', 'sum by (tenant_id) (increase(gen_ai_usage_cost_USD_sum[30m]))']


class Watcher(threading.Thread):
    """Asks, and looks whether answers may be."""

    def __init__(self, port, seed, stop):
        super().__init__()
        self.port, self.rng, self.stop = port, random.Random(seed), stop
        self.last, self.wrong, self.statuses = collections.Counter(), [], collections.Counter()
        self.judged, self.torn = 0, []

    def run(self):
        try:
            client = Client(self.port)
            while not self.stop.is_set():
                self.ask(client)
            client.close()
        except Exception as e:  # pylint: disable=broad-except
            self.wrong.append(repr(e))

    def ask(self, client):
        text = self.rng.choice([*QUESTIONS, *OTHERS])
        holds = QUESTIONS.get(text)
        question = Question(text, END, END, None)
        if holds is None or self.rng.random() < 0.3:
            question = Question(text, END - 1800 if holds is None else END, END, 60)
        answer = ask(client, question)
        self.statuses[answer.status] += 1
        if answer.status != 200 and answer.status != 503:
            self.wrong.append(f"{text}: {answer.status} {answer.text}")
        if answer.status != 200 or holds is None or not answer.points:
            return
        value = answer.points[()][END * 1000]
        self.judged += 1
        if not holds(value, self.last[text]):
            self.torn.append(f"{text}: {value}, before {self.last[text]}")
        else:
            self.last[text] = value


class Storm(unittest.TestCase):
    def test_each_answer_is_of_one_state_of_the_rows(self):
        print(f"SL_SEED={SEED}")
        rng = random.Random(SEED)
        with Stack() as stack, Session(stack.dsn) as sql:
            world = World(stack, rng)
            api = stack.start("metrics-api", env={"PG_POOL_SIZE": "4", "CACHE_MAX_AGE_MS": "60000"})
            statuses, self.judged, self.torn = collections.Counter(), 0, []
            for number in range(ROUNDS):
                statuses += self.one_round(world, api, number)
                self.settle(world, api, sql)
            hits = api.metric('streamlens_metrics_facts_cache_total{result="hit"}')
            print(dict(world.changes), "answers", dict(statuses), "blocks from memory", hits,
                  "torn", len(self.torn), "of", self.judged)
            self.assertGreater(statuses[200], 100)
            self.assertGreater(hits, 1000)
            self.assertEqual(api.terminate(), 0)
            self.assertNotIn("ERROR: ", api.log())  # of sanitizers

    def one_round(self, world, api, number):
        stop = threading.Event()
        watchers = [Watcher(api.port, world.rng.random(), stop) for _ in range(CLIENTS)]
        for w in watchers:
            w.start()
        try:
            world.run(number, ROUND_SECONDS)
        finally:
            stop.set()
            for w in watchers:
                w.join(60)
        self.assertEqual([x for w in watchers for x in w.wrong][:5], [])
        self.judged += sum(w.judged for w in watchers)
        self.torn += [x for w in watchers for x in w.torn]
        # While the listener's connection was ended nothing is heard, and nothing of more than a statement is promised
        # (metrics-api/prometheus/README.md): then alone an answer may be of two states, which hardly one is.
        self.assertLessEqual(len(self.torn), 2 * world.changes["listeners ended"], self.torn[:5])
        return sum((w.statuses for w in watchers), collections.Counter())

    def settle(self, world, api, sql):
        world.fence(sql)
        client = Client(api.port)
        self.addCleanup(client.close)
        fence = Question('sum(sum_over_time(llm_minute_requests{tenant_id="fence"}[3h]))', END, END, None)
        want = (CLOSED - BEGIN) // 60 * 100 + world.fences
        wait_for(lambda: ask(client, fence).points.get((), {}).get(END * 1000) == want, "the last change", 10)
        through, minutes_from = (int(n) * 1000 for n in sql(
            "SELECT extract(epoch FROM closed_through)::bigint || ' ' || extract(epoch FROM minutes_from)::bigint"
            " FROM streamlens_publisher, streamlens_retention")[0].split())
        rows = served(read_rows(sql), read_rows(sql, "llm_hour"), minutes_from)
        start, end = max(minutes_from, BEGIN * 1000) + 6 * MINUTE, END * 1000
        found = 0
        for name, series in cut(expected(rows, through, start + 1), start).items():
            series = [(labels, [p for p in points if p[0] <= end]) for labels, points in series]
            wanted = {tuple(sorted({"__name__": name, **labels}.items())): dict(points)
                      for labels, points in series if points}
            answer = ask(client, Question(f"{name}[{(end - start) // 1000}s]", END, END, None))
            self.assertEqual(answer.status, 200, answer.text)
            self.assertEqual(answer.points, wanted, name)
            found += sum(map(len, wanted.values()))
        self.assertGreater(found, 10000)
        self.percentiles(client, sql)

    def percentiles(self, client, sql):
        asked = Question(f'histogram_quantile(0.9, sum by (le, model) (rate({BUCKET}{{tenant_id="steady"}}[1h])))',
                         END - 2400, END - 2400, None)
        found = {dict(labels)["model"]: v for labels, p in ask(client, asked).points.items() for v in p.values()}
        lines = sql("SELECT model || ' ' || hdr_quantile(hdr_merge(latency_hdr), 0.9) FROM llm_minute JOIN llm_series"
                    f" USING (series_id) WHERE tenant_id = 'steady' AND window_start >= to_timestamp({END - 6000})"
                    f" AND window_start < to_timestamp({END - 2400}) AND latency_hdr IS NOT NULL GROUP BY model")
        self.assertEqual(found, {m: int(us) / 1e6 for m, us in (line.split() for line in lines)})
        self.assertEqual(len(found), MODELS)


if __name__ == "__main__":
    unittest.main()
