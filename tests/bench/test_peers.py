# SPDX-License-Identifier: Apache-2.0
"""What is asked of a directory of others' programs, building it elsewhere, and what is read of their scripts."""
import os
import re
import shutil
import stat
import sys
import tempfile
import unittest
import unittest.mock

import peer_kit

RESULTS = """## Ingest
| 1 | 2 | 3 | 9 | 5 |

## Metrics API of the original: 10,000 series of 60 windows

| connections | queries/s | p50, p99 | API CPU µs/query | PostgreSQL CPU µs/query (approximate) |
|---|---|---|---|---|
| 1 | 1,295 and 1,448 | 0.63, 3.7 ms | 435 | 284 |
| 64 | 1,953 and 2,201 | 26.4, 136 ms | 328.5 | 197 to 389 |

## What surprised
| 2 | a | b | 7 | c |
"""
SUMS = "   totals: requests want={} have={} (off 0, 0.0000 %) errors want=3 have={} latency_sum off={} prompt_sum" \
       " off=0 completion_sum off=-0\n"
WINDOWS = "   windows: want=2000 exact={} wrong=1 missing=2 extra={} | p95 of exact windows, relative error: max=0.01\n"


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tmp = folder.name
        self.folder = os.path.join(self.tmp, "peers")
        for name in peer_kit.FILES:
            self.write(name, RESULTS)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def check(self, *present):
        with unittest.mock.patch.object(shutil, "which", lambda command: command in present or None):
            peer_kit.check(self.folder)

    def lacks(self, what, call, *args):
        with self.assertRaises(peer_kit.Lacks) as e:
            call(*args)
        self.assertIn(what, str(e.exception))

    def test_each_file_is_wanted(self):
        self.check(*peer_kit.COMMANDS)
        for name in peer_kit.FILES:
            with self.subTest(name):
                path = os.path.join(self.folder, name)
                os.rename(path, path + ".gone")
                self.lacks(f"{self.folder} has no {name};", self.check, *peer_kit.COMMANDS)
                os.rename(path + ".gone", path)

    def test_what_is_used_is_asked_for(self):
        with open(os.path.join(os.path.dirname(__file__), "bench_peers.py"), encoding="utf-8") as f:
            used = re.findall(r'kit\.path\("([^"]+)"\)', f.read())
        self.assertIn("check.sh", used)
        self.assertLessEqual(set(used), set(peer_kit.FILES))

    def test_each_command_is_wanted(self):
        for command, package in peer_kit.COMMANDS.items():
            self.lacks(f"there is no {command} (of the Debian package {package})", self.check,
                       *(c for c in peer_kit.COMMANDS if c != command))

    def test_figures_that_were_published(self):
        self.assertEqual(peer_kit.published(self.folder), {1: 435, 64: 328.5})
        self.write("RESULTS.md", RESULTS.replace("## Metrics API", "## API"))
        self.lacks("RESULTS.md has no table of connections and CPU", self.check, *peer_kit.COMMANDS)

    def build(self, command):
        return peer_kit.built(os.path.join(self.folder, "rpconnect"), os.path.join(self.tmp, "built"),
                              ["sh", "-c", command], "out/product")

    def test_it_is_built_elsewhere_and_once(self):
        source = os.path.join(self.folder, "rpconnect")
        for name in os.listdir(source):
            os.chmod(os.path.join(source, name), 0o444)
        os.chmod(source, 0o555)
        self.addCleanup(os.chmod, source, 0o755)
        before = sorted(os.listdir(source))
        first = self.build("mkdir out; echo more >>main.go; cp main.go out/product")
        self.assertTrue(first.startswith(os.path.join(self.tmp, "built", "rpconnect-")))
        self.assertTrue(os.stat(os.path.join(os.path.dirname(first), "..", "main.go")).st_mode & stat.S_IWUSR)
        self.assertEqual(self.build("exit 1"), first)
        self.assertEqual(sorted(os.listdir(source)), before)
        os.chmod(source, 0o755)
        os.chmod(os.path.join(source, "main.go"), 0o644)
        self.write("rpconnect/main.go", RESULTS.swapcase())
        self.assertNotEqual(self.build("mkdir out; touch out/product"), first)

    def test_what_a_build_said(self):
        for command in ("echo wants go 9 >&2; exit 1", "echo wants go 9",
                        "mkdir out; touch out/product; echo wants go 9; exit 1"):
            self.lacks("wants go 9", self.build, command)
            self.lacks("gave no out/product", self.build, command)

    def test_versions(self):
        self.write("kafka-streams/pom.xml", "<artifactId>kafka-streams</artifactId>\n <version>4.1.1</version>")
        self.write("rpconnect/go.mod", "require (\n\tgithub.com/redpanda-data/benthos/v4 v4.77.0\n)")
        found = peer_kit.versions(self.folder)
        self.assertEqual((found["streams"], found["benthos"]), ("4.1.1", "v4.77.0"))


class Said(unittest.TestCase):
    def test_windows_and_sums(self):
        for exact, extra, have, errors, off, wanted in (
                (2000, 0, 9, 3, 0, (0, True)), (1997, 0, 9, 3, 0, (3, True)), (2000, 2, 9, 3, 0, (2, True)),
                (2000, 0, 8, 3, 0, (0, False)), (2000, 0, 9, 2, 0, (0, False)), (2000, 0, 9, 3, -7, (0, False)),
                (2000, 0, "", "", 0, (0, False))):
            text = SUMS.format(9, have, errors, off) + WINDOWS.format(exact, extra)
            self.assertEqual(peer_kit.compared(text), wanted, text)
        for text in ("", SUMS.format(9, 9, 3, 0).replace("prompt_sum", "") + WINDOWS.format(2000, 0), SUMS.format(9, 9, 3, 0), WINDOWS.format(2000, 0), "psql: error"):
            with self.assertRaises(peer_kit.Lacks):
                peer_kit.compared(text)

    def test_questions(self):
        line = "original c={} run=1 queries_per_s=1.5 p50=2ms p99=9ms api_cpu_us_per_query=327.9" \
               " pg_cpu_us_per_query=0.0 non2xx={} rss_mib=13\n"
        self.assertEqual(peer_kit.questions_said("x answer: 9 bytes\n" + line.format(1, "") + line.format(64, "")),
                         [(1, 327.9), (64, 327.9)])
        for text in ("", "original answer: 9 bytes", line.format(1, "") + line.format(16, 5)):
            with self.assertRaises(peer_kit.Lacks):
                peer_kit.questions_said(text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
