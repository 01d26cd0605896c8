# SPDX-License-Identifier: Apache-2.0
"""Answers of the HTTP server that come in pieces: framing, order, bounds, deadlines, and their ends."""

import contextlib
import json
import socket
import time
import unittest

from http_case import WithServer
from http_raw import PATIENCE_S, Server, get, post, request

MEMORY = "streamlens_http_memory_bytes"
STREAMS = "streamlens_http_streams"
IN_FLIGHT = "streamlens_http_in_flight_requests"
SLOW = 'streamlens_http_stream_refused_total{reason="slow"}'
BUSY = 'streamlens_http_stream_refused_total{reason="busy"}'
WRITE_TIMEOUTS = 'streamlens_http_timeouts_total{phase="write"}'
END = b"0\r\n\r\n"
FRAME = 20  # bytes that the framing of a piece is counted with


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class WithStreams(WithServer):
    """`begin` gives a stream's client and its number; the rest is said over another connection."""

    def setUp(self):
        self.control = self.client()
        self.addCleanup(self.assert_nothing_left)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.begun = 0

    def begin(self, *fields, **options):
        c = self.client(**options).send(get("/stream", *fields))
        answer = c.answer()
        self.assertEqual(answer.status, 200)
        return c, self.next_number(), answer

    def next_number(self):
        type(self).begun += 1
        return type(self).begun - 1

    def ask(self, method, what, number, body=None):
        answer = self.control.send(request(method, "/stream/%s?%d" % (what, number), body=body)).answer()
        self.assertEqual(answer.status, 200, answer)
        return json.loads(answer.body)

    def send(self, number, data):
        return self.ask("POST", "send", number, data)

    def state(self, number):
        return self.ask("GET", "state", number)

    def end(self, number):
        self.ask("POST", "end", number)

    def wait_for_state(self, number, name, value):
        deadline = time.monotonic() + PATIENCE_S
        while self.state(number)[name] != value:
            self.assertLess(time.monotonic(), deadline, (name, self.state(number)))

    def assert_comes(self, c, data):
        """Just these bytes, and nothing is there behind them."""
        while len(c.buffer) < len(data):
            c._more()
        self.assertEqual(c.buffer[:200], data[:200])
        self.assertEqual(c.buffer, data)
        c.buffer = b""

    def assert_nothing_left(self):
        """Whatever a test has done, its streams are ended, and nothing of them is held."""
        self.server.wait_for(STREAMS, lambda v: v == 0)
        self.server.wait_for(MEMORY, lambda v: v == 0)


