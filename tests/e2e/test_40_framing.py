# SPDX-License-Identifier: Apache-2.0
"""A request that two readers may see end in different places gets one error answer, and nothing of it or behind it
on the connection is executed. The same cases find what libevent's evhttp executes."""
import json
import os
import re
import secrets
import socket
import subprocess
import time
import unittest

import framing
from stack import Service, http_call, iso, needed

PATIENCE_S = 30  # for what has to come
ERRORS = {400, 404, 405, 413, 414, 417, 431, 501, 505}


def event(request_id):
    return json.dumps({"request_id": request_id, "tenant_id": "t", "route": "/r", "model": "m",
                       "timestamp": iso(time.time())}).encode()


def exchange(port, data, piece):
    """(everything that was answered until the server closed, whether it closed in order)"""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for i in range(0, len(data), piece):
                s.sendall(data[i:i + piece])
        except OSError:
            pass  # it may have closed by now; what it said before counts
        got = b""
        try:
            while more := s.recv(65536):
                got += more
        except ConnectionError:
            return got, False
        except socket.timeout:
            return got + b"(and the connection stays open)", False
        return got, True


def statuses(answers):
    """Of answers one after another; None where they are not that. 100 is no answer yet."""
    found = []
    while answers:
        head, _, answers = answers.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        size = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if not status:
            return None
        if status.group(1) != b"100":
            found.append(int(status.group(1)))
            answers = answers[int(size.group(1)) if size else 0:]
    return found


class Framing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        env = {"PATH": os.environ["PATH"], "KAFKA_BROKERS": "127.0.0.1:1", "HTTP_PORT": "0", "LOG_FORMAT": "json",
               "HTTP_IDLE_TIMEOUT_MS": "10000", "HTTP_HEADER_TIMEOUT_MS": "10000", "HTTP_BODY_TIMEOUT_MS": "10000"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                env[name] = os.environ[name]
        program = os.path.join(needed("SL_BUILD"), "tests", "integration", "ingest_fake")
        cls.s = Service("ingest-api", program, env,
                        os.path.join(needed("SL_TMP"), f"framing-{secrets.token_hex(3)}.log"))
        cls.addClassCleanup(cls.end)
        cls.s.wait_port()
        cls.good = framing.good(event("good"))

    @classmethod
    def end(cls):
        code = cls.s.terminate()
        if code != 0:
            raise AssertionError(f"ingest-api ended with {code}:\n{cls.s.log()}")

    def executed(self):
        """(accepted, all others that came as far as to be judged)"""
        kinds = ("accepted", "rejected", "unacknowledged")
        n = [self.s.metric('streamlens_ingest_events_total{result="%s"}' % k) for k in kinds]
        return n[0], n[1] + n[2]

    def check(self, before, data, want, piece):
        """want: how many events are executed, and whether an error answer ends the connection."""
        accepted, others = self.executed()
        answers, in_order = exchange(self.s.port, before + data + self.good, piece)
        got = statuses(answers)
        self.assertIsNotNone(got, answers)
        self.assertEqual(got[:-1], [202] * want, answers)
        self.assertIn(got[-1], ERRORS, answers)
        self.assertTrue(in_order, "reset in place of an end")
        self.assertEqual(self.executed(), (accepted + want, others), answers)

    def test_abuse_is_one_error_answer_and_nothing_behind_it_is_executed(self):
        for name, data in framing.abuse(event("bad")).items():
            for before in (b"", self.good):
                # At once; and in pieces as small as can be, since a reader may see an end only at the end of a packet.
                for piece in (1 << 20, 1 if len(data) < 2000 else 1000):
                    with self.subTest(name, position=1 + (before != b""), piece=piece):
                        self.check(before, data, int(before != b""), piece)

    def test_what_is_in_order_is_executed_once_and_the_connection_goes_on(self):
        for name, data in framing.in_order(event("bad")).items():
            for piece in (1 << 20, 1):
                with self.subTest(name, piece=piece):
                    self.check(self.good, data + self.good + b"x" * 40, 3, piece)


class Teeth(unittest.TestCase):
    """Of the same cases in front of the next request: what evhttp executes."""

    # At least these; a later libevent may be stricter, and then the list is to follow.
    executed_by_evhttp = (
        "Content-Length twice, equal",
        "Content-Length twice, the shorter first",
        "Content-Length twice, the longer first",
        "Transfer-Encoding: xchunked",
        "body: HEAD of the events' path",
        "chunks: size: +size",
        "chunks: size: 0xsize",
        "chunks: size: size junk",
        "chunks: nothing after the data",
        "chunks: a bare LF after the size",
        "field: a space before the colon",
        "field: a NUL in the value",
        "line: only bare LFs",
        "Host: none",
    )

    def executed(self, port):
        return int(http_call(port, "GET", "/executed")[1])

    def test_the_cases_find_what_evhttp_executes(self):
        program = os.path.join(needed("SL_BUILD"), "tests", "integration", "evhttp_server")
        found = []
        with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as server:
            self.addCleanup(server.kill)
            port = int(server.stdout.readline().split()[1])
            for name, data in framing.abuse(event("bad")).items():
                before = self.executed(port)
                exchange(port, data + framing.good(event("behind"), b"Connection: close"), 1 << 20)
                if self.executed(port) > before:
                    found.append(name)
            server.terminate()
        print(f"evhttp executes something in {len(found)} of {len(framing.abuse(b'x'))} cases")
        self.assertEqual([name for name in self.executed_by_evhttp if name not in found], [])


if __name__ == "__main__":
    unittest.main()
