#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin dead-letters against a real broker. Letters as the processor makes them are in
tests/e2e/test_07_poison.py; here they are made by hand, also such as it never would."""
import base64
import json
import os
import subprocess
import time
import unittest

from stack import Stack

TOPIC = "llm.dead_letter"
MANY = 100000


class DeadLettersTest(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.addCleanup(lambda: self.stack.topic_tool("delete", TOPIC))
        self.stack.topic_tool("create", TOPIC, 1)

    def letter(self, letter_key, value=b"{}", **headers):
        path = os.path.join(self.stack.tmp, self.stack.id + "-letter")
        with open(path, "wb") as f:
            f.write(value)
        command = ["kcat", "-P", "-q", "-b", self.stack.brokers, "-t", self.stack.prefix + TOPIC, "-k", letter_key]
        for name, text in headers.items():
            command += ["-H", name.encode() + b"=" + (text if isinstance(text, bytes) else text.encode())]
        subprocess.run([*command, path], check=True, timeout=30, stdin=subprocess.DEVNULL)

    def run_admin(self, *args, **env):
        return subprocess.run([self.stack.program("admin"), "dead-letters", *args], timeout=60, check=False,
                              env={**self.stack.env, **env}, capture_output=True)

    def text(self, *args):
        r = self.run_admin(*args)
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        return r.stdout.decode()

    def json(self, *args):
        return json.loads(self.text("--json", *args))

    def refused(self, *args, words, code=1, **env):
        r = self.run_admin(*args, **env)
        line = r.stderr.decode()
        self.assertEqual((r.returncode, r.stdout, line.count("\n")), (code, b"", 1), line)
        for word in words:
            self.assertIn(word, line)

    def test_an_empty_topic(self):
        self.assertEqual(self.text(), "REASON  LETTERS\ntotal   0\n")
        self.assertEqual(self.json(), {"letters": [], "counts": [], "repeats": 0, "repeats_told_of": 0,
                                       "listed": 0, "records": 0})

    def test_lists_and_counts(self):
        began = time.time()
        a, b, c = (f"{self.stack.prefix}llm.responses/{n}" for n in ("0/5", "0/6", "1/5"))
        self.letter(a, b'{"request_id":"r1"}', reason="unmatched", key="r1", tenant="acme", detail="no request")
        self.letter(b, b"not json", reason="malformed", detail="not JSON")
        self.letter(a, b'{"request_id":"r1"}', reason="unmatched", key="r1", tenant="acme", detail="no request")
        self.letter(c, b'{"request_id":"r1"}', reason="unmatched", key="r1")
        found = self.json()
        self.assertEqual([x["record"] for x in found["letters"]], [a, b, c])
        self.assertEqual(found["counts"], [{"reason": "unmatched", "letters": 2},
                                           {"reason": "malformed", "letters": 1}])
        self.assertEqual((found["repeats"], found["listed"], found["records"]), (1, 3, 4))
        first = found["letters"][0]
        self.assertLess(abs(time.mktime(time.strptime(first.pop("time")[:19], "%Y-%m-%dT%H:%M:%S"))
                            - time.timezone - began), 60)
        self.assertEqual(first, {
            "record": a, "reason": "unmatched", "tenant_id": "acme", "request_id": "r1",
            "detail": "no request", "value": '{"request_id":"r1"}', "value_cut_from_bytes": None})
        text = self.text()
        self.assertRegex(text, rf"(?m)^{a}  20\S+Z  unmatched\n    tenant      acme\n    request_id  r1\n"
                               r"    detail      no request\n    value       \{\"request_id\":\"r1\"\}\n")
        self.assertTrue(text.endswith("\n\nREASON     LETTERS\nunmatched  2\nmalformed  1\ntotal      3\n"
                                      "1 repeats are left out\n"), text)
        # What was asked for is what is counted.
        self.assertEqual([x["record"] for x in self.json("--reason=malformed")["letters"]], [b])
        self.assertEqual(self.json("--request-id", "r1")["counts"], [{"reason": "unmatched", "letters": 2}])
        self.assertEqual(self.json("--request-id=r1", "--reason=malformed")["letters"], [])
        self.assertEqual(self.text("--reason=nonsense"),
                         "REASON  LETTERS\ntotal   0\nnone of the topic's 4 records match\n")
        # The newest, and all are counted.
        self.assertEqual([x["record"] for x in self.json("--limit=2")["letters"]], [b, c])
        self.assertTrue(self.text("--limit=2").endswith("the newest 2 are listed; --limit=N lists more\n"))
        self.assertNotIn("listed", self.text("--limit=3"))
        self.assertEqual(self.text("--limit=0").count("\n"), 6)

    def test_hostile_bytes_stay_what_they_are(self):
        evil = b"\x1b]0;gone\x07\x1b[2J\xc2\x9b31m\xff\xe2\x80\xae\r\n\\"
        self.letter(evil, evil + b"\x00" + evil, reason=evil, key=evil, tenant=evil, detail=evil)
        self.letter(b"", b"", reason="malformed")
        for args in ([], ["--json"]):
            out = self.run_admin(*args).stdout
            text = out.decode("utf-8")  # strictly
            for c in text:
                self.assertTrue(c == "\n" or c.isprintable(), repr(c))
        self.assertIn(r"\x1b]0;gone\x07\x1b[2J\xc2\x9b31m\xff\xe2\x80\xae\r\n\\", self.text())
        letter = self.json()["letters"][0]
        self.assertEqual(base64.b64decode(letter["value_base64"]), evil + b"\x00" + evil)
        self.assertEqual(base64.b64decode(letter["request_id_base64"]), evil)

    def test_a_topic_with_gaps_ends(self):
        for i in range(3):
            self.letter(f"t/0/{i}", reason="malformed")
        self.stack.topic_tool("delete-records", TOPIC, 0, 2)
        self.assertEqual([x["record"] for x in self.json()["letters"]], ["t/0/2"])
        self.stack.topic_tool("delete-records", TOPIC, 0, 3)
        self.assertEqual(self.json()["records"], 0)

    def test_a_hundred_thousand_in_bounded_memory(self):
        path = os.path.join(self.stack.tmp, self.stack.id + "-many")
        value = base64.b64encode(os.urandom(675)).decode()
        with open(path, "w", encoding="ascii") as f:
            f.writelines(f"llm.requests/0/{i // 2}|{value}\n" for i in range(MANY))
        subprocess.run(["kcat", "-P", "-q", "-b", self.stack.brokers, "-t", self.stack.prefix + TOPIC,
                        "-K", "|", "-z", "lz4", "-X", "queue.buffering.max.messages=200000",
                        "-H", "reason=unmatched", "-l", path], check=True, timeout=60)
        os.unlink(path)
        reader = subprocess.Popen([self.stack.program("admin"), "dead-letters", "--json", f"--limit={MANY}"],
                                  env=self.stack.env, stdout=subprocess.PIPE)
        out = reader.stdout.read()
        _, status, usage = os.wait4(reader.pid, 0)
        reader.returncode = status
        reader.stdout.close()
        self.assertEqual(status, 0)
        found = json.loads(out)
        distinct = MANY // 2
        self.assertEqual((found["listed"], found["records"]), (distinct, MANY))
        self.assertEqual(found["counts"], [{"reason": "unmatched", "letters": distinct}])
        self.assertEqual(found["repeats"], MANY - distinct)
        if "ASAN_OPTIONS" not in os.environ:
            # They are 92 MB, and would take thrice as much if kept. 16 MB are prefetched, 48 in memory.
            self.assertLess(usage.ru_maxrss / 1024, 120)

    def test_refusals(self):
        for limit in ("-1", "x", "", "1000001", "99999999999999999999"):
            self.refused("--limit=" + limit, words=["--limit", f'"{limit}"', "0 to 1000000"], code=2)
        self.refused("extra", words=["extra"], code=2)
        port = int(os.environ.get("SL_PORT_BASE", "21590"))
        began = time.monotonic()
        self.refused(words=["KAFKA_BROKERS", f"127.0.0.1:{port}"], KAFKA_BROKERS=f"127.0.0.1:{port}")
        self.assertLess(time.monotonic() - began, 60)  # it waits 10 s for a broker
        self.refused(words=["nowhere.llm.dead_letter does not exist", "setup"], TOPIC_PREFIX="nowhere.")
        self.stack.topic_tool("grow", TOPIC, 2)
        self.refused(words=[TOPIC + " has 2 partitions; want 1"])


if __name__ == "__main__":
    unittest.main()
