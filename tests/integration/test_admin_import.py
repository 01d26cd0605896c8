#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin price import, diff, restore and versions against a real database: lists of a few entries for each
rule, and one of 2,000."""
import json
import os
import random
import subprocess
import unittest
from decimal import Decimal

import fact_rows
from prices import UNPRICED, Catalogue, Usage, cost
from stack import Stack, iso, wait_for

HEADER = "tenant,model,aliases,tier,above_tokens,unit,input,cached_input,cache_write_5m,output,effective_from\n"
VERDICTS = ("new", "changed", "unchanged", "conflict", "refused")
LATER = "2100-01-01T00:00:00Z"


class AdminStack(Stack):
    """With the small default catalogues of this directory."""
    catalogue = "first"

    def program(self, name):
        if name == "admin":
            return os.path.join(self.build, "tests", "integration", "admin_" + self.catalogue)
        return super().program(name)


def entry(price_in, price_out, cached=None, **more):
    """An entry of LiteLLM's list; prices are USD per million tokens, or None."""
    out = {"litellm_provider": "maker", "mode": "chat"}
    for name, price in (("input_cost_per_token", price_in), ("output_cost_per_token", price_out),
                        ("cache_read_input_token_cost", cached), *more.items()):
        if name.startswith(("input_", "output_", "cache_")):
            if price is not None:
                out[name] = Decimal(str(price)).scaleb(-6)
        else:
            out[name] = price
    return out


def text_of(entries):
    """JSON with Decimals as numbers."""
    marks = {}

    def mark(value):
        marks[f"@{len(marks)}@"] = format(value, "f")
        return f"@{len(marks) - 1}@"
    text = json.dumps(entries, default=mark)
    for key, number in marks.items():
        text = text.replace(f'"{key}"', number, 1)
    return text


class ImportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = AdminStack()
        cls.stack.sql("CREATE DATABASE " + cls.stack.id, dsn=cls.stack.admin_dsn)
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.setup()

    def setUp(self):
        self.sql("TRUNCATE llm_price, llm_price_version, llm_reprice, llm_hour; DELETE FROM llm_series")
        r = self.stack.admin("setup")
        self.assertEqual((r.returncode, r.stderr), (0, ""))

    def sql(self, statement):
        return self.stack.sql(statement)

    def price(self, *args, stdin=""):
        return subprocess.run([self.stack.program("admin"), "price", *args], env=self.stack.env, input=stdin,
                              capture_output=True, text=True, timeout=120, check=False)

    def ok(self, *args, stdin=""):
        r = self.price(*args, stdin=stdin)
        self.assertEqual((r.returncode, r.stderr), (0, ""), r)
        return r.stdout

    def take(self, entries, *args, verb="import"):
        """The answer, with its entries by name in "by"."""
        text = entries if isinstance(entries, str) else text_of(entries)
        answer = json.loads(self.ok(verb, "-", "--json", *args, stdin=text))
        self.assertEqual(sum(answer[v] for v in VERDICTS), answer["entries"])
        self.assertEqual(answer["entries"], len(answer["list"]))
        for verdict in VERDICTS:
            self.assertEqual(answer[verdict], sum(e["verdict"] == verdict for e in answer["list"]))
        answer["by"] = {e["name"]: e for e in answer["list"]}
        return answer

    def verdicts(self, entries, *args, verb="import"):
        return {e["name"]: e["verdict"] for e in self.take(entries, *args, verb=verb)["list"]}

    def state(self):
        return self.sql("SELECT (SELECT json_agg(v ORDER BY version) FROM llm_price_version v),"
                        " (SELECT json_agg(p ORDER BY p) FROM llm_price p)")

    def versions(self):
        return self.sql("SELECT version || ':' || origin FROM llm_price_version ORDER BY version").split()

    def cards(self, version):
        """model → how many lines."""
        out = self.sql("SELECT tenant_id || '/' || model, count(*) FROM llm_price"
                       f" WHERE version = {version} GROUP BY 1 ORDER BY 1")
        return {line.split("|")[0]: int(line.split("|")[1]) for line in out.splitlines()}

    def costs(self, name, *args, at="2099-01-01T00:00:00Z"):
        """What a name costs: step, model and the first line's input and output."""
        found = json.loads(self.ok("resolve", name, "--at", at, "--json", *args))
        line = found["prices"][0] if found["prices"] else {"input": None, "output": None}
        return found["step"], found["model"], line["input"], line["output"]

    def lines(self, name, at="2099-01-01T00:00:00Z"):
        found = json.loads(self.ok("resolve", name, "--at", at, "--json"))
        return {(p["tier"], p["above_tokens"]): (p["input"], p["cached_input"], p["cache_write_5m"], p["output"])
                for p in found["prices"]}

    def use(self, *lines, hours_ago=3):
        """Hours of usage: (tenant, model, asked, tier, above, requests, uncached, cached, output)."""
        at = f"date_trunc('hour', now()) - interval '{hours_ago} hours'"
        fact_rows.partitions(self.stack, [at])
        for tenant, model, asked, tier, above, requests, uncached, cached, output in lines:
            series = int(self.sql("SELECT coalesce(max(series_id), 0) + 1 FROM llm_series"))
            fact_rows.series(self.stack, series, tenant, route=f"r{series}", model=model)
            usage = (f"ARRAY[ROW('{model}', '{asked}', '{tier}', {above}, {requests}, {uncached}, {cached}, 0, 0,"
                     f" {output}, 0)::llm_usage]")
            fact_rows.rows(self.stack, "llm_hour", f"SELECT {series}", f"SELECT {at}", usage=usage)