class Pieces(WithStreams):
    def test_the_head_comes_at_once_pieces_are_chunks_and_the_connection_goes_on(self):
        c, n, answer = self.begin()
        self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        self.assertEqual(answer.headers["content-type"], "text/event-stream")
        self.assertNotIn("content-length", answer.headers)
        self.assertNotIn("connection", answer.headers)
        for data in (b"abc", b"x" * 15, b"y" * 16, b"\r\n0\r\n\r\n", b"z" * 70000):
            self.assertEqual(self.send(n, data)["rc"], 0)
            self.assert_comes(c, chunk(data))
        self.end(n)
        self.assert_comes(c, END)
        self.assertTrue(c.is_open())

    def test_an_empty_piece_is_nothing_and_not_the_end(self):
        c, n, _ = self.begin()
        self.assertEqual(self.send(n, b"")["rc"], 0)
        self.send(n, b"a")
        self.assert_comes(c, chunk(b"a"))
        self.end(n)
        self.assert_comes(c, END)

    def test_256_kib_may_wait_where_nothing_else_is_said(self):
        c, n, _ = self.begin()
        self.wait_for_state(n, "pending", 0)
        self.assertEqual(self.send(n, b"x" * (256 * 1024 - FRAME + 1))["rc"], -1)
        self.assertEqual(self.send(n, b"x" * (256 * 1024 - FRAME))["rc"], 0)
        self.assert_comes(c, chunk(b"x" * (256 * 1024 - FRAME)))
        self.end(n)

    def test_a_stream_without_a_piece_is_an_empty_body(self):
        c, n, _ = self.begin()
        self.end(n)
        self.assert_comes(c, END)
        self.assertTrue(c.is_open())

    def test_http_1_0_gets_the_bytes_and_the_end_of_the_connection(self):
        c = self.client().send(b"GET /stream HTTP/1.0\r\n\r\n")
        answer = c.answer()
        n = self.next_number()
        self.assertNotIn("transfer-encoding", answer.headers)
        self.assertEqual(answer.headers["connection"], "close")
        self.send(n, b"one")
        self.send(n, b"two")
        self.assert_comes(c, b"onetwo")
        self.end(n)
        self.assertEqual(c.rest(), b"")

    def test_connection_close_ends_after_the_last_chunk(self):
        c, n, answer = self.begin("Connection: close")
        self.assertEqual(answer.headers["connection"], "close")
        self.send(n, b"one")
        self.end(n)
        self.assertEqual(c.rest(), chunk(b"one") + END)

    def test_head_gets_the_head_and_there_is_no_stream(self):
        c = self.client().send(request("HEAD", "/stream"))
        answer = c.answer(is_head=True)
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/event-stream"))
        self.assertEqual(self.server.metrics()[STREAMS], 0)
        self.assertTrue(c.is_open())

    def test_pieces_before_its_turn_wait_for_the_answers_before_it(self):
        c = self.client().send(get("/hold?first") + get("/stream"))
        self.server.wait_for(STREAMS, lambda v: v == 1)
        n = self.next_number()
        held = self.server.metrics()[MEMORY]
        self.assertEqual(self.send(n, b"early" * 2000)["rc"], 0)
        self.assertGreaterEqual(self.server.metrics()[MEMORY], held + 2000)  # the first 8 KiB are free
        self.assertGreater(self.state(n)["pending"], 10000)
        self.assertEqual(self.state(n)["drained"], 0)
        self.control.send(request("POST", "/release")).answer()
        self.assertEqual(c.answer().body, b"first")
        self.assertEqual(c.answer().headers["transfer-encoding"], "chunked")
        self.assert_comes(c, chunk(b"early" * 2000))
        self.server.wait_for(MEMORY, lambda v: v == 0)  # nothing waits any more
        self.send(n, b"late")
        self.assert_comes(c, chunk(b"late"))
        self.end(n)
        self.assert_comes(c, END)

    def test_one_that_ends_before_its_turn_comes_whole(self):
        c = self.client().send(get("/hold?first") + get("/stream"))
        self.server.wait_for(STREAMS, lambda v: v == 1)
        n = self.next_number()
        self.send(n, b"early")
        self.end(n)
        self.control.send(request("POST", "/release")).answer()
        self.assertEqual(c.answer().body, b"first")
        c.answer()
        self.assert_comes(c, chunk(b"early") + END)
        self.assertTrue(c.is_open())

    def test_requests_behind_it_wait_unread_until_its_end(self):
        c, n, _ = self.begin()
        c.send(get("/hold?behind") + get("/hello"))
        self.send(n, b"a")
        self.assert_comes(c, chunk(b"a"))
        self.assertEqual(self.server.metrics()[IN_FLIGHT], 1)  # the one that asks
        self.end(n)
        self.server.wait_for(IN_FLIGHT, lambda v: v == 2)
        self.assert_comes(c, END)
        self.control.send(request("POST", "/release")).answer()
        self.assertEqual([c.answer().body, c.answer().body], [b"behind", b"hello\n"])

    def test_it_is_counted_once_by_route_and_its_bytes_as_they_are_sent(self):
        row = 'streamlens_http_requests_total{route="/stream",method="GET",status="200"}'
        before = self.server.metrics().get(row, 0)
        _, n, _ = self.begin()
        self.assertEqual(self.server.metrics()[row], before + 1)
        sent = self.server.metrics()["streamlens_http_sent_bytes_total"]
        self.send(n, b"x" * 100_000)
        self.assertGreater(self.server.metrics()["streamlens_http_sent_bytes_total"] - sent, 100_000)
        self.end(n)
        self.assertEqual(self.server.metrics()[row], before + 1)

    def test_hundreds_get_each_piece(self):
        clients = [self.begin() for _ in range(500)]
        for i in range(3):
            data = b"data: %d\n\n" % i
            answer = self.control.send(post("/stream/send-all", data)).answer()
            self.assertEqual(answer.body, b"500")
            for c, _, _ in clients:
                self.assert_comes(c, chunk(data))
        for _, n, _ in clients:
            self.end(n)


