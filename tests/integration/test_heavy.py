# SPDX-License-Identifier: Apache-2.0
"""The worst that one may ask of a tenant with 10,000 series, by twenty at once: every answer is whole or says what is
too much, memory stays below a bound, and the process goes on answering others."""
import base64
import collections
import concurrent.futures
import http.client
import json
import os
import socket
import subprocess
import threading
import unittest
import urllib.parse
import zlib

import fact_rows
from stack import Stack, needed

SERIES, MINUTES, CLIENTS = 10000, 4, 20
NOW = "2025-11-20 12:00+00"
RANGE = {"from": "2025-11-20T11:30:00Z", "to": "2025-11-20T12:00:00Z"}
MIB = 1 << 20
SANITIZED = "ASAN_OPTIONS" in os.environ  # then freed memory is kept back, and all is slow
SUMMING = 512  # MiB, ANSWER_MEMORY_BYTES; a question may have a quarter
# And what the answers' texts may take (HTTP_MEMORY_BYTES, http_server.h), the cache, and the process itself.
MOST_BYTES = (SUMMING + 9 / 4 * 64 + 64 + 200) * MIB


SMALL = "/v1/metrics?tenant_id=small&group_by=route&from=2025-11-20T11:30:00Z&to=2025-11-20T12:00:00Z"


def wide_histogram():
    """With a value in every octave: merged, it takes all the memory that one can."""
    tool = os.path.join(needed("SL_BUILD"), "tests", "interop", "hist_tool")
    values = " ".join(str(1 << i) for i in range(32))
    out = subprocess.run([tool], input=f"make {values}\n", capture_output=True, text=True, check=True,
                         timeout=10).stdout
    return zlib.decompress(base64.b64decode(json.loads(out)["hdr"])[8:])


