# SPDX-License-Identifier: Apache-2.0
"""Settings that change while traffic flows: what is counted is what the log and the epochs say, whoever
counts it and however often it is read again."""
import collections
import json
import random
import threading
import time
import unittest

from stack import Stack, wait_for

KINDS = ("llm.requests", "llm.responses")
NEVER = -2**62


class Epochs:
    """Of one partition. The definitions of processor/settings.h, said again."""

    def __init__(self, epochs):
        self.epochs = epochs  # [(from_ms, ttl_ms, skew_ms, series_epoch)], oldest first

    def at(self, t):
        return [e for e in self.epochs if e[0] <= t][-1]

    def waits_until(self, t, wait):
        """Its own epoch's wait, and no less than that of the last record of an epoch before."""
        last = [e[0] - 1 for e in self.epochs[1:]] + [2**62]
        return max(min(end, t) + e[wait] for e, end in zip(self.epochs, last) if e[0] <= t)

    def match(self, request, response):
        return response <= self.waits_until(request, 1) and request <= self.waits_until(response, 2)


def read_epochs(s):
    """By partition. One that a newer one replaced at the same instant holds for nothing."""
    rows = s.sql("SELECT f.partition, f.from_ms, s.join_ttl_ms, s.join_skew_ms, s.series_epoch"
                 " FROM streamlens_settings_from f JOIN streamlens_settings s USING (epoch)"
                 " ORDER BY f.partition, epoch")
    found = collections.defaultdict(dict)
    for line in rows.splitlines():
        p, at, ttl, skew, series = line.split("|")
        at = int(at) if at else NEVER
        found[int(p)][at] = (at, int(ttl), int(skew), int(series))
    return {p: Epochs([by[at] for at in sorted(by)]) for p, by in found.items()}


def read_log(s):
    """{(kind, partition): [(topic time, event)]} without the ticks, which only move the time."""
    log = collections.defaultdict(list)
    for kind in KINDS:
        times = collections.defaultdict(lambda: NEVER)
        for r in sorted(s.consume(kind), key=lambda r: (r["partition"], r["offset"])):
            p = r["partition"]
            times[p] = max(times[p], r["ts"])
            if r.get("payload"):
                log[kind, p].append((times[p], json.loads(r["payload"])))
    return log


def count(s, partitions):
    """{model of the row: [requests, responses, unanswered]}, and the ids of answers that fit nothing."""
    log, epochs = read_log(s), read_epochs(s)
    made_in = dict(line.split("|") for line in s.sql("SELECT model, epoch FROM llm_series").splitlines())
    rows, unmatched = collections.defaultdict(lambda: [0, 0, 0]), set()
    for p in range(partitions):
        answers = {e["request_id"]: t for t, e in log["llm.responses", p]}
        for t, e in log["llm.requests", p]:
            s_ms = answers.pop(e["request_id"], None)
            answered = s_ms is not None and epochs[p].match(t, s_ms)
            if s_ms is not None and not answered:
                unmatched.add(e["request_id"])
            own = int(made_in.get(e["model"], 2**31)) <= epochs[p].at(t)[3]
            row = rows[e["model"] if own else "__other__"]
            row[0] += 1
            row[1 if answered else 2] += 1
        unmatched.update(answers)
    return dict(rows), unmatched


class Traffic(threading.Thread):
    """Requests, and answers to most of them between 0 and 6 s later, until it is stopped."""

    def __init__(self, s, models):
        super().__init__()
        self.s, self.models, self.random = s, models, random.Random(5)
        self.stopping, self.sent, self.due = False, 0, []

    def run(self):
        while not self.stopping or self.due:
            now = time.monotonic()
            events = [{"type": "response", "request_id": i, "timestamp": time.time() * 1000,
                       "latency_ms": 5} for at, i in self.due if at <= now]
            self.due = [d for d in self.due if d[0] > now]
            for _ in range(0 if self.stopping else 8):
                self.sent += 1
                name = f"id-{self.sent}"
                events.append({"type": "request", "request_id": name, "tenant_id": "t", "route": "/r",
                               "model": self.random.choice(self.models),
                               "timestamp": time.time() * 1000})
                if self.random.random() < 0.9:
                    self.due.append((now + self.random.random() * 6, name))
            if events:
                self.s.post_batch(events)
            time.sleep(0.1)  # the pace of the traffic


