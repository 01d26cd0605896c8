# SPDX-License-Identifier: Apache-2.0
"""A price is taken back under a running processor: rows of its minutes and rows that were written keep it, the next
ones are unpriced; and prices that nobody can use stop no counting."""
import time
import unittest

from stack import Stack, iso, wait_for

MINUTE = 60


class Withdrawn(unittest.TestCase):
    def test_from_its_minute_on_new_rows_are_unpriced(self):
        with Stack() as s:
            s.start_all()
            minute = int(time.time()) // MINUTE * MINUTE
            self.pair(s, "a", "/old", minute)
            self.wait_rows(s, {"/old": (1, 0.0075, 0, 1)})
            self.set_price(s, "unit=none", "effective_from=" + iso(minute), "--now")
            self.pair(s, "b", "/old", minute)
            self.pair(s, "c", "/last", minute - 1)
            self.pair(s, "d", "/first", minute)
            rows = {"/old": (2, 0.015, 0, 1), "/last": (1, 0.0075, 0, 2), "/first": (1, 0, 1, 2)}
            self.wait_rows(s, rows)
            self.set_price(s, "unit=USD/Mtok", "input=1", "output=2", "effective_from=" + iso(minute), "--now")
            self.pair(s, "e", "/again", minute)
            self.wait_rows(s, {**rows, "/again": (1, 0.002, 0, 3)})

            # One transaction: a processor may flush, and look for a newer version, at any time.
            s.sql("INSERT INTO llm_price_version (version, origin) VALUES (4, 'set');"
                  " INSERT INTO llm_price SELECT (json_populate_record(p, '{\"version\": 4, \"withdrawn\": true}')).*"
                  " FROM llm_price p WHERE version = 3")
            self.pair(s, "f", "/broken", minute)
            self.wait_rows(s, {**rows, "/again": (1, 0.002, 0, 3), "/broken": (1, 0.002, 0, 3)})
            processor = s.services["processor"]
            wait_for(lambda: processor.metric("streamlens_processor_refused_catalogues_total") == 1,
                     "the count of what cannot be used")
            self.assertEqual(processor.metric("streamlens_processor_price_version"), 3)
            self.assertEqual(processor.metric("streamlens_processor_unpriced_requests_total"), 1)
            self.assertIn("the prices cannot be used", processor.log())

    def pair(self, s, name, route, at):
        s.request(name, at, route=route, model="gpt-4o", prompt_tokens=1000)
        s.response(name, at, completion_tokens=500)

    def set_price(self, s, *words):
        r = s.admin("price", "set", "gpt-4o", *words)
        self.assertEqual((r.returncode, r.stderr), (0, ""))

    def wait_rows(self, s, want):
        """By route: responses, cost, unpriced requests, the version of the prices."""
        def look():
            found = s.rows()
            got = {r["route"]: (r["responses"], r["estimated_cost_usd"], r["unpriced_requests"], r["price_version"])
                   for r in found}
            return len(found) == len(want) and got == want
        try:
            wait_for(look, f"rows {want}")
        except AssertionError as e:
            raise AssertionError(f"{e}; they are {s.rows()}") from None


if __name__ == "__main__":
    unittest.main()
