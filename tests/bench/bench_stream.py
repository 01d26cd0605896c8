# SPDX-License-Identifier: Apache-2.0
"""CPU of metrics-api for one changed row to one client of /v1/stream, and how long the last client waits for it:
bench_stream.py [CLIENTS [ROWS [ROUNDS]]]. Each round is one transaction that changes all rows of a tenant."""
import multiprocessing
import resource
import select
import socket
import sys
import time

import fact_rows
from bench_lines import tell
from load import say
from psql_session import Session
from stack import Stack

NOON = "timestamptz '2025-11-20 12:00+00'"


class Counter:
    """How often a text came in a stream of pieces."""

    def __init__(self, text):
        self.text, self.tail = text, b""

    def add(self, piece):
        whole = self.tail + piece
        self.tail = whole[-(len(self.text) - 1):]
        return whole.count(self.text)


def read_all(port, n, pipe, rounds):
    """Connects n clients, and tells when each has begun, and each time that all of them have a further position."""
    poll, clients, ids, told, got = select.epoll(), {}, 0, 0, 0
    for _ in range(n):
        c = socket.create_connection(("127.0.0.1", port))
        c.sendall(b"GET /v1/stream?tenant_id=t HTTP/1.1\r\nHost: h\r\n\r\n")
        poll.register(c, select.EPOLLIN)
        clients[c.fileno()] = (c, Counter(b"\nid: "))  # hello has one, and each position
    while told <= rounds:
        for fd, _ in poll.poll():
            data = clients[fd][0].recv(1 << 18)
            got += len(data)
            ids += clients[fd][1].add(data)
        if ids >= n * (told + 1):
            told += 1
            pipe.send(got)
    pipe.recv()  # the clients stay until all was asked


def main():
    clients, rows, rounds = (int(a) for a in (sys.argv[1:] + ["1000", "100", "20"][len(sys.argv) - 1:])[:3])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Stack(env={"HTTP_MEMORY_BYTES": str(1 << 30), "HTTP_MAX_CONNECTIONS_PER_ADDRESS": "0"}) as s:
        s.sql("INSERT INTO llm_series (series_id, tenant_id, route, model) OVERRIDING SYSTEM VALUE"
              f" SELECT i, 't', '/r' || i, 'm' FROM generate_series(1, {rows}) i")
        fact_rows.partitions(s, [NOON])
        fact_rows.rows(s, "llm_minute", f"SELECT generate_series(1, {rows})", f"SELECT {NOON}", requests="7")
        s.sql(f"INSERT INTO llm_window (window_start) VALUES ({NOON})")
        api = s.start("metrics-api")
        here, there = multiprocessing.Pipe()
        reader = multiprocessing.Process(target=read_all, args=(api.port, clients, there, rounds), daemon=True)
        reader.start()
        here.recv()
        before, waits, got = api.cpu_seconds(), [], 0
        with Session(s.dsn) as db:
            for _ in range(rounds):
                time.sleep(0.3)  # a look is no sooner after the one before
                began = time.monotonic()
                db("BEGIN; UPDATE llm_minute SET revision = revision + 1; UPDATE llm_window SET changes = changes + 1;"
                   " SELECT pg_notify('streamlens_flush', '1-1'); COMMIT")
                got = here.recv()
                waits.append(time.monotonic() - began)
        cpu = api.cpu_seconds() - before
        sent = api.metric("streamlens_stream_rows_total")
        say(f"{clients} clients, {rows} rows, {rounds} rounds: bytes a row", f"{got / sent:.0f}")
        say("CPU a row and client", f"{cpu * 1e6 / sent:.2f} us", "the kernel's share of it")
        tell("stream.row.cpu", cpu * 1e6 / sent, "us", sent)
        tell("stream.last_client", sorted(waits)[len(waits) // 2] * 1000, "ms", rounds)
        say("rows a second and core", f"{sent / cpu:,.0f}")
        say("from the transaction until the last client has it, median", f"{sorted(waits)[len(waits) // 2] * 1000:.0f} ms")
        say("clients that were too slow", f"{api.metric('streamlens_stream_behind_total'):.0f}", "0")
        reader.terminate()


if __name__ == "__main__":
    main()
