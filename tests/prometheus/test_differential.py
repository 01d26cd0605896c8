# SPDX-License-Identifier: Apache-2.0
"""metrics-api's PromQL against Debian's Prometheus on the same windows: traffic is counted by the real services, what
samples it must give is told apart from the code (expected_samples.py) and loaded into Prometheus, and both are asked
the same. SL_SEED gives other traffic and expressions, SL_EXPRESSIONS how many of these."""
import collections
import math
import os
import random
import re
import shutil
import time
import unittest

import expressions
import grafana_dashboards
from compare import Known, Question, ask, differing, left_open, looks_back
from expected_samples import DAY, DURATION, FIRST, LE_LATENCY, LE_TTFT, MINUTE, as_points, cut, day_of
from filled import Filled
from percentiles import QUANTILE, Errors, Percentiles
from real_prometheus import Client, RealPrometheus
from stack import needed

SEED = int(os.environ.get("SL_SEED", "20261122"))
EXPRESSIONS = int(os.environ.get("SL_EXPRESSIONS", "1000"))
# Where ranges begin, in minutes from midnight: before, over and behind it, at the end of data, where little is.
STARTS = (-30, -20, -10, -5, -90, -300, -1200, 5, 20, 60, 130, 250, 400, 650, 690)
STEPS = (15, 60, 37, 300, 3600)
POINTS = 40
# No sample is at, nor a range ends on, a time like this: Prometheus 2.42 has both ends of a range in it, 3 one.
ASIDE = 30.5
# These take the length of the range for more than which samples are in it.
BY_LENGTH = re.compile(r"\b(rate|increase|delta)\(")
# Of dashboards whose variable has one value only.
ONE_VALUE = {"tenant": {"tenant_id": "acme"}, "model": {"model": "gpt-4o"}}
WITH_VARIANTS = re.compile(r"_bucket|llm_errors_total|llm_finish_reasons_total|__name__=~")


