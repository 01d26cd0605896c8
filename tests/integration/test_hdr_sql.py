#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Histograms in SQL (sql/007_hdr.sql) against those of C: merged the same bytes, asked the same quantiles."""
import base64
import json
import os
import random
import subprocess
import unittest
import zlib

from stack import Stack, needed

SEED = 20261122
ASKED = ("p50", "p90", "p95", "p99")
HOUR_US = 3_600_000_000


def histograms(value_lists):
    """Of each list of values ("V" or "V*COUNT"): what C makes of it."""
    tool = os.path.join(needed("SL_BUILD"), "tests", "interop", "hist_tool")
    lines = "".join(f"make {' '.join(values)}\n" for values in value_lists)
    out = subprocess.run([tool], input=lines, capture_output=True, text=True, check=True, timeout=60).stdout
    made = [json.loads(line) for line in out.splitlines()]
    for m in made:
        m["bytes"] = zlib.decompress(base64.b64decode(m["hdr"])[8:])
    return made


def values(rnd, n):
    kinds = (lambda: rnd.randrange(300), lambda: int(rnd.lognormvariate(13, 1)), lambda: rnd.randrange(HOUR_US),
             lambda: HOUR_US + 1, lambda: 0)
    return [f"{rnd.choice(kinds)()}{rnd.choice(('', '', '', '*2', '*1000', '*1000000000000'))}" for _ in range(n)]


class HdrSql(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Stack()
        cls.s.sql("CREATE DATABASE " + cls.s.id, dsn=cls.s.admin_dsn)
        cls.addClassCleanup(cls.s.__exit__)
        cls.s.setup()
        cls.s.sql("CREATE TABLE h (g int, h bytea)")

    def setUp(self):
        self.s.sql("TRUNCATE h")

    def fill(self, rows):
        self.s.sql("INSERT INTO h VALUES " + ",".join(f"({g}, '\\x{h.hex()}')" for g, h in rows))

    def refused(self, statement, word):
        with self.assertRaisesRegex(AssertionError, word):
            self.s.sql(statement)

    def test_merged_they_are_what_recording_all_values_gives(self):
        rnd = random.Random(SEED)
        groups = [[values(rnd, rnd.choice((1, 3, 60, 400))) for _ in range(rnd.choice((1, 2, 7)))] for _ in range(25)]
        parts = iter(histograms([v for parts in groups for v in parts]))
        self.fill([(g, next(parts)["bytes"]) for g, group in enumerate(groups) for _ in group])
        got = self.s.sql("SELECT encode(hdr_merge(h), 'hex'), hdr_count(hdr_merge(h)) FROM h GROUP BY g ORDER BY g")
        want = histograms([[v for part in group for v in part] for group in groups])
        for line, m in zip(got.splitlines(), want, strict=True):
            self.assertEqual(line, f"{m['bytes'].hex()}|{m['total']}")

    def test_quantiles_are_those_of_c_and_none_is_above_the_maximum(self):
        rnd = random.Random(SEED + 1)
        made = histograms([values(rnd, n) for n in (1, 2, 3, 10, 99, 100, 101, 1000)])
        for m in made:
            got = self.s.sql(f"SELECT array_to_json(hdr_quantiles('\\x{m['bytes'].hex()}', '{{.5,.9,.95,.99}}',"
                             f" {m['max']}))")
            self.assertEqual(json.loads(got), [m[p] for p in ASKED])
        bare = histograms([["1000000"]])[0]["bytes"].hex()
        self.assertEqual(self.s.sql(f"SELECT hdr_quantile('\\x{bare}', .5), hdr_quantile('\\x{bare}', 1, 1000000)"),
                         "1003519|1000000")  # the bucket's highest value; never above the exact maximum
        # 0.07 * 100 is 7.000000000000001 in doubles; the rank is 7 all the same.
        hundred = histograms([[str(i) for i in range(1, 101)]])[0]["bytes"].hex()
        self.assertEqual(self.s.sql(f"SELECT hdr_quantile('\\x{hundred}', 0.07)"), "7")

    def test_more_rows_than_are_kept_at_once(self):
        made = histograms([[str(i), "70000*2"] for i in range(1203)])
        self.fill([(0, m["bytes"]) for m in made])
        all_of_them = histograms([[str(i) for i in range(1203)] + ["70000*2406"]])[0]["bytes"]
        self.assertEqual(self.s.sql("SELECT encode(hdr_merge(h), 'hex') FROM h"), all_of_them.hex())

    def test_nulls_are_passed_over(self):
        one = histograms([["5"]])[0]["bytes"]
        self.fill([(0, one)])
        self.s.sql("INSERT INTO h VALUES (0, NULL), (1, NULL)")
        self.assertEqual(self.s.sql("SELECT encode(hdr_merge(h), 'hex'), hdr_quantile(hdr_merge(h), .5) FROM h"
                                    " GROUP BY g ORDER BY g"), f"{one.hex()}|5\n|")
        self.assertEqual(self.s.sql("SELECT hdr_merge(h) IS NULL FROM h WHERE false"), "t")

    def test_what_is_no_histogram_of_ours_is_refused(self):
        good = histograms([["5", "900000"]])[0]["bytes"].hex()
        other_layout = good[:24] + "00000003" + good[32:]
        for wrong in ("", "1c849313", good.replace("1c849313", "1c849314"), other_layout):
            self.refused(f"SELECT hdr_count('\\x{wrong}')", "is no histogram of llm_minute")
        for wrong in (good + "ff", good + "ffff01"):  # a count that breaks off; zeros beyond the last bucket
            self.refused(f"SELECT hdr_count('\\x{wrong}')", "damaged")
        for q in ("-0.1", "1.01", "'NaN'", "99"):
            self.refused(f"SELECT hdr_quantile('\\x{good}', {q})", "from 0 to 1")


if __name__ == "__main__":
    unittest.main()
