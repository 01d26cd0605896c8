# SPDX-License-Identifier: Apache-2.0
"""The dashboards of deploy/grafana over real traffic: each query of each panel, as Grafana sends it, has a number to
show, and what the panels call exact is what was sent. metrics-api, a real Prometheus that scrapes the three
services, and the database as the login of deploy/grafana/login.sql."""
import collections
import json
import math
import os
import random
import re
import signal
import subprocess
import time
import unittest
import urllib.parse

from grafana_dashboards import ALL, ROOT, Asked, dashboards, label_values, panels, source_uid
from stack import Stack, http_call, iso, needed, wait_for

MINUTE = 60
MINUTES = 40  # of traffic
TENANTS, ROUTES = ("acme", "globex"), ("/chat", "/batch.v1")
MODELS = ("gpt-4o", "claude-sonnet-4-5", "own-llm")  # the last has no price
CHOICES = {"overview": [{}, {"tenant_id": ["acme"], "route": ["/batch.v1"], "model": ["gpt-4o", "claude-sonnet-4-5"]}],
           "cost": [{}, {"tenant_id": ["globex", "acme"], "route": ALL, "model": ["own-llm", "gpt-4o"]}],
           "model": [{"model": "gpt-4o"}, {"model": "own-llm", "route": ["/chat"]}],
           "tenant": [{"tenant_id": "acme"}, {"tenant_id": "globex", "model": ["own-llm"]}]}
# Nothing of a model without a price has a price: no mean is to be shown.
EMPTY_WITHOUT_PRICE = {"Cost per answer"}


def numbers(result):
    """All finite values of an answer of Prometheus' API."""
    samples = [s for series in result for s in series.get("values", [series["value"]] if "value" in series else [])]
    return [v for v in (float(text) for _, text in samples) if math.isfinite(v)]


class Source:
    """Prometheus' API on a port, asked as Grafana's data source asks."""

    def __init__(self, port, custom=""):
        self.port, self.custom = port, custom  # customQueryParameters: behind the path, also of a POST

    def call(self, method, path, parameters):
        form = urllib.parse.urlencode(parameters)
        body, headers = None, {"Authorization": "Bearer "}  # as it is where there is no key
        if method == "POST":
            body, headers["Content-Type"] = form, "application/x-www-form-urlencoded"
            path += "?" + self.custom if self.custom else ""
        else:
            path += "?" + form
        status, answer = http_call(self.port, method, path, body, headers)
        assert status == 200, (path, parameters, status, answer[:500])
        return json.loads(answer)["data"]

    def query(self, expr, start, end, step):
        if step is None:
            return self.call("POST", "/api/v1/query", {"query": expr, "time": end})["result"]
        asked = {"query": expr, "start": start, "end": end, "step": step}
        return self.call("POST", "/api/v1/query_range", asked)["result"]

    def variable(self, asked, variable):
        selector, label = label_values(variable)
        return self.call("GET", f"/api/v1/label/{label}/values", {
            "match[]": asked.put_in(selector), "start": asked.start, "end": asked.end})


class GrafanaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        s = cls.stack = Stack(partitions=2, env={"JOIN_TTL_MS": "3000", "JOIN_SKEW_MS": "1000",
                                                 "WINDOW_GRACE_MS": "1000"})
        s.__enter__()  # pylint: disable=unnecessary-dunder-call
        cls.login = f"{s.id}_grafana"
        cls.addClassCleanup(s.sql, f"DROP ROLE IF EXISTS {cls.login}", dsn=s.admin_dsn)
        cls.addClassCleanup(s.__exit__)
        s.start_all()
        cls.traffic()
        cls.boards = dashboards()

    # ---- traffic ----

    @classmethod
    def traffic(cls):
        """All that the panels show, and what it must add up to: of each (tenant, route, model) sums, and latencies."""
        rng, events = random.Random(60), []
        cls.sent, cls.latencies = collections.defaultdict(collections.Counter), collections.defaultdict(list)
        cls.first = (time.time() // MINUTE - MINUTES - 3) * MINUTE
        for n in range(MINUTES * len(TENANTS) * len(ROUTES) * len(MODELS)):
            minute, rest = divmod(n, len(TENANTS) * len(ROUTES) * len(MODELS))
            key = TENANTS[rest % 2], ROUTES[rest // 2 % 2], MODELS[rest // 4]
            cls.events_of(rng, events, f"g{n}", key, cls.first + minute * MINUTE + rng.random() * 50)
        for at in range(0, len(events), 500):
            cls.stack.post_batch(events[at:at + 500])
        want = collections.Counter()
        for sums in cls.sent.values():
            want.update(sums)
        cls.stack.wait_totals(60, **{k: want[k] for k in ("requests", "responses", "errors", "unanswered")})
        wait_for(lambda: cls.stack.sql(f"SELECT closed_through >= to_timestamp({cls.first + MINUTES * MINUTE})"
                                       " FROM streamlens_publisher") == "t", "all of it closed", 60)

    @classmethod
    def events_of(cls, rng, events, name, key, at):
        tenant, route, model = key
        sums = cls.sent[key]
        prompt = rng.randrange(100, 3000)
        events.append({"type": "request", "request_id": name, "tenant_id": tenant, "route": route, "model": model,
                       "timestamp": iso(at), "prompt_tokens": prompt})
        sums["requests"] += 1
        if rng.random() < 0.05:
            sums["unanswered"] += 1
            return
        latency = round(900 * math.exp(rng.gauss(0, 0.5)), 3)
        answer = {"type": "response", "request_id": name, "timestamp": iso(at + latency / 1000), "latency_ms": latency,
                  "time_to_first_token_ms": round(latency * rng.uniform(0.1, 0.4), 3), "finish_reason": "stop",
                  "cached_prompt_tokens": prompt // 4, "cache_write_tokens": prompt // 8,
                  "completion_tokens": rng.randrange(50, 500), "reasoning_tokens": 20, "cost_usd": 0.01}
        if rng.random() < 0.1:
            answer |= {"error": rng.choice(("timeout", "rate_limited")), "finish_reason": "error"}
            sums["errors"] += 1
        events.append(answer)
        sums.update(responses=1, tokens=prompt + answer["completion_tokens"])
        cls.latencies[key].append(latency / 1000)

    def of(self, values):
        """Keys of what was sent that the values of variables choose."""
        def chosen(value, one):
            return value == ALL or one == value or isinstance(value, list) and one in value
        names = ("tenant_id", "route", "model")
        return [k for k in self.sent if all(chosen(values[n], one) for n, one in zip(names, k))]

    # ---- what metrics-api counts ----

    def asked_of(self, name, i):
        values = {"tenant_id": ALL, "route": ALL, "model": ALL, **CHOICES[name][i]}
        # Up to soon after the traffic: what other tests send later is no part of it.
        return Asked(self.first - 5 * MINUTE, self.first + (MINUTES + 1) * MINUTE + 7.5, values)

    def shown(self, source, asked, panel):
        """Of each target of the panel what it is answered."""
        return [source.query(*asked.promql(panel, t)) for t in panel["targets"]]

    def usage(self):
        """(name of the dashboard, it, what is asked)"""
        for name in CHOICES:
            self.assertEqual(source_uid(self.boards[name]), "llm-metrics")
            for i in range(len(CHOICES[name])):
                yield name, self.boards[name], self.asked_of(name, i)

    def may_be_zero(self, asked, expr):
        """Of what nobody has sent; the cost of what has no price, and the unpriced of what has one."""
        models = {key[2] for key in self.of(asked.values)}
        return bool(re.search("in_flight|guessed", expr) or "unpriced" in expr and "own-llm" not in models
                    or "cost_usd" in expr and models == {"own-llm"})

    def test_every_panel_of_usage_shows_something(self):
        source, empty = Source(self.stack.services["metrics-api"].port), []
        for name, board, asked in self.usage():
            for panel in panels(board):
                if panel["title"] in EMPTY_WITHOUT_PRICE and asked.values["model"] in ("own-llm", ["own-llm"]):
                    continue
                for target, result in zip(panel["targets"], self.shown(source, asked, panel)):
                    found = numbers(result)
                    if not found or not any(found) and not self.may_be_zero(asked, target["expr"]):
                        empty.append((name, panel["title"], target["refId"], asked.promql(panel, target)))
        self.assertEqual(empty, [])

    def test_totals_are_what_was_sent(self):
        source = Source(self.stack.services["metrics-api"].port)
        for name, board, asked in self.usage():
            with self.subTest(name, **asked.values):
                stats = {p["title"]: self.shown(source, asked, p)[0] for p in panels(board) if p["type"] == "stat"}
                sums = collections.Counter()
                for key in self.of(asked.values):
                    sums.update(self.sent[key])
                wanted = {"Requests": sums["requests"], "Tokens": sums["tokens"], "In flight": 0,
                          "Errors": sums["errors"] / sums["responses"]}
                for title in wanted.keys() & stats.keys():
                    self.assertEqual(numbers(stats[title]), [wanted[title]], title)
                self.check_cost(stats, asked)
                if "p95 latency" in stats:
                    exact = sorted(v for key in self.of(asked.values) for v in self.latencies[key])
                    exact = exact[math.ceil(0.95 * len(exact)) - 1]
                    found, = numbers(stats["p95 latency"])
                    self.assertLess(abs(found - exact), 0.01 * exact)

    def check_cost(self, stats, asked):
        keys = ", ".join(f"('{t}', '{r}', '{m}')" for t, r, m in self.of(asked.values))
        cost = float(self.stack.sql("SELECT sum(estimated_cost_usd_decimal) FROM llm_metrics"
                                    f" WHERE (tenant_id, route, model) IN ({keys})"))
        found, = numbers(stats["Cost"])
        self.assertAlmostEqual(found, cost, delta=1e-9 * cost)

    def test_bars_and_tables_add_up(self):
        source = Source(self.stack.services["metrics-api"].port)
        board, asked = self.boards["overview"], self.asked_of("overview", 0)
        by_title = {(p["type"], p["title"]): self.shown(source, asked, p) for p in panels(board)}
        cost, = numbers(by_title["stat", "Cost"][0])
        self.assertAlmostEqual(sum(numbers(by_title["timeseries", "Cost by model"][0])), cost, delta=1e-9)
        table = by_title["table", "Models"]
        for target, label in ((0, "requests"), (4, "tokens")):
            found = {r["metric"]["model"]: float(r["value"][1]) for r in table[target]}
            wanted = collections.Counter()
            for key, sums in self.sent.items():
                wanted[key[2]] += sums[label]
            self.assertEqual(found, wanted, label)

    def test_variables_have_values(self):
        source = Source(self.stack.services["metrics-api"].port)
        wanted = {"tenant_id": TENANTS, "route": ROUTES, "model": MODELS}
        for name in CHOICES:
            asked = self.asked_of(name, 0)
            for v in self.boards[name]["templating"]["list"][1:]:
                self.assertEqual(source.variable(asked, v), sorted(wanted[v["name"]]), f"{name}: {v['name']}")

    def test_the_minute_under_way(self):
        """Is there for a source that asks for it, in a range that ends at now+1m."""
        expr = 'sum(sum_over_time(llm_minute_requests{tenant_id="acme"}[2m]))'
        source = Source(self.stack.services["metrics-api"].port, "open_windows=true")
        self.stack.request("open", tenant_id="acme", model="own-llm")
        wait_for(lambda: numbers(source.query(expr, None, time.time() + MINUTE, None)) == [1], "the minute under way")

    # ---- the services themselves ----

    def prometheus(self):
        """Scrapes the three services as deploy/prometheus says, but each second."""
        folder = os.path.join(self.stack.tmp, self.stack.id + "-prometheus")
        os.mkdir(folder)
        here = os.path.join(ROOT, "deploy", "prometheus")
        for file in ("prometheus.yml", "alerts.yml"):
            with open(os.path.join(here, file), encoding="utf-8") as f:
                text = f.read().replace("_interval: 15s", "_interval: 1s")
            for port, service in (("8080", "ingest-api"), ("8081", "metrics-api"), ("8082", "processor")):
                text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self.stack.services[service].port}")
            with open(os.path.join(folder, file), "w", encoding="utf-8") as f:
                f.write(text)
        port = int(needed("SL_PORT_BASE")) + 1
        with open(os.path.join(folder, "log"), "wb") as log:
            process = subprocess.Popen(["prometheus", f"--config.file={folder}/prometheus.yml",
                                        f"--storage.tsdb.path={folder}/data",
                                        f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)

        def stop():
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        self.addCleanup(stop)

        def is_ready():
            self.assertIsNone(process.poll(), folder)
            try:
                return http_call(port, "GET", "/-/ready")[0] == 200
            except OSError:
                return False
        wait_for(is_ready, "Prometheus ready", 60)
        return Source(port)

    def test_every_panel_of_the_pipeline_shows_something(self):
        board, s = self.boards["pipeline"], self.stack
        self.assertEqual(source_uid(board), "streamlens-self")
        source, asked_s = self.prometheus(), 300
        sent = [0]

        def empty():
            # Events of minutes that have none yet: each is a flush, a window that closes, a row that is published.
            sent[0] += 1
            at = time.time() - 7200 - sent[0] * MINUTE
            s.request(f"self{sent[0]}", at, tenant_id="self")
            s.response(f"self{sent[0]}", at + 1)
            s.services["metrics-api"].get(f"/v1/metrics?tenant_id=self&limit={sent[0]}")
            asked = Asked(time.time() - asked_s, time.time(), {"instance": ALL}, "1s")
            return [(p["title"], t["refId"]) for p in panels(board)
                    for t, result in zip(p["targets"], self.shown(source, asked, p)) if not numbers(result)]
        last = []

        def all_show():
            last[:] = empty()
            return not last
        try:
            wait_for(all_show, "a number in every panel", 60, every=1)
        except AssertionError:
            self.fail(f"these show nothing: {last}")
        asked = Asked(time.time() - asked_s, time.time(), {})
        found = source.variable(asked, board["templating"]["list"][1])
        self.assertEqual(set(found), {f"127.0.0.1:{x.port}" for x in s.services.values()})
        self.check_state(source, board)

    def check_state(self, source, board):
        asked = Asked(time.time() - 300, time.time(), {"instance": ALL}, "1s")
        stats = {p["title"]: numbers(self.shown(source, asked, p)[0]) for p in panels(board) if p["type"] == "stat"}
        for title, wanted in (("Down", 0), ("Not ready", 0), ("Halted partitions", 0), ("Publishers", 1)):
            self.assertEqual(stats[title], [wanted], title)

    # ---- rows ----

    def test_every_panel_of_rows_shows_something(self):
        s, board = self.stack, self.boards["rows"]
        self.assertEqual(source_uid(board), "llm-sql")
        for _ in range(2):  # the second time it is there
            subprocess.run(["psql", "-X", "-q", "-v", f"login={self.login}", "-v", "password=it's long", "-d", s.dsn,
                            "-f", os.path.join(ROOT, "deploy", "grafana", "login.sql")], check=True, timeout=60)
        dsn = f"postgresql://{self.login}:it%27s%20long@{s.dsn.split('@', 1)[1]}"
        variable, = board["templating"]["list"][1:]
        tenants = s.sql(variable["query"], dsn=dsn).splitlines()
        self.assertLessEqual(set(TENANTS), set(tenants))
        asked = Asked(self.first - 3600, time.time(), {"tenant_id": tenants})
        for panel in panels(board):
            for target in panel["targets"]:
                found = s.sql("SELECT coalesce(json_agg(x), '[]') FROM ("
                              + asked.sql(target["rawSql"]) + "\n) x", dsn=dsn)
                rows = json.loads(found)
                self.assertTrue(rows, panel["title"])
                if target["format"] == "time_series":
                    self.assertTrue(all(re.match(r"\d{4}-", r["time"]) for r in rows), panel["title"])
                for one in panel["fieldConfig"]["overrides"]:
                    self.assertIn(one["matcher"]["options"], rows[0], panel["title"])
        with self.assertRaisesRegex(AssertionError, "read-only"):
            s.sql("CREATE TEMPORARY TABLE x (y int)", dsn=dsn)


if __name__ == "__main__":
    unittest.main()
