# SPDX-License-Identifier: Apache-2.0
"""What queries of /api/v1 read while rows change, the service ends, or many wait for the same."""
import os
import socket
import threading
import unittest
import urllib.parse

from psql_session import Session
from stack import wait_for
from test_prometheus_api import MINUTE, WithApi

READING = "streamlens_metrics_loads_reading"
WAITING = "streamlens_metrics_loads_waiting"
# Facts are read with what is lost, names without.
FACTS_WAIT = "LOCK TABLE streamlens_gap"
HEARD = "streamlens_pg_listen_notifications_total"
LISTENS = "streamlens_pg_listen_connected"
ANEW, UNSURE = "streamlens_metrics_loads_begun_anew_total", "streamlens_metrics_loads_unsure_total"
STEP_S = 20 if "ASAN_OPTIONS" in os.environ else 5  # each has 2 s


class Between(WithApi):
    """A series begins, and its first window closes, after names were read and before facts are."""

    def ask(self, query, meanwhile, heard=1, **params):
        """What is answered if `meanwhile` is run, and its notifications are heard, before facts are read. `heard`
        None: the listener is lost first, and finds no way back."""
        found = []
        with Session(self.stack.dsn) as sql, Session(self.stack.dsn) as locks:
            locks("BEGIN; " + FACTS_WAIT)
            asking = threading.Thread(target=lambda: found.append(self.api.value(query, **params)))
            asking.start()
            wait_for(lambda: sql("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'streamlens_gap'::regclass"),
                     "facts to be asked for")
            before = self.api.service.metric(HEARD)
            if heard is None:
                self.lose_listener(sql)
            sql(meanwhile)
            # A busy machine may be late with them; the rows are there at once.
            wait_for(lambda: heard is None or self.api.service.metric(HEARD) == before + heard, "notifications")
            locks("COMMIT")
            asking.join(30)
        return found[0]

    def connections(self, allowed):
        self.stack.sql(f"ALTER DATABASE {self.stack.id} ALLOW_CONNECTIONS {allowed}", self.stack.admin_dsn)

    def listens_again(self):
        self.connections("true")
        wait_for(lambda: self.api.service.metric(LISTENS) == 1, "the listener to be back")

    def lose_listener(self, sql):
        self.addCleanup(self.listens_again)
        self.connections("false")
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'streamlens-metrics-api listener'")
        wait_for(lambda: self.api.service.metric(LISTENS) == 0, "the listener to be lost")

    def sum_when(self, series, at, row_at, told, heard):
        self.db.series(series, series, tenant=f"t{series}")
        self.db.series(series + 1, series + 1, tenant=f"t{series}")
        self.db.minutes(series, series, begin=at, end=at + MINUTE, requests="3")
        self.db.minutes(series, series, begin=at - MINUTE, end=at, requests="40")
        self.db.close(at)
        self.addCleanup(self.db.close, self.db.now)
        self.stack.sql("CREATE TABLE IF NOT EXISTS one AS SELECT * FROM llm_minute LIMIT 1")
        return self.ask(f'sum(sum_over_time(llm_minute_requests{{tenant_id="t{series}"}}[5m]))',
                        "BEGIN; INSERT INTO llm_minute SELECT (jsonb_populate_record(one, jsonb_build_object("
                        f"'series_id', {series + 1}, 'window_start', to_timestamp({row_at}), 'requests', 4))).*"
                        " FROM one;"
                        f" UPDATE streamlens_publisher SET closed_through = to_timestamp({at + MINUTE});"
                        f" {told}; COMMIT", heard, time=at + MINUTE)

    def test_no_window_shows_without_all_its_series(self):
        self.assertEqual(self.sum_when(100, self.db.now, self.db.now, "SELECT 1", 0), 40)

    def test_what_was_told_meanwhile_is_read_again(self):
        late = self.db.now - MINUTE
        told = f"NOTIFY streamlens_flush, '{late // MINUTE}-{late // MINUTE}'"
        self.assertEqual(self.sum_when(200, self.db.now, late, told, 1), 47)

    def test_what_could_not_be_heard_is_read_again(self):
        before = [self.api.service.metric(name) for name in (ANEW, UNSURE)]
        self.assertEqual(self.sum_when(300, self.db.now, self.db.now - MINUTE, "SELECT 1", None), 47)
        # Once more, and now from its beginning nothing was heard.
        self.assertEqual([self.api.service.metric(name) for name in (ANEW, UNSURE)], [n + 1 for n in before])

    def test_blocks_from_memory_are_as_new_as_those_that_are_read(self):
        """Half an hour is kept, and then requests are moved from there to what is yet to be read."""
        begin = self.db.now - 60 * MINUTE
        self.assertEqual(self.api.value('sum(sum_over_time(llm_minute_requests{model="m1"}[30m]))',
                                        time=begin + 30 * MINUTE), 30)
        here, there = begin + 5 * MINUTE, begin + 45 * MINUTE
        told = " ".join(f"{at // MINUTE}-{at // MINUTE}" for at in (here, there))
        self.assertEqual(self.ask('sum(sum_over_time(llm_minute_requests{model="m1"}[60m]))',
                                  "BEGIN; UPDATE llm_minute SET requests = requests +"
                                  f" CASE WHEN window_start = to_timestamp({here}) THEN 1000 ELSE -1000 END"
                                  f" WHERE series_id = 1 AND window_start"
                                  f" IN (to_timestamp({here}), to_timestamp({there}));"
                                  f" NOTIFY streamlens_flush, '{told}'; COMMIT", time=self.db.now), 60)


