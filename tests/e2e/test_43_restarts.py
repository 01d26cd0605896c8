# SPDX-License-Identifier: Apache-2.0
"""Under thousands of events a second ingest-api, broker and database are killed, stopped and restarted at random:
what was acknowledged is what is counted. SL_RATE events/s (5,000), for SL_SECONDS (45) and until each fault had its
turn; SL_SEED for the same faults in the same order. tests/chaos compares every field, at a rate that its oracle can
follow; here the sums are held against the ledger."""
import os
import random
import secrets
import signal
import threading
import time
import unittest

from own_services import OwnServices
from pump import Pump
from stack import Stack, freeze, needed

EVENTS_PER_S = int(os.environ.get("SL_RATE", "5000"))
SECONDS = float(os.environ.get("SL_SECONDS", "45"))
CATCH_UP_S = 60 + 2 * SECONDS  # on a machine that has other things to do


class Restarts(unittest.TestCase):
    def setUp(self):
        base = int(needed("SL_PORT_BASE"))
        self.own = OwnServices(os.path.join(needed("SL_TMP"), f"restarts-{base}"), base + 70, base + 73)
        self.addCleanup(self.own.run, "down", "--wipe")
        self.s = self.enterContext(Stack(brokers=self.own.brokers, pg_dsn=self.own.pg_dsn, partitions=4, env={
            "ACK_TIMEOUT_MS": "2000", "SESSION_TIMEOUT_MS": "6000", "FLUSH_INTERVAL_MS": "1000",
            # What has no answer at the end is in flight.
            "JOIN_TTL_MS": str(int((SECONDS + CATCH_UP_S) * 2000))}))
        seed = os.environ.get("SL_SEED") or str(secrets.randbelow(10**9))
        print(f"SL_SEED={seed}", flush=True)
        self.random = random.Random(seed)
        # Its port stays, so that senders find it again.
        self.s.start("ingest-api", env={"HTTP_PORT": str(base + 76)})
        self.s.start("processor")

    def pass_time(self, least, most):
        """How far apart things happen is part of the scenario; nothing is waited for."""
        threading.Event().wait(self.random.uniform(least, most))

    # ---- faults: each returns when what it broke runs again ----

    def ingest_killed(self):
        self.s.services["ingest-api"].kill()
        self.pass_time(0, 1)
        self.s.start("ingest-api", env={"HTTP_PORT": str(self.s.services["ingest-api"].port)}, ready=False).wait_port()

    def ingest_ended(self):
        self.assertEqual(self.s.services["ingest-api"].terminate(), 0)
        self.s.start("ingest-api", env={"HTTP_PORT": str(self.s.services["ingest-api"].port)}, ready=False).wait_port()

    def broker_killed(self):
        self.own.kill("kafka", signal.SIGKILL)
        self.pass_time(0, 2)
        self.own.run("up")

    def broker_stopped(self):
        freeze(self.own.pid("kafka"))
        try:
            self.pass_time(1, 4)  # also beyond ACK_TIMEOUT_MS
        finally:
            self.own.kill("kafka", signal.SIGCONT)

    def postgres_stopped_immediately(self):
        self.own.kill("postgres", signal.SIGQUIT)
        self.pass_time(0, 3)
        self.own.run("up")

    def postgres_restarted(self):
        self.own.kill("postgres", signal.SIGINT)
        self.own.run("up")

    def disturb(self, pump):
        """Faults in rounds, each of which has every one in an order of its own."""
        faults = (self.ingest_killed, self.ingest_ended, self.broker_killed, self.broker_stopped,
                  self.postgres_stopped_immediately, self.postgres_restarted)
        began, done = time.monotonic(), 0
        while done < len(faults) or time.monotonic() - began < SECONDS:
            if done % len(faults) == 0:
                order = self.random.sample(faults, len(faults))
            fault = order[done % len(faults)]
            print(f"{time.monotonic() - began:6.1f} {pump.events():9d} {fault.__name__}", flush=True)
            fault()
            done += 1
            pump.check()
            self.pass_time(0, 3)
        return done

    def test_what_is_acknowledged_is_counted(self):
        port = self.s.services["ingest-api"].port
        with Pump(port, EVENTS_PER_S) as pump:
            pump.wait_events(EVENTS_PER_S)
            done = self.disturb(pump)
            pump.finish(CATCH_UP_S)
        want = pump.sums()
        print(f"{done} faults; {pump.events()} events in {pump.made_s:.0f} s, {pump.events() / pump.made_s:.0f}/s;"
              f" 503 {pump.answers(503)} times, no answer {pump.answers(None)} times", flush=True)
        self.assertGreater(pump.answers(503), 0)
        self.assertGreater(pump.answers(None), 0)
        self.s.wait_totals(CATCH_UP_S, **want)
        self.assertEqual(self.s.services["processor"].terminate(60), 0)
        self.assertEqual(self.s.totals(), want)


if __name__ == "__main__":
    unittest.main()