class VerdictTest(ImportTest):
    """What becomes of an entry."""

    def test_each_of_the_five(self):
        self.ok("set", "beta", "input=0.2")
        answer = self.take({"alpha": entry(3, 10, 1.25), "gamma": entry(3, 15), "delta": entry(1, 4, 0.1),
                            "beta": entry(0.15, 0.6, 0.075), "image": entry(1, 4, mode="image_generation")})
        self.assertEqual({n: e["verdict"] for n, e in answer["by"].items()},
                         {"alpha": "changed", "gamma": "unchanged", "delta": "new", "beta": "conflict",
                          "image": "refused"})
        self.assertEqual((answer["version"], answer["cards"]), (3, 2))
        self.assertEqual(self.versions(), ["1:default", "2:set", "3:import"])
        self.assertEqual(self.costs("alpha"), ("exact", "alpha", "3", "10"))
        self.assertEqual(self.costs("beta")[2:], ("0.2", "0.6"))
        self.assertEqual(self.costs("delta"), ("exact", "delta", "1", "4"))
        self.assertIn("mode", answer["by"]["image"]["reason"])
        self.assertEqual(answer["by"]["beta"]["reason"], "was set")

    def test_diff_says_the_same_and_changes_nothing(self):
        before = self.state()
        entries = {"alpha": entry(3, 10, 1.25), "delta": entry(1, 4)}
        told = self.take(entries, verb="diff")
        self.assertEqual((told["version"], self.state()), (None, before))
        done = self.take(entries)
        self.assertEqual(done["version"], 2)
        for answer in (told, done):
            for key in ("version", "effective_from", "used_to", "by"):
                del answer[key]
            for one in answer["list"]:
                one.pop("effective_from", None)
        self.assertEqual(told, done)

    def test_a_second_import_finds_everything_as_it_is(self):
        entries = {"alpha": entry(3, 10), "delta": entry(1, 4), "maker/alpha-plus": entry(7, 8),
                   "alpha-max": entry(5, 10), "delta-2026-01-01": entry(1, 4), "delta-2026-01-02": entry(2, 4)}
        self.take(entries)
        before = self.state()
        answer = self.take(entries)
        self.assertEqual((answer["unchanged"], answer["version"]), (6, None))
        self.assertEqual(self.state(), before)
        self.assertIn("nothing changes\n", self.ok("import", "-", stdin=text_of(entries)))

    def test_2000_entries(self):
        rng = random.Random(7)
        entries, want = {}, {}
        for i in range(2000):
            name = rng.choice(("", "vendor/", "azure/", "us.anthropic.")) + f"m{i}"
            price = rng.randrange(1, 2000) / 100
            kind = rng.choice(("new", "new", "new", "changed", "unchanged", "conflict", "refused"))
            entries[name] = entry(price, 2 * price, **{"output_cost_per_token_batches": price,
                                                       "input_cost_per_token_batches": price / 2})
            want[name] = kind
            if kind == "refused":
                entries[name] = rng.choice(({"mode": "image_generation"}, {"mode": "chat"}, "text",
                                            entry(-1, 2), entry(1, 2, mode="search")))
        rows = []
        for name, kind in want.items():
            if kind in ("changed", "unchanged", "conflict"):
                price = int(entries[name]["input_cost_per_token"].scaleb(12)) + (10000 if kind != "unchanged" else 0)
                out, version = 2 * int(entries[name]["input_cost_per_token"].scaleb(12)), 2 + (kind == "conflict")
                rows.append(f"({version}, '', '{name}', '-infinity', '', 0, '', '{{}}', {price}, {out}, '')")
                if kind == "unchanged":
                    rows.append(f"({version}, '', '{name}', '-infinity', 'batch', 0, '', '{{}}', {price // 2},"
                                f" {price}, '')")
        self.sql("INSERT INTO llm_price_version VALUES (2, 'import'), (3, 'set');"
                 "INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens, provider,"
                 f" aliases, input_pusd, output_pusd, source) VALUES {', '.join(rows)}")
        answer = self.take(entries)
        self.assertEqual({n: e["verdict"] for n, e in answer["by"].items()}, want)
        self.assertEqual(answer["cards"], sum(v in ("new", "changed") for v in want.values()))
        again = self.take(entries)
        self.assertEqual((again["new"], again["changed"], again["unchanged"]),
                         (0, 0, 2000 - again["conflict"] - again["refused"]))
        out = self.ok("diff", "-", stdin=text_of(entries))
        self.assertIn(f"2000 entries: 0 new, 0 changed, {again['unchanged']} unchanged", out)
        self.assertIn(f"... and {again['conflict'] - 50} more", out)
        self.assertLess(out.count("\n"), 130)

    def test_what_cannot_be_read_is_no_list(self):
        before = self.state()
        for text, word in (("", "columns"), ("{", ""), ('{"a": 1}{', ""),
                           (HEADER + ",m,,,,USD/Mtok,-1,,,1,\n", "line 2"),
                           (HEADER + ",m,,,,USD/Mtok,1,,,1,\n,n,m,,,USD/Mtok,1,,,1,\n", "line 3"), ("[]", "")):
            for verb in ("import", "diff"):
                r = self.price(verb, "-", stdin=text)
                self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (1, "", 1), r)
                self.assertIn(word, r.stderr)
        for args, word in ((("-", "--effective-from=soon"), "--effective-from"), ((), "FILE"), (("a", "b"), '"b"'),
                           (("-", "--effective-from=2026-01-01T00:00:30Z"), "whole minute")):
            r = self.price("import", *args, stdin="{}")
            self.assertEqual((r.returncode, r.stderr.count("\n")), (2, 1), r)
            self.assertIn(word, r.stderr)
        self.assertIn("cannot open", self.price("import", "/nonesuch").stderr)
        self.assertEqual(self.take("{}")["entries"], 0)
        self.assertEqual(self.state(), before)

    def test_a_mark_of_utf8_before_it(self):
        self.assertEqual(self.verdicts("\ufeff" + text_of({"delta": entry(1, 2)})), {"delta": "new"})
        self.ok("diff", "-", stdin="\ufeff" + HEADER)

    def test_a_closed_standard_file_is_nobody_elses(self):
        """The connection to the database would be it, and be sent what is meant for people."""
        before = self.state()
        for command, closed in (("versions", "1>&-"), ("versions", "0<&- 1>&- 2>&-"), ("list", "0<&- 1>&-")):
            r = subprocess.run(["sh", "-c", f'exec "$0" price {command} {closed}', self.stack.program("admin")],
                               env=self.stack.env, capture_output=True, text=True, timeout=60, check=False)
            said = "" if "2>&-" in closed else "streamlens-admin: standard output did not take all of it\n"
            self.assertEqual((r.returncode, r.stdout, r.stderr), (1, "", said), closed)
        self.ok("versions")
        self.assertEqual(self.state(), before)

    def test_what_strangers_wrote_is_shown_safely(self):
        entries = {"ab\u202ecd": entry(1, 2), "al\x1bpha": entry(1, 2), "alpha": entry(3, 9)}
        out = self.ok("import", "-", stdin=text_of(entries))
        self.assertIn("3 entries: 1 new, 1 changed, 0 unchanged, 0 in conflict, 1 refused", out)
        entries["ab\u202ecd"] = entry(2, 3)
        changed = self.ok("diff", "-", stdin=text_of(entries)) + self.ok("diff", "-", "--json", stdin=text_of(entries))
        self.assertIn("ab", changed)
        entries["ab\u202ecd"] = entry(2000, 3)
        slips = self.price("diff", "-", stdin=text_of(entries)).stdout
        for text in (out, changed, slips):
            self.assertNotIn("\x1b", text)
            self.assertNotIn("\u202e", text)


