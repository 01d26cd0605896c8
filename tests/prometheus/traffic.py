# SPDX-License-Identifier: Apache-2.0
"""Two days of events around a midnight, in series of every rhythm, and what is known of their durations."""
import collections
import math

DAY = 1440  # minutes
CHAT, EMBED, BATCH = "/chat", "/embed", "/batch"
GPT, CLAUDE, OWN = "gpt-4o", "claude-sonnet-4-5", "in-house-7b"
GAPS = (2, 6, 90, 1, 5, 7, 3, 4, 30)
THROUGH = 700  # minutes behind midnight: windows that end later are not closed

Series = collections.namedtuple("Series", "tenant route model minutes requests")


def with_gaps(start, end):
    at, n, found = start, 0, []
    while at < end:
        found.append(at)
        at += 1 + GAPS[n % len(GAPS)]
        n += 1
    return found


# Minutes are relative to the midnight; requests: at least and at most in each.
SERIES = [
    Series("acme", CHAT, GPT, range(-400, 420), (1, 6)),
    Series("acme", CHAT, CLAUDE, range(-200, 180), (1, 3)),
    Series("acme", EMBED, OWN, range(-45, 60), (2, 2)),  # the same count each minute over midnight
    Series("acme", BATCH, GPT, with_gaps(-1300, 1000), (1, 3)),
    Series("acme", "/edge", GPT, [THROUGH + n for n in (-9, -3, -1, 0, 1, 4)], (1, 2)),  # where data ends
    Series("globex", CHAT, GPT, range(-100, 300), (1, 4)),
    Series("globex", CHAT, CLAUDE, range(-1440, 1430, 11), (1, 3)),
    Series("globex", "/new", CLAUDE, range(-2, 90), (1, 3)),  # is born at 23:58
    Series("globex", BATCH, OWN, with_gaps(-333, 444), (1, 2)),
    Series("initech", CHAT, GPT, range(-30, 30), (1, 1)),
    Series("initech", "/once", GPT, [-1, 200], (3, 3)),
    Series("initech", "/midnight", GPT, [0, 201, 203], (2, 2)),
    Series("initech", "/gap", CLAUDE, [-20, -10, -6, 1, 8, 13, 130], (1, 2)),
    Series("initech", "/zero", OWN, [-3, -1, 2, 4], (1, 1)),
    Series("initech", 'a "b"\\c', "modèle,é", range(-20, 20, 2), (1, 2)),
    # Retention has dropped minutes before -1440.
    Series("initech", CHAT, CLAUDE, [-1520, -1460, -1441], (2, 9)),
    Series("acme", "/old", GPT, range(-1590, -1380, 3), (1, 4)),
]
# What is sent when all that has been counted: to minutes that have rows and to some that have none, on both days.
LATE = [
    Series("acme", CHAT, GPT, [-395, -50, -49, -1, 0, 33, 430, 431, THROUGH - 40], (1, 3)),
    Series("acme", "/late", GPT, [-700, 1, 500], (2, 2)),
    Series("globex", BATCH, OWN, [-334, 100, 445, 460], (1, 2)),
    Series("initech", "/midnight", GPT, [-2, 0, 202], (1, 1)),
]
# From and to: outside of it a class does not come.
CLASSES = (("rate_limit", -DAY, DAY), ("timeout", -DAY, 0), ("overloaded", 55, 300), ("late one", 410, DAY))


class Traffic:
    """midnight: in minutes since 1970; label: what ids begin with. durations: {(tenant, route, model): {minute: [µs]}},
    times to first token likewise. open: requests without an answer."""

    def __init__(self, rng, midnight, label="d", every=None):
        self.rng, self.midnight, self.label, self.serial = rng, midnight, label, 0
        self.durations = collections.defaultdict(lambda: collections.defaultdict(list))
        self.firsts = collections.defaultdict(lambda: collections.defaultdict(list))
        self.events, self.open = [], []
        for series in every or SERIES:
            for minute in series.minutes:
                for _ in range(rng.randint(*series.requests)):
                    self.call(series, minute)

    def call(self, series, minute):
        rng = self.rng
        self.serial += 1
        at_ms = (self.midnight + minute) * 60_000 + rng.randrange(60_000)
        request = {"type": "request", "request_id": f"{self.label}-{self.serial:06}", "tenant_id": series.tenant,
                   "route": series.route, "model": series.model, "timestamp": at_ms}
        if rng.random() < 0.02:
            self.open.append(request)
            return
        self.events += [request, self.answer(series, minute, request)]

    def answer(self, series, minute, request):
        rng = self.rng
        event = {"type": "response", "request_id": request["request_id"], "prompt_tokens": rng.randrange(20_000),
                 "completion_tokens": rng.randrange(2000)}
        # Two kinds of calls, and a tail: what lies between the bounds of buckets is not spread evenly.
        us = int(rng.lognormvariate(*rng.choice(((math.log(700_000), 0.15), (math.log(9_000_000), 0.2), (14, 1.3)))))
        event["timestamp"] = request["timestamp"] + us // 1000
        if rng.random() < 0.97:
            event["latency_ms"] = us / 1000
        else:
            event["timestamp"] = request["timestamp"] - 1  # nothing tells how long it took
            us = None
        whose = (series.tenant, series.route, series.model)
        if us is not None:
            self.durations[whose][self.midnight + minute].append(us)
        if us is not None and series.route != EMBED and rng.random() < 0.8:
            first = int(us * rng.uniform(0.02, 0.3))
            event["time_to_first_token_ms"] = first / 1000
            self.firsts[whose][self.midnight + minute].append(first)
        if rng.random() < 0.3:
            event["cached_prompt_tokens"] = rng.randrange(event["prompt_tokens"] * 21 // 20 + 1)
            event["cache_write_tokens"], event["cache_write_1h_tokens"] = rng.randrange(300), rng.randrange(100)
            event["reasoning_tokens"] = rng.randrange(event["completion_tokens"] + 1)
        if rng.random() < 0.1:
            event["cost_usd"] = rng.randrange(2_000_000) / 10 ** 6
        if rng.random() < 0.12:
            event["error"] = rng.choice([name for name, start, end in CLASSES if start <= minute < end] or ["other"])
        elif rng.random() < 0.9:
            event["finish_reason"] = rng.choice(("stop", "stop", "length", "tool_calls"))
        return event
