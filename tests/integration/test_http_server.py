# SPDX-License-Identifier: Apache-2.0
"""The HTTP server (common/io/http_server) by raw sockets. Simplest first."""

import os
import select
import signal
import socket
import time
import unittest

from http_case import WithServer
from http_raw import Server, chunks, get, post, request
from stack import freeze

HOST = b"Host: test\r\n"
CHUNKED = "Transfer-Encoding: chunked"


class Basics(WithServer):
    def test_a_request_gets_through(self):
        answer = self.client().send(get("/hello")).answer()
        self.assertEqual((answer.status, answer.body), (200, b"hello\n"))
        self.assertEqual(answer.headers["content-type"], "text/plain")
        self.assertRegex(answer.headers["date"], r"^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} GMT$")
        self.assertNotIn("connection", answer.headers)

    def test_the_server_knows_its_peer_and_how_often_a_field_was_sent(self):
        self.assertEqual(self.client().send(get("/peer")).answer().body, b"127.0.0.1 0")
        c = self.client().send(get("/peer", "X-Test: 1", "X-Tes: 2", "x-test: 3", "X-Test:"))
        self.assertEqual(c.answer().body, b"127.0.0.1 3")
        with socket.create_connection(("127.0.0.1", self.server.port), 10, ("127.0.0.9", 0)) as s:
            s.sendall(get("/peer", "Connection: close"))
            self.assertIn(b"127.0.0.9 0", s.makefile("rb").read())

    def test_a_connection_serves_many_requests(self):
        c = self.client()
        for i in range(50):
            body = b"%d" % i
            self.assertEqual(c.send(post("/echo", body)).answer().body, body)

    def test_a_body_in_chunks_is_put_together(self):
        c = self.client().send(request("POST", "/echo", CHUNKED) + chunks(b"abc", b"d" * 5000, b"e"))
        self.assertEqual(c.answer().body, b"abc" + b"d" * 5000 + b"e")
        self.assertTrue(c.is_open())

    def test_chunk_extensions_and_trailers_are_passed_over(self):
        c = self.client().send(request("POST", "/echo", CHUNKED) +
                               b"1;a=b\r\na\r\n2;c=\"d\"\r\nbc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n")
        self.assertEqual(c.answer().body, b"abc")
        self.assertTrue(c.is_open())

    def test_an_empty_chunked_body_is_a_body_of_nothing(self):
        c = self.client().send(request("POST", "/release", CHUNKED) + chunks())
        self.assertEqual(c.answer().status, 204)
        self.assertTrue(c.is_open())

    def test_byte_by_byte_is_the_same(self):
        c = self.client()
        data = (post("/echo", b"hello body", "X-Test: v") + request("POST", "/echo", CHUNKED) +
                b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nT: u\r\n\r\n" + get("/describe?a=b", "X-Test:  v w \t"))
        for i in range(len(data)):
            c.send(data[i:i + 1])
        self.assertEqual(c.answer().body, b"hello body")
        self.assertEqual(c.answer().body, b"abcde")
        self.assertEqual(c.answer().body, b"GET /describe <v w>")

    def test_head_is_get_without_the_body(self):
        c = self.client().send(request("HEAD", "/hello"))
        answer = c.answer(is_head=True)
        self.assertEqual((answer.status, answer.headers["content-length"]), (200, "6"))
        self.assertTrue(c.is_open())
        c.send(request("HEAD", "/nothing"))
        answer = c.answer(is_head=True)
        self.assertEqual(answer.status, 404)
        self.assertTrue(c.is_open())

    def test_no_content_has_no_length_and_no_body(self):
        answer = self.client().send(request("POST", "/release")).answer()
        self.assertEqual(answer.status, 204)
        self.assertNotIn("content-length", answer.headers)

    def test_an_unknown_path_is_404_and_the_connection_goes_on(self):
        c = self.client().send(get("/hello/"))
        self.assert_problem(c.answer(), 404)
        self.assertTrue(c.is_open())

    def test_a_wrong_method_is_405_with_what_is_allowed(self):
        c = self.client().send(request("DELETE", "/echo"))
        answer = c.answer()
        self.assert_problem(answer, 405)
        self.assertEqual(answer.headers["allow"], "POST, PUT")
        self.assertTrue(c.is_open())
        answer = c.send(request("POST", "/hello")).answer()
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))

    def test_a_404_to_a_body_ends_the_connection_unread(self):
        c = self.client().send(post("/nothing", get("/hello")))
        answer = c.answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (404, "close"))
        self.assertEqual(c.rest(), b"")

    def test_http_1_0_is_answered_and_closed(self):
        for head in (b"GET /hello HTTP/1.0\r\n\r\n",
                     b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"):
            c = self.client().send(head)
            answer = c.answer()
            self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
            self.assertEqual(c.rest(), b"")

    def test_connection_close_ends_after_the_answer(self):
        for fields in (["Connection: close"], ["Connection: Close, x"], ["Connection: x", "Connection: close"]):
            c = self.client().send(get("/hello", *fields) + get("/hello"))
            self.assertEqual(c.answer().headers["connection"], "close")
            self.assertEqual(c.rest(), b"")

    def test_an_offer_to_upgrade_is_passed_over(self):
        c = self.client().send(get("/hello", "Connection: upgrade", "Upgrade: h2c"))
        self.assertEqual(c.answer().body, b"hello\n")
        self.assertTrue(c.is_open())

    def test_absolute_form_and_query_are_taken_apart(self):
        c = self.client()
        self.assertEqual(c.send(get("http://elsewhere/describe?x")).answer().body, b"GET /describe -")
        self.assertEqual(c.send(get("/query?a=1&b=%20x+y&&c&=d")).answer().body, b"[a=1][b= x y][c=][=d]")
        self.assertEqual(c.send(get("/query")).answer().body, b"")
        for broken in ("/query?a=%2", "/query?%zz=1", "/query?a=%"):
            self.assert_problem(c.send(get(broken)).answer(), 400)

    def test_a_path_may_have_a_parameter(self):
        c = self.client()
        for path, answer in (("/label/a/values", b"{name} <a> a"), ("/last/x", b"{name} <x> x"),
                             ("/label/a%2fb+c%20%C3%A9/values?q=/", b"{name} <a%2fb+c%20%C3%A9> a/b+c \xc3\xa9"),
                             ("/label/{name}/values", b"{name} <{name}> {name}"), ("/label/../values", b"{name} <..> .."),
                             ("/label/all/values", b"none <> "), ("/label/all%20/values", b"{name} <all%20> all ")):
            with self.subTest(path):
                self.assertEqual(c.send(get(path)).answer().body, answer)
        self.assertEqual(c.send(request("POST", "/label/a/values")).answer().body, b"POST {name} <a> a")
        self.assertEqual(c.send(request("HEAD", "/label/a/values")).answer(is_head=True).status, 200)

    def test_a_parameter_is_one_segment_and_not_empty(self):
        c = self.client()
        for path in ("/label//values", "/label/values", "/label/a/b/values", "/label/a/values/", "/label/a/value", "/last/",
                     "/last/a/", "/last", "/label/a", "/LABEL/a/values"):
            with self.subTest(path):
                self.assert_problem(c.send(get(path)).answer(), 404)
        for broken in ("/last/%2", "/last/a%zz"):
            self.assert_problem(c.send(get(broken)).answer(), 400)

    def test_a_path_without_a_parameter_comes_first_whatever_the_method(self):
        c = self.client()
        for path, allow in (("/label/all/values", "GET, HEAD"), ("/label/a/values", "GET, HEAD, POST")):
            answer = c.send(request("DELETE", path)).answer()
            self.assertEqual((answer.status, answer.headers["allow"]), (405, allow))
        self.assertEqual(c.send(request("POST", "/label/all/values")).answer().status, 405)

    def test_one_empty_line_before_a_request_is_skipped(self):
        c = self.client().send(b"\r\n" + get("/hello"))
        self.assertEqual(c.answer().status, 200)
        self.assertTrue(c.is_open())

    def test_a_header_field_is_found_in_any_case_and_may_be_empty(self):
        c = self.client()
        self.assertEqual(c.send(get("/describe", "x-TEST: a:b")).answer().body, b"GET /describe <a:b>")
        self.assertEqual(c.send(get("/describe", "X-Test:")).answer().body, b"GET /describe <>")
        answer = c.send(get("/describe", "X-Test: 1", "X-Test: 2")).answer()
        self.assertEqual((answer.body, answer.headers["x-seen"]), (b"GET /describe <1>", "yes"))

    def test_a_problem_is_json_whatever_its_detail_quotes(self):
        problem = self.assert_problem(self.client().send(get("/problem")).answer(), 422)
        self.assertEqual(problem["detail"], 'tokens a "quoted" byte ? and a cut ??')
        self.assertEqual((problem["field"], problem["offset"]), ("tokens", 17))

    def test_errors_below_a_path_may_be_in_a_form_of_their_own(self):
        for request, status, text in (
                (get("/own/problem"), 422, "a \"quoted\" byte"), (get("/own/nothing"), 404, "nothing at this path"),
                (post("/own/problem", b""), 405, "the method"), (post("/own/small", b"x" * 17), 413, "larger"),
                (get("/own/problem", "Expect: 7"), 417, "100-continue")):
            answer = self.client().send(request).answer()
            self.assertEqual((answer.status, answer.headers["content-type"]), (status, "text/own"))
            self.assertTrue(answer.body.startswith(b"%d " % status), answer.body)
            self.assertIn(text.encode(), answer.body)
        for path in ("/problem", "/ow", "/own", "/x/own/"):
            status = 422 if path == "/problem" else 404
            self.assert_problem(self.client().send(get(path)).answer(), status)

    def test_a_client_that_shuts_its_side_still_gets_its_answers(self):
        c = self.client().send(post("/echo", b"x") + get("/hello"))
        c.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(c.answer().body, b"x")
        self.assertEqual(c.answer().body, b"hello\n")
        self.assertEqual(c.rest(), b"")

    def test_a_client_that_asks_for_much_and_shuts_its_side_gets_all_of_it(self):
        c = self.client()
        c.send(b"".join(post("/echo", b"number %d" % i) for i in range(300)))
        c.sock.shutdown(socket.SHUT_WR)
        for i in range(300):
            self.assertEqual(c.answer().body, b"number %d" % i)
        self.assertEqual(c.rest(), b"")

    def test_half_a_request_and_then_the_end_is_just_an_end(self):
        for half in (b"GET /hel", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"):
            c = self.client().send(get("/hello") + half)
            c.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(c.answer().status, 200)
            self.assertEqual(c.rest(), b"")


class Negotiation(WithServer):
    def negotiate(self, *fields, method="GET", is_head=False):
        c = self.client().send(request(method, "/negotiate", *fields))
        answer = c.answer(is_head)
        self.assertEqual(answer.headers["etag"], '"v1"')
        self.assertTrue(c.is_open())
        return answer

    def test_what_a_client_takes_may_stand_in_several_fields(self):
        self.assertEqual(self.negotiate().body, b"0 0")
        self.assertEqual(self.negotiate("Accept-Encoding: br", "Accept: text/csv", "Accept-Encoding: gzip").body, b"1 1")
        self.assertEqual(self.negotiate("Accept: text/html", "Accept: application/json;q=0.5", "Accept: text/csv").body,
                         b"0 1")
        self.assertEqual(self.negotiate("Accept: text/html").body, b"0 -1")

    def test_who_has_it_gets_304_without_length_and_body(self):
        for fields in (('If-None-Match: W/"v1"',), ('If-None-Match: "v0"', 'If-None-Match: "v1"'), ("If-None-Match: *",)):
            for method in ("GET", "HEAD"):
                answer = self.negotiate(*fields, method=method, is_head=method == "HEAD")
                self.assertEqual((answer.status, answer.body), (304, b""))
                self.assertNotIn("content-length", answer.headers)
                self.assertNotIn("content-type", answer.headers)

    def test_who_has_another_or_changes_something_gets_the_answer(self):
        self.assertEqual(self.negotiate('If-None-Match: "v2"').status, 200)
        self.assertEqual(self.negotiate('If-None-Match: "v1"', method="POST").status, 200)


class Expectations(WithServer):
    def test_100_continue_comes_before_the_body_is_sent(self):
        c = self.client().send(request("POST", "/echo", "Expect: 100-Continue", "Content-Length: 3"))
        self.assertEqual(c.answer().status, 100)
        self.assertEqual(c.send(b"abc").answer().body, b"abc")
        self.assertTrue(c.is_open())

    def test_100_continue_waits_for_the_answers_before_it(self):
        c = self.client().send(get("/hold?first") +
                               request("POST", "/echo", "Expect: 100-continue", CHUNKED))
        self.assertEqual(self.client().send(request("POST", "/release")).answer().status, 204)
        self.assertEqual(c.answer().body, b"first")
        self.assertEqual(c.answer().status, 100)
        self.assertEqual(c.send(chunks(b"abc")).answer().body, b"abc")

    def test_no_100_for_a_body_that_is_there_or_nothing(self):
        c = self.client().send(post("/echo", b"abc", "Expect: 100-continue"))
        self.assertEqual(c.answer().status, 200)
        self.assertEqual(c.send(post("/echo", b"", "Expect: 100-continue")).answer().status, 200)

    def test_http_1_0_gets_no_100(self):
        c = self.client().send(b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        c.send(b"abc")
        self.assertEqual(c.answer().body, b"abc")

    def test_other_expectations_are_417(self):
        self.assert_refused(post("/echo", b"", "Expect: miracles"), 417)
        self.assert_refused(request("POST", "/echo", "Expect: miracles", "Content-Length: 3"), 417)

    def test_too_much_is_refused_instead_of_100(self):
        c = self.client().send(request("POST", "/small", "Expect: 100-continue", "Content-Length: 17"))
        self.assert_problem(c.answer(), 413)


class Guarded(WithServer):
    """Bodies that are not waited for."""

    def test_a_refused_body_is_answered_before_it_comes_and_the_connection_ends(self):
        for fields in (("Content-Length: 5",), (CHUNKED,), ("Content-Length: 5", "Expect: 100-continue")):
            c = self.client().send(request("POST", "/guarded", *fields))
            answer = c.answer()
            self.assert_problem(answer, 403)
            self.assertEqual(answer.headers["connection"], "close")
            c.send(b"hello" + get("/hello"))
            self.assertEqual(c.rest(), b"")

    def test_an_admitted_body_is_waited_for(self):
        yes = "X-Test: yes"
        c = self.client().send(request("POST", "/guarded", yes, "Content-Length: 5", "Expect: 100-continue"))
        self.assertEqual(c.answer().status, 100)
        self.assertEqual(c.send(b"hello").answer().body, b"hello")
        c.send(request("POST", "/guarded", yes, CHUNKED)).send(chunks(b"he", b"llo"))
        self.assertEqual(c.answer().body, b"hello")
        c.send(request("POST", "/guarded", yes, "Content-Length: 500000")).send(b"x" * 500000)
        self.assertEqual(len(c.answer().body), 500000)
        self.assertTrue(c.is_open())

    def test_only_what_is_not_there_yet_is_asked_about(self):
        c = self.client().send(post("/guarded", b"hello") + post("/guarded", b""))
        self.assertEqual(c.answer().body, b"hello")
        self.assertEqual(c.answer().status, 200)
        self.assertTrue(c.is_open())

    def test_a_refusal_waits_for_the_answers_before_it(self):
        c = self.client().send(get("/hold?first") + request("POST", "/guarded", CHUNKED) + chunks(b"x"))
        self.assertEqual(self.client().send(request("POST", "/release")).answer().status, 204)
        self.assertEqual(c.answer().body, b"first")
        self.assert_problem(c.answer(), 403)
        self.assertEqual(c.rest(), b"")

    def test_the_refusal_reaches_a_client_that_goes_on_sending(self):
        c = self.client().send(request("POST", "/guarded", "Content-Length: 1000000"))
        c.send(b"x" * 1000000)
        self.assert_problem(c.answer(), 403)
        self.assertEqual(c.rest(), b"")
        self.server.wait_for("streamlens_http_memory_bytes", lambda v: v == 0)


class Framing(WithServer):
    """Each of these lets two readers disagree about where a request ends, or is no HTTP."""

    heads = {
        "two lengths": b"Content-Length: 3\r\nContent-Length: 3\r\n",
        "two lengths that differ": b"Content-Length: 3\r\nContent-Length: 60\r\n",
        "a list of lengths": b"Content-Length: 3, 3\r\n",
        "a length with a sign": b"Content-Length: +3\r\n",
        "a negative length": b"Content-Length: -3\r\n",
        "a length in hex": b"Content-Length: 0x3\r\n",
        "a length with junk": b"Content-Length: 3 junk\r\n",
        "an empty length": b"Content-Length:\r\n",
        "a length beyond 64 bits": b"Content-Length: 18446744073709551619\r\n",
        "a length beside chunks": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "chunks beside a length": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "an encoding called xchunked": b"Transfer-Encoding: xchunked\r\n",
        "gzip and chunked": b"Transfer-Encoding: gzip, chunked\r\n",
        "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "chunked twice in a list": b"Transfer-Encoding: chunked, chunked\r\n",
        "chunked and identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "identity": b"Transfer-Encoding: identity\r\n",
        "an empty encoding": b"Transfer-Encoding:\r\n",
        "an encoding after a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
        "a space before the colon": b"Content-Length : 3\r\n",
        "a field without a name": b": x\r\n",
        "a field without a colon": b"foo\r\n",
        "a name that is no token": b"a b: x\r\n",
        "a folded line": b"X: a\r\n b\r\n",
        "a folded length": b"Content-Length:\r\n 3\r\n",
        "a bare LF": b"X: a\nContent-Length: 3\r\n",
        "a bare CR": b"X: a\rContent-Length: 3\r\n",
        "a NUL": b"X: a\0b\r\n",
        "a control character": b"X: a\x01b\r\n",
        "a second host": b"Host: other\r\n",
    }

    chunk_lines = {
        "a signed size": b"+3\r\nabc\r\n0\r\n\r\n",
        "a size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
        "a size with junk": b"3 junk\r\nabc\r\n0\r\n\r\n",
        "a size with a space": b"3 \r\nabc\r\n0\r\n\r\n",
        "a space and a size": b" 3\r\nabc\r\n0\r\n\r\n",
        "no size": b"\r\nabc\r\n0\r\n\r\n",
        "a size beyond 64 bits": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
        "a bare LF after the size": b"3\nabc\r\n0\r\n\r\n",
        "a bare LF after an extension": b"3;a=b\nabc\r\n0\r\n\r\n",
        "a bare CR in an extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
        "a NUL in an extension": b"3;a\0b\r\nabc\r\n0\r\n\r\n",
        "a bare LF after the data": b"3\r\nabc\n0\r\n\r\n",
        "data longer than the size": b"3\r\nabcd\r\n0\r\n\r\n",
        "no line end after the data": b"3\r\nabc0\r\n\r\n",
        "a bare LF after the last size": b"3\r\nabc\r\n0\n\r\n",
        "a bare LF at the very end": b"3\r\nabc\r\n0\r\n\n",
        "a bare LF in a trailer": b"3\r\nabc\r\n0\r\nX: y\n\r\n",
        "a bare LF after a trailer": b"3\r\nabc\r\n0\r\nX: y\r\n\n",
        "a folded trailer": b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
        "a trailer without a colon": b"3\r\nabc\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
        "a NUL in a trailer": b"3\r\nabc\r\n0\r\nX: \0\r\n\r\n",
    }

    request_lines = {
        "no version": b"GET /hello\r\n",
        "a version in lower case": b"GET /hello http/1.1\r\n",
        "a version of one number": b"GET /hello HTTP/1\r\n",
        "a version with junk": b"GET /hello HTTP/1.1 x\r\n",
        "two spaces": b"GET  /hello HTTP/1.1\r\n",
        "a tab": b"GET\t/hello HTTP/1.1\r\n",
        "a space before the method": b" GET /hello HTTP/1.1\r\n",
        "a method that is no token": b"G@T /hello HTTP/1.1\r\n",
        "a target with a fragment": b"GET /hello#x HTTP/1.1\r\n",
        "a target with a raw byte": b"GET /hell\xf6 HTTP/1.1\r\n",
        "a target with a NUL": b"GET /he\0lo HTTP/1.1\r\n",
        "two empty lines first": b"\r\n\r\nGET /hello HTTP/1.1\r\n",
        "a bare LF first": b"\nGET /hello HTTP/1.1\r\n",
        "a bare LF at its end": b"GET /hello HTTP/1.1\n",
        "a long word": b"A" * 40 + b"\r\n",
    }

    def test_a_header_that_is_unclear_is_one_400_and_the_end(self):
        for name, fields in self.heads.items():
            with self.subTest(name):
                self.assert_refused(b"POST /echo HTTP/1.1\r\n" + HOST + fields + b"\r\nabc", 400)

    def test_a_chunk_that_is_unclear_is_one_400_and_the_end(self):
        for name, body in self.chunk_lines.items():
            with self.subTest(name):
                self.assert_refused(request("POST", "/echo", CHUNKED) + body, 400)

    def test_a_request_line_that_is_unclear_is_one_400_and_the_end(self):
        for name, line in self.request_lines.items():
            with self.subTest(name):
                self.assert_refused(line + HOST + b"\r\n", 400)

    def test_a_host_is_wanted_from_1_1_on_and_only_one_and_a_proper_one(self):
        self.assert_refused(b"GET /hello HTTP/1.1\r\n\r\n", 400)
        self.assert_refused(b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400)
        self.assert_refused(b"GET /hello HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400)
        self.assert_refused(b"GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n", 400)
        self.assert_refused(b"GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n", 400)
        for host in (b"", b"a.b:80", b"[::1]:80"):
            c = self.client().send(b"GET /hello HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            self.assertEqual(c.answer().status, 200, host)

    def test_chunks_in_http_1_0_are_refused(self):
        self.assert_refused(b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"a"), 400)

    def test_an_unknown_method_is_501(self):
        for method in ("BREW", "get", "CONNECT", "PRI"):
            with self.subTest(method):
                self.assert_refused(request(method, "/hello"), 501)

    def test_an_unknown_version_is_505(self):
        for version in ("HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0"):
            with self.subTest(version):
                self.assert_refused(("GET /hello %s\r\nHost: a\r\n\r\n" % version).encode(), 505)

    def test_bytes_that_are_no_http_end_at_once_although_no_line_ends(self):
        c = self.client().send(b"\x16\x03\x01\x02\x00\x01\x00" + b"\xfc" * 60)  # a TLS hello
        self.assert_problem(c.answer(), 400)
        self.assertEqual(c.rest(), b"")


class Limits(WithServer):
    flags = ("--max-header-bytes=1000", "--max-target-bytes=200")

    def head_of(self, n):
        data = get("/describe", "X-Test: ")
        return data[:-4] + b"v" * (n - len(data)) + b"\r\n\r\n"

    def test_a_header_at_the_limit_passes_and_one_byte_more_is_431(self):
        self.assertEqual(self.client().send(self.head_of(1000)).answer().status, 200)
        self.assert_refused(self.head_of(1001), 431)

    def test_a_header_without_an_end_is_431_at_the_limit(self):
        c = self.client().send(get("/hello")[:-2] + b"X: " + b"y" * 1000)
        self.assert_problem(c.answer(), 431)
        self.assertEqual(c.rest(), b"")

    def test_a_hundred_fields_pass_and_one_more_is_431(self):
        fields = ["a:"] * 98
        self.assertEqual(self.client().send(get("/hello", *fields, "b:")).answer().status, 200)
        self.assert_refused(get("/hello", *fields, "b:", "c:"), 431)

    def test_a_target_at_the_limit_passes_and_one_byte_more_is_414(self):
        target = "/describe?" + "q" * 190
        self.assertEqual(self.client().send(get(target)).answer().status, 200)
        self.assert_refused(get(target + "q"), 414)

    def test_a_target_without_an_end_is_414_at_the_limit(self):
        c = self.client().send(b"GET /" + b"a" * 200)
        self.assert_problem(c.answer(), 414)

    def test_a_body_at_the_limit_passes_and_one_byte_more_is_413(self):
        c = self.client().send(post("/small", b"x" * 16))
        self.assertEqual(c.answer().body, b"x" * 16)
        self.assert_refused(post("/small", b"x" * 17), 413)

    def test_the_413_comes_before_the_body_is_sent(self):
        c = self.client().send(request("POST", "/small", "Content-Length: 17"))
        self.assert_problem(c.answer(), 413)

    def test_chunks_at_the_limit_pass_and_one_byte_more_is_413(self):
        head = request("POST", "/small", CHUNKED)
        c = self.client().send(head + chunks(b"x" * 8, b"y" * 8))
        self.assertEqual(c.answer().body, b"x" * 8 + b"y" * 8)
        self.assert_refused(head + chunks(b"x" * 8, b"y" * 9), 413)
        c = self.client().send(head + b"ffffffffffffffff\r\n")  # before its bytes come
        self.assert_problem(c.answer(), 413)

    def test_a_body_where_none_is_wanted_is_413(self):
        self.assert_refused(request("GET", "/hello", body=b"x"), 413)
        self.assertEqual(self.client().send(request("GET", "/hello", body=b"")).answer().status, 200)

    def test_chunk_lines_without_end_are_400(self):
        c = self.client().send(request("POST", "/echo", CHUNKED) + b"1;" + b"a" * 2000)
        self.assert_problem(c.answer(), 400)
        c = self.client().send(request("POST", "/echo", CHUNKED) + b"0" * 2000)
        self.assert_problem(c.answer(), 400)
        # Lines that are each small add up too.
        c = self.client().send(request("POST", "/echo", CHUNKED) + b"1;abcdefghijkl\r\nx\r\n" * 200)
        self.assert_problem(c.answer(), 400)

    def test_trailers_without_end_are_431(self):
        for trailers in (b"X: " + b"y" * 2000, b"X: y\r\n" * 400):
            c = self.client().send(request("POST", "/echo", CHUNKED) + b"0\r\n" + trailers)
            self.assert_problem(c.answer(), 431)

    def test_many_small_chunks_are_no_reason_to_refuse(self):
        c = self.client().send(request("POST", "/echo", CHUNKED) + chunks(*[b"x"] * 20000))
        self.assertEqual(c.answer().body, b"x" * 20000)

    def test_the_413_reaches_a_client_that_goes_on_sending(self):
        c = self.client().send(request("POST", "/small", "Content-Length: 4000000"))
        c.send(b"x" * 4000000)  # all of it, before it looks
        self.assert_problem(c.answer(), 413)
        self.assertEqual(c.rest(), b"")


class Pipelining(WithServer):
    flags = ("--pipeline-depth=4", "--memory-bytes=16000000")

    def release(self, order=""):
        self.assertEqual(self.client().send(request("POST", "/release" + order)).answer().status, 204)

    def wait_for(self, name, wanted):
        self.server.wait_for(name, lambda value: value == wanted)

    def test_a_thousand_at_once_are_answered_in_order(self):
        c = self.client()
        c.send(b"".join(post("/echo", b"number %d" % i) for i in range(1000)))
        for i in range(1000):
            self.assertEqual(c.answer().body, b"number %d" % i)
        self.assertTrue(c.is_open())

    def test_answers_given_in_reverse_are_sent_in_order(self):
        c = self.client().send(b"".join(get("/hold?%d" % i) for i in range(4)))
        self.wait_for("streamlens_http_in_flight_requests", 5)  # and the one that asks
        self.release("?newest-first")
        self.assertEqual([c.answer().body for _ in range(4)], [b"0", b"1", b"2", b"3"])
        self.assertTrue(c.is_open())

    def test_a_quick_answer_waits_for_the_slow_one_before_it(self):
        c = self.client().send(get("/hold?slow") + get("/hello") + get("/nothing"))
        self.wait_for("streamlens_http_in_flight_requests", 2)
        c.sock.setblocking(False)
        with self.assertRaises(BlockingIOError):
            c.sock.recv(1)
        c.sock.settimeout(20)
        self.release()
        self.assertEqual([c.answer().status for _ in range(3)], [200, 200, 404])

    def test_no_more_than_the_depth_is_begun(self):
        c = self.client().send(b"".join(get("/hold?%d" % i) for i in range(10)))
        got = []
        for begun in (4, 4, 2):
            self.wait_for("streamlens_http_in_flight_requests", begun + 1)
            self.release()
            got += [c.answer().body for _ in range(begun)]
        self.assertEqual(got, [b"%d" % i for i in range(10)])

    def test_a_client_that_waits_for_its_answer_is_not_read_without_end(self):
        c = self.client().send(b"".join(get("/hold") for _ in range(4)))
        self.wait_for("streamlens_http_in_flight_requests", 5)
        before = self.server.rss_bytes()
        c.sock.setblocking(False)
        sent = 0
        # Until the server has let it wait for half a second: nothing more is taken then.
        while sent < 64 << 20 and select.select([], [c.sock], [], 0.5)[1]:
            sent += c.sock.send(get("/hello") * 1000)
        self.assertLess(sent, 64 << 20)
        self.assertLess(self.server.rss_bytes() - before, 4 << 20)
        used = self.server.cpu_seconds()
        time.sleep(0.5)
        self.assertLess(self.server.cpu_seconds() - used, 0.1, "it must not spin meanwhile")
        c.reset()
        self.release()

    def test_those_who_ask_for_much_do_not_keep_others_waiting(self):
        n, each = 300, 600
        mad, good = [self.client() for _ in range(n)], self.client()
        self.assertTrue(good.is_open())
        freeze(self.server.process.pid)  # so that all of it is there at once
        for c in mad:
            c.send(get("/hello") * each)
        good.send(get("/hello"))
        before = self.server.cpu_seconds()
        os.kill(self.server.process.pid, signal.SIGCONT)
        self.assertEqual(good.answer().status, 200)
        until_good = self.server.cpu_seconds() - before
        for c in mad:
            for _ in range(each):
                c.answer()
        self.assertLess(until_good, (self.server.cpu_seconds() - before) / 15)

    def test_big_answers_come_whole_and_in_order(self):
        c = self.client().send((get("/big?3000000") + get("/hello")) * 5)
        for _ in range(5):
            self.assertEqual(c.answer().body, b"x" * 3000000)
            self.assertEqual(c.answer().body, b"hello\n")

    def test_an_error_is_answered_after_the_requests_before_it(self):
        c = self.client().send(get("/hold?1") + get("/hold?2") + b"rubbish\r\n\r\n" + get("/hello"))
        self.wait_for("streamlens_http_in_flight_requests", 3)
        self.release("?newest-first")
        self.assertEqual([c.answer().status for _ in range(3)], [200, 200, 400])
        self.assertEqual(c.rest(), b"")

    def test_a_client_that_goes_before_its_answer_costs_nothing(self):
        dropped = self.server.metrics()["streamlens_http_answers_dropped_total"]
        for i in range(10):
            c = self.client().send(post("/hold", b"x" * 1000) + get("/hold") +
                                   request("POST", "/echo", "Content-Length: 5"))
            self.wait_for("streamlens_http_in_flight_requests", 2 * (i + 1) + 1)
            if i % 2:
                c.reset()
            else:
                c.sock.close()
        self.release()
        self.wait_for("streamlens_http_in_flight_requests", 1)
        self.wait_for("streamlens_http_memory_bytes", 0)
        self.assertGreaterEqual(self.server.metrics()["streamlens_http_answers_dropped_total"] - dropped, 10)

    def gone(self):
        return int(self.client().send(get("/gone")).answer().body)

    def test_the_handler_is_told_when_its_client_goes_and_only_then(self):
        before = self.gone()
        stays, goes = self.client().send(get("/hold")), self.client().send(get("/hold") + get("/hold"))
        shut = self.client().send(get("/hold"))
        shut.sock.shutdown(socket.SHUT_WR)  # it still reads
        self.wait_for("streamlens_http_in_flight_requests", 5)
        self.assertEqual(self.gone(), before)
        goes.reset()
        deadline = time.monotonic() + 20
        while self.gone() < before + 2:
            self.assertLess(time.monotonic(), deadline, "the handler is not told")
        self.release()
        self.assertEqual([stays.answer().status, shut.answer().status], [200, 200])
        self.assertEqual(self.gone(), before + 2)

    def test_a_reset_while_an_answer_is_under_way_is_survived(self):
        for _ in range(10):
            c = self.client(receive_buffer=4096).send(get("/big?5000000") + get("/hold"))
            c.sock.recv(1)
            c.reset()
        self.assertTrue(self.client().is_open())
        self.release()


class Deadlines(WithServer):
    flags = ("--header-timeout-ms=400", "--body-timeout-ms=600", "--idle-timeout-ms=800",
             "--write-timeout-ms=500")

    def drip(self, c, data, every_s=0.05):
        """Sends a byte at a time until an answer is there; the time that took."""
        begin = time.monotonic()
        for i in range(len(data)):
            try:
                c.sock.settimeout(every_s)
                c.buffer += c.sock.recv(65536)
                break
            except socket.timeout:
                c.send(data[i:i + 1])
        c.sock.settimeout(20)
        return time.monotonic() - begin

    def test_a_dripped_header_is_cut_at_the_absolute_deadline(self):
        c = self.client()
        took = self.drip(c, b"GET /hello HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 900)
        self.assert_problem(c.answer(), 408)
        self.assertEqual(c.rest(), b"")
        self.assertTrue(0.35 < took < 22, took)  # 45 s, if each byte had time anew

    def test_a_dripped_body_is_cut_at_the_absolute_deadline(self):
        for head, body in ((request("POST", "/echo", "Content-Length: 5000"), b"x" * 900),
                           (request("POST", "/echo", CHUNKED), b"1\r\nx\r\n" * 150),
                           (request("POST", "/echo", CHUNKED) + b"0\r\n", b"X: y\r\n" * 150)):
            c = self.client().send(head)
            took = self.drip(c, body)
            self.assert_problem(c.answer(), 408)
            self.assertEqual(c.rest(), b"")
            self.assertTrue(0.55 < took < 22, took)

    def test_an_empty_line_begins_a_header(self):
        c = self.client().send(b"\r\n")
        self.assert_problem(c.answer(), 408)

    def test_an_idle_connection_is_closed_without_a_word(self):
        begin = time.monotonic()
        new, used = self.client(), self.client()
        self.assertTrue(used.is_open())
        self.assertEqual(new.rest(), b"")
        self.assertEqual(used.rest(), b"")
        self.assertGreater(time.monotonic() - begin, 0.75)

    def test_an_answer_may_take_longer_than_all_deadlines(self):
        c = self.client().send(get("/hold?late"))
        time.sleep(1.2)
        self.client().send(request("POST", "/release")).answer()
        self.assertEqual(c.answer().body, b"late")
        self.assertTrue(c.is_open())

    def test_a_client_that_does_not_read_is_cut(self):
        before = self.server.metrics()["streamlens_http_timeouts_total{phase=\"write\"}"]
        c = self.client(receive_buffer=4096).send(get("/big?20000000"))
        self.server.wait_for('streamlens_http_timeouts_total{phase="write"}', lambda v: v > before)
        with self.assertRaises((EOFError, ConnectionError)):
            c.answer()

    def test_each_of_a_hundred_slow_ones_is_told(self):
        for c in [self.client().send(b"POST /echo HTTP/1.1\r\nHost:") for _ in range(100)]:
            self.assert_problem(c.answer(), 408)
            self.assertEqual(c.rest(), b"")


class OneDeadlineAfterTheOther(WithServer):
    flags = ("--header-timeout-ms=5000",)

    def test_the_next_request_has_its_own_deadline(self):
        c = self.client()
        for _ in range(4):
            c.send(get("/hello")[:10])
            time.sleep(1.3)  # far under the deadline each, over it together
            self.assertEqual(c.send(get("/hello")[10:]).answer().status, 200)


class LongDeadlines(WithServer):
    flags = ("--header-timeout-ms=60000",)

    def test_a_hundred_slow_ones_do_not_hold_up_a_good_one(self):
        slow = [self.client().send(b"POST /echo HTTP/1.1\r\nHost:") for _ in range(100)]
        self.assertTrue(self.client().is_open())  # long before any of them is cut
        for c in slow:
            c.reset()


class Connections(unittest.TestCase):
    def test_at_the_cap_further_clients_wait_and_are_served_later(self):
        with Server("--max-connections=3") as server:
            holders = [server.client() for _ in range(3)]
            for c in holders:
                self.assertTrue(c.is_open())
            waiting = [server.client().send(get("/hello")) for _ in range(5)]
            waiting[0].sock.settimeout(0.3)
            with self.assertRaises(socket.timeout):
                waiting[0].answer()
            waiting[0].sock.settimeout(20)
            before = server.cpu_seconds()
            time.sleep(0.5)
            self.assertLess(server.cpu_seconds() - before, 0.1, "it must not spin at the cap")
            for c in holders:
                c.sock.close()
            for c in waiting:
                self.assertEqual(c.answer().status, 200)
                c.sock.close()
            metrics = server.metrics()
            self.assertGreaterEqual(metrics['streamlens_http_listener_paused_total{reason="max_connections"}'], 1)
            self.assertLessEqual(metrics["streamlens_http_connections"], 3)

    def test_out_of_descriptors_it_neither_spins_nor_floods_the_log_and_recovers(self):
        with Server(wrapper=("prlimit", "--nofile=24")) as server:
            clients = [server.client() for _ in range(40)]
            self.assertTrue(clients[0].is_open())
            before = server.cpu_seconds()
            time.sleep(1)
            self.assertLess(server.cpu_seconds() - before, 0.2)
            self.assertTrue(clients[0].is_open())
            for c in clients:
                c.sock.close()
            with server.client() as c:
                self.assertTrue(c.is_open())
                metrics = server.metrics(c)
            self.assertGreaterEqual(metrics['streamlens_http_listener_paused_total{reason="accept_error"}'], 1)
            self.assertEqual(sum("cannot accept" in line for line in server.log), 1)

    def test_an_address_in_use_is_one_clear_line(self):
        with Server() as server:
            with self.assertRaises(RuntimeError) as caught:
                Server("--port=%d" % server.port)
            self.assertIn("port %d: Address already in use" % server.port, str(caught.exception))

    def test_a_small_answer_does_not_wait_for_the_ack_of_the_one_before(self):
        with Server() as server, server.client() as c, server.client() as other:
            seconds = []
            for _ in range(25):
                c.send(get("/hold") + get("/hold"))
                server.wait_for("streamlens_http_in_flight_requests", lambda v: v == 3)
                c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
                begin = time.monotonic()
                for _ in range(2):
                    other.send(request("POST", "/release?oldest")).answer()
                c.answer()
                c.answer()
                seconds.append(time.monotonic() - begin)
            # Of the others some may have waited for their turn on a busy machine.
            self.assertLess(min(seconds), 0.03, "40 ms each pair: TCP_NODELAY is missing")


class Draining(unittest.TestCase):
    def test_an_idle_server_ends_at_once(self):
        server = Server()
        idle = server.client()
        self.assertTrue(idle.is_open())
        server.begin_drain()
        self.assertEqual(idle.rest(), b"")
        self.assertEqual(server.end_drain(), 0)
        server.close()

    def test_what_is_in_flight_is_answered_and_then_closed(self):
        server = Server()
        waiting = [server.client().send(get("/hold?%d" % i)) for i in range(5)]
        pair = server.client().send(get("/hold?a") + get("/hold?b") + get("/hello"))
        server.wait_for("streamlens_http_in_flight_requests", lambda v: v >= 8)
        server.begin_drain()
        with self.assertRaises(ConnectionRefusedError):
            server.client()
        server.release_held()
        for i, c in enumerate(waiting):
            answer = c.answer()
            self.assertEqual((answer.body, answer.headers.get("connection")), (b"%d" % i, "close"))
            self.assertEqual(c.rest(), b"")
            c.sock.close()
        self.assertEqual([pair.answer().body for _ in range(3)], [b"a", b"b", b"hello\n"])
        self.assertEqual(pair.rest(), b"")
        pair.sock.close()
        self.assertEqual(server.end_drain(), 0)
        server.close()

    def test_during_the_drain_a_first_request_is_served_and_another_one_is_503(self):
        server = Server()
        idle, half, body = server.client(), server.client(), server.client()
        self.assertTrue(idle.is_open())
        half.send(get("/hello")[:20])
        body.send(request("POST", "/echo", "Content-Length: 3"))
        server.wait_for("streamlens_http_connections", lambda v: v >= 4)
        server.begin_drain()
        answer = idle.send(get("/hello")).answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (503, "close"))
        self.assertIn("retry-after", answer.headers)
        answer = half.send(get("/hello")[20:]).answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
        answer = body.send(b"abc").answer()  # its header was there before
        self.assertEqual((answer.status, answer.body, answer.headers["connection"]), (200, b"abc", "close"))
        for c in (idle, half, body):
            c.sock.close()
        self.assertEqual(server.end_drain(), 0)
        server.close()

    def test_what_is_never_answered_ends_with_the_drains_deadline(self):
        server = Server("--drain-timeout-ms=300")
        held = server.client().send(get("/hold") + get("/hold"))
        gone = server.client().send(post("/hold", b"x"))
        reading = server.client().send(request("POST", "/echo", "Content-Length: 5") + b"ab")
        slow = server.client(receive_buffer=4096).send(get("/big?5000000"))
        server.wait_for("streamlens_http_in_flight_requests", lambda v: v >= 4)
        gone.reset()
        begin = time.monotonic()
        server.begin_drain()
        self.assertEqual(server.end_drain(), 0)  # the held ones are answered after the server is gone
        self.assertLess(time.monotonic() - begin, 20)
        for c in (held, reading, slow):
            c.sock.close()
        server.close()

    def test_a_second_signal_ends_it_at_once(self):
        server = Server("--drain-timeout-ms=60000")
        with server.client() as c:
            c.send(get("/hold"))
            server.wait_for("streamlens_http_in_flight_requests", lambda v: v >= 2)
            server.begin_drain()
            server.process.terminate()
            self.assertEqual(server.process.wait(20), 1)
        with self.assertRaises(RuntimeError):
            server.close()


if __name__ == "__main__":
    unittest.main()