class Differential(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED}")
        cls.filled = filled = Filled(SEED)
        cls.enterClassContext(filled)
        began = time.monotonic()
        # Which classes and buckets there are depends on the day of the first sample that is asked for.
        whole = filled.expected(filled.kept_from + 1)
        second = filled.expected(filled.midnight + 1)
        cls.samples = {day_of(filled.midnight): whole, day_of(filled.midnight + 1): cut(second, filled.midnight)}
        cls.real, port = {}, int(needed("SL_PORT_BASE"))
        for n, (day, samples) in enumerate(cls.samples.items()):
            folder = os.path.join(needed("SL_TMP"), f"{filled.stack.id}-prometheus-{n}")
            cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
            real = cls.enterClassContext(RealPrometheus(folder, port + n, samples))
            cls.real[day] = Client(real.port)
            cls.addClassCleanup(cls.real[day].close)
        cls.ours = Client(filled.api.port)
        cls.addClassCleanup(cls.ours.close)
        cls.known = {day: Known(samples) for day, samples in cls.samples.items()}
        cls.percentiles = Percentiles(filled.traffic, filled.through)
        print(f"{len(filled.rows)} rows, {sum(len(p) for s in whole.values() for _, p in s)} samples of"
              f" {sum(map(len, whole.values()))} series; made and loaded in {time.monotonic() - began:.1f} s")

    def at(self, minutes):
        """Seconds since 1970."""
        return self.filled.midnight / 1000 + 60 * minutes

    def day(self, question):
        """Whose samples are those that a question looks at."""
        return min(max(self.first_day(question.text, question.start), min(self.real)), max(self.real))

    @staticmethod
    def first_day(text, start, most=True):
        """Of the first (or the last) of the first samples that its selectors ask for: those behind t - r."""
        return day_of(round((start - looks_back(text)[most]) * 1000) + 1)

    def both(self, question, theirs=None):
        """(our answer, that of Prometheus); theirs: the text that Prometheus is asked with."""
        return (ask(self.ours, question),
                ask(self.real[self.day(question)], question._replace(text=theirs or question.text)))

    # ---- samples ----

    def compare_samples(self, samples, start, end, **more):
        """Raw ones behind start up to end, of every metric. How many there are."""
        count = 0
        for name, series in cut(samples, start).items():
            answer = ask(self.ours, Question(f"{name}[{end - start}ms]", end / 1000, end / 1000, None), **more)
            with self.subTest(name=name):
                self.assertEqual(answer.status, 200, answer.text)
                wanted = as_points(name, series)
                self.assertEqual(answer.points.keys(), wanted.keys())
                for labels, points in wanted.items():
                    self.assertEqual(sorted(answer.points[labels].items()), sorted(points.items()), labels)
            count += answer.count()
        self.assertGreater(count, 50_000)
        return count

    def test_samples_are_those_that_the_rows_give(self):
        f, (whole, second) = self.filled, self.samples.values()
        self.compare_samples(whole, f.kept_from + 6 * MINUTE, f.through + 10 * MINUTE)
        self.compare_samples(second, f.midnight, f.through)
        self.compare_samples(whole, f.midnight - 1, f.through)  # midnight's sample is of the day before
        # A series that was counted the day before alone has samples of the second day, a class of it has none.
        self.assertLess(len(second["llm_errors_total"]), len(whole["llm_errors_total"]))
        self.assertTrue(any(t == f.midnight + 1 for s in second.values() for _, p in s for t, _ in p))

    def test_where_minutes_are_dropped_samples_are_of_hours(self):
        f = self.filled
        samples = f.expected(f.kept_from)
        for name in [name for name in samples if name.endswith("_bucket")]:
            del samples[name]
            answer = ask(self.ours, Question(f"{name}[1h]", f.kept_from / 1000 + 1800, f.kept_from / 1000 + 1800, None))
            self.assertEqual((answer.status, answer.error), (422, "execution"), answer.text)
        self.compare_samples(samples, f.kept_from - 6 * 60 * MINUTE, f.through)

    def test_a_range_inside_of_one_dropped_hour(self):
        """Also as the first question of all, when the service does not know yet what retention has dropped."""
        f = self.filled
        fresh = Client(f.stack.start("metrics-api-2").port)
        self.addCleanup(fresh.close)
        end = f.kept_from - 15 * MINUTE
        samples = cut(f.expected(f.kept_from, end), end - 20 * MINUTE)
        for client in (fresh, self.ours):
            for name in ("llm_minute_requests", "llm_minute_max_latency_seconds", "llm_requests_total"):
                answer = ask(client, Question(name + "[20m]", end / 1000, end / 1000, None))
                self.assertEqual(answer.points, as_points(name, samples[name]))

    def test_open_windows_come_when_they_are_asked_for(self):
        f = self.filled
        end = f.midnight + DAY
        closed = self.compare_samples(self.samples[day_of(f.midnight)], f.midnight - 60 * MINUTE, end)
        opened = self.compare_samples(f.expected(f.kept_from + 1, end), f.midnight - 60 * MINUTE, end,
                                      open_windows="true")
        self.assertGreater(opened, closed + 5000)

    def test_buckets_are_right_to_a_hundredth(self):
        """What is compared above is made of stored histograms; this is of the durations."""
        compared = 0
        for row in self.filled.rows:
            for family, bounds, of in ((DURATION, LE_LATENCY, self.filled.traffic.durations),
                                       (FIRST, LE_TTFT, self.filled.traffic.firsts)):
                values = of[row.names][row.minute]
                for le, n in row.variants[family + "_bucket", "le"].items():
                    bound = math.inf if le == "+Inf" else float(le) * 1e6
                    self.assertLessEqual(sum(v <= bound for v in values), n)
                    self.assertGreaterEqual(sum(v <= bound * 1.01 for v in values), n)
                    compared += 1
        self.assertGreater(compared, 10_000)

    # ---- expressions ----

    def start_for(self, text, rng, aside, spread=1):
        """For which all selectors begin on one day, where that matters, and need no hours."""
        while True:
            start = self.at(rng.choice(STARTS) + rng.randrange(spread)) + aside
            days = {self.first_day(text, start - 360), self.first_day(text, start), self.first_day(text, start, False)}
            if not WITH_VARIANTS.search(text) or len(days) == 1 and days.issubset(self.real):
                return start

    def questions(self, text, rng):
        """[(question, the text for Prometheus)]: a range and an instant. At whole minutes, where samples are, if 2.42
        can be asked for a range that is open on the left."""
        aside, theirs = (ASIDE, text) if BY_LENGTH.search(text) else (0, left_open(text))
        start, step = self.start_for(text, rng, aside), rng.choice(STEPS)
        return [(Question(text, start, start + POINTS * step, step), theirs),
                (Question(text, self.start_for(text, rng, aside, POINTS), None, None), theirs)]

    def check(self, asked):
        """Counts of what was compared. asked: [(question, the text for Prometheus)]"""
        seen, wrong, answered = collections.Counter(), [], set()
        for question, text in asked:
            ours, other = self.both(question, text)
            found = self.known[self.day(question)].excuse(question, ours, other, differing(ours, other))
            seen["answers" if ours.status == 200 else "refusals"] += 1
            seen["points"] += ours.count()
            seen["with points"] += ours.count() > 0
            answered.update([question.text] if ours.count() else [])
            if question.step is None and re.match(r"sort(_desc)?\(|topk|bottomk", question.text) and not found:
                self.check_order(question, ours)
            if found:
                labels, t, mine, theirs = found[0]
                wrong.append(f"{question}: {len(found)} of {other.count()}: {dict(labels)} at {t}: {mine}, not"
                             f" {theirs}")
        for known in self.known.values():
            seen.update({f"excused: {name}": n for name, n in known.excused.items()})
            known.excused.clear()
        seen["expressions with points"] = len(answered)
        print(dict(seen))
        self.assertEqual(len(wrong), 0, f"{len(wrong)} questions:\n" + "\n".join(wrong[:20]))
        self.assertLess(sum(n for name, n in seen.items() if "excused" in name), seen["points"] / 100)
        return seen

    def check_order(self, question, ours):
        values = [next(iter(ours.points[labels].values())) for labels in ours.order]
        if "by" not in question.text.split("(")[0] and "without" not in question.text.split("(")[0]:
            ascending = question.text.startswith(("sort(", "bottomk"))
            numbers = [v for v in values if not math.isnan(v)]
            self.assertEqual(numbers, sorted(numbers, reverse=not ascending), question)

    def test_expressions(self):
        rng = random.Random(SEED)
        texts = expressions.expressions(rng, EXPRESSIONS)
        asked = [pair for text in texts for pair in self.questions(text, rng)]
        asked += [(Question(text, self.at(-10), None, None), left_open(text)) for text in expressions.INSTANT_ONLY]
        print(f"{len(texts)} expressions:", end=" ")
        seen = self.check(asked)
        self.assertEqual(seen["refusals"], 0)
        self.assertGreater(seen["expressions with points"], EXPRESSIONS * 0.8)
        self.assertGreater(seen["points"], 75 * EXPRESSIONS)

    def test_what_is_wrong_is_refused(self):
        for text in expressions.REFUSED:
            for question in (Question(text, self.at(-10) + ASIDE, self.at(10) + ASIDE, 60),
                             Question(text, self.at(-10) + ASIDE, None, None)):
                with self.subTest(question):
                    ours, other = self.both(question)
                    self.assertNotEqual(ours.status, 200)
                    self.assertEqual((ours.status, ours.error), (other.status, other.error), (ours.text, other.text))
        for text in expressions.INSTANT_ONLY[:2]:
            ours, other = self.both(Question(text, self.at(-10), self.at(10), 60))
            self.assertEqual((ours.status, ours.error), (400, "bad_data"))
            self.assertEqual((ours.status, ours.error), (other.status, other.error))

    # ---- names ----

    def test_names(self):
        """Of series, labels and values of labels, over all days: Prometheus tells by the block what there is, and ours
        classes by the day."""
        f, rng, counts = self.filled, random.Random(SEED), collections.Counter()
        span = {"start": self.at(-1800), "end": f.through / 1000}
        possible = {labels for name, series in f.expected(f.kept_from, f.midnight + DAY).items()
                    for labels in as_points(name, series)}
        maker = expressions.Maker(rng)
        for _ in range(80):
            matches = [maker.selector(expressions.GAUGES + expressions.COUNTERS, offsets=False)[0]
                       for _ in range(rng.choice((0, 1, 1, 1, 2)))]
            exact = matches and not any(map(WITH_VARIANTS.search, matches))
            label = rng.choice(("__name__", "le", "class", "error_type", "no_label", *expressions.PLAIN))
            for what in ("series", "labels", f"label/{label}/values")[not matches:]:
                mine, theirs = (self.names(client, what, {"match[]": matches, **span})
                                for client in (self.ours, self.real[day_of(f.midnight)]))
                self.assertEqual(set(theirs) - set(mine), set(), (what, matches))
                more = set(mine) - set(theirs)
                if what == "series":  # whether a histogram has a value is not looked up
                    more = {labels for labels in more - possible if "_bucket" not in labels[0][1]}
                if what == "series" or exact:
                    self.assertEqual(more, set(), (what, matches))
                counts[what.split("/")[0]] += len(theirs)
        print(dict(counts))
        self.assertGreater(min(counts.values()), 100)

    def names(self, client, what, params):
        status, body = client.get(what, **params)
        self.assertEqual((status, body["status"]), (200, "success"), (what, params))
        found = [tuple(sorted(labels.items())) for labels in body["data"]] if what == "series" else body["data"]
        self.assertEqual((len(set(found)), sorted(found) if what != "series" else found), (len(found), found))
        return found

    # ---- dashboards ----

    def dashboard_queries(self):
        """[(text, start, end, step)] as Grafana asks them, with all variables open and with one value each."""
        found = {}
        for values in (dict.fromkeys(("tenant_id", "route", "model"), grafana_dashboards.ALL),
                       {"tenant_id": "acme", "route": ["/chat", "/batch"], "model": ["gpt-4o"]}):
            for name, panel, target in grafana_dashboards.queries("prometheus"):
                if re.search(r"\b(llm|gen_ai)_", target["expr"]):
                    asked = grafana_dashboards.Asked(int(self.at(-180)), int(self.at(175)),
                                                     {**values, **ONE_VALUE.get(name, {})})
                    found[asked.promql(panel, target)] = None
        return list(found)

    def test_queries_of_the_dashboards(self):
        asked, quantiles = [], []
        for text, start, end, step in self.dashboard_queries():
            if "histogram_quantile" in text:
                quantiles.append(Question(text, start + ASIDE, end + ASIDE, step))
                continue
            asked.append((Question(text, start + ASIDE, end + ASIDE, step), text))
            if not BY_LENGTH.search(text):  # as it is: at whole minutes
                asked.append((Question(text, start, end, step), left_open(text)))
        print(f"{len(asked)} queries, {len(quantiles)} of percentiles:", end=" ")
        self.assertGreater(len(asked), 100)
        self.assertGreater(len(quantiles), 20)
        seen = self.check(asked)
        self.assertEqual(seen["with points"], len(asked))
        self.check_quantiles(quantiles)

    # ---- percentiles ----

    def check_quantiles(self, questions):
        """Against the durations themselves, and beside those of Prometheus on the same questions."""
        ours, theirs = Errors(), Errors()
        for question in questions:
            mine, other = self.both(question)
            self.assertEqual((mine.status, other.status), (200, 200), question)
            for t in sorted({t for points in mine.points.values() for t in points}):
                truth = self.percentiles.truth(question.text, t)
                unfounded = [group for group, points in mine.points.items() if math.isfinite(points.get(t, math.nan))
                             and group not in truth]
                self.assertEqual(unfounded, [], (question, t))
                for group, value in truth.items():
                    self.assertIn(t, mine.points.get(group, ()), (question, group))
                    ours.add(mine.points[group][t], value)
                    self.assertLessEqual(ours.all[-1], 0.01, (question, group, t))
                    estimate = other.points.get(group, {}).get(t, math.nan)
                    if math.isfinite(estimate):
                        theirs.add(estimate, value)
        print(f"ours: {ours}; Prometheus': {theirs}")
        self.assertLess(ours.mean(), theirs.mean() / 5)
        self.assertGreater(len(ours.all), 15 * len(questions))

    def test_percentiles_are_nearer_to_the_truth(self):
        rng, questions = random.Random(SEED), []
        for family in (DURATION, FIRST):
            for by in ("", "le", "le, model", "tenant_id, le", "le, tenant_id, route, model"):
                for phi in (0.5, 0.9, 0.95, 0.99):
                    matchers = rng.choice(("", "{}", '{tenant_id="acme"}', '{route=~"/chat|/batch"}', '{model!="x"}'))
                    text = (f"histogram_quantile({phi}, sum by ({by or 'le'}) ({rng.choice(('rate', 'increase'))}"
                            f"({family}_bucket{matchers}[{rng.choice(('2m', '5m', '10m', '1h'))}])))")
                    self.assertTrue(QUANTILE.fullmatch(text), text)
                    start = self.at(rng.choice((-300, -30, -20, 5, 100, 670, 690))) + ASIDE
                    questions.append(Question(text, start, start + POINTS * 60, 60))
                    questions.append(Question(text, start, None, None))
        self.check_quantiles(questions)

    def test_percentiles_where_minutes_are_dropped_are_of_hours(self):
        f = self.filled
        for back in (1, 2):
            hour = f.kept_from // MINUTE - 60 * back
            durations = [us for whose, minutes in f.traffic.durations.items() if whose[1] == "/old"
                         for minute in range(hour, hour + 60) for us in minutes.get(minute, ())]
            for phi in (0.5, 0.9, 0.99):
                text = f'histogram_quantile({phi}, sum by (le) (rate({DURATION}_bucket{{route="/old"}}[20m])))'
                answer = ask(self.ours, Question(text, 60 * (hour + 45) + ASIDE, None, None))
                (point,) = answer.points[()].values()
                truth = sorted(durations)[math.ceil(phi * len(durations)) - 1] / 1e6
                self.assertLessEqual(abs(point - truth) / truth, 0.01, (text, back))


if __name__ == "__main__":
    unittest.main()
