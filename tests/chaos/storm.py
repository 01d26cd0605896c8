# SPDX-License-Identifier: Apache-2.0
"""One run: traffic and faults for a time, quiet, then the comparison. What it did and found is in the Report."""
import collections
import os
import random
import subprocess
import threading
import time

import faults
from check import Check
from probe import Probe
from published import Published
from stack import wait_for
from tape import Tape
from traffic import MINUTES, SILENT, Ledger, Sender
from watch import Watch
from world import PARTITIONS, PROBE, STEADY, TENANTS, World

QUIET_S = 120.0      # until nothing is in flight: TTL, skew and more
TOGETHER = 5        # faults at once, at most
PUBLISHED_S = 60.0  # until all is published then: a window is looked at every five seconds
RECOVERY_S = 90.0   # the longest that anything measured may take, on a slow machine


class Report:
    def __init__(self, seed):
        self.seed, self.began = seed, time.monotonic()
        self.done = collections.Counter()      # faults by name
        self.missed = collections.Counter()    # whose moment did not come
        self.recoveries = collections.defaultdict(list)
        self.findings, self.peaks, self.lines = [], {}, []

    def say(self, *what):
        print(f"{time.monotonic() - self.began:7.1f}", *what, flush=True)

    def text(self):
        lines = [f"seed {self.seed}", "faults:"]
        for name, n in sorted(self.done.items()):
            missed = self.missed[name]
            lines.append(f"  {n:4d} {name}" + (f" ({missed} times its moment did not come)" if missed else ""))
        lines.append("until rows were current again, in s (median, greatest, of):")
        for name, values in sorted(self.recoveries.items()):
            values = sorted(values)
            lines.append(f"  {values[len(values) // 2]:6.1f} {values[-1]:6.1f} {len(values):4d}  {name}")
        lines.append("memory at most, in MB: " + ", ".join(f"{k} {v / 1e6:.0f}" for k, v in sorted(self.peaks.items())))
        return "\n".join(lines + self.lines + [f"OFF {f}" for f in self.findings] + [
            f"{len(self.findings)} findings; the seed is {self.seed}"])


