# SPDX-License-Identifier: Apache-2.0
"""Many events a second to ingest-api, single POSTs and batches mixed, each sent until it is answered 202; and what
must then be counted. A worker is a process of its own: `python3 pump.py PORT STEM EVENTS_PER_S CONNECTIONS`, which
makes events until its standard input ends, sends what it has made, and tells how far it is, a JSON object a line."""
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

from stack import wait_for

BATCH = 50            # events
ROUND = 100           # pairs; of them SINGLES are sent one by one
SINGLES = 10
ERRORS, SILENT = 7, 3  # pairs of a round that fail, and requests that nobody answers
FIELDS = ("requests", "responses", "errors", "prompt_tokens", "completion_tokens")
RETRY_S = 0.1


class Worker:
    def __init__(self, port, stem, events_per_s, connections):
        self.port, self.stem, self.pairs_per_s, self.connections = port, stem, events_per_s / 2, connections
        self.random = random.Random(stem)
        self.queue = asyncio.Queue(4 * connections)
        self.made = 0  # pairs
        self.acked = dict.fromkeys(FIELDS, 0)
        self.answers, self.slowest_s = {}, 0.0
        self.ending = False

    # ---- what is sent: (path, body, what it adds to the sums) ----

    def round(self):
        singles, batch = [], []
        at = int(time.time() * 1000)
        for i in range(ROUND):
            request_id = f"{self.stem}-{self.made}"
            tokens = self.made % 97
            self.made += 1
            pair = [({"type": "request", "request_id": request_id, "tenant_id": "t", "route": f"/r{i % 3}", "model": "m",
                      "timestamp": at, **({} if i < SILENT else {"prompt_tokens": tokens})},
                     {"requests": 1, "prompt_tokens": 0 if i < SILENT else tokens})]
            if i >= SILENT:
                failed = i < SILENT + ERRORS
                pair.append(({"type": "response", "request_id": request_id, "timestamp": at, "latency_ms": i,
                              "completion_tokens": tokens, **({"error": "timeout"} if failed else {})},
                             {"responses": 1, "errors": int(failed), "completion_tokens": tokens}))
            (singles if i % (ROUND // SINGLES) == 0 else batch).extend(pair)
        for event, sums in singles:
            yield "/v1/llm/" + event["type"], json.dumps(event), sums
        for at in range(0, len(batch), BATCH):
            part = batch[at:at + BATCH]
            sums = {f: sum(s.get(f, 0) for _, s in part) for f in FIELDS}
            yield "/v1/llm/events", "\n".join(json.dumps(e) for e, _ in part), sums

    async def make(self):
        began = time.monotonic()
        while not self.ending:
            if self.made > (time.monotonic() - began) * self.pairs_per_s:
                await asyncio.sleep(0.01)
                continue
            for unit in self.round():
                await self.queue.put(unit)
        for _ in range(self.connections):
            await self.queue.put(None)

    # ---- sending ----

    async def call(self, pipe, data):
        """(status, body); pipe is an open connection, or empty, and is empty again where it has ended."""
        try:
            if not pipe:
                pipe.extend(await asyncio.open_connection("127.0.0.1", self.port))
            reader, writer = pipe
            writer.write(data)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head).group(1)))
            if b"Connection: close" in head:
                self.hang_up(pipe)
            return int(head[9:12]), body
        except (OSError, asyncio.IncompleteReadError):
            self.hang_up(pipe)
            return None, b""

    @staticmethod
    def hang_up(pipe):
        if pipe:
            pipe[1].close()
            pipe.clear()

    async def send(self):
        pipe = []
        while unit := await self.queue.get():
            path, body, sums = unit
            data = b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (
                path.encode(), len(body), body.encode())
            while True:
                began = time.monotonic()
                status, answer = await self.call(pipe, data)
                if status is not None:
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                self.answers[str(status)] = self.answers.get(str(status), 0) + 1
                if status == 202:
                    break
                if status not in (None, 503):
                    raise AssertionError(f"{path} answered {status}: {answer}")
                await asyncio.sleep(RETRY_S * (1 + self.random.random()))
            if path.endswith("events") and json.loads(answer)["rejected"] != 0:
                raise AssertionError(f"of a batch: {answer}")
            for field, n in sums.items():
                self.acked[field] += n

    # ---- telling ----

    def tell(self, done):
        print(json.dumps({"made": self.made, "acked": self.acked, "answers": self.answers,
                          "slowest_s": self.slowest_s, "done": done}), flush=True)
        self.slowest_s = 0.0

    async def tell_on(self):
        while True:
            await asyncio.sleep(0.2)
            self.tell(False)

    def end(self):
        if not sys.stdin.buffer.read(1):
            self.ending = True
            asyncio.get_running_loop().remove_reader(sys.stdin)

    async def run(self):
        asyncio.get_running_loop().add_reader(sys.stdin, self.end)
        telling = asyncio.create_task(self.tell_on())
        await asyncio.gather(self.make(), *(self.send() for _ in range(self.connections)))
        telling.cancel()
        self.tell(True)


