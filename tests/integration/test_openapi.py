# SPDX-License-Identifier: Apache-2.0
"""GET /openapi.json: it tells of every endpoint, parameter, field, bound, answer and error that there is, and of
no other. What it says is held against the tables in the code and against what the server answers."""
import gzip
import http.client
import json
import os
import re
import socket
import unittest
import urllib.parse

from keys import add_key, key_text
from schemas import problems
from stack import ROOT, Stack
from test_metrics_api import fill

QUESTIONS = ("metrics", "summary", "top", "heatmap", "cost", "series", "tenants", "routes", "models", "prices")
LISTS = ("series", "tenants", "routes", "models")
RANGE = {"from": "2025-11-20T11:01:00Z", "to": "2025-11-20T11:59:00Z"}  # of minutes: there are no hours
# What an answer can look like, by endpoint; without `percentiles`, `fields` and `group_by` all fields are there.
SHAPES = (
    *(("metrics", q) for q in (
        {}, RANGE, {"from": RANGE["from"]}, {"to": RANGE["to"]}, {"limit": "-1"}, {"limit": "3"}, {"order": "asc"},
        {"route": "none"}, {"percentiles": "50,95,99.9"}, {"fields": "requests,updated_at"},
        {"percentiles": "100,0.000001", "fields": "p100_ttft_ms"}, {**RANGE, "limit": "2"})),
    *(("metrics", {**RANGE, "step": "15m", **q}) for q in (
        {}, {"group_by": "none"}, {"group_by": "model"}, {"fill": "zero"}, {"fill": "null"}, {"limit": "1"},
        {"fill": "null", "percentiles": "95,7"}, {"fill": "zero", "percentiles": "95,7"}, {"tenant_id": "*"},
        {"route": "none", "fill": "zero", "group_by": "none"}, {"route": "none"})),
    ("metrics", {**RANGE, "step": "1d", "tz": "Europe/Berlin"}),
    *(("summary", q) for q in (RANGE, {"tenant_id": "*", **RANGE}, {"route": "none"}, {**RANGE, "percentiles": "7"},
                               {**RANGE, "fields": "requests"})),
    *(("top", {**RANGE, **q}) for q in ({}, {"group_by": "none"}, {"group_by": "tenant_id,route,model"}, {"by": "p95"},
                                        {"route": "none"}, {"percentiles": "7,95"}, {"fields": "errors"})),
    *(("heatmap", {**RANGE, **q}) for q in ({}, {"metric": "ttft"}, {"step": "7d"}, {"route": "none"})),
    *(("cost", {**RANGE, **q}) for q in ({}, {"group_by": "none"}, {"group_by": "tenant_id,route,model"},
                                         {"limit": "1"}, {"route": "none"}, {"tenant_id": "*"},
                                         {"from": "2025-11-20T11:30:00Z"})),
    *(("prices", {**RANGE, **q}) for q in ({}, {"limit": "1"}, {"prefix": "none"}, {"tenant_id": "*"},
                                           {"at": "2025-11-20T11:30:00Z"}, {"name": "gpt-4o"}, {"name": "none"},
                                           {"name": "none", "asked": "gpt-4o"})),
    *((name, {**RANGE, **q}) for name in LISTS for q in ({}, {"limit": "1"}, {"prefix": "none"})),
)


