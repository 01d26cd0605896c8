# SPDX-License-Identifier: Apache-2.0
"""Each limit of the processor, at the limit, across a crash and a rebalance: what is beyond it waits or is
counted under another name, a metric says so, and the sums stay exact."""
import json
import time
import unittest

from stack import Stack, wait_for

MIB = 1 << 20
LIVE = 'streamlens_processor_partitions{state="live"}'
FULL = 'streamlens_processor_partitions{state="full"}'
PREFETCHED = "streamlens_processor_prefetched_records"
OVER_CAP = "streamlens_processor_series_over_cap_total"
RARELY = {"FLUSH_INTERVAL_MS": "3600000"}  # only a limit makes it flush


def reached(limit):
    return f'streamlens_processor_limit_reached_total{{limit="{limit}"}}'


class Limits(unittest.TestCase):
    def requests(self, s, ids, model="m", **fields):
        at = (time.time() - 60) * 1000
        s.post_batch([{"type": "request", "request_id": i, "tenant_id": "t", "route": "/r", "model": model,
                       "timestamp": at, **fields} for i in ids])

    def responses(self, s, ids):
        at = time.time() * 1000
        s.post_batch([{"type": "response", "request_id": i, "timestamp": at, "latency_ms": 1} for i in ids])

    def ids(self, name, n):
        return [f"{name}-{i}" for i in range(n)]

    def test_joins_hold_a_partition_back_and_memory_stays_bounded(self):
        with Stack(partitions=1, env={"MAX_JOINS": "50", "MAX_BATCH_BYTES": str(8 * MIB)}) as s:
            s.start("ingest-api")
            processor = s.start("processor")
            first = self.ids("a", 50)
            self.requests(s, first)
            s.wait_totals(requests=50)
            self.assertEqual(processor.metric(FULL), 0)  # at the limit nothing waits yet
            self.requests(s, ["b"])
            wait_for(lambda: processor.metric(FULL) == 1, "a partition held back")
            self.assertEqual(processor.metric(reached("MAX_JOINS")), 1)
            alarm = next(json.loads(line) for line in processor.log().splitlines() if "MAX_JOINS" in line)
            self.assertEqual((alarm["level"], alarm["partition"], alarm["max_joins"]), ("error", "0", "50"))
            self.assertGreater(int(alarm["join_bytes"]), 50 * int(alarm["bytes_each"]) - 50)
            # Far more than may be fetched ahead lies behind it.
            before, large = processor.resident_bytes(), self.ids("c", 4000)
            for i in range(0, len(large), 200):
                self.requests(s, large[i:i + 200], metadata={"x": "y" * 16000})
            wait_for(lambda: processor.metric(PREFETCHED) > 100, "records fetched ahead")
            self.assertLess(processor.resident_bytes() - before, 40 * MIB)
            self.assertEqual(s.totals()["requests"], 50)
            self.assertEqual(processor.metric(reached("MAX_JOINS")), 1)  # once, not at every look
            # Its successor comes to the same limit, no further and no less far.
            processor.kill()
            processor = s.start("processor")
            wait_for(lambda: processor.metric(FULL) == 1, "the partition held back again")
            self.assertEqual(s.totals()["requests"], 50)
            # Answers make room for as many.
            self.responses(s, first[:20])
            s.wait_totals(requests=70, responses=20)
            self.assertEqual(processor.terminate(), 0)
            processor = s.start("processor", env={"MAX_JOINS": "5000"})
            s.wait_totals(requests=4051, responses=20, in_flight=4031, seconds=60)
            self.assertEqual(processor.metric(FULL), 0)

    def test_deltas_at_their_limit_are_flushed_early(self):
        with Stack(partitions=2, env={"MAX_DELTA_CELLS": "10", **RARELY}) as s:
            s.start("ingest-api")
            processor = s.start("processor")
            for n in range(40):
                self.requests(s, self.ids(f"a{n}", 5), model=f"m{n}")
            # One partition alone comes to the limit every 10 models, and takes the other one along.
            wait_for(lambda: s.totals()["requests"] >= 100, "early flushes")
            self.assertGreaterEqual(processor.metric(reached("MAX_DELTA_CELLS")), 2)
            self.assertEqual(processor.metric(reached("MAX_DEAD_LETTERS")), 0)
            processor.kill()
            processor = s.start("processor")
            for n in range(40):
                self.responses(s, self.ids(f"a{n}", 5))
            wait_for(lambda: processor.metric("streamlens_processor_responses_total") == 200, "the answers taken")
            self.assertEqual(processor.terminate(), 0)
            s.wait_totals(requests=200, responses=200)

    def test_dead_letters_at_their_limit_are_sent_early(self):
        with Stack(partitions=1, env={"MAX_DEAD_LETTERS": "5", **RARELY}) as s:
            processor = s.start("processor")
            for n in range(13):
                s.produce("llm.requests", b"poison %d" % n, key=f"k{n}")
            wait_for(lambda: processor.metric(reached("MAX_DEAD_LETTERS")) == 2, "two early flushes")
            letters = wait_for(lambda: s.consume("llm.dead_letter"), "letters")
            self.assertEqual(len(letters), 10)  # the other three wait for the next flush
            self.assertEqual(s.sql("SELECT request_next FROM streamlens_position"), "10")
            self.assertEqual(processor.metric(reached("MAX_DELTA_CELLS")), 0)
            self.assertEqual(processor.terminate(), 0)
            self.assertEqual(len(s.consume("llm.dead_letter")), 13)

    def test_series_beyond_the_cap_are_other_in_every_processor(self):
        with Stack(partitions=2, env={"MAX_SERIES_PER_TENANT": "5", "SESSION_TIMEOUT_MS": "6000"}) as s:
            s.start("ingest-api")
            two = [s.start(name) for name in ("processor-1", "processor-2")]
            wait_for(lambda: [p.metric(LIVE) for p in two] == [1, 1], "a partition each")
            models = 40
            for n in range(models):
                self.requests(s, self.ids(f"a{n}", 10), model=f"m{n}")
            s.wait_totals(requests=10 * models)
            self.assertGreater(min(p.metric(OVER_CAP) for p in two), 0)
            kept = s.sql("SELECT model FROM llm_series WHERE route <> '__other__' ORDER BY 1").split("\n")
            self.assertEqual(len(kept), 5)
            two[0].kill()  # the other one takes over
            for n in range(models):
                self.responses(s, self.ids(f"a{n}", 10))
                self.requests(s, self.ids(f"b{n}", 1), model=f"m{n}")
            s.wait_totals(requests=11 * models, responses=10 * models, seconds=60)
            s.start("processor-1")
            for n in range(models):
                self.responses(s, self.ids(f"b{n}", 1))
            s.wait_totals(requests=11 * models, responses=11 * models)
            self.assertEqual(s.sql("SELECT model FROM llm_series WHERE route <> '__other__' ORDER BY 1"),
                             "\n".join(kept))
            # Every answer is in the row that counted its request.
            rows = s.sql("SELECT route || ' ' || model || ' ' || sum(requests) || ' ' || sum(responses)"
                         " FROM llm_metrics GROUP BY route, model").split("\n")
            n = 11 * (models - 5)
            self.assertEqual(sorted(rows), sorted([f"/r {m} 11 11" for m in kept] +
                                                  [f"__other__ __other__ {n} {n}"]))


if __name__ == "__main__":
    unittest.main()
