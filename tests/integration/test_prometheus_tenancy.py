# SPDX-License-Identifier: Apache-2.0
"""Whose rows /api/v1 reads. Two installations that differ in one thing: in one of them another tenant has rows as
well. Whatever a tenant asks with its key, both give the same answer, byte by byte: so no row, name, count or error of
the other tenant's shows in any."""
import collections
import http.client
import itertools
import json
import os
import random
import unittest
import urllib.parse

import fact_rows
from hostile_promql import mutated
from keys import add_key, key_text
from stack import Stack, wait_for
from test_prometheus_hostile import ENDPOINTS, FORM, HOUR, NOW, Client

SEED = 20261122
COUNT = 200 if "ASAN_OPTIONS" in os.environ else 2000
# As many requests has each row of theirs: no sum of some of one is one of the other's.
MARK = {"acme": 1000003, "globex": 7654321}
SECRET = "globex-secret"  # a route, a model and a class of errors that the other one alone has
SERIES = {"acme": (("/chat", "m"), ("/search", "m"), ("/chat", "m2")),
          "globex": (("/chat", "m"), ("/search", "m"), (SECRET, "m"), ("/chat", SECRET), ("/a", "m"), ("/z", "zz"))}
ERRORS = {"acme": '{"timeout": 1}', "globex": '{"timeout": 3, "globex-secret": 2}'}
LATENCIES_MS = {"acme": (100, 200), "globex": (3000, 50000)}
ENV = {"AUTH": "key", "AUTH_REFRESH_MS": "200", "AUTH_FAILURES_PER_MINUTE": "1000000"}
SPAN = {"start": HOUR, "end": NOW}
TENANTS = (
    'tenant_id="globex"', 'tenant_id="acme"', 'tenant_id=~".*"', 'tenant_id=~".+"', 'tenant_id!="acme"',
    'tenant_id!~"acme"', 'tenant_id=~"acme|globex"', 'tenant_id=~"glob(.*)"', 'tenant_id=""', 'tenant_id!=""',
    'tenant_id=~"(?i)GLOBEX"', 'tenant_id="glob\\u0065x"', 'tenant_id="acme\' OR \'1\'=\'1"',
    'tenant_id="globex\' --"', 'tenant_id="{acme,globex}"', 'tenant_id="%"', 'tenant_id="$1"',
    'tenant_id="globex\\x00"', 'tenant_id="\\xff"', 'tenant_id="acme",tenant_id="globex"',
    'tenant_id=~"acme",tenant_id!~"acme"', 'tenant_id="*"', f'route="{SECRET}"', f'model="{SECRET}"',
    'route=~"globex.*"', f'error_type="{SECRET}"', 'model!="m"', 'route=~"/chat|/search|globex-secret"',
    'route="\\xff"', 'model="a\\x00b"', 'service_name=~".+"', 'gen_ai_request_model="zz"', 'le="+Inf"', 'le!=""')
BUCKET = "gen_ai_client_operation_duration_seconds_bucket"
NAMES = ("tenant_id", "route", "model", "service_name", "gen_ai_request_model", "__name__", "error_type", "le")
METRICS = ("llm_minute_requests", "llm_requests_total", "llm_errors_total", BUCKET, '__name__=~".+"')
ROUND = (  # of matchers
    "llm_minute_requests{<m>}", "sum(llm_minute_requests{<m>})", "absent(llm_minute_requests{<m>})",
    "count by (tenant_id, route, model) ({__name__=~\".+\",<m>})",
    "absent_over_time(llm_requests_total{<m>}[1h])",
    "llm_minute_requests{tenant_id=\"acme\"} or llm_minute_requests{<m>}",
    "llm_minute_requests unless on (route, model) llm_minute_requests{<m>}",
    "llm_minute_requests * on (tenant_id) group_left () llm_minute_requests{<m>}",
    "llm_minute_requests * on (model) llm_minute_requests{<m>}", "sum(increase(llm_errors_total{<m>}[30m]))",
    'label_replace(llm_minute_requests{<m>}, "tenant_id", "globex", "", "")',
    'count_values("n", llm_minute_requests{<m>})',
    f"histogram_quantile(0.99, sum by (le) (rate({BUCKET}{{<m>}}[1h])))",
    "topk(9, sort(llm_minute_requests{<m>}))", "scalar(llm_minute_requests{<m>})",
    "quantile(1, llm_minute_requests{<m>}) + vector(0)",
    "group without (le) (llm_errors_total{<m>}) or vector(1)", "timestamp(llm_minute_requests{<m>})",
    "sum by (service_name) (sum_over_time(llm_minute_requests{<m>}[1h] offset 1m))")
EACH = "sum by (tenant_id) (llm_minute_requests)"


