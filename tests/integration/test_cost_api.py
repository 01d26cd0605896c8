# SPDX-License-Identifier: Apache-2.0
"""GET /v1/cost of metrics-api, to the digit against the stored facts summed here in integers and Decimal: its rows
and their order, what a cost is made of, shares, the range before, tenants, and what is not kept any more."""
import csv
import datetime
import http.client
import io
import json
import random
import unittest
import urllib.parse
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import fact_rows
from keys import add_key
from stack import Stack, wait_for

CLASSES = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "reasoning", "request")
TOKENS = ("uncached_prompt_tokens", "cached_prompt_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
          "completion_tokens")
PARTS = ("uncached_prompt_cost_usd", "cached_prompt_cost_usd", "cache_write_5m_cost_usd", "cache_write_1h_cost_usd",
         "completion_cost_usd", "request_cost_usd")  # which sum to the cost
NAMES = ("tenant_id", "route", "model")
MIDNIGHT = datetime.datetime(2025, 11, 20, tzinfo=datetime.timezone.utc)
MINUTE, HOUR, DAY = 60, 3600, 86400
AFTER_NAMES = (
    "requests responses estimated_cost_usd estimated_cost_usd_decimal share uncached_prompt_cost_usd"
    " cached_prompt_cost_usd cache_write_5m_cost_usd cache_write_1h_cost_usd completion_cost_usd reasoning_cost_usd"
    " request_cost_usd cache_savings_usd unpriced_requests unpriced_tokens unpriced_share guessed_requests"
    " guessed_share reported_requests reported_share reported_cost_usd reported_difference_usd cost_per_request_usd"
    " cost_per_million_tokens_usd before_estimated_cost_usd change_usd change_percent").split()


