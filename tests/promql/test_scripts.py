# SPDX-License-Identifier: Apache-2.0
"""Prometheus' own PromQL test scripts, from its Go module, against our engine.

A case that asks for what we leave out is not applicable, and counted by what that is; of all others
at least 95 % must pass. `python3 tests/promql/test_scripts.py FILE...` runs some files and shows each
case that fails.
"""
import collections
import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import scripts  # noqa: E402

MODULE = "github.com/prometheus/prometheus@v0.315.0"
SUM = "h1:sFGZWmC2Hk9N1NBJGCnXYZb5hyLCq8yuAMoEjLAg6ac="
WANTED = 0.95


class NotApplicable(Exception):
    pass


class Failed(Exception):
    pass


def testdata():
    """Where the module cache has the scripts; what is not there yet is downloaded."""
    ran = subprocess.run(["go", "mod", "download", "-json", MODULE], cwd=Path(__file__).parent, timeout=300,
                         text=True, stdout=subprocess.PIPE, check=False)
    if ran.returncode:
        raise unittest.SkipTest(f"{MODULE} cannot be had: {ran.stdout}")
    module = json.loads(ran.stdout)
    if module["Sum"] != SUM:
        raise Failed(f"{MODULE} is not what it was: {module['Sum']}")
    return Path(module["Dir"]) / "promql" / "promqltest" / "testdata"


