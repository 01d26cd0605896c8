# SPDX-License-Identifier: Apache-2.0
"""Asks two servers the same, and tells whether the answers are; and the differences that there are between Prometheus
2.42 and 3, which we follow, by name."""
import bisect
import collections
import math
import re

RELATIVE, ABSOLUTE = 1e-9, 1e-12  # rounding; the latter of values that are the difference of greater ones
LOOKBACK = 300
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
DURATION = r"(?:\d+(?:ms|[smhdw]))+"

# Of a text whose strings are empty: range and offset of each selector of our metrics.
SELECTED = re.compile(rf"(?:\b(?:llm|gen_ai)_\w+(?:\{{[^{{}}]*\}})?|\{{[^{{}}]*\}})(?:\[({DURATION})\])?"
                      rf"(?:\s*offset\s+(-?{DURATION}))?")

# start and end in seconds; of an instant step is None and end is start.
Question = collections.namedtuple("Question", "text start end step")


def seconds(duration):
    sign = -1 if duration.startswith("-") else 1
    return sign * sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdw])", duration))


def looks_back(text):
    """The least and the most seconds that a selector of it begins before the time it is asked for."""
    found = [(seconds(range_) if range_ else LOOKBACK) + seconds(offset) for range_, offset in
             SELECTED.findall(re.sub(r'"(\\.|[^"\\])*"', '""', text))] or [LOOKBACK]
    return min(found), max(found)


class Answer:
    """What came: the status and type of error, or of each series its points."""

    def __init__(self, status, body):
        self.status, self.error, self.order, self.points = status, body.get("errorType"), [], {}
        self.text, self.kind = body.get("error", ""), None
        if status != 200:
            return
        data = body["data"]
        self.kind = data["resultType"]
        if self.kind == "string":
            self.points = {(): {data["result"][0]: data["result"][1]}}
        elif self.kind == "scalar":
            self.add((), [data["result"]])
        else:
            for series in data["result"]:
                labels = tuple(sorted(series["metric"].items()))
                assert labels not in self.points, f"twice: {labels}"
                self.order.append(labels)
                self.add(labels, series["values"] if self.kind == "matrix" else [series["value"]])

    def add(self, labels, pairs):
        self.points[labels] = {round(t * 1000): float(v) for t, v in pairs}
        assert len(self.points[labels]) == len(pairs) and pairs, f"times: {pairs[:5]}"

    def count(self):
        return sum(map(len, self.points.values()))


def ask(client, question, **more):
    if question.step is None:
        status, body = client.ask("query", query=question.text, time=question.start, **more)
    else:
        status, body = client.ask("query_range", query=question.text, start=question.start, end=question.end,
                                  step=question.step, **more)
    return Answer(status, body)


def left_open(text):
    """What asks 2.42 for the samples in (t - r, t]: its ranges have t - r in them, and times are whole ms."""
    return re.sub(rf"\[({DURATION})\]", lambda m: f"[{round(1000 * seconds(m[1])) - 1}ms]", text)


def same(a, b, relative=RELATIVE):
    if isinstance(a, str) or isinstance(b, str) or a is None or b is None:
        return a == b
    return a == b or math.isnan(a) and math.isnan(b) or math.isclose(a, b, rel_tol=relative, abs_tol=ABSOLUTE)


def differing(ours, theirs, relative=RELATIVE):
    """[(labels, time, our value, theirs)] of what is not the same; the time is None where all is another."""
    if (ours.status == 200) != (theirs.status == 200) or ours.error != theirs.error:
        return [((), None, (ours.status, ours.error, ours.text), (theirs.status, theirs.error, theirs.text))]
    if ours.kind != theirs.kind:
        return [((), None, ours.kind, theirs.kind)]
    found = []
    for labels in ours.points.keys() | theirs.points.keys():
        mine, other = ours.points.get(labels, {}), theirs.points.get(labels, {})
        found += [(labels, t, mine.get(t), other.get(t)) for t in mine.keys() | other.keys()
                  if not same(mine.get(t), other.get(t), relative)]
    return found