def at(seconds):
    return (MIDNIGHT + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def usd(pusd):
    return Decimal(pusd).scaleb(-12)


def near(got, exact):
    """Rounded a few times at most; exact is a Fraction."""
    return abs(Fraction(got) - exact) <= abs(exact) * Fraction(1, 10 ** 15)


class Facts(unittest.TestCase):
    """A stack with two days of minutes, some of them, and their hours."""
    ENV = {}

    @classmethod
    def setUpClass(cls):
        cls.stack = s = Stack(env=cls.ENV).__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        rng = random.Random(20261122)
        cls.series = [(t, r, m) for t in ("acme", "globex") for r in ("/chat", "/search", "/b") for m in ("m1", "m2")]
        for i, names in enumerate(cls.series):
            fact_rows.series(s, i + 1, *names)
        fact_rows.partitions(s, [f"timestamptz '{at(d * DAY)}'" for d in range(-1, 3)])
        cls.minutes = {}  # (series number, start): facts
        for i in range(len(cls.series)):
            starts = rng.sample(range(2 * 24 * 60), 120) if i % 5 else rng.sample(range(24 * 60), 60)
            for start in starts:
                cls.minutes[i, start * MINUTE] = cls.facts(rng, reported=i % 3 == 0)
        hours = {}
        for (i, start), facts in cls.minutes.items():
            hours.setdefault((i, start // HOUR * HOUR), Counter()).update(facts)
        cls.insert("llm_minute", cls.minutes)
        cls.insert("llm_hour", hours)
        s.sql("INSERT INTO llm_window (window_start, closed_at, complete) SELECT DISTINCT window_start, now(), true"
              " FROM llm_minute")
        s.sql(f"UPDATE streamlens_publisher SET closed_through = '{at(2 * DAY)}'")

    @staticmethod
    def facts(rng, reported):
        responses = rng.choice((0, 1, rng.randrange(1, 1000)))
        unpriced = 0 if reported else rng.choice((0, 0, responses, rng.randrange(responses + 1)))
        classes = {f"cost_{c}_pusd": rng.randrange(10 ** 12) if responses > unpriced else 0 for c in CLASSES}
        tokens = {t: rng.randrange(10 ** 6) * responses for t in TOKENS}
        told = responses if reported else rng.choice((0, rng.randrange(responses + 1)))
        return Counter({
            "requests": responses + rng.randrange(3), "responses": responses, "unpriced_requests": unpriced,
            "unpriced_tokens": sum(tokens.values()) if unpriced == responses else 11 * unpriced,
            "guessed_requests": (responses - unpriced) // 3, **tokens,
            "reasoning_tokens": tokens["completion_tokens"] // 2,
            **classes, "cost_pusd": sum(classes.values()), "cache_savings_pusd": rng.randrange(-10 ** 11, 10 ** 12),
            "reported_requests": told, "reported_cost_pusd": told * rng.randrange(10 ** 10)})

    @classmethod
    def insert(cls, table, rows):
        needed = cls.stack.sql("SELECT column_name FROM information_schema.columns WHERE table_schema ="
                               f" current_schema() AND table_name = '{table}' AND is_nullable = 'NO'"
                               " AND column_default IS NULL").split()
        columns = sorted(next(iter(rows.values())))
        empty = {"revision": "1", "usage": "'{}'", "error_classes": "'{}'", "finish_reasons": "'{}'"}
        rest = [c for c in dict.fromkeys([*needed, *empty]) if c not in ("series_id", "window_start", *columns)]
        values = ", ".join(
            f"({i + 1}, '{at(start)}', {', '.join(str(facts[c]) for c in columns)},"
            f" {', '.join(empty.get(c, '0') for c in rest)})" for (i, start), facts in rows.items())
        path = f"{cls.stack.tmp}/{cls.stack.id}-{table}.sql"
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"INSERT INTO {table} (series_id, window_start, {', '.join([*columns, *rest])}) VALUES {values}")
        cls.stack.sql(f"\\i {path}")

    # ---- what must come ----

    def sums(self, frm, to, group_by, keep):
        """group: facts"""
        found = {}
        for (i, start), facts in self.minutes.items():
            if frm <= start < to and keep(self.series[i]):
                group = tuple(self.series[i][NAMES.index(n)] for n in group_by)
                found.setdefault(group, Counter()).update(facts)
        return found

    def wanted(self, frm, to, group_by=("model",), keep=lambda names: True, kept=True):
        """(rows in order, total)"""
        now, before = (self.sums(f, t, group_by, keep) for f, t in ((frm, to), (2 * frm - to, frm)))
        before = before if kept else {}
        total = sum((f["cost_pusd"] for f in now.values()), 0)
        groups = sorted({*now, *before}, key=lambda g: (-now.get(g, Counter())["cost_pusd"], [n.encode() for n in g]))
        rows = [({**dict(zip(group_by, g))}, now.get(g, Counter()), before.get(g, Counter())) for g in groups]
        whole = [Counter(), Counter()]
        for _, *sides in rows:
            for i in range(2):
                whole[i].update(sides[i])
        return rows, (({}, *whole) if rows else None), total

    def check_row(self, got, wanted, total, kept=True, names=True):
        group, now, before = wanted
        self.assertEqual(list(got), [*(group if names else ()), *AFTER_NAMES])
        self.assertEqual({n: got[n] for n in group}, group)
        for name in ("requests", "responses", "unpriced_requests", "unpriced_tokens", "guessed_requests",
                     "reported_requests"):
            self.assertEqual(got[name], now[name], name)
        cost, told, answered = now["cost_pusd"], now["reported_cost_pusd"], now["responses"]
        self.assertEqual(Decimal(got["estimated_cost_usd_decimal"]), usd(cost))
        exact = {"estimated_cost_usd": cost, "reasoning_cost_usd": now["cost_reasoning_pusd"],
                 "completion_cost_usd": now["cost_output_pusd"] + now["cost_reasoning_pusd"],
                 "cache_savings_usd": now["cache_savings_pusd"], "request_cost_usd": now["cost_request_pusd"],
                 "uncached_prompt_cost_usd": now["cost_input_pusd"],
                 "cached_prompt_cost_usd": now["cost_cached_input_pusd"],
                 "cache_write_5m_cost_usd": now["cost_cache_write_5m_pusd"],
                 "cache_write_1h_cost_usd": now["cost_cache_write_1h_pusd"],
                 "reported_cost_usd": told if now["reported_requests"] else None,
                 "before_estimated_cost_usd": before["cost_pusd"] if kept else None,
                 "change_usd": cost - before["cost_pusd"] if kept else None}
        alike = answered and now["reported_requests"] == answered and not now["unpriced_requests"]
        exact["reported_difference_usd"] = told - cost if alike else None
        for name, pusd in exact.items():  # numbers of so few digits are read as they are
            self.assertEqual(got[name], None if pusd is None else usd(pusd), name)
        self.assertEqual(sum(got[p] for p in PARTS), got["estimated_cost_usd"])
        priced = answered - now["unpriced_requests"]
        tokens = sum(now[t] for t in TOKENS) - now["unpriced_tokens"]
        part = lambda n, of: Fraction(n, of) if of else None
        dollars = Fraction(cost, 10 ** 12)
        ratios = {"share": part(cost, total), "unpriced_share": part(now["unpriced_requests"], answered),
                  "guessed_share": part(now["guessed_requests"], answered),
                  "reported_share": part(now["reported_requests"], answered),
                  "cost_per_request_usd": dollars / priced if priced else None,
                  "cost_per_million_tokens_usd": dollars * 10 ** 6 / tokens if tokens else None,
                  "change_percent": part(100 * (cost - before["cost_pusd"]), before["cost_pusd"]) if kept else None}
        for name, exact in ratios.items():
            if exact is None or got[name] is None:
                self.assertIsNone(got[name], name)
                self.assertIsNone(exact, name)
            else:
                self.assertTrue(near(got[name], exact), (name, got[name], float(exact)))

    def check(self, answer, frm, to, limit=100, kept=True, **asked):
        rows, whole, total = self.wanted(frm, to, kept=kept, **asked)
        self.assertEqual(answer["count"], min(len(rows), limit))
        for got, wanted in zip(answer["cost"], rows[:limit], strict=True):
            self.check_row(got, wanted, total, kept)
        self.assertEqual(answer["total"] is None, whole is None)
        if whole:
            self.check_row(answer["total"], whole, total, kept)
        self.assertEqual(answer["before_from"], at(2 * frm - to) if kept else None)
        self.assertEqual((answer["from"], answer["to"], answer["next_cursor"]), (at(frm), at(to), None))
        return len(answer["cost"])

    def get(self, headers=None, **query):
        """(status, header, body)"""
        c = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=30)
        try:
            c.request("GET", "/v1/cost?" + urllib.parse.urlencode(query, doseq=True), headers=headers or {})
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def ask(self, headers=None, **query):
        status, _, body = self.get(headers, **query)
        self.assertEqual(status, 200, body)
        return json.loads(body, parse_float=Decimal)


class Costs(Facts):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api = cls.stack.start("metrics-api")

    def test_any_groups_of_any_range_to_the_digit(self):
        rng, rows = random.Random(1), 0
        for _ in range(150):
            frm = rng.choice((DAY, 30 * HOUR, rng.randrange(24 * 60, 47 * 60) * MINUTE))
            to = min(2 * DAY, frm + rng.choice((HOUR, DAY, MINUTE, rng.randrange(1, 24 * 60) * MINUTE)))
            tenant = rng.choice(("acme", "globex", "*"))
            group_by = tuple(n for n in NAMES if rng.random() < .5)
            query = {"tenant_id": tenant, "from": at(frm), "to": at(to), "group_by": ",".join(group_by) or "none"}
            routes, models = rng.choice(((), ("/chat",), ("/b", "/search"))), rng.choice(((), ("m2",)))
            query |= {"route": routes} if routes else {}
            query |= {"model": models} if models else {}
            keep = lambda s, t=tenant, r=routes, m=models: t in ("*", s[0]) and (not r or s[1] in r) and \
                (not m or s[2] in m)
            rows += self.check(self.ask(**query), frm, to, group_by=group_by, keep=keep)
        self.assertGreater(rows, 200)

    def test_by_default_it_is_a_day_by_model(self):
        answer = self.ask(tenant_id="acme", to=at(2 * DAY))
        self.assertEqual(self.check(answer, DAY, 2 * DAY, keep=lambda s: s[0] == "acme"), 2)
        self.assertFalse(answer["open_windows"])
        now = self.ask(tenant_id="acme")
        length = datetime.datetime.fromisoformat(now["to"]) - datetime.datetime.fromisoformat(now["from"])
        self.assertEqual((length.total_seconds(), now["cost"], now["total"]), (DAY, [], None))

    def test_a_limit_cuts_the_rows_and_not_the_total(self):
        query = {"tenant_id": "*", "from": at(DAY), "to": at(2 * DAY), "group_by": "tenant_id,route,model"}
        for limit in (1, 5, 12, 13):
            self.check(self.ask(**query, limit=limit), DAY, 2 * DAY, limit, group_by=NAMES)

    def test_changes_sum_to_that_of_the_total(self):
        answer = self.ask(tenant_id="*", **{"from": at(DAY), "to": at(2 * DAY)}, group_by="route,model,tenant_id")
        for name in ("estimated_cost_usd", "before_estimated_cost_usd", "change_usd", *PARTS, "cache_savings_usd"):
            self.assertEqual(sum(r[name] for r in answer["cost"]), answer["total"][name], name)
        self.assertTrue(any(r["requests"] == 0 and r["before_estimated_cost_usd"] for r in answer["cost"]))
        self.assertEqual(answer["total"]["share"], 1)

    def test_the_other_formats_have_the_same_rows(self):
        query = {"tenant_id": "*", "from": at(DAY), "to": at(2 * DAY), "group_by": "tenant_id,route"}
        rows = self.ask(**query)["cost"]
        status, headers, body = self.get(**query, format="ndjson")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/x-ndjson"))
        self.assertEqual([json.loads(x, parse_float=Decimal) for x in body.decode().splitlines()], rows)
        for more, accept in (({"format": "csv"}, "*/*"), ({}, "text/csv")):
            status, headers, body = self.get({"Accept": accept}, **query, **more)
            self.assertEqual((status, headers.get_content_type()), (200, "text/csv"))
            got = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
            self.assertEqual([list(r) for r in got], [list(r) for r in rows])
            for a, b in zip(got, rows, strict=True):
                for name in b:
                    self.assertEqual(a[name] if isinstance(b[name], str) else a[name] and Decimal(a[name]),
                                     "" if b[name] is None else b[name], name)

    def test_what_is_counted_meanwhile_is_in_the_next_answer(self):
        query = {"tenant_id": "acme", "from": at(DAY), "to": at(2 * DAY), "group_by": "none"}
        wait_for(lambda: self.api.metric("streamlens_pg_listen_connected") == 1, "somebody who listens")
        before = self.ask(**query)
        _, headers, _ = self.get(**query)
        tag = headers["ETag"]
        self.assertEqual(headers["Cache-Control"], "private, no-cache")  # whatever its age, it may be priced anew
        self.assertEqual(self.get({"If-None-Match": tag}, **query)[0], 304)
        pusd = 10 ** 12 + 1
        added, since_1970 = usd(pusd), int(MIDNIGHT.timestamp()) // MINUTE
        flushed = lambda first, last: (f"NOTIFY streamlens_flush, '{since_1970 + first // MINUTE}-"
                                       f"{since_1970 + last // MINUTE - 1}'; COMMIT")
        for start in (DAY, 0):  # now, and in the range before
            self.stack.sql("BEGIN;" + "".join(
                f"UPDATE {table} SET cost_pusd = cost_pusd + {pusd} WHERE series_id = 2 AND window_start = (SELECT"
                f" min(window_start) FROM {table} WHERE series_id = 2 AND window_start >= '{at(start)}');"
                for table in ("llm_minute", "llm_hour")) + flushed(start, start + DAY))
        names = ("estimated_cost_usd", "before_estimated_cost_usd")
        wait_for(lambda: all(self.ask(**query)["total"][n] == before["total"][n] + added for n in names),
                 "both amounts", 3)  # CACHE_MAX_AGE_MS is 10 s
        parts = " + ".join(f"cost_{c}_pusd" for c in CLASSES)
        self.stack.sql("BEGIN;" + "".join(f"UPDATE {table} SET cost_pusd = {parts} WHERE cost_pusd <> {parts};"
                                          for table in ("llm_minute", "llm_hour")) + flushed(0, 2 * DAY))
        wait_for(lambda: self.ask(**query)["total"] == before["total"], "the amounts as they were", 5)

    def test_windows_are_open_where_those_of_the_range_are(self):
        query = {"tenant_id": "*", "from": at(DAY), "to": at(2 * DAY)}
        for start, is_open in ((DAY - HOUR, False), (DAY + HOUR, True)):
            one = f"window_start = (SELECT min(window_start) FROM llm_window WHERE window_start >= '{at(start)}')"
            notify = "NOTIFY streamlens_flush, '*'; COMMIT"
            self.stack.sql(f"BEGIN; UPDATE llm_window SET closed_at = NULL, complete = false WHERE {one}; {notify}")
            try:
                first_asked = {**query, "limit": 20 + is_open}  # so that no answer is kept
                self.assertEqual(self.ask(**first_asked)["open_windows"], is_open)
            finally:
                self.stack.sql(f"BEGIN; UPDATE llm_window SET closed_at = now(), complete = true WHERE {one}; {notify}")

    def test_what_is_refused(self):
        for query, field in (({"tenant_id": "acme", "group_by": "user"}, "group_by"), ({}, "tenant_id"),
                             ({"tenant_id": "acme", "limit": 10001}, "limit"),
                             ({"tenant_id": "acme", "format": "xml"}, "format"),
                             ({"tenant_id": "acme", "from": at(DAY), "to": at(DAY)}, "from"),
                             ({"tenant_id": "acme", "from": "0001-01-01T00:00:00Z", "to": "0002-01-01T00:00:00Z"},
                              "from")):
            status, _, body = self.get(**query)
            self.assertEqual((status, json.loads(body)["field"]), (400, field), query)


class Kept(Facts):
    """With minutes and hours gone."""

    def keep(self, minutes_from=None, hours_from=None):
        value = lambda t: "NULL" if t is None else f"'{at(t)}'"
        self.stack.sql(f"UPDATE streamlens_retention SET minutes_from = {value(minutes_from)},"
                       f" hours_from = {value(hours_from)}; NOTIFY streamlens_flush, '*'")
        if self.stack.services.get("metrics-api"):
            self.api.kill()
        type(self).api = self.stack.start("metrics-api")

    def cost(self, frm, to, kept=True):
        return self.check(self.ask(tenant_id="*", **{"from": at(frm), "to": at(to)}), frm, to, kept=kept)

    def test_what_is_gone_is_compared_with_nothing(self):
        self.keep(minutes_from=DAY)
        self.cost(DAY, 2 * DAY)  # before: whole hours
        self.cost(DAY + 12 * HOUR, DAY + 15 * HOUR)
        self.cost(DAY + 5 * MINUTE, DAY + 20 * MINUTE, kept=False)
        self.cost(30 * HOUR + MINUTE, 36 * HOUR + MINUTE)
        self.cost(30 * HOUR + MINUTE, 37 * HOUR + MINUTE, kept=False)
        self.cost(12 * HOUR, DAY)  # of hours alone
        status, _, body = self.get(tenant_id="*", **{"from": at(12 * HOUR + MINUTE), "to": at(DAY)})
        self.assertEqual((status, json.loads(body)["field"]), (400, "from"))
        self.keep(minutes_from=DAY, hours_from=12 * HOUR)
        self.cost(DAY, 2 * DAY, kept=False)
        self.cost(DAY, DAY + 12 * HOUR)
        self.cost(DAY, DAY + 13 * HOUR, kept=False)
        for _ in range(3):  # whoever has asked before
            self.cost(DAY + HOUR, 2 * DAY, kept=False)


class Whose(Facts):
    ENV = {"AUTH": "key", "AUTH_REFRESH_MS": "200"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = {t: {"X-API-Key": add_key(cls.stack, t, "read")} for t in ("acme", "globex")}
        cls.operator = {"X-API-Key": add_key(cls.stack, "", "admin")}
        cls.api = cls.stack.start("metrics-api")

    def test_each_sees_its_own(self):
        span = {"from": at(DAY), "to": at(2 * DAY)}
        for tenant, key in self.keys.items():
            for more, group_by in (({}, ("model",)), ({"group_by": "none"}, ()),
                                   ({"group_by": "tenant_id,route"}, ("tenant_id", "route"))):
                answer = self.ask(key, **span, **more)
                self.check(answer, DAY, 2 * DAY, group_by=group_by, keep=lambda s, t=tenant: s[0] == t)
                self.assertEqual(answer, self.ask(key, tenant_id=tenant, **span, **more))
        answers = {self.get(self.keys["acme"], tenant_id=t, **span)[::2] for t in ("globex", "*", "nobody")}
        self.assertEqual([status for status, _ in answers], [403])
        self.check(self.ask(self.operator, tenant_id="*", **span), DAY, 2 * DAY)
        self.assertEqual(self.get(self.operator, **span)[0], 400)
        self.assertEqual(self.get(**span)[0], 401)


if __name__ == "__main__":
    unittest.main()