class Engine:
    def __init__(self):
        tool = Path(os.environ["SL_BUILD"]) / "tests" / "promql" / "promql-tool"
        self.process = subprocess.Popen([tool], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            raise Failed(f"the engine answered {line!r} to {command}") from error

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


def load(engine, command):
    last = {key(labels): (labels, values, starts) for labels, values, starts in command.series}
    for labels, values, starts in last.values():
        if values is None or starts:
            why = "native histograms" if values is None else "start timestamps"
            engine.ask(op="load", labels=labels, flag=why)
            continue
        t = [i * command.gap_ms for i, v in enumerate(values) if v is not None]
        v = [v if v == scripts.STALE else repr(v) for v in values if v is not None]
        engine.ask(op="load", labels=labels, t=t, v=v)
        name = labels.get("__name__", "")
        base = re.fullmatch(r"(.*)_(?:bucket|count|sum)", name)
        if command.nhcb and base:
            of_all = {k: v for k, v in labels.items() if k != "le"} | {"__name__": base.group(1)}
            engine.ask(op="load", labels=of_all, flag="native histograms")


def key(labels):
    return tuple(sorted((k, v) for k, v in labels.items() if v))


def number(text):
    return float("nan") if text in ("nan", "-nan") else float(text)


def check_failure(case, error):
    if case.fail_text is not None and case.fail_text != error:
        raise Failed(f"wanted the error {case.fail_text!r}, got {error!r}")
    if case.fail_regex is not None and not re.search(case.fail_regex, error):
        raise Failed(f"wanted an error like {case.fail_regex!r}, got {error!r}")


def check_notes(case, answer):
    for kind, found in (("warn", answer["warnings"]), ("info", answer["infos"])):
        wanted = case.notes[kind]
        if kind in case.none_of and found:
            raise Failed(f"wanted no {kind}, got {found}")

        def fits(want, text):
            how, expected = want
            return expected is None or (expected == text if how == "msg" else re.search(expected, text))
        for want in wanted:
            if not any(fits(want, text) for text in found):
                raise Failed(f"wanted {kind} {want}, got {found}")
        for text in found:
            if wanted and not any(fits(want, text) for want in wanted):
                raise Failed(f"{kind} that was not wanted: {text}")


def points(case, values):
    """The points that a series of a matrix must have, as {time: value}."""
    return {case.start + i * case.step: v for i, v in enumerate(values) if v is not None}


def check_series(case, found, wanted):
    """Both are lists of (labels, {time: value})."""
    left = {key(labels): values for labels, values in wanted}
    for labels, values in found:
        want = left.pop(key(labels), None)
        if want is None:
            raise Failed(f"{labels} was not wanted; it has {values}")
        if want.keys() != values.keys():
            raise Failed(f"{labels}: wanted {want}, got {values}")
        for t, v in want.items():
            if not scripts.same_number(float(v), values[t]):
                raise Failed(f"{labels} at {t}: wanted {v}, got {values[t]}")
    if left:
        raise Failed(f"{[dict(k) for k in left]} is missing")


def series_of(answer):
    return [(s["labels"], dict(zip(s["t"], map(number, s["v"])))) for s in answer["series"]]


def check_sorted(found):
    keys = [key(labels) for labels, _ in found]
    if keys != sorted(keys):
        raise Failed(f"not sorted by labels: {keys}")


def check_value(case, answer):
    found, at = series_of(answer), case.start
    if case.string is not None:
        if answer["string"] != case.string:
            raise Failed(f"wanted {case.string!r}, got {answer['string']!r}")
    elif answer["type"] == "scalar":
        if case.scalar is None or not scripts.same_number(case.scalar, found[0][1][at]):
            raise Failed(f"wanted {case.scalar}, got {found}")
    elif case.instant and not case.matrix:
        check_series(case, found, [(labels, {at: values[0]}) for labels, values in case.series])
        if case.ordered:
            order = [key(labels) for labels, _ in found]
            if order != [key(labels) for labels, _ in case.series]:
                raise Failed(f"not in order: {order}")
    else:
        check_sorted(found)
        check_series(case, found, [(labels, points(case, values)) for labels, values in case.series])


def check_as_range(engine, case):
    """An instant's result is that of the middle one of three steps."""
    at = case.start
    answer = engine.ask(op="eval", query=case.query, start=at - 60000, end=at + 60000, step=60000)
    if "refused" in answer:
        raise Failed(f"as a range: {answer['error']}")
    found = series_of(answer)
    check_sorted(found)
    middle = [(labels, {at: values[at]}) for labels, values in found if at in values]
    wanted = case.series if case.scalar is None else [({}, [case.scalar])]
    check_series(case, middle, [(labels, {at: values[0]}) for labels, values in wanted])


def evaluate(engine, case):
    end = case.end
    instant = case.instant
    answer = engine.ask(op="eval", query=case.query, start=end if instant else case.start, end=end,
                        step=0 if instant else case.step)
    if answer.get("refused") == "unsupported":
        raise NotApplicable(answer["field"])
    if "flag" in answer:
        raise NotApplicable(answer["flag"])
    if case.native:
        raise NotApplicable("native histograms")
    if "refused" in answer:
        if not case.fail:
            raise Failed(answer["error"])
        check_failure(case, answer["error"])
        return
    if case.fail:
        raise Failed("it should have failed")
    check_notes(case, answer)
    check_value(case, answer)
    if instant and not case.matrix and case.string is None and not case.ordered:
        check_as_range(engine, case)


class Tally:
    def __init__(self):
        self.passed, self.failed, self.left_out = 0, [], collections.Counter()

    def __str__(self):
        left = ", ".join(f"{n} {why}" for why, n in self.left_out.most_common())
        return f"{self.passed} passed, {len(self.failed)} failed, {sum(self.left_out.values())} not applicable" + \
            (f" ({left})" if left else "")


def run(path):
    tally, engine = Tally(), Engine()
    for command in scripts.parse(path.read_text(encoding="utf-8")):
        if command == "clear":
            engine.ask(op="clear")
        elif isinstance(command, scripts.Load):
            load(engine, command)
        else:
            try:
                evaluate(engine, command)
                tally.passed += 1
            except NotApplicable as why:
                tally.left_out[str(why)] += 1
            except Failed as why:
                tally.failed.append(f"{path.name}:{command.line}: {command.query}: {why}")
    engine.close()
    return tally


class Scripts(unittest.TestCase):
    def test_scripts(self):
        files = sorted(testdata().glob("*.test"))
        self.assertGreater(len(files), 15)
        total = Tally()
        for path in files:
            tally = run(path)
            print(f"{path.name}: {tally}", flush=True)
            total.passed += tally.passed
            total.failed += tally.failed
            total.left_out += tally.left_out
        print(f"all: {total}")
        for failure in total.failed:
            print("FAILED", failure)
        applicable = total.passed + len(total.failed)
        self.assertGreater(applicable, 500)
        self.assertGreaterEqual(total.passed / applicable, WANTED)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].endswith(".test"):
        for name in sys.argv[1:]:
            result = run(testdata() / name)
            print(*result.failed, f"{name}: {result}", sep="\n")
    else:
        unittest.main()
