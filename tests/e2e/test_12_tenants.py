# SPDX-License-Identifier: Apache-2.0
"""With authentication a tenant's ids, answers and numbers are its own, whatever others send; a credential that
is not good produces nothing and reads nothing; PostgreSQL away does not stop who was let in before."""
import base64
import collections
import json
import os
import subprocess
import threading
import time
import unittest

from keys import id_of, with_checksum
from own_postgres import OwnPostgres
from stack import Stack, http_call, iso, needed, wait_for

REFRESH_MS = 300
EVENTS_PATH, REQUEST_PATH, RESPONSE_PATH = "/v1/llm/events", "/v1/llm/request", "/v1/llm/response"


def bearer(credential):
    return {"Authorization": "Bearer " + credential}


class Client:
    """Somebody with a credential, and the ledger of what was acknowledged to it."""

    def __init__(self, stack, headers):
        self.stack, self.headers, self.acked = stack, headers, collections.Counter()

    def call(self, service, method, path, body=None, more=None):
        status, answer = http_call(self.stack.services[service].port, method, path, body,
                                   {**self.headers, **(more or {})})
        return status, json.loads(answer) if answer else None

    def post(self, path, event):
        return self.call("ingest-api", "POST", path, json.dumps(event))

    def batch(self, events):
        body = "\n".join(json.dumps(e) for e in events)
        return self.call("ingest-api", "POST", EVENTS_PATH, body, {"Content-Type": "application/x-ndjson"})

    def request(self, id_, **fields):
        self.sent("requests", REQUEST_PATH, {"request_id": id_, "route": "/chat", "model": "m",
                                             "timestamp": iso(time.time()), "prompt_tokens": 1, **fields})

    def response(self, id_, **fields):
        self.sent("responses", RESPONSE_PATH, {"request_id": id_, "timestamp": iso(time.time()), "latency_ms": 10,
                                               **fields})

    def sent(self, kind, path, event):
        status, answer = self.post(path, event)
        assert status == 202, (status, answer)
        self.acked[kind] += 1

    def read(self, query=""):
        return self.call("metrics-api", "GET", "/v1/metrics?limit=10000" + query)

    def rows(self, query=""):
        status, answer = self.read(query)
        assert status == 200, (status, answer)
        return answer["metrics"]

    def totals(self, query=""):
        totals = collections.Counter()
        for row in self.rows(query):
            for name in ("requests", "responses", "unanswered", "errors", "prompt_tokens", "completion_tokens"):
                totals[name] += row[name]
        return totals


def dead_letters(stack):
    """(reason, tenant header, key, value) of each, repeats once."""
    letters = {}
    for record in stack.consume("llm.dead_letter"):
        pairs = record["headers"]
        headers = dict(zip(pairs[::2], pairs[1::2]))
        letters[record["key"]] = (headers["reason"], headers.get("tenant"), headers.get("key"), record["payload"])
    return list(letters.values())


