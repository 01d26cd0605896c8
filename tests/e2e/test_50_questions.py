# SPDX-License-Identifier: Apache-2.0
"""Random questions to the metrics API, each answered as an oracle answers it that knows the raw events alone: also
page by page while rows are added, right after late events for hours long closed, and out of the cache."""
import bisect
import concurrent.futures
import itertools
import os
import random
import threading
import time
import unittest

from pg_proxy import PgProxy
from prices import Catalogue
from psql_session import Session
from question_check import Checker, Client, Knowledge, Wrong, expect, instant, parse_json, stamp
from question_events import DAY, HOUR, MINUTE, MODELS, OPEN_FROM, ROUTES, TENANTS, Events
from question_maker import LISTS, Maker, Question, Time
from question_oracle import NAMES, Oracle
from stack import ROOT, Stack, http_call, wait_for

SEED = int(os.environ.get("SL_SEED", "20261123"))
QUESTIONS = int(os.environ.get("SL_QUESTIONS", "300"))
PAIRS = 9000
STALE_MS = 2000  # a notification takes milliseconds; a busy machine takes longer to hear it
CLIENTS = 50
ASKING_S = 6
SHORT = {"JOIN_TTL_MS": "1000", "JOIN_SKEW_MS": "4000"}  # of the first epoch: a request is soon unanswered


