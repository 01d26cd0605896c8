# SPDX-License-Identifier: Apache-2.0
"""A client of /v1/stream: reads in a thread of its own, and comes back with the last id it saw wherever the stream
breaks off, to the next of several ports."""
import http.client
import json
import socket
import threading
import time


class EventStream:
    """ports: a function that gives them. Without `again` it ends where its first stream ends."""

    def __init__(self, ports, query, headers=None, last_id=None, again=True, receive_bytes=None):
        self.ports, self.query, self.headers, self.last_id, self.again = ports, query, headers or {}, last_id, again
        self.receive_bytes = receive_bytes
        self.events = []    # (event, data, id)
        self.comments = []
        self.latest = {}    # (route, model, window_start) -> its newest row
        self.connects, self.statuses, self.problem = 0, [], None
        self.reads = threading.Event()  # cleared: it is slow
        self.reads.set()
        self.ended, self.connection = False, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended:
            try:
                self.read_one()
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)  # nobody listens there just now
            if not self.again:
                self.ended = True

    def read_one(self):
        ports = self.ports()
        port = ports[self.connects % len(ports)]
        self.connects += 1
        self.connection = c = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
        if self.receive_bytes:
            c.sock = socket.socket()
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_bytes)
            c.sock.settimeout(40)
            c.sock.connect(("127.0.0.1", port))
        headers = dict(self.headers)
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        try:
            c.request("GET", "/v1/stream?" + self.query, headers=headers)
            with c.getresponse() as r:
                self.statuses.append(r.status)
                if r.status == 200:
                    self.read_events(r)
                else:
                    self.problem = json.loads(r.read())
        finally:
            c.close()

    def read_events(self, r):
        event = {}
        while not self.ended:
            self.reads.wait()
            line = r.readline()
            if not line:
                return
            name, _, value = line.decode().rstrip("\n").partition(":")
            if line == b"\n":
                self.take(event)
                event = {}
            elif not name:
                self.comments.append(value.strip())
            else:
                event[name] = value.removeprefix(" ")

    def take(self, event):
        if "data" not in event:
            return
        data = json.loads(event["data"])
        if event["event"] == "window":
            key = (data["route"], data["model"], data["window_start"])
            if key not in self.latest or self.latest[key]["revision"] <= data["revision"]:
                self.latest[key] = data
        self.events.append((event["event"], data, event.get("id")))
        self.last_id = event.get("id", self.last_id)

    def of(self, name):
        return [data for event, data, _ in self.events if event == name]

    def close(self):
        self.ended = True
        self.reads.set()
        if self.connection and self.connection.sock:
            try:
                self.connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
