# SPDX-License-Identifier: Apache-2.0
"""Each query of the shipped dashboards that goes to metrics-api, sent by Grafana's own code: it is answered, and
intervals, ranges and steps are put in as tests/support/grafana_dashboards.py does it, by which other tests ask."""
import re
import unittest

import test_promlib
from grafana_dashboards import ALL, POINTS, Asked, dashboards, queries, seconds, source_uid
from test_promlib import HOUR, NOW

# Variables that Grafana's frontend puts in, or leaves to its backend.
OF_BACKEND = ("__interval", "__interval_ms", "__range", "__range_s", "__range_ms", "__rate_interval")
RANGES = (900, 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400)


def in_seconds(text):
    """The same expression with all durations in seconds: 4m0s and 240s are the same."""
    def add(match):
        return "[" + str(sum(seconds(part) for part in re.findall(r"\d+[smhd]", match[1]))) + "s]"
    return re.sub(r"\[((?:\d+[smhd])+)\]", add, text)


class Dashboards(test_promlib.Case):
    @classmethod
    def setUpClass(cls):
        cls.make_stack()
        cls.source = cls.grafana()
        boards = dashboards()
        cls.queries = [(name, panel, target) for name, panel, target in queries("prometheus")
                       if source_uid(boards[name]) == "llm-metrics"]
        cls.names = {v["name"] for d in boards.values() for v in d["templating"]["list"]}

    def executed(self, asked, panel, target):
        """(expression, step in seconds) that Grafana sent."""
        sent = {**target, "expr": asked.put_in(target["expr"], {name: f"${name}" for name in OF_BACKEND})}
        error, _, frames = self.source.queries(asked.start, asked.end, sent, points=panel.get("maxDataPoints", POINTS),
                                               interval_ms=1000 * asked.step(panel))[target["refId"]]
        self.assertIsNone(error, (panel["title"], sent["expr"], error))
        expr, step = re.fullmatch(r"Expr: (.*)\nStep: (\S+)", frames[0].meta["executedQueryString"], re.S).groups()
        return expr, sum(seconds(part) for part in re.findall(r"\d+[smh]", step))

    def test_each_is_answered_and_asks_as_we_think(self):
        self.assertGreater(len(self.queries), 40)
        for values in (ALL, ["acme", "a.b|c\\\"d"]):
            for length in RANGES:
                asked = Asked(NOW - length + 7, NOW, dict.fromkeys(self.names, values))
                for name, panel, target in self.queries:
                    expr, step = self.executed(asked, panel, target)
                    wanted, _, _, wanted_step = asked.promql(panel, target)
                    what = (name, panel["title"], length)
                    self.assertEqual(in_seconds(expr), in_seconds(wanted), what)
                    self.assertIn(wanted_step, (None, step), what)

    def test_panels_of_the_hour_have_something_to_show(self):
        asked, shown = Asked(HOUR, NOW, dict.fromkeys(self.names, ALL)), 0
        for _, panel, target in self.queries:
            expr = asked.promql(panel, target)[0]
            how = {"instant": True} if target["instant"] else {"range": True}
            shown += bool(self.source.query(HOUR, NOW, expr, **how))
        self.assertGreater(shown, len(self.queries) // 3)


if __name__ == "__main__":
    unittest.main()
