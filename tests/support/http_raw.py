# SPDX-License-Identifier: Apache-2.0
"""HTTP by raw sockets, for tests that must send what no client library would."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

PATIENCE_S = 60  # for what has to come; a passing test never waits that long


def program():
    if "HTTP_TEST_SERVER" in os.environ:
        return os.environ["HTTP_TEST_SERVER"]
    return os.path.join(os.environ["SL_BUILD"], "tests", "integration", "http_test_server")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return "%d %r %r" % (self.status, self.headers, self.body[:200])


class Client:
    """One connection. Reads answers one at a time; `is_head` where the answer has no body."""

    def __init__(self, port, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("closed after %r" % self.buffer[:200])
        self.buffer += data

    def answer(self, is_head=False):
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(re.fullmatch(r"HTTP/1\.1 (\d{3}) .+", lines[0]).group(1))
        headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, "twice in an answer: " + name
            headers[name.lower()] = value
        size = 0 if is_head or status == 100 else int(headers.get("content-length", 0))
        while len(self.buffer) < size:
            self._more()
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return Answer(status, headers, body)

    def is_open(self):
        """Whether the server still answers here."""
        return self.send(get("/hello")).answer().body == b"hello\n"

    def rest(self):
        """All that comes until the server closes. A reset raises."""
        while True:
            try:
                self._more()
            except EOFError:
                return self.buffer

    def reset(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


def get(target, *fields):
    return request("GET", target, *fields)


def request(method, target, *fields, body=None):
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: test", *fields]
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def post(target, body, *fields):
    return request("POST", target, *fields, body=body)


def chunks(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


class Server:
    """The test server as a process of its own, its output read line by line."""

    def __init__(self, *flags, wrapper=()):
        self.process = subprocess.Popen(
            [*wrapper, program(), *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log = []
        self.log_reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr))
        self.log_reader.start()
        line = self.process.stdout.readline()
        if not line.startswith("listening "):
            self.log_reader.join()
            raise RuntimeError("the test server did not start: %r %r" % (line, self.log))
        self.port = int(line.split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def client(self, **options):
        return Client(self.port, **options)

    @staticmethod
    def _read_metrics(client):
        answer = client.send(get("/metrics")).answer()
        assert answer.status == 200, answer
        text = answer.body.decode()
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name.replace("{}", ""): float(value) for name, value in pairs}

    def metrics(self, client=None):
        """Name and labels to number, over an own connection where none is given."""
        if client:
            return self._read_metrics(client)
        with self.client() as c:
            return self._read_metrics(c)

    def wait_for(self, name, is_wanted):
        """Until the metric is as wanted. The request that asks is in flight itself."""
        deadline = time.monotonic() + PATIENCE_S
        with self.client() as c:
            while True:
                value = self._read_metrics(c)[name]
                if is_wanted(value):
                    return
                if time.monotonic() > deadline:
                    raise TimeoutError("%s stays at %s" % (name, value))

    def begin_drain(self):
        self.process.send_signal(signal.SIGTERM)
        line = self.process.stdout.readline()
        assert line == "draining\n", line

    def release_held(self):
        self.process.send_signal(signal.SIGUSR1)

    def end_drain(self):
        line = self.process.stdout.readline()
        assert line == "drained\n", line
        return self.process.wait(PATIENCE_S)

    def rss_bytes(self):
        with open("/proc/%d/statm" % self.process.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        """Ends it; a sanitizer's finding or a crash is an error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.log_reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        if code != 0:
            raise RuntimeError("the test server ended with %d:\n%s" % (code, "".join(self.log)))
