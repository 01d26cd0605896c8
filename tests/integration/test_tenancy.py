# SPDX-License-Identifier: Apache-2.0
"""Who may send and read what: both APIs with AUTH=key, each event's tenant in the log, and each answer's
rows. Keys are written by SQL (support/keys.py)."""
import collections
import concurrent.futures
import contextlib
import http.client
import json
import os
import socket
import subprocess
import time
import unittest

from keys import add_key, id_of, key_text, with_checksum
from own_postgres import OwnPostgres
from stack import Stack, iso, needed, wait_for
from test_metrics_api import fill

REFRESH_MS = 200
ENV = {"AUTH": "key", "AUTH_REFRESH_MS": str(REFRESH_MS), "AUTH_FAILURES_PER_MINUTE": "1000000"}
REQUEST, RESPONSE, EVENTS = "/v1/llm/request", "/v1/llm/response", "/v1/llm/events"
OPEN_PATHS = ("/health", "/livez", "/readyz", "/startupz", "/metrics")


def request_event(request_id="r", **fields):
    return {"type": "request", "request_id": request_id, "route": "/chat", "model": "m",
            "timestamp": iso(time.time()), **fields}


def response_event(request_id="r", **fields):
    return {"type": "response", "request_id": request_id, "timestamp": iso(time.time()), **fields}


def bearer(key):
    return {"Authorization": "Bearer " + key}


def call(service, method, path, body=None, headers=None):
    """(status, headers, body as JSON or text)"""
    c = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    try:
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        text = r.read().decode()
        is_json = text and "json" in r.getheader("Content-Type", "")
        return r.status, r.headers, json.loads(text) if is_json else text
    finally:
        c.close()


def bad_credentials(stack):
    """Every kind of credential that is nobody's, by what is wrong with it."""
    good = add_key(stack, "acme", "ingest", "read")
    expired = add_key(stack, "acme", "ingest", "read", expires="now() - interval '1 s'")
    revoked = add_key(stack, "acme", "ingest", "read", revoked="now()")
    return {
        "nothing": {}, "empty": bearer(""), "another scheme": {"Authorization": "Basic " + good},
        "no scheme": {"Authorization": good}, "not a key": bearer("secret"), "cut": bearer(good[:-1]),
        "unknown": bearer(key_text()), "another secret": bearer(key_text(id_of(good))),
        "another id": bearer(with_checksum(f"slk_{'0' * 12}_{good.split('_')[2]}")),
        "expired": bearer(expired), "revoked": bearer(revoked), "expired, in the other header":
        {"X-API-Key": expired}, "two": {**bearer(good), "X-API-Key": good},
    }


class Case(unittest.TestCase):
    @classmethod
    def enter_stack(cls, **kwargs):
        s = Stack(**kwargs).__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        return s

    def assert_problem(self, answer, status, field=None):
        got, headers, body = answer
        self.assertEqual((got, headers["Content-Type"]), (status, "application/problem+json"), body)
        self.assertEqual(body.get("field"), field, body)
        self.assertTrue(body["detail"])

    def assert_open(self, service, *, hides):
        for path in OPEN_PATHS:
            status, _, body = call(service, "GET", path)
            self.assertEqual(status, 200, path)
            for word in hides:
                self.assertNotIn(word, json.dumps(body), path)

    def becomes(self, service, headers, status, method, path):
        """Waits for this answer, that it comes with a refresh; the slack is a busy machine's."""
        wait_for(lambda: call(service, method, path, "", headers)[0] == status, f"a {status}", REFRESH_MS / 1000 + 30)


