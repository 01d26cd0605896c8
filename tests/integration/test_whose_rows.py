# SPDX-License-Identifier: Apache-2.0
"""The tenant is a predicate of every statement of metrics-api, in one place of each: held against the statements'
texts, and by running each of them over two tenants with the same names, with parameters that try to get around it."""
import itertools
import os
import random
import re
import subprocess
import unittest

import fact_rows
from stack import ROOT, Stack, needed

SEED = 20261122
MINE = "WITH mine AS MATERIALIZED (SELECT series_id, tenant_id, route, model FROM llm_series WHERE "
OF_TENANT, OF_TENANTS, OF_ANY = "tenant_id = $1::text", "tenant_id = ANY ($1::text[])", "$1::text IS NULL"
# Of all tenants alike.
COMMON = {"llm_window", "streamlens_publisher", "streamlens_retention", "streamlens_gap", "streamlens_installation",
          "pg_control_system", "pg_control_checkpoint", "unnest"}
NOW = "2025-11-20 12:00+00"
MARK = {"acme": "1000003", "globex": "7000009"}  # as many requests has each row of theirs
NAME = "globex-secret"
EARLY, LATE = "2025-11-20 11:00+00", "2025-11-20 13:00+00"
VALUES = {
    "text": (None, None, "", "globex", NAME, "acme", "/chat", "%", "' OR true --", "acme' OR '1'='1", "\\", "$1",
             "1:1:"),
    "text[]": (None, None, "{}", "{NULL}", "{/chat}", "{m}", "{globex-secret}", "{acme,globex}", '{"\' OR true --"}',
               '{"m","/chat","globex-secret"}'),
    "integer": ("0", "63", "31", "32", "-1"),
    "bigint": (None, "0", "1", "2", "10001", "-1", "9223372036854775807"),
    "bigint[]": (None, "{}", "{1,2,3,4}", "{3,4}", "{-1}"),
    "timestamp with time zone": (None, None, "-infinity", "infinity", EARLY, LATE, NOW),
    "timestamp with time zone[]": (None, "{}", "{-infinity}", "{infinity}", f"{{{EARLY}}}", f"{{{LATE}}}",
                                   "{2025-11-20 11:59+00,2025-11-20 11:58+00,2025-11-20 11:59+00,2025-11-20 11:58+00}"),
}
# With which every statement gives what there is.
HONEST = {
    "text": (None, "1:1:"), "text[]": (None, "{/chat}", "{m}", "{/chat,m}"), "integer": ("63",), "bigint": ("100",),
    "bigint[]": ("{1,2,3,4}",), "timestamp with time zone": (None, EARLY, LATE),
    "timestamp with time zone[]": (f"{{{EARLY}}}", f"{{{LATE}}}", VALUES["timestamp with time zone[]"][-1]),
}


def statements():
    """name -> text"""
    out = subprocess.run([os.path.join(needed("SL_BUILD"), "tests", "integration", "repo_sql_tool")],
                         capture_output=True, text=True, check=True, timeout=10).stdout
    with open(os.path.join(ROOT, "metrics-api", "repo_sql_pg.h"), encoding="utf-8") as f:
        names = re.search(r"enum repo_statement \{(.*?)REPO_STATEMENTS", f.read(), re.S)[1]
    return dict(zip(re.findall(r"\b([A-Z_]{4,}),", names), out.splitlines(), strict=True))


def literal(value):
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


