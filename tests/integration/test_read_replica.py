# SPDX-License-Identifier: Apache-2.0
"""metrics-api that reads a standby: POSTGRES_READ_DSN. The primary is still where notifications and keys come from."""
import json
import os
import subprocess
import unittest

import fact_rows
from own_postgres import OwnPostgres
from stack import Stack, http_call, needed, wait_for

MINUTE = "date_trunc('minute', now()) - interval '{} min'"
MAX_AGE_S = 1.0


def of_port(dsn, port, other):
    return dsn.replace(f":{port}/", f":{other}/")


class ReadReplica(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        needed("SL_BUILD")
        tmp, base = needed("SL_TMP"), int(needed("SL_PORT_BASE"))
        cls.primary = OwnPostgres(os.path.join(tmp, "primary-pg"), base + 17)
        cls.primary.start()
        cls.addClassCleanup(cls.primary.stop)
        cls.stack = s = Stack(pg_dsn=cls.primary.dsn()).__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        fact_rows.partitions(s, ["now()", "now() - interval '1 hour'"])
        fact_rows.series(s, 1, "acme")
        cls.standby = cls.primary.standby(os.path.join(tmp, "standby-pg"), base + 18)
        cls.addClassCleanup(cls.standby.stop)
        cls.dsn = of_port(s.dsn, cls.primary.port, cls.standby.port)
        cls.env = {"POSTGRES_READ_DSN": cls.dsn, "CACHE_MAX_AGE_MS": str(int(MAX_AGE_S * 1000)),
                   "QUERY_TIMEOUT_MS": "1500"}
        cls.api = s.start("metrics-api", env=cls.env)
        wait_for(lambda: cls.api.metric("streamlens_pg_listen_connected") == 1, "the listener")

    def add_row(self, minutes_ago):
        fact_rows.rows(self.stack, "llm_minute", "VALUES (1)", f"VALUES ({MINUTE.format(minutes_ago)})", requests="7")
        self.stack.sql("SELECT pg_notify('streamlens_flush', (extract(epoch FROM now())::bigint / 60 - 9) || '-'"
                       " || extract(epoch FROM now())::bigint / 60)")

    def count(self):
        status, body = http_call(self.api.port, "GET", "/v1/metrics?tenant_id=acme")
        return json.loads(body)["count"] if status == 200 else status

    def on_standby(self, statement):
        return self.stack.sql(statement, dsn=self.dsn)

    def test_1_rows_come_from_the_standby(self):
        self.add_row(1)
        wait_for(lambda: self.count() == 1, "the row")
        self.assertEqual(self.on_standby("SELECT pg_is_in_recovery()"), "t")
        self.assertEqual(self.stack.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name ="
                                        " 'streamlens-metrics-api'"), "0")

    def test_2_a_standby_that_lags_leaves_no_old_answer_behind(self):
        before = self.count()
        self.on_standby("SELECT pg_wal_replay_pause()")
        self.addCleanup(self.on_standby, "SELECT pg_wal_replay_resume()")
        wait_for(lambda: self.on_standby("SELECT pg_get_wal_replay_pause_state()") == "paused", "a standby that waits")
        heard = self.api.metric("streamlens_pg_listen_notifications_total")
        self.add_row(2)
        wait_for(lambda: self.api.metric("streamlens_pg_listen_notifications_total") > heard, "the notification")
        self.assertEqual(self.count(), before)  # it is kept, and nothing will be heard when the standby has the row
        self.on_standby("SELECT pg_wal_replay_resume()")
        wait_for(lambda: self.count() == before + 1, "the new row", MAX_AGE_S + 1)

    def test_3_without_the_standby_there_is_503_and_answers_again_afterwards(self):
        before = self.count()
        self.standby.kill()
        wait_for(lambda: self.count() == 503, "503", 2 + MAX_AGE_S)
        self.standby.start_after_kill()
        wait_for(lambda: self.count() == before, "answers", 5)

    def test_4_its_password_is_no_part_of_what_is_printed(self):
        program = self.stack.program("metrics-api")
        out = subprocess.run([program, "--print-config"], env={**self.stack.env, **self.env}, check=True,
                             capture_output=True, text=True, timeout=20).stdout
        self.assertIn("POSTGRES_READ_DSN=postgres", out)
        self.assertNotIn(self.primary.password(), out)


if __name__ == "__main__":
    unittest.main()
