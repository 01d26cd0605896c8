# SPDX-License-Identifier: Apache-2.0
"""Raw events for random questions: tenants that share names, minutes at the edges of hours and of days in several
zones, latencies over all octaves, everything that an answer may lack."""
DAY, HOUR, MINUTE = 86400, 3600, 60
TENANTS = ("acme", "globex", "acme-2", "Ünal & Co")
ROUTES = ("/chat", "/embed", "=1+1", '/a "b",{c}\\d|e%', "/é", "-x") + tuple(f"/many/{n:02d}" for n in range(24))
MODELS = ("gpt-4o", "claude-sonnet-4-5", "modèle-é")
PRICED = ("gpt-4o", "claude-sonnet-4-5", "gpt-5-nano")
CLASSES = ("rate_limit", "timeout", "überlast", "x" * 62 + "é", "two\nlines")
# Where days begin: UTC, Kolkata, Kathmandu, New York, Berlin, Auckland.
DAY_BORDERS_S = (0, 18 * HOUR + 1800, 18 * HOUR + 900, 5 * HOUR, 23 * HOUR, 11 * HOUR)
OPEN_FROM, OPEN_TO = 40 * MINUTE, 55 * MINUTE  # ahead of now: windows that nothing closes while a test runs
DAYS = 6


class Events:
    """All events are made from rng; `now` is a whole minute. Minutes around now have none, so that it is certain
    which windows are closed and which are open."""

    def __init__(self, rng, now, label):
        self.rng, self.now, self.label, self.serial = rng, now, label, 0
        self.minutes = self.make_minutes()
        self.in_flight = []  # requests that may yet be answered

    def make_minutes(self):
        rng, now, found = self.rng, self.now, set()
        for _ in range(14):
            hour = (now - rng.randrange(2 * HOUR, DAYS * DAY)) // HOUR * HOUR
            found.update(hour + MINUTE * n for n in (-1, 0, 1, 29, 30, 59))
        for day in range(1, DAYS):
            for border in DAY_BORDERS_S:
                start = (now - day * DAY) // DAY * DAY + border
                found.update(start + MINUTE * n for n in (-1, 0, 1) if rng.random() < 0.6)
        dense = (now - rng.randrange(DAY, 3 * DAY)) // HOUR * HOUR
        found.update(range(dense - 7 * MINUTE, dense + 2 * HOUR + 5 * MINUTE, MINUTE))
        found.update(now - rng.randrange(5, DAYS * 1440) * MINUTE for _ in range(40))
        found.update(range(now + OPEN_FROM, now + OPEN_TO, 3 * MINUTE))
        return sorted(m for m in found if m < now - 4 * MINUTE or m >= now + OPEN_FROM)

    def names(self):
        r = self.rng.random()
        routes = ROUTES[:4] if r < 0.7 else ROUTES
        return self.rng.choice(TENANTS), self.rng.choice(routes), self.rng.choice(MODELS)

    def request(self, minute=None, names=None):
        rng = self.rng
        self.serial += 1
        tenant, route, model = names or self.names()
        at_ms = (rng.choice(self.minutes) if minute is None else minute) * 1000 + rng.randrange(60_000)
        event = {"type": "request", "request_id": f"{self.label}-{self.serial}-{rng.getrandbits(48):x}",
                 "tenant_id": tenant, "route": route, "model": model, "timestamp": at_ms}
        if rng.random() < 0.8:
            event["prompt_tokens"] = rng.randrange(8000)
        return event

    def response(self, request):
        rng = self.rng
        event = {"type": "response", "request_id": request["request_id"]}
        self.add_times(event, request["timestamp"])
        if rng.random() < 0.95:
            event["completion_tokens"] = rng.choice((0, rng.randrange(4000)))
        if rng.random() < 0.3:
            self.add_usage(event)
        if rng.random() < 0.15:
            event["cost_usd"] = rng.randrange(2_000_000) / 10 ** 6
        if rng.random() < 0.12:
            event["error"] = rng.choice(CLASSES) if rng.random() < 0.9 else f"class-{rng.randrange(45):02d}"
        elif rng.random() < 0.9:
            event["finish_reason"] = rng.choice(("stop", "length", "tool_calls"))
        return event

    def add_times(self, event, asked_ms):
        rng = self.rng
        kind = rng.random()
        if kind < 0.04:
            latency_us = 0
        elif kind < 0.75:
            latency_us = int(rng.lognormvariate(13, 1.2))
        elif kind < 0.97:
            latency_us = int(2 ** (rng.random() * 31.7))  # up to 58 minutes
        else:
            latency_us = rng.randrange(3_599_000_000, 90_000_000_000)
        event["timestamp"] = asked_ms + latency_us // 1000
        kind = rng.random()
        if kind < 0.9:
            event["latency_ms"] = latency_us / 1000
        elif kind > 0.95:
            event["timestamp"] = asked_ms - 1  # nothing says how long it took
        if rng.random() < 0.6:
            r = rng.random()
            ttft_us = latency_us if r < 0.1 else int(latency_us * rng.random() * 1.2)
            event["time_to_first_token_ms"] = min(ttft_us, 80_000_000_000) / 1000

    def add_usage(self, event):
        rng = self.rng
        event["prompt_tokens"] = rng.choice((rng.randrange(9000), rng.randrange(150_000, 300_000)))
        event["cached_prompt_tokens"] = rng.randrange(int(event["prompt_tokens"] * 1.05) + 1)
        if rng.random() < 0.4:
            event["cache_write_tokens"] = rng.randrange(300)
            event["cache_write_1h_tokens"] = rng.randrange(200)
        if rng.random() < 0.4:
            event["reasoning_tokens"] = rng.randrange(400)
        if rng.random() < 0.3:
            event["model"] = rng.choice(PRICED)
        if rng.random() < 0.3:
            event["service_tier"] = rng.choice(("batch", "default", "no-such-tier"))

    def pairs(self, count, minutes=None, unanswered_share=0.04):
        """Requests with most of their answers, some of them twice, in disorder."""
        rng, sent = self.rng, []
        for n in range(count):
            request = self.request(rng.choice(minutes) if minutes else None)
            sent.append((n + rng.gauss(0, 200), request))
            if rng.random() < unanswered_share:
                self.in_flight.append(request)
            else:
                sent.append((n + 100 + rng.gauss(0, 200), self.response(request)))
        sent += [(n + rng.gauss(0, 50), event) for n, event in sent if rng.random() < 0.01]  # retries
        sent.sort(key=lambda pair: pair[0])
        return [event for _, event in sent]

    def many_classes(self):
        """More error classes in one minute, and over an hour, than a row keeps."""
        hour = next(m for m in self.minutes if m % HOUR == 0)
        sent = []
        for n in range(50):
            request = self.request(hour + (n % 2) * MINUTE, ("acme", "/chat", "gpt-4o"))
            response = self.response(request)
            response.pop("finish_reason", None)
            sent += [request, {**response, "error": f"class-{n:02d}"}]
        return sent

    def late(self, count):
        """For minutes long closed, with rows and without; and answers to some that are in flight."""
        rng = self.rng
        old = [m for m in self.minutes if m < self.now]
        anew = [m + MINUTE * rng.randrange(1, 5) for m in rng.sample(old, 8)]
        sent = self.pairs(count, rng.sample(old, 12) + [m for m in anew if m < self.now - 4 * MINUTE])
        rng.shuffle(self.in_flight)
        for _ in range(min(6, len(self.in_flight))):
            sent.append(self.response(self.in_flight.pop()))
        return sent

