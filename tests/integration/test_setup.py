#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin setup against a real broker and database: what it makes, finds and refuses."""
import csv
import decimal
import json
import os
import subprocess
import time
import unittest

from stack import ROOT, Stack

TOPICS = {"llm.requests": 3, "llm.responses": 3, "llm.metrics": 3, "llm.metrics.progress": 1,
          "llm.dead_letter": 1}
ORIGINAL = """CREATE TABLE llm_metrics (id serial PRIMARY KEY, tenant_id varchar(255), route varchar(255),
    model varchar(255), window_start timestamp, window_end timestamp, requests integer, errors integer,
    avg_latency_ms float8, p95_latency_ms float8, avg_prompt_tokens float8,
    avg_completion_tokens float8, estimated_cost_usd float8, created_at timestamp DEFAULT now());
    INSERT INTO llm_metrics (tenant_id, requests) VALUES ('old', 5)"""
PROCESSORS = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
              " AND application_name = 'streamlens-processor'")
ORIGINAL_COLUMNS = ["tenant_id", "route", "model", "window_start", "window_end", "requests", "errors",
                    "avg_latency_ms", "p95_latency_ms", "avg_prompt_tokens", "avg_completion_tokens",
                    "estimated_cost_usd", "created_at"]


def pusd(usd_per_mtok):
    return str(int(decimal.Decimal(usd_per_mtok) * 10 ** 6)) if usd_per_mtok else ""