class SlipTest(ImportTest):
    """Prices that look like a slip of the unit."""

    def test_one_absurd_price_stops_everything(self):
        entries = {f"m{i}": entry(1, 4) for i in range(30)}
        entries["beta"] = entry(150, 600)
        before = self.state()
        for verb in ("import", "diff"):
            r = self.price(verb, "-", stdin=text_of(entries))
            self.assertEqual((r.returncode, r.stderr.count("\n")), (1, 1), r)
            self.assertIn("1 price looks like a slip of the unit, and nothing is changed: --force", r.stderr)
            self.assertIn("beta: input 150 (so far 0.15): must be less than 100 times off the price so far", r.stdout)
            self.assertEqual(self.state(), before)
            r = self.price(verb, "-", "--json", stdin=text_of(entries))
            answer = json.loads(r.stdout)
            self.assertEqual((r.returncode, answer["version"], answer["slips"]), (1, None, 1))
            self.assertIn("100 times", {e["name"]: e for e in answer["list"]}["beta"]["slip"])
        self.assertEqual(self.state(), before)
        answer = self.take(entries, "--force")
        self.assertEqual((answer["version"], answer["new"], answer["changed"]), (2, 30, 1))
        self.assertEqual(self.costs("beta")[2:], ("150", "600"))
        # And back, which is 1000 times less.
        self.assertEqual(self.price("import", "-", stdin=text_of({"beta": entry(0.15, 0.6, 0.075)})).returncode, 1)

    def test_many_are_listed_up_to_20(self):
        r = self.price("import", "-", stdin=text_of({f"m{i:02}": entry(1000000, 4) for i in range(23)}))
        self.assertEqual(r.returncode, 1)
        self.assertIn("23 prices look like a slip", r.stderr)
        self.assertEqual(r.stdout.count(": input 1000000: must be"), 20)
        self.assertIn("... and 3 more\n", r.stdout)

    def test_what_is_so_far_priced_by_another_name_is_compared_too(self):
        r = self.price("import", "-", stdin=text_of({"openai/beta-2026-01-01": entry(15.1, 60.1)}))
        self.assertIn("input 15.1 (so far 0.15)", r.stdout)
        self.assertEqual(r.returncode, 1)

    def test_what_is_left_out_is_no_slip(self):
        self.ok("set", "beta", "input=0.2")
        self.assertEqual(self.verdicts({"beta": entry(150, 600), "x": entry(-1, 5)}),
                         {"beta": "conflict", "x": "refused"})

    def test_a_guess_is_nothing_to_compare_with(self):
        self.assertEqual(self.stack.admin("setup", env={"PRICE_DEFAULT": "10/30"}).returncode, 0)
        self.assertEqual(self.verdicts({"tiny": entry(0.01, 0.02)}), {"tiny": "new"})

    def test_price_set_takes_them_with_force_too(self):
        self.assertEqual(self.price("set", "beta", "input=150", "output=600").returncode, 1)
        self.ok("set", "beta", "input=150", "output=600", "--force")
        self.assertEqual(self.costs("beta")[2:], ("150", "600"))
        self.assertEqual(self.price("set", "beta", "input=-1", "--force").returncode, 1)


class SilenceTest(ImportTest):
    """Lines and cells that the list does not have."""

    def test_they_stay_where_the_standard_price_does(self):
        answer = self.take({"alpha": entry(2.5, 10, **{"cache_creation_input_token_cost": 3})})
        self.assertEqual(answer["by"]["alpha"]["no_longer_priced"], "")
        self.assertEqual(self.lines("alpha"), {("", 0): ("2.5", "1.25", "3", "10"),
                                               ("", 200000): ("5", "2.5", "5", "15"),
                                               ("batch", 0): ("1.25", "1.25", "1.25", "5")})

    def test_they_go_where_it_changes_and_that_is_said(self):
        answer = self.take({"alpha": entry(3, 10)})
        self.assertEqual(answer["by"]["alpha"]["no_longer_priced"], "cached_input, above 200000, batch")
        self.assertEqual(self.lines("alpha"), {("", 0): ("3", "3", "3", "10")})
        text = self.ok("diff", "-", stdin=text_of({"gamma": entry(3, 16)}))
        self.assertIn("output 15 -> 16", text)

    def test_a_tier_whose_first_line_changes_loses_its_others(self):
        self.take(HEADER + ",m,,,,USD/Mtok,1,,,4,\n,m,,batch,,USD/Mtok,0.5,0.1,,2,\n"
                           ",m,,batch,200000,USD/Mtok,0.6,,,3,\n,m,,flex,,USD/Mtok,0.7,,,3,\n")
        answer = self.take({"m": entry(1, 4, input_cost_per_token_batches=0.4, output_cost_per_token_batches=2)})
        self.assertEqual(answer["by"]["m"]["no_longer_priced"], "batch cached_input, batch above 200000")
        self.assertEqual(self.lines("m"), {("", 0): ("1", "1", "1", "4"), ("batch", 0): ("0.4", "0.4", "0.4", "2"),
                                           ("flex", 0): ("0.7", "0.7", "0.7", "3")})

    def test_other_names_stay(self):
        self.take({"alpha": entry(3, 10)})
        self.assertEqual(self.costs("alpha-plus"), ("exact", "alpha", "3", "10"))
        self.assertEqual(self.sql("SELECT DISTINCT provider FROM llm_price WHERE model = 'alpha'"), "maker")

    def test_where_it_was_read_is_no_change(self):
        self.assertEqual(self.verdicts({"ALPHA": entry(2.5, 10, 1.25, litellm_provider="another")}),
                         {"ALPHA": "unchanged"})


