# SPDX-License-Identifier: Apache-2.0
"""Events for measurements, sent in batches through ingest-api, and how numbers are printed."""
import itertools
import threading
import time

from stack import http_call

BATCH = 1000
MIB = 1 << 20


def request_batches(first, n, model="m%d", models=3, tenants=1):
    """NDJSON bodies of n requests, numbered from `first`, with ids of 36 bytes; stamped as they are made."""
    for start in range(first, first + n, BATCH):
        at = int(time.time() * 1000)
        yield "\n".join('{"type":"request","request_id":"%036d","tenant_id":"t%d","route":"/r","model":"%s",'
                        '"timestamp":%d,"prompt_tokens":100}' % (i, i % tenants, model % (i % models), at)
                        for i in range(start, min(start + BATCH, first + n)))


def response_batches(first, n):
    for start in range(first, first + n, BATCH):
        at = int(time.time() * 1000)
        yield "\n".join('{"type":"response","request_id":"%036d","timestamp":%d,"latency_ms":%d,'
                        '"completion_tokens":50}' % (i, at, i % 5000)
                        for i in range(start, min(start + BATCH, first + n)))


def send(stack, bodies):
    """Every body until it is taken."""
    port = stack.services["ingest-api"].port
    for body in bodies:
        while http_call(port, "POST", "/v1/llm/events", body.encode(), {"Content-Type": "application/x-ndjson"},
                        60)[0] != 202:
            time.sleep(0.05)


class Steady(threading.Thread):
    """Pairs at a steady rate until stopped: `sent` of them are in the log."""

    def __init__(self, stack, pairs_per_second, first=0):
        super().__init__(daemon=True)
        self.stack, self.rate, self.first = stack, pairs_per_second, first
        self.sent, self.stop_now = 0, threading.Event()

    def run(self):
        began = time.monotonic()
        for start in itertools.count(self.first, BATCH):
            send(self.stack, request_batches(start, BATCH))
            send(self.stack, response_batches(start, BATCH))
            self.sent += BATCH
            if self.stop_now.wait(max(0, began + self.sent / self.rate - time.monotonic())):
                return

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop_now.set()
        self.join()


def say(what, value, target=None):
    print(f"{what:<58} {value:>16}" + (f"   target {target}" if target else ""), flush=True)


def mib(n):
    return f"{n / MIB:.1f} MiB"


def seconds(s):
    return f"{s:.1f} s"