class Installation:
    def __init__(self, tenants, cleanup):
        self.stack = s = Stack(env=ENV).__enter__()
        cleanup(s.__exit__, None, None, None)
        fact_rows.partitions(s, [f"to_timestamp({HOUR})"])
        number = 0
        for tenant in tenants:
            for route, model in SERIES[tenant]:
                number += 1
                fact_rows.series(s, number, tenant, route, model)
            for table, n, times in (("llm_minute", 60, 1), ("llm_hour", 1, 60)):
                latencies = LATENCIES_MS[tenant]
                fact_rows.rows(
                    s, table, f"SELECT series_id FROM llm_series WHERE tenant_id = '{tenant}'",
                    f"SELECT to_timestamp({HOUR} + 60 * i) FROM generate_series(0, {n - 1}) i",
                    requests=str(times * MARK[tenant]), error_classes=f"'{ERRORS[tenant]}'", errors=str(times),
                    latency_count=str(2 * times), latency_sum_us=str(1000 * sum(latencies) * times),
                    latency_hdr=fact_rows.histogram(*(f"{ms * 1000}*{times}" for ms in latencies)))
        s.sql("INSERT INTO llm_window (window_start) SELECT DISTINCT window_start FROM llm_minute"
              " ON CONFLICT DO NOTHING;"
              f" UPDATE streamlens_publisher SET closed_through = to_timestamp({NOW})")
        self.keys = {t: add_key(s, t, "read") for t in MARK}
        self.keys |= {"admin": add_key(s, "", "admin"), "sender": add_key(s, "acme", "ingest")}
        self.api = s.start("metrics-api")
        self.clients = {who: Client(self.api.port, {"X-API-Key": key}) for who, key in self.keys.items()}
        for c in self.clients.values():
            cleanup(c.close)


