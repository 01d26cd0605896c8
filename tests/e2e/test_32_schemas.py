# SPDX-License-Identifier: Apache-2.0
"""What a run leaves in each topic is what deploy/schemas says of it."""
import json
import time
import unittest

from schemas import problems, whole_record
from stack import Stack, wait_for

ENV = {"JOIN_TTL_MS": "1500", "JOIN_SKEW_MS": "500", "WINDOW_GRACE_MS": "500"}


class Records(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = s = Stack(env=ENV).__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        s.start_all()
        old = time.time() - 180
        usage = {"completion_tokens": 7, "time_to_first_token_ms": 33.25, "finish_reason": "stop", "cost_usd": 0.001}
        for i in range(20):
            s.request(f"a{i}", old, model="gpt-4o", prompt_tokens=100, metadata={"a": [1, None]}, stream=True)
            s.response(f"a{i}", old + 0.1, error="time|out" if i % 5 == 0 else None, **usage)
        s.request("hung", old)
        s.request("plain", old, route="ü|%\"\\", tenant_id="t%|")
        s.response("plain", old, latency_ms=0)
        for topic, key, value in (("llm.requests", "x", b'{"request_id": "x"'), ("llm.responses", "y", b"\x00"),
                                  ("llm.responses", None, json.dumps(s.response("nobody", old)).encode())):
            s.produce(topic, value, key=key)
        s.wait_totals(requests=22, responses=21, unanswered=1, in_flight=0)
        cls.rows = wait_for(cls.settled, "every row settled and published", 60)

    @classmethod
    def settled(cls):
        rows = {json.loads(r["payload"])["publish_seq"]: r for r in cls.stack.consume("llm.metrics")}
        last = {(r["key"], json.loads(r["payload"])["window_start"]): json.loads(r["payload"])
                for _, r in sorted(rows.items())}
        # A flush may have had a part of them: a row is settled then as well, and sent again within half a minute.
        whole = sum(r["requests"] for r in last.values()) == 22
        return rows if whole and len(last) == 3 and all(r["settled"] for r in last.values()) else None

    def assert_valid(self, name, documents):
        for document, wrong in zip(documents, problems([(name, d) for d in documents]), strict=True):
            self.assertEqual(wrong, [], document)

    def test_rows(self):
        values = [json.loads(r["payload"]) for r in self.rows.values()]
        self.assert_valid("llm.metrics", values)
        last = max((v for v in values if v["model"] == "gpt-4o"), key=lambda v: v["publish_seq"])
        self.assertEqual((last["requests"], last["error_classes"], last["finish_reasons"]),
                         (20, {"time|out": 4}, {"stop": 20}))
        broken = [{"publish_seq": 0}, {"latency_hdr": ""}, {"late": None}, {"p50_ttft_ms": "1"},
                  {"window_end": "2026"}, {"estimated_cost_usd_decimal": 1.5}, {"error_classes": {"a": -1}}]
        found = problems([("llm.metrics", {**last, **change}) for change in broken])
        self.assertEqual([[path.split("/")[0] for path, _ in wrong] for wrong in found], list(map(list, broken)))
        found = problems([("llm.metrics", {k: v for k, v in last.items() if k != name}) for name in last])
        self.assertEqual(found, [[["", "required"]]] * len(last))

    def test_a_row_is_the_apis_and_two_histograms(self):
        last = max((json.loads(r["payload"]) for r in self.rows.values() if r["key"].startswith("t|/chat|gpt")),
                   key=lambda v: v["publish_seq"])
        self.assertIsNotNone(last.pop("latency_hdr"))
        self.assertIsNotNone(last.pop("ttft_hdr"))
        row = self.stack.metrics("tenant_id=t&model=gpt-4o")[1]["metrics"][0]
        self.assertEqual(list(last.items()), list(row.items()))

    def test_keys_headers_and_times_of_rows(self):
        self.assertEqual({r["key"] for r in self.rows.values()},
                         {"t|/chat|gpt-4o", "t|/chat|m", "t%25%7C|ü%7C%25\"\\|m"})
        for r in self.rows.values():
            self.assertEqual(r["headers"], ["content-type", "application/json", "schema-version", "1"])
            self.assertEqual(r["ts"] % 60000, 0)
            end = json.loads(r["payload"])["window_end"]
            self.assertEqual(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(r["ts"] / 1000)), end)

    def test_nothing_measured_is_null(self):
        hung = [json.loads(r["payload"]) for r in self.rows.values() if r["key"] == "t|/chat|m"]
        self.assertEqual({(v["latency_hdr"], v["ttft_hdr"], v["p99_ttft_ms"]) for v in hung}, {(None, None, None)})

    def test_events_and_ticks(self):
        ticks = []
        for topic in ("llm.requests", "llm.responses"):
            records = self.stack.consume(topic)
            ticks += [whole_record(r) for r in records if "streamlens-tick" in r.get("headers", [])]
            events = [json.loads(r["payload"]) for r in records if r["payload"] and r["key"] not in ("x", "y")]
            self.assertGreater(len(events), 20)
            self.assert_valid(topic, events)
        self.assertGreater(len(ticks), 0)
        self.assert_valid("tick", ticks)

    def test_dead_letters(self):
        letters = [whole_record(r) for r in self.stack.consume("llm.dead_letter")]
        self.assert_valid("llm.dead_letter", letters)
        self.assertEqual({r["headers"]["reason"] for r in letters}, {"malformed", "unmatched"})
        found = problems([("llm.dead_letter", {**letters[0], part: None}) for part in ("key", "headers", "value")])
        self.assertEqual([path for [[path, _]] in found], ["key", "headers", "value"])

    def test_progress(self):
        records = self.stack.consume("llm.metrics.progress")
        self.assertEqual({r["key"] for r in records}, {"publisher"})
        self.assert_valid("llm.metrics.progress", [json.loads(r["payload"]) for r in records])


if __name__ == "__main__":
    unittest.main()
