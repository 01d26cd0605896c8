#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much a sender may send: ingest-api with RATE_LIMITS=1, and keys with a rate. Limits are written by
streamlens-admin. Rates are low and bursts wide where a test counts what is left, so that what comes in
meanwhile is less than one event; a test that measures a rate bounds it by the time that it took itself."""
import collections
import concurrent.futures
import gzip
import json
import os
import socket
import time
import unittest

from own_postgres import OwnPostgres
from stack import Service, Stack, iso, needed, wait_for
from test_tenancy import EVENTS, REQUEST, Case, bearer, call, request_event, response_event

REFRESH_MS = 200
ENV = {"AUTH": "key", "AUTH_REFRESH_MS": "200", "RATE_LIMITS": "1", "RATE_LIMITS_REFRESH_MS": str(REFRESH_MS)}
LIMITED = 'streamlens_ingest_rate_limited_total{limit="%s"}'
READINGS = 'streamlens_ingest_rate_limit_readings_total{result="%s"}'


def fields(headers, name):
    """A List of Items of RFC 8941 with parameters of numbers and strings: {item: {parameter: value}}"""
    items = {}
    for item in (headers[name] or "").split(", "):
        key, *parameters = item.split(";")
        items[json.loads(key)] = {p.split("=")[0]: json.loads(p.split("=")[1]) for p in parameters}
    return items


def left(answer, policy):
    return fields(answer[1], "RateLimit")[policy]["r"]


def batch(n, bad=0, request_id="b"):
    return [request_event(f"{request_id}{i}") for i in range(n)] + [{"type": "request"}] * bad


def records(stack):
    """How many there are in both topics."""
    return sum(int(line.rsplit(maxsplit=1)[1]) for line in stack.end_offsets())


class LimitCase(Case):
    @classmethod
    def set_limit(cls, stack, tenant, **numbers):
        r = stack.admin("limit", "set", tenant, *(f"{name}={n}" for name, n in numbers.items()))
        assert r.returncode == 0, r.stderr

    @staticmethod
    def read_again(service):
        """Waits until all rows as they are now have been read: of two readings the second began since."""
        ok = service.metric(READINGS % "ok")
        wait_for(lambda: service.metric(READINGS % "ok") >= ok + 2, "two readings", 30)

    def assert_limited(self, answer, policy, least, most):
        """429 of one policy, that tells to wait so many seconds."""
        self.assert_problem(answer, 429)
        _, headers, body = answer
        wait_s = int(headers["Retry-After"])
        self.assertTrue(least <= wait_s <= most, wait_s)
        self.assertIn({"events": "events than the tenant's", "bytes": "bytes", "key": "events than the key's"}[policy],
                      body["detail"])
        self.assertIn(policy, fields(headers, "RateLimit-Policy"))
        for item in fields(headers, "RateLimit").values():
            self.assertLessEqual(item["t"], wait_s)


class Limits(LimitCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enter_stack(env=ENV)
        cls.s = cls.stack.start("ingest-api")

    def tenant(self, name, key_rate=None, **numbers):
        """A new tenant with these limits, if any, known to the service; what it shows."""
        if numbers:
            self.set_limit(self.stack, name, **numbers)
        key = bearer(self.stack.key("--tenant", name, "--scope=ingest", *([f"--rate={key_rate}"] if key_rate else [])))
        wait_for(lambda: call(self.s, "POST", REQUEST, "", key)[0] == 400, "the key")  # costs neither byte nor event
        if numbers:
            self.read_again(self.s)
        return key

    def post(self, body, key, path=EVENTS, **headers):
        return call(self.s, "POST", path, body, {**key, **headers})

    def test_a_tenant_gets_its_rate_and_its_burst_and_others_are_not_held_up(self):
        rate, burst = 50, 20
        loud, quiet = self.tenant("loud", events_per_second=rate, events_burst=burst), self.tenant("quiet")
        before, limited = records(self.stack), self.s.metric(LIMITED % "events")
        begun, ends = time.monotonic(), []

        def flood():
            got = collections.Counter()
            while time.monotonic() < begun + 2:
                answer = self.post(request_event(), loud, REQUEST)
                got[answer[0]] += 1
                if answer[0] == 429:
                    self.assert_limited(answer, "events", 1, 1)
            ends.append(time.monotonic())
            return got

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            floods = [pool.submit(flood) for _ in range(4)]
            while not all(f.done() for f in floods):
                self.assertEqual(self.post(request_event(), quiet, REQUEST)[0], 202)
                before += 1
            got = sum((f.result() for f in floods), collections.Counter())
        self.assertEqual(set(got), {202, 429})
        self.assertLessEqual(got[202], rate * (max(ends) - begun) + burst)
        self.assertGreater(got[202], burst)
        self.assertEqual(self.s.metric(LIMITED % "events") - limited, got[429])
        self.assertEqual(records(self.stack) - before, got[202])  # what was refused is not in the log

    def test_after_retry_after_the_same_is_taken(self):
        key = self.tenant("patient", events_per_second=5, events_burst=5)
        answer = wait_for(lambda: (a := self.post(batch(5), key))[0] == 429 and a, "a refusal")
        self.assert_limited(answer, "events", 1, 1)
        time.sleep(int(answer[1]["Retry-After"]))  # as the answer says
        self.assertEqual(self.post(batch(5), key)[0], 202)

    def test_a_batch_is_taken_whole_or_not_at_all_and_a_refused_one_costs_nothing(self):
        key = self.tenant("whole", events_per_second=1, events_burst=1000, bytes_per_second=1, bytes_burst=10**6)
        answer = self.post(batch(800), key)
        self.assertEqual((answer[0], answer[2]["accepted"]), (202, 800))
        before, rest = records(self.stack), left(answer, "bytes")
        for _ in range(3):
            answer = self.post(batch(800), key)
            self.assert_limited(answer, "events", 500, 600)
            self.assertLess(abs(left(answer, "bytes") - rest), 60)  # nor bytes
        self.assertEqual(records(self.stack), before)
        self.assertEqual(self.post(batch(200), key)[0], 202)

    def test_bad_events_cost_their_bytes_alone(self):
        key = self.tenant("sloppy", events_per_second=1, events_burst=1000, bytes_per_second=1, bytes_burst=10**6)
        body = json.dumps(batch(10, bad=30))
        answer = self.post(body, key)
        self.assertEqual((answer[0], answer[2]["accepted"], answer[2]["rejected"]), (202, 10, 30))
        self.assertIn(left(answer, "events"), range(990, 1000))
        self.assertIn(left(answer, "bytes") + len(body) - 10**6, range(60))
        for wrong, status, path in ((batch(0, bad=5), 400, EVENTS), ({"request_id": "r"}, 400, REQUEST),
                                    (request_event(tenant_id="other"), 403, REQUEST)):
            before = left(answer, "bytes")
            answer = self.post(json.dumps(wrong), key, path)
            self.assertEqual(answer[0], status)
            self.assertIn(left(answer, "events"), range(990, 1001))
            self.assertIn(left(answer, "bytes") + len(json.dumps(wrong)) - before, range(60))

    def test_more_than_the_burst_is_taken_by_a_full_bucket_and_paid_off(self):
        key = self.tenant("large", events_per_second=1, events_burst=10)
        self.assertEqual(self.post(batch(600), key)[0], 202)
        self.assert_limited(self.post(batch(1), key), "events", 500, 591)
        self.assert_limited(self.post(batch(10), key), "events", 510, 600)

    def test_a_retry_is_charged_again(self):
        key = self.tenant("again", events_per_second=1, events_burst=1000)
        answers = [self.post(request_event("same"), key, REQUEST) for _ in range(3)]
        self.assertEqual([a[0] for a in answers], [202] * 3)
        self.assertIn(left(answers[2], "events"), range(997, 1000))

    def test_a_body_that_is_too_much_is_not_waited_for(self):
        key = self.tenant("heavy", bytes_per_second=1, bytes_burst=100000)
        body = b"[" + b" " * 60000 + json.dumps(request_event("first")).encode() + b"]"

        def begin(expect):
            c = socket.create_connection(("127.0.0.1", self.s.port), timeout=30)
            self.addCleanup(c.close)
            c.sendall((f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: {key['Authorization']}\r\n{expect}"
                       f"Content-Length: {len(body)}\r\n\r\n").encode())
            return c
        first = begin("Expect: 100-continue\r\n")
        self.assertTrue(first.recv(4096).startswith(b"HTTP/1.1 100"))
        limited = self.s.metric(LIMITED % "bytes")
        # The first has not sent a byte of its body, and is charged all the same.
        with begin("").makefile("rb") as answer:
            head, _, problem = answer.read().partition(b"\r\n\r\n")  # to the end: the connection is closed
        self.assertTrue(head.startswith(b"HTTP/1.1 429"), head)
        self.assertRegex(head, rb"\r\nRetry-After: [12]\d{4}\r\n")
        self.assertIn(b"bytes than the tenant's", problem)
        self.assertEqual(self.s.metric(LIMITED % "bytes"), limited + 1)
        first.sendall(body)
        answer = first.recv(4096)
        self.assertTrue(answer.startswith(b"HTTP/1.1 202"), answer)
        rest = left(self.post(request_event(), key, REQUEST), "bytes")
        self.assertIn(100000 - len(body) - rest, range(50, 300))  # charged once, and this one
        self.assert_limited(self.post(body, key), "bytes", 10000, 25000)  # the whole of it at once

    def test_chunks_are_charged_when_they_are_there(self):
        key = self.tenant("chunky", bytes_per_second=1, bytes_burst=10000)
        for status in (202, 429):
            def parts():
                yield b"["
                yield b" " * 6000
                yield json.dumps(request_event()).encode() + b"]"
            answer = self.post(parts(), key)  # of a length that http.client does not know either
            self.assertEqual(answer[0], status)
        self.assertIn(left(answer, "bytes"), range(3000, 4000))

    def test_a_compressed_body_counts_as_it_was_sent(self):
        key = self.tenant("packed", events_per_second=1, events_burst=1000, bytes_per_second=1, bytes_burst=10**6)
        body = gzip.compress(json.dumps(batch(100)).encode())
        answer = self.post(body, key, **{"Content-Encoding": "gzip"})
        self.assertEqual(answer[0], 202)
        self.assertIn(left(answer, "events"), range(900, 960))
        self.assertIn(left(answer, "bytes") + len(body) - 10**6, range(60))

    def test_fields_name_the_limits_that_hold(self):
        key = self.tenant("both", events_per_second=3, bytes_per_second=100, bytes_burst=250)
        headers = self.post("", key)[1]
        self.assertEqual(fields(headers, "RateLimit-Policy"),
                         {"events": {"q": 30, "w": 10}, "bytes": {"q": 250, "qu": "content-bytes", "w": 3}})
        self.assertEqual(fields(headers, "RateLimit"), {"events": {"r": 30, "t": 0}, "bytes": {"r": 250, "t": 0}})
        headers = self.post(request_event(), self.tenant("free", key_rate=7), REQUEST)[1]
        self.assertEqual(fields(headers, "RateLimit-Policy"), {"key": {"q": 7, "w": 1}})
        self.assertEqual(fields(headers, "RateLimit"), {"key": {"r": 6, "t": 1}})
        status, headers, _ = self.post(request_event(), self.tenant("unbound"), REQUEST)
        self.assertEqual((status, headers["RateLimit"], headers["RateLimit-Policy"]), (202, None, None))
        self.assertIsNone(call(self.s, "POST", REQUEST, "", {})[1]["RateLimit"])

    def test_a_key_has_a_limit_beside_its_tenants(self):
        slow = self.tenant("mixed", key_rate=3, events_per_second=1, events_burst=1000)
        limited = self.s.metric(LIMITED % "key")
        self.assertEqual(self.post(batch(100), slow)[0], 202)  # more than its burst, and it was full
        answer = self.post(batch(1), slow)
        self.assert_limited(answer, "key", 20, 33)
        self.assertEqual(self.s.metric(LIMITED % "key"), limited + 1)
        answer = self.post(batch(10), self.tenant("mixed"))
        self.assertEqual(answer[0], 202)
        self.assertIn(left(answer, "events"), range(890, 950))  # the key's refusal cost its tenant nothing

    def test_changes_take_hold_within_the_refresh(self):
        key = self.tenant("changing", events_per_second=1, events_burst=1000)
        self.assertEqual(self.post(batch(900), key)[0], 202)

        def becomes(condition):
            return wait_for(lambda: (a := self.post("", key)) and condition(a[1]["RateLimit-Policy"], a) and a,
                            "the change", REFRESH_MS / 1000 + 5)
        self.set_limit(self.stack, "changing", events_burst=50)
        answer = becomes(lambda policy, _: '"events";q=50;' in policy)
        self.assertEqual(left(answer, "events"), 50)  # of the 100 that were left
        self.set_limit(self.stack, "changing", events_burst=5000)
        answer = becomes(lambda policy, _: '"events";q=5000;' in policy)
        self.assertIn(left(answer, "events"), range(50, 100))
        self.assertEqual(self.stack.admin("limit", "remove", "changing").returncode, 0)
        becomes(lambda policy, _: policy is None)
        self.assertEqual(self.post(batch(900), key)[0], 202)

    def test_a_row_that_admin_could_not_have_made_is_left_out(self):
        key = self.tenant("kept", events_per_second=3)
        self.stack.sql("ALTER TABLE streamlens_limit DROP CONSTRAINT streamlens_limit_events_per_second_check;"
                       "INSERT INTO streamlens_limit (tenant_id, events_per_second) VALUES ('odd', -5),"
                       f" ('{'x' * 256}', 1)")
        wait_for(lambda: self.s.metric("streamlens_ingest_rate_limits_left_out") == 2, "it being left out")
        self.assertIn("streamlens_limit", self.s.log())
        self.assertIn("events", fields(self.post("", key)[1], "RateLimit-Policy"))
        self.stack.sql("DELETE FROM streamlens_limit WHERE events_per_second < 0 OR length(tenant_id) > 255")
        wait_for(lambda: self.s.metric("streamlens_ingest_rate_limits_left_out") == 0, "all being taken")
        self.assertEqual(self.s.metric("streamlens_ingest_rate_limits"),
                         float(self.stack.sql("SELECT count(*) FROM streamlens_limit")))


class Shared(LimitCase):
    def test_each_of_several_processes_takes_its_part(self):
        stack = self.enter_stack(env={**ENV, "INGESTS": "4"})
        self.set_limit(stack, "acme", events_per_second=4, events_burst=4000)
        key = bearer(stack.key("--tenant=acme", "--scope=ingest", "--rate=400"))
        s = stack.start("ingest-api")
        answer = call(s, "POST", EVENTS, batch(100), key)
        self.assertEqual(answer[0], 202)
        self.assertEqual(fields(answer[1], "RateLimit-Policy"), {"events": {"q": 1000, "w": 1000}, "key": {"q": 100, "w": 1}})

    def test_without_authentication_all_share_the_limit_of_the_others(self):
        stack = self.enter_stack(env={**ENV, "AUTH": "none"})
        self.set_limit(stack, "*", events_per_second=1, events_burst=100)
        self.set_limit(stack, "acme", events_per_second=1000)
        s = stack.start("ingest-api")
        answers = [call(s, "POST", REQUEST, request_event(tenant_id=t)) for t in ("acme", "globex", "acme", "initech")]
        self.assertEqual([a[0] for a in answers], [202] * 4)
        self.assertIn(left(answers[3], "events"), range(96, 99))
        self.assertEqual(s.metric("streamlens_ingest_rate_limit_buckets"), 1)

    def test_a_keys_limit_holds_without_the_others(self):
        stack = self.enter_stack(env={**ENV, "RATE_LIMITS": "0"})
        self.set_limit(stack, "acme", events_per_second=1)
        key = bearer(stack.key("--tenant=acme", "--scope=ingest", "--rate=2"))
        s = stack.start("ingest-api")
        self.assertEqual(call(s, "POST", EVENTS, batch(200), key)[0], 202)
        answer = call(s, "POST", EVENTS, batch(2), key)
        self.assert_limited(answer, "key", 50, 100)
        self.assertEqual(set(fields(answer[1], "RateLimit")), {"key"})
        self.assertEqual(s.metric(READINGS % "ok"), 0)
        self.assertEqual(stack.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                   " AND application_name = 'streamlens-ingest-api-limits'"), "0")

    def test_an_event_that_the_log_did_not_take_stays_charged(self):
        stack = self.enter_stack(env={**ENV, "AUTH": "none"})
        self.set_limit(stack, "*", events_per_second=1, events_burst=1000)
        program = os.path.join(stack.build, "tests", "integration", "ingest_fake")
        s = Service("fake", program, stack.env, os.path.join(stack.tmp, stack.id + "-fake.log"))
        self.addCleanup(s.kill)
        s.wait_ready()
        answer = call(s, "POST", EVENTS, [request_event(f"away{i}", tenant_id="t") for i in range(100)])
        self.assertEqual(answer[0], 503)
        self.assertIn(left(answer, "events"), range(900, 960))
        answer = call(s, "POST", REQUEST, request_event("fine", tenant_id="t"))
        self.assertIn(left(answer, "events"), range(899, 960))

    def test_a_database_that_was_not_set_up_is_named(self):
        stack = self.enter_stack(env={**ENV, "AUTH": "none"})
        stack.sql("DROP TABLE streamlens_limit")
        s = stack.start("ingest-api", ready=False)
        s.wait_port()
        wait_for(lambda: b"streamlens-admin setup" in s.get("/readyz")[1], "the reason")
        self.assertEqual([s.get(p)[0] for p in ("/livez", "/startupz", "/readyz")], [200, 503, 503])


class DatabaseAway(LimitCase):
    @classmethod
    def setUpClass(cls):
        cls.pg = OwnPostgres(os.path.join(needed("SL_TMP"), "limits-own-pg"), int(needed("SL_PORT_BASE")) + 14)
        cls.pg.start()
        cls.addClassCleanup(cls.pg.stop)
        cls.stack = cls.enter_stack(pg_dsn=cls.pg.dsn(), env={**ENV, "AUTH": "none"})

    def test_the_last_reading_holds_and_a_start_waits(self):
        self.set_limit(self.stack, "*", events_per_second=1, events_burst=1000)
        s = self.stack.start("ingest-api")
        event = request_event(tenant_id="t")
        self.assertEqual(call(s, "POST", EVENTS, [event] * 900)[0], 202)
        self.pg.kill()
        failed = s.metric(READINGS % "failed")
        wait_for(lambda: s.metric("streamlens_ingest_rate_limit_reading_age_seconds") >= 3, "an old reading", 60)
        self.assertGreater(s.metric(READINGS % "failed"), failed)
        self.assert_limited(call(s, "POST", EVENTS, [event] * 900), "events", 500, 800)
        self.assertEqual(call(s, "POST", REQUEST, event)[0], 202)
        self.assertEqual(s.get("/readyz")[0], 200)

        late = self.stack.start("ingest-api-2", ready=False)
        late.wait_port()
        wait_for(lambda: b"rate limits have not been read yet" in late.get("/startupz")[1], "the reason")
        self.assertEqual([late.get(p)[0] for p in ("/livez", "/startupz", "/readyz", "/health")], [200, 503, 503, 503])
        answer = call(late, "POST", REQUEST, event)
        self.assert_problem(answer, 503)
        self.assertGreaterEqual(int(answer[1]["Retry-After"]), 1)

        self.pg.start_after_kill()
        late.wait_ready()
        self.assertEqual(late.get("/startupz")[0], 200)
        self.assertEqual(call(late, "POST", REQUEST, event)[0], 202)
        self.set_limit(self.stack, "*", events_burst=77)
        for service in (s, late):
            wait_for(lambda x=service: '"events";q=77;' in call(x, "POST", REQUEST, event)[1]["RateLimit-Policy"],
                     "the new limit", 30)
        self.assertLess(s.metric("streamlens_ingest_rate_limit_reading_age_seconds"), 3)
        self.assertEqual([service.terminate() for service in (s, late)], [0, 0])


if __name__ == "__main__":
    unittest.main()
