#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin tenant delete: all that a tenant has and nothing of others, however often it is begun, and beside
running processors."""
import signal
import subprocess
import threading
import time
import unittest

import fact_rows
from stack import Stack, wait_for

ORPHANS = " UNION ALL ".join(f"SELECT '{t}', series_id, window_start FROM {t} x WHERE NOT EXISTS"
                             " (SELECT FROM llm_series s WHERE s.series_id = x.series_id)"
                             for t in ("llm_minute", "llm_hour", "llm_publish"))


def delete(stack, *args):
    return stack.admin("tenant", "delete", *args)


class Case(unittest.TestCase):
    def ok(self, *args):
        r = delete(self.stack, *args, "--yes")
        self.assertEqual((r.returncode, r.stderr), (0, ""), r.stdout)
        return r.stdout

    def no_orphans(self):
        self.assertEqual(self.stack.sql(ORPHANS), "")
        self.assertEqual(self.stack.sql("SELECT count(*) FROM streamlens_deleted_series"), "0")


class TenantTest(Case):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.sql("CREATE DATABASE " + cls.stack.id, dsn=cls.stack.admin_dsn)
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.setup()
        fact_rows.partitions(cls.stack, [f"now() - interval '{d} days'" for d in (0, 1, 2, 40)])

    def setUp(self):
        """Tenants a and b: two series each, with rows of three minutes on three days and of the hours; keys, limits
        and a price of their own."""
        s = self.stack
        s.sql("TRUNCATE llm_minute, llm_hour, llm_publish, llm_window, llm_series, llm_tenant, streamlens_key,"
              " streamlens_limit, streamlens_deleted_series")
        for i, (tenant, model) in enumerate([("a", "m"), ("a", "n"), ("b", "m"), ("b", "n")], 1):
            fact_rows.series(s, i, tenant, model=model)
        s.sql("INSERT INTO llm_tenant (tenant_id, series_count) VALUES ('a', 2), ('b', 2)")
        ids = "SELECT generate_series(1, 4)"
        days = "generate_series(0, 2) d"
        fact_rows.rows(s, "llm_minute", ids, "SELECT date_trunc('day', now()) - d * interval '1 day' + m * interval"
                       f" '1 minute' FROM {days}, generate_series(0, 2) m", requests="series_id * 10")
        fact_rows.rows(s, "llm_hour", ids, f"SELECT date_trunc('day', now()) - d * interval '1 day' FROM {days}")
        s.sql("INSERT INTO llm_window (window_start) SELECT DISTINCT window_start FROM llm_minute")
        for tenant in "ab":
            s.key("--tenant=" + tenant, "--scope=ingest,read")
            s.admin("limit", "set", tenant, "events_per_second=10")
        s.key("--scope=admin")
        s.admin("limit", "set", "*", "events_per_second=5")

    def state(self):
        s = self.stack
        tables = ("llm_minute", "llm_hour", "llm_publish", "llm_window", "llm_series", "llm_tenant", "streamlens_key",
                  "streamlens_limit", "streamlens_deleted_series", "llm_price", "llm_price_version")
        return {t: s.sql(f"SELECT x::text FROM {t} x ORDER BY 1") for t in tables}

    def of_b(self):
        """What the others have."""
        s = self.stack
        return (s.sql("SELECT x::text FROM llm_metrics x WHERE tenant_id = 'b' ORDER BY 1"),
                s.sql("SELECT x::text FROM llm_hour x WHERE series_id IN (3, 4) ORDER BY 1"),
                s.sql("SELECT x::text FROM llm_publish x WHERE series_id IN (3, 4) ORDER BY 1"),
                s.sql("SELECT x::text FROM streamlens_key x WHERE tenant_id <> 'a' ORDER BY 1"),
                s.sql("SELECT x::text FROM streamlens_limit x WHERE tenant_id <> 'a' ORDER BY 1"),
                s.sql("SELECT * FROM llm_tenant WHERE tenant_id <> 'a'"),
                s.sql("SELECT * FROM llm_price p ORDER BY p"),
                s.sql("SELECT * FROM llm_window ORDER BY 1"))

    def gone(self):
        s = self.stack
        for table in ("llm_series", "llm_tenant", "streamlens_key", "streamlens_limit", "llm_metrics"):
            self.assertEqual(s.sql(f"SELECT count(*) FROM {table} WHERE tenant_id = 'a'"), "0", table)
        self.no_orphans()
        self.assertEqual(s.sql("SELECT count(*), count(DISTINCT series_id) FROM llm_minute"), "18|2")
        self.assertEqual(s.sql("SELECT count(*), count(DISTINCT series_id) FROM llm_hour"), "6|2")
        self.assertEqual(s.sql("SELECT count(*), count(DISTINCT series_id) FROM llm_publish"), "18|2")

    def refused(self, *args, words, code=1, out=""):
        before = self.state()
        r = delete(self.stack, *args)
        self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (code, out, 1), r.stderr)
        for word in words:
            self.assertIn(word, r.stderr)
        self.assertEqual(self.state(), before)

    def test_all_of_a_tenant_and_nothing_of_others(self):
        before = self.of_b()
        generation = self.stack.sql("SELECT DISTINCT series_generation FROM streamlens_position")
        self.assertEqual(self.ok("a").splitlines()[:4],
                         ["tenant 'a': 1 keys, 1 limits, 2 series, 18 rows of minutes and 6 of hours",
                          "1 keys and 1 limits deleted", "2 series deleted",
                          "18 rows of minutes (18 of llm_publish) and 6 of hours deleted"])
        self.gone()
        self.assertEqual(self.of_b(), before)
        self.assertEqual(self.stack.sql("SELECT DISTINCT series_generation FROM streamlens_position"),
                         str(int(generation) + 1))
        self.refused("a", "--yes", words=["'a' has no keys, limits or rows"])

    def test_without_yes_it_only_counts(self):
        self.refused("a", code=2, words=["--yes", "nothing was deleted"],
                     out="tenant 'a': 1 keys, 1 limits, 2 series, 18 rows of minutes and 6 of hours\n")

    def test_price_cards_stay(self):
        fact_rows.series(self.stack, 9, "priced")
        r = self.stack.admin("price", "set", "house-llm", "tenant=priced", "input=1", "output=2")
        self.assertEqual(r.returncode, 0, r.stderr)
        cards = self.stack.sql("SELECT * FROM llm_price WHERE tenant_id = 'priced'")
        self.assertNotEqual(cards, "")
        self.assertIn("1 price cards stay, since cards are never changed; streamlens-admin price set MODEL"
                      " tenant=priced unit=none withdraws one\n", self.ok("priced"))
        self.assertEqual(self.stack.sql("SELECT * FROM llm_price WHERE tenant_id = 'priced'"), cards)
        self.refused("priced", "--yes", words=["no keys"])  # they are no reason to go on

    def test_names(self):
        self.refused("nobody", "--yes", words=["'nobody' has no keys"])
        self.refused("", "--yes", code=2, words=["NAME"])
        self.refused("x" * 256, "--yes", code=2, words=["NAME", "255"])
        self.refused("a\nb", "--yes", code=2, words=["NAME"])
        self.refused("--yes", code=2, words=["tenant delete wants NAME"])
        self.refused("a", "b", "--yes", code=2, words=['"b"'])
        self.refused("a' OR 'a' = 'a", "--yes", words=["has no keys"])

    def test_a_tenant_that_is_called_as_everybodys_limit(self):
        fact_rows.series(self.stack, 9, "*")
        self.assertIn("tenant '*': 0 keys, 0 limits, 1 series", self.ok("*"))
        self.assertEqual(self.stack.sql("SELECT events_per_second FROM streamlens_limit WHERE tenant_id = '*'"), "5")

    def test_more_than_a_step_takes(self):
        s = self.stack
        # More series than one transaction takes away, and than are looked for at a time; one with many rows.
        s.sql("INSERT INTO llm_series (series_id, tenant_id, route, model) OVERRIDING SYSTEM VALUE"
              " SELECT i, 'a', 'r', 'x' || i FROM generate_series(10, 10020) i")
        fact_rows.rows(s, "llm_minute", "SELECT generate_series(10, 5010)", "SELECT date_trunc('day', now())")
        fact_rows.rows(s, "llm_minute", "SELECT 10020", "SELECT date_trunc('day', now()) - interval '1 day' +"
                       " m * interval '1 second' FROM generate_series(100, 12599) m")
        before = self.of_b()
        out = self.ok("a")
        self.assertIn("10013 series deleted\n17519 rows of minutes (17519 of llm_publish) and 6 of hours deleted\n",
                      out)
        self.gone()
        self.assertEqual(self.of_b(), before)

    def test_counting_ends(self):
        fact_rows.rows(self.stack, "llm_hour", "SELECT 1", "SELECT date_trunc('day', now()) - interval '40 days' +"
                       " n * interval '1 millisecond' FROM generate_series(0, 100000) n")
        r = delete(self.stack, "a")
        self.assertIn("18 rows of minutes and more than 100000 of hours\n", r.stdout)

    def test_ended_in_between_it_goes_on(self):
        take = ("INSERT INTO streamlens_deleted_series SELECT 'a', series_id FROM llm_series WHERE tenant_id = 'a';"
                " DELETE FROM llm_series WHERE tenant_id = 'a'; DELETE FROM llm_tenant WHERE tenant_id = 'a'")
        steps = ["DELETE FROM streamlens_key WHERE tenant_id = 'a'; DELETE FROM streamlens_limit WHERE tenant_id = 'a'",
                 take, "DELETE FROM llm_minute WHERE series_id = 1 AND window_start >= date_trunc('day', now());"
                 "DELETE FROM llm_publish WHERE series_id = 1 AND window_start >= date_trunc('day', now())",
                 "DELETE FROM llm_minute WHERE series_id = 1; DELETE FROM llm_publish WHERE series_id = 1;"
                 "DELETE FROM llm_hour WHERE series_id = 1; DELETE FROM streamlens_deleted_series WHERE series_id = 1"]
        for n in range(1, len(steps) + 1):
            with self.subTest(steps=n):
                self.setUp()
                before = self.of_b()
                for step in steps[:n]:
                    self.stack.sql(step)
                out = self.ok("a")
                self.assertEqual("whose deletion was begun before" in out, n > 1)
                self.gone()
                self.assertEqual(self.of_b(), before)

    def test_rows_that_retention_has_detached_go_too(self):
        day = self.stack.sql("SELECT to_char(now() AT TIME ZONE 'UTC' - interval '2 days', 'YYYYMMDD')")
        for parent in ("llm_publish", "llm_minute"):
            self.stack.sql(f"ALTER TABLE {parent} DETACH PARTITION {parent}_{day}")
        self.ok("a")
        self.stack.sql("SELECT llm_make_partition(p, now() - interval '2 days') FROM"
                       " unnest(ARRAY['llm_minute', 'llm_publish']) p")
        self.gone()

    def test_it_waits_for_a_flush_and_one_runs_at_a_time(self):
        with self.stack.holding("SELECT FROM streamlens_position WHERE partition = 1 FOR UPDATE"):
            p = subprocess.Popen([self.stack.program("admin"), "tenant", "delete", "a", "--yes"], env=self.stack.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            wait_for(lambda: self.stack.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                            " AND datname = current_database()") != "0", "it waits")
            self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_series WHERE tenant_id = 'a'"), "2")
            for other in (("tenant", "delete", "b", "--yes"), ("retention",)):
                r = self.stack.admin(*other)
                self.assertEqual((r.returncode, r.stdout), (1, ""))
                self.assertIn("another streamlens-admin retention, reprice or tenant delete is running", r.stderr)
        p.communicate(timeout=30)
        self.assertEqual(p.returncode, 0)
        self.gone()

    def test_what_does_not_end_changes_nothing(self):
        with self.stack.holding("SELECT FROM streamlens_position WHERE partition = 1 FOR UPDATE"):
            r = delete(self.stack, "a", "--yes")
            self.assertEqual(r.returncode, 1)
            self.assertIn("streamlens_position", r.stderr)
            self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_series WHERE tenant_id = 'a'"), "2")
        self.ok("a")
        self.gone()


class BesideProcessorsTest(Case):
    def setUp(self):
        self.stack = Stack(env={"JOIN_TTL_MS": "20000", "JOIN_SKEW_MS": "1000", "WINDOW_GRACE_MS": "500"})
        self.stack.__enter__()
        self.addCleanup(self.stack.__exit__)
        self.stack.start("ingest-api")
        for name in ("processor-1", "processor-2"):
            self.stack.start(name)

    def pairs(self, tenant, ids, models=3):
        """So many answered requests of the tenant, over a few series."""
        now = time.time()
        events = []
        for i in ids:
            events.append({"type": "request", "request_id": f"{tenant}-{i}", "tenant_id": tenant, "route": "/r",
                           "model": f"m{i % models}", "timestamp": int(now * 1000)})
            events.append({"type": "response", "request_id": f"{tenant}-{i}", "timestamp": int(now * 1000) + 1,
                           "latency_ms": 5})
        self.stack.post_batch(events)

    def totals(self, tenant):
        t = self.stack.totals(f"tenant_id = '{tenant}'")
        return t["requests"], t["responses"], t["unanswered"], t["in_flight"]

    def hours(self, tenant):
        return tuple(map(int, self.stack.sql("SELECT coalesce(sum(requests), 0), coalesce(sum(responses), 0),"
                                             " coalesce(sum(unanswered), 0), coalesce(sum(in_flight), 0)"
                                             f" FROM llm_metrics_hour WHERE tenant_id = '{tenant}'").split("|")))

    def consumed(self):
        """Whether all that is in the topics has been counted."""
        ends = sum(int(line.rsplit(" ", 1)[1]) for line in self.stack.end_offsets())
        return ends == int(self.stack.sql("SELECT sum(coalesce(request_next, 0) + coalesce(response_next, 0))"
                                          " FROM streamlens_position"))

    def settled(self, tenant, n):
        wait_for(lambda: self.totals(tenant) == (n, n, 0, 0), f"{n} answered requests of {tenant}", 40)
        self.assertEqual(self.hours(tenant), (n, n, 0, 0))

    def healthy(self):
        for name in ("processor-1", "processor-2"):
            self.assertIsNone(self.stack.services[name].process.poll())
            wait_for(self.stack.services[name].is_ready, "readiness", 10)

    def send_on(self, tenant, stop, sent):
        n = 0
        while not stop.is_set():
            self.pairs(tenant, range(n, n + 20))
            n += 20
            sent[tenant] = n

    def test_the_others_are_counted_exactly_and_no_row_is_left_behind(self):
        stop, sent = threading.Event(), {}
        senders = [threading.Thread(target=self.send_on, args=(t, stop, sent)) for t in ("stays", "goes")]
        for s in senders:
            s.start()
        try:
            for _ in range(4):
                before = sent.get("goes", 0)
                wait_for(lambda b=before: sent.get("goes", 0) > b + 200 and self.totals("goes")[0] > 0, "traffic", 40)
                self.ok("goes")
                self.no_orphans()
        finally:
            stop.set()
            for s in senders:
                s.join()
        wait_for(self.consumed, "all to be counted", 60)
        self.settled("stays", sent["stays"])
        # What was deleted with its request alone is unanswered when its time is up.
        wait_for(lambda: self.totals("goes")[3] == 0, "nothing of the other in flight", 60)
        self.no_orphans()
        requests, responses, unanswered, _ = self.totals("goes")
        self.assertEqual(requests, responses + unanswered)
        self.assertLess(requests, sent["goes"])
        self.assertEqual(self.hours("goes"), self.totals("goes"))
        self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_metrics WHERE in_flight < 0"), "0")
        self.healthy()

        # Now that nothing is on its way it is gone for good; what is sent from then on counts anew, what was sent
        # before does not.
        self.ok("goes")
        self.pairs("goes", range(sent["goes"] - 5, sent["goes"]))
        self.pairs("goes", range(1_000_000, 1_000_010))
        self.settled("goes", 10)
        self.settled("stays", sent["stays"])
        self.no_orphans()
        for name in ("processor-1", "processor-2"):  # and nothing comes back with a replay
            self.stack.services[name].kill()
            self.stack.start(name)
        self.pairs("goes", range(2_000_000, 2_000_001))
        self.settled("goes", 11)
        self.settled("stays", sent["stays"])
        self.no_orphans()

    def test_requests_that_were_open_count_with_their_answer(self):
        for i in range(4):
            self.stack.request(f"open-{i}", tenant_id="goes")
        wait_for(lambda: self.totals("goes") == (4, 0, 0, 4), "open requests", 20)
        self.ok("goes")
        self.assertEqual(self.totals("goes"), (0, 0, 0, 0))
        self.stack.response("open-0")
        self.stack.response("open-1")
        wait_for(lambda: self.totals("goes") == (2, 2, 0, 0), "answers", 20)
        # The others run out of time; that ticks and the windows' end see to.
        wait_for(lambda: self.totals("goes") == (4, 2, 2, 0), "unanswered ones", 90)
        self.assertEqual(self.hours("goes"), (4, 2, 2, 0))
        self.no_orphans()
        self.healthy()

    def test_killed_in_between_beside_traffic(self):
        self.pairs("goes", range(3000), models=700)
        self.settled("goes", 3000)
        p = subprocess.Popen([self.stack.program("admin"), "tenant", "delete", "goes", "--yes"], env=self.stack.env,
                             stdout=subprocess.PIPE, text=True)
        for line in p.stdout:
            if line == "700 series deleted\n":
                break
        p.send_signal(signal.SIGKILL)
        p.communicate()
        self.pairs("goes", range(3000, 3010))
        self.settled("goes", 10)  # whatever is left of the old rows, nobody sees it
        wait_for(lambda: delete(self.stack, "goes", "--yes").returncode == 0, "the deletion", 30)
        self.no_orphans()
        self.pairs("goes", range(4000, 4005))
        self.settled("goes", 5)
        self.healthy()


if __name__ == "__main__":
    unittest.main()