class NameTest(ImportTest):
    """Names that are not a card's own."""

    def test_an_alias_of_the_same_price(self):
        answer = self.take({"alpha-plus": entry(2.5, 10, 1.25), "alpha": entry(2.5, 10)})
        self.assertEqual((answer["unchanged"], answer["version"]), (2, None))
        # As the card will be.
        self.assertEqual(self.verdicts({"alpha-plus": entry(3, 10), "alpha": entry(3, 10)}),
                         {"alpha-plus": "unchanged", "alpha": "changed"})
        self.assertEqual(self.cards(2), {"/alpha": 1})

    def test_an_alias_of_another_price_gets_a_card_of_its_own(self):
        for entries, alpha in (({"alpha-plus": entry(4, 12)}, ("2.5", "10")),
                               ({"alpha-max": entry(4, 12), "alpha": entry(3, 10)}, ("3", "10"))):
            name = next(iter(entries))
            answer = self.take(entries)
            self.assertEqual(answer["by"][name]["verdict"], "changed")
            self.assertEqual(answer["by"][name]["priced_as"], "alpha")
            self.assertEqual(self.costs(name), ("exact", name, "4", "12"))
            self.assertEqual(self.costs("alpha"), ("exact", "alpha", *alpha))
            # What it cost before stays.
            self.assertEqual(self.costs(name, at="2020-01-01T00:00:00Z"), ("exact", "alpha", "2.5", "10"))
        self.assertEqual(self.sql("SELECT DISTINCT aliases FROM llm_price WHERE version = 3 AND model = 'alpha'"), "{}")
        self.assertEqual(self.cards(2), {"/alpha": 3, "/alpha-plus": 1})

    def test_a_name_that_is_found_by_its_forms(self):
        answer = self.take({"openrouter/openai/alpha": entry(2.5, 10), "alpha-2026-01-01": entry(4, 10),
                            "openai/delta": entry(1, 2), "delta": entry(1, 2)})
        self.assertEqual({n: e["verdict"] for n, e in answer["by"].items()},
                         {"openrouter/openai/alpha": "unchanged", "alpha-2026-01-01": "changed",
                          "openai/delta": "new", "delta": "new"})
        self.assertEqual(answer["by"]["alpha-2026-01-01"]["step"], "suffix")
        self.assertEqual(self.costs("alpha-2026-01-01"), ("exact", "alpha-2026-01-01", "4", "10"))
        self.assertEqual(self.costs("alpha-2026-01-01", at="2020-01-01T00:00:00Z")[:2], ("suffix", "alpha"))
        self.assertEqual(self.costs("alpha-2026-01-02")[:2], ("suffix", "alpha"))
        self.assertEqual(self.costs("delta", at="2020-01-01T00:00:00Z"), ("exact", "delta", "1", "2"))

    def test_a_name_of_a_card_to_come(self):
        self.ok("set", "alpha", "aliases=alpha-plus soon", "effective_from=" + LATER)
        answer = self.take({"soon": entry(1, 2), "alpha-plus": entry(7, 9)}, "--override")
        self.assertEqual({n: e["verdict"] for n, e in answer["by"].items()},
                         {"soon": "refused", "alpha-plus": "refused"})
        self.assertIn("card to come", answer["by"]["soon"]["reason"])

    def test_a_file_brings_names(self):
        answer = self.take(HEADER + ",alpha,alpha-new,,,USD/Mtok,2.5,1.25,,10,\n,delta,alpha-plus d,,,USD/Mtok,1,,,2,\n"
                                    ",eps,gamma,,,USD/Mtok,1,,,2,\n")
        self.assertEqual([e["verdict"] for e in answer["list"]], ["changed", "changed", "refused"])
        self.assertEqual(answer["by"]["eps"]["reason"], '"gamma" is a name of gamma')
        self.assertEqual(self.costs("alpha-new")[1], "alpha")
        self.assertEqual(self.costs("alpha-max")[1], "alpha")
        self.assertEqual(self.costs("alpha-plus")[1], "delta")
        self.assertEqual(self.costs("alpha-plus", at="2020-01-01T00:00:00Z")[1], "alpha")


