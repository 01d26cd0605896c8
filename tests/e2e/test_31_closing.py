# SPDX-License-Identifier: Apache-2.0
"""Windows close when every partition has passed them; without those that are away after CLOSE_WAIT_MS;
and a silent system closes its last one and falls silent."""
import os
import signal
import time
import unittest

from stack import Stack, freeze, wait_for

LIVE = 'streamlens_processor_partitions{state="live"}'


class Closing(unittest.TestCase):
    def window(self, s):
        """complete, of the rows there are; closed and complete of the window: t|f each."""
        return s.sql("SELECT m.complete, w.closed_at IS NOT NULL, w.complete FROM llm_metrics m"
                     " JOIN llm_window w USING (window_start)")

    def test_one_open_request_on_a_silent_system(self):
        env = {"JOIN_TTL_MS": "1500", "JOIN_SKEW_MS": "500", "WINDOW_GRACE_MS": "500"}
        with Stack(env=env) as s:
            s.start_all()
            s.request("lonely", time.time() - 120)
            s.wait_totals(requests=1, unanswered=1, in_flight=0)
            wait_for(lambda: self.window(s) == "t|t|t", "a complete window")
            row = s.metrics("tenant_id=t")[1]["metrics"][0]
            self.assertEqual((row["unanswered"], row["complete"], row["lossy"]), (1, True, False))
            wait_for(lambda: is_silent(s, 2.5), "silence", 30)
            self.assertEqual(self.window(s), "t|t|t")

    def test_a_partition_whose_owner_is_stopped_is_waited_for_and_then_left_out(self):
        env = {"JOIN_TTL_MS": "1500", "JOIN_SKEW_MS": "500", "WINDOW_GRACE_MS": "500",
               "CLOSE_WAIT_MS": "3000", "SESSION_TIMEOUT_MS": "45000"}
        with Stack(partitions=2, env=env) as s:
            s.start("ingest-api")
            # By their names partition 0 is the first one's, which closes the windows.
            for name in ("processor-1", "processor-2"):
                s.start(name)
            both = [s.services[n] for n in ("processor-1", "processor-2")]
            wait_for(lambda: [p.metric(LIVE) for p in both] == [1, 1], "one partition each", 60)
            # Both have claimed, and the second one's partition has nothing to be seen in.
            freeze(both[1].process.pid)
            try:
                began = time.monotonic()
                s.post_batch([{"type": "request", "request_id": f"id-{i}", "tenant_id": "t",
                               "route": "/r", "model": "m", "timestamp": (time.time() - 120) * 1000}
                              for i in range(20)])
                wait_for(lambda: self.window(s) == "f|t|f", "a window closed without a partition", 40)
                self.assertGreaterEqual(time.monotonic() - began, 3)
                half = s.totals()["requests"]
                self.assertIn(half, range(1, 20))
                self.assertGreaterEqual(float(s.sql("SELECT extract(epoch FROM closed_at - held_since)"
                                                    " FROM llm_window")), 3)
                closed_at = s.sql("SELECT closed_at FROM llm_window")
            finally:
                os.kill(both[1].process.pid, signal.SIGCONT)
            wait_for(lambda: self.window(s) == "t|t|t", "a complete window", 60)
            s.wait_totals(requests=20, unanswered=20, in_flight=0)
            self.assertEqual(s.sql("SELECT closed_at FROM llm_window"), closed_at)


def is_silent(s, seconds):
    """Whether nothing is written to the input topics over that long."""
    first, until = s.end_offsets(), time.monotonic() + seconds
    while time.monotonic() < until:
        if s.end_offsets() != first:
            return False
        time.sleep(0.2)
    return True


if __name__ == "__main__":
    unittest.main()
