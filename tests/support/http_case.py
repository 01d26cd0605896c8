# SPDX-License-Identifier: Apache-2.0
"""What the tests of the HTTP server have in common."""

import json
import unittest

from http_raw import Server, get, post


class WithServer(unittest.TestCase):
    """One server for the tests of a class; it must end cleanly."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--drain-timeout-ms=300", *cls.flags)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def client(self, **options):
        c = self.server.client(**options)
        self.addCleanup(c.sock.close)
        return c

    def assert_problem(self, answer, status):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        problem = json.loads(answer.body)
        self.assertEqual((problem["type"], problem["status"]), ("about:blank", status))
        self.assertTrue(problem["title"])
        self.assertTrue(problem["detail"])
        return problem

    def assert_refused(self, data, status):
        """One answer, then the end: what follows in the same packet is not executed."""
        for before in ([], [get("/hello")]):
            with self.subTest(position=len(before) + 1):
                c = self.client().send(b"".join(before) + data + post("/echo", b"SMUGGLED"))
                for _ in before:
                    self.assertEqual(c.answer().body, b"hello\n")
                answer = c.answer()
                self.assert_problem(answer, status)
                self.assertEqual(answer.headers.get("connection"), "close")
                self.assertEqual(c.rest(), b"")
