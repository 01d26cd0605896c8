# SPDX-License-Identifier: Apache-2.0
"""Retries are free: duplicates of both kinds count once, also across a restart of the processor."""
import unittest

from stack import Stack, wait_for


class Duplicates(unittest.TestCase):
    def test_both_kinds_also_across_a_restart(self):
        with Stack() as s:
            s.start_all()
            request = s.request("dup")
            for _ in range(2):
                self.assertEqual(s.post("/v1/llm/request", request)[0], 202)
            response = s.response("dup")
            for _ in range(2):
                self.assertEqual(s.post("/v1/llm/response", response)[0], 202)
            s.wait_totals(requests=1, responses=1)
            for stop in ("terminate", "kill"):
                getattr(s.services["processor"], stop)()
                self.assertEqual(s.post("/v1/llm/request", request)[0], 202)
                self.assertEqual(s.post("/v1/llm/response", response)[0], 202)
                s.start("processor")
                # What tells that the retries were read, and found to be duplicates.
                processor = s.services["processor"]
                for topic in ("requests", "responses"):
                    wait_for(lambda t=topic: processor.metric(
                        f'streamlens_processor_duplicates_total{{topic="{t}",content="same"}}') == 1,
                        f"a duplicate of {topic} after {stop}")
                s.request(f"marker-{stop}")
                s.response(f"marker-{stop}")
                expected = {"terminate": 2, "kill": 3}[stop]
                s.wait_totals(requests=expected, responses=expected)
            self.assertEqual(s.consume("llm.dead_letter"), [])

    def test_the_same_id_of_another_tenant_is_a_conflict_in_the_dead_letters(self):
        with Stack() as s:
            s.start_all()
            s.request("shared", tenant_id="a")
            s.request("shared", tenant_id="b")
            letter = wait_for(lambda: s.consume("llm.dead_letter"), "a dead letter")[0]
            headers = dict(zip(letter["headers"][::2], letter["headers"][1::2]))
            self.assertEqual(headers["reason"], "id_conflict")
            self.assertEqual(headers["topic"], s.prefix + "llm.requests")
            self.assertEqual(letter["key"], f'{headers["topic"]}/{headers["partition"]}/{headers["offset"]}')
            self.assertIn('"tenant_id": "b"', letter["payload"])
            s.wait_totals(requests=1)
            self.assertEqual([r["tenant_id"] for r in s.rows()], ["a"])


if __name__ == "__main__":
    unittest.main()
