# SPDX-License-Identifier: Apache-2.0
"""ingest-api: what it answers, and what then stands in the log.

Answers that depend on the log's mood are provoked with a sink that has no log (support/fake_sink.h); what
is said of the log itself is read back from a real broker.
"""
import concurrent.futures
import http.client
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from stack import ROOT, Service, freeze, http_call, iso, needed, wait_for  # noqa: E402

PARTITIONS = 5
REQUESTS, RESPONSES = "llm.requests", "llm.responses"


def program(*parts):
    return os.path.join(needed("SL_BUILD"), *parts)


def request_event(request_id, **fields):
    return {"request_id": request_id, "tenant_id": "t", "route": "/chat", "model": "m",
            "timestamp": iso(time.time()), **fields}


def response_event(request_id, **fields):
    return {"request_id": request_id, "timestamp": iso(time.time()), "latency_ms": 12.5, **fields}


def typed(kind, event):
    return {"type": kind, **event}


def call(service, method, path, body=None, headers=None, timeout=30):
    """(status, headers, parsed JSON or bytes)"""
    c = http.client.HTTPConnection("127.0.0.1", service.port, timeout=timeout)
    try:
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        content = r.read()
        kind = r.getheader("Content-Type") or ""
        return r.status, r.headers, json.loads(content) if "json" in kind else content
    finally:
        c.close()


def post(service, path, body, headers=None, timeout=30):
    return call(service, "POST", path, body, headers, timeout)


def ndjson(events):
    return "".join(json.dumps(e) + "\n" for e in events)