class Storm:
    """own: its broker and database. folder: for what it leaves behind. first: names of faults to begin with, one
    after another."""

    ttl_ms, skew_ms = 15_000, 4_000
    routes = {}  # of partitions whose requests have one of their own, which is not compared row by row

    def __init__(self, own, seed, seconds, pairs_per_s, folder, first=()):
        self.own, self.seed, self.seconds, self.pairs_per_s, self.folder = own, seed, seconds, pairs_per_s, folder
        self.report = Report(seed)
        self.hurry = threading.Event()  # faults are to come to an end
        self.random = random.Random(f"{seed} storm")
        self.ledger = Ledger()
        self.running = []
        brokers = len(own.brokers.split(","))
        self.faults = [f for f in faults.FAULTS if f.brokers <= brokers]
        self.first = [f for name in first for f in self.faults if f.name == name]
        self.deck = []

    def run(self):
        os.makedirs(self.folder, exist_ok=True)
        self.report.say(f"seed {self.seed}, {self.seconds} s, {self.pairs_per_s} pairs/s, in {self.folder}")
        with World(self.own, self.seed, self.report.say, self.ttl_ms, self.skew_ms) as self.world:
            base_s = int(time.time()) // 60 * 60 - (MINUTES - 30) * 60
            self.senders = [Sender(self.world, self.ledger, self.seed, n, self.pairs_per_s / 2, base_s, self.routes)
                            for n in range(2)]
            self.probe = Probe(self.world, self.ledger, base_s - 3 * 86_400,
                               [p for p in range(SILENT) if p not in self.routes])
            self.tape = Tape(os.path.join(self.folder, "tape"), self.own.brokers, self.world.stack.prefix)
            self.watch = Watch(self.world)
            self.price("house-small", 0.15, 0.6)
            self.price("house-large", 2.5, 10)
            self.report.say("up", self.world.stack.id)
            for thread in (*self.senders, self.watch):
                thread.start()
            self.blow()
            self.calm_down()
            self.judge()
        return self.report

    def price(self, model, given, taken):
        r = self.world.stack.admin("price", "set", "--now", model, f"input={given}", f"cached_input={given / 2}",
                                   f"output={taken}")
        if r.returncode != 0 and "connect" not in r.stderr:
            raise AssertionError(f"price set: {r.stdout}{r.stderr}")

    # ---- faults ----

    def wait(self, seconds):
        """For faults: as long as they last."""
        self.hurry.wait(seconds)

    def blow(self):
        r = self.random
        for fault in self.first:
            self.begin(fault, r.getrandbits(32))
            self.running[-1].join()
        until = time.monotonic() + self.seconds
        next_measured = time.monotonic() + self.seconds / 3
        while time.monotonic() < until and not self.watch.findings:
            if time.monotonic() > next_measured:
                self.mend()
                self.measure_one()
                next_measured = time.monotonic() + max(45, self.seconds / 24)
            elif sum(t.is_alive() for t in self.running) < TOGETHER:
                self.begin(self.draw(r), r.getrandbits(32))
            self.world.patrol()
            time.sleep(r.uniform(0.1, 1.5))
        self.mend()

    def draw(self, r):
        """Like cards, so that each has its turn."""
        if not self.deck:
            self.deck = [f for f in self.faults for _ in range(f.times)]
            r.shuffle(self.deck)
        return self.deck.pop()

    def begin(self, fault, seed):
        r = random.Random(seed)
        names = self.world.take(fault.needs, r)
        if names is None:
            self.deck.insert(0, fault)  # later
            return

        def run():
            try:
                began = time.monotonic()
                self.report.say("begins:", fault.name, *names)
                missed = fault.run(self, names, r)
                self.report.say(f"ends after {time.monotonic() - began:.1f} s:", fault.name, *names, missed or "")
                self.report.done[fault.name] += 1
                self.report.missed[fault.name] += missed is not None
            except Exception as e:  # a fault that cannot be done is a fault of this test
                self.report.findings.append(f"fault {fault.name}: {e!r}")
            finally:
                self.world.give_back(names)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.running = [t for t in self.running if t.is_alive()] + [thread]

    def mend(self):
        """Until no fault is under way and every service runs."""
        self.hurry.set()
        for t in self.running:
            t.join(300)
            if t.is_alive():
                raise AssertionError("a fault does not end")
        self.hurry.clear()
        self.world.services_up()
        self.world.patrol()

    # ---- recovery ----

    def measure_one(self):
        """With nothing else broken: how long until what is sent right after the fault is in the rows."""
        self.recover("the faults before, together")
        name, act, after = self.random.choice((
            ("one of three processors killed, not started again", self.kill_one, self.start_killed),
            ("all processors killed and started again", self.kill_all, None),
            ("PostgreSQL stopped immediately and started again", faults.stop_postgres(3), None),
            ("broker killed and started again", faults.kill_broker, None)))
        self.report.say("measured:", name)
        began = time.monotonic()
        act(self, (), random.Random(self.random.getrandbits(32)))
        self.recover(name, time.monotonic() - began)
        if after:
            after()

    def recover(self, name, so_far=0.0):
        """Waits until what is sent now is in the rows."""
        try:
            took = so_far + self.probe.seconds(RECOVERY_S)
        except AssertionError as e:
            self.report.findings.append(f"{name}: {e}")
            return
        self.report.recoveries[name].append(took)
        self.report.say(f"recovered after {took:.1f} s")

    def kill_one(self, *_):
        self.killed = self.random.choice(STEADY)
        self.world.kill(self.killed)

    def start_killed(self):
        self.world.start(self.killed)

    def kill_all(self, *_):
        for name in STEADY:
            self.world.kill(name)
        for name in STEADY:
            self.world.start(name)

    # ---- the end ----

    def calm_down(self):
        self.report.say("calm")
        for sender in self.senders:
            sender.ending.set()
        self.recover("the last faults, together")
        for sender in self.senders:
            sender.join(180)
            if sender.is_alive():
                self.report.findings.append(f"sender {sender.number} cannot send: {self.ledger.answers}")
                sender.client.gave_up.set()
                sender.join(40)
            if sender.failure:
                self.report.findings.append(sender.failure)
        self.report.say("all sent")
        try:
            wait_for(self.is_quiet, "quiet: everything read, nothing in flight, past windows complete",
                     QUIET_S if not self.watch.findings else 20, 0.5)  # with counts off it never comes
        except AssertionError as e:
            self.report.findings.append(str(e))
        self.report.say("quiet")
        self.judge_published()

    def is_quiet(self):
        """Over some looks; ticks may still come."""
        self.world.patrol()
        state = self.world.sql(
            "SELECT (SELECT string_agg(request_next || '/' || response_next, ' ' ORDER BY partition) FROM"
            " streamlens_position), (SELECT sum(requests - responses - unanswered) FROM llm_minute JOIN llm_series"
            f" USING (series_id) WHERE route <> ALL ('{{{','.join(self.routes.values())}}}')),"
            " (SELECT count(*) FROM llm_window WHERE NOT complete AND window_start < now() - interval '3 minutes')")
        try:
            ends = [int(line.rsplit(None, 1)[1]) for line in self.world.stack.end_offsets()]
        except (AssertionError, subprocess.SubprocessError):
            return False
        wanted = " ".join(f"{ends[p]}/{ends[p + PARTITIONS]}" for p in range(PARTITIONS)) + "|0|0"
        self.quiet_looks = self.quiet_looks + 1 if state == wanted else 0
        return self.quiet_looks >= 4

    quiet_looks = 0

    def judge_published(self):
        """llm.metrics against the database; the rest of the comparison says whether that is right."""
        findings = self.report.findings

        def look():
            self.published = Published(self.world.stack)
            self.unpublished = self.published.differences()
            return not self.unpublished
        try:
            wait_for(look, "end of publishing", PUBLISHED_S, 1)
        except AssertionError as e:
            findings += [f"llm.metrics: {e}", *(f"llm.metrics: {d}" for d in self.unpublished[:5])]
        published = self.published
        findings += [f"llm.metrics: {p}" for p in published.problems()[:5]]
        last = published.sequences[-1] if published.sequences else 0
        if published.progress() != last:
            findings.append(f"llm.metrics.progress: {published.progress()} and should be {last}")
        self.report.lines.append(f"{last} records in llm.metrics of {len(published.by_row)} rows, and"
                                 f" {published.aborted()} that were aborted")
        self.report.say("published")

    def judge(self):
        report, world = self.report, self.world
        report.findings += self.watch.end() + world.deaths
        report.peaks = world.peaks
        for name in STEADY:
            if world.leave(name) != 0:
                report.findings.append(world.deaths[-1])
        report.say("comparing")
        check = self.check = Check(world, self.ledger, self.tape, self.routes.values())
        findings = check.run()
        report.say("compared")
        report.findings += findings.shown
        more = sum(findings.by_kind.values()) - len(findings.shown)
        if more:
            report.findings.append(f"and {more} more: {dict(findings.by_kind)}")
        report.lines.append(check.summary())
        report.lines.append(f"acknowledged: {self.ledger.events} events; answers {dict(self.ledger.answers)}; "
                            + ", ".join(f"{t} {len(self.ledger.acked[t, 'request'])} requests and"
                                        f" {len(self.ledger.acked[t, 'response'])} responses"
                                        for t in (*TENANTS, PROBE)))
        report.lines.append(f"{self.watch.looks} looks at rows and positions on the way")
        if self.watch.looks == 0:
            report.findings.append("the watch never looked")
        if report.peaks.get("processor", 0) == 0:
            report.findings.append("no memory was measured")
