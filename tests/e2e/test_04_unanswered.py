# SPDX-License-Identifier: Apache-2.0
"""A request without an answer is counted when its TTL has passed, also when nothing else flows."""
import time
import unittest

from stack import Stack, wait_for


class Unanswered(unittest.TestCase):
    def test_one_request_on_a_silent_system(self):
        with Stack(env={"JOIN_TTL_MS": "1500", "JOIN_SKEW_MS": "500"}) as s:
            s.start_all()
            began = time.monotonic()
            s.request("lonely")
            s.wait_totals(requests=1, unanswered=0, in_flight=1)
            s.wait_totals(requests=1, unanswered=1, in_flight=0)
            took = time.monotonic() - began
            self.assertGreaterEqual(took, 1.5)
            self.assertLess(took, 60)
            # Silence again: once nothing waits, no more ticks are written.
            processor = s.services["processor"]
            written = 'streamlens_processor_ticks_total{direction="written"}'
            quiet = wait_for(lambda: is_steady(lambda: processor.metric(written), 2.5), "an end of ticks", 30)
            self.assertTrue(quiet)

    def test_an_answer_after_the_ttl_is_unmatched_and_in_the_dead_letters(self):
        with Stack(env={"JOIN_TTL_MS": "1000", "JOIN_SKEW_MS": "500"}) as s:
            s.start_all()
            s.request("slow")
            s.wait_totals(requests=1, unanswered=1)
            s.response("slow")
            letter = wait_for(lambda: s.consume("llm.dead_letter"), "a dead letter")[0]
            headers = dict(zip(letter["headers"][::2], letter["headers"][1::2]))
            self.assertEqual(headers["reason"], "unmatched")
            self.assertIn('"request_id": "slow"', letter["payload"])
            s.wait_totals(requests=1, unanswered=1, responses=0)


def is_steady(read, seconds):
    """Whether the value did not change over that long."""
    first, until = read(), time.monotonic() + seconds
    while time.monotonic() < until:
        if read() != first:
            return False
        time.sleep(0.1)
    return True


if __name__ == "__main__":
    unittest.main()
