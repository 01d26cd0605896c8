# SPDX-License-Identifier: Apache-2.0
"""What cannot work is refused at start: one clear line that names what is wrong, and a non-zero exit."""
import subprocess
import unittest

from stack import Stack

SERVICES = ("ingest-api", "processor", "metrics-api")


class Refusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Stack(partitions=3)
        cls.s.__enter__()
        cls.addClassCleanup(cls.s.__exit__)

    def refused(self, name, *words, env=None, args=()):
        """Runs the program, expects it to end by itself, non-zero, with one last line of these words."""
        r = subprocess.run([self.s.program(name), *args], env={**self.s.env, **(env or {})}, timeout=40,
                           capture_output=True, text=True, check=False)
        self.assertNotEqual(r.returncode, 0, r.stderr)
        self.assertGreater(r.returncode, 0, f"{name} died of a signal: {r.stderr}")
        last = r.stderr.strip().splitlines()[-1]
        for word in words:
            self.assertIn(word, last)
        return r.stderr

    def test_a_wrong_partition_count_names_both_numbers(self):
        for name in ("ingest-api", "processor"):
            self.refused(name, "PARTITIONS", "5", "3", env={"PARTITIONS": "5"})
        self.refused("admin", "5", "3", env={"PARTITIONS": "5"}, args=("setup",))

    def test_topics_with_unequal_counts_name_both_numbers(self):
        with Stack(partitions=3) as other:
            subprocess.run(["kcat", "-L", "-b", other.brokers], check=True, capture_output=True, timeout=30)
            self.alter_partitions(other, "llm.responses", 4)
            for name in ("ingest-api", "processor"):
                r = subprocess.run([other.program(name)], env=other.env, timeout=40, capture_output=True,
                                   text=True, check=False)
                self.assertGreater(r.returncode, 0, r.stderr)
                last = r.stderr.strip().splitlines()[-1]
                for word in (other.prefix + "llm.responses", "4", "3"):
                    self.assertIn(word, last)

    def alter_partitions(self, stack, topic, count):
        tool = f"{stack.build}/tests/integration/topic_tool"
        subprocess.run([tool, stack.brokers, "grow", stack.prefix + topic, str(count)], check=True,
                       timeout=30, capture_output=True)

    def test_a_missing_topic_is_named_with_the_command_that_makes_it(self):
        for name in ("ingest-api", "processor"):
            self.refused(name, "llm.requests", "streamlens-admin setup",
                         env={"TOPIC_PREFIX": "nothing-here."})

    def test_a_setting_that_differs_from_the_pinned_one(self):
        self.refused("processor", "JOIN_TTL_MS", "1234", "300000", "streamlens-admin settings set",
                     env={"JOIN_TTL_MS": "1234"})

    def test_a_missing_schema_names_the_command_that_makes_it(self):
        empty = self.s.id + "_empty"
        self.s.sql("CREATE DATABASE " + empty, dsn=self.s.admin_dsn)
        dsn = self.s.admin_dsn.rsplit("/", 1)[0] + "/" + empty
        try:
            for name in ("processor", "metrics-api"):
                self.refused(name, "streamlens-admin setup", env={"POSTGRES_DSN": dsn})
        finally:
            self.s.sql("DROP DATABASE " + empty, dsn=self.s.admin_dsn)

    def test_an_old_schema_names_both_versions(self):
        version = self.s.sql("SELECT max(version) FROM streamlens_schema")
        self.s.sql(f"CREATE TABLE newest AS SELECT * FROM streamlens_schema WHERE version = {version};"
                   f"DELETE FROM streamlens_schema WHERE version = {version}")
        try:
            for name in ("processor", "metrics-api"):
                self.refused(name, version, str(int(version) - 1), "streamlens-admin setup")
        finally:
            self.s.sql("INSERT INTO streamlens_schema SELECT * FROM newest; DROP TABLE newest")

    def test_a_bad_dsn(self):
        for name in ("processor", "metrics-api"):
            self.refused(name, "POSTGRES_DSN", env={"POSTGRES_DSN": "postgres://[half/x"})
        self.refused("admin", "POSTGRES_DSN", env={"POSTGRES_DSN": "postgres://[half/x"}, args=("setup",))

    def test_bad_settings_name_the_setting_and_what_is_wanted(self):
        for name in SERVICES:
            self.refused(name, "HTTP_PORT", "65535", env={"HTTP_PORT": "70000"})
            self.refused(name, "HTTP_PORT", env={"HTTP_PORT": "eighty"})
            self.refused(name, "LOG_FORMAT", "json", env={"LOG_FORMAT": "xml"})
            self.refused(name, "--no-such-flag", args=("--no-such-flag",))
        self.refused("processor", "FLUSH_INTERVAL_MS", env={"FLUSH_INTERVAL_MS": "0"})
        self.refused("ingest-api", "no.such.property", env={"KAFKA_CONF_no_such_property": "1"})

    def test_a_taken_port_is_named(self):
        with Stack() as s:
            taken = str(s.start("ingest-api").port)
            for name in SERVICES:
                self.refused(name, "HTTP_PORT", taken, env={"HTTP_PORT": taken})


if __name__ == "__main__":
    unittest.main()
