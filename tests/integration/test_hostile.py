# SPDX-License-Identifier: Apache-2.0
"""metrics-api asked by somebody who means no good: whatever stands in a parameter the answer is a 400 that names it,
or one of bounded size with rows of the asker's tenant alone; never a server's error. Two tenants have the same routes
and models, and numbers that tell whose a row is."""
import csv
import http.client
import io
import itertools
import json
import random
import unittest
import urllib.parse

import fact_rows
from keys import add_key
from stack import Stack
from test_openapi import LISTS, QUESTIONS, parameter_table

NOW = "2025-11-20 12:00+00"
RANGE = {"from": "2025-11-20T11:00:00Z", "to": "2025-11-20T12:00:00Z"}
OF_A_RANGE = tuple(e for e in QUESTIONS if e != "prices")
OF_FORMATS = ("metrics", "top", "cost", "prices")
# As many requests has each row of theirs: no sum of some of one is one of the other's.
MARK = {"acme": "1000003", "globex": "7000009"}
SECRET = "globex-secret"  # a route that the other one alone has
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", '="a","b"')
ROUTES = ("/chat", "/search", *FORMULAS)
ATTACKS = (
    "' OR '1'='1", "' OR true --", "x'; DROP TABLE llm_minute; --", "\\'; DELETE FROM llm_series; --", "acme'--",
    "acme' UNION ALL SELECT * FROM llm_series --", "acme'/**/OR/**/tenant_id='globex", "$1", "$$globex$$", "%", "_",
    "globex", "acme,globex", "{acme,globex}", '{"globex"}', "ARRAY['globex']", "NULL", "null", "\\x676c6f626578",
    "1); SELECT pg_sleep(30); --", "\u02bc OR 1=1", "\uff07 OR 1=1 --", "acme\u0000globex", "\u0000", "a\nb",
    "a\r\nSet-Cookie: x=1", "a\r\n\r\n<html>", "\u202eemca", "\u2066acme\u2069", "\ufeffacme", "acme\u200b",
    "\ud7ff\U0010ffff", "../../etc/passwd", "/etc/passwd", "Europe/../../../etc/passwd", "*", "**", "?", "#", "&a=b",
    "-1", "0", "1", "1e309", "NaN", "Infinity", "-0", "0x10", "\u0663", "10" * 15, "9223372036854775808",
    "now-9999999w", "now+99999999999999999999d", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "10000-01-01T00:00:00Z", "-99999999999999", "2025-02-30T00:00:00Z", "1m1m", "1y", "0s", "60", "604800", "604860",
    "1" * 400, "," * 500, "a" * 255, "a" * 256,
    ",".join(map(str, range(1, 1001))), ",".join(["50"] * 1000), "99.99999999", "p95_latency_ms,p95_latency_ms",
    "requests'; --", "latency_hdr", "usage", "series_id", "<script>alert(1)</script>", "${jndi:ldap://x}", "{{7*7}}",
)
RAW = ("%00", "%ff", "%c3", "%ed%a0%80", "%f5%80%80%80", "%c0%af", "%", "%zz", "%u0041", "+", "%2b", "%0d%0aX:%20y")
ACCEPTS = ("", "*/*", "text/csv", "text/csv;q=0", "application/json;q=0", ";;;", ",,,", "a/b/c", "text/csv;q=9",
           "*/*;q=0", "application/problem+json", "\xff", "text/csv" + ",a/b" * 1000, "q=1;text/csv", "text/*;q=-1")


class Client:
    """One connection that is kept; (status, header, body)."""

    def __init__(self, port, headers=None):
        self.port, self.headers, self.c = port, headers or {}, None

    def target(self, target, method="GET", **headers):
        if self.c is None:
            self.c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.c.request(method, target, headers={**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})
        r = self.c.getresponse()
        body = r.read()
        if r.will_close:
            self.close()
        return r.status, r.headers, body

    def ask(self, endpoint, query, **headers):
        return self.target(f"/v1/{endpoint}?" + urllib.parse.urlencode(query, doseq=True), **headers)

    def close(self):
        if self.c:
            self.c.close()
        self.c = None


