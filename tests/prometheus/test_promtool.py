# SPDX-License-Identifier: Apache-2.0
"""promtool, as it comes with Debian, against the real services: its queries are answered, and it finds nothing wrong
with what the services tell of themselves."""
import json
import subprocess
import unittest

import fact_rows
from stack import Stack

FIRST, MINUTES = 1_763_640_000, 10  # 2025-11-20 12:00:00; windows of 100, 101, … requests
LAST = FIRST + 60 * MINUTES
COMMON = 'gen_ai_request_model="m", model="m", route="/{0}", service_name="/{0}", tenant_id="{1}"'


class Promtool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = s = Stack()
        cls.enterClassContext(s)
        fact_rows.series(s, 1, "acme", "/a")
        fact_rows.series(s, 2, "globex", "/b")
        start = f"to_timestamp({FIRST})"
        fact_rows.partitions(s, [start])
        nth = f"(extract(epoch FROM window_start - {start})::bigint / 60)"
        minutes = f"SELECT {start} + i * interval '1 min' FROM generate_series(0, {MINUTES - 1}) i"
        for table, times in (("llm_minute", minutes), ("llm_hour", f"SELECT date_trunc('hour', {start})")):
            requests = f"100 + {nth}" if table == "llm_minute" else str(sum(range(100, 100 + MINUTES)))
            fact_rows.rows(s, table, "SELECT series_id FROM llm_series", times, requests=requests,
                           errors="1", error_classes="""'{"timeout": 1}'""")
        s.sql("INSERT INTO llm_window (window_start, closed_at, complete) SELECT DISTINCT window_start, now(), true"
              f" FROM llm_minute; UPDATE streamlens_publisher SET closed_through = to_timestamp({LAST + 3600})")
        cls.api = s.start("metrics-api")
        cls.url = f"http://127.0.0.1:{cls.api.port}"

    def promtool(self, *args, code=0):
        r = subprocess.run(["promtool", *args], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(r.returncode, code, r.stdout + r.stderr)
        return r.stdout if code == 0 else r.stderr

    def query(self, kind, *args, code=0):
        return self.promtool("query", kind, *args, code=code).splitlines()

    def test_instant(self):
        got = self.query("instant", f"--time={LAST}", self.url, 'llm_minute_requests{tenant_id="acme"}')
        labels = COMMON.format("a", "acme")
        self.assertEqual(got, [f"llm_minute_requests{{{labels}}} => {100 + MINUTES - 1} @[{LAST}]"])
        got = self.query("instant", f"--time={LAST}", self.url, "sum(sum_over_time(llm_minute_requests[10m]))")
        self.assertEqual(got, [f"{{}} => {2 * sum(range(100, 100 + MINUTES))} @[{LAST}]"])
        got = self.query("instant", f"--time={LAST}", "-o", "json", self.url, "time() + 1")
        self.assertEqual(json.loads(got[0]), [LAST, str(LAST + 1)])

    def test_range(self):
        asked = (f"--start={FIRST + 60}", f"--end={LAST}", "--step=1m", self.url)
        got = self.query("range", *asked, "sum(llm_requests_total)")
        sums = [2 * sum(range(100, 100 + n)) for n in range(1, MINUTES + 1)]
        self.assertEqual(got, ["{} =>"] + [f"{v} @[{FIRST + 60 * n}]" for n, v in enumerate(sums, 1)])
        got = self.query("range", "--header=X-Scope-OrgID=acme", *asked, "count(llm_requests_total)")
        self.assertEqual(got[1], f"1 @[{FIRST + 60}]")

    def test_series(self):
        asked = (f"--start={FIRST}", f"--end={LAST}", self.url)
        got = self.query("series", "--match=llm_errors_total", '--match=llm_minute_errors{tenant_id="globex"}', *asked)
        b = ("b", "globex")
        self.assertEqual(got, [
            '{__name__="llm_errors_total", error_type="timeout", ' + COMMON.format("a", "acme") + "}",
            '{__name__="llm_errors_total", error_type="timeout", ' + COMMON.format(*b) + "}",
            '{__name__="llm_minute_errors", ' + COMMON.format(*b) + "}"])

    def test_labels(self):
        asked = (f"--start={FIRST}", f"--end={LAST}")
        self.assertEqual(self.query("labels", *asked, self.url, "tenant_id"), ["acme", "globex"])
        of_globex = "--match=llm_errors_total{tenant_id='globex'}"
        self.assertEqual(self.query("labels", *asked, of_globex, self.url, "route"), ["/b"])
        self.assertIn("llm_requests_total", self.query("labels", *asked, self.url, "__name__"))

    def test_what_is_wrong_is_told_in_words(self):
        for text, what in (("sum(", "parse error"), ("llm_requests_total[5m:1m]", "subquer")):
            self.assertIn(what, "\n".join(self.query("instant", self.url, text, code=1)))

    def test_metrics_of_the_services(self):
        for name in ("ingest-api", "processor"):
            self.stack.start(name)
        self.query("instant", self.url, "llm_requests_total")
        for service in self.stack.services.values():
            r = subprocess.run(["promtool", "check", "metrics"], input=service.get("/metrics")[1], capture_output=True,
                               timeout=30, check=False)
            self.assertEqual((r.returncode, r.stdout + r.stderr), (0, b""), service.name)


if __name__ == "__main__":
    unittest.main()