# ---- what is known to differ ----

SELECTOR = r'([a-zA-Z_:][\w:]*)?(\{(?:[^"{}]|"(?:\\.|[^"\\])*")*\})?'
RATE = re.compile(rf"\b(rate|increase)\({SELECTOR}\[({DURATION})\](?:\s*offset\s+(-?{DURATION}))?\)")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:\\.|[^"\\])*)"')
MATCHES = {"=": lambda v, p: v == p, "!=": lambda v, p: v != p, "=~": lambda v, p: re.fullmatch(p, v),
           "!~": lambda v, p: not re.fullmatch(p, v)}


def unquoted(text):
    return re.sub(r"\\(.)", r"\1", text)


def matched(labels, matchers):
    return all(MATCHES[kind](labels.get(label, ""), unquoted(value)) for label, kind, value in matchers)


class Known:
    """The samples that both have, and what 2.42 makes of them otherwise than 3: each method but the first is such a
    difference, by its name."""

    def __init__(self, samples):
        self.series = [({"__name__": name, **labels}, [t for t, _ in points], [v for _, v in points])
                       for name, some in samples.items() for labels, points in some]
        self.selected, self.excused = {}, collections.Counter()

    def excuse(self, question, ours, theirs, found):
        """Of the differences those that have no name."""
        rest = []
        for difference in found:
            for name in ("start_of_rate", "ties", "spread_of_infinity"):
                if difference[1] is not None and getattr(self, name)(question, ours, theirs, difference):
                    self.excused[name] += 1
                    break
            else:
                rest.append(difference)
        return rest

    def ties(self, question, ours, theirs, difference):
        """topk and bottomk may choose any of those that are alike."""
        match = re.match(r"(topk|bottomk)\b", question.text)
        if not match:
            return False
        at = lambda answer: sorted((p[difference[1]] for p in answer.points.values() if difference[1] in p), key=str)
        mine, other = at(ours), at(theirs)
        return len(mine) == len(other) and all(map(same, mine, other))

    def spread_of_infinity(self, question, _ours, _theirs, difference):
        """Where a value is infinite, or NaN alone, 2.42 may say that it does not deviate."""
        mine = difference[2]
        return bool(re.search(r"\bstd(dev|var)\b", question.text)) and isinstance(mine, float) and math.isnan(mine)

    def start_of_rate(self, question, _ours, _theirs, difference):
        """Where a series begins inside of the range, 3 takes half of the usual distance between samples as the most it
        existed before, 2.42 up to 1.1 of it where the counter could have come from 0 in that."""
        for _, name, inside, range_, offset in RATE.findall(question.text):
            end = difference[1] - round(1000 * seconds(offset or "0s"))
            start = end - round(1000 * seconds(range_))
            for _, times, values in self.select(name, inside):
                if starts_otherwise(start, times, values, *(bisect.bisect_right(times, t) for t in (start, end))):
                    return True
        return False

    def select(self, name, inside):
        """The series of a selector."""
        if (name, inside) not in self.selected:
            matchers = [("__name__", "=", name)] * bool(name) + MATCHER.findall(inside or "")
            self.selected[name, inside] = [one for one in self.series if matched(one[0], matchers)]
        return self.selected[name, inside]


def starts_otherwise(start, times, values, first, last):
    """Whether samples first to last - 1 are extrapolated differently."""
    if last - first < 2:
        return False
    sampled = times[last - 1] - times[first]
    grown = sum(b - a if b >= a else b for a, b in zip(values[first:last], values[first + 1:last]))
    before, between = times[first] - start, sampled / (last - first - 1)
    if grown <= 0 or before < between * 1.1:
        return False
    to_zero = sampled * values[first] / grown
    return between / 2 < to_zero < between * 1.1