def murmur2(data):
    """The Java client's, in its 32-bit arithmetic; written from its definition, not from ours."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at:at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key, n):
    return (murmur2(key) & 0x7FFFFFFF) % n


class Process(unittest.TestCase):
    """Starts services with an environment of their own."""

    path = ("ingest-api", "streamlens-ingest-api")

    def launch(self, env=None, port=True, brokers="127.0.0.1:1"):
        full = {"PATH": os.environ["PATH"], "KAFKA_BROKERS": brokers, "HTTP_PORT": "0",
                "LOG_FORMAT": "json", **(env or {})}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                full[name] = os.environ[name]
        log = os.path.join(needed("SL_TMP"), f"{self.id().split('.', 1)[1]}-{secrets.token_hex(3)}.log")
        s = Service("ingest-api", program(*self.path), full, log)
        self.addCleanup(self.end, s)
        if port:
            s.wait_port()
        return s

    @staticmethod
    def end(s):
        if s.process.poll() is None:
            s.kill()

    def assert_problem(self, answer, status, field=None):
        got, headers, body = answer
        self.assertEqual(got, status, body)
        self.assertEqual(headers["Content-Type"], "application/problem+json")
        self.assertEqual(body["status"], status)
        self.assertTrue(body["detail"])
        self.assertEqual(body.get("field"), field)
        if status == 503:
            self.assertGreaterEqual(int(headers["Retry-After"]), 1)


class Answers(Process):
    """Without a log: a record's key says what becomes of it."""

    path = ("tests", "integration", "ingest_fake")
    ack_timeout_ms = 400

    def setUp(self):
        self.s = self.launch({"ACK_TIMEOUT_MS": str(self.ack_timeout_ms)})

    def test_an_acknowledged_event_is_accepted(self):
        for path, event in (("request", request_event("a")), ("response", response_event("a"))):
            status, headers, body = post(self.s, "/v1/llm/" + path, event)
            self.assertEqual((status, body), (202, {"status": "accepted"}))
            self.assertEqual(headers["Content-Type"], "application/json")

    def test_what_the_log_did_not_take_is_503_or_413(self):
        for key, status in (("busy", 503), ("away", 503), ("large", 413)):
            with self.subTest(key):
                self.assert_problem(post(self.s, "/v1/llm/request", request_event(key)), status)

    def test_silence_is_answered_at_the_deadline(self):
        begin = time.monotonic()
        self.assert_problem(post(self.s, "/v1/llm/request", request_event("never")), 503)
        took = time.monotonic() - begin
        self.assertGreaterEqual(took, self.ack_timeout_ms / 1000 - 0.01)
        self.assertLess(took, self.ack_timeout_ms / 1000 + 20)  # it is never acknowledged

    def test_a_bad_field_is_named(self):
        good = request_event("a")
        cases = [
            ("request_id", {"request_id": ""}), ("request_id", {"request_id": "x" * 256}),
            ("request_id", {"request_id": 7}), ("request_id", {"request_id": None}),
            ("tenant_id", {"tenant_id": None}), ("tenant_id", {"tenant_id": "a\u0007"}),
            ("route", {"route": []}), ("model", {"model": ""}),
            ("timestamp", {"timestamp": "yesterday"}), ("timestamp", {"timestamp": 0}),
            ("timestamp", {"timestamp": iso(time.time() + 7200)}),
            ("timestamp", {"timestamp": iso(time.time() - 8 * 86400)}),
            ("prompt_tokens", {"prompt_tokens": -1}), ("prompt_tokens", {"prompt_tokens": 1.5}),
        ]
        for field, change in cases:
            with self.subTest(change=change):
                self.assert_problem(post(self.s, "/v1/llm/request", {**good, **change}), 400, field)
        for field in ("request_id", "tenant_id", "route", "model", "timestamp"):
            with self.subTest(missing=field):
                event = {k: v for k, v in good.items() if k != field}
                self.assert_problem(post(self.s, "/v1/llm/request", event), 400, field)
        self.assert_problem(post(self.s, "/v1/llm/response", response_event("a", latency_ms=-1)), 400,
                            "latency_ms")

    def test_what_is_no_event_is_400(self):
        for body in (b"", b" ", b"{", b"[]", b"null", b'"a"', b"{}{}", b"\xff\xfe", b'{"a":1,"a":2}'):
            for path in ("request", "response"):
                with self.subTest(body=body, path=path):
                    status, headers, answer = post(self.s, "/v1/llm/" + path, body)
                    self.assertEqual(status, 400, answer)
                    self.assertEqual(headers["Content-Type"], "application/problem+json")

    def test_a_batch_is_ndjson_or_an_array(self):
        events = [typed("request", request_event("a")), typed("response", response_event("a"))]
        for body in (ndjson(events), json.dumps(events), json.dumps(events, indent=2)):
            status, _, answer = post(self.s, "/v1/llm/events", body)
            self.assertEqual(status, 202)
            self.assertEqual(answer, {"accepted": 2, "rejected": 0, "errors": []})

    def test_good_items_of_a_batch_are_accepted_beside_bad_ones(self):
        items = [typed("request", request_event("a")), typed("request", request_event("")),
                 {"type": "request"}, typed("response", response_event("b")),
                 typed("answer", response_event("c")), typed("response", response_event("large"))]
        status, headers, answer = post(self.s, "/v1/llm/events", items)
        self.assertEqual(status, 202)
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual((answer["accepted"], answer["rejected"]), (2, 4))
        self.assertEqual([(e["index"], e["field"]) for e in answer["errors"]],
                         [(1, "request_id"), (2, "request_id"), (4, "type"), (5, "")])
        self.assertTrue(all(e["detail"] for e in answer["errors"]))

    def test_a_batch_without_a_good_item_is_400(self):
        for items, rejected in (([{}, {}], 2), ([typed("response", response_event("large"))], 1),
                                ([], 0)):
            with self.subTest(items=items):
                answer = post(self.s, "/v1/llm/events", items)
                self.assert_problem(answer, 400)
                self.assertEqual(answer[2]["accepted"], 0)
                self.assertEqual(answer[2]["rejected"], rejected)
                self.assertEqual(len(answer[2]["errors"]), rejected)
        self.assert_problem(post(self.s, "/v1/llm/events", b""), 400)

    def test_a_batch_that_the_log_took_in_part_is_503(self):
        for key in ("never", "busy", "away"):
            with self.subTest(key):
                items = [typed("response", response_event("a")), {},
                         typed("response", response_event(key))]
                answer = post(self.s, "/v1/llm/events", items)
                self.assert_problem(answer, 503)
                self.assertEqual(answer[2]["rejected"], 1)
                self.assertEqual(answer[2]["errors"][0]["index"], 1)

    def test_a_broken_array_keeps_what_came_before(self):
        good = json.dumps(typed("response", response_event("a")))
        status, _, answer = post(self.s, "/v1/llm/events", f"[{good},{good},")
        self.assertEqual((status, answer["accepted"], answer["rejected"]), (202, 2, 1))
        self.assertEqual(answer["errors"][0]["index"], 2)

    def test_a_batch_has_a_largest_count_and_size(self):
        s = self.launch({"MAX_BATCH_EVENTS": "3", "MAX_BATCH_BYTES": "2000"})
        good = typed("response", response_event("a"))
        self.assertEqual(post(s, "/v1/llm/events", [good] * 3)[0], 202)
        self.assert_problem(post(s, "/v1/llm/events", [good] * 4), 413)
        self.assert_problem(post(s, "/v1/llm/events", " " * 2001), 413)

    def test_an_event_has_a_largest_size_also_in_a_batch(self):
        s = self.launch({"MAX_BODY_BYTES": "1000"})
        big = request_event("b", metadata={"x": "y" * 1000})
        self.assert_problem(post(s, "/v1/llm/request", big), 413)
        status, _, answer = post(s, "/v1/llm/events",
                                 [typed("request", big), typed("request", request_event("a"))])
        self.assertEqual((status, answer["accepted"], answer["errors"][0]["index"]), (202, 1, 0))

    def test_only_json_is_taken(self):
        event = request_event("a")
        for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON",
                     "application/x-ndjson", "application/cloudevents+json"):
            with self.subTest(kind):
                self.assertEqual(post(self.s, "/v1/llm/request", event, {"Content-Type": kind})[0], 202)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json",
                     "multipart/form-data; boundary=x"):
            with self.subTest(kind):
                self.assert_problem(post(self.s, "/v1/llm/request", event, {"Content-Type": kind}), 415)

    def test_a_coded_body_is_refused(self):
        event = request_event("a")
        answer = post(self.s, "/v1/llm/events", ndjson([event]), {"Content-Encoding": "br"})
        self.assert_problem(answer, 415)
        self.assertEqual(answer[1]["Accept-Encoding"], "gzip")
        self.assertEqual(post(self.s, "/v1/llm/request", event, {"Content-Encoding": "identity"})[0], 202)

    def test_paths_and_methods(self):
        self.assert_problem(call(self.s, "GET", "/v1/llm/nothing"), 404)
        answer = call(self.s, "GET", "/v1/llm/request")
        self.assert_problem(answer, 405)
        self.assertEqual(answer[1]["Allow"], "POST")

    def test_health_follows_the_log_and_liveness_does_not(self):
        for path in ("/health", "/livez", "/readyz", "/startupz"):
            self.assertEqual(call(self.s, "GET", path)[::2], (200, {"status": "healthy"}))
        self.s.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: call(self.s, "GET", "/readyz")[0] == 503, "lost readiness")
        status, _, body = call(self.s, "GET", "/health")
        self.assertEqual((status, body["status"], body["reason"]), (503, "unhealthy", "broken by a test"))
        self.assertEqual(call(self.s, "GET", "/livez")[0], 200)

    def test_what_is_in_flight_at_sigterm_is_answered(self):
        s = self.launch({"ACK_TIMEOUT_MS": "20000"})
        n = 20
        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            held = [pool.submit(post, s, "/v1/llm/request", request_event(f"hold-{i}")) for i in range(n)]
            wait_for(lambda: s.metric("streamlens_http_in_flight_requests") == n + 1, "all in flight")
            s.process.send_signal(signal.SIGTERM)
            wait_for(lambda: self.refuses(s), "closed listener")
            self.assertFalse(any(f.done() for f in held))
            s.process.send_signal(signal.SIGUSR1)
            self.assertEqual([f.result()[0] for f in held], [202] * n)
        self.assertEqual(s.process.wait(10), 0)

    @staticmethod
    def refuses(s):
        try:
            with socket.create_connection(("127.0.0.1", s.port), 5):
                return False
        except ConnectionRefusedError:
            return True

    def test_a_client_that_leaves_early_disturbs_nobody(self):
        s = self.launch({"ACK_TIMEOUT_MS": "20000"})
        body = json.dumps(request_event("hold")).encode()
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", s.port)) as c:
                c.sendall(b"POST /v1/llm/request HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s"
                          % (len(body), body))
                wait_for(lambda: s.metric("streamlens_http_in_flight_requests") >= 2, "it in flight")
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
            s.process.send_signal(signal.SIGUSR1)
            wait_for(lambda: s.metric("streamlens_http_in_flight_requests") == 1, "its end")
        self.assertEqual(s.metric('streamlens_ingest_events_total{result="accepted"}'), 5)
        self.assertEqual(s.terminate(), 0)

    def test_every_event_is_counted_once(self):
        post(self.s, "/v1/llm/request", request_event("a"))
        post(self.s, "/v1/llm/request", {})
        post(self.s, "/v1/llm/request", request_event("away"))
        post(self.s, "/v1/llm/request", request_event("large"))
        post(self.s, "/v1/llm/events", [typed("response", response_event("a")), {},
                                        typed("response", response_event("large"))])
        counts = [self.s.metric('streamlens_ingest_events_total{result="%s"}' % r)
                  for r in ("accepted", "rejected", "unacknowledged")]
        self.assertEqual(counts, [2, 4, 1])


