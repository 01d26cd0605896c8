#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a service manager hears of each service, by sd_notify(3): a socket of the test's own is the manager."""
import os
import secrets
import signal
import socket
import time
import unittest

from own_postgres import OwnPostgres
from stack import Stack, comes, freeze, needed, wait_for

SERVICES = ("ingest-api", "processor", "metrics-api")
WATCHDOG_S = 0.4


class Manager:
    """A socket that collects what it is told: (monotonic seconds, {name: value}) a message."""

    def __init__(self, address):
        self.heard = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.env = {"NOTIFY_SOCKET": address.replace("\0", "@")}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def listen(self):
        while True:
            try:
                message = self.socket.recv(4096).decode()
            except BlockingIOError:
                return self.heard
            # A line without "=" would be a message that no manager reads.
            pairs = dict(line.split("=", 1) for line in message.split("\n"))
            self.heard.append((time.monotonic(), pairs))

    def count(self, name, value="1"):
        return sum(1 for _, pairs in self.listen() if pairs.get(name) == value)

    def last(self, name):
        return next((pairs[name] for _, pairs in reversed(self.listen()) if name in pairs), None)


class SdNotify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(Stack())

    def address(self):
        return os.path.join(needed("SL_TMP"), "notify-" + secrets.token_hex(4))

    def start(self, name, manager, env=None, ready=True, stack=None):
        return (stack or self.stack).start(name, env={**manager.env, **(env or {})}, ready=ready)

    def test_ready_status_and_stopping(self):
        for name in SERVICES:
            with self.subTest(name), Manager(self.address()) as manager:
                service = self.start(name, manager)
                wait_for(lambda: manager.count("READY"), "READY=1", 20)
                self.assertEqual(manager.last("STATUS"), "ready")
                self.assertEqual(manager.count("STOPPING"), 0)
                self.assertEqual(service.terminate(), 0)
                heard = [pairs for _, pairs in manager.listen()]
                self.assertEqual(heard[-1], {"STOPPING": "1", "STATUS": "stopping"})
                self.assertEqual((manager.count("READY"), manager.count("STOPPING")), (1, 1))
                self.assertEqual(manager.count("WATCHDOG"), 0)  # nobody asked for beats

    def test_beats_until_it_is_frozen(self):
        for name in SERVICES:
            with self.subTest(name), Manager(self.address()) as manager:
                service = self.start(name, manager, {"WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))})
                wait_for(lambda: manager.count("READY"), "READY=1", 20)
                began, before = time.monotonic(), manager.count("WATCHDOG")
                wait_for(lambda: manager.count("WATCHDOG") >= before + 10, "ten beats", 20)
                # At half of the limit, and no more often: a timer that fires all the time is no watchdog.
                self.assertGreater(time.monotonic() - began, 9 * WATCHDOG_S / 2 * 0.9)
                # Asked each second, said when it changes.
                self.assertEqual(manager.count("STATUS", "ready"), 1)
                freeze(service.process.pid)
                beats = len(manager.listen())
                self.assertFalse(comes(lambda: len(manager.listen()) > beats, 4 * WATCHDOG_S), "it is frozen")
                service.process.send_signal(signal.SIGCONT)
                wait_for(lambda: len(manager.listen()) > beats, "beats again", 10)
                self.assertEqual(service.terminate(), 0)

    def test_beats_are_for_the_process_that_is_named(self):
        with Manager(self.address()) as manager:
            self.start("metrics-api", manager, {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
            wait_for(lambda: manager.count("READY"), "READY=1", 20)
            self.assertFalse(comes(lambda: manager.count("WATCHDOG"), 1), "another process is to beat")

    def test_abstract_socket(self):
        with Manager("\0streamlens-" + secrets.token_hex(8)) as manager:
            self.start("metrics-api", manager)
            wait_for(lambda: manager.count("READY"), "READY=1", 20)

    def test_no_ready_before_it_is(self):
        """What it waits for is the status; beats go on, or a manager would restart what only waits."""
        dead = self.stack.dsn.rsplit("@", 1)[0] + "@127.0.0.1:1/nothing"
        for name, env in (("metrics-api", {"POSTGRES_DSN": dead}), ("processor", {"POSTGRES_DSN": dead}),
                          ("ingest-api", {"KAFKA_BROKERS": "127.0.0.1:1"})):
            with self.subTest(name), Manager(self.address()) as manager:
                service = self.start(name, manager, {**env, "WATCHDOG_USEC": "200000"}, ready=False)
                wait_for(lambda: manager.last("STATUS"), "a status", 20)
                wait_for(lambda: manager.count("WATCHDOG") >= 20, "twenty beats", 20)
                self.assertEqual(manager.count("READY"), 0)
                self.assertNotIn(manager.last("STATUS"), ("ready", "not ready", ""))
                service.kill()

    def test_what_is_lost_later_is_the_status(self):
        """READY=1 is said once; later only the status changes, and a manager that comes anew hears of it."""
        path = self.address()
        postgres = OwnPostgres(os.path.join(needed("SL_TMP"), "notify-postgres"),
                               int(needed("SL_PORT_BASE")) + 70)
        self.addCleanup(postgres.stop)
        postgres.start()
        with Stack(pg_dsn=postgres.dsn()) as stack:
            with Manager(path) as manager:
                self.start("metrics-api", manager, stack=stack)
                wait_for(lambda: manager.count("READY"), "READY=1", 20)
            os.unlink(path)
            with Manager(path) as manager:
                postgres.kill()
                wait_for(lambda: "PostgreSQL" in (manager.last("STATUS") or ""), "the status", 20)
                postgres.start_after_kill()
                wait_for(lambda: manager.last("STATUS") == "ready", "the status again", 20)
                self.assertEqual(manager.count("READY"), 0)

    def test_without_a_manager_that_can_be_told(self):
        """Neither a wrong address nor a socket that nobody reads harms the service."""
        for address, warns in (("", False), ("vsock:2:1234", True), ("/" + "x" * 120, True),
                               (self.address() + "-nobody", True)):
            with self.subTest(address):
                service = self.stack.start("metrics-api", env={"NOTIFY_SOCKET": address})
                self.assertEqual(service.terminate(), 0)
                self.assertEqual("service manager cannot be told" in service.log(), warns)


if __name__ == "__main__":
    unittest.main()
