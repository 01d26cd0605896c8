#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""See README.md for what goes in and what comes out."""
import json
import math
import sys

from hdrh.histogram import HdrHistogram


def quantile(h, q):
    # The library rounds the rank to the nearest; this percentile's is the next whole one.
    return h.get_value_at_percentile(100 * math.ceil(q * h.total_count) / h.total_count) if h.total_count else 0


def read(text):
    h = HdrHistogram.decode(text)
    return json.dumps({"total": h.total_count, "p50": quantile(h, 0.5), "p90": quantile(h, 0.9),
                       "p95": quantile(h, 0.95), "p99": quantile(h, 0.99)})


def make(values):
    h = HdrHistogram(1, 3600000000, 2)
    for value in values:
        h.record_value(int(value))
    return h.encode().decode()


for line in sys.stdin:
    what, *words = line.split()
    print(read(words[0]) if what == "read" else make(words))
