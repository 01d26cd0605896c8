# SPDX-License-Identifier: Apache-2.0
"""Several processors share the partitions, those without one stand by and take over, and two
installations on one cluster do not touch each other."""
import time
import unittest

from stack import Stack, wait_for

LIVE = 'streamlens_processor_partitions{state="live"}'
REQUESTS = "streamlens_processor_requests_total"


class Several(unittest.TestCase):
    def batch(self, s, name, n, kind):
        now = (time.time() - 60) * 1000
        if kind == "request":
            s.post_batch([{"type": kind, "request_id": f"{name}-{i}", "tenant_id": "t", "route": "/r",
                           "model": f"m{i % 3}", "timestamp": now, "prompt_tokens": 3} for i in range(n)])
        else:
            s.post_batch([{"type": kind, "request_id": f"{name}-{i}", "timestamp": now, "latency_ms": i,
                           "completion_tokens": 2} for i in range(n)])

    def start(self, s, n, env=None):
        """n processors, each with its share: the live partitions of each."""
        names = [f"processor-{i + 1}" for i in range(n)]
        for name in names:
            s.start(name, ready=False, env=env)
        for name in names:
            s.services[name].wait_ready()
        return [s.services[name] for name in names]

    def shares(self, processors):
        return [int(p.metric(LIVE)) for p in processors]

    def wait_shares(self, processors, want, seconds=40):
        wait_for(lambda: sorted(self.shares(processors)) == want, f"shares {want}", seconds)

    def test_three_share_six_partitions_and_all_is_counted(self):
        with Stack(partitions=6, env={"SESSION_TIMEOUT_MS": "6000"}) as s:
            s.start("ingest-api")
            three = self.start(s, 3)
            self.wait_shares(three, [2, 2, 2])
            self.batch(s, "a", 600, "request")
            self.batch(s, "a", 300, "response")
            s.wait_totals(requests=600, responses=300)
            self.assertEqual(sum(p.metric(REQUESTS) for p in three), 600)
            self.assertGreater(min(p.metric(REQUESTS) for p in three), 100)
            three[1].kill()
            # While the dead one's partitions are nobody's, the others' are counted, and nothing is lost.
            self.batch(s, "b", 600, "request")
            self.batch(s, "b", 600, "response")
            self.batch(s, "a", 600, "response")  # half of them again
            self.wait_shares([three[0], three[2]], [3, 3])
            s.wait_totals(requests=1200, responses=1200, in_flight=0)
            s.start("processor-2")
            self.wait_shares([s.services[f"processor-{i}"] for i in (1, 2, 3)], [2, 2, 2])
            self.batch(s, "c", 600, "request")
            self.batch(s, "c", 600, "response")
            s.wait_totals(requests=1800, responses=1800, in_flight=0, prompt_tokens=5400,
                          completion_tokens=3600)
            self.assertEqual(s.consume("llm.dead_letter"), [])

    def test_more_processors_than_partitions_stand_by_and_take_over(self):
        with Stack(partitions=2, env={"SESSION_TIMEOUT_MS": "6000"}) as s:
            s.start("ingest-api")
            four = self.start(s, 4, env={"GROUP_INSTANCE_ID": ""})
            self.wait_shares(four, [0, 0, 1, 1])
            for p in four:
                self.assertEqual(p.get("/readyz")[0], 200, p.name)
            self.batch(s, "a", 100, "request")
            s.wait_totals(requests=100, in_flight=100)
            shares = self.shares(four)
            idle = [p for p, n in zip(four, shares) if n == 0]
            for p, n in zip(four, shares):
                if n:
                    p.kill()
            self.batch(s, "a", 100, "response")
            s.wait_totals(requests=100, responses=100, seconds=60)
            self.assertEqual(self.shares(idle), [1, 1])
            for p in idle:
                self.assertEqual(p.get("/readyz")[0], 200, p.name)

    def test_two_installations_on_one_cluster_do_not_touch_each_other(self):
        """The same names everywhere, of processors and of requests; the prefix alone differs."""
        with Stack(partitions=2) as one, Stack(partitions=3) as two:
            for s in (one, two):
                s.start_all()
            self.batch(one, "a", 100, "request")
            self.batch(two, "a", 200, "request")
            self.batch(one, "a", 50, "response")
            self.batch(two, "a", 200, "response")
            one.wait_totals(requests=100, responses=50)
            two.wait_totals(requests=200, responses=200)
            # One leaves and comes again; the other one's share does not move.
            claims = two.services["processor"].metric("streamlens_processor_claims_total")
            self.assertEqual(one.services["processor"].terminate(), 0)
            one.start("processor")
            self.batch(one, "a", 100, "response")
            one.wait_totals(requests=100, responses=100)
            two.wait_totals(requests=200, responses=200)
            self.assertEqual(two.services["processor"].metric("streamlens_processor_claims_total"), claims)
            self.assertEqual(two.services["processor"].log().count("partitions revoked"), 0)


if __name__ == "__main__":
    unittest.main()
