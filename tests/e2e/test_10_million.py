# SPDX-License-Identifier: Apache-2.0
"""A million events with ids of 36 bytes, sent in batches: sums exact, memory bounded and printed."""
import json
import threading
import time
import unittest
import uuid

from stack import Stack, http_call, wait_for

EVENTS = 1_000_000
BATCH = 4000
MIB = 1 << 20


class Million(unittest.TestCase):
    def make_bodies(self, now):
        """NDJSON bodies: for each batch of pairs one of requests, then one of responses."""
        state = 1
        for start in range(0, EVENTS // 2, BATCH):
            requests, responses = [], []
            for n in range(start, start + BATCH):
                state = (state * 6364136223846793005 + 1442695040888963407) & ((1 << 64) - 1)
                id_ = str(uuid.UUID(int=(n << 64) | state))
                at = now - (state >> 40) % 3_600_000
                requests.append('{"type":"request","request_id":"%s","tenant_id":"t%d","route":"/r","model":"m%d",'
                                '"timestamp":%d,"prompt_tokens":%d}' % (id_, n % 5, n % 7, at, n % 1000))
                responses.append('{"type":"response","request_id":"%s","timestamp":%d,"latency_ms":%d,'
                                 '"completion_tokens":%d}' % (id_, at, n % 5000, n % 500))
            yield "\n".join(requests).encode()
            yield "\n".join(responses).encode()

    def send(self, port, bodies, lock, failures):
        while True:
            with lock:
                body = next(bodies, None)
            if body is None:
                return
            for _ in range(20):  # 503: the log could not take it in time; retries are free
                status, answer = http_call(port, "POST", "/v1/llm/events", body, timeout=60)
                if status == 202 and json.loads(answer)["accepted"] == BATCH:
                    break
                time.sleep(0.2)
            else:
                failures.append((status, answer))
                return

    def test_a_million(self):
        with Stack(partitions=12, env={"FLUSH_INTERVAL_MS": "2000"}) as s:
            s.start_all()
            bodies, lock, failures = self.make_bodies(int(time.time() * 1000)), threading.Lock(), []
            began = time.monotonic()
            senders = [threading.Thread(target=self.send, args=(s.services["ingest-api"].port, bodies, lock, failures))
                       for _ in range(2)]
            for t in senders:
                t.start()
            for t in senders:
                t.join()
            self.assertEqual(failures, [])
            sent = time.monotonic() - began
            pairs = EVENTS // 2
            wait_for(lambda: s.totals()["responses"] >= pairs, f"{pairs} answers", 120, every=0.5)
            totals = s.totals()
            self.assertEqual((totals["requests"], totals["responses"], totals["in_flight"]), (pairs, pairs, 0))
            self.assertEqual(totals["prompt_tokens"], sum(n % 1000 for n in range(pairs)))
            self.assertEqual(totals["completion_tokens"], sum(n % 500 for n in range(pairs)))
            latency = s.sql("SELECT sum(latency_sum_us) FROM llm_minute")
            self.assertEqual(int(latency), sum(n % 5000 for n in range(pairs)) * 1000)
            self.report(s, sent, time.monotonic() - began)

    def report(self, s, sent, done):
        processor = s.services["processor"]
        identities = processor.metric("streamlens_processor_identities")
        join_bytes = processor.metric("streamlens_processor_join_bytes")
        print(f"{EVENTS} events: sent in {sent:.1f} s, in the rows after {done:.1f} s")
        for name, service in s.services.items():
            cpu = service.metric("process_cpu_seconds_total")
            print(f"{name}: {service.resident_bytes() / MIB:.1f} MiB resident, {cpu / EVENTS * 1e6:.2f} µs CPU an event")
        print(f"join tables: {identities:.0f} answered identities, {join_bytes / MIB:.1f} MiB,"
              f" {join_bytes / identities:.0f} bytes each")
        self.assertLess(s.services["ingest-api"].resident_bytes(), 256 * MIB)
        self.assertLess(s.services["metrics-api"].resident_bytes(), 256 * MIB)

    def test_the_memory_of_a_live_join_is_printed(self):
        """200,000 requests that wait: what each costs the processor while it is open."""
        with Stack(partitions=12) as s:
            s.start_all()
            processor = s.services["processor"]
            before, n, now = processor.resident_bytes(), 200_000, int(time.time() * 1000)
            for _ in range(0, n, BATCH):
                s.post_batch([('{"type":"request","request_id":"%s","tenant_id":"t","route":"/r","model":"m",'
                               '"timestamp":%d}' % (uuid.uuid4(), now)).encode() for _ in range(BATCH)])
            s.wait_totals(requests=n, in_flight=n, seconds=60)
            table = processor.metric("streamlens_processor_join_bytes")
            print(f"{n} live joins: {table / n:.0f} bytes each in the tables,"
                  f" {(processor.resident_bytes() - before) / n:.0f} bytes each of resident memory")
            self.assertLess(table / n, 400)


if __name__ == "__main__":
    unittest.main()
