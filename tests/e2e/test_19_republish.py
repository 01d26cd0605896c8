#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin republish: a range of llm.metrics comes again, under new sequences and otherwise as it was;
nothing else does."""
import json
import time
import unittest

from stack import Stack, iso, wait_for

MINUTES = (3, 4, 5, 9)


class Republish(unittest.TestCase):
    def records(self):
        """What a committed reader sees, by sequence. A transaction's commit reaches one partition after the other,
        so that a reader may see a part of it: sequences may be missing for that moment."""
        rows = [json.loads(r["payload"]) for r in self.s.consume("llm.metrics")]
        by_seq = {r["publish_seq"]: r for r in rows}
        self.assertEqual(len(by_seq), len(rows), "a sequence came twice")
        return by_seq

    def wait_records(self, n):
        by_seq = wait_for(lambda: len(r := self.records()) >= n and r, f"{n} records", 60)
        self.assertEqual(sorted(by_seq), list(range(1, n + 1)))
        return by_seq

    def wait_settled(self):
        """Every window is closed and published as it stands."""
        def done():
            last = {}
            for r in self.records().values():
                key = (r["tenant_id"], r["window_start"])
                if key not in last or r["publish_seq"] > last[key]["publish_seq"]:
                    last[key] = r
            return len(last) == 2 * len(MINUTES) and all(r["settled"] and r["requests"] == 2 for r in last.values())
        wait_for(done, "all windows settled", 60)

    def republish(self, start, end, *args):
        r = self.s.admin("republish", "--from=" + iso(start), "--to=" + iso(end), *args)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout

    def expect_again(self, before, after, tenants, starts):
        """Between the two: one record more of each of these rows, as its last one was."""
        last = {}
        for seq in sorted(before):
            last[before[seq]["tenant_id"], before[seq]["window_start"]] = before[seq]
        new = [after[seq] for seq in sorted(after) if seq > max(before)]
        self.assertEqual(sorted((r["tenant_id"], r["window_start"]) for r in new),
                         sorted((t, w) for t in tenants for w in starts))
        for r in new:
            was = last[r["tenant_id"], r["window_start"]]
            self.assertEqual({**r, "publish_seq": 0}, {**was, "publish_seq": 0})

    def test_a_range_comes_again_under_new_sequences(self):
        with Stack() as self.s:
            self.s.start_all()
            hour = (time.time() - 7200) // 3600 * 3600
            self.s.post_batch([{"type": kind, "request_id": f"{tenant}-{m}-{i}", "latency_ms": 10 * i + 5,
                                "tenant_id": tenant, "route": "/chat", "model": "m", "timestamp": iso(hour + 60 * m)}
                               for kind in ("request", "response") for tenant in ("a", "b") for m in MINUTES
                               for i in range(2)])
            open_until = time.time() + 1800
            self.s.request("open", timestamp=open_until)
            self.wait_settled()
            start = {m: iso(hour + 60 * m).replace(".000000", "") for m in MINUTES}

            before = self.records()
            self.assertEqual(sorted(before), list(range(1, len(before) + 1)))
            out = self.republish(hour + 60 * 4, hour + 60 * 9)  # from is in, to is not
            self.assertEqual(out, "4 rows of 2 windows will be sent again\n")
            after = self.wait_records(len(before) + 4)
            self.expect_again(before, after, ("a", "b"), (start[4], start[5]))

            # One tenant; a window that is not closed is no part of it.
            out = self.republish(hour, open_until, "--tenant=b")
            self.assertEqual(out, "4 rows of 4 windows will be sent again\n1 windows of the range are not closed yet;"
                                  " they are sent once they are\n")
            again = self.wait_records(len(after) + 4)
            self.expect_again(after, again, ("b",), start.values())

            # What the database says was sent last is the last that was sent.
            for seq in sorted(again)[-4:]:
                r = again[seq]
                self.assertEqual([x["publish_seq"] for x in self.s.rows(
                    f"tenant_id = 'b' AND window_start = '{r['window_start']}'")], [seq])


if __name__ == "__main__":
    unittest.main()