class WithKeys(unittest.TestCase):
    ENV = {"AUTH": "key", "AUTH_REFRESH_MS": str(REFRESH_MS), "AUTH_FAILURES_PER_MINUTE": "1000000"}

    def stack(self, **env):
        s = Stack(partitions=3, env={**self.ENV, **env})
        s.__enter__()
        self.addCleanup(s.__exit__)
        return s

    def clients(self, s):
        return [Client(s, bearer(s.key(f"--tenant={t}", "--scope=ingest,read"))) for t in ("acme", "globex")]

    def test_the_same_ids_of_two_tenants_are_counted_whole(self):
        s, n = self.stack(), 60
        acme, globex = self.clients(s)
        s.start_all()
        processor = s.services["processor"]
        for i in range(n):  # the answers of these come first, and wait
            acme.response(f"id-{i}", completion_tokens=3)
            globex.response(f"id-{i}", completion_tokens=5, error="broken")
        wait_for(lambda: processor.metric('streamlens_processor_waiting{kind="responses"}') == 2 * n, "waiting answers")
        for i in range(2 * n):
            order = (acme, globex) if i % 4 < 2 else (globex, acme)
            for client in order:
                # Byte for byte the same request of both.
                client.request(f"id-{i}", timestamp=iso(int(time.time()) // 60 * 60))
            if i >= n:
                acme.response(f"id-{i}", completion_tokens=3)
                globex.response(f"id-{i}", completion_tokens=5, error="broken")
        for client, tokens, errors in ((acme, 3, 0), (globex, 5, 2 * n)):
            want = {"requests": 2 * n, "responses": 2 * n, "errors": errors, "completion_tokens": tokens * 2 * n,
                    "prompt_tokens": 2 * n, "unanswered": 0}
            wait_for(lambda: client.totals()["responses"] >= 2 * n, f"{want}; last {client.totals()}")
            self.assertEqual(client.totals(), want)
            self.assertEqual(client.acked, {"requests": 2 * n, "responses": 2 * n})
        self.assertEqual(dead_letters(s), [])
        self.assertEqual(processor.metric("streamlens_processor_waiting{kind=\"responses\"}"), 0)

    def test_nobody_answers_or_hides_the_request_of_another(self):
        s = self.stack(JOIN_SKEW_MS="1000")  # what nothing matches is given up after this time
        acme, globex = self.clients(s)
        s.start_all()
        acme.request("open", prompt_tokens=100)
        globex.response("open", completion_tokens=1000, error="not yours")
        # The other way round: the id is taken before its owner comes.
        globex.request("mine", prompt_tokens=7)
        globex.response("mine", completion_tokens=8)
        globex.response("first", error="a guess")
        acme.request("mine", prompt_tokens=100)
        acme.request("first", prompt_tokens=100)
        for id_ in ("open", "mine", "first"):
            acme.response(id_, completion_tokens=10)
        wait_for(lambda: acme.totals()["responses"] == 3, "the answers")
        wait_for(lambda: len(dead_letters(s)) == 2, "the unmatched answers")
        self.assertEqual(acme.totals(), {"requests": 3, "responses": 3, "prompt_tokens": 300, "completion_tokens": 30,
                                         "errors": 0, "unanswered": 0})
        self.assertEqual(globex.totals(), {"requests": 1, "responses": 1, "prompt_tokens": 7, "completion_tokens": 8,
                                           "errors": 0, "unanswered": 0})
        letters = dead_letters(s)
        self.assertEqual({letter[:3] for letter in letters},
                         {("unmatched", "globex", "open"), ("unmatched", "globex", "first")})
        for client, tenant in ((acme, "acme"), (globex, "globex")):
            totals = client.totals()
            self.assertEqual(client.acked["requests"], totals["requests"])
            self.assertEqual(client.acked["responses"],
                             totals["responses"] + sum(letter[1] == tenant for letter in letters))

    def test_an_event_that_names_another_tenant_is_refused_alone(self):
        s = self.stack()
        acme, globex = self.clients(s)
        s.start("ingest-api")
        now = iso(time.time())
        request = {"type": "request", "request_id": "r", "route": "/r", "model": "m", "timestamp": now}
        response = {"type": "response", "request_id": "r", "timestamp": now}
        for path, event in ((REQUEST_PATH, request), (RESPONSE_PATH, response)):
            status, answer = acme.post(path, {**event, "tenant_id": "globex"})
            self.assertEqual((status, answer["field"]), (403, "tenant_id"), answer)
        self.assertEqual(s.consume("llm.requests") + s.consume("llm.responses"), [])
        status, answer = acme.batch([
            {**request, "request_id": "none"}, {**request, "request_id": "forged", "tenant_id": "globex"},
            {**request, "request_id": "own", "tenant_id": "acme"}, {**response, "request_id": "none"},
            {**response, "request_id": "forged", "tenant_id": "globex"}])
        self.assertEqual((status, answer["accepted"], answer["rejected"]), (202, 3, 2), answer)
        self.assertEqual([(e["index"], e["field"]) for e in answer["errors"]], [(1, "tenant_id"), (4, "tenant_id")])
        for topic, ids in (("llm.requests", {"none", "own"}), ("llm.responses", {"none"})):
            records = s.consume(topic)
            self.assertEqual({r["key"] for r in records}, ids)
            self.assertEqual([r["headers"] for r in records], [["tenant", "acme"]] * len(ids))
        status, answer = globex.batch([{**request, "tenant_id": "acme"}])
        self.assertEqual((status, answer["accepted"], answer["errors"][0]["field"]), (400, 0, "tenant_id"))
        self.start_rest(s)
        wait_for(lambda: acme.totals()["requests"] == 2, "both requests")
        self.assertEqual(globex.rows(), [])

    def start_rest(self, s):
        s.start("processor")
        s.start("metrics-api")

    def test_a_bad_credential_produces_nothing_and_reads_nothing(self):
        s = self.stack()
        good = s.key("--tenant=acme", "--scope=ingest,read")
        reader = s.key("--tenant=acme", "--scope=read", "--name=reader")
        writer = s.key("--tenant=acme", "--scope=ingest", "--name=writer")
        admin = s.key("--scope=admin", "--name=operator")
        expired = s.key("--tenant=acme", "--scope=ingest,read", "--name=expired", "--expires=1d")
        s.sql("UPDATE streamlens_key SET expires_at = now() - interval '1 s' WHERE name = 'expired'")
        revoked = s.key("--tenant=acme", "--scope=ingest,read", "--name=revoked")
        self.assertEqual(s.admin("key", "revoke", id_of(revoked)).returncode, 0)
        s.start("ingest-api")
        s.start("metrics-api")
        Client(s, bearer(good)).request("seen")
        before = s.end_offsets()
        forged = with_checksum(good.rsplit("_", 2)[0] + "_" + "A" * 43)
        unknown = with_checksum("slk_" + "0" * 12 + "_" + good.split("_")[2])
        bad = {"none": {}, "another scheme": {"Authorization": "Basic " + good}, "no scheme": {"Authorization": good},
               "empty": {"Authorization": "Bearer "}, "not a key": bearer("hello"), "half": bearer(good[:40]),
               "a wrong checksum": bearer(good[:-1] + ("0" if good[-1] != "0" else "1")),
               "another secret": bearer(forged), "an unknown id": bearer(unknown), "expired": bearer(expired),
               "revoked": {"X-API-Key": revoked}, "two": {**bearer(good), "X-API-Key": good},
               "a token while only keys count": bearer("eyJhbGciOiJub25lIn0.eyJ0ZW5hbnRfaWQiOiJhY21lIn0.")}
        bodies = set()
        for name, headers in bad.items():
            for status, answer in self.everything(Client(s, headers)):
                self.assertEqual(status, 401, f"{name}: {answer}")
                bodies.add(json.dumps(answer, sort_keys=True))
        self.assertEqual(len(bodies), 1, "a refusal tells what was wrong")
        for key, reading in ((reader, 200), (admin, 400)):  # 400: an operator must name a tenant
            self.assertEqual([status for status, _ in self.everything(Client(s, bearer(key)))], [403] * 3 + [reading])
        self.assertEqual(Client(s, bearer(writer)).read()[0], 403)
        self.assertEqual(s.end_offsets(), before)
        # And the good one, both ways, is still let in.
        for headers in (bearer(good), {"X-API-Key": good}, {"Authorization": "bearer " + good}):
            self.assertEqual([status for status, _ in self.everything(Client(s, headers))], [202, 202, 202, 200])
        self.assertNotEqual(s.end_offsets(), before)
        for service in s.services.values():
            for key in (good, expired, revoked, forged):
                self.assertNotIn(key.split("_")[2], service.log())

    def everything(self, client):
        """What can be asked for with a credential: (status, answer) of each."""
        now = iso(time.time())
        request = {"type": "request", "request_id": "q", "route": "/r", "model": "m", "timestamp": now}
        response = {"type": "response", "request_id": "q", "timestamp": now}
        return [client.post(REQUEST_PATH, request), client.post(RESPONSE_PATH, response),
                client.batch([request, response]), client.read()]

    def test_a_tenant_reads_its_own_rows_and_an_operator_any(self):
        s = self.stack()
        acme, globex = self.clients(s)
        operator = Client(s, bearer(s.key("--scope=admin")))
        s.start_all()
        acme.request("a")
        wait_for(acme.rows, "the row")
        for query in ("", "&tenant_id=acme"):
            self.assertEqual([r["tenant_id"] for r in acme.rows(query)], ["acme"])
        self.assertEqual(globex.rows(), [])
        # Of a tenant that is there and of one that is not the answer is the same.
        there, absent = globex.read("&tenant_id=acme"), globex.read("&tenant_id=nobody")
        self.assertEqual(there[0], 403)
        self.assertEqual(json.dumps(there).replace("acme", "nobody"), json.dumps(absent))
        self.assertEqual([r["tenant_id"] for r in operator.rows("&tenant_id=acme")], ["acme"])
        self.assertEqual(operator.read()[0], 400)

    def test_a_key_counts_and_ceases_to_count_within_the_refresh(self):
        s = self.stack(AUTH_REFRESH_MS="1000")
        s.start("ingest-api")
        s.start("metrics-api")
        key = s.key("--tenant=acme", "--scope=ingest,read")
        client = Client(s, bearer(key))
        for status in (200, 401):
            began = time.monotonic()
            wait_for(lambda: client.read()[0] == status, f"a {status} of metrics-api", 30, every=0.02)
            wait_for(lambda: self.everything(client)[0][0] == {200: 202, 401: 401}[status],
                     f"a {status} of ingest-api", 30, every=0.02)
            took = time.monotonic() - began
            print(f"{status} after {took:.2f} s, refresh 1 s")
            self.assertLess(took, 1 + 30)  # the refresh, and a busy machine's slack
            if status == 200:
                self.assertEqual(s.admin("key", "revoke", id_of(key)).returncode, 0)
        before = s.end_offsets()
        self.assertEqual({status for status, _ in self.everything(client)}, {401})
        self.assertEqual(s.end_offsets(), before)


class WithoutKeys(unittest.TestCase):
    def test_an_id_that_two_tenants_use_is_a_conflict_in_the_dead_letters(self):
        n = 40
        with Stack(partitions=3) as s:
            s.start_all()
            clients = {t: Client(s, {}) for t in ("acme", "globex")}
            for i in range(n):
                order = ("acme", "globex") if i % 2 else ("globex", "acme")
                for tenant in order:
                    clients[tenant].request(f"id-{i}", tenant_id=tenant)
                clients[order[0]].response(f"id-{i}", completion_tokens=1)
                clients[order[1]].request(f"own-{i}", tenant_id=order[1])
            s.wait_totals(requests=2 * n, responses=n, seconds=60)
            letters = wait_for(lambda: len(dead_letters(s)) == n and dead_letters(s), "the conflicts")
            self.assertEqual({(reason, tenant) for reason, tenant, _, _ in letters}, {("id_conflict", None)})
            conflicts = collections.Counter(json.loads(value)["tenant_id"] for *_, value in letters)
            for tenant, client in clients.items():
                self.assertEqual(client.acked["requests"],
                                 client.totals("&tenant_id=" + tenant)["requests"] + conflicts[tenant])
            processor = s.services["processor"]
            self.assertEqual(processor.metric(
                'streamlens_processor_dead_letters_total{reason="id_conflict"}'), n)


class Token(unittest.TestCase):
    def test_a_signed_token_writes_and_reads_its_tenant(self):
        folder = needed("SL_TMP")
        pem, jwks = (os.path.join(folder, f"tenants-{os.getpid()}.{end}") for end in ("pem", "jwks"))
        self.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", pem)
        modulus = self.openssl("rsa", "-in", pem, "-noout", "-modulus").decode().split("=")[1].strip()
        with open(jwks, "w", encoding="ascii") as file:
            json.dump({"keys": [{"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig", "e": "AQAB",
                                 "n": b64(bytes.fromhex(modulus))}]}, file)
        claims = {"iss": "https://issuer.example", "aud": "streamlens", "exp": int(time.time()) + 600,
                  "sub": "app", "tenant_id": "acme", "scope": "ingest read"}
        with Stack(env={"AUTH": "jwt", "JWT_JWKS_FILE": jwks, "JWT_ISSUER": claims["iss"],
                        "JWT_AUDIENCE": "streamlens"}) as s:
            s.start_all()
            client = Client(s, bearer(self.token(pem, claims)))
            client.request("a", prompt_tokens=5)
            client.response("a", completion_tokens=6)
            wait_for(lambda: client.totals()["responses"] == 1, "the answer")
            self.assertEqual([r["tenant_id"] for r in client.rows()], ["acme"])
            before = s.end_offsets()
            for change in ({"aud": "another"}, {"iss": "x"}, {"exp": int(time.time()) - 600}):
                self.refused(s, self.token(pem, {**claims, **change}), 401)
            head, _, signature = client.headers["Authorization"].split(" ")[1].split(".")
            self.refused(s, ".".join((head, b64(json.dumps({**claims, "tenant_id": "globex"}).encode()), signature)), 401)
            self.refused(s, f"{b64(b'{}')}.{b64(json.dumps(claims).encode())}.", 401)
            none = b64(b'{"alg":"none","kid":"k1"}')
            self.refused(s, f"{none}.{b64(json.dumps(claims).encode())}.", 401)
            self.refused(s, self.token(pem, {**claims, "scope": "other"}), 403)
            self.assertEqual(s.end_offsets(), before)

    def refused(self, s, token, status):
        client = Client(s, bearer(token))
        event = {"request_id": "x", "route": "/r", "model": "m", "timestamp": iso(time.time())}
        self.assertEqual(client.post(REQUEST_PATH, event)[0], status)
        self.assertEqual(client.read()[0], status)

    def token(self, pem, claims):
        text = b64(b'{"alg":"RS256","kid":"k1","typ":"JWT"}') + "." + b64(json.dumps(claims).encode())
        return text + "." + b64(self.openssl("dgst", "-sha256", "-sign", pem, stdin=text.encode()))

    def openssl(self, *args, stdin=b""):
        return subprocess.run(["openssl", *args], input=stdin, check=True, timeout=60, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE).stdout


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Away(unittest.TestCase):
    # 40 missed refreshes; a longer absence is no other one. SL_AWAY_SECONDS=60 for the whole minute.
    SECONDS = float(os.environ.get("SL_AWAY_SECONDS", "20"))

    def test_postgresql_away_does_not_stop_authenticated_ingest(self):
        own = OwnPostgres(os.path.join(needed("SL_TMP"), "tenants-postgres"), int(needed("SL_PORT_BASE")) + 70)
        own.start()
        self.addCleanup(own.stop)
        with Stack(pg_dsn=own.dsn(), env={"AUTH": "key", "AUTH_REFRESH_MS": "500"}) as s:
            client = Client(s, bearer(s.key("--tenant=acme", "--scope=ingest,read")))
            bad = Client(s, bearer("slk_unknown"))
            s.start_all()
            stop, failures = threading.Event(), []

            def traffic():
                try:
                    while not stop.wait(0.01):
                        client.request(f"id-{client.acked['requests']}")
                        client.response(f"id-{client.acked['responses']}", completion_tokens=2)
                except Exception as e:  # seen by the test below
                    failures.append(e)
            sender = threading.Thread(target=traffic, daemon=True)
            sender.start()
            wait_for(lambda: client.acked["responses"] > 20, "traffic")
            own.kill()
            began, acked = time.monotonic(), client.acked["responses"]
            ingest = s.services["ingest-api"]
            wait_for(lambda: client.read()[0] == 503, "metrics-api without its database")
            wait_for(lambda: time.monotonic() > began + self.SECONDS, "the time away", self.SECONDS + 10)
            self.assertEqual(failures, [])
            during = client.acked["responses"] - acked
            self.assertGreater(during, 20)
            self.assertTrue(ingest.is_ready())
            self.assertEqual(bad.post(REQUEST_PATH, {})[0], 401)
            own.start_after_kill()
            stop.set()
            sender.join(30)
            self.assertEqual(failures, [])
            print(f"{during} pairs taken in {self.SECONDS:.0f} s without PostgreSQL")
            n, processor = client.acked["responses"], s.services["processor"]
            wait_for(lambda: s.services["metrics-api"].is_ready(), "metrics-api back", 60)
            wait_for(lambda: "flushing again" in processor.log(), "a flush", 60)
            # A database that was away is no slow one: flushes do not become rarer by twice its absence.
            s.wait_totals(requests=n, responses=n, completion_tokens=2 * n, seconds=1.5 * self.SECONDS)
            # Keys are read again: one that is made now is let in.
            late = Client(s, bearer(s.key("--tenant=globex", "--scope=ingest")))
            wait_for(lambda: late.batch([{"type": "request", "request_id": "z", "route": "/r", "model": "m",
                                          "timestamp": iso(time.time())}])[0] == 202, "the new key", 30)


if __name__ == "__main__":
    unittest.main()
