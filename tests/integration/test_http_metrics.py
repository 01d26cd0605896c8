# SPDX-License-Identifier: Apache-2.0
"""What the HTTP server tells of itself: metrics, access log, and the form of log lines."""

import json
import os
import time
import unittest

from http_case import WithServer
from http_raw import Server, get, post, request


class Logging(unittest.TestCase):
    def refused_line(self, log_format):
        os.environ["LOG_FORMAT"] = log_format
        try:
            with self.assertRaises(RuntimeError):
                Server('--bad="a\n\x1b\xe9"')
            with Server() as server:
                server.begin_drain()
                server.end_drain()
                log = server.log
            return log
        finally:
            del os.environ["LOG_FORMAT"]

    def test_text_is_one_line_an_event_with_fields(self):
        line = self.refused_line("text")[-1]
        self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z INFO http-test-server: stopping signal=SIGTERM\n$")

    def test_json_is_one_object_a_line(self):
        for line in self.refused_line("json"):
            event = json.loads(line)
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$")
            self.assertEqual((event["level"], event["program"]), ("info", "http-test-server"))
            self.assertEqual((event["event"], event["signal"]), ("stopping", "SIGTERM"))

    def test_what_a_stranger_sent_cannot_begin_a_line(self):
        for log_format in ("text", "json"):
            with self.subTest(log_format):
                os.environ["LOG_FORMAT"] = log_format
                with self.assertRaises(RuntimeError) as caught:
                    Server('--bad="a\n\x1b')
                del os.environ["LOG_FORMAT"]
                text = str(caught.exception)
                self.assertIn("unknown flag", text)
                self.assertNotIn("\x1b", text)
                self.assertIn({"text": r"\\x0a\\x1b", "json": r"\\u000a\\u001b"}[log_format], text)


class AccessLog(unittest.TestCase):
    SECRET = "s3cr3t"

    @staticmethod
    def fields(line):
        return dict(pair.split("=", 1) for pair in line.split()[4:])

    def lines(self, flags, talk):
        with Server("--drain-timeout-ms=300", *flags) as server:
            with server.client() as c:
                talk(server, c)
            server.begin_drain()
            server.end_drain()
        return [line for line in server.log if " request " in line]

    def test_none_is_the_default(self):
        def talk(_, c):
            for _ in range(5):
                c.send(get("/unavailable")).answer()
        self.assertEqual(self.lines([], talk), [])

    def test_a_line_tells_what_happened_and_nothing_that_was_sent(self):
        secret = self.SECRET

        def talk(_, c):
            c.send(post("/keyed?q=" + secret, secret.encode(), "Authorization: Bearer " + secret, "X-Api-Key: " + secret))
            c.answer()
            c.send(get("/" + secret)).answer()
            c.send(("%s /hello HTTP/1.1\r\nHost: %s\r\n\r\n" % (secret.upper(), secret)).encode()).answer()

        lines = self.lines(["--access-log-every=1"], talk)
        self.assertEqual(len(lines), 3, lines)
        self.assertNotIn(secret, "".join(lines).lower())
        first, second, third = (self.fields(line) for line in lines)
        size = len(post("/keyed?q=" + secret, secret.encode(), "Authorization: Bearer " + secret, "X-Api-Key: " + secret))
        self.assertEqual((first["method"], first["route"], first["status"], first["bytes_in"], first["peer"], first["key"]),
                         ("POST", "/keyed", "200", str(size), "127.0.0.1", "key-7"))
        self.assertGreater(int(first["bytes_out"]), 80)
        self.assertLess(int(first["duration_us"]), 5_000_000)
        self.assertEqual((second["method"], second["route"], second["status"], second["key"]), ("GET", "other", "404", '""'))
        self.assertEqual((third["method"], third["route"], third["status"]), ("other", "other", "501"))

    def test_every_nth_of_a_route_and_each_failure(self):
        def talk(_, c):
            for _ in range(9):
                c.send(get("/hello")).answer()
            for _ in range(4):
                c.send(get("/describe")).answer()
            for _ in range(2):
                c.send(get("/unavailable")).answer()
        routes = [self.fields(line)["route"] for line in self.lines(["--access-log-every=4"], talk)]
        self.assertEqual(routes, ["/hello"] * 2 + ["/describe"] + ["/unavailable"] * 2)

    def test_ten_lines_a_second_and_the_rest_is_counted(self):
        sent = 500
        with Server("--drain-timeout-ms=300", "--access-log-every=1000") as server, server.client() as c:
            def logged():
                return [self.fields(line) for line in server.log if " request " in line]

            begin = time.monotonic()
            c.send(get("/unavailable") * sent)
            for _ in range(sent):
                c.answer()
            seconds = time.monotonic() - begin
            deadline = begin + 20
            # The first line of another second says how many were left out.
            while sum(int(line["unlogged"]) for line in logged()) + len(logged()) < sent:
                self.assertLess(time.monotonic(), deadline)
                c.send(get("/unavailable")).answer()
                sent += 1
                seconds = time.monotonic() - begin
            self.assertLessEqual(len(logged()), 10 * (int(seconds) + 2))


