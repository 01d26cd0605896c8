# SPDX-License-Identifier: Apache-2.0
"""While PostgreSQL is away under load, processors stop reading and stay in the group; their memory is
bounded, and afterwards they go on where they were, without reading anything again."""
import threading
import time
import unittest

from pg_proxy import PgProxy
from stack import Stack, wait_for

MIB = 1 << 20
SESSION_S = 6
LIVE = 'streamlens_processor_partitions{state="live"}'
TAKEN = ["streamlens_processor_requests_total", "streamlens_processor_responses_total"]
# What moves when partitions change hands or state is built anew.
STILL = ["streamlens_processor_replayed_records_total", "streamlens_processor_claims_total",
         "streamlens_processor_tasks_kept_total", "streamlens_processor_skipped_records_total"]
PAIRS = 200  # a batch


class Load(threading.Thread):
    """Pairs of a request and its answer, in batches, as fast as they are taken."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.pairs, self.stop_now = stack, 0, threading.Event()

    def run(self):
        while not self.stop_now.is_set():
            at, ids = time.time() * 1000, [f"p-{self.pairs + i}" for i in range(PAIRS)]
            self.stack.post_batch([{"type": "request", "request_id": i, "tenant_id": "t", "route": "/r", "model": "m",
                                    "timestamp": at, "metadata": {"x": "y" * 2000}} for i in ids])
            self.stack.post_batch([{"type": "response", "request_id": i, "timestamp": at, "latency_ms": 1} for i in ids])
            self.pairs += PAIRS


class PostgresAway(unittest.TestCase):
    def test_processors_wait_in_the_group_and_go_on(self):
        with Stack(partitions=2, env={"SESSION_TIMEOUT_MS": str(SESSION_S * 1000)}) as s, PgProxy(s.dsn) as proxy:
            s.start("ingest-api")
            env = {"POSTGRES_DSN": proxy.dsn(s.dsn)}
            three = [s.start(f"processor-{n}", env=env) for n in (1, 2, 3)]
            wait_for(lambda: sorted(p.metric(LIVE) for p in three) == [0, 1, 1], "two owners and a standby")
            load = Load(s)
            load.start()
            try:
                # Down, and without an answer: then it is not known for long that it is away.
                for away in (proxy.refuse, proxy.stall):
                    wait_for(lambda: s.totals()["responses"] > 0, "rows")
                    before = self.samples(three, STILL)
                    away()
                    if away == proxy.refuse:
                        wait_for(lambda: not any(p.is_ready() for p in three), "nobody ready", 60)
                    self.check_waiting(three, load)
                    away(False)
                    wait_for(lambda: all(p.is_ready() for p in three), "readiness again", 60)
                    self.assertEqual(self.samples(three, STILL), before)
            finally:
                load.stop_now.set()
                load.join(60)
            s.wait_totals(requests=load.pairs, responses=load.pairs, in_flight=0, seconds=60)
            self.assertEqual(self.samples(three, STILL), before)

    def samples(self, processors, names):
        return [[p.metric(n) for n in names] for p in processors]

    def has_stopped(self, processors, load):
        """What they have taken, once that stands still though more is sent."""
        taken, sent = self.samples(processors, TAKEN), load.pairs
        wait_for(lambda: load.pairs >= sent + 3 * PAIRS, "more load", 60)
        return taken if self.samples(processors, TAKEN) == taken else None

    def check_waiting(self, processors, load):
        """For longer than a session, under load."""
        taken = wait_for(lambda: self.has_stopped(processors, load), "an end of reading", 60)
        began, sent = time.monotonic(), load.pairs
        resident = [p.resident_bytes() for p in processors]
        revoked = [p.log().count("partitions revoked") for p in processors]
        wait_for(lambda: time.monotonic() > began + 1.5 * SESSION_S and load.pairs > sent + 10 * PAIRS,
                 "load for longer than a session", 60)
        for p, before in zip(processors, resident):
            self.assertEqual(p.get("/livez")[0], 200)
            self.assertLess(p.resident_bytes() - before, 64 * MIB, p.name)
        self.assertEqual(self.samples(processors, TAKEN), taken)
        self.assertEqual([p.log().count("partitions revoked") for p in processors], revoked)


if __name__ == "__main__":
    unittest.main()
