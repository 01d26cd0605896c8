# SPDX-License-Identifier: Apache-2.0
"""Ingest, broker and database are restarted; what was answered 202 is counted, and all come back by
themselves. The broker and the database are this file's own."""
import os
import threading
import time
import unittest

from own_services import OwnServices
from stack import Stack, freeze, http_call, needed, wait_for


class Traffic(threading.Thread):
    """Sends pairs, each event until it is answered 202, and keeps the ledger."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.stop_now = stack, threading.Event()
        self.acked, self.retries, self.statuses = 0, 0, set()

    def send(self, path, event):
        import json
        while not self.stop_now.is_set() or event["request_id"] == self.current:
            try:
                port = self.stack.services["ingest-api"].port
                status, _ = http_call(port, "POST", path, json.dumps(event), timeout=15)
            except (OSError, TypeError):
                status = None
            except Exception:  # http.client: the server went away in the middle of an answer
                status = None
            self.statuses.add(status)
            if status == 202:
                return
            self.retries += 1
            time.sleep(0.05)

    def run(self):
        n = 0
        while not self.stop_now.is_set():
            self.current = f"t-{n}"
            now = time.time()
            self.send("/v1/llm/request", {"request_id": self.current, "tenant_id": "t", "route": "/r",
                                          "model": "m", "timestamp": now * 1000})
            self.send("/v1/llm/response", {"request_id": self.current, "timestamp": now * 1000,
                                           "latency_ms": 5})
            n += 1
            self.acked = n
            time.sleep(0.005)


class Outages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        base = int(needed("SL_PORT_BASE"))
        cls.own = OwnServices(os.path.join(needed("SL_TMP"), "outages"), base + 60, base + 63)
        cls.addClassCleanup(lambda: cls.own.run("down", "--wipe"))

    def scenario(self, disturb):
        with Stack(brokers=self.own.brokers, pg_dsn=self.own.pg_dsn,
                   env={"ACK_TIMEOUT_MS": "2000", "SESSION_TIMEOUT_MS": "6000"}) as s:
            s.start_all()
            traffic = Traffic(s)
            traffic.start()
            try:
                wait_for(lambda: traffic.acked > 50, "traffic")
                disturb(s, traffic)
                after = traffic.acked
                wait_for(lambda: traffic.acked > after + 50, "traffic after the disturbance", 60)
            finally:
                traffic.stop_now.set()
                traffic.join(60)
            self.assertNotIn(500, traffic.statuses)
            s.wait_totals(requests=traffic.acked, responses=traffic.acked, seconds=60)
            for service in s.services.values():
                wait_for(service.is_ready, f"readiness of {service.name}", 30)
            return traffic

    def test_ingest_is_killed_and_started_again(self):
        def disturb(s, _):
            for stop in ("kill", "terminate"):
                getattr(s.services["ingest-api"], stop)()
                s.start("ingest-api")
        self.scenario(disturb)

    def test_the_broker_is_killed_and_started_again(self):
        def disturb(s, traffic):
            self.own.kill("kafka", 9)
            # Longer than the session: the member counts as lost, on its side and on the broker's.
            processor = s.services["processor"]
            wait_for(lambda: '"lost":"yes"' in processor.log(), "the end of the session", 30)
            wait_for(lambda: 503 in traffic.statuses, "a 503 while the broker is away", 30)
            ingest = s.services["ingest-api"]
            wait_for(lambda: ingest.get("/readyz")[0] == 503, "ingest not ready", 30)
            wait_for(lambda: processor.get("/readyz")[0] == 503, "processor not ready", 10)
            for service in (ingest, processor):
                self.assertEqual(service.get("/livez")[0], 200)
            self.own.run("up")
            wait_for(ingest.is_ready, "ingest ready again", 60)
        self.scenario(disturb)

    def test_a_frozen_broker_does_not_keep_a_processor_from_ending(self):
        with Stack(brokers=self.own.brokers, pg_dsn=self.own.pg_dsn,
                   env={"FLUSH_INTERVAL_MS": "4000"}) as s:
            s.start("ingest-api")
            # Without an instance id, so that it has to tell the broker that it leaves.
            processor = s.start("processor", env={"GROUP_INSTANCE_ID": ""})
            s.request("a")
            wait_for(lambda: processor.metric("streamlens_processor_requests_total") == 1, "the request taken")
            freeze(self.own.pid("kafka"))
            try:
                s.wait_totals(requests=1)  # and its offset is on the way to the broker
                self.assertEqual(processor.terminate(), 0)
            finally:
                self.own.kill("kafka", 18)  # SIGCONT
            s.start("processor")
            s.response("a")
            s.wait_totals(requests=1, responses=1)

    def test_a_broker_that_refuses_connections_costs_no_cpu(self):
        with Stack(brokers=self.own.brokers, pg_dsn=self.own.pg_dsn) as s:
            ingest = s.start("ingest-api")
            s.request("a")
            self.own.kill("kafka", 9)
            try:
                wait_for(lambda: not ingest.is_ready(), "ingest not ready")
                began, used = time.monotonic(), ingest.cpu_seconds()
                wait_for(lambda: time.monotonic() > began + 5, "five seconds of it")
                self.assertLess(ingest.cpu_seconds() - used, 0.1 * (time.monotonic() - began))
            finally:
                self.own.run("up")
            wait_for(ingest.is_ready, "ingest ready again", 60)

    def test_postgresql_is_stopped_and_started_again(self):
        def disturb(s, traffic):
            self.own.kill("postgres", 3)  # immediate shutdown
            api = s.services["metrics-api"]
            wait_for(lambda: api.get("/readyz")[0] == 503, "metrics-api not ready", 30)
            status, body = api.get("/v1/metrics?tenant_id=t")
            self.assertEqual(status, 503, body)
            self.assertEqual(api.get("/livez")[0], 200)
            seen = traffic.acked
            wait_for(lambda: traffic.acked > seen + 50, "ingest going on without PostgreSQL")
            self.own.run("up")
            wait_for(lambda: api.get("/v1/metrics?tenant_id=t")[0] == 200, "metrics-api back", 10)
        self.scenario(disturb)

    def test_partitions_are_taken_over_once_postgresql_is_back(self):
        """A member dies while PostgreSQL is away: the other cannot claim, waits, and then does."""
        with Stack(brokers=self.own.brokers, pg_dsn=self.own.pg_dsn, partitions=4,
                   env={"SESSION_TIMEOUT_MS": "6000"}) as s:
            s.start_all()
            s.start("processor-2")
            for n in range(40):
                s.request(f"before-{n}")
            s.wait_totals(requests=40)
            self.own.kill("postgres", 3)
            s.services["processor-2"].kill()
            first = s.services["processor"]
            wait_for(lambda: "cannot take partitions now" in first.log(), "a claim that cannot be made", 60)
            self.own.run("up")
            for n in range(40):
                s.request(f"after-{n}")
                s.response(f"before-{n}")
            s.wait_totals(requests=80, responses=40, seconds=60)
            wait_for(first.is_ready, "readiness")


if __name__ == "__main__":
    unittest.main()
