# SPDX-License-Identifier: Apache-2.0
"""The runner of measures: what programs tell, what runs add up to, and what it says where one fails."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import bench_lines  # noqa: E402
import feed  # noqa: E402
import machine  # noqa: E402
import measures  # noqa: E402
import summary  # noqa: E402
from bench_lines import Value  # noqa: E402
from measures import Measure, Target  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
loader = importlib.machinery.SourceFileLoader("bench_run", os.path.join(HERE, "run"))
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
loader.exec_module(run)

MOST = Target(10, "us", "the kernel")
LEAST = Target(3000, "/s", "PostgreSQL", at_least=True)


def values(*numbers, unit="us"):
    return [Value("a.b", n, unit, 7) for n in numbers]


def output(call, *args):
    """(what it returned, what it printed)"""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        result = call(*args)
    return result, out.getvalue()


class Lines(unittest.TestCase):
    def test_what_is_told_is_read(self):
        told = output(bench_lines.tell, "core.live-1_x", 163.25, "ns", 1e6)[1]
        told += output(bench_lines.tell, "r", 2e9, "/s")[1]
        self.assertEqual(told, "bench core.live-1_x 163.25 ns items=1000000\nbench r 2e+09 /s\n")
        self.assertEqual(bench_lines.read("first\n" + told + "benched\n benches x\n"), {
            "core.live-1_x": Value("core.live-1_x", 163.25, "ns", 1000000), "r": Value("r", 2e9, "/s", None)})

    def test_a_figure_is_not_lost(self):
        for line in ("bench a 1", "bench a 1 ns items=", "bench a 1 ns items=1 more", "bench b/c 1 ns", "bench ä 1 ns",
                     "bench a x ns", "bench a nan ns", "bench a inf ns", "bench a 1 ns\nbench a 2 ns"):
            with self.subTest(line), self.assertRaises(ValueError):
                bench_lines.read(line)


class Arithmetic(unittest.TestCase):
    def test_least_median_spread(self):
        s = summary.summary(values(12, 8, 9), None)
        self.assertEqual((s["min"], s["median"], s["max"], s["runs"]), (8, 9, 12, [12, 8, 9]))
        self.assertAlmostEqual(s["spread"], 4 / 9)
        self.assertEqual((s["unit"], s["items"]), ("us", 7))
        self.assertNotIn("target", s)
        self.assertEqual(summary.summary(values(1, 2, 3, 10), None)["median"], 2.5)

    def test_ratio_of_at_most(self):
        for median, ratio, kept in ((5, 0.5, True), (10, 1, True), (11, 1.1, False), (0, 0, True)):
            s = summary.summary(values(median), MOST)
            self.assertAlmostEqual(s["ratio"], ratio)
            self.assertEqual(s["kept"], kept)

    def test_ratio_of_at_least(self):
        for median, ratio, kept in ((6000, 0.5, True), (3000, 1, True), (1500, 2, False)):
            s = summary.summary(values(median), LEAST)
            self.assertAlmostEqual(s["ratio"], ratio)
            self.assertEqual(s["kept"], kept)
        self.assertIsNone(summary.summary(values(0), LEAST)["ratio"])
        self.assertFalse(summary.summary(values(0), LEAST)["kept"])

    def test_a_target_of_nothing(self):
        nothing = MOST._replace(value=0)
        self.assertEqual([summary.summary(values(n), nothing)["kept"] for n in (0, 1)], [True, False])
        for n in (0, 1):
            s = summary.summary(values(n), nothing)
            self.assertIsNone(s["ratio"])
            json.dumps(s, allow_nan=False)
        self.assertIsNone(summary.summary(values(0), None)["spread"])

    def test_no_promise(self):
        s = summary.summary(values(5), MOST._replace(value=None))
        self.assertEqual(s["limit"], "the kernel")
        self.assertFalse({"target", "ratio", "kept"} & set(s))
        self.assertEqual(summary.row("a", s)[-3:], ["", "", "the kernel"])

    def test_the_ratio_is_the_median_s(self):
        self.assertAlmostEqual(summary.summary(values(1, 20, 30), MOST)["ratio"], 2)
        self.assertAlmostEqual(summary.summary(values(1, 1500, 9000), LEAST)["ratio"], 2)

    def test_what_a_run_left_out(self):
        targets = {"a.b": MOST, "c": None}
        self.assertEqual(list(summary.wrong({"a.b": values(1)[0], "c": Value("c", 1, "x")}, targets)), [])
        self.assertEqual(list(summary.wrong({"a.b": values(1)[0]}, targets)), ["it did not tell c"])
        self.assertEqual(list(summary.wrong({"a.b": values(1, unit="ns")[0], "c": Value("c", 1, "x")}, targets)),
                         ["a.b: it is told in ns, and should be in us"])

    def test_runs_of_a_measure(self):
        runs = [{"x": Value("x", 5, "B"), "a.b": values(4)[0]}, {}, {"a.b": values(6)[0]}]
        found = summary.measured(runs, {"a.b": MOST, "gone": MOST})
        self.assertEqual(list(found), ["a.b", "x"])  # what is promised comes first
        self.assertEqual((found["a.b"]["runs"], found["x"]["runs"]), ([4, 6], [5]))


class Table(unittest.TestCase):
    def test_it_is_markdown_and_lines_up(self):
        text = summary.table({"m": {"values": {"a.b": summary.summary(values(8, 12), MOST),
                                               "rate": summary.summary(values(1500, unit="/s"), LEAST),
                                               "bare": summary.summary(values(0.12345), None)}}})
        lines = text.splitlines()
        self.assertEqual(len({len(line) for line in lines}), 1)
        cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
        self.assertEqual(cells[0], ["value", "unit", "min", "median", "spread", "target", "ratio", "limited by"])
        self.assertEqual(cells[2], ["a.b", "us", "8", "10", "40%", "<= 10", "1.00", "the kernel"])
        self.assertEqual(cells[3], ["rate", "/s", "1500", "1500", "0%", ">= 3000", "2.00 !", "PostgreSQL"])
        self.assertEqual(cells[4], ["bare", "us", "0.123", "0.123", "0%", "", "", ""])


class Running(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tmp = folder.name

    def all_of(self, runs=3, **scripts):
        """What run_all says of shell scripts, by name."""
        found = {name: Measure(name, ["sh", "-c", script.replace("{", "{{").replace("}", "}}")], {"a.b": MOST})
                 for name, script in scripts.items()}
        with unittest.mock.patch.dict(measures.MEASURES, found):
            results, said = output(run.run_all, list(found), runs, {"build": "build"}, self.tmp)
        code, shown = output(run.report, {"machine": {"load": [1, 2]}, "runs": runs, "measures": results})
        return results, said, code, shown

    def test_in_turn(self):
        log = os.path.join(self.tmp, "turns")
        results, _, code, shown = self.all_of(**{name: f"printf {name} >>{log}; n=$(wc -c <{log}); echo bench a.b $n us"
                                                 for name in "xy"})
        with open(log, encoding="utf-8") as f:
            self.assertEqual(f.read(), "xyxyxy")
        self.assertEqual(results["x"]["values"]["a.b"]["runs"], [1, 3, 5])
        self.assertEqual(code, 0)
        self.assertNotIn("What failed", shown)
        self.assertNotIn("indicative", shown)

    def test_a_missed_target_is_no_failure(self):
        code, shown = self.all_of(runs=2, x="echo bench a.b 11 us")[2:]
        self.assertEqual(code, 0)
        self.assertIn("1.10 !", shown)
        self.assertIn("2 (fewer than 3: indicative)", shown)

    def test_failures_are_told_and_the_others_measured(self):
        results, said, code, shown = self.all_of(bad="echo no broker >&2; echo bench a.b 1 us; exit 3", dumb="true",
                                                 odd="echo bench a.b 1 ns", wild="echo bench a.b; exit 4",
                                                 well="echo bench a.b 2 us")
        self.assertEqual(code, 1)
        self.assertEqual(results["well"]["failed"], [])
        self.assertIn("| no broker", said)
        for what in ("bad: run 1: it ended with 3", "bad: run 3: it ended with 3", "dumb: run 2: it did not tell a.b",
                     "odd: run 1: a.b: it is told in ns", "wild: run 1: it ended with 4",
                     "wild: run 1: not bench NAME"):
            self.assertIn(what, shown)
        self.assertNotIn("well: run", shown)

    def test_one_that_does_not_end(self):
        log = os.path.join(self.tmp, "log")
        script = "trap 'echo told; exit 0' INT; echo begun; while :; do sleep 0.05; done"
        text, why = run.run_program(["sh", "-c", script], log, 1)
        self.assertEqual((text, why), ("begun\ntold\n", "it took more than 1 s"))

    def test_where_things_are(self):
        measure = Measure("a", ["sh", "-c", "echo bench a.b ${{#0}} us", "{build}"], {"a.b": MOST})
        log = os.path.join(self.tmp, "log")
        self.assertEqual(run.run_once("a", measure, {"build": "seven--"}, log), ({"a.b": Value("a.b", 7, "us")}, []))

    def test_the_results_are_whole(self):
        path = os.path.join(self.tmp, "results.json")
        run.write_results({"a": 1}, path)
        with self.assertRaises(TypeError):
            run.write_results({"a": object()}, path)
        with open(path, encoding="utf-8") as f:
            self.assertEqual(json.load(f), {"a": 1})


class Arguments(unittest.TestCase):
    def refused(self, *argv):
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as ended:
            run.arguments(argv)
        self.assertEqual(ended.exception.code, 2)
        return said.getvalue()

    def test_bounds(self):
        self.assertEqual(run.arguments([]).runs, 3)
        for n in (1, 100):
            self.assertEqual(run.arguments(["core", "--runs", str(n)]).runs, n)
        for n in (0, 101, -1):
            self.assertIn("--runs: 1 to 100", self.refused("--runs", str(n)))
        self.assertIn("there is no measure cores; there are: core ", self.refused("cores"))

    def test_peers_want_their_directory(self):
        for name in measures.PEERS:
            self.assertIn(f"{name} wants --peers DIR", self.refused(name))
        self.assertIn("--original wants --peers DIR", self.refused("core", "--original", "bin"))
        with tempfile.TemporaryDirectory() as empty:
            self.assertIn(f"{empty} has no gen/gen.c; a directory with these", self.refused("--peers", empty))

    def test_which_measures(self):
        self.assertEqual(run.arguments([]).names, list(measures.MEASURES))
        self.assertEqual(run.arguments(["event", "core", "event"]).names, ["event", "core"])
        with unittest.mock.patch.object(run.peer_kit, "check"):
            self.assertEqual(run.arguments(["--peers", "d"]).names, list(measures.PEERS))
            self.assertEqual(run.arguments(["core", "peers_ingest", "--peers", "d"]).names, ["core", "peers_ingest"])


class TheTable(unittest.TestCase):
    def test_each_program_is_there_and_each_target_says_what_limits_it(self):
        for name, m in {**measures.MEASURES, **measures.PEERS}.items():
            with self.subTest(name):
                program = m.command[1] if m.command[0] == "python3" else \
                    os.path.basename(m.command[0].format(build="build")) + ".c"
                self.assertTrue(os.path.exists(os.path.join(HERE, program)), program)
                self.assertTrue(m.builds)
                for value, target in m.targets.items():
                    self.assertRegex(value, rf"^{name}\.")
                    if target:
                        self.assertTrue(target.limit and target.unit and (target.value is None or target.value >= 0))

    def test_every_program_that_measures_is_in_it(self):
        commands = " ".join(word for m in (measures.MEASURES | measures.PEERS).values() for word in m.command)
        for file in os.listdir(HERE):
            if re.fullmatch(r"bench_.*\.(c|py)", file) and file not in ("bench_events.c", "bench_lines.py"):
                self.assertRegex(commands, rf"\b{file.removesuffix('.c')}( |$)")


class Spent(unittest.TestCase):
    """What feed.Meter sees: here this process is the processor and, as it listens, the broker."""

    class Service:
        cpu = 1.0

        def cpu_seconds(self):
            return self.cpu

    class Database:
        def __init__(self, port, looks):
            self.brokers, self.looks = f"127.0.0.1:{port},127.0.0.1:1", looks

        def sql(self, statement):
            return self.looks.pop(0) if feed.BACKENDS in statement else ""

    def test_between_two_moments(self):
        spent = {"7": [2.0, 3.5], "8": [1.0, 0.0], "9": [0.25]}
        with socket.create_server(("127.0.0.1", 0)) as server:
            s, p = self.Database(server.getsockname()[1], ["7\n8", "7\n9"]), self.Service()
            with unittest.mock.patch.object(feed, "cpu_seconds", lambda p: spent[p].pop(0) if p in spent else 4.0):
                meter = feed.Meter(s, p)
                self.assertEqual(meter.broker, os.getpid())
                p.cpu = 3.0
                got = meter.read()
        self.assertEqual((got["processor"], got["postgres"], got["broker"], got["writers"]), (2.0, 1.75, 0.0, 0.0))
        self.assertGreater(got["time"], 0)

    def test_of_a_process(self):
        began, until = feed.cpu_seconds(os.getpid()), time.process_time() + 0.05
        while time.process_time() < until:
            pass
        self.assertGreaterEqual(feed.cpu_seconds(os.getpid()), began + 0.03)
        ended = subprocess.Popen(["true"])
        ended.wait()
        self.assertEqual(feed.cpu_seconds(ended.pid), 0)

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.assertIsNone(feed.listener(port))


class TheMachine(unittest.TestCase):
    def test_what_is_read(self):
        self.assertEqual(machine.cpu("processor\t: 0\nmodel name\t: X 9\ncpu MHz\t\t: 2500.5\n"),
                         {"cpu": "X 9", "mhz": "2500.5"})
        self.assertEqual(machine.cpu(""), {"cpu": "unknown", "mhz": "unknown"})
        self.assertEqual(machine.kafka("<artifactId>kafka_2.13</artifactId>\n  <version>4.1.1</version>"),
                         "4.1.1 (of deploy/local)")
        self.assertEqual(machine.said("sh", "-c", "echo one; exit 1"), "unknown")
        self.assertEqual(machine.said("no-such-program"), "unknown")
        self.assertEqual(machine.said("printf", "one\\ntwo\\n"), "one")

    def test_it_is_json_and_names_no_secret(self):
        with tempfile.TemporaryDirectory() as build:
            told = json.dumps(machine.describe(build, "postgresql://u:secret@127.0.0.1:1/none"))
        self.assertNotIn("secret", told)
        self.assertEqual(json.loads(told)["postgresql"], "unknown")


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