class Case(unittest.TestCase):
    @classmethod
    def make_stack(cls, **env):
        cls.stack = s = Stack(env=env).__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        names = [(t, r) for t in ("acme", "globex") for r in ROUTES] + [("globex", SECRET)]
        for i, (tenant, route) in enumerate(names):
            fact_rows.series(s, i + 1, tenant, route.replace("'", "''"), "m2" if route == "/search" else "m")
        fact_rows.partitions(s, [f"timestamptz '{NOW}'"])
        for tenant, mark in MARK.items():
            for table, unit in (("llm_minute", "minute"), ("llm_hour", "hour")):
                fact_rows.rows(s, table, f"SELECT series_id FROM llm_series WHERE tenant_id = '{tenant}'",
                               f"SELECT timestamptz '{NOW}' - i * interval '1 {unit}' FROM generate_series(1, 4) i",
                               requests=mark)
        s.sql("INSERT INTO llm_window (window_start) SELECT DISTINCT window_start FROM llm_minute"
              " ON CONFLICT DO NOTHING")
        s.sql("INSERT INTO llm_price_version (version, origin) VALUES (2, 'set')")
        for tenant, model in (("acme", "m"), ("acme", "=1+1"), ("globex", "m"), ("globex", SECRET)):
            s.sql("INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens, provider,"
                  f" aliases, input_pusd, output_pusd, source) VALUES (2, '{tenant}', '{model}', '-infinity', '', 0,"
                  f" '{tenant}', '{{{SECRET if tenant == 'globex' and model == 'm' else 'a'}-2}}', {MARK[tenant]},"
                  f" 1, '{MARK[tenant]}')")

    def client(self, service, headers=None):
        c = Client(service.port, headers)
        self.addCleanup(c.close)
        return c

    def assert_mine(self, body, what, mine="acme"):
        """No trace of the other tenant's rows; a problem may repeat what was asked, which no row does."""
        other = {"acme": "globex", "globex": "acme"}[mine]
        for word in (MARK[other], *([SECRET] if mine == "acme" else [])):
            self.assertNotIn(word.encode(), body, what)
        # Sums over both would have neither number alone.
        if b"requests" in body and body.startswith(b"{\""):
            for requests in numbers_of(json.loads(body)):
                self.assertEqual(requests % int(MARK[mine]), 0, what)

    def refused(self, answer, field, *says):
        status, headers, body = answer
        self.assertEqual((status, headers["Content-Type"]), (400, "application/problem+json"), body[:300])
        problem = json.loads(body)
        self.assertEqual(problem.get("field"), field, problem)
        for word in says:
            self.assertIn(word, problem["detail"])


