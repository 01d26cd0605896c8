# SPDX-License-Identifier: Apache-2.0
"""Our histograms in the HdrHistogram libraries of five languages, and theirs in ours. SL_INTEROP holds what
tests/interop/install has made."""
import json
import os
import random
import subprocess
import unittest

from stack import ROOT, needed

MAX = 3600000000
QUANTILES = ("p50", "p90", "p95", "p99")
HERE = os.path.join(ROOT, "tests", "interop")


def programs():
    made = needed("SL_INTEROP")
    return {
        "java": ["java", "-XX:TieredStopAtLevel=1", "-cp", os.path.join(made, "java", "*"),
                 os.path.join(HERE, "Interop.java")],
        "javascript": ["node", os.path.join(made, "javascript", "interop.js")],
        "python": [os.path.join(made, "python", "bin", "python"), os.path.join(HERE, "interop.py")],
        "go": [os.path.join(made, "go", "interop")],
        "rust": [os.path.join(made, "rust", "debug", "interop")],
        "ours": [os.path.join(needed("SL_BUILD"), "tests", "interop", "hist_tool")],
    }


def run(command, lines):
    r = subprocess.run(command, input="".join(line + "\n" for line in lines), capture_output=True, text=True,
                       timeout=120, check=False)
    if r.returncode != 0:
        raise AssertionError(f"{command}: {r.stderr}")
    return r.stdout.splitlines()


def make(values):
    return " ".join(["make", *map(str, values)])


def distributions():
    """Lists of values in µs, within the range."""
    rng = random.Random(20261121)
    yield from ([], [0], [1], [MAX], [255], [256], [412345], [0, 0, 0], [0, 2], [1, 3], [0, 2, 255, 257, MAX])
    yield list(range(1, 101))
    yield [2**i for i in range(32) if 2**i <= MAX]
    yield [v for i in range(8, 32) for v in (2**i - 1, 2**i) if v <= MAX]
    for n in (2, 3, 7, 10, 19, 20, 21, 99, 100, 101, 1000):
        yield [min(round(rng.lognormvariate(13, 1.2)), MAX) for _ in range(n)]
        yield [rng.randrange(2**rng.randrange(1, 32)) for _ in range(n)]


# What pipelines make and no library's example does: counts beyond 32 bits, and values above the range.
HEAVY = (["1000*4294967296", "9000*65537", 70], [MAX + 1], ["5*7", 10**12, 10**15], ["5*99", MAX + 1])


class Interop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.programs = programs()
        cls.ours = cls.programs.pop("ours")

    def test_ours_read_by_each_give_the_same_total_and_percentiles(self):
        asked = [*distributions(), *HEAVY]
        made = [json.loads(line) for line in run(self.ours, map(make, asked))]
        self.assertEqual(len(made), len(asked))
        for language, command in self.programs.items():
            answers = run(command, ["read " + m["hdr"] for m in made])
            for values, want, answer in zip(asked, made, answers, strict=True):
                with self.subTest(language=language, values=values[:9], n=want["total"]):
                    got = json.loads(answer)
                    self.assertEqual(got["total"], want["total"])
                    # A library knows no exact maximum.
                    self.assertEqual([min(got[q], want["max"]) for q in QUANTILES], [want[q] for q in QUANTILES])

    def test_those_of_each_are_read_by_ours_to_the_same_counts(self):
        asked = list(distributions())
        made = [json.loads(line) for line in run(self.ours, map(make, asked))]
        wanted = [json.loads(line) for line in run(self.ours, ["read " + m["hdr"] for m in made])]
        self.assertEqual([w["total"] for w in wanted], list(map(len, asked)))
        for language, command in self.programs.items():
            theirs = run(command, map(make, asked))
            for values, want, got in zip(asked, wanted, run(self.ours, ["read " + t for t in theirs]), strict=True):
                with self.subTest(language=language, values=values[:9], n=want["total"]):
                    self.assertEqual(json.loads(got), want)


if __name__ == "__main__":
    unittest.main()
