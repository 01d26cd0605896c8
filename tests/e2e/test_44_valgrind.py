# SPDX-License-Identifier: Apache-2.0
"""ingest-api ends cleanly in the midst of it all: with events that a stopped broker does not acknowledge, clients
that have gone, half a body and half a header, SIGTERM answers what is owed, and valgrind finds neither a wrong access
nor memory that is lost. No suppression is needed; what is still reachable (OpenSSL's tables) is not counted."""
import json
import os
import secrets
import socket
import time
import unittest

from own_services import OwnServices
from stack import Service, Stack, freeze, iso, needed, wait_for

WAITING = 8     # requests that are answered when the log has not taken them by the deadline
ACK_S = 6       # valgrind's time runs some thirty times slower


class Valgrind(unittest.TestCase):
    def setUp(self):
        base = int(needed("SL_PORT_BASE"))
        self.own = OwnServices(os.path.join(needed("SL_TMP"), f"valgrind-{base}"), base + 80, base + 83)
        self.addCleanup(self.own.run, "down", "--wipe")
        self.s = self.enterContext(Stack(brokers=self.own.brokers, pg_dsn=self.own.pg_dsn, env={
            "ACK_TIMEOUT_MS": str(ACK_S * 1000), "HTTP_DRAIN_TIMEOUT_MS": str(2 * ACK_S * 1000)}))

    def start(self):
        log = os.path.join(self.s.tmp, f"valgrind-{secrets.token_hex(3)}.log")
        script = log + ".sh"
        with open(script, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\nexec valgrind --leak-check=full --show-leak-kinds=definite,indirect,possible"
                    " --errors-for-leak-kinds=definite,indirect,possible --error-exitcode=99 --num-callers=30"
                    f" {self.s.program('ingest-api')}\n")
        os.chmod(script, 0o700)
        service = self.s.services["ingest-api"] = Service("ingest-api", script, self.s.env, log)
        service.wait_ready(60)
        return service

    def connect(self, data):
        c = socket.create_connection(("127.0.0.1", self.ingest.port), 60)
        self.addCleanup(c.close)
        c.sendall(data)
        return c

    @staticmethod
    def event(request_id):
        body = json.dumps({"request_id": request_id, "tenant_id": "t", "route": "/r", "model": "m",
                           "timestamp": iso(time.time())}).encode()
        return b"POST /v1/llm/request HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def pending(self):
        return self.ingest.metric("streamlens_ingest_pending_events")

    def test_a_shutdown_with_everything_under_way_is_clean(self):
        self.ingest = self.start()
        c = self.connect(self.event("taken"))
        self.assertTrue(c.recv(4096).startswith(b"HTTP/1.1 202 "))
        freeze(self.own.pid("kafka"))
        try:
            waiting = [self.connect(self.event(f"waits-{n}") * 2) for n in range(WAITING)]
            gone = [self.connect(self.event(f"gone-{n}")) for n in range(WAITING)]
            self.connect(self.event("half-a-body")[:-5])
            self.connect(self.event("half-a-header")[:20])
            self.connect(b"\0" * 100)
            unread = self.connect(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n" * 200)
            wait_for(lambda: self.pending() == 3 * WAITING, "events under way", 60)
            for c in gone:
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
                c.close()
            self.ingest.process.terminate()
            for c in waiting:
                answers = b""
                while more := c.recv(65536):
                    answers += more
                self.assertEqual(answers.count(b"HTTP/1.1 503 "), 2, answers)
            unread.close()
            code = self.ingest.process.wait(60)
        finally:
            self.own.kill("kafka", 18)  # SIGCONT
        self.assertEqual(code, 0, self.ingest.log())
        self.assertIn("ERROR SUMMARY: 0 errors", self.ingest.log())


if __name__ == "__main__":
    unittest.main()
