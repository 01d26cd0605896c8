# SPDX-License-Identifier: Apache-2.0
"""The past is corrected while everything runs: prices of hours ago change under live traffic and kills, and every row
of a minute and of an hour, every answer and every record then costs what it costs in Decimal; nothing that was counted
is lost, no row is published for nothing, and the old prices bring the old costs back to the digit."""
import collections
import json
import os
import random
import subprocess
import threading
import time
import unittest
import urllib.parse
from decimal import Decimal

from cost_truth import COSTS, MINUTE, NAMES, Truth, pico
from prices import EXACT, Catalogue
from psql_session import Session
from published import Published, micros
from stack import ROOT, Stack, iso, wait_for

SEED = int(os.environ.get("SL_SEED", "20261124"))
PAIRS = int(os.environ.get("SL_PAIRS", "7000"))  # before anything is corrected
HOUR = 3600
PATIENCE_S = 120  # most of it for a machine that is slow
ENV = {"JOIN_TTL_MS": "7200000", "WINDOW_GRACE_MS": "500", "CLOSE_WAIT_MS": "2000", "SESSION_TIMEOUT_MS": "6000",
       "MAX_SERIES_PER_TENANT": "14", "CACHE_MAX_AGE_MS": "3600000"}

# Asked for, and what may have answered: None is an answer that names no model.
ASKED = {
    "gpt-4o": (None, "gpt-4o-2024-08-06"),
    "gpt-4o-mini": (None,),
    "openai/gpt-5-nano": (None, "gpt-5-nano"),
    "claude-sonnet-4-5": (None, "claude-sonnet-4-5-20250929"),
    "gemini-2.5-pro": (None,),
    "house-llm": (None, "gpt-4o"),
    "llama-3.1-70b": (None,),
}
# Under which a name is looked up, where not as it is.
FORMS = {"openai/gpt-5-nano": ("gpt-5-nano",), "claude-sonnet-4-5-20250929": ("claude-sonnet-4-5",)}
ORDINARY, CROWDED = ("acme", "globex", "plain"), "crowd"  # of CROWDED most series are over the cap
FIRST, LAST = "first", "last"  # have the first and the last series: locks on their rows stop a page there

# Within an hour: minutes that nothing late comes for, others, and those that late events are the first of.
QUIET, BUSY, NEW = (0, 7, 29, 59), (13, 30, 31, 44), (5, 50)
HOURS = 4
RANGE_FROM_S, RANGE_TO_S = 7 * MINUTE, HOURS * HOUR - 5 * MINUTE  # both inside an hour

# Versions of the catalogue: 1 is the default one.
AGREED, CORRECTED, QUIETLY, RESTORED = 2, 3, 4, 5
SAME = {RESTORED: AGREED}
PRICES = {
    AGREED: """\
tenant,provider,model,aliases,tier,above_tokens,unit,input,cached_input,output,request,discount_percent,source,as_of
acme,,*,,,,USD/Mtok,,,,,12.5,a contract,2026-01-01
globex,own,house-llm,,,,USD/Mtok,0.7,0.07,1.9,0.000125,,own machines,2026-01-01
globex,own,house-llm,,,32000,USD/Mtok,0.9,0.09,2.1,0.000125,,own machines,2026-01-01
""",
    CORRECTED: """\
tenant,provider,model,aliases,tier,unit,input,cached_input,output,discount_percent,effective_from,source,as_of
,openai,gpt-4o,gpt-4o-2024-08-06 gpt-4o-2024-11-20,,USD/Mtok,3.1,1.7,11.3,,{h1_30},a test,2026-11-22
,openai,gpt-4o,gpt-4o-2024-08-06 gpt-4o-2024-11-20,batch,USD/Mtok,1.6,,5.7,,{h1_30},a test,2026-11-22
,own,house-llm,,,USD/Mtok,0.31,,0.93,,,a test,2026-11-22
,openai,gpt-5-nano,,,none,,,,,{h2_31},a test,2026-11-22
acme,,*,,,USD/Mtok,,,,33.3333,{h0_44},a contract,2026-11-22
""",
    QUIETLY: """\
provider,model,tier,above_tokens,unit,input,cached_input,output,request,effective_from,source,as_of
google,gemini-2.5-pro,,,USD/Mtok,1.27,,9.9,0.00001,,a test,2026-11-22
google,gemini-2.5-pro,,200000,USD/Mtok,2.7,0.2,14.9,0.00001,,a test,2026-11-22
,*,,,USD/Mtok,10,,30,,{h2_13},a test,2026-11-22
""",
}

