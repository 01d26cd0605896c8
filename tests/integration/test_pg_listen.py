# SPDX-License-Identifier: Apache-2.0
"""Listening to PostgreSQL: what is sent arrives, and whatever happens to the server is told and mended."""

import os
import queue
import re
import signal
import subprocess
import threading
import time
import unittest

from own_postgres import OwnPostgres
from stack import needed, wait_for

PATIENCE_S = 30


def sql(dsn, statement):
    r = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", dsn, "-c", statement],
                       capture_output=True, text=True, timeout=60, check=False)
    if r.returncode != 0:
        raise AssertionError(r.stderr)
    return r.stdout.strip()


class Listener:
    """The tool, its lines one by one."""

    def __init__(self, dsn, channel, *flags):
        program = os.path.join(needed("SL_BUILD"), "tests", "integration", "pg_listen_tool")
        self.process = subprocess.Popen([program, channel, *flags], stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "POSTGRES_DSN": dsn})
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def next(self, seconds=PATIENCE_S):
        return self.lines.get(timeout=seconds)

    def until(self, line):
        """What is said before this line."""
        said = []
        while True:
            got = self.next()
            if got is None:
                raise AssertionError("it ended after %r" % said)
            if got == line:
                return said
            said.append(got)

    def stop(self):
        """The rest of what it said; gap and turn and its metrics by name."""
        self.process.send_signal(signal.SIGTERM)
        said, numbers = [], {}
        while (line := self.next()) is not None:
            match = re.fullmatch(r"(gap|turn|streamlens_\S+) (\d+)", line)
            if match:
                numbers[match.group(1).replace("{}", "")] = int(match.group(2))
            elif not line.startswith("#"):
                said.append(line)
        if self.process.wait(PATIENCE_S) != 0:
            raise AssertionError("it ended with %d" % self.process.returncode)
        return said, numbers


CONNECTED = "streamlens_pg_listen_connected"
CONNECTS_OK = 'streamlens_pg_listen_connects_total{result="ok"}'
CONNECTS_FAILED = 'streamlens_pg_listen_connects_total{result="failed"}'
BROKEN = 'streamlens_pg_listen_lost_total{reason="broken"}'
SILENT = 'streamlens_pg_listen_lost_total{reason="silent"}'
NOTIFICATIONS = "streamlens_pg_listen_notifications_total"


