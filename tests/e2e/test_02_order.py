# SPDX-License-Identifier: Apache-2.0
"""Order does not matter: an answer that comes first, events that come late, requests still open."""
import time
import unittest

from stack import Stack, wait_for


class Order(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Stack()
        cls.s.__enter__()
        cls.addClassCleanup(cls.s.__exit__)
        cls.s.start_all()

    def row(self, model):
        return next(iter(self.s.rows(f"model = '{model}'")), None)

    def test_a_response_before_its_request_counts(self):
        s, now = self.s, time.time()
        s.response("early", now, latency_ms=70, completion_tokens=3)
        # The answer is consumed and waits before the request is sent at all.
        wait_for(lambda: s.services["processor"].metric('streamlens_processor_waiting{kind="responses"}') == 1,
                 "a waiting response")
        s.request("early", now, model="early")
        row = wait_for(lambda: (self.row("early") or {}).get("responses") and self.row("early"), "the row")
        self.assertEqual((row["requests"], row["responses"], row["avg_latency_ms"]), (1, 1, 70))

    def test_an_open_request_shows_as_in_flight(self):
        s = self.s
        s.request("open", model="open")
        began = time.monotonic()
        row = wait_for(lambda: self.row("open"), "the row")
        self.assertEqual((row["requests"], row["responses"], row["in_flight"]), (1, 0, 1))
        # One flush interval (300 ms), the consumer's latency, and a busy machine's slack.
        self.assertLess(time.monotonic() - began, 5)

    def test_late_events_add_to_their_row_and_never_overwrite_it(self):
        s, hour_ago = self.s, time.time() - 3600
        for n in range(5):
            s.request(f"first-{n}", hour_ago, model="late")
            s.response(f"first-{n}", hour_ago, latency_ms=100)
        before = wait_for(lambda: (self.row("late") or {}).get("responses") == 5 and self.row("late"), "5 answers")
        s.request("second", hour_ago, model="late", prompt_tokens=7)
        s.response("second", hour_ago, latency_ms=700)
        after = wait_for(lambda: self.row("late")["responses"] == 6 and self.row("late"), "the sixth answer")
        self.assertEqual(after["window_start"], before["window_start"])
        self.assertEqual(after["requests"], 6)
        self.assertEqual(after["avg_latency_ms"], 200)
        self.assertGreater(after["revision"], before["revision"])

    def test_timestamps_with_an_offset_fall_into_the_right_minute(self):
        s, now = self.s, int(time.time()) // 60 * 60 - 600
        local = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now + 5 * 3600 + 1800)) + "+05:30"
        self.assertEqual(s.post("/v1/llm/request", {
            "request_id": "offset", "tenant_id": "t", "route": "/chat", "model": "offset",
            "timestamp": local})[0], 202)
        row = wait_for(lambda: self.row("offset"), "the row")
        self.assertEqual(row["window_start"][:19], time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)))


if __name__ == "__main__":
    unittest.main()
