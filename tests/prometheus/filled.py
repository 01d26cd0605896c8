# SPDX-License-Identifier: Apache-2.0
"""A whole StreamLens that has counted the traffic (traffic.py) and counts no more, and the rows it left."""
import random
import time

from expected_samples import DAY, MINUTE, expected, read_rows, served
from psql_session import Session
from stack import Stack
from traffic import THROUGH, Traffic

BATCH = 2000


class Filled:
    """To be entered. midnight, through and kept_from are ms since 1970; data ends at through, and retention has dropped
    minutes before kept_from."""

    def __init__(self, seed, api_env=None):
        self.midnight = int(time.time() * 1000) // DAY * DAY - DAY
        self.through = self.midnight + THROUGH * MINUTE
        self.kept_from = self.midnight - DAY
        self.api_env = api_env
        self.traffic = Traffic(random.Random(seed), self.midnight // MINUTE)
        self.stack = Stack(env={"JOIN_TTL_MS": "1000", "JOIN_SKEW_MS": "500"})

    def __enter__(self):
        self.stack.__enter__()
        try:
            self.count()
            self.end_data()
            with Session(self.stack.dsn) as sql:
                self.rows, self.hours = read_rows(sql), read_rows(sql, "llm_hour")
            self.api = self.stack.start("metrics-api", env=self.api_env)
        except BaseException:
            self.stack.__exit__()
            raise
        return self

    def expected(self, looked_from, through=None):
        return expected(served(self.rows, self.hours, self.kept_from), through or self.through, looked_from)

    def __exit__(self, *_):
        self.stack.__exit__()

    def count(self):
        """Half of what has no answer is given up on, the rest is in flight."""
        traffic = self.traffic
        for name in ("ingest-api", "processor"):
            self.stack.start(name)
        given_up, in_flight = traffic.open[::2], traffic.open[1::2]
        self.post(traffic.events + given_up)
        answered = len(traffic.events) // 2
        self.stack.wait_totals(90, requests=answered + len(given_up), responses=answered, unanswered=len(given_up))
        self.post(in_flight)
        self.stack.wait_totals(requests=answered + len(traffic.open))
        self.stack.services["processor"].terminate()

    def post(self, events):
        for at in range(0, len(events), BATCH):
            self.stack.post_batch(events[at:at + BATCH])

    def end_data(self):
        self.stack.sql(f"UPDATE streamlens_publisher SET closed_through = to_timestamp({self.through // 1000});"
                       f" UPDATE streamlens_retention SET minutes_from = to_timestamp({self.kept_from // 1000})")
