# SPDX-License-Identifier: Apache-2.0
"""Clients that take their time, and some that send rubbish, as a process of its own: `python3 slow_clients.py PORT
KIND=COUNT...`. After a line `go` on its standard input it keeps so many connections of each kind open, opening another
one where one is cut, until a line `stop`; it ends with its input. What it sees, it tells as a JSON object a line.

idle    sends nothing                      header  sends a header, four bytes a second
reader  asks and asks, and never reads     body    sends a body, four bytes a second
rubbish sends bytes that are no HTTP as soon as it can, and reads the answer: COUNT new connections a second, in a
        process without the others
"""
import collections
import json
import os
import random
import select
import socket
import sys
import time

TICK_S = 0.25
OPENED_PER_S = 2000  # so that the moments at which they are cut spread as well
HEAD = b"POST /v1/llm/request HTTP/1.1\r\nHost: h\r\n"
FIRST = {  # what is sent at once
    "idle": b"", "header": b"P", "body": HEAD + b"Content-Length: 2000\r\n\r\n",
    "reader": b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n" * 2000}
DRIP = {"header": HEAD[1:] + b"X: " + b"x" * 2000, "body": b" " * 2000}


class Slow:
    def __init__(self, kind, port):
        self.kind, self.began, self.at, self.first = kind, time.monotonic(), 0, FIRST.get(kind)
        self.sock = socket.socket()
        self.sock.setblocking(False)
        if kind == "reader":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if kind == "rubbish":
            self.first = random.randbytes(random.choice((1, 20, 200, 2000))) + b"\n"
        self.sock.connect_ex(("127.0.0.1", port))

    def on_writable(self):
        """Whether there is no more to send for now."""
        try:
            self.first = self.first[self.sock.send(self.first):] if self.first else b""
        except BlockingIOError:
            pass
        return not self.first

    def drip(self):
        if not self.first and self.kind in DRIP:
            try:
                self.at += self.sock.send(DRIP[self.kind][self.at:self.at + 1])
            except OSError:
                pass  # it is cut, and epoll says so

    def is_cut(self, events):
        if self.kind == "reader":
            return bool(events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP))
        try:
            return bool(events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR)) and not self.sock.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            return True


class Clients:
    def __init__(self, port, wanted):
        self.port, self.rubbish_per_s = port, wanted.pop("rubbish", 0)
        self.wanted = wanted
        self.epoll = select.epoll()
        self.open = {}  # by descriptor
        self.cut, self.longest_s = collections.Counter(), collections.Counter()
        self.missing = collections.deque()  # kinds to be opened
        self.on, self.sent, self.filled, self.began = False, 0, 0, 0.0
        self.opened = 0  # since the last `go`

    def add(self, kind):
        c = Slow(kind, self.port)
        self.opened += 1
        self.open[c.sock.fileno()] = c
        events = select.EPOLLRDHUP if kind == "reader" else select.EPOLLIN
        self.epoll.register(c.sock, events | select.EPOLLOUT)

    def drop(self, c):
        self.epoll.unregister(c.sock)
        del self.open[c.sock.fileno()]
        c.sock.close()

    def fill(self):
        due = (time.monotonic() - self.began) * OPENED_PER_S
        self.filled = max(self.filled, due - TICK_S * OPENED_PER_S / 10)  # what was not needed then is not owed
        while self.missing and self.filled < due:
            self.add(self.missing.popleft())
            self.filled += 1

    def go(self):
        self.on, self.sent, self.filled, self.began, self.opened = True, 0, 0, time.monotonic(), 0
        kinds = [kind for kind, n in self.wanted.items() for _ in range(n)]
        random.shuffle(kinds)
        self.missing.extend(kinds)

    def stop(self):
        self.on = False
        self.missing.clear()
        for c in list(self.open.values()):
            self.drop(c)

    def look(self, wait_s):
        for fd, events in self.epoll.poll(wait_s):
            c = self.open.get(fd)
            if not c:
                continue
            if c.is_cut(events):
                self.cut[c.kind] += 1
                self.longest_s[c.kind] = max(self.longest_s[c.kind], time.monotonic() - c.began)
                self.drop(c)
                if c.kind in self.wanted:
                    self.missing.append(c.kind)
            elif events & select.EPOLLOUT and c.on_writable():
                self.epoll.modify(fd, select.EPOLLRDHUP if c.kind == "reader" else select.EPOLLIN)

    def flood(self):
        due = min((time.monotonic() - self.began) * self.rubbish_per_s, self.sent + self.rubbish_per_s * TICK_S)
        under_way = len(self.open)
        while self.sent < due and under_way < 200:
            self.add("rubbish")
            self.sent, under_way = self.sent + 1, under_way + 1

    def tell(self):
        print(json.dumps({"on": self.on, "opened": self.opened, "open": len(self.open), "cut": self.cut, "longest_s": self.longest_s}),
              flush=True)

    def run(self):
        os.set_blocking(sys.stdin.fileno(), False)
        ticked = 0.0
        while True:
            self.look(0.005)
            try:
                line = os.read(sys.stdin.fileno(), 100)
            except BlockingIOError:
                line = None
            if line == b"":
                return
            if line:
                self.go() if line.strip() == b"go" else self.stop()
                self.tell()
            if self.on:
                self.fill()
                self.flood()
            if time.monotonic() - ticked > TICK_S:
                ticked = time.monotonic()
                for c in self.open.values():
                    c.drip()
                self.tell()


if __name__ == "__main__":
    os.nice(5)  # the good client does not wait for a core because of these
    Clients(int(sys.argv[1]), {k: int(v) for k, v in (a.split("=") for a in sys.argv[2:])}).run()