class NoBroker(Process):
    """Nothing listens where the broker should be."""

    def test_every_start_learns_that_nothing_answers(self):
        # The refused connection races with the start, so a good many of them.
        started = [self.launch(port=False) for _ in range(12)]
        for s in started:
            s.wait_port()
            answer = wait_for(lambda s=s: (b"does not answer" in s.get("/readyz")[1]) and s.get("/readyz"),
                              "word of the broker", 15)
            self.assertEqual(answer[0], 503)


class Log(Process):
    """With the shared broker and topics of its own."""

    def setUp(self):
        self.brokers = needed("SL_KAFKA_BROKERS")
        self.prefix = "ing" + secrets.token_hex(4) + "."
        self.topics = []
        self.addCleanup(self.delete_topics)

    def tool(self, *args):
        r = subprocess.run([program("tests", "integration", "topic_tool"), self.brokers, *args],
                           capture_output=True, text=True, timeout=60, check=False)
        if r.returncode != 0:
            raise AssertionError(r.stderr)

    def create(self, name, partitions=PARTITIONS, *configs, timestamps="LogAppendTime"):
        self.tool("create", self.prefix + name, str(partitions),
                  "message.timestamp.type=" + timestamps, *configs)
        self.topics.append(self.prefix + name)

    def create_both(self):
        self.create(REQUESTS)
        self.create(RESPONSES)

    def delete_topics(self):
        for topic in self.topics:
            try:
                self.tool("delete", topic)
            except AssertionError:
                pass  # the broker of a test may be gone, and its topics with it

    def start(self, env=None, ready=True):
        s = self.launch({"TOPIC_PREFIX": self.prefix, **(env or {})}, port=ready, brokers=self.brokers)
        if ready:
            s.wait_ready()
        return s

    def records(self, name, n=None):
        """(partition, key, value) of the whole topic, waited for until there are n."""
        def read():
            out = subprocess.run(
                ["kcat", "-C", "-b", self.brokers, "-t", self.prefix + name, "-o", "beginning", "-e",
                 "-q", "-f", "%p %K %S\n%k%s\n"], capture_output=True, timeout=60, check=True).stdout
            records, at = [], 0
            while at < len(out):
                line_end = out.index(b"\n", at)
                partition, key_n, value_n = (int(x) for x in out[at:line_end].split())
                at = line_end + 1
                key, value = out[at:at + key_n], out[at + key_n:at + key_n + value_n]
                records.append((partition, key, value))
                at += key_n + value_n + 1
            return records
        if n is None:
            return read()
        return wait_for(lambda: [r for r in [read()] if len(r) >= n], f"{n} records in {name}")[0]