PROGRESS = "SELECT FROM llm_reprice WHERE finished_at IS NULL FOR UPDATE"
A_CORRECTION = "datname = current_database() AND application_name = 'streamlens-admin'"
# Perhaps behind others that wait for it as well.
WAITS_FOR_THE_TEST = (
    f"WITH RECURSIVE waits(pid) AS (SELECT pid FROM pg_stat_activity WHERE {A_CORRECTION}"
    " UNION SELECT unnest(pg_blocking_pids(pid)) FROM waits)"
    " SELECT EXISTS (SELECT FROM waits JOIN pg_stat_activity USING (pid)"
    " WHERE application_name = 'psql' AND state = 'idle in transaction')")


class Plan:
    """The hours, which are over, and their minutes."""

    def __init__(self, now):
        self.base = (int(now) - 2 * MINUTE) // HOUR * HOUR - HOURS * HOUR
        self.start, self.end = self.base + RANGE_FROM_S, self.base + RANGE_TO_S
        self.words = {f"h{h}_{m}": iso(self.at(h, m)).replace(".000000", "") for h in range(HOURS) for m in BUSY}

    def at(self, hour, minute):
        return self.base + hour * HOUR + minute * MINUTE

    def minutes(self, *kinds, hours=range(-1, HOURS)):
        return [self.at(h, m) for h in hours for kind in kinds for m in kind]

    def is_inside(self, key):
        return self.start <= key[3] < self.end


