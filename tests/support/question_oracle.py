# SPDX-License-Identifier: Apache-2.0
"""What any question to the metrics API must be answered, computed from raw events alone: joined, summed and sorted
here, in integers and Decimal. Knows nothing of histograms but which values share a bucket."""
import collections
import datetime
import zoneinfo
from decimal import Decimal

from prices import EXACT, UNPRICED, band_of, cache_savings, class_costs, tier_of, usage_of

MINUTE, HOUR, DAY = 60, 3600, 86400
PICO = 10 ** 12
HIST_MAX_US = 3_600_000_000
CLASSES_MAX, CLASS_BYTES = 32, 64
NAMES = ("tenant_id", "route", "model")
SUMS = ("requests", "responses", "unanswered", "errors", "without_latency", "clamped_usage", "reported_requests",
        "uncached_prompt_tokens", "cached_prompt_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
        "completion_tokens", "reasoning_tokens", "generation_us", "generation_tokens", "unpriced_requests",
        "unpriced_tokens", "reported_pusd", "cost_pusd")
CLASS_COSTS = ("uncached_prompt", "cached_prompt", "cache_write_5m", "cache_write_1h", "output", "reasoning", "request")


class Facts:
    """Of any number of requests."""
    __slots__ = ("sums", "latencies_us", "ttfts_us", "error_classes", "finish_reasons")

    def __init__(self):
        self.sums = collections.Counter()
        self.latencies_us, self.ttfts_us = [], []
        self.error_classes, self.finish_reasons = collections.Counter(), collections.Counter()

    def add(self, other):
        for name, n in other.sums.items():
            self.sums[name] += n
        self.latencies_us += other.latencies_us
        self.ttfts_us += other.ttfts_us
        self.error_classes.update(other.error_classes)
        self.finish_reasons.update(other.finish_reasons)


def class_name(text):
    for end, c in enumerate(text):
        if ord(c) < 0x20 or ord(c) == 0x7f:
            text = text[:end]
            break
    return text.encode()[:CLASS_BYTES].decode("utf-8", "ignore") or "unknown"


def shown_classes(counts):
    """The bytewise smallest names; what is left is __other__."""
    names = sorted(counts, key=str.encode)
    shown = {name: counts[name] for name in names[:CLASSES_MAX]}
    rest = sum(counts[name] for name in names[CLASSES_MAX:])
    return {**shown, "__other__": rest} if rest else shown


