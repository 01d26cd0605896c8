# SPDX-License-Identifier: Apache-2.0
"""The programs that make load over HTTP: test_load.py MAKE_REQUESTS PACED_HTTP."""
import gzip
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

MAKE_REQUESTS, PACED_HTTP = (os.path.abspath(p) for p in sys.argv[1:3])


def requests(*arguments):
    """[(header, body)] of a file that make_requests wrote."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "requests")
        subprocess.run([MAKE_REQUESTS, path, *map(str, arguments)], check=True)
        with open(path, "rb") as f:
            text = f.read()
    found = []
    while text:
        length, _, text = text.partition(b"\n")
        header, _, body = text[:int(length)].partition(b"\r\n\r\n")
        text = text[int(length):]
        found.append((header.decode(), body))
        assert f"Content-Length: {len(body)}" in header.decode().split("\r\n")
    return found


class Requests(unittest.TestCase):
    def test_single_events_of_both_kinds(self):
        found = requests(400, 1, "--series", 3)
        self.assertEqual(len(found), 400)
        kinds = {path: [json.loads(b) for h, b in found if h.startswith(f"POST /v1/llm/{path} HTTP/1.1\r\n")]
                 for path in ("request", "response")}
        for events in kinds.values():
            self.assertGreater(len(events), 150)
        self.assertTrue(all("model" in e and "latency_ms" not in e for e in kinds["request"]))
        self.assertTrue(all("latency_ms" in e for e in kinds["response"]))
        self.assertTrue(all("Content-Type: application/json" in h for h, _ in found))

    def test_batches(self):
        found = requests(5, 30, "--no-answers", "--header", "Authorization: Bearer x")
        self.assertEqual(len(found), 5)
        for header, body in found:
            lines = [json.loads(line) for line in body.split(b"\n")]
            self.assertEqual([e["type"] for e in lines], ["request"] * 30)
            self.assertIn("POST /v1/llm/events HTTP/1.1\r\n", header)
            self.assertIn("\r\nContent-Type: application/x-ndjson\r\nAuthorization: Bearer x\r\n", header)

    def test_compressed(self):
        plain, coded = requests(4, 3, "--seed", 5), requests(4, 3, "--seed", 5, "--gzip")
        ids = [[json.loads(x)["request_id"] for x in gzip.decompress(b).split(b"\n")] for _, b in coded]
        self.assertEqual(ids, [[json.loads(x)["request_id"] for x in b.split(b"\n")] for _, b in plain])
        self.assertTrue(all("Content-Encoding: gzip" in h for h, _ in coded))

    def test_bounds(self):
        for bad in ((0, 1), (1, 0), (1, 10001), (1, 1, "--series", "x"), (1, 1, "--unknown"), (1,)):
            r = subprocess.run([MAKE_REQUESTS, "/dev/null", *map(str, bad)], capture_output=True, text=True,
                               check=False)
            self.assertEqual((r.returncode, r.stderr.count("usage: make_requests")), (2, 1), bad)


class Server(threading.Thread):
    """Answers each request by what answer(n) says of its number: a status; in the order in which they come."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer, self.n, self.lock = answer, 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            connection = self.listener.accept()[0]
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as f:
            while f.readline():
                length = 0
                while (line := f.readline().strip()):
                    name, _, value = line.partition(b": ")
                    length = int(value) if name == b"Content-Length" else length
                f.read(length)
                with self.lock:
                    self.n += 1
                    status = self.answer(self.n)
                connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % status)


class Paced(unittest.TestCase):
    def asked(self, server, rate, connections, seconds):
        """(answers of 2xx, others, p50 in us, p99 in us)"""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "requests")
            subprocess.run([MAKE_REQUESTS, path, "20", "1"], check=True)
            out = subprocess.run([PACED_HTTP, str(server.port), path, str(rate), str(connections), str(seconds)],
                                 check=True, capture_output=True, text=True, timeout=60).stdout
        return tuple(map(int, out.split()))

    def test_as_many_as_are_due(self):
        server = Server(lambda n: 202)
        began = time.monotonic()
        answered, others, p50, p99 = self.asked(server, 150, 3, 2)
        self.assertEqual((answered, others, server.n), (300, 0, 300))
        self.assertGreaterEqual(time.monotonic() - began, 1.9)  # spread over the time
        self.assertTrue(0 < p50 <= p99)

    def test_what_is_refused_is_told(self):
        self.assertEqual(self.asked(Server(lambda n: 503 if n % 4 == 0 else 202), 100, 2, 1)[:2], (75, 25))

    def test_what_waits_for_a_stall_counts(self):
        """Who asks again when an answer has come sees one slow answer; here more than half have waited for it."""
        def answer(n):
            if n == 10:
                time.sleep(1.5)
            return 202
        answered, others, p50, _ = self.asked(Server(answer), 100, 1, 2)
        self.assertEqual((answered, others), (200, 0))
        self.assertGreater(p50, 400_000)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
