# SPDX-License-Identifier: Apache-2.0
"""What must have been counted: DESIGN 3 and rule 3 of section 4 over the whole log at once, with no state, no order
and no flushes. Shares nothing with the services, nor with what other tests compute truths by."""
import collections
import json
from decimal import Decimal

BANDS = (32_000, 100_000, 128_000, 200_000, 256_000, 272_000, 512_000, 1_000_000)
STANDARD_TIERS = ("auto", "default", "standard", "on_demand")
TOKENS = ("uncached_prompt_tokens", "cached_prompt_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
          "completion_tokens", "reasoning_tokens")
WEEK_MS, HOUR_MS, MARGIN_MS = 7 * 86_400_000, 3_600_000, 60_000


class Settings:
    """The epochs of one partition: (from_ms, ttl_ms, skew_ms), the first from ever on. An epoch that shortens a wait
    does not let a later record wait for less than an earlier one."""

    def __init__(self, epochs):
        self.epochs = sorted(epochs)

    def longest(self, time_ms, which):
        """The greatest x + wait(x) of all x up to time_ms."""
        found = None
        for i, epoch in enumerate(self.epochs):
            if i > 0 and epoch[0] > time_ms:
                break
            last = time_ms
            if i + 1 < len(self.epochs):
                last = min(last, self.epochs[i + 1][0] - 1)
            if i == 0 or last >= epoch[0]:
                found = max(found or 0, last + epoch[which])
        return found

    def answer_by(self, request_ms):
        return self.longest(request_ms, 1)

    def request_by(self, response_ms):
        return self.longest(response_ms, 2)

    def repeats_until(self, kind, time_ms):
        if kind == 0:
            return self.request_by(self.answer_by(time_ms))
        return self.answer_by(self.request_by(time_ms))


class Row:
    def __init__(self):
        self.n = collections.Counter()
        self.usage = {}  # (model, asked, tier, band) to [requests, *TOKENS]
        self.errors, self.finish = collections.Counter(), collections.Counter()
        self.latency_max_us = self.ttft_max_us = 0


class Truth:
    def __init__(self):
        self.rows = collections.defaultdict(Row)          # (tenant, route, model, minute in s)
        self.letters = {}                                 # topic/partition/offset to the reason
        self.records = collections.Counter()              # by what they were
        self.log_ids = collections.defaultdict(collections.Counter)  # (tenant header, kind): id to times counted
        self.letters_of = collections.Counter()           # (tenant header, reason)


def parse(value):
    try:
        event = json.loads(value, parse_float=Decimal)
    except (TypeError, ValueError):
        return None
    return event if isinstance(event, dict) and "request_id" in event else None