class Many(WithApi):
    env = {"QUERY_TIMEOUT_MS": "30000", "PG_POOL_SIZE": "8", "HTTP_DRAIN_TIMEOUT_MS": "1000"}

    @classmethod
    def fill(cls):
        cls.db.series(1, 200)
        cls.db.minutes(1, 200)

    def ask_all(self, n, query):
        path = "/api/v1/query_range?" + urllib.parse.urlencode(
            {"query": query, "start": self.db.begin + 1800, "end": self.db.now, "step": STEP_S})
        asking = []
        for _ in range(n):
            asking.append(socket.create_connection(("127.0.0.1", self.api.service.port)))
            asking[-1].sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return asking

    def test_1_others_are_answered_between_many_that_wait_for_the_same(self):
        self.db.told(self.db.begin, self.db.now)
        with self.stack.holding("LOCK TABLE llm_series"):
            asking = self.ask_all(60, "sum(rate(llm_requests_total[30m]))")
            wait_for(lambda: self.api.service.metric(WAITING) == 59, "all but one to wait")
        seen = [59]
        while seen[-1] > 0:
            seen.append(self.api.service.metric(WAITING))
        for s in asking:
            with s, s.makefile("rb") as f:
                self.assertIn(b"200 OK", f.readline())
        print(f"{len(seen)} answers meanwhile, of {len(set(seen))} moments")
        self.assertGreaterEqual(len(set(seen)), 4)  # two, if all went on in one turn: however busy the machine is

    def test_2_all_that_wait_end_with_the_service(self):
        self.db.told(self.db.begin, self.db.now)
        with self.stack.holding("LOCK TABLE llm_series"):
            asking = self.ask_all(20, "sum(llm_requests_total)")
            wait_for(lambda: self.api.service.metric(WAITING) == 19, "all but one to wait")
            self.assertEqual(self.api.service.terminate(), 0)  # it waits for them, but not for long
            for s in asking:
                with s, s.makefile("rb") as f:
                    self.assertIn(f.readline().partition(b" ")[2][:3], (b"503", b""))
        self.assertNotIn("ERROR: ", self.api.service.log())  # of sanitizers


if __name__ == "__main__":
    unittest.main()
