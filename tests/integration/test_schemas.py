# SPDX-License-Identifier: Apache-2.0
"""deploy/schemas: an event is valid just if ingest-api takes it, and a row of llm.metrics has the fields of
common/core/metrics_row.h."""
import json
import os
import re
import time
import unittest

from schemas import problems
from stack import ROOT, Service, http_call, iso, needed

SCHEMAS = os.path.join(ROOT, "deploy", "schemas")
NAMES = ("llm.requests", "llm.responses", "llm.metrics", "llm.metrics.progress", "llm.dead_letter", "tick")


def schema(name):
    with open(os.path.join(SCHEMAS, name + ".json"), encoding="utf-8") as f:
        return json.load(f)


def now(form="%s"):
    return form % time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


REQUEST = {"request_id": "a", "tenant_id": "t", "route": "/chat", "model": "m", "timestamp": None}
RESPONSE = {"request_id": "a", "timestamp": None}

NAME_GOOD = ("x", "x" * 255, "ü💩", " ", "\u0080", "line\u2028")
NAME_BAD = ("", "x" * 256, "a\u0007", "a\n", "\u007f", 7, True, [], {})
COUNT_GOOD = (0, 7, 7.0, 1e12)
COUNT_BAD = (-1, 1.5, 1e12 + 1, "7", True, [])
MS_GOOD = (0, 0.25, 1e9)
MS_BAD = (-0.5, 1e9 + 1, "12", False)

# field: what it may be, what it may not be; an optional one may be null besides, a required one may not be missing
REQUEST_FIELDS = {
    "request_id": (NAME_GOOD, NAME_BAD), "route": (NAME_GOOD, NAME_BAD), "model": (NAME_GOOD, NAME_BAD),
    "tenant_id": (NAME_GOOD, NAME_BAD), "provider": (NAME_GOOD, NAME_BAD), "user_id_hash": (NAME_GOOD, NAME_BAD),
    "prompt_tokens": (COUNT_GOOD, COUNT_BAD), "max_tokens": (COUNT_GOOD, COUNT_BAD),
    "stream": ((True, False), (0, "true")), "metadata": (({}, {"a": [1, None]}), ([], "x", 1)),
    "type": (("request",), ("response", "", 1)), "unknown_to_us": ((1, None, {"a": 1}, "\u0007"), ()),
}
RESPONSE_FIELDS = {
    "request_id": (NAME_GOOD, NAME_BAD), "model": (NAME_GOOD, NAME_BAD), "service_tier": (NAME_GOOD, NAME_BAD),
    "tenant_id": (NAME_GOOD, NAME_BAD),
    "latency_ms": (MS_GOOD, MS_BAD), "time_to_first_token_ms": (MS_GOOD, MS_BAD),
    **{f: (COUNT_GOOD, COUNT_BAD) for f in ("prompt_tokens", "completion_tokens", "cached_prompt_tokens",
                                            "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens")},
    "finish_reason": ((*NAME_GOOD, ""), NAME_BAD[1:]), "error": (("", "x\n" * 300), (1, {}, True)),
    "cost_usd": ((0, 0.25, 1e6), (-1, 1e6 + 1, "1")), "type": (("response",), ("request", "", 1)),
    "route": ((1, None, ""), ()),
}
TIMES_GOOD = ("%sZ", "%sz", "%s.123456789Z", "%s+00:00", "%s-00:00", "ms", "ms.5")
TIMES_BAD = ("yesterday", "%s", "%s.Z", "%s.1234567890Z", "%sZ ", "%s+0000", "", True, [], {}, 1e300, -1e300)


def cases(kind):
    """(whether it is to be taken, field, event)"""
    base, fields = (REQUEST, REQUEST_FIELDS) if kind == "request" else (RESPONSE, RESPONSE_FIELDS)
    good = {**base, "timestamp": iso(time.time())}
    required = [k for k in good if k != "tenant_id"]
    for field, (takes, refuses) in fields.items():
        yield from ((True, field, {**good, field: v}) for v in takes)
        yield from ((False, field, {**good, field: v}) for v in refuses)
        if field not in good:
            yield True, field, {**good, field: None}
    for form in TIMES_GOOD:
        at = {"ms": round(time.time() * 1000), "ms.5": round(time.time() * 1000) + 0.5}.get(form) or now(form)
        yield True, "timestamp", {**good, "timestamp": at}
    for form in TIMES_BAD:
        yield False, "timestamp", {**good, "timestamp": now(form) if isinstance(form, str) and "%" in form else form}
    for field in required:
        yield False, field, {k: v for k, v in good.items() if k != field}
        yield False, field, {**good, field: None}


