# SPDX-License-Identifier: Apache-2.0
"""Under traffic, of one partition records are deleted that a replay needs (it is degraded, and says so, until that
does not matter), then records that nobody has read (it halts and names them, and goes on once the loss is accepted).
The other partitions go on as if nothing were the matter, and all that does not come from that one is exact."""
import json
import unittest

import faults
import runs
from own_services import OwnServices
from stack import wait_for
from storm import Storm
from tape import headers_of
from world import STEADY

CUT, ROUTE = 1, "/cut"
UNREAD = 20  # records


class CutLogs(Storm):
    ttl_ms, skew_ms = 4_000, 1_000
    routes = {CUT: ROUTE}

    def position(self, column):
        return int(self.world.stack.sql(
            f"SELECT coalesce({column}, 0) FROM streamlens_position WHERE partition = {CUT}"))

    def partitions(self, state):
        """How many are in the state, over all processors."""
        name = f'streamlens_processor_partitions{{state="{state}"}}'
        return sum(self.world.stack.services[n].metric(name) for n in STEADY)

    def readiness(self):
        """(status, text) of those that have something to say."""
        answers = [self.world.stack.services[n].get("/readyz") for n in STEADY]
        return [(status, body.decode()) for status, body in answers if status != 200 or b"degraded" in body]

    def start_over(self, between=lambda: None):
        for n in STEADY:
            self.world.kill(n)
        between()
        for n in STEADY:
            self.world.start(n)
        for n in STEADY:
            self.world.stack.services[n].wait_port()

    def expect(self, condition, what, seconds=60.0):
        wait_for(condition, what, seconds, 0.2)
        self.report.say(what)

    def expect_said(self, status, *words):
        """By one processor, and nothing by the others, once they are in the group."""
        def fits(said):
            return said if len(said) == 1 and said[0][0] == status and all(w in said[0][1] for w in words) else None
        self.expect(lambda: fits(self.readiness()), f"one processor that answers {status} and says {words}")

    def blow(self):
        self.expect(lambda: self.position("request_next") > self.position("request_replay") + 200, "records to delete")
        self.start_over(self.cut_what_a_replay_needs)
        self.expect(lambda: self.partitions("degraded") == 1, "one partition degraded")
        self.expect_said(200, f"the first is {CUT}")
        self.recover("the others, one partition degraded")
        self.expect(lambda: self.partitions("degraded") == 0, "degraded no more", 180)

        self.start_over(self.cut_what_nobody_has_read)
        self.expect(lambda: self.partitions("halted") == 1, "one partition halted")
        self.expect_said(503, f"llm.requests, partition {CUT}", f"{self.first_lost} to {self.first_lost + UNREAD - 1}")
        self.recover("the others, one partition halted")
        if self.position("request_next") != self.first_lost:
            self.report.findings.append("the halted partition moved")

        self.world.stack.env["ACCEPT_LOSS"] = "1"
        self.start_over()
        self.expect(lambda: self.position("request_next") > self.first_lost + UNREAD, "the loss accepted")
        self.expect(lambda: self.partitions("halted") == 0 and not self.readiness(), "all ready")

    def cut_what_a_replay_needs(self):
        for topic, kind in (("llm.requests", "request"), ("llm.responses", "response")):
            low, high = self.position(kind + "_replay"), self.position(kind + "_next")
            faults.delete_records(self, topic, CUT, (low + high + 1) // 2)

    def cut_what_nobody_has_read(self):
        self.first_lost = self.position("request_next")

        def there():
            self.tape.extend([("llm.requests", CUT)])
            return self.tape.next["llm.requests", CUT] >= self.first_lost + 2 * UNREAD
        self.expect(there, "records that nobody has read")
        faults.delete_records(self, "llm.requests", CUT, self.first_lost + UNREAD)

    def judge(self):
        super().judge()
        f, stack = self.report.findings, self.world.stack
        gaps = stack.sql("SELECT partition, topic, from_offset, to_offset FROM streamlens_gap")
        if gaps != f"{CUT}|llm.requests|{self.first_lost}|{self.first_lost + UNREAD}":
            f.append(f"gaps are {gaps!r}")
        rows = json.loads(stack.sql(
            "SELECT json_agg(x) FROM (SELECT tenant_id, route, model, extract(epoch FROM window_start)::bigint AS"
            f" start_s, requests, responses, lossy FROM llm_metrics WHERE route = '{ROUTE}') x"))
        got = {(r["tenant_id"], r["route"], r["model"], r["start_s"]): r for r in rows}
        missing = 0
        for key, want in self.check.truth.rows.items():
            if key[1] != ROUTE:
                continue
            row = got.get(key, {"requests": 0, "responses": 0, "lossy": True})
            missing += want.n["requests"] - row["requests"]
            if row["requests"] > want.n["requests"] or row["responses"] > want.n["responses"]:
                f.append(f"{key}: {row} counts more than {dict(want.n)}")
            if row["requests"] < want.n["requests"] and not row["lossy"]:
                f.append(f"{key}: {row} lacks something of {dict(want.n)} and is not marked lossy")
        lost = sum(self.first_lost <= r["offset"] < self.first_lost + UNREAD and "streamlens-tick" not in headers_of(r)
                   for r in self.tape.records("llm.requests", CUT))
        self.report.lines.append(f"{missing} requests are missing, {lost} records of requests were lost")
        if missing != lost or not lost:
            f.append(self.report.lines[-1])


class DeletedRecords(unittest.TestCase):
    def test_only_what_is_gone_is_missing(self):
        own = OwnServices(runs.state(), *runs.ports())
        self.addCleanup(runs.end, own)
        runs.run_storm(self, own, runs.seed_of_run(), 0, CutLogs)


if __name__ == "__main__":
    unittest.main()