class Ingest(Case):
    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enter_stack(env=ENV)
        cls.acme = bearer(add_key(cls.stack, "acme-secret", "ingest"))
        cls.globex = bearer(add_key(cls.stack, "globex", "ingest", "read"))
        cls.bad = bad_credentials(cls.stack)
        cls.s = cls.stack.start("ingest-api")

    def post(self, path, body, headers):
        return call(self.s, "POST", path, body, headers)

    def records(self, topic, request_id):
        """(tenant header or None, value) of each record of the id."""
        found = []
        for r in self.stack.consume(topic):
            if r["key"] == request_id:
                headers = r.get("headers") or []
                self.assertIn(headers[::2], ([], ["tenant"]))
                found.append((headers[1] if headers else None, r["payload"]))
        return found

    def test_the_tenant_of_the_key_goes_along_and_the_event_stays_as_sent(self):
        for path, topic, make in ((REQUEST, "llm.requests", request_event), (RESPONSE, "llm.responses", response_event)):
            named, unnamed = (json.dumps(make("kept", **f), indent=1) for f in ({"tenant_id": "acme-secret"}, {}))
            for body in (named, unnamed):
                self.assertEqual(self.post(path, body, self.acme)[0], 202)
            other_header = {"X-API-Key": self.acme["Authorization"].split()[1]}
            self.assertEqual(self.post(path, named, other_header)[0], 202)
            self.assertEqual(sorted(self.records(topic, "kept")),
                             sorted(("acme-secret", body) for body in (named, unnamed, named)))

    def test_an_event_that_names_another_tenant_is_403_and_not_produced(self):
        before = self.stack.end_offsets()
        for path, event in ((REQUEST, request_event(tenant_id="globex")), (RESPONSE, response_event(tenant_id="globex")),
                            (REQUEST, request_event(tenant_id="acme-secret2")),
                            (RESPONSE, response_event(tenant_id="Acme-secret"))):
            answer = self.post(path, event, self.acme)
            self.assert_problem(answer, 403, "tenant_id")
        self.assertEqual(self.stack.end_offsets(), before)

    def test_of_a_batch_only_the_items_of_others_are_refused(self):
        items = [request_event("b0"), request_event("b1", tenant_id="globex"), response_event("b2"),
                 response_event("b3", tenant_id="globex"), request_event("b4", tenant_id="acme-secret"),
                 response_event("b5", tenant_id="acme-secret"), request_event("b6", tenant_id="")]
        status, _, answer = self.post(EVENTS, items, self.acme)
        self.assertEqual((status, answer["accepted"], answer["rejected"]), (202, 4, 3))
        self.assertEqual([(e["index"], e["field"]) for e in answer["errors"]],
                         [(1, "tenant_id"), (3, "tenant_id"), (6, "tenant_id")])
        seen = {r["key"]: r["headers"] for t in ("llm.requests", "llm.responses")
                for r in self.stack.consume(t) if r["key"].startswith("b")}
        self.assertEqual(seen, {k: ["tenant", "acme-secret"] for k in ("b0", "b2", "b4", "b5")})
        status, _, answer = self.post(EVENTS, [items[1], items[3]], self.acme)
        self.assertEqual((status, answer["accepted"], answer["rejected"]), (400, 0, 2))

    def test_any_tenants_name_goes_along_in_full(self):
        for i, tenant in enumerate(("x" * 255, "ü💩 %s\\\"")):
            key = bearer(add_key(self.stack, tenant, "ingest"))
            self.becomes(self.s, key, 400, "POST", REQUEST)
            for event in (request_event(f"name-{i}"), request_event(f"name-{i}", tenant_id=tenant)):
                self.assertEqual(self.post(REQUEST, event, key)[0], 202)
            self.assertEqual([t for t, _ in self.records("llm.requests", f"name-{i}")], [tenant] * 2)

    def test_what_the_topic_can_never_take_is_413(self):
        s = self.stack.start("ingest-api-2", program="ingest-api", env={"KAFKA_CONF_message_max_bytes": "2000"})
        big = request_event("big", metadata={"x": "y" * 3000})
        self.assert_problem(call(s, "POST", REQUEST, big, self.acme), 413)
        status, _, answer = call(s, "POST", EVENTS, [big, request_event("small")], self.acme)
        self.assertEqual((status, answer["accepted"], answer["errors"][0]["index"]), (202, 1, 0))
        s.kill()

    def test_the_same_ids_of_two_tenants_stay_apart(self):
        n = 40
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(self.post, path, make(f"same-{i}"), who)
                    for i in range(n) for path, make in ((REQUEST, request_event), (RESPONSE, response_event))
                    for who in (self.acme, self.globex)]
            self.assertEqual({j.result()[0] for j in jobs}, {202})
        for topic in ("llm.requests", "llm.responses"):
            found = collections.Counter((r["headers"][1], r["key"]) for r in self.stack.consume(topic)
                                        if r["key"].startswith("same-"))
            self.assertEqual(found, {(t, f"same-{i}"): 1 for t in ("acme-secret", "globex") for i in range(n)})

    def test_a_bad_credential_gets_the_same_401_whatever_it_sends_and_produces_nothing(self):
        before, answers = self.stack.end_offsets(), set()
        sent = ((REQUEST, request_event(), {}), (RESPONSE, response_event(tenant_id="acme"), {}), (REQUEST, "", {}),
                (EVENTS, [request_event(), response_event()], {}), (RESPONSE, "{", {}), (EVENTS, b"\xff", {}),
                (REQUEST, request_event(), {"Content-Type": "text/plain"}),
                (REQUEST, request_event(), {"Content-Encoding": "br"}))
        for name, credential in self.bad.items():
            for path, body, headers in sent:
                status, got, answer = self.post(path, body, {**credential, **headers})
                self.assertEqual(status, 401, f"{name}: {answer}")
                answers.add((got["WWW-Authenticate"], json.dumps(answer)))
        self.assertEqual(len(answers), 1, answers)
        self.assertEqual(self.stack.end_offsets(), before)

    def test_strangers_bodies_take_no_room_from_those_of_others(self):
        size, room = 1 << 20, 64 << 20
        for credential in ({}, self.bad["unknown"], bearer(add_key(self.stack, "acme", "read"))):
            with contextlib.ExitStack() as held:
                for _ in range(room // size + 1):
                    c = held.enter_context(socket.create_connection(("127.0.0.1", self.s.port), timeout=30))
                    fields = "".join(f"{name}: {value}\r\n" for name, value in credential.items())
                    c.sendall(f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {size}\r\n\r\n".encode())
                    self.assertIn(c.recv(4096)[:12], (b"HTTP/1.1 401", b"HTTP/1.1 403"))
                    try:
                        c.sendall(b"x" * (size - 1))
                    except OSError:
                        pass  # it need not take what it has refused
                self.assertEqual(self.s.metric("streamlens_http_memory_bytes"), 0)
                self.assertEqual(self.post(REQUEST, request_event(), self.acme)[0], 202)

    def test_a_key_revoked_while_its_body_comes_is_refused(self):
        key = add_key(self.stack, "acme-secret", "ingest")
        self.becomes(self.s, bearer(key), 400, "POST", REQUEST)
        before, body = self.stack.end_offsets(), json.dumps(request_event()).encode()
        with socket.create_connection(("127.0.0.1", self.s.port), timeout=30) as c:
            c.sendall(f"POST {REQUEST} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nX-API-Key: {key}\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n".encode())
            self.assertTrue(c.recv(4096).startswith(b"HTTP/1.1 100"))
            self.stack.sql(f"UPDATE streamlens_key SET revoked_at = now() WHERE key_id = '{id_of(key)}'")
            self.becomes(self.s, bearer(key), 401, "POST", REQUEST)
            c.sendall(body)
            self.assertTrue(c.recv(4096).startswith(b"HTTP/1.1 401"))
        self.assertEqual(self.stack.end_offsets(), before)

    def test_a_key_without_the_scope_is_403_and_produces_nothing(self):
        before = self.stack.end_offsets()
        for tenant, *scopes in (("acme", "read"), ("acme", "read", "admin"), ("", "admin")):
            key = bearer(add_key(self.stack, tenant, *scopes))
            self.becomes(self.s, key, 403, "POST", REQUEST)
            for path, body in ((REQUEST, request_event(tenant_id="acme")), (RESPONSE, response_event()),
                               (EVENTS, [request_event()]), (REQUEST, "{")):
                self.assert_problem(self.post(path, body, key), 403)
        self.assertEqual(self.stack.end_offsets(), before)

    def test_a_new_key_counts_soon_and_a_revoked_or_expired_one_no_longer(self):
        key = add_key(self.stack, "acme", "ingest")
        self.becomes(self.s, bearer(key), 400, "POST", REQUEST)  # let in: the body is looked at
        self.stack.sql(f"UPDATE streamlens_key SET revoked_at = now() WHERE key_id = '{id_of(key)}'")
        self.becomes(self.s, bearer(key), 401, "POST", REQUEST)
        short = add_key(self.stack, "acme", "ingest", expires="now() + interval '3 s'")
        self.becomes(self.s, bearer(short), 400, "POST", REQUEST)
        wait_for(lambda: self.post(REQUEST, "", bearer(short))[0] == 401, "the expiry", 30)
        before = self.stack.end_offsets()
        for bad in (key, short):
            self.assertEqual(self.post(REQUEST, request_event(), bearer(bad))[0], 401)
        self.assertEqual(self.stack.end_offsets(), before)

    def test_health_and_metrics_are_open_and_tell_of_no_tenant(self):
        self.assertEqual(self.post(REQUEST, request_event("open"), self.acme)[0], 202)
        self.assert_open(self.s, hides=("acme-secret", "globex", self.acme["Authorization"].split("_")[1]))

    def test_refusals_are_counted_apart_from_events(self):
        name = 'streamlens_ingest_events_total{result="rejected"}'
        before = self.s.metric(name)
        self.post(REQUEST, request_event(), {})
        self.assertEqual(self.s.metric(name), before)
        self.post(REQUEST, request_event(tenant_id="globex"), self.acme)
        self.assertEqual(self.s.metric(name), before + 1)

    def test_headers_are_part_of_what_the_producers_buffer_holds(self):
        size, key = 1000, bearer(add_key(self.stack, "acme", "ingest"))
        for auth, most in (("key", 2), ("none", 4)):
            s = self.stack.start("ingest-api-2", program="ingest-api", env={
                "AUTH": auth, "PRODUCE_BUFFER_BYTES": str(1 << 20), "MAX_BATCH_EVENTS": str(size),
                "LINGER_MS": "10000", "ACK_TIMEOUT_MS": "60000"})
            batch = [response_event(f"{auth}-{i}") for i in range(size)]
            with concurrent.futures.ThreadPoolExecutor(most) as pool:
                waiting = []
                for i in range(most):
                    waiting.append(pool.submit(call, s, "POST", EVENTS, batch, key))
                    wait_for(lambda n=i: s.metric("streamlens_ingest_pending_events") == (n + 1) * size, "it waiting")
                self.assertEqual(call(s, "POST", EVENTS, batch, key)[0], 503)
                self.assertFalse(any(w.done() for w in waiting))
                s.kill()  # the others need not be waited for


class WithoutAuthentication(Case):
    def test_nobody_is_asked_no_header_is_sent_and_no_database_is_wanted(self):
        stack = self.enter_stack()
        with socket.create_server(("127.0.0.1", 0)) as database:
            dsn = f"postgresql://u@127.0.0.1:{database.getsockname()[1]}/d"
            s = stack.start("ingest-api", env={"POSTGRES_DSN": dsn})
            for headers in ({}, bearer("rubbish"), {"X-API-Key": key_text()}):
                event = request_event("free", tenant_id="acme")
                self.assertEqual(call(s, "POST", REQUEST, event, headers)[0], 202)
                self.assertEqual(call(s, "POST", RESPONSE, response_event("free", tenant_id="globex"), headers)[0], 202)
                self.assert_problem(call(s, "POST", REQUEST, request_event(), headers), 400, "tenant_id")
            self.assertEqual(s.terminate(), 0)
            database.setblocking(False)
            with self.assertRaises(BlockingIOError):
                database.accept()
        records = stack.consume("llm.requests") + stack.consume("llm.responses")
        self.assertEqual([r.get("headers") or [] for r in records], [[]] * 6)

    def test_a_header_in_the_log_decides_whose_event_it_is(self):
        stack = self.enter_stack()
        stack.start("processor")
        for topic, event in (("llm.requests", request_event("x", tenant_id="globex")),
                             ("llm.responses", response_event("x", tenant_id="globex", completion_tokens=7))):
            subprocess.run(["kcat", "-P", "-q", "-b", stack.brokers, "-t", stack.prefix + topic, "-k", "x",
                            "-H", "tenant=acme"], input=json.dumps(event), text=True, check=True, timeout=30)
        stack.wait_totals(requests=1, responses=1)
        self.assertEqual([(r["tenant_id"], r["completion_tokens"]) for r in stack.rows()], [("acme", 7)])


class Reads(Case):
    @classmethod
    def setUpClass(cls):
        cls.stack = s = cls.enter_stack(env=ENV)
        fill(s, [("acme", "r", "m", range(3)), ("acme", "r2", "m", range(2)), ("globex", "r", "m", range(4))], 10)
        cls.acme = bearer(add_key(s, "acme", "read"))
        cls.admin = bearer(add_key(s, "", "admin"))
        cls.both = bearer(add_key(s, "acme", "read", "admin"))
        cls.sends = bearer(add_key(s, "acme", "ingest"))
        cls.sends_and_rules = bearer(add_key(s, "acme", "ingest", "admin"))
        cls.bad = bad_credentials(s)
        cls.api = s.start("metrics-api")

    def ask(self, headers, query="", method="GET"):
        return call(self.api, method, "/v1/metrics" + query, headers=headers)

    def assert_rows(self, headers, query, tenant, count):
        status, _, answer = self.ask(headers, query)
        self.assertEqual((status, answer["count"]), (200, count), (query, answer))
        self.assertEqual({r["tenant_id"] for r in answer["metrics"]}, {tenant})

    def test_a_reader_sees_its_tenants_rows_named_or_not(self):
        for query, count in (("", 5), ("?tenant_id=acme", 5), ("?tenant_id=", 5), ("?limit=4", 4), ("?route=r2", 2),
                             ("?route=r&model=m", 3), ("?TENANT_ID=globex", 5)):
            self.assert_rows(self.acme, query, "acme", count)
        self.assert_rows({"X-API-Key": self.acme["Authorization"].split()[1]}, "", "acme", 5)

    def test_another_tenant_is_403_alike_whether_it_exists_or_not(self):
        answers = set()
        for name in ("globex", "nobody", "%67lobex", "acme2", "ACME", "acme%20"):
            for more in ("", "&route=r", "&route=r&model=m"):
                answer = self.ask(self.acme, f"?tenant_id={name}{more}")
                self.assert_problem(answer, 403, "tenant_id")
                answers.add(json.dumps(answer[2]))
        self.assertEqual(len(answers), 1, answers)
        self.assert_problem(self.ask(self.acme, "?tenant_id=acme&tenant_id=globex"), 400, "tenant_id")
        self.assert_problem(self.ask(self.acme, "?tenant_id=globex&tenant_id=acme"), 400, "tenant_id")

    def test_an_admin_names_whom_it_reads(self):
        for who in (self.admin, self.both, self.sends_and_rules):
            self.assert_rows(who, "?tenant_id=globex", "globex", 4)
            self.assert_rows(who, "?tenant_id=acme&route=r2", "acme", 2)
            self.assertEqual(self.ask(who, "?tenant_id=nobody")[2]["metrics"], [])
        for who in (self.admin, self.sends_and_rules):
            self.assert_problem(self.ask(who), 400, "tenant_id")
        self.assert_rows(self.both, "", "acme", 5)  # it is a reader too

    def test_who_may_not_read_gets_no_query_as_far_as_the_database(self):
        name = 'streamlens_pg_queries_total{result="ok"}'
        before = self.api.metric(name)
        for query in ("", "?tenant_id=acme", "?tenant_id=globex", "?limit=x"):
            self.assert_problem(self.ask(self.sends, query), 403)
        self.ask(self.acme, "?tenant_id=globex")
        self.assertEqual(self.api.metric(name), before)

    def test_a_bad_credential_gets_the_same_401_whatever_it_asks(self):
        name, answers = 'streamlens_pg_queries_total{result="ok"}', set()
        before = self.api.metric(name)
        for what, credential in self.bad.items():
            for query in ("", "?tenant_id=acme", "?tenant_id=nobody", "?limit=x", "?tenant_id=%zz"):
                status, headers, answer = self.ask(credential, query)
                self.assertEqual(status, 401, f"{what}: {answer}")
                answers.add((headers["WWW-Authenticate"], json.dumps(answer)))
            self.assertEqual(self.ask(credential, method="HEAD")[0], 401)
        self.assertEqual(len(answers), 1, answers)
        self.assertEqual(self.api.metric(name), before)

    def test_a_revoked_key_reads_no_more(self):
        key = add_key(self.stack, "globex", "read")
        self.becomes(self.api, bearer(key), 200, "GET", "/v1/metrics")
        self.stack.sql(f"UPDATE streamlens_key SET revoked_at = now() WHERE key_id = '{id_of(key)}'")
        self.becomes(self.api, bearer(key), 401, "GET", "/v1/metrics")

    def test_health_and_metrics_are_open_and_tell_of_no_tenant(self):
        self.assert_rows(self.acme, "", "acme", 5)
        self.assert_open(self.api, hides=("acme", "globex", self.acme["Authorization"].split("_")[1]))


class DatabaseAway(Case):
    @classmethod
    def setUpClass(cls):
        cls.pg = OwnPostgres(os.path.join(needed("SL_TMP"), "tenancy-own-pg"), int(needed("SL_PORT_BASE")) + 12)
        cls.pg.start()
        cls.addClassCleanup(cls.pg.stop)
        cls.stack = cls.enter_stack(pg_dsn=cls.pg.dsn(), env=ENV)

    def test_ingest_goes_on_and_a_start_waits(self):
        key = bearer(add_key(self.stack, "acme", "ingest", "read"))
        s = self.stack.start("ingest-api")
        self.assertEqual(call(s, "POST", REQUEST, request_event("before"), key)[0], 202)
        self.pg.kill()
        late = {n: self.stack.start(n + "-2", program=n, ready=False) for n in ("ingest-api", "metrics-api")}
        self.goes_on(s, key)
        for service in late.values():
            service.wait_port()
            self.assertEqual([call(service, "GET", p)[0] for p in ("/livez", "/startupz", "/readyz", "/health")],
                             [200, 503, 503, 503])
        status, headers, _ = call(late["ingest-api"], "POST", REQUEST, request_event(), key)
        self.assertEqual(status, 503)
        self.assertGreaterEqual(int(headers["Retry-After"]), 1)
        self.assertEqual(call(late["metrics-api"], "GET", "/v1/metrics", headers=key)[0], 503)
        self.goes_on(s, key)
        self.pg.start_after_kill()
        for service in late.values():
            service.wait_ready()
            self.assertEqual(call(service, "GET", "/startupz")[0], 200)
        self.assertEqual(call(late["ingest-api"], "POST", REQUEST, request_event("after"), key)[0], 202)
        new = bearer(add_key(self.stack, "globex", "ingest"))
        wait_for(lambda: call(s, "POST", REQUEST, request_event("new"), new)[0] == 202, "the new key", 30)

    def goes_on(self, s, key):
        """For ten refreshes that fail."""
        end, n = time.monotonic() + 10 * REFRESH_MS / 1000, 0
        while time.monotonic() < end or n < 10:
            self.assertEqual(call(s, "POST", REQUEST, request_event(f"during-{n}"), key)[0], 202)
            n += 1
        self.assertEqual(call(s, "POST", REQUEST, request_event("forged"), bearer(key_text()))[0], 401)
        self.assertEqual([call(s, "GET", p)[0] for p in ("/livez", "/startupz", "/readyz")], [200, 200, 200])


if __name__ == "__main__":
    unittest.main()