class OverrideTest(ImportTest):
    """What an operator has set."""

    def conflict(self, entries, names, *words):
        before = self.state()
        answer = self.take(entries)
        self.assertEqual({n for n, e in answer["by"].items() if e["verdict"] == "conflict"}, set(names))
        for word in words:
            self.assertIn(word, answer["by"][names[0]]["reason"])
        if len(names) == len(entries):
            self.assertEqual(self.state(), before)
        return answer

    def test_a_model_that_was_set(self):
        self.ok("set", "beta", "input=0.2", "--now")
        self.conflict({"beta": entry(0.3, 0.9)}, ["beta"], "was set")
        self.assertEqual(self.verdicts({"beta": entry(0.2, 0.6)}), {"beta": "unchanged"})
        text = self.ok("diff", "-", stdin=text_of({"beta": entry(0.3, 0.9)}))
        self.assertRegex(text, r"beta .*input 0.2 -> 0.3, cached_input 0.075 -> -, output 0.6 -> 0.9; was set")
        self.assertIn("--override", text)
        self.assertEqual(self.verdicts({"beta": entry(0.3, 0.9)}, "--override"), {"beta": "changed"})
        self.assertEqual(self.costs("beta")[2:], ("0.3", "0.9"))
        # From now on it is the list's.
        self.assertEqual(self.verdicts({"beta": entry(0.4, 0.9)}), {"beta": "changed"})

    def test_one_that_was_withdrawn_or_is_set_for_later(self):
        self.ok("set", "beta", "unit=none", "--now")
        self.ok("set", "gamma", "input=4", "effective_from=" + LATER)
        self.conflict({"beta": entry(0.3, 0.9)}, ["beta"], "was withdrawn")
        self.conflict({"gamma": entry(3, 16)}, ["gamma"], "was set")
        text = self.ok("import", "-", "--override", stdin=text_of({"gamma": entry(3, 16)}))
        self.assertIn(f"until {LATER}, from when version 3 holds", text)

    def test_a_name_that_is_priced_by_one(self):
        self.ok("set", "house", "input=7", "output=8", "aliases=home")
        names = ["openai/house", "house-2026-01-01", "home"]
        self.conflict({n: entry(1, 2) for n in names}, names, "is priced as house, which was set")
        self.assertEqual(self.verdicts({n: entry(7, 8) for n in names}), dict.fromkeys(names, "unchanged"))
        answer = self.take({n: entry(1, 2) for n in names}, "--override")
        self.assertEqual({n: e["verdict"] for n, e in answer["by"].items()},
                         {"openai/house": "changed", "house-2026-01-01": "changed", "home": "refused"})
        self.assertIn('"home" is a name of house, which was set', answer["by"]["home"]["reason"])

    def test_one_that_would_come_before_it_for_another_name(self):
        # The longer name loses its prefix last: it is priced as what was set, and would be as the new one.
        self.ok("set", "openai/house", "input=7", "output=8")
        entries = {"house-2026-01-01": entry(1, 2), "openai/house-2026-01-01": entry(7, 8)}
        self.conflict(entries, ["house-2026-01-01"], "would price openai/house-2026-01-01", "openai/house")
        self.assertEqual(self.verdicts({"house-2026-01-01": entry(1, 2)}, verb="diff"), {"house-2026-01-01": "new"})
        self.use(("acme", "openai/house-2026-01-01", "", "", 0, 1, 1, 0, 1))
        self.conflict({"house-2026-01-01": entry(1, 2)}, ["house-2026-01-01"], "would price openai/house-2026-01-01")
        self.assertEqual(self.verdicts(entries, "--override")["house-2026-01-01"], "new")

    def test_tenants_cards_come_first_and_are_mentioned(self):
        self.ok("set", "alpha", "tenant=acme", "input=1", "output=2")
        self.ok("set", "alpha", "tenant=bolt", "discount_percent=50")
        answer = self.take({"alpha": entry(4, 16), "beta": entry(0.3, 0.9)})
        self.assertEqual({n: (e["verdict"], e["tenants"]) for n, e in answer["by"].items()},
                         {"alpha": ("changed", 2), "beta": ("changed", 0)})
        self.assertEqual(self.costs("alpha", "--tenant=acme")[2:], ("1", "2"))
        self.assertEqual(self.costs("alpha", "--tenant=bolt")[2:], ("2", "8"))
        self.assertIn("; 2 tenants have prices of their own",
                      self.ok("diff", "-", stdin=text_of({"alpha": entry(4, 17)})))

    def test_a_list_with_tenants_cards(self):
        self.ok("set", "alpha", "tenant=acme", "input=1", "output=2")
        self.ok("set", "*", "tenant=bolt", "discount_percent=10")
        answer = self.take(HEADER + "acme,alpha,,,,USD/Mtok,1.5,,,2,\nacme,beta,,,,USD/Mtok,0.1,,,0.5,\n"
                                    "bolt,beta,,,,USD/Mtok,0.1,,,0.5,\ncorp,delta,,,,USD/Mtok,1,,,2,\n")
        self.assertEqual([(e["tenant"], e["verdict"]) for e in answer["list"]],
                         [("acme", "conflict"), ("acme", "changed"), ("bolt", "conflict"), ("corp", "new")])
        self.assertEqual(self.costs("beta", "--tenant=acme")[2:], ("0.1", "0.5"))
        self.assertEqual(self.costs("beta", "--tenant=acme", at="2020-01-01T00:00:00Z")[2:], ("0.15", "0.6"))


