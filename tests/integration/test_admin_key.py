#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin key against a real database."""
import datetime
import hashlib
import json
import re
import subprocess
import unittest
import zlib

from stack import Stack

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def is_key(text):
    m = re.fullmatch(r"(slk_[0-9A-Za-z]{12}_[0-9A-Za-z]{43})_([0-9A-Za-z]{6})", text)
    if not m:
        return False
    crc = 0
    for c in m.group(2):
        crc = crc * 62 + BASE62.index(c)
    return crc == zlib.crc32(m.group(1).encode())


def seconds_until(rfc3339):
    at = datetime.datetime.fromisoformat(rfc3339.replace("Z", "+00:00"))
    return (at - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


class KeyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.sql("CREATE DATABASE " + cls.stack.id, dsn=cls.stack.admin_dsn)
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.setup()

    def setUp(self):
        self.stack.sql("TRUNCATE streamlens_key")

    def sql(self, statement):
        return self.stack.sql(statement)

    def key(self, *args):
        return self.stack.admin("key", *args)

    def create(self, *args):
        """The key's text."""
        r = self.key("create", *args)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(r.stdout.endswith("\n") and is_key(r.stdout[:-1]), r.stdout)
        return r.stdout[:-1]

    def id_of(self, text):
        return text.split("_")[1]

    def rotate(self, key_id, *args):
        r = self.key("rotate", key_id, *args)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(is_key(r.stdout[:-1]), r.stdout)
        return r.stdout[:-1]

    def refused(self, *args, code=1, words=()):
        """One line on standard error with the words, nothing printed, no row changed."""
        before = self.sql("SELECT k FROM streamlens_key k ORDER BY 1")
        r = self.key(*args)
        self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (code, "", 1), r.stderr)
        for word in words:
            self.assertIn(word, r.stderr)
        self.assertEqual(self.sql("SELECT k FROM streamlens_key k ORDER BY 1"), before)
        return r.stderr

    def rows(self, *args):
        r = self.key("list", "--json", *args)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return json.loads(r.stdout)

    def states(self, *args):
        return {row["key_id"]: row["state"] for row in self.rows(*args)}

    # ---- create ----

    def test_a_key_is_printed_once_and_only_its_hash_is_kept(self):
        r = self.key("create", "--tenant", "acme", "--scope", "ingest,read", "--name", "web",
                     "--rate", "500")
        self.assertEqual(r.returncode, 0, r.stderr)
        text = r.stdout.rstrip("\n")
        self.assertTrue(is_key(text), r.stdout)
        secret = text.split("_")[2]
        self.assertNotIn(secret, r.stderr)
        self.assertIn(self.id_of(text), r.stderr)
        self.assertEqual(
            self.sql("SELECT key_id, encode(key_sha256, 'hex'), tenant_id, name, scopes,"
                     " events_per_second, expires_at IS NULL, revoked_at IS NULL FROM streamlens_key"),
            "|".join([self.id_of(text), hashlib.sha256(text.encode()).hexdigest(), "acme", "web",
                      "{ingest,read}", "500", "t", "t"]))
        kept = self.sql("SELECT k FROM streamlens_key k")
        for out in (kept, self.key("list").stdout, self.key("list", "--json").stdout):
            self.assertNotIn(secret, out)
            self.assertIn(self.id_of(text), out)
        self.assertNotIn(hashlib.sha256(text.encode()).hexdigest(), self.key("list", "--json").stdout)

    def test_a_key_that_nobody_saw_is_to_be_revoked(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            r = subprocess.run([self.stack.program("admin"), "key", "create", "--tenant=t", "--scope=read"],
                               env=self.stack.env, stdout=full, stderr=subprocess.PIPE, text=True,
                               timeout=60, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertRegex(r.stderr, self.sql("SELECT key_id FROM streamlens_key") + ".*revoke it")

    def test_two_keys_differ(self):
        self.assertNotEqual(self.create("--tenant=t", "--scope=read"),
                            self.create("--tenant=t", "--scope=read"))

    def test_scopes(self):
        for given, kept in (("ingest", "{ingest}"), ("read", "{read}"), ("read,ingest", "{ingest,read}"),
                            ("admin,read,ingest", "{ingest,read,admin}"), ("admin", "{admin}"),
                            ("ingest,admin", "{ingest,admin}"), ("read,admin", "{read,admin}")):
            text = self.create("--tenant=t", "--scope", given, "--name", given)
            self.assertEqual(self.sql("SELECT scopes FROM streamlens_key WHERE key_id ="
                                      f" '{self.id_of(text)}'"), kept)
            row, = [r for r in self.rows() if r["key_id"] == self.id_of(text)]
            self.assertEqual("{" + ",".join(row["scopes"]) + "}", kept)

    def test_only_admin_alone_has_no_tenant(self):
        text = self.create("--scope=admin")
        self.assertEqual(self.sql("SELECT tenant_id, scopes FROM streamlens_key"), "|{admin}")
        self.assertEqual(self.rows()[0]["tenant_id"], "")
        self.assertIn(self.id_of(text), self.key("list").stdout)
        for scope in ("read", "ingest", "ingest,admin"):
            self.refused("create", "--scope", scope, code=2, words=["--tenant", "missing"])

    def test_what_is_wrong_is_named(self):
        good = ("create", "--tenant=t", "--scope=read")
        for args, words in (
                (("create", "--tenant=t"), ["--scope", "ingest", "read"]),
                (("create", "--tenant=t", "--scope="), ["--scope", "missing"]),
                (("create", "--tenant=t", "--scope=write"), ["--scope", '"write"']),
                (("create", "--tenant=t", "--scope=read,,ingest"), ["--scope", '""']),
                (("create", "--tenant=", "--scope=read"), ["--tenant", "255"]),
                (("create", "--tenant=" + "x" * 256, "--scope=read"), ["--tenant", "255"]),
                (("create", "--tenant=a\nb", "--scope=read"), ["--tenant"]),
                ((*good, "--name="), ["--name"]),
                ((*good, "--rate=0"), ["--rate", "1 to 1000000000"]),
                ((*good, "--rate=1000000001"), ["--rate"]),
                ((*good, "--rate=1.5"), ["--rate"]),
                ((*good, "--rate=-1"), ["--rate"]),
                ((*good, "--expires=soon"), ["--expires", "90d"]),
                ((*good, "--expires=0"), ["--expires", "to come"]),
                ((*good, "--expires=0d"), ["--expires", "to come"]),
                ((*good, "--expires=2020-01-01T00:00:00Z"), ["--expires", "to come"]),
                ((*good, "--expires=4000000d"), ["--expires", "year 10000"]),
                ((*good, "--expires=999999999999999999d"), ["--expires"]),
                ((*good, "--tenant=u"), ["--tenant", "twice"]),
                ((*good, "--expires"), ["--expires", "needs a value"]),
                ((*good, "--expire=90d"), ["--expire"]),
                ((*good, "word"), ['"word"']),
                (("revoke",), ["ID"]),
                (("revoke", "short"), ["12 letters"]),
                (("revoke", "a" * 12, "b" * 12), ["unexpected"]),
                (("rotate", "a" * 13), ["12 letters"]),
                (("rotate", "a" * 12, "--overlap=1w"), ["--overlap", "24h"]),
                (("mint",), ["mint"])):
            with self.subTest(args=args):
                self.refused(*args, code=2, words=words)

    def test_a_pasted_key_is_not_repeated(self):
        text = self.create("--tenant=t", "--scope=read")
        for command in ("revoke", "rotate"):
            self.assertNotIn(text.split("_")[2], self.refused(command, text, code=2))

    def test_the_largest_rate_and_the_longest_names(self):
        self.create("--tenant", "t" * 255, "--name", "n" * 255, "--scope=read", "--rate=1000000000")
        row, = self.rows()
        self.assertEqual((row["tenant_id"], row["name"], row["events_per_second"]),
                         ("t" * 255, "n" * 255, 10**9))

    def test_expiry(self):
        for given, least, most in (("90d", 89.9 * 86400, 90 * 86400), ("12h", 11.9 * 3600, 12 * 3600),
                                   ("300m", 299 * 60, 300 * 60), ("9000s", 8900, 9000)):
            self.create("--tenant=t", "--scope=read", "--name", given, "--expires", given)
            row, = [r for r in self.rows() if r["name"] == given]
            self.assertTrue(least < seconds_until(row["expires_at"]) <= most, row)
            self.assertEqual(row["state"], "active")
        self.create("--tenant=t", "--scope=read", "--name=x", "--expires=2100-02-03T04:05:06.5+01:00")
        row, = [r for r in self.rows() if r["name"] == "x"]
        self.assertEqual(row["expires_at"], "2100-02-03T03:05:06.500Z")

    # ---- two at once ----

    def test_two_of_a_name_may_be_active(self):
        args = ("create", "--tenant=t", "--scope=read", "--name=web")
        first, second = self.create(*args[1:]), self.create(*args[1:])
        self.refused(*args, words=["3 keys", "tenant 't'", "'web'", "at most 2", "revoke"])
        self.create("--tenant=t", "--scope=read", "--name=other")
        self.create("--tenant=u", "--scope=read", "--name=web")
        self.assertEqual(self.key("revoke", self.id_of(first)).returncode, 0)
        self.create(*args[1:])
        self.refused(*args)
        self.sql("UPDATE streamlens_key SET expires_at = now() WHERE key_id ="
                 f" '{self.id_of(second)}'")
        self.create(*args[1:])

    def test_many_creates_at_once_make_two(self):
        command = [self.stack.program("admin"), "key", "create", "--tenant=t", "--scope=read"]
        procs = [subprocess.Popen(command, env=self.stack.env, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) for _ in range(6)]
        outs = [p.communicate(timeout=60) for p in procs]
        self.assertEqual(sorted(p.returncode for p in procs), [0, 0, 1, 1, 1, 1], outs)
        self.assertEqual(self.sql("SELECT count(*) FROM streamlens_key"), "2")

    def test_a_create_waits_for_one_that_has_not_committed(self):
        # What another one has added but not committed must count.
        lock = ("SELECT pg_advisory_xact_lock(hashtextextended(format('streamlens key %L %L %L',"
                " current_schema(), 't', 'default'), 0))")
        self.create("--tenant=t", "--scope=read")
        with self.stack.holding(lock):
            p = subprocess.Popen([self.stack.program("admin"), "key", "create", "--tenant=t",
                                  "--scope=read"], env=self.stack.env, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
            self.create("--tenant=t", "--scope=read", "--name=other")
            with self.assertRaises(subprocess.TimeoutExpired):
                p.wait(1)
        self.assertTrue(is_key(p.communicate(timeout=60)[0].strip()))

    def test_more_keys_than_services_keep_are_refused(self):
        self.sql("INSERT INTO streamlens_key (key_id, key_sha256, tenant_id, name, scopes)"
                 " SELECT lpad(i::text, 12, '0'), sha256(i::text::bytea), 't', i::text, '{read}'"
                 " FROM generate_series(1, 99999) i")
        self.create("--tenant=t", "--scope=read")
        r = self.key("create", "--tenant=t", "--scope=read")
        self.assertEqual((r.returncode, r.stdout), (1, ""))
        self.assertIn("100000 keys", r.stderr)
        self.assertEqual(self.key("revoke", "000000000001").returncode, 0)
        self.create("--tenant=t", "--scope=read")

    # ---- list, revoke ----

    def test_list_shows_states(self):
        ids = [self.id_of(self.create("--tenant=t", "--scope=read", "--name", n)) for n in "abc"]
        self.sql(f"UPDATE streamlens_key SET expires_at = now() WHERE key_id = '{ids[1]}'")
        self.sql(f"UPDATE streamlens_key SET last_used_at = '2026-01-02 03:04:05Z' WHERE key_id = '{ids[0]}'")
        self.assertEqual(self.key("revoke", ids[2]).returncode, 0)
        self.assertEqual(self.states(), dict(zip(ids, ["active", "expired", "revoked"])))
        lines = self.key("list").stdout.splitlines()
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[0].split(), "ID TENANT NAME SCOPE STATE CREATED EXPIRES LAST USED RATE".split())
        self.assertRegex(lines[1], rf"^{ids[0]}  t +a +read +active +\S+Z +never +2026-01-02T03:04:05Z +-$")
        self.assertEqual([line.split()[4] for line in lines[1:]], ["active", "expired", "revoked"])

    def test_list_of_one_tenant(self):
        ids = [self.id_of(self.create("--tenant", t, "--scope=read")) for t in ("t1", "t2")]
        self.assertEqual(self.states("--tenant=t2"), {ids[1]: "active"})
        self.assertEqual(self.states("--tenant=t3"), {})

    def test_revoke_says_what_it_found(self):
        key_id = self.id_of(self.create("--tenant=t", "--scope=read"))
        r = self.key("revoke", key_id)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assertIn("AUTH_REFRESH_MS", r.stdout)
        when = self.sql("SELECT revoked_at FROM streamlens_key")
        r = self.key("revoke", key_id)
        self.assertEqual(r.returncode, 0)
        self.assertIn("before", r.stdout)
        self.assertEqual(self.sql("SELECT revoked_at FROM streamlens_key"), when)
        self.refused("revoke", "0" * 12, words=["no key 000000000000"])

    # ---- rotate ----

    def test_rotate_makes_its_like_and_lets_the_old_one_run_out(self):
        old = self.id_of(self.create("--tenant=t", "--scope=ingest,admin", "--name=web", "--rate=7"))
        new = self.id_of(self.rotate(old))
        self.assertNotEqual(old, new)
        self.assertEqual(self.sql("SELECT tenant_id, name, scopes, events_per_second, expires_at IS NULL"
                                  f" FROM streamlens_key WHERE key_id = '{new}'"),
                         "t|web|{ingest,admin}|7|t")
        rows = {r["key_id"]: r for r in self.rows()}
        self.assertEqual(self.states(), {old: "active", new: "active"})
        self.assertTrue(86300 < seconds_until(rows[old]["expires_at"]) <= 86400, rows)
        # Neither of the two can be rotated while both are active: that would be three.
        for key_id in (old, new):
            self.refused("rotate", key_id, words=["3 keys", "at most 2"])

    def test_rotate_without_overlap(self):
        old = self.id_of(self.create("--tenant=t", "--scope=read"))
        new = self.id_of(self.rotate(old, "--overlap=0"))
        self.assertEqual(self.states(), {old: "expired", new: "active"})
        newer = self.id_of(self.rotate(new, "--overlap", "90m"))
        self.assertEqual(self.states(), {old: "expired", new: "active", newer: "active"})
        # One of two ends at once, so two remain.
        newest = self.id_of(self.rotate(newer, "--overlap=0"))
        self.assertEqual(self.states(), {old: "expired", new: "active", newer: "expired",
                                         newest: "active"})

    def test_rotate_moves_no_end_away_and_keeps_the_lifetime(self):
        old = self.id_of(self.create("--tenant=t", "--scope=read", "--expires=2h"))
        before = self.rows()[0]["expires_at"]
        new = self.id_of(self.rotate(old, "--overlap=24h"))
        rows = {r["key_id"]: r for r in self.rows()}
        self.assertEqual(rows[old]["expires_at"], before)
        self.assertTrue(7000 < seconds_until(rows[new]["expires_at"]) <= 7201, rows)
        self.sql(f"DELETE FROM streamlens_key WHERE key_id = '{old}'")
        newer = self.id_of(self.rotate(new, "--overlap=0", "--expires=2100-01-01T00:00:00Z"))
        rows = {r["key_id"]: r for r in self.rows()}
        self.assertEqual(rows[newer]["expires_at"], "2100-01-01T00:00:00Z")

    def test_what_ended_is_not_rotated(self):
        a, b = (self.id_of(self.create("--tenant=t", "--scope=read")) for _ in range(2))
        self.assertEqual(self.key("revoke", a).returncode, 0)
        self.sql(f"UPDATE streamlens_key SET expires_at = now() WHERE key_id = '{b}'")
        self.refused("rotate", a, words=["revoked", "create"])
        self.refused("rotate", b, words=["expired", "create"])
        self.refused("rotate", "0" * 12, words=["no key"])

    def test_many_rotations_at_once_make_one(self):
        old = self.id_of(self.create("--tenant=t", "--scope=read"))
        procs = [subprocess.Popen([self.stack.program("admin"), "key", "rotate", old],
                                  env=self.stack.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True) for _ in range(4)]
        outs = [p.communicate(timeout=60) for p in procs]
        self.assertEqual(sorted(p.returncode for p in procs), [0, 1, 1, 1], outs)
        self.assertEqual(self.sql("SELECT count(*) FROM streamlens_key"), "2")

    # ---- the database ----

    def test_a_database_without_the_table_names_setup(self):
        other = self.stack.id + "k"
        self.stack.sql("CREATE DATABASE " + other, dsn=self.stack.admin_dsn)
        self.addCleanup(lambda: self.stack.sql(f"DROP DATABASE {other} WITH (FORCE)",
                                               dsn=self.stack.admin_dsn))
        dsn = self.stack.dsn + "k"
        self.assertIn("run streamlens-admin setup",
                      self.refused("list", "--postgres-dsn=" + dsn, words=["POSTGRES_DSN"]))
        self.stack.sql("CREATE TABLE streamlens_schema (version int, oldest_writer int);"
                       " INSERT INTO streamlens_schema VALUES (2, 2)", dsn=dsn)
        self.refused("list", "--postgres-dsn=" + dsn, words=["version 2, want ", "setup"])
        self.stack.sql("INSERT INTO streamlens_schema VALUES (99, 99)", dsn=dsn)
        self.refused("list", "--postgres-dsn=" + dsn, words=["version 99", "newer build"])


if __name__ == "__main__":
    unittest.main()