class Pump:
    """Its workers run inside `with`; at the end all that was made has been acknowledged. connections: of each worker,
    with an event or a batch under way on each."""

    def __init__(self, port, events_per_s, workers=2, connections=48, stem="p"):
        self.began, self.told, self.readers = time.monotonic(), [{} for _ in range(workers)], []
        self.stems = [f"{stem}{w}" for w in range(workers)]
        self.slowest_s = 0.0  # of all answers since it was last set to 0
        self.workers = [subprocess.Popen([sys.executable, os.path.abspath(__file__), str(port), name,
                                          str(events_per_s / workers), str(connections)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True) for name in self.stems]

    def read(self, w):
        for line in self.workers[w].stdout:
            self.told[w] = json.loads(line)
            self.slowest_s = max(self.slowest_s, self.told[w]["slowest_s"])

    def __enter__(self):
        for w in range(len(self.workers)):
            self.readers.append(threading.Thread(target=self.read, args=(w,), daemon=True))
            self.readers[-1].start()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.finish()
        for w in self.workers:
            if w.poll() is None:
                w.kill()
            w.wait()
            for pipe in (w.stdin, w.stdout):
                pipe.close()

    def acked(self, field):
        return sum(t["acked"][field] for t in self.told if t)

    def sums(self):
        """What is to be counted of what was acknowledged."""
        sums = {f: self.acked(f) for f in FIELDS}
        return {**sums, "in_flight": sums["requests"] - sums["responses"], "unanswered": 0}

    def events(self):
        return self.acked("requests") + self.acked("responses")

    def answers(self, status):
        return sum(t["answers"].get(str(status), 0) for t in self.told if t)

    def check(self):
        """That no worker has given up."""
        for name, w in zip(self.stems, self.workers):
            if w.poll() not in (None, 0):
                raise AssertionError(f"sender {name} ended with {w.poll()}")

    def wait_events(self, more, seconds=60):
        """Until so many more are acknowledged."""
        want = self.events() + more

        def look():
            self.check()
            return self.events() >= want
        wait_for(look, f"{more} events more", seconds)

    def finish(self, seconds=120):
        """No further events are made, and those that are made have all been acknowledged when this returns."""
        for w in self.workers:
            w.stdin.close()
            w.stdin = open(os.devnull, encoding="ascii")

        def done():
            self.check()
            return all(t.get("done") for t in self.told)
        wait_for(done, "acknowledgement of all that was sent", seconds, 0.1)
        self.made_s = time.monotonic() - self.began

    def ids(self):
        """Of all requests."""
        return {f"{name}-{n}" for name, told in zip(self.stems, self.told) for n in range(told["made"])}


if __name__ == "__main__":
    asyncio.run(Worker(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])).run())