class Oracle:
    def __init__(self, catalogue, version):
        self.catalogue, self.version = catalogue, version
        self.requests, self.answers, self.given_up = {}, {}, set()
        self.rates = {}
        self.minutes = {}  # (tenant, route, model, minute): Facts

    def add(self, events, given_up=False):
        """The first of an id counts. given_up: none of these will be answered, and their time is over."""
        for event in events:
            known = self.requests if event["type"] == "request" else self.answers
            known.setdefault(event["request_id"], event)
            if given_up:
                self.given_up.add(event["request_id"])
        self.minutes = {}
        for id_, request in self.requests.items():
            key = (*(request[name] for name in NAMES), request["timestamp"] // 60_000 * MINUTE)
            self.count(self.minutes.setdefault(key, Facts()), id_, request, self.answers.get(id_))

    def count(self, facts, id_, request, answer):
        sums = facts.sums
        sums["requests"] += 1
        if id_ in self.given_up:
            sums["unanswered"] += 1
        if answer is None or id_ in self.given_up:
            return
        sums["responses"] += 1
        if answer.get("error"):
            sums["errors"] += 1
            facts.error_classes[class_name(answer["error"])] += 1
        if answer.get("finish_reason"):
            facts.finish_reasons[class_name(answer["finish_reason"])] += 1
        self.count_times(facts, request, answer, self.count_usage(sums, request, answer))

    def count_times(self, facts, request, answer, tokens):
        latency_us = answer.get("latency_ms")
        latency_us = (answer["timestamp"] - request["timestamp"]) * 1000 if latency_us is None \
            else round(latency_us * 1000)
        if latency_us < 0:
            latency_us = None
            facts.sums["without_latency"] += 1
        else:
            facts.latencies_us.append(latency_us)
        if "time_to_first_token_ms" in answer:
            ttft_us = round(answer["time_to_first_token_ms"] * 1000)
            facts.ttfts_us.append(ttft_us)
            if latency_us is not None and ttft_us < latency_us and tokens:
                facts.sums["generation_us"] += latency_us - ttft_us
                facts.sums["generation_tokens"] += tokens

    def count_usage(self, sums, request, answer):
        """Its completion tokens, of which there are no fewer than of reasoning."""
        prompt = answer.get("prompt_tokens", request.get("prompt_tokens"))
        usage, clamped = usage_of(prompt, *(answer.get(name) for name in (
            "cached_prompt_tokens", "cache_write_tokens", "cache_write_1h_tokens", "completion_tokens",
            "reasoning_tokens")), None)
        sums["clamped_usage"] += clamped
        for name, tokens in zip(SUMS[7:11], usage):
            sums[name] += tokens
        sums["completion_tokens"] += usage.output + usage.reasoning
        sums["reasoning_tokens"] += usage.reasoning
        if "cost_usd" in answer:
            sums["reported_requests"] += 1
            sums["reported_pusd"] += int(Decimal(repr(answer["cost_usd"])).scaleb(12))
        rates = self.rates_of(request, answer, usage)
        if rates == UNPRICED:
            sums["unpriced_requests"] += 1
            sums["unpriced_tokens"] += sum(usage)
        else:
            for name, amount in zip(CLASS_COSTS, class_costs(rates, usage)):
                sums[name + "_cost_pusd"] += int(EXACT.multiply(amount, PICO))
                sums["cost_pusd"] += int(EXACT.multiply(amount, PICO))
            sums["cache_savings_pusd"] += int(EXACT.multiply(cache_savings(rates, usage), PICO))
        return usage.output + usage.reasoning

    def rates_of(self, request, answer, usage):
        key = (request["tenant_id"], answer.get("model") or request["model"], request["model"],
               tier_of(answer.get("service_tier")), band_of(usage))
        if key not in self.rates:
            tenant, answered, asked, tier, band = key
            self.rates[key] = self.catalogue.rates(self.version, 0, tenant, [(answered,), (asked,)], tier, band)[0]
        return self.rates[key]

    # ---- what is asked for ----

    def rows(self, q, frm=None, to=None):
        """[(key, Facts)] of minutes that the question's filters let through."""
        frm, to = q.frm if frm is None else frm, q.to if to is None else to
        return [(key, facts) for key, facts in self.minutes.items()
                if (q.tenant is None or key[0] == q.tenant) and (not q.routes or key[1] in q.routes)
                and (not q.models or key[2] in q.models)
                and (frm is None or key[3] >= frm) and (to is None or key[3] < to)]

    def cells(self, q, steps, frm=None, to=None):
        """{(start, end, group): Facts}; in a group None stands for a name that is not grouped by."""
        found, step_of = {}, {}
        for key, facts in self.rows(q, frm, to):
            minute = key[3]
            if minute not in step_of:
                step_of[minute] = steps.around(minute)
            group = tuple(key[i] if name in q.group_by else None for i, name in enumerate(NAMES))
            found.setdefault((*step_of[minute], group), Facts()).add(facts)
        return found

    def totals(self):
        sums = collections.Counter()
        for facts in self.minutes.values():
            sums.update({name: facts.sums[name] for name in ("requests", "responses", "unanswered")})
        return dict(sums)


class Steps:
    """How a range is cut: by multiples of a step since 1970 (weeks on Mondays), by days of a zone, or not at all."""

    def __init__(self, frm, to, step=None, zone=None):
        self.frm, self.to, self.step = frm, to, step
        self.zone = zone and zoneinfo.ZoneInfo(zone)

    def border(self, date):
        day = datetime.date(1970, 1, 1) + datetime.timedelta(days=date)
        midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=self.zone)
        return int(midnight.timestamp())

    def around(self, t):
        start, end = self.frm, self.to
        if self.zone:
            days, local = self.step // DAY, datetime.datetime.fromtimestamp(t, self.zone).date()
            first = 4 if days == 7 else 0
            date = (local - datetime.date(1970, 1, 1)).days
            date = (date - first) // days * days + first
            start, end = self.border(date), self.border(date + days)
        elif self.step:
            offset = 4 * DAY if self.step == 7 * DAY else 0
            start = (t - offset) // self.step * self.step + offset
            end = start + self.step
        return max(start, self.frm), min(end, self.to)

    def all(self):
        t, found = self.frm, []
        while t < self.to:
            found.append(self.around(t))
            t = found[-1][1]
        return found


# ---- what people read ------------------------------------------------------------------------------

def bucket_top_us(value_us):
    """The greatest value that shares the bucket: the leading 8 binary digits of a value tell it from others."""
    shift = max(0, value_us.bit_length() - 8)
    return ((value_us >> shift) + 1 << shift) - 1