class Leaving(WithStreams):
    def test_a_reset_is_told_once_and_sending_is_refused_then(self):
        c, n, _ = self.begin()
        c.reset()
        self.wait_for_state(n, "gone", 1)
        self.assertEqual(self.send(n, b"x")["rc"], -1)
        self.assertEqual(self.state(n), {"rc": 0, "pending": 0, "gone": 1, "drained": 0, "stop": 0})
        self.assertEqual(self.server.metrics()[STREAMS], 0)
        self.end(n)

    def test_a_client_that_closed_is_found_out_by_sending(self):
        c, n, _ = self.begin()
        c.sock.close()
        deadline = time.monotonic() + PATIENCE_S
        while self.send(n, b": still there?\n")["rc"] == 0:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.state(n)["gone"], 1)
        self.end(n)

    def test_a_client_that_shuts_its_side_still_gets_all(self):
        c, n, _ = self.begin()
        c.sock.shutdown(socket.SHUT_WR)
        for data in (b"one", b"two", b"three"):
            self.send(n, data)
            self.assert_comes(c, chunk(data))
        self.assertEqual(self.state(n)["gone"], 0)
        self.end(n)
        self.assertEqual(c.rest(), END)

    def test_one_that_left_before_its_stream_began_has_none(self):
        c = self.client().send(get("/stream-later"))
        self.server.wait_for(IN_FLIGHT, lambda v: v == 2)
        c.reset()
        self.server.wait_for("streamlens_http_connections", lambda v: v == 2)
        dropped = self.server.metrics()["streamlens_http_answers_dropped_total"]
        self.control.send(request("POST", "/release")).answer()
        self.assertEqual(self.server.metrics()["streamlens_http_answers_dropped_total"], dropped + 1)

    def test_an_abort_is_a_reset_without_the_last_chunk_and_nobody_is_told(self):
        c, n, _ = self.begin()
        self.send(n, b"half")
        self.assert_comes(c, chunk(b"half"))
        self.assertEqual(self.ask("POST", "abort", n)["gone"], 0)
        with self.assertRaises(ConnectionResetError):
            c.rest()
        self.assertEqual(c.buffer, b"")
        self.assertEqual(self.state(n)["gone"], 0)

    def test_an_end_or_an_abort_after_the_client_has_gone_is_nothing(self):
        for what in ("end", "abort"):
            c, n, _ = self.begin()
            c.reset()
            self.wait_for_state(n, "gone", 1)
            self.ask("POST", what, n)
        self.assertTrue(self.client().is_open())

    def test_a_silent_stream_is_kept_alive_by_tcp(self):
        c, n, _ = self.begin()
        mine = "%04X" % c.sock.getsockname()[1]
        theirs = "%04X" % self.server.port
        with open("/proc/net/tcp", encoding="ascii") as f:
            rows = [line.split() for line in f]
        timers = [r[5] for r in rows if r[1].endswith(":" + theirs) and r[2].endswith(":" + mine)]
        kind, ticks = timers[0].split(":")
        self.assertEqual(kind, "02")  # keepalive
        self.assertLessEqual(int(ticks, 16), 15 * 100)
        self.end(n)


