# SPDX-License-Identifier: Apache-2.0
"""GET /v1/prices of metrics-api on a real catalogue: the list against the price file, what names cost against
prices.py, whose cards anybody sees, and that a new version is there with the next question."""
import concurrent.futures
import csv
import http.client
import io
import json
import os
import signal
import socket
import struct
import unittest
import urllib.parse
from decimal import Decimal

from keys import add_key
from prices import TOKEN_CLASSES, UNPRICED, Catalogue
from stack import ROOT, Stack, freeze, wait_for

CLASSES = (*TOKEN_CLASSES, "request")
COLUMNS = ("model tenant_id provider aliases tier above_tokens input cached_input cache_write_5m cache_write_1h output"
           " reasoning request discount_percent effective_from version withdrawn source as_of").split()
SECRET = "globex-secret"
NOW_S = 1795219200  # 2026-11-21T00:00:00Z


def catalogue_lines():
    with open(os.path.join(ROOT, "deploy", "admin", "prices", "catalogue.csv"), encoding="utf-8") as f:
        text = f.read()
    return text, list(csv.DictReader(line for line in text.splitlines() if line.strip() and line[0] != "#"))


class Client:
    def __init__(self, port, key=None):
        self.port, self.headers = port, {"X-API-Key": key} if key else {}

    def get(self, headers=None, **query):
        """(status, header, body)"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            c.request("GET", "/v1/prices?" + urllib.parse.urlencode(query), headers={**self.headers, **(headers or {})})
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def json(self, **query):
        status, _, body = self.get(**query)
        assert status == 200, (query, status, body)
        return json.loads(body, parse_float=Decimal)

    def rows(self, **query):
        return self.json(**query)["prices"]

    def pages(self, limit, between=None, **query):
        """Of all pages: (rows, answers); between is called behind the first one."""
        rows, answers, cursor = [], [], ""
        while cursor is not None:
            answers.append(self.json(limit=limit, cursor=cursor, **query))
            rows += answers[-1]["prices"]
            cursor = answers[-1]["next_cursor"]
            if between and len(answers) == 1:
                between()
        return rows, answers


class Case(unittest.TestCase):
    ENV = {}

    @classmethod
    def setUpClass(cls):
        cls.stack = s = Stack(env=cls.ENV).__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)

    def add(self, *cards):
        """A new version of these cards, columns by name, past the tool; its number."""
        return int(self.stack.sql(self.added(*cards)))

    @staticmethod
    def added(*cards):
        new = "(SELECT version FROM v)"
        rows = []
        for card in cards:
            columns = {"tenant_id": "''", "effective_from": "'-infinity'", "tier": "''", "above_tokens": "0",
                       "provider": "''", "aliases": "'{}'", "source": "'a test'",
                       **{k: f"'{v}'" if isinstance(v, str) else str(v) for k, v in card.items()}}
            names = ", ".join(("version", *columns))
            rows.append(f"{names}) VALUES ({new}, {', '.join(columns.values())}")
        inserts = "".join(f", c{i} AS (INSERT INTO llm_price ({r}))" for i, r in enumerate(rows))
        return ("WITH v AS (INSERT INTO llm_price_version (version, origin)"
                f" SELECT max(version) + 1, 'set' FROM llm_price_version RETURNING version){inserts}"
                " SELECT version FROM v")

    def refused(self, answer, field, *says):
        status, headers, body = answer
        self.assertEqual((status, headers["Content-Type"]), (400, "application/problem+json"), body)
        problem = json.loads(body)
        self.assertEqual(problem.get("field"), field, problem)
        for word in says:
            self.assertIn(word, problem["detail"])


class Prices(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text, cls.lines = catalogue_lines()
        cls.api = cls.stack.start("metrics-api")
        cls.client = Client(cls.api.port)

    def setUp(self):
        self.stack.sql("DELETE FROM llm_price WHERE version > 1")
        self.version = self.add()

    # ---- the list ----

    def test_the_list_is_the_price_file(self):
        rows = self.client.rows(at=NOW_S)
        self.assertEqual([list(r) for r in rows], [COLUMNS] * len(rows))
        wanted = []
        for line in self.lines:
            self.assertEqual(line["unit"], "USD/Mtok")
            number = lambda name, line=line: Decimal(line[name]) if line.get(name) else None
            first = next(r for r in self.lines if r["model"] == line["model"])  # of whose card all its lines are
            line = {**line, **{n: first[n] for n in ("provider", "aliases", "source", "as_of") if not line[n]}}
            wanted.append({
                **{n: line.get(n) or "" for n in ("model", "provider", "aliases", "tier", "source")},
                **{n: number(n) for n in (*CLASSES, "discount_percent")}, "tenant_id": None,
                "above_tokens": int(line.get("above_tokens") or 0),
                "effective_from": line.get("effective_from") or None,
                "version": 1, "withdrawn": False, "as_of": line["as_of"] or None})
        wanted.sort(key=lambda r: (r["model"].lower().encode(), r["tier"].encode(), r["above_tokens"]))
        self.assertGreater(len(wanted), 100)
        self.assertEqual({r["effective_from"] for r in wanted}, {None})
        self.assertEqual(rows, wanted)

    def test_it_says_as_of_when_and_of_which_version(self):
        answer = self.client.json(limit=3, at="2026-11-21T00:00:59.9Z")
        self.assertEqual((answer["at"], answer["catalogue_version"], answer["count"]),
                         ("2026-11-21T00:00:00Z", self.version, 3))
        self.assertEqual(list(answer), ["prices", "count", "at", "catalogue_version", "next_cursor"])

    def test_the_other_formats_have_the_same_rows(self):
        self.add({"model": "=cmd", "input_pusd": 1500000, "output_pusd": 2, "aliases": "{b,c-d}"},
                 {"model": "free", "input_pusd": 0, "output_pusd": 0, "request_pusd": 125000000})
        rows = self.client.rows(at=NOW_S)
        status, headers, body = self.client.get(at=NOW_S, format="ndjson")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/x-ndjson"))
        self.assertEqual([json.loads(line, parse_float=Decimal) for line in body.decode().splitlines()], rows)
        for query, accept in (({"format": "csv"}, "*/*"), ({}, "text/csv")):
            status, headers, body = self.client.get({"Accept": accept}, at=NOW_S, **query)
            self.assertEqual((status, headers.get_content_type()), (200, "text/csv"))
            text = io.StringIO(body.decode(), newline="")
            numbers = (*CLASSES, "discount_percent")
            got = [{n: v and Decimal(v) if n in numbers else v for n, v in r.items()} for r in csv.DictReader(text)]
            self.assertEqual(got, [self.as_csv(r) for r in rows])
        _, headers, _ = self.client.get(at=NOW_S, format="csv", limit=2)
        self.assertEqual(headers["StreamLens-Next-Cursor"], self.client.json(at=NOW_S, limit=2)["next_cursor"])

    @staticmethod
    def as_csv(row):
        return {name: "" if v is None else str(v).lower() if isinstance(v, bool) else
                "'" + v if name == "model" and v.startswith("=") else
                v if name in (*CLASSES, "discount_percent") else str(v) for name, v in row.items()}

    def test_a_prefix_is_of_the_models_own_name_in_any_case(self):
        every = self.client.rows()
        for prefix in ("gpt-4", "GPT-4", "claude-opus-4-5", "no such", "_", "%"):
            self.assertEqual(self.client.rows(prefix=prefix),
                             [r for r in every if r["model"].lower().startswith(prefix.lower())])
        self.assertGreater(len(self.client.rows(prefix="gpt-4")), 5)

    def test_pages_are_those_of_one_version_whatever_is_added_meanwhile(self):
        version = self.add({"model": "gpt-4o", "tenant_id": "acme", "discount_ppm": 100000})
        query = {"tenant_id": "acme", "at": NOW_S}
        whole = self.client.rows(**query)
        change = lambda: self.add({"model": "a-new-one", "input_pusd": 1, "output_pusd": 1},
                                  {"model": "zz-new", "input_pusd": 1, "output_pusd": 1},
                                  {"model": "gpt-5", "withdrawn": "true"},
                                  {"model": "o3", "input_pusd": 7, "output_pusd": 7})
        rows, answers = self.client.pages(7, change, **query)
        self.assertEqual({a["catalogue_version"] for a in answers}, {version})
        self.assertEqual(rows, whole)
        whole = self.client.rows(**query)
        self.assertEqual(len({r["model"] for r in whole} & {"a-new-one", "zz-new"}), 2)
        for limit in (1, 50, len(whole) - 1, len(whole)):
            rows, answers = self.client.pages(limit, **query)
            self.assertEqual(rows, whole)
            self.assertTrue(all(a["count"] <= limit for a in answers))

    def test_a_page_is_bounded_in_bytes_too(self):
        version = self.add()
        aliases = "(SELECT array_agg(i || '-' || k || repeat('x', 240)) FROM generate_series(1, 100) k)"
        self.stack.sql("INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens,"
                       f" provider, aliases, input_pusd, output_pusd, source) SELECT {version}, '', 'long-' || i,"
                       f" '-infinity', '', 0, '', {aliases}, 1, 1, '' FROM generate_series(1, 500) i")
        rows, answers = self.client.pages(10000, prefix="long-")
        self.assertEqual((len(answers), len({r["model"] for r in rows}), len(rows)), (2, 500, 500))
        for form in ("json", "ndjson", "csv"):
            size = len(self.client.get(prefix="long-", format=form)[2])
            self.assertTrue(8 << 20 <= size < (8 << 20) + (32 << 10), (form, size))

    def test_later_pages_are_as_of_the_first_ones_instant(self):
        first = self.client.json(limit=2)
        second = self.client.json(limit=2, cursor=first["next_cursor"])
        self.assertEqual(second["at"], first["at"])
        for other in ({"at": NOW_S}, {"prefix": "g"}, {"tenant_id": "acme"}, {"tenant_id": "*"}):
            self.refused(self.client.get(limit=2, cursor=first["next_cursor"], **other), "cursor")
        at = self.client.json(limit=2, at="2026-11-21T00:00:30Z")["next_cursor"]
        self.assertEqual(self.client.get(limit=2, cursor=at, at=NOW_S)[0], 200)  # the same minute
        self.refused(self.client.get(limit=2, cursor=at, at=NOW_S + 60), "cursor")

    # ---- as of when ----

    def test_a_price_counts_from_its_minute_on(self):
        self.add({"model": "m", "input_pusd": 1000000, "output_pusd": 1})
        self.add({"model": "m", "input_pusd": 2000000, "output_pusd": 1, "effective_from": "2026-11-21T00:01:00Z"})
        since = "2026-11-21T00:01:00Z"
        for at, price, start in (("2026-11-21T00:00:59.999Z", 1, None), (NOW_S + 60, 2, since),
                                 ("0001-01-01T00:00:00Z", 1, None), ("9999-12-31T23:59:59Z", 2, since)):
            row, = self.client.rows(prefix="m", at=at)[:1]
            self.assertEqual((row["model"], row["input"], row["effective_from"]), ("m", price, start), at)
            found = self.client.json(name="m", at=at)
            self.assertEqual((found["prices"][0]["input"], found["effective_from"]), (price, start), at)
        for at in ("x", "2026-13-01T00:00:00Z", "now-1y", "-1"):
            self.refused(self.client.get(at=at), "at")

    def test_what_is_withdrawn_is_listed_without_prices_and_found_by_nothing(self):
        self.add({"model": "m", "input_pusd": 1000000, "output_pusd": 1, "aliases": "{m-old}"})
        self.add({"model": "m", "withdrawn": "true", "effective_from": "2026-11-21T00:00:00Z"})
        row, = (r for r in self.client.rows(prefix="m", at=NOW_S) if r["model"] == "m")
        self.assertTrue(row["withdrawn"])
        self.assertEqual({row[c] for c in CLASSES}, {None})
        for name in ("m", "m-old"):
            self.assertEqual(self.client.json(name=name, at=NOW_S)["step"], "unpriced")
            self.assertEqual(self.client.json(name=name, at=NOW_S - 60)["step"], "exact")

    # ---- one name ----

    def test_names_find_what_they_must_and_cost_what_the_file_says(self):
        oracle = Catalogue()
        oracle.add_file(self.text, 1)
        with open(os.path.join(ROOT, "tests", "unit", "price_names.csv"), encoding="utf-8") as f:
            names = list(csv.DictReader(line for line in f if line.strip() and line[0] != "#"))
        checked = 0
        for name, model, step in (n.values() for n in names[::7]):
            found = self.client.json(name=name, at=NOW_S)
            wanted = ("unpriced", None) if model == "unpriced" else (step, model.lower())
            self.assertEqual((found["step"], found["model"] and found["model"].lower()), wanted, name)
            self.assertEqual((found["name"], found["asked"], found["by_asked"]), (name, None, False))
            for line in found["prices"]:
                rates, _ = oracle.rates(1, NOW_S, "", [[model]], line["tier"], line["above_tokens"])
                self.assertEqual([line[c] for c in CLASSES], [r.scaleb(6) for r in rates[:-1]] + [rates[-1]], name)
                checked += 1
            if model == "unpriced":
                self.assertEqual((found["prices"], found["version"], found["source"]), ([], None, None))
        self.assertGreater(checked, 50)

    def test_what_was_asked_for_is_tried_when_the_answered_name_has_no_price(self):
        found = self.client.json(name="no-such-model", asked="gpt-4o")
        self.assertEqual((found["model"], found["by_asked"], found["asked"]), ("gpt-4o", True, "gpt-4o"))
        found = self.client.json(name="gpt-4o-mini", asked="gpt-4o")
        self.assertEqual((found["model"], found["by_asked"]), ("gpt-4o-mini", False))
        found = self.client.json(name="no-such-model", asked="nor-this")
        self.assertEqual((found["model"], found["step"], found["by_asked"]), (None, "unpriced", False))
        self.assertEqual(self.client.json(name="__other__", asked="gpt-4o")["step"], "unpriced")

    def test_a_default_price_is_a_guess(self):
        self.add({"model": "*", "input_pusd": 10000000, "output_pusd": 30000000})
        found = self.client.json(name="no-such-model")
        self.assertEqual((found["step"], found["model"]), ("default", "*"))
        self.assertEqual([found["prices"][0][c] for c in CLASSES], [10, 10, 10, 10, 30, 30, 0])

    def test_what_does_not_go_with_a_name(self):
        for more, field in (({"prefix": "g"}, "prefix"), ({"format": "csv"}, "format"),
                            ({"format": "ndjson"}, "format"),
                            ({"cursor": "x"}, "cursor"), ({"tenant_id": "*"}, "tenant_id")):
            self.refused(self.client.get(name="gpt-4o", **more), field)
        self.refused(self.client.get(asked="gpt-4o"), "asked", "name")
        for more in ({"format": "json"}, {"limit": 1}, {"prefix": ""}):
            self.assertEqual(self.client.json(name="gpt-4o", **more)["model"], "gpt-4o")
        status, headers, _ = self.client.get({"Accept": "text/csv"}, name="gpt-4o")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        for name, value in (("name", "n" * 256), ("asked", "n" * 256), ("prefix", "n" * 256), ("name", "a\nb")):
            self.refused(self.client.get(**{"name": "n", name: value} if name != "prefix" else {name: value}), name)
        self.refused(self.client.get(limit=10001), "limit")

    # ---- discounts ----

    def test_a_discount_is_on_what_everybody_pays(self):
        oracle = Catalogue()
        oracle.add_file(self.text, 1)
        version = self.add({"model": "gpt-4o", "tenant_id": "acme", "discount_ppm": 125001, "request_pusd": 5000000},
                           {"model": "*", "tenant_id": "acme", "discount_ppm": 500000})
        oracle.add_file("tenant,model,unit,request,discount_percent,effective_from,tier,above_tokens\n"
                        "acme,gpt-4o,USD/Mtok,0.000005,12.5001,,,\nacme,*,USD/Mtok,,50,,,\n", version)
        for name, percent, by in (("gpt-4o", Decimal("12.5001"), "gpt-4o"), ("o3", 50, "*")):
            found = self.client.json(name=name, tenant_id="acme", at=NOW_S)
            self.assertEqual((found["discount_percent"], found["discount_model"], found["discount_version"]),
                             (percent, by, version))
            self.assertEqual((found["tenant_id"], found["version"]), (None, 1))
            for line in found["prices"]:
                rates, _ = oracle.rates(version, NOW_S, "acme", [[name]], line["tier"], line["above_tokens"])
                self.assertNotEqual(rates, UNPRICED)
                self.assertEqual([line[c] for c in CLASSES], [r.scaleb(6) for r in rates[:-1]] + [rates[-1]])
            self.assertIsNone(self.client.json(name=name, at=NOW_S)["discount_percent"])
        rows = [r for r in self.client.rows(tenant_id="acme", at=NOW_S) if r["tenant_id"]]
        self.assertEqual([(r["model"], r["discount_percent"], r["request"], r["input"]) for r in rows],
                         [("*", 50, None, None), ("gpt-4o", Decimal("12.5001"), Decimal("0.000005"), None)])

    # ---- versions ----

    def taken_up(self):
        return self.api.log().count('"prices taken up"')

    def test_a_new_version_is_in_the_next_answer(self):
        for price in range(1, 20):
            version = self.add({"model": "m", "input_pusd": price * 1000000, "output_pusd": 1})
            found = self.client.json(name="m")
            self.assertEqual((found["prices"][0]["input"], found["catalogue_version"]), (price, version))

    def test_it_is_read_once_a_version_however_many_ask(self):
        self.client.json(name="m")
        for _ in range(5):
            before, version = self.taken_up(), self.add({"model": "m", "input_pusd": 1, "output_pusd": 1})
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                found = list(pool.map(lambda _: self.client.json(name="m"), range(64)))
            self.assertEqual({f["catalogue_version"] for f in found}, {version})
            wait_for(lambda b=before: self.taken_up() > b, "the log")
            self.assertEqual(self.taken_up(), before + 1)

    def test_of_those_who_waited_together_who_has_left_gets_no_answer(self):
        s = self.enterContext(Stack(env={"QUERY_TIMEOUT_MS": "60000"}))
        s.sql("DELETE FROM llm_price")  # read at once, by a process that looks at it before it looks at clients
        api = s.start("metrics-api")
        count = lambda result: api.metric(f'streamlens_metrics_answers_total{{result="{result}"}}')
        queries = lambda: api.metric('streamlens_pg_queries_total{result="ok"}')
        waiting = lambda: s.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            " AND application_name = 'streamlens-metrics-api'")
        asked, people = queries(), []
        with s.holding("LOCK TABLE llm_price IN ACCESS EXCLUSIVE MODE"):
            for _ in range(40):
                people.append(socket.create_connection(("127.0.0.1", api.port)))
                people[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # breaks off
                people[-1].sendall(b"GET /v1/prices HTTP/1.1\r\nHost: h\r\n\r\n")
            wait_for(lambda: queries() >= asked + 40 and waiting() == "1", "the reading, and all behind it")
            freeze(api.process.pid)
        try:
            wait_for(lambda: waiting() == "0", "the lock")
            for each in people:
                each.close()
        finally:
            os.kill(api.process.pid, signal.SIGCONT)
        wait_for(lambda: count("ok") + count("client_gone") == 40, "an end of all")
        self.assertGreaterEqual(count("client_gone"), 38)

    def test_a_tag_holds_while_nothing_changes(self):
        _, headers, _ = self.client.get(at=NOW_S)
        self.assertEqual(self.client.get({"If-None-Match": headers["ETag"]}, at=NOW_S)[0], 304)
        self.add({"model": "m", "input_pusd": 1, "output_pusd": 1})
        self.assertEqual(self.client.get({"If-None-Match": headers["ETag"]}, at=NOW_S)[0], 200)
        self.assertEqual(headers["Cache-Control"], "private, no-cache")

    def test_a_catalogue_that_cannot_be_used_is_503_and_the_log_says_why(self):
        self.client.json(name="gpt-4o")
        says = '"the prices cannot be used"'
        version = self.add({"model": "m", "input_pusd": 1, "output_pusd": 1},
                           {"model": "m", "input_pusd": 1, "output_pusd": 1, "tier": "UPPER"})
        for query in ({}, {"name": "gpt-4o"}, {"limit": 1}):
            status, headers, body = self.client.get(**query)
            self.assertEqual((status, headers["Retry-After"]), (503, "1"))
            self.assertNotIn(b"UPPER", body)
            self.assertIn("log", json.loads(body)["detail"])
        line, = (json.loads(x) for x in self.api.log().splitlines() if says in x)
        self.assertEqual((str(line["version"]), line["column"]), (str(version), "tier"))
        self.assertIn("lower case", line["error"])
        self.stack.sql(f"DELETE FROM llm_price WHERE version = {version} AND tier <> ''")
        wait_for(lambda: self.client.get(name="m")[0] == 200, "prices that were mended", 15)
        self.assertEqual(self.client.json(name="m")["catalogue_version"], version)

    def test_no_catalogue_at_all_prices_nothing(self):
        with Stack() as s:
            s.sql("DELETE FROM llm_price; DELETE FROM llm_price_version")
            client = Client(s.start("metrics-api").port)
            answer = client.json()
            self.assertEqual((answer["prices"], answer["catalogue_version"], answer["next_cursor"]), ([], 0, None))
            self.assertEqual(client.json(name="gpt-4o")["step"], "unpriced")


class Whose(Case):
    ENV = {"AUTH": "key", "AUTH_REFRESH_MS": "200"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.stack
        keys = {t: add_key(s, t, "read") for t in ("acme", "globex", "nobody")}
        operator = add_key(s, "", "admin")
        s.sql(cls.added(
            {"model": SECRET, "tenant_id": "globex", "input_pusd": 7000009, "output_pusd": 1, "aliases": "{secret-2}"},
            {"model": "gpt-4o", "tenant_id": "globex", "input_pusd": 7000009, "output_pusd": 1},
            {"model": "o3", "tenant_id": "globex", "discount_ppm": 77770},
            {"model": "acme-own", "tenant_id": "acme", "input_pusd": 1000003, "output_pusd": 1},
            {"model": "gpt-4o", "tenant_id": "acme", "discount_ppm": 111110}))
        cls.api = s.start("metrics-api")
        cls.acme, cls.globex, cls.nobody = (Client(cls.api.port, keys[t]) for t in ("acme", "globex", "nobody"))
        cls.operator = Client(cls.api.port, operator)

    def owners(self, client, **query):
        return {r["tenant_id"] for r in client.rows(**query)}

    def test_a_tenant_sees_its_own_cards_and_everybodys(self):
        for client, tenant in ((self.acme, "acme"), (self.globex, "globex")):
            self.assertEqual(self.owners(client), {None, tenant})
            self.assertEqual(client.json(), client.json(tenant_id=tenant))
        self.assertEqual(self.owners(self.nobody), {None})

    def test_never_anothers_whatever_is_asked(self):
        for query in ({}, {"prefix": "g"}, {"prefix": SECRET}, {"limit": 1}, {"at": "9999-01-01T00:00:00Z"},
                      {"name": SECRET}, {"name": "secret-2"}, {"name": "x", "asked": SECRET}, {"name": "gpt-4o"},
                      {"name": "o3"}, {"name": "*"}, {"format": "csv"}, {"format": "ndjson"}):
            for client in (self.acme, self.nobody):
                status, _, body = client.get(**query)
                self.assertEqual(status, 200)
                for word in (b"7.000009", b"7.777", b"globex" if SECRET not in query.values() else b'"globex"'):
                    self.assertNotIn(word, body, query)
        for client in (self.acme, self.nobody):
            rows, _ = client.pages(5)
            self.assertEqual({r["tenant_id"] for r in rows} - {None, "acme"}, set())
            self.assertEqual(client.json(name=SECRET)["step"], "unpriced")
        self.assertEqual(self.globex.json(name="secret-2")["tenant_id"], "globex")

    def test_another_tenant_is_403_alike_whether_it_exists(self):
        answers = set()
        for tenant in ("globex", "no-such", "*", "ACME", "acme "):
            for query in ({}, {"name": "gpt-4o"}, {"limit": 1}):
                status, _, body = self.acme.get(tenant_id=tenant, **query)
                self.assertEqual(status, 403)
                answers.add(body)
        self.assertEqual(len(answers), 1)

    def test_cursors_of_another_tenant(self):
        theirs = self.globex.json(limit=3)["next_cursor"]
        every = self.operator.json(tenant_id="*", limit=3)["next_cursor"]
        for cursor in (theirs, every, "A" * len(theirs)):
            self.refused(self.acme.get(limit=3, cursor=cursor), "cursor")

    def test_an_operator_names_whose(self):
        self.assertEqual(self.owners(self.operator), {None})
        self.assertEqual(self.owners(self.operator, tenant_id="globex"), {None, "globex"})
        self.assertEqual(self.owners(self.operator, tenant_id="*"), {None, "acme", "globex"})
        self.assertEqual(self.operator.json(name="gpt-4o")["prices"][0]["input"], Decimal("2.5"))
        self.assertEqual(self.operator.json(name="gpt-4o", tenant_id="globex")["prices"][0]["input"],
                         Decimal("7.000009"))

    def test_without_a_credential_there_is_nothing(self):
        self.assertEqual(Client(self.api.port).get()[0], 401)


if __name__ == "__main__":
    unittest.main()