class Metrics(WithServer):
    @staticmethod
    def requests(route, method, status):
        return 'streamlens_http_requests_total{route="%s",method="%s",status="%s"}' % (route, method, status)

    def test_requests_refusals_and_bytes_are_counted(self):
        before = self.server.metrics()
        sent = post("/echo", b"12345") + get("/nothing") + get("/hello")
        c = self.client().send(sent)
        self.assertEqual([c.answer().status for _ in range(3)], [200, 404, 200])
        self.client().send(b"rubbish\r\n\r\n").rest()
        self.client().send(post("/small", b"x" * 20)).rest()
        after = self.server.metrics()

        def grown(name):
            return after.get(name, 0) - before.get(name, 0)

        self.assertEqual(grown('streamlens_http_refused_total{reason="framing"}'), 1)
        self.assertEqual(grown('streamlens_http_refused_total{reason="too_large"}'), 1)
        refused = len(b"rubbish\r\n\r\n") * 2 + len(post("/small", b"x" * 20)) - 20
        self.assertIn(grown("streamlens_http_received_bytes_total") - len(sent) - len(get("/metrics")),
                      range(refused - 11, refused))
        self.assertEqual(grown("streamlens_http_connections_accepted_total"), 4)
        self.assertGreater(grown("streamlens_http_sent_bytes_total"), 300)

    def test_requests_are_counted_by_route_method_and_status(self):
        with Server("--drain-timeout-ms=300") as server, server.client() as c:
            c.send(get("/hello") + request("HEAD", "/hello") + get("/hello?a=secret"))
            c.answer(), c.answer(is_head=True), c.answer()
            for data, status in ((post("/echo", b"a"), 200), (request("PUT", "/echo", body=b"a"), 200),
                                 (get("/nothing-secret"), 404), (request("DELETE", "/hello"), 405),
                                 (get("/unavailable"), 503), (post("/nothing", b""), 404)):
                self.assertEqual(c.send(data).answer().status, status)
            for data in (b"SECRET / HTTP/1.1\r\nHost: a\r\n\r\n", b"rubbish\r\n\r\n", post("/small", b"x" * 20)):
                with server.client() as other:
                    other.send(data).answer()
            metrics = server.metrics(c)
            got = {k: v for k, v in metrics.items() if k.startswith("streamlens_http_requests_total")}
            self.assertEqual(got, {
                self.requests("/hello", "GET", 200): 3, self.requests("/echo", "POST", 200): 1,
                self.requests("/echo", "PUT", 200): 1, self.requests("/unavailable", "GET", 503): 1,
                self.requests("/small", "POST", 413): 1, self.requests("other", "GET", 404): 1,
                self.requests("other", "POST", 404): 1, self.requests("other", "DELETE", 405): 1,
                self.requests("other", "other", 501): 1, self.requests("other", "other", 400): 1})
            count = 'streamlens_http_request_duration_seconds_count{route="%s"}'
            self.assertEqual([metrics[count % r] for r in ("/hello", "/echo", "/unavailable")], [3, 2, 1])
            self.assertNotIn(count % "/small", metrics)
            self.assertEqual(server.metrics(c)[self.requests("/metrics", "GET", 200)], 1)

    def test_paths_with_a_parameter_are_counted_as_one_route(self):
        with Server("--drain-timeout-ms=300") as server, server.client() as c:
            for path in ("/label/a/values", "/label/b-secret/values", "/label/all/values"):
                c.send(get(path)).answer()
            metrics = server.metrics(c)
            self.assertEqual(metrics[self.requests("/label/{name}/values", "GET", 200)], 2)
            self.assertEqual(metrics[self.requests("/label/all/values", "GET", 200)], 1)
            self.assertFalse([name for name in metrics if "secret" in name])

    def test_each_metric_has_one_head_and_no_sample_comes_twice(self):
        self.client().send(get("/hello")).answer()
        text = self.client().send(get("/metrics")).answer().body.decode()
        heads = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
        self.assertEqual(len(heads), len(set(heads)))
        samples = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
        self.assertEqual(len(samples), len(set(samples)))

    def test_pipelined_requests_are_those_that_an_unanswered_one_precedes(self):
        name = "streamlens_http_pipelined_requests_total"
        before = self.server.metrics()[name]
        c = self.client().send(get("/hold"))
        self.server.wait_for("streamlens_http_in_flight_requests", lambda v: v == 2)
        c.send(get("/hello") + get("/hello"))
        self.server.wait_for(name, lambda v: v == before + 2)
        self.client().send(request("POST", "/release")).answer()
        self.assertEqual([c.answer().status for _ in range(3)], [200] * 3)
        c.send(get("/hello")).answer()
        self.assertEqual(self.server.metrics()[name], before + 2)

    def test_the_process_is_described(self):
        m = self.server.metrics()
        self.assertEqual(sum(name.startswith("streamlens_build_info{") for name in m), 1)
        self.assertLess(abs(m["process_start_time_seconds"] - time.time()), 600)
        self.assertGreater(m["process_resident_memory_bytes"], 1 << 20)
        fds = len(os.listdir("/proc/%d/fd" % self.server.process.pid))
        self.assertLessEqual(abs(m["process_open_fds"] - fds), 2)
        self.assertGreaterEqual(m["process_max_fds"], fds)
        self.assertGreaterEqual(m["process_cpu_seconds_total"], 0)

if __name__ == "__main__":
    unittest.main()
