# SPDX-License-Identifier: Apache-2.0
"""The processor is stopped and killed in the middle of a window, with joins open; nothing is lost or
counted twice."""
import json
import time
import unittest

from stack import Stack, wait_for


class ProcessorRestart(unittest.TestCase):
    def pairs(self, s, name, n, part):
        now = time.time() - 120
        kinds = {"requests": "request", "responses": "response"}
        s.post_batch([{"type": kinds[part], "request_id": f"{name}-{i}", "timestamp": now * 1000,
                       **({"tenant_id": "t", "route": "/chat", "model": f"m{i % 3}", "prompt_tokens": 3}
                          if part == "requests" else {"latency_ms": i, "completion_tokens": 2})}
                      for i in range(n)])

    def test_sigterm_and_sigkill_with_open_joins(self):
        with Stack() as s:
            s.start_all()
            total = 0
            for round_, stop in enumerate(("terminate", "kill", "kill", "terminate")):
                name, n = f"r{round_}", 300
                self.pairs(s, name, n, "requests")
                total += n
                # Half of the rounds are cut down at any moment, half once the requests are in the rows.
                if round_ % 2 == 0:
                    s.wait_totals(requests=total, in_flight=n)
                code = getattr(s.services["processor"], stop)()
                if stop == "terminate":
                    self.assertEqual(code, 0)
                self.pairs(s, name, n, "responses")
                self.pairs(s, name, n, "requests")  # a client that retries after the crash
                s.start("processor")
                s.wait_totals(requests=total, responses=total, in_flight=0)
                # It says how long it took to read again what was counted before.
                processor = s.services["processor"]
                said = [e for e in map(json.loads, processor.log().splitlines()) if e["event"] == "replayed"]
                self.assertEqual([int(e["records"]) for e in said],
                                 [processor.metric("streamlens_processor_replayed_records_total")])
            totals = s.totals()
            self.assertEqual(totals["prompt_tokens"], 3 * total)
            self.assertEqual(totals["completion_tokens"], 2 * total)
            self.assertEqual(s.consume("llm.dead_letter"), [])

    def test_killed_again_and_again_under_traffic(self):
        with Stack(env={"FLUSH_INTERVAL_MS": "100"}) as s:
            s.start_all()
            total = 0
            for round_ in range(6):
                for k in range(4):
                    self.pairs(s, f"k{round_}-{k}", 100, "responses" if k % 2 else "requests")
                    self.pairs(s, f"k{round_}-{k}", 100, "requests" if k % 2 else "responses")
                    total += 100
                s.services["processor"].kill()
                s.start("processor")
            s.wait_totals(requests=total, responses=total, in_flight=0, unanswered=0, seconds=60)

    def test_two_processors_share_the_partitions(self):
        with Stack(partitions=4, env={"SESSION_TIMEOUT_MS": "6000"}) as s:
            s.start_all()
            s.start("processor-2")
            self.pairs(s, "a", 400, "requests")
            self.pairs(s, "a", 200, "responses")
            s.wait_totals(requests=400, responses=200)
            self.assertEqual(s.services["processor-2"].terminate(), 0)
            s.post_batch([{"type": "response", "request_id": f"a-{i}", "timestamp": time.time() * 1000}
                          for i in range(200, 400)])
            s.wait_totals(requests=400, responses=400, seconds=60)

    def test_an_assignment_that_can_only_be_taken_in_part_is_tried_again(self):
        """Somebody holds the position row of one partition for longer than a claim is tried, while the
        others were claimed already."""
        with Stack(partitions=3) as s:
            s.start("ingest-api")
            self.pairs(s, "a", 60, "requests")
            with s.holding("SELECT FROM streamlens_position WHERE partition = 1 FOR UPDATE"):
                processor = s.start("processor", ready=False)
                wait_for(lambda: "cannot take partitions now" in processor.log(), "a claim given up", 40)
            s.wait_totals(requests=60)
            processor.wait_ready()

    def test_of_two_with_the_same_instance_id_one_ends_and_says_why(self):
        with Stack() as s:
            s.start_all()
            first = s.services["processor"]
            self.pairs(s, "a", 100, "requests")
            s.wait_totals(requests=100)
            second = s.start("processor-2", env={"GROUP_INSTANCE_ID": "processor"}, ready=False)
            ended = wait_for(lambda: next((p for p in (first, second) if p.process.poll() is not None), None),
                             "an end of one of them", 60)
            self.assertNotEqual(ended.process.returncode, 0)
            self.assertIn("GROUP_INSTANCE_ID", ended.log().strip().splitlines()[-1])
            other = second if ended is first else first
            self.pairs(s, "a", 100, "responses")
            s.wait_totals(requests=100, responses=100)
            self.assertIsNone(other.process.poll())


if __name__ == "__main__":
    unittest.main()