class Partition:
    def __init__(self, truth, settings, partition):
        self.truth, self.settings, self.partition = truth, settings, partition
        self.counted = (collections.defaultdict(list), collections.defaultdict(list))  # by identity: (time, event, …)
        self.time = [None, None]

    def letter(self, where, reason, header):
        self.truth.letters[where] = reason
        self.truth.letters_of[header, reason] += 1

    def read(self, kind, topic, records, headers_of):
        """Which records count; the others are ticks, repetitions or dead letters."""
        seen = {}  # identity: [last time, {tenant: last time}]
        now = None
        for r in records:
            now = r["ts"] if now is None else max(now, r["ts"])
            headers = headers_of(r)
            if "streamlens-tick" in headers:
                self.truth.records["ticks"] += 1
                continue
            self.truth.records["events"] += 1
            where = f"{topic}/{self.partition}/{r['offset']}"
            header = headers.get("tenant", "")
            event = parse(r["payload"])
            reason = self.fault(kind, header, event, r["ts"])
            if reason:
                self.letter(where, reason, header)
                continue
            tenant = (header or event.get("tenant_id")) if kind == 0 else ""
            identity = (header, event["request_id"])
            before = seen.get(identity)
            if before and now <= self.settings.repeats_until(kind, before[0]):
                known = tenant in before[1] and now <= self.settings.repeats_until(kind, before[1][tenant])
                before[0] = before[1][tenant] = now
                if known:
                    self.truth.records["repetitions"] += 1
                else:
                    self.letter(where, "id_conflict", header)
                continue
            seen[identity] = [now, {tenant: now}]
            self.counted[kind][identity].append((now, event, tenant, where))
            self.truth.log_ids[header, kind][event["request_id"]] += 1
        self.time[kind] = now

    @staticmethod
    def fault(kind, header, event, append_ms):
        if event is None:
            return "malformed"
        if kind == 0 and not header and not event.get("tenant_id"):
            return "missing_tenant"
        if kind == 0 and not (append_ms - WEEK_MS - MARGIN_MS <= event["timestamp"]
                              <= append_ms + HOUR_MS + MARGIN_MS):
            return "time_out_of_range"
        return None

    def join(self):
        requests, responses = self.counted
        for identity, asked in requests.items():
            answers = responses.get(identity, [])
            for at, event, tenant, _ in asked:
                row = self.truth.rows[tenant, event["route"], event["model"], int(event["timestamp"]) // 60_000 * 60]
                row.n["requests"] += 1
                fit = [a for a in answers
                       if a[0] <= self.settings.answer_by(at) and at <= self.settings.request_by(a[0])]
                assert len(fit) <= 1, (identity, at, fit)
                if fit:
                    answers.remove(fit[0])
                    count_answer(row, event, fit[0][1])
                elif self.time[1] is not None and self.time[1] > self.settings.answer_by(at):
                    row.n["unanswered"] += 1
        for (header, _), answers in responses.items():
            for at, _, _, where in answers:
                if self.time[0] is not None and self.time[0] > self.settings.request_by(at):
                    self.letter(where, "unmatched", header)


def count_answer(row, asked, answer):
    n = row.n
    n["responses"] += 1
    if answer.get("error"):
        n["errors"] += 1
        row.errors[answer["error"]] += 1
    if answer.get("finish_reason"):
        row.finish[answer["finish_reason"]] += 1
    latency_ms = answer.get("latency_ms")
    if latency_ms is None:
        latency_ms = answer["timestamp"] - asked["timestamp"]
    if latency_ms < 0:
        n["without_latency"] += 1
    else:
        n["latency_count"] += 1
        n["latency_sum_us"] += int(latency_ms * 1000)
        row.latency_max_us = max(row.latency_max_us, int(latency_ms * 1000))
    ttft_ms = answer.get("time_to_first_token_ms")
    if ttft_ms is not None:
        n["ttft_count"] += 1
        n["ttft_sum_us"] += int(ttft_ms * 1000)
        row.ttft_max_us = max(row.ttft_max_us, int(ttft_ms * 1000))
    tokens = count_usage(row, asked, answer)
    if ttft_ms is not None and ttft_ms < latency_ms and tokens:
        n["generation_us"] += int(latency_ms * 1000) - int(ttft_ms * 1000)
        n["generation_tokens"] += tokens


def count_usage(row, asked, answer):
    """Cached tokens are a part of the prompt's, reasoning of the completion's; a part larger than its whole makes
    the whole as large. The events here have no cache writes. Returns the completion's."""
    cached, reasoning = answer.get("cached_prompt_tokens", 0), answer.get("reasoning_tokens", 0)
    prompt = answer.get("prompt_tokens", asked.get("prompt_tokens"))
    completion = answer.get("completion_tokens")
    row.n["clamped_usage"] += ((prompt is not None and prompt < cached)
                               or (completion is not None and completion < reasoning))
    uncached, completion = max(0, (prompt or 0) - cached), max(completion or 0, reasoning)
    band = max((b for b in BANDS if uncached + cached > b), default=0)
    tier = answer.get("service_tier", "").lower()
    model = answer.get("model", asked["model"])
    key = (model, asked["model"] if model != asked["model"] else "", "" if tier in STANDARD_TIERS else tier, band)
    line = row.usage.setdefault(key, [0] * (1 + len(TOKENS)))
    for i, value in enumerate((1, uncached, cached, 0, 0, completion, reasoning)):
        line[i] += value
    for name, value in zip(TOKENS, (uncached, cached, 0, 0, completion, reasoning)):
        row.n[name] += value
    return completion


class Prices:
    """What is priced here: cards of one line, for everybody, found by their own names alone."""

    def __init__(self, cards):
        self.cards = collections.defaultdict(list)  # model to (from_s, version, prices)
        for c in cards:
            prices = [c[k] for k in ("input", "cached_input", "output")]
            self.cards[c["model"]].append((c["from_s"], c["version"], prices))

    def cost(self, version, minute, usage):
        """(picodollars, unpriced requests)"""
        total = unpriced = 0
        for (model, asked, tier, _), line in usage.items():
            held = [max((c for c in self.cards[m] if c[0] <= minute and c[1] <= version), default=None)
                    for m in (model, asked)]
            card = held[0] or held[1]
            if not card or tier:
                unpriced += line[0]
                continue
            requests, uncached, cached, _, _, completion, _ = line
            price = card[2]
            total += uncached * price[0] + cached * price[1] + completion * price[2]
        return total, unpriced


def truth_of(tape, topics, settings, headers_of):
    """settings: of each partition."""
    truth = Truth()
    for partition, epochs in enumerate(settings):
        p = Partition(truth, epochs, partition)
        for kind, topic in enumerate(topics):
            p.read(kind, topic, tape.records(topic, partition), headers_of)
        p.join()
    return truth