class Produced(Log):
    """What stands in the log after a 202."""

    def setUp(self):
        super().setUp()
        self.create_both()
        self.s = self.start()

    def test_murmur2_of_this_test_is_javas(self):
        vectors = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
                   "a-little-bit-longer-string": -1486304829, "abc": 479470107,
                   "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971}
        for text, signed in vectors.items():
            self.assertEqual(murmur2(text.encode()), signed & 0xFFFFFFFF)

    def test_the_value_is_the_body_byte_by_byte(self):
        now = iso(time.time())
        body = (' {"request_id":"\\u0061\\u00e9-1", "tenant_id" : "t","route":"/r","model":"m",\r\n'
                f'\t"timestamp":"{now}","unknown":{{"deep":[1,2.50e1,null]}},"note":"\\/ é €" }}\n ')
        body = body.encode()
        self.assertEqual(post(self.s, "/v1/llm/request", body)[0], 202)
        answer = (f'{{"request_id":"aé-1","timestamp":{int(time.time() * 1000)}, '
                  '"latency_ms":1.2345,"x":"\\ud83d\\ude00"}').encode()
        self.assertEqual(post(self.s, "/v1/llm/response", answer)[0], 202)
        key = "aé-1".encode()
        partition = partition_of(key, PARTITIONS)
        self.assertEqual(self.records(REQUESTS), [(partition, key, body)])
        self.assertEqual(self.records(RESPONSES), [(partition, key, answer)])

    def test_a_key_decides_the_partition_as_in_java(self):
        rng = random.Random(7)
        ids = ["".join(rng.choice("abcXYZ-_0129é€") for _ in range(rng.randint(1, 80)))
               for _ in range(300)]
        events = [typed("request", request_event(i)) for i in ids]
        status, _, answer = post(self.s, "/v1/llm/events", ndjson(events))
        self.assertEqual((status, answer["accepted"]), (202, len(ids)))
        records = self.records(REQUESTS)
        self.assertEqual(sorted(k for _, k, _ in records), sorted(i.encode() for i in ids))
        for partition, key, _ in records:
            self.assertEqual(partition, partition_of(key, PARTITIONS))
        self.assertEqual({p for p, _, _ in records}, set(range(PARTITIONS)))

    def test_only_the_good_items_of_a_batch_are_in_the_log(self):
        lines = [json.dumps(typed("request", request_event("good-1"))), "rubbish", "",
                 '{"type":"request"}', "  " + json.dumps(typed("response", response_event("good-2")))]
        status, _, answer = post(self.s, "/v1/llm/events", "\r\n".join(lines),
                                 {"Content-Type": "application/x-ndjson"})
        self.assertEqual((status, answer["accepted"], answer["rejected"]), (202, 2, 2))
        self.assertEqual([v for _, _, v in self.records(REQUESTS)], [lines[0].encode()])
        self.assertEqual([v for _, _, v in self.records(RESPONSES)], [lines[4].strip().encode()])

    def test_a_bad_event_leaves_no_trace(self):
        self.assertEqual(post(self.s, "/v1/llm/request", {})[0], 400)
        self.assertEqual(post(self.s, "/v1/llm/response", response_event(""))[0], 400)
        self.assertEqual(post(self.s, "/v1/llm/request", request_event("last"))[0], 202)
        self.assertEqual([k for _, k, _ in self.records(REQUESTS)], [b"last"])
        self.assertEqual(self.records(RESPONSES), [])

    def test_a_retry_is_accepted_again(self):
        event = request_event("again")
        for _ in range(3):
            self.assertEqual(post(self.s, "/v1/llm/request", event)[0], 202)
        self.assertEqual(len(self.records(REQUESTS)), 3)

    def test_large_batches_are_complete(self):
        sent = []
        for b in range(5):
            events = [typed("response", response_event(f"{b}-{i}-" + "x" * 30)) for i in range(5000)]
            body = ndjson(events)
            self.assertLess(len(body), 1 << 20)
            self.assertEqual(post(self.s, "/v1/llm/events", body)[2],
                             {"accepted": 5000, "rejected": 0, "errors": []})
            sent += [e["request_id"].encode() for e in events]
        self.assertEqual(sorted(k for _, k, _ in self.records(RESPONSES)), sorted(sent))
        self.assertEqual(self.s.metric("streamlens_ingest_pending_events"), 0)
        self.assertEqual(self.s.metric("streamlens_ingest_unreported_events"), 0)

    def test_many_clients_at_once(self):
        def client(c):
            conn = http.client.HTTPConnection("127.0.0.1", self.s.port, timeout=30)
            for i in range(50):
                conn.request("POST", "/v1/llm/request", json.dumps(request_event(f"{c}-{i}")))
                r = conn.getresponse()
                self.assertEqual((r.status, r.read()), (202, b'{"status":"accepted"}'))
            conn.close()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            list(pool.map(client, range(20)))
        keys = {k for _, k, _ in self.records(REQUESTS)}
        self.assertEqual(keys, {f"{c}-{i}".encode() for c in range(20) for i in range(50)})

    def test_metrics_are_clean(self):
        post(self.s, "/v1/llm/request", request_event("a"))
        text = call(self.s, "GET", "/metrics")[2]
        self.assertIn(b'streamlens_ingest_events_total{result="accepted"} 1\n', text)
        self.assertIn(b"streamlens_ingest_ready 1\n", text)
        if shutil.which("promtool"):
            r = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                               check=False)
            self.assertEqual((r.returncode, r.stdout + r.stderr), (0, b""))


