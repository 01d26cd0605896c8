#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""metrics-api asked at random, well and badly: every answer is an answer or says which parameter is wrong, nobody
else's names are in it, and its pages are the whole cut up."""
import http.client
import json
import random
import unittest
import urllib.parse
from collections import Counter

from stack import Stack
from test_metrics_api import fill

SEED = 20261122
QUESTIONS = 3000
ENDPOINTS = "metrics summary top heatmap cost series tenants routes models prices".split()
# How often, and what: good values, values at the edges, and what strangers try.
VALUES = {
    "from": (.5, ["now-1h", "now-7d", "now-4000d", "now+1h", "0001-01-01T00:00:00Z", "9999-12-31T23:58:00Z", "0", "1e9",
                  "1795320300000", "2011-12-01T00:00:00Z", "0001-06-01T00:00:00-23:59"]),
    "to": (.3, ["now", "now+1h", "60", "0001-01-02T00:00:00Z", "0020-01-01T00:00:00Z", "9999-12-31T23:59:00Z",
                "2012-02-01T00:00:00Z", "'"]),
    "step": (.5, ["1m", "37m", "1h", "6h", "1d", "2d", "7d", "1w", "8d", "1h30s"]),
    "tz": (.2, ["Europe/Berlin", "Pacific/Apia", "Africa/Monrovia", "UTC", "No/Where", "../../etc/passwd"]),
    "group_by": (.4, ["none", "model", "tenant_id,route,model", "route", "route,route", "1; SELECT 1"]),
    "percentiles": (.2, ["50", "99.9,100,0.000001", "75,95", "0", "x"]),
    "fields": (.2, ["requests", "p50_latency_ms", "window_start,p99.9_ttft_ms", "revision", "route", "*"]),
    "fill": (.2, ["zero", "null", "none", "x"]),
    "order": (.3, ["asc", "desc", "asc; --"]),
    "limit": (.3, ["1", "7", "10000", "-1", "0", "10001"]),
    "format": (.2, ["json", "ndjson", "csv", "xml"]),
    "by": (.2, ["cost", "p95", "tokens", "errors", "requests", "model"]),
    "metric": (.2, ["ttft", "latency", "x"]),
    "prefix": (.2, ["r", "", "%", "_", "'; --"]),
    "route": (.2, ["r0", "r1", "%", "' OR 1=1 --", "\0", "x" * 256]),
    "model": (.2, ["m0", "their-model", "m%"]),
    "cursor": (.03, ["x", "AYAAAAAAAAAAf_________8ABmDVO1UkAAFhAXIBbcdFw0505ye9"]),
    "tenant_id": (.03, ["theirs", "*", ""]),
    "at": (.2, ["now", "now-3000d", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1e9", "x"]),
    "name": (.2, ["gpt-4o", "openai/gpt-4o-2024-08-06", "no-such-model", "' OR 1=1 --", "\0", "x" * 256]),
    "asked": (.1, ["gpt-4o", "no-such-model", "%"]),
}


class Questions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = s = Stack().__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        rnd = random.Random(SEED)
        now = "timestamptz " + s.sql("SELECT quote_literal(date_trunc('minute', now()))")
        series = [("acme", f"r{i % 3}", f"m{i // 3}", rnd.sample(range(3000), 70)) for i in range(12)]
        fill(s, series + [("theirs", "their-route", "their-model", range(100))], 4000, newest=now)
        cls.api = s.start("metrics-api")
        cls.client = http.client.HTTPConnection("127.0.0.1", cls.api.port, timeout=30)
        cls.addClassCleanup(cls.client.close)

    def ask(self, endpoint, **params):
        self.client.request("GET", f"/v1/{endpoint}?{urllib.parse.urlencode(params)}")
        r = self.client.getresponse()
        return r.status, r.headers, r.read()

    def test_every_question_has_an_answer_or_a_reason(self):
        rnd, seen = random.Random(SEED + 1), Counter()
        for _ in range(QUESTIONS):
            endpoint = rnd.choice(ENDPOINTS)
            params = {"tenant_id": "acme"}
            for name, (share, values) in VALUES.items():
                if rnd.random() < share:
                    params[name] = rnd.choice(values)
            status, headers, body = self.ask(endpoint, **params)
            seen[endpoint, status] += 1
            with self.subTest(endpoint=endpoint, **params):
                self.assertIn(status, (200, 400), body[:300])
                if status == 400:
                    problem = json.loads(body)
                    self.assertIn(problem["field"], params)
                    self.assertTrue(problem["detail"])
                elif headers["Content-Type"] == "application/json":
                    json.loads(body)
                if params["tenant_id"] == "acme":
                    self.assertNotIn(b"their-", body)
        for endpoint in ENDPOINTS:
            self.assertGreater(seen[endpoint, 200], 30, endpoint)
            self.assertGreater(seen[endpoint, 400], 30, endpoint)

    def test_no_rows_are_an_answer_in_every_format(self):
        for fmt, kind, body in (("json", "application/json", None), ("ndjson", "application/x-ndjson", b""),
                                ("csv", "text/csv", None)):
            for params in ({}, {"step": "1h"}, {"from": "now-1h"}):
                status, headers, got = self.ask("metrics", tenant_id="nobody", format=fmt, fields="requests", **params)
                self.assertEqual(status, 200)
                self.assertTrue(headers["Content-Type"].startswith(kind))
                if body is not None:
                    self.assertEqual(got, body)

    def pages(self, endpoint, what, limit, **params):
        rows, cursor = [], None
        while True:
            more = {"cursor": cursor} if cursor else {}
            status, _, body = self.ask(endpoint, limit=limit, **params, **more)
            self.assertEqual(status, 200, body)
            answer = json.loads(body)
            self.assertLessEqual(len(answer[what]), limit)
            rows += answer[what]
            cursor = answer["next_cursor"]
            if not cursor:
                return rows

    def test_pages_are_the_whole_cut_up(self):
        now = {"to": "now-1m"}
        for endpoint, params in (
                ("metrics", {"from": "now-2d", **now}), ("metrics", {"order": "asc", **now}),
                ("metrics", {"step": "6h", "from": "now-2d", **now}),
                ("metrics", {"step": "1h", "group_by": "model", "order": "asc", "from": "now-2d", **now}),
                ("metrics", {"step": "1d", "tz": "Asia/Kathmandu", "group_by": "route", "percentiles": "99", **now}),
                ("metrics", {"group_by": "route,model", "from": "now-2d", **now}),
                ("series", {}), ("routes", {}), ("models", {"prefix": "m"})):
            what = endpoint
            with self.subTest(endpoint=endpoint, **params):
                whole = self.pages(endpoint, what, 10000, tenant_id="acme", **params)
                self.assertGreater(len(whole), 2)
                for limit in (1, 7, len(whole) - 1, len(whole)):
                    if len(whole) / limit < 150:
                        self.assertEqual(self.pages(endpoint, what, limit, tenant_id="acme", **params), whole)

    def test_a_cursor_is_good_for_its_tenant_alone(self):
        _, _, body = self.ask("metrics", tenant_id="acme", limit=1)
        cursor = json.loads(body)["next_cursor"]
        self.assertEqual(self.ask("metrics", tenant_id="acme", limit=1, cursor=cursor)[0], 200)
        status, _, body = self.ask("metrics", tenant_id="theirs", limit=1, cursor=cursor)
        self.assertEqual((status, json.loads(body)["field"]), (400, "cursor"))


if __name__ == "__main__":
    unittest.main()
