# SPDX-License-Identifier: Apache-2.0
"""Panels, alerts, variables and "Save & test" as Grafana's own code sends and reads them, against rows that say what
must come: every minute of an hour has a row of each series."""
import itertools
import json
import math
import unittest
import urllib.parse

import fact_rows
from keys import add_key, key_text
from promlib_check import Grafana, provisioned
from stack import Stack, wait_for

HOUR = 1763636400  # 2025-11-20T11:00:00Z
NOW = HOUR + 3600
HALF = (NOW - 1800, NOW)
STAMPS = [1000 * t for t in range(HALF[0], NOW + 1, 60)]
SERIES = (("acme", "/chat", "m1"), ("acme", "/chat", "m2"), ("acme", "/search", "m1"), ("globex", "/chat", "m1"))
NTH = "extract(minute FROM window_start)::bigint"
OF_AN_HOUR = sum(10 + n for n in range(60))  # responses, which are 10 and one more each minute
COMMON = {"tenant_id", "route", "model", "gen_ai_request_model", "service_name"}
DURATION = "gen_ai_client_operation_duration_seconds"
OK = ("OK", "Successfully queried the Prometheus API.")


def latencies_us(number):
    """Of a minute of series `number`: a hundred, from number ms on."""
    return [n * number * 1000 for n in range(1, 101)]


def fill(s):
    for i, names in enumerate(SERIES):
        fact_rows.series(s, i + 1, *names)
    fact_rows.partitions(s, [f"to_timestamp({HOUR})"])
    for number, (table, minutes) in itertools.product(range(1, 5), (("llm_minute", 1), ("llm_hour", 60))):
        values = latencies_us(number)
        columns = {"requests": 60 * number, "errors": 2, "latency_count": 100, "latency_sum_us": sum(values),
                   "cost_pusd": number * 10 ** 12, "cost_output_pusd": number * 10 ** 12}
        fact_rows.rows(
            s, table, f"VALUES ({number})",
            f"SELECT to_timestamp({HOUR} + 60 * i) FROM generate_series(0, {60 // minutes - 1}) i",
            **{name: str(minutes * value) for name, value in columns.items()}, latency_max_us=str(max(values)),
            responses=f"10 + {NTH}" if minutes == 1 else str(OF_AN_HOUR),
            error_classes=f"""'{{"rate_limit": {2 * minutes}}}'""",
            latency_hdr=fact_rows.histogram(*(f"{v}*{minutes}" for v in values)))
    s.sql("INSERT INTO llm_window (window_start) SELECT DISTINCT window_start FROM llm_minute ON CONFLICT DO NOTHING")
    s.sql(f"UPDATE streamlens_publisher SET closed_through = to_timestamp({NOW})")


def percentile(q, values):
    return sorted(values)[math.ceil(q * len(values)) - 1]


class Case(unittest.TestCase):
    @classmethod
    def make_stack(cls, **env):
        cls.stack = s = Stack(env=env).__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        fill(s)
        cls.api = s.start("metrics-api")

    @classmethod
    def grafana(cls, key="", **changes):
        """One with the source that is provisioned, and what is changed of it."""
        url = f"http://127.0.0.1:{cls.api.port}"
        data, secure = provisioned("llm-metrics", STREAMLENS_METRICS_URL=url, STREAMLENS_KEY=key)
        secure |= {n: changes.pop(n) for n in list(changes) if n.startswith("httpHeaderValue")}
        g = Grafana(url, {**data, **changes}, secure)
        cls.addClassCleanup(g.close)
        return g

    def by_label(self, frames, label):
        """{value of the label: numbers}; it is the only one."""
        for f in frames:
            self.assertEqual(set(f.value().labels), {label})
        found = {f.value().labels[label]: f.value().values for f in frames}
        self.assertEqual(len(found), len(frames))
        return found

    def almost(self, found, wanted):
        self.assertEqual(found.keys(), wanted.keys())
        for label, values in found.items():
            for v in values:
                self.assertAlmostEqual(v, wanted[label], places=9)


