#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin settings against a real database."""
import json
import os
import signal
import subprocess
import unittest

from stack import Stack, freeze, wait_for

T = 4102444800000  # 2100-01-01T00:00:00Z: brokers may be ahead


class SettingsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(cls.stack.__exit__)

    def setUp(self):
        self.sql("DELETE FROM streamlens_settings_from WHERE epoch > 1;"
                 "DELETE FROM streamlens_settings WHERE epoch > 1;"
                 "UPDATE streamlens_settings SET created_at = now();"
                 "UPDATE streamlens_position SET epoch = 0, token = 0, flush_seq = 0,"
                 " request_next = NULL, request_time_ms = NULL, response_next = NULL,"
                 " response_time_ms = NULL, backend_pid = NULL, backend_start = NULL")

    def sql(self, statement):
        return self.stack.sql(statement)

    def settings(self, *args, **env):
        return self.stack.admin("settings", *args, env=env)

    def set_ok(self, *words, **env):
        r = self.settings("set", *words, **env)
        self.assertEqual((r.returncode, r.stderr), (0, ""), r.stderr)
        return r.stdout

    def list(self):
        r = self.settings("list", "--json")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return json.loads(r.stdout)

    def state(self):
        return [self.sql(f"SELECT t FROM {table} t ORDER BY 1") for table in
                ("streamlens_settings", "streamlens_settings_from", "streamlens_position")]

    def refused(self, *words, code=2, say=()):
        """One line on standard error with the words; nothing is printed or changed."""
        before = self.state()
        r = self.settings("set", *words)
        self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (code, "", 1), r.stderr)
        for word in say:
            self.assertIn(word, r.stderr)
        self.assertEqual(self.state(), before)

    def stand(self, partition, request_ms, response_ms, request_next=0, response_next=0):
        """As a flush leaves the partition's row."""
        self.sql("UPDATE streamlens_position SET epoch = 7, token = 12345, flush_seq = 3,"
                 f" request_next = {request_next}, request_time_ms = {request_ms},"
                 f" response_next = {response_next}, response_time_ms = {response_ms}"
                 f" WHERE partition = {partition}")

    # ---- what changes ----

    def test_an_epoch_holds_from_later_than_anything_read(self):
        self.stand(0, T, T + 4, 17, 12)
        self.stand(1, T + 9000, "NULL", 1, 0)
        out = self.set_ok("JOIN_TTL_MS=20000")
        self.assertIn("JOIN_TTL_MS=20000, was 300000", out)
        self.assertIn("JOIN_SKEW_MS=60000\n", out)
        self.assertRegex(out, r"\n0 +2100-01-01T00:00:09\.001Z +17 +12\n")
        self.assertRegex(out, r"\n1 +2100-01-01T00:00:09\.001Z +1 +0\n")
        self.assertRegex(out, r"\n2 +2100-01-01T00:00:09\.001Z +0 +0\n")
        self.assertEqual(self.sql("SELECT partition, from_ms, request_offset, response_offset"
                                  " FROM streamlens_settings_from WHERE epoch = 2 ORDER BY 1"),
                         f"0|{T + 9001}|17|12\n1|{T + 9001}|1|0\n2|{T + 9001}|0|0")
        # Every owner is fenced, and nothing else of a position is touched.
        self.assertEqual(self.sql("SELECT partition, epoch, token, flush_seq, request_next"
                                  " FROM streamlens_position ORDER BY 1"),
                         "0|8|0|3|17\n1|8|0|3|1\n2|1|0|0|")

    def test_an_epoch_holds_from_a_skew_ahead_of_the_clock(self):
        """Records are read up to the skew ahead of a processor's clock, of any epoch that it may know."""
        now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
        borders = "SELECT DISTINCT from_ms FROM streamlens_settings_from WHERE epoch = "
        self.stand(0, 1000, 2000)
        for epoch, skew, longest in ((2, 100, 60000), (3, 90000, 90000), (4, 200, 90000), (5, 200, 90000)):
            least = int(self.sql(f"SELECT {now}"))
            self.set_ok(f"JOIN_SKEW_MS={skew}", f"JOIN_TTL_MS={epoch}")
            most = int(self.sql(f"SELECT {now}"))
            at = int(self.sql(borders + str(epoch)))
            self.assertTrue(least <= at - longest - 1000 <= most, (epoch, least, at, most))
        # One begins no earlier than the one before, though the longest skew is forgotten.
        self.set_ok("JOIN_TTL_MS=6")
        self.assertEqual(self.sql(borders + "6"), str(at))

    def test_list_has_every_epoch(self):
        self.stand(0, T, T)
        self.set_ok("JOIN_SKEW_MS=500", "JOIN_TTL_MS=1000")
        both = self.list()
        self.assertEqual(both["partitions"], 3)
        new, old = both["epochs"]
        self.assertEqual((new["epoch"], new["join_ttl_ms"], new["join_skew_ms"],
                          new["max_series_per_tenant"]), (2, 1000, 500, 10000))
        self.assertEqual((old["epoch"], old["join_ttl_ms"], old["join_skew_ms"]), (1, 300000, 60000))
        self.assertEqual([h["from"] for h in new["holds"]], ["2100-01-01T00:00:00.001Z"] * 3)
        self.assertEqual([h["from"] for h in old["holds"]], [None, None, None])
        lines = self.settings("list").stdout.splitlines()
        self.assertEqual(lines[0], "PARTITIONS 3 (cannot be changed)")
        self.assertRegex(lines[1], "^EPOCH +JOIN_TTL_MS +JOIN_SKEW_MS +MAX_SERIES_PER_TENANT +OPENED")
        self.assertRegex(lines[2], r"^2 +1000 +500 +10000 +\S+Z +2100-01-01T00:00:00\.001Z +2100-01-01T00:00:00\.001Z$")
        self.assertRegex(lines[3], r"^1 +300000 +60000 +10000 +\S+Z +the beginning +the beginning$")

    def test_series_are_assigned_anew_with_the_cap_alone(self):
        self.set_ok("JOIN_TTL_MS=1000")
        self.set_ok("MAX_SERIES_PER_TENANT=7")
        self.set_ok("JOIN_SKEW_MS=1")
        self.set_ok("MAX_SERIES_PER_TENANT=8", "JOIN_SKEW_MS=2")
        self.assertEqual(self.sql("SELECT epoch, series_epoch, acceptance_version"
                                  " FROM streamlens_settings ORDER BY 1"),
                         "1|1|1\n2|1|1\n3|3|1\n4|3|1\n5|5|1")

    def test_the_same_numbers_are_no_epoch(self):
        before = self.state()
        out = self.set_ok("JOIN_TTL_MS=300000", "MAX_SERIES_PER_TENANT=10000")
        self.assertIn("nothing to change: epoch 1", out)
        self.assertEqual(self.state(), before)

    def test_setup_knows_the_newest_numbers(self):
        self.set_ok("JOIN_TTL_MS=1234")
        self.assertIn("found PARTITIONS=3 JOIN_TTL_MS=1234", self.stack.admin("setup").stdout)
        r = self.stack.admin("setup", env={"JOIN_TTL_MS": "300000"})
        self.assertEqual(r.returncode, 1)
        self.assertIn("1234", r.stderr)

    def test_an_environment_that_names_an_old_number_is_told(self):
        out = self.set_ok("JOIN_TTL_MS=1234", JOIN_TTL_MS="300000", JOIN_SKEW_MS="60000")
        self.assertIn("note: JOIN_TTL_MS is 300000 in this environment", out)
        self.assertNotIn("note: JOIN_SKEW_MS", out)
        self.assertNotIn("note:", self.set_ok("JOIN_TTL_MS=1235", JOIN_TTL_MS="1235"))

    def test_two_at_once_are_two_epochs(self):
        program, env = self.stack.program("admin"), self.stack.env
        with self.stack.holding("SELECT FROM streamlens_position FOR UPDATE"):
            both = [subprocess.Popen([program, "settings", "set", word], env=env, text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    for word in ("JOIN_TTL_MS=1000", "JOIN_SKEW_MS=100")]
            wait_for(lambda: self.sql("SELECT count(*) FROM pg_stat_activity WHERE datname ="
                                      " current_database() AND wait_event_type = 'Lock'") == "2",
                     "both waiting for the rows")
        for p in both:
            _, stderr = p.communicate(timeout=60)
            self.assertEqual((p.returncode, stderr), (0, ""))
        newest = self.list()["epochs"][0]
        self.assertEqual((newest["epoch"], newest["join_ttl_ms"], newest["join_skew_ms"]),
                         (3, 1000, 100))

    # ---- what does not ----

    def test_refusals(self):
        for words, say in (
                (["PARTITIONS=4"], ["PARTITIONS", "cannot be changed"]),
                (["JOIN_TTL=4"], ["JOIN_TTL=4", "MAX_SERIES_PER_TENANT"]),
                (["FLUSH_INTERVAL_MS=4"], ["FLUSH_INTERVAL_MS"]),
                (["JOIN_TTL_MS=0"], ["JOIN_TTL_MS", "1 to 86400000"]),
                (["JOIN_TTL_MS=86400001"], ["JOIN_TTL_MS", "1 to 86400000"]),
                (["JOIN_SKEW_MS=-1"], ["JOIN_SKEW_MS", "0 to 86400000"]),
                (["MAX_SERIES_PER_TENANT=0"], ["MAX_SERIES_PER_TENANT", "1 to 10000000"]),
                (["MAX_SERIES_PER_TENANT=10000001"], ["MAX_SERIES_PER_TENANT"]),
                (["JOIN_TTL_MS=ten"], ["JOIN_TTL_MS", "ten"]),
                (["JOIN_TTL_MS="], ["JOIN_TTL_MS"]),
                (["JOIN_TTL_MS"], ["JOIN_TTL_MS"]),
                (["JOIN_TTL_MS=5", "JOIN_SKEW_MS=x"], ["JOIN_SKEW_MS"]),
                (["JOIN_TTL_MS=5", "JOIN_TTL_MS=5"], ["JOIN_TTL_MS", "twice"]),
                ([], ["NAME=VALUE"])):
            with self.subTest(words=words):
                self.refused(*words, say=say)

    def test_the_limits_are_taken(self):
        self.set_ok("JOIN_TTL_MS=1", "JOIN_SKEW_MS=0", "MAX_SERIES_PER_TENANT=1")
        self.set_ok("JOIN_TTL_MS=86400000", "JOIN_SKEW_MS=86400000", "MAX_SERIES_PER_TENANT=10000000")

    def test_no_more_epochs_than_processors_keep_within_the_reach_of_the_log(self):
        def fill(first, last):
            self.sql("INSERT INTO streamlens_settings SELECT n, 1000 + n, 0, 10000, 1, now(), 1"
                     f" FROM generate_series({first}, {last}) n")
        fill(2, 63)
        self.set_ok("JOIN_TTL_MS=7")  # the 64th
        self.refused("JOIN_TTL_MS=8", code=1, say=["64 settings epochs", "8 days"])
        # Epoch 1 is not needed any more once epoch 2 holds for all that is left of the log.
        self.sql("UPDATE streamlens_settings SET created_at = now() - interval '8 days 1 minute'"
                 " WHERE epoch = 1")
        self.refused("JOIN_TTL_MS=8", code=1)
        self.sql("UPDATE streamlens_settings SET created_at = now() - interval '8 days 1 minute'"
                 " WHERE epoch = 2")
        self.set_ok("JOIN_TTL_MS=8")
        self.refused("JOIN_TTL_MS=9", code=1)

    # ---- locks ----

    def test_a_stranger_that_holds_the_positions_is_named(self):
        with self.stack.holding("SELECT FROM streamlens_position WHERE partition = 1 FOR UPDATE"):
            self.refused("JOIN_TTL_MS=5", code=1, say=["streamlens_position", "no processor"])
        self.set_ok("JOIN_TTL_MS=5")

    def test_a_stopped_owner_is_ended(self):
        # As a processor that was stopped between BEGIN and COMMIT.
        mine = ("UPDATE streamlens_position SET backend_pid = a.pid, backend_start = a.backend_start"
                " FROM pg_stat_activity a WHERE a.pid = pg_backend_pid() AND partition = 1; COMMIT;"
                " BEGIN; SELECT FROM streamlens_position WHERE partition = 1 FOR UPDATE")
        with self.stack.holding(mine):
            pid = self.sql("SELECT backend_pid FROM streamlens_position WHERE partition = 1")
            out = self.set_ok("JOIN_TTL_MS=5")
            self.assertIn(f"ended PostgreSQL backend {pid}", out)
            self.assertEqual(self.sql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"), "0")
        self.assertEqual(self.list()["epochs"][0]["join_ttl_ms"], 5)

    def test_one_that_is_stopped_with_all_locks_in_hand_does_not_keep_them(self):
        before = self.state()
        with self.stack.holding("SELECT FROM streamlens_position FOR UPDATE"):
            stopped = subprocess.Popen([self.stack.program("admin"), "settings", "set", "JOIN_TTL_MS=5"],
                                       env=self.stack.env, text=True, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            wait_for(lambda: self.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                      " AND application_name = 'streamlens-admin'"
                                      " AND datname = current_database()") == "1", "waiting for the rows")
            freeze(stopped.pid)
        try:
            wait_for(lambda: self.settings("set", "JOIN_TTL_MS=6").returncode == 0, "another one's turn")
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        _, stderr = stopped.communicate(timeout=60)
        self.assertEqual(stopped.returncode, 1, stderr)
        self.assertEqual(stderr.count("\n"), 1, stderr)
        self.assertNotEqual(self.state(), before)
        self.assertEqual([e["join_ttl_ms"] for e in self.list()["epochs"]], [6, 300000])

    def test_before_setup(self):
        self.sql("ALTER TABLE streamlens_schema RENAME TO aside")
        self.addCleanup(self.sql, "ALTER TABLE aside RENAME TO streamlens_schema")
        for verb in (["list"], ["set", "JOIN_TTL_MS=5"]):
            r = self.settings(*verb)
            self.assertEqual(r.returncode, 1)
            self.assertIn("setup", r.stderr)


if __name__ == "__main__":
    unittest.main()
