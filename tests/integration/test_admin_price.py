#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin price, and the prices that setup loads, against a real database."""
import datetime
import json
import os
import re
import subprocess
import unittest

from stack import Stack, iso, wait_for

HEADER = "tenant,provider,model,aliases,tier,above_tokens,unit,input,cached_input,output,effective_from\n"
MINUTE = 60


class AdminStack(Stack):
    """With the small default catalogues of this directory."""
    catalogue = "first"

    def program(self, name):
        if name == "admin":
            return os.path.join(self.build, "tests", "integration", "admin_" + self.catalogue)
        return super().program(name)


class PriceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = AdminStack()
        cls.stack.sql("CREATE DATABASE " + cls.stack.id, dsn=cls.stack.admin_dsn)
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.setup()

    def setUp(self):
        self.stack.catalogue = "first"
        self.sql("TRUNCATE llm_price, llm_price_version, llm_reprice")
        self.setup_ok()

    def sql(self, statement):
        return self.stack.sql(statement)

    def setup_ok(self, **env):
        r = self.stack.admin("setup", env=env)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout

    def price(self, *args, stdin=None):
        return subprocess.run([self.stack.program("admin"), "price", *args], env=self.stack.env,
                              input=stdin if stdin is not None else "", capture_output=True,
                              text=not isinstance(stdin, bytes), timeout=120, check=False)

    def ok(self, *args, stdin=None):
        r = self.price(*args, stdin=stdin)
        self.assertEqual((r.returncode, r.stderr), (0, ""), r)
        return r.stdout

    def json(self, *args):
        return json.loads(self.ok(*args, "--json"))

    def state(self):
        return self.sql("SELECT (SELECT json_agg(v ORDER BY version) FROM llm_price_version v),"
                        " (SELECT json_agg(p ORDER BY p) FROM llm_price p)")

    def refused(self, *args, code=1, words=(), stdin=None):
        """One line on standard error with the words; nothing printed, no row of prices changed."""
        before = self.state()
        r = self.price(*args, stdin=stdin)
        self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (code, "", 1), r)
        for word in words:
            self.assertIn(word, r.stderr)
        self.assertEqual(self.state(), before)
        return r.stderr

    def versions(self):
        return self.sql("SELECT version || ':' || origin FROM llm_price_version ORDER BY version").split()

    def cards(self, version):
        """model → how many lines."""
        text = self.sql("SELECT tenant_id || '/' || model, count(*) FROM llm_price WHERE version ="
                        f" {version} GROUP BY 1 ORDER BY 1")
        return dict(line.split("|") for line in text.splitlines())

    def line(self, model, tenant="", tier="", above=0, **columns):
        """The price of a model's line by the newest of its cards: input, cached input, output."""
        return self.sql("SELECT input_pusd, cached_input_pusd, output_pusd FROM llm_price WHERE"
                        f" model = '{model}' AND tenant_id = '{tenant}' AND tier = '{tier}' AND"
                        f" above_tokens = {above} AND (version, effective_from) = (SELECT version,"
                        f" effective_from FROM llm_price WHERE model = '{model}' AND tenant_id ="
                        f" '{tenant}' ORDER BY version DESC LIMIT 1)")

    def holding(self, model, at="2100-01-01T00:00:00Z", *args):
        return self.json("resolve", model, "--at", at, *args)

    def database_time(self):
        return float(self.sql("SELECT extract(epoch FROM clock_timestamp())"))


