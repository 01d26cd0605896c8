# SPDX-License-Identifier: Apache-2.0
"""What a percentile is, by the durations themselves; and by how much an answer is off."""
import collections
import math
import re

from compare import DURATION, MATCHER, matched, seconds
from expected_samples import FIRST, MINUTE, labels_of

QUANTILE = re.compile(r'histogram_quantile\(([\d.]+), sum(?: by \(([\w, ]*)\))? ?\((rate|increase)\((\w+)_bucket'
                      rf'(\{{(?:[^"{{}}]|"(?:\\.|[^"\\])*")*\}})?\[({DURATION})\]\)\)\)')


class Percentiles:
    """through: the last stamp that is served, in ms."""

    def __init__(self, traffic, through):
        self.traffic, self.through = traffic, through
        self.read = {}

    def windows(self, first, matchers, by):
        """{group: {stamp: values}}"""
        key = (first, str(matchers), by)
        if key not in self.read:
            groups = collections.defaultdict(lambda: collections.defaultdict(list))
            for names, minutes in (self.traffic.firsts if first else self.traffic.durations).items():
                labels = labels_of(names)
                if matched(labels, matchers):
                    group = tuple(sorted((n, labels[n]) for n in by))
                    for minute, values in minutes.items():
                        groups[group][(minute + 1) * MINUTE] += values
            self.read[key] = groups
        return self.read[key]

    def truth(self, text, t):
        """{group: seconds} at an instant in ms, of the expression histogram_quantile(φ, sum(rate(…)))."""
        phi, by, _, name, inside, range_ = QUANTILE.fullmatch(text).groups()
        by = tuple(n.strip() for n in (by or "").split(",") if n.strip() not in ("", "le"))
        start, found = t - round(1000 * seconds(range_)), {}
        for group, stamps in self.windows(name == FIRST, MATCHER.findall(inside or ""), by).items():
            values = sorted(v for at in range(start // MINUTE * MINUTE + MINUTE, min(t, self.through) + 1, MINUTE)
                            for v in stamps.get(at, ()))
            if values:
                found[group] = values[max(math.ceil(float(phi) * len(values)), 1) - 1] / 1e6
        return found


class Errors:
    """Of estimates, relative to the truth."""

    def __init__(self):
        self.all = []

    def add(self, got, truth):
        self.all.append(abs(got - truth) / truth)

    def mean(self):
        return sum(self.all) / len(self.all)

    def __str__(self):
        return (f"{len(self.all)} percentiles, mean error {100 * self.mean():.3f} %,"
                f" greatest {100 * max(self.all):.2f} %")
