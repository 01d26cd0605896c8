# SPDX-License-Identifier: Apache-2.0
"""Compares what came out with the oracle and with the ledger. Every difference is one finding, in words."""
import collections
import datetime
import json
import os
import subprocess
import urllib.parse

from oracle import TOKENS, Prices, Settings, truth_of
from stack import http_call
from tape import TOPICS, headers_of
from world import PROBE, TENANTS

COUNTS = ("requests", "responses", "unanswered", "errors", "without_latency", "clamped_usage", "latency_count",
          "latency_sum_us", "ttft_count", "ttft_sum_us", "generation_us", "generation_tokens", *TOKENS)
MAXIMA = ("latency_max_us", "ttft_max_us")
NAMES = ("error_classes", "finish_reasons")
CLASSES = tuple(f"cost_{k}_pusd" for k in ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output",
                                          "reasoning", "request"))
ADDITIVE = (*COUNTS, "cost_pusd", *CLASSES, "cache_savings_pusd", "unpriced_requests", "unpriced_tokens", "guessed_requests", "reported_requests")
SHOWN = 5  # findings of one kind


class Findings:
    def __init__(self):
        self.by_kind = collections.Counter()
        self.shown = []

    def add(self, kind, *what):
        self.by_kind[kind] += 1
        if self.by_kind[kind] <= SHOWN:
            self.shown.append(" ".join(map(str, (kind + ":", *what))))

    def equal(self, kind, got, want, *where):
        if got != want:
            self.add(kind, *where, "is", got, "and should be", want)


def table(stack, name):
    query = (f"SELECT row_to_json(x) FROM (SELECT s.tenant_id, s.route, s.model,"
             f" extract(epoch FROM m.window_start)::bigint AS start_s, m.* FROM {name} m JOIN llm_series s"
             f" USING (series_id)) x")
    return json_rows(stack, query)


def json_rows(stack, query):
    out = subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", stack.dsn, "-c", query], check=True,
                         timeout=300, capture_output=True, text=True, env={**os.environ, "PGTZ": "UTC"}).stdout
    return [json.loads(line) for line in out.splitlines()]


def key_of(row):
    return row["tenant_id"], row["route"], row["model"], row["start_s"]


def start_of(metric):
    return int(datetime.datetime.fromisoformat(metric["window_start"].replace("Z", "+00:00")).timestamp())


def usage_of(row):
    return {(u["model"], u["asked"], u["tier"], u["context_above"]): [u["requests"], *(u[c] for c in TOKENS)]
            for u in row["usage"]}