class SetupTest(PriceTest):
    """What setup loads."""

    def test_the_default_catalogue_is_version_one(self):
        self.assertEqual(self.versions(), ["1:default"])
        self.assertEqual(self.cards(1), {"/alpha": "3", "/beta": "1", "/gamma": "1"})
        self.assertEqual(
            self.sql("SELECT tier, above_tokens, effective_from, provider, aliases, input_pusd,"
                     " cached_input_pusd, cache_write_5m_pusd, output_pusd, discount_ppm, source, as_of"
                     " FROM llm_price WHERE model = 'alpha' ORDER BY 1, 2").splitlines(),
            ["|0|-infinity|maker|{alpha-plus,alpha-max}|2500000|1250000||10000000||list one|2026-01-01",
             "|200000|-infinity|maker|{alpha-plus,alpha-max}|5000000|2500000||15000000||list one|2026-01-01",
             "batch|0|-infinity|maker|{alpha-plus,alpha-max}|1250000|||5000000||list one|2026-01-01"])
        before = self.state()
        self.assertIn("prices: found version 1\n", self.setup_ok())
        self.assertEqual(self.state(), before)

    def test_many_at_once_load_it_once(self):
        self.sql("TRUNCATE llm_price, llm_price_version, llm_reprice")
        procs = [subprocess.Popen([self.stack.program("admin"), "setup"], stderr=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True,
                                  env={**self.stack.env, "PRICE_DEFAULT": "10/30"}) for _ in range(4)]
        outs = [p.communicate(timeout=60) for p in procs]
        self.assertEqual([(p.returncode, err) for p, (_, err) in zip(procs, outs)], [(0, "")] * 4)
        self.assertEqual(self.versions(), ["1:default", "2:set"])
        text = "".join(out for out, _ in outs)
        self.assertEqual(text.count("added as version 1\n"), 1)
        self.assertEqual(text.count("prices: set: models without a price"), 1)

    def test_a_newer_catalogue_adds_what_differs(self):
        self.stack.catalogue = "next"
        self.assertIn("prices: 4 cards of the default catalogue added as version 2\n", self.setup_ok())
        self.assertEqual(self.versions(), ["1:default", "2:default"])
        self.assertEqual(self.cards(2), {"/alpha": "2", "/beta": "1", "/delta": "1", "/epsilon": "1"})
        before = self.state()
        self.setup_ok()
        # The build before does not take the prices back.
        self.stack.catalogue = "first"
        self.setup_ok()
        self.assertEqual(self.state(), before)

    def test_what_an_operator_set_is_not_touched(self):
        self.ok("set", "beta", "input=0.3")
        self.ok("set", "house", "input=7", "output=8")  # epsilon's other name in the newer one
        self.ok("set", "alpha", "tenant=acme", "discount_percent=10")  # a tenant's is no reason
        self.stack.catalogue = "next"
        out = self.setup_ok()
        self.assertIn("prices: beta stays as it was set\n", out)
        self.assertIn("prices: epsilon is left out: it has the name house, as house that was set\n", out)
        self.assertEqual(self.cards(5), {"/alpha": "2", "/delta": "1"})
        self.assertEqual(self.holding("beta")["prices"][0]["input"], "0.3")
        self.assertEqual(self.holding("house")["prices"][0]["input"], "7")
        self.assertEqual(self.holding("alpha")["prices"][0]["input"], "2")

    def test_what_an_operator_withdrew_stays_withdrawn(self):
        self.ok("set", "beta", "unit=none", "--now")
        self.ok("set", "house", "input=7", "output=8")
        self.ok("set", "house", "unit=none", "--now")
        self.stack.catalogue = "next"
        out = self.setup_ok()
        self.assertIn("prices: beta stays withdrawn\n", out)
        self.assertIn("prices: epsilon is left out", out)
        self.assertEqual(self.cards(5), {"/alpha": "2", "/delta": "1"})
        for model in ("beta", "house"):
            self.assertEqual(self.holding(model)["step"], "unpriced")
        # Given a price once more it is one that was set.
        self.ok("set", "beta", "input=0.3", "output=1", "effective_from=2100-01-01T00:00:00Z")
        self.sql("DELETE FROM llm_price WHERE version = 5")
        self.sql("DELETE FROM llm_price_version WHERE version = 5")
        self.assertIn("prices: beta stays as it was set\n", self.setup_ok())

    def test_what_the_operator_has_100_times_off_is_left_out(self):
        self.sql("TRUNCATE llm_price, llm_price_version, llm_reprice")
        self.ok("set", "-", stdin=HEADER + ",maker,alpha,,,,USD/Mtok,250,,1000,\n"
                ",maker,x,delta EPSILON,,,USD/Mtok,0.002,,0.008,\n")
        self.stack.catalogue = "next"
        out = self.setup_ok()
        self.assertIn("prices: alpha stays as it was set\n", out)
        self.assertIn("prices: delta is left out: it has the name delta, as x that was set\n", out)
        self.assertIn("prices: epsilon is left out: it has the name epsilon, as x that was set\n", out)
        self.assertIn("prices: 2 cards of the default catalogue added as version 2\n", out)
        self.assertEqual(self.cards(2), {"/beta": "1", "/gamma": "1"})
        # What is left after all that can still be changed.
        self.ok("set", "-", stdin=self.ok("list", "--csv") + ",maker,y,,,,USD/Mtok,1,,,,4,,,,,,\n")

    def test_a_newer_catalogue_for_which_there_is_no_room_is_left_out(self):
        self.sql("INSERT INTO llm_price SELECT 1, 't', 'm' || i, '-infinity', '', 0, '', '{}', false, NULL,"
                 " 1000000, NULL, NULL, NULL, 2000000, NULL, NULL, '', NULL"
                 " FROM generate_series(1, 100000 - 3 - 3) i")
        self.stack.catalogue = "next"
        before = self.versions()
        self.assertIn("prices: no room for 4 cards of the default catalogue: 99997 of 100000 are taken\n",
                      self.setup_ok())
        self.assertEqual(self.versions(), before)
        self.sql("DELETE FROM llm_price WHERE model = 'm1'")
        self.assertIn("prices: 4 cards of the default catalogue added as version 2\n", self.setup_ok())

    def test_price_default(self):
        self.assertEqual(self.holding("nonesuch")["step"], "unpriced")
        self.assertNotIn("models without a price", self.setup_ok())
        self.assertIn("prices: set: models without a price cost 10/30 USD per million tokens, from ever\n",
                      self.setup_ok(PRICE_DEFAULT="10/30"))
        self.assertEqual(self.versions(), ["1:default", "2:set"])
        self.assertEqual(self.sql("SELECT tenant_id, model, input_pusd, output_pusd, effective_from,"
                                  " source FROM llm_price WHERE version = 2"),
                         "|*|10000000|30000000|-infinity|PRICE_DEFAULT")
        found = self.holding("nonesuch")
        self.assertEqual((found["step"], found["model"], found["prices"][0]["output"]),
                         ("default", "*", "30"))
        before = self.state()
        self.assertIn("prices: found: models without a price cost 10/30 USD per million tokens, from ever\n",
                      self.setup_ok(PRICE_DEFAULT="10.0/30"))
        self.assertIn("prices: found: models without a price cost 10/30 USD per million tokens, from ever;"
                      " streamlens-admin price set '*' unit=none takes that back\n", self.setup_ok())
        self.assertEqual(self.state(), before)

    def test_a_price_default_is_withdrawn(self):
        self.setup_ok(PRICE_DEFAULT="10/30")
        self.ok("set", "*", "unit=none", "--now")
        minute = self.sql("SELECT max(extract(epoch FROM effective_from)) FROM llm_price WHERE withdrawn")
        self.assertEqual(self.holding("nonesuch")["step"], "unpriced")
        self.assertEqual(self.holding("nonesuch", iso(float(minute) - 1))["prices"][0]["input"], "10")
        before = self.state()
        self.assertNotIn("models without a price", self.setup_ok())
        self.assertEqual(self.state(), before)
        # Another one, however far off, and the withdrawal of a price to come.
        self.assertIn("prices: set: models without a price cost 0.05/0.2 USD", self.setup_ok(PRICE_DEFAULT="0.05/0.2"))
        self.assertEqual(self.holding("nonesuch")["prices"][0]["input"], "0.05")
        self.ok("set", "*", "unit=none", "effective_from=2100-01-01T00:00:00Z")
        before = self.state()
        self.assertIn("prices: found: models without a price cost 0.05/0.2", self.setup_ok(PRICE_DEFAULT="0.05/0.2"))
        self.assertEqual(self.state(), before)
        self.assertEqual(self.holding("nonesuch")["step"], "unpriced")

    def test_a_price_default_100_times_off_the_one_before_is_refused(self):
        self.setup_ok(PRICE_DEFAULT="10/30")
        self.ok("set", "*", "input=0.5", "output=1.5", "effective_from=2026-01-01T00:00:00Z", "--now")
        before = self.state()
        for value in ("50/30", "10/150", "0.005/1"):
            r = self.stack.admin("setup", env={"PRICE_DEFAULT": value})
            self.assertEqual((r.returncode, r.stderr.count("\n")), (1, 1), r)
            self.assertIn("PRICE_DEFAULT", r.stderr)
            self.assertEqual(self.state(), before)
        self.setup_ok(PRICE_DEFAULT="49/30")

    def test_another_price_default_begins_at_a_minute_to_come(self):
        self.setup_ok(PRICE_DEFAULT="10/30")
        self.setup_ok(PRICE_DEFAULT="5/15")
        before = self.state()
        self.setup_ok(PRICE_DEFAULT="5/15")
        self.assertEqual(self.state(), before)
        self.assertEqual(self.holding("nonesuch", "2020-01-01T00:00:00Z")["prices"][0]["input"], "10")
        self.assertEqual(self.holding("nonesuch")["prices"][0]["input"], "5")

    def test_a_price_default_that_is_none(self):
        for value in ("10", "10/", "/30", "a/b", "-1/30", "10/30/50", "10,1/30", '"10"/30', "10/30000"):
            before = self.state()
            r = self.stack.admin("setup", env={"PRICE_DEFAULT": value})
            self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (2, "", 1), r)
            self.assertIn("PRICE_DEFAULT", r.stderr)
            self.assertEqual(self.state(), before)


