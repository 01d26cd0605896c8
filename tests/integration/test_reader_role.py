#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What people read with psql: the view of hours, and the role streamlens_reader, which may read the views and nothing
else."""
import os
import subprocess
import unittest

import fact_rows
from own_postgres import OwnPostgres
from stack import Stack, needed, wait_for

READABLE = {"llm_metrics", "llm_metrics_hour", "llm_price", "llm_price_version"}
HOUR = "timestamptz '2026-11-20T10:00:00Z'"


def login(stack, name, dsn=None):
    """Makes a login of the reader, as sql/README.md says; its DSN."""
    stack.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'a-long-one' IN ROLE streamlens_reader", dsn=dsn)
    host = stack.dsn.split("@", 1)[1]
    return f"postgresql://{name}:a-long-one@{host}"


class ReaderTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        s = cls.stack = Stack()
        s.sql("CREATE DATABASE " + s.id, dsn=s.admin_dsn)
        cls.addClassCleanup(s.sql, f"DROP ROLE IF EXISTS {s.id}_grafana", dsn=s.admin_dsn)
        cls.addClassCleanup(s.__exit__)
        s.setup()
        cls.dsn = login(s, s.id + "_grafana")
        fact_rows.series(s, 1, "t")
        fact_rows.partitions(s, [HOUR])
        columns = {"requests": "5", "responses": "3", "unanswered": "1", "errors": "1", "latency_count": "2",
                   "latency_max_us": "2000", "latency_sum_us": "3000", "latency_p50_us": "1000",
                   "latency_hdr": fact_rows.histogram(1000, 2000), "uncached_prompt_tokens": "6", "cached_prompt_tokens": "3",
                   "completion_tokens": "12", "cost_pusd": "1500000000000", "generation_us": "2000000",
                   "generation_tokens": "9", "cost_input_pusd": "100000000000", "cost_cached_input_pusd": "1",
                   "cost_cache_write_5m_pusd": "9007199254740993", "cost_cache_write_1h_pusd": "4000000000",
                   "cost_output_pusd": "9223372036854775807", "cost_reasoning_pusd": "9223372036854775807",
                   "cost_request_pusd": "7", "cache_savings_pusd": "-9007199254740993"}
        for table in ("llm_minute", "llm_hour"):
            fact_rows.rows(s, table, "SELECT 1", "SELECT " + HOUR, **columns)
        fact_rows.rows(s, "llm_minute", "SELECT 1", f"SELECT {HOUR} + interval '1 minute'",
                       **{**columns, "latency_hdr": fact_rows.histogram(3000, 4000), "latency_max_us": "4000"})

    def read(self, statement):
        return self.stack.sql(statement, dsn=self.dsn)

    def refused(self, statement, words="permission denied"):
        with self.assertRaisesRegex(AssertionError, words):
            self.read(statement)

    def columns(self, view):
        return self.stack.sql("SELECT column_name, data_type FROM information_schema.columns"
                              f" WHERE table_name = '{view}' ORDER BY ordinal_position").splitlines()

    # ---- hours ----

    def test_hours_have_the_columns_of_minutes_that_make_sense_of_them(self):
        minutes = self.columns("llm_metrics")
        hours = self.columns("llm_metrics_hour")
        self.assertEqual(hours, [c for c in minutes if c.split("|")[0] not in ("publish_seq", "late")])
        rows = [self.read("SELECT to_jsonb(m) - '{window_end,created_at,updated_at,publish_seq,late}'::text[]"
                          f" FROM {view} m WHERE window_start = {HOUR}")
                for view in ("llm_metrics", "llm_metrics_hour")]
        self.assertEqual(rows[0], rows[1])  # of equal facts
        self.assertEqual(self.read("SELECT window_end - window_start, in_flight, prompt_tokens, avg_latency_ms,"
                                   " estimated_cost_usd_decimal, output_tokens_per_second, generation_ms"
                                   " FROM llm_metrics_hour"), "01:00:00|1|9|1.5|1.5|4.5|2000")

    def test_what_a_cost_is_made_of_is_the_nearest_double(self):
        for view in ("llm_metrics", "llm_metrics_hour"):
            self.assertEqual(self.read("SELECT uncached_prompt_cost_usd, cached_prompt_cost_usd,"
                                       " cache_write_5m_cost_usd, cache_write_1h_cost_usd, completion_cost_usd,"
                                       " reasoning_cost_usd, request_cost_usd, cache_savings_usd"
                                       f" FROM {view} WHERE window_start = {HOUR}"),
                             "0.1|1e-12|9007.199254740994|0.004|18446744.07370955|9223372.036854776|7e-12"
                             "|-9007.199254740994")

    def test_an_hour_is_complete_once_all_of_it_is_closed(self):
        seen = []
        for through in ("NULL", f"{HOUR} + interval '59 minutes'", f"{HOUR} + interval '1 hour'"):
            for unanswered in (1, 2):  # one of them is in flight, none is
                self.stack.sql(f"UPDATE streamlens_publisher SET closed_through = {through};"
                               f" UPDATE llm_hour SET unanswered = {unanswered}")
                seen.append(self.read("SELECT complete, settled FROM llm_metrics_hour"))
        self.stack.sql("UPDATE streamlens_publisher SET closed_through = NULL; UPDATE llm_hour SET unanswered = 1")
        self.assertEqual(seen, ["f|f"] * 4 + ["t|f", "t|t"])

    def test_an_hour_is_lossy_where_a_gap_overlaps_it(self):
        seen = []
        for low, high in ((-2, 0), (-2, 1), (59, 61), (60, 61)):  # minutes of the hour
            self.stack.sql("DELETE FROM streamlens_gap; INSERT INTO streamlens_gap (partition, topic, from_offset,"
                           f" to_offset, windows_from, windows_to) SELECT 0, 't', 0, 1, {HOUR} + {low} * interval"
                           f" '1 minute', {HOUR} + {high} * interval '1 minute'")
            seen.append(self.read("SELECT lossy FROM llm_metrics_hour"))
        self.stack.sql("DELETE FROM streamlens_gap")
        self.assertEqual(seen, ["f", "t", "t", "f"])

    # ---- the role ----

    def test_it_reads_the_views_and_asks_for_percentiles(self):
        for view in READABLE:
            self.assertNotEqual(self.read(f"SELECT count(*) FROM {view}"), "0")
        # The second of four values, 2 ms, by its bucket's highest value; and never above the maximum.
        self.assertEqual(self.read("SELECT hdr_quantile(hdr_merge(latency_hdr), 0.5), hdr_quantile(hdr_merge("
                                   "latency_hdr), 1, 4000), hdr_count(hdr_merge(latency_hdr)) FROM llm_metrics"),
                         "2007|4000|4")
        self.assertEqual(self.read("SELECT hdr_quantiles(hdr_merge(latency_hdr), '{0.5,1}', 2000) FROM"
                                   " llm_metrics_hour"), "{1003,2000}")
        self.assertEqual(self.read("SELECT llm_usd(1000000000000), llm_ratio(1, 2)"), "1|0.5")
        self.assertEqual(self.read("SELECT count(*) FROM llm_metrics_hour, unnest(usage) u"), "0")

    def test_it_reads_nothing_else(self):
        others = set(self.stack.sql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                                    " AND relkind IN ('r', 'p', 'v', 'm', 'S')").split()) - READABLE
        self.assertLessEqual({"streamlens_key", "llm_minute", "llm_minute_20261120", "llm_series"}, others)
        for table in others:
            self.refused(f"SELECT * FROM {table}")

    def test_it_writes_nothing(self):
        for view in READABLE:
            column = self.columns(view)[0].split("|")[0]
            for statement in (f"DELETE FROM {view}", f"TRUNCATE {view}", f"INSERT INTO {view} DEFAULT VALUES",
                              f"UPDATE {view} SET {column} = {column}"):
                self.refused(statement, "permission denied|is not a table|cannot (delete from|insert into|update) view")
        self.refused("CREATE TABLE mine (i int)")
        self.refused("CREATE SCHEMA mine")
        self.refused("SELECT llm_make_partition('llm_minute', now())")

    def test_setup_again_changes_nothing(self):
        def rights():
            return self.stack.sql("SELECT relname, relacl FROM pg_class WHERE relacl IS NOT NULL ORDER BY 1")
        before = rights()
        self.stack.setup()
        self.assertEqual(rights(), before)
        self.assertEqual(before.count("streamlens_reader=r/"), len(READABLE))


class NoRoleYet(unittest.TestCase):
    """In a cluster of its own, since the role is the whole cluster's."""

    @classmethod
    def setUpClass(cls):
        cls.server = OwnPostgres(os.path.join(needed("SL_TMP"), "reader-postgres"), int(needed("SL_PORT_BASE")) + 16)
        cls.server.start()
        cls.addClassCleanup(cls.server.stop)

    def stack(self, owner=None):
        """With a database of its own; setup runs as its owner."""
        s = Stack(pg_dsn=self.server.dsn())
        s.sql(f"CREATE DATABASE {s.id} OWNER {owner or 'postgres'}", dsn=s.admin_dsn)
        self.addCleanup(s.__exit__)
        if owner:
            s.env["POSTGRES_DSN"] = f"postgresql://{owner}:a-long-one@{s.dsn.split('@', 1)[1]}"
        return s

    def roles(self, s):
        return s.sql("SELECT rolcanlogin, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = 'streamlens_reader'",
                     dsn=s.admin_dsn)

    def test_1_who_may_not_make_it_is_told_what_an_administrator_runs(self):
        Stack(pg_dsn=self.server.dsn()).sql("CREATE ROLE plain LOGIN PASSWORD 'a-long-one'", dsn=self.server.dsn())
        s = self.stack("plain")
        r = s.admin("setup")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assertEqual(self.roles(s), "")
        said = [line for line in r.stdout.splitlines() if "streamlens_reader" in line]
        self.assertEqual(len(said), 1)
        self.assertIn("plain may not make it", said[0])
        for statement in said[0].split("An administrator runs: ")[1].split("; "):
            s.sql(statement)
        self.assertEqual(s.sql("SELECT count(*) FROM llm_metrics_hour", dsn=login(s, "grafana")), "0")
        r = s.admin("setup")
        self.assertEqual((r.returncode, "streamlens_reader" in r.stdout), (0, False), r.stderr)
        # Whoever owns a database of the same cluster finds it there.
        other = self.stack("plain")
        other.setup()
        self.assertEqual(other.sql("SET ROLE streamlens_reader; SELECT count(*) FROM llm_metrics"), "0")
        s.sql("DROP ROLE grafana")
        other.sql("DROP OWNED BY streamlens_reader")
        s.sql("DROP OWNED BY streamlens_reader; DROP ROLE streamlens_reader")

    def test_2_another_setup_makes_it_in_the_same_moment(self):
        s = self.stack()
        other = subprocess.Popen(["psql", "-X", "-q", "-d", s.admin_dsn], stdin=subprocess.PIPE, text=True)
        other.stdin.write("BEGIN; CREATE ROLE streamlens_reader NOLOGIN;\n")
        other.stdin.flush()
        wait_for(lambda: s.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") == "1",
                 "a role that is being made")
        p = subprocess.Popen([s.program("admin"), "setup"], env=s.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True)
        wait_for(lambda: s.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                               " AND wait_event_type = 'Lock'") == "1", "a setup that waits for it")
        other.communicate("COMMIT;\n", timeout=30)
        out, err = p.communicate(timeout=60)
        self.assertEqual((p.returncode, err), (0, ""), out)
        self.assertEqual(s.sql("SET ROLE streamlens_reader; SELECT count(*) FROM llm_metrics_hour"), "0")
        s.sql("DROP OWNED BY streamlens_reader; DROP ROLE streamlens_reader")

    def test_3_setups_of_several_databases_at_once(self):
        stacks = [self.stack() for _ in range(4)]
        all_of_them = [subprocess.Popen([s.program("admin"), "setup"], env=s.env, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True) for s in stacks]
        outs = [p.communicate(timeout=90) for p in all_of_them]
        self.assertEqual([(p.returncode, err) for p, (_, err) in zip(all_of_them, outs)], [(0, "")] * len(stacks))
        self.assertEqual(self.roles(stacks[0]), "f|f|f")
        for s in stacks:
            self.assertEqual(s.sql("SET ROLE streamlens_reader; SELECT count(*) FROM llm_metrics_hour"), "0")


if __name__ == "__main__":
    unittest.main()