class Check:
    """apart: routes whose rows are somebody else's to judge."""

    def __init__(self, world, ledger, tape, apart=()):
        self.world, self.ledger, self.apart, self.findings = world, ledger, set(apart), Findings()
        stack = world.stack
        tape.extend([(topic, p) for topic in TOPICS for p in range(int(stack.env["PARTITIONS"]))])
        self.truth = truth_of(tape, TOPICS, settings_of(stack), headers_of)
        self.minutes, self.hours = table(stack, "llm_minute"), table(stack, "llm_hour")
        self.prices = Prices(json_rows(
            stack, "SELECT row_to_json(x) FROM (SELECT version, model, input_pusd AS input, cached_input_pusd AS"
            " cached_input, output_pusd AS output, CASE WHEN isfinite(effective_from) THEN extract(epoch FROM"
            " effective_from) ELSE 0 END AS from_s FROM llm_price WHERE model LIKE 'house-%') x"))
        self.letters = collections.defaultdict(set)
        self.letters_of = collections.defaultdict(set)
        for r in stack.consume("llm.dead_letter"):
            h = headers_of(r)
            key = r["key"].removeprefix(stack.prefix)
            self.letters[key].add(h["reason"])
            self.letters_of[h.get("tenant", ""), h["reason"]].add(key)

    def run(self):
        self.compare_rows()
        self.compare_hours()
        self.compare_letters()
        if not self.apart:
            for tenant in (*TENANTS, PROBE):
                self.compare_ledger(tenant)
        for tenant in TENANTS:
            self.compare_answers(tenant)
        return self.findings

    # ---- per window ----

    def compare_rows(self):
        got = {key_of(m): m for m in self.minutes if m["route"] not in self.apart}
        want = {key: w for key, w in self.truth.rows.items() if key[1] not in self.apart}
        f = self.findings
        f.equal("rows twice", len({key_of(m) for m in self.minutes}), len(self.minutes))
        for key in want.keys() - got.keys():
            f.add("row missing", key, dict(want[key].n))
        for key in got.keys() - want.keys():
            f.add("row of nothing", key, {c: got[key][c] for c in COUNTS[:3]})
        for key in got.keys() & want.keys():
            self.compare_row(key, got[key], want[key])

    def compare_row(self, key, got, want):
        f = self.findings
        for c in COUNTS:
            f.equal(c, got[c], want.n[c], key)
        for c in MAXIMA:
            f.equal(c, got[c], getattr(want, c), key)
        f.equal("error classes", got["error_classes"], dict(want.errors), key)
        f.equal("finish reasons", got["finish_reasons"], dict(want.finish), key)
        f.equal("usage", usage_of(got), want.usage, key)
        cost = self.prices.cost(got["price_version"], key[3], want.usage)
        f.equal("cost", (got["cost_pusd"], got["unpriced_requests"]), cost, key, "by version", got["price_version"])
        f.equal("classes", sum(got[c] for c in CLASSES), got["cost_pusd"], key)

    def compare_hours(self):
        """Hour rows are the sums of their minutes, whatever these are."""
        sums = collections.defaultdict(collections.Counter)
        for m in self.minutes:
            total = sums[(*key_of(m)[:3], m["start_s"] // 3600 * 3600)]
            for c in ADDITIVE:
                total[c] += m[c]
            for c in MAXIMA:
                total[c] = max(total[c], m[c])
            for column in NAMES:
                for name, n in m[column].items():
                    total[column, name] += n
        hours = {key_of(h): h for h in self.hours}
        self.findings.equal("hours", sorted(hours), sorted(sums))
        for key in hours.keys() & sums.keys():
            h = hours[key]
            got = {c: h[c] for c in (*ADDITIVE, *MAXIMA)}
            got.update(((column, name), n) for column in NAMES for name, n in h[column].items())
            want = {**dict.fromkeys(got, 0), **sums[key]}
            self.findings.equal("hour", {c: n for c, n in got.items() if n != want[c]},
                                {c: n for c, n in want.items() if n != got.get(c)}, key)

    def compare_letters(self):
        want = self.truth.letters
        if self.apart:  # what is unmatched depends on what is lost
            return
        for key in want.keys() - self.letters.keys():
            self.findings.add("dead letter missing", key, want[key])
        for key in self.letters.keys() - want.keys():
            self.findings.add("dead letter of nothing", key, self.letters[key])
        for key in want.keys() & self.letters.keys():
            self.findings.equal("dead letter", self.letters[key], {want[key]}, key)

    # ---- per tenant ----

    def compare_answers(self, tenant):
        """metrics-api, which was there all the time, reads what the rows say."""
        want = collections.defaultdict(list)
        for m in self.minutes:
            if m["tenant_id"] == tenant:
                want[m["route"], m["model"]].append((m["start_s"], m["requests"], m["responses"], m["revision"]))
        headers = {"Authorization": "Bearer " + self.world.keys[tenant]}
        for (route, model), rows in want.items():
            query = urllib.parse.urlencode({"tenant_id": tenant, "route": route, "model": model, "limit": len(rows) + 1})
            status, body = http_call(self.world.stack.services["metrics-api"].port, "GET", "/v1/metrics?" + query,
                                     headers=headers)
            got = [(start_of(m), m["requests"], m["responses"], m["revision"])
                   for m in json.loads(body)["metrics"]] if status == 200 else (status, body)
            self.findings.equal("answer of metrics-api", got, sorted(rows, reverse=True), tenant, route, model)

    def compare_ledger(self, tenant):
        """The identities of DESIGN 3. An id that the log holds again after it was forgotten counts again."""
        f, rows = self.findings, [m for m in self.minutes if m["tenant_id"] == tenant]
        sums = {c: sum(m[c] for m in rows) for c in ("requests", "responses", "unanswered")}
        again = [0, 0]
        for kind, name in enumerate(("request", "response")):
            in_log, acked = self.truth.log_ids[tenant, kind], self.ledger.acked[tenant, name]
            again[kind] = sum(in_log.values()) - len(in_log)
            f.equal("acknowledged and not in the log", sorted(acked - in_log.keys())[:3], [], tenant, name)
            f.equal("in the log and never sent", sorted(in_log.keys() - acked)[:3], [], tenant, name)
        f.equal("identity 1 (requests)", sums["requests"], len(self.ledger.acked[tenant, "request"]) + again[0], tenant)
        in_flight = sum(w.n["requests"] - w.n["responses"] - w.n["unanswered"]
                        for key, w in self.truth.rows.items() if key[0] == tenant)
        f.equal("identity 2 (requests = responses + unanswered + in flight)",
                sums["requests"] - sums["responses"] - sums["unanswered"], in_flight, tenant)
        dead = sum(len(keys) for (of, reason), keys in self.letters_of.items()
                   if of == tenant and reason == "unmatched")
        f.equal("identity 3 (responses + unmatched)", sums["responses"] + dead,
                len(self.ledger.acked[tenant, "response"]) + again[1], tenant)

    def summary(self):
        n, t = self.truth.records, self.truth
        reasons = collections.Counter(t.letters.values())
        return (f"{n['events']} events in the log, of them {n['repetitions']} repetitions; {n['ticks']} ticks;"
                f" {len(self.minutes)} minute rows, {len(self.hours)} hour rows,"
                f" {sum(m['revision'] for m in self.minutes)} revisions;"
                f" {sum(w.n['requests'] for w in t.rows.values())} requests,"
                f" {sum(w.n['responses'] for w in t.rows.values())} answered,"
                f" {sum(w.n['unanswered'] for w in t.rows.values())} unanswered; dead letters {dict(reasons)}")


def settings_of(stack):
    """Of each partition, as recorded when they were changed. Where two begin at once the later one holds."""
    rows = json_rows(stack, "SELECT row_to_json(x) FROM (SELECT f.partition, coalesce(f.from_ms, 0) AS from_ms,"
                     " s.join_ttl_ms, s.join_skew_ms FROM streamlens_settings_from f JOIN streamlens_settings s USING"
                     " (epoch) ORDER BY epoch) x")
    found = [{} for _ in range(int(stack.env["PARTITIONS"]))]
    for row in rows:
        found[row["partition"]][row["from_ms"]] = (row["from_ms"], row["join_ttl_ms"], row["join_skew_ms"])
    return [Settings(epochs.values()) for epochs in found]