class SetupTest(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.stack.sql("CREATE DATABASE " + self.stack.id, dsn=self.stack.admin_dsn)
        self.addCleanup(self.stack.__exit__)

    def admin(self, *args, **env):
        return self.stack.admin(*args, env=env)

    def setup_ok(self, **env):
        r = self.admin("setup", **env)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout

    def setup_refused(self, *words, code=1, **env):
        """One line on standard error that has the words; returns it."""
        started = time.monotonic()
        r = self.admin("setup", **env)
        self.assertEqual(r.returncode, code, r.stderr)
        self.assertEqual(r.stderr.count("\n"), 1, r.stderr)
        for word in words:
            self.assertIn(word, r.stderr)
        self.assertLess(time.monotonic() - started, 60)  # it waits 10 s for a broker
        return r.stderr

    def topic_tool(self, *args):
        tool = os.path.join(self.stack.build, "tests", "integration", "topic_tool")
        subprocess.run([tool, self.stack.brokers, *args], check=True, timeout=30)

    def topics(self):
        out = subprocess.run(["kcat", "-L", "-J", "-b", self.stack.brokers], check=True, timeout=30,
                             capture_output=True).stdout
        return {t["topic"][len(self.stack.prefix):]: len(t["partitions"])
                for t in json.loads(out)["topics"] if t["topic"].startswith(self.stack.prefix)}

    def state(self):
        """What is pinned, applied and made, as one text."""
        s = self.stack
        return "\n".join([
            s.sql("SELECT * FROM streamlens_installation"), s.sql("SELECT * FROM streamlens_settings"),
            s.sql("SELECT * FROM streamlens_settings_from ORDER BY 1, 2"),
            s.sql("SELECT * FROM streamlens_position ORDER BY 1"),
            s.sql("SELECT * FROM streamlens_schema"),
            s.sql("SELECT * FROM llm_price_version"), s.sql("SELECT * FROM llm_price ORDER BY llm_price"),
            str(sorted(self.topics().items()))])

    def test_makes_everything_once(self):
        out = self.setup_ok()
        for topic in TOPICS:
            self.assertIn(f"topic {self.stack.prefix}{topic}: made", out)
        self.assertIn("schema: applied 001_init\n", out)
        self.assertIn("settings: pinned PARTITIONS=3 JOIN_TTL_MS=300000 JOIN_SKEW_MS=60000 "
                      "MAX_SERIES_PER_TENANT=10000", out)
        self.assertEqual(self.topics(), TOPICS)
        self.assertEqual(self.stack.sql("SELECT count(*), min(partition), max(partition),"
                                        " count(request_next) FROM streamlens_position"), "3|0|2|0")
        self.assertEqual(self.stack.sql("SELECT epoch, count(*), sum(request_offset + response_offset)"
                                        " FROM streamlens_settings_from GROUP BY 1"), "1|3|0")
        before = self.state()
        again = self.setup_ok()
        self.assertNotIn("made", again)
        self.assertNotIn("applied", again)
        self.assertIn("settings: found", again)
        self.assertEqual(self.state(), before)

    def test_twice_at_once(self):
        command = [self.stack.program("admin"), "setup"]
        both = [subprocess.Popen(command, env=self.stack.env, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True) for _ in range(4)]
        outs = [p.communicate(timeout=60) for p in both]
        self.assertEqual([(p.returncode, err) for p, (_, err) in zip(both, outs)], [(0, "")] * 4)
        text = "".join(out for out, _ in outs)
        self.assertEqual(text.count("schema: applied 001_init"), 1)
        self.assertEqual(text.count("added as version 1"), 1)
        self.assertEqual(text.count("settings: pinned"), 1)
        self.assertEqual(text.count(": made"), len(TOPICS))

    def test_the_price_catalogue_is_in_the_database(self):
        with open(os.path.join(ROOT, "deploy", "admin", "prices", "catalogue.csv"), encoding="utf-8") as f:
            lines = list(csv.DictReader(line for line in f if line.strip() and line[0] != "#"))
        self.assertIn(f"prices: {len({line['model'] for line in lines})} cards of the default catalogue"
                      " added as version 1\n", self.setup_ok())
        kept = self.stack.sql("SELECT model, tier, above_tokens, input_pusd, output_pusd FROM llm_price"
                              " ORDER BY 1, 2, 3").splitlines()
        self.assertEqual(sorted(kept), sorted(
            f"{line['model']}|{line['tier']}|{line['above_tokens'] or 0}|{pusd(line['input'])}"
            f"|{pusd(line['output'])}" for line in lines))

    def test_topics_of_another_setup_in_the_same_moment(self):
        # Two databases take two locks: the broker alone decides who makes a topic.
        other = self.stack.id + "b"
        self.stack.sql("CREATE DATABASE " + other, dsn=self.stack.admin_dsn)
        self.addCleanup(lambda: self.stack.sql(f"DROP DATABASE {other} WITH (FORCE)",
                                               dsn=self.stack.admin_dsn))
        dsns = [self.stack.dsn, self.stack.dsn + "b"] * 2
        procs = [subprocess.Popen([self.stack.program("admin"), "setup"], stdout=subprocess.PIPE,
                                  env={**self.stack.env, "POSTGRES_DSN": dsn}, text=True,
                                  stderr=subprocess.PIPE) for dsn in dsns]
        outs = [p.communicate(timeout=60) for p in procs]
        self.assertEqual([(p.returncode, err) for p, (_, err) in zip(procs, outs)], [(0, "")] * 4)
        self.assertEqual("".join(out for out, _ in outs).count(": made"), len(TOPICS))

    def test_pinned_numbers_are_kept(self):
        self.setup_ok(JOIN_TTL_MS="5000", MAX_SERIES_PER_TENANT="7")
        self.setup_refused("PARTITIONS", "4 was given", "3 is pinned", PARTITIONS="4")
        self.setup_refused("JOIN_TTL_MS", "6000", "5000", JOIN_TTL_MS="6000")
        self.setup_refused("JOIN_SKEW_MS", "1", "60000", JOIN_SKEW_MS="1")
        self.setup_refused("MAX_SERIES_PER_TENANT", "8", "7", MAX_SERIES_PER_TENANT="8")
        self.setup_refused("TOPIC_PREFIX", "'other.'", f"'{self.stack.prefix}'", TOPIC_PREFIX="other.")
        self.setup_refused("PARTITIONS", code=2, PARTITIONS="0")
        del self.stack.env["PARTITIONS"]
        self.assertIn("found PARTITIONS=3 JOIN_TTL_MS=5000", self.setup_ok())
        self.assertEqual(self.topics(), TOPICS)

    def test_existing_topics_decide_how_many_partitions(self):
        del self.stack.env["PARTITIONS"]
        for topic in ("llm.requests", "llm.responses"):
            self.topic_tool("create", self.stack.prefix + topic, "5",
                            "message.timestamp.type=LogAppendTime")
        out = self.setup_ok()
        self.assertIn(f"topic {self.stack.prefix}llm.requests: found", out)
        self.assertIn("PARTITIONS=5", out)
        self.assertEqual(self.topics()["llm.metrics"], 5)

    def test_topics_without_log_append_time_are_refused(self):
        topic = self.stack.prefix + "llm.requests"
        self.topic_tool("create", topic, "3")
        line = self.setup_refused(topic, "LogAppendTime")
        self.assertIn("kafka-configs", line)
        self.assertEqual(self.stack.sql("SELECT to_regclass('streamlens_position') IS NULL"), "t")
        self.topic_tool("set", topic, "message.timestamp.type=LogAppendTime")
        self.setup_ok()

    def test_topics_with_unequal_partitions_are_refused(self):
        for topic, n in (("llm.requests", "3"), ("llm.responses", "2")):
            self.topic_tool("create", self.stack.prefix + topic, n,
                            "message.timestamp.type=LogAppendTime")
        line = self.setup_refused(self.stack.prefix + "llm.responses", "2", "3")
        self.assertIn("delete both input topics", line)
        del self.stack.env["PARTITIONS"]
        self.setup_refused(self.stack.prefix + "llm.responses", "2", "3")
        self.topic_tool("grow", self.stack.prefix + "llm.responses", "3")
        self.setup_ok()

    def test_the_topic_that_was_grown_after_setup_is_the_one_that_is_named(self):
        self.setup_ok()
        self.topic_tool("grow", self.stack.prefix + "llm.requests", "4")
        for _ in range(2):
            self.setup_refused(f"topic {self.stack.prefix}llm.requests has 4 partitions, wanted are 3")
            self.stack.env.pop("PARTITIONS", None)

    def test_progress_must_have_one_partition(self):
        self.topic_tool("create", self.stack.prefix + "llm.metrics.progress", "2")
        self.setup_refused("llm.metrics.progress has 2 partitions; want 1")

    def topic_configs(self, topic):
        """cleanup.policy, message.timestamp.type and retention.ms as the broker has them."""
        out = subprocess.run([os.path.join(self.stack.build, "tests", "integration", "topic_tool"),
                              self.stack.brokers, "show", self.stack.prefix + topic], check=True,
                             timeout=30, capture_output=True, text=True).stdout
        found = dict(line.split("=", 1) for line in out.splitlines())
        return tuple(found[k] for k in ("cleanup.policy", "message.timestamp.type", "retention.ms"))

    def test_how_long_each_topic_keeps_what(self):
        self.setup_ok()
        days = 24 * 3600 * 1000
        for topic in ("llm.requests", "llm.responses"):
            self.assertEqual(self.topic_configs(topic), ("delete", "LogAppendTime", str(7 * days)))
        for topic in ("llm.metrics", "llm.dead_letter"):
            self.assertEqual(self.topic_configs(topic), ("delete", "CreateTime", str(30 * days)))
        self.assertEqual(self.topic_configs("llm.metrics.progress")[:2], ("compact", "CreateTime"))

    def test_topics_that_would_lose_what_they_are_for_are_refused(self):
        configs = {"llm.requests": ["message.timestamp.type=LogAppendTime"],
                   "llm.responses": ["message.timestamp.type=LogAppendTime"],
                   "llm.metrics.progress": ["cleanup.policy=compact"]}
        for topic, n in TOPICS.items():
            self.topic_tool("create", self.stack.prefix + topic, str(n), *configs.get(topic, []))
        self.setup_ok()
        for topic, wrong in (("llm.requests", "compact"), ("llm.metrics", "compact"),
                             ("llm.metrics", "compact,delete"), ("llm.metrics.progress", "delete"),
                             ("llm.metrics.progress", "compact,delete"), ("llm.dead_letter", "compact")):
            name, good = self.stack.prefix + topic, configs.get(topic, [])
            self.topic_tool("set", name, *[c for c in good if "policy" not in c], "cleanup.policy=" + wrong)
            wanted = "compact" if topic == "llm.metrics.progress" else "delete"
            line = self.setup_refused(f"topic {name} has cleanup.policy={wrong}; want {wanted}: ")
            # What it says mends it.
            self.assertIn(f"--entity-name {name} --add-config cleanup.policy={wanted}\n", line)
            self.topic_tool("set", name, *good, *(["cleanup.policy=delete"] if wanted == "delete" else []))
            self.setup_ok()
        name = self.stack.prefix + "llm.metrics"
        self.topic_tool("set", name, "message.timestamp.type=LogAppendTime")
        self.setup_refused(f"topic {name} has message.timestamp.type=LogAppendTime; want CreateTime")

    def test_another_retention_is_the_operators_affair(self):
        self.setup_ok()
        name = self.stack.prefix + "llm.metrics"
        self.topic_tool("set", name, "cleanup.policy=delete", "retention.ms=86400000")
        out = self.setup_ok()
        self.assertIn(f"topic {name}: found, with retention.ms=86400000 (setup makes it with 2592000000)\n",
                      out)
        self.assertIn(f"topic {self.stack.prefix}llm.dead_letter: found\n", out)
        self.assertIn(f"topic {self.stack.prefix}llm.metrics.progress: found\n", out)

    def test_the_originals_table_is_set_aside(self):
        self.stack.sql(ORIGINAL + "; CREATE TABLE llm_metrics_v0 (x int)")
        self.assertIn("renamed to llm_metrics_v0_1\n", self.setup_ok())
        self.assertEqual(self.stack.sql("SELECT tenant_id, requests FROM llm_metrics_v0_1"), "old|5")
        self.assertEqual(self.stack.sql("SELECT count(*) FROM llm_metrics"), "0")
        columns = self.stack.sql("SELECT attname FROM pg_attribute WHERE attrelid ="
                                 " 'llm_metrics'::regclass AND attnum > 0 ORDER BY attnum").split()
        self.assertEqual(columns[:len(ORIGINAL_COLUMNS)], ORIGINAL_COLUMNS)
        self.assertNotIn("renamed", self.setup_ok())

    def test_a_schema_that_is_too_new_is_refused(self):
        self.setup_ok()
        self.stack.sql("INSERT INTO streamlens_schema VALUES (98, 'later', 1)")
        self.assertIn("schema: found version 98", self.setup_ok())
        self.stack.sql("INSERT INTO streamlens_schema VALUES (99, 'later', 99)")
        self.setup_refused("version 99", "newer build")

    def apply(self, *names):
        """The schema as a build of the past has left it."""
        self.stack.sql("CREATE TABLE streamlens_schema (version integer PRIMARY KEY, name text NOT NULL,"
                       " oldest_writer integer NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())")
        for n, name in enumerate(names, 1):
            with open(os.path.join(ROOT, "sql", name + ".sql"), encoding="utf-8") as f:
                self.stack.sql(f.read())
            self.stack.sql(f"INSERT INTO streamlens_schema VALUES ({n}, '{name}', 2)")

    def connect_as_processor(self):
        env = {**os.environ, "PGAPPNAME": "streamlens-processor"}
        old = subprocess.Popen(["psql", "-X", "-q", "-d", self.stack.dsn], stdin=subprocess.PIPE, env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(old.communicate)
        old.stdin.write("SELECT 1;\n")
        old.stdin.flush()
        old.stdout.readline()
        self.assertEqual(self.stack.sql(PROCESSORS), "1")

    def test_a_database_of_version_3_goes_on(self):
        sql = self.stack.sql
        self.apply("001_init", "002_prices", "003_keys")
        sql("INSERT INTO streamlens_installation (partitions, topic_prefix)"
            f" VALUES (3, '{self.stack.prefix}');"
            "INSERT INTO streamlens_settings VALUES (1, 5000, 600, 7, 1);"
            "INSERT INTO streamlens_settings_from SELECT 1, p, 0, 0 FROM generate_series(0, 2) p;"
            "INSERT INTO streamlens_position (partition, request_next, request_time_ms)"
            " SELECT p, 17, 1000 FROM generate_series(0, 2) p;"
            "INSERT INTO llm_series (tenant_id, route, model) VALUES ('t', 'r', 'm');"
            "INSERT INTO llm_tenant VALUES ('t', 1);"
            "INSERT INTO llm_window VALUES ('2026-11-21 06:14+00')")
        positions = ("SELECT partition, epoch, token, flush_seq, request_next, request_time_ms, updated_at"
                     " FROM streamlens_position ORDER BY 1")
        before = sql(positions)
        out = self.setup_ok()
        self.assertIn("applied 004_epochs", out)
        self.assertNotIn("applied 003", out)
        self.assertIn("found PARTITIONS=3 JOIN_TTL_MS=5000", out)
        self.assertEqual(sql(positions), before)
        # All that was counted was counted in epoch 1, which holds from the beginning.
        self.assertEqual(sql("SELECT epoch, series_epoch FROM streamlens_settings"), "1|1")
        self.assertEqual(sql("SELECT count(*) FROM streamlens_settings_from WHERE from_ms IS NULL"), "3")
        self.assertEqual(sql("SELECT s.epoch, t.epoch FROM llm_series s JOIN llm_tenant t USING (tenant_id)"),
                         "1|1")
        self.assertEqual(sql("SELECT complete, closed_at IS NULL FROM llm_window"), "f|t")
        self.assertEqual(self.admin("settings", "set", "JOIN_TTL_MS=6000").returncode, 0)

    def test_what_a_database_of_version_4_has_counted_is_published(self):
        sql = self.stack.sql
        self.apply("001_init", "002_prices", "003_keys", "004_epochs")
        zero = [c for c in sql("SELECT attname FROM pg_attribute WHERE attrelid = 'llm_minute'::regclass AND"
                               " attnum > 0 AND attnotnull AND atttypid IN ('bigint'::regtype,"
                               " 'numeric'::regtype) AND attname NOT IN ('series_id', 'revision')").split()]
        sql("INSERT INTO streamlens_installation (partitions, topic_prefix)"
            f" VALUES (3, '{self.stack.prefix}');"
            "INSERT INTO streamlens_settings VALUES (1, 5000, 600, 7, 1, now(), 1);"
            "INSERT INTO streamlens_settings_from SELECT 1, p, 0, 0 FROM generate_series(0, 2) p;"
            "INSERT INTO streamlens_position (partition) SELECT generate_series(0, 2);"
            "INSERT INTO llm_series (tenant_id, route, model) VALUES ('t', 'r', 'm'), ('t', 'r', 'n');"
            "INSERT INTO llm_window (window_start) VALUES ('2026-11-20 23:59+00'), ('2026-11-21 00:00+00'),"
            " ('2026-11-21 00:01+00');"
            "UPDATE llm_window SET closed_at = now(), complete = true WHERE window_start < '2026-11-21 00:00+00';"
            "SELECT llm_make_partition('llm_minute', window_start) FROM llm_window;"
            "INSERT INTO llm_minute (series_id, window_start, revision, usage, error_classes,"
            f" finish_reasons, {', '.join(zero)}) SELECT series_id, window_start, 3, '{{}}', '{{}}', '{{}}',"
            f" {', '.join('0' for _ in zero)} FROM llm_series, llm_window WHERE model = 'm'"
            " OR window_start < '2026-11-21 00:00+00'")
        # A processor of that version is connected: what it makes from now on would not be published.
        self.connect_as_processor()
        self.assertIn("applied 005_publish", self.setup_ok())
        self.assertEqual(sql(PROCESSORS), "0")
        self.assertEqual(sql("SELECT count(*) FROM llm_minute m JOIN llm_publish p"
                             " USING (series_id, window_start) WHERE publish_seq = 0 AND NOT again"), "4")
        self.assertEqual(sql("SELECT count(*) FROM llm_publish"), "4")
        self.assertEqual(sql("SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = oid"
                             " WHERE inhparent = 'llm_publish'::regclass ORDER BY 1").split(),
                         ["llm_publish_20261120", "llm_publish_20261121"])
        self.assertEqual(sql("SELECT count(*) FROM llm_window WHERE changes > looked_changes"), "3")
        self.assertEqual(sql("SELECT count(*) FROM llm_metrics WHERE output_tokens_per_second IS NULL"
                             " AND generation_tokens = 0 AND generation_ms = 0"), "4")
        # Of those that come only what a flush touches.
        sql("INSERT INTO llm_window VALUES ('2026-11-21 00:02+00')")
        self.assertEqual(sql("SELECT count(*) FROM llm_window WHERE changes > looked_changes"), "3")
        self.assertEqual(sql("SELECT last_seq, batch_first_seq FROM streamlens_publisher"), "0|1")

    def test_a_processor_that_leaves_out_new_sums_is_ended(self):
        self.apply("001_init", "002_prices", "003_keys", "004_epochs", "005_publish", "006_limits", "007_hdr")
        self.connect_as_processor()
        self.assertIn("applied 008_generation", self.setup_ok())
        self.assertEqual(self.stack.sql(PROCESSORS), "0")

    def test_a_missing_position_row_is_not_made_up(self):
        self.setup_ok()
        self.stack.sql("DELETE FROM streamlens_position WHERE partition = 1")
        self.setup_refused("2 rows", "3 partitions")

    def test_what_cannot_be_reached_is_named(self):
        port = int(os.environ.get("SL_PORT_BASE", "21590"))
        self.setup_refused("KAFKA_BROKERS", f"127.0.0.1:{port}", KAFKA_BROKERS=f"127.0.0.1:{port}")
        for dsn in (f"postgresql://u:geheim@127.0.0.1:{port}/x", "postgresql://u:geheim@h:port/x",
                    "geheim", self.stack.dsn + "_missing"):
            line = self.setup_refused("POSTGRES_DSN", POSTGRES_DSN=dsn)
            self.assertNotIn("geheim", line)
        self.assertEqual(self.topics(), {})

    def test_usage(self):
        self.assertIn("setup", self.admin("--help").stdout)
        self.assertEqual(self.admin("setup", "--help").returncode, 0)
        self.assertRegex(self.admin("--version").stdout, r"^streamlens-admin \d+\.\d+\.\d+\n$")
        for args in (["settle"], [], ["setup", "now"], ["setup", "--no-such=1"]):
            r = self.admin(*args)
            self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (2, "", 1), args)
        r = self.admin("setup", "--print-config", POSTGRES_DSN="postgresql://u:geheim@h/x")
        self.assertEqual(r.returncode, 0)
        self.assertNotIn("geheim", r.stdout)


if __name__ == "__main__":
    unittest.main()
