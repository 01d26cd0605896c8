# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in the topics, the processor goes on: what cannot be read is in the dead letters, with
its reason and its bytes."""
import base64
import json
import time
import unittest

from stack import Stack, iso, wait_for

NOW = time.time()


def request(**fields):
    return json.dumps({"request_id": "p", "tenant_id": "t", "route": "/r", "model": "m",
                       "timestamp": iso(NOW), **fields}).encode()


POISON = [
    # topic, value, reason
    ("llm.requests", b"\x00\xff\xfe garbage", "malformed"),
    ("llm.requests", b"{", "malformed"),
    ("llm.requests", b"[]", "malformed"),
    ("llm.requests", b"null", "malformed"),
    ("llm.requests", b'{"request_id":"x"}', "malformed"),
    ("llm.requests", b"{" * 5000, "malformed"),
    ("llm.requests", b"{}," * 80000, "malformed"),
    ("llm.requests", request(model="a\u0000b"), "malformed"),
    ("llm.requests", request(model="x" * 256), "malformed"),
    ("llm.requests", request(prompt_tokens=-1), "malformed"),
    ("llm.requests", request(timestamp="yesterday"), "malformed"),
    ("llm.requests", b'{"request_id":"d","request_id":"d"}', "malformed"),
    ("llm.requests", request(request_id="no-tenant", tenant_id=None), "missing_tenant"),
    ("llm.requests", request(request_id="old", timestamp=iso(NOW - 8 * 86400)), "time_out_of_range"),
    ("llm.requests", request(request_id="future", timestamp=iso(NOW + 2 * 3600)), "time_out_of_range"),
    ("llm.requests", request(request_id="9999", timestamp="9999-12-31T23:59:59Z"), "time_out_of_range"),
    ("llm.responses", b"\xf0\x28\x8c\x28", "malformed"),
    ("llm.responses", b'{"request_id":"y","timestamp":1e400}', "malformed"),
    ("llm.responses", json.dumps({"request_id": "z", "timestamp": iso(NOW), "latency_ms": "fast"}).encode(),
     "malformed"),
]


class Poison(unittest.TestCase):
    def test_poison_in_both_topics(self):
        with Stack() as s:
            s.start_all()
            for n, (topic, value, _) in enumerate(POISON):
                s.produce(topic, value, key=f"k{n}")
            s.request("good", prompt_tokens=1)
            s.response("good")
            s.wait_totals(requests=1, responses=1)
            letters = wait_for(lambda: len(s.consume("llm.dead_letter")) >= len(POISON)
                               and s.consume("llm.dead_letter"), "all dead letters")
            self.assertEqual(len(letters), len(POISON))
            got = {}
            for letter in letters:
                h = dict(zip(letter["headers"][::2], letter["headers"][1::2]))
                self.assertEqual(letter["key"], f'{h["topic"]}/{h["partition"]}/{h["offset"]}')
                got[h["key"]] = (h["topic"].removeprefix(s.prefix), h["reason"], h.get("detail", ""))
            for n, (topic, _, reason) in enumerate(POISON):
                self.assertEqual(got[f"k{n}"][:2], (topic, reason), got[f"k{n}"])
                self.assertTrue(got[f"k{n}"][2], f"k{n} says why")
            self.assertIn("prompt_tokens", got["k9"][2])
            self.assertIn("timestamp", got["k10"][2])
            self.expect_listed(s)
            processor = s.services["processor"]
            for reason in ("malformed", "missing_tenant", "time_out_of_range"):
                want = sum(r == reason for _, _, r in POISON)
                self.assertEqual(processor.metric(
                    f'streamlens_processor_dead_letters_total{{reason="{reason}"}}'), want)
            # A restart does not send them again: P has passed them.
            s.services["processor"].kill()
            s.start("processor")
            s.request("after")
            s.wait_totals(requests=2)
            self.assertEqual(len(s.consume("llm.dead_letter")), len(POISON))

    def expect_listed(self, s):
        """streamlens-admin dead-letters shows each, with the record's own bytes."""
        r = s.admin("dead-letters", "--json")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        listed = json.loads(r.stdout)
        self.assertEqual({c["reason"]: c["letters"] for c in listed["counts"]},
                         {reason: sum(r == reason for _, _, r in POISON) for _, _, reason in POISON})
        by_id = {x["request_id"]: x for x in listed["letters"]}
        for n, (_, value, _) in enumerate(POISON):
            found = by_id[f"k{n}"]
            kept = found["value"].encode() if "value" in found else base64.b64decode(found["value_base64"])
            self.assertEqual(kept, value)
        r = s.admin("dead-letters", "--request-id=k3")
        self.assertIn("request_id  k3\n", r.stdout)
        self.assertNotIn("request_id  k4\n", r.stdout)


if __name__ == "__main__":
    unittest.main()
