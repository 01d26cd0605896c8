# SPDX-License-Identifier: Apache-2.0
"""What the HTTP server lets its clients hold: memory of all of them together, connections of one address."""

import contextlib
import os
import re
import select
import socket
import time
import unittest

from http_raw import PATIENCE_S, Server, chunks, get, post, request

MEMORY = "streamlens_http_memory_bytes"
IN_FLIGHT = "streamlens_http_in_flight_requests"
BUSY = 'streamlens_http_refused_total{reason="busy"}'
CHUNKED = "Transfer-Encoding: chunked"
BUDGET = 2_000_000
SANITIZED = "ASAN_OPTIONS" in os.environ  # then freed memory is kept back, and the process says nothing
MIB = 1 << 20


class WithBudget(unittest.TestCase):
    """A server each; at the end of each test all of its budget must be free again."""

    budget = BUDGET

    def setUp(self):
        self.server = Server("--memory-bytes=%d" % self.budget, "--pipeline-depth=64", "--drain-timeout-ms=300",
                             "--max-connections=1500", wrapper=("prlimit", "--nofile=4096"))
        self.addCleanup(self.server.close)
        self.clients = contextlib.ExitStack()
        self.addCleanup(self.clients.close)
        self.idle_rss = self.server.rss_bytes()

    def client(self, **options):
        return self.clients.enter_context(self.server.client(**options))

    def release(self):
        self.assertEqual(self.client().send(request("POST", "/release")).answer().status, 204)

    def wait_in_flight(self, n):
        self.server.wait_for(IN_FLIGHT, lambda value: value == n + 1)  # and the one that asks

    def assert_within(self, connections):
        """Now, and at any time before: the bound that http_server.h states."""
        self.assertLessEqual(self.server.metrics()[MEMORY], 9 * self.budget // 8 + 12288 * connections)
        if SANITIZED:
            return
        with open("/proc/%d/status" % self.server.process.pid) as f:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024
        self.assertLess(peak - self.idle_rss, 9 * self.budget // 4 + 26624 * connections + MIB)

    def assert_free(self):
        self.server.wait_for(MEMORY, lambda value: value == 0)
        body = b"b" * MIB
        self.assertEqual(self.client().send(post("/echo", body)).answer().body, body)

    def send_while_taken(self, c, data):
        """As much as the server takes without answering; returns the bytes."""
        c.sock.setblocking(False)
        sent = 0
        while sent < len(data) and select.select([], [c.sock], [], 0.3)[1]:
            try:
                sent += c.sock.send(data[sent:sent + 65536])
            except BlockingIOError:
                continue
            except ConnectionError:
                break
        c.sock.settimeout(20)
        return sent


class Memory(WithBudget):
    def fill(self):
        """Requests that wait and hold nearly all."""
        held = [self.client().send(post("/hold", b"a" * 990_000)) for _ in range(2)]
        self.wait_in_flight(2)
        return held

    def test_small_requests_pass_while_large_ones_hold_the_budget(self):
        held = self.fill()
        for _ in range(50):
            self.assertTrue(self.client().is_open())
            self.assertEqual(self.client().send(post("/echo", b"x" * 2000)).answer().status, 200)
        answer = self.client().send(post("/echo", b"x" * 100_000)).answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (503, "close"))
        self.assertIn("retry-after", answer.headers)
        self.release()
        self.assertEqual([len(c.answer().body) for c in held], [990_000] * 2)
        self.assert_free()

    def test_a_chunked_body_is_refused_where_the_budget_ends_and_what_it_held_is_free(self):
        held = self.fill()
        before = self.server.metrics()[BUSY]
        c = self.client().send(request("POST", "/echo", CHUNKED) + chunks(b"x" * 50_000, b"y" * 50_000))
        self.assertEqual(c.answer().status, 503)
        self.assertEqual(c.rest(), b"")
        self.assertEqual(self.server.metrics()[BUSY] - before, 1)
        self.assertLess(self.server.metrics()[MEMORY], BUDGET)
        self.release()
        for c in held:
            self.assertEqual(c.answer().status, 200)
        self.assert_free()

    def test_bodies_half_sent_by_many_at_once_stay_within_the_budget(self):
        n = 200
        clients = [self.client() for _ in range(n)]
        for c in clients:
            c.send(request("POST", "/echo", "Content-Length: 500000"))
        for c in clients:
            self.send_while_taken(c, b"x" * 60_000)  # 12 MB of them
        self.server.wait_for(BUSY, lambda value: value > 100)
        self.assert_within(n)
        for c in clients:
            c.sock.close()
        self.assert_free()

    def test_heads_half_sent_by_many_stay_within_the_budget(self):
        n = 600
        clients = [self.client() for _ in range(n)]
        for c in clients:
            self.send_while_taken(c, get("/hello")[:-2] + b"X: " + b"y" * 16_000)
        self.server.wait_for(BUSY, lambda value: value > 0)
        self.assert_within(n)
        for c in clients:
            c.sock.close()
        self.assert_free()

    def test_blocked_pipelines_stay_within_the_budget_and_end_well(self):
        n = 100
        clients = [self.client() for _ in range(n)]
        line = get("/hold", "X-Test: " + "v" * 200)
        for c in clients:
            self.send_while_taken(c, line * 64 + get("/hello") * 2000)  # 100 KB each, 12 requests of it fit
        self.assert_within(n)
        # Each release lets those that wait begin more; in the end each has got all, or a 503 and the end.
        whole = refused = 0
        unfinished = {c: 0 for c in clients}
        while unfinished:
            self.release()
            for c in list(unfinished):
                status = self.drain_answers(c, unfinished)
                refused += status == 503
                whole += status == 200
        self.assertEqual(whole + refused, n)
        self.assertGreater(refused, 0)
        self.assert_free()

    def drain_answers(self, c, unfinished):
        """Reads what is there. 200: all of the 64 held ones are answered; 503: refused; else 0."""
        while True:
            while b"\r\n\r\n" not in c.buffer:
                if not select.select([c.sock], [], [], 0)[0]:
                    return 0
                try:
                    c._more()
                except (EOFError, ConnectionError):
                    del unfinished[c]
                    return 503
            status = c.answer().status
            if status == 503:
                del unfinished[c]
                return 503
            unfinished[c] += 1
            if unfinished[c] == 64:
                del unfinished[c]
                c.reset()
                return 200

    def test_a_pipeline_that_fits_is_answered_whole_while_others_hold_the_rest(self):
        held = self.client().send(post("/hold", b"a" * 990_000))
        other = self.client().send(post("/hold", b"a" * 900_000))
        self.wait_in_flight(2)
        c = self.client()
        for _ in range(20):
            c.send(get("/hello") * 100)
            for _ in range(100):
                self.assertEqual(c.answer().body, b"hello\n")
        self.release()
        self.assertEqual([held.answer().status, other.answer().status], [200, 200])
        self.assert_free()

    def fill_but(self, room):
        """Requests that wait, and leave little more than so much."""
        held = [self.client().send(post("/hold", b"a" * (size + 4096)))  # the rest of the allowance is its own cost
                for size in (990_000, BUDGET - 990_000 - room)]
        self.wait_in_flight(2)
        self.assertLess(abs(BUDGET - self.server.metrics()[MEMORY] - room), 4096)
        return held

    def test_requests_of_a_pipeline_wait_for_those_before_them_to_make_room(self):
        held = self.fill_but(20_000)
        n = 40  # of 3 KB each
        c = self.client().send(b"".join(get("/hold?%d" % i) for i in range(n)))
        self.server.wait_for(IN_FLIGHT, lambda value: value > 5)
        self.assertLess(self.server.metrics()[IN_FLIGHT], 20)
        got = []
        while len(got) < n:
            self.release()
            got.append(c.answer().body)
            while c.buffer:
                got.append(c.answer().body)
        self.assertEqual(got, [b"%d" % i for i in range(n)])
        self.assertEqual([h.answer().status for h in held], [200, 200])
        self.assert_free()

    def test_a_client_whose_requests_wait_unread_is_not_read_further(self):
        held = self.fill_but(220_000)
        c = self.client().send(get("/hold") * 64 + get("/hello"))  # one more than the depth
        self.wait_in_flight(2 + 64)
        more = 2000
        self.send_while_taken(c, get("/hello") * more)  # more than there is room for, were it read
        with self.server.client() as other:
            for _ in range(100):  # turns of the loop in each of which some of it would be
                self.assertTrue(other.is_open())
        self.assertEqual(self.server.metrics()[BUSY], 0)
        self.release()
        self.assertEqual({c.answer().status for _ in range(64 + 1 + more)}, {200})
        self.assertEqual([h.answer().status for h in held], [200, 200])
        self.assert_free()

    def test_an_answer_that_never_fits_is_503_and_head_asks_for_no_room(self):
        c = self.client().send(get("/big?3000000"))
        self.assertEqual(c.answer().status, 503)
        self.assertEqual(c.rest(), b"")
        answer = self.client().send(request("HEAD", "/big?3000000")).answer(is_head=True)
        self.assertEqual((answer.status, answer.headers["content-length"]), (200, "3000000"))
        self.assert_free()

    def test_a_refused_answer_in_a_pipeline_leaves_the_others_theirs(self):
        c = self.client().send(get("/hold?a") + get("/big?3000000") + get("/hello"))
        self.wait_in_flight(1)
        self.release()
        self.assertEqual([c.answer().status, c.answer().status], [200, 503])
        self.assertEqual(c.rest(), b"")
        # Those that were begun before it was refused are answered, also the one whose body was coming.
        c = self.client().send(get("/big-later?3000000") + get("/hold?b") +
                               request("POST", "/echo", "Content-Length: 3"))
        self.wait_in_flight(2)
        self.release()
        self.assertEqual([c.answer().status, c.answer().body], [503, b"b"])
        answer = c.send(b"abc" + get("/hello")).answer()
        self.assertEqual((answer.body, answer.headers["connection"]), (b"abc", "close"))
        self.assertEqual(c.rest(), b"")
        self.assert_free()

    def test_the_budget_used_to_the_last_byte_gives_way_to_who_waits_for_nothing(self):
        # All is held by bodies that are still coming: their senders end them, or are refused at once.
        clients = [self.client().send(request("POST", "/echo", "Content-Length: 500000")) for _ in range(8)]
        for c in clients:
            self.send_while_taken(c, b"x" * 400_000)
        answers = []
        for c in clients:
            with contextlib.suppress(ConnectionError):
                c.send(b"x" * 100_000)
            answers.append(c.answer())
        statuses = [a.status for a in answers]
        self.assertGreaterEqual(statuses.count(200), 2, statuses)
        self.assertGreaterEqual(statuses.count(503), 2, statuses)
        self.assertEqual(statuses.count(200) + statuses.count(503), 8)
        self.assert_free()

    def test_a_released_body_is_free_before_its_answer(self):
        held = []
        for _ in range(5):
            held.append(self.client().send(post("/hold-without-body", b"a" * MIB)))
            self.wait_in_flight(len(held))
        self.assertEqual(self.server.metrics()[MEMORY], 0)
        self.release()
        for c in held:
            self.assertEqual((c.answer().status), 200)
        self.assert_free()

    def test_requests_whose_clients_left_count_in_full(self):
        for _ in range(2):  # 1,000 of 3 KB or so: more than the budget, but none beyond an allowance
            for c in [self.client().send(get("/hold")) for _ in range(500)]:
                c.reset()
        deadline = time.monotonic() + PATIENCE_S
        while self.client().send(get("/hello")).answer().status != 503:
            self.assertLess(time.monotonic(), deadline, "they are not counted")
        self.server.release_held()
        while self.client().send(get("/hello")).answer().status == 503:
            self.assertLess(time.monotonic(), deadline, "they are never given back")
        self.assert_free()

    def test_what_follows_a_last_request_is_not_kept(self):
        c = self.client().send(get("/hold", "Connection: close"))
        self.wait_in_flight(1)
        before = self.server.rss_bytes()
        self.send_while_taken(c, b"x" * (8 * MIB))
        if not SANITIZED:
            self.assertLess(self.server.rss_bytes() - before, MIB)
        self.assertEqual(self.server.metrics()[MEMORY], 0)
        self.release()
        self.assertEqual(c.answer().status, 200)
        self.assertEqual(c.rest(), b"")
        self.assert_free()


class LargeAnswers(WithBudget):
    """The kernel takes megabytes of an answer before the server has to keep the rest."""

    budget = 20_000_000

    def test_answers_that_are_not_taken_stay_within_the_budget(self):
        n, size = 12, 9_000_000
        slow = [self.client(receive_buffer=65536).send(get("/big?%d" % size)) for _ in range(n)]
        self.server.wait_for(BUSY, lambda value: value >= n // 2)
        self.assert_within(n)
        answers = [c.answer() for c in slow]
        self.assertEqual({a.status for a in answers}, {200, 503})
        for a in answers:
            if a.status == 200:
                self.assertEqual(len(a.body), size)
            else:
                self.assertEqual(a.headers["connection"], "close")
                self.assertIn("retry-after", a.headers)
        self.assert_free()


class Addresses(unittest.TestCase):
    def client_from(self, server, address):
        return socket.create_connection(("127.0.0.1", server.port), 20, (address, 0))

    def test_an_address_has_so_many_connections_and_others_are_not_touched(self):
        refused = 'streamlens_http_connections_refused_total{reason="address"}'
        with Server("--max-connections-per-address=3") as server, contextlib.ExitStack() as held:
            mine = [held.enter_context(server.client()) for _ in range(3)]
            for c in mine:
                self.assertTrue(c.is_open())
            for _ in range(20):
                with self.assertRaises((EOFError, ConnectionError)), server.client() as c:
                    c.send(get("/hello")).answer()
            other = held.enter_context(self.client_from(server, "127.0.0.9"))
            other.sendall(get("/hello", "Connection: close"))
            self.assertIn(b"200 OK", other.makefile("rb").read())
            self.assertEqual(server.metrics(mine[0])[refused], 20)
            self.assertEqual(server.metrics(mine[0])["streamlens_http_connections_accepted_total"], 4)
            mine.pop().sock.close()
            server_has = "streamlens_http_connections"
            while server.metrics(mine[0])[server_has] > 2:
                pass
            with server.client() as c:
                self.assertTrue(c.is_open())
            lines = [line for line in server.log if "too many connections" in line]
            self.assertEqual(len(lines), 1, lines)
            self.assertIn("peer=127.0.0.1 limit=3", lines[0])

    def test_without_a_limit_there_is_none(self):
        with Server("--max-connections-per-address=0") as server, contextlib.ExitStack() as held:
            for c in [held.enter_context(server.client()) for _ in range(50)]:
                self.assertTrue(c.is_open())


if __name__ == "__main__":
    unittest.main()