class Heavy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = s = Stack().__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        hdr = f"'\\x{wide_histogram().hex()}'"
        s.sql("INSERT INTO llm_series (tenant_id, route, model) SELECT 'big', 'r' || i, 'm'"
              f" FROM generate_series(1, {SERIES}) i UNION ALL SELECT 'small', 'r', 'm'")
        fact_rows.partitions(s, [f"timestamptz '{NOW}'"])
        fact_rows.rows(s, "llm_minute", "SELECT series_id FROM llm_series",
                       f"SELECT timestamptz '{NOW}' - i * interval '1 min' FROM generate_series(1, {MINUTES}) i",
                       requests="32", responses="32", latency_count="32", latency_sum_us="4294967295",
                       latency_max_us="2147483648", latency_hdr=hdr, ttft_count="32", ttft_sum_us="4294967295",
                       ttft_max_us="2147483648", ttft_hdr=hdr, error_classes="""'{"timeout": 3, "refused": 1}'""")
        s.sql("INSERT INTO llm_window (window_start) SELECT DISTINCT window_start FROM llm_minute"
              " ON CONFLICT DO NOTHING; ANALYZE llm_series")
        cls.api = s.start("metrics-api", env={
            "QUERY_TIMEOUT_MS": "60000", "PG_POOL_SIZE": "8", "ANSWER_MEMORY_BYTES": str(SUMMING * MIB)})

    def ask(self, endpoint, **query):
        c = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=120)
        try:
            c.request("GET", f"/v1/{endpoint}?" + urllib.parse.urlencode({"tenant_id": "big", **RANGE, **query}))
            r = c.getresponse()
            return r.status, json.loads(r.read())
        finally:
            c.close()

    def watch(self, work):
        """Runs it; (what it gave, most resident bytes, slowest /livez) meanwhile, the last in seconds of the service's
        one thread: how busy the machine is with others is none of its business. Small questions get their answers."""
        done, seen = threading.Event(), []

        def look():
            c = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=30)
            while not done.is_set():
                begun = self.api.cpu_seconds()
                c.request("GET", "/livez")
                r = c.getresponse()
                r.read()
                seen.append((r.status, self.api.cpu_seconds() - begun, self.api.resident_bytes()))
                c.request("GET", f"{SMALL}&percentiles={len(seen) % 99 + 1}")
                r = c.getresponse()
                self.assertEqual((r.status, json.loads(r.read())["count"]), (200, 1))
            c.close()
        with concurrent.futures.ThreadPoolExecutor(1) as one:
            watcher = one.submit(look)
            try:
                result = work()
            finally:
                done.set()
            watcher.result()
        self.assertEqual({status for status, _, _ in seen}, {200})
        self.assertGreater(len(seen), 3)
        return result, max(m for _, _, m in seen), max(t for _, t, _ in seen)

    def ask_all(self, questions):
        """Two a client, no two of them alike, so that no answer is shared."""
        def one(i):
            endpoint, query = questions[i % len(questions)]
            return endpoint, *self.ask(endpoint, **{"to": f"2025-11-20T12:{i:02}:00Z", **query})
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            answers, most, slowest = self.watch(lambda: list(pool.map(one, range(2 * CLIENTS))))
        if not SANITIZED:
            self.assertLess(most, MOST_BYTES, f"{most / MIB:.0f} MiB")
            self.assertLess(slowest, 1)
        seen = collections.Counter()
        for endpoint, status, answer in answers:
            seen[endpoint, status] += 1
            if status == 400:
                self.assertEqual(answer["field"], "group_by", answer)
                self.assertIn(f"{SUMMING // 4} MiB", answer["detail"])
            elif status == 503:
                # Of what is being summed, or of answers that are being sent.
                self.assertRegex(answer["detail"], "too many large questions|too large while so many are under way")
            else:
                self.assertEqual(status, 200, answer)
        return seen

    def test_the_worst_of_every_kind(self):
        wide = ",".join(str(p) for p in range(80, 96))
        seen = self.ask_all([
            ("metrics", {"step": "1m", "percentiles": wide}), ("metrics", {"step": "10m"}),
            ("metrics", {"limit": "10000"}), ("metrics", {"step": "1m", "order": "asc", "format": "json"}),
            ("top", {"group_by": "route", "limit": "10000"}),
            ("top", {"by": "p95", "group_by": "route", "fields": "errors"}),
            ("heatmap", {"step": "1m"}), ("summary", {"percentiles": wide}), ("series", {}),
            ("routes", {"prefix": "r"})])
        # What is no sum of histograms of 10,000 groups is answered in any case.
        self.assertEqual({e for (e, status) in seen if status == 200},
                         {"metrics", "heatmap", "summary", "series", "routes"})
        self.assertEqual(seen["top", 400] + seen["top", 503], 8)

    def test_as_much_as_one_may_have_by_twenty(self):
        seen = self.ask_all([("metrics", {"group_by": "route", "fields": "p95_latency_ms", "limit": "4500"})])
        self.assertGreater(seen["metrics", 200], 3)
        if not SANITIZED:
            self.assertGreater(seen["metrics", 503], 3)  # or this was not the worst
        self.assertEqual(sum(seen.values()), 2 * CLIENTS)
        # Nothing of it is held back.
        self.assertEqual(self.ask("metrics", group_by="route", fields="p95_latency_ms", limit="4500")[0], 200)

    def test_small_ones_are_answered_whatever_others_take(self):
        """Each as large as a small one may be while it reads 10,000 series, so that together they have more than there
        is for all."""
        api = self.stack.start("metrics-api-2", env={"QUERY_TIMEOUT_MS": "60000", "PG_POOL_SIZE": "8",
                                                     "ANSWER_MEMORY_BYTES": str(MIB), "CACHE_BYTES": "0"})
        self.addCleanup(api.kill)

        targets = []
        for i in range(2 * CLIENTS):
            targets.append("/v1/metrics?" + urllib.parse.urlencode({
                "tenant_id": "big", **RANGE, "to": f"2025-11-20T12:{i:02}:00Z", "group_by": "route", "limit": "7",
                "fields": "p95_latency_ms"}))
        with socket.create_connection(("127.0.0.1", api.port), timeout=60) as c:
            c.sendall(b"".join(f"GET {t} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for t in targets))
            answers = c.makefile("rb")
            for _ in targets:
                status = answers.readline()
                size = 0
                while (line := answers.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        size = int(line.split()[1])
                body = json.loads(answers.read(size))
                self.assertEqual((status[9:12], body.get("count")), (b"200", 7), body)

    def test_a_page_at_a_time_they_all_come(self):
        for query in ({"group_by": "route", "fields": "p95_latency_ms,route"},
                      {"step": "2m", "fields": "route,requests"}):
            rows, cursor = [], ""
            while cursor is not None:
                status, answer = self.ask("metrics", **query, limit="3000", cursor=cursor)
                self.assertEqual(status, 200, answer)
                rows += answer["metrics"]
                cursor = answer["next_cursor"]
            self.assertEqual(len(rows), SERIES * (1 if "group_by" in query else 2))
            self.assertEqual(len({r["route"] for r in rows}), SERIES)


if __name__ == "__main__":
    unittest.main()
