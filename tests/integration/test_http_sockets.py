# SPDX-License-Identifier: Apache-2.0
"""Where the HTTP server listens: Unix sockets, a port that several processes share, and the end of both."""

import os
import signal
import socket
import stat
import tempfile
import threading
import time
import unittest

from http_raw import Client, Server, get, request
from stack import freeze


class UnixClient(Client):
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(path)
        self.buffer = b""


class UnixSockets(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(dir=os.environ.get("SL_TMP"))
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "http.sock")

    def server(self, *flags):
        return Server("--drain-timeout-ms=300", "--socket=" + self.path, *flags)

    def assert_does_not_start(self, why):
        with self.assertRaises(RuntimeError) as caught:
            self.server("--port=-1").close()
        self.assertIn(why, str(caught.exception))
        self.assertIn(self.path, str(caught.exception))

    def test_requests_get_through_beside_tcp(self):
        with self.server() as server:
            with UnixClient(self.path) as c, server.client() as tcp:
                self.assertTrue(c.is_open())
                self.assertEqual(c.send(get("/peer")).answer().body, b"unix 0")
                self.assertEqual(tcp.send(get("/peer")).answer().body, b"127.0.0.1 0")
                body = b"x" * 500_000
                self.assertEqual(c.send(request("POST", "/echo", body=body)).answer().body, body)
            self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)
        self.assertFalse(os.path.exists(self.path))

    def test_the_mode_does_not_depend_on_the_umask(self):
        for mask in (0o000, 0o077):
            before = os.umask(mask)
            try:
                with self.server():
                    self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)
            finally:
                os.umask(before)

    def test_without_tcp(self):
        with self.server("--port=-1") as server, UnixClient(self.path) as c:
            self.assertEqual(server.port, -1)
            self.assertTrue(c.is_open())

    def test_peers_on_it_are_no_address_to_be_limited(self):
        with self.server("--max-connections-per-address=1") as server:
            clients = [UnixClient(self.path) for _ in range(20)]
            with server.client() as tcp:
                for c in [*clients, tcp]:
                    self.assertTrue(c.is_open())
            for c in clients:
                c.sock.close()

    def test_a_socket_left_behind_is_replaced(self):
        server = self.server()
        server.process.kill()
        server.process.wait()
        self.assertTrue(os.path.exists(self.path))
        with self.assertRaises(RuntimeError):
            server.close()
        with self.server("--port=-1"), UnixClient(self.path) as c:
            self.assertTrue(c.is_open())

    def test_a_socket_in_use_is_a_clear_error_and_left_alone(self):
        with self.server() as server:
            self.assert_does_not_start("another process")
            with UnixClient(self.path) as c:
                self.assertTrue(c.is_open())
            self.assertTrue(server.port)

    def test_what_is_no_socket_is_a_clear_error_and_left_alone(self):
        with open(self.path, "w") as f:
            f.write("mine")
        self.assert_does_not_start("no socket")
        with open(self.path) as f:
            self.assertEqual(f.read(), "mine")

    def test_a_path_too_long_or_not_there_is_a_clear_error(self):
        path = self.path
        self.path = path + "x" * 100
        self.assert_does_not_start("at most 107 bytes")
        self.path = path + "/nowhere"
        self.assert_does_not_start("No such file")

    def test_at_the_end_a_socket_of_another_is_left_alone(self):
        with self.server() as server:
            os.unlink(self.path)
            with Server("--socket=" + self.path) as successor:
                server.begin_drain()
                server.end_drain()
                with UnixClient(self.path) as c:
                    self.assertTrue(c.is_open())
                self.assertTrue(successor.port)


class FreshConnections(threading.Thread):
    """A request a connection, again and again, until told to stop."""

    def __init__(self, port, stop):
        super().__init__()
        self.port, self.stop = port, stop
        self.good, self.bad = 0, []

    def run(self):
        while not self.stop.is_set():
            try:
                with Client(self.port) as c:
                    answer = c.send(get("/hello", "Connection: close")).answer()
                    if answer.status == 200:
                        self.good += 1
                    else:
                        self.bad.append(answer.status)
            except (OSError, EOFError) as e:
                self.bad.append(repr(e))


class SharedPort(unittest.TestCase):
    def test_only_who_says_so_shares_a_port(self):
        with Server("--reuse-port=1") as first:
            port = "--port=%d" % first.port
            with self.assertRaises(RuntimeError) as caught:
                Server(port)
            self.assertIn("Address already in use", str(caught.exception))
            with Server(port, "--reuse-port=1") as second:
                self.assertEqual(first.port, second.port)

    def test_each_gets_its_share_and_a_connection_stays_where_it_is(self):
        with Server("--reuse-port=1") as first, Server("--port=%d" % first.port, "--reuse-port=1") as second:
            for _ in range(200):
                with first.client() as c:
                    self.assertTrue(c.is_open())
                    self.assertTrue(c.is_open())
            second.begin_drain()
            self.assertEqual(second.end_drain(), 0)
            accepted = first.metrics()["streamlens_http_connections_accepted_total"]
            self.assertIn(accepted, range(30, 172))  # and the one that asks

    def test_what_waits_in_the_backlog_is_served_during_a_drain(self):
        with Server("--drain-timeout-ms=2000") as server:
            freeze(server.process.pid)  # or it may have seen the first clients, and answers them before the signal
            clients = [server.client().send(get("/hello") * 2) for _ in range(50)]
            server.process.send_signal(signal.SIGTERM)  # seen first, once it goes on
            server.process.send_signal(signal.SIGCONT)
            for c in clients:
                answer = c.answer()
                self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
                self.assertEqual(c.rest(), b"")
                c.sock.close()
            self.assertEqual(server.process.wait(20), 0)

    def test_the_end_of_one_under_load_loses_next_to_nothing(self):
        # What arrives between the last accept and the close of the listener is reset by the kernel.
        stop = threading.Event()
        with Server("--reuse-port=1") as stays:
            load = [FreshConnections(stays.port, stop) for _ in range(4)]
            for t in load:
                t.start()
            restarts = 10
            for _ in range(restarts):
                with Server("--port=%d" % stays.port, "--reuse-port=1") as goes:
                    begin = sum(t.good for t in load)
                    while sum(t.good for t in load) < begin + 100:
                        time.sleep(0.01)
                    goes.begin_drain()
                    self.assertEqual(goes.end_drain(), 0)
            stop.set()
            for t in load:
                t.join()
        bad = [b for t in load for b in t.bad]
        self.assertLessEqual(len(bad), restarts // 5, bad)
        self.assertGreater(sum(t.good for t in load), 100 * restarts)


if __name__ == "__main__":
    unittest.main()
