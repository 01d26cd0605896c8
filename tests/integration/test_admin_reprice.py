#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streamlens-admin reprice against a real database: every cost of every row against Decimal, before and after. That
corrected rows are published is the end-to-end tests' matter."""
import contextlib
import json
import random
import re
import signal
import subprocess
import threading
import unittest
from decimal import Decimal

from cost_truth import COSTS, Line
from priced_rows import HOUR, PricedRows, add_lines, at, instant, usage_sql
from psql_session import Session
from stack import Stack, wait_for

HEADER = ("tenant,model,aliases,tier,above_tokens,unit,input,cached_input,cache_write_5m,output,reasoning,request,"
          "discount_percent,effective_from\n")
FORMS = {"openai/alpha": ("openai/alpha", "alpha"), "alpha-2026-01-02": ("alpha-2026-01-02", "alpha"),
         "ALPHA": ("alpha",)}
DAY = at("2026-11-20 00:00")
MINUTE = 60
PAGE = 1000  # series


def card(model, price, aliases="", tenant="", effective="", **cells):
    """A line of a price file: input costs `price`, output four times that."""
    row = {"tenant": tenant, "model": model, "aliases": aliases, "unit": "USD/Mtok", "input": price,
           "output": price and str(Decimal(price) * 4), "effective_from": effective, **cells}
    return ",".join(row.get(name, "") for name in HEADER.strip().split(",")) + "\n"


def line(model, asked="", tier="", above=0):
    return Line(model, asked, tier, above)


def usage(n=1):
    return [n, 100 * n + 7, 20 * n, 5 * n, n, 50 * n + 3, 9 * n]


def usd(pusd):
    return Decimal(pusd).scaleb(-12)


class RepriceTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.sql("CREATE DATABASE " + cls.stack.id, dsn=cls.stack.admin_dsn)
        cls.addClassCleanup(cls.stack.__exit__)
        cls.stack.setup()

    def setUp(self):
        self.rows = PricedRows(self.stack, FORMS)
        self.rows.add_prices(HEADER + card("alpha", "2.5", cached_input="1.25", cache_write_5m="3", aliases="alpha-x") +
                             card("beta", "0.15", tenant="acme") + card("beta", "0.3") + card("gamma", "1"))

    def sql(self, statement):
        return self.stack.sql(statement)

    def run_it(self, *args, from_s=DAY, to_s=DAY + 24 * HOUR):
        return self.stack.admin("reprice", f"--from={instant(from_s)}", f"--to={instant(to_s)}", *args)

    def ok(self, *args, **range_):
        r = self.run_it(*args, **range_)
        # On a busy machine it may take long enough to say how far it is.
        said = re.sub(r"streamlens-admin: [0-9.]+ % done, [0-9]+ rows changed, [0-9]+ s\n", "", r.stderr)
        self.assertEqual((r.returncode, said), (0, ""), r)
        return r.stdout

    def json(self, *args, **range_):
        """The difference, and the result (None of a dry run)."""
        lines = [json.loads(text) for text in self.ok(*args, "--json", **range_).splitlines()]
        return lines[0]["difference"], lines[1]["result"] if len(lines) > 1 else None

    def check(self, hours=True):
        """All rows hold what they must, and the hours the sums."""
        self.assertEqual(self.rows.stored("llm_minute"), self.rows.expected())
        if hours:
            got = {key: {c: row[c] for c in COSTS} for key, row in self.rows.stored("llm_hour").items()}
            self.assertEqual(got, {key: hour[1] for key, hour in self.rows.hours().items()})
            versions = {key: row["price_version"] for key, row in self.rows.stored("llm_hour").items()}
            self.assertEqual(versions, {key: hour[0] for key, hour in self.rows.hours().items()})

    def changed_windows(self):
        out = self.sql("SELECT extract(epoch FROM window_start)::bigint FROM llm_window WHERE changes > looked_changes"
                       " ORDER BY 1").split()
        return [int(s) for s in out]

    def put_some(self, series=4, minutes=range(0, 180, 7)):
        """Series of two tenants with every kind of line, over three hours of the day from 10:00 on."""
        for s in range(1, series + 1):
            self.rows.add_series(s, "acme" if s % 2 else "other", model=f"m{s}")
            for n in minutes:
                lines = {line("alpha"): usage(n + s), line("beta", "alpha"): usage(s)}
                if n % 3 == 0:
                    lines[line("unknown")] = usage(2)
                if n % 2 == 0:
                    lines[line("openai/alpha", tier="batch")] = usage(n)
                    lines[line("gamma", above=200000)] = usage(3)
                self.rows.put(s, DAY + 10 * HOUR + n * MINUTE, lines)
        self.rows.store()

    # ---- what changes ----

    def test_every_cost_before_and_after(self):
        self.put_some()
        self.check()
        self.rows.add_prices(HEADER + card("alpha", "3", cached_input="0.5", reasoning="7", request="0.01") +
                             card("unknown", "1.5") + card("beta", "", tenant="other", discount_percent="25"))
        before = sum(r.costs["cost_pusd"] for r in self.rows.rows.values())
        diff, result = self.json()
        changed, change = self.rows.reprice(DAY, DAY + 24 * HOUR)
        self.assertGreater(changed, 0)
        self.check()
        self.assertEqual((result["rows_changed"], Decimal(result["cost_change_usd"])), (changed, usd(change)))
        self.assertEqual(result["hours_changed"], 12)
        self.assertEqual((Decimal(diff["total"]["before_usd"]), Decimal(diff["total"]["change_usd"])),
                         (usd(before), usd(change)))
        self.assertEqual(diff["stored_usd"], diff["by_versions_usd"])
        models = {m["model"]: m for m in diff["models"]}
        self.assertEqual(sum(Decimal(m["change_usd"]) for m in models.values()), usd(change))
        unknown = sum(r.lines[line("unknown")][0] for r in self.rows.rows.values() if line("unknown") in r.lines)
        self.assertEqual(models["unknown"]["now_priced_requests"], unknown)
        self.assertEqual(models["gamma"]["change_usd"], "0")

    def test_corrected_windows_are_told(self):
        self.put_some(minutes=(0, 1, 59, 61))
        self.rows.add_prices(HEADER + card("unknown", "1"))  # in minute 0 alone
        with self.listening() as heard:
            self.ok()
            self.rows.reprice(DAY, DAY + 24 * HOUR)
            self.check()
            self.assertEqual(self.changed_windows(), [DAY + 10 * HOUR])
            self.assertEqual(self.sql("SELECT changes FROM llm_window WHERE changes > looked_changes"), "6")
            minute = (DAY + 10 * HOUR) // MINUTE
            self.assertEqual(heard(), [f"{minute}-{minute}"])

    @contextlib.contextmanager
    def listening(self):
        with Session(self.stack.dsn) as session:
            session("LISTEN streamlens_flush")

            def heard():
                text = "\n".join(session("SELECT 1") + session("SELECT 1"))
                return re.findall(r'with payload "([^"]*)"', text)
            yield heard

    def test_rows_whose_cost_stays_are_not_touched(self):
        self.put_some()
        self.rows.add_prices(HEADER + card("unknown", "1"))
        xmin = "SELECT series_id, window_start, xmin, xmax, revision FROM llm_{} ORDER BY 1, 2"
        before = {t: self.sql(xmin.format(t)).splitlines() for t in ("minute", "hour")}
        changed, _ = self.rows.reprice(DAY, DAY + 24 * HOUR)
        self.assertTrue(0 < changed < len(self.rows.rows))
        self.ok()
        self.check()
        after = {t: self.sql(xmin.format(t)).splitlines() for t in ("minute", "hour")}
        self.assertEqual(len(set(after["minute"]) - set(before["minute"])), changed)
        # Again there is nothing that differs.
        _, result = self.json()
        self.assertEqual((result["rows_changed"], result["hours_changed"], result["cost_change_usd"]), (0, 0, "0"))
        self.assertEqual({t: self.sql(xmin.format(t)).splitlines() for t in ("minute", "hour")}, after)

    def test_rows_of_a_newer_version_stay(self):
        # As where another one adds a version meanwhile.
        self.put_some(series=2)
        self.sql("UPDATE llm_minute SET price_version = 9 WHERE series_id = 1")
        for (series_id, _), row in self.rows.rows.items():
            row.version = 9 if series_id == 1 else row.version
        self.rows.add_prices(HEADER + card("alpha", "5"))
        changed, change = self.rows.reprice(DAY, DAY + 24 * HOUR)
        diff, result = self.json()
        self.assertEqual(result["rows_changed"], changed)
        self.assertEqual((diff["total"]["change_usd"], result["cost_change_usd"]), (str(usd(change).normalize()),) * 2)
        self.check(hours=False)

    def test_classes_of_rows_from_before_there_were_any(self):
        self.put_some(series=2)
        classes = [c for c in COSTS if c.startswith("cost_") and c != "cost_pusd"] + ["cache_savings_pusd"]
        for table in ("llm_minute", "llm_hour"):
            self.sql(f"UPDATE {table} SET " + ", ".join(f"{c} = 0" for c in classes))
        _, result = self.json()
        for row in self.rows.rows.values():
            row.revision += any(row.costs[c] for c in classes)
        self.check()
        self.assertEqual((result["rows_changed"], result["cost_change_usd"]), (len(self.rows.rows), "0"))

    def test_rows_priced_by_a_version_that_could_not_be_used(self):
        self.put_some(series=2)
        key = (1, DAY + 10 * HOUR)
        for table in ("llm_minute", "llm_hour"):
            self.sql(f"UPDATE {table} SET cost_pusd = cost_pusd + 5000000000000 WHERE series_id = 1"
                     f" AND window_start = '{instant(key[1])}'")
        out = self.ok("--dry-run")
        self.assertIn("USD, +5 against what the versions that they name give", out)
        diff, result = self.json()
        self.assertEqual(Decimal(diff["stored_usd"]) - Decimal(diff["by_versions_usd"]), 5)
        self.assertEqual((diff["total"]["change_usd"], result["cost_change_usd"]), ("0", "-5"))
        self.rows.rows[key].revision += 1
        self.check()

    def test_a_class_beyond_a_bigint_stays_at_its_end(self):
        self.rows.add_series(1, "acme")
        self.rows.put(1, DAY, {line("unknown"): [1, 10 ** 16, 0, 0, 0, 0, 0]})
        self.rows.store()
        self.rows.add_prices(HEADER + card("unknown", "1000"))
        self.ok()
        for table in ("llm_minute", "llm_hour"):
            self.assertEqual(self.sql(f"SELECT cost_pusd, cost_input_pusd, revision FROM {table}"),
                             f"{10 ** 25}|{2 ** 63 - 1}|2")
        _, result = self.json()
        self.assertEqual(result["rows_changed"], 0)

    # ---- which rows ----

    def test_from_is_in_and_to_is_not(self):
        self.put_some()
        self.rows.add_prices(HEADER + card("alpha", "4"))
        from_s, to_s = DAY + 10 * HOUR + 14 * MINUTE, DAY + 12 * HOUR + 27 * MINUTE  # rows at both
        self.assertIn((1, from_s), self.rows.rows)
        self.assertIn((1, to_s), self.rows.rows)
        _, result = self.json(from_s=from_s, to_s=to_s)
        changed, change = self.rows.reprice(from_s, to_s)
        self.assertEqual((result["rows_changed"], Decimal(result["cost_change_usd"])), (changed, usd(change)))
        self.check()

    def test_one_tenant(self):
        self.put_some()
        self.rows.add_prices(HEADER + card("alpha", "4"))
        diff, result = self.json("--tenant=acme")
        changed, change = self.rows.reprice(DAY, DAY + 24 * HOUR,
                                            lambda s, _: self.rows.series[s][0] == "acme")
        self.assertEqual((result["rows_changed"], Decimal(diff["total"]["change_usd"])), (changed, usd(change)))
        self.assertGreater(changed, 0)
        self.check()

    def test_prices_of_tenants(self):
        self.put_some()
        self.rows.add_prices(HEADER + card("alpha", "", tenant="acme", discount_percent="12.5") +
                             card("beta", "", tenant="acme", unit="none"))
        self.ok()
        changed, _ = self.rows.reprice(DAY, DAY + 24 * HOUR)
        self.assertEqual(changed, len(self.rows.rows) / 2)
        self.check()

    def test_one_model_by_all_its_names(self):
        self.rows.add_series(1, "acme")
        names = ("alpha", "ALPHA", "alpha-x", "openai/alpha", "alpha-2026-01-02", "alphabet", "beta", "gamma")
        for n, name in enumerate(names):
            self.rows.put(1, DAY + n * MINUTE, {line(name): usage(), line("delta"): usage()})
        self.rows.put(1, DAY + 20 * MINUTE, {line("inside", "alpha-x"): usage()})
        self.rows.put(1, DAY + 21 * MINUTE, {line("gamma"): usage(), line("openai/alpha"): usage()})
        self.rows.store()
        self.rows.add_prices(HEADER + card("alpha", "4", aliases="alpha-x") + card("delta", "2") + card("gamma", "7"))
        diff, result = self.json("--model=Alpha")
        wanted = {"alpha", "ALPHA", "alpha-x", "openai/alpha", "alpha-2026-01-02"}
        changed, change = self.rows.reprice(DAY, DAY + HOUR, lambda _, row: any(
            wanted & {each.model, each.asked} for each in row.lines))
        self.assertEqual(changed, 7)
        self.check()
        # Such rows are priced as a whole: of another model what stands in them.
        self.assertEqual((result["rows_changed"], Decimal(diff["total"]["change_usd"])), (changed, usd(change)))
        gamma = next(m for m in diff["models"] if m["model"] == "gamma")
        self.assertEqual(gamma["requests"], 1)
        self.assertEqual({m["model"] for m in diff["models"]}, {*wanted, "delta", "gamma", "inside"})
        # An alias means itself.
        self.rows.add_prices(HEADER + card("alpha", "5", aliases="alpha-x"))
        self.json("--model=alpha-x")
        self.assertEqual(self.rows.reprice(DAY, DAY + HOUR, lambda _, row: any(
            "alpha-x" in (each.model, each.asked) for each in row.lines))[0], 2)
        self.check()

    def test_usage_of_the_rest(self):
        # A row of __other__ has its lines' models; in the line __other__ none is known.
        self.rows.add_series(1, "acme", "__other__", "__other__")
        lines = {line(f"model-{n:02}"): usage(n + 1) for n in range(64)}
        self.rows.put(1, DAY, {**lines, line("__other__"): usage(5)})
        self.rows.store()
        self.rows.add_prices(HEADER + "".join(card(f"model-{n:02}", "2") for n in range(64)) +
                             card("__other", "2"))
        diff, _ = self.json()
        self.rows.reprice(DAY, DAY + HOUR)
        self.check()
        self.assertEqual(self.rows.rows[1, DAY].costs["unpriced_requests"], 5)
        self.assertEqual(diff["total"]["now_priced_requests"], sum(range(1, 65)))

    # ---- prices that change inside the range ----

    def test_a_price_changes_inside_the_range_and_an_hour(self):
        self.put_some()
        self.rows.add_prices(HEADER + card("alpha", "4") +
                             card("alpha", "9", effective=instant(DAY + 10 * HOUR + 35 * MINUTE)) +
                             card("gamma", "2", tenant="acme", effective=instant(DAY + 12 * HOUR)))
        diff, result = self.json()
        changed, change = self.rows.reprice(DAY, DAY + 24 * HOUR)
        self.check()
        self.assertEqual((result["rows_changed"], Decimal(result["cost_change_usd"]),
                          Decimal(diff["total"]["change_usd"])), (changed, usd(change), usd(change)))

    # ---- hours whose minutes are gone ----

    def gone(self, until_s):
        self.sql(f"DELETE FROM llm_minute WHERE window_start < '{instant(until_s)}';"
                 f"DELETE FROM llm_publish WHERE window_start < '{instant(until_s)}';"
                 f"DELETE FROM llm_window WHERE window_start < '{instant(until_s)}';"
                 f"UPDATE streamlens_retention SET minutes_from = '{instant(until_s)}'")

    def test_hours_without_minutes(self):
        self.put_some()
        self.gone(DAY + 12 * HOUR)
        # At 11:30 gamma changes, which is not in every row; at 11:00 alpha, which is no change inside.
        self.rows.add_prices(HEADER + card("alpha", "4") + card("alpha", "6", effective=instant(DAY + 11 * HOUR)) +
                             card("gamma", "2", effective=instant(DAY + 11 * HOUR + 30 * MINUTE)))
        hours = self.rows.hours()
        stored = self.rows.stored("llm_hour")
        _, result = self.json()
        left, change = 0, 0
        for key, (_, costs, lines) in hours.items():
            if key[1] >= DAY + 12 * HOUR:
                continue
            new = self.rows.costs(*key, lines, self.rows.version)
            if key[1] == DAY + 11 * HOUR:  # all of them have gamma
                self.assertIn(line("gamma", above=200000), lines)
                left += 1
                continue
            change += new["cost_pusd"] - costs["cost_pusd"]
            stored[key] = {"revision": 2, "price_version": self.rows.version, **new}
        self.assertEqual(left, 4)
        minutes, minutes_change = self.rows.reprice(DAY + 12 * HOUR, DAY + 24 * HOUR)
        after = self.rows.stored("llm_hour")
        sums = self.rows.hours()
        for key, want in stored.items():
            if key[1] < DAY + 12 * HOUR:
                self.assertEqual(after[key], want, key)
            else:
                self.assertEqual({c: after[key][c] for c in COSTS}, sums[key][1])
        self.assertEqual((result["rows_changed"], result["hours_changed"], result["hours_left"],
                          Decimal(result["cost_change_usd"])), (minutes, 8, 4, usd(change + minutes_change)))
        # Nothing is left to do: those left are left again.
        _, again = self.json()
        self.assertEqual((again["rows_changed"], again["hours_changed"], again["hours_left"]), (0, 0, 4))
        self.assertIn("4 hours stay as they are", self.ok())

    def test_the_difference_of_hours_without_minutes(self):
        self.put_some(series=2)
        self.gone(DAY + 24 * HOUR)
        self.rows.add_prices(HEADER + card("alpha", "4") + card("unknown", "1"))
        diff, result = self.json()
        change = sum(self.rows.costs(*key, lines, self.rows.version)["cost_pusd"] - costs["cost_pusd"]
                     for key, (_, costs, lines) in self.rows.hours().items())
        self.assertEqual((Decimal(diff["total"]["change_usd"]), Decimal(result["cost_change_usd"])),
                         (usd(change), usd(change)))

    def test_parts_of_hours_without_minutes(self):
        self.put_some(series=1)
        self.gone(DAY + 12 * HOUR)
        for args, option in (({"from_s": DAY + 10 * HOUR + MINUTE}, "--from"),
                             ({"to_s": DAY + 11 * HOUR + MINUTE}, "--to")):
            r = self.run_it(**args)
            self.assertEqual((r.returncode, r.stdout), (2, ""))
            self.assertIn(f"{option}: is before {instant(DAY + 12 * HOUR)}, and of what is older only hours are kept;"
                          " want a whole hour", r.stderr)
        self.ok(from_s=DAY + 12 * HOUR + MINUTE, to_s=DAY + 13 * HOUR + MINUTE)

    def test_retention_between_two_runs(self):
        self.put_some(series=2)
        self.rows.add_prices(HEADER + card("alpha", "4"))
        self.ok(to_s=DAY + 11 * HOUR)
        self.rows.reprice(DAY, DAY + 11 * HOUR)
        self.gone(DAY + 11 * HOUR)
        _, result = self.json()
        self.assertEqual(result["hours_changed"], 4)  # those at 11 and 12
        hours = self.rows.stored("llm_hour")
        self.rows.reprice(DAY + 11 * HOUR, DAY + 24 * HOUR)
        self.assertEqual({key: {c: row[c] for c in COSTS} for key, row in hours.items()},
                         {key: hour[1] for key, hour in self.rows.hours().items()})

    # ---- dry run, and nothing to do ----

    def test_a_dry_run_says_the_same_and_changes_nothing(self):
        self.put_some()
        self.rows.add_prices(HEADER + card("alpha", "4") + card("unknown", "1"))
        dry, nothing = self.json("--dry-run")
        self.assertIsNone(nothing)
        self.check()
        self.assertEqual(self.changed_windows(), [])
        self.assertEqual(self.sql("SELECT count(*) FROM llm_reprice"), "0")
        text = self.ok("--dry-run")
        self.assertTrue(text.endswith("nothing was changed (--dry-run)\n"), text)
        self.check()
        self.assertEqual(self.json()[0], dry)

    def test_for_people(self):
        self.rows.add_series(1, "acme")
        self.rows.put(1, DAY, {line("alpha"): [2, 1000000, 0, 0, 0, 0, 0], line("gamma"): usage(),
                               line("un\u202eknown"): [3, 1000000, 0, 0, 0, 0, 0]})
        self.rows.store()
        self.rows.add_prices(HEADER + card("alpha", "3.5") + card("un\u202eknown", "0.25"))
        out = self.ok()
        self.assertRegex(out, "^priced anew by version 2 of the prices:\nMODEL  .*\n")
        self.assertRegex(out, r"\nalpha +2 +1000000 +2.5 +3.5 +\+1 +0 +0\n")
        self.assertRegex(out, r"\nun\\xe2\\x80\\xaeknown +3 +1000000 +0 +0.25 +\+0.25 +3 +0\n")
        self.assertRegex(out, r"\ntotal +6 .* \+1.25 +3 +0\n1 other model without a change\n")
        self.assertRegex(out, r"\ncorrection \d+ begins\ncorrection \d+: 1 rows and 1 hours changed, cost change"
                              r" \+1.25 USD; \d+\.\d s, 1 rows read, \d+\.\d s a million\n$")

    def test_nothing_to_do(self):
        self.put_some(series=1)
        self.assertIn(": 0 rows and 0 hours changed, cost change 0 USD", self.ok())
        _, result = self.json(from_s=DAY - 1000 * HOUR, to_s=DAY - 999 * HOUR)
        self.assertEqual((result["rows_changed"], result["rows_read"]), (0, 0))
        self.check()
        self.assertEqual(self.sql("SELECT count(*) FROM llm_reprice WHERE finished_at IS NULL"), "0")

    # ---- ended in the middle ----

    def put_many(self, series=PAGE + 30):
        for s in range(1, series + 1):
            self.rows.add_series(s, "acme", model=f"m{s}")
            for hour in (10, 11):
                self.rows.put(s, DAY + hour * HOUR + s % 60 * MINUTE, {line("alpha"): usage(s)})
        self.rows.store()
        self.rows.add_prices(HEADER + card("alpha", "4"))

    def begin(self, *args):
        p = subprocess.Popen([self.stack.program("admin"), "reprice", f"--from={instant(DAY)}",
                              f"--to={instant(DAY + 24 * HOUR)}", *args], env=self.stack.env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(p.stderr.close)
        self.addCleanup(p.stdout.close)
        return p

    def waiting(self):
        return self.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                        " AND application_name = 'streamlens-admin' AND datname = current_database()") != "0"

    def kill_in_the_middle(self, series_id, hour=10):
        """While it waits for a row of that series in that hour."""
        key = (series_id, DAY + hour * HOUR + series_id % 60 * MINUTE)
        with self.stack.holding(f"SELECT FROM llm_minute WHERE series_id = {series_id}"
                                f" AND window_start = '{instant(key[1])}' FOR NO KEY UPDATE"):
            p = self.begin()
            wait_for(self.waiting, "it waits")
            p.send_signal(signal.SIGKILL)
            p.wait()
        wait_for(lambda: self.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'streamlens-admin'"
                                  " AND datname = current_database()") == "0", "its connection is gone")

    def test_killed_and_gone_on_with(self):
        self.put_many()
        self.kill_in_the_middle(PAGE + 5)
        done = self.sql("SELECT done_series, rows_changed, hours_changed, finished_at IS NULL FROM llm_reprice")
        self.assertEqual(done, f"{PAGE}|{PAGE}|{PAGE}|t")
        self.assertEqual(self.sql("SELECT count(*) FROM llm_minute WHERE revision > 1"), str(PAGE))
        listed = json.loads(self.stack.admin("reprice", "--list", "--json").stdout)
        self.assertEqual((listed[0]["rows_changed"], listed[0]["finished_at"], listed[0]["price_version"]),
                         (PAGE, None, 2))
        self.assertRegex(self.stack.admin("reprice", "--list").stdout, r"41\.7 % done")
        # Another range is another correction.
        self.json(from_s=DAY + 20 * HOUR)
        out = self.ok()
        self.assertRegex(out, r"\ngoing on with correction 1 of 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ, 41\.7 % done\n")
        changed, change = self.rows.reprice(DAY, DAY + 24 * HOUR)
        self.assertIn(f"correction 1: {changed} rows and {changed} hours changed, cost change"
                      f" +{usd(change).normalize():f} USD; the rest in ", out)
        self.assertIn(f" {changed - PAGE} rows read, ", out)
        self.check()  # each was changed once
        self.assertEqual({row["revision"] for row in self.rows.stored("llm_hour").values()}, {2})
        out = self.ok()
        self.assertIn("correction 3 begins", out)
        self.assertIn("correction 3: 0 rows", out)

    def test_killed_between_hours(self):
        self.put_many(5)
        self.kill_in_the_middle(4, hour=11)
        self.assertEqual(self.sql("SELECT next_hour, done_series, rows_changed FROM llm_reprice"),
                         "2026-11-20 11:00:00+00|0|5")
        _, result = self.json()
        changed, change = self.rows.reprice(DAY, DAY + 24 * HOUR)
        self.assertEqual((result["rows_changed"], result["went_on"], result["rows_read"]), (changed, True, 5))
        self.assertEqual(Decimal(result["cost_change_usd"]), usd(change))
        self.check()

    def test_more_rows_than_a_page(self):
        self.put_many(200)
        columns = self.sql("SELECT string_agg(column_name, ', ') FROM information_schema.columns WHERE table_name ="
                           " 'llm_minute' AND table_schema = current_schema() AND column_name <> 'window_start'")
        self.sql(f"""INSERT INTO llm_minute (window_start, {columns})
            SELECT date_trunc('hour', window_start) + n * interval '1 minute', {columns}
            FROM llm_minute, generate_series(0, 59) n WHERE window_start < '{instant(DAY + 11 * HOUR)}'
            ON CONFLICT DO NOTHING;
            UPDATE llm_hour h SET (cost_pusd, cost_input_pusd) = (SELECT sum(cost_pusd), sum(cost_input_pusd)
            FROM llm_minute m WHERE m.series_id = h.series_id AND date_trunc('hour', m.window_start) = h.window_start)
            """)
        diff, result = self.json()
        self.assertEqual((result["rows_changed"], result["rows_read"], result["hours_changed"]), (12200, 12200, 400))
        self.assertEqual(diff["total"]["change_usd"], result["cost_change_usd"])
        self.assertEqual(self.sql("""SELECT count(*) FROM llm_hour h WHERE (cost_pusd, cost_input_pusd) =
            (SELECT sum(cost_pusd), sum(cost_input_pusd) FROM llm_minute m WHERE m.series_id = h.series_id
            AND date_trunc('hour', m.window_start) = h.window_start)"""), "400")
        self.assertEqual(self.sql("SELECT min(revision), max(revision) FROM llm_minute"), "2|2")
        # A page ends between two series, so that an hour is changed once.
        self.assertEqual(self.sql("SELECT min(revision), max(revision) FROM llm_hour"), "2|2")

    def test_a_row_that_cannot_be_read(self):
        self.put_many(3)
        key = f"series_id = 2 AND window_start = '{instant(DAY + 11 * HOUR + 2 * MINUTE)}'"
        good = self.sql(f"SELECT usage FROM llm_minute WHERE {key}")
        self.sql(f"UPDATE llm_minute SET usage[1].requests = -1 WHERE {key}")
        r = self.run_it()
        self.assertEqual((r.returncode, r.stderr), (1, "streamlens-admin: the row of series 2 at 2026-11-20T11:02:00Z"
                                                    " cannot be read: line 1 of usage has a member that is missing or"
                                                    " below 0; the same command goes on from there\n"))
        self.sql(f"UPDATE llm_minute SET usage = $${good}$$ WHERE {key}")
        _, result = self.json()
        self.assertEqual((result["went_on"], result["rows_changed"]), (True, 6))
        self.rows.reprice(DAY, DAY + 24 * HOUR)
        self.check()

    def test_a_newer_version_begins_anew(self):
        self.put_many(5)
        self.kill_in_the_middle(4, hour=11)
        self.rows.reprice(DAY, DAY + 11 * HOUR)
        self.rows.add_prices(HEADER + card("alpha", "5"))
        _, result = self.json()
        self.assertEqual((result["reprice_id"], result["went_on"]), (2, False))
        self.rows.reprice(DAY, DAY + 24 * HOUR)
        self.check()
        states = self.sql("SELECT finished_at IS NULL FROM llm_reprice ORDER BY reprice_id").split()
        self.assertEqual(states, ["t", "f"])

    def test_waits_for_a_flush_and_takes_what_it_left(self):
        self.put_many(3)
        key = (2, DAY + 10 * HOUR + 2 * MINUTE)
        with Session(self.stack.dsn) as session:
            session("BEGIN")
            session(f"SELECT FROM llm_minute WHERE series_id = 2 AND window_start = '{instant(key[1])}'"
                    " FOR NO KEY UPDATE")
            p = self.begin("--json")
            wait_for(self.waiting, "it waits")
            self.add_usage(session, key, {line("alpha"): usage(1000)})
            session("COMMIT")
            out, err = p.communicate(timeout=60)
        self.assertEqual((p.returncode, err), (0, ""))
        self.rows.reprice(DAY, DAY + 24 * HOUR)
        self.check()
        self.assertEqual(json.loads(out.splitlines()[1])["result"]["rows_changed"], 6)

    def add_usage(self, session, key, lines):
        """As a flush: under the locks of the minute, then the hour, then the window."""
        row = self.rows.rows[key]
        where = f"series_id = {key[0]} AND window_start = "
        minute, hour = f"{where}'{instant(key[1])}'", f"{where}'{instant(key[1] // HOUR * HOUR)}'"
        columns = ", ".join(("price_version", "revision", *COSTS))
        got = session(f"SELECT {columns} FROM llm_minute WHERE {minute} FOR NO KEY UPDATE")[-1]
        version, revision, *stored = map(int, got.split("|"))
        add_lines(row.lines, lines)
        costs = self.rows.costs(*key, row.lines, version)
        self.assertEqual(session(f"""UPDATE llm_minute SET revision = {revision + 1},
            usage = {usage_sql(row.lines)}, {", ".join(f"{c} = {costs[c]}" for c in COSTS)}
            WHERE {minute} AND revision = {revision} RETURNING 1"""), ["1"])
        session(f"SELECT FROM llm_hour WHERE {hour} FOR NO KEY UPDATE")
        change = ", ".join(f"{c} = {c} + {costs[c] - old}" for c, old in zip(COSTS, stored))
        session(f"UPDATE llm_hour SET revision = revision + 1, {change} WHERE {hour}")
        session(f"UPDATE llm_window SET changes = changes + 1 WHERE window_start = '{instant(key[1])}'")
        row.costs, row.version, row.revision = costs, version, revision + 1

    def test_flushes_meanwhile_lose_nothing(self):
        self.put_many(40)
        stop, errors = threading.Event(), []

        def flush(seed, keys):
            rng = random.Random(seed)
            try:
                with Session(self.stack.dsn) as session:
                    while not stop.is_set():
                        session("BEGIN")
                        # One minute of a series, and no other series after a greater one.
                        self.add_usage(session, rng.choice(keys), {line("alpha"): usage(rng.randrange(1, 9))})
                        session("COMMIT")
            except Exception as e:  # shown by the test
                errors.append(e)
        keys = sorted(self.rows.rows)
        threads = [threading.Thread(target=flush, args=(n, keys[n::3])) for n in range(3)]
        for t in threads:
            t.start()
        try:
            for n in range(8):
                self.rows.add_prices(HEADER + card("alpha", str(3 + n % 2)))
                self.ok()
        finally:
            stop.set()
            for t in threads:
                t.join()
        self.assertEqual(errors, [])
        # Once more after late data, as the README says.
        self.ok()
        versions = self.rows.stored("llm_minute")
        for key, row in self.rows.rows.items():
            row.version, row.revision = versions[key]["price_version"], versions[key]["revision"]
            row.costs = self.rows.costs(*key, row.lines, self.rows.version)
        self.assertEqual(self.rows.stored("llm_minute"), self.rows.expected())
        got = {key: {c: row[c] for c in COSTS} for key, row in self.rows.stored("llm_hour").items()}
        self.assertEqual(got, {key: hour[1] for key, hour in self.rows.hours().items()})

    def test_a_flush_under_the_version_before_is_waited_for(self):
        self.put_many(2)
        with self.stack.holding("SELECT FROM streamlens_position WHERE partition = 0 FOR UPDATE"):
            p = self.begin()
            wait_for(self.waiting, "it waits")
        self.assertEqual(p.communicate(timeout=60)[1], "")
        self.rows.reprice(DAY, DAY + 24 * HOUR)
        self.check()

    def test_one_at_a_time(self):
        self.put_some(series=1)
        with self.stack.holding("SELECT pg_advisory_lock(5783110476019231046)"):
            r = self.run_it()
            self.assertEqual((r.returncode, r.stdout), (1, ""))
            self.assertIn("another streamlens-admin retention, reprice or tenant delete is running", r.stderr)
            self.ok("--dry-run")

    # ---- refusals ----

    def refused(self, *args, words, code=2):
        r = self.stack.admin("reprice", *args)
        self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (code, "", 1), r.stderr)
        for word in words:
            self.assertIn(word, r.stderr)

    def test_refusals(self):
        self.put_some(series=1)
        from_, to = "--from=" + instant(DAY), "--to=" + instant(DAY + 24 * HOUR)
        self.refused(to, words=["--from", "is missing", "RFC 3339"])
        self.refused(from_, words=["--to", "is missing"])
        self.refused("--from=yesterday", to, words=["--from", '"yesterday"', "RFC 3339"])
        self.refused("--from=2026-11-20T00:00:30Z", to, words=["--from", "want a whole minute"])
        self.refused(from_, "--to=2026-11-20T12:00:00.5Z", words=["--to", "want a whole minute"])
        self.refused(from_, "--to=" + instant(DAY), words=["--to", "not later than --from"])
        self.refused(from_, to, "--model=", words=["--model"])
        self.refused(from_, to, "--tenant=" + "x" * 256, words=["--tenant"])
        self.refused(from_, to, "--tenant=nobody", words=["--tenant", '"nobody" has no rows'], code=1)
        self.refused(from_, to, "--model=nothing", words=["--model", '"nothing"'], code=1)
        self.refused("--list", from_, words=["--list", "--from"])
        self.refused(from_, to, "extra", words=["extra"])
        self.assertEqual(self.sql("SELECT count(*) FROM llm_reprice"), "0")
        self.check()

    def test_a_database_that_is_not_set_up(self):
        other = self.stack.id + "k"
        self.stack.sql("CREATE DATABASE " + other, dsn=self.stack.admin_dsn)
        self.addCleanup(lambda: self.stack.sql(f"DROP DATABASE {other} WITH (FORCE)", dsn=self.stack.admin_dsn))
        for args in (["--from=" + instant(DAY), "--to=" + instant(DAY + HOUR)], ["--list"]):
            self.refused(*args, f"--postgres-dsn={self.stack.dsn}k", words=["setup"], code=1)

    def test_without_prices(self):
        self.sql("TRUNCATE llm_price, llm_price_version, llm_reprice")
        self.refused("--from=" + instant(DAY), "--to=" + instant(DAY + HOUR), words=["there are no prices"], code=1)


if __name__ == "__main__":
    unittest.main()