class Slow(WithStreams):
    flags = ("--max-stream-bytes=100000",)

    def fill(self, n, size=16000):
        """Sends until it is refused; how many pieces were taken."""
        taken = 0
        while True:
            answer = self.send(n, b"%06d" % taken + b"x" * (size - 6))
            self.assertLessEqual(answer["pending"], 100_000)
            if answer["rc"] != 0:
                return taken
            taken += 1
            self.assertLess(taken, 10_000)

    def test_what_waits_for_a_slow_reader_is_bounded_and_what_was_taken_arrives_whole(self):
        slow = self.server.metrics()[SLOW]
        c, n, _ = self.begin(receive_buffer=4096)
        taken = self.fill(n)
        self.assertGreaterEqual(taken, 6)  # 100,000 bytes
        self.assertEqual(self.server.metrics()[SLOW], slow + 1)
        self.assertGreater(self.server.metrics()[MEMORY], 100_000 - 16_020 - 8192)
        drained = self.state(n)["drained"]
        expected = b"".join(chunk(b"%06d" % i + b"x" * 15994) for i in range(taken))
        self.assert_comes(c, expected)
        self.wait_for_state(n, "pending", 0)
        self.wait_for_state(n, "drained", drained + 1)
        self.assertEqual(self.send(n, b"again")["rc"], 0)
        self.assert_comes(c, chunk(b"again"))
        self.wait_for_state(n, "drained", drained + 2)
        c.send(get("/hello"))  # read, and left waiting
        self.assertEqual([self.state(n)["drained"] for _ in range(20)], [drained + 2] * 20)
        self.end(n)
        while not c.buffer.startswith(END):
            c._more()
        c.buffer = c.buffer[len(END):]
        self.assertEqual(c.answer().body, b"hello\n")

    def test_a_piece_at_the_limit_passes_and_one_byte_more_does_not(self):
        c, n, _ = self.begin()
        self.wait_for_state(n, "pending", 0)
        self.assertEqual(self.send(n, b"x" * (100_000 - FRAME + 1))["rc"], -1)
        self.assertEqual(self.send(n, b"x" * 200_000)["rc"], -1)
        self.assertEqual(self.send(n, b"x" * (100_000 - FRAME))["rc"], 0)
        self.assert_comes(c, chunk(b"x" * (100_000 - FRAME)))
        self.end(n)

    def test_the_limit_holds_also_before_its_turn(self):
        c = self.client().send(get("/hold?first") + get("/stream"))
        self.server.wait_for(STREAMS, lambda v: v == 1)
        n = self.next_number()
        self.assertEqual(self.fill(n), 6)
        self.control.send(request("POST", "/release")).answer()
        self.end(n)
        c.answer()
        c.answer()
        self.assert_comes(c, b"".join(chunk(b"%06d" % i + b"x" * 15994) for i in range(6)) + END)

    def test_an_end_reaches_a_slow_reader_behind_all_that_waits(self):
        c, n, _ = self.begin(receive_buffer=4096)
        taken = self.fill(n)
        self.end(n)
        self.assert_comes(c, b"".join(chunk(b"%06d" % i + b"x" * 15994) for i in range(taken)) + END)
        self.assertTrue(c.is_open())


class Budget(WithStreams):
    flags = ("--memory-bytes=2000000", "--max-stream-bytes=900000")

    def test_streams_share_half_of_the_memory_of_all_connections(self):
        clients = [self.begin(receive_buffer=4096) for _ in range(4)]
        for _, n, _ in clients:
            while self.send(n, b"x" * 20_000)["rc"] == 0:
                self.assertLessEqual(self.server.metrics(self.control)[MEMORY], 1_000_000)
        self.assertGreater(self.server.metrics(self.control)[BUSY], 0)
        self.assertGreater(self.server.metrics(self.control)[MEMORY], 900_000)
        self.assertEqual(self.client().send(post("/echo", b"x" * 200_000)).answer().status, 200)  # of the other half
        for c, n, _ in clients:
            c.reset()
            self.wait_for_state(n, "gone", 1)
            self.end(n)

    def test_what_one_takes_counts_before_the_next_is_asked(self):
        clients = [self.begin(receive_buffer=4096) for _ in range(8)]
        took = int(self.control.send(post("/stream/send-all", b"x" * 200_000)).answer().body)
        self.assertIn(took, (4, 5))  # in one turn of the loop
        for c, n, _ in clients:
            c.reset()
            self.wait_for_state(n, "gone", 1)
            self.end(n)


