# SPDX-License-Identifier: Apache-2.0
"""Random questions to the metrics API: what is meant, and one of the ways to say it in a query string."""
import datetime
import urllib.parse
from decimal import Decimal

from question_oracle import DAY, HOUR, MINUTE, NAMES, Steps

ENDPOINTS = ("metrics",) * 12 + ("summary", "summary", "top", "top", "top", "heatmap", "heatmap", "cost",
                                 "cost", "cost", "series", "tenants", "routes", "models")
LISTS = ("series", "tenants", "routes", "models")
STEPS_S = [n * MINUTE for n in (1, 5, 7, 10, 15, 45, 60, 90, 120, 180, 360, 720, 1440, 2880, 4320, 10080, 1437, 61)]
ZONES = ("Asia/Kolkata", "America/New_York", "Asia/Kathmandu", "Europe/Berlin", "Pacific/Auckland", "UTC",
         "Pacific/Marquesas")
ROW_FIELDS = (
    "tenant_id route model window_start window_end requests errors avg_latency_ms p95_latency_ms avg_prompt_tokens"
    " avg_completion_tokens estimated_cost_usd responses unanswered in_flight p50_latency_ms p90_latency_ms"
    " p99_latency_ms max_latency_ms avg_ttft_ms p50_ttft_ms p90_ttft_ms p95_ttft_ms p99_ttft_ms max_ttft_ms"
    " prompt_tokens completion_tokens cached_prompt_tokens cache_write_tokens reasoning_tokens"
    " uncached_prompt_tokens cache_write_5m_tokens cache_write_1h_tokens output_tokens_per_second generation_tokens"
    " generation_ms estimated_cost_usd_decimal unpriced_requests unpriced_tokens guessed_requests price_version"
    " uncached_prompt_cost_usd cached_prompt_cost_usd cache_write_5m_cost_usd cache_write_1h_cost_usd"
    " completion_cost_usd reasoning_cost_usd request_cost_usd cache_savings_usd"
    " reported_cost_usd reported_cost_usd_decimal reported_requests clamped_usage without_latency error_classes"
    " finish_reasons revision updated_at complete lossy publish_seq late settled").split()
COST_FIELDS = (
    "tenant_id route model requests responses estimated_cost_usd estimated_cost_usd_decimal share"
    " uncached_prompt_cost_usd cached_prompt_cost_usd cache_write_5m_cost_usd cache_write_1h_cost_usd"
    " completion_cost_usd reasoning_cost_usd request_cost_usd cache_savings_usd unpriced_requests unpriced_tokens"
    " unpriced_share guessed_requests guessed_share reported_requests reported_share reported_cost_usd"
    " reported_difference_usd cost_per_request_usd cost_per_million_tokens_usd before_estimated_cost_usd change_usd"
    " change_percent").split()
USUAL = [f"p{p}_{kind}_ms" for kind in ("latency", "ttft") for p in (50, 90, 95, 99)]
OF_STORED_ROWS = ("revision", "publish_seq", "late")
HEATMAP_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 4320, 7200, 10080)
HEATMAP_STEPS_MAX = 2500