class Events:
    def __init__(self, rng, plan):
        self.rng, self.plan, self.serial = rng, plan, 0
        self.open = []  # requests that may yet be answered

    def names(self):
        rng = self.rng
        tenant = rng.choice((*ORDINARY, CROWDED))
        route = f"/route-{rng.randrange(8)}" if tenant == CROWDED else rng.choice(("/chat", "/embed"))
        return tenant, route, rng.choice(tuple(ASKED))

    def request(self, minute, names=None):
        tenant, route, model = names or self.names()
        self.serial += 1
        event = {"type": "request", "request_id": f"{self.serial}-{self.rng.getrandbits(48):x}", "tenant_id": tenant,
                 "route": route, "model": model, "timestamp": minute * 1000 + self.rng.randrange(60_000)}
        if self.rng.random() < 0.7:
            event["prompt_tokens"] = self.rng.randrange(4000)
        return event

    def response(self, request):
        rng = self.rng
        event = {"type": "response", "request_id": request["request_id"], "timestamp": request["timestamp"] + 9,
                 "latency_ms": rng.randrange(1, 9000), "completion_tokens": rng.randrange(2000)}
        if rng.random() < 0.5:
            event["prompt_tokens"] = rng.choice((rng.randrange(900), rng.randrange(30_000, 300_000)))
        if rng.random() < 0.4:
            event["cached_prompt_tokens"] = rng.randrange(1000)
        if rng.random() < 0.2:
            event.update(cache_write_tokens=rng.randrange(300), cache_write_1h_tokens=rng.randrange(150))
        if rng.random() < 0.2:
            event["reasoning_tokens"] = rng.randrange(500)
        if rng.random() < 0.2:
            event["service_tier"] = rng.choice(("batch", "default", "no-such-tier"))
        model = rng.choice(ASKED[request["model"]])
        return {**event, "model": model} if model else event

    def pair(self, minute, names=None):
        request = self.request(minute, names)
        return [request, self.response(request)]

    def pairs(self, count, minutes):
        """In disorder; now and then without an answer, or one of them twice."""
        sent = []
        for _ in range(count):
            request, response = self.pair(self.rng.choice(minutes))
            sent.append(request)
            if self.rng.random() < 0.04:
                self.open.append(request)
            else:
                sent.append(response)
        sent += [event for event in sent if self.rng.random() < 0.01]
        self.rng.shuffle(sent)
        return sent

    def late(self):
        """For windows that are closed, some of them without a row so far; and answers long waited for."""
        rng = self.rng
        sent = self.pairs(30, self.plan.minutes(BUSY, NEW))
        busy = [r for r in self.open if r["timestamp"] // 60_000 % 60 not in QUIET]
        for request in rng.sample(busy, min(2, len(busy))):
            self.open.remove(request)
            sent.append(self.response(request))
        return sent


class Traffic(threading.Thread):
    """Late events, one batch after the other, until it is ended."""

    def __init__(self, world):
        super().__init__()
        self.world, self.over, self.error = world, threading.Event(), None
        self.start()

    def run(self):
        try:
            while not self.over.wait(0.1):
                self.world.send(self.world.events.late())
        except BaseException as e:  # told by end()
            self.error = e

    def end(self):
        self.over.set()
        self.join()
        if self.error:
            raise self.error


def minute_of_hour(key):
    return key[3] % HOUR // MINUTE


Seen = collections.namedtuple("Seen", ("minutes", "hours", "rows"))


def total(table, column):
    return sum(row[column] for row in table.values())


class World:
    """The stack, what was sent to it, and what that must give."""

    def __init__(self, stack, sql):
        self.stack, self.sql, self.rng = stack, sql, random.Random(SEED)
        self.plan = Plan(time.time())
        self.events = Events(random.Random(SEED + 1), self.plan)  # of a thread of its own
        self.truth = Truth(Catalogue(), FORMS)
        with open(os.path.join(ROOT, "deploy", "admin", "prices", "catalogue.csv"), encoding="utf-8") as file:
            self.truth.add_prices(file.read(), 1)
        self.set_prices(AGREED)

    def number(self, statement):
        return int(self.sql(statement)[0])

    # ---- traffic ----

    def send(self, events):
        for at in range(0, len(events), 2000):
            self.stack.post_batch(events[at:at + 2000])
        self.truth.add(events)

    def counted(self):
        return self.number("SELECT coalesce(sum(requests + responses), 0) FROM llm_minute")

    def wait_counted(self):
        want = len(self.truth.requests) + self.truth.answered()
        wait_for(lambda: self.counted() == want, f"{want} requests and answers counted", PATIENCE_S)

    def wait_more_counted(self, more):
        want = self.counted() + more
        wait_for(lambda: self.counted() >= want, f"{more} more requests and answers counted", PATIENCE_S)

    def fill(self):
        """First and last those whose rows are to be held. One row has more lines than it keeps."""
        minutes, names = self.plan.minutes(QUIET, BUSY), ("house-llm", "gemini-2.5-pro")
        sent = self.pair_each(FIRST, names[:1]) + self.pair_each(FIRST, names[1:])
        self.send(sent[:len(sent) // 2])
        self.wait_counted()
        self.send(sent[len(sent) // 2:])
        self.wait_counted()
        sent = self.events.pairs(PAIRS, minutes)
        for n in range(90):
            request, response = self.events.pair(self.plan.at(2, QUIET[2]), ("plain", "/many", "house-llm"))
            sent += [request, {**response, "model": f"model-{n:02d}"}]
        self.send(sent)
        self.wait_counted()
        self.send(self.pair_each(LAST, names))
        self.wait_counted()

    def pair_each(self, tenant, models):
        """Of which every one costs something else when the model does."""
        pairs = [self.events.pair(minute, (tenant, "/chat", model))
                 for model in models for minute in self.plan.minutes(QUIET)]
        return [{**event, "prompt_tokens": 1000, "service_tier": None, "model": request["model"]}
                for request, response in pairs for event in (request, response)]

    # ---- prices and corrections ----

    def set_prices(self, version):
        text = PRICES[version].format(**self.plan.words)
        path = os.path.join(self.stack.tmp, self.stack.id + "-prices.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = self.stack.admin("price", "set", "--now", path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert self.number("SELECT max(version) FROM llm_price_version") == version, done.stdout
        self.truth.add_prices(text, version)

    def reprice(self, *flags):
        """The process."""
        whole = [f"--from={iso(self.plan.start)}", f"--to={iso(self.plan.end)}", "--json", *flags]
        return subprocess.Popen([self.stack.program("admin"), "reprice", *whole], env=self.stack.env, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self, process):
        """What it says, by name."""
        out, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, (process.returncode, out, errors)
        return dict(pair for line in out.splitlines() for pair in json.loads(line).items())

    def kill(self, process):
        process.kill()
        process.communicate()

    def wait_gone(self):
        """The server has seen that the killed one is."""
        wait_for(lambda: self.number("SELECT count(*) FROM pg_stat_activity WHERE " + A_CORRECTION) == 0,
                 "an end of the killed correction", PATIENCE_S)

    def reprice_until_locked(self):
        """The process, which has come to a lock that the test holds."""
        process = self.reprice()

        def waits():
            assert process.poll() is None, f"it came to no lock: {process.communicate()[1]}"
            return self.sql(WAITS_FOR_THE_TEST) == ["t"]
        wait_for(waits, "a correction that waits for a lock", PATIENCE_S)
        return process

    def kill_at(self, lock, meanwhile=lambda: None):
        """A correction is killed where it has come to what the statement locks."""
        with self.stack.holding(lock):
            process = self.reprice_until_locked()
            meanwhile()
            self.kill(process)
        self.wait_gone()

    def kill_within(self, seconds):
        process = self.reprice()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        self.kill(process)
        self.wait_gone()

    def row_of(self, tenant, model, hour):
        """The first of the hour that a correction is to change."""
        at = next(m for m in self.plan.minutes(QUIET, hours=[hour]) if m >= self.plan.start)
        return (f"SELECT FROM llm_minute JOIN llm_series USING (series_id) WHERE tenant_id = '{tenant}'"
                f" AND model = '{model}' AND window_start = to_timestamp({at}) FOR UPDATE OF llm_minute")

    # ---- what came out ----

    def version_of(self, tenant, hour):
        return self.number("SELECT max(price_version) FROM llm_minute JOIN llm_series USING (series_id) WHERE"
                           f" tenant_id = '{tenant}' AND window_start = to_timestamp({self.plan.at(hour, QUIET[-1])})")

    def table(self, name):
        """{(tenant, route, model, start): row}; of histograms the hash."""
        text = self.stack.sql(
            "SELECT coalesce(json_agg(to_jsonb(m) - 'latency_hdr' - 'ttft_hdr' || jsonb_build_object('key',"
            " jsonb_build_array(tenant_id, route, model, extract(epoch FROM window_start)::bigint), 'xmin', m.xmin,"
            f" 'hdr', md5(latency_hdr), 'ttft', md5(ttft_hdr))), '[]') FROM {name} m JOIN llm_series USING (series_id)")
        return {tuple(row.pop("key")): row for row in json.loads(text)}

    def read(self):
        """Rows of minutes and of hours, by key; and what is to be counted."""
        minutes, hours = self.table("llm_minute"), self.table("llm_hour")
        return Seen(minutes, hours, self.truth.rows({key[:3] for key in hours}))

    def windows(self):
        return self.sql("SELECT w, w.xmin FROM llm_window w ORDER BY 1")

    def costs(self, key, row, version):
        return self.truth.costs(key, row.lines, SAME.get(version, version))

    def wait_published(self):
        """How many records each row has, once all that is due has been sent. Rows that were sent a moment ago are made
        to wait no longer."""
        left = ("SELECT count(*) FROM llm_minute m JOIN llm_publish p USING (series_id, window_start) JOIN llm_window w"
                " USING (window_start) WHERE NOT w.complete OR w.changes <> w.looked_changes OR p.again"
                " OR p.publish_seq = 0 OR p.published_revision <> m.revision")

        def none_left():
            self.sql("BEGIN; SELECT FROM llm_window ORDER BY window_start FOR UPDATE;"
                     " UPDATE llm_window SET due_at = now() WHERE due_at > now();"
                     " UPDATE llm_publish p SET published_at = p.published_at - interval '1 minute' FROM llm_minute m"
                     " WHERE m.series_id = p.series_id AND m.window_start = p.window_start"
                     " AND p.published_revision <> m.revision; COMMIT")
            return self.number(left) == 0
        wait_for(none_left, "an end of publishing", PATIENCE_S)
        last = []

        def all_there():
            published = Published(self.stack)
            last[:] = published.differences()
            return None if last else published
        try:
            published = wait_for(all_there, "the last record of each row", PATIENCE_S)
        except AssertionError as e:
            raise AssertionError(f"{e}: {last[:5]} and {len(last)} in all") from None
        assert not published.problems(), published.problems()
        return collections.Counter({(*(records[0][n] for n in NAMES), micros(start) // 10 ** 6): len(records)
                                    for (_, start), records in published.by_row.items()})


# Beside the costs, what an hour has of its minutes.
TOKENS = ("uncached_prompt_tokens", "cached_prompt_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
          "completion_tokens", "reasoning_tokens")
ADDITIVE = (*COSTS, *TOKENS, "requests", "responses", "unanswered", "errors", "latency_count", "latency_sum_us")
OF_CORRECTIONS = (*COSTS, "price_version", "revision", "updated_at", "xmin")


def line_of(u):
    return [u["requests"], *(u[name] for name in TOKENS[:4]), u["completion_tokens"] - u["reasoning_tokens"],
            u["reasoning_tokens"]]


def usd(pusd):
    return Decimal(pusd).scaleb(-12, EXACT)


def shown_costs(sums):
    """As the metrics API shows these columns, or sums of them."""
    dollars = {name.removesuffix("_pusd"): float(usd(sums[name])) for name in COSTS if name.endswith("_pusd")}
    return {"estimated_cost_usd": dollars["cost"], "uncached_prompt_cost_usd": dollars["cost_input"],
            "cached_prompt_cost_usd": dollars["cost_cached_input"],
            "cache_write_5m_cost_usd": dollars["cost_cache_write_5m"],
            "cache_write_1h_cost_usd": dollars["cost_cache_write_1h"],
            "completion_cost_usd": float(usd(sums["cost_output_pusd"] + sums["cost_reasoning_pusd"])),
            "reasoning_cost_usd": dollars["cost_reasoning"], "request_cost_usd": dollars["cost_request"],
            "cache_savings_usd": dollars["cache_savings"],
            **{name: sums[name] for name in ("requests", "responses", *COSTS[-3:])}}


class Corrections(unittest.TestCase):
    def test_the_past_is_corrected_while_everything_runs(self):
        print(f"seed {SEED}")
        self.began = time.monotonic()
        with Stack(env=ENV, partitions=4) as self.s, Session(self.s.dsn) as sql:
            for name in ("ingest-api", "processor", "processor-2", "metrics-api"):
                self.s.start(name, ready=False)
            for service in self.s.services.values():
                service.wait_ready()
            self.w = World(self.s, sql)
            self.w.fill()
            self.check_all("as it began")
            beginning = self.seen.minutes

            self.w.set_prices(CORRECTED)
            self.check_dry_run()
            self.correct_under_fire()
            self.w.finish(self.w.reprice())  # rows that late events came for afterwards
            self.check_all("corrected", CORRECTED)

            self.w.set_prices(QUIETLY)
            self.correct_alone("corrected without traffic", QUIETLY)
            self.correct_nothing()

            self.restore()
            self.correct_alone("the old prices again", RESTORED)
            self.check_beginning(beginning)

    def clock(self, what):
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    # ---- corrections ----

    def correct_under_fire(self):
        """Killed wherever it may be: before and behind its locks, with rows changed, with the windows told. The last
        hour is not reached before all that."""
        w, rng, before, records = self.w, self.w.rng, self.seen, self.records
        traffic = Traffic(w)
        try:
            w.wait_more_counted(100)
            with self.s.holding(w.row_of(FIRST, "house-llm", HOURS - 1)):
                w.kill_at(w.row_of(FIRST, "house-llm", 0), lambda: w.wait_more_counted(200))
                w.kill_at(w.row_of(FIRST, "house-llm", 1), self.kill_a_processor)
                w.kill_at(w.row_of(LAST, "house-llm", 1))
                w.kill_at(f"SELECT FROM llm_window WHERE window_start = to_timestamp({w.plan.at(1, QUIET[1])})"
                          " FOR UPDATE")
                w.kill_at(PROGRESS)
                self.assertEqual([w.version_of(FIRST, h) for h in range(2)], [CORRECTED, AGREED])
                for _ in range(3):
                    w.kill_within(rng.uniform(0, 0.5))
                last = w.reprice_until_locked()
                w.wait_more_counted(400)
            self.assertTrue(w.finish(last)["result"]["went_on"])
            w.wait_more_counted(100)
        finally:
            traffic.end()
        self.assertEqual(w.sql("SELECT count(*), count(finished_at) FROM llm_reprice"), ["1|1"])
        self.s.services[self.killed].wait_ready()
        w.wait_counted()
        self.check_all("corrected under fire", CORRECTED, QUIET)
        more = self.records - records
        self.assertEqual({key: n for key, n in more.items() if minute_of_hour(key) in QUIET},
                         {key: 1 for key in self.to_change(before, CORRECTED) if minute_of_hour(key) in QUIET})

    def kill_a_processor(self):
        self.killed = self.w.rng.choice(("processor", "processor-2"))
        self.s.services[self.killed].kill()
        self.s.start(self.killed, ready=False)

    def correct_alone(self, when, version):
        """Every row that costs something else is changed once and published once more, no other one is touched."""
        w, before, records = self.w, self.seen, self.records
        to_change = self.to_change(before, version)
        hours_to_change = {(*key[:3], key[3] // HOUR * HOUR) for key in to_change}
        self.assertGreater(len(to_change), 100)
        self.assertGreater(len(before.rows), len(to_change) + 100)

        w.kill_at(w.row_of(FIRST, "gemini-2.5-pro", 1))
        w.kill_at(PROGRESS)
        answer = w.finish(w.reprice())
        self.check_all(when, version)
        self.check_touched(before.minutes, self.seen.minutes, to_change, version)
        self.check_touched(before.hours, self.seen.hours, hours_to_change, version)
        inside = [key for key, row in before.rows.items() if row.lines and w.plan.is_inside(key)]
        self.assertLess(answer["result"]["rows_read"], len(inside), "it began anew")
        change = total(self.seen.minutes, "cost_pusd") - total(before.minutes, "cost_pusd")
        self.check_answer(answer, len(to_change), len(hours_to_change), change)
        self.assertEqual(self.records - records, collections.Counter(to_change))
        self.clock(f"{len(to_change)} rows were changed, by {usd(change)} USD")

    def to_change(self, seen, version):
        """Keys of the rows that cost something else by that version."""
        return {key for key, row in seen.rows.items() if self.w.plan.is_inside(key) and
                self.w.costs(key, row, version) != self.w.costs(key, row, seen.minutes[key]["price_version"])}

    def check_touched(self, before, after, changed, version):
        self.assertEqual(set(after), set(before))
        for key, row in after.items():
            was, own = before[key], OF_CORRECTIONS if key in changed else ()
            self.assertEqual({n: v for n, v in row.items() if n not in own},
                             {n: v for n, v in was.items() if n not in own}, key)
            if own:
                self.assertEqual((row["price_version"], row["revision"]), (version, was["revision"] + 1), key)

    def correct_nothing(self):
        """Once more: nothing changes, and the next that is published is something else."""
        w, before, records = self.w, self.seen, self.records
        windows = w.windows()
        self.check_answer(w.finish(w.reprice()), 0, 0, 0)
        self.assertEqual(w.read(), before)
        self.assertEqual(w.windows(), windows)
        at = w.plan.at(HOURS - 1, 58)
        w.send(w.events.pair(at, (FIRST, "/chat", "house-llm")))
        w.wait_counted()
        self.check_all("and something else")
        self.assertEqual(self.records - records, collections.Counter([(FIRST, "/chat", "house-llm", at)]))

    def restore(self):
        done = self.s.admin("price", "restore", str(AGREED))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.w.number("SELECT max(version) FROM llm_price_version"), RESTORED)

    # ---- what came out ----

    def check_dry_run(self):
        """Per model of the lines what Decimal says; and nothing is another."""
        w, before, windows = self.w, self.seen, self.w.windows()
        want = collections.defaultdict(collections.Counter)
        for key, row in before.rows.items():
            for line, (requests, *tokens) in row.lines.items() if w.plan.is_inside(key) else ():
                old, new = (w.truth.costs(key, {line: (requests, *tokens)}, v) for v in (AGREED, CORRECTED))
                unpriced = new["unpriced_requests"] - old["unpriced_requests"]
                for model in (line.model, None):
                    want[model].update(
                        requests=requests, tokens=sum(tokens), before_usd=old["cost_pusd"], after_usd=new["cost_pusd"],
                        change_usd=new["cost_pusd"] - old["cost_pusd"],
                        before_unpriced_requests=old["unpriced_requests"],
                        after_unpriced_requests=new["unpriced_requests"],
                        now_priced_requests=max(-unpriced, 0), now_unpriced_requests=max(unpriced, 0))
        answer = w.finish(w.reprice("--dry-run"))
        self.assertEqual(set(answer), {"difference"})
        found = answer["difference"]
        stored = sum(m["cost_pusd"] for key, m in before.minutes.items() if w.plan.is_inside(key))
        self.assertEqual(Decimal(found["stored_usd"]), usd(stored))
        self.assertEqual({m["model"] for m in found["models"]}, set(want) - {None})
        for model in (*found["models"], {"model": None, **found["total"]}):
            got = {name: pico(Decimal(model[name])) if name.endswith("_usd") else model[name]
                   for name in want[model["model"]]}
            self.assertEqual(got, dict(want[model["model"]]), model["model"])
        self.assertEqual(w.table("llm_minute"), before.minutes)
        self.assertEqual(w.windows(), windows)
        self.assertEqual(w.number("SELECT count(*) FROM llm_reprice"), 0)
        self.clock(f"{len(want) - 1} models as Decimal has them, {usd(want[None]['change_usd'])} USD")

    def check_answer(self, answer, rows, hours, change):
        result = answer["result"]
        got = {name: result[name] for name in ("rows_changed", "hours_changed", "hours_left", "cost_change_usd")}
        got["cost_change_usd"] = Decimal(got["cost_change_usd"])
        self.assertEqual(got, {"rows_changed": rows, "hours_changed": hours, "hours_left": 0,
                               "cost_change_usd": usd(change)})
        self.assertEqual(self.w.sql(
            "SELECT rows_changed, hours_changed, hours_left, cost_change_pusd, finished_at IS NOT NULL FROM llm_reprice"
            " ORDER BY reprice_id DESC LIMIT 1"), [f"{rows}|{hours}|0|{change}|t"])

    def check_all(self, when, version=None, minutes_of_hours=range(60)):
        """Rows cost what they cost by the version that they name; with `version` those of the range, in these minutes
        of its hours, by that one."""
        w = self.w
        self.records, self.seen = w.wait_published(), w.read()
        minutes, hours, rows = self.seen
        self.assertEqual(set(minutes), set(rows))
        for key, row in rows.items():
            got = minutes[key]
            self.assertEqual((got["requests"], got["responses"], got["unanswered"]), (row.requests, row.responses, 0))
            lines = {(u["model"], u["asked"], u["tier"], u["context_above"]): line_of(u) for u in got["usage"]}
            self.assertEqual(lines, {tuple(line): sums for line, sums in row.lines.items()}, key)
            stored = {name: got[name] for name in COSTS}
            self.assertEqual(stored, w.costs(key, row, got["price_version"]), (when, key, got["price_version"]))
            if version and w.plan.is_inside(key) and minute_of_hour(key) in minutes_of_hours:
                self.assertEqual(stored, w.costs(key, row, version), (when, key, got["price_version"]))
        self.check_hours(minutes, hours)
        self.check_api(minutes)
        cost, *counts = (total(minutes, n) for n in ("cost_pusd", "responses", "unpriced_requests", "guessed_requests"))
        self.clock(f"{when}: {len(rows)} rows, {usd(cost)} USD; answers, of them unpriced and guessed: {counts}")

    def check_hours(self, minutes, hours):
        sums, versions = collections.defaultdict(collections.Counter), collections.Counter()
        for key, row in minutes.items():
            hour = (*key[:3], key[3] // HOUR * HOUR)
            sums[hour].update({name: row[name] for name in ADDITIVE})
            versions[hour] = max(versions[hour], row["price_version"])
        self.assertEqual(set(hours), set(sums))
        for key, row in hours.items():
            self.assertEqual({name: row[name] for name in ADDITIVE}, dict(sums[key]), key)
            self.assertEqual(row["price_version"], versions[key], key)

    def check_api(self, minutes):
        """What was asked before is kept, until a notification says that it changed."""
        tenants = sorted({key[0] for key in minutes})
        wrong = []

        def all_same():
            wrong[:] = [w for tenant in tenants for w in self.wrong_rows(tenant, minutes)] + self.wrong_costs(minutes)
            return not wrong
        try:
            wait_for(all_same, "answers that are the rows", PATIENCE_S)
        except AssertionError as e:
            raise AssertionError(f"{e}: {wrong[:5]} and {len(wrong)} in all") from None

    def wrong_costs(self, minutes):
        """/v1/cost, which reads hours where it can."""
        want = collections.defaultdict(collections.Counter)
        for key, row in minutes.items():
            for group in ((key[0], key[2]), None):
                want[group].update({name: row[name] for name in ("requests", "responses", *COSTS)})
        answer = self.ask("cost", "*", group_by="tenant_id,model", limit=1000)
        got = {(c["tenant_id"], c["model"]): c for c in answer["cost"]} | {None: answer["total"]}
        wrong = list(got.keys() ^ want.keys())
        for group in got.keys() & want.keys():
            shown = {**shown_costs(want[group]), "estimated_cost_usd_decimal": usd(want[group]["cost_pusd"])}
            found = {name: got[group][name] for name in shown}
            found["estimated_cost_usd_decimal"] = Decimal(found["estimated_cost_usd_decimal"])
            wrong += [(group, name, found[name], shown[name]) for name in shown if found[name] != shown[name]]
        return wrong

    def wrong_rows(self, tenant, minutes):
        rows = {key: row for key, row in minutes.items() if key[0] == tenant}
        answer = self.ask("metrics", tenant, limit=10000)
        got = {(tenant, m["route"], m["model"], micros(m["window_start"]) // 10 ** 6): m for m in answer["metrics"]}
        wrong = [key for key in rows if key not in got] + [key for key in got if key not in rows]
        for key in got.keys() & rows.keys():
            shown, row = got[key], rows[key]
            want = {**shown_costs(row), "revision": row["revision"], "price_version": row["price_version"]}
            wrong += [(key, name, shown[name], want[name]) for name in want if shown[name] != want[name]]
        return wrong

    def ask(self, what, tenant, **more):
        query = urllib.parse.urlencode({"tenant_id": tenant, "from": iso(self.w.plan.at(-1, 0)),
                                        "to": iso(self.w.plan.at(HOURS, 0)), **more})
        status, body = self.s.services["metrics-api"].get(f"/v1/{what}?{query}")
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def check_beginning(self, beginning):
        """Rows that nothing came for have the costs that they began with."""
        same = 0
        for key, row in self.seen.minutes.items():
            was = beginning.get(key)
            if was and was["usage"] == row["usage"]:
                self.assertEqual({n: row[n] for n in COSTS}, {n: was[n] for n in COSTS}, key)
                same += 1
        self.assertGreater(same, 100)
        self.clock(f"{same} rows cost what they began with")


if __name__ == "__main__":
    unittest.main()
