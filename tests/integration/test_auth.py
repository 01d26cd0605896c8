# SPDX-License-Identifier: Apache-2.0
"""common/io/auth over HTTP (support/auth_test_server.c): API keys in a real database, and tokens that
openssl signed. What the services make of it stands in test_tenancy.py."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
import unittest

from keys import add_key, id_of, key_text
from stack import Service, Stack, needed, wait_for
from tokens import Key, b64, b64_json, hmac_token, write_jwks

PROGRAM = "tests/integration/auth_test_server"
ISSUER, AUDIENCE = "https://issuer.example", "streamlens"
ALGORITHMS = [family + bits for family in ("RS", "PS", "ES", "HS") for bits in ("256", "384", "512")]
CHECKS = "streamlens_auth_checks_total"
INGEST, READ, ADMIN = 1, 2, 4


def environment(folder, **settings):
    env = {"PATH": os.environ["PATH"], "HTTP_PORT": "0", "LOG_FORMAT": "json", "AUTH_REFRESH_MS": "50",
           "AUTH_FAILURES_PER_MINUTE": "1000000", "JWT_JWKS_FILE": os.path.join(folder, "jwks.json"),
           "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE, **settings}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    return env


def call(service, path="/any", headers=(), address="127.0.0.1"):
    """(status, headers, body as JSON); headers is a list of pairs, a name may come twice."""
    c = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30, source_address=(address, 0))
    try:
        c.putrequest("GET", path)
        for name, value in headers:
            c.putheader(name, value)
        c.endheaders()
        r = c.getresponse()
        return r.status, dict(r.getheaders()), json.loads(r.read())
    finally:
        c.close()


def bearer(text):
    return [("Authorization", "Bearer " + text)]


def claims(**changes):
    c = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 3600, "tenant_id": "acme", "sub": "app",
         "scope": "ingest read", **changes}
    return {name: value for name, value in c.items() if value is not None}


class Case(unittest.TestCase):
    folder = None

    @classmethod
    def setUpClass(cls):
        cls.folder = os.path.join(needed("SL_TMP"), cls.__name__)
        shutil.rmtree(cls.folder, ignore_errors=True)
        os.makedirs(cls.folder)

    @classmethod
    def start(cls, wait_ready=True, **settings):
        program = os.path.join(needed("SL_BUILD"), PROGRAM)
        log = os.path.join(cls.folder, "server.log")
        s = Service("auth-test-server", program, environment(cls.folder, **settings), log)
        s.wait_port()
        if wait_ready:
            s.wait_ready()
        return s

    def server(self, **settings):
        s = self.start(**settings)
        self.addCleanup(self.end, s)
        return s

    @classmethod
    def end(cls, service):
        assert service.terminate() == 0, service.log()

    def status(self, service, text, path="/any"):
        return call(service, path, bearer(text))[0]

    def assert_refused(self, service, text):
        before = service.metric(CHECKS + '{result="refused"}')
        status, headers, body = call(service, "/any", bearer(text))
        self.assertEqual(status, 401, body)
        self.assertEqual(headers["WWW-Authenticate"], 'Bearer realm="streamlens"')
        self.assertEqual(headers["Content-Type"], "application/problem+json")
        self.assertEqual(service.metric(CHECKS + '{result="refused"}'), before + 1)
        return body


class Open(Case):
    def test_without_authentication_nobody_is_asked(self):
        s = self.server(AUTH="none")
        for headers in ([], bearer("nonsense"), [("X-API-Key", "a"), ("X-API-Key", "b")]):
            status, _, who = call(s, "/admin", headers)
            self.assertEqual((status, who["authenticated"], who["tenant"], who["scopes"]), (200, False, None, 0))


class Tokens(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = {alg: Key(cls.folder, "k-" + alg, alg) for alg in ALGORITHMS}
        cls.jwks = os.path.join(cls.folder, "jwks.json")
        write_jwks(cls.jwks, [k.jwk() for k in cls.keys.values()])
        cls.service = cls.start(AUTH="jwt")
        cls.addClassCleanup(cls.end, cls.service)

    def test_every_algorithm_lets_its_own_tokens_in(self):
        for alg, key in self.keys.items():
            with self.subTest(alg):
                status, _, who = call(self.service, "/read", bearer(key.token(claims(sub=alg))))
                self.assertEqual((status, who), (200, {
                    "authenticated": True, "scopes": INGEST | READ, "events_per_second": 0,
                    "tenant": "acme", "id": alg}))

    def test_a_token_of_one_key_is_not_one_of_another(self):
        for alg, key in self.keys.items():
            for other in self.keys.values():
                if other is key:
                    continue
                with self.subTest(f"signed with {alg} as {other.alg}"):
                    self.assert_refused(self.service, key.token(claims(), {"kid": other.kid}))
                    self.assert_refused(self.service, key.token(claims(), {"kid": other.kid, "alg": other.alg}))

    def test_a_public_key_is_no_secret(self):
        rsa = self.keys["RS256"]
        modulus = bytes.fromhex(subprocess.run(
            ["openssl", "rsa", "-in", rsa.path, "-noout", "-modulus"], capture_output=True, text=True,
            check=True).stdout.strip().partition("=")[2])
        for secret in (rsa.public_pem(), rsa.public_pem().strip(), modulus, b""):
            for kid in (rsa.kid, None, self.keys["HS256"].kid):
                header = {"alg": "HS256", "kid": kid} if kid else {"alg": "HS256"}
                self.assert_refused(self.service, hmac_token(secret, claims(), header))

    def test_no_signature_is_none(self):
        for alg in ("none", "None", "NONE", "", "RS256", "HS256", "ES256", None):
            for kid in (None, "k-RS256", "k-HS256", "k-ES256"):
                header = {name: v for name, v in (("alg", alg), ("kid", kid)) if v is not None}
                text = b64_json(header) + "." + b64_json(claims())
                for signature in ("", ".", ".A", ".AA", "." + b64(bytes(64)), "." + b64(bytes(256))):
                    self.assert_refused(self.service, text + signature)

    def test_signatures_of_another_length_or_form_are_refused(self):
        for alg, key in self.keys.items():
            text, _, signature = key.token(claims()).rpartition(".")
            raw = key.sign(text.encode())
            for wrong in (raw[:-1], raw + b"\0", b"\0" + raw, raw * 2, raw[:len(raw) // 2], bytes(len(raw)),
                          raw[:-1] + bytes([raw[-1] ^ 1])):
                self.assert_refused(self.service, f"{text}.{b64(wrong)}")
            for wrong in (signature + "=", signature + "==", "=" + signature[1:], signature[:1] + "=" + signature[2:],
                          signature + ".", signature + "." + signature, signature[:-1] + "+"):
                self.assert_refused(self.service, f"{text}.{wrong}")
        der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.keys["ES256"].path],
                             input=text.encode(), capture_output=True, check=True).stdout
        self.assert_refused(self.service, f"{text}.{b64(der)}")

    def test_claims_that_do_not_hold(self):
        now = int(time.time())
        twice = json.dumps(claims(tenant_id="other"))[:-1].encode() + b', "tenant_id": "acme"}'
        exp_twice = json.dumps(claims(exp=1))[:-1].encode() + b', "exp": %d}' % (now + 999)
        wrong = {
            "expired": claims(exp=now - 31), "long expired": claims(exp=1), "not yet": claims(nbf=now + 3600),
            "no exp": claims(exp=None), "text exp": claims(exp=str(now + 99)), "no iss": claims(iss=None),
            "other iss": claims(iss=ISSUER + "/"), "no aud": claims(aud=None), "other aud": claims(aud="grafana"),
            "other auds": claims(aud=["grafana", AUDIENCE + "2"]), "no tenant": claims(tenant_id=None),
            "no tenant, not admin alone": claims(tenant_id=None, scope="admin read"), "empty tenant":
            claims(tenant_id=""), "tenant with control": claims(tenant_id="a\n"), "long tenant":
            claims(tenant_id="x" * 256), "tenant is a number": claims(tenant_id=1), "tenant twice": twice,
            "exp twice": exp_twice, "no object": b"[1]", "empty": b"", "no JSON": b"{", "more": b"{} {}",
        }
        for key in (self.keys["RS256"], self.keys["HS256"]):
            for what, body in wrong.items():
                with self.subTest(what, key=key.kid):
                    self.assert_refused(self.service, key.token(body))

    def test_claims_that_hold(self):
        key = self.keys["ES256"]
        now = int(time.time())
        right = {
            "aud is a list": claims(aud=["x", AUDIENCE]), "nbf passed": claims(nbf=now - 1),
            "leeway of nbf": claims(nbf=now + 20), "exp with a fraction": claims(exp=now + 99.5),
            "long tenant": claims(tenant_id="x" * 255), "scope is a list": claims(scope=["ingest", "openid"]),
            "no sub": claims(sub=None),
        }
        for what, body in right.items():
            with self.subTest(what):
                status, _, who = call(self.service, "/any", bearer(key.token(body)))
                self.assertEqual((status, who.get("tenant")), (200, body["tenant_id"]))
        status, _, who = call(self.service, "/admin", bearer(key.token(claims(tenant_id=None, scope="admin"))))
        self.assertEqual((status, who["tenant"], who["scopes"]), (200, None, ADMIN))

    def test_headers_that_do_not_hold(self):
        key = self.keys["RS256"]
        for header in ({"alg": "RS512"}, {"alg": "RS384"}, {"alg": "PS256"}, {"alg": "none"}, {"alg": None},
                       {"alg": ["RS256"]}, {"kid": None}, {"kid": "unknown"}, {"kid": 7}, {"kid": "k-RS25"},
                       {"crit": ["exp"]}, {"crit": []}, b"[]", b"", b'{"alg":"RS256","kid":"k-RS256","kid":"k-RS256"}'):
            with self.subTest(header=header):
                self.assert_refused(self.service, key.token(claims(), header))
        # A key that the token brings along is not looked at.
        own = Key(self.folder, "own", "RS256")
        self.assert_refused(self.service, own.token(claims(), {"kid": "k-RS256", "jwk": own.jwk()}))
        self.assert_refused(self.service, own.token(claims(), {"jwk": own.jwk(), "jku": "http://127.0.0.1/"}))

    def test_the_right_key_with_another_algorithm_is_refused(self):
        for key in self.keys.values():
            for alg in ALGORITHMS:
                if alg == key.alg or alg[:2] not in {"RS": ("RS", "PS"), "PS": ("RS", "PS"), "HS": ("HS",),
                                                     "ES": ()}[key.alg[:2]]:
                    continue
                with self.subTest(f"key of {key.alg}, token of {alg}"):
                    self.assert_refused(self.service, key.token(claims(), {"alg": alg}, alg))
                    self.assert_refused(self.service, key.token(claims(), None, alg))

    def test_a_changed_token_is_refused(self):
        token = self.keys["RS256"].token(claims())
        head, _, signature = token.split(".")
        self.assertEqual(self.status(self.service, token), 200)
        self.assert_refused(self.service, f"{head}.{b64_json(claims(tenant_id='other'))}.{signature}")
        self.assert_refused(self.service, f"{head}.{b64_json(claims(scope='admin'))}.{signature}")

    def test_the_scope_decides_what_is_allowed(self):
        for scope, path, want in (("ingest", "/ingest", 200), ("ingest", "/read", 403), ("read", "/read", 200),
                                  ("read", "/admin", 403), ("admin", "/admin", 200), ("admin", "/ingest", 403),
                                  ("", "/any", 403), ("openid", "/any", 403)):
            token = self.keys["HS256"].token(claims(scope=scope))
            status, _, body = call(self.service, path, bearer(token))
            self.assertEqual(status, want, (scope, path, body))
            if status == 403:
                self.assertIn(path[1:] if path != "/any" else "ingest", body["detail"])

    def test_a_token_stands_in_one_field_once(self):
        token = self.keys["ES256"].token(claims())
        good = ([("authorization", "bearer " + token)], [("X-API-Key", token)], [("AUTHORIZATION", "BEARER  " + token)])
        for headers in good:
            self.assertEqual(call(self.service, "/any", headers)[0], 200, headers)
        bad = ([], bearer(token) * 2, bearer(token) + [("X-API-Key", token)], [("X-API-Key", token)] * 2,
               bearer(token + " " + token), bearer(token + "," + token), [("Authorization", token)],
               [("Authorization", "Basic " + token)], bearer(""))
        answers = set()
        for headers in bad:
            status, answer, body = call(self.service, "/any", headers)
            self.assertEqual(status, 401, headers)
            del answer["Date"]
            answers.add(json.dumps([answer, body]))
        for text in ("x", key_text(), token[:-2], self.keys["ES256"].token(claims(exp=1))):
            _, answer, body = call(self.service, "/any", bearer(text))
            del answer["Date"]
            answers.add(json.dumps([answer, body]))
        self.assertEqual(len(answers), 1, answers)  # nothing tells one reason from another

    def test_a_token_has_8_kib_at_most(self):
        key = self.keys["HS256"]
        size = 5900
        while len(key.token(claims(pad="x" * (size + 1)))) <= 8192:
            size += 1
        token = key.token(claims(pad="x" * size))
        self.assertIn(len(token), (8191, 8192))
        self.assertEqual(self.status(self.service, token), 200)
        self.assert_refused(self.service, key.token(claims(pad="x" * (size + 3))))

    def test_the_log_says_why_and_never_shows_a_token(self):
        token = self.keys["HS256"].token(claims(exp=1))
        self.assert_refused(self.service, token)

        def reason():
            self.assert_refused(self.service, token)
            return "the token has expired" in self.service.log()
        wait_for(reason, "a line in the log")
        for part in token.split("."):
            self.assertNotIn(part, self.service.log())

    def test_a_token_seen_before_costs_no_signature(self):
        token = self.keys["RS256"].token(claims(sub="again"))
        cached, checked = ('streamlens_auth_tokens_total{from="%s"}' % f for f in ("cache", "check"))
        before = self.service.metric(cached), self.service.metric(checked)
        for _ in range(5):
            self.assertEqual(call(self.service, "/read", bearer(token))[2]["id"], "again")
        self.assertEqual((self.service.metric(cached), self.service.metric(checked)), (before[0] + 4, before[1] + 1))

    def test_a_token_seen_before_expires_all_the_same(self):
        key = self.keys["HS256"]
        for margin in (2, 10, 30):  # a busy machine may need the later ones
            token = key.token(claims(exp=int(time.time()) - 30 + margin))
            if self.status(self.service, token) == 200:
                wait_for(lambda: self.status(self.service, token) == 401, "an end of the token", margin + 20, 0.2)
                return
        self.fail("no token was good before it expired")


class Rotation(Case):
    def setUp(self):
        self.jwks = os.path.join(self.folder, "jwks.json")
        self.old, self.new = Key(self.folder, "old", "ES256"), Key(self.folder, "new", "RS256")
        write_jwks(self.jwks, [self.old.jwk()])

    def failed(self, service):
        return service.metric('streamlens_auth_jwks_readings_total{result="failed"}')

    def test_keys_change_while_the_service_runs(self):
        s = self.server(AUTH="jwt")
        old, new = self.old.token(claims()), self.new.token(claims())
        self.assertEqual([self.status(s, old), self.status(s, new)], [200, 401])
        write_jwks(self.jwks, [self.old.jwk(), self.new.jwk()])
        wait_for(lambda: self.status(s, new) == 200, "the new key")
        self.assertEqual(self.status(s, old), 200)
        write_jwks(self.jwks, [self.new.jwk()])
        wait_for(lambda: self.status(s, old) == 401, "an end of the old key, its token remembered")
        self.assertEqual(self.status(s, new), 200)
        self.assertEqual(s.metric("streamlens_auth_jwks_keys"), 1)

    def test_the_same_kid_may_get_another_key(self):
        s = self.server(AUTH="jwt")
        token = self.old.token(claims())
        self.assertEqual(self.status(s, token), 200)
        another = Key(self.folder, "old", "ES256")
        write_jwks(self.jwks, [another.jwk()])
        wait_for(lambda: self.status(s, token) == 401, "an end of the old key")
        self.assertEqual(self.status(s, another.token(claims())), 200)

    def test_a_file_of_no_use_leaves_the_keys(self):
        s = self.server(AUTH="jwt")
        token = self.old.token(claims())
        for break_it in (lambda: write_jwks(self.jwks, b'{"keys": ['), lambda: os.unlink(self.jwks),
                         lambda: write_jwks(self.jwks, [self.new.jwk(alg=None)]),
                         lambda: write_jwks(self.jwks, [])):
            before = self.failed(s)
            break_it()
            wait_for(lambda: self.failed(s) >= before + 2, "failed readings")  # pylint: disable=W0640
            self.assertEqual(self.status(s, token), 200)
            self.assertEqual(self.status(s, self.old.token(claims(sub="fresh"))), 200)
            self.assertEqual(s.get("/readyz")[0], 200)
        lines = [line for line in s.log().splitlines() if "JWT_JWKS_FILE cannot be used" in line]
        self.assertEqual(len(lines), 4)  # each once, however often it was read
        write_jwks(self.jwks, [self.new.jwk()])
        wait_for(lambda: self.status(s, self.new.token(claims())) == 200, "the new key")
        self.assertEqual(self.status(s, token), 401)

    def test_the_only_key_needs_no_kid_in_the_token(self):
        s = self.server(AUTH="jwt")
        token = self.old.token(claims(), {"kid": None})
        self.assertEqual(self.status(s, token), 200)
        write_jwks(self.jwks, [self.old.jwk(), self.new.jwk()])
        wait_for(lambda: self.status(s, token) == 401, "two keys")

    def test_keys_for_encryption_are_passed_over(self):
        write_jwks(self.jwks, [self.new.jwk(use="enc", alg="RSA-OAEP"), self.old.jwk(use="sig")])
        s = self.server(AUTH="jwt")
        self.assertEqual(s.metric("streamlens_auth_jwks_keys"), 1)
        self.assert_refused(s, self.new.token(claims()))


class Files(Case):
    """What a JWKS must not hold, and how the program says so before it ends."""

    def setUp(self):
        self.jwks = os.path.join(self.folder, "jwks.json")
        for name in (self.jwks, self.jwks + ".new"):
            if os.path.lexists(name):
                os.rmdir(name) if os.path.isdir(name) else os.unlink(name)

    def refused(self, *words):
        program = os.path.join(needed("SL_BUILD"), PROGRAM)
        r = subprocess.run([program], env=environment(self.folder, AUTH="jwt"), capture_output=True, text=True,
                           timeout=60, check=False)
        self.assertEqual(r.returncode, 1, r.stderr)
        line = json.loads(r.stderr.strip().splitlines()[-1])
        self.assertEqual(line["setting"], "JWT_JWKS_FILE")
        for word in (self.jwks, *words):
            self.assertIn(word, line["error"])
        return line["error"]

    def test_what_is_no_key_set_is_refused(self):
        for text, word in ((b"", "JSON"), (b"{", "JSON"), (b"[]", "keys"), (b"{}", "keys"), (b'{"keys":{}}', "keys"),
                           (b'{"keys":[]}', "no key"), (b'{"keys":[1]}', "key 1"), (b'{"keys":[{}]}', "kid"),
                           (b'{"keys":[],"keys":[]}', "line 1"), (b" " * (1 << 20) + b"{}", "bytes")):
            with self.subTest(text[:20]):
                write_jwks(self.jwks, text)
                self.refused(word)

    def test_keys_that_do_not_fit_are_refused_by_kid(self):
        rsa, ec, oct_ = (Key(self.folder, "the " + alg, alg) for alg in ("RS256", "ES256", "HS512"))
        short_rsa = Key(self.folder, "short", "RS256", bits=1024)
        p384 = Key(self.folder, "p384", "ES384")
        wrong = [
            (rsa, {"alg": None}, "alg"), (rsa, {"alg": "none"}, "alg"), (rsa, {"alg": "RSA-OAEP"}, "alg"),
            (rsa, {"alg": "HS256"}, "oct"), (rsa, {"alg": "ES256"}, "EC"), (rsa, {"kty": None}, "kty"),
            (rsa, {"alg": 7}, "alg"), (rsa, {"d": "AQAB"}, "private"), (rsa, {"p": "AQAB"}, "private"),
            (rsa, {"oth": []}, "private"), (rsa, {"n": None}, '"n"'), (rsa, {"n": ""}, '"n"'),
            (rsa, {"n": "A=AA" * 90}, '"n"'), (rsa, {"n": "A" * 400}, "bits"), (rsa, {"e": "AQ"}, '"e"'),
            (rsa, {"e": "Ag"}, '"e"'), (rsa, {"e": "AA"}, '"e"'), (rsa, {"e": "AAAAAAAAAAAB"}, '"e"'),
            (rsa, {"e": "AQAAAAAAAAAB"}, '"e"'), (rsa, {"n": "_" * 1367}, "bits"), (short_rsa, {}, "2048"),
            (ec, {"crv": None}, "crv"), (ec, {"crv": "P-384"}, "P-256"), (ec, {"alg": "ES384"}, "P-384"),
            (ec, {"alg": "HS256"}, "oct"), (ec, {"x": None}, '"x"'), (ec, {"x": ec.jwk()["y"]}, "numbers"),
            (ec, {"y": "A" * 42}, '"y"'), (ec, {"x": "=" + ec.jwk()["x"][1:]}, '"x"'), (ec, {"d": "AA"}, "private"),
            (p384, {"alg": "ES256"}, "P-256"), (oct_, {"alg": "RS256"}, "RSA"), (oct_, {"k": None}, '"k"'),
            (oct_, {"k": b64(bytes(63))}, "64 or more"), (oct_, {"k": ""}, '"k"'),
        ]
        for key, change, word in wrong:
            with self.subTest(key.kid, **{k: str(v)[:20] for k, v in change.items()}):
                write_jwks(self.jwks, [key.jwk(**change)])
                self.refused(f'"{key.kid}"', word)
        write_jwks(self.jwks, [ec.jwk(), rsa.jwk(kid="the ES256")])
        self.refused('"the ES256"', "twice")
        for kid in (None, "", 7, "x" * 256):
            write_jwks(self.jwks, [ec.jwk(), rsa.jwk(kid=kid)])
            self.refused("key 2", "kid")

    def test_the_set_has_64_keys_at_most(self):
        ec = Key(self.folder, "k", "ES256")
        write_jwks(self.jwks, [ec.jwk(kid=str(i)) for i in range(65)])
        self.refused("64")
        write_jwks(self.jwks, [ec.jwk(kid=str(i)) for i in range(64)])
        s = self.server(AUTH="jwt")
        self.assertEqual(self.status(s, ec.token(claims(), {"kid": "63"})), 200)

    def test_others_may_neither_read_secrets_nor_write_keys(self):
        secret, public = Key(self.folder, "s", "HS256"), Key(self.folder, "p", "ES256")
        for mode in (0o644, 0o604, 0o606):
            write_jwks(self.jwks, [public.jwk(), secret.jwk()], mode)
            self.refused("chmod")
        for mode in (0o646, 0o666, 0o602):
            write_jwks(self.jwks, [public.jwk()], mode)
            self.refused("chmod")
        write_jwks(self.jwks, [public.jwk()], 0o644)
        self.end(self.start(AUTH="jwt"))
        write_jwks(self.jwks, [secret.jwk()], 0o640)
        self.end(self.start(AUTH="jwt"))

    def test_what_is_no_file_is_refused(self):
        self.refused("No such file")
        os.mkdir(self.jwks)
        self.refused("regular")
        os.rmdir(self.jwks)
        os.mkfifo(self.jwks)
        self.refused("regular")


class Failures(Case):
    def test_an_address_fails_so_often_and_good_credentials_get_through(self):
        key = Key(self.folder, "k", "ES256")
        write_jwks(os.path.join(self.folder, "jwks.json"), [key.jwk()])
        # Two a minute: one is given back after 30 s, which is long after the test.
        s = self.server(AUTH="jwt", AUTH_FAILURES_PER_MINUTE="2")
        good = key.token(claims())
        self.assertEqual(self.status(s, good), 200)
        for _ in range(5):
            self.assertEqual(call(s)[0], 401)  # nothing shown: nothing counted
        self.assertEqual([self.status(s, "bad") for _ in range(3)], [401, 401, 429])
        status, headers, body = call(s, "/any", bearer(key.token(claims(exp=1))))
        self.assertEqual(status, 429)
        self.assertIn(int(headers["Retry-After"]), range(1, 31))
        self.assertEqual(body["status"], 429)
        self.assertEqual(self.status(s, good), 200)
        fresh = key.token(claims(sub="fresh"))
        wait_for(lambda: self.status(s, fresh) == 200, "its turn")
        self.assertEqual(call(s, "/admin", bearer(good))[0], 403)
        self.assertEqual(call(s)[0], 401)
        self.assertEqual(call(s, "/any", bearer("bad"), "127.0.0.9")[0], 401)
        before = s.metric(CHECKS + '{result="refused_over_limit"}')
        self.assertEqual(self.status(s, "bad"), 429)
        self.assertEqual(s.metric(CHECKS + '{result="refused_over_limit"}'), before + 1)

    def test_forged_tokens_of_an_address_over_its_limit_get_a_share_of_the_time(self):
        key = Key(self.folder, "k", "ES384")  # the signature that takes longest
        write_jwks(os.path.join(self.folder, "jwks.json"), [key.jwk()])
        s = self.server(AUTH="jwt", AUTH_FAILURES_PER_MINUTE="1")
        good, bursts, depth = key.token(claims()), 20, 16
        self.assertEqual(self.status(s, good), 200)
        _, body, signature = good.split(".")
        forged = [b64_json({"alg": "ES384", "kid": "k", "n": n}) + f".{body}.{signature}"
                  for n in range(bursts * depth)]
        self.assertEqual([self.status(s, "bad"), self.status(s, "bad")], [401, 429])
        checked = 'streamlens_auth_tokens_total{from="check"}'
        before = s.metric(checked)
        with socket.create_connection(("127.0.0.1", s.port), timeout=30) as c:
            for n in range(0, len(forged), depth):
                # In one piece, so that no time passes between them but that which they take.
                c.sendall("".join(f"GET /any HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {text}\r\n\r\n"
                                  for text in forged[n:n + depth]).encode())
                answers = b""
                while answers.count(b"HTTP/1.1 429") < depth:
                    more = c.recv(65536)
                    self.assertTrue(more, answers)
                    answers += more
        checks = s.metric(checked) - before
        self.assertGreater(checks, 0)
        self.assertLess(checks, len(forged) / 2)
        self.assertEqual(self.status(s, good), 200)
        fresh = key.token(claims(sub="fresh"))
        wait_for(lambda: self.status(s, fresh) == 200, "a new good token")


class Keys(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack = Stack().__enter__()
        cls.addClassCleanup(cls.stack.__exit__)

    def key_server(self, auth="key", **settings):
        return self.server(AUTH=auth, POSTGRES_DSN=self.stack.dsn, **settings)

    def last_used(self, key):
        return self.stack.sql(f"SELECT last_used_at FROM streamlens_key WHERE key_id = '{id_of(key)}'")

    def readings(self, service, result="ok"):
        return service.metric('streamlens_auth_key_readings_total{result="%s"}' % result)

    def wait_readings(self, service, more=2):
        """So many begun after now: what was committed before is known then."""
        before = self.readings(service)
        wait_for(lambda: self.readings(service) >= before + more, "readings of the keys")

    def database_away(self, away):
        self.stack.sql(f"ALTER DATABASE {self.stack.id} ALLOW_CONNECTIONS {'false' if away else 'true'}",
                       dsn=self.stack.admin_dsn)
        if away:
            self.stack.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.stack.id}'",
                           dsn=self.stack.admin_dsn)

    def test_a_key_tells_who_asks(self):
        key = add_key(self.stack, "acme", "ingest", "read")
        self.stack.sql(f"UPDATE streamlens_key SET events_per_second = 77 WHERE key_id = '{id_of(key)}'")
        root = add_key(self.stack, "", "admin")
        s = self.key_server()
        for headers in (bearer(key), [("X-API-Key", key)]):
            status, _, who = call(s, "/ingest", headers)
            self.assertEqual((status, who), (200, {
                "authenticated": True, "scopes": INGEST | READ, "events_per_second": 77, "tenant": "acme",
                "id": id_of(key)}))
        self.assertEqual(self.status(s, key, "/admin"), 403)
        status, _, who = call(s, "/admin", bearer(root))
        self.assertEqual((status, who["tenant"], who["scopes"]), (200, None, ADMIN))
        self.assertEqual(self.status(s, root, "/read"), 403)

    def test_keys_of_nobody_are_refused(self):
        key = add_key(self.stack, "acme", "read")
        gone = [add_key(self.stack, "acme", "read", expires="now() - interval '1 us'"),
                add_key(self.stack, "acme", "read", expires="'-infinity'"),
                add_key(self.stack, "acme", "read", revoked="now()"),
                key_text(), key_text(id_of(key)), key[:-1], key + "0", key.lower(), "slk_", "x"]
        s = self.key_server()
        for text in gone:
            self.assert_refused(s, text)
        for expires in ("now() + interval '1 hour'", "'infinity'"):
            text = add_key(self.stack, "acme", "read", expires=expires)
            wait_for(lambda: self.status(s, text) == 200, "the key")  # pylint: disable=W0640

    def test_keys_come_and_go_while_the_service_runs(self):
        s = self.key_server()
        key, other = key_text(), add_key(self.stack, "acme", "read")
        self.assertEqual(self.status(s, key), 401)
        add_key(self.stack, "acme", "read", key=key)
        self.wait_readings(s)
        self.assertEqual(self.status(s, key), 200)
        self.stack.sql(f"UPDATE streamlens_key SET revoked_at = now() WHERE key_id = '{id_of(key)}'")
        self.wait_readings(s)
        self.assertEqual([self.status(s, key), self.status(s, other)], [401, 200])
        self.stack.sql(f"DELETE FROM streamlens_key WHERE key_id = '{id_of(other)}'")
        self.wait_readings(s)
        self.assertEqual(self.status(s, other), 401)

    def test_a_row_that_is_no_key_harms_no_other(self):
        self.stack.sql("INSERT INTO streamlens_key (key_id, key_sha256, tenant_id, name, scopes)"
                       " VALUES ('odd', decode(repeat('00', 32), 'hex'), 'acme', 'odd', '{read}')")
        key = add_key(self.stack, "acme", "read")
        s = self.key_server()
        self.assertEqual(self.status(s, key), 200)
        self.assertEqual(s.metric("streamlens_auth_keys_left_out"), 1)
        self.stack.sql("DELETE FROM streamlens_key WHERE key_id = 'odd'")
        wait_for(lambda: s.metric("streamlens_auth_keys_left_out") == 0, "an end of the odd row")

    def test_a_row_that_was_edited_into_no_key_is_left_out(self):
        # The table lets these through, or did so before somebody took its constraints away.
        edits = ("tenant_id = repeat('t', 256)", "tenant_id = E'a\\nb'", "tenant_id = E'a\\x7f'", "tenant_id = ''",
                 "events_per_second = 0", "events_per_second = -1")
        with Stack() as stack:
            stack.sql("".join(f"ALTER TABLE streamlens_key DROP CONSTRAINT {name};" for name in stack.sql(
                "SELECT conname FROM pg_constraint WHERE conrelid = 'streamlens_key'::regclass AND contype = 'c'"
            ).split()))
            good, root = add_key(stack, "t" * 255, "read"), add_key(stack, "", "admin")
            edited = [add_key(stack, "acme", "read", "ingest") for _ in edits]
            for key, edit in zip(edited, edits):
                stack.sql(f"UPDATE streamlens_key SET {edit} WHERE key_id = '{id_of(key)}'")
            s = self.server(AUTH="key", POSTGRES_DSN=stack.dsn)
            for key, edit in zip(edited, edits):
                with self.subTest(edit):
                    self.assert_refused(s, key)
            self.assertEqual(s.metric("streamlens_auth_keys_left_out"), len(edits))
            self.assertEqual([call(s, "/any", bearer(k))[2]["tenant"] for k in (good, root)], ["t" * 255, None])
            told = [json.loads(line) for line in s.log().splitlines() if "are left out" in line]
            self.assertEqual([(t["first"], t["field"]) for t in told], [(id_of(edited[0]), "tenant_id")])

    def test_a_column_of_another_type_is_read_for_what_it_says(self):
        with Stack() as stack:
            key = add_key(stack, "acme", "read")
            stack.sql("ALTER TABLE streamlens_key ALTER events_per_second TYPE int4, ALTER expires_at TYPE date;"
                      "UPDATE streamlens_key SET events_per_second = 5, expires_at = now() + interval '2 days'")
            s = self.server(AUTH="key", POSTGRES_DSN=stack.dsn)
            self.assertEqual(call(s, "/any", bearer(key))[2]["events_per_second"], 5)

    def test_a_reading_that_failed_is_tried_again_soon(self):
        with Stack() as stack:
            key = add_key(stack, "acme", "read")
            # Reading the view fails, preparing its statements does not: so the connection stays.
            stack.sql("CREATE TABLE good (n int); INSERT INTO good VALUES (0);"
                      "ALTER TABLE streamlens_key RENAME TO real_key; CREATE VIEW streamlens_key AS SELECT key_id,"
                      " key_sha256, tenant_id, scopes, expires_at + (1 / (SELECT n FROM good) - 1) * interval '1 s'"
                      " AS expires_at, events_per_second, revoked_at, last_used_at, created_at FROM real_key")
            s = self.server(AUTH="key", POSTGRES_DSN=stack.dsn, AUTH_REFRESH_MS="3600000", wait_ready=False)
            wait_for(lambda: self.readings(s, "failed") >= 2, "a second failure")
            self.assertEqual(s.get("/readyz")[0], 503)
            stack.sql("UPDATE good SET n = 1")
            wait_for(lambda: self.readings(s) == 1, "a reading")
            self.assertEqual(self.status(s, key), 200)

    def test_a_key_set_that_could_not_be_read_is_tried_again_before_keys_are_read_anew(self):
        token_key = Key(self.folder, "k", "ES256")
        jwks = os.path.join(self.folder, "jwks.json")
        write_jwks(jwks, [token_key.jwk()])
        s = self.key_server("key,jwt", AUTH_REFRESH_MS="3000")
        failed = 'streamlens_auth_jwks_readings_total{result="failed"}'
        write_jwks(jwks, b"{")
        begun = self.readings(s)
        wait_for(lambda: s.metric(failed) >= self.readings(s) - begun + 3, "more looks than refreshes", 60)

    def test_the_last_use_is_written_once_a_minute(self):
        key, unused, later = (add_key(self.stack, "acme", "read") for _ in range(3))
        s = self.key_server()
        writes = 'streamlens_auth_last_used_writes_total{result="%s"}'
        self.assertEqual(self.status(s, key), 200)
        wait_for(lambda: self.last_used(key), "a time of last use")
        self.assertEqual(self.status(s, later), 200)
        self.wait_readings(s, 10)
        self.assertEqual(s.metric(writes % "ok"), 1)
        self.assertEqual([self.last_used(unused), self.last_used(later)], ["", ""])

    def test_a_write_that_failed_is_tried_again(self):
        key = add_key(self.stack, "acme", "read")
        self.stack.sql("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$;"
                       "CREATE TRIGGER no BEFORE UPDATE ON streamlens_key FOR EACH ROW EXECUTE FUNCTION no()")
        s = self.key_server()
        self.assertEqual(self.status(s, key), 200)
        failed = 'streamlens_auth_last_used_writes_total{result="failed"}'
        wait_for(lambda: s.metric(failed) >= 2, "failed writes")
        self.wait_readings(s)  # they go on
        self.assertEqual(s.log().count("last use of API keys cannot be written"), 1)
        self.stack.sql("DROP TRIGGER no ON streamlens_key; DROP FUNCTION no")
        wait_for(lambda: self.last_used(key), "a time of last use, though the key was not used again")

    def test_a_locked_row_holds_up_neither_reading_nor_revocation(self):
        held, other = add_key(self.stack, "acme", "read"), add_key(self.stack, "acme", "read")
        s = self.key_server()
        with self.stack.holding(f"SELECT FROM streamlens_key WHERE key_id = '{id_of(held)}' FOR UPDATE"):
            self.assertEqual([self.status(s, held), self.status(s, other)], [200, 200])
            wait_for(lambda: self.last_used(other), "a time of last use")
            self.assertEqual(self.last_used(held), "")
            self.stack.sql(f"UPDATE streamlens_key SET revoked_at = now() WHERE key_id = '{id_of(other)}'")
            self.wait_readings(s)
            self.assertEqual([self.status(s, held), self.status(s, other)], [200, 401])

    def test_with_the_database_away_the_last_reading_holds(self):
        key = add_key(self.stack, "acme", "read")
        s = self.key_server()
        self.assertEqual(self.status(s, key), 200)
        self.database_away(True)
        try:
            wait_for(lambda: self.readings(s, "failed") >= 3, "failed readings")
            wait_for(lambda: s.metric("streamlens_auth_key_reading_age_seconds") >= 1, "an age of the reading")
            self.assertEqual([self.status(s, key), self.status(s, key_text())], [200, 401])
            self.assertEqual(s.get("/readyz")[0], 200)
            self.assertEqual(s.log().count("API keys cannot be read"), 1)
        finally:
            self.database_away(False)
        new = add_key(self.stack, "acme", "read")
        wait_for(lambda: self.status(s, new) == 200, "a reading after the outage")
        self.assertEqual(s.metric("streamlens_auth_key_reading_age_seconds"), 0)

    def test_before_the_first_reading_nobody_is_judged(self):
        key, token_key = add_key(self.stack, "acme", "read"), Key(self.folder, "k", "ES256")
        write_jwks(os.path.join(self.folder, "jwks.json"), [token_key.jwk()])
        self.database_away(True)
        try:
            s = self.key_server("key,jwt", wait_ready=False)
            for text in (key, key_text(), "slk_x"):
                status, headers, _ = call(s, "/any", bearer(text))
                self.assertEqual((status, headers["Retry-After"]), (503, "1"))
            self.assertEqual(call(s)[0], 401)
            self.assertEqual(self.status(s, token_key.token(claims())), 200)
            status, body = s.get("/readyz")
            self.assertEqual(status, 503)
            self.assertIn("API keys have not been read", json.loads(body)["reason"])
        finally:
            self.database_away(False)
        s.wait_ready()
        self.assertEqual([self.status(s, key), self.status(s, key_text())], [200, 401])

    def test_keys_and_tokens_side_by_side(self):
        key, token_key = add_key(self.stack, "acme", "read"), Key(self.folder, "k", "ES256")
        write_jwks(os.path.join(self.folder, "jwks.json"), [token_key.jwk()])
        s = self.key_server("key,jwt")
        self.assertEqual(call(s, "/read", bearer(key))[2]["id"], id_of(key))
        self.assertEqual(call(s, "/read", bearer(token_key.token(claims())))[2]["id"], "app")
        for text in (key_text(), token_key.token(claims(exp=1)), "x"):
            self.assert_refused(s, text)

    def test_without_the_schema_it_says_what_to_do(self):
        name = self.stack.id + "_empty"
        dsn = self.stack.admin_dsn.rsplit("/", 1)[0] + "/" + name
        self.stack.sql("CREATE DATABASE " + name, dsn=self.stack.admin_dsn)
        self.addCleanup(self.stack.sql, f"DROP DATABASE {name} WITH (FORCE)", dsn=self.stack.admin_dsn)
        s = self.server(AUTH="key", POSTGRES_DSN=dsn, wait_ready=False)
        wait_for(lambda: "streamlens-admin setup" in s.get("/readyz")[1].decode(), "the way out in /readyz")

    def test_the_service_holds_one_connection_under_its_name(self):
        self.key_server()
        self.assertEqual(self.stack.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                        " AND application_name = 'streamlens-auth-test-server-auth'"), "1")


class Start(Case):
    def run_program(self, *args, **env):
        program = os.path.join(needed("SL_BUILD"), PROGRAM)
        settings = {k: v for k, v in {**environment(self.folder), **env}.items() if v is not None}
        return subprocess.run([program, *args], env=settings, capture_output=True, text=True, timeout=60, check=False)

    def test_an_open_door_is_refused_before_it_opens(self):
        for args in ((), ("--check-config",)):
            r = self.run_program(*args, AUTH="none", HTTP_ADDR="0.0.0.0")
            self.assertEqual(r.returncode, 2, r.stderr)
            for word in ("AUTH", "HTTP_ADDR=0.0.0.0", "AUTH=key", "ALLOW_INSECURE=1"):
                self.assertIn(word, r.stderr)
        self.assertEqual(self.run_program("--check-config", AUTH="key", HTTP_ADDR="0.0.0.0").returncode, 0)

    def test_tokens_without_their_settings_are_refused(self):
        for name in ("JWT_JWKS_FILE", "JWT_ISSUER", "JWT_AUDIENCE"):
            r = self.run_program(AUTH="key,jwt", **{name: None})
            self.assertEqual(r.returncode, 2)
            self.assertIn(name + ":", r.stderr)

    def test_a_dsn_of_no_use_is_refused(self):
        r = self.run_program(AUTH="key", POSTGRES_DSN="nonsense")
        self.assertEqual(r.returncode, 1)
        self.assertIn("POSTGRES_DSN", r.stderr)


if __name__ == "__main__":
    unittest.main()
