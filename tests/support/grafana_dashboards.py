# SPDX-License-Identifier: Apache-2.0
"""The dashboards of deploy/grafana, read as Grafana reads them: which queries a panel sends for a range, with variables
put in; written apart from what makes them. Standard library only.

    for name, panel, target in queries("prometheus"):
        asked = Asked(start=…, end=…, values={"tenant_id": ALL, "model": "gpt-4o"})
        expr, start, end, step = asked.promql(panel, target)
"""
import glob
import json
import math
import os
import re

ROOT = os.environ.get("SL_ROOT") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FOLDER = os.path.join(ROOT, "deploy", "grafana", "dashboards")
ALL = "$__all"  # the value that Grafana keeps for "All"
POINTS = 800    # of a panel that does not say how many: about its width on a screen
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# What Grafana steps by, in seconds, and up to which step that is taken for it: about half-way to the next.
NICE = ((1, 1.5), (2, 3.5), (5, 7.5), (10, 12.5), (15, 17.5), (20, 25), (30, 45), (60, 90), (120, 210), (300, 450),
        (600, 750), (900, 1050), (1200, 1500), (1800, 2700), (3600, 5400), (7200, 9000), (10800, 16200), (21600, 32400),
        (43200, 86400), (86400, 604800), (604800, math.inf))


def dashboards():
    """{name of the file: dashboard}"""
    found = {}
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.json"))):
        with open(path, encoding="utf-8") as f:
            found[os.path.basename(path).removesuffix(".json")] = json.load(f)
    return found


def panels(dashboard):
    """Those that show something: headings of rows are panels as well."""
    return [p for p in dashboard["panels"] if p["type"] != "row"]


def queries(kind=None):
    """(name of the dashboard, panel, target) of all, or of those of a kind of data source."""
    return [(name, panel, target) for name, dashboard in dashboards().items() for panel in panels(dashboard)
            for target in panel["targets"] if kind in (None, target["datasource"]["type"])]


def source_uid(dashboard):
    """Of the data source that is chosen to begin with."""
    return dashboard["templating"]["list"][0]["current"]["value"]


def seconds(duration):
    return int(duration[:-1]) * UNITS[duration[-1]]


def special_escaped(value):
    """A value within =~"…": for the regular expression, and once more for the string that it stands in."""
    return plain_escaped(re.sub(r"([+*?.()|\[\]{}^$\\])", r"\\\1", value))


def plain_escaped(value):
    return value.replace("\\", "\\\\").replace('"', '\\"')


class Asked:
    """A range in seconds since 1970, the values of variables (one, several as a list, or ALL), and the data source's
    own interval (timeInterval)."""

    def __init__(self, start, end, values, every="60s"):
        self.start, self.end, self.values, self.every_s = start, end, values, seconds(every)

    def step(self, panel):
        wanted = (self.end - self.start) / panel.get("maxDataPoints", POINTS)
        nice = next(step for step, most in NICE if wanted <= most)
        return max(nice, seconds(panel.get("interval", "1s")), self.every_s)

    def promql(self, panel, target):
        """(expression, start, end, step); of an instant start is end, and step None."""
        step = self.step(panel)
        text = self.put_in(target["expr"], {
            "__interval": f"{step}s", "__rate_interval": f"{max(step + self.every_s, 4 * self.every_s)}s",
            "__range": f"{round(self.end - self.start)}s", "__range_s": str(round(self.end - self.start))})
        if target["instant"]:
            return text, self.end, self.end, None
        return text, self.start // step * step, self.end // step * step, step

    def put_in(self, text, of_grafana=None):
        def value(match):
            name = match[1] or match[2]
            return of_grafana[name] if of_grafana and name in of_grafana else self.matcher_value(name)
        return re.sub(r"\$\{(\w+)\}|\$(\w+)", value, text)

    def matcher_value(self, name):
        value = self.values[name]
        if value == ALL:
            return ".*"  # the variable's allValue
        if isinstance(value, list):
            escaped = [special_escaped(v) for v in value]
            return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
        return plain_escaped(value)

    def sql(self, statement):
        """Of a multi-value variable Grafana puts in quoted literals."""
        def literal(text):
            return "'" + text.replace("'", "''") + "'"
        start, end = (f"to_timestamp({t})" for t in (self.start, self.end))
        text = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN {start} AND {end}", statement)
        text = text.replace("$__timeTo()", end)
        return re.sub(r"\$(\w+)", lambda m: ",".join(map(literal, self.values[m[1]])), text)


def label_values(variable):
    """(selector, label) of a variable of Prometheus' kind."""
    return re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