class World:
    """The stack, what was sent to it, and what that must give."""

    def __init__(self, stack):
        self.stack, self.rng = stack, random.Random(SEED)
        self.began = time.time() - 1
        self.events = Events(self.rng, int(self.began) // MINUTE * MINUTE, f"q{SEED}")
        with open(os.path.join(ROOT, "deploy", "admin", "prices", "catalogue.csv"), encoding="utf-8") as file:
            catalogue = Catalogue()
            catalogue.add_file(file.read(), 1)
        self.oracle = Oracle(catalogue, 1)
        self.sql = Session(stack.dsn)
        self.client = Client(stack.services["metrics-api"].port)
        self.maker = Maker(self.rng, self.events, TENANTS, ROUTES, MODELS)
        self.checker = Checker(self.oracle, self.client,
                               Knowledge(self.events.now + OPEN_FROM, self.closed_through, self.began))

    def closed_through(self):
        text = self.sql("SELECT extract(epoch FROM closed_through)::bigint FROM streamlens_publisher")[0]
        return int(text) if text else None

    def send(self, events, given_up=False):
        for at in range(0, len(events), 2000):
            self.stack.post_batch(events[at:at + 2000])
        self.oracle.add(events, given_up)

    def counted(self):
        text = self.sql("SELECT sum(requests), sum(responses), sum(unanswered) FROM llm_minute")[0]
        return dict(zip(("requests", "responses", "unanswered"), (int(n or 0) for n in text.split("|"))))

    def wait_counted(self, seconds=90, every=0.05):
        want = self.oracle.totals()
        wait_for(lambda: self.counted() == want, f"{want}", seconds, every)

    def wait_closed(self):
        """Every window but those that are still to come."""
        wait_for(lambda: self.sql("SELECT count(*) FROM llm_window WHERE NOT complete AND window_start <"
                                  f" to_timestamp({self.events.now})") == ["0"], "the windows closed", 60)

    def fill(self):
        """What has no answer, under a short TTL; then the rest, under one that ends after the test."""
        self.send([self.events.request() for _ in range(150)], given_up=True)
        self.wait_counted()
        done = self.stack.admin("settings", "set", "JOIN_TTL_MS=7200000")
        assert done.returncode == 0, done.stderr
        border = int(self.sql("SELECT max(from_ms) FROM streamlens_settings_from")[0])
        wait_for(lambda: time.time() * 1000 > border, "the new TTL to hold", 30)
        self.send(self.events.many_classes() + self.events.pairs(PAIRS))
        self.wait_counted()
        self.wait_closed()

    def check(self, q):
        try:
            self.checker.check(q)
        except Wrong as e:
            raise AssertionError(f"seed {SEED}: {q.path()}: {e}") from None

    def close(self):
        self.client.close()
        self.sql.close()


class Feeder(threading.Thread):
    """Sends events for windows old and new, and now and then a series that was not there, until it is stopped."""

    def __init__(self, world):
        super().__init__()
        self.world, self.stopping, self.sent, self.failed = world, False, [], None
        self.events = Events(random.Random(SEED + 1), world.events.now, f"f{SEED}-{time.monotonic_ns()}")
        self.pace = threading.Event()

    def batch(self):
        events, now = self.events, int(time.time()) // MINUTE * MINUTE
        new = [events.request(now, ("acme", f"/new/{len(self.sent):06d}", "gpt-4o")) for _ in range(3)]
        around = [events.request(now - MINUTE * events.rng.randrange(3)) for _ in range(20)]
        return new + around + events.late(25)

    def run(self):
        try:
            while not self.stopping:
                batch = self.batch()
                self.world.stack.post_batch(batch)
                self.sent += batch
                self.pace.wait(0.1)
        except (AssertionError, OSError) as e:
            self.failed = e

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.join()
        self.world.oracle.add(self.sent)
        if self.failed:
            raise self.failed


class Asked:
    """The answers of many clients, and what the database was seen to hold meanwhile. A tenant's requests only
    become more, so the sum tells how old an answer is."""

    def __init__(self, world, paths, held_sql):
        self.world, self.paths, self.held_sql = world, paths, held_sql
        self.ends, self.lock = threading.Event(), threading.Lock()
        self.answers, self.held = [], []  # (path, asked, received, sum); (begun, seen, sum)
        self.bodies, self.not_modified, self.failures = {}, 0, []

    def run(self, seconds):
        threads = [threading.Thread(target=self.guarded, args=(self.ask, n)) for n in range(CLIENTS)]
        threads.append(threading.Thread(target=self.guarded, args=(self.look, 0)))
        for thread in threads:
            thread.start()
        self.ends.wait(seconds)
        self.ends.set()
        for thread in threads:
            thread.join()
        assert not self.failures, self.failures[0]

    def guarded(self, what, n):
        try:
            what(n)
        except Exception as e:  # pylint: disable=broad-except
            self.failures.append(e)
            self.ends.set()

    def look(self, _):
        with Session(self.world.stack.dsn) as sql:
            while not self.ends.is_set():
                begun = time.monotonic()
                n = int(sql(self.held_sql)[0])
                self.held.append((begun, time.monotonic(), n))
                self.ends.wait(0.003)

    def ask(self, n):
        client, tags, path = Client(self.world.client.connection.port), {}, self.paths[n % len(self.paths)]
        plain = n % 2 == 0
        while not self.ends.is_set():
            headers = {} if plain else {"Accept-Encoding": "gzip"}
            if tags.get(path):
                headers["If-None-Match"] = tags[path]
            asked = time.monotonic()
            status, answer, body = client.get(path, headers)
            received = time.monotonic()
            with self.lock:
                self.take(path, asked, received, (status, answer["ETag"], body), headers.get("If-None-Match"))
            tags[path] = answer["ETag"]
        client.close()

    def take(self, path, asked, received, answer, had):
        status, tag, body = answer
        if status == 304:
            self.not_modified += 1
            expect(tag == had, "304 with the tag", tag, "for", had)
        else:
            expect(status == 200 and tag != had, status, body[:300])
            expect(self.bodies.setdefault((path, tag), body) == body, "two answers under one tag")
        body = self.bodies[path, tag]
        rows = parse_json(body)["metrics"]
        for row in rows:
            parts = row["responses"] + row["unanswered"] + row["in_flight"]
            expect(row["requests"] == parts and row["errors"] == sum(row["error_classes"].values()), row)
        self.answers.append((path, asked, received, sum(row["requests"] for row in rows)))

    def check(self):
        """The greatest age of an answer, in s, by what the database was seen to hold; none is newer than that. And of
        one question none is older than one that somebody had before it was asked."""
        worst = 0.0
        begun, seen = [h[0] for h in self.held], [h[1] for h in self.held]
        for path in self.paths:
            self.check_forward(sorted((got, n, asked) for p, asked, got, n in self.answers if p == path))
        for path, asked, got, n in self.answers:
            after = bisect.bisect_left(begun, got)
            expect(after == len(begun) or n <= self.held[after][2], path, "gave", n, "before it was there")
            for at in range(bisect.bisect_right(seen, asked) - 1, -1, -1):
                if self.held[at][2] <= n:
                    break
                worst = max(worst, asked - seen[at])
        return worst

    @staticmethod
    def check_forward(answers):
        times, best = [got for got, _, _ in answers], list(itertools.accumulate((n for _, n, _ in answers), max))
        for _, n, asked in answers:
            before = bisect.bisect_right(times, asked)
            expect(before == 0 or n >= best[before - 1], "went back to", n, "from", before and best[before - 1])


class Questions(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED}")
        cls.stack = Stack(partitions=3, env={**SHORT, "CACHE_MAX_AGE_MS": "3600000",
                                             "MAX_BATCH_BYTES": str(4 << 20)})
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.__enter__()
        for name in SHORT:
            del cls.stack.env[name]  # they are pinned now
        cls.stack.start_all()
        cls.stack.start("processor-2")
        cls.world = World(cls.stack)
        cls.addClassCleanup(cls.world.close)
        cls.world.fill()

    def test_1_any_question(self):
        world, checker, began = self.world, self.world.checker, time.monotonic()
        paged = 0
        for _ in range(QUESTIONS):
            q = world.maker.question()
            world.check(q)
            if self.pages_of(q):
                paged += 1
        took = time.monotonic() - began
        print(f"{QUESTIONS} questions, {paged} of them also in {checker.pages} pages, {checker.refused} refused:"
              f" {checker.rows} rows, {world.client.asked} requests in {took:.1f} s")
        self.assertGreater(checker.rows, 5 * QUESTIONS)
        self.assertGreater(checker.pages, QUESTIONS // 10)

    def pages_of(self, q):
        rng, fixed = self.world.rng, lambda at: at is not None and not at.relative
        whole = q.endpoint == "metrics" and q.fill == "none" or q.endpoint in LISTS
        if not whole or not fixed(q.from_time) or not fixed(q.to_time) or rng.random() < 0.6:
            return False
        try:
            if q.endpoint in LISTS:
                self.world.checker.check_list_pages(q, rng)
            else:
                self.world.checker.check_pages(q, rng)
        except Wrong as e:
            self.fail(f"seed {SEED}: pages of {q.path()}: {e}")
        return True

    def cache_results(self):
        api = self.stack.services["metrics-api"]
        return [api.metric(f'streamlens_metrics_cache_total{{result="{r}"}}') for r in ("hit", "joined", "miss")]

    # ---- late data ----

    def mixed_questions(self, count):
        """Of closed hours and minutes at their edges, over most of what there is."""
        world, found = self.world, []
        while len(found) < count:
            q = world.maker.question()
            fixed = q.from_time and q.to_time and not q.from_time.relative and not q.to_time.relative
            if fixed and q.to_time.nominal_ms - q.from_time.nominal_ms > 20 * HOUR * 1000 and q.fill == "none":
                found.append(q)
        return found

    def questions_at(self, late):
        """Whose first or last window, or the range before which, has a late event, and often little more."""
        rng, found, requests = self.world.rng, [], [e for e in late if e["type"] == "request"]
        for request in rng.sample(requests, 9):
            minute = request["timestamp"] // 60_000 * MINUTE
            length = rng.choice((1, 1, 9, 100, 1500)) * MINUTE
            for frm, endpoint in ((minute, "metrics"), (minute - length + MINUTE, "metrics"),
                                  (minute + rng.choice((MINUTE, length)), "summary")):
                q = Question(endpoint)
                q.cells, q.group_by, q.tenant = True, (), request["tenant_id"]
                q.params = [("tenant_id", q.tenant), ("from", frm), ("to", frm + length)]
                q.from_time, q.to_time = (Time(rng, t * 1000, 0, False) for t in (frm, frm + length))
                if endpoint == "metrics":
                    q.params.append(("group_by", "none"))
                found.append(q)
        return found

    def test_2_late_events_are_in_the_next_answer(self):
        world, known = self.world, self.world.checker.known
        worst_ms = asked = 0
        for _ in range(max(4, QUESTIONS // 150)):
            late = world.events.late(120)
            questions = self.mixed_questions(8) + self.questions_at(late)
            hits = self.cache_results()[0]
            for q in questions * 2:
                world.check(q)
            self.assertGreater(self.cache_results()[0], hits)
            world.send(late)
            world.wait_counted(every=0.002)
            seen, known.strict = time.monotonic(), False  # what is late has yet to be closed
            for q in questions:
                worst_ms = max(worst_ms, self.soon_right(q, seen))
            asked += len(questions)
            known.strict = True
            world.wait_closed()
            for q in questions:
                wait_for(lambda q=q: self.is_right(q), f"{q.path()} with its windows closed", 2, 0.01)
        print(f"{asked} questions after late events, out of date for at most {worst_ms:.0f} ms after the commit")

    def soon_right(self, q, seen):
        """How long after `seen` the answer was still an old one, in ms; fails beyond what is promised."""
        wrong_ms = 0
        while True:
            asked_ms = (time.monotonic() - seen) * 1000
            try:
                self.world.checker.check(q)
                return wrong_ms
            except Wrong as e:
                wrong_ms = asked_ms
                self.assertLess(asked_ms, STALE_MS, f"seed {SEED}: still an old answer: {q.path()}: {e}")

    def is_right(self, q):
        try:
            self.world.checker.check(q)
            return True
        except Wrong:
            return False

    # ---- while rows are added ----

    KEYS = ("window_start", *NAMES)

    def key_of(self, row):
        return tuple(row[name] for name in self.KEYS if name in row)

    def order_of(self, key, descending):
        """Times by their order, names bytewise and ascending."""
        start, names = (key[0], key[1:]) if key[0][:3] == "202" else ("", key)
        return (-instant(start) if descending else instant(start)) if start else 0, [n.encode() for n in names]

    def walk(self, path, member):
        """Page by page: (keys in the order they came, how many pages)."""
        rng, keys, pages, cursor = self.world.rng, [], 0, None
        while True:
            more = f"&limit={rng.randrange(15, 120)}" + (f"&cursor={cursor}" if cursor else "")
            status, _, body = self.world.client.get(path + more)
            self.assertEqual(status, 200, body[:300])
            answer = parse_json(body)
            keys += [self.key_of(row) for row in answer[member]]
            pages, cursor = pages + 1, answer["next_cursor"]
            if cursor is None:
                return keys, pages

    def test_3_pages_while_rows_are_added(self):
        now, rows, pages = self.world.events.now, 0, 0
        between = f"&from={stamp(now - 7 * DAY)}&to={stamp(now + HOUR)}"
        base = "/v1/metrics?tenant_id=acme&fields=" + ",".join(self.KEYS)
        groups = base.replace("tenant_id,route,model", "route") + "&group_by=route" + between
        kinds = ("", between, "&from=now-7d&to=now%2B1h", f"{between}&model=gpt-4o&route=/chat", f"{between}&step=7m",
                 f"{between}&step=1h", f"{between}&step=1d&tz=Asia/Kathmandu",
                 f"{between}&group_by=tenant_id,route,model")
        cases = [(f"{base}{kind}&order={order}", "metrics", order == "desc") for order in ("asc", "desc")
                 for kind in kinds]
        cases += [(f"{groups}&step=90m&order={order}", "metrics", order == "desc") for order in ("asc", "desc")]
        cases += [(f"/v1/{name}?tenant_id=acme{between}", name, False) for name in ("series", "routes")]
        with Feeder(self.world) as feeder:
            wait_for(lambda: feeder.sent, "events of the feeder", 10)
            for path, member, descending in cases:
                before = self.world.counted()["requests"]
                status, _, body = self.world.client.get(path + "&limit=10000")
                self.assertEqual(status, 200, body[:300])
                there = [self.key_of(row) for row in parse_json(body)[member]]
                keys, n = self.walk(path, member)
                while self.world.counted()["requests"] == before and not feeder.failed:
                    keys, n = self.walk(path, member)  # nothing was added: go again
                self.assertEqual(len(keys), len(set(keys)), f"{path}: a row twice")
                self.assertEqual(keys, sorted(keys, key=lambda k, d=descending: self.order_of(k, d)), path)
                self.assertLessEqual(set(there), set(keys), f"{path}: a row missing")
                rows, pages = rows + len(keys), pages + n
        self.world.wait_counted()
        print(f"{rows} rows in {pages} pages while {len(feeder.sent)} events were added")

    def test_4_many_ask_the_same_while_flushes_run(self):
        world, now = self.world, self.world.events.now
        frm, to = now - 6 * DAY - 17 * MINUTE, now - 5 * MINUTE
        span = f"/v1/metrics?tenant_id=acme&from={frm}&to={to}"
        held = ("SELECT sum(requests) FROM llm_minute JOIN llm_series USING (series_id) WHERE tenant_id = 'acme'"
                f" AND window_start >= to_timestamp({frm}) AND window_start < to_timestamp({to})")
        asked = Asked(world, [f"{span}&group_by=none", f"{span}&group_by=route,model", f"{span}&step=1h&group_by=none",
                              f"{span}&step=53m&group_by=none"], held)
        before = self.cache_results()
        with Feeder(world) as feeder:
            wait_for(lambda: len(feeder.sent) > 100, "events of the feeder", 10)
            asked.run(ASKING_S)
        worst = asked.check()
        counted = [int(b - a) for a, b in zip(before, self.cache_results())]
        states = len({n for *_, n in asked.answers})
        print(f"{len(asked.answers)} answers to {CLIENTS} clients (hits, joined, misses: {counted}; 304:"
              f" {asked.not_modified}) of {states} states, at most {worst * 1000:.0f} ms old")
        self.assertLess(worst, STALE_MS / 1000)
        self.assertGreater(states, 5)
        self.assertTrue(all(counted) and asked.not_modified, counted)
        world.wait_counted()
        world.checker.known.strict = False
        for q in self.mixed_questions(20):
            world.check(q)

    def test_5_who_asks_after_a_flush_waits_for_no_answer_of_before(self):
        world, stack = self.world, self.stack
        with PgProxy(stack.dsn) as proxy, concurrent.futures.ThreadPoolExecutor(4) as pool:
            api = stack.start("metrics-api-2", env={"POSTGRES_READ_DSN": proxy.dsn(stack.dsn),
                                                    "QUERY_TIMEOUT_MS": "60000", "CACHE_MAX_AGE_MS": "3600000"})
            span = f"from={world.events.now - 6 * DAY}&to={world.events.now - 3 * HOUR}"
            path = f"/v1/metrics?tenant_id=globex&group_by=none&{span}"
            ask = lambda: parse_json(http_call(api.port, "GET", path)[1])["metrics"][0]["requests"]
            heard = lambda: api.metric("streamlens_pg_listen_notifications_total")
            self.wait_quiet(heard)
            asked = self.world.sql("SELECT clock_timestamp()")[0]
            proxy.stall_after(b"globex")
            first = pool.submit(ask)
            wait_for(lambda: proxy.stalled, "the first one's statement on its way")
            wait_for(lambda: world.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
                                       " application_name = 'streamlens-metrics-api' AND state = 'idle' AND"
                                       f" query LIKE 'WITH mine%' AND query_start > '{asked}'") == ["1"],
                     "PostgreSQL has answered it")
            second = pool.submit(ask)
            wait_for(lambda: api.metric('streamlens_metrics_cache_total{result="joined"}'), "the second to join it")
            heard_before = heard()
            world.send(world.events.late(100))
            world.wait_counted()
            wait_for(lambda: heard() > heard_before, "notifications")
            after = wait_for(lambda: self.is_new(ask(), first), "an answer of after the flush", STALE_MS / 1000)
            proxy.resume()
            old = first.result(60)
            self.assertEqual(second.result(60), old)
            self.assertLess(old, after)
            self.assertEqual(ask(), after)
            api.terminate()

    def is_new(self, n, first):
        """Sums of after the flush are those of the database; the first one still waits."""
        now = self.world.events.now
        held = int(self.world.sql("SELECT sum(requests) FROM llm_metrics WHERE tenant_id = 'globex' AND window_start"
                                  f" >= to_timestamp({now - 6 * DAY}) AND window_start"
                                  f" < to_timestamp({now - 3 * HOUR})")[0])
        self.assertFalse(first.done())
        return n if n == held else None

    def wait_quiet(self, heard):
        """Nothing is flushed or closed any more."""
        last = [heard(), time.monotonic()]

        def look():
            if heard() != last[0]:
                last[:] = heard(), time.monotonic()
            return time.monotonic() - last[1] > 1.5
        wait_for(look, "an end of notifications", 30)


if __name__ == "__main__":
    unittest.main()
