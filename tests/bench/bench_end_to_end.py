# SPDX-License-Identifier: Apache-2.0
"""How long after its POST an event is in a row of llm_metrics, and in a record of the topic of that name:
bench_end_to_end.py [SECONDS [EVENTS_PER_SECOND]]. Probes, each a series of its own, go through ingest-api two a second;
the rest of the load goes straight to the log. All settings are the defaults.

A row waits for the flush, FLUSH_INTERVAL_MS. A record waits for the end of its minute, WINDOW_GRACE_MS, the flush that
tells that every partition is beyond that, and the publisher's next look."""
import json
import random
import sys
import threading
import time

import feed
from bench_lines import tell
from bench_publish import GRACE_S, KEY, Lines, percentile
from load import say
from psql_session import Session
from stack import Stack, http_call, wait_for

EVERY_S, LOOK_S = 0.5, 0.02


class Rows(threading.Thread):
    """When each probe's row was first seen, looked for so often."""

    def __init__(self, dsn):
        super().__init__(daemon=True)
        self.session, self.waiting, self.seen, self.over = Session(dsn), set(), {}, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(LOOK_S):
            wanted = ",".join(f"'{model}'" for model in list(self.waiting))
            if not wanted:
                continue
            for model in self.session("SELECT model FROM llm_metrics WHERE tenant_id = 'probe' AND requests = 1"
                                      f" AND model IN ({wanted})"):
                self.seen[model] = time.time()
                self.waiting.discard(model)

    def end(self):
        self.over.set()
        self.join()
        self.session.close()


def post(port, kind, event):
    status, answer = http_call(port, "POST", "/v1/llm/" + kind, json.dumps(event).encode(),
                               {"Content-Type": "application/json"})
    assert status == 202, (status, answer)


def probe(port, rows, n):
    """(model, when it was sent)"""
    model, at = f"probe-{n}", time.time()
    post(port, "request", {"request_id": f"probe-{at}", "tenant_id": "probe", "route": "/p", "model": model,
                           "timestamp": int(at * 1000)})
    rows.waiting.add(model)
    post(port, "response", {"request_id": f"probe-{at}", "timestamp": int(at * 1000) + 1, "latency_ms": 1})
    return model, at


def records(lines):
    """{model: when its first record could be read}"""
    found = {}
    for at, line in list(lines):
        tenant, _, model = KEY.search(line)[1].split("|")
        if tenant == "probe":
            found.setdefault(model, at)
    return found


def show(name, what, values):
    for q in (50, 99):
        say(f"{what}, p{q}", f"{percentile(values, q):.2f} s")
        tell(f"end_to_end.{name}.p{q}", percentile(values, q), "s", len(values))


def measure(s, seconds, rate):
    api = s.start("ingest-api")
    p = s.start("processor")
    wait_for(lambda: p.metric(feed.LIVE) == int(s.env["PARTITIONS"]), "the partitions", 60)
    load = feed.filler(s, rate * (seconds + 90) // 2, 10000, "--rate", rate, "--series", 200)
    rows, sent, draw = Rows(s.dsn), {}, random.Random(9)
    read = Lines(["kcat", "-C", "-u", "-q", "-J", "-o", "beginning", "-b", s.brokers, "-X", "fetch.wait.max.ms=20",
                  "-X", "isolation.level=read_committed", "-t", s.prefix + "llm.metrics"])
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            model, at = probe(api.port, rows, len(sent))
            sent[model] = at
            time.sleep(EVERY_S * draw.uniform(0.5, 1.5))
        wait_for(lambda: not rows.waiting, "every row", 60)
        wait_for(lambda: len(records(read.lines)) == len(sent), "every record", 180, 1)
    finally:
        load.kill()
        load.wait()
        read.end()
        rows.end()
    seen = records(read.lines)
    show("row", "from the POST to its row", [rows.seen[m] - at for m, at in sent.items()])
    show("topic", "from the POST to its record", [seen[m] - at for m, at in sent.items()])
    show("topic_after_grace", f"from {GRACE_S} s after its minute's end to its record",
         [seen[m] - (int(at) // 60 * 60 + 60 + GRACE_S) for m, at in sent.items()])


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 120
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    with Stack(partitions=12, env={"FLUSH_INTERVAL_MS": "5000"}) as s:
        measure(s, seconds, rate)


if __name__ == "__main__":
    main()