class Texts(unittest.TestCase):
    def test_each_begins_with_whose_rows_they_are(self):
        texts = statements()
        self.assertGreater(len(texts), 10)
        for name, text in texts.items():
            self.assertTrue(text.startswith(MINE), name)
            whose = next((w for w in (OF_TENANT, OF_TENANTS, OF_ANY) if text[len(MINE):].startswith(w)), None)
            self.assertIsNotNone(whose, text[:200])
            self.assertEqual(whose == OF_ANY, name.endswith("_ALL"), name)
            behind = text[len(MINE) + len(whose):]
            self.assertRegex(behind, r"^( AND |\))", name)
            self.assertNotRegex(behind, r"\$1(?!\d)", name)
            self.assertNotIn("llm_series", behind, name)

    def test_each_row_that_belongs_to_somebody_is_found_by_an_id_of_theirs(self):
        for name, text in statements().items():
            text = " ".join(text.split())
            ctes = set(re.findall(r"(\w+) AS (?:MATERIALIZED )?\(", text))
            tables = re.findall(r"\b(?:FROM|JOIN) (\w+)", text)
            others = set(tables) - ctes - COMMON - {"llm_series", "llm_minute", "llm_hour", "llm_publish", "LATERAL"}
            self.assertEqual(others, set(), name)
            by_id = re.findall(r"FROM llm_(?:minute|hour|publish)(?: m)? WHERE (?:\$\d::int4 & 32 <> 0 AND )?"
                               r"(?:m\.)?series_id = (?:s|m)\.series_id\b", text)
            self.assertEqual(len(by_id), len(re.findall(r"\bFROM llm_(?:minute|hour|publish)\b", text)), name)
            self.assertNotRegex(text, r"\b(?:JOIN|,) llm_", name)

    def test_the_catalogue_is_read_whole_and_is_nobodys_rows(self):
        """Whose cards are shown is decided in memory: test_prices_api.py."""
        for path in (("metrics-api", "repo_prices_pg.c"), ("common", "io", "price_pg.c")):
            with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
                sql = " ".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', f.read()))
            self.assertEqual(set(re.findall(r"\bllm_\w+", sql)) - {"llm_price", "llm_price_version"}, set(), path)
            self.assertIn("FROM llm_price_version", sql)
            self.assertNotIn("$", sql)


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = s = Stack().__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        for i, (tenant, route) in enumerate((("acme", "/chat"), ("acme", "/a"), ("globex", "/chat"), ("globex", NAME))):
            fact_rows.series(s, i + 1, tenant, route)
        fact_rows.partitions(s, [f"timestamptz '{NOW}'"])
        for tenant, ids in (("acme", "VALUES (1), (2)"), ("globex", "VALUES (3), (4)")):
            for table, unit in (("llm_minute", "minute"), ("llm_hour", "hour")):
                fact_rows.rows(s, table, ids, f"SELECT timestamptz '{NOW}' - i * interval '1 {unit}'"
                               " FROM generate_series(1, 3) i", requests=MARK[tenant])
        s.sql("INSERT INTO llm_window (window_start) SELECT DISTINCT window_start FROM llm_minute"
              " ON CONFLICT DO NOTHING")

    def run_all(self, name, text, calls):
        """What psql says of all these calls together; errors are what some of them deserve."""
        script = [f"PREPARE q AS {text};"]
        script += [f"EXECUTE q({', '.join(map(literal, call))});" for call in calls]
        r = subprocess.run(["psql", "-X", "-q", "-At", "-d", self.stack.dsn], input="\n".join(script), text=True,
                           capture_output=True, timeout=120, check=False, env={**os.environ, "PGTZ": "UTC"})
        self.assertEqual(r.returncode, 0, r.stderr)
        wrong = r.stderr.count("ERROR:")
        self.assertLess(wrong, len(calls), (name, r.stderr[:500]))
        return r.stdout, len(calls) - wrong

    def types(self, text):
        listed = "SELECT unnest(parameter_types)::text FROM pg_prepared_statements"
        return self.stack.sql(f"PREPARE q AS {text}; {listed}").splitlines()

    @staticmethod
    def calls(types, first, values, most, rng):
        rest = [values[t] for t in types[1:]]
        total = 1
        for r in rest:
            total *= len(r)
        if total <= most:
            return [[first, *c] for c in itertools.product(*rest)]
        return [[first, *(rng.choice(r) for r in rest)] for _ in range(most)]

    def test_whatever_the_other_parameters_are_no_row_of_another_tenant_comes(self):
        rng = random.Random(SEED)
        for name, text in statements().items():
            types = self.types(text)
            many = types[0] == "text[]"
            ran = 0
            for first in ("acme", None, "", "nobody", "acme' OR '1'='1", "%", "ACME"):
                if name.endswith("_ALL") and first is None:
                    continue  # which is how an operator asks
                whose = "{" + f'"{first}"' + "}" if many and first is not None else first
                calls = self.calls(types, whose, VALUES, 25, rng) + self.calls(types, whose, HONEST, 25, rng)
                out, done = self.run_all(name, text, calls)
                for word in (MARK["globex"], "globex", NAME):
                    self.assertNotIn(word, out, (name, first))
                if first != "acme" or name.endswith("_ALL"):
                    self.assertNotIn(MARK["acme"], out, (name, first))
                    self.assertNotIn("/chat", out, (name, first))
                ran += done
            self.assertGreater(ran, 150, name)

    def test_asked_as_one_should_each_gives_rows(self):
        """Or the test above would show nothing."""
        rng = random.Random(SEED)
        for name, text in statements().items():
            types = self.types(text)
            for tenant in ("acme", "globex"):
                first = None if name.endswith("_ALL") else f"{{{tenant}}}" if types[0] == "text[]" else tenant
                out, _ = self.run_all(name, text, self.calls(types, first, HONEST, 200, rng))
                first_id = {"acme": 1, "globex": 3}[tenant]
                self.assertRegex(out, f"{MARK[tenant]}|{tenant}|/chat|\\|m\\||\n{first_id}\\|", (name, tenant))


if __name__ == "__main__":
    unittest.main()