class FileTest(PriceTest):
    """price check FILE and price set FILE."""

    def test_all_cards_are_one_version(self):
        text = HEADER + (",maker,delta,d1 d2,,,USD/Mtok,1,0.1,4,\n,maker,delta,,batch,,USD/Mtok,0.5,,2,\n"
                         "acme,,alpha,,,,USD/ktok,0.002,0.001,0.008,2026-06-01T00:00:00Z\n")
        out = self.ok("check", "-", stdin=text)
        self.assertIn("new delta, from ever: input 1, cached_input 0.1, output 4, batch input 0.5", out)
        self.assertIn("new alpha of tenant acme, from 2026-06-01T00:00:00Z", out)
        self.assertIn("2 of 2 cards change something\n", out)
        self.assertEqual(self.versions(), ["1:default"])
        out = self.ok("set", "-", stdin=text)
        self.assertIn("added as version 2\n", out)
        self.assertEqual(self.versions(), ["1:default", "2:set"])
        self.assertEqual(self.cards(2), {"/delta": "2", "acme/alpha": "1"})
        self.assertEqual(self.line("alpha", "acme"), "2000000|1000000|8000000")
        self.assertIn("0 of 2 cards change something\n", self.ok("set", "-", stdin=text))
        self.assertEqual(self.versions(), ["1:default", "2:set"])

    def test_a_file_withdraws(self):
        text = HEADER + (",,beta,,,,none,,,,2100-01-01T00:00:00Z\nacme,,beta,,,,none,,,,\n"
                         ",,delta,,,,none,,,,\n,,gamma,,,,USD/Mtok,3,,16,2100-01-01T00:00:00Z\n")
        out = self.ok("check", "-", stdin=text)
        self.assertIn("withdrawn beta, from 2100-01-01T00:00:00Z\n", out)
        self.assertIn("2 of 4 cards change something\n", out)
        self.ok("set", "-", stdin=text)
        self.assertEqual(self.cards(2), {"/beta": "1", "/gamma": "1"})
        self.assertIn("0 of 4 cards", self.ok("set", "-", stdin=text))
        self.refused("set", "-", stdin=HEADER + ",,beta,,,,none,1,,,2100-01-01T00:00:00Z\n",
                     words=["input: line 2: must be empty"])

    def test_a_file_by_its_name(self):
        path = os.path.join(self.stack.tmp, self.stack.id + ".csv")
        self.addCleanup(os.unlink, path)
        with open(path, "w", encoding="utf-8") as f:
            f.write(HEADER + ",maker,delta,,,,USD/Mtok,1,,4,\n")
        self.ok("check", path)
        self.ok("set", path)
        self.assertEqual(self.cards(2), {"/delta": "1"})
        self.assertEqual(self.sql("SELECT note FROM llm_price_version WHERE version = 2"), path)
        for command in ("check", "set"):
            self.refused(command, path + "no", words=["cannot open", path + "no"])
            self.refused(command, "/", words=["cannot read"])

    def test_only_what_changes_is_added(self):
        edited = self.ok("list", "--csv").replace(",0.6,", ",0.7,")
        out = self.ok("set", "-", "--now", stdin=edited)
        self.assertIn("changed beta, from ever: output 0.6 -> 0.7\n1 of 3 cards change something\n", out)
        self.assertEqual(self.cards(2), {"/beta": "1"})

    def test_what_is_wrong_is_named_with_its_line_and_nothing_is_loaded(self):
        good = ",maker,delta,,,,USD/Mtok,1,,4,\n"
        for bad, words in (
                (",maker,x,,,,USD/Mtok,-1,,4,\n", ["line 3", "input", "negative"]),
                (",maker,x,,,,USD/Mtok,2500,,4000,\n", ["line 3", "input", "unit"]),
                (",maker,x,,,,USD/tok,2.5,,10,\n", ["line 3", "input", "unit"]),
                (",maker,beta,,,,USD/Mtok,150,,600,2100-01-01T00:00:00Z\n", ["line 3", "input"]),
                (",maker,x,,,,EUR/Mtok,1,,4,\n", ["line 3", "unit", "USD/Mtok"]),
                (",maker,x,,,,,1,,4,\n", ["line 3", "unit"]),
                (",maker,x,beta,,,USD/Mtok,1,,4,\n", ["line 3", "aliases", "beta"]),
                (",maker,x,delta,,,USD/Mtok,1,,4,\n", ["line 3", "aliases", "delta"]),
                (",maker,x,a a,,,USD/Mtok,1,,4,\n", ["line 3", "aliases"]),
                (",maker,x,,,,USD/Mtok,1,,,\n", ["line 3", "output"]),
                (",maker,x,,,100,USD/Mtok,1,,4,\n", ["line 3", "above_tokens"]),
                (",maker,x,,,,USD/Mtok,1,,4,2100-01-01T00:00:30Z\n", ["line 3", "effective_from"]),
                (",maker,x,,,,USD/Mtok,one,,4,\n", ["line 3", "input"]),
                (",maker,x,,,\n", ["line 3"]),
                (",maker,delta,,,,USD/Mtok,1,,4,\n", ["line 3"]),
                (",maker,x,,,,USD/Mtok,1,,4,\n,maker,y,,,,USD/Mtok,-1,,4,\n,maker,z,,,,USD/Mtok,-1,,4,\n",
                 ["line 4", "input"])):
            with self.subTest(bad=bad):
                for command in ("check", "set"):
                    self.refused(command, "-", stdin=HEADER + good + bad, words=words)

    def test_killed_on_the_way_nothing_is_loaded_and_readers_did_not_wait(self):
        running = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                   " AND query LIKE 'INSERT INTO llm_price %'")
        with self.stack.holding("LOCK TABLE llm_price IN SHARE MODE"):
            p = subprocess.Popen([self.stack.program("admin"), "price", "set", "delta", "input=1", "output=4"],
                                 env=self.stack.env, stderr=subprocess.DEVNULL)
            try:
                wait_for(lambda: self.sql(running + " AND wait_event_type = 'Lock'") == "1",
                         "price set that has added its version")
                self.assertIn("catalogue version 1;", self.ok("list"))
                self.assertIsNone(p.poll())  # else the list waited for it
            finally:
                p.kill()
                p.wait()
        wait_for(lambda: self.sql(running) == "0", "end of what was killed")
        self.assertEqual(self.versions(), ["1:default"])
        self.assertIn("added as version 2", self.ok("set", "delta", "input=1", "output=4"))

    def test_a_file_without_a_database(self):
        env = {**self.stack.env, "POSTGRES_DSN": self.stack.dsn + "_missing"}
        command = [self.stack.program("admin"), "price", "check", "-"]
        r = subprocess.run(command, env=env, input=HEADER + ",maker,x,,,,USD/Mtok,1,,4,\n", text=True,
                           capture_output=True, timeout=60, check=False)
        self.assertEqual((r.returncode, r.stdout.count("new x, from ever")), (0, 1), r)
        self.assertIn("not compared with the catalogue: POSTGRES_DSN", r.stderr)
        r = subprocess.run(command, env=env, input=HEADER + ",maker,x,,,,USD/Mtok,1,,-4,\n", text=True,
                           capture_output=True, timeout=60, check=False)
        self.assertEqual((r.returncode, r.stdout), (1, ""), r)
        self.assertIn("line 2", r.stderr)

    def test_the_longest_file(self):
        line = ",maker,x,,,,USD/Mtok,1,,4,\n"
        room = (16 << 20) - len(HEADER) - len(line)
        filler = "#" * 1023 + "\n"
        text = HEADER + line + filler * (room // 1024)
        text += "#" * (room % 1024)
        self.assertEqual(len(text), 16 << 20)
        self.assertIn("1 of 1 card", self.ok("check", "-", stdin=text))
        self.refused("check", "-", stdin=text + "#", words=["16"])

    def test_the_fullest_catalogue(self):
        self.sql("INSERT INTO llm_price SELECT 1, 't', 'm' || i, '-infinity', '', 0, '', '{}', false, NULL,"
                 " 1000000, NULL, NULL, NULL, 2000000, NULL, NULL, '', NULL"
                 " FROM generate_series(1, 100000 - 3 - 2) i")
        two = HEADER + ",,x,,,,USD/Mtok,1,,4,\n,,y,,,,USD/Mtok,1,,4,\n"
        before = self.versions()
        r = self.price("set", "-", stdin=two + ",,z,,,,USD/Mtok,1,,4,\n")
        self.assertEqual((r.returncode, r.stdout), (1, ""), r)
        self.assertIn("100000", r.stderr)
        self.assertEqual(self.versions(), before)
        self.ok("set", "-", stdin=two)
        self.assertEqual(self.sql("SELECT count(*) FROM llm_price WHERE version = 2"), "2")


class TimeTest(PriceTest):
    """From when on a price holds."""

    def test_a_change_begins_at_a_whole_minute_at_least_one_ahead(self):
        before = self.database_time()
        self.ok("set", "beta", "output=0.7")
        after = self.database_time()
        start = float(self.sql("SELECT extract(epoch FROM effective_from) FROM llm_price WHERE version = 2"))
        self.assertEqual(start % MINUTE, 0)
        self.assertGreaterEqual(start, before + MINUTE)
        self.assertLess(start, after + 2 * MINUTE)
        self.assertEqual(self.holding("beta", iso(start - 1))["prices"][0]["output"], "0.6")
        self.assertEqual(self.holding("beta", iso(start))["prices"][0]["output"], "0.7")

    def test_new_models_and_new_tenants_hold_from_ever_on(self):
        self.ok("set", "delta", "input=1", "output=4")
        self.ok("set", "beta", "tenant=acme", "input=1", "output=4")
        self.assertEqual(self.sql("SELECT DISTINCT effective_from FROM llm_price WHERE version > 1"),
                         "-infinity")
        # The tenant has a card now, so the next one is a change.
        self.ok("set", "beta", "tenant=acme", "output=5")
        self.assertEqual(self.sql("SELECT isfinite(effective_from) FROM llm_price WHERE version = 4"), "t")

    def test_what_is_written_is_not_changed_unasked(self):
        near = iso((self.database_time() // MINUTE + 1) * MINUTE)
        for start in ("2026-01-01T00:00:00Z", near, ""):
            for stdin, args in ((None, ("set", "beta", "output=0.7", "effective_from=" + start)),
                                (HEADER + f",maker,beta,,,,USD/Mtok,0.15,0.075,0.7,{start}\n", ("set", "-")),
                                (HEADER + f",maker,beta,,,,USD/Mtok,0.15,0.075,0.7,{start}\n", ("check", "-"))):
                line = self.refused(*args, stdin=stdin, words=["effective_from", "beta", "--now"])
                earliest = re.search(r"must be (\S+:00Z) or later", line).group(1)
                ahead = datetime.datetime.fromisoformat(earliest.replace("Z", "+00:00")).timestamp()
                self.assertGreater(ahead, self.database_time())
        self.ok("set", "beta", "output=0.7", "effective_from=2026-01-01T00:00:00Z", "--now")
        self.assertEqual(self.holding("beta", "2025-12-31T23:59:00Z")["prices"][0]["output"], "0.6")
        self.assertEqual(self.holding("beta", "2026-01-01T00:00:00Z")["prices"][0]["output"], "0.7")

    def test_now_is_the_minute_that_runs(self):
        before = self.database_time()
        self.ok("set", "beta", "output=0.7", "--now")
        start = float(self.sql("SELECT extract(epoch FROM effective_from) FROM llm_price WHERE version = 2"))
        self.assertIn(start, (before // MINUTE * MINUTE, self.database_time() // MINUTE * MINUTE))

    def test_a_later_card_is_pointed_out(self):
        self.ok("set", "beta", "output=0.9", "effective_from=2100-01-01T00:00:00Z")
        out = self.ok("set", "beta", "output=0.7")
        self.assertIn("note: version 2 has a card of it from 2100-01-01T00:00:00Z", out)
        self.assertEqual(self.holding("beta", "2099-12-31T23:59:00Z")["prices"][0]["output"], "0.7")
        self.assertEqual(self.holding("beta", "2100-01-01T00:00:00Z")["prices"][0]["output"], "0.9")

    def test_words_begin_with_the_card_that_holds_then(self):
        self.ok("set", "beta", "output=0.9", "effective_from=2100-01-01T00:00:00Z")
        self.ok("set", "beta", "input=0.2")  # from a minute to come: of the first card
        self.ok("set", "beta", "input=0.3", "effective_from=2101-01-01T00:00:00Z")
        at = {p: (c["input"], c["output"]) for p, c in (
            (y, self.holding("beta", f"{y}-06-01T00:00:00Z")["prices"][0]) for y in (2020, 2099, 2100, 2101))}
        self.assertEqual(at, {2020: ("0.15", "0.6"), 2099: ("0.2", "0.6"), 2100: ("0.15", "0.9"),
                              2101: ("0.3", "0.9")})


class WordsTest(PriceTest):
    """price set MODEL COLUMN=VALUE…"""

    def test_only_the_cells_that_are_given_change(self):
        self.ok("set", "alpha", "input=3")
        self.assertEqual(self.line("alpha"), "3000000|1250000|10000000")
        self.assertEqual(self.line("alpha", above=200000), "5000000|2500000|15000000")
        self.assertEqual(self.line("alpha", tier="batch"), "1250000||5000000")
        self.assertEqual(self.sql("SELECT DISTINCT aliases, provider, source, as_of FROM llm_price"
                                  " WHERE version = 2"), "{alpha-plus,alpha-max}|maker||")
        self.ok("set", "alpha", "tier=Batch", "cached_input=0.5", "source=a letter", "as_of=2026-02-03")
        self.assertEqual(self.line("alpha"), "3000000|1250000|10000000")
        self.assertEqual(self.line("alpha", tier="batch"), "1250000|500000|5000000")
        self.assertEqual(self.sql("SELECT DISTINCT source, as_of FROM llm_price WHERE version = 3"),
                         "a letter|2026-02-03")
        self.ok("set", "alpha", "cached_input=", "above_tokens=200000")
        self.assertEqual(self.line("alpha", above=200000), "5000000||15000000")
        self.ok("set", "alpha", "tier=flex", "input=2", "output=6")
        self.assertEqual(self.cards(5), {"/alpha": "4"})
        self.ok("set", "alpha", "aliases=alpha-plus", "provider=other")
        self.assertEqual(self.sql("SELECT DISTINCT aliases, provider FROM llm_price WHERE version = 6"),
                         "{alpha-plus}|other")
        self.assertEqual(self.line("alpha"), "3000000|1250000|10000000")

    def test_units(self):
        self.ok("set", "m1", "unit=USD/ktok", "input=0.003", "output=0.012", "request=0.5")
        self.ok("set", "m2", "unit=USD/tok", "input=0.000003", "output=0.000012")
        self.ok("set", "m3", "unit=USD/Mtok", "input=3", "output=12")
        for model in ("m1", "m2", "m3"):
            self.assertEqual(self.line(model), "3000000||12000000")
        self.assertEqual(self.sql("SELECT request_pusd FROM llm_price WHERE model = 'm1'"), "500000000000")
        # What stays was in another unit.
        self.ok("set", "m1", "unit=USD/ktok", "output=0.015")
        self.assertEqual(self.line("m1"), "3000000||15000000")

    def test_discounts(self):
        self.ok("set", "alpha", "tenant=acme", "discount_percent=12.5", "request=0.001")
        self.assertEqual(self.sql("SELECT discount_ppm, request_pusd, input_pusd, provider, aliases FROM"
                                  " llm_price WHERE version = 2"),
                         "125000|1000000000||maker|{alpha-plus,alpha-max}")
        found = self.json("resolve", "alpha-plus", "--tenant=acme")
        self.assertEqual((found["discount_percent"], found["tenant"], found["prices"][0]["input"],
                          found["prices"][0]["request"]), ("12.5", "acme", "2.1875", "0.001"))
        self.refused("set", "alpha", "tenant=acme", "input=2", words=["discount"])
        self.ok("set", "alpha", "tenant=acme", "discount_percent=", "input=2", "output=8")
        self.assertEqual(self.line("alpha", "acme"), "2000000||8000000")
        self.ok("set", "alpha", "tenant=acme", "tier=batch", "input=1", "output=4")
        self.ok("set", "alpha", "tenant=acme", "discount_percent=20")
        self.assertEqual(self.cards(5), {"acme/alpha": "1"})
        self.assertEqual(self.line("alpha", "acme"), "||")
        self.ok("set", "*", "tenant=acme", "discount_percent=5")
        self.assertEqual(self.json("resolve", "beta", "--tenant=acme")["discount_percent"], "5")

    def test_the_words_are_noted(self):
        words = ["delta", "input=1", "output=4", "source=" + "ä" * 120, "effective_from=2026-01-01T00:00:00Z"]
        self.ok("set", *words)
        self.assertEqual(self.sql("SELECT note FROM llm_price_version WHERE version = 2"), " ".join(words))

    def test_a_card_is_withdrawn(self):
        self.ok("set", "alpha", "tenant=acme", "discount_percent=10")
        out = self.ok("set", "Alpha", "unit=none", "tenant=acme", "effective_from=2100-01-01T00:00:00Z")
        self.assertEqual(out, "withdrawn alpha of tenant acme, from 2100-01-01T00:00:00Z\n"
                              "1 of 1 card change something\nadded as version 3\n")
        self.assertEqual(self.holding("alpha", "2099-12-31T23:59:00Z", "--tenant=acme")["discount_percent"], "10")
        found = self.holding("alpha-plus", "2100-01-01T00:00:00Z", "--tenant=acme")
        self.assertEqual((found["tenant"], found["discount_percent"], found["prices"][0]["input"]),
                         ("", None, "2.5"))
        # Everybody's, with its tiers and bands.
        out = self.ok("set", "alpha", "unit=none", "effective_from=2101-01-01T00:00:00Z")
        self.assertEqual(self.cards(4), {"/alpha": "1"})
        self.assertEqual(self.sql("SELECT tier, above_tokens, provider, aliases, withdrawn, discount_ppm, source,"
                                  " as_of, num_nonnulls(input_pusd, cached_input_pusd, output_pusd, request_pusd)"
                                  " FROM llm_price WHERE version = 4"),
                         "|0|maker|{alpha-plus,alpha-max}|t||||0")
        for name in ("alpha", "alpha-max", "openai/alpha"):
            self.assertEqual(self.holding(name, "2100-12-31T23:59:00Z")["model"], "alpha")
            self.assertEqual(self.holding(name, "2101-01-01T00:00:00Z")["step"], "unpriced")
        self.assertIn("alpha is unpriced, version 4", self.ok("resolve", "alpha", "--at=2101-01-01T00:00:00Z"))
        # Twice changes nothing; from an earlier minute it does, and a price may come again.
        self.assertIn("0 of 1 card", self.ok("set", "alpha", "unit=none", "effective_from=2101-06-01T00:00:00Z"))
        self.ok("set", "alpha", "input=300", "output=900", "effective_from=2102-01-01T00:00:00Z")
        self.assertEqual(self.holding("alpha-max", "2102-01-01T00:00:00Z")["prices"][0]["input"], "300")
        self.assertIn("note: version 5", self.ok("set", "alpha", "unit=none"))
        self.assertEqual(self.holding("alpha", "2099-01-01T00:00:00Z")["step"], "unpriced")

    def test_a_withdrawal_begins_at_a_minute_to_come(self):
        self.ok("set", "beta", "unit=none")
        self.assertEqual(self.sql("SELECT effective_from - date_trunc('minute', v.created_at) IN ('1 min', '2 min')"
                                  " FROM llm_price p JOIN llm_price_version v USING (version) WHERE withdrawn"), "t")
        self.refused("set", "gamma", "unit=none", "effective_from=2026-01-01T00:00:00Z",
                     words=["effective_from", "gamma", "--now", "at their next flush"])
        self.ok("set", "gamma", "unit=none", "effective_from=2026-01-01T00:00:00Z", "--now")
        self.assertEqual(self.holding("gamma", "2025-12-31T23:59:00Z")["step"], "exact")
        self.assertEqual(self.holding("gamma", "2026-01-01T00:00:00Z")["step"], "unpriced")

    def test_names_that_a_withdrawal_frees(self):
        self.ok("set", "alpha", "unit=none", "--now")
        # Until then it was another name of alpha.
        self.refused("set", "alpha-plus", "input=1", "output=4", words=["model", "alpha-plus", "alpha"])
        self.ok("set", "alpha-plus", "input=1", "output=4", "effective_from=2100-01-01T00:00:00Z")
        self.assertEqual(self.holding("alpha-plus")["model"], "alpha-plus")
        self.refused("set", "alpha", "input=1", "output=4", words=["aliases", "alpha-plus"])
        self.ok("set", "alpha", "input=1", "output=4", "aliases=alpha-max")
        self.assertEqual(self.holding("alpha-max")["model"], "alpha")
        # A tenant's first card does not take the names of what has no price.
        self.ok("set", "gamma", "aliases=third", "--now")
        self.ok("set", "gamma", "unit=none", "--now")
        self.ok("set", "gamma", "tenant=acme", "input=1", "output=4")
        self.assertEqual(self.holding("third", "2100-01-01T00:00:00Z", "--tenant=acme")["step"], "unpriced")

    def test_what_is_no_withdrawal_is_named(self):
        for args, code, words in (
                (("beta", "unit=none", "input=1"), 1, ["input: must be empty", "withdrawn"]),
                (("beta", "unit=none", "request=0"), 1, ["request: must be empty"]),
                (("beta", "unit=none", "tier=batch"), 1, ["tier: must be empty"]),
                (("beta", "unit=none", "above_tokens=32000"), 1, ["above_tokens: must be empty"]),
                (("alpha", "unit=none", "tenant=acme", "discount_percent=5"), 2, ["model", "tenant acme"]),
                (("beta", "unit=None"), 1, ["unit: must be", "none"]),
                (("nonesuch", "unit=none"), 2, ["model", "nonesuch", "everybody", "resolve"]),
                (("alpha-plus", "unit=none"), 2, ["model", "another name of alpha"])):
            with self.subTest(args=args):
                self.assertNotIn("line ", self.refused("set", *args, code=code, words=words))

    def test_names(self):
        self.refused("set", "alpha-plus", "input=1", code=2, words=["alpha-plus", "alpha"])
        self.ok("set", "alpha-plus", "tenant=acme", "input=1", "output=4")  # a tenant may
        self.ok("set", "ALPHA", "input=3")
        self.assertEqual(self.cards(3), {"/alpha": "3"})
        self.ok("set", "a model, \"quoted\"", "input=1", "output=4", "source=#x, \"y\"")
        self.assertEqual(self.sql("SELECT model, source FROM llm_price WHERE version = 4"),
                         'a model, "quoted"|#x, "y"')
        self.ok("set", "a model, \"quoted\"", "output=5")

    def test_what_is_wrong_is_named(self):
        for args, code, words in (
                (("beta", "input=-1"), 1, ["input: must not be negative"]),
                (("beta", "input=150", "output=600"), 1, ["input"]),
                (("beta", "output=6000"), 1, ["output"]),
                (("beta", "unit=USD/kilo", "input=1"), 1, ["unit: must be USD/Mtok"]),
                (("beta", "aliases=gamma"), 1, ["aliases", "gamma"]),
                (("delta", "input=1"), 1, ["output: must be given"]),
                (("delta", "input=1", "output=4", "effective_from=soon"), 2, ["effective_from", '"soon"']),
                (("delta", "input=1", "output=4", "effective_from=2100-01-01T00:00:01Z"), 1,
                 ["effective_from: must be a whole minute"]),
                (("delta", "input=1", "output=4", "as_of=2026-02-30"), 1, ["as_of"]),
                (("delta", "input=1", "output=4", "above_tokens=5"), 1, ["above_tokens"]),
                (("delta", "input=1\n,,x,,,,,1", "output=4"), 2, ["control"]),
                (("del\nta", "input=1", "output=4"), 2, ["control"]),
                (("", "input=1", "output=4"), 1, ["model"]),
                (("beta", "input=1", "input=2"), 2, ["input is given twice"]),
                (("beta", "price=1"), 2, ['"price=1"', "help price"]),
                (("beta", "model=x"), 2, ["model is given twice"]),
                (("beta", "input"), 2, ['"input"']),
                (("beta", "input=1", "--tenant=acme"), 2, ["--tenant"]),
                ((), 2, ["FILE"])):
            with self.subTest(args=args):
                line = self.refused("set", *args, code=code, words=words)
                self.assertNotIn("line ", line)

    def test_many_at_once(self):
        words = [("input=0.16",), ("output=0.61",), ("cached_input=0.08",), ("tier=batch", "input=0.1", "output=0.3")]
        procs = [subprocess.Popen([self.stack.program("admin"), "price", "set", "beta", *w,
                                   "effective_from=2100-01-01T00:00:00Z"], env=self.stack.env, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) for w in words]
        outs = [p.communicate(timeout=60) for p in procs]
        self.assertEqual([p.returncode for p in procs], [0] * 4, outs)
        self.assertEqual(self.versions(), ["1:default", "2:set", "3:set", "4:set", "5:set"])
        self.assertEqual(self.line("beta"), "160000|80000|610000")
        self.assertEqual(self.line("beta", tier="batch"), "100000||300000")

    def test_it_waits_for_one_that_has_not_committed(self):
        with self.stack.holding("LOCK TABLE llm_price_version IN SHARE ROW EXCLUSIVE MODE;"
                                " INSERT INTO llm_price_version VALUES (2, 'set')"):
            p = subprocess.Popen([self.stack.program("admin"), "price", "set", "beta", "input=0.2"],
                                 env=self.stack.env, stdout=subprocess.PIPE, text=True)
            self.ok("list")  # readers do not wait
            with self.assertRaises(subprocess.TimeoutExpired):
                p.wait(1)
        self.assertIn("added as version 2", p.communicate(timeout=60)[0])


class ReadTest(PriceTest):
    """price list, show, resolve."""

    def test_list(self):
        self.ok("set", "beta", "output=0.7", "effective_from=2100-01-01T00:00:00Z")
        self.ok("set", "alpha", "tenant=acme", "discount_percent=10", "request=0.001")
        lines = self.ok("list").splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["MODEL", "alpha", "beta", "gamma", "alpha", "4"])
        self.assertRegex(lines[1], r"^alpha +- +2.5 +1.25 +10 +\+2 lines +ever +1 +default +2026-01-01$")
        self.assertRegex(lines[3], r"^gamma +- +3 +3 +15 +ever +1 +default +2026-01-01$")
        self.assertRegex(lines[4], r"^alpha +acme +2.25 +1.125 +9 +10 % off, 0.001 a request +ever +3 +set +-$")
        self.assertEqual(lines[5], "4 cards hold now; catalogue version 3; USD per million tokens")
        self.assertEqual([c["model"] for c in self.json("list", "--tenant=acme")], ["alpha"])
        self.assertEqual(self.json("list", "--tenant=nobody"), [])

    def test_what_is_withdrawn_is_shown_and_not_listed(self):
        self.ok("set", "alpha", "tenant=acme", "discount_percent=10")
        self.ok("set", "alpha", "tenant=acme", "unit=none", "--now")
        self.ok("set", "beta", "unit=none", "--now")
        self.ok("set", "gamma", "unit=none", "effective_from=2100-01-01T00:00:00Z")
        self.assertEqual([c["model"] for c in self.json("list")], ["alpha", "gamma"])
        self.assertEqual([line.split()[0] for line in self.ok("list").splitlines()], ["MODEL", "alpha", "gamma", "2"])
        self.assertNotIn("none", self.ok("list", "--csv"))
        self.assertEqual([(c["version"], c["state"], c["withdrawn"], len(c["prices"]), c["tenant"])
                          for c in self.json("show", "alpha-max", "--tenant=acme")],
                         [(1, "now", False, 3, ""), (2, "past", False, 3, "acme"), (3, "now", True, 0, "acme")])
        self.assertEqual([(c["state"], c["withdrawn"]) for c in self.json("show", "beta")],
                         [("past", False), ("now", True)])
        self.assertEqual([(c["state"], c["withdrawn"]) for c in self.json("show", "gamma")],
                         [("now", False), ("to come", True)])
        self.assertRegex(self.ok("show", "beta"), r"version 4 \(set\)  now\n  provider maker\n"
                                                  r"  withdrawn: no price by this card\nUSD per")

    def test_a_list_that_does_not_fit_is_no_success(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            r = subprocess.run([self.stack.program("admin"), "price", "list"], env=self.stack.env,
                               stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("standard output", r.stderr)

    def test_a_list_is_a_price_file(self):
        self.ok("set", "alpha", "tenant=acme", "discount_percent=10")
        text = self.ok("list", "--csv")
        self.sql("TRUNCATE llm_price, llm_price_version, llm_reprice")
        self.ok("set", "-", stdin=text)
        self.assertEqual(self.ok("list", "--csv"), text)

    def test_show(self):
        self.ok("set", "alpha", "tenant=acme", "discount_percent=10")
        self.ok("set", "alpha", "cached_input=", "effective_from=2100-01-01T00:00:00Z")
        cards = self.json("show", "Alpha-Plus", "--tenant=acme")
        self.assertEqual([(c["tenant"], c["version"], c["origin"], c["state"], c["effective_from"],
                           c["discount_percent"]) for c in cards],
                         [("", 1, "default", "now", None, None),
                          ("", 3, "set", "to come", "2100-01-01T00:00:00Z", None),
                          ("acme", 2, "set", "now", None, "10")])
        self.assertEqual(cards[0]["prices"], [
            {"tier": "", "above_tokens": 0, "input": "2.5", "cached_input": "1.25", "cache_write_5m": "2.5",
             "cache_write_1h": "2.5", "output": "10", "reasoning": "10", "request": "0"},
            {"tier": "", "above_tokens": 200000, "input": "5", "cached_input": "2.5", "cache_write_5m": "5",
             "cache_write_1h": "5", "output": "15", "reasoning": "15", "request": "0"},
            {"tier": "batch", "above_tokens": 0, "input": "1.25", "cached_input": "1.25",
             "cache_write_5m": "1.25", "cache_write_1h": "1.25", "output": "5", "reasoning": "5",
             "request": "0"}])
        self.assertEqual(cards[1]["prices"][0]["cached_input"], "2.5")
        self.assertEqual([p["output"] for p in cards[2]["prices"]], ["9", "13.5", "4.5"])
        self.assertEqual([(c["tenant"], c["version"]) for c in self.json("show", "alpha")], [("", 1), ("", 3)])
        text = self.ok("show", "alpha", "--tenant=acme")
        self.assertIn("also alpha-plus alpha-max", text)
        self.assertIn("alpha  tenant acme  from ever  version 2 (set)  now", text)
        self.assertRegex(text, r"(?m)^  batch +0 +1.125 +1.125 +1.125 +1.125 +4.5 +4.5 +0$")
        self.ok("set", "alpha", "input=3", "effective_from=2100-01-01T00:00:00Z")
        self.assertEqual([c["state"] for c in self.json("show", "alpha")], ["now", "past", "to come"])
        self.refused("show", "alph", words=["alph", "resolve"])

    def test_resolve(self):
        self.ok("set", "openai/beta", "tenant=acme", "input=1", "output=4")
        for args, want in (
                (("alpha",), ("exact", "alpha", False, "")),
                (("ALPHA-max",), ("exact", "alpha", False, "")),
                (("openai/beta",), ("prefix", "beta", False, "")),
                (("openai/beta", "--tenant=acme"), ("exact", "openai/beta", False, "acme")),
                (("openai/beta", "--tenant=other"), ("prefix", "beta", False, "")),
                (("beta-2026-01-01",), ("suffix", "beta", False, "")),
                (("alph",), ("unpriced", None, False, "")),
                (("alpha2", "--asked=gamma"), ("exact", "gamma", True, "")),
                (("alpha", "--asked=gamma"), ("exact", "alpha", False, ""))):
            found = self.json("resolve", *args)
            self.assertEqual((found["step"], found["model"], found["by_asked"], found["tenant"]), want, args)
        tried = self.json("resolve", "openai/beta-2026-01-01")["tried"]
        self.assertEqual(tried[0], {"step": "exact", "name": "openai/beta-2026-01-01"})
        self.assertIn({"step": "suffix", "name": "beta"}, tried)
        text = self.ok("resolve", "openai/beta-2026-01-01")
        self.assertIn("openai/beta-2026-01-01 is priced as beta (suffix), version 2 at ", text)
        self.assertIn("\n  suffix  beta  <- found\n", text)
        text = self.ok("resolve", "x", "--asked", "gamma")
        self.assertIn("by the model asked for: x has no price", text)
        self.assertIn("x is unpriced", self.ok("resolve", "x"))

    def test_resolve_at_a_minute(self):
        self.ok("set", "beta", "output=0.7", "effective_from=2100-01-01T00:00:00Z")
        for at, output in (("2099-12-31T23:59:59.999Z", "0.6"), ("2100-01-01T00:00:00Z", "0.7"),
                           ("2100-01-01T01:00:59+01:00", "0.7")):
            self.assertEqual(self.holding("beta", at)["prices"][0]["output"], output, at)

    def test_what_is_wrong_is_named(self):
        for args, words in (
                (("resolve",), ["NAME"]), (("resolve", ""), ["NAME"]), (("resolve", "n" * 256), ["NAME", "255"]),
                (("resolve", "a\nb"), ["NAME"]), (("resolve", "a", "b"), ['"b"']),
                (("resolve", "a", "--at=now"), ["--at", '"now"']),
                (("resolve", "a", "--asked="), ["--asked"]), (("resolve", "a", "--tenant="), ["--tenant"]),
                (("show", "a", "--tenant=" + "t" * 256), ["--tenant"]), (("show",), ["NAME"]),
                (("list", "a"), ['"a"']), (("list", "--json=1"), ["--json"]), (("lst",), ["lst"]),
                (("check",), ["FILE"]), (("list", "--now"), ["--now"])):
            with self.subTest(args=args):
                self.refused(*args, code=2, words=words)
        self.assertEqual(self.json("resolve", "n" * 255)["step"], "unpriced")

    def test_help(self):
        for args in (("price", "--help"), ("help", "price"), ("price", "set", "--help"), ("help", "price", "set")):
            r = self.stack.admin(*args)
            self.assertEqual((r.returncode, r.stderr), (0, ""), args)
            self.assertIn("effective_from", r.stdout)
            self.assertIn("price set FILE | MODEL COLUMN=VALUE", r.stdout)
        self.assertNotIn("key rotate", self.stack.admin("help", "price").stdout)
        self.assertIn("key rotate ID", self.stack.admin("help").stdout)
        self.assertIn("--overlap", self.stack.admin("key", "--help").stdout)
        r = self.stack.admin("price")
        self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (2, "", 1))

    def test_a_database_that_is_not_set_up(self):
        self.stack.sql(f"CREATE DATABASE {self.stack.id}p", dsn=self.stack.admin_dsn)
        self.addCleanup(lambda: self.stack.sql(f"DROP DATABASE {self.stack.id}p WITH (FORCE)",
                                               dsn=self.stack.admin_dsn))
        for command in (("list",), ("show", "a"), ("resolve", "a"), ("set", "a", "input=1", "output=1")):
            self.refused(*command, "--postgres-dsn=" + self.stack.dsn + "p",
                         words=["POSTGRES_DSN", "run streamlens-admin setup"])


if __name__ == "__main__":
    unittest.main()
