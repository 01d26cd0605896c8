# SPDX-License-Identifier: Apache-2.0
"""A processor that is stopped, or cut off, while it holds locks in PostgreSQL keeps neither its successor
nor the others waiting for long, and when it wakes up it counts nothing twice."""
import concurrent.futures
import contextlib
import json
import os
import signal
import time
import unittest

from pg_proxy import PgProxy
from stack import Stack, freeze, iso, wait_for

LIVE = 'streamlens_processor_partitions{state="live"}'
PARTITIONS = 3
PATIENCE_S = 90  # most of it for a machine that is slow; what it took is printed


class Three(contextlib.ExitStack):
    """One processor a partition, all counting into the same rows. The first is the one to be stopped."""

    def __init__(self):
        super().__init__()
        self.sent, self.at = 0, time.time() - 60
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        self.s = self.enter_context(Stack(partitions=PARTITIONS, env={"SESSION_TIMEOUT_MS": "6000"}))
        self.proxy = self.enter_context(PgProxy(self.s.dsn))
        self.first = self.s.start("processor-1", env={"POSTGRES_DSN": self.proxy.dsn(self.s.dsn)})
        wait_for(lambda: self.first.metric(LIVE) == PARTITIONS, "a first owner", PATIENCE_S)
        self.backend = self.s.sql("SELECT DISTINCT backend_pid FROM streamlens_position")
        self.all = [self.first, self.s.start("processor-2"), self.s.start("processor-3")]
        wait_for(lambda: [p.metric(LIVE) for p in self.all] == [1] * PARTITIONS, "a partition each", PATIENCE_S)
        self.own = int(self.s.sql("SELECT partition FROM streamlens_position WHERE backend_pid = " + self.backend))
        self.send("m")
        self.wait_sent()

    def send(self, model, partitions=range(PARTITIONS)):
        for p in partitions:
            self.sent += 1
            self.s.produce("llm.requests", json.dumps({
                "request_id": f"q-{self.sent}", "tenant_id": "t", "route": "/r", "model": model,
                "timestamp": iso(self.at)}).encode(), key=f"q-{self.sent}", partition=p)

    def wait_sent(self, but=0):
        began = time.monotonic()
        self.s.wait_totals(PATIENCE_S, requests=self.sent - but, in_flight=self.sent - but)
        return time.monotonic() - began

    def freeze_while_it_waits_for(self, lock, model):
        """The first is stopped inside a transaction, once a statement of it waits for the lock; then the
        statement ends, and the transaction stays."""
        def backend(column):
            return self.s.sql(f"SELECT {column} FROM pg_stat_activity WHERE pid = {self.backend}")
        with self.s.holding(lock):
            self.send(model)
            wait_for(lambda: backend("wait_event_type") == "Lock", "a wait for the lock")
            freeze(self.first.process.pid)
        wait_for(lambda: backend("state") == "idle in transaction", "its open transaction")

    def freeze_inside_copy(self):
        self.proxy.stall_after(b"COPY sl_minute")
        self.send("m")
        wait_for(lambda: self.proxy.stalled, "a COPY under way")
        freeze(self.first.process.pid)

    def check_all_is_counted(self, model):
        """By the living ones in the same rows and of the same tenant, and by the new owner. Then the stopped
        one wakes up."""
        self.send(model)
        took = self.wait_sent()
        os.kill(self.first.process.pid, signal.SIGCONT)
        self.send("after")
        self.wait_sent()
        for p in self.all:
            wait_for(p.is_ready, f"readiness of {p.name}", PATIENCE_S)
        return took


def stopped_between_the_statements_of_a_flush():
    with Three() as three:
        three.freeze_while_it_waits_for("SELECT FROM llm_minute FOR UPDATE", "m")
        return three.check_all_is_counted("m")


def stopped_while_it_makes_series():
    """No position is locked then, so nobody who claims its partition finds it in the way; the others wait
    for its tenant."""
    with Three() as three:
        three.freeze_while_it_waits_for("SELECT FROM llm_tenant FOR UPDATE", "m2")
        return three.check_all_is_counted("m3")


def stopped_inside_copy():
    """There the server waits for the client, and no time-out of its own ends that."""
    with Three() as three:
        three.freeze_inside_copy()
        return three.check_all_is_counted("m")


def cut_off_from_the_database_inside_copy():
    """It lives, and stays in the group, so nobody takes its partition over. Its locks go all the same."""
    with Three() as three:
        three.proxy.stall_after(b"COPY sl_minute")
        three.send("m")
        wait_for(lambda: three.proxy.stalled, "a COPY under way")
        three.proxy.stall()
        three.send("m", [p for p in range(PARTITIONS) if p != three.own])
        took = three.wait_sent(but=1)  # what only the first can count
        assert three.first.get("/livez")[0] == 200
        three.proxy.stall(False)
        three.wait_sent()
        wait_for(three.first.is_ready, "readiness", PATIENCE_S)
        return took


class Frozen(unittest.TestCase):
    def test_nobody_waits_long_for_one_that_is_stopped_or_cut_off(self):
        """All at once: they wait for most of their time."""
        scenarios = [stopped_between_the_statements_of_a_flush, stopped_while_it_makes_series,
                     stopped_inside_copy, cut_off_from_the_database_inside_copy]
        with concurrent.futures.ThreadPoolExecutor(len(scenarios)) as pool:
            running = [(f.__name__, pool.submit(f)) for f in scenarios]
            for name, future in running:
                with self.subTest(name):
                    print(f"{name}: all counted {future.result():.1f} s later", flush=True)


if __name__ == "__main__":
    unittest.main()