class Deadlines(WithStreams):
    flags = ("--write-timeout-ms=400", "--idle-timeout-ms=300", "--header-timeout-ms=300", "--body-timeout-ms=300")

    def setUp(self):
        pass  # a connection for control would be idle; each request has its own

    def ask(self, method, what, number, body=None):
        self.control = self.client()
        return super().ask(method, what, number, body)

    def test_a_client_that_takes_nothing_is_cut_and_told(self):
        before = self.server.metrics()[WRITE_TIMEOUTS]
        c, n, _ = self.begin(receive_buffer=4096)
        while self.send(n, b"x" * 16000)["rc"] == 0:
            pass
        self.wait_for_state(n, "gone", 1)
        self.assertEqual(self.server.metrics()[WRITE_TIMEOUTS], before + 1)
        self.end(n)
        with self.assertRaises((EOFError, ConnectionError)):
            while True:
                c._more()

    def test_a_slow_client_that_goes_on_taking_is_not_cut(self):
        c, n, _ = self.begin(receive_buffer=16384)
        taken = 0
        until = time.monotonic() + 2
        while time.monotonic() < until:
            while self.send(n, b"x" * 16000)["rc"] == 0:
                taken += 1
            for _ in range(8):
                c.buffer += c.sock.recv(8192)
            time.sleep(0.02)
        self.assertEqual(self.state(n)["gone"], 0)
        self.assertGreater(self.state(n)["pending"], 0)
        self.end(n)
        self.assert_comes(c, chunk(b"x" * 16000) * taken + END)

    def test_silence_is_no_reason_to_cut_it_but_after_its_end_the_connection_is_idle(self):
        c, n, _ = self.begin()
        for _ in range(3):
            self.assertEqual(self.client().rest(), b"")  # an idle connection's whole life
        self.assertEqual(self.send(n, b"still here")["rc"], 0)
        self.assert_comes(c, chunk(b"still here"))
        self.end(n)
        self.assertEqual(c.rest(), END)


class TimeToTakeTheRest(WithStreams):
    flags = ("--write-timeout-ms=2000",)

    def test_what_is_left_at_its_end_has_the_whole_time(self):
        before = self.server.metrics()[WRITE_TIMEOUTS]
        c, n, _ = self.begin(receive_buffer=4096)
        while self.send(n, b"x" * 16000)["rc"] == 0:
            pass
        time.sleep(1)  # half of it is over
        self.end(n)
        ended = time.monotonic()
        self.server.wait_for(WRITE_TIMEOUTS, lambda v: v == before + 1)
        self.assertGreater(time.monotonic() - ended, 1.8)
        c.reset()


class Draining(unittest.TestCase):
    def drained(self, server):
        self.assertEqual(server.end_drain(), 0)

    def test_a_stream_is_told_says_goodbye_and_ends(self):
        with Server("--drain-timeout-ms=20000") as server, contextlib.ExitStack() as held:
            clients = [held.enter_context(server.client()).send(get("/stream?polite")) for _ in range(20)]
            for c in clients:
                c.answer()
            begin = time.monotonic()
            server.begin_drain()
            for c in clients:
                self.assertEqual(c.rest(), chunk(b"goodbye\n") + END)
                c.sock.close()
            self.drained(server)
            self.assertLess(time.monotonic() - begin, 10)

    def test_one_that_begins_during_the_drain_is_told_too(self):
        with Server("--drain-timeout-ms=20000") as server, server.client() as other, server.client() as c:
            other.send(get("/stream")).answer()  # holds the drain up
            c.send(b"GET /stream?polite HTTP/1.1\r\nHo")
            self.assertEqual(server.metrics()["streamlens_http_connections"], 3)
            server.begin_drain()
            c.send(b"st: a\r\n\r\n")
            self.assertEqual(c.answer().headers["connection"], "close")
            self.assertEqual(c.rest(), chunk(b"goodbye\n") + END)
            c.sock.close()
            other.reset()
            self.drained(server)

    def test_it_is_told_once_and_may_go_on(self):
        with Server("--drain-timeout-ms=20000") as server, contextlib.ExitStack() as held:
            c, *others = [held.enter_context(server.client()) for _ in range(4)]
            c.send(get("/stream")).answer()
            for other in others:  # a first request is served also during a drain
                other.send(b"POST /stream/send?0 HTTP/1.1\r\nHo")
            self.assertEqual(server.metrics()["streamlens_http_connections"], 5)
            server.begin_drain()
            for other in others:
                answer = json.loads(other.send(b"st: a\r\nContent-Length: 3\r\n\r\nabc").answer().body)
                self.assertEqual((answer["rc"], answer["stop"]), (0, 1))
            while c.buffer != chunk(b"abc") * 3:
                c._more()
            for one in (c, *others):
                one.reset()
            self.drained(server)

    def test_one_that_does_not_end_is_cut_at_the_drains_timeout(self):
        with Server("--drain-timeout-ms=300") as server, server.client() as c:
            c.send(get("/stream")).answer()
            server.begin_drain()
            self.drained(server)
            with contextlib.suppress(ConnectionError):
                self.assertEqual(c.rest(), b"")


if __name__ == "__main__":
    unittest.main()