class Tenancy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.both = Installation(("acme", "globex"), cls.addClassCleanup)
        cls.alone = Installation(("acme",), cls.addClassCleanup)
        for i in (cls.both, cls.alone):
            wait_for(lambda i=i: i.clients["acme"].get("query", {"query": "1"})[0] == 200, "keys")

    def setUp(self):
        # What the other one, and an operator, have asked for is in memory meanwhile.
        for who in ("globex", "admin"):
            for endpoint, parameters in (("query", {"query": '{__name__=~".+"}[1h]', "time": NOW}), ("series", SPAN | {
                    "match[]": '{__name__=~".+"}'}), ("labels", SPAN), ("label/route/values", SPAN)):
                self.assertEqual(self.both.clients[who].get(endpoint, parameters)[0], 200)

    def same(self, endpoint, parameters, post=False, allowed=(200, 400, 422)):
        """The answer to acme, where both give it."""
        mine = [i.clients["acme"] for i in (self.both, self.alone)]
        (status, headers, body), (status2, _, body2) = ((c.post if post else c.get)(endpoint, parameters) for c in mine)
        what = (endpoint, parameters)
        self.assertEqual((status, body), (status2, body2), what)
        self.assertIn(status, allowed, (what, body[:300]))
        self.assertEqual(headers.get_content_type(), "application/json")
        if status == 200:
            asked = str(parameters)
            for word in (str(MARK["globex"]), SECRET, "zz"):
                self.assertTrue(word in asked or word.encode() not in body, what)
        return status, json.loads(body)

    def test_matchers(self):
        rows = 0
        for matchers, shape in itertools.product(TENANTS, ROUND):
            query = shape.replace("<m>", matchers)
            for endpoint, when in (("query", {"time": NOW}), ("query_range", SPAN | {"step": 300})):
                status, answer = self.same(endpoint, {"query": query, **when}, post=True)
                rows += status == 200 and answer["data"]["resultType"] != "scalar" and len(answer["data"]["result"])
        self.assertGreater(rows, 500)

    def test_names(self):
        found = collections.Counter()
        for metric, matchers in itertools.product(METRICS, TENANTS):
            selector = f"{{{metric},{matchers}}}" if "=" in metric else f"{metric}{{{matchers}}}"
            for more in ({}, {"limit": 1}):
                for endpoint in ("series", "labels", *(f"label/{name}/values" for name in NAMES)):
                    for parameters in ({"match[]": selector}, {"match[]": [selector, "llm_minute_errors"]}):
                        status, answer = self.same(endpoint, {**parameters, **SPAN, **more})
                        found[endpoint] += len(answer["data"]) if status == 200 else 0
        self.assertGreater(min(found.values()), 10, found)
        for endpoint in ("labels", "label/tenant_id/values", "label/route/values", "label/error_type/values"):
            self.assertTrue(self.same(endpoint, SPAN)[1]["data"])
        self.assertEqual(self.same("label/tenant_id/values", SPAN)[1]["data"], ["acme"])
        self.assertEqual(self.same("label/error_type/values", SPAN)[1]["data"], ["timeout"])

    def test_what_is_no_query(self):
        for endpoint in ("metadata", "rules", "alerts", "query_exemplars", "status/buildinfo"):
            for parameters in ({}, {"query": 'llm_minute_requests{tenant_id="globex"}', **SPAN}, {"metric": SECRET}):
                self.same(endpoint, parameters)

    def test_parameters_of_others_change_nothing(self):
        plain = self.same("query", {"query": "sum(llm_minute_requests)", "time": NOW})
        self.assertEqual(plain[1]["data"]["result"][0]["value"][1], str(3 * MARK["acme"]))
        for name in ("tenant_id", "tenant", "X-Scope-OrgID", "x-scope-orgid", "org_id", "match[]", "filter"):
            for value in ("globex", "*", "", '{tenant_id="globex"}'):
                asked = {"query": "sum(llm_minute_requests)", "time": NOW, name: value}
                self.assertEqual(self.same("query", asked), plain)

    def test_random_expressions(self):
        rng, seen = random.Random(SEED), collections.Counter()
        for _ in range(COUNT):
            text = mutated(rng)
            if rng.randrange(3) == 0:
                text = text.replace("{", "{" + rng.choice(TENANTS) + ",", 1)
            endpoint, when = rng.choice((("query", {"time": NOW}), ("query_range", SPAN | {"step": 120})))
            seen[self.same(endpoint, {"query": text, **when}, post=True)[0]] += 1
        print(f"random expressions: {dict(seen)}")
        self.assertGreater(min(seen[200], seen[400]), COUNT // 10)

    # ---- X-Scope-OrgID, and who one is ----

    def ask(self, who, endpoint="query", **headers):
        parameters = {"query": EACH, "time": NOW, "match[]": "llm_minute_requests", **SPAN, "step": 60}
        c = self.both.clients[who]
        status, _, body = c.send("GET", f"/api/v1/{endpoint}?" + urllib.parse.urlencode(parameters),
                                 headers={n.replace("_", "-"): v for n, v in headers.items()})
        return status, body

    def test_x_scope_orgid_of_another_is_403_alike_whether_it_exists(self):
        self.assertEqual(self.ask("acme", X_Scope_OrgID="acme"), self.ask("acme"))
        for endpoint in ENDPOINTS:
            answers = set()
            for name in ("globex", "nobody", "*", "acme|globex", "globex|acme", "acme,globex", "{acme,globex}", "ACME",
                         "acme'", "%", "globex' --", "\xff", "acme\xff", "a" * 4000):
                status, body = self.ask("acme", endpoint, X_Scope_OrgID=name)
                self.assertEqual(status, 403, (endpoint, name, body))
                told = json.loads(body)
                self.assertEqual((told["status"], told["errorType"]), ("error", "forbidden"))
                answers.add(body)
            self.assertEqual(len(answers), 1, (endpoint, answers))

    def test_x_scope_orgid_twice(self):
        target = "/api/v1/query?" + urllib.parse.urlencode({"query": EACH, "time": NOW})
        for names in itertools.permutations(("acme", "globex", "")):
            c = http.client.HTTPConnection("127.0.0.1", self.both.api.port, timeout=30)
            c.putrequest("GET", target)
            c.putheader("Authorization", "Bearer " + self.both.keys["acme"])
            for name in names:
                c.putheader("X-Scope-OrgID", name)
            c.endheaders()
            r = c.getresponse()
            body = r.read()
            c.close()
            self.assertIn(r.status, (200, 400, 403), names)
            self.assertNotIn(b"globex", body)

    def test_operators_see_all_or_whom_they_name(self):
        def values(body):
            return {r["metric"]["tenant_id"]: r["value"][1] for r in json.loads(body)["data"]["result"]}
        sums = {t: str(len(SERIES[t]) * MARK[t]) for t in MARK}
        self.assertEqual(values(self.ask("admin")[1]), sums)
        for name in MARK:
            self.assertEqual(values(self.ask("admin", X_Scope_OrgID=name)[1]), {name: sums[name]})
        for name in ("nobody", "acme|globex", "*", "' OR true --"):
            self.assertEqual(values(self.ask("admin", X_Scope_OrgID=name)[1]), {}, name)
        self.assertEqual(values(self.ask("globex")[1]), {"globex": sums["globex"]})
        for name in ("\xff", "acme\xff", "a" * 4000):
            self.assertIn(self.ask("admin", X_Scope_OrgID=name)[0], (200, 400), name)

    def test_who_may_not_read(self):
        for endpoint in ENDPOINTS:
            self.assertEqual(self.ask("sender", endpoint)[0], 403, endpoint)
            nobody = Client(self.both.api.port)
            for headers in ({}, {"Authorization": "Bearer " + key_text()}, {"X-Scope-OrgID": "acme"}):
                for method in ("GET", "POST"):
                    body = "query=1" if method == "POST" else None
                    status, _, body = nobody.send(method, f"/api/v1/{endpoint}", body, {**FORM, **headers})
                    self.assertIn(status, (401, 405) if method == "POST" else (401,), (endpoint, headers, body))
                    self.assertEqual(json.loads(body)["status"], "error")
            nobody.close()


if __name__ == "__main__":
    unittest.main()
