# SPDX-License-Identifier: Apache-2.0
"""Resident memory for each of what a process holds many of: bench_memory.py [JOINS [CONNECTIONS]].

Each is what memory grows by between a half of them and as many more, so that what is there anyway does not count: the
client library's buffers, code, what the allocator keeps. The processor's own account of its join tables is beside it.
Tables double, so a figure is that of its number; what the kernel holds for a connection is not in it."""
import resource
import socket
import sys
import time

import feed
from bench_lines import tell
from load import say
from stack import Stack, wait_for

PARTITIONS = 12
POST = "POST /v1/llm/request HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s"
EVENT = '{"request_id":"c","tenant_id":"t","route":"/r","model":"m","timestamp":%d}'
QUESTION = "GET /v1/metrics?tenant_id=t HTTP/1.1\r\nHost: h\r\n\r\n"


def looked(p):
    return {"resident": p.resident_bytes(),
            **{name: p.metric("streamlens_processor_" + name) for name in ("join_bytes", "delta_cells")}}


def grown(s, p, fills, metric, marks):
    """What the last fill of the log has changed; all of one is consumed when the metric is at its mark."""
    seen = []
    for n, (fill, mark) in enumerate(zip(fills, marks), 1):
        feed.fill(s, *fill, "--seed", n, "--duplicates", 0)
        wait_for(lambda: p.metric(metric) >= mark, "all of it consumed", 600, 0.2)
        seen.append(looked(p))
    return {name: now - seen[-2][name] for name, now in seen[-1].items()}


def show(name, what, growth, n):
    say(f"bytes {what}", f"{growth / n:.0f}")
    tell(f"memory.{name}", growth / n, "B", n)


def joins(n, name, what, options, metric):
    with Stack(partitions=PARTITIONS, env={"FLUSH_INTERVAL_MS": "1000", "JOIN_TTL_MS": "3600000"}) as s:
        p = s.start("processor")
        fills = [(n // 2, 500, "--series", 200, *options), (n, 500, "--series", 200, *options)]
        more = grown(s, p, fills, metric, (n // 2, n // 2 + n))
        show(name, what, more["resident"], n)
        show(name + ".table", what + ", of the tables", more["join_bytes"], n)


def cells(series):
    """Of changes since the last flush, which does not come: one of a series and a minute each."""
    with Stack(partitions=PARTITIONS, env={"FLUSH_INTERVAL_MS": "3600000", "MAX_DELTA_CELLS": "100000000"}) as s:
        p = s.start("processor")
        fills = [(2 * series, 500, "--series", series), (4 * series, 500, "--series", 4 * series)]
        more = grown(s, p, fills, feed.COUNTED[1], (2 * series, 6 * series))
        show("changed_series", "a changed minute of a series", more["resident"] - more["join_bytes"],
             more["delta_cells"])


def opened(port, n, text):
    """So many connections, each of which has had an answer."""
    found = []
    for i in range(n):
        found.append(socket.create_connection(("127.0.0.1", port), timeout=60))
        found[-1].sendall(text.encode())
        assert found[-1].recv(1 << 16).startswith(b"HTTP/1.1 20"), i
    return found


def connections(n):
    env = {"HTTP_MAX_CONNECTIONS_PER_ADDRESS": "0", "HTTP_MAX_CONNECTIONS": str(2 * n)}
    with Stack(env=env) as s:
        event = EVENT % int(time.time() * 1000)
        for service, text in (("ingest-api", POST % (len(event), event)), ("metrics-api", QUESTION)):
            api = s.start(service)
            first = opened(api.port, n // 2, text)
            before = api.resident_bytes()
            more = opened(api.port, n, text)
            show("connection." + service, f"a connection to {service} that has been answered",
                 api.resident_bytes() - before, n)
            for c in first + more:
                c.close()


def main():
    n, clients = (int(a) for a in (sys.argv[1:] + ["1000000", "4000"][len(sys.argv) - 1:])[:2])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    joins(n, "live_join", "a request that waits", ["--no-answers"], feed.COUNTED[0])
    joins(n, "answered", "a request that was answered", [], feed.COUNTED[1])
    cells(n // 20)
    connections(clients)


if __name__ == "__main__":
    main()