def source(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def get(port, target, method="GET", **headers):
    """(status, header, body)"""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        c.request(method, target, headers={k.replace("_", "-"): v for k, v in headers.items()})
        r = c.getresponse()
        return r.status, r.headers, r.read()
    finally:
        c.close()


def parameter_table():
    """Of question.c: name -> (endpoints, whether it may be repeated)."""
    text = source("metrics-api", "question.c")
    words = {n.upper(): {n} for n in (*QUESTIONS, "stream")}
    words = {f"BIT({k})": v for k, v in words.items()}
    words["LISTS"], words["STEPPED"], words["EVERY"] = \
        set(LISTS), {"metrics", "heatmap"}, {*QUESTIONS, "stream"} - {"prices"}
    found = {}
    for name, endpoints, repeats in re.findall(
            r'\[PARAM_\w+\] = \{"(\w+)",\s*\w+,\s*([A-Z()|&~ \n]+),\s*(true|false)\}', text):
        some = set()
        for part in endpoints.replace("\n", " ").split("|"):
            plus, *minus = (p.strip() for p in part.split("& ~"))
            some |= words[plus].difference(*(words[m] for m in minus))
        found[name] = (some, repeats == "true")
    return found


class Document(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = s = Stack().__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        fill(s, [("acme", "/chat", "gpt-4o", range(90)), ("acme", "/search", "m", range(0, 90, 7)),
                 ("globex", "/chat", "m", range(5))], 200)
        cls.api = s.start("metrics-api")
        cls.doc = json.loads(get(cls.api.port, "/openapi.json")[2])

    def resolve(self, node):
        while "$ref" in node:
            at = self.doc
            for part in node["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            node = at
        return node

    def operation(self, path):
        return self.doc["paths"][path]["get"]

    def parameters(self, endpoint):
        found = [p for p in map(self.resolve, self.operation("/v1/" + endpoint)["parameters"]) if p["in"] == "query"]
        self.assertEqual(len({p["name"] for p in found}), len(found))
        return {p["name"]: p for p in found}

    def schema(self, node):
        """A schema that stands by itself."""
        return {**node, "components": self.doc["components"]}

    def ask(self, endpoint, query, **headers):
        query = {"tenant_id": "acme", **query}
        return get(self.api.port, f"/v1/{endpoint}?" + urllib.parse.urlencode(query, doseq=True), **headers)

    # ---- how it comes ----

    def test_it_has_a_tag_and_comes_compressed_to_whoever_takes_that(self):
        status, headers, plain = get(self.api.port, "/openapi.json")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        self.assertEqual(headers["Vary"], "Accept-Encoding")
        self.assertNotIn("Content-Encoding", headers)
        zipped = get(self.api.port, "/openapi.json", Accept_Encoding="gzip")
        self.assertEqual((zipped[0], zipped[1]["Content-Encoding"]), (200, "gzip"))
        self.assertEqual(gzip.decompress(zipped[2]), plain)
        self.assertLess(len(zipped[2]), len(plain) / 4)
        self.assertNotEqual(zipped[1]["ETag"], headers["ETag"])
        for accepts, tag in (("identity", headers["ETag"]), ("gzip", zipped[1]["ETag"])):
            again = get(self.api.port, "/openapi.json", If_None_Match=tag, Accept_Encoding=accepts)
            self.assertEqual((again[0], again[1]["ETag"], again[2]), (304, tag, b""))
        head = get(self.api.port, "/openapi.json", "HEAD")
        self.assertEqual((head[0], int(head[1]["Content-Length"]), head[2]), (200, len(plain), b""))
        off = self.stack.start("metrics-api-2", env={"HTTP_GZIP_LEVEL": "0"})
        self.addCleanup(off.kill)
        answer = get(off.port, "/openapi.json", Accept_Encoding="gzip")
        self.assertEqual((answer[1]["Content-Encoding"], answer[1]["Vary"], answer[2]), (None, None, plain))

    def test_it_names_the_programs_version(self):
        self.assertEqual(self.doc["openapi"], "3.1.0")
        self.assertEqual(self.doc["info"]["version"], re.search(r"version: '(.*?)'", source("meson.build"))[1])

    # ---- that it is whole ----

    def test_every_path_is_in_it_and_no_other(self):
        table = re.findall(r'\{"(\w+)", "(/[^"]*)"', source("metrics-api", "routes.c"))
        self.assertGreater(len(table), 10)
        told = [(method.upper(), path) for path, item in self.doc["paths"].items() for method in item]
        # /api/v1 is Prometheus' to describe: clients of it have no use for another document.
        self.assertIn("/api/v1", self.doc["info"]["description"])
        self.assertEqual(sorted(told), sorted((method, path) for method, path in table
                                              if not path.startswith("/api/v1/")))

    def test_every_parameter_is_in_it_and_no_other(self):
        table = parameter_table()
        self.assertEqual(len(table), source("metrics-api", "question_internal.h").count("    PARAM_") - 1)
        for path in self.doc["paths"]:
            if not path.startswith("/v1/"):
                self.assertEqual(self.operation(path).get("parameters", []), [], path)
                continue
            endpoint = path.removeprefix("/v1/")
            told = self.parameters(endpoint)
            self.assertEqual(set(told), {n for n, (where, _) in table.items() if endpoint in where}, path)
            for name, p in told.items():
                self.assertEqual(p["schema"].get("type") == "array", table[name][1], name)

    def test_every_field_of_a_row_is_in_it_in_its_order(self):
        fields = re.findall(r"^    (?:TEXT|TIME|COUNT|NUMBER|MAYBE|DECIMAL|OBJECT|BOOL)\((\w+)\)",
                            source("common", "core", "metrics_row.h"), re.M)
        row = json.loads(self.ask("metrics", {})[2])["metrics"][0]
        for name in ("Row", "EmptyRow"):
            self.assertEqual(list(self.doc["components"]["schemas"][name]["properties"]), fields)
        self.assertEqual(list(row), fields)
        for name, path, kinds in (("CostRow", "cost.h", "TEXT|COUNT|NUMBER|MAYBE|DECIMAL"),
                                  ("PriceRow", "price_book.h", "TEXT|TIME|COUNT|MAYBE|BOOL")):
            fields = re.findall(rf"^    (?:{kinds})\((\w+)\)", source("metrics-api", path), re.M)
            self.assertEqual(list(self.doc["components"]["schemas"][name]["properties"]), fields)
        summary = json.loads(self.ask("summary", RANGE)[2])["summary"]
        self.assertEqual(list(self.doc["components"]["schemas"]["Summaries"]["properties"]), list(summary))

    def test_nothing_in_it_leads_nowhere_or_is_of_no_use(self):
        used = set(re.findall(r'"\$ref": "#/components/(\w+/[\w-]+)"', json.dumps(self.doc)))
        there = {f"{kind}/{name}" for kind, parts in self.doc["components"].items() for name in parts}
        self.assertEqual(used, {n for n in there if not n.startswith("securitySchemes/")})
        self.assertEqual(set().union(*self.doc["security"]), set(self.doc["components"]["securitySchemes"]))
        ids = [op["operationId"] for item in self.doc["paths"].values() for op in item.values()]
        self.assertEqual(len(set(ids)), len(ids))
        for path, item in self.doc["paths"].items():
            for op in item.values():
                self.assertTrue(op["summary"] and op["description"], path)
                for status, response in op["responses"].items():
                    self.assertTrue(self.resolve(response)["description"], (path, status))
        for name, p in self.doc["components"]["parameters"].items():
            self.assertTrue(p["description"], name)

    # ---- that it is right ----

    def test_what_it_allows_is_taken_and_the_choices_are_those_that_a_refusal_names(self):
        for endpoint in QUESTIONS:
            for name, p in self.parameters(endpoint).items():
                choices = p["schema"].get("enum")
                if not choices:
                    continue
                more = {**RANGE, "step": "5m"} if name == "fill" else RANGE
                for choice in choices:
                    self.assertEqual(self.ask(endpoint, {**more, name: choice})[0], 200, (endpoint, name, choice))
                status, _, body = self.ask(endpoint, {**more, name: "x"})
                answer = json.loads(body)
                listed = ", ".join(choices[:-1]) + " or " + choices[-1]
                self.assertEqual((status, answer["field"], answer["detail"]), (400, name, f"{name} must be {listed}"))
                if "default" in p["schema"]:
                    del answer
                    same = [self.ask(endpoint, {**more, **q})[2] for q in ({}, {name: p["schema"]["default"]})]
                    self.assertEqual(same[0], same[1], (endpoint, name))

    def refused(self, endpoint, query, field):
        status, _, body = self.ask(endpoint, query)
        self.assertEqual((status, json.loads(body)["field"]), (400, field), (endpoint, query))

    def test_its_bounds_are_the_last_that_are_taken(self):
        name = self.doc["components"]["schemas"]["Name"]
        for endpoint in QUESTIONS:
            told = self.parameters(endpoint)
            for parameter in ("route", "model", "prefix", "tenant_id", "name"):
                if parameter in told:
                    self.assertEqual(self.ask(endpoint, {**RANGE, parameter: "n" * name["maxLength"]})[0], 200)
                    self.refused(endpoint, {parameter: "n" * (name["maxLength"] + 1)}, parameter)
            for parameter in {"route", "model"} & set(told):
                most = told[parameter]["schema"]["maxItems"]
                self.assertEqual(self.ask(endpoint, {**RANGE, parameter: [f"n{i}" for i in range(most)]})[0], 200)
                self.refused(endpoint, {parameter: [f"n{i}" for i in range(most + 1)]}, parameter)
            if "limit" in told:
                most = told["limit"]["schema"]["maximum"]
                self.assertEqual(self.ask(endpoint, {**RANGE, "limit": most})[0], 200)
                self.refused(endpoint, {"limit": most + 1}, "limit")
            if "percentiles" in told:
                pattern = told["percentiles"]["schema"]["pattern"]
                self.taken_just_if_matching(endpoint, "percentiles", pattern, (
                    ",".join(map(str, range(1, 17))), ",".join(map(str, range(1, 18))), "99.123456", "99.1234567",
                    "100", "5.", ".5", "1e1", "50,", "-1", "+1", "50 "))
            if "group_by" in told:
                pattern = told["group_by"]["schema"]["pattern"]
                self.taken_just_if_matching(endpoint, "group_by", pattern, (
                    "none", "model", "model,route,tenant_id", "none,model", "Model", "model,", "user"))
        tz = self.parameters("metrics")["tz"]["schema"]
        self.refused("metrics", {"step": "1d", "tz": "x" * (tz["maxLength"] + 1)}, "tz")
        self.assertIsNone(re.search(tz["pattern"], "/etc/passwd"))

    def taken_just_if_matching(self, endpoint, name, pattern, values):
        for value in values:
            status, _, body = self.ask(endpoint, {**RANGE, name: value})
            self.assertEqual(status == 200, bool(re.search(pattern, value)), (endpoint, name, value, body[:200]))

    def test_each_example_is_taken_and_of_its_own_schema(self):
        pairs, tried = [], 0
        for endpoint in QUESTIONS:
            for name, p in self.parameters(endpoint).items():
                for example in p.get("examples", {}).values():
                    value = example["value"]
                    pairs.append((self.schema(p["schema"]), value))
                    more = {"step": "1d"} if name == "tz" else {}
                    status, _, body = self.ask(endpoint, {**more, name: value})
                    self.assertEqual(status, 200, (endpoint, name, value, body[:200]))
                    tried += 1
        self.assertGreater(tried, 80)
        self.assertEqual(problems(pairs), [[]] * len(pairs))

    def check_response(self, path, answer):
        """Status, type, header and body are as the document has them."""
        status, headers, body = answer
        response = self.resolve(self.operation(path)["responses"][str(status)])
        for name, header in response.get("headers", {}).items():
            header = self.resolve(header)
            if header.get("required"):
                self.assertIn(name, headers, (path, status))
        media = (headers["Content-Type"] or "").partition(";")[0]
        told = response.get("content", {})
        if not told:
            self.assertEqual(body, b"", (path, status))
            return None
        self.assertIn(media, told, (path, status))
        return (self.schema(told[media]["schema"]), json.loads(body) if "json" in media and media[-6:] != "ndjson"
                else body.decode())

    def test_answers_of_every_kind_have_the_shape_that_it_gives(self):
        pairs = []
        for endpoint, query in SHAPES:
            answer = self.ask(endpoint, query)
            self.assertEqual(answer[0], 200, (endpoint, query, answer[2]))
            pairs.append(self.check_response("/v1/" + endpoint, answer))
        for (endpoint, query), wrong in zip(SHAPES, problems(pairs), strict=True):
            self.assertEqual(wrong, [], (endpoint, query))
        # And they were not empty.
        whole = {endpoint: answer for (endpoint, query), (_, answer) in zip(SHAPES, pairs, strict=True)
                 if query == RANGE}
        self.assertGreater(whole.pop("summary")["summary"]["requests"]["now"], 0)
        self.assertEqual(set(whole), {"metrics", "top", "heatmap", "cost", "prices", *LISTS})
        for endpoint, answer in whole.items():
            self.assertGreater(len(answer[endpoint]), 0, endpoint)

    def test_rows_in_other_formats_are_typed_as_it_says(self):
        for endpoint in ("metrics", "top", "cost", "prices"):
            for form, media in (("ndjson", "application/x-ndjson"), ("csv", "text/csv"), ("json", "application/json")):
                for answer in (self.ask(endpoint, {**RANGE, "format": form}), self.ask(endpoint, RANGE, Accept=media)):
                    self.assertEqual((answer[0], answer[1].get_content_type()), (200, media))
                    self.assertEqual(problems([self.check_response("/v1/" + endpoint, answer)]), [[]])

    def test_a_row_with_another_member_or_type_would_be_noticed(self):
        schema = self.schema({"$ref": "#/components/schemas/Metrics"})
        good = json.loads(self.ask("metrics", {"limit": "1"})[2])
        row = good["metrics"][0]
        bad = [{**row, "colour": 1}, {**row, "requests": "1"}, {**row, "requests": None}, {**row, "complete": 0},
               {**row, "window_start": 5}, {**row, "p95x_latency_ms": 1}, {**row, "avg_latency_ms": None}]
        found = problems([(schema, good)] + [(schema, {**good, "metrics": [b]}) for b in bad])
        self.assertEqual(found[0], [])
        self.assertNotIn([], found[1:])

    def test_the_examples_of_the_readme_are_answered(self):
        targets = re.findall(r"^    curl .*'localhost:8081(/v1/[^']*)'", source("metrics-api", "README.md"), re.M)
        self.assertGreater(len(targets), 7)
        for name, value in (("${__timeFrom}", "1763636400000"), ("${__timeTo}", "1763640000000")):
            self.assertEqual(sum(name in t for t in targets), 1)
            targets = [t.replace(name, value) for t in targets]
        for target in targets:
            c = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=20)
            self.addCleanup(c.close)
            c.request("GET", target)
            self.assertEqual(c.getresponse().status, 200, target)
        rows = json.loads(get(self.api.port, next(t for t in targets if "1763636400000" in t))[2])["metrics"]
        self.assertGreater(len(rows), 10)  # as Infinity wants them: flat, and time ascends
        self.assertEqual([r["window_start"] for r in rows], sorted(r["window_start"] for r in rows))
        self.assertEqual({type(v) for r in rows for v in r.values()} - {str, int, float, bool, type(None)}, {dict})

    # ---- refusals ----

    def test_every_status_of_a_question_is_as_it_says(self):
        keyed = self.stack.start("metrics-api-3", env={
            "AUTH": "key", "AUTH_REFRESH_MS": "200", "AUTH_FAILURES_PER_MINUTE": "40"})
        self.addCleanup(keyed.kill)
        with socket.create_server(("127.0.0.1", 0)) as s:
            closed = s.getsockname()[1]
        away = self.stack.start("metrics-api-4", ready=False,
                                env={"POSTGRES_DSN": f"postgresql://u@127.0.0.1:{closed}/d"})
        away.wait_port()
        self.addCleanup(away.kill)
        sends = add_key(self.stack, "acme", "ingest")
        reads = add_key(self.stack, "acme", "read")
        late = self.stack.start("metrics-api-5", env={"AUTH": "key"})  # it has read both
        self.addCleanup(late.kill)
        full = self.stack.start("metrics-api-7", env={"STREAM_MAX_CLIENTS": "1"})
        self.addCleanup(full.kill)
        pairs, seen = [], set()

        def noted(endpoint, answer, status):
            self.assertEqual(answer[0], status, (endpoint, answer[2]))
            pairs.append(self.check_response("/v1/" + endpoint, answer))
            seen.add((endpoint, str(status)))
        for endpoint in (*QUESTIONS, "stream"):
            target = f"/v1/{endpoint}?" + urllib.parse.urlencode({"tenant_id": "acme", **RANGE})
            if endpoint == "stream":
                stream = http.client.HTTPConnection("127.0.0.1", full.port, timeout=20)
                self.addCleanup(stream.close)
                stream.request("GET", target)
                r = stream.getresponse()
                noted(endpoint, (r.status, r.headers, r.readline()), 200)
                noted(endpoint, get(full.port, target), 503)
                noted(endpoint, get(full.port, target, Last_Event_ID="x"), 400)
            else:
                good = get(self.api.port, target)
                noted(endpoint, good, 200)
                noted(endpoint, get(self.api.port, target, If_None_Match=good[1]["ETag"]), 304)
                noted(endpoint, get(away.port, target), 503)
            name = "name" if endpoint == "prices" else "route"
            noted(endpoint, get(self.api.port, target + f"&{name}=%ff"), 400)
            noted(endpoint, get(self.api.port, target + "&x=" + "y" * 8192), 414)
            noted(endpoint, get(late.port, target), 401)
            noted(endpoint, get(late.port, target, X_API_Key=sends), 403)
            noted(endpoint, get(late.port, f"/v1/{endpoint}?tenant_id=globex", X_API_Key=reads), 403)
        for _ in range(40):
            get(keyed.port, "/v1/metrics", X_API_Key=key_text())
        for endpoint in (*QUESTIONS, "stream"):
            noted(endpoint, get(keyed.port, "/v1/" + endpoint, X_API_Key=key_text()), 429)
        told = {(e, s) for e in (*QUESTIONS, "stream") for s in self.operation("/v1/" + e)["responses"]}
        self.assertEqual(told, seen)
        for path, item in self.doc["paths"].items():
            if not path.startswith("/v1/"):
                for service in (self.api, away, late):
                    pairs.append(self.check_response(path, get(service.port, path)))
            status, headers, body = get(self.api.port, path, "POST")
            self.assertEqual((status, headers["Allow"] is not None), (405, True))
            pairs.append((self.schema({"$ref": "#/components/schemas/Problem"}), json.loads(body)))
            self.assertEqual(list(item), ["get"])
        pairs = [p for p in pairs if p]
        self.assertEqual(problems(pairs), [[]] * len(pairs))

    def test_nobody_is_asked_who_reads_it(self):
        keyed = self.stack.start("metrics-api-6", env={"AUTH": "key"})
        self.addCleanup(keyed.kill)
        for path, item in self.doc["paths"].items():
            if item["get"].get("security") == []:
                self.assertEqual(get(keyed.port, path)[0], 200, path)
            else:
                self.assertEqual(get(keyed.port, path)[0], 401, path)


if __name__ == "__main__":
    unittest.main()
