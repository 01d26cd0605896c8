#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LiteLLM's real price list into the default catalogue, by streamlens-admin price import."""
import json
import os
import resource
import subprocess
import unittest

from stack import Stack, needed

VERDICTS = ("new", "changed", "unchanged", "conflict", "refused")
SECONDS = 10


def processor_seconds():
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class ImportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = os.path.join(needed("SL_LITELLM"), "prices.json")
        with open(cls.path, encoding="utf-8") as f:
            cls.names = list(json.load(f))
        cls.stack = Stack()
        cls.stack.sql("CREATE DATABASE " + cls.stack.id, dsn=cls.stack.admin_dsn)
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.setup()

    def price(self, *args):
        return subprocess.run([self.stack.program("admin"), "price", *args], env=self.stack.env, capture_output=True,
                              text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)

    def versions(self):
        return self.stack.sql("SELECT string_agg(version || origin, ' ' ORDER BY version) FROM llm_price_version")

    def take(self, verb, *args):
        """Every name of the file with its verdict, which are as many as it says."""
        used = processor_seconds()
        r = self.price(verb, self.path, "--json", "--force", *args)
        took = processor_seconds() - used
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        answer = json.loads(r.stdout)
        self.assertEqual([e["name"] for e in answer["list"]], self.names)
        for v in VERDICTS:
            self.assertEqual(sum(e["verdict"] == v for e in answer["list"]), answer[v])
        self.assertEqual(sum(answer[v] for v in VERDICTS), len(self.names))
        self.assertTrue(all(e["reason"] for e in answer["list"] if e["verdict"] in ("conflict", "refused")))
        print(f"{verb}: {len(self.names)} entries in {took:.1f} s of processor:", {v: answer[v] for v in VERDICTS})
        self.assertLess(took, SECONDS)
        return answer

    def test_every_entry_is_accounted_for(self):
        r = self.price("import", self.path)
        self.assertEqual(r.returncode, 1)
        self.assertIn("slip of the unit, and nothing is changed", r.stderr)
        self.assertEqual(self.versions(), "1default")
        first = self.take("import")
        self.assertEqual((first["version"], self.versions()), (2, "1default 2import"))
        taken = len(self.names) - first["refused"]
        self.assertGreater(first["new"], taken // 2)
        # What a name costs is what the list says, whichever card that is by.
        again = self.take("import")
        self.assertEqual((again["unchanged"], again["version"]), (taken, None))
        self.assertEqual(self.price("restore", "1").returncode, 0)
        third = self.take("diff")
        self.assertEqual((third["new"], third["changed"], third["unchanged"]),
                         (0, first["new"] + first["changed"], first["unchanged"]))
        self.assertEqual(self.price("restore", "2").returncode, 0)
        self.assertEqual(self.take("diff")["unchanged"], taken)


if __name__ == "__main__":
    unittest.main()
