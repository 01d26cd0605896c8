# SPDX-License-Identifier: Apache-2.0
"""What ingest-api makes of bodies: gzip, and JSON that is wrong, one case a name."""
import contextlib
import gzip
import http.client
import json
import os
import re
import unittest
import zlib

from test_ingest_api import REQUESTS, RESPONSES, Log, Process, ndjson, post, request_event, response_event, typed

SANITIZED = "ASAN_OPTIONS" in os.environ  # then freed memory is kept back, and a process's size says nothing
GZIP = {"Content-Encoding": "gzip"}
REQUEST, RESPONSE, EVENTS = "/v1/llm/request", "/v1/llm/response", "/v1/llm/events"


def to_bytes(event):
    return json.dumps(event).encode()


def exactly(size):
    """An event of that many bytes, and one that compresses badly enough for any ratio."""
    bare = len(to_bytes(request_event("a", x="")))
    return to_bytes(request_event("a", x="".join(chr(97 + i * i % 23) for i in range(size - bare))))


def bomb(size):
    """That many blanks, a thousand times smaller."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * (1 << 20)) for _ in range(size >> 20)) + packer.flush()


def peak_bytes(service):
    with open(f"/proc/{service.process.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) << 10


class Fake(Process):
    path = ("tests", "integration", "ingest_fake")

    def refused(self, service, reason):
        return service.metric('streamlens_ingest_bodies_refused_total{reason="%s"}' % reason)


class GzipInTheLog(Log):
    def test_the_log_holds_what_was_compressed(self):
        self.create_both()
        s = self.start()
        events = [typed("request", request_event(f"b-{i}")) for i in range(2000)]
        sent = [to_bytes(request_event("a")), *map(to_bytes, events)]
        answer = to_bytes(response_event("a"))
        # What is inflated next must not overwrite what waits for the log.
        self.assertEqual(post(s, REQUEST, gzip.compress(sent[0]), GZIP)[0], 202)
        self.assertEqual(post(s, RESPONSE, gzip.compress(answer), GZIP)[0], 202)
        status, _, report = post(s, EVENTS, gzip.compress(ndjson(events).encode()), GZIP)
        self.assertEqual((status, report), (202, {"accepted": 2000, "rejected": 0, "errors": []}))
        self.assertEqual(sorted(r[2] for r in self.records(REQUESTS, len(sent))), sorted(sent))
        self.assertEqual([r[2] for r in self.records(RESPONSES, 1)], [answer])


class Gzip(Fake):
    def setUp(self):
        self.s = self.launch()

    def test_it_is_taken_in_every_form(self):
        event = to_bytes(request_event("a"))
        for name in ("gzip", "x-gzip", "GZip"):
            with self.subTest(name):
                self.assertEqual(post(self.s, REQUEST, gzip.compress(event), {"Content-Encoding": name})[0], 202)
        for level in (0, 1, 9):
            with self.subTest(level=level):
                self.assertEqual(post(self.s, REQUEST, gzip.compress(event, level), GZIP)[0], 202)
        members = gzip.compress(event[:20]) + gzip.compress(event[20:]) + gzip.compress(b"")
        self.assertEqual(post(self.s, REQUEST, members, GZIP)[0], 202)
        named = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03events.json\0" + gzip.compress(event)[10:]
        self.assertEqual(post(self.s, REQUEST, named, GZIP)[0], 202)

    def test_another_coding_is_415_and_says_what_is_taken(self):
        event = to_bytes(request_event("a"))
        codings = ("br", "deflate", "zstd", "compress", "gzip, gzip", "gzip, identity", "gzip;q=1", "gzip,", "g")
        for n, coding in enumerate(codings, 1):
            with self.subTest(coding):
                answer = post(self.s, EVENTS, gzip.compress(event), {"Content-Encoding": coding})
                self.assert_problem(answer, 415)
                self.assertEqual(answer[1]["Accept-Encoding"], "gzip")
                self.assertEqual(self.refused(self.s, "coding"), n)

    def test_two_fields_are_415_whatever_they_say(self):
        for first, second in (("gzip", "gzip"), ("gzip", "identity"), ("identity", "identity"), ("br", "gzip")):
            with self.subTest((first, second)), \
                    contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.s.port)) as c:
                c.putrequest("POST", REQUEST)
                for coding in (first, second):
                    c.putheader("Content-Encoding", coding)
                body = gzip.compress(to_bytes(request_event("a")))
                c.putheader("Content-Length", str(len(body)))
                c.endheaders(body)
                self.assertEqual(c.getresponse().status, 415)

    def test_what_is_no_gzip_is_400(self):
        event = to_bytes(request_event("a"))
        good = gzip.compress(event)
        raw = zlib.compressobj(9, zlib.DEFLATED, -15)
        cases = {"nothing": b"", "the event itself": event, "zlib": zlib.compress(event),
                 "raw deflate": raw.compress(event) + raw.flush(), "half": good[:len(good) // 2],
                 "a header": good[:10], "all but a byte": good[:-1],
                 "crc": good[:-8] + bytes([good[-8] ^ 1]) + good[-7:],
                 "length": good[:-4] + bytes([good[-4] ^ 1]) + good[-3:],
                 "flags": good[:3] + b"\xe0" + good[4:], "zeros behind it": good + b"\0\0",
                 "half a member behind it": good + good[:15]}
        for n, (name, body) in enumerate(cases.items(), 1):
            for path in (REQUEST, EVENTS):
                with self.subTest(name, path=path):
                    answer = post(self.s, path, body, GZIP)
                    self.assert_problem(answer, 400)
                    self.assertIn("gzip", answer[2]["detail"])
            self.assertEqual(self.refused(self.s, "gzip"), 2 * n)
        self.assertEqual(self.s.metric("streamlens_ingest_inflated_bytes_total"), 0)
        self.assertEqual(post(self.s, REQUEST, good, GZIP)[0], 202)

    def test_what_it_holds_is_judged_as_if_it_were_plain(self):
        bad = to_bytes(request_event(""))
        self.assert_problem(post(self.s, REQUEST, gzip.compress(bad), GZIP), 400, "request_id")
        self.assert_problem(post(self.s, REQUEST, gzip.compress(b""), GZIP), 400)

    def test_both_sizes_have_the_limit(self):
        s = self.launch({"MAX_BODY_BYTES": "1000", "MAX_BATCH_BYTES": "3000"})
        self.assertEqual(post(s, REQUEST, gzip.compress(exactly(1000)), GZIP)[0], 202)
        self.assert_problem(post(s, REQUEST, gzip.compress(exactly(1001)), GZIP), 413)
        self.assertEqual(self.refused(s, "inflated_size"), 1)
        line = to_bytes(typed("response", response_event("a"))) + b"\n"
        for size, status in ((3000, 202), (3001, 413)):
            self.assertEqual(post(s, EVENTS, gzip.compress(line.ljust(size)), GZIP)[0], status)
        self.assertEqual(self.refused(s, "inflated_size"), 2)
        stored = gzip.compress(exactly(1000), 0)  # fits only where it is not compressed
        self.assertGreater(len(stored), 1000)
        self.assert_problem(post(s, REQUEST, stored, GZIP), 413)

    def test_a_bomb_is_413_and_costs_no_memory(self):
        s = self.launch({"MAX_BATCH_BYTES": str(16 << 20)})
        body = bomb(512 << 20)
        self.assert_problem(post(s, EVENTS, bomb(8 << 20), GZIP), 413)
        self.assertEqual(self.refused(s, "ratio"), 1)
        before = peak_bytes(s)
        for _ in range(20):
            self.assert_problem(post(s, EVENTS, body, GZIP), 413)
        self.assertEqual(self.refused(s, "inflated_size"), 20)
        if not SANITIZED:
            self.assertLess(peak_bytes(s) - before, 48 << 20)

    def test_it_is_counted(self):
        event = to_bytes(request_event("a"))
        post(self.s, REQUEST, event)
        post(self.s, REQUEST, gzip.compress(event), GZIP)
        post(self.s, EVENTS, gzip.compress(event), GZIP)  # refused, but as an event
        post(self.s, REQUEST, event, GZIP)
        self.assertEqual(self.s.metric("streamlens_ingest_compressed_requests_total"), 3)
        self.assertEqual(self.s.metric("streamlens_ingest_inflated_bytes_total"), 2 * len(event))


class Faults(Fake):
    """JSON that is refused: the field and the byte at which it shows, alone and in a batch."""

    # By name: what stands behind a good event's fields, where the ^ is the offset; and the field.
    CASES = {
        "1e400": (b'"prompt_tokens":1e400^', "prompt_tokens"),
        "1e400 in a field of others": (b'"x":1e400^', "x"),
        "NaN": (b'"prompt_tokens":NaN^', "prompt_tokens"),
        "NaN in metadata": (b'"metadata":{"a":{"b":NaN^}}', "metadata"),
        "an integer beyond the bound": (b'"prompt_tokens": ^1000000000001', "prompt_tokens"),
        "an integer beyond int64": (b'"max_tokens":^9223372036854775808', "max_tokens"),
        "a negative integer": (b'"prompt_tokens":^-1', "prompt_tokens"),
        "a key twice": (b'"x":1,"y":2,"x"^:3', "x"),
        "a key twice by an escape": (b'"m\\u006fdel"^:"m"', "model"),
        "a key twice in metadata": (b'"metadata":{"a":1,"a"^:2}', "metadata"),
        "half a surrogate pair": (b'"provider":"\\ud83d"^', "provider"),
        "half a surrogate pair in metadata": (b'"metadata":{"a":"\\ude00"^}', "metadata"),
        "no UTF-8": (b'"provider":"a^\xff"', "provider"),
        "no UTF-8 in a field of others": (b'"x":["^\xed\xa0\x80"]', "x"),
        "U+0000": (b'"provider":"\\u0000"^', "provider"),
        "a NUL": (b'"provider":"a^\x00"', "provider"),
        "33 levels": (b'"metadata":{"a":' + b"[" * 30 + b"^[" + b"]" * 31 + b"}", "metadata"),
        "32769 values": (b'"x":[0' + b",0" * (32768 - 15) + b"^,0]", "x"),
        "a name of 256 bytes": (b'"user_id_hash":^"' + b"x" * 256 + b'"', "user_id_hash"),
    }

    def setUp(self):
        self.s = self.launch()

    def cases(self):
        for name, (rest, field) in self.CASES.items():
            begin = to_bytes(typed("request", request_event("a")))[:-1] + b","
            yield name, begin + rest.replace(b"^", b"") + b"}", field, len(begin) + rest.index(b"^")

    def test_alone(self):
        for name, body, field, offset in self.cases():
            with self.subTest(name):
                answer = post(self.s, REQUEST, body)
                self.assert_problem(answer, 400, field)
                self.assertEqual(answer[2]["offset"], offset, answer[2])

    def test_in_a_batch(self):
        good = to_bytes(typed("request", request_event("a")))
        for name, body, field, offset in self.cases():
            for batch in (b"\n".join((good, body, good)), b"[" + b", ".join((good, body, good)) + b"]"):
                with self.subTest(name, batch=batch[:1]):
                    status, _, report = post(self.s, EVENTS, batch)
                    self.assertEqual((status, report["accepted"], report["rejected"]), (202, 2, 1))
                    (error,) = report["errors"]
                    self.assertTrue(error.pop("detail"))
                    self.assertEqual(error, {"index": 1, "field": field, "offset": offset})

    def test_what_depends_on_the_sender_has_an_offset_too(self):
        body = to_bytes(request_event("a", timestamp="2001-01-01T00:00:00Z"))
        self.assertEqual(post(self.s, REQUEST, body)[2]["offset"], body.index(b'"2001'))
        without = {k: v for k, v in request_event("a").items() if k != "route"}
        self.assertNotIn("offset", post(self.s, REQUEST, without)[2])

    def test_many_small_values_cost_no_memory(self):
        mib = 1 << 20
        s = self.launch({"MAX_BODY_BYTES": str(mib), "MAX_BATCH_BYTES": str(mib), "MAX_BATCH_EVENTS": str(mib)})
        post(s, REQUEST, exactly(mib))  # what a good event of that size takes
        before = peak_bytes(s)
        many = b"{}," * (mib // 3 - 100)
        begin = to_bytes(request_event("a"))[:-1]
        for body in (begin + b',"x":[' + many + b"{}]}", b"[" + many + b"{}]", many, many.replace(b",", b"\n")):
            for path in (REQUEST, EVENTS):
                self.assertEqual(post(s, path, body)[0], 400)
        at_limit = begin + b',"x":[' + b"{}," * 16000 + b"{}]}"
        self.assertEqual(post(s, REQUEST, at_limit)[0], 202)
        if not SANITIZED:
            self.assertLess(peak_bytes(s) - before, 4 * mib)


if __name__ == "__main__":
    unittest.main()
