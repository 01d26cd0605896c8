#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin retention against a real database: what it drops, in which order, what it refuses, and that
neither flushes nor readers wait for it."""
import contextlib
import datetime
import os
import signal
import subprocess
import unittest

import fact_rows
from stack import Stack, wait_for

DAY_MS = 86_400_000
AGES = (0, 29, 30, 31, 32, 40)  # days; the default keeps 30 and what of the day before is left
KEPT = (0, 29, 30)


class RetentionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.sql("CREATE DATABASE " + cls.stack.id, dsn=cls.stack.admin_dsn)
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.setup()

    def setUp(self):
        """A row of a minute, and its window, on days of these ages; of hours also in the months 380 and 500 days
        ago."""
        s = self.stack
        self.today = datetime.date.fromisoformat(s.sql("SELECT (now() AT TIME ZONE 'UTC')::date"))
        s.sql(f"DROP TABLE IF EXISTS nothing{''.join(', ' + name for name in self.tables())};"
              " DELETE FROM llm_window; DELETE FROM llm_series;"
              " UPDATE streamlens_retention SET minutes_from = NULL, hours_from = NULL")
        fact_rows.series(s, 1, "t")
        noon = "(date_trunc('day', now() AT TIME ZONE 'UTC') + interval '12 hours') AT TIME ZONE 'UTC'"
        instants = [f"{noon} - interval '{age} days'" for age in (*AGES, 380, 500)]
        fact_rows.partitions(s, instants)
        for table, n in (("llm_minute", len(AGES)), ("llm_hour", len(instants))):
            fact_rows.rows(s, table, "SELECT 1", f"SELECT unnest(ARRAY[{', '.join(instants[:n])}]::timestamptz[])")
        for age in (380, 500):
            s.sql(f"DROP TABLE {self.name('llm_minute', age)}, {self.name('llm_publish', age)}")
        s.sql("INSERT INTO llm_window (window_start) SELECT window_start FROM llm_minute; ANALYZE")

    # ---- what there is ----

    def tables(self):
        """All partitions, whether attached or left behind."""
        return self.stack.sql("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace ="
                              " 'public'::regnamespace AND relname ~ '^llm_(minute|publish|hour)_[0-9]+$'"
                              " ORDER BY 1").split()

    def name(self, parent, age):
        day = self.today - datetime.timedelta(days=age)
        return f"{parent}_{day.strftime('%Y%m' if parent == 'llm_hour' else '%Y%m%d')}"

    def bounds(self):
        return self.stack.sql("SELECT minutes_from, hours_from FROM streamlens_retention")

    def wanted_bounds(self, days=30, hour_days=400):
        return self.stack.sql(f"SELECT date_trunc('day', now() - interval '{days} days'),"
                              f" date_trunc('month', now() - interval '{hour_days} days')")

    def state(self):
        return (self.tables(), self.bounds(), self.stack.sql("SELECT * FROM llm_window ORDER BY 1"),
                self.stack.sql("SELECT inhrelid::regclass, inhdetachpending FROM pg_inherits ORDER BY 1"))

    def finished(self):
        """All that was to be dropped is, and nothing else."""
        days = [self.name(p, age) for age in KEPT for p in ("llm_minute", "llm_publish")]
        months = {self.name("llm_hour", age) for age in (*AGES, 380)}
        self.assertEqual(self.tables(), sorted([*days, *months]))
        self.assertEqual(self.bounds(), self.wanted_bounds())
        for table in ("llm_minute", "llm_window", "llm_publish"):
            self.assertEqual(self.stack.sql(f"SELECT count(*) FROM {table}"), str(len(KEPT)), table)
        self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_hour"), str(len(AGES) + 1))

    # ---- running it ----

    def ok(self, *args, **env):
        r = self.stack.admin("retention", *args, env=env)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout

    def refused(self, *args, words, code=2, command="retention", **env):
        before = self.state()
        r = self.stack.admin(command, *args, env=env)
        self.assertEqual((r.returncode, r.stderr.count("\n")), (code, 1), r.stderr)
        for word in words:
            self.assertIn(word, r.stderr)
        self.assertEqual(self.state(), before)

    @contextlib.contextmanager
    def waiting(self, *args):
        """Retention that waits for a transaction which has read llm_minute before; the transaction is over behind
        `with`."""
        with self.stack.holding("SELECT count(*) FROM llm_minute"):
            p = subprocess.Popen([self.stack.program("admin"), "retention", *args], env=self.stack.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                wait_for(lambda: self.stack.sql("SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == "1",
                         "a partition that is being detached", 20)
                yield p
            except BaseException:
                p.kill()
                p.communicate()
                raise

    @contextlib.contextmanager
    def listening(self):
        """Yields a function that gives what was sent on streamlens_flush since."""
        psql = subprocess.Popen(["psql", "-X", "-q", "-At", "-d", self.stack.dsn], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)

        def run(statement):
            psql.stdin.write(f"{statement};\n\\echo done\n")
            psql.stdin.flush()
            lines = []
            for line in psql.stdout:
                lines.append(line.strip())
                if lines[-1] == "done":
                    break
            # Notices of what came stand behind the statement that they came with.
            return [line for line in lines if line.startswith("Asynchronous")]
        run("LISTEN streamlens_flush")
        try:
            yield lambda: run("SELECT 1") + run("SELECT 1")
        finally:
            psql.stdin.close()
            psql.stdout.close()
            psql.wait(10)

    # ---- dropping ----

    def test_whole_days_and_months_before_the_bounds(self):
        with self.listening() as heard:
            out = self.ok()
            notices = heard()
            again = self.ok()
            self.assertEqual(heard(), [])  # nothing has changed
        self.finished()
        lines = out.splitlines()
        self.assertEqual(len(lines), 1 + 3 * 2 + 1 + 1)
        self.assertRegex(lines[0], r"^minutes are kept from \S+T00:00:00Z on, hours from \S+-01T00:00:00Z on$")
        self.assertRegex(lines[1], r"^llm_publish_\d{8}: dropped, about 1 rows, [1-9]\d* bytes$")
        self.assertIn(f"{self.name('llm_hour', 500)}: dropped, about 1 rows", out)
        self.assertEqual(lines[-1], "llm_window: 3 rows deleted")
        self.assertEqual(len(notices), 1)
        self.assertIn('"streamlens_flush" with payload "*"', notices[0])
        self.assertEqual(again.splitlines()[1:], ["llm_window: 0 rows deleted"])
        self.finished()

    def test_a_dry_run_changes_nothing(self):
        before = self.state()
        out = self.ok("--dry-run")
        self.assertEqual(self.state(), before)
        self.assertEqual(out.count("would be dropped, about 1 rows"), 7)
        self.assertIn("llm_window: 3 rows would be deleted\n", out)

    def test_other_numbers_and_that_bounds_never_fall(self):
        self.ok("--minute-retention-days=31", HOUR_RETENTION_DAYS="370")
        self.assertEqual(self.bounds(), self.wanted_bounds(31, 370))
        self.assertIn(self.name("llm_minute", 31), self.tables())
        self.assertNotIn(self.name("llm_minute", 32), self.tables())
        self.assertEqual(self.name("llm_hour", 380) in self.tables(),
                         self.name("llm_hour", 380) == self.name("llm_hour", 370))
        bounds = self.bounds()
        self.ok("--minute-retention-days=100", "--hour-retention-days=1000")
        self.assertEqual(self.bounds(), bounds)

    def test_many_windows(self):
        self.stack.sql("INSERT INTO llm_window (window_start) SELECT date_trunc('minute', now()) - interval '50 days'"
                       " + n * interval '1 minute' FROM generate_series(0, 12000) n")
        self.assertIn("llm_window: 12004 rows deleted\n", self.ok())
        self.finished()

    def test_a_day_that_was_dropped_may_come_back_and_goes_again(self):
        self.ok()
        day = "now() - interval '40 days'"
        self.assertEqual(self.stack.sql(f"SELECT llm_make_partition('llm_minute', {day})"), "t")
        self.assertIn(self.name("llm_minute", 40), self.tables())
        self.assertIn(f"{self.name('llm_minute', 40)}: dropped", self.ok())
        self.finished()

    # ---- others at the same time ----

    def test_flushes_and_readers_do_not_wait_for_it(self):
        with self.waiting("--wait=30") as p:
            self.assertEqual(self.bounds(), self.wanted_bounds())  # readers were told first
            self.assertIn(self.name("llm_minute", 40), self.tables())
            # Less than what it waits for, by far; more than a busy machine takes.
            at_once = "SET lock_timeout = '5s'; SET statement_timeout = '10s';"
            self.stack.sql(f"{at_once} BEGIN; UPDATE llm_minute SET requests = requests + 1 WHERE window_start >="
                           " now() - interval '2 days'; UPDATE llm_window SET changes = changes + 1 WHERE"
                           " window_start >= now() - interval '2 days'; COMMIT")
            self.stack.sql(f"{at_once} SELECT llm_make_partition('llm_minute', now() + interval '1 day'),"
                           " llm_make_partition('llm_publish', now() + interval '1 day')")
            self.assertEqual(self.stack.sql(f"{at_once} SELECT count(*) FROM llm_metrics"), "5")
            self.assertIsNone(p.poll())
        out, err = p.communicate(timeout=30)
        self.assertEqual((p.returncode, err), (0, ""), out)
        self.stack.sql(f"DROP TABLE {self.name('llm_minute', -1)}, {self.name('llm_publish', -1)}")
        self.finished()

    def test_a_transaction_that_does_not_end_is_waited_for_and_named(self):
        with self.waiting("--wait=1") as p:
            out, err = p.communicate(timeout=30)
            self.assertEqual((p.returncode, err.count("\n")), (1, 1), out)
            self.assertIn(f"detaching {self.name('llm_minute', 40)}", err)
            self.assertIn("--wait", err)
            self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_minute"), "5")
        self.ok()
        self.finished()

    def test_the_second_at_once_says_so(self):
        with self.waiting("--wait=30") as p:
            r = self.stack.admin("retention")
            self.assertEqual((r.returncode, r.stdout), (1, ""))
            self.assertIn("another streamlens-admin retention", r.stderr)
        p.communicate(timeout=30)
        self.assertEqual(p.returncode, 0)
        self.finished()

    # ---- killed ----

    def test_killed_while_it_waits(self):
        with self.waiting("--wait=30") as p:
            p.send_signal(signal.SIGKILL)
            p.communicate()
            # Its backend waits on, but not for long; then nobody is there to end it.
            wait_for(lambda: self.stack.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                            " AND application_name = 'streamlens-admin'") == "0", "its end")
            self.assertEqual(self.stack.sql("SELECT count(*) FROM pg_inherits WHERE inhdetachpending"), "1")
            self.assertEqual(self.bounds(), self.wanted_bounds())
        self.ok()
        self.finished()

    def test_killed_behind_each_step(self):
        steps = ["SELECT 1",
                 f"ALTER TABLE llm_publish DETACH PARTITION {self.name('llm_publish', 40)}",
                 f"ALTER TABLE llm_minute DETACH PARTITION {self.name('llm_minute', 40)}",
                 f"DROP TABLE {self.name('llm_publish', 40)}, {self.name('llm_minute', 40)}",
                 f"ALTER TABLE llm_hour DETACH PARTITION {self.name('llm_hour', 500)}",
                 "DELETE FROM llm_window WHERE window_start < now() - interval '35 days'"]
        for n in range(1, len(steps) + 1):
            with self.subTest(steps=n):
                self.setUp()
                minutes, hours = self.wanted_bounds().split("|")
                self.stack.sql(f"UPDATE streamlens_retention SET minutes_from = '{minutes}', hours_from = '{hours}'")
                for step in steps[:n]:
                    self.stack.sql(step)
                self.ok()
                self.finished()

    def test_a_flush_takes_back_what_was_left_detached(self):
        name, day = self.name("llm_minute", 40), "now() - interval '40 days'"
        self.stack.sql(f"ALTER TABLE llm_minute DETACH PARTITION {name}")
        self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_minute"), "5")
        self.assertEqual(self.stack.sql(f"SELECT llm_make_partition('llm_minute', {day})"), "t")
        self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_minute"), "6")  # with what it holds
        with self.waiting("--wait=0") as p:
            p.communicate(timeout=30)
        self.assertEqual(self.stack.sql("SELECT count(*) FROM pg_inherits WHERE inhdetachpending"), "1")
        self.assertEqual(self.stack.sql(f"SELECT llm_make_partition('llm_minute', {day})"), "t")
        self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_minute"), "6")
        self.assertEqual(self.stack.sql(f"SELECT llm_make_partition('llm_minute', {day})"), "f")
        self.ok()
        self.finished()

    # ---- refusals ----

    def topic(self, config):
        """retention.ms of llm.responses, which setup made with 7 days."""
        tool = os.path.join(self.stack.build, "tests", "integration", "topic_tool")
        subprocess.run([tool, self.stack.brokers, "set", self.stack.prefix + "llm.responses",
                        "cleanup.policy=delete", "message.timestamp.type=LogAppendTime", f"retention.ms={config}"],
                       check=True, timeout=30)

    def test_numbers_that_late_events_do_not_allow(self):
        for command in ("retention", "setup"):
            with self.subTest(command=command):
                self.refused("--minute-retention-days=14", command=command,
                             words=["MINUTE_RETENTION_DAYS: is 14; want 15 or more", "7.0 days"])
                self.refused(HOUR_RETENTION_DAYS="29", command=command,
                             words=["HOUR_RETENTION_DAYS: is 29", "which is 30"])
                self.refused("--minute-retention-days=0", command=command,
                             words=["MINUTE_RETENTION_DAYS", "1 to 36500"])
        self.refused("--wait=soon", words=['--wait: is "soon"', "seconds"])
        self.refused("--wait=86401", words=["--wait", "86400"])
        self.refused("now", words=["now"])
        self.ok("--minute-retention-days=15", "--dry-run")
        self.addCleanup(self.topic, 7 * DAY_MS)
        self.topic(23 * DAY_MS)
        for command in ("retention", "setup"):
            self.refused(command=command, words=["is 30; want 31 or more", "23.0 days"])
        self.topic(22 * DAY_MS)
        self.ok("--dry-run")

    def test_the_join_may_reach_further_than_a_day(self):
        self.stack.sql("UPDATE streamlens_settings SET join_ttl_ms = 86400000, join_skew_ms = 1")
        self.addCleanup(self.stack.sql, "UPDATE streamlens_settings SET join_ttl_ms = 300000, join_skew_ms = 60000")
        self.refused("--minute-retention-days=15", words=["want 16 or more"])
        self.ok("--minute-retention-days=16", "--dry-run")

    def positions(self, age_days, which="true"):
        self.stack.sql("UPDATE streamlens_position SET request_time_ms = t, response_time_ms = t FROM (SELECT"
                       f" (extract(epoch FROM now() - interval '{age_days} days') * 1000)::bigint AS t) v"
                       f" WHERE {which}")

    def test_topics_that_keep_events_for_ever(self):
        self.addCleanup(self.topic, 7 * DAY_MS)
        self.addCleanup(self.stack.sql, "UPDATE streamlens_position SET request_time_ms = NULL,"
                        " response_time_ms = NULL")
        self.topic(-1)
        self.stack.setup()
        self.refused(code=1, words=["for ever", "not counted"])
        self.positions(0.1)
        self.stack.sql("UPDATE streamlens_position SET response_time_ms = NULL WHERE partition = 2")
        self.refused(code=1, words=["for ever", "not counted"])
        self.positions(0.1)
        self.positions(25, "partition = 1")
        self.refused(words=["is 30; want 34 or more", "25.0 days", "streamlens_position"])
        self.positions(21, "partition = 1")
        self.ok()
        self.finished()


if __name__ == "__main__":
    unittest.main()