class Edges(Log):
    """Where the producer's own limits show."""

    def setUp(self):
        super().setUp()
        self.create_both()

    def test_what_waits_for_the_broker_at_sigterm_is_acknowledged(self):
        s = self.start({"LINGER_MS": "2000"})  # so that there is something in flight
        n = 30
        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            sent = [pool.submit(post, s, "/v1/llm/request", request_event(f"late-{i}")) for i in range(n)]
            wait_for(lambda: s.metric("streamlens_ingest_pending_events") == n, "all in flight")
            self.assertEqual(s.terminate(), 0)
            self.assertEqual([f.result()[0] for f in sent], [202] * n)
        self.assertEqual({k for _, k, _ in self.records(REQUESTS)},
                         {f"late-{i}".encode() for i in range(n)})

    def test_what_the_topic_can_never_take_is_413(self):
        s = self.start({"KAFKA_CONF_message_max_bytes": "2000"})
        big = request_event("big", metadata={"x": "y" * 3000})
        self.assert_problem(post(s, "/v1/llm/request", big), 413)
        status, _, answer = post(s, "/v1/llm/events",
                                 [typed("request", big), typed("request", request_event("small"))])
        self.assertEqual((status, answer["accepted"], answer["rejected"]), (202, 1, 1))
        self.assertEqual(answer["errors"][0]["index"], 0)
        self.assertEqual([k for _, k, _ in self.records(REQUESTS)], [b"small"])

    def test_a_full_queue_is_503_at_once(self):
        s = self.start({"PRODUCE_BUFFER_BYTES": "65536", "MAX_BATCH_BYTES": "65536",
                        "MAX_BODY_BYTES": "4096", "LINGER_MS": "6000", "ACK_TIMEOUT_MS": "25000"})

        def batch(name):
            return ndjson(typed("request", request_event(f"{name}-{i}", metadata={"x": "y" * 900}))
                          for i in range(50))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first = pool.submit(post, s, "/v1/llm/events", batch("first"))
            wait_for(lambda: s.metric("streamlens_ingest_pending_events") == 50, "the first batch")
            self.assert_problem(post(s, "/v1/llm/events", batch("second")), 503)
            self.assertFalse(first.done(), "it is to be refused at once")
            self.assertEqual(first.result()[0], 202)
        self.assertEqual(s.metric('streamlens_ingest_produce_failures_total{reason="queue_full"}'), 1)
        # What of the second had been handed over is reported on later, to nobody.
        wait_for(lambda: s.metric("streamlens_ingest_unreported_events") == 0, "an empty queue")
        self.assertGreater(s.metric("streamlens_ingest_late_reports_total"), 0)
        self.assertEqual(post(s, "/v1/llm/request", request_event("after"))[0], 202)

    def test_a_whole_batch_fits_the_smallest_buffer(self):
        s = self.start({"PRODUCE_BUFFER_BYTES": str(1 << 20), "MAX_BATCH_EVENTS": "8000"})
        batch = ndjson(typed("response", response_event(str(i))) for i in range(8000))
        self.assertEqual(post(s, "/v1/llm/events", batch)[2]["accepted"], 8000)

    def test_a_failed_producer_is_replaced(self):
        r = subprocess.run([program("tests", "integration", "sink_fatal")], check=False, timeout=60,
                           env={**os.environ, "KAFKA_BROKERS": self.brokers,
                                "TOPIC_PREFIX": self.prefix, "LINGER_MS": "500"},
                           capture_output=True, text=True)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.assertEqual(r.stdout.split("\n")[:-1], ["before=acked", "during=not acked", "after=acked"])
        self.assertEqual({k for _, k, _ in self.records(REQUESTS)}, {b"before", b"after"})


