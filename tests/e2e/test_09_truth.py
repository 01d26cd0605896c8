# SPDX-License-Identifier: Apache-2.0
"""100,000 seeded events in disorder, with timestamps over six days, against a truth computed here: per
(tenant, route, model, minute) counts, sums and averages exact, percentiles within 1 %."""
import collections
import json
import math
import os
import random
import time
import unittest
from decimal import Decimal

from stack import Stack, wait_for

SEED = int(os.environ.get("SL_SEED", "20261121"))
PAIRS = 51_000
PICODOLLARS = {"gpt-4o": (2_500_000, 10_000_000), "claude-sonnet-4-5": (3_000_000, 15_000_000)}  # a token; in, out


class Cell:
    def __init__(self):
        self.requests = self.errors = self.prompt = self.completion = 0
        self.latencies_us, self.ttfts_us = [], []
        self.responses = self.without_latency = self.generation_us = self.generation_tokens = 0
        self.classes, self.finish = collections.Counter(), collections.Counter()


def make_traffic(rng, now):
    """Events in the order they are sent, and the truth: {(tenant, route, model, minute): Cell}."""
    truth = collections.defaultdict(Cell)
    minutes = [int(now) // 60 * 60 - rng.randrange(0, 6 * 1440) * 60 for _ in range(150)]
    sent = []
    for n in range(PAIRS):
        at_ms = rng.choice(minutes) * 1000 + rng.randrange(60_000)
        names = (f"tenant-{rng.randrange(4)}", rng.choice(("/chat", "/embed", "/a b|c%")),
                 rng.choice(("gpt-4o", "claude-sonnet-4-5", "modèle-é")))
        request = {"type": "request", "request_id": f"{SEED}-{n:08d}-{rng.getrandbits(64):016x}",
                   "tenant_id": names[0], "route": names[1], "model": names[2], "timestamp": at_ms}
        if rng.random() < 0.9:
            request["prompt_tokens"] = rng.randrange(8000)
        sent.append((n + rng.gauss(0, 300), request))
        if rng.random() < 0.01:
            sent.append((n + rng.gauss(0, 300), request))  # a retry
        cell = truth[names + (at_ms // 60_000 * 60,)]
        cell.requests += 1
        if rng.random() < 0.03:
            continue  # never answered
        response = {"type": "response", "request_id": request["request_id"]}
        latency_us = min(int(rng.lognormvariate(13, 1.2)), 7_200_000_000)
        response["timestamp"] = at_ms + latency_us // 1000
        kind = rng.random()
        if kind < 0.9:
            response["latency_ms"] = latency_us / 1000
        elif kind < 0.95:
            latency_us = latency_us // 1000 * 1000  # from the two timestamps
        else:
            response["timestamp"] = at_ms - 1
            latency_us = None
        response["completion_tokens"] = rng.choice((0, rng.randrange(4000)))
        if rng.random() < 0.5:
            ttft_us = rng.randrange(1, 3_000_000)
            response["time_to_first_token_ms"] = ttft_us / 1000
            cell.ttfts_us.append(ttft_us)
            if latency_us is not None and ttft_us < latency_us and response["completion_tokens"]:
                cell.generation_us += latency_us - ttft_us
                cell.generation_tokens += response["completion_tokens"]
        if rng.random() < 0.2:
            response["prompt_tokens"] = rng.randrange(8000)
        if rng.random() < 0.05:
            response["error"] = rng.choice(("rate_limit", "timeout", "überlast"))
            cell.errors += 1
            cell.classes[response["error"]] += 1
        else:
            response["finish_reason"] = rng.choice(("stop", "length"))
            cell.finish[response["finish_reason"]] += 1
        sent.append((n + 200 + rng.gauss(0, 300), response))
        if rng.random() < 0.01:
            sent.append((n + 200 + rng.gauss(0, 300), response))
        cell.responses += 1
        cell.prompt += response.get("prompt_tokens", request.get("prompt_tokens", 0))
        cell.completion += response["completion_tokens"]
        if latency_us is None:
            cell.without_latency += 1
        else:
            cell.latencies_us.append(latency_us)
    sent.sort(key=lambda pair: pair[0])
    return [event for _, event in sent], truth


def quantile(values, q):
    return sorted(values)[max(1, math.ceil(q * len(values))) - 1]


class Truth(unittest.TestCase):
    def test_all_numbers(self):
        rng = random.Random(SEED)
        now = time.time()
        events, truth = make_traffic(rng, now)
        print(f"seed {SEED}: {len(events)} events, {len(truth)} rows")
        with Stack(partitions=4, env={"FLUSH_INTERVAL_MS": "500"}) as s:
            s.start_all()
            for at in range(0, len(events), 2000):
                s.post_batch(events[at:at + 2000])
                if at == 40_000:
                    s.services["processor"].kill()
                    s.start("processor", ready=False)
            want = {"requests": sum(c.requests for c in truth.values()),
                    "responses": sum(c.responses for c in truth.values())}
            wait_for(lambda: all(s.totals()[k] >= v for k, v in want.items()), f"{want}", 90)
            rows = {}
            for row in s.rows():
                minute = time.strptime(row["window_start"][:19], "%Y-%m-%dT%H:%M:%S")
                rows[(row["tenant_id"], row["route"], row["model"], int(time.mktime(minute) - time.timezone))] = row
            self.assertEqual(set(rows), set(truth))
            for key, cell in truth.items():
                with self.subTest(key=key):
                    self.check_row(rows[key], cell)
            self.check_hours(s, truth)
            print("largest error of a percentile:", f"{self.worst:.4%}")

    worst = 0.0

    def check_row(self, row, cell):
        for name, want in {
                "requests": cell.requests, "responses": cell.responses, "unanswered": 0,
                "in_flight": cell.requests - cell.responses, "errors": cell.errors,
                "without_latency": cell.without_latency, "prompt_tokens": cell.prompt,
                "completion_tokens": cell.completion, "generation_tokens": cell.generation_tokens,
                "generation_ms": cell.generation_us / 1000, "error_classes": dict(cell.classes),
                "finish_reasons": dict(cell.finish)}.items():
            self.assertEqual(row[name], want, name)
        answered = cell.responses or 1
        self.assertAlmostEqual(row["avg_prompt_tokens"], cell.prompt / answered, places=9)
        self.assertAlmostEqual(row["avg_completion_tokens"], cell.completion / answered, places=9)
        if cell.generation_us:
            self.assertAlmostEqual(row["output_tokens_per_second"] * cell.generation_us / 1e6, cell.generation_tokens,
                                   places=6)
        else:
            self.assertIsNone(row["output_tokens_per_second"])
        prices = PICODOLLARS.get(row["model"])
        cost = cell.prompt * prices[0] + cell.completion * prices[1] if prices else 0
        self.assertEqual(row["estimated_cost_usd"], float(Decimal(cost).scaleb(-12)))
        self.assertEqual(row["unpriced_requests"], 0 if prices else cell.responses)
        for prefix, values in (("latency", cell.latencies_us), ("ttft", cell.ttfts_us)):
            if not values:
                continue
            self.assertAlmostEqual(row[f"avg_{prefix}_ms"], sum(values) / len(values) / 1000, places=6)
            self.assertAlmostEqual(row[f"max_{prefix}_ms"], max(values) / 1000, places=6)
            for p in (50, 90, 95, 99):
                exact = min(quantile(values, p / 100), 3_600_000_000) / 1000
                error = abs(row[f"p{p}_{prefix}_ms"] - exact) / exact
                type(self).worst = max(self.worst, error)
                self.assertLessEqual(error, 0.01, f"p{p} of {prefix}")

    def check_hours(self, s, truth):
        """Hour rows are the sums of their minutes."""
        hours = collections.defaultdict(lambda: [0, 0, 0])
        for (*_, minute), cell in truth.items():
            for i, n in enumerate((cell.requests, cell.generation_us, cell.generation_tokens)):
                hours[minute // 3600 * 3600][i] += n
        got = json.loads(s.sql("SELECT json_object_agg(h, n) FROM (SELECT extract(epoch FROM window_start)::bigint h,"
                               " json_build_array(sum(requests), sum(generation_us), sum(generation_tokens)) n"
                               " FROM llm_hour GROUP BY 1) x"))
        self.assertEqual({int(h): n for h, n in got.items()}, dict(hours))


if __name__ == "__main__":
    unittest.main()
