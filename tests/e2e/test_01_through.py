# SPDX-License-Identifier: Apache-2.0
"""Does anything get through at all? One request and its answer, from POST to the metrics API."""
import time
import unittest

from stack import Stack, wait_for


class Through(unittest.TestCase):
    def test_a_pair_becomes_a_row(self):
        with Stack() as s:
            s.start_all()
            now = time.time()
            s.request("id-1", now, model="gpt-4o", prompt_tokens=1000)
            s.response("id-1", now + 0.25, latency_ms=250.5, completion_tokens=500,
                       finish_reason="stop", time_to_first_token_ms=40)
            row = wait_for(lambda: next((r for r in s.metrics("tenant_id=t")[1]["metrics"]
                                         if r["responses"] == 1), None), "an answered row")
            self.assertEqual(row["tenant_id"], "t")
            self.assertEqual(row["route"], "/chat")
            self.assertEqual(row["model"], "gpt-4o")
            minute = int(now) // 60 * 60
            self.assertEqual(row["window_start"], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(minute)))
            self.assertEqual(row["window_end"], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(minute + 60)))
            self.assertEqual((row["requests"], row["errors"], row["in_flight"], row["unanswered"]), (1, 0, 0, 0))
            self.assertAlmostEqual(row["avg_latency_ms"], 250.5)
            self.assertAlmostEqual(row["p95_latency_ms"], 250.5, delta=2.505)
            self.assertEqual(row["avg_prompt_tokens"], 1000)
            self.assertEqual(row["avg_completion_tokens"], 500)
            self.assertAlmostEqual(row["output_tokens_per_second"], 500 / 0.2105)
            self.assertEqual(row["estimated_cost_usd"], 0.0075)  # 2.5 and 10 USD a million tokens
            self.assertEqual((row["estimated_cost_usd_decimal"], row["unpriced_requests"]), ("0.0075", 0))
            self.assertEqual(row["finish_reasons"], {"stop": 1})
            self.assertAlmostEqual(row["p50_ttft_ms"], 40, delta=0.4)

    def test_every_service_stops_cleanly_on_sigterm(self):
        with Stack() as s:
            s.start_all()
            for name, service in s.services.items():
                self.assertEqual(service.terminate(), 0, f"{name}: {service.log()[-1000:]}")


if __name__ == "__main__":
    unittest.main()