class TimeTest(ImportTest):
    """From when a price holds."""

    def beginnings(self, version):
        return dict(line.split("|") for line in self.sql(
            "SELECT DISTINCT model, CASE WHEN isfinite(effective_from) THEN extract(epoch FROM effective_from)::bigint"
            f"::text ELSE 'ever' END FROM llm_price WHERE version = {version}").splitlines())

    def test_new_from_ever_on_and_changed_from_a_minute_to_come(self):
        now = float(self.sql("SELECT extract(epoch FROM clock_timestamp())"))
        self.take({"alpha": entry(3, 10), "delta": entry(1, 4), "beta-2026-01-01": entry(1, 2)})
        after = float(self.sql("SELECT extract(epoch FROM clock_timestamp())"))
        begins = self.beginnings(2)
        self.assertEqual(begins.pop("delta"), "ever")
        for model in ("alpha", "beta-2026-01-01"):
            self.assertEqual(int(begins[model]) % 60, 0)
            self.assertTrue(now + 60 <= int(begins[model]) <= after + 120)

    def test_from_when_one_says(self):
        out = self.ok("import", "-", "--effective-from=2026-02-03T04:05:00Z",
                      stdin=text_of({"alpha": entry(3, 10), "delta": entry(1, 4)}))
        self.assertIn("rows that are written keep their cost: streamlens-admin reprice", out)
        self.assertEqual(self.costs("alpha", at="2026-02-03T04:04:00Z")[2], "2.5")
        self.assertEqual(self.costs("alpha", at="2026-02-03T04:05:00Z")[2], "3")
        self.assertEqual(self.costs("delta", at="2020-01-01T00:00:00Z")[2], "1")
        self.take({"alpha": entry(4, 10)}, "--effective-from=" + LATER)
        self.assertEqual(self.verdicts({"alpha": entry(4, 10)}, "--effective-from=" + LATER), {"alpha": "unchanged"})
        self.assertEqual(self.verdicts({"alpha": entry(3, 10)}), {"alpha": "unchanged"})

    def test_what_a_file_says(self):
        answer = self.take(HEADER + f",alpha,,,,USD/Mtok,3,,,10,{LATER}\n"
                                    ",beta,,,,USD/Mtok,0.2,,,0.6,2026-01-01T00:00:00Z\n"
                                    ",delta,,,,USD/Mtok,1,,,2,2026-01-01T00:00:00Z\n")
        self.assertEqual([e["verdict"] for e in answer["list"]], ["changed", "refused", "new"])
        self.assertIn("in the past", answer["by"]["beta"]["reason"])
        self.assertEqual(self.costs("alpha", at="2099-12-31T00:00:00Z")[2], "2.5")
        self.assertEqual(self.costs("alpha", at=LATER)[2], "3")
        self.assertEqual(self.costs("delta", at="2025-12-31T00:00:00Z")[0], "unpriced")

    def test_a_name_that_had_a_price_once_keeps_the_past(self):
        self.take({"delta": entry(1, 4)})
        self.take(HEADER + ",delta,,,,none,,,,,\n", "--effective-from=2026-01-01T00:00:00Z")
        self.assertEqual(self.costs("delta")[0], "unpriced")
        answer = self.take({"delta": entry(2, 4)}, "--effective-from=2026-02-01T00:00:00Z")
        self.assertEqual(answer["by"]["delta"]["verdict"], "changed")
        self.assertEqual([self.costs("delta", at=f"202{y}-01-15T00:00:00Z")[2] for y in (5, 6, 7)], ["1", None, "2"])


class EffectTest(ImportTest):
    """What it would have been on last week's usage, against Decimal."""

    FORMS = {"openai/alpha": ("openai/alpha", "alpha"), "beta-2026-01-01": ("beta-2026-01-01", "beta")}

    def oracle(self, files, lines):
        """USD and requests without a price, of lines as use() takes them."""
        catalogue = Catalogue()
        for version, text in enumerate(files, 1):
            catalogue.add_file(text, version)
        total, unpriced = Decimal(0), 0
        for tenant, model, asked, tier, above, requests, uncached, cached, output in lines:
            names = [self.FORMS.get(n, (n,)) for n in (model, asked) if n]
            rates, _ = catalogue.rates(len(files), 1 << 40, tenant, names, tier, above)
            if rates == UNPRICED:
                unpriced += requests
            else:
                total += cost(rates, Usage(uncached, cached, 0, 0, output, 0), requests)
        return total, unpriced

    def test_against_decimal(self):
        rng = random.Random(11)
        models = ("alpha", "alpha-plus", "openai/alpha", "beta", "beta-2026-01-01", "gamma", "delta", "nonesuch")
        lines = [(rng.choice(("acme", "bolt")), model, rng.choice(("", "gamma")), rng.choice(("", "batch")),
                  rng.choice((0, 200000)), *(rng.randrange(1, 10**9) for _ in range(4)))
                 for model in models for _ in range(3)]
        self.use(*lines)
        self.use(("acme", "alpha", "", "", 0, 5, 5, 5, 5), hours_ago=24 * 8)  # before that
        self.ok("set", "alpha", "tenant=bolt", "discount_percent=12.5")
        with open(os.path.join(os.path.dirname(__file__), "catalogue_first.csv"), encoding="utf-8") as f:
            first = f.read()
        files = [first, "tenant,model,unit,discount_percent,aliases\nbolt,alpha,USD/Mtok,12.5,alpha-plus alpha-max\n"]
        listed = {"alpha": entry(3, 10, 0.5), "beta-2026-01-01": entry(0.25, 0.7), "delta": entry(1, 4),
                  "beta": entry(0.15, 0.6)}
        new = HEADER + (",alpha,alpha-plus alpha-max,,,USD/Mtok,3,0.5,,10,\n,beta-2026-01-01,,,,USD/Mtok,0.25,,,0.7,\n"
                        ",delta,,,,USD/Mtok,1,,,4,\n")
        before, unpriced = self.oracle(files, lines)
        after, unpriced_after = self.oracle([*files, new], lines)
        answer = self.take(listed, verb="diff")
        self.assertEqual((Decimal(answer["cost_before_usd"]), Decimal(answer["cost_after_usd"])), (before, after))
        self.assertEqual((answer["unpriced_requests_before"], answer["unpriced_requests_after"]),
                         (unpriced, unpriced_after))
        self.assertEqual(answer["requests"], sum(line[5] for line in lines))
        self.assertEqual(answer["tokens"], sum(sum(line[6:]) for line in lines))
        self.assertIs(answer["used_left_out"], False)
        for name, of in (("alpha", ("alpha", "alpha-plus", "openai/alpha")), ("beta-2026-01-01", ("beta-2026-01-01",)),
                         ("delta", ("delta",))):
            mine = [line for line in lines if line[1] in of]
            one = answer["by"][name]
            want = self.oracle(files, mine)[0], self.oracle([*files, new], mine)[0]
            self.assertEqual((Decimal(one["cost_before_usd"]), Decimal(one["cost_after_usd"])), want, name)
            self.assertEqual(one["requests"], sum(line[5] for line in mine))
        text = self.ok("diff", "-", stdin=text_of(listed))
        self.assertIn(f"{answer['cost_before_usd']} -> {answer['cost_after_usd']} USD (", text)
        # Those that were used come first, the dearest before.
        order = [line.split()[0] for line in text.splitlines() if line.startswith("  ")][1:3]
        self.assertEqual(order[0], "alpha")

    def test_a_tenant_with_names_without_end_keeps_no_prices_out(self):
        if "ASAN_OPTIONS" in os.environ:
            return  # a million names are the database's work
        self.use(("acme", "alpha", "", "", 0, 5, 10**6, 0, 0))
        at, fan = "date_trunc('hour', now()) - interval '3 hours'", 100_000
        fact_rows.series(self.stack, 2, "evil")
        fact_rows.rows(self.stack, "llm_hour", "SELECT 2", f"SELECT {at} - h * interval '1 minute'"
                       " FROM generate_series(1, 10) h", usage="(SELECT array_agg(ROW(window_start || '-' || n, '', '',"
                       f" 0, 1, 0, 0, 0, 0, 0, 0)::llm_usage) FROM generate_series(1, {fan}) n)")
        answer = self.take({"alpha": entry(3, 9)})
        self.assertEqual((answer["used_left_out"], answer["requests"]), (True, 10**6 - 1 + 5))
        self.assertEqual(answer["by"]["alpha"]["cost_after_usd"], "3")
        self.assertIn("\nthere are too many names in that usage", self.ok("diff", "-", stdin="{}"))

    def test_of_what_is_in_conflict(self):
        self.use(("acme", "beta", "", "", 0, 10, 1000000, 0, 1000000))
        self.ok("set", "beta", "input=0.2", "--now")
        answer = self.take({"beta": entry(0.3, 0.9)}, verb="diff")
        one = answer["by"]["beta"]
        self.assertEqual((one["requests"], one["cost_before_usd"], one["cost_after_usd"]), (10, "0.8", "1.2"))
        self.assertEqual((answer["cost_before_usd"], answer["cost_after_usd"]), ("0.8", "0.8"))


