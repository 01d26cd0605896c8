# SPDX-License-Identifier: Apache-2.0
"""Each publication of a row stands in llm.metrics once, the last always, wherever the publisher dies or is
frozen."""
import concurrent.futures
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import threading
import time
import unittest
import uuid

from published import Published, numbers, micros
from stack import Stack, freeze, wait_for

PATIENCE_S = 120  # most of it for a machine that is slow
ENV = {"JOIN_TTL_MS": "1500", "JOIN_SKEW_MS": "500", "WINDOW_GRACE_MS": "500", "CLOSE_WAIT_MS": "2000",
       "SESSION_TIMEOUT_MS": "6000"}
ACTIVE = "streamlens_publisher_active"
MODELS = ("gpt-4o", "claude-sonnet-4-5", "m2")  # two have prices


class Traffic(threading.Thread):
    """Minute after minute of the past, all of it closed as soon as it is stored; and now and then more for an
    earlier one, which is a revision."""

    def __init__(self, stack):
        super().__init__()
        self.stack, self.over, self.error = stack, threading.Event(), None
        self.random = random.Random(18)
        self.minute = int(time.time()) // 60 - 8
        self.start()

    def batch(self):
        minute = self.minute + (self.random.randrange(5) if self.random.random() < 0.3 else 0)
        self.minute -= 1
        events = []
        for i in range(12):
            at, request = (minute * 60 + i) * 1000, uuid.UUID(int=self.random.getrandbits(128)).hex
            events.append({"type": "request", "request_id": request, "tenant_id": f"a|{i % 2}%", "route": "/r",
                           "model": MODELS[i % 3], "timestamp": at})
            if i % 4:
                events.append({"type": "response", "request_id": request, "timestamp": at + 50,
                               "latency_ms": self.random.randrange(1, 90000), "time_to_first_token_ms": i + 1,
                               "prompt_tokens": 9 * i, "cached_prompt_tokens": i, "cache_write_tokens": 2 * i,
                    "cache_write_1h_tokens": i // 2, "completion_tokens": 7, "reasoning_tokens": 3})
        self.stack.post_batch(events)

    def run(self):
        try:
            while not self.over.wait(0.25):
                self.batch()
        except BaseException as e:  # told by end()
            self.error = e

    def end(self):
        self.over.set()
        self.join()
        if self.error:
            raise self.error


class Reader(threading.Thread):
    """A read_committed consumer that notes when it sees each first publication of a row."""

    def __init__(self, stack):
        super().__init__()
        self.delays_s, self.seen = [], set()
        self.kcat = subprocess.Popen(
            ["kcat", "-C", "-u", "-q", "-J", "-o", "beginning", "-b", stack.brokers, "-X", "fetch.wait.max.ms=20",
             "-X", "isolation.level=read_committed", "-t", stack.prefix + "llm.metrics"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.start()

    def run(self):
        for line in self.kcat.stdout:
            now, envelope = time.time(), json.loads(line)
            record = numbers(envelope["payload"])
            row = envelope["key"], record["window_start"]
            if row not in self.seen:  # stored by the flush at updated_at, and closed by that
                self.seen.add(row)
                self.delays_s.append(now - micros(record["updated_at"]) / 1e6)

    def end(self):
        self.kcat.kill()
        self.kcat.wait()
        self.join()
        self.kcat.stdout.close()


class Pair(contextlib.ExitStack):
    """Two processors; by their names partition 0, and the publishing, is the first one's while it lives."""

    def __init__(self):
        super().__init__()
        try:
            self.s = self.enter_context(Stack(partitions=2, env=ENV))
            self.s.start("ingest-api")
            self.second = self.s.start("processor-2")
            self.reader = Reader(self.s)
            self.callback(self.reader.end)
            self.traffic = Traffic(self.s)
            self.callback(self.traffic.end)
        except BaseException:
            self.close()
            raise

    def first(self, failpoint=None):
        program, env = None, {}
        if failpoint:
            program, env = "processor-failpoints", {"STREAMLENS_FAILPOINT": failpoint,
                                                    "GROUP_INSTANCE_ID": "processor-1"}
        return self.s.start("processor-1", program=program, env=env, ready=False)

    def dies_at(self, failpoint):
        process = self.first(failpoint).process
        wait_for(lambda: process.poll() is not None, f"an end at {failpoint}", PATIENCE_S)
        assert process.returncode == -signal.SIGKILL, (failpoint, process.returncode)

    def second_takes_over(self):
        wait_for(lambda: self.second.metric(ACTIVE) == 1, "a second publisher", PATIENCE_S)
        before = self.second.metric("streamlens_publisher_records_total")
        wait_for(lambda: self.second.metric("streamlens_publisher_records_total") > before, "its records", PATIENCE_S)

    def settle(self):
        """Ends the traffic; the topic once nothing is left to publish."""
        self.traffic.end()

        def all_published():
            published = Published(self.s)
            self.left = published.differences()
            if self.s.sql("SELECT count(*) FROM llm_window WHERE closed_at IS NULL") != "0":
                self.left.append("windows that are open")
            return None if self.left else published
        try:
            return wait_for(all_published, "an end of publishing", PATIENCE_S, every=1)
        except AssertionError as e:
            raise AssertionError(f"{e}: {self.left[:5]} and {len(self.left)} in all") from None

    def check(self, test):
        published = self.settle()
        test.assertEqual(published.problems(), [])
        last = published.sequences[-1]
        test.assertEqual(published.progress(), last)
        test.assertEqual(self.s.sql("SELECT last_seq FROM streamlens_publisher"), str(last))
        for name in ("cached_prompt_cost_usd", "cache_write_1h_cost_usd", "reasoning_cost_usd", "cache_savings_usd"):
            test.assertTrue(any(record[name] for record in published.records), name)
        revised = sum(len(r) > 1 for r in published.by_row.values())
        test.assertGreater(revised, 0)
        delays = sorted(self.reader.delays_s)
        print(f"{last} records of {len(published.by_row)} rows, {revised} of them revised; from stored and closed to"
              f" readable {statistics.median(delays):.2f} s, at worst {delays[-1]:.2f} s", flush=True)
        return published


def killed_before_the_log_has_anything(test):
    with Pair() as pair:
        for failpoint in ("take:after:2", "open:before:1", "open:after:1", "progress:after:1", "begin:after:2"):
            pair.dies_at(failpoint)
        pair.second_takes_over()
        pair.first().wait_ready(PATIENCE_S)
        pair.check(test)


def killed_inside_a_transaction(test):
    with Pair() as pair:
        for failpoint in ("put:after:5", "put_progress:after:2", "flushed:after:2"):
            pair.dies_at(failpoint)
        pair.second_takes_over()
        pair.dies_at("flushed:after:1")
        pair.first().wait_ready(PATIENCE_S)
        published = pair.check(test)
        test.assertGreater(published.aborted(), 0)


def killed_around_the_commit(test):
    with Pair() as pair:
        for failpoint in ("commit:before:2", "commit:after:1", "commit:after:3"):
            pair.dies_at(failpoint)
        pair.second_takes_over()
        pair.first().wait_ready(PATIENCE_S)
        pair.check(test)


def frozen_and_back(test):
    """It still takes itself for the publisher when it wakes up."""
    with Pair() as pair:
        first = pair.first()
        first.wait_ready(PATIENCE_S)
        for _ in range(2):
            wait_for(lambda: first.metric(ACTIVE) == 1, "a first publisher", PATIENCE_S)
            freeze(first.process.pid)
            try:
                pair.second_takes_over()
            finally:
                os.kill(first.process.pid, signal.SIGCONT)
        wait_for(first.is_ready, "readiness", PATIENCE_S)
        pair.check(test)


class Publish(unittest.TestCase):
    def test_whatever_happens_to_the_publisher(self):
        """All at once: they wait for most of their time."""
        scenarios = [killed_before_the_log_has_anything, killed_inside_a_transaction, killed_around_the_commit,
                     frozen_and_back]
        with concurrent.futures.ThreadPoolExecutor(len(scenarios)) as pool:
            running = [(f.__name__, pool.submit(f, self)) for f in scenarios]
            for name, future in running:
                with self.subTest(name):
                    future.result()


if __name__ == "__main__":
    unittest.main()