class Settings(unittest.TestCase):
    def set(self, s, *words):
        r = s.admin("settings", "set", *words)
        self.assertEqual(r.returncode, 0, r.stderr)
        border = int(s.sql("SELECT max(from_ms) FROM streamlens_settings_from"))
        wait_for(lambda: time.time() * 1000 > border, "the epoch to begin", 30)

    def rows(self, s):
        lines = s.sql("SELECT model, sum(requests), sum(responses), sum(unanswered) FROM llm_metrics"
                      " GROUP BY 1").splitlines()
        return {m: [int(n) for n in rest] for m, *rest in (line.split("|") for line in lines)}

    def test_numbers_change_in_the_middle_of_traffic(self):
        env = {"JOIN_TTL_MS": "2000", "JOIN_SKEW_MS": "500", "MAX_SERIES_PER_TENANT": "2",
               "SESSION_TIMEOUT_MS": "6000"}
        with Stack(partitions=3, env=env) as s:
            for name in ("JOIN_TTL_MS", "JOIN_SKEW_MS", "MAX_SERIES_PER_TENANT"):
                del s.env[name]  # they are pinned now
            s.start_all()
            s.start("processor-2")
            traffic = Traffic(s, [f"m{n}" for n in range(6)])
            traffic.start()
            try:
                self.change_and_kill(s, traffic)
            finally:
                traffic.stopping = True
                traffic.join()
            s.wait_totals(requests=traffic.sent, in_flight=0, seconds=60)
            want, unmatched = count(s, 3)
            self.assertEqual(self.rows(s), want)
            # The borders mattered: both kinds of end in number, and rows of three epochs of the cap.
            answered, unanswered = (sum(row[i] for row in want.values()) for i in (1, 2))
            self.assertGreater(min(answered, unanswered), traffic.sent // 10, want)
            self.assertEqual(s.sql("SELECT epoch, count(*) FROM llm_series WHERE model <> '__other__'"
                                   " GROUP BY 1 ORDER BY 1"), "1|2\n2|2")
            self.assertIn("__other__", want)
            wait_for(lambda: self.letters(s) == unmatched, "the answers that fit nothing, as dead letters")
            self.read_again(s, traffic, want)

    def change_and_kill(self, s, traffic):
        epochs = lambda: int(s.sql("SELECT min(epoch) FROM streamlens_position WHERE token <> 0"))
        self.wait_sent(s, traffic, 100)
        for words in (["JOIN_TTL_MS=5000", "MAX_SERIES_PER_TENANT=4"], ["JOIN_TTL_MS=1000"],
                      ["JOIN_SKEW_MS=900", "MAX_SERIES_PER_TENANT=3"]):
            before = s.totals()["requests"]
            self.set(s, *words)
            self.wait_sent(s, traffic, before + 200)
        s.services["processor"].kill()
        s.start("processor")
        self.wait_sent(s, traffic, traffic.sent)
        self.assertGreaterEqual(epochs(), 4)  # three changes, three times claimed anew

    def wait_sent(self, s, traffic, n):
        """So many are counted, by processors that have taken up what was set."""
        wait_for(lambda: s.totals()["requests"] >= n, f"{n} requests of {traffic.sent}", 60)

    def letters(self, s):
        return {json.loads(r["payload"])["request_id"] for r in s.consume("llm.dead_letter")}

    def read_again(self, s, traffic, want):
        """Both are killed; who starts reads over the borders, and finds nothing else."""
        for name in ("processor", "processor-2"):
            s.services[name].kill()
        for name in ("processor", "processor-2"):
            s.start(name)
        s.request("last", route="/r", model="m0")
        s.response("last")
        s.wait_totals(requests=traffic.sent + 1, in_flight=0)
        self.assertEqual(self.rows(s), {**want, **self.more(s, want)})

    def more(self, s, want):
        """What the one request more has changed."""
        model = "m0" if s.sql("SELECT count(*) FROM llm_series WHERE model = 'm0'") == "1" else "__other__"
        requests, responses, unanswered = want[model]
        return {model: [requests + 1, responses + 1, unanswered]}


if __name__ == "__main__":
    unittest.main()
