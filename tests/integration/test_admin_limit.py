#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin limit against a real database."""
import json
import subprocess
import unittest

from stack import Stack, wait_for

COLUMNS = ("events_per_second", "events_burst", "bytes_per_second", "bytes_burst")
MOST = 10**12
ROWS_MAX = 65536


class LimitTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.sql("CREATE DATABASE " + cls.stack.id, dsn=cls.stack.admin_dsn)
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.setup()

    def setUp(self):
        self.stack.sql("TRUNCATE streamlens_limit")

    def limit(self, *args):
        return self.stack.admin("limit", *args)

    def ok(self, *args):
        r = self.limit(*args)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout

    def rows(self, *args):
        return {r["tenant_id"]: tuple(r[c] for c in COLUMNS) for r in json.loads(self.ok("list", "--json", *args))}

    def kept(self):
        return self.stack.sql("SELECT l FROM streamlens_limit l ORDER BY 1")

    def refused(self, *args, code=1, words=()):
        """One line on standard error with the words, nothing printed, no row changed."""
        before = self.kept()
        r = self.limit(*args)
        self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (code, "", 1), r.stderr)
        for word in words:
            self.assertIn(word, r.stderr)
        self.assertEqual(self.kept(), before)

    def test_what_is_given_is_kept_and_the_rest_stays(self):
        self.assertEqual(self.rows(), {})
        out = self.ok("set", "acme", "events_per_second=20")
        self.assertIn("tenant 'acme': events_per_second=20 events_burst=200, no limit of bytes_per_second", out)
        self.assertIn("RATE_LIMITS_REFRESH_MS", out)
        self.assertEqual(self.rows(), {"acme": (20, None, None, None)})
        out = self.ok("set", "acme", "bytes_per_second=5000", "events_burst=7")
        self.assertIn("events_per_second=20 events_burst=7, bytes_per_second=5000 bytes_burst=50000\n", out)
        self.assertEqual(self.rows(), {"acme": (20, 7, 5000, None)})
        self.ok("set", "*", f"events_per_second={MOST}", f"events_burst={MOST}", f"bytes_per_second={MOST}",
                f"bytes_burst={MOST}")
        self.ok("set", "t" * 255, "bytes_burst=1", "bytes_per_second=1")
        self.assertEqual(self.rows(), {"*": (MOST,) * 4, "acme": (20, 7, 5000, None),
                                       "t" * 255: (None, None, 1, 1)})
        self.assertEqual(self.rows("--tenant=acme"), {"acme": (20, 7, 5000, None)})

    def test_an_empty_value_clears(self):
        self.ok("set", "acme", "events_per_second=20", "events_burst=7", "bytes_per_second=5")
        self.ok("set", "acme", "events_burst=")
        self.assertEqual(self.rows(), {"acme": (20, None, 5, None)})
        self.ok("set", "acme", "events_burst=9")
        # A burst goes with its rate; what is left is a tenant without limits, beside those of all others.
        out = self.ok("set", "acme", "events_per_second=", "bytes_per_second=")
        self.assertIn("no limit of events_per_second, no limit of bytes_per_second", out)
        self.assertEqual(self.rows(), {"acme": (None,) * 4})

    def test_a_change_is_dated(self):
        self.ok("set", "acme", "events_per_second=20")
        self.stack.sql("UPDATE streamlens_limit SET changed_at = '2020-01-02T03:04:05Z'")
        self.assertEqual(json.loads(self.ok("list", "--json"))[0]["changed_at"], "2020-01-02T03:04:05Z")
        before = self.stack.sql("SELECT now()")
        self.ok("set", "acme", "events_per_second=20")
        at = json.loads(self.ok("list", "--json"))[0]["changed_at"]
        self.assertEqual(self.stack.sql(f"SELECT '{at}' BETWEEN timestamptz '{before}' AND now()"), "t")

    def test_a_table_for_people(self):
        self.ok("set", "acme", "events_per_second=20", "bytes_per_second=3", "bytes_burst=4")
        self.stack.sql("UPDATE streamlens_limit SET changed_at = '2020-01-02T03:04:05.5Z'")
        lines = [line.split() for line in self.ok("list").splitlines()]
        self.assertEqual(lines, [["TENANT", "EVENTS/S", "EVENTS", "BURST", "BYTES/S", "BYTES", "BURST", "CHANGED"],
                                 ["acme", "20", "-", "3", "4", "2020-01-02T03:04:05Z"]])

    def test_removed_it_is_gone(self):
        self.ok("set", "acme", "events_per_second=20")
        self.ok("set", "globex", "events_per_second=20")
        self.assertIn("acme", self.ok("remove", "acme"))
        self.assertEqual(self.rows(), {"globex": (20, None, None, None)})
        self.refused("remove", "acme", words=["acme", "limit list"])

    def test_what_is_wrong_is_named(self):
        for args, words in (
                (("set", "acme"), ["TENANT NAME=VALUE"]),
                (("set", "", "events_per_second=1"), ["TENANT", "255"]),
                (("set", "x" * 256, "events_per_second=1"), ["TENANT", "255"]),
                (("set", "a\nb", "events_per_second=1"), ["TENANT"]),
                (("set", "acme", "events=1"), ['"events=1"', "events_per_second"]),
                (("set", "acme", "events_per_second"), ['"events_per_second"']),
                (("set", "acme", "events_per_second=0"), ["events_per_second", '"0"', f"1 to {MOST}"]),
                (("set", "acme", f"events_per_second={MOST + 1}"), ["events_per_second"]),
                (("set", "acme", "events_per_second=1", "events_burst=-1"), ["events_burst"]),
                (("set", "acme", "bytes_per_second=1.5"), ["bytes_per_second", '"1.5"']),
                (("set", "acme", "bytes_per_second=1", "bytes_burst=1e3"), ["bytes_burst"]),
                (("set", "acme", "bytes_per_second=1", "bytes_per_second=2"), ["bytes_per_second", "twice"]),
                (("set", "acme", "events_burst=5"), ["events_burst", "without events_per_second"]),
                (("set", "acme", "events_per_second=1", "bytes_burst=5"), ["bytes_burst", "bytes_per_second"]),
                (("set", "acme", "events_per_second=", "events_burst=5"), ["events_burst", "without"]),
                (("remove",), ["TENANT"]),
                (("remove", "a", "b"), ["unexpected"]),
                (("list", "acme"), ["unexpected"]),
                (("end",), ["end"])):
            with self.subTest(args=args):
                self.refused(*args, code=2, words=words)

    def test_the_database_holds_to_the_same_bounds(self):
        for values in ("0, NULL, NULL, NULL", f"{MOST + 1}, NULL, NULL, NULL", "1, 0, NULL, NULL", "NULL, 1, NULL, NULL",
                       "1, 1, NULL, 1", f"1, {MOST + 1}, NULL, NULL", "NULL, NULL, 0, NULL", "NULL, NULL, 1, -1"):
            with self.subTest(values=values), self.assertRaisesRegex(AssertionError, "check constraint"):
                self.stack.sql(f"INSERT INTO streamlens_limit (tenant_id, {', '.join(COLUMNS)})"
                               f" VALUES ('t', {values})")
        with self.assertRaisesRegex(AssertionError, "check constraint"):
            self.stack.sql("INSERT INTO streamlens_limit (tenant_id) VALUES ('')")

    def test_as_many_as_services_keep(self):
        self.stack.sql("INSERT INTO streamlens_limit (tenant_id, events_per_second)"
                       f" SELECT 't' || i, 1 FROM generate_series(1, {ROWS_MAX}) i")
        self.refused("set", "more", "events_per_second=1", words=[str(ROWS_MAX), "remove"])
        self.ok("set", "t1", "events_per_second=2")
        self.ok("remove", "t2")
        self.ok("set", "more", "events_per_second=1")

    def test_two_at_once_lose_nothing(self):
        self.ok("set", "acme", "events_per_second=1")
        hold = subprocess.Popen(["psql", "-X", "-q", "-d", self.stack.dsn], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        self.addCleanup(hold.communicate)
        hold.stdin.write("BEGIN;\nUPDATE streamlens_limit SET events_burst = 33;\nSELECT 'held';\n")
        hold.stdin.flush()
        hold.stdout.readline()
        command = [self.stack.program("admin"), "limit", "set", "acme", "bytes_per_second=9"]
        with subprocess.Popen(command, env=self.stack.env, stdout=subprocess.DEVNULL) as other:
            wait_for(lambda: self.stack.sql("SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                                            " WHERE NOT granted AND datname = current_database()") == "1",
                     "the second one waiting")
            hold.stdin.write("COMMIT;\n")
            hold.stdin.flush()
            self.assertEqual(other.wait(30), 0)
        self.assertEqual(self.rows(), {"acme": (1, 33, 9, None)})

    def test_help_names_the_columns(self):
        r = self.stack.admin("help", "limit")
        self.assertEqual(r.returncode, 0)
        for word in (*COLUMNS, "limit set TENANT", "limit list", "limit remove"):
            self.assertIn(word, r.stdout)


if __name__ == "__main__":
    unittest.main()
