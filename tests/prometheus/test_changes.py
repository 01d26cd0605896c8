# SPDX-License-Identifier: Apache-2.0
"""Rows that change under a metrics-api that has them in memory: late events, a tenant that is deleted, days that are
dropped. Soon after each its samples are those that the rows then give, of every metric."""
import random
import unittest

from compare import Question, ask
from expected_samples import DAY, MINUTE, as_points, cut, expected, read_rows, served
from filled import Filled
from psql_session import Session
from real_prometheus import Client
from stack import wait_for
from traffic import LATE, Traffic

SEED = 20261123


class Changes(unittest.TestCase):
    def test_samples_follow_the_rows(self):
        # What is in memory does not become too old meanwhile.
        with Filled(SEED, {"CACHE_MAX_AGE_MS": "3600000"}) as f, Session(f.stack.dsn) as sql:
            client = Client(f.api.port)
            self.addCleanup(client.close)
            self.follow(f, sql, client)
            hits = f.api.metric('streamlens_metrics_facts_cache_total{result="hit"}')
            first = self.follow(f, sql, client)
            self.assertGreater(f.api.metric('streamlens_metrics_facts_cache_total{result="hit"}'), hits)
            self.send_late(f)
            late = self.follow(f, sql, client)
            self.assertGreater(late, first + 1000)
            r = f.stack.admin("tenant", "delete", "globex", "--yes")
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertLess(self.follow(f, sql, client), late * 0.8)
            self.keep_from(f.midnight, sql)
            self.assertGreater(self.follow(f, sql, client), 10_000)
            # So long a range is read by the hour.
            self.keep_from(f.midnight - 60 * DAY, sql)
            self.follow(f, sql, client, 50 * DAY)

    def keep_from(self, at_ms, sql):
        sql(f"UPDATE streamlens_retention SET minutes_from = to_timestamp({at_ms // 1000});"
            " NOTIFY streamlens_flush, '*'")

    def send_late(self, f):
        """And the publisher says how far data goes then."""
        traffic = Traffic(random.Random(SEED), f.midnight // MINUTE, "late", LATE)
        f.stack.start("processor")
        before = f.stack.totals()
        f.post(traffic.events + traffic.open)
        answers = len(traffic.events) // 2
        f.stack.wait_totals(requests=before["requests"] + answers + len(traffic.open),
                            responses=before["responses"] + answers)
        f.stack.services["processor"].terminate()

    def follow(self, f, sql, client, long=0):
        """How many samples there are, once they are the rows'. long: in ms, the range if it is read by the hour."""
        through, minutes_from = (int(n) * 1000 for n in sql(
            "SELECT extract(epoch FROM closed_through)::bigint || ' ' || extract(epoch FROM minutes_from)::bigint"
            " FROM streamlens_publisher, streamlens_retention")[0].split())
        start, end = f.kept_from + 6 * MINUTE, f.midnight + DAY + 10 * MINUTE
        if long:
            start, minutes_from = end - long, end
        rows = served(read_rows(sql), read_rows(sql, "llm_hour"), minutes_from)
        wanted = {name: as_points(name, series) for name, series in
                  cut(expected(rows, through, start + 1), start).items()
                  if minutes_from <= start or not name.endswith("_bucket")}

        def different():
            for name, series in wanted.items():
                answer = ask(client, Question(f"{name}[{(end - start) // 1000}s]", end / 1000, end / 1000, None))
                if answer.status != 200 or answer.points != series:
                    return f"samples of {name} are others: {answer.text or list(answer.points.items())[:3]}"
            return None
        wait_for(lambda: different() is None or None, "samples of the rows", 15, 0.2)
        return sum(len(points) for series in wanted.values() for points in series.values())


if __name__ == "__main__":
    unittest.main()
