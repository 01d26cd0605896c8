# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL killed and started again under a thousand questions a second: every one is answered, with 200 or 503 and
in time; 200s are back soon after its return, and no connection and no descriptor is left behind."""
import asyncio
import collections
import os
import time
import unittest

from own_postgres import OwnPostgres
from stack import Stack, needed, wait_for
from test_metrics_api import IN_TIME_S, fill

RATE, CONNECTIONS = 1000, 100
POOL = 4
LISTENERS = 1


class Load:
    """RATE questions a second on CONNECTIONS kept connections, open loop: a late answer delays no other connection's
    question. What each got is in `seen`: (status, seconds, when)."""

    def __init__(self, port):
        self.port, self.seen, self.failed, self.asked, self.end = port, [], [], 0, False

    async def connection(self, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        period, at = CONNECTIONS / RATE, time.monotonic() + number / RATE
        while not self.end:
            await asyncio.sleep(max(0, at - time.monotonic()))
            at = max(at + period, time.monotonic())
            # Never the same twice in a second, so that the database is asked and not what is kept.
            self.asked += 1
            target = f"/v1/metrics?tenant_id=acme&limit={1 + self.asked % 5000}"
            begun = time.monotonic()
            writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            await reader.readexactly(int(fields[b"content-length"]))
            now = time.monotonic()
            self.seen.append((int(head[9:12]), now - begun, now))
            if head[9:12] == b"503" and b"retry-after" not in fields:
                self.failed.append("a 503 without Retry-After")
            if fields.get(b"connection") == b"close":
                self.failed.append("a connection that was closed")
        writer.close()

    async def run(self, script):
        tasks = [asyncio.create_task(self.connection(i)) for i in range(CONNECTIONS)]
        try:
            await script(self)
        finally:
            self.end = True
            for result in await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30):
                if result is not None:
                    self.failed.append(repr(result))

    async def until(self, condition, what, seconds):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                newest = collections.Counter(status for status, _, _ in self.seen[-500:])
                raise AssertionError(f"after {seconds} s still no {what}: {newest}")
            await asyncio.sleep(0.01)

    def since(self, when):
        return [status for status, _, at in reversed(self.seen) if at >= when]


def descriptors(service):
    return len(os.listdir(f"/proc/{service.process.pid}/fd"))


class Killed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        needed("SL_BUILD")
        cls.pg = OwnPostgres(os.path.join(needed("SL_TMP"), "killed-own-pg"), int(needed("SL_PORT_BASE")) + 17)
        cls.pg.start()
        cls.addClassCleanup(cls.pg.stop)
        cls.stack = Stack(pg_dsn=cls.pg.dsn()).__enter__()
        cls.addClassCleanup(cls.stack.__exit__, None, None, None)
        fill(cls.stack, [("acme", "r", "m", range(5))], 5)
        cls.api = cls.stack.start("metrics-api", env={"PG_POOL_SIZE": str(POOL), "QUERY_TIMEOUT_MS": "1500"})

    def connections(self):
        return int(self.stack.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
                                  " application_name LIKE 'streamlens-metrics-api%'"))

    def whole(self):
        wait_for(lambda: self.api.metric("streamlens_pg_connections") == self.connections() - LISTENERS == POOL,
                 "the whole pool and the listener, on both sides", 15)

    async def twice(self, load):
        for _ in range(2):
            since = time.monotonic()
            await load.until(lambda t=since: load.since(t).count(200) >= RATE // 2, "200s", 60)
            await asyncio.to_thread(self.pg.kill)
            killed = time.monotonic()
            # All of them, over a second of them.
            await load.until(lambda t=killed: len(load.since(t + 0.5)) >= RATE // 2, "answers", 60)
            self.assertEqual(set(load.since(killed + 0.5)), {503})
            await asyncio.to_thread(self.pg.start_after_kill)
            back = time.monotonic()
            await load.until(lambda t=back: 200 in load.since(t), "200 after its return", 30)
            await load.until(lambda: load.since(time.monotonic() - 0.3).count(503) == 0
                             and len(load.since(time.monotonic() - 0.3)) > 20, "end of the 503s", 30)

    def test_under_a_thousand_questions_a_second(self):
        self.whole()
        before = descriptors(self.api)
        load = Load(self.api.port)
        asyncio.run(load.run(self.twice))
        self.assertEqual(load.failed, [])
        self.assertEqual(len(load.seen), load.asked)  # nobody was left without an answer
        seen = collections.Counter(status for status, _, _ in load.seen)
        self.assertEqual(set(seen), {200, 503})
        self.assertGreater(min(seen.values()), RATE // 2, seen)
        self.assertLess(max(seconds for _, seconds, _ in load.seen), IN_TIME_S)
        self.whole()
        wait_for(lambda: descriptors(self.api) <= before, "as many descriptors as before", 10)
        self.assertEqual(self.api.get("/readyz")[0], 200)


if __name__ == "__main__":
    unittest.main()
