# SPDX-License-Identifier: Apache-2.0
"""/metrics of the three services under traffic: what promtool says of it, that all that deploy/prometheus names is
there, and that the processor's numbers follow what happens to it."""
import os
import re
import subprocess
import unittest

from pg_proxy import PgProxy
from stack import ROOT, Stack, wait_for

PARTITIONS = 2
P = "streamlens_processor_"


def per_partition(name):
    return [f'{P}{name}{{topic="{topic}",partition="{p}"}}'
            for p in range(PARTITIONS) for topic in ("requests", "responses")]


class SelfMetrics(unittest.TestCase):
    def samples(self, service):
        text = service.get("/metrics")[1].decode()
        return {name: float(value) for name, value in re.findall(r"^([^# ].*) (\S+)$", text, re.M)}

    def pairs(self, s, prefix, n):
        for i in range(n):
            s.request(f"{prefix}-{i}", model="gpt-4o")
            s.response(f"{prefix}-{i}", completion_tokens=5)

    def test_metrics_of_all_services(self):
        with Stack(partitions=PARTITIONS) as s, PgProxy(s.dsn) as proxy:
            s.start("ingest-api")
            s.start("metrics-api")
            processor = s.start("processor", env={"POSTGRES_DSN": proxy.dsn(s.dsn), "MAX_JOINS": "1000"})
            self.pairs(s, "a", 8)
            wait_for(lambda: s.totals()["responses"] == 8, "all counted")
            s.services["metrics-api"].get("/v1/metrics?tenant_id=t")
            wait_for(lambda: all(self.samples(processor).get(n) == 0 for n in per_partition("lag_records")), "no lag")
            self.check_form(s)
            self.check_names(s)
            self.check_processor(processor)
            proxy.refuse()
            self.check_database_away(s, processor)
            proxy.refuse(False)
            self.check_recovery(s, processor)

    def check_form(self, s):
        for service in s.services.values():
            r = subprocess.run(["promtool", "check", "metrics"], input=service.get("/metrics")[1],
                               capture_output=True, timeout=30, check=False)
            self.assertEqual((r.returncode, r.stdout + r.stderr), (0, b""), service.name)

    def check_names(self, s):
        """A rule about a metric that nobody has would never fire."""
        with open(os.path.join(ROOT, "deploy", "prometheus", "alerts.yml"), encoding="utf-8") as f:
            rules = f.read()
        wanted = set(re.findall(r"\b(?:streamlens|process)_[a-z_]+", rules))
        self.assertGreater(len(wanted), 20)
        there = {re.sub(r"\{.*", "", name) for service in s.services.values() for name in self.samples(service)}
        self.assertEqual(wanted - there, set())
        # Labels too: a series with none of the values that a rule asks for is none.
        all_of = "\n".join(service.get("/metrics")[1].decode() for service in s.services.values())
        for name, label, value in re.findall(r"(streamlens_\w+)\{(\w+)=\"(\w+)\"\}", rules):
            self.assertRegex(all_of, rf'{name}\{{[^}}]*{label}="{value}"', name)
        for name, label, values in re.findall(r"(streamlens_\w+)\{(\w+)=~\"([\w|]+)\"\}", rules):
            for value in values.split("|"):
                self.assertRegex(all_of, rf'{name}\{{[^}}]*{label}="{value}"', name)

    def check_processor(self, processor):
        m = self.samples(processor)
        for name in per_partition("behind_seconds") + per_partition("joins_used_ratio"):
            self.assertEqual(m[name], 0, name)
        apart = [m[n] for n in m if n.startswith(P + "topics_apart_seconds{")]
        self.assertTrue(apart and all(abs(seconds) < 60 for seconds in apart), apart)
        self.assertGreater(m[P + "flushed_rows_total"], 0)
        for name, want in (("ready", 1), ("database_up", 1), ("database_errors_total", 0)):
            self.assertEqual(m[P + name], want, name)
        wait_for(lambda: self.samples(processor)["streamlens_publisher_caught_up_timestamp_seconds"] > 0, "caught up")

    def check_database_away(self, s, processor):
        def is_away():
            m = self.samples(processor)
            return m[P + "database_up"] == 0 and m[P + "ready"] == 0 and m[P + "database_errors_total"] > 0
        wait_for(is_away, "the database seen to be away")
        s.request("waits", model="gpt-4o")
        self.pairs(s, "b", 200)  # more than is taken before a flush is due

        def is_behind():
            m = self.samples(processor)
            return any(m.get(n, 0) > 0 for n in per_partition("lag_records")) and \
                any(m.get(n, 0) > 1 for n in per_partition("behind_seconds"))
        wait_for(is_behind, "a lag")

    def check_recovery(self, s, processor):
        wait_for(lambda: s.totals()["responses"] == 208, "all counted", 60)

        def is_back():
            m = self.samples(processor)
            return m[P + "ready"] == m[P + "database_up"] == 1 and \
                all(m[n] == 0 for n in per_partition("lag_records") + per_partition("behind_seconds"))
        wait_for(is_back, "no lag")
        # The request without an answer waits.
        self.assertEqual(sum(self.samples(processor)[n] > 0 for n in per_partition("joins_used_ratio")), 1)


if __name__ == "__main__":
    unittest.main()
