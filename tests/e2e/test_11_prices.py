# SPDX-License-Identifier: Apache-2.0
"""A million random events, and a price that changes in the middle: what each row, hour and tenant costs is equal
to the last picodollar to a sum over single answers in Python's Decimal, and the rows split exactly at the
minute from which the new price holds, whatever the flushes and a killed processor."""
import collections
import csv
import io
import json
import multiprocessing
import os
import random
import time
import unittest
from decimal import Decimal

from prices import (EXACT, UNPRICED, USAGE_LINES, Catalogue, Usage, band_of, cache_savings, class_costs, exact_sum,
                    tier_of, usage_of)
from stack import ROOT, Stack, http_call, iso, wait_for

SEED = int(os.environ.get("SL_SEED", "20261122"))
PAIRS = int(os.environ.get("SL_PAIRS", "500000"))  # answered ones
BATCH = 4000  # events
CATALOGUE = os.path.join(ROOT, "deploy", "admin", "prices", "catalogue.csv")
PICO = 10 ** 12

# Names as they are sent, and under which a price may be found, first match first.
FORMS = {
    "gpt-4o": ("gpt-4o",),
    "gpt-4o-2024-08-06": ("gpt-4o-2024-08-06", "gpt-4o"),
    "gpt-4o-2024-05-13": ("gpt-4o-2024-05-13", "gpt-4o"),
    "GPT-4o-mini": ("gpt-4o-mini",),
    "openai/gpt-4o-mini-2024-07-18": ("gpt-4o-mini",),
    "gpt-5.4": ("gpt-5.4",),
    "gpt-5-nano": ("gpt-5-nano",),
    "claude-sonnet-4-5": ("claude-sonnet-4-5",),
    "claude-sonnet-4-5-20250929": ("claude-sonnet-4-5",),
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0": ("us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                                                     "claude-sonnet-4-5"),
    "anthropic/claude-haiku-4-5": ("claude-haiku-4-5",),
    "claude-opus-4-1": ("claude-opus-4-1",),
    "gemini-2.5-pro": ("gemini-2.5-pro",),
    "models/gemini-2.5-flash": ("gemini-2.5-flash",),
    "house-llm": ("house-llm",),
    "llama-3.1-70b": (),
    "gpt-4o:free": (),
    "ft:gpt-4o-mini-2024-07-18:acme::x1": (),
}
# Asked for, and what may have answered: None is an answer that names no model.
ASKED = {
    "gpt-4o": (None, "gpt-4o-2024-08-06", "gpt-4o-2024-05-13"),
    "gpt-5.4": (None, None, "gpt-5-nano"),
    "claude-sonnet-4-5": ("claude-sonnet-4-5-20250929", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", None),
    "gemini-2.5-pro": (None, "models/gemini-2.5-flash", "llama-3.1-70b"),
    "GPT-4o-mini": ("openai/gpt-4o-mini-2024-07-18", "gpt-4o:free", None),
    "llama-3.1-70b": (None, "anthropic/claude-haiku-4-5", "ft:gpt-4o-mini-2024-07-18:acme::x1"),
    "house-llm": (None, None, "gpt-4o"),
}
TENANTS = (("plain-1", "acme"), ("plain-2", "globex"))  # of the two senders
ROUTES = ("/chat", "/embed")
TIERS = ("batch", "BATCH", "flex", "priority", "default", "auto", "no-such-tier")
PROVIDERS = ("anthropic", "Anthropic", "aws.bedrock", "openai", "google")
PROMPTS = (900, 5_000, 60_000, 190_000, 210_000, 271_990, 272_010, 900_000)

# What two tenants have agreed, valid from ever on.
OVERRIDES = """\
tenant,provider,model,aliases,tier,above_tokens,unit,input,cached_input,output,request,discount_percent,source,as_of
acme,,*,,,,USD/Mtok,,,,,12.5,a contract,2026-01-01
acme,own,house-llm,,,,USD/Mtok,0.7,0.07,1.9,0.000125,,own machines,2026-01-01
acme,own,house-llm,,,32000,USD/Mtok,0.9,0.09,2.1,0.000125,,own machines,2026-01-01
globex,,gpt-4o,,,,USD/Mtok,,,,0.0000031,33.3333,a contract,2026-01-01
"""
# And what changes while events come in.
CHANGES = """\
tenant,provider,model,aliases,tier,above_tokens,unit,input,cached_input,output,effective_from,source,as_of
,openai,gpt-4o,gpt-4o-2024-08-06 gpt-4o-2024-11-20,,,USD/Mtok,3.1,1.7,11.3,{at},a test,2026-11-22
,anthropic,claude-sonnet-4-5,,,,USD/Mtok,2.7,0.27,13.1,{at},a test,2026-11-22
"""
DEFAULT = """\
model,unit,input,output
*,USD/Mtok,10,30
"""


class Cell:
    """What one row must show; `lines` as they are counted, `costs` by class and `savings` as sums over single
    answers."""
    __slots__ = ("requests", "responses", "clamped", "reported_n", "reported", "unpriced_n", "unpriced_tokens",
                 "guessed", "costs", "savings", "lines", "version")

    def __init__(self, version):
        self.requests = self.responses = self.clamped = self.reported_n = self.reported = 0
        self.unpriced_n = self.unpriced_tokens = self.guessed = 0
        self.costs, self.savings = [Decimal(0)] * 7, Decimal(0)
        self.lines = {}
        self.version = version

    @property
    def cost(self):
        return exact_sum(self.costs)

    def pay(self, rates, usage, requests=1):
        self.costs = [EXACT.add(a, b) for a, b in zip(self.costs, class_costs(rates, usage, requests))]
        self.savings = EXACT.add(self.savings, cache_savings(rates, usage))


class Plan:
    """The minutes, and what is sent when. A: up to the change, but every third minute, and a few rows beyond it.
    B: only rows that A has made, while the price changes. C: all rows."""

    def __init__(self, now):
        last = int(now) // 60 * 60 - 120
        self.minutes = [last - 60 * n for n in range(100)][::-1]
        self.change = self.minutes[60]
        old = [m for m in self.minutes if m < self.change]
        # Neither the minute of the change nor the one before it: both are to be seen by new rows.
        self.early = [m for n, m in enumerate(old) if n % 3 != 2] + [m for m in self.minutes if m > self.change][::8]
        self.share = {"A": 0.3, "B": 0.1, "C": 0.6}


class Sender:
    """Makes the events of two tenants, sends them, and keeps the truth; a process of its own."""

    def __init__(self, number, plan, catalogue, versions):
        self.number, self.plan, self.catalogue, self.versions = number, plan, catalogue, versions
        self.rng = random.Random(SEED * 2 + number)
        self.cells, self.rates, self.lines, self.repeats, self.serial = {}, {}, [], [], 0
        self.events = 0

    # ---- one pair ----

    def cell(self, key, part):
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell(self.versions[part == "C"])
        return cell

    def pick(self, part):
        if part == "B":
            return self.rng.choice(self.known)
        minutes = self.plan.early if part == "A" else self.plan.minutes
        r = self.rng.random
        return (TENANTS[self.number][int(r() * 2)], ROUTES[int(r() * 2)], self.models[int(r() * len(self.models))],
                minutes[int(r() * len(minutes))])

    models = tuple(ASKED)

    def pair(self, part, key=None, answered=False, tokens=None):
        """One request and, but for one in a hundred, its answer; now and then one of them twice."""
        r = self.rng.random
        key = key or self.pick(part)
        tenant, route, model, minute = key
        cell = self.cell(key, part)
        cell.requests += 1
        self.serial += 1
        at_ms = minute * 1000 + int(r() * 60_000)
        id_ = "%d-%x-%08x" % (self.number, self.serial, self.rng.getrandbits(32))
        provider = PROVIDERS[int(r() * 5)] if r() < 0.3 else None
        asked_prompt = int(r() * 4000) if r() < 0.7 else None
        line = '{"type":"request","request_id":"%s","tenant_id":"%s","route":"%s","model":"%s","timestamp":%d%s%s}' % (
            id_, tenant, route, model, at_ms, "" if asked_prompt is None else ',"prompt_tokens":%d' % asked_prompt,
            "" if provider is None else ',"provider":"%s"' % provider)
        self.put(line)
        if answered is False:
            if r() < 0.01:
                return
            choices = ASKED[model]
            answered = choices[int(r() * len(choices))]
        tier = TIERS[int(r() * 7)] if r() < 0.15 else None
        sent = tokens or self.tokens(r)
        reported = int(r() * PICO) if r() < 0.3 else None
        fields = "".join([',"%s":%d' % (name, value) for name, value in sent.items() if value is not None])
        self.put('{"type":"response","request_id":"%s","timestamp":%d%s%s%s%s}' % (
            id_, at_ms + 1, "" if answered is None else ',"model":"%s"' % answered,
            "" if tier is None else ',"service_tier":"%s"' % tier,
            "" if reported is None else ',"cost_usd":0.%012d' % reported, fields))
        self.count(cell, key, answered, tier, asked_prompt, provider, sent, reported)

    def put(self, line):
        self.lines.append(line)
        if self.rng.random() < 0.01:
            self.repeats.append(line)  # a client that did not see its 202

    def tokens(self, r):
        prompt = None
        if r() < 0.6:
            prompt = int(r() * PROMPTS[0]) if r() < 0.8 else int(r() * 200) + PROMPTS[int(r() * 8)]
        kind = r()
        cached = int(r() * (prompt or 1000) * 1.05) if kind < 0.4 else None  # now and then more than there were
        write = int(r() * 300) if kind < 0.2 else None
        completion = int(r() * 2000) if r() < 0.95 else None
        return {"prompt_tokens": prompt, "cached_prompt_tokens": cached, "cache_write_tokens": write,
                "cache_write_1h_tokens": int(r() * 150) if kind < 0.08 else None, "completion_tokens": completion,
                "reasoning_tokens": int(r() * (completion or 100) * 1.02) if r() < 0.25 else None}

    def count(self, cell, key, answered, tier, asked_prompt, provider, sent, reported):
        tenant, _, model, minute = key
        prompt = sent["prompt_tokens"] if sent["prompt_tokens"] is not None else asked_prompt
        usage, clamped = usage_of(prompt, sent["cached_prompt_tokens"], sent["cache_write_tokens"],
                                  sent["cache_write_1h_tokens"], sent["completion_tokens"], sent["reasoning_tokens"],
                                  provider)
        cell.responses += 1
        cell.clamped += clamped
        if reported is not None:
            cell.reported_n += 1
            cell.reported += reported
        other = answered is not None and answered != model
        name = (answered if other else model, model if other else "", tier_of(tier), band_of(usage))
        line = cell.lines.get(name)
        if line is None:
            line = cell.lines[name] = [0] * 7
        line[0] += 1
        for n, tokens in enumerate(usage):
            line[n + 1] += tokens
        rates, guessed = self.rates_of(tenant, name, cell.version, minute)
        if rates == UNPRICED:
            cell.unpriced_n += 1
            cell.unpriced_tokens += sum(usage)
        else:
            cell.guessed += guessed
            cell.pay(rates, usage)

    def rates_of(self, tenant, name, version, minute):
        key = (tenant, name, version, minute >= self.plan.change)
        if key not in self.rates:
            model, asked, tier, band = name
            forms = [FORMS.get(n, (n,)) for n in (model, asked) if n]
            self.rates[key] = self.catalogue.rates(version, minute, tenant, forms, tier, band)
        return self.rates[key]

    # ---- a part of the traffic ----

    def run(self, port, part):
        self.known = list(self.cells)
        for _ in range(int(PAIRS / 2 * self.plan.share[part])):
            self.pair(part)
            if len(self.lines) >= BATCH:
                self.send(port)
        if part == "C" and self.number == 0:
            self.extremes()
        while self.lines or self.repeats:
            self.send(port)

    def extremes(self):
        """Costs beyond 64 bits, and a row of more lines than it keeps."""
        most = {name: 10 ** 12 for name in ("prompt_tokens", "completion_tokens")}
        most.update(dict.fromkeys(("cached_prompt_tokens", "cache_write_tokens", "cache_write_1h_tokens",
                                   "reasoning_tokens")))
        for _ in range(300):
            self.pair("C", ("whale", "/chat", "claude-opus-4-1", self.plan.minutes[-1]), None, most)
        for n in range(600):
            model = ("a-model-%02d" % (n % 90)) if n % 3 else "gpt-4o"
            self.pair("C", ("plain-1", "/many", "gpt-5-nano", self.plan.minutes[-2]), model)

    def send(self, port):
        """A batch; what was in it and comes twice goes into the next."""
        batch, self.lines, self.repeats = self.lines[:BATCH], self.lines[BATCH:] + self.repeats, []
        self.rng.shuffle(batch)  # so that answers come first as often as not
        body = "\n".join(batch).encode()
        for _ in range(40):  # 503: the log could not take it in time; retries are free
            status, answer = http_call(port, "POST", "/v1/llm/events", body, timeout=60)
            if status == 202:
                break
            assert status == 503, answer
            time.sleep(0.2)
        assert status == 202 and json.loads(answer)["accepted"] == len(batch), answer[:500]
        self.events += len(batch)


def sender_main(sender, port, pipe):
    while True:
        part = pipe.recv()
        if part is None:
            pipe.send((sender.cells, sender.events))
            return
        sender.run(port, part)
        pipe.send((sum(c.requests for c in sender.cells.values()), sum(c.responses for c in sender.cells.values())))


def folded(cell, catalogue, key):
    """The lines that a row keeps; where some were folded, its cost and what is unpriced are those of the kept."""
    names = sorted(cell.lines, key=lambda n: (n[0].encode(), n[1].encode(), n[2].encode(), n[3]))
    kept, rest = names[:USAGE_LINES], names[USAGE_LINES:]
    lines = {name: cell.lines[name] for name in kept}
    if rest:
        lines["__other__", "", "", 0] = [sum(column) for column in zip(*(cell.lines[n] for n in rest))]
        cell.unpriced_n = cell.unpriced_tokens = cell.guessed = 0
        cell.costs, cell.savings = [Decimal(0)] * 7, Decimal(0)
        for name, line in lines.items():
            forms = [FORMS.get(n, (n,)) for n in name[:2] if n]
            rates, guessed = UNPRICED, 0
            if name[0] != "__other__":
                rates, guessed = catalogue.rates(cell.version, key[3], key[0], forms, *name[2:])
            if rates == UNPRICED:
                cell.unpriced_n += line[0]
                cell.unpriced_tokens += sum(line[1:])
            else:
                cell.guessed += guessed and line[0]
                cell.pay(rates, Usage(*line[1:]), line[0])
    return lines


COLUMNS = ("requests", "responses", "clamped_usage", "reported_requests", "reported_cost_pusd", "unpriced_requests",
           "unpriced_tokens", "guessed_requests", "cost_pusd", "uncached_prompt_tokens", "cached_prompt_tokens",
           "cache_write_5m_tokens", "cache_write_1h_tokens", "completion_tokens", "reasoning_tokens",
           "cost_input_pusd", "cost_cached_input_pusd", "cost_cache_write_5m_pusd", "cost_cache_write_1h_pusd",
           "cost_output_pusd", "cost_reasoning_pusd", "cost_request_pusd", "cache_savings_pusd")
BOUNDED = 8  # the last columns end where a bigint does
BOUND = 2 ** 63 - 1


def picodollars(usd):
    pico = usd.scaleb(12, EXACT)
    assert pico == int(pico)
    return int(pico)


def bounded(columns):
    return [*columns[:-BOUNDED], *(max(-BOUND, min(BOUND, n)) for n in columns[-BOUNDED:])]


def expected(cell):
    """The cell as those columns, in picodollars."""
    sums = [sum(column) for column in zip(*cell.lines.values())] if cell.lines else [0] * 7
    return bounded([cell.requests, cell.responses, cell.clamped, cell.reported_n, cell.reported, cell.unpriced_n,
                    cell.unpriced_tokens, cell.guessed, picodollars(cell.cost), *sums[1:5], sums[5] + sums[6], sums[6],
                    *map(picodollars, cell.costs), picodollars(cell.savings)])


class Prices(unittest.TestCase):
    def test_a_million_events_cost_what_they_cost(self):
        rng, plan, catalogue = random.Random(SEED), Plan(time.time()), Catalogue()
        self.timing = [time.monotonic()]
        flush = [str(rng.randrange(80, 900)) for _ in range(3)]
        print(f"seed {SEED}; FLUSH_INTERVAL_MS {flush}; the price changes at {iso(plan.change)}")
        with Stack(partitions=8, env={"MAX_BATCH_BYTES": str(4 << 20)}) as s:
            self.prepare(s, catalogue, plan)
            s.start("ingest-api")
            s.start("processor", env={"FLUSH_INTERVAL_MS": flush[0]}, ready=False)
            s.start("processor-2", env={"FLUSH_INTERVAL_MS": flush[1]})
            s.services["processor"].wait_ready()
            cells, events = self.traffic(s, plan, catalogue, flush[2])
            self.clock("all counted")
            self.check_rows(s, cells, catalogue, plan)
            self.check_sums(s, cells)
            self.check_api(s, cells)
            self.clock("compared")
            print(f"{events} events, {len(cells)} rows")

    def clock(self, what):
        self.timing.append(time.monotonic())
        print(f"{self.timing[-1] - self.timing[0]:6.1f} s  {what}", flush=True)

    # ---- the catalogue: version 1 by setup, 2 the overrides, 3 and 4 in the middle of the run ----

    def prepare(self, s, catalogue, plan):
        with open(CATALOGUE, encoding="utf-8") as file:
            catalogue.add_file(file.read(), 1)
        catalogue.add_file(OVERRIDES, 2)
        self.changes = CHANGES.format(at=iso(plan.change).replace(".000000", ""))
        catalogue.add_file(self.changes, 3)
        catalogue.add_file(DEFAULT, 4)
        self.set_prices(s, OVERRIDES)
        self.assertEqual(s.sql("SELECT max(version) FROM llm_price_version"), "2")
        self.versions = (2, 4)

    def set_prices(self, s, text, *flags):
        path = os.path.join(s.tmp, s.id + "-prices.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = s.admin("price", "set", *flags, path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def change_prices(self, s):
        self.set_prices(s, self.changes, "--now")
        done = s.admin("setup", env={"PRICE_DEFAULT": "10/30"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(s.sql("SELECT max(version) FROM llm_price_version"), "4")

    # ---- traffic ----

    def traffic(self, s, plan, catalogue, flush_after_the_kill):
        context, pipes, processes = multiprocessing.get_context("fork"), [], []
        port = s.services["ingest-api"].port
        for number in range(2):
            here, there = context.Pipe()
            sender = Sender(number, plan, catalogue, self.versions)
            processes.append(context.Process(target=sender_main, args=(sender, port, there), daemon=True))
            processes[-1].start()
            there.close()
            pipes.append(here)
        self.addCleanup(lambda: [p.kill() for p in processes])

        def begin(part):
            for pipe in pipes:
                pipe.send(part)

        def counted(what):
            requests, responses = (sum(n) for n in zip(*(pipe.recv() for pipe in pipes)))
            s.wait_totals(requests=requests, responses=responses, seconds=120)
            self.clock(what)

        begin("A")
        counted("rows of the first prices")
        begin("B")
        self.change_prices(s)
        counted("prices changed while those rows grew")
        begin("C")
        before = s.totals()["requests"]
        wait_for(lambda: s.totals()["requests"] > before + PAIRS * 0.2, "a third of the rest", 120, every=0.3)
        s.services["processor"].kill()
        at_the_kill = s.totals()["requests"]
        s.start("processor", env={"FLUSH_INTERVAL_MS": flush_after_the_kill}, ready=False)
        counted("the rest, with a processor killed in between")
        self.assertLess(at_the_kill, s.totals()["requests"] - 1000, "the kill came too late to matter")
        begin(None)
        cells, events = {}, 0
        for pipe, process in zip(pipes, processes):
            its, sent = pipe.recv()
            self.assertFalse(set(its) & set(cells))
            cells.update(its)
            events += sent
            process.join(30)
        return cells, events

    # ---- what came out ----

    def read(self, s, table, more=""):
        text = s.sql(f"COPY (SELECT tenant_id, route, model, extract(epoch FROM window_start)::bigint,"
                     f" {', '.join(COLUMNS)}, price_version{more} FROM {table} JOIN llm_series USING (series_id))"
                     " TO STDOUT (FORMAT csv)")
        csv.field_size_limit(1 << 24)
        return list(csv.reader(io.StringIO(text)))

    def check_rows(self, s, cells, catalogue, plan):
        kinds = collections.Counter()
        rows = self.read(s, "llm_minute", ", array_to_json(usage)")
        self.assertEqual({(*r[:3], int(r[3])) for r in rows}, set(cells))
        folds = 0
        for row in rows:
            key = (*row[:3], int(row[3]))
            cell = cells[key]
            lines = folded(cell, catalogue, key)
            folds += len(lines) < len(cell.lines)
            self.assertEqual(dict(zip(COLUMNS, map(int, row[4:-2]))), dict(zip(COLUMNS, expected(cell))), key)
            self.assertEqual(int(row[-2]), cell.version, key)
            got = {(u["model"], u["asked"], u["tier"], u["context_above"]): self.line(u) for u in json.loads(row[-1])}
            self.assertEqual(got, lines, key)
            kinds[cell.version, key[3] >= plan.change] += 1
        self.assertEqual(folds, 1)
        for kind in ((2, False), (2, True), (4, False), (4, True)):
            self.assertGreater(kinds[kind], 100, f"rows of (version, after the change): {kinds}")
        for what in ("unpriced_n", "guessed", "clamped", "reported"):
            self.assertGreater(sum(getattr(c, what) for c in cells.values()), 1000, what)
        self.assertGreater(max(c.cost for c in cells.values()), Decimal(2 ** 63) / PICO)
        for n, name in enumerate(COLUMNS[-BOUNDED:-1]):
            self.assertGreater(sum(c.costs[n] > 0 for c in cells.values()), 100, name)
        self.assertGreater(max(c.savings for c in cells.values()), 0)
        self.assertLess(min(c.savings for c in cells.values()), 0)

    def line(self, u):
        return [u["requests"], u["uncached_prompt_tokens"], u["cached_prompt_tokens"], u["cache_write_5m_tokens"],
                u["cache_write_1h_tokens"], u["completion_tokens"] - u["reasoning_tokens"], u["reasoning_tokens"]]

    def check_sums(self, s, cells):
        """Hours and tenants are the sums of their minutes."""
        hours, versions = collections.defaultdict(lambda: [0] * len(COLUMNS)), collections.Counter()
        tenants = collections.Counter()
        for key, cell in cells.items():
            hour = (*key[:3], key[3] // 3600 * 3600)
            hours[hour] = bounded([a + b for a, b in zip(hours[hour], expected(cell))])
            versions[hour] = max(versions[hour], cell.version)
            tenants[key[0]] += expected(cell)[COLUMNS.index("cost_pusd")]
        got = self.read(s, "llm_hour")
        self.assertEqual({(*r[:3], int(r[3])): list(map(int, r[4:-1])) for r in got}, dict(hours))
        self.assertEqual({(*r[:3], int(r[3])): int(r[-1]) for r in got}, dict(versions))
        text = s.sql("SELECT tenant_id, sum(estimated_cost_usd_decimal) FROM llm_metrics GROUP BY 1")
        sums = {t: Decimal(usd) for t, usd in (line.split("|") for line in text.splitlines())}
        self.assertEqual(sums, {t: Decimal(p).scaleb(-12, EXACT) for t, p in tenants.items()})
        for tenant, usd in sorted(sums.items()):
            print(f"{tenant}: {usd} USD")

    def check_api(self, s, cells):
        """The decimal string is exact, the number its nearest double."""
        s.start("metrics-api")
        for tenant in sorted({key[0] for key in cells}):
            status, answer = s.metrics(f"tenant_id={tenant}&limit=10000")
            self.assertEqual(status, 200, answer)
            wanted = {key: cell for key, cell in cells.items() if key[0] == tenant}
            self.assertEqual(answer["count"], len(wanted))
            for row in answer["metrics"]:
                at = time.strptime(row["window_start"][:19], "%Y-%m-%dT%H:%M:%S")
                cell = wanted[tenant, row["route"], row["model"], int(time.mktime(at) - time.timezone)]
                self.assertEqual(Decimal(row["estimated_cost_usd_decimal"]), cell.cost)
                self.assertEqual(row["estimated_cost_usd"], float(cell.cost))
                self.check_classes(row, expected(cell)[-BOUNDED:])
                reported = Decimal(cell.reported).scaleb(-12, EXACT) if cell.reported_n else None
                self.assertEqual(row["reported_cost_usd_decimal"] and Decimal(row["reported_cost_usd_decimal"]),
                                 reported)
                self.assertEqual((row["unpriced_requests"], row["guessed_requests"], row["price_version"]),
                                 (cell.unpriced_n, cell.guessed, cell.version))

    def check_classes(self, row, pico):
        *classes, output, reasoning, request, savings = pico
        names = ("uncached_prompt_cost_usd", "cached_prompt_cost_usd", "cache_write_5m_cost_usd",
                 "cache_write_1h_cost_usd", "completion_cost_usd", "reasoning_cost_usd", "request_cost_usd",
                 "cache_savings_usd")
        wanted = (*classes, output + reasoning, reasoning, request, savings)
        self.assertEqual({n: row[n] for n in names},
                         {n: float(Decimal(p).scaleb(-12, EXACT)) for n, p in zip(names, wanted)})


if __name__ == "__main__":
    unittest.main()
