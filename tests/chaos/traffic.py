# SPDX-License-Identifier: Apache-2.0
"""Traffic, and a ledger of what was acknowledged: every event is sent until it is answered 202."""
import collections
import heapq
import http.client
import json
import random
import threading
import time

from stack import http_call
from world import PARTITIONS, TENANTS

ROUTES = ("/chat", "/embed", "/a b|c%")
ASKED = {  # and who may answer
    "house-small": (None, None, "house-large", "house-small-2"),
    "house-large": (None, "house-large", "house-small"),
    "house-free": (None, "house-small"),  # has no price
}
HOT, SILENT = 0, PARTITIONS - 1  # partitions
HOT_SHARE = 0.4
MINUTES = 150  # windows: the last two hours and some of the next


def murmur2(data):
    """As Kafka's Java client hashes keys."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key):
    return (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS


def id_in(partition, stem):
    """An id that begins with the stem and lies in the partition."""
    n = 0
    while partition_of(f"{stem}.{n}") != partition:
        n += 1
    return f"{stem}.{n}"


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.acked = collections.defaultdict(set)  # (tenant, "request" or "response") to ids
        self.answers = collections.Counter()       # by status, "none" where there was no answer
        self.events = 0

    def note(self, answer, tenant=None, items=()):
        with self.lock:
            self.answers[answer] += 1
            self.events += len(items)
            for kind, request_id, _ in items:
                self.acked[tenant, kind].add(request_id)


class Client:
    """Posts for one tenant at a time; ingest-api may be away, or somewhere else by now."""

    def __init__(self, world, ledger):
        self.world, self.ledger = world, ledger
        self.gave_up = threading.Event()

    def call(self, path, tenant, body, headers):
        """(status, answer), (None, None) where there was none."""
        try:
            port = self.world.stack.services["ingest-api"].port
            headers = {**headers, "Authorization": "Bearer " + self.world.keys[tenant]}
            return http_call(port, "POST", path, body, headers, timeout=30)
        except (OSError, http.client.HTTPException, TypeError):  # TypeError: its port is not known yet
            return None, None

    def post(self, tenant, items):
        """items: (kind, id, JSON line). Returns when all are acknowledged."""
        if len(items) == 1:
            path, headers, body = "/v1/llm/" + items[0][0], {}, items[0][2]
        else:
            path, headers = "/v1/llm/events", {"Content-Type": "application/x-ndjson"}
            body = "\n".join(line for *_, line in items)
        while not self.gave_up.is_set():
            status, answer = self.call(path, tenant, body.encode(), headers)
            if status == 202:
                if len(items) > 1 and json.loads(answer)["accepted"] != len(items):
                    raise AssertionError(f"of {len(items)} events: {answer}")
                self.ledger.note(202, tenant, items)
                return
            self.ledger.note(status or "none")
            if status not in (None, 503):
                raise AssertionError(f"{path} answered {status}: {answer}")
            time.sleep(0.2)


class Sender(threading.Thread):
    """Makes pairs at a rate, spread over tenants that use the same ids, over partitions, one of which is hot and
    one soon silent, and over windows, and sends them in disorder, some twice, some never."""

    def __init__(self, world, ledger, seed, number, pairs_per_s, base_s, routes=None):
        """routes: of partitions whose requests have one of their own; those are of now, and none is repeated."""
        super().__init__(daemon=True)
        self.routes = routes or {}
        self.client = Client(world, ledger)
        self.random = random.Random(f"{seed} sender {number}")
        self.number, self.pairs_per_s, self.base_s = number, pairs_per_s, base_s
        self.due, self.serial, self.made = [], 0, 0
        self.ending = threading.Event()
        self.failure = None
        self.burst = 0

    def run(self):
        try:
            self.work()
        except Exception as e:  # noqa: reported at the end
            self.failure = f"sender {self.number}: {e!r}"

    def work(self):
        began = last = time.monotonic()
        while not self.ending.is_set() or self.due:
            now = time.monotonic()
            if self.ending.is_set():
                # What would be sent much later is not sent at all: such requests are never answered.
                self.due = sorted(item for item in self.due if item[0] < now + 2)
            else:
                # After a time in which nothing was taken there is no more to send than before it.
                began += max(0, now - last - 1)
                while self.made < (now - began) * self.pairs_per_s + self.burst:
                    self.make(now, (now - began) < 5)
            last = now
            if not self.send_due(now):
                time.sleep(0.1)

    def send_due(self, now):
        """False where little was due."""
        batch = collections.defaultdict(list)
        n = 0
        while self.due and self.due[0][0] <= now and n < 1000:
            _, _, tenant, *item = heapq.heappop(self.due)
            batch[tenant].append(tuple(item))
            n += 1
        for tenant, items in batch.items():
            self.random.shuffle(items)
            single = items.pop() if self.random.random() < 0.1 else None
            if items:
                self.client.post(tenant, items)
            if single:
                self.client.post(tenant, [single])
        return n >= 100

    def push(self, at, tenant, kind, request_id, event):
        self.serial += 1
        line = event if isinstance(event, str) else json.dumps({"type": kind, **event})
        heapq.heappush(self.due, (at, self.serial, tenant, kind, request_id, line))
        return line

    # ---- what is sent ----

    def make(self, now, beginning):
        """One id of one to three tenants; a pair each."""
        r = self.random
        stem = f"{self.number}-{self.made}"
        if beginning and r.random() < 0.05:
            # The last that the silent partition hears: requests that nobody answers.
            request_id = id_in(SILENT, stem)
            self.push(now, TENANTS[0], "request", request_id, self.request(request_id, SILENT)[0])
            self.made += 1
            return
        partition = HOT if r.random() < HOT_SHARE else r.randrange(SILENT)
        request_id = id_in(partition, stem)
        for tenant in r.sample(TENANTS, r.choice((1, 1, 2, 3))):
            self.pair(now + r.random(), tenant, request_id, partition)
            self.made += 1

    def request(self, request_id, partition):
        r = self.random
        minute = self.base_s + 60 * r.randrange(MINUTES)
        if r.random() < 0.5:  # most of what is sent belongs to a few windows
            minute = self.base_s + 60 * (int(time.time() - self.base_s) // 60 - r.randrange(5))
        at_ms = minute * 1000 + r.choice((0, 59_999, r.randrange(60_000)))
        if partition in self.routes:
            at_ms = int(time.time() * 1000)
        request = {"request_id": request_id, "route": self.routes.get(partition) or r.choice(ROUTES),
                   "model": r.choice(tuple(ASKED)), "timestamp": at_ms}
        if r.random() < 0.8:
            request["prompt_tokens"] = r.randrange(5000)
        return request, at_ms

    def response(self, request_id, model, at_ms):
        r = self.random
        response = {"request_id": request_id, "timestamp": at_ms + r.randrange(-5, 2000),
                    "completion_tokens": r.randrange(2000)}
        if r.random() < 0.7:
            response["latency_ms"] = r.choice((0, r.randrange(5000), r.randrange(3_000_000) / 1000))
        if r.random() < 0.4:
            response["time_to_first_token_ms"] = r.randrange(1, 2_000_000) / 1000
        if r.random() < 0.3:
            response["cached_prompt_tokens"] = r.randrange(6000)
        if r.random() < 0.2:
            response["reasoning_tokens"] = r.randrange(2100)
        if r.random() < 0.1:
            response["prompt_tokens"] = r.choice((31_999, 32_000, 32_001, 130_000))
        if r.random() < 0.1:
            response["error"] = r.choice(("rate_limit", "timeout"))
        elif r.random() < 0.6:
            response["finish_reason"] = r.choice(("stop", "length"))
        answered_by = r.choice(ASKED[model])
        if answered_by:
            response["model"] = answered_by
        if r.random() < 0.1:
            response["service_tier"] = r.choice(("default", "Batch"))
        return response

    def pair(self, at, tenant, request_id, partition):
        r = self.random
        request, at_ms = self.request(request_id, partition)
        line = self.push(at, tenant, "request", request_id, request)
        if partition not in self.routes:
            self.repeat(at, tenant, "request", request_id, line)
        kind = r.random()
        if kind > 0.98:
            return  # never answered
        after = (r.random() * 3 if kind < 0.8 else -r.random() * 3.5 if kind < 0.9 else
                 r.uniform(6, 13) if kind < 0.95 else r.uniform(13, 22))
        line = self.push(at + after, tenant, "response", request_id,
                         self.response(request_id, request["model"], at_ms))
        self.repeat(at + after, tenant, "response", request_id, line)
        if r.random() < 0.003:
            nobodys = id_in(HOT, request_id + "-nobody")
            self.push(at, tenant, "response", nobodys, self.response(nobodys, request["model"], at_ms))

    def repeat(self, at, tenant, kind, request_id, line):
        """Soon, near the end of what dedup remembers, or beyond it; now and then with another content."""
        r = self.random
        if r.random() < 0.03:
            self.push(at + r.random() * r.choice((1, 10, 40)), tenant, kind, request_id, line)
        if r.random() < 0.005:
            self.push(at + r.random() * 3, tenant, kind, request_id, line[:-1] + ', "again": true}')