class Events(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        log = os.path.join(needed("SL_TMP"), "schemas-ingest.log")
        env = {k: os.environ[k] for k in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS") if k in os.environ}
        cls.ingest = Service("ingest-api", os.path.join(needed("SL_BUILD"), "tests", "integration", "ingest_fake"),
                             {**env, "KAFKA_BROKERS": "127.0.0.1:1", "HTTP_PORT": "0",
                              "LOG_FORMAT": "json"}, log)
        cls.addClassCleanup(cls.ingest.kill)
        cls.ingest.wait_port()

    def post(self, kind, event):
        status, answer = http_call(self.ingest.port, "POST", "/v1/llm/" + kind, json.dumps(event).encode())
        return status, json.loads(answer)

    def test_an_event_is_valid_just_if_it_is_taken(self):
        for kind in ("request", "response"):
            all_cases = list(cases(kind))
            found = problems([(f"llm.{kind}s", event) for _, _, event in all_cases])
            self.assertGreater(len(found), 100)
            for (taken, field, event), wrong in zip(all_cases, found, strict=True):
                with self.subTest(kind=kind, field=field, event=event):
                    status, answer = self.post(kind, event)
                    self.assertEqual(status, 202 if taken else 400, answer)
                    self.assertEqual(wrong == [], taken, wrong)
                    if not taken:
                        self.assertEqual(answer["field"], field)
                        self.assertIn(wrong[0], ([field, wrong[0][1]], ["", "required"]))

    def test_what_is_no_object_is_neither_taken_nor_valid(self):
        for document in (None, True, 1, "a", [], [{}]):
            for kind in ("request", "response"):
                self.assertEqual(self.post(kind, document)[0], 400, document)
                self.assertNotEqual(problems([(f"llm.{kind}s", document)]), [[]], document)

    def test_every_known_field_is_in_the_schema_and_no_other(self):
        with open(os.path.join(ROOT, "common", "core", "event_fields.c"), encoding="utf-8") as f:
            table = re.findall(r'^    (?:FIELD|CHECKED)\("(\w+)", (BOTH|REQUEST|RESPONSE), ?(BOTH|REQUEST|RESPONSE|0)?',
                               f.read(), re.M)
        self.assertGreater(len(table), 20)
        for kind in ("request", "response"):
            here = ("BOTH", kind.upper())
            self.assertEqual(set(schema(f"llm.{kind}s")["properties"]), {n for n, known, _ in table if known in here})
            self.assertEqual(set(schema(f"llm.{kind}s")["required"]), {n for n, _, needs in table if needs in here})


class Shapes(unittest.TestCase):
    def test_there_is_one_of_each_topic_and_every_one_is_a_schema(self):
        self.assertEqual({f[:-5] for f in os.listdir(SCHEMAS) if f.endswith(".json")}, set(NAMES))
        problems([(name, {}) for name in NAMES])  # it fails on what is no schema
        for name in NAMES:
            self.assertEqual(schema(name)["$id"], f"urn:streamlens:schema:{name}:1")

    def test_a_row_has_the_fields_of_the_code_in_their_order_each_of_its_kind(self):
        with open(os.path.join(ROOT, "common", "core", "metrics_row.h"), encoding="utf-8") as f:
            fields = re.findall(r"^    (TEXT|TIME|COUNT|NUMBER|MAYBE|DECIMAL|OBJECT|BOOL)\((\w+)\)", f.read(), re.M)
        self.assertGreater(len(fields), 50)
        row = schema("llm.metrics")
        want = [(name, "#/$defs/" + kind.lower()) for kind, name in fields]
        want += [("latency_hdr", "#/$defs/histogram"), ("ttft_hdr", "#/$defs/histogram")]
        self.assertEqual([(name, p["$ref"]) for name, p in row["properties"].items()], want)
        self.assertEqual(row["required"], [name for name, _ in want])

    def test_unknown_fields_are_allowed_where_readers_must_ignore_them(self):
        for name in ("llm.requests", "llm.responses", "llm.metrics"):
            self.assertIs(schema(name)["additionalProperties"], True)


if __name__ == "__main__":
    unittest.main()
