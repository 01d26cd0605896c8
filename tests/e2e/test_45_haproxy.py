#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's HAProxy with deploy/haproxy/haproxy.cfg as it stands there, and a certificate of our own, in front of two
ingest processes and a metrics-api on Unix sockets."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest
from pathlib import Path

from stack import ROOT, Stack, iso, needed, wait_for

CONFIG = os.path.join(ROOT, "deploy", "haproxy", "haproxy.cfg")
INGESTS = ("ingest-api-1", "ingest-api-2")


def event(request_id, **fields):
    return {"request_id": request_id, "tenant_id": "t", "route": "/chat", "model": "m", "timestamp": iso(time.time()),
            **fields}


def check(**env):
    """(status, words) of haproxy -c."""
    done = subprocess.run(["haproxy", "-c", "-f", CONFIG], env={"PATH": os.environ["PATH"], **env}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


class HAProxy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("haproxy"):
            raise unittest.SkipTest("there is no haproxy; see deploy/local/packages.sh")
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(cls.stack.__exit__)
        cls.run_dir = Path(needed("SL_TMP")) / (cls.stack.id + ".run")
        cls.run_dir.mkdir()
        cls.addClassCleanup(shutil.rmtree, cls.run_dir)
        for name in (*INGESTS, "metrics-api", "processor"):
            cls.start(name)
        cls.certificate()
        cls.port = int(needed("SL_PORT_BASE")) + 45
        cls.proxy_start()

    @classmethod
    def start(cls, name):
        own = {} if name == "processor" else {"HTTP_SOCKET": str(cls.run_dir / f"{name}.sock")}
        return cls.stack.start(name, env=own)

    @classmethod
    def certificate(cls):
        key, cls.ca, cls.pem = (cls.run_dir / name for name in ("key.pem", "ca.pem", "both.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cls.ca,
                        "-days", "1", "-subj", "/CN=streamlens.example", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
        cls.pem.write_bytes(cls.ca.read_bytes() + key.read_bytes())
        cls.tls = ssl.create_default_context(cafile=str(cls.ca))

    @classmethod
    def proxy_start(cls):
        env = {"PATH": os.environ["PATH"], "SL_RUN": os.environ.get("SL_RUN", ""), "STREAMLENS_CERT": str(cls.pem),
               "STREAMLENS_RUN": str(cls.run_dir), "STREAMLENS_BIND": f"127.0.0.1:{cls.port}"}
        cls.log = cls.run_dir.with_suffix(".haproxy.log")
        with open(cls.log, "wb") as log:
            proxy = subprocess.Popen(["haproxy", "-db", "-f", CONFIG], env=env, stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log)
        cls.addClassCleanup(proxy.wait)
        cls.addClassCleanup(proxy.kill)
        wait_for(lambda: proxy.poll() is not None or cls.healthy(), "HAProxy that finds a backend healthy")
        if proxy.poll() is not None:
            raise AssertionError(f"HAProxy ended with {proxy.returncode}:\n{cls.log.read_text()}")

    @classmethod
    def healthy(cls):
        try:
            return cls.call("GET", "/health")[0] == 200
        except OSError:
            return False

    # ---- asking ----

    @classmethod
    def connect(cls):
        return http.client.HTTPSConnection("127.0.0.1", cls.port, timeout=30, context=cls.tls)

    @classmethod
    def call(cls, method, path, body=None):
        c = cls.connect()
        try:
            c.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = c.getresponse()
            return answer.status, answer.read()
        finally:
            c.close()

    def curl(self, path, *options, ca=True):
        """(exit code, version of HTTP, status, body)"""
        trusted = ["--cacert", str(self.ca)] if ca else []
        done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", "30", "-w", "\n%{http_version} %{http_code}",
                               *trusted, *options, f"https://localhost:{self.port}{path}"], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        body, _, last = done.stdout.rpartition("\n")
        return done.returncode, *last.split(), body

    def raw(self, data):
        """All that comes back until the proxy closes, or says nothing for a second."""
        with socket.create_connection(("127.0.0.1", self.port)) as plain, \
                self.tls.wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(data)
            s.settimeout(1)
            got = b""
            try:
                while read := s.recv(65536):
                    got += read
            except OSError:
                pass
            return got

    def ids_in_log(self, prefix):
        found = [json.loads(r["payload"])["request_id"] for r in self.stack.consume("llm.requests") if r["payload"]]
        return sorted(i for i in found if i.startswith(prefix))

    def requests_of(self, tenant):
        return self.stack.totals(f"tenant_id = '{tenant}'")["requests"]

    # ---- tests ----

    def test_the_file_is_valid_without_a_warning(self):
        status, words = check(STREAMLENS_CERT=str(self.pem), STREAMLENS_RUN="/run/streamlens")
        self.assertEqual(status, 0, words)
        self.assertNotIn("WARNING", words)

    def test_a_certificate_that_is_not_there_is_named(self):
        self.assertIn("missing certificate", check(STREAMLENS_RUN="/x")[1])
        status, words = check(STREAMLENS_CERT="/nowhere/cert.pem", STREAMLENS_RUN="/x")
        self.assertNotEqual(status, 0)
        self.assertIn("/nowhere/cert.pem", words)

    def test_a_client_is_not_talked_to_in_clear_or_in_old_tls_or_untrusting(self):
        self.assertEqual(self.curl("/health", ca=False)[0], 60)  # curl: the certificate cannot be verified
        self.assertEqual(self.curl("/health", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")[0], 35)
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertNotIn(b"200 OK", s.recv(1000))

    def test_events_are_counted_in_both_versions_of_http(self):
        for option, version in (("--http1.1", "1.1"), ("--http2", "2")):
            tenant = "version-" + version
            batch = "\n".join(json.dumps({"type": "request", **event(f"{tenant}-{i}", tenant_id=tenant)})
                              for i in range(300))
            Path(self.run_dir, "batch").write_text(batch)  # larger than HAProxy's buffer
            self.assertGreater(len(batch), 32768)
            sent = self.curl("/v1/llm/request", option, "--json", json.dumps(event(tenant, tenant_id=tenant)))
            self.assertEqual(sent[:3], (0, version, "202"), sent)
            sent = self.curl("/v1/llm/events", option, "-H", "Content-Type: application/x-ndjson", "--data-binary",
                             f"@{self.run_dir}/batch")
            self.assertEqual((sent[0], sent[1], json.loads(sent[3])["accepted"]), (0, version, 300), sent)
            wait_for(lambda t=tenant: self.requests_of(t) == 301, "what was sent")

            def served(v=option, t=tenant):
                rows = json.loads(self.curl("/v1/metrics?tenant_id=" + t, v)[3])["metrics"]
                return sum(r["requests"] for r in rows) == 301
            wait_for(served, "the same by the metrics-api")

    def test_what_is_not_for_the_public_is_not_there(self):
        for path in ("/metrics", "/readyz", "/livez", "/startupz", "/v1/../metrics", "//metrics", "/%6detrics",
                     "/v1/metrics/../../metrics", "/v1/llm/request/../../../metrics", "/"):
            for option in ("--http1.1", "--http2"):
                code, _, status, body = self.curl(path, option, "--path-as-is")
                self.assertEqual((code, status), (0, "404"), (path, body))
                self.assertNotIn("streamlens_", body)

    def test_a_process_that_is_gone_is_not_noticed_by_clients(self):
        """The proxy has not looked since: what it sends there fails, and goes to the other one."""
        for name in INGESTS:
            self.stack.services[name].kill()
            try:
                answers = [self.call("POST", "/v1/llm/request", json.dumps(event(f"gone-{name}-{i}")))[0]
                           for i in range(20)]
            finally:
                self.start(name)
            self.assertEqual(answers, [202] * 20)
            wait_for(lambda n=name: self.up_again(n), f"{name} as healthy for the proxy")

    def up_again(self, name):
        """The last that the proxy has said of it, if it has noticed at all: down for fewer than two checks is up."""
        said = re.findall(rf"Server ingest/{name} is (UP|DOWN)", self.log.read_text())
        return not said or said[-1] == "UP"

    def test_killed_and_ended_under_load_each_event_is_counted_once(self):
        """Sent again until 202, as clients must. Killed alternately, and ended as a rolling restart does."""
        end, acked, again = threading.Event(), [0] * 8, [0] * 8
        senders = [threading.Thread(target=self.send_until, args=(end, i, acked, again)) for i in range(8)]
        for s in senders:
            s.start()
        try:
            for name, how in zip(INGESTS * 2, (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGTERM)):
                before = sum(acked)
                wait_for(lambda b=before: sum(acked) > b + 200, "traffic")
                service = self.stack.services[name]
                service.process.send_signal(how)
                service.process.wait(30)
                before = sum(acked)
                wait_for(lambda b=before: sum(acked) > b + 200, "traffic by the other process alone")
                self.start(name)
                wait_for(lambda n=name: self.up_again(n), f"{name} as healthy for the proxy")
        finally:
            end.set()
            for s in senders:
                s.join()
        print(f"{sum(acked)} events, {sum(again)} sent again by the client", flush=True)
        self.assertLess(sum(again), sum(acked) / 20, "the proxy does not try again by itself")
        self.assertEqual(len(set(self.ids_in_log("load-"))), sum(acked))
        wait_for(lambda: self.requests_of("load") == sum(acked), "what was acknowledged, each once")

    def send_until(self, end, sender, acked, again):
        connection = self.connect()
        number = 0
        while not end.is_set():
            body = json.dumps(event(f"load-{sender}-{number}", tenant_id="load"))
            number += 1
            while True:
                try:
                    connection.request("POST", "/v1/llm/request", body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status == 202:
                        break
                    self.assertEqual(answer.status, 503)
                except (OSError, http.client.HTTPException):
                    connection.close()
                    connection = self.connect()
                again[sender] += 1
            acked[sender] += 1
        connection.close()

    def test_a_smuggled_request_is_not_executed(self):
        """Whatever the proxy makes of it: what is inside a body is nobody's request, and nothing is taken twice."""
        for number, (name, head) in enumerate((
                ("nothing", "Content-Length: {n}"),
                ("both lengths", "Content-Length: {n}\r\nTransfer-Encoding: chunked"),
                ("both, the other way", "Transfer-Encoding: chunked\r\nContent-Length: {n}"),
                ("an odd encoding", "Content-Length: {n}\r\nTransfer-Encoding: xchunked"),
                ("a tab", "Content-Length: {n}\r\nTransfer-Encoding:\tchunked"),
                ("two lengths", "Content-Length: {n}\r\nContent-Length: 0"),
                ("a bare LF", "X: y\nContent-Length: 0\r\nContent-Length: {n}"),
                ("bare LFs alone", "X: y\nContent-Length: {n}"),
                ("a folded line", "X: y\r\n Content-Length: 0\r\nContent-Length: {n}"))):
            with self.subTest(name):
                inner_body = json.dumps(event(f"smuggle-inner-{number}"))
                inner = (f"POST /v1/llm/request HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(inner_body)}\r\n\r\n"
                         f"{inner_body}")
                outer = json.dumps(event(f"smuggle-outer-{number}", metadata={"x": inner}))
                chunked = f"{len(outer):x}\r\n{outer}\r\n0\r\n\r\n" if "chunked" in head and "xchunked" not in head else outer
                for body in (chunked, "0\r\n\r\n" + inner):
                    self.raw(f"POST /v1/llm/request HTTP/1.1\r\nHost: localhost\r\n{head.format(n=len(body))}\r\n\r\n{body}"
                             .encode())
        taken = self.ids_in_log("smuggle-")
        self.assertEqual([i for i in taken if i.startswith("smuggle-inner")], [])
        self.assertEqual(len(taken), len(set(taken)))
        self.assertIn("smuggle-outer-0", taken)  # which is as it should be

    def test_an_address_has_so_many_connections(self):
        opened = []
        try:
            with self.assertRaises(OSError):
                for _ in range(520):
                    plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                    opened.append(plain)
                    opened[-1] = self.tls.wrap_socket(plain, server_hostname="localhost")
            self.assertGreater(len(opened), 450)
        finally:
            for s in opened:
                s.close()
        wait_for(self.healthy, "an answer once they are closed")


if __name__ == "__main__":
    unittest.main()