class Refusals(Log):
    """Topics and settings that must not be worked with: one clear line, and a non-zero exit."""

    def assert_refused(self, s, *words, code=1):
        self.assertEqual(s.process.wait(20), code, s.log())
        errors = [line for line in s.log().splitlines() if '"level":"error"' in line.lower().replace(" ", "")]
        self.assertEqual(len(errors), 1, s.log())
        for word in words:
            self.assertIn(word, errors[0])

    def test_a_missing_topic(self):
        self.create(REQUESTS)
        self.assert_refused(self.start(ready=False), self.prefix + RESPONSES, "streamlens-admin setup")

    def test_unequal_partition_counts(self):
        self.create(REQUESTS, 3)
        self.create(RESPONSES, 4)
        self.assert_refused(self.start(ready=False), RESPONSES, "3", "4")

    def test_another_partition_count_than_set(self):
        self.create_both()
        self.assert_refused(self.start({"PARTITIONS": "7"}, ready=False), "PARTITIONS", "7", str(PARTITIONS))
        self.start({"PARTITIONS": str(PARTITIONS)})

    def test_timestamps_of_the_sender(self):
        self.create(REQUESTS)
        self.create(RESPONSES, timestamps="CreateTime")
        self.assert_refused(self.start(ready=False), RESPONSES, "CreateTime", "LogAppendTime")

    def test_a_topic_that_takes_less_than_the_producer_sends(self):
        self.create(REQUESTS, PARTITIONS, "max.message.bytes=50000")
        self.create(RESPONSES)
        self.assert_refused(self.start(ready=False), REQUESTS, "50000")

    def test_a_bad_setting(self):
        s = self.launch({"ACK_TIMEOUT_MS": "soon"}, port=False)
        self.assertEqual(s.process.wait(10), 2)
        self.assertIn("ACK_TIMEOUT_MS", s.log())
        self.assertEqual(len(s.log().splitlines()), 1)

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            s = self.launch({"HTTP_PORT": str(taken.getsockname()[1])}, port=False)
            self.assert_refused(s, "in use")

    def test_partitions_added_while_it_runs(self):
        self.create_both()
        s = self.start({"KAFKA_CONF_topic_metadata_refresh_interval_ms": "200"})
        self.tool("grow", self.prefix + REQUESTS, str(PARTITIONS + 2))

        def send_until_it_ends():
            try:
                post(s, "/v1/llm/request", request_event("a"))
            except OSError:
                pass  # it is on its way out
            return s.process.poll() is not None
        wait_for(send_until_it_ends, "end", 20)
        self.assert_refused(s, str(PARTITIONS), str(PARTITIONS + 2))

    def test_timestamps_changed_while_it_runs(self):
        self.create_both()
        s = self.start()
        self.tool("set", self.prefix + REQUESTS, "message.timestamp.type=CreateTime")
        self.assert_refused(s, REQUESTS, "CreateTime")