def duration(rng, seconds):
    """As 90m, 1h30m, or 5400."""
    if rng.random() < 0.25:
        return str(seconds)
    text, rest = "", seconds
    for unit, size in (("w", 7 * DAY), ("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1)):
        if rest >= size and (unit == "s" or rng.random() < 0.7):
            text += f"{rest // size}{unit}"
            rest %= size
    return text + (f"{rest}s" if rest else "")


class Time:
    """An instant in ms, or how far from now, and its text."""

    def __init__(self, rng, ms, now_ms, relative):
        self.relative, self.nominal_ms = relative, ms
        if relative:
            ahead_s = (ms - now_ms) // 1000
            self.ms = ahead_s * 1000
            if ahead_s == 0:
                self.text = "now"
            else:
                self.text = ("now+" if ahead_s > 0 else "now-") + duration(rng, abs(ahead_s))
            return
        self.ms, kind = ms, rng.randrange(4)
        if kind == 0:
            self.text = str(ms)
        elif kind == 1:
            self.text = f"{ms // 1000}.{ms % 1000:03d}" if ms % 1000 else str(ms // 1000)
        else:
            zone = datetime.timezone(datetime.timedelta(minutes=rng.choice((0, 330, -480, 345, -210))))
            at = datetime.datetime.fromtimestamp(ms // 1000, zone).replace(microsecond=ms % 1000 * 1000)
            self.text = at.isoformat(timespec="milliseconds" if ms % 1000 else "seconds")
            if kind == 3:
                self.text = self.text.replace("+00:00", "Z")

    def minute(self, now_ms):
        """A window belongs to a range by its start: the whole minute at or after the instant."""
        ms = self.ms + now_ms if self.relative else self.ms
        return -(-ms // 60_000) * MINUTE


class Question:
    """What is meant is in the members, how it is said in params. frm and to are known once it is asked."""

    def __init__(self, endpoint):
        self.endpoint, self.params = endpoint, []
        self.tenant, self.routes, self.models, self.prefix = None, (), (), None
        self.from_time = self.to_time = self.frm = self.to = None
        self.step, self.zone, self.fill, self.order, self.format = None, None, "none", "desc", "json"
        self.group_by, self.percents, self.fields, self.limit = NAMES, None, None, None
        self.by, self.metric, self.cells = "requests", "latency", False

    def path(self, **changed):
        changed = {name: value for name, value in changed.items() if value is not None}
        params = [(name, value) for name, value in self.params if name not in changed] + list(changed.items())
        quote = lambda text: urllib.parse.quote(str(text), safe=",:-")
        return f"/v1/{self.endpoint}?" + "&".join(f"{name}={quote(value)}" for name, value in params)

    def resolve(self, now_ms):
        """The range, were it asked at that instant."""
        to = self.to_time.minute(now_ms) if self.to_time else -(-now_ms // 60_000) * MINUTE
        if not self.cells and self.endpoint == "metrics":
            self.frm = self.from_time.minute(now_ms) if self.from_time else None
            self.to = to if self.to_time or self.from_time else None
            return
        self.to = to
        self.frm = self.from_time.minute(now_ms) if self.from_time else self.default_from(to)

    def default_from(self, to):
        if self.endpoint in LISTS:
            return to - 30 * DAY
        if self.endpoint == "cost":
            return to - DAY
        if not self.step or self.endpoint != "metrics":
            return to - HOUR
        if self.zone:
            return to - 60 * self.step
        return Steps(0, to + 7 * DAY, self.step).around(to - 1)[0] - 59 * self.step

    def steps(self):
        step = self.step
        if self.endpoint == "heatmap" and not step:
            step = next((n * MINUTE for n in HEATMAP_STEPS_MIN if n * MINUTE * 60 >= self.to - self.frm), 7 * DAY)
        return Steps(self.frm, self.to, step, self.zone)

    def shown(self):
        """The names of the fields of its rows."""
        if self.endpoint == "cost":
            return [n for n in COST_FIELDS if n not in NAMES or n in self.group_by]
        names = list(ROW_FIELDS)
        if self.cells:
            names = [n for n in names if n not in OF_STORED_ROWS and (n not in NAMES or n in self.group_by)]
        if self.percents:
            names = [n for n in names if n not in USUAL]
            names += [f"p{p}_{kind}_ms" for kind in ("latency", "ttft") for p in self.percents]
        return names if self.fields is None else [n for n in names if n in self.fields]


class Maker:
    """Questions about what the events have: their minutes, tenants, routes and models."""

    def __init__(self, rng, events, tenants, routes, models):
        self.rng, self.events = rng, events
        self.tenants, self.routes, self.models = tenants, routes, models

    def question(self):
        rng = self.rng
        q = Question(rng.choice(ENDPOINTS))
        if q.endpoint == "metrics":
            q.cells = rng.random() < 0.75
        else:
            q.cells = q.endpoint not in LISTS
            q.group_by = {"top": ("model",), "cost": ("model",)}.get(q.endpoint, ())
        self.add_whose(q)
        self.add_range(q)
        if q.endpoint in ("metrics", "heatmap") and q.cells:
            self.add_steps(q)
        if q.endpoint == "metrics" and q.cells or q.endpoint in ("top", "cost"):
            self.add_groups(q)
        if q.endpoint in ("metrics", "summary", "top"):
            self.add_fields(q)
        if q.endpoint in ("metrics", "top", "cost"):
            self.add_form(q)
        self.add_rest(q)
        rng.shuffle(q.params)
        return q

    def add_whose(self, q):
        rng = self.rng
        if (q.cells or q.endpoint in LISTS) and rng.random() < 0.25:
            if q.endpoint != "tenants" or rng.random() < 0.5:
                q.params.append(("tenant_id", "*"))
        else:
            q.tenant = rng.choice(self.tenants) if rng.random() < 0.97 else "nobody"
            q.params.append(("tenant_id", q.tenant))
        for name, known, chance in (("route", self.routes, 0.45), ("model", self.models, 0.35)):
            if rng.random() < chance:
                chosen = rng.choices((*known, "no such"), k=rng.choice((1, 1, 2, 3)))
                q.params += [(name, value) for value in chosen]
                setattr(q, name + "s", tuple(chosen))

    def instant_ms(self):
        rng, now = self.rng, self.events.now
        kind = rng.random()
        if kind < 0.5:  # at, before or behind what there is
            return (rng.choice(self.events.minutes) + rng.choice((-1, 0, 1, 2)) * MINUTE) * 1000
        if kind < 0.7:
            return (now - rng.randrange(7 * 24) * HOUR) // HOUR * HOUR * 1000
        return now * 1000 - rng.randrange(-HOUR * 1000, 7 * DAY * 1000)

    def add_range(self, q):
        rng, now_ms = self.rng, self.events.now * 1000
        if rng.random() < 0.06:
            return  # as it is by default
        frm, to = sorted((self.instant_ms(), self.instant_ms()))
        if rng.random() < 0.3:
            to = frm + rng.choice((1, 2, 59, 60, 61, 119, 120, 600, 1440)) * 60_000
        if to - frm <= 60_000:
            to = frm + 60_001
        kind = rng.random()
        if kind < 0.15:
            to = max(to, frm + 180_000)  # relative ones are whole seconds, and move on
        if kind < 0.94:
            q.from_time = Time(rng, frm, now_ms, kind < 0.1)
        if kind < 0.97 or frm > now_ms - 120_000:
            q.to_time = Time(rng, to, now_ms, kind < 0.15)
        for name, at in (("from", q.from_time), ("to", q.to_time)):
            if at:
                q.params.append((name, at.text))

    def add_steps(self, q):
        rng = self.rng
        if rng.random() < (0.15 if q.endpoint == "metrics" else 0.3):
            return  # one, the whole range (a heatmap: what it thinks best)
        q.step = rng.choice(STEPS_S)
        length = (q.to_time.nominal_ms - q.from_time.nominal_ms) // 1000 if q.from_time and q.to_time else 8 * DAY
        if q.endpoint == "heatmap" and length > q.step * HEATMAP_STEPS_MAX:
            q.step = HOUR
        if rng.random() < 0.25:
            q.step, q.zone = rng.choice((1, 1, 2, 3, 7)) * DAY, rng.choice(ZONES)
            q.params.append(("tz", q.zone))
            q.zone = None if q.zone == "UTC" else q.zone  # which cuts all steps anyway
        q.params.append(("step", duration(rng, q.step)))

    def add_groups(self, q):
        rng = self.rng
        if q.endpoint == "metrics" and q.step and rng.random() < 0.2:
            return
        if q.endpoint != "metrics" and rng.random() < 0.3:
            return
        names = rng.sample(NAMES, rng.randrange(4))
        q.group_by = tuple(n for n in NAMES if n in names)
        q.params.append(("group_by", ",".join(names) or "none"))

    def add_fields(self, q):
        rng = self.rng
        if rng.random() < 0.4:
            percents = {rng.choice((50, 90, 95, 99, 100, 99.9, 99.99, 1, 0.001, rng.randrange(1, 101),
                                    rng.randrange(1, 10 ** 8) / 10 ** 6)) for _ in range(rng.choice((1, 2, 4, 16)))}
            texts = {format(Decimal(repr(p)).normalize(), "f"): p for p in percents}
            q.percents = tuple(sorted(texts, key=Decimal))
            shuffled = rng.sample(q.percents, len(q.percents))
            q.params.append(("percentiles", ",".join(p + (".0" if "." not in p and rng.random() < 0.2 else "")
                                                     for p in shuffled)))
        if rng.random() < 0.3:
            chosen = rng.sample(q.shown(), rng.randrange(1, 12))
            q.params.append(("fields", ",".join(chosen)))
            q.fields = tuple(chosen)

    def add_form(self, q):
        rng = self.rng
        q.format = rng.choice(("json", "json", "json", "ndjson", "csv"))
        if q.format != "json":
            q.params.append(("format", q.format))
        if q.endpoint == "metrics" and rng.random() < 0.5:
            q.order = rng.choice(("asc", "desc"))
            q.params.append(("order", q.order))
        if q.endpoint == "metrics" and q.step and rng.random() < 0.3:
            q.fill = rng.choice(("zero", "null"))
            q.params.append(("fill", q.fill))

    def add_rest(self, q):
        rng = self.rng
        if q.endpoint == "top":
            q.by = rng.choice(("cost", "requests", "errors", "p95", "tokens"))
            q.params.append(("by", q.by))
        if q.endpoint == "heatmap" and rng.random() < 0.6:
            q.metric = rng.choice(("latency", "ttft"))
            q.params.append(("metric", q.metric))
        if q.endpoint in LISTS and rng.random() < 0.4:
            word = rng.choice(self.tenants + self.routes + self.models)
            q.prefix = word[:rng.randrange(1, 5)]
            q.params.append(("prefix", q.prefix))
        if q.endpoint not in ("summary", "heatmap") and rng.random() < 0.25:
            q.limit = rng.choice((1, 2, 3, 10, 100, 10000))
            q.params.append(("limit", q.limit))