def percentile_us(ordered, percent):
    """Of sorted values: (the value of that rank, what must be answered); percent is a Decimal."""
    millionths = int(percent * 10 ** 6)
    rank = -(-millionths * len(ordered) // 10 ** 8)
    exact = ordered[rank - 1]
    answer = min(bucket_top_us(min(exact, HIST_MAX_US)), ordered[-1])
    promised = min(exact, HIST_MAX_US)
    assert promised <= answer <= ordered[-1] and answer - promised <= promised * 0.01, (promised, answer)
    return exact, answer


def usd(pusd):
    return Decimal(pusd).scaleb(-12, EXACT)


def percentile_fields(facts, percents):
    fields = {}
    for kind, values in (("latency", facts.latencies_us), ("ttft", facts.ttfts_us)):
        ordered = sorted(values)
        for p in percents:
            value = percentile_us(ordered, Decimal(p))[1] / 1000 if ordered else None
            fields[f"p{p}_{kind}_ms"] = value
    return fields


def derive(facts):
    """The fields of a row but for names, times, percentiles and what depends on when it is asked."""
    s, f = facts.sums, {}
    for name in SUMS:
        if not name.endswith(("_us", "_pusd")):
            f[name] = s[name]
    f["in_flight"] = s["requests"] - s["responses"] - s["unanswered"]
    f["cache_write_tokens"] = s["cache_write_5m_tokens"] + s["cache_write_1h_tokens"]
    f["prompt_tokens"] = s["uncached_prompt_tokens"] + s["cached_prompt_tokens"] + f["cache_write_tokens"]
    answered = s["responses"]
    f["avg_prompt_tokens"] = f["prompt_tokens"] / answered if answered else 0
    f["avg_completion_tokens"] = s["completion_tokens"] / answered if answered else 0
    for kind, values, nothing in (("latency", facts.latencies_us, 0), ("ttft", facts.ttfts_us, None)):
        f[f"avg_{kind}_ms"] = sum(values) / (len(values) * 1000) if values else nothing
        f[f"max_{kind}_ms"] = max(values) / 1000 if values else nothing
    f["generation_ms"] = s["generation_us"] / 1000
    f["output_tokens_per_second"] = \
        s["generation_tokens"] / (s["generation_us"] / 1_000_000) if s["generation_us"] else None
    f["estimated_cost_usd"] = float(usd(s["cost_pusd"]))
    f["estimated_cost_usd_decimal"] = usd(s["cost_pusd"])
    for name in CLASS_COSTS:
        f[name + "_cost_usd"] = float(usd(s[name + "_cost_pusd"]))
    f["completion_cost_usd"] = float(usd(s["output_cost_pusd"] + s["reasoning_cost_pusd"]))
    del f["output_cost_usd"]  # it is shown with reasoning in it
    f["cache_savings_usd"] = float(usd(s["cache_savings_pusd"]))
    reported = usd(s["reported_pusd"]) if s["reported_requests"] else None
    f["reported_cost_usd"] = None if reported is None else float(reported)
    f["reported_cost_usd_decimal"] = reported
    f["guessed_requests"] = 0
    f["error_classes"] = shown_classes(facts.error_classes)
    f["finish_reasons"] = shown_classes(facts.finish_reasons)
    f["lossy"] = False
    return f


def derive_cost(now, before, total_pusd):
    """What /v1/cost says of a group but for its names; now and before are Facts or None."""
    f, s = derive(now or Facts()), (now or Facts()).sums
    cost, was, answered = s["cost_pusd"], before.sums["cost_pusd"] if before else 0, s["responses"]
    part = lambda n, of: float(n) / float(of) if of else None
    priced, tokens = answered - s["unpriced_requests"], f["prompt_tokens"] + s["completion_tokens"]
    tokens -= s["unpriced_tokens"]
    f["share"] = part(cost, total_pusd)
    for what in ("unpriced", "guessed", "reported"):
        f[what + "_share"] = part(f[what + "_requests"], answered)
    alike = answered and s["reported_requests"] == answered and not s["unpriced_requests"]
    f["reported_difference_usd"] = float(usd(s["reported_pusd"] - cost)) if alike else None
    f["cost_per_request_usd"] = f["estimated_cost_usd"] / priced if priced else None
    f["cost_per_million_tokens_usd"] = f["estimated_cost_usd"] * 1e6 / tokens if tokens else None
    f["before_estimated_cost_usd"], f["change_usd"] = float(usd(was)), float(usd(cost - was))
    f["change_percent"] = part(cost - was, was) * 100 if was else None
    return f
