#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin republish against a real database: which rows it marks. That they are sent again then is
tests/e2e/test_19_republish.py."""
import subprocess
import unittest

from stack import Stack, wait_for

DAY = "2026-11-20"


def minute(n):
    return f"{DAY}T10:{n:02}:00Z"


class RepublishTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.sql("CREATE DATABASE " + cls.stack.id, dsn=cls.stack.admin_dsn)
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.setup()
        cls.stack.sql(f"SELECT llm_make_partition('llm_publish', '{DAY}'::timestamptz + d * interval '1 day')"
                      " FROM generate_series(0, 1) d")

    def setUp(self):
        """Minutes 0 to 9 of three series, two of tenant a and one of b: 0 to 7 are published, all of the series
        but 3 of minute 5; 8 is closed and not published, 9 is open."""
        self.stack.sql(f"""TRUNCATE llm_publish, llm_window;
            DELETE FROM llm_series;
            INSERT INTO llm_series (series_id, tenant_id, route, model) OVERRIDING SYSTEM VALUE
            VALUES (11, 'a', 'r', 'm'), (12, 'a', 'r', 'n'), (13, 'b', 'r', 'm');
            INSERT INTO llm_window (window_start, closed_at, changes)
            SELECT timestamptz '{minute(0)}' + n * interval '1 minute', CASE WHEN n < 9 THEN now() END, 5
            FROM generate_series(0, 9) n;
            INSERT INTO llm_publish (window_start, series_id, publish_seq, published_revision)
            SELECT window_start, s, CASE WHEN n < 8 AND NOT (n = 5 AND s = 13) THEN n * 3 + s ELSE 0 END, 1
            FROM (SELECT window_start, row_number() OVER (ORDER BY window_start) - 1 AS n FROM llm_window) w,
                generate_series(11, 13) s""")

    def republish(self, *args):
        return self.stack.admin("republish", *args)

    def marked(self):
        """The marked rows as (minute, series), and the minutes whose window changed."""
        rows = self.stack.sql("SELECT extract(minute FROM window_start), series_id FROM llm_publish WHERE again"
                              " ORDER BY 1, 2").split()
        windows = self.stack.sql("SELECT extract(minute FROM window_start) FROM llm_window WHERE changes = 6"
                                 " ORDER BY 1").split()
        self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_window WHERE changes NOT IN (5, 6)"), "0")
        return [tuple(map(int, r.split("|"))) for r in rows], [int(w) for w in windows]

    def ok(self, *args):
        r = self.republish(*args)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout

    def refused(self, *args, words, code=2):
        r = self.republish(*args)
        self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (code, "", 1), r.stderr)
        for word in words:
            self.assertIn(word, r.stderr)
        self.assertEqual(self.marked(), ([], []))

    def test_from_is_in_and_to_is_not(self):
        out = self.ok("--from", minute(2), "--to", minute(4))
        self.assertEqual(out, "6 rows of 2 windows will be sent again\n")
        self.assertEqual(self.marked(), ([(m, s) for m in (2, 3) for s in (11, 12, 13)], [2, 3]))

    def test_a_window_that_began_before_is_not_in(self):
        self.assertIn("3 rows of 1 windows", self.ok(f"--from={DAY}T11:02:00.001+01:00", f"--to={minute(3)[:-4]}:01Z"))
        self.assertEqual(self.marked()[1], [3])

    def test_only_what_was_published_of_closed_windows(self):
        out = self.ok(f"--from={DAY}T00:00:00Z", "--to=2027-01-01T00:00:00Z")
        self.assertEqual(out, "23 rows of 8 windows will be sent again\n1 windows of the range are not closed yet;"
                              " they are sent once they are\n")
        rows, windows = self.marked()
        self.assertEqual(windows, list(range(8)))
        self.assertNotIn((5, 13), rows)
        self.assertEqual(len(rows), 23)

    def test_one_tenant(self):
        self.assertEqual(self.ok("--tenant=b", f"--from={minute(4)}", f"--to={minute(7)}"),
                         "2 rows of 2 windows will be sent again\n")
        self.assertEqual(self.marked(), ([(4, 13), (6, 13)], [4, 6]))

    def test_nothing_in_the_range(self):
        self.assertEqual(self.ok("--from=2026-01-01T00:00:00Z", "--to=2026-02-01T00:00:00Z"),
                         "0 rows of 0 windows will be sent again\n")
        self.assertEqual(self.marked(), ([], []))

    def test_many_rows_of_one_window_and_its_neighbours(self):
        # More than two transactions; the border lies inside a window, which is counted once.
        self.stack.sql(f"INSERT INTO llm_publish (window_start, series_id, publish_seq)"
                       f" SELECT '{minute(3)}', s, s FROM generate_series(1000, 25999) s")
        self.assertEqual(self.ok(f"--from={minute(2)}", f"--to={minute(3)}"),
                         "3 rows of 1 windows will be sent again\n")
        self.stack.sql("UPDATE llm_publish SET again = false WHERE again; UPDATE llm_window SET changes = 5")
        out = self.ok(f"--from={minute(2)}", f"--to={minute(5)}")
        self.assertEqual(out, "25009 rows of 3 windows will be sent again\n")
        self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_publish WHERE again"), "25009")
        self.assertEqual(self.stack.sql("SELECT sum(changes - 5) FROM llm_window"), "5")  # 3 at minute 3
        self.assertEqual(self.stack.sql(f"SELECT min(changes) > 5 FROM llm_window WHERE window_start >="
                                        f" '{minute(2)}' AND window_start < '{minute(5)}'"), "t")

    def test_waits_for_a_flush_that_has_the_window(self):
        with self.stack.holding(f"UPDATE llm_window SET changes = changes + 1 WHERE window_start = '{minute(3)}'"):
            p = subprocess.Popen([self.stack.program("admin"), "republish", f"--from={minute(2)}",
                                  f"--to={minute(5)}"], env=self.stack.env, stdout=subprocess.PIPE)
            wait_for(lambda: self.stack.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                            " AND datname = current_database()") != "0", "it waits")
            self.assertIsNone(p.poll())
            self.assertEqual(self.marked(), ([], []))
        out = p.communicate(timeout=30)[0]
        self.assertEqual((p.returncode, out), (0, b"9 rows of 3 windows will be sent again\n"))
        self.assertEqual(self.marked()[1], [2, 3, 4])  # the flush was undone

    def test_refusals(self):
        to = "--to=" + minute(5)
        self.refused(to, words=["--from", "is missing", "RFC 3339"])
        self.refused("--from=" + minute(5), words=["--to", "is missing"])
        self.refused("--from=yesterday", to, words=["--from", '"yesterday"', "RFC 3339"])
        self.refused("--from=" + minute(5), to, words=["--to", "not later than --from"])
        self.refused("--from=" + minute(6), to, words=["--to", "not later than --from"])
        self.refused("--from=" + minute(1), to, "--tenant=nobody", words=["--tenant", '"nobody" has no rows'], code=1)
        self.refused("--from=" + minute(1), to, "extra", words=["extra"])

    def test_a_schema_that_is_too_old(self):
        other = self.stack.id + "k"
        self.stack.sql("CREATE DATABASE " + other, dsn=self.stack.admin_dsn)
        self.addCleanup(lambda: self.stack.sql(f"DROP DATABASE {other} WITH (FORCE)",
                                               dsn=self.stack.admin_dsn))
        self.stack.sql("CREATE TABLE streamlens_schema (version int, oldest_writer int);"
                       " INSERT INTO streamlens_schema VALUES (4, 4)", dsn=self.stack.dsn + "k")
        self.refused(f"--from={minute(0)}", f"--to={minute(1)}", f"--postgres-dsn={self.stack.dsn}k",
                     words=["version 4", "setup"], code=1)


if __name__ == "__main__":
    unittest.main()