class Shared(unittest.TestCase):
    """On the database of all tests; channels of its own keep them apart."""

    def setUp(self):
        self.dsn = needed("SL_PG_DSN")
        self.channel = "listen_%d_%d" % (os.getpid(), time.monotonic_ns())

    def listener(self, *flags, dsn=None):
        one = Listener(dsn or self.dsn, self.channel, *flags)
        self.addCleanup(one.__exit__)
        return one

    def notify(self, payload, channel=None):
        sql(self.dsn, "SELECT pg_notify('%s', '%s')" % (channel or self.channel, payload))

    def pid(self):
        return sql(self.dsn, "SELECT pid FROM pg_stat_activity WHERE application_name = '%s'" % self.channel)

    def test_what_is_sent_arrives_in_order_and_nothing_else_does(self):
        one = self.listener()
        self.assertEqual(one.until("up"), [])
        longest = "x" * 7999
        for payload in ("first", "", "with spaces and \u00fc", longest, "last"):
            self.notify("not ours", self.channel + "_other")
            self.notify(payload)
        self.assertEqual(one.until("notify last"),
                         ["notify first", "notify ", "notify with spaces and \u00fc", "notify " + longest])
        said, numbers = one.stop()
        self.assertEqual(said, [])
        self.assertEqual((numbers[NOTIFICATIONS], numbers[CONNECTED], numbers[CONNECTS_OK]), (5, 1, 1))

    def test_a_dsn_that_cannot_be_understood_is_refused_without_quoting_it(self):
        one = self.listener(dsn="postgresql://u:secret@[::1/x")
        line = one.next()
        self.assertTrue(line.startswith("refused POSTGRES_DSN "), line)
        self.assertNotIn("secret", line)
        self.assertIsNone(one.next())

    def test_what_cannot_be_reached_is_told_once_and_tried_again(self):
        one = self.listener(dsn=re.sub(r"/postgres$", "/there_is_none", self.dsn))
        line = one.next()
        self.assertRegex(line, r'^down PostgreSQL cannot be reached: .*"there_is_none" does not exist')
        with self.assertRaises(queue.Empty):
            one.next(1.5)
        said, numbers = one.stop()
        self.assertEqual(said, [])
        self.assertGreaterEqual(numbers[CONNECTS_FAILED], 3)
        self.assertLessEqual(numbers[CONNECTS_FAILED], 8)  # after 50, 100, 200, 400, 800 ms
        self.assertEqual((numbers[CONNECTED], numbers[CONNECTS_OK]), (0, 0))

    def test_a_connection_that_is_ended_is_told_and_made_again(self):
        one = self.listener()
        for i in range(3):
            self.assertEqual(one.until("up"), [])
            self.notify(str(i))
            self.assertEqual(one.next(), "notify %d" % i)
            sql(self.dsn, "SELECT pg_terminate_backend(%s)" % self.pid())
            self.assertRegex(one.next(), "^down .*(terminating connection|broke)")
        self.assertEqual(one.until("up"), [])
        said, numbers = one.stop()
        self.assertEqual((said, numbers[BROKEN], numbers[CONNECTS_OK]), ([], 3, 4))

    def test_a_flood_arrives_whole_and_others_get_their_turns(self):
        one = self.listener("--turns")
        self.assertEqual(one.until("up"), [])
        n = 100_000
        sql(self.dsn, "SELECT count(pg_notify('%s', i::text)) FROM generate_series(1, %d) i" % (self.channel, n))
        self.notify("last")
        self.assertEqual(one.until("notify last"), ["notify %d" % i for i in range(1, n + 1)])
        _, numbers = one.stop()
        self.assertEqual(numbers["turn"], 256)
        self.assertEqual((numbers[NOTIFICATIONS], numbers[BROKEN], numbers[SILENT]), (n + 1, 0, 0))

    def test_silence_is_asked_about_and_no_reason_to_leave(self):
        one = self.listener()
        self.assertEqual(one.until("up"), [])
        pid = self.pid()
        asked = set()

        def look():
            asked.add(sql(self.dsn, "SELECT query_start FROM pg_stat_activity WHERE pid = %s" % pid))
            return len(asked) >= 4
        wait_for(look, "three heartbeats", 20, 0.2)
        self.notify("still here")
        self.assertEqual(one.next(), "notify still here")
        self.assertEqual(one.stop()[0], [])


class Own(unittest.TestCase):
    """On a database that is frozen, stopped and killed."""

    @classmethod
    def setUpClass(cls):
        cls.pg = OwnPostgres(os.path.join(needed("SL_TMP"), "listen-own-pg"), int(needed("SL_PORT_BASE")) + 15)
        cls.pg.start()
        cls.dsn = cls.pg.dsn()

    @classmethod
    def tearDownClass(cls):
        cls.pg.stop()

    def assert_hears(self, one):
        sql(self.dsn, "NOTIFY own_channel, 'heard'")
        self.assertEqual(one.until("notify heard"), [])

    def test_a_frozen_server_is_given_up_within_seconds_and_the_loop_goes_on(self):
        with Listener(self.dsn, "own_channel") as one:
            one.until("up")
            self.assert_hears(one)
            self.pg.freeze()
            try:
                self.assertRegex(one.next(), "^down PostgreSQL has been silent for ")
                self.assertRegex(one.next(), "^down PostgreSQL cannot be reached: no answer within ")
            finally:
                self.pg.thaw()
            one.until("up")
            self.assert_hears(one)
            _, numbers = one.stop()
            self.assertEqual((numbers[SILENT], numbers[CONNECTS_OK]), (1, 2))
            self.assertLess(numbers["gap"], 1000)

    def test_a_server_that_restarts_is_listened_to_again(self):
        with Listener(self.dsn, "own_channel") as one:
            one.until("up")
            for end in (self.pg.kill, lambda: self.pg.run("postgres_stop")):
                end()
                self.assertRegex(one.next(), "^down ")
                self.pg.start_after_kill()
                said = one.until("up")
                self.assertTrue(all(line.startswith("down ") for line in said), said)
                self.assert_hears(one)
            one.stop()


if __name__ == "__main__":
    unittest.main()