def numbers_of(node):
    """All that is called requests in an answer."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "requests" and isinstance(value, int):
                yield value
            elif name == "requests" and isinstance(value, dict):
                yield from (value[k] for k in ("now", "before") if value[k] is not None)
            else:
                yield from numbers_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from numbers_of(value)


class Parameters(Case):
    @classmethod
    def setUpClass(cls):
        cls.make_stack()
        cls.api = cls.stack.start("metrics-api")

    def setUp(self):
        self.c = self.client(self.api)

    def bounded(self, answer, what, fields=()):
        status, headers, body = answer
        self.assertIn(status, (200, 400), (what, body[:300]))
        self.assertNotIn("Set-Cookie", headers)
        self.assertLess(len(body), 1 << 20, what)
        self.assert_mine(body, what)
        if status == 400:
            self.assertEqual(headers["Content-Type"], "application/problem+json", what)
            problem = json.loads(body)
            self.assertTrue(problem["detail"], what)
            if fields:
                self.assertIn(problem.get("field"), fields, (what, problem))
        return status

    def test_whatever_stands_in_any_parameter_of_any_endpoint(self):
        before = self.stack.sql("SELECT count(*), sum(requests) FROM llm_metrics")
        seen = {200: 0, 400: 0}
        for name, (endpoints, _) in parameter_table().items():
            for endpoint, attack in itertools.product(sorted(endpoints & set(QUESTIONS)), ATTACKS):
                query = {"tenant_id": "acme", **({} if name in ("from", "to") else RANGE), "step": "5m", name: attack}
                if name == "tenant_id" and attack in ("globex", "*"):
                    continue  # whom everybody may ask for here
                what = (endpoint, name, attack)
                # What goes with what is judged too: `from` and `to`, a zone and its step, a fill and its page.
                blamed = {"from": ("from", "to"), "to": ("from", "to"), "tz": ("tz",), "cursor": ("cursor",),
                          "step": ("step", "from", "fill")}.get(name, (name,))
                seen[self.bounded(self.c.ask(endpoint, query), what, blamed)] += 1
        self.assertGreater(min(seen.values()), 1000, seen)
        self.assertEqual(self.stack.sql("SELECT count(*), sum(requests) FROM llm_metrics"), before)
        self.assertEqual(self.api.metric('streamlens_metrics_answers_total{result="failed"}'), 0)

    def test_streams_are_opened_for_ones_own_tenant_or_not_at_all(self):
        seen = {200: 0, 400: 0}
        names = [name for name, (endpoints, _) in parameter_table().items() if "stream" in endpoints]
        for name, attack in itertools.product(names, ATTACKS):
            c = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=20)
            c.request("GET", "/v1/stream?" + urllib.parse.urlencode({"tenant_id": "acme", name: attack}))
            r = c.getresponse()
            self.assertIn(r.status, seen, (name, attack))
            seen[r.status] += 1
            if r.status == 400:
                problem = json.loads(r.read())
                self.assertEqual((problem["field"], bool(problem["detail"])), (name, True), (attack, problem))
            self.assertNotIn("Set-Cookie", r.headers)
            c.close()
        self.assertGreater(min(seen.values()), 50, seen)

    def test_bytes_that_are_no_text(self):
        names = ("tenant_id", "route", "prefix", "fields", "cursor")
        for endpoint, name, raw in itertools.product(QUESTIONS, names, RAW):
            tenant = "" if name == "tenant_id" else "tenant_id=acme&"
            self.bounded(self.c.target(f"/v1/{endpoint}?{tenant}{name}={raw}"), (endpoint, name, raw))
            self.bounded(self.c.target(f"/v1/{endpoint}?{tenant}{raw}=x&{raw}"), (endpoint, name, raw))

    def test_how_many_parameters_and_how_long(self):
        for endpoint in QUESTIONS:
            fine = {"tenant_id": "acme", **RANGE}
            many = {f"x{i}": 1 for i in range(298 - len(RANGE) + 1)}
            self.assertEqual(self.c.ask(endpoint, {**fine, **many})[0], 200)
            self.refused(self.c.ask(endpoint, {**fine, **many, "y": 1}), None, "300")
            self.assertEqual(self.c.ask(endpoint, {**fine, "route": "n" * 8192})[0], 414)
            self.assertEqual(self.c.target(f"/v1/{endpoint}?tenant_id=acme&" + "n" * 8000 + "=1")[0], 200)
            name = "prefix" if endpoint == "prices" else "route"
            self.refused(self.c.ask(endpoint, {**fine, name: "n" * 7000}), name, "255")
            for name in ("tenant_id", "at") if endpoint == "prices" else ("tenant_id", "from", "to"):
                self.refused(self.c.target(f"/v1/{endpoint}?tenant_id=acme&{name}=now&{name}=now"), name, "once")

    def test_limits(self):
        fine = {"tenant_id": "acme", **RANGE}
        default = self.c.ask("metrics", fine)[2]
        for limit in ("-1", "0", "-" + "9" * 30, ""):
            self.assertEqual(self.c.ask("metrics", {**fine, "limit": limit})[2], default)
        for endpoint in ("metrics", "top", "cost", "prices", *LISTS):
            for limit in (10**30, 10001, 2**32 + 1, 2**64 + 1, 2**63):
                self.refused(self.c.ask(endpoint, {"tenant_id": "acme", "limit": limit}), "limit", "10000")
        thousand = ",".join(f"{i / 10}" for i in range(1, 1001))
        self.refused(self.c.ask("metrics", {**fine, "percentiles": thousand}), "percentiles", "1 to 16")

    def test_a_century_and_a_year_of_minutes(self):
        century = {"tenant_id": "acme", "from": "1925-01-01T00:00:00Z", "to": "2025-12-01T00:00:00Z"}
        year = {"tenant_id": "acme", "from": "2024-12-01T00:00:00Z", "to": "2025-12-01T00:00:00Z"}
        for endpoint in OF_A_RANGE:
            self.refused(self.c.ask(endpoint, century), "from", "4000 days")
            self.assertEqual(self.c.ask(endpoint, year)[0], 200)
        for query in ({"step": "1m"}, {"step": "1m", "group_by": "none"}, {"step": "1m", "percentiles": "1,50,99"}):
            status, _, body = self.c.ask("metrics", {**year, **query, "limit": "-1"})
            answer = json.loads(body)
            self.assertEqual((status, answer["next_cursor"]), (200, None), query)
            self.assertEqual(answer["count"], 4 * (1 if "group_by" in query else len(ROUTES)), query)
        self.refused(self.c.ask("metrics", {**year, "step": "1m", "fill": "zero"}), "fill", "10000")
        self.refused(self.c.ask("metrics", {**year, "step": "1m", "fill": "null", "group_by": "none"}), "fill", "10000")
        self.refused(self.c.ask("heatmap", {**year, "step": "1m"}), "step", "2500")
        self.assertLessEqual(json.loads(self.c.ask("heatmap", year)[2])["count"], 2500)

    def test_zones_that_are_files(self):
        for zone in ("../../etc/passwd", "/etc/passwd", "Europe/../../../etc/passwd", "./UTC", "posixrules/..", "..",
                     ".", "Europe", "Europe/", "tzdata.zi", "zone.tab", "UTC\u0000", "UTC0", ":UTC", "<+99>99",
                     "A" * 65):
            answer = self.c.ask("metrics", {"tenant_id": "acme", **RANGE, "step": "1d", "tz": zone})
            self.refused(answer, "tz")
            self.assertNotIn(b"root:", answer[2])

    def test_fields_that_are_none_are_named_where_they_look_like_one(self):
        for endpoint in ("metrics", "summary", "top"):
            for fields, says in (("colour", "colour"), ("requests,series_id", "series_id"),
                                 ("latency_hdr", "latency_hdr"), ("*", "names of fields"),
                                 ("requests,", "names of fields"), ("a'b", "names of fields"),
                                 ("\u202eabc", "names of fields"), ("p12_latency_ms", "p12_latency_ms")):
                answer = self.c.ask(endpoint, {"tenant_id": "acme", **RANGE, "fields": fields})
                self.refused(answer, "fields", says)
                self.assertNotIn(b"'b", answer[2])

    def test_no_cell_of_a_csv_is_a_formula(self):
        for endpoint, more in (("metrics", {}), ("metrics", {"step": "5m"}),
                               ("top", {"group_by": "route", "limit": 100}), ("cost", {"group_by": "route"})):
            body = self.c.ask(endpoint, {"tenant_id": "acme", **RANGE, "format": "csv", **more})[2]
            rows = list(csv.DictReader(io.StringIO(body.decode())))
            self.assertEqual({r["route"] for r in rows}, {"'" + r if r in FORMULAS else r for r in ROUTES})
            self.assertEqual({r["requests"] for r in rows} - {MARK["acme"], str(4 * int(MARK["acme"]))}, set())
            self.assert_mine(body, endpoint)
        body = self.c.ask("prices", {"tenant_id": "acme", "prefix": "=", "format": "csv"})[2]
        self.assertEqual([r["model"] for r in csv.DictReader(io.StringIO(body.decode()))], ["'=1+1"])

    def test_whatever_it_says_that_it_accepts(self):
        for endpoint, accept in itertools.product(QUESTIONS, ACCEPTS):
            status, headers, body = self.c.ask(endpoint, {"tenant_id": "acme", **RANGE}, Accept=accept)
            self.assertEqual(status, 200, (endpoint, accept))
            wanted = ("application/json", "text/csv") if endpoint in OF_FORMATS else ("application/json",)
            self.assertIn(headers.get_content_type(), wanted, (endpoint, accept))
            self.assert_mine(body, accept)

    # ---- cursors ----

    def cursors(self, tenant="acme"):
        """Of every endpoint with pages: (endpoint, question, the cursor of its second page)."""
        for endpoint in ("metrics", *LISTS, "prices"):
            for more in ({}, {"step": "1m"}, {"order": "asc"}) if endpoint == "metrics" else ({},):
                query = {"tenant_id": "*" if endpoint == "tenants" else tenant, **RANGE, **more, "limit": "1"}
                answer = json.loads(self.c.ask(endpoint, query)[2])
                self.assertIsNotNone(answer["next_cursor"], query)
                yield endpoint, query, answer["next_cursor"]

    def test_cursors_that_nobody_was_given(self):
        rng = random.Random(20261122)
        digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for endpoint, query, cursor in self.cursors():
            self.assertEqual(self.c.ask(endpoint, {**query, "cursor": cursor})[0], 200)
            bad = [cursor[:i] for i in range(1, len(cursor), 3)]
            bad += [cursor + "A", cursor * 2, "A" * len(cursor), "A", "=", cursor + "=", cursor[::-1], "0" * 4000]
            for i in rng.sample(range(len(cursor)), 40):
                for bit in (1, 32):
                    bad.append(cursor[:i] + digits[digits.index(cursor[i]) ^ bit] + cursor[i + 1:])
            bad += ["".join(rng.choices(digits, k=rng.choice((20, 47, 48, 60, 100)))) for _ in range(20)]
            for text in bad:
                self.refused(self.c.ask(endpoint, {**query, "cursor": text}), "cursor", "not one of this question")

    def test_cursors_of_other_questions(self):
        mine, theirs = list(self.cursors()), list(self.cursors("globex"))
        for (endpoint, query, _), (_, _, cursor) in itertools.product(mine, theirs):
            if endpoint == "tenants" and cursor in (c for e, _, c in theirs if e == "tenants"):
                continue  # the same question
            self.refused(self.c.ask(endpoint, {**query, "cursor": cursor}), "cursor")
        for (endpoint, query, cursor), (other, _, another) in itertools.product(mine, mine):
            if cursor != another:
                self.refused(self.c.ask(endpoint, {**query, "cursor": another}), "cursor")
            changes = [{"tenant_id": "globex"}]
            changes += [{"prefix": "m"}, {"at": "2025-11-20T12:01:00Z"}, {"tenant_id": "*"}] if endpoint == "prices" \
                else [{"route": "/chat"}, {"to": "2025-11-20T12:01:00Z"}, {"from": ""}]
            for change in changes:
                self.refused(self.c.ask(endpoint, {**query, **change, "cursor": cursor}), "cursor")

    def test_pages_of_one_tenant_are_its_rows_each_once(self):
        for endpoint, query, cursor in self.cursors():
            if endpoint == "tenants":
                continue
            rows, key = [], endpoint
            query = {**query, "limit": "3"}
            cursor = ""
            while cursor is not None:
                _, _, body = self.c.ask(endpoint, {**query, "cursor": cursor})
                self.assert_mine(body, query)
                answer = json.loads(body)
                rows += answer[key]
                cursor = answer["next_cursor"]
            self.assertEqual(len({json.dumps(r) for r in rows}), len(rows))
            if endpoint == "prices":
                self.assertEqual([r["model"] for r in rows if r["tenant_id"]], ["=1+1", "m"])
                continue
            self.assertEqual(len(rows), {"metrics": 4 * len(ROUTES), "models": 2}.get(endpoint, len(ROUTES)))


class Keys(Case):
    """Of a tenant that knows how the other one's routes, questions and pages look."""

    @classmethod
    def setUpClass(cls):
        cls.make_stack(AUTH="key", AUTH_REFRESH_MS="200")
        cls.key = {t: {"X-API-Key": add_key(cls.stack, t, "read")} for t in MARK}
        cls.admin = {"X-API-Key": add_key(cls.stack, "", "admin")}
        cls.api = cls.stack.start("metrics-api")

    def setUp(self):
        self.mine, self.theirs = (self.client(self.api, self.key[t]) for t in ("acme", "globex"))
        self.operator = self.client(self.api, self.admin)

    def test_another_tenant_is_403_alike_whether_it_exists(self):
        for endpoint in QUESTIONS:
            answers = set()
            for name in ("globex", "nobody", "*", "acme,globex", "{acme,globex}", "' OR true --", "acme ", "ACME",
                         "acme\u200b", "%", "globex' --"):
                for more in ({}, {"route": "/chat"}, {"limit": 1}, {"step": "5m"}, {"fields": "requests"}):
                    status, _, body = self.mine.ask(endpoint, {"tenant_id": name, **RANGE, **more})
                    self.assertEqual(status, 403, (endpoint, name, more))
                    answers.add(body)
            self.assertEqual(len(answers), 1, answers)

    def test_both_ask_the_same_and_each_gets_its_own(self):
        for endpoint in QUESTIONS:
            for more in ({}, {"group_by": "none", "step": "5m"}, {"route": "/chat"}):
                self.operator.ask(endpoint, {"tenant_id": "*", **RANGE, **more})
                for _ in range(2):  # from the database, and from what is kept of it
                    for client, tenant in ((self.theirs, "globex"), (self.mine, "acme")):
                        status, _, body = client.ask(endpoint, {**RANGE, **more})
                        self.assertEqual(status, 200)
                        self.assert_mine(body, (endpoint, more), tenant)
                        if endpoint in ("metrics", "top", "summary", "cost"):
                            self.assertTrue(any(numbers_of(json.loads(body))), (endpoint, more))
        self.assertEqual([t["tenant_id"] for t in json.loads(self.mine.ask("tenants", RANGE)[2])["tenants"]], ["acme"])

    def test_what_the_other_has_kept_is_no_304(self):
        for endpoint in QUESTIONS:
            tag = self.theirs.ask(endpoint, RANGE)[1]["ETag"]
            self.assertEqual(self.theirs.ask(endpoint, RANGE, If_None_Match=tag)[0], 304)
            if endpoint not in ("heatmap", "models"):  # which say the same of both
                self.assertEqual(self.mine.ask(endpoint, RANGE, If_None_Match=tag)[0], 200, endpoint)

    def test_cursors_of_another_tenant(self):
        for endpoint in ("metrics", "series", "routes", "prices"):
            query = {**RANGE, "limit": 1}
            theirs = json.loads(self.theirs.ask(endpoint, query)[2])["next_cursor"]
            named = json.loads(self.operator.ask(endpoint, {"tenant_id": "globex", **query})[2])["next_cursor"]
            nobody = json.loads(self.operator.ask("tenants", {**query})[2])["next_cursor"]
            answers = set()
            for cursor in (theirs, named, nobody, "A" * len(theirs)):
                answer = self.mine.ask(endpoint, {**query, "cursor": cursor})
                self.refused(answer, "cursor")
                answers.add(answer[2])
                self.assertEqual(self.mine.ask(endpoint, {"tenant_id": "globex", **query, "cursor": cursor})[0], 403)
            self.assertEqual(len(answers), 1)


if __name__ == "__main__":
    unittest.main()