class Broker(Log):
    """A broker of its own, to be stopped and killed."""

    @classmethod
    def setUpClass(cls):
        needed("SL_KAFKA_BROKERS")
        base = int(needed("SL_PORT_BASE"))
        cls.home = os.path.join(needed("SL_TMP"), "ingest-broker-" + secrets.token_hex(3))
        cls.own = f"127.0.0.1:{base}"
        cls.env = {**os.environ, "SL_STATE": cls.home, "SL_KAFKA_PORT": str(base),
                   "SL_PG_PORT": str(base + 3), "KAFKA_HEAP": "256m"}
        cls.services("up")

    @classmethod
    def tearDownClass(cls):
        cls.services("down", "--wipe")
        shutil.rmtree(cls.home, ignore_errors=True)

    @classmethod
    def services(cls, *args):
        r = subprocess.run([os.path.join(ROOT, "deploy", "local", "test-services"), *args], env=cls.env,
                           capture_output=True, text=True, timeout=180, check=False)
        if r.returncode != 0:
            raise AssertionError(r.stdout + r.stderr)

    def setUp(self):
        super().setUp()
        self.brokers = self.own
        self.create_both()

    def broker_pid(self):
        with open(os.path.join(self.home, "run", "kafka.pid"), encoding="ascii") as f:
            return int(f.read().split()[0])

    def stop_broker(self):
        pid = self.broker_pid()
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        freeze(pid)
        return pid

    def kill_broker(self):
        pid = self.broker_pid()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}/exe"), "end of the broker")

    def test_a_stopped_broker_is_503_in_time_and_recovers_by_itself(self):
        ack_s = 2
        s = self.start({"ACK_TIMEOUT_MS": str(ack_s * 1000)})
        self.assertEqual(post(s, "/v1/llm/request", request_event("before"))[0], 202)
        pid = self.stop_broker()
        for i in range(2):
            begin = time.monotonic()
            self.assert_problem(post(s, "/v1/llm/request", request_event(f"during-{i}")), 503)
            self.assertLess(time.monotonic() - begin, ack_s + 10)
        wait_for(lambda: call(s, "GET", "/readyz")[0] == 503, "lost readiness", 10)
        self.assertEqual(call(s, "GET", "/livez")[0], 200)
        self.assertEqual(call(s, "GET", "/startupz")[0], 200)
        os.kill(pid, signal.SIGCONT)
        wait_for(s.is_ready, "readiness", 30)
        self.assertEqual(post(s, "/v1/llm/request", request_event("after"))[0], 202)
        keys = {k for _, k, _ in self.records(REQUESTS)}
        self.assertLessEqual({b"before", b"after"}, keys)
        self.assertEqual(s.metric("streamlens_ingest_pending_events"), 0)
        wait_for(lambda: s.metric("streamlens_ingest_unreported_events") == 0, "all reports")
        self.assertEqual(s.terminate(), 0)

    def test_a_delivery_that_failed_is_not_waited_for(self):
        s = self.start({"ACK_TIMEOUT_MS": "25000", "KAFKA_CONF_message_timeout_ms": "500"})
        self.stop_broker()
        self.assert_problem(post(s, "/v1/llm/request", request_event("a")), 503)
        self.assertEqual(s.metric('streamlens_ingest_produce_failures_total{reason="broker"}'), 1)
        self.assertEqual(s.metric('streamlens_ingest_produce_failures_total{reason="deadline"}'), 0)

    def test_sigterm_with_a_stopped_broker_answers_all_and_ends(self):
        s = self.start({"ACK_TIMEOUT_MS": "2000"})
        self.stop_broker()
        n = 10
        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            sent = [pool.submit(post, s, "/v1/llm/request", request_event(f"x-{i}")) for i in range(n)]
            wait_for(lambda: s.metric("streamlens_ingest_pending_events") == n, "all in flight")
            self.assertEqual(s.terminate(), 0)
            self.assertEqual([f.result()[0] for f in sent], [503] * n)

    def test_a_start_without_a_broker_waits_for_it(self):
        self.kill_broker()
        s = self.launch({"TOPIC_PREFIX": self.prefix, "ACK_TIMEOUT_MS": "25000"}, brokers=self.own)
        self.assertEqual(call(s, "GET", "/livez")[0], 200)
        for path in ("/readyz", "/startupz", "/health"):
            self.assertEqual(call(s, "GET", path)[0], 503)
        begin = time.monotonic()
        self.assert_problem(post(s, "/v1/llm/request", request_event("early")), 503)
        self.assertLess(time.monotonic() - begin, 20)  # nothing to wait for
        self.services("up")
        wait_for(s.is_ready, "readiness", 40)
        self.assertEqual(call(s, "GET", "/startupz")[0], 200)
        self.assertEqual(post(s, "/v1/llm/request", request_event("late"))[0], 202)

    def test_a_killed_broker_loses_nothing_acknowledged(self):
        s = self.start()
        acked, stop = set(), False

        def client(c):
            i = 0
            while not stop:
                i += 1
                if post(s, "/v1/llm/request", request_event(f"{c}-{i}"))[0] == 202:
                    acked.add(f"{c}-{i}".encode())
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(client, c) for c in range(4)]
            wait_for(lambda: len(acked) > 200, "traffic")
            self.kill_broker()
            before = len(acked)
            self.services("up")
            wait_for(lambda: len(acked) > before + 200, "traffic again", 60)
            stop = True
            for c in clients:
                c.result()
        keys = {k for _, k, _ in self.records(REQUESTS)}
        self.assertEqual(acked - keys, set())


if __name__ == "__main__":
    unittest.main()
