# SPDX-License-Identifier: Apache-2.0
"""A broker that stands still under load costs neither time nor memory: every answer is there by its deadline and
says when to come again, and once the broker goes on, all that was acknowledged is in the log and counted once."""
import http.client
import json
import os
import subprocess
import time
import unittest

from own_services import OwnServices
from pump import Pump
from stack import Stack, freeze, iso, needed, wait_for

ACK_S = 2
SLACK_S = 15.0      # of a machine on which broker, database and sender compete; without a deadline nothing comes
BUFFER = 256 << 10  # PRODUCE_BUFFER_BYTES: less than arrives until what is too old is dropped
# The buffer, with the records that are taken in any case (MAX_BATCH_EVENTS), and what the producer keeps beside each.
MEMORY = BUFFER + 10_000 * 512
SANITIZED = "ASAN_OPTIONS" in os.environ  # keeps what was freed, for a while
EVENTS_PER_S = 4000


class BrokerStopped(unittest.TestCase):
    def setUp(self):
        base = int(needed("SL_PORT_BASE"))
        self.own = OwnServices(os.path.join(needed("SL_TMP"), f"broker-stopped-{base}"), base + 60, base + 63)
        self.addCleanup(self.own.run, "down", "--wipe")
        self.s = self.enterContext(Stack(brokers=self.own.brokers, pg_dsn=self.own.pg_dsn, env={
            "ACK_TIMEOUT_MS": str(ACK_S * 1000), "PRODUCE_BUFFER_BYTES": str(BUFFER),
            "MAX_BATCH_BYTES": str(BUFFER)}))
        for name in ("ingest-api", "processor"):
            self.s.start(name, ready=False)
        for name in ("ingest-api", "processor"):
            self.s.services[name].wait_ready()
        self.ingest = self.s.services["ingest-api"]

    def refused(self, n):
        """One more event is answered 503 in time, with Retry-After."""
        c = http.client.HTTPConnection("127.0.0.1", self.ingest.port, timeout=30)
        began = time.monotonic()
        c.request("POST", "/v1/llm/request", json.dumps({
            "request_id": f"refused-{n}", "tenant_id": "refused", "route": "/r", "model": "m", "timestamp": iso(time.time())}))
        r = c.getresponse()
        r.read()
        took_s = time.monotonic() - began
        c.close()
        self.assertEqual(r.status, 503)
        self.assertGreaterEqual(int(r.getheader("Retry-After")), 1)
        self.assertLess(took_s, ACK_S + SLACK_S)

    def in_the_log(self):
        out = subprocess.run(["kcat", "-C", "-q", "-e", "-o", "beginning", "-b", self.own.brokers, "-f", "%k\n",
                              "-t", self.s.prefix + "llm.requests"], check=True, timeout=120, capture_output=True,
                             stdin=subprocess.DEVNULL).stdout
        return set(out.decode().split("\n"))

    def test_nothing_is_late_or_grows_and_nothing_is_lost(self):
        with Pump(self.ingest.port, EVENTS_PER_S, connections=200) as pump:
            pump.wait_events(2 * EVENTS_PER_S)
            resident = self.ingest.resident_bytes()
            pid = self.own.pid("kafka")
            freeze(pid)
            try:
                pump.slowest_s, grown = 0.0, 0

                def full():
                    nonlocal grown
                    grown = max(grown, self.ingest.resident_bytes() - resident)
                    return self.ingest.metric('streamlens_ingest_produce_failures_total{reason="queue_full"}') > 0
                for n in range(2):
                    self.refused(n)
                wait_for(full, "a full buffer", 60)
                for n in range(20):  # at once now
                    self.refused(n)
                    full()
                wait_for(lambda: not self.ingest.is_ready(), "loss of readiness", 30)
                self.assertEqual(self.ingest.get("/livez")[0], 200)
                slowest_s = pump.slowest_s
            finally:
                self.own.kill("kafka", 18)  # SIGCONT
            print(f"slowest answer {slowest_s:.2f} s, {grown / 2**20:.1f} MiB more memory,"
                  f" {pump.answers(503)} times 503 of {pump.events()} events")
            self.assertGreater(slowest_s, 0.0)
            self.assertLess(slowest_s, ACK_S + SLACK_S)
            if not SANITIZED:
                self.assertLess(grown, MEMORY)
            wait_for(self.ingest.is_ready, "readiness again", 60)
            pump.wait_events(EVENTS_PER_S)
        self.assertGreater(pump.answers(503), 0)
        wait_for(lambda: self.ingest.metric("streamlens_ingest_unreported_events") == 0, "all reports")
        self.assertEqual(self.ingest.metric("streamlens_ingest_pending_events"), 0)
        self.assertEqual(pump.ids() - self.in_the_log(), set())
        counted = "tenant_id = 't'"
        want = pump.sums()
        wait_for(lambda: self.s.totals(counted) == want, f"sums as acknowledged: {want}", 60)
        self.assertEqual(self.ingest.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