class TogetherTest(ImportTest):
    """Transactions."""

    def test_killed_in_the_middle_nothing_is_taken(self):
        running = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                   " AND query LIKE 'INSERT INTO llm_price %'")
        path = os.path.join(self.stack.tmp, self.stack.id + ".json")
        self.addCleanup(os.unlink, path)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text_of({f"m{i}": entry(1, 2) for i in range(500)}))
        before = self.state()
        with self.stack.holding("LOCK TABLE llm_price IN SHARE MODE"):
            p = subprocess.Popen([self.stack.program("admin"), "price", "import", path], env=self.stack.env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_for(lambda: self.sql(running + " AND wait_event_type = 'Lock'") == "1",
                         "import that has its version")
            finally:
                p.kill()
                p.wait()
        wait_for(lambda: self.sql(running) == "0", "end of what was killed")
        self.assertEqual(self.state(), before)
        self.assertIn("added as version 2\n", self.ok("import", path))
        self.assertEqual(len(self.cards(2)), 500)

    def test_two_at_once_are_one_after_the_other(self):
        command = [self.stack.program("admin"), "price", "import", "-", "--json"]
        procs = [subprocess.Popen(command, env=self.stack.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) for _ in range(4)]
        text = text_of({f"m{i}": entry(1, 2) for i in range(100)})
        for p in procs:
            p.stdin.write(text)
        for p in procs:
            p.stdin.close()
            p.stdin = None
        outs = [p.communicate(timeout=60) for p in procs]
        self.assertEqual([p.returncode for p in procs], [0] * 4, outs)
        answers = sorted((json.loads(out) for out, _ in outs), key=lambda a: a["new"])
        self.assertEqual([(a["new"], a["unchanged"], a["version"]) for a in answers],
                         [(0, 100, None)] * 3 + [(100, 0, 2)])
        self.assertEqual(self.versions(), ["1:default", "2:import"])

    def test_a_full_catalogue(self):
        self.sql("INSERT INTO llm_price SELECT 1, 't', 'm' || i, '-infinity', '', 0, '', '{}', false, NULL, 1000000,"
                 " NULL, NULL, NULL, 2000000, NULL, NULL, '', NULL FROM generate_series(1, 100000 - 3 - 2) i")
        before = self.versions()
        r = self.price("import", "-", stdin=text_of({f"n{i}": entry(1, 2) for i in range(3)}))
        self.assertEqual((r.returncode, r.stdout), (1, ""), r)
        self.assertIn("100000", r.stderr)
        self.assertEqual(self.versions(), before)
        self.assertEqual(self.take({f"n{i}": entry(1, 2) for i in range(2)})["version"], 2)

    def test_setup_leaves_what_was_imported(self):
        self.take({"beta": entry(0.3, 0.9)})
        self.addCleanup(setattr, self.stack, "catalogue", "first")
        self.stack.catalogue = "next"  # which has another price of beta
        r = self.stack.admin("setup")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assertIn("prices: beta stays as it was set\n", r.stdout)
        self.assertEqual(self.costs("beta")[2:], ("0.3", "0.9"))


class RestoreTest(ImportTest):
    """price restore and price versions."""

    NAMES = ("alpha", "alpha-plus", "alpha-max", "beta", "gamma", "delta", "house", "home")
    TIMES = ("2020-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "2100-06-01T00:00:00Z")

    def all(self):
        return {(n, t): self.ok("resolve", n, "--at", t, "--json", "--tenant=acme").split('"at"')[1]
                for n in self.NAMES for t in self.TIMES}

    def test_every_version_can_be_had_again(self):
        seen = {}

        def note():
            seen[int(self.versions()[-1].split(":")[0])] = self.all()
        note()
        self.take({"alpha": entry(3, 10), "alpha-plus": entry(4, 12), "delta": entry(1, 4)},
                  "--effective-from=2026-02-01T00:00:00Z")
        note()
        self.ok("set", "beta", "unit=none", "effective_from=2026-01-01T00:00:00Z", "--now")
        note()
        self.ok("set", "house", "input=7", "output=8", "aliases=home")
        note()
        self.ok("set", "gamma", "tenant=acme", "discount_percent=10")
        note()
        self.ok("set", "beta", "input=0.2", "output=0.9", "effective_from=" + LATER)
        note()
        self.take({"alpha": entry(5, 10), "alpha-max": entry(2, 3)}, "--effective-from=2026-02-15T00:00:00Z")
        note()
        for version in (1, 4, 2, 7, 3, 6, 5, 1):
            out = self.ok("restore", str(version))
            self.assertIn(f"prices are as they were as of version {version}\n", out)
            self.assertIn("streamlens-admin reprice", out)
            self.assertEqual(self.all(), seen[version], version)
            self.assertEqual(self.ok("restore", str(version)), f"prices are as they were as of version {version}\n")
        self.assertEqual(self.versions()[7:], [f"{v}:restore" for v in range(8, 16)])
        self.assertEqual(self.sql("SELECT restores FROM llm_price_version WHERE version = 9"), "4")

    def test_an_import_is_taken_back(self):
        entries = {"alpha": entry(3, 10), "delta": entry(1, 4), "alpha-plus": entry(9, 9)}
        before = self.all()
        self.take(entries)
        out = self.ok("restore", "1")
        self.assertIn("withdrawn delta, from ever\n", out)
        self.assertEqual(self.all(), before)
        # And can be had again.
        self.assertEqual(self.verdicts(entries), dict.fromkeys(entries, "changed"))

    def test_a_name_that_had_a_card_of_its_own_is_an_alias_again(self):
        self.take(HEADER + ",long-model,l,,,USD/Mtok,1,,,2,\n")
        entries = {"l": entry(3, 4), "long-model": entry(2, 2)}
        for _ in range(2):
            self.assertEqual(self.verdicts(entries), dict.fromkeys(entries, "changed"))
            self.assertEqual((self.costs("l")[1:3], self.costs("long-model")[1:3]), (("l", "3"), ("long-model", "2")))
            self.ok("restore", "2")
            self.assertEqual(self.costs("l"), ("exact", "long-model", "1", "2"))

    def test_whose_word_a_restored_card_is(self):
        self.ok("set", "beta", "input=0.2", "--now")
        self.ok("set", "beta", "input=0.5", "--now")
        self.take({"gamma": entry(4, 15)})
        self.ok("restore", "2")
        self.ok("restore", "3")
        self.ok("restore", "2")
        # beta is the operator's, gamma the default's, through three restorations.
        self.assertEqual(self.verdicts({"beta": entry(0.3, 0.9), "gamma": entry(5, 15)}, verb="diff"),
                         {"beta": "conflict", "gamma": "changed"})
        origins = {c["model"]: c["origin"] for c in json.loads(self.ok("list", "--json"))}
        self.assertEqual((origins["beta"], origins["alpha"], origins["gamma"]), ("set", "default", "default"))

    def test_a_name_that_would_find_another_price(self):
        # Two models that bear a name, as no command makes them: the newer card has it.
        line = "NULL, NULL, NULL, 2000000, NULL, NULL, '', NULL"
        self.sql("INSERT INTO llm_price_version VALUES (2, 'set'), (3, 'set'), (4, 'set');"
                 "INSERT INTO llm_price VALUES"
                 f" (2, '', 'x', '-infinity', '', 0, '', '{{both}}', false, NULL, 1000000, {line}),"
                 f" (3, '', 'y', '-infinity', '', 0, '', '{{both}}', false, NULL, 1100000, {line}),"
                 f" (4, '', 'x', '-infinity', '', 0, '', '{{both}}', false, NULL, 1200000, {line})")
        before = self.state()
        r = self.price("restore", "3")
        self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (1, "", 1), r)
        self.assertIn("the name both was priced as y as of version 3, and would be as x", r.stderr)
        self.assertEqual(self.state(), before)

    def test_a_version_that_is_none(self):
        before = self.state()
        for word, code in (("2", 1), ("0", 1), ("x", 2), ("-1", 2), ("1.5", 2)):
            r = self.price("restore", word)
            self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (code, "", 1), r)
        self.assertEqual(self.price("restore").returncode, 2)
        self.assertEqual(self.state(), before)

    def test_killed_in_the_middle(self):
        self.take({f"m{i}": entry(1, 2) for i in range(300)})
        before = self.state()
        waiting = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                   " AND query LIKE 'INSERT INTO llm_price %' AND wait_event_type = 'Lock'")
        with self.stack.holding("LOCK TABLE llm_price IN SHARE MODE"):
            p = subprocess.Popen([self.stack.program("admin"), "price", "restore", "1"], env=self.stack.env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_for(lambda: self.sql(waiting) == "1", "restore that has its version")
            finally:
                p.kill()
                p.wait()
        wait_for(lambda: self.sql(waiting) == "0", "end of what was killed")
        self.assertEqual(self.state(), before)

    def test_versions(self):
        self.ok("set", "beta", "input=0.2")
        self.take({"delta": entry(1, 2), "eps": entry(1, 2)})
        self.ok("restore", "2")
        versions = json.loads(self.ok("versions", "--json"))
        self.assertEqual([(v["version"], v["origin"], v["restores"], v["cards"]) for v in versions],
                         [(1, "default", None, 3), (2, "set", None, 1), (3, "import", None, 2), (4, "restore", 2, 2)])
        self.assertEqual(versions[1]["note"], "beta input=0.2")
        lines = self.ok("versions").splitlines()
        self.assertEqual(lines[0].split(), ["VERSION", "ORIGIN", "CARDS", "CREATED", "NOTE"])
        self.assertRegex(lines[4], r"^4 +restore of 2 +2 +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


if __name__ == "__main__":
    unittest.main()
