# SPDX-License-Identifier: Apache-2.0
"""metrics-api against its own OpenAPI document: schemathesis makes questions of it, good and bad ones, and looks
whether each answer is one that the document has, with its type, header and shape, and never a server's error."""
import base64
import collections
import json
import os
import re
import subprocess
import sys
import unittest
import urllib.parse

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from stack import ROOT, Stack, needed  # noqa: E402
from test_metrics_api import fill  # noqa: E402

HERE = os.path.join(ROOT, "tests", "contract")
SEED = os.environ.get("SL_SEED", "20261122")
EXAMPLES = os.environ.get("SL_EXAMPLES", "60")  # at random, an operation
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance", "allow_header_conformance")
# What has no end to wait for.
LEFT_OUT = ("/v1/stream",)


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bin = os.path.join(needed("SL_CONTRACT"), "bin")
        cls.stack = s = Stack().__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        fill(s, [("acme", "/chat", "gpt-4o", range(90)), ("acme", "/search", "m", range(0, 90, 7)),
                 ("globex", "/chat", "m", range(5))], 200)
        cls.api = s.start("metrics-api")
        cls.url = f"http://127.0.0.1:{cls.api.port}/openapi.json"
        status, cls.text = cls.api.get("/openapi.json")
        assert status == 200

    def run_tool(self, name, *args, **env):
        return subprocess.run([os.path.join(self.bin, name), *args], capture_output=True, text=True, timeout=240,
                              check=False, cwd=self.stack.tmp, env={**os.environ, **env})

    def test_the_document_is_a_valid_one(self):
        path = os.path.join(self.stack.tmp, "openapi.json")
        for expected, change in ((0, lambda d: d), (1, lambda d: d["info"].pop("title"))):
            document = json.loads(self.text)
            change(document)
            with open(path, "w", encoding="utf-8") as f:
                json.dump(document, f)
            r = self.run_tool("openapi-spec-validator", path)
            self.assertEqual(r.returncode, expected, r.stdout + r.stderr)

    def interactions(self, report):
        with open(report, encoding="utf-8") as f:
            for line in f:
                (kind, event), = json.loads(line).items()
                if kind == "ScenarioFinished":
                    yield from event["recorder"].get("interactions", {}).values()

    def test_whatever_is_made_up_gets_an_answer_that_the_document_has(self):
        report = os.path.join(self.stack.tmp, "contract.ndjson")
        left_out = [a for path in LEFT_OUT for a in ("--exclude-path", path)]
        r = self.run_tool("schemathesis", "--config-file", os.path.join(HERE, "schemathesis.toml"), "run", self.url,
                          "--seed", SEED, "--max-examples", EXAMPLES, "--checks", ",".join(CHECKS), "--warnings", "off",
                          "--report", "ndjson", "--report-ndjson-path", report, *left_out,
                          SCHEMATHESIS_HOOKS=os.path.join(HERE, "hooks.py"))
        self.assertEqual(r.returncode, 0, r.stdout[-8000:] + r.stderr)
        seen = collections.defaultdict(collections.Counter)
        rows = collections.Counter()
        for i in self.interactions(report):
            path = urllib.parse.urlsplit(i["request"]["uri"]).path
            seen[path][i["request"]["method"], i["response"]["status_code"]] += 1
            if i["response"]["status_code"] == 200 and path.startswith("/v1/"):
                body = base64.b64decode(i["response"]["content"]["$base64"])
                rows[path] += len(re.findall(rb'"(first_seen|window_start|change|change_usd|above_tokens)"', body))
        # schemathesis has read the document itself already.
        paths = set(json.loads(self.text)["paths"]) - {*LEFT_OUT, "/openapi.json"}
        self.assertEqual(paths, paths & set(seen))
        # It has looked at answers with rows in them, not at refusals alone.
        for path in paths:
            self.assertGreater(seen[path]["GET", 200], 20 if path.startswith("/v1/") else 0, (path, seen[path]))
            if path.startswith("/v1/"):
                self.assertGreater(seen[path]["GET", 400], 5, (path, seen[path]))
                self.assertGreater(rows[path], 0, (path, rows))


if __name__ == "__main__":
    unittest.main()