class Open(Case):
    """AUTH=none: the source sees all tenants."""

    @classmethod
    def setUpClass(cls):
        cls.make_stack()
        cls.post = cls.grafana()
        cls.both = (cls.post, cls.grafana(httpMethod="GET"))

    # ---- panels ----

    def test_save_and_test(self):
        for g in self.both:
            self.assertEqual(g.health(), OK)
            self.assertEqual(g.ask(op="health")["details"]["application"], "Prometheus")

    def test_a_panel_has_its_rows(self):
        for g in self.both:
            frames = g.query(*HALF, 'llm_minute_responses{tenant_id="acme",route="/search"}', range=True)
            self.assertEqual([f.times() for f in frames], [STAMPS])
            value = frames[0].value()
            # A window is stamped at its end.
            self.assertEqual(value.values, [10 + (t // 1000 - 60 - HOUR) // 60 for t in STAMPS])
            self.assertEqual(value.name, "llm_minute_responses")
            self.assertEqual(value.labels, {
                "__name__": "llm_minute_responses", "tenant_id": "acme", "route": "/search", "service_name": "/search",
                "model": "m1", "gen_ai_request_model": "m1"})

    def test_a_panel_of_rates(self):
        expr = 'sum by (model) (rate(llm_requests_total{tenant_id=~"acme|nobody"}[$__rate_interval]))'
        for g in self.both:
            frames = g.query(*HALF, expr, range=True, legendFormat="of {{model}}")
            self.assertIn("[4m0s]", frames[0].meta["executedQueryString"])
            self.assertEqual([f.times() for f in frames], [STAMPS, STAMPS])
            self.almost(self.by_label(frames, "model"), {"m1": 4, "m2": 2})
            self.assertEqual([f.value().shown for f in frames], ["of m1", "of m2"])

    def test_steps_that_are_longer(self):
        expr = "sum(sum_over_time(llm_minute_requests[$__interval]))"
        for g in self.both:
            (frame,) = g.query(HOUR, NOW, expr, range=True, points=12, interval_ms=300000)
            self.assertIn("Step: 5m0s", frame.meta["executedQueryString"])
            self.assertEqual(frame.times(), [1000 * t for t in range(HOUR + 300, NOW + 1, 300)])
            self.assertEqual(set(frame.value().values), {5 * 60 * (1 + 2 + 3 + 4)})

    def test_a_total_is_exact(self):
        expr = "sum by (tenant_id) (sum_over_time(llm_minute_responses[$__range]))"
        for g in self.both:
            frames = g.query(HOUR, NOW, expr, instant=True)
            self.assertEqual({tuple(f.times()) for f in frames}, {(1000 * NOW,)})
            self.assertEqual(self.by_label(frames, "tenant_id"), {"acme": [3 * OF_AN_HOUR], "globex": [OF_AN_HOUR]})

    def test_percentiles_are_of_all_values(self):
        expr = f"histogram_quantile(0.95, sum by (le, tenant_id) (rate({DURATION}_bucket[$__rate_interval])))"
        acme = [v for number in (1, 2, 3) for v in latencies_us(number)]
        truth = {"acme": percentile(0.95, acme) / 1e6, "globex": percentile(0.95, latencies_us(4)) / 1e6}
        for g in self.both:
            for label, values in self.by_label(g.query(*HALF, expr, range=True), "tenant_id").items():
                self.assertEqual(len(values), len(STAMPS))
                for v in values:
                    self.assertLessEqual(abs(v - truth[label]), 0.01 * truth[label])

    def test_a_heatmap(self):
        expr = f'sum by (le) (increase({DURATION}_bucket{{tenant_id="globex"}}[$__rate_interval]))'
        found = self.by_label(self.post.query(*HALF, expr, range=True, format="heatmap", legendFormat="{{le}}"), "le")
        self.assertEqual((len(found), found["+Inf"][-1]), (15, 400))
        for le, values in found.items():
            below = sum(v <= float(le) * 1e6 for v in latencies_us(4))
            self.assertAlmostEqual(values[-1], 4 * below, delta=4.01, msg=le)

    def test_names_of_opentelemetry(self):
        """As dashboards that others made for such metrics ask."""
        expr = 'sum by (gen_ai_request_model) (rate(gen_ai_usage_cost_USD_sum{service_name="/chat"}[5m])) * 60'
        self.almost(self.by_label(self.post.query(*HALF, expr, range=True),
                    "gen_ai_request_model"), {"m1": 5, "m2": 2})

    def test_an_alert(self):
        expr = 'sum by (route) (rate(llm_errors_total{error_type="rate_limit"}[5m])) > 0.04'
        for g in self.both:
            frames = g.query(*HALF, expr, instant=True, alert=True)
            self.assertEqual({f.meta["type"] for f in frames}, {"numeric-multi"})
            self.almost(self.by_label(frames, "route"), {"/chat": 6 / 60})
            self.assertEqual(g.query(*HALF, expr.replace("0.04", "1000"), instant=True, alert=True), [])
            frames = g.query(*HALF, expr, range=True, alert=True)
            self.almost(self.by_label(frames, "route"), {"/chat": 6 / 60})

    def test_queries_of_one_panel(self):
        found = self.post.queries(*HALF, {"refId": "A", "expr": "1 + 1", "instant": True},
                                  {"refId": "B", "expr": "sum(", "range": True},
                                  {"refId": "C", "expr": "vector(3)", "range": True, "instant": True})
        self.assertEqual([f.value().values for f in found["A"][2]], [[2]])
        self.assertIn("parse error", found["B"][0])
        self.assertEqual([f.value().values for f in found["C"][2]], [[3], [3] * len(STAMPS)])

    def test_what_a_refusal_says(self):
        for g in self.both:
            for expr, status, text in (
                    ("sum(", 400, "bad_data: invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis"),
                    ("nothing(1)", 400, 'unknown function with name "nothing"'),
                    ("rate(llm_requests_total[5m:1m])", 422, "subquer"),
                    ("llm_requests_total * on (tenant_id) llm_requests_total", 422, "found duplicate series"),
                    ('llm_requests_total{model=~"("}', 400, "missing closing )")):
                for how in ("range", "instant"):
                    said = g.refused(*HALF, expr, **{how: True})
                    self.assertEqual(said[1], status, said)
                    self.assertIn(text, said[0])
                    self.assertTrue(said[0].startswith("execution: " if status == 422 else "bad_data: "), said)

    def test_notes_stand_at_the_panel(self):
        frames = self.post.query(*HALF, "rate(llm_minute_requests[5m])", range=True)
        self.assertIn("might not be a counter", " ".join(frames[0].notices()))
        self.assertEqual(self.post.query(*HALF, "rate(llm_requests_total[5m])", range=True)[0].notices(), [])

    def test_exemplars_are_none(self):
        frames = self.post.query(*HALF, "sum(llm_minute_requests)", range=True, exemplar=True)
        self.assertEqual([len(f.fields) for f in frames], [2])

    def test_nothing_there(self):
        for g in self.both:
            self.assertEqual(g.query(*HALF, "up", range=True), [])
            self.assertEqual(g.query(HOUR - 86400, HOUR - 80000, "llm_requests_total", range=True), [])

    # ---- variables, the query builder, and what is asked on load ----

    def resource(self, path, **parameters):
        """By both methods, where the frontend may use both."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        answers = [self.post.resource("GET", path, query)]
        if path in ("api/v1/labels", "api/v1/series"):
            answers.append(self.post.resource("POST", path, body=query))
        for status, answer in answers:
            self.assertEqual((status, answer["status"]), (200, "success"), answer)
        self.assertEqual(answers[0], answers[-1])
        return answers[0][1]["data"]

    def test_label_values(self):
        span = {"start": HOUR, "end": NOW}
        for label, match, wanted in (
                ("tenant_id", "llm_requests_total", ["acme", "globex"]), ("model", "llm_requests_total", ["m1", "m2"]),
                ("model", 'llm_requests_total{route="/search"}', ["m1"]), ("route", '{tenant_id="globex"}', ["/chat"]),
                ("model", 'llm_requests_total{tenant_id=~"glo.*",route!="/chat"}', []),
                ("error_type", "llm_errors_total", ["rate_limit"]), ("nothing", "llm_errors_total", []),
                ("__name__", '{__name__=~"llm_minute_(requests|errors)",}',
                 ["llm_minute_errors", "llm_minute_requests"]),
                ("service_name", f"{DURATION}_count", ["/chat", "/search"])):
            self.assertEqual(self.resource(f"api/v1/label/{label}/values",
                             **{"match[]": match}, **span), wanted, match)
        self.assertEqual(self.resource("api/v1/label/tenant_id/values", **span), ["acme", "globex"])
        self.assertEqual(self.resource("api/v1/label/tenant_id/values", limit=1, **span), ["acme"])
        self.assertEqual(self.resource("api/v1/label/tenant_id/values", start=NOW + 90000, end=NOW + 100000), [])

    def test_names_of_labels_and_metrics(self):
        span = {"start": HOUR, "end": NOW}
        self.assertEqual(set(self.resource("api/v1/labels", **{"match[]": "llm_requests_total"}, **span)),
                         COMMON | {"__name__"})
        for match in ('{__name__!=""}', '{__name__=~".+",}'):
            self.assertLessEqual(COMMON | {"__name__", "le", "class", "error_type", "gen_ai_token_type"},
                                 set(self.resource("api/v1/labels", **{"match[]": match}, limit=40000, **span)))
        names = self.resource("api/v1/label/__name__/values", **span)
        self.assertEqual(names, sorted(names))
        self.assertLessEqual({"llm_requests_total", DURATION + "_bucket", "llm_minute_requests"}, set(names))

    def test_series(self):
        found = self.resource("api/v1/series", **{"match[]": ['llm_requests_total{route="/chat"}', f"{DURATION}_sum"]},
                              start=HOUR, end=NOW)
        self.assertEqual(len(found), 3 + 4)
        self.assertIn({"__name__": "llm_requests_total", "tenant_id": "globex", "route": "/chat", "model": "m1",
                       "service_name": "/chat", "gen_ai_request_model": "m1"}, found)

    def test_what_is_asked_on_load(self):
        everything = self.resource("api/v1/metadata")
        self.assertEqual(everything["llm_requests_total"][0]["type"], "counter")
        self.assertEqual(everything[DURATION][0]["type"], "histogram")
        self.assertEqual(self.resource("api/v1/metadata", metric="llm_minute_requests"),
                         {"llm_minute_requests": everything["llm_minute_requests"]})
        self.assertEqual(self.resource("api/v1/rules"), {"groups": []})
        self.assertEqual(self.resource("api/v1/alerts"), {"alerts": []})
        for unit in (1, 1000):  # the frontend sends milliseconds
            self.assertEqual(
    self.resource(
        "api/v1/query_exemplars",
        query="test",
        start=HOUR * unit,
        end=NOW * unit),
         [])
        build = self.resource("api/v1/status/buildinfo")
        self.assertTrue(build["version"])
        self.assertFalse(build.get("features"))  # else it would be taken for Mimir

    def test_suggestions(self):
        def suggest(**more):
            body = {"queries": ["sum(rate(llm_errors_total[$__rate_interval]))"], "start": str(HOUR), "end": str(NOW),
                    "limit": 100, **more}
            status, answer = self.post.resource("POST", "suggestions", body=json.dumps(body))
            self.assertEqual((status, answer["status"]), (200, "success"), answer)
            return answer["data"]
        self.assertEqual(set(suggest()), COMMON | {"__name__", "error_type"})
        self.assertEqual(suggest(labelName="route"), ["/chat", "/search"])
        only = {"key": "tenant_id", "operator": "one-of", "values": ["globex", "nobody"]}
        self.assertEqual(suggest(labelName="route", adhocFilters=[only]), ["/chat"])

    def test_one_tenant_of_all(self):
        """As the provisioning file tells to do where nobody has keys."""
        g = self.grafana(httpHeaderName2="X-Scope-OrgID", httpHeaderValue2="globex")
        self.assertEqual(g.health(), OK)
        self.assertEqual(self.by_label(g.query(*HALF, "sum by (tenant_id) (llm_minute_requests)", instant=True),
                                       "tenant_id"), {"globex": [240]})
        self.assertEqual(g.resource("GET", "api/v1/label/tenant_id/values", f"start={HOUR}&end={NOW}")[1]["data"],
                         ["globex"])


class Keys(Case):
    @classmethod
    def setUpClass(cls):
        cls.make_stack(AUTH="key", AUTH_REFRESH_MS="200")
        cls.keys = {t: add_key(cls.stack, t, "read") for t in ("acme", "globex")}
        cls.sender = add_key(cls.stack, "acme", "ingest")
        # The last that was made: it may not, where one that is not known yet is nobody's.
        wait_for(lambda: cls.grafana(key=cls.sender).health()[1].startswith("403"), "the keys")

    def test_the_tenant_is_that_of_the_key(self):
        for tenant, model in (("acme", {"m1": [240], "m2": [120]}), ("globex", {"m1": [240]})):
            g = self.grafana(key=self.keys[tenant])
            self.assertEqual(g.health(), OK)
            expr = "sum by (model) (llm_minute_requests)"
            self.assertEqual(self.by_label(g.query(*HALF, expr, instant=True), "model"), model)
            self.assertEqual(g.query(*HALF, f'llm_minute_requests{{tenant_id!="{tenant}"}}', instant=True), [])
            path = "api/v1/label/tenant_id/values"
            self.assertEqual(g.resource("GET", path, f"start={HOUR}&end={NOW}")[1]["data"], [tenant])

    def test_who_may_not(self):
        unknown = self.grafana(key=key_text())
        other = self.grafana(key=self.keys["acme"], httpHeaderName2="X-Scope-OrgID", httpHeaderValue2="globex")
        sender = self.grafana(key=self.sender)
        for g, status, text in ((unknown, 401, "unauthorized: a valid credential is wanted"),
                                (other, 403, "forbidden: X-Scope-OrgID"),
                                (sender, 403, "forbidden: the credential lacks")):
            result, message = g.health()
            self.assertEqual(result, "ERROR")
            self.assertRegex(message, rf"^{status} .* - There was an error returned querying the Prometheus API\.$")
            error, got = g.refused(*HALF, "llm_minute_requests", range=True)
            self.assertEqual(got, status)
            self.assertTrue(error.startswith(text), error)
            self.assertEqual(g.resource("GET", "api/v1/labels")[0], status)


if __name__ == "__main__":
    unittest.main()
