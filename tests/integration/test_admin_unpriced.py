#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin price unpriced, against rows whose usage is known."""
import collections
import datetime
import json
import random
import shlex
import unittest

import fact_rows
from stack import Stack

HOUR = 3600
CLASSES = ("uncached_prompt_tokens", "cached_prompt_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
           "completion_tokens", "reasoning_tokens")
Line = collections.namedtuple("Line", ("model", "asked", "tier", "above", "requests", *CLASSES))


def line(model, requests=1, asked="", tier="", above=0, tokens=(10, 0, 0, 0, 5, 0)):
    return Line(model, asked, tier, above, requests, *tokens)


def tokens_of(a_line):
    return sum(a_line[5:10])  # reasoning is a part of completion


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def usage(lines):
    rows = (f"({', '.join(quoted(v) if isinstance(v, str) else str(v) for v in a_line)})::llm_usage" for a_line in lines)
    return f"ARRAY[{', '.join(rows)}]::llm_usage[]"


def iso(epoch_s):
    return datetime.datetime.fromtimestamp(epoch_s, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class UnpricedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.sql("CREATE DATABASE " + cls.stack.id, dsn=cls.stack.admin_dsn)
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.setup()
        # The catalogue is older than any usage here.
        cls.stack.sql("UPDATE llm_price_version SET created_at = now() - interval '60 days'")
        now = float(cls.stack.sql("SELECT extract(epoch FROM now())"))
        cls.hour = int(now // HOUR) * HOUR - 48 * HOUR
        fact_rows.partitions(cls.stack, [f"to_timestamp({cls.hour + d * 24 * HOUR})" for d in range(-9, 3)])

    def setUp(self):
        self.sql("DELETE FROM llm_series; DELETE FROM llm_minute; DELETE FROM llm_hour; DELETE FROM llm_publish;"
                 " DELETE FROM llm_reprice; DELETE FROM llm_price WHERE version > 1;"
                 " DELETE FROM llm_price_version WHERE version > 1")
        self.series = {}

    def sql(self, statement):
        return self.stack.sql(statement)

    def put(self, tenant, hour, lines, version=1, unpriced=0, guessed=0, model="m"):
        """An hour, counted from self.hour, with one minute that has all of it."""
        key = tenant, model
        if key not in self.series:
            self.series[key] = len(self.series) + 1
            fact_rows.series(self.stack, self.series[key], tenant, model=model)
        at = f"SELECT to_timestamp({self.hour + hour * HOUR})"
        columns = {"usage": usage(lines), "price_version": str(version), "unpriced_requests": str(unpriced),
                   "guessed_requests": str(guessed), "requests": str(sum(x.requests for x in lines)),
                   "responses": str(sum(x.requests for x in lines))}
        for table in ("llm_minute", "llm_hour"):
            fact_rows.rows(self.stack, table, f"SELECT {self.series[key]}", at, **columns)
        self.sql(f"INSERT INTO llm_window (window_start) {at} ON CONFLICT DO NOTHING")

    def admin(self, *args, **env):
        return self.stack.admin(*args, env=env)

    def ok(self, *args, **env):
        r = self.admin(*args, **env)
        self.assertEqual((r.returncode, r.stderr), (0, ""), r)
        return r.stdout

    def report(self, *args):
        return json.loads(self.ok("price", "unpriced", "--json", *args))

    def names(self, *args):
        """model → what is said of it, where each model is there once."""
        listed = self.report(*args)["names"]
        self.assertEqual(len({n["model"] for n in listed}), len(listed))
        return {n["model"]: n for n in listed}

    def refused(self, *args, code, words, **env):
        r = self.admin("price", "unpriced", *args, **env)
        self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (code, "", 1), r)
        for word in words:
            self.assertIn(word, r.stderr)


class SumsTest(UnpricedTest):
    def test_sums_are_those_of_the_rows(self):
        rng = random.Random(6)
        priced = ("gpt-4o", "claude-sonnet-4-5", "openai/gpt-4o-mini")
        without = ("gpt4o", "house-llm", "claude-sonnet-4.9", "x/y")
        want = collections.defaultdict(lambda: [0, 0, set(), set()])
        total = [0, 0]
        for tenant in ("acme", "beta", "zeta", "émile", "dora"):
            for hour in rng.sample(range(-100, 40), 6):
                lines = []
                for model in rng.sample(priced + without, rng.randrange(1, 7)):
                    asked = rng.choice(("", "", "gpt-4o", "house-asked"))
                    for above in rng.sample((0, 32000, 128000), rng.randrange(1, 3)):
                        tokens = [rng.randrange(1000) for _ in CLASSES]
                        lines.append(line(model, rng.randrange(1, 50), asked, "", above, tokens))
                self.put(tenant, hour, lines, version=rng.choice((1, 1, 1)))
                for x in lines:
                    total[0] += x.requests
                    total[1] += tokens_of(x)
                    if x.model in without and x.asked != "gpt-4o":
                        w = want[x.model, x.asked or None]
                        w[0] += x.requests
                        w[1] += tokens_of(x)
                        w[2].add(hour)
                        w[3].add(tenant)
        got = self.report()
        self.assertEqual((got["requests"], got["tokens"]), tuple(total))
        self.assertEqual(got["unpriced_requests"], sum(w[0] for w in want.values()))
        self.assertEqual(got["unpriced_tokens"], sum(w[1] for w in want.values()))
        self.assertEqual((got["guessed_requests"], got["priced_since"]), (0, []))
        self.assertEqual([n["tokens"] for n in got["names"]], sorted((w[1] for w in want.values()), reverse=True))
        self.assertEqual(len(got["names"]), len(want))
        for n in got["names"]:
            requests, tokens, hours, tenants = want[n["model"], n["asked"]]
            self.assertEqual(
                n, {"model": n["model"], "asked": n["asked"], "why": "no_card", "tier": None, "price_begins": None,
                    "requests": requests, "tokens": tokens, "first": iso(self.hour + min(hours) * HOUR),
                    "last": iso(self.hour + max(hours) * HOUR), "tenants": len(tenants),
                    "tenant_ids": sorted(tenants, key=str.encode) if len(tenants) <= 3 else None,
                    "nearest": n["nearest"]})

    def test_nearest_entries_are_a_hint(self):
        self.put("acme", 0, [line("gpt4o"), line("house-llm"), line("house-2", asked="claude-sonet-4-5")])
        names = self.names()
        self.assertEqual(names["gpt4o"]["nearest"][0], {"model": "gpt-4o", "name": "gpt-4o"})
        self.assertEqual(names["house-llm"]["nearest"], [])
        self.assertEqual(names["house-2"]["nearest"][0]["model"], "claude-sonnet-4-5")

    def test_hours_that_begin_in_the_range_count(self):
        for hour in (-200, -169, -168, 0, 1, 2):
            self.put("acme", hour, [line("house-llm", 1 << (hour % 7))], model=f"m{hour}")
            self.put("beta", hour, [line("house-llm", 1000)], model=f"m{hour}")
        at = {h: iso(self.hour + h * HOUR) for h in (-200, -168, 0, 1, 2, 3)}

        def requests(*args):
            return self.report("--tenant=acme", *args)["requests"]

        def bits(*hours):
            return sum(1 << (h % 7) for h in hours)

        self.assertEqual(requests("--from", at[0], "--to", at[2]), bits(0, 1))
        self.assertEqual(requests("--from", at[1].replace("00Z", "01Z"), "--to", at[2].replace("00Z", "01Z")), bits(2))
        self.assertEqual(requests("--to", at[1]), bits(0))  # 7 days before
        self.assertEqual(requests("--to", at[0]), bits(-168))
        self.assertEqual(requests("--from", at[0]), bits(0, 1, 2))
        self.assertEqual(requests(), bits(0, 1, 2))
        self.assertEqual(requests("--from", at[-200]), bits(-200, -169, -168, 0, 1, 2))

    def test_what_rows_had_no_more_room_for_has_a_line_of_its_own(self):
        self.put("acme", 0, [*(line(f"house-{i:02}", tokens=(0,) * 6) for i in range(64)), line("__other__", 7)],
                 unpriced=71)
        names = self.names()
        self.assertEqual(len(names), 65)
        other = names["__other__"]
        self.assertEqual((other["why"], other["requests"], other["tokens"], other["nearest"]), ("folded", 7, 15, []))
        self.assertIn("names beyond 64 of a row", self.ok("price", "unpriced"))


class WhyTest(UnpricedTest):
    def test_a_tier_that_the_card_does_not_know(self):
        self.put("acme", 0, [line("gpt-4o", 3, tier="flex"), line("gpt-4o", 5, tier="batch"),
                             line("openai/gpt-4o", 2, tier="flex")])
        names = self.names()
        self.assertEqual(set(names), {"gpt-4o", "openai/gpt-4o"})
        self.assertEqual((names["gpt-4o"]["why"], names["gpt-4o"]["tier"], names["gpt-4o"]["requests"]),
                         ("no_tier", "flex", 3))
        self.assertEqual(names["openai/gpt-4o"]["nearest"], [{"model": "gpt-4o", "name": "gpt-4o"}])
        self.assertIn("no price of tier flex", self.ok("price", "unpriced"))

    def test_a_guess_is_no_price(self):
        self.put("acme", 0, [line("house-llm", 9), line("house-llm", 4, tier="flex")], guessed=9, unpriced=4)
        self.ok("setup", PRICE_DEFAULT="10/30")
        got = self.report()
        self.assertEqual([(n["why"], n["requests"]) for n in got["names"]], [("guessed", 9), ("no_card", 4)])
        self.assertEqual((got["guessed_requests"], got["guessed_tokens"]), (9, 15))
        self.assertEqual((got["unpriced_requests"], got["unpriced_tokens"]), (4, 15))
        self.assertEqual(got["priced_since"], [])
        self.assertIn("guessed: 9 requests", self.ok("price", "unpriced"))

    def test_a_tenants_card_is_its_own(self):
        self.ok("price", "set", "house-llm", "tenant=acme", "input=1", "output=2")
        self.put("acme", 0, [line("house-llm", 1)], version=2)
        self.put("beta", 0, [line("house-llm", 2)], version=2)
        names = self.names()
        self.assertEqual((names["house-llm"]["requests"], names["house-llm"]["tenant_ids"]), (2, ["beta"]))
        self.assertEqual(self.report("--tenant=acme")["names"], [])

    def test_a_price_that_begins_later_is_said(self):
        begins = iso(self.hour + HOUR)
        self.stack.sql("INSERT INTO llm_price_version (version, origin) VALUES (2, 'set')")
        self.sql("INSERT INTO llm_price (version, tenant_id, model, effective_from, tier, above_tokens, provider,"
                 f" aliases, input_pusd, output_pusd, source) VALUES (2, '', 'house-llm', '{begins}', '', 0, '', '{{}}',"
                 " 1, 1, '')")
        for hour in (0, 1):
            self.put("acme", hour, [line("house-llm", hour + 1)], version=2, unpriced=1 - hour)
        n = self.names()["house-llm"]
        self.assertEqual((n["why"], n["price_begins"], n["requests"]), ("not_yet", begins, 1))
        self.assertEqual(n["nearest"], [{"model": "house-llm", "name": "house-llm"}])
        self.assertIn("price begins " + begins, self.ok("price", "unpriced"))
        self.assertEqual(self.report()["priced_since"], [])


class PricedSinceTest(UnpricedTest):
    def since(self, *args):
        got = self.report(*args)
        self.assertEqual(got["names"], [])
        return [(s["model"], s["asked"], s["requests"], s["from"], s["to"], s["tenant_ids"])
                for s in got["priced_since"]]

    def set_price(self, created, *words):
        self.ok("price", "set", *words)
        self.sql(f"UPDATE llm_price_version SET created_at = to_timestamp({self.hour + created * HOUR}) WHERE version = 2")

    def test_what_has_a_price_by_now_is_to_be_priced_again(self):
        self.put("acme", 0, [line("house-llm", 10), line("gpt-4o", 100)], unpriced=10)
        self.put("beta", 1, [line("house-llm", 20)], unpriced=20)
        # In this hour the price came: its row names the newest version of its minutes.
        self.put("acme", 2, [line("house-llm", 40), line("gpt-4o", 100)], version=2, unpriced=30)
        self.put("acme", 3, [line("house-llm", 80)], version=2)
        self.set_price(2.5, "house-llm", "input=1", "output=2")
        at = [iso(self.hour + h * HOUR) for h in range(4)]
        self.assertEqual(self.since(), [("house-llm", None, 60, at[0], at[3], ["acme", "beta"])])
        self.assertEqual(self.since("--tenant=beta"), [("house-llm", None, 20, at[1], at[2], ["beta"])])

    def test_the_command_that_is_proposed_puts_it_right(self):
        name = "it's $(a) \"house\" llm"
        for hour in (0, 3):
            self.put("acme", hour, [line(name, 10), line("house-2", 1, asked="house-3")], unpriced=11)
        self.put("beta", 1, [line(name, 10)], unpriced=10)
        self.ok("price", "set", name, "input=1", "output=2")
        self.ok("price", "set", "house-3", "input=1", "output=2")
        self.sql(f"UPDATE llm_price_version SET created_at = to_timestamp({self.hour + 10 * HOUR}) WHERE version > 1")
        self.assertEqual(len(self.since("--tenant=acme")), 2)
        for tenant in ("acme", "beta"):
            text = self.ok("price", "unpriced", "--tenant=" + tenant)
            commands = ["streamlens-admin" + row.split("streamlens-admin", 1)[1] for row in text.splitlines()
                        if "streamlens-admin reprice" in row]
            self.assertEqual(len(commands), 2 if tenant == "acme" else 1)
            for command in commands:
                words = shlex.split(command)
                self.assertIn(words[4], ("--model=" + name, "--model=house-2"))
                self.assertEqual(words[5:], ["--tenant=" + tenant])
                self.ok(*words[1:])
        self.assertEqual(self.since(), [])
        self.assertIn("all of them have a price", self.ok("price", "unpriced"))

    def test_a_guess_of_before_counts_too(self):
        self.ok("setup", PRICE_DEFAULT="10/30")
        self.put("acme", 0, [line("house-llm", 10)], version=2, guessed=10)
        self.ok("price", "set", "house-llm", "input=1", "output=2")
        self.assertEqual([s[2] for s in self.since()], [10])

    def test_what_its_rows_do_not_count_so_is_not_named(self):
        self.put("acme", 0, [line("house-llm", 10)])  # priced anew already, whatever version it names
        self.put("acme", 1, [line("gpt-4o", 10), line("house-2", 5)], unpriced=5)
        self.set_price(-2, "house-llm", "input=1", "output=2")
        got = self.report()
        self.assertEqual(([n["model"] for n in got["names"]], got["priced_since"]), (["house-2"], []))


class ShownTest(UnpricedTest):
    def test_nothing_that_strangers_chose_steers_a_terminal(self):
        evil = "gpt\x1b[2J\n4o\u202e\u009b; rm 'x'"
        self.put("ten\x07ant", 0, [line(evil, 3, asked="as\x1bked", tier="ti\x1ber")], unpriced=3)
        self.put("ten\x07ant", 1, [line(evil, 3)], unpriced=3)
        n = self.report()["names"]
        self.assertEqual({x["model"] for x in n}, {evil})
        self.assertEqual({x["asked"] for x in n}, {"as\x1bked", None})
        text = self.ok("price", "unpriced")
        raw = self.ok("price", "unpriced", "--json")
        self.assertIn("gpt\\x1b[2J\\n4o\\xe2\\x80\\xae\\xc2\\x9b; rm 'x'", text)
        turned = "house\u202ellm"  # as a card may be called
        self.put("acme", 2, [line(turned, 3)], unpriced=3)
        self.ok("price", "set", turned, "input=1", "output=2")
        self.sql("UPDATE llm_price_version SET created_at = now() - interval '60 days'")
        since = self.ok("price", "unpriced", "--tenant=acme")
        self.assertIn("house\\xe2\\x80\\xaellm", since)
        self.assertIn("streamlens-admin reprice --from=", since)
        self.assertNotIn("--model", since)
        for shown in (text, raw, since):
            self.assertEqual([c for c in shown if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e")], [])

    def test_people_see_200_names_and_programs_all(self):
        lines = [line(f"house-{i:04}", tokens=(5000 - i, 0, 0, 0, 0, 0)) for i in range(1100)]
        self.put("acme", 0, [*lines, line("gpt4o", tokens=(1, 0, 0, 0, 0, 0))], unpriced=1101)
        text = self.ok("price", "unpriced").splitlines()
        self.assertEqual(len([x for x in text if x.startswith("house-")]), 200)
        self.assertTrue(text[200].startswith("house-0199 "), text[200])
        self.assertEqual(text[201], "… and 901 more (--json has all)")
        names = self.report()["names"]
        self.assertEqual([n["model"] for n in names], [x.model for x in lines] + ["gpt4o"])
        self.assertEqual([n["nearest"] for n in names], [[]] * 1000 + [None] * 101)

    def test_nothing_used_is_nothing_unpriced(self):
        got = self.report()
        self.assertEqual((got["requests"], got["names"], got["priced_since"], got["version"]), (0, [], [], 1))
        self.assertIn("all of them have a price", self.ok("price", "unpriced"))

    def test_what_was_asked_wrongly_is_said(self):
        self.put("acme", 0, [line("house-llm")])
        self.refused("--from=yesterday", code=2, words=["--from", "yesterday", "RFC 3339"])
        self.refused("--to=2026-13-01T00:00:00Z", code=2, words=["--to", "RFC 3339"])
        self.refused("--from=2026-11-02T00:00:00Z", "--to=2026-11-02T00:00:00Z", code=2, words=["--to", "later"])
        self.refused("--from=2999-01-01T00:00:00Z", code=2, words=["--to", "later"])
        self.refused("--tenant=nobody", code=1, words=["--tenant", "nobody", "no rows"])
        self.refused("--tenant=", code=2, words=["--tenant"])
        self.refused("more", code=2, words=["more"])
        self.refused(code=1, words=["POSTGRES_DSN"], POSTGRES_DSN=self.stack.admin_dsn)


if __name__ == "__main__":
    unittest.main()
